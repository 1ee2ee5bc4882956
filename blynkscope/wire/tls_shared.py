"""What both directions of a TLS connection know together."""

from __future__ import annotations

from typing import Any

from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import suite_name
from blynkscope.wire.facts import Fact
from blynkscope.wire.hellos import ClientHello, ServerHello
from blynkscope.wire.keylog import KeyLog
from blynkscope.wire.layers import Piece
from blynkscope.wire.tls_budget import Budget
from blynkscope.wire.tls_keying import Found, Lack, no_keys, old_openers

HANDSHAKES_MAX = 16
"""Handshakes on one connection that are followed; renegotiation happens once, if ever."""
_FINISHED_MIN = 24
"""An encrypted record of TLS 1.3 up to this size may be an alert, and proves no finished handshake."""


class Shared:
    """The hellos, the keys and what was said about them. `out` are the pieces that wait to be given."""

    def __init__(self, keys: KeyLog | None, budget: Budget) -> None:
        self.keys = keys
        self.budget = budget
        self.clients: list[ClientHello] = []
        self.servers: list[ServerHello] = []
        self.retried = False
        self.early_offered = False
        self.early_accepted: bool | None = None
        self.transcripts: tuple[list[bytes], list[bytes]] = ([], [])
        self.exchange = b""
        self.out: list[tuple[int, Piece]] = []
        self._told: list[dict[str, Any]] = []
        self._pairs: dict[int, tuple[Found, Found]] = {}
        self._client_finished = False

    @property
    def is_new(self) -> bool | None:
        """Is it TLS 1.3? None while nobody knows."""
        if self.retried:
            return True
        return self.servers[0].is_new if self.servers else None

    @property
    def hopeless(self) -> Lack | None:
        """Why nothing can be opened, whatever the hellos say."""
        keys = self.keys
        return no_keys(keys) if keys is None or not (keys.lines or keys.growing) else None

    def say(self, direction: int, kind: str, time: float | None, detail: dict[str, Any]) -> None:
        """Give a fact."""
        self.out.append((direction, Fact(kind, time, detail)))

    def taken(self) -> list[tuple[int, Piece]]:
        """The pieces that wait; they are not given again."""
        pieces, self.out = self.out, []
        return pieces

    def pair(self, epoch: int) -> tuple[Found, Found] | Lack:
        """What opens the records behind a handshake of TLS 1.0 to 1.2."""
        pair = self._pairs.get(epoch)
        if pair is None:
            assert self.keys is not None
            transcript = b"".join(self.transcripts[0][:1] + self.transcripts[1] + self.transcripts[0][1:])
            found = old_openers(self.keys, self.clients[epoch], self.servers[epoch], transcript, self.exchange)
            if isinstance(found, Lack):
                return found
            pair = self._pairs[epoch] = found
            for kept in self.transcripts:
                kept.clear()
        return pair

    def tell_opened(self, direction: int, source: str, time: float | None) -> None:
        """The first record was opened."""
        if not any(told["state"] == "opened" for told in self._told):
            server = self.servers[-1]
            detail = {
                "state": "opened",
                "version": tls.version_name(server.version),
                "cipher": suite_name(server.cipher),
                "source": source,
            }
            self._told.append(detail)
            self.say(direction, "tls-keys", time, detail)

    def tell_lack(self, direction: int, lack: Lack, time: float | None) -> None:
        """Application data cannot be opened."""
        detail, state = lack.detail, lack.detail["state"]
        for told in self._told:
            # Lines that belong to other connections, and come while this one lasts, change nothing.
            if told == detail or (state == "unmatched" and told["state"] in {"none", "unmatched"}):
                return
        self._told.append(detail)
        self.say(direction, "tls-keys", time, detail)

    def proves_data(self, direction: int, size: int, *, certain: bool) -> bool:
        """Does an encrypted record prove that there is application data?

        In TLS 1.3 the handshake looks like it too: only behind the client's Finished the next ones are.
        """
        if certain or not self.is_new:
            return True
        if direction == 0 and size > _FINISHED_MIN:
            self._client_finished = True
        return self._client_finished
