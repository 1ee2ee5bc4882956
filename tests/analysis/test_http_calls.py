"""HTTP calls as records: requests with their answers, and the frames that they caused."""

import hashlib
import http.client
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from captures_of import CAPTURES
from httptalk import FakeRun, Http
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope.analysis import relays
from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.exchanges import PIPELINED_MAX
from blynkscope.analysis.records import LinkRecord, MessageRecord
from blynkscope.protocol.rest import KINDS
from blynkscope.sources import CaptureSource

T = "0123456789abcdef0123456789abcdef"
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def get(target, *fields, method="GET", body=b""):
    lines = [f"{method} {target} HTTP/1.1", "Host: h", *fields]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def ok(body, *fields, status="200 OK"):
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]).encode() + body


def put(target, body):
    return get(target, "Content-Type: application/json", method="PUT", body=body)


# --- one call -----------------------------------------------------------------------------------------------------------


def test_a_write_with_the_frame_that_it_caused():
    talk = Http()
    talk.client(put(f"/{T}/update/V0", b'["1"]'))
    assert talk.caused(31, b"vw0", b"1") == []
    talk.server(DONE, findings=("BS999",))
    (record,) = talk.records
    assert record.text == f'PUT /{T}/update/V0 ["1"] → 200, device HW #31 (id 111)'
    assert (record.protocol, record.kind, record.name, record.n, record.stream) == ("http", "rest-update", "PUT", 1, 2)
    assert (record.frames, record.findings, record.rtt_ms, record.sender) == ((31,), ("BS999",), 135.0, "unknown")
    assert (record.src, record.dst, record.via, record.time) == (
        "192.0.2.9:50000",
        "192.0.2.2:8080",
        ("tcp",),
        talk.time,
    )
    assert record.detail == {
        "method": "PUT", "target": f"/{T}/update/V0", "path": f"/{T}/update/V0", "host": "h", "era": "legacy",
        "does": "writes a pin", "token": T, "pin": "V0", "values": ["1"], "writes": None, "properties": None, "status": 200,
        "reason": "OK", "request_bytes": 5, "response_bytes": 0, "request_content": '["1"]', "response_content": None,
        "content_type": None, "sha256": None, "complete": True, "user_agent": None, "server": None, "location": None,
        "authorization": None, "user": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "answer", "kind", "text"),
    [
        (get("/t/get/V0"), ok(b'["42"]'), "rest-get", 'GET /t/get/V0 → 200 ["42"]'),
        (get("/t/get/V9"), ok(b"Requested pin\r\n is not there.", status="400 Bad Request"), "rest-get",
         "GET /t/get/V9 → 400 Requested pin is not there."),
        (get("/nosuch"), ok(b"", status="404 Not Found"), "other", "GET /nosuch → 404 Not Found"),
        (get("/t/project"), ok(b"{" + b" " * 200 + b"}"), "rest-project", "GET /t/project → 200, 202 bytes"),
        (get("/static/ota/fw.bin"), ok(b"\xe9" * 5055), "firmware-download",
         f"GET /static/ota/fw.bin → 200, 5055 bytes, sha256 {hashlib.sha256(bytes([0xE9]) * 5055).hexdigest()[:8]}…"),
        (get("/"), b"HTTP/1.1 301 Moved\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n", "page", "GET / → 301 to https://x/"),
        (get("/static/ota/fw.bin", method="HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 5055\r\n\r\n", "firmware-download",
         "HEAD /static/ota/fw.bin → 200"),
        (get("/static/ota/fw.bin"), b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "firmware-download",
         "GET /static/ota/fw.bin → 304 Not Modified"),
        (get("/websockets", "Upgrade: websocket"), b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x82\x00", "websocket-upgrade",
         "GET /websockets → 101 Switching Protocols"),
        (get("/x", method="POST", body=b"\0\1\2"), DONE, "other", "POST /x (3 bytes) → 200"),
        (get("/t/get/V0"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n", "rest-get",
         "GET /t/get/V0 → 200 [1]"),
        (b"CONNECT h:1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 Connection established\r\n\r\n\x16\x03", "tunnel", "CONNECT h:1 → 200"),
    ],
)  # fmt: skip
def test_lines(asked, answer, kind, text):
    talk = Http().client(asked).server(answer)
    assert [(record.kind, record.text) for record in talk.records] == [(kind, text)]
    assert talk.close().texts == [text]
    assert all(record.kind in KINDS for record in talk.records)


def test_values_of_pins():
    talk = Http().client(get(f"/external/api/batch/update?token={T}&V1=5&V2=6")).server(DONE)
    talk.client(get("/t/get/V4")).server(ok(b'["12"]')).client(get("/t/get/V5")).server(ok(b"x", status="400 X"))
    found = [(one.detail["pin"], one.detail["values"], one.detail["writes"]) for one in talk.records]
    both = [{"pin": "V1", "values": ["5"]}, {"pin": "V2", "values": ["6"]}]
    assert found == [(None, None, both), ("V4", ["12"], None), ("V5", None, None)]


def test_a_body_that_breaks_off():
    talk = Http().client(get("/static/ota/a.bin")).server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").close()
    assert talk.texts == ["GET /static/ota/a.bin → 200, 3 of 9 bytes (broken off)"]
    detail = talk.records[0].detail
    assert (detail["complete"], detail["expected_bytes"], detail["missing_bytes"], detail["sha256"]) == (
        False,
        9,
        0,
        None,
    )


def test_a_body_with_bytes_that_the_capture_lost():
    talk = Http().client(get("/static/ota/a.bin")).server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    talk.gap(1, 3).server(b"def")
    assert talk.texts == ["GET /static/ota/a.bin → 200, 6 of 9 bytes (the capture misses some)"]


def test_how_long_a_download_took():
    talk = (
        Http()
        .client(get("/a.bin"))
        .server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        .server(b"defghi", after=2.0)
    )
    (record,) = talk.records
    assert (record.rtt_ms, record.detail["transfer_ms"], record.sender) == (125.0, 2000.0, "device")


def test_no_answer():
    talk = Http().client(get("/t/get/V0")).close()
    assert talk.texts == ["GET /t/get/V0 → no answer"]
    assert (talk.records[0].rtt_ms, talk.records[0].detail["complete"], talk.records[0].detail["status"]) == (
        None,
        False,
        None,
    )


def test_an_answer_whose_request_was_not_seen():
    talk = Http().server(ok(b"true"))
    assert talk.texts == ["(request not seen) → 200 true"]
    assert talk.records[0].detail["request_seen"] is False


def test_credentials_are_not_kept():
    talk = Http().client(get("/admin/ota/start", "Authorization: Basic bWU6czNjcmV0")).server(DONE)
    assert talk.records[0].detail["user"] == "me"
    assert "s3cret" not in repr(talk.records)
    assert "bWU6" not in repr(talk.records)


def test_long_texts_are_cut_without_a_piece_of_a_token():
    talk = Http().client(get("/" + "a/" * 95 + T * 3)).server(ok(b"x " * 30 + T.encode() * 2))
    text = talk.texts[0]
    assert T[:8] not in text
    assert len(text) < 400
    talk = Http().client(get("/t/get/V1")).server(ok(b"x" + b" " * 60 + b"y" + b" " * 9))
    assert talk.texts == ["GET /t/get/V1 → 200 x y"]
    talk = Http().client(put("/t/update/V1", b"x" + b" " * 130 + T.encode()))
    assert T[:6] not in talk.close().texts[0]


# --- several calls on one connection ------------------------------------------------------------------------------------


def test_keep_alive_and_pipelining():
    talk = (
        Http()
        .client(get("/t/get/V0"))
        .server(ok(b"[0]"))
        .client(get("/t/get/V1") + get("/t/get/V2"))
        .server(ok(b"[1]"))
    )
    assert talk.texts == ["GET /t/get/V0 → 200 [0]", "GET /t/get/V1 → 200 [1]"]
    talk.client(get("/t/get/V3")).server(ok(b"[2]") + ok(b"[3]"))
    assert talk.texts[2:] == ["GET /t/get/V2 → 200 [2]", "GET /t/get/V3 → 200 [3]"]
    assert [record.n for record in talk.records] == [1, 2, 3, 4]


def test_continue_is_no_answer():
    head, body = put("/t/update/V1", b'["7"]').split(b'["7"]')[0], b'["7"]'
    talk = Http().client(head).server(b"HTTP/1.1 100 Continue\r\n\r\n").client(body).server(DONE)
    assert talk.texts == ['PUT /t/update/V1 ["7"] → 200']


def test_head_is_followed_by_the_next_answer():
    talk = Http().client(get("/a.bin", method="HEAD") + get("/t/get/V1"))
    talk.server(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + ok(b"[1]")).close()
    assert talk.texts == ["HEAD /a.bin → 200", "GET /t/get/V1 → 200 [1]"]


def test_a_refused_upgrade_goes_on_as_http():
    talk = Http().client(get("/websocket", "Upgrade: websocket")).server(ok(b"", status="404 Not Found"))
    talk.client(get("/t/get/V1")).server(ok(b"[1]"))
    assert talk.texts == ["GET /websocket → 404 Not Found", "GET /t/get/V1 → 200 [1]"]
    assert talk.through == [b"", b""]


def test_what_is_inside_an_upgrade_goes_on():
    talk = Http().client(get("/websockets", "Upgrade: websocket"))
    talk.server(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x82\x01a").client(b"\x82\x81mask")
    assert talk.through == [b"\x82\x81mask", b"\x82\x01a"]
    assert talk.close().texts == ["GET /websockets → 101 Switching Protocols"]


def test_answers_that_the_capture_lost():
    talk = Http().client(get("/t/get/V0")).gap(1, 100).client(get("/t/get/V1")).server(ok(b"[1]"))
    assert talk.texts == ["GET /t/get/V0 → answer not in the capture", "GET /t/get/V1 → 200 [1]"]


def test_requests_without_end():
    talk = Http().client(get("/t/get/V0") * (PIPELINED_MAX + 5))
    assert len(talk.records) == 5
    assert len(talk.close().records) == PIPELINED_MAX + 5


# --- frames -------------------------------------------------------------------------------------------------------------


def wrote(call, *frames, run=None, **options):
    talk = Http(run).client(call)
    for frame in frames:
        talk.caused(*frame, **options)
    return talk.server(DONE).records[-1].frames


def test_only_the_frame_that_fits():
    call = put(f"/{T}/update/V1", b'["1","2"]')
    assert wrote(call, (3, b"vw1", b"1\x002")) == (3,)
    assert wrote(call, (3, b"vw2", b"1\x002"), (4, b"dw1", b"1\x002"), (5, b"vw1", b"1"), (6, b"vw1", None)) == ()
    assert wrote(get(f"/{T}/get/V1"), (3, b"vw1", b"1\x002")) == ()
    assert wrote(call, (3, b"vw1", b"1\x002"), after=relays.RELAY_SECONDS + 0.1) == ()


def test_long_values():
    from blynkscope.analysis.dialogue import _kept

    value = "x" * 200
    assert wrote(put("/t/update/V1", f'["{value}"]'.encode()), (3, b"vw1", _kept(value.encode()))) == (3,)


def test_no_frame_for_two_calls_and_one_for_each():
    run = FakeRun()
    one, two = Http(run, 2), Http(run, 3)
    one.client(get("/t/update/V1?value=1"))
    two.client(get("/t/update/V1?value=1"))
    one.caused(5, b"vw1", b"1")
    one.caused(6, b"vw1", b"1")
    assert one.caused(7, b"vw1", b"1") == []
    assert [one.server(DONE).records[-1].frames, two.server(DONE).records[-1].frames] == [(5,), (6,)]


def test_two_connections_of_a_device_get_it_both():
    talk = Http().client(get("/t/update/V1?value=1"))
    talk.caused(5, b"vw1", b"1", stream=7)
    talk.caused(6, b"vw1", b"1", stream=8)
    assert talk.server(DONE).records[-1].frames == (5, 6)


def test_a_frame_that_comes_behind_the_answer():
    talk = Http().client(get("/t/update/V1?value=1")).server(DONE)
    assert talk.records[0].frames == ()
    assert talk.caused(9, b"vw1", b"1") == [LinkRecord(1, 9, talk.time)]
    assert talk.caused(10, b"vw1", b"1") == []


def test_a_call_in_flight_goes_before_one_that_was_answered():
    run = FakeRun()
    before, now = Http(run, 2), Http(run, 3)
    before.client(get("/t/update/V1?value=1")).server(DONE)
    now.client(get("/t/update/V1?value=1")).caused(9, b"vw1", b"1")
    assert now.server(DONE).records[-1].frames == (9,)


def test_a_refused_call_causes_nothing():
    talk = Http().client(get("/t/update/V1?value=1")).server(ok(b"Invalid token.", status="400 Bad Request"))
    assert talk.caused(9, b"vw1", b"1") == []


def device(logged_in):
    return SimpleNamespace(connections=[SimpleNamespace(login=logged_in)])


def test_the_token_tells_whose_frame_it_is():
    run = FakeRun()
    mine, other, unknown = device(1), device(2), device(None)
    run.devices._by_key |= {f"token {T}": mine, "token else": other}
    talk = Http(run)
    for expected, who in ((0, other), (0, unknown), (1, mine)):
        talk.client(get(f"/{T}/update/V1?value=1"))
        talk.caused(3, b"vw1", b"1", device=who)
        assert len(talk.server(DONE).records[-1].frames) == expected
    # Where the capture began later, the login of the device was not seen.
    stranger = Http().client(get(f"/{T}/update/V1?value=1"))
    stranger.caused(3, b"vw1", b"1", device=other)
    stranger.caused(4, b"vw1", b"1", device=unknown, stream=9)
    assert stranger.server(DONE).records[-1].frames == (4,)


def ordered(run, n, token_of=None, stream=1):
    """The server orders an update: frame `n`."""
    other = SimpleNamespace(run=run, number=stream, device=token_of)
    return run.relays.ordered(other, n, 100.5, "http://192.0.2.2:8080/static/ota/fw.bin?x=1")


def test_an_order_of_an_update_and_the_download_that_follows():
    talk = Http().client(get(f"/admin/ota/start?fileName=fw.bin&token={T}"))
    assert ordered(talk.run, 8) == []
    talk.server(DONE).client(get("/static/ota/fw.bin")).server(ok(b"\xe9"))
    assert talk.records[0].text.endswith("→ 200, device INTERNAL ota #8")
    assert (talk.records[0].kind, talk.records[0].frames) == ("ota-start", (8,))
    assert talk.records[1].detail["ordered_by"] == 8
    assert ordered(talk.run, 9, stream=2) == [LinkRecord(1, 9, 100.5)]
    assert ordered(talk.run, 10, stream=2) == []


def test_orders_of_nobody():
    talk = Http()
    for n in range(relays.ORDERS_MAX * 2):
        assert talk.run.relays.ordered(talk.stream, n, 1.0, f"http://h/{n}") == []
    assert len(talk.run.relays._orders) == relays.ORDERS_MAX
    assert talk.run.relays.order_of(f"/{n}") == n
    assert talk.run.relays.order_of("/0") is None


def test_expectations_are_bounded():
    run = FakeRun()
    talk = Http(run)
    for _ in range(relays.EXPECTED_MAX * 2):
        talk.client(get("/t/update/V1?value=1"), after=0.0).server(DONE, after=0.0)
    assert len(run.relays._calls) == relays.EXPECTED_MAX


# --- recordings ---------------------------------------------------------------------------------------------------------

K = "8ahBSNiIl06fGjEQdLCPH_pLg4FGW1wf"
CALLS_OF_09A = [
    ("rest-status", f"GET /{K}/isHardwareConnected → 200 true"),
    ("rest-status", f"GET /{K}/isAppConnected → 200 false"),
    ("rest-project", f"GET /{K}/project → 200, 2433 bytes"),
    ("rest-get", f'GET /{K}/get/V4 → 200 ["12"]'),
    ("rest-get", f"GET /{K}/pin/V0 → 404 Not Found"),
    ("rest-get", f"GET /{K}/get/V99 → 400 Requested pin doesn't exist in the app."),
    ("rest-get", f"GET /{K}/get/Vx → 400 Wrong pin format."),
    ("rest-update", f'PUT /{K}/update/V0 ["55"] → 200, device HW #6 (id 111)'),
    ("rest-update", f'PUT /{K}/pin/V1 ["1","2","3"] → 200, device HW #7 (id 111)'),
    ("rest-update", f"PUT /{K}/update/V0 notjson → 500 Error parsing body param. notjson"),
    ("rest-update", f"GET /{K}/update/V0?value=1 → 200, device HW #8 (id 111)"),
    ("rest-update", f"GET /{K}/update/V1?value=12&value=13 → 200, device HW #9 (id 111)"),
    ("rest-property", f"GET /{K}/update/V1?color=%23D3435C → 200"),
    ("rest-update", f"GET /{K}/update/D2?value=1 → 200, device HW #10 (id 111)"),
    ("rest-data", f"GET /{K}/data/V0 → 400 No data."),
    ("rest-rtc", f"GET /{K}/rtc → 200 [1795261331]"),
    ("rest-qr", f"GET /{K}/qr → 200, 86 bytes"),
    ("rest-notify", f'POST /{K}/notify {{"body":"note"}} → 200'),
    ("rest-email", f'POST /{K}/email {{"to":"dev@example.com","subj":"s","title":"t"}} → 200'),
    ("rest-status", f"GET /{T}/isHardwareConnected → 400 Invalid token."),
    ("rest-project", "GET /short/project → 400 Invalid token."),
    ("other", "GET /nosuch → 404 Not Found"),
    ("page", "GET / → 301 to https://www.blynk.cc"),
    ("rest-update", f'PUT /{K}/extra/pin/V0 [{{"timestamp":1600000000000,"value":"1"}}] → 200, device HW #11 (id 111)'),
    ("rest-update", f"GET /{K}/update/V0?value=0 → 200, device HW #12 (id 111)"),
    ("rest-update", f"GET /{K}/update/V0?value=1 → 200, device HW #13 (id 111)"),
    ("rest-update", f"GET /{K}/update/V0?value=2 → 200, device HW #14 (id 111)"),
]


def messages_of(name):
    analyser = Analyser()
    with (CAPTURES / name).open("rb") as stream:
        records = [record for batch in CaptureSource(stream, name) for record in analyser.feed(batch)]
    return [one for one in records + analyser.finish() if isinstance(one, MessageRecord | LinkRecord)]


def test_every_call_of_a_recording():
    records = messages_of("09a_http_rest_plain.pcap")
    assert [(one.kind, one.text) for one in records] == CALLS_OF_09A
    assert [one.n for one in records] == list(range(1, 28))
    assert [one.stream for one in records] == [*range(2, 27), 26, 26]
    assert {one.sender for one in records} == {"unknown"}
    assert all(one.rtt_ms > 0 and one.detail["complete"] for one in records)
    assert {one.detail["user_agent"] for one in records[:24]} == {"curl/7.88.1"}
    assert [one.detail["pin"] for one in records if one.frames] == [
        "V0",
        "V1",
        "V0",
        "V1",
        "D2",
        "V0",
        "V0",
        "V0",
        "V0",
    ]


def test_no_token_of_a_recording_is_shown():
    from blynkscope.render.redact import Redactor

    redactor = Redactor()
    shown = repr([redactor.apply(one) for one in messages_of("09a_http_rest_plain.pcap")])
    assert "/update/V0?value=1" in shown
    assert not any(secret in shown for secret in (K, K[8:], T, "dev@example.com", "HuqlKzon_wM7PG68s4RZP7TB1z7GIUVL"))


def test_the_download_of_a_recording():
    (record,) = [one for one in messages_of("09c_ota_start_get.pcap") if one.kind == "firmware-download"]
    assert record.text.startswith("GET /static/ota/firmware_ota.bin → 200, 5055 bytes, sha256 ")
    assert record.sender == "device"
    assert len(record.detail["sha256"]) == 64


# --- real peers ---------------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b'["42"]' if "/get/" in self.path else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_HEAD = do_GET

    def log_message(self, *_):
        pass


class Recorder:
    """A relay between a client and a server that keeps what each says, in its order."""

    def __init__(self, port):
        self.said, self._target = [], port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        client, _ = self._listener.accept()
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            other = threading.Thread(target=self._pump, args=(server, client, 1))
            other.start()
            self._pump(client, server, 0)
            other.join()

    def _pump(self, source, sink, side):
        while data := source.recv(65536):
            self.said.append((side, data))
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def done(self):
        self._thread.join(10)
        self._listener.close()
        return self.said


@pytest.fixture
def recorder():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Recorder(server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


def replay(said):
    talk = Http()
    for side, data in said:
        talk.say(side, data)
    return talk.close()


def test_the_client_and_server_of_python(recorder):
    connection = http.client.HTTPConnection("127.0.0.1", recorder.port)
    for method, path, body in (("GET", "/t/get/V1", None), ("PUT", "/t/update/V1", '["5"]'), ("HEAD", "/a.bin", None)):
        connection.request(method, path, body)
        connection.getresponse().read()
    connection.close()
    texts = replay(recorder.done()).texts
    assert texts == ['GET /t/get/V1 → 200 ["42"]', 'PUT /t/update/V1 ["5"] → 200', "HEAD /a.bin → 200"]


@pytest.mark.program("curl")
def test_curl(recorder):
    base = f"http://127.0.0.1:{recorder.port}/t"
    command = [
        "curl",
        "-s",
        f"{base}/get/V1",
        "--next",
        "-s",
        "-X",
        "PUT",
        "-H",
        "Expect: 100-continue",
        "-d",
        '["5"]',
        f"{base}/update/V1",
    ]
    assert subprocess.run(command, capture_output=True, timeout=20, check=True).stdout == b'["42"]'
    talk = replay(recorder.done())
    assert talk.texts == ['GET /t/get/V1 → 200 ["42"]', 'PUT /t/update/V1 ["5"] → 200']
    assert talk.records[0].detail["user_agent"].startswith("curl/")


# --- anything -----------------------------------------------------------------------------------------------------------

wires = st.sampled_from([
    get("/t/get/V0"), put("/t/update/V1", b'["1"]'), put("/t/update/V1", b"[" * 9), get("/a", "Upgrade: websocket"), DONE, ok(b'["2"]'),
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 101 X\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n", b"\x82\x00", b"\r\n", b"GET /", b"HTTP/1.1 2", get("/static/ota/x", method="HEAD"),
])  # fmt: skip
steps = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.one_of(wires, st.binary(max_size=9), st.integers(1, 9), st.none())),
    max_size=14,
)


@settings(deadline=None, max_examples=300)
@given(steps, st.integers(1, 7))
def test_anything_gives_records_and_cuts_change_nothing(steps, size):
    def run(cut):
        talk = Http()
        for side, what in steps:
            if isinstance(what, bytes):
                for at in range(0, len(what), cut):
                    talk.say(side, what[at : at + cut], after=0.0)
            else:
                talk.gap(side, what)
            talk.caused(1, b"vw1", b"1", after=0.0)
        talk.close()
        return [
            (one.kind, one.text, one.frames) if isinstance(one, MessageRecord) else one.frame for one in talk.records
        ], talk.through

    assert run(size) == run(1 << 20)
