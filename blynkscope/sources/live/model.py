"""What the ways of sniffing have in common: what is asked of them, and what they give."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from blynkscope.errors import BlynkscopeError, EnvironmentProblem
from blynkscope.sources.capture import Packet

ANY = "any"
"""The name that stands for all interfaces together, on Linux."""
SNAPLEN = 262144
"""Bytes kept of a packet: what capture programs take for all of it; offload makes packets of 64 KiB and more."""
BUFFER_MIB = 64
"""Memory for packets that wait to be read: seconds of a busy network, so that no pause of the program loses any."""
QUIET = 0.5
"""Seconds without a packet after which nothing that was sent before is still on its way: dumpcap lets the kernel hold
packets back for 0.25 s, the other ways for less."""


def distinct(interfaces: tuple[str, ...]) -> tuple[str, ...]:
    """The interfaces without those that another one takes in: behind `any` and `lo` each packet of `lo` comes twice."""
    return (ANY,) if ANY in interfaces else tuple(dict.fromkeys(interfaces))


class LiveUsageError(BlynkscopeError):
    """What was asked for makes no sense: there is no such interface, the capture filter does not compile, the file to
    write exists."""

    exit_code = 2


class NoInterfaceError(LiveUsageError):
    """There is no interface of that name.

    Args:
        name: What was asked for.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no interface {name}")


class NoBackendError(EnvironmentProblem):
    """None of the ways of sniffing is open.

    Args:
        problems: What each of them lacks, a sentence or two each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("no way of sniffing is open to this user: see above for what to do")
        self.problems = problems


class Wanted(msgspec.Struct, frozen=True):
    """What is to be captured.

    `filter` is an expression of libpcap's language, "" for everything, None for the ports of Blynk and DNS. `buffer` is
    in MiB.
    """

    interfaces: tuple[str, ...]
    filter: str | None = None
    snaplen: int = SNAPLEN
    promiscuous: bool = True
    buffer: int = BUFFER_MIB


class Stamp(NamedTuple):
    """What only a recording needs of a packet: its exact time in nanoseconds, and the place of its interface."""

    time: int
    interface: int


class Chunk(NamedTuple):
    """Packets as a capture reader gives them, and their stamps, in the same order."""

    buffer: bytes
    packets: list[Packet]
    stamps: list[Stamp]


class Counts(NamedTuple):
    """How many packets there were, and were lost, since the beginning.

    `received` counts those that were handed over, `kernel` those for which the kernel had no room, `interface` those
    that the network adapter or its driver dropped, `queue` those for which the capturing program had none.
    """

    received: int = 0
    kernel: int = 0
    interface: int = 0
    queue: int = 0

    @property
    def lost(self) -> int:
        """All that were lost."""
        return self.kernel + self.interface + self.queue


class Backend(Protocol):
    """A way of sniffing; it captures from the moment when it was made."""

    name: str
    interfaces: tuple[str, ...]
    ended: str | None
    """Why no more packets will come, where it ended by itself."""

    def read(self, timeout: float) -> list[Chunk]:
        """What has come, or comes within `timeout` seconds; each chunk is bounded. An empty list is no end."""

    def counts(self) -> Counts | None:
        """How many there were so far; None where that is not known before `close`."""

    def close(self) -> None:
        """Capture no more, and give everything back. `counts` is final then. May be called again."""

    def abandon(self) -> None:
        """The process ends now: leave nothing running. Called by signal handlers, at any moment."""
