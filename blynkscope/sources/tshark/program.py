"""The tshark program: found by us, by absolute path, and asked for its version before it is used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from blynkscope.errors import EnvironmentProblem

OLDEST = (3, 6, 0)
"""The oldest version that is served: it has every field that is asked for (raw sequence numbers among them)."""

ANSWER_SECONDS = 30.0
"""Within this time tshark tells its version, even the first time that a slow machine loads it."""

_RULE_FAULT = re.compile(
    r"Unknown (?:protocol|layer type)|Invalid selector|doesn't follow the template|[Ff]ailed|Only "
)
_REASON_MAX = 160
"""Characters of what tshark says of a rule."""
_VERSION = re.compile(rb"TShark[^\n]{0,200}? (\d{1,4})\.(\d{1,4})\.(\d{1,4})")

_INSTALLERS = (
    ("apt-get", "sudo apt-get install tshark"),
    ("dnf", "sudo dnf install wireshark-cli"),
    ("zypper", "sudo zypper install wireshark"),
    ("pacman", "sudo pacman -S wireshark-cli"),
    ("apk", "sudo apk add tshark"),
    ("pkg", "sudo pkg install tshark"),
)


class Tshark(NamedTuple):
    """A tshark that answers: its absolute path and its version as (major, minor, micro)."""

    path: str
    version: tuple[int, int, int]


def install_command() -> str:
    """The command that installs tshark on this system."""
    if sys.platform == "darwin":
        return "brew install wireshark"
    if sys.platform == "win32":
        return "winget install WiresharkFoundation.Wireshark"
    for program, command in _INSTALLERS:
        if shutil.which(program):
            return command
    return _INSTALLERS[0][1]


def find_tshark(program: str | None = None) -> Tshark:
    """Find tshark, and make sure that it runs and is new enough.

    Args:
        program: Its path, or its name in the search path; None for `tshark` there and where installers put it.

    Raises:
        EnvironmentProblem: It is missing, cannot be run, or is too old.
    """
    path = _named(program) if program else _searched()
    try:
        changed = os.stat(path).st_mtime_ns
    except OSError as error:
        raise EnvironmentProblem(f"{path}: {error.strerror or error}") from error
    return _asked(path, changed)


@lru_cache(maxsize=8)
def _asked(path: str, changed: int) -> Tshark:
    """What this program says of itself; asked once, as long as the file does not change."""
    try:
        done = subprocess.run(  # noqa: S603  (an absolute path, and no argument of anybody else)
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_SECONDS,
            cwd=Path(path).anchor,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentProblem(f"{path}: does not tell its version within {ANSWER_SECONDS:.0f} s") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EnvironmentProblem(f"{path}: cannot be run as tshark: {reason}") from error
    match = _VERSION.search(done.stdout[:4096])
    if match is None:
        raise EnvironmentProblem(f"{path}: this is no tshark: it does not tell a version ({_install_hint()})")
    version = (int(match[1]), int(match[2]), int(match[3]))
    if version < OLDEST:
        raise EnvironmentProblem(
            f"{path}: tshark {_dotted(version)} is too old, {_dotted(OLDEST)} or newer is needed ({_install_hint()})"
        )
    return Tshark(path, version)


def check_rules(program: Tshark, rules: Sequence[str], home: Path) -> None:
    """Ask tshark whether it understands each of these decode-as rules, before it reads anything by them.

    Args:
        program: The tshark.
        rules: Rules of the right form.
        home: A folder of our own, in which it runs.

    Raises:
        ValueError: It does not; the text is one line.
    """
    for rule in rules:
        try:
            # What is no file ends it as soon as it has looked at its arguments.
            done = subprocess.run(  # noqa: S603  (an absolute path; the rule has the form of one)
                [program.path, "-d", rule, "-r", os.devnull],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_SECONDS, cwd=home, check=False,
                env={**os.environ, "HOME": str(home), "WIRESHARK_CONFIG_DIR": str(home), "LC_ALL": "C"},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return  # reading will tell
        for line in done.stderr.decode("utf-8", "replace").splitlines():
            if _RULE_FAULT.search(line):
                reason = line.removeprefix("tshark: ").strip()[:_REASON_MAX].replace(" -- ", " ")
                raise ValueError(f"--decode-as {rule}: tshark says: {reason}")


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))


def _install_hint() -> str:
    return f"install it with: {install_command()}"


def _runs(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _named(program: str) -> str:
    if os.path.dirname(program):
        path = os.path.abspath(program)
        if not os.path.isfile(path):
            raise EnvironmentProblem(f"{program}: there is no such program ({_install_hint()})")
        if not os.access(path, os.X_OK):
            raise EnvironmentProblem(f"{program}: is not executable")
        return path
    found = _in_search_path(program)
    if found is None:
        raise EnvironmentProblem(f"{program} is not in the search path ({_install_hint()})")
    return found


def _in_search_path(name: str) -> str | None:
    """As the shell finds it, but never in the current folder: what lies beside a capture must not be run."""
    endings = (".exe", "") if sys.platform == "win32" else ("",)
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if not os.path.isabs(folder):
            continue
        for ending in endings:
            path = os.path.join(folder, name + ending)
            if _runs(path):
                return path
    return None


def _searched() -> str:
    found = _in_search_path("tshark")
    if found is not None:
        return found
    usual = ["/Applications/Wireshark.app/Contents/MacOS/tshark"] if sys.platform == "darwin" else []
    if sys.platform == "win32":
        folders = (os.environ.get(name) for name in ("ProgramFiles", "ProgramFiles(x86)"))
        usual += [os.path.join(folder, "Wireshark", "tshark.exe") for folder in folders if folder]
    for path in usual:
        if _runs(path):
            return path
    raise EnvironmentProblem(f"tshark is not installed; {_install_hint()}")
