"""A long run of bytes, searched in overlapping windows: what is found does not depend on how the bytes were cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable

CARRY = 16 * 1024
"""Bytes that are searched again with those that follow: longer than any secret with its name, cookies included."""
STEP = 32 * 1024
"""New bytes that are worth a search."""
_MARGIN = 1024
"""Bytes at the beginning of a window that only serve as what stands before; they were searched with the last one."""

Found = tuple[int, int, object]


class Window:
    """Searches what is fed.

    Args:
        search: Bytes → (start, end, …) of everything in them.
        tell: Called with the offset of `data[0]`, the data and what was found in it. It may be told twice of the same.
        offset: Offset of the first byte.
    """

    def __init__(
        self,
        search: Callable[[bytes], Iterable[tuple]],  # type: ignore[type-arg]
        tell: Callable[[int, bytes, tuple], None],  # type: ignore[type-arg]
        offset: int = 0,
    ) -> None:
        self._search = search
        self._tell = tell
        self._data = bytearray()
        self._base = offset
        self._new = 0
        self._first = True

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._data += data
        self._new += len(data)
        if self._new >= STEP:
            self._scan(final=False)
            drop = max(0, len(self._data) - CARRY)
            del self._data[:drop]
            self._base += drop
            self._new = 0
            self._first = self._first and not drop

    def gap(self, missing: int) -> None:
        """Bytes are missing: what stands before them does not go on behind them."""
        self.finish()
        self._base += missing

    def finish(self) -> None:
        """No more bytes follow without a gap."""
        if self._new:
            self._scan(final=True)
        self._base += len(self._data)
        self._data.clear()
        self._new = 0
        self._first = True

    def _scan(self, *, final: bool) -> None:
        data = bytes(self._data)
        for found in self._search(data):
            start, end = found[:2]
            if not final and end >= len(data) - 1 and end - start < CARRY - _MARGIN:
                continue
            if self._first or start >= _MARGIN:
                self._tell(self._base, data, found)
