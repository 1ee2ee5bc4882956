"""Files that hold what was captured: made new, for their owner alone, and never through a link that lies there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MODE = 0o600
"""A capture holds tokens and passwords."""


def new_file(path: Path) -> int:
    """The descriptor of a file that was not there; a link that has its name is not followed.

    Raises:
        OSError: It is there (FileExistsError), or cannot be made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), MODE)


def make_room(path: Path) -> None:
    """Take away a file, or a link (not what it points to), that is to be written over.

    Raises:
        OSError: It is neither, or cannot be taken away.
    """
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(kind) and not stat.S_ISLNK(kind):
        raise OSError(0, "it is no ordinary file")
    path.unlink()
