"""How much more the store takes: refused in time, a write costs its sender a status, and not everybody the server."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from blynkscope.server.store_file import PAGE, Database

RESERVE = 1024 * 1024
"""Bytes that stay free, of the file and of the disk, so that old things can be removed; of small ones an eighth."""
_ROW_PAGES = 3
"""Pages that a small write touches: the row, its place in an index, and what holds these."""
_GROWTH = 2
"""The file grows by at most so many times what is written: pages are split in halves, and rows have an index."""
_SPARE = 32 * 1024 * 1024
"""So much room is made in time, twice what one commit stores at most; of a small store a quarter."""
_UNKNOWN = 1 << 62


class Room:
    """What is left of the pages that the store may have, and of the disk. `look` finds out.

    Attributes:
        low: So little is left that old things have to go.
    """

    def __init__(self, database: Database) -> None:
        self.low = False
        self._database = database
        self._growth = self._log = _UNKNOWN
        self._stale = True

    @property
    def stale(self) -> bool:
        """Something was refused, or nobody has looked yet: look again before the next."""
        return self._stale

    def takes(self, waiting: int, rows: int) -> bool:
        """Whether so many bytes in so many rows can wait for the next commit, which then does not fail."""
        fits = _GROWTH * waiting <= self._growth and waiting + rows * _ROW_PAGES * PAGE <= self._log
        if not fits:
            self._stale = True
        return fits

    def look(self) -> None:
        """Find out what is left. A log that takes up much of a disk that is nearly full is written back first.

        Raises:
            StoreError: The store cannot be read.
        """
        self._stale = False
        database = self._database
        ((pages,),) = database.rows("PRAGMA page_count")
        ((free,),) = database.rows("PRAGMA freelist_count")
        most = database.pages * PAGE
        unused = (database.pages - pages + free) * PAGE
        self._growth = unused - min(RESERVE, most // 8)
        self._log = _UNKNOWN
        self.low = self._growth < min(_SPARE, most // 4)
        if database.path is None:
            return
        disk, reserve = self._disk(database.path)
        if disk < 2 * RESERVE and _size_of_log(database.path) > disk // 4:
            database.write_back()
            disk, reserve = self._disk(database.path)
        # Rows go to the log first. The file grows by what its free pages do not hold.
        self._growth = min(self._growth, disk, (disk + free * PAGE) // 2)
        self._log = disk
        self.low = self.low or (disk < reserve and free * PAGE < min(reserve, pages * PAGE // 4))

    @staticmethod
    def _disk(path: Path) -> tuple[int, int]:
        """Bytes of the disk that may be used, and those that stay free; what cannot be found out is no limit."""
        try:
            found = shutil.disk_usage(path.parent)
        except OSError:
            return _UNKNOWN, 0
        reserve = min(RESERVE, found.total // 8)
        return found.free - reserve, reserve


def _size_of_log(path: Path) -> int:
    with contextlib.suppress(OSError):
        return os.stat(f"{path}-wal").st_size
    return 0
