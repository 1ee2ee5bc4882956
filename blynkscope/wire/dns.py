"""DNS messages: which name was asked for, and what the answer was (RFC 1035)."""

from __future__ import annotations

import msgspec

PORT = 53

QUESTIONS_MAX = 8
"""Questions of one message that are read; resolvers ask one at a time."""
ANSWERS_MAX = 128
"""Answers of one message that are read: more than fit a datagram of the usual 1232 bytes."""
NAME_MAX = 255
"""Bytes of a name (RFC 1035, section 2.3.4)."""

JUMPS_MAX = 127
"""Pointers that one name may follow: a name has no more labels, and each part of it should hold one or more."""

_HEADER_SIZE = 12
_A, _CNAME, _AAAA = 1, 5, 28
_KINDS = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 65: "HTTPS",
          255: "ANY"}  # fmt: skip
_INTERNET = 1
_RCODES = (
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE",
)  # fmt: skip
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*")


class Answer(msgspec.Struct, frozen=True):
    """One DNS message, a question or the answer to one.

    Names are in lower case and without the dot at the end; bytes that belong in no host name are written `\\DDD`.
    """

    id: int
    is_response: bool
    rcode: str
    """`NOERROR`, `NXDOMAIN`, …, or `RCODE11` where no RFC names it; `NOERROR` in a question."""
    questions: tuple[str, ...]
    kinds: tuple[str, ...]
    """What was asked for, by question: `A`, `AAAA`, …, or `TYPE64`."""
    addresses: tuple[str, ...] = ()
    """Of the A and AAAA records."""
    aliases: tuple[str, ...] = ()
    """Where CNAME records lead, in order."""
    truncated: bool = False
    """The message, or what the capture kept of it, ends before its last record."""

    @property
    def question(self) -> str:
        """The name that was asked for first."""
        return self.questions[0]


def parse(data: bytes) -> Answer | None:
    """Read a DNS message.

    Args:
        data: The payload of a datagram, whole or cut by the capture.

    Returns:
        What it says, or None where it is no query or answer of DNS with a readable question. Linear in the size of
        the message.
    """
    if len(data) < _HEADER_SIZE:
        return None
    flags, asked, answered = (data[at] << 8 | data[at + 1] for at in (2, 4, 6))
    # Operations other than a query (dynamic updates, notifications) say nothing about a connection.
    if flags & 0x7800 or not 0 < asked <= QUESTIONS_MAX:
        return None
    names, kinds, at = [], [], _HEADER_SIZE
    for _ in range(asked):
        read = _name(data, at)
        if read is None or read[1] + 4 > len(data):
            return None
        name, at = read
        names.append(name)
        kind = data[at] << 8 | data[at + 1]
        kinds.append(_KINDS.get(kind, f"TYPE{kind}"))
        at += 4
    response, code = bool(flags & 0x8000), flags & 0x000F
    rcode = _RCODES[code if response else 0] if code < len(_RCODES) or not response else f"RCODE{code}"
    addresses, aliases, whole = _records(data, at, answered if response else 0)
    return Answer(
        data[0] << 8 | data[1], response, rcode, tuple(names), tuple(kinds), addresses, aliases,
        bool(flags & 0x0200) or not whole,
    )  # fmt: skip


def _records(data: bytes, at: int, count: int) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Addresses, aliases, and whether all records could be read."""
    addresses: list[str] = []
    aliases: list[str] = []
    for _ in range(min(count, ANSWERS_MAX)):
        read = _name(data, at)
        if read is None or read[1] + 10 > len(data):
            return tuple(addresses), tuple(aliases), False
        at = read[1]
        kind, group, size = (data[place] << 8 | data[place + 1] for place in (at, at + 2, at + 8))
        at += 10
        content = data[at : at + size]
        if len(content) < size:
            return tuple(addresses), tuple(aliases), False
        if group == _INTERNET:
            if kind == _A and size == 4:
                addresses.append(".".join(map(str, content)))
            elif kind == _AAAA and size == 16:
                addresses.append(_version_six(content))
            elif kind == _CNAME and (alias := _name(data, at)) is not None:
                aliases.append(alias[0])
        at += size
    return tuple(addresses), tuple(aliases), count <= ANSWERS_MAX


def _name(data: bytes, at: int) -> tuple[str, int] | None:
    """A name and the place behind it; None where it is none.

    A pointer must lead to a place before the name (or the part of it) that it ends, so that no chain of pointers
    comes back to where it was.
    """
    labels: list[str] = []
    size, jumps, begin, behind = 0, 0, at, -1
    while at < len(data):
        length = data[at]
        if length >= 0xC0:
            if at + 1 >= len(data):
                return None
            target = (length & 0x3F) << 8 | data[at + 1]
            if behind < 0:
                behind = at + 2
            jumps += 1
            if target >= begin or jumps > JUMPS_MAX:
                return None
            at = begin = target
        elif length >= 0x40:
            return None
        elif length:
            size += length + 1
            if size >= NAME_MAX or at + 1 + length > len(data):
                return None
            labels.append(_label(data[at + 1 : at + 1 + length]))
            at += 1 + length
        else:
            return ".".join(labels), at + 1 if behind < 0 else behind
    return None


def _version_six(raw: bytes) -> str:
    from ipaddress import IPv6Address

    return str(IPv6Address(raw))


def _label(raw: bytes) -> str:
    return "".join(chr(byte).lower() if byte in _PLAIN else f"\\{byte:03d}" for byte in raw)
