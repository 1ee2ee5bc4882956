"""What the analysis says: frozen records whose fields are the keys of JSON Lines, in this order (schema 1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from blynkscope.protocol import commands
from blynkscope.protocol.derived import decoders, names
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.statuses import status_name

SCHEMA = 1
_SECRET_BODIES = frozenset({commands.LOGIN, commands.HW_LOGIN, commands.REDIRECT})
"""Commands whose body people and servers leave out of a log, and that are never sent without one."""


class FrameRecord(msgspec.Struct, frozen=True, gc=False, tag_field="record", tag="frame"):
    """One Blynk message, as it was read.

    `body` is hex text. `text` and `fields` hold raw wire text and secrets: `render.redact` and `render.safe` come
    between a record and any output.
    """

    schema: int
    n: int
    time: float | None
    stream: int
    src: str | None
    dst: str | None
    sender: str
    dialect: str
    via: tuple[str, ...]
    cmd: int
    name: str
    id: int
    length: int | None
    status: int | None
    status_name: str | None
    body: str
    fields: dict[str, Any] | None
    text: str
    answers: int | None
    rtt_ms: float | None
    write: str | None
    findings: tuple[str, ...]


class Facts:
    """What the frames of one direction have in common. Replaced, never changed, when more becomes known.

    Args:
        stream: Number of the connection.
        src: Sender's address:port.
        dst: Receiver's address:port.
        sender: device, server, app or unknown.
        dialect: Header of the direction.
        via: Layers, outside in.
        era: Meaning of codes that differ between the eras.
    """

    __slots__ = ("decode", "dialect", "dst", "era", "names", "sender", "src", "stream", "via")

    def __init__(
        self, stream: int, src: str | None, dst: str | None, sender: str, dialect: str, via: tuple[str, ...],
        era: str | None = None,
    ) -> None:  # fmt: skip
        self.stream = stream
        self.src = src
        self.dst = dst
        self.sender = sender
        self.dialect = dialect
        self.via = via
        self.era = era
        meaning = Dialect(dialect), Era(era) if era is not None else None
        self.decode = decoders(*meaning)
        self.names = names(*meaning)


class Observed(msgspec.Struct, frozen=True, gc=False, eq=False, array_like=True):
    """A frame as the analysis hands it on: the facts alone, cheap to make. `record` spells them out.

    `word` is the status of a RESPONSE and the length of any other body; -1 where a log does not tell it.
    """

    facts: Facts
    n: int
    time: float | None
    cmd: int
    id: int
    word: int
    body: bytes
    answers: int | None
    rtt_ms: float | None
    write: str | None
    findings: tuple[str, ...]

    def record(self) -> FrameRecord:
        """The frame with everything that its bytes mean."""
        facts, cmd, body = self.facts, self.cmd, self.body
        status = name = None
        if cmd:
            fields, text = facts.decode[cmd](body)
            if not body and self.word and cmd in _SECRET_BODIES and "log" in facts.via:
                fields, text = None, "(not in the log)"
        elif self.word >= 0:
            status = self.word
            name = text = status_name(status)
            fields = None
            if self.answers is None:
                text = f"{name}, answers nothing"
        else:
            fields, text = None, "its status is not in the log"
        # A log may not tell the length (-1).
        length = self.word if cmd and facts.dialect != "web" and self.word >= 0 else None
        return FrameRecord(
            SCHEMA, self.n, self.time, facts.stream, facts.src, facts.dst, facts.sender, facts.dialect, facts.via, cmd,
            facts.names[cmd], self.id, length, status, name, body.hex(), fields, text, self.answers, self.rtt_ms,
            self.write, self.findings,
        )  # fmt: skip


class FindingRecord(msgspec.Struct, frozen=True, tag_field="record", tag="finding"):
    """Something worth telling a person, with the frames that prove it."""

    id: str
    slug: str
    severity: str
    group: str
    stream: int | None
    frames: tuple[int, ...]
    count: int
    title: str
    detail: str
    fix: str


class WriteRecord(msgspec.Struct, frozen=True, gc=False, tag_field="record", tag="write"):
    """The final state of a pin write whose line said something else."""

    frame: int
    state: str
    by: int | None
    time: float | None


class LogRecord(msgspec.Struct, frozen=True, tag_field="record", tag="log"):
    """A line of a log that is no frame but means something."""

    stream: int | None
    time: float | None
    line: int
    kind: str
    text: str


class MessageRecord(msgspec.Struct, frozen=True, tag_field="record", tag="message"):
    """A message of another protocol that belongs to Blynk: an HTTP call with its answer, an MQTT packet.

    `n` is its 1-based number among the messages of the run, `protocol` is "http" or "mqtt", `kind` says what it is for
    ("rest-update", "ota-start", "uplink-ds"), `name` is the method or the packet type. `detail` holds its facts and
    `text` the one line that a person reads; both are raw wire text with secrets, as in a frame. `frames` are the
    numbers of Blynk frames that it caused, as far as they are known when the line is written; one that comes later is
    told by a `LinkRecord`. `answers` is the number of the message that an MQTT packet answers, `rtt_ms` the time since
    then, or between an HTTP request and its answer.
    """

    schema: int
    n: int
    time: float | None
    stream: int
    src: str | None
    dst: str | None
    sender: str
    via: tuple[str, ...]
    protocol: str
    kind: str
    name: str
    detail: dict[str, Any]
    text: str
    frames: tuple[int, ...]
    answers: int | None
    rtt_ms: float | None
    findings: tuple[str, ...]


class LinkRecord(msgspec.Struct, frozen=True, gc=False, tag_field="record", tag="link"):
    """A frame that a message of another protocol caused, seen only after the message's line was written."""

    message: int
    frame: int
    time: float | None


class StreamRecord(msgspec.Struct, frozen=True, tag_field="record", tag="stream"):
    """Something that happened to a stream: opened, closed, gap, resync, malformed, foreign, tls, undecodable."""

    kind: str
    stream: int
    time: float | None
    sender: str
    bytes: int
    detail: dict[str, Any]


class SummaryRecord(msgspec.Struct, frozen=True, tag_field="record", tag="summary"):
    """The last record of a run."""

    frames: int
    streams: int
    findings: dict[str, int]
    lost: dict[str, int]


Told = FrameRecord | FindingRecord | WriteRecord | LogRecord | MessageRecord | LinkRecord | StreamRecord | SummaryRecord
"""A record as it is shown."""
Record = Observed | Told


def spelled_out(
    records: Iterable[Record],
) -> list[Told]:
    """The records with every observed frame as its full frame record."""
    return [record.record() if type(record) is Observed else record for record in records]  # type: ignore[misc]
