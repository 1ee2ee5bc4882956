"""The rules that raise findings, by family. What they say is in the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blynkscope.analysis.rules import (
    answers,
    bodies,
    clouds,
    exposure,
    integrity,
    login,
    numbering,
    pace,
    reaching,
    reconnects,
    recording,
    redirects,
    update,
    writes,
)

if TYPE_CHECKING:
    from blynkscope.analysis.rule import StreamRule
    from blynkscope.analysis.run import Run

_RULES: tuple[type[StreamRule], ...] = (
    *reaching.RULES, *login.RULES, *redirects.RULES, *clouds.RULES, *update.RULES, *writes.RULES, *pace.RULES,
    *answers.RULES, *bodies.RULES, *numbering.RULES, *integrity.RULES, *exposure.RULES, *recording.RULES,
    *reconnects.RULES,
)  # fmt: skip
"""In the order in which they are told: causes before consequences."""


def make_rules(run: Run) -> tuple[StreamRule, ...]:
    """The rules of one run."""
    return tuple(rule(run) for rule in _RULES)
