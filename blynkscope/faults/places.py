"""Where the keys of a TOML text stand, which the standard library's parser does not tell.

The scanner does not judge the text, which that parser does: it follows keys, strings, arrays and inline tables and
leaves everything else alone. It runs first, so that what would cost the parser too much is refused here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Keys and indexes that lead to a value: ("rule", 0, "answer", "status")."""

KEY_PARTS_MAX = 32
"""Parts of a dotted key: rules need three, and the parser's time grows with the square of their number."""

_BLANK = re.compile(r"[ \t]*+")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*+)*+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]*+")
_LITERAL = re.compile(r"[^,\]}#\n\r]*+")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_STRINGS = {
    '"""': re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*+"{3,5}', re.DOTALL),
    "'''": re.compile(r"'''(?:[^']|'(?!''))*+'{3,5}", re.DOTALL),
    '"': re.compile(r'"(?:[^"\\\n]|\\.)*+"'),
    "'": re.compile(r"'[^'\n]*+'"),
}
_SHORT = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


class Place(NamedTuple):
    """1-based line and column, the latter in characters."""

    line: int
    column: int


class Places:
    """The places of all keys and values of a text.

    Args:
        text: TOML, with `\\n` at the ends of its lines. What is none has places of some kind.

    Raises:
        RecursionError: Its arrays are nested as deeply as that, or its keys have more than KEY_PARTS_MAX parts.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(match.end() for match in re.finditer(r"\n", text))]
        self._keys: dict[Path, int] = {}
        self._values: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        self._scan()

    def at(self, offset: int) -> Place:
        """The place of a character."""
        line = bisect_right(self._starts, offset)
        return Place(line, offset - self._starts[line - 1] + 1)

    def key(self, path: Path) -> Place:
        """Where a key stands, or the table that it would be in."""
        return self._nearest(self._keys, path)

    def value(self, path: Path) -> Place:
        """Where a value begins; the place of its key for a table with a header."""
        return self.at(self._values[path]) if path in self._values else self.key(path)

    def inside(self, path: Path, offset: int) -> Place:
        """Where the character `offset` of a text stands, as far as its notation lets that be counted."""
        start = self._values.get(path)
        if start is None or self._text[start : start + 3] in {'"""', "'''"}:
            return self.value(path)
        quote = self._text[start]
        match = _STRINGS[quote].match(self._text, start) if quote in _STRINGS else None
        written = match.group()[1:-1] if match else ""
        return self.value(path) if "\\" in written and quote == '"' else self.at(start + 1 + offset)

    def _nearest(self, known: dict[Path, int], path: Path) -> Place:
        while path:
            if path in known:
                return self.at(known[path])
            if path in self._values:
                return self.at(self._values[path])
            path = path[:-1]
        return Place(1, 1)

    # --- the scanner ---

    def _scan(self) -> None:
        text, at, table = self._text, 0, ()
        table_path: Path = table
        while True:
            at = self._gap(at)
            if at >= len(text):
                return
            start = at
            if text[at] == "[":
                many = text.startswith("[[", at)
                keys, at = self._dotted(at + 1 + many)
                table_path = self._opened(keys, many, start)
                end = text.find("]", at)
                at = len(text) if end < 0 else end + 1 + many
            else:
                at = self._pair(table_path, at)
            if at <= start:  # what is no TOML: the parser has told it
                return

    def _opened(self, keys: list[tuple[str, int]], many: bool, start: int) -> Path:
        """A header: the path of its table, whose arrays go on with their last element."""
        path: Path = ()
        for index, (key, _) in enumerate(keys):
            path = (*path, key)
            last = index == len(keys) - 1
            if last and many:
                self._keys.setdefault(path, start)
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
        self._keys[path] = start
        return path

    def _pair(self, table: Path, at: int) -> int:
        keys, at = self._dotted(at)
        path = table
        for key, start in keys:
            path = (*path, key)
            self._keys.setdefault(path, start)
        at = self._blank(at)
        if self._text[at : at + 1] != "=":
            return at
        return self._value(path, self._blank(at + 1))

    def _value(self, path: Path, at: int) -> int:
        text = self._text
        self._values[path] = at
        first = text[at : at + 1]
        if first in {'"', "'"}:
            return self._string(at)[1]
        if first == "[":
            at = self._gap(at + 1)
            index = 0
            while at < len(text) and text[at] != "]":
                start = at
                at = self._gap(self._value((*path, index), at))
                if text[at : at + 1] == ",":
                    at = self._gap(at + 1)
                if at <= start:
                    return len(text)
                index += 1
            return at + 1
        if first == "{":
            at = self._gap(at + 1)
            while at < len(text) and text[at] != "}":
                start = at
                at = self._gap(self._pair(path, at))
                if text[at : at + 1] == ",":
                    at = self._gap(at + 1)
                if at <= start:
                    return len(text)
            return at + 1
        match = _LITERAL.match(text, at)
        return match.end() if match else at

    def _dotted(self, at: int) -> tuple[list[tuple[str, int]], int]:
        keys: list[tuple[str, int]] = []
        while True:
            at = self._blank(at)
            start = at
            if self._text[at : at + 1] in {'"', "'"}:
                key, at = self._string(at)
            else:
                match = _BARE_KEY.match(self._text, at)
                key = match.group() if match else ""
                at += len(key)
            keys.append((key, start))
            if len(keys) > KEY_PARTS_MAX:
                raise RecursionError(f"a key of more than {KEY_PARTS_MAX} parts")
            at = self._blank(at)
            if at == start or self._text[at : at + 1] != ".":
                return keys, at
            at += 1

    def _string(self, at: int) -> tuple[str, int]:
        """A string of any of the four kinds, and where it ends. Only keys need its text: they are never long."""
        quote = self._text[at : at + 3]
        quote = quote if quote in {'"""', "'''"} else quote[:1]
        match = _STRINGS[quote].match(self._text, at)
        if match is None:
            return "", len(self._text)
        inner = match.group()[len(quote) : -len(quote)]
        return (_ESCAPE.sub(_unescaped, inner) if quote == '"' else inner), match.end()

    def _blank(self, at: int) -> int:
        match = _BLANK.match(self._text, at)
        return match.end() if match else at

    def _gap(self, at: int) -> int:
        match = _GAP.match(self._text, at)
        return match.end() if match else at


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else _SHORT.get(match[3], match[3])
