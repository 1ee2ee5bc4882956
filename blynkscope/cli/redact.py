"""`blynkscope redact`: a capture or log without its secrets, for sharing."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

import click

from blynkscope.cli import options
from blynkscope.errors import CaptureError, EnvironmentProblem

if TYPE_CHECKING:
    from blynkscope.scrub.report import Report
    from blynkscope.scrub.vault import Vault

LEFT_OVER = 1
_SPOOL = 64 * 1024 * 1024
"""Bytes of an unpacked input that are kept in memory; more go to a file without a name."""
_GZIP_LEVEL = 6
_SHARED = 0o666
"""Of what is written, less the umask: it is made to be passed on."""


@click.command("redact")
@click.argument("source", metavar="IN|-")
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, allow_dash=True), metavar="OUT",
    help="What to write, gzip where it ends in .gz; - is standard output.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write over OUT where it exists.")
@click.option("--hosts", is_flag=True, help="Replace host names, IP and MAC addresses, IMEI and ICCID numbers too.")
@click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="The count as text on stderr, or also as JSON on stdout.",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Leave out the notes.")
def command(source: str, output: str, force: bool, hosts: bool, format_: str, quiet: bool) -> None:
    """Write a capture or log for sharing: secrets out, everything else as it was.

    Tokens, e-mail addresses, passwords and names of Wi-Fi networks become placeholders of the same length, the same for
    the same secret; checksums of packets that were right are right again. Key logs inside a pcapng file are dropped,
    compressed bodies are blanked, and TLS stays encrypted. What was written is read again: where a secret is left,
    nothing is kept, and the exit status is 1.
    """
    from blynkscope.scrub.vault import Vault

    _refuse(source, output, force, format_)
    vault = Vault(hosts)
    with _input(source) as (stream, name), _output(output, force) as target:
        report, left = _scrubbed(stream, name, target, vault)
        if left:
            raise click.exceptions.Exit(_fault(left, report.remaining_lines))
        target.keep()
    if format_ == "json":
        import json

        from blynkscope.render.streams import binary_of

        binary = binary_of(sys.stdout)
        told = json.dumps(report.as_fields(vault.counts(), left), ensure_ascii=False)
        binary.write(told.encode("utf-8", "backslashreplace") + b"\n")
        binary.flush()
    _tell(report, vault, quiet=quiet)
    if report.damaged:
        sys.exit(CaptureError.exit_code)


def _refuse(source: str, output: str, force: bool, format_: str) -> None:
    """Outputs that must not be written to.

    Raises:
        UsageError: It is the input, a terminal, standard output twice, or a file that is there.
    """
    if output == "-":
        if sys.stdout.isatty():
            raise click.UsageError("a terminal is no place for a capture: name a file, or pipe the output on")
        if format_ == "json":
            raise click.UsageError("the count as JSON goes to standard output: name a file for the capture")
        return
    path = Path(output)
    options.spare_inputs([path], [source])
    with suppress(OSError):
        if stat.S_ISCHR(path.stat().st_mode) and path.resolve() != Path(os.devnull).resolve():
            raise click.UsageError(f"{output} is a terminal or another device: name a file")
    options.spare_existing(path, force)


def _scrubbed(stream: BinaryIO, name: str, target: _Target, vault: Vault) -> tuple[Report, dict[str, int]]:
    from blynkscope.sources.capture import is_capture

    first = stream.read(4)
    stream.seek(0)
    if not first:
        raise CaptureError(f"{name}: empty: there is neither a capture nor a log in it")
    if is_capture(first):
        from blynkscope.scrub.captures import CaptureScrub

        capture = CaptureScrub(stream, name, vault)
        capture.write(target.plain)
        return capture.report, capture.left(target.plain)
    from blynkscope.scrub.logs import LogScrub
    from blynkscope.sources.text import INPUT_MAX

    log = LogScrub(stream.read(INPUT_MAX + 1), name, vault)
    written = log.written()
    target.plain.write(written)
    return log.report, log.left(written)


def _fault(left: dict[str, int], lines: dict[str, list[int]]) -> int:
    """Say what was left, and in which lines; never what it was."""
    counts = ", ".join(
        f"{kind} {count}"
        + (f" in line{'s' * (len(of) != 1)} {', '.join(map(str, of))}" if (of := lines.get(kind)) else "")
        for kind, count in left.items()
    )
    click.echo(f"Error: secrets were left in what was written ({counts}), so it was not kept", err=True)
    return LEFT_OVER


def _tell(report: Report, vault: Vault, *, quiet: bool) -> None:
    from blynkscope.render.safe import safe

    counts = vault.counts()
    for kind, numbers in counts.items():
        places, different = numbers["places"], numbers["different"]
        click.echo(f"{kind}: {places} place{'s' * (places != 1)}, {different} different", err=True)
    for what, count in report.dropped.items():
        click.echo(f"dropped: {count} {what.replace('_', ' ')}", err=True)
    if not counts and not report.dropped:
        click.echo("nothing to replace was found", err=True)
    click.echo("read again: none of them is left", err=True)
    if not quiet:
        for note in report.notes:
            click.echo(f"note: {safe(note)}", err=True)


@contextmanager
def _input(source: str) -> Iterator[tuple[BinaryIO, str]]:
    """The input, unpacked, in a form that can be read again and again.

    Raises:
        CaptureError: It cannot be opened or unpacked.
    """
    from blynkscope.sources.capture import unpacked

    name = "standard input" if source == "-" else source
    try:
        stream: BinaryIO = sys.stdin.buffer if source == "-" else open(source, "rb")  # noqa: SIM115
        try:
            plain, first = unpacked(stream, name)
            if plain is stream and source != "-" and stream.seekable():
                stream.seek(0)
                yield stream, name
                return
            with tempfile.SpooledTemporaryFile(_SPOOL) as spool:
                spool.write(first)
                shutil.copyfileobj(plain, spool)
                spool.seek(0)
                yield cast(BinaryIO, spool), name
        finally:
            if source != "-":
                stream.close()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CaptureError(f"{name}: damaged gzip data ({error})") from None
    except FileNotFoundError as error:
        raise CaptureError(f"{name}: {error.strerror}") from error
    except (IsADirectoryError, PermissionError) as error:
        raise CaptureError(f"{name}: {error.strerror}") from error


class _Target:
    """What is written, beside the place where it belongs until it has proved good."""

    def __init__(self, output: str, plain: BinaryIO, force: bool) -> None:
        self._output = output
        self._force = force
        self.plain = plain
        """Takes the output, not compressed yet; can be read again."""

    def keep(self) -> None:
        """It is good: put it where it belongs.

        Raises:
            EnvironmentProblem: It cannot be written there.
            UsageError: A file is there meanwhile.
        """
        self.plain.seek(0)
        if self._output == "-":
            shutil.copyfileobj(self.plain, sys.stdout.buffer)
            return
        try:
            with options.opened_new(Path(self._output), force=self._force, mode=_SHARED) as file:
                if self._output.endswith(".gz"):
                    with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
                        shutil.copyfileobj(self.plain, cast(IO[bytes], packed))
                else:
                    shutil.copyfileobj(self.plain, file)
        except OSError as error:
            with suppress(OSError):
                if os.path.isfile(self._output):
                    os.unlink(self._output)
            raise EnvironmentProblem(f"cannot write {self._output}: {error.strerror or error}") from error


@contextmanager
def _output(output: str, force: bool) -> Iterator[_Target]:
    """A file without a name takes the output first: a secret that was left never has one.

    Raises:
        EnvironmentProblem: There is no room for it.
    """
    try:
        with tempfile.SpooledTemporaryFile(_SPOOL) as spool:
            yield _Target(output, cast(BinaryIO, spool), force)
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {output}: {error.strerror or error}") from error
