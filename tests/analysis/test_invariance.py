"""What the analysis says does not depend on how the bytes were cut into segments."""

from pathlib import Path

import msgspec
import pytest

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import spelled_out
from blynkscope.sources import CaptureSource
from blynkscope.wire.events import Closed, Data, Datagram, Secrets

CAPTURES = Path(__file__).parent.parent.parent / "captures"
FILES = sorted(path for path in CAPTURES.glob("**/*.pcap*") if path.is_file())
by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def events_of(path):
    keys = path.with_suffix(".keys")
    with path.open("rb") as stream:
        events = [event for batch in CaptureSource(stream, path.name) for event in batch]
    return [Secrets(keys.read_bytes()), *events] if keys.exists() else events


def settled(row):
    """A record without what is only known as far as it was seen when the protocol was recognised."""
    early = row["record"] == "stream" and row["kind"] in {"tls", "foreign"}
    return {key: value for key, value in row.items() if not (early and key == "bytes")}


def records(events, size=1000):
    analyser = Analyser()
    found = []
    for start in range(0, len(events), size):
        found += analyser.feed(events[start : start + size])
    return [settled(msgspec.to_builtins(record)) for record in spelled_out(found + analyser.finish())]


def single_bytes(events):
    for event in events:
        if isinstance(event, Data):
            for at in range(len(event.data)):
                yield Data(event.stream, event.direction, event.time, event.data[at : at + 1])
        else:
            yield event


def joined(events):
    """Neighbouring data of one direction in one piece, with the time of its last part."""
    merged = []
    for event in events:
        last = merged[-1] if merged else None
        if (
            isinstance(event, Data)
            and isinstance(last, Data)
            and (event.stream, event.direction) == (last.stream, last.direction)
        ):
            merged[-1] = Data(event.stream, event.direction, event.time, last.data + event.data)
        else:
            merged.append(event)
    return merged


def without_times(rows):
    for row in rows:
        if session := row.get("detail", {}).get("session") if row["record"] == "stream" else None:
            for timed in ("latency", "rate", "heartbeat"):
                del session[timed]
    return [{key: value for key, value in row.items() if key not in {"time", "rtt_ms"}} for row in rows]


@by_file
def test_byte_by_byte(path):
    events = events_of(path)
    # Bytes of one segment have one time, so even the times must agree.
    assert records(list(single_bytes(events))) == records(events)


@by_file
def test_neighbours_in_one_piece(path):
    events = events_of(path)
    assert without_times(records(joined(events))) == without_times(records(events))


@by_file
def test_event_by_event(path):
    events = events_of(path)
    assert records(events, 1) == records(events, 1_000_000)


@by_file
def test_streams_do_not_touch_each_other(path):
    """Each stream alone gives the same records as among the others, but for the numbers of frames.

    Findings tie streams together: a token on two connections, a failure that the device's last connection had too.
    """
    events = [event for event in events_of(path) if not isinstance(event, Datagram)]
    keys = [event for event in events if isinstance(event, Secrets)]
    events = events[len(keys) :]
    numbers = sorted({event.stream for event in events})
    if len(numbers) > 20:
        numbers = numbers[:20]

    def essence(rows, stream):
        mine = [row for row in rows if row.get("stream") == stream and row["record"] != "finding"]
        assert mine[-1]["kind"] == "closed"
        return [
            {key: row[key] for key in ("record", "kind", "id", "cmd", "body", "write", "time", "count") if key in row}
            for row in mine
        ]

    together = records([*keys, *events])
    for number in numbers:
        alone = [event for event in events if event.stream == number]
        assert isinstance(alone[-1], Closed)
        assert essence(records([*keys, *alone]), number) == essence(together, number)
