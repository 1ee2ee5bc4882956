"""Which frames a call of the HTTP API caused: the server relays what it writes to the device, with the fixed id 111."""

from __future__ import annotations

from collections import deque
from hashlib import blake2s
from typing import TYPE_CHECKING

from blynkscope.analysis.pins import Digest
from blynkscope.analysis.records import LinkRecord
from blynkscope.protocol import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blynkscope.analysis.conversation import Conversation
    from blynkscope.protocol.rest import PinWrite

RELAY_SECONDS = 5.0
"""A server relays within milliseconds; a device on a slow link is reached within some seconds."""
EXPECTED_MAX = 512
"""Calls that wait for their frames: more than a server takes in `RELAY_SECONDS` from one user."""
FRAMES_MAX = 16
"""Frames of one call that are linked: one for each connection of the device, which has one or two."""


class Expectation:
    """What one call should cause.

    Attributes:
        token: The device's token.
        writes: Pins and values as frames carry them.
        time: When the call was complete.
        frames: Numbers of the frames that it caused.
        message: Number of the call's record, once that is made.
    """

    __slots__ = ("_taken", "frames", "message", "time", "token", "writes")

    def __init__(self, token: str | None, writes: Iterable[PinWrite], time: float | None) -> None:
        self.token = token
        self.writes = [(one.key[: limits.VALUES_KEPT], _kept(one.raw)) for one in writes]
        self.time = time
        self.frames: list[int] = []
        self.message: int | None = None
        self._taken: set[tuple[int, bytes]] = set()

    def takes(self, stream: int, key: bytes, values: bytes | None) -> bool:
        """Is this the frame? Each connection of the device gets each write once."""
        if len(self.frames) >= FRAMES_MAX or (stream, key) in self._taken or (key, values) not in self.writes:
            return False
        self._taken.add((stream, key))
        return True


class Relays:
    """The calls of one run whose frames may still come."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: deque[Expectation] = deque()

    def expect(self, call: Expectation) -> None:
        """A call was made that should cause frames."""
        if not call.writes:
            return
        if len(self._calls) >= EXPECTED_MAX:
            self._calls.popleft()
        self._calls.append(call)

    def drop(self, call: Expectation) -> None:
        """A call was refused: it causes nothing."""
        if call in self._calls:
            self._calls.remove(call)

    def wrote(
        self, stream: Conversation, n: int, time: float | None, message_id: int, key: bytes, values: bytes | None
    ) -> list[LinkRecord]:
        """A server relays a write to a device.

        Args:
            stream: The device's.
            n: Number of the frame.
            time: When it was seen.
            message_id: Its id, which is the same for all that the HTTP API causes.
            key: Pin as `vw1`.
            values: Raw values joined by NUL, or their digest where they are long.

        Returns:
            A link, where the record of the call that caused it was made before.
        """
        calls = self._calls
        while calls and _elapsed(calls[0].time, time) > RELAY_SECONDS:
            calls.popleft()
        for call in calls:
            if _meant(stream, call.token) and call.takes(stream.number, key, values):
                call.frames.append(n)
                return [LinkRecord(call.message, n, time)] if call.message is not None else []
        return []


def _elapsed(before: float | None, now: float | None) -> float:
    return now - before if now is not None and before is not None else 0.0


def _meant(stream: Conversation, token: str | None) -> bool:
    """May this be a connection of the device with this token? Certain where the capture holds its login."""
    device = stream.device
    if token is None or device is None:
        return True
    owner = stream.run.devices._by_key.get("token " + token)
    if owner is not None:
        return owner is device
    return not any(entry.login for entry in device.connections)


def _kept(values: bytes) -> bytes:
    """Values as they are kept of frames: see `Digest`."""
    return values if len(values) <= limits.VALUES_KEPT else Digest(blake2s(values).digest())
