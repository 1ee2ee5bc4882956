"""Which records are shown, and when: filters on the states of writes wait until they are final."""

import pytest
from captures_of import CAPTURES, undamaged
from talk import begin, ping, status, sync, write

from blynkscope.analysis import selection
from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    LogRecord,
    Observed,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
    spelled_out,
)
from blynkscope.analysis.selection import Selection
from blynkscope.protocol.commands import RESPONSE
from blynkscope.sources import CaptureSource

STATES = CAPTURES / "made" / "writes_states.pcap"


def analysed(path):
    """The records of a capture, batch by batch."""
    analyser = Analyser()
    with path.open("rb") as stream:
        batches = [analyser.feed(events) for events in CaptureSource(stream, path.name)]
    return [*batches, analyser.finish()]


def through(batches, expression, streams=()):
    chosen = Selection(expression, streams)
    return [record for batch in batches for record in chosen.of(batch)]


def lines(records):
    """What is shown of frames: number and state of each line, then `+` and state for a record behind it."""
    shown = []
    for record in records:
        if isinstance(record, Observed | FrameRecord):
            shown.append((record.n, record.write))
        elif isinstance(record, WriteRecord):
            shown.append((record.frame, f"+{record.state}"))
    return shown


def of_talk(talk, expression, streams=()):
    """The summary is what ends a run whose streams are still open."""
    return lines(through([[record] for record in talk.records] + [talk.analyser.finish()], expression, streams))


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("pin == V1 and not confirmed", [(6, None), (8, None), (9, None)]),
        ("confirmed", [(5, "confirmed")]),
        ("contradicted or rejected", [(10, "contradicted"), (13, "rejected")]),
        ("write != passed", [(5, "confirmed"), (10, "contradicted"), (13, "rejected"), (18, "delivered"), (19, "lost")]),
        ("sent", []),
        ("pin == V1", [(5, "sent"), (6, None), (8, None), (9, None), (5, "+confirmed")]),
    ],
)  # fmt: skip
def test_states_of_a_capture(expression, shown):
    assert lines(through(analysed(STATES), expression)) == shown


def test_lines_with_their_final_states_in_every_capture():
    """The lines that wait are those of all writes, with the states that lines and write records tell together."""
    for path in undamaged():
        records = [record for batch in analysed(path) for record in batch]
        final = {n: state for n, state in lines(records) if state and not state.startswith("+")}
        final |= {n: state[1:] for n, state in lines(records) if state and state.startswith("+")}
        told = lines(through([records], "write"))
        assert {n: state.removeprefix("+") for n, state in told} == final
        for state in set(final.values()):
            assert {n for n, _ in lines(through([records], state))} >= {n for n, one in final.items() if one == state}


def test_it_does_not_matter_how_records_come_in_batches():
    records = [record for batch in analysed(STATES) for record in batch]
    together, apart = (spelled_out(through(batches, "not lost")) for batches in ([records], [[one] for one in records]))
    assert together == apart


def test_a_write_that_stays_sent_waits_for_the_end_of_its_stream():
    talk = begin().device(write(2, b"1", b"5"), write(3, b"1", b"6"))
    assert lines(through([talk.records], "sent")) == []
    talk.close("end")
    shown = through([talk.records], "sent")
    assert lines(shown) == [(3, "sent"), (4, "sent")]
    assert isinstance(shown[-1], StreamRecord)
    assert shown[-1].kind == "closed"


def test_released_by_the_summary_where_no_stream_was_closed():
    talk = begin().device(write(2, b"1", b"5"), write(3, b"2", b"6"))
    summary = SummaryRecord(4, 1, {}, {})
    shown = through([talk.records, [summary]], "sent or status == OK")
    assert lines(shown) == [(2, None), (3, "sent"), (4, "sent")]
    assert shown[-1] is summary


def test_frame_records_and_observed_frames_alike():
    records = [record for batch in analysed(STATES) for record in batch]
    spelled = [record.record() if isinstance(record, Observed) else record for record in records]
    shown = through([spelled], "contradicted")
    assert lines(shown) == lines(through([records], "contradicted")) == [(10, "contradicted")]


def twice_told():
    """Frame 3 is overwritten when it was delivered (its first write record), and then refused (its second)."""
    talk = begin().device(write(2, b"1", b"5")).ack(0).device(write(3, b"1", b"6"))
    talk.server(status(2, 11)).close("end")
    assert [(update.frame, update.state) for update in talk.updates][:2] == [(3, "delivered"), (3, "rejected")]
    return talk


def test_what_becomes_known_behind_the_line_follows_it():
    assert of_talk(twice_told(), "delivered") == [(3, "delivered"), (3, "+rejected")]
    assert of_talk(twice_told(), "not rejected and write")[:2] == [(3, "delivered"), (3, "+rejected")]


def test_a_line_that_did_not_match_at_first_is_shown_when_it_does():
    assert of_talk(twice_told(), "rejected") == [(3, "rejected")]
    assert of_talk(twice_told(), "confirmed") == []


def test_writes_that_come_to_nothing_are_forgotten():
    chosen = Selection("confirmed")
    chosen.of(twice_told().records)
    assert not chosen._held
    assert not chosen._passed_over
    assert not chosen._waiting


def test_the_oldest_line_is_shown_with_what_is_known_when_too_many_wait(monkeypatch):
    monkeypatch.setattr(selection, "REMEMBERED_MAX", 3)
    talk = begin().device(*(write(2 + n, b"%d" % n, b"5") for n in range(5)))
    assert lines(through([talk.records], "sent")) == [(3, "sent"), (4, "sent")]
    talk.device(sync(20, b"0")).server(write(20, b"0", b"5")).close("end")
    shown = of_talk(talk, "write")
    assert shown == [
        (3, "sent"),
        (4, "sent"),
        (3, "+confirmed"),
        (4, "+passed"),
        (5, "passed"),
        (6, "passed"),
        (7, "passed"),
    ]


def test_memory_of_writes_that_were_passed_over_is_bounded(monkeypatch):
    monkeypatch.setattr(selection, "REMEMBERED_MAX", 3)
    talk = begin()
    for n in range(10):
        talk.device(write(2 + n, b"1", b"5")).ack(0)
    chosen = Selection("rejected")
    assert lines(chosen.of(talk.records)) == []
    assert len(chosen._passed_over) <= 3
    assert sum(len(numbers) for numbers in chosen._waiting.values()) <= 6
    # The line of a shown write is remembered within the same bound.
    shown = Selection("n > 0")
    shown.of(talk.records)
    assert len(shown._shown) <= 3


def test_streams_that_were_asked_for():
    first = begin(stream=1).device(write(2, b"1", b"5"))
    second = begin(stream=2, analyser=first.analyser).device(write(2, b"1", b"6"), ping(3))
    second.close("end")
    first.close("end")
    records = [*first.records, *second.records]
    chosen = Selection("pin == V1 and not confirmed", [2, 7, 5])
    assert chosen.unseen_streams == [2, 5, 7]
    shown = chosen.of(records)
    assert {record.stream for record in shown if isinstance(record, StreamRecord)} == {2}
    assert [state for _, state in lines(shown)] == ["sent"]
    assert chosen.unseen_streams == [5, 7]
    assert Selection(None).unseen_streams == []


def test_without_filter_and_streams_everything_passes():
    records = [record for batch in analysed(STATES) for record in batch]
    assert Selection(None).of(records) is records
    answers = [record for record in through([records], "status") if isinstance(record, Observed)]
    assert {record.cmd for record in answers} == {RESPONSE}


def test_of_other_streams_nothing_is_shown():
    log = [LogRecord(stream, None, 1, "ready", "") for stream in (1, 2, None)]
    found = [FindingRecord("BS907", "x", "note", "log", stream, (), 1, "", "", "") for stream in (1, 2, None)]
    chosen = Selection(None, [9])
    assert chosen.of([*log, *found]) == [log[2], found[2]]
    assert chosen.unseen_streams == [9]
    assert Selection(None, [2]).of([*log, *found]) == [*log[1:], *found[1:]]
    assert Selection("n == 1").of([*log, *found]) == [*log, *found]
