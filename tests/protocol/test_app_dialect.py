"""The app and web dialects: every body of the recorded sessions, and those that no recording holds."""

import json
import struct
import zlib

import msgspec
import pytest
from captures_of import CAPTURES

from blynkscope.analysis.records import SCHEMA, FrameRecord
from blynkscope.protocol import commands, derived, limits
from blynkscope.protocol.app_bodies import GRAPH_STREAMS_MAX
from blynkscope.protocol.model import APP_WEB, Dialect, Era
from blynkscope.render.patterns import SECRET_NAMES
from blynkscope.render.redact import Redactor

APP, WEB = Dialect.APP, Dialect.WEB
DIALECTS = {"app7": APP, "wsweb": WEB}
TOKEN = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
CODE = "WT0RCmbJkoy4RW3mAec2YZXHBnxrXVN9"
MAIL = "jane.doe@example.org"
HASH = "c29tZXNhbHRlZGhhc2hvZmFwYXNzd29yZHRoYXRpc2Zha2U="


def recorded(name):
    """The messages of a recording in the app and web dialects: dialect, truth and body."""
    lines = (CAPTURES / f"{name}.truth.jsonl").read_text().splitlines()
    truths = [json.loads(line) for line in lines]
    return [
        (DIALECTS[truth["dialect"]], truth, bytes.fromhex(truth.get("body_hex") or ""))
        for truth in truths
        if truth["dialect"] in DIALECTS and truth["event"] == "msg" and truth["cmd"]
    ]


RECORDED = [message for name in ("07a_app_tls12", "08d_ws_dashws_tls") for message in recorded(name)]


def record(cmd, body, dialect=APP, number=1):
    fields, text = derived.decode_body(cmd, body, dialect)
    return FrameRecord(
        SCHEMA, 1, 1.0, 1, None, None, "app", dialect.value, ("tcp",), cmd, commands.command_name(cmd, dialect), number,
        len(body), None, None, body.hex(), fields, text, None, None, None, (),
    )  # fmt: skip


def shown(redacted):
    """All that an output could show of a record."""
    return msgspec.json.encode(redacted).decode() + bytes.fromhex(redacted.body).decode("latin-1")


def document_of(body):
    """The JSON document at the end of a body, if there is one: read without the code under test."""
    try:
        text = zlib.decompress(body) if body[:1] == b"\x78" else body.rpartition(b"\0")[2]
        document = json.loads(text)
    except (ValueError, zlib.error):
        return None
    return document if isinstance(document, dict | list) else None


def values_of(document, key=""):
    if isinstance(document, dict):
        for name, value in document.items():
            yield from values_of(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from values_of(value, key)
    else:
        yield key, document


# --- what was recorded ------------------------------------------------------------------------------------------------


def test_the_recordings_are_long():
    assert len(RECORDED) > 120
    assert {dialect for dialect, _, _ in RECORDED} == {APP, WEB}


def test_every_recorded_body_is_read_to_its_end():
    """No part is without a name, and each value of the body is in the fields."""
    for dialect, truth, body in RECORDED:
        fields, text = derived.decode_body(truth["cmd"], body, dialect)
        row = commands.find(truth["cmd"], dialect)
        where = (truth["name"], body[:60])
        if row is None or truth["cmd"] not in range(1, 82):
            assert fields == {"text": body.decode()}, where
            continue
        if not body:
            assert fields is None, where
            continue
        assert fields, where
        assert text, where
        assert "extra" not in fields, where
        assert "args" not in fields, where
        assert "problem" not in fields, where
        document = document_of(body)
        if document is not None and row.name not in {"MSG_HW", "MSG_APP_SYNC"}:
            assert fields["json"] == document, where
        elif body[:1] != b"\x78":
            told = {str(value).lstrip("VDA") for _, value in values_of(fields)}
            assert {part.decode().lstrip("VDA") for part in body.split(b"\0")} <= told | {""}, where


def test_the_malformed_requests_of_the_recording_are_named():
    """What the server refused as malformed."""
    problems = set()
    for dialect, truth, body in RECORDED:
        row = commands.find(truth["cmd"], dialect)
        if body and row is not None and (problem := row.body.problem(body)):
            problems.add((truth["cmd"], truth["id"], problem))
    assert problems == {
        (1, 4, "no password_hash"),
        (20, 24, "vw without a value"),
        (20, 26, "'xx' is no pin number"),
        (33, 60, "no JSON at 1: Expecting property name enclosed in double quotes"),
    }


def test_replayed_values_have_their_target_and_pin():
    replayed = [
        (dialect, derived.decode_body(truth["cmd"], body, dialect)[0])
        for dialect, truth, body in RECORDED
        if truth["id"] == 1111
    ]
    assert {dialect for dialect, _ in replayed} == {APP, WEB}
    for _, fields in replayed:
        # A device, a tag, or a device selector.
        assert fields["target"] in {"1-0", "1-1", "1-100000", "1-200000"}
        assert fields["pins"][0]["pin"] if "op" in fields else fields["pin"].startswith("V")


def test_no_secret_of_the_recordings_is_shown():
    redactor = Redactor()
    secrets = set()
    for dialect, truth, body in RECORDED:
        raw = record(truth["cmd"], body, dialect, truth["id"])
        for key, value in values_of(raw.fields):
            if isinstance(value, str) and len(value) > 3 and key.lower() in {*SECRET_NAMES, "email"}:
                secrets.add(value)
        text = shown(redactor.apply(raw))
        assert not [secret for secret in secrets if len(secret) >= 16 and secret in text], truth["name"]
    assert sum(len(secret) == 32 for secret in secrets) >= 6
    assert any("@" in secret for secret in secrets)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b'{"a":1}', None),
        (b"{bad", "no JSON at 1"),
        (b"hello", "no JSON at 0"),
        (b'{"a":1}}', "no JSON at 7"),
        (b'{"a":\xff}', "no JSON at 5"),
        (b"[" * 100_000, None),
        (b"1" * 10_000, None),
        (b'{"a":"' + b"x" * 100_000 + b'"}}', None),
    ],
)
def test_a_document_that_is_none_is_said(document, problem):
    for cmd, body in ((21, document), (33, b"1\0" + document)):
        said = commands.find(cmd, APP).body.problem(body)
        assert said is None if problem is None else said.startswith(problem)


def test_a_document_that_is_cut_is_not_called_ill_formed():
    document = json.dumps({"a": [1, -2.5e3, True, None, {"b\u00e9": "c\\ \n\u2028"}], "d": "é€"}, ensure_ascii=False)
    for text in (document.encode(), json.dumps(json.loads(document)).encode()):
        for size in range(1, len(text) + 1):
            assert commands.find(21, APP).body.problem(text[:size]) is None, text[:size]


# --- bodies that no recording holds -----------------------------------------------------------------------------------


def chart(*streams, dash=1):
    head = b"" if dash is None else struct.pack(">i", dash)
    return zlib.compress(
        head + b"".join(struct.pack(">i", len(one)) + b"".join(struct.pack(">dq", *p) for p in one) for one in streams)
    )


POINTS = [(21.5, 1795253940000), (22.0, 1795254000000), (22.5, 1795254060000)]

KNOWN = [
    (2, f"{MAIL}\0{HASH}\0iOS\x002.27.1\0facebook",
     {"email": MAIL, "password_hash": HASH, "client": "iOS", "version": "2.27.1", "app": "facebook"}),
    (3, CODE, {"code": CODE}),
    (4, "1", {"target": "1"}),
    (8, "", None),
    (9, "1", {"dash": "1"}),
    (9, TOKEN, {"token": TOKEN}),
    (13, "1\x002", {"dash": "1", "device": "2"}),
    (13, "template\x001\x0077\x003", {"dash": "1", "widget": "77", "template": "3"}),
    (13, "template", {}),
    (19, "1\x0012\0label\0Pump", {"target": "1", "widget": "12", "property": "label", "values": ["Pump"]}),
    (19, "1-2\x007\0labels\0a\0b", {"target": "1-2", "pin": "V7", "property": "labels", "values": ["a", "b"]}),
    (20, "1\0vw\x001\x005", {"target": "1", "op": "vw", "pins": [{"pin": "V1", "values": ["5"]}]}),
    (20, "1-100000\0vw\x001\x005", {"target": "1-100000", "op": "vw", "pins": [{"pin": "V1", "values": ["5"]}]}),
    (24, "17", {"dash": "17"}),
    (24, f"{TOKEN}\x0017", {"token": TOKEN, "published": "17"}),
    (25, "1-200000", {"target": "1-200000"}),
    (27, "1\0phone-1\0fcm-token-of-the-phone", {"dash": "1", "uid": "phone-1", "token": "fcm-token-of-the-phone"}),
    (27, "phone-1\0fcm-token-of-the-phone", {"uid": "phone-1", "token": "fcm-token-of-the-phone"}),
    (28, "1-0\x0077", {"target": "1-0", "widget": "77"}),
    (31, f"{CODE}", {"token": CODE}),
    (33, '1\x0077\x003\0{"id":5}', {"dash": "1", "widget": "77", "template": "3", "json": {"id": 5}}),
    (33, '1\0{"id":5,"type":"TIMER","startTime":3600}',
     {"dash": "1", "json": {"id": 5, "type": "TIMER", "startTime": 3600}}),
    (37, "1000\0com.example.1", {"energy": "1000", "transaction": "com.example.1"}),
    (39, f"1\0{TOKEN}", {"dash": "1", "token": TOKEN}),
    (55, '{"id":"app1"}', {"json": {"id": "app1"}}),
    (57, "app1", {"app": "app1"}),
    (58, TOKEN, {"token": TOKEN}),
    (59, "1\0app1", {"dash": "1", "app": "app1"}),
    (60, "1-0\x0077\0DAY\x001", {"target": "1-0", "widget": "77", "period": "DAY", "page": "1"}),
    (61, "1-0\x0077\x001", {"target": "1-0", "widget": "77", "stream": "1"}),
    (63, CODE, {"token": CODE}),
    (66, "phone-1", {"uid": "phone-1"}),
    (67, '1\x0077\0{"id":1,"mode":"PAGE"}', {"dash": "1", "widget": "77", "json": {"id": 1, "mode": "PAGE"}}),
    (69, "1\x0077\x001", {"dash": "1", "widget": "77", "template": "1"}),
    (76, "1-0\0v1\0d2", {"target": "1-0", "datastreams": ["v1", "d2"]}),
    (77, '1\0{"id":3,"recipients":"x"}', {"dash": "1", "json": {"id": 3, "recipients": "x"}}),
    (79, "1\x003", {"dash": "1", "report": "3"}),
    (80, "1\x003", {"dash": "1", "report": "3"}),
    (81, f"start\0{MAIL}\0Blynk", {"step": "start", "email": MAIL, "app": "Blynk"}),
    (81, f"verify\0{TOKEN}", {"step": "verify", "token": TOKEN}),
    (81, f"reset\0{TOKEN}\0{HASH}", {"step": "reset", "token": TOKEN, "password_hash": HASH}),
]  # fmt: skip


@pytest.mark.parametrize("dialect", [APP, WEB])
@pytest.mark.parametrize(("cmd", "body", "fields"), KNOWN, ids=lambda value: repr(value)[:40])
def test_known_answers(dialect, cmd, body, fields):
    told, text = derived.decode_body(cmd, body.encode(), dialect)
    assert told == fields
    for key, value in (fields or {}).items():
        if isinstance(value, str) and key != "op":
            assert value.lstrip("V") in text, key
    row = commands.find(cmd, dialect, Era.LEGACY)
    assert row.body.problem(body.encode()) is None
    assert row.body.build(row.body.parse(body.encode())) == body.encode()


def test_the_points_of_a_chart():
    fields, text = derived.decode_body(60, chart(POINTS, [], POINTS[:1]), APP)
    first, last = ({"time_ms": time, "value": value} for value, time in (POINTS[0], POINTS[-1]))
    assert fields == {
        "inflated": 4 + 3 * 4 + 4 * 16,
        "dash": "1",
        "streams": [
            {"points": 3, "first": first, "last": last}, {"points": 0}, {"points": 1, "first": first, "last": first},
        ],
    }  # fmt: skip
    assert text == "80 bytes inflated: points 3, 0, 1"
    old = derived.decode_body(11, chart(POINTS, dash=None), APP)[0]
    assert old["streams"] == [{"points": 3, "first": first, "last": last}]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (zlib.compress(b"{}"), "not the points"),
        (chart(POINTS)[:-4], "ends early"),
        (zlib.compress(struct.pack(">ii", 1, 1 << 30)), "not the points"),
        (zlib.compress(struct.pack(">ii", 1, -1)), "not the points"),
        (zlib.compress(bytes(4 + 4 * (GRAPH_STREAMS_MAX + 1))), "not the points"),
        (zlib.compress(bytes(limits.INFLATED_MAX + 100)), "cut there"),
    ],
)
def test_what_is_no_chart(data, problem):
    fields, text = derived.decode_body(60, data, APP)
    assert problem in fields["problem"]
    msgspec.json.encode(fields)
    assert "inflated" in text


def test_values_that_json_has_no_number_for():
    fields, _ = derived.decode_body(60, chart([(float("nan"), 1), (float("inf"), 2)]), APP)
    assert [fields["streams"][0][end]["value"] for end in ("first", "last")] == ["nan", "inf"]


# --- secrets ----------------------------------------------------------------------------------------------------------

DEVICE = {"id": 0, "name": "Device 0", "token": TOKEN}
PROFILE = {"dashBoards": [{"id": 1, "devices": [DEVICE], "sharedToken": CODE, "widgets": [{"to": MAIL}]}]}


@pytest.mark.parametrize("dialect", [APP, WEB])
@pytest.mark.parametrize(
    ("cmd", "body", "secrets"),
    [
        (2, f"{MAIL}\0{HASH}\0iOS\x002.27.1\0Blynk", [MAIL, HASH]),
        (3, CODE, [CODE]),
        (9, TOKEN, [TOKEN]),
        (24, zlib.compress(json.dumps(PROFILE).encode()), [TOKEN, CODE, MAIL]),
        (24, f"{TOKEN}\x0017", [TOKEN]),
        (21, json.dumps(PROFILE["dashBoards"][0]), [TOKEN, CODE, MAIL]),
        (27, "phone-1\0fcm-token-of-the-phone", ["fcm-token-of-the-phone"]),
        (30, CODE, [CODE]),
        (32, f"{MAIL}\0{CODE}\0iOS\x002.27.1", [MAIL, CODE]),
        (39, f"1\0{TOKEN}", [TOKEN]),
        (42, json.dumps(DEVICE), [TOKEN]),
        (43, "1\0" + json.dumps(DEVICE), [TOKEN]),
        (45, json.dumps([DEVICE, DEVICE]), [TOKEN]),
        (50, json.dumps(DEVICE), [TOKEN]),
        (58, TOKEN, [TOKEN]),
        (58, zlib.compress(json.dumps(PROFILE).encode()), [TOKEN, CODE, MAIL]),
        (63, CODE, [CODE]),
        (74, json.dumps(DEVICE), [TOKEN]),
        (77, "1\0" + json.dumps({"id": 1, "recipients": MAIL}), [MAIL]),
        (81, f"start\0{MAIL}\0Blynk", [MAIL]),
        (81, f"verify\0{TOKEN}", [TOKEN]),
        (81, f"reset\0{TOKEN}\0{HASH}", [TOKEN, HASH]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_secrets_are_hidden_in_fields_text_and_bytes(dialect, cmd, body, secrets):
    data = body if isinstance(body, bytes) else body.encode()
    redacted = Redactor().apply(record(cmd, data, dialect))
    text = shown(redacted)
    assert not [secret for secret in secrets if secret in text]
    packed = bytes.fromhex(redacted.body)
    assert len(packed) == len(data)
    if data[:1] == b"\x78":
        assert set(packed) == {ord("*")}


def test_the_name_of_an_app_is_no_secret_afterwards():
    redactor = Redactor()
    redactor.apply(record(81, f"start\0{MAIL}\0Blynk".encode()))
    login = redactor.apply(record(2, f"{MAIL}\0{HASH}\0iOS\x002.27.1\0Blynk".encode()))
    assert login.fields["app"] == "Blynk"


def test_a_secret_of_an_app_is_known_in_what_follows():
    redactor = Redactor()
    redactor.apply(record(63, CODE.encode()))
    redactor.apply(record(3, TOKEN.encode()))
    redacted = redactor.apply(record(72, f"copied {CODE}, redeemed {TOKEN}".encode()))
    assert CODE not in shown(redacted)
    assert TOKEN not in shown(redacted)


def test_every_app_command_names_its_parts():
    """Only what nobody has described has parts without a name."""
    unnamed = {
        row.code
        for row in commands.COMMANDS
        if row.dialects <= APP_WEB and row.on_wire and "args" in (row.body.decode(b"1-0\0a\0b")[0] or {})
    }
    assert unnamed <= {10, 20, 25, 75}
