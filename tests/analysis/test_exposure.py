"""BS601 to BS603: tokens, firmware and passwords where others can read them."""

from base64 import b64encode

import pytest
from logtalk import LogTalk
from nettalk import Connections, of_capture
from talk import TOKEN, frame, status

PUBLIC, PRIVATE = "1.1.1.1", "192.168.1.5"
LOGIN = [(0, frame(29, 1, TOKEN)), (1, status(1))]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def get(target, *fields):
    head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: a", *fields])
    return [(0, (head + "\r\n\r\n").encode()), (1, OK)]


@pytest.mark.parametrize(
    "wires", [LOGIN, get(f"/{TOKEN.decode()}/get/V0"), get(f"/external/api/get?token={TOKEN.decode()}")]
)
def test_a_token_in_clear(wires):
    run = Connections().talk(wires=wires, server=PUBLIC, port=80).talk(wires=wires, server=PUBLIC, port=80).finish()
    (finding,) = run.findings("BS601")
    assert finding.severity == "warning"
    assert PUBLIC in finding.detail
    assert TOKEN.decode() not in finding.detail
    assert Connections().talk(wires=wires, server=PRIVATE, port=80).finish().findings("BS601") == []


def test_a_request_without_token():
    assert Connections().talk(wires=get("/"), server=PUBLIC, port=80).finish().findings("BS601") == []


def test_a_log_knows_no_address():
    assert LogTalk(host="blynk.cloud", port=80).device(29, 1, TOKEN).status(1).finish().findings("BS601") == []


@pytest.mark.parametrize(("server", "severity"), [(PUBLIC, "warning"), (PRIVATE, "note")])
def test_firmware_over_http(server, severity):
    for wires in (get("/static/ota/a.bin"), get("/x", "User-Agent: ESP8266-http-Update"), get("/greenhouse.bin")):
        run = Connections().talk(wires=wires, server=server).talk(wires=wires, server=server).finish()
        assert [one.severity for one in run.findings("BS602")] == [severity]


@pytest.mark.parametrize("wires", [get("/index.html"), get("/rtc")])
def test_other_downloads(wires):
    assert Connections().talk(wires=wires, server=PUBLIC).finish().findings("BS602") == []


@pytest.mark.parametrize(("url", "count"), [(b"http://192.168.1.5:8080/a.bin", 1), (b"https://192.168.1.5/a.bin", 0)])
def test_an_order_to_download_firmware(url, count):
    run = Connections().talk(wires=[*LOGIN, (1, frame(17, 7777, b"ota", url))]).finish()
    assert len(run.findings("BS602")) == count


def test_a_log_tells_the_url():
    log = LogTalk().line("ota", "Firmware update URL: …", url="http://192.168.1.5/a.bin").finish()
    assert [one.severity for one in log.findings("BS602")] == ["note"]
    assert LogTalk().line("ota", "…", url="https://192.168.1.5/a.bin").finish().findings("BS602") == []


@pytest.mark.parametrize(("secret", "count"), [(b"admin@blynk.cc:admin", 1), (b"admin:admin", 1), (b"admin:Zx8Qw", 0)])
def test_default_credentials(secret, count):
    wires = get("/admin/users", f"Authorization: Basic {b64encode(secret).decode()}")
    run = Connections().talk(wires=wires).talk(wires=wires).finish()
    assert len(run.findings("BS603")) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("curl -u admin@blynk.cc:admin https://192.168.1.2:9443/admin/ota/start", 1),
        ("> Authorization: Basic YWRtaW5AYmx5bmsuY2M6YWRtaW4=", 1),
        ("curl -u admin@blynk.cc:adminZx8 https://192.168.1.2:9443/admin/ota/start", 0),
        ("Server auth using Basic with user 'admin@blynk.cc'", 0),
    ],
)
def test_default_credentials_in_a_log(text, count):
    assert len(LogTalk().line("upload", text).finish().findings("BS603")) == count


def test_a_recorded_update_is_healthy():
    found = of_capture("09c_ota_start_get.pcap")
    assert {one.severity for key in ("BS602", "BS604") for one in found[key]} == {"note"}
    assert "BS603" not in found
