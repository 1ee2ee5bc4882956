"""Two frames side by side: are they equal, and if not, field by field, in what do they differ."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from blynkscope.protocol import commands, derived, limits
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.schema import readable
from blynkscope.protocol.secrets import is_secret
from blynkscope.protocol.statuses import status_name
from blynkscope.replay.model import Said

DIFFERENCES_MAX = 16
"""Fields of one frame that are told; a profile may differ in hundreds."""
TOKENS_MAX = 64
"""Tokens of one frame: a profile has one for each device."""
TOKEN_SHORTEST = 16
"""A shorter secret may be a word, and is not replaced elsewhere."""
CLOCK_SECONDS = 86_400.0
"""How far a server's time may be off: devices get local time, and zones are up to 14 hours apart; clocks of computers
that nobody sets are wrong by more."""
EPOCH_TIMES = 1e8
"""Seconds from which on a time is one since the epoch, not since the beginning of a log."""
_SHOWN_MAX = 200
_NOTHING = "(nothing)"
_CLOCK_MAX, _DIGITS_MAX = 64, 15
"""Bytes of a body that tells the time, and digits of a time in milliseconds."""

RULES = {
    "clock": "the time (rtc, utc) depends on when it is asked for",
    "firmware-host": "the URL of a firmware update names the server as it is reached; its path is compared",
    "server-address": "the server names its own address",
    "times-in-json": "times in projects and devices depend on when things happened",
    "token": "tokens are made by the server; the new one takes the place of the recorded one in what follows",
    "ending": "a NUL behind the last part means nothing",
    "not-in-log": "the log does not show all of this frame; what it shows is equal",
    "heartbeat": "how many pings are sent depends on the time that passes",
    "recording-gap": "the recording has a gap where this may have been said",
}
"""Why frames count as equal whose bytes differ, by the name that a report gives."""
_TIMES = frozenset(
    {
        "createdat", "updatedat", "connecttime", "disconnecttime", "firstconnecttime", "datareceivedat",
        "lastloggedat", "lastreportedat", "hardwareinfoupdatedat", "lastmodifiedts", "registerts", "ts", "lastloggedip",
        "activatedat", "lasttimefailed", "metadataupdatedat", "otainitiatedat", "otaupdatedat",
    }
)  # fmt: skip
"""Members of projects, devices and accounts that hold a time, or where somebody was at that time."""


class Heard(msgspec.Struct, frozen=True, gc=False):
    """A frame of now. `word` is the status of a RESPONSE and the length otherwise."""

    cmd: int
    id: int
    word: int
    body: bytes
    time: float


class Difference(msgspec.Struct, frozen=True, gc=False):
    """A field that differs: what the recording has, and what was said now."""

    field: str
    recorded: str
    now: str


class Compared(msgspec.Struct, frozen=True, gc=False):
    """What came of a comparison: no differences mean equal, by `rule` where the bytes are not the same."""

    differences: tuple[Difference, ...] = ()
    rule: str | None = None
    tokens: tuple[tuple[str, str], ...] = ()
    """Secrets that the server made, then and now."""


EQUAL = Compared()


def compare(said: Said, heard: Heard, dialect: Dialect, era: Era | None = None, now: float | None = None) -> Compared:
    """A recorded frame and one of now; their ids are not compared, those are for the matching.

    Args:
        said: The recorded one.
        heard: That of now.
        dialect: What both are of.
        era: Meaning of codes that differ between the eras.
        now: The time of day, in seconds since the epoch; None for that of this computer.
    """
    if said.cmd != heard.cmd:
        names = derived.names(dialect, era)
        return Compared((Difference("command", _whole(said, names), _whole(heard, names)),))
    if said.cmd == commands.RESPONSE:
        if said.word < 0:
            return Compared((), "not-in-log")
        if said.word == heard.word:
            return EQUAL
        return Compared((Difference("status", status_name(said.word), status_name(heard.word)),))
    if said.body == heard.body:
        return EQUAL
    if 0 <= said.word != len(said.body) and dialect is not Dialect.WEB and heard.body.startswith(said.body):
        return Compared((), "not-in-log")
    clock = _clock(said.body, heard.body, said.time, now) if said.cmd == commands.INTERNAL else None
    return clock or compare_bodies(said.cmd, said.body, heard.body, dialect, era)


def compare_bodies(cmd: int, recorded: bytes, now: bytes, dialect: Dialect, era: Era | None = None) -> Compared:
    """Two bodies of one command that are not the same."""
    if recorded == now:
        return EQUAL
    if recorded.removesuffix(b"\0") == now.removesuffix(b"\0"):
        return Compared((), "ending")
    known = _by_rule(cmd, recorded, now)
    if known is not None:
        return known
    decode = derived.decoders(dialect, era)[cmd]
    old, new = decode(recorded)[0], decode(now)[0]
    found: list[Difference] = []
    tokens: list[tuple[str, str]] = []
    excused = False
    for path, left, right in _differing("", old or {}, new or {}):
        name = path.rpartition(".")[2]
        if name.lower() in _TIMES and path.partition(".")[0].partition("[")[0] == "json":
            excused = True
        elif is_secret(name) and _is_token(left) and _is_token(right):
            if len(tokens) < TOKENS_MAX:
                tokens.append((left, right))
        elif len(found) < DIFFERENCES_MAX:
            found.append(Difference(path, _shown(left), _shown(right)))
    if found or tokens or excused:
        rule = None if found else "token" if tokens else "times-in-json"
        return Compared(tuple(found), rule, tuple(tokens))
    if old == new and old is not None and "json" in old:
        return EQUAL
    return Compared((Difference("body", _bytes(recorded), _bytes(now)),))


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and len(value) >= TOKEN_SHORTEST and value.isascii()


def _by_rule(cmd: int, recorded: bytes, now: bytes) -> Compared | None:
    if cmd == commands.INTERNAL:
        key, _, old = recorded.partition(b"\0")
        other, _, new = now.partition(b"\0")
        if key != other:
            return None
        if key == b"ota":
            return _firmware(readable(old), readable(new))
    if cmd == commands.GET_SERVER:
        return Compared((), "server-address")
    return None


def _clock(recorded: bytes, heard: bytes, then: float | None, now: float | None) -> Compared | None:
    """Two times of day: each right when it was said. None where one of them is none, or is wrong."""
    old, new = _told(recorded), _told(heard)
    if old is None or new is None or old[0] != new[0]:
        return None
    now = now if now is not None else time.time()
    right = [now]
    if then is not None and then > EPOCH_TIMES:
        right.append(old[1] + now - then)  # a clock that was wrong then, and goes on
    return Compared((), "clock") if any(abs(new[1] - at) <= CLOCK_SECONDS for at in right) else None


def _told(body: bytes) -> tuple[bytes, float] | None:
    """What an INTERNAL frame tells the time by (`rtc`, `utc time` in ms, `utc iso`), and the time since the epoch."""
    parts = body[:_CLOCK_MAX].removesuffix(b"\0").split(b"\0")
    key, value = b" ".join(parts[:-1]), parts[-1]
    if key in {b"rtc", b"utc time"}:
        if not value.isdigit() or len(value) > _DIGITS_MAX:
            return None
        return key, float(value) / (1000.0 if key == b"utc time" else 1.0)
    if key != b"utc iso":
        return None
    try:
        return key, datetime.fromisoformat(value.decode("ascii")).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _firmware(recorded: str, now: str) -> Compared | None:
    try:
        old, new = urlsplit(recorded), urlsplit(now)
    except ValueError:
        return None
    if not old.netloc or not new.netloc:
        return None
    found = [
        Difference(f"ota {name}", _shown(left), _shown(right))
        for name, left, right in (
            ("scheme", old.scheme, new.scheme), ("path", old.path, new.path), ("query", old.query, new.query),
        )
        if left != right
    ]  # fmt: skip
    return Compared(tuple(found)) if found else Compared((), "firmware-host")


def _differing(path: str, old: Any, new: Any, depth: int = 0) -> Iterator[tuple[str, Any, Any]]:
    """Where two values of fields differ: the path, and both sides of it."""
    if old == new:
        return
    if depth < limits.JSON_LEVELS_MAX:
        if isinstance(old, dict) and isinstance(new, dict):
            for key in [*old, *(key for key in new if key not in old)]:
                below = f"{path}.{key}" if path else str(key)
                yield from _differing(below, old.get(key), new.get(key), depth + 1)
            return
        if isinstance(old, list) and isinstance(new, list):
            for at in range(max(len(old), len(new))):
                left = old[at] if at < len(old) else None
                right = new[at] if at < len(new) else None
                yield from _differing(f"{path}[{at}]", left, right, depth + 1)
            return
    yield path, old, new


def subject(cmd: int, body: bytes, dialect: Dialect, era: Era | None = None) -> tuple[Any, ...]:
    """What a frame is about, its values left out: command, target, operation, pins, property, key."""
    if cmd == commands.INTERNAL:
        return cmd, body.partition(b"\0")[0]
    if cmd == commands.RESPONSE:
        return (cmd,)
    fields = derived.decoders(dialect, era)[cmd](body)[0] or {}
    pins = fields.get("pins")
    named = tuple(str(one.get("pin")) for one in pins) if isinstance(pins, list) else ()
    about = tuple(str(fields.get(name)) for name in ("target", "bridge", "op", "pin", "property", "event"))
    return (cmd, about, named)


def _shown(value: Any) -> str:
    if value is None:
        return _NOTHING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


def _bytes(data: bytes) -> str:
    return _shown(readable(data[:_SHOWN_MAX])) if data else _NOTHING


def _whole(frame: Said | Heard, names: tuple[str, ...]) -> str:
    if frame.cmd == commands.RESPONSE and frame.word >= 0:
        return f"{names[frame.cmd]} {status_name(frame.word)}"
    return names[frame.cmd]
