"""`blynkscope live`: network interfaces → annotated frames and findings, as it happens."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blynkscope.cli import CUT_SHORT, FOUND, INTERRUPTED, options
from blynkscope.cli.keys import key_log
from blynkscope.cli.notes import say
from blynkscope.render.formats import FORMATS
from blynkscope.sources.live import (
    ANY,
    BACKENDS,
    BUFFER_MIB,
    KEEP,
    ROTATE_LEAST,
    SNAPLEN,
    LiveSource,
    LiveUsageError,
    NetworkInterface,
    NoBackendError,
    NoInterfaceError,
    Recorder,
    Target,
    Wanted,
    distinct,
    interfaces,
    open_backend,
    seconds_of,
    size_of,
)

if TYPE_CHECKING:
    from blynkscope.analysis.records import Record

_MACHINE_FORMATS = ("json", "jsonl")


class _Measured(click.ParamType):  # type: ignore[type-arg]
    """A number with a unit."""

    def __init__(self, name: str, read: Callable[[str], float]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number in its base unit, which must not be zero."""
        try:
            number = self._read(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        if not number:
            self.fail("it must be more than nothing.", param, ctx)
        return number


_DURATION, _SIZE = _Measured("time", seconds_of), _Measured("size", size_of)


@click.command()
@click.option(
    "-i", "--interface", "wanted", multiple=True, metavar="IFACE",
    help="Interface to sniff behind; `any` for all of them (Linux); may be given more than once.",
)  # fmt: skip
@click.option("--list", "list_", is_flag=True, help="List the interfaces, and end.")
@click.option(
    "-f", "--capture-filter", "capture_filter", metavar="BPF",
    help="Packets to capture, in libpcap's language, instead of the ports of Blynk and DNS; '' for all.",
)  # fmt: skip
@click.option("-w", "--write", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.pcapng",
    help="Write the packets to a new file too, exactly as they were; only its owner can read it.")  # fmt: skip
@click.option(
    "--rotate-size", type=_SIZE, metavar="SIZE", help="Begin another file at this size (100M; 1M or more), numbered."
)
@click.option("--rotate-time", type=_DURATION, metavar="TIME", help="Begin another file after this time (1h).")
@click.option("--keep", type=click.IntRange(1), metavar="N",
    help=f"Rotated files that are kept; the oldest are deleted.  [default: {KEEP}]")  # fmt: skip
@click.option("--force", is_flag=True, help="Let -w write over a file that exists.")
@click.option("--duration", type=_DURATION, metavar="TIME", help="End after this time (90, 10s, 5m, 1h).")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N frames (or messages) were shown.")
@click.option("--snaplen", type=click.IntRange(64, SNAPLEN), default=SNAPLEN, metavar="BYTES",
    help="Keep no more of a packet than this.")  # fmt: skip
@click.option("--promiscuous/--no-promiscuous", default=True, help="Ask for packets meant for other machines too.")
@click.option("--buffer", type=click.IntRange(1, 2048), default=BUFFER_MIB, show_default=True, metavar="MIB",
    help="Memory for packets that wait to be read.")  # fmt: skip
@click.option("--backend", type=click.Choice(BACKENDS), default="auto", show_default=True,
    help="What captures; auto takes the first that is there and allowed.")  # fmt: skip
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--findings/--no-findings", default=True, help="Say what went wrong, or tell the frames alone.")
@options.common
def command(
    wanted: tuple[str, ...],
    list_: bool,
    capture_filter: str | None,
    write: Path | None,
    rotate_size: float | None,
    rotate_time: float | None,
    keep: int | None,
    force: bool,
    duration: float | None,
    count: int | None,
    snaplen: int,
    promiscuous: bool,
    buffer: int,
    backend: str,
    format_: str,
    findings: bool,
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
    """Sniff behind a network interface: say what is said and what goes wrong, as it happens.

    Ctrl-C and SIGTERM end it with the findings and the summary (a second one ends it at once). The exit status is then
    130; it is 0 where --duration or --count ended it.

    Only root, or who was given the right to, may sniff; the message says how to get it. Packets that were dropped are
    counted. A key log (--keylog, SSLKEYLOGFILE) may grow while TLS connections are opened.
    """
    if list_:
        with options.opened(output) as stream:
            _print_interfaces(stream, format_)
        return
    if not wanted:
        say(*_listed(interfaces()))
        raise LiveUsageError("name an interface with -i")
    if write is None and (rotate_size or rotate_time or keep or force):
        raise click.UsageError("--rotate-size, --rotate-time, --keep and --force go with -w")
    if rotate_size and rotate_size < ROTATE_LEAST:
        raise click.UsageError(f"--rotate-size takes {ROTATE_LEAST >> 20}M or more: smaller files would hold nothing")
    if keep and not (rotate_size or rotate_time):
        raise click.UsageError("--keep goes with --rotate-size or --rotate-time")
    if len(set(wanted)) < len(wanted):
        raise click.UsageError("an interface is named twice")
    if (kept := distinct(wanted)) != wanted:
        say(f"{ANY} takes in all interfaces: {', '.join(one for one in wanted if one not in kept)} is left out")
        wanted = kept
    options.spare_inputs((output, write), keylog)
    from blynkscope.analysis.analyser import Analyser
    from blynkscope.analysis.selection import Selection
    from blynkscope.cli.showing import Shown, collect_seldom
    from blynkscope.protocol.model import Dialect, Era
    from blynkscope.render.outputs import make
    from blynkscope.render.redact import Redactor

    selection = Selection(filter_, streams)
    analyser = Analyser(
        Dialect(dialect) if dialect else None, Era(era) if era else None, findings=findings,
        keys=key_log(keylog, growing=True),
    )  # fmt: skip
    collect_seldom()
    status = 0
    with options.opened(output) as stream:
        redactor = Redactor(show_secrets)
        # Before the capture begins: another process may make the lines, and it needs no part of that.
        out = make(
            format_, stream, color=color, redactor=redactor, verbose=verbose, quiet=quiet,
            background=_idle_processor(stream), inputs=wanted, fail_on=fail_on,
        )  # fmt: skip
        source = _opened(
            Wanted(wanted, capture_filter, snaplen, promiscuous, buffer), backend, duration,
            Target(write, int(rotate_size) if rotate_size else None, rotate_time, keep or KEEP, force)
            if write is not None else None,
        )  # fmt: skip
        counted = _Counted(count)

        show = Shown(selection, out, redactor, counted.first)
        with contextlib.closing(source), _interruptible(source) as interrupted:
            # Whoever reads this may interrupt.
            say(f"{source.name}: capturing by {source.backend}; Ctrl-C ends it")
            for events in source:
                show(analyser.feed(events))
                say(*source.alerts())
                if counted.full:
                    break
        if interrupted():
            status = INTERRUPTED
        show(analyser.finish(source.lost))
        out.close()
    notes = source.notes
    if missing := selection.unseen_streams:
        notes.append(f"there was no stream {', '.join(map(str, missing))}")
    say(*notes)
    if not status and (source.broken is not None or source.unrecorded):
        status = CUT_SHORT
    if not status and fail_on is not None and analyser.run.worst_at_least(fail_on):
        status = FOUND
    sys.exit(status)


def _opened(wanted: Wanted, backend: str, duration: float | None, target: Target | None) -> LiveSource:
    """The source, capturing.

    Raises:
        LiveUsageError: There is no such interface, the filter does not compile, the file exists.
        EnvironmentProblem: This user may not sniff, something is missing, or the file cannot be written.
    """
    try:
        capturing = open_backend(wanted, backend)
    except NoInterfaceError:
        say(*_listed(interfaces()))
        raise
    except NoBackendError as error:
        say(*error.problems)
        raise
    recorder = None
    if target is not None:
        try:
            recorder = Recorder(target, wanted.interfaces, filter=wanted.filter or "", snaplen=wanted.snaplen)
        except BaseException:
            capturing.close()
            raise
    return LiveSource(capturing, duration=duration, recorder=recorder)


class _Counted:
    """Lets through so many frames and messages, and what belongs to them."""

    def __init__(self, limit: int | None) -> None:
        self._left = limit
        self.full = False

    def first(self, records: list[Record]) -> list[Record]:
        """The records up to the last one that is wanted; later, those that are neither frame nor message."""
        if self._left is None:
            return records
        from blynkscope.analysis.records import FrameRecord, MessageRecord, Observed

        kept: list[Record] = []
        for record in records:
            if isinstance(record, Observed | FrameRecord | MessageRecord):
                if self.full:
                    continue
                self._left -= 1
                self.full = self._left <= 0
            kept.append(record)
        return kept


@contextlib.contextmanager
def _interruptible(source: LiveSource) -> Iterator[Callable[[], bool]]:
    """While the body runs, Ctrl-C and requests to end let the source come to its end; the second one ends at once."""
    received: list[int] = []

    def on_signal(number: int, _: Any) -> None:
        if received:
            source.abandon()
            os._exit(INTERRUPTED)
        received.append(number)
        source.stop()

    kinds = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:  # nohup
        kinds.append(hangup)
    before = {one: signal.signal(one, on_signal) for one in kinds}
    try:
        yield lambda: bool(received)
    finally:
        if not received:
            for one, handler in before.items():
                signal.signal(one, handler)


def _idle_processor(stream: Any) -> bool:
    """May another process make the lines? It needs a processor, and an output with a descriptor."""
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


def _listed(found: list[NetworkInterface]) -> list[str]:
    """The interfaces for a person, and which one to take."""
    from blynkscope.render.safe import safe

    width = max((len(safe(one.name)) for one in found), default=0)
    lines = ["Interfaces:"]
    for one in found:
        facts = [", ".join(one.addresses) or one.description or "no address"]
        facts += ["down"] if not one.up else []
        facts += ["the way to the Internet: try this one first"] if one.default else []
        facts += ["programs on this machine that talk to each other"] if one.loopback else []
        lines.append(f"  {safe(one.name):<{width}}  {'; '.join(facts)}")
    return lines


def _print_interfaces(stream: Any, format_: str) -> None:
    found = interfaces()
    if format_ in _MACHINE_FORMATS:
        import msgspec

        from blynkscope.render.outputs import binary_of

        lines = [msgspec.json.encode(one) for one in found]
        data = b"[" + b",".join(lines) + b"]\n" if format_ == "json" else b"".join(line + b"\n" for line in lines)
        binary = binary_of(stream)
        binary.write(data)
        binary.flush()
        return
    from blynkscope.render.outputs import text_of
    from blynkscope.render.safe import safe

    text = text_of(stream)
    text.write("".join(f"{safe(line)}\n" for line in _listed(found)[1:]))
    text.flush()
