"""Goes through input files one after the other, and keeps what could not be read."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from blynkscope.errors import CaptureError
from blynkscope.sources import CaptureSource, Source, open_input

LONG = 4 * 1024 * 1024
"""Bytes of input from which on a second process saves more time than it costs."""


def _idle_processors(files: Sequence[str]) -> bool:
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        return False
    return sum(os.path.getsize(name) for name in files if os.path.isfile(name)) >= LONG


class Reading:
    """The events of several inputs as one run.

    Args:
        files: Names of captures and logs; `-` is standard input.
        jobs: Processes to use; None for as many as help.
        opener: Opens a file by its name.
        both_legs: Show both legs of what a proxy recorded, not that of the device alone.

    Raises:
        CaptureError: The only file cannot be read. Where there are several, the others are read all the same.
    """

    def __init__(
        self, files: Sequence[str], jobs: int | None = None, opener: Callable[[str], Source] = open_input, *,
        both_legs: bool = False,
    ) -> None:  # fmt: skip
        self._files = files
        self._both_legs = both_legs
        self._opener = opener
        self.shared = jobs > 1 if jobs is not None else _idle_processors(files)
        """True where other processes take part of the work."""
        self.lost: Counter[str] = Counter()
        self.notes: list[str] = []
        self.broken = False
        self._first = self._open(files[0])

    def batches(self, analyser: Any, progress: Any) -> Iterator[list[Any]]:
        """The events of all files, in batches; the analyser is told where a file ends.

        Args:
            analyser: Has `next_source`.
            progress: Shows how far the reading has come.
        """
        for place, name in enumerate(self._files):
            if place:
                analyser.next_source()
            source = self._open(name) if place else self._first
            if source is None:
                continue
            try:
                with progress.of(source):
                    yield from source
            except CaptureError as error:
                self._fails(str(error))
            self.lost.update(source.lost)
            self.notes += source.notes
            if source.damage is not None:
                offset, what = source.damage
                kept = f"the {source.packets} packets before it are decoded"
                self._fails(f"{source.name}: damaged at byte {offset}: {what}; {kept}")

    def _open(self, name: str) -> Any:
        try:
            source: Any = self._opener(name)
        except CaptureError as error:
            if len(self._files) == 1:
                raise
            self._fails(str(error))
            return None
        if isinstance(source, CaptureSource):
            source.one_leg = not self._both_legs
        if self.shared and isinstance(source, CaptureSource) and (source.size or 0) >= LONG:
            from blynkscope.sources.ahead import Ahead

            return Ahead(source)
        return source

    def _fails(self, message: str) -> None:
        self.broken = True
        self.notes.append(f"Error: {message}")


def merged(log: str, capture: str, analyser: Any) -> Any:
    """A log tied to a capture, by a first pass over the capture.

    Args:
        log: Name of the log.
        capture: Name of the capture.
        analyser: An analyser for the first pass.

    Raises:
        CaptureError: One of them cannot be read.
        UsageError: The log is a capture, or the capture a log.
    """
    from blynkscope.analysis.merging import Merge
    from blynkscope.sources.text import TextSource

    lines = open_input(log)
    if not isinstance(lines, TextSource):
        lines.close()
        raise click.UsageError(f"{log}: this is a capture; name it as FILE, and the log with --log")
    source = open_input(capture)
    if not isinstance(source, CaptureSource):
        source.close()
        raise click.UsageError(f"{capture}: --log needs a capture to go with; this is a log itself")
    source.one_leg = True
    merge = Merge([event for batch in lines for event in batch], lines.line)
    for events in source:
        merge.learn(analyser.feed(events))
    merge.learn(analyser.finish())
    merge.settle()
    return merge
