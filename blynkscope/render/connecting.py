"""What a proxy says at its start: where it listens, who can reach it, and what to change in a sketch or program."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address

import msgspec

_PLACEHOLDER = "ADDRESS-OF-THIS-COMPUTER"
_ADDRESSES_SHOWN = 6
WIDTH = 80
_NARROWEST = 40
_COPIED = "  "
_MARGIN = " " * 15
_ESP8266 = (
    "  ESP8266, TLS static BearSSL::X509List trusted(blynkscope_ca);",
    f"{_MARGIN}client.setTrustAnchors(&trusted);   // its BearSSL client",
    f"{_MARGIN}// set the clock before, with configTime()",
)


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


def lines(start: Start, *, short: bool = False, width: int = WIDTH) -> list[str]:
    """All of it, line by line; without what to change where it is to be short. Whoever prints it makes it safe.

    Sentences are wrapped at `width` columns. What is to be copied stays in one piece, however wide it is.
    """
    said = [line for text in (*_where(start), *reach(start), *trust(start)) for line in wrapped(text, width)]
    return said if short else [*said, *changes(start, width)]


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
    return [f"proxy: {joined(start.host, start.port)} → {start.upstream}{verified[start.verified]}"]


def reach(start: Start) -> list[str]:
    """Who can reach it."""
    said = []
    allowed = f"clients from {', '.join(start.allowed)} alone" if start.allowed else ""
    if _is_loopback(start.host):
        every = f"[::]:{start.port}" if ":" in start.host else f"0.0.0.0:{start.port}"
        said.append(
            f"reachable from this computer alone; for devices in the network: --listen {every} (with --allow CIDR)"
        )
    elif _is_any(start.host):
        shown = ", ".join(joined(one, start.port) for one in start.addresses[:_ADDRESSES_SHOWN])
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


def trust(start: Start, whose: str = "the proxy") -> list[str]:
    """What devices must trust for TLS, and what is wrong with that."""
    said = []
    if start.fingerprint is not None:
        until = f", until {start.until:%Y-%m-%d}" if start.until is not None else ""
        made = " (made just now)" if start.created else ""
        said += [f"CA of {whose}{made}{until}, SHA-256:", f"{_COPIED}{start.fingerprint}"]
    if start.legacy:
        said.append(
            "warning: --legacy-tls takes TLS 1.0, TLS 1.1 and weak ciphers from devices: what they say can be read and "
            "changed on its way here"
        )
    return said


def wrapped(text: str, width: int) -> list[str]:
    """A sentence as lines; what is to be copied as one."""
    if text.startswith(_COPIED):
        return [text]
    return textwrap.wrap(
        text, max(width, _NARROWEST), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def changes(start: Start, width: int, *, secure: int | None = None) -> list[str]:
    """What to write where; only what can reach it. `secure` is the port of TLS where that is another one."""
    host, port = address_of(start), start.port
    quoted = f'"{host}"'
    if start.by_name:
        text = (
            "devices go on asking for their own server, over TLS with its name (SNI); let their DNS or router lead it "
            f"to {joined(host, port)}"
        )
        return [*wrapped(text, width), *_of_ca(start, secure=True)]
    library = [f"BlynkLib.Blynk(auth, server={quoted}, port={port},", "     insecure=True)"]
    said = ["change in the device or program:"]
    if not _is_loopback(start.host):
        said += [
            f"  Arduino      Blynk.begin(auth, ssid, pass, {quoted}, {port});",
            f"  ESP32, TLS   Blynk.begin(auth, ssid, pass, {quoted}, {secure or port},",
            f"{_MARGIN}     blynkscope_ca);   // BlynkSimpleEsp32_SSL.h",
            *([] if start.fingerprint is None else _ESP8266),
            f"  MicroPython  {library[0]}",
            f"{_MARGIN}{library[1]}",
        ]
    said += [
        f"  Python       blynklib.Blynk(auth, server={quoted}, port={port})",
        f"{_MARGIN}{library[0]}",
        f"{_MARGIN}{library[1]}   # not in BlynkLib 0.2",
        "  JavaScript   new Blynk.Blynk(auth, {connector:",
        f"{_MARGIN}  new Blynk.TcpClient({{addr: {quoted}, port: {port}}})}})",
        f"  Node-RED     ws://{joined(host, port)}/websockets",
    ]
    return said + _of_ca(start, secure=False)


def _of_ca(start: Start, *, secure: bool) -> list[str]:
    """How devices come to trust the CA; `secure` where no other lines say what a sketch does with it."""
    if start.fingerprint is None:
        return []
    return [
        *(_ESP8266 if secure and not _is_loopback(start.host) else []),
        "  with TLS they must trust the CA (more: blynkscope ca):",
        f"{_MARGIN}blynkscope ca export --format c -o blynkscope_ca.h",
    ]


def joined(host: str, port: int) -> str:
    """An address and a port as URLs have them."""
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
