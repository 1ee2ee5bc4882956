"""BS501 to BS503: the handshake with the Particle cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.reaching import server_name
from blynkscope.analysis.rules.words import closed_by_server, end_of, explains, first_time, seconds, unheard
from blynkscope.protocol.ports import PARTICLE_PORT
from blynkscope.wire.events import LOG_END
from blynkscope.wire.particle import KEY_SIZE, NONCE_SIZE, SESSION_SIZE

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Gap, Line

NONCE_PATIENCE = 5.0
"""Seconds without a nonce after which something is wrong: it comes within a round trip, and devices wait 20 s."""
_ANSWER = NONCE_SIZE + SESSION_SIZE
_NO_FAILURE: dict[str, Any] = {"read": None, "written": None, "host": None, "told": False, "line": None}
_WEAK, _STRONG = "BS503", ("BS501", "BS502")
"""What a log is taken to tell where it shows no step of the handshake, and where it does."""
_STEPS = {"nonce": "BS502", "key": "BS501", "session": "BS501"}
"""What a device's "Unable to receive …" means. Its firmware says "key" for the session key that should come."""


class Particle(StreamRule):
    """BS501 to BS503, from the byte counts of a capture or the lines of a device's log."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._without_stream: dict[int, dict[str, Any]] = {}
        self._told: dict[tuple[int, str], int] = {}
        self._weak: dict[int, tuple[int | None, str]] = {}

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return dict(_NO_FAILURE)

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """See `StreamRule`."""
        self.of(stream)["told"] = True  # the counts are not exact, so they prove nothing

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        opened = stream.opened
        if stream.log or stream.joined or event.how in {"refused", "unanswered"} or self.of(stream)["told"]:
            return
        by_bytes = any(lane.guess is not None and lane.guess.kind == "particle" for lane in stream.lanes)
        if opened.server_port != PARTICLE_PORT and not by_bytes:
            return
        client, server = stream.client.seen, stream.server.seen
        if server >= _ANSWER and client >= KEY_SIZE:
            return
        if not server:
            self._no_nonce(stream, event, client)
            return
        ended = event.how in {"fin", "reset"}
        if server == NONCE_SIZE and client >= KEY_SIZE:
            self._refused(stream, event)
        elif ended and server <= _ANSWER and client <= KEY_SIZE:
            self._broken_off(stream, event, client, server)

    def _no_nonce(self, stream: Conversation, event: Closed, client: int) -> None:
        if client or unheard(stream, stream.server, event):
            return  # a client that speaks first is no Particle device
        waited = self._waited(stream, event)
        if closed_by_server(stream, event):
            what = f"closed the connection after {seconds(waited)} without a byte"
        elif waited >= NONCE_PATIENCE:
            what = f"accepted the connection and sent nothing for {seconds(waited)}"
        else:
            return
        self._say("BS502", stream, f"{server_name(stream)} {what}; its nonce of {NONCE_SIZE} bytes should come first.")

    def _refused(self, stream: Conversation, event: Closed) -> None:
        since = stream.client.heard_at
        waited = event.time - since if event.time is not None and since is not None else 0.0
        if closed_by_server(stream, event):
            then = f"{seconds(waited)} later the server {'reset' if event.how == 'reset' else 'closed'} the connection"
        elif event.how in {"fin", "reset"} or waited >= NONCE_PATIENCE:
            then = f"the server said nothing more for {seconds(waited)}"
        else:
            return
        self._say(
            "BS501", stream,
            f"{server_name(stream)} sent its nonce ({NONCE_SIZE} bytes) and the device its key message ({KEY_SIZE} "
            f"bytes); {then}, where its session key ({SESSION_SIZE} bytes) should come. Device key or server key is "
            "wrong.",
        )  # fmt: skip

    def _broken_off(self, stream: Conversation, event: Closed, client: int, server: int) -> None:
        who = "the server" if closed_by_server(stream, event) else "the device"
        if server < NONCE_SIZE:
            where = f"inside the nonce, after {server} of {NONCE_SIZE} bytes"
        elif client < KEY_SIZE:
            where = f"after {client} of {KEY_SIZE} bytes of the device's key message"
        else:
            where = f"after {server - NONCE_SIZE} of {SESSION_SIZE} bytes of the session message"
        self._say("BS503", stream, f"With {server_name(stream)}: {who} closed {where}.")

    def _waited(self, stream: Conversation, event: Closed) -> float:
        last, first = end_of(stream, event), stream.opened.time
        return max(last - first, 0.0) if last is not None and first is not None else 0.0

    def _say(self, name: str, stream: Conversation, detail: str) -> None:
        if first_time(stream, f"{name} {stream.opened.server}"):
            self.report(name, stream, detail=detail, cause=True)
        else:
            explains(stream, name)

    # --- logs ---

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == LOG_END:
            self._say_weak(self.run.source)
        if line.kind != "particle":
            return
        if stream is not None:
            memory = self.of(stream)
        else:
            memory = self._without_stream.setdefault(self.run.source, dict(_NO_FAILURE))
        facts = line.facts
        if facts.get("host") is not None:
            memory["host"] = str(facts["host"])
        failed = "code" in facts or facts.get("step") == "session"
        begins = facts.get("read") == NONCE_SIZE or "starting handshake" in str(facts.get("says") or "")
        if begins and (memory["told"] or not failed):
            # Another attempt; where a paste lost its line ends, one line holds the whole of it.
            memory.update(read=None, written=None, told=False)
        for key in ("read", "written"):
            if isinstance(facts.get(key), int):
                memory[key] = (memory[key] or 0) + facts[key]
        if failed and not memory["told"]:
            memory["told"] = True
            self._failed(stream, line, memory)

    def _failed(self, stream: Conversation | None, line: Line, memory: dict[str, Any]) -> None:
        """The device says that the handshake failed."""
        read, written, code = memory["read"], memory["written"], line.facts.get("code")
        name = self._judge(line, read, written)
        if stream is not None:
            if stream.cause == _WEAK:
                stream.cause = name
            explains(stream, name)
        key = (self.run.source, name)
        self._told[key] = self._told.get(key, 0) + 1
        if self._told[key] > 1:
            return
        host = f" with {memory['host']}" if memory["host"] else ""
        told = f" with code {code}" if code is not None else ""
        steps = []
        if read is not None:
            steps.append(f"{read} bytes were read" + (" (the nonce)" if read == NONCE_SIZE else ""))
        if written is not None:
            steps.append(
                f"{written} bytes were written" + (" (the device's key message)" if written == KEY_SIZE else "")
            )
        detail = f"Line {line.line} of the log: the handshake{host} failed{told}"
        detail += f"; before that {' and '.join(steps)}." if steps else "."
        if name == "BS501":
            detail += f" The session key ({SESSION_SIZE} bytes) did not come: device key or server key is wrong."
        elif name == "BS502":
            detail += f" The cloud's nonce ({NONCE_SIZE} bytes) did not come."
        if name == _WEAK:
            # Somebody's words about the failure may stand above the log that shows its steps.
            self._weak[self.run.source] = (stream.number if stream is not None else None, detail)
        else:
            self.report(name, stream, detail=detail, cause=True)

    def _say_weak(self, source: int) -> None:
        """The log is over: a failure of which no step is known is told where no other line told more."""
        weak = self._weak.pop(source, None)
        if weak is not None and not any((source, name) in self._told for name in _STRONG):
            self.report(_WEAK, weak[0], count=1, detail=weak[1])

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        for source in list(self._weak):
            self._say_weak(source)

    @staticmethod
    def _judge(line: Line, read: int | None, written: int | None) -> str:
        step = line.facts.get("step")
        if written is not None and written >= KEY_SIZE and (read is None or read <= NONCE_SIZE):
            return "BS501"
        if read is None and written is None and isinstance(step, str) and step in _STEPS:
            return _STEPS[step]
        if not read and not written and "read" in line.facts:
            return "BS502"
        return "BS503"


RULES: tuple[type[StreamRule], ...] = (Particle,)
