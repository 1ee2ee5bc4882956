"""BS340 to BS346, BS409 to BS411, BS606: what the answers to HTTP calls tell.

A single refused call of somebody whose other calls succeed is tried out or mistyped, and a note. The same one again is
a program that goes on with it. An unknown token is a note only where it comes once, beside many calls that succeed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.era import era_of_host
from blynkscope.analysis.exchanges import Exchange, Exchanges
from blynkscope.analysis.http import call_of
from blynkscope.analysis.names import address_of
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.exposure import is_public
from blynkscope.analysis.rules.quotes import quote
from blynkscope.analysis.rules.reaching import server_name
from blynkscope.analysis.rules.relayed import Relayed
from blynkscope.analysis.rules.words import closed_by_server, first_time
from blynkscope.protocol import rest
from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.protocol.model import Era

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Gap
    from blynkscope.wire.facts import Fact

CALLERS_MAX = 1024
"""Clients that one run remembers; the longest unheard one is forgotten for a new one."""
TOLD_MAX = 64
"""Different refused calls of one client that are kept apart."""
GOOD_CALLS, GOOD_SHARE = 10, 5
"""Good calls, in all and for each refused one, beside which an unknown token that comes once was tried out."""
QUOTED_MAX = 80
_WAITS_MAX = 600.0
_ERA_WORDS = {Era.LEGACY: "a legacy server", Era.IOT: "Blynk IoT"}
_OFFLINE = ("offline", "not in network", "not connected", "wasn't connected", "no active device")
_QUOTA = ("quota", "too many", "rate limit", "limit exceeded", "limit is exceeded")
_UNKNOWN = "invalid token"
_NOT_IMPLEMENTED = 501
_LACKING = (
    "This server does not have this call; it will answer the next one alike. Use another call for it, or a server that "
    "has this one: a newer version, or another implementation."
)
_UNKNOWN_PATH = frozenset({400, 404})
_NO_DATA = "no data"
"""What a server says of a pin that has no history: an answer like any other."""
_CLOSED = frozenset({"fin", "reset"})


class _Caller:
    """What is known of one client's calls to one server."""

    __slots__ = ("refused", "succeeded", "told")

    def __init__(self) -> None:
        self.succeeded = 0
        self.refused: dict[tuple[str, str], int] = {}
        self.told: set[str] = set()


class _Memory:
    """What is remembered of one stream."""

    __slots__ = ("answers", "exchanges", "gap")

    def __init__(self) -> None:
        self.exchanges = Exchanges()
        self.gap = False
        self.answers = 0


class Calls(StreamRule):
    """Judges each call when its answer is complete."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._callers: dict[tuple[str, str], _Caller] = {}

    def fresh(self) -> _Memory:
        """See `StreamRule`."""
        return _Memory()

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if not fact.kind.startswith("http-"):
            return
        memory: _Memory = self.of(stream)
        if fact.kind == "http-request":
            self._password(stream, fact.detail)
        elif fact.kind == "http-response":
            memory.answers += 1
        for exchange in memory.exchanges.take(lane, fact):
            if exchange.answer is not None and exchange.request is not None:
                self._judge(stream, exchange)

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """See `StreamRule`."""
        memory = stream.memories.get(id(self))
        if memory is not None:
            memory.gap = True

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory: _Memory | None = stream.memories.get(id(self))
        if memory is None:
            return
        for exchange in memory.exchanges.finish():
            if exchange.answer is None:
                self._unanswered(stream, exchange, event, memory)

    # --- answers ---

    def _judge(self, stream: Conversation, exchange: Exchange) -> None:
        call, status = call_of(exchange), exchange.status or 0
        if call.kind == "firmware-download":
            self._firmware(stream, exchange, status)
        if not call.kind.startswith("rest-") and call.era is None:
            return
        if call.kind.startswith(("ota-", "upload")):
            return  # BS403, BS407
        if status < 400:
            self._caller(stream).succeeded += 1
            return
        said = str((exchange.received or {}).get("content") or "")
        low = said.lower()
        asked = f"{exchange.method} {shown_path(exchange)}"
        answer = f"{status} and {quote(said, QUOTED_MAX)}" if said else f"{status}"
        detail = f"{server_name(stream)} answered {asked} with {answer}."
        token = call.token or ""
        if call.era is Era.LEGACY and len(token) != TOKEN_LENGTH and _UNKNOWN not in low:
            return  # a path of some other server that looks like one of Blynk's
        if (era := self._other_era(stream, exchange, call)) is not None:
            form = _ERA_WORDS[call.era] if call.era is not None else "another server"
            detail = f"{asked} is a call to {form}; {server_name(stream)} is {_ERA_WORDS[era]} and answered {answer}."
            self._refused(stream, "BS342", "", detail)
        elif status == 429 or any(words in low for words in _QUOTA):
            self._refused(stream, "BS344", "", detail)
        elif _UNKNOWN in low or status in {401, 403}:
            self._refused(stream, "BS340", token, detail)
        elif any(words in low for words in _OFFLINE):
            self._refused(stream, "BS343", token, detail)
        elif low.startswith(_NO_DATA):
            self._caller(stream).succeeded += 1
        elif status >= 500 and "body" not in low and "pars" not in low:
            lacking = _LACKING if status == _NOT_IMPLEMENTED else None
            self._refused(stream, "BS345", str(exchange.request and exchange.request["path"]), detail, lacking)
        else:
            self._refused(stream, "BS341", str(exchange.request and exchange.request["path"]), detail)

    def _other_era(self, stream: Conversation, exchange: Exchange, call: rest.Meaning) -> Era | None:
        """The era of a server that is known to be of the other one; None for any other."""
        named = str((exchange.request or {}).get("host") or "").partition(":")[0]
        era = era_of_host(named) or era_of_host(stream.host)
        if era is None and rest.is_iot_path(str((exchange.request or {}).get("path"))):
            # What tells of a server of one's own is its port; and that it does not know this path, or takes its first
            # segment for a token.
            said = str((exchange.received or {}).get("content") or "").lower()
            if exchange.status in _UNKNOWN_PATH and (not said or _UNKNOWN in said):
                era = stream.evidence.of_server
        return era if era is not None and call.era is not None and era is not call.era else None

    def _refused(self, stream: Conversation, name: str, key: str, detail: str, fix: str | None = None) -> None:
        caller = self._caller(stream)
        count = caller.refused.get((name, key), 0) + 1
        if count == 1 and len(caller.refused) >= TOLD_MAX:
            return
        caller.refused[name, key] = count
        tried = count == 1 and caller.succeeded > 0
        if name == "BS340":
            # With a token that is wrong nothing works: calls that do have another, as those of somebody who tries.
            refused = sum(many for (kind, _), many in caller.refused.items() if kind == name)
            tried = count == 1 and caller.succeeded >= max(GOOD_CALLS, GOOD_SHARE * refused)
        weight = f"{name} note" if tried else name
        if weight in caller.told or name in caller.told:
            return
        caller.told.add(weight)
        again = f" It is the same call as before, {count} times by now." if count > 1 else ""
        self.report(name, stream, count=count, detail=detail + again, fix=fix, severity="note" if tried else None)

    def _caller(self, stream: Conversation) -> _Caller:
        key = (address_of(stream.opened.client or ""), stream.opened.server or "")
        caller = self._callers.pop(key, None) or _Caller()
        while len(self._callers) >= CALLERS_MAX:
            del self._callers[next(iter(self._callers))]
        self._callers[key] = caller
        return caller

    # --- no answer ---

    def _unanswered(self, stream: Conversation, exchange: Exchange, event: Closed, memory: _Memory) -> None:
        call = call_of(exchange)
        known = call.kind.startswith(("rest-", "ota-"))
        if not known or exchange.lost or memory.gap or stream.cause is not None or not exchange.whole_request:
            return
        if event.how not in _CLOSED or not all(event.heard) or (stream.server.seen and not memory.answers):
            return
        who = "the server" if closed_by_server(stream, event) else "the client"
        waited = ""
        if event.time is not None and exchange.asked is not None:
            waited = f" {min(max(event.time - exchange.asked, 0.0), _WAITS_MAX):.1f} s later"
        ended = "reset" if event.how == "reset" else "closed"
        detail = f"{exchange.method} {shown_path(exchange)} got no answer: {who} {ended} the connection{waited}."
        if first_time(stream, f"BS346 {who}"):
            self.report("BS346", stream, detail=detail)

    # --- firmware ---

    def _firmware(self, stream: Conversation, exchange: Exchange, status: int) -> None:
        if status != 200 or exchange.method != "GET":
            return
        request, answer, body = exchange.request or {}, exchange.answer or {}, exchange.received or {}
        path = shown_path(exchange)
        content = str(body.get("content") or "").lstrip().lower()
        page = content.startswith(("<!doctype html", "<html"))
        if page and first_time(stream, f"BS409 {path}"):
            size = f" of {body['bytes']} bytes" if body.get("complete") else ""
            self.report("BS409", stream, detail=f"{server_name(stream)} answered GET {path} with 200 and HTML{size}.")
        agent = str(request.get("user_agent") or "").lower()
        updater = any(one in agent for one in rest.UPDATERS[:2])
        if (
            updater
            and answer.get("length") is None
            and not answer.get("head_cut")
            and first_time(stream, f"BS410 {path}")
        ):
            how = "in chunks" if answer.get("chunked") else "up to the end of the connection"
            detail = f"{server_name(stream)} sends {path} {how}, to an updater that must know the size: {quote(agent)}."
            self.report("BS410", stream, detail=detail)
        room, length = request.get("free_space"), answer.get("length")
        if isinstance(room, int) and isinstance(length, int) and length > room and first_time(stream, f"BS411 {path}"):
            detail = f"{path} has {length} bytes, and the device told that it has room for {room}."
            self.report("BS411", stream, detail=detail)

    # --- exposure ---

    def _password(self, stream: Conversation, request: dict[str, Any]) -> None:
        """Basic authentication without TLS to a public address."""
        if request.get("authorization") != "basic" or stream.log or not is_public(stream.opened.server):
            return
        if any(layer.startswith("tls") for layer in stream.via) or not first_time(stream, "BS606"):
            return
        where = f"to the public address {server_name(stream)}"
        detail = f"A {request.get('method')} request without TLS {where} carries a name and a password."
        self.report("BS606", stream, detail=detail)


def shown_path(exchange: Exchange) -> str:
    """The path of a call for people, without its token."""
    path, token = str((exchange.request or {}).get("path") or ""), call_of(exchange).token
    if token:
        path = path.replace(token, "…")
    return quote(path, QUOTED_MAX)[1:-1]


RULES: tuple[type[StreamRule], ...] = (Calls, Relayed)
