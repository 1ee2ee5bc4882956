"""BS113 to BS115: modules that do not send, and text where only frames belong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.quotes import quote
from blynkscope.analysis.rules.words import command, explains, failed, first_time, seconds
from blynkscope.protocol.ports import SERVER_PORTS
from blynkscope.wire import recognise
from blynkscope.wire.events import CLIENT

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Gap, Line
    from blynkscope.wire.framing import Skipped
    from blynkscope.wire.recognise import Guess

MODULE_TEXTS = (
    "OK+CONN", "OK+LOST", "OK+Set", "OK+Get", "+IPD,", "SEND OK", "ERROR", "CLOSED", "CONNECT", "ALREADY", "ready",
)  # fmt: skip
"""What modules say on their own. Their fourth and fifth characters are read as a length."""
_AS_LENGTH = {text[3:5].encode(): text for text in reversed(MODULE_TEXTS)}
_SIGNS = frozenset({"packet-too-big", "invalid-header-type", "bad-header-length"})
SIGNS_MAX = 16
TEXTS_MAX = 8
"""Printed lines of a stream that are remembered, to find again what was read as a length."""
TEXT_MAX = 200
SAMPLE_MAX = 40
"""Characters of a text that are shown."""
SKIPS_MAX = 8
"""Runs of bytes between frames that are looked at in one stream."""
SOURCES_MAX = 1024
_AT_VERSION = re.compile(r"AT version: ?(\d{1,3}(?:\.\d{1,3}){1,2})")
_OPERATION = re.compile(r"(?<![A-Za-z])[vda][wr]\.\d{1,3}(?:\.|$)")
_WORD = re.compile(r"[A-Za-z]{4,}[ :]")


_WEB_FIX = (
    "This port belongs to a web server. Devices of a legacy server of your own connect to 8080 (plain) or 9443 (TLS), "
    "those of Blynk IoT to blynk.cloud and port 80 or 443: give host and port to Blynk.begin."
)


def as_text(value: Any) -> str | None:
    """A length whose two bytes are printable: 17231 is `CO`."""
    if not isinstance(value, int) or not 0 <= value <= 0xFFFF:
        return None
    raw = value.to_bytes(2, "big")
    return raw.decode("ascii") if all(0x20 <= byte < 0x7F for byte in raw) else None


class BlockedWrites(StreamRule):
    """BS113: the library says that its bytes were not taken."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._firmware: tuple[int, str] | None = None

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == "modem" and (version := _AT_VERSION.search(line.text, 0, TEXT_MAX)) is not None:
            self._firmware = self.run.source, version[1]
        if stream is None or line.kind not in {"cmd-error", "sent"}:
            return
        sent, total = line.facts.get("sent"), line.facts.get("total")
        if line.kind == "sent":
            if not isinstance(sent, int) or not isinstance(total, int) or sent >= total:
                return
        elif stream.cause is not None:
            return  # told already: a frame that stops in the middle, a module's text
        if not first_time(stream, "BS113"):
            explains(stream, "BS113")
            return
        text = f'Line {line.line}: "Sent {sent}/{total}"' if line.kind == "sent" else f'Line {line.line}: "Cmd error"'
        frame = self.of(stream).get("frame")
        frames: tuple[int, ...] = ()
        if frame is not None and frame[0] == self.run.frames:
            frames = (frame[0],)
            text += f" behind the {command(stream, frame[1])} of frame {frame[0]}"
        last = stream.client.tempo.last if stream.client.tempo.first is not None else None
        if line.time is not None and last is not None and line.time - last >= 1.0:
            text += f", {seconds(line.time - last)} after it was handed over"
        text += ": the network module did not take the bytes."
        text += "" if stream.server.tempo.count else " Nothing was ever received on this connection."
        self.report("BS113", stream, frames=frames, count=1, detail=text, fix=self._fix(), cause=True)

    def _fix(self) -> str | None:
        """What to check where the log tells a firmware that is new enough."""
        source, version = self._firmware or (None, "0")
        if source != self.run.source or version.startswith("0"):
            return None
        return (
            f"The module answers AT commands (AT version {version}), so its firmware is no reason in itself. Check the "
            "baud rate: 115200 is too fast for SoftwareSerial, take 9600 or a hardware serial port. Check the supply: "
            "3.3 V at 300 mA of its own, not from the board's pin. Then check that the library and the module fit: the "
            "current ESP8266_Lib (BlynkESP8266_Lib) with the AT version of the module, as AT version 2.x differs from "
            "1.x in some commands."
        )

    def spoke(
        self, stream: Conversation, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes,
        time: float | None,
    ) -> None:  # fmt: skip
        """See `StreamRule`."""
        if stream.log and lane.direction == CLIENT:
            self.of(stream)["frame"] = (n, cmd)


class ForeignText(StreamRule):
    """BS114, BS115: text inside the Blynk stream."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._prints: set[int] = set()

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"module": None, "signs": [], "texts": [], "skips": 0, "gap": False, "found": None}

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == "user-print":
            self._printed(stream, line)
        if stream is None:
            return
        memory = self.of(stream)
        if line.kind == "ble-module":
            memory["module"] = (line.line, str(line.facts.get("text") or line.text)[:SAMPLE_MAX])
        elif line.kind in _SIGNS:
            if len(memory["signs"]) < SIGNS_MAX:
                memory["signs"].append((line.line, line.kind, line.facts.get("size")))
            self._sign(stream, memory, line)

    def _sign(self, stream: Conversation, memory: dict[str, Any], line: Line) -> None:
        """The library read something that is no frame: is it a module's text?"""
        if stream.cause is not None:
            return
        text, size = as_text(line.facts.get("size")), line.facts.get("size")
        known = _AS_LENGTH.get(text.encode()) if text else None
        if memory["module"] is None and known is None:
            return
        if not first_time(stream, "BS114"):
            explains(stream, "BS114")
            return
        if memory["module"] is not None:
            where, said = memory["module"]
            detail = f'Line {where}: the module says "{said}" on the line that carries the Blynk frames.'
        else:
            said = known or ""
            detail = f'Something like "{said}" stands in the Blynk stream.'
        if text is not None:
            detail += (
                f' Line {line.line}: "Packet too big: {size}" is 0x{size:04X}, the text "{text}"'
                f"{f' of {said}' if text in said else ''}: its first three characters were read as command and id, "
                "these two as the length."
            )
        else:
            detail += f" From line {line.line} on the frames are read from the wrong place."
        fix = None
        if said.startswith("OK+"):
            fix = "Send AT+NOTI0 to the BLE module once (HM-10 and its clones): it turns the notification text off."
        self.report("BS114", stream, detail=detail, fix=fix, cause=True)

    def _printed(self, stream: Conversation | None, line: Line) -> None:
        """Does the sketch print on the serial line that carries the frames?"""
        if stream is not None:
            texts = self.of(stream)["texts"]
            texts.append(line.text[:TEXT_MAX])
            del texts[:-TEXTS_MAX]
        text = line.text[:TEXT_MAX]
        if self.run.source in self._prints or len(self._prints) >= SOURCES_MAX:
            return
        operations = _OPERATION.findall(text)
        word = _WORD.search(text)
        if len(operations) < 2 or word is None:
            return
        self._prints.add(self.run.source)
        self.report(
            "BS114", stream,
            detail=f'Line {line.line} holds {len(operations)} pin operations of Blynk and, between them, the words '
            f"{quote(text[word.start() :], 16)}: the sketch prints on the serial port that carries "
            "the frames.",
            fix="Print on another serial port than Blynk's (Blynk on Serial1 or SoftwareSerial, prints on Serial), or "
            "do not print at all.",
        )  # fmt: skip

    # --- bytes ---

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """See `StreamRule`."""
        self.of(stream)["gap"] = True

    def recognised(self, stream: Conversation, lane: Lane, guess: Guess, time: float | None) -> None:
        """See `StreamRule`."""
        ours = stream.opened.server_port in SERVER_PORTS or (stream.log and stream.opened.server is not None)
        if guess.kind == "text" and ours and not stream.joined and lane.direction == CLIENT:
            self._found(stream, guess)

    def skipped(self, stream: Conversation, lane: Lane, item: Skipped) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        memory["skips"] += 1
        if memory["skips"] > SKIPS_MAX or memory["gap"] or (stream.joined and not item.start):
            return
        guess = recognise.name_bytes(item.sample)
        if guess.kind == "text" and len(item.sample) >= 4:
            self._found(stream, guess)

    def _found(self, stream: Conversation, guess: Guess) -> None:
        memory = self.of(stream)
        if memory["found"] is None or (memory["found"].label == "plain text" and guess.label != "plain text"):
            memory["found"] = guess

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if failed(stream) or memory["gap"]:
            return
        guess: Guess | None = memory["found"]
        if guess is not None:
            module = guess.label != "plain text"
            name = "BS114" if module else "BS115"
            if not first_time(stream, name):
                explains(stream, name)
                return
            said = quote(guess.detail.get("line") or "")
            what = f"{guess.label} ({said})" if module else f"text ({said})"
            self.report(name, stream, detail=f"Among the bytes is {what}, which is no Blynk frame.", cause=True)
            return
        self._own_data(stream, memory)

    def _own_data(self, stream: Conversation, memory: dict[str, Any]) -> None:
        """The library reads letters and digits as headers."""
        sizes = [(line, size, as_text(size)) for line, kind, size in memory["signs"] if kind == "packet-too-big"]
        if not sizes or any(text is None for _, _, text in sizes):
            return
        framed = any(lane.tempo.count for lane in stream.lanes)
        printed = [text for _, _, text in sizes if any(text and text in one for one in memory["texts"])]
        if framed and not printed:
            return  # a stream that lost its framing may read anything as a length
        line, size, text = sizes[0]
        if any(one.startswith("HTTP/") for one in memory["texts"]):
            if first_time(stream, "BS111"):
                self.report(
                    "BS111", stream, detail=f'What answers is a web server: line {line}, "Packet too big: {size}", is '
                    f"the text {text!r} of its \"HTTP/\".", fix=_WEB_FIX, cause=True,
                )  # fmt: skip
            else:
                explains(stream, "BS111")
            return
        if not first_time(stream, "BS115"):
            explains(stream, "BS115")
            return
        detail = f'Line {line}: "Packet too big: {size}" is 0x{size:04X}, the text {text!r}'
        source = next((one for one in memory["texts"] if text and text in one), None)
        if source is not None:
            at = max(source.find(text or "") - SAMPLE_MAX // 2, 0)
            detail += f" out of {quote(source[at:], SAMPLE_MAX)}"
        more = ", ".join(repr(text) for _, _, text in sizes[1:5])
        detail += f"; then {more}" if more else ""
        self.report("BS115", stream, count=len(sizes), detail=detail + ". It is text, not frames.", cause=True)


RULES: tuple[type[StreamRule], ...] = (ForeignText,)
LATE: tuple[type[StreamRule], ...] = (BlockedWrites,)
"""Told behind the rule for frames that stop in the middle, which explains a failed write better."""
