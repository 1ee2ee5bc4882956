"""The TLS key logs that a command was given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from blynkscope.errors import CaptureError
from blynkscope.protocol import limits

if TYPE_CHECKING:
    from blynkscope.wire.keylog import KeyLog

VARIABLE = "SSLKEYLOGFILE"
"""The variable in which TLS libraries and their users name the key log."""
_NOTED = "blynkscope.cli.keys.noted"


def key_log(paths: Sequence[Path], *, growing: bool = False) -> KeyLog | None:
    """The keys of all files together; of the file that the environment names where none is given.

    Args:
        paths: What `--keylog` named.
        growing: True where the files are written while they are used.

    Returns:
        None where there is no key log at all.

    Raises:
        CaptureError: A file that was named with `--keylog` cannot be read.
    """
    if growing:
        named = list(paths) or _of_environment(growing=True)
        if not named:
            return None
        from blynkscope.wire.keylog import KeyLog

        keys = KeyLog(given=bool(paths))
        for path in named:
            keys.follow(_Grown(path))
        return keys
    data = key_data(paths)
    if data is None:
        return None
    from blynkscope.wire.keylog import KeyLog

    # A log that only the environment names may be that of other programs.
    return KeyLog(data, given=bool(paths))


def key_data(paths: Sequence[Path]) -> bytes | None:
    """The lines of all files one behind the other; of the file that the environment names where none is given.

    Returns:
        None where there is no key log at all.

    Raises:
        CaptureError: A file that was named with `--keylog` cannot be read.
    """
    if paths:
        return b"".join(map(_whole, paths))
    for path in _of_environment():
        try:
            return _whole(path)
        except CaptureError as error:
            # The variable is meant for other programs: what is wrong with it is no reason to give up.
            _note(f"{VARIABLE}: {error}; going on without it")
    return None


def _of_environment(*, growing: bool = False) -> list[Path]:
    """The file that the environment names, where there is one, or may come to be one."""
    named = os.environ.get(VARIABLE)
    if not named or not (growing or os.path.exists(named)):
        return []
    if growing and os.path.exists(named) and not (os.path.isfile(named) and os.access(named, os.R_OK)):
        _note(f"{VARIABLE}: {named}: the key log cannot be read; going on without it")
        return []
    return [Path(named)]


def _note(text: str) -> None:
    """Say something on stderr, once in a command."""
    context = click.get_current_context(silent=True)
    noted = set() if context is None else context.find_root().meta.setdefault(_NOTED, set())
    if text not in noted:
        noted.add(text)
        click.echo(text, err=True)


def _whole(path: Path) -> bytes:
    """A file that does not grow.

    Raises:
        CaptureError: It cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.KEYLOG_MAX + 1)
    except OSError as error:
        raise CaptureError(f"{path}: the key log cannot be read: {error.strerror or error}") from error
    if len(data) > limits.KEYLOG_MAX:
        size = limits.KEYLOG_MAX >> 20
        raise CaptureError(f"{path}: more than {size} MiB: this is no key log, or cut out the part that matters")
    # Files are joined: a last line without its end must not run into the next file's first one.
    return data if data.endswith(b"\n") else data + b"\n"


class _Grown:
    """What was added to a file since the last look.

    Args:
        path: The file; it may come into being later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def __call__(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._offset:  # begun anew
                    self._offset = 0
                file.seek(self._offset)
                data = file.read(limits.KEYLOG_MAX)
        except OSError:
            return b""
        self._offset += len(data)
        return data
