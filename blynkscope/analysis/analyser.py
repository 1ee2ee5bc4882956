"""Events in, records out: the one analysis behind every source and every output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from blynkscope.analysis.conversation import Conversation
from blynkscope.analysis.records import Record, SummaryRecord
from blynkscope.analysis.rules import make_rules
from blynkscope.analysis.run import Run
from blynkscope.protocol.model import Dialect, Era
from blynkscope.wire.events import Acked, Closed, Data, Event, Gap, Opened, Overlap


class Analyser:
    """The analysis of one run over any number of sources.

    Args:
        dialect: Read every stream in this dialect, instead of finding out.
        era: Take codes that differ between the eras in this meaning; None prefers Blynk IoT.
    """

    def __init__(self, dialect: Dialect | None = None, era: Era | None = None) -> None:
        self.run = Run(dialect, era)
        self._streams: dict[int, Conversation] = {}
        self._rules = make_rules(self.run)
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
                find(event.stream + first).data(event.direction, event.time, event.data)  # type: ignore[union-attr]
            elif kind is Acked:
                find(event.stream + first).pins.delivered(event.direction, event.upto, event.time)  # type: ignore[union-attr]
            else:
                self._other(event, first)
        return self.take()

    def _other(self, event: Event, first: int) -> None:
        number = event.stream + first
        if isinstance(event, Opened):
            self._count += 1
            if first:
                event = _renumbered(event, number)
            self._streams[number] = Conversation(self.run, event, self._rules)
        elif isinstance(event, Closed):
            self._streams.pop(number).close(event)
        elif isinstance(event, Gap):
            self._streams[number].gap(event)
        elif isinstance(event, Overlap):
            self._streams[number].overlap(event)

    def next_source(self) -> None:
        """A further source follows, whose streams are numbered from 1 again; in the records they go on."""
        self._first = self._count

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
