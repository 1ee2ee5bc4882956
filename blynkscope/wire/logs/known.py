"""A line of text that is no message → what it means, where it means something for a connection.

The rules are in the `rules_*` modules, by who writes such lines; the first that fits gives kind and facts.
"""

from __future__ import annotations

import re
from typing import Any

from blynkscope.wire.logs import particle
from blynkscope.wire.logs.model import Told
from blynkscope.wire.logs.rules_blynk import CPP, EDGENT, SERVER
from blynkscope.wire.logs.rules_boards import CRASH, MODULES, RESET
from blynkscope.wire.logs.rules_network import CURL, GATEWAY, SOCKETS, TLS

_RULES = (*GATEWAY, *EDGENT, *CURL, *TLS, *SOCKETS, *CPP, *SERVER, *CRASH, *RESET, *MODULES)
_NEEDLES: dict[str, list[int]] = {}
for _place, _rule in enumerate(_RULES):
    for _needle in _rule.needles:
        _NEEDLES.setdefault(_needle, []).append(_place)
_LINE_MAX = 4096
"""Characters of a line that are looked at; what a line means stands at its beginning."""

_FRONT = re.compile(
    r"\s*+(?:(?:TRACE|DEBUG|INFO|WARN|ERROR)\s?- ?)?(?:\[(?:info|warn|error|debug|trace)\] )?"
    r"(?:\[blynk-ws[^\]]{0,120}\] )?(?:\[blynklib\] )?",
    re.IGNORECASE,
)
_BOOT_CAUSES = {
    "1": "power on", "2": "reset pin", "3": "software restart or exception", "4": "watchdog",
}  # fmt: skip
"""Numbers behind the ESP8266's `rst cause:`."""
_SAME = {
    "on": "board",
    "port2": "port",
    "why": "reason",
    "to": "host",
    "name": "host",
    "peer": "host",
    "tool": "program",
}
"""Groups that stand for the same fact in another place of their pattern."""
_SECRETS = re.compile(r"( Pass: ).*|( -u ?| --user[ =])\S+", re.DOTALL)
"""A Wi-Fi password, and a name and password behind curl."""
_PORT_MAX = 65535


def told(text: str) -> Told | None:
    """Name a line of text.

    Args:
        text: The line without its stamps; a log's own tags may stand in front.

    Returns:
        Kind and facts, or None where the line means nothing that is known. Never raises.
    """
    line = text[:_LINE_MAX].strip(" \t\r\n\0")
    front = _FRONT.match(line)
    line = line[front.end() :] if front else line
    if len(line) < 2:
        return None
    of_particle = particle.facts(line)
    if of_particle is not None:
        return Told("particle", line, of_particle)
    # Most lines hold no needle at all; of the rules of those that do, the first in the list goes first.
    places = {place for needle, listed in _NEEDLES.items() if needle in line for place in listed}
    for place in sorted(places):
        each = _RULES[place]
        found = each.facts(line)
        if found is not None:
            return Told(each.kind, _SECRETS.sub(r"\1\2***", line), _tidy(each.kind, found))
    return None


def _tidy(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    """One name for each fact, and codes by what they mean."""
    for other, name in _SAME.items():
        if other in found and not (kind == "state" and other == "to"):
            value = found.pop(other)
            found[name] = int(value) if name == "port" else value
    port = found.get("port")
    if isinstance(port, int) and port > _PORT_MAX:
        del found["port"]
    if kind == "reset" and found.get("cause") in _BOOT_CAUSES:
        found["cause"] = _BOOT_CAUSES[found["cause"]]
    return found
