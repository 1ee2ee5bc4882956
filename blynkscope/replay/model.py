"""What a script is made of: connections, frames, calls, and the steps in which they happened."""

from __future__ import annotations

from typing import Literal

import msgspec

from blynkscope.protocol.model import Dialect

Kind = Literal["open", "send", "expect", "close", "closes", "call"]


class Said(msgspec.Struct, frozen=True, gc=False):
    """A frame of the recording.

    `n` is its number there. `word` is the status of a RESPONSE and the length otherwise, -1 where a log does not tell
    it. `answers` is the number of the frame that it answers, `rtt_ms` how long that took.
    """

    n: int
    line: int
    time: float | None
    client: bool
    cmd: int
    id: int
    word: int
    body: bytes
    answers: int | None = None
    rtt_ms: float | None = None


class Call(msgspec.Struct, frozen=True, gc=False):
    """An HTTP call: what was asked, and what came back. `answer` is None where it cannot be compared."""

    n: int
    line: int
    time: float | None
    method: str
    target: str
    content: str | None
    status: int | None
    answer: str | None
    rtt_ms: float | None
    tls: bool


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Bytes that the recording lost: of which side, and behind how many frames of both sides."""

    client: bool
    place: int


class Line(msgspec.Struct, frozen=True):
    """A connection of the recording.

    Attributes:
        number: The stream's number in the recording.
        dialect: What the client speaks.
        answers: What the server speaks: another one where it took the client for something else.
        tls: It was inside TLS; None where a log does not tell.
        path: Of the WebSocket; None without one.
        joined: Its beginning was not recorded.
        log: It comes from a log.
        frames: What was said, by both sides.
        ended: Who closed it: "client", "server", or nobody, where the recording ends before.
        opened, closed: Times.
        how: How TCP ended: "fin", "reset", …; empty where that is not known.
        orphans: Numbers of frames of the server whose request may be in a gap of the recording.
        unheard: Numbers of frames of the client whose answer may be in a gap.
        holes: Gaps of the client's side: the places of its frames before and behind each.
    """

    number: int
    dialect: Dialect
    answers: Dialect
    tls: bool | None
    path: str | None
    joined: bool
    log: bool
    frames: tuple[Said, ...]
    ended: Literal["client", "server", ""]
    opened: float | None
    closed: float | None
    how: str = ""
    orphans: frozenset[int] = frozenset()
    unheard: frozenset[int] = frozenset()
    holes: tuple[tuple[int, int], ...] = ()


class Step(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened: `at` seconds behind the beginning."""

    kind: Kind
    line: int
    at: float
    said: Said | None = None
    call: Call | None = None


class Script(msgspec.Struct, frozen=True):
    """All that is played.

    Attributes:
        lines: The connections that are played, by number.
        steps: What happened on all of them, in order.
        calls: HTTP calls among them.
        passed_over: What is in the recording and not played, counted by reason.
        notes: What a person should know of it.
    """

    lines: dict[int, Line]
    steps: tuple[Step, ...]
    calls: int
    passed_over: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        """Frames of the clients' side."""
        return sum(said.client for line in self.lines.values() for said in line.frames)
