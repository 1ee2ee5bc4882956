"""How a finding is described."""

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
        section: Topic of the protocol that it belongs to.
    """

    id: str
    slug: str
    severity: Severity
    group: str
    title: str
    why: str
    fix: str
    section: str
