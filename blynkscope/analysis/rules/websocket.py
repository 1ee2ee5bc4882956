"""BS125, BS126: WebSocket messages that a Blynk server passes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.reaching import server_name
from blynkscope.analysis.rules.words import ISOLATED_MAX, end_of, explains, first_time, times, unheard
from blynkscope.analysis.session import State
from blynkscope.protocol.commands import LOGINS
from blynkscope.protocol.model import Era
from blynkscope.protocol.paths import MQTT_PATH, WEBSOCKETS
from blynkscope.wire.events import CLIENT

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.wire.events import Closed
    from blynkscope.wire.facts import Fact

ANSWER_PATIENCE = 3.0
"""Seconds that the recording follows a login without an answer, where no one closed: then there is none."""


class Messages(StreamRule):
    """BS125, BS126."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"path": "", "texts": 0, "text_size": 0, "parts": 0, "frames": 0, "part_size": 0,
                "login": None, "cut": None}  # fmt: skip

    def spoke(
        self, stream: Conversation, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes,
        time: float | None,
    ) -> None:  # fmt: skip
        """See `StreamRule`."""
        if cmd in LOGINS and lane.direction == CLIENT and (inner := _inner(lane)) is not None:
            # Where the message that it is in ends so far, and its number.
            self.of(stream)["login"] = (inner, n, time)

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind == "http-request" and "websocket" in str(fact.detail.get("upgrade") or "").lower():
            self.of(stream)["path"] = str(fact.detail.get("path") or "").partition("?")[0].rstrip("/")
        elif lane is not stream.client:
            return
        elif fact.kind == "ws-text":
            memory = self.of(stream)
            memory["texts"] += 1
            if memory["texts"] == 1:
                memory["text_size"] = fact.detail["size"]
        elif fact.kind == "ws-fragmented" and fact.detail["frames"] > 1:
            memory = self.of(stream)
            memory["parts"] += 1
            if memory["parts"] == 1:
                memory["frames"], memory["part_size"] = fact.detail["frames"], fact.detail["size"]
            login, inner = memory["login"], _inner(lane)
            if login is not None and inner is not None and login[0] > inner - fact.detail["size"]:
                memory["cut"] = memory["cut"] or login

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory: dict[str, Any] | None = stream.memories.get(id(self))
        if not memory or not (memory["texts"] or memory["parts"]) or not self._is_blynk(stream, memory):
            return
        if memory["texts"]:
            self._texts(stream, event, memory)
        if memory["parts"]:
            self._fragments(stream, event, memory)

    def _is_blynk(self, stream: Conversation, memory: dict[str, Any]) -> bool:
        """Is it a WebSocket of Blynk? Others may say in it what they like."""
        framed = any(lane.tempo.count for lane in stream.lanes)
        return framed or memory["path"] in WEBSOCKETS

    def _texts(self, stream: Conversation, event: Closed, memory: dict[str, Any]) -> None:
        mute = not any(lane.tempo.count for lane in stream.lanes) and memory["path"] != MQTT_PATH
        if memory["texts"] <= ISOLATED_MAX and stream.session.state is State.ONLINE:
            return  # one that was tried out beside a session that works
        if not first_time(stream, f"BS125 {mute}"):
            if mute:
                explains(stream, "BS125")
            return
        count = memory["texts"]
        detail = f"The client sent {count} text message{'' if count == 1 else 's'} to {server_name(stream)}, the first "
        detail += f"of {memory['text_size']} bytes"
        detail += ", and no binary one: not a frame of Blynk was spoken." if mute else "."
        self.report("BS125", stream, count=count, detail=detail, severity="error" if mute else None, cause=mute)

    def _fragments(self, stream: Conversation, event: Closed, memory: dict[str, Any]) -> None:
        cut = memory["cut"]
        unanswered = cut is not None and stream.session.state is State.LOGGING_IN and _waited(stream, event, cut[2])
        if not first_time(stream, f"BS126 {unanswered}"):
            if unanswered:
                explains(stream, "BS126")
            return
        count = memory["parts"]
        detail = (
            f"The client sent {times(count)} a message in several frames, the first of {memory['part_size']} bytes "
        )
        detail += f"in {memory['frames']} frames."
        severity = None
        if unanswered:
            detail += f" The login of frame {cut[1]} is in one of them, and {server_name(stream)} did not answer it."
            severity = "error"
        elif cut is not None and stream.session.state is State.ONLINE:
            detail += f" This server takes them: it answered the login of frame {cut[1]}, which was in one."
            severity = "note"
        elif (stream.run.era or stream.evidence.of_server) is Era.IOT:
            severity = "note"
        frames = (cut[1],) if cut is not None else ()
        self.report("BS126", stream, frames=frames, count=count, detail=detail, severity=severity, cause=unanswered)


def _inner(lane: Lane) -> int | None:
    """Bytes that came out of the WebSocket so far; None where there is none."""
    return next((layer.inner for layer in lane.layers if layer.kind == "websocket"), None)


def _waited(stream: Conversation, event: Closed, asked: float | None) -> bool:
    """Was there time for an answer?"""
    if unheard(stream, stream.server, event):
        return False
    last = end_of(stream, event)
    waited = last - asked if last is not None and asked is not None else 0.0
    return event.how in {"fin", "reset"} or waited >= ANSWER_PATIENCE


RULES: tuple[type[StreamRule], ...] = (Messages,)
