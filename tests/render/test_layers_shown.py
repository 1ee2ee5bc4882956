"""What TLS, WebSocket, HTTP and MQTT tell is shown in every output, whatever they hold."""

import csv
import io
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ladder import finding, frame, happened, opened

from blynkscope.analysis.records import SCHEMA, LinkRecord, MessageRecord, StreamRecord, SummaryRecord
from blynkscope.analysis.selection import Selection
from blynkscope.cli.showing import Shown
from blynkscope.render.console import cells
from blynkscope.render.csv import COLUMNS
from blynkscope.render.formats import FORMATS
from blynkscope.render.layering import Recognised
from blynkscope.render.outputs import make
from blynkscope.render.redact import Redactor

WIDTHS = (40, 60, 80, 120, 200)
TLS = ("tcp", "tls1.2")
SUITES = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA"]
JA4 = "t12d020400_81fd9d5f6ae4_b233c74d86d4"


def fact(kind, sender="unknown", stream=1, family="tls", **detail):
    return StreamRecord(family, stream, 1001.0, sender, 0, {"fact": kind, **detail})


def recognised(sender="unknown", stream=1, label="TLS ClientHello"):
    return happened("tls", stream, sender, 6, protocol="tls", label=label, advice="Wrap the socket.")


def hello(**more):
    detail = {"version": "TLS 1.2", "versions": ["TLS 1.2"], "sni": "ny3.blynk.cloud", "ciphers": SUITES, "alpn": [],
              "groups": ["x25519"], "resuming": False, "ja4": JA4}  # fmt: skip
    return fact("tls-client-hello", **detail | more)


def chosen(**more):
    return fact(
        "tls-server-hello",
        "server",
        **{"version": "TLS 1.2", "cipher": SUITES[0], "resumed": None, "retry": False} | more,
    )


def certificate(**more):
    detail = {"position": 0, "chain": 2, "subject": "CN=*.blynk.cloud,O=Blynk", "issuer": "CN=R10,O=Let's Encrypt,C=US",
              "not_before": 0.0, "not_after": 2_000_000_000.0, "names": ["*.blynk.cloud", "blynk.cloud"],
              "self_signed": False, "key": "RSA 2048"}  # fmt: skip
    return fact("tls-certificate", "server", **detail | more)


def alert(number=48, name="unknown_ca", level="fatal", sender="device", **more):
    detail = {
        "encrypted": False,
        "level": level,
        "number": number,
        "name": name,
        "cause": "The device does not trust the CA.",
    }
    return fact("tls-alert", sender, **detail | more)


def keys(state="opened", **more):
    return fact("tls-keys", "server", state=state, **more)


def call(n=1, text='PUT /abc/update/V0 ["1"] → 200', name="PUT", sender="unknown", stream=1, via=("tcp",), **more):
    facts = {"protocol": "http", "kind": "rest-update", "frames": (), "answers": None, "rtt_ms": 4.1, "findings": (),
             "detail": {"method": name, "status": 200, "pin": "V0", "values": ["1"]}}  # fmt: skip
    facts |= more
    return MessageRecord(
        SCHEMA, n, 1002.0, stream, "10.0.0.2:4", "10.0.0.1:8080", sender, via, name=name, text=text, **facts
    )


def packet(n=1, text="CONNECT user device, token abc", name="CONNECT", sender="device", **more):
    return call(
        n, text, name, sender, **{"protocol": "mqtt", "kind": name.lower(), "rtt_ms": None, "detail": {}} | more
    )


def shown(form, *records, width=120, batches=True, **more):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
    output = make(form, stream, width=width, color="never", **more)
    for batch in [[record] for record in records] if batches else [records]:
        output.write(batch)
    output.close()
    stream.flush()
    return raw.getvalue().decode()


def flat(form, *records, **more):
    return " ".join(shown(form, *records, **more).replace("│", " ").replace("┊", " ").replace("╌", "").split())


HUMAN = ("table", "tree", "ladder")


@pytest.mark.parametrize("form", HUMAN)
@pytest.mark.parametrize("width", [80, 200])
def test_a_person_reads_the_whole_handshake(form, width):
    text = flat(
        form, opened(), recognised(), hello(), recognised("server"), chosen(), certificate(), keys(), width=width
    )
    assert f"the client offers TLS 1.2 · 2 cipher suites · SNI ny3.blynk.cloud · JA4 {JA4}" in text
    assert f"the server chooses TLS 1.2 · {SUITES[0]}" in text
    assert (
        "certificate 1 of 2 of the server is for *.blynk.cloud, blynk.cloud · by R10 · valid until 2033-05-18 · RSA 2048"
        in text
    )
    assert "TLS: opened with the key log" in text
    assert "Wrap the socket" not in text
    assert "not opened" not in text


@pytest.mark.parametrize("form", HUMAN)
def test_without_facts_the_recognition_is_shown(form):
    text = flat(form, opened(), recognised(), happened("closed", how="fin"))
    assert text.index("TLS ClientHello, not opened") < text.index("closed")
    assert "TLS ClientHello, not opened" in flat(form, opened(), recognised())
    text = flat(form, opened(), recognised(), finding())
    assert text.index("TLS ClientHello") < text.index("BS201")
    # What the server's direction says is no reason to leave out the client's.
    assert "TLS ClientHello" in flat(form, opened(), recognised(), chosen())
    # An alert that is encrypted tells nothing.
    assert "TLS ClientHello" in flat(form, opened(), recognised(), fact("tls-alert", encrypted=True))


def test_programs_get_every_record():
    records = [
        opened(),
        recognised(),
        hello(),
        chosen(),
        call(),
        LinkRecord(1, 2, 1.0),
        fact("ws-ping", family="websocket", size=1),
    ]
    lines = [json.loads(line) for line in shown("jsonl", *records).splitlines()]
    assert [line["record"] for line in lines] == ["stream"] * 4 + ["message", "link", "stream"]
    assert lines[2]["detail"]["ciphers"] == SUITES
    assert len(json.loads(shown("json", *records))) == len(records)


def test_suites_are_named_where_they_are_asked_for_or_offered_in_vain():
    assert SUITES[1] not in shown("table", hello(), chosen())
    assert f"cipher suites: {', '.join(SUITES)}" in flat("table", hello(), chosen(), verbose=1)
    assert "groups: x25519" in flat("table", hello(), verbose=1)
    assert f"offered in vain: {', '.join(SUITES)}" in flat(
        "table", hello(), alert(40, "handshake_failure", sender="server")
    )
    refused = alert(71, "insufficient_security", sender="server")
    assert "offered in vain" not in flat("table", hello(), chosen(), refused)
    assert "offered in vain" in flat("table", hello(), chosen(retry=True), refused)
    assert SUITES[1] in shown("tree", hello(), chosen())
    closed = happened("closed", how="reset")
    assert SUITES[1] in shown("summary", opened(), hello(), refused, closed)
    assert SUITES[1] not in shown("summary", opened(), hello(), chosen(), closed)
    assert "offered in vain" in flat("ladder", opened(), hello(), refused)


@pytest.mark.parametrize(
    ("number", "name", "words"),
    [
        (70, "protocol_version", "offered in vain: TLS 1.2"),
        (112, "unrecognized_name", "offered in vain: SNI ny3.blynk.cloud"),
        (48, "unknown_ca", None),
    ],
)
def test_suites_are_not_named_where_they_are_not_the_matter(number, name, words):
    refused, closed = alert(number, name, sender="server"), happened("closed", how="reset")
    for form in ("table", "ladder", "summary"):
        text = flat(form, opened(), hello(), refused, closed)
        assert SUITES[0] not in text
        assert form == "summary" or (words in text if words else "offered in vain" not in text)
    # A server that answers nothing, as one behind a plain port does, refuses no suite.
    for form in ("table", "ladder", "summary"):
        assert SUITES[0] not in flat(form, opened(), hello(), closed)


def test_alerts_say_why():
    text = flat("table", hello(), alert())
    assert "the device sends the alert fatal unknown_ca (48)" in text
    assert "The device does not trust the CA." in text
    assert "alert" not in flat("table", fact("tls-alert", encrypted=True))
    assert "encrypted alert" in flat("table", fact("tls-alert", encrypted=True), verbose=1)
    end = alert(0, "close_notify", "warning", decrypted=True)
    assert "close_notify" not in flat("table", end)
    assert "close_notify" in flat("table", end, verbose=1)
    assert "close_notify" in flat("table", alert(0, "close_notify", "warning"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"not_after": 10.0}, "expired since 1970-01-01"),
        ({"not_before": 2e9}, "valid only from 2033-05-18 on"),
        ({"self_signed": True}, "signed by itself"),
        ({"names": [f"n{at}.example" for at in range(9)]}, "and 5 more names"),
        ({"subject": "", "names": []}, "is for nobody"),
        ({"not_after": 1e300}, "valid until an unknown date"),
        ({"not_after": None}, "valid until an unknown date"),
        ({"issuer": "C=US,O=Let's\\, Encrypt,CN=R10"}, "by R10"),
        ({"issuer": "C=US,O=Let's\\, Encrypt"}, "by Let's, Encrypt"),
        ({"issuer": "DC=example"}, "by DC=example"),
    ],
)
def test_certificates(more, words):
    assert words in flat("table", certificate(**more))


def test_other_certificates_of_the_chain_only_on_request():
    assert "certificate 2" not in flat("table", certificate(position=1))
    assert "certificate 2 of 2" in flat("table", certificate(position=1), verbose=1)
    assert "cannot be read: broken" in flat(
        "table", fact("tls-certificate", "server", position=0, chain=1, error="broken")
    )


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (keys("none"), "not opened: there is no key log"),
        (keys("unmatched", lines=3), "has no keys of this connection · lines 3"),
        (keys("partial", missing="client"), "the keys of one direction only · missing client"),
        (keys("wrong"), "do not fit"),
        (keys("unsupported", why="RC4"), "the cipher suite is not supported: RC4"),
        (keys("late"), "the handshake is not in the input"),
        (keys("sideways"), "keys: sideways"),
        (hello(sni=None), "no SNI"),
        (hello(resuming=True), "wants to resume a session"),
        (chosen(resumed=True), "resumes a session"),
        (chosen(retry=True), "asks for another hello"),
        (fact("tls-client-hello", error="cut"), "cannot be read: cut"),
        (fact("tls-resumed", how="ticket"), "an earlier session is resumed by a ticket"),
        (
            fact("tls-renegotiation", by="client", followed=False),
            "the client begins to renegotiate: what follows is not opened",
        ),
        (fact("tls-early-data", accepted=False, decrypted=None), "early data: refused by the server"),
        (fact("tls-lost", reason="bytes are missing"), "cannot be followed any more: bytes are missing"),
        (fact("tls-something-new", what=3), "TLS: something new (the client) · what 3"),
        (
            fact("ws-upgraded", family="websocket", path="/dashws", dialect="web"),
            "WebSocket begins on /dashws · web dialect",
        ),
        (
            fact("ws-close", "server", family="websocket", code=1002, name="protocol error", reason="x"),
            "closes it with 1002 protocol error (x)",
        ),
        (fact("ws-masking", family="websocket", expected=True), "the frames of the client are not masked"),
        (fact("ws-too-big", family="websocket", size=9), "too big to be kept · size 9"),
        (fact("ws-cut", family="websocket", have=1, need=2), "is cut · have 1 · need 2"),
        (
            StreamRecord(
                "undecodable",
                1,
                1.0,
                "device",
                90,
                {"fact": "tls-undecodable", "reason": "bad MAC", "sequence": 5, "size": 90},
            ),
            "90 bytes from device cannot be decoded (record 5 of its keys): bad MAC",
        ),
        (
            StreamRecord("undecodable", 1, 1.0, "device", 0, {"reason": "bad MAC", "count": 7}),
            "7 more records from device cannot be decoded: bad MAC",
        ),
        (StreamRecord("undecodable", 1, 1.0, "", 3, {}), "3 bytes cannot be decoded"),
    ],
)
def test_every_fact_in_words(record, words):
    for form in HUMAN:
        assert words in flat(form, opened(), record, width=200)


def test_how_a_layer_works_is_shown_on_request():
    for kind in ("ws-ping", "ws-pong", "ws-fragmented", "ws-text"):
        record = fact(kind, family="websocket", size=1)
        assert "WebSocket" not in shown("table", record)
        assert "WebSocket" in shown("table", record, verbose=1)
    assert "generation" not in shown("table", fact("tls-key-update", generation=1))


@pytest.mark.parametrize(
    ("kind", "detail", "words"),
    [
        ("ws-fragmented", {"frames": 5, "size": 710, "whole": True}, "the device sends a message of 710 bytes in 5 frames"),
        ("ws-fragmented", {"frames": 1, "size": 1, "whole": False},
         "a message of 1 byte in 1 frame, of which a part is missing"),
        ("ws-ping", {"size": 0}, "WebSocket: the device sends a ping"),
        ("ws-pong", {"size": 4}, "WebSocket: the device sends a pong with 4 bytes"),
        ("ws-text", {"size": 2, "text": "hi"}, "WebSocket: the device sends text of 2 bytes, which is no Blynk: hi"),
    ],
)  # fmt: skip
def test_how_websocket_works_is_told_in_words(kind, detail, words):
    text = flat("table", fact(kind, "device", family="websocket", **detail), verbose=1, width=200)
    assert words in text
    assert "whole" not in text
    assert "frames 5" not in text


@pytest.mark.parametrize("form", HUMAN)
def test_the_layers_of_a_stream_are_told_once(form):
    via = ("tcp", "tls1.2", "websocket")
    text = flat(form, opened(), frame(1, via=via), frame(2, via=via))
    assert "tcp \u203a tls1.2 \u203a websocket \u203a Blynk hardware" in text
    if form != "tree":
        assert text.count("websocket") == 1
    assert "\u203a" not in flat(form, opened(), frame(1), frame(2, via=("log",)))
    assert "tcp \u203a tls1.2 \u203a MQTT" in flat(form, opened(), packet(via=(*TLS, "mqtt")))


@pytest.mark.parametrize("width", [100, 120, 200])
def test_a_call_is_a_row(width):
    one, other = shown("table", call(3), frame(4, answers=3, rtt_ms=4.1), quiet=True, width=width).splitlines()
    assert one.split() == [
        "m3",
        "0.000",
        "client",
        "→",
        "server",
        "HTTP",
        "PUT",
        "/abc/update/V0",
        '["1"]',
        "→",
        "200",
        "4.1",
        "ms",
    ]
    assert one.index("HTTP PUT") == other.index("HW")
    assert one.index("/abc") == other.index("V1 = ")
    assert len(one) == len(other)


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("form", ["table", "ladder"])
def test_where_the_room_is_small_the_answer_stays(form, width):
    url = "/6f1c/update/V0?" + "value=1&" * 40
    (line,) = [
        line
        for line in shown(form, opened(), call(text=f"GET {url} → 200 false", name="GET"), width=width).splitlines()
        if "m1" in line
    ]
    assert "… → 200 false" in line
    assert "4.1 ms" in line
    long = call(text=f"GET /x → 200 {'y' * 300}", name="GET")
    (line,) = [line for line in shown(form, opened(), long, width=width).splitlines() if "m1" in line]
    assert "/x → 200 yyy" in line


def test_a_packet_that_is_its_name_alone_is_named_once():
    normal = packet(name="DISCONNECT", text="DISCONNECT: normal disconnection")
    for form in (*HUMAN, "mermaid"):
        assert shown(form, opened(), packet(name="PINGREQ", text="PINGREQ")).count("PINGREQ") == 1
        assert shown(form, opened(), normal).count("DISCONNECT") == 1


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_all_packets_are_named_alike(width):
    names = ("CONNECT", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT", "PINGREQ")
    rows = [shown("table", packet(name=name, text=f"{name} 7"), quiet=True, width=width).rstrip() for name in names]
    assert all(f"MQTT {name} " in row for name, row in zip(names, rows, strict=True))
    assert len({row.rindex("7") for row in rows}) == 1
    assert "MQTT" not in shown("table", *(packet(name=name, text=name) for name in names), quiet=True, width=40)


def sent_to(value, width):
    """The row of a call that writes a pin and causes a frame."""
    token = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
    record = call(
        text=f"PUT /{token}/update/V0 {value} → 200, device HW #5 (id 111)", frames=(5,), rtt_ms=4.1,
        detail={"method": "PUT", "status": 200, "token": token, "target": f"/{token}/update/V0"},
    )  # fmt: skip
    other = happened("opened", stream=2)  # from then on rows carry the number of their stream
    (row,) = [row for row in shown("table", other, record, width=width).splitlines() if " m1 " in row]
    assert len(row) <= width
    return row


@pytest.mark.parametrize("width", [80, 99, 100, 110, 120])
def test_what_a_call_did_is_seen_where_the_room_is_small(width):
    assert "HW #5" in sent_to('["1"]', width)
    assert 'update/V0 ["1"] → 200, ' in sent_to('["1"]', width)
    long = sent_to('["21.5 and more than has room here, whatever is left out"]', width)
    assert '/…/update/V0 ["21' in long
    assert "… → 200, HW #5" in long


def test_a_call_that_failed_is_marked():
    bad = call(text="GET /x → 404 Not Found", name="GET", detail={"status": 404})
    for form in HUMAN:
        assert "✗ /x → 404" in flat(form, bad) or form == "tree"
    assert "✗" not in flat("table", call())
    assert "✗" in flat("table", packet(name="CONNACK", text="CONNACK refused", detail={"return_code": 4}))
    assert "✗" not in flat("table", packet(name="CONNACK", text="CONNACK accepted", detail={"return_code": 0}))
    assert "1 HTTP call, 1 failed" in flat("table", bad)


def test_frames_that_a_call_caused():
    assert "→ #31" in flat("table", call(frames=(31,)))
    assert flat("table", call(text="PUT /x → 200, device HW #31 (id 111)", frames=(31,))).count("#31") == 1
    for form in ("table", "tree", "ladder"):
        assert "m3 caused #31" in flat(form, call(3), LinkRecord(3, 31, 1003.0))


def test_answers_of_packets():
    puback = packet(2, "PUBACK 7", "PUBACK", "server", answers=1, rtt_ms=12.0)
    assert "↩ m1 12.0 ms" in flat("table", puback)
    assert "↩ m1 12.0 ms" in flat("ladder", opened(), puback)
    assert "answers m1" in flat("tree", puback)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("form", ["table", "ladder", "summary"])
def test_no_line_is_wider_than_the_output(form, width):
    long = "温度" * 200 + "x" * 3000
    records = [
        opened(), recognised(), hello(sni=long, ciphers=[long] * 9, alpn=[long]), chosen(cipher=long),
        certificate(subject=f"CN={long}", issuer=long, names=[long] * 9), alert(name=long), keys(long, extra=long),
        fact("ws-upgraded", family="websocket", path=long, extensions=[long]), fact("tls-" + "new-" * 99, x=long),
        StreamRecord("undecodable", 1, 1.0, "server", 10, {"reason": long, "sequence": 10**30, "count": 10**30}),
        call(10**6, f"GET {long}", "GET", via=(*TLS, "websocket"), frames=tuple(range(90))),
        packet(10**6, long, long, "server", answers=10**6, rtt_ms=1e7, via=(long, "tls", long)),
        call(8, "", "", "unknown"), LinkRecord(10**9, 10**9, None), happened("closed", how="fin"),
    ]  # fmt: skip
    for verbose in (0, 1):
        text = shown(form, *records, SummaryRecord(0, 1, {}, {}), width=width, verbose=verbose)
        assert [line for line in text.splitlines() if cells(line) > width] == []


def test_the_summary_tells_of_calls_and_layers():
    closed = happened("closed", how="fin")
    text = flat(
        "summary",
        opened(),
        hello(),
        chosen(),
        certificate(),
        keys(),
        call(1, via=TLS),
        call(2, via=TLS),
        call(3, via=TLS, detail={"status": 500}),
        closed,
    )
    assert "layers tcp \u203a tls1.2 \u203a HTTP" in text
    assert "calls HTTP PUT rest-update 3 (1 failed)" in text
    assert (
        f"tls the client offers TLS 1.2 · 2 cipher suites · SNI ny3.blynk.cloud · JA4 {JA4} the server chooses" in text
    )
    assert "certificate 1 of 2" in text
    assert "3 HTTP calls, 1 failed" in text
    assert "without a Blynk frame" not in text


def test_streams_that_were_read_are_not_called_unopened():
    foreign = StreamRecord("foreign", 1, 1001.0, "unknown", 90, {"protocol": "http", "label": "HTTP request"})
    assert "are no Blynk" not in shown("table", opened(), foreign, call())
    assert "named above" not in shown("table", opened(), foreign, call())
    assert "are no Blynk" in shown("table", opened(), foreign, happened("closed", how="fin"))
    assert "1 of HTTP: named above, not opened" in flat("table", opened(), foreign, happened("closed", how="fin"))
    assert "1 of TLS: named above, not opened" in flat("table", hello(), chosen(), keys("none"))
    assert "named above" not in flat("table", hello(), chosen(), keys("opened"))
    assert "named above" not in flat("table", hello(), chosen(), frame(1, via=TLS))


def test_handshakes_of_the_proxy_itself_are_not_called_unopened():
    offered = hello()
    told = {**offered.detail, "agreed": ""}
    assert "named above" not in flat("table", msgspec.structs.replace(offered, detail=told))
    failed = {"fact": "proxy-handshake-failed", "reason": "closed", "alert": None, "legacy": True, "cause": "It left."}
    failure = StreamRecord("proxy", offered.stream, 1001.0, "device", 0, failed)
    alert = StreamRecord(
        "tls", offered.stream, 1001.0, "device", 0, {"fact": "tls-alert", "number": 42, "level": "fatal"}
    )
    text = flat("table", alert, failure)
    assert "named above" not in text
    assert "no TLS with the device: It left" in text
    assert "legacy" not in text


def test_rows_for_spreadsheets_end_in_new_columns():
    rows = list(csv.DictReader(io.StringIO(shown("csv", frame(1), call(1, text="=x"), packet(2)))))
    assert list(rows[0]) == list(COLUMNS)
    assert COLUMNS[:16] == (
        "n", "time", "stream", "src", "dst", "sender", "dialect", "cmd", "name", "id", "length", "status_name", "text",
        "answers", "rtt_ms", "write",
    )  # fmt: skip
    assert [row["record"] for row in rows] == ["frame", "message", "message"]
    assert rows[1]["status"] == "200"
    assert rows[1]["kind"] == "rest-update"
    assert rows[1]["text"] == "'=x"
    assert rows[1]["cmd"] == rows[1]["id"] == ""


def test_mermaid_draws_calls_and_handshakes():
    text = shown("mermaid", opened(), hello(), chosen(), call(1, via=TLS), packet(2, sender="device", answers=1))
    assert "->>server2: m1 HTTP PUT" in text
    assert "-->>" in text
    assert "Note over client1: TLS: the client offers" in text
    many = [call(n) for n in range(1, 400)]
    assert "199 more messages" in shown("mermaid", *many)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
lists = st.lists(scalars, max_size=4)
values = scalars | lists | st.dictionaries(st.text(max_size=8), scalars | lists, max_size=4)
kinds = st.sampled_from(
    ["tls-client-hello", "tls-server-hello", "tls-certificate", "tls-alert", "tls-keys", "tls-resumed", "tls-renegotiation",
     "tls-early-data", "tls-lost", "tls-new", "ws-upgraded", "ws-close", "ws-masking", "ws-error", "ws-cut", "ws-odd", ""]
)  # fmt: skip
names = st.sampled_from(
    ["version", "versions", "sni", "ciphers", "alpn", "groups", "ja4", "cipher", "resumed", "retry", "position", "chain",
     "subject", "issuer", "not_before", "not_after", "names", "encrypted", "level", "number", "name", "cause", "state", "source",
     "why", "path", "extensions", "dialect", "code", "reason", "error", "count", "sequence", "size", "how", "by", "expected",
     "status", "token", "target", "password", "values", "payload_hex", "user", "protocol"]
)  # fmt: skip
details = st.dictionaries(names, values, max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(kinds, st.sampled_from(["tls", "websocket", "undecodable"]), details), max_size=4),
    details,
    st.text(max_size=40),
)
def test_no_output_fails_whatever_facts_hold(facts, detail, text):
    records = [StreamRecord(family, 1, 1001.0, "server", 0, {"fact": kind, **held}) for kind, family, held in facts]
    for protocol in ("http", "mqtt"):
        records.append(call(1, text, text[:9], text[:5], protocol=protocol, kind=text[:3], detail=detail))
    for form in FORMATS:
        out = shown(form, opened(), *records, happened("closed", how="fin"), verbose=1)
        assert "\x1b" not in out
        assert "\x07" not in out


events = st.one_of(
    st.builds(recognised, st.sampled_from(["unknown", "server"]), st.integers(1, 2)),
    st.builds(
        lambda stream, protocol: StreamRecord(
            "foreign", stream, 1.0, "unknown", 1, {"protocol": protocol, "label": protocol}
        ),
        st.integers(1, 2),
        st.sampled_from(["http", "mqtt", "websocket", "ssh"]),
    ),
    st.builds(
        lambda stream, kind: fact(kind, stream=stream),
        st.integers(1, 2),
        st.sampled_from(["tls-client-hello", "tls-keys"]),
    ),
    st.builds(lambda stream: call(stream=stream), st.integers(1, 2)),
    st.builds(lambda stream: frame(1, stream=stream), st.integers(1, 2)),
    st.builds(lambda stream: happened("closed", stream), st.integers(1, 2)),
    st.builds(finding, st.sampled_from([1, 2, None])),
    st.just(SummaryRecord(0, 1, {}, {})),
    st.just(LinkRecord(1, 1, None)),
)


@given(st.lists(events, max_size=20))
def test_what_waits_is_shown_once_or_told_better(records):
    recognised_ones = Recognised()
    out = [one for record in records for one in recognised_ones.pass_on(record)] + recognised_ones.rest()
    ids = [id(one) for one in out]
    waiting = [
        r for r in records if isinstance(r, StreamRecord) and r.kind in {"tls", "foreign"} and not r.detail.get("fact")
    ]
    others = [record for record in records if not any(record is one for one in waiting)]
    assert [id(one) for one in out if not any(one is held for held in waiting)] == [id(one) for one in others]
    assert set(ids) <= {id(record) for record in records}
    better = {
        (r.stream)
        for r in records
        if isinstance(r, MessageRecord) or (isinstance(r, StreamRecord) and r.detail.get("fact"))
    }
    for held in waiting:
        assert sum(one is held for one in out) == sum(r is held for r in records) or held.stream in better


@pytest.mark.parametrize("form", ["table", "tree", "ladder", "summary", "mermaid", "csv"])
def test_batches_change_nothing(form):
    records = [
        opened(),
        recognised(),
        hello(),
        recognised("server"),
        chosen(),
        certificate(),
        keys(),
        call(1, via=TLS),
        frame(1, via=TLS),
        LinkRecord(1, 1, None),
        happened("closed", how="fin"),
    ]
    assert shown(form, *records) == shown(form, *records, batches=False)


def test_signals_among_the_suites_are_none():
    offered = hello(ciphers=[*SUITES, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", "TLS_FALLBACK_SCSV"])
    text = flat("table", offered, chosen(), verbose=1)
    assert "2 cipher suites" in text
    assert f"cipher suites: {', '.join(SUITES)}" in text
    assert "SCSV" not in text


@pytest.mark.parametrize("form", HUMAN)
@pytest.mark.parametrize("quiet", [False, True])
def test_what_is_read_and_filtered_out_is_not_called_foreign(form, quiet):
    def web(stream, sender):
        return happened("foreign", stream, sender, 171, protocol="http", label="HTTP request")

    redactor = Redactor()
    raw = io.StringIO()
    output = make(form, raw, width=120, color="never", quiet=quiet, redactor=redactor)
    show = Shown(Selection("status == 400"), output, redactor)
    for stream in (1, 2, 3):
        show([opened(stream), web(stream, "unknown"), web(stream, "server")])
        if stream < 3:
            show([call(stream, stream=stream, detail={"status": 200 * stream})])
        show([happened("closed", stream)])
    output.close()
    text = raw.getvalue()
    assert ("m2" in text, "m1" in text) == (True, False)
    # Of the third stream nothing is read.
    assert text.count("are no Blynk") == 2


def test_counts_and_time_of_a_summary_are_of_the_same():
    shown_streams = opened(2), frame(4, stream=2), opened(3), call(stream=3)
    assert "frames 1 of 6 in 2 of 9 streams over" in flat("table", *shown_streams, SummaryRecord(6, 9, {}, {}))
    assert "frames 1 in 2 streams over" in flat("table", *shown_streams, SummaryRecord(1, 2, {}, {}))
    assert "frames 1 in 1 stream " in flat("table", opened(), frame(1), SummaryRecord(1, 1, {}, {}))
