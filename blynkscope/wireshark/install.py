"""Where Wireshark looks for a user's Lua dissectors, and how ours gets there and away again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from blynkscope.errors import EnvironmentProblem
from blynkscope.wireshark.generator import MARK

FILE_NAME = "blynk.lua"

_LABEL = "Personal Lua Plugins:"
_ANSWER_SECONDS = 30.0
"""tshark reads all its dissectors before it answers; on a cold disk that takes some seconds."""
_MARK_WITHIN = 512
"""Bytes of a file in which the mark of this program stands."""

_ELSEWHERE = {
    "darwin": ("/Applications/Wireshark.app/Contents/MacOS/tshark",),
    "win32": (r"C:\Program Files\Wireshark\tshark.exe",),
}
"""Where tshark is when it is installed but not on the path."""


def find_tshark() -> str | None:
    """The tshark program, or None."""
    found = shutil.which("tshark")
    if found:
        # On Windows the current folder is searched too; a program there is not meant.
        return None if Path(found).parent.resolve() == Path.cwd() else found
    return next((place for place in _ELSEWHERE.get(sys.platform, ()) if os.access(place, os.X_OK)), None)


def plugin_folder() -> tuple[Path, bool]:
    """The folder of the user's Lua plug-ins, and whether tshark itself named it.

    Raises:
        EnvironmentProblem: The environment names no folder that would be the same from everywhere.
    """
    home = _home()
    program = find_tshark()
    if program is not None:
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(  # noqa: S603 - found on the path
                [program, "-G", "folders"],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_ANSWER_SECONDS,
                check=False,
                encoding="utf-8",
                errors="surrogateescape",
                # Wireshark itself takes another folder where there is no HOME.
                env={**os.environ, "HOME": str(home)},
            )
            for line in done.stdout.splitlines():
                name, _, path = line.partition("\t")
                if name.strip() == _LABEL and path.strip():
                    return _absolute(Path(path.strip()), "tshark names a plug-in folder that"), True
    return _usual_folder(home), False


def _home() -> Path:
    """The user's own folder: $HOME, and where that is not set, what the password database says."""
    named = os.environ.get("HOME")
    if named or sys.platform == "win32":
        return _absolute(Path(named), "HOME") if named else Path.home()
    import pwd

    try:
        return _absolute(Path(pwd.getpwuid(os.getuid()).pw_dir), "your folder in the password database")
    except KeyError:
        raise EnvironmentProblem("HOME is not set, and the password database does not know you") from None


def _absolute(path: Path, what: str) -> Path:
    # Anything else would be written into whatever folder this program runs in.
    if not path.is_absolute():
        raise EnvironmentProblem(f"{what} is not an absolute path: {path}")
    return path


def _usual_folder(home: Path | None = None) -> Path:
    home = home or _home()
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA")
        return (Path(roaming) if roaming else home / "AppData" / "Roaming") / "Wireshark" / "plugins"
    return home / ".local" / "lib" / "wireshark" / "plugins"


def is_ours(path: Path) -> bool:
    """Was the file written by this program?"""
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(_MARK_WITHIN)
    except OSError:
        return False


def write(path: Path, text: str) -> None:
    """Write a file in one step: it is whole or as it was.

    Raises:
        EnvironmentProblem: It cannot be written there.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii", newline="\n") as file:
                file.write(text)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error


def install(folder: Path, text: str, *, force: bool = False) -> Path:
    """Put the dissector into the folder, which is made where it is missing.

    Raises:
        EnvironmentProblem: It cannot be written, or a file of that name is not of this program and `force` is False.
    """
    path = folder / FILE_NAME
    _spare_foreign(path, force, "replaced")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(f"cannot make the folder {folder}: {error.strerror or error}") from error
    write(path, text)
    return path


def uninstall(folder: Path, *, force: bool = False) -> Path | None:
    """Take the dissector out of the folder again; None where there is none.

    Raises:
        EnvironmentProblem: It cannot be removed, or is not of this program and `force` is False.
    """
    path = folder / FILE_NAME
    if not os.path.lexists(path):
        return None
    _spare_foreign(path, force, "removed")
    try:
        path.unlink()
    except OSError as error:
        raise EnvironmentProblem(f"cannot remove {path}: {error.strerror or error}") from error
    return path


def _spare_foreign(path: Path, force: bool, done_to_it: str) -> None:
    if os.path.lexists(path) and not force and not is_ours(path):
        raise EnvironmentProblem(f"{path} was not written by blynkscope and is not {done_to_it}: --force does it")
