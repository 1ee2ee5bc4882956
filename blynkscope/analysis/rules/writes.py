"""BS301 to BS303: virtual writes without proof of arrival, contradicted ones, and refused ones."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from blynkscope.analysis.pins import BAD, LADDER, Digest, Pin, pin_name
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules import words
from blynkscope.analysis.rules.bodies import ILLEGAL, write_problem
from blynkscope.analysis.rules.words import FRAMES_KEPT, GROUPS_MAX, failed, refusals, times
from blynkscope.protocol import limits
from blynkscope.protocol.schema import readable
from blynkscope.protocol.statuses import QUOTA_LIMIT, STATUSES

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.pins import Write
    from blynkscope.wire.events import Closed

PINS_NAMED = 12
"""Pins that the detail names; further ones are counted."""
PINS_TOLD = 64
"""Pins of one stream whose contradiction is told; where there are more, they have one cause."""


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


class Contradictions(StreamRule):
    """BS302: a sync brought back another value than was written."""

    def contradicted(self, stream: Conversation, write: Write, values: bytes | None, n: int, asked: int) -> None:
        """See `StreamRule`."""
        pins = self.of(stream)
        if write.key in pins or len(pins) >= PINS_TOLD:
            return  # the same pin again is no news
        pins[write.key] = True
        self.report(
            "BS302", stream, frames=(write.n, asked, n), count=1,
            detail=f"{pin_name(write.key)}: frame {write.n} wrote {shown(write.values)}; the sync of frame {asked} "
            f"brought back {shown(values)} (frame {n}).",
        )  # fmt: skip


class RefusedWrites(StreamRule):
    """BS303: writes that the server answered, which it does only to refuse them."""

    def write_refused(self, stream: Conversation, write: Write, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        if status == QUOTA_LIMIT or (status in ILLEGAL and write_problem(stream, write) is not None):
            return  # BS309 and BS307 tell more
        groups = self.of(stream)
        group = groups.get(status)
        if group is None:
            if len(groups) >= GROUPS_MAX:
                return
            group = groups[status] = {"count": 0, "frames": [], "pins": {}}
        group["count"] += 1
        if len(group["frames"]) < FRAMES_KEPT:
            group["frames"] += (write.n, n)
        if len(group["pins"]) < PINS_NAMED:
            group["pins"][pin_name(write.key)] = None

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if failed(stream):
            return
        for code, group in self.of(stream).items():
            row = STATUSES.get(code)
            pins = ", ".join(group["pins"])
            detail = f"{words.status(code)} {times(group['count'])}, for {pins}."
            detail += f" {row.doc}" if row else ""
            self.report(
                "BS303", stream, frames=group["frames"], count=group["count"], detail=detail,
                fix=row.fix if row and row.fix else None, severity=refusals(stream, group["count"]),
            )  # fmt: skip


def shown(values: bytes | None) -> str:
    """A write's values for people."""
    if values is None:
        return "no value"
    if isinstance(values, Digest):
        return "a long value"
    return ", ".join(repr(readable(value)) for value in values[: limits.VALUES_KEPT].split(b"\0"))


RULES: tuple[type[StreamRule], ...] = (UnacknowledgedWrites, Contradictions, RefusedWrites)
