"""BS401 to BS406 and BS408: firmware updates, from the server's order to the device's return.

An order is INTERNAL `ota` with a URL, or the line of a log that prints the URL. The download is another connection of
the same device to where the URL leads, or what the log says next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.catalogue import Severity
from blynkscope.analysis.names import address_of
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules import updaters
from blynkscope.analysis.rules.addresses import URL_MAX, Target, is_address
from blynkscope.analysis.rules.orders import Order, build_of, host, server_ip
from blynkscope.analysis.rules.update_logs import PrintedUpdates
from blynkscope.protocol import commands
from blynkscope.protocol.commands import LOGINS
from blynkscope.protocol.schema import readable
from blynkscope.wire.events import CLIENT, SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed
    from blynkscope.wire.facts import Fact
    from blynkscope.wire.recognise import Guess

RETURN_SECONDS = 120.0
"""A board restarts, joins its Wi-Fi and logs in within some 10 s of the download; slow modems need a minute."""
IGNORED_SECONDS = 120.0
"""A sketch that handles the order leaves at once; one that goes on for two minutes does not handle it."""
_ORDER = b"ota\0"
_UPDATERS = ("ESP8266-http-Update", "ESP32-http-Update", "ESP8266HTTPUpdate", "ESP32HTTPUpdate")
_FIRMWARE_PATHS = ("/static/ota/", "/static/fw")


class Updates(PrintedUpdates):
    """Follows each update of a run."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._last: float | None = None

    # --- the order ---

    def spoke(
        self, stream: Conversation, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes,
        time: float | None,
    ) -> None:  # fmt: skip
        """See `StreamRule`."""
        if cmd == commands.INTERNAL:
            if lane.direction == SERVER and body.startswith(_ORDER):
                url = readable(body[len(_ORDER) : len(_ORDER) + URL_MAX].partition(b"\0")[0])
                self.ordered(stream, url, n, time)
            elif lane.direction == CLIENT and self.orders:
                self._introduced(stream, n, body)
        elif cmd in LOGINS and lane.direction == CLIENT and self.orders:
            self._returned(stream, time)

    # --- the download on the wire ---

    def opened(self, stream: Conversation) -> None:
        """See `StreamRule`."""
        client = stream.opened.client
        if not self.by_ip or not client:
            return
        order = self.by_ip.get(address_of(client))
        if order is None or order.target is None or order.settled or order.stream == stream.number:
            return
        address = server_ip(stream)
        # A name that was not looked up in the capture is most often that of the server itself.
        leads_there = order.target.host in (stream.host, address) or (
            stream.host is None and address == order.server_ip and not is_address(order.target.host)
        )
        if stream.opened.server_port == order.target.port and leads_there:
            self.of(stream)["order"] = order

    def recognised(self, stream: Conversation, lane: Lane, guess: Guess, time: float | None) -> None:
        """See `StreamRule`."""
        order = (stream.memories.get(id(self)) or {}).get("order")
        if order is not None and guess.kind == "tls":
            order.sealed = order.fetched = True

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind == "http-request":
            self._requested(stream, fact.detail)
        elif fact.kind == "http-response":
            self._responded(stream, fact.detail)
        elif fact.kind == "http-body" and lane is stream.server:
            self._loaded(stream, fact)

    def _requested(self, stream: Conversation, detail: dict[str, Any]) -> None:
        memory = self.of(stream)
        path, order = str(detail.get("path")), memory.get("order")
        if order is None and stream.opened.client:
            candidate = self.by_ip.get(address_of(stream.opened.client))
            if candidate is not None and candidate.target is not None and candidate.target.path == path:
                order = candidate
        agent = str(detail.get("user_agent") or "")
        firmware = agent.startswith(_UPDATERS) or path.startswith(_FIRMWARE_PATHS)
        follows = order is not None and order.target is not None and order.target.path == path
        if detail.get("method") != "GET" or not (follows or firmware):
            memory["request"] = None
            return
        memory["order"], memory["request"] = order, path
        if order is not None:
            order.fetched = True
            if order.is_https:
                self._plain_request(stream, order)

    def _responded(self, stream: Conversation, detail: dict[str, Any]) -> None:
        memory = stream.memories.get(id(self)) or {}
        path, status = memory.get("request"), detail.get("status")
        if path is None or not isinstance(status, int) or status < 200:
            return
        if not updaters.is_bad(status):
            return
        order = memory.get("order")
        memory["request"] = None
        if order is not None and order.settled:
            return
        where = order.target if order is not None else None
        if where is None:
            where = Target("http", host(stream) or server_ip(stream) or "the server", stream.opened.server_port, path)
        reason = f"The download of {where.shown} was answered with {status}{_reason(detail)}."
        if order is not None:
            reason = f"The update that frame {order.frame} ordered failed: {_lower(reason)}"
            order.settled = True
        if self.is_news(stream, "BS403", f"{status} {path}"):
            self.report("BS403", stream, frames=order.frames if order else (), count=1, detail=reason)

    def _loaded(self, stream: Conversation, fact: Fact) -> None:
        memory = stream.memories.get(id(self)) or {}
        if memory.get("request") is None:
            return
        memory["request"] = None
        detail, order = fact.detail, memory.get("order")
        if detail.get("complete"):
            if order is not None:
                order.done = fact.time
            return
        memory["broken"] = (detail.get("bytes"), detail.get("expected"), detail.get("missing"))

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if event.time is not None and (self._last is None or event.time > self._last):
            self._last = event.time
        order = self.orders.get(self.key(stream))
        if order is not None and order.stream == stream.number and not stream.log:
            order.over = True
            order.left = event.time if event.how in {"fin", "reset", "reused"} else None
            self._stayed(stream, order, event)
        memory: dict[str, Any] | None = stream.memories.get(id(self))
        if not memory:
            return
        order = memory.get("order")
        if order is not None and event.how in {"refused", "unanswered"} and not order.settled:
            what = "refused" if event.how == "refused" else "never answered"
            detail = f"{order.url}, which frame {order.frame} ordered: the connection to it was {what}"
            self.fails(stream, order, "BS402", detail + self.because(order))
            stream.cause = stream.cause or "BS402"
        elif event.how not in {"end", "evicted"}:
            self._broke_off(stream, order, memory)

    def _broke_off(self, stream: Conversation, order: Order | None, memory: dict[str, Any]) -> None:
        broken = memory.get("broken")
        if broken is not None and not broken[2]:
            have, expected = broken[0], broken[1]
            of = f" of {expected}" if expected is not None else ""
            self.fails(stream, order, "BS408", f"The download broke off after {have}{of} bytes.")
        elif memory.get("request") is not None and not stream.server.seen and stream.cause is None:
            self.fails(stream, order, "BS408", "The connection of the download was closed without an answer.")

    def _stayed(self, stream: Conversation, order: Order, event: Closed) -> None:
        """The connection of the order is over: did the device do anything about it?"""
        if order.settled or order.fetched or order.time is None or event.time is None:
            return
        stayed = (stream.client.heard_at or order.time) - order.time
        if stayed >= IGNORED_SECONDS:
            detail = (
                f"Frame {order.frame} ordered the update, and {stayed:.0f} s later the device still went on as before."
            )
            self.fails(stream, order, "BS408", detail, severity=Severity.WARNING.value)

    def _plain_request(self, stream: Conversation, order: Order) -> None:
        detail = f"The URL is {order.url}, and the device asks for it in plain HTTP."
        self.fails(stream, order, "BS404", detail)

    # --- the return ---

    def _returned(self, stream: Conversation, time: float | None) -> None:
        """A login: of a device that left for an update?"""
        order = self.orders.get(self.key(stream))
        if order is not None and order.stream != stream.number:
            order.returned = True

    def _introduced(self, stream: Conversation, n: int, body: bytes) -> None:
        """The device tells its build."""
        key = self.key(stream)
        order = self.orders.get(key)
        if order is None or order.stream == stream.number or b"build\0" not in body:
            return
        build = build_of(stream)
        if build is None or order.build is None:
            self.forget(key)
            return
        if build != order.build:
            self.forget(key)
            return
        # A bad address explains the old build.
        if not order.settled and not order.private:
            name = "BS404" if order.is_https and not order.sealed and not order.log else "BS406"
            order.settled = True
            detail = (
                f"The device logged in again after the update of {order.url} with the build of before: {build[:40]}."
            )
            self.report(name, stream, frames=(*order.frames, n), count=1, detail=detail)

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        for order in list(self.orders.values()):
            self.insecure(order)
            if order.settled or order.returned or self._last is None:
                continue
            since = max((moment for moment in (order.done, order.left) if moment is not None), default=None)
            if since is None or not order.over or self._last - since < RETURN_SECONDS:
                continue
            detail = (
                f"The device left for the update of {order.url}, and in the {self._last - since:.0f} s that the "
                "capture goes on it did not log in again."
            )
            self.report("BS405", order.stream, frames=order.frames, count=1, detail=detail)


def _reason(detail: dict[str, Any]) -> str:
    reason = str(detail.get("reason") or "")[:40]
    return f" {reason}" if reason.isprintable() and reason else ""


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


RULES: tuple[type[StreamRule], ...] = (Updates,)
