"""What is inside what: TLS, an upgraded HTTP connection, WebSocket and MQTT, unwrapped down to Blynk's own bytes.

Each direction has a stack of layers. The bytes of TCP go to the outermost; what it gives is recognised again, like the
first bytes of a connection, and goes to the next layer or is cut into frames.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.lane import Lane
from blynkscope.analysis.layer import Layer
from blynkscope.analysis.recognition import Recognition
from blynkscope.analysis.run import Run
from blynkscope.protocol import limits, paths
from blynkscope.protocol.model import Dialect, Sender
from blynkscope.wire import recognise
from blynkscope.wire.events import CLIENT, Opened
from blynkscope.wire.facts import Fact
from blynkscope.wire.framing import web_message
from blynkscope.wire.layers import Content, Hole, Piece

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blynkscope.analysis.http import HttpTalk
    from blynkscope.analysis.mqtt import MqttTalk
    from blynkscope.wire.tls import TlsSession

LAYERS_MAX = 6
"""A tunnel (CONNECT), TLS, HTTP, WebSocket and MQTT inside each other; nothing real is deeper."""
_SILENT = frozenset({"tls-change-cipher", "tls-application-data"})
"""Facts that rules may want and no reader does."""


class Unwrapping(Recognition):
    """Opens the layers around what is said on one stream."""

    __slots__ = ("_http", "_mqtt", "_secured", "talks", "tls")

    def __init__(self, run: Run, opened: Opened) -> None:
        super().__init__(run, opened)
        self.tls: TlsSession | None = None
        self._secured: tuple[Lane, Lane] = self.lanes
        """The directions as TLS names them: that of the ClientHello first."""
        self.talks: list[HttpTalk | MqttTalk] = []
        """They put the messages of other protocols into words."""
        self._http: list[Any] = []
        """What the two directions of an HTTP connection tell each other, for each tunnel that is inside another."""
        self._mqtt: Any = None

    # --- bytes ---

    def _through(self, lane: Lane, level: int, data: bytes, time: float | None) -> None:
        """The next bytes of a layer."""
        layer = lane.layers[level]
        if layer.reader is not None:
            for piece in layer.reader.feed(data, time):
                self._piece(lane, level, piece)
            if layer.reader.buffered > limits.HEAVY_BUFFER:
                self.run.weigh(layer.reader, partial(self._drop, lane, level, time))
        elif layer.side is not None and (plain := layer.side.whole(data)) is not None:
            # The short way of what `feed` would give as one Content.
            self._content(lane, level, plain, time, layer.side.at)
        elif self.tls is not None:
            direction = self._secured.index(lane)
            self._secure(self.tls.feed(direction, data, time))
            if layer.side is not None and layer.side.over:
                # Another session may have begun behind the end of this one.
                layer.side = self.tls.side(direction)

    def _drop(self, lane: Lane, level: int, time: float | None) -> None:
        """Give up what the reader of a layer holds, because all together hold too much."""
        reader = lane.layers[level].reader
        assert reader is not None
        for piece in reader.drop(time):
            self._piece(lane, level, piece)

    def _inside(self, lane: Lane, level: int, data: bytes, time: float | None) -> None:
        if level < len(lane.layers):
            self._through(lane, level, data, time)

    def _lacking(self, lane: Lane, level: int, missing: int | None, time: float | None) -> None:
        """Bytes of a layer are missing."""
        if level >= len(lane.layers):
            self._missing(lane, missing, time)
            return
        layer = lane.layers[level]
        if layer.reader is not None:
            for piece in layer.reader.gap(missing, time):
                self._piece(lane, level, piece)
        elif self.tls is not None:
            self._secure(self.tls.gap(self._secured.index(lane), missing, time))

    def _finish_layers(self, lane: Lane, time: float | None) -> None:
        """The direction is over: from the outermost layer inwards each gives what only the end tells."""
        level = 0
        while True:
            if lane.guess is None and lane.prefix and level >= len(lane.layers):
                self._recognised(lane, recognise.name_bytes(bytes(lane.prefix)), time)
            if level >= len(lane.layers):
                return
            layer = lane.layers[level]
            if layer.reader is not None:
                for piece in layer.reader.finish(time):
                    self._piece(lane, level, piece)
            elif self.tls is not None:
                self._secure(self.tls.finish(self._secured.index(lane), time))
            level += 1

    def _secure(self, pieces: Iterable[tuple[int, Piece]]) -> None:
        """What TLS gives, which holds back until the keys are known: pieces of both directions."""
        for side, piece in pieces:
            lane = self._secured[side]
            level = next((level for level, layer in enumerate(lane.layers) if layer.kind == "tls"), None)
            if level is not None:
                self._piece(lane, level, piece)
            elif isinstance(piece, Fact):
                self._tell(lane, piece)

    def _piece(self, lane: Lane, level: int, piece: Piece) -> None:
        if isinstance(piece, Content):
            self._content(lane, level, piece.data, piece.time, piece.behind)
        elif isinstance(piece, Hole):
            layer = lane.layers[level]
            layer.inner += piece.missing or 0
            if layer.begun:
                self._lacking(lane, level + 1, piece.missing, piece.time)
            else:
                layer.holed = True
        else:
            self._tell(lane, piece)

    def _content(self, lane: Lane, level: int, data: bytes, time: float | None, behind: int) -> None:
        """What came out of a layer, in the terms of `Content`: it goes into the next one, or is cut into frames."""
        layer, start = lane.layers[level], lane.layers[level].inner
        acked = layer.took(len(data), behind)
        if not layer.begun:
            layer.begun = True
            self._descend(lane, layer, start, time)
        if acked:
            # Held back, or captured behind its own acknowledgement.
            self._deliver(lane, level + 1, layer.inner, time)
        if layer is not lane.layers[-1]:
            self._through(lane, level + 1, data, time)
        elif layer.kind == "websocket" and lane.dialect is Dialect.WEB:
            self._items(lane, [web_message(data, time, layer.inner)])
        else:
            self._bytes(lane, time, data)

    def _delivered(self, direction: int, upto: int, time: float | None) -> None:
        """The peer's TCP acknowledged bytes below `upto`: how far did it get inside?"""
        self._deliver(self.lanes[direction], 0, upto, time)

    def _deliver(self, lane: Lane, level: int, upto: int, time: float | None) -> None:
        """The same from one level inwards."""
        for layer in lane.layers[level:]:
            inner = layer.delivered(upto)
            if inner is None:
                return
            upto = inner
        self.pins.delivered(self.lanes.index(lane), upto, time)

    # --- layers ---

    def _open_layer(self, lane: Lane, guess: recognise.Guess) -> None:
        if len(lane.layers) >= LAYERS_MAX:
            return
        if guess.kind == "tls":
            # Behind a CONNECT it is inside of HTTP; TLS inside of TLS is opened once.
            if all(layer.kind == "http" for layer in lane.layers) and lane.via[-1:] == self.opened.via[-1:]:
                self._open_tls(lane, guess)
        elif guess.detail.get("frames"):
            dialect = self.run.dialect or Dialect(guess.detail["frames"])
            self._put_websocket(lane, dialect, None, joined=True)
        elif guess.kind in {"http", "websocket"}:
            if all(layer.kind in {"tls", "http"} for layer in lane.layers):
                self._open_http(lane)
        elif guess.kind == "mqtt":
            self._open_mqtt(lane)

    def _put(self, lane: Lane, layer: Layer) -> None:
        lane.layers.append(layer)
        self.delivered = self._delivered

    def _open_tls(self, lane: Lane, guess: recognise.Guess) -> None:
        if self.tls is None:
            from blynkscope.wire.tls import TlsSession

            self.tls = TlsSession(self.run.keys)
            hello = guess.detail.get("handshake")
            client = lane if hello == "ClientHello" else lane.peer if hello == "ServerHello" else self.client
            self._secured = (client, client.peer)
        self._put(lane, Layer("tls", None, self.tls.side(self._secured.index(lane))))

    def _open_http(self, lane: Lane) -> None:
        from blynkscope.analysis.http import HttpTalk
        from blynkscope.wire.http import HttpReader, HttpShared

        depth = sum(layer.kind == "http" for layer in lane.layers)
        if depth == len(self._http):
            self._http.append(HttpShared())
        if not any(isinstance(talk, HttpTalk) for talk in self.talks):
            self.talks.append(HttpTalk(self))  # type: ignore[arg-type]
        self._put(lane, Layer("http", HttpReader(lane.direction == CLIENT, self._http[depth]), linear=True))

    def _open_mqtt(self, lane: Lane) -> None:
        from blynkscope.analysis.mqtt import MqttTalk
        from blynkscope.wire.mqtt import MqttReader, MqttShared

        if self._mqtt is None:
            self._mqtt = MqttShared()
        if not any(isinstance(talk, MqttTalk) for talk in self.talks):
            self.talks.append(MqttTalk(self))  # type: ignore[arg-type]
        self._put(lane, Layer("mqtt", MqttReader(lane.direction == CLIENT, self._mqtt, joined=lane.joined)))

    def _descend(self, lane: Lane, layer: Layer, start: int, time: float | None) -> None:
        """The first content of a layer, at inner offset `start`: what is it?"""
        lane.guess, lane.prefix, lane.start = None, bytearray(), start
        lane.joined, lane.whole = layer.holed, not layer.holed
        if layer.kind == "tls":
            assert self.tls is not None
            self._inner(lane, self.tls.layer)
        elif layer.kind == "http":
            if self._upgrade(lane) == "websocket":
                self._open_websocket(lane, time)
        elif layer.kind == "websocket":
            self._inner(lane, "websocket")
            dialect = layer.known["dialect"]
            if dialect == paths.MQTT:
                lane.guess = recognise.MQTT
                self._open_mqtt(lane)
            elif dialect is Dialect.WEB:
                self._speak_web(lane)
            elif dialect is not None:
                self._begin(lane, dialect, joined=layer.holed, offset=start)

    def _inner(self, lane: Lane, name: str) -> None:
        lane.via = (*lane.via, name)
        if len(lane.via) > len(self.via):
            self.via = lane.via

    def _upgrade(self, lane: Lane) -> str | None:
        """To which protocol did this HTTP connection change?"""
        known = self._agreed(lane) or self._agreed(lane.peer)
        return known.get("upgrade")

    def _open_websocket(self, lane: Lane, time: float | None) -> None:
        request, answer = self._agreed(self.client), self._agreed(self.server)
        path = str(request.get("path") or "").rstrip("/")
        protocol = str(answer.get("subprotocol") or request.get("subprotocol") or "")
        dialect = self.run.dialect or paths.spoken(path, protocol)
        # Where nothing of the server is in the input, what the client offered may have been granted.
        extensions = answer.get("extensions") if answer else request.get("extensions")
        if all(layer.kind != "websocket" for layer in lane.peer.layers):
            agreed = {"path": path, "extensions": extensions, "dialect": dialect}
            self._say("websocket", time, lane, 0, {"fact": "ws-upgraded", **agreed})
        self._put_websocket(lane, dialect, extensions, joined=False)

    def _put_websocket(self, lane: Lane, dialect: Any, extensions: str | None, *, joined: bool) -> None:
        from blynkscope.wire.websocket import WebSocketReader

        whole = dialect is Dialect.WEB
        reader = WebSocketReader(lane.direction == CLIENT, messages=whole, extensions=extensions, joined=joined)
        layer = Layer("websocket", reader, linear=extensions is None and not joined)
        layer.known = {"dialect": dialect}
        self._put(lane, layer)

    @staticmethod
    def _agreed(lane: Lane) -> dict[str, Any]:
        """What the innermost HTTP connection of a direction said about an upgrade."""
        return next((layer.known for layer in reversed(lane.layers) if layer.kind == "http"), {})

    def _speak_web(self, lane: Lane) -> None:
        """Each WebSocket message is a frame."""
        lane.guess = recognise.WEB
        lane.dialect = Dialect.WEB
        lane.targeted = True
        sender = Sender(lane.sender)
        if self._roles_known:
            sender = Sender.APP if lane.direction == CLIENT else Sender.SERVER
        self._label(lane, sender)

    # --- facts ---

    def _tell(self, lane: Lane, fact: Fact, *, whole: bool = False) -> None:
        """Something was said in another protocol: for the records, and for the rules.

        Args:
            lane: The direction that said it.
            fact: What was said.
            whole: It concerns the stream, not one direction.
        """
        kind, detail = fact.kind, fact.detail
        if kind == "tls-client-hello" and detail.get("sni") and self.host is None:
            self.called(str(detail["sni"]))
        elif kind == "http-request":
            if detail.get("host") and self.host is None:
                self.called(str(detail["host"]).partition(":")[0])
            self._remember(lane, fact)
        elif kind == "http-response":
            self._remember(lane, fact)
        if kind.startswith(("tls-", "ws-")) and kind not in _SILENT:
            family = {"tls-undecodable": "undecodable"}.get(kind, "tls" if kind.startswith("tls-") else "websocket")
            self._say(family, fact.time, lane, int(detail.get("size") or 0), {"fact": kind, **detail})
        elif kind.startswith("proxy-"):
            self._say("proxy", fact.time, None if whole else lane, 0, {"fact": kind, **detail})
        first = len(self.run.raised)
        for tell in self.hooks.told:
            tell(self, lane, fact)
        if self.talks:
            ids = tuple(dict.fromkeys(made.id for made in self.run.raised[first:]))
            for talk in self.talks:
                self.run.out += talk.take(lane, fact, ids)
        self._flush()

    def _remember(self, lane: Lane, fact: Fact) -> None:
        """What was agreed in an upgrade; the answer decides, and it says so before the first byte behind it."""
        if fact.kind == "http-response" and fact.detail.get("status") != 101:
            return
        layer = next((one for one in reversed(lane.layers) if one.kind == "http"), None)
        if layer is None:
            return
        keys = ("upgrade", "path", "extensions", "subprotocol")
        layer.known = {key: fact.detail[key] for key in keys if fact.detail.get(key) is not None}

    def _finish_talk(self, time: float | None) -> None:
        for talk in self.talks:
            self.run.out += talk.finish(time)
