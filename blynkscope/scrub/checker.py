"""The proof: what was written is read as if it were new."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from blynkscope.analysis.analyser import Analyser
from blynkscope.scrub.files import beside_packets, searched
from blynkscope.scrub.gathering import beside_spots, frame_secrets, ip_addresses
from blynkscope.scrub.links import hardware_addresses, network_name
from blynkscope.scrub.matching import Matcher
from blynkscope.scrub.packets import UDP, IpHeader, Segment
from blynkscope.scrub.speech import Listener, Place
from blynkscope.scrub.spots import spots
from blynkscope.scrub.vault import Kind, Vault
from blynkscope.scrub.walk import Raw, walk
from blynkscope.scrub.windows import CARRY
from blynkscope.wire.events import Event


class Checker:
    """Reads what was written as if it were new, and counts what is secret and no placeholder."""

    def __init__(self, vault: Vault, matcher: Matcher) -> None:
        self._vault = vault
        self._matcher = matcher
        self.left: dict[str, int] = {}

    def read(self, written: BinaryIO, name: str) -> None:
        """Count into `left` what is secret in a capture and no placeholder."""
        vault, hosts = self._vault, self._vault.hosts
        size = written.seek(0, 2)
        listener = Listener(lambda *told: self._place(told[2]), self._matcher, hosts=hosts)
        analyser = Analyser(findings=False)

        def events(batch: list[Event]) -> None:
            listener.feed(batch)
            self._secrets(frame_secrets(analyser.feed(batch), hosts=hosts))

        def segment(one: Segment) -> None:
            payload = one.data[one.payload :]
            self._known(payload)
            if one.protocol == UDP:
                self._text(payload)

        def header(one: IpHeader) -> None:
            if hosts:
                for _, raw in ip_addresses(one):
                    if not vault.is_address_placeholder(raw):
                        self._found(Kind.ADDRESS)

        def packet(raw: Raw) -> None:
            if (found := network_name(raw.link, raw.data)) is not None:
                self._secrets([(Kind.SSID, raw.data[slice(*found)])])
            if not raw.read:
                self._known(raw.data)
            if hosts:
                for place in hardware_addresses(raw.link, raw.data):
                    if not vault.is_hardware_placeholder(raw.data[place : place + 6]):
                        self._found(Kind.HARDWARE)

        walk(written, name, segment=segment, header=header, packet=packet, events=events)
        listener.finish()
        self._secrets(frame_secrets(analyser.finish(), hosts=hosts))
        for kind, _, data in beside_packets(written, size):
            if kind == "secrets":
                self.left["key_log_blocks"] = self.left.get("key_log_blocks", 0) + 1
            else:
                self._known(data)
                self._secrets((kind, data[start:end]) for start, end, kind in beside_spots(vault, kind, data))
        # And whatever the file holds that nobody reads.
        if searched(written, size, self._holds_token, CARRY):
            self._found(Kind.TOKEN)

    def _holds_token(self, data: bytes) -> bool:
        return any(kind in {Kind.TOKEN, Kind.MAIL} for _, _, _, kind, _ in self._matcher(data))

    def _place(self, place: Place) -> None:
        if place.new is not None:
            self._found(place.kind)
        else:
            self._secrets([(place.kind, place.secret)])
            self._secrets(place.inside)

    def _text(self, data: bytes) -> None:
        self._secrets((kind, data[start:end]) for start, end, kind in spots(data, hosts=self._vault.hosts))

    def _known(self, data: bytes) -> None:
        for _, _, _, kind, _ in self._matcher(data):
            self._found(kind)

    def _secrets(self, secrets: Iterable[tuple[Kind, bytes]]) -> None:
        for kind, secret in secrets:
            if not self._vault.is_placeholder(kind, secret):
                self._found(kind)

    def _found(self, kind: Kind) -> None:
        self.left[kind.value] = self.left.get(kind.value, 0) + 1
