"""BS107, BS111, BS112: one side speaks what the other does not understand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.inside import is_sealed, spoke, unwrapped
from blynkscope.analysis.rules.quotes import quote
from blynkscope.analysis.rules.reaching import server_name
from blynkscope.analysis.rules.tls import HELLO_PATIENCE
from blynkscope.analysis.rules.words import closed_by_server, end_of, explains, first_time, seconds, unheard
from blynkscope.protocol.paths import DEVICE_PATH, WEBSOCKETS
from blynkscope.protocol.ports import DEVICE_PORTS, MQTT_PORTS, PARTICLE_PORT, SECURE_PORTS, SERVER_PORTS, TLS_PORTS
from blynkscope.wire import recognise
from blynkscope.wire.events import CLIENT

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.wire.events import Closed, Line
    from blynkscope.wire.facts import Fact
    from blynkscope.wire.framing import Skipped

PATH_MAX = 80
"""Characters of a path that are shown."""
OWN_PORTS = (DEVICE_PORTS | TLS_PORTS) - {80, 443}
"""Ports that are Blynk's alone; on 80 and 443 anything may be meant."""
_UPDATES = "/static/ota"
"""Downloads of firmware have findings of their own."""
_PLAIN_KINDS = frozenset({"hardware", "app", "http", "websocket", "mqtt"})
_BAD_REQUEST = 400
_SWITCHING = 101
_NOT_FOUND = frozenset({400, 404})
_LABELS = {
    "hardware": "Blynk frames", "app": "Blynk frames of the app dialect", "http": "HTTP",
    "websocket": "a WebSocket upgrade", "mqtt": "MQTT", "ssh": "SSH", "text": "text",
    "unknown": "bytes of no known protocol", "tls": "TLS",
}  # fmt: skip
SKIPS_MAX = 8
"""Runs of bytes between frames that are looked at in one stream; a desynchronised one has thousands."""


class OtherProtocols(StreamRule):
    """BS107, BS111, BS112."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"path": None, "target": None, "status": None, "granted": False, "skips": 0, "http": 0}

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if fact.kind == "http-request" and memory["target"] is None:
            memory["target"] = str(fact.detail.get("path") or "")
            if "websocket" in str(fact.detail.get("upgrade") or "").lower():
                memory["path"] = memory["target"]
        elif fact.kind == "http-response":
            status = fact.detail.get("status")
            memory["granted"] = memory["granted"] or status == _SWITCHING
            if memory["status"] is None:
                memory["status"] = status

    def skipped(self, stream: Conversation, lane: Lane, item: Skipped) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        memory["skips"] += 1
        if memory["skips"] <= SKIPS_MAX and lane.direction == CLIENT and item.start:
            memory["http"] += recognise.name_bytes(item.sample).kind in {"http", "websocket"}

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        client, server = stream.client.guess, stream.server.guess
        if stream.log or stream.cause is not None or stream.joined or stream.opened.server_port == PARTICLE_PORT:
            return
        memory = self.of(stream)
        inside = any(unwrapped(lane) for lane in stream.lanes)
        if inside:
            # The guess of a direction in which nothing came out of TLS is about TLS itself.
            if client is None or client.kind == "tls" or is_sealed(stream.server):
                return
            server = server if unwrapped(stream.server) else None
        if client is None:
            self._uninvited(stream)
        elif not inside and client.kind in _PLAIN_KINDS and self._on_secure_port(stream, event, client.kind):
            return
        elif memory["path"] is not None:
            self._upgrade(stream, event, memory)
        elif client.is_blynk:
            if memory["http"]:
                what = "After its Blynk frames the client sent an HTTP request on the same connection"
                self._other(stream, f"{what}, which the server cannot read.", "http within")
            elif server is not None and not server.is_blynk:
                self._answered(stream, server)
        elif server is not None and server.is_blynk:
            detail = (
                f"The client sent {_LABELS.get(client.kind, client.kind)}, and {server_name(stream)} answered with "
            )
            self._other(stream, detail + "Blynk frames.", client.kind)
        elif not spoke(stream.server):
            self._unanswered(stream, event, client, memory)

    # --- BS107 ---

    def _on_secure_port(self, stream: Conversation, event: Closed, kind: str) -> bool:
        """Plain bytes on a TLS port, and the server does not take them."""
        server, secure = stream.server.guess, stream.opened.server_port in SECURE_PORTS
        said: str
        if server is not None and server.kind == "tls":
            said = f"answered with a {server.label}"
        elif not secure:
            return False
        elif server is not None and server.kind == "http":
            status = self.of(stream)["status"]
            if kind in {"http", "websocket"} and status != _BAD_REQUEST:
                return False
            said = f"answered with HTTP {status}" if status else "answered with HTTP"
        elif (silence := self._silence(stream, event)) is not None:
            said = silence
        else:
            return False
        if not first_time(stream, f"BS107 {stream.opened.server}"):
            explains(stream, "BS107")
            return True
        detail = f"The client sent {_LABELS[kind]} without TLS to {server_name(stream)}, and the server {said}."
        if secure:
            detail += f" Port {stream.opened.server_port} expects a TLS handshake."
        self.report("BS107", stream, detail=detail, cause=True)
        return True

    # --- BS112 ---

    def _upgrade(self, stream: Conversation, event: Closed, memory: dict[str, Any]) -> None:
        path, status = memory["path"], memory["status"]
        if status == _SWITCHING:
            return
        if memory["granted"]:
            # The client found its way (another path, a login): nothing has failed.
            if first_time(stream, f"refused {stream.opened.server} {path[:PATH_MAX]}"):
                asked = f"The client asked {server_name(stream)} for a WebSocket on {quote(path, PATH_MAX)}"
                detail = (
                    f"{asked}, and was answered with HTTP {status}; a later request on this connection was granted."
                )
                self.report("BS111" if path in WEBSOCKETS else "BS112", stream, detail=detail, severity="note")
            return
        if status is not None:
            said = f"answered with HTTP {status} in place of 101"
        else:
            silence = self._silence(stream, event, closed_by_anyone=True)
            if silence is None:
                return
            said = silence
        if path in WEBSOCKETS:
            detail = (
                f"The client asked for a WebSocket on {path}, and {server_name(stream)} {said}: it speaks none there."
            )
            self._other(stream, detail, "websocket")
            return
        if not first_time(stream, f"BS112 {stream.opened.server} {path[:PATH_MAX]}"):
            explains(stream, "BS112")
            return
        detail = (
            f"The client asked {server_name(stream)} for a WebSocket on {quote(path, PATH_MAX)}, and the server {said}."
        )
        self.report("BS112", stream, detail=detail + _right_path(path), cause=True)

    # --- BS111 ---

    def _answered(self, stream: Conversation, server: recognise.Guess) -> None:
        if server.kind == "unknown" and not stream.server.whole:
            return
        said = server.detail.get("status_line") or server.detail.get("banner") or server.detail.get("line")
        what = f"{_LABELS.get(server.kind, server.kind)}" + (f" ({quote(said)})" if said else "")
        detail = (
            f"The client sent Blynk frames, and {server_name(stream)} answered with {what}: no Blynk server is there."
        )
        self._other(stream, detail, f"answer {server.kind}")

    def _uninvited(self, stream: Conversation) -> None:
        """The server speaks first, which no Blynk server does."""
        server, port = stream.server.guess, stream.opened.server_port
        if server is not None and server.kind in {"ssh", "text", "http"} and port in SERVER_PORTS - MQTT_PORTS:
            said = str(server.detail.get("banner") or server.detail.get("line") or server.label).strip()
            detail = f"{server_name(stream)} speaks first, with {quote(said)}: no Blynk server is there."
            self._other(stream, detail, f"first {server.kind}")

    def _unanswered(self, stream: Conversation, event: Closed, client: recognise.Guess, memory: dict[str, Any]) -> None:
        port = stream.opened.server_port
        ours = port in OWN_PORTS or stream.evidence.of_server is not None
        if client.kind in {"mqtt", "ssh"}:
            ours = port in SERVER_PORTS - MQTT_PORTS or stream.evidence.of_server is not None
        if client.kind not in _LABELS or client.kind in {"text", "tls"} or not ours:
            return
        if (memory["target"] or "").startswith(_UPDATES):
            return
        said = self._silence(stream, event, closed_by_anyone=client.kind != "unknown")
        if said is not None:
            detail = f"The client sent {_LABELS[client.kind]} to {server_name(stream)}, and the server {said}."
            self._other(stream, detail, client.kind)

    def _other(self, stream: Conversation, detail: str, what: str) -> None:
        if not first_time(stream, f"BS111 {stream.opened.server} {what}"):
            explains(stream, "BS111")
            return
        self.report("BS111", stream, detail=detail, cause=True)

    def _silence(self, stream: Conversation, event: Closed, *, closed_by_anyone: bool = False) -> str | None:
        """What the server did instead of an answer; None where it answered or was given no time."""
        if spoke(stream.server) or unheard(stream, stream.server, event):
            return None
        last, asked = end_of(stream, event), stream.client.heard_at
        waited = last - asked if last is not None and asked is not None else 0.0
        if closed_by_server(stream, event):
            return "reset the connection" if event.how == "reset" else "closed the connection without an answer"
        if waited >= HELLO_PATIENCE:
            return f"gave no answer for {seconds(waited)}"
        if closed_by_anyone and event.how in {"fin", "reset"}:
            return "gave no answer until the client closed"
        return None


class WebSocketLines(StreamRule):
    """BS112 from the lines of a log."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"path": None}

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if stream is None:
            return
        if line.kind == "connecting" and line.facts.get("path"):
            self.of(stream)["path"] = str(line.facts["path"])
        path = self.of(stream)["path"]
        if line.kind != "http" or path is None or line.facts.get("status") not in _NOT_FOUND or path in WEBSOCKETS:
            return
        if not first_time(stream, f"BS112 {path[:PATH_MAX]}"):
            explains(stream, "BS112")
            return
        detail = (
            f"Line {line.line} of the log: the server answered HTTP {line.facts['status']} on {quote(path, PATH_MAX)}."
        )
        self.report("BS112", stream, detail=detail + _right_path(path), cause=True)


def _right_path(path: str) -> str:
    near = ", with an s at its end" if path.rstrip("/") == "/websocket" else ""
    return f" Devices use {DEVICE_PATH}{near}."


RULES: tuple[type[StreamRule], ...] = (OtherProtocols, WebSocketLines)
