"""BS4xx: firmware update."""

from __future__ import annotations

from blynkscope.analysis.rule import StreamRule

RULES: tuple[type[StreamRule], ...] = ()
