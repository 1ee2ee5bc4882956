"""What the server keeps: pins, properties, events, raw data and documents, in one SQLite file or in memory.

Writes wait in memory and are stored together by `commit` (one transaction); reads see them at once. The file is kept in
WAL mode with `synchronous=NORMAL`: a process that is killed loses nothing that was committed, a machine that loses its
power may lose the last seconds. One process has the file for itself, since it answers from its caches.

What does not fit is refused as it comes, not when it is stored: by bounds of each device, and as the room for all of
them ends (`store_room`).
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from blynkscope.server.store_file import StoreError, damaged, open_file, trouble
from blynkscope.server.store_history import History
from blynkscope.server.store_kept import ENTRY_COST, Kept, Values, read_kept, size_of
from blynkscope.server.store_room import Room

PINS_PER_DEVICE = 1_024
"""Pins, and properties, of one device: a board has 256 virtual ones, and few others."""
DEVICE_BYTES = 2 * 1024 * 1024
"""Bytes of the pins, properties and metadata of one device; 256 pins of 4 KiB and as much again."""
CACHED_BYTES = 64 * 1024 * 1024
"""Bytes of devices that are answered from memory; beyond it those longest unused are read anew."""
PENDING_BYTES = 16 * 1024 * 1024
"""Bytes that wait for `commit`; beyond it they are stored at once."""
NAME_BYTES = 64
"""Bytes of the name of a property, an event or a field of metadata; real ones have some ten."""
DESCRIPTION_MAX = 300
"""Characters of the description of an event, as Blynk IoT documents them; the rest is cut off."""

_SET_PIN = """INSERT INTO pins (token, key, value, time) VALUES (?, ?, ?, ?)
              ON CONFLICT (token, key) DO UPDATE SET value = excluded.value, time = excluded.time"""
_SET_PROPERTY = """INSERT INTO properties (token, key, name, value) VALUES (?, ?, ?, ?)
                   ON CONFLICT (token, key, name) DO UPDATE SET value = excluded.value"""
_SET_FACT = "INSERT OR REPLACE INTO facts (token, field, value) VALUES (?, ?, ?)"
_SET_OWN = "INSERT OR REPLACE INTO own (token, field, value) VALUES (?, ?, ?)"
_SET_DOCUMENT = "INSERT OR REPLACE INTO documents (kind, key, value) VALUES (?, ?, ?)"

_pack = msgspec.msgpack.Encoder().encode


def is_name(name: bytes) -> bool:
    """May a property, an event or a field of metadata be called so? Control characters are in no name."""
    return 0 < len(name) <= NAME_BYTES and not any(byte < 0x20 or byte == 0x7F for byte in name)


class Store:
    """Everything that outlives a connection.

    Args:
        path: The file, made with mode 0600 where there is none; None keeps everything in memory.

    Raises:
        StoreError: The file is locked, no store, of a newer version, or cannot be written; every method may raise it.

    Attributes:
        path: The file.
        version: Grows with each change of what can be read, but for events and history.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.version = 0
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._cost = 0
        self._pins: dict[tuple[str, bytes], tuple[Values, float]] = {}
        self._properties: dict[tuple[str, bytes, bytes], Values] = {}
        self._facts: dict[tuple[str, bytes], bytes] = {}
        self._own: dict[tuple[str, str], bytes] = {}
        self._documents: dict[tuple[str, str], bytes | None] = {}
        self._pending = self._rows_pending = 0
        self._open()

    def _open(self) -> None:
        self._db = open_file(self.path)
        self._history = History(self._db)
        self._room = Room(self._db)
        self._room.look()

    @property
    def pending(self) -> bool:
        """Does anything wait for `commit`?"""
        return self._pending > 0

    # --- pins, properties, metadata -----------------------------------------------------------------------------------

    def pin(self, token: str, key: bytes) -> Values | None:
        """The values of a pin (`b"v1"`, `b"d2"`, `b"a0"`); None where nothing was written."""
        return self._of(token).pins.get(key)

    def pins(self, token: str) -> dict[bytes, Values]:
        """All pins of a device that have values, in the order of their first write; a copy."""
        return dict(self._of(token).pins)

    def pin_time(self, token: str, key: bytes) -> float | None:
        """When a pin was written last, in seconds since 1970."""
        return self._of(token).times.get(key)

    def last_write(self, token: str) -> float:
        """When any pin of a device was written last, in seconds since 1970; 0 for never."""
        return max(self._of(token).times.values(), default=0.0)

    def set_pin(self, token: str, key: bytes, values: Values, time: float) -> bool:
        """Keep the values of a pin; False where there is no room, for this device or at all."""
        kept = self._of(token)
        old = kept.pins.get(key)
        if old is None and len(kept.pins) >= PINS_PER_DEVICE:
            return False
        size = size_of(values)
        growth = size - size_of(old) + (len(key) if old is None else 0)
        if not self._has_room(size) or not self._charge(kept, growth):
            return False
        kept.pins[key] = values
        kept.times[key] = time
        self._pins[token, key] = values, time
        self._wait(size)
        return True

    def drop_pin(self, token: str, key: bytes) -> None:
        """Forget the values of a pin and the properties of its widget."""
        if key in self._of(token).pins or key in self._of(token).properties:
            self.commit()
            self.version += 1
            self._db.change(
                ("DELETE FROM pins WHERE token = ? AND key = ?", (token, key)),
                ("DELETE FROM properties WHERE token = ? AND key = ?", (token, key)),
            )
            self._drop(token)

    def property(self, token: str, key: bytes, name: bytes) -> Values | None:
        """A property of a pin's widget, as it was set last."""
        return self._of(token).properties.get(key, {}).get(name)

    def properties(self, token: str) -> dict[bytes, dict[bytes, Values]]:
        """All properties of a device, by pin and name; a copy."""
        return {key: dict(named) for key, named in self._of(token).properties.items()}

    def set_property(self, token: str, key: bytes, name: bytes, values: Values) -> bool:
        """Keep a property of a pin's widget; False where there is no room for it, or it is no name."""
        kept = self._of(token)
        named = kept.properties.get(key, {})
        old = named.get(name)
        if not is_name(name) or (old is None and sum(map(len, kept.properties.values())) >= PINS_PER_DEVICE):
            return False
        size = size_of(values) + len(name)
        growth = size - (size_of(old) + len(name) if old is not None else 0)
        if not self._has_room(size) or not self._charge(kept, growth):
            return False
        kept.properties.setdefault(key, named)[name] = values
        self._properties[token, key, name] = values
        self._wait(size)
        return True

    def drop_property(self, token: str, key: bytes, name: bytes) -> None:
        """Forget a property of a pin's widget."""
        named = self._of(token).properties.get(key, {})
        if name in named:
            self.commit()
            self.version += 1
            self._db.change(("DELETE FROM properties WHERE token = ? AND key = ? AND name = ?", (token, key, name)))
            self._drop(token)

    def meta(self, token: str, field: bytes) -> bytes | None:
        """A field of a device's metadata."""
        return self._of(token).facts.get(field)

    def metas(self, token: str) -> dict[bytes, bytes]:
        """All metadata of a device; a copy."""
        return dict(self._of(token).facts)

    def set_meta(self, token: str, field: bytes, value: bytes) -> bool:
        """Keep a field of a device's metadata; False where there is no room for it, or it is no name."""
        kept = self._of(token)
        old = kept.facts.get(field)
        if not is_name(field) or (old is None and len(kept.facts) >= PINS_PER_DEVICE):
            return False
        size = len(value) + len(field) + ENTRY_COST
        growth = len(value) - len(old) if old is not None else size
        if not self._has_room(size) or not self._charge(kept, growth):
            return False
        kept.facts[field] = value
        self._facts[token, field] = value
        self._wait(size)
        return True

    def own(self, token: str, field: str) -> bytes | None:
        """What the server itself keeps of a device; nothing that clients say names these fields."""
        return self._of(token).own.get(field)

    def set_own(self, token: str, field: str, value: bytes) -> bool:
        """Keep something of a device for the server itself; False where there is no room at all."""
        kept = self._of(token)
        size = len(value) + len(field) + ENTRY_COST
        if not self._has_room(size):
            # Who is here and who is not has changed all the same.
            self.version += 1
            return False
        old = kept.own.get(field)
        growth = len(value) - len(old) if old is not None else size
        kept.cost += growth
        self._cost += growth
        kept.own[field] = value
        self._own[token, field] = value
        self._wait(size)
        return True

    # --- events and raw data ------------------------------------------------------------------------------------------

    def add_event(self, token: str, name: bytes, description: bytes, time: float) -> bool:
        """Keep an event; the oldest of the device go. False where there is no room, or it is no name.

        Args:
            token: Of the device.
            name: Of the event.
            description: Its text, of which so many characters are kept as Blynk IoT does.
            time: Seconds since 1970.
        """
        if len(description) > DESCRIPTION_MAX:
            # No character has more than four bytes.
            text = description[: 4 * DESCRIPTION_MAX].decode("utf-8", "replace")
            description = text[:DESCRIPTION_MAX].encode()
        size = len(name) + len(description) + ENTRY_COST
        if not is_name(name) or not self._has_room(size):
            return False
        self._history.add_event(token, name, description, time)
        self._wait(size)
        return True

    def events(self, token: str, limit: int = 100) -> list[tuple[bytes, bytes, float]]:
        """The last events of a device, the newest first: name, description, seconds since 1970."""
        if self._history.pending:
            self.commit()
        return self._history.events(token, limit)

    def clear_events(self, token: str, name: bytes | None = None) -> None:
        """Forget the events of a device, or those of one name."""
        self.commit()
        self._history.clear_events(token, name)

    def add_data(self, token: str, key: bytes, value: float, time: float) -> bool:
        """Keep a value of a pin's history; the oldest of the pin go. False where there is no room at all."""
        if not self._has_room(ENTRY_COST):
            return False
        self._history.add_data(token, key, value, int(time * 1000))
        self._wait(ENTRY_COST)
        return True

    def data(self, token: str, key: bytes) -> Iterator[tuple[float, int]]:
        """The history of a pin, the oldest first: value, milliseconds since 1970."""
        if self._history.pending:
            self.commit()
        yield from self._history.data(token, key)

    def has_data(self, token: str, key: bytes) -> bool:
        """Was any history of this pin recorded?"""
        return next(self.data(token, key), None) is not None

    def clear_data(self, token: str, keys: set[bytes] | None = None) -> None:
        """Forget the history of a device, or that of some pins."""
        self.commit()
        self._history.clear_data(token, keys)

    # --- documents ----------------------------------------------------------------------------------------------------

    def document(self, kind: str, key: str) -> bytes | None:
        """A document: accounts, dashboards, devices, firmware."""
        if (kind, key) in self._documents:
            return self._documents[kind, key]
        rows = self._db.rows("SELECT value FROM documents WHERE kind = ? AND key = ?", (kind, key))
        return self._document(kind, key, rows[0][0]) if rows else None

    def documents(self, kind: str) -> list[tuple[str, bytes]]:
        """All documents of a kind with their keys, in the order in which they were first set."""
        self.commit()
        return [
            (key, self._document(kind, key, value))
            for key, value in self._db.rows("SELECT key, value FROM documents WHERE kind = ? ORDER BY rowid", (kind,))
        ]

    def _document(self, kind: str, key: object, value: object) -> bytes:
        if not isinstance(value, bytes) or not isinstance(key, str):
            raise self.damaged(kind, str(key))
        return value

    def damaged(self, kind: str, key: str) -> StoreError:
        """The error to raise where a document does not read as what it has to be."""
        # The key may be a token.
        return damaged(self.path, f"a document of the kind {kind}, {len(key)} characters long in its name")

    def document_keys(self, kind: str) -> list[str]:
        """The keys of the documents of a kind, in alphabetical order."""
        self.commit()
        return [key for (key,) in self._db.rows("SELECT key FROM documents WHERE kind = ? ORDER BY key", (kind,))]

    def set_document(self, kind: str, key: str, value: bytes | None) -> bool:
        """Keep a document; None removes it. False where there is no room at all."""
        size = len(value or b"") + len(key) + ENTRY_COST
        if value is not None and not self._has_room(size):
            return False
        self._documents[kind, key] = value
        self._wait(size)
        return True

    # --- storing ------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Store what waits, in one transaction. Where that fails, all of it is forgotten: nothing of it was stored.

        Raises:
            StoreError: It could not be stored; nobody may be told that it was.
        """
        if not self._pending:
            if self._room.stale:
                self._look()
            self._trim()
            return
        try:
            try:
                self._flush()
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
                    raise
                # Somebody else has filled the disk since it was looked at.
                self._db.write_back()
                self._history.shed()
                self._flush()
        except sqlite3.Error as error:
            self._forget()
            raise trouble(self.path, error) from error
        except StoreError:
            self._forget()
            raise
        self._clear_pending()
        self._look()
        self._trim()

    def _look(self) -> None:
        """How much room is left? Where it is little, the oldest of what only grows goes."""
        self._room.look()
        if self._room.low and not self._history.barren:
            self._history.shed()
            self._room.look()

    def forget_device(self, token: str) -> None:
        """Remove everything of a device: pins, properties, metadata, events and history."""
        self.clear_data(token)
        self.clear_events(token)
        self.version += 1
        self._db.change(*((f"DELETE FROM {table} WHERE token = ?", (token,)) for table in _BY_TOKEN))  # noqa: S608
        self._drop(token)

    def close(self) -> None:
        """Store what waits, and let go of the file."""
        try:
            self.commit()
        finally:
            self._db.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _has_room(self, size: int) -> bool:
        return self._room.takes(self._pending + size, self._rows_pending + 1)

    def _wait(self, size: int) -> None:
        self.version += 1
        self._pending += size
        self._rows_pending += 1
        if self._pending > PENDING_BYTES:
            self.commit()

    def _charge(self, kept: Kept, growth: int) -> bool:
        """Take note of a write of so many bytes more; False where the device has no room for them."""
        if growth > 0 and kept.cost + growth > DEVICE_BYTES:
            return False
        kept.cost += growth
        self._cost += growth
        return True

    def _of(self, token: str) -> Kept:
        kept = self._kept.get(token)
        if kept is None:
            kept = self._kept[token] = read_kept(self._db, token)
            self._cost += kept.cost
        elif self._cost > CACHED_BYTES:
            self._kept.move_to_end(token)
        return kept

    def _flush(self) -> None:
        raw = self._db.raw
        raw.execute("BEGIN IMMEDIATE")
        try:
            if self._pins:
                rows = [(token, key, _pack(values), time) for (token, key), (values, time) in self._pins.items()]
                raw.executemany(_SET_PIN, rows)
            if self._properties:
                raw.executemany(_SET_PROPERTY, [(*at, _pack(values)) for at, values in self._properties.items()])
            if self._facts:
                raw.executemany(_SET_FACT, [(*at, value) for at, value in self._facts.items()])
            if self._own:
                raw.executemany(_SET_OWN, [(*at, value) for at, value in self._own.items()])
            for (kind, key), value in self._documents.items():
                if value is None:
                    raw.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))
                else:
                    raw.execute(_SET_DOCUMENT, (kind, key, value))
            self._history.flush()
            raw.execute("COMMIT")
        except (sqlite3.Error, StoreError):
            self._db.roll_back()
            self._history.forget()
            raise

    def _clear_pending(self) -> None:
        self._pins.clear()
        self._properties.clear()
        self._facts.clear()
        self._own.clear()
        self._documents.clear()
        self._history.drop_pending()
        self._pending = self._rows_pending = 0

    def _forget(self) -> None:
        self.version += 1
        self._clear_pending()
        self._history.forget()
        self._kept.clear()
        self._cost = 0

    def _drop(self, token: str) -> None:
        gone = self._kept.pop(token, None)
        if gone is not None:
            self._cost -= gone.cost

    def _trim(self) -> None:
        while self._cost > CACHED_BYTES and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._cost -= gone.cost
        self._history.trim()


_BY_TOKEN = ("pins", "properties", "facts", "own")

__all__ = ["Store", "StoreError", "Values", "is_name"]
