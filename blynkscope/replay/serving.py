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
from blynkscope.replay.comparing import Compared, Heard, compare, compare_bodies, subject
from blynkscope.replay.model import Line, Said
from blynkscope.replay.outcome import Outcome, Verdict
from blynkscope.replay.spelling import Speller
from blynkscope.replay.staging import Answer, default_answers, wording

_EPOCH_TIMES = 1e8
"""Seconds from which on a time is one since the epoch, not since the beginning of a log."""


class Turn(msgspec.Struct):
    """What comes of something that happened: frames for the device, verdicts, and whether to close now."""

    answers: list[Answer] = []
    outcomes: list[Outcome] = []
    close: bool = False


class _Request:
    """What the device said in the recording, in one wording: the frames, and how many of them came again."""

    __slots__ = ("at", "frames")

    def __init__(self) -> None:
        self.frames: list[Said] = []
        self.at = 0

    def next(self) -> tuple[Said, bool]:
        """The next one, or the last one again; and is it again?"""
        again = self.at >= len(self.frames)
        said = self.frames[-1 if again else self.at]
        self.at += not again
        return said, again


class Serving:
    """One connection of a device, and the recorded one that is played to it.

    Args:
        line: The recorded connection.
        speed: How many times as fast as recorded; None sends what nobody asked for as soon as the device has said what
            it had said before it.
        era: Meaning of codes that differ between the eras.
        clock: Gives the time of day.

    Attributes:
        repeated: Requests that came more often than in the recording, and got the last answer again.
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
        self._unprompted: list[Said] = []
        self._asked: dict[int, Said] = {}
        """What the device answered in the recording, by the id of what it is asked now."""
        self._replies = {said.answers: said for said in line.frames if said.client and said.answers is not None}
        self._before: list[int] = []
        """For each place, that of the last request at it or before it; -1 where there is none."""
        self.repeated = 0
        self._login: tuple[float, float] | None = None
        self._login_time = self._time_of_login()
        for said in line.frames:
            if not said.client:
                if said.answers is None:
                    self._unprompted.append(said)
                else:
                    self._answers.setdefault(said.answers, []).append(said)
            elif said.answers is None:
                self._requests.setdefault(self._wording(said), _Request()).frames.append(said)
                self._by_subject.setdefault(self._about(said), deque()).append(said)
            asks = said.client and said.answers is None
            self._before.append(len(self._before) if asks else self._before[-1] if self._before else -1)
        self._unprompted.reverse()

    def _time_of_login(self) -> float | None:
        spoken = [said for said in self.line.frames if said.client]
        login = next((said for said in spoken if said.cmd in commands.SESSION_LOGINS), spoken[0] if spoken else None)
        return login.time if login is not None else None

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
            return self._go_on(turn, frame.time)
        found = self._requests.get(self._wording(frame))
        if found is not None:
            said, again = found.next()
            while not again and said.n in self._met:
                said, again = found.next()
            if again:
                self.repeated += 1
            else:
                self._meets(turn, said, frame, Compared())
            self._answer(turn, said, frame)
        else:
            self._departs(turn, frame)
        if self._login is None:
            self._login = (frame.time, self._clock())
        return self._go_on(turn, frame.time)

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
        spelled = self._spell.now(frame, client=True)
        turn.outcomes.append(Outcome(Verdict.EXTRA, "frame", self.line.number, None, None, None, spelled, note=note))

    def _compare(self, said: Said, frame: Heard) -> Compared:
        if said.cmd != frame.cmd or said.cmd == commands.RESPONSE:
            return compare(said, frame, self.line.dialect, self._era)
        if 0 <= said.word != len(said.body) and frame.body.startswith(said.body):
            return Compared((), "not-in-log")
        return compare_bodies(said.cmd, said.body, frame.body, self.line.dialect, self._era)

    def _answered(self, turn: Turn, reply: Said, frame: Heard) -> None:
        """The device answers what it was asked."""
        self._meets(turn, reply, frame, compare(reply, frame, self.line.dialect, self._era))

    def _meets(self, turn: Turn, said: Said, frame: Heard, compared: Compared) -> None:
        self._met.add(said.n)
        self._reached = max(self._reached, self._place[said.n])
        turn.outcomes.append(
            Outcome(
                Verdict.DIFFERENT if compared.differences else Verdict.EQUAL, "frame", self.line.number, said.n, said.n,
                self._spell.recorded(said), self._spell.now(frame, client=True), compared.differences, compared.rule,
            )
        )  # fmt: skip

    def _answer(self, turn: Turn, said: Said, frame: Heard) -> None:
        """What the server said to a request, with the id of this one."""
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
        then = answer.time if answer.time is not None and answer.time > _EPOCH_TIMES else None
        now = int(digits) + (self._clock() - then) if then is not None else self._clock()
        return key + b"\0" + str(round(now)).encode()

    def _go_on(self, turn: Turn, time: float) -> Turn:
        return self.tick(time, turn)

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
