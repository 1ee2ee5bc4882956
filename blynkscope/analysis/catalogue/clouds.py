"""BS5xx: other clouds."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule

RULES: tuple[Rule, ...] = ()
