"""BS102 and BS117 from the lines of a log: boards that get onto no network, and servers that they do not reach."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.reaching import is_place
from blynkscope.analysis.rules.words import explains, failed, first_time, middle, seconds
from blynkscope.wire.events import LOG_END

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Line

TRIES_MIN = 3
"""Attempts that make a failure: one or two more may have worked behind the end of the log."""
WAITING_MAX = 1024
"""Findings that are held back until the end of the run."""
TRIES_KEPT = 64
"""Attempts whose times are kept."""
_TRIES = frozenset({"connecting"})
_NEUTRAL = frozenset({
    "connecting", "banner", "wifi", "ip", "free-ram", "modem", "user-print", "state", "reconnecting", "reset", "crash",
})  # fmt: skip
"""Kinds of lines that do not tell how a connection went."""
_BOARD = frozenset({"banner", "connecting", "ip", "free-ram", "modem", "state", "reset", "crash", "error"})
"""Kinds of lines that only a board's log has."""
TEXT_MAX = 60

_NO_MODULE = re.compile(
    r"ESP is not responding|Failed to (?:enable MUX|disable Echo|set STA mode|start WiFi|init)|Cannot init"
    r"|WiFi shield not present|WiFi module (?:failed|not)|Ethernet (?:shield|cable)"
)
_NO_ADDRESS = re.compile(r"DHCP (?:[Ff]ailed|0\Z)|using DHCP")
_NO_WIFI = re.compile(
    r"Connect WiFi failed|Reason: \d{1,3} - [A-Z4]|Failed to (?:join|connect WiFi|configure Static IP)"
    r"|CONNECTING_NET => ERROR"
)
_NO_CARRIER = re.compile(r"Register in network failed|Connect GPRS failed|SIM is (?:missing|PIN-locked)")

_FIXES = (
    (
        _NO_MODULE,
        "the board gets no answer from its network module",
        "See that the sketch talks to the module at its baud rate (AT modules leave the factory with 115200, which "
        "SoftwareSerial cannot read: AT+UART_DEF=9600,8,1,0,0), that RX and TX are crossed, that its firmware knows AT "
        "commands, and that a supply of its own gives 3.3 V at 300 mA.",
    ),
    (
        _NO_ADDRESS,
        "the board got no address from the network (DHCP)",
        "Check cable and link lights, that the router gives out addresses, that the MAC address in the sketch is used "
        "by no other board, and that no other SPI device (an SD card) holds the bus; or pass a fixed address.",
    ),
    (
        _NO_WIFI,
        "the board did not get into the Wi-Fi network",
        "Check name and password of the network (capital letters count), that it is a 2.4 GHz one, and the signal at "
        "the board.",
    ),
    (
        _NO_CARRIER,
        "the modem did not get into the mobile network",
        "Check antenna, signal (AT+CSQ), SIM card and PIN, the APN with its user and password, and the supply: a modem "
        "draws up to 2 A while it sends. See too that the network still runs 2G where the modem knows nothing else.",
    ),
)


class NetworksDown(StreamRule):
    """BS117: told when a log ends in which a board says that it has no network, and nothing ever connected."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._found: tuple[int, str, str, str] | None = None
        self._count = 0
        self._joining: tuple[int, str] | None = None
        self._board = False

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        self._board = self._board or line.kind in _BOARD or (line.kind == "wifi" and line.time is not None)
        if line.kind == "wifi":
            text = line.text
            self._joining = (line.line, text[:TEXT_MAX]) if text.startswith("Connecting to ") else None
            if self._joining is None:
                self._found, self._count = None, 0
        elif line.kind in {"ip", "connecting", "connected"}:
            self._joining = None
        if line.kind in {"error", "modem", "state"}:
            for pattern, what, fix in _FIXES:
                if pattern.search(line.text, 0, 200):
                    self._count += 1
                    self._found = self._found or (line.line, line.text[:TEXT_MAX], what, fix)
                    break
        elif line.kind in {"ready", "redirecting", "invalid-token"}:
            self._found, self._count = None, 0  # it came about later
        elif line.kind == LOG_END:
            found, count, joining = self._found, self._count, self._joining
            board, self._board = self._board, False
            if not board and line.facts.get("library") in {None, "unknown"}:
                joining = None  # any program may say "Connecting to …" of its database
            self._found, self._count, self._joining = None, 0, None
            if line.facts.get("frames") != 0:
                return
            if found is None:
                self._stuck(joining)
                return
            number, text, what, fix = found
            self.report("BS117", None, count=count, detail=f'Line {number} of the log, "{text}": {what}.', fix=fix)

    def _stuck(self, joining: tuple[int, str] | None) -> None:
        """The log ends while the board joins a Wi-Fi network."""
        if joining is not None:
            detail = (
                f'The last that the board says of its network is "{joining[1]}" (line {joining[0]}): it did not join.'
            )
            self.report("BS117", None, count=1, detail=detail, fix=_FIXES[-2][2], severity="warning")


class Attempts(StreamRule):
    """BS102: a library that prints nothing but one attempt to connect after the other."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._waiting: list[tuple[int, int, int, str]] = []
        self._down: set[int] = set()
        self._before = 0

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"count": 0, "lines": [], "times": [], "told": False, "gave_up": None}

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == LOG_END and self.run.told["BS117"] > self._before:
            self._before = self.run.told["BS117"]
            self._down.add(self.run.source)
        if stream is None:
            return
        memory = self.of(stream)
        if line.kind in _TRIES and (line.facts.get("host") or not memory["count"]):
            memory["count"] += bool(line.facts.get("host"))
            if len(memory["lines"]) < TRIES_KEPT:
                memory["lines"].append(line.line)
                memory["times"].append(line.time)
        elif line.kind == "state" and line.text.startswith("CONNECTING_CLOUD => ERROR"):
            memory["gave_up"] = line.line
        elif line.kind not in _NEUTRAL:
            memory["told"] = True

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        tries, gave_up = memory["count"], memory["gave_up"]
        if not stream.log or memory["told"] or failed(stream) or (tries < TRIES_MIN and gave_up is None):
            return
        if stream.client.tempo.count + stream.server.tempo.count:
            return
        explains(stream, "BS102")
        if not first_time(stream, "BS102") or len(self._waiting) >= WAITING_MAX:
            return
        server = stream.opened.server or stream.host or "the server"
        lines = memory["lines"]
        gaps = [
            later - one for one, later in zip(memory["times"], memory["times"][1:], strict=False)
            if one is not None and later is not None and later > one
        ]  # fmt: skip
        if tries >= TRIES_MIN:
            every = f", every {seconds(middle(gaps))}" if gaps else ""
            detail = f"The device tried {tries} times to connect to {server} (lines {lines[0]} to {lines[-1]}{every})"
            detail += "; no connection came about: it never got as far as a login."
        else:
            detail = f"The device gave up connecting to {server} (line {gave_up} of the log), before any login."
        detail += is_place(stream.opened.server)
        self._waiting.append((stream.number, stream.source, max(tries, 1), detail))

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        # A board without a network tries in vain; its log says so, often behind the attempts.
        for number, source, count, detail in self._waiting:
            if source not in self._down:
                self.report("BS102", number, count=count, detail=detail)


RULES: tuple[type[StreamRule], ...] = (NetworksDown,)
LATE: tuple[type[StreamRule], ...] = (Attempts,)
"""Told behind all rules that know a better reason."""
