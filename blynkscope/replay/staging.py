"""What a server says where no recorded frame tells it, and which recorded connection a device gets."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from blynkscope.protocol import commands
from blynkscope.protocol.model import Ack, Dialect, Era
from blynkscope.protocol.statuses import SUCCESS
from blynkscope.replay.comparing import Heard
from blynkscope.replay.model import Line

_INFO_LETTERS = b"vfhbdctm"
"""First letters of the keys that a device's introduction begins with: those that the legacy server answers, and `mcu`,
which Blynk IoT answers."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A frame for the device."""

    cmd: int
    id: int
    word: int
    body: bytes


def wording(cmd: int, body: bytes, dialect: Dialect, era: Era | None = None) -> bytes:
    """A body with `*` in place of its secrets, whatever their length."""
    row = commands.find(cmd, dialect, era)
    spans = row.body.secrets(body) if row is not None and body else []
    out, at = b"", 0
    for span in sorted(spans, key=lambda span: span.start):
        out += body[at : span.start] + b"*"
        at = span.end
    return (out + body[at:]).removesuffix(b"\0")


def default_answers(frame: Heard, dialect: Dialect, era: Era | None, now: float) -> list[Answer]:
    """What the command table says to a request that succeeds."""
    row = commands.find(frame.cmd, dialect, era)
    if row is None or frame.cmd == commands.RESPONSE:
        return []
    success = Answer(commands.RESPONSE, frame.id, SUCCESS, b"")
    if row.ack is Ack.STATUS:
        return [success]
    if row.ack is Ack.SAME_COMMAND:
        return [Answer(frame.cmd, frame.id, 0, b"")]
    if row.ack is not Ack.BY_BODY:
        return []
    key, _, rest = frame.body.partition(b"\0")
    if frame.cmd == commands.BRIDGE:
        return [success] if rest.partition(b"\0")[0] == b"i" else []
    if key == b"rtc":
        return [Answer(frame.cmd, frame.id, 0, b"rtc\0" + str(int(now)).encode())]
    return [success] if key and key[0] in _INFO_LETTERS and key != b"meta" else []


class Stage:
    """The recorded connections, and which of them were played.

    Args:
        lines: In the order of the recording.
        era: Meaning of codes that differ between the eras.
    """

    def __init__(self, lines: Iterable[Line], era: Era | None) -> None:
        self._left = list(lines)
        self._played: list[Line] = []
        self._era = era
        self.dialects = {line.dialect for line in self._left}

    @property
    def left(self) -> int:
        """Connections that were not played yet."""
        return len(self._left)

    def choose(self, dialect: Dialect, first: Heard) -> tuple[Line | None, bool]:
        """The recorded connection for a new one, by its first frame; and was it played before?

        One that begins with the very same bytes comes first, then one that begins with the same words, then the next;
        where all were played, the last that fits is played again.
        """
        for lines, again in ((self._left, False), (self._played[::-1], True)):
            fitting = [line for line in lines if line.dialect is dialect]
            if not fitting:
                continue
            said = wording(first.cmd, first.body, dialect, self._era)
            begins = [(line, next(frame for frame in line.frames if frame.client)) for line in fitting]
            same = [line for line, frame in begins if (frame.cmd, frame.body) == (first.cmd, first.body)]
            alike = [
                line
                for line, frame in begins
                if frame.cmd == first.cmd and wording(frame.cmd, frame.body, dialect, self._era) == said
            ]
            chosen = (same or alike or fitting)[0]
            if not again:
                self._left.remove(chosen)
                self._played.append(chosen)
            return chosen, again
        return None, False
