"""How the C++ library printed before 0.3.6: `<msg 20,12,8`, then the body as it is, which loses its NULs on the way."""

from __future__ import annotations

import re

from blynkscope.protocol import commands
from blynkscope.wire.events import CLIENT, SERVER
from blynkscope.wire.logs.model import Said

_MSG = re.compile(r"([<>])[ ]?msg (\d{1,3}),[ ]?(\d{1,5}),[ ]?(\d{1,5})[ \t]*\Z")
_MODES = re.compile(rb"(\d{1,3})(in|out|pu|pd|pwm)")
_PROPERTY = re.compile(
    rb"(\d{1,3})(label|color|min|max|isDisabled|onLabel|offLabel|labels|isOnPlay|url|urls|isHidden|maximumFractionDigits)(.+)",
    re.DOTALL,
)
_INFO_KEYS = re.compile(rb"h-beat|buff-in|dev|cpu|con|build|fw-type|tmpl|blynk|fw|ver|mcu")
_ONE_PIN = frozenset({b"vr", b"dr", b"ar"})
_WRITES = frozenset({b"vw", b"dw", b"aw"})


def header(text: str) -> Said | None:
    """The line with the numbers of a message; its body, if it has one, is on the next line."""
    match = _MSG.match(text)
    if match is None:
        return None
    cmd, number, word = (int(match[index]) for index in (2, 3, 4))
    if cmd > 0xFF or number > 0xFFFF or word > 0xFFFF:
        return None
    follows = cmd != commands.RESPONSE and word > 0
    return Said(CLIENT if match[1] == "<" else SERVER, cmd, number, word, follows=follows)


def restore(cmd: int, printed: bytes, length: int) -> bytes:
    """The body with its NULs, where what the command says and the length leave one place for each; else as printed."""
    lost = length - len(printed)
    if lost <= 0 or b"\0" in printed:
        return printed
    parts: list[bytes] | None = None
    if cmd in (commands.HW, commands.HW_SYNC):
        parts = _operation(printed, lost)
    elif cmd == commands.PROPERTY and (match := _PROPERTY.fullmatch(printed)):
        parts = [match[1], match[2], match[3]]
    elif cmd == commands.INTERNAL:
        parts = _info(printed)
    if parts is None:
        return printed
    body = b"\0".join(parts)
    # The C++ library ends its info with a NUL.
    return body if len(body) == length else (body + b"\0" if len(body) + 1 == length else printed)


def _operation(printed: bytes, lost: int) -> list[bytes] | None:
    op, rest = printed[:2], printed[2:]
    if op == b"pm":
        modes = _MODES.findall(rest)
        whole = b"".join(pin + mode for pin, mode in modes) == rest
        return [op, *(part for pair in modes for part in pair)] if whole else None
    if op in _ONE_PIN and lost == 1 and rest.isdigit():
        return [op, rest]
    if op not in _WRITES or lost != 2:
        return None
    if len(rest) == 2 or (op == b"dw" and rest.isdigit() and rest[-1:] in (b"0", b"1") and len(rest) > 1):
        return [op, rest[:-1], rest[-1:]]
    # A value that cannot go on from a number: `vw5-12` has its pin in front of the sign.
    match = re.fullmatch(rb"(\d{1,3})([^\d.].*)", rest, re.DOTALL)
    return [op, match[1], match[2]] if match else None


def _info(printed: bytes) -> list[bytes] | None:
    found = list(_INFO_KEYS.finditer(printed))
    if not found or found[0].start():
        return None
    parts: list[bytes] = []
    for index, match in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(printed)
        parts += [match.group(), printed[match.end() : end]]
    return parts
