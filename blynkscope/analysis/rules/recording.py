"""BS9xx: the capture itself."""

from __future__ import annotations

from blynkscope.analysis.rule import StreamRule

RULES: tuple[type[StreamRule], ...] = ()
