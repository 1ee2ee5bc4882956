"""Options that mean the same in every command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

import click

from blynkscope.cli import config, keys
from blynkscope.errors import EnvironmentProblem

F = TypeVar("F", bound=Callable[..., Any])

COLORS = ("auto", "always", "never")
SEVERITIES = ("note", "warning", "error")
DIALECTS = ("hardware", "app")
ERAS = ("legacy", "iot")
_EXISTS = "{} exists: choose another name, or --force to write over it"

output = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE, not to stdout (which is - too).",
)
color = click.option(
    "--color", type=click.Choice(COLORS), default="auto", show_default=True, help="NO_COLOR counts as never."
)
show_secrets = click.option("--show-secrets", is_flag=True, help="Do not hide tokens, addresses and passwords.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Leave out stream events and the closing summary.")
verbose = click.option("-v", "--verbose", count=True, callback=config.tell, help="Show more.")
era = click.option("--era", type=click.Choice(ERAS), help="Meaning of codes that differ between the eras.")
dialect = click.option("--dialect", type=click.Choice(DIALECTS), help="Read every stream so, instead of finding out.")
fail_on = click.option(
    "--fail-on", type=click.Choice(SEVERITIES), help="End with status 1 where a finding is at least as bad."
)
filter_ = click.option(
    "--filter",
    "filter_",
    metavar="EXPR",
    help="Frames to show, like 'cmd == MSG_HW and pin == V1' (blynkscope filters).",
)
streams = click.option("--stream", "streams", type=click.IntRange(1), multiple=True, help="Show this connection only.")
keylog = click.option(
    "--keylog",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    metavar="FILE",
    help="TLS key log that opens encrypted streams; without it, the file that SSLKEYLOGFILE names.",
)


def common(function: F) -> F:
    """All options that commands on frames share, in the order in which `--help` lists them."""
    for option in reversed(
        (output, filter_, streams, dialect, era, keylog, show_secrets, fail_on, color, quiet, verbose)
    ):
        function = option(function)
    return function


def spare_inputs(outputs: Iterable[Path | None], inputs: Iterable[str | Path]) -> None:
    """Refuse to write over what is about to be read, or into one file twice.

    The key log that the environment names is an input too: keys cannot be made again.

    Raises:
        UsageError: An output is one of the inputs, or two outputs are the same.
    """
    read = [*map(str, inputs), os.environ.get(keys.VARIABLE, "")]
    written: set[str] = set()
    for path in outputs:
        if path is None or str(path) == "-":
            continue
        if os.path.realpath(path) in written:
            raise click.UsageError(f"{path} is named for two outputs: choose another file for one of them")
        written.add(os.path.realpath(path))
        for name in read:
            if os.path.isfile(name) and path.is_file() and path.samefile(name):
                raise click.UsageError(f"{name} is an input: choose another file for the output")


def spare_existing(path: Path | None, force: bool) -> None:
    """Refuse, before anything is read, to write a capture over a file that is there.

    Raises:
        UsageError: It is there, and nobody has said `--force`.
    """
    from blynkscope.sources.files import spared

    if path is not None and not force and spared(path):
        raise click.UsageError(_EXISTS.format(path))


@contextmanager
def opened_new(path: Path, *, force: bool = False, mode: int | None = None) -> Iterator[BinaryIO]:
    """A file for a capture: a new one, for its owner alone unless a mode says else.

    Raises:
        UsageError: There is one, and nobody has said `--force`.
        EnvironmentProblem: It cannot be written.
    """
    from blynkscope.sources.files import MODE, begin_file

    try:
        descriptor = begin_file(path, force=force, mode=MODE if mode is None else mode)
    except FileExistsError:
        raise click.UsageError(_EXISTS.format(path)) from None
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error
    with os.fdopen(descriptor, "wb") as stream:
        yield stream


class TextOutput(click.File):
    """A file for text, `-` for standard output; one that cannot be written is a fault of the environment."""

    def __init__(self) -> None:
        super().__init__("w", encoding="utf-8", lazy=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> IO[Any]:
        """Open the file that a name stands for."""
        if value == "-":
            # click would write UTF-8 where the terminal says that it is ASCII.
            return sys.stdout
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            raise EnvironmentProblem(f"cannot write {error.message}") from error


@contextmanager
def opened(path: Path | None) -> Iterator[IO[Any]]:
    """The output: a file in binary mode, or standard output.

    Raises:
        EnvironmentProblem: The file cannot be written.
    """
    if path is None or str(path) == "-":
        yield sys.stdout
        return
    try:
        stream = path.open("wb")
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error
    with stream:
        yield stream
