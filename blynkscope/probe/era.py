"""The generation of a server, from what it answered."""

from __future__ import annotations

from blynkscope.analysis.era import FAIR, STRONG, WEAK, Evidence, era_of_host
from blynkscope.probe.model import EraFacts, Report
from blynkscope.protocol.model import Era
from blynkscope.protocol.statuses import INVALID_TOKEN

_LEGACY_PORTS, _IOT_PORTS = frozenset({8080, 9443, 8441, 8442, 8443}), frozenset({80, 443})


def era_of(report: Report) -> EraFacts:
    """Legacy server or Blynk IoT, and what tells it."""
    evidence = Evidence()
    evidence.server(era_of_host(report.host), STRONG, f"the host is {report.host[:100]}")
    for port in report.ports:
        for one in port.others:
            if one.kind == "http-api":
                era = Era.IOT if one.text.startswith("the Blynk IoT") else Era.LEGACY
                evidence.server(era, FAIR, f"port {port.port} answers as {one.text} does")
            elif one.kind == "mqtt":
                evidence.server(Era.IOT, FAIR, f"port {port.port} speaks MQTT, which legacy servers do not have")
        if "blynk" not in port.speaks:
            continue
        if port.port in _LEGACY_PORTS:
            evidence.server(Era.LEGACY, WEAK, f"devices are taken on port {port.port}, as a legacy server does")
        elif port.port in _IOT_PORTS:
            evidence.server(Era.IOT, WEAK, f"devices are taken on port {port.port}, as Blynk IoT does")
        for login in port.logins:
            if login.status == INVALID_TOKEN and (login.closing or "").startswith("stays open, closes at a ping"):
                evidence.server(
                    Era.LEGACY, WEAK, "an unknown token leaves the connection open, and a ping closes it, as measured "
                    "with the legacy server",
                )  # fmt: skip
    found = evidence.of_server
    return EraFacts(found.value if found is not None else None, tuple(evidence.weighed))
