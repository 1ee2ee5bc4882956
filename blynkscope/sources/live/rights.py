"""The command that runs this program again as one that may sniff."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

_KEY_LOG = "SSLKEYLOGFILE"


def as_root() -> str:
    """The whole command line behind `sudo`, as a shell takes it.

    Root's search path has no folder of a virtual environment, so this program is named by its full path; and sudo
    drops variables, so one that names a key log is handed on.
    """
    keep = [f"--preserve-env={_KEY_LOG}"] if os.environ.get(_KEY_LOG) else []
    return shlex.join(["sudo", *keep, *_program(), *_arguments()])


def _program() -> list[str]:
    name = sys.argv[0] if sys.argv else ""
    if os.path.basename(name).removesuffix(".exe") == "blynkscope":
        found = shutil.which(name)
        if found is not None:
            return [os.path.abspath(found)]
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "blynkscope")
    if os.access(beside, os.X_OK):
        return [beside]
    return [os.path.abspath(sys.executable), "-m", "blynkscope"]


def _arguments() -> list[str]:
    """Those of this run; where it is no run of the command, the beginning of them."""
    given = sys.argv[1:]
    return given if "live" in given else ["live"]
