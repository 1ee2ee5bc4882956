"""BS311 to BS313: what is wrong with a client's message ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.words import FRAMES_KEPT, failed, some, times
from blynkscope.protocol import limits
from blynkscope.protocol.model import Dialect

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.wire.events import Closed

STUCK_MIN = 3
"""Messages in a row with one id behind 65535 that show that the counter stands still."""
STUCK_UNSEEN = 8
"""The same at the end of a stream where the step from 65535 was not seen: more than a write handler sends."""
SOON = 5.0
"""Seconds behind a message with id 0 in which the end of the connection is put down to it."""
WRAP_ZONE = 1024
"""An id this near to 65535 may be followed by a small one: the counter began anew, some messages were not seen."""


class Numbering(StreamRule):
    """BS311, BS312, BS313: told of each id that does not follow the last one."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {
            "highest": 0, "full": False, "run": 0, "same": [], "id": 0, "stuck": None,
            "zero": [], "zeros": 0, "again": [], "agains": 0, "begun": False,
        }  # fmt: skip

    def numbered(self, stream: Conversation, lane: Lane, n: int, message_id: int, before: int) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        highest = max(memory["highest"], before)
        memory["full"] = memory["full"] or before == limits.MESSAGE_ID_MAX
        if message_id != before:
            memory["run"], memory["same"] = 0, []
        else:
            memory["run"] += 1
            if len(memory["same"]) < FRAMES_KEPT:
                memory["same"].append(n)
            if memory["full"] and memory["run"] >= STUCK_MIN - 1:
                memory["stuck"] = memory["same"]
        memory["id"] = message_id
        if message_id == 0:
            memory["zeros"] += 1
            if len(memory["zero"]) < FRAMES_KEPT:
                memory["zero"].append(n)
        elif message_id == before == 1 and not memory["begun"]:
            memory["begun"] = True  # the C++ library's counter begins behind the login, with the same 1
        elif message_id <= highest:
            if highest > limits.MESSAGE_ID_MAX - WRAP_ZONE and message_id < WRAP_ZONE and message_id != before:
                highest = message_id
            else:
                memory["agains"] += 1
                if len(memory["again"]) < FRAMES_KEPT:
                    memory["again"].append(n)
        memory["highest"] = highest

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if failed(stream):
            return
        stuck = memory["stuck"]
        if stuck is None and memory["id"] == 1 and memory["run"] >= STUCK_UNSEEN:
            stuck = memory["same"]
        if stuck is not None and stream.client.tempo.count > memory["run"] + 1:
            behind = f"Behind id {limits.MESSAGE_ID_MAX} the" if memory["full"] else "The"
            self.report(
                "BS313", stream, frames=stuck, count=max(memory["run"], len(stuck)),
                detail=f"{behind} id stays the same ({some(stuck)}).",
            )  # fmt: skip
            return
        if memory["zeros"]:
            self.report(
                "BS311", stream, frames=memory["zero"], count=memory["zeros"],
                detail=f"Id 0 is used {times(memory['zeros'])} ({some(memory['zero'])})"
                + (f", behind {limits.MESSAGE_ID_MAX}." if memory["full"] else ".")
                + _end_behind_zero(stream, event),
                # It is the device libraries that take it for an error.
                severity=None if stream.client.dialect is Dialect.HARDWARE else "note",
            )  # fmt: skip
        if memory["agains"]:
            self.report(
                "BS312", stream, frames=memory["again"], count=memory["agains"],
                detail=_again(memory["agains"], memory["again"]),
            )  # fmt: skip


def _again(count: int, frames: list[int]) -> str:
    """Messages whose id does not go on from the last one."""
    if count == 1:
        return f"The message of frame {frames[0]} has an id that is not above those before it."
    return f"{count} messages have an id that is not above those before them ({some(frames)})."


def _end_behind_zero(stream: Conversation, event: Closed) -> str:
    """What became of a connection whose last message had id 0."""
    tempo = stream.client.tempo
    if stream.client.next_id != 1 or event.how not in {"fin", "reset"} or event.time is None or tempo.first is None:
        return ""
    seconds = event.time - tempo.last
    if seconds > SOON:
        return ""
    return f" The connection ended {seconds:.2f} s later: client libraries close it when the answer carries id 0."


RULES: tuple[type[StreamRule], ...] = (Numbering,)
