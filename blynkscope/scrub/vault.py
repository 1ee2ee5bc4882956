"""What was learned to be secret, and the placeholder of each: as long as the secret, plain ASCII, in its alphabet.

Numbers are given in the order of learning, when the first placeholder is asked for: then everything is known, and no
number is given that stands in the input already, as it does in a file that was cleaned before.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from blynkscope.errors import CaptureError
from blynkscope.protocol.limits import TOKEN_LENGTH

SECRETS_MAX = 20_000
"""Different secrets of one file: more than any recording of real devices, and few enough to keep."""
SHORTEST_KNOWN = 6
"""A shorter secret is replaced only where its place tells that it is one: elsewhere it would be found by accident."""

PIECE = 8
"""Characters of a token that are taken for a part of it: 32 random bits or more."""
VARIETY = 4
"""Different characters that a piece must have to be one: runs of zeros stand everywhere."""

PASSED_OVER_MAX = 10 * SECRETS_MAX
"""Placeholders of one file that are not given because they hold a piece of a secret; more are made up for that."""
_KEPT_MAX = 16
"""Numbers that are tried where a whole secret stands in a placeholder."""
_ALIKE = 16
"""Secrets with the same beginning that placeholders are compared with."""


class Kind(StrEnum):
    """What a secret is; the values are the keys of the count."""

    TOKEN = "token"  # noqa: S105
    MAIL = "email"
    PASSWORD = "password"  # noqa: S105
    CREDENTIALS = "credentials"
    """The value of an HTTP header that lets somebody in: Authorization, Cookie."""
    SSID = "ssid"
    HOST = "host"
    ADDRESS = "address"
    """An IP address."""
    HARDWARE = "hardware-id"
    """A MAC address, or the IMEI or ICCID of a modem."""
    PACKED = "compressed-body"


_HEX = re.compile(rb"[0-9a-f]++|[0-9A-F]++")
_SCHEME = re.compile(rb"([A-Za-z]++[ \t]++)(.*+)", re.DOTALL)
_BLANK = re.compile(rb"([*xX.?\x00#-])\1*+")
_OWN_HEX = "c0de"
_PART = 16
_OWN_MAIL = re.compile(rb"(?:mail\d++|[x.]++)++(?:@|%40)(?:mail\d++|[x.]++)++")
_OWN = re.compile(rb"(?:TOKEN|PASS|SSID|SECRET)\d++x*+|(?:c0de|C0DE)[0-9A-Fa-f]{4}0++")
"""What a run before this one put in place of a secret."""
_ESCAPED_AT = b"%40"
_WORDS = {Kind.TOKEN: "TOKEN", Kind.MAIL: "mail", Kind.PASSWORD: "PASS", Kind.SSID: "SSID", Kind.HOST: "host",
          Kind.CREDENTIALS: "SECRET"}  # fmt: skip
_PUBLIC_CLOUDS = re.compile(
    rb"(?:[a-z0-9-]+\.)?blynk\.cloud|blynk-cloud\.com|cloud\.blynk\.cc|localhost|bit\.ly", re.IGNORECASE
)
_NO_NETWORK = frozenset(
    word.encode()
    for word in (
        "db", "the db", "database", "the database", "postgres", "postgresql", "mysql", "redis", "mongodb", "influxdb",
        "server", "the server", "blynk", "blynk server", "blynk cloud", "blynk.cloud", "cloud", "the cloud", "host",
        "broker", "mqtt", "mqtt broker", "mqtt server", "ntp", "ntp server", "api", "wifi", "wi-fi", "ap", "network",
        "the network", "internet", "the internet", "ssid", "router",
    )
)  # fmt: skip
_PRIVATE_SECOND = range(16, 32)


def is_masked(value: bytes) -> bool:
    """True where nothing is left to hide: stars, dots, one letter throughout, or stars for half of it."""
    return not value or _BLANK.fullmatch(value) is not None or 2 * value.count(b"*") >= len(value)


def is_public(kind: Kind, value: bytes) -> bool:
    """True for what tells of nobody: Blynk's own clouds, on which findings rest, loopback, words that are no network.

    "Connecting to …" is said of databases and servers as of Wi-Fi networks.
    """
    if kind is Kind.SSID:
        return value.strip(b" .:!'\"").lower() in _NO_NETWORK
    if kind is Kind.ADDRESS:
        return value.startswith(b"127.") or value in {b"0.0.0.0", b"255.255.255.255", b"::1", b"::"}
    return kind is Kind.HOST and _PUBLIC_CLOUDS.fullmatch(value) is not None


class Vault:
    """Secrets and their placeholders.

    Args:
        hosts: True to replace host names, addresses and hardware numbers too.
    """

    def __init__(self, hosts: bool = False) -> None:
        self.hosts = hosts
        self.known: dict[bytes, Kind] = {}
        self.replaced: Counter[Kind] = Counter()
        """Places in which something was replaced."""
        self._used: dict[Kind, set[bytes]] = {}
        self._placeholders: dict[bytes, bytes] = {}
        self._issued: set[bytes] = set()
        self._parts = _Parts(SHORTEST_KNOWN)
        """Pieces of what was issued."""
        self._pieces = _Parts(PIECE)
        """Pieces of the tokens that are known, which no placeholder may hold: it would be taken for a secret."""
        self._heads: dict[bytes, list[bytes]] = {}
        """Secrets that are found inside words too, by what they begin with."""
        self._passed_over = 0
        self._numbers: Counter[str] = Counter()
        self._addresses: dict[bytes, bytes] = {}
        self._new_addresses: set[bytes] = set()
        self._new_hardware: set[bytes] = set()
        self.hardware_known: dict[bytes, bytes] = {}
        """MAC addresses that were met in link headers, with what stands for them."""

    def wants(self, kind: Kind) -> bool:
        """Whether secrets of this kind are replaced."""
        return self.hosts or kind not in {Kind.HOST, Kind.ADDRESS, Kind.HARDWARE}

    def learn(self, kind: Kind, value: bytes) -> None:
        """Remember a secret.

        Raises:
            CaptureError: There are more than can be kept.
        """
        if kind is Kind.PACKED or value in self.known or self.stays(kind, value):
            return
        if len(self.known) >= SECRETS_MAX:
            raise CaptureError(f"more than {SECRETS_MAX} different secrets: split the input")
        if kind is Kind.CREDENTIALS:
            for part, inner in _inside(value):
                self.learn(part, inner)
        if kind is Kind.MAIL and _ESCAPED_AT in value:
            # Known by its plain form, from which those of URLs are made.
            self.learn(kind, value.replace(_ESCAPED_AT, b"@"))
            return
        self.known[value] = kind
        if kind is Kind.TOKEN:
            self._pieces.add(value)
        if kind in {Kind.TOKEN, Kind.MAIL} and len(value) >= SHORTEST_KNOWN:
            alike = self._heads.setdefault(value[:SHORTEST_KNOWN], [])
            if len(alike) < _ALIKE:
                alike.append(value)

    def placeholder(self, kind: Kind, value: bytes) -> bytes:
        """What stands for a secret: as many bytes, the same for the same secret."""
        if kind is Kind.PACKED:
            return b"*" * len(value)
        if self.stays(kind, value):
            return value
        found = self._placeholders.get(value)
        if found is None:
            found = self._placeholders[value] = self._make(self.known.get(value, kind), value)
            self._issued.add(found)
            self._parts.add(found)
        return found

    def stays(self, kind: Kind, value: bytes) -> bool:
        """Whether nothing is put in place of this; whoever replaces and whoever looks for what is left both ask."""
        return not self.wants(kind) or is_masked(value) or is_public(kind, value)

    def is_placeholder(self, kind: Kind, value: bytes) -> bool:
        """Whether this is what a secret was replaced by, or nothing that was to be replaced."""
        if self.stays(kind, value) or value in self._issued or value.upper() in self._issued:
            return True
        if kind is Kind.MAIL and _OWN_MAIL.fullmatch(value) is not None:
            return True
        if kind is Kind.PACKED:
            return not value.strip(b"*")
        return self._parts.holds(value) if len(value) >= SHORTEST_KNOWN else _is_fill(value)

    def counted(self, kind: Kind, value: bytes) -> None:
        """One place was replaced."""
        self.replaced[kind] += 1
        self._used.setdefault(kind, set()).add(value)

    def counts(self) -> dict[str, dict[str, int]]:
        """By kind: places, and different secrets among them."""
        return {
            kind.value: {"places": count, "different": len(self._used[kind])}
            for kind in Kind
            if (count := self.replaced[kind])
        }

    # --- addresses in headers ---

    def address(self, raw: bytes) -> bytes:
        """The placeholder of an IP address of 4 or 16 bytes; its kind (private, public, group) stays.

        Public addresses become ones of the ranges for measurements and documentation. Loopback, groups and the
        unspecified address belong to nobody and stay.
        """
        found = self._addresses.get(raw)
        if found is None:
            number = len(self._addresses) + 1
            found = self._addresses[raw] = _address4(raw, number) if len(raw) == 4 else _address6(raw, number)
            self._new_addresses.add(found)
        return found

    def is_address_placeholder(self, raw: bytes) -> bool:
        """Whether an address may stand in the output."""
        return raw in self._new_addresses

    @property
    def addresses(self) -> dict[bytes, bytes]:
        """The addresses that were met in headers, with what stands for them."""
        return self._addresses

    def hardware(self, raw: bytes) -> bytes:
        """The placeholder of a MAC address of 6 bytes: locally administered, so that it is nobody's."""
        found = self.hardware_known.get(raw)
        if found is None:
            found = self.hardware_known[raw] = b"\x02\0" + (len(self.hardware_known) + 1).to_bytes(4, "big")
            self._new_hardware.add(found)
        return found

    def is_hardware_placeholder(self, raw: bytes) -> bool:
        """Whether a MAC address may stand in the output."""
        return raw in self._new_hardware

    def readdressed(self, data: bytes, *, hardware: bool = False) -> bytes:
        """The data with every known address in it replaced, in one pass however many are known.

        Args:
            data: What no stream holds: datagrams, or packets that are neither TCP nor UDP.
            hardware: True to replace MAC addresses too.
        """
        out: list[bytes] = []
        known = self._addresses
        widths = {len(raw) for raw in known}
        at = done = 0
        while at < len(data):
            new = next((new for width in widths if (new := known.get(data[at : at + width])) is not None), None)
            if new is None and hardware:
                new = self.hardware_known.get(data[at : at + 6])
            if new is None:
                at += 1
                continue
            out += [data[done:at], new]
            at = done = at + len(new)
        return b"".join(out) + data[done:]

    # --- making ---

    def _make(self, kind: Kind, value: bytes) -> bytes:
        if kind is Kind.CREDENTIALS:
            return self._credentials(value)
        if kind is Kind.MAIL and _ESCAPED_AT in value:
            return self.placeholder(kind, value.replace(_ESCAPED_AT, b"@")).replace(b"@", _ESCAPED_AT)
        if kind in {Kind.ADDRESS, Kind.HARDWARE}:
            return self._digits(value)
        if _OWN.fullmatch(value) is not None:
            return value
        if kind is Kind.TOKEN and len(value) >= _PART and len(value) != TOKEN_LENGTH:
            # A token that was cut short looks like the beginning of the whole one.
            longer = self._pieces.holder(value)
            if longer is not None:
                at = longer.find(value)
                return self.placeholder(kind, longer)[at : at + len(value)]
        return self._free(value, lambda: self._next(kind, value))

    def _free(self, value: bytes, attempt: Callable[[], bytes]) -> bytes:
        """The first placeholder that is no secret itself and holds nothing of one, or as many `x`."""
        before, kept = b"", 0
        while self._passed_over < PASSED_OVER_MAX:
            made = attempt()
            # A number that the input has already (it was cleaned before) belongs to that placeholder.
            if made in {value, before} or not self._is_taken(made):
                return made
            before = made
            self._passed_over += 1
            # Fill that is somebody's secret stays so with any number.
            kept += made not in self.known and not self._pieces.meets(made)
            if kept >= _KEPT_MAX:
                return made
        return re.sub(rb"[^@.]", b"x", value)

    def _is_taken(self, made: bytes) -> bool:
        if made in self.known or self._pieces.meets(made):
            return True
        starts = (made[at : at + SHORTEST_KNOWN] for at in range(len(made) - SHORTEST_KNOWN + 1))
        return any(known in made for start in starts for known in self._heads.get(start, ()))

    def _next(self, kind: Kind, value: bytes) -> bytes:
        size, word = len(value), _WORDS[kind]
        if kind is Kind.TOKEN and size >= 16 and _HEX.fullmatch(value) and value.strip(b"0123456789"):
            self._numbers[_OWN_HEX] += 1
            text = f"{_OWN_HEX}{self._numbers[_OWN_HEX]:04x}"
            text = text.upper() if value.isupper() else text
            return text.encode().ljust(size, b"0")[:size]
        if size < SHORTEST_KNOWN:
            return re.sub(rb"[^@.]", b"x", value) if kind in {Kind.MAIL, Kind.HOST} else b"x" * size
        self._numbers[word] += 1
        mark = f"{word}{self._numbers[word]}".encode()
        if kind is Kind.MAIL:
            return _mail(value, mark)
        if kind is Kind.HOST:
            return _in_longest(value, mark)
        return mark.ljust(size, b"x") if len(mark) <= size else b"x" * size

    def _digits(self, value: bytes) -> bytes:
        """Zeros for the digits, and a number at their end."""
        places = [match.start() for match in re.finditer(rb"[0-9A-Fa-f]", value)]
        self._numbers["digits"] += 1
        if not places:
            return b"x" * len(value)
        number = str(self._numbers["digits"]).encode()[-len(places) :].rjust(len(places), b"0")
        out = bytearray(value)
        for place, digit in zip(places, number, strict=True):
            out[place] = digit
        return bytes(out)

    def _credentials(self, value: bytes) -> bytes:
        parts = _inside(value)
        match = _SCHEME.fullmatch(value)
        if match is None or not parts:
            scheme = match[1] if match is not None and match[1].strip().lower() == b"bearer" else b""
            rest = value[len(scheme) :]
            return scheme + self._free(rest, lambda: self._next(Kind.CREDENTIALS, rest))
        if len(parts) == 1:
            return match[1] + self.placeholder(*parts[0])
        inner = b":".join(self.placeholder(kind, part) for kind, part in parts)
        packed = base64.b64encode(inner)
        size = len(match[2])
        return match[1] + packed[:size].ljust(size, b"=")


class _Parts:
    """Finds the words that hold a run of bytes, by pieces of one size."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._holders: dict[bytes, list[bytes]] = {}
        self._asked: dict[bytes, bytes | None] = {}

    def add(self, word: bytes) -> None:
        """One more word; each is added once."""
        for piece in self._of(word):
            self._holders.setdefault(piece, []).append(word)
        self._asked.clear()

    def holder(self, run: bytes) -> bytes | None:
        """A longer word that holds the run, which has the size of a piece at least."""
        if run not in self._asked:
            # The piece that the fewest words have leaves the fewest to look at.
            words = min((self._holders.get(piece, []) for piece in self._of(run)), key=len, default=[])
            self._asked[run] = next((word for word in words if len(word) > len(run) and run in word), None)
        return self._asked[run]

    def holds(self, run: bytes) -> bool:
        """Whether a word is the run or holds it."""
        return self.holder(run) is not None or run in self._holders.get(run[: self._size], ())

    def meets(self, run: bytes) -> bool:
        """Whether a word has a piece of the run that is more than fill."""
        return any(piece in self._holders and len(set(piece)) >= VARIETY for piece in self._of(run))

    def _of(self, word: bytes) -> set[bytes]:
        return {word[at : at + self._size] for at in range(len(word) - self._size + 1)}


def _inside(value: bytes) -> list[tuple[Kind, bytes]]:
    """User and password of `Basic …`, the token of `Bearer …`; nothing for anything else."""
    match = _SCHEME.fullmatch(value)
    if match is None:
        return []
    scheme, text = match[1].strip().lower(), match[2]
    if scheme == b"bearer":
        return [(Kind.TOKEN, text)] if text else []
    if scheme != b"basic":
        return []
    try:
        user, colon, password = base64.b64decode(
            text.strip() + b"=" * (-len(text.strip()) % 4), validate=True
        ).partition(b":")
    except (binascii.Error, ValueError):
        return []
    return [(Kind.MAIL if b"@" in user else Kind.PASSWORD, user), (Kind.PASSWORD, password)] if colon else []


def _mail(value: bytes, mark: bytes) -> bytes:
    """The mark where the name stands, if there is room for it, else in the domain; the at sign and dots stay."""
    sign = b"%40" if b"%40" in value and b"@" not in value else b"@"
    name, at, domain = value.rpartition(sign)
    if not at or len(name) < len(mark):
        return _in_longest(value, mark)
    return mark.ljust(len(name), b"x") + at + re.sub(rb"[^.]", b"x", domain)


def _in_longest(value: bytes, mark: bytes) -> bytes:
    """`x` for every letter, and the mark in the longest run between dots, at signs and escapes."""
    text = re.sub(rb"%40|[^@.]", lambda match: b"%40" if match[0] == b"%40" else b"x", value)
    runs = list(re.finditer(rb"x++", text))
    if not runs:
        return b"x" * len(value)
    longest = max(runs, key=lambda run: run.end() - run.start())
    first = runs[0] if runs[0].end() - runs[0].start() >= len(mark) else longest
    start, room = first.start(), first.end() - first.start()
    return text[:start] + mark[:room].ljust(room, b"x") + text[first.end() :] if len(mark) <= room else text


def _is_fill(value: bytes) -> bool:
    return not value.strip(b"x@.*")


def _address4(raw: bytes, number: int) -> bytes:
    first, second = raw[0], raw[1]
    if first in {0, 127} or first >= 224:
        return raw
    if first == 10:
        return bytes([10]) + number.to_bytes(3, "big")
    shared = (first == 100 and 64 <= second < 128) or (first, second) in {(169, 254), (192, 168)}
    if shared or (first == 172 and second in _PRIVATE_SECOND):
        return raw[:2] + (number & 0xFFFF).to_bytes(2, "big")
    return bytes([198, 18 + (number >> 16 & 1)]) + (number & 0xFFFF).to_bytes(2, "big")


def _address6(raw: bytes, number: int) -> bytes:
    if raw[0] == 0xFF or not any(raw[:15]):
        return raw
    tail = number.to_bytes(4, "big")
    if raw[0] == 0xFE and raw[1] & 0xC0 == 0x80:
        return raw[:8] + bytes(4) + tail
    if raw[0] & 0xFE == 0xFC:
        return raw[:1] + bytes(11) + tail
    return bytes.fromhex("20010db8") + bytes(8) + tail
