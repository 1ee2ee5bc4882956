"""The app's side of the recordings of the real server, played to this one, gets the answers that were recorded.

07a is an app with an account of its own, from registration to logout, with guests and a device. 08d is a dashboard page;
the dashboard that it finds is made from the profile that it was given.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import msgspec
import pytest
from server_world import HEADER, FakeLink, World, cut

from blynkscope.protocol.model import Dialect
from blynkscope.server.accounts import Account
from blynkscope.server.app import AppSession
from blynkscope.server.hardware import HardwareSession

CAPTURES = Path(__file__).parents[2] / "captures"
DIALECTS = {"hw5": Dialect.HARDWARE, "app7": Dialect.APP, "wsweb": Dialect.WEB}
TIMES = {"updatedAt", "connectTime", "disconnectTime", "firstConnectTime", "dataReceivedAt"}
"""When the recorded server read a message is not known to the millisecond."""
SYNC = 1111
EXCEPTIONS = {
    "07a_app_tls12": {
        (36, 30, b"98300"): (36, 30, b"100000"),
        # Widgets cost energy on that server: 200 for a button, 400 for notifications, …. Here they are free.
        (25, SYNC, b"1-100000\0vw\x001\x009"): None,
        # A write to a tag was stored for the tag too, and outlived it. Here it is stored for the tag's devices.
    },
}
"""By recording what the real server said → what this one says."""


def rows_of(name):
    with (CAPTURES / f"{name}.truth.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def body_of(row):
    return bytes.fromhex(row.get("body_hex") or "")


def essence(cmd, number, word):
    """A message, with JSON as it reads, and without the times in it."""
    if isinstance(word, bytes):
        if word[:2] == b"\x78\x9c":
            word = zlib.decompress(word)
        if word[:1] in (b"{", b"["):
            word = json.dumps(without_times(json.loads(word)), sort_keys=True)
    return cmd, number, word


def without_times(found):
    if isinstance(found, dict):
        return {name: without_times(value) for name, value in found.items() if name not in TIMES}
    return [without_times(value) for value in found] if isinstance(found, list) else found


class Player:
    """Plays what clients said, and keeps what each was answered."""

    def __init__(self, name, **settings):
        self.rows = rows_of(name)
        self.world = World(tokens=(), **settings)
        self.links, self.sessions, self.lost, self.instead = {}, {}, set(), {}
        self.last = {row["client_port"]: number for number, row in enumerate(self.rows)}

    def play(self):
        for number, row in enumerate(self.rows):
            self.world.now = row["ts"]
            for port, session in self.sessions.items():
                if self.last[port] < number and port not in self.lost:
                    self.lost.add(port)
                    session.lost(self.world.now)
            if row["dir"] == "c2s":
                self.say(row)
        self.world.hub.commit()
        return self

    def say(self, row):
        port, dialect = row["client_port"], DIALECTS[row["dialect"]]
        if port not in self.sessions:
            link = self.links[port] = FakeLink()
            self.sessions[port] = (
                HardwareSession(self.world.hub, link, self.world.now, "127.0.0.1")
                if dialect is Dialect.HARDWARE
                else AppSession(self.world.hub, link, framing=dialect)
            )
        body = body_of(row)
        for theirs, ours in self.instead.items():
            body = body.replace(theirs, ours)
        if dialect is Dialect.WEB:
            wire = struct.pack(">BH", row["cmd"], row["id"]) + body
        else:
            wire = struct.pack(HEADER[dialect], row["cmd"], row["id"], len(body)) + body
        self.sessions[port].feed(wire, self.world.now)
        if row["cmd"] in (30, 42, 62, 74):
            self.learn(row)

    def learn(self, row):
        """Tokens are made by chance: what the recorded server made stands for what this one did."""
        port, which = row["client_port"], (row["cmd"], row["id"])
        theirs = next(
            body_of(each)
            for each in self.rows
            if (each["client_port"], each["dir"], each["cmd"], each["id"]) == (port, "s2c", *which)
        )
        ours = next(word for cmd, number, word in self.heard(port) if (cmd, number) == which)
        if theirs[:1] == b"{":
            theirs, ours = (json.loads(each)["token"].encode() for each in (theirs, ours))
        self.instead[theirs] = ours

    def heard(self, port):
        dialect = DIALECTS[next(row["dialect"] for row in self.rows if row["client_port"] == port)]
        if dialect is not Dialect.WEB:
            return cut(b"".join(self.links[port].sent), dialect)
        found = []
        for wire in self.links[port].sent:
            cmd, number = struct.unpack_from(">BH", wire)
            found.append((cmd, number, struct.unpack(">I", wire[3:])[0] if cmd == 0 else wire[3:]))
        return found

    def expected(self, port, exceptions):
        found = []
        for row in self.rows:
            if row["dir"] == "s2c" and row["client_port"] == port:
                said = row["cmd"], row["id"], row["status"] if row["cmd"] == 0 else body_of(row)
                said = exceptions.get(said, said)
                if said is not None:
                    found.append(essence(*said))
        return found

    def answered(self, port):
        found = []
        for cmd, number, word in self.heard(port):
            if isinstance(word, bytes):
                for compressed in (word[:2] == b"\x78\x9c",):
                    word = zlib.decompress(word) if compressed else word
                for theirs, ours in self.instead.items():
                    word = word.replace(ours, theirs)
            found.append(essence(cmd, number, word))
        return found


def test_an_app_from_registration_to_logout():
    name = "07a_app_tls12"
    player = Player(name, public="127.0.0.1").play()
    for port in player.sessions:
        assert player.answered(port) == player.expected(port, EXCEPTIONS[name])
    closed = {port for port, link in player.links.items() if link.how == "closed"}
    # The one that logged out, and the guest that went on after it was refused.
    assert closed == {33162, 47426}


@pytest.fixture
def page():
    """The dashboard page, with the dashboard that the recorded one had."""
    player = Player("08d_ws_dashws_tls")
    hub, email = player.world.hub, "dev@example.com"
    login = next(row for row in player.rows if row["cmd"] == 2)
    hub.projects.accounts.keep(Account(email=email, hash=body_of(login).split(b"\0")[1].decode()))
    given = next(row for row in player.rows if row["cmd"] == 24 and row["dir"] == "s2c")
    profile = json.loads(zlib.decompress(body_of(given)))
    (board,) = profile["dashBoards"]
    hub.projects.delete_dash(email, 1)
    devices = board.pop("devices")
    hub.projects.create_dash(email, msgspec.json.encode(board))
    for each in devices:
        made = hub.projects.create_device(email, 1, msgspec.json.encode({**each, "hardwareInfo": None}))
        hub.projects.assign_token(made, each["token"])
        said = each["hardwareInfo"]
        device = hub.device(each["token"])
        hub.updates.heard(
            device.token,
            {
                b"ver": said["blynkVersion"].encode(),
                b"dev": said["boardType"].encode(),
                b"h-beat": b"%d" % said["heartbeatInterval"],
                b"buff-in": b"%d" % said["buffIn"],
            },
        )
        hub.projects.connected(device, 1.0, "127.0.0.1")
        hub.projects.disconnected(device, 2.0)
        for found in board["widgets"]:
            if found.get("deviceId") == each["id"] and "value" in found:
                key = b"%s%d" % (found["pinType"][:1].lower().encode(), found["pin"])
                hub.store.set_pin(device.token, key, found["value"].encode().split(b"\0"), 1.0)
    lines = [b"hello terminal\n", b"terminal line\r\n", b"hello terminal\n"]
    hub.store.set_pin(devices[0]["token"], b"v5", lines, 1.0)
    for place, value in profile["pinsStorage"].items():
        _, number, key, *name = place.split("-")
        token = devices[int(number)]["token"]
        values = value.encode().split(b"\0")
        if name:
            hub.store.set_property(token, key.encode(), name[0].encode(), values)
        else:
            hub.store.set_pin(token, key.encode(), values, 1.0)
    player.token = devices[0]["token"]
    return player


def test_a_dashboard_page(page):
    """The device is not in the recording: what it said to the page is said by one here."""
    hub, link = page.world.hub, FakeLink()
    device = HardwareSession(hub, link, page.world.now, "127.0.0.1")
    device.feed(struct.pack(">BHH", 29, 1, 32) + page.token.encode(), page.world.now)
    (port,) = page.last
    for row in page.rows:
        page.world.now = row["ts"]
        if row["dir"] == "c2s":
            page.say(row)
        elif row["cmd"] == 20:
            said = body_of(row).split(b"\0", 1)[1]
            device.feed(struct.pack(">BHH", 20, row["id"], len(said)) + said, page.world.now)
    expected, answered = page.expected(port, {}), page.answered(port)
    assert [each for each in answered if each[1] != SYNC] == [each for each in expected if each[1] != SYNC]
    # The order of values without a widget is that of the real server's hash table.
    for first, last in ((5, 8), (8, 10)):
        assert of_sync(answered, first, last) == of_sync(expected, first, last)
    written = [body for cmd, _, body in cut(link.take()) if cmd == 20 and body[:2] == b"vw"]
    assert written == [b"vw\x001\x0088", b"vw\x004\x0012"]
    assert page.links[port].how == "open", "an unknown code does not close a page"


def of_sync(messages, first, last):
    """What came between the answers to two messages, in no order."""
    places = [number for number, each in enumerate(messages) if each[1] in (first, last) and each[0] == 0]
    between = messages[places[0] : places[1] if len(places) > 1 else None]
    assert any(each[1] == SYNC for each in between)
    return sorted(map(repr, between))
