"""The time of each line: from the board's clock where there is one, else from the outer clock."""

from __future__ import annotations

from blynkscope.wire.logs.lines import Stamp

_JITTER_MS = 25
"""Tasks that print at the same time swap lines by some milliseconds; a clock that falls by more has restarted."""

_WRAP = 1 << 32
_WRAP_NEAR = 60_000
"""`millis()` wraps at 2³² ms; a step over it within a minute is no restart."""

_LATE = 1.0
"""Seconds by which the outer clock may run ahead of the board's (a buffer in between) before it counts on its own."""

_HALF_DAY = 43_200.0
_DAY = 86_400.0


class Clock:
    """Makes one time that never goes back out of the stamps of a log.

    Times are seconds since the epoch where the first stamp has a full date, else since the first stamp.
    """

    def __init__(self) -> None:
        self.time: float | None = None
        """The time of the last line; None before the first stamp."""
        self._board: int | None = None
        self._board_time = 0.0
        self._wall: float | None = None
        self._wall_time = 0.0
        self._days = 0.0
        self._name = ""
        self._tied: tuple[float, float] | None = None
        """The last time at which both clocks were read: the log's time and the outer clock's."""

    def at(self, stamp: Stamp) -> tuple[float | None, bool]:
        """The time of a line, and whether the board's clock started again before it."""
        elapsed = self._outer(stamp)
        board = stamp.board
        if board is None or (self._name == "ms" and stamp.clock != "ms"):
            if elapsed is not None:
                self._without_board(elapsed)
            return self.time, False
        if self._name != stamp.clock:  # the first stamp, or the better clock begins
            self._name, self._board = stamp.clock, None
        restarted = False
        last = self._board
        if last is None:
            start = elapsed if elapsed is not None else (self.time or 0.0)
            self._board_time = start if self.time is None else max(start, self.time)
        elif board < last - _JITTER_MS:
            wrapped = last > _WRAP - _WRAP_NEAR and board < _WRAP_NEAR
            restarted = not wrapped
            gone = (board + _WRAP - last) / 1000 if wrapped else 0.0
            self._board_time = (self.time or 0.0) + gone
            if restarted and elapsed is not None:
                self._board_time = max(self._board_time, elapsed)
        elif board > last:
            self._board_time += (board - last) / 1000
        if last is None or board > last or board < last - _JITTER_MS:
            self._board = board
        self.time = round(max(self._board_time, self.time or 0.0), 6)
        if elapsed is not None:
            self._tied = self.time, elapsed
        return self.time, restarted

    def _without_board(self, elapsed: float) -> None:
        """A line with the outer clock alone: behind lines of the board, it counts from the last of those."""
        if not self._name:
            self.time = elapsed
        elif self._tied is not None:
            board, outer = self._tied
            moment = board + elapsed - outer
            if self.time is None or moment > self.time + _LATE:
                self.time = round(moment, 6)

    def _outer(self, stamp: Stamp) -> float | None:
        """What the outer clock says, on the scale of this log; None where the line has none."""
        wall = stamp.wall
        if wall is None:
            return None
        if self._wall is None:
            known = self.time
            self._wall_time = known if known is not None else (wall if stamp.dated else 0.0)
        else:
            step = wall - self._wall
            if step < -_HALF_DAY and wall < _DAY:
                step += _DAY  # over midnight
            self._wall_time += max(step, 0.0)
        self._wall = wall
        return round(self._wall_time, 6)
