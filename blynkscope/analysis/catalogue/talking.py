"""BS3xx: talking."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

RULES: tuple[Rule, ...] = (
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
