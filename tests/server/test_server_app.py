"""Apps and dashboard pages: logins, what is refused, what reaches whom, and that nothing hostile does harm."""

from __future__ import annotations

import json
import random
import struct
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_world import ACCOUNT, OTHER, PASSWORD, TOKEN, FakeLink, World, body, cut, frame

from blynkscope.protocol import commands, limits
from blynkscope.protocol.model import Ack, Dialect, Era
from blynkscope.protocol.passwords import password_hash
from blynkscope.server import app, app_pins
from blynkscope.server.answering import may_refuse
from blynkscope.server.app import AppSession

HASH = password_hash(PASSWORD, ACCOUNT)
LOGIN = (ACCOUNT, HASH, "Android", "2.27.0", "Blynk")
OFFLINE = 7


class App:
    """An app or a page that talks to the server of a world."""

    def __init__(self, world, framing=Dialect.APP):
        self.world, self.framing, self.link = world, framing, FakeLink()
        self.session = AppSession(world.hub, self.link, framing=framing)

    def wire(self, cmd, number, *parts):
        whole = body(*parts)
        if self.framing is Dialect.WEB:
            return struct.pack(">BH", cmd, number) + whole
        return struct.pack(">BHI", cmd, number, len(whole)) + whole

    def say(self, cmd, number, *parts):
        """Say one message; gives what came."""
        self.session.feed(self.wire(cmd, number, *parts), self.world.now)
        self.world.hub.commit()
        return self.heard()

    def heard(self):
        if self.framing is not Dialect.WEB:
            return cut(self.link.take(), Dialect.APP)
        found = []
        for wire in self.link.sent:
            cmd, number = struct.unpack_from(">BH", wire)
            found.append((cmd, number, struct.unpack(">I", wire[3:])[0] if cmd == 0 else wire[3:]))
        self.link.sent.clear()
        return found

    def status(self, cmd, *parts):
        """The status that answers a message."""
        (status,) = [word for code, number, word in self.say(cmd, 9, *parts) if (code, number) == (0, 9)]
        return status

    def lose(self):
        self.session.lost(self.world.now)


@pytest.fixture
def world():
    return World()


def logged_in(world, framing=Dialect.APP):
    made = App(world, framing)
    assert made.say(2, 1, *LOGIN) == [(0, 1, 200)]
    return made


def guest(world, owner):
    ((_, _, token),) = owner.say(30, 1, "1")
    assert owner.status(26, "1", "on") == 200
    made = App(world)
    assert made.say(32, 1, ACCOUNT, token.decode(), "iOS", "1.0") == [(0, 1, 200)]
    return made


@pytest.fixture(params=[Dialect.APP, Dialect.WEB])
def owner(request, world):
    return logged_in(world, request.param)


# --- before the login -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [Dialect.APP, Dialect.WEB])
@pytest.mark.parametrize("cmd", [0x10, 6, 20, 24, 66, 99, 100, 255])
def test_what_is_said_before_the_login_closes(world, framing, cmd):
    client = App(world, framing)
    assert client.say(cmd, 1, "1") == []
    assert client.link.how == "closed"


def test_logins_that_fail_may_be_tried_again(world):
    client = App(world)
    assert client.say(2, 1, "nobody@example.com", HASH) == [(0, 1, 3)]
    assert client.say(2, 2, ACCOUNT, "wrong") == [(0, 2, 5)]
    assert client.say(2, 3, ACCOUNT) == [(0, 3, 2)]
    assert client.say(2, 4, b"\xff", b"\xff") == [(0, 4, 2)]
    assert client.say(2, 5, ACCOUNT.upper(), HASH) == [(0, 5, 200)]
    assert client.say(2, 6, *LOGIN) == []
    assert client.link.how == "open"
    assert world.hub.apps(ACCOUNT) == [client.session]
    client.lose()
    assert world.hub.apps(ACCOUNT) == []


def test_one_registration_a_connection(world):
    client = App(world)
    assert client.status(1, "a@example.com", "hash", "Blynk") == 200
    assert client.status(1, "b@example.com", "hash", "Blynk") == 6
    assert client.status(2, "a@example.com", "hash") == 200
    assert json.loads(zlib.decompress(client.say(24, 2)[0][2]))["dashBoards"] == []


def test_get_server_gives_the_public_host():
    for public, expected in ((None, b"127.0.0.1"), ("blynk.test", b"blynk.test"), ("blynk.test:9443", b"blynk.test")):
        client = App(World(public=public))
        assert client.say(40, 1, ACCOUNT, "Blynk") == [(40, 1, expected)]
        assert client.status(40, ACCOUNT) == 2


def test_an_unfinished_login_ends(world):
    client = App(world)
    client.session.feed(client.wire(2, 1, *LOGIN)[:-1], world.now)
    world.wind(14.9)
    assert client.link.how == "open"
    world.wind(0.2)
    assert client.link.how == "closed"


def test_a_silent_app_is_closed_after_its_idle_time(world):
    client = logged_in(world)
    world.wind(599)
    assert client.say(6, 2) == [(0, 2, 200)]
    world.wind(599)
    assert client.link.how == "open"
    world.wind(2)
    assert client.link.how == "closed"
    client.lose()


# --- sizes and framing ------------------------------------------------------------------------------------------------


def test_a_body_before_the_login_is_short(world):
    client = App(world)
    client.session.feed(struct.pack(">BHI", 2, 1, app.FIRST_BODY_MAX + 1), world.now)
    assert client.link.how == "closed"


@pytest.mark.parametrize("size", [2**31, 2**32 - 1, limits.APP_BODY_MAX + 1])
def test_a_length_that_no_server_takes_closes(world, size):
    client = logged_in(world)
    client.session.feed(struct.pack(">BHI", 33, 1, size), world.now)
    assert (client.link.how, client.heard()) == ("closed", [])


def test_a_big_body_is_refused_at_once_and_passes_by(world):
    client = logged_in(world)
    size = app.BODY_MAX + 1
    client.session.feed(struct.pack(">BHI", 33, 7, size), world.now)
    assert client.heard() == [(0, 7, 6)]
    sent = 0
    while sent < size:
        piece = min(65536, size - sent)
        client.session.feed(b"\0" * piece, world.now)
        sent += piece
        assert client.session._rest is None
    assert client.say(6, 8) == [(0, 8, 200)]
    client.session.feed(struct.pack(">BHI", 33, 9, size) + b"\0" * size + client.wire(6, 10), world.now)
    assert client.heard() == [(0, 9, 6), (0, 10, 200)]


def test_unfinished_messages_of_all_apps_are_bounded(world, monkeypatch):
    monkeypatch.setattr(app, "WAITING_MAX", 100_000)
    first, second = logged_in(world), logged_in(world)
    first.session.feed(struct.pack(">BHI", 33, 7, 90_000) + b"x" * 80_000, world.now)
    second.session.feed(struct.pack(">BHI", 33, 7, 90_000), world.now)
    second.session.feed(b"x" * 30_000, world.now)
    assert (first.link.how, second.link.how) == ("open", "closed")
    first.session.feed(b"x" * 10_000, world.now)
    assert first.heard() == [(0, 7, 2)]
    first.session.feed(b"\6", world.now)
    second.lose()
    first.lose()
    assert world.hub.projects.waiting == 0


def test_a_page_sends_whole_messages_of_bounded_size(world):
    page = logged_in(world, Dialect.WEB)
    for wire in (b"", b"\x06", b"\x06\0"):
        page.session.feed(wire, world.now)
    assert page.heard() == []
    page.session.feed(struct.pack(">BH", 33, 7) + b"\0" * (app.BODY_MAX + 1), world.now)
    assert page.heard() == [(0, 7, 6)]
    assert page.say(150, 8, "x") == []
    assert page.say(6, 9) == [(0, 9, 200)]


def test_codes_of_100_and_more_close_an_app(world):
    client = logged_in(world)
    assert client.say(99, 1, "x") == []
    assert client.link.how == "open"
    assert client.say(100, 2, "x") == []
    assert client.link.how == "closed"


def test_responses_of_the_app_have_no_body(world):
    client = logged_in(world)
    client.session.feed(struct.pack(">BHI", 0, 5, 200) + client.wire(6, 6), world.now)
    assert client.heard() == [(0, 6, 200)]


def conversation(made):
    return b"".join(
        (
            made.wire(2, 1, *LOGIN),
            made.wire(7, 2, "1"),
            made.wire(20, 3, "1-0", "vw", "1", "5"),
            made.wire(33, 4, "1", '{"id":9,"type":"BUTTON","pinType":"VIRTUAL","pin":1}'),
            made.wire(25, 5, "1"),
            made.wire(24, 6, "1"),
            made.wire(33, 7, b"x" * (app.BODY_MAX + 1)),
            made.wire(6, 8),
        )
    )


def test_however_it_is_cut():
    def played(pieces):
        made = App(World())
        for piece in pieces:
            made.session.feed(piece, made.world.now)
        return b"".join(made.link.sent)

    wire = conversation(App(World()))
    whole = played([wire])
    assert len(cut(whole, Dialect.APP)) >= 9
    assert played([wire[at : at + 1] for at in range(2000)] + [wire[2000:]]) == whole
    chance = random.Random(6)
    for _ in range(20):
        places = sorted(chance.randrange(len(wire)) for _ in range(12))
        pieces = [wire[a:b] for a, b in zip([0, *places], [*places, len(wire)], strict=True)]
        assert played(pieces) == whole


def test_a_flood_is_over_quota():
    world = World(quota=20.0)
    client = logged_in(world)
    statuses = []
    for _ in range(40):
        world.now += 0.1
        for number in range(10):
            statuses += [status for _, _, status in client.say(6, number)]
    assert statuses.count(1) == 1
    assert statuses.count(200) < 120
    assert client.link.how == "open"


# --- pins -------------------------------------------------------------------------------------------------------------


def test_writes_reach_the_device_and_the_other_apps(world, owner):
    device, other = world.device(), logged_in(world)
    device.heard()
    owner.heard()
    assert owner.say(20, 77, "1-0", "vw", "01", "a", "b") == []
    assert device.heard() == [(20, 77, b"vw\x001\0a\0b")]
    assert other.heard() == [(25, 77, b"1-0\0vw\x001\0a\0b")]
    assert world.store.pin(TOKEN, b"v1") == [b"a", b"b"]
    device.say(frame(20, 5, "vw", "2", "x"))
    assert owner.heard() == other.heard() == [(20, 5, b"1-0\0vw\x002\0x")]
    assert owner.say(20, 78, "1", "dw", "2", "1") == []
    assert device.heard() == [(20, 78, b"dw\x002\x001")]
    device.finish()
    device.lose()
    assert owner.heard() == [(71, 0, b"1-0")]
    assert owner.status(20, "1-0", "vw", "1", "z") == OFFLINE
    assert world.store.pin(TOKEN, b"v1") == [b"z"]


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        (("1-0", "vw", "1"), 11),
        (("99-0", "vw", "1", "1"), 2),
        (("1-99", "vw", "1", "1"), 2),
        (("1-0", "vw", "xx", "1"), 2),
        (("1-0", "vw", "256", "1"), 2),
        (("1-0", "vw", "-1", "1"), 2),
        (("1-0", "vw"), 2),
        (("x-0", "vw", "1", "1"), 2),
        (("1-", "vw", "1", "1"), 2),
        (("1--1", "vw", "1", "1"), 2),
        (("9" * 40, "vw", "1", "1"), 2),
        (("1-0", "xx", "1", "1"), 6),
        (("",), 2),
    ],
)
def test_writes_that_are_refused(owner, parts, status):
    assert owner.status(20, *parts) == status


def test_reads_and_writes_to_a_stopped_dashboard_come_to_nothing(world, owner):
    device = world.device()
    device.heard()
    owner.heard()
    assert owner.say(20, 1, "1-0", "vr", "1") == []
    assert owner.status(8, "1") == 200
    assert owner.say(20, 2, "1-0", "vw", "1", "1") == []
    assert device.heard() == []
    assert world.store.pin(TOKEN, b"v1") is None
    assert owner.say(7, 3, "1")[-1] == (0, 3, 200)
    owner.say(8, 4)
    assert world.hub.projects.dash(ACCOUNT, 1)["isActive"] is False


def test_activation_sets_up_pins_and_brings_values(world, owner):
    widget = '{"id":%d,"type":"%s","pinType":"%s","pin":%d,"value":"%s"}'
    assert owner.status(33, "1", widget % (20, "BUTTON", "DIGITAL", 2, "1")) == 200
    assert owner.status(33, "1", widget % (21, "TERMINAL", "VIRTUAL", 5, "")) == 200
    assert owner.status(33, "1", widget % (22, "SLIDER", "VIRTUAL", 4, "244")) == 200
    world.store.set_pin(TOKEN, b"v5", [b"one", b"two"], 0.0)
    world.store.set_pin(TOKEN, b"v9", [b"loose"], 0.0)
    world.store.set_property(TOKEN, b"v9", b"offLabel", [b"none"])
    values = [
        (25, 1111, b"1-0\0vw\x009\0loose"),
        (19, 1111, b"1-0\x009\0offLabel\0none"),
        (25, 1111, b"1-0\0dw\x002\x001"),
        (25, 1111, b"1-0\0vm\x005\0one\0two"),
        (25, 1111, b"1-0\0vw\x004\x00244"),
    ]
    assert owner.say(7, 3, "1") == [(0, 3, OFFLINE), *values]
    device = world.device()
    assert owner.heard() == [(4, 1, b"1-0")]
    assert owner.say(7, 4, "1") == [(0, 1, OFFLINE), (0, 4, 200), *values]
    assert device.heard() == [(20, 1, b"pm\x002\0out")]
    assert owner.say(25, 5, "1-0") == [(0, 5, 200), *values]
    assert owner.say(25, 6, "1-1") == [(0, 6, 200)]
    assert owner.status(7, "5") == owner.status(25, "x") == 2


def test_a_synchronisation_is_bounded(world, monkeypatch):
    client = logged_in(world)
    monkeypatch.setattr(app_pins, "SYNC_BYTES", 5000)
    for number in range(256):
        world.store.set_pin(TOKEN, b"v%d" % number, [b"x" * 400], 0.0)
    client.session.feed(client.wire(25, 1, "1"), world.now)
    assert 5000 < sum(map(len, client.link.sent)) < 6000


def test_a_write_to_a_tag_reaches_its_devices(world, owner):
    first, second = world.device(), world.device(OTHER)
    assert owner.say(46, 1, "1", '{"id":100000,"name":"all","deviceIds":[0,1]}')[-1][0] == 46
    for device in (first, second):
        device.heard()
    assert owner.say(20, 2, "1-100000", "vw", "1", "9") == []
    assert first.heard() == second.heard() == [(20, 2, b"vw\x001\x009")]
    first.lose()
    owner.heard()
    assert owner.say(20, 3, "1-100000", "vw", "1", "8") == []
    second.lose()
    owner.heard()
    assert owner.status(20, "1-100000", "vw", "1", "7") == OFFLINE
    assert owner.status(20, "1-100001", "vw", "1", "7") == 2


def test_properties_of_widgets(world, owner):
    assert owner.status(33, "1", '{"id":20,"type":"BUTTON","pinType":"VIRTUAL","pin":1,"label":"a"}') == 200
    device = world.device()
    device.say(frame(19, 4, "1", "label", "of the device"))
    assert (19, 4, b"1-0\x001\0label\0of the device") in owner.heard()
    assert owner.status(19, "1", "20", "label", "of the app") == 200
    assert owner.status(19, "1", "20", "onLabel", "ON") == 200
    ((_, _, text),) = owner.say(70, 5, "1", "20")
    found = json.loads(text)
    assert (found["label"], found["onLabel"]) == ("of the app", "ON")
    assert owner.status(19, "1", "20", "nonsense", "x") == 11
    assert owner.status(19, "1", "20", "id", "7") == 11
    assert owner.status(19, "1", "20", "label") == 11
    assert owner.status(19, "1", "77", "label", "x") == 2
    assert owner.status(34, "1", '{"id":20,"type":"BUTTON","pinType":"VIRTUAL","pin":1,"label":"anew"}') == 200
    ((_, _, text),) = owner.say(70, 6, "1", "20")
    assert json.loads(text)["label"] == "anew"


# --- documents --------------------------------------------------------------------------------------------------------


def test_devices_and_their_tokens(world, owner):
    ((cmd, number, text),) = owner.say(42, 5, "1", '{"name":"new","boardType":"ESP32"}')
    made = json.loads(text)
    assert (cmd, number, made["id"], made["status"]) == (42, 5, 2, "OFFLINE")
    device = world.device(made["token"])
    owner.heard()
    ((_, _, text),) = owner.say(45, 6, "1")
    assert [each["status"] for each in json.loads(text)] == ["OFFLINE", "OFFLINE", "ONLINE"]
    offline, (_, _, renewed) = owner.say(9, 7, "1", "2")
    assert offline == (71, 0, b"1-2")
    assert device.how == "closed"
    device.lose()
    owner.heard()
    assert world.client().login(made["token"]) == [(0, 1, 9)]
    device = world.device(renewed.decode())
    owner.heard()
    assert owner.status(9, "1-2") == 2
    assert owner.status(43, "1", '{"id":2,"name":"renamed"}') == 200
    ((_, _, text),) = owner.say(50, 8, "1", "2")
    assert json.loads(text)["name"] == "renamed"
    assert json.loads(text)["lastLoggedIP"] == "192.0.2.1"
    assert owner.status(44, "1", "2") == 200
    assert device.how == "closed"
    device.lose()
    owner.heard()
    assert owner.status(50, "1", "2") == owner.status(44, "1", "2") == 2
    assert world.client().login(renewed.decode()) == [(0, 1, 9)]


def test_a_provisioned_device_comes_with_its_first_login(world, owner):
    ((_, _, text),) = owner.say(74, 1, "1", '{"id":5,"name":"to come"}')
    assert owner.status(50, "1", "5") == 2
    world.device(json.loads(text)["token"])
    assert (4, 1, b"1-5") in owner.heard()
    assert owner.say(50, 3, "1", "5")[0][0] == 50


def test_dashboards(world, owner):
    assert owner.status(21, '{"id":2,"name":"two"}') == 200
    assert owner.status(21, '{"id":2,"name":"two"}') == 6
    assert owner.status(21, '{"id":3') == 11
    assert owner.status(22, '{"id":2,"name":"deux"}') == 200
    assert owner.status(38, "2", '{"name":"zwei","keepScreenOn":true,"id":77}') == 200
    assert owner.status(38, "2", '{"name":2}') == 11
    profile = json.loads(zlib.decompress(owner.say(24, 5)[0][2]))
    assert [(dash["id"], dash["name"]) for dash in profile["dashBoards"]] == [(1, "blynkscope"), (2, "zwei")]
    assert json.loads(zlib.decompress(owner.say(24, 6, "2")[0][2]))["keepScreenOn"] is True
    token = json.loads(owner.say(42, 7, "2", '{"id":0}')[0][2])["token"]
    device = world.device(token)
    assert owner.heard() == [(4, 1, b"2-0")]
    assert owner.status(23, "2") == 200
    assert device.how == "closed"
    device.lose()
    assert owner.status(24, "2") == owner.status(23, "2") == 2


def test_a_widget_that_goes_takes_its_value_along(world, owner):
    assert owner.status(33, "1", '{"id":20,"type":"BUTTON","pinType":"VIRTUAL","pin":1,"value":"7"}') == 200
    assert world.store.pin(TOKEN, b"v1") == [b"7"]
    assert owner.status(35, "1", "20") == 200
    assert world.store.pin(TOKEN, b"v1") is None
    assert owner.status(35, "1", "20") == 2
    assert owner.status(34, "1", '{"id":20,"type":"BUTTON"}') == 2


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        (("1",), 2),
        (("1", "{bad"), 11),
        (("1", "[]"), 11),
        (("1", '{"id":"x","type":"LED"}'), 11),
        (("1", '{"id":20}'), 11),
        (("1", '{"id":20,"type":""}'), 11),
        (("1", '{"id":20,"type":["LED"]}'), 11),
        (("1", '{"id":20,"type":"LED","deviceId":[]}'), 11),
        (("1", '{"id":20,"type":"LED","deviceId":-1}'), 11),
        (("1", '{"id":1,"type":"LED"}'), 6),
        (("1", '{"id":20,"type":"LED","x":"' + "y" * 20_480 + '"}'), 6),
        (("1", "20", "5", '{"id":20,"type":"LED"}'), 6),
        (("7", '{"id":20,"type":"LED"}'), 2),
        (("1", '{"id":20,"type":"LED","x":' + "[" * 100 + "]" * 100 + "}"), 11),
        (("1", '{"id":20,"type":"LED","x":' + "1" * 9000 + "}"), 11),
    ],
)
def test_widgets_that_are_refused(owner, parts, status):
    assert owner.status(33, *parts) == status


def test_tags(owner):
    assert owner.say(49, 1, "1") == [(49, 1, b"[]")]
    assert owner.say(46, 2, "1", '{"id":100000,"name":"t","deviceIds":[0],"x":1}') == [
        (46, 2, b'{"id":100000,"name":"t","deviceIds":[0]}')
    ]
    assert owner.status(46, "1", '{"id":100000,"name":"t","deviceIds":[0]}') == 6
    assert owner.status(46, "1", '{"id":5,"name":"t"}') == 11
    assert owner.status(46, "1", '{"id":100001,"deviceIds":["0"]}') == 11
    assert owner.status(47, "1", '{"id":100000,"name":"u","deviceIds":[1]}') == 200
    assert owner.status(47, "1", '{"id":100001}') == 2
    assert owner.status(48, "1", "100001") == 2
    assert owner.status(48, "1", "100000") == 200
    assert owner.say(49, 3, "1") == [(49, 3, b"[]")]


def test_energy_and_phones(world, owner):
    assert owner.say(36, 1) == [(36, 1, b"100000")]
    assert owner.status(37, "100", "transaction") == 200
    assert owner.say(36, 2) == [(36, 2, b"100100")]
    assert [owner.status(37, *parts) for parts in (("-1", "t"), ("1",), ("9" * 30, "t"), ("1", ""))] == [2] * 4
    assert owner.status(27, "1", "phone", "token") == 200
    (found,) = [each for each in world.hub.projects.dash(ACCOUNT, 1)["widgets"] if each["type"] == "NOTIFICATION"]
    assert found["androidTokens"]["phone"] == "token"


def test_history_is_deleted(world, owner):
    world.store.add_data(TOKEN, b"v1", 1.0, 1.0)
    world.store.add_data(TOKEN, b"v2", 1.0, 1.0)
    assert owner.status(76, "1-0", "V1") == 200
    assert (world.store.has_data(TOKEN, b"v1"), world.store.has_data(TOKEN, b"v2")) == (False, True)
    assert owner.status(76, "1-0") == 200
    assert not world.store.has_data(TOKEN, b"v2")
    assert owner.status(76, "1-9") == 2


def test_copies_are_given_to_whoever_has_the_code(world, owner):
    ((_, _, code),) = owner.say(62, 1, "1")
    ((cmd, _, packed),) = App(world).say(63, 1, code)
    assert cmd == 63
    assert json.loads(zlib.decompress(packed))["name"] == "blynkscope"
    assert App(world).status(63, "no code") == 6


def test_logout(owner):
    device = owner.world.device()
    owner.heard()
    assert owner.say(66, 5, "uid") == [(0, 5, 200)]
    assert owner.link.how == "closed"
    assert device.heard() == [(17, 7777, b"adis")]
    owner.session.feed(owner.wire(6, 6), 0.0)
    assert owner.heard() == []


# --- guests -----------------------------------------------------------------------------------------------------------


def test_a_guest_sees_one_dashboard_and_no_tokens(world):
    owner = logged_in(world)
    assert owner.status(21, '{"id":2,"name":"hidden"}') == 200
    visitor = guest(world, owner)
    device = world.device()
    assert (visitor.heard(), owner.heard()) == ([(4, 1, b"1-0")], [(4, 1, b"1-0")])
    seen = zlib.decompress(visitor.say(24, 2)[0][2]) + visitor.say(45, 3, "1")[0][2]
    assert b"blynkscope" in seen
    assert TOKEN.encode() not in seen
    assert b"hidden" not in seen
    assert visitor.say(20, 4, "1-0", "vw", "1", "3") == []
    assert device.heard()[-1] == (20, 4, b"vw\x001\x003")
    assert owner.heard() == [(25, 4, b"1-0\0vw\x001\x003")]
    for cmd, *parts in (
        (24, "2"),
        (20, "2-0", "vw", "1", "1"),
        (25, "2"),
        (30, "1"),
        (23, "1"),
        (50, "1", "0"),
        (62, "1"),
    ):
        assert visitor.status(cmd, *parts) == 6
    assert owner.status(26, "1", "off") == 200
    assert visitor.link.how == "closed"


def test_shares_that_do_not_hold(world):
    owner = logged_in(world)
    ((_, _, token),) = owner.say(30, 1, "1")
    client = App(world)
    assert client.status(32, ACCOUNT, token) == 6
    assert owner.status(26, "1", "on") == 200
    assert client.status(32, ACCOUNT, "another") == 6
    assert client.status(32, "nobody@example.com", token) == 3
    assert client.status(32, ACCOUNT) == 2
    assert owner.status(26, "1", "maybe") == 2
    visitor = guest(world, owner)
    ((cmd, _, fresh),) = owner.say(31, 5, "1")
    assert cmd == 31
    assert visitor.link.how == "closed"
    assert client.status(32, ACCOUNT, token) == 6
    assert client.status(32, ACCOUNT, fresh) == 200


def test_one_account_does_not_reach_another(world):
    first = logged_in(world)
    second = App(world)
    assert second.status(1, "b@example.com", "hash") == 200
    assert second.status(2, "b@example.com", "hash") == 200
    device = world.device()
    assert first.heard() == [(4, 1, b"1-0")]
    assert second.heard() == []
    assert second.status(20, "1-0", "vw", "1", "1") == 2
    assert second.status(24, "1") == second.status(45, "1") == second.status(30, "1") == 2
    device.say(frame(20, 2, "vw", "1", "1"))
    assert second.heard() == []


# --- the table, and hostile bytes -------------------------------------------------------------------------------------

BODIES = (
    b"", b"1", b"1\x000", b"1-0", b"1\0{}", b"1\0{bad", b"{}", b"99", b"1-0\0vw\x001\x001", b"1\x001\0label\0x", b"\xff\0\xff",
    b'{"id":5}', b'1\0{"id":100005,"deviceIds":[]}', b'1\0{"id":30,"type":"LED"}', b"1\0uid\0token", b"100\0t", b"1\0on",
    b"\0" * 50, b"1\x001\0DAY",
)  # fmt: skip


@pytest.mark.parametrize("like", list(Era))
@pytest.mark.parametrize("framing", [Dialect.APP, Dialect.WEB])
def test_every_answer_is_one_that_the_table_has(framing, like):
    for code in range(1, commands.LOGOUT + 34):
        row = commands.lookup(code, framing, Era.LEGACY)
        for said in BODIES:
            made = logged_in(World(like=like), framing)
            for cmd, number, word in made.say(code, 7, said):
                if cmd == 0 and number == 7:
                    assert row is not None, (code, said)
                    if word == 200:
                        assert row.ack in (Ack.STATUS, Ack.UNKNOWN), (code, said)
                    else:
                        assert may_refuse(row, word), (code, said, word)
                elif number == 7:
                    assert row is not None, (code, said)
                    assert cmd == code
                    assert row.ack is Ack.SAME_COMMAND, (code, said)


def test_success_of_each_command_is_answered_as_the_table_has_it(world):
    """Whatever has `Ack.STATUS` or `Ack.SAME_COMMAND`, and is not refused as a whole, is shown to succeed here."""
    owner = logged_in(world)
    owner.say(33, 1, "1", '{"id":30,"type":"BUTTON","pinType":"VIRTUAL","pin":1}')
    owner.say(46, 1, "1", '{"id":100000,"deviceIds":[]}')
    good = {
        6: (), 8: ("1",), 19: ("1", "30", "label", "x"), 21: ('{"id":9}',), 24: (), 25: ("1",), 26: ("1", "on"),
        27: ("1", "u", "t"), 30: ("1",), 31: ("1",), 33: ("1", '{"id":31,"type":"LED"}'),
        34: ("1", '{"id":31,"type":"LED"}'), 35: ("1", "31"), 36: (), 37: ("1", "t"), 38: ("1", '{"name":"x"}'),
        42: ("1", "{}"), 43: ("1", '{"id":2}'), 44: ("1", "2"), 45: ("1",), 46: ("1", '{"id":100001}'),
        47: ("1", '{"id":100001}'), 48: ("1", "100001"), 49: ("1",), 50: ("1", "0"), 62: ("1",), 70: ("1", "30"),
        74: ("1", "{}"), 76: ("1-0",), 9: ("1", "1"), 23: ("9",), 66: (),
    }  # fmt: skip
    for code, parts in good.items():
        row = commands.lookup(code, Dialect.APP, Era.LEGACY)
        answers = [each for each in owner.say(code, 5, *parts) if each[1] == 5]
        if row.ack is Ack.STATUS:
            assert answers == [(0, 5, 200)], code
        else:
            assert row.ack is Ack.SAME_COMMAND
            assert [each[0] for each in answers] == [code]


FIELDS = [
    "id", "type", "pin", "pinType", "deviceId", "value", "label", "tags", "deviceIds", "widgets", "name", "token", "min",
    "androidTokens", "devices", "isActive", "isShared", "pins", "labels", "color", "boardType",
]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(
        st.tuples(
            st.integers(1, 99),
            st.one_of(
                st.sampled_from(BODIES),
                st.binary(max_size=60),
                st.tuples(
                    st.sampled_from([b"1", b"1-0", b"1-100000", b"2"]),
                    st.recursive(
                        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
                        lambda inner: (
                            st.lists(inner, max_size=3)
                            | st.dictionaries(
                                st.sampled_from(FIELDS),
                                inner,
                                max_size=6,
                            )
                        ),
                        max_leaves=12,
                    ),
                ).map(lambda pair: pair[0] + b"\0" + json.dumps(pair[1]).encode()),
                st.dictionaries(
                    st.sampled_from(["id", "name", "widgets", "devices", "tags", "isActive", "createdAt"]),
                    st.one_of(
                        st.integers(-1, 5),
                        st.text(max_size=3),
                        st.booleans(),
                        st.lists(
                            st.dictionaries(
                                st.sampled_from(["id", "type", "pin", "pinType", "deviceId", "value", "pins"]),
                                st.sampled_from([0, 1, 100_000, "BUTTON", "VIRTUAL", None, [], {}, "1\0x"]),
                            ),
                            max_size=3,
                        ),
                    ),
                ).map(lambda found: json.dumps(found).encode()),
            ),
        ),
        max_size=12,
    ),
)
def test_whatever_is_said(said):
    world = World()
    owner, device = logged_in(world), world.device()
    for number, (cmd, text) in enumerate(said):
        owner.session.feed(struct.pack(">BHI", cmd, number, len(text)) + text, world.now)
        device.session.feed(
            frame(20, number + 1, "vw", "1", "1") + frame(16, 1) + frame(17, 1, "rtc", "sync"), world.now
        )
        world.hub.commit()
    owner.heard()
    if owner.link.how == "open":
        assert [each for each in owner.say(6, 99) if each[0] == 0] in ([(0, 99, 200)], [(0, 99, 1)])
        owner.say(24, 98)
        owner.say(25, 97, "1")
        owner.say(7, 96, "1")
    owner.lose()
    device.lose()


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300), first=st.booleans(), framing=st.sampled_from([Dialect.APP, Dialect.WEB]))
def test_whatever_bytes_come(data, first, framing):
    world = World()
    made = logged_in(world, framing) if first else App(world, framing)
    for at in range(0, len(data), 7):
        made.session.feed(data[at : at + 7], world.now)
    made.session.ended(world.now)
    made.lose()


def test_an_idle_app_is_small(world):
    import tracemalloc

    apps = [logged_in(world) for _ in range(10)]
    tracemalloc.start()
    apps += [logged_in(world) for _ in range(200)]
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / 200 < 4096
