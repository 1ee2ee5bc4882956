"""The server's side of one recorded connection, played to a real device: sans-I/O.

A request finds its recorded counterpart by what it says, never by its place: the same command and body, ids, tokens
and times apart; then one about the same thing with another value; then the command table alone answers it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from blynkscope.protocol import commands
from blynkscope.protocol.model import Era
from blynkscope.replay.comparing import EPOCH_TIMES, Compared, Difference, Heard, compare, subject
from blynkscope.replay.model import Line, Said
from blynkscope.replay.outcome import Outcome, Verdict
from blynkscope.replay.spelling import Speller
from blynkscope.replay.staging import Answer, default_answers, wording

_FREE = frozenset({commands.PING, commands.HW_SYNC, commands.APP_SYNC})
"""What a device may say again and again: it does nothing, and how often depends on the time that passes."""
_CLOCKS = frozenset({b"rtc", b"utc"})
"""The same of INTERNAL frames."""
_WRITES = frozenset({commands.HW, commands.PROPERTY, commands.BRIDGE, commands.GROUP})
"""What leaves something behind, so that of two of them about one thing the later one counts."""


class Turn(msgspec.Struct):
    """What comes of something that happened: frames for the device, verdicts, and whether to close now."""

    answers: list[Answer] = []
    outcomes: list[Outcome] = []
    close: bool = False


class _Request:
    """What the device said in the recording, in one wording: the frames, and how many of them came again."""

    __slots__ = ("_passed", "_waiting", "last")

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Said]] = deque()
        self._passed: deque[tuple[int, Said]] = deque()
        """Those behind which another one about the same thing has come already."""
        self.last: Said | None = None

    def add(self, place: int, said: Said) -> None:
        self._waiting.append((place, said))
        self.last = said

    def next(self, reached: int, met: set[int]) -> Said | None:
        """The next one behind this place of the recording, else one before it; None where all have come."""
        while self._waiting and self._waiting[0][0] < reached:
            self._passed.append(self._waiting.popleft())
        for queue in (self._waiting, self._passed):
            while queue:
                said = queue.popleft()[1]
                if said.n not in met:
                    return said
        return None


class Serving:
    """One connection of a device, and the recorded one that is played to it.

    Args:
        line: The recorded connection.
        speed: How many times as fast as recorded; None sends what nobody asked for as soon as the device has said what
            it had said before it.
        era: Meaning of codes that differ between the eras.
        clock: Gives the time of day.

    Attributes:
        repeated: Pings, syncs and questions for the time that came more often than in the recording.
    """

    def __init__(self, line: Line, speed: float | None, era: Era | None, clock: Callable[[], float]) -> None:
        self.line = line
        self._speed, self._era, self._clock = speed, era, clock
        self._spell = Speller(line, era)
        self._place = {said.n: place for place, said in enumerate(line.frames)}
        self._requests: dict[tuple[int, bytes], _Request] = {}
        self._by_subject: dict[tuple[Any, ...], deque[Said]] = {}
        """What is not met yet, but for its last frame, which stays."""
        self._answers: dict[int, list[Said]] = {}
        self._met: set[int] = set()
        self._reached = -1
        """Place of the last frame of the recording that the device came to."""
        self._written: dict[tuple[Any, ...], int] = {}
        """The same of what is written, by what it is about."""
        self._unprompted: list[Said] = []
        self._asked: dict[int, Said] = {}
        """What the device answered in the recording, by the id of what it is asked now."""
        self._replies = {said.answers: said for said in line.frames if said.client and said.answers is not None}
        self._before: list[int] = []
        """For each place, that of the last request at it or before it; -1 where there is none."""
        self.repeated = 0
        self._login: tuple[float, float] | None = None
        spoken = [said for said in line.frames if said.client]
        self._recorded_login = next((said for said in spoken if said.cmd in commands.SESSION_LOGINS), None)
        first = self._recorded_login or next(iter(spoken), None)
        self._login_time = first.time if first is not None else None
        for said in line.frames:
            if not said.client:
                if said.n in line.orphans:
                    continue  # it answers what nobody knows
                if said.answers is None:
                    self._unprompted.append(said)
                else:
                    self._answers.setdefault(said.answers, []).append(said)
            elif said.answers is None:
                self._requests.setdefault(self._wording(said), _Request()).add(self._place[said.n], said)
                self._by_subject.setdefault(self._about(said), deque()).append(said)
            asks = said.client and said.answers is None
            self._before.append(len(self._before) if asks else self._before[-1] if self._before else -1)
        self._unprompted.reverse()

    def _wording(self, frame: Said | Heard) -> tuple[int, bytes]:
        """What a request says, without what is secret in it."""
        status = frame.word.to_bytes(5, "big", signed=True) if frame.cmd == commands.RESPONSE else b""
        return frame.cmd, wording(frame.cmd, frame.body, self.line.dialect, self._era) + status

    def _about(self, frame: Said | Heard) -> tuple[Any, ...]:
        if frame.cmd in commands.SESSION_LOGINS:
            return (frame.cmd,)
        return subject(frame.cmd, frame.body, self.line.dialect, self._era)

    def heard(self, frame: Heard) -> Turn:
        """A frame of the device."""
        turn = Turn([], [])
        if frame.cmd == commands.RESPONSE and frame.id in self._asked:
            self._answered(turn, self._asked.pop(frame.id), frame)
            return self.tick(frame.time, turn)
        found = self._requests.get(self._wording(frame))
        if found is not None:
            said = found.next(self._written.get(self._about(frame), -1), self._met)
            if said is None:
                self._repeats(turn, frame)
                assert found.last is not None
                said = found.last
            else:
                self._meets(turn, said, frame, Compared())
            self._answer(turn, said, frame)
        else:
            self._departs(turn, frame)
        if not self.logged_in and (self._recorded_login is None or frame.cmd in commands.SESSION_LOGINS):
            self._login = (frame.time, self._clock())
        return self.tick(frame.time, turn)

    @property
    def logged_in(self) -> bool:
        """The device has logged in, or said something where the recording has no login."""
        return self._login is not None

    def _repeats(self, turn: Turn, frame: Heard) -> None:
        """The device says once more what it has said as often as in the recording."""
        if frame.cmd in _FREE or (frame.cmd == commands.INTERNAL and frame.body.partition(b"\0")[0] in _CLOCKS):
            self.repeated += 1
            return
        self._extra(turn, frame, "more often than in the recording; answered as it was then")

    def _extra(self, turn: Turn, frame: Heard, note: str) -> None:
        spelled = self._spell.now(frame, client=True)
        verdict, rule = Verdict.EXTRA, None
        if self._in_a_hole():
            verdict, rule = Verdict.EQUAL, "recording-gap"
        turn.outcomes.append(
            Outcome(verdict, "frame", self.line.number, None, None, None, spelled, rule=rule, note=note)
        )

    def _in_a_hole(self) -> bool:
        """Is the device where bytes of it are lost in the recording?"""
        frames = self.line.frames
        return any(
            before <= self._reached and (behind >= len(frames) or frames[behind].n not in self._met)
            for before, behind in self.line.holes
        )

    def _departs(self, turn: Turn, frame: Heard) -> None:
        """The device says something that is not in the recording."""
        alike = self._by_subject.get(self._about(frame), deque())
        while len(alike) > 1 and alike[0].n in self._met:
            alike.popleft()
        said = alike[0] if alike else None
        if said is not None and said.n not in self._met:
            compared = self._compare(said, frame)
            self._meets(turn, said, frame, compared)
            self._answer(turn, said, frame)
            return
        if alike:
            note = "with a value that is not in the recording; answered as it was then"
            self._answer(turn, alike[-1], frame)
        else:
            answers = default_answers(frame, self.line.dialect, self._era, self._clock())
            turn.answers += answers
            note = "not in the recording; " + ("answered as the table says" if answers else "the table has no answer")
        self._extra(turn, frame, note)

    def _compare(self, said: Said, frame: Heard) -> Compared:
        return compare(said, frame, self.line.dialect, self._era, self._clock())

    def _answered(self, turn: Turn, reply: Said, frame: Heard) -> None:
        """The device answers what it was asked."""
        self._meets(turn, reply, frame, self._compare(reply, frame))

    def _meets(self, turn: Turn, said: Said, frame: Heard, compared: Compared) -> None:
        compared = self._in_order(said, frame, compared)
        self._met.add(said.n)
        self._reached = max(self._reached, self._place[said.n])
        turn.outcomes.append(
            Outcome(
                Verdict.DIFFERENT if compared.differences else Verdict.EQUAL, "frame", self.line.number, said.n, said.n,
                self._spell.recorded(said), self._spell.now(frame, client=True), compared.differences, compared.rule,
            )
        )  # fmt: skip

    def _in_order(self, said: Said, frame: Heard, compared: Compared) -> Compared:
        """The comparison, and whether the frame comes before the login or behind a later write of the same thing."""
        place, login = self._place[said.n], self._recorded_login
        order: Difference | None = None
        if login is not None and not self.logged_in and place > self._place[login.n]:
            order = Difference("order", "behind the login", "before it")
        elif said.cmd in _WRITES:
            about = self._about(said)
            reached = self._written.get(about, -1)
            self._written[about] = max(reached, place)
            if place < reached:
                later = self.line.frames[reached].n
                order = Difference("order", f"before #{later}", f"behind #{later}")
        if order is None:
            return compared
        return msgspec.structs.replace(compared, differences=(*compared.differences, order))

    def _answer(self, turn: Turn, said: Said, frame: Heard) -> None:
        """What the server said to a request, with the id of this one."""
        if said.n in self.line.unheard and said.n not in self._answers:
            turn.answers += default_answers(frame, self.line.dialect, self._era, self._clock())
        for answer in self._answers.get(said.n, ()):
            if answer.cmd == commands.RESPONSE and answer.word < 0:
                turn.answers += default_answers(frame, self.line.dialect, self._era, self._clock())
                continue
            number = frame.id if answer.id == said.id else answer.id
            turn.answers.append(Answer(answer.cmd, number, answer.word, self._timely(answer)))

    def _timely(self, answer: Said) -> bytes:
        """The body of an answer; the time of day in it goes on since then."""
        key, _, value = answer.body.partition(b"\0")
        digits = value.removesuffix(b"\0")
        if answer.cmd != commands.INTERNAL or key != b"rtc" or not digits.isdigit() or len(digits) > 12:
            return answer.body
        then = answer.time if answer.time is not None and answer.time > EPOCH_TIMES else None
        now = int(digits) + (self._clock() - then) if then is not None else self._clock()
        return key + b"\0" + str(round(now)).encode()

    def tick(self, time: float, turn: Turn | None = None) -> Turn:
        """Time has passed: what nobody asked for, and the end, as far as they are due."""
        turn = turn if turn is not None else Turn([], [])
        while self._unprompted:
            said = self._unprompted[-1]
            due = self._due(said.time, self._place[said.n])
            if due is None or due > time:
                break
            self._unprompted.pop()
            if said.cmd == commands.RESPONSE and said.word < 0:
                continue
            reply = self._replies.get(said.n)
            if reply is not None:
                self._asked[said.id] = reply
            turn.answers.append(Answer(said.cmd, said.id, said.word, self._timely(said)))
        if self.line.ended == "server" and not self._unprompted:
            due = self._due(self.line.closed, len(self.line.frames))
            turn.close = due is not None and due <= time
        return turn

    def _due(self, then: float | None, place: int) -> float | None:
        """When something happens that nobody asks for; None while what comes before it has not happened."""
        if self._login is None:
            return None
        if self._speed is not None and then is not None and self._login_time is not None:
            return self._login[0] + max(0.0, then - self._login_time) / self._speed
        before = self._before[place - 1] if place else -1
        return self._login[0] if before <= self._reached else None

    @property
    def next_due(self) -> float | None:
        """When `tick` wants to be called; None while only the device can bring things forward."""
        if self._unprompted:
            said = self._unprompted[-1]
            return self._due(said.time, self._place[said.n])
        if self.line.ended == "server":
            return self._due(self.line.closed, len(self.line.frames))
        return None

    def finish(self, *, by_device: bool, cut: bool = False) -> list[Outcome]:
        """The connection is over: what the device did not say.

        Args:
            by_device: The device closed it.
            cut: It was ended before its time: then nothing is missing, but not played.
        """
        found = []
        unasked = {one.n for one in self._unprompted}
        for said in self.line.frames:
            if not said.client or said.n in self._met:
                continue
            if said.answers in unasked:
                continue  # it was not asked
            number, spelled = self.line.number, self._spell.recorded(said)
            if said.cmd == commands.PING:
                found.append(Outcome(Verdict.EQUAL, "frame", number, said.n, said.n, spelled, None, rule="heartbeat"))
                continue
            verdict = Verdict.UNPLAYED if cut else Verdict.MISSING
            found.append(Outcome(verdict, "frame", number, said.n, said.n, spelled, None))
        for said in self._unprompted[::-1]:
            note = "the device left before its time"
            spelled = self._spell.recorded(said)
            found.append(Outcome(Verdict.UNPLAYED, "frame", self.line.number, said.n, None, spelled, None, note=note))
        if by_device and self.line.ended == "server" and not cut:
            note = "the device closes, before the server did so in the recording"
            found.append(Outcome(Verdict.EXTRA, "end", self.line.number, None, None, None, None, note=note))
        return found
