"""Children that do part of the work: how they begin and end is the same for all of them."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn

FAILED = 255
"""Exit status of a child that failed for another reason than the system's."""
PIPE_SIZE = 1024 * 1024
"""What Linux grants to every user."""
_DESCRIPTORS = "/proc/self/fd"


def pipe() -> tuple[int, int]:
    """A pipe (read end, write end) that holds several batches, so that neither side waits for the other at each one."""
    ends = os.pipe()
    with suppress(OSError):  # beyond what the system grants to this user: the usual size does too
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return ends


def start(work: Callable[[], None], keep: Iterable[int]) -> int:
    """Fork a child that does `work` and ends.

    Its exit status is 0, the `errno` of what the system refused, or FAILED.

    Args:
        work: What the child does.
        keep: Descriptors that it needs. All others above standard error are closed: a copy of another child's pipe
            would keep that child from seeing its end.

    Returns:
        The child's process id.
    """
    child = os.fork()
    if not child:
        _run(work, frozenset(keep))
    return child


def _run(work: Callable[[], None], keep: frozenset[int]) -> NoReturn:
    status = FAILED
    try:
        # What an interrupt means is the parent's business; a child ends when its pipes do.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for descriptor in [int(name) for name in os.listdir(_DESCRIPTORS)]:
            if descriptor > 2 and descriptor not in keep:
                with suppress(OSError):  # the one that listed the folder is gone
                    os.close(descriptor)
        work()
        status = 0
    except OSError as error:
        status = error.errno or FAILED
    finally:
        os._exit(status)


def wait(child: int) -> int:
    """Wait for a child; gives its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
