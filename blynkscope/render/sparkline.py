"""Numbers over time as one line of bars."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(counts: Sequence[float], room: int) -> tuple[str, int]:
    """The bars, and how many of the numbers each of them stands for.

    The lowest bar means nothing at all: whatever is above zero can be seen. A bar that stands for several numbers has
    their sum, so that the picture keeps its shape.

    Args:
        counts: Not negative.
        room: Columns, at least 1; the line takes no more.
    """
    if not counts:
        return "", 1
    step = -(-len(counts) // max(room, 1))
    sums = [sum(counts[at : at + step]) for at in range(0, len(counts), step)]
    highest = max(sums)
    steps = len(_BARS) - 1
    return "".join(_BARS[0] if one <= 0 else _BARS[max(round(steps * one / highest), 1)] for one in sums), step
