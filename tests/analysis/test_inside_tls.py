"""What the rules make of TLS that was opened on both sides, on one side only, or that is refused behind its handshake."""

import pytest
from mqtt_talk import connect
from talk import TOKEN, frame, status, write
from tlstalk import _VERIFY, TLS12, TLS13
from tlstalk import Talk as TlsTalk

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, FrameRecord, spelled_out
from blynkscope.wire.events import Closed, Data, Opened
from blynkscope.wire.keylog import KeyLog

LOGIN = frame(29, 1, TOKEN)
CALL = b"GET /0123456789abcdef0123456789abcdef/get/V1 HTTP/1.1\r\nHost: blynk.test\r\n\r\n"
UPGRADE = b"GET /websockets HTTP/1.1\r\nHost: blynk.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
SESSION = ((0, LOGIN), (1, status(1)), (0, write(2, b"1", b"42")))
FAIL_WITHOUT_CERTIFICATE = 3


def spoken(version, said):
    made = TlsTalk(version).handshake()
    for direction, data in said:
        made.say(direction, data)
    return made.end()


def analysed(events, keys=b"", *, port=9443, end=20.0, by=0, how="fin"):
    analyser = Analyser(keys=KeyLog(keys) if keys else None)
    told, time = [Opened(1, 100.0, "192.0.2.1:50000", f"192.0.2.2:{port}", 50000, port, True)], 100.0
    for direction, data in events:
        time += 0.01
        told.append(Data(1, direction, time, data))
    told.append(Closed(1, time + end, how, by, (True, True)))
    return spelled_out(analyser.feed(told) + analyser.finish())


def found(records):
    return {one.id: one for one in records if isinstance(one, FindingRecord)}


def only(keylog, label):
    return b"".join(line for line in keylog.splitlines(keepends=True) if label in line)


# --- a server that says nothing inside TLS ---


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["tls1.2", "tls1.3"])
@pytest.mark.parametrize(
    ("said", "port", "expected"),
    [(LOGIN, 9443, "BS202"), (connect(), 8883, "BS212"), (UPGRADE, 9443, "BS111"), (CALL, 9443, "BS111")],
    ids=["frames", "mqtt", "websocket", "http"],
)
def test_a_mute_server_inside_tls(version, said, port, expected):
    made = spoken(version, [(0, said)])
    findings = found(analysed(made.events, made.keylog, port=port))
    assert {"BS107", "BS202", "BS212", "BS111"} & set(findings) == {expected}
    assert not any("without TLS" in one.detail for one in findings.values())


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["tls1.2", "tls1.3"])
def test_another_protocol_inside_tls(version):
    made = spoken(version, [(0, LOGIN), (1, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")])
    findings = found(analysed(made.events, made.keylog))
    assert "BS111" in findings
    assert not {"BS106", "BS107"} & set(findings)


# --- keys of one side only ---


@pytest.mark.parametrize("said", [SESSION, [(0, CALL), (1, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]])
@pytest.mark.parametrize(
    ("label", "closed", "missing"),
    [
        (b"CLIENT_TRAFFIC_SECRET_0", "the server stays closed", "SERVER_TRAFFIC_SECRET_0"),
        (b"SERVER_TRAFFIC_SECRET_0", "the client stays closed", "CLIENT_TRAFFIC_SECRET_0"),
        (b"HANDSHAKE_TRAFFIC_SECRET", "the client and the server stay closed", "CLIENT_TRAFFIC_SECRET_0"),
    ],
)
def test_lines_of_one_side(said, label, closed, missing):
    made = spoken(TLS13, said)
    findings = found(analysed(made.events, only(made.keylog, label)))
    assert not {"BS106", "BS107", "BS111", "BS202", "BS905"} & set(findings)
    partial = findings["BS906"]
    assert closed in partial.detail
    assert missing in partial.detail


def test_one_side_is_read_all_the_same():
    made = spoken(TLS13, SESSION)
    records = analysed(made.events, only(made.keylog, b"CLIENT_TRAFFIC_SECRET_0"))
    assert [one.cmd for one in records if isinstance(one, FrameRecord)] == [29, 20]


# --- refused behind the handshake ---


def refused(*, login=False):
    """A server that requires a certificate of a client that has none."""
    made = TlsTalk(TLS13)
    callback = _VERIFY(lambda ok, store: ok)
    made.kept.append(callback)
    made.lib.SSL_CTX_set_verify(made.server.context, FAIL_WITHOUT_CERTIFICATE, callback)
    made.begin()
    lib, sides = made.lib, (made.client, made.server)
    for step in range(6):
        for peer in sides:
            lib.ERR_clear_error()
            lib.SSL_do_handshake(peer.ssl)
        if login and step == 1:
            lib.SSL_write(made.client.ssl, LOGIN, len(LOGIN))
        made.carry()
    return made


@pytest.mark.parametrize("login", [False, True])
def test_a_refusal_behind_the_handshake(login):
    made = refused(login=login)
    findings = found(analysed(made.events, by=1, end=0.01))
    note = findings["BS127"]
    assert (note.severity, note.stream) == ("note", 1)
    assert "24 bytes" in note.detail
    assert "192.0.2.2:9443" in note.detail
    opened = found(analysed(made.events, made.keylog, by=1, end=0.01))
    assert "BS127" not in opened
    assert "certificate_required" in opened["BS109"].detail


@pytest.mark.parametrize(
    "said", [[(0, LOGIN), (1, status(1, 9))], SESSION, [(0, LOGIN), (1, status(1)), (1, status(2))]]
)
def test_a_session_that_the_server_ends_is_no_refusal(said):
    made = TlsTalk(TLS13).handshake()
    for direction, data in said:
        made.say(direction, data)
    assert "BS127" not in found(analysed(made.events, by=1, end=0.01))
    assert "BS127" not in found(analysed(made.end().events, by=1, end=0.01))


def test_who_closes_late_or_is_closed_refuses_nothing():
    made = refused()
    assert "BS127" not in found(analysed(made.events, by=0, end=0.01))
    assert "BS127" not in found(analysed(made.events, by=1, end=30.0))
    assert "BS127" not in found(analysed(made.events, how="end", by=None, end=0.01))
