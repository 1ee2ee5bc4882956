"""One connection in the loop: carries out what the core orders, and tells it what happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from blynkscope.errors import BlynkscopeError
from blynkscope.proxy import commands as do
from blynkscope.proxy.commands import DEVICE, UPSTREAM, Order
from blynkscope.proxy.core import Relay
from blynkscope.proxy.leg import Leg
from blynkscope.proxy.reaching import UnreachedError, dial, permitted, resolve
from blynkscope.proxy.settings import ConnectionInfo
from blynkscope.proxy.within import InnerLeg

if TYPE_CHECKING:
    from blynkscope.proxy.server import Proxy
    from blynkscope.proxy.within import Within

now = time.time


class Connection:
    """Both legs of a device's connection, and what is under way for it.

    Args:
        proxy: Whose it is.
        number: From 1.
        device: The leg that was accepted.
        client: Its peer.
    """

    __slots__ = (
        "_deadline", "_legs", "_linger", "_loop", "_moved", "_proxy", "_rolling", "_tasks", "_timers", "client", "core",
        "number", "opened", "server",
    )  # fmt: skip

    def __init__(self, proxy: Proxy, number: int, device: Leg, client: tuple[str, int]) -> None:
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._legs: list[Leg | InnerLeg | None] = [device, None]
        self._deadline: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._rolling = 0.0
        self._moved = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self.number = number
        self.client = client
        self.server: tuple[str, int] | None = None
        self.opened = now()
        self.core = Relay(proxy.plan, number)

    @property
    def info(self) -> ConnectionInfo:
        """How it stands."""
        core = self.core
        received = (core.received[0], core.received[1])
        return ConnectionInfo(
            self.number, self.client, self.server, self.opened, core.state, core.secure, core.upstream_secure, received
        )

    # --- legs ---

    def leg_made(self, leg: Leg) -> None:
        """A leg is connected: the upstream's, as the device's was before this."""
        if self.core.done:
            leg.abort()

    def leg_came(self, leg: Leg | InnerLeg, data: bytes) -> None:
        """Bytes."""
        self._moved = self._loop.time()
        self.run(self.core.came(leg.number, data, now()))

    def leg_ended(self, leg: Leg) -> None:
        """FIN."""
        self.run(self.core.ended(leg.number, now()))

    def leg_left(self, leg: InnerLeg) -> None:
        """The server in this process ends the connection."""
        self.run(self.core.left(now()))

    def leg_lost(self, leg: Leg | InnerLeg, error: Exception | None) -> None:
        """A leg is gone."""
        self.run(self.core.lost(leg.number, now()))
        self._settle()

    def leg_blocked(self, leg: Leg | InnerLeg, *, blocked: bool) -> None:
        """The write buffer of a leg."""
        self.run(self.core.blocked(leg.number) if blocked else self.core.writable(leg.number))

    # --- orders ---

    def run(self, orders: list[Order]) -> None:
        """Carry out orders, in order."""
        legs, tapped, number = self._legs, self._proxy.tapped, self.number
        for order in orders:
            kind = type(order)
            if kind is do.Write:
                leg = legs[order.leg]  # type: ignore[union-attr]
                if leg is not None:
                    leg.write(order.data)  # type: ignore[union-attr]
            elif kind is do.Copied:
                tapped("data", number, order.direction, order.time, order.data)  # type: ignore[union-attr]
            else:
                self._rare(order)

    def _rare(self, order: Order) -> None:
        proxy, number = self._proxy, self.number
        match order:
            case do.Sent():
                proxy.tapped("sent", number, order.direction, order.time, order.data)
            case do.Tell():
                proxy.tapped("told", number, order.direction, order.time, order.kind, order.detail)
            case do.Pause() | do.Resume() | do.Finish() | do.End() | do.Abort():
                leg = self._legs[order.leg]
                if leg is not None:
                    _LEG_ORDERS[type(order)](leg)
            case do.Deadline():
                self._set_deadline(order.name, order.seconds, rolling=order.rolling)
            case do.Schedule():
                self._schedule(order)
            case do.Connect():
                if proxy.within is None:
                    self._start(self._reach(order))
                else:
                    self._loop.call_soon(self._enter, proxy.within)
            case do.Prepare():
                self._start(self._prepare(order))
            case do.Ask():
                self._start(self._ask(order))
            case do.Opened():
                upstream = proxy.settings.upstream
                server = self.server or (upstream.host or "auto", upstream.port)
                proxy.tapped("opened", number, self.opened, self.client, server, order.secure)
                inner = self._legs[UPSTREAM]
                if self.core.state == "relay" and isinstance(inner, InnerLeg):
                    inner.begin()
            case do.Closed():
                proxy.tapped("closed", number, order.time, order.how, order.by)
                self._over()

    def _set_deadline(self, name: str, seconds: float, *, rolling: bool) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._rolling = seconds if rolling else 0.0
        self._moved = self._loop.time()
        self._deadline = self._loop.call_later(seconds, self._due, name)

    def _due(self, name: str) -> None:
        left = self._moved + self._rolling - self._loop.time() if self._rolling else 0.0
        if left > 0:
            self._deadline = self._loop.call_later(left, self._due, name)
        else:
            self.run(self.core.deadline(name, now()))

    def _schedule(self, order: do.Schedule) -> None:
        def due() -> None:
            self._timers.discard(handle)
            self.run(self.core.timer(order.token, now()))

        handle = self._loop.call_later(order.delay, due)
        self._timers.add(handle)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reach(self, order: do.Connect) -> None:
        try:
            found = permitted(
                await resolve(order.host, order.port),
                self._proxy.listening,
                public=order.auto and not self._proxy.settings.allow_private,
            )
            sock = await dial(found)
            leg = self._legs[UPSTREAM] = Leg(UPSTREAM, self, self._proxy.room)
            try:
                self.server = sock.getpeername()[:2]
                await self._loop.create_connection(lambda: leg, sock=sock)
            except BaseException:
                self._legs[UPSTREAM] = None
                sock.close()
                raise
        except UnreachedError as error:
            self.run(self.core.unreached(error.detail, now()))
        except OSError as error:
            from blynkscope.proxy.failures import upstream_failure

            self.run(self.core.unreached(upstream_failure(error, "connect"), now()))
        else:
            self.run(self.core.reached(now()))

    def _enter(self, within: Within) -> None:
        """The upstream is here."""
        if not self.core.done:
            device = self._legs[DEVICE]
            if device is not None and device.transport is not None:
                local = device.transport.get_extra_info("sockname")
                self.server = (local[0], local[1]) if local else None
            self._legs[UPSTREAM] = InnerLeg(self, within)
            self.run(self.core.reached(now()))

    async def _prepare(self, order: do.Prepare) -> None:
        leg = self._legs[DEVICE]
        assert leg is not None
        assert leg.transport is not None
        address = (leg.transport.get_extra_info("sockname") or ("127.0.0.1",))[0]
        try:
            context = await self._proxy.server_context(order.hello, address, order.alpn)
        except (BlynkscopeError, OSError, ValueError) as error:
            # ssl.SSLError is an OSError.
            self.run(self.core.unprepared(f"no certificate can be made: {error}", now()))
        else:
            self.run(self.core.prepared(context, now()))

    async def _ask(self, order: do.Ask) -> None:
        gate = self._proxy.gate
        assert gate is not None
        try:
            commands = await gate.decide(self.number, order.direction, order.frame)
        except Exception:
            # A mistake of the gate must not end the connection: the frame passes, and the core tells it.
            self.run(self.core.decided(order.direction, None, now()))
        else:
            self.run(self.core.decided(order.direction, commands, now()))

    # --- the end ---

    def _over(self) -> None:
        """The core is done: nothing is awaited any more but the last bytes."""
        if self._deadline is not None:
            self._deadline.cancel()
        for handle in self._timers:
            handle.cancel()
        self._timers.clear()
        current = asyncio.current_task(self._loop)
        for task in list(self._tasks):
            if task is not current:
                task.cancel()
        self._linger = self._loop.call_later(self._proxy.settings.deadlines.linger, self.abort)
        self._loop.call_soon(self._settle)

    def abort(self) -> None:
        """End what is left of it now."""
        for leg in self._legs:
            if leg is not None:
                leg.abort()

    def _settle(self) -> None:
        """Forget it once both legs are gone."""
        if self.core.done and all(leg is None or leg.gone for leg in self._legs):
            if self._linger is not None:
                self._linger.cancel()
            self._proxy.forget(self)


_LEG_ORDERS = {
    do.Pause: methodcaller("pause"), do.Resume: methodcaller("resume"), do.Finish: methodcaller("finish"),
    do.End: methodcaller("end"), do.Abort: methodcaller("abort"),
}  # fmt: skip
