"""`blynkscope replay`: a recorded conversation again, as the device to a server or as the server to a device."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blynkscope.cli import CUT_SHORT, FOUND, INTERRUPTED, engine, options
from blynkscope.cli.keys import key_log
from blynkscope.cli.kinds import Duration, Listen
from blynkscope.cli.notes import say
from blynkscope.cli.reading import Reading
from blynkscope.errors import CaptureError, EnvironmentProblem

if TYPE_CHECKING:
    from blynkscope.protocol.model import Era
    from blynkscope.render.redact import Redactor
    from blynkscope.replay.model import Script
    from blynkscope.replay.outcome import Report
    from blynkscope.replay.swaps import Swaps

FORMATS = ("table", "json", "jsonl", "junit")
LISTEN_PORT = 8080
_FASTEST = 10_000.0
_SPEED = re.compile(r"(\d{1,5}(?:\.\d{1,6})?)x", re.IGNORECASE)
_READ = click.Path(dir_okay=False, exists=True, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_ENVIRONMENT = EnvironmentProblem.exit_code


class _Timing(click.ParamType):  # type: ignore[type-arg]
    """How fast to go; None is as fast as the answers allow."""

    name = "timing"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Times as fast as recorded."""
        text = str(value).strip().lower()
        if text in {"asap", "original"}:
            return None if text == "asap" else 1.0
        found = _SPEED.fullmatch(text)
        if found is None or not 0 < float(found[1]) <= _FASTEST:
            self.fail(f"{value!r} is none: use original, asap, or a factor like 2x or 0.5x.", param, ctx)
        return float(found[1])


@click.command()
@click.argument("capture", metavar="CAPTURE|-")
@click.option(
    "--to", "targets", multiple=True, metavar="HOST:PORT",
    help="Play the device's side to this server: HOST:PORT, or with a scheme, tcp://, tls://, ws:// or wss://. Without "
    "one the port tells (443, 9443, 8441 and 8443 are TLS), else it is as recorded. Twice for a plain and a TLS port.",
)  # fmt: skip
@click.option(
    "--listen", type=Listen(), metavar="[HOST:]PORT",
    help="Play the server's side to devices that connect here, plain, TLS and WebSocket alike.",
)  # fmt: skip
@click.option(
    "--timing", type=_Timing(), default=None, metavar="original|asap|2x",
    help="When things are said: as recorded, as soon as the answers are there that came before, or so much faster.  "
    "[default: asap with --to, original with --listen]",
)  # fmt: skip
@click.option("--timeout", type=Duration(), metavar="TIME", help="Wait so long for an answer.  [default: 5s]")
@click.option(
    "--token", "tokens", multiple=True, metavar="TOKEN|OLD=NEW",
    help="Log in with this token in place of the recorded ones; OLD=NEW, several times, where there are several.",
)  # fmt: skip
@click.option("--account", metavar="EMAIL:PASSWORD", help="Log apps in with this account.")
@click.option("--stream", "streams", type=click.IntRange(1), multiple=True, help="Play this connection only.")
@click.option("--insecure", is_flag=True, help="With --to: take any certificate.")
@click.option("--ca", "ca_file", type=_READ, metavar="FILE", help="With --to: trust the CAs in this PEM file, too.")
@click.option("--yes", is_flag=True, help="With --to: play to a public address.")
@click.option("--once", is_flag=True, help="With --listen: end when all was played and the devices have left.")
@click.option("--duration", type=Duration(), metavar="TIME", help="End after this time (90, 10s, 5m, 1h).")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--junit", type=_FILE, metavar="FILE.xml", help="Also write the verdicts as JUnit XML.")
@engine.options
@options.output
@options.dialect
@options.era
@options.keylog
@options.show_secrets
@options.color
@click.option("-q", "--quiet", is_flag=True, help="Leave out what is equal, and the closing account.")
@click.option("-v", "--verbose", count=True, help="Show every step, not only those that differ.")
def command(
    capture: str,
    targets: tuple[str, ...],
    listen: tuple[str, int | None] | None,
    timing: float | None,
    timeout: float | None,
    tokens: tuple[str, ...],
    account: str | None,
    streams: tuple[int, ...],
    insecure: bool,
    ca_file: Path | None,
    yes: bool,
    once: bool,
    duration: float | None,
    format_: str,
    junit: Path | None,
    engine_: str,
    wpa: tuple[str, ...],
    decode_as: tuple[str, ...],
    output: Path | None,
    dialect: str | None,
    era: str | None,
    keylog: tuple[Path, ...],
    show_secrets: bool,
    color: Any,
    quiet: bool,
    verbose: int,
) -> None:
    """Play a recorded conversation again, and say where the other side departs from it.

    CAPTURE is anything that decode reads: a capture, also one that live or proxy recorded, a log, a pipe (-). With
    --to this is the device (or app) and the server's answers are compared with the recorded ones; with --listen it is
    the server, and a real device gets the recorded answers to what it asks, whatever the order.

    Ids and times are understood: an answer is found by its id and kind, and what nobody asked for by what it says.
    Values that depend on the time are not compared; the account names the rules. A replay to a server writes to the
    project of the device there: without --yes no public address is taken.

    json and jsonl have a record "step" for each verdict (verdict, kind, stream, n, request, recorded, now, differences,
    rule, note, times) and a record "replay" with the account behind them; junit has a test suite for each stream with a
    test case for each step.

    Exit status: 0 all is equal, 1 something differs, 2 usage, 3 the recording cannot be read, 4 no connection.
    """
    if bool(targets) == (listen is not None):
        raise click.UsageError("say where to: --to HOST:PORT (as the device) or --listen PORT (as the server)")
    _check(targets, insecure, ca_file, yes, once, timeout)
    options.spare_inputs((output, junit), (capture, *keylog, *([ca_file] if ca_file else [])))
    from blynkscope.protocol.model import Dialect, Era
    from blynkscope.render.outputs import options_for
    from blynkscope.render.redact import Redactor
    from blynkscope.render.replayed import make
    from blynkscope.replay.comparing import RULES

    generation = Era(era) if era else None
    opener = engine.opener(engine_, wpa, decode_as, keylog)
    swaps = _swaps(tokens, account)
    script, broken = _script(capture, opener, keylog, Dialect(dialect) if dialect else None, generation, streams)
    redactor = Redactor(show_secrets)
    script = _prepared(script, swaps, redactor, as_device=bool(targets))
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(options.opened(output))
        look = options_for(stream, color=color, redactor=redactor, verbose=verbose, quiet=quiet)
        outputs = [make(format_, stream, _about(look, capture), RULES)]
        if junit is not None:
            document = stack.enter_context(options.opened(junit))
            plain = options_for(document, color="never", redactor=redactor)
            outputs.append(make("junit", document, _about(plain, capture), RULES))

        def told(outcome: Any) -> None:
            if outcome.now is not None:
                redactor.learn_frame(outcome.now)
            for out in outputs:
                out.step(outcome)

        if listen is not None:
            given = click.get_current_context().get_parameter_source("timing")
            speed = timing if given is click.core.ParameterSource.COMMANDLINE else 1.0
            report, interrupted = _listens(script, listen, speed, once, duration, generation, told, capture)
        else:
            report, interrupted = _plays(
                script, targets, timing, timeout, duration, generation, told, _trusted(insecure, ca_file), yes
            )
        for out in outputs:
            out.close(report)
    if report.trouble is not None and (quiet or format_ != "table"):
        say(f"Error: {redactor.line(report.trouble.text, forms=False)}")
    sys.exit(_status(report, broken, interrupted))


def _status(report: Report, broken: bool, interrupted: bool) -> int:
    if interrupted:
        return INTERRUPTED
    if report.trouble is not None:
        return _ENVIRONMENT
    if report.departs or (report.side == "device" and not report.complete):
        return FOUND
    return CUT_SHORT if broken else 0


def _check(
    targets: Sequence[str], insecure: bool, ca_file: Path | None, yes: bool, once: bool, timeout: float | None
) -> None:
    for name, used in (("--insecure", insecure), ("--ca", ca_file is not None), ("--yes", yes)):
        if used and not targets:
            raise click.UsageError(f"{name} goes with --to")
    if timeout is not None and not targets:
        raise click.UsageError("--timeout goes with --to")
    if once and targets:
        raise click.UsageError("--once goes with --listen")
    if insecure and ca_file is not None:
        raise click.UsageError("--insecure takes any certificate, so --ca does nothing beside it")


def _about(look: Any, capture: str) -> Any:
    from dataclasses import replace

    return replace(look, inputs=(capture,))


def _swaps(tokens: Sequence[str], account: str | None) -> Swaps:
    """What replaces what.

    Raises:
        UsageError: It cannot be told.
    """
    from blynkscope.replay.swaps import Swaps

    pairs: dict[str, str] = {}
    single: str | None = None
    for text in tokens:
        old, equals, new = text.partition("=")
        if equals and old and new:
            if old in pairs:
                raise click.UsageError("--token names the same old token twice")
            pairs[old] = new
        elif single is not None:
            raise click.UsageError("--token: give one TOKEN for all, or OLD=NEW for each")
        else:
            single = text
    for token in (single, *pairs.values()):
        if token is not None and (not token.isascii() or not token.isprintable() or " " in token or len(token) > 255):
            raise click.UsageError("--token: a token is printable ASCII without spaces")
    if account is None:
        return Swaps(single, pairs)
    mail, colon, password = account.partition(":")
    if not mail or not colon or not password:
        raise click.UsageError("--account: write it as EMAIL:PASSWORD")
    return Swaps(single, pairs, (mail, password))


def _script(
    capture: str, opener: Any, keylog: tuple[Path, ...], dialect: Any, era: Era | None, streams: Sequence[int]
) -> tuple[Script, bool]:
    """The script of a recording; and was the recording damaged?

    Raises:
        CaptureError: It cannot be read, or there is nothing in it that can be played.
    """
    from blynkscope.analysis.analyser import Analyser
    from blynkscope.render.progress import Progress
    from blynkscope.replay.script import ScriptMaker

    read = Reading((capture,), 1, opener)
    analyser = Analyser(dialect, era, findings=False, keys=key_log(keylog))
    maker = ScriptMaker(streams)
    for events in read.batches(analyser, Progress(True, (capture,))):
        maker.feed(analyser.feed(events))
    maker.feed(analyser.finish(read.lost))
    script = maker.finish()
    say(*read.notes)
    if maker.unseen:
        raise click.UsageError(f"there is no stream {', '.join(map(str, maker.unseen))} in {capture}")
    if not script.lines and not script.calls:
        found = "; ".join(f"{count} {reason}" for reason, count in script.passed_over.items())
        raise CaptureError(f"{capture}: nothing in it can be played{f' ({found})' if found else ''}")
    return script, read.broken


def _prepared(script: Script, swaps: Swaps, redactor: Redactor, *, as_device: bool) -> Script:
    """The script with other tokens; secrets are hidden from here on.

    Raises:
        UsageError: A secret is masked in the recording, or one is to be replaced that is not there.
    """
    from blynkscope.protocol import commands
    from blynkscope.replay.model import Call
    from blynkscope.replay.swaps import all_tokens, call_tokens, masked, swapped, takes_token, tokens

    def learn(of: Script) -> None:
        for line in of.lines.values():
            for said in line.frames:
                redactor.learn(said.cmd, said.body, (line.dialect if said.client else line.answers).value)
        for step in of.steps:
            for token in call_tokens(step.call) if step.call is not None else ():
                redactor.learn(commands.HW_LOGIN, token.encode(), "hardware")

    known = {token.decode("utf-8", "replace") for token in all_tokens(script)}
    several = len(tokens(script)) or len(known)
    learn(script)
    if missing := [old for old in swaps.pairs if old not in known]:
        raise click.UsageError(
            f"--token: {len(missing)} of the old tokens are in no login, bridge or call of the recording (it has "
            f"{len(known)})"
        )
    if swaps.token is not None and not takes_token(script):
        raise click.UsageError("--token: the recording has no login, bridge or call whose token it could replace")
    recorded, script = script, swapped(script, swaps)
    learn(script)
    if as_device:
        lost = masked(recorded, script)
        if lost:
            one = lost[0]
            account = not isinstance(one, Call) and recorded.lines[one.line].dialect != "hardware"
            what, option = ("account", "--account EMAIL:PASSWORD") if account else ("token", "--token TOKEN")
            where = "HTTP call" if isinstance(one, Call) else "login in frame"
            raise click.UsageError(
                f"the {what} of the {where} {one.n} (stream {one.line}) is masked in the recording: give a real one "
                f"with {option}, or play other connections (--stream)"
            )
        if swaps.token is not None and several > 1:
            say(f"note: the recording has {several} tokens, and all become one: OLD=NEW keeps them apart")
    return script


def _trusted(insecure: bool, ca_file: Path | None) -> ssl.SSLContext:
    """TLS settings for servers: the system's CAs, the one of this user, and that of the file."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    from blynkscope.ca.authority import PUBLIC_FILE, default_folder

    own = default_folder() / PUBLIC_FILE
    with contextlib.suppress(OSError, ssl.SSLError):
        if own.is_file():
            context.load_verify_locations(own)
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise click.UsageError(f"{ca_file} holds no CA certificates in PEM: {error}") from None
    return context


def _plays(
    script: Script, targets: Sequence[str], speed: float | None, timeout: float | None, duration: float | None,
    era: Era | None, told: Any, context: ssl.SSLContext, yes: bool,
) -> tuple[Report, bool]:  # fmt: skip
    from blynkscope.replay.player import TIMEOUT_SECONDS, Player, Playing
    from blynkscope.replay.targets import ConnectError, Target, resolved
    from blynkscope.wire.addresses import is_public

    parsed = [Target.parse(text) for text in targets]

    def player_to(targets: Sequence[Target]) -> Player:
        playing = Playing(
            targets=targets, speed=speed, timeout=timeout or TIMEOUT_SECONDS, duration=duration, context=context,
            era=era,
        )  # fmt: skip
        return Player(script, playing, told)

    async def play() -> tuple[Report, bool]:
        try:
            found = [await resolved(target) for target in parsed]
        except ConnectError as error:
            return player_to(parsed).unreached(error), False
        public = [address for target in found for _, address in target.addresses if is_public(address)]
        if public and not yes:
            raise click.UsageError(
                f"{public[0]} is a public address: a replay logs in there and writes to the project of the device. Add "
                "--yes if that is meant"
            )
        player = player_to(found)
        terminated = _ends_on_terminate()
        report = await player.run()
        return report, player.interrupted and not terminated

    return asyncio.run(play())


def _listens(
    script: Script, listen: tuple[str, int | None], speed: float | None, once: bool, duration: float | None,
    era: Era | None, told: Any, capture: str,
) -> tuple[Report, bool]:  # fmt: skip
    from blynkscope.ca import Authority
    from blynkscope.replay.listener import Listener, ListenSettings

    if not script.lines:
        raise CaptureError(f"{capture}: there are no Blynk frames in it that a device could be answered with")
    host, port = listen
    settings = ListenSettings(
        host=host, port=LISTEN_PORT if port is None else port, speed=speed, duration=duration, once=once, era=era
    )
    listener = Listener(script, settings, Authority.at(), told)

    async def serve() -> tuple[Report, bool]:
        at, number = await listener.open()
        shown = f"[{at}]:{number}" if ":" in at else f"{at}:{number}"
        say(f"replay: {shown} plays the server of {capture} ({len(script.lines)} connections); Ctrl-C ends it")
        terminated = _ends_on_terminate()
        report = await listener.run()
        return report, listener.interrupted and not terminated

    return asyncio.run(serve())


def _ends_on_terminate() -> list[bool]:
    """SIGTERM and SIGHUP end the task, with its account, as Ctrl-C does; the list is not empty once one came."""
    came: list[bool] = []
    task = asyncio.current_task()
    assert task is not None

    def end() -> None:
        came.append(True)
        task.cancel()

    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
        hangup = getattr(signal, "SIGHUP", None)
        if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:  # nohup
            asyncio.get_running_loop().add_signal_handler(hangup, end)
    return came
