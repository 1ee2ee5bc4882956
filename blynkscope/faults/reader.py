"""Reading values of a rules file: types, bounds, and mistakes with their place."""

from __future__ import annotations

import math
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, NoReturn

from blynkscope.faults.model import FaultsError
from blynkscope.faults.places import Path, Place, Places
from blynkscope.protocol import commands, statuses

SHOWN_MAX = 40
"""Characters of a wrong key or value that a message repeats."""
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"), (int, "a number"), (float, "a number"), (str, "a text"), (list, "a list"),
    (dict, "a table"),
)  # fmt: skip


def shown(text: object) -> str:
    """A key or value as a message repeats it: short, on one line."""
    one = str(text)
    one = one if len(one) <= SHOWN_MAX else one[:SHOWN_MAX] + "…"
    return "".join(character if character.isprintable() else "?" for character in one)


def near(word: str, known: Collection[str]) -> str:
    """A question about what was meant, or nothing."""
    found = get_close_matches(word[:SHOWN_MAX].lower(), sorted(known), n=1)
    return f' (did you mean "{found[0]}"?)' if found else ""


def kind_of(value: Any) -> str:
    """The type of a TOML value in words."""
    return next((words for one, words in _TYPES if isinstance(value, one)), "a date")


class Reader:
    """The values of one file.

    Args:
        name: The file's name, for messages.
        places: Where its keys stand.
    """

    def __init__(self, name: str, places: Places) -> None:
        self.name = name
        self.places = places
        self.about = ""
        """What stands before each message: the rule in hand."""

    def fail(self, message: str, place: Place) -> NoReturn:
        """Raise the error for a mistake at a place."""
        raise FaultsError(f"{self.about}{message}", self.name, *place)

    def wrong(self, path: Path, message: str) -> NoReturn:
        """A mistake in a key."""
        self.fail(message, self.places.key(path))

    def bad(self, path: Path, message: str) -> NoReturn:
        """A mistake in a value."""
        self.fail(f"{_named(path)}: {message}", self.places.value(path))

    def keys(self, path: Path, table: dict[str, Any], known: Collection[str], what: str) -> None:
        """Refuse what is not known: a slip of the pen would otherwise be a rule that does something else."""
        for key in table:
            if key not in known:
                hint = near(key, known) or f"; known are {', '.join(sorted(known))}"
                self.wrong((*path, key), f'unknown {what} "{shown(key)}"{hint}')

    def table(self, path: Path, value: Any) -> dict[str, Any]:
        """A table."""
        if not isinstance(value, dict):
            self.bad(path, f"a table is expected, not {kind_of(value)}")
        return value

    def text(self, path: Path, value: Any, longest: int) -> str:
        """A text of one character or more."""
        if not isinstance(value, str):
            self.bad(path, f"a text is expected, not {kind_of(value)}")
        if not value or len(value) > longest:
            self.bad(path, f"1 to {longest} characters are expected, not {len(value)}")
        return value

    def flag(self, path: Path, value: Any) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            self.bad(path, f"true or false is expected, not {kind_of(value)}")
        return value

    def only_true(self, path: Path, value: Any) -> None:
        """An action without parameters; `false` would read as if it were there."""
        if not self.flag(path, value):
            self.bad(path, "true is the only value; leave the key out instead")

    def whole(self, path: Path, value: Any, least: int, greatest: int) -> int:
        """A whole number within bounds."""
        if isinstance(value, bool) or not isinstance(value, int):
            self.bad(
                path, f"a whole number is expected, not {kind_of(value) if not isinstance(value, float) else value}"
            )
        if not least <= value <= greatest:
            self.bad(path, f"{least} to {greatest} is expected, not {shown(value)}")
        return value

    def seconds(self, path: Path, value: Any, greatest: float, least: float = 0.0) -> float:
        """A time in seconds."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.bad(path, f"a number of seconds is expected, like 0.5, not {kind_of(value)}")
        if not math.isfinite(value) or not least <= value <= greatest:
            self.bad(path, f"{least:g} to {greatest:g} seconds are expected, not {shown(value)}")
        return float(value)

    def status(self, path: Path, value: Any) -> int:
        """A status by number or name."""
        if isinstance(value, str):
            rows = statuses.named(value)
            if not rows:
                names = [row.name.removeprefix("STA_") for row in statuses.STATUSES.values()]
                hint = near_upper(value, names) or "; `blynkscope codes` lists them"
                self.bad(path, f'no such status: "{shown(value)}"{hint}')
            return rows[0].code
        return self.whole(path, value, 0, 0xFFFF)

    def command(self, path: Path, value: Any) -> int:
        """A command by number or name; where a name stands for several, the first."""
        if isinstance(value, str):
            rows = commands.named(value)
            if not rows:
                names = [row.name.removeprefix("MSG_") for row in commands.COMMANDS]
                hint = near_upper(value, names) or "; `blynkscope codes` lists them"
                self.bad(path, f'no such command: "{shown(value)}"{hint}')
            return rows[0].code
        return self.whole(path, value, 0, 0xFF)

    def body(self, path: Path, value: Any) -> bytes:
        """A body: a text, a list of texts that become its parts, or { hex = "…" }."""
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, list):
            return b"\0".join(self.part((*path, index), one) for index, one in enumerate(value))
        if isinstance(value, dict):
            self.keys(path, value, ("hex",), "key")
            inner = (*path, "hex")
            if not isinstance(value.get("hex"), str):
                self.bad(inner if "hex" in value else path, 'hex digits are expected, like { hex = "76 77 00 31" }')
            try:
                return bytes.fromhex(value["hex"])
            except ValueError:
                self.bad(inner, "these are no pairs of hex digits")
        return self.bad(path, f'a text, a list of parts or {{ hex = "…" }} is expected, not {kind_of(value)}')

    def part(self, path: Path, value: Any) -> bytes:
        """One part of a body: a text without NUL; numbers are written as they stand."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            self.bad(path, f"a text is expected, not {kind_of(value)}")
        if "\0" in value:
            self.bad(path, "NUL separates the parts of a body: write a list of parts")
        return value.encode()


def near_upper(word: str, known: Collection[str]) -> str:
    """`near` for names of codes, which are upper case."""
    found = get_close_matches(word[:SHOWN_MAX].upper().removeprefix("STA_").removeprefix("MSG_"), sorted(known), n=1)
    return f' (did you mean "{found[0]}"?)' if found else ""


def _named(path: Path) -> str:
    """The innermost key of a path."""
    return next((one for one in reversed(path) if isinstance(one, str)), "rule")
