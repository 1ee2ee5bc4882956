"""Python values as Lua source. Everything that the table says goes into the dissector through here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | Iterable[Value] | Mapping[str, Value] | Mapping[int, Value]"

_PLAIN = frozenset(b"\t" + bytes(range(0x20, 0x7F))) - frozenset(b'\t"\\')


def literal(text: str) -> str:
    """A text as a quoted literal of Lua 5.1 and later: printable ASCII, everything else by its bytes.

    What the text holds, quotes and line ends among it, cannot end the literal.
    """
    raw = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03d}" for byte in raw) + '"'


def source(value: Value) -> str:
    """A value as Lua source: numbers, booleans, quoted texts, sequences and mappings as tables.

    Raises:
        TypeError: Lua source has no form for it here.
    """
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            raise TypeError(f"{value} has no literal in Lua")
        return repr(value)
    if isinstance(value, Mapping):
        pairs = ", ".join(f"[{source(key)}] = {source(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        items = ", ".join(source(item) for item in value)
        return f"{{ {items} }}" if items else "{}"
    raise TypeError(f"no Lua source for {type(value).__name__}")


def table(name: str, rows: Mapping[str, Value] | Mapping[int, Value] | list[Value]) -> str:
    """A local table, one row a line."""
    if isinstance(rows, list):
        lines = [f"    {source(row)}," for row in rows]
    else:
        lines = [f"    [{source(key)}] = {source(row)}," for key, row in rows.items()]
    return "\n".join([f"local {name} = {{", *lines, "}"])
