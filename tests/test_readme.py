"""Every command of the README runs as it is written, and every excerpt is what it prints.

The commands run by a shell in a copy of the repository. What they name is found first on the PATH:

- `python3` and `blynkscope` are the interpreter that runs the tests and the package under test;
- `tcpdump` listens to nothing: it checks its arguments and writes a capture of this repository instead of live packets;
- `pip` is the real one, in the new environment, but the network is out of bounds: the build backend and the libraries
  come from the environment of the tests, so that missing requirements and a broken build are still found.

`bash tests/run` would run these tests again; there the script's syntax, its help and its refusals are tried.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NEEDED = ("README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "blynkscope", "captures", "tests/run")
RUNS_THE_TESTS = "bash tests/run"
ELISION = "…"

TCPDUMP = f"""
[ "$*" = "-i any -U -w - tcp port 8080" ] || {{ echo "tcpdump: other arguments: $*" >&2; exit 1; }}
exec cat '{ROOT}/captures/01a_hw_plain_pyBlynkLib020.pcap'
"""


def blocks():
    """The fenced blocks: (language, text)."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands():
    """Each command with the excerpt of its output that follows, if one does."""
    found = []
    for language, text in blocks():
        if language == "sh":
            found += [[line, None] for line in text.splitlines()]
        elif language == "text":
            assert found[-1][1] is None, "an excerpt follows its command"
            found[-1][1] = text
        else:
            raise AssertionError(f"a block of language {language!r} is not tested")
    return found


COMMANDS = commands()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of the repository and a folder of programs."""
    top = tmp_path_factory.mktemp("readme")
    copy, programs = top / "copy", top / "programs"
    programs.mkdir()
    for name in NEEDED:
        source, target = ROOT / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    scripts = {
        "python3": f'exec "{sys.executable}" "$@"',
        "blynkscope": f'exec "{sys.executable}" -m blynkscope "$@"',
        "tcpdump": TCPDUMP,
    }
    for name, text in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    return copy, programs


def run(place, command, **more):
    copy, programs = place
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))}
    environment = {**kept, "PATH": f"{programs}:{kept['PATH']}", "COLUMNS": "100", "NO_COLOR": "1", **more}
    environment["XDG_CONFIG_HOME"] = str(copy / ".config")
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], check=False, capture_output=True, text=True, encoding="utf-8",
        cwd=copy, env=environment, stdin=subprocess.DEVNULL, timeout=100,
    )  # fmt: skip


def assert_excerpt(excerpt, output):
    """All lines of the excerpt, in order; where it has no elision, with nothing between them."""
    lines = [line.rstrip() for line in output.splitlines()]
    at, elided = 0, True
    for wanted in excerpt.splitlines():
        if wanted == ELISION:
            elided = True
            continue
        assert wanted in lines[at:], f"{wanted!r} is not there, or not at this place"
        here = lines.index(wanted, at)
        assert elided or here == at, f"other lines come before {wanted!r}"
        at, elided = here + 1, False


def test_there_are_commands():
    assert len(COMMANDS) >= 10
    assert COMMANDS[0][0].startswith("python3 -m venv")
    assert COMMANDS[1][0] == RUNS_THE_TESTS
    assert sum(excerpt is not None for _, excerpt in COMMANDS) >= 4


NEEDS = {"blynkscope live": pytest.mark.root, "--engine tshark": pytest.mark.tshark}


def needing(command, excerpt):
    """A command with the marks of what it needs."""
    marks = [mark for words, mark in NEEDS.items() if words in command]
    return pytest.param(command, excerpt, marks=marks, id=command[:60])


@pytest.mark.parametrize(("command", "excerpt"), [needing(*entry) for entry in COMMANDS[2:]])
def test_command(place, command, excerpt):
    done = run(place, command)
    assert done.returncode == 0, done.stderr
    assert done.stdout or "-o " in command
    assert "Traceback" not in done.stderr
    if excerpt is not None:
        assert_excerpt(excerpt, done.stdout)


def test_installation(place):
    """The first command, in two steps: between them the new environment is told where the libraries are."""
    command, excerpt = COMMANDS[0]
    make, _, rest = command.partition(" && ")
    made = run(place, make)
    assert made.returncode == 0, made.stderr
    environment = place[0] / ".venv"
    libraries = Path(sysconfig.get_path("purelib", vars={"base": environment, "platbase": environment}))
    (libraries / "libraries_of_the_tests.pth").write_text(
        "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}), encoding="utf-8"
    )
    done = run(place, rest, PIP_NO_INDEX="1", PIP_NO_BUILD_ISOLATION="0", PIP_DISABLE_PIP_VERSION_CHECK="1")
    assert done.returncode == 0, done.stderr + done.stdout
    assert_excerpt(excerpt, done.stdout)
    where = run(place, ".venv/bin/python -P -c 'import blynkscope; print(blynkscope.__file__)'")
    assert where.stdout.startswith(str(libraries))
    assert (libraries / "blynkscope" / "py.typed").is_file()
    assert not (libraries / "tests").exists()


def test_the_script_of_the_tests(place):
    done = run(place, 'bash -n tests/run && bash tests/run --help && cd / && bash "$OLDPWD/tests/run" --help')
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: bash tests/run") == 2
    refused = run(place, "bash tests/run --python /bin/false")
    assert refused.returncode == 4
    assert "3.11" in refused.stderr


def test_what_the_readme_links_to_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).is_file(), target
    assert len(README.splitlines()) <= 205
