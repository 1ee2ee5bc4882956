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
UNMET_MAX = 64
"""Calls without a frame that wait to be reported: they are few, or all alike."""
ORDERS_MAX = 256
"""URLs of firmware that one run remembers, and devices that one call orders to load it."""
URL_MAX = 512
"""Characters of such a URL; real ones have 60."""
FRAMES_MAX = 16
"""Frames of one call that are linked: one for each connection of the device, which has one or two."""


class Expectation:
    """What one call should cause.

    Attributes:
        stream: Number of the call's.
        server: `address:port` that it was made to.
        token: The device's token.
        writes: Pins and values as frames carry them.
        time: When the call was complete.
        frames: Numbers of the frames that it caused.
        message: Number of the call's record, once that is made.
        accepted: True once the server said that it carried the call out.
        orders: True for the order of a firmware update, which causes an INTERNAL frame and no write.
    """

    __slots__ = ("_taken", "accepted", "frames", "message", "orders", "server", "stream", "time", "token", "writes")

    def __init__(
        self, stream: Conversation, token: str | None, writes: Iterable[PinWrite], time: float | None,
        *, orders: bool = False,
    ) -> None:  # fmt: skip
        self.stream = stream.number
        self.server = stream.opened.server or ""
        self.accepted = False
        self.orders = orders
        self.token = token
        self.writes = [(one.key[: limits.VALUES_KEPT], _kept(one.raw)) for one in writes]
        self.time = time
        self.frames: list[int] = []
        self.message: int | None = None
        self._taken: set[tuple[int, bytes]] = set()

    def fits(self, stream: int, key: bytes, values: bytes | None) -> bool:
        """Can it cause this frame? Each connection of the device gets each write once."""
        return (key, values) in self.writes and (stream, key) not in self._taken and len(self.frames) < FRAMES_MAX

    def fits_order(self, stream: int) -> bool:
        """Can it cause the order of an update on this connection? Without a token it is for all devices."""
        return (stream, b"ota") not in self._taken and len(self.frames) < (FRAMES_MAX if self.token else ORDERS_MAX)

    def takes(self, stream: int, key: bytes, n: int) -> None:
        """It caused this frame."""
        self._taken.add((stream, key))
        self.frames.append(n)


class Relays:
    """The calls of one run whose frames may still come."""

    __slots__ = ("_calls", "_orders", "unmet")

    def __init__(self) -> None:
        self._calls: deque[Expectation] = deque()
        self._orders: dict[str, int] = {}
        self.unmet: deque[Expectation] = deque(maxlen=UNMET_MAX)
        """Calls that were accepted, and whose time ran out without a frame; whoever reports them takes them out."""

    def expect(self, call: Expectation) -> None:
        """A call was made that should cause frames."""
        if not call.writes and not call.orders:
            return
        self.expire(call.time)
        if len(self._calls) >= EXPECTED_MAX:
            self._calls.popleft()
        self._calls.append(call)

    def expire(self, time: float | None) -> None:
        """It is so late now: what should have come by then will not come."""
        calls = self._calls
        while calls and _elapsed(calls[0].time, time) > RELAY_SECONDS:
            call = calls.popleft()
            if call.accepted and not call.frames and call.writes:
                self.unmet.append(call)

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
        self.expire(time)
        # A server relays before it answers: calls without an answer go first, older ones before newer ones.
        for answered in (False, True):
            for call in self._calls:
                if (call.message is not None) is not answered or not call.fits(stream.number, key, values):
                    continue
                if _meant(stream, call.token):
                    call.takes(stream.number, key, n)
                    return [LinkRecord(call.message, n, time)] if call.message is not None else []
        return []

    def ordered(self, stream: Conversation, n: int, time: float | None, url: str) -> list[LinkRecord]:
        """A server orders a device to load firmware (INTERNAL `ota`), because of a call or on its own.

        Args:
            stream: The device's.
            n: Number of the frame.
            time: When it was seen.
            url: Where the firmware is.

        Returns:
            A link, as `wrote` does.
        """
        self.expire(time)
        if len(self._orders) >= ORDERS_MAX:
            del self._orders[next(iter(self._orders))]
        self._orders.pop(path := _path(url), None)
        self._orders[path] = n
        for call in self._calls:
            if call.orders and call.fits_order(stream.number) and _meant(stream, call.token):
                call.takes(stream.number, b"ota", n)
                return [LinkRecord(call.message, n, time)] if call.message is not None else []
        return []

    def order_of(self, path: str) -> int | None:
        """Number of the frame that ordered a device to load what is at this path; None where none did."""
        return self._orders.get(path)


def _path(url: str) -> str:
    """The path of a URL, without its query."""
    rest = url[:URL_MAX].partition("://")[2]
    return "/" + rest.partition("/")[2].partition("?")[0]


def _elapsed(before: float | None, now: float | None) -> float:
    return now - before if now is not None and before is not None else 0.0


def _meant(stream: Conversation, token: str | None) -> bool:
    """May this be a connection of the device with this token? Certain where the capture holds its login."""
    device = stream.device
    if token is None or device is None:
        return True
    owner = stream.run.devices.of_token(token)
    if owner is not None:
        return owner is device
    return not any(entry.login for entry in device.connections)


def _kept(values: bytes) -> bytes:
    """Values as they are kept of frames: see `Digest`."""
    return values if len(values) <= limits.VALUES_KEPT else Digest(blake2s(values).digest())
