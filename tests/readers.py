"""Feeding the readers of other protocols."""

from itertools import pairwise

from blynkscope.sources import CaptureSource
from blynkscope.wire.events import Closed, Data, Datagram


def facts_of(reader, *pieces, step=0.0, finish=True):
    """The facts of a direction. A piece is bytes, or the number of bytes that are missing there."""
    facts, time = [], 100.0
    for piece in pieces:
        time += step
        facts += reader.gap(piece, time) if isinstance(piece, int) else reader.feed(piece, time)
    return facts + (reader.finish(time) if finish else [])


def told(facts):
    """Facts without their times."""
    return [(fact.kind, fact.detail) for fact in facts]


def cut(data, places):
    """Data in pieces, cut at these places (of any size)."""
    bounds = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[low:high] for low, high in pairwise(bounds)]


def facts_of_capture(path, make, streams=None):
    """The facts of a capture by `(stream, direction)`, read by `make(client)` for each direction."""
    readers, facts = {}, {}
    with path.open("rb") as stream:
        for batch in CaptureSource(stream, path.name):
            for event in batch:
                if isinstance(event, Data) and (streams is None or event.stream in streams):
                    key = (event.stream, event.direction)
                    reader = readers.setdefault(key, make(event.direction == 0))
                    facts.setdefault(key, []).extend(reader.feed(event.data, event.time))
                elif isinstance(event, Closed):
                    for key, reader in readers.items():
                        if key[0] == event.stream:
                            facts[key] += reader.finish(event.time)
    return facts


def datagrams_of(path):
    """The DNS datagrams of a capture."""
    with path.open("rb") as stream:
        return [event for batch in CaptureSource(stream, path.name) for event in batch if isinstance(event, Datagram)]
