"""`blynkscope man`: manual pages, made from what `--help` says."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from blynkscope.errors import EnvironmentProblem


@click.command("man")
@click.argument("name", metavar="[COMMAND]", required=False)
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
    help="Write a file for each page into FOLDER, all pages without COMMAND.",
)  # fmt: skip
def command(name: str | None, output: Path | None) -> None:
    """Write the manual page of a command in roff, or that of blynkscope itself.

    Read one with `blynkscope man decode | man -l -`. To install all of them, for `man blynkscope-decode`:
    `blynkscope man -o ~/.local/share/man/man1`.
    """
    from blynkscope.cli import COMMANDS
    from blynkscope.cli.help_pages import file_name, page

    if name is not None and name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {near[0]}?" if near else f" There are {', '.join(COMMANDS)}."
        raise click.UsageError(f"no such command {name[:40]!r}.{hint}")
    if output is None:
        if sys.stdout.isatty():
            click.echo(f"note: this is for man: blynkscope man{f' {name}' if name else ''} | man -l -", err=True)
        click.echo(page(name), nl=False)
        return
    wanted = [name] if name is not None else [None, *COMMANDS]
    try:
        output.mkdir(parents=True, exist_ok=True)
        for one in wanted:
            (output / file_name(one)).write_text(page(one), encoding="ascii", newline="\n")
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {error.filename or output}: {error.strerror or error}") from error
    click.echo(f"{len(wanted)} page{'s' * (len(wanted) != 1)} written to {output}", err=True)
