"""What the streams of one analysis share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

from blynkscope.analysis.catalogue import CATALOGUE, RANK, Severity
from blynkscope.analysis.devices import Devices
from blynkscope.analysis.names import Names
from blynkscope.analysis.records import FindingRecord, Record
from blynkscope.analysis.relays import Relays
from blynkscope.analysis.rule import Hooks
from blynkscope.protocol import limits
from blynkscope.protocol.model import Dialect, Era
from blynkscope.wire.keylog import KeyLog


class Holder(Protocol):
    """Holds bytes of what is incomplete: a framer, the reader of a layer."""

    @property
    def buffered(self) -> int:
        """Bytes that are held."""


class Run:
    """What the streams of one analysis share: options, numbers, and the records that they make."""

    __slots__ = (
        "_heavy", "devices", "dialect", "era", "frames", "hooks", "hunted", "keys", "lost", "messages", "names", "out",
        "raised", "relays", "severities", "source", "told",
    )  # fmt: skip

    def __init__(self, dialect: Dialect | None, era: Era | None, keys: KeyLog | None = None) -> None:
        self.dialect = dialect
        self.era = era
        self.keys = keys if keys is not None else KeyLog(given=False)
        """What opens TLS: the key log that was given, and secrets that the input carries."""
        self.frames = 0
        self.messages = 0
        """Messages of other protocols so far."""
        self.relays = Relays()
        """What calls of the HTTP API cause."""
        self.hunted = 0
        """Bytes that are kept because they may still turn out to be Blynk."""
        self.out: list[Record] = []
        self.lost: Counter[str] = Counter()
        self.raised: list[FindingRecord] = []
        """Findings that rules reported and that wait for the record that proves them."""
        self.source = 0
        """Number of the source that is being read."""
        self.hooks = Hooks(())
        self.names = Names()
        self.devices = Devices()
        self.severities: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        """Findings so far, by id."""
        self._heavy: dict[Holder, Callable[[], None]] = {}

    def finding(
        self, name: str, *, stream: int | None, frames: Iterable[int], count: int, detail: str, fix: str | None = None,
        severity: str | None = None,
    ) -> FindingRecord:  # fmt: skip
        """A finding of the catalogue with what proves it here; it is counted, and the caller sees to its place."""
        rule = CATALOGUE[name]
        weight = severity or rule.severity.value
        self.severities[weight] += 1
        self.told[name] += 1
        proof = tuple(sorted(set(islice(frames, limits.PROVING_FRAMES_MAX))))
        return FindingRecord(
            rule.id, rule.slug, weight, rule.group, stream, proof, count, rule.title, detail,
            fix if fix is not None else rule.fix,
        )  # fmt: skip

    def next_message(self) -> int:
        """The number of a message of another protocol."""
        self.messages += 1
        return self.messages

    def release(self) -> None:
        """What rules reported goes to the records."""
        self.out += self.raised
        self.raised.clear()

    def worst_at_least(self, severity: str) -> bool:
        """Was a finding raised that is at least as bad?"""
        least = RANK[Severity(severity)]
        return any(count and RANK[Severity(name)] >= least for name, count in self.severities.items())

    def weigh(self, holder: Holder, drop: Callable[[], None]) -> None:
        """Something holds much that is incomplete: keep all of them together within the limit.

        Args:
            holder: What holds it.
            drop: Makes it give that up.
        """
        heavy = self._heavy
        heavy[holder] = drop
        total = 0
        for one in list(heavy):
            size = one.buffered
            if size <= limits.HEAVY_BUFFER:
                del heavy[one]
            total += size
        if total > limits.TOTAL_BUFFER_MAX:
            victim = max(heavy, key=lambda one: one.buffered)
            heavy.pop(victim)()
