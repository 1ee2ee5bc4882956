"""`blynkscope explain`: a page on a command, a status, a number or a finding."""

from __future__ import annotations

import difflib
import re
from typing import IO, Any

import click

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.cli import options
from blynkscope.protocol import commands, statuses
from blynkscope.render.console import ColorWish
from blynkscope.render.reference import Page, write_page
from blynkscope.render.safe import safe_line

_NUMBER = re.compile(r"(?:0x[0-9a-f]{1,8}|[0-9]{1,10})", re.ASCII | re.IGNORECASE)
_UNKNOWN_NAME = re.compile(r"(?:MSG|STA)_\?([0-9]{1,10})", re.ASCII | re.IGNORECASE)
_ID_ALIKE = re.compile(r"[B8][S5]_?([0-9OILSZ]{3})")
_DIGITS = str.maketrans("OILSZ", "01152")
_SHOWN = 60
"""Characters of an unknown name that the error message repeats."""


@click.command("explain")
@click.argument("topic", metavar="NAME|CODE|FINDING|session")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "mermaid"]),
    default="text",
    show_default=True,
    help="Form of the output; mermaid draws the session.",
)
@click.option(
    "-o", "--output", type=options.TextOutput(), default="-", metavar="FILE",
    help="Write to FILE instead of standard output.",
)  # fmt: skip
@options.color
def command(topic: str, form: str, output: IO[str], color: ColorWish) -> None:
    """Explain a command, a status code, a finding, or the session.

    Names are taken in any case, with or without MSG_, STA_ and BLYNK_; numbers are decimal, or hexadecimal after 0x; a
    finding is its id (BS301) or its short name. `session` is the state machine that a stream goes through.
    """
    if topic.strip().lower() == "session":
        from blynkscope.render.machine import write_machine

        write_machine(output, form, color)
        return
    if form == "mermaid":
        raise click.UsageError("only the session can be drawn: blynkscope explain session --format mermaid")
    page = find_page(topic)
    if not (page.commands or page.statuses or page.findings):
        raise click.UsageError(_unknown(topic, page.number))
    write_page(output, form, page, color)


def find_page(topic: str) -> Page:
    """Everything that goes by this name or number; a page without rows if there is nothing."""
    asked = topic.strip()
    number = _number(asked)
    if number is not None:
        status = statuses.STATUSES.get(number)
        return Page(topic, number, commands.rows(number), [status] if status else [])
    wanted = asked.lower()
    rules = {rule.id: rule for rule in CATALOGUE.values() if wanted in {rule.id.lower(), rule.slug.lower()}}
    return Page(topic, None, commands.named(asked), statuses.named(asked), list(rules.values()))


def _number(asked: str) -> int | None:
    unnamed = _UNKNOWN_NAME.fullmatch(asked)
    if unnamed:
        return int(unnamed[1])
    if not _NUMBER.fullmatch(asked):
        return None
    return int(asked, 16) if asked[:2] in {"0x", "0X"} else int(asked)


def _unknown(topic: str, number: int | None) -> str:
    if number is not None:
        # The server treats what it does not know in two ways, so the page for an unknown number is this sentence.
        closes = " The server closes a device's connection when it reads such a command." if 100 <= number < 256 else ""
        return f"no command and no status has the number {number}.{closes}"
    shown = safe_line(topic.strip(), _SHOWN)
    near = _near(topic)
    hint = f" Did you mean {', '.join(near)}?" if near else " `blynkscope codes` lists all commands and statuses."
    return f"nothing is called {shown!r}.{hint}"


def _near(topic: str) -> list[str]:
    """Canonical names whose own spelling, or an alias of theirs, comes close; at most four, closest first."""
    names: dict[str, str] = {}
    tables: tuple[Any, ...] = (*commands.COMMANDS, *statuses.STATUSES.values())
    for row in tables:
        for name in (row.name, row.name.partition("_")[2], *row.aliases):
            names.setdefault(name, row.name)
    for rule in CATALOGUE.values():
        names.setdefault(rule.id.upper(), rule.id)
        names.setdefault(rule.slug.upper().replace("-", "_"), rule.slug)
    asked = topic.strip().upper().replace("-", "_").replace(" ", "_")[:_SHOWN]
    # Ids of findings differ in one digit from each other: letters that look like digits tell which one is meant.
    if alike := _ID_ALIKE.fullmatch(asked):
        name = "BS" + alike[1].translate(_DIGITS)
        if name in CATALOGUE:
            return [name]
    close = difflib.get_close_matches(asked, names, n=8, cutoff=0.6)
    return list(dict.fromkeys(names[name] for name in close))[:4]
