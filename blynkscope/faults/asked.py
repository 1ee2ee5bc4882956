"""Which frame of one direction a frame of the other one answers: enough for rules, without the analysis' proofs."""

from __future__ import annotations

from typing import NamedTuple

from blynkscope.protocol import commands
from blynkscope.protocol.model import Ack, Dialect

ASKED_MAX = 1024
"""Ids of one direction that are remembered: more than any client has open."""


class Request(NamedTuple):
    """A frame that may be answered."""

    n: int
    cmd: int
    time: float


class Asked:
    """The latest frames of one direction, by id."""

    __slots__ = ("_by_id",)

    def __init__(self) -> None:
        self._by_id: dict[int, Request] = {}

    def ask(self, n: int, cmd: int, message_id: int, time: float) -> None:
        """A frame was sent; a RESPONSE asks nothing."""
        if cmd == commands.RESPONSE:
            return
        self._by_id.pop(message_id, None)
        if len(self._by_id) >= ASKED_MAX:
            del self._by_id[next(iter(self._by_id))]
        self._by_id[message_id] = Request(n, cmd, time)

    def answered(self, cmd: int, message_id: int, dialect: Dialect) -> Request | None:
        """What a frame of the other direction answers, if anything; a sync may have several answers."""
        request = self._by_id.get(message_id)
        if request is None:
            return None
        if cmd == commands.RESPONSE:
            del self._by_id[message_id]
            return request
        if cmd == commands.HW:
            return request if request.cmd == commands.HW_SYNC else None
        row = commands.find(cmd, dialect)
        by_frame = cmd == commands.INTERNAL or (row is not None and row.ack is Ack.SAME_COMMAND)
        return request if by_frame and request.cmd == cmd else None
