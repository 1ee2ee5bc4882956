"""An upstream that lives in this process: the reference server in the place of a socket.

Its answers wait until what was stored before them is durable: all bytes of one turn of the loop leave behind one
commit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from blynkscope.protocol import limits
from blynkscope.proxy.commands import UPSTREAM

if TYPE_CHECKING:
    from blynkscope.proxy.connection import Connection

now = time.time


class Session(Protocol):
    """One connection of the server."""

    def feed(self, data: bytes, time: float) -> None:
        """Plaintext of the client, cut anyhow. It raises nothing."""

    def ended(self, time: float) -> None:
        """FIN of the client."""

    def lost(self, time: float) -> None:
        """The connection is gone; the last call."""


class Server(Protocol):
    """What makes sessions: `server.Hub`."""

    def connect(self, link: InnerLeg, *, number: int, secure: bool, port: int, peer: tuple[str, int]) -> Session:
        """A client has sent its first bytes to `port`; `secure` tells whether they came by TLS."""

    def commit(self) -> None:
        """Make durable what was stored."""

    def tick(self, now: float) -> float | None:
        """Do what is due, and tell when that is so next, in seconds since the epoch."""


class Within:
    """Hosts a server in the loop, for any number of proxies that lead to it.

    Args:
        server: Whose sessions answer.
        failed: Told where a commit fails, once: nothing is acknowledged from then on, and all connections end.
    """

    def __init__(self, server: Server, failed: Callable[[Exception], None] = lambda error: None) -> None:
        self._server = server
        self._failed = failed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[InnerLeg] = []
        self._due: asyncio.TimerHandle | None = None
        self._broken = False

    def start(self) -> None:
        """The loop runs: begin to tick."""
        self._loop = asyncio.get_running_loop()
        self._tick()

    def stop(self) -> None:
        """No more ticks; what was stored is made durable."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if not self._broken:
            self._commit()

    def session(self, leg: InnerLeg, connection: Connection) -> Session:
        """The session behind a connection."""
        core, local = connection.core, connection.server
        port = local[1] if local is not None else 0
        return self._server.connect(
            leg, number=connection.number, secure=core.secure is not None, port=port, peer=connection.client
        )

    def wake(self) -> None:
        """Something was asked of the server: what is due may be due sooner."""
        if self._due is not None:
            self._due.cancel()
        self._tick()

    def waits(self, leg: InnerLeg) -> None:
        """A leg has bytes to send, or its end."""
        if not self._waiting:
            assert self._loop is not None
            self._loop.call_soon(self._flush)
        self._waiting.append(leg)

    def _tick(self) -> None:
        assert self._loop is not None
        moment = now()
        due = self._server.tick(moment)
        wait = limits.SERVER_TICK_SECONDS if due is None else min(max(due - moment, 0.0), limits.SERVER_TICK_SECONDS)
        self._due = self._loop.call_later(wait, self._tick)
        self._commit()

    def _commit(self) -> bool:
        if self._broken:
            return False
        try:
            self._server.commit()
        except Exception as error:
            self._broken = True
            self._failed(error)
            return False
        return True

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        sound = self._commit()
        for leg in waiting:
            leg.flush(sound=sound)


class InnerLeg:
    """The upstream leg of a connection whose upstream is here; for the server, the link to its client."""

    __slots__ = (
        "_end", "_held", "_out", "_owner", "_queued", "_session", "_size", "_then", "_within", "gone", "number",
        "transport",
    )  # fmt: skip

    def __init__(self, owner: Connection, within: Within) -> None:
        self.number = UPSTREAM
        self.gone = False
        self.transport = None
        self._owner = owner
        self._within = within
        self._session: Session | None = None
        self._out: list[bytes] = []
        self._size = 0
        self._end = ""
        self._held = False
        self._queued = False
        self._then: Callable[[], None] | None = None

    # --- what the core of the relay orders ---

    def write(self, data: bytes) -> None:
        """Bytes of the client."""
        if self.gone or self._end:
            return
        session = self._session
        if session is None:
            session = self._session = self._within.session(self, self._owner)
        session.feed(data, now())

    def finish(self) -> None:
        """FIN of the client."""
        if self.gone or self._end:
            return
        if self._session is None:
            self.close()
        else:
            self._session.ended(now())

    def end(self) -> None:
        """The connection is over."""
        self.abort_leg()

    def abort(self, *, reset: bool = True) -> None:
        """End: of the server where it calls this, of the relay where the connection is over already."""
        if self._owner.core.done:
            self.abort_leg()
        elif not self.gone:
            self._end = "reset"
            self._queue()

    def abort_leg(self) -> None:
        """Let the session go."""
        if self.gone:
            return
        self.gone = True
        self._then = None
        self._out.clear()
        session, self._session = self._session, None
        if session is not None:
            session.lost(now())

    def pause(self) -> None:
        """The client takes no more for now: it is not listened to either, until it does."""
        if not self._held and not self.gone:
            self._held = True
            self._owner.leg_blocked(self, blocked=True)

    def resume(self) -> None:
        """It takes bytes again."""
        if self._held:
            self._held = False
            if not self.gone:
                self._owner.leg_blocked(self, blocked=False)
                self._queue()

    # --- what the server calls ---

    def send(self, data: bytes) -> None:
        """Bytes for the client, as one write."""
        if self.gone or self._end:
            return
        self._out.append(data)
        self._size += len(data)
        if self._size > limits.SERVER_UNSENT_MAX:
            # A client that takes nothing while others write to it: its device would not notice either.
            self._end = "reset"
        if not self._queued:
            self._queue()

    def close(self) -> None:
        """End behind what was sent."""
        if not self._end:
            self._end = "fin"
            self._queue()

    def drained(self, then: Callable[[], None]) -> None:
        """Call this once, when the client's socket has taken what was sent."""
        self._then = then
        self._queue()

    def _queue(self) -> None:
        if not self._queued and not self.gone:
            self._queued = True
            self._within.waits(self)

    def flush(self, *, sound: bool) -> None:
        """Send what waits; nothing that acknowledges is sent where it could not be stored."""
        self._queued = False
        if self.gone:
            return
        if not sound:
            self._end = "reset"
        if self._end != "reset" and not self._passed():
            return
        if self._end == "fin":
            self._owner.leg_left(self)
        elif self._end == "reset":
            self._owner.leg_lost(self, None)
        elif self._then is not None:
            then, self._then = self._then, None
            then()

    def _passed(self) -> bool:
        """Send what waits; False where the client takes no more of it, or is gone."""
        came = self._owner.leg_came
        out, self._out = self._out, []
        for at, data in enumerate(out):
            if self.stuck:
                self._out = out[at:] + self._out
                return False
            self._size -= len(data)
            came(self, data)
        return not self.stuck

    @property
    def stuck(self) -> bool:
        """Nothing can be sent."""
        return self._held or self.gone
