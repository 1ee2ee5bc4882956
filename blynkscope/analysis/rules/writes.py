"""BS301 to BS303, BS322: virtual writes without proof of arrival, contradicted, refused and lost ones."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import chain, islice
from typing import TYPE_CHECKING

from blynkscope.analysis.pins import BAD, CONTRADICTED, LADDER, LOST, REJECTED, Digest, Pin, pin_name
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules import words
from blynkscope.analysis.rules.bodies import ILLEGAL, write_problem
from blynkscope.analysis.rules.words import FRAMES_KEPT, GROUPS_MAX, failed, refusals, times
from blynkscope.protocol import limits
from blynkscope.protocol.schema import readable
from blynkscope.protocol.statuses import QUOTA_LIMIT, STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.pins import Write
    from blynkscope.wire.events import Closed

PINS_NAMED = 12
"""Pins that the detail names; further ones are counted."""
PINS_TOLD = 64
"""Pins of one stream whose contradiction is told; where there are more, they have one cause."""
_NUMBER = re.compile(rb"[+-]?\d{1,32}(?:\.\d{0,32})?\Z")
"""A number as sketches and servers write it; what is longer is compared as text."""
_ADVICE = {
    REJECTED: "Correct the writes that the server refused, as their own finding (BS303, BS307 or BS309) tells.",
    CONTRADICTED: "Compare with what the server holds, as BS302 tells it.",
    LOST: "Write the lost values again after the next login (BS322).",
}
"""What to do about writes that are known not to have arrived as they were sent: a sync behind them is no help."""


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
        self.report("BS301", stream, frames=frames, count=count, detail="; ".join(named), fix=self._fix(pins.values()))

    @staticmethod
    def _fix(pins: Iterable[Pin]) -> str | None:
        """Where the end of every write is known, there is nothing to prove: what to do about those."""
        states = {state for pin in pins for state, count in pin.states.items() if count}
        if not states <= _ADVICE.keys():
            return None
        return " ".join(advice for state, advice in _ADVICE.items() if state in states)


class Contradictions(StreamRule):
    """BS302: a sync brought back another value than was written."""

    def contradicted(self, stream: Conversation, write: Write, values: bytes | None, n: int, asked: int) -> None:
        """See `StreamRule`."""
        pins = self.of(stream)
        alike = same_numbers(write.values, values)
        if (write.key, alike) in pins or len(pins) >= PINS_TOLD:
            return  # the same pin again is no news
        pins[write.key, alike] = True
        detail = (
            f"{pin_name(write.key)}: frame {write.n} wrote {shown(write.values)}; the sync of frame {asked} brought "
            f"back {shown(values)} (frame {n})"
        )
        if alike:
            self.report(
                "BS302", stream, frames=(write.n, asked, n), count=1,
                detail=f"{detail}: the same number, written otherwise; the write arrived.",
                fix="Compare what comes back as a number (param.asDouble(), float()), not as text.", severity="note",
            )  # fmt: skip
            return
        self.report("BS302", stream, frames=(write.n, asked, n), count=1, detail=f"{detail}.")


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


class LostWrites(StreamRule):
    """BS322: writes that TCP never acknowledged before the connection ended."""

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        pins = [(key, pin) for key, pin in stream.pins.pins.items() if pin.states.get(LOST)]
        if not pins or failed(stream):
            return
        # Only the last write of a pin can be lost: what was written over is of no interest any more.
        frames = {key: pin.settled.n for key, pin in pins if pin.settled is not None and pin.settled.state is LOST}
        count = sum(pin.states[LOST] for _, pin in pins)
        named = [
            pin_name(key) + (f" (frame {frames[key]})" if key in frames else "") for key, _ in islice(pins, PINS_NAMED)
        ]
        if len(pins) > PINS_NAMED:
            named.append(f"{len(pins) - PINS_NAMED} more pins")
        ended = "was reset" if event.how == "reset" else "ended"
        self.report(
            "BS322", stream, frames=sorted(frames.values())[:FRAMES_KEPT], count=count,
            detail=f"The connection {ended} before TCP acknowledged the last write to {', '.join(named)}.",
        )  # fmt: skip


def same_numbers(one: bytes | None, other: bytes | None) -> bool:
    """Are two lists of values the same numbers, digit for digit or not: `10` and `10.0`? Texts must be equal."""
    if one is None or other is None or isinstance(one, Digest) or isinstance(other, Digest):
        return False
    left, right = one.split(b"\0"), other.split(b"\0")
    return len(left) == len(right) and all(_alike(mine, theirs) for mine, theirs in zip(left, right, strict=True))


def _alike(one: bytes, other: bytes) -> bool:
    if one == other:
        return True
    if not _NUMBER.match(one) or not _NUMBER.match(other):
        return False
    return Decimal(one.decode("ascii")) == Decimal(other.decode("ascii"))


def shown(values: bytes | None) -> str:
    """A write's values for people."""
    if values is None:
        return "no value"
    if isinstance(values, Digest):
        return "a long value"
    return ", ".join(repr(readable(value)) for value in values[: limits.VALUES_KEPT].split(b"\0"))


RULES: tuple[type[StreamRule], ...] = (UnacknowledgedWrites, Contradictions, RefusedWrites, LostWrites)
