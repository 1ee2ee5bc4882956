"""BS905, BS906, BS910, BS911: TLS that cannot be read, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.tls import sealed, unwrapped
from blynkscope.wire.events import CLIENT

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed
    from blynkscope.wire.facts import Fact

STREAMS_NAMED = 8
"""Streams that a finding about the whole run names."""
STREAMS_TOLD = 16
"""Streams that get a finding of a kind of their own; the others are counted at the end."""
_NO_LINES = (
    "Give the file that the TLS library wrote (SSLKEYLOGFILE): its lines begin with CLIENT_RANDOM, or with "
    "CLIENT_TRAFFIC_SECRET_0 and its like. A certificate, a private key or a capture is no key log."
)
_ONE_SIDE = (
    "Both sides write their lines at the same time: something cut the log, or filtered it. Take it whole, from the "
    "program that made the connection."
)


_LINES = ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")
"""The line that opens what each side says, by direction."""
_NO_DATA = (
    "The lines that open what was said are CLIENT_TRAFFIC_SECRET_0 and SERVER_TRAFFIC_SECRET_0 (TLS 1.2: CLIENT_RANDOM)"
    ": something cut the log, or filtered it. Take it whole, from the program that made the connection."
)


class Sealed(StreamRule):
    """BS905: TLS without a key, one finding for the run; BS906 and BS910: a key log that does not open a stream."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._sealed: list[str] = []
        self._count = 0
        self._only = 0
        self._untold = 0
        self._told = 0
        self._empty = False

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind != "tls-keys" or stream.log:
            return
        state = fact.detail["state"]
        keys = self.run.keys
        if state == "none" or (state == "late" and (keys is None or not keys.lines)):
            if keys is not None and not keys.lines and not self._empty:
                self._empty = True
                bad = f": {keys.unusable} lines of it are none" if keys.unusable else ""
                detail = f"The key log that was given holds no key{bad}."
                self.report("BS906", None, count=1, detail=detail, fix=_NO_LINES)
            self._seal(stream)
        elif state == "late":
            detail = "The handshake, which says which keys belong to the connection, is not in the capture."
            self._say("BS906", stream, detail)
        elif state == "unmatched":
            count = keys.lines if keys else 0
            detail = f"None of the {count} lines of the key log carries the client random of stream "
            detail += f"{stream.number}{_place(stream)}."
            if fact.detail.get("server_random"):
                detail += " One carries the server's random instead: what wrote it mixed up the two."
            elif self.run.keys is not None and self._told == 0:
                detail += " Behind a proxy each of the two connections has keys of its own."
            self._say("BS906", stream, detail)
        elif state == "partial":
            missing = self.of(stream).setdefault("missing", {})
            missing[_side(lane)] = ", ".join(fact.detail.get("missing") or ()) or "some"
        elif state == "wrong":
            detail = "The key log has a line for this connection, but its keys do not open the records of "
            detail += f"{_side(lane)}: the line is damaged, or of another connection that had the same random."
            self._say("BS906", stream, detail)
        elif state == "unsupported":
            detail = f"The connection cannot be opened although it may have keys: {fact.detail.get('why')}."
            self._say("BS910", stream, detail)

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory: dict[str, Any] = stream.memories.get(id(self)) or {}
        missing: dict[str, str] = memory.get("missing") or {}
        if not missing and self.run.keys is not None and any(unwrapped(lane) for lane in stream.lanes):
            # In TLS 1.3 what a side sent may have been its handshake only: then nothing was said of its keys.
            missing = {_side(lane): _LINES[lane.direction] for lane in stream.lanes if sealed(lane)}
        if missing:
            lines = ", ".join(dict.fromkeys(missing.values()))
            stay = f"{' and '.join(sorted(missing))} {'stay' if len(missing) > 1 else 'stays'} closed"
            detail = f"The key log knows the connection, but lines are missing ({lines}): {stay}."
            self._say("BS906", stream, detail, fix=_ONE_SIDE if len(missing) == 1 else _NO_DATA)

    def _seal(self, stream: Conversation) -> None:
        memory: dict[str, Any] = self.of(stream)
        if memory.get("counted"):
            return
        memory["counted"] = True
        self._count += 1
        self._only = stream.number
        if len(self._sealed) < STREAMS_NAMED:
            self._sealed.append(f"{stream.number}{_place(stream)}")

    def _say(self, name: str, stream: Conversation, detail: str, fix: str | None = None) -> None:
        memory: dict[str, Any] = self.of(stream)
        if memory.get(name):
            return
        memory[name] = True
        if self._told >= STREAMS_TOLD:
            self._untold += 1
            return
        self._told += 1
        self.report(name, stream, detail=detail, fix=fix)

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        if self._untold:
            self.report("BS906", None, count=self._untold, detail=f"{self._untold} more streams are like that.")
        if not self._count:
            return
        more = f" and {self._count - len(self._sealed)} more" if self._count > len(self._sealed) else ""
        one = self._count == 1
        named = ", ".join(self._sealed)
        detail = f"Stream{'' if one else 's'} {named}{more} {'is' if one else 'are'} TLS: only handshakes can be read."
        self.report("BS905", self._only if one else None, count=self._count, detail=detail)


class Damaged(StreamRule):
    """BS911: records that do not open although their neighbours do."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"count": 0, "reason": "", "sides": []}

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind != "tls-undecodable":
            return
        memory = self.of(stream)
        memory["count"] += int(fact.detail.get("count") or 1)
        memory["reason"] = memory["reason"] or str(fact.detail.get("reason") or "")
        if _side(lane) not in memory["sides"]:
            memory["sides"].append(_side(lane))

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory: dict[str, Any] | None = stream.memories.get(id(self))
        if not memory:
            return
        count = memory["count"]
        detail = f"{count} TLS record{'' if count == 1 else 's'} of {' and '.join(memory['sides'])} could not be opened"
        detail += f" ({memory['reason']}), though others of the same connection could: frames in them are unknown."
        self.report("BS911", stream, count=count, detail=detail)


def _side(lane: Lane) -> str:
    return "the client" if lane.direction == CLIENT else "the server"


def _place(stream: Conversation) -> str:
    place = stream.host or stream.opened.server
    return f" ({place[:64]})" if place else ""


RULES: tuple[type[StreamRule], ...] = (Sealed, Damaged)
