"""Handshake messages of TLS, put together from the contents of records."""

from __future__ import annotations

from blynkscope.protocol import tls

HANDSHAKE_MAX = 32 * 1024
"""Bytes of one handshake message that are kept: real chains of certificates seldom reach 20 KiB."""
HEADER_SIZE = 4
_TYPES = 25
"""Handshake types are below this, but for one that is never sent."""
_READ = frozenset(
    {tls.CLIENT_HELLO, tls.SERVER_HELLO, tls.CERTIFICATE, tls.CLIENT_KEY_EXCHANGE, tls.ENCRYPTED_EXTENSIONS}
    | {tls.KEY_UPDATE}
)
"""Messages whose bodies tell something by themselves."""


class NoMessageError(Exception):
    """What follows is no handshake message."""


class Messages:
    """Puts the messages of one direction together. Those beyond all measure, and those nobody reads, are not kept.

    Attributes:
        every: Is the body of every message wanted?
    """

    __slots__ = ("_held", "_kind", "_skip", "every")

    def __init__(self) -> None:
        self.every = False
        self._held = bytearray()
        self._kind = 0
        self._skip = 0

    def __bool__(self) -> bool:
        """Has a message begun that is not whole?"""
        return bool(self._held) or self._skip > 0

    @property
    def held(self) -> int:
        """Bytes of a message that is not whole."""
        return len(self._held)

    def clear(self) -> None:
        """Forget a message that is not whole: bytes are missing."""
        self._held.clear()
        self._skip = 0

    def relieve(self) -> None:
        """Keep nothing of a message that is not whole: it will come without its body."""
        held = self._held
        if len(held) > HEADER_SIZE:
            self._kind, size = held[0], int.from_bytes(held[1:HEADER_SIZE], "big")
            self._skip = HEADER_SIZE + size - len(held)
            held.clear()

    def feed(self, content: bytes) -> list[tuple[int, bytes]]:
        """The content of a record; gives type and body of the messages that it completes.

        The body is b"" where it was not kept.

        Raises:
            NoMessageError: It makes no sense; `args[0]` are the messages before it.
        """
        found: list[tuple[int, bytes]] = []
        at = 0
        if self._skip:
            at = min(self._skip, len(content))
            self._skip -= at
            if self._skip:
                return found
            found.append((self._kind, b""))
        held = self._held
        held += content[at:]
        at = 0
        while len(held) - at >= HEADER_SIZE:
            kind, size = held[at], int.from_bytes(held[at + 1 : at + HEADER_SIZE], "big")
            if kind >= _TYPES:
                held.clear()
                raise NoMessageError(found)
            behind = at + HEADER_SIZE + size
            kept = size <= HANDSHAKE_MAX and (self.every or kind in _READ)
            if behind <= len(held):
                found.append((kind, bytes(held[at + HEADER_SIZE : behind]) if kept else b""))
                at = behind
            elif kept:
                break
            else:
                self._kind, self._skip = kind, behind - len(held)
                at = len(held)
        del held[:at]
        return found
