"""The actions of a rule, as they are written in TOML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from blynkscope.analysis.filters import field_names
from blynkscope.faults.edit import UNWRITABLE, WRITABLE
from blynkscope.faults.model import (
    ANSWERS_MAX,
    COPIES_MAX,
    DELAY_MAX,
    DIRECTIONS,
    MERGE_SECONDS,
    MERGED_MAX,
    OVERTAKING_MAX,
    REORDER_SECONDS,
    Answer,
    Corrupt,
    Delay,
    Edit,
    Merge,
    Reorder,
    Replace,
    SetBody,
    SetStatus,
    Split,
    StallFor,
    Truncate,
)
from blynkscope.faults.places import Path
from blynkscope.faults.reader import Reader, kind_of, near, shown
from blynkscope.protocol import commands, limits

FRAME_MAX = 5 + limits.HARDWARE_BODY_MAX
"""Bytes of the longest hardware frame: a greater size or offset is a slip of the pen."""
_EDITS = ("status", "body", "replace", "truncate", "corrupt")
_SENDING = ("duplicate", "split", "merge", "reorder")
ACTIONS = ("pass", "delay", "drop", *_SENDING, *_EDITS, "answer", "close", "reset", "stall")
_AGAINST: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("pass", tuple(one for one in ACTIONS if one != "pass"), "a frame that passes is left as it is"),
    ("drop", (*_SENDING, *_EDITS), "a frame that is dropped is not sent on"),
    ("drop", ("answer",), "an answered frame is not sent on anyway"),
    ("close", ("reset",), "a connection ends in one way"),
    ("split", ("merge",), "one cuts what the other joins"),
    ("merge", ("reorder",), "a frame is held by one of them"),
    ("status", ("body", "replace"), "a RESPONSE has a status, everything else has a body"),
)


def contradictions(reader: Reader, path: Path, table: dict[str, Any], forward: bool) -> None:
    """Refuse actions that do not go together."""
    present = [key for key in table if key in ACTIONS]
    if not present:
        reader.wrong(path, f"no action: write one of {', '.join(ACTIONS)}")
    for one, others, why in _AGAINST:
        for other in others:
            if one in table and other in table:
                later = max(one, other, key=list(table).index)
                reader.wrong((*path, later), f"{one} and {other} contradict each other: {why}")
    if "answer" in table and not forward:
        for key in present:
            if key in _SENDING or key in _EDITS:
                reader.wrong(
                    (*path, key), f"{key} has no effect: an answered frame is not sent on (forward = true does so)"
                )
    if "forward" in table and "answer" not in table:
        reader.wrong((*path, "forward"), "forward belongs to answer: other frames are sent on anyway")
    damaging = [key for key in table if key in {"truncate", "corrupt"}]
    for key in ("status", "body", "replace"):
        if key in table and damaging and list(table).index(damaging[0]) < list(table).index(key):
            reader.wrong((*path, key), f"{key} must stand before {damaging[0]}, which leaves no frame to edit")


def edits(reader: Reader, path: Path, table: dict[str, Any]) -> Iterator[Edit]:
    """The edits of a rule, in the order in which they are written."""
    readers: dict[str, Callable[[Reader, Path, Any], Edit]] = {
        "status": lambda reader, path, value: SetStatus(reader.status(path, value)),
        "body": lambda reader, path, value: SetBody(_bounded(reader, path, reader.body(path, value))),
        "replace": _replace,
        "truncate": lambda reader, path, value: Truncate(reader.whole(path, value, 1, FRAME_MAX)),
        "corrupt": _corrupt,
    }
    for key, value in table.items():
        if key in readers:
            yield readers[key](reader, (*path, key), value)


def _bounded(reader: Reader, path: Path, body: bytes) -> bytes:
    if len(body) > limits.HARDWARE_BODY_MAX:
        reader.bad(path, f"{len(body)} bytes do not fit the header: {limits.HARDWARE_BODY_MAX} at most")
    return body


def _replace(reader: Reader, path: Path, value: Any) -> Replace:
    table = reader.table(path, value)
    if not table:
        reader.bad(path, 'fields and their new values are expected, like { value = "99" }')
    if "fields" in table and isinstance(table["fields"], dict):  # the dotted key fields.KEY is a table in TOML
        inner = table["fields"]
        table = {key: one for key, one in table.items() if key != "fields"}
        table |= {f"fields.{key}": one for key, one in inner.items()}
    fields: list[tuple[str, tuple[str, ...]]] = []
    for key, one in table.items():
        at: Path = (*path, "fields", key[7:]) if key.startswith("fields.") else (*path, key)
        known = (field_names() | WRITABLE) - UNWRITABLE
        if key in UNWRITABLE:
            reader.wrong(at, f"{key} is read out of a body and cannot be written back: use body")
        if key not in known and not key.startswith("fields."):
            hint = near(key, known) or f"; any key of a body can be written fields.{shown(key)}"
            reader.wrong(at, f'no such field: "{shown(key)}"{hint}')
        many = one if isinstance(one, list) else [one]
        if not many:
            reader.bad(at, "a text or a list of texts is expected")
        texts = tuple(
            reader.part((*at, index) if one is many else at, item).decode() for index, item in enumerate(many)
        )
        if key in {"value", "values"} and any(name in {"value", "values"} for name, _ in fields):
            reader.wrong(at, "value and values are the same field")
        fields.append((key, texts))
    return Replace(tuple(fields))


def _corrupt(reader: Reader, path: Path, value: Any) -> Corrupt:
    if value is True:
        return Corrupt()
    if value is False:
        reader.only_true(path, value)
    table = reader.table(path, value)
    reader.keys(path, table, ("offset", "xor"), "key")
    offset = xor = None
    if "offset" in table:
        offset = reader.whole((*path, "offset"), table["offset"], -FRAME_MAX, FRAME_MAX)
    if "xor" in table:
        xor = reader.whole((*path, "xor"), table["xor"], 1, 0xFF)
    return Corrupt(offset, xor)


def answers(reader: Reader, path: Path, value: Any) -> tuple[Answer, ...]:
    """One answer or several."""
    many = value if isinstance(value, list) else [value]
    if not 1 <= len(many) <= ANSWERS_MAX:
        reader.bad(path, f"1 to {ANSWERS_MAX} answers are expected, not {len(many)}")
    return tuple(_answer(reader, (*path, index) if many is value else path, one) for index, one in enumerate(many))


def _answer(reader: Reader, path: Path, value: Any) -> Answer:
    table = reader.table(path, value)
    reader.keys(path, table, ("status", "redirect", "cmd", "body", "id", "delay"), "key of an answer")
    kinds = [key for key in ("status", "redirect", "cmd") if key in table]
    if len(kinds) != 1:
        reader.bad(path, "one of status, redirect and cmd is expected" + (", not several" if kinds else ""))
    if "body" in table and "cmd" not in table:
        reader.wrong((*path, "body"), "a body belongs to cmd")
    number = reader.whole((*path, "id"), table["id"], 0, limits.MESSAGE_ID_MAX) if "id" in table else None
    delay = reader.seconds((*path, "delay"), table["delay"], DELAY_MAX) if "delay" in table else 0.0
    if "status" in table:
        status = reader.status((*path, "status"), table["status"])
        return Answer(commands.RESPONSE, status, b"", number, delay)
    if "redirect" in table:
        host, port = _target(reader, (*path, "redirect"), table["redirect"])
        return Answer(commands.REDIRECT, None, b"\0".join((host, port)) if port else host, number, delay)
    cmd = reader.command((*path, "cmd"), table["cmd"])
    if cmd == commands.RESPONSE:
        reader.bad((*path, "cmd"), "a RESPONSE is written status = …")
    body = _bounded(reader, (*path, "body"), reader.body((*path, "body"), table["body"])) if "body" in table else b""
    return Answer(cmd, None, body, number, delay)


def _target(reader: Reader, path: Path, value: Any) -> tuple[bytes, bytes]:
    """Host and port; the port may be missing, and an IPv6 address with one stands in brackets."""
    text = reader.text(path, value, 255 + 6)
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
        if not bracket or (rest and not rest.startswith(":")) or rest == ":":
            reader.bad(path, "an IPv6 address with a port is written [::1]:8080")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        port = port or "?"
    if not host or not all(0x20 < ord(character) < 0x7F for character in host):
        reader.bad(path, "HOST or HOST:PORT is expected")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 0xFFFF):
        reader.bad(path, f"{shown(port)} is no port")
    return host.encode(), port.encode()


def delay(reader: Reader, path: Path, value: Any) -> Delay:
    """`delay = 0.5` or `delay = { seconds = 0.5, jitter = 1 }`."""
    if not isinstance(value, dict):
        return Delay(reader.seconds(path, value, DELAY_MAX))
    reader.keys(path, value, ("seconds", "jitter"), "key")
    if not value:
        reader.bad(path, "seconds or jitter are expected")
    seconds = reader.seconds((*path, "seconds"), value.get("seconds", 0.0), DELAY_MAX)
    return Delay(seconds, reader.seconds((*path, "jitter"), value.get("jitter", 0.0), DELAY_MAX))


def duplicate(reader: Reader, path: Path, value: Any) -> int:
    """`duplicate = true` (one more) or a number of further copies."""
    if isinstance(value, bool):
        reader.only_true(path, value)
        return 1
    return reader.whole(path, value, 1, COPIES_MAX)


def split(reader: Reader, path: Path, value: Any) -> Split:
    """`split = true` (single bytes), a size, or `{ size = 2, gap = 0.05 }`."""
    if isinstance(value, bool):
        reader.only_true(path, value)
        return Split()
    if not isinstance(value, dict):
        return Split(reader.whole(path, value, 1, FRAME_MAX))
    reader.keys(path, value, ("size", "gap"), "key")
    size = reader.whole((*path, "size"), value.get("size", 1), 1, FRAME_MAX)
    return Split(size, reader.seconds((*path, "gap"), value.get("gap", 0.0), DELAY_MAX))


def _gathered(reader: Reader, path: Path, value: Any, bounds: tuple[int, int], within: float) -> tuple[int, float]:
    if not isinstance(value, dict):
        return reader.whole(path, value, *bounds), within
    reader.keys(path, value, ("frames", "within"), "key")
    if "frames" not in value:
        reader.bad(path, "frames is expected")
    frames = reader.whole((*path, "frames"), value["frames"], *bounds)
    return frames, reader.seconds((*path, "within"), value.get("within", within), DELAY_MAX)


def merge(reader: Reader, path: Path, value: Any) -> Merge:
    """`merge = 5` or `{ frames = 5, within = 0.2 }`."""
    return Merge(*_gathered(reader, path, value, (2, MERGED_MAX), MERGE_SECONDS))


def reorder(reader: Reader, path: Path, value: Any) -> Reorder:
    """`reorder = true` (behind the next frame), a number of frames, or `{ frames = 3, within = 2 }`."""
    if isinstance(value, bool):
        reader.only_true(path, value)
        return Reorder()
    return Reorder(*_gathered(reader, path, value, (1, OVERTAKING_MAX), REORDER_SECONDS))


def stall(reader: Reader, path: Path, value: Any) -> StallFor:
    """`stall = true` (for good), seconds, or `{ seconds = 30, direction = "both" }`."""
    if isinstance(value, bool):
        reader.only_true(path, value)
        return StallFor()
    if not isinstance(value, dict):
        return StallFor(reader.seconds(path, value, DELAY_MAX))
    reader.keys(path, value, ("seconds", "direction"), "key")
    seconds = reader.seconds((*path, "seconds"), value["seconds"], DELAY_MAX) if "seconds" in value else None
    return StallFor(
        seconds, direction(reader, (*path, "direction"), value["direction"]) if "direction" in value else ()
    )


def direction(reader: Reader, path: Path, value: Any) -> tuple[int, ...]:
    """to-server, to-device or both."""
    if not isinstance(value, str) or value not in DIRECTIONS:
        said = f'"{shown(value)}"{near(value, DIRECTIONS)}' if isinstance(value, str) else kind_of(value)
        reader.bad(path, f"{', '.join(DIRECTIONS)} are possible, not {said}")
    return DIRECTIONS[value]
