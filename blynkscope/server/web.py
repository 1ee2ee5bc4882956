"""HTTP on the side of the server: requests in, answers out, and what becomes of a connection that is upgraded.

The messages are read and written by h11, which is strict where requests could be smuggled; ends of lines without CR are
taken, as by the real server, which people's sketches make use of. Who answers a call is in `web_routes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11
import msgspec

from blynkscope.errors import EnvironmentProblem
from blynkscope.protocol.model import Dialect, Era
from blynkscope.server import ota, web_routes, websocket
from blynkscope.server.web_model import UNKNOWN, Answer, Request, text

if TYPE_CHECKING:
    from blynkscope.server.hub import Hub
    from blynkscope.server.model import Link, Session

HEAD_MAX = 16 * 1024
"""Bytes of the head of a request; the longest real ones are batches of Blynk IoT, some KiB."""
HEADERS_MAX = 100
"""Headers of a request; browsers send some twenty."""
HELD_MAX = 128 * 1024
"""Bytes of further requests that wait while an answer is on its way; no client sends so many before it was heard."""
PATIENCE_SECONDS = 60.0
"""For a request to be whole, and between two requests; an upload or a download may last as long as it moves."""
LINGER_SECONDS = 2.0
"""How long the rest of a body that was refused is passed over: who closes while it comes makes the client see a reset
in place of the answer."""
_ANYONE = (b"access-control-allow-origin", b"*")


class WebSession:
    """One connection that speaks HTTP. A `model.Session`.

    Args:
        hub: The server.
        link: To the client.
        secure: It is inside of TLS.
        port: Where the client connected to.
        peer: Its address.
        time: Now, seconds since 1970.
    """

    __slots__ = (
        "_body",
        "_due",
        "_ended",
        "_head",
        "_held",
        "_http",
        "_inner",
        "_lingers",
        "_over",
        "_peer",
        "_pumping",
        "_request",
        "_secure",
        "_stream",
        "_time",
        "_timed",
        "_upload",
        "_waiting",
        "_wanted",
        "hub",
        "link",
    )

    def __init__(self, hub: Hub, link: Link, *, secure: bool, port: int, peer: tuple[str, int], time: float) -> None:
        self.hub = hub
        self.link = link
        self._secure = secure
        self._peer = peer
        if not secure:
            hub.images.plain_port = port
        self._http: h11.Connection | None = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MAX)
        self._inner: Session | None = None
        self._request: Request | None = None
        self._body = bytearray()
        self._upload: ota.Upload | None = None
        self._stream: Iterator[bytes] | None = None
        self._wanted = 0
        self._head = False
        """Only the head of the answer is asked for."""
        self._held = bytearray()
        self._pumping = False
        self._waiting = False
        self._ended = False
        self._over = False
        self._lingers = False
        self._time = time
        self._due = time + PATIENCE_SECONDS
        self._timed = True
        hub.timetable.enter(self)

    # --- Session ------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes, time: float) -> None:
        """Bytes of the client."""
        self._time = time
        if self._inner is not None:
            self._inner.feed(data, time)
        elif self._over or not data:
            return
        elif self._stream is not None:
            self._held += data
            if len(self._held) > HELD_MAX:
                self._stop()
                self.link.abort()
        else:
            self._read(data)

    def ended(self, time: float) -> None:
        """FIN of the client: what is asked is still answered."""
        self._ended = True
        if self._inner is not None:
            self._inner.ended(time)
        elif self._over:
            # One that is never answered ends all the same when its client has gone.
            self.link.close()
        elif self._stream is None:
            self._close()

    def lost(self, time: float) -> None:
        """The connection is gone."""
        self._stop()
        if self._inner is not None:
            self._inner.lost(time)

    def due(self) -> float | None:
        """When the client must have done something; None where this is no matter of HTTP any more."""
        return self._due if self._lingers or (self._http is not None and not self._over) else None

    def expire(self, now: float) -> None:
        """The client has not done it. Who takes nothing of an answer is cut off, so that no bytes wait for it."""
        taking = self._stream is not None
        self._stop()
        if taking:
            self.link.abort()
        else:
            self.link.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        http = self._http
        if http is None:
            return
        try:
            if data:
                http.receive_data(data)
            while not self._over and self._stream is None and self._http is not None and not self.link.over:
                event = http.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._take(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self._complete()
                else:
                    break
        except h11.RemoteProtocolError as error:
            self._say(text(error.error_status_hint, f"This is no request: {_plain(error)}", close=True))

    def _begin(self, event: h11.Request) -> None:
        headers: dict[bytes, bytes] = {}
        for name, value in event.headers:
            headers.setdefault(bytes(name), bytes(value))
        path, _, query = web_routes.local(event.target.decode("ascii", "replace")).partition("?")
        request = Request(event.method.decode("ascii", "replace"), path, query, headers, self._secure)
        self._request = request
        self._head = request.method == "HEAD"
        self._body = bytearray()
        size = sum(len(name) + len(value) + 4 for name, value in event.headers) + len(event.target)
        if size > HEAD_MAX or len(event.headers) > HEADERS_MAX:
            refusal: Answer | None = text(431, "The head of the request is too long.", close=True)
        elif event.http_version not in {b"1.1", b"1.0"}:
            refusal = text(505, "This server speaks HTTP 1.1.", close=True)
        else:
            refusal = web_routes.refusal(self.hub, request)
            if refusal is None and web_routes.uploads(request):
                upload = ota.Upload.begin(self.hub, request)
                if isinstance(upload, Answer):
                    refusal = upload
                else:
                    self._upload = upload
        if refusal is not None:
            self._say(refusal)
        elif self._http is not None and self._http.they_are_waiting_for_100_continue:
            self.link.send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")

    def _take(self, data: bytes) -> None:
        if self._upload is not None:
            self._due = self._time + PATIENCE_SECONDS
            refusal = self._upload.feed(data)
        else:
            self._body += data
            refusal = text(413, "The body is too long.", close=True) if len(self._body) > web_routes.BODY_MAX else None
        if refusal is not None:
            self._say(refusal)

    def _complete(self) -> None:
        request, upload = self._request, self._upload
        self._request = self._upload = None
        if request is None:
            return
        if upload is not None:
            self._say(upload.end())
        elif request.header(b"upgrade").lower() == "websocket":
            self._upgrade(request)
        else:
            whole = msgspec.structs.replace(request, body=bytes(self._body))
            self._body = bytearray()
            self._say(web_routes.route(self.hub, whole))

    def _upgrade(self, request: Request) -> None:
        path = request.path
        if path not in {websocket.HARDWARE_PATH, websocket.WEB_PATH}:
            if self.hub.settings.like is Era.LEGACY and "silent-websocket" in self.hub.settings.quirks:
                # Measured: nothing is answered, and nothing is closed.
                self._over = True
                self._leave()
                return
            self._say(text(404))
            return
        refusal = websocket.refusal(request)
        http = self._http
        if refusal is not None or http is None:
            self._say(refusal or text(400))
            return
        response = h11.InformationalResponse(
            status_code=101, headers=websocket.acceptance(request), reason=b"Switching Protocols"
        )
        self.link.send(http.send(response) or b"")
        rest_of_it, _ = http.trailing_data
        self._leave()
        hardware = path == websocket.HARDWARE_PATH
        inner = websocket.WebSocketSession(self.link, self._hardware if hardware else self._dashboard, framed=hardware)
        self._inner = inner
        if rest_of_it:
            inner.feed(bytes(rest_of_it), self._time)

    def _hardware(self, link: Link) -> Session:
        from blynkscope.server.hardware import HardwareSession

        return HardwareSession(self.hub, link, self._time, self._peer[0])

    def _dashboard(self, link: Link) -> Session:
        from blynkscope.server.app import AppSession

        return AppSession(self.hub, link, framing=Dialect.WEB, secure=self._secure, peer=self._peer)

    # --- answers ------------------------------------------------------------------------------------------------------

    def _say(self, answer: Answer) -> None:
        """Send an answer, or begin to. Behind it comes the next request, or the end."""
        http = self._http
        if http is None or http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self._close()
            return
        if answer.close and self._upload is not None:
            self._upload.drop()
            self._upload = None
        unasked = http.they_are_waiting_for_100_continue
        headers = [(b"connection", b"close" if answer.close else b"keep-alive")]
        if answer.kind is not None:
            headers.append((b"content-type", answer.kind.encode("ascii")))
        headers += [*answer.headers, _ANYONE]
        if answer.size != UNKNOWN:
            headers.append((b"content-length", b"%d" % answer.size))
        response = h11.Response(status_code=answer.status, headers=headers, reason=_reason(answer.status))
        sent = http.send(response) or b""
        head = self._head
        if answer.stream is not None and not head:
            self._stream = answer.stream
            self._wanted = answer.length
            self.link.send(sent)
            self._pump()
            return
        if answer.stream is not None:
            _done_with(answer.stream)
        if answer.body and not head:
            sent += http.send(h11.Data(data=answer.body)) or b""
        self.link.send(sent + (http.send(h11.EndOfMessage()) or b""))
        self._next(unasked=unasked)

    def _pump(self) -> None:
        """Send the next pieces of a long answer, each when the client has taken the one before."""
        self._waiting = False
        if self._pumping:
            return
        self._pumping = True
        self._time = self.hub.clock()
        self._due = self._time + PATIENCE_SECONDS
        try:
            while self._stream is not None and not self._waiting:
                piece = next(self._stream, b"")
                http = self._http
                if http is None or (not piece and self._wanted > 0):
                    # The file has become shorter: nobody may take this for all of it.
                    self._stop()
                    self.link.abort()
                    return
                if self._wanted == UNKNOWN:
                    more = bool(piece)
                else:
                    piece = piece[: self._wanted]
                    self._wanted -= len(piece)
                    more = self._wanted > 0
                sent = (http.send(h11.Data(data=piece)) or b"") if piece else b""
                if more:
                    self._waiting = True
                    self.link.send(sent)
                    self.link.drained(self._pump)
                    continue
                self.link.send(sent + (http.send(h11.EndOfMessage()) or b""))
                _done_with(self._stream)
                self._stream = None
                self._next()
                held, self._held = bytes(self._held), bytearray()
                if not self._over:
                    self._read(held)
                if self._ended and self._stream is None:
                    self._close()
        except EnvironmentProblem as problem:
            # Nobody but the link is above this call.
            self.hub.trouble = problem
            self._stop()
            self.link.abort()
        finally:
            self._pumping = False

    def _next(self, *, unasked: bool = False) -> None:
        """An answer is out; `unasked` where the client waits to be asked for its body, so that none comes."""
        self._due = self._time + PATIENCE_SECONDS
        http = self._http
        if http is not None and http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
            self._head = False
        elif http is None or http.their_state is not h11.SEND_BODY or unasked or self._ended:
            self._close()
        else:
            # What comes of the body is heard no more, and can do nothing.
            self._drop()
            self._lingers = True
            self._due = self._time + LINGER_SECONDS
            self.hub.timetable.sooner(self)

    def _close(self) -> None:
        if not self._over:
            self._stop()
            self.link.close()

    def _leave(self) -> None:
        """What comes is no matter of HTTP any more."""
        self._http = None
        if self._timed:
            self._timed = False
            self.hub.timetable.leave()

    def _stop(self) -> None:
        """Nothing more is read or sent."""
        self._lingers = False
        self._leave()
        self._drop()

    def _drop(self) -> None:
        """Nothing more is read."""
        self._over = True
        self._held = bytearray()
        self._body = bytearray()
        if self._upload is not None:
            self._upload.drop()
            self._upload = None
        if self._stream is not None:
            _done_with(self._stream)
            self._stream = None


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""


def _plain(error: h11.RemoteProtocolError) -> str:
    """Why h11 refuses something, without the bytes that it quotes: they may hold a token."""
    said = str(error)
    return said if said.isprintable() and len(said) < 80 and "b'" not in said and "{" not in said else "malformed"


def _done_with(stream: Iterator[bytes]) -> None:
    close = getattr(stream, "close", None)
    if close is not None:
        close()
