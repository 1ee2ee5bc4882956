"""BS101 to BS107, BS111 to BS115: connections that do not come about, and text or protocols that do not belong."""

import pytest
from logtalk import LogTalk
from nettalk import Connections, of_capture
from talk import TOKEN, Talk, begin, frame, ping, status

# --- BS101, BS102 ---


def test_refused_connections_are_one_finding():
    run = Connections()
    for turn in range(5):
        run.attempt("refused", at=100.0 + 5 * turn)
    (finding,) = run.finish().findings("BS101")
    assert finding.severity == "error"
    assert "192.0.2.2:8080" in finding.detail
    assert "8080" in finding.detail
    assert run.findings("BS102") == []


def test_refused_on_an_old_port_names_the_new_ones():
    (finding,) = Connections().attempt("refused", port=8442).finish().findings("BS101")
    assert '"192.0.2.2", 8080' in finding.fix


def test_each_refusing_server_is_told():
    run = Connections().attempt("refused").attempt("refused", server="192.0.2.3").finish()
    assert len(run.findings("BS101")) == 2


def test_a_port_that_no_blynk_server_has_is_none_of_ours():
    assert Connections().attempt("refused", port=22).attempt("unanswered", port=22, last=107.0).finish().bad == set()


def test_an_unanswered_syn():
    (finding,) = Connections().attempt("unanswered", last=107.0).finish().findings("BS102")
    assert (finding.severity, finding.count) == ("error", 1)
    assert "7.0 s" in finding.detail


def test_unanswered_connections_of_one_device_are_one_finding():
    run = Connections().attempt("unanswered", last=107.0).attempt("unanswered", at=120.0, last=127.0).finish()
    (finding,) = run.findings("BS102")
    assert (finding.count, finding.stream) == (2, 1)


def test_a_syn_at_the_very_end_proves_nothing():
    assert Connections().attempt("unanswered", at=100.0, last=100.0).finish().findings("BS102") == []


def test_unanswered_once_but_reached_before_is_a_warning():
    hello = [(0, frame(29, 1, TOKEN)), (1, status(1))]
    run = Connections().talk(wires=hello).attempt("unanswered", at=110.0, last=117.0).finish()
    (finding,) = run.findings("BS102")
    assert finding.severity == "warning"


def test_addresses_inside_a_container_are_named():
    (finding,) = Connections().attempt("refused", server="172.17.0.2").finish().findings("BS101")
    assert "Docker" in finding.detail


def test_a_refused_download_of_an_update_is_not_a_refused_server():
    url = b"http://192.0.2.9:8080/static/ota/a.bin"
    wires = [(0, frame(29, 1, TOKEN)), (1, status(1)), (1, frame(17, 7777, b"ota", url))]
    run = Connections().talk(wires=wires).attempt("refused", at=103.0, server="192.0.2.9").finish()
    assert run.findings("BS101") == []


def test_a_log_tells_of_a_refusal():
    log = LogTalk(host="blynk.example.org", port=8080)
    log.line("refused", "Connection refused", host="blynk.example.org", port=8080)
    log.line("refused", "Connection refused", host="blynk.example.org", port=8080).finish()
    (finding,) = log.findings("BS101")
    assert "blynk.example.org:8080" in finding.detail


@pytest.mark.parametrize(("kind", "facts"), [("unreachable", {}), ("timeout", {"what": "connect"})])
def test_a_log_tells_that_no_one_answered(kind, facts):
    log = LogTalk(host="192.168.7.7", port=8080).line(kind, "No route to host", **facts).finish()
    (finding,) = log.findings("BS102")
    assert "192.168.7.7" in finding.detail


def test_a_timeout_of_a_connection_that_worked_is_another_thing():
    log = LogTalk(host="192.168.7.7", port=8080).device(29, 1, TOKEN).status(1)
    assert log.line("timeout", "Timeout", what="connect").finish().findings("BS102") == []


# --- BS103 ---


@pytest.mark.parametrize(("by", "severity"), [(1, "warning"), (0, "note")])
def test_a_reset(by, severity):
    talk = begin().device(ping(2)).server(status(2)).close("reset", by=by)
    (finding,) = talk.findings("BS103")
    assert finding.severity == severity
    assert ("The server" if by else "The client") in finding.detail


def test_an_ordinary_end_is_no_reset():
    assert begin().close("fin", by=1).findings("BS103") == []


def test_a_reset_that_something_else_explains():
    talk = Talk().device(frame(29, 1, TOKEN)).server(status(1, 9)).close("reset", by=1)
    assert talk.findings("BS201")
    assert talk.findings("BS103") == []


def test_a_log_tells_of_a_reset():
    log = LogTalk(host="blynk.cloud", port=80).device(29, 1, TOKEN).status(1)
    log.line("disconnected", "read ECONNRESET", reason="ECONNRESET").finish()
    assert len(log.findings("BS103")) == 1
    log = LogTalk(host="blynk.cloud", port=80).device(29, 1, TOKEN).status(1)
    assert log.line("disconnected", "Disconnected").finish().findings("BS103") == []


# --- BS104, BS105 ---


@pytest.mark.parametrize(("rcode", "name"), [(3, "NXDOMAIN"), (2, "SERVFAIL"), (0, "no address")])
def test_a_name_without_address(rcode, name):
    run = Connections().dns("ny3.blynk.cloud").dns("ny3.blynk.cloud", at=100.1, rcode=rcode).finish()
    (finding,) = run.findings("BS104")
    assert finding.severity == "error"
    assert "ny3.blynk.cloud" in finding.detail
    assert name in finding.detail


def test_a_name_with_an_address():
    run = Connections().dns("ny3.blynk.cloud").dns("ny3.blynk.cloud", at=100.1, rcode=0, address="192.0.2.2")
    run.dns("ny3.blynk.cloud", at=100.2, kind=28).dns("ny3.blynk.cloud", at=100.3, rcode=0, kind=28)
    assert run.finish().findings("BS104") == []


def test_a_name_that_failed_first_is_a_note():
    run = Connections().dns("blynk.cloud").dns("blynk.cloud", at=100.1, rcode=2)
    run.dns("blynk.cloud", at=101.0).dns("blynk.cloud", at=101.1, rcode=0, address="192.0.2.2")
    assert [one.severity for one in run.finish().findings("BS104")] == ["note"]


def test_other_names_are_none_of_ours():
    assert Connections().dns("example.org").dns("example.org", at=100.1, rcode=3).finish().bad == set()


@pytest.mark.parametrize(("at", "count"), [(90.0, 1), (105.0, 0)])
def test_a_device_that_cannot_come_back_asks_for_its_own_server(at, count):
    run = Connections().dns("farm.example.org").dns("farm.example.org", at=100.1, rcode=3)
    run.talk(at=at, wires=[(0, frame(29, 1, TOKEN)), (1, status(1))])
    assert len(run.finish().findings("BS104")) == count


def test_no_answer_to_the_question():
    run = Connections().dns("blynk.cloud").dns("blynk.cloud", at=105.0).dns("blynk.cloud", at=110.0).finish()
    (finding,) = run.findings("BS104")
    assert finding.count == 3
    assert "3 times" in finding.detail
    assert "answered none" in finding.detail


def test_a_question_at_the_very_end_proves_nothing():
    assert Connections().dns("blynk.cloud").finish().findings("BS104") == []


def test_a_capture_without_answers_proves_nothing_where_the_device_connects():
    run = Connections().dns("blynk.cloud").talk(at=101.0, end=120.0, wires=[(0, frame(29, 1, TOKEN)), (1, status(1))])
    assert run.finish().findings("BS104") == []


def test_a_log_tells_that_a_name_is_not_known():
    log = LogTalk().line("dns-failure", "getaddrinfo ENOTFOUND blynk.cloud", host="blynk.cloud")
    log.line("dns-failure", "getaddrinfo ENOTFOUND blynk.cloud", host="blynk.cloud").finish()
    (finding,) = log.findings("BS104")
    assert "blynk.cloud" in finding.detail


@pytest.mark.parametrize("host", ["blynk-cloud.com", "cloud.blynk.cc"])
def test_the_legacy_cloud(host):
    log = LogTalk(host=host, port=80).device(29, 1, TOKEN).status(1, 9).finish()
    (finding,) = log.findings("BS105")
    assert finding.severity == "warning"
    assert host in finding.detail
    assert "blynk.cloud" in finding.fix


def test_where_the_legacy_cloud_lets_the_device_in_it_is_a_note():
    log = LogTalk(host="blynk-cloud.com", port=80).device(29, 1, TOKEN).status(1).finish()
    assert [one.severity for one in log.findings("BS105")] == ["note"]


def test_the_legacy_cloud_on_each_reconnect_is_one_finding():
    log = LogTalk(host="blynk-cloud.com", port=80).device(29, 1, TOKEN)
    log.open("blynk-cloud.com", 80).device(29, 1, TOKEN).finish()
    assert len(log.findings("BS105")) == 1


@pytest.mark.parametrize("host", ["blynk.cloud", "not-blynk-cloud.com", "blynk-cloud.com.example.org", None])
def test_other_hosts(host):
    assert LogTalk(host=host, port=80).device(29, 1, TOKEN).status(1).finish().findings("BS105") == []


def test_the_legacy_cloud_in_dns_alone():
    (finding,) = Connections().dns("blynk-cloud.com").finish().findings("BS105")
    assert finding.stream is None


def test_a_gateway_that_goes_to_the_legacy_cloud():
    log = LogTalk(opened=False).line("gateway", "Connect(…)", at=0, host="blynk-cloud.com", port=80).finish()
    assert len(log.findings("BS105")) == 1


# --- BS107, BS111, BS112 ---

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
ALERT = bytes.fromhex("15030300020246")
MQTT = bytes.fromhex("101000044d5154540402003c000474657374")


def upgrade(path):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("wires", "by"),
    [
        ([(0, frame(29, 1, TOKEN))], 1),
        ([(0, frame(29, 1, TOKEN)), (1, ALERT)], 1),
        ([(0, frame(29, 1, TOKEN)), (1, BAD_REQUEST)], 1),
        ([(0, GET), (1, BAD_REQUEST)], 1),
    ],
)
@pytest.mark.parametrize("port", [443, 9443])
def test_plain_on_a_tls_port(wires, by, port):
    run = Connections().talk(wires=wires, by=by, port=port).finish()
    (finding,) = run.findings("BS107")
    assert str(port) in finding.detail
    assert run.bad == {"BS107"}


def test_plain_that_is_answered_on_such_a_port():
    run = Connections().talk(wires=[(0, frame(29, 1, TOKEN)), (1, status(1))], port=9443).finish()
    assert run.bad == set()


def test_plain_on_a_tls_port_on_each_reconnect_is_one_finding():
    run = Connections()
    for turn in range(4):
        run.talk(wires=[(0, frame(29, 1, TOKEN))], by=1, port=443, at=100.0 + 9 * turn)
    run.finish()
    assert len(run.findings("BS107")) == 1
    assert run.findings("BS202") == []


@pytest.mark.parametrize(
    ("wires", "words"),
    [
        ([(0, MQTT)], "MQTT"),
        ([(0, b"SSH-2.0-OpenSSH_9.2\r\n")], "SSH"),
        ([(0, frame(29, 1, TOKEN)), (1, BAD_REQUEST)], "400"),
        ([(0, frame(29, 1, TOKEN)), (1, b"SSH-2.0-OpenSSH_9.2\r\n")], "OpenSSH_9.2"),
        ([(1, b"SSH-2.0-OpenSSH_9.2\r\n")], "OpenSSH_9.2"),
        ([(0, frame(29, 1, TOKEN)), (1, status(1)), (0, b"GET /x HTTP/1.1\r\n\r\n")], "HTTP"),
        ([(0, upgrade("/websockets")), (1, BAD_REQUEST)], "/websockets"),
    ],
)
def test_another_protocol(wires, words):
    run = Connections().talk(wires=wires, by=1).finish()
    (finding,) = run.findings("BS111")
    assert words in finding.detail
    assert run.bad == {"BS111"}


@pytest.mark.parametrize(
    "wires",
    [
        [(0, MQTT), (1, b"\x20\x02\0\0")],
        [(0, GET), (1, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")],
        [(0, upgrade("/websockets")), (1, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")],
        [(0, upgrade("/other")), (1, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")],
    ],
)
def test_another_protocol_that_is_answered_well(wires):
    assert Connections().talk(wires=wires).finish().bad == set()


def test_mqtt_on_its_own_port_is_none_of_ours():
    assert Connections().talk(wires=[(0, MQTT)], by=1, port=1883).finish().bad == set()


@pytest.mark.parametrize("answer", [b"", BAD_REQUEST])
def test_the_wrong_websocket_path(answer):
    wires = [(0, upgrade("/websocket"))] + ([(1, answer)] if answer else [])
    run = Connections().talk(wires=wires).finish()
    (finding,) = run.findings("BS112")
    assert '"/websocket"' in finding.detail
    assert "/websockets, with an s" in finding.detail
    assert run.bad == {"BS112"}


@pytest.mark.parametrize(
    "name",
    ["01a_hw_plain_pyBlynkLib020", "03_hw_plain_js054", "04_hw_plain_cpp140", "06a_hw_tls_pyBlynkLib100",
     "06d_hw_tls13_pyBlynkLib100", "07a_app_tls12", "08a_ws_nodered_plain", "08d_ws_dashws_tls", "09a_http_rest_plain",
     "09c_ota_start_get", "12c_second_login", "13_bridge", "15a_byte_by_byte"],
)  # fmt: skip
def test_good_sessions_have_no_trouble_on_the_way(name):
    found = of_capture(f"{name}.pcap")
    bad = {key for key, all_ in found.items() for one in all_ if one.severity != "note"}
    assert not {key for key in bad if key[2] in "156"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tls_on_plain_port", {"BS106"}), ("mqtt_on_8080", {"BS111"}), ("dns_nxdomain", {"BS104", "BS105"}),
        ("dns_unanswered", {"BS104", "BS105"}), ("dns_then_no_answer", {"BS102"}), ("seed_dns_one_name", {"BS104"}),
    ],
)  # fmt: skip
def test_made_captures(name, expected):
    found = of_capture(f"made/{name}.pcap")
    assert {key for key, all_ in found.items() for one in all_ if one.severity != "note"} == expected


def test_the_wrong_protocols_of_a_recording():
    found = of_capture("11c_wrong_protocol_8080.pcap")
    assert {one.stream for one in found["BS111"]} == {14, 19, 20, 21}
    assert [one.stream for one in found["BS106"]] == [22]
    assert "BS109" not in found


# --- BS113 to BS115 ---


def test_a_write_that_is_not_taken():
    log = LogTalk(host="blynk.cloud", port=80).device(29, 1, TOKEN).line("cmd-error", "Cmd error", after=10.0).finish()
    (finding,) = log.findings("BS113")
    assert finding.frames == (1,)
    assert "10.0 s" in finding.detail
    assert "Nothing was ever received" in finding.detail
    assert log.findings("BS202") == []


def test_a_write_that_is_taken_in_part():
    log = LogTalk().device(29, 1, TOKEN).status(1).line("sent", "Sent 5/15", sent=5, total=15).finish()
    assert "5/15" in log.findings("BS113")[0].detail
    log = LogTalk().device(29, 1, TOKEN).status(1).line("sent", "Sent 15/15", sent=15, total=15).finish()
    assert log.findings("BS113") == []


def test_the_same_block_on_each_reconnect_is_one_finding():
    log = LogTalk().device(29, 1, TOKEN).line("cmd-error", "Cmd error")
    log.open().device(29, 1, TOKEN).line("cmd-error", "Cmd error").finish()
    assert len(log.findings("BS113")) == 1


def test_a_frame_that_stops_in_the_middle_explains_it_better():
    log = LogTalk().device(29, 1, TOKEN).status(1).device(17, 2, b"ver", b"0.4.10", word=99, cut=True)
    log.line("cmd-error", "Cmd error").finish()
    assert log.findings("BS320")
    assert log.findings("BS113") == []


def test_text_of_a_ble_module():
    log = LogTalk().device(29, 1, TOKEN).line("ble-module", "OK+CONN", text="OK+CONN")
    log.line("packet-too-big", "Packet too big: 17231", size=17231)
    log.line("invalid-header-type", "Invalid header type: 78", type=78).finish()
    (finding,) = log.findings("BS114")
    assert "0x434F" in finding.detail
    assert '"CO"' in finding.detail
    assert "AT+NOTI0" in finding.fix
    assert log.findings("BS319") == []


def test_the_length_alone_gives_the_module_away():
    log = LogTalk().device(29, 1, TOKEN).line("packet-too-big", "Packet too big: 17231", size=17231).finish()
    assert "OK+CONN" in log.findings("BS114")[0].detail


def test_text_of_a_module_that_does_no_harm():
    log = LogTalk().line("ble-module", "OK+CONN", text="OK+CONN").device(29, 1, TOKEN).status(1).finish()
    assert log.findings("BS114") == []


def test_a_big_packet_is_no_text():
    log = LogTalk().device(29, 1, TOKEN).status(1).line("packet-too-big", "Packet too big: 1500", size=1500).finish()
    assert log.findings("BS114") == log.findings("BS115") == []


def test_prints_among_the_frames():
    text = "dw.3.1..^..dw.2.1.._..aw.16.231Current time: 0:0:41 1 1 1970.......vw.1.0:0:41"
    log = LogTalk().line("user-print", text, at=0).line("user-print", text, at=0).finish()
    (finding,) = log.findings("BS114")
    assert "Current time" in finding.detail
    assert "another serial port" in finding.fix


def test_prints_beside_the_frames():
    log = LogTalk().line("user-print", "Current time: 0:0:41 and dw is a command", at=0).finish()
    assert log.findings("BS114") == []


def test_own_data_on_the_connection():
    log = LogTalk().line("user-print", "151:-74,62:-9,28:0,97")
    log.line("packet-too-big", "Packet too big: 14893", size=14893).finish()
    (finding,) = log.findings("BS115")
    assert "0x3A2D" in finding.detail
    assert "151:-74" in finding.detail


def test_a_stream_that_lost_its_framing_is_no_own_data():
    log = LogTalk().device(29, 1, TOKEN).status(1).line("packet-too-big", "Packet too big: 13875", size=13875).finish()
    assert log.findings("BS115") == []


def test_text_among_frames_of_a_capture():
    talk = begin().device(b"OK+LOST\r\n" + ping(2)).server(status(2)).device(ping(3)).server(status(3)).close()
    assert "OK+LOST" in talk.findings("BS114")[0].detail
    talk = begin().device(b"temperature=23.5\r\n" + ping(2)).server(status(2)).device(ping(3)).server(status(3)).close()
    assert "temperature" in talk.findings("BS115")[0].detail


def test_secrets_are_not_quoted():
    text = b"auth=" + TOKEN + b" x\r\n"
    talk = begin().device(text + ping(2)).server(status(2)).device(ping(3)).server(status(3)).close()
    (finding,) = talk.findings("BS115")
    assert TOKEN[:20].decode() not in finding.detail


@pytest.mark.parametrize(("path", "name"), [("/websockets", "BS111"), ("/websocket", "BS112")])
def test_an_upgrade_that_is_granted_in_the_end_is_no_failure(path, name):
    """The client found its way on the same connection: what it was refused before is worth a note."""
    granted = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    wires = [(0, upgrade(path)), (1, BAD_REQUEST), (0, upgrade("/websockets")), (1, granted)]
    run = Connections().talk(wires=wires).finish()
    (finding,) = run.findings(name)
    assert finding.severity == "note"
    assert "400" in finding.detail
    assert run.bad == set()
