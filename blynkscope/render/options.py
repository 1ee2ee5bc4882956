"""How an output is to look."""

from __future__ import annotations

from dataclasses import dataclass, field

from blynkscope.render.console import Palette
from blynkscope.render.redact import Redactor


@dataclass(frozen=True, slots=True)
class Options:
    """How an output is to look.

    Args:
        color: Use escape sequences.
        width: Columns to fill.
        terminal: The stream is a terminal, so that raw UTF-8 could steer it.
        redactor: Takes the secrets out.
        verbose: 0, or more to show more.
        quiet: Leave out what is not a frame or a finding.
        background: Lines may be made by another process.
        inputs: Names of the files that are read, as they were given; empty where they are not known.
        fail_on: The severity from which on a report for programs calls a finding a failure.
    """

    color: bool = False
    width: int = 120
    terminal: bool = False
    redactor: Redactor = field(default_factory=Redactor)
    verbose: int = 0
    quiet: bool = False
    background: bool = False
    inputs: tuple[str, ...] = ()
    fail_on: str = "warning"

    @property
    def palette(self) -> Palette:
        """The palette, empty without colour."""
        return Palette(self.color)
