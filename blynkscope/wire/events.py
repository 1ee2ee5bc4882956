"""What every source yields: a few frozen events about connections, whatever the bytes came from.

A *stream* is the 1-based number of a connection in this run. A *direction* is 0 for bytes sent by the side that
opened the connection (or is taken for it) and 1 for bytes sent by the other side; in a log 0 is the device. Times are
seconds since the epoch, or since the first stamp of a log without dates.
Offsets count the payload bytes of one direction of one stream from its first byte on.
"""

from __future__ import annotations

from typing import Any

import msgspec

CLIENT, SERVER = 0, 1

LOG_END = "log-end"
"""Kind of the line that comes behind a log and sums it up."""


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
    "reused" (its ports, or the device that a log is about, began a new connection), "evicted" (limit of open streams),
    "end" (the input ended first) or "quit" (the proxy did). `by` is the direction that began to close, where one did.
    `heard` tells for each direction whether any packet of it was seen: where the peer was never heard, missing
    acknowledgements prove nothing. Nor do they where `followed` is False: a proxy that edits what passes cannot always
    say how far it got.
    """

    stream: int
    time: float | None
    how: str
    by: int | None
    heard: tuple[bool, bool]
    followed: bool = True


class Message(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=7):
    """One Blynk message as a log tells it, where the bytes themselves may not be there.

    `word` is the status of a RESPONSE, else the declared body length; None where the log tells neither. `body` holds
    the bytes that were seen, which may be fewer or others than were declared. `line` is the 1-based line that it
    begins on. `cut` is True where the log ends, or goes on with something else, before the declared body does. `exact`
    is True where the bytes are certain (hex digits that somebody wrote), so that a wrong length is the message's own.
    """

    stream: int
    direction: int
    time: float | None
    cmd: int
    id: int
    word: int | None
    body: bytes
    line: int
    cut: bool = False
    exact: bool = False


class Line(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """A line of a log that is no frame but means something.

    `kind` names its meaning in one word or two with hyphens (`banner`, `login-timeout`), `facts` holds what it tells
    (`{"size": 17231}`). `stream` is 0 where it belongs to no connection.
    """

    stream: int
    time: float | None
    line: int
    kind: str
    text: str
    facts: dict[str, Any] = {}


class Datagram(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=9):
    """A UDP datagram of a protocol that helps to understand a connection: DNS (port 53)."""

    time: float | None
    src: str
    dst: str
    data: bytes


class Secrets(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=10):
    """Key log lines that the input itself carries (the decryption secrets block of a pcapng)."""

    data: bytes


class Told(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """A fact about a stream that its source knows itself: a proxy, which sees handshakes fail and applies rules.

    `kind` and `detail` are those of a `facts.Fact`: `tls-…` as the TLS reader tells them, `proxy-…` for what a proxy
    did. `direction` is None where it concerns both.
    """

    stream: int
    direction: int | None
    time: float | None
    kind: str
    detail: dict[str, Any] = {}


Event = Opened | Data | Acked | Gap | Overlap | Closed | Message | Line | Datagram | Secrets | Told
