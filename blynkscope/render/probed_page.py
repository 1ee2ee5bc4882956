"""The page that a probe's report is written on: a title, sections, labels with text beside them."""

from __future__ import annotations

from blynkscope.render.console import Palette, cells, fit, padded, wrapped
from blynkscope.render.options import Options

VALUE_MAX = 400
"""Characters of one text of the server that are shown."""
_LABEL = 14
_INDENT = 2
_TEXT_WIDTH = 110
"""Columns of running text: wider lines are hard to read."""

Row = tuple[str, str, str | None]
"""Label, text (safe), style."""


class Page:
    """Collects lines of at most so many columns."""

    def __init__(self, options: Options) -> None:
        self.out: list[str] = []
        self.width = options.width
        self.palette: Palette = options.palette
        self.verbose = options.verbose
        self._text = min(options.width, _TEXT_WIDTH)

    def title(self, text: str, when: str) -> None:
        """The first line, with the time at its end."""
        room = self._text - len(when) - 2
        self.out.append(self.palette.paint("strong", padded(text, max(room, 10))) + "  " + when)

    def section(self, text: str) -> None:
        """The head of a section."""
        shown = fit(f"── {text} ", self._text)
        self.out += ["", self.palette.paint("strong", shown + "─" * max(self._text - cells(shown), 0))]

    def rows(self, rows: list[Row], *, blank: bool = False) -> None:
        """Labels and texts, wrapped beside each other."""
        if blank and rows:
            self.out.append("")
        for label, text, style in rows:
            first = True
            for line in wrapped(text, max(self._text - _INDENT - _LABEL, 20)):
                head = padded(label if first else "", _LABEL)
                body = self.palette.paint(style, line) if style else line
                self.out.append(f"{'':{_INDENT}}{self.palette.paint('key', head)}{body}".rstrip())
                first = False

    def line(self, text: str, style: str | None = None) -> None:
        """One line, cut where it is too wide."""
        shown = fit(text, self.width).rstrip()
        self.out.append(self.palette.paint(style, shown) if style else shown)
