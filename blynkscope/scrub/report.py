"""What a redaction did, for people and for programs. It never holds a secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Report:
    """What was done to one input.

    Args:
        kind: "capture", "log" or "bytes".
    """

    kind: str
    packets: int = 0
    """Packets of a capture, lines of a log."""
    dropped: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    """What could not be looked into."""
    notes: list[str] = field(default_factory=list)
    remaining_lines: dict[str, list[int]] = field(default_factory=dict)
    """By kind, the lines of a log in which a secret was left."""

    damaged: bool = False
    """True where the input broke; what came before is in the output, and what came behind was searched as text."""

    def as_fields(self, replaced: dict[str, dict[str, int]], remaining: dict[str, int]) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "record": "redaction",
            "schema": 1,
            "kind": self.kind,
            "packets" if self.kind == "capture" else "lines": self.packets,
            "replaced": replaced,
            "dropped": {name: count for name, count in self.dropped.items() if count},
            "left": {name: count for name, count in self.left.items() if count},
            "remaining": remaining,
            "verified": not remaining,
            "notes": self.notes,
        }
