"""Finds secrets that were learned in any text: whole, in pieces, and as numbers that spell their bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from blynkscope.protocol import rest
from blynkscope.protocol.limits import TOKEN_LENGTH

SHORTEST = 6
"""A shorter secret would be found by accident in innocent text."""
PIECE = 8
"""Characters of a token that are taken for a part of it: 32 random bits or more."""
_COMMON = frozenset(
    {word.lower() for call in rest.CALLS for word in re.findall(r"\w+", re.sub(r"\{\w+\}", "", call.pattern))}
    | {word for kind in rest.KINDS for word in kind.split("-")}
    | {
        "android", "arduino", "blynk", "client", "cloud", "connect", "default", "device", "esp32", "esp8266", "false",
        "firmware", "hardware", "internal", "legacy", "local", "localhost", "login", "message", "mobile",
        "number", "online", "offline", "password", "private", "public", "publish", "request", "response",
        "server", "status", "string", "subscribe", "success", "template", "token", "unknown", "user",
        "value", "websocket", "websockets", "widget",
    }
)  # fmt: skip
"""Words of the calls' URLs, and others that stand everywhere in what is shown."""
_VARIETY = 4
"""Different characters that a piece must have to be one: runs of zeros stand everywhere."""

_ALIKE = 16
"""Secrets with the same beginning: more are made up to make searches slow."""

_DIGITS = re.compile(r"""[0-9A-Fa-fxXu\\|,;:%{}\[\]"'. \t_-]{12,}+""")
_PREFIXED = re.compile(r"(?:0[xX]|\\x|\\u00)?+([0-9A-Fa-f])")
_NUMBERS = re.compile(r"(?<![0-9A-Za-z.])\d{1,3}(?:[\s,;]{1,4}\d{1,3}(?![0-9A-Za-z.])){5,}+")
_NUMBER = re.compile(r"\d{1,3}")

Span = tuple[int, int, str]
"""Start, end, the whole secret."""


def is_common(secret: str) -> bool:
    """Is a secret a word that means something else nearly everywhere? To look for it would hide that."""
    return secret.lower() in _COMMON


class Known:
    """Secrets by what they begin with, and tokens by each of their pieces; a search takes two look-ups a character."""

    def __init__(self) -> None:
        self._heads: dict[str, list[str]] = {}
        self._pieces: dict[str, tuple[str, int]] = {}

    def learn(self, secret: str) -> None:
        """Remember a secret of at least `SHORTEST` characters, also as its bytes read one by one."""
        for form in {secret, secret.encode("utf-8", "replace").decode("latin-1")}:
            alike = self._heads.setdefault(form[:SHORTEST], [])
            if len(alike) < _ALIKE:
                alike.append(form)
        if len(secret) >= TOKEN_LENGTH and any(map(str.isdigit, secret)) and any(map(str.isalpha, secret)):
            for at in range(len(secret) - PIECE + 1):
                piece = secret[at : at + PIECE]
                if len(set(piece)) >= _VARIETY:
                    self._pieces.setdefault(piece, (secret, at))

    def spans(self, text: str) -> Iterator[Span]:
        """Where secrets and pieces of tokens stand. They do not overlap."""
        heads, pieces = self._heads, self._pieces
        if not heads:
            return
        at = 0
        last = len(text) - SHORTEST
        while at <= last:
            whole = max(
                (form for form in heads.get(text[at : at + SHORTEST], ()) if text.startswith(form, at)),
                key=len, default=None,
            )  # fmt: skip
            if whole is not None:
                yield at, at + len(whole), whole
                at += len(whole)
            elif (piece := pieces.get(text[at : at + PIECE])) is not None:
                # Pieces follow each other: the run ends where the last of them does.
                end = at + PIECE
                while text[end - PIECE + 1 : end + 1] in pieces and end < len(text):
                    end += 1
                yield at, end, piece[0]
                at = end
            else:
                at += 1


Cells = list[tuple[int, int]]
"""For each byte, the characters that spell it."""


def spelled(text: str) -> Iterator[tuple[str, Cells, Cells]]:
    """Bytes that the text spells in hex or decimal digits, as text of one character a byte.

    Hex digits count however they are set apart (`1D 00`, `1D|00`, `1d00`, `0x1D`, `\\x1d`, `{1D}[00]`); where digits
    begin in the middle of a byte is not known, so that both ways of pairing them are given.

    Yields: the bytes, and for each byte its first and its second run of characters.
    """
    for region in _DIGITS.finditer(text):
        places = [match.start(1) for match in _PREFIXED.finditer(text, *region.span())]
        nibbles = "".join(text[place] for place in places)
        for first in (0, 1):
            size = (len(places) - first) // 2
            if size >= SHORTEST:
                high, low = places[first : first + 2 * size : 2], places[first + 1 : first + 2 * size : 2]
                values = bytes.fromhex(nibbles[first : first + 2 * size]).decode("latin-1")
                yield values, [(at, at + 1) for at in high], [(at, at + 1) for at in low]
    for region in _NUMBERS.finditer(text):
        spans = [match.span() for match in _NUMBER.finditer(text, *region.span())]
        yield "".join(chr(int(text[start:end]) & 0xFF) for start, end in spans), spans, spans
