"""What the server keeps: pins, properties, events, raw data and documents, in one SQLite file or in memory.

Writes wait in memory and are stored together by `commit` (one transaction); reads see them at once. The file is kept in
WAL mode with `synchronous=NORMAL`: a process that is killed loses nothing that was committed, a machine that loses its
power may lose the last seconds. One process has the file for itself, since it answers from its caches.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from blynkscope.server.store_file import StoreError, open_file, trouble

RAW_PER_PIN = 10_000
"""Values of raw data kept for one pin, a week of one a minute; then the oldest go."""
EVENTS_PER_DEVICE = 1_000
"""Events kept of one device: ten days at the 100 a day that Blynk IoT takes."""
PINS_PER_DEVICE = 1_024
"""Pins, and properties, of one device: a board has 256 virtual ones, and few others."""
DEVICE_BYTES = 2 * 1024 * 1024
"""Bytes of the pins, properties and metadata of one device; 256 pins of 4 KiB and as much again."""
CACHED_BYTES = 64 * 1024 * 1024
"""Bytes of devices that are answered from memory; beyond it those longest unused are read anew."""
PENDING_BYTES = 16 * 1024 * 1024
"""Bytes that wait for `commit`; beyond it they are stored at once."""
READ_ROWS = 256
"""Rows of raw data that are in memory while they are read."""
_ENTRY_COST = 150
"""Bytes that Python needs for a remembered value, beside the value itself."""

_SET_PIN = """INSERT INTO pins (token, key, value, time) VALUES (?, ?, ?, ?)
              ON CONFLICT (token, key) DO UPDATE SET value = excluded.value, time = excluded.time"""
_SET_PROPERTY = """INSERT INTO properties (token, key, name, value) VALUES (?, ?, ?, ?)
                   ON CONFLICT (token, key, name) DO UPDATE SET value = excluded.value"""
_SET_FACT = "INSERT OR REPLACE INTO facts (token, field, value) VALUES (?, ?, ?)"
_SET_DOCUMENT = "INSERT OR REPLACE INTO documents (kind, key, value) VALUES (?, ?, ?)"

Values = list[bytes]
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[bytes]).decode


class _Kept:
    """What is remembered of one device."""

    __slots__ = ("cost", "events", "facts", "pins", "properties", "series", "times")

    def __init__(self) -> None:
        self.pins: dict[bytes, Values] = {}
        self.times: dict[bytes, float] = {}
        self.properties: dict[bytes, dict[bytes, Values]] = {}
        self.facts: dict[bytes, bytes] = {}
        self.series: dict[bytes, list[int]] | None = None
        """By pin: number of the series, first number that is kept, next number."""
        self.events = -1
        """How many are stored; -1 where nobody has counted."""
        self.cost = 2 * _ENTRY_COST


class Store:
    """Everything that outlives a connection.

    Args:
        path: The file, made with mode 0600 where there is none; None keeps everything in memory.

    Raises:
        StoreError: The file is locked, no store, of a newer version, or cannot be written; every method may raise it.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._cost = 0
        self._pins: dict[tuple[str, bytes], tuple[Values, float]] = {}
        self._properties: dict[tuple[str, bytes, bytes], Values] = {}
        self._facts: dict[tuple[str, bytes], bytes] = {}
        self._documents: dict[tuple[str, str], bytes | None] = {}
        self._events: list[tuple[str, bytes, bytes, float]] = []
        self._data: list[tuple[str, bytes, float, int]] = []
        self._pending = 0
        self._db = open_file(path)

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
        """Keep the values of a pin; False where the device has too many pins, or too much in them."""
        kept = self._of(token)
        old = kept.pins.get(key)
        if old is None and len(kept.pins) >= PINS_PER_DEVICE:
            return False
        if not self._charge(kept, _size(values) - _size(old)):
            return False
        kept.pins[key] = values
        kept.times[key] = time
        self._pins[token, key] = values, time
        self._wait(_size(values))
        return True

    def drop_pin(self, token: str, key: bytes) -> None:
        """Forget the values of a pin and the properties of its widget."""
        if key in self._of(token).pins or key in self._of(token).properties:
            self.commit()
            self._change(
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
        """Keep a property of a pin's widget; False where the device has too many, or too much in them."""
        kept = self._of(token)
        named = kept.properties.get(key, {})
        old = named.get(name)
        if old is None and sum(map(len, kept.properties.values())) >= PINS_PER_DEVICE:
            return False
        if not self._charge(kept, _size(values) - _size(old)):
            return False
        kept.properties.setdefault(key, named)[name] = values
        self._properties[token, key, name] = values
        self._wait(_size(values))
        return True

    def drop_property(self, token: str, key: bytes, name: bytes) -> None:
        """Forget a property of a pin's widget."""
        named = self._of(token).properties.get(key, {})
        if name in named:
            self.commit()
            self._change(("DELETE FROM properties WHERE token = ? AND key = ? AND name = ?", (token, key, name)))
            self._drop(token)

    def meta(self, token: str, field: bytes) -> bytes | None:
        """A field of a device's metadata."""
        return self._of(token).facts.get(field)

    def metas(self, token: str) -> dict[bytes, bytes]:
        """All metadata of a device, but for fields with a NUL before them, which are the server's own; a copy."""
        return {field: value for field, value in self._of(token).facts.items() if field[:1] != b"\0"}

    def set_meta(self, token: str, field: bytes, value: bytes) -> bool:
        """Keep a field of a device's metadata; False where the device has too many, or too much in them."""
        kept = self._of(token)
        old = kept.facts.get(field)
        if old is None and len(kept.facts) >= PINS_PER_DEVICE:
            return False
        if not self._charge(kept, len(value) + len(field) - (len(old) + len(field) if old is not None else 0)):
            return False
        kept.facts[field] = value
        self._facts[token, field] = value
        self._wait(len(value))
        return True

    # --- events and raw data ------------------------------------------------------------------------------------------

    def add_event(self, token: str, name: bytes, description: bytes, time: float) -> None:
        """Keep an event; the oldest of the device go."""
        self._events.append((token, name, description, time))
        self._wait(len(name) + len(description))

    def events(self, token: str, limit: int = 100) -> list[tuple[bytes, bytes, float]]:
        """The last events of a device, the newest first: name, description, seconds since 1970."""
        if self._events:
            self.commit()
        found = self._rows(
            "SELECT name, description, time FROM events WHERE token = ? ORDER BY number DESC LIMIT ?", (token, limit)
        )
        return [(bytes(name), bytes(description), time) for name, description, time in found]

    def clear_events(self, token: str, name: bytes | None = None) -> None:
        """Forget the events of a device, or those of one name."""
        self.commit()
        if name is None:
            self._change(("DELETE FROM events WHERE token = ?", (token,)))
        else:
            self._change(("DELETE FROM events WHERE token = ? AND name = ?", (token, name)))
        self._of(token).events = -1

    def add_data(self, token: str, key: bytes, value: float, time: float) -> None:
        """Keep a value of a pin's history; the oldest of the pin go."""
        self._data.append((token, key, value, int(time * 1000)))
        self._wait(len(key))

    def data(self, token: str, key: bytes) -> Iterator[tuple[float, int]]:
        """The history of a pin, the oldest first: value, milliseconds since 1970."""
        if self._data:
            self.commit()
        series = self._series(token, self._of(token)).get(key)
        after = -1
        while series is not None:
            rows = self._rows(
                "SELECT number, value, time FROM data WHERE series = ? AND number > ? ORDER BY number LIMIT ?",
                (series[0], after, READ_ROWS),
            )
            if not rows:
                return
            for _, value, time in rows:
                yield value, time
            after = rows[-1][0]

    def has_data(self, token: str, key: bytes) -> bool:
        """Was any history of this pin recorded?"""
        return next(self.data(token, key), None) is not None

    def clear_data(self, token: str, keys: set[bytes] | None = None) -> None:
        """Forget the history of a device, or that of some pins."""
        self.commit()
        kept = self._of(token)
        series = self._series(token, kept)
        gone = [number for key, (number, _, _) in series.items() if keys is None or key in keys]
        self._change(
            *(("DELETE FROM data WHERE series = ?", (number,)) for number in gone),
            *(("DELETE FROM series WHERE number = ?", (number,)) for number in gone),
        )
        kept.series = None

    # --- documents ----------------------------------------------------------------------------------------------------

    def document(self, kind: str, key: str) -> bytes | None:
        """A document: accounts, dashboards, devices, firmware."""
        if (kind, key) in self._documents:
            return self._documents[kind, key]
        rows = self._rows("SELECT value FROM documents WHERE kind = ? AND key = ?", (kind, key))
        return bytes(rows[0][0]) if rows else None

    def documents(self, kind: str) -> list[tuple[str, bytes]]:
        """All documents of a kind with their keys, in the order in which they were first set."""
        self.commit()
        return [
            (key, bytes(value))
            for key, value in self._rows("SELECT key, value FROM documents WHERE kind = ? ORDER BY rowid", (kind,))
        ]

    def document_keys(self, kind: str) -> list[str]:
        """The keys of the documents of a kind, in alphabetical order."""
        self.commit()
        return [key for (key,) in self._rows("SELECT key FROM documents WHERE kind = ? ORDER BY key", (kind,))]

    def set_document(self, kind: str, key: str, value: bytes | None) -> None:
        """Keep a document; None removes it."""
        self._documents[kind, key] = value
        self._wait(len(value or b"") + len(key))

    # --- storing ------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Store what waits, in one transaction. Where that fails, all of it is forgotten: nothing of it was stored.

        Raises:
            StoreError: It could not be stored; nobody may be told that it was.
        """
        if not self._pending:
            self._trim()
            return
        try:
            try:
                self._flush()
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
                    raise
                self._shed()
                self._flush()
        except sqlite3.Error as error:
            self._forget()
            raise trouble(self.path, error) from error
        self._clear_pending()
        self._trim()

    def forget_device(self, token: str) -> None:
        """Remove everything of a device: pins, properties, metadata, events and history."""
        self.clear_data(token)
        self._change(*((f"DELETE FROM {table} WHERE token = ?", (token,)) for table in _BY_TOKEN))  # noqa: S608
        self._drop(token)

    def close(self) -> None:
        """Store what waits, and let go of the file."""
        try:
            self.commit()
        finally:
            self._db.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _wait(self, size: int) -> None:
        self._pending += size + _ENTRY_COST
        if self._pending > PENDING_BYTES:
            self.commit()

    def _charge(self, kept: _Kept, growth: int) -> bool:
        """Take note of a write of so many bytes more; False where the device has no room for them."""
        if growth > 0 and kept.cost + growth > DEVICE_BYTES:
            return False
        kept.cost += growth
        self._cost += growth
        return True

    def _of(self, token: str) -> _Kept:
        kept = self._kept.get(token)
        if kept is None:
            kept = self._kept[token] = self._read(token)
            self._cost += kept.cost
        elif self._cost > CACHED_BYTES:
            self._kept.move_to_end(token)
        return kept

    def _read(self, token: str) -> _Kept:
        kept = _Kept()
        for key, value, time in self._rows(
            "SELECT key, value, time FROM pins WHERE token = ? ORDER BY rowid", (token,)
        ):
            kept.pins[bytes(key)] = values = _unpack(value)
            kept.times[bytes(key)] = time
            kept.cost += _size(values)
        for key, name, value in self._rows(
            "SELECT key, name, value FROM properties WHERE token = ? ORDER BY rowid", (token,)
        ):
            kept.properties.setdefault(bytes(key), {})[bytes(name)] = values = _unpack(value)
            kept.cost += _size(values)
        for field, value in self._rows("SELECT field, value FROM facts WHERE token = ?", (token,)):
            kept.facts[bytes(field)] = bytes(value)
            kept.cost += len(field) + len(value)
        return kept

    def _series(self, token: str, kept: _Kept) -> dict[bytes, list[int]]:
        if kept.series is None:
            found = self._rows("SELECT number, key FROM series WHERE token = ?", (token,))
            kept.series = {}
            for number, key in found:
                ((first, last),) = self._rows(
                    "SELECT ifnull(min(number), 0), ifnull(max(number), -1) FROM data WHERE series = ?", (number,)
                )
                kept.series[bytes(key)] = [number, first, last + 1]
        return kept.series

    def _flush(self) -> None:
        database = self._db
        database.execute("BEGIN IMMEDIATE")
        try:
            if self._pins:
                rows = [(token, key, _pack(values), time) for (token, key), (values, time) in self._pins.items()]
                database.executemany(_SET_PIN, rows)
            if self._properties:
                database.executemany(_SET_PROPERTY, [(*at, _pack(values)) for at, values in self._properties.items()])
            if self._facts:
                database.executemany(_SET_FACT, [(*at, value) for at, value in self._facts.items()])
            for (kind, key), value in self._documents.items():
                if value is None:
                    database.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))
                else:
                    database.execute(_SET_DOCUMENT, (kind, key, value))
            if self._events:
                self._flush_events()
            if self._data:
                self._flush_data()
            database.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            for kept in self._kept.values():
                kept.series, kept.events = None, -1
            raise

    def _flush_events(self) -> None:
        database = self._db
        database.executemany("INSERT INTO events (token, name, description, time) VALUES (?, ?, ?, ?)", self._events)
        for token in {row[0] for row in self._events}:
            kept = self._of(token)
            if kept.events < 0:
                ((kept.events,),) = database.execute("SELECT count(*) FROM events WHERE token = ?", (token,))
            else:
                kept.events += sum(1 for row in self._events if row[0] == token)
            if kept.events > EVENTS_PER_DEVICE + EVENTS_PER_DEVICE // 8:
                database.execute(
                    "DELETE FROM events WHERE token = ?1 AND number <="
                    " (SELECT number FROM events WHERE token = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
                    (token, EVENTS_PER_DEVICE),
                )
                kept.events = EVENTS_PER_DEVICE

    def _flush_data(self) -> None:
        database = self._db
        rows: list[tuple[int, int, float, int]] = []
        touched: dict[tuple[str, bytes], list[int]] = {}
        for token, key, value, time in self._data:
            series = touched.get((token, key))
            if series is None:
                known = self._series(token, self._of(token))
                series = known.get(key)
                if series is None:
                    if len(known) >= PINS_PER_DEVICE:
                        continue
                    made = database.execute("INSERT INTO series (token, key) VALUES (?, ?)", (token, key)).lastrowid
                    series = known[key] = [made or 0, 0, 0]
                touched[token, key] = series
            rows.append((series[0], series[2], value, time))
            series[2] += 1
        database.executemany("INSERT INTO data (series, number, value, time) VALUES (?, ?, ?, ?)", rows)
        for series in touched.values():
            if series[2] - series[1] > RAW_PER_PIN + RAW_PER_PIN // 8:
                series[1] = series[2] - RAW_PER_PIN
                database.execute("DELETE FROM data WHERE series = ? AND number < ?", (series[0], series[1]))

    def _shed(self) -> None:
        """Make room: the older half of each pin's history goes."""
        for number, first, last in self._rows("SELECT series, min(number), max(number) FROM data GROUP BY series", ()):
            self._change(("DELETE FROM data WHERE series = ? AND number <= ?", (number, (first + last) // 2)))

    def _clear_pending(self) -> None:
        self._pins.clear()
        self._properties.clear()
        self._facts.clear()
        self._documents.clear()
        self._events.clear()
        self._data.clear()
        self._pending = 0

    def _forget(self) -> None:
        self._clear_pending()
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

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise trouble(self.path, error) from error

    def _change(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for query, values in statements:
                self._db.execute(query, values)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise trouble(self.path, error) from error


_BY_TOKEN = ("pins", "properties", "facts", "events")


def _size(values: Values | None) -> int:
    return 0 if values is None else _ENTRY_COST + sum(map(len, values)) + 40 * len(values)


__all__ = ["Store", "StoreError", "Values"]
