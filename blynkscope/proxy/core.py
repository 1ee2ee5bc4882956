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
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from blynkscope.proxy import commands as do
from blynkscope.proxy.commands import DEVICE, UPSTREAM, Order
from blynkscope.proxy.contexts import offered_protocols
from blynkscope.proxy.failures import upstream_failure
from blynkscope.proxy.opening import Opening
from blynkscope.proxy.secure import TlsLeg

if TYPE_CHECKING:
    from blynkscope.faults import Command


class Relay(Opening):
    """One connection. Every method is an event and gives the orders that follow from it, in order.

    Attributes:
        state: See the module; "done" is final.
        done: It is over.
        secure, upstream_secure: TLS versions of the legs, None for plain.
        received: Bytes that came from each side, as they were on the wire.
    """

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

    def left(self, time: float) -> list[Order]:
        """An upstream in this process is done: behind what it sent, the connection ends."""
        if self._lanes is not None and self.state == "relay" and not self._ended[UPSTREAM]:
            # What the rules hold goes first.
            return self.ended(UPSTREAM, time)
        self._time = time
        if not self.done:
            self._open()
            self._close("fin", UPSTREAM if self._first_end is None else self._first_end)
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
