"""What every source yields: a few frozen events about connections, whatever the bytes came from.

A *stream* is the 1-based number of a connection in this run. A *direction* is 0 for bytes sent by the side that
opened the connection (or is taken for it) and 1 for bytes sent by the other side. Times are seconds since the epoch.
Offsets count the payload bytes of one direction of one stream from its first byte on.
"""

from __future__ import annotations

import msgspec

CLIENT, SERVER = 0, 1


class Opened(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """A connection was seen for the first time.

    `handshake` is True when its first SYN was seen, so that offset 0 is the true beginning of each direction.
    """

    stream: int
    time: float | None
    client: str | None
    server: str | None
    client_port: int
    server_port: int
    handshake: bool
    via: tuple[str, ...] = ("tcp",)


class Data(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=2):
    """Bytes of one direction, in order, each seen once."""

    stream: int
    direction: int
    time: float | None
    data: bytes


class Acked(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=3):
    """The peer's TCP acknowledged the bytes of `direction` below offset `upto`."""

    stream: int
    direction: int
    time: float | None
    upto: int


class Gap(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=4):
    """`missing` bytes of one direction are not in the input; the offset moves on past them."""

    stream: int
    direction: int
    time: float | None
    missing: int
    reason: str
    """"lost" (never captured), "snaplen" (cut by the capture), "reordering limit"."""


class Overlap(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=5):
    """Bytes were sent twice with different content; the first ones were kept."""

    stream: int
    direction: int
    time: float | None
    offset: int
    differing: int


class Closed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=6):
    """A connection ended.

    `how` is "fin", "reset", "refused" (RST in answer to the SYN), "unanswered" (no answer to the SYN in the input),
    "reused" (its ports began a new connection), "evicted" (limit of open streams) or "end" (the input ended first).
    `by` is the direction that began to close, where one did. `heard` tells for each direction whether any packet of it
    was seen: where the peer was never heard, missing acknowledgements prove nothing.
    """

    stream: int
    time: float | None
    how: str
    by: int | None
    heard: tuple[bool, bool]


Event = Opened | Data | Acked | Gap | Overlap | Closed
