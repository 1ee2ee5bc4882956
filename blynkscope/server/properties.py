"""The properties of widgets that a device may change, and what their values look like."""

from __future__ import annotations

import re

from blynkscope.protocol.model import Era
from blynkscope.protocol.statuses import ILLEGAL_COMMAND, ILLEGAL_COMMAND_BODY

_TEXTS = frozenset(
    {b"label", b"labels", b"onLabel", b"offLabel", b"url", b"urls", b"suffix", b"valueFormatting", b"title", b"hint"}
)
_COLOURS = frozenset({b"color", b"onColor", b"offColor", b"onBackColor", b"offBackColor"})
_NUMBERS = frozenset(
    {b"min", b"max", b"step", b"opacity", b"scale", b"rotation", b"fraction", b"maximumFractionDigits"}
)
_SWITCHES = frozenset({b"isOnPlay", b"isDisabled", b"isEnabled", b"isHidden", b"isMuted"})
KNOWN = _TEXTS | _COLOURS | _NUMBERS | _SWITCHES
"""The names that the legacy server takes; Blynk IoT's templates may define others."""

_COLOUR = re.compile(rb"#[0-9A-Fa-f]{1,8}|0[xX][0-9A-Fa-f]{1,8}|-?[0-9]{1,10}")
_NUMBER = re.compile(rb"[+-]?[0-9]{0,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?")


def problem(name: bytes, values: list[bytes], era: Era) -> int | None:
    """The status with which a change is refused: 11 for an unknown property or value, 2 for a colour; None if good."""
    if era is Era.IOT:
        return None
    if name not in KNOWN:
        return ILLEGAL_COMMAND_BODY
    if name in _COLOURS and not _COLOUR.fullmatch(values[0]):
        return ILLEGAL_COMMAND
    if name in _NUMBERS and not (_NUMBER.fullmatch(values[0]) and any(0x30 <= byte <= 0x39 for byte in values[0])):
        return ILLEGAL_COMMAND_BODY
    return None
