"""BS207, BS208: the server sent a device to another host. Whether it went is known when the run is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.names import address_of
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules import quotes
from blynkscope.analysis.rules.words import end_of, seconds
from blynkscope.protocol import commands
from blynkscope.protocol.schema import readable
from blynkscope.wire.events import CLIENT, SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.devices import Connection, Device
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Line

REDIRECTS_MAX = 1024
"""Redirected connections that one run remembers; a device is redirected once for each start."""
REDIRECT_PATIENCE = 5.0
"""Seconds after which a device that follows a redirect has left: it hangs up at once."""
IN_FLIGHT = 1.0
"""Seconds in which a device may still say what it had in hand when the redirect came."""
HOST_MAX = 64
"""Characters of a host that are shown."""


class _Redirect:
    """One connection that was redirected."""

    __slots__ = ("device", "end", "frames", "host", "how", "line", "port", "stayed", "stream", "time", "went_on")

    def __init__(self, stream: Conversation, host: str, port: str | None, time: float | None) -> None:
        self.stream = stream.number
        self.device: Device | None = stream.device
        self.end = stream.opened.server
        self.host = host
        self.port = port
        self.time = time
        self.frames: list[int] = []
        self.line: int | None = None
        self.how = ""
        self.stayed = 0.0
        self.went_on = False

    @property
    def where(self) -> str:
        """Host and port."""
        return quotes.host(self.host) + (f":{self.port}" if self.port else "")


class Redirects(StreamRule):
    """BS207, BS208."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._all: list[_Redirect] = []
        self._mute: set[int] = set()

    def _redirected(self, stream: Conversation, host: str, port: str | None, time: float | None) -> _Redirect | None:
        memory = self.of(stream)
        known = memory.get("redirect")
        if known is not None:
            return known  # type: ignore[no-any-return]
        if len(self._all) >= REDIRECTS_MAX:
            return None
        made = memory["redirect"] = _Redirect(stream, host[:HOST_MAX], port, time)
        self._all.append(made)
        return made

    def spoke(
        self, stream: Conversation, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes,
        time: float | None,
    ) -> None:  # fmt: skip
        """See `StreamRule`."""
        if lane.direction == CLIENT:
            known = self.of(stream).get("redirect")
            if known is not None and cmd != commands.PING and _later(known.time, time):
                known.went_on = True
        elif cmd == commands.REDIRECT and lane.direction == SERVER and body:
            host, _, rest = body.partition(b"\0")
            port = readable(rest.partition(b"\0")[0])[:5] or None
            made = self._redirected(stream, readable(host), port, time)
            if made is not None and not made.frames:
                made.frames.append(n)
        elif cmd == commands.REDIRECT and lane.direction == SERVER:
            # A log that does not show the body.
            made = self._redirected(stream, "", None, time)
            if made is not None and not made.frames:
                made.frames.append(n)

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if stream is not None and self._all:
            memory = self.of(stream)
            if line.kind == "connecting":
                memory["tries"] = memory.get("tries", 0) + 1
            elif line.kind in {"ready", "login-timeout", "connected"}:
                memory["tries"] = 0
        if line.kind == "redirecting" and stream is not None:
            host, port = line.facts.get("host"), line.facts.get("port")
            made = self._redirected(stream, str(host or ""), str(port) if port else None, line.time)
            if made is not None:
                made.line = line.line
                if not made.host and host:
                    made.host, made.port = str(host)[:HOST_MAX], str(port) if port else None

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        made: _Redirect | None = self.of(stream).get("redirect")
        if made is None:
            if stream.log and self._all and self.of(stream).get("tries", 0) > 1 and len(self._mute) < REDIRECTS_MAX:
                self._mute.add(stream.number)
            return
        made.device = stream.device
        made.how = event.how
        last = end_of(stream, event)
        if last is not None and made.time is not None:
            made.stayed = last - made.time

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        told: dict[tuple[int, bool], list[_Redirect]] = {}
        for made in self._all:
            followed = self._followed(made)
            if followed is not None:
                number = made.device.number if made.device is not None else -made.stream
                told.setdefault((number, followed), []).append(made)
        for (_, followed), group in told.items():
            self._report(followed, group)

    def _followed(self, made: _Redirect) -> bool | None:
        """Did the device go there? None where the recording ends too early to tell."""
        later = [one for one in made.device.connections if one.stream > made.stream] if made.device else []
        if any(self._is_target(one, made) for one in later):
            return True
        if later:
            # To an address whose name is not known: elsewhere, so probably there.
            return any(one.end and made.end and one.end != made.end and not one.host for one in later)
        stayed = made.went_on or made.stayed >= REDIRECT_PATIENCE
        return False if stayed else None

    def _is_target(self, one: Connection, made: _Redirect) -> bool:
        if not made.host:
            return False
        host = made.host.lower().rstrip(".")
        ends = {one.host.lower().rstrip(".") if one.host else None}
        if one.end:
            ends |= {address_of(one.end).lower(), one.end.lower()}
            named = self.run.names.of(one.end)
            ends.add(named.lower() if named else None)
        return host in ends

    def _report(self, followed: bool, group: list[_Redirect]) -> None:
        first = group[0]
        frames = [n for made in group for n in made.frames]
        proof = f"frame {first.frames[0]}" if first.frames else f"line {first.line} of the log"
        to = f" to {first.where}" if first.host else ""
        count = len(group)
        if followed:
            later = [
                one for made in group if made.device for one in made.device.connections if one.stream > made.stream
            ]
            mute = bool(later) and all(one.stream in self._mute and one.login is None for one in later)
            went = "it went there, but no connection came about" if mute else "it connected there"
            self.report(
                "BS208", first.stream, frames=frames, count=count,
                detail=f"The server redirected the device{to} ({proof}), and {went}.",
            )  # fmt: skip
            return
        if first.went_on:
            then = "it went on talking on the same connection"
        elif first.stayed >= REDIRECT_PATIENCE:
            then = f"it stayed on the same connection for {seconds(first.stayed)}"
        else:
            then = "it connected to the same place again"
        fix = None
        if first.host:
            begin = f'Blynk.begin(auth, ssid, pass, "{quotes.host(first.host)}", {first.port or 80})'
            fix = f"Put the host into the sketch: {begin}, or update the library to one that follows redirects."
        self.report(
            "BS207", first.stream, frames=frames, count=count,
            detail=f"The server redirected the device{to} ({proof}), but {then}.", fix=fix,
        )  # fmt: skip


def _later(redirected: float | None, time: float | None) -> bool:
    """Was it said in the knowledge of the redirect?"""
    return redirected is None or time is None or time - redirected >= IN_FLIGHT


RULES: tuple[type[StreamRule], ...] = (Redirects,)
