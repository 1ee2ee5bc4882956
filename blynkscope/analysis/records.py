"""What the analysis says: frozen records whose fields are the keys of JSON Lines, in this order (schema 1)."""

from __future__ import annotations

from typing import Any

import msgspec

SCHEMA = 1


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


Record = FrameRecord | FindingRecord | WriteRecord | LogRecord | StreamRecord | SummaryRecord
