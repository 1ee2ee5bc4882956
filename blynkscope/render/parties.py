"""Who talks with whom on a stream, for outputs that draw the two sides."""

from __future__ import annotations

from dataclasses import dataclass, field

from blynkscope.analysis.records import FrameRecord, MessageRecord, StreamRecord
from blynkscope.render.safe import safe_line

ORDER = ("device", "client", "server", "app")
"""Parties from left to right. `client` is one of whom nothing told yet whether it is a device or an app."""
_ADDRESS_MAX = 80


@dataclass(slots=True)
class Parties:
    """The parties of one stream, as far as its records told of them.

    Args:
        client: Address of the one that connected, safe to show.
        server: Address of the one that was connected to.
        joined: The capture began in the middle of the stream.
        log: The stream is told by a log, which a device writes until something says otherwise.
        seen: Who took part; see `ORDER`.
    """

    client: str = ""
    server: str = ""
    joined: bool = False
    log: bool = False
    seen: set[str] = field(default_factory=set)

    def opened(self, record: StreamRecord) -> None:
        """Take in the record of the stream's beginning."""
        detail = record.detail
        self.client = safe_line(str(detail.get("client") or detail.get("src") or ""), _ADDRESS_MAX)
        self.server = safe_line(str(detail.get("server") or detail.get("dst") or ""), _ADDRESS_MAX)
        self.log = bool(detail.get("log"))
        self.joined = detail.get("handshake") is False and not self.log

    def take(self, *parties: str) -> None:
        """These take part."""
        self.seen.update(parties)
        if self.seen & {"device", "app"}:
            self.seen.discard("client")

    def sides(self, record: FrameRecord) -> tuple[str, str]:
        """Who sent a frame and who gets it. Both are taken in."""
        sender, direct = record.sender, "server" not in self.seen and self.seen >= {"device", "app"}
        if sender not in {"device", "server", "app"}:
            sides = ("server", "client") if record.src and record.src == self.server else ("client", "server")
            client = next((party for party in ("device", "app") if party in self.seen), "client")
            sides = (sides[0].replace("client", client), sides[1].replace("client", client))
        elif sender == "server":
            other = next((party for party in ("device", "app") if party in self.seen), None)
            sides = sender, other or ("device" if record.dialect == "hardware" else "app")
        elif direct or (sender == "app" and record.dialect == "hardware"):
            # An app that speaks a device's header talks to the device itself.
            sides = sender, "app" if sender == "device" else "device"
        else:
            sides = sender, "server"
        self.take(*sides)
        return sides

    def sides_of_message(self, record: MessageRecord) -> tuple[str, str]:
        """The same of a message of another protocol."""
        client = next((party for party in ("device", "app") if party in self.seen), "client")
        if record.sender in {"device", "app"}:
            sides = record.sender, "server"
        elif record.sender == "server" or (record.src and record.src == self.server):
            sides = "server", client
        else:
            sides = client, "server"
        self.take(*sides)
        return sides

    def columns(self) -> tuple[str, ...]:
        """The parties from left to right; at least two."""
        shown = tuple(party for party in ORDER if party in self.seen)
        return shown if len(shown) > 1 else ("device" if self.log else "client", "server")

    def address(self, party: str) -> str:
        """Where a party is, "" where that is unknown."""
        return self.server if party == "server" else self.client
