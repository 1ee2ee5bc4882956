"""The folder of the CA: made safely, read safely, and written so that nobody ever sees half of a file.

On POSIX every step goes through the open folder, so that nobody can put another in its place between two of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blynkscope.errors import EnvironmentProblem

FILE_MAX = 64 * 1024
"""Bytes of a file that are read; a certificate and its key have 3 KiB."""

_POSIX = os.name == "posix"
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)
_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW
_READ_FLAGS = os.O_RDONLY | _NO_FOLLOW | _NO_WAIT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_WRITE_FLAGS = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FOLDER_MODE = 0o700
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Store:
    """An open folder that only its owner can enter."""

    def __init__(self, path: Path, handle: int | None, owner: int | None) -> None:
        self.path = path
        self._handle = handle
        self._owner = owner
        self.was_open = False
        """Could others look into the folder until now?"""

    def _name(self, name: str) -> str:
        return name if self._handle is not None else str(self.path / name)

    def read(self, name: str, *, private: bool) -> bytes | None:
        """The content of a file; None if there is none.

        Raises:
            EnvironmentProblem: It cannot be read, is not a file, or (`private`) others could have read or changed it.
        """
        shown = self.path / name
        try:
            handle = os.open(self._name(name), _READ_FLAGS, dir_fd=self._handle)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise EnvironmentProblem(
                    f"{shown} is a symbolic link, which is not followed: remove it, then `blynkscope ca renew`"
                ) from error
            raise EnvironmentProblem(f"cannot read {shown}: {error.strerror or error}") from error
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                raise EnvironmentProblem(f"{shown} is no file: remove it, then `blynkscope ca renew`")
            if private and _POSIX:
                self._keep_private(handle, about, shown)
            with os.fdopen(handle, "rb", closefd=False) as stream:
                return stream.read(FILE_MAX)
        except OSError as error:
            raise EnvironmentProblem(f"cannot read {shown}: {error.strerror or error}") from error
        finally:
            os.close(handle)

    def _keep_private(self, handle: int, about: os.stat_result, shown: Path) -> None:
        if about.st_uid not in {self._owner, os.geteuid()}:
            raise EnvironmentProblem(f"{shown} belongs to another user: remove it, then `blynkscope ca renew`")
        if about.st_mode & _WRITABLE_BY_OTHERS or (about.st_mode & _OPEN_TO_OTHERS and self.was_open):
            raise EnvironmentProblem(
                f"others could read the key in {shown}: `blynkscope ca renew` makes a new CA (if only a backup or copy"
                f" lost its mode and nobody else is on this machine: chmod 600 {shown})"
            )
        if about.st_mode & _OPEN_TO_OTHERS:
            with contextlib.suppress(OSError):
                os.fchmod(handle, 0o600)

    def create(self, name: str, data: bytes, *, mode: int) -> bool:
        """Write a file that is not there yet. False if it is: another process was first, and its file stays.

        Raises:
            EnvironmentProblem: It cannot be written.
        """
        with self._beside(name, data, mode) as made:
            try:
                self._link(made, name)
            except FileExistsError:
                return False
            except OSError as error:
                # Some file systems have no links. Of two processes the later one then wins; what is there is whole.
                if not _POSIX or self.read(name, private=False) is not None:
                    raise EnvironmentProblem(self._cannot_write(name, error)) from error
                os.replace(made, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            return True

    def _link(self, made: str, name: str) -> None:
        """Give a file its name, unless that is taken: the one step that only one of several processes can do."""
        if _POSIX:
            os.link(made, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
        else:
            os.rename(made, self._name(name))

    def replace(self, name: str, data: bytes, *, mode: int) -> None:
        """Write a file, over one that may be there.

        Raises:
            EnvironmentProblem: It cannot be written.
        """
        with self._beside(name, data, mode) as made:
            if _POSIX:
                os.replace(made, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            else:
                os.replace(made, self._name(name))

    @contextmanager
    def _beside(self, name: str, data: bytes, mode: int) -> Iterator[str]:
        """A complete file under a name of its own; it is gone afterwards unless it was renamed."""
        made = self._name(f".{name}.{secrets.token_hex(8)}")
        try:
            handle = os.open(made, _WRITE_FLAGS, mode, dir_fd=self._handle)
            try:
                with os.fdopen(handle, "wb") as stream:
                    if _POSIX:
                        os.fchmod(handle, mode)
                        if os.geteuid() == 0 and self._owner:
                            os.fchown(handle, self._owner, -1)
                    stream.write(data)
                    stream.flush()
                    os.fsync(handle)
                yield made
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(made, dir_fd=self._handle)
        except OSError as error:
            raise EnvironmentProblem(self._cannot_write(name, error)) from error

    def _cannot_write(self, name: str, error: OSError) -> str:
        return f"cannot write {self.path / name}: {error.strerror or error}"


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """The folder, made with mode 0700 if it is not there.

    Others who could read it lose that right. A folder that others can write to, that belongs to somebody else, or that
    is a symbolic link is refused, because what is in it may not be its owner's.

    Raises:
        EnvironmentProblem: It cannot be made or is refused; the text says what to do.
    """
    try:
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=_FOLDER_MODE)
        if not _POSIX:
            # Windows: the user's configuration is the user's by the rights that its profile folder has.
            if not path.is_dir() or path.is_symlink():
                raise EnvironmentProblem(f"{path} is no folder: remove it, the CA is made there")
            yield Store(path, None, None)
            return
        handle = os.open(path, _FOLDER_FLAGS)
    except OSError as error:
        if os.path.islink(path):
            text = f"{path} is a symbolic link, which is not followed: remove it, or make it a folder of mode 700"
        elif os.path.exists(path) and not os.path.isdir(path):
            text = f"{path} is no folder: remove it, the CA is made there"
        else:
            text = f"cannot open the folder of the CA, {path}: {error.strerror or error}"
        raise EnvironmentProblem(text) from error
    try:
        store, is_private = _checked(path, handle)
        yield store
        # Only now: who is told that others could read the key has to be told again until that is settled.
        if not is_private:
            _close(path, handle)
    finally:
        os.close(handle)


def _checked(path: Path, handle: int) -> tuple[Store, bool]:
    """The store, and whether its folder has the mode that it should have."""
    about = os.fstat(handle)
    if about.st_uid != os.geteuid() and os.geteuid() != 0:
        raise EnvironmentProblem(
            f"{path} belongs to another user, so its CA is not yours: remove it, or have its owner hand it over"
            f" (sudo chown -R $USER {path})"
        )
    if about.st_mode & _WRITABLE_BY_OTHERS:
        raise EnvironmentProblem(
            f"others can write to {path}, so the CA in it may not be yours: chmod 700 {path}, then"
            " `blynkscope ca renew`"
        )
    store = Store(path, handle, about.st_uid)
    store.was_open = bool(about.st_mode & (stat.S_IXGRP | stat.S_IXOTH))
    return store, stat.S_IMODE(about.st_mode) == _FOLDER_MODE


def _close(path: Path, handle: int) -> None:
    try:
        os.fchmod(handle, _FOLDER_MODE)
    except OSError as error:
        raise EnvironmentProblem(f"cannot close {path} to others: {error.strerror or error}") from error
