"""What drawings are made of, and what stands for it where the output's encoding lacks the characters.

The replacing is done where text becomes bytes, by an error handler of the stream's codec: so nothing that writes has to
think of it, and text that the encoding has costs nothing.
"""

from __future__ import annotations

import codecs
from typing import IO, Any

_HANDLER = "blynkscope.glyphs"
_PLAIN: dict[str, str] = {
    "─": "-", "│": "|", "╌": ".", "┊": ":", "├": "|", "┤": "|", "└": "+", "┘": "+", "┌": "+", "┐": "+", "┬": "+",
    "┴": "+", "→": ">", "←": "<", "↔": "-", "↩": "^", "…": "~", "·": "-", "●": "*", "○": "o", "✗": "x", "▲": "!",
    "△": "^", "▷": ">", "±": "~", "\u00d7": "x", "\u203a": ">",
    "≠": "#", "∞": "~", "≥": ">", "▶": ">", "✓": "*", "µ": "u", "“": '"', "”": '"', "″": '"',
    "—": "-", "–": "-", "‘": "'", "’": "'", "′": "'",  # noqa: RUF001
    "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "█": "#",
}  # fmt: skip
"""Drawing character → the ASCII character of the same width that does its work; words stand beside all marks."""


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The codec's error handler: a drawing character by its stand-in, any other spelled out."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in lacking), error.end


codecs.register_error(_HANDLER, _replaced)


def suit(stream: IO[Any], *, data: bool = False) -> None:
    """Let a text stream that can be told so write what its encoding lacks.

    Args:
        stream: Any; what is no text stream with an encoding stays as it is.
        data: It is to carry data (CSV, XML): there all that is lacking is spelled out, because a character that was
            put in its place would be taken for one that was there.
    """
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace" if data else _HANDLER)


def missing_glyphs(stream: IO[Any]) -> frozenset[str]:
    """The drawing characters that the stream's encoding lacks. Empty for UTF-8."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return frozenset(char for char in _PLAIN if not _has(encoding, char))


def _has(encoding: str, char: str) -> bool:
    try:
        char.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
