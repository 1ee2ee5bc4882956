"""What both phases of a connection have in common: where it stands, the orders that are due, and its end."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from blynkscope.proxy import commands as do
from blynkscope.proxy.commands import DEVICE, UPSTREAM, Order
from blynkscope.proxy.lanes import Lanes
from blynkscope.proxy.secure import TlsLeg
from blynkscope.proxy.settings import Deadlines, Held, Upstream
from blynkscope.wire.first_hello import HelloReader
from blynkscope.wire.hellos import ClientHello
from blynkscope.wire.tls import TlsSession

if TYPE_CHECKING:
    from blynkscope.faults import Injector


class Plan(msgspec.Struct, frozen=True):
    """What all connections of a proxy have in common.

    Attributes:
        upstream: Where they lead.
        deadlines: When they are given up.
        client: Gives the TLS settings of the upstream leg for the protocols that the device offers.
        serves_tls: Is there a certificate for devices?
        legacy: Are old versions allowed on the device leg?
        wants_sent: Does the tap want what is sent on?
        injector: Makes the rules of a connection, by its number, its layers, outside in, and when it began, in seconds
            of `clock`; None without rules.
        wants: The gate's question, by connection; None without a gate.
        clock: Seconds that never go back.
        tls: Do devices speak with TLS? "either" finds out; "never" and "always" are ports of one kind.
    """

    upstream: Upstream
    deadlines: Deadlines
    client: Callable[[tuple[str, ...]], ssl.SSLContext]
    serves_tls: bool
    legacy: bool
    wants_sent: bool
    injector: Callable[[int, tuple[str, ...], float], Injector] | None
    wants: Callable[[int, int, Held], bool] | None
    clock: Callable[[], float]
    tls: Literal["either", "never", "always"] = "either"


class State:
    """A connection, as far as both phases share it.

    Args:
        plan: What all connections have in common.
        connection: Its number.
    """

    def __init__(self, plan: Plan, connection: int) -> None:
        self._plan = plan
        self._connection = connection
        self._began = plan.clock()
        self.state = "sniff"
        self.received = [0, 0]
        self.secure: str | None = None
        self.upstream_secure: str | None = None
        self._out: list[Order] = []
        self._time = 0.0
        self._tls: list[TlsLeg | None] = [None, None]
        self._lanes: Lanes | None = None
        self._verbatim = False
        self._opened = False
        self._waiting: list[do.Tell] = []
        # How far each side is at its end, and whether TLS said so (close_notify).
        self._ended = [False, False]
        self._clean = [True, True]
        self._finished = [False, False]
        self._first_end: int | None = None
        # Why a leg is not read.
        self._holds: tuple[set[str], set[str]] = (set(), set())
        self._blocked = [False, False]
        # What came before both legs stood.
        self._head = bytearray()
        self._early: list[tuple[float, bytes]] = []
        self._early_size = 0
        self._hellos: HelloReader | None = None
        self._watch: TlsSession | None = None
        self._hello: ClientHello | None = None
        self._target: str | None = plan.upstream.host

    @property
    def done(self) -> bool:
        """Is it over?"""
        return self.state == "done"

    # --- the tap ---

    def _open(self) -> None:
        if self._opened:
            return
        self._opened = True
        self._order(do.Opened(self.secure or ("tls" if self._hellos is not None else None)))
        self._out += self._waiting
        self._waiting.clear()

    def tell(self, kind: str, detail: dict[str, Any], direction: int | None = None) -> None:
        """Tell a fact; before the connection is opened for the tap it waits."""
        told = do.Tell(direction, self._time, kind, detail)
        if self._opened:
            self._order(told)
        else:
            self._waiting.append(told)

    # --- the end ---

    def _finish(self, leg: int, *, clean: bool = True) -> None:
        """Nothing more is sent to a leg."""
        if self._finished[leg]:
            return
        tls_leg = self._tls[leg]
        if tls_leg is not None and clean:
            self._write(leg, tls_leg.finish())
        self._finished[leg] = True
        self._order(do.Finish(leg))

    def _close(self, how: str, by: int | None) -> None:
        """End both legs in order."""
        if self.done:
            return
        self._stop()
        for leg in (DEVICE, UPSTREAM):
            tls_leg = self._tls[leg]
            if tls_leg is not None and not self._finished[leg]:
                self._write(leg, tls_leg.finish())
            self._finished[leg] = True
            self._order(do.End(leg))
        self._order(do.Closed(self._time, how, by))

    def _drop(self, how: str, by: int | None) -> None:
        """End both legs with RST."""
        if self.done:
            return
        self._stop()
        self._order(do.Abort(DEVICE))
        self._order(do.Abort(UPSTREAM))
        self._order(do.Closed(self._time, how, by))

    def _stop(self) -> None:
        self.state = "done"
        self._verbatim = False
        self._watch = self._hellos = None
        self._head.clear()
        self._early.clear()
        if self._lanes is not None:
            self._lanes.close()

    # --- orders ---

    def _write(self, leg: int, data: bytes) -> None:
        """Bytes of TLS itself."""
        if data and not self._finished[leg]:
            self._order(do.Write(leg, data))

    def _hold(self, leg: int, reason: str) -> None:
        holds = self._holds[leg]
        if not holds:
            self._order(do.Pause(leg))
        holds.add(reason)

    def _unhold(self, leg: int, reason: str) -> None:
        holds = self._holds[leg]
        if reason in holds:
            holds.discard(reason)
            if not holds:
                self._order(do.Resume(leg))

    def _deadline(self, name: str, seconds: float, *, rolling: bool = False) -> None:
        self._order(do.Deadline(name, seconds, rolling))

    def _order(self, order: Order) -> None:
        self._out.append(order)

    def _take(self) -> list[Order]:
        out, self._out = self._out, []
        return out
