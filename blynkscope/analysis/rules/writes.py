"""BS301: virtual writes without proof of arrival."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from blynkscope.analysis.pins import BAD, LADDER, Pin, pin_name
from blynkscope.protocol import limits

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.records import FindingRecord
    from blynkscope.analysis.run import Run

PINS_NAMED = 12
"""Pins that the detail names; further ones are counted."""


def strongest(pin: Pin) -> str:
    """How far the writes of a pin got: the counts by state, strongest proof first."""
    order = (*reversed(LADDER), *BAD)
    return ", ".join(f"{pin.states[state]} {state}" for state in order if pin.states.get(state))


class UnacknowledgedWrites:
    """BS301: when a stream is over, its writes that were not confirmed, pin by pin."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def answered(
        self, stream: Conversation, request: Request, status: int, n: int, time: float | None
    ) -> FindingRecord | None:
        """See `StreamRule`."""
        return None

    def ended(self, stream: Conversation) -> FindingRecord | None:
        """See `StreamRule`."""
        pins = {key: pin for key, pin in stream.pins.pins.items() if sum(pin.states.values())}
        if not pins:
            return None
        count = sum(sum(pin.states.values()) for pin in pins.values())
        named = [f"{pin_name(key)}: {strongest(pin)}" for key, pin in islice(pins.items(), PINS_NAMED)]
        if len(pins) > PINS_NAMED:
            named.append(f"and {len(pins) - PINS_NAMED} more pins")
        frames = sorted(chain.from_iterable(pin.frames for pin in pins.values()))[: limits.PROVING_FRAMES_MAX]
        return self._run.finding("BS301", stream=stream.number, frames=frames, count=count, detail="; ".join(named))
