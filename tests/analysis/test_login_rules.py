"""BS201 to BS210: each way in which a login fails, and what is close to it and fine."""

import pytest
from captures_of import CAPTURES
from logtalk import LogTalk
from talk import APP, TOKEN, Talk, begin, frame, ping, status, write

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, spelled_out
from blynkscope.analysis.rules.login import REFUSALS_TOLD
from blynkscope.sources import CaptureSource
from blynkscope.wire.events import Acked, Closed, Data, Opened

OTHER = b"0f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
IOT = b"AbCdEfGhIjKlMnOpQrStUvWxYz_-0123"
LOGIN = frame(29, 1, TOKEN)


def finished(talk):
    talk.records += spelled_out(talk.analyser.finish())
    return talk


def ids(talk):
    """The findings of these two families, without the notes on writes."""
    made = [one.id for one in talk.records if isinstance(one, FindingRecord)]
    return [name for name in made if name[2] in "23" and name != "BS301"]


def recorded(name):
    """The findings of a recording."""
    (path,) = CAPTURES.glob(name + "*.pcap")
    analyser, found = Analyser(), []
    with path.open("rb") as stream:
        for batch in CaptureSource(stream, path.name):
            found += analyser.feed(batch)
    found += analyser.finish()
    return [one for one in found if isinstance(one, FindingRecord) and one.id[2] in "23" and one.id != "BS301"]


def sessions(count, gap, how, by):
    """A device that logs in, writes, and loses its connection again and again; the findings."""
    analyser = Analyser()
    for number in range(1, count + 1):
        start = 1000.0 + number * gap
        said = [(0, LOGIN), (1, status(1)), (0, write(2, b"1", b"5"))]
        analyser.feed([Opened(number, start, "192.0.2.1:50000", "192.0.2.2:80", 50000, 80, True)])
        analyser.feed([Data(number, side, start + 0.1, wire) for side, wire in said])
        analyser.feed([Acked(number, 0, start + 0.2, 1000), Closed(number, start + 1.0, how, by, (True, True))])
    found = [one.id for one in analyser.finish() if isinstance(one, FindingRecord)]
    return [name for name in found if name[2] in "23"]


# --- BS201 ------------------------------------------------------------------------------------------------------------


def test_the_eras_of_server_and_device_make_the_hint():
    talk = Talk(ports=(50000, 8442)).device(frame(29, 1, IOT)).server(status(1, 9))
    (found,) = talk.findings("BS201")
    assert "legacy" in found.detail
    assert "port 8442" in found.detail
    assert "blynk.cloud" in found.fix
    assert IOT.decode() not in found.detail + found.fix


def test_a_legacy_token_at_the_cloud():
    log = LogTalk(host="ny3.blynk.cloud", port=80).device(29, 1, TOKEN).status(1, 9)
    (found,) = log.findings("BS201")
    assert "Blynk IoT knows no legacy tokens" in found.detail
    assert "legacy server that issued its token" in found.fix


def test_without_evidence_there_is_no_guess():
    talk = Talk(ports=(50000, 80)).device(LOGIN).server(status(1, 9))
    (found,) = talk.findings("BS201")
    assert "probably" not in found.detail


def test_the_same_refusal_on_every_connection_is_soon_no_news():
    analyser = Analyser()
    count = 0
    for number in range(1, 11):
        talk = Talk(analyser, number).device(LOGIN).server(status(1, 9)).close()
        count += len(talk.findings("BS201"))
    assert count == REFUSALS_TOLD == 3
    other = Talk(analyser, 11).device(frame(29, 1, OTHER)).server(status(1, 9))
    assert len(other.findings("BS201")) == 1


def test_a_log_that_only_says_so():
    log = LogTalk(host="192.0.2.9", port=8080).line("invalid-token", "Invalid auth token")
    (found,) = log.findings("BS201")
    assert (found.stream, found.frames) == (1, ())
    both = LogTalk().device(29, 1, TOKEN).status(1, 9).line("invalid-token", "Invalid auth token").finish()
    assert both.of(2, 3) == ["BS201"]
    assert LogTalk(opened=False).line("invalid-token", at=0).findings("BS201")[0].stream is None


def test_the_recorded_refusals():
    assert [one.id for one in recorded("05")] == [*["BS201"] * 5, "BS209"]


# --- BS202 ------------------------------------------------------------------------------------------------------------


def test_a_login_without_an_answer():
    talk = Talk().device(LOGIN)
    talk.time += 7.0
    talk.close("fin")
    (found,) = talk.findings("BS202")
    assert found.frames == (1,)
    assert "8.0 s" in found.detail


def test_a_server_that_hangs_up_instead_of_an_answer():
    talk = Talk().device(LOGIN).close("fin", by=1)
    assert "closed the connection" in talk.findings("BS202")[0].detail


@pytest.mark.parametrize("how", ["end", "fin", "evicted"])
def test_a_recording_that_ends_behind_the_login_proves_nothing(how):
    assert Talk().device(LOGIN).close(how).findings("BS202") == []


def test_an_answered_login_is_none():
    talk = begin()
    talk.time += 60.0
    assert talk.close("end").findings("BS202") == []


def test_answers_that_the_recording_lacks():
    one_way = Talk().device(LOGIN)
    one_way.time += 60.0
    assert one_way.close("end", heard=(True, False)).findings("BS202") == []
    holed = Talk().device(LOGIN).gap(1, 5)
    holed.time += 60.0
    assert holed.close("end").findings("BS202") == []


def test_a_log_in_which_no_byte_came_in():
    log = (
        LogTalk().device(2, 1, TOKEN).open(after=11.0).device(2, 1, TOKEN).open(after=11.0).device(2, 1, TOKEN).finish()
    )
    (found,) = log.findings("BS202")
    assert "receive path" in found.detail
    assert "baud" in found.fix
    assert log.of(2, 3) == ["BS202", "BS209"]


def test_what_keeps_a_device_from_the_server_explains_its_other_logins_too():
    log = LogTalk()
    for cut in (1, 2, 3):
        log.device(29, 1, TOKEN[:-cut], word=32).line("login-timeout").open(after=2.0)
    log.device(29, 1, TOKEN).line("packet-too-big", "Packet too big: 17231", size=17231, after=0.1)
    log.line("ble-module", "OK+CONN").finish()
    assert "BS114" in log.ids
    assert log.of(2, 3) == []


def test_login_timeouts_in_words():
    log = LogTalk(host="192.0.2.9", port=80).line("login-timeout", "Login timeout").finish()
    assert log.of(2, 3) == ["BS202"]
    assert LogTalk().device(29, 1, TOKEN).line("login-timeout").finish().of(2, 3) == ["BS202"]


def test_a_stale_timer_behind_a_redirect_is_no_failure():
    log = LogTalk(host="192.0.2.60", port=8442).line("redirecting", host="qa.example", port=8442).line("login-timeout")
    log.open("qa.example", 8442).line("ready").finish()
    assert log.of(2, 3) == ["BS208"]


def test_a_late_timer_on_a_connection_that_is_online():
    log = LogTalk().device(29, 1, TOKEN).status(1).line("ready").line("login-timeout").finish()
    assert log.findings("BS202") == []


# --- BS203, BS205, BS210 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [3, 5, 19])
def test_a_login_that_is_refused_otherwise(code):
    talk = Talk().device(frame(2, 1, b"a@b.c", b"hash", b"Android", head=APP)).server(status(1, code, APP))
    (found,) = talk.findings("BS203")
    assert (found.frames, found.severity) == ((1, 2), "error")
    assert f"({code})" in found.detail
    assert "a@b.c" not in found.detail + found.fix
    assert talk.findings("BS306") == []


def test_a_good_login_is_not_refused():
    assert ids(finished(begin().close("end"))) == []


def test_a_second_login():
    talk = begin().device(frame(29, 2, TOKEN)).server(status(2, 4)).device(ping(3)).server(status(3)).close("end")
    assert ids(talk) == ["BS205"]
    assert talk.findings("BS205")[0].severity == "note"


def test_a_first_login_that_is_registered_already():
    talk = Talk().device(frame(2, 1, TOKEN)).server(status(1, 4))
    assert ids(talk) == ["BS210"]
    assert "MSG_HW_LOGIN" in talk.findings("BS210")[0].detail


def test_the_words_of_blynklib():
    log = LogTalk().line("auth-failed", "[ERROR]: Auth stage failed. Status=4", status=4).finish()
    assert log.of(2, 3) == ["BS210"]
    assert LogTalk().line("auth-failed", status=9).finish().of(2, 3) == ["BS201"]
    assert LogTalk().line("auth-failed", status=19).finish().of(2, 3) == ["BS203"]


@pytest.mark.parametrize(("kind", "found"), [(2, ["BS210"]), (29, ["BS210"]), (78, ["BS319"])])
def test_header_types_that_a_library_does_not_take(kind, found):
    assert LogTalk().line("invalid-header-type", f"Invalid header type: {kind}", type=kind).finish().of(2, 3) == found


# --- BS204 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", [ping(1), write(1, b"1", b"5"), frame(19, 1, b"1", b"color", b"#fff")])
def test_speaking_before_the_login(wire):
    talk = Talk().device(wire).close("fin", by=1)
    assert ids(talk) == ["BS204"]
    assert "hung up" in talk.findings("BS204")[0].detail


def test_a_login_that_comes_too_late():
    talk = Talk().device(ping(1), frame(29, 2, TOKEN)).server(status(2)).device(ping(3)).server(status(3)).close("end")
    (found,) = talk.findings("BS204")
    assert found.frames == (1,)


def test_what_follows_a_login_at_once_may():
    talk = Talk().device(LOGIN + frame(17, 2, b"ver", b"1.0") + write(3, b"1", b"5"), ping(4))
    assert talk.server(status(1), status(2), status(4)).close("end").findings("BS204") == []


def test_an_app_may_register_first():
    talk = Talk().device(frame(40, 1, b"a@b.c", head=APP), frame(1, 2, b"a@b.c", b"h", b"Blynk", head=APP))
    talk.server(status(2, 200, APP)).close("end")
    assert talk.findings("BS204") == []


def test_streams_and_logs_that_begin_in_the_middle():
    assert Talk(handshake=False).device(ping(1), ping(2)).close("end").findings("BS204") == []
    assert LogTalk().device(6, 5).status(5).device(20, 6, b"vw", b"1", b"2").finish().findings("BS204") == []


# --- BS206 ------------------------------------------------------------------------------------------------------------


def test_one_token_on_two_connections():
    analyser = Analyser()
    Talk(analyser, 1).device(LOGIN).server(status(1))
    second = Talk(analyser, 2).device(LOGIN).server(status(1))
    (found,) = second.findings("BS206")
    assert (found.frames, found.count, found.severity) == ((1, 3), 2, "note")
    assert TOKEN.decode() not in found.detail


def test_another_token_or_a_closed_connection_is_fine():
    analyser = Analyser()
    first = Talk(analyser, 1).device(LOGIN).server(status(1))
    assert Talk(analyser, 2).device(frame(29, 1, OTHER)).server(status(1)).findings("BS206") == []
    first.close()
    assert Talk(analyser, 3).device(LOGIN).server(status(1)).findings("BS206") == []


def test_a_relay_in_the_middle_is_no_second_device():
    """Its own login is sent behind the device's, and answered before: to the recording both are connections."""
    analyser = Analyser()
    device, relay = Talk(analyser, 1, ports=(50000, 8080)), Talk(analyser, 2, ports=(50001, 9000))
    device.device(LOGIN)
    relay.device(LOGIN).server(status(1))
    device.server(status(1))
    assert [one.findings("BS206") for one in (device, relay)] == [[], []]
    # Another device is told all the same.
    (found,) = Talk(analyser, 3, ports=(50002, 9000)).device(LOGIN).server(status(1)).findings("BS206")
    assert found.frames == (1, 2, 5)


@pytest.mark.parametrize("ports", [(9000, 9000), (8080, 9000)])
def test_two_devices_at_one_time_are_no_relay(ports):
    analyser = Analyser()
    one, other = (Talk(analyser, number, ports=(50000 + number, port)) for number, port in enumerate(ports, 1))
    one.device(LOGIN)
    other.device(LOGIN)
    one.server(status(1))
    other.server(status(1))
    assert one.findings("BS206") + other.findings("BS206")


def test_the_recorded_second_login():
    assert [(one.id, one.severity) for one in recorded("12c")] == [("BS206", "note"), ("BS205", "note")]


# --- BS207, BS208 -----------------------------------------------------------------------------------------------------

REDIRECT = frame(41, 1, b"192.0.2.7", b"80")


def redirected(how="fin", stay=0.0, then=None):
    analyser = Analyser()
    first = Talk(analyser, 1, ports=(50000, 80)).device(LOGIN).server(REDIRECT)
    first.time += stay
    first.close(how)
    if then is not None:
        second = LogTalk(analyser, opened=False)
        second.number, second.time = 1, first.time
        first.records += second.open(*then).records
        second.device(29, 1, TOKEN).status(1).finish()
        first.records += second.records
        return first
    return finished(first)


def test_a_redirect_that_is_followed():
    found = redirected(then=("192.0.2.7", 80)).findings("BS208")
    assert [(one.stream, one.frames, one.severity) for one in found] == [(1, (2,), "note")]


def test_a_redirect_that_is_not_followed():
    back = redirected(then=("192.0.2.2", 80))
    assert [one.id for one in back.findings("BS207")] == ["BS207"]
    assert '"192.0.2.7", 80' in back.findings("BS207")[0].fix
    stayed = redirected(stay=15.0)
    assert "15" in stayed.findings("BS207")[0].detail or "16" in stayed.findings("BS207")[0].detail
    assert ids(stayed) == ["BS207"]


def test_a_recording_that_ends_with_the_redirect():
    assert ids(redirected("end")) == []


def test_a_redirect_whose_body_the_log_does_not_show():
    log = LogTalk(host="192.0.2.1", port=8080).device(2, 1, TOKEN).server(41, 1, word=19, cut=True)
    log.line("frame", "CONNECT_REDIRECT", status_read="SERVER_EXCEPTION").close("fin", after=15.0).finish()
    assert log.of(2, 3) == ["BS318", "BS207"]


# --- BS209 ------------------------------------------------------------------------------------------------------------


def refused_every(gap, count=4):
    log = LogTalk(opened=False)
    for number in range(count):
        log.open("192.0.2.1", 80, after=gap if number else 1.0).device(29, 1, TOKEN, after=0.0).status(1, 9, after=0.0)
    return log.finish()


def test_a_loop_with_its_period_and_its_cause():
    (found,) = refused_every(5.0).findings("BS209")
    assert found.count == 4
    assert "every 5.0 s (median)" in found.detail
    assert "BS201" in found.detail
    assert "BS201" in found.fix


def test_two_failures_are_no_loop():
    assert refused_every(5.0, 2).of(2, 3) == ["BS201", "BS201"]


def test_a_device_that_sleeps_between_measurements_is_no_loop():
    assert sessions(6, 60.0, "fin", 0) == []


@pytest.mark.parametrize(("how", "by"), [("reset", 1), ("fin", 1), ("reset", 0), ("reused", None)])
def test_sessions_that_do_not_last(how, by):
    assert sessions(4, 10.0, how, by) == ["BS209"]


def test_failures_hours_apart_are_no_loop():
    assert sessions(4, 3600.0, "reset", 1) == []


def test_lines_alone_make_a_loop():
    log = LogTalk(opened=False)
    for _ in range(4):
        log.open("cloud.example", 8442, after=4.8).line("ready", after=0.2)
    assert log.finish().of(2, 3) == ["BS209"]


def test_http_clients_come_and_go():
    assert "BS209" not in [one.id for one in recorded("09a")]
