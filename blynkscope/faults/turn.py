"""What one rule has seen of one connection: its counters and its chance."""

from __future__ import annotations

from hashlib import blake2s
from random import Random

from blynkscope.faults.model import Rule


class Turn:
    """A rule at work on a connection.

    Args:
        rule: The rule.
        seed: Of the run.
        connection: Number of the connection. Seed, connection and the rule's name give the chance, so that it hangs on
            nothing else: not on other connections, and not on other rules.
    """

    __slots__ = ("_done", "_seen", "random", "rule")

    def __init__(self, rule: Rule, seed: int, connection: int) -> None:
        self.rule = rule
        digest = blake2s(f"{seed}\0{connection}\0{rule.name}".encode()).digest()
        self.random = Random(int.from_bytes(digest))
        self._seen = 0
        self._done = 0

    def concerns(self, since: float, answered: int | None) -> bool:
        """May it apply at all, by what is cheap to ask?

        Args:
            since: Seconds since the connection opened.
            answered: Command that the frame answers, if any.
        """
        rule = self.rule
        return (
            (rule.count is None or self._done < rule.count)
            and since >= rule.begin
            and (rule.until is None or since < rule.until)
            and (rule.answers is None or answered in rule.answers)
        )

    def falls(self) -> bool:
        """One more frame matches: is it one of those that the rule is for?"""
        rule = self.rule
        self._seen += 1
        if self._seen <= rule.after or (self._seen - rule.after - 1) % rule.every:
            return False
        if rule.probability < 1.0 and self.random.random() >= rule.probability:
            return False
        self._done += 1
        return True
