"""What a proxy is told: where it listens, where it leads, who may use it, and who looks on."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from blynkscope.errors import BlynkscopeError
from blynkscope.protocol import limits
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.ports import SECURE_PORTS

if TYPE_CHECKING:
    from blynkscope.faults import Command, RuleSet

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

BLYNK_HOSTS = ("blynk.cloud", "blynk-cloud.com", "blynk.cc")
"""Hosts, with all names below them, that `auto` leads to where no others are named."""
AUTO_PORT = 443
HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*+", re.IGNORECASE)
"""A host name, as one label or several."""
_HOST_MAX = 253
_TARGET = re.compile(
    r"(?:(?P<scheme>[a-z]+)://)?(?:\[(?P<six>[0-9a-f:.]+(?:%\w+)?)\]|(?P<host>[^:\[\]/]+))(?::(?P<port>\d{1,5}))?/?",
    re.I,
)
_SCHEMES = {"tls": True, "ssl": True, "wss": True, "https": True, "tcp": False, "ws": False, "http": False}


class ProxyUsageError(BlynkscopeError):
    """The proxy was asked for something that cannot be."""

    exit_code = 2


def is_host(name: str) -> bool:
    """Is this a host name as DNS and certificates hold it?"""
    return len(name) <= _HOST_MAX and HOST.fullmatch(name) is not None


class Upstream(msgspec.Struct, frozen=True):
    """Where connections lead.

    `host` is None for `auto`: then the server name that the device asks for in TLS is where it leads, if it is one of
    `hosts` or below one of them.
    """

    host: str | None
    port: int
    tls: bool
    hosts: tuple[str, ...] = BLYNK_HOSTS

    @classmethod
    def parse(cls, text: str) -> Upstream:
        """Read `[tls://|tcp://]HOST[:PORT]`, or `auto[:PORT]`.

        Without a scheme the port tells (443, 9443, 8441, 8443 and 8883 are TLS); without a port, 443 for TLS and 80 for
        plain; with neither, TLS on 443.

        Raises:
            ProxyUsageError: It is none of these.
        """
        found = _TARGET.fullmatch(text.strip())
        if found is None:
            raise ProxyUsageError(f"{text!r} is no upstream: give HOST:PORT, tls://HOST:PORT, tcp://HOST:PORT or auto")
        scheme = (found["scheme"] or "").lower()
        if scheme and scheme not in _SCHEMES:
            raise ProxyUsageError(f"{scheme}:// is no scheme of an upstream: use tls:// or tcp://")
        secure = _SCHEMES[scheme] if scheme else None
        port = int(found["port"]) if found["port"] else 80 if secure is False else AUTO_PORT
        if not 0 < port < 65536:
            raise ProxyUsageError(f"{port} is no port: it goes from 1 to 65535")
        host = found["six"] or found["host"]
        if found["six"]:
            try:
                ipaddress.IPv6Address(host)
            except ValueError:
                raise ProxyUsageError(f"[{host}] is no IPv6 address") from None
        elif not is_host(host):
            raise ProxyUsageError(f"{host!r} is no host name")
        if host.lower() == "auto":
            if secure is False:
                raise ProxyUsageError("auto takes the server name from TLS, so it leads to TLS alone")
            return cls(None, port, True)
        return cls(host, port, port in SECURE_PORTS if secure is None else secure)

    def __str__(self) -> str:
        host = "auto" if self.host is None else f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'tcp'}://{host}:{self.port}"


class Deadlines(msgspec.Struct, frozen=True):
    """Seconds after which a connection that does not get on is ended."""

    first_byte: float = limits.PROXY_FIRST_BYTE_SECONDS
    handshake: float = limits.PROXY_HANDSHAKE_SECONDS
    connect: float = limits.PROXY_CONNECT_SECONDS
    idle: float = limits.PROXY_IDLE_SECONDS
    half_closed: float = limits.PROXY_HALF_CLOSED_SECONDS
    linger: float = limits.PROXY_LINGER_SECONDS
    partial: float = limits.PROXY_PARTIAL_SECONDS


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a proxy works.

    Attributes:
        upstream: Where all connections lead.
        verify: False takes any certificate of the upstream.
        upstream_ca: A PEM file of CAs that are trusted in place of the system's.
        certificate: Certificate chain and key (PEM files) for the device leg, in place of the authority's.
        legacy_tls: TLS 1.0 and 1.1 and weak ciphers on the device leg.
        allow: Networks that clients may come from; empty for all. The loopback interface is always allowed.
        allow_private: `auto` may lead to addresses that are not public.
        keylog: File that the TLS secrets of both legs are appended to.
        rules: What to do to frames; None relays them all.
        seed: Makes the chances of the rules the same in every run.
        per_address: Connections that one client address may have.
        connections: Connections at one time; the limit of open files may lower it.
        tls: What the port takes: "either", or plain ("never") or TLS ("always") alone.
    """

    upstream: Upstream
    listen_host: str = "127.0.0.1"
    listen_port: int = 0
    verify: bool = True
    upstream_ca: Path | None = None
    certificate: tuple[Path, Path] | None = None
    legacy_tls: bool = False
    allow: tuple[Network, ...] = ()
    allow_private: bool = False
    keylog: Path | None = None
    rules: RuleSet | None = None
    seed: int | None = None
    deadlines: Deadlines = Deadlines()
    per_address: int = limits.PROXY_PER_ADDRESS_MAX
    connections: int = limits.PROXY_CONNECTIONS_MAX
    tls: Literal["either", "never", "always"] = "either"


class Held(msgspec.Struct, frozen=True, gc=False):
    """A frame in passing. `wire` holds its very bytes, `word` the status of a RESPONSE and the length otherwise."""

    dialect: Dialect
    cmd: int
    id: int
    word: int
    body: bytes
    wire: bytes
    time: float


class ConnectionInfo(msgspec.Struct, frozen=True):
    """A connection as it stands: addresses, TLS version of each leg (None for plain), state and bytes received."""

    number: int
    client: tuple[str, int]
    server: tuple[str, int] | None
    opened: float
    state: str
    secure: str | None
    upstream_secure: str | None
    received: tuple[int, int]


class Authority(Protocol):
    """Who makes certificates for the device leg: `ca.Authority`."""

    def leaf(self, names: Sequence[str], *, rsa: bool = True) -> tuple[bytes, bytes]:
        """Chain and key, PEM."""


class Tap(Protocol):
    """Who looks on. Called in the event loop, after the bytes went on, in the order in which things happened.

    Connections count from 1. Directions are 0 for what the device sends and 1 for what the upstream sends. `told` with
    connection 0 is about a client that was refused. `opened` comes before anything else of a connection, `closed`
    last. An exception is caught, told once as `proxy-tap-failed`, and stops nothing.
    """

    wants_sent: bool

    def opened(
        self, connection: int, time: float, client: tuple[str, int], server: tuple[str, int], secure: str | None
    ) -> None:
        """A device is connected; `secure` is `tls1.2`… of its leg. `server` holds a name where nothing was reached."""

    def data(self, connection: int, direction: int, time: float, data: bytes) -> None:
        """Plaintext, as it was received."""

    def sent(self, connection: int, direction: int, time: float, data: bytes) -> None:
        """Plaintext, as it was sent on; called only where `wants_sent`."""

    def closed(self, connection: int, time: float, how: str, by: int | None) -> None:
        """It is over; `how` is "fin", "reset" or, where the proxy itself ends, "end"."""

    def told(self, connection: int, direction: int | None, time: float, kind: str, detail: dict[str, object]) -> None:
        """A fact: see the package's docstring."""


class Gate(Protocol):
    """Who may hold frames."""

    def wants(self, connection: int, direction: int, frame: Held) -> bool:
        """Is this frame to be held?"""

    async def decide(self, connection: int, direction: int, frame: Held) -> list[Command]:
        """What to do with it. What comes behind it in its direction waits; the other direction goes on."""
