"""BS206, BS209: what only several connections of one device show."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.words import BLOCKING, closed_by_server, first_time, is_login, middle, seconds
from blynkscope.analysis.session import State
from blynkscope.protocol.statuses import ALREADY_REGISTERED, SUCCESS

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.devices import Connection, Device
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Line

LOOP_MIN = 3
"""Connections that make a loop: two gaps are the fewest that can be compared."""
LOOP_PERIOD = 120.0
"""Seconds between two connections of a loop at most: libraries try again within seconds, modems in a minute or two."""
PERIOD_LEAST = 0.1
"""Seconds below which it is no period: several connections were opened at once."""
ONLINE_PERIOD = 30.0
"""The same where it gets in each time: a device that sleeps for longer between its reports does so on purpose."""
EVEN = 0.25
"""Share of the period by which single gaps may differ from it in an even loop."""
EVEN_LEAST = 0.5
"""Seconds that they may always differ."""
ENDINGS_MAX = 65536
"""Connections whose ends are remembered: those of a few days of a loop."""


_BROKE_FIX = (
    'Look at free memory (BLYNK_DEBUG prints "Free RAM"; an Uno needs some 700 bytes) and at what runs in '
    "BLYNK_CONNECTED and in handlers right after the login: no delay(), no flood of writes or syncs. With an AT module "
    "on SoftwareSerial use 9600 baud. Try the empty example sketch: if that stays connected, it is the sketch."
)


class TwoConnections(StreamRule):
    """BS206: a login is accepted while the same token is logged in elsewhere."""

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        device = stream.device
        if not is_login(request) or status not in {SUCCESS, ALREADY_REGISTERED} or device is None or stream.log:
            return
        others = []
        for one in device.connections:
            if one.stream == stream.number:
                one.accepted = n
            elif one.stream in device.open and one.login is not None and not _relayed(one, stream, request):
                others.append(one)
        if not others or not first_time(stream, "BS206"):
            return
        frames = [one.login for one in others if one.login is not None]
        named = ", ".join(str(one.stream) for one in others[:5])
        self.report(
            "BS206", stream, frames=(*frames, request.n), count=len(others) + 1,
            detail=f"The token of frame {request.n} is logged in on stream {named} too, and that is still open.",
        )  # fmt: skip


def _relayed(one: Connection, stream: Conversation, request: Request) -> bool:
    """Is one of two logins, elsewhere, inside the other: sent behind it, and accepted before it? A relay does so."""
    if one.login is None or one.end is None or one.end == stream.opened.server:
        return False
    return one.accepted is None if one.login < request.n else one.accepted is not None


class _Ending:
    """How a connection of a device went."""

    __slots__ = ("broke", "cause", "good", "online", "source")

    def __init__(self, cause: str | None, source: int, *, online: bool, good: bool, broke: bool) -> None:
        self.broke = broke
        self.source = source
        self.cause = cause
        self.online = online
        self.good = good


class ReconnectLoops(StreamRule):
    """BS209: when the run is over, the devices that connected again and again."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._endings: dict[int, _Ending] = {}
        self._blocked: set[int] = set()

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if stream is not None and line.kind in {"ready", "redirecting", "reset", "crash", "login-timeout"}:
            self.of(stream)[line.kind] = True

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if stream.log and stream.cause in BLOCKING:
            self._blocked.add(stream.source)
        memory = self.of(stream)
        refused = event.how in {"refused", "unanswered"}
        blynk = any(lane.facts is not None for lane in stream.lanes) and bool(stream.client.tempo.count)
        if not (blynk or refused or stream.log or stream.cause is not None):
            return  # HTTP and the like: many short connections are how it works
        if (event.how in {"end", "evicted"} or stream.joined) and not stream.log and stream.cause is None:
            return  # the recording, or the room for it, ended: the connection went on
        state = stream.session.state
        redirected = state is State.REDIRECTED or "redirecting" in memory
        online = state is State.ONLINE or "ready" in memory
        left = event.how == "fin" and not stream.log and not closed_by_server(stream, event)
        good = redirected or (online and stream.cause is None and left)
        if len(self._endings) >= ENDINGS_MAX:
            del self._endings[next(iter(self._endings))]
        self._endings[stream.number] = _Ending(
            stream.cause, stream.source, online=online, good=good, broke="ready" in memory and "login-timeout" in memory
        )  # fmt: skip

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        for device in self.run.devices.all():
            if device.count >= LOOP_MIN:
                self._judge(device)

    def _judge(self, device: Device) -> None:
        bad = [
            (one, ending) for one in device.connections
            if (ending := self._endings.get(one.stream)) is not None and not ending.good
        ]  # fmt: skip
        if len(bad) < LOOP_MIN or any(ending.source in self._blocked for _, ending in bad):
            return
        gaps = _gaps([one for one, _ in bad])
        every_failed = not any(ending.online for _, ending in bad)
        period = middle(gaps) if len(gaps) >= LOOP_MIN - 1 else None
        if period is not None and period > (LOOP_PERIOD if every_failed else ONLINE_PERIOD):
            return
        even = period is not None and _even(gaps, period)
        if not (every_failed or even):
            return
        count = max(device.count - (len(device.connections) - len(bad)), len(bad))
        detail = f"Device {device.number} connected {count} times"
        if period is not None and period >= PERIOD_LEAST:
            detail += f", every {seconds(period)} (median"
            detail += ")" if even else f"; {seconds(min(gaps))} to {seconds(max(gaps))})"
        host = next((one.host or one.end for one, _ in reversed(bad) if one.host or one.end), None)
        detail += f", last to {host}" if host else ""
        detail += "; it never got in." if every_failed else "; it got in, and the connection did not last."
        fix = None
        if not every_failed and sum(ending.broke for _, ending in bad) >= LOOP_MIN - 1:
            detail += (
                ' Behind "Ready" comes "Login timeout": the connection broke right after the login, where the library '
                "sends its first long message and the sketch its first writes, and the next login was not answered."
            )
            fix = _BROKE_FIX
        causes = Counter(ending.cause for _, ending in bad if ending.cause is not None)
        if causes:
            name, times = causes.most_common(1)[0]
            rule = CATALOGUE[name]
            each = "Each time" if times == len(bad) else f"{times} of {len(bad)} times"
            detail += f" {each}: {rule.title.lower()} ({name})."
            fix = f"Remove the cause, {name}: {rule.fix}"
        frames = [one.login for one, _ in bad if one.login is not None]
        self.report("BS209", bad[0][0].stream, frames=frames, count=count, detail=detail, fix=fix)


def _gaps(connections: list[Connection]) -> list[float]:
    """Seconds from each connection to the next; a clock that began anew (a board restarted) makes none."""
    starts = [one.opened for one in connections]
    return [
        later - earlier for earlier, later in pairwise(starts)
        if earlier is not None and later is not None and later > earlier
    ]  # fmt: skip


def _even(gaps: list[float], period: float) -> bool:
    return max(abs(gap - period) for gap in gaps) <= max(EVEN * period, EVEN_LEAST)


RULES: tuple[type[StreamRule], ...] = (TwoConnections, ReconnectLoops)
