"""A look at the CA that changes nothing: it is not made, no mode is mended, no file is written."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import hashes

from blynkscope.ca.authority import PRIVATE_FILE, _check_time, _parsed, default_folder
from blynkscope.ca.store import _FOLDER_FLAGS, _POSIX, Store, _checked
from blynkscope.errors import EnvironmentProblem

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there is.

    Attributes:
        folder: Where the CA is, or would be.
        exists: Is there one?
        problem: Why it cannot be used, and what to do; None for a good one.
        not_before: When it begins to be valid; None where it cannot be read.
        not_after: When it ends.
        fingerprint: SHA-256 of the certificate, as bytes with colons.
        folder_mode: Permissions of the folder; None where there is none, or on Windows.
        key_mode: The same of the file with the key.
    """

    folder: Path
    exists: bool = False
    problem: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    fingerprint: str | None = None
    folder_mode: int | None = None
    key_mode: int | None = None

    @property
    def open_to_others(self) -> bool:
        """May others look into the folder, or read the key? The next use of the CA takes that right away."""
        return any(mode is not None and mode & _OTHERS for mode in (self.folder_mode, self.key_mode))


def look(folder: Path | None = None, now: datetime | None = None) -> Seen:
    """Look at the CA of a folder; at the user's own without one."""
    folder = (folder or default_folder()).absolute()
    if not os.path.lexists(folder):
        return Seen(folder=folder)
    try:
        return _look(folder, now or datetime.now(UTC))
    except EnvironmentProblem as error:
        return Seen(folder=folder, exists=True, problem=str(error))


def _look(folder: Path, now: datetime) -> Seen:
    handle: int | None = None
    try:
        if folder.is_symlink() or not folder.is_dir():
            raise EnvironmentProblem(f"{folder} is no folder: remove it, the CA is made there")
        if _POSIX:
            handle = os.open(folder, _FOLDER_FLAGS)
        store = _checked(folder, handle)[0] if handle is not None else Store(folder, None, None)
        modes = _modes(folder) if _POSIX else {}
        held = store.read(PRIVATE_FILE, private=False)
    except OSError as error:
        raise EnvironmentProblem(f"cannot open the folder of the CA, {folder}: {error.strerror or error}") from error
    finally:
        if handle is not None:
            os.close(handle)
    if held is None:
        return Seen(folder=folder)
    certificate, _ = _parsed(held, folder)
    problem = None
    try:
        _check_time(certificate, now)
    except EnvironmentProblem as error:
        problem = str(error)
    if problem is None and (modes.get("key_mode") or 0) & (stat.S_IWGRP | stat.S_IWOTH):
        problem = f"others could change the key in {folder / PRIVATE_FILE}: `blynkscope ca renew` makes a new CA"
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return Seen(
        folder=folder, exists=True, problem=problem, not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc, fingerprint=fingerprint, **modes,
    )  # fmt: skip


def _modes(folder: Path) -> dict[str, int]:
    modes = {"folder_mode": stat.S_IMODE(folder.lstat().st_mode)}
    key = folder / PRIVATE_FILE
    if os.path.lexists(key):
        modes["key_mode"] = stat.S_IMODE(key.lstat().st_mode)
    return modes
