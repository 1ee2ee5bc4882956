"""`blynkscope ca`: the certificate authority of the proxy, for the firmware that is to trust it."""

from __future__ import annotations

import itertools
import os
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from blynkscope.ca import Authority

_SOON_DAYS = 30
"""Days before the end of the CA from which on it is said: time to bring a new one into the firmware."""
_WIDEST = 120
"""Columns of sentences, on a terminal that is wider still."""
OLD_FILE = "authority.old.pem"
"""The CA that was there before the last one, with its key."""
_FORMS = ("pem", "der", "c", "fingerprint")


class _ShowFirst(click.Group):
    """Without a subcommand its options are those of `show`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `show` in front of options that stand alone."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group("ca", cls=_ShowFirst)
def command() -> None:
    """The certificate authority of the proxy, which devices must trust to be looked into over TLS.

    It is made on first use, in your configuration folder, with a key that only you can read and that never leaves it.
    Without a subcommand it is shown.
    """


@command.command("show")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Form of the output.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
def show(form: str, as_json: bool) -> None:
    """Show the folder, the fingerprints and the validity, and how to use the certificate."""
    from blynkscope.ca import exports
    from blynkscope.render.console import width_of

    authority = _authority()
    if as_json or form == "json":
        _print_facts(authority)
        return
    _print_text(authority)
    click.echo()
    click.echo(_fitted(exports.USES, min(width_of(sys.stdout), _WIDEST)), nl=False)


@command.command("export")
@click.option("--format", "form", type=click.Choice(_FORMS), default="pem", show_default=True, help="Form to write.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), metavar="FILE",
    help="Write to FILE, not to stdout.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a FILE that exists.")
def export(form: str, output: Path | None, force: bool) -> None:
    """Write the certificate, never the key: as PEM, DER, a block for Arduino sketches (c), or its fingerprints."""
    from blynkscope.ca import exports

    to_stdout = output is None or str(output) == "-"
    if form == "der" and to_stdout and sys.stdout.isatty():
        raise click.UsageError("DER is binary: name a file with -o FILE")
    authority = _authority()
    data = exports.export(authority, form)
    if output is None or to_stdout:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return
    if _is_one_of(output, authority.private_path, authority.certificate_path):
        raise click.UsageError(f"{output} is the CA's own: choose another file for the output")
    _write(output, data, force=force)


@command.command("renew")
@click.option(
    "--constrain", multiple=True, metavar="NAME",
    help="Host name (with all below it), address or network that it may sign for; repeat it for more.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal to ask on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, like `show`.")
def renew(constrain: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Make a new CA with a new key in place of the old one, be that good, expired or damaged.

    The old one is kept beside it, as authority.old.pem, with its key, which only you can read.

    A limit by --constrain holds where programs check it (OpenSSL, GnuTLS); mbedTLS (ESP32) and BearSSL (ESP8266)
    take no notice of it. Single addresses fit all devices that connect by address, networks only some.
    """
    from blynkscope.ca import Authority
    from blynkscope.ca.constraints import Constraints
    from blynkscope.errors import EnvironmentProblem

    try:
        Constraints.of(constrain)
    except EnvironmentProblem as error:
        raise click.BadParameter(str(error), param_hint="--constrain") from error
    if not yes:
        _ask()
    _keep()
    authority = Authority.renew(constrain=constrain)
    if as_json:
        _print_facts(authority)
    else:
        _print_text(authority)
    click.echo(
        "note: whatever trusted the old CA has to be given this one (blynkscope ca export), and a proxy that runs keeps"
        " the old one until it is started anew",
        err=True,
    )


@command.command("path")
@click.option("--folder", is_flag=True, help="Print the folder instead, which need not exist yet.")
def path(folder: bool) -> None:
    """Print where the certificate (PEM) is, for programs that want a file."""
    from blynkscope.ca.authority import default_folder

    click.echo(str(default_folder() if folder else _authority().certificate_path))


def _authority() -> Authority:
    """The CA; where it was made just now, or ends soon, that is said on stderr."""
    from blynkscope.ca import Authority
    from blynkscope.render.safe import safe

    authority = Authority.at()
    if authority.created:
        click.echo(f"note: made a new CA in {safe(str(authority.folder))}", err=True)
    days = _days_left(authority)
    if days < _SOON_DAYS:
        click.echo(f"note: the CA ends in {days} days: `blynkscope ca renew` makes a new one", err=True)
    return authority


def _write(path: Path, data: bytes, *, force: bool) -> None:
    """Write a file; one that exists only by force. What is no file (/dev/stderr, a pipe) is not written over."""
    from blynkscope.errors import EnvironmentProblem

    new = not force and (path.is_file() or not path.exists())
    try:
        with path.open("xb" if new else "wb") as stream:
            stream.write(data)
    except FileExistsError as error:
        raise EnvironmentProblem(f"{path} exists: choose another name, or write over it with --force") from error
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error


def _ask() -> None:
    """Ask whether the old CA may go, where there is one.

    Raises:
        UsageError: There is nobody to ask.
        Abort: It may not.
    """
    from blynkscope.ca.authority import PRIVATE_FILE, default_folder

    if not os.path.lexists(default_folder() / PRIVATE_FILE):
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("every device that trusts the CA has to be given the new one: --yes makes it")
    click.confirm("Every device that trusts the CA has to be given the new one. Go on?", abort=True, err=True)


def _keep() -> None:
    """Keep the CA that is there, whatever it is, for the case that it is missed."""
    from blynkscope.ca.authority import PRIVATE_FILE, default_folder
    from blynkscope.ca.store import opened
    from blynkscope.errors import EnvironmentProblem

    folder = default_folder().absolute()
    if not os.path.lexists(folder / PRIVATE_FILE):
        return
    with opened(folder) as store:
        try:
            held = store.read(PRIVATE_FILE, private=False)
        except EnvironmentProblem:
            return  # it is no file, or cannot be read: there is nothing to keep
        if held:
            store.replace(OLD_FILE, held, mode=0o600)


def _is_one_of(path: Path, *others: Path) -> bool:
    return path.exists() and any(other.exists() and path.samefile(other) for other in others)


def _days_left(authority: Authority) -> int:
    """Days until the CA ends, begun ones counted."""
    return -((datetime.now(UTC) - authority.not_after) // timedelta(days=1))


def _fitted(text: str, width: int) -> str:
    """A text whose sentences fit; what stands further in is there to be copied, and stays in one piece."""
    said: list[str] = []
    for prose, group in itertools.groupby(text.splitlines(), lambda line: line[:1].strip() != ""):
        lines = list(group)
        said += textwrap.wrap(" ".join(lines), width, break_long_words=False) if prose else lines
    return "\n".join(said) + "\n"


def _print_facts(authority: Authority) -> None:
    import msgspec

    from blynkscope.ca import exports

    click.echo(msgspec.json.encode(exports.facts(authority)).decode())


def _print_text(authority: Authority) -> None:
    from blynkscope.ca import exports
    from blynkscope.render.safe import safe

    facts = exports.facts(authority)
    begins, ends = (f"{time:%Y-%m-%d}" for time in (authority.not_before, authority.not_after))
    rows = {
        "name": f"{facts['name']} ({facts['key']})",
        "folder": facts["folder"],
        "certificate": facts["certificate"],
        "valid": f"{begins} to {ends}, {_days_left(authority)} days left",
        "signs for": ", ".join(facts["constraints"]) or "servers of any name",
        "SHA-256": facts["sha256"],
        "SHA-1": facts["sha1"],
    }
    for name, text in rows.items():
        click.echo(f"{name:<12} {safe(text)}")
