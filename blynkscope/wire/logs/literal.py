"""`b'…'` as Python prints it and as forums leave it: curly quotes, dashes, lost backslashes."""

from __future__ import annotations

import re

_QUOTES = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'") | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"')
)
# A typographic dash stood for two or three hyphens, an ellipsis for three dots.
_DASHES = str.maketrans({"\u2014": "---", "\u2013": "--", "\u2026": "...", "\u00a0": " "})
_OPENING = re.compile(r"(?<!\w)(?:bytearray\()?[bB]r?(['\"])")
_ESCAPE = re.compile(r"\\(?:\\x([0-9a-fA-F]{2})|x([0-9a-fA-F]{2})|([0-7]{1,3})|(.)|\Z)", re.DOTALL)
_SIMPLE = {"n": b"\n", "r": b"\r", "t": b"\t", "a": b"\a", "b": b"\b", "f": b"\f", "v": b"\v"}
_HEADER = 5
"""Bytes of the header of a hardware frame, and of a TLS record: both end with the length of what follows."""


def find(text: str) -> tuple[int, bytes] | None:
    """The first bytes literal in a line: where it begins, and its bytes; None where there is none that closes."""
    plain = text.translate(_QUOTES)
    opening = _OPENING.search(plain)
    if opening is None:
        return None
    inner = _inside(plain, opening.end(), opening.group(1))
    return None if inner is None else (opening.start(), read(inner))


def _inside(plain: str, begin: int, quote: str) -> str | None:
    at = begin
    while at < len(plain):
        if plain[at] == "\\":
            at += 2
        elif plain[at] == quote:
            return plain[begin:at]
        else:
            at += 1
    return None


def read(inner: str) -> bytes:
    r"""The bytes between the quotes.

    Markdown takes one of two backslashes, so `\\x1e` may have been a backslash and 0x1E; that is assumed where the
    length in the header says so.
    """
    inner = inner.translate(_DASHES)
    if inner.startswith(" \\x"):  # copying put a blank behind the quote
        inner = inner[1:]
    strict = _unescape(inner, 0)
    if r"\\x" not in inner:
        return strict
    for kept in (1, 2):
        damaged = _unescape(inner, kept)
        if not _whole(strict) and _whole(damaged):
            return damaged
    return strict


def _whole(data: bytes) -> bool:
    return len(data) >= _HEADER and len(data) - _HEADER == int.from_bytes(data[3:5], "big")


def _unescape(text: str, damage: int) -> bytes:
    r"""With `damage` 0 as Python reads it; 1: `\\xNN` is a backslash and a byte; 2: it is the byte."""
    out = bytearray()
    at = 0
    for match in _ESCAPE.finditer(text):
        out += text[at : match.start()].encode("utf-8", "surrogatepass")
        at = match.end()
        doubled, pair, octal, char = match.groups()
        if doubled is not None:
            byte = bytes.fromhex(doubled)
            out += (b"\\x" + doubled.encode(), b"\\" + byte, byte)[damage]
        elif pair is not None:
            out += bytes.fromhex(pair)
        elif octal is not None and int(octal, 8) <= 0xFF:
            out.append(int(octal, 8))
        elif char in ("\\", "'", '"'):
            out += char.encode()
        elif char in _SIMPLE:
            out += _SIMPLE[char]
        else:  # as in Python: a backslash that begins no escape is a backslash
            out += match.group().encode("utf-8", "surrogatepass")
    return bytes(out + text[at:].encode("utf-8", "surrogatepass"))
