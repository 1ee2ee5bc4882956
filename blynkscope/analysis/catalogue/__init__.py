"""Every finding that blynkscope can report: its stable id, severity, group, and the page that `explain` prints.

The hundred of an id tells the family: 1 reaching the server, 2 logging in, 3 talking, 4 firmware update, 5 other
clouds, 6 exposure, 9 the capture itself; each has a file. A rule decides *when* one is raised (`analysis.rules`); what
it says is here.
"""

from __future__ import annotations

from blynkscope.analysis.catalogue import (
    calls,
    clouds,
    exposure,
    login,
    mqtt,
    proxy,
    reaching,
    recording,
    talking,
    update,
    websocket,
)
from blynkscope.analysis.catalogue.model import RANK, Rule, Severity

__all__ = ["CATALOGUE", "FAMILIES", "RANK", "Rule", "Severity", "find_rule"]

FAMILIES = {
    1: "reaching the server",
    2: "logging in",
    3: "talking",
    4: "firmware update",
    5: "other clouds",
    6: "exposure",
    9: "the capture itself",
}
"""What the hundred of an id means."""

_RULES = (
    *reaching.RULES, *login.RULES, *talking.RULES, *update.RULES, *clouds.RULES, *exposure.RULES, *recording.RULES,
    *calls.RULES, *mqtt.RULES, *proxy.RULES, *websocket.RULES,
)  # fmt: skip

CATALOGUE: dict[str, Rule] = {rule.id: rule for rule in _RULES}
"""All findings by id."""


def find_rule(name: str) -> Rule | None:
    """A finding by its id or slug, in any case."""
    wanted = name.strip().lower()
    for rule in _RULES:
        if wanted in {rule.id.lower(), rule.slug}:
            return rule
    return None
