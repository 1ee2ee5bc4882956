"""What the server is told, and what stands between it and the sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from blynkscope.protocol.model import Era

LEGACY_QUIRKS = ("quota-desync", "info-by-first-letter", "silent-websocket")
"""What the legacy server does and a better one would not. Over its quota it takes the header of a frame away and leaves
the body; it answers INTERNAL info by the first letter of its first key, so that `mcu` gets nothing; and an upgrade to
any path but its own is never answered."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the server behaves.

    Attributes:
        like: The generation of Blynk that it behaves like.
        tokens: Devices that it knows.
        any_token: A login with any other token makes a device of it.
        account: E-mail address and password of the account that owns these devices.
        admin: User and password of the administration, that orders firmware updates.
        redirect: Where logins are sent instead (host, port); None takes them.
        quirks: Of `LEGACY_QUIRKS`.
        heartbeat: Seconds of a device's heartbeat that announces none.
        quota: Messages a second that a device may send on average; None for the era's own limit, 0 for no limit.
        public: `host[:port]` in the URLs of firmware; None takes what the order was addressed to.
        firmware: Folder whose files are offered below `/static/ota/`, beside uploaded ones.
    """

    like: Era = Era.LEGACY
    tokens: tuple[str, ...] = ()
    any_token: bool = False
    account: tuple[str, str] = ("dev@example.com", "")
    admin: tuple[str, str] = ("admin", "")
    redirect: tuple[str, int] | None = None
    quirks: frozenset[str] = frozenset()
    heartbeat: float = 10.0
    quota: float | None = None
    public: str | None = None
    firmware: Path | None = None


class Link(Protocol):
    """The way from a session to its client. Bytes leave once the hub has committed what was stored before them."""

    @property
    def over(self) -> bool:
        """Nothing that is sent from now on arrives: whoever works off what the client said may stop."""

    def send(self, data: bytes) -> None:
        """Bytes for the client."""

    def close(self) -> None:
        """End behind what was sent."""

    def abort(self) -> None:
        """End now, with RST."""

    def drained(self, then: Callable[[], None]) -> None:
        """Call this once, when the client has taken what was sent: so that what is large is made piece by piece."""


class Session(Protocol):
    """One connection, or what is inside of a WebSocket."""

    def feed(self, data: bytes, time: float) -> None:
        """Bytes of the client, however they are cut. It raises nothing."""

    def ended(self, time: float) -> None:
        """FIN of the client."""

    def lost(self, time: float) -> None:
        """The connection is gone; the last call, and always made."""
