"""An upstream that lives in this process: the reference server in the place of a socket.

Its answers wait until what was stored before them is durable: all bytes of one turn of the loop leave behind one
commit. And it works off what clients say in bites, all in their turn, so that nobody keeps the others waiting for long.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from blynkscope.protocol import limits
from blynkscope.proxy.commands import UPSTREAM

if TYPE_CHECKING:
    from blynkscope.proxy.connection import Connection

now = time.time
clock = time.perf_counter


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
        troubled: Told where a session fails by a mistake of its own: the number of its connection, which is reset.
    """

    def __init__(
        self,
        server: Server,
        failed: Callable[[Exception], None] = lambda error: None,
        troubled: Callable[[int, Exception], None] = lambda number, error: None,
    ) -> None:
        self._server = server
        self._failed = failed
        self._troubled = troubled
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[InnerLeg] = []
        self._working: deque[InnerLeg] = deque()
        self._unsent: dict[InnerLeg, None] = {}
        self._due: asyncio.TimerHandle | None = None
        self._broken = False
        self._spent = 0.0
        self.unsent = 0
        """Bytes that wait for clients."""
        self.troubles = 0
        """Sessions that failed."""

    # --- its life ---

    def start(self) -> None:
        """The loop runs: begin to tick."""
        self._loop = asyncio.get_running_loop()
        self._tick()

    def stop(self) -> None:
        """No more ticks; what was stored is made durable."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._commit()

    def _tick(self) -> None:
        assert self._loop is not None
        moment, due = now(), None
        try:
            due = self._server.tick(moment)
        except Exception as error:
            self.trouble(0, error)
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

    # --- for its legs ---

    def session(self, leg: InnerLeg, connection: Connection) -> Session:
        """The session behind a connection."""
        core, local = connection.core, connection.server
        port = local[1] if local is not None else 0
        return self._server.connect(
            leg, number=connection.number, secure=core.secure is not None, port=port, peer=connection.client
        )

    def waits(self, leg: InnerLeg) -> None:
        """A leg has bytes to send, or its end."""
        if not self._waiting:
            assert self._loop is not None
            self._loop.call_soon(self._flush)
        self._waiting.append(leg)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        sound = self._commit()
        for leg in waiting:
            leg.flush(sound=sound)

    def trouble(self, number: int, error: Exception) -> None:
        """A mistake of the server, on this connection."""
        self.troubles += 1
        self._troubled(number, error)

    # --- one turn of the loop ---

    @property
    def exhausted(self) -> bool:
        """Has this turn of the loop taken its time already?"""
        return self._spent > limits.SERVER_TURN_SECONDS

    def spend(self, seconds: float) -> None:
        """So long a leg has worked in this turn."""
        if not self._spent:
            assert self._loop is not None
            self._loop.call_soon(self._begin_turn)
        self._spent += seconds

    def _begin_turn(self) -> None:
        self._spent = 0.0

    def works(self, leg: InnerLeg) -> None:
        """A leg has more to work off than this turn has time for: all that have go on by turns, a bite each."""
        if not self._working:
            assert self._loop is not None
            self._loop.call_soon(self._go_on)
        self._working.append(leg)

    def _go_on(self) -> None:
        assert self._loop is not None
        working, begun = self._working, clock()
        while working:
            leg = working.popleft()
            if leg.go_on():
                working.append(leg)
            if clock() - begun > limits.SERVER_TURN_SECONDS:
                break
        if working:
            self._loop.call_soon(self._go_on)

    # --- memory ---

    def holds(self, leg: InnerLeg, size: int) -> None:
        """So many more bytes wait for a client. Where that is too much for all, the one with most is cut off."""
        self.unsent += size
        self._unsent[leg] = None
        if self.unsent > limits.SERVER_UNSENT_TOTAL:
            max(self._unsent, key=lambda one: one.unsent).cut_off()

    def sent(self, leg: InnerLeg, size: int) -> None:
        """So many fewer."""
        self.unsent -= size
        if not leg.unsent:
            self._unsent.pop(leg, None)


class InnerLeg:
    """The upstream leg of a connection whose upstream is here; for the server, the link to its client."""

    __slots__ = (
        "_busy", "_end", "_fin", "_held", "_in", "_out", "_owner", "_queued", "_session", "_then", "_within", "gone",
        "number", "transport", "unsent",
    )  # fmt: skip

    def __init__(self, owner: Connection, within: Within) -> None:
        self.number = UPSTREAM
        self.gone = False
        self.transport = None
        self.unsent = 0
        """Bytes that wait for the client."""
        self._owner = owner
        self._within = within
        self._session: Session | None = None
        self._in = b""
        self._fin = False
        self._out: list[bytes] = []
        self._end = ""
        self._held = False
        self._busy = False
        self._queued = False
        self._then: Callable[[], None] | None = None

    # --- what the core of the relay orders ---

    def begin(self) -> None:
        """The connection stands: the server waits for its first word."""
        if self._session is None and not self.over:
            self._session = self._within.session(self, self._owner)

    def write(self, data: bytes) -> None:
        """Bytes of the client."""
        if self.over:
            return
        self.begin()
        within = self._within
        if self._busy or within.exhausted:
            self._in += data
            self._work_later()
            return
        begun = clock()
        at = 0
        while at < len(data) and not self.over:
            self._feed(data[at : at + limits.SERVER_BITE])
            at += limits.SERVER_BITE
            if at < len(data) and clock() - begun > limits.SERVER_TURN_SECONDS:
                break
        within.spend(clock() - begun)
        if at < len(data) and not self.over:
            self._in = data[at:]
            self._work_later()

    def _work_later(self) -> None:
        """The client is not listened to until what it said was worked off."""
        if not self._busy:
            self._busy = True
            self._owner.leg_blocked(self, blocked=True)
            self._within.works(self)

    def go_on(self) -> bool:
        """Work a bite off; False where that was the last."""
        if not self.over:
            bite, self._in = self._in[: limits.SERVER_BITE], self._in[limits.SERVER_BITE :]
            self._feed(bite)
        if self._in and not self.over:
            return True
        self._in = b""
        self._busy = False
        if not self.gone and not self._held:
            self._owner.leg_blocked(self, blocked=False)
        if self._fin:
            self.finish()
        return False

    def _feed(self, data: bytes) -> None:
        session = self._session
        if session is not None:
            try:
                session.feed(data, now())
            except Exception as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        """The session is not to be trusted any more."""
        self._within.trouble(self._owner.number, error)
        self.cut_off()

    def finish(self) -> None:
        """FIN of the client."""
        if self.over:
            return
        if self._busy:
            self._fin = True
        elif self._session is None:
            self.close()
        else:
            try:
                self._session.ended(now())
            except Exception as error:
                self._failed(error)

    def end(self) -> None:
        """The connection is over: let the session go."""
        if self.gone:
            return
        self.gone = True
        self._then = None
        self._in = b""
        self._out.clear()
        size, self.unsent = self.unsent, 0
        self._within.sent(self, size)
        session, self._session = self._session, None
        if session is not None:
            try:
                session.lost(now())
            except Exception as error:
                self._within.trouble(self._owner.number, error)

    def abort(self, *, reset: bool = True) -> None:
        """End: of the server where it calls this, of the relay where the connection is over already."""
        if self._owner.core.done:
            self.end()
        else:
            self.cut_off()

    def pause(self) -> None:
        """The client takes no more for now: it is not listened to either, until it does."""
        if not self._held and not self.gone:
            self._held = True
            if not self._busy:
                self._owner.leg_blocked(self, blocked=True)

    def resume(self) -> None:
        """It takes bytes again."""
        if self._held:
            self._held = False
            if not self.gone:
                if not self._busy:
                    self._owner.leg_blocked(self, blocked=False)
                self._queue()

    # --- what the server calls ---

    @property
    def over(self) -> bool:
        """Nothing more is heard from the client, and nothing more will reach it."""
        return self.gone or bool(self._end)

    def send(self, data: bytes) -> None:
        """Bytes for the client, as one write."""
        if self.over:
            return
        self._out.append(data)
        self.unsent += len(data)
        self._within.holds(self, len(data))
        if self.unsent > limits.SERVER_UNSENT_MAX:
            # A client that takes nothing while others write to it: its device would not notice either.
            self.cut_off()
        elif not self._queued:
            self._queue()

    def close(self) -> None:
        """End behind what was sent."""
        if not self._end:
            self._end = "fin"
            self._queue()

    def cut_off(self) -> None:
        """End now; what waits is lost."""
        if not self.gone and self._end != "reset":
            self._end = "reset"
            size, self.unsent = self.unsent, 0
            self._out.clear()
            self._within.sent(self, size)
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
            self.cut_off()
        if self._end != "reset" and not self._passed():
            return
        if self._end == "fin":
            self._owner.leg_left(self)
        elif self._end == "reset":
            self._owner.leg_lost(self, None)
        elif self._then is not None:
            then, self._then = self._then, None
            try:
                then()
            except Exception as error:
                self._failed(error)

    def _passed(self) -> bool:
        """Send what waits; False where the client takes no more of it, or is gone."""
        came = self._owner.leg_came
        out, self._out = self._out, []
        for at, data in enumerate(out):
            if self.stuck:
                self._out = out[at:] + self._out
                return False
            self.unsent -= len(data)
            self._within.sent(self, len(data))
            came(self, data)
        return not self.stuck

    @property
    def stuck(self) -> bool:
        """Nothing can be sent."""
        return self._held or self.gone
