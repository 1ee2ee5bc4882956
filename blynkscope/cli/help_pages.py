"""From click's help to manual pages in roff, with the man macros that groff, mandoc and every other formatter have."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib import import_module

import click

from blynkscope import __version__
from blynkscope.cli import COMMANDS, cli

PROGRAM = "blynkscope"

_SPELLED = {
    "\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq",
}  # fmt: skip
"""Characters that a formatter would take for its own, or turn into typographic ones; options are copied from pages."""
_CODE = re.compile(r"`([^`\n]++)`")
_OPTION = re.compile(r"(?<![\w-])(--?[a-z][\w-]*+)")

_EXITS = (
    ("0", "Done."),
    ("1", "Findings at or above --fail-on, or answers that differ; what the page says of its command goes first."),
    ("2", "Wrong usage: an option, a filter, a rules file, or the configuration file."),
    ("3", "An input cannot be read, or is cut short; what could be read was still printed."),
    ("4", "Something is missing on this machine: a program, a permission, a port; or a file cannot be written."),
    ("130", "Interrupted."),
)  # fmt: skip
_FILES = (
    (
        "$XDG_CONFIG_HOME/blynkscope/config.toml",
        "Options that are set for good, in TOML: under [decode] those of a command, under [all] those that many"
        ' commands have, by their long names without dashes: format = "tree", stream = [1, 2], findings = false,'
        " verbose = 1. What is under [all] holds for the commands that have the option and take the value; others go on"
        " as without it. A command judges the values that it takes itself, blynkscope-doctor(1) those of all. The"
        " command line goes before the file. `blynkscope --help` names the file on this system; --config, in front of"
        " the command, names another one.",
    ),
    ("$XDG_CONFIG_HOME/blynkscope/ca/", "The certificate authority of the proxy, with its key."),
)  # fmt: skip
_VARIABLES = {
    "XDG_CONFIG_HOME": "The folder of configuration files; ~/.config without it.",
    "SSLKEYLOGFILE": "The TLS key log that is used where --keylog names none.",
    "NO_COLOR": "Where it is set, no colours are used, unless --color always is given.",
    "COLUMNS": "Width of tables, in place of the terminal's.",
}
_OF_OPTIONS = {"SSLKEYLOGFILE": "keylog", "NO_COLOR": "color", "COLUMNS": "color"}
"""Variables that only commands with a certain parameter obey."""


def file_name(name: str | None) -> str:
    """The name of a page's file: `blynkscope-decode.1`, `blynkscope.1` for None."""
    return f"{_title(name)}.1"


def page(name: str | None) -> str:
    """A page in roff, in ASCII.

    Args:
        name: The command; None for the program itself.
    """
    if name is None:
        return "\n".join([*_program(), ""])
    command: click.Command = import_module(COMMANDS[name][0]).command
    return "\n".join([*_command(name, command), ""])


def _title(name: str | None) -> str:
    return f"{PROGRAM}-{name}" if name else PROGRAM


def _program() -> Iterator[str]:
    ctx = click.Context(cli, info_name=PROGRAM, **cli.context_settings)
    yield from _head(None, "wire analysis and debugging for the Blynk IoT protocol")
    yield ".SH SYNOPSIS"
    yield from _usage(ctx)
    # Its help ends with the exit statuses, which have a section of their own here.
    yield ".SH DESCRIPTION"
    yield from _paragraphs((cli.help or "").partition("Exit status:")[0])
    yield from _options(ctx)
    yield ".SH COMMANDS"
    for name, (_, text) in COMMANDS.items():
        yield from _entry(rf"\fB{_escaped(_title(name))}\fR(1)", text)
    yield from _tail(None, set(_VARIABLES))


def _command(name: str, command: click.Command) -> Iterator[str]:
    parent = click.Context(cli, info_name=PROGRAM, **cli.context_settings)
    ctx = click.Context(command, info_name=name, parent=parent)
    subs = list(command.commands.items()) if isinstance(command, click.Group) else []
    contexts = [click.Context(one, info_name=sub, parent=ctx) for sub, one in subs]
    yield from _head(name, COMMANDS[name][1])
    yield ".SH SYNOPSIS"
    for place, one in enumerate(contexts or [ctx]):
        if place:
            yield ".br"
        yield from _usage(one)
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    yield from _options(ctx)
    if contexts:
        yield ".SH COMMANDS"
    for one in contexts:
        yield f".SS {_escaped(one.command_path)}"
        yield from _paragraphs(one.command.help or "")
        for record in _records(one):
            yield from _entry(*record)
    known = {param.name for one in (contexts or [ctx]) for param in one.command.params}
    yield from _tail(name, {one for one in _VARIABLES if _OF_OPTIONS.get(one) is None or _OF_OPTIONS[one] in known})


def _head(name: str | None, summary: str) -> Iterator[str]:
    yield r".\" Made by `blynkscope man`."
    yield f'.TH "{_escaped(_title(name).upper())}" "1" "{_date()}" "{PROGRAM} {_escaped(__version__)}" "{PROGRAM}"'
    yield ".SH NAME"
    yield rf"{_escaped(_title(name))} \- {_escaped(summary.rstrip('.'))}"


def _date() -> str:
    """Today; for builds that are to be repeated, the day that SOURCE_DATE_EPOCH names."""
    named = os.environ.get("SOURCE_DATE_EPOCH", "")
    return f"{datetime.fromtimestamp(int(named) if named.isdecimal() else time.time(), UTC):%Y-%m-%d}"


def _usage(ctx: click.Context) -> Iterator[str]:
    pieces = " ".join(ctx.command.collect_usage_pieces(ctx))
    yield rf"\fB{_escaped(ctx.command_path)}\fR {_escaped(pieces)}"


def _paragraphs(text: str) -> Iterator[str]:
    for place, paragraph in enumerate(one for one in text.strip().split("\n\n") if one.strip()):
        if place:
            yield ".PP"
        kept = paragraph.startswith("\b")  # click's mark for lines that stay as they are
        lines = paragraph.removeprefix("\b").strip("\n").split("\n")
        if kept:
            yield from (".nf", *(_line(_escaped(line)) for line in lines), ".fi")
        else:
            yield _line(_marked(" ".join(line.strip() for line in lines)))


def _options(ctx: click.Context) -> Iterator[str]:
    yield ".SH OPTIONS"
    for record in _records(ctx):
        yield from _entry(*record)


def _records(ctx: click.Context) -> Iterator[tuple[str, str]]:
    """The options as `--help` lists them: names, set, and what they do."""
    for param in ctx.command.get_params(ctx):
        record = param.get_help_record(ctx)
        # Newer versions of click list arguments too; without a text, what they are stands in the description.
        if record is not None and (record[1] or isinstance(param, click.Option)):
            names = _OPTION.sub(lambda match: f"\0{match[1]}\1", record[0])
            yield _escaped(names).replace("\0", r"\fB").replace("\1", r"\fR"), record[1]


def _entry(tag: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield _line(tag)
    yield _line(_marked(" ".join(text.split()))) if text.strip() else r"\&"


def _tail(name: str | None, variables: Iterable[str]) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, text in _EXITS:
        yield from _entry(rf"\fB{code}\fR", text)
    yield ".SH FILES"
    for path, text in _FILES:
        yield from _entry(rf"\fI{_escaped(path)}\fR", text)
    yield ".SH ENVIRONMENT"
    for variable, text in _VARIABLES.items():
        if variable in variables:
            yield from _entry(rf"\fB{variable}\fR", text)
    yield ".SH SEE ALSO"
    others = [one for one in (None, *COMMANDS) if one != name]
    last = len(others) - 1
    for place, one in enumerate(others):
        yield f".BR {_escaped(_title(one))} (1){',' if place < last else ''}"


def _marked(text: str) -> str:
    """Text with what stands between backticks, and options, in bold."""
    parts = _CODE.split(text)
    return "".join(rf"\fB{_escaped(part)}\fR" if place % 2 else _bold_options(part) for place, part in enumerate(parts))


def _bold_options(text: str) -> str:
    parts = _OPTION.split(text)
    return "".join(rf"\fB{_escaped(part)}\fR" if place % 2 else _escaped(part) for place, part in enumerate(parts))


def _escaped(text: str) -> str:
    """Text that a formatter prints as it is, in ASCII; it must not stand at the beginning of a line by itself."""
    return "".join(_SPELLED.get(char) or (char if char.isascii() else f"\\[u{ord(char):04X}]") for char in text)


def _line(text: str) -> str:
    """A line whose first character is none of a request."""
    return rf"\&{text}" if text.startswith((".", "'")) else text
