"""The options of commands, and what stands for their values in TOML."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"), (int, "a number"), (float, "a number"), (str, "a text"), (list, "a list"),
    (dict, "a table"),
)  # fmt: skip


class WrongTypeError(ValueError):
    """A value is of another type than its option.

    Args:
        expected: What would be right, in words.
        value: What is there.
        inside: Where in a list, as indexes.
    """

    def __init__(self, expected: str, value: Any, inside: tuple[int, ...]) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = next((words for one, words in _KINDS if isinstance(value, one)), "a date")
        self.inside = inside


def plain(key: str) -> str:
    """A key as options are written: dashes, no underscores."""
    return key.replace("_", "-")


CONFIRMATIONS = frozenset({"yes", "force", "insecure"})
"""Options by which somebody says that a guard is to be passed over, this one time: no file says it for good."""


def is_confirmation(key: str) -> bool:
    """Is a key, with or without `no-`, one of `CONFIRMATIONS`?"""
    return plain(key).removeprefix("no-") in CONFIRMATIONS


def settable(command: click.Command) -> dict[str, click.Option]:
    """The options of a command that a file may set, by their keys: long names without dashes, else short ones.

    Confirmations are none of them.
    """
    found: dict[str, click.Option] = {}
    for param in command.params:
        if isinstance(param, click.Option) and param.expose_value and not param.is_eager:
            names = [name for name in param.opts if name.startswith("--")] or param.opts
            found.update((key, param) for name in names if (key := name.lstrip("-")) not in CONFIRMATIONS)
    return found


def every_command() -> Iterator[tuple[str, click.Command]]:
    """All commands by name; they are imported."""
    from blynkscope.cli import COMMANDS

    for name, (module, _) in COMMANDS.items():
        yield name, import_module(module).command


def leaves(names: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The commands below a command, or it alone, with their names."""
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from leaves((*names, name), one)
    else:
        yield names, command


def value_of(option: click.Option, value: Any) -> Any:
    """A value of TOML as click takes it in place of what the command line would give.

    An option that may be repeated takes a list, or one value.

    Raises:
        WrongTypeError: It is of another type.
    """
    many, size = option.multiple, option.nargs
    if many:
        each = value if isinstance(value, list) and not (size > 1 and _is_one(value)) else [value]
        return [_one(option, one, (place,) if each is value else ()) for place, one in enumerate(each)]
    return _one(option, value, ())


def _is_one(value: list[Any]) -> bool:
    return not any(isinstance(part, list) for part in value)


def _one(option: click.Option, value: Any, inside: tuple[int, ...]) -> Any:
    if option.nargs == 1:
        return _single(option, value, inside)
    if not isinstance(value, list) or len(value) != option.nargs:
        raise WrongTypeError(f"a list of {option.nargs}", value, inside)
    return [_single(option, part, (*inside, place)) for place, part in enumerate(value)]


def _single(option: click.Option, value: Any, inside: tuple[int, ...]) -> Any:
    kind = option.type
    number = isinstance(value, int) and not isinstance(value, bool)
    if option.is_flag and not isinstance(kind, click.types.BoolParamType):
        if not isinstance(value, bool):
            raise WrongTypeError("true or false", value, inside)
        return option.flag_value if value else None  # one of several flags for the same thing
    if option.count or isinstance(kind, click.IntRange) or kind is click.INT:
        if not number:
            raise WrongTypeError("a whole number", value, inside)
    elif isinstance(kind, click.FloatRange) or kind is click.FLOAT:
        if not number and not isinstance(value, float):
            raise WrongTypeError("a number", value, inside)
    elif isinstance(kind, click.types.BoolParamType):
        if not isinstance(value, bool):
            raise WrongTypeError("true or false", value, inside)
    elif isinstance(kind, (click.Choice, click.Path, click.File)) or kind is click.STRING:
        if not isinstance(value, str):
            raise WrongTypeError("a text", value, inside)
        if isinstance(kind, (click.Path, click.File)) and value.startswith("~"):
            return os.path.expanduser(value)  # as the shell does on the command line
    elif number or isinstance(value, float):
        return str(value)  # a time, a size, a port: what the option reads by itself
    elif not isinstance(value, str):
        raise WrongTypeError("a text or a number", value, inside)
    return value
