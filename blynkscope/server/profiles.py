"""Profiles as they were sent last: to make and compress one takes long, and apps ask for it again and again."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

KEPT = 16
"""Profiles, or dashboards, that are kept."""
KEPT_BYTES = 8 * 1024 * 1024
"""Bytes of all of them, compressed; one that is greater is made anew each time."""

Key = tuple[object, ...]


class Profiles:
    """Compressed profiles, each good for one version of the store."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._version = -1
        self._size = 0

    def get(self, key: Key, version: int, make: Callable[[], Any]) -> bytes:
        """The profile of this key: JSON, compressed with zlib.

        Args:
            key: What tells it from others.
            version: Of the store; what was made of another one is forgotten.
            make: Gives what becomes JSON, where it is not known.
        """
        if version != self._version:
            self._kept.clear()
            self._version, self._size = version, 0
        found = self._kept.get(key)
        if found is None:
            found = zlib.compress(msgspec.json.encode(make()))
            self._kept[key] = found
            self._size += len(found)
            while len(self._kept) > KEPT or self._size > KEPT_BYTES:
                self._size -= len(self._kept.popitem(last=False)[1])
        else:
            self._kept.move_to_end(key)
        return found
