"""Where secrets stand in bytes, told by what stands around them. Linear in the length; never fails.

The expressions are those that keep secrets out of every output (`render.patterns`), in ASCII, and a few for what is
secret in files that people share only: names of networks, and with `hosts` names, addresses and hardware numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from blynkscope.protocol import commands
from blynkscope.protocol.model import Dialect
from blynkscope.render import patterns
from blynkscope.render.redact import PACKED_COMMANDS, SECRET_COMMANDS
from blynkscope.scrub.vault import Kind

Spot = tuple[int, int, Kind]
"""Start, end, kind."""


_NAMED = tuple((patterns.in_bytes(pattern), group) for pattern, group in patterns.NAMED)
_MAIL = patterns.in_bytes(patterns.MAIL)
WHOLE_TOKEN = patterns.WHOLE_TOKEN_BYTES
_MQTT_LOGIN = re.compile(rb"\x00\x06device\x00([\x10-\x40])([A-Za-z0-9_-]{16,64})")

_CONNECTING = re.compile(rb"\] Connecting to (?!WiFi\b|[\w.-]++:\d)([^\r\n]{1,32}?)[ .]*+[\r\n]")
_JOINED = re.compile(
    rb"(?:Connected to|Connecting to) (?:WiFi|SSID|network|AP):? [\"']?([^\"'\r\n]{1,32}?)[\"']?[ .]*+[\r\n]"
)

_OCTET = rb"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = re.compile(
    rb"(?<![\w.])(?<!ersion:)(?<!ersion )((?!127\.|0\.0\.0\.0)"
    + _OCTET
    + rb"(?:\."
    + _OCTET
    + rb"){3})(?![\w.]*\.\d|\d|\w)"
)
_URL_HOST = re.compile(rb"://(?:[^/\s@\"'<>]{1,256}@)?([A-Za-z][A-Za-z0-9_.-]{0,253})")
_HOST_HEADER = re.compile(rb"(?:^|\n)host:[ \t]*+([A-Za-z][A-Za-z0-9_.-]*+)", re.IGNORECASE)
_HOST_PORT = re.compile(
    rb"(?:Connecting to|Redirecting to|Connect\(\S?|openssl-connect:) ?"
    rb"([A-Za-z][A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]++)*+)[:,\"]"
)
_MAC = re.compile(rb"(?<![\w:-])((?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2})(?![\w:-])")
_IMEI = re.compile(rb"(?:IMEI|GSN|CCID|ICCID|IMSI|CIMI)[^\d\r\n]{0,12}[\r\n]{0,4}(\d{14,20})(?!\d)", re.IGNORECASE)

_SECRET_WORDS = tuple(word.encode() for word in patterns.SECRET_WORDS)
_HOSTS = frozenset({Kind.ADDRESS, Kind.HOST, Kind.HARDWARE})
_GUARDED: tuple[tuple[Kind, tuple[bytes, ...], re.Pattern[bytes], int], ...] = (
    *(
        (Kind(kind), tuple(word.encode() for word in words), patterns.in_bytes(pattern), group)
        for kind, words, pattern, group in patterns.SHAPES
    ),
    (Kind.SSID, (b"connecting to",), _CONNECTING, 1),
    (Kind.SSID, (b"connected to", b"connecting to"), _JOINED, 1),
    (Kind.ADDRESS, (b".",), _IPV4, 1),
    (Kind.HOST, (b"://",), _URL_HOST, 1),
    (Kind.HOST, (b"host:",), _HOST_HEADER, 1),
    (Kind.HOST, (b"connect", b"redirecting"), _HOST_PORT, 1),
    (Kind.HARDWARE, (b":", b"-"), _MAC, 1),
    (Kind.HARDWARE, (b"imei", b"gsn", b"ccid", b"imsi", b"cimi"), _IMEI, 1),
)
"""Kind, words without which nothing is found (in lower case), expression, group."""


_SHORT = 512
_WORTH = re.compile(rb"[@=:/\"'\r\n-]|%40|token|auth|ssid|pass|pwd|psk|wifi|device", re.IGNORECASE)
"""What the body of a frame must have for anything to be found in it; nearly none has."""


def spots(data: bytes, *, hosts: bool) -> Iterator[Spot]:
    """Secrets that words and signs around them tell.

    Args:
        data: Text, or bytes with text in them.
        hosts: True to find host names, addresses and hardware numbers too.
    """
    if len(data) < _SHORT and _WORTH.search(data) is None:
        return
    low = data.lower()
    if any(word in low for word in _SECRET_WORDS):
        for pattern, group in _NAMED:
            for match in pattern.finditer(data):
                if match[group]:
                    yield *match.span(group), Kind(patterns.kind_of(match[1].decode()))
    for kind, words, pattern, group in _GUARDED:
        if kind in _HOSTS and not hosts:
            continue
        if any(word in low for word in words):
            for match in pattern.finditer(data):
                if secret := match[group]:
                    yield *match.span(group), Kind.MAIL if b"@" in secret and _MAIL.fullmatch(secret) else kind
    for match in _MQTT_LOGIN.finditer(data) if b"\0\x06device\0" in data else ():
        yield match.start(2), min(match.end(2), match.start(2) + match[1][0]), Kind.TOKEN


_LIKE_TOKEN = re.compile(
    rb"(?<![A-Za-z0-9_-])%s(?=[A-Za-z_-]*+\d)(?=[\d_-]*+[A-Za-z])[A-Za-z0-9_-]{%d,}+"
    % (patterns.NO_TOKEN.encode("ascii"), patterns.TOKEN_PART)
)


def likely(data: bytes, *, hosts: bool) -> Iterator[Spot]:
    """`spots`, and whatever has the form of a token or of a part of one: for bytes that belong to no frame."""
    yield from spots(data, hosts=hosts)
    for match in _LIKE_TOKEN.finditer(data):
        yield *match.span(), Kind.TOKEN


_SCHEMA_KINDS = {"token": Kind.TOKEN, "email": Kind.MAIL, "password": Kind.PASSWORD}


def frame_spots(cmd: int, body: bytes, dialect: Dialect, *, hosts: bool) -> Iterator[Spot]:
    """Secrets in the body of a frame: those that its schema declares, and those that text in it tells."""
    if cmd in SECRET_COMMANDS:
        row = commands.find(cmd, dialect)
        if cmd in commands.LOGINS and (b"@" in body.partition(b"\0")[0] or body.count(b"\0") > 1):
            # The login of an app, in whichever dialect it was read.
            row = commands.find(commands.LOGIN, Dialect.APP)
        for span in row.body.secrets(body) if row else ():
            kind = _SCHEMA_KINDS.get(span.secret or "", Kind.TOKEN)
            yield span.start, span.end, Kind.MAIL if b"@" in span.raw and kind is Kind.TOKEN else kind
    if cmd in PACKED_COMMANDS and body[:1] == b"\x78":
        yield 0, len(body), Kind.PACKED
        return
    if hosts and cmd == commands.REDIRECT:
        end = body.find(b"\0")
        host = body if end < 0 else body[:end]
        if host.strip(b"0123456789."):
            yield 0, len(host), Kind.HOST
    yield from spots(body, hosts=hosts)
