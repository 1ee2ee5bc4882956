"""Completion, by the shells themselves: what a person gets who presses the key."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pexpect
import pytest

from blynkscope.cli import COMMANDS
from blynkscope.cli.completion import VARIABLE, script
from blynkscope.faults import SCENARIOS

SHELLS = ("bash", "zsh", "fish")


def needing(shell):
    return pytest.param(shell, marks=pytest.mark.program(shell))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with captures, and `blynkscope` in the search path."""
    top = tmp_path_factory.mktemp("completion")
    (top / "bin").mkdir()
    program = top / "bin" / "blynkscope"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m blynkscope "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (top / "work").mkdir()
    for name in ("one.pcap", "other.pcapng", "a log.txt"):
        (top / "work" / name).touch()
    (top / "work" / "sub").mkdir()
    (top / "work" / "sub" / "inner.db").touch()
    for shell in SHELLS:
        (top / shell).write_text(script(shell), encoding="utf-8")
    return top


def environment(place):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", VARIABLE))}
    return {
        **kept, "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "HOME": str(place), "XDG_CONFIG_HOME": str(place),
        "TERM": "dumb", "PYTHONPATH": str(Path(__file__).parent.parent.parent),
    }  # fmt: skip


def asked(place, line, shell="bash"):
    """What the program prints for a line whose last word is to be completed."""
    words = line.split(" ")
    more = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), VARIABLE: f"{shell}_complete"}
    done = subprocess.run(
        [sys.executable, "-m", "blynkscope"], env={**environment(place), **more}, cwd=place / "work", check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.removesuffix("\n").split("\n") if done.stdout.strip() else []


def in_bash(place, line):
    """What bash offers: its own function is called as the key calls it."""
    code = f"""
        shopt -s progcomp
        complete() {{ builtin complete "$@"; }}
        compopt() {{ echo "OPTION $*"; }}
        source "{place / "bash"}"
        COMP_LINE={line!r} COMP_WORDS=({line}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('') && COMP_CWORD=$((COMP_CWORD + 1))
        _blynkscope_completion blynkscope
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", code], env=environment(place), cwd=place / "work", check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


CASES = [
    ("blynkscope de", ["decode"]),
    ("blynkscope --con", ["--config"]),
    ("blynkscope decode --fil", ["--filter"]),
    ("blynkscope decode --format t", ["table", "tree"]),
    ("blynkscope decode --fail-on ", ["note", "warning", "error"]),
    ("blynkscope --no-config decode --engine n", ["native"]),
    ("blynkscope codes f", ["findings"]),
    ("blynkscope ca r", ["renew"]),
    ("blynkscope ca ", ["export", "path", "renew", "show"]),
    ("blynkscope ca export --format d", ["der"]),
    ("blynkscope explain BS301", ["BS301"]),
    ("blynkscope explain bs301", ["bs301"]),
    ("blynkscope explain unack", ["unacknowledged-write"]),
    ("blynkscope explain MSG_HW_LO", ["MSG_HW_LOGIN"]),
    ("blynkscope explain sta_quo", ["sta_quota_limit_exception"]),
    ("blynkscope explain sess", ["session"]),
    ("blynkscope proxy --scenario lost", ["lost-acks"]),
    ("blynkscope completion ", ["bash", "zsh", "fish"]),
    ("blynkscope man hex", ["hexdump"]),
    ("blynkscope proxy --scenario xyzzy", []),
    ("blynkscope serve --scenario show:lost", ["show:lost-acks"]),
]


@pytest.mark.parametrize(("line", "offered"), CASES, ids=[line for line, _ in CASES])
def test_what_is_offered(line, offered, place):
    assert [one.partition(",")[2] for one in asked(place, line)] == offered


def test_every_command_and_scenario(place):
    assert [one.partition(",")[2] for one in asked(place, "blynkscope ")] == list(COMMANDS)
    assert [one.partition(",")[2] for one in asked(place, "blynkscope proxy --scenario ")] == [
        *SCENARIOS, "list", "help",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "decode o", "decode --keylog o", "hexdump o", "redact o", "--config o", "decode one.pcap o", "proxy --rules o",
        "probe --suites o", "probe --suites=o", "serve --store=o",
    ],
)  # fmt: skip
def test_files(line, place):
    assert asked(place, f"blynkscope {line}") == ["file,o"]


def commands():
    for name, (module, _) in COMMANDS.items():
        command = import_module(module).command
        yield name, command
        yield from ((f"{name} {sub}", one) for sub, one in getattr(command, "commands", {}).items())


FILES = [
    (name, param)
    for name, command in commands()
    for param in command.params
    if isinstance(param, click.Option) and re.search(r"\b(FILE|OUT|FOLDER|DIR)\b", param.make_metavar(click.Context(command)))
]  # fmt: skip


@pytest.mark.parametrize(("name", "param"), FILES, ids=[f"{name} {param.opts[-1]}" for name, param in FILES])
def test_every_option_that_takes_a_file(name, param, place):
    assert asked(place, f"blynkscope {name} {param.opts[-1]} o") in (["file,o"], ["dir,o"])


@pytest.mark.parametrize("name", list(COMMANDS))
def test_options_of_every_command(name, place):
    assert "plain,--help" in asked(place, f"blynkscope {name} --")


@pytest.mark.parametrize(
    "line", ["explain \\", "explain 'x", "xyzzy --", "--config", "proxy --scenario=l", "ca show extra "]
)
def test_unfinished_lines(line, place):
    """Whatever stands there, nothing but completions is printed."""
    assert all(one.startswith(("plain,", "file,", "dir,")) or not one for one in asked(place, f"blynkscope {line}"))


def test_interfaces(place):
    assert "plain,lo" in asked(place, "blynkscope live -i l")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_says_how_to_install_it(shell, place):
    command = [sys.executable, "-m", "blynkscope", "completion", shell]
    done = subprocess.run(command, env=environment(place), check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == script(shell)
    assert "# For all from now on:" in done.stdout
    assert VARIABLE in done.stdout


def test_another_shell_is_wrong_usage(place):
    done = subprocess.run(
        [sys.executable, "-m", "blynkscope", "completion", "csh"], check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 2


@pytest.mark.parametrize("shell", [needing(shell) for shell in SHELLS])
def test_the_script_is_good_to_the_shell(shell, place):
    done = subprocess.run([shell, "-n", str(place / shell)], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", [needing("bash")])
@pytest.mark.parametrize(("line", "offered"), CASES, ids=[line for line, _ in CASES])
def test_bash_offers_it(shell, line, offered, place):
    assert in_bash(place, line) == (offered or [""])


@pytest.mark.parametrize("shell", [needing("bash")])
def test_bash_offers_files(shell, place):
    assert " ".join(in_bash(place, "blynkscope decode o")).split() == ["OPTION", "-o", "default"]


@pytest.mark.parametrize("shell", [needing("fish")])
def test_fish_offers_it(shell, place):
    def offered(line):
        code = f"source {place / 'fish'}; complete -C {line!r}"
        done = subprocess.run(
            ["fish", "--no-config", "-c", code], env=environment(place), cwd=place / "work", check=True,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return [one.partition("\t")[0] for one in done.stdout.splitlines()]

    assert offered("blynkscope de") == ["decode"]
    assert sorted(offered("blynkscope decode --format t")) == ["table", "tree"]
    assert offered("blynkscope explain BS301") == ["BS301"]
    assert offered("blynkscope proxy --scenario lost") == ["lost-acks"]
    assert offered("blynkscope decode one") == ["one.pcap"]
    assert offered("blynkscope probe --suites one") == ["one.pcap"]
    assert offered("blynkscope probe --suites=one") == ["--suites=one.pcap"]
    assert offered("blynkscope serve --store=sub/in") == ["--store=sub/inner.db"]
    assert offered("blynkscope decode --format=tr") == ["--format=tree"]


KEYS = [
    ("blynkscope deco\t --format tr\t", "blynkscope decode --format tree"),
    ("blynkscope explain BS30\t1", "blynkscope explain BS301"),
    ("blynkscope proxy --scenario lost\t", "blynkscope proxy --scenario lost-acks"),
    ("blynkscope decode one\t", "blynkscope decode one.pcap"),
    ("blynkscope decode --format=tr\t", "blynkscope decode --format=tree"),
    ("blynkscope serve --store=on\t", "blynkscope serve --store=one.pcap"),
    ("blynkscope serve --store=sub/in\t", "blynkscope serve --store=sub/inner.db"),
    ("blynkscope probe --suites on\t", "blynkscope probe --suites one.pcap"),
    ("blynkscope probe --suites=on\t", "blynkscope probe --suites=one.pcap"),
]


@pytest.mark.parametrize("shell", [needing("bash"), needing("zsh")])
@pytest.mark.parametrize(("keys", "line"), KEYS, ids=[line for _, line in KEYS])
def test_keys_at_a_terminal(shell, keys, line, place):
    """A real shell at a terminal: the keys are pressed, and the line that it then runs is read."""
    quiet = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"]}[shell]
    child = pexpect.spawn(
        shell, [*quiet, "-i"], env={**environment(place), "PS1": "> ", "HISTFILE": ""}, cwd=str(place / "work"),
        encoding="utf-8", timeout=30, dimensions=(24, 200),
    )  # fmt: skip
    try:
        child.sendline(
            "" if shell == "bash" else "unsetopt zle_bracketed_paste; autoload -Uz compinit && compinit -u -D"
        )
        # What is to be run is shown, not run.
        child.sendline(f"source '{place / shell}'; PS1='re''ady> '")
        child.expect_exact("ready> ")
        for part in re.split(r"(?<=\t)", keys):
            child.send(part)
        child.send("\x01echo 'begin:' \x05 ':end'\r")  # to the beginning of the line, and to its end
        child.expect(r"\nbegin: ([^\r\n]*):end")
        assert " ".join(child.match[1].split()) == line
    finally:
        child.close(force=True)
