"""Which connections belong to one device: the same token, or, before any login, the same address.

A device that reconnects, follows a redirect or returns after an update does so on another stream; here those streams
are tied together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blynkscope.analysis.names import address_of

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation

DEVICES_MAX = 8192
"""Tokens and addresses by which one run knows devices; the longest unheard one is forgotten for a new one."""
CONNECTIONS_KEPT = 64
"""Connections of one device that are remembered: enough to tell the period of a loop."""


class Connection:
    """One connection of a device, in short."""

    __slots__ = ("accepted", "closed", "end", "host", "how", "login", "opened", "stream")

    def __init__(self, stream: Conversation) -> None:
        self.stream = stream.number
        self.opened = stream.opened.time
        self.closed: float | None = None
        self.how: str | None = None
        self.host = stream.host
        self.end = stream.opened.server
        self.login: int | None = None
        """Number of its login frame."""
        self.accepted: int | None = None
        """Number of the frame that accepted that login."""


class Device:
    """One device of a run.

    Attributes:
        number: 1-based, in the order in which devices were seen.
        connections: The last connections, oldest first.
        count: All connections.
        open: Numbers of its streams that are open.
        info: What it said of itself last (INTERNAL `ver`, `build`, …).
    """

    __slots__ = ("connections", "count", "info", "number", "open", "told")

    def __init__(self, number: int) -> None:
        self.number = number
        self.connections: list[Connection] = []
        self.count = 0
        self.open: set[int] = set()
        self.info: dict[str, str] = {}
        self.told: dict[str, int] = {}
        """Findings that were reported for it, by id: the same failure on its next connection is no news."""


class Devices:
    """All devices of a run."""

    __slots__ = ("_by_key", "_count")

    def __init__(self) -> None:
        self._by_key: dict[str, Device] = {}
        self._count = 0

    def of_token(self, token: str) -> Device | None:
        """The device that logged in with a token."""
        return self._by_key.get(f"token {token}")

    def opened(self, stream: Conversation) -> Device:
        """The device of a new stream, as far as its address tells."""
        return self._join(stream, self._find(_address_key(stream)))

    def logged_in(self, stream: Conversation, token: str, login: int) -> Device:
        """A stream logged in with this token: it is that device's."""
        key = "token " + token
        before = stream.device
        known = self._by_key.get(key)
        if known is None and before is not None and not any(entry.login for entry in before.connections):
            # The first login from this address: what the address did so far was this device.
            known = self._put(key, before)
        device = known or self._find(key)
        if before is not device:
            if before is not None:
                _leave(stream, before)
            self._join(stream, device)
        for entry in reversed(device.connections):
            if entry.stream == stream.number:
                entry.login = login
                break
        return self._put(_address_key(stream), device)

    def closed(self, stream: Conversation, time: float | None, how: str) -> None:
        """A stream is over."""
        device = stream.device
        if device is None:
            return
        device.open.discard(stream.number)
        for connection in reversed(device.connections):
            if connection.stream == stream.number:
                connection.closed, connection.how = time, how
                break

    def all(self) -> list[Device]:
        """Every device, by number."""
        return sorted({id(device): device for device in self._by_key.values()}.values(), key=lambda one: one.number)

    def _find(self, key: str) -> Device:
        device = self._by_key.get(key)
        if device is None:
            self._count += 1
            device = Device(self._count)
        return self._put(key, device)

    def _put(self, key: str, device: Device) -> Device:
        """Behind all others: the first entry is the longest unheard one."""
        self._by_key.pop(key, None)
        while len(self._by_key) >= DEVICES_MAX:
            del self._by_key[next(iter(self._by_key))]
        self._by_key[key] = device
        return device

    def _join(self, stream: Conversation, device: Device) -> Device:
        device.count += 1
        device.open.add(stream.number)
        device.connections.append(Connection(stream))
        if len(device.connections) > CONNECTIONS_KEPT:
            del device.connections[0]
        stream.device = device
        return device


def _leave(stream: Conversation, device: Device) -> None:
    device.count -= 1
    device.open.discard(stream.number)
    device.connections = [entry for entry in device.connections if entry.stream != stream.number]


def _address_key(stream: Conversation) -> str:
    client = stream.opened.client
    # All streams of a log without addresses are one device's.
    return "address " + address_of(client) if client else f"log {stream.source}"
