"""What drawings are made of, and what stands for it where the output's encoding lacks the characters."""

from __future__ import annotations

from typing import IO, Any

_PLAIN: dict[str, str] = {
    "─": "-", "│": "|", "╌": ".", "┊": ":", "├": "|", "┤": "|", "└": "+", "┘": "+", "┌": "+", "┐": "+", "┬": "+",
    "┴": "+", "→": ">", "←": "<", "↔": "-", "↩": "^", "…": "~", "·": "-", "●": "*", "○": "o", "✗": "x", "▲": "!",
    "△": "^", "▷": ">", "±": "~", "\u00d7": "x", "\u203a": ">",
    "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "█": "#",
}  # fmt: skip
"""Drawing character → the ASCII character of the same width that does its work; words stand beside all marks."""


def missing_glyphs(stream: IO[Any]) -> dict[int, str]:
    """For `str.translate`: the drawing characters that the stream's encoding lacks. Empty for UTF-8."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return {ord(char): plain for char, plain in _PLAIN.items() if not _has(encoding, char)}


def _has(encoding: str, char: str) -> bool:
    try:
        char.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
