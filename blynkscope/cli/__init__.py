"""The command line: one file a command, imported when it is asked for."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from blynkscope import __version__
from blynkscope.cli import config
from blynkscope.errors import BlynkscopeError, EnvironmentProblem, FilterError
from blynkscope.render.glyphs import missing_glyphs, suit

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "decode": ("blynkscope.cli.decode", "Read captures: annotated frames and findings."),
    "live": ("blynkscope.cli.live", "Sniff behind a network interface: the same, as it happens."),
    "proxy": ("blynkscope.cli.proxy", "Sit between a device and its server: show, hold, change, break frames."),
    "serve": ("blynkscope.cli.serve", "A reference server: it behaves, or misbehaves on demand."),
    "replay": ("blynkscope.cli.replay", "Play the device or the server of a capture, and compare the answers."),
    "probe": ("blynkscope.cli.probe", "What a server speaks and accepts: DNS, TCP, TLS, certificate, login."),
    "hexdump": ("blynkscope.cli.hexdump", "Take pasted bytes apart, field by field."),
    "redact": ("blynkscope.cli.redact", "Write a capture or log for sharing, without its secrets."),
    "wireshark": ("blynkscope.cli.wireshark", "Write a dissector for Wireshark and tshark."),
    "ca": ("blynkscope.cli.ca", "The certificate authority of the proxy, for firmware that is to trust it."),
    "codes": ("blynkscope.cli.codes", "List the commands and status codes of the protocol."),
    "explain": ("blynkscope.cli.explain", "A page on a command, a status, a number or a finding."),
    "filters": ("blynkscope.cli.filters", "The keys and words of filter expressions."),
    "doctor": ("blynkscope.cli.doctor", "What this machine lacks for which command, and how to mend it."),
    "completion": ("blynkscope.cli.completion", "Completion of commands and options in bash, zsh and fish."),
    "man": ("blynkscope.cli.man", "Man pages of all commands."),
}
"""Commands by name: the module that has them as `command`, and what `--help` says of them."""

FOUND, CUT_SHORT, INTERRUPTED = 1, 3, 130
_HELPS = "blynkscope.cli.helps"
"""Is help asked for, of whatever command?"""


class _Commands(click.Group):
    """Commands that are imported only when they run, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = import_module(entry[0]).command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options in front of the command."""
        ctx.meta[_HELPS] = not config.HELP.isdisjoint(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a name that is nearly one gets a hint."""
        try:
            name, command, rest = super().resolve_command(ctx, args)
            if ctx.resilient_parsing and name is not None and command is not None:
                from blynkscope.cli.completion import equip

                equip(name, command)
            return name, command, rest
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(error.message + hint, ctx) from None

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the options; `--help` and `--version` are printed here."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:
            _discard_output()
            raise click.exceptions.Exit(0) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. What becomes of an output that cannot be written is settled here, before click does it."""
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader (`| head`) has what it wanted.
            _discard_output()
            return 0
        except OSError as error:
            _discard_output()
            raise EnvironmentProblem(f"cannot write the output: {error.strerror or error}") from error
        except click.UsageError as error:
            placed = config.located(ctx, error)
            if placed is error:
                raise
            raise placed from error
        return status

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, without importing them, and options."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Where options can be set for good."""
        path = config.default_path()
        if path is not None:
            formatter.write_paragraph()
            formatter.write_text("Options can be set for good in a TOML file, under [decode], [live] … or [all]:")
            with formatter.indentation():
                formatter.write(f"{'':>{formatter.current_indent}}{path}\n")
            formatter.write_text(
                "What stands under [all] holds for the commands that have the option and take the value; others go on "
                "as without it. A command judges the values that it takes itself, doctor those of all."
            )


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="blynkscope %(version)s")
@click.option(
    "--config", "config_", type=click.Path(), metavar="FILE",
    help="Read options from this file, not from your own; '' for none.",
)  # fmt: skip
@click.option("--no-config", is_flag=True, help="Read no file of options.")
@click.pass_context
def cli(ctx: click.Context, config_: str | None, no_config: bool) -> None:
    """What a Blynk device and its server say to each other, what it means, and what went wrong.

    Exit status: 0 done, 1 findings at or above --fail-on, 2 usage, 3 input unreadable or cut short, 4 something is
    missing on this machine, 130 interrupted.
    """
    config.begin(ctx, config_, no_config, helps=bool(ctx.meta.get(_HELPS)))


def _discard_output() -> None:
    """Nothing that is still buffered may be written when the interpreter ends: it would fail again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complete_streams() -> None:
    """A program may be started with standard streams that are closed; Python has None for them then."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the end
    # Whatever writes to them, notes and `--help` too: what the encoding of the terminal lacks must not end the program.
    for stream in (sys.stdout, sys.stderr):
        if missing_glyphs(stream):
            suit(stream)


def _explain(error: BlynkscopeError) -> str:
    from blynkscope.render.safe import safe

    lines = [f"Error: {safe(str(error))}"]
    if isinstance(error, FilterError):
        from blynkscope.analysis.filters import point_at

        lines = ["Error: the filter does not parse:", *(safe(line) for line in point_at(error).splitlines())]
    return "\n".join(lines)


def _tell(how: Callable[[], object]) -> None:
    """Say something on standard error; where nobody can hear it, the exit status says it."""
    with contextlib.suppress(OSError):
        how()


def main(arguments: list[str] | None = None) -> None:
    """The console script: runs a command and ends the process with its exit status."""
    _complete_streams()
    try:
        status: Any = cli.main(args=arguments, prog_name="blynkscope", standalone_mode=False)
    except click.ClickException as error:
        _tell(error.show)
        status = error.exit_code
    except BlynkscopeError as error:
        text = _explain(error)
        _tell(lambda: click.echo(text, err=True))
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _tell(lambda: click.echo("interrupted", err=True))
        status = INTERRUPTED
    sys.exit(status if isinstance(status, int) else 0)
