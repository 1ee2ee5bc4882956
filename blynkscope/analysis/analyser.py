"""Events in, records out: the one analysis behind every source and every output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from blynkscope.analysis.conversation import Conversation
from blynkscope.analysis.records import LogRecord, Record, SummaryRecord
from blynkscope.analysis.rule import Hooks
from blynkscope.analysis.rules import make_rules
from blynkscope.analysis.run import Run
from blynkscope.protocol.model import Dialect, Era
from blynkscope.wire.events import (
    LOG_END,
    Acked,
    Closed,
    Data,
    Datagram,
    Event,
    Gap,
    Line,
    Message,
    Opened,
    Overlap,
    Secrets,
    Told,
)

if TYPE_CHECKING:
    from blynkscope.wire.keylog import KeyLog


class Analyser:
    """The analysis of one run over any number of sources.

    Args:
        dialect: Read every stream in this dialect, instead of finding out.
        era: Take codes that differ between the eras in this meaning; None prefers Blynk IoT.
        findings: False to raise no findings: frames, answers and the states of writes alone.
        keys: TLS key log that opens encrypted streams; secrets that a capture carries are added to it.
    """

    def __init__(
        self,
        dialect: Dialect | None = None,
        era: Era | None = None,
        *,
        findings: bool = True,
        keys: KeyLog | None = None,
    ) -> None:
        self.run = Run(dialect, era, keys)
        self._streams: dict[int, Conversation] = {}
        if findings:
            self.run.hooks = Hooks(make_rules(self.run))
        self._first = 0
        self._count = 0

    def feed(self, events: Iterable[Event]) -> list[Record]:
        """Take a batch of events; give the records that it makes.

        The list is the caller's; the analyser begins a new one.
        """
        first = self._first
        find = self._streams.__getitem__
        for event in events:
            kind = type(event)
            if kind is Data:
                find(event.stream + first).data(event.direction, event.time, event.data)  # type: ignore[union-attr,arg-type]
            elif kind is Acked:
                find(event.stream + first).delivered(event.direction, event.upto, event.time)  # type: ignore[union-attr,arg-type]
            else:
                self._other(event, first)
        return self.take()

    def _other(self, event: Event, first: int) -> None:
        if isinstance(event, Datagram):
            self._datagram(event)
            return
        if isinstance(event, Secrets):
            self._secrets(event)
            return
        number = event.stream + first
        if isinstance(event, Opened):
            self._count += 1
            if first:
                event = _renumbered(event, number)
            self._streams[number] = Conversation(self.run, event)
        elif isinstance(event, Closed):
            self._streams.pop(number).close(event)
        elif isinstance(event, Gap):
            self._streams[number].gap(event)
        elif isinstance(event, Told):
            self._streams[number].told(event)
        elif isinstance(event, Overlap):
            self._streams[number].overlap(event)
        elif isinstance(event, Message):
            self._streams[number].message(event)
        elif isinstance(event, Line):
            if event.stream:
                self._streams[number].line(event)
            else:
                self._line(event)

    def _line(self, event: Line) -> None:
        """A line that belongs to no connection."""
        run = self.run
        if event.kind != LOG_END:
            run.out.append(LogRecord(None, event.time, event.line, event.kind, event.text))
        for tell in run.hooks.logged:
            tell(None, event)
        run.release()

    def _datagram(self, event: Datagram) -> None:
        """DNS: which names the devices asked for, and what they were told."""
        from blynkscope.wire.dns import parse

        answer = parse(event.data)
        if answer is None:
            return
        self.run.names.learn(answer)
        for tell in self.run.hooks.looked_up:
            tell(answer, event.time, event.src, event.dst)
        self.run.release()

    def _secrets(self, event: Secrets) -> None:
        """Key log lines in the capture itself."""
        self.run.keys.add(event.data)

    def next_source(self) -> None:
        """A further source follows, whose streams are numbered from 1 again; in the records they go on."""
        self._first = self._count
        self.run.source += 1

    def finish(self, lost: dict[str, int] | None = None) -> list[Record]:
        """The run is over; gives the last records, the summary among them.

        Args:
            lost: What the sources dropped or could not read, by reason.
        """
        run = self.run
        # Where the source was interrupted, streams are still open.
        for number, stream in sorted(self._streams.items()):
            stream.close(Closed(number, None, "end", None, (True, True)))
        self._streams.clear()
        for tell in run.hooks.finished:
            tell(lost or {}, {})
        run.release()
        every = {severity: run.severities.get(severity, 0) for severity in ("note", "warning", "error")}
        total = Counter(run.lost)
        total.update(lost or {})
        run.out.append(
            SummaryRecord(run.frames, self._count, every, {key: count for key, count in total.items() if count})
        )
        return self.take()

    def take(self) -> list[Record]:
        """The records made since the last call."""
        out = self.run.out
        # The streams hold on to the list's append: it must stay the same list.
        records = out.copy()
        out.clear()
        return records


def _renumbered(event: Opened, number: int) -> Opened:
    return Opened(
        number, event.time, event.client, event.server, event.client_port, event.server_port, event.handshake, event.via
    )
