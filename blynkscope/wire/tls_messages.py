"""Handshake messages of TLS, put together from the contents of records."""

from __future__ import annotations

HANDSHAKE_MAX = 128 * 1024
"""Bytes of one handshake message that are kept: above any real chain of certificates, of which some reach 20 KiB."""
HEADER_SIZE = 4
_TYPES = 25
"""Handshake types are below this, but for one that is never sent."""


class NoMessageError(Exception):
    """What follows is no handshake message."""


class Messages:
    """Puts the messages of one direction together. Those beyond all measure are passed over."""

    __slots__ = ("_held", "_skip")

    def __init__(self) -> None:
        self._held = bytearray()
        self._skip = 0

    def __bool__(self) -> bool:
        """Has a message begun that is not whole?"""
        return bool(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        """Forget a message that is not whole: bytes are missing."""
        self._held.clear()
        self._skip = 0

    def feed(self, content: bytes) -> list[tuple[int, bytes]]:
        """The content of a record; gives type and body of the messages that it completes.

        Raises:
            NoMessageError: It makes no sense; `args[0]` are the messages before it.
        """
        found: list[tuple[int, bytes]] = []
        skipped = min(self._skip, len(content))
        self._skip -= skipped
        held = self._held
        held += content[skipped:]
        at = 0
        while len(held) - at >= HEADER_SIZE:
            kind, size = held[at], int.from_bytes(held[at + 1 : at + HEADER_SIZE], "big")
            if kind >= _TYPES:
                held.clear()
                raise NoMessageError(found)
            behind = at + HEADER_SIZE + size
            if size > HANDSHAKE_MAX:
                self._skip = max(0, behind - len(held))
            elif behind > len(held):
                break
            else:
                found.append((kind, bytes(held[at + HEADER_SIZE : behind])))
            at = min(behind, len(held))
        del held[:at]
        return found
