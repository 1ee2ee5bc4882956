"""BS308, BS309, BS314, BS315: too fast, and too quiet."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from blynkscope.analysis.outline import idle_limit
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.quotes import quote
from blynkscope.analysis.rules.words import closed_by_server, end_of, failed, first_time, seconds, server_era
from blynkscope.protocol import commands
from blynkscope.protocol.model import Era
from blynkscope.protocol.statuses import QUOTA_LIMIT
from blynkscope.wire.events import SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.pins import Write
    from blynkscope.wire.events import Closed, Line

LEGACY_QUOTA = 100.0
"""Messages a second on average that the legacy server takes; it first looks after one second (measured)."""
IOT_QUOTA = 20.0
"""Messages a second that the forum and older texts give for Blynk IoT; its documentation says 50."""
FLOOD_CLOSE = 5.0
"""Seconds behind the last message of a flood in which a close by the server is put down to it."""
IDLE_EARLY, IDLE_LATE = 1.0, 3.0
"""Seconds by which a server's close may differ from its idle limit: it counts from when it read the last message."""


def sustained(stream: Conversation) -> float:
    """The client's highest rate over more than a second, in messages a second: a burst alone does not count."""
    tempo = stream.client.tempo
    summary = tempo.summary()
    counts, width = summary["per_second"], summary["bucket"]
    best: float = max((one + two for one, two in pairwise(counts)), default=0) / (2 * width)
    return max(best, tempo.mean or 0.0)


class Floods(StreamRule):
    """BS308 and BS309: the rate that was measured, and what the server said to it."""

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        # Notifications have a limit of their own, with the same status.
        if status == QUOTA_LIMIT and request.cmd != commands.NOTIFY:
            self._exceeded(stream, request.n, n)

    def write_refused(self, stream: Conversation, write: Write, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        if status == QUOTA_LIMIT:
            self._exceeded(stream, write.n, n)

    def unmatched(
        self, stream: Conversation, lane: Lane, n: int, message_id: int, status: int, time: float | None
    ) -> None:
        """See `StreamRule`."""
        if status == QUOTA_LIMIT and lane.direction == SERVER:
            self._exceeded(stream, None, n)

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind != "server" or line.facts.get("event") != "quota" or stream is None or self.of(stream).get("told"):
            return
        self.of(stream)["told"] = True
        rate = sustained(stream)
        sent = f" The client had sent {stream.client.tempo.count} messages" + (f", {rate:.0f} a second" if rate else "")
        detail = f"Line {line.line} of the server's log says so ({quote(line.text, 60)}).{sent}."
        self.report("BS309", stream, detail=detail, cause=True)

    def _exceeded(self, stream: Conversation, asked: int | None, n: int) -> None:
        if self.of(stream).get("told"):
            return
        self.of(stream)["told"] = True
        rate = sustained(stream)
        frames = (n,) if asked is None else (asked, n)
        detail = f"Frame {n} says STA_QUOTA_LIMIT_EXCEPTION"
        detail += f" to frame {asked}" if asked is not None else ""
        detail += f"; the client had sent {stream.client.tempo.count} messages" + (
            f", {rate:.0f} a second" if rate else ""
        )
        self.report("BS309", stream, frames=frames, count=1, detail=detail + ".", cause=True)

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        rate, era = sustained(stream), server_era(stream)
        if rate <= IOT_QUOTA:
            return
        tempo = stream.client.tempo
        measured = f"{rate:.0f} messages a second over more than a second (at most {tempo.peak} in one"
        if tempo.peak_at is not None and tempo.first is not None:
            measured += f", {seconds(tempo.peak_at - tempo.first)} after the first"
        measured += f"; {tempo.count} in all)"
        severity = None
        if era is Era.LEGACY:
            if rate > LEGACY_QUOTA:
                limit = f"The legacy server's quota is {LEGACY_QUOTA:g} a second on average."
            else:
                severity = "note"
                limit = (
                    f"A legacy server of one's own takes {LEGACY_QUOTA:g} a second; Blynk's legacy cloud took "
                    f"{IOT_QUOTA:g}, and Blynk IoT closes connections above its limit."
                )
        elif era is Era.IOT:
            limit = f"Blynk IoT takes {IOT_QUOTA:g} a second by older texts and the forum, 50 by its documentation."
        else:
            limit = (
                f"Blynk IoT takes {IOT_QUOTA:g} to 50 a second, a legacy server {LEGACY_QUOTA:g} on average; nothing "
                "tells which one this is."
            )
        detail = f"{measured}. {limit}{_closed_behind(stream, event)}"
        self.report("BS308", stream, count=tempo.count, detail=detail, severity=severity)


def _closed_behind(stream: Conversation, event: Closed) -> str:
    """What the server did about a flood: a sentence, or nothing where it let the connection be."""
    tempo = stream.client.tempo
    if not closed_by_server(stream, event) or event.time is None or tempo.first is None:
        return ""
    if event.time - tempo.last > FLOOD_CLOSE:
        return ""
    did = "reset" if event.how == "reset" else "closed"
    return (
        f" The server {did} the connection {seconds(event.time - tempo.first)} after the first message; what was not "
        "acknowledged by then is lost."
    )


class FloodErrors(StreamRule):
    """BS308 from a log: the library itself found that the sketch sends too much."""

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == "error" and "flood-error" in line.text[:200]:
            memory = self.of(stream) if stream is not None else {}
            if memory.get("told") or (stream is not None and not first_time(stream, "BS308 line")):
                return
            memory["told"] = True
            self.report(
                "BS308", stream, detail=f'Line {line.line}: the library says "flood-error". The sketch sends more '
                "messages than its limit (BLYNK_MSG_LIMIT, 15 a second), and the library closes the connection.",
                cause=True,
            )  # fmt: skip


class Silences(StreamRule):
    """BS314 and BS315: a device that was silent for too long, and a server that closed for it."""

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if stream is not None and line.kind == "heartbeat-timeout":
            self.of(stream).setdefault("line", (line.line, quote(line.text)))

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if failed(stream):
            return
        line = self.of(stream).get("line")
        limit, rule = idle_limit(stream)
        tempo = stream.client.tempo
        end = end_of(stream, event)
        silence = end - tempo.last if end is not None and tempo.first is not None else 0.0
        if limit is not None and closed_by_server(stream, event) and -IDLE_EARLY <= silence - limit <= IDLE_LATE:
            self.report(
                "BS315", stream, detail=f"The server closed the connection {seconds(silence)} after the device's last "
                f"message; its idle limit is {limit} s ({rule}).",
            )  # fmt: skip
            return
        if line is not None:
            announced = stream.heartbeat.announced
            number, said = line
            beat = f" of {announced:g} s" if announced else ""
            self.report(
                "BS314", stream, detail=f"Line {number} of the log: {said}. The device heard nothing for "
                f"longer than its heartbeat{beat} and three timeouts, and gave the connection up.",
            )  # fmt: skip
            return
        longest, until = max((tempo.longest, tempo.longest_end), (silence, end or 0.0))
        if limit is not None and longest > limit:
            after = (
                f", {seconds(until - longest - tempo.first)} after its first message" if tempo.first is not None else ""
            )
            self.report(
                "BS314", stream,
                detail=f"The device was silent for {seconds(longest)}{after}; its limit is {limit} s ({rule}).",
            )  # fmt: skip


RULES: tuple[type[StreamRule], ...] = (Floods, FloodErrors, Silences)
