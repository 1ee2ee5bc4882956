"""What a Particle (Spark) board and its tools say about the way into their own cloud.

System firmware prints long lines, and pasting joins them: all that a line tells goes into one set of facts.
"""

from __future__ import annotations

import re
from typing import Any

from blynkscope.wire.logs.rules import whole

_NEEDLES = (
    "andshake",
    "spark",
    "Cloud",
    "loud connected",
    "connected to cloud",
    "receive",
    "bytes to socket",
    "particle ",
    "DFU",
    "New Key",
    "keys in place",
    "public key",
    "saving key",
)

_HOST = re.compile(
    r"device\.spark\.io=(?P<ip>\d{1,3}(?:\.\d{1,3}){3})"
    r"|Resolved host (?P<host>[\w.-]{1,253}) to (?P<ip2>\d{1,3}(?:\.\d{1,3}){3})"
)
_READ = re.compile(
    r"receive bytes (?P<read>\d{1,5}) of \d{1,5}|handshake: (?:read|received) (?P<read2>\d{1,5})\b", re.IGNORECASE
)
_WRITTEN = re.compile(
    r"Write (?P<written>\d{1,5}) bytes to socket|handshake: (?:sent"
    r"|written?) (?P<written2>\d{1,5})\b",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"(?:Unable to receive (?P<step>nonce|key|session)\w*|[Cc]loud handshake failed, code="
    r"|[Hh]andshake (?:failed|error):?) ?(?P<code>-?\d{1,6})?"
)
_SAID = re.compile(
    r"(?:[^\n]{0,80}?[>$#:] ?)?(?P<action>particle keys (?:doctor|server)\b|particle (?:flash"
    r"|update|serial monitor)\b)"
    r"|(?P<tool>New Key Created!|Okay! New keys in place|Found DFU device|submitting public key"
    r"|attempting to add a new"
    r" public key|Error saving key to device|Opening DFU capable USB device"
    r"|Invalid DFU suffix signature)"
    r"|(?:[^\n]{0,120}?: ?)?(?P<cloud>Cloud: (?:connecting|disconnecting|disconnected)"
    r"|Cloud socket connected|[Ss]tarting handshake|[Cc]loud connected)"
    r"|(?:[^\n]{0,120}?: ?)?(?P<to>connect(?:ed"
    r"|ion attempt)? to (?:cloud )?\d{1,3}(?:\.\d{1,3}){3}:5683)"
    r"|(?P<test>connected to device server CoAP|connecting to cloud)"
)
_NONCE = 40
_KEY = 256


def facts(text: str) -> dict[str, Any] | None:
    """What a line tells of the handshake or the tools; None where it is no such line."""
    if not any(needle in text for needle in _NEEDLES):
        return None
    found: dict[str, Any] = {}
    for pattern in (_HOST, _READ, _WRITTEN):
        if match := pattern.search(text):
            found |= _numbers(match)
    if found.get("read") == _NONCE:
        found["step"] = "nonce"
    if found.get("written") == _KEY:
        found["step"] = "key"
    for match in _FAILED.finditer(text):
        if match["step"] or match["code"]:
            found |= _numbers(match)
    if "ip" in found:
        found.setdefault("host", "device.spark.io")
    if not found:
        said = _SAID.match(text)
        if said is None:
            return None
        found = {"says": next(value for value in said.groups() if value).strip()}
    return found


def _numbers(match: re.Match[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in match.groupdict().items():
        if value is not None:
            key = name.rstrip("2")
            out[key] = whole(value) if key in ("read", "written", "code") else value
    return out
