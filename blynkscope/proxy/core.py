"""The relay of one connection, without sockets: events in, orders out.

The upstream comes first. A device that begins with a ClientHello gets its answer only once the upstream is reached and
its TLS stands. So a server that cannot be reached looks to the device as it would without a proxy: its connection ends
at once, before it has sent its token. And ALPN can be passed on: the protocol that the upstream chose is the one that
the device is told. The upstream is not reached before the first bytes of the device (of TLS: a whole ClientHello) are
there, so that clients that say nothing cost nothing there.

    sniff ─plain─────────▶ connect ─▶ greet (TLS with the upstream) ─────────────────────────────────▶ relay ─▶ done
      └──TLS──▶ hello ───▶ connect ─▶ greet ─▶ prepare (certificate) ─▶ accept (TLS with the device) ─▶ relay
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from blynkscope.protocol import limits, tls
from blynkscope.proxy import commands as do
from blynkscope.proxy.commands import DEVICE, LEGS, UPSTREAM, Order
from blynkscope.proxy.contexts import offered_protocols, server_name
from blynkscope.proxy.failures import alert_detail, handshake_failure, upstream_failure
from blynkscope.proxy.hello import HelloReader
from blynkscope.proxy.lanes import Lanes
from blynkscope.proxy.secure import SLICE, TlsLeg, alert_in
from blynkscope.proxy.settings import Deadlines, Held, Upstream
from blynkscope.wire.facts import Fact
from blynkscope.wire.hellos import ClientHello
from blynkscope.wire.tls import TlsSession

if TYPE_CHECKING:
    from blynkscope.faults import Command, Injector

_TLS_BEGIN = bytes([tls.HANDSHAKE, 3])
_TOLD = frozenset({"tls-client-hello", "tls-alert"})
"""Facts of the device leg that are told. The server's side of it is the proxy's own."""


class Plan(msgspec.Struct, frozen=True):
    """What all connections of a proxy have in common.

    Attributes:
        upstream: Where they lead.
        deadlines: When they are given up.
        client: Gives the TLS settings of the upstream leg for the protocols that the device offers.
        serves_tls: Is there a certificate for devices?
        legacy: Are old versions allowed on the device leg?
        wants_sent: Does the tap want what is sent on?
        injector: Makes the rules of a connection, by its number; None without rules.
        wants: The gate's question, by connection; None without a gate.
        clock: Seconds that never go back.
    """

    upstream: Upstream
    deadlines: Deadlines
    client: Callable[[tuple[str, ...]], ssl.SSLContext]
    serves_tls: bool
    legacy: bool
    wants_sent: bool
    injector: Callable[[int], Injector] | None
    wants: Callable[[int, int, Held], bool] | None
    clock: Callable[[], float]


class Relay:
    """One connection. Every method is an event and gives the orders that follow from it, in order.

    Attributes:
        state: See the module; "done" is final.
        done: It is over.
        secure, upstream_secure: TLS versions of the legs, None for plain.
        received: Bytes that came from each side, as they were on the wire.
    """

    def __init__(self, plan: Plan, connection: int) -> None:
        self._plan = plan
        self.state = "sniff"
        self.received = [0, 0]
        self.secure: str | None = None
        self.upstream_secure: str | None = None
        self._out: list[Order] = []
        self._time = 0.0
        self._tls: list[TlsLeg | None] = [None, None]
        self._head = bytearray()
        self._early: list[tuple[float, bytes]] = []
        self._early_size = 0
        self._ended = [False, False]
        self._clean = [True, True]
        self._first_end: int | None = None
        self._finished = [False, False]
        self._holds: tuple[set[str], set[str]] = (set(), set())
        self._blocked = [False, False]
        self._overrun = [0, 0]
        self._overrun_told = False
        self._opened = False
        self._waiting: list[do.Tell] = []
        self._hellos: HelloReader | None = None
        self._hello: ClientHello | None = None
        self._watch: TlsSession | None = None
        self._alerted = False
        self._target: str | None = plan.upstream.host
        self._verbatim = False
        self._lanes: Lanes | None = None
        if plan.injector is not None or plan.wants is not None:
            wants = plan.wants
            self._lanes = Lanes(
                self,
                None if plan.injector is None else plan.injector(connection),
                None if wants is None else lambda direction, frame: wants(connection, direction, frame),
                plan.clock,
                plan.deadlines.partial,
            )

    @property
    def done(self) -> bool:
        """Is it over?"""
        return self.state == "done"

    # --- events ---

    def accepted(self, time: float) -> list[Order]:
        """A client connected."""
        self._time = time
        self._deadline("first-byte", self._plan.deadlines.first_byte)
        return self._take()

    def came(self, leg: int, data: bytes, time: float) -> list[Order]:
        """Bytes came from a leg."""
        self.received[leg] += len(data)
        self._time = time
        if self._verbatim:
            if self._finished[1 - leg]:
                return []
            orders: list[Order] = [do.Write(1 - leg, data), do.Copied(leg, time, data)]
            if self._plan.wants_sent:
                orders.append(do.Sent(leg, time, data))
            return orders
        if not self.done:
            if leg == DEVICE:
                self._from_device(data)
            else:
                self._from_upstream(data)
        return self._take()

    def ended(self, leg: int, time: float) -> list[Order]:
        """FIN came from a leg."""
        self._time = time
        if self.done or self._ended[leg]:
            return self._take()
        tls_leg = self._tls[leg]
        if self.state == "relay":
            self._over(leg, clean=tls_leg is None)
        elif leg == UPSTREAM:
            if self.state == "greet":
                self._upstream_failed(
                    upstream_failure("the upstream closed the connection during the handshake", "tls")
                )
            else:
                self._ended[UPSTREAM], self._clean[UPSTREAM] = True, tls_leg is None
        elif self.state == "sniff" and not self._head:
            self._open()
            self._close("fin", DEVICE)
        elif self.state in {"sniff", "connect", "greet"} and self._hellos is None:
            # It has said what it had to say: that goes on, and the answer comes back.
            self._ended[DEVICE] = True
            if self.state == "sniff":
                self._connect()
        else:
            self._handshake_failed("closed")
        return self._take()

    def lost(self, leg: int, time: float) -> list[Order]:
        """A leg broke: RST, or no answer of the peer's TCP."""
        self._time = time
        if self.done:
            return self._take()
        if leg == UPSTREAM and self.state == "greet":
            self._upstream_failed(upstream_failure("the upstream reset the connection during the handshake", "tls"))
        elif leg == DEVICE and self.state in {"hello", "accept"}:
            self._handshake_failed("reset", how="reset")
        else:
            self._open()
            self._drop("reset", leg)
        return self._take()

    def reached(self, time: float) -> list[Order]:
        """The upstream is connected."""
        self._time = time
        if self.state != "connect":
            return self._take()
        if not self._plan.upstream.tls:
            self._upstream_stands()
            return self._take()
        self.state = "greet"
        assert self._target is not None
        try:
            context = self._plan.client(offered_protocols(self._hello))
            leg = self._tls[UPSTREAM] = TlsLeg(context, server=False, name=self._target)
            self._write(UPSTREAM, leg.handshake())
        except (ssl.SSLError, ValueError, OSError) as error:
            self._upstream_failed(upstream_failure(error, "tls"))
        return self._take()

    def unreached(self, detail: dict[str, Any], time: float) -> list[Order]:
        """The upstream cannot be reached; `detail` as `upstream_failure` gives it."""
        self._time = time
        if self.state in {"connect", "greet"}:
            self._upstream_failed(detail)
        return self._take()

    def prepared(self, context: ssl.SSLContext, time: float) -> list[Order]:
        """The TLS settings for the device leg are there."""
        self._time = time
        if self.state == "prepare":
            self.state = "accept"
            self._deadline("handshake", self._plan.deadlines.handshake)
            self._tls[DEVICE] = TlsLeg(context, server=True)
            head, self._head = bytes(self._head), bytearray()
            self._hellos = None
            self._accept(head)
            self._unhold(DEVICE, "early")
        return self._take()

    def unprepared(self, reason: str, time: float) -> list[Order]:
        """There is no certificate for the device."""
        self._time = time
        if self.state == "prepare":
            self._handshake_failed(reason)
        return self._take()

    def blocked(self, leg: int) -> list[Order]:
        """Much waits to be written to a leg: the other one is read no more."""
        self._blocked[leg] = True
        if not self.done:
            self._hold(1 - leg, "peer")
        return self._take()

    def writable(self, leg: int) -> list[Order]:
        """A leg takes bytes again."""
        self._blocked[leg] = False
        self._overrun[leg] = 0
        if not self.done:
            self._unhold(1 - leg, "peer")
        return self._take()

    def deadline(self, name: str, time: float) -> list[Order]:
        """A deadline has passed."""
        self._time = time
        if self.done:
            return self._take()
        deadlines = self._plan.deadlines
        if name == "connect":
            self._upstream_failed(upstream_failure(TimeoutError(), "timeout"))
        elif name == "handshake":
            self._handshake_failed("timeout")
        else:
            self._open()
            seconds = {"idle": deadlines.idle, "half-closed": deadlines.half_closed}.get(name, deadlines.first_byte)
            self.tell("proxy-limit", {"limit": name, "seconds": seconds})
            self._close("fin", None)
        return self._take()

    def timer(self, token: Any, time: float) -> list[Order]:
        """What was scheduled is due."""
        self._time = time
        if self._lanes is not None and not self.done:
            self._lanes.timer(token)
        return self._take()

    def decided(self, direction: int, commands: Sequence[Command] | None, time: float) -> list[Order]:
        """The gate has decided; None where it failed."""
        self._time = time
        if self._lanes is not None and not self.done:
            self._lanes.decided(direction, commands)
        return self._take()

    def inject(self, direction: int, data: bytes, time: float) -> list[Order]:
        """Somebody sends frames of their own; nothing happens where the direction is over, or not open yet."""
        self._time = time
        if self.state == "relay":
            self.forward(direction, data if self._lanes is None else self._lanes.wrap(direction, data), own=True)
        return self._take()

    def shut(self, time: float) -> list[Order]:
        """The proxy ends."""
        self._time = time
        if not self.done:
            self._open()
            self._close("end", None)
        return self._take()

    # --- the beginning ---

    def _from_device(self, data: bytes) -> None:
        if self.state == "relay":
            self._received(DEVICE, data)
        elif self.state == "accept":
            self._watched(0, data)
            self._accept(data)
        else:
            self._head += data
            if self._watch is not None:
                self._watched(0, data)
            if self.state == "sniff":
                self._sniff()
            elif self.state == "hello":
                self._read_hello(data)
            if len(self._head) > limits.PROXY_FIRST_MAX and self.state != "relay":
                self._hold(DEVICE, "early")

    def _sniff(self) -> None:
        head = self._head
        if head[0] != _TLS_BEGIN[0] or (len(head) > 1 and head[1] != _TLS_BEGIN[1]):
            self._connect()
        elif len(head) > 1:
            self.state = "hello"
            self._watch = TlsSession(None)
            self._hellos = HelloReader()
            self._deadline("handshake", self._plan.deadlines.handshake)
            self._watched(0, bytes(head))
            self._read_hello(bytes(head))

    def _read_hello(self, data: bytes) -> None:
        assert self._hellos is not None
        found = self._hellos.feed(data)
        if found is None:
            return
        if isinstance(found, str):
            self._handshake_failed(found)
            return
        self._hello = found
        if not self._plan.serves_tls:
            self._handshake_failed("no-certificate")
        else:
            self._connect()

    def _connect(self) -> None:
        self.state = "connect"
        upstream = self._plan.upstream
        self._deadline("connect", self._plan.deadlines.connect)
        if upstream.host is not None:
            self._order(do.Connect(upstream.host, upstream.port, False))
            return
        name = server_name(self._hello)
        self._target = name
        if name is None:
            self._refuse("no-name", "the device names no server (SNI), so auto leads nowhere: name an upstream", None)
        elif not any(name == host or name.endswith(f".{host}") for host in upstream.hosts):
            self._refuse("name", "auto does not lead to this name", name)
        else:
            self._order(do.Connect(name, upstream.port, True))

    def _refuse(self, reason: str, text: str, host: str | None) -> None:
        self._open()
        self.tell("proxy-refused", {"reason": reason, "text": text, "host": host})
        self._close("fin", UPSTREAM)

    def _greet(self, data: bytes) -> None:
        """Go on with the handshake of the upstream leg."""
        leg = self._tls[UPSTREAM]
        assert leg is not None
        for at in range(0, len(data), SLICE):
            leg.put(data[at : at + SLICE])
            if self.state == "greet":
                try:
                    answer = leg.handshake()
                except ssl.SSLError as error:
                    self._write(UPSTREAM, leg.pending())
                    self._upstream_failed(upstream_failure(error, "tls"))
                    return
                self._write(UPSTREAM, answer)
                if leg.ready:
                    self.upstream_secure = leg.version
                    self._upstream_stands()
            self._decrypt(UPSTREAM, leg)
            if self.done:
                return

    def _upstream_stands(self) -> None:
        if self._hello is None:
            self._relay()
            return
        self.state = "prepare"
        leg = self._tls[UPSTREAM]
        self._deadline("handshake", self._plan.deadlines.handshake)
        self._order(do.Prepare(self._hello, None if leg is None else leg.alpn))

    def _accept(self, data: bytes) -> None:
        """Go on with the handshake of the device leg."""
        leg = self._tls[DEVICE]
        assert leg is not None
        for at in range(0, len(data), SLICE):
            leg.put(data[at : at + SLICE])
            if self.state == "accept":
                try:
                    answer = leg.handshake()
                except ssl.SSLError as error:
                    self._write(DEVICE, leg.pending())
                    self._handshake_failed(error)
                    return
                self._watched(1, answer)
                self._write(DEVICE, answer)
                if leg.ready:
                    self.secure = leg.version
                    self._relay()
            if self.state == "relay":
                self._decrypt(DEVICE, leg)
            if self.done:
                return

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

    def _from_upstream(self, data: bytes) -> None:
        if self._tls[UPSTREAM] is not None and self.state in {"greet", "prepare", "accept"}:
            self._greet(data)
        else:
            self._received(UPSTREAM, data)

    def _received(self, leg: int, data: bytes) -> None:
        """Bytes of a leg that stands."""
        tls_leg = self._tls[leg]
        if tls_leg is None:
            self._plain(leg, data)
            return
        for at in range(0, len(data), SLICE):
            tls_leg.put(data[at : at + SLICE])
            self._decrypt(leg, tls_leg)
            if self.done or self._ended[leg]:
                return

    def _decrypt(self, leg: int, tls_leg: TlsLeg) -> None:
        for piece in tls_leg.read():
            self._plain(leg, piece)
            if self.done:
                return
        self._write(leg, tls_leg.pending())
        if tls_leg.error is not None:
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

    def tell(self, kind: str, detail: dict[str, Any], direction: int | None = None) -> None:
        """Tell a fact; before the connection is opened for the tap it waits."""
        told = do.Tell(direction, self._time, kind, detail)
        if self._opened:
            self._order(told)
        else:
            self._waiting.append(told)

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

    # --- the end ---

    def _over(self, leg: int, *, clean: bool) -> None:
        """One direction is over; the other goes on. `clean` is False where TLS ended without close_notify."""
        if self._ended[leg]:
            return
        self._ended[leg], self._clean[leg] = True, clean
        if self._first_end is None:
            self._first_end = leg
            self._deadline("half-closed", self._plan.deadlines.half_closed, rolling=True)
        self._pass_end(leg)

    def _pass_end(self, leg: int) -> None:
        if self._lanes is not None:
            if self._lanes.busy(leg):
                return
            self._lanes.flush(leg)
        self._finish(1 - leg, clean=self._clean[leg])
        if self._finished[DEVICE] and self._finished[UPSTREAM]:
            self._close("fin", self._first_end)

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

    def _upstream_failed(self, detail: dict[str, Any]) -> None:
        """The device is told by the end of its connection, at once."""
        self._open()
        if self._hello is None and self._head:
            self._order(do.Copied(DEVICE, self._time, bytes(self._head)))
        upstream = self._plan.upstream
        self.tell("proxy-upstream-failed", detail | {"host": self._target, "port": upstream.port})
        self._close("fin", UPSTREAM)

    def _handshake_failed(self, why: ssl.SSLError | str, how: str = "fin") -> None:
        hello = self._hello
        self.secure = "tls"
        self._open()
        detail = handshake_failure(hello, why, legacy=self._plan.legacy)
        if detail["alert"] is not None and not self._alerted:
            self.tell("tls-alert", alert_detail(detail["alert"]), DEVICE)
        self.tell("proxy-handshake-failed", detail, DEVICE)
        if how == "reset":
            self._drop(how, DEVICE)
        else:
            self._close(how, DEVICE)

    # --- small things ---

    def _open(self) -> None:
        if self._opened:
            return
        self._opened = True
        self._order(do.Opened(self.secure or ("tls" if self._hellos is not None else None)))
        self._out += self._waiting
        self._waiting.clear()

    def _watched(self, direction: int, data: bytes) -> None:
        if self._watch is None:
            return
        for _, piece in self._watch.feed(direction, data, self._time):
            if isinstance(piece, Fact) and piece.kind in _TOLD:
                if piece.kind == "tls-alert":
                    if direction != DEVICE or piece.detail.get("encrypted"):
                        continue
                    self._alerted = True
                self.tell(piece.kind, piece.detail, direction)

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
