"""What `proxy` and `serve` do with what passes them: analyse, show, log and record it."""

from __future__ import annotations

import contextlib
import ipaddress
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from blynkscope.cli import FOUND, INTERRUPTED, options
from blynkscope.cli.keys import key_log
from blynkscope.cli.kinds import Duration
from blynkscope.cli.notes import say
from blynkscope.errors import EnvironmentProblem
from blynkscope.render.formats import FORMATS

if TYPE_CHECKING:
    from blynkscope.analysis.records import Record
    from blynkscope.cli.proxy_run import Life
    from blynkscope.cli.proxy_watch import Watch
    from blynkscope.export.rotating import Rotating
    from blynkscope.faults import RuleSet
    from blynkscope.proxy import Proxy
    from blynkscope.render.outputs import Output

_SHOW = "show:"


F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option(
        "--record", type=_FILE, metavar="FILE.pcapng",
        help="Write what passes as a capture, decrypted, with findings as comments. It holds tokens and passwords.",
    ),
    click.option("--keylog-out", type=_FILE, metavar="FILE", help="Add the TLS keys to this file."),
    click.option(
        "--log", type=_FILE, metavar="FILE.jsonl", help="Write all records there too, whatever --filter shows."
    ),
    click.option("--force", is_flag=True, help="Let --record and --log write over files that exist."),
    click.option("--duration", type=Duration(), metavar="TIME", help="End after this time (90, 10s, 5m, 1h)."),
    click.option("--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True),
    click.option("--findings/--no-findings", default=True, help="Say what went wrong, or tell the frames alone."),
)  # fmt: skip


def onlooking_options(function: F) -> F:
    """The options about what is seen, which go into `Asked` with those of `options.common`; and --duration."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


class Asked(NamedTuple):
    """What was asked for on the command line; see `options.common`."""

    format_: str
    findings: bool
    output: Path | None
    filter_: str | None
    streams: tuple[int, ...]
    dialect: str | None
    era: str | None
    keylog: tuple[Path, ...]
    show_secrets: bool
    fail_on: str | None
    color: Any
    quiet: bool
    verbose: int
    record: Path | None
    log: Path | None
    force: bool


class Onlooker:
    """Everything behind the tap, from the analysis to the files.

    Args:
        asked: What to show, and how.
        stack: Ends it.
        inputs: What it is about, for outputs that name it.
        listens: Where devices connect to, as `address:port`, for the record.
        legs: Sides that are recorded: 2 where there is an upstream, 1 where the server is here.
        edits: Frames may be changed in passing.
        alert: Tells a person something.
        stream: Where the output is written to, unless it goes to a file; None for standard output.

    Raises:
        FilterError: The filter does not parse.
        BlynkscopeError: A file cannot be read or written.
    """

    def __init__(
        self,
        asked: Asked,
        stack: contextlib.ExitStack,
        *,
        inputs: Sequence[str],
        listens: str,
        legs: int = 2,
        edits: bool = False,
        alert: Callable[[str], None] = say,
        stream: IO[Any] | None = None,
    ) -> None:
        from blynkscope.analysis.analyser import Analyser
        from blynkscope.analysis.selection import Selection
        from blynkscope.cli.proxy_watch import Watch
        from blynkscope.cli.showing import Shown, collect_seldom
        from blynkscope.protocol.model import Dialect, Era
        from blynkscope.render.outputs import make
        from blynkscope.render.redact import Redactor

        self._asked = asked
        self._alert = alert
        self._selection = Selection(asked.filter_, asked.streams)
        redactor = Redactor(asked.show_secrets)
        self.analyser = Analyser(
            Dialect(asked.dialect) if asked.dialect else None, Era(asked.era) if asked.era else None,
            findings=asked.findings, keys=key_log(asked.keylog, growing=True),
        )  # fmt: skip
        collect_seldom()
        opened = stack.enter_context(options.opened(asked.output))
        self._out = make(
            asked.format_, stream if stream is not None and opened is sys.stdout else opened, color=asked.color,
            redactor=redactor, verbose=asked.verbose, quiet=asked.quiet, inputs=tuple(inputs), fail_on=asked.fail_on,
        )  # fmt: skip
        self._logged = None
        if asked.log is not None:
            self._logged = _Log(_private(asked.log, asked.force), redactor, alert)
            stack.callback(self._logged.close)
        self.recorder = None
        if asked.record is not None:
            from blynkscope.export.streaming import StreamingRecorder

            self.recorder = StreamingRecorder(_private(asked.record, asked.force), listens, legs=legs)
            stack.callback(self.recorder.close)
        self._broken = False
        self._shown = Shown(self._selection, self._out, redactor)
        self.watch: Watch = Watch(self.analyser, self._show, recorder=self.recorder, edits=edits, alert=alert)

    def _show(self, records: list[Record]) -> None:
        if self._logged is not None:
            self._logged(records)
        if not self._broken:
            try:
                self._shown(records)
            except BaseException:
                # The log goes on.
                self._broken = True
                raise

    def listens(self, address: str) -> None:
        """Where it listens is known."""
        if self.recorder is not None:
            self.recorder.listens(address)

    def rotate(self, proxies: Sequence[Proxy]) -> None:
        """Begin the files anew: key logs now, the others behind everything that was told until now."""
        try:
            for proxy in proxies:
                proxy.rotate_keylog()
        except EnvironmentProblem as error:
            self._alert(f"no more keys are logged: {error}")

        def files() -> None:
            if self.recorder is not None:
                self.recorder.rotate()
            if self._logged is not None:
                self._logged.rotate()

        self.watch.call(files)

    def run(self, life: Life) -> None:
        """Let it live, and show at its end what is due then.

        Raises:
            EnvironmentProblem: It cannot listen; no files are left of it.
        """
        try:
            life.run()
        except BaseException:
            if not life.began:
                self._discard()
            elif self._broken:
                self._last()
            raise
        self._finish()

    def _discard(self) -> None:
        """It never began: the files that were made for it hold nothing, and would be in the way of the next start."""
        made = [one for one in (self.recorder, self._logged) if one is not None]
        for one in made:
            one.close()
        for path in (self._asked.record, self._asked.log):
            if path is not None:
                path.unlink(missing_ok=True)

    def _finish(self) -> None:
        """Everything was told and shown: show the findings and the summary that are due now."""
        self._last()
        self._out.close()

    def _last(self) -> None:
        last = self.analyser.finish(self.watch.lost)
        self.watch.record(last)
        self._show(last)

    def settle(self, life: Life, *, relayed: str = "relayed") -> int:
        """Say what was missing.

        Returns:
            The exit status.
        """
        unseen, watch, asked = self._selection.unseen_streams, self.watch, self._asked
        notes = [f"there was no stream {', '.join(map(str, unseen))}"] if unseen else []
        if watch.skipped:
            kept = f", {watch.unjudged} of them recorded" if self.recorder is not None else ""
            notes.append(f"{watch.skipped} bytes were {relayed} but not analysed, as they came too fast{kept}")
        if life.refused:
            notes.append(f"{life.refused} connections were refused")
        say(*notes)
        if life.interrupted:
            return INTERRUPTED
        return FOUND if asked.fail_on is not None and self.analyser.run.worst_at_least(asked.fail_on) else 0


def apart(*paths: Path | None) -> None:
    """Refuse to write two things into one file."""
    named = [path.absolute() for path in paths if path is not None]
    if len(set(named)) < len(named):
        raise click.UsageError("two of --output, --record, --log and --keylog-out name the same file")


def own_addresses(host: str) -> list[str]:
    """Addresses of this computer that reach what listens on `host`, where that is all of them; the best one first."""
    from blynkscope.sources.live import interfaces

    listened = ipaddress.ip_address(host.partition("%")[0])
    if not listened.is_unspecified:
        return []
    found = [text for one in interfaces() if one.up and not one.loopback for text in one.addresses]
    found.sort(key=lambda text: (":" in text, text.startswith("fe80")))
    # A socket of IPv6 takes no IPv4 here.
    return [text for text in found if (listened.version == 6) == (":" in text)]


def rule_set(path: Path | None, name: str | None) -> RuleSet | None:
    """The rules of a file, or of a scenario that is there already."""
    from blynkscope import faults

    if path is not None:
        return faults.load(path)
    return faults.scenario(name) if name is not None else None


def list_scenarios() -> None:
    """The scenarios, one a line."""
    from blynkscope.faults import SCENARIOS

    width = max(map(len, SCENARIOS))
    for name, description in SCENARIOS.items():
        click.echo(f"{name:<{width}}  {description}")


def about_rules(name: str | None) -> bool:
    """Print what is asked about rules in place of a scenario's name; False where that is one, or there is none.

    `list` names the scenarios, `show:NAME` prints one as a file to begin with, `help` tells what rules may say.

    Raises:
        FaultsError: There is no scenario of that name.
    """
    from blynkscope import faults

    if name == "list":
        list_scenarios()
    elif name == "help":
        click.echo(faults.reference(), nl=False)
    elif name is not None and name.startswith(_SHOW):
        click.echo(faults.scenario_text(name.removeprefix(_SHOW)), nl=False)
    else:
        return False
    return True


def _private(path: Path, force: bool) -> Rotating:
    from blynkscope.export.rotating import Rotating

    return Rotating(path, force=force)


class _Log:
    """All records as JSON Lines in a file of its own. What fails ends the log, and nothing else."""

    def __init__(self, file: Rotating, redactor: Any, alert: Callable[[str], None]) -> None:
        from blynkscope.render.outputs import make

        self._file = file
        self._alert = alert
        self._out: Output | None = make("jsonl", file, redactor=redactor)  # type: ignore[arg-type]

    def __call__(self, records: list[Record]) -> None:
        if self._out is None:
            return
        try:
            self._out.write(records)
        except OSError as error:
            self._fail(error)

    def rotate(self) -> None:
        """Go on in another file."""
        if self._out is not None:
            try:
                self._file.rotate()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._out = None
        self._alert(f"the log ended: {self._file.path}: {error.strerror or error}")

    def close(self) -> None:
        """End it."""
        if self._out is not None:
            with contextlib.suppress(OSError):
                self._out.close()
        self._file.close()
