"""What decode and live have in common: the way of records to the output."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from blynkscope.analysis.selection import Selection
from blynkscope.render.outputs import Output
from blynkscope.render.redact import SECRET_COMMANDS, Redactor


class Shown:
    """Takes the records of a run to its output.

    Args:
        selection: What is shown.
        out: Where to.
        redactor: Learns the secrets of what is not shown too: what a login tells is hidden in what follows.
        limit: Passes on as much of a batch as is wanted.
    """

    def __init__(
        self,
        selection: Selection,
        out: Output,
        redactor: Redactor,
        limit: Callable[[list[Any]], list[Any]] | None = None,
    ) -> None:
        self._selection = selection
        self._out = out
        self._redactor = redactor
        self._limit = limit

    def __call__(self, records: list[Any]) -> None:
        """Show a batch."""
        for shown, passed_over in self._selection.parts(records, SECRET_COMMANDS):
            self._out.write(shown if self._limit is None else self._limit(shown))
            if passed_over is not None:
                self._redactor.learn_frame(passed_over)


def collect_seldom() -> None:
    """Frames and their parts hold no cycles; what does (closed streams) is collected in good time all the same."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
