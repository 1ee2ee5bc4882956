"""What the core of the relay asks for: the shell does it, in order, with sockets and timers.

A *leg* is the connection to one of the two: 0 to the device, 1 to the upstream.
"""

from __future__ import annotations

from typing import Any

import msgspec

from blynkscope.proxy.settings import Held
from blynkscope.wire.hellos import ClientHello

DEVICE, UPSTREAM = 0, 1
LEGS = ("device", "upstream")


class Write(msgspec.Struct, frozen=True, gc=False):
    """Send these bytes, as one write."""

    leg: int
    data: bytes


class Finish(msgspec.Struct, frozen=True, gc=False):
    """Send FIN behind what was written."""

    leg: int


class End(msgspec.Struct, frozen=True, gc=False):
    """Close the leg once what was written is sent."""

    leg: int


class Abort(msgspec.Struct, frozen=True, gc=False):
    """Send RST."""

    leg: int


class Pause(msgspec.Struct, frozen=True, gc=False):
    """Read no more from the leg."""

    leg: int


class Resume(msgspec.Struct, frozen=True, gc=False):
    """Read on."""

    leg: int


class Connect(msgspec.Struct, frozen=True, gc=False):
    """Reach the upstream: `reached` or `unreached` answers. `auto`: the device chose the name, so guard against it."""

    host: str
    port: int
    auto: bool


class Prepare(msgspec.Struct, frozen=True):
    """Make the TLS settings for the device leg: `prepared` or `unprepared` answers."""

    hello: ClientHello | None
    alpn: str | None


class Deadline(msgspec.Struct, frozen=True, gc=False):
    """From now on this deadline counts, and no other. `rolling`: it counts from the last byte that moved."""

    name: str
    seconds: float
    rolling: bool = False


class Schedule(msgspec.Struct, frozen=True, gc=False):
    """Call `timer` with the token after some seconds."""

    delay: float
    token: Any


class Ask(msgspec.Struct, frozen=True, gc=False):
    """Let the gate decide about a frame: `decided` answers."""

    direction: int
    frame: Held


class Opened(msgspec.Struct, frozen=True, gc=False):
    """For the tap. `secure` is the version of the device leg."""

    secure: str | None


class Copied(msgspec.Struct, frozen=True, gc=False):
    """For the tap: plaintext as it came."""

    direction: int
    time: float
    data: bytes


class Sent(msgspec.Struct, frozen=True, gc=False):
    """For the tap: plaintext as it went on."""

    direction: int
    time: float
    data: bytes


class Tell(msgspec.Struct, frozen=True):
    """For the tap: a fact."""

    direction: int | None
    time: float
    kind: str
    detail: dict[str, Any]


class Closed(msgspec.Struct, frozen=True, gc=False):
    """For the tap, once: the connection is over. Nothing but the legs' own end comes behind it."""

    time: float
    how: str
    by: int | None


Order = (
    Write | Finish | End | Abort | Pause | Resume | Connect | Prepare | Deadline | Schedule | Ask
    | Opened | Copied | Sent | Tell | Closed
)  # fmt: skip
