"""Who the hub speaks to, beside devices."""

from __future__ import annotations

from typing import Protocol


class AppPeer(Protocol):
    """A logged-in session of an app or a dashboard page, as the hub sees it."""

    account: str
    """E-mail address of the account whose projects it shows."""
    guest: bool
    """It came in by the token of a share."""

    def sees(self, dash: int) -> bool:
        """Whether it is shown this dashboard."""

    def push(self, cmd: int, number: int, body: bytes) -> None:
        """A message for it, in the framing that it has."""
