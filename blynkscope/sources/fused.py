"""The short way for the common packet: Ethernet, IPv4 without options, TCP in order, nothing unusual.

It only turns such packets into the events that the general path would give, in one unpacking. Whatever is unusual
(another link type, fragments, flags, disorder, a cut packet, a connection that is not calm) goes to the general path. A
test runs every capture through both.
"""

from __future__ import annotations

import struct

from blynkscope.protocol.limits import WINDOW_MAX
from blynkscope.sources.capture import Packet
from blynkscope.sources.packets import ETHERNET, PacketReader
from blynkscope.wire.events import Acked, Data

# EtherType, version and header length, total length, flags and fragment offset, protocol, addresses and ports, sequence
# and acknowledgement number, data offset, flags
_HEADERS = struct.Struct(">12xHBxH2xHxB2x12sIIBB").unpack_from
_SMALLEST = 54
_MASK = 0xFFFFFFFF
_HALF_SPACE = 0x80000000


def read_batch(reader: PacketReader, buffer: bytes, packets: list[Packet]) -> None:
    """Read a batch of packets into `reader.events`."""
    headers, add, general = _HEADERS, reader.events.append, reader.packet
    find = reader.flows.halves.get
    for packet in packets:
        time, link, start, end, _ = packet
        if link != ETHERNET or end - start < _SMALLEST:
            general(buffer, packet)
            continue
        kind, version, total, fragment, protocol, key, seq, ack, offset, flags = headers(buffer, start)
        begin = start + 34 + (offset >> 4) * 4
        stop = start + 14 + total
        if (
            version != 0x45
            or kind != 0x0800
            or protocol != 6
            or fragment & 0x3FFF
            or flags & 0x17 != 0x10
            or begin > stop
            or stop > end
            or offset < 0x50
            or (half := find(key)) is None
            or not half.calm
            or (begin < stop and seq != half.next)
        ):
            general(buffer, packet)
            continue
        half.connection.last = time
        peer = half.peer
        if ack != peer.acked:
            ahead = (ack - peer.acked) & _MASK
            if WINDOW_MAX < (ack - peer.next) & _MASK < _HALF_SPACE:
                general(buffer, packet)
                continue
            if ahead < _HALF_SPACE:
                peer.acked = ack
                behind = (peer.next - ack) & _MASK
                upto = peer.offset - (behind - 0x100000000 if behind >= _HALF_SPACE else behind)
                if upto > 0:
                    add(Acked(peer.stream, peer.direction, time, upto))
        if begin < stop:
            half.recent = data = buffer[begin:stop]
            size = stop - begin
            half.next = (seq + size) & _MASK
            half.offset += size
            add(Data(half.stream, half.direction, time, data))
