"""The scenarios that come with the package, as TOML files beside this module."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from blynkscope.faults.load import load
from blynkscope.faults.model import FaultsError, RuleSet

SCENARIOS: dict[str, str] = {
    "lost-acks": "Half of the answers that follow the login's never reach the device.",
    "invalid-token": "Every login is refused with STA_INVALID_TOKEN; the server never sees it.",
    "flood-quota": "After 100 messages comes STA_QUOTA_LIMIT_EXCEPTION, and then nothing is heard any more.",
    "slow-cloud": "Everything from the server comes half a second to two and a half seconds late.",
    "redirect": "Every login is answered with a redirect to another host.",
    "heartbeat-starvation": "No ping arrives, in neither direction.",
    "ota-dead-address": "Firmware updates are ordered from an address that the device cannot reach.",
    "half-open": "After half a minute nothing passes any more, and nobody is told.",
    "fragments": "Everything for the device arrives byte by byte.",
    "cut-off": "The connection is reset in the middle of a message.",
}
"""Name and one-line description, in the order in which they are listed."""


def reference() -> str:
    """What a file of rules may say, as text for people."""
    return files("blynkscope.faults").joinpath("reference.txt").read_text("utf-8")


def scenario_text(name: str) -> str:
    """The TOML text of a scenario, comments included.

    Raises:
        FaultsError: There is none of this name.
    """
    if name not in SCENARIOS:
        found = get_close_matches(name[:40], SCENARIOS, n=1)
        hint = f'did you mean "{found[0]}"?' if found else f"there are {', '.join(SCENARIOS)}"
        raise FaultsError(f"no such scenario; {hint}", name[:40])
    return files("blynkscope.faults").joinpath("scenarios", f"{name}.toml").read_text("utf-8")


@cache
def scenario(name: str) -> RuleSet:
    """The rules of a scenario.

    Raises:
        FaultsError: There is none of this name.
    """
    return load(scenario_text(name), name=name)
