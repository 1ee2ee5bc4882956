"""BS304 to BS306, BS310, BS317: answers that are missing, that nobody asked for, and that say no."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules import words
from blynkscope.analysis.rules.bodies import ILLEGAL
from blynkscope.analysis.rules.words import (
    FRAMES_KEPT,
    GROUPS_MAX,
    closed_by_server,
    command,
    end_of,
    failed,
    opens_session,
    refusals,
    server_era,
    some,
    times,
    unheard,
)  # fmt: skip
from blynkscope.analysis.session import State
from blynkscope.protocol import commands
from blynkscope.protocol.model import Ack, Dialect, Era
from blynkscope.protocol.statuses import (
    ALREADY_REGISTERED,
    DEVICE_NOT_IN_NETWORK,
    QUOTA_LIMIT,
    STATUSES,
    SUCCESS,
)  # fmt: skip
from blynkscope.wire.events import CLIENT, SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.pins import Write
    from blynkscope.wire.events import Closed, Gap

ANSWER_SECONDS = 10.0
"""An answer that is older than this does not come any more: libraries give up after 3 to 6 s."""
_OPERATION_ACCEPT = 23
_ANSWERED_LETTERS = frozenset(b"vfhbdct")
"""First letters of the INTERNAL keys that the legacy server answers with a status (measured)."""
_IGNORED = b"mcu"
"""The key with which newer libraries begin, and which it ignores."""


def expected(request: Request, era: Era | None) -> bool:
    """Does the table promise an answer to this request, whatever becomes of it?"""
    row = request.row
    if row is None:
        return False
    if row.ack in {Ack.STATUS, Ack.SAME_COMMAND}:
        return True
    if row.ack is not Ack.BY_BODY:
        return False
    first, *rest = request.body.split(b"\0")
    if request.cmd == commands.INTERNAL:
        # A NUL or `=` behind the first key; `rtc` alone asks for data.
        if first == b"rtc":
            return True
        return bool(first) and (first[0] in _ANSWERED_LETTERS or (first == _IGNORED and era is Era.IOT))
    return request.cmd == commands.BRIDGE and rest[:1] == [b"i"]


class MissingAnswers(StreamRule):
    """BS304, BS310 and BS317: when a stream is over, the requests that should have been answered and were not."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"answered": 0, "gap": False, "quota": None}

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        if stream.lanes[SERVER] is stream.server or stream.client.direction == CLIENT:
            memory = self.of(stream)
            memory["answered"] = max(memory["answered"], request.n)
            self._quota(memory, status, n, request.cmd)

    def write_refused(self, stream: Conversation, write: Write, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        self._quota(self.of(stream), status, n, commands.HW)

    def unmatched(
        self, stream: Conversation, lane: Lane, n: int, message_id: int, status: int, time: float | None
    ) -> None:
        """See `StreamRule`."""
        if lane.direction == SERVER:
            self._quota(self.of(stream), status, n, commands.HW)

    @staticmethod
    def _quota(memory: dict[str, Any], status: int, n: int, cmd: int) -> None:
        if status == QUOTA_LIMIT and cmd != commands.NOTIFY and memory["quota"] is None:
            memory["quota"] = n

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """See `StreamRule`."""
        self.of(stream)["gap"] = True

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if memory["gap"] or unheard(stream, stream.server, event) or not stream.server.counts.get(0):
            return  # the answers may be missing from the recording only
        quota = memory["quota"]
        if (failed(stream) and quota is None) or stream.session.state is not State.ONLINE:
            return
        era = server_era(stream)
        last, end = memory["answered"], end_of(stream, event)
        due: list[Request] = []
        ignored: list[Request] = []
        for request in stream.client.waiting.open():
            late = request.sent_at is not None and end is not None and end - request.sent_at >= ANSWER_SECONDS
            if opens_session(request) or not (request.n < last or late):
                continue
            if expected(request, era):
                due.append(request)
            elif era is Era.LEGACY and request.cmd == commands.INTERNAL and request.body.startswith(_IGNORED + b"\0"):
                ignored.append(request)
        if quota is not None:
            self._desync(stream, event, quota)
        elif due:
            self._missing(stream, due)
        if ignored:
            self._info(stream, ignored)

    def _missing(self, stream: Conversation, due: list[Request]) -> None:
        counts = Counter(command(stream, request.cmd) for request in due)
        frames = [request.n for request in due]
        what = ", ".join(f"{name} {times(count)}" for name, count in counts.most_common(GROUPS_MAX))
        self.report("BS304", stream, frames=frames, count=len(due), detail=f"No answer to {what} ({some(frames)}).")

    def _desync(self, stream: Conversation, event: Closed, quota: int) -> None:
        """After status 1 the server's place in the stream is lost: what shows it is that requests vanish."""
        if stream.evidence.era is Era.IOT:
            return
        lost = [
            request.n for request in stream.client.waiting.open()
            if request.n > quota and expected(request, Era.LEGACY) and not opens_session(request)
        ]  # fmt: skip
        if not lost:
            return
        detail = f"After STA_QUOTA_LIMIT_EXCEPTION (frame {quota}) the server answered nothing of {some(lost)}, "
        detail += "which it would have answered: it takes bodies for headers by now."
        if closed_by_server(stream, event):
            detail += " Then it closed the connection."
        self.report("BS310", stream, frames=[quota, *lost], count=len(lost), detail=detail)

    def _info(self, stream: Conversation, ignored: list[Request]) -> None:
        version = stream.info.get("blynk") or stream.info.get("ver")
        beat = stream.heartbeat.announced
        detail = f"The introduction of frame {ignored[0].n} begins with `mcu` and got no answer"
        detail += f" (library {version[:16]})" if version else ""
        detail += f": the heartbeat of {beat:g} s that it announces is not heeded." if beat else "."
        self.report("BS317", stream, frames=[request.n for request in ignored], detail=detail)


class UnknownAnswers(StreamRule):
    """BS305: answers whose id nothing waits for."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"matched": False, "gap": False, "count": 0, "frames": [], "ids": {}}

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        self.of(stream)["matched"] = True

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """See `StreamRule`."""
        self.of(stream)["gap"] = True

    def unmatched(
        self, stream: Conversation, lane: Lane, n: int, message_id: int, status: int, time: float | None
    ) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        # What it answers may lie before the recording, or in a hole of it; a status 1 is BS309's.
        if memory["gap"] or (stream.joined and not memory["matched"]) or status == QUOTA_LIMIT:
            return
        # Some libraries answer what the server writes; nobody waits for that. And a log may show one direction only.
        if lane.direction == CLIENT or (stream.log and not lane.peer.tempo.count):
            return
        memory["count"] += 1
        if len(memory["frames"]) < FRAMES_KEPT:
            memory["frames"].append(n)
        if len(memory["ids"]) < GROUPS_MAX:
            memory["ids"][message_id] = None

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if not memory["count"] or failed(stream) or any(unheard(stream, lane, event) for lane in stream.lanes):
            return
        ids = ", ".join(str(number) for number in list(memory["ids"])[:5])
        self.report(
            "BS305", stream, frames=memory["frames"], count=memory["count"],
            detail=f"Nothing waits for the answers of {some(memory['frames'])} (id {ids}).",
        )  # fmt: skip


class ErrorStatuses(StreamRule):
    """BS306: requests that were answered with an error status, by command and status."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"groups": {}, "good": set()}

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if status in {SUCCESS, _OPERATION_ACCEPT}:
            memory["good"].add(request.cmd)
            return
        login = opens_session(request) and (stream.client.dialect is Dialect.HARDWARE or status != ALREADY_REGISTERED)
        if login or status in ILLEGAL or (status == QUOTA_LIMIT and request.cmd != commands.NOTIFY):
            return  # these have findings of their own
        groups = memory["groups"]
        group = groups.get((request.cmd, status))
        if group is None:
            if len(groups) >= GROUPS_MAX:
                return
            group = groups[request.cmd, status] = {"count": 0, "frames": []}
        group["count"] += 1
        if len(group["frames"]) < FRAMES_KEPT:
            group["frames"] += (request.n, n)

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if failed(stream):
            return
        memory = self.of(stream)
        for (cmd, code), group in memory["groups"].items():
            row = STATUSES.get(code)
            frames = group["frames"]
            what = f"{command(stream, cmd)} was answered with {words.status(code)}"
            detail = f"{what} {times(group['count'])} ({some(frames[::2])})."
            detail += f" {row.doc}" if row else " This status is not known."
            # A dashboard is activated all the same, and a bridge that is set up in the end works.
            mild = (cmd == commands.ACTIVATE_DASHBOARD and code == DEVICE_NOT_IN_NETWORK) or (
                cmd == commands.BRIDGE and cmd in memory["good"]
            )
            self.report(
                "BS306", stream, frames=frames, count=group["count"], detail=detail,
                fix=row.fix if row and row.fix else None, severity="note" if mild else refusals(stream, group["count"]),
            )  # fmt: skip


RULES: tuple[type[StreamRule], ...] = (MissingAnswers, UnknownAnswers, ErrorStatuses)
