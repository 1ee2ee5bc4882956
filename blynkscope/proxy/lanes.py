"""Frames on their way through rules and gate, in both directions of a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from blynkscope import faults
from blynkscope.protocol import limits
from blynkscope.proxy.cutting import Cut, Cutter, Piece, Speech
from blynkscope.proxy.settings import Held

if TYPE_CHECKING:
    from blynkscope.faults import Command, Injector

STALL_HELD = 64 * 1024
"""Bytes of a direction that are read during a stall that ends. Reading is how FIN and RST are noticed; devices say less
than that in minutes, and what floods is read no more until the stall is over."""


class Outlet(Protocol):
    """Who carries out what the lanes decide: the relay."""

    def forward(self, direction: int, data: bytes, *, own: bool = False) -> None:
        """Send plaintext on, as one write; `own` where it is more than what was received."""

    def tell(self, kind: str, detail: dict[str, Any], direction: int | None = None) -> None:
        """Tell a fact."""

    def schedule(self, delay: float, token: Any) -> None:
        """Call `Lanes.timer` later."""

    def hold(self, direction: int, reason: str) -> None:
        """Read no more of a direction."""

    def unhold(self, direction: int, reason: str) -> None:
        """Read on, as far as this reason goes."""

    def ask(self, direction: int, frame: Held) -> None:
        """Ask the gate."""

    def end(self, *, reset: bool) -> None:
        """End both legs, because a rule says so."""

    def settled(self) -> None:
        """Nothing waits any more."""


class _Lane:
    __slots__ = ("asked", "backlog", "cutter", "dead", "message", "partial", "pieces", "stalls")

    def __init__(self, direction: int, speech: Speech) -> None:
        self.cutter = Cutter(direction, speech)
        self.pieces: deque[Piece] = deque()
        self.asked: Held | None = None
        self.message = b""
        self.backlog = bytearray()
        self.partial: int | None = None
        self.stalls = 0
        self.dead = False
        """Is it stalled for good? Then what comes is read and forgotten."""


class Lanes:
    """Both directions.

    Args:
        outlet: The relay.
        injector: Makes the rules of this connection for the layers above TCP and TLS, once there is a frame for them;
            None where there are none.
        wants: Whether the gate wants a frame; None without a gate.
        clock: Seconds, for the rules.
        partial: How long the beginning of a frame is held.
    """

    def __init__(
        self,
        outlet: Outlet,
        injector: Callable[[tuple[str, ...]], Injector] | None,
        wants: Callable[[int, Held], bool] | None,
        clock: Callable[[], float],
        partial: float,
    ) -> None:
        self._to = outlet
        self._make = injector
        self._injector: Injector | None = None
        self._wants = wants
        self._clock = clock
        self._patience = partial
        speech = Speech()
        self._lanes = (_Lane(0, speech), _Lane(1, speech))
        self._failed = False
        self._ended = False
        self._leaving = False
        self.over = False

    def busy(self, direction: int) -> bool:
        """Does anything wait that may still be sent in this direction?"""
        lane = self._lanes[direction]
        if self.over:
            return False
        if lane.dead:
            # The end does not get through either; `ended` sees that it is not waited for for ever.
            return True
        if lane.stalls or lane.backlog:
            return True
        return lane.asked is not None or (self._injector is not None and self._injector.pending(direction))

    def feed(self, direction: int, data: bytes) -> None:
        """Plaintext that was received."""
        lane = self._lanes[direction]
        if lane.dead:
            return
        if lane.asked is not None or lane.stalls:
            # Behind a frame that is asked about reading has stopped: this is what was on its way already.
            lane.backlog += data
            if lane.stalls and len(lane.backlog) > STALL_HELD:
                self._to.hold(direction, "stall")
            return
        lane.pieces += lane.cutter.feed(data)
        self._run(direction)
        notes, lane.cutter.notes = lane.cutter.notes, []
        for kind, detail in notes:
            if not self.over:
                self._to.tell(kind, detail, direction)

    def wrap(self, direction: int, data: bytes) -> bytes:
        """Frames, ready to be sent in a direction."""
        return self._lanes[direction].cutter.wrap(data)

    def decided(self, direction: int, commands: Sequence[Command] | None) -> None:
        """The gate's answer for the frame that it was asked for; None where it failed, so that the frame passes."""
        lane = self._lanes[direction]
        frame, lane.asked = lane.asked, None
        alone = lane.message
        if frame is None or self.over:
            return
        self._to.unhold(direction, "gate")
        if commands is None:
            self._trouble("the gate")
            commands = [_PASS]
        for command in commands:
            if isinstance(command, faults.Pass):
                self._carry_out(direction, self._judged(direction, frame), frame, alone)
            else:
                self._carry_out(direction, [command], frame)
        self._run(direction)
        self._catch_up(direction)
        self._settle()

    def timer(self, token: tuple[Any, ...]) -> None:
        """Something that was scheduled is due."""
        if self.over:
            return
        kind = token[0]
        if kind == "rule" and self._injector is not None:
            self._carry_out(None, self._injector.timer(token[1], self._clock()), None)
        elif kind == "partial":
            self._release(token[1], token[2])
        elif kind == "left":
            self._leaving = False
            if not self._stalled:
                return
            self._to.tell("proxy-limit", {"limit": "stalled", "seconds": limits.PROXY_STALLED_SECONDS})
            self._to.end(reset=False)
        elif kind == "stall":
            lane = self._lanes[token[1]]
            lane.stalls -= 1
            if not lane.stalls:
                self._to.unhold(token[1], "stall")
                self._catch_up(token[1])
        self._settle()

    def ended(self) -> None:
        """FIN came from a side. Where a stall keeps it from the other one for long, the connection is ended later."""
        self._ended = True
        self._leave()

    def flush(self, direction: int) -> None:
        """The direction is over: the beginning of a frame goes on without its rest."""
        cutter = self._lanes[direction].cutter
        if cutter.held:
            self._pass_raw(direction, cutter.release())

    def close(self) -> None:
        """The connection is over."""
        if not self.over:
            self.over = True
            if self._injector is not None:
                self._injector.closed()

    # --- frames ---

    def _catch_up(self, direction: int) -> None:
        """What came while nothing was judged, if it may be judged now."""
        lane = self._lanes[direction]
        if lane.backlog and lane.asked is None and not lane.stalls and not self.over:
            data = bytes(lane.backlog)
            lane.backlog.clear()
            self.feed(direction, data)

    def _settle(self) -> None:
        if not self.over:
            self._to.settled()

    def _run(self, direction: int) -> None:
        """Judge what was cut; all that passes goes on as one write."""
        lane = self._lanes[direction]
        run: list[bytes] = []
        while lane.pieces and not self.over and not lane.dead:
            piece = lane.pieces.popleft()
            frames = [self._held(lane, cut) for cut in piece.cuts]
            if len(frames) > 1 and any(self._wanted(direction, frame) for frame in frames):
                # A message of several frames, one of which is held: from here on each is a message of its own.
                lane.pieces.extendleft(Piece(lane.cutter.wrap(cut.wire), (cut,)) for cut in reversed(piece.cuts))
                continue
            if len(frames) == 1 and self._wanted(direction, frames[0]):
                self._flush(direction, run)
                lane.asked, lane.message = frames[0], piece.wire
                self._to.hold(direction, "gate")
                self._to.ask(direction, frames[0])
                return
            verdicts = [self._judged(direction, frame) for frame in frames] or [self._raw(direction, piece.wire)]
            if all(len(verdict) == 1 and isinstance(verdict[0], faults.Pass) for verdict in verdicts):
                run.append(piece.wire)
                continue
            self._flush(direction, run)
            # The very bytes of a message pass only where all of it does.
            alone = piece.wire if len(frames) < 2 else None
            for at, verdict in enumerate(verdicts):
                self._carry_out(direction, verdict, frames[at] if frames else None, alone)
        self._flush(direction, run)
        if lane.cutter.held and not self.over:
            if lane.partial != lane.cutter.serial:
                lane.partial = lane.cutter.serial
                self._to.schedule(self._patience, ("partial", direction, lane.cutter.serial))
        else:
            lane.partial = None

    def _flush(self, direction: int, run: list[bytes]) -> None:
        if run:
            self._to.forward(direction, run[0] if len(run) == 1 else b"".join(run))
            run.clear()

    def _release(self, direction: int, serial: int) -> None:
        """The rest of a frame did not come in time."""
        lane = self._lanes[direction]
        if lane.partial != serial or lane.cutter.serial != serial or lane.dead:
            return
        if lane.cutter.wraps and self.busy(direction):
            # Whole messages wait that may not be sent inside of this one: they go first.
            self._to.schedule(self._patience, ("partial", direction, serial))
            return
        lane.partial = None
        if lane.cutter.held:
            size = lane.cutter.held
            self._pass_raw(direction, lane.cutter.release())
            self._to.tell("proxy-partial", {"size": size, "seconds": self._patience}, direction)

    def _held(self, lane: _Lane, cut: Cut) -> Held:
        return Held(lane.cutter.dialect, cut.cmd, cut.id, cut.word, cut.body, cut.wire, self._clock())

    def _wanted(self, direction: int, frame: Held) -> bool:
        if self._wants is None:
            return False
        try:
            return self._wants(direction, frame)
        except Exception:
            self._trouble("the gate")
            return False

    def _judged(self, direction: int, frame: Held) -> Sequence[Command]:
        if self._injector is None:
            if self._make is None:
                return (_PASS,)
            self._injector = self._make(("websocket",) if self._lanes[direction].cutter.wraps else ())
        return self._injector.frame(
            direction, frame.dialect, frame.cmd, frame.id, frame.word, frame.body, frame.wire, frame.time
        )

    def _raw(self, direction: int, data: bytes) -> Sequence[Command]:
        """Bytes that are no frame stay behind the frames that wait; what is outside of WebSocket messages need not.

        Before the first frame there are no rules at work, and nothing waits.
        """
        if self._injector is None or self._lanes[direction].cutter.wraps:
            return (_PASS,)
        return self._injector.raw(direction, data, self._clock())

    def _pass_raw(self, direction: int, data: bytes) -> None:
        self._carry_out(direction, self._raw(direction, data), None, data)

    def _carry_out(
        self, direction: int | None, commands: Sequence[Command], frame: Held | None, alone: bytes | None = None
    ) -> None:
        """Do what was decided. `alone` is the frame in its own message, as it came."""
        to = self._to
        for command in commands:
            if self.over:
                return
            if isinstance(command, faults.Pass):
                if direction is not None and alone is not None:
                    to.forward(direction, alone)
                elif direction is not None and frame is not None:
                    to.forward(direction, self.wrap(direction, frame.wire))
            elif isinstance(command, faults.Send):
                if command.data:
                    to.forward(command.direction, self.wrap(command.direction, command.data), own=True)
            elif isinstance(command, faults.Later):
                to.schedule(max(command.delay, 0.0), ("rule", command.token))
            elif isinstance(command, faults.Applied):
                detail: dict[str, Any] = {"rule": command.rule, "action": command.action, "detail": command.detail}
                if command.failed:
                    detail["failed"] = True
                if frame is not None:
                    detail |= {"command": frame.cmd, "id": frame.id}
                to.tell("proxy-rule", detail, command.direction)
            elif isinstance(command, faults.Stall):
                self._stall(command.direction, command.seconds)
            else:
                to.end(reset=isinstance(command, faults.Reset))

    def _stall(self, direction: int, seconds: float | None) -> None:
        lane = self._lanes[direction]
        # Reading goes on: who does not read learns of no FIN and no RST, and would keep both sockets for ever.
        if seconds is not None:
            lane.stalls += 1
            self._to.schedule(seconds, ("stall", direction))
        else:
            lane.dead = True
            lane.pieces.clear()
            lane.backlog.clear()
        self._leave()

    @property
    def _stalled(self) -> bool:
        return any(lane.dead or lane.stalls for lane in self._lanes)

    def _leave(self) -> None:
        """Once a side is gone, a stall has nobody left to show itself to."""
        if self._ended and not self._leaving and self._stalled:
            self._leaving = True
            self._to.schedule(limits.PROXY_STALLED_SECONDS, ("left",))

    def _trouble(self, who: str) -> None:
        """A mistake of the gate must not end the connection: the frame passes, and it is told once."""
        if not self._failed:
            self._failed = True
            self._to.tell("proxy-rule-failed", {"who": who})


_PASS = faults.Pass()
