"""A line that is edited on a terminal, key by key."""

from __future__ import annotations

import re

_KEYS = re.compile(r"\x1b\[([0-9;]*)([A-Za-z~])|\x1bO([A-Za-z])|\x1b(?=.)|.", re.DOTALL)
_CODES = {
    "\x02": "left", "\x06": "right", "\x01": "home", "\x05": "end", "\x08": "back", "\x7f": "back", "\x15": "clear",
    "\x0b": "cut", "\r": "enter", "\n": "enter", "\x1b": "escape", "\x04": "delete",
}  # fmt: skip
_LETTERS = {"A": "up", "B": "down", "D": "left", "C": "right", "H": "home", "F": "end"}
_TILDES = {"1": "home", "7": "home", "4": "end", "8": "end", "3": "delete"}


def keys_of(text: str) -> list[str]:
    """What a terminal sent as keys: characters, and names (`left`, `enter`, `escape` …) for what is none.

    Keys that mean nothing here are "".
    """
    keys = []
    for found in _KEYS.finditer(text):
        number, final, letter = found[1], found[2], found[3]
        if final is not None:
            keys.append(_TILDES.get(number, "") if final == "~" else _LETTERS.get(final, ""))
        elif letter is not None:
            keys.append(_LETTERS.get(letter, ""))
        elif found[0] in _CODES:
            keys.append(_CODES[found[0]])
        else:
            keys.append(found[0] if found[0].isprintable() else "")
    return keys


class Line:
    """The text, and where the cursor stands in it.

    Args:
        text: What stands there to begin with.
        longest: Characters that it takes.
    """

    def __init__(self, text: str = "", *, longest: int) -> None:
        self.text = text
        self.cursor = len(text)
        self._longest = longest

    def key(self, key: str) -> None:
        """Take a key of `keys_of` in; those that are no editing are passed over."""
        text, at = self.text, self.cursor
        if key == "left":
            self.cursor = max(at - 1, 0)
        elif key == "right":
            self.cursor = min(at + 1, len(text))
        elif key == "home":
            self.cursor = 0
        elif key == "end":
            self.cursor = len(text)
        elif key == "back" and at:
            self.text, self.cursor = text[: at - 1] + text[at:], at - 1
        elif key == "delete":
            self.text = text[:at] + text[at + 1 :]
        elif key == "cut":
            self.text = text[:at]
        elif key == "clear":
            self.text, self.cursor = text[at:], 0
        elif len(key) == 1 and len(text) < self._longest:
            self.text, self.cursor = text[:at] + key + text[at:], at + 1
