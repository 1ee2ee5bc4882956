"""Files that hold what was captured: made new, for their owner alone, and never through a link that lies there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MODE = 0o600
"""A capture holds tokens and passwords."""
_SYSTEM = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))
"""Folders whose links belong to the system."""


def new_file(path: Path, mode: int = MODE) -> int:
    """The descriptor of a file that was not there; a link that has its name is not followed.

    Raises:
        OSError: It is there (FileExistsError), or cannot be made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), mode)


def spared(path: Path) -> bool:
    """Is there a file, or a link to one or to nothing, which is not to be written over unasked? No pipe, no device."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def begin_file(path: Path, *, force: bool = False, mode: int = MODE) -> int:
    """The descriptor of a file to write: a new one, or what is there and is no ordinary file (a pipe, a device).

    Args:
        path: Where it is to be.
        force: Take away what is `spared` otherwise.
        mode: Of a new file, less the umask.

    Raises:
        OSError: It is there (FileExistsError), or cannot be written.
    """
    if not spared(path) and path.exists():
        return os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    if force:
        make_room(path)
    return new_file(path, mode)


def make_room(path: Path) -> None:
    """Take away a file, or a link (not what it points to), that is to be written over.

    Raises:
        OSError: It is neither, or cannot be taken away.
    """
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    # /dev/stdout is a link too, and of everyone on this machine.
    theirs = path.absolute().parent in _SYSTEM
    if not stat.S_ISREG(kind) and (theirs or not stat.S_ISLNK(kind)):
        raise OSError(0, "it is no ordinary file")
    path.unlink()
