"""Live interfaces: one source, whatever captures for it.

The packets of all ways of sniffing go the way that those of captures go. Nothing in here knows what a packet holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from blynkscope.errors import EnvironmentProblem
from blynkscope.sources.capture import Damage
from blynkscope.sources.fused import read_batch
from blynkscope.sources.live.interfaces import NetworkInterface, interfaces
from blynkscope.sources.live.model import (
    ANY,
    BUFFER_MIB,
    QUIET,
    SNAPLEN,
    Backend,
    Chunk,
    Counts,
    LiveUsageError,
    NoBackendError,
    NoInterfaceError,
    Stamp,
    Wanted,
    distinct,
)
from blynkscope.sources.live.recorder import KEEP, ROTATE_LEAST, Recorder, Target, seconds_of, size_of
from blynkscope.sources.packets import LINK_TYPES, PacketReader
from blynkscope.wire.events import Event

__all__ = [
    "ANY", "BACKENDS", "BUFFER_MIB", "KEEP", "ROTATE_LEAST", "SNAPLEN", "Backend", "Chunk", "Counts", "LiveSource",
    "LiveUsageError", "NetworkInterface", "NoBackendError", "NoInterfaceError", "Recorder", "Stamp", "Target", "Wanted",
    "distinct", "interfaces", "open_backend", "seconds_of", "size_of",
]  # fmt: skip

TICK = 0.1
"""Seconds that packets wait at most before they are read, and after which an idle source looks at the clock."""
DRAIN_MAX = 10.0
"""Seconds for packets that came before the end and were not read yet: nobody waits longer for an end. As long again may
be taken to count those that are left, which goes ten times as fast."""


class LiveSource:
    """The events of a live capture, in batches: iterate over it once; `stop` ends it.

    Packets that the network saw before the end was asked for are read to the last, those behind it are left out. So
    what was sent until then was either seen, or is told in `lost`.

    Args:
        backend: What captures.
        duration: Seconds to capture; None for no end.
        recorder: Writes what comes.
        clock: A clock that never goes back, for the duration and for waiting.
        now: The clock that packets are stamped by.
    """

    size: int | None = None
    damage: Damage | None = None

    def __init__(
        self,
        backend: Backend,
        *,
        duration: float | None = None,
        recorder: Recorder | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = ", ".join(backend.interfaces)
        self.backend = backend.name
        """What captures."""
        self.on_read: Callable[[int], None] | None = None
        self.packets = 0
        self.broken: str | None = None
        """Why the capture ended by itself."""
        self.unrecorded = False
        """True once it was told that packets could not be written."""
        self._backend = backend
        self._recorder = recorder
        self._reader = PacketReader()
        self._clock, self._now = clock, now
        self._deadline = clock() + duration if duration is not None else None
        self._last: float | None = None
        """When the end was asked for, by the clock of the packets."""
        self._counts: Counts | None = None
        self._closed = False
        self._unread = 0
        self._look = 0.0

    def stop(self) -> None:
        """Come to an end with what has been sent so far. It may be called at any moment, by a signal handler too."""
        if self._last is None:
            self._last = self._now()

    def abandon(self) -> None:
        """The process ends now; a signal handler may call it."""
        self._backend.abandon()

    def alerts(self) -> list[str]:
        """What a person should know at once; each is told once."""
        failed = self._recorder.failed if self._recorder is not None else None
        if failed is None or self.unrecorded:
            return []
        self.unrecorded = True
        return [f"Error: no more packets are written: {failed}"]

    def close(self) -> None:
        """Capture no more; `lost` is final then."""
        if self._closed:
            return
        self._closed = True
        self._backend.close()
        self._counts = self._backend.counts()
        if self._recorder is not None:
            self._recorder.finish(self._counts)

    @property
    def lost(self) -> dict[str, int]:
        """What was dropped or could not be used, counted by reason; reasons without a case are left out."""
        dropped = self._counts or Counts()
        counts = {
            "packets_dropped_kernel": dropped.kernel,
            "packets_dropped_interface": dropped.interface,
            "packets_dropped_queue": dropped.queue,
            "packets_unread": self._unread,
            **self._reader.lost,
        }
        return {reason: count for reason, count in counts.items() if count}

    @property
    def notes(self) -> list[str]:
        """What a person should know about the capture, for stderr."""
        notes = []
        counts, name = self._counts, self.name
        if counts is not None:
            parts = [
                f"{number} {where}"
                for number, where in (
                    (counts.kernel, "by the kernel (a larger --buffer helps with bursts)"),
                    (counts.interface, "by the network adapter"),
                    (counts.queue, "by the capturing program"),
                    (self._unread, "because they still waited at the end"),
                )
                if number
            ]
            why = f": {', '.join(parts)}" if parts else ""
            notes.append(f"{name}: {self.packets} packets captured, {counts.lost + self._unread} dropped{why}")
        elif self._closed:
            lacking = f"{self._backend.name} did not tell how many were dropped"
            notes.append(f"{name}: {self.packets} packets captured; {lacking}")
        for link, count in self._reader.unused.unknown_link.items():
            known = ", ".join(sorted(set(LINK_TYPES.values())))
            notes.append(f"{name}: {count} packets of link type {link}, which is not known (known: {known})")
        if self._reader.unused.encrypted:
            notes.append(f"{name}: {self._reader.unused.encrypted} encrypted 802.11 frames were passed over")
        if self.broken is not None:
            notes.append(f"Error: {name}: the capture ended: {self.broken}")
        return notes + self.alerts()

    def __iter__(self) -> Iterator[list[Event]]:
        """Batches of events. One may be empty: it comes when there was nothing for a while."""
        reader, backend = self._reader, self._backend
        try:
            while self._last is None:
                wait = TICK
                if self._deadline is not None:
                    wait = min(TICK, self._deadline - self._clock())
                    if wait <= 0:
                        self.stop()
                        break
                chunks = backend.read(wait)
                if chunks:
                    self._take(chunks)
                    # By the clock of the packets: those that are missing may only wait to be read.
                    newest = chunks[-1].packets
                    self._look_around(newest[-1][0] if newest else 0.0)
                elif backend.ended is not None:
                    self.broken = backend.ended
                    break
                else:
                    self._look_around(self._now())
                yield self._batch()
            yield from self._rest()
        finally:
            self.close()
        reader.finish()
        yield self._batch()

    def _rest(self) -> Iterator[list[Event]]:
        """What came before the end and was not read yet. Where there is too much of it, the rest is only counted."""
        last = self._last
        begin = quiet = self._clock()
        beyond: set[int] = set()
        """Interfaces that have come to packets behind the end; they are read independently of each other."""
        while last is not None and self.broken is None and (waited := self._clock() - begin) < 2 * DRAIN_MAX:
            chunks = self._backend.read(TICK)
            if chunks:
                quiet = self._clock()
                early = [_until(chunk, last, beyond) for chunk in chunks]
                if waited < DRAIN_MAX:
                    self._take(early)
                    yield self._batch()
                else:
                    self._unread += sum(len(chunk.packets) for chunk in early)
                    self._record(early)
                if len(beyond) >= len(self._backend.interfaces):
                    return
            elif self._backend.ended is not None or self._clock() - quiet >= QUIET:
                return

    def _take(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            read_batch(self._reader, chunk.buffer, chunk.packets)
            self.packets += len(chunk.packets)
        self._record(chunks)
        if self.on_read is not None:
            self.on_read(self.packets)

    def _record(self, chunks: Sequence[Chunk]) -> None:
        if self._recorder is not None:
            for chunk in chunks:
                self._recorder.write(chunk)

    def _look_around(self, now: float) -> None:
        """Now and then: what waits for packets that do not come waits no longer, whatever else comes."""
        clock = self._clock()
        if clock < self._look:
            return
        self._look = clock + TICK
        self._reader.flows.expire(now)
        if self._recorder is not None:
            self._recorder.idle()

    def _batch(self) -> list[Event]:
        events = self._reader.events
        batch = events.copy()
        events.clear()
        return batch


def _until(chunk: Chunk, last: float, beyond: set[int]) -> Chunk:
    """The packets of a chunk up to a moment; the interfaces of those behind it go into `beyond`."""
    late = [stamp.interface for packet, stamp in zip(chunk.packets, chunk.stamps, strict=True) if packet[0] > last]
    if not late:
        return chunk
    beyond.update(late)
    kept = [place for place, packet in enumerate(chunk.packets) if packet[0] <= last]
    return Chunk(chunk.buffer, [chunk.packets[place] for place in kept], [chunk.stamps[place] for place in kept])


def _dumpcap(wanted: Wanted) -> Backend:
    from blynkscope.sources.live.dumpcap import Dumpcap

    return Dumpcap(wanted)


def _socket(wanted: Wanted) -> Backend:
    from blynkscope.sources.live.ring import Ring

    return Ring(wanted)


def _scapy(wanted: Wanted) -> Backend:
    from blynkscope.sources.live.sniffer import Sniffer

    return Sniffer(wanted)


_MAKERS: dict[str, Callable[[Wanted], Backend]] = {"dumpcap": _dumpcap, "socket": _socket, "scapy": _scapy}
BACKENDS = ("auto", *_MAKERS)
"""Names of the ways of sniffing; auto takes the first of the others that is there and allowed."""


def open_backend(wanted: Wanted, name: str = "auto") -> Backend:
    """Begin to capture.

    Raises:
        LiveUsageError: There is no such interface, or the filter does not compile.
        EnvironmentProblem: What is needed is missing, or this user may not sniff; the text says what to do.
    """
    wanted = msgspec.structs.replace(wanted, interfaces=distinct(wanted.interfaces))
    if name != "auto":
        return _MAKERS[name](wanted)
    problems: list[str] = []
    for one, make in _MAKERS.items():
        try:
            return make(wanted)
        except (EnvironmentProblem, ImportError) as error:
            problems.append(f"{one}: {error}")
    raise NoBackendError(problems)
