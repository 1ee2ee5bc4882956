"""BS319 to BS321: messages that are not whole, and devices that fall over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.bodies import too_big
from blynkscope.analysis.rules.words import command, failed, times
from blynkscope.protocol import commands
from blynkscope.wire.events import CLIENT, LOG_END

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Gap, Line
    from blynkscope.wire.framing import Malformed, Skipped

_AT_THE_END = "the stream ended"
"""The framer's reason for a frame whose rest never came."""
_SIGNS = {
    "packet-too-big": "Packet too big",
    "invalid-header-type": "Invalid header type",
    "bad-header-length": "Bad hdr len",
}
_WIRE_FIX = (
    "Compute the length from the encoded bytes (header and body as the server gets them), write each message whole and "
    "in one call, let one task alone write to the socket, and close it between messages only."
)
"""What to do where the network carried the bytes: it neither loses nor adds any."""
_FAILURES = frozenset({"cmd-error", "cmd-skipped"})
_MASKS = (b"***", b"XXX", b"xxx", b"...")
"""What people put in place of what they do not want to show."""
_LIFE = frozenset({"connected", "ready", "wifi", "ip", "ble-connect"})
"""Lines that tell that the sketch had got somewhere."""
_UPDATES = frozenset({"BS402", "BS403", "BS408"})
"""Updates that failed, after which boards restart of their own accord."""
_ASLEEP = frozenset({"deep sleep", "DEEPSLEEP_RESET", "DSLEEP"})
"""Causes of a new boot that are no failure: the board woke up."""
_SLEEPS = re.compile(r"(?i:\b(?:deep[ -]?)?sleep(?:ing)?\b)")
SLEEP_LINES = 3
"""Lines between "going to sleep" and the boot behind it; the ESP8266 wakes up by its reset pin."""
_TRACE = re.compile(r"Exception \(|epc1=|[<>]{3}stack|Backtrace:|Guru Meditation|Fatal exception")
"""What a stack trace, or the registers that an exception decoder reads, begins with."""
CAUSE_MAX = 120
"""Characters of a crash's text that are shown."""


class BrokenFraming(StreamRule):
    """BS319: bytes that form no whole messages, where nothing else explains them."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {
            "skipped": 0, "bytes": 0, "incomplete": [], "gap": False, "signs": [], "lengths": [], "frames": [],
            "overflow": 0,
        }  # fmt: skip

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """See `StreamRule`."""
        self.of(stream)["gap"] = True

    def malformed(self, stream: Conversation, lane: Lane, item: Malformed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if len(memory["incomplete"]) < 16:
            memory["incomplete"].append((lane, item))

    def skipped(self, stream: Conversation, lane: Lane, item: Skipped) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if not item.start and stream.joined:
            return  # joined in the middle of a frame
        memory["skipped"] += 1
        memory["bytes"] += item.size

    def misdeclared(self, stream: Conversation, lane: Lane, n: int, cmd: int, word: int, body: bytes) -> None:
        """See `StreamRule`."""
        memory, more = self.of(stream), len(body) - word
        if len(memory["lengths"]) < 16:
            effect = (
                f"{_bytes(more)} too many, which run into the next header"
                if more > 0
                else f"the reader waits for {_bytes(-more)}"
            )
            memory["frames"].append(n)
            memory["lengths"].append(
                f"frame {n} ({command(stream, cmd)}) declares {word} bytes and has {len(body)}: {effect}"
            )

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if stream is None:
            return
        if line.kind == "error" and line.text.endswith("Buffer overflow"):
            self.of(stream)["overflow"] = self.of(stream)["overflow"] or line.line
        if line.kind not in _SIGNS:
            return
        size = line.facts.get("size")
        if (
            line.kind == "packet-too-big" and isinstance(size, int) and too_big(stream, size)
            and not self.of(stream)["overflow"]
        ):  # fmt: skip
            return
        signs = self.of(stream)["signs"]
        if len(signs) < 16:
            values = [value for value in line.facts.values() if isinstance(value, int)]
            signs.append((line.line, _SIGNS[line.kind], values[0] if values else None))

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if memory["gap"] or failed(stream) or any(one.id in {"BS310", "BS318", "BS320"} for one in self.run.raised):
            return
        parts = list(memory["lengths"])
        count = memory["skipped"] + len(parts)
        if memory["skipped"]:
            places = times(memory["skipped"]).replace("once", "one place")
            parts.append(f"{memory['bytes']} bytes in {places} belong to no message")
        for lane, item in memory["incomplete"]:
            if item.reason == _AT_THE_END and not self._cut_off(stream, lane, event):
                continue
            count += 1
            if item.cmd is not None:
                parts.append(f"a {command(stream, item.cmd)} has {item.have} of {item.need} bytes")
            else:
                parts.append(f"{item.have} bytes are too few for a header")
        for line, text, value in memory["signs"]:
            count += 1
            parts.append(f'line {line}: "{text}{f": {value}" if value is not None else ""}"')
        if not count:
            return
        detail, fix = "; ".join(parts[:6]) + ".", None
        if memory["overflow"]:
            detail = (
                f'line {memory["overflow"]}: "Buffer overflow", the sketch does not fetch the bytes of the network '
                "module fast enough and some were thrown away; " + detail
            )
            fix = (
                "Call Blynk.run() in every turn of loop(), without delay() and long work in handlers; send less to the "
                "device at once (fewer widgets and shorter values), or use a board with the network on board."
            )
        if fix is None and not stream.log:
            fix = _WIRE_FIX
        detail = detail[0].upper() + detail[1:]
        self.report("BS319", stream, frames=memory["frames"], count=count, detail=detail, fix=fix)

    @staticmethod
    def _cut_off(stream: Conversation, lane: Lane, event: Closed) -> bool:
        """Did the sender itself end in the middle of a frame, rather than the recording or the other side?"""
        if stream.log:
            return True
        return event.how == "fin" and event.by is not None and stream.lanes[event.by] is lane


def _bytes(count: int) -> str:
    return f"{count} byte{'' if count == 1 else 's'}"


class CutShort(StreamRule):
    """BS320: a frame stops inside its body, and then the library says that it failed."""

    def altered(self, stream: Conversation, lane: Lane, n: int, cmd: int, word: int, body: bytes, cut: bool) -> None:
        """See `StreamRule`."""
        if (
            not cut
            or lane.direction != CLIENT
            or cmd in commands.LOGINS
            or not body
            or any(mask in body for mask in _MASKS)
        ):
            return
        self.of(stream)["cut"] = (n, cmd, word, len(body))

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if stream is None or line.kind not in _FAILURES:
            return
        memory = self.of(stream)
        cut = memory.pop("cut", None)
        # Where nothing was ever received, it is the way to the server that is blocked.
        if cut is None or memory.get("told") or not stream.server.tempo.count:
            return
        memory["told"] = True
        n, cmd, word, have = cut
        skipped = ' "Cmd skipped"' if line.kind == "cmd-skipped" else ' "Cmd error"'
        self.report(
            "BS320", stream, frames=(n,), count=1,
            detail=f"The {command(stream, cmd)} of frame {n} declares {word} bytes and stops after {have}; then line "
            f"{line.line} says{skipped}. The server was heard before, so the line is good, and the device's memory or "
            "send buffer is suspect.",
            cause=True,
        )  # fmt: skip


_GAVE_UP = ("BS102", "BS117", "BS201", "BS604", "BS109")
"""Failures behind which a program restarts by itself."""


class Crashes(StreamRule):
    """BS321: crashes and new boots in the middle of a log; one finding for the run."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._count = 0
        self._first: tuple[int | None, int, str, str] | None = None
        self._alive = self._down = False
        self._updates = dict.fromkeys(_UPDATES, 0)
        self._sleeps = -SLEEP_LINES - 1
        self._awake = True
        self._trace = False

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind not in {"crash", "reset"}:
            if line.kind == LOG_END:
                self._updates = {name: self.run.told[name] for name in _UPDATES}
            if line.kind in _LIFE:
                self._alive, self._down = True, False
            elif line.kind == "user-print" and _SLEEPS.search(line.text, 0, CAUSE_MAX):
                self._sleeps = line.line
            return
        if any(self.run.told[name] > self._updates[name] for name in _UPDATES):
            return  # an update failed in this log: that is why the board starts again
        self._trace = self._trace or _TRACE.search(line.text, 0, CAUSE_MAX) is not None
        # The first boot is how every log begins; and of one crash many lines tell.
        talked = stream is not None and stream.client.tempo.count + stream.server.tempo.count > 0
        if self._down or (line.kind == "reset" and not self._alive and not talked):
            return
        self._down = True
        self._count += 1
        slept = line.facts.get("cause") in _ASLEEP or 0 <= line.line - self._sleeps <= SLEEP_LINES
        self._awake = self._awake and line.kind == "reset" and slept
        if self._first is None:
            cause = str(line.facts.get("cause") or line.text)
            self._first = (stream.number if stream is not None else None, line.line, line.kind, cause[:CAUSE_MAX])

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        # A log that begins in the middle shows by its frames that the device ran.
        self._alive = self._alive or (stream.log and stream.client.tempo.count + stream.server.tempo.count > 0)

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        if self._first is None:
            return
        number, line, kind, cause = self._first
        if cause == "after an error" and any(self.run.told[name] for name in _GAVE_UP):
            return  # the program restarted on purpose
        what = "A crash" if kind == "crash" else "A new boot"
        detail = f"{what} in line {line} of the log: {cause.rstrip('.')}."
        if self._awake:
            detail += " The board went to sleep before and woke up there, which is no failure."
        severity = "note" if self._awake else None
        fix = _crash_fix(cause, awake=self._awake, trace=self._trace)
        self.report("BS321", number, count=self._count, detail=detail, fix=fix, severity=severity)


def _crash_fix(cause: str, *, awake: bool, trace: bool) -> str | None:
    """What to do, by what the log shows of the crash."""
    if awake:
        return "Nothing has to be done: a board that sleeps starts anew each time it wakes up, and logs in again."
    if "brownout" in cause.lower():
        return "Use a stronger supply and a short cable, and a capacitor (100 µF or more) near the module."
    if trace:
        return None
    return (
        "Keep the serial output around the restart: the reset cause that the boot prints, and a stack trace if there "
        "is one. Look for long loops without yield() or delay(), ESP.restart() in the sketch, and a supply that sags "
        "while the radio sends."
    )


RULES: tuple[type[StreamRule], ...] = (BrokenFraming, CutShort, Crashes)
