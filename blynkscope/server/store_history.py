"""What of the store only grows: events, and the raw data of pins. Each has bounds, and the oldest go."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator

from blynkscope.server.store_file import Database, StoreError

RAW_PER_PIN = 10_000
"""Values of raw data kept for one pin, a week of one a minute; then the oldest go."""
SERIES_PER_DEVICE = 1_024
"""Pins of one device that have a history."""
EVENTS_PER_DEVICE = 1_000
"""Events kept of one device: ten days at the 100 a day that Blynk IoT takes."""
EVENT_BYTES_PER_DEVICE = 256 * 1024
"""Bytes of the events of one device: 1,000 of usual length."""
EVENT_BYTES = 64 * 1024 * 1024
"""Bytes of the events of all devices; beyond it the oldest go, whosever they are."""
READ_ROWS = 256
"""Rows of raw data that are in memory while they are read."""
KNOWN_MAX = 65_536
"""Series of raw data whose place is remembered, some 20 MB; those of devices longest unused are looked up anew."""
_EVENT_COST = 64
"""Bytes of the file that an event takes beside its texts."""
_GONE_AT_ONCE = 1_000
"""Events that go in one transaction, where there is no room left."""
_SIZE = f"length(name) + length(description) + {_EVENT_COST}"


class _Known:
    """What is remembered of one device."""

    __slots__ = ("bytes", "events", "series")

    def __init__(self) -> None:
        self.series: dict[bytes, list[int]] | None = None
        """By pin: number of the series, first number that is kept, next number."""
        self.events = -1
        """How many are stored; -1 where nobody has counted."""
        self.bytes = 0


class History:
    """Events and raw data; what is added waits until `flush`, inside of the store's transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._events: list[tuple[str, bytes, bytes, float]] = []
        self._data: list[tuple[str, bytes, float, int]] = []
        self._places = 0
        self._total: int | None = None
        self.barren = False
        """`shed` found nothing to remove, and nothing has been added since."""

    @property
    def pending(self) -> bool:
        """Does anything wait?"""
        return bool(self._events or self._data)

    def add_event(self, token: str, name: bytes, description: bytes, time: float) -> None:
        """An event."""
        self._events.append((token, name, description, time))

    def add_data(self, token: str, key: bytes, value: float, time: int) -> None:
        """A value of a pin, with its time in milliseconds."""
        self._data.append((token, key, value, time))

    def events(self, token: str, limit: int) -> list[tuple[bytes, bytes, float]]:
        """The last stored events of a device, the newest first."""
        found = self._database.rows(
            "SELECT name, description, time FROM events WHERE token = ? ORDER BY number DESC LIMIT ?", (token, limit)
        )
        return [(bytes(name), bytes(description), time) for name, description, time in found]

    def data(self, token: str, key: bytes) -> Iterator[tuple[float, int]]:
        """The stored history of a pin, the oldest first."""
        series = self._series(token).get(key)
        after = -1
        while series is not None:
            rows = self._database.rows(
                "SELECT number, value, time FROM data WHERE series = ? AND number > ? ORDER BY number LIMIT ?",
                (series[0], after, READ_ROWS),
            )
            if not rows:
                return
            for _, value, time in rows:
                yield value, time
            after = rows[-1][0]

    def clear_events(self, token: str, name: bytes | None) -> None:
        """Forget stored events."""
        if name is None:
            self._database.change(("DELETE FROM events WHERE token = ?", (token,)))
        else:
            self._database.change(("DELETE FROM events WHERE token = ? AND name = ?", (token, name)))
        self._total = None
        self._of(token).events = -1

    def clear_data(self, token: str, keys: set[bytes] | None) -> None:
        """Forget stored raw data."""
        series = self._series(token)
        gone = [number for key, (number, _, _) in series.items() if keys is None or key in keys]
        self._database.change(
            *(("DELETE FROM data WHERE series = ?", (number,)) for number in gone),
            *(("DELETE FROM series WHERE number = ?", (number,)) for number in gone),
        )
        self._of(token).series = None

    # --- for the store's commit ---------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Store what waits, and remove what is too much. Raises `sqlite3.Error`."""
        if self._events:
            self.barren = False
            self._flush_events()
        if self._data:
            self.barren = False
            self._flush_data()

    def drop_pending(self) -> None:
        """What waited is stored, or given up."""
        self._events.clear()
        self._data.clear()

    def forget(self) -> None:
        """What was remembered may be wrong."""
        self._known.clear()
        self._places = 0
        self._total = None

    def trim(self) -> None:
        """Bound what is remembered."""
        if len(self._known) + self._places > KNOWN_MAX:
            for _ in range((len(self._known) + 1) // 2):
                self._known.popitem(last=False)
            self._places = sum(len(known.series or ()) for known in self._known.values())

    def shed(self) -> None:
        """Make room: the older half of all events, and of each pin's history, goes. What cannot be removed stays."""
        database, before = self._database, self._database.raw.total_changes
        with contextlib.suppress(StoreError):
            ((first, last),) = database.rows("SELECT ifnull(min(number), 0), ifnull(max(number), -1) FROM events")
            half = (first + last) // 2
            while first <= half <= last:
                first = min(first + _GONE_AT_ONCE, half + 1)
                database.change(("DELETE FROM events WHERE number < ?", (first,)))
            for number, first, last in database.rows(
                "SELECT series, min(number), max(number) FROM data GROUP BY series"
            ):
                database.change(("DELETE FROM data WHERE series = ? AND number <= ?", (number, (first + last) // 2)))
        self.forget()
        self.barren = self._database.raw.total_changes == before

    # --- inside -------------------------------------------------------------------------------------------------------

    def _of(self, token: str) -> _Known:
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = _Known()
        else:
            self._known.move_to_end(token)
        return known

    def _series(self, token: str) -> dict[bytes, list[int]]:
        known = self._of(token)
        if known.series is None:
            rows = self._database.rows
            known.series = {}
            for number, key in rows("SELECT number, key FROM series WHERE token = ?", (token,)):
                ((first, last),) = rows(
                    "SELECT ifnull(min(number), 0), ifnull(max(number), -1) FROM data WHERE series = ?", (number,)
                )
                known.series[bytes(key)] = [number, first, last + 1]
            self._places += len(known.series)
        return known.series

    def _flush_events(self) -> None:
        raw = self._database.raw
        if self._total is None:
            ((self._total,),) = raw.execute(f"SELECT ifnull(sum({_SIZE}), 0) FROM events")  # noqa: S608 - a constant
        raw.executemany("INSERT INTO events (token, name, description, time) VALUES (?, ?, ?, ?)", self._events)
        added: dict[str, list[int]] = {}
        for token, name, description, _ in self._events:
            sizes = added.setdefault(token, [])
            sizes.append(len(name) + len(description) + _EVENT_COST)
        for token, sizes in added.items():
            self._total += sum(sizes)
            known = self._of(token)
            if known.events < 0:
                ((known.events, known.bytes),) = raw.execute(
                    f"SELECT count(*), ifnull(sum({_SIZE}), 0) FROM events WHERE token = ?",  # noqa: S608
                    (token,),
                )
            else:
                known.events += len(sizes)
                known.bytes += sum(sizes)
            too_many = known.events > EVENTS_PER_DEVICE + EVENTS_PER_DEVICE // 8
            if too_many or known.bytes > EVENT_BYTES_PER_DEVICE + EVENT_BYTES_PER_DEVICE // 8:
                self._total -= self._shorten(token, known)
        if self._total > EVENT_BYTES:
            self._shorten_all(self._total - EVENT_BYTES + EVENT_BYTES // 8)

    def _shorten(self, token: str, known: _Known) -> int:
        """The oldest events of a device go; gives their bytes."""
        raw, before = self._database.raw, known.bytes
        kept = size = last = 0
        for number, of_it in raw.execute(
            f"SELECT number, {_SIZE} FROM events WHERE token = ? ORDER BY number DESC LIMIT ?",  # noqa: S608
            (token, EVENTS_PER_DEVICE),
        ):
            if size + of_it > EVENT_BYTES_PER_DEVICE:
                break
            kept, size, last = kept + 1, size + of_it, number
        raw.execute("DELETE FROM events WHERE token = ? AND number < ?", (token, last))
        known.events, known.bytes = kept, size
        return before - size

    def _shorten_all(self, size: int) -> None:
        """The oldest events of all go, until so many bytes are free."""
        raw, last = self._database.raw, 0
        for number, of_it in raw.execute(f"SELECT number, {_SIZE} FROM events ORDER BY number"):  # noqa: S608
            if size <= 0:
                break
            size -= of_it
            last = number
        raw.execute("DELETE FROM events WHERE number <= ?", (last,))
        self._total = None
        for known in self._known.values():
            known.events = -1

    def _flush_data(self) -> None:
        raw = self._database.raw
        rows: list[tuple[int, int, float, int]] = []
        touched: dict[tuple[str, bytes], list[int]] = {}
        for token, key, value, time in self._data:
            series = touched.get((token, key))
            if series is None:
                known = self._series(token)
                series = known.get(key)
                if series is None:
                    if len(known) >= SERIES_PER_DEVICE:
                        continue
                    made = raw.execute("INSERT INTO series (token, key) VALUES (?, ?)", (token, key)).lastrowid
                    series = known[key] = [made or 0, 0, 0]
                    self._places += 1
                touched[token, key] = series
            rows.append((series[0], series[2], value, time))
            series[2] += 1
        raw.executemany("INSERT INTO data (series, number, value, time) VALUES (?, ?, ?, ?)", rows)
        for series in touched.values():
            if series[2] - series[1] > RAW_PER_PIN + RAW_PER_PIN // 8:
                series[1] = series[2] - RAW_PER_PIN
                raw.execute("DELETE FROM data WHERE series = ? AND number < ?", (series[0], series[1]))
