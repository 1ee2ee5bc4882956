"""Times and spans of time, as short as they are read."""

from __future__ import annotations

from collections.abc import Iterable

_LONG = 1e6
"""Seconds (eleven days) from which on a time is told in days: nobody reads them as seconds."""


def elapsed(seconds: float, room: int) -> str:
    """A time in at most `room` columns: `12.345`, or, where it is long, `+12d 01:32`; "" where nothing fits.

    Args:
        seconds: Since the beginning; of a source that has another clock they may be negative.
        room: Columns.
    """
    if abs(seconds) < _LONG:
        text = f"{seconds:.3f}"
        return text if len(text) <= room else _first_that_fits((f"{seconds:.{places}f}" for places in (2, 1, 0)), room)
    sign = "-" if seconds < 0 else "+"
    days, rest = divmod(int(abs(seconds)), 86400)
    hours, minutes = rest // 3600, rest % 3600 // 60
    forms = (f"{sign}{days}d {hours:02}:{minutes:02}", f"{sign}{days}d {hours:02}h", f"{sign}{days}d", f"{sign}∞")
    return _first_that_fits(forms, room)


def _first_that_fits(texts: Iterable[str], room: int) -> str:
    return next((text for text in texts if len(text) <= room), "")


def duration(milliseconds: float) -> str:
    """A time span in the unit that suits it."""
    if milliseconds < 1000:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds / 1000:.2f} s"
