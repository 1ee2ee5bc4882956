"""What several rules share: is a conversation lost already, was this told before, and the words for it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from blynkscope.analysis.session import State
from blynkscope.protocol import commands
from blynkscope.protocol.commands import LOGINS, SESSION_LOGINS
from blynkscope.protocol.model import Era
from blynkscope.protocol.statuses import status_name

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.wire.events import Closed

LOGIN_CAUSES = frozenset({"BS201", "BS203", "BS204", "BS210"})
"""Failures that a later login on the same connection can make good."""
BLOCKING = frozenset({"BS113", "BS114", "BS115"})
"""What keeps a device from the server: then its other logins in the log got no answer for the same reason."""
TOLD_MAX = 64
"""Different failures of one device that are kept apart; there are fewer kinds than that."""
GROUPS_MAX = 32
"""Kinds of the same trouble that one rule tells apart in one stream."""
ISOLATED_MAX = 1
"""Refusals of one kind that a working session may hold: the same one twice is a habit."""
FRAMES_KEPT = 100
"""Frames that a rule remembers as proof of one finding; a finding lists no more."""


def failed(stream: Conversation) -> bool:
    """Did the whole conversation fail for a reason that is told already? Then its consequences are no news."""
    if stream.cause is None:
        return False
    return not (stream.cause in LOGIN_CAUSES and stream.session.state is State.ONLINE)


def first_time(stream: Conversation, name: str, most: int = 1) -> bool:
    """Is this failure new for the device? The same one on its next connections is not.

    Args:
        stream: Where it happened.
        name: Id of the finding.
        most: How often it is told.
    """
    device = stream.device
    if device is None:
        return True
    told = device.told
    if name not in told and len(told) >= TOLD_MAX:
        return False
    told[name] = told.get(name, 0) + 1
    return told[name] <= most


def explains(stream: Conversation, name: str) -> None:
    """The failure of this conversation is explained by a finding that was reported for an earlier one."""
    if stream.cause is None:
        stream.cause = name


def refusals(stream: Conversation, count: int) -> str | None:
    """The severity of a refusal that came `count` times: a single one in a session that works otherwise is a note."""
    return "note" if count <= ISOLATED_MAX and stream.session.state is State.ONLINE else None


def end_of(stream: Conversation, event: Closed) -> float | None:
    """When the last thing happened on a stream that is over; None where no time is known."""
    times = [lane.tempo.last for lane in stream.lanes if lane.tempo.first is not None]
    if event.time is not None:
        times.append(event.time)
    return max(times, default=None)


def closed_by_server(stream: Conversation, event: Closed) -> bool:
    """Did the server begin to close it?"""
    return event.how in {"fin", "reset"} and event.by is not None and stream.lanes[event.by] is stream.server


def unheard(stream: Conversation, lane: Lane, event: Closed) -> bool:
    """Is a whole direction missing from the input, so that its silence means nothing?"""
    return not event.heard[0 if lane is stream.lanes[0] else 1]


def server_era(stream: Conversation) -> Era | None:
    """The server's era, as the user gave it or as the evidence shows it."""
    return stream.run.era or stream.evidence.of_server


def command(stream: Conversation, cmd: int) -> str:
    """A command by the name that it has for this client."""
    return commands.command_name(cmd, stream.client.dialect, stream.run.era)


def status(code: int) -> str:
    """A status with its number."""
    return f"{status_name(code)} ({code})"


def is_login(request: Request) -> bool:
    """Does it log in?"""
    return request.cmd in LOGINS


def opens_session(request: Request) -> bool:
    """Does it log in, be it as the guest of a shared project?"""
    return request.cmd in SESSION_LOGINS


def seconds(value: float) -> str:
    """Seconds as people say them."""
    return f"{value:.2f} s" if value < 1.0 else f"{value:.1f} s" if value < 100.0 else f"{value:.0f} s"


def some(frames: Sequence[int], most: int = 5) -> str:
    """The numbers of some frames: `frames 3, 5 and 9 more`."""
    shown = ", ".join(str(number) for number in frames[:most])
    more = f" and {len(frames) - most} more" if len(frames) > most else ""
    return f"frame{'s' if len(frames) > 1 else ''} {shown}{more}"


def times(count: int) -> str:
    """How often."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def middle(values: Iterable[float]) -> float:
    """Median."""
    return statistics.median(values)
