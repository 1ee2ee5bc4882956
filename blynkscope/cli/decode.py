"""`blynkscope decode`: captures → annotated frames and findings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from blynkscope.cli import CUT_SHORT, FOUND, INTERRUPTED, engine, options
from blynkscope.cli.keys import key_log
from blynkscope.cli.notes import say
from blynkscope.cli.reading import Reading, merged
from blynkscope.render.formats import FORMATS


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE…|-]")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
)
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Processes to use; without it, as many as help with long files."
)
@click.option(
    "--log",
    "log",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="A log of the same run as the capture: its lines appear beside the frames that they belong to.",
)
@click.option("--findings/--no-findings", default=True, help="Say what went wrong, or tell the frames alone.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.pcapng",
    help="Also write the Blynk frames as a capture: decrypted, reassembled, with the findings as comments. It holds "
    "tokens and passwords as the input does; blynkscope redact cleans it.",
)
@click.option("--force", is_flag=True, help="Let --record write over a file that exists.")
@engine.options
@options.common
def command(
    files: tuple[str, ...],
    format_: str,
    jobs: int | None,
    log: str | None,
    findings: bool,
    record: Path | None,
    force: bool,
    engine_: str,
    wpa: tuple[str, ...],
    decode_as: tuple[str, ...],
    output: Path | None,
    filter_: str | None,
    streams: tuple[int, ...],
    dialect: str | None,
    era: str | None,
    keylog: tuple[Path, ...],
    show_secrets: bool,
    fail_on: str | None,
    color: Any,
    quiet: bool,
    verbose: int,
) -> None:
    """Read captures and logs: say what was said and what went wrong.

    FILE is a capture (pcap or pcapng), a debug log or serial output as it was pasted, or raw bytes, each plain or gzip,
    from a file, a pipe, or - for standard input (tcpdump -U -w - | blynkscope decode -), which is also read without
    FILE. Several files are one run.
    """
    if not files:
        if sys.stdin.isatty():
            raise click.UsageError("name a capture or a log, or - to read standard input")
        files = ("-",)
    inputs = (*files, *([log] if log else []))
    if record is not None and str(record) == "-":
        raise click.UsageError("--record needs the name of a file: standard output is for the records")
    if force and record is None:
        raise click.UsageError("--force goes with --record")
    options.spare_inputs((output, record), (*inputs, *keylog))
    options.spare_existing(record, force)
    opener = engine.opener(engine_, wpa, decode_as, keylog)
    if log and (len(files) > 1 or files == ("-",)):
        raise click.UsageError("--log goes with one capture in a file: it is read twice")
    # The reading of a long file begins in its own process while this one still imports the analysis.
    read = Reading(files, jobs, opener, both_legs=bool(streams))
    from blynkscope.analysis.analyser import Analyser
    from blynkscope.analysis.selection import Selection
    from blynkscope.cli.showing import Shown, collect_seldom
    from blynkscope.protocol.model import Dialect, Era
    from blynkscope.render.outputs import make
    from blynkscope.render.progress import Progress
    from blynkscope.render.redact import Redactor

    selection = Selection(filter_, streams)
    spoken, generation = Dialect(dialect) if dialect else None, Era(era) if era else None
    analyser = Analyser(spoken, generation, findings=findings, keys=key_log(keylog))
    merge = merged(log, files[0], Analyser(spoken, generation, findings=False, keys=key_log(keylog))) if log else None
    collect_seldom()
    status = 0
    with options.opened(output) as stream, recorded(record, files, force) as recorder:
        redactor = Redactor(show_secrets)
        out = make(
            format_, stream, color=color, redactor=redactor, verbose=verbose, quiet=quiet, background=read.shared,
            inputs=files, fail_on=fail_on,
        )  # fmt: skip

        shown = Shown(selection, out, redactor)

        def show(records: list[Any]) -> None:
            if recorder is not None:
                recorder.records(records)
            shown(records)

        if merge is not None:
            for cmd, body in merge.told:
                redactor.learn(cmd, body)
        progress = Progress(output is not None, files)
        try:
            for events in read.batches(analyser, progress):
                if merge is None:
                    show(analyser.feed(events))
                else:
                    show(merge.records(analyser.feed(merge.events(events))))
        except KeyboardInterrupt:
            status = INTERRUPTED
        if merge is not None:
            show(merge.records(analyser.feed(merge.rest())))
            read.notes += merge.notes
        show(analyser.finish(read.lost))
        out.close()
    if missing := selection.unseen_streams:
        read.notes.append(f"there is no stream {', '.join(map(str, missing))} in the input")
    say(*read.notes)
    if not status and read.broken:
        status = CUT_SHORT
    if not status and fail_on is not None and analyser.run.worst_at_least(fail_on):
        status = FOUND
    sys.exit(status)


@contextmanager
def recorded(path: Path | None, files: tuple[str, ...], force: bool) -> Iterator[Any]:
    """What writes the conversation as a capture; None where nobody asked for it."""
    if path is None:
        yield None
        return
    from blynkscope.export.recorder import Recorder

    with options.opened_new(path, force=force) as stream:
        recorder = Recorder(stream, name=files[0] if len(files) == 1 else f"{len(files)} files")
        yield recorder
        recorder.close()
    without = f"; {recorder.left_out} messages of HTTP and MQTT are left out" if recorder.left_out else ""
    say(f"{path}: {recorder.frames} Blynk frames recorded{without}")
