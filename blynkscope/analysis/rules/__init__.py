"""The rules that raise findings, one file a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blynkscope.analysis.rules.login import InvalidToken
from blynkscope.analysis.rules.writes import UnacknowledgedWrites

if TYPE_CHECKING:
    from blynkscope.analysis.rule import StreamRule
    from blynkscope.analysis.run import Run


def make_rules(run: Run) -> tuple[StreamRule, ...]:
    """The rules of one run, in the order in which they are asked."""
    return (InvalidToken(run), UnacknowledgedWrites(run))
