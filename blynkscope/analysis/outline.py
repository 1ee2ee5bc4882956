"""What is to be said about a conversation when it is over: the `session` of a stream's `closed` record."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.lane import Lane
from blynkscope.analysis.pins import Digest, Pin, pin_name
from blynkscope.protocol import commands
from blynkscope.protocol.derived import names
from blynkscope.protocol.model import Era
from blynkscope.protocol.schema import readable

if TYPE_CHECKING:
    from blynkscope.analysis.dialogue import Dialogue
    from blynkscope.wire.events import Closed

PINS_TOLD = 12
VALUE_MAX = 64
"""Characters of a pin's last value that are told."""
LEGACY_IDLE_FACTOR = 2.3
"""The legacy server closes a device that was silent for ceil(2.3 times h-beat) seconds (measured)."""
IOT_IDLE_FACTOR = 1.5
"""Blynk IoT calls a device offline after 1.5 times its heartbeat (its documentation)."""


def idle_limit(stream: Dialogue) -> tuple[int | None, str | None]:
    """Seconds of silence after which the server gives the device up, and by which rule; None where it is not known."""
    beat = stream.heartbeat.announced
    if not beat:
        return None, None
    if stream.evidence.era is Era.IOT:
        return math.ceil(IOT_IDLE_FACTOR * beat), f"Blynk IoT: {IOT_IDLE_FACTOR} times {beat:g} s"
    return math.ceil(LEGACY_IDLE_FACTOR * beat), f"legacy server: ceil({LEGACY_IDLE_FACTOR} times {beat:g} s)"


def outline(stream: Dialogue, event: Closed) -> dict[str, Any]:
    """The account of one conversation; keys as in the reference of the `closed` record."""
    beat, limit = stream.heartbeat, idle_limit(stream)
    era = stream.evidence.era
    started, ended = stream.opened.time, event.time
    return {
        "state": stream.session.reached.value,
        "mode": "direct" if stream.direct else "cloud",
        "host": stream.host,
        "device": stream.device.number if stream.device is not None else None,
        "board": stream.info.get("dev"),
        "library": stream.info.get("ver") or stream.info.get("blynk"),
        "era": {"era": era.value if era is not None else None, "evidence": stream.evidence.weighed},
        "duration": round(ended - started, 6) if started is not None and ended is not None else None,
        "frames": {"client": _counts(stream.client), "server": _counts(stream.server)},
        "heartbeat": {
            "announced": beat.announced,
            "observed": _rounded(beat.observed),
            "jitter": _rounded(beat.jitter),
            "pings": beat.pings,
            "idle_limit": limit[0],
            "limit_of": limit[1],
        },
        "rate": stream.client.tempo.summary(),
        "latency": {
            names(stream.client.dialect, stream.run.era)[cmd]: latency.summary()
            for cmd, latency in sorted(stream.latency.items())
        },
        "pins": _pins(stream),
    }


def _counts(lane: Lane) -> dict[str, int]:
    name = names(lane.dialect, None)
    counts = {name[cmd]: count for cmd, count in lane.counts.items()}
    operations = lane.tempo.count - sum(lane.counts.values())
    if operations > 0:
        counts[name[commands.HW]] = operations
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _pins(stream: Dialogue) -> list[dict[str, Any]]:
    written = [(key, pin) for key, pin in stream.pins.pins.items() if pin.writes]
    written.sort(key=lambda entry: -entry[1].writes)
    return [_pin(stream, key, pin) for key, pin in written[:PINS_TOLD]]


def _pin(stream: Dialogue, key: bytes, pin: Pin) -> dict[str, Any]:
    write = pin.settled
    assert write is not None
    values = write.values
    if isinstance(values, Digest):
        shown: str | None = "(long)"
    else:
        shown = ", ".join(readable(part) for part in values.split(b"\0"))[:VALUE_MAX] if values is not None else None
    sender = stream.client.sender if write.lane == stream.client.direction else stream.server.sender
    return {
        "pin": pin_name(key),
        "writes": pin.writes,
        "unconfirmed": sum(pin.states.values()),
        "value": shown,
        "by": sender,
    }


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if value is not None else None
