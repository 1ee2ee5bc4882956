"""The TLS key logs that a command was given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blynkscope.errors import CaptureError
from blynkscope.protocol import limits

if TYPE_CHECKING:
    from blynkscope.wire.keylog import KeyLog

VARIABLE = "SSLKEYLOGFILE"
"""The variable in which TLS libraries and their users name the key log."""


def key_log(paths: Sequence[Path], *, growing: bool = False) -> KeyLog | None:
    """The keys of all files together; of the file that the environment names where none is given.

    Args:
        paths: What `--keylog` named.
        growing: True where the files are written while they are used.

    Returns:
        None where there is no key log at all.

    Raises:
        CaptureError: A file that was named cannot be read.
    """
    if not paths:
        named = os.environ.get(VARIABLE)
        # The variable is meant for other programs: a file that is not there is none of this one's business.
        if not named or not (os.path.isfile(named) or growing):
            return None
        paths = (Path(named),)
    from blynkscope.wire.keylog import KeyLog

    files = [_Grown(path) for path in paths]
    data = b"".join(read(must=not growing) for read in files)
    if not growing:
        return KeyLog(data)
    return KeyLog(data, more=lambda: b"".join(read(must=False) for read in files))


class _Grown:
    """What was added to a file since the last look.

    Args:
        path: The file; it may come into being later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def __call__(self, *, must: bool) -> bytes:
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._offset:  # begun anew
                    self._offset = 0
                file.seek(self._offset)
                data = file.read(limits.KEYLOG_MAX + 1)
        except OSError as error:
            if must:
                raise CaptureError(f"{self._path}: the key log cannot be read: {error.strerror or error}") from error
            return b""
        if len(data) > limits.KEYLOG_MAX and must:
            size = limits.KEYLOG_MAX >> 20
            raise CaptureError(
                f"{self._path}: more than {size} MiB: this is no key log, or cut out the part that matters"
            )
        self._offset += len(data)
        # Files are joined: a last line without its end must not run into the next file's first one.
        return data if not must or data.endswith(b"\n") else data + b"\n"
