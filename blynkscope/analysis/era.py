"""Legacy server or Blynk IoT? Worked out from host, port, INTERNAL keys and behaviour, and told with the evidence.

What tells of the server goes before what tells of the device: firmware made for one era is often sent to a server of
the other, and that is then the trouble.
"""

from __future__ import annotations

import re

from blynkscope.protocol.model import Era

LEGACY_HOSTS = ("blynk-cloud.com", "cloud.blynk.cc")
"""The cloud that was shut down, and its older name."""
IOT_DOMAIN = "blynk.cloud"
STRONG, FAIR, WEAK = 4, 2, 1
GIVEN = 1000
"""Who runs the analysis has said it."""
_ITEMS_MAX = 12
_HEX_TOKEN = re.compile(r"[0-9a-f]{32}\Z")
_IOT_KEYS = {"tmpl": "a template id", "blynk": "the library's version under `blynk`"}


def era_of_host(host: str | None) -> Era | None:
    """The era that a host name stands for; None for any other host."""
    if not host:
        return None
    name = host.lower().rstrip(".")
    if any(name == known or name.endswith("." + known) for known in LEGACY_HOSTS):
        return Era.LEGACY
    return Era.IOT if name == IOT_DOMAIN or name.endswith("." + IOT_DOMAIN) else None


def era_of_token(token: str | None) -> Era | None:
    """The era that a token's form hints at: legacy ones are hex digits; None where it has no token's form."""
    if not token or len(token) != 32:
        return None
    if _HEX_TOKEN.match(token):
        return Era.LEGACY
    return Era.IOT if re.fullmatch(r"[0-9A-Za-z_-]{32}", token) else None


class Evidence:
    """What speaks for an era, of a server and of a device."""

    __slots__ = ("_device", "_server", "_told")

    def __init__(self) -> None:
        self._server = {Era.LEGACY: 0, Era.IOT: 0}
        self._device = {Era.LEGACY: 0, Era.IOT: 0}
        self._told: dict[str, Era] = {}

    def server(self, era: Era | None, weight: int, why: str) -> None:
        """Something about the server."""
        self._take(self._server, era, weight, why)

    def device(self, era: Era | None, weight: int, why: str) -> None:
        """Something about the device."""
        self._take(self._device, era, weight, why)

    def _take(self, side: dict[Era, int], era: Era | None, weight: int, why: str) -> None:
        if era is None or why in self._told or len(self._told) >= _ITEMS_MAX:
            return
        self._told[why] = era
        side[era] += weight

    @property
    def of_server(self) -> Era | None:
        """The server's era by what is known of the server."""
        return _winner(self._server)

    @property
    def of_device(self) -> Era | None:
        """The era that the device's firmware and token were made for."""
        return _winner(self._device)

    @property
    def era(self) -> Era | None:
        """The era of the conversation: the server's, or, where nothing tells it, the device's."""
        return self.of_server or self.of_device

    @property
    def told(self) -> list[str]:
        """The evidence in words."""
        return list(self._told)

    @property
    def weighed(self) -> list[str]:
        """The same with the verdict in mind: what speaks for it, and then what speaks against it, named so."""
        verdict = self.era
        if verdict is None:
            return self.told
        against = [f"against it: {why}" for why, era in self._told.items() if era is not verdict]
        return [why for why, era in self._told.items() if era is verdict] + against

    def info(self, pairs: dict[str, str]) -> None:
        """The device introduced itself (INTERNAL `ver`, `dev`, …)."""
        version = pairs.get("ver") or pairs.get("blynk")
        if version and re.match(r"0\.\d", version):
            self.device(Era.LEGACY, FAIR, f"library version {version[:16]} is older than Blynk IoT")
        elif version and re.match(r"[1-9]\d?\.\d", version):
            self.device(Era.IOT, WEAK, f"library version {version[:16]} is of Blynk IoT")
        for key, what in _IOT_KEYS.items():
            if key in pairs:
                self.device(Era.IOT, FAIR, f"the device sends {what}")


def _winner(score: dict[Era, int]) -> Era | None:
    legacy, iot = score[Era.LEGACY], score[Era.IOT]
    if legacy == iot:
        return None
    return Era.LEGACY if legacy > iot else Era.IOT
