"""Commands and statuses by the names that the libraries and the server give them."""

from __future__ import annotations

import re

from blynkscope.protocol import commands, statuses

_WORD_MAX = 0xFFFF
_ID_MAX = 0xFFFF
_CMD_MAX = 0xFF
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Names of the server and the JavaScript library that no alias in the command table has.
_OTHER_NAMES = {
    "CREATE_PROJECT": 21,
    "UPDATE_PROJECT": 22,
    "SAVE_PROJECT": 22,
    "DELETE_PROJECT": 23,
    "LOAD_PROFILE": 24,
    "GET_ENHANCED_GRAPH_DATA_REQUEST": 60,
    "DELETE_ENHANCED_GRAPH_DATA_REQUEST": 61,
    "MAIL_QRS": 59,
    "RESET_PASS": 81,
    "SAVE_PROF": 3,
    "LOAD_PROF": 4,
    "REFRESH": 9,
    "DEBUG_PRINT": 55,
}
_UNKNOWN = re.compile(r"Unknown\((\d{1,5})\)|(\d{1,5})")


def command(name: str) -> int | None:
    """The code of a command by the name that a log gives it (`HW`, `HardwareSync`, `HardwareMessage`, `21`)."""
    if match := _UNKNOWN.fullmatch(name):
        code = int(match[1] or match[2])
        return code if code <= _CMD_MAX else None
    if name.endswith("Message"):
        name = name.removesuffix("Message")
    key = _HUMP.sub("_", name).upper()
    if key in _OTHER_NAMES:
        return _OTHER_NAMES[key]
    found = commands.named(key)
    return found[0].code if found else None


def status(name: str) -> int | None:
    """The code of a status by name (`OK`, `SERVER_EXCEPTION`) or number; of several, the one that is not retired."""
    if match := _UNKNOWN.fullmatch(name):
        return int(match[1] or match[2])
    found = statuses.named(name)
    current = [row.code for row in found if not row.retired]
    return current[0] if current else found[0].code if found else None


def fits(cmd: int, ident: int, word: int | None) -> bool:
    """Whether the numbers fit into a header."""
    return cmd <= _CMD_MAX and ident <= _ID_MAX and (word is None or word <= _WORD_MAX)
