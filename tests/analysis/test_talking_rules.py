"""BS302 to BS321: each trouble of a conversation, and what is close to it and fine."""

import pytest
from captures_of import CAPTURES
from hypothesis import given
from hypothesis import strategies as st
from logtalk import LogTalk, online
from talk import APP, TOKEN, Talk, begin, frame, ping, status, sync, write

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, spelled_out
from blynkscope.protocol.model import Era
from blynkscope.sources import CaptureSource
from blynkscope.wire.events import CLIENT, SERVER, Closed, Data, Line, Message, Opened

INFO = frame(17, 2, b"ver", b"1.0", b"h-beat", b"10", b"buff-in", b"256")


def ids(talk):
    """The findings of these two families, without the notes on writes."""
    made = [one.id for one in talk.records if isinstance(one, FindingRecord)]
    return [name for name in made if name[2] in "23" and name != "BS301"]


def one(talk, name):
    (found,) = talk.findings(name)
    return found


def recorded(name):
    (path,) = CAPTURES.glob(name + "*.pcap")
    analyser, found = Analyser(), []
    with path.open("rb") as stream:
        for batch in CaptureSource(stream, path.name):
            found += analyser.feed(batch)
    found += analyser.finish()
    return [made for made in found if isinstance(made, FindingRecord) and made.id[2] in "23" and made.id != "BS301"]


# --- BS302, BS303 -----------------------------------------------------------------------------------------------------


def test_a_contradicting_sync():
    talk = begin().device(write(2, b"1", b"5"), sync(3, b"1")).server(write(3, b"1", b"6")).close("end")
    found = one(talk, "BS302")
    assert (found.frames, found.severity) == ((3, 4, 5), "warning")
    assert "V1" in found.detail
    assert "'5'" in found.detail
    assert "'6'" in found.detail
    assert "BS302" in talk.frames[4].findings


def test_the_same_pin_again_is_no_news():
    talk = begin()
    for number in range(2, 12, 2):
        talk.device(write(number, b"1", b"5"), sync(number + 1, b"1")).server(write(number + 1, b"1", b"6"))
    assert len(talk.findings("BS302")) == 1


def test_a_confirming_sync_and_another_writer():
    assert ids(begin().device(write(2, b"1", b"5"), sync(3, b"1")).server(write(3, b"1", b"5")).close("end")) == []
    talk = begin().device(write(2, b"1", b"5")).server(write(111, b"1", b"9")).device(sync(3, b"1"))
    assert ids(talk.server(write(3, b"1", b"9")).close("end")) == []


def test_refused_writes():
    talk = begin().device(write(2, b"1", b"5"), write(3, b"1", b"6")).server(status(2, 7), status(3, 7)).close("end")
    found = one(talk, "BS303")
    assert (found.count, found.severity) == (2, "warning")
    assert "STA_DEVICE_NOT_IN_NETWORK (7)" in found.detail
    assert set(talk.states.values()) == {"rejected"}


def test_a_single_refusal_in_a_session_that_works_is_a_note():
    talk = begin().device(write(2, b"1", b"5")).server(status(2, 7)).close("end")
    assert one(talk, "BS303").severity == "note"


def test_a_refused_write_whose_body_says_why():
    talk = begin().device(write(2, b"1", b""), write(3, b"1", b"")).server(status(2, 2), status(3, 2)).close("end")
    assert ids(talk) == ["BS307"]
    assert "empty value" in one(talk, "BS307").detail


# --- BS304, BS305, BS306, BS317 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [
        ping(2), frame(19, 2, b"1", b"color", b"#fff"), frame(14, 2, b"hello"), INFO, frame(17, 2, b"rtc", b"sync"),
        frame(15, 2, b"64", b"i", TOKEN), frame(13, 2, b"subject", b"text"),
    ],
)  # fmt: skip
def test_an_answer_that_never_came(wire):
    talk = begin().device(wire, ping(3)).server(status(3)).close("end")
    assert one(talk, "BS304").frames == (3,)


@pytest.mark.parametrize(
    "wire",
    [
        write(2, b"1", b"5"), sync(2, b"1"), frame(64, 2, b"code"), frame(21, 2, b"b"), frame(17, 2, b"ota", b"ok"),
        frame(17, 2, b"mcu", b"x"), frame(15, 2, b"64", b"vw", b"5", b"1"),
    ],
)  # fmt: skip
def test_what_is_not_answered_by_design(wire):
    talk = begin(ports=(50000, 80)).device(wire, ping(3)).server(status(3))
    talk.time += 60.0
    assert "BS304" not in ids(talk.close("end"))


def test_the_last_request_of_a_recording_may_still_be_answered():
    assert ids(begin().device(ping(2)).close("end")) == []


def test_an_old_request_will_not_be_answered():
    talk = begin().device(ping(2))
    talk.time += 11.0
    assert one(talk.close("end"), "BS304").frames == (3,)


def test_answers_may_be_in_the_hole_of_a_recording():
    assert ids(begin().device(ping(2)).gap(1, 5).device(ping(3)).server(status(3)).close("end")) == []


def test_missing_answers_of_one_stream_are_one_finding():
    talk = (
        begin().device(ping(2), ping(3), frame(19, 4, b"1", b"color", b"#fff"), ping(5)).server(status(5)).close("end")
    )
    found = one(talk, "BS304")
    assert (found.frames, found.count) == ((3, 4, 5), 3)
    assert "MSG_PING twice" in found.detail


def test_a_rejected_device_is_ignored_and_that_is_told_once():
    talk = Talk().device(frame(29, 1, TOKEN)).server(status(1, 9)).device(ping(2), write(3, b"1", b"5"), ping(4))
    talk.time += 60.0
    assert ids(talk.close("end")) == ["BS201"]


def test_an_introduction_that_the_legacy_server_ignores():
    info = frame(17, 2, b"mcu", b"1", b"h-beat", b"45", b"ver", b"1.3.2")
    talk = begin().device(info, ping(3)).server(status(3)).close("end")
    found = one(talk, "BS317")
    assert (found.severity, found.frames) == ("note", (3,))
    assert "45 s" in found.detail
    answered = begin().device(info).server(status(2)).close("end")
    assert ids(answered) == []


def test_blynk_iot_answers_that_introduction():
    info = (b"mcu", b"1", b"h-beat", b"45", b"ver", b"1.3.2")
    log = online(host="ny3.blynk.cloud", port=80).device(17, 2, *info).device(6, 3).status(3).finish()
    assert log.of(2, 3) == ["BS304"]


def test_an_answer_to_nothing():
    talk = begin().device(ping(2)).server(status(2), status(99), status(98)).close("end")
    found = one(talk, "BS305")
    assert (found.count, found.severity, found.frames) == (2, "note", (5, 6))


def test_answers_to_what_lies_before_the_recording():
    talk = Talk(handshake=False).server(status(99)).device(ping(100)).server(status(100)).close("end")
    assert ids(talk) == []
    assert ids(begin().gap(0, 10).server(status(50)).close("end")) == []


def test_a_device_that_answers_what_the_server_writes():
    talk = begin().server(write(111, b"1", b"5")).device(status(111, 2)).close("end")
    assert ids(talk) == []


def test_an_error_status_by_name():
    push = [frame(14, number, b"hello") for number in (2, 3)]
    talk = begin().device(*push).server(status(2, 14), status(3, 14)).close("end")
    found = one(talk, "BS306")
    assert (found.count, found.frames, found.severity) == (2, (3, 4, 5, 6), "warning")
    assert "MSG_NOTIFY" in found.detail
    assert "STA_NTF_NOT_AUTHORIZED (14)" in found.detail


def test_success_and_single_refusals_are_none_or_notes():
    assert ids(begin().device(frame(14, 2, b"hello")).server(status(2)).close("end")) == []
    assert one(begin().device(frame(14, 2, b"x")).server(status(2, 14)).close("end"), "BS306").severity == "note"


def test_a_dashboard_is_activated_though_no_device_is_online():
    login = frame(2, 1, b"a@b.c", b"hash", b"Android", head=APP)
    talk = Talk().device(login).server(status(1, 200, APP))
    for number in (2, 3):
        talk.device(frame(7, number, b"1", head=APP)).server(status(number, 7, APP))
    assert one(talk.close("end"), "BS306").severity == "note"


# --- BS307, BS316, BS318 ----------------------------------------------------------------------------------------------


def test_illegal_bodies():
    bad = [frame(20, number, b"zz", b"1", b"2") for number in (2, 3)]
    talk = begin().device(*bad).server(status(2, 2), status(3, 2)).close("end")
    found = one(talk, "BS307")
    assert (found.count, found.severity) == (2, "warning")
    assert "STA_ILLEGAL_COMMAND (2)" in found.detail


def test_an_unknown_property():
    talk = begin().device(frame(19, 2, b"1", b"bogus", b"x"), frame(19, 3, b"1", b"bogus", b"x"))
    found = one(talk.server(status(2, 11), status(3, 11)).close("end"), "BS307")
    assert "bogus" in found.detail


def test_a_secret_in_a_refused_body_is_not_repeated():
    talk = begin().device(frame(13, 2, b"me@example.com", b"s", b"t")).server(status(2, 2)).close("end")
    assert "me@example.com" not in one(talk, "BS307").detail
    bridge = begin().device(frame(15, 2, b"64", b"i", TOKEN)).server(status(2, 2)).close("end")
    assert TOKEN.decode() not in one(bridge, "BS307").detail


def test_a_body_that_nobody_refuses_does_not_parse_all_the_same():
    talk = begin().device(*(frame(19, number, b"1") for number in (2, 3)), ping(4)).server(status(4)).close("end")
    assert ids(talk) == ["BS304", "BS307"]
    assert one(talk, "BS307").count == 2


def test_good_bodies():
    talk = begin().device(INFO, frame(19, 3, b"1", b"color", b"#fff"), sync(4, b"1"), sync(5), frame(64, 6, b"e", b"d"))
    assert "BS307" not in ids(talk.server(status(2), status(3)).close("end"))


def test_a_frame_that_the_device_has_no_room_for():
    talk = begin().device(INFO).server(status(2), write(111, b"1", b"x" * 300)).close("end")
    found = one(talk, "BS316")
    assert (found.frames, found.severity) == ((5,), "warning")
    assert "buff-in 256" in found.detail
    assert "BLYNK_MAX_READBYTES 512" in found.fix
    fits = begin().device(INFO).server(status(2), write(111, b"1", b"x" * 246)).close("end")
    assert ids(fits) == []


@pytest.mark.parametrize(("size", "found"), [(300, ["BS316"]), (65281, ["BS319"])])
def test_packet_too_big_in_words(size, found):
    log = online().device(17, 2, b"ver", b"0.6", b"h-beat", b"10", b"buff-in", b"256").status(2)
    log.line("packet-too-big", f"Packet too big: {size}", size=size).finish()
    assert log.of(2, 3) == found


def test_text_that_was_read_as_a_length_is_not_broken_framing():
    """0x434F is "CO": what the module said explains it."""
    log = online().line("packet-too-big", "Packet too big: 17231", size=17231).line("ble-module", "OK+CONN").finish()
    assert log.of(2, 3) == []


def test_a_length_that_looks_like_a_status():
    log = LogTalk().server(20, 13, word=9, cut=True).finish()
    (found,) = log.findings("BS318")
    assert log.of(2, 3) == ["BS318"]
    assert "body of 9 bytes" in found.detail
    assert "STA_INVALID_TOKEN" in found.detail


def test_lengths_in_a_healthy_log_are_just_lengths():
    log = online().server(20, 1, b"vw", b"0", b"10.0").device(6, 2).status(2).server(20, 3, b"vw", b"0", b"10.5")
    assert log.finish().of(2, 3) == []
    assert LogTalk().server(20, 13, b"vw", b"0", b"10.0").finish().of(2, 3) == []


# --- BS308, BS309, BS310 ----------------------------------------------------------------------------------------------


def flooding(rate, length, *, port=80, era=None, answer=None):
    """A device that writes so many times a second, for so long."""
    analyser = Analyser(era=era)
    begun, start, count = 997.0, 1000.0, int(rate * length)
    records = analyser.feed([Opened(1, begun, "192.0.2.1:50000", f"192.0.2.2:{port}", 50000, port, True)])
    login = [Data(1, CLIENT, begun, frame(29, 1, TOKEN)), Data(1, SERVER, begun, status(1))]
    writes = [Data(1, CLIENT, start + number / rate, write(number + 2, b"1", b"5")) for number in range(count)]
    end = start + length
    last = [Data(1, SERVER, end, answer)] if answer else []
    pings = [Data(1, CLIENT, end + number, ping(5000 + number)) for number in range(3)] if answer else []
    records += analyser.feed([*login, *writes, *last, *pings, Closed(1, end + 5.0, "end", None, (True, True))])
    records += analyser.finish()
    return [
        made
        for made in spelled_out(records)
        if isinstance(made, FindingRecord) and made.id[2] in "23" and made.id != "BS301"
    ]


@pytest.mark.parametrize(
    ("rate", "era", "severity", "words"),
    [
        (40, None, "warning", "nothing tells"), (40, Era.IOT, "warning", "50 by its documentation"),
        (40, Era.LEGACY, "note", "legacy cloud took 20"), (150, Era.LEGACY, "warning", "quota is 100"),
    ],
)  # fmt: skip
def test_a_flood_against_the_limit_of_its_era(rate, era, severity, words):
    (found,) = [made for made in flooding(rate, 4, era=era) if made.id == "BS308"]
    assert found.severity == severity
    assert words in found.detail
    assert f"{rate} messages a second" in found.detail
    assert found.count == rate * 4 + 1


@pytest.mark.parametrize(("rate", "length"), [(15, 10), (5, 100)])
def test_a_pace_that_every_server_takes(rate, length):
    assert flooding(rate, length) == []


def test_a_burst_is_no_flood():
    talk = begin().device(*(write(number, b"1", b"5") for number in range(2, 32)), after=0.0)
    talk.time += 30.0
    talk.device(ping(32)).server(status(32)).close("end")
    assert ids(talk) == []


def test_quota_and_the_lost_place_behind_it():
    found = flooding(200, 4, port=8080, answer=status(300, 1))
    assert [made.id for made in found] == ["BS309", "BS308", "BS310"]
    assert [made.severity for made in found] == ["error", "warning", "error"]
    lost = found[2]
    assert lost.count == 3


def test_the_recorded_flood():
    assert [made.id for made in recorded("10b")] == ["BS309", "BS308", "BS310"]


def test_pings_that_are_answered_behind_a_quota_answer():
    talk = begin().device(write(2, b"1", b"5")).server(status(2, 1)).device(ping(3)).server(status(3)).close("end")
    assert ids(talk) == ["BS309"]


def test_too_many_notifications_are_no_flood():
    talk = begin().device(frame(14, 2, b"x"), frame(14, 3, b"x")).server(status(2, 1), status(3, 1)).close("end")
    assert ids(talk) == ["BS306"]


# --- BS311, BS312, BS313 ----------------------------------------------------------------------------------------------


def numbered(*numbers):
    return ids(begin().device(*(write(number, b"1", b"5") for number in numbers)).close("end"))


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ((2, 3, 4), []), ((65534, 65535, 1, 2), []), ((2, 3, 10, 11), []), ((65534, 65535, 0, 1), ["BS311"]),
        ((2, 0, 1), ["BS311"]), ((2, 3, 3, 4), ["BS312"]), ((2, 3, 4, 2, 5), ["BS312"]),
        ((65534, 65535, 0, 0, 0, 0), ["BS313"]), ((65534, 65535, *[1] * 12), ["BS313"]),
        ((2, 3, *[1] * 3, 4), ["BS312"]), ((1, 2, 3), []),
    ],
)  # fmt: skip
def test_message_ids(numbers, found):
    assert numbered(*numbers) == found


def test_the_recorded_ids():
    found = {made.stream: made.id for made in recorded("11b") if made.id == "BS313"}
    assert list(found.values()) == ["BS313"]
    assert "BS311" in [made.id for made in recorded("11b")]


# --- BS314, BS315 -----------------------------------------------------------------------------------------------------


def silent(seconds, *, how="fin", by=1, beat=b"10", then=None):
    talk = begin().device(frame(17, 2, b"ver", b"1.0", b"h-beat", beat)).server(status(2))
    talk.time += seconds - 2.0
    if then is not None:
        talk.device(then).server(status(3))
    return ids(talk.close(how, by=by))


def test_a_close_after_the_idle_limit():
    assert silent(23.0) == ["BS315"]
    assert [made.id for made in recorded("12b")] == ["BS315"]
    assert "12 s" in recorded("12b")[0].detail


@pytest.mark.parametrize("seconds", [5.0, 15.0])
def test_a_close_for_another_reason(seconds):
    assert silent(seconds) == []


def test_a_device_that_is_silent_for_too_long():
    assert silent(40.0, how="end", by=None) == ["BS314"]
    assert silent(40.0, how="end", by=None, then=ping(3)) == ["BS314"]


def test_silence_within_the_limit():
    assert silent(20.0, how="end", by=None, then=ping(3)) == []


def test_heartbeat_timeout_in_words():
    log = online().line("heartbeat-timeout", "Heartbeat timeout: 1, 2, 3").finish()
    assert log.of(2, 3) == ["BS314"]


# --- BS319, BS320, BS321 ----------------------------------------------------------------------------------------------


def test_bytes_that_are_no_message():
    talk = (
        begin()
        .device(ping(2))
        .server(status(2))
        .device(b"\xf3\xee\x81\x90\xff\xfe\xc3" + ping(3))
        .server(status(3))
        .close("end")
    )
    assert ids(talk) == ["BS319"]


@pytest.mark.parametrize(("how", "by", "found"), [("fin", 0, ["BS319"]), ("fin", 1, []), ("end", None, [])])
def test_a_frame_whose_rest_never_came(how, by, found):
    assert ids(begin().device(write(2, b"1", b"12345")[:8]).close(how, by=by)) == found


def test_holes_of_the_recording_are_not_the_senders():
    assert ids(begin().device(write(2, b"1", b"12345")[:8]).gap(0, 50).device(ping(3)).close("end")) == []


def test_a_message_that_breaks_off_and_then_fails():
    log = online().device(17, 2, b"ver", b"0.4.10", b"h-bea", word=103, cut=True).line("cmd-error", "Cmd error")
    log.line("cmd-skipped", cmd=16).line("login-timeout").finish()
    assert log.of(2, 3) == ["BS320"]
    assert "103 bytes" in log.findings("BS320")[0].detail


def test_a_print_that_is_only_cut_or_masked():
    assert online().device(17, 2, b"ver", b"0.4.10", word=103, cut=True).finish().of(2, 3) == []
    masked = online().device(17, 2, b"ver", b"***", word=103, cut=True).line("cmd-error").finish()
    assert "BS320" not in masked.of(2, 3)
    unheard = LogTalk().device(17, 2, b"ver", b"0.4", word=103, cut=True).line("cmd-error").finish()
    assert "BS320" not in unheard.of(2, 3)


def test_crashes():
    log = (
        online()
        .line("ready")
        .line("crash", "Exception (28):")
        .line("crash", ">>>stack>>>")
        .line("reset", "ets")
        .finish()
    )
    (found,) = log.findings("BS321")
    assert (found.severity, found.count) == ("warning", 1)
    assert "Exception (28)" in found.detail


def test_boots():
    first = LogTalk(opened=False).line("reset", "boot noise", at=0).line("banner", at=0).line("wifi", at=0).finish()
    assert first.of(2, 3) == []
    again = online().line("ready").line("reset", "the clock restarted").finish()
    assert again.of(2, 3) == ["BS321"]


# --- hostile ----------------------------------------------------------------------------------------------------------

KINDS = [
    "login-timeout", "heartbeat-timeout", "packet-too-big", "cmd-error", "cmd-skipped", "invalid-header-type",
    "bad-header-length", "invalid-token", "auth-failed", "redirecting", "ready", "reset", "crash", "connecting",
    "length-as-status", "frame", "unheard-of",
]  # fmt: skip
facts = st.dictionaries(
    st.sampled_from(["size", "type", "status", "host", "port", "got", "cause", "status_read", "length"]),
    st.one_of(st.none(), st.integers(-5, 70000), st.text(max_size=5)),
)
times_ = st.one_of(st.none(), st.floats(0, 1e6))
messages = st.builds(
    Message, st.just(1), st.integers(0, 1), times_, st.sampled_from([0, 2, 6, 14, 15, 16, 17, 19, 20, 29, 41, 99]),
    st.sampled_from([0, 1, 2, 3, 65534, 65535]), st.one_of(st.none(), st.sampled_from([0, 1, 2, 4, 7, 9, 11, 200, 65535])),
    st.one_of(st.binary(max_size=20), st.sampled_from([b"vw\x001\x005", b"mcu\0x", b"vr\x001", TOKEN])), st.just(1), st.booleans(),
)  # fmt: skip
lines = st.builds(
    Line, st.sampled_from([0, 1]), times_, st.integers(1, 50), st.sampled_from(KINDS), st.text(max_size=9), facts
)


@given(
    st.lists(st.one_of(messages, lines), max_size=30), st.booleans(),
    st.sampled_from(["fin", "reset", "end", "reused", "evicted", "refused"]), st.sampled_from([None, 0, 1]), times_,
)  # fmt: skip
def test_no_conversation_makes_a_rule_fail(events, log, how, by, end):
    analyser = Analyser()
    via = ("log",) if log else ("tcp",)
    opened = Opened(1, 5.0, "192.0.2.1:50000", "192.0.2.2:8080", 50000, 8080, True, via)
    records = analyser.feed([opened, *events, Closed(1, end, how, by, (True, True))]) + analyser.finish()
    found = [made for made in records if isinstance(made, FindingRecord)]
    assert all(made.count >= 1 and made.detail and made.fix for made in found)
    assert not any(TOKEN.decode() in made.detail + made.fix for made in found if made.id[2] in "23")


# --- all together -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["01a", "03", "04", "06a", "06d", "07a", "08a", "08d", "09a", "12c", "13", "15a"])
def test_good_sessions_raise_notes_at_most(name):
    mine = [made for made in recorded(name) if made.id[:3] in {"BS2", "BS3"}]
    assert [made.id for made in mine if made.severity != "note"] == []
