"""BS4xx: firmware update."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule

RULES: tuple[Rule, ...] = ()
