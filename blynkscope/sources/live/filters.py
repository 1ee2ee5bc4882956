"""Capture filters: the default one as text and as a program for the kernel, and others by way of libpcap.

The kernel's own program makes the default filter independent of libpcap. Both let through TCP of the ports on which
Blynk servers listen, with VLAN tags or without, DNS, and what may be a piece of such TCP: IP fragments, and IPv6 with
extension headers, whose ports lie elsewhere.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from blynkscope.errors import EnvironmentProblem
from blynkscope.protocol.ports import SERVER_PORTS
from blynkscope.sources.live.model import ANY, LiveUsageError, Wanted
from blynkscope.sources.packets import ETHERNET, RAW, SLL2
from blynkscope.wire.dns import PORT as DNS_PORT

TCP_PORTS = tuple(sorted(SERVER_PORTS))
FILTER_MAX = 64 * 1024
"""Characters of a filter expression: far more than the kernel's 4096 instructions can hold."""

_TEXT = (
    f"(tcp and ({' or '.join(f'port {port}' for port in TCP_PORTS)})) or (udp and port {DNS_PORT})"
    " or (ip and ip[6:2] & 0x1fff != 0 and ip[9] == 6)"
    " or (ip6 and (ip6[6] == 44 or ip6[6] == 0 or ip6[6] == 43 or ip6[6] == 60))"
)


def default_text(*, vlans: bool = True) -> str:
    """The default filter in libpcap's language; without `vlans` for link types where it knows no VLAN tags."""
    return f"({_TEXT}) or (vlan and ({_TEXT}))" if vlans else _TEXT


class Instruction(NamedTuple):
    """One instruction of classic BPF, as the kernel takes it."""

    code: int
    jt: int
    jf: int
    k: int


# Classic BPF (linux/filter.h): class, size and mode together
_LD_W, _LD_H, _LD_B = 0x20, 0x28, 0x30
_LDX_MSH = 0xB1  # 4 * (byte at k & 15) into X: the length of an IPv4 header
_IND_H = 0x48  # half word at X + k
_JEQ, _JSET, _RET = 0x15, 0x45, 0x06
_JA = 0x05
_ANCILLARY = 0xFFFFF000
_PROTOCOL, _PACKET_TYPE, _IFINDEX = _ANCILLARY, _ANCILLARY + 4, _ANCILLARY + 8
_OUTGOING = 4
_IPV4, _IPV6 = 0x0800, 0x86DD
_TAGS = (0x8100, 0x88A8)

_ATTACH_FILTER = 26
"""SO_ATTACH_FILTER, which Python does not name."""
NOTHING = (Instruction(_RET, 0, 0, 0),)
"""Lets no packet through."""
_PROGRAM_MAX = 4096
"""BPF_MAXINSNS."""

Item = str | tuple[int, int, str | None, str | None]


def default_program(link: int, snaplen: int) -> list[Instruction]:
    """The default filter for packets of a link type: Ethernet, raw IP, or SLL2 for packets without a link layer, whose
    protocol the kernel knows."""
    items: list[Item] = []
    if link == ETHERNET:
        items += _families(0, (_LD_H, 12), 14)
        items += _families(1, (_LD_H, 16), 18)
        items += _families(2, (_LD_H, 20), 22)
    elif link == SLL2:
        items += _families(2, (_LD_W, _PROTOCOL), 0)
    else:
        items += [(_LD_B, 0, None, None), (0x54, 0xF0, None, None)]  # and
        items += [(_JEQ, 0x40, "v4", None), (_JEQ, 0x60, "v6", "drop")]
        items += _addresses("v4", "v6", 0)
    items += ["accept", (_RET, snaplen, None, None), "drop", (_RET, 0, None, None)]
    return _assembled(items)


def _families(depth: int, load: tuple[int, int], base: int) -> list[Item]:
    """Look at the EtherType, behind `depth` VLAN tags; IP begins at `base`."""
    v4, v6 = f"v4-{depth}", f"v6-{depth}"
    tags: list[Item] = [(_JEQ, tag, f"tag-{depth}", None) for tag in _TAGS] if depth < len(_TAGS) else []
    return [
        *([f"tag-{depth - 1}"] if depth and load[1] != _PROTOCOL else []),
        (*load, None, None), (_JEQ, _IPV4, v4, None), (_JEQ, _IPV6, v6, None), *tags, (_JA, 0, "drop", None),
        *_addresses(v4, v6, base),
    ]  # fmt: skip


def _addresses(v4: str, v6: str, base: int) -> list[Item]:
    return [
        v4,
        (_LD_B, base + 9, None, None), (_JEQ, 6, f"{v4}-tcp", None), (_JEQ, 17, f"{v4}-udp", "drop"),
        f"{v4}-tcp",
        (_LD_H, base + 6, None, None), (_JSET, 0x1FFF, "accept", None), (_LDX_MSH, base, None, None),
        *_ports(_IND_H, base, TCP_PORTS),
        f"{v4}-udp",
        (_LD_H, base + 6, None, None), (_JSET, 0x1FFF, "drop", None), (_LDX_MSH, base, None, None),
        *_ports(_IND_H, base, (DNS_PORT,)),
        v6,
        (_LD_B, base + 6, None, None),
        *[(_JEQ, kind, "accept", None) for kind in (44, 0, 43, 60)],
        (_JEQ, 6, f"{v6}-tcp", None), (_JEQ, 17, f"{v6}-udp", "drop"),
        f"{v6}-tcp", *_ports(_LD_H, base + 40, TCP_PORTS),
        f"{v6}-udp", *_ports(_LD_H, base + 40, (DNS_PORT,)),
    ]  # fmt: skip


def _ports(load: int, base: int, ports: Sequence[int]) -> list[Item]:
    either: list[Item] = [(_JEQ, port, "accept", None) for port in ports]
    return [(load, base, None, None), *either, (load, base + 2, None, None), *either, (_JA, 0, "drop", None)]


def _assembled(items: Sequence[Item]) -> list[Instruction]:
    """Turn labels into distances. A jump on a condition reaches 255 instructions; programs here are shorter."""
    places: dict[str, int] = {}
    count = 0
    for item in items:
        if isinstance(item, str):
            places[item] = count
        else:
            count += 1
    program: list[Instruction] = []
    for item in items:
        if isinstance(item, str):
            continue
        code, k, yes, no = item
        here = len(program) + 1
        if code == _JA:
            assert yes is not None
            program.append(Instruction(code, 0, 0, places[yes] - here))
        else:
            program.append(Instruction(code, places[yes] - here if yes else 0, places[no] - here if no else 0, k))
    return program


def once_only(program: list[Instruction], loopback: int, *, everywhere: bool) -> list[Instruction]:
    """The program, behind one that drops what leaves by the loopback interface: it is seen again as it arrives.

    Args:
        program: What decides about all other packets.
        loopback: Index of that interface.
        everywhere: True where packets of other interfaces come here too.
    """
    head = [Instruction(_LD_W, 0, 0, _PACKET_TYPE)]
    if everywhere:
        head += [
            Instruction(_JEQ, 0, 3, _OUTGOING),
            Instruction(_LD_W, 0, 0, _IFINDEX),
            Instruction(_JEQ, 0, 1, loopback),
        ]
    else:
        head.append(Instruction(_JEQ, 0, 1, _OUTGOING))
    return [*head, Instruction(_RET, 0, 0, 0), *program]


def kernel_program(wanted: Wanted, link: int, interface: str) -> list[Instruction]:
    """What the kernel is to let through on an interface, everything that it shows twice once.

    Args:
        wanted: The filter and the snapshot length.
        link: Link type; SLL2 where packets come without a link layer.
        interface: Its name, `any` among them.

    Raises:
        LiveUsageError: The filter does not compile.
        EnvironmentProblem: libpcap is missing.
    """
    everywhere = interface == ANY
    if wanted.filter is not None:
        program = compiled(wanted.filter, link, wanted.snaplen, None if everywhere else interface)
    elif link in (ETHERNET, RAW, SLL2):
        program = default_program(link, wanted.snaplen)
    else:
        program = compiled("", link, wanted.snaplen)  # 802.11: the reader passes over what it cannot use
    with suppress(OSError):
        loopback = socket.if_nametoindex("lo")
        if everywhere or loopback == socket.if_nametoindex(interface):
            program = once_only(program, loopback, everywhere=everywhere)
    return program


def attach(sniffing: socket.socket, program: Sequence[Instruction]) -> None:
    """Let the kernel filter what comes to a socket.

    Raises:
        OSError: It does not take the program.
    """
    data = b"".join(struct.pack("=HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(data, len(data))
    # struct sock_fprog holds the address of the instructions.
    described = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    sniffing.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, described)


# --- libpcap ---


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint), ("instructions", ctypes.c_void_p)]


def libpcap() -> Any:
    """The library, or None where it is not installed."""
    name = ctypes.util.find_library("pcap")
    if name is None:
        return None
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    for function in ("pcap_open_dead", "pcap_open_live"):
        getattr(library, function).restype = ctypes.c_void_p
    library.pcap_open_dead.argtypes = [ctypes.c_int, ctypes.c_int]
    library.pcap_open_live.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
    library.pcap_compile.argtypes = [
        ctypes.c_void_p, ctypes.POINTER(_Program), ctypes.c_char_p, ctypes.c_int, ctypes.c_uint,
    ]  # fmt: skip
    library.pcap_geterr.restype = ctypes.c_char_p
    library.pcap_geterr.argtypes = [ctypes.c_void_p]
    library.pcap_close.argtypes = [ctypes.c_void_p]
    library.pcap_close.restype = None
    library.pcap_freecode.argtypes = [ctypes.POINTER(_Program)]
    library.pcap_freecode.restype = None
    return library


def compiled(expression: str, link: int, snaplen: int, interface: str | None = None) -> list[Instruction]:
    """An expression of libpcap's language as a program for the kernel.

    Args:
        expression: "" lets everything through.
        link: Link type of the packets. SLL2 stands for packets without a link layer.
        snaplen: Bytes to keep of a packet.
        interface: Where packets come from: there the kernel takes VLAN tags out, and libpcap must know that.

    Raises:
        LiveUsageError: It does not compile; the text is libpcap's.
        EnvironmentProblem: libpcap is missing.
    """
    if not expression.strip():
        return [Instruction(_RET, 0, 0, snaplen)]
    if "\0" in expression or len(expression) > FILTER_MAX:
        raise LiveUsageError("the capture filter is too long, or has a NUL in it")
    library = libpcap()
    if library is None:
        raise EnvironmentProblem(
            "a capture filter of your own (-f) needs libpcap, which is not installed: "
            "`sudo apt install libpcap0.8` (Debian, Ubuntu), `sudo dnf install libpcap` (Fedora), "
            "`sudo apk add libpcap` (Alpine); the default filter works without it, and --filter selects "
            "frames by what they mean"
        )
    handle = None
    if interface is not None and link == ETHERNET:
        problem = ctypes.create_string_buffer(256)
        handle = library.pcap_open_live(interface.encode(), snaplen, 0, 100, problem)
    handle = handle or library.pcap_open_dead(link, snaplen)
    program = _Program()
    try:
        if library.pcap_compile(handle, ctypes.byref(program), expression.encode(), 1, 0xFFFFFFFF) < 0:
            said = library.pcap_geterr(handle).decode("utf-8", "replace")
            raise LiveUsageError(f"the capture filter {expression!r} does not compile: {said}")
        try:
            data = ctypes.string_at(program.instructions, program.length * 8) if program.length else b""
        finally:
            library.pcap_freecode(ctypes.byref(program))
    finally:
        library.pcap_close(handle)
    instructions = [Instruction(*one) for one in struct.iter_unpack("=HBBI", data)]
    if link == SLL2:
        instructions = [_without_header(one, expression) for one in instructions]
    if len(instructions) > _PROGRAM_MAX - 8:
        raise LiveUsageError(f"the capture filter {expression!r} is longer than the kernel takes")
    return instructions


_SLL2_FIELDS = {0: _PROTOCOL, 4: _IFINDEX, 10: _PACKET_TYPE}
_SLL2_SIZE = 20


def _without_header(one: Instruction, expression: str) -> Instruction:
    """The same instruction for a packet that begins behind the SLL2 header: what that would hold, the kernel knows."""
    loads = one.code & 0x07 in (0, 1) and one.code & 0xE0 in (0x20, 0x40, 0xA0)
    if not loads or one.k >= _ANCILLARY:
        return one
    if one.k >= _SLL2_SIZE:
        return one._replace(k=one.k - _SLL2_SIZE)
    field = _SLL2_FIELDS.get(one.k)
    if field is None or one.code & 0xE0 != 0x20:
        raise LiveUsageError(f"the capture filter {expression!r} asks for what the kernel does not tell on any")
    return one._replace(code=_LD_W, k=field)
