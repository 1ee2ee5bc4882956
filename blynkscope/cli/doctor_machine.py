"""What doctor looks at of Python, and of the machine."""

from __future__ import annotations

import errno
import os
import platform
import re
import shlex
import socket
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blynkscope.cli.doctor_mending import install, set_clock
from blynkscope.render.checkup import Check, State

_PYTHON, _MACHINE = "Python", "Machine"
LEAST = (3, 11)
"""The oldest Python."""
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\(?>=\s*([0-9.]+))?")
_NUMBER = re.compile(r"\d+")
WRITTEN = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
"""This program is younger."""
_SLACK = 86400.0
"""Seconds by which files may be newer than the clock: they may have come from a machine in another time zone."""
_AHEAD = 10 * 365 * 86400.0
"""Seconds after the newest file of the program from which on a clock is hardly right."""
_NARROW = 80
PLAIN, SECURE = 8080, 9443
_FILES_EACH = 2
"""Open files of a connection of the proxy: to the device, and to the server."""
_FILES_LEAST = 256


# --- Python -----------------------------------------------------------------------------------------------------------


def python() -> Check:
    """The interpreter."""
    good = sys.version_info >= LEAST
    least = ".".join(map(str, LEAST))
    return Check(
        id="python", group=_PYTHON, title="Python", state=State.OK if good else State.MISSING, essential=True,
        found=f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}",
        enables=f"everything; {least} or newer will do", mend=() if good else install("python"),
        facts={"version": platform.python_version(), "executable": sys.executable, "least": least},
    )  # fmt: skip


def packages() -> Check:
    """The packages that the program needs."""
    from importlib import metadata

    found: dict[str, str | None] = {}
    lacking: list[str] = []
    for name, least in _requirements():
        try:
            version = found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
            lacking.append(f"{name}>={least}" if least else name)
            continue
        if least and _numbers(version) < _numbers(least):
            lacking.append(f"{name}>={least}")
    said = ", ".join(f"{name} {version or 'MISSING'}" for name, version in found.items())
    mend = (f"$ {sys.executable} -m pip install --upgrade {' '.join(map(repr, lacking))}",) if lacking else ()
    return Check(
        id="packages", group=_PYTHON, title="packages", state=State.MISSING if lacking else State.OK, essential=True,
        found=said or "the program is not installed as a package", enables="everything", mend=mend,
        facts={"versions": found, "lacking": lacking},
    )  # fmt: skip


def _requirements() -> list[tuple[str, str]]:
    """Names and least versions, as the installed package has them."""
    from importlib import metadata

    try:
        lines = metadata.requires("blynkscope") or []
    except metadata.PackageNotFoundError:
        return []
    matches = (_REQUIREMENT.match(line) for line in lines if "extra ==" not in line)
    return sorted((match[1], match[2] or "") for match in matches if match)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(version)[:3])


def uvloop() -> Check | None:
    """The faster event loop, which is there for other systems than Windows."""
    if sys.platform == "win32":
        return None
    from importlib import metadata

    try:
        version = metadata.version("uvloop")
    except metadata.PackageNotFoundError:
        version = None
    return Check(
        id="uvloop", group=_PYTHON, title="uvloop", state=State.OK if version else State.OPTIONAL,
        found=version or "not installed, and not needed",
        enables="proxy and serve: more messages a second; they are the same without it",
        mend=() if version else (f"$ {sys.executable} -m pip install uvloop",), facts={"version": version},
    )  # fmt: skip


PYTHON: dict[str, Callable[[], Check | None]] = {"python": python, "packages": packages, "uvloop": uvloop}
"""The checks by their ids."""


# --- the machine ------------------------------------------------------------------------------------------------------


def clock(now: float | None = None) -> Check:
    """Is the time plausible, by files that were there before? No server is asked."""
    now = time.time() if now is None else now
    newest = max([WRITTEN, *_file_times()])
    from blynkscope.ca.looking import look

    begins = look().not_before
    shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M UTC")
    state = State.OK
    mend: tuple[str, ...] = ()
    if now < newest - _SLACK:
        state, mend = State.WARN, set_clock()
        shown += f", but files of this program are of {datetime.fromtimestamp(newest, UTC):%Y-%m-%d}: it is behind"
    elif begins is not None and now < begins.timestamp():
        state, mend = State.WARN, set_clock()
        shown += f", but the CA begins on {begins:%Y-%m-%d}: the clock is behind"
    elif now > newest + _AHEAD:
        state, mend = State.WARN, set_clock()
        shown += ", years after the newest file of this program: it may be ahead"
    return Check(
        id="clock", group=_MACHINE, title="clock", state=state, found=shown,
        enables="certificates, and the times of records", mend=mend, facts={"time": now, "newest_file": newest},
    )  # fmt: skip


def _file_times() -> list[float]:
    times = []
    for path in (Path(__file__), Path(__file__).parent, Path(os.__file__)):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return times


def terminal() -> Check:
    """What the output can show."""
    from blynkscope.render.console import colored, is_terminal, width_of
    from blynkscope.render.glyphs import missing_glyphs

    stream = sys.stdout
    there, width = is_terminal(stream), width_of(stream)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    facts = {"terminal": there, "encoding": encoding, "color": colored(stream, "auto"), "width": width}
    said = [encoding, "colours" if facts["color"] else "no colours", f"{width} columns"]
    mend = []
    if missing_glyphs(stream):
        said[0] += " (marks and lines are drawn in ASCII)"
        mend.append("$ set PYTHONUTF8=1" if sys.platform == "win32" else "$ export LANG=C.UTF-8 PYTHONUTF8=1")
    if there and width < _NARROW:
        mend.append(f"make the window wider: tables want {_NARROW} columns or more")
    return Check(
        id="terminal", group=_MACHINE, title="terminal", state=State.WARN if mend else State.OK,
        found=", ".join(said) + ("" if there else " (the output is no terminal now)"),
        enables="tables, trees and ladders", mend=tuple(mend), facts=facts,
    )  # fmt: skip


def open_files() -> Check | None:
    """The limit of open files, which the proxy raises as far as it may."""
    try:
        import resource
    except ImportError:
        return None  # Windows has no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = hard == resource.RLIM_INFINITY
    few = not endless and hard < _FILES_LEAST
    said = "no limit" if endless else f"{soft} at first, {hard} at most: some {hard // _FILES_EACH} connections"
    return Check(
        id="open-files", group=_MACHINE, title="open files", state=State.WARN if few else State.OK, found=said,
        enables="proxy and serve with many devices", mend=("$ ulimit -Hn 65536   # as root",) if few else (),
        facts={"soft": None if soft == resource.RLIM_INFINITY else soft, "hard": None if endless else hard},
    )  # fmt: skip


def _port(number: int, what: str) -> Check:
    why = taken(number)
    mend = []
    if why is not None:
        mend = [f"use another one with --listen, or see who has it and end that program: {what} tries others by itself"]
        by_system = {"win32": f"netstat -ano | findstr :{number}", "linux": f"ss -ltnp sport = :{number}"}
        mend.append(f"$ {by_system.get(sys.platform, f'lsof -nP -iTCP:{number} -sTCP:LISTEN')}")
    return Check(
        id=f"port-{number}", group=_MACHINE, title=f"port {number}", state=State.OK if why is None else State.WARN,
        found="free" if why is None else why, enables=f"{what} and serve at their usual ports", mend=tuple(mend),
        facts={"port": number, "free": why is None},
    )  # fmt: skip


def taken(number: int) -> str | None:
    """Why nobody can listen at a port of this machine; None where it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trying:
        if os.name == "posix":
            # As servers do: connections that ended lately are no hindrance.
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind(("127.0.0.1", number))
            # Only this tells on some systems; nobody connects in the meantime, or is let in.
            trying.listen(1)
        except OSError as error:
            return "taken by another program" if error.errno == errno.EADDRINUSE else str(error.strerror or error)
    return None


def plain_port() -> Check:
    """The port of devices without TLS."""
    return _port(PLAIN, "proxy")


def secure_port() -> Check:
    """The port of devices with TLS, and of apps."""
    return _port(SECURE, "proxy")


MACHINE: dict[str, Callable[[], Check | None]] = {
    "clock": clock, "terminal": terminal, "open-files": open_files, f"port-{PLAIN}": plain_port,
    f"port-{SECURE}": secure_port,
}  # fmt: skip
"""The checks by their ids."""


def _mode(path: str) -> int:
    """Who may do what with a file, where that is to be told by its mode; else nobody."""
    if os.name != "posix":
        return 0
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0


def configuration(path: str | None) -> Check:
    """The configuration file: where it is, whether every command would take it, and who else may change it."""
    from blynkscope.cli.config_file import ConfigError, Configuration

    state = State.OK
    mend: tuple[str, ...] = ()
    facts: dict[str, Any] = {"path": path, "exists": bool(path and os.path.exists(path)), "options": 0}
    if path is None:
        found = "none is read"
    elif not facts["exists"]:
        found = f"none: {path} is not there, and not needed"
    else:
        mode = _mode(path)
        try:
            read = Configuration.read(path)
            facts["options"] = read.check()
            count = facts["options"]
            found = f"{path}: {count} option{'s are' if count != 1 else ' is'} set"
            if mode & (stat.S_IRGRP | stat.S_IROTH) and (secret := read.secrets()):
                state, mend = State.WARN, (f"$ chmod 600 {shlex.quote(path)}",)
                found += f", and others may read it: {', '.join(secret)}"
        except ConfigError as error:
            state, found = State.MISSING, str(error)
            mend = ("correct it there; until then --no-config, in front of the command, leaves the file out",)
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            state = State.WARN if state is State.OK else state
            found += "; others may write it, and so set the options of your commands"
            mend = (*mend, f"$ chmod go-w {shlex.quote(path)}") if not any("chmod 600" in one for one in mend) else mend
        facts["others_may_write"] = bool(mode & (stat.S_IWGRP | stat.S_IWOTH))
    return Check(
        id="configuration", group=_MACHINE, title="configuration", state=state, found=found,
        essential=state is State.MISSING, enables="options that are set for good", mend=mend, facts=facts,
    )  # fmt: skip
