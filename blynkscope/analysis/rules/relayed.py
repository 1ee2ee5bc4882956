"""BS347: a pin was written over HTTP, and the device got nothing on the connection that the capture holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blynkscope.analysis.names import address_of
from blynkscope.analysis.relays import RELAY_SECONDS, Expectation
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.words import first_time
from blynkscope.protocol import limits
from blynkscope.protocol.commands import LOGINS
from blynkscope.protocol.statuses import SUCCESS

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Gap
    from blynkscope.wire.facts import Fact


class Relayed(StreamRule):
    """Watches the connections of devices that are online, for calls that caused nothing on them.

    That is proven alone where the login was seen and accepted, nothing of the connection is missing, and something was
    said on it when the time for the write was over.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._online: dict[int, tuple[Conversation, float]] = {}

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        if request.cmd in LOGINS and status == SUCCESS and time is not None and len(self._online) < limits.STREAMS_MAX:
            self._online[stream.number] = (stream, time)

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """See `StreamRule`."""
        self._online.pop(stream.number, None)

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if self.run.relays.unmet:
            self._judge()

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if stream.number not in self._online:
            return
        self.run.relays.expire(_last(stream))
        self._judge()
        del self._online[stream.number]

    def _judge(self) -> None:
        relays = self.run.relays
        while relays.unmet:
            call = relays.unmet.popleft()
            for stream, since in self._online.values():
                if self._proves(stream, since, call):
                    if first_time(stream, "BS347"):
                        pins = ", ".join(key.decode("ascii", "replace") for key, _ in call.writes[:4])
                        detail = (
                            f"The call of message {call.message} ({pins}) was accepted, and in {RELAY_SECONDS:.0f} s "
                            f"nothing of it came over the connection of that device (stream {stream.number})."
                        )
                        self.report("BS347", call.stream, detail=detail)
                    break

    def _proves(self, stream: Conversation, since: float, call: Expectation) -> bool:
        last = _last(stream)
        if call.time is None or last is None or since > call.time or last - call.time < RELAY_SECONDS:
            return False
        same = address_of(stream.opened.server or "") == address_of(call.server)
        return same and call.token is not None and self.run.devices.of_token(call.token) is stream.device


def _last(stream: Conversation) -> float | None:
    """When something was last said on a stream."""
    return max((lane.heard_at for lane in stream.lanes if lane.heard_at is not None), default=None)


RULES: tuple[type[StreamRule], ...] = (Relayed,)
