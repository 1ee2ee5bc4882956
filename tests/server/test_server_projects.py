"""Accounts, dashboards and devices: who has what, what apps may make of it, and that a restart changes nothing."""

from __future__ import annotations

import json

import msgspec
import pytest
from server_world import ACCOUNT, NOON, OTHER, PASSWORD, TOKEN

from blynkscope.protocol.passwords import password_hash
from blynkscope.server import app_widgets, projects
from blynkscope.server.accounts import ACCOUNTS_MAX, is_email, new_token
from blynkscope.server.app_documents import Documents
from blynkscope.server.app_widgets import Refused
from blynkscope.server.model import ServerSettings
from blynkscope.server.projects import Projects
from blynkscope.server.store import Store


def made(store=None, **settings):
    settings.setdefault("account", (ACCOUNT, PASSWORD))
    settings.setdefault("tokens", (TOKEN, OTHER))
    return Projects(ServerSettings(**settings), store or Store(None), lambda: NOON)


def status_of(call, *args, **named):
    with pytest.raises(Refused) as refused:
        call(*args, **named)
    return refused.value.status


# --- accounts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "email", "expected"),
    [
        ("x", "app7@example.com", "gQVagaSIzXlHc1UiAoTjhZ1QYt5BwPZK3cXgBdjgpxI="),
        ("wrong", "app7@example.com", "dIpw8pttC25vzyxoVoRDC3gnW5Xwky8onU+vQeFDTvc="),
        ("x", "APP7@Example.com", "gQVagaSIzXlHc1UiAoTjhZ1QYt5BwPZK3cXgBdjgpxI="),
    ],
)
def test_password_hashes_are_those_of_the_recorded_app(password, email, expected):
    assert password_hash(password, email) == expected


@pytest.mark.parametrize("text", ["a@b.de", "first.last+tag@mail.example.com", "ä@example.org"])
def test_addresses(text):
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "notanemail",
        "a@b",
        "@b.de",
        "a@.de",
        "a b@c.de",
        "a@b@c.de",
        "a@b.de\n",
        "a@" + "b." * 200 + "de",
        "@" * 9999,
    ],
)
def test_what_is_no_address(text):
    assert not is_email(text)


def test_registration_and_login():
    accounts = made().accounts
    assert accounts.register("New@Example.com", "hash").status == 200
    assert accounts.register("new@example.COM", "hash").status == 4
    assert accounts.register("nobody", "hash").status == 2
    assert accounts.register("other@example.com", "").status == 2
    assert accounts.register("other@example.com", "h" * 200).status == 2
    assert accounts.login("NEW@example.com", "hash").account.email == "new@example.com"
    assert accounts.login("new@example.com", "Hash").status == 5
    assert accounts.login("new@example.com", "häsh").status == 5
    assert accounts.login("none@example.com", "hash").status == 3
    for number in range(ACCOUNTS_MAX):
        accounts.register(f"a{number}@example.com", "hash")
    assert accounts.register("last@example.com", "hash").status == 6


def test_the_first_account_follows_the_settings():
    store = Store(None)
    assert made(store).accounts.login(ACCOUNT, password_hash(PASSWORD, ACCOUNT)).status == 200
    assert made(store, account=(ACCOUNT, "")).accounts.login(ACCOUNT, password_hash(PASSWORD, ACCOUNT)).status == 200
    accounts = made(store, account=(ACCOUNT, "another")).accounts
    assert accounts.login(ACCOUNT, password_hash(PASSWORD, ACCOUNT)).status == 5
    assert accounts.login(ACCOUNT, password_hash("another", ACCOUNT)).status == 200


def test_tokens_are_of_the_form_that_clients_take():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 32 and token.isascii() for token in tokens)


# --- devices ----------------------------------------------------------------------------------------------------------


def test_each_token_of_the_settings_is_a_device():
    found = made()
    assert [device.token for device in found.devices(ACCOUNT)] == [TOKEN, OTHER]
    device = found.device(OTHER)
    assert (device.dash, device.id, device.account, device.target) == (1, 1, ACCOUNT, b"1-1")
    assert found.device("nobody") is None
    assert found.board(device)["isActive"] is True


def test_a_restart_changes_nothing(tmp_path):
    path = tmp_path / "store.db"
    store = Store(path)
    before = made(store)
    before.create_dash(ACCOUNT, b'{"id":7,"name":"seven","widgets":[{"type":"LED","id":1}]}')
    device = before.create_device(ACCOUNT, 7, b'{"id":3,"name":"shed","iconName":"lamp"}')
    before.make_device("made-of-any-token")
    share = before.share_token(ACCOUNT, 7)
    waiting = before.create_device(ACCOUNT, 7, b'{"id":9,"name":"to come"}', at_once=False)
    before.connected(device, NOON, "192.0.2.7")
    before.accounts.register("b@example.com", "hash")
    store.commit()
    expected = Documents(before, store, lambda _: {}).profile(ACCOUNT)
    store.close()
    store = Store(path)
    after = made(store)
    found = Documents(after, store, lambda _: {}).profile(ACCOUNT)
    assert expected["dashBoards"][1]["devices"][0].pop("status") == "ONLINE"
    assert found["dashBoards"][1]["devices"][0].pop("status") == "OFFLINE"
    assert found == expected
    assert after.device("made-of-any-token") is not None
    assert after.shared(share)[1]["id"] == 7
    assert after.accounts.get("b@example.com") is not None
    assert after.find(ACCOUNT, 7, 9) is None
    assert after.device(waiting.token) == waiting
    assert after.find(ACCOUNT, 7, 9) == waiting
    store.close()


def test_any_token_makes_a_device_of_plausible_form(monkeypatch):
    found = made(tokens=())
    assert [found.make_device(token).id for token in ("a", "ü" * 32)] == [0, 1]
    assert [found.make_device(token) for token in ("", "x" * 65, "a\0b", "a\nb")] == [None] * 4
    monkeypatch.setattr(projects, "DEVICES_MAX", 3)
    assert found.make_device("third") is not None
    assert found.make_device("fourth") is None
    found.delete_dash(ACCOUNT, 1)
    device = found.make_device("after")
    assert (device.dash, device.id) == (1, 0)
    assert found.board(device)["id"] == 1


def test_devices_of_apps():
    found = made()
    device = found.create_device(ACCOUNT, 1, b'{"name":"third","boardType":"ESP32","token":"chosen","status":"ONLINE"}')
    assert (device.id, device.name, device.board) == (2, "third", "ESP32")
    assert device.token != "chosen"
    assert device.extra == {}
    create = found.create_device
    assert status_of(create, ACCOUNT, 1, b'{"id":2}') == 6
    assert status_of(create, ACCOUNT, 1, b'{"id":100000}') == 6
    assert status_of(create, ACCOUNT, 1, b'{"id":-1}') == 11
    assert status_of(create, ACCOUNT, 1, b'{"name":5}') == 11
    assert status_of(create, ACCOUNT, 1, b"[]") == 11
    assert status_of(create, ACCOUNT, 2, b'{"id":9}') == 2
    assert status_of(create, ACCOUNT, 1, b'{"x":"' + b"y" * 5000 + b'"}') == 6
    assert found.update_device(ACCOUNT, 1, b'{"id":2,"name":"new"}').token == device.token
    assert found.device(device.token).name == "new"
    assert status_of(found.update_device, ACCOUNT, 1, b'{"id":77}') == 2


def test_an_announced_device_whose_place_was_taken_does_not_come():
    found = made()
    waiting = found.create_device(ACCOUNT, 1, b'{"id":5}', at_once=False)
    found.create_device(ACCOUNT, 1, b'{"id":5}')
    assert found.device(waiting.token) is None
    gone = found.create_device(ACCOUNT, 1, b'{"id":6}', at_once=False)
    for _ in range(projects.AWAITED_MAX):
        found.create_device(ACCOUNT, 1, b'{"id":7}', at_once=False)
    assert found.device(gone.token) is None


def test_a_deleted_device_leaves_nothing():
    store = Store(None)
    found = made(store)
    device = found.device(TOKEN)
    store.set_pin(TOKEN, b"v1", [b"1"], NOON)
    found.connected(device, NOON)
    found.delete_device(device)
    found.disconnected(device, NOON)
    assert found.device(TOKEN) is None
    assert store.pins(TOKEN) == {}
    assert store.own(TOKEN, "seen") is None
    assert [each.token for each in found.devices(ACCOUNT)] == [OTHER]


def test_connections_are_counted():
    found = made()
    device = found.device(TOKEN)
    assert found.seen(device).online == 0
    found.connected(device, NOON, "192.0.2.1")
    found.connected(device, NOON + 5)
    found.disconnected(device, NOON + 9)
    seen = found.seen(device)
    assert (seen.online, seen.first, seen.connected, seen.disconnected) == (1, NOON, NOON + 5, NOON + 9)
    assert seen.address == "192.0.2.1"
    found.disconnected(device, NOON + 10)
    assert found.seen(device).online == 0
    found.disconnected(device, NOON + 11)
    assert found.seen(device).disconnected == NOON + 10


def test_targets_are_devices_or_tags():
    found = made()
    found.tags(ACCOUNT, 1).append({"id": 100_000, "name": "all", "deviceIds": [0, 1, 77]})
    assert [device.id for device in found.targets(ACCOUNT, 1, 100_000)] == [0, 1]
    assert [device.id for device in found.targets(ACCOUNT, 1, 1)] == [1]
    assert found.targets(ACCOUNT, 1, 7) == found.targets(ACCOUNT, 1, 100_001) == []


# --- dashboards -------------------------------------------------------------------------------------------------------


def test_a_dashboard_with_devices():
    found = made()
    found.create_dash(ACCOUNT, b'{"id":2,"name":"two","devices":[{"id":0,"name":"a"},{"id":4,"name":"b"}],"own":[1]}')
    assert [device.id for device in found.devices(ACCOUNT, 2)] == [0, 4]
    assert found.dash(ACCOUNT, 2)["own"] == [1]
    assert len(found.devices(ACCOUNT)) == 4
    token = found.find(ACCOUNT, 2, 4).token
    found.delete_dash(ACCOUNT, 2)
    assert found.device(token) is None
    assert status_of(found.dash, ACCOUNT, 2) == 2
    assert status_of(found.delete_dash, ACCOUNT, 2) == 2


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (b"", 11),
        (b"null", 11),
        (b"[1]", 11),
        (b"{}", 11),
        (b'{"id":0}', 11),
        (b'{"id":true}', 11),
        (b'{"id":2147483648}', 11),
        (b'{"id":"2"}', 11),
        (b'{"id":2,"name":3}', 11),
        (b'{"id":2,"widgets":{}}', 11),
        (b'{"id":2,"widgets":[1]}', 11),
        (b'{"id":2,"widgets":[{"id":1}]}', 11),
        (b'{"id":2,"widgets":[{"type":"LED","id":1},{"type":"LED","id":1}]}', 6),
        (b'{"id":1}', 6),
        (b'{"id":2,"x":"\xff"}', 11),
        (b'{"id":2,"x":' + b"[" * 70 + b"]" * 70 + b"}", 11),
        (b'{"id":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 11),
        (b'{"id":2,"x":"' + b"y" * app_widgets.DASH_BYTES + b'"}', 6),
    ],
)
def test_dashboards_that_are_refused(document, status):
    found = made()
    assert status_of(found.create_dash, ACCOUNT, document) == status
    assert [dash["id"] for dash in found.dashes(ACCOUNT)] == [1]


def test_a_dashboard_that_grows_too_big_stays_what_it_was():
    found = made()
    before = json.loads(msgspec.json.encode(found.dash(ACCOUNT, 1)))
    dash = found.dash(ACCOUNT, 1)
    dash["widgets"].append({"type": "LED", "id": 99, "label": "x" * app_widgets.DASH_BYTES})
    assert status_of(found.keep, ACCOUNT, dash) == 6
    assert found.dash(ACCOUNT, 1) == before


def test_accounts_together_have_so_much_room(monkeypatch):
    monkeypatch.setattr(projects, "PROFILE_BYTES", 100_000)
    monkeypatch.setattr(projects, "PROFILES_BYTES", 230_000)
    found = made()

    def fill(account):
        for number in range(2, 40):
            found.create_dash(account, b'{"id":%d,"x":"%s"}' % (number, b"y" * 20_000))

    assert status_of(fill, ACCOUNT) == 6
    assert len(found.dashes(ACCOUNT)) == 5
    assert status_of(fill, "b@example.com") == status_of(fill, "c@example.com") == 6
    assert len(found.dashes("b@example.com")) == 4
    assert len(found.dashes("c@example.com")) == 3
    for number in (2, 3, 4):
        found.delete_dash(ACCOUNT, number)
    found.create_dash("c@example.com", b'{"id":9,"x":"%s"}' % (b"y" * 20_000))
    assert found._size == sum(len(each) for _, each in found._store.documents("dash"))


def test_an_updated_dashboard_keeps_its_state():
    found = made()
    share = found.share_token(ACCOUNT, 1)
    found.update_dash(ACCOUNT, b'{"id":1,"name":"renamed","isActive":false}')
    dash = found.dash(ACCOUNT, 1)
    assert (dash["name"], dash["isActive"], dash["sharedToken"], dash["widgets"]) == ("renamed", True, share, [])
    assert len(found.devices(ACCOUNT, 1)) == 2
    assert status_of(found.update_dash, ACCOUNT, b'{"id":5}') == 2


def test_shares_and_copies():
    found = made()
    first = found.share_token(ACCOUNT, 1)
    assert found.share_token(ACCOUNT, 1) == first
    second = found.share_token(ACCOUNT, 1, fresh=True)
    assert found.shared(first) is None
    assert found.shared(second)[0] == ACCOUNT
    code = found.clone_code(ACCOUNT, 1)
    assert found.clone_code(ACCOUNT, 1) == code
    copy = found.cloned(code)
    assert copy["devices"] == []
    assert not {"sharedToken", "cloneCode"} & copy.keys()
    assert found.cloned("x") is None
    found.delete_dash(ACCOUNT, 1)
    assert found.cloned(code) is None
    assert found.shared(second) is None


def test_what_others_may_see_has_no_tokens():
    found = made()
    found.share_token(ACCOUNT, 1)
    found.clone_code(ACCOUNT, 1)
    found.connected(found.device(TOKEN), NOON, "192.0.2.1")
    text = json.dumps(found.public(found.device(TOKEN)))
    assert '"Device 0"' in text
    for hidden in (TOKEN, OTHER, "192.0.2.1", "sharedToken", "cloneCode", "connectTime"):
        assert hidden not in text


def test_values_and_properties_are_shown_in_widgets():
    store = Store(None)
    found = made(store)
    found.update_dash(
        ACCOUNT,
        b'{"id":1,"name":"x","widgets":[{"type":"SLIDER","id":1,"pinType":"VIRTUAL","pin":4,"deviceId":1,"label":"a"},'
        b'{"type":"MENU","id":2,"pinType":"VIRTUAL","pin":5,"labels":["x"]}]}',
    )
    store.set_pin(OTHER, b"v4", [b"1", b"2"], NOON)
    store.set_pin(TOKEN, b"v4", [b"9"], NOON)
    for key, name, values in (
        (b"v4", b"label", [b"b"]),
        (b"v4", b"max", [b"9.5"]),
        (b"v4", b"min", [b"low"]),
        (b"v4", b"color", [b"#112233"]),
        (b"v4", b"onLabel", [b"loose"]),
    ):
        store.set_property(OTHER, key, name, values)
    store.set_property(TOKEN, b"v5", b"labels", [b"one", b"two"])
    documents = Documents(found, store, lambda _: {"ver": "1.0.0", "h-beat": "45", "buff-in": "1" * 30, "odd": "x"})
    profile = documents.profile(ACCOUNT)
    slider, menu = profile["dashBoards"][0]["widgets"]
    assert (slider["value"], slider["label"], slider["max"], slider["min"], slider["color"]) == (
        "1\x002",
        "b",
        9.5,
        0.0,
        287454207,
    )
    assert menu["labels"] == ["one", "two"]
    assert profile["pinsStorage"] == {"1-0-v4": "9", "1-1-v4-onLabel": "loose"}
    info = profile["dashBoards"][0]["devices"][0]["hardwareInfo"]
    assert info == {"blynkVersion": "1.0.0", "heartbeatInterval": 45, "buffIn": "1" * 30}
    assert found.dash(ACCOUNT, 1)["widgets"][0]["label"] == "a"
