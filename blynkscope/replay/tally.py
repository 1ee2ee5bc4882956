"""The account of a replay while it goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from statistics import median

from blynkscope.protocol.model import Dialect
from blynkscope.replay.comparing import subject
from blynkscope.replay.model import Script
from blynkscope.replay.outcome import OUTCOMES_MAX, Outcome, Report, Trouble, Verdict

EXTRAS_TOLD = 20
"""Extra frames about one thing that are told one by one: who floods says the same again and again."""
_SUBJECTS_MAX = 4096
"""Things that extra frames are about which are told apart."""
_TIMES_MAX = 10_000
"""Answers whose times are kept for the median."""


class Tally:
    """Counts verdicts, passes them on as far as somebody could read them, and sums them up.

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
        self._passed_on = 0
        self._untold: Counter[str] = Counter()
        self._extras: Counter[Hashable] = Counter()
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
            if self._worth_telling(outcome):
                self._passed_on += 1
                self._told(outcome)
            else:
                self._untold[outcome.verdict.value] += 1

    def _worth_telling(self, outcome: Outcome) -> bool:
        if self._passed_on >= OUTCOMES_MAX:
            return False
        frame = outcome.now
        if outcome.verdict is not Verdict.EXTRA or frame is None:
            return True
        about = subject(frame.cmd, bytes.fromhex(frame.body), Dialect(frame.dialect))
        key: Hashable = (outcome.stream, about)
        if key not in self._extras and len(self._extras) >= _SUBJECTS_MAX:
            key = None
        self._extras[key] += 1
        return self._extras[key] <= EXTRAS_TOLD

    def note(self, text: str) -> None:
        """Something that a person should know; told once."""
        if text not in self.notes:
            self.notes.append(text)

    def report(self, target: str, seconds: float, trouble: Trouble | None, *, complete: bool) -> Report:
        """The account of all of it."""
        if self._untold:
            counts = ", ".join(f"{count} {verdict}" for verdict, count in self._untold.items())
            self.note(
                f"counted and not told one by one: {counts} (more than {EXTRAS_TOLD} extra frames about one thing, or "
                f"{OUTCOMES_MAX} verdicts)"
            )
        return Report(
            self._side, target, len(self._script.lines), self.played, self.sent,
            {verdict.value: self.counts[verdict.value] for verdict in Verdict}, dict(self._rules),
            dict(self._script.passed_over), tuple(self.notes),
            round(median(self._then), 3) if self._then else None, round(median(self._now), 3) if self._now else None,
            trouble, complete, round(seconds, 3),
        )  # fmt: skip
