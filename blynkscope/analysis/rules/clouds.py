"""BS5xx: other clouds."""

from __future__ import annotations

from blynkscope.analysis.rule import StreamRule

RULES: tuple[type[StreamRule], ...] = ()
