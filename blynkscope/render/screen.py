"""A terminal with a prompt below what is printed: lines appear above it, whoever writes them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TextIO

from blynkscope.render.console import Palette, colored, fit, width_of
from blynkscope.render.safe import safe

_ERASE_BELOW = "\r\x1b[J"


class Screen:
    """Writes text to one stream and keeps a few lines of prompt below it on another; both may be one terminal.

    It is a stream itself, so that outputs can write to it. All methods may be called from any thread.

    Args:
        out: Where the outputs write to.
        terminal: Where the prompt is.
        color: Use colours in the prompt.
    """

    def __init__(self, out: TextIO, terminal: TextIO, *, color: bool | None = None) -> None:
        self._out = out
        self._terminal = terminal
        self._shared = out.isatty()
        self._palette = Palette(colored(terminal, "auto") if color is None else color)
        self._lock = threading.RLock()
        self._lines: tuple[str, ...] = ()
        self._cursor: int | None = None
        self._drawn = 0
        self.encoding = getattr(out, "encoding", "utf-8")

    # --- a stream ---

    def write(self, text: str) -> int:
        """Write text that is safe already; the prompt is drawn anew below it."""
        with self._lock:
            if self._shared:
                self._erase()
            self._out.write(text)
            if self._shared:
                self._out.flush()
                self._draw()
        return len(text)

    def flush(self) -> None:
        """See `io.TextIOBase`."""
        with self._lock:
            self._out.flush()

    def isatty(self) -> bool:
        """See `io.TextIOBase`."""
        return self._out.isatty()

    def fileno(self) -> int:
        """See `io.TextIOBase`."""
        return self._out.fileno()

    # --- the prompt ---

    def say(self, text: str) -> None:
        """A line for a person, above the prompt."""
        with self._lock:
            self._erase()
            self._terminal.write(safe(text) + "\n")
            self._terminal.flush()
            self._draw()

    def prompt(self, lines: Sequence[str], cursor: int | None = None) -> None:
        """Show these lines as the prompt, in place of the ones before.

        Args:
            lines: Text, not safe yet; each is cut to the width of the terminal.
            cursor: Where the cursor stands in the last line, in characters of the text; None for its end.
        """
        with self._lock:
            self._erase()
            self._lines, self._cursor = tuple(lines), cursor
            self._draw()

    def close(self) -> None:
        """Take the prompt away."""
        self.prompt(())

    def _erase(self) -> None:
        if self._drawn:
            up = f"\x1b[{self._drawn - 1}A" if self._drawn > 1 else ""
            self._terminal.write(up + _ERASE_BELOW)
            self._terminal.flush()
            self._drawn = 0

    def _draw(self) -> None:
        if not self._lines:
            return
        width = width_of(self._terminal) - 1
        *head, last = self._lines
        shown = [self._palette.paint("strong" if not place else "quiet", fit(safe(line), width))
                 for place, line in enumerate(head)]  # fmt: skip
        line, column = _window(last, self._cursor, width)
        self._terminal.write("\n".join([*shown, line]) + f"\r\x1b[{column}C" * bool(column))
        if not column:
            self._terminal.write("\r")
        self._terminal.flush()
        self._drawn = len(self._lines)


def _window(text: str, cursor: int | None, width: int) -> tuple[str, int]:
    """The part of a line around the cursor that fits, safe to show, and the column that the cursor has in it."""
    before = safe(text if cursor is None else text[:cursor])
    behind = "" if cursor is None else safe(text[cursor:])
    if len(before) >= width:
        before = "…" + before[len(before) - width + 2 :]
    return before + fit(behind, max(width - len(before), 1)), len(before)
