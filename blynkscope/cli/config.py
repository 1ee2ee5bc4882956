"""The configuration file: where it is, and what becomes of it before a command runs.

Every command passes here, most of the time without such a file: nothing is imported before there is one.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from blynkscope.cli.config_file import Configuration

FILE_NAME = "config.toml"
_KEY = "blynkscope.cli.config"
_SPARED = frozenset({"completion", "doctor", "man"})
"""Commands that run though the file has mistakes: these tell of them, or have nothing to do with options."""
HELP = frozenset({"-h", "--help"})


class Chosen:
    """The configuration of a run.

    Attributes:
        path: The file, whether it is there or not; None where none is to be read.
        named: The command line names it.
        read: Its content, once it was read; None where there is none or it has mistakes.
    """

    __slots__ = ("named", "path", "read", "told")

    def __init__(self, path: str | None, named: bool) -> None:
        self.path = path
        self.named = named
        self.read: Configuration | None = None
        self.told = False


def default_path() -> str | None:
    """Where the user's configuration file is, or would be; None for a user without a folder.

    It is never below the current folder: what lies beside a capture must not set options.
    """
    if sys.platform == "linux":
        # As platformdirs has it, whose import takes longer than all that is done with a file of usual length.
        base = os.environ.get("XDG_CONFIG_HOME", "").strip()
        if not os.path.isabs(base):
            base = os.path.expanduser("~/.config")
        folder = os.path.join(base, "blynkscope")
    else:
        import platformdirs

        folder = platformdirs.user_config_dir("blynkscope", appauthor=False)
    return os.path.join(folder, FILE_NAME) if os.path.isabs(folder) else None


def begin(ctx: click.Context, named: str | None, without: bool, *, helps: bool) -> None:
    """Set the options of the command that is about to run to what the file says.

    Args:
        ctx: That of the whole program.
        named: What `--config` names; "" for no file.
        without: `--no-config` was given.
        helps: Nothing but help is asked for: a file with mistakes does not keep anyone from that.

    Raises:
        ConfigError: The file has mistakes.
        UsageError: Both options were given.
    """
    if without and named:
        raise click.UsageError("--config and --no-config: choose one", ctx)
    path = None if without or named == "" else named or default_path()
    chosen = ctx.meta[_KEY] = Chosen(path, bool(named))
    if path is None or not (named or os.path.exists(path)):
        return
    from blynkscope.cli.config_file import ConfigError, Configuration

    name = ctx.invoked_subcommand
    command = ctx.command.get_command(ctx, name) if isinstance(ctx.command, click.Group) and name else None
    if name is None or command is None:
        return
    try:
        read = Configuration.read(path)
        ctx.default_map = {name: read.defaults(name, command)}
    except ConfigError:
        if helps or name in _SPARED:
            return
        raise
    chosen.read = read


def chosen_in(ctx: click.Context) -> Chosen:
    """The configuration of this run."""
    found = ctx.find_root().meta.get(_KEY)
    return found if isinstance(found, Chosen) else Chosen(default_path(), False)


def located(ctx: click.Context, error: click.UsageError) -> Exception:
    """The same mistake with its place, where the value comes from the file; and with the option that it set."""
    read = chosen_in(ctx).read
    return error if read is None else read.located(error)


def tell(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Callback of `--verbose`: says once that a file was read."""
    if value and not ctx.resilient_parsing:
        chosen = chosen_in(ctx)
        if chosen.read is not None and not chosen.told:
            from blynkscope.cli.notes import say

            chosen.told = True
            say(f"note: options are set by {chosen.path}")
    return value
