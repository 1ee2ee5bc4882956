"""The script of a replay: what was said on each connection of a recording, in the order in which it was said.

It is made from the records of an analysis, before anything is hidden in them: whatever `decode` reads can be played.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from blynkscope.analysis.records import MessageRecord, Observed, Record, StreamRecord
from blynkscope.protocol import commands
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.paths import DASHBOARD_PATH, DEVICE_PATH
from blynkscope.replay.attribution import unheard, with_sync_answers
from blynkscope.replay.legs import second_legs
from blynkscope.replay.model import Call, Gap, Kind, Line, Said, Script, Step

FRAMES_MAX = 100_000
"""Frames of a script, which is kept in memory: a day of a talkative device, some 30 MB."""
BYTES_MAX = 64 * 1024 * 1024
"""Bytes of their bodies."""
CALLS_MAX = 10_000
"""HTTP calls of a script."""
LINES_MAX = 8192
"""Connections of a script, as many as the analysis follows at one time."""
GAPS_MAX = 256
"""Gaps of one connection that are looked into; one with more is no recording of a talk."""
CONTENT_COMPARED = 2000
"""Bytes of an HTTP body that are sent again or compared; of longer ones the recording keeps the beginning alone."""


class _Stream:
    """What is known of a stream of the recording, while it is read."""

    __slots__ = (
        "client", "closed", "ended", "frames", "gaps", "how", "joined", "key", "log", "number", "opened", "path",
        "sealed", "senders", "server", "via",
    )  # fmt: skip

    def __init__(
        self, number: int, opened: float | None, client: str | None, server: str | None, joined: bool, log: bool
    ) -> None:
        self.server = server
        self.number, self.opened, self.client, self.joined, self.log = number, opened, client, joined, log
        self.frames: list[Said] = []
        self.gaps: list[Gap] = []
        self.senders: dict[bool, str] = {}
        self.via: tuple[str, ...] = ()
        self.path: str | None = None
        self.sealed = False
        """There is TLS that was not opened."""
        self.ended: Literal["client", "server", ""] = ""
        self.closed: float | None = None
        self.how = ""
        self.key = opened if opened is not None else 0.0


class ScriptMaker:
    """Takes the records of a run; `finish` gives the script.

    Args:
        streams: Numbers of the streams that are wanted; empty for all.
    """

    def __init__(self, streams: Iterable[int] = ()) -> None:
        self._wanted = frozenset(streams)
        self._streams: dict[int, _Stream] = {}
        self._steps: list[tuple[float, Step]] = []
        self._last = 0.0
        self._frames = self._bytes = self._calls = 0
        self._passed: Counter[str] = Counter()
        self._began: set[int] = set()
        self._seen: set[int] = set()

    def feed(self, records: Iterable[Record]) -> None:
        """Take a batch, in its order and before anything is hidden in it."""
        for record in records:
            if type(record) is Observed:
                self._frame(record)
            elif isinstance(record, StreamRecord):
                self._happened(record)
            elif isinstance(record, MessageRecord):
                self._message(record)

    @property
    def unseen(self) -> list[int]:
        """Streams that are wanted and did not occur."""
        return sorted(self._wanted - self._seen)

    def _of(self, number: int | None) -> _Stream | None:
        if number is None or (self._wanted and number not in self._wanted):
            return None
        return self._streams.get(number)

    def _happened(self, record: StreamRecord) -> None:
        detail = record.detail
        if record.kind == "opened":
            self._seen.add(record.stream)
            if self._wanted and record.stream not in self._wanted:
                return
            if len(self._streams) >= LINES_MAX:
                self._passed["connections beyond the limit"] += 1
                return
            client, server, joined = detail.get("client"), detail.get("server"), not detail.get("handshake")
            self._streams[record.stream] = _Stream(
                record.stream, record.time, client, server, joined, bool(detail.get("log"))
            )
            return
        stream = self._of(record.stream)
        if stream is None:
            return
        if record.kind == "closed":
            self._closed(stream, record)
        elif detail.get("fact") == "ws-upgraded":
            stream.path = str(detail.get("path") or DEVICE_PATH)
        elif detail.get("fact") == "tls-keys":
            stream.sealed = detail.get("state") != "opened"
        elif record.kind == "gap":
            self._passed["bytes that the recording lost"] += record.bytes
            if record.sender != "unknown" and len(stream.gaps) < GAPS_MAX:
                stream.gaps.append(Gap(record.sender != "server", len(stream.frames)))
        elif record.kind == "malformed":
            self._passed["frames that are not whole"] += 1
        elif record.kind == "resync":
            self._passed["bytes between frames"] += record.bytes
        elif detail.get("fact") == "ws-close" or (
            detail.get("fact") == "tls-alert" and detail.get("name") == "close_notify"
        ):
            # Who says first that it closes is who closes, whoever ends TCP then.
            if not stream.ended and record.sender != "unknown":
                stream.ended = "server" if record.sender == "server" else "client"
        elif detail.get("fact") == "ws-text":
            self._passed["text messages in WebSockets"] += 1

    def _closed(self, stream: _Stream, record: StreamRecord) -> None:
        stream.closed = record.time
        stream.how = str(record.detail.get("how") or "")
        if not stream.ended and record.detail.get("how") != "end" and record.sender != "unknown":
            stream.ended = "server" if record.sender == "server" else "client"
        if stream.number in self._began and stream.ended:
            self._step(stream, "close" if stream.ended == "client" else "closes", record.time)

    def _frame(self, frame: Observed) -> None:
        facts = frame.facts
        stream = self._of(facts.stream)
        if stream is None:
            return
        if facts.dialect == Dialect.HARDWARE and facts.sender == "app":
            self._passed["frames between a phone and a device, without a server"] += 1
            return
        if self._frames >= FRAMES_MAX or self._bytes + len(frame.body) > BYTES_MAX:
            self._passed["frames beyond the limit"] += 1
            return
        client = facts.src == stream.client if facts.sender == "unknown" and facts.src else facts.sender != "server"
        stream.senders.setdefault(client, facts.dialect)
        stream.via = facts.via
        said = Said(
            frame.n, stream.number, frame.time, client, frame.cmd, frame.id, frame.word, frame.body, frame.answers,
            frame.rtt_ms,
        )  # fmt: skip
        self._frames += 1
        self._bytes += len(frame.body)
        if frame.cmd and 0 <= frame.word != len(frame.body) and facts.dialect != Dialect.WEB:
            self._passed["bodies of which a log shows a part, played as far as they are there"] += client
        if stream.number not in self._began:
            self._began.add(stream.number)
            opened = Step("open", stream.number, stream.opened if stream.opened is not None else -1.0)
            self._steps.append((stream.key if not stream.log else self._last, opened))
        stream.frames.append(said)
        self._step(stream, "send" if client else "expect", frame.time, said)

    def _message(self, record: MessageRecord) -> None:
        stream = self._of(record.stream)
        if stream is None or record.kind == "websocket-upgrade":
            return
        call = _call_of(record)
        if call is None or self._calls >= CALLS_MAX:
            what = "MQTT packets" if record.protocol == "mqtt" else "HTTP calls that cannot be played"
            self._passed[what] += 1
            return
        self._calls += 1
        self._step(stream, "call", call.time, call=call)

    def _step(
        self, stream: _Stream, kind: Kind, time: float | None, said: Said | None = None, call: Call | None = None
    ) -> None:
        # The lines of a log stand in their order, whatever the device's clock says; streams of a capture interleave.
        if stream.log:
            stream.key = self._last
        elif time is not None:
            stream.key = max(stream.key, time)
        self._last = max(self._last, stream.key)
        self._steps.append((stream.key, Step(kind, stream.number, time if time is not None else -1.0, said, call)))

    def finish(self) -> Script:
        """The script of all that was taken."""
        lines: dict[int, Line] = {}
        called = {step.line for _, step in self._steps if step.kind == "call"}
        twins = second_legs(stream for stream in self._streams.values() if not stream.log)
        for number, stream in self._streams.items():
            if number in twins:
                self._passed["connections on which a relay passes on what another one has"] += 1
            elif any(said.client for said in stream.frames):
                lines[number] = _line(stream)
            elif stream.frames:
                self._passed["connections on which the recording heard the server alone"] += 1
            elif stream.sealed:
                self._passed["encrypted connections that no key log opens (--keylog)"] += 1
            elif number not in called:
                self._passed["connections on which no Blynk is spoken"] += 1
        steps = [entry for entry in self._steps if entry[1].kind == "call" or entry[1].line in lines]
        steps.sort(key=lambda entry: entry[0])
        read = {said.n: said for line in lines.values() for said in line.frames}
        notes = []
        if joined := [str(line.number) for line in lines.values() if line.joined]:
            notes.append(
                f"the beginning of stream {', '.join(joined)} was not recorded: a server that sees no login may close"
            )
        return Script(
            lines, tuple(_timed([_of_line(step, read) for _, step in steps])), self._calls,
            {reason: count for reason, count in self._passed.items() if count}, tuple(notes),
        )  # fmt: skip


def _line(stream: _Stream) -> Line:
    dialect = Dialect(stream.senders.get(True, Dialect.HARDWARE))
    path = stream.path
    if path is None and "websocket" in stream.via:
        path = DEVICE_PATH
    if dialect is Dialect.WEB:
        path = path or DASHBOARD_PATH
    tls = None if stream.log else any(layer.startswith("tls") for layer in stream.via)
    frames = with_sync_answers(stream.frames) if dialect is Dialect.HARDWARE else tuple(stream.frames)
    lost = unheard(frames, stream.gaps, dialect)
    return Line(
        stream.number, dialect, Dialect(stream.senders.get(False, dialect)), tls, path, stream.joined, stream.log,
        frames, stream.ended, stream.opened, stream.closed, stream.how, lost.answers, lost.requests, lost.holes,
    )  # fmt: skip


def _of_line(step: Step, read: dict[int, Said]) -> Step:
    """The step with its frame as the connection has it."""
    if step.said is None or read[step.said.n] is step.said:
        return step
    return msgspec.structs.replace(step, said=read[step.said.n])


def _timed(steps: list[Step]) -> Iterable[Step]:
    """The steps with the time since the first one, which never goes back."""
    at, before = 0.0, None
    for step in steps:
        time = step.at if step.at >= 0 else None
        if time is not None:
            if before is not None:
                at += max(0.0, time - before)
            before = time
        yield msgspec.structs.replace(step, at=at)


def _call_of(record: MessageRecord) -> Call | None:
    """The call of the REST API that a message is; None where it cannot be made again as it was."""
    detail = record.detail
    if record.protocol != "http" or not record.kind.startswith("rest-") or detail.get("authorization"):
        return None
    method, target, content = detail.get("method"), detail.get("target"), detail.get("request_content")
    sent = detail.get("request_bytes") or 0
    if method not in {"GET", "PUT", "POST"} or not isinstance(target, str) or not target.startswith("/"):
        return None
    if not target.isascii() or any(char <= " " for char in target):
        return None
    if sent and (not isinstance(content, str) or len(content.encode()) != sent or sent > CONTENT_COMPARED):
        return None
    answer = detail.get("response_content")
    if (detail.get("response_bytes") or 0) > CONTENT_COMPARED or record.kind in {"rest-rtc", "rest-data", "rest-qr"}:
        answer = None
    took = record.rtt_ms
    time = record.time - took / 1000.0 if record.time is not None and took is not None else record.time
    return Call(
        record.n, record.stream, time, method, target, content if sent else None, detail.get("status"), answer, took,
        any(layer.startswith("tls") for layer in record.via),
    )  # fmt: skip


def logins(script: Script) -> list[Said]:
    """What the clients of a script log in with, in order."""
    wanted = commands.SESSION_LOGINS | {commands.REGISTER}
    return [
        step.said for step in script.steps if step.kind == "send" and step.said is not None and step.said.cmd in wanted
    ]
