"""Which frame answers which: the acknowledgement column of the command table at work.

Ids are not unique and both sides number independently, so an answer is matched by id *and* by what the table says can
answer what. Each direction remembers the requests that wait, within a bound.
"""

from __future__ import annotations

from collections import deque

from blynkscope.analysis.pins import Write
from blynkscope.protocol import commands, limits
from blynkscope.protocol.model import Ack, Command
from blynkscope.protocol.statuses import SUCCESS

SYNC_SECONDS = 10.0
"""A sync's answers come at once; later a server's own numbering may have reached the same id."""

SYNC_ALL_FACTOR, SYNC_ALL_SLACK = 1.25, 0.05
"""A sync of all pins names none, so any write of the server with its id looks like an answer. It is one where it came
no later than the slowest answer so far, with a quarter and 50 ms to spare, behind the sync or the answer before it."""


RECENT_WRITES = 64
"""Writes of one direction that an error status can still name by id: a third of a second of a flooding client."""


BODY_KEPT = 128
"""Bytes of a waiting request's body that are kept."""


class Request:
    """A frame that an answer may name."""

    __slots__ = ("body", "cmd", "heard_at", "id", "n", "older", "pins", "row", "rtt", "sent_at", "takes_frame", "token")

    def __init__(
        self, n: int, cmd: int, message_id: int, time: float | None, row: Command | None, body: bytes = b""
    ) -> None:
        self.n = n
        self.cmd = cmd
        self.id = message_id
        self.sent_at = time
        self.row = row
        self.body = body[:BODY_KEPT]
        """The beginning of its body, for saying what an error status was about."""
        self.rtt: float | None = None
        """Milliseconds to the first value that answers a sync."""
        self.heard_at = time
        """When a sync got its last answer; before that, when it was sent."""
        self.older: Request | None = None
        self.pins: set[bytes] | None = None
        """Pins that a sync asked for and that were not answered yet; None for all."""
        self.token: str | None = None
        self.takes_frame = row is None or row.ack in {Ack.SAME_COMMAND, Ack.UNKNOWN}
        """True where a frame of the same command may answer it."""


class Waiting:
    """The requests and writes of one direction that an answer may name."""

    __slots__ = ("_requests", "writes")

    def __init__(self) -> None:
        self._requests: dict[int, Request] = {}
        self.writes: deque[Write] = deque(maxlen=RECENT_WRITES)
        """The last writes: never answered, but an error status may name them."""

    def open(self) -> list[Request]:
        """The requests that still wait, oldest first."""
        newest = self._requests.values()
        every = [older for request in newest if (older := request.older) is not None]
        return sorted([*newest, *every], key=lambda request: request.n)

    def asked(self, message_id: int) -> bool:
        """Does a request with this id wait?"""
        return message_id in self._requests

    def ask(self, request: Request) -> None:
        """Remember a request."""
        waiting = self._requests
        older = waiting.pop(request.id, None)
        if older is not None:
            older.older = None  # two of the same id are kept, not a chain
            request.older = older
        elif len(waiting) >= limits.PENDING_MAX:
            del waiting[next(iter(waiting))]
        waiting[request.id] = request

    def answered_by_status(self, message_id: int, status: int) -> Request | Write | None:
        """What a RESPONSE answers; the request no longer waits."""
        newest = self._requests.get(message_id)
        if status == SUCCESS and newest is not None:
            write = None
        else:
            write = next((one for one in reversed(self.writes) if one.id == message_id and not one.answered), None)
        if newest is None:
            if write is not None:
                write.answered = True
            return write
        candidates = [newest] if newest.older is None else [newest.older, newest]
        if status == SUCCESS:
            # A sync is answered by values, never by a status.
            candidates = [one for one in candidates if one.row is None or one.row.ack is not Ack.SYNC]
            if not candidates:
                return None
            fitting = [one for one in candidates if one.row is None or one.row.ack in {Ack.STATUS, Ack.BY_BODY}]
        else:
            fitting = [one for one in candidates if one.row is None or status in one.row.failures]
            if write is not None and (not fitting or write.n > fitting[-1].n):
                write.answered = True
                return write
        request = fitting[0] if fitting else candidates[0]
        self._forget(request)
        return request

    def answered_by_frame(self, cmd: int, message_id: int) -> Request | None:
        """What a frame of the same command and id answers (data that was asked for); the request no longer waits."""
        request = self._requests.get(message_id)
        if request is None or request.cmd != cmd:
            return None
        if not request.takes_frame:
            return None
        self._forget(request)
        return request

    def answered_by_sync(
        self, message_id: int, pin: bytes, time: float | None, slowest: float | None = None
    ) -> Request | None:
        """The HW_SYNC that a pin's value with this id answers.

        Args:
            message_id: Its id.
            pin: Its pin.
            time: When it came.
            slowest: The longest round trip on this stream so far, in ms.
        """
        request = self._requests.get(message_id)
        if request is None or request.cmd != commands.HW_SYNC:
            return None
        if time is not None and request.sent_at is not None:
            took = time - request.sent_at
            if took > SYNC_SECONDS:
                return None
            if request.pins is None and slowest and request.heard_at is not None:
                if time - request.heard_at > slowest / 1000.0 * SYNC_ALL_FACTOR + SYNC_ALL_SLACK:
                    return None
                request.heard_at = time
        if request.pins is not None:
            if pin not in request.pins:
                return None
            request.pins.discard(pin)
        return request

    def _forget(self, request: Request) -> None:
        newest = self._requests[request.id]
        if newest is request:
            if request.older is not None:
                self._requests[request.id] = request.older
            else:
                del self._requests[request.id]
        else:
            newest.older = None
