"""BS2xx: logging in."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

RULES: tuple[Rule, ...] = (
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
)
