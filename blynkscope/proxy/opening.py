"""The phase before bytes go through: what the device speaks, the upstream, and TLS with both."""

from __future__ import annotations

import ssl
from typing import Any

from blynkscope.protocol import limits, tls
from blynkscope.proxy import commands as do
from blynkscope.proxy.commands import DEVICE, UPSTREAM
from blynkscope.proxy.contexts import server_name
from blynkscope.proxy.failures import alert_detail, handshake_failure, upstream_failure
from blynkscope.proxy.relaying import Relaying
from blynkscope.proxy.secure import slices
from blynkscope.proxy.state import Plan
from blynkscope.wire.facts import Fact
from blynkscope.wire.first_hello import HelloReader
from blynkscope.wire.tls import TlsSession

_TLS_BEGIN = bytes([tls.HANDSHAKE, 3])
_TOLD = frozenset({"tls-client-hello", "tls-alert"})
"""Facts of the device leg that are told. The server's side of it is the proxy's own."""


class Opening(Relaying):
    """A connection whose legs are being made."""

    def __init__(self, plan: Plan, connection: int) -> None:
        super().__init__(plan, connection)
        self._alerted = False

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
        kind = self._plan.tls
        if kind == "never":
            self._connect()
        elif head[0] != _TLS_BEGIN[0] or (len(head) > 1 and head[1] != _TLS_BEGIN[1]):
            if kind == "always":
                self._no_tls()
                return
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
            if self._hello is None:
                text = "the device speaks without TLS, where nothing names a server"
            else:
                text = "the device names no server (SNI)"
            self._refuse("no-name", f"{text}, so auto leads nowhere: name an upstream", None)
        elif not any(name == host or name.endswith(f".{host}") for host in upstream.hosts):
            self._refuse("name", "auto does not lead to this name", name)
        else:
            self._order(do.Connect(name, upstream.port, True))

    def _refuse(self, reason: str, text: str, host: str | None) -> None:
        self._open()
        self.tell("proxy-refused", {"reason": reason, "text": text, "host": host})
        self._close("fin", None)

    def _greet(self, data: bytes) -> None:
        """Go on with the handshake of the upstream leg."""
        leg = self._tls[UPSTREAM]
        assert leg is not None
        for piece in slices(data):
            leg.put(piece)
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
        for piece in slices(data):
            leg.put(piece)
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

    def _from_upstream(self, data: bytes) -> None:
        if self._tls[UPSTREAM] is not None and self.state in {"greet", "prepare", "accept"}:
            self._greet(data)
        else:
            self._received(UPSTREAM, data)

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

    # --- what goes wrong ---

    def _no_tls(self) -> None:
        """Without TLS on a port of TLS: the end, as a server of TLS alone has no words for it."""
        self._open()
        self._order(do.Copied(DEVICE, self._time, bytes(self._head)))
        self._close("fin", UPSTREAM)

    def _upstream_failed(self, detail: dict[str, Any]) -> None:
        """The device is told by the end of its connection, at once."""
        self._open()
        if self._hello is None and self._head:
            self._order(do.Copied(DEVICE, self._time, bytes(self._head)))
        upstream = self._plan.upstream
        self.tell("proxy-upstream-failed", detail | {"host": self._target, "port": upstream.port})
        # Neither side ended it: the server was not reached.
        self._close("fin", None)

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
