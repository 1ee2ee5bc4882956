"""Colours, marks and widths: the one palette of all outputs. rich itself is imported only where it is used.

Colour never says anything alone: every style that means something has a mark or a word beside it.
"""

from __future__ import annotations

import os
import shutil
from typing import IO, TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.theme import Theme

ColorWish = Literal["auto", "always", "never"]

STYLES: dict[str, str] = {
    "error": "bold red",
    "warning": "yellow",
    "note": "blue",
    "device": "cyan",
    "server": "magenta",
    "app": "green",
    "unknown": "dim",
    "sent": "yellow",
    "delivered": "yellow",
    "passed": "yellow",
    "confirmed": "green",
    "contradicted": "bold red",
    "rejected": "bold red",
    "lost": "bold red",
    "good": "green",
    "bad": "red",
    "quiet": "dim",
    "strong": "bold",
    "key": "cyan",
    "field0": "cyan",
    "field1": "yellow",
    "field2": "green",
    "field3": "magenta",
    "field4": "blue",
}
"""Meaning → rich style. Only the sixteen colours that every terminal theme adjusts to its background."""

MARKS: dict[str, str] = {
    "error": "▲",
    "warning": "△",
    "note": "▷",
    "sent": "○",
    "delivered": "○",
    "passed": "○",
    "confirmed": "●",
    "contradicted": "✗",
    "rejected": "✗",
    "lost": "✗",
}
"""Meaning → the mark that says it without colour. A hollow circle is a write that nobody acknowledged."""

_SGR = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}
_WIDTH_ELSEWHERE = 120
_NARROWEST = 40
_FIRST_WIDE = "\u0300"
"""Below this code point (the first combining mark) every printable character takes one cell."""


def colored(stream: IO[Any], color: ColorWish) -> bool:
    """Is colour to be used on this stream? `auto`: on a terminal, unless NO_COLOR is set or TERM is `dumb`."""
    if color != "auto":
        return color == "always"
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_terminal(stream: IO[Any]) -> bool:
    """`isatty`, for streams that may be closed or have no such method."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def width_of(stream: IO[Any], width: int | None = None) -> int:
    """Columns to fill: the wish, else $COLUMNS, else the terminal's, else 120."""
    if width is None:
        try:
            width = int(os.environ.get("COLUMNS", "")) or None
        except ValueError:
            width = None
    if width is None and is_terminal(stream):
        try:
            width = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):
            width = shutil.get_terminal_size((_WIDTH_ELSEWHERE, 24)).columns
    return max(width or _WIDTH_ELSEWHERE, _NARROWEST)


class Palette:
    """Style names → escape sequences, or empty strings without colour.

    `on[name]` begins a style, `off` ends all; `paint` wraps text that is safe already.
    """

    __slots__ = ("off", "on")

    def __init__(self, color: bool) -> None:
        self.on = {name: _sequence(style) if color else "" for name, style in STYLES.items()}
        self.off = "\x1b[0m" if color else ""

    def paint(self, style: str, text: str) -> str:
        """`text` in a style; the text must have been through `safe`."""
        return f"{self.on[style]}{text}{self.off}" if text else text


def _sequence(style: str) -> str:
    return "\x1b[" + ";".join(str(_SGR[word]) for word in style.split()) + "m"


def make_console(stream: IO[str], color: ColorWish = "auto", width: int | None = None) -> Console:
    """A rich console that prints what it is given and nothing else: no markup, no highlighting, no emoji codes.

    Text from the wire must still go through `safe` first: rich lets escape sequences pass.
    """
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            """Leave a closed pipe to the caller: rich would end the program as if it had failed."""
            raise BrokenPipeError

    wanted = colored(stream, color)
    return Plain(
        file=stream,
        force_terminal=wanted,
        color_system="standard" if wanted else None,
        no_color=not wanted,
        width=width_of(stream, width),
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        theme=_theme(),
    )


def _theme() -> Theme:
    from rich.theme import Theme

    return Theme(STYLES)


def cells(text: str) -> int:
    """Columns that printable text takes; wide characters take two, combining ones none."""
    if text.isascii() or max(text) < _FIRST_WIDE or not _has_odd_width(text):
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fit(text: str, limit: int) -> str:
    """Text cut to at most `limit` columns, with "…" in place of what is missing. The text must be printable."""
    # Zero-width characters make text longer than its columns; what is beyond eight a column is no honest text.
    if len(text) > 8 * limit:
        text = text[: 8 * limit] + "…"
    if cells(text) <= limit:
        return text
    if limit <= 1:
        return "…"[:limit]
    if not _has_odd_width(text):
        return text[: limit - 1] + "…"
    from rich.cells import set_cell_size

    return set_cell_size(text, limit - 1).rstrip() + "…"


def padded(text: str, width: int) -> str:
    """Text cut or filled with spaces to exactly `width` columns."""
    text = fit(text, width)
    return text + " " * (width - cells(text))


_ORDINARY = frozenset("→←↩○●✗▲△▷─│├└…·“”‘’–—′″\u203a")  # noqa: RUF001


def _has_odd_width(text: str) -> bool:
    return any(char >= _FIRST_WIDE and char not in _ORDINARY for char in text)


def wrapped(text: str, width: int) -> list[str]:
    """Printable text in lines of at most `width` columns, broken at spaces where there are any."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        while cells(word) > width:
            room = width - cells(line) - 1 if line else width
            if room < min(width // 3, 8):
                lines.append(line)
                line, room = "", width
            # With something behind it, also a word that is too long by one column is cut.
            head = fit(word + "…", room + 1).removesuffix("…") or word[:1]
            lines.append(f"{line} {head}" if line else head)
            line, word = "", word[len(head) :]
        if line and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line or not lines else lines
