"""The HTTP API of the legacy server: statuses, bodies and texts, and what devices hear of it."""

import gzip
import json
from collections import defaultdict
from pathlib import Path

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether  # noqa: F401 - packets are read by it
from scapy.utils import PcapReader
from server_world import ACCOUNT, OTHER, cut
from webtalk import TOKEN, Caller, World

from blynkscope.protocol.model import Dialect, Era

RECORDED = Path(__file__).parents[2] / "captures" / "09a_http_rest_plain.pcap"
UNLIKE = {
    "/project": "the project of that server had other widgets",
    "/qr": "this server draws no codes",
    "/rtc": "another time",
}
"""Recorded calls whose bodies differ, with the reason."""


@pytest.fixture
def world():
    return World()


@pytest.fixture
def caller(world):
    return Caller(world)


def test_the_calls_of_a_recording_are_answered_like_the_real_server(world):
    token = "8ahBSNiIl06fGjEQdLCPH_pLg4FGW1wf"
    world = World(tokens=(token,))
    device = world.hub.device(token)
    for key in (b"v4", b"v1"):
        world.hub.keep(device, key, [b"12"], world.now)
    # The real server keeps a history only where a widget of the project shows it.
    world.store.commit()
    world.hub.store.add_data = lambda *_: None
    clients, said, recorded, asked = {}, defaultdict(bytes), defaultdict(bytes), defaultdict(bytes)
    with PcapReader(str(RECORDED)) as packets:
        payloads = [packet for packet in packets if packet[TCP].payload]
    for packet in payloads:
        data = bytes(packet[TCP].payload)
        if packet[TCP].dport == 8080:
            port = packet[TCP].sport
            client = clients.setdefault(port, Caller(world))
            said[port] += client.raw(data)
            asked[port] += data
            for other, client in clients.items():
                said[other] += client.link.take()
        else:
            recorded[packet[TCP].dport] += data
    assert len(recorded) > 20
    for port, expected in recorded.items():
        target = asked[port].split(b" ")[1].decode("latin-1")
        if asked[port][0] == 0x1D:
            # The device: how the pins are set up depends on the project.
            modes = b"\x14\x00\x01\x00\x08pm\x002\x00out"
            assert said[port] == expected.replace(modes, b"")
        elif any(target.endswith(end) for end in UNLIKE):
            assert (
                target.endswith("/qr")
                or said[port].partition(b"content-length")[0] == (expected.partition(b"content-length")[0])
            )
        elif target == "/":
            assert sorted(said[port].splitlines()) == sorted(expected.splitlines())
        else:
            assert said[port] == expected, target


def test_a_value_is_written_kept_and_sent_to_the_device(world, caller):
    device = world.device()
    assert caller.get(f"/{TOKEN}/update/V7?value=a%20b&value=%C3%A9").status == 200
    assert device.heard() == [(20, 111, b"vw\x007\x00a b\x00\xc3\xa9")]
    assert json.loads(caller.get(f"/{TOKEN}/get/v7").body) == ["a b", "é"]
    assert caller.get(f"/{TOKEN}/get/V07").text == '["a b","é"]'


@pytest.mark.parametrize("path", ["update", "pin"])
@pytest.mark.parametrize(
    ("body", "values"), [(b'["55"]', b"55"), (b'[1, 2.50, "x"]', b"1\x002.50\x00x"), (b"[true]", b"true")]
)
def test_values_come_as_json(world, caller, path, body, values):
    device = world.device()
    assert caller.ask("PUT", f"/{TOKEN}/{path}/A3", body).status == 200
    assert device.heard() == [(20, 111, b"aw\x003\x00" + values)]


@pytest.mark.parametrize("body", [b"notjson", b'{"a": 1}', b"[[1]]", b"[null]", b"[" * 5000, b"\xff\xfe", b'["a"'])
def test_a_body_that_is_no_array_is_an_error_of_the_server_as_on_the_real_one(caller, body):
    found = caller.ask("PUT", f"/{TOKEN}/update/V0", body)
    assert found.status == 500
    assert found.text.startswith("Error parsing body param. ")
    assert len(found.body) < 700


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("/{}/get/V99", 400, "Requested pin doesn't exist in the app."),
        ("/{}/get/Vx", 400, "Wrong pin format."),
        ("/{}/get/V256", 400, "Wrong pin format."),
        ("/{}/get/V\u0661", 400, "Wrong pin format."),
        ("/{}/update/Q1?value=1", 400, "Wrong pin format."),
        ("/{}/update/V1", 400, "Wrong request format."),
        ("/{}/update/V1?nosuch=1", 400, "Error setting widget property."),
        ("/{}/data/V1", 400, "No data."),
        ("/{}/data/pin", 400, "Wrong pin format."),
        ("/{}/pin/V1", 404, ""),
        ("/{}/nosuch", 404, ""),
        ("/{}", 404, ""),
        ("//", 404, ""),
        ("/short/project", 400, "Invalid token."),
        ("/0123456789abcdef0123456789abcdef/rtc", 400, "Invalid token."),
        ("/0123456789abcdef0123456789abcdef/notify", 404, ""),
        ("/external/api/get?token={}&V1", 404, ""),
        ("/{}/qr", 501, "This server draws no QR codes."),
    ],
)
def test_what_is_wrong_is_said_as_the_real_server_says_it(caller, target, status, said):
    from urllib.parse import quote

    found = caller.get(quote(target.format(TOKEN), safe="/?=&"))
    assert (found.status, found.text) == (status, said)


def test_every_answer_may_be_read_by_pages_of_others(caller):
    for target in ("/", "/nosuch", f"/{TOKEN}/get/V1", f"/{TOKEN}/rtc", "/static/ota/none.bin"):
        assert caller.get(target).headers["access-control-allow-origin"] == "*"
    found = caller.ask("OPTIONS", f"/{TOKEN}/update/V1")
    assert found.status == 200
    assert "PUT" in found.headers["access-control-allow-methods"]


def test_who_is_connected_is_told(world, caller):
    target = f"/{TOKEN}/isHardwareConnected"
    assert caller.get(target).text == "false"
    device = world.device()
    assert caller.get(target).text == "true"
    assert caller.get(f"/{OTHER}/isHardwareConnected").text == "false"
    device.finish()
    device.lose()
    assert caller.get(target).text == "false"
    assert caller.get(f"/{TOKEN}/isAppConnected").text == "false"


def test_an_app_is_told_of_writes_and_of_properties(world, caller):
    class App:
        account = ACCOUNT
        guest = False
        framing = Dialect.APP
        heard: list

        def sees(self, dash):
            return True

        def send(self, wire):
            self.heard += cut(wire, Dialect.APP)

    app = App()
    app.heard = []
    world.hub.attach_app(app)
    assert caller.get(f"/{TOKEN}/isAppConnected").text == "true"
    assert caller.get(f"/{TOKEN}/update/V1?value=9").status == 200
    assert caller.get(f"/{TOKEN}/update/V1?color=%23D3435C").status == 200
    assert app.heard == [(20, 111, b"1-0\x00vw\x001\x009"), (19, 111, b"1-0\x001\x00color\x00#D3435C")]
    assert world.store.property(TOKEN, b"v1", b"color") == [b"#D3435C"]


def test_the_project_is_shown_without_tokens(world, caller):
    found = caller.get(f"/{TOKEN}/project")
    project = json.loads(found.body)
    assert project["id"] == 1
    assert [device["id"] for device in project["devices"]] == [0, 1]
    assert TOKEN not in found.text
    assert OTHER not in found.text
    assert "address" not in found.text


def test_the_history_is_a_compressed_table(world, caller):
    for value in ("1", "2.5", "text", "3"):
        world.now += 1
        caller.get(f"/{TOKEN}/update/V3?value={value}")
    found = caller.get(f"/{TOKEN}/data/V3")
    start = int(world.now) * 1000 - 3000
    table = f"1,{start},0\n2.5,{start + 1000},0\n3,{start + 3000},0\n"
    assert gzip.decompress(found.body).decode() == table
    assert found.headers["content-type"] == "application/x-gzip"


def test_values_with_their_times_go_to_the_history(world, caller):
    device = world.device()
    body = b'[{"timestamp":1600000000000,"value":"1"},{"timestamp":1600000001000,"value":"2"}]'
    assert caller.ask("PUT", f"/{TOKEN}/extra/pin/V0", body).status == 200
    assert device.heard() == [(20, 111, b"vw\x000\x001")]
    table = gzip.decompress(caller.get(f"/{TOKEN}/data/V0").body).decode().splitlines()
    assert table[:2] == ["1,1600000000000,0", "2,1600000001000,0"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("notify", b'{"body":"note"}', 200),
        ("notify", b'{"body":""}', 400),
        ("notify", b'{"body":"' + b"x" * 300 + b'"}', 400),
        ("notify", b"[]", 400),
        ("notify", b"", 500),
        ("email", b'{"to":"dev@example.com","subj":"s","title":"t"}', 200),
        ("email", b'{"to":"dev@example.com"}', 400),
    ],
)
def test_people_are_notified(caller, path, body, status):
    assert caller.ask("POST", f"/{TOKEN}/{path}", body).status == status


def test_a_head_request_writes_nothing_and_has_no_body(world, caller):
    device = world.device()
    assert caller.ask("HEAD", f"/{TOKEN}/update/V1?value=1").status == 404
    assert device.heard() == []
    found = caller.ask("HEAD", f"/{TOKEN}/rtc")
    assert (found.status, found.body, found.headers["content-length"]) == (200, b"", "12")


def test_a_value_that_no_frame_holds_is_refused(world, caller):
    device = world.device()
    body = json.dumps(["x" * 61_000]).encode()
    assert caller.ask("PUT", f"/{TOKEN}/update/V1", body).status == 413
    body = json.dumps(["x" * 59_000]).encode()
    assert caller.ask("PUT", f"/{TOKEN}/update/V1", body).status == 200
    assert len(device.heard()[0][2]) == 59_005


def test_nul_inside_of_a_value_separates_values(world, caller):
    device = world.device()
    caller.get(f"/{TOKEN}/update/V1?value=a%00b")
    assert device.heard() == [(20, 111, b"vw\x001\x00a\x00b")]
    assert caller.get(f"/{TOKEN}/get/V1").text == '["a","b"]'


def test_any_token_makes_a_device():
    caller = Caller(World(any_token=True))
    assert caller.get("/a-new-one/update/V1?value=3").status == 200
    assert caller.get("/a-new-one/get/V1").text == '["3"]'


# --- Blynk IoT --------------------------------------------------------------------------------------------------------


@pytest.fixture
def cloud():
    return World(like=Era.IOT)


@pytest.fixture
def api(cloud):
    caller = Caller(cloud)
    return lambda call, **how: caller.ask(how.pop("method", "GET"), f"/external/api/{call}", **how)


def test_datastreams_are_written_and_read(cloud, api):
    device = cloud.device()
    assert api(f"update?token={TOKEN}&V1=42").status == 200
    assert api(f"update?token={TOKEN}&pin=v2&value=lon&value=lat").status == 200
    assert api(f"batch/update?token={TOKEN}&v3=1.5&V4=text&v5=007").status == 200
    assert api(f"update?token={TOKEN}&dataStreamId=6&value=1e400").status == 200
    assert device.heard() == [
        (20, 111, b"vw\x001\x0042"),
        (20, 111, b"vw\x002\x00lon\x00lat"),
        (20, 111, b"vw\x003\x001.5"),
        (20, 111, b"vw\x004\x00text"),
        (20, 111, b"vw\x005\x00007"),
        (20, 111, b"vw\x006\x001e400"),
    ]
    assert api(f"get?token={TOKEN}&v1").text == "42"
    assert api(f"get?token={TOKEN}&pin=V4").text == "text"
    assert json.loads(api(f"get?token={TOKEN}&pin=V2").body) == ["lon", "lat"]
    assert json.loads(api(f"get?token={TOKEN}&v1&v4").body) == {"v1": 42, "v4": "text"}
    everything = {"v1": 42, "v2": ["lon", "lat"], "v3": 1.5, "v4": "text", "v5": "007", "v6": "1e400"}
    assert json.loads(api(f"getAll?token={TOKEN}").body) == everything


@pytest.mark.parametrize(
    ("call", "status", "said"),
    [
        ("get?token=0123456789abcdef0123456789abcdef&v1", 400, "Invalid token."),
        ("get?V1", 400, "No token provided."),
        ("get?token={}", 400, "Wrong pin format."),
        ("get?token={}&pin=x", 400, "Wrong pin format."),
        ("get?token={}&v9", 400, "Requested pin doesn't exist in the app."),
        ("update?token={}&x=1", 400, "Wrong pin format."),
        ("update?token={}&dataStreamId=x&value=1", 400, "Wrong pin format."),
        ("update?token={}&pin=v1", 400, "No value provided."),
        ("update?token={}&v1=" + "x" * 1025, 400, "Value is too long."),
        ("update/property?token={}&pin=v1", 400, "No properties for update provided."),
        ("logEvent?token={}", 400, "Event code is not provided."),
        ("device/meta?token={}", 400, "Wrong metaField format."),
        ("device/meta?token={}&metaFieldId=3", 400, "MetaField doesn't exist."),
        ("data/get?token={}&pin=v1", 500, "No data"),
        ("upload?token={}", 404, "This function of the API does not exist here."),
        ("?token={}", 404, "This function of the API does not exist here."),
        ("get?token={}" + "&v1" * 300, 400, "Request with incorrect parameters"),
    ],
)
def test_what_is_wrong_is_said_as_the_cloud_says_it(api, call, status, said):
    found = api(call.format(TOKEN))
    assert (found.status, json.loads(found.body)) == (status, {"error": {"message": said}})
    assert found.headers["content-type"].startswith("application/json")


def test_paths_of_the_legacy_server_are_none_of_the_cloud(cloud):
    found = Caller(cloud).get(f"/{TOKEN}/get/V1")
    assert (found.status, json.loads(found.body)) == (404, {"error": {"message": "Not found."}})


def test_events_metadata_and_properties_are_kept(cloud, api):
    assert api(f"logEvent?token={TOKEN}&code=high_temp&description=It%20is%20{'hot' * 200}").status == 200
    ((name, description, _),) = cloud.store.events(TOKEN, 10)
    assert (name, len(description)) == (b"high_temp", 300)
    assert api(f"device/meta/update?token={TOKEN}&metaFieldName=Serial%20No&value=a%20b").status == 200
    found = json.loads(api(f"device/meta?token={TOKEN}&metaFieldId=Serial%20No").body)
    assert found["value"] == "a b"
    assert api(f"update/property?token={TOKEN}&pin=v1&label=My%20Label&color=%23D3435C").status == 200
    assert cloud.store.properties(TOKEN)[b"v1"] == {b"label": [b"My Label"], b"color": [b"#D3435C"]}


def test_history_is_uploaded_and_read(cloud, api):
    body = b"[[1648054765458,1.0],[1648054825459,2.5]]"
    assert api(f"batch/update?token={TOKEN}&pin=v1", method="POST", body=body).status == 200
    found = json.loads(api(f"data/get?token={TOKEN}&pin=v1&output=JSON").body)
    assert [(row["createdAt"], row["value"]) for row in found] == [(1648054765458, 1.0), (1648054825459, 2.5)]
    link = json.loads(api(f"data/get?token={TOKEN}&pin=v1").body)["link"]
    prefix = "http://device.example:8080/external/api/"
    assert link.startswith(prefix)
    table = gzip.decompress(api(link[len(prefix) :]).body)
    assert table == b"1,1648054765458,0\n2.5,1648054825459,0\n"
    for bad in (b"x", b"[1]", b"[[1]]", b'[["x","y"]]', b"[[-1,1]]"):
        assert api(f"batch/update?token={TOKEN}&pin=v1", method="POST", body=bad).status == 400


def test_the_cloud_tells_who_is_connected(cloud, api):
    assert api(f"isHardwareConnected?token={TOKEN}").text == "false"
    cloud.device()
    assert api(f"isHardwareConnected?token={TOKEN}").text == "true"
    assert api(f"isAppConnected?token={TOKEN}").text == "false"
