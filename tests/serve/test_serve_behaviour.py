"""What options of `serve` change: who is taken, redirects, silence, floods, firmware, what is shown and kept at the end."""

import contextlib
import json
import socket
import time
import zlib
from pathlib import Path

import pytest
from serve_world import (
    ACCOUNT,
    ADMIN,
    EVENT,
    HW,
    HW_LOGIN,
    INTERNAL,
    LOGIN,
    OK,
    OTHER,
    PING,
    PROPERTY,
    QUOTA,
    REDIRECT,
    REFUSED,
    RSP,
    SYNC,
    TOKEN,
    WRONG,
    Client,
    Messages,
    Served,
    basic,
    decoded,
    frame,
    raised,
    until,
    words,
)

from blynkscope.server.store import Store

FIRMWARE = bytes(range(256)) * 1500 + b"build\0Jan  2 2026 03:04:05\0end"
PACE = 0.1
"""Seconds between two pings: 10 a second are no flood."""


# --- who is taken -----------------------------------------------------------------------------------------------------


def test_several_tokens_are_several_devices(tmp_path):
    with Served(tmp_path, "--token", TOKEN, "--token", OTHER, "--no-tls") as served:
        with served.client(TOKEN) as one, served.client(OTHER) as other, served.client(login=False) as none:
            one.say(HW, words("vw", "1", "1"))
            one.ping()
            served.write("V2", "2", OTHER)
            assert other.write_of(2) == [b"2"]
            assert (one.sync(1), one.sync(2), other.sync(1), other.sync(2)) == ([b"1"], None, None, [b"2"])
            assert none.ask(HW_LOGIN, WRONG.encode()) == REFUSED
            # As on the real server the connection stays open, and a second try is as good as the first.
            none.login(TOKEN)
            assert served.read("V1", WRONG) is None
        assert served.end() == 0


def test_every_token_is_taken_on_request(tmp_path):
    with Served(tmp_path, "--any-token", "--no-tls") as served:
        with served.client(WRONG) as one, served.client("short") as other:
            one.say(HW, words("vw", "1", "1"))
            one.ping()
            assert other.sync(1) is None
        assert served.read("V1", WRONG) == ["1"]
        with served.client(login=False) as none:
            assert none.ask(HW_LOGIN, b"\0\xff") == REFUSED
        assert served.end() == 0


def test_a_token_is_made_where_none_is_given(tmp_path):
    with Served(tmp_path, "--no-tls") as served:
        token = served.wait(r"token, made for this run[^:]*:\s+(\S{32})\n")[1]
        with served.client(token) as device:
            device.ping()
        with served.client(login=False) as none:
            assert none.ask(LOGIN, TOKEN.encode()) == REFUSED
        assert served.end() == 0


# --- redirects and silence --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_redirect_leads_devices_to_another_server(tmp_path, secure):
    import blynklib

    with Served(tmp_path, "--token", TOKEN) as target:
        port = target.tls if secure else target.plain
        with Served(tmp_path, "--token", TOKEN, "--redirect", f"localhost:{port}") as served:
            with served.client(login=False, secure=secure) as device:
                number = device.say(HW_LOGIN, TOKEN.encode())
                assert device.hear() == (REDIRECT, number, words("localhost", str(port)))
            with served.client(login=False) as device:
                assert device.ask(HW_LOGIN, WRONG.encode()) == REFUSED
            blynklib.Blynk.RECONNECT_SLEEP = 0
            options = {"ssl_cert": str(served.ca)} if secure else {}
            own = served.tls if secure else served.plain
            blynk = blynklib.Blynk(TOKEN, server="localhost", port=own, **options)
            assert blynk.connect(timeout=20)
            assert blynk.port == str(port)
            until(lambda: target.http(f"/{TOKEN}/isHardwareConnected")[2] == b"true")
            blynk.disconnect()
            assert served.end() == target.end() == 0


def test_a_silent_device_is_closed_by_its_heartbeat(tmp_path):
    with Served(tmp_path, "--token", TOKEN, "--heartbeat", "1", "--no-tls", "--account", ":".join(ACCOUNT)) as served:
        with served.client() as one, served.client() as other:
            began = time.monotonic()
            assert other.ask(INTERNAL, words("ver", "1", "h-beat", "60")) == OK
            # 2.3 heartbeats, rounded up.
            assert one.ended()
            assert 2.5 < time.monotonic() - began < 10
            other.ping()
        assert served.end() == 0


# --- floods -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def flooding(served, count):
    """A device that has sent so many writes in its first second, with a login before and a ping behind; and since when."""
    for _ in range(5):
        with served.client() as device:
            began = time.monotonic()
            device.connection.sendall(frame(HW, 9, words("vw", "1", "x")) * count)
            device.ping()
            # On a machine that is too busy it was no flood.
            if time.monotonic() - began < 0.9:
                until(lambda began=began: time.monotonic() - began > 1.1)
                yield device, began
                return
    raise AssertionError("it never took less than a second")


def pings(device, began, seconds, enough=lambda told: False):
    """Ping now and then; gives the statuses that came. None where the connection ended."""
    told = []
    device.connection.settimeout(PACE)
    while time.monotonic() - began < seconds and not enough(told):
        try:
            device.say(PING)
            if (heard := device.hear()) is None:
                return None
        except TimeoutError:
            continue
        except OSError:
            return None
        assert heard[0] == RSP
        told.append(heard[2])
        # Answers come at once, and as many pings would be a flood themselves.
        time.sleep(PACE)
    return told


def test_a_flood_of_the_legacy_era_is_told_once_and_the_stream_goes_on(tmp_path):
    with Served(tmp_path, "--token", TOKEN, "--no-tls", "--record", "run.pcapng") as served:
        # 101 messages; the average is below 100 again a second later.
        with flooding(served, 99) as (device, began):
            assert pings(device, began, 10, lambda told: OK in told) == [QUOTA, OK]
            # Frames that were not taken were lost as a whole.
            device.connection.settimeout(30)
            device.ping()
            assert device.sync(1) == [b"x"]
        assert served.end() == 0
    assert "BS309" in raised(decoded(tmp_path, tmp_path / "run.pcapng"))


def test_a_flood_makes_the_legacy_server_lose_its_place_on_request(tmp_path):
    options = ("--token", TOKEN, "--no-tls", "--quirk", "quota-desync")
    with Served(tmp_path, *options) as served:
        with flooding(served, 99) as (device, began):
            # Its header is taken away, its body is read as headers: 5 bytes each, and one is left over.
            device.say(HW, words("vw", "1", "y" * 41))
            told = pings(device, began, 3.5)
            assert told in (None, [QUOTA])
        with served.client() as device:
            device.ping()
            assert device.sync(1) == [b"x"]
        assert served.end() == 0


# --- Blynk IoT --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def iot(tmp_path_factory):
    options = ("--like", "iot", "--token", TOKEN, "--account", ":".join(ACCOUNT))
    with Served(tmp_path_factory.mktemp("iot"), *options, "--store", "store") as served:
        yield served
        assert served.end() == 0


def test_blynk_iot_bears_one_and_a_half_heartbeats(iot):
    with iot.client() as device:
        assert device.ask(INTERNAL, words("mcu", "x", "ver", "1", "h-beat", "1")) == OK
        began = time.monotonic()
        assert device.ended()
        assert 1.2 < time.monotonic() - began < 10


def test_blynk_iot_closes_on_a_flood(iot):
    with flooding(iot, 60) as (device, began), iot.client() as other:
        assert pings(device, began, 5) is None
        assert QUOTA not in [what for cmd, _, what in device.heard if cmd == RSP]
        other.ping()


def test_events_of_devices_and_calls_are_kept(tmp_path):
    with Served(tmp_path, "--like", "iot", "--token", TOKEN, "--store", "store", "--no-tls") as served:
        with served.client() as device:
            device.say(EVENT, words("alarm", "from the device"))
            device.ping()
        assert served.http(f"/external/api/logEvent?token={TOKEN}&code=alarm&description=from%20the%20call")[0] == 200
        assert served.http(f"/external/api/logEvent?token={WRONG}&code=alarm")[0] == 400
        assert served.http(f"/external/api/logEvent?token={TOKEN}")[0] == 400
        assert served.end() == 0
    kept = Store(tmp_path / "store")
    try:
        found = [(name, text) for name, text, _ in kept.events(TOKEN)]
    finally:
        kept.close()
    assert found == [(b"alarm", b"from the call"), (b"alarm", b"from the device")]


def test_calls_of_blynk_iot(iot):
    with iot.client() as device, iot.client(secure=True) as other:
        assert iot.http(f"/external/api/update?token={TOKEN}&V1=21.5", secure=True)[0] == 200
        assert device.write_of(1) == other.write_of(1) == [b"21.5"]
        assert iot.http(f"/external/api/get?token={TOKEN}&V1")[2] == b"21.5"
        assert iot.http(f"/external/api/batch/update?token={TOKEN}&V2=a&V3=b")[0] == 200
        assert (device.write_of(2), device.write_of(3)) == ([b"a"], [b"b"])
        assert json.loads(iot.http(f"/external/api/getAll?token={TOKEN}")[2]) == {"v1": 21.5, "v2": "a", "v3": "b"}
        assert iot.http(f"/external/api/isHardwareConnected?token={TOKEN}")[2] == b"true"
        assert iot.http(f"/external/api/update/property?token={TOKEN}&pin=V1&label=Here")[0] == 200
        assert iot.http(f"/{TOKEN}/get/V1")[0] == 404


def test_a_group_and_metadata_of_blynk_iot(iot):
    with iot.client() as device:
        device.say(21, b"b")
        device.say(HW, words("vw", "5", "1"))
        device.say(21, b"e")
        device.ping()
        assert device.sync(5) == [b"1"]
        assert device.ask(INTERNAL, words("meta", "set", "place", "here")) == OK
        number = device.say(INTERNAL, words("meta", "get", "place"))
        assert device.hear() == (INTERNAL, number, words("meta", "place", "here"))
    status, _, body = iot.http(f"/external/api/device/meta?token={TOKEN}&metaFieldName=place")
    assert (status, json.loads(body)["value"]) == (200, "here")


def test_an_upgrade_to_a_wrong_path(iot):
    with iot.connect() as connection, pytest.raises(AssertionError, match="404"):
        Messages(connection, "/websocket")


# --- the legacy server ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def legacy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("legacy")
    (folder / "firmware").mkdir()
    (folder / "firmware" / "kept.bin").write_bytes(FIRMWARE)
    options = (
        "--token", TOKEN, "--token", OTHER, "--account", ":".join(ACCOUNT), "--admin", ":".join(ADMIN),
        "--firmware", "firmware", "--quota", "0",
    )  # fmt: skip
    with Served(folder, *options) as served:
        yield served
        assert served.end() == 0


def test_an_app_sees_what_devices_write_and_writes_to_them(legacy):
    with legacy.client() as device, legacy.app() as app:
        profile = json.loads(zlib.decompress(app.profile))
        (dash,) = profile["dashBoards"]
        assert {one["token"] for one in dash["devices"]} == {TOKEN, OTHER}
        device.say(HW, words("vw", "1", "from the device"))
        assert app.write_of(1) == [b"from the device"]
        place = f"{dash['id']}-{next(one['id'] for one in dash['devices'] if one['token'] == TOKEN)}"
        app.say(HW, words(place, "vw", "2", "from the app"))
        assert device.write_of(2) == [b"from the app"]
        assert legacy.read("V2") == ["from the app"]
        assert app.ask(PING) == OK
        assert legacy.http(f"/{TOKEN}/isAppConnected")[2] == b"true"
        assert device.ask(PROPERTY, words("1", "label", "New")) == OK
        assert app.until(lambda cmd, *_: cmd == PROPERTY)[2] == words(place, "1", "label", "New")
    until(lambda: legacy.http(f"/{TOKEN}/isAppConnected")[2] == b"false")


def test_devices_hear_of_apps_that_come_and_go(legacy):
    with legacy.client() as device:
        with legacy.app():
            assert device.until(lambda cmd, *_: cmd == INTERNAL)[1:] == (7777, b"acon")
        assert device.until(lambda cmd, *_: cmd == INTERNAL)[1:] == (7777, b"adis")


def test_a_bridge_between_devices(legacy):
    with legacy.client(TOKEN) as device, legacy.client(OTHER) as other:
        assert device.ask(15, words("64", "i", OTHER)) == OK
        device.say(15, words("64", "vw", "7", "over the bridge"))
        assert other.until(lambda cmd, *_: cmd == 15)[2] == words("vw", "7", "over the bridge")
    assert legacy.read("V7", OTHER) == ["over the bridge"]


def test_history_and_project_over_http(legacy):
    import gzip

    with legacy.client() as device:
        for value in ("1", "2.5", "text"):
            device.say(HW, words("vw", "30", value))
        device.ping()
    status, headers, body = legacy.http(f"/{TOKEN}/data/V30")
    assert (status, headers["content-type"]) == (200, "application/x-gzip")
    rows = [line.split(",") for line in gzip.decompress(body).decode().splitlines()]
    assert sorted(row[0] for row in rows) == ["1", "2.5"]
    assert all(abs(int(row[1]) / 1000 - time.time()) < 100 for row in rows)
    project = json.loads(legacy.http(f"/{TOKEN}/project")[2])
    assert TOKEN not in json.dumps(project)
    number = time.time()
    with legacy.client() as device:
        asked = device.say(INTERNAL, words("rtc", "sync"))
        cmd, number_of, body = device.hear()
        assert (cmd, number_of, body[:4]) == (INTERNAL, asked, b"rtc\0")
        assert abs(int(body[4:]) - number) < 15 * 3600


def test_firmware_that_is_ordered_arrives_byte_for_byte(legacy):
    form = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="blink.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + FIRMWARE + b"\r\n--x--\r\n"
    )
    kind = "Content-Type: multipart/form-data; boundary=x"
    target = f"/admin/ota/start?token={TOKEN}"
    with legacy.client() as device:
        # Who is refused is not listened to: a long body may see a reset before it sees the answer.
        assert legacy.http(target, method="POST", headers=[kind], secure=True)[0] == 401
        assert legacy.http(target, method="POST", headers=[kind, basic("admin", "admin")])[0] == 401
        done = legacy.http(target, method="POST", body=form, headers=[kind, basic(*ADMIN)], secure=True)
        assert done[0] == 200
        _, number, body = device.until(lambda cmd, *_: cmd == INTERNAL)
        assert (number, body[:4]) == (7777, b"ota\0")
        url = body[4:].decode()
        # Devices seldom speak TLS for it: the URL leads to the plain port.
        assert url.startswith(f"http://localhost:{legacy.plain}/static/ota/blink")
        assert url.endswith(done[2].decode())
        status, headers, got = legacy.http(url.partition(str(legacy.plain))[2])
        assert (status, headers["content-length"], got) == (200, str(len(FIRMWARE)), FIRMWARE)
        # One that is there already.
        again = legacy.http(f"{target}&fileName=kept.bin", headers=[basic(*ADMIN)], secure=True)
        assert again[0] == 200
        assert device.until(lambda cmd, *_: cmd == INTERNAL)[2].endswith(b"/static/ota/kept.bin")
    assert legacy.http(f"{target}&fileName=kept.bin", headers=[basic(*ADMIN)])[0] == 400
    assert legacy.http(f"{target}&fileName=none.bin", headers=[basic(*ADMIN)])[0] == 400
    assert legacy.http("/static/ota/kept.bin")[2] == FIRMWARE


def test_an_upload_without_its_file(legacy):
    """`curl -F file=blink.bin`, without the @, sends the name in place of the file."""
    form = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nblink.bin\r\n--x--\r\n'
    kind = "Content-Type: multipart/form-data; boundary=x"
    done = legacy.http("/admin/ota/start", method="POST", body=form, headers=[kind, basic(*ADMIN)])
    assert done[0] == 500


def test_an_upgrade_to_a_wrong_path_is_never_answered(legacy):
    with legacy.connect() as connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            Messages(connection, "/websocket")
        # Nothing is kept of it when the client has had enough.
        connection.settimeout(30)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_a_page_speaks_the_dialect_of_the_web(legacy):
    from serve_world import login_of

    inside = Messages(legacy.connect(secure=True), "/dashws")
    inside.sendall(b"\x02\x00\x01" + login_of(ACCOUNT))
    assert inside.recv(1) == b"\0\0\1\0\0\0\xc8"
    inside.sendall(b"\x06\x00\x02")
    assert inside.recv(1) == b"\0\0\2\0\0\0\xc8"
    inside.close()


def test_any_device_dialect_by_any_way(legacy):
    """The same device on all four ways at once."""
    ways = [
        legacy.connect(),
        legacy.connect(secure=True),
        Messages(legacy.connect()),
        Messages(legacy.connect(secure=True)),
    ]
    clients = [Client(way) for way in ways]
    for client in clients:
        client.login()
    legacy.write("V40", "all")
    for client in clients:
        assert client.write_of(40) == [b"all"]
        assert client.sync(40) == [b"all"]
        assert client.ask(HW_LOGIN, TOKEN.encode()) == 4
        client.close()


def test_a_quota_of_none(legacy):
    with flooding(legacy, 500) as (device, began):
        assert set(pings(device, began, 1.5)) == {OK}


def test_the_bind_address_is_that_of_this_machine_unless_asked(legacy):
    legacy.wait("reachable from this computer alone")
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"]
    for port in (legacy.plain, legacy.tls):
        assert [one for one in listening if one.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


# --- what is shown and kept -------------------------------------------------------------------------------------------


def test_frames_are_shown_as_decode_shows_them_and_the_end_is_a_summary(tmp_path):
    arguments = (
        "--token",
        TOKEN,
        "--format",
        "jsonl",
        "--log",
        "run.jsonl",
        "--record",
        "run.pcapng",
        "--keylog-out",
        "keys",
    )
    with (tmp_path / "out").open("w") as out, Served(tmp_path, *arguments, show=out) as served:
        with served.client() as device:
            device.say(HW, words("vw", "1", "a"))
            number = device.say(SYNC, words("vr", "1"))
            assert device.hear() == (HW, number, words("vw", "1", "a"))
        with served.client(secure=True) as device:
            device.ping()
        with Client(Messages(served.connect())) as device:
            device.login()
            device.ping()
        assert served.read("V1") == ["a"]
        assert served.end() == 0
    shown = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert shown == [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert shown[-1]["record"] == "summary"
    assert TOKEN not in (tmp_path / "out").read_text()
    again = decoded(tmp_path, tmp_path / "run.pcapng")

    def frames(records):
        return sorted(
            (one["stream"], one["time"], one["sender"], one["cmd"], one["id"], one["body"])
            for one in records
            if one["record"] == "frame"
        )

    assert [one[2:] for one in frames(shown)] == [one[2:] for one in frames(again)]
    assert {tuple(one["via"]) for one in shown if one["record"] == "frame"} == {
        ("tcp",), ("tcp", "tls1.3"), ("tcp", "websocket"),
    }  # fmt: skip
    assert raised(shown) == raised(again) == []
