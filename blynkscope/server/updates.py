"""What devices say of themselves, and whether one that was ordered to update came back renewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from blynkscope.server.store import Store

INFO_BYTES_MAX = 128
"""Bytes of a value that are kept."""
INFO_KEYS = (
    b"mcu", b"ver", b"h-beat", b"buff-in", b"dev", b"fw", b"fw-type", b"build", b"cpu", b"con", b"conn", b"tmpl",
)  # fmt: skip
"""What libraries say of a device, each kept as a field of its metadata."""
BUILD = b"build"
"""Key of the info that tells firmwares apart."""


class Sent(msgspec.Struct):
    """An order to update that reached a device.

    Attributes:
        url: What it was to load.
        build: What the device had said of its build before; None where it had not.
        state: `sent`, then `updated` (it came back with another build) or `unchanged` (with the old one).
        report: What the device itself said of the update, the last time.
    """

    url: bytes
    build: bytes | None
    state: str = "sent"
    report: bytes = b""


class Updates:
    """The info of all devices, which the store keeps, and the orders that reached them since the server started."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sent: dict[str, Sent] = {}

    def info(self, token: str) -> dict[str, str]:
        """What the device has said of itself, by key: `ver`, `h-beat`, `build`, …; empty where it said nothing."""
        known = self._store.metas(token)
        return {key.decode(): known[key].decode("utf-8", "replace") for key in INFO_KEYS if key in known}

    def sent(self, token: str) -> Sent | None:
        """The last order that reached a device."""
        return self._sent.get(token)

    def ordered(self, token: str, url: bytes) -> None:
        """An order reached the device."""
        self._sent[token] = Sent(url, self._store.meta(token, BUILD))

    def reported(self, token: str, report: bytes) -> None:
        """The device said something of its update."""
        if (found := self._sent.get(token)) is not None:
            found.report = report[:INFO_BYTES_MAX]

    def heard(self, token: str, info: dict[bytes, bytes]) -> bytes | None:
        """A device has said what it is; gives its build, None where it did not name it."""
        known = self._store.metas(token)
        for key in INFO_KEYS:
            value = info.get(key, b"")[:INFO_BYTES_MAX]
            if value and known.get(key) != value:
                self._store.set_meta(token, key, value)
        build = info.get(BUILD, b"")[:INFO_BYTES_MAX] or None
        if build is not None and (found := self._sent.get(token)) is not None:
            found.state = "unchanged" if build == found.build else "updated"
        return build
