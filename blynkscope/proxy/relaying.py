"""The phase in which bytes go through: out of one leg, through rules and gate, into the other one."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from blynkscope.protocol import limits
from blynkscope.proxy import commands as do
from blynkscope.proxy.commands import DEVICE, LEGS, UPSTREAM
from blynkscope.proxy.failures import alert_detail
from blynkscope.proxy.lanes import Lanes
from blynkscope.proxy.secure import SLICE, TlsLeg, alert_in, slices
from blynkscope.proxy.settings import Held
from blynkscope.proxy.state import Plan, State

if TYPE_CHECKING:
    from blynkscope.faults import Injector


class Relaying(State):
    """A connection whose legs stand; the outlet of its lanes."""

    def __init__(self, plan: Plan, connection: int) -> None:
        super().__init__(plan, connection)
        self._overrun = [0, 0]
        self._overrun_told = False
        if plan.injector is not None or plan.wants is not None:
            wants = plan.wants
            self._lanes = Lanes(
                self,
                None if plan.injector is None else self._injector,
                None if wants is None else lambda direction, frame: wants(connection, direction, frame),
                plan.clock,
                plan.deadlines.partial,
            )

    def _injector(self, layers: tuple[str, ...]) -> Injector:
        assert self._plan.injector is not None
        transport = ("tcp",) if self.secure is None else ("tcp", self.secure)
        return self._plan.injector(self._connection, (*transport, *layers), self._began)

    def _relay(self) -> None:
        """Both legs stand."""
        self.state = "relay"
        self._watch = self._hellos = None
        self._deadline("idle", self._plan.deadlines.idle, rolling=True)
        self._open()
        head, self._head = bytes(self._head), bytearray()
        early, self._early = self._early, []
        if head:
            self._plain(DEVICE, head)
        for time, data in early:
            self._time = max(self._time, time)
            self._plain(UPSTREAM, data)
        if self.done:
            return
        self._unhold(DEVICE, "early")
        self._unhold(UPSTREAM, "early")
        for leg in (DEVICE, UPSTREAM):
            if self._ended[leg] and not self.done:
                self._ended[leg] = False
                self._over(leg, clean=self._clean[leg])
        self._verbatim = self._tls == [None, None] and self._lanes is None and not self.done

    # --- bytes ---

    def _received(self, leg: int, data: bytes) -> None:
        """Bytes of a leg that stands."""
        tls_leg = self._tls[leg]
        if tls_leg is None:
            self._plain(leg, data)
            return
        place = len(self._out)
        for piece in slices(data):
            tls_leg.put(piece)
            self._decrypt(leg, tls_leg)
            if self.done or self._ended[leg]:
                break
        if len(data) > SLICE and self._lanes is None and self._tls[1 - leg] is not None:
            self._join(1 - leg, place)

    def _join(self, leg: int, place: int) -> None:
        """Make one write of those to a leg: its records keep their bounds, and sends cost more than they do."""
        out = self._out
        later = out[place:]
        writes = [order.data for order in later if isinstance(order, do.Write) and order.leg == leg]
        if len(writes) > 1:
            rest = (order for order in later if not (isinstance(order, do.Write) and order.leg == leg))
            out[place:] = [do.Write(leg, b"".join(writes)), *rest]

    def _decrypt(self, leg: int, tls_leg: TlsLeg) -> None:
        for piece in tls_leg.read():
            self._plain(leg, piece)
            if self.done:
                return
        self._write(leg, tls_leg.pending())
        if tls_leg.error is not None:
            if self._finished[leg] and not self._clean[1 - leg]:
                # The other side ended without close_notify, and so this one was told: the alert is its answer to that.
                self._close("fin", self._first_end)
                return
            alert = alert_in(tls_leg.error)
            if alert is not None and leg == DEVICE:
                self.tell("tls-alert", alert_detail(alert), DEVICE)
            detail = {"leg": LEGS[leg], "reason": (tls_leg.error.reason or "failed").lower().replace("_", " ")}
            self._open()
            self.tell("proxy-tls-broken", detail, leg)
            self._close("fin", leg)
        elif tls_leg.over:
            if self.state == "relay":
                self._over(leg, clean=True)
            else:
                self._ended[leg] = self._clean[leg] = True

    def _plain(self, direction: int, data: bytes) -> None:
        """Plaintext of one side."""
        if self.state != "relay":
            self._early.append((self._time, data))
            self._early_size += len(data)
            if self._early_size > limits.PROXY_FIRST_MAX:
                self._hold(direction, "early")
            return
        out = self._out
        place = len(out)
        if self._lanes is None:
            self.forward(direction, data)
        else:
            self._lanes.feed(direction, data)
        # The bytes go first; that they came is told behind them, and in front of what became of them.
        while place < len(out) and isinstance(out[place], do.Write):
            place += 1
        out.insert(place, do.Copied(direction, self._time, data))

    # --- what the lanes ask for ---

    def forward(self, direction: int, data: bytes, *, own: bool = False) -> None:
        """Send plaintext on, as one write."""
        leg = 1 - direction
        if self.done or self._finished[leg] or not data:
            return
        if own and self._blocked[leg]:
            self._overrun[leg] += len(data)
            if self._overrun[leg] > limits.PROXY_INJECT_MAX:
                if not self._overrun_told:
                    self._overrun_told = True
                    self.tell("proxy-limit", {"limit": "inject", "size": limits.PROXY_INJECT_MAX}, direction)
                return
        tls_leg = self._tls[leg]
        if tls_leg is None:
            self._order(do.Write(leg, data))
        else:
            try:
                self._order(do.Write(leg, tls_leg.write(data)))
            except ssl.SSLError:
                self._drop("reset", leg)
                return
        if self._plan.wants_sent:
            self._order(do.Sent(direction, self._time, data))

    def schedule(self, delay: float, token: Any) -> None:
        """Call `timer` later."""
        self._order(do.Schedule(delay, token))

    def hold(self, direction: int, reason: str) -> None:
        """Read no more of a direction."""
        self._hold(direction, reason)

    def unhold(self, direction: int, reason: str) -> None:
        """Read on."""
        self._unhold(direction, reason)

    def ask(self, direction: int, frame: Held) -> None:
        """Ask the gate."""
        self._order(do.Ask(direction, frame))

    def end(self, *, reset: bool) -> None:
        """A rule ends both legs."""
        if reset:
            self._drop("reset", None)
        else:
            self._close("fin", None)

    def settled(self) -> None:
        """Nothing waits in the rules any more: an end that came behind it goes on."""
        for leg in (DEVICE, UPSTREAM):
            if self._ended[leg] and not self._finished[1 - leg] and not self.done:
                self._pass_end(leg)

    # --- the end of a direction ---

    def _over(self, leg: int, *, clean: bool) -> None:
        """One direction is over; the other goes on. `clean` is False where TLS ended without close_notify."""
        if self._ended[leg]:
            return
        self._ended[leg], self._clean[leg] = True, clean
        if self._first_end is None:
            self._first_end = leg
            self._deadline("half-closed", self._plan.deadlines.half_closed, rolling=True)
            if self._lanes is not None:
                self._lanes.ended()
        self._pass_end(leg)

    def _pass_end(self, leg: int) -> None:
        if self._lanes is not None:
            if self._lanes.busy(leg):
                return
            self._lanes.flush(leg)
            if self.done or self._lanes.busy(leg):
                return
        self._finish(1 - leg, clean=self._clean[leg])
        if self._finished[DEVICE] and self._finished[UPSTREAM]:
            self._close("fin", self._first_end)
