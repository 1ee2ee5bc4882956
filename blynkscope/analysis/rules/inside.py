"""What rules know of TLS that was opened, or was not; BS127: refused behind a handshake that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.reaching import server_name
from blynkscope.analysis.rules.words import closed_by_server, end_of, explains, first_time, seconds

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.wire.events import Closed
    from blynkscope.wire.facts import Fact

NEW = "TLS 1.3"
REFUSAL_SIZES = frozenset({0, 16, 24, 32, 48})
"""Bytes of TLS 1.3 that say no more than an alert: one record or two, with a tag of 8 or 16 bytes, or none at all. A
session ticket, and a status of Blynk (27), have other sizes."""
REFUSAL_PATIENCE = 2.0
"""Seconds behind the client's Finished in which a refusal comes."""


def unwrapped(lane: Lane) -> bool:
    """Was TLS around this direction opened, so that its guess tells what is inside?"""
    return any(layer.kind == "tls" and layer.begun for layer in lane.layers)


def is_sealed(lane: Lane) -> bool:
    """Is there TLS around this direction for which the keys are not known? Then its silence means nothing."""
    return any(layer.kind == "tls" and layer.side is not None and layer.side.shut for layer in lane.layers)


def spoke(lane: Lane) -> bool:
    """Did anything come from there? Where TLS is opened, its own messages are nothing."""
    return lane.seen > 0 and (unwrapped(lane) or is_sealed(lane) or not unwrapped(lane.peer))


class Refusals(StreamRule):
    """BS127: TLS 1.3 that the server closes right behind the handshake, with an alert that cannot be read."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"new": False, "opened": False, "at": None, "said": 0, "finished": False}

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if not fact.kind.startswith("tls-"):
            return
        memory = self.of(stream)
        if fact.kind == "tls-server-hello":
            memory["new"] = fact.detail.get("version") == NEW
        elif fact.kind == "tls-keys":
            memory["opened"] = memory["opened"] or fact.detail["state"] == "opened"
        elif fact.kind == "tls-application-data" and lane is stream.client and not memory["finished"]:
            # The first protected record of the client is the last of the handshake, or its certificate before it.
            memory["finished"], memory["at"], memory["said"] = True, fact.time, lane.peer.seen

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory: dict[str, Any] | None = stream.memories.get(id(self))
        if not memory or not memory["new"] or memory["opened"] or not memory["finished"] or stream.cause is not None:
            return
        if stream.log or stream.joined or not closed_by_server(stream, event):
            return
        said, last = stream.server.seen - memory["said"], end_of(stream, event)
        waited = last - memory["at"] if last is not None and memory["at"] is not None else 0.0
        if said not in REFUSAL_SIZES or waited > REFUSAL_PATIENCE:
            return
        if not first_time(stream, f"BS127 {stream.opened.server}"):
            explains(stream, "BS127")
            return
        what = f"{said} bytes of TLS, as long as an alert" if said else "not one byte more"
        detail = f"{server_name(stream)} closed the connection {seconds(waited)} after the handshake, with {what}."
        self.report("BS127", stream, detail=detail, cause=True)
