"""BS202: a login that got no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.words import (
    BLOCKING,
    closed_by_server,
    end_of,
    explains,
    first_time,
    is_login,
    seconds,
    some,
    unheard,
)
from blynkscope.analysis.session import State
from blynkscope.wire.events import SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Gap, Line

LOGIN_TIMEOUT = 6.0
"""Seconds after which every library has given a login up (they wait 3 to 6 s)."""
WAITING_MAX = 1024
"""Findings that are held back until the end of a log; further ones are told at once."""
SHORTEST_TIMEOUT = 3.0
"""The shortest of their timeouts: a client that hangs up earlier has other reasons."""


class UnansweredLogin(StreamRule):
    """BS202: a login got no answer, although there was time for one."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._blocked: set[int] = set()
        # A log shows the reason often in a later attempt only, so what is found in one waits for its end.
        self._waiting: list[tuple[int, int, tuple[int, ...], str, str | None]] = []

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"kinds": {}, "last": None, "gap": False}

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """See `StreamRule`."""
        if lane.direction == SERVER:
            self.of(stream)["gap"] = True

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if stream is not None:
            memory = self.of(stream)
            memory["kinds"].setdefault(line.kind, line.line)
            memory["last"] = line.time if line.time is not None else memory["last"]

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if stream.log and stream.cause in BLOCKING:
            self._blocked.add(stream.source)
        memory = self.of(stream)
        kinds: dict[str, int] = memory["kinds"]
        if stream.cause is not None or memory["gap"] or unheard(stream, stream.server, event):
            return
        if not stream.client.tempo.count:
            if "login-timeout" in kinds and not kinds.keys() & {"ready", "redirecting", "already-registered"}:
                where = f" to {stream.host}" if stream.host else ""
                detail = f'Line {kinds["login-timeout"]}: "Login timeout" on the connection{where}.'
                self._told(stream, (), detail)
            return
        if stream.session.state is not State.LOGGING_IN or "ready" in kinds:
            return
        logins = [request for request in stream.client.waiting.open() if is_login(request)]
        if not logins:
            return
        waited = self._waited(stream, event, logins, memory)
        if waited is not None:
            self._told(stream, [request.n for request in logins], waited)

    def _waited(self, stream: Conversation, event: Closed, logins: list[Request], memory: dict[str, Any]) -> str | None:
        """How long it waited; None where the recording ends too early to judge."""
        asked = logins[0].sent_at
        ends = [time for time in (end_of(stream, event), memory["last"]) if time is not None]
        waited = max(ends) - asked if ends and asked is not None else None
        detail = f"The login of frame {logins[0].n} got no answer"
        if "login-timeout" in memory["kinds"]:
            detail += f': "Login timeout" in line {memory["kinds"]["login-timeout"]} of the log.'
        elif closed_by_server(stream, event):
            after = f" after {seconds(waited)}" if waited is not None else ""
            detail += f": the server closed the connection{after} instead."
        elif len(logins) > 1:
            detail += f", nor did its repetition in {some([request.n for request in logins[1:]])}."
        elif waited is not None and waited >= (LOGIN_TIMEOUT if event.how == "end" else SHORTEST_TIMEOUT):
            then = "and the client gave up" if event.how in {"fin", "reset"} else "and the connection stayed silent"
            detail += f" for {seconds(waited)}, {then}."
        else:
            return None
        return detail

    def _told(self, stream: Conversation, frames: Any, detail: str) -> None:
        if not first_time(stream, "BS202"):
            explains(stream, "BS202")
            return
        fix = None
        if stream.server.tempo.count:
            detail += f" Other messages of the server came ({stream.server.tempo.count})."
        elif stream.log:
            detail += (
                " No byte at all was received: the receive path of the module is suspect (baud rate, SoftwareSerial, "
                "RX and TX swapped, a level shifter)."
            )
            fix = (
                "With an AT modem or shield: AT+UART_DEF=9600,8,1,0,0 and 9600 baud, or a hardware serial port; check "
                "that RX and TX are crossed. Without one: try the host and port from a computer with `blynkscope probe "
                "HOST:PORT`."
            )
        explains(stream, "BS202")
        if stream.log and len(self._waiting) < WAITING_MAX:
            self._waiting.append((stream.number, stream.source, tuple(frames), detail, fix))
        else:
            self._say(stream.number, tuple(frames), detail, fix)

    def _say(self, stream: int, frames: tuple[int, ...], detail: str, fix: str | None) -> None:
        self.report("BS202", stream, frames=frames, count=max(len(frames), 1), detail=detail, fix=fix)

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        for stream, source, frames, detail, fix in self._waiting:
            if source not in self._blocked:
                self._say(stream, frames, detail, fix)


RULES: tuple[type[StreamRule], ...] = (UnansweredLogin,)
