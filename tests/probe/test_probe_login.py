"""Logging in: statuses, pings, redirects, the era of the server, and what becomes of the token."""

import msgspec
import pytest
from probe_world import IOT_TOKEN, TOKEN, Server, blynk, certificate, context, found, ids, pem, run

from blynkscope.probe.model import NO_TOKEN
from blynkscope.probe.net import Network

LEGACY_HTTP = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 14\r\n\r\nInvalid token."
IOT_HTTP = b'HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n{"error":{"message":"Invalid token."}}'


def test_the_made_up_token():
    assert len(NO_TOKEN) == 32
    with Server(blynk(9, http=LEGACY_HTTP)) as server:
        report = run("127.0.0.1", server.port, timeout=0.5)
    (port,) = report.ports
    (login,) = port.logins
    assert port.speaks == ["blynk", "http"]
    assert (login.made_up, login.answer, login.status, login.status_name) == (True, "status", 9, "STA_INVALID_TOKEN")
    assert login.closing == "stays open, closes at a ping without an answer"
    assert login.ms > 0
    assert report.era.era == "legacy"
    assert len(report.era.evidence) == 2
    assert ids(report) == []


def test_blynk_iot_is_told_by_its_http():
    with Server(blynk(9, http=IOT_HTTP)) as server:
        report = run("127.0.0.1", server.port, timeout=0.5)
    assert report.era.era == "iot"
    assert run("ny3.blynk.cloud", 80, lookup=found()).era.era == "iot"


def test_inside_tls(tmp_path):
    with Server(blynk(200), context(pem(tmp_path, certificate()))) as server:
        report = run(port=server.port, token=TOKEN, timeout=1.0, scan=False, count=3)
    (port,) = report.ports
    (login,) = port.logins
    assert port.speaks == ["tls", "blynk"]
    assert (login.made_up, login.status, len(login.pings), login.pings_lost) == (False, 200, 3, 0)
    assert ids(report) == ["BS604"]  # it signs for itself


def test_a_token_that_is_not_known():
    with Server(blynk(9, http=LEGACY_HTTP)) as server:
        report = run("127.0.0.1", server.port, token=IOT_TOKEN, timeout=0.5)
    (one,) = report.findings
    assert one.id == "BS201"
    assert "legacy one, and the token looks like one of Blynk IoT" in one.detail


def test_another_status():
    with Server(blynk(19)) as server:
        assert ids(run("127.0.0.1", server.port, token=TOKEN, timeout=0.5)) == ["BS203"]
        assert ids(run("127.0.0.1", server.port, timeout=0.5)) == []


def test_a_redirect():
    with Server(blynk(200)) as second, Server(blynk(redirect=b"other.example\x00%d" % second.port)) as first:
        lookup = found("127.0.0.1")
        report = run("server.example", first.port, token=TOKEN, timeout=0.5, lookup=lookup)
        (login,) = report.ports[0].logins
        assert (login.answer, login.redirect, login.followed) == (
            "redirect", f"other.example:{second.port}", False,
        )  # fmt: skip
        assert [(one.id, one.severity) for one in report.findings] == [("BS207", "note")]
        assert second.count == 0
        report = run("server.example", first.port, token=TOKEN, timeout=0.5, lookup=lookup, follow=True)
        assert [one.answer for one in report.ports[0].logins] == ["redirect", "status"]
        assert report.ports[0].logins[1].status == 200
        assert ids(report) == ["BS208"]


@pytest.mark.parametrize(
    ("sent", "told", "asked", "port"),
    [
        (b"2001:db8::1\x008080", "[2001:db8::1]:8080", "2001:db8::1", 8080),
        (b"2001:db8::1", "[2001:db8::1]", "2001:db8::1", None),
        (b"[2001:db8::1]\x0081", "[2001:db8::1]:81", "2001:db8::1", 81),
        (b"fe80::1%lo\x0081", "[fe80::1%lo]:81", "fe80::1%lo", 81),
        (b"other.example\x0081", "other.example:81", "other.example", 81),
        (b"other.example", "other.example", "other.example", None),
    ],
)
def test_where_a_redirect_leads(sent, told, asked, port, monkeypatch):
    """An IPv6 address is one host, whatever colons it has; loopback stands for it here."""
    looked_up, connected = [], []
    connect = Network.connect

    def lookup(host, family):
        looked_up.append(host)
        return found("127.0.0.1")(host, family)

    async def connecting(self, address, number):
        connected.append(number)
        return await connect(self, address, first.port)

    monkeypatch.setattr(Network, "connect", connecting)
    with Server(blynk(redirect=sent)) as first:
        report = run("127.0.0.1", first.port, timeout=0.5, lookup=lookup, follow=True)
    one, two = report.ports[0].logins[:2]
    assert one.redirect == told
    assert looked_up[:2] == ["127.0.0.1", asked]
    assert (port or first.port) in connected
    assert two.host == f"{told.removesuffix(f':{port}')}:{port or first.port}"


@pytest.mark.parametrize("where", [b"", b"\0", b"\xff\xfe\x0099999", b"x" * 60000, b"other.example\0-1"])
def test_senseless_redirects(where):
    with Server(blynk(redirect=where)) as server:
        report = run("127.0.0.1", server.port, timeout=0.3, follow=True, lookup=found("127.0.0.1"))
    assert report.ports[0].logins[0].answer == "redirect"
    assert len(report.ports[0].logins) <= 4


def test_no_login():
    got = []

    def talk(connection):
        got.append(connection.recv(65536))

    with Server(talk) as server:
        report = run("127.0.0.1", server.port, timeout=0.3, login=False)
    assert report.ports[0].logins == []
    assert not any(NO_TOKEN.encode() in one for one in got)


def test_a_server_that_repeats_the_token():
    with Server(blynk(echo=b"you said ")) as server:
        report = run("127.0.0.1", server.port, token=TOKEN, timeout=0.3)
    assert report.ports[0].logins[0].answer == "foreign"
    assert TOKEN.encode() not in msgspec.json.encode(report)
    assert "you said ****" in report.ports[0].logins[0].text


def test_the_token_is_not_sent_in_clear_to_ports_that_nobody_named(monkeypatch):
    """On the internet; loopback stands for it here."""
    from blynkscope.probe import run as module
    from blynkscope.probe import speaking

    got = []

    def talk(connection):
        got.append(connection.recv(65536))

    monkeypatch.setattr(module, "is_public", lambda address: True)
    monkeypatch.setattr(speaking, "is_public", lambda address: True)
    with Server(talk) as server:
        monkeypatch.setattr(module, "DEFAULT_PORTS", (server.port,))
        report = run("127.0.0.1", token=TOKEN, timeout=0.3, delay=0.0)
        assert not any(TOKEN.encode() in one for one in got)
        assert any(NO_TOKEN.encode() in one for one in got)
        assert "was not sent in clear" in report.limits[0]
        run("127.0.0.1", server.port, token=TOKEN, timeout=0.3, delay=0.0)
        assert any(TOKEN.encode() in one for one in got)
