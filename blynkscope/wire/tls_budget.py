"""What all TLS connections of a run hold together."""

from __future__ import annotations

from blynkscope.protocol import limits


class Budget:
    """Counts bytes that wait: for keys, for the rest of a record, for the rest of a handshake message.

    Attributes:
        held: Bytes of all connections that count into it.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0

    @property
    def crowded(self) -> bool:
        """Must each connection be content with little?"""
        return self.held > limits.TOTAL_BUFFER_MAX
