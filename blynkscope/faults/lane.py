"""One direction of a connection: what waits to be sent on in it, in order and bounded."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from blynkscope.faults.model import Applied, Close, Merge, Pass, Reorder, Reset, Send, Stall, StallFor

if TYPE_CHECKING:
    from blynkscope.faults.engine import Injector

QUEUE_BYTES_MAX = 1024 * 1024
"""Bytes that wait in one direction: a delay of ten seconds on a busy device's or app's connection."""
QUEUE_ITEMS_MAX = 16 * 1024
"""Writes that wait in one direction: frames have some ten bytes, and single bytes are writes too."""
ASIDE_BYTES_MAX = 256 * 1024
"""Bytes of a merge that is not full yet, and as many of frames that others shall overtake."""
ASIDE_FRAMES_MAX = 64
"""Frames that wait to be overtaken."""

Payload = bytes | Close | Reset | StallFor


class _Merging:
    """Frames that become one write."""

    __slots__ = ("delay", "left", "parts", "rule", "size", "token")

    def __init__(self, rule: str, left: int, token: int) -> None:
        self.rule = rule
        self.left = left
        self.token = token
        self.parts: list[bytes] = []
        self.size = 0
        self.delay = 0.0


class _Late:
    """A frame that waits until others have overtaken it."""

    __slots__ = ("delay", "left", "pieces", "size", "token")

    def __init__(self, pieces: list[bytes], gap: float, delay: float, left: int, token: int) -> None:
        self.pieces = [(index * gap, piece) for index, piece in enumerate(pieces)]
        self.size = sum(map(len, pieces))
        self.delay = delay
        self.left = left
        self.token = token


class Lane:
    """The queue of one direction.

    Args:
        owner: The engine: its clock, its tokens and its list of commands.
        direction: 0 or 1.
    """

    __slots__ = (
        "_told",
        "direction",
        "held",
        "late",
        "merging",
        "owner",
        "queue",
        "stalled_until",
        "timer",
        "timer_at",
    )

    def __init__(self, owner: Injector, direction: int) -> None:
        self.owner = owner
        self.direction = direction
        self.queue: deque[tuple[float, Payload]] = deque()
        self.held = 0
        """Bytes in the queue."""
        self.merging: _Merging | None = None
        self.late: list[_Late] = []
        self.stalled_until = -math.inf
        self.timer: int | None = None
        self.timer_at = 0.0
        self._told = False

    # --- what is asked of it ---

    @property
    def dead(self) -> bool:
        """Is it stalled for good? What would wait there is forgotten."""
        return self.stalled_until == math.inf

    @property
    def pending(self) -> bool:
        """Does anything wait, or is it stalled?"""
        return bool(self.queue or self.merging or self.late) or self.timer is not None or self.dead

    @property
    def waiting(self) -> int:
        """Bytes that wait in all."""
        merging = self.merging.size if self.merging else 0
        return self.held + merging + sum(late.size for late in self.late)

    # --- putting ---

    def put(self, payload: Payload, delay: float = 0.0, *, own: bool = False) -> None:
        """Send something on, now or in `delay` seconds, but never before what was put earlier.

        Args:
            payload: Bytes of one write, or what shall happen to the connection.
            delay: Seconds from now.
            own: They are the very bytes of the frame in hand, so that passing it is enough.
        """
        self.flush()
        if isinstance(payload, Close | Reset):
            for late in list(self.late):
                self._join(late)
        self._put(payload, self.owner.now + delay, own=own)

    def frame(self, pieces: list[bytes], gap: float, delay: float, *, own: bool) -> None:
        """A frame in one write or several, `gap` seconds apart; frames that wait to be overtaken by it are next."""
        self.flush()
        for index, piece in enumerate(pieces):
            self._put(piece, self.owner.now + delay + index * gap, own=own and not index)

    def overtaken(self) -> None:
        """One more frame went by those that wait to be overtaken."""
        for late in list(self.late):
            late.left -= 1
            if late.left <= 0:
                self._join(late)

    def hold_back(self, pieces: list[bytes], gap: float, delay: float, reorder: Reorder) -> None:
        """A frame that the next ones shall overtake."""
        if self.dead:
            return
        size = sum(map(len, pieces))
        if size > ASIDE_BYTES_MAX:
            self._tell_limit(f"a frame of {size} bytes is too long to be reordered: it was passed on")
            self.frame(pieces, gap, delay, own=False)
            return
        while self.late and (
            len(self.late) >= ASIDE_FRAMES_MAX or sum(late.size for late in self.late) + size > ASIDE_BYTES_MAX
        ):
            self._tell_limit("too many frames wait to be overtaken: the oldest was passed on")
            self._join(self.late[0])
        late = _Late(pieces, gap, delay, reorder.frames, 0)
        late.token = self.owner.call(reorder.within, lambda: self._join(late))
        self.late.append(late)

    def merge(self, rule: str, data: bytes, delay: float, merge: Merge) -> None:
        """A frame that becomes part of one write."""
        if self.dead:
            return
        if self.merging is not None and self.merging.rule != rule:
            self.flush()
        merging = self.merging
        if merging is None:
            merging = self.merging = _Merging(rule, merge.frames, self.owner.call(merge.within, self.flush))
        merging.parts.append(data)
        merging.size += len(data)
        merging.delay = max(merging.delay, delay)
        merging.left -= 1
        if merging.left <= 0 or merging.size > ASIDE_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Send the merge that is not full yet: something must not overtake it, or its time is over."""
        merging, self.merging = self.merging, None
        if merging is not None:
            self.owner.cancel(merging.token)
            self._put(b"".join(merging.parts), self.owner.now + merging.delay)

    def stall(self, seconds: float | None) -> None:
        """From now on nothing is sent on, for `seconds` or for good."""
        until = math.inf if seconds is None else self.owner.now + seconds
        if until <= self.stalled_until:
            return
        self.stalled_until = until
        self.owner.out.append(Stall(self.direction, seconds))
        if self.dead:
            self.clear()
        else:
            self._arm()

    def clear(self) -> None:
        """Forget all that waits."""
        for token in (self.timer, self.merging.token if self.merging else None, *(late.token for late in self.late)):
            self.owner.cancel(token)
        self.queue.clear()
        self.late.clear()
        self.merging = self.timer = None
        self.held = 0

    # --- the queue ---

    def _join(self, late: _Late) -> None:
        self.late.remove(late)
        self.owner.cancel(late.token)
        self.flush()
        for since, piece in late.pieces:
            self._put(piece, self.owner.now + late.delay + since)

    def _put(self, payload: Payload, due: float, *, own: bool = False) -> None:
        if self._shut():
            return
        now = self.owner.now
        if not self.queue and due <= now and self.stalled_until <= now:
            if own:
                self.owner.out.append(Pass())
            else:
                self._do(payload)
            return
        size = len(payload) if isinstance(payload, bytes) else 0
        if self.held + size > QUEUE_BYTES_MAX or len(self.queue) >= QUEUE_ITEMS_MAX:
            self._tell_limit("more waits than may be held: the oldest was sent on early")
            while self.queue and (self.held + size > QUEUE_BYTES_MAX or len(self.queue) >= QUEUE_ITEMS_MAX):
                self._shift()
                if self._shut():
                    return
            if size > QUEUE_BYTES_MAX:
                self._do(payload)
                return
        if self.queue:
            due = max(due, self.queue[-1][0])
        self.queue.append((due, payload))
        self.held += size
        self._arm()

    def _shut(self) -> bool:
        """Is nothing sent here any more?"""
        return self.dead or self.owner.over

    def _shift(self) -> None:
        _, payload = self.queue.popleft()
        self.held -= len(payload) if isinstance(payload, bytes) else 0
        self._do(payload)

    def _do(self, payload: Payload) -> None:
        if isinstance(payload, bytes):
            if payload:
                self.owner.out.append(Send(self.direction, payload))
        elif isinstance(payload, StallFor):
            for direction in payload.directions:
                self.owner.lanes[direction].stall(payload.seconds)
        else:
            self.owner.out.append(payload)
            self.owner.over = True

    def _arm(self) -> None:
        """See that a timer comes for the first of the queue, and for the end of a stall, which others may wait for."""
        at = max(self.queue[0][0] if self.queue else -math.inf, self.stalled_until)
        if math.isinf(at):
            return
        if self.timer is not None:
            if self.timer_at == at:
                return
            self.owner.cancel(self.timer)
        self.timer_at = at
        self.timer = self.owner.call(at - self.owner.now, self._release)

    def _release(self) -> None:
        self.timer = None
        # Clocks round: what the timer was set for is due when it comes.
        now = max(self.owner.now, self.timer_at)
        if self.stalled_until <= now and not self.dead:
            self.stalled_until = -math.inf
        while self.queue and self.queue[0][0] <= now and self.stalled_until <= now and not self.owner.over:
            self._shift()
        if not self.queue:
            self._told = False
        if not self.owner.over:
            self._arm()

    def _tell_limit(self, detail: str) -> None:
        """Once for each time that the queue fills."""
        if not self._told:
            self._told = True
            self.owner.out.append(Applied("", "limit", self.direction, detail, failed=True))
