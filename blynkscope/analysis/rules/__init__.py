"""The rules that raise findings, by family. What they say is in the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blynkscope.analysis.rules import (
    answers,
    bodies,
    calls,
    clouds,
    exposure,
    foreign,
    gateways,
    hosts,
    integrity,
    keys,
    login,
    modules,
    mqtt,
    mqtt_talk,
    networks,
    numbering,
    pace,
    printed,
    proxy,
    reaching,
    reconnects,
    recording,
    records,
    redirects,
    tls,
    unanswered,
    update,
    uploads,
    websocket,
    writes,
)

if TYPE_CHECKING:
    from blynkscope.analysis.rule import StreamRule
    from blynkscope.analysis.run import Run

_RULES: tuple[type[StreamRule], ...] = (
    *recording.RULES, *keys.RULES, *networks.RULES, *update.RULES, *uploads.RULES, *reaching.RULES, *proxy.RULES,
    *tls.RULES, *records.RULES, *foreign.RULES, *websocket.RULES, *calls.RULES, *clouds.RULES, *modules.RULES,
    *gateways.RULES, *login.RULES, *unanswered.RULES, *redirects.RULES, *writes.RULES, *pace.RULES, *answers.RULES,
    *bodies.RULES, *numbering.RULES, *integrity.RULES, *modules.LATE, *exposure.RULES, *hosts.RULES, *networks.LATE,
    *reaching.LATE, *printed.RULES, *mqtt.RULES, *mqtt_talk.RULES, *reconnects.RULES,
)  # fmt: skip
"""In the order in which they are told: causes before consequences."""


def make_rules(run: Run) -> tuple[StreamRule, ...]:
    """The rules of one run."""
    return tuple(rule(run) for rule in _RULES)
