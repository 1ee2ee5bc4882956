"""Sniffing by a socket of the kernel's (AF_PACKET) with a ring of memory that it shares with us (TPACKET_V3).

The kernel fills blocks with packets; a block is copied once, as it is, and read like a piece of a capture. There is no
call per packet. What does not fit is counted by the kernel.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

from blynkscope.errors import EnvironmentProblem
from blynkscope.sources.capture import Packet
from blynkscope.sources.live import filters
from blynkscope.sources.live.model import ANY, Chunk, Counts, NoInterfaceError, Stamp, Wanted
from blynkscope.sources.live.rights import as_root
from blynkscope.sources.packets import ETHERNET, RADIOTAP, RAW, SLL2, WIFI

BLOCK = 128 * 1024
"""Bytes of a block. More of them at the same size of the ring are more time before a slow reader loses packets."""
BLOCKS_AT_ONCE = 4
"""Blocks that one `read` gives, so that output comes in pieces."""
_RETIRE = 50
"""Milliseconds after which a block is handed over though it is not full."""
_FRAME = 2048
"""TPACKET_V3 packs packets closely; this only must divide the size of a block."""

# linux/if_packet.h and asm/socket.h, which Python does not name
_SOL_PACKET = 263
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _RESERVE = 1, 5, 6, 10, 12
_PROMISCUOUS = 1
_V3 = 2
_ALL = 0x0003
_LINKS = {1: ETHERNET, 772: ETHERNET, 65534: RAW, 768: RAW, 776: RAW, 778: RAW, 801: WIFI, 803: RADIOTAP}
"""Link types of the kernel's hardware types (ARPHRD): Ethernet, loopback, tunnels without a link layer, 802.11."""
_ETHERNET_HARDWARE = 1

_BLOCK_HEAD = struct.Struct("=8xIIII").unpack_from  # status, packets, offset of the first, length
_PACKET_HEAD = struct.Struct(
    "=IIIIIIHH4xII"
).unpack_from  # next, sec, nsec, size, wire, status, mac, net, tag, its type
_LINK_ADDRESS = struct.Struct("=H2siHBB8s").unpack_from  # family, protocol, index, hardware type, packet type, address
_SLL2_HEAD = struct.Struct(">2s2xIHBB8s")
_LINK_ADDRESS_AT = 48
_USER = 1
_TAG_VALID, _TAG_TYPE_VALID = 0x10, 0x40
_STATUS_AT = 8


class Ring:
    """Packets of one interface, or of `any`, by a socket of its own.

    Raises:
        LiveUsageError: There is no such interface, or the filter does not compile.
        EnvironmentProblem: This user may not sniff so, or the kernel cannot.
    """

    name = "socket"

    def __init__(self, wanted: Wanted) -> None:
        if sys.platform != "linux":
            raise EnvironmentProblem("the backend `socket` is there on Linux only")
        self.interfaces = wanted.interfaces
        self.ended: str | None = None
        self._rings: list[_OneRing] = []
        try:
            for place, interface in enumerate(wanted.interfaces):
                self._rings.append(_OneRing(place, interface, wanted))
        except BaseException:
            self.close()
            raise
        self._poll = select.poll()
        for ring in self._rings:
            self._poll.register(ring.socket, select.POLLIN | select.POLLERR)

    def read(self, timeout: float) -> list[Chunk]:
        """What has come, or comes within `timeout` seconds."""
        chunks = [chunk for ring in self._rings for chunk in ring.take()]
        if chunks or self.ended is not None:
            return chunks
        for _, what in self._poll.poll(timeout * 1000):
            if what & select.POLLERR:
                self._check()
        return [chunk for ring in self._rings for chunk in ring.take()]

    def _check(self) -> None:
        """An interface was shut down or taken away. Shut down, it may come back; the socket waits for that."""
        for ring in self._rings:
            ring.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if ring.interface != ANY:
                try:
                    socket.if_nametoindex(ring.interface)
                except OSError:
                    self.ended = f"the interface {ring.interface} is gone"

    def counts(self) -> Counts:
        """How many there were so far."""
        for ring in self._rings:
            ring.count()
        return Counts(
            received=sum(ring.seen for ring in self._rings),
            kernel=sum(ring.dropped for ring in self._rings),
            interface=sum(ring.interface_drops() for ring in self._rings),
        )

    def close(self) -> None:
        """Capture no more."""
        for ring in self._rings:
            ring.close()

    def abandon(self) -> None:
        """Nothing of this outlives the process."""


class _OneRing:
    def __init__(self, place: int, interface: str, wanted: Wanted) -> None:
        self.interface = interface
        self._place = place
        self._at = 0
        self.seen = 0
        self.dropped = 0
        self._memory: mmap.mmap | None = None
        everywhere = interface == ANY
        index = _index(interface)
        hardware = 0 if everywhere else _hardware(interface)
        self._link = SLL2 if everywhere else _LINKS.get(hardware, SLL2)
        self._cooked = self._link == SLL2
        try:
            kind = socket.SOCK_DGRAM if self._cooked else socket.SOCK_RAW
            # Protocol 0: nothing comes before the filter is there and the socket is bound.
            self.socket = socket.socket(socket.AF_PACKET, kind | socket.SOCK_CLOEXEC, 0)
        except PermissionError:
            raise EnvironmentProblem(_permission()) from None
        except OSError as error:
            raise EnvironmentProblem(f"the kernel has no sockets for sniffing: {error.strerror}") from error
        self._before = 0
        self._final = False
        try:
            self._set_up(wanted, index, everywhere)
        except OSError as error:
            self.close()
            raise EnvironmentProblem(
                f"{interface}: cannot be sniffed by a socket: {error.strerror or error}"
            ) from error
        except BaseException:
            self.close()
            raise

    def _set_up(self, wanted: Wanted, index: int, everywhere: bool) -> None:
        sniffing = self.socket
        sniffing.setsockopt(_SOL_PACKET, _VERSION, _V3)
        # Room before each packet, for the header that `any` gets, or for a VLAN tag that the kernel took out.
        sniffing.setsockopt(_SOL_PACKET, _RESERVE, _SLL2_HEAD.size if self._cooked else 4)
        self._blocks = max(2, wanted.buffer * 1024 * 1024 // BLOCK)
        size = self._blocks * BLOCK
        request = struct.pack("=7I", BLOCK, self._blocks, _FRAME, size // _FRAME, _RETIRE, 0, 0)
        sniffing.setsockopt(_SOL_PACKET, _RX_RING, request)
        self._memory = mmap.mmap(sniffing.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        filters.attach(sniffing, filters.kernel_program(wanted, self._link, self.interface))
        self._before = 0
        if not everywhere:
            self._before = _driver_drops(self.interface)
            if wanted.promiscuous:
                sniffing.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("=iHH8s", index, _PROMISCUOUS, 0, b""))
            sniffing.bind((self.interface, _ALL))
        else:
            _bind_everywhere(sniffing)

    def take(self) -> list[Chunk]:
        """The blocks that are full, up to BLOCKS_AT_ONCE of them; the kernel gets them back."""
        memory = self._memory
        chunks: list[Chunk] = []
        while memory is not None and len(chunks) < BLOCKS_AT_ONCE:
            at = self._at * BLOCK
            status, packets, first, length = _BLOCK_HEAD(memory, at)
            if not status & _USER:
                break
            block = memory[at : at + min(length, BLOCK)]
            struct.pack_into("=I", memory, at + _STATUS_AT, 0)
            self._at = (self._at + 1) % self._blocks
            chunks.append(self._chunk(block, packets, first))
            self.seen += packets
        return chunks

    def _chunk(self, block: bytes, count: int, at: int) -> Chunk:
        packets: list[Packet] = []
        stamps: list[Stamp] = []
        add, stamp = packets.append, stamps.append
        link, place = self._link, self._place
        changed: bytearray | None = bytearray(block) if self._cooked else None
        for _ in range(count):
            step, seconds, fraction, size, wire, status, mac, net, tag, kind = _PACKET_HEAD(block, at)
            time = seconds * 1_000_000_000 + fraction
            if self._cooked:
                assert changed is not None
                start, end = at + net - _SLL2_HEAD.size, at + net + size
                wire += _SLL2_HEAD.size
                _, protocol, index, hardware, packet_type, width, address = _LINK_ADDRESS(block, at + _LINK_ADDRESS_AT)
                _SLL2_HEAD.pack_into(changed, start, protocol, index, hardware, packet_type, width, address)
            else:
                start, end = at + mac, at + mac + size
                if status & _TAG_VALID and link == ETHERNET and size >= 14:
                    changed = changed or bytearray(block)
                    changed[start - 4 : start + 8] = block[start : start + 12]
                    kind = (kind & 0xFFFF) if status & _TAG_TYPE_VALID else 0x8100
                    struct.pack_into(">HH", changed, start + 8, kind, tag & 0xFFFF)
                    start -= 4
                    wire += 4
            add((time * 1e-9, link, start, end, wire))
            stamp(Stamp(time, place))
            at += step
        return Chunk(bytes(changed) if changed is not None else block, packets, stamps)

    def count(self) -> None:
        """Ask the kernel how many were dropped; it counts from 0 again after each question."""
        if self._final:
            return
        with suppress(OSError):
            _, dropped, _ = struct.unpack("=III", self.socket.getsockopt(_SOL_PACKET, _STATISTICS, 12))
            self.dropped += dropped

    def interface_drops(self) -> int:
        """What the driver has dropped since the beginning."""
        return max(0, _driver_drops(self.interface) - self._before) if self.interface != ANY else 0

    def close(self) -> None:
        if not self._final:
            self.count()
            self._final = True
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        self.socket.close()


def _bind_everywhere(sniffing: socket.socket) -> None:
    """Bind to all interfaces, which Python's own `bind` has no address for."""
    library = ctypes.CDLL(None, use_errno=True)
    address = struct.pack("=H2siHBB8s", socket.AF_PACKET, struct.pack(">H", _ALL), 0, 0, 0, 0, b"")
    if library.bind(sniffing.fileno(), address, len(address)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _index(interface: str) -> int:
    if interface == ANY:
        return 0
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        raise NoInterfaceError(repr(interface)) from None


def _hardware(interface: str) -> int:
    try:
        return int((Path("/sys/class/net") / interface / "type").read_text())
    except (OSError, ValueError):
        return _ETHERNET_HARDWARE


def _driver_drops(interface: str) -> int:
    """Packets that the adapter had no room for; what the kernel dropped on purpose is not among them."""
    total = 0
    for name in ("rx_missed_errors", "rx_fifo_errors"):
        with suppress(OSError, ValueError):
            total += int((Path("/sys/class/net") / interface / "statistics" / name).read_text())
    return total


def _permission() -> str:
    python = str(Path(sys.executable).resolve())
    return (
        "this user may not sniff by a socket. Either install dumpcap (`sudo apt install wireshark-common`), which "
        f"alone gets the right to sniff; or run this program by `{as_root()}`; or let Python sniff: "
        f"`sudo setcap cap_net_raw+ep {python}`, which gives that right to every program that any user runs with this "
        "Python (take it away with `sudo setcap -r`)"
    )
