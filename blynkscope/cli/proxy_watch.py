"""What the proxy's tap does with what it is shown: a thread of its own analyses, prints and records it.

The event loop that relays only puts what it hears into a queue. Whatever takes time behind it (the analysis, a reader
of the output that is slow, a disk) takes none of the relay's. Where it takes too long, bytes are skipped and counted.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, Record, StreamRecord
from blynkscope.export.streaming import DEVICE_LEG, UPSTREAM_LEG, StreamingRecorder
from blynkscope.proxy.reaching import address_text
from blynkscope.wire.events import CLIENT, SERVER, Acked, Closed, Data, Event, Gap, Opened, Told

TICK = 0.05
"""Seconds that what passes waits for more, so that it is worth waking a thread: nobody sees them."""
QUEUE_MAX = 32 * 1024 * 1024
"""Bytes, with what their keeping costs, that wait for the analysis: a second of a fast network."""
RECORDED_MAX = 4
"""So many times that much waits for a recording: behind the first of it is no analysis, which makes room quickly."""
UNSENT_MAX = 1024 * 1024
"""Bytes of a device that are kept until they are sent on, to know how far they were sent unchanged."""
_ITEM_COST = 256
"""Bytes that keeping an item takes beside its data."""
_OWN_MAX = 64
"""Injected frames of a connection that may be on their way."""
_BATCH_BYTES = 256 * 1024
_BATCH_ITEMS = 2048
"""What is analysed at once, so that lines appear steadily."""
FAILURES_MAX = 10
"""Connections on which the analysis may fail before it is given up."""
REFUSALS_TOLD = 20
"""Refused clients that are told one by one: a port scan has thousands."""
OVERLOAD = "proxy overload"
FAILED = "tls"
"""What the proxy tells of a device leg whose handshake failed."""
COLLECT_AFTER = 500
"""Closed connections, or as many as are open where that is more, behind which memory is collected. What is left of one
is some 10 KiB in cycles, and the collector by itself, which is told to come seldom, would not come for days."""
QUIT = "quit"
"""How connections ended that were open when the proxy was: no input has ended there."""
_OPEN, _DATA, _SENT, _CLOSE, _TOLD, _SKIPPED, _CALL, _OWN = range(8)

Address = tuple[str, int]


class Watch:
    """A tap. Its methods of that name are called by the event loop; all else happens in the thread.

    The analysis judges the conversation as the device has it: what the device sent, and what was sent to it. That is
    what both sides say themselves unless rules or a person edit it.

    Args:
        analyser: The analysis.
        show: Takes its records to the outputs. What it raises ends the watch: see `broken`.
        recorder: Records both legs.
        edits: Frames may be edited in passing.
        alert: Tells a person something; may be called from the thread.
    """

    def __init__(
        self,
        analyser: Analyser,
        show: Callable[[list[Record]], None],
        *,
        recorder: StreamingRecorder | None = None,
        edits: bool = False,
        alert: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._analyser = analyser
        self._show = show
        self._recorder = recorder
        self._edits = edits
        self._alert = alert
        self.wants_sent = True
        self.on_broken: Callable[[], None] = lambda: None
        """Called by the thread where the output cannot be written any more."""
        self.broken: BaseException | None = None
        """What the output failed with."""
        self.unheard = 0
        """Bytes that nobody analysed or recorded, as it went too fast."""
        self.unjudged = 0
        """Bytes that nobody analysed, but that were recorded."""
        self._items: deque[tuple[Any, ...]] = deque()
        self._in = self._out = 0
        self._queue_max = QUEUE_MAX * (1 if recorder is None else RECORDED_MAX)
        self._sent_counts = edits or recorder is not None
        self._slow = threading.Lock()
        # Of the event loop: connections that the thread was told of, and bytes of each that it was not.
        self._open: set[int] = set()
        self._missing: dict[tuple[int, int, int], int] = {}
        self._own: dict[int, deque[bytes]] = {}
        # Of the thread: bytes of each direction so far.
        self._heard: dict[tuple[int, int], int] = {}
        self._sent: dict[tuple[int, int], int] = {}
        self._unsent: dict[int, bytearray | None] = {}
        self._unjudged: dict[tuple[int, int], int] = {}
        self._behind = False
        self._secure: dict[int, str] = {}
        self._failures = 0
        self._fed = 0
        self._spoilt: set[int] = set()
        self._refusals = 0
        self._stumbled = False
        self._gone = 0
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="analysis", daemon=True)

    # --- the event loop ---

    def opened(self, connection: int, time: float, client: Address, server: Address, secure: str | None) -> None:
        """See `proxy.Tap`."""
        if self._in - self._out > 2 * self._queue_max:
            return  # nothing is told of this connection
        self._open.add(connection)
        self._put((_OPEN, connection, time, client, server, secure), 0)

    def data(self, connection: int, direction: int, time: float, data: bytes) -> None:
        """See `proxy.Tap`."""
        self._bytes(_DATA, connection, direction, time, data)

    def sent(self, connection: int, direction: int, time: float, data: bytes) -> None:
        """See `proxy.Tap`."""
        if self._own and direction == CLIENT and (own := self._own.get(connection)) and own[0] == data:
            own.popleft()
            self._put((_OWN, connection, direction, time, data), len(data))
            return
        self._bytes(_SENT, connection, direction, time, data)

    def closed(self, connection: int, time: float, how: str, by: int | None) -> None:
        """See `proxy.Tap`."""
        if connection in self._open:
            self._open.discard(connection)
            self._own.pop(connection, None)
            if self._missing:
                for kind, number, direction in [key for key in self._missing if key[1] == connection]:
                    missing = self._missing.pop((kind, number, direction))
                    self._put((_SKIPPED, connection, direction, time, kind, missing), 0)
            self._put((_CLOSE, connection, time, how, by), 0)

    def told(self, connection: int, direction: int | None, time: float, kind: str, detail: dict[str, object]) -> None:
        """See `proxy.Tap`."""
        if (connection in self._open or not connection) and self._in - self._out <= self._queue_max:
            self._put((_TOLD, connection, direction, time, kind, detail), 0)

    def injected(self, connection: int, direction: int, time: float, data: bytes, detail: dict[str, object]) -> None:
        """A person has put these bytes between others, which will be told of as sent."""
        if connection in self._open and direction == CLIENT:
            self._own.setdefault(connection, deque(maxlen=_OWN_MAX)).append(data)
        self.told(connection, direction, time, "proxy-rule", detail)

    def call(self, function: Callable[[], None]) -> None:
        """Let the thread call this, behind everything that was told until now."""
        self._put((_CALL, function), 0)

    def _bytes(self, kind: int, connection: int, direction: int, time: float, data: bytes) -> None:
        if connection not in self._open:
            self.unheard += len(data) if kind == _DATA else 0
            return
        key, waiting = (kind, connection, direction), self._in - self._out
        if waiting > self._queue_max or (self._missing and waiting > self._queue_max // 2):
            self._overloaded()
            self._missing[key] = self._missing.get(key, 0) + len(data)
            self.unheard += len(data) if kind == _DATA else 0
            return
        if self._missing and (missing := self._missing.pop(key, 0)):
            self._put((_SKIPPED, connection, direction, time, kind, missing), 0)
        # What is only counted is the very object that was received: keeping it costs nothing.
        self._put((kind, connection, direction, time, data), len(data) if kind == _DATA or self._sent_counts else 0)

    def _overloaded(self) -> None:
        """Tell it, once; the loop and the thread may both find it."""
        if self._slow.acquire(blocking=False):
            what = "what is shown" if self._recorder is None else "what is shown, and later in what is recorded"
            self._tell(f"the analysis cannot keep up: bytes are skipped in {what}, and are counted; the relay goes on")

    def _put(self, item: tuple[Any, ...], size: int) -> None:
        self._in += size + _ITEM_COST
        self._items.append(item)
        if not self._wake.is_set():
            self._wake.set()

    # --- its life ---

    def start(self) -> None:
        """Begin to look on."""
        self._thread.start()

    def finish(self) -> None:
        """Everything was told: wait until it is shown."""
        self._ending.set()
        self._wake.set()
        self._thread.join()

    @property
    def skipped(self) -> int:
        """Bytes that were not analysed."""
        return self.unheard + self.unjudged

    @property
    def lost(self) -> dict[str, int]:
        """What was not analysed, for the summary."""
        return {"bytes_skipped_overload": self.skipped} if self.skipped else {}

    # --- the thread ---

    def _work(self) -> None:
        while not self._ending.is_set() or self._items:
            self._wake.wait()
            if not self._ending.is_set():
                self._ending.wait(TICK)
            self._wake.clear()
            while self._items:
                self._batch()
            if self._gone >= max(COLLECT_AFTER, len(self._open)):
                self._gone = 0
                gc.collect()

    def _batch(self) -> None:
        """Take what waits, within bounds. A mistake in here costs what was taken, and not the thread."""
        before = self._out
        taken: list[int] = [0, 0]
        try:
            self._drain(taken)
        except Exception as error:
            if not self._stumbled:
                self._stumbled = True
                self._tell(f"something was not shown or recorded ({type(error).__name__}); the relay goes on")
        # What is not taken yet keeps counting, so that the queue is never thought shorter than it is.
        self._out = before + taken[0] * _ITEM_COST + taken[1]

    def _drain(self, taken: list[int]) -> None:
        events: list[Event] = []
        closed: list[tuple[Any, ...]] = []
        while self._items and taken[0] < _BATCH_ITEMS and taken[1] < _BATCH_BYTES:
            item = self._items.popleft()
            taken[0] += 1
            if item[0] in {_DATA, _SENT, _OWN}:
                taken[1] += len(item[4]) if item[0] != _SENT or self._sent_counts else 0
            if item[0] == _CALL:
                self._analyse(events, closed)
                closed = []
                item[1]()
                continue
            self._take(item, events, closed)
        self._analyse(events, closed)

    def _take(
        self,
        item: tuple[Any, ...],
        events: list[Event],
        closed: list[tuple[Any, ...]],
    ) -> None:
        """An item as events, and as packets of the recording."""
        kind, connection = item[:2]
        if kind in {_DATA, _SENT, _OWN}:
            _, _, direction, time, data = item
            # What a side sent is on its own leg; what was sent on is on the other one.
            own = DEVICE_LEG if direction == CLIENT else UPSTREAM_LEG
            self._record("data", connection, own if kind == _DATA else 1 - own, direction, time, data)
            if self._judged(kind, direction):
                self._hear(connection, direction, time, data, events)
            if kind == _SENT:
                self._pass_on(connection, direction, time, data, events)
        elif kind == _OPEN:
            _, _, time, client, server, secure = item
            if secure:
                self._secure[connection] = secure
            names = address_text(client), address_text(server)
            via = ("tcp", secure) if secure else ("tcp",)
            events.append(Opened(connection, time, *names, client[1], server[1], True, via))
            self._record("opened", connection, time, *names)
        elif kind == _CLOSE:
            _, _, time, how, by = item
            for direction in (CLIENT, SERVER):
                self._tell_gap(connection, direction, time, events)
                self._heard.pop((connection, direction), None)
                self._sent.pop((connection, direction), None)
            # Behind an edit nobody knows how far the device's bytes got: then none of them are called lost.
            followed = self._unsent.pop(connection, b"") is not None
            events.append(Closed(connection, time, QUIT if how == "end" else how, by, (True, True), followed))
            self._secure.pop(connection, None)
            self._gone += 1
            closed.append(item)
        elif kind == _SKIPPED:
            _, _, direction, time, what, missing = item
            own = DEVICE_LEG if direction == CLIENT else UPSTREAM_LEG
            self._record("missing", connection, own if what == _DATA else 1 - own, direction, missing, OVERLOAD)
            if self._judged(what, direction):
                self._skip(connection, direction, missing)
            if what == _SENT:
                self._sent[connection, direction] = self._sent.get((connection, direction), 0) + missing
        elif connection:
            _, _, direction, time, fact, detail = item
            events.append(Told(connection, direction, time, fact, self._explained(connection, fact, detail)))
        else:
            self._refusal(item[4], item[5])

    def _hear(self, connection: int, direction: int, time: float, data: bytes, events: list[Event]) -> None:
        """Bytes for the analysis, unless too much waits behind them."""
        waiting = self._in - self._out
        self._behind = waiting > (QUEUE_MAX // 2 if self._behind else QUEUE_MAX)
        if self._behind and self._recorder is not None:
            self._overloaded()
            self.unjudged += len(data)
            self._skip(connection, direction, len(data))
            return
        self._tell_gap(connection, direction, time, events)
        key = connection, direction
        self._heard[key] = self._heard.get(key, 0) + len(data)
        events.append(Data(connection, direction, time, data))
        if self._edits and direction == CLIENT:
            unsent = self._unsent.setdefault(connection, bytearray())
            if unsent is not None:
                unsent += data
                if len(unsent) > UNSENT_MAX:
                    self._unsent[connection] = None

    def _skip(self, connection: int, direction: int, size: int) -> None:
        """So many bytes are not analysed."""
        key = connection, direction
        self._unjudged[key] = self._unjudged.get(key, 0) + size
        self._heard[key] = self._heard.get(key, 0) + size
        if self._edits and direction == CLIENT:
            self._unsent[connection] = None

    def _tell_gap(self, connection: int, direction: int, time: float, events: list[Event]) -> None:
        if self._unjudged and (missing := self._unjudged.pop((connection, direction), 0)):
            events.append(Gap(connection, direction, time, missing, OVERLOAD))

    def _pass_on(self, connection: int, direction: int, time: float, data: bytes, events: list[Event]) -> None:
        """Bytes were sent on: so far, what was heard has left the proxy.

        Where frames are edited, that is known as long as what a device said goes on as it was, from its beginning.
        """
        key = connection, direction
        size = len(data)
        if self._edits and direction == CLIENT:
            unsent = self._unsent.get(connection)
            if unsent is None:
                return
            if not unsent.startswith(data):
                self._unsent[connection] = None
                pairs = enumerate(zip(unsent, data, strict=False))
                size = next((at for at, (heard, sent) in pairs if heard != sent), len(unsent))
                if not size:
                    return
            else:
                del unsent[:size]
        sent = self._sent[key] = self._sent.get(key, 0) + size
        if key not in self._unjudged:
            events.append(Acked(connection, direction, time, min(sent, self._heard.get(key, 0))))

    def _explained(self, connection: int, fact: str, detail: dict[str, Any]) -> dict[str, Any]:
        """A fact of TLS with what the proxy knows beside it, and without what it tells itself behind it."""
        if fact == "tls-client-hello":
            secure = self._secure.get(connection, "")
            return {**detail, "agreed": secure.replace("tls", "TLS ") if secure != FAILED else ""}
        if fact == "tls-alert":
            return {name: value for name, value in detail.items() if name != "cause"}
        return detail

    def _judged(self, kind: int, direction: int) -> bool:
        """Is this the copy that the analysis gets?"""
        return kind == (_SENT if self._edits and direction == SERVER else _DATA)

    def _analyse(self, events: list[Event], closed: list[tuple[Any, ...]]) -> None:
        """Feed what was collected, show what comes of it, and end the recording of what was closed."""
        records: list[Record] = []
        waiting = iter(events)
        while self._failures < FAILURES_MAX:
            try:
                records += self._analyser.feed(self._sound(waiting))
                break
            except Exception as error:
                self._failed(error)
        events.clear()
        self.record(records)
        for _, connection, time, how, by in closed:
            self._record("closed", connection, time, how, by)
        if self._recorder is not None and self._recorder.failed is not None:
            self._tell(f"the recording ended: {self._recorder.failed}")
            self._recorder = None
        if records:
            try:
                self._show(records)
            except BaseException as error:
                if self.broken is None:
                    self.broken = error
                    self.on_broken()

    def _record(self, what: str, *arguments: Any) -> None:
        """Something for the recorder. A mistake in it ends the recording alone."""
        if self._recorder is not None:
            try:
                getattr(self._recorder, what)(*arguments)
            except Exception as error:
                self._recorder = None
                self._tell(f"the recording failed ({type(error).__name__}) and ended; the relay goes on")

    def record(self, records: list[Record]) -> None:
        """What the records say about connections becomes comments of the recording."""
        if self._recorder is None:
            return
        from blynkscope.render.notices import said

        for record in records:
            if isinstance(record, FindingRecord):
                self._record("note", record.stream, f"{record.id} {record.title}")
            elif isinstance(record, StreamRecord) and record.kind == "proxy":
                self._record("note", record.stream, said(record).text)

    def _sound(self, events: Iterator[Event]) -> Iterator[Event]:
        """The events of connections on which the analysis did not fail yet."""
        for event in events:
            self._fed = getattr(event, "stream", 0)
            if self._fed not in self._spoilt:
                yield event

    def _tell(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody may be there any more
            self._alert(text)

    def _failed(self, error: Exception) -> None:
        # Its text may hold what was on the wire.
        self._failures += 1
        self._spoilt.add(self._fed)
        self._tell(
            f"the analysis of connection {self._fed} failed ({type(error).__name__}) and is given up; the relay goes "
            "on. Please report this."
        )
        if self._failures >= FAILURES_MAX:
            self._tell("the analysis failed too often and is given up; the relay goes on")

    def _refusal(self, kind: str, detail: dict[str, Any]) -> None:
        """A client that the proxy did not take belongs to no stream."""
        from blynkscope.render.proxied import refusal

        self._refusals += 1
        if self._refusals <= REFUSALS_TOLD:
            self._tell(refusal(kind, detail))
            if self._refusals == REFUSALS_TOLD:
                self._tell("further refused clients are counted only")
