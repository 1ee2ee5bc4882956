"""Firmware that the server offers: uploaded files in the store, files of a folder, and what is ordered."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from blynkscope.server.model import ServerSettings

if TYPE_CHECKING:
    from blynkscope.server.projects import Device
    from blynkscope.server.store import Store

UPLOAD_MAX = 32 * 1024 * 1024
"""Bytes of an uploaded file: the flash of the greatest boards (16 MiB), and as much again."""
UPLOADS_MAX = 2
"""Uploads at one time; each is in memory until it is whole."""
KEPT_BYTES_MAX = 128 * 1024 * 1024
"""Bytes of uploaded files that are kept: the last four of the greatest, or a hundred usual ones; the oldest go."""
KEPT_FILES_MAX = 256
"""Uploaded files that are kept."""
PIECE = 64 * 1024
"""Bytes that are read and sent at once; what waits to be written to a slow device."""
NAME_MAX = 128
"""Characters of a file's name; file systems take 255."""
FOLDER = "/static/ota/"
"""Path of firmware in URLs."""
_KIND = "firmware"
_LIST = "files"
_BUILD = b"\0build\0"
_BUILD_MAX = 64
"""Bytes of the time of a build; `Mar  7 2026 10:04:33` has twenty."""
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


class Uploaded(msgspec.Struct, frozen=True):
    """An uploaded file: name, bytes, number of its pieces in the store, when it came (seconds since 1970)."""

    name: str
    size: int
    pieces: int
    time: float


class Order(msgspec.Struct, frozen=True):
    """An order to update all devices, or those of an account or a project (by its name), as they log in.

    `build` is what the file says of itself; devices that run it already are left alone.
    """

    url: bytes
    build: bytes | None
    account: str | None
    project: str | None


class Images:
    """The files, and the order for devices that are yet to come.

    Args:
        settings: Of the server; `firmware` is the folder, `public` what URLs name.
        store: Where uploaded files are kept.

    Attributes:
        plain_port: Where the server speaks HTTP without TLS, as far as it has seen.
        uploading: Uploads that are under way.
        ordered: What devices shall load that log in from now on; None where nothing is ordered.
    """

    def __init__(self, settings: ServerSettings, store: Store) -> None:
        self.plain_port = 8080
        self.uploading = 0
        self.ordered: Order | None = None
        self._settings = settings
        self._store = store

    # --- files --------------------------------------------------------------------------------------------------------

    def keep(self, name: str, data: bytes | bytearray, time: float) -> str | None:
        """Keep an uploaded file; gives the name that it has from now on, which no other file ever had.

        None where there is no room for it.
        """
        digest = hashlib.sha256(data).hexdigest()[:8]
        stem, dot, end = name.replace("\\", "/").rpartition("/")[2].rpartition(".")
        if not dot:
            stem, end = end, "bin"
        stem = _ODD.sub("_", stem).strip("._-")[: NAME_MAX // 2] or "firmware"
        own = f"{stem}_{digest}.{_ODD.sub('', end)[:8] or 'bin'}"
        pieces = range(0, len(data), PIECE)
        before = self._uploaded()
        for number, at in enumerate(pieces):
            if not self._store.set_document(_KIND, f"{own}#{number}", bytes(data[at : at + PIECE])):
                if all(one.name != own for one in before):
                    for kept_number in range(number):
                        self._store.set_document(_KIND, f"{own}#{kept_number}", None)
                return None
        kept = [one for one in before if one.name != own]
        kept.append(Uploaded(own, len(data), len(pieces), time))
        while len(kept) > KEPT_FILES_MAX or sum(one.size for one in kept) > KEPT_BYTES_MAX:
            gone = kept.pop(0)
            for number in range(gone.pieces):
                self._store.set_document(_KIND, f"{gone.name}#{number}", None)
        return own if self._store.set_document(_KIND, _LIST, msgspec.json.encode(kept)) else None

    def find(self, name: str) -> tuple[int, Iterator[bytes]] | None:
        """Size and pieces of a file; None where there is none of this name.

        The pieces have to be read to their end, or closed.
        """
        if not _is_name(name):
            return None
        for one in self._uploaded():
            if one.name == name:
                return one.size, self._pieces(one)
        return _opened(self._settings.firmware, name) if self._settings.firmware is not None else None

    def has(self, name: str) -> bool:
        """Is there a file of this name?"""
        found = self.find(name)
        if found is None:
            return False
        # Nothing was read: this closes the file.
        _close(found[1])
        return True

    def build_of(self, name: str) -> bytes | None:
        """The time of its build that a file tells of itself, as the C++ library writes it; None where it does not."""
        found = self.find(name)
        if found is None:
            return None
        before = b""
        try:
            for piece in found[1]:
                both = before + piece
                at = both.find(_BUILD)
                if at >= 0 and (end := both.find(b"\0", at + len(_BUILD))) >= 0:
                    build = both[at + len(_BUILD) : end]
                    return build if 0 < len(build) <= _BUILD_MAX else None
                before = both[-(len(_BUILD) + _BUILD_MAX) :]
        finally:
            _close(found[1])
        return None

    def url(self, name: str, host: str, *, secure: bool) -> bytes:
        """Where a device finds a file. It is HTTP without TLS, as most devices know nothing else.

        Args:
            name: Of the file.
            host: What the order was addressed to, `host[:port]`.
            secure: The order came over TLS, so that the port of `host` is none for devices.
        """
        where = self._settings.public
        if where is None:
            where = f"{_without_port(host)}:{self.plain_port}" if secure else host
        return f"http://{where}{FOLDER}{quote(name, errors='replace')}".encode("utf-8", "replace")

    def due(self, device: Device, build: bytes | None, project: str | None = None) -> bytes | None:
        """The URL that a device shall load; None where nothing is ordered for it.

        Args:
            device: It has logged in and told what it is.
            build: Its build, as it told it; None where it did not.
            project: Name of its project.
        """
        order = self.ordered
        if order is None or (build is not None and build == order.build):
            return None
        if order.account is not None and order.account != device.account:
            return None
        if order.project is not None and order.project != project:
            return None
        return order.url

    # --- inside -------------------------------------------------------------------------------------------------------

    def _uploaded(self) -> list[Uploaded]:
        known = self._store.document(_KIND, _LIST)
        try:
            return msgspec.json.decode(known, type=list[Uploaded]) if known else []
        except msgspec.DecodeError:
            return []

    def _pieces(self, one: Uploaded) -> Iterator[bytes]:
        for number in range(one.pieces):
            piece = self._store.document(_KIND, f"{one.name}#{number}")
            if piece is None:
                return
            yield piece


def _is_name(name: str) -> bool:
    """Is this the name of one file, and of none that hides, or lies elsewhere?"""
    if not 0 < len(name) <= NAME_MAX or name[0] == "." or not name.isprintable():
        return False
    return not any(odd in name for odd in "/\\:")


def _opened(folder: Path, name: str) -> tuple[int, Iterator[bytes]] | None:
    """A file of the folder; a link counts where what it points to is in the folder too."""
    try:
        root = folder.resolve(strict=True)
        path = (root / name).resolve(strict=True)
        if not path.is_relative_to(root):
            return None
        # Neither a link that has come since, nor a pipe that would block.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        handle = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError, RuntimeError):
        return None
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        os.close(handle)
        return None
    return about.st_size, _FilePieces(handle, about.st_size)


class _FilePieces:
    """The pieces of an open file; it is closed with the last one, or by `close`."""

    __slots__ = ("_handle", "_left")

    def __init__(self, handle: int, size: int) -> None:
        self._handle = handle
        self._left = size

    def __iter__(self) -> _FilePieces:
        return self

    def __next__(self) -> bytes:
        piece = b""
        if self._handle >= 0 and self._left > 0:
            try:
                piece = os.read(self._handle, min(PIECE, self._left))
            except OSError:
                piece = b""
        self._left -= len(piece)
        if not piece or self._left <= 0:
            self.close()
        if not piece:
            raise StopIteration
        return piece

    def close(self) -> None:
        """Let go of the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __del__(self) -> None:
        self.close()


def _close(pieces: Iterator[bytes]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()


def _without_port(host: str) -> str:
    """The host of `host[:port]`, also of `[::1]:8080`."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
