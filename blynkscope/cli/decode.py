"""`blynkscope decode`: captures → annotated frames and findings."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from blynkscope.cli import INTERRUPTED, options
from blynkscope.errors import CaptureError

CUT_SHORT = 3
FOUND = 1


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE…|-]")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "tree", "jsonl", "json", "csv"]),
    default="table",
    show_default=True,
)
@options.common
def command(
    files: tuple[str, ...],
    format_: str,
    output: Path | None,
    filter_: str | None,
    streams: tuple[int, ...],
    dialect: str | None,
    era: str | None,
    keylog: Path | None,
    show_secrets: bool,
    fail_on: str | None,
    color: Any,
    quiet: bool,
    verbose: int,
) -> None:
    """Read captures and say what was said.

    FILE is pcap or pcapng, plain or gzip, a pipe, or - for standard input (tcpdump -w - | blynkscope decode -). Several
    files are one run. Without FILE standard input is read.
    """
    from blynkscope.analysis.analyser import Analyser
    from blynkscope.analysis.selection import Selection
    from blynkscope.protocol.model import Dialect, Era
    from blynkscope.render.outputs import make
    from blynkscope.render.progress import Progress
    from blynkscope.render.redact import Redactor

    if not files:
        if sys.stdin.isatty():
            raise click.UsageError("name a capture, or - to read standard input")
        files = ("-",)
    selection = Selection(filter_, streams)
    analyser = Analyser(Dialect(dialect) if dialect else None, Era(era) if era else None)
    if keylog is not None:
        click.echo("note: TLS streams are named, not opened: the key log is not used by this version", err=True)
    # Frames and their parts hold no cycles; what does (closed streams) is collected in good time all the same.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    status = 0
    with options.opened(output) as stream:
        redactor = Redactor(show_secrets)
        out = make(format_, stream, color=color, redactor=redactor, verbose=verbose, quiet=quiet)
        read = _Reading(files, Progress(output is not None, files))
        try:
            for events in read.batches(analyser):
                out.write(selection.of(analyser.feed(events)))
        except KeyboardInterrupt:
            status = INTERRUPTED
        out.write(selection.of(analyser.finish(read.lost)))
        out.close()
    for note in read.notes:
        _say(note)
    if not status and read.broken:
        status = CUT_SHORT
    if not status and fail_on is not None and analyser.run.worst_at_least(fail_on):
        status = FOUND
    sys.exit(status)


class _Reading:
    """Goes through the files, and keeps what could not be read."""

    def __init__(self, files: Sequence[str], progress: Any) -> None:
        self._files = files
        self._progress = progress
        self.lost: Counter[str] = Counter()
        self.notes: list[str] = []
        self.broken = False

    def batches(self, analyser: Any) -> Iterator[list[Any]]:
        """The events of all files, in batches."""
        from blynkscope.sources import open_capture

        for place, name in enumerate(self._files):
            if place:
                analyser.next_source()
            source = None
            try:
                source = open_capture(name)
                with self._progress.of(source):
                    yield from source
            except CaptureError as error:
                self._fails(str(error))
            if source is None:
                continue
            self.lost.update(source.lost)
            self.notes += source.notes
            if source.damage is not None:
                offset, what = source.damage
                kept = f"the {source.packets} packets before it are decoded"
                self._fails(f"{source.name}: damaged at byte {offset}: {what}; {kept}")
                self.lost["captures_damaged"] += 1

    def _fails(self, message: str) -> None:
        self.broken = True
        self.notes.append(f"Error: {message}")


def _say(note: str) -> None:
    from blynkscope.render.safe import safe

    click.echo(safe(note), err=True)
