"""Which frame of now stands for which recorded one: by id and kind for answers, by content for all others.

The order of a recording is no promise: answers are pipelined, and a server pushes what others wrote whenever that
comes. So an answer belongs to the request whose id it carries, where the command table says that it can answer that;
what was not asked for is looked for among everything that was not asked for then. Among frames about one thing the
order counts: of two values of a pin the later one stays.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

import msgspec

from blynkscope.analysis.acks import Request, Waiting
from blynkscope.protocol import commands
from blynkscope.protocol.model import Era
from blynkscope.replay.comparing import EQUAL, Compared, Difference, Heard, compare, subject
from blynkscope.replay.model import Line, Said
from blynkscope.replay.outcome import Outcome, Verdict
from blynkscope.replay.spelling import Speller
from blynkscope.replay.swaps import replaced

EXTRAS_MAX = 10_000
"""Frames of one connection that nothing in the recording stands for, and that are kept until its end."""
RENEWED_MAX = 256
"""Tokens of a server that are followed."""
_TRIED_MAX = 16
"""Requests of one id, and frames of one subject, that are compared. Ids are used again long after the answer, and
values that depend on the time are seldom many."""
_ASKS_FOR_DATA = frozenset({b"rtc", b"utc", b"meta"})
"""INTERNAL requests that an INTERNAL answers."""
_SYNC_WRITES = {b"vr": b"vw", b"dr": b"dw", b"ar": b"aw"}
_PINS_MAX = 256
_ORPHAN = "what it answers is in a gap of the recording"


class Expected:
    """A frame of the recording that is expected of the other side.

    Attributes:
        said: The frame.
        subject: What it is about.
        place: Its place among the frames of the connection.
        sent_at: When the request was sent that it answers; None before.
        met: A frame of now stands for it.
    """

    __slots__ = ("met", "place", "said", "sent_at", "subject")

    def __init__(self, said: Said, place: int, about: tuple[Any, ...]) -> None:
        self.said = said
        self.place = place
        self.subject = about
        self.sent_at: float | None = None
        self.met = False


class _Alike:
    """Frames of the recording with the same content, in their order."""

    __slots__ = ("_passed", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Expected] = deque()
        self._passed: deque[Expected] = deque()
        """Those behind which another one about the same thing has come already."""

    def append(self, one: Expected) -> None:
        self._waiting.append(one)

    def first(self, reached: int) -> Expected | None:
        """The first that is not met, of those behind this place of the recording; else of those before it."""
        while self._waiting and (self._waiting[0].met or self._waiting[0].place < reached):
            one = self._waiting.popleft()
            if not one.met:
                self._passed.append(one)
        if self._waiting:
            return self._waiting[0]
        while self._passed and self._passed[0].met:
            self._passed.popleft()
        return self._passed[0] if self._passed else None


class Matching:
    """One connection: what its server said then, and what it says now.

    Args:
        line: The recorded connection.
        era: Meaning of codes that differ between the eras.
        renewed: Tokens that the server made, then and now; filled here, and shared by all connections of a replay.
        clock: Gives the time of day.
    """

    def __init__(
        self, line: Line, era: Era | None = None, renewed: dict[bytes, bytes] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.line = line
        self.renewed = renewed if renewed is not None else {}
        self._era = era
        self._clock = clock
        self._spell = Speller(line, era)
        self._waiting = Waiting()
        self.expected = {
            said.n: Expected(said, place, self._about(said))
            for place, said in enumerate(line.frames)
            if not said.client
        }
        self._answers: dict[int, list[Expected]] = {}
        """Answers by the number of their request."""
        self._open: dict[int, list[int]] = {}
        """Requests that were sent and lack answers, by id."""
        self._unprompted: dict[tuple[int, bytes, int], _Alike] = {}
        self._by_subject: dict[tuple[Any, ...], deque[Expected]] = {}
        for one in self.expected.values():
            if one.said.answers is not None:
                self._answers.setdefault(one.said.answers, []).append(one)
            else:
                self._unprompted.setdefault(self._content(one.said), _Alike()).append(one)
                self._by_subject.setdefault(one.subject, deque()).append(one)
        self._extras: dict[tuple[Any, ...], deque[tuple[Heard, int | None]]] = {}
        self._kept = 0
        self._reached: dict[tuple[Any, ...], int] = {}
        """The last place of the recording that was met, of frames whose order counts, by what they are about."""

    def _about(self, frame: Said | Heard) -> tuple[Any, ...]:
        about = subject(frame.cmd, frame.body, self.line.answers, self._era)
        # A status that nobody asked for is about nothing but its id.
        return (*about, frame.id) if frame.cmd == commands.RESPONSE else about

    def _content(self, frame: Said | Heard) -> tuple[int, bytes, int]:
        """What finds a frame by its content. A status says nothing without its id."""
        status = frame.word << 16 | frame.id if frame.cmd == commands.RESPONSE else 0
        return frame.cmd, frame.body, status

    def sent(self, said: Said, time: float) -> None:
        """A frame of the client was sent."""
        if said.cmd != commands.RESPONSE:
            row = commands.find(said.cmd, self.line.dialect, self._era)
            request = Request(said.n, said.cmd, said.id, time, row, said.body)
            if said.cmd == commands.HW_SYNC:
                request.pins = _pins_of(said.body)
            elif said.cmd == commands.INTERNAL:
                request.takes_frame = said.body.partition(b"\0")[0] in _ASKS_FOR_DATA
            self._waiting.ask(request)
        answers = self._answers.get(said.n, [])
        for one in answers:
            one.sent_at = time
        if answers:
            self._open.setdefault(said.id, []).append(said.n)

    def heard(self, frame: Heard) -> tuple[Outcome | None, Said | None]:
        """A frame of the server.

        Returns:
            Its verdict, None where that waits for the end of the connection; and the recorded frame that it stands
            for, where it was found.
        """
        request = self._answered(frame)
        for asked in self._open.get(frame.id, [])[:_TRIED_MAX]:
            for one in self._answers[asked]:
                if not one.met and not (compared := self._compare(one, frame)).differences:
                    return self._meets(one, frame, compared), one.said
        about = self._about(frame)
        alike = self._unprompted.get(self._content(frame))
        unprompted = alike.first(self._reached.get(about, -1)) if alike is not None else None
        if unprompted is not None:
            return self._meets(unprompted, frame, EQUAL), unprompted.said
        number = request.n if request is not None else None
        if number is None and frame.cmd == commands.RESPONSE:
            number = next(iter(self._open.get(frame.id, ())), None)
        best = self._fitting(number, frame) if number is not None else None
        if best is not None:
            return self._meets(best, frame, self._compare(best, frame)), best.said
        # Not the same bytes, but equal by a rule: the time, the address of the server.
        for one in self._unmet(about):
            if not (compared := self._compare(one, frame)).differences:
                return self._meets(one, frame, compared), one.said
        if request is not None and request.n in self.line.unheard:
            return self._in_a_gap(request.n, frame), None
        if self._kept >= EXTRAS_MAX:
            return self._extra(frame, number), None
        self._kept += 1
        self._extras.setdefault(about, deque()).append((frame, number))
        return None, None

    def _unmet(self, about: tuple[Any, ...]) -> list[Expected]:
        """Frames about the same thing that nobody asked for and that did not come yet: the first of them."""
        same = self._by_subject.get(about)
        while same and same[0].met:
            same.popleft()
        return [one for one in islice(same or (), _TRIED_MAX) if not one.met]

    def _in_a_gap(self, number: int, frame: Heard) -> Outcome:
        """An answer to a request whose answer the recording may have lost."""
        spelled = self._spell.now(frame, client=False)
        return Outcome(
            Verdict.EQUAL, "frame", self.line.number, None, number, None, spelled, rule="recording-gap",
        )  # fmt: skip

    def _answered(self, frame: Heard) -> Request | None:
        """The request that a frame answers, by the acknowledgement column of the command table."""
        if frame.cmd == commands.RESPONSE:
            found = self._waiting.answered_by_status(frame.id, frame.word)
            return found if isinstance(found, Request) else None
        if frame.cmd == commands.HW:
            op, _, rest = frame.body.partition(b"\0")
            key = (b"vw" if op == b"vm" else op) + rest.partition(b"\0")[0]
            request = self._waiting.answered_by_sync(frame.id, key, frame.time)
            if request is not None:
                return request
        return self._waiting.answered_by_frame(frame.cmd, frame.id)

    def _fitting(self, number: int, frame: Heard) -> Expected | None:
        """The answer of a request that a frame stands for although it is another one."""
        waiting = [one for one in self._answers.get(number, ()) if not one.met and one.sent_at is not None]
        if not waiting:
            return None
        about = self._about(frame)
        for one in waiting:
            if one.subject == about:
                return one
        if frame.cmd == commands.HW and waiting[0].said.cmd == commands.HW:
            return None  # a value of another pin
        return waiting[0]

    def _compare(self, one: Expected, frame: Heard) -> Compared:
        said = one.said
        if self.renewed and said.body != frame.body and (body := replaced(said.body, self.renewed)) != said.body:
            said = msgspec.structs.replace(said, body=body, word=len(body))
        return compare(said, frame, self.line.answers, self._era, self._clock())

    def _in_order(self, one: Expected, compared: Compared) -> Compared:
        """The comparison, and whether what the frame is about has come to a later place of the recording already."""
        if one.said.answers is not None and one.said.cmd != commands.RESPONSE:
            return compared  # a value that a sync asked for: the same whenever it comes
        reached = self._reached.get(one.subject, -1)
        self._reached[one.subject] = max(reached, one.place)
        if one.place > reached:
            return compared
        later = self.line.frames[reached].n
        order = Difference("order", f"before #{later}", f"behind #{later}")
        return msgspec.structs.replace(compared, differences=(*compared.differences, order))

    def _meets(self, one: Expected, frame: Heard, compared: Compared, *, ordered: bool = True) -> Outcome:
        one.met = True
        if ordered:
            compared = self._in_order(one, compared)
        for old, new in compared.tokens:
            if len(self.renewed) < RENEWED_MAX:
                self.renewed[old.encode()] = new.encode()
        said = one.said
        if said.answers is not None and all(other.met for other in self._answers[said.answers]):
            numbers = self._open.get(said.id, [])
            if said.answers in numbers:
                numbers.remove(said.answers)
        rtt = round((frame.time - one.sent_at) * 1000.0, 3) if one.sent_at is not None else None
        return Outcome(
            Verdict.DIFFERENT if compared.differences else Verdict.EQUAL, "frame", self.line.number, said.n,
            said.answers, self._spell.recorded(said), self._spell.now(frame, client=False), compared.differences,
            compared.rule, recorded_ms=said.rtt_ms, rtt_ms=rtt,
        )  # fmt: skip

    @property
    def lacks(self) -> bool:
        """Are there answers to what was sent that have not come?"""
        return any(not one.met for asked in self._open.values() for number in asked for one in self._answers[number])

    def finish(self, *, played: bool = True, due: Callable[[Expected], bool] = lambda one: True) -> list[Outcome]:
        """The connection is over: what was expected and did not come, and what came and was not expected.

        Args:
            played: All of its frames were sent; where not, what was to come unprompted has had no chance.
            due: Has there been time enough for an answer to what was sent?
        """
        found: list[Outcome] = []
        for one in self.expected.values():
            if one.met:
                continue
            asked = one.said.answers is not None
            extra = self._extras.get(one.subject) if not asked or one.sent_at is not None else None
            if extra and (not asked or one.said.id == extra[0][0].id):
                frame, _ = extra.popleft()
                found.append(self._meets(one, frame, self._compare(one, frame), ordered=False))
                continue
            orphan = one.said.n in self.line.orphans
            lost = one.sent_at is not None and due(one) if asked else played and not orphan
            found.append(
                Outcome(
                    Verdict.MISSING if lost else Verdict.UNPLAYED, "frame", self.line.number, one.said.n,
                    one.said.answers, self._spell.recorded(one.said), None, recorded_ms=one.said.rtt_ms,
                    note=_ORPHAN if orphan else "",
                )
            )  # fmt: skip
            one.met = True
        found += [self._extra(frame, number) for rest in self._extras.values() for frame, number in rest]
        self._extras.clear()
        return found

    def _extra(self, frame: Heard, number: int | None) -> Outcome:
        spelled = self._spell.now(frame, client=False)
        return Outcome(Verdict.EXTRA, "frame", self.line.number, None, number, None, spelled)


def _pins_of(body: bytes) -> set[bytes] | None:
    """The pins that a sync asks for, as the table of waiting requests names them; None for all."""
    op, *pins = body.split(b"\0")
    answer = _SYNC_WRITES.get(op)
    if answer is None or not pins:
        return None
    return {answer + pin for pin in pins[:_PINS_MAX]}
