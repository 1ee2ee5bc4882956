"""HTTP requests and their answers, brought together from what the readers of both directions tell.

Answers come in the order of the requests, each behind its own request; a server may answer several in one segment.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from blynkscope.wire.http_heads import SWITCHING, announces_body

if TYPE_CHECKING:
    from blynkscope.analysis.lane import Lane
    from blynkscope.wire.facts import Fact

PIPELINED_MAX = 64
"""Requests of one connection that wait for an answer: browsers and scripts have one, benchmarks some ten."""


class Exchange:
    """A request and its answer.

    Attributes:
        request, answer: Details of the heads; None for what was not seen.
        sent, received: Details of the bodies; None where there is none, or not yet.
        asked: Time of the last bytes of the request.
        answered: Time of the answer's head.
        ended: Time of the last bytes of all.
        lost: True where the answer may be among the bytes that the capture lost.
        findings: Ids of what rules found in it.
    """

    __slots__ = ("answer", "answered", "asked", "ended", "findings", "lost", "note", "received", "request", "sent")

    def __init__(self, request: dict[str, Any] | None, asked: float | None) -> None:
        self.request = request
        self.asked = asked
        self.answer: dict[str, Any] | None = None
        self.answered: float | None = None
        self.ended: float | None = asked
        self.sent: dict[str, Any] | None = None
        self.received: dict[str, Any] | None = None
        self.lost = False
        self.findings: list[str] = []
        self.note: Any = None
        """What its reader wants to remember of it."""

    @property
    def method(self) -> str | None:
        """The request's method; None where the request was not seen."""
        return str(self.request["method"]) if self.request is not None else None

    @property
    def status(self) -> int | None:
        """The answer's status."""
        return int(self.answer["status"]) if self.answer is not None else None

    @property
    def whole_request(self) -> bool:
        """Did all of the request come?"""
        request = self.request
        if request is None or request.get("head_cut"):
            return False
        if self.sent is not None:
            return bool(self.sent["complete"])
        return not (request.get("length") or request.get("chunked"))


class Exchanges:
    """The exchanges of one connection. Bounded in memory; the same whatever the bytes were cut into."""

    __slots__ = ("_asker", "_current", "_gone", "_waiting", "touched")

    def __init__(self) -> None:
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        """Its answer has begun and its body goes on."""
        self._asker: Lane | None = None
        self._gone = False
        self.touched: Exchange | None = None
        """The one that the last fact was about."""

    @property
    def waiting(self) -> int:
        """Requests without an answer so far."""
        return len(self._waiting)

    def take(self, lane: Lane, fact: Fact) -> list[Exchange]:
        """A fact of one of the directions.

        Args:
            lane: The direction.
            fact: Facts of other protocols are passed over.

        Returns:
            The exchanges that are over now, in their order.
        """
        self.touched = None
        if fact.kind == "http-request":
            return self._asks(lane, fact)
        if fact.kind == "http-response":
            return self._answers(lane, fact)
        if fact.kind == "http-body":
            return self._body(lane, fact)
        return []

    def finish(self) -> list[Exchange]:
        """The connection is over: what has no answer will have none."""
        rest = [self._current] if self._current is not None else []
        rest += self._waiting
        self._current = None
        self._waiting.clear()
        return rest

    def _asks(self, lane: Lane, fact: Fact) -> list[Exchange]:
        self._asker = lane
        self.touched = exchange = Exchange(fact.detail, fact.time)
        self._waiting.append(exchange)
        return [self._waiting.popleft()] if len(self._waiting) > PIPELINED_MAX else []

    def _answers(self, lane: Lane, fact: Fact) -> list[Exchange]:
        self._asker = lane.peer
        detail, over = fact.detail, []
        status = int(detail["status"])
        if status < 200 and status != SWITCHING:
            self.touched = self._waiting[0] if self._waiting else None
            return []
        if self._current is not None:
            over.append(self._current)
            self._current = None
        if detail.get("after_gap"):
            # Nobody knows which answers are missing; that to the last request is the likeliest to be this one.
            while len(self._waiting) > 1:
                lost = self._waiting.popleft()
                lost.lost = True
                over.append(lost)
        exchange = self._waiting.popleft() if self._waiting else Exchange(None, None)
        self.touched = exchange
        exchange.answer, exchange.answered, exchange.ended = detail, fact.time, fact.time
        bodiless = exchange.method == "HEAD" or (exchange.method == "CONNECT" and status < 300)
        if bodiless or detail.get("head_cut") or not announces_body(status, detail["length"], detail["chunked"]):
            over.append(exchange)
        else:
            self._current = exchange
        return over

    def _body(self, lane: Lane, fact: Fact) -> list[Exchange]:
        if lane is self._asker:
            exchange = self._waiting[-1] if self._waiting else self._current
            if exchange is not None and exchange.sent is None and exchange.request is not None:
                self.touched = exchange
                exchange.sent = fact.detail
                if exchange.answer is None:
                    exchange.asked = exchange.ended = fact.time
            return []
        exchange, self._current = self._current, None
        if exchange is None:
            return []
        self.touched = exchange
        exchange.received, exchange.ended = fact.detail, fact.time
        return [exchange]
