"""What a rule for telling text is: needles that let most lines pass quickly, a pattern, and facts in its groups."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_DIGITS_MAX = 18
"""Digits of a number that is taken as a fact: 64 bits and fewer."""
_NUMBERS = frozenset({
    "port", "size", "ping_ms", "cmd", "type", "got", "sent", "total", "status", "bytes", "seconds", "buffer", "code",
    "read", "written", "count", "now", "last_in", "last_beat", "exception",
})  # fmt: skip
"""Groups whose text is a number."""

HOST = r"(?P<host>[\w*\u2022](?:[\w*\u2022-]|\.(?=[\w*\u2022])){0,252}+|\[[0-9a-fA-F:.]{2,45}\])"
PORT = r"(?P<port>\d{1,5})(?!\d)"
IP = r"(?P<ip>\d{1,3}(?:\.\d{1,3}){3})(?![\d.])"


class Rule(msgspec.Struct, frozen=True):
    """One sort of line.

    `needles`: one of them is in every such line. `pattern` is looked for from the first character on; its named groups
    become facts, those of `_NUMBERS` as integers, beside the facts in `always`.
    """

    kind: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    always: dict[str, Any] = {}

    def facts(self, text: str) -> dict[str, Any] | None:
        """The facts of a line that holds one of the needles; None where it is of another sort."""
        match = self.pattern.match(text)
        if match is None:
            return None
        found = dict(self.always)
        for name, value in match.groupdict().items():
            if value is None or value == "":
                continue
            if name not in _NUMBERS:
                found[name] = value.strip() if name != "text" else value
            elif (number := whole(value)) is not None:
                found[name] = number
        return found


def whole(digits: str) -> int | None:
    """The number; None where it is longer than any that fits."""
    return int(digits) if len(digits) <= _DIGITS_MAX and digits.isascii() else None


def rule(kind: str, needles: str | tuple[str, ...], pattern: str, **always: Any) -> Rule:
    """A rule; see `Rule`."""
    return Rule(kind, (needles,) if isinstance(needles, str) else needles, re.compile(pattern), always)
