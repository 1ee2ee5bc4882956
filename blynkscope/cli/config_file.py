"""What a configuration file says: tables by the names of commands, whose keys are their long options.

[all]                       # for every command that has the option
color = "never"

[decode]
format = "tree"
stream = [1, 2]             # an option that may be repeated
findings = false            # --no-findings
verbose = 1                 # -v

[ca.show]                   # a command of a command
format = "json"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

import click

from blynkscope.cli.config_values import (
    WrongTypeError,
    every_command,
    is_confirmation,
    leaves,
    plain,
    settable,
    value_of,
)
from blynkscope.errors import BlynkscopeError

FILE_MAX = 64 * 1024
"""Bytes of a file: one that sets every option has 5 KiB."""
EVERYWHERE = "all"
"""The table whose options hold for all commands that have them."""
COMMON = (
    "color", "dialect", "era", "fail-on", "filter", "findings", "format", "keylog", "quiet", "show-secrets", "verbose",
)  # fmt: skip
"""What may be set for all commands. Others, like --output and --force, mean something else in each of them."""
_SHOWN = 40
"""Characters of a wrong key or value that a message repeats."""
_SYNTAX = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)

Path = tuple[str | int, ...]


class ConfigError(BlynkscopeError):
    """The configuration file has a mistake in it, or cannot be read.

    Args:
        message: What is wrong and what to do.
        path: The file.
        line: 1-based line; 0 where the mistake has no place.
        column: 1-based column in it, in characters.
    """

    exit_code = 2

    def __init__(self, message: str, path: str, line: int = 0, column: int = 0) -> None:
        place = f"{path}:{line}:{column}" if line else path
        super().__init__(f"{place}: {message}")
        self.message = message
        self.line = line
        self.column = column


class Setting(NamedTuple):
    """An option that the file sets: where it stands there, and as which key."""

    place: Path
    key: str


class Configuration:
    """A file that is TOML. What its tables say is judged where a command asks for its options.

    Args:
        path: Its name, for messages.
        text: Its text.

    Raises:
        ConfigError: It is no TOML.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        # As the parser counts lines.
        self._text = text.replace("\r\n", "\n")
        self._set: dict[tuple[tuple[str, ...], str], Setting] = {}
        """By the names of the command, and the parameter."""
        try:
            self._document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise self._syntax(error) from None
        except RecursionError:
            raise ConfigError("nested too deeply", path, 1, 1) from None
        except ValueError as error:  # a number of more digits than Python converts, a date that does not exist
            raise ConfigError(f"a value cannot be read: {error}", path, 1, 1) from None

    @classmethod
    def read(cls, path: str) -> Configuration:
        """Read a file.

        Raises:
            ConfigError: It cannot be read, or is no TOML.
        """
        try:
            with open(path, "rb") as file:
                data = file.read(FILE_MAX + 1)
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot be read: {getattr(error, 'strerror', None) or error}", path) from None
        if len(data) > FILE_MAX:
            raise ConfigError(f"longer than {FILE_MAX // 1024} KiB, so it is hardly a configuration", path)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = data[: error.start]
            column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
            raise ConfigError("not UTF-8: save it as UTF-8", path, before.count(b"\n") + 1, column) from None
        return cls(path, text)

    def defaults(self, name: str, command: click.Command) -> dict[str, Any]:
        """The options of a command, as click's `default_map` holds them.

        Raises:
            ConfigError: There are tables or keys that are not known, or values of a wrong type.
        """
        from blynkscope.cli import COMMANDS

        for section in self._document:
            if section != EVERYWHERE and section not in COMMANDS:
                self._no_section(section)
            # Of the tables of other commands this can be told without importing them.
            self._table((section,))
        for key in self._table((EVERYWHERE,)):
            if plain(key) not in COMMON:
                self._not_common(key)
        return self._of((name,), command)

    def check(self) -> int:
        """Judge all of it, values too; gives how many options are set.

        Raises:
            ConfigError: There is a mistake.
        """
        for name, command in every_command():
            made = self.defaults(name, command)
            for names, one in leaves((name,), command):
                found = made
                for sub in names[1:]:
                    found = found[sub]
                self._convert(names, one, found)
        for key, value in self._table((EVERYWHERE,)).items():
            self._known_somewhere(key, value)
        return len({setting.place for setting in self._set.values()})

    def secrets(self) -> list[str]:
        """Keys that are set and hold secrets."""
        return sorted({setting.key for setting in self._set.values()} & _SECRET)

    def located(self, error: click.UsageError) -> Exception:
        """The same mistake with its place, where the value comes from here."""
        if error.ctx is None:
            return error
        names = _names(error.ctx)
        param = getattr(error, "param", None)
        if isinstance(error, click.BadParameter) and param is not None and param.name is not None:
            setting = self._set.get((names, param.name))
            if setting is not None and _from_file(error.ctx, param.name):
                return self._error(f"{setting.key}: {error.message}", setting.place, value=True)
            return error
        used = [s.key for (of, name), s in self._set.items() if of == names and _from_file(error.ctx, name)]
        if used and not isinstance(error, click.NoSuchOption):
            about = f"{self.path} sets {', '.join(sorted(used))}; --no-config leaves it out"
            return click.UsageError(f"{error.message} ({about})", error.ctx)
        return error

    # --- tables ---

    def _table(self, path: Path) -> dict[str, Any]:
        found: Any = self._document
        for key in path:
            found = found.get(key, {})
            if not isinstance(found, dict):
                dotted = ".".join(map(str, path))
                self._fail(f"{dotted} is a table: begin it with [{dotted}]", path, value=True)
        return dict(found)

    def _of(self, names: tuple[str, ...], command: click.Command) -> dict[str, Any]:
        table = self._table(names)
        if isinstance(command, click.Group):
            for key in table:
                if key not in command.commands:
                    known = ", ".join(f"[{'.'.join(names)}.{one}]" for one in command.commands)
                    self._fail(f'no command "{_short(key)}" in [{".".join(names)}]; tables are {known}', (*names, key))
            return {key: self._of((*names, key), one) for key, one in command.commands.items()}
        options = settable(command)
        made: dict[str, Any] = {}
        for key, value in self._table((EVERYWHERE,)).items():
            option = options.get(plain(key))
            if option is None:
                continue
            place: Path = (EVERYWHERE, key)
            one = self._value(place, option, value)
            if isinstance(option.type, click.Choice) and one not in option.type.choices:
                self._known_somewhere(key, value)
                continue
            self._keep(made, names, option, one, place)
        for key, value in table.items():
            option = options.get(plain(key))
            if option is None:
                self._no_option(names, key, options)
            place = (*names, key)
            self._keep(made, names, option, self._value(place, option, value), place)
        return made

    def _keep(
        self, made: dict[str, Any], names: tuple[str, ...], option: click.Option, value: Any, place: Path
    ) -> None:
        assert option.name is not None
        made[option.name] = value
        self._set[names, option.name] = Setting(place, plain(str(place[-1])))

    def _value(self, place: Path, option: click.Option, value: Any) -> Any:
        try:
            return value_of(option, value)
        except WrongTypeError as error:
            key = next(plain(one) for one in reversed(place) if isinstance(one, str))
            self._fail(f"{key}: {error.expected} is expected, not {error.found}", (*place, *error.inside), value=True)

    def _convert(self, names: tuple[str, ...], command: click.Command, found: dict[str, Any]) -> None:
        """Read the values of a command as it would itself, but open nothing."""
        context = click.Context(command, info_name=names[-1], resilient_parsing=True)
        for option in settable(command).values():
            if option.name not in found or isinstance(option.type, click.File):
                continue
            setting = self._set[names, option.name]
            try:
                option.type_cast_value(context, found[option.name])
            except click.BadParameter as error:
                self._fail(f"{setting.key}: {error.message}", setting.place, value=True)

    def _known_somewhere(self, key: str, value: Any) -> None:
        """A word in [all] that this command does not know has to be one of another command.

        Raises:
            ConfigError: It is none of any.
        """
        words: dict[str, None] = {}
        for name, command in every_command():
            for _, one in leaves((name,), command):
                option = settable(one).get(plain(key))
                if option is not None:
                    if not isinstance(option.type, click.Choice):
                        return
                    words.update(dict.fromkeys(map(str, option.type.choices)))
        if value not in words:
            self._fail(f'{plain(key)}: "{_short(value)}" is none of {", ".join(words)}', (EVERYWHERE, key), value=True)

    # --- mistakes ---

    def _no_section(self, section: str) -> NoReturn:
        from blynkscope.cli import COMMANDS

        known = (EVERYWHERE, *COMMANDS)
        if not isinstance(self._document[section], dict):
            self._fail(f'"{_short(section)}" stands in no table: begin with [{EVERYWHERE}] or a command', (section,))
        hint = _near(section, known) or f"; known are {', '.join(known)}"
        self._fail(f'no command "{_short(section)}"{hint}', (section,))

    def _not_common(self, key: str) -> NoReturn:
        self._no_confirmation((EVERYWHERE, key))
        known = {name for _, command in every_command() for _, one in leaves((), command) for name in settable(one)}
        if plain(key) in known:
            said = f'"{plain(key)}" cannot be set for all commands: put it under the command that it is for'
        else:
            said = f'unknown option "{_short(key)}" in [{EVERYWHERE}]' + (
                _near(key, COMMON) or f"; known are {', '.join(COMMON)}"
            )
        self._fail(said, (EVERYWHERE, key))

    def _no_confirmation(self, place: Path) -> None:
        """Say why a guard is not to be turned off here.

        Raises:
            ConfigError: The key would do so.
        """
        key = plain(str(place[-1]))
        if is_confirmation(key):
            self._fail(
                f"{_short(key)} cannot be set here: it confirms one run, and set for good it would turn a guard off "
                f"without anyone being asked; give --{_short(key)} on the command line where it is meant",
                place,
            )

    def _no_option(self, names: tuple[str, ...], key: str, options: dict[str, click.Option]) -> NoReturn:
        self._no_confirmation((*names, key))
        about = f'unknown option "{_short(key)}" in [{".".join(names)}]'
        positive = plain(key).removeprefix("no-")
        if positive != plain(key) and positive in options:
            self._fail(f"{about}: write {positive} = false", (*names, key))
        known = f"; known are {', '.join(options)}" if options else ": it has none"
        self._fail(about + (_near(key, options) or known), (*names, key))

    def _fail(self, message: str, place: Path, *, value: bool = False) -> NoReturn:
        raise self._error(message, place, value=value)

    def _error(self, message: str, place: Path, *, value: bool = False) -> ConfigError:
        from blynkscope.faults.places import Places

        try:
            places = Places(self._text)
        except RecursionError:
            return ConfigError(message, self.path, 1, 1)
        return ConfigError(message, self.path, *(places.value(place) if value else places.key(place)))

    def _syntax(self, error: tomllib.TOMLDecodeError) -> ConfigError:
        found = _SYNTAX.fullmatch(str(error))
        if found is None:
            return ConfigError(f"no TOML: {error}", self.path, 1, 1)
        reason = found[1][:1].lower() + found[1][1:]
        if found[2]:
            return ConfigError(f"no TOML: {reason}", self.path, int(found[2]), int(found[3]))
        lines = self._text.split("\n")
        return ConfigError(f"no TOML: {reason} at the end", self.path, len(lines), len(lines[-1]) + 1)


_SECRET = frozenset({"token", "wpa", "password", "account", "admin"})
"""Keys whose values nobody else should read."""


def _names(ctx: click.Context) -> tuple[str, ...]:
    """The names of a command below the program's own."""
    names: list[str] = []
    at: click.Context | None = ctx
    while at is not None and at.parent is not None:
        names.insert(0, at.info_name or "")
        at = at.parent
    return tuple(names)


def _from_file(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.DEFAULT_MAP


def _short(text: object) -> str:
    one = str(text)
    return one if len(one) <= _SHOWN else one[:_SHOWN] + "…"


def _near(word: str, known: Iterable[str]) -> str:
    found = get_close_matches(plain(word)[:_SHOWN].lower(), sorted(known), n=1)
    return f' (did you mean "{found[0]}"?)' if found else ""
