"""Cipher suites under the names that libraries give them, and lists of suites as people paste them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import msgspec

from blynkscope.probe.model import SuiteName
from blynkscope.protocol import tls, tls_suites
from blynkscope.protocol.tls_suites import NEW, is_grease, suite_name
from blynkscope.wire.hellos import read_client_hello

SIGNALS = frozenset({0x00FF, 0x5600})
"""Entries of a list of suites that are none: safe renegotiation, and a repeated connection with an older version."""
TEXT_MAX = 256 * 1024
"""Characters of a pasted list that are read: a log with a list in it, and not the log of a year."""
LIST_MAX = 512
"""Suites of one list: more than the registry has."""
UNKNOWN_MAX = 50
"""Names that nobody knows and that are told."""

_AXTLS = {0x2F: "SSL_AES128_SHA", 0x35: "SSL_AES256_SHA", 0x3C: "SSL_AES128_SHA256", 0x3D: "SSL_AES256_SHA256"}
"""All that axTLS (ESP8266 before 2018) can do."""
_EXCHANGES = {
    "RSA": "", "DHE_RSA": "DHE-RSA", "DHE_DSS": "DHE-DSS", "DH_anon": "ADH", "ECDH_anon": "AECDH",
    "ECDHE_RSA": "ECDHE-RSA", "ECDHE_ECDSA": "ECDHE-ECDSA", "ECDH_RSA": "ECDH-RSA", "ECDH_ECDSA": "ECDH-ECDSA",
    "DH_RSA": "DH-RSA", "DH_DSS": "DH-DSS", "PSK": "PSK", "DHE_PSK": "DHE-PSK", "RSA_PSK": "RSA-PSK",
    "ECDHE_PSK": "ECDHE-PSK", "PSK_DHE": "DHE-PSK", "SRP_SHA": "SRP", "SRP_SHA_RSA": "SRP-RSA",
    "SRP_SHA_DSS": "SRP-DSS", "RSA_EXPORT": "EXP", "DHE_RSA_EXPORT": "EXP-DHE-RSA", "DHE_DSS_EXPORT": "EXP-DHE-DSS",
    "DH_anon_EXPORT": "EXP-ADH",
}  # fmt: skip
"""How OpenSSL writes a key exchange."""
_CIPHERS = {
    "3DES_EDE_CBC": "DES-CBC3", "DES_CBC": "DES-CBC", "DES40_CBC": "DES-CBC", "RC4_128": "RC4", "RC4_40": "RC4",
    "RC2_CBC_40": "RC2-CBC", "IDEA_CBC": "IDEA-CBC", "SEED_CBC": "SEED", "NULL": "NULL",
    "CHACHA20_POLY1305": "CHACHA20-POLY1305",
}  # fmt: skip
_BLOCK = re.compile(r"(AES|CAMELLIA|ARIA)_(128|256)_(CBC|GCM|CCM_8|CCM)")
_NOT_MBEDTLS = re.compile(r"DSS|DH_RSA_|anon|EXPORT|KRB5|GOST|SRP|SEED|IDEA|RC2|SM4|ECCPWD|SHA256_SHA256|SHA384_SHA384")


@cache
def numbers() -> tuple[int, ...]:
    """All suites of the registry that may be agreed on, in its order: no signals, nor the one for "none yet" (0)."""
    return tuple(number for number in tls_suites.numbers() if number and number not in SIGNALS)


def openssl_name(number: int) -> str | None:
    """The name that OpenSSL gives (or gave) a suite; None for those that it never had."""
    name = suite_name(number)
    if name.startswith("0x"):
        return None
    exchange, _, protection = name.removeprefix("TLS_").rpartition("_WITH_")
    if not exchange:
        return name if number in NEW else None
    if exchange not in _EXCHANGES:
        return None
    prefix = _EXCHANGES[exchange]
    cipher, _, digest = protection.rpartition("_")
    if digest == "CCM" or protection.endswith("CCM_8"):
        cipher, digest = protection, ""
    block = _BLOCK.fullmatch(cipher)
    if block is not None:
        family, bits, mode = block.groups()
        if mode == "CBC":
            if family == "ARIA":
                return None
            if exchange.startswith("SRP"):
                cipher = f"{family}-{bits}-CBC"
            else:
                cipher = f"{family}{bits}" + ("-CBC" if "PSK" in exchange and family == "AES" else "")
        else:
            cipher = f"{family}{bits}-{mode.replace('_', '')}"
        if family == "ARIA" and exchange == "ECDHE_RSA":
            prefix = "ECDHE"  # so it is
    elif cipher in _CIPHERS:
        cipher = _CIPHERS[cipher]
        if cipher == "CHACHA20-POLY1305":
            digest = ""
    else:
        return None
    return "-".join(part for part in (prefix, cipher, digest) if part)


def mbedtls_name(number: int) -> str | None:
    """The name in the configuration and the logs of mbedTLS (ESP32); None for what it never had."""
    name = suite_name(number)
    if not name.startswith("TLS_") or _NOT_MBEDTLS.search(name):
        return None
    if number in NEW:
        name = name.replace("TLS_", "TLS1_3_", 1)
    return name.replace("_", "-")


def named(number: int) -> SuiteName:
    """A suite with all its names."""
    return SuiteName(
        f"0x{number:04x}", suite_name(number), openssl_name(number), mbedtls_name(number), _AXTLS.get(number)
    )


def exchange_of(number: int) -> str:
    """How keys are exchanged: "ECDHE_RSA", "RSA", …; "TLS 1.3" where the suite does not tell."""
    if number in NEW:
        return "TLS 1.3"
    return suite_name(number).removeprefix("TLS_").rpartition("_WITH_")[0] or "unknown"


def certificate_of(number: int) -> str:
    """The key that the server's certificate must have: RSA, ECDSA, DSS, none, or "any" in TLS 1.3."""
    exchange = exchange_of(number)
    if exchange == "TLS 1.3":
        return "any"
    for kind in ("ECDSA", "DSS", "RSA"):
        if exchange.endswith(kind) or kind in exchange.split("_"):
            return kind
    return "none"


_WEAK = (
    ("NULL", "nothing is encrypted"),
    ("_anon_", "nobody is authenticated"),
    ("EXPORT", "weakened for export, broken"),
    ("RC4", "RC4, broken"),
    ("RC2", "RC2, broken"),
    ("_DES_CBC", "DES, broken"),
    ("DES40", "DES, broken"),
    ("3DES", "3DES, weak"),
    ("_MD5", "MD5, weak"),
    ("IDEA", "outdated"),
)


def weakness(number: int) -> str | None:
    """What is wrong with a suite; None where it is only old (RSA key exchange, CBC) or good."""
    name = suite_name(number)
    return next((what for part, what in _WEAK if part in name), None)


class Listed(msgspec.Struct, frozen=True):
    """A pasted list, read: suites in their order, names and codes that nobody knows, and signals in it."""

    suites: tuple[int, ...]
    unknown: tuple[str, ...] = ()
    signals: tuple[int, ...] = ()


@cache
def _by_key() -> dict[str, int]:
    found: dict[str, int] = {}
    for number in (*numbers(), *sorted(SIGNALS)):
        iana = suite_name(number)
        for name in (iana, iana.replace("_WITH_", "_"), openssl_name(number), mbedtls_name(number)):
            if name is not None:
                found.setdefault(_key(name), number)
        # Older OpenSSL wrote EDH for DHE.
        openssl = openssl_name(number)
        if openssl is not None and "DHE-" in openssl and "ECDHE" not in openssl:
            found.setdefault(_key(openssl.replace("DHE-", "EDH-")), number)
    return found


def _find(name: str) -> int | None:
    """A suite by any of its names. TLS_AES_128_GCM_SHA256 and OpenSSL's AES128-GCM-SHA256 are two: the prefix counts
    where it can."""
    known, key = _by_key(), _key(name)
    number = known.get(key)
    if number is not None:
        return number
    bare = key.removeprefix("TLS").removeprefix("SSL")
    return known.get("TLS" + bare, known.get(bare)) if bare != key else known.get("TLS" + key)


def _key(name: str) -> str:
    upper = name.upper()
    for prefix in ("MBEDTLS_", "BR_", "WOLFSSL_"):
        upper = upper.removeprefix(prefix)
    return upper.replace("_", "").replace("-", "")


_NAME = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]++(?:[-_][A-Za-z0-9]++)+")
_CODE = re.compile(
    r"0x([0-9a-f]{2})\s*+[,;\s]\s*+0x([0-9a-f]{2})(?![0-9a-f])|0x([0-9a-f]{4})(?![0-9a-f])|"
    r"(?<![\w.:-])([0-9a-f]{4})(?![\w.:-])",
    re.IGNORECASE,
)
_PAIR = re.compile(r"""(?:^|[,;(\[{"'])\s{0,8}([0-9a-f]{2}) ([0-9a-f]{2})(?=\s{0,8}(?:$|[,;)\]}"']))""", re.IGNORECASE)
"""A code of two bytes on its own between commas or brackets."""
_DIGITS = re.compile(r"(?:0x)?([0-9a-f]{4}|[0-9a-f]{2})\Z", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s,;:{}\[\]()|\"'\\]+")
_LOOKS_LIKE = re.compile(r"(?:TLS|SSL|MBEDTLS|BR_TLS)[-_].+[-_]WITH[-_]|.*[-_]WITH[-_](?:AES|3DES|RC4|CHACHA)", re.I)


def read_list(text: str) -> Listed:
    """The suites in a text: names in any library's notation, codes (0xC02F, c0 2f), a ClientHello in hex, with noise.

    Names count wherever they stand; codes of four digits where `0x` is before them, or where they are known ones and
    hold a letter; runs of hex digits only where a line holds nothing else. Linear in the size of the text.
    """
    found: dict[int, None] = {}
    unknown: dict[str, None] = {}
    signals: dict[int, None] = {}
    for number, word in _entries(text[:TEXT_MAX]):
        if number is None:
            if len(unknown) < UNKNOWN_MAX:
                unknown[word[:80]] = None
        elif number in SIGNALS:
            signals[number] = None
        elif not is_grease(number) and len(found) < LIST_MAX:
            found[number] = None
    return Listed(tuple(found), tuple(unknown), tuple(signals))


def _entries(text: str) -> Iterator[tuple[int | None, str]]:
    whole = _hello(text)
    if whole:
        yield from ((number, "") for number in whole)
        return
    for line in text.splitlines():
        words = [word for word in _SEPARATORS.split(line) if word]
        if words and all(_DIGITS.match(word) for word in words):
            yield from _codes(words)
            continue
        yield from _in_prose(line)


def _in_prose(line: str) -> Iterator[tuple[int | None, str]]:
    named: list[tuple[int, int | None, str]] = []
    last = None
    for match in _NAME.finditer(line):
        number = _find(match[0])
        if number is not None or _LOOKS_LIKE.match(match[0]):
            named.append((match.start(), number, match[0]))
    for match in _CODE.finditer(line):
        high, low, four, bare = match.groups()
        number = int(high + low, 16) if high else int(four or bare, 16)
        is_known = suite_name(number).startswith("TLS_")
        if bare and not (is_known and not bare.isdecimal()):
            continue
        named.append((match.start(), number if is_known or is_grease(number) else None, match[0]))
    for match in _PAIR.finditer(line):
        number = int(match[1] + match[2], 16)
        if suite_name(number).startswith("TLS_") and not (match[1] + match[2]).isdecimal():
            named.append((match.start(1), number, match[0]))
    for _, number, word in sorted(named, key=lambda entry: entry[0]):
        # A code behind a name says the same again; a code that nobody knows is no news behind one.
        if number is None and last is not None and word[:2].lower() == "0x":
            continue
        last = number
        yield number, word


def _codes(words: list[str]) -> Iterator[tuple[int | None, str]]:
    held = ""
    for word in words:
        digits = word.removeprefix("0x").removeprefix("0X")
        held += digits
        if len(held) >= 4:
            number = int(held[:4], 16)
            is_known = suite_name(number).startswith("TLS_") or is_grease(number)
            yield (number if is_known else None), f"0x{held[:4].lower()}"
            held = held[4:]


def _hello(text: str) -> list[int]:
    """The suites of a ClientHello in hex, where the text is one."""
    words = [word.removeprefix("0x") for word in _SEPARATORS.split(text.lower()) if word]
    digits = "".join(words)
    if len(digits) < 80 or len(digits) % 2 or not re.fullmatch(r"[0-9a-f]+", digits):
        return []
    data = bytes.fromhex(digits)
    if data[0] == tls.HANDSHAKE and data[1] == 3:
        data = data[tls.HEADER_SIZE :]
    if data[:1] != bytes([tls.CLIENT_HELLO]) or data[1] != 0:
        return []
    hello = read_client_hello(data[4 : 4 + int.from_bytes(data[1:4], "big")])
    return hello.ciphers if hello is not None else []
