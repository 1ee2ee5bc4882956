"""Streams as the outputs want them: of text or of bytes, whatever the one at hand is."""

from __future__ import annotations

import io
from typing import IO, Any, BinaryIO, TextIO, cast

from blynkscope.render.glyphs import suit


def text_of(stream: IO[Any], *, data: bool = False) -> TextIO:
    """The stream for text. What its encoding lacks is drawn in ASCII, or spelled out where it is no drawing or `data`.

    Args:
        stream: A text stream, or a binary one, which gets UTF-8.
        data: The text is for programs: nothing in it may be replaced by something that could have been there.
    """
    if _is_binary(stream):
        return _Encoded(cast(BinaryIO, stream))
    suit(stream, data=data)
    return cast(TextIO, stream)


def binary_of(stream: IO[Any]) -> BinaryIO:
    """The stream for bytes; text streams without a buffer get them decoded again."""
    buffer = getattr(stream, "buffer", None)
    if buffer is not None:
        stream.flush()
        return cast(BinaryIO, buffer)
    return cast(BinaryIO, stream if _is_binary(stream) else _Decoded(cast(TextIO, stream)))


def _is_binary(stream: IO[Any]) -> bool:
    return isinstance(stream, io.RawIOBase | io.BufferedIOBase) or "b" in getattr(stream, "mode", "")


class _Encoded(io.StringIO):
    """Text into a binary stream, without taking ownership of it as TextIOWrapper does."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


class _Decoded(io.BytesIO):
    """Bytes into a text stream that has no buffer below it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()
