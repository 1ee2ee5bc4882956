"""BS6xx: exposure."""

from __future__ import annotations

from blynkscope.analysis.rule import StreamRule

RULES: tuple[type[StreamRule], ...] = ()
