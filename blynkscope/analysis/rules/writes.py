"""BS301: virtual writes without proof of arrival."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from blynkscope.analysis.pins import BAD, LADDER, Pin, pin_name
from blynkscope.analysis.rule import StreamRule

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.wire.events import Closed

PINS_NAMED = 12
"""Pins that the detail names; further ones are counted."""


def strongest(pin: Pin) -> str:
    """How far the writes of a pin got: the counts by state, strongest proof first."""
    order = (*reversed(LADDER), *BAD)
    return ", ".join(f"{pin.states[state]} {state}" for state in order if pin.states.get(state))


class UnacknowledgedWrites(StreamRule):
    """BS301: when a stream is over, its writes that were not confirmed, pin by pin."""

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        pins = {key: pin for key, pin in stream.pins.pins.items() if sum(pin.states.values())}
        if not pins:
            return
        count = sum(sum(pin.states.values()) for pin in pins.values())
        named = [f"{pin_name(key)}: {strongest(pin)}" for key, pin in islice(pins.items(), PINS_NAMED)]
        if len(pins) > PINS_NAMED:
            named.append(f"and {len(pins) - PINS_NAMED} more pins")
        frames = sorted(chain.from_iterable(pin.frames for pin in pins.values()))
        self.report("BS301", stream, frames=frames, count=count, detail="; ".join(named))


RULES: tuple[type[StreamRule], ...] = (UnacknowledgedWrites,)
