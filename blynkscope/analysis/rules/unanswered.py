"""BS202: a login that got no answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.inside import is_sealed
from blynkscope.analysis.rules.words import (
    BLOCKING,
    closed_by_server,
    end_of,
    explains,
    first_time,
    opens_session,
    seconds,
    some,
    unheard,
)
from blynkscope.analysis.session import State
from blynkscope.wire.events import CLIENT, SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Gap, Line
    from blynkscope.wire.facts import Fact

LOGIN_TIMEOUT = 6.0
"""Seconds after which every library has given a login up (they wait 3 to 6 s)."""
WAITING_MAX = 1024
"""Findings that are held back until the end of a log; further ones are told at once."""
SHORTEST_TIMEOUT = 3.0
"""The shortest of their timeouts: a client that hangs up earlier has other reasons."""


_ON_BOARD = re.compile(
    r"ESP(?:8266|32)|NodeMCU|WeMos|Wemos|Particle|Photon|Electron|Argon|Linux|Raspberry|MKR|Nano 33|Nano RP|UNO R4"
    r"|Pico W|mbed|WIO|Wio|Spark", re.ASCII
)  # fmt: skip
"""Boards with the network on board: no wire between it and the sketch can lose bytes."""
BOARD_MAX = 32
_PYTHON_FIX = (
    "Check host and port (Blynk IoT: blynk.cloud with 80, or 443 and TLS; a server of your own: 8080, or 9443 and "
    "TLS): a port with TLS does not answer a plain login. blynklib is made for the legacy server; for Blynk IoT take "
    "blynk-library-python 1.0.0 or newer."
)
_SERIAL_FIX = (
    "Over Bluetooth the app logs in to the device: put #define BLYNK_USE_DIRECT_CONNECT above the includes. Over USB a "
    "gateway has to run: blynk-ser.sh (or .bat) with this port, the baud rate of the sketch and no serial monitor open "
    "on it. Prints of the sketch belong on another port."
)


_WEBSOCKET_FIX = (
    "Over WebSocket a device logs in on /websockets (ws://HOST:8080/websockets, wss://HOST:9443/websockets, Blynk IoT: "
    "wss://blynk.cloud/websockets), with HW_LOGIN in one whole binary message: no text and no fragments. Check that "
    "the path ends in s and that a proxy in between passes WebSocket messages on in both directions."
)


class UnansweredLogin(StreamRule):
    """BS202: a login got no answer, although there was time for one."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._blocked: set[int] = set()
        self._board = ""
        self._modem = False
        # A log shows the reason often in a later attempt only, so what is found in one waits for its end.
        self._waiting: list[tuple[int, int, tuple[int, ...], str, str | None]] = []

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"kinds": {}, "last": None, "gap": False, "serial": False, "closer": None, "websocket": False}

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind == "ws-close":
            memory = self.of(stream)
            if memory["closer"] is None:
                memory["closer"] = lane.direction
                memory["last"] = fact.time if fact.time is not None else memory["last"]

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """See `StreamRule`."""
        if lane.direction == SERVER:
            self.of(stream)["gap"] = True

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == "banner":
            self._board = str(line.facts.get("board") or "")
            self._modem = False
        elif line.kind in {"modem", "ble-module"}:
            self._modem = True
        if stream is not None:
            memory = self.of(stream)
            bare = line.kind == "connecting" and "server" not in line.text.lower()
            if bare and not line.facts.get("host") and not stream.host:
                memory["serial"] = True
            if line.kind == "connecting" and line.facts.get("path"):
                memory["websocket"] = True
            memory["kinds"].setdefault(line.kind, line.line)
            if line.kind == "login-timeout" and "authentication timed out" in line.text:
                memory["python"] = True
            memory["last"] = line.time if line.time is not None else memory["last"]

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if stream.log and stream.cause in BLOCKING:
            self._blocked.add(stream.source)
        memory = self.of(stream)
        kinds: dict[str, int] = memory["kinds"]
        unseen = unheard(stream, stream.server, event) or is_sealed(stream.server)
        if stream.cause is not None or memory["gap"] or unseen:
            return
        if not stream.client.tempo.count:
            if "login-timeout" in kinds and not kinds.keys() & {"ready", "redirecting", "already-registered"}:
                where = f" to {stream.host}" if stream.host else ""
                detail = f'Line {kinds["login-timeout"]}: "Login timeout" on the connection{where}.'
                self._told(stream, (), detail)
            return
        if stream.session.state is not State.LOGGING_IN or "ready" in kinds:
            return
        logins = [request for request in stream.client.waiting.open() if opens_session(request)]
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
        elif closed_by_server(stream, event) and memory["closer"] != CLIENT:
            after = f" after {seconds(waited)}" if waited is not None else ""
            detail += f": the server closed the connection{after} instead."
        elif len(logins) > 1:
            detail += f", nor did its repetition in {some([request.n for request in logins[1:]])}."
        elif waited is not None and waited >= (LOGIN_TIMEOUT if event.how in {"end", "quit"} else SHORTEST_TIMEOUT):
            gave_up = event.how in {"fin", "reset"} or memory["closer"] == CLIENT
            then = "and the client gave up" if gave_up else "and the connection stayed silent"
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
        elif "websocket" in stream.via or self.of(stream)["websocket"]:
            detail += " The WebSocket itself was open."
            fix = _WEBSOCKET_FIX
        elif stream.log and self.of(stream).get("python"):
            detail += " The Python library was connected, sent its login and heard nothing."
            fix = _PYTHON_FIX
        elif stream.log and self.of(stream)["serial"] and not self._modem:
            detail += " The device logs in over a serial or Bluetooth link, and nothing at the other end answers."
            fix = _SERIAL_FIX
        elif stream.log and not self._modem and _ON_BOARD.search(self._board):
            detail += (
                f" No byte came back, although the board ({self._board.strip()[:BOARD_MAX]}) was connected: libraries "
                "log in only then."
            )
        elif stream.log:
            detail += (
                " No byte at all was received: the receive path of the module is suspect (baud rate, SoftwareSerial, "
                "RX and TX swapped, a level shifter)."
            )
            fix = (
                "With an AT modem or shield: AT+UART_DEF=9600,8,1,0,0 and 9600 baud, or a hardware serial port; check "
                "that RX and TX are crossed. Without one: try the host and port from a computer (`nc -vz HOST PORT`)."
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
