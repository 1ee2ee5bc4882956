"""The command table: the one place in which a command exists, and the ways to look it up.

The rows are in `hardware_commands` and `app_commands`; decoder, encoder, answer rules, `codes` and `explain` derive
from them. A code can mean different things by dialect and era, and each meaning is a row of its own.
"""

from __future__ import annotations

from blynkscope.protocol.app_commands import APP_COMMANDS
from blynkscope.protocol.hardware_commands import HARDWARE_COMMANDS
from blynkscope.protocol.model import Command, Dialect, Era

RESPONSE = 0
REGISTER = 1
LOGIN = 2
HARDWARE_CONNECTED = 4
PING = 6
ACTIVATE_DASHBOARD = 7
TWEET = 12
EMAIL = 13
NOTIFY = 14
BRIDGE = 15
HW_SYNC = 16
INTERNAL = 17
SEND_SMS = 18
PROPERTY = 19
HW = 20
GROUP = 21
LOAD_PROFILE_GZIPPED = 24
APP_SYNC = 25
HW_LOGIN = 29
SHARE_LOGIN = 32
GET_SERVER = 40
REDIRECT = 41
DBG_PRINT = 55
EVENT_LOG = 64
EVENT_CLEAR = 65
LOGOUT = 66
DEVICE_OFFLINE = 71

LOGINS = frozenset({LOGIN, HW_LOGIN})
"""The two commands with which a device logs in."""
SESSION_LOGINS = LOGINS | {SHARE_LOGIN}
"""What asks for a session: a guest of a shared project logs in with the token of the share."""
BEFORE_LOGIN = frozenset({REGISTER, GET_SERVER, 58, 63, 81})
"""What an app may say without being logged in: register, ask for its server, open what was shared, reset a password."""

REST_WRITE_ID = 111
"""The id of a write that the server passes on from its HTTP API (measured)."""

COMMANDS: tuple[Command, ...] = tuple(
    sorted((*HARDWARE_COMMANDS, *APP_COMMANDS), key=lambda row: row.code)
)  # stable: a code's hardware rows come first

_PREFIXES = ("BLYNK_CMD_", "MSG_", "CMD_")
_DIALECT_ORDER = (Dialect.HARDWARE, Dialect.APP, Dialect.WEB)
_WHEN_UNKNOWN: tuple[Era | None, ...] = (Era.IOT, None, Era.LEGACY)
"""With the era unknown the name that Blynk IoT gives a code is shown."""


def _by_code() -> dict[int, list[Command]]:
    table: dict[int, list[Command]] = {}
    for row in COMMANDS:
        table.setdefault(row.code, []).append(row)
    return table


def _exact() -> dict[tuple[int, Dialect, Era | None], Command]:
    table: dict[tuple[int, Dialect, Era | None], Command] = {}
    for row in COMMANDS:
        for dialect in row.dialects:
            for era in Era if row.era is None else (row.era,):
                table[row.code, dialect, era] = row
    for code, same in _BY_CODE.items():
        for dialect in Dialect:
            for wanted in _WHEN_UNKNOWN:
                found = [row for row in same if dialect in row.dialects and row.era is wanted]
                if found:
                    table[code, dialect, None] = found[0]
                    break
    return table


def _nearest() -> dict[tuple[int, Dialect, Era | None], Command]:
    """Every known code in every dialect and era: the same dialect in another era first, then the other dialects.

    A device that speaks to a server of the other era keeps its own meaning, so the dialect weighs more than the era.
    """
    table = {}
    for code in _BY_CODE:
        for dialect in Dialect:
            others = [other for other in _DIALECT_ORDER if other is not dialect]
            for era in (None, *Era):
                tries = [(near, wanted) for near in (dialect, *others) for wanted in (era, None)]
                table[code, dialect, era] = next(
                    _EXACT[code, *attempt] for attempt in tries if (code, *attempt) in _EXACT
                )
    return table


def _key(name: str) -> str:
    """A name without its prefix, in one spelling: upper case, underscores."""
    key = name.strip().upper().replace("-", "_").replace(" ", "_")
    for prefix in _PREFIXES:
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key


def _by_name() -> dict[str, list[Command]]:
    table: dict[str, list[Command]] = {}
    for row in COMMANDS:
        table.setdefault(_key(row.name), []).append(row)
    for row in COMMANDS:
        for alias in row.aliases:
            found = table.setdefault(_key(alias), [])
            if row not in found:
                found.append(row)
    return table


_BY_CODE = _by_code()
_EXACT = _exact()
_NEAREST = _nearest()
_BY_NAME = _by_name()


def lookup(code: int, dialect: Dialect, era: Era | None = None) -> Command | None:
    """The row that holds in exactly this dialect and era.

    Args:
        code: Command code, 0 to 255.
        dialect: The header that the frame has.
        era: `None` where it is unknown: the Blynk IoT meaning wins, then one of both eras, then the legacy one.

    Returns:
        The row, or None where the code means nothing there.
    """
    return _EXACT.get((code, dialect, era))


def find(code: int, dialect: Dialect, era: Era | None = None) -> Command | None:
    """Like `lookup`, but falls back to the dialect's other era and then to other dialects.

    Returns:
        The row that most likely explains the code, or None where no row has it.
    """
    return _NEAREST.get((code, dialect, era))


def command_name(code: int, dialect: Dialect, era: Era | None = None) -> str:
    """Canonical name by `find`, or `MSG_?` and the number."""
    row = _NEAREST.get((code, dialect, era))
    return row.name if row else f"MSG_?{code}"


def named(name: str) -> list[Command]:
    """All rows of this name, whatever its case and with or without `MSG_`, `BLYNK_CMD_` or `CMD_`.

    Returns:
        Rows whose canonical name it is first, then those that have it as an alias; empty if there are none.
    """
    return list(_BY_NAME.get(_key(name), ()))


def rows(code: int) -> list[Command]:
    """All meanings of a code, the device side first; empty for an unknown one."""
    return list(_BY_CODE.get(code, ()))
