"""BS901 to BS904: what the capture left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.wire.events import CLIENT, SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Gap

STREAMS_TOLD = 32
"""Streams of one run that get a finding of a kind of their own: a capture of a busy server that was begun late joins
thousands of connections in the middle. The others are counted in one finding at the end."""
_SNAPLEN = "snaplen"


class Holes(StreamRule):
    """BS901 and BS904: bytes that the recording did not keep."""

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """See `StreamRule`."""
        if stream.log:
            return
        holes: dict[tuple[str, int], list[int]] = self.of(stream)
        kind = "BS904" if event.reason == _SNAPLEN else "BS901"
        count = holes.setdefault((kind, stream.lanes.index(lane)), [0, 0])
        count[0] += 1
        count[1] += event.missing

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        holes: dict[tuple[str, int], list[int]] | None = stream.memories.get(id(self))
        if not holes:
            return
        for name in ("BS901", "BS904"):
            parts = [
                f"{_counted(count, 'place')} with {_counted(size, 'byte')} of {who(stream.lanes[side])}"
                for (kind, side), (count, size) in sorted(holes.items())
                if kind == name
            ]
            if not parts:
                continue
            what = "cut off" if name == "BS904" else "missing"
            detail = f"{' and '.join(parts)} {what}. Frames there are unknown, and so is what answered them."
            total = sum(count for (kind, _), (count, _) in holes.items() if kind == name)
            self.report(name, stream, count=total, detail=detail)


class PartOfIt(StreamRule):
    """BS902 and BS903: connections of which the capture shows a part."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._told = {"BS902": 0, "BS903": 0}

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if stream.log or not (stream.client.seen or stream.server.seen):
            return
        # As they were captured: the side that opened the connection first.
        for lane, heard in zip(stream.lanes, event.heard, strict=True):
            if not heard and lane.peer.seen:
                detail = (
                    f"Not one packet of {who(lane)} is in the capture, while {who(lane.peer)} sent "
                    f"{_counted(lane.peer.seen, 'byte')}: answers are missing for that reason."
                )
                self._tell("BS903", stream, detail, cause=True)
        if not stream.opened.handshake:
            state = "" if stream.host is None else f" to {stream.host[:64]}"
            port = f" (port {stream.opened.server_port})" if stream.opened.server_port else ""
            detail = f"The connection{state}{port} was open before the capture began: its handshake is not in it"
            login = any(entry.login for entry in stream.device.connections if entry.stream == stream.number) if (
                stream.device is not None
            ) else False  # fmt: skip
            detail += ", but a login is." if login else ", and neither is a login."
            self._tell("BS902", stream, detail)

    def _tell(self, name: str, stream: Conversation, detail: str, *, cause: bool = False) -> None:
        self._told[name] += 1
        if self._told[name] <= STREAMS_TOLD:
            self.report(name, stream, detail=detail, cause=cause)
        elif cause and stream.cause is None:
            stream.cause = name

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        for name, count in self._told.items():
            if count > STREAMS_TOLD:
                detail = f"{count - STREAMS_TOLD} more streams of this run are like that."
                self.report(name, None, count=count - STREAMS_TOLD, detail=detail)


def who(lane: Lane) -> str:
    """A direction's sender in words, with its address where there is one."""
    names = {CLIENT: "the device", SERVER: "the server"}
    name = {"app": "the app", "device": "the device", "server": "the server"}.get(lane.sender, names[lane.direction])
    return f"{name} ({lane.src})" if lane.src else name


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


RULES: tuple[type[StreamRule], ...] = (Holes, PartOfIt)
