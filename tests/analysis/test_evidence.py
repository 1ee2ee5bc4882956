"""What proves what where the plain course of a conversation is disturbed: malformed bodies, unknown commands, gaps, noise."""

import pytest
from talk import TOKEN, Talk, frame, ping, status, sync, write

LOGIN = frame(29, 1, TOKEN)


def logged_in(**options):
    return Talk(**options).device(LOGIN).server(status(1))


def by_id(talk, number, cmd=None):
    return next(one for one in talk.frames if one.id == number and (cmd is None or one.cmd == cmd))


@pytest.mark.parametrize("body", [(b"xx", b"1", b"2"), (), (b"vw",), (b"pm", b"1"), (b"vr", b"1"), (b"vm", b"1", b"2")])
def test_what_refuses_a_malformed_body_answers_it(body):
    talk = logged_in().device(write(2, b"1", b"7"), frame(20, 3, *body)).server(status(3, 2)).close()
    refused, answer = by_id(talk, 3, 20), by_id(talk, 3, 0)
    assert answer.answers == refused.n
    assert talk.states[by_id(talk, 2).n] == "passed"


def test_a_run_of_unknown_commands_is_shown():
    talk = logged_in().device(frame(99, 2, b"hello"), frame(130, 3, b"x"), frame(99, 4), write(5, b"1", b"1")).close()
    assert [(one.cmd, one.id, one.name) for one in talk.frames if one.sender == "device"][1:] == [
        (99, 2, "MSG_?99"),
        (130, 3, "MSG_?130"),
        (99, 4, "MSG_?99"),
        (20, 5, "MSG_HW"),
    ]


def test_a_run_of_unknown_commands_at_the_end_is_shown():
    talk = logged_in().device(frame(99, 2, b"hello"), frame(130, 3, b"x")).close()
    assert [one.id for one in talk.frames if one.cmd in {99, 130}] == [2, 3]


def test_an_unknown_command_of_the_server_is_answered():
    talk = logged_in().server(frame(99, 2, b"abc")).device(status(2, 2)).server(write(3, b"1", b"1")).close()
    assert by_id(talk, 2, 0).answers == by_id(talk, 2, 99).n


def test_an_answer_proves_that_a_held_frame_is_one():
    """Noise in front of a ping that nothing follows: its answer comes behind it all the same."""
    talk = logged_in().device(write(2, b"1", b"7"), b"OK+LOST" + ping(3)).server(status(3)).close()
    asked, answer = by_id(talk, 3, 6), by_id(talk, 3, 0)
    assert answer.answers == asked.n < answer.n
    assert talk.states[by_id(talk, 2).n] == "passed"


def test_replayed_values_answer_a_sync():
    talk = (
        logged_in()
        .device(write(2, b"1", b"a", b"b"), sync(3, b"1"))
        .server(frame(20, 3, b"vm", b"1", b"a", b"b"))
        .close()
    )
    assert by_id(talk, 3, 20).answers == by_id(talk, 3, 16).n
    assert talk.states[by_id(talk, 2).n] == "confirmed"


def test_frames_swallowed_by_a_wrong_length_are_found_in_line():
    wrong = b"\x14\x00\x02\xff\xffvw\x001\x005"
    talk = logged_in().device(wrong + ping(5) + ping(6)).close()
    assert [(one.cmd, one.id) for one in talk.frames if one.sender == "device"][1:] == [(6, 5), (6, 6)]


@pytest.mark.parametrize("swapped", [False, True])
def test_on_ports_that_tell_nothing_answers_tell_who_is_who(swapped):
    device, server = (1, 0) if swapped else (0, 1)
    talk = Talk(handshake=False, ports=(50002, 50001))
    talk.say(device, write(200, b"1", b"3"), ping(201)).say(server, status(201), write(111, b"5", b"1")).close()
    assert by_id(talk, 201, 0).answers == by_id(talk, 201, 6).n
    assert by_id(talk, 111).sender == "server"
    found = talk.findings("BS301")
    assert [one.frames for one in found] == [(by_id(talk, 200).n,)]
    assert "V1: 1 passed" in found[0].detail


@pytest.mark.parametrize("swapped", [False, True])
def test_a_sync_confirms_what_was_written_before_the_roles_were_known(swapped):
    device, server = (1, 0) if swapped else (0, 1)
    talk = Talk(handshake=False, ports=(50002, 50001))
    talk.say(device, write(199, b"1", b"3"), sync(200, b"1")).say(server, write(200, b"1", b"3")).close()
    assert talk.states[by_id(talk, 199).n] == "confirmed"


def test_bytes_that_were_missing_at_the_beginning_prove_no_delivery():
    talk = Talk().gap(0, 100).ack(0).device(LOGIN, write(2, b"1", b"7")).close(how="end")
    assert talk.states[by_id(talk, 2).n] == "sent"


def test_no_frame_is_put_together_across_a_gap():
    whole = frame(20, 7, b"1-0", b"vw", b"1", b"23.523.523.5ABCDEF", head=">BHI")
    talk = Talk(handshake=False).device(b"\xff\xfe" + whole[:20]).gap(0, 6).device(whole[20:]).close()
    assert not talk.frames


def test_a_long_value_is_compared_but_not_kept():
    value = b"x" * 5000
    talk = logged_in().device(write(2, b"1", value), sync(3, b"1")).server(write(3, b"1", value))
    pin = next(iter(talk.analyser._streams.values())).pins.pins[b"vw1"]
    assert pin.last is None
    assert talk.states[by_id(talk, 2).n] == "confirmed"
    talk.device(write(4, b"1", value), sync(5, b"1")).server(write(5, b"1", value + b"y")).close()
    assert talk.states[by_id(talk, 4).n] == "contradicted"


def test_a_notice_of_the_server_does_not_answer_what_a_device_tells_of_itself():
    talk = logged_in().device(frame(17, 2, b"ver", b"1.0")).server(frame(17, 2, b"acon"), status(2)).close()
    assert by_id(talk, 2, 0).answers == next(one.n for one in talk.frames if one.fields == {"ver": "1.0"})
    asking = logged_in().device(frame(17, 2, b"rtc", b"sync")).server(frame(17, 2, b"rtc", b"1750000000")).close()
    assert [one.answers for one in asking.frames][-1] == 3


def test_a_status_does_not_answer_a_sync():
    talk = logged_in().device(write(2, b"1", b"7"), sync(3, b"1")).server(status(3)).close(how="end")
    assert by_id(talk, 3, 0).answers is None
    assert talk.states[by_id(talk, 2).n] == "sent"
