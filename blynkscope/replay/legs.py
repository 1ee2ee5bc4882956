"""Recordings of a relay hold each conversation twice: on the way to the relay, and on the way from it to the server."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from blynkscope.replay.model import Said

OPENED_SECONDS = 30.0
"""A relay connects at once, or within the time that it gives the server."""
SHARED = 0.5
"""Part of the frames that both have; a relay that changes frames on purpose leaves most of them."""
_TRIED_MAX = 16
"""Earlier connections with the same first frame that are compared: a device connects again and again."""


class Stream(Protocol):
    """A connection of the recording."""

    number: int
    opened: float | None
    server: str | None
    frames: list[Said]


def second_legs(streams: Iterable[Stream]) -> set[int]:
    """Numbers of the connections by which a relay passed another one on: those from it to the server.

    They begin behind the other one, with the same frame, lead to another server, and say the same.
    """
    before: dict[tuple[int, int, bytes], deque[Stream]] = {}
    found: set[int] = set()
    for stream in streams:
        first = next((said for said in stream.frames if said.client), None)
        if first is None or stream.opened is None or stream.server is None:
            continue
        others = before.setdefault((first.cmd, first.id, first.body), deque(maxlen=_TRIED_MAX))
        twin = next((other for other in others if _passed_on(other, stream)), None)
        if twin is None:
            others.append(stream)
        else:
            others.remove(twin)
            found.add(stream.number)
    return found


def _passed_on(first: Stream, second: Stream) -> bool:
    if first.server == second.server or first.opened is None or second.opened is None:
        return False
    if not 0.0 <= second.opened - first.opened <= OPENED_SECONDS:
        return False
    one, other = _spoken(first.frames), _spoken(second.frames)
    shared = (one & other).total()
    return shared >= SHARED * max(1, min(one.total(), other.total()))


def _spoken(frames: Sequence[Said]) -> Counter[tuple[bool, int, int, bytes]]:
    return Counter((said.client, said.cmd, said.word, said.body) for said in frames)
