"""Writes what is captured as pcapng while it is decoded: into one file, or a ring of files that is bounded."""

from __future__ import annotations

import io
import os
import re
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import msgspec

from blynkscope.errors import EnvironmentProblem
from blynkscope.sources.files import make_room, new_file
from blynkscope.sources.live.model import Chunk, Counts, LiveUsageError
from blynkscope.sources.pcapng import PcapngWriter

KEEP = 10
"""Files of a ring that are kept where nothing else was asked for."""
ROTATE_LEAST = 1 << 20
"""Bytes at which a ring may begin another file: with fewer, the few files that are kept hold next to nothing."""
_NUMBERS = 5
_TRIES = 1000
_SECOND = 1_000_000_000


class Target(msgspec.Struct, frozen=True):
    """Where to, and when to begin another file: at `size` bytes, after `seconds`; `keep` files are kept then.

    With neither, there is one file of this very name, and it grows as long as the capture lasts.
    """

    path: Path
    size: int | None = None
    seconds: float | None = None
    keep: int = KEEP
    force: bool = False
    """Write over a file that exists."""

    @property
    def rotates(self) -> bool:
        """True where there will be several files."""
        return self.size is not None or self.seconds is not None


class Recorder:
    """Takes chunks; each is in the file when `write` is over. What fails ends the recording, not the capture.

    Args:
        target: Where to.
        interfaces: Names of the interfaces, in the order in which stamps count them.
        filter: The capture filter, for the description of the interfaces.
        snaplen: The same for the snapshot length.

    Raises:
        LiveUsageError: The file exists.
        EnvironmentProblem: It cannot be written.
    """

    def __init__(self, target: Target, interfaces: tuple[str, ...], *, filter: str = "", snaplen: int = 0) -> None:  # noqa: A002
        self._target = target
        self._names = interfaces
        self._filter = filter
        self._snaplen = snaplen
        self.failed: str | None = None
        """Why the recording ended before the capture."""
        self.files: deque[Path] = deque()
        """What was written and is still there."""
        self._number = 0
        self._packets = 0
        self._buffer = io.BytesIO()
        self._file = -1
        self._known: dict[tuple[int, int], int] = {}
        try:
            self._open()
        except FileExistsError:
            raise LiveUsageError(f"{target.path} exists: choose another name, or --force to write over it") from None
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {target.path}: {error.strerror or error}") from error

    # --- files ---

    def _open(self) -> None:
        self._file, path = self._create()
        self.files.append(path)
        self._since = time.monotonic()
        self._written = 0
        self._buffer = io.BytesIO()
        self._writer = PcapngWriter(self._buffer)
        self._known = {}
        self._counted: dict[int, int] = {}
        self._flush()
        while self._target.rotates and len(self.files) > self._target.keep:
            with suppress(OSError):
                self.files.popleft().unlink()

    def _create(self) -> tuple[int, Path]:
        path = self._target.path
        if not self._target.rotates:
            if self._target.force:
                make_room(path)
            return new_file(path), path
        for _ in range(_TRIES):
            self._number += 1
            stamp = time.strftime("%Y%m%d%H%M%S")
            name = path.with_name(f"{path.stem}_{self._number:0{_NUMBERS}}_{stamp}{path.suffix or '.pcapng'}")
            with suppress(FileExistsError):
                return new_file(name), name
        raise FileExistsError(path)

    def _flush(self) -> None:
        """Put into the file what is in the buffer, all of it or nothing: it ends between two packets."""
        view = memoryview(self._buffer.getvalue())
        size = len(view)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._written)
            raise
        self._written += size
        self._buffer.seek(0)
        self._buffer.truncate()

    # --- packets ---

    def write(self, chunk: Chunk) -> None:
        """Write the packets of a chunk, and begin another file where it is time to."""
        if self.failed is not None:
            return
        try:
            self._write(chunk)
        except OSError as error:
            self._fail(error)

    def _write(self, chunk: Chunk) -> None:
        target = self._target
        buffer, packet, known = chunk.buffer, self._writer.packet, self._known
        for (_, link, start, end, wire), (moment, interface) in zip(chunk.packets, chunk.stamps, strict=True):
            number = known.get((link, interface))
            if number is None:
                number = known[link, interface] = self._describe(link, interface)
            packet(number, moment, buffer[start:end], wire=wire)
            self._counted[number] = self._counted.get(number, 0) + 1
            if target.size is not None and self._written + self._buffer.tell() >= target.size:
                self._next()
                packet, known = self._writer.packet, self._known
        self._flush()
        if target.seconds is not None and time.monotonic() - self._since >= target.seconds:
            self._next()

    def _describe(self, link: int, interface: int) -> int:
        name = self._names[interface] if interface < len(self._names) else ""
        return self._writer.interface(link, name=name, snaplen=self._snaplen, filter=self._filter)

    def _next(self) -> None:
        self._flush()
        os.close(self._file)
        self._file = -1
        self._open()

    def idle(self) -> None:
        """No packets came for a while; a file may be old enough all the same."""
        if self.failed is None and self._target.seconds is not None and self._counted:
            self.write(Chunk(b"", [], []))

    def finish(self, counts: Counts | None) -> None:
        """The capture is over; what was dropped is written behind the packets of the last file."""
        if self._file < 0:
            return
        try:
            if self.failed is None:
                for number in self._known.values():
                    # The interfaces share one count of drops, which goes with the first.
                    dropped = counts.lost if counts is not None and number == 0 else 0
                    received = self._counted.get(number, 0) + dropped
                    self._writer.statistics(number, received=received, dropped=dropped, time=time.time())
                self._flush()
        except OSError as error:
            self._fail(error)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _fail(self, error: OSError) -> None:
        self.failed = f"{self.files[-1] if self.files else self._target.path}: {error.strerror or error}"
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)
        self._file = -1


_SIZE = re.compile(r"(\d{1,12})([kmg]?)b?", re.IGNORECASE)
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|min|h|d)?", re.IGNORECASE)
_TIMES = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def size_of(text: str) -> int:
    """Bytes of `100M`: k, M and G are powers of 1024.

    Raises:
        ValueError: It is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no size; write it like 500k, 100M or 2G")
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2].lower()]


def seconds_of(text: str) -> float:
    """Seconds of `90`, `10s`, `5m`, `1h`, `1d`.

    Raises:
        ValueError: It is no time.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no time; write it like 10s, 5m or 1h")
    return float(found[1]) * _TIMES[(found[2] or "s").lower()]
