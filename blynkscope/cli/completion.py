"""`blynkscope completion`: what a shell needs to complete commands, options and values.

The shell runs `blynkscope` again at each press of the key, with a variable that tells it to print what could come next.
Then only the one command that stands on the line is imported, and for some values the table that they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PROGRAM = "blynkscope"
VARIABLE = "_BLYNKSCOPE_COMPLETE"
"""The variable that click looks for, made of the name of the program."""

_HOW = {
    "bash": (
        "For this shell:       source <(blynkscope completion bash)",
        "For all from now on:  blynkscope completion bash > ~/.local/share/bash-completion/completions/blynkscope",
        "                      (with the package bash-completion; make the folder where it is missing)",
        "                      or add the first line to ~/.bashrc. bash 4.4 or newer is needed.",
    ),
    "zsh": (
        "For this shell:       source <(blynkscope completion zsh)     (after: autoload -Uz compinit && compinit)",
        "For all from now on:  blynkscope completion zsh > FOLDER/_blynkscope",
        "                      with a FOLDER of $fpath, like ~/.zfunc after: fpath+=~/.zfunc, before compinit",
    ),
    "fish": (
        "For this shell:       blynkscope completion fish | source",
        "For all from now on:  blynkscope completion fish > ~/.config/fish/completions/blynkscope.fish",
    ),
}
"""How to install the script, by shell."""

_JOINED: dict[str, tuple[tuple[str, str], ...]] = {
    "bash": (
        ("    local response\n", """    local response
    local words=('') at count=0 cword=0

    # bash makes three words of --option=value.
    for at in "${!COMP_WORDS[@]}"; do
        local last=${words[count-1]-} word=${COMP_WORDS[at]}
        if (( at )) && [[ ( $last == --*= && ${COMP_WORDS[at-1]} == "=" ) ||
            ( $last == --* && $last != *=* && $word == "=" ) ]]; then
            words[count-1]+=$word
        else
            words[count++]=$word
        fi
        (( at == COMP_CWORD )) && cword=$(( count - 1 ))
    done
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$cword
"""),
    ),
    "zsh": (
        ("    local -a response\n", """    local -a response

    # What is completed of --option=value is the value.
    local before=
    if [[ $PREFIX == --*=* ]]; then
        before=${PREFIX%%=*}=
        compset -P 1 '*='
    fi
"""),
        ("completions_with_descriptions -U\n", "completions_with_descriptions -U -P \"$before\"\n"),
        ("compadd -U -V", "compadd -U -P \"$before\" -V"),
    ),
    "fish": (
        ("    for completion in $response;\n", """    # What is offered for --option=value is the whole of it.
    set -l before (string match --regex -- '^--[^=]+=' (commandline -t));

    for completion in $response;
"""),
        ("__fish_complete_directories $metadata[2];", "__fish_complete_directories $metadata[2] | "
         "string replace --regex -- '^' \"$before\";"),
        ("__fish_complete_path $metadata[2];", "__fish_complete_path $metadata[2] | "
         "string replace --regex -- '^' \"$before\";"),
        ("echo $metadata[2];", "echo \"$before$metadata[2]\";"),
    ),
}  # fmt: skip
"""By shell, what click's script has and what is to be there, so that `--option=value` is completed like two words."""


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_HOW)))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    It completes commands, options, their values, and the names that `explain` and --scenario know. The script begins
    with how to install it; for a try: source <(blynkscope completion bash).
    """
    click.echo(script(shell), nl=False)


def script(shell: str) -> str:
    """The script for a shell, one of bash, zsh and fish, with a comment that says how to install it."""
    from click.shell_completion import ShellComplete, get_completion_class

    from blynkscope.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None
    # The class for bash asks the bash of this machine for its version; the script may be for another one.
    text = ShellComplete.source(kind(cli, {}, PROGRAM, VARIABLE))
    for usual, ours in _JOINED[shell]:
        assert text.count(usual) == 1, f"the script of click for {shell} is another one"
        text = text.replace(usual, ours)
    comment = "".join(f"# {line}\n" for line in (f"Completion of {PROGRAM}, made by itself.", *_HOW[shell]))
    first, _, rest = text.partition("\n")
    # zsh knows a file of completions by its first line.
    return f"{first}\n{comment}{rest}" if first.startswith("#compdef") else comment + text


# --- what comes next --------------------------------------------------------------------------------------------------


def _files(incomplete: str) -> Iterable[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def _topics(incomplete: str) -> Iterable[CompletionItem]:
    """What `explain` has a page for, written as the beginning is: `bs3`, `MSG_`, `hard`."""
    from blynkscope.analysis.catalogue import CATALOGUE
    from blynkscope.protocol.commands import COMMANDS
    from blynkscope.protocol.statuses import STATUSES

    about: dict[str, str] = {"session": "The state machine that a stream goes through."}
    for row in COMMANDS:
        about.setdefault(row.name, _sentence(row.doc))
    for status in STATUSES.values():
        about.setdefault(status.name, _sentence(status.doc))
    for rule in CATALOGUE.values():
        about.setdefault(rule.id, rule.title)
    short = {name.partition("_")[2]: text for name, text in about.items() if name.startswith(("MSG_", "STA_"))}
    slugs = {rule.slug: rule.title for rule in CATALOGUE.values()}
    # Without a beginning the names alone: the other spellings are found by who types them.
    shown = about if not incomplete else {**slugs, **short, **about}
    return _matching(shown, incomplete)


def _scenarios(incomplete: str) -> Iterable[CompletionItem]:
    from blynkscope.faults.shipped import SCENARIOS

    more = {"list": "Name them all.", "help": "What rules may say."}
    shown = {f"show:{name}": f"Print {name}." for name in SCENARIOS} if incomplete.startswith("s") else {}
    return _matching({**SCENARIOS, **more, **shown}, incomplete)


def _commands(incomplete: str) -> Iterable[CompletionItem]:
    from blynkscope.cli import COMMANDS

    return _matching({name: text for name, (_, text) in COMMANDS.items()}, incomplete)


def _interfaces(incomplete: str) -> Iterable[CompletionItem]:
    from blynkscope.sources.live.interfaces import interfaces

    return _matching({one.name: ", ".join(one.addresses) for one in interfaces()}, incomplete)


def _sentence(text: str) -> str:
    """The first one."""
    return " ".join(text.split()).partition(". ")[0]


def _matching(named: dict[str, str], incomplete: str) -> list[CompletionItem]:
    """Names with this beginning, in any case, as the user has begun to write them."""
    from click.shell_completion import CompletionItem

    lower = incomplete.lower()
    low = bool(incomplete) and incomplete == lower
    return [
        CompletionItem(name.lower() if low else name, help=" ".join(text.split()) or None)
        for name, text in named.items()
        if name.lower().startswith(lower)
    ]


_VALUES: dict[tuple[str, str], Callable[[str], Iterable[CompletionItem]]] = {
    ("decode", "files"): _files,
    ("explain", "topic"): _topics,
    ("hexdump", "source"): _files,
    ("live", "wanted"): _interfaces,
    ("man", "name"): _commands,
    ("probe", "suites"): _files,
    ("redact", "source"): _files,
    ("replay", "capture"): _files,
}
"""What completes a parameter, by the names of the command and the parameter."""
_ANYWHERE: dict[str, Callable[[str], Iterable[CompletionItem]]] = {"scenario": _scenarios}
"""The same for parameters that mean the same in all commands."""


def equip(name: str, command: click.Command) -> None:
    """Teach the parameters of a command what completes them, where their type does not tell.

    Only the completion does so: nothing of it is imported where a command runs.
    """
    if isinstance(command, click.Group):
        _name_commands(command)
    for param in command.params:
        values = _VALUES.get((name, param.name or "")) or _ANYWHERE.get(param.name or "")
        if values is not None:
            param.shell_complete = _completer(values)  # type: ignore[method-assign,assignment]


def _name_commands(group: click.Group) -> None:
    """A group that stands for one of its commands where none is named: here the others are to be offered."""
    usual = group.parse_args

    def parse(ctx: click.Context, args: list[str]) -> list[str]:
        return usual(ctx, args) if args else click.Group.parse_args(group, ctx, args)

    group.parse_args = parse  # type: ignore[method-assign]


def _completer(
    values: Callable[[str], Iterable[CompletionItem]],
) -> Callable[[click.Context, str], list[CompletionItem]]:
    def complete(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        with suppress(Exception):  # a line of the shell is no place for a traceback
            return list(values(incomplete))
        return []

    return complete
