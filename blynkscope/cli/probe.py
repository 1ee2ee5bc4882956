"""`blynkscope probe`: what a server speaks and accepts, and what a device would meet there."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blynkscope.cli import FOUND, INTERRUPTED, options
from blynkscope.cli.kinds import Number
from blynkscope.cli.notes import say
from blynkscope.errors import CaptureError, EnvironmentProblem

if TYPE_CHECKING:
    from blynkscope.probe.suites import Listed

_SCHEMES = {
    "https": 443, "wss": 443, "tls": 443, "ssl": 443, "http": 80, "ws": 80, "tcp": 80, "mqtt": 1883, "mqtts": 8883,
}  # fmt: skip
_RANK = ("note", "warning", "error")
_LIST_BYTES_MAX = 1024 * 1024
_HOST_MAX = 253
_UNREACHED = EnvironmentProblem.exit_code


@click.command("probe")
@click.argument("target", metavar="HOST[:PORT]")
@click.option(
    "--suites", metavar="FILE|LIST",
    help="Cipher suites of a device, in its order: names as IANA, OpenSSL, mbedTLS or axTLS write them, or codes "
    "(0xC02F, c0 2f), as pasted from a manual or a log; - is standard input.",
)  # fmt: skip
@click.option("--token", metavar="TOKEN", help="Log in with this token; without it, with one that is made up.")
@click.option("--ca", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Root certificates (PEM).")
@click.option("-4", "family", flag_value=4, type=int, help="IPv4 addresses alone.")
@click.option("-6", "family", flag_value=6, type=int, help="IPv6 addresses alone.")
@click.option("--no-login", is_flag=True, help="Do not log in, not even with a made-up token.")
@click.option("--no-suites", is_flag=True, help="Do not search for TLS versions and cipher suites.")
@click.option("--each", is_flag=True, help="Ask for each cipher suite on its own: some 350 connections a version.")
@click.option("--follow", is_flag=True, help="Follow redirects, with the token, as a device does.")
@click.option("--count", type=click.IntRange(0, 100), default=4, show_default=True, help="Pings behind a login.")
@click.option("--timeout", type=Number(0.05, 60), default=5.0, show_default=True, help="Seconds to wait for an answer.")
@click.option("--delay", type=Number(0, 60), metavar="SECONDS", help="Between connections.")
@click.option("--jobs", type=click.IntRange(1, 16), default=4, show_default=True, help="Connections at a time.")
@click.option("--max-connections", type=click.IntRange(1, 100_000), help="In all; a public server gets 250 at most.")
@click.option(
    "--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True,
    help="Form of the output.",
)  # fmt: skip
@options.output
@options.fail_on
@options.color
@click.option("-q", "--quiet", is_flag=True, help="Only what is reached and what is found.")
@options.verbose
def command(
    target: str,
    suites: str | None,
    token: str | None,
    ca: Path | None,
    family: int | None,
    no_login: bool,
    no_suites: bool,
    each: bool,
    follow: bool,
    count: int,
    timeout: float,
    delay: float | None,
    jobs: int,
    max_connections: int | None,
    format_: str,
    output: Path | None,
    fail_on: str | None,
    color: Any,
    quiet: bool,
    verbose: int,
) -> None:
    """What a server speaks and accepts: DNS, TCP, TLS versions and cipher suites, certificate, login.

    Without PORT the usual ones are tried: 443, 80, 8080, 9443, 8441, 8442, 1883, 8883. With --suites it answers whether
    a device's cipher suites are accepted, and which one the two would use.

    Nothing is changed on the server. Without --token the login is made with a token that nobody has
    (blynkscope-probe-no-real-token-0); a server that knows no such token refuses it, which is answer enough. With
    --follow a token does not go in clear to a public address to which a server of one's own redirects.

    Exit status: 0 done, 1 findings at or above --fail-on, 2 usage, 3 a file cannot be read, 4 no address took a
    connection on any port (all that was found is printed, and --fail-on goes first), 130 interrupted.

    The JSON is one object: host, port, time, seconds, complete (false where a limit or Ctrl-C ended it), connections,
    limits, dns {addresses, ms, error}, ports, era {era, evidence}, findings as elsewhere. A port has tcp (an entry for
    each address), speaks (["tls", "blynk", …]), tls {chosen, versions, sni, chains, device, …}, logins, others, note.
    What was not found out is null.
    """
    host, port = parse_target(target)
    options.spare_inputs((output,), [str(one) for one in (suites, ca) if one is not None])
    listed = read_suites(suites) if suites is not None else None
    if token is not None and no_login:
        raise click.UsageError("--token is for the login that --no-login forbids")
    _check_ca(ca)
    from blynkscope.probe import Settings, close, new_report, probe
    from blynkscope.render.probed import Stages, write_json, write_table

    settings = Settings(
        host=host, port=port, token=token, login=not no_login, scan=not no_suites, each=each,
        suites=listed.suites if listed is not None else (), ca=str(ca) if ca is not None else None, family=family,
        timeout=timeout, delay=delay, jobs=jobs, budget=max_connections, count=count, follow=follow,
    )  # fmt: skip
    report = new_report(settings)
    status = 0
    stages = Stages(sys.stderr, shown=not quiet)
    with options.opened(output) as stream:
        # A limit of time (timeout, a CI job) ends it so: what was found until then is worth telling.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            asyncio.run(probe(settings, report, told=stages))
        except KeyboardInterrupt:
            status = INTERRUPTED
        finally:
            signal.signal(signal.SIGTERM, before)
        stages.clear()
        close(report, settings)
        if format_ == "json":
            write_json(stream, report)
        else:
            write_table(stream, report, color=color, verbose=verbose, quiet=quiet)
    if listed is not None and listed.unknown:
        say(f"not known as cipher suites: {', '.join(listed.unknown)}")
    if status:
        say("interrupted: what was found until then is above")
    elif fail_on is not None and any(_RANK.index(one.severity) >= _RANK.index(fail_on) for one in report.findings):
        status = FOUND
    elif not report.reached:
        status = _UNREACHED
    sys.exit(status)


def parse_target(text: str) -> tuple[str, int | None]:
    """Host and port of `HOST`, `HOST:PORT`, `[IPV6]:PORT`, or a URL.

    Raises:
        UsageError: It is none of these.
    """
    scheme, found, rest = text.strip().partition("://")
    default = None
    if found:
        if scheme.lower() not in _SCHEMES:
            raise click.UsageError(f"{scheme[:20]}:// is not known here: name HOST:PORT")
        default = _SCHEMES[scheme.lower()]
        # A name and a password are no part of the host, and must not be looked up.
        rest = rest.partition("/")[0].rpartition("@")[2]
    else:
        rest = scheme
    if rest.startswith("["):
        host, closed, tail = rest[1:].partition("]")
        if not closed or (tail and not tail.startswith(":")):
            raise click.UsageError("an IPv6 address with a port is written [2001:db8::1]:443")
        digits = tail[1:]
    elif rest.count(":") > 1:
        host, digits = rest, ""
    else:
        host, _, digits = rest.partition(":")
    host = host.strip().rstrip(".")
    if not host or len(host) > _HOST_MAX or not host.isprintable() or any(char in " /\\@" for char in host):
        raise click.UsageError("name the server: HOST or HOST:PORT")
    if not digits:
        return host, default
    if not digits.isascii() or not digits.isdecimal() or not 0 < int(digits[:6]) < 65536:
        raise click.UsageError(f"{digits[:20]!r} is no port: 1 to 65535")
    return host, int(digits)


def read_suites(text: str) -> Listed:
    """The suites of a list, of a file, or of standard input. What is a list counts as one; `./name` is a file.

    Raises:
        UsageError: There are none in it.
        CaptureError: The file cannot be read.
    """
    from blynkscope.probe.suites import read_list

    listed = read_list(text)
    what = "the list"
    if text == "-" or (not listed.suites and not listed.unknown) or os.path.sep in text:
        what = "standard input" if text == "-" else text
        try:
            if text == "-":
                data = sys.stdin.buffer.read(_LIST_BYTES_MAX)
            else:
                with open(text, "rb") as stream:
                    data = stream.read(_LIST_BYTES_MAX)
        except FileNotFoundError:
            raise click.BadParameter(
                f"{text[:200]!r} is no file, and holds no cipher suite: names like TLS_RSA_WITH_AES_128_CBC_SHA or "
                "AES128-SHA, or codes like 0xC02F",
                param_hint="--suites",
            ) from None
        except (OSError, ValueError) as error:
            raise CaptureError(f"cannot read {text}: {getattr(error, 'strerror', None) or error}") from error
        listed = read_list(data.decode("utf-8", "replace"))
    if not listed.suites:
        unknown = f" ({', '.join(listed.unknown[:5])})" if listed.unknown else ""
        raise click.BadParameter(f"{what} holds no cipher suite that is known{unknown}", param_hint="--suites")
    return listed


def _check_ca(ca: Path | None) -> None:
    """Say at once that a file of roots cannot be used.

    Raises:
        CaptureError: It holds no certificates.
    """
    if ca is None:
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca)
    except ssl.SSLError as error:
        raise CaptureError(f"{ca} holds no certificates in PEM") from error
    except OSError as error:
        raise CaptureError(f"cannot read {ca}: {error.strerror or error}") from error
