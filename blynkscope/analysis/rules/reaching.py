"""BS1xx: reaching the server."""

from __future__ import annotations

from blynkscope.analysis.rule import StreamRule

RULES: tuple[type[StreamRule], ...] = ()
