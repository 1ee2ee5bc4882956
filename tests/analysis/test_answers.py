"""Which frame answers which, and how long it took."""

import pytest
from talk import APP, TOKEN, Talk, begin, frame, ping, status, sync, write

from blynkscope.protocol import limits


def answers(talk):
    """Frame and the frame that it answers."""
    return {record.n: record.answers for record in talk.frames if record.answers is not None}


def test_an_answer_and_its_round_trip():
    talk = begin().device(ping(2)).server(status(2), after=0.0123456)
    assert answers(talk) == {2: 1, 4: 3}
    assert talk.frames[3].rtt_ms == 12.346
    assert talk.frames[1].rtt_ms == 1000.0
    assert talk.frames[2].rtt_ms is None


def test_answers_in_another_order():
    talk = begin().device(ping(2), ping(3), frame(17, 4, b"ver", b"1")).server(status(4), status(2), status(3))
    assert answers(talk) == {2: 1, 6: 5, 7: 3, 8: 4}


def test_an_answer_before_that_of_the_login():
    talk = Talk().device(frame(29, 1, TOKEN), ping(2)).server(status(2), status(1))
    assert answers(talk) == {3: 2, 4: 1}


def test_an_answer_to_nothing():
    talk = begin().server(status(77))
    assert answers(talk) == {2: 1}
    assert talk.frames[2].text == "STA_SUCCESS, answers nothing"


def test_a_second_answer_to_the_same_request_answers_nothing():
    talk = begin().device(ping(2)).server(status(2), status(2))
    assert answers(talk) == {2: 1, 4: 3}


def test_an_id_used_again_is_answered_anew():
    talk = begin().device(ping(2)).server(status(2)).device(ping(2)).server(status(2))
    assert answers(talk) == {2: 1, 4: 3, 6: 5}


def test_two_requests_of_one_id_are_answered_in_their_order():
    talk = begin().device(frame(19, 7, b"1", b"label", b"x"), frame(17, 7, b"ver", b"1")).server(status(7), status(7))
    assert answers(talk) == {2: 1, 5: 3, 6: 4}


@pytest.mark.parametrize("number", [0, 1, 65535])
def test_odd_ids(number):
    talk = begin().device(ping(number)).server(status(number))
    assert answers(talk)[4] == 3


def test_success_does_not_answer_a_write_that_has_the_id_of_a_request():
    talk = begin().device(ping(5), write(5, b"1", b"2")).server(status(5))
    assert answers(talk) == {2: 1, 5: 3}


def test_an_error_that_a_ping_cannot_get_answers_the_write_of_its_id():
    talk = begin().device(ping(5), write(5, b"1", b"2")).server(status(5, 2), status(5))
    assert answers(talk) == {2: 1, 5: 4, 6: 3}


def test_a_write_takes_one_error():
    talk = begin().device(write(5, b"1", b"2")).server(status(5, 2), status(5, 2))
    assert answers(talk) == {2: 1, 4: 3}


def test_of_two_writes_of_one_id_the_newest_is_answered():
    talk = begin().device(write(5, b"1", b"2"), write(5, b"2", b"2")).server(status(5, 2), status(5, 2))
    assert answers(talk) == {2: 1, 5: 4, 6: 3}


def test_a_device_answers_the_ping_of_the_server():
    talk = begin().server(ping(9)).device(status(9))
    assert answers(talk) == {2: 1, 4: 3}
    assert talk.frames[3].sender == "device"


def test_both_sides_number_by_themselves():
    talk = begin().device(ping(5)).server(ping(5)).device(status(5)).server(status(5))
    assert answers(talk) == {2: 1, 5: 4, 6: 3}


def test_what_the_server_writes_waits_for_nothing():
    talk = begin().server(write(5, b"1", b"2"), frame(19, 6, b"1", b"label", b"x"), frame(17, 7, b"acon"))
    talk.device(status(5), status(6), status(7))
    assert answers(talk) == {2: 1}


def test_the_time_of_day_is_answered_by_its_own_command():
    talk = begin().device(frame(17, 3, b"rtc", b"sync")).server(frame(17, 3, b"rtc", b"123"))
    assert answers(talk) == {2: 1, 4: 3}
    assert talk.frames[3].rtt_ms == 1000.0


def test_a_message_of_the_server_with_another_id_is_no_answer():
    talk = begin().device(frame(17, 3, b"rtc", b"sync")).server(frame(17, 7777, b"acon"), frame(17, 3, b"rtc", b"1"))
    assert answers(talk) == {2: 1, 5: 3}


def test_the_same_id_with_another_command_is_no_answer():
    talk = begin().device(frame(17, 3, b"rtc", b"sync")).server(frame(19, 3, b"1", b"label", b"x"))
    assert answers(talk) == {2: 1}


def test_a_sync_is_answered_by_values_and_never_by_success():
    talk = begin().device(sync(3, b"1", b"2")).server(write(3, b"2", b"x"), write(3, b"1", b"y"))
    assert answers(talk) == {2: 1, 4: 3, 5: 3}


def test_a_malformed_sync_is_refused_by_its_id():
    talk = begin().device(frame(16, 3, b"vr")).server(status(3, 2))
    assert answers(talk) == {2: 1, 4: 3}


def test_an_app_is_answered_with_data():
    talk = Talk().device(frame(2, 1, b"a@b.c", b"hash", head=APP)).server(status(1, head=APP))
    talk.device(frame(45, 2, b"1", head=APP), frame(24, 3, head=APP)).server(
        frame(24, 3, b"zz", head=APP), frame(45, 2, b"[]", head=APP)
    )
    assert answers(talk) == {2: 1, 5: 4, 6: 3}


def test_what_waits_is_bounded():
    talk = begin()
    for number in range(limits.PENDING_MAX + 10):
        talk.device(ping(1000 + number))
    first, last = 1000, 1000 + limits.PENDING_MAX + 9
    talk.server(status(first), status(last))
    assert talk.frames[-2].answers is None
    assert talk.frames[-1].answers == limits.PENDING_MAX + 12


def test_streams_do_not_answer_each_other():
    talk = Talk().device(frame(29, 1, TOKEN))
    other = Talk(talk.analyser, 2).server(status(1), ping(2))
    assert [record.answers for record in other.frames] == [None, None]
