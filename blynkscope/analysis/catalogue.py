"""Every finding that blynkscope can report: its stable id, severity, group, and the page that `explain` prints.

The hundred of an id tells the family: 1 reaching the server, 2 logging in, 3 talking, 4 firmware update, 5 other
clouds, 6 exposure, 9 the capture itself. A rule decides *when* one is raised (`analysis.rules`); what it says is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    NOTE = "note"
    """Normal, unproven or worth knowing."""
    WARNING = "warning"
    """Likely to fail, or an answer that should be there is missing."""
    ERROR = "error"
    """Communication failed or data was lost."""


RANK = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}


@dataclass(frozen=True, slots=True)
class Rule:
    """One finding of the catalogue.

    Args:
        id: `BS` and three digits, stable for ever.
        slug: The same in words.
        severity: How bad it is.
        group: What it is about, in one or two words.
        title: One line.
        why: Why it matters.
        fix: What to do, in device code or on the server.
        section: Section of the protocol reference on which it rests.
    """

    id: str
    slug: str
    severity: Severity
    group: str
    title: str
    why: str
    fix: str
    section: str


_RULES = (
    Rule(
        "BS201",
        "invalid-token",
        Severity.ERROR,
        "login",
        "The server does not know this token",
        "STA_INVALID_TOKEN means that the token is unknown to the server that was asked, not that it was damaged on "
        "the way. Most often a token of Blynk IoT was sent to a legacy server (blynk-cloud.com or a self-hosted one), "
        "or the other way round: the two know nothing of each other's tokens. Otherwise the token was refreshed, "
        "mistyped, cut short, or pasted with quotes or white space. The connection stays open, so a device that goes "
        "on writing is ignored.",
        "Compare the host with where the token comes from: Blynk IoT tokens (and BLYNK_TEMPLATE_ID in the sketch) "
        "belong to blynk.cloud, legacy tokens to the legacy server that issued them. Copy the token again, 32 "
        "characters, without quotes or spaces.",
        "status codes, 9",
    ),
    Rule(
        "BS301",
        "unacknowledged-write",
        Severity.NOTE,
        "delivery",
        "Virtual writes without proof of arrival",
        "A Blynk server never answers a good write, so silence proves nothing either way. What a capture can prove is, "
        "from weak to strong: sent (the bytes left), delivered (the server's TCP acknowledged them), passed (a later "
        "request on the same connection was answered, so the server has read past the write), confirmed (a HW_SYNC of "
        "the pin returned the same value). Writes below confirmed are counted here.",
        "Where a value must arrive, synchronise the pin after writing it (Blynk.syncVirtual(V1)) and compare the value "
        "that comes back; a PING or a property change after the write at least proves that the server read past it.",
        "who is answered",
    ),
)

CATALOGUE: dict[str, Rule] = {rule.id: rule for rule in _RULES}
"""All findings by id."""


def find_rule(name: str) -> Rule | None:
    """A finding by its id or slug, in any case."""
    wanted = name.strip().lower()
    for rule in _RULES:
        if wanted in {rule.id.lower(), rule.slug}:
            return rule
    return None
