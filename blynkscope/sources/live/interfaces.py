"""The network interfaces of this machine."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from blynkscope.sources.live.model import ANY

_NET = Path("/sys/class/net")
_SIOCGIFADDR = 0x8915
_UP, _LOOPBACK = 0x1, 0x8


class NetworkInterface(msgspec.Struct, frozen=True):
    """An interface: its name, whether it is up and the loopback, its addresses, and whether most traffic goes by it."""

    name: str
    up: bool
    loopback: bool
    addresses: tuple[str, ...]
    default: bool
    """True for the one that the default route takes."""
    description: str = ""


def interfaces() -> list[NetworkInterface]:
    """All of them; the one with the default route first, the loopback and `any` last."""
    found = _linux() if sys.platform == "linux" else _elsewhere()
    return sorted(found, key=lambda one: (not one.default, one.name == ANY, one.loopback, not one.up, one.name))


def _linux() -> list[NetworkInterface]:
    route = _default_route()
    six = _ipv6()
    found = [NetworkInterface(ANY, True, False, (), False, "all interfaces together")]
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            flags = 0
            with suppress(OSError, ValueError):
                flags = int((_NET / name / "flags").read_text(), 16)
            four = _ipv4(asking, name)
            addresses = ((four,) if four else ()) + tuple(six.get(name, ()))
            found.append(NetworkInterface(name, bool(flags & _UP), bool(flags & _LOOPBACK), addresses, name == route))
    return found


def _ipv4(asking: socket.socket, name: str) -> str | None:
    import fcntl

    try:
        answer = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
    except OSError:  # it has none
        return None
    return socket.inet_ntoa(answer[20:24])


def _ipv6() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with suppress(OSError, ValueError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, *_, name = line.split()
            found.setdefault(name, []).append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)))
    return found


def _default_route() -> str | None:
    with suppress(OSError, ValueError):
        for line in Path("/proc/net/route").read_text().splitlines()[1:]:
            name, target, _, flags, *_ = line.split()
            if target == "00000000" and int(flags, 16) & 1:
                return name
    return None


def _elsewhere() -> list[NetworkInterface]:
    """By scapy, which knows the other systems."""
    from scapy.config import conf
    from scapy.interfaces import get_working_ifaces

    chosen = getattr(conf.iface, "network_name", None)
    found = []
    for one in get_working_ifaces():
        addresses = tuple(address for version in (4, 6) for address in one.ips.get(version, ()))
        loopback = "127.0.0.1" in addresses
        description = str(one.description or "")
        up = bool(one.is_valid())
        name = str(one.network_name)
        found.append(
            NetworkInterface(name, up, loopback, addresses, name == chosen, description if description != name else "")
        )
    return found
