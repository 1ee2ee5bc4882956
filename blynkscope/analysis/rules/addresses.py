"""Where a firmware URL leads, and whether a device can get there: judged by the form of its address alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from blynkscope.analysis.catalogue import Severity
from blynkscope.analysis.names import address_of

HOST_MAX, PATH_MAX = 64, 72
"""Characters of a host and of a path that are shown."""
URL_MAX = 2048
"""Characters of a URL that are read; updaters take far fewer."""
_PORTS = {"http": 80, "https": 443}
_DOCKER_BRIDGE = ip_network("172.17.0.0/16")
"""What `docker0` has where nobody configured another network."""
_PRIVATE = tuple(ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_LINK_LOCAL = tuple(ip_network(block) for block in ("169.254.0.0/16", "fe80::/10"))
_SHARED = ip_network("100.64.0.0/10")
_CONTAINER_ID = re.compile(r"[0-9a-f]{12}(?:[0-9a-f]{52})?\Z")
_CONTAINER_NAMES = ("host.docker.internal", "gateway.docker.internal")
_HOME_DOMAINS = (".local", ".lan", ".home", ".internal", ".localdomain")


class Target(NamedTuple):
    """A firmware URL: where it leads. The query, which may hold a token, is not kept."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def shown(self) -> str:
        """The URL for people, without query and credentials."""
        host = f"[{self.host[:HOST_MAX]}]" if ":" in self.host else self.host[:HOST_MAX]
        port = "" if self.port == _PORTS.get(self.scheme) else f":{self.port}"
        path = self.path if len(self.path) <= PATH_MAX else self.path[: PATH_MAX - 1] + "…"
        return f"{self.scheme}://{host}{port}{path}"


class Doubt(NamedTuple):
    """Why a device will hardly reach an address."""

    severity: Severity
    why: str


def target_of(url: str) -> Target | None:
    """Read a URL as a device gets it; None where it is none."""
    try:
        parts = urlsplit(url.strip()[:URL_MAX])
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        return None
    if scheme not in _PORTS or not host:
        return None
    return Target(scheme, host.rstrip("."), port or _PORTS[scheme], parts.path or "/")


def doubt(target: Target, *, device: str | None, servers: Iterable[str]) -> Doubt | None:
    """Can a device get to this address? None where nothing speaks against it.

    Args:
        target: Where the URL leads.
        device: The device's own address, where it is known.
        servers: Addresses and names under which the device talks to its server: it gets there, whatever their form.
    """
    host = target.host
    servers = [server.lower() for server in servers]
    if host in servers:
        return None
    address = _address(host)
    own = _address(device) if device else None
    if address is None:
        return _doubt_of_name(host)
    if address.is_loopback or address.is_unspecified:
        if own is not None and own.is_loopback:
            return None
        return Doubt(Severity.ERROR, f"{host} is the loopback address: on the device it means the device itself")
    if address in _DOCKER_BRIDGE:
        if own is not None and own in _DOCKER_BRIDGE:
            return None
        return Doubt(
            Severity.ERROR,
            f"{host} is an address of Docker's bridge network (172.17.0.0/16), which exists inside the server's "
            "machine only: the server runs in a container and took its own address for the URL",
        )
    for block in _PRIVATE:
        if address in block:
            near = [own, *(_address(server) for server in servers)]
            if any(one is not None and one in block for one in near):
                return None
            docker = " (Docker's networks begin at 172.17)" if address in _PRIVATE[1] else ""
            return Doubt(
                Severity.WARNING,
                f"{host} is a private address{docker}: only devices in the same network get there, and nothing shows "
                "that this one is in it",
            )
    if any(address in block for block in _LINK_LOCAL):
        return Doubt(Severity.WARNING, f"{host} is a link-local address, which ends at the next router")
    if address in _SHARED:
        return Doubt(Severity.WARNING, f"{host} belongs to a carrier's own network (100.64.0.0/10)")
    return None


def is_address(host: str) -> bool:
    """Is it an address, and no name?"""
    return _address(host) is not None


def _doubt_of_name(host: str) -> Doubt | None:
    if host == "localhost" or host.endswith(".localhost"):
        return Doubt(Severity.ERROR, f"{host} means the device itself")
    if host in _CONTAINER_NAMES or _CONTAINER_ID.match(host):
        return Doubt(Severity.ERROR, f"{host} is a name that only containers on the server's machine know")
    if "." not in host:
        return Doubt(Severity.WARNING, f"{host} has no domain: it is known in the server's own network at most")
    if host.endswith(_HOME_DOMAINS):
        return Doubt(Severity.WARNING, f"{host} is a name of a local network, and few devices can look up such names")
    return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address out of `ip` or `ip:port`; None for a name."""
    for candidate in (text, address_of(text)):
        try:
            found = ip_address(candidate)
        except ValueError:
            continue
        return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
    return None
