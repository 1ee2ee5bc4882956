"""Every action alone and together: the frames of a session in, the exact writes out."""

import pytest
from fault_play import LOGIN, Play, frame, one_rule, parts_of, ping, status, write

from blynkscope.faults import Injector, Later, Pass, RuleSet, Send, Stall, load
from blynkscope.protocol.model import Dialect

W = [write(number, b"1", b"%d" % number) for number in range(1, 12)]


def test_without_rules_every_frame_passes_as_it_is():
    play = Play(RuleSet("none"))
    play.login().device(*W).server(ping(9))
    assert play.to_server == [LOGIN, *W]
    assert play.to_device == [status(1), ping(9)]
    assert {type(one) for _, one in play.log} == {Pass}


def test_pass_keeps_later_rules_away():
    rules = load("[[rule]]\nmatch = 'pin == V2'\npass = true\n[[rule]]\nmatch = 'cmd == HW'\ndrop = true\n")
    play = Play(rules).device(W[0], write(2, b"2", b"x"), ping(3))
    assert play.to_server == [write(2, b"2", b"x"), ping(3)]
    assert play.actions == ["drop", "pass"]


def test_drop():
    play = Play("match = 'cmd == PING'\ndrop = true").device(ping(1), W[1]).server(ping(1))
    assert (play.to_server, play.to_device) == ([W[1]], [])


def test_delay_keeps_the_order_of_what_comes_behind():
    play = Play("match = 'pin == V1'\ncount = 1\ndelay = 2.5").device(*W[:4]).server(ping(1)).wait(9)
    assert play.to_server == W[:4]
    assert play.times == [3.5, 3.5, 3.5, 4.0]
    assert play.sent[1] == [(105.0, ping(1))]


def test_delays_of_several_rules_add_up():
    play = Play(load("[[rule]]\ndelay = 1\n[[rule]]\ndelay = 0.5\n")).device(W[0]).wait(5)
    assert play.times == [2.5]


def test_jitter_is_within_its_bounds_and_repeats_with_the_seed():
    def times(seed, connection=1):
        play = Play("delay = { seconds = 1, jitter = 2 }", seed=seed, connection=connection)
        for one in W:
            play.device(one).wait(5)
        return play.times

    first = times(5)
    assert all(1.0 <= time - 1 - 6 * index <= 3.0 for index, time in enumerate(first))
    assert len(set(first)) > 5
    assert first == times(5)
    assert first != times(6)
    assert first != times(5, connection=2)


def test_chance_hangs_on_no_other_rule():
    text = "[[rule]]\nname = 'half'\nmatch = 'cmd == HW'\nprobability = 0.5\ndrop = true\n"
    alone = Play(load(text), seed=3).device(*W * 9)
    among = Play(load("[[rule]]\nname = 'jitter'\ndelay = { jitter = 0.1 }\n" + text), seed=3).device(*W * 9).wait(1)
    assert alone.to_server == among.to_server
    assert 20 < len(alone.to_server) < 80


def test_the_seed_of_the_file_holds_unless_another_is_given():
    text = "seed = {}\n[[rule]]\nprobability = 0.5\ndrop = true\n"
    seven, eight = load(text.format(7)), load(text.format(8))
    assert Play(seven).device(*W).to_server == Play(eight, seed=7).device(*W).to_server
    assert Play(seven).device(*W * 5).to_server != Play(eight).device(*W * 5).to_server


def test_duplicate():
    play = Play("match = 'pin == V1'\nduplicate = 2").device(W[0])
    assert [type(one) for _, one in play.log][1:] == [Pass, Send, Send]
    assert play.to_server == [W[0]] * 3
    assert Play("duplicate = true").device(W[0]).to_server == [W[0]] * 2


def test_split_into_single_bytes():
    play = Play("split = true").device(ping(1))
    assert play.to_server == [bytes([byte]) for byte in ping(1)]
    assert play.times == [1.0] * 5


def test_split_with_a_gap_and_later_frames_behind_it():
    play = (
        Play("match = 'cmd == PING'\nsplit = { size = 2, gap = 0.5 }").device(ping(1)).device(W[0], after=0.25).wait(9)
    )
    assert play.to_server == [ping(1)[:2], ping(1)[2:4], ping(1)[4:], W[0]]
    assert play.times == [1.0, 1.5, 2.0, 2.0]


def test_split_of_a_long_frame_is_bounded():
    long = frame(20, 1, b"vw", b"1", b"x" * 9000)
    play = Play("split = 1").device(long)
    assert len(play.to_server) == 4097
    assert b"".join(play.to_server) == long


def test_merge_by_number():
    play = Play("direction = 'to-server'\nmerge = { frames = 3, within = 5 }").device(*W[:7]).wait(9)
    assert play.to_server == [b"".join(W[:3]), b"".join(W[3:6]), W[6]]
    assert play.times == [3.0, 6.0, 12.0]


def test_merge_by_time():
    play = Play("merge = { frames = 100, within = 2.5 }").device(*W[:4]).wait(9)
    assert play.to_server == [b"".join(W[:3]), W[3]]
    assert play.times == [3.5, 6.5]


def test_what_is_not_merged_does_not_overtake():
    play = Play("match = 'cmd == HW'\nmerge = { frames = 9, within = 100 }").device(W[0], W[1], ping(3), W[2]).wait(200)
    assert play.to_server == [W[0] + W[1], ping(3), W[2]]


def test_two_merges_do_not_mix():
    text = "[[rule]]\nmatch = 'pin == V1'\nmerge = 5\n[[rule]]\nmatch = 'pin == V2'\nmerge = 5\n"
    other = write(1, b"2", b"x")
    assert Play(load(text)).device(W[0], W[1], other, W[2], after=0.1).wait(9).to_server == [W[0] + W[1], other, W[2]]


def test_reorder():
    play = Play("match = 'cmd == PING'\nreorder = 2").device(W[0], ping(2), W[1], W[2], W[3]).wait(9)
    assert play.to_server == [W[0], W[1], W[2], ping(2), W[3]]


def test_reorder_gives_up_in_time():
    play = Play("match = 'cmd == PING'\nreorder = { frames = 9, within = 2 }").device(ping(2), W[1]).wait(9)
    assert play.to_server == [W[1], ping(2)]
    assert play.times == [2.0, 3.0]


def test_status_of_an_answer():
    play = Play("match = 'cmd == RSP'\nstatus = 'INVALID_TOKEN'").device(LOGIN).server(status(1), status(2, 9))
    assert play.to_device == [status(1, 9), status(2, 9)]
    assert play.told[0].detail == "status 200 became 9"


def test_status_of_what_has_none_is_told_and_passed():
    play = Play("status = 9").device(W[0])
    assert [type(one) for _, one in play.log][1:] == [Pass]
    assert (play.told[0].action, play.told[0].failed) == ("status", True)


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        ("replace = { value = '99' }", (b"vw", b"1", b"5"), (b"vw", b"1", b"99")),
        ("replace = { pin = 'V5', value = 7 }", (b"vw", b"1", b"5"), (b"vw", b"5", b"7")),
        ("replace = { values = ['1', '2'] }", (b"vw", b"1", b"5"), (b"vw", b"1", b"1", b"2")),
        ("replace = { pin = 12 }", (b"dw", b"1", b"1"), (b"dw", b"12", b"1")),
        ("replace = { op = 'dw' }", (b"vw", b"1", b"1"), (b"dw", b"1", b"1")),
        ("replace = { pin = ['V3', 'V4'] }", (b"vr", b"1"), (b"vr", b"3", b"4")),
        ("replace = { mode = 'pu' }", (b"pm", b"1", b"in", b"2", b"out"), (b"pm", b"1", b"pu", b"2", b"pu")),
    ],
)
def test_replace_in_pin_operations(rule, before, after):
    play = Play(rule).device(frame(20, 7, *before))
    assert play.to_server == [frame(20, 7, *after)]


@pytest.mark.parametrize(
    ("cmd", "rule", "before", "after"),
    [
        (41, "replace = { host = 'b.example', port = 81 }", (b"a.example", b"80"), (b"b.example", b"81")),
        (19, "replace = { pin = 'V2', property = 'color' }", (b"1", b"label", b"x"), (b"2", b"color", b"x")),
        (17, "replace = { h-beat = '1' }", (b"ver", b"1", b"h-beat", b"10", b""), (b"ver", b"1", b"h-beat", b"1", b"")),
        (17, "replace = { ota = 'http://x/' }", (b"ota", b"http://y/"), (b"ota", b"http://x/")),
        (17, "replace.fields.odd = 'z'", (b"odd", b"1"), (b"odd", b"z")),
        (13, "replace = { subject = 's' }", (b"a@b.example", b"S", b"T"), (b"a@b.example", b"s", b"T")),
        (13, "replace = { text = 't' }", (b"S", b"T"), (b"S", b"t")),
        (14, "replace = { text = 't' }", (b"hello",), (b"t",)),
        (29, "replace = { token = 'other' }", (b"secret",), (b"other",)),
        (15, "replace = { value = '2' }", (b"9", b"vw", b"1", b"1"), (b"9", b"vw", b"1", b"2")),
        (15, "replace = { bridge = 'V8' }", (b"9", b"vw", b"1", b"1"), (b"8", b"vw", b"1", b"1")),
        (200, "body = 'text'", (b"x",), (b"text",)),
    ],
)
def test_replace_in_other_bodies(cmd, rule, before, after):
    assert Play(rule).server(frame(cmd, 7, *before)).to_device == [frame(cmd, 7, *after)]


@pytest.mark.parametrize(
    ("rule", "wire", "reason"),
    [
        ("replace = { host = 'x' }", W[0], "its body has no host"),
        ("replace = { pin = 'D1' }", W[0], "its pins are V pins"),
        ("replace = { value = 'x' }", ping(1), "its body has no value"),
        ("replace = { value = 'x' }", status(1), "a RESPONSE has no body"),
        ("replace = { text = 'x' }", frame(13, 1, b"only a subject"), "its body has no text"),
        ("replace = { fields.odd = 'x' }", frame(17, 1, b"ver", b"1"), "its body has no odd"),
        ("replace = { to = 'x' }", frame(13, 1, b"a", b"b"), "its body has no to"),
        ("replace = { port = 1 }", frame(41, 1), "cannot be put together"),
        ("replace = { value = 'x' }", frame(200, 1, b"y"), "is not known"),
        ("replace = { op = 'pm' }", W[0], "cannot be put together"),
        ("replace = { token = ['a', 'b'] }", LOGIN, "has one token, not 2"),
        ("corrupt = { offset = 90 }", ping(1), "none at 90"),
        ("truncate = 5", ping(1), "5 bytes only"),
    ],
)
def test_an_edit_that_does_not_suit_leaves_the_frame_alone(rule, wire, reason):
    play = Play(rule).device(wire)
    assert [type(one) for _, one in play.log][1:] == [Pass]
    assert reason in play.told[0].detail
    assert play.told[0].failed
    assert "6f1c" not in play.told[0].detail


def test_body():
    play = Play("match = 'cmd == HW'\nbody = ['vw', 5, 'a']").device(W[0])
    assert play.to_server == [write(1, b"5", b"a")]
    assert Play("body = { hex = '76 77 00' }").device(W[0]).to_server == [frame(20, 1, b"vw", b"")]


def test_truncate_and_close():
    play = Play("truncate = 3\nclose = true").device(W[0], W[1])
    assert play.to_server == [W[0][:3]]
    assert play.ended == "fin"


def test_corrupt_a_named_byte():
    play = Play("corrupt = { offset = -1, xor = 1 }").device(ping(1))
    assert play.to_server == [ping(1)[:-1] + b"\x01"]


def test_corrupt_by_the_seed():
    def made(seed):
        return Play("corrupt = true", seed=seed).device(W[0]).to_server[0]

    first = made(1)
    assert sum(a != b for a, b in zip(first, W[0], strict=True)) == 1
    assert first == made(1)
    assert len({made(seed) for seed in range(20)}) > 5


def test_edits_in_the_order_in_which_they_are_written():
    assert Play("corrupt = { offset = 0, xor = 1 }\ntruncate = 2").device(ping(1)).to_server == [b"\x07\x00"]
    assert Play("body = ['vw', 1, 2]\nreplace = { value = 3 }").device(W[0]).to_server == [write(1, b"1", b"3")]


def test_an_edit_behind_damage_by_an_earlier_rule():
    play = Play(load("[[rule]]\ntruncate = 2\n[[rule]]\nbody = 'x'\n")).device(W[0])
    assert play.to_server == [W[0][:2]]
    assert "damaged" in play.told[1].detail


def test_answer_in_the_servers_stead():
    play = Play("match = 'cmd == HW_LOGIN'\nanswer = { status = 9 }").device(LOGIN, W[1])
    assert play.to_device == [status(1, 9)]
    assert play.to_server == [W[1]]


def test_answer_with_a_redirect_and_others():
    play = Play(
        "answer = [{ redirect = 'b.example:81' }, { cmd = 'INTERNAL', id = 7777, body = ['ota', 'u'], delay = 3 }]"
    )
    play.device(LOGIN).wait(9)
    assert play.to_device == [frame(41, 1, b"b.example", b"81"), frame(17, 7777, b"ota", b"u")]
    assert [time for time, _ in play.sent[1]] == [101.0, 104.0]


def test_answer_and_forward():
    play = Play("match = 'cmd == PING'\ndirection = 'to-server'\nanswer = { status = 200 }\nforward = true").device(
        ping(4)
    )
    assert (play.to_device, play.to_server) == ([status(4)], [ping(4)])


def test_a_delayed_answer_keeps_its_place():
    play = (
        Play("match = 'cmd == PING'\ndelay = 2\nanswer = { status = 200 }")
        .device(ping(4))
        .server(W[0], W[1], W[2])
        .wait(9)
    )
    assert play.to_device == [W[0], status(4), W[1], W[2]] or play.to_device == [status(4), *W[:3]]
    assert play.sent[1][0][0] == 103.0


def test_answer_then_close():
    play = Play("match = 'cmd == HW_LOGIN'\nanswer = { status = 9 }\nclose = true").device(LOGIN, ping(2))
    assert (play.to_device, play.to_server, play.ended) == ([status(1, 9)], [], "fin")


def test_close_and_reset():
    play = Play("match = 'cmd == PING'\nclose = true").device(W[0], ping(1), W[1])
    assert (play.to_server, play.ended) == ([W[0], ping(1)], "fin")
    play = Play("match = 'cmd == PING'\ndrop = true\nreset = true").device(W[0], ping(1), W[1])
    assert (play.to_server, play.ended) == ([W[0]], "reset")
    assert play.injector.raw(0, b"x", 300.0) == []


def test_close_comes_behind_what_waits():
    rules = load("[[rule]]\nmatch = 'cmd == HW'\ndelay = 3\n[[rule]]\nmatch = 'cmd == PING'\nclose = true\n")
    play = Play(rules).device(W[0], ping(1)).wait(9)
    assert (play.to_server, play.times, play.ended) == ([W[0], ping(1)], [4.0, 4.0], "fin")
    play = Play(
        load("[[rule]]\nmatch = 'cmd == HW'\nreorder = 9\n[[rule]]\nmatch = 'cmd == PING'\nclose = true\n")
    ).device(W[0], ping(1))
    assert play.to_server == [ping(1), W[0]]


def test_stall_for_a_while():
    play = Play("match = 'cmd == PING'\ncount = 1\nstall = 5").device(W[0], ping(1), W[1]).server(ping(7)).wait(20)
    assert play.stalled == [Stall(0, 5.0)]
    assert play.to_server == [W[0], ping(1), W[1]]
    assert play.times == [1.0, 7.0, 7.0]
    assert play.to_device == [ping(7)]
    assert play.device(W[2]).times[-1] == 25.0


def test_stall_for_good_both_ways_is_a_half_open_link():
    play = Play("from = 3\ncount = 1\nstall = { direction = 'both' }").device(*W[:6]).server(*W[:3]).wait(99)
    assert play.to_server == W[:2]
    assert play.to_device == []
    assert set(play.stalled) == {Stall(0, None), Stall(1, None)}
    assert play.ended is None
    assert play.injector.held == 0
    assert play.injector.pending(0)
    assert play.injector.pending(1)


def test_when_a_rule_holds():
    def numbers(conditions, count=11):
        sent = Play(conditions + "\nmatch = 'cmd == HW'\ndrop = true").device(*W[:count]).to_server
        return [number for number in range(1, count + 1) if W[number - 1] not in sent]

    assert numbers("after = 9") == [10, 11]
    assert numbers("count = 2") == [1, 2]
    assert numbers("every = 4") == [1, 5, 9]
    assert numbers("after = 2\nevery = 3\ncount = 2") == [3, 6]
    assert numbers("from = 3\nuntil = 6") == [3, 4, 5]
    assert numbers("connection = 1") == list(range(1, 12))
    assert numbers("connection = [2, 3]") == []
    assert numbers("direction = 'to-device'") == []


def test_answers_by_the_command_that_they_answer():
    play = Play("answers = ['PING', 'HW_SYNC']\ndirection = 'to-device'\ndrop = true")
    play.login().device(ping(2), frame(16, 3, b"vr", b"1"), W[3], frame(17, 5, b"rtc"))
    play.server(
        status(2), write(3, b"1", b"a"), write(3, b"1", b"b"), status(4, 2), frame(17, 5, b"rtc", b"1"), ping(2)
    )
    assert play.to_device == [status(1), status(4, 2), frame(17, 5, b"rtc", b"1"), ping(2)]


def test_filters_know_what_is_answered_and_how_long_it_took():
    play = Play("match = 'answers == 1 and rtt_ms >= 1000 and sender == server'\ndrop = true").login().device(ping(2))
    assert play.server(status(2)).to_device == [status(2)]


def test_a_timer_that_is_not_awaited_any_more():
    injector = Injector(load("[[rule]]\nmatch = 'cmd == PING'\nmerge = 9\n"), 1)
    (told, later) = injector.frame(0, Dialect.HARDWARE, *parts_of(ping(1)), ping(1), 5.0)
    assert (told.action, later) == ("merge", Later(1.0, 1))
    assert injector.frame(0, Dialect.HARDWARE, *parts_of(W[0]), W[0], 5.5) == [Send(0, ping(1)), Pass()]
    assert injector.timer(1, 6.0) == []
    assert injector.timer(77, 6.0) == []
    injector.closed()
    assert injector.frame(0, Dialect.HARDWARE, *parts_of(W[0]), W[0], 7.0) == []


def test_bytes_that_are_no_frame_wait_for_their_turn():
    injector = Injector(load("[[rule]]\ndelay = 2\n"), 1)
    assert injector.raw(1, b"HTTP", 1.0) == [Pass()]
    _, later = injector.frame(0, Dialect.HARDWARE, *parts_of(W[0]), W[0], 1.0)
    assert injector.pending(0)
    assert not injector.pending(1)
    assert injector.raw(0, b"junk", 2.0) == []
    assert injector.timer(later.token, 3.0) == [Send(0, W[0]), Send(0, b"junk")]
    assert not injector.pending(0)


def test_a_clock_that_goes_back_hurts_nobody():
    play = Play("delay = 2").device(W[0])
    play.time -= 50
    play.device(W[1])
    play.wait(100)
    assert play.to_server == W[:2]


def test_app_and_web_frames_are_framed_by_their_own_headers():
    for dialect, head in ((Dialect.APP, ">BHI"), (Dialect.WEB, None)):
        made = frame(20, 7, b"1-0", b"vw", b"1", b"2", head=head or ">BHI")
        wire = made if head else made[:3] + made[7:]
        play = Play(f"match = 'dialect == {dialect} and sender == app'\nreplace = {{ value = '33' }}", dialect=dialect)
        after = frame(20, 7, b"1-0", b"vw", b"1", b"33", head=head or ">BHI")
        assert play.device(wire).to_server == [after if head else after[:3] + after[7:]]
        play = Play("answer = { status = 7 }", dialect=dialect).device(wire)
        assert play.to_device == [b"\0\0\x07\0\0\0\x07"]


def test_more_than_may_wait_is_sent_on_early():
    big = frame(20, 1, b"vw", b"1", b"x" * 60_000)
    play = Play("delay = 3600").device(*[big] * 40, after=0.1)
    assert len(play.to_server) == 40 - 17
    assert play.injector.held <= 1024 * 1024
    limits = [one for one in play.told if one.action == "limit"]
    assert len(limits) == 1
    assert limits[0].failed
    play.wait(4000)
    assert play.to_server == [big] * 40
    assert play.injector.held == 0


def test_more_than_may_wait_to_be_overtaken():
    play = Play("match = 'cmd == HW'\nreorder = { frames = 1000, within = 3600 }").device(*W * 10, after=0.1).wait(4000)
    assert sorted(play.to_server) == sorted(W * 10)
    assert play.actions.count("limit") == 1


def test_what_is_told_holds_no_secret():
    rules = load(
        "[[rule]]\nreplace = { token = 'ffffffffffffffffffffffffffffffff' }\n[[rule]]\nduplicate = 2\nsplit = true\ndelay = 1\n"
    )
    play = Play(rules).device(LOGIN).wait(3)
    assert play.actions == ["replace", "delay", "duplicate", "split"]
    assert not any("ffff" in one.detail or "6f1c" in one.detail for one in play.told)


def test_filters_may_ask_for_addresses_and_layers():
    rules = one_rule('match = \'via == tls and src ~ "^192.0.2.1:" and dst == "198.51.100.2:443"\'\ndrop = true')
    ends = {"client": "192.0.2.1:50000", "server": "198.51.100.2:443"}
    for via, passes in ((("tcp", "tls1.3"), False), (("tcp",), True)):
        injector = Injector(rules, 1, via=via, **ends)
        out = injector.frame(0, Dialect.HARDWARE, *parts_of(W[0]), W[0], 1.0)
        assert (Pass() in out) is passes
        assert injector.frame(1, Dialect.HARDWARE, *parts_of(W[0]), W[0], 1.0) == [Pass()]
