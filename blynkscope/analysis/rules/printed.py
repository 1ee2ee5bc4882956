"""BS907 to BS909: logs without frames, and logs whose bytes are not those of the wire any more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.bodies import lone_header
from blynkscope.analysis.rules.words import command
from blynkscope.protocol import commands

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Line

FRAMES_NAMED = 6
"""Altered frames that the detail names; further ones are counted."""
LONE_FRAMES = 2
"""Headers without a body that are a question about their numbers, and no log that lost something."""
_TOLD_THERE = frozenset({"BS108", "BS320"})
"""What explains a frame that is not whole: a TLS record that was read as one, a device that broke off."""
_MASK = re.compile(rb"([*xX#])\1{2}|\xe2\x80\xa6|\xe2\x80\xa2\xe2\x80\xa2|(?i:redacted|hidden|<[a-z _-]{2,24}>)")
"""What people put in place of what they do not want to show."""
_MASKED_TOKEN = re.compile(rb"(.)\1{3}| |(?i:token|redacted|hidden|auth)|[*\x80-\xff]|\A[xX]{2,3}\Z", re.DOTALL)
"""In place of a token; real ones seldom repeat a character four times."""
_GUTTER = re.compile(r"\b(?:dw|aw|vw|pm|dr|vr|ar)\.\d{1,3}\.")
_GUTTER_MIN = 2
"""Commands with dots for their NULs in one line: the character column of a dump."""
_TCPDUMP = re.compile(r"IP6? [\w.:-]{3,120} > [\w.:-]{3,120}: (?:Flags \[|tcp )")
"""What tcpdump prints of a packet; without -x or -X no bytes follow."""
_NO_BLYNK = frozenset({"particle"})
"""Logs of other clouds, which never hold Blynk frames."""
_WITHOUT_DEVICE = frozenset({"upload"})
"""Kinds of text of a shell session, where no device speaks."""

_CPP = (
    "Put #define BLYNK_DEBUG and #define BLYNK_PRINT Serial above all #include lines of the sketch (on boards with one "
    "serial port that the link does not use), compile it anew, and post the serial output from the reset on."
)
_CAPTURE = " Or record the traffic where it passes (tcpdump -i any -w blynk.pcap port 80 or port 8080) and decode that."
HOW: dict[str, str] = {
    "cpp": _CPP + _CAPTURE,
    "edgent": "Edgent prints states alone. In Settings.h (or above all includes) define BLYNK_DEBUG beside BLYNK_PRINT "
    "Serial and APP_DEBUG." + _CAPTURE,
    "micropython": "Give the library's constructor a log function: BlynkLib.Blynk(token, log=print) prints each "
    "message; a port of your own should print the bytes it sends and receives as repr(data)." + _CAPTURE,
    "blynklib": "Give the constructor a log: blynklib.Blynk(token, log=print); for the bytes themselves print them in "
    "send() and receive()." + _CAPTURE,
    "js": "The library prints messages in onReceive() and sendRsp() of blynk.js; in many versions these console.log "
    "lines are commented out. Switch them on." + _CAPTURE,
    "node-red": "Switch on the log of low level messages in the settings of the Blynk client node: it then prints RECV "
    "and SEND lines." + _CAPTURE,
    "java-server": "Set log.level=trace in server.properties and restart the server: blynk.log then shows each message "
    "that comes in." + _CAPTURE,
}
"""How to get frames, by the library whose log it is."""


_SHORT_LOGIN = "login with short header"
_SHORT_DETAIL = (
    "The login has a header of 3 bytes. Blynk's has 5: the command in one byte, id and length in two each. The server "
    "takes bytes of the token for the length and waits for more, so it says nothing."
)
_SHORT_FIX = (
    "Send 02 00 01 00 20 (29, that is 1D, in place of 02 for Blynk IoT), and behind it the token as its 32 characters: "
    "ASCII text, not the 16 bytes that its digits would be in hex."
)


class NoFrames(StreamRule):
    """BS907: a log that tells of a connection and shows none of its frames."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._kinds: set[str] = set()
        self._gutter = False

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind != "log-end":
            self._kinds.add(line.kind)
            if line.kind == "user-print":
                gutter = len(_GUTTER.findall(line.text)) >= _GUTTER_MIN or _TCPDUMP.match(line.text) is not None
                self._gutter = self._gutter or gutter
            return
        kinds, self._kinds = self._kinds, set()
        gutter, self._gutter = self._gutter, False
        facts = line.facts
        library = str(facts.get("library"))
        if facts.get("frames") != 0 or library in _NO_BLYNK or kinds & _WITHOUT_DEVICE or "tls-record" in kinds:
            return
        if facts.get("notation") == _SHORT_LOGIN:
            self.report("BS319", None, count=1, detail=_SHORT_DETAIL, fix=_SHORT_FIX)
            return
        lines = facts.get("lines", 0)
        fix: str | None
        if gutter:
            detail = (
                "The log shows packets without their bytes, or the character column of a dump alone. A dot there "
                "stands for any byte that is no letter, so ids and lengths cannot be told."
            )
            fix = "Copy the hexadecimal column too (tcpdump -X), or print the bytes as hex digits." + _CAPTURE
        else:
            detail = f"None of its {lines} lines shows a frame" if lines != 1 else "Its one line shows no frame"
            known = library in HOW
            detail += f"; it looks like a log of {_LIBRARIES.get(library, library)}." if known else "."
            fix = HOW.get(library)
        self.report("BS907", None, count=1, detail=detail, fix=fix)


_LIBRARIES = {
    "cpp": "the C++ library", "edgent": "Blynk.Edgent", "micropython": "the Python library on MicroPython",
    "blynklib": "blynklib", "js": "the JavaScript library", "node-red": "node-red-contrib-blynk-ws",
    "java-server": "the Java server",
}  # fmt: skip


class Altered(StreamRule):
    """BS908 and BS909: what a log shows is not what the frame declares."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"tokens": [], "bodies": [], "count": 0}

    def altered(self, stream: Conversation, lane: Lane, n: int, cmd: int, word: int, body: bytes, cut: bool) -> None:
        """See `StreamRule`."""
        if word < 0 or (lone_header(cmd, word, body) and cmd not in commands.LOGINS):
            return  # BS318
        memory = self.of(stream)
        if cmd in commands.LOGINS:
            if len(memory["tokens"]) < FRAMES_NAMED:
                memory["tokens"].append((n, word, len(body), _MASKED_TOKEN.search(body) is not None))
            return
        masked = _MASK.search(body) is not None
        memory["count"] += 1
        if len(memory["bodies"]) < FRAMES_NAMED:
            memory["bodies"].append((n, cmd, word, len(body), masked))

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory: dict[str, Any] | None = stream.memories.get(id(self))
        if not memory:
            return
        # Where the conversation was broken, a token that is not whole is a part of that.
        tokens = [token for token in memory["tokens"] if token[3] or stream.cause is None]
        if tokens:
            self._tokens(stream, tokens)
        bodies = memory["bodies"]
        frames = stream.client.tempo.count + stream.server.tempo.count
        if stream.cause in _TOLD_THERE or (frames <= LONE_FRAMES and not any(body[3] for body in bodies)):
            bodies = [body for body in bodies if body[4]]
            memory["count"] = len(bodies)
        if not bodies:
            return
        parts = [
            f"frame {n} ({command(stream, cmd)}) declares {word} bytes and shows {have}"
            + (" with masked values" if masked else "")
            for n, cmd, word, have, masked in bodies
        ]
        more = memory["count"] - len(bodies)
        told = "; ".join(parts) + (f"; and {more} more" if more > 0 else "") + "."
        detail = told[0].upper() + told[1:]
        self.report("BS909", stream, frames=[body[0] for body in bodies], count=memory["count"], detail=detail)

    def _tokens(self, stream: Conversation, tokens: list[tuple[int, int, int, bool]]) -> None:
        device = stream.device
        if device is not None:
            # One device has one token: masked once, masked on each of its connections.
            before = device.told.get("BS908", 0)
            device.told["BS908"] = before + 1
            if before:
                return
        n, word, have, masked = tokens[0]
        why = "it was masked before it was posted" if masked else "it was shortened, miscopied or masked"
        detail = f"The login of frame {n} declares a token of {word} characters, and the log shows {have}: {why}."
        self.report("BS908", stream, frames=[token[0] for token in tokens], detail=detail)


RULES: tuple[type[StreamRule], ...] = (NoFrames, Altered)
