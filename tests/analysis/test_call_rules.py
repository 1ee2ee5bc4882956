"""Findings about HTTP calls: what their answers prove, and when a single refusal is no more than a note."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nettalk import Connections, of_capture
from talk import frame, status, write

from blynkscope.analysis.records import FindingRecord
from blynkscope.analysis.rules import calls
from blynkscope.wire.events import Closed, Data, Gap, Opened

T = "0123456789abcdef0123456789abcdef"
IOT = "Host: blynk.cloud"
DONE = (1, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
FAMILY = ("BS340", "BS341", "BS342", "BS343", "BS344", "BS345", "BS346", "BS347", "BS409", "BS410", "BS411", "BS606")


def get(target, *fields, method="GET", body=b""):
    lines = [f"{method} {target} HTTP/1.1", *(fields or ["Host: h"])]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return 0, "\r\n".join([*lines, "", ""]).encode() + body


def answer(code, body=b"", *fields):
    return 1, "\r\n".join([f"HTTP/1.1 {code} X", f"Content-Length: {len(body)}", *fields, "", ""]).encode() + body


def told(talk):
    return [
        (one.id, one.severity) for name in FAMILY for one in talk.findings(name)
    ]  # fmt: skip


def said(*wires, **options):
    return told(Connections().talk(wires=wires, **options).finish())


@pytest.mark.parametrize(
    ("asked", "answered", "finding", "severity"),
    [
        (get(f"/{T}/get/V1"), answer(400, b"Invalid token."), "BS340", "error"),
        (get(f"/external/api/get?token={T}&V1", IOT), answer(401, b'{"error":{"message":"Invalid token."}}'), "BS340", "error"),
        (get(f"/{T}/get/V1"), answer(403), "BS340", "error"),
        (get(f"/{T}/get/Vx"), answer(400, b"Wrong pin format."), "BS341", "warning"),
        (get(f"/{T}/update/V1", method="PUT", body=b"x"), answer(500, b"Error parsing body param. x"), "BS341", "warning"),
        (get(f"/{T}/pin/V1"), answer(404), "BS341", "warning"),
        (get(f"/{T}/update/V1?value=1", IOT), answer(404), "BS342", "error"),
        (get(f"/{T}/update/V1?value=1", "Host: fra1.blynk.cloud:443"), answer(400, b"Invalid token."), "BS342", "error"),
        (get(f"/external/api/update?token={T}&V1=1", "Host: blynk-cloud.com"), answer(404), "BS342", "error"),
        (get(f"/external/api/update?token={T}&V1=1", "Host: 192.0.2.2:8080"), answer(400, b"Invalid token."), "BS342", "error"),
        (get(f"/{T}/update/V1?value=1"), answer(400, b"Device is offline."), "BS343", "warning"),
        (get(f"/{T}/update/V1?value=1"), answer(400, b"Device is not in network."), "BS343", "warning"),
        (get(f"/{T}/update/V1?value=1"), answer(429), "BS344", "error"),
        (get(f"/{T}/update/V1?value=1"), answer(400, b"Quota limit exception"), "BS344", "error"),
        (get(f"/external/api/update?token={T}&V1=1"), answer(429), "BS344", "error"),
        (get(f"/{T}/email", method="POST", body=b"{}"), answer(500), "BS345", "warning"),
        (get(f"/{T}/get/V1"), answer(502, b"<html>Bad Gateway</html>"), "BS345", "warning"),
    ],
)  # fmt: skip
def test_refused(asked, answered, finding, severity):
    assert said(asked, answered) == [(finding, severity)]
    talk = Connections().talk(wires=(asked, answered)).finish()
    (record,) = talk.findings(finding)
    assert T not in record.detail
    assert finding in [one for record in talk.records for one in getattr(record, "findings", ())]
    # One who is answered otherwise tries something out; the same call again is a habit.
    good = (get("/fedcba9876543210fedcba9876543210/rtc"), answer(200, b"[1]"))
    tried = (*good * (calls.GOOD_CALLS if finding == "BS340" else 1), asked, answered)
    assert said(*tried) == [(finding, "note")]
    assert said(*tried, asked, answered, asked, answered) == [(finding, "note"), (finding, severity)]


def test_a_call_that_the_server_does_not_have():
    asked = get(f"/{T}/notify", method="POST", body=b"{}")
    (lacking,) = Connections().talk(wires=(asked, answer(501, b"not implemented"))).finish().findings("BS345")
    assert "does not have this call" in lacking.fix
    assert "logs/blynk.log" not in lacking.fix
    (failing,) = Connections().talk(wires=(asked, answer(500))).finish().findings("BS345")
    assert "logs/blynk.log" in failing.fix


def test_an_unknown_token_beside_a_few_good_calls_is_an_error():
    """A program with two tokens, one of them mistyped."""
    good = (get("/fedcba9876543210fedcba9876543210/rtc"), answer(200, b"[1]"))
    wrong = (get(f"/{T}/get/V1"), answer(400, b"Invalid token."))
    other = (get(f"/{T[::-1]}/get/V1"), answer(400, b"Invalid token."))
    assert said(*good, *wrong) == [("BS340", "error")]
    assert said(*good * 9, *wrong, *good) == [("BS340", "error")]
    assert said(*good * 10, *wrong, *other) == [("BS340", "note")]
    assert said(*good * 10, *wrong, *other, get("/short/get/V1"), wrong[1]) == [("BS340", "note"), ("BS340", "error")]
    assert said(*good * 10, *wrong, *wrong) == [("BS340", "note"), ("BS340", "error")]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (get(f"/{T}/update/V1?value=1"), answer(200)), (get(f"/{T}/data/V1"), answer(400, b"No data.")),
        (get("/api/get/users"), answer(404)), (get("/nosuch"), answer(404)), (get("/"), answer(301)), (get("/favicon.ico"), answer(404)),
        (get(f"/external/api/get?token={T}&V1", IOT), answer(200, b"1")), (get("/admin/ota/start"), answer(200)),
        (get(f"/{T}/update/V1?value=1", IOT), answer(200)), (get("/static/ota/a.bin"), answer(200, b"\xe9abc")),
    ],
)  # fmt: skip
def test_healthy(asked, answered):
    assert said(asked, answered) == []


def test_a_refused_token_is_told_once_for_each_caller():
    talk = Connections()
    for number in range(3):
        talk.talk(wires=(get(f"/{T}/get/V{number}"), answer(400, b"Invalid token.")))
    assert len(talk.finish().findings("BS340")) == 1
    talk = Connections()
    for number in range(3):
        talk.talk(wires=(get(f"/{T}/get/V1"), answer(400, b"Invalid token.")), client=f"192.0.2.{number + 10}")
    assert len(talk.finish().findings("BS340")) == 3


def test_callers_are_bounded(monkeypatch):
    monkeypatch.setattr(calls, "CALLERS_MAX", 4)
    talk = Connections()
    for number in range(20):
        talk.talk(wires=(get(f"/{T}/rtc"), answer(200)), client=f"192.0.2.{number + 10}")
    (rule,) = [one.__self__ for one in talk.analyser.run.hooks.told if isinstance(one.__self__, calls.Calls)]
    assert len(rule._callers) == 4
    talk = Connections()
    talk.talk(wires=[one for n in range(300) for one in (get(f"/{T}/get/V{n}"), answer(400, b"Wrong pin."))])
    (rule,) = [one.__self__ for one in talk.analyser.run.hooks.told if isinstance(one.__self__, calls.Calls)]
    assert [len(one.refused) for one in rule._callers.values()] == [calls.TOLD_MAX]


# --- no answer ----------------------------------------------------------------------------------------------------------

FIRST = (get(f"/{T}/rtc"), answer(200, b"[1]"))


@pytest.mark.parametrize(
    ("how", "by", "who"), [("fin", 1, "the server"), ("reset", 1, "the server"), ("fin", 0, "the client")]
)
def test_unanswered(how, by, who):
    talk = Connections().talk(wires=(*FIRST, get(f"/{T}/update/V1?value=1")), how=how, by=by).finish()
    (record,) = talk.findings("BS346")
    assert record.severity == "warning"
    assert f"GET /…/update/V1 got no answer: {who}" in record.detail


def test_what_is_not_known_to_be_unanswered():
    assert said(*FIRST, get(f"/{T}/rtc"), how="end") == []
    assert said(*FIRST, (0, b"GET /t/rtc HTTP/1.1\r\n")) == []
    assert said(*FIRST, get("/page")) == []
    assert said(*FIRST, get(f"/{T}/update/V1", "Content-Length: 5", method="PUT")) == []
    talk = Connections().tell(
        Opened(1, 1.0, "192.0.2.1:5", "192.0.2.2:8080", 5, 8080, True), Data(1, 0, 2.0, FIRST[0][1]), Data(1, 1, 2.0, FIRST[1][1]),
        Data(1, 0, 3.0, FIRST[0][1]), Gap(1, 1, 3.0, 90, "lost"), Closed(1, 4.0, "fin", 0, (True, True)),
    )  # fmt: skip
    assert told(talk.finish()) == []


# --- firmware -----------------------------------------------------------------------------------------------------------

UPDATER = "User-Agent: ESP8266-http-Update"
HTML = b"<!DOCTYPE html><html><title>Login</title></html>"


@pytest.mark.parametrize(
    ("asked", "answered", "finding", "severity"),
    [
        (get("/static/ota/a.bin"), answer(200, HTML), "BS409", "error"),
        (get("/x", UPDATER), answer(200, b"\r\n  <HTML>"), "BS409", "error"),
        (get("/x", UPDATER), (1, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\xe9\r\n0\r\n\r\n"), "BS410", "warning"),
        (get("/x", UPDATER), (1, b"HTTP/1.1 200 OK\r\n\r\n\xe9"), "BS410", "warning"),
        (get("/x", UPDATER, "x-ESP8266-free-space: 3"), answer(200, b"\xe9abc"), "BS411", "error"),
    ],
)  # fmt: skip
def test_firmware(asked, answered, finding, severity):
    assert (finding, severity) in said(asked, answered)
    assert [one for one in said(asked, answered) if one[0] in FAMILY] == [(finding, severity)]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (get("/x", UPDATER, "x-ESP8266-free-space: 4"), answer(200, b"\xe9abc")), (get("/x", UPDATER), answer(304)),
        (get("/a.bin"), (1, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\xe9\r\n0\r\n\r\n")),
        (get("/x", UPDATER, method="HEAD"), answer(200, b"")), (get("/index.html"), answer(200, HTML)),
        (get("/static/ota/a.bin"), answer(404, HTML)),
    ],
)  # fmt: skip
def test_firmware_that_is_right(asked, answered):
    assert said(asked, answered) == []


# --- exposure -----------------------------------------------------------------------------------------------------------

LOGIN = "Authorization: Basic bWU6czNjcmV0"


@pytest.mark.parametrize(
    ("fields", "server", "found"),
    [
        ([LOGIN], "8.8.8.8", 1),
        ([LOGIN], "192.168.1.2", 0),
        (["Authorization: Bearer x"], "8.8.8.8", 0),
        (["Host: h"], "8.8.8.8", 0),
    ],
)
def test_passwords_in_clear(fields, server, found):
    talk = Connections().talk(wires=(get("/admin", *fields), answer(200)) * 2, server=server).finish()
    assert len(talk.findings("BS606")) == found
    assert "s3cret" not in repr(talk.records)


# --- not relayed --------------------------------------------------------------------------------------------------------


UPDATE = get(f"/{T}/update/V1?value=1")


class Beside:
    """A device that is online on stream 1, and calls on stream 2."""

    def __init__(self, token=T, server="192.0.2.2:8080"):
        self.talk, self.time = Connections(), 100.0
        self.talk.tell(Opened(1, 100.0, "192.0.2.1:5", server, 5, 8080, True))
        self.say(1, 0, frame(29, 1, token.encode())).say(1, 1, status(1))
        self.talk.tell(Opened(2, self.time, "192.0.2.9:5", "192.0.2.2:8080", 5, 8080, True))

    def say(self, stream, side, wire, after=0.01):
        self.time += after
        self.talk.tell(Data(stream, side, self.time, wire))
        return self

    def call(self, asked=UPDATE):
        return self.say(2, *asked).say(2, *DONE)

    def close(self, *streams):
        for stream in streams or (2, 1):
            self.talk.tell(Closed(stream, self.time, "fin", 0, (True, True)))
        self.talk.finish()
        return told(self.talk)


def test_a_write_that_its_device_did_not_get():
    beside = Beside().call().say(1, 0, frame(6, 2), after=6.0)
    assert beside.close() == [("BS347", "note")]
    assert "message 1 (vw1)" in beside.talk.findings("BS347")[0].detail
    assert Beside().call().say(1, 0, frame(6, 2), after=6.0).call().close() == [("BS347", "note")]


def test_what_does_not_prove_that_it_got_nothing():
    late = {"after": 6.0}
    ping = (1, 0, frame(6, 2))
    assert Beside().call().say(1, 1, write(111, b"1", b"1")).say(*ping, **late).close() == []
    assert Beside().call().say(*ping, after=2.0).close() == []
    assert Beside().say(*ping, **late).call().close() == []
    assert Beside(token="another" + T[7:]).call().say(*ping, **late).close() == []
    assert Beside(server="192.0.2.3:8080").call().say(*ping, **late).close() == []
    assert Beside().call(get(f"/external/api/update?token={T}&V1=1")).say(*ping, **late).close() == []
    assert Beside().call(get(f"/{T}/update/V1?color=1")).say(*ping, **late).close() == []
    gap = Beside()
    gap.talk.tell(Gap(1, 1, gap.time, 10, "lost"))
    assert gap.call().say(*ping, **late).close() == []


def test_no_two_findings_have_the_same_id():
    from blynkscope.analysis import catalogue

    assert len(catalogue._RULES) == len(catalogue.CATALOGUE)


# --- anything -----------------------------------------------------------------------------------------------------------

wires = st.one_of(
    st.sampled_from([
        get(f"/{T}/update/V1?value=1"), get(f"/{T}/get/Vx", UPDATER, LOGIN), get("/x.bin", UPDATER, "x-ESP8266-free-space: 1"), DONE,
        answer(400, b"Invalid token."), answer(200, HTML), answer(429), answer(500, b"\xff\0"), get("/mqtt", "Upgrade: websocket"),
        answer(101), (1, b"HTTP/1.1 100 Continue\r\n\r\n"), (0, frame(29, 1, T.encode())), (1, status(1)),
    ]),
    st.tuples(st.sampled_from([0, 1]), st.binary(max_size=20)),
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(wires, max_size=12), st.sampled_from(["fin", "reset", "end", "evicted"]), st.booleans())
def test_anything_is_judged_without_an_error(steps, how, public):
    talk = Connections()
    for server in ("8.8.8.8", "192.0.2.2"):
        talk.talk(wires=steps, how=how, server=server, port=8080 if public else 80)
    talk.finish()
    assert T not in repr([one.detail for one in talk.records if isinstance(one, FindingRecord) and one.id in FAMILY])


# --- recordings ---------------------------------------------------------------------------------------------------------


def test_the_recording_of_a_rest_api_in_good_use():
    found = of_capture("09a_http_rest_plain.pcap")
    assert {name: [one.severity for one in found[name]] for name in found if name in FAMILY} == {
        "BS340": ["note"], "BS341": ["note"],
    }  # fmt: skip
