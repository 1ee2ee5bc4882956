"""What a command tells a person beside its data."""

from __future__ import annotations

import contextlib
import sys


def say(*notes: str) -> None:
    """Notes for a person, one a line, to standard error; nothing happens where that is gone or full."""
    from blynkscope.render.safe import safe

    with contextlib.suppress(OSError):
        for note in notes:
            # Not by click, which writes UTF-8 where a terminal knows ASCII alone.
            sys.stderr.write(f"{safe(note)}\n")
        sys.stderr.flush()
