"""Layers: through what messages came, and when a record that TLS was recognised says nothing more."""

from __future__ import annotations

from collections.abc import Sequence

from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    MessageRecord,
    Observed,
    Record,
    StreamRecord,
    SummaryRecord,
)
from blynkscope.protocol import limits
from blynkscope.render.handshakes import fact_of
from blynkscope.render.redact import Redactor
from blynkscope.render.safe import safe_line

_INSIDE = " \u203a "
_ENDINGS = {"hardware": "Blynk hardware", "app": "Blynk app", "web": "Blynk web", "http": "HTTP", "mqtt": "MQTT"}
_WRAPPERS = ("tls", "ssl", "websocket")

_TELLING = frozenset({"tls-client-hello", "tls-server-hello", "tls-certificate", "tls-alert"})
"""Facts that say more than that TLS was recognised."""
_READ = frozenset({"tls", "http", "websocket", "mqtt"})
"""Protocols that are read."""


class Recognised:
    """Records that say no more than that another protocol was recognised wait for something that tells it better.

    For TLS these are facts about the handshake, for HTTP and MQTT the messages themselves. Where none come, the records
    are shown before what else happens on the stream, at its end at the latest. A message that a filter hides tells it
    as well: it was read.

    Args:
        redactor: Hears of the messages that are not shown.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        self.waiting: dict[tuple[int, bool], StreamRecord] = {}
        """By stream, and whether it is about the server's direction."""
        if redactor is not None:
            redactor.on_unshown = self._told_by

    def pass_on(self, record: Record) -> Sequence[Record]:
        """What is to be shown now, in order."""
        if isinstance(record, StreamRecord):
            side = record.stream, record.sender == "server"
            fact = fact_of(record)
            if not fact and record.kind in {"tls", "foreign"} and record.detail.get("protocol") in _READ:
                if side in self.waiting or len(self.waiting) >= limits.STREAMS_MAX:
                    return (record,)
                self.waiting[side] = record
                return ()
            if fact in _TELLING and not record.detail.get("encrypted") and self._held(side) == "tls":
                del self.waiting[side]
            if fact or record.kind == "gap":
                return (record,)
        if not self.waiting:
            return (record,)
        if isinstance(record, SummaryRecord):
            return [*self.rest(), record]
        if isinstance(record, MessageRecord):
            self._told_by(record)
            return (record,)
        if isinstance(record, StreamRecord | FindingRecord | FrameRecord):
            stream = record.stream
        elif isinstance(record, Observed):
            stream = record.facts.stream
        else:
            return (record,)
        if stream is None:
            return (record,)
        # A call is told when its answer is complete; what is found in it comes before that.
        ends = isinstance(record, StreamRecord) and record.kind == "closed"
        sides: list[Record] = [
            self.waiting.pop(side)
            for side in ((stream, False), (stream, True))
            if side in self.waiting and (ends or self._held(side) == "tls")
        ]
        return [*sides, record]

    def _told_by(self, message: MessageRecord) -> None:
        for side in ((message.stream, False), (message.stream, True)):
            if self._held(side) != "tls":
                self.waiting.pop(side, None)

    def _held(self, side: tuple[int, bool]) -> str:
        record = self.waiting.get(side)
        return str(record.detail.get("protocol")) if record is not None else ""

    def rest(self) -> list[Record]:
        """Those that still wait, for the end of the run."""
        held: list[Record] = list(self.waiting.values())
        self.waiting.clear()
        return held


def layers_of(via: Sequence[str], inside: str) -> str:
    """The chain `tcp`, `tls1.2`, `websocket`, `Blynk hardware` in one line; "" where nothing is wrapped.

    Args:
        via: Layers, outside in.
        inside: Dialect of the frames, or the protocol of the messages, in the innermost layer.
    """
    if not any(layer.startswith(_WRAPPERS) for layer in via):
        return ""
    names = [safe_line(layer, 20) for layer in via if layer != inside]
    return _INSIDE.join([*names, _ENDINGS.get(inside, safe_line(inside, 20))])


class Layers:
    """Says of each stream once through what its messages came."""

    def __init__(self) -> None:
        self._told: set[tuple[int, tuple[str, ...]]] = set()

    def news(self, stream: int, via: tuple[str, ...], inside: str) -> str:
        """The layers, where they were not told yet of this stream; else ""."""
        if len(via) < 2 or (stream, via) in self._told:
            return ""
        if len(self._told) >= limits.STREAMS_MAX:
            self._told.clear()
        self._told.add((stream, via))
        return layers_of(via, inside)
