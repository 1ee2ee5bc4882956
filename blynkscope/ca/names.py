"""Names that a certificate may hold. What a client says (SNI) is hostile input: it is cleaned here, or left out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

NAMES_MAX = 16
"""Names of one leaf: those of the upstream, of the listening address and the SNI; more only make it larger."""
HOST_MAX = 253
"""Characters of a host name (RFC 1035)."""
_RAW_MAX = 512
"""Characters that are looked at before anything is worked out of them; IDNA takes quadratic time."""

Address = IPv4Address | IPv6Address

_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")


def address(text: str) -> Address | None:
    """The IP address that a text stands for, or None. A zone is left out, and IPv4 in IPv6 clothes is IPv4."""
    bare = text[:_RAW_MAX].strip().removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def host(text: str) -> str | None:
    """A host name in lower-case ASCII (IDNA), without a closing dot; None for what is none.

    Wildcards are none: a leaf is made for the name that was asked for. Names that end in a number are none either,
    because programs take them for addresses in odd notations (`127.1`, `0x7f000001`).
    """
    if len(text) > _RAW_MAX:
        return None
    bare = text.removesuffix(".")
    if not bare.isascii():
        if len(bare) > HOST_MAX:
            return None
        try:
            bare = bare.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    bare = bare.lower()
    if len(bare) > HOST_MAX or not _HOST.fullmatch(bare) or _NUMBER.fullmatch(bare.rpartition(".")[2]):
        return None
    return bare


def clean(names: Iterable[str]) -> tuple[str, ...]:
    """Host names and addresses in their one spelling, each once, at most `NAMES_MAX`, in their order.

    What is neither is left out, so that the result may be empty.
    """
    found: dict[str, None] = {}
    for name in names:
        at = address(name)
        text = str(at) if at is not None else host(name)
        if text is not None:
            found[text] = None
            if len(found) == NAMES_MAX:
                break
    return tuple(found)
