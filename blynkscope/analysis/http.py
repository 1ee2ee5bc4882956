"""HTTP calls as records: one for each request with its answer, in the words of Blynk's APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.exchanges import Exchange, Exchanges
from blynkscope.analysis.records import SCHEMA, LinkRecord, MessageRecord
from blynkscope.analysis.relays import Expectation, Relays
from blynkscope.protocol import rest
from blynkscope.protocol.model import Era, Sender
from blynkscope.wire.http_bodies import without_cut_word

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.wire.facts import Fact

__all__ = ["HttpTalk", "Relays", "call_of"]

_TARGET_SHOWN = 200
"""Characters of a URL in a line; one with a token and a pin has 60."""
_CONTENT_SHOWN = 72
"""Characters of a body in a line."""
_DIGEST_SHOWN = 8
_FRAMES_SHOWN = 8
_BAD_STATUS = 400
_DIGESTS = frozenset({"firmware-download", "upload"})
"""Kinds whose content has to arrive unchanged."""


def call_of(exchange: Exchange) -> rest.Meaning:
    """What a request means; it is remembered with it."""
    if exchange.note is None:
        request = exchange.request or {}
        target = str(request.get("target") or "")
        query = target.partition("#")[0].partition("?")[2]
        exchange.note = rest.meaning(
            str(request.get("method") or ""), str(request.get("path") or ""), query, upgrade=request.get("upgrade"),
            agent=request.get("user_agent"), token=request.get("token"), subprotocol=request.get("subprotocol"),
        )  # fmt: skip
    found: rest.Meaning = exchange.note
    return found


class HttpTalk:
    """Puts the HTTP calls of one stream into records.

    Args:
        stream: The stream; its run gives numbers, and `relays` links calls with frames.
    """

    __slots__ = ("_asker", "_exchanges", "_expected", "_stream")

    def __init__(self, stream: Conversation) -> None:
        self._stream = stream
        self._exchanges = Exchanges()
        self._expected: dict[Exchange, Expectation] = {}
        self._asker: Lane = stream.client

    def take(self, lane: Lane, fact: Fact, findings: tuple[str, ...]) -> list[MessageRecord | LinkRecord]:
        """A fact of one of the directions.

        Args:
            lane: The direction.
            fact: Facts of other protocols are passed over.
            findings: Ids of what rules found in this fact.

        Returns:
            A record for each call that is complete now.
        """
        over = self._exchanges.take(lane, fact)
        touched = self._exchanges.touched
        if touched is not None:
            touched.findings += findings
            if fact.kind == "http-request":
                self._asker = lane
            elif fact.kind == "http-response":
                self._asker = lane.peer
            if touched.answer is None and touched not in self._expected and touched.whole_request:
                self._expect(touched)
        return [self._record(exchange, exchange.ended) for exchange in over]

    def finish(self, time: float | None) -> list[MessageRecord | LinkRecord]:
        """The stream is over: calls without an answer."""
        return [self._record(exchange, time) for exchange in self._exchanges.finish()]

    def _expect(self, exchange: Exchange) -> None:
        """A whole request: the server will do what it says before it answers."""
        call, relays = call_of(exchange), self._stream.run.relays
        writes = rest.written(call, (exchange.sent or {}).get("content"))
        orders = call.kind == "ota-start"
        expected = Expectation(self._stream, call.token, writes, exchange.asked, orders=orders)
        self._expected[exchange] = expected
        if orders or call.kind in rest.RELAYED:
            relays.expect(expected)

    def _record(self, exchange: Exchange, time: float | None) -> MessageRecord:
        stream, call, run = self._stream, call_of(exchange), self._stream.run
        expected = self._expected.pop(exchange, None)
        number = run.next_message()
        frames: tuple[int, ...] = ()
        if expected is not None:
            frames, expected.message = tuple(expected.frames), number
            expected.accepted = exchange.status == 200 and call.era is Era.LEGACY
            if (exchange.status or 0) >= _BAD_STATUS:
                run.relays.drop(expected)
        detail = _detail(exchange, call)
        if call.kind == "firmware-download":
            detail["ordered_by"] = run.relays.order_of(str(detail["path"]))
        asker = self._asker
        rtt = None
        if exchange.asked is not None and exchange.answered is not None:
            rtt = round((exchange.answered - exchange.asked) * 1000.0, 3)
        return MessageRecord(
            SCHEMA, number, time, stream.number, asker.src, asker.dst, _sender(asker, call, exchange), asker.via,
            "http", call.kind, exchange.method or "?", detail, _text(exchange, call, frames), frames, None, rtt,
            tuple(dict.fromkeys(exchange.findings)),
        )  # fmt: skip


def _sender(asker: Lane, call: rest.Meaning, exchange: Exchange) -> str:
    """Who calls: programs of all kinds do; only a device loads firmware."""
    agent = str((exchange.request or {}).get("user_agent") or "").lower()
    if call.kind == "firmware-download" or any(one in agent for one in rest.UPDATERS):
        return Sender.DEVICE.value
    return asker.sender


def _detail(exchange: Exchange, call: rest.Meaning) -> dict[str, Any]:
    request, answer = exchange.request or {}, exchange.answer or {}
    sent, received = exchange.sent or {}, exchange.received or {}
    writes = rest.written(call, sent.get("content"))
    detail: dict[str, Any] = {
        "method": request.get("method"),
        "target": request.get("target"),
        "path": request.get("path"),
        "host": request.get("host"),
        "era": call.era.value if call.era is not None else None,
        "does": call.doc,
        "token": call.token,
        "pin": call.pin,
        "values": _values(exchange, call, writes),
        "writes": [{"pin": one.pin, "values": list(one.values)} for one in writes] if len(writes) > 1 else None,
        "properties": dict(call.properties) or None,
        "status": exchange.status,
        "reason": answer.get("reason"),
        "request_bytes": sent.get("bytes", 0),
        "response_bytes": received.get("bytes", 0),
        "request_content": sent.get("content"),
        "response_content": received.get("content"),
        "content_type": answer.get("content_type"),
        "sha256": received.get("sha256") if received.get("bytes") else None,
        "complete": _complete(exchange),
        "user_agent": request.get("user_agent"),
        "server": answer.get("server"),
        "location": answer.get("location"),
        "authorization": request.get("authorization"),
        "user": request.get("user"),
    }
    if exchange.received is not None:
        detail["expected_bytes"], detail["missing_bytes"] = received["expected"], received["missing"]
        if exchange.ended is not None and exchange.answered is not None:
            detail["transfer_ms"] = round((exchange.ended - exchange.answered) * 1000.0, 3)
    if call.kind in _DIGESTS and sent.get("sha256"):
        detail["request_sha256"] = sent["sha256"]
    if exchange.request is None:
        detail["request_seen"] = False
    if exchange.lost:
        detail["answer_lost"] = True
    return detail


def _values(exchange: Exchange, call: rest.Meaning, writes: tuple[rest.PinWrite, ...]) -> list[str] | None:
    """What a call writes to its pin, or what it was told of it."""
    if call.kind == "rest-get" and exchange.status == 200:
        found = rest.values_in((exchange.received or {}).get("content"))
        return list(found) if found is not None else None
    return list(writes[0].values) if len(writes) == 1 else None


def _complete(exchange: Exchange) -> bool:
    """Is all of the answer there, with its body?"""
    if exchange.answer is None or exchange.answer.get("head_cut"):
        return False
    return exchange.received is None or bool(exchange.received["complete"])


# --- the line for people ---


def _text(exchange: Exchange, call: rest.Meaning, frames: tuple[int, ...]) -> str:
    request = exchange.request
    asked = "(request not seen)"
    if request is not None:
        asked = f"{request['method']} {shown(str(request['target']), _TARGET_SHOWN)}"
        sent = exchange.sent or {}
        if sent.get("content"):
            asked += " " + shown(str(sent["content"]), _CONTENT_SHOWN)
        elif sent.get("bytes"):
            asked += f" ({sent['bytes']} bytes)"
    return f"{asked} → {_answer(exchange, call)}{_caused(frames, call)}"


def _answer(exchange: Exchange, call: rest.Meaning) -> str:
    answer = exchange.answer
    if answer is None:
        return "answer not in the capture" if exchange.lost else "no answer"
    said = str(answer["status"])
    received = exchange.received or {}
    size, content = received.get("bytes", 0), received.get("content")
    if answer["status"] >= 300 and answer.get("location"):
        return f"{said} to {shown(str(answer['location']), _TARGET_SHOWN)}"
    if received and not received["complete"]:
        of = f" of {received['expected']}" if received["expected"] is not None else ""
        why = "the capture misses some" if received["missing"] else "broken off"
        return f"{said}, {size}{of} bytes ({why})"
    if not size:
        worth = answer["status"] >= 300 or answer["status"] == 101
        return f"{said} {shown(str(answer['reason']), _CONTENT_SHOWN)}".rstrip() if worth else said
    if content and call.kind not in _DIGESTS and size <= _CONTENT_SHOWN:
        return f"{said} {shown(str(content), _CONTENT_SHOWN)}"
    digest = received.get("sha256")
    tail = f", sha256 {digest[:_DIGEST_SHOWN]}…" if digest and call.kind in _DIGESTS else ""
    return f"{said}, {size} bytes{tail}"


def _caused(frames: tuple[int, ...], call: rest.Meaning) -> str:
    if not frames:
        return ""
    numbers = ", ".join(f"#{n}" for n in frames[:_FRAMES_SHOWN]) + (", …" if len(frames) > _FRAMES_SHOWN else "")
    return (
        f", device INTERNAL ota {numbers}"
        if call.kind == "ota-start"
        else f", device HW {numbers} (id {rest.RELAY_ID})"
    )


def shown(text: str, most: int) -> str:
    """Text of the wire on one line; where it is cut, no piece of a word stays at its end."""
    plain = " ".join(text[: 2 * most].split())
    whole = len(text) <= 2 * most and len(plain) <= most
    return plain if whole else without_cut_word(plain[:most]) + "…"
