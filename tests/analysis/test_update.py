"""BS401 to BS408: firmware updates on the wire, in logs and in shell sessions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logtalk import LogTalk
from talk import TOKEN, Talk, frame, status

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, spelled_out
from blynkscope.analysis.rules.addresses import doubt, target_of
from blynkscope.analysis.rules.updaters import failure
from blynkscope.wire.events import Closed, Data, Opened

CLOUD = "198.51.100.20"
URL = f"http://{CLOUD}:8080/static/ota/greenhouse.bin"
GET = b"GET /static/ota/greenhouse.bin HTTP/1.0\r\nHost: 198.51.100.20:8080\r\nUser-Agent: ESP8266-http-Update\r\n\r\n"


def answer(code, reason, body=b"", length=None):
    size = len(body) if length is None else length
    return f"HTTP/1.1 {code} {reason}\r\nContent-Length: {size}\r\n\r\n".encode() + body


class Scene:
    """Several connections of one device, event by event."""

    def __init__(self):
        self.analyser = Analyser()
        self.records = []
        self.streams = 0
        self.time = 1000.0

    def tell(self, *events):
        self.records += spelled_out(self.analyser.feed(events))

    def open(self, server=CLOUD, port=8080, device="192.0.2.10", after=1.0):
        self.time += after
        self.streams += 1
        ends = (f"{device}:{50000 + self.streams}", f"{server}:{port}")
        self.tell(Opened(self.streams, self.time, *ends, 50000 + self.streams, port, True))
        return self.streams

    def say(self, stream, side, *wires, after=0.1):
        for wire in wires:
            self.time += after
            self.tell(Data(stream, side, self.time, wire))

    def close(self, stream, how="fin", by=0, after=0.1):
        self.time += after
        self.tell(Closed(stream, self.time, how, by, (True, how != "unanswered")))

    def login(self, build="May  3 2025", token=TOKEN, **options):
        stream = self.open(**options)
        self.say(stream, 0, frame(29, 1, token))
        self.say(stream, 1, status(1))
        self.say(
            stream,
            0,
            frame(17, 2, b"ver", b"1.3.2", b"h-beat", b"45", b"dev", b"ESP8266", b"build", build.encode(), b""),
        )
        self.say(stream, 1, status(2))
        return stream

    def ordered(self, url=URL, **options):
        stream = self.login(**options)
        self.say(stream, 1, frame(17, 7777, b"ota", url.encode()))
        return stream

    def download(self, reply, server=CLOUD, port=8080, how="fin"):
        stream = self.open(server, port)
        self.say(stream, 0, GET)
        self.say(stream, 1, reply)
        self.close(stream, how, 1)
        return stream

    def findings(self):
        self.records += spelled_out(self.analyser.finish())
        return [one for one in self.records if isinstance(one, FindingRecord) and one.id.startswith("BS4")]

    @property
    def ids(self):
        return [one.id for one in self.findings()]


# -- where the URL leads


@pytest.mark.parametrize(
    ("url", "severity", "word"),
    [
        ("http://172.17.0.2:8080/f.bin?auth=" + TOKEN.decode(), "error", "Docker"),
        ("http://127.0.0.1:8080/f.bin", "error", "loopback"),
        ("http://[::1]:8080/f.bin", "error", "loopback"),
        ("http://0.0.0.0/f.bin", "error", "loopback"),
        ("http://localhost:8080/f.bin", "error", "device itself"),
        ("http://3f2a9c1b04de:8080/f.bin", "error", "containers"),
        ("http://host.docker.internal/f.bin", "error", "containers"),
        ("http://192.168.1.2:8080/f.bin", "warning", "private"),
        ("http://172.18.0.3:8080/f.bin", "warning", "Docker"),
        ("http://10.0.0.5/f.bin", "warning", "private"),
        ("http://169.254.10.1/f.bin", "warning", "link-local"),
        ("http://100.64.1.1/f.bin", "warning", "carrier"),
        ("http://blynkserver:8080/f.bin", "warning", "no domain"),
        ("http://raspberrypi.local/f.bin", "warning", "local network"),
    ],
)
def test_an_address_that_the_device_cannot_reach(url, severity, word):
    scene = Scene()
    scene.ordered(url)
    (finding,) = scene.findings()
    assert (finding.id, finding.severity, finding.frames) == ("BS401", severity, (5,))
    assert word in finding.detail
    assert TOKEN.decode() not in finding.detail
    assert "server.host" in finding.fix


@pytest.mark.parametrize(
    "url",
    [URL, "http://ota.example.org/f.bin", "http://ny3.blynk.cloud/static/fw_1.bin?token=x", "http://8.8.8.8/f", "", "x", "http://[/f"],
)  # fmt: skip
def test_addresses_that_nothing_speaks_against(url):
    scene = Scene()
    scene.ordered(url)
    assert scene.ids == []


@pytest.mark.parametrize(
    ("device", "server", "url"),
    [
        ("192.168.1.50", "192.168.1.2", "http://192.168.1.2:8080/f.bin"),
        ("192.168.7.50", CLOUD, "http://192.168.1.2:8080/f.bin"),
        ("172.17.0.5", "172.17.0.2", "http://172.17.0.3:8080/f.bin"),
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8080/f.bin"),
        ("192.0.2.10", "10.1.2.3", "http://10.1.2.3:8080/f.bin"),
    ],
)
def test_an_address_in_the_device_s_own_network(device, server, url):
    scene = Scene()
    scene.ordered(url, device=device, server=server)
    assert scene.ids == []


def test_a_private_network_of_another_kind():
    scene = Scene()
    scene.ordered("http://192.168.1.2:8080/f.bin", device="10.0.0.5", server=CLOUD)
    assert scene.ids == ["BS401"]


def test_the_container_s_network_is_not_the_device_s():
    scene = Scene()
    scene.ordered("http://172.17.0.2:8080/f.bin", device="172.20.0.5", server=CLOUD)
    assert scene.ids == ["BS401"]


def test_the_same_order_again_is_no_news():
    scene = Scene()
    for _ in range(3):
        scene.close(scene.ordered("http://172.17.0.2:8080/f.bin"))
    assert scene.ids == ["BS401"]


def test_other_internal_messages_are_no_order():
    scene = Scene()
    stream = scene.login()
    scene.say(stream, 1, frame(17, 7777, b"acon"), frame(17, 1, b"rtc", b"1750000000"))
    assert scene.ids == []


# -- the download


def test_a_download_and_a_return_with_a_new_build():
    scene = Scene()
    first = scene.ordered()
    scene.close(first)
    scene.download(answer(200, "OK", b"\xe9" * 4000))
    back = scene.login("Jun 15 2025", after=12.0)
    scene.close(back)
    assert scene.ids == []


@pytest.mark.parametrize(("code", "reason"), [(404, "Not Found"), (403, "Forbidden"), (500, "Error"), (302, "Found")])
def test_a_download_with_a_bad_status(code, reason):
    scene = Scene()
    scene.ordered()
    scene.download(answer(code, reason))
    (finding,) = scene.findings()
    assert (finding.id, finding.frames, finding.stream) == ("BS403", (5,), 2)
    assert f"{code} {reason}" in finding.detail
    assert URL in finding.detail


def test_a_bad_status_without_an_order_in_the_capture():
    scene = Scene()
    scene.download(answer(404, "Not Found"))
    assert scene.ids == ["BS403"]


@pytest.mark.parametrize("code", [200, 304])
def test_a_download_that_is_answered_well(code):
    scene = Scene()
    scene.ordered()
    scene.download(answer(code, "x"))
    assert scene.ids == []


def test_other_requests_are_no_download():
    scene = Scene()
    stream = scene.open()
    scene.say(stream, 0, b"GET /" + TOKEN + b"/get/V0 HTTP/1.1\r\nHost: x\r\n\r\n")
    scene.say(stream, 1, answer(400, "Bad Request"))
    scene.close(stream)
    assert scene.ids == []


@pytest.mark.parametrize(("how", "word"), [("refused", "refused"), ("unanswered", "never answered")])
def test_nobody_is_where_the_url_leads(how, word):
    scene = Scene()
    scene.close(scene.ordered("http://198.51.100.77:8080/f.bin"))
    for _ in range(3):
        scene.close(scene.open("198.51.100.77"), how, None)
    (finding,) = scene.findings()
    assert (finding.id, finding.severity, finding.frames) == ("BS402", "error", (5,))
    assert word in finding.detail
    assert "198.51.100.77:8080" in finding.detail


def test_another_connection_that_is_refused_is_not_the_download():
    scene = Scene()
    scene.close(scene.ordered("http://198.51.100.77:8080/f.bin"))
    scene.close(scene.open("198.51.100.77", 9999), "refused", None)
    scene.close(scene.open("198.51.100.99"), "refused", None)
    scene.close(scene.open("198.51.100.77", device="192.0.2.99"), "refused", None)
    assert scene.ids == []


def test_a_refusal_at_a_bad_address_names_it_as_the_reason():
    scene = Scene()
    scene.close(scene.ordered("http://172.17.0.2:8080/f.bin"))
    scene.close(scene.open("172.17.0.2"), "refused", None)
    first, second = scene.findings()
    assert (first.id, second.id) == ("BS401", "BS402")
    assert "BS401" in second.detail


def test_a_download_that_breaks_off():
    scene = Scene()
    scene.ordered()
    scene.download(answer(200, "OK", b"\xe9" * 100, length=4000), how="reset")
    (finding,) = scene.findings()
    assert finding.id == "BS408"
    assert "100 of 4000 bytes" in finding.detail


def test_a_capture_that_ends_in_the_download_proves_nothing():
    scene = Scene()
    scene.ordered()
    scene.download(answer(200, "OK", b"\xe9" * 100, length=4000), how="end")
    assert scene.ids == []


def test_a_request_without_an_answer():
    scene = Scene()
    scene.ordered()
    stream = scene.open()
    scene.say(stream, 0, GET)
    scene.close(stream, "fin", 1)
    (finding,) = scene.findings()
    assert finding.id == "BS408"
    assert "without an answer" in finding.detail


def test_an_order_that_nobody_follows():
    scene = Scene()
    stream = scene.ordered()
    scene.say(stream, 0, frame(6, 3), frame(6, 4), after=70.0)
    scene.close(stream)
    (finding,) = scene.findings()
    assert (finding.id, finding.severity) == ("BS408", "warning")
    assert "went on as before" in finding.detail


def test_an_order_shortly_before_the_end():
    scene = Scene()
    stream = scene.ordered()
    scene.say(stream, 0, frame(6, 3), after=10.0)
    scene.close(stream, "end", None)
    assert scene.ids == []


# -- HTTPS


def test_an_https_url_and_a_plain_request():
    scene = Scene()
    scene.ordered(f"https://{CLOUD}:8080/static/ota/greenhouse.bin")
    scene.download(answer(400, "Bad Request"))
    (finding,) = scene.findings()
    assert (finding.id, finding.severity) == ("BS404", "warning")
    assert "plain HTTP" in finding.detail


def test_an_https_url_and_no_tls():
    scene = Scene()
    scene.close(scene.ordered(f"https://{CLOUD}/f.bin"))
    (finding,) = scene.findings()
    assert finding.id == "BS404"
    assert "no TLS connection" in finding.detail


def test_an_https_url_and_a_tls_connection():
    scene = Scene()
    scene.close(scene.ordered(f"https://{CLOUD}/f.bin"))
    stream = scene.open(port=443)
    scene.say(stream, 0, bytes.fromhex("16030100050100000100"))
    scene.close(stream)
    assert scene.ids == []


def test_an_https_url_that_worked_all_the_same():
    scene = Scene()
    scene.close(scene.ordered(f"https://{CLOUD}/f.bin"))
    scene.login("Jun 15 2025")
    assert scene.ids == []


# -- the return


def test_the_device_does_not_come_back():
    scene = Scene()
    scene.close(scene.ordered())
    scene.download(answer(200, "OK", b"\xe9" * 400))
    scene.close(scene.login(token=TOKEN[::-1], device="192.0.2.200", after=130.0))
    (finding,) = [one for one in scene.findings() if one.stream == 1]
    assert (finding.id, finding.severity, finding.frames) == ("BS405", "warning", (5,))


def test_the_capture_ends_too_soon_to_tell():
    scene = Scene()
    scene.close(scene.ordered())
    scene.download(answer(200, "OK", b"\xe9" * 400))
    stream = scene.open(device="192.0.2.200", after=100.0)
    scene.close(stream)
    assert scene.ids == []


def test_the_device_comes_back_as_it_was():
    scene = Scene()
    scene.close(scene.ordered())
    scene.download(answer(200, "OK", b"\xe9" * 400))
    scene.login(after=12.0)
    (finding,) = scene.findings()
    assert (finding.id, finding.stream, finding.frames) == ("BS406", 3, (5, 8))
    assert "May  3 2025" in finding.detail


def test_a_failed_download_explains_the_old_build():
    scene = Scene()
    scene.close(scene.ordered())
    scene.download(answer(404, "Not Found"))
    scene.login(after=12.0)
    assert scene.ids == ["BS403"]


# -- logs


def update_log(url=URL, **options):
    log = LogTalk(**({"host": "blynk.example.org", "port": 8080} | options))
    log.line("ready", "Ready (ping: 3ms).").line("disconnected", "Disconnected")
    log.line("state", "RUNNING => OTA_UPGRADE", **{"from": "RUNNING", "to": "OTA_UPGRADE"})
    return log.line("ota", f"Firmware update URL: {url}", url=url)


def failed(log, code, reason, kind="ota"):
    text = f"Firmware update failed (error {code}): {reason}"
    facts = {"status": "failed", "code": code, "reason": reason} if kind == "ota" else {}
    log.line(kind, text, **facts)
    return log.line("state", "OTA_UPGRADE => ERROR", **{"from": "OTA_UPGRADE", "to": "ERROR"}).finish()


@pytest.mark.parametrize(
    ("code", "reason", "kind", "name", "word"),
    [
        (-1, "HTTP error: connection refused", "refused", "BS402", "refused"),
        (-1, "HTTP error: connection refused", "ota", "BS402", "could not connect"),
        (-102, "File not Found (404)", "ota", "BS403", "404"),
        (-103, "Forbidden (403)", "ota", "BS403", "403"),
        (-104, "Wrong HTTP code", "ota", "BS403", "redirect"),
        (-100, "To less space", "ota", "BS408", "fit"),
        (-101, "Server not Report Size", "ota", "BS408", "Content-Length"),
        (-106, "Verify bin header failed", "ota", "BS408", "0xE9"),
        (-11, "HTTP error: read Timeout", "ota", "BS408", "in time"),
    ],
)
def test_what_the_updater_says(code, reason, kind, name, word):
    log = failed(update_log(), code, reason, kind)
    assert log.of(4) == [name]
    (finding,) = log.findings(name)
    assert word in finding.detail
    assert URL in finding.detail
    assert (finding.severity, finding.count, finding.frames) == ("error", 1, ())


@pytest.mark.parametrize(
    ("kind", "facts", "name"),
    [
        ("http", {"status": 404}, "BS403"), ("http", {"status": 200}, None), ("timeout", {"what": "connect"}, "BS402"),
        ("unreachable", {}, "BS402"), ("dns-failure", {"host": "x.example.org"}, "BS402"), ("crash", {}, "BS408"),
        ("user-print", {}, None), ("heartbeat-timeout", {}, None),
    ],
)  # fmt: skip
def test_other_lines_while_an_update_runs(kind, facts, name):
    log = update_log().line(kind, f"something about {kind}", **facts).finish()
    assert log.of(4) == ([name] if name else [])


def test_the_same_lines_without_an_update():
    log = LogTalk(host="blynk.example.org", port=8080)
    log.line("http", "HTTP/1.1 404", status=404).line("refused", "connection refused").line("crash", "Guru Meditation")
    assert log.finish().of(4) == []


def test_a_state_tells_of_a_failure_alone():
    log = LogTalk(host="blynk.cloud", port=443)
    log.line("state", "OTA_UPGRADE => ERROR", **{"from": "OTA_UPGRADE", "to": "ERROR"}).finish()
    assert log.of(4) == ["BS408"]


@pytest.mark.parametrize("status", ["ok", "none"])
def test_an_update_that_went_well(status):
    log = update_log().line("ota", "Firmware update: OK.", status=status).line("refused", "connection refused")
    assert log.finish().of(4) == []


def test_an_https_url_in_a_log():
    assert update_log("https://ota.example.org/f.bin").finish().of(4) == []
    log = failed(update_log("https://ota.example.org/f.bin"), -1, "HTTP error: connection refused")
    assert log.of(4) == ["BS404"]


def test_the_address_that_the_device_prints():
    log = LogTalk(opened=False).line("ip", "IP: 192.168.1.50", ip="192.168.1.50")
    log.open("blynk.example.org", 8080).line("ota", "Firmware update URL: …", url="http://192.168.1.2:8080/f.bin")
    assert log.finish().of(4) == []
    assert update_log("http://192.168.1.2:8080/f.bin").finish().of(4) == ["BS401"]
    assert update_log("http://192.168.1.2:8080/f.bin", host="192.168.1.2").finish().of(4) == []


def test_a_loop_of_failures_is_told_once():
    log = update_log()
    for _ in range(5):
        log.line("ota", "…", status="failed", code=-102, reason="File not Found (404)")
        log.open("blynk.example.org", 8080).line("ota", f"Firmware update URL: {URL}", url=URL)
    assert log.finish().of(4) == ["BS403"]


def test_a_token_in_the_url_is_not_told():
    url = "http://172.17.0.2:8080/f.bin?token=" + TOKEN.decode()
    log = update_log(url).line("ota", "…", status="failed", reason=f"HTTP error 404 for {url}").finish()
    assert log.of(4) == ["BS401", "BS403"]
    for name in ("BS401", "BS403"):
        (finding,) = log.findings(name)
        assert TOKEN.decode() not in finding.detail


# -- uploads

HEAD = (
    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {size}\r\n\r\n"
)
BARE = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nfw.bin\r\n--b--\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="fw.bin"\r\n\r\n\xe9\x01\r\n--b--\r\n'


def upload(form, reply, path="/admin/ota/start"):
    talk = Talk(ports=(50000, 8080))
    talk.device(HEAD.format(path=path, size=len(form)).encode(), form).server(reply).close()
    return [one for one in talk.records if isinstance(one, FindingRecord) and one.id.startswith("BS4")]


def test_a_form_without_a_file():
    (finding,) = upload(BARE, answer(500, "Internal Server Error"))
    assert (finding.id, finding.severity, finding.stream) == ("BS407", "error", 1)
    assert "500" in finding.detail
    assert "file=@" in finding.fix


def test_a_form_with_a_file():
    assert upload(FILE, answer(200, "OK")) == []


def test_an_upload_that_is_refused():
    (finding,) = upload(FILE, answer(403, "Forbidden"))
    assert finding.id == "BS403"


def test_forms_elsewhere():
    assert upload(BARE, answer(500, "Internal Server Error"), path="/contact") == []


def test_a_token_in_the_path_of_an_upload():
    (finding,) = upload(BARE, answer(500, "x"), path=f"/{TOKEN.decode()}/ota/start")
    assert TOKEN.decode() not in finding.detail


@pytest.mark.parametrize(
    ("bare", "status", "expected"),
    [(True, 500, ["BS407"]), (True, None, ["BS407"]), (False, 500, ["BS403"]), (False, 200, []), (False, None, [])],
)
def test_a_shell_session(bare, status, expected):
    log = LogTalk(opened=False)
    log.line("upload", "curl -F …", at=0, file="fw.bin", multipart_without_file=bare)
    log.line("http", "< HTTP/1.1 100 Continue", at=0, status=100)
    if status:
        log.line("http", f"< HTTP/1.1 {status}", at=0, status=status)
    log.finish()
    assert log.of(4) == expected
    for finding in log.findings("BS407"):
        assert "file=@fw.bin" in finding.fix
        assert status is None or str(status) in finding.detail


# -- any text


@given(st.text(max_size=80))
def test_any_url_is_judged(url):
    for text in (url, "http://" + url, f"http://[{url}]/", f"https://{url}:99999/"):
        target = target_of(text)
        if target is not None:
            assert target.shown
            doubt(target, device=url, servers=[url])


@given(st.binary(max_size=80))
def test_any_order_is_read(body):
    scene = Scene()
    stream = scene.login()
    scene.say(stream, 1, frame(17, 7777, b"ota", body))
    scene.findings()


@given(st.text(max_size=80), st.none() | st.integers(-200, 20))
def test_any_reason_is_a_failure(reason, code):
    assert failure(reason, code).finding in {"BS402", "BS403", "BS408"}
