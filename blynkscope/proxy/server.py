"""The proxy: it listens, admits clients, and holds what its connections share."""

from __future__ import annotations

import asyncio
import errno
import itertools
import ssl
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from blynkscope import faults
from blynkscope.errors import EnvironmentProblem
from blynkscope.protocol import limits
from blynkscope.proxy.connection import Connection
from blynkscope.proxy.contexts import Contexts
from blynkscope.proxy.leg import Leg
from blynkscope.proxy.reaching import address_text
from blynkscope.proxy.settings import Authority, ConnectionInfo, Gate, Settings, Tap
from blynkscope.proxy.state import Plan
from blynkscope.proxy.within import Within
from blynkscope.wire.addresses import plain
from blynkscope.wire.hellos import ClientHello

_BACKLOG = 1024
"""Clients that wait to be accepted: all devices come back at once when the power does."""
_BURST = 8
"""Clients that are accepted at once. What is to be refused has a file too until the loop comes by some turns later: as
many bursts as that must fit into the spare files."""
_NO_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SPARE_FILES = 64
"""Open files that are left for all but the connections: records, logs, the key log of each TLS setting in use."""


class Proxy:
    """Relays devices to their upstream.

    Args:
        settings: How.
        authority: Makes certificates for devices that speak TLS; None where `settings.certificate` does, or none shall.
        tap: Who looks on.
        gate: Who may hold frames.
        within: The upstream, where it lives in this process; then `settings.upstream` is but its name.
        numbers: Numbers of connections, where several proxies share a tap.

    Raises:
        ProxyUsageError: A file of certificates or keys cannot be used.
        EnvironmentProblem: The key log cannot be written.
    """

    def __init__(
        self,
        settings: Settings,
        authority: Authority | None,
        tap: Tap,
        gate: Gate | None = None,
        *,
        within: Within | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.settings = settings
        self.within = within
        self._numbers = numbers if numbers is not None else itertools.count(1)
        self.gate = gate
        self.listening: list[tuple[Any, ...]] = []
        self.room = memoryview(bytearray(limits.PROXY_READ_SIZE))
        self.accepted = 0
        """Connections so far, refused ones not counted."""
        self.refused = 0
        self.tap_trouble: str | None = None
        """What the tap raised first, if it did: its type and text."""
        self._tap = tap
        self._contexts = Contexts(settings, authority)
        rules = settings.rules
        self.plan = Plan(
            upstream=settings.upstream,
            deadlines=settings.deadlines,
            client=self._contexts.client,
            serves_tls=self._contexts.serves_tls,
            legacy=settings.legacy_tls,
            wants_sent=bool(getattr(tap, "wants_sent", False)),
            injector=None if rules is None else self._injector,
            wants=None if gate is None else gate.wants,
            clock=time.monotonic,
            tls=settings.tls,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._all: dict[int, Connection] = {}
        self._addresses: Counter[str] = Counter()
        self._most = settings.connections
        self._above: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self._files_told = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._told: list[tuple[str, tuple[Any, ...]]] = []
        self._turned: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    # --- for the caller ---

    @property
    def connections(self) -> Mapping[int, ConnectionInfo]:
        """Those that are open, by number."""
        return {number: connection.info for number, connection in self._all.items() if not connection.core.done}

    async def start(self) -> tuple[str, int]:
        """Listen.

        Returns:
            The bound address and port; the first, where the name to listen on has several.

        Raises:
            EnvironmentProblem: It cannot listen there.
        """
        self._loop = asyncio.get_running_loop()
        self._most = min(self.settings.connections, _room_for_files(self.settings.connections, 1 if self.within else 2))
        host, port = self.settings.listen_host, self.settings.listen_port
        try:
            self._server = await self._loop.create_server(lambda: _Door(self), host, port, backlog=_BURST)
        except OSError as error:
            why = {
                errno.EADDRINUSE: "another program listens there: end it, or choose another port with --listen",
                errno.EACCES: "ports below 1024 need rights: choose another port with --listen",
                errno.EADDRNOTAVAIL: "this computer has no such address: choose one of its own with --listen",
            }.get(error.errno or 0, error.strerror or str(error))
            raise EnvironmentProblem(f"cannot listen on {host} port {port}: {why}") from None
        for sock in self._server.sockets:
            # The loop takes one number for both, how many may wait and how many it accepts at once: here is the former.
            with suppress(OSError), sock.dup() as same:
                same.listen(_BACKLOG)
        self.listening = [sock.getsockname() for sock in self._server.sockets]
        self._above = self._loop.get_exception_handler()
        self._loop.set_exception_handler(self._trouble)
        if self._most < self.settings.connections:
            text = (
                f"the limit of open files leaves room for {self._most} connections, not {self.settings.connections}; "
                "raise it (ulimit -n) where more devices are expected"
            )
            self._limited("connections", text, connections=self._most)
        self._threads = ThreadPoolExecutor(1, "blynkscope-proxy")
        return self.listening[0][0], self.listening[0][1]

    async def close(self, grace: float = 2.0) -> None:
        """Listen no more, and end all connections in order; what is not ended in `grace` seconds is cut off."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        if self._loop is not None and self._loop.get_exception_handler() == self._trouble:
            self._loop.set_exception_handler(self._above)
        now = time.time()
        for connection in list(self._all.values()):
            connection.run(connection.core.shut(now))
        try:
            await asyncio.wait_for(self._empty.wait(), grace)
        except TimeoutError:
            for connection in list(self._all.values()):
                connection.abort()
            await self._empty.wait()
        await server.wait_closed()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._flush()

    def rotate_keylog(self) -> None:
        """Open the key log anew by its name, as its file may have been moved away; nothing happens without one.

        Raises:
            EnvironmentProblem: It cannot be written. Then no more keys are logged until this is called again.
        """
        self._contexts.rotate_keylog()

    def inject(self, connection: int, direction: int, data: bytes) -> bool:
        """Send frames into a connection.

        Args:
            connection: Its number.
            direction: 0 to the upstream, 1 to the device.
            data: Whole frames, as the hardware or app dialect has them. Within WebSocket they become a message. Without
                rules and gate bytes pass uncut, so that they may land inside a frame whose rest has not come yet.

        Returns:
            False where the connection is not there, or not open yet.
        """
        found = self._all.get(connection)
        if found is None or found.core.state != "relay":
            return False
        found.run(found.core.inject(direction, data, time.time()))
        return True

    # --- for connections ---

    def tapped(self, what: str, *arguments: Any) -> None:
        """Something for the tap: it is told once the loop has sent what it has to send."""
        if not self._told and self._loop is not None:
            self._loop.call_soon(self._flush)
        self._told.append((what, arguments))

    def admit(self, leg: Leg, client: tuple[str, int]) -> Connection | None:
        """A new client; None where it is turned away."""
        address, settings = client[0], self.settings
        parsed = plain(address)
        if settings.allow and not parsed.is_loopback and not any(parsed in network for network in settings.allow):
            self._turn_away("network", client, "the client's address is in none of the networks of --allow")
        elif len(self._all) >= self._most:
            self._turn_away("connections", client, f"there are {self._most} connections already")
        elif self._addresses[address] >= settings.per_address:
            self._turn_away("per-address", client, f"this client has {settings.per_address} connections already")
        else:
            self.accepted += 1
            connection = Connection(self, next(self._numbers), leg, client)
            self._all[connection.number] = connection
            self._addresses[address] += 1
            self._empty.clear()
            return connection
        return None

    def forget(self, connection: Connection) -> None:
        """A connection is over, and its sockets are closed."""
        if self._all.pop(connection.number, None) is None:
            return
        address = connection.client[0]
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
        if not self._all:
            self._empty.set()

    async def server_context(self, hello: ClientHello | None, address: str, alpn: str | None) -> ssl.SSLContext:
        """The TLS settings for a device; keys are made in a thread."""
        kept = self._contexts.kept(hello, address, alpn)
        if kept is not None:
            return kept
        assert self._loop is not None
        return await self._loop.run_in_executor(self._threads, self._contexts.server, hello, address, alpn)

    # --- inside ---

    def _injector(self, connection: int, via: tuple[str, ...], began: float) -> faults.Injector:
        rules, found = self.settings.rules, self._all.get(connection)
        assert rules is not None
        client, server = (found.client, found.server) if found is not None else (None, None)
        return faults.Injector(
            rules, connection, self.settings.seed, began,
            via=via, client=address_text(client) or None, server=address_text(server) or None,
        )  # fmt: skip

    def _turn_away(self, reason: str, client: tuple[str, int], text: str) -> None:
        """Tell that a client is refused: once in a while for each address, with how many there were."""
        self.refused += 1
        key, now = (reason, client[0]), time.monotonic()
        known = self._turned.get(key)
        if known is not None and now - known[0] < limits.PROXY_TELLS_SECONDS:
            known[1] += 1
            return
        before = int(known[1]) if known is not None else 0
        self._turned[key] = [now, 0.0]
        self._turned.move_to_end(key)
        while len(self._turned) > limits.PROXY_TELLS_MAX:
            self._turned.popitem(last=False)
        detail = {"reason": reason, "text": text, "client": client[0], "port": client[1], "before": before}
        self.tapped("told", 0, None, time.time(), "proxy-refused", detail)

    def _limited(self, limit: str, text: str, **more: Any) -> None:
        self.tapped("told", 0, None, time.time(), "proxy-limit", {"limit": limit, "text": text} | more)

    def _trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something failed in the loop. That files ran out while accepting is told once; it tries again by itself."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _NO_FILES:
            if not self._files_told:
                self._files_told = True
                self._limited("files", "the limit of open files is reached: clients wait until others have gone")
        elif self._above is not None:
            self._above(loop, context)
        else:
            loop.default_exception_handler(context)

    def _flush(self) -> None:
        told, self._told = self._told, []
        tap = self._tap
        for what, arguments in told:
            try:
                getattr(tap, what)(*arguments)
            except Exception as error:
                self._tap_failed(arguments[0], error)

    def _tap_failed(self, connection: int, error: Exception) -> None:
        if self.tap_trouble is not None:
            return
        self.tap_trouble = f"{type(error).__name__}: {error}"
        # It was asked once; what it cannot take is in `tap_trouble`.
        with suppress(Exception):
            self._tap.told(connection, None, time.time(), "proxy-tap-failed", {"error": type(error).__name__})


class _Door(Leg):
    """A client that was accepted; it becomes the device leg of a connection, or is turned away."""

    __slots__ = ("_proxy",)

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(0, _NOBODY, proxy.room)
        self._proxy = proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit it."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        found = self._proxy.admit(self, (peer[0], peer[1])) if peer else None
        if found is None:
            self.abort(reset=False)
            return
        self._owner = found
        found.run(found.core.accepted(time.time()))


class _Nobody:
    """Owner of a leg that was turned away."""

    def leg_made(self, leg: Leg) -> None:
        """Nothing is done."""

    def leg_came(self, leg: Leg, data: bytes) -> None:
        """Nothing is done."""

    def leg_ended(self, leg: Leg) -> None:
        """Nothing is done."""

    def leg_lost(self, leg: Leg, error: Exception | None) -> None:
        """Nothing is done."""

    def leg_blocked(self, leg: Leg, *, blocked: bool) -> None:
        """Nothing is done."""


_NOBODY = _Nobody()


def _room_for_files(wanted: int, each: int) -> int:
    """Connections that the limit of open files allows, after raising it as far as this process may."""
    try:
        import resource
    except ImportError:
        return wanted  # Windows has no such limit
    need = wanted * each + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < need:
        soft = need if hard == resource.RLIM_INFINITY else min(need, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        except (OSError, ValueError):
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if soft == resource.RLIM_INFINITY else max(1, (soft - _SPARE_FILES) // each)
