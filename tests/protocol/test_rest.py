"""The table of HTTP calls: what each call means, and what it writes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope.protocol import rest
from blynkscope.protocol.model import Era
from blynkscope.protocol.rest import CALLS, KINDS, PinWrite, meaning, values_in, written

T = "0123456789abcdef0123456789abcdef"
L, N = Era.LEGACY, Era.IOT


@pytest.mark.parametrize(
    ("call", "kind", "era", "token", "pin"),
    [
        (f"GET /{T}/update/V0?value=1", "rest-update", L, T, "V0"),
        (f"PUT /{T}/update/d12", "rest-update", L, T, "d12"),
        (f"PUT /{T}/pin/V1", "rest-update", L, T, "V1"),
        (f"GET /{T}/pin/V1", "rest-get", L, T, "V1"),
        (f"PUT /{T}/extra/pin/V1", "rest-update", L, T, "V1"),
        (f"GET /{T}/get/V1/", "rest-get", L, T, "V1"),
        (f"GET /{T}/update/V1?color=%23D3435C", "rest-property", L, T, "V1"),
        (f"GET /{T}/data/V0", "rest-data", L, T, "V0"),
        (f"GET /{T}/isHardwareConnected", "rest-status", L, T, None),
        (f"GET /{T}/isAppConnected", "rest-status", L, T, None),
        ("GET /short/project", "rest-project", L, None, None),
        (f"GET /{T[:30]}/project", "rest-project", L, T[:30], None),
        (f"POST /{T}/notify", "rest-notify", L, T, None),
        (f"POST /{T}/email", "rest-email", L, T, None),
        (f"GET /{T}/rtc", "rest-rtc", L, T, None),
        (f"GET /{T}/qr", "rest-qr", L, T, None),
        (f"GET /external/api/update?token={T}&V1=2", "rest-update", N, T, "V1"),
        (f"GET /external/api/update?token={T}&pin=V1&value=2", "rest-update", N, T, "V1"),
        (f"GET /external/api/update?token={T}&dataStreamId=7&value=2", "rest-update", N, T, "7"),
        (f"GET /external/api/batch/update?token={T}&V1=1&V2=2", "rest-batch", N, T, None),
        (f"GET /external/api/get?token={T}&V1", "rest-get", N, T, "V1"),
        (f"GET /external/api/get?token={T}&pin=V1", "rest-get", N, T, "V1"),
        (f"GET /external/api/getAll?token={T}", "rest-get", N, T, None),
        (f"GET /external/api/update/property?token={T}&pin=V1&color=%23FF0000", "rest-property", N, T, "V1"),
        (f"GET /external/api/logEvent?token={T}&code=hot", "rest-event", N, T, None),
        (f"GET /external/api/isHardwareConnected?token={T}", "rest-status", N, T, None),
        (f"GET /external/api/device/meta?token={T}", "rest-meta", N, T, None),
        (f"POST /external/api/device/meta/update?token={T}", "rest-meta", N, T, None),
        (f"GET /external/api/data/get?token={T}&pin=V3", "rest-data", N, T, "V3"),
        (f"POST /external/api/upload?token={T}", "upload", N, T, None),
        (f"GET /external/api/newest?token={T}", "other", N, T, None),
        (f"GET /admin/ota/start?fileName=a.bin&token={T}", "ota-start", L, T, None),
        ("POST /admin/ota/start", "ota-start", L, None, None),
        ("GET /admin/ota/stop", "ota-stop", L, None, None),
        ("GET /static/ota/fw.bin", "firmware-download", None, None, None),
        ("GET /static/ota/dir/fw", "firmware-download", None, None, None),
        ("GET /static/fw_123.bin", "firmware-download", None, None, None),
        (f"GET /static/ota/fw.bin?auth={T}", "firmware-download", None, None, None),
        ("GET /releases/v1.bin.gz", "firmware-download", None, None, None),
        ("GET /dev%40example.com_1_0_v1.csv.gz", "rest-data", None, None, None),
        ("GET /", "page", None, None, None),
        ("GET /admin", "page", None, None, None),
        ("GET /static/js/app.js", "page", None, None, None),
        ("GET /favicon.ico", "page", None, None, None),
        ("GET /nosuch", "other", None, None, None),
        ("DELETE /releases/v1.bin", "other", None, None, None),
        (f"GET /{T}/unknown", "other", None, None, None),
        ("GET //get/V1", "other", None, None, None),
        ("CONNECT blynk.cloud:443", "tunnel", None, None, None),
        ("OPTIONS *", "other", None, None, None),
    ],
)
def test_calls(call, kind, era, token, pin):
    method, target = call.split(" ", 1)
    path, _, query = target.partition("?")
    found = meaning(method, path, query)
    assert (found.kind, found.era, found.token, found.pin) == (kind, era, token, pin)
    assert found.kind in KINDS
    assert found.doc


@pytest.mark.parametrize(
    ("path", "subprotocol", "kind"),
    [("/websockets", None, "websocket-upgrade"), ("/dashws", None, "websocket-upgrade"), ("/mqtt", None, "mqtt-upgrade"),
     ("/x", "mqtt", "mqtt-upgrade"), ("/mqtt/", None, "mqtt-upgrade")],
)  # fmt: skip
def test_upgrades(path, subprotocol, kind):
    assert meaning("GET", path, upgrade="websocket", subprotocol=subprotocol).kind == kind


def test_updaters_load_firmware_whatever_its_name_is():
    assert meaning("GET", "/x", agent="ESP8266-http-Update").kind == "firmware-download"
    assert meaning("GET", "/x", agent="curl/8").kind == "other"


def written_by(method, target, body=None):
    path, _, query = target.partition("?")
    return [(one.key, one.raw) for one in written(meaning(method, path, query), body)]


@pytest.mark.parametrize(
    ("method", "target", "body", "writes"),
    [
        ("PUT", "/t/update/V0", '["55"]', [(b"vw0", b"55")]),
        ("PUT", "/t/pin/V1", '["1","2","3"]', [(b"vw1", b"1\0002\0003")]),
        ("PUT", "/t/update/V1", "[1, 2.50, true, 1e3]", [(b"vw1", b"1\0002.50\0true\0001e3")]),
        ("PUT", "/t/update/D2", '["1"]', [(b"dw2", b"1")]),
        ("PUT", "/t/update/a3", '["1"]', [(b"aw3", b"1")]),
        ("GET", "/t/update/V1?value=12&value=13", None, [(b"vw1", b"12\00013")]),
        ("GET", "/t/update/V1?value=a%20b+c", None, [(b"vw1", b"a b c")]),
        ("GET", "/t/update/V1?value=%E2%82%AC", None, [(b"vw1", "€".encode())]),
        ("PUT", "/t/extra/pin/V0", '[{"timestamp":1,"value":"1"},{"timestamp":2,"value":2}]', [(b"vw0", b"1")]),
        ("GET", "/external/api/update?token=t&V1=5", None, [(b"vw1", b"5")]),
        ("GET", "/external/api/update?token=t&pin=V1&value=5", None, [(b"vw1", b"5")]),
        ("GET", "/external/api/batch/update?token=t&V1=5&v22=x", None, [(b"vw1", b"5"), (b"vw22", b"x")]),
        ("PUT", "/t/update/Vx", '["1"]', []), ("PUT", "/t/update/V0", "notjson", []), ("PUT", "/t/update/V0", "{}", []),
        ("PUT", "/t/update/V0", None, []), ("PUT", "/t/update/V0", "[null]", []), ("PUT", "/t/update/V0", "[[1]]", []),
        ("PUT", "/t/update/V0", "[" * 2000, []), ("PUT", "/t/update/V0", "[" + "1," * 2000, []), ("PUT", "/t/get/V0", '["1"]', []),
        ("GET", "/t/update/V0?color=x", None, []), ("GET", "/t/get/V0?value=1", None, []), ("PUT", "/t/update/V0", "[NaN]", [(b"vw0", b"NaN")]),
    ],
)  # fmt: skip
def test_writes(method, target, body, writes):
    assert written_by(method, target, body) == writes


@pytest.mark.parametrize(
    ("answer", "values"),
    [('["42"]', ("42",)), ("[1, 2.50]", ("1", "2.50")), ("42", ("42",)), ('"on"', ("on",)), ("[]", ()), ("{}", None), ("[null]", None),
     ("x", None), ("", None), (None, None), ("[" * 2000, None)],
)  # fmt: skip
def test_values_of_answers(answer, values):
    assert values_in(answer) == values


def test_the_table_is_sound():
    assert all(row.pattern.startswith("/") and row.doc for row in CALLS)
    assert {row.kind for row in CALLS} <= set(KINDS)
    assert len({(row.pattern, row.methods) for row in CALLS}) == len(CALLS)


def test_a_flood_of_parameters_is_cut():
    found = meaning("GET", f"/{T}/update/V1", "value=1&" * 100_000)
    assert 0 < len(found.writes[0].values) <= rest.PARAMETERS_MAX


texts = st.text(max_size=30)


@settings(max_examples=200, deadline=None)
@given(texts, texts, texts, st.one_of(st.none(), texts), st.one_of(st.none(), texts, st.recursive(
    st.none() | st.integers() | texts, lambda one: st.lists(one) | st.dictionaries(texts, one), max_leaves=5).map(json.dumps)))  # fmt: skip
def test_nothing_raises(method, path, query, agent, body):
    for where in (path, "/t/update/" + path, "/t/extra/pin/V1", "/external/api/" + path, "/external/api/update"):
        found = meaning(method, where, query, agent=agent)
        assert found.kind in KINDS
        for one in written(found, body):
            assert isinstance(one, PinWrite)
            assert one.key
            assert isinstance(one.raw, bytes)
    written(meaning("PUT", "/t/update/V1"), body)
