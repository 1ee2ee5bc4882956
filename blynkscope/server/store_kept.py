"""What the store remembers of a device, as it stands in the file or will after the next commit."""

from __future__ import annotations

import msgspec

from blynkscope.server.store_file import Database, damaged

Values = list[bytes]
ENTRY_COST = 150
"""Bytes that Python needs for a remembered value, beside the value itself."""

_unpack = msgspec.msgpack.Decoder(list[bytes]).decode


class Kept:
    """What is remembered of one device."""

    __slots__ = ("cost", "facts", "own", "pins", "properties", "times")

    def __init__(self) -> None:
        self.pins: dict[bytes, Values] = {}
        self.times: dict[bytes, float] = {}
        self.properties: dict[bytes, dict[bytes, Values]] = {}
        self.facts: dict[bytes, bytes] = {}
        self.own: dict[str, bytes] = {}
        self.cost = 4 * ENTRY_COST


def size_of(values: Values | None) -> int:
    """Bytes that values take in memory."""
    return 0 if values is None else ENTRY_COST + sum(map(len, values)) + 40 * len(values)


def read_kept(database: Database, token: str) -> Kept:
    """What is stored of a device. Raises `StoreError` where it does not read as what it has to be."""
    kept, rows = Kept(), database.rows
    try:
        for key, value, time in rows("SELECT key, value, time FROM pins WHERE token = ? ORDER BY rowid", (token,)):
            kept.pins[bytes(key)] = values = _unpack(value)
            kept.times[bytes(key)] = time
            kept.cost += size_of(values) + len(key)
        for key, name, value in rows(
            "SELECT key, name, value FROM properties WHERE token = ? ORDER BY rowid", (token,)
        ):
            kept.properties.setdefault(bytes(key), {})[bytes(name)] = values = _unpack(value)
            kept.cost += size_of(values) + len(name)
        for field, value in rows("SELECT field, value FROM facts WHERE token = ?", (token,)):
            kept.facts[bytes(field)] = bytes(value)
            kept.cost += len(field) + len(value) + ENTRY_COST
        for field, value in rows("SELECT field, value FROM own WHERE token = ?", (token,)):
            kept.own[field] = bytes(value)
            kept.cost += len(field) + len(value) + ENTRY_COST
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise damaged(database.path, "the values of a device") from error
    return kept
