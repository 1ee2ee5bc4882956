"""How many messages a device may send: a moving average, as the legacy server keeps it.

The average is taken once a second and forgets within a minute. So a burst passes before the first second is over, and
after a flood a device stays over its quota for long.
"""

from __future__ import annotations

from math import exp

from blynkscope.protocol.model import Era

LEGACY_QUOTA = 100.0
"""Messages a second of a device on the legacy server, measured."""
IOT_QUOTA = 50.0
"""Blynk IoT publishes 50 a second; older texts give 10 to 20."""
WARNING_SECONDS = 60.0
"""The legacy server says that the quota is reached once in this time, measured."""

_INTERVAL = 1.0
"""Seconds between two looks at the rate."""
_KEPT = exp(-_INTERVAL / 60.0)
"""What is left of the average after one interval; an average over a minute."""
_FORGOTTEN = 3600
"""Intervals of silence after which nothing is left of any average."""


def limit_of(era: Era, wanted: float | None) -> float:
    """Messages a second that are allowed; 0 for no limit."""
    if wanted is not None:
        return wanted
    return LEGACY_QUOTA if era is Era.LEGACY else IOT_QUOTA


class Quota:
    """The messages of one connection, against a limit.

    Args:
        limit: Messages a second on average.
        time: When the connection was made.
    """

    __slots__ = ("_counted", "_limit", "_next", "_rate", "_warned")

    def __init__(self, limit: float, time: float) -> None:
        self._limit = limit
        self._counted = 0
        self._rate: float | None = None
        self._next = time + _INTERVAL
        self._warned: float | None = None

    def exceeded(self, time: float) -> bool:
        """Counts one message that came now, and tells whether it is too much."""
        if time >= self._next:
            self._look(time)
        self._counted += 1
        return self._rate is not None and self._rate > self._limit

    def stands(self, time: float) -> bool:
        """Whether the next message would be too much; nothing is counted."""
        if time >= self._next:
            self._look(time)
        return self._rate is not None and self._rate > self._limit

    def warns(self, time: float) -> bool:
        """Whether the client is to be told now."""
        if self._warned is not None and time - self._warned < WARNING_SECONDS:
            return False
        self._warned = time
        return True

    def _look(self, time: float) -> None:
        passed = 1 + int((time - self._next) / _INTERVAL)
        rate = self._counted / _INTERVAL
        self._rate = rate if self._rate is None else rate + (self._rate - rate) * _KEPT
        # Then came intervals without a message.
        self._rate *= _KEPT ** min(passed - 1, _FORGOTTEN)
        self._counted = 0
        self._next += passed * _INTERVAL
