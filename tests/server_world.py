"""A server without sockets: links that remember what was sent, devices that talk, a clock that is wound by hand."""

from __future__ import annotations

import struct

from blynkscope.protocol.model import Dialect, Era
from blynkscope.server.hub import Hub
from blynkscope.server.model import LEGACY_QUIRKS, ServerSettings
from blynkscope.server.store import Store

TOKEN = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
OTHER = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
PASSWORD = "not-a-real-one"
ACCOUNT = "dev@example.com"
NOON = 1_795_260_000.0

HEADER = {Dialect.HARDWARE: ">BHH", Dialect.APP: ">BHI"}


class FakeLink:
    """The way to a client that does not exist: `sent` holds each piece, `how` is open, closed or aborted.

    `gone` is set for one that takes nothing any more, though nobody has told its session yet.
    """

    def __init__(self):
        self.sent = []
        self.how = "open"
        self.gone = False

    @property
    def over(self):
        return self.gone or self.how != "open"

    def send(self, data):
        assert self.how == "open", "bytes behind the end"
        assert isinstance(data, bytes | bytearray | memoryview)
        self.sent.append(bytes(data))

    def close(self):
        if self.how == "open":
            self.how = "closed"

    def abort(self):
        self.how = "aborted"

    def drained(self, then):
        then()

    def take(self):
        """All bytes since the last time."""
        data = b"".join(self.sent)
        self.sent.clear()
        return data


def cut(data, dialect=Dialect.HARDWARE):
    """Whole messages as (cmd, id, status or body)."""
    head = struct.Struct(HEADER[dialect])
    found, at = [], 0
    while at < len(data):
        cmd, number, word = head.unpack_from(data, at)
        at += head.size
        if cmd == 0:
            found.append((0, number, word))
        else:
            found.append((cmd, number, data[at : at + word]))
            assert len(found[-1][2]) == word
            at += word
    return found


def body(*parts):
    return b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)


def frame(cmd, number, *parts, dialect=Dialect.HARDWARE):
    """A message; parts are joined by NUL."""
    whole = body(*parts)
    return struct.pack(HEADER[dialect], cmd, number, len(whole)) + whole


class Client:
    """One connection to the server of a world."""

    def __init__(self, world, *, secure=False, port=None, address="192.0.2.1"):
        self.world = world
        self.link = FakeLink()
        world.connections += 1
        self.session = world.hub.connect(
            self.link,
            number=world.connections,
            secure=secure,
            port=port or (9443 if secure else 8080),
            peer=(address, 50000 + world.connections),
        )

    @property
    def how(self):
        return self.link.how

    def say(self, *wires):
        """Send bytes, each piece in a segment of its own; gives the messages of the hardware dialect that came."""
        for wire in wires:
            self.session.feed(wire, self.world.now)
            self.world.hub.commit()
        return self.heard()

    def heard(self, dialect=Dialect.HARDWARE):
        return cut(self.link.take(), dialect)

    def raw(self, *wires):
        """Send bytes; gives the bytes that came."""
        for wire in wires:
            self.session.feed(wire, self.world.now)
            self.world.hub.commit()
        return self.link.take()

    def login(self, token=TOKEN, number=1):
        return self.say(frame(29, number, token))

    def finish(self):
        self.session.ended(self.world.now)

    def lose(self):
        self.session.lost(self.world.now)


class World:
    """A server with a clock that stands still until it is wound."""

    def __init__(self, *, store=None, like=Era.LEGACY, **settings):
        self.now = NOON
        self.connections = 0
        settings.setdefault("tokens", (TOKEN, OTHER))
        settings.setdefault("account", (ACCOUNT, PASSWORD))
        settings.setdefault("quirks", frozenset(LEGACY_QUIRKS if like is Era.LEGACY else ()))
        self.settings = ServerSettings(like=like, **settings)
        self.store = store or Store(None)
        self.hub = Hub(self.settings, self.store, lambda: self.now)

    def client(self, **how):
        return Client(self, **how)

    def device(self, token=TOKEN, **how):
        """A connection that has logged in; what came is forgotten."""
        client = Client(self, **how)
        assert client.login(token)[0] == (0, 1, 200)
        return client

    def wind(self, seconds):
        """Time passes; gives when the server wants to be called next."""
        self.now += seconds
        return self.hub.tick(self.now)
