"""The account of a replay while it goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from statistics import median

from blynkscope.replay.model import Script
from blynkscope.replay.outcome import Outcome, Report, Trouble

_TIMES_MAX = 10_000
"""Answers whose times are kept for the median."""


class Tally:
    """Counts verdicts, passes them on, and sums them up.

    Args:
        script: What is played.
        side: "device" or "server": whom this program plays.
        told: Gets each verdict as it is known.
    """

    def __init__(self, script: Script, side: str, told: Callable[[Outcome], None]) -> None:
        self._script = script
        self._side = side
        self._told = told
        self.counts: Counter[str] = Counter()
        self.notes: list[str] = list(script.notes)
        self.sent = 0
        self.played = 0
        self._rules: Counter[str] = Counter()
        self._then: list[float] = []
        self._now: list[float] = []

    def tell(self, outcomes: Iterable[Outcome]) -> None:
        """Verdicts."""
        for outcome in outcomes:
            self.counts[outcome.verdict.value] += 1
            if outcome.rule is not None and not outcome.differences:
                self._rules[outcome.rule] += 1
            if outcome.recorded_ms is not None and outcome.rtt_ms is not None and len(self._now) < _TIMES_MAX:
                self._then.append(outcome.recorded_ms)
                self._now.append(outcome.rtt_ms)
            self._told(outcome)

    def note(self, text: str) -> None:
        """Something that a person should know; told once."""
        if text not in self.notes:
            self.notes.append(text)

    def report(self, target: str, seconds: float, trouble: Trouble | None, *, complete: bool) -> Report:
        """The account of all of it."""
        return Report(
            self._side, target, len(self._script.lines), self.played, self.sent, dict(self.counts), dict(self._rules),
            dict(self._script.passed_over), tuple(self.notes),
            round(median(self._then), 3) if self._then else None, round(median(self._now), 3) if self._now else None,
            trouble, complete, round(seconds, 3),
        )  # fmt: skip
