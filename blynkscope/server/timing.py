"""Who has to be looked at when: one heap for all connections, and how long a silent one is borne."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import ceil
from typing import Protocol

from blynkscope.protocol.model import Era

LOGIN_SECONDS = 15.0
"""A client that has not logged in by then is closed: the legacy server waits as long, libraries only 3 to 6 s."""
HEARTBEAT_MAX = 86_400
"""Seconds of the longest heartbeat that is believed; devices that sleep use up to some twenty minutes."""
_LEGACY_FACTOR = 2.3
_IOT_FACTOR = 1.5
_SPARE = 256
"""Entries that nobody needs any more, before the heap is swept."""


def patience(era: Era, heartbeat: float) -> float:
    """Seconds of silence after which a device with this heartbeat is given up."""
    # Multiples of 2.3 that are whole numbers must not become greater by the way floats are stored.
    return float(ceil(round(heartbeat * _LEGACY_FACTOR, 6))) if era is Era.LEGACY else heartbeat * _IOT_FACTOR


class Timed(Protocol):
    """What can be due."""

    def due(self) -> float | None:
        """When it wants to be looked at; None once it is over."""

    def expire(self, now: float) -> None:
        """It is due."""


class Timetable:
    """What is due when. A deadline that moves on costs nothing: it is found to have moved when it comes."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timed]] = []
        self._number = 0
        self._living = 0

    def __len__(self) -> int:
        return len(self._heap)

    def enter(self, timed: Timed) -> None:
        """Someone new."""
        self._living += 1
        self._push(timed)

    def sooner(self, timed: Timed) -> None:
        """A deadline has come nearer. One that moved away need not be told."""
        self._push(timed)
        self._sweep()

    def leave(self) -> None:
        """One is gone; what is left of it is swept away some time."""
        self._living -= 1
        self._sweep()

    def run(self, now: float) -> float | None:
        """Expires what is due, and gives the next time to look; None where nothing waits."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, _, timed = heappop(heap)
            due = timed.due()
            if due is None:
                continue
            if due > now:
                self._push(timed)
            else:
                timed.expire(now)
                heap = self._heap
        return heap[0][0] if heap else None

    def _push(self, timed: Timed) -> None:
        due = timed.due()
        if due is not None:
            self._number += 1
            heappush(self._heap, (due, self._number, timed))

    def _sweep(self) -> None:
        """One entry for each who is there; done so seldom that it costs nothing."""
        if len(self._heap) <= 2 * self._living + _SPARE:
            return
        nearest: dict[int, tuple[float, int, Timed]] = {}
        for entry in sorted(self._heap):
            if entry[2].due() is not None:
                nearest.setdefault(id(entry[2]), entry)
        self._heap = list(nearest.values())
        heapify(self._heap)
