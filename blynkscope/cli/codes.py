"""`blynkscope codes`: the command and status tables."""

from __future__ import annotations

from typing import IO

import click

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.cli import options
from blynkscope.protocol.commands import COMMANDS
from blynkscope.protocol.model import Command, Dialect, Era
from blynkscope.protocol.statuses import STATUSES
from blynkscope.render.console import ColorWish
from blynkscope.render.reference import write_codes


@click.command("codes")
@click.argument("tables", nargs=-1, type=click.Choice(["commands", "statuses", "findings"]))
@click.option(
    "--dialect", type=click.Choice([dialect.value for dialect in Dialect]), help="Only commands of this dialect."
)
@click.option("--era", type=click.Choice([era.value for era in Era]), help="Only commands that hold in this era.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "jsonl", "csv"]), default="table", show_default=True,
    help="Form of the output.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=options.TextOutput(), default="-", metavar="FILE",
    help="Write to FILE instead of standard output.",
)  # fmt: skip
@options.color
def command(
    *, tables: tuple[str, ...], dialect: str | None, era: str | None, form: str, output: IO[str], color: ColorWish
) -> None:
    """List the commands and status codes of the protocol, and the findings.

    TABLES limits the list to `commands`, `statuses` or `findings`; without it the first two are listed.
    """
    commands = [row for row in COMMANDS if _holds(row, dialect, era)] if "commands" in tables or not tables else None
    statuses = list(STATUSES.values()) if "statuses" in tables or not tables else None
    findings = list(CATALOGUE.values()) if "findings" in tables else None
    write_codes(output, form, commands, statuses, color, findings)


def _holds(row: Command, dialect: str | None, era: str | None) -> bool:
    return (dialect is None or dialect in row.dialects) and (era is None or row.era is None or row.era == era)
