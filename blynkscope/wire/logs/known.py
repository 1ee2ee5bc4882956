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
    r"\s*+(?:(?:TRACE|DEBUG|INFO|WARN|ERROR)\s?- ?)?(?:\[(?:info|warn|error|debug|trace|red)\] )?"
    r"(?:\[blynk-[a-z]{2,12}[^\]]{0,120}\] )?(?:\[blynklib\] )?",
    re.IGNORECASE,
)
_BOOT_CAUSES = {
    "1": "power on", "2": "reset pin", "3": "software restart or exception", "4": "watchdog",
    "5": "deep sleep",
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
_SECRETS = re.compile(r"( Pass: ).*|( -u ?| --user[ =])\S+|(?<= SSL/TLS record: )([0-9a-f]{10})[0-9a-f]++", re.DOTALL)
"""A Wi-Fi password, a name and password behind curl, and the token behind the header of a login as hex digits."""
_MODEM_SECRETS = re.compile(
    r"(\+CW[JS]AP\w{0,4} ?= ?\"[^\"]{0,64}\" ?, ?\"|\+CSTT ?= ?\"[^\"]{0,64}\" ?, ?\"[^\"]{0,64}\" ?, ?\""
    r"|\"PWD\" ?, ?\")[^\"]++|(\+CPIN ?= ?\"?)\d++"
)
"""Passwords of a Wi-Fi network and of an access point, and a SIM card's PIN, in commands to a modem."""
_SPOKEN_SECRETS = re.compile(
    r"(--?(?:token|auth|pass(?:word)?)[= ])[^\s'\"]++|(\b[Tt]oken is:? )[A-Za-z0-9_-]{32}(?![A-Za-z0-9_-])"
    r"|(\b[Pp]assword is:? )\S++"
    r"|((?i:\b(?:pass(?:word|wd|phrase)|psk|pwd)\d?\b)[\"']?[ ]{0,4}[:=][ ]{0,4}[\"']?)[^\s,;\"']++"
    r"|(?<![\w/=?&-])(?<!oken: )(?=[\w-]{0,31}[0-9])(?=[\w-]{0,31}[A-Za-z])[\w-]{32}(?![\w-])"
)
"""Secrets in commands and sentences that people and programs print, and a word that has the form of a token."""
_PORT_MAX = 65535


def masked(text: str) -> str:
    """A line that means nothing, without the secrets that it says in words."""
    return _SPOKEN_SECRETS.sub(r"\1\2\3\4***", text)


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
            said = _SECRETS.sub(r"\1\2\3***", line)
            if each.kind == "modem":
                said = _MODEM_SECRETS.sub(r"\1\2***", said)
                found["text"] = _MODEM_SECRETS.sub(r"\1\2***", found.get("text", said))
            return Told(each.kind, said, _tidy(each.kind, found))
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
