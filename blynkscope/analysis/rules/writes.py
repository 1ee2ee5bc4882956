"""BS301: virtual writes without proof of arrival."""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from blynkscope.analysis.pins import BAD, LADDER, Tally
from blynkscope.protocol import limits

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.analyser import Run
    from blynkscope.analysis.conversation import Conversation

PINS_NAMED = 12
"""Pins that the detail names; further ones are counted."""


def strongest(tally: Tally) -> str:
    """How far the writes of a pin got: the counts by state, strongest proof first."""
    order = (*reversed(LADDER), *BAD)
    return ", ".join(f"{tally.states[state]} {state}" for state in order if tally.states[state])


class UnacknowledgedWrites:
    """BS301: when a stream is over, its writes that were not confirmed, pin by pin."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> str | None:
        """See `StreamRule`."""
        return None

    def ended(self, stream: Conversation) -> None:
        """See `StreamRule`."""
        tallies = stream.pins.tallies
        if not tallies:
            return
        count = sum(sum(tally.states.values()) for tally in tallies.values())
        named = [f"{pin}: {strongest(tally)}" for pin, tally in islice(tallies.items(), PINS_NAMED)]
        if len(tallies) > PINS_NAMED:
            named.append(f"and {len(tallies) - PINS_NAMED} more pins")
        frames = islice(merge(*(tally.frames for tally in tallies.values())), limits.PROVING_FRAMES_MAX)
        self._run.report("BS301", stream=stream.number, frames=frames, count=count, detail="; ".join(named))
