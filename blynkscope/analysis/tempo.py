"""How fast and how regularly: message rates, silences, heartbeats and round trips of a stream. All of it bounded."""

from __future__ import annotations

import math
from typing import Any

BUCKETS = 120
"""Points of a rate over time. When a stream grows past them, two become one and each covers twice the time."""
SECONDS_KEPT = 64
"""Seconds that are counted one by one before the older ones go to the points of the rate over time."""
SAMPLES = 128
"""Round trips of one command that percentiles are taken from; of more, every second one is kept, then every fourth."""


class Tempo:
    """The messages of one direction in time.

    Attributes:
        first, last: Times of the first and the last one.
        longest: The longest silence between two messages in seconds; `longest_end` is when it ended.
    """

    __slots__ = ("_buckets", "_peak", "_seconds", "_untimed", "bucket", "first", "last", "longest", "longest_end")

    def __init__(self) -> None:
        self._untimed = 0
        self.first: float | None = None
        self.last = 0.0
        self.longest = 0.0
        self.longest_end = 0.0
        self.bucket = 1
        """Seconds that one point of the rate over time covers."""
        self._seconds: dict[int, int] = {}
        """Messages by second since the first one; the oldest go to the buckets when there are many."""
        self._buckets: list[int] = []
        self._peak = (0, 0)
        """Most messages in one of the seconds that went to the buckets, and which one."""

    def take(self, count: int, time: float | None) -> None:
        """So many messages at this time."""
        if time is None:
            self._untimed += count
            return
        first = self.first
        if first is None:
            first = self.first = self.last = time
        silence = time - self.last
        if silence > self.longest:
            self.longest, self.longest_end = silence, time
        self.last = time
        seconds, second = self._seconds, int(time - first)
        try:
            seconds[second] += count
        except KeyError:
            seconds[second] = count
            if len(seconds) > SECONDS_KEPT:
                self._settle()

    def _settle(self) -> None:
        """The seconds go to the buckets, all but the last one, which is still being counted."""
        seconds, buckets = self._seconds, self._buckets
        last = max(seconds)
        for second, count in sorted(seconds.items()):
            if second == last:
                continue
            if count > self._peak[0]:
                self._peak = count, second
            place = second // self.bucket if second > 0 else 0
            if place < len(buckets):
                buckets[place] += count
            elif place == len(buckets) < BUCKETS:
                buckets.append(count)
            else:
                buckets, self.bucket = _put(buckets, self.bucket, max(second, 0), count)
        self._buckets = buckets
        self._seconds = {last: seconds[last]}

    @property
    def count(self) -> int:
        """Messages."""
        return sum(self._buckets) + sum(self._seconds.values()) + self._untimed

    @property
    def peak(self) -> int:
        """Most messages in one second (of the clock that began with the first one)."""
        return max(self._peak[0], max(self._seconds.values(), default=0))

    @property
    def peak_at(self) -> float | None:
        """When that second began."""
        if self.first is None:
            return None
        second, count = max(self._seconds.items(), key=lambda entry: entry[1], default=(0, 0))
        return self.first + (self._peak[1] if self._peak[0] >= count else second)

    @property
    def mean(self) -> float | None:
        """Messages per second from the first to the last one; None for less than a second."""
        if self.first is None or self.last - self.first < 1.0:
            return None
        return self.count / (self.last - self.first)

    def summary(self) -> dict[str, Any]:
        """Mean and peak rate, and the counts per bucket."""
        mean = self.mean
        if self._seconds:
            self._settle()
        counts = list(self._buckets)
        bucket = self.bucket
        for second, count in self._seconds.items():  # the last one alone
            counts, bucket = _put(counts, bucket, max(second, 0), count)
        return {
            "mean": round(mean, 3) if mean is not None else None,
            "peak": self.peak,
            "per_second": counts or [0],
            "bucket": bucket,
        }


def _put(counts: list[int], width: int, second: int, count: int) -> tuple[list[int], int]:
    """Add to the bucket of a second; where the buckets do not reach so far, two become one first."""
    while second // width >= BUCKETS:
        if len(counts) % 2:
            counts.append(0)
        counts = [one + two for one, two in zip(counts[::2], counts[1::2], strict=True)]
        width *= 2
    place = second // width
    counts += [0] * (place + 1 - len(counts))
    counts[place] += count
    return counts, width


class Latency:
    """The round trips of one command, in milliseconds."""

    __slots__ = ("_samples", "_step", "count", "longest")

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0
        self._samples: list[float] = []
        self._step = 1

    def take(self, milliseconds: float) -> None:
        """One round trip."""
        if self.count % self._step == 0:
            self._samples.append(milliseconds)
            if len(self._samples) > SAMPLES:
                self._samples = self._samples[::2]
                self._step *= 2
        self.count += 1
        self.longest = max(self.longest, milliseconds)

    def summary(self) -> dict[str, Any]:
        """Count, median, 95th percentile (nearest rank) and the longest."""
        ordered = sorted(self._samples)
        return {
            "count": self.count,
            "p50": _rank(ordered, 0.50),
            "p95": _rank(ordered, 0.95),
            "max": self.longest,
        }


class Heartbeat:
    """The pings of a device, against what it announced."""

    __slots__ = ("_last", "_mean", "_squares", "announced", "gaps", "pings")

    def __init__(self) -> None:
        self.announced: float | None = None
        """Seconds, from INTERNAL `h-beat`."""
        self.pings = 0
        self.gaps = 0
        self._last: float | None = None
        self._mean = 0.0
        self._squares = 0.0

    def ping(self, time: float | None) -> None:
        """The device pinged."""
        self.pings += 1
        if time is None:
            return
        if self._last is not None:
            self.gaps += 1
            gap = time - self._last
            before = gap - self._mean
            self._mean += before / self.gaps
            self._squares += before * (gap - self._mean)
        self._last = time

    @property
    def observed(self) -> float | None:
        """Mean seconds between two pings; None where fewer than two were seen."""
        return self._mean if self.gaps else None

    @property
    def jitter(self) -> float | None:
        """Standard deviation of the seconds between pings."""
        return math.sqrt(max(self._squares / self.gaps, 0.0)) if self.gaps > 1 else None


def _rank(ordered: list[float], share: float) -> float | None:
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None
