"""Finds what is known to be secret in any bytes: whole, in pieces, and as other programs write it.

A token is found by pieces too, from eight characters on: segments that the capture cut, the rows of a dump and chunks
of a log each hold a part. Everything else is found whole only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote_from_bytes

from blynkscope.render.patterns import SECRET_NAMES
from blynkscope.scrub.vault import PIECE, SHORTEST_KNOWN, VARIETY, Kind, Vault

Match = tuple[int, int, bytes, Kind, bytes]
"""Start, end, what to put there, kind, the whole secret."""

_RUN = re.compile(rb"[A-Za-z0-9_-]{6,}+")
_TOKEN = re.compile(rb"(?=[A-Za-z_-]*+\d)(?=[\d_-]*+[A-Za-z])[A-Za-z0-9_-]{8,}+")
_WORDLIKE = re.compile(rb"[A-Za-z0-9_]")
_COMMON = frozenset(name.encode() for name in SECRET_NAMES) | {
    b"blynk", b"device", b"server", b"arduino", b"esp8266", b"password", b"hardware", b"android", b"public", b"private",
}  # fmt: skip
"""Words that stand everywhere: as somebody's secret they are replaced in their place only."""
_LONGEST_SECRET = 8192


def is_found_anywhere(secret: bytes) -> bool:
    """Whether a secret that is known is replaced wherever it stands; others are in their place only."""
    return SHORTEST_KNOWN <= len(secret) <= _LONGEST_SECRET and secret.lower() not in _COMMON


class Matcher:
    """Finds the secrets of a vault that has learned them all."""

    def __init__(self, vault: Vault) -> None:
        self._pieces: dict[bytes, list[tuple[bytes, int]]] = {}
        self._whole: dict[bytes, tuple[bytes, Kind, bytes]] = {}
        self._exact: dict[bytes, tuple[bytes, Kind, bytes]] = {}
        self._placeholders: dict[bytes, tuple[bytes, Kind]] = {}
        for secret, kind in vault.known.items():
            if not is_found_anywhere(secret):
                continue
            made = vault.placeholder(kind, secret)
            if made == secret:
                continue
            self._placeholders[secret] = (made, kind)
            if kind is Kind.TOKEN and _TOKEN.fullmatch(secret):
                self._whole[secret] = (made, kind, secret)
                for at in range(len(secret) - PIECE + 1):
                    piece = secret[at : at + PIECE]
                    if len(set(piece)) >= VARIETY:
                        self._pieces.setdefault(piece, []).append((secret, at))
            elif _RUN.fullmatch(secret):
                self._whole[secret] = (made, kind, secret)
                continue
            for form, replacement in _forms(kind, secret, made):
                self._exact.setdefault(form, (replacement, kind, secret))
        self._search = _any_of(self._exact)

    def __call__(self, data: bytes) -> list[Match]:
        """Everything known that stands in the data."""
        found: list[Match] = []
        if self._pieces or self._whole:
            self._runs(data, found)
        if self._search is not None:
            for match in self._search(data):
                replacement, kind, secret = self._exact[match[0]]
                if kind in {Kind.TOKEN, Kind.MAIL} or _alone(data, *match.span()):
                    found.append((*match.span(), replacement, kind, secret))
        return found

    def _runs(self, data: bytes, found: list[Match]) -> None:
        pieces, whole = self._pieces, self._whole
        for match in _RUN.finditer(data):
            run, start = match[0], match.start()
            if (known := whole.get(run)) is not None:
                found.append((start, match.end(), *known))
                continue
            at = done = 0
            last = len(run) - PIECE
            while at <= last:
                candidates = pieces.get(run[at : at + PIECE])
                if candidates is None:
                    at += 1
                    continue
                size, secret, place = max((_shared(run, at, one, there), one, there) for one, there in candidates)
                while at > done and place and run[at - 1] == secret[place - 1]:
                    at, place, size = at - 1, place - 1, size + 1
                made, kind = self._placeholders[secret]
                found.append((start + at, start + at + size, made[place : place + size], kind, secret))
                at = done = at + size


def _shared(run: bytes, at: int, secret: bytes, place: int) -> int:
    """How many bytes from here on are the same."""
    size = PIECE
    limit = min(len(run) - at, len(secret) - place)
    while size < limit and run[at + size] == secret[place + size]:
        size += 1
    return size


def _alone(data: bytes, start: int, end: int) -> bool:
    """Not in the middle of a word."""
    before, after = data[start - 1 : start] if start else b"", data[end : end + 1]
    return not (_WORDLIKE.match(before) or _WORDLIKE.match(after))


def _forms(kind: Kind, secret: bytes, made: bytes) -> list[tuple[bytes, bytes]]:
    """How else a secret may be written, with a placeholder of the same length for each form."""
    forms = [] if kind is Kind.TOKEN and _TOKEN.fullmatch(secret) else [(secret, made)]
    escaped = quote_from_bytes(secret, safe="").encode()
    if escaped != secret:
        forms.append((escaped, _stretched(made, escaped)))
        forms.append((escaped.replace(b"%40", b"@"), _stretched(made, escaped.replace(b"%40", b"@"))))
        lower = re.sub(rb"%[0-9A-F]{2}", lambda match: match[0].lower(), escaped)
        forms.append((lower, _stretched(made, lower)))
    quoted = secret.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"/", b"\\/")
    if quoted != secret:
        forms.append((quoted, _stretched(made, quoted)))
    if kind in {Kind.MAIL, Kind.HOST}:
        forms += [(other, made) for other in {secret.lower(), secret.upper()} - {secret}]
    if kind is Kind.HOST and b"." in secret:
        forms.append((_labels(secret), _labels(made)))
        forms.append((_labels(secret.lower()), _labels(made)))
    return forms


def _stretched(made: bytes, form: bytes) -> bytes:
    """The placeholder, as long as a form that is longer than the secret; escapes of at signs stay."""
    kept = made.replace(b"@", b"%40") if b"%40" in form else made
    return kept[: len(form)].ljust(len(form), b"x")


def _labels(host: bytes) -> bytes:
    """The form that names have in DNS messages."""
    return b"".join(bytes([len(label) & 0x3F]) + label for label in host.split(b"."))


def _any_of(words: dict[bytes, tuple[bytes, Kind, bytes]]) -> Callable[[bytes], list[re.Match[bytes]]] | None:
    """A search for many words at once: an expression that branches by the first two bytes."""
    if not words:
        return None
    by_first: dict[bytes, list[bytes]] = {}
    for word in words:
        by_first.setdefault(word[:2], []).append(word)
    branches = []
    for first, group in by_first.items():
        # Longest first: of two that begin alike the longer one is meant.
        rest = b"|".join(re.escape(word[2:]) for word in sorted(group, key=len, reverse=True))
        branches.append(re.escape(first) + b"(?:" + rest + b")")
    pattern = re.compile(b"|".join(branches), re.DOTALL)
    return lambda data: list(pattern.finditer(data))
