"""One way through a capture file: every packet with its places, and the events that come of it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, BinaryIO, NamedTuple

from blynkscope.scrub.packets import IpHeader, Segment, TracingReader
from blynkscope.sources.capture import Damage, read_capture
from blynkscope.wire.events import Event


class Raw(NamedTuple):
    """A packet: offset in the file, link type, bytes, and whether TCP or UDP was found in it."""

    at: int
    link: int
    data: bytes
    read: bool


class Walked(NamedTuple):
    """How a way through a file ended."""

    packets: int
    damage: Damage | None


def _nothing(_: object) -> None:
    """What is not asked for."""


def steps(
    source: BinaryIO,
    name: str,
    *,
    segment: Callable[[Segment], None] = _nothing,
    header: Callable[[IpHeader], None] = _nothing,
    packet: Callable[[Raw], None] = _nothing,
    events: Callable[[list[Event]], None] = _nothing,
) -> Generator[None, None, Walked]:
    """Read a capture from its beginning; the callbacks get everything in the order of the file.

    It stops now and then, so that what the callbacks collected can be taken.

    `packet` comes behind the headers and segments that were found in the packet.

    Args:
        source: Uncompressed, and can be read from its beginning again.
        name: What to call it in messages.
        segment: Takes TCP segments and UDP datagrams.
        header: Takes IP headers.
        packet: Takes packets.
        events: Takes batches of events.

    Raises:
        CaptureError: It is no capture.
    """
    source.seek(0)
    reader = read_capture(source, name)
    tracing = TracingReader(segment, header)
    for buffer, packets in reader:
        tracing.base = reader._input.offset
        for one in packets:
            tracing.packet(buffer, one)
            packet(Raw(tracing.base + one[2], one[1], buffer[one[2] : one[3]], tracing.seen))
        events(tracing.events)
        tracing.events.clear()
        yield
    tracing.finish()
    events(tracing.events)
    tracing.events.clear()
    return Walked(reader.packets, reader.damage)


def walk(source: BinaryIO, name: str, **callbacks: Any) -> Walked:
    """`steps`, all at once.

    Raises:
        CaptureError: It is no capture.
    """
    way = steps(source, name, **callbacks)
    while True:
        try:
            next(way)
        except StopIteration as end:
            walked: Walked = end.value
            return walked
