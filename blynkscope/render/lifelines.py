"""The geometry of the ladder: lifelines in their columns, and what is drawn between them.

Lines begin at the first lifeline; what stands to its left (numbers and times) is the ladder's. Only a heading takes the
whole width.
"""

from __future__ import annotations

from collections.abc import Sequence

from blynkscope.render.console import Palette, cells, fit

STYLES = {"device": "device", "server": "server", "app": "app"}
"""Party → style; others are quiet."""
_SHORTEST = 12
"""Columns of a reading below which what became of the frame is told by its mark alone."""
Piece = tuple[str, str]
"""Style and text; the text is safe."""


def pieces_width(pieces: Sequence[Piece]) -> int:
    """Columns that styled pieces take."""
    return sum(cells(text) for _, text in pieces)


class Lifelines:
    """The columns of one set of parties.

    Args:
        parties: Their names from left to right; at least two.
        left: Column of the first lifeline.
        right: Column of the last one.
        palette: Colours.
        hidden: The lifelines are not drawn: for what concerns no stream.
    """

    def __init__(
        self, parties: tuple[str, ...], left: int, right: int, palette: Palette, *, hidden: bool = False
    ) -> None:
        self.parties = parties
        self._hidden = hidden
        self._palette = palette
        steps = max(len(parties) - 1, 1)
        self._columns = [left + round(at * (right - left) / steps) for at in range(len(parties))]
        self._styles = [STYLES.get(party, "quiet") for party in parties]

    def place(self, party: str) -> int:
        """The number of a party's lifeline; the first one's for a party that has none."""
        return self.parties.index(party) if party in self.parties else 0

    def heading(self, title: str, labels: Sequence[str]) -> list[str]:
        """A rule in which the parties stand above their lifelines, and a line of what is known of them below it."""
        paint = self._palette.paint
        start = f"── {title} "
        spans = self._spans(self.parties, len(start) + 1)
        line, at = paint("quiet", start), len(start)
        for place, (column, text) in enumerate(spans):
            line += paint("quiet", "─" * (column - at - 1)) + " " + paint(self._styles[place], text) + " "
            at = column + cells(text) + 1
        line += paint("quiet", "─" * (self._columns[-1] + 1 - at))
        lines = [line.rstrip()]
        if any(labels):
            below, at = "", 0
            for column, text in self._spans(labels, 0):
                below += " " * (column - at) + text
                at = column + cells(text)
            lines.append(paint("quiet", below.rstrip()))
        return lines

    def _spans(self, texts: Sequence[str], least: int) -> list[tuple[int, str]]:
        """Where texts begin that stand above lifelines: the first to its right, the last to its left."""
        gap = (self._columns[-1] - self._columns[0]) // max(len(texts) - 1, 1)
        spans = []
        for place, text in enumerate(texts):
            last = place == len(texts) - 1
            # Neighbours share the room between two lifelines.
            text = fit(text, max(gap - 2 if place > 0 and not last else gap // 2 - 1, 4))
            column = self._columns[place]
            if last:
                column -= cells(text) - 1
            elif place:
                column -= cells(text) // 2
            least = max(column, least)
            spans.append((least, text))
            least += cells(text) + 1
        return spans

    def arrow(self, sender: int, receiver: int, label: Sequence[Piece], tails: Sequence[Piece], style: str) -> str:
        """A frame on its way.

        Args:
            sender: Lifeline that it leaves.
            receiver: Lifeline that it reaches.
            label: What it is; the last piece is cut where the room is too small.
            tails: What became of it, in several lengths, longest first; the first that leaves room for the label.
            style: Of the arrow itself.
        """
        first, last = min(sender, receiver), max(sender, receiver)
        room = self._columns[last] - self._columns[first] - 1
        to_right = sender < receiver
        opening, ending = ("── ", "─→") if to_right else ("←─ ", "──")
        whole = pieces_width(label)
        fixed = len(opening) + len(ending) + 1
        tail: Piece = ("", "")
        for tail in tails:
            if fixed + min(whole, pieces_width(label[:-1]) + _SHORTEST) + cells(tail[1]) + 3 <= room:
                break
        tail_room = cells(tail[1]) + 2 if tail[1] else 0
        paint = self._palette.paint
        shown, used = self._fitted(label, room - fixed - tail_room)
        line = paint(style, opening) + shown + " "
        between = room - fixed - tail_room - used
        if tail[1]:
            line += paint(style, "─" * between) + " " + paint(*tail) + " " + paint(style, ending)
        else:
            line += paint(style, "─" * between + ending)
        ends = ("├", "│") if to_right else ("│", "┤")
        return self._before(first, ends[0]) + line + self._bar(last, ends[1]) + self._behind(last)

    def _fitted(self, pieces: Sequence[Piece], room: int) -> tuple[str, int]:
        line, used = "", 0
        for style, text in pieces:
            left = room - used
            if left <= 0:
                break
            text = fit(text, left)
            line += self._palette.paint(style, text) if style else text
            used += cells(text)
        return line, used

    def note(self, pieces: Sequence[Piece], at: int = 0) -> str:
        """A line of text beside a lifeline, as far as the next one's column."""
        at = min(at, len(self.parties) - 2)
        room = self._columns[at + 1] - self._columns[at] - 3
        shown, used = self._fitted(pieces, room)
        return (
            self._before(at, "│")
            + " "
            + shown
            + " " * (room - used + 1)
            + self._bar(at + 1, "│")
            + self._behind(at + 1)
        )

    def room(self) -> int:
        """Columns between the first and the last lifeline that a box may take."""
        return self._columns[-1] - self._columns[0] - 5

    def boxed(self, lines: Sequence[str], widths: Sequence[int], style: str, title: Piece, room: int) -> list[str]:
        """A box over the lifelines between the first and the last one.

        Args:
            lines: Painted text, `widths` its columns.
            widths: At most `room` - 2 each.
            style: Of the frame.
            title: Stands in the upper edge.
            room: Columns inside the box's edges.
        """
        paint = self._palette.paint
        head = fit(title[1], room - 4)
        first, last = self._bar(0, "│"), self._bar(len(self.parties) - 1, "│")
        beside = " " * (self.room() - room)
        start, end = first + " ", beside + " " + last
        edge = "─" * (room - cells(head) - 3)
        rows = [start + paint(style, "┌─ ") + paint(title[0], head) + paint(style, f" {edge}┐") + end]
        for line, width in zip(lines, widths, strict=True):
            filled = line + " " * (room - 2 - width)
            rows.append(f"{start}{paint(style, '│')} {filled} {paint(style, '│')}{end}")
        rows.append(start + paint(style, f"└{'─' * room}┘") + end)
        return rows

    def across(self, text: str, style: str, *, ends: bool) -> str:
        """A break: a line over all lifelines, which end there or go on."""
        paint = self._palette.paint
        width = self._columns[-1] - self._columns[0] - 1
        text = fit(text, width - 6)
        dash = "─" if ends else "╌"
        fill = width - cells(text) - 5
        line = paint(style, dash * 3 + " " + text + " " + dash * fill)
        left, right = ("└", "┘") if ends else ("┊", "┊")
        return self._before(0, left) + line + self._bar(len(self.parties) - 1, right)

    # --- lifelines beside what is drawn ---

    def _bar(self, place: int, char: str) -> str:
        return " " if self._hidden else self._palette.paint(self._styles[place], char)

    def _before(self, place: int, char: str) -> str:
        """From the first lifeline to another, which is drawn as `char`."""
        line, at = "", self._columns[0]
        for number in range(place + 1):
            line += " " * (self._columns[number] - at) + self._bar(number, char if number == place else "│")
            at = self._columns[number] + 1
        return line

    def _behind(self, place: int) -> str:
        line, at = "", self._columns[place] + 1
        for number in range(place + 1, len(self.parties)):
            line += " " * (self._columns[number] - at) + self._bar(number, "│")
            at = self._columns[number] + 1
        return line
