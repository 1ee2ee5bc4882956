"""Callers of the server's HTTP side: requests as bytes in, answers out, and links that drain when they are told to."""

from collections import deque

import h11
from server_world import NOON, TOKEN, Client, FakeLink, World

__all__ = ["NOON", "TOKEN", "Caller", "SlowLink", "World", "answers", "request"]


class SlowLink(FakeLink):
    """A link whose client takes what was sent when `drain` is called."""

    def __init__(self):
        super().__init__()
        self.waiting = deque()

    def drained(self, then):
        self.waiting.append(then)

    def drain(self):
        """The client has taken everything; True where somebody had waited for that."""
        calls, self.waiting = self.waiting, deque()
        for call in calls:
            call()
        return bool(calls)


def request(method, target, body=b"", *, headers=(), version="1.1", host="device.example:8080"):
    """A request as bytes; with a body it has its length."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Answer:
    def __init__(self, event):
        self.status = event.status_code
        self.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        self.body = b""

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"<{self.status} {self.body[:60]!r}>"


def answers(data, methods=(), *, closed=False):
    """The answers in these bytes, which h11 reads as a client; methods are those of the requests (GET)."""
    found, methods = [], list(methods)
    reader = None
    while data or reader is not None:
        if reader is None:
            reader = h11.Connection(h11.CLIENT)
            method = methods.pop(0) if methods else "GET"
            reader.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
            reader.send(h11.EndOfMessage())
            reader.receive_data(data)
        event = reader.next_event()
        if isinstance(event, h11.Response | h11.InformationalResponse):
            found.append(Answer(event))
        elif isinstance(event, h11.Data):
            found[-1].body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            data = reader.trailing_data[0]
            reader = None
        elif event is h11.PAUSED:
            data, reader = reader.trailing_data[0], None
        elif closed:
            reader.receive_data(b"")
            closed = False
        else:
            raise AssertionError(f"an answer is cut off: {data[-80:]!r}")
    return found


class Caller(Client):
    """A connection that speaks HTTP; its link drains by itself unless `slow`."""

    def __init__(self, world, *, slow=False, **how):
        self.slow = slow
        connect = world.hub.connect

        def connected(link, **about):
            self.link = SlowLink()
            return connect(self.link, **about)

        world.hub.connect = connected
        try:
            # The link that a client makes for itself is not used.
            super().__init__(world, **how)
        finally:
            world.hub.connect = connect

    def raw(self, *wires):
        sent = b""
        for wire in wires:
            self.session.feed(wire, self.world.now)
            self.world.hub.commit()
            sent += self.link.take()
            while not self.slow and self.link.drain():
                sent += self.link.take()
        return sent

    def ask(self, method, target, body=b"", **how):
        """One call; gives its answer."""
        found = answers(self.raw(request(method, target, body, **how)), [method])
        assert len(found) == 1
        return found[0]

    def get(self, target, **how):
        return self.ask("GET", target, **how)
