"""A progress bar on a terminal's stderr, for long input whose output goes elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

LONG = 32 * 1024 * 1024
"""Bytes of input below which no bar is worth showing."""


class Progress:
    """Shows how far the reading of files has come.

    Args:
        elsewhere: True where the output does not go to the terminal.
        files: Names of the input files.
    """

    def __init__(self, elsewhere: bool, files: Sequence[str]) -> None:
        total = sum(os.path.getsize(name) for name in files if name != "-" and os.path.isfile(name))
        quiet_output = elsewhere or not sys.stdout.isatty()
        self._shown = quiet_output and sys.stderr.isatty() and total >= LONG

    @contextmanager
    def of(self, source: Any) -> Iterator[None]:
        """Shows the progress of one source while the block runs."""
        if not self._shown or source.size is None:
            yield
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        from blynkscope.render.console import make_console
        from blynkscope.render.safe import safe

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=make_console(sys.stderr, "auto"), transient=True) as bar:
            task = bar.add_task(safe(os.path.basename(source.name)), total=source.size)
            source.on_read = lambda position: bar.update(task, completed=position)
            yield
