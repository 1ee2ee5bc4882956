"""What clients may take of the server, and what they cannot reach: room, work, and what it keeps for itself."""

import gzip
import json
import sqlite3
import zlib
from contextlib import closing

import pytest
from server_world import ACCOUNT, NOON, OTHER, PASSWORD, TOKEN, World, cut, frame
from webtalk import Caller, answers, request

from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.passwords import password_hash
from blynkscope.server import app, iot_api, ordering, pinning, store_file, timing
from blynkscope.server.store import Store, StoreError


@pytest.fixture
def world():
    return World()


@pytest.fixture
def iot():
    return World(like=Era.IOT)


def app_frame(cmd, number, *parts):
    return frame(cmd, number, *parts, dialect=Dialect.APP)


def logged_in(world):
    client = world.client(secure=True)
    assert client.raw(app_frame(2, 1, ACCOUNT, password_hash(PASSWORD, ACCOUNT))) == b"\x00\x00\x01\x00\x00\x00\xc8"
    return client


# --- what the server keeps for itself ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["%00seen", "seen", "info", "%0Ainfo", "a%7F"])
def test_nobody_reaches_what_the_server_keeps_of_a_device(iot, name):
    device = iot.device()
    assert device.say(frame(17, 2, "ver", "1.3.2", "build", "one"))[0] == (0, 2, 200)
    device.lose()
    before = {field: iot.store.own(TOKEN, field) for field in ("seen", "info")}
    assert None not in before.values()
    caller = Caller(iot)
    assert caller.get(f"/external/api/device/meta?token={TOKEN}&metaFieldName={name}").status == 400
    caller.get(f"/external/api/device/meta/update?token={TOKEN}&metaFieldName={name}&value=x")
    assert {field: iot.store.own(TOKEN, field) for field in before} == before
    assert iot.device().login() == [(0, 1, 4)]
    again = World(like=Era.IOT, store=iot.store)
    again.device()
    assert again.hub.updates.info(TOKEN) == {"ver": "1.3.2", "build": "one"}


def test_what_it_cannot_read_counts_as_never_seen(world):
    for field in ("seen", "info"):
        assert world.store.set_own(TOKEN, field, b"x")
    world.device()
    (found,) = cut(logged_in(world).raw(app_frame(24, 2)), Dialect.APP)
    assert json.loads(zlib.decompress(found[2]))["dashBoards"][0]["devices"][0]["status"] == "ONLINE"


def test_names_have_bounds(iot):
    device, long = iot.device(), "n" * 65
    assert device.say(frame(17, 2, "meta", "set", long, "x")) == [(0, 2, 11)]
    assert device.say(frame(17, 3, "meta", "set", "a\nb", "x")) == [(0, 3, 11)]
    assert device.say(frame(19, 4, "1", "n" * 60_000, "x")) == [(0, 4, 11)]
    assert device.say(frame(64, 5, long, "x")) == [(0, 5, 11)]
    assert device.say(frame(15, 6, "p" * 17, "i", OTHER)) == [(0, 6, 2)]
    assert device.say(frame(64, 7, "overheat", "t" * 65_000)) == []
    assert iot.store.events(TOKEN) == [(b"overheat", b"t" * 300, NOON)]
    caller = Caller(iot)
    assert caller.get(f"/external/api/logEvent?token={TOKEN}&code=a%0Ab").status == 400
    assert caller.get(f"/external/api/device/meta/update?token={TOKEN}&metaFieldName={long}&value=x").status == 400


# --- room -------------------------------------------------------------------------------------------------------------


def test_a_store_that_is_full_costs_who_writes_a_status(monkeypatch):
    monkeypatch.setattr(store_file, "MEMORY_PAGES", 300)
    world = World(like=Era.IOT, quota=0)
    page, device = logged_in(world), world.device()
    page.link.take()
    seen = set()
    for number in range(1, 60):
        seen.update(status for _, _, status in device.say(frame(20, number, "vw", str(number), "x" * 40_000)))
    assert seen == {19}
    assert device.say(frame(19, 99, "1", "label", "x" * 50_000)) == [(0, 99, 19)]
    for number in range(100, 400):
        assert device.say(frame(64, number, "e", "x" * 300)) in ([], [(0, number, 19)])
    wide = json.dumps({"id": 7, "name": "x", "widgets": [{"id": 1, "type": "TEXT", "label": "x" * 20_000}] * 1})
    replies = [cut(page.raw(app_frame(21, n, wide.replace("7", str(n), 1))), Dialect.APP)[0][2] for n in range(2, 40)]
    assert 19 in replies
    caller = Caller(world)
    assert caller.get(f"/external/api/update?token={TOKEN}&V200={'x' * 1000}").status in {200, 507}
    assert caller.get(f"/external/api/getAll?token={TOKEN}").status == 200
    assert world.hub.trouble is None
    assert device.how == page.how == "open"


def test_a_write_that_is_refused_is_told_by_the_legacy_api_too(world, monkeypatch):
    page, device = logged_in(world), world.device()
    page.link.take()
    monkeypatch.setattr(world.store._room, "takes", lambda *_: False)
    assert Caller(world).get(f"/{TOKEN}/update/V1?value=1").status == 507
    assert cut(page.raw(app_frame(20, 3, "1-0", "vw", "1", "1")), Dialect.APP) == [(0, 3, 19)]
    assert cut(page.raw(app_frame(1, 4)), Dialect.APP) == []
    new = world.client(secure=True)
    assert cut(new.raw(app_frame(1, 5, "new@example.com", "h" * 44)), Dialect.APP) == [(0, 5, 19)]
    assert cut(page.raw(app_frame(42, 6, b'1\0{"id":9}')), Dialect.APP) == [(0, 6, 19)]
    assert device.heard() == []


def test_a_value_that_grows_beyond_a_frame_is_refused(world):
    page, device = logged_in(world), world.device()
    page.link.take()
    assert device.say(frame(20, 2, "vw", "1", b"\xff" * 30_000)) == [(0, 2, 2)]
    assert device.say(frame(19, 3, "1", "label", b"\xff" * 30_000)) == [(0, 3, 2)]
    assert world.store.pins(TOKEN) == {}
    assert device.say(frame(20, 4, "vw", "1", b"\xff" * 20_000)) == []
    assert len(device.say(frame(16, 5))[0][2]) == 5 + 60_000
    page.link.take()
    assert cut(page.raw(app_frame(20, 6, "1-0", "vw", "2", "x" * 65_530)), Dialect.APP) == []
    assert cut(page.raw(app_frame(20, 7, "1-0", "vw", "2", "x" * 65_531)), Dialect.APP) == [(0, 7, 2)]


# --- work -------------------------------------------------------------------------------------------------------------


def test_a_flood_of_syncs_is_worked_off_no_further_than_it_is_answered(monkeypatch):
    monkeypatch.setattr(pinning, "SYNC_MAX", 20_000)
    world = World(quota=0)
    device, calls, pins = world.device(), [], ordering.pins
    monkeypatch.setattr(ordering, "pins", lambda *of: calls.append(1) or pins(*of))
    for number in range(20):
        device.say(frame(20, 2, "vw", str(number), "x" * 500))
    whole = sum(len(device.say(frame(16, 3) * 10)) for _ in range(10))
    assert 20 <= whole < 60
    assert len(calls) <= 3
    world.wind(pinning.SYNC_SECONDS)
    assert len(device.say(frame(16, 4))) == 20


def test_nothing_is_worked_off_for_a_link_that_is_over(world):
    device, page, caller = world.device(), logged_in(world), Caller(world)
    for client in (device, page, caller):
        client.link.gone = True
    device.say(frame(6, 2) * 50)
    assert len(device.link.sent) <= 1
    page.session.feed(app_frame(6, 2) * 50, world.now)
    assert page.link.take().count(b"\x00\x00\x02") <= 1
    caller.session.feed(request("GET", "/nosuch") * 50, world.now)
    assert caller.link.take().count(b"HTTP/1.1") <= 1


def test_a_profile_is_made_once_for_each_change(world, monkeypatch):
    page, calls = logged_in(world), []
    compress = zlib.compress
    monkeypatch.setattr("blynkscope.server.profiles.zlib.compress", lambda data: calls.append(1) or compress(data))

    def profile(body=b""):
        return cut(page.raw(app_frame(24, 2, body)), Dialect.APP)[0][2]

    assert len({profile() for _ in range(10)}) == 1
    assert len(calls) == 1
    assert profile(b"1") != profile()
    assert len(calls) == 2
    before, device = profile(), world.device()
    assert profile() != before
    for change in (frame(20, 2, "vw", "77", "1"), frame(19, 2, "77", "label", "x")):
        before = profile()
        device.say(change)
        assert profile() != before
    before = profile()
    page.raw(app_frame(23, 3, "1"))
    assert profile() != before


def test_the_same_message_is_framed_once_for_all_apps(world, monkeypatch):
    device, pages, calls = world.device(), [logged_in(world) for _ in range(5)], []
    from blynkscope.server import hub

    made = hub.message
    monkeypatch.setattr(hub, "message", lambda *of: calls.append(1) or made(*of))
    device.say(frame(20, 2, "vw", "1", "1"))
    assert len(calls) == 1
    for page in pages:
        assert page.link.take().endswith(b"1-0\0vw\x001\x001")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_history_goes_in_pieces(iot, version):
    for number in range(6000):
        iot.store.add_data(TOKEN, b"v1", number * 0.37, NOON + number)
    url = f"/external/api/data/file?token={TOKEN}&pin=V1"
    caller = Caller(iot, slow=True)
    first = caller.raw(request("GET", url, version=version))
    pieces = [first]
    while caller.link.drain():
        pieces.append(caller.link.take())
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 65_536
    (found,) = answers(b"".join(pieces), closed=True)
    assert ("transfer-encoding" in found.headers) is (version == "1.1")
    assert caller.how == ("open" if version == "1.1" else "closed")
    assert gzip.decompress(found.body).decode().split("\n")[5999] == f"{5999 * 0.37!r},{int((NOON + 5999) * 1000)},0"
    head = Caller(iot).ask("HEAD", url)
    assert (head.status, head.body) == (200, b"")
    rows = json.loads(Caller(iot).get(f"/external/api/data/get?token={TOKEN}&pin=V1&output=JSON").body)
    assert rows[5999] == {"createdAt": int((NOON + 5999) * 1000), "value": 5999 * 0.37}
    assert len(rows) == 6000
    assert b"".join(iot_api._points_of(iter(()))) == b"[]"


# --- who has not logged in --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True])
def test_who_says_nothing_is_closed(world, secure):
    client = world.client(secure=secure)
    world.wind(timing.LOGIN_SECONDS - 1)
    assert client.how == "open"
    world.wind(2)
    assert client.how == "closed"
    client.lose()
    later = world.client(secure=secure)
    later.lose()
    for _ in range(2000):
        world.client().lose()
    assert len(world.hub.timetable) < 1000


def test_the_first_word_of_an_app_is_short_however_it_is_cut(world):
    clients = [world.client(secure=True) for _ in range(50)]
    for client in clients:
        client.raw(app_frame(2, 1)[:3] + b"\0\0")
        client.raw(b"\xf7\xa0" + b"x" * 60_000)
        assert client.how == "closed"
    assert world.hub.projects.waiting == 0


def test_who_has_not_logged_in_takes_nothing_from_who_has(world, monkeypatch):
    monkeypatch.setattr(app, "WAITING_MAX", 10_000)
    strangers = [world.client(secure=True) for _ in range(10)]
    for stranger in strangers:
        stranger.raw(app_frame(2, 1, "x" * 4000)[:3000])
    page = logged_in(world)
    page.raw(app_frame(21, 2, "x" * 9000)[:8000])
    assert page.how == "open"
    assert world.hub.projects.waiting == 8000
    page.lose()
    assert world.hub.projects.waiting == 0


# --- what is stored is damaged ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["device", "dash", "account", "awaited"])
@pytest.mark.parametrize("value", ["X'7B7D'", "X'5B5D'", "'{}'", "7", "X'FF'"])
def test_a_damaged_document_is_named(tmp_path, kind, value):
    path = tmp_path / "store.db"
    world = World(store=Store(path))
    world.hub.projects.create_device(ACCOUNT, 1, b'{"id":6}', at_once=False)
    world.store.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE documents SET value = {value} WHERE kind = ?", (kind,))
        database.commit()
    with closing(Store(path)) as store, pytest.raises(StoreError, match=r"damaged .*move it away") as error:
        World(store=store)
    assert TOKEN not in str(error.value)


def test_a_damaged_copy_is_none(world):
    world.store.set_document("clone", "code", b"{}")
    assert world.hub.projects.cloned("code") is None
