"""Bodies whose NULs a log printed as blanks or commas: back to bytes by what each command's body looks like."""

from __future__ import annotations

import re

from blynkscope.protocol import commands

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WRITES = frozenset({"vw", "dw", "aw", "vm"})
_INFO_KEYS = frozenset(
    {"ver", "mcu", "fw", "fw-type", "build", "blynk", "h-beat", "buff-in", "dev", "cpu", "con", "conn", "tmpl"}
    | {"mac", "ip", "ssid"}
)
"""Keys that the libraries' INTERNAL info begins a pair with."""
_WHOLE = frozenset({commands.TWEET, commands.NOTIFY, commands.SEND_SMS, commands.DBG_PRINT})
"""Commands whose body is one text."""

Parts = tuple[list[str], bool]
"""The parts of a body, and whether it could as well have others."""


def encode(text: str, length: int | None = None) -> bytes:
    """The bytes of printed text: UTF-8, or Latin-1 where only that has the declared length.

    JavaScript's binary strings print every byte as one character.
    """
    data = text.encode("utf-8", "surrogatepass")
    if length is None or len(data) == length or len(text) != length:
        return data
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return data


def restore(cmd: int, text: str, gap: str) -> tuple[bytes, bool]:
    """The body that was printed with `gap` in place of each NUL.

    Returns:
        The bytes, and True where other bodies would have been printed alike.
    """
    if "\0" in text:
        return encode(text), False
    parts, ambiguous = _parts(cmd, text, gap)
    return encode("\0".join(parts)), ambiguous


def _parts(cmd: int, text: str, gap: str) -> Parts:
    if gap not in text or cmd in _WHOLE:
        return [text], False
    if cmd == commands.HW:
        return _operation(text, gap)
    if cmd == commands.BRIDGE:
        return _bridge(text, gap)
    if cmd == commands.INTERNAL:
        return _internal(text, gap)
    if cmd == commands.PROPERTY:
        pin, name, *rest = text.split(gap, 2)
        values, ambiguous = _values(rest[0], gap) if rest else ([], False)
        return [pin, name, *values], ambiguous
    if cmd in (commands.EVENT_LOG, commands.EVENT_CLEAR, commands.REDIRECT):
        return text.split(gap, 1), False
    if cmd == commands.EMAIL:
        words = text.split(gap)
        count = 3 if "@" in words[0] else 2
        return text.split(gap, count - 1), len(words) > count
    if cmd in (commands.HW_SYNC, commands.GROUP, commands.LOGIN, commands.HW_LOGIN):
        return text.split(gap), False
    return [text], True


def _operation(text: str, gap: str) -> Parts:
    words = text.split(gap)
    if words[0] not in _WRITES or len(words) <= 3:
        return words, False
    values, ambiguous = _values(text.split(gap, 2)[2], gap)
    return [*words[:2], *values], ambiguous


def _bridge(text: str, gap: str) -> Parts:
    """A bridge's pin, then `i` and a token or an operation; what the server forwards has the operation alone."""
    pin, rest = text.split(gap, 1)
    if not pin.isdigit():
        return _operation(text, gap)
    if rest.startswith("i" + gap):
        return [pin, *rest.split(gap, 1)], False
    parts, ambiguous = _operation(rest, gap)
    return [pin, *parts], ambiguous


def _internal(text: str, gap: str) -> Parts:
    words = text.split(gap)
    if words[0] == "ota":
        return text.split(gap, 1), False
    if words[0] not in _INFO_KEYS:
        return words, False
    parts: list[str] = []
    begin = 0
    while begin < len(words):  # values may hold blanks: `build Feb 21 2024 02:04:33 blynk 1.3.2`
        end = begin + 2
        while end < len(words) and words[end] not in _INFO_KEYS and words[end] != "":
            end += 1
        parts += [words[begin], gap.join(words[begin + 1 : end])] if begin + 1 < len(words) else [words[begin]]
        begin = end
    return parts, False


def _values(text: str, gap: str) -> Parts:
    """The values of a write: numbers are several, a list that Python printed and other text are one."""
    if gap not in text or (text.startswith("[") and text.endswith("]")):
        return [text], False
    words = text.split(gap)
    if all(_NUMBER.fullmatch(word) for word in words):
        return words, False
    if gap == "," and not any(word.startswith(" ") for word in words):
        return words, True
    return [text], True
