"""`blynkscope decode`: captures → annotated frames and findings."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import click

from blynkscope.cli import INTERRUPTED, options
from blynkscope.cli.reading import Reading

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
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Processes to use; without it, as many as help with long files."
)
@options.common
def command(
    files: tuple[str, ...],
    format_: str,
    jobs: int | None,
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
    if not files:
        if sys.stdin.isatty():
            raise click.UsageError("name a capture, or - to read standard input")
        files = ("-",)
    options.spare_inputs(output, files)
    # The reading of a long file begins in its own process while this one still imports the analysis.
    read = Reading(files, jobs)
    from blynkscope.analysis.analyser import Analyser
    from blynkscope.analysis.selection import Selection
    from blynkscope.protocol.model import Dialect, Era
    from blynkscope.render.outputs import make
    from blynkscope.render.progress import Progress
    from blynkscope.render.redact import Redactor

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
        out = make(
            format_, stream, color=color, redactor=redactor, verbose=verbose, quiet=quiet, background=read.shared
        )
        progress = Progress(output is not None, files)
        try:
            for events in read.batches(analyser, progress):
                out.write(selection.of(analyser.feed(events)))
        except KeyboardInterrupt:
            status = INTERRUPTED
        out.write(selection.of(analyser.finish(read.lost)))
        out.close()
    if missing := selection.unseen_streams:
        read.notes.append(f"there is no stream {', '.join(map(str, missing))} in the input")
    for note in read.notes:
        _say(note)
    if not status and read.broken:
        status = CUT_SHORT
    if not status and fail_on is not None and analyser.run.worst_at_least(fail_on):
        status = FOUND
    sys.exit(status)


def _say(note: str) -> None:
    from blynkscope.render.safe import safe

    click.echo(safe(note), err=True)
