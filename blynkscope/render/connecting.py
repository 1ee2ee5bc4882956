"""What a proxy says at its start: where it listens, who can reach it, and what to change in a sketch or program."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address

import msgspec

_PLACEHOLDER = "ADDRESS-OF-THIS-COMPUTER"
_ADDRESSES_SHOWN = 6


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say.

    Attributes:
        host: Where it listens.
        port: The same.
        upstream: Where it leads, as `tls://host:port`.
        by_name: The device's own server name tells where it leads.
        verified: The certificate of the upstream is verified; None where it has none.
        addresses: Addresses of this machine, the best one first, where it listens on all of them.
        allowed: Networks that clients may come from; empty for all.
        fingerprint: Of the CA, SHA-256; None where devices get a certificate of one's own.
        until: When the CA ends.
        created: The CA was made just now.
        legacy: TLS 1.0 and weak ciphers are taken from devices.
    """

    host: str
    port: int
    upstream: str
    by_name: bool = False
    verified: bool | None = None
    addresses: Sequence[str] = ()
    allowed: Sequence[str] = ()
    fingerprint: str | None = None
    until: datetime | None = None
    created: bool = False
    legacy: bool = False


def lines(start: Start, *, short: bool = False) -> list[str]:
    """All of it, line by line; without what to change where it is to be short. Whoever prints it makes it safe."""
    return [*_where(start), *_trust(start), *([] if short else _changes(start))]


def address_of(start: Start) -> str:
    """The address that devices are to be given."""
    if not _is_any(start.host):
        return start.host
    return next(iter(start.addresses), _PLACEHOLDER)


def _where(start: Start) -> list[str]:
    verified = {
        True: ", its certificate is verified",
        False: ", ITS CERTIFICATE IS NOT VERIFIED (--insecure)",
        None: "",
    }
    said = [f"proxy: {_joined(start.host, start.port)} → {start.upstream}{verified[start.verified]}"]
    allowed = f"clients from {', '.join(start.allowed)} alone" if start.allowed else ""
    if _is_loopback(start.host):
        said.append(
            f"reachable from this computer alone; for devices in the network: --listen 0.0.0.0:{start.port} "
            "(with --allow CIDR)"
        )
    elif _is_any(start.host):
        shown = ", ".join(_joined(one, start.port) for one in start.addresses[:_ADDRESSES_SHOWN])
        said.append(f"reachable at {shown or 'every address of this computer'}" + (f", {allowed}" if allowed else ""))
        if not allowed:
            said.append(
                "warning: everyone in these networks can use it, and sees what devices say there; "
                "--allow CIDR limits it (--allow 192.168.1.0/24)"
            )
    else:
        said.append(
            f"reachable in the network of {start.host}" + (f", {allowed}" if allowed else "; --allow CIDR limits it")
        )
    return said


def _trust(start: Start) -> list[str]:
    said = []
    if start.fingerprint is not None:
        until = f", until {start.until:%Y-%m-%d}" if start.until is not None else ""
        made = " (made just now)" if start.created else ""
        said.append(f"CA of the proxy{made}: SHA-256 {start.fingerprint}{until}")
    if start.legacy:
        said.append(
            "warning: --legacy-tls takes TLS 1.0, TLS 1.1 and weak ciphers from devices: what they say can be read and "
            "changed on its way here"
        )
    return said


def _changes(start: Start) -> list[str]:
    """What to write where; only what can reach the proxy."""
    host, port = address_of(start), start.port
    quoted = f'"{host}"'
    if start.by_name:
        return [
            "devices go on asking for their own server, over TLS with its name (SNI); let their DNS or router lead it "
            f"to {_joined(host, port)}",
            *_of_ca(start),
        ]
    said = ["change in the device or program:"]
    if not _is_loopback(start.host):
        said += [
            f"  Arduino, plain   Blynk.begin(auth, ssid, pass, {quoted}, {port});",
            f"  Arduino, TLS     Blynk.begin(auth, ssid, pass, {quoted}, {port}, blynkscope_ca);   "
            "// BlynkSimpleEsp32_SSL.h",
            f"  MicroPython      BlynkLib.Blynk(auth, server={quoted}, port={port}, insecure=True)",
        ]
    quick = f"{{addr: {quoted}, port: {port}}}"
    said += [
        f"  Python           blynklib.Blynk(auth, server={quoted}, port={port})",
        f"                   BlynkLib.Blynk(auth, server={quoted}, port={port}, insecure=True)   # 0.2: no insecure",
        f"  JavaScript       new Blynk.Blynk(auth, {{connector: new Blynk.TcpClient({quick})}})",
        f"  Node-RED         ws://{_joined(host, port)}/websockets",
    ]
    return said + _of_ca(start)


def _of_ca(start: Start) -> list[str]:
    if start.fingerprint is None:
        return []
    return [
        "  with TLS they must trust the CA: blynkscope ca export --format c -o blynkscope_ca.h; more: blynkscope ca"
    ]


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_any(host: str) -> bool:
    try:
        return ip_address(host.partition("%")[0]).is_unspecified
    except ValueError:
        return not host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
