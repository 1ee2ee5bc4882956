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
"""What libraries say of a device."""
BUILD = b"build"
"""Key of the info that tells firmwares apart."""
_INFO = "info"
"""What the store calls it among what the server itself keeps of a device."""
_Info = dict[str, str]


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

    def info(self, token: str) -> _Info:
        """What the device has said of itself, by key: `ver`, `h-beat`, `build`, …; empty where it said nothing."""
        known = self._store.own(token, _INFO)
        if known is None:
            return {}
        try:
            return msgspec.json.decode(known, type=_Info)
        except msgspec.DecodeError:
            return {}

    def sent(self, token: str) -> Sent | None:
        """The last order that reached a device."""
        return self._sent.get(token)

    def ordered(self, token: str, url: bytes) -> None:
        """An order reached the device."""
        build = self.info(token).get(BUILD.decode())
        self._sent[token] = Sent(url, build.encode() if build is not None else None)

    def reported(self, token: str, report: bytes) -> None:
        """The device said something of its update."""
        if (found := self._sent.get(token)) is not None:
            found.report = report[:INFO_BYTES_MAX]

    def heard(self, token: str, info: dict[bytes, bytes]) -> bytes | None:
        """A device has said what it is; gives its build, None where it did not name it."""
        known = self.info(token)
        said = {key.decode(): _text(info[key]) for key in INFO_KEYS if info.get(key)}
        both = {**known, **said}
        if both != known:
            self._store.set_own(token, _INFO, msgspec.json.encode({key: both[key] for key in sorted(both)}))
        build = _text(info.get(BUILD, b"")).encode() or None
        if build is not None and (found := self._sent.get(token)) is not None:
            found.state = "unchanged" if build == found.build else "updated"
        return build


def _text(value: bytes) -> str:
    return value[:INFO_BYTES_MAX].decode("utf-8", "replace")
