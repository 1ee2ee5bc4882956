"""Advice that fits what was seen: numbers written otherwise, lost writes, libraries, modules, crashes, quoted headers."""

import pytest
from click.testing import CliRunner
from logtalk import LogTalk, online
from nettalk import Connections, of_capture
from talk import APP, TOKEN, begin, frame, status, sync, write

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.cli import explain
from blynkscope.wire.events import Line

REGIONS = ("ny3.blynk.cloud", "fra1.blynk.cloud", "lon1.blynk.cloud", "sgp1.blynk.cloud", "blr1.blynk.cloud")


def only(source, name):
    (found,) = source.findings(name)
    return found


# --- BS302: the same number ---


@pytest.mark.parametrize(
    ("wrote", "got", "severity"),
    [
        ((b"10",), (b"10.0",), "note"), ((b"21.5",), (b"21.50",), "note"), ((b"-0.50", b"on"), (b"-0.5", b"on"), "note"),
        ((b"10",), (b"10.1",), "warning"), ((b"10", b"1"), (b"10.0",), "warning"), ((b"on",), (b"On",), "warning"),
        ((b"1e1",), (b"10",), "warning"), ((b"",), (b"0",), "warning"), ((b"9" * 40,), (b"9" * 40 + b".0",), "warning"),
    ],
)  # fmt: skip
def test_the_same_number_in_other_digits(wrote, got, severity):
    talk = begin().device(write(2, b"1", *wrote), sync(3, b"1")).server(write(3, b"1", *got)).close("end")
    found = only(talk, "BS302")
    assert found.severity == severity
    assert ("the same number, written otherwise; the write arrived" in found.detail) == (severity == "note")
    assert talk.states[3] == "contradicted"


def test_another_number_behind_the_same_one_is_told():
    talk = begin()
    for number, got in ((2, b"5.0"), (4, b"5.00"), (6, b"7")):
        talk.device(write(number, b"1", b"5"), sync(number + 1, b"1")).server(write(number + 1, b"1", got))
    assert [one.severity for one in talk.findings("BS302")] == ["note", "warning"]


# --- BS322, and BS301 where nothing is left to prove ---


def test_lost_writes():
    talk = begin().device(write(2, b"1", b"5"), write(3, b"2", b"6")).close("reset", by=1)
    found = only(talk, "BS322")
    assert (found.severity, found.frames, found.count) == ("warning", (3, 4), 2)
    assert "V1 (frame 3), V2 (frame 4)" in found.detail
    assert "was reset" in found.detail
    assert "BS322" in only(talk, "BS301").fix


def test_writes_that_were_delivered_or_whose_connection_goes_on_are_not_lost():
    assert begin().device(write(2, b"1", b"5")).ack(0).close("reset").findings("BS322") == []
    assert begin().device(write(2, b"1", b"5")).close("end").findings("BS322") == []
    assert begin().device(write(2, b"1", b"5")).close("fin", heard=(True, False)).findings("BS322") == []


def test_refused_writes_need_no_sync():
    talk = begin().device(write(2, b"1")).server(status(2, 2)).close("end")
    fix = only(talk, "BS301").fix
    assert "syncVirtual" not in fix
    assert "BS307" in fix
    talk = begin().device(write(2, b"1"), write(3, b"2", b"1")).server(status(2, 2)).close("end")
    assert "syncVirtual" in only(talk, "BS301").fix


# --- BS307: the page of the command ---


def test_illegal_bodies_name_their_command():
    talk = begin().device(write(2, b"1")).server(status(2, 2)).close("end")
    assert "`blynkscope explain MSG_HW`" in only(talk, "BS307").fix
    talk = begin().device(frame(19, 2, b"1", b"bogus", b"x")).server(status(2, 11)).close("end")
    fix = only(talk, "BS307").fix
    assert "onLabel" in fix
    assert "NUL" not in fix


def test_advice_names_pages_that_exist():
    for rule in CATALOGUE.values():
        for page in rule.fix.split("`blynkscope explain ")[1:]:
            assert CliRunner().invoke(explain.command, [page.partition("`")[0]]).exit_code == 0, rule.id


# --- BS318: headers alone ---


def test_a_header_alone_in_a_long_log_is_a_length():
    log = online().device(17, 2, b"ver", b"1.0").status(2).device(16, 3, b"vr", b"0").server(20, 3, word=9, cut=True)
    log.device(6, 4).status(4).finish()
    found = only(log, "BS318")
    assert (found.severity, found.frames) == ("note", (6,))
    assert "STA_INVALID_TOKEN" in found.detail
    assert log.findings("BS909") == []


def test_a_header_alone_whose_length_is_no_status_was_cut():
    log = online().device(17, 2, b"ver", b"1.0").status(2).server(20, 3, word=100, cut=True).finish()
    assert log.findings("BS318") == []
    assert len(log.findings("BS909")) == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (">[14|00|0D|00|09]           // [server responds, but I don't understand this]", 1),
        (">[00|00|0D|00|09]  // a status", 0), (">[14|00|0D|00|64] // long", 0), (">[14|00|0D|00|09]vw.1.5 // whole", 0),
    ],
)  # fmt: skip
def test_a_header_that_somebody_quotes(text, count):
    log = online().line("user-print", text).finish()
    assert len(log.findings("BS318")) == count


# --- BS104, BS105 ---


def test_a_dns_server_that_lacks_one_name():
    run = Connections().dns("example.org").dns("example.org", at=100.1, rcode=0, address="192.0.2.9")
    run.dns("blynk.cloud").dns("blynk.cloud", at=105.0).dns("blynk.cloud", at=110.0)
    found = only(run.finish(), "BS104")
    assert "example.org" in found.detail
    assert "this one name" in found.detail
    assert all(host in found.fix for host in REGIONS)
    assert "DNS server that works" not in found.fix


def test_a_name_of_ones_own_that_the_server_lacks():
    run = Connections().dns("example.org").dns("example.org", at=100.1, rcode=0, address="192.0.2.9")
    run.dns("my-blynk.example.org").dns("my-blynk.example.org", at=105.0, rcode=3)
    assert "spelling" in only(run.finish(), "BS104").fix


def test_the_seed_of_one_name():
    (found,) = of_capture("made/seed_dns_one_name.pcap")["BS104"]
    assert all(host in found.fix for host in REGIONS)
    assert all(host in CATALOGUE["BS104"].fix for host in REGIONS)


@pytest.mark.parametrize(
    ("library", "word"),
    [
        ("node-red", "node-red-contrib-blynk-iot"), ("js", "TcpClient"), ("micropython", "BlynkLib.Blynk(token)"),
        ("blynklib", "BlynkLib 1.0.0"), ("cpp", "BLYNK_TEMPLATE_ID"),
    ],
)  # fmt: skip
def test_the_legacy_cloud_in_words_of_the_library(library, word):
    log = LogTalk(host="blynk-cloud.com", port=80).device(29, 1, TOKEN).close()
    log.line("log-end", "", at=0, frames=1, lines=1, library=library).finish()
    found = only(log, "BS105")
    assert word in found.fix
    assert ("sketch" in found.fix) == (library == "cpp")
    assert "the legacy cloud was shut down" in found.detail


# --- BS113, BS201, BS319, BS321, BS117, BS308 ---


@pytest.mark.parametrize(("version", "asks"), [("1.1.0.0(May 11 2016)", False), ("0.21.0.0", True)])
def test_firmware_that_the_module_has_is_no_advice(version, asks):
    log = LogTalk(host="blynk.cloud", port=80).line("modem", f"AT version:{version}").device(29, 1, TOKEN)
    fix = only(log.line("cmd-error", "Cmd error", after=10.0).finish(), "BS113").fix
    assert ("firmware of version 1.0 or later" in fix) == asks
    assert "baud" in fix
    assert "supply" in fix


def test_an_app_login_on_a_device_port_compares_no_clouds():
    (found,) = of_capture("11c_wrong_protocol_8080.pcap")["BS201"]
    assert "7 bytes" in found.fix
    assert "Compare the host" not in found.fix
    assert len(frame(2, 1, TOKEN, head=APP)) == 7 + len(TOKEN)


def test_broken_frames_of_a_capture_blame_no_serial_line():
    for found in of_capture("11c_wrong_protocol_8080.pcap")["BS319"]:
        assert "baud" not in found.fix
        assert "serial" not in found.fix


@pytest.mark.parametrize(
    ("kind", "text", "facts", "word", "decodes"),
    [
        ("reset", "boot noise", {"cause": "boot noise"}, "reset cause", False),
        ("reset", "Brownout detector", {"cause": "brownout"}, "capacitor", False),
        ("crash", "Exception (28):", {"exception": 28}, "stack trace, decode", True),
    ],
)
def test_only_a_stack_trace_is_decoded(kind, text, facts, word, decodes):
    fix = only(online().line("ready").line(kind, text, **facts).finish(), "BS321").fix
    assert word in fix
    assert ("decoder" in fix) == decodes


@pytest.mark.parametrize(("kinds", "count"), [((), 0), (("banner",), 1), (("reset",), 1)])
def test_connecting_to_something_is_no_network_without_a_board(kinds, count):
    log = LogTalk(opened=False)
    for number, kind in enumerate(kinds, 1):
        log._tell(Line(0, None, number, kind, kind, {}))
    log._tell(Line(0, None, 8, "wifi", "Connecting to DB...", {"ssid": "DB"}))
    log.line("log-end", "", at=0, frames=0, lines=9, library="unknown").finish()
    assert len(log.findings("BS117")) == count


@pytest.mark.parametrize(("by", "told"), [(1, True), (0, False)])
def test_a_flood_that_the_server_ended(by, told):
    talk = begin()
    for number in range(2, 200):
        talk.device(write(number, b"1", b"5"), after=0.02)
    detail = only(talk.close("fin", by=by), "BS308").detail
    assert ("The server closed the connection" in detail) == told
    assert ("not acknowledged by then is lost" in detail) == told


# --- BS503 and the stronger ones ---


def particle(*lines):
    log = LogTalk(opened=False)
    for facts in lines:
        log.line("particle", "…", at=0, **facts)
    return log.line("log-end", "", at=0, frames=0, lines=9, library="particle").finish()


PASTED = {"read": 40, "written": 256, "step": "key", "code": -19, "host": "device.spark.io"}


def test_words_above_a_log_are_not_told_beside_it():
    log = particle({"code": -19}, PASTED, {"code": -19})
    assert log.of(5) == ["BS501"]
    assert "40 bytes" in only(log, "BS501").detail


def test_words_alone_are_told_when_the_log_ends():
    assert particle({"code": -19}, {"code": -19}).of(5) == ["BS503"]


# --- BS312, BS402, sections ---


def test_ids_that_do_not_go_on():
    talk = begin().device(frame(6, 2), frame(6, 3), frame(6, 2), frame(6, 4)).close("end")
    found = only(talk, "BS312")
    assert "The message of frame 5 has an id that is not above those before it" in found.detail
    assert "Leave writes inside a write handler as they are" in found.fix


def test_one_error_for_an_address_that_nobody_reaches():
    found = of_capture("made/ota_refused_container.pcap")
    assert [(one.id, one.severity) for name in ("BS401", "BS402") for one in found[name]] == [
        ("BS401", "error"),
        ("BS402", "note"),
    ]


def test_sections_are_topics():
    sections = {rule.section for rule in CATALOGUE.values()}
    assert all(len(section.split()) <= 4 and not set(section) & set(",;:") for section in sections)
