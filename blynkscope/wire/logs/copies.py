"""One message, told several times: by a raw and a parsed layer, or by the prints of a verbose library."""

from __future__ import annotations

import re
from collections import deque

from blynkscope.wire.logs.assembly import Draft, Slot

_LINES = 24
"""Lines within which a message is told again."""
_KEPT = 16
"""Messages of a direction that may be told again."""
_SHAPE = re.compile(r"(?:\s*+\[[^\]|]{0,120}+\](?=\s))*+([^\d'\"{\u2018\u2019\u201c\u201d]{0,80})")


def shape(text: str) -> str:
    """What a line looks like apart from its tags and values: the same printer prints the same shape."""
    match = _SHAPE.match(text)
    return match[1].strip() if match else ""


class Copies:
    """Remembers the messages that were told, and finds the one that another line tells again.

    A line of the same shape tells another message, even where its numbers are the same.
    """

    def __init__(self) -> None:
        self._told: dict[int | None, deque[Slot]] = {}

    def original(self, draft: Draft, form: str, line: int) -> Slot | None:
        """The slot of the message that this draft repeats, if it does; else it is remembered by the caller's `add`."""
        directions = [draft.direction] if draft.direction is not None else list(self._told)
        for direction in directions:
            for slot in reversed(self._told.get(direction, ())):
                first = slot.drafts[0]
                if line - slot.line > _LINES:
                    break
                if (first.cmd, first.id) != (draft.cmd, draft.id) or form in first.shapes:
                    continue
                if None not in (first.word, draft.word) and first.word != draft.word:
                    continue
                first.shapes.add(form)
                return slot
        return None

    def add(self, slot: Slot, form: str) -> None:
        """Remember a message."""
        draft = slot.drafts[0]
        draft.shapes.add(form)
        self._told.setdefault(draft.direction, deque(maxlen=_KEPT)).append(slot)

    def forget(self) -> None:
        """A new connection begins."""
        self._told.clear()
