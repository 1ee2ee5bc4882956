"""Bytes and runs of characters that may hold a secret, and stars in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.render import patterns

MASK = b"*"
LONG = 2 * TOKEN_LENGTH
"""Hex digits of a token."""


def occurrences(data: bytes, raw: bytes) -> Iterator[tuple[int, int]]:
    """Where some bytes stand in others."""
    at = data.find(raw)
    while at >= 0:
        yield at, at + len(raw)
        at = data.find(raw, at + len(raw))


def masked(data: bytes, places: Iterable[tuple[int, int]]) -> bytes:
    """Bytes with `*` at these places."""
    out = bytearray(data)
    for start, end in places:
        out[start:end] = MASK * (end - start)
    return bytes(out)


def is_hex(value: Any) -> bool:
    """Is it bytes written as hex, long enough to hold a token?"""
    return isinstance(value, str) and len(value) >= LONG and patterns.HEX.fullmatch(value) is not None


def like_token(run: str) -> bool:
    """Has a run the look of a token, or of a part of one?"""
    return len(run) >= patterns.TOKEN_PART and any(char.isdigit() for char in run) and any(map(str.isalpha, run))
