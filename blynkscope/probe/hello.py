"""ClientHellos built by hand: TLS libraries of today cannot offer what old devices do, nor one suite alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ipaddress import ip_address

from blynkscope.protocol import tls

SSL_3_0 = 0x0300
VERSIONS = (tls.TLS_1_2, tls.TLS_1_3, tls.TLS_1_1, tls.TLS_1_0, SSL_3_0)
"""In the order in which they are tried: what matters to most devices first."""
GROUPS_OLD = (29, 23, 24, 25, 30, 22, 21, 19, 26, 27, 28, 256, 257, 258)
"""Groups that are offered up to TLS 1.2: all that a device may have."""
GROUPS_NEW = (29, 23, 24, 25, 30, 256, 257, 258, 4588)
_SIGNATURES = (
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B, 0x0401, 0x0501, 0x0601,
    0x0303, 0x0301, 0x0203, 0x0201, 0x0202, 0x0402, 0x0502, 0x0602, 0x0302,
)  # fmt: skip
"""Signature algorithms: all, so that never a signature but the suite decides."""
_EXT_KEY_SHARE, _EXT_POINTS, _EXT_RENEGOTIATION, _EXT_PSK_MODES = 51, 11, 0xFF01, 45
_X25519 = 29


def client_hello(
    version: int,
    suites: Sequence[int],
    *,
    name: str | None = None,
    groups: Sequence[int] | None = None,
    older: bool = False,
    share: bool = True,
) -> bytes:
    """A ClientHello in its record.

    Args:
        version: The highest version that is offered.
        suites: In the order of preference.
        name: For SNI; an address is left out, as RFC 6066 asks for.
        groups: Supported groups; all of them without.
        older: With TLS 1.3 as the highest version: offer those before it, too.
        share: In TLS 1.3 send a key for x25519. Without, a server names the group that it prefers.
    """
    new = version >= tls.TLS_1_3
    if groups is None:
        groups = GROUPS_OLD if not new else (*GROUPS_NEW, *(one for one in GROUPS_OLD if one not in GROUPS_NEW))
    legacy = min(version, tls.TLS_1_2)
    body = legacy.to_bytes(2, "big") + os.urandom(tls.RANDOM_SIZE)
    # A session id is what middle boxes expect of TLS 1.3.
    body += _part(1, os.urandom(32) if new else b"")
    body += _part(2, _numbers(suites)) + b"\x01\x00"
    extensions = _extensions(version, name, groups, older=older, share=share, new=new)
    if version > SSL_3_0:
        body += _part(2, extensions)
    message = bytes([tls.CLIENT_HELLO]) + _part(3, body)
    record_version = min(version, tls.TLS_1_0)
    return bytes([tls.HANDSHAKE]) + record_version.to_bytes(2, "big") + _part(2, message)


def _extensions(version: int, name: str | None, groups: Sequence[int], *, older: bool, share: bool, new: bool) -> bytes:
    made = b""
    if (sni := server_name(name)) is not None:
        made += _extension(tls.EXT_SERVER_NAME, _part(2, b"\0" + _part(2, sni)))
    made += _extension(tls.EXT_GROUPS, _part(2, _numbers(groups))) + _extension(_EXT_POINTS, b"\x01\x00")
    if version >= tls.TLS_1_2:
        made += _extension(tls.EXT_SIGNATURES, _part(2, _numbers(_SIGNATURES)))
    made += _extension(_EXT_RENEGOTIATION, b"\0")
    if new:
        versions = [version] + ([tls.TLS_1_2, tls.TLS_1_1, tls.TLS_1_0] if older else [])
        made += _extension(tls.EXT_VERSIONS, _part(1, _numbers(versions)))
        made += _extension(_EXT_PSK_MODES, b"\x01\x01")
        # Any 32 bytes are a key of x25519.
        shares = _X25519.to_bytes(2, "big") + _part(2, os.urandom(32)) if share and _X25519 in groups else b""
        made += _extension(_EXT_KEY_SHARE, _part(2, shares))
    return made


def server_name(name: str | None) -> bytes | None:
    """What SNI says for a host: None for addresses and for what is no name."""
    if not name:
        return None
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        pass
    else:
        return None
    try:
        sni = name.rstrip(".").encode("ascii")
    except UnicodeEncodeError:
        try:
            sni = name.rstrip(".").encode("idna")
        except UnicodeError:
            return None
    return sni if 0 < len(sni) < 256 else None


def _part(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width, "big") + content


def _extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2, "big") + _part(2, content)


def _numbers(numbers: Sequence[int]) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)
