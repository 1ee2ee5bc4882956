"""How far a write got: each state and each way between them, and the finding that counts what is unproven."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talk import APP, TOKEN, Talk, begin, frame, ping, status, sync, write

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.pins import Pins, Write, pin_name
from blynkscope.analysis.records import FrameRecord, WriteRecord
from blynkscope.protocol import limits


def test_sent():
    talk = begin().device(write(2, b"1", b"5")).close("end")
    assert talk.said == talk.states == {3: "sent"}
    assert talk.updates == []


def test_delivered():
    talk = begin().device(write(2, b"1", b"5")).ack(0).close()
    assert talk.said == {3: "sent"}
    (update,) = talk.updates
    assert (update.frame, update.state, update.by) == (3, "delivered", None)
    assert update.time == talk.time - 1.0


def test_delivered_needs_the_last_byte():
    talk = begin().device(write(2, b"1", b"5"))
    talk.ack(0, talk.offsets[0] - 1).close("end")
    assert talk.states == {3: "sent"}


def test_delivered_before_its_line():
    talk = begin()
    wire = write(2, b"1", b"5")
    talk.ack(0, talk.offsets[0] + len(wire)).device(wire).close()
    assert talk.said == talk.states == {3: "delivered"}
    assert talk.updates == []


@pytest.mark.parametrize("acknowledged", [False, True])
def test_passed(acknowledged):
    talk = begin().device(write(2, b"1", b"5"), ping(3))
    if acknowledged:
        talk.ack(0)
    talk.server(status(3)).close()
    (update,) = talk.updates
    assert (update.frame, update.state, update.by) == (3, "passed", 5)
    assert update.time == next(record.time for record in talk.frames if record.n == 5)


def test_an_answer_to_an_earlier_request_does_not_pass_a_write():
    talk = begin().device(ping(2), write(3, b"1", b"5")).server(status(2)).close("end")
    assert talk.states == {4: "sent"}


def test_an_acknowledgement_does_not_take_back_passed():
    talk = begin().device(write(2, b"1", b"5"), ping(3)).server(status(3)).ack(0).close()
    assert talk.states == {3: "passed"}


@pytest.mark.parametrize(
    "answered", [frame(17, 4, b"ver", b"1.0"), frame(19, 4, b"1", b"color", b"#fff"), frame(14, 4, b"hello")]
)
def test_any_answered_request_passes_a_write(answered):
    assert begin().device(write(2, b"1", b"5"), answered).server(status(4)).close().states == {3: "passed"}


def test_an_error_answer_to_a_later_request_passes_a_write_too():
    talk = begin().device(write(2, b"1", b"5"), frame(19, 3, b"1", b"nonsense", b"x")).server(status(3, 11)).close()
    assert talk.states == {3: "passed"}


def test_an_answer_with_data_passes_a_write():
    talk = (
        begin().device(write(2, b"1", b"5"), frame(17, 3, b"rtc", b"sync")).server(frame(17, 3, b"rtc", b"123")).close()
    )
    assert talk.states == {3: "passed"}


def test_confirmed():
    talk = begin().device(write(2, b"1", b"5"), sync(3, b"1")).server(write(3, b"1", b"5"))
    assert [(one.frame, one.state, one.by) for one in talk.updates] == [(3, "confirmed", 5)]
    talk.close()
    assert talk.states == {3: "confirmed"}
    assert talk.findings("BS301") == []


def test_a_sync_of_all_pins_confirms():
    talk = (
        begin()
        .device(write(2, b"1", b"5"), write(3, b"2", b"6"), sync(4))
        .server(write(4, b"1", b"5"), write(4, b"2", b"6"))
    )
    assert talk.close().states == {3: "confirmed", 4: "confirmed"}


def test_contradicted():
    talk = begin().device(write(2, b"1", b"5"), sync(3, b"1")).server(write(3, b"1", b"7")).close()
    assert [(one.frame, one.state, one.by) for one in talk.updates] == [(3, "contradicted", 5)]
    (finding,) = talk.findings("BS301")
    assert "1 contradicted" in finding.detail


@pytest.mark.parametrize("values", [(b"5", b"6"), (b"5.0",), (b"",), (b"5", b""), ()])
def test_the_same_value_means_byte_for_byte(values):
    talk = begin().device(write(2, b"1", b"5"), sync(3, b"1")).server(write(3, b"1", *values)).close()
    assert talk.states == {3: "contradicted"}


def test_several_values_are_one_list():
    talk = (
        begin().device(write(2, b"1", b"5", b"6", b"7"), sync(3, b"1")).server(write(3, b"1", b"5", b"6", b"7")).close()
    )
    assert talk.states == {3: "confirmed"}
    assert [entry["values"] for entry in talk.frames[2].fields["pins"]] == [["5", "6", "7"]]


def test_only_the_last_write_is_confirmed():
    talk = (
        begin().device(write(2, b"1", b"4"), write(3, b"1", b"5"), sync(4, b"1")).server(write(4, b"1", b"5")).close()
    )
    assert talk.states == {3: "sent", 4: "confirmed"}


def test_an_earlier_value_contradicts_the_last_write_alone():
    talk = (
        begin().device(write(2, b"1", b"4"), write(3, b"1", b"5"), sync(4, b"1")).server(write(4, b"1", b"4")).close()
    )
    assert talk.states == {3: "sent", 4: "contradicted"}


@pytest.mark.parametrize("value", [b"4", b"5"])
def test_a_write_behind_the_sync_is_neither_confirmed_nor_contradicted_by_it(value):
    # The server answers the sync before it reads the write.
    talk = begin().device(sync(2, b"1"), write(3, b"1", b"5")).server(write(2, b"1", value)).close("end")
    assert talk.states == {4: "sent"}


def test_a_write_of_the_server_between_ends_the_wait():
    talk = (
        begin()
        .device(write(2, b"1", b"5"))
        .server(write(111, b"1", b"9"))
        .device(sync(3, b"1"))
        .server(write(3, b"1", b"9"))
    )
    talk.close()
    assert talk.states[3] == "sent"
    assert "contradicted" not in talk.states.values()


def test_another_pin_is_another_matter():
    talk = begin().device(write(2, b"1", b"5"), sync(3, b"2")).server(write(3, b"2", b"9")).close()
    assert talk.states == {3: "passed"}


def test_digital_and_analog_pins():
    talk = begin().device(frame(20, 2, b"dw", b"5", b"1"), frame(20, 3, b"aw", b"5", b"9"), frame(16, 4, b"dr", b"5"))
    talk.server(frame(20, 4, b"dw", b"5", b"1")).close()
    assert talk.states == {3: "confirmed", 4: "passed"}


@pytest.mark.parametrize("code", [2, 11, 1, 6])
def test_rejected(code):
    talk = begin().device(write(2, b"1", b"5")).server(status(2, code))
    assert [(one.frame, one.state, one.by) for one in talk.updates] == [(3, "rejected", 4)]
    assert talk.frames[3].answers == 3
    (finding,) = talk.close().findings("BS301")
    assert "1 rejected" in finding.detail


def test_rejected_after_it_was_overwritten():
    talk = begin().device(write(2, b"1", b"5"), write(3, b"1", b"6")).server(status(2, 2)).close("end")
    assert talk.states == {3: "rejected", 4: "sent"}
    (finding,) = talk.findings("BS301")
    assert finding.count == 2
    assert sorted(finding.frames) == [3, 4]


def test_what_is_confirmed_stays_confirmed():
    talk = begin().device(write(2, b"1", b"5"), sync(3, b"1")).server(write(3, b"1", b"5"), status(2, 2)).close()
    assert talk.states == {3: "confirmed"}


def test_a_rejected_write_passes_those_before_it():
    talk = begin().device(write(2, b"1", b"5"), write(3, b"2", b"6")).server(status(3, 2)).close()
    assert talk.states == {3: "passed", 4: "rejected"}


def test_success_is_no_rejection():
    assert begin().device(write(2, b"1", b"5")).server(status(2)).close("end").states[3] != "rejected"


@pytest.mark.parametrize("how", ["fin", "reset", "reused"])
def test_lost(how):
    talk = begin().device(write(2, b"1", b"5")).close(how)
    (update,) = talk.updates
    assert (update.frame, update.state, update.by, update.time) == (3, "lost", None, talk.time)


@pytest.mark.parametrize("how", ["end", "evicted"])
def test_where_the_connection_did_not_end_nothing_is_lost(how):
    assert begin().device(write(2, b"1", b"5")).close(how).states == {3: "sent"}


def test_where_the_peer_was_never_heard_nothing_is_lost():
    talk = Talk().device(write(2, b"1", b"5")).close("fin", heard=(True, False))
    assert set(talk.states.values()) == {"sent"}


def test_a_write_of_the_server_is_lost_where_the_device_was_heard():
    assert begin().server(write(9, b"1", b"5")).close(heard=(True, False)).states == {3: "lost"}
    assert begin().server(write(9, b"1", b"5")).close(heard=(False, True)).states == {3: "sent"}


def test_what_was_acknowledged_is_not_lost():
    talk = begin().device(write(2, b"1", b"5"), write(3, b"2", b"6"))
    talk.ack(0, talk.offsets[0] - 1).close()
    assert talk.states == {3: "delivered", 4: "lost"}


# --- writes of the server -----------------------------------------------------------------------------------------------


def test_writes_of_the_server_are_sent_delivered_or_lost_and_never_counted():
    talk = begin().server(write(111, b"1", b"5"), write(111, b"2", b"6")).ack(1).server(write(111, b"3", b"7"))
    talk.device(ping(9)).server(status(9)).close()
    assert talk.states == {3: "delivered", 4: "delivered", 5: "lost"}
    assert talk.findings("BS301") == []


def test_a_status_of_the_device_neither_passes_nor_rejects():
    talk = begin().server(write(7, b"1", b"5"), ping(8)).device(status(8), status(7, 2)).close("end")
    assert talk.states == {3: "sent"}
    assert talk.findings("BS301") == []


def test_answers_of_a_sync_are_no_writes():
    talk = begin().device(sync(2, b"1", b"2")).server(write(2, b"1", b"5"), write(2, b"2", b"6")).close()
    assert talk.said == {}
    assert [(record.answers, record.write) for record in talk.frames[3:]] == [(3, None), (3, None)]


def test_an_answer_of_a_sync_comes_once_a_pin():
    talk = begin().device(sync(2, b"1")).server(write(2, b"1", b"5"), write(2, b"1", b"6")).close("end")
    assert [record.answers for record in talk.frames[3:]] == [3, None]
    assert talk.said == {5: "sent"}


def test_a_pin_that_was_not_asked_for_is_a_write_of_the_server():
    talk = begin().device(sync(2, b"1")).server(write(2, b"9", b"5")).close("end")
    assert talk.said == {4: "sent"}
    assert talk.frames[3].answers is None


def test_long_after_a_sync_the_server_reaches_its_id_by_itself():
    talk = begin().device(write(2, b"1", b"5"), sync(3)).server(write(3, b"1", b"9"), after=60.0).close("end")
    assert talk.states == {3: "sent", 5: "sent"}


def test_the_fixed_id_of_rest_writes_is_no_answer_of_a_sync_that_has_none():
    talk = (
        begin().device(write(2, b"1", b"5"), sync(3, b"1")).server(write(111, b"1", b"9"), write(3, b"1", b"9")).close()
    )
    assert talk.said[5] == "sent"
    assert talk.states[3] == "sent"
    assert talk.frames[5].answers == 4


def test_a_sync_never_confirms_what_the_server_wrote():
    talk = begin().server(write(111, b"1", b"5")).device(sync(2, b"1")).server(write(2, b"1", b"5")).close("end")
    assert talk.states == {3: "sent"}


# --- what is no write ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        (b"vr", b"1"),
        (b"pm", b"1", b"out"),
        (b"vm", b"1", b"2"),
        (b"vw",),
        (b"",),
        (b"xx", b"1", b"2"),
        (b"VW", b"1", b"2"),
    ],
)
def test_other_operations_have_no_state(body):
    talk = begin().device(frame(20, 2, *body)).close()
    assert talk.said == {}
    assert talk.findings("BS301") == []


def test_a_write_without_a_value_can_be_rejected():
    assert begin().device(frame(20, 2, b"vw", b"1")).server(status(2, 2)).close().states == {3: "rejected"}


@pytest.mark.parametrize("pin", [b"", b"-1", b"99999", b"V1", b"\xff", b"9" * 3000, b"1 "])
def test_odd_pins(pin):
    talk = begin().device(write(2, pin, b"5"), sync(3, pin)).server(write(3, pin, b"5")).close()
    assert talk.states == {3: "confirmed"}


# --- apps ---------------------------------------------------------------------------------------------------------------


def app():
    return Talk().device(frame(2, 1, b"dev@example.com", b"hash", b"Android", head=APP)).server(status(1, head=APP))


def test_a_write_of_an_app_names_its_target():
    talk = app().device(
        write(2, b"1", b"5", head=APP, target=[b"1-0"]), write(3, b"1", b"6", head=APP, target=[b"1-1"])
    )
    talk.device(ping(4, APP)).server(status(4, head=APP)).close()
    assert [record.sender for record in talk.frames][:1] == ["app"]
    assert talk.states == {3: "passed", 4: "passed"}
    (finding,) = talk.findings("BS301")
    assert "1-0 V1: 1 passed" in finding.detail
    assert "1-1 V1: 1 passed" in finding.detail


def test_a_write_of_an_app_to_a_device_that_is_offline():
    talk = app().device(write(2, b"1", b"5", head=APP, target=[b"1-0"])).server(status(2, 7, APP)).close()
    assert talk.states == {3: "rejected"}


# --- records ------------------------------------------------------------------------------------------------------------


def test_an_update_follows_the_frame_that_proves_it():
    talk = begin().device(write(2, b"1", b"5"), sync(3, b"1")).server(write(3, b"1", b"5"))
    talk.device(write(4, b"2", b"6")).server(status(4, 2)).close()
    place = {record.n: at for at, record in enumerate(talk.records) if isinstance(record, FrameRecord)}
    updates = [(at, record) for at, record in enumerate(talk.records) if isinstance(record, WriteRecord)]
    assert [record.state for _, record in updates] == ["confirmed", "rejected"]
    for at, record in updates:
        assert at == place[record.by] + 1


def test_an_overwritten_write_is_final_behind_the_line_of_the_next():
    talk = begin().device(write(2, b"1", b"5")).ack(0).device(write(3, b"1", b"6"))
    assert isinstance(talk.records[-1], WriteRecord)
    assert (talk.records[-1].frame, talk.records[-1].state) == (3, "delivered")
    talk.close()
    assert len(talk.updates) == 2


def test_no_write_is_updated_twice_unless_it_is_rejected_later():
    talk = begin().device(write(2, b"1", b"5")).ack(0).device(write(3, b"1", b"6")).server(status(2, 2)).close()
    assert [(one.frame, one.state) for one in talk.updates] == [(3, "delivered"), (3, "rejected"), (4, "lost")]


def test_updates_at_the_end_come_in_the_order_of_their_writes():
    talk = begin().device(write(2, b"9", b"1"), write(3, b"1", b"1"), write(4, b"5", b"1")).close()
    assert [one.frame for one in talk.updates] == [3, 4, 5]


def test_the_finding_counts_each_pin():
    talk = begin()
    for number in range(5):
        talk.device(write(10 + number, b"1", b"%d" % number))
    talk.device(frame(20, 20, b"dw", b"13", b"1"), sync(21, b"1")).server(write(21, b"1", b"4")).close()
    (finding,) = talk.findings("BS301")
    assert finding.count == 5
    assert finding.frames == (3, 4, 5, 6, 8)
    assert finding.detail == "V1: 4 sent; D13: 1 passed"
    assert (finding.severity, finding.stream) == ("note", 1)


def test_the_finding_names_some_pins_and_counts_the_rest():
    talk = begin()
    for pin in range(40):
        talk.device(write(2 + pin, b"%d" % pin, b"1"))
    (finding,) = talk.close("end").findings("BS301")
    assert finding.count == 40
    assert "V11: 1 sent; and 28 more pins" in finding.detail


def test_the_finding_lists_a_bounded_number_of_frames():
    talk = begin()
    for number in range(300):
        talk.device(write(2 + number, b"%d" % (number % 3), b"1"))
    (finding,) = talk.close().findings("BS301")
    assert finding.count == 300
    assert finding.frames == tuple(range(3, 3 + limits.PROVING_FRAMES_MAX))


def test_a_stream_without_writes_has_no_finding():
    assert begin().device(ping(2)).server(status(2)).close().findings("BS301") == []


def test_two_streams_are_two_findings():
    analyser = Analyser()
    talks = [Talk(analyser, number).device(frame(29, 1, TOKEN), write(2, b"1", b"5")) for number in (1, 2)]
    for talk in talks:
        talk.close("end")
    assert [talk.findings("BS301")[0].stream for talk in talks] == [1, 2]
    assert [talk.findings("BS301")[0].frames for talk in talks] == [(2,), (4,)]


# --- bounds -------------------------------------------------------------------------------------------------------------


def test_the_oldest_pin_makes_room_and_is_still_counted(monkeypatch):
    monkeypatch.setattr(limits, "OPEN_WRITES_MAX", 8)
    talk = begin()
    for pin in range(30):
        talk.device(write(2 + pin, b"%d" % pin, b"1"))
    (finding,) = talk.close("end").findings("BS301")
    assert finding.count == 30


def test_an_error_names_a_write_whose_pin_had_to_make_room(monkeypatch):
    monkeypatch.setattr(limits, "OPEN_WRITES_MAX", 8)
    talk = begin().device(write(2, b"1", b"5"))
    for pin in range(100, 120):
        talk.device(write(3, b"%d" % pin, b"1"))
    talk.device(write(3, b"1", b"6")).server(status(2, 2)).close("end")
    (finding,) = talk.findings("BS301")
    assert finding.count == 22


# --- roles --------------------------------------------------------------------------------------------------------------


def swapped():
    """Neither SYN nor port tells who is who; the frames do, and side 1 turns out to be the device: frames 1 and 2."""
    talk = Talk(handshake=False, ports=(40000, 30000)).say(1, frame(29, 1, TOKEN), write(2, b"1", b"5"))
    assert [record.sender for record in talk.frames] == ["device", "device"]
    return talk


def test_where_the_sides_were_taken_for_each_other_the_acknowledgements_are_not():
    assert swapped().ack(0, 1000).close("end").states == {2: "sent"}
    assert swapped().ack(1).close("end").states == {2: "delivered"}
    wire = write(3, b"2", b"6")
    talk = swapped()
    assert talk.ack(1, talk.offsets[1] + len(wire)).say(1, wire).said[3] == "delivered"


def test_where_the_sides_were_taken_for_each_other_who_was_heard_is_not():
    assert swapped().close(heard=(False, True)).states == {2: "sent"}
    assert swapped().close(heard=(True, False)).states == {2: "lost"}


def test_the_first_telling_frame_decides_who_is_who_whatever_the_cuts():
    wires = [write(1, b"1", b"5"), frame(29, 1, TOKEN), frame(41, 2, b"host")]
    apart = Talk(handshake=False, ports=(40000, 30000)).say(1, *wires)
    together = Talk(handshake=False, ports=(40000, 30000)).say(1, b"".join(wires))
    assert [record.sender for record in apart.frames] == [record.sender for record in together.frames]
    assert {record.sender for record in apart.frames} <= {"unknown", "device"}


# --- model --------------------------------------------------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("server"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("sync"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("ping"), st.just(0), st.just(0)),
        st.tuples(st.just("ack"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("reject"), st.integers(0, 5), st.just(0)),
    ),
    max_size=25,
)


class Model:
    """The ladder, told as plainly as possible: a list of writes, looked through from its beginning each time."""

    def __init__(self):
        self.writes = []

    def write(self, n, side, pin, value):
        for one in self.writes:
            if one["pin"] == pin:
                one["open"] = False
        self.writes.append({"n": n, "side": side, "pin": pin, "value": value, "state": "sent", "open": True})

    def ack(self, side):
        for one in self.writes:
            if one["open"] and one["side"] == side and one["state"] == "sent":
                one["state"] = "delivered"

    def passed(self, before):
        for one in self.writes:
            if one["open"] and one["side"] == 0 and one["n"] < before and one["state"] in {"sent", "delivered"}:
                one["state"] = "passed"

    def sync(self, pin, value):
        for one in self.writes:
            if one["open"] and one["side"] == 0 and one["pin"] == pin:
                one["state"] = "confirmed" if one["value"] == value else "contradicted"
                one["open"] = False

    def reject(self, n):
        for one in self.writes:
            if one["n"] == n and one["state"] not in {"confirmed", "contradicted", "rejected", "lost"}:
                one["state"], one["open"] = "rejected", False

    def end(self):
        for one in self.writes:
            if one["open"] and one["state"] == "sent":
                one["state"] = "lost"


@settings(deadline=None, max_examples=300)
@given(steps, st.booleans())
def test_any_course_of_events_agrees_with_the_model(steps, ended):
    talk, model = begin(), Model()
    n, number = 2, 1
    mine = {}
    for kind, first, second in steps:
        number += 1
        pin, value = b"%d" % first, b"%d" % second
        if kind == "write":
            n += 1
            model.write(n, 0, first, second)
            mine[n] = number
            talk.device(write(number, pin, value))
        elif kind == "server":
            n += 1
            model.write(n, 1, first, second)
            talk.server(write(40_000 + number, pin, value))
        elif kind == "sync":
            talk.device(sync(number, pin)).server(write(number, pin, value))
            model.passed(n + 1)
            model.sync(first, second)
            n += 2
        elif kind == "ping":
            talk.device(ping(number)).server(status(number))
            model.passed(n + 1)
            n += 2
        elif kind == "ack":
            talk.ack(first)
            model.ack(first)
        elif mine:
            chosen = sorted(mine)[first % len(mine)]
            talk.server(status(mine.pop(chosen), 2))
            model.reject(chosen)
            model.passed(chosen)
            n += 1
    talk.close("fin" if ended else "end")
    if ended:
        model.end()
    assert talk.states == {one["n"]: one["state"] for one in model.writes}
    unproven = [one for one in model.writes if one["side"] == 0 and one["state"] != "confirmed"]
    found = talk.findings("BS301")
    assert [finding.count for finding in found] == ([len(unproven)] if unproven else [])
    if found:
        assert sorted(found[0].frames) == [one["n"] for one in unproven]
    for update in talk.updates:
        assert update.state != talk.said[update.frame]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (b"vw1", "V1"),
        (b"dw13", "D13"),
        (b"aw3", "A3"),
        (b"1-0\0vw1", "1-0 V1"),
        (b"", "other pins"),
        (b"vw", "V"),
        (b"vw\xff", "V\\xff"),
    ],
)
def test_pin_names(key, name):
    assert pin_name(key) == name


def test_rejecting_a_write_of_an_unknown_pin_does_nothing():
    pins = Pins([])
    gone = Write(1, 1, 10, 0.0, 0, b"vw1", b"5", "sent", "sent", None, None, True)
    pins.rejected(gone, 2, 1.0)
    assert gone.state == "sent"
