"""A file of secrets that grows while a program runs, and is begun anew on demand."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from blynkscope.errors import EnvironmentProblem
from blynkscope.sources.files import make_room, new_file

_NAMES_TRIED = 100_000
"""Numbered names that are tried: one rotation an hour fills eleven years with them."""


class ExistsError(EnvironmentProblem):
    """The file is there already."""

    exit_code = 2


class Rotating:
    """A file for its owner alone. Each piece is in it when `write` is over, whole or not at all.

    Nothing is buffered, so that nothing which was written is lost with the program.

    Args:
        path: Where to.
        force: Write over a file that exists; a link is taken away, not followed.

    Attributes:
        mode: As that of a binary stream, which it can stand for.

    Raises:
        ExistsError: The file exists.
        EnvironmentProblem: It cannot be written.
    """

    mode = "wb"

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self._first = path
        self.path = path
        """The file that is being written."""
        try:
            if force:
                make_room(path)
            self._file = new_file(path)
        except FileExistsError:
            raise ExistsError(f"{path} exists: choose another name, or --force to write over it") from None
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error
        self._written = 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append a piece.

        Raises:
            OSError: It could not be written; then the file ends where it ended before.
        """
        view = memoryview(data)
        size = len(view)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._written)
                os.lseek(self._file, self._written, os.SEEK_SET)
            raise
        self._written += size
        return size

    def flush(self) -> None:
        """Nothing waits; for those who expect a stream."""

    def rotate(self) -> None:
        """Go on in another file: under the first name where that was moved away, else under the next free number.

        Raises:
            OSError: It cannot be written; the old one stays open.
        """
        fresh, path = next_file(self._first)
        os.close(self._file)
        self._file, self.path, self._written = fresh, path, 0

    def close(self) -> None:
        """End it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def next_file(path: Path) -> tuple[int, Path]:
    """A new file of this name, or else with the first free number: `run.jsonl`, `run_00001.jsonl`.

    Raises:
        OSError: It cannot be written.
    """
    with suppress(FileExistsError):
        return new_file(path), path
    for number in range(1, _NAMES_TRIED):
        name = path.with_name(f"{path.stem}_{number:05}{path.suffix}")
        with suppress(FileExistsError):
            return new_file(name), name
    raise FileExistsError(path)
