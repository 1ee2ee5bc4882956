"""BS901 to BS909: what a capture or a log leaves out."""

from pathlib import Path

import pytest
from logtalk import LogTalk, online
from talk import TOKEN, Talk, begin, frame, ping, status, write

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.analysis.records import FindingRecord, spelled_out
from blynkscope.analysis.rules.recording import STREAMS_TOLD
from blynkscope.sources import open_input
from blynkscope.wire.events import Closed, Data, Gap, Opened

ROOT = Path(__file__).parent.parent.parent
CAPTURES, LOGS = ROOT / "captures", ROOT / "captures" / "logs"
HELLO = bytes.fromhex("16030100050100000100")
SEALED = bytes.fromhex("1703030010") + bytes(16)


def findings_of(path):
    analyser = Analyser()
    source = open_input(str(path))
    records = [record for batch in source for record in analyser.feed(batch)]
    records += analyser.finish(source.lost)
    return [one for one in records if isinstance(one, FindingRecord) and one.id.startswith("BS9")]


def finish(talk):
    talk.records += spelled_out(talk.analyser.finish())
    return [one.id for one in talk.records if isinstance(one, FindingRecord) and one.id.startswith("BS9")]


# -- captures


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("tcp_lost_segment", "BS901", ["26 bytes", "device"]),
        ("tcp_lost_inside_body", "BS901", ["150 bytes"]),
        ("tcp_mid_stream", "BS902", ["port 8080"]),
        ("tcp_one_direction", "BS903", ["server", "198.51.100.20:8080"]),
        ("tcp_snaplen", "BS904", ["2 places"]),
        ("tls12_expired_certificate", "BS905", ["TLS"]),
    ],
)
def test_captures_that_show_a_part(name, expected, words):
    (finding,) = findings_of(CAPTURES / "made" / f"{name}.pcap")
    assert finding.id == expected
    assert [word for word in words if word not in finding.detail] == []


@pytest.mark.parametrize(
    "name",
    [
        "01a_hw_plain_pyBlynkLib020", "04_hw_plain_cpp140", "12c_second_login", "15a_byte_by_byte", "made/tcp_out_of_order",
        "made/tcp_retransmission", "made/tcp_reset", "made/tls_alert_handshake_failure", "made/dns_then_no_answer",
    ],
)  # fmt: skip
def test_whole_captures(name):
    assert findings_of(CAPTURES / f"{name}.pcap") == []


def test_holes_of_both_sides():
    talk = begin().gap(0, 100).gap(0, 7).gap(1, 1).close()
    (finding,) = talk.findings("BS901")
    assert (finding.severity, finding.count) == ("warning", 3)
    assert "2 places with 107 bytes of the device" in finding.detail
    assert "1 place with 1 byte of the server" in finding.detail


def test_cut_packets_are_told_apart_from_lost_ones():
    talk = begin().gap(0, 10)
    talk._tell(Gap(1, 1, 105.0, 20, "snaplen"))
    talk.close()
    assert finish(talk) == ["BS901", "BS904"]


def test_a_stream_that_was_joined():
    talk = Talk(handshake=False).device(ping(7)).server(status(7)).close()
    (finding,) = talk.findings("BS902")
    assert finding.severity == "note"
    assert "neither is a login" in finding.detail
    talk = Talk(handshake=False).device(frame(29, 1, TOKEN)).server(status(1)).close()
    assert "but a login is" in talk.findings("BS902")[0].detail


def test_a_joined_stream_without_data():
    assert finish(Talk(handshake=False).close()) == []


def test_many_joined_streams_are_counted():
    analyser = Analyser()
    count = STREAMS_TOLD + 5
    for number in range(1, count + 1):
        analyser.feed([
            Opened(number, 1.0, f"192.0.2.1:{number + 1024}", "192.0.2.2:8080", number + 1024, 8080, False),
            Data(number, 0, 1.0, ping(5)),
            Closed(number, 2.0, "end", None, (True, True)),
        ])  # fmt: skip
    found = [one for one in analyser.finish() if isinstance(one, FindingRecord) and one.id == "BS902"]
    assert len(found) == 1  # the others came before
    assert (found[0].stream, found[0].count) == (None, 5)


def test_one_direction_explains_missing_answers():
    talk = Talk().device(frame(29, 1, TOKEN), write(2, b"1", b"2"), ping(3), ping(4), ping(5), after=10.0)
    talk.close("end", heard=(True, False))
    assert finish(talk) == ["BS903"]
    others = [one.id for one in talk.records if isinstance(one, FindingRecord)]
    assert set(others) <= {"BS903", "BS301"}


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_server_that_says_nothing_was_captured_all_the_same(how):
    talk = Talk().device(frame(29, 1, TOKEN)).close(how, heard=(True, True))
    assert "BS903" not in finish(talk)


def test_the_server_s_direction_alone():
    talk = Talk().server(status(1), frame(20, 1, b"vw", b"1", b"2")).close("end", heard=(False, True))
    (finding,) = talk.findings("BS903")
    assert "the device" in finding.detail.partition("while")[0]


def test_tls_is_told_once_for_the_run():
    analyser = Analyser()
    for number in range(1, 13):
        analyser.feed([
            Opened(number, 1.0, f"192.0.2.1:{number + 1024}", "192.0.2.2:443", number + 1024, 443, True),
            Data(number, 0, 1.0, HELLO), Data(number, 0, 1.0, SEALED), Data(number, 1, 1.0, SEALED),
            Closed(number, 2.0, "end", None, (True, True)),
        ])  # fmt: skip
    (finding,) = [one for one in analyser.finish() if isinstance(one, FindingRecord) and one.id == "BS905"]
    assert (finding.severity, finding.stream, finding.count) == ("note", None, 12)
    assert "and 4 more" in finding.detail
    assert "SSLKEYLOGFILE" in finding.fix


def test_a_tls_handshake_that_failed_has_nothing_to_open():
    talk = Talk(ports=(50000, 443)).device(HELLO).server(bytes.fromhex("15030300020228")).close()
    assert finish(talk) == []


# -- logs


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("01-", ["BS908"], ["32", "33"]), ("05-", ["BS908"], ["32", "3:", "masked"]),
        ("09-", ["BS909"], ["154", "150", "masked"]), ("13-", [], []), ("20-", [], []), ("110-", [], []), ("116-", [], []),
        ("41-", ["BS907"], ["dot"]), ("76-", ["BS907"], ["blynklib"]), ("92-", ["BS907"], ["C++"]),
        ("96-", ["BS907"], ["Edgent"]), ("102-", ["BS907"], ["5 lines"]),
    ],
)  # fmt: skip
def test_logs_as_people_paste_them(name, expected, words):
    (path,) = LOGS.glob(f"{name}*.txt")
    found = findings_of(path)
    assert [one.id for one in found] == expected
    assert all(one.severity == "note" for one in found)
    assert [word for word in words if word not in found[0].detail] == []


@pytest.mark.parametrize(
    ("library", "word"),
    [
        ("cpp", "#define BLYNK_DEBUG"), ("cpp", "#define BLYNK_PRINT Serial"), ("micropython", "log=print"),
        ("blynklib", "log=print"), ("js", "blynk.js"), ("node-red", "low level"), ("java-server", "log.level=trace"),
        ("edgent", "APP_DEBUG"), ("unknown", "#define BLYNK_DEBUG"), ("something new", "tcpdump"),
    ],
)  # fmt: skip
def test_how_to_get_frames(library, word):
    log = LogTalk(host="blynk.cloud", port=80).line("login-timeout", "Login timeout")
    log.line("log-end", at=0, frames=0, lines=9, library=library).finish()
    (finding,) = log.findings("BS907")
    assert word in finding.fix
    assert "9 lines" in finding.detail


@pytest.mark.parametrize(
    "facts",
    [{"frames": 3, "library": "cpp"}, {"frames": None, "library": "unknown"}, {"frames": 0, "library": "particle"}],
)
def test_logs_that_lack_no_frames(facts):
    log = LogTalk(host="blynk.cloud", port=80).line("log-end", at=0, lines=9, **facts).finish()
    assert log.findings("BS907") == []


def test_a_log_beside_a_log():
    log = LogTalk(opened=False)
    log.line("upload", at=0).line("log-end", at=0, frames=0, lines=2, library="unknown")
    log.line("log-end", at=0, frames=0, lines=2, library="unknown").finish()
    assert len(log.findings("BS907")) == 1


@pytest.mark.parametrize(
    "shown", [b"n" * 33, b"XXX", b"x" * 24, b"Qx*****K", b"AUTH TOKEN REDACTED", b"", TOKEN[:20], TOKEN + b"0"]
)
def test_a_token_of_another_length(shown):
    log = LogTalk(host="blynk.cloud", port=80).device(29, 1, shown, word=32, cut=len(shown) < 32).status(1).finish()
    (finding,) = log.findings("BS908")
    assert (finding.severity, finding.frames) == ("note", (1,))
    assert f"shows {len(shown)}" in finding.detail
    assert len(shown) < 4 or shown.decode() not in finding.detail
    assert log.findings("BS909") == []


def test_a_token_of_its_own_length():
    assert online(host="blynk.cloud").finish().of(9) == []
    assert LogTalk(host="blynk.cloud").device(29, 1, b"*" * 32).status(1).finish().of(9) == []


def test_a_masked_token_is_told_once_for_a_device():
    log = LogTalk(host="blynk.cloud", port=80)
    for _ in range(5):
        log.device(29, 1, b"XXX", word=32, cut=True).open("blynk.cloud", 80)
    assert log.finish().of(9) == ["BS908"]


@pytest.mark.parametrize(
    ("body", "word", "cut", "masked"),
    [(b"vw\x001\x00***", 12, True, True), (b"vw\x001\x0023.57", 8, False, False), (b"vw\x001\x002", 9, True, False)],
)
def test_a_body_of_another_length(body, word, cut, masked):
    log = online(host="blynk.cloud").device(20, 2, body, word=word, cut=cut).finish()
    (finding,) = log.findings("BS909")
    assert (finding.severity, finding.frames, finding.count) == ("note", (3,), 1)
    assert f"declares {word} bytes and shows {len(body)}" in finding.detail
    assert ("masked" in finding.detail) is masked


def test_many_altered_frames_are_one_finding():
    log = online(host="blynk.cloud")
    for number in range(2, 22):
        log.device(20, number, b"vw\x001\x002", word=9, cut=True)
    (finding,) = log.finish().findings("BS909")
    assert finding.count == 20
    assert "and 14 more" in finding.detail


def test_a_frame_that_broke_off_is_told_elsewhere():
    log = online(host="blynk.cloud").device(17, 2, b"ver\x000.4.10\x00de", word=103, cut=True)
    log.line("cmd-error", "Cmd error").finish()
    assert log.findings("BS320")
    assert log.of(9) == []


def test_a_body_whose_length_no_log_tells():
    log = online(host="blynk.cloud").device(20, 2, b"vw\x001\x002", word=-1, cut=True).finish()
    assert log.of(9) == []


def test_where_a_key_log_comes_from():
    fix = CATALOGUE["BS905"].fix
    assert "`node --tls-keylog=FILE`" in fix
    assert "Node, curl" not in fix
    assert "MicroPython" in fix
    assert "a server of your own or a proxy" in fix
