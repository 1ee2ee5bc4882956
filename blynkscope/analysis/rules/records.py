"""BS108: a program reads the socket underneath its TLS layer, and takes records for frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.words import FRAMES_KEPT, explains, first_time, some
from blynkscope.protocol import tls
from blynkscope.protocol.commands import LOGINS
from blynkscope.protocol.frames import HEADER_SIZE
from blynkscope.protocol.misread import explain_header, is_record_header
from blynkscope.protocol.model import Dialect
from blynkscope.wire.events import CLIENT

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.wire.events import Closed, Line
    from blynkscope.wire.recognise import Guess

_HEADER = HEADER_SIZE[Dialect.HARDWARE]


class Records(StreamRule):
    """BS108, in logs and pastes: a capture shows TLS where it belongs."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"frames": [], "header": None, "count": 0, "lines": [], "data": False, "lane": None}

    def recognised(self, stream: Conversation, lane: Lane, guess: Guess, time: float | None) -> None:
        """See `StreamRule`."""
        if not stream.log or guess.kind != "tls" or "level" in guess.detail or "content_type" not in guess.detail:
            return  # an alert that can be read is BS109's; one named after its peer has no header
        by_name = {name: number for number, name in tls.TYPES.items()}
        versions = {name: number for number, name in tls.VERSIONS.items()}
        kind, version = by_name[guess.detail["content_type"]], versions[guess.detail["record_version"]]
        header = bytes([kind, 3, version]) + int(guess.detail["record_length"]).to_bytes(2, "big")
        self._seen(stream, lane, header)

    def spoke(
        self, stream: Conversation, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes,
        time: float | None,
    ) -> None:  # fmt: skip
        """See `StreamRule`."""
        if cmd not in tls.TYPES or not stream.log or not is_record_header(cmd, message_id, word):
            return
        header = bytes([cmd]) + message_id.to_bytes(2, "big") + (word.to_bytes(2, "big") if word >= 0 else b"")
        frames = self.of(stream)["frames"]
        if len(frames) < FRAMES_KEPT:
            frames.append(n)
        self._seen(stream, lane, header)

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if stream is None or line.kind != "tls-record":
            return
        try:
            header = bytes.fromhex(str(line.facts.get("bytes") or ""))
        except ValueError:
            return
        if explain_header(header) is None or tls.alert_of(header) is not None:
            return
        lines = self.of(stream)["lines"]
        if len(lines) < FRAMES_KEPT:
            lines.append(line.line)
        self._seen(stream, None, header[:_HEADER])

    def _seen(self, stream: Conversation, lane: Lane | None, header: bytes) -> None:
        memory = self.of(stream)
        memory["count"] += 1
        memory["lane"] = memory["lane"] or lane
        memory["data"] = memory["data"] or header[0] == tls.APPLICATION_DATA
        if memory["header"] is None or len(memory["header"]) < len(header):
            memory["header"] = header
        # What a program makes of them explains all that fails then.
        explains(stream, "BS108")

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if memory["header"] is None:
            return
        if memory["header"][0] == tls.ALERT and not memory["data"] and _logged_in_plain(stream):
            if first_time(stream, "BS107"):
                name = stream.opened.server or stream.host or "The server"
                self.report(
                    "BS107", stream, frames=memory["frames"], detail=f"{name} answered the plain login with "
                    f"{memory['header'].hex(' ')}, the header of a TLS alert: this port takes TLS alone.", cause=True,
                )  # fmt: skip
            return
        if not first_time(stream, "BS108"):
            return
        lane: Lane | None = memory["lane"]
        verb = "sent" if lane is not None and lane.direction == CLIENT and memory["data"] else "received"
        if memory["lines"]:
            more = f" and {len(memory['lines']) - 1} more" if len(memory["lines"]) > 1 else ""
            where = f"line {memory['lines'][0]} of the log{more}"
        else:
            where = some(memory["frames"]) if memory["frames"] else "the bytes of the log"
        shown = memory["header"].hex(" ")
        detail = (
            f"The bytes {shown} ({where}, {verb}) are the header of a TLS record: {explain_header(memory['header'])}"
        )
        if memory["frames"]:
            detail += f" {some(memory['frames']).capitalize()} is no Blynk frame." if len(memory["frames"]) == 1 else (
                f" {some(memory['frames']).capitalize()} are no Blynk frames."
            )  # fmt: skip
        framed = any(lane.facts is not None and lane.tempo.count > len(memory["frames"]) for lane in stream.lanes)
        self.report(
            "BS108", stream, frames=memory["frames"], count=max(len(memory["frames"]), len(memory["lines"]), 1),
            detail=detail, severity=None if memory["data"] or framed else "warning", cause=True,
        )  # fmt: skip


def _logged_in_plain(stream: Conversation) -> bool:
    return any(stream.client.counts.get(cmd) for cmd in LOGINS)


RULES: tuple[type[StreamRule], ...] = (Records,)
