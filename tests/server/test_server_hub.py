"""What reaches from one connection to another: apps, devices, updates; and who serves a connection."""

import pytest
from server_world import ACCOUNT, NOON, OTHER, TOKEN, World, body, cut, frame

from blynkscope.errors import EnvironmentProblem
from blynkscope.protocol.model import Dialect, Era
from blynkscope.server import boards
from blynkscope.server.door import HTTP, spoken
from blynkscope.server.quota import Quota
from blynkscope.server.timing import Timetable, patience


class App:
    """An app's session, as the hub sees it."""

    framing = Dialect.APP

    def __init__(self, world, *, guest=False, account=ACCOUNT):
        self.account, self.guest = account, guest
        self.got = []
        self.hub = world.hub
        world.hub.attach_app(self)

    def sees(self, dash):
        return dash == 1

    def send(self, wire):
        self.got += cut(wire, Dialect.APP)

    def take(self):
        got, self.got = self.got, []
        return got

    def leave(self):
        self.hub.detach_app(self)


@pytest.fixture
def world():
    return World()


def test_apps_hear_of_devices(world):
    app = App(world)
    client = world.client()
    client.login(number=9)
    assert app.take() == [(4, 9, b"1-0")]
    client.say(frame(20, 3, "vw", "1", "5"), frame(20, 4, "vw", "1", b"\xff"), frame(20, 5, "pm", "1", "in"))
    assert app.take() == [
        (20, 3, body("1-0", "vw", "1", "5")),
        (20, 4, body("1-0", "vw", "1", "�")),
        (20, 5, body("1-0", "pm", "1", "in")),
    ]
    client.say(frame(19, 6, "1", "label", "x"), frame(19, 7, "1", "bogus", "x"))
    assert app.take() == [(19, 6, body("1-0", "1", "label", "x"))]
    client.lose()
    assert app.take() == [(71, 0, b"1-0")]
    client.lose()
    assert app.take() == []


def test_a_bridge_is_shown_as_the_other_device(world):
    one, _ = world.device(), world.device(OTHER)
    app = App(world)
    one.say(frame(15, 2, "64", "i", OTHER), frame(15, 3, "64", "vw", "5", "x"))
    assert app.take() == [(20, 3, body("1-1", "vw", "5", "x"))]


def test_others_hear_of_writes(world):
    one, two, client = App(world), App(world), world.device()
    client.heard()
    device = world.hub.device(TOKEN)
    one.take(), two.take()
    assert world.hub.write(device, b"vw", b"1", [b"7"], id=5, origin=one) == 1
    assert client.heard()[-1] == (20, 5, body("vw", "1", "7"))
    assert one.take() == []
    assert two.take() == [(25, 5, body("1-0", "vw", "1", "7"))]
    world.hub.write(device, b"vw", b"1", [b"8"], id=111)
    assert one.take() == two.take() == [(20, 111, body("1-0", "vw", "1", "8"))]
    assert world.store.pin(TOKEN, b"v1") == [b"8"]
    assert world.hub.set_property(device, b"1", b"label", [b"x"], id=111, origin=one) == 200
    assert two.take() == [(19, 111, body("1-0", "1", "label", "x"))]
    assert one.take() == []


def test_devices_hear_of_apps_as_measured(world):
    client = world.device()
    one = App(world)
    assert client.heard() == [(17, 7777, b"acon")]
    guest, two = App(world, guest=True), App(world)
    assert client.heard() == [(17, 7777, b"acon")]
    for app in (guest, two, one):
        app.leave()
    assert client.heard() == [(17, 7777, b"adis")] * 3
    one.leave()
    assert client.heard() == []


def test_on_iot_the_first_and_the_last_count():
    world = World(like=Era.IOT)
    client = world.device()
    one, two = App(world), App(world)
    assert client.heard() == [(17, 7777, b"acon")]
    one.leave()
    assert client.heard() == []
    assert world.hub.app_connected(world.hub.device(TOKEN))
    two.leave()
    assert client.heard() == [(17, 7777, b"adis")]
    assert not world.hub.app_connected(world.hub.device(TOKEN))


def test_apps_of_others_hear_nothing(world):
    app = App(world, account="other@example.com")
    client = world.device()
    client.say(frame(20, 3, "vw", "1", "5"))
    assert app.take() == []


def test_a_body_beyond_the_frame_reaches_no_device(world):
    client = world.device()
    assert world.hub.write(world.hub.device(TOKEN), b"vw", b"1", [b"x" * 65535], id=1) == 0
    assert client.heard() == []


def test_an_update_is_followed(world):
    client, device = world.device(), world.hub.device(TOKEN)
    client.say(frame(17, 2, "ver", "1", "build", "Mar 1"))
    assert world.hub.updates.info(TOKEN) == {"ver": "1", "build": "Mar 1"}
    assert world.hub.send_internal(device, b"ota", b"http://x/f.bin") == 1
    assert client.heard() == [(17, 7777, b"ota\0http://x/f.bin")]
    assert world.hub.updates.sent(TOKEN).state == "sent"
    client.lose()
    again = world.device()
    again.say(frame(17, 2, "ver", "1", "build", "Mar 1"))
    assert world.hub.updates.sent(TOKEN).state == "unchanged"
    again.say(frame(17, 3, "ota", "ok"), frame(17, 4, "ver", "1", "build", "Mar 2"))
    found = world.hub.updates.sent(TOKEN)
    assert (found.state, found.build, found.report) == ("updated", b"Mar 1", b"ok")
    assert world.hub.send_internal(world.hub.device(OTHER), b"ota", b"x") == 0


def test_the_store_in_trouble_resets_the_connection(world, monkeypatch):
    client = world.device()

    def broken(*_):
        raise EnvironmentProblem("no room")

    monkeypatch.setattr(world.store, "set_pin", broken)
    client.session.feed(frame(20, 2, "vw", "1", "2"), world.now)
    assert client.how == "aborted"
    with pytest.raises(EnvironmentProblem, match="no room"):
        world.hub.commit()


def test_the_store_in_trouble_as_a_device_goes(world, monkeypatch):
    client, other = world.device(), world.device(OTHER)

    def broken(*_):
        raise EnvironmentProblem("no room")

    monkeypatch.setattr(world.store, "set_own", broken)
    client.lose()
    assert str(world.hub.trouble) == "no room"
    world.hub.trouble = None
    assert world.wind(1000) is not None
    assert str(world.hub.trouble) == "no room"
    assert other.how == "closed"


def test_a_device_may_be_removed_while_it_is_online(world):
    client, device = world.device(), world.hub.device(TOKEN)
    world.hub.projects.delete_device(device)
    client.say(frame(20, 2, "vw", "1", "2"), frame(16, 3), frame(17, 4, "rtc"), frame(19, 5, "1", "label", "x"))
    world.hub.projects.delete_dash(ACCOUNT, 1)
    client.say(frame(20, 2, "vw", "1", "2"), frame(16, 3), frame(17, 4, "rtc"), frame(19, 5, "1", "label", "x"))
    client.lose()


# --- the door ---------------------------------------------------------------------------------------------------------

LOGIN = frame(29, 1, TOKEN)
APP_LOGIN = b"\2\0\1\0\0\0\x52dev@example.com"


@pytest.mark.parametrize(
    ("first", "secure", "legacy", "iot"),
    [
        (b"GET / HTTP/1.1", False, HTTP, HTTP),
        (b"PUT /x", True, HTTP, HTTP),
        (b"GE", False, None, None),
        (b"", True, None, None),
        (b"GEX", False, Dialect.HARDWARE, Dialect.HARDWARE),
        (LOGIN, False, Dialect.HARDWARE, Dialect.HARDWARE),
        (APP_LOGIN, False, Dialect.HARDWARE, Dialect.HARDWARE),
        (b"\x16\x03\x01\x02\x00", False, Dialect.HARDWARE, Dialect.HARDWARE),
        (LOGIN, True, Dialect.HARDWARE, Dialect.HARDWARE),
        (LOGIN[:4], True, None, None),
        (frame(29, 2, TOKEN), True, Dialect.APP, Dialect.HARDWARE),
        (frame(29, 1, TOKEN[:-1]), True, Dialect.APP, Dialect.HARDWARE),
        (frame(2, 1, TOKEN), True, Dialect.HARDWARE, Dialect.HARDWARE),
        (APP_LOGIN, True, Dialect.APP, Dialect.APP),
        (b"\x28\0\1", True, Dialect.APP, Dialect.APP),
        (b"\x1d\0\1\xff\xff", True, Dialect.APP, Dialect.APP),
    ],
)
def test_who_is_there(first, secure, legacy, iot):
    if not first:
        assert spoken(first, secure=secure, era=Era.LEGACY) is None
        return
    assert spoken(first, secure=secure, era=Era.LEGACY) == legacy
    assert spoken(first, secure=secure, era=Era.IOT) == iot


@pytest.mark.parametrize("secure", [False, True])
def test_a_device_comes_in_byte_by_byte(world, secure):
    client = world.client(secure=secure)
    assert client.say(*(LOGIN[at : at + 1] for at in range(len(LOGIN)))) == [(0, 1, 200)]


def test_who_says_nothing(world):
    client = world.client()
    client.raw(b"")
    client.finish()
    assert client.how == "closed"
    client.lose()


def test_a_word_that_is_begun_has_to_be_ended(world):
    client = world.client()
    client.raw(b"G", b"E")
    world.wind(14)
    assert client.how == "open"
    world.wind(2)
    assert client.how == "closed"
    client.lose()
    assert world.wind(100) is None


# --- time -------------------------------------------------------------------------------------------------------------


class Due:
    def __init__(self, at):
        self.at, self.expired = at, []

    def due(self):
        return self.at

    def expire(self, now):
        self.expired.append(now)
        self.at = None


def test_the_timetable():
    table = Timetable()
    assert table.run(0) is None
    late, moved, gone = Due(10), Due(5), Due(5)
    for each in (late, moved, gone):
        table.enter(each)
    assert table.run(1) == 5
    moved.at, gone.at = 20, None
    assert table.run(5) == 10
    late.at = 7
    table.sooner(late)
    assert table.run(7) == 10
    assert late.expired == [7]
    assert table.run(10) == 20
    assert table.run(20) is None
    assert moved.expired == [20]


def test_the_timetable_forgets():
    table = Timetable()
    for _ in range(5000):
        each = Due(1e9)
        table.enter(each)
        each.at = None
        table.leave()
    assert len(table) < 300


def test_deadlines_that_come_nearer_and_nearer_are_not_all_kept():
    table, each = Timetable(), Due(1e9)
    table.enter(each)
    for step in range(5000):
        each.at -= step
        table.sooner(each)
    assert len(table) < 300
    assert table.run(0) == each.at


def test_patience():
    assert [patience(Era.LEGACY, beat) for beat in (3, 5, 10, 15, 20, 100)] == [7, 12, 23, 35, 46, 230]
    assert patience(Era.IOT, 45) == 67.5


def test_the_average():
    quota = Quota(100, 0.0)
    assert not any(quota.exceeded(0.5) for _ in range(1500))
    assert quota.stands(1.0)
    assert quota.warns(1.0)
    assert not quota.warns(60.0)
    assert quota.warns(61.0)
    assert quota.exceeded(100.0)
    assert not quota.exceeded(200.0)
    assert not Quota(100, 0.0).exceeded(1e12)


def test_local_time_is_that_of_the_widget():
    board = {"widgets": [{"type": "RTC", "tzName": "Asia/Kolkata"}]}
    assert boards.local_seconds(board, NOON) == NOON + 19800
