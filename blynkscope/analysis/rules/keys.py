"""BS905, BS906, BS910, BS911: TLS that cannot be read, and why."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.inside import is_sealed, unwrapped
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


class _Group:
    """Streams that one finding of the run is about: their number, and the names of the first of them."""

    __slots__ = ("_names", "count")

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self.count = 0

    def add(self, stream: Conversation) -> None:
        self.count += 1
        if len(self._names) < STREAMS_NAMED:
            self._names[stream.number] = f"{stream.number}{_place(stream)}"

    def discard(self, stream: Conversation) -> None:
        """It was counted, and does not belong here any more."""
        self.count -= 1
        self._names.pop(stream.number, None)

    @property
    def only(self) -> int | None:
        """The number of the stream, where it is one alone."""
        return next(iter(self._names), None) if self.count == 1 else None

    def __str__(self) -> str:
        more = self.count - len(self._names)
        return f"stream{'' if self.count == 1 else 's'} {', '.join(self._names.values())}" + (
            f" and {more} more" if more else ""
        )


class Sealed(StreamRule):
    """BS905: TLS without a key, and BS906: none in the key log, one finding each for the run; BS906 and BS910: what
    else keeps a stream closed although there is a key log."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._sealed, self._unmatched = _Group(), _Group()
        self._swapped = False
        """A line carries a server's random."""
        self._opened = False
        """The key log opened a stream: it is the right one."""
        self._told: Counter[str] = Counter()
        """Streams that were told of, or counted, by finding."""

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind != "tls-keys" or stream.log:
            return
        state = fact.detail["state"]
        if state == "opened":
            self._opened = True
            self._put(stream, None)
        elif state == "none" or (state in {"late", "unmatched"} and not self.run.keys.lines):
            self._put(stream, self._sealed)
        elif state == "late":
            detail = "The handshake, which says which keys belong to the connection, is not in the capture."
            self._say("BS906", stream, detail)
        elif state == "unmatched":
            self._swapped = self._swapped or bool(fact.detail.get("server_random"))
            self._put(stream, self._unmatched)
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
        if not missing and any(unwrapped(lane) for lane in stream.lanes):
            # In TLS 1.3 what a side sent may have been its handshake only: then nothing was said of its keys.
            missing = {_side(lane): _LINES[lane.direction] for lane in stream.lanes if is_sealed(lane)}
        if missing:
            lines = ", ".join(dict.fromkeys(missing.values()))
            stay = f"{' and '.join(sorted(missing))} {'stay' if len(missing) > 1 else 'stays'} closed"
            detail = f"The key log knows the connection, but lines are missing ({lines}): {stay}."
            self._say("BS906", stream, detail, fix=_ONE_SIDE if len(missing) == 1 else _NO_DATA)

    def _put(self, stream: Conversation, group: _Group | None) -> None:
        """The finding of the run that a stream counts for; the last word on its keys decides."""
        memory: dict[str, Any] = self.of(stream)
        before: _Group | None = memory.get("group")
        if before is group:
            return
        if before is not None:
            before.discard(stream)
        if group is not None:
            group.add(stream)
        memory["group"] = group

    def _say(self, name: str, stream: Conversation, detail: str, fix: str | None = None) -> None:
        memory: dict[str, Any] = self.of(stream)
        if memory.get(name):
            return
        memory[name] = True
        self._told[name] += 1
        if self._told[name] <= STREAMS_TOLD:
            self.report(name, stream, detail=detail, fix=fix, severity=self._severity(name))

    def _severity(self, name: str) -> str | None:
        """A key log that nobody named is another program's, or the capture's own: it need not fit."""
        return "note" if name == "BS906" and not self.run.keys.given else None

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        for name, count in self._told.items():
            if (untold := count - STREAMS_TOLD) > 0:
                words = f"{untold} more stream{'' if untold == 1 else 's'} stayed closed for reasons like these."
                self.report(name, None, count=untold, detail=words, severity=self._severity(name))
        self._misfit()
        if sealed := self._sealed.count:
            named = str(self._sealed)
            detail = f"S{named[1:]} {'is' if sealed == 1 else 'are'} TLS: only handshakes can be read."
            self.report("BS905", self._sealed.only, count=sealed, detail=detail)

    def _misfit(self) -> None:
        """The key log as a whole."""
        keys, count = self.run.keys, self._unmatched.count
        if self._sealed.count and not keys.lines and keys.given:
            bad = f": {keys.unusable} lines of it are none" if keys.unusable else ""
            detail = f"The key log that was given holds no key{bad}."
            self.report("BS906", None, count=1, detail=detail, fix=_NO_LINES)
        if not count:
            return
        detail = f"None of the {keys.lines} lines of the key log carries the client random of {self._unmatched}."
        if self._swapped:
            detail += " One carries a server's random instead: what wrote it mixed up the two."
        elif self._opened:
            detail += " Others of this run it opens: these are of another program, or of the other side of a proxy."
        else:
            detail += " Behind a proxy each of the two connections has keys of its own."
        weight = "note" if self._opened and not self._swapped else self._severity("BS906")
        self.report("BS906", self._unmatched.only, count=count, detail=detail, severity=weight)


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
