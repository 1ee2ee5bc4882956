"""Who the hub speaks to, beside devices."""

from __future__ import annotations

from typing import Protocol

from blynkscope.protocol.model import Dialect


class AppPeer(Protocol):
    """A logged-in session of an app or a dashboard page, as the hub sees it."""

    account: str
    """E-mail address of the account whose projects it shows."""
    guest: bool
    """It came in by the token of a share."""
    framing: Dialect
    """How its messages are framed: APP or WEB."""

    def sees(self, dash: int) -> bool:
        """Whether it is shown this dashboard."""

    def send(self, wire: bytes) -> None:
        """Messages in its framing."""

    def push(self, cmd: int, number: int, body: bytes) -> None:
        """A message for it, in the framing that it has."""
