"""The life of a proxy: its event loop, the signals that end it or rotate its files, and the terminal of a person."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import errno
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from blynkscope.cli import INTERRUPTED
from blynkscope.cli.intercept_line import keys_of
from blynkscope.errors import EnvironmentProblem

if TYPE_CHECKING:
    from blynkscope.cli.intercept import Interception
    from blynkscope.cli.proxy_watch import Watch
    from blynkscope.proxy import Proxy
    from blynkscope.proxy.within import Within

GRACE = 2.0
"""Seconds that connections get to send what they have, when the proxy ends."""
_KEYS_READ = 4096
_ADDRESSES_SHOWN = 8
_IN, _ERR = 0, 2
"""File descriptors by which a terminal is known."""


class Life:
    """Runs a proxy until somebody ends it.

    Args:
        listeners: What listens: each makes a proxy for a port, which does not listen yet, and has ports to try, in
            their order, until one is free.
        watch: The tap; it is started and finished here.
        began: Called with the addresses once all listen.
        rotate: Called where the files shall be begun anew.
        duration: Seconds after which it ends; None for never.
        interception: The person at the terminal, where there is one.
        within: The server behind the proxies, where it lives in this process.
        prompt: Takes lines from the terminal, where it does.
        alert: Tells a person something.
    """

    def __init__(
        self,
        listeners: Sequence[tuple[Callable[[int], Proxy], Sequence[int]]],
        watch: Watch,
        *,
        began: Callable[[Sequence[tuple[str, int]]], None],
        rotate: Callable[[Sequence[Proxy]], None] = lambda proxies: None,
        duration: float | None = None,
        interception: Interception | None = None,
        within: Within | None = None,
        prompt: Prompt | None = None,
        alert: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._listeners = listeners
        self._within = within
        self._prompt = prompt
        self._watch = watch
        self._began = began
        self._rotate = rotate
        self._duration = duration
        self._interception = interception
        self._alert = alert
        self.interrupted = False
        """Ctrl-C ended it, as opposed to a service manager or a terminal that was closed."""
        self.refused = 0
        """Connections that were not taken."""
        self.began = False
        """It listens, or has."""
        self.failed: Exception | None = None
        """What the server in this process failed with."""
        self._over: asyncio.Event | None = None

    def run(self) -> None:
        """Relay until the end.

        Raises:
            EnvironmentProblem: It cannot listen.
            BaseException: What the output failed with.
        """
        with asyncio.Runner(loop_factory=_fast_loop()) as runner:
            runner.run(self._main())
        if self._watch.broken is not None:
            raise self._watch.broken

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        over = self._over = asyncio.Event()
        listening: list[Proxy] = []

        def broken() -> None:
            loop.call_soon_threadsafe(over.set)

        terminals = [number for number in (_IN, _ERR) if _is_terminal(number)]

        def interrupt() -> None:
            self._end(over, interrupted=True)

        def terminate() -> None:
            self._end(over, interrupted=False)

        def hangup() -> None:
            # A terminal that was closed tells it so, too: whoever sat there can end the proxy no more.
            person = self._interception is not None or self._prompt is not None
            if person or not all(map(_is_terminal, terminals)):
                over.set()
            elif listening:
                self._rotate(listening)

        self._watch.on_broken = broken
        # Who reads where it listens may end it from then on.
        with _signals(loop, interrupt, terminate, hangup):
            if self._within is not None:
                self._within.start()
            await self._listen(listening)
            self._watch.start()
            with self._person(loop, listening[0], over), self._prompting(loop, over):
                try:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(over.wait(), self._duration)
                finally:
                    if self._interception is not None:
                        self._interception.release()
                    await asyncio.gather(*(proxy.close(GRACE) for proxy in listening))
                    self.refused = sum(proxy.refused for proxy in listening)
                    if self._within is not None:
                        self._within.stop()
        await asyncio.to_thread(self._watch.finish)

    async def _listen(self, listening: list[Proxy]) -> None:
        """Let all listen, or none."""
        addresses = []
        try:
            for make, ports in self._listeners:
                proxy, address = await self._listening(make, ports)
                listening.append(proxy)
                addresses.append(address)
        except BaseException:
            for proxy in listening:
                await proxy.close(0.0)
            raise
        self.began = True
        self._began(addresses)

    async def _listening(self, make: Callable[[int], Proxy], ports: Sequence[int]) -> tuple[Proxy, tuple[str, int]]:
        problem: EnvironmentProblem | None = None
        for port in ports:
            proxy = make(port)
            try:
                return proxy, await proxy.start()
            except EnvironmentProblem as error:
                problem = problem or error
        raise EnvironmentProblem(f"{problem}{_hint(problem)}") from problem

    def fail(self, error: Exception) -> None:
        """The server in this process cannot go on; called in the loop."""
        self.failed = error
        if self._over is not None:
            self._over.set()

    def _end(self, over: asyncio.Event, *, interrupted: bool) -> None:
        if over.is_set():
            self.abandon()
        self.interrupted = interrupted
        over.set()

    def abandon(self) -> None:
        """End at once, without a summary."""
        if _before:
            _restore()
        os._exit(INTERRUPTED)

    @contextlib.contextmanager
    def _prompting(self, loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> Iterator[None]:
        """While the body runs, what is typed goes to the prompt."""
        prompt = self._prompt
        if prompt is None:
            yield
            return
        prompt.quit = over.set
        with _typed(loop, prompt.key):
            prompt.begin()
            yield

    @contextlib.contextmanager
    def _person(self, loop: asyncio.AbstractEventLoop, proxy: Proxy, over: asyncio.Event) -> Iterator[None]:
        """While the body runs, keys of the terminal go to the interception."""
        interception = self._interception
        if interception is None:
            yield
            return
        interception.inject, interception.quit = proxy.inject, over.set
        interception.connections = lambda: proxy.connections
        with _typed(loop, interception.key):
            interception.begin()
            yield


class Prompt(Protocol):
    """Who takes the keys of a terminal."""

    quit: Callable[[], None]

    def key(self, key: str) -> None:
        """A key was pressed: see `intercept_line.keys_of`."""

    def begin(self) -> None:
        """Show the prompt for the first time."""


@contextlib.contextmanager
def _typed(loop: asyncio.AbstractEventLoop, take: Callable[[str], None]) -> Iterator[None]:
    """While the body runs, keys of the terminal are taken one by one."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    source = sys.stdin.fileno()

    def pressed() -> None:
        data = os.read(source, _KEYS_READ)
        if not data:
            loop.remove_reader(source)
            return
        for key in keys_of(decoder.decode(data)):
            take(key)

    with _single_keys(source):
        loop.add_reader(source, pressed)
        try:
            yield
        finally:
            loop.remove_reader(source)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop of uvloop where that is installed; else None, for that of asyncio, which is slower but the same.

    uvloop keeps one open file (`/dev/null`) of its own from the first listening socket on, whatever runs in it.
    """
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory


def _hint(problem: EnvironmentProblem | None) -> str:
    """What to do where it cannot listen."""
    cause = problem.__context__ if problem is not None else None
    reason = cause.errno if isinstance(cause, OSError) else None
    if reason == errno.EADDRINUSE:
        return " (`ss -ltnp` shows the programs that listen)"
    if reason in {errno.EADDRNOTAVAIL, errno.EINVAL}:
        from blynkscope.sources.live import interfaces

        found = [text for one in interfaces() if one.up for text in one.addresses][:_ADDRESSES_SHOWN]
        named = ", ".join([*found, "0.0.0.0 for all"])
        return f": --listen takes an address of this computer ({named})"
    return ""


def _is_terminal(number: int) -> bool:
    """Is this open file a terminal that is still there? One that was closed answers with EIO."""
    return os.isatty(number)


@contextlib.contextmanager
def _signals(
    loop: asyncio.AbstractEventLoop,
    interrupt: Callable[[], None],
    terminate: Callable[[], None],
    hangup: Callable[[], None],
) -> Iterator[None]:
    """While the body runs, and after it, SIGINT and SIGTERM call the first two; SIGHUP calls `hangup` while it runs."""
    handlers: dict[int, Callable[[], None]] = {signal.SIGINT: interrupt, signal.SIGTERM: terminate}
    hup = getattr(signal, "SIGHUP", None)
    if hup is not None and signal.getsignal(hup) != signal.SIG_IGN:  # nohup
        handlers[hup] = hangup
    added: list[int] = []
    for number, handler in handlers.items():
        try:
            loop.add_signal_handler(number, handler)
        except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            with contextlib.suppress(ValueError):
                signal.signal(number, lambda *_, handler=handler: loop.call_soon_threadsafe(handler))
        else:
            added.append(number)
    try:
        yield
    finally:
        if hup is not None and hup in added:
            loop.remove_signal_handler(hup)
            # It ends already, and a terminal that closes may say so more than once. (To ignore it would be inherited.)
            signal.signal(hup, lambda *_: None)


_before: list[tuple[int, Any]] = []
"""The terminal's settings from before, for the end in a hurry."""


@contextlib.contextmanager
def _single_keys(source: int) -> Iterator[None]:
    """While the body runs, the terminal gives key by key and shows none of them."""
    import termios
    import tty

    _before.append((source, termios.tcgetattr(source)))
    tty.setcbreak(source, termios.TCSANOW)
    try:
        yield
    finally:
        _restore()


def _restore() -> None:
    import termios

    while _before:
        source, settings = _before.pop()
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(source, termios.TCSADRAIN, settings)


def unknown_name(host: str, port: int) -> str | None:
    """Why a host's name leads nowhere; None where it does."""
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return f"the name {host} is not known here ({getattr(error, 'strerror', None) or error}): check --upstream"
    return None
