"""The beginning of an HTTP body, as far as it is text that a person can read."""

from __future__ import annotations

import zlib

CONTENT_MAX = 2048
"""Bytes of a body that are kept: pin values and error messages have less than a hundred."""
_CODINGS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""Window bits of zlib by coding. `deflate` means zlib's format, and some servers send it bare."""
_SIGNS = frozenset("_-%+.@~")
"""What tokens and addresses are made of beside letters and digits."""
_GZIP = b"\x1f\x8b\x08"
_WHITE = frozenset("\t\r\n")


class Sample:
    """The first bytes of one body."""

    __slots__ = ("_cut", "_data")

    def __init__(self) -> None:
        self._data = bytearray()
        self._cut = False

    def take(self, piece: bytes) -> None:
        """The next bytes of the body."""
        if self._cut:
            return
        room = CONTENT_MAX - len(self._data)
        self._data += piece[:room]
        if len(piece) > room:
            self._cut = True

    def __len__(self) -> int:
        return len(self._data)

    def drop(self) -> None:
        """Keep nothing of this body."""
        self._data = bytearray()
        self._cut = True

    def cut(self) -> None:
        """Bytes are missing: what comes is no beginning any more."""
        self._cut = True

    def text(self, coding: str | None) -> str | None:
        """The beginning as text, not above `CONTENT_MAX` bytes; None where there is none, or it is not text.

        Args:
            coding: The body's Content-Encoding.
        """
        data, cut = bytes(self._data), self._cut
        name = (coding or "").strip().lower()
        if not name and data.startswith(_GZIP):
            name = "gzip"  # the legacy server gives the history of a pin as a compressed file
        if name and name != "identity":
            unpacked = _unpacked(data, name)
            if unpacked is None:
                return None
            data, whole = unpacked
            cut = not whole
        if not data:
            return None
        try:
            # A character that is cut at the end is no reason to doubt the others.
            text = data.decode("utf-8", "strict") if not cut else _decoded(data)
        except UnicodeDecodeError:
            return None
        if not all(char.isprintable() or char in _WHITE for char in text):
            return None
        return without_cut_word(text) if cut else text


def _decoded(data: bytes) -> str:
    for lost in range(4):
        try:
            return data[: len(data) - lost].decode("utf-8")
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                raise
    return data.decode("utf-8")


def _unpacked(data: bytes, coding: str) -> tuple[bytes, bool] | None:
    """The beginning of what was compressed, and whether that is all of it; None where it is not of this coding."""
    for bits in _CODINGS.get(coding, ()):
        engine = zlib.decompressobj(bits)
        try:
            found = engine.decompress(data, CONTENT_MAX)
        except zlib.error:
            continue
        return found, engine.eof and not engine.unconsumed_tail
    return None


def without_cut_word(text: str) -> str:
    """A text that was cut, without the word at its end: nobody could tell that it is a piece of a secret."""
    end = len(text)
    while end and (text[end - 1].isalnum() or text[end - 1] in _SIGNS):
        end -= 1
    return text[:end]
