"""What a recording leaves open: which frames answer an empty sync, and what was said in its gaps."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from blynkscope.protocol import commands
from blynkscope.protocol.model import Ack, Dialect
from blynkscope.replay.model import Gap, Said

SYNC_SECONDS = 10.0
"""A sync is answered at once; later a server's own numbers may have come to the same id."""
LATE_SECONDS = 10.0
"""Between a request and its answer, where one of both is in a gap: clients give up after 3 to 6 s."""
_ID_END = 1 << 32
"""Above every id of every dialect."""
_NEVER = frozenset({Ack.NOTHING, Ack.NEVER_ON_SUCCESS})


class Unheard(msgspec.Struct, frozen=True):
    """What gaps leave open.

    Attributes:
        answers: Numbers of frames of the server whose request may be in a gap of the client's side.
        requests: Numbers of frames of the client whose answer may be in a gap of the server's side.
        holes: Gaps of the client's side: the places of its frames before and behind each.
    """

    answers: frozenset[int] = frozenset()
    requests: frozenset[int] = frozenset()
    holes: tuple[tuple[int, int], ...] = ()


def with_sync_answers(frames: Sequence[Said]) -> tuple[Said, ...]:
    """The frames of a connection, where those that carry the id of an empty sync are its answers.

    A sync of all pins names none. A server does one thing after the other on a connection: what it answers to a sync
    comes before its answer to anything that was asked behind it.
    """
    found: list[Said] = []
    syncs: dict[int, tuple[int, Said]] = {}
    places: dict[int, int] = {}
    for place, said in enumerate(frames):
        if said.client:
            places[said.n] = place
            if said.cmd == commands.HW_SYNC and not said.body.strip(b"\0"):
                syncs[said.id] = place, said
            else:
                syncs.pop(said.id, None)
        elif said.answers is not None:
            asked = places.get(said.answers, -1)
            syncs = {number: (at, sync) for number, (at, sync) in syncs.items() if at >= asked}
        elif said.cmd == commands.HW and said.id in syncs:
            sync = syncs[said.id][1]
            took = said.time - sync.time if said.time is not None and sync.time is not None else None
            if took is None or took <= SYNC_SECONDS:
                rtt = round(took * 1000.0, 3) if took is not None else None
                said = msgspec.structs.replace(said, answers=sync.n, rtt_ms=rtt)
        found.append(said)
    return tuple(found)


def unheard(frames: Sequence[Said], gaps: Sequence[Gap], dialect: Dialect) -> Unheard:
    """What may have been said in the gaps of a connection."""
    if not gaps:
        return Unheard()
    answers: set[int] = set()
    requests: set[int] = set()
    holes: list[tuple[int, int]] = []
    answered = {said.answers for said in frames if said.answers is not None}
    asks = [place for place, said in enumerate(frames) if said.client and said.cmd != commands.RESPONSE]
    tells = [place for place, said in enumerate(frames) if not said.client]
    for gap in gaps:
        before, behind = _around(asks if gap.client else tells, gap.place, len(frames))
        if gap.client:
            holes.append((before, behind))
            answers |= _orphans(frames, before, behind)
            continue
        since = _time(frames, before)
        for said in (frames[place] for place in reversed(asks[: bisect_left(asks, behind)])):
            if since is not None and said.time is not None and said.time < since - LATE_SECONDS:
                break
            row = commands.find(said.cmd, dialect, None)
            ack = row.ack if row is not None else Ack.UNKNOWN
            if ack not in _NEVER and (said.n not in answered or ack is Ack.SYNC):
                requests.add(said.n)
    return Unheard(frozenset(answers), frozenset(requests), tuple(holes))


def _around(places: Sequence[int], at: int, end: int) -> tuple[int, int]:
    found = bisect_left(places, at)
    return places[found - 1] if found else -1, places[found] if found < len(places) else end


def _time(frames: Sequence[Said], place: int) -> float | None:
    return frames[place].time if 0 <= place < len(frames) else None


def _orphans(frames: Sequence[Said], before: int, behind: int) -> set[int]:
    """Frames that answer nothing that was recorded, and may answer what is lost between two frames of the client.

    Clients count their ids up: what is lost lies between those of its neighbours, as far as they rise.
    """
    low = frames[before].id if before >= 0 else -1
    high = frames[behind].id if behind < len(frames) else _ID_END
    until = _time(frames, behind)
    found = set()
    for said in frames[before + 1 :]:
        if said.client or said.answers is not None:
            continue
        if until is not None and said.time is not None and said.time > until + LATE_SECONDS:
            break
        between = low < said.id < high
        if between if low < high else said.cmd == commands.RESPONSE:
            found.add(said.n)
    return found
