"""The device's side of each recording, played to the server, gets the answers that the real server gave.

The recordings show the open-source Blynk server 0.41.17. What each connection is sent is compared message by message:
command, id, status, body, and whether the server hung up. What came into a recording from outside (an app or a call that
it does not show) is put in at its time: the messages that the device got without having asked for them. What the real
server had stored before is put into the store first: the values that a sync brought although nobody had written them.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest
from server_world import ACCOUNT, FakeLink, World, cut

from blynkscope.server.accounts import Account
from blynkscope.server.hardware import HardwareSession
from blynkscope.sources import CaptureSource
from blynkscope.wire.events import Closed, Data, Opened

CAPTURES = Path(__file__).parents[2] / "captures"
DEVICE, SECOND, STRANGER = (
    "8ahBSNiIl06fGjEQdLCPH_pLg4FGW1wf",
    "-paqp1taeJ03YFBnYmkV1kMczS7U_aXb",
    "_gXh48eAiBJ4WaNJHeVnEJ8BjiR9qgFJ",
)
"""Two devices of one account, and one of another, as all recordings but 07a have them."""
RAW = (
    "01a_hw_plain_pyBlynkLib020",
    "03_hw_plain_js054",
    "04_hw_plain_cpp140",
    "05_hw_invalid_token",
    "09a_http_rest_plain",
    "10b_flood_200ps",
    "11b_msg_ids",
    "11c_wrong_protocol_8080",
    "12b_idle_hbeat5",
    "12c_second_login",
    "13_bridge",
    "15a_byte_by_byte",
    "15b_many_frames_one_segment",
)
"""Plain recordings: the segments of the devices are played as they were cut."""
FRAMED = ("06a_hw_tls_pyBlynkLib100", "06d_hw_tls13_pyBlynkLib100", "08a_ws_nodered_plain", "09c_ota_start_get")
"""Inside of TLS or WebSocket, or beside it: the frames that the codec read are played."""
WIDGETS = [
    {"type": "BUTTON", "id": 1, "pinType": "VIRTUAL", "pin": 1, "deviceId": 0},
    {"type": "SLIDER", "id": 2, "pinType": "VIRTUAL", "pin": 4, "deviceId": 0},
    {"type": "BUTTON", "id": 3, "pinType": "DIGITAL", "pin": 2, "deviceId": 0},
    {"type": "DIGIT4_DISPLAY", "id": 4, "pinType": "VIRTUAL", "pin": 0, "deviceId": 0},
    {"type": "RTC", "id": 5, "tzName": "Europe/Kiev"},
    {"type": "TERMINAL", "id": 6, "pinType": "VIRTUAL", "pin": 5, "deviceId": 0},
    {"type": "NOTIFICATION", "id": 7, "androidTokens": {"uid": "token"}},
    {"type": "EMAIL", "id": 8, "to": ACCOUNT},
    {"type": "BRIDGE", "id": 9},
]
"""The dashboard of all these runs; 07a shows how it was built."""

EXCEPTIONS = {
    ("08a_ws_nodered_plain", (0, 13, 15)): (
        (0, 13, 200),
        "EMAIL: that server had no mail account, and so answered 15; without a fault this one takes mails",
    ),
}
"""(recording, what the real server said) → what this one says, and why."""
ORDER = {
    "15b_many_frames_one_segment": "the real server looks up a login in another thread, and answers what stands behind"
    " it first; here answers come in the order of the requests",
}
"""Recordings in which the answers of one read may come in another order, and why."""
WAITING = {
    ("11c_wrong_protocol_8080", b"GET /x\r\n"): "HTTP 0.9 has no head: the real server answers 404 at once, this one"
    " waits for the head of the request until its deadline",
}
"""(recording, all that a client said) where the real server hung up and this one waits, and why."""


def truth_of(name):
    with (CAPTURES / f"{name}.truth.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def essence(row):
    return row["cmd"], row["id"], row["status"] if row["cmd"] == 0 else bytes.fromhex(row["body_hex"])


def rows_of(name, direction, dialect="hw5"):
    wanted = (direction, dialect, "msg")
    return [row for row in truth_of(name) if (row["dir"], row["dialect"], row["event"]) == wanted]


def is_sync_answer(row, asked):
    """Apps use the same ids, but none at the same time."""
    since = asked.get((row["client_port"], row["id"]))
    return row["cmd"] == 20 and since is not None and row["ts"] - since < 0.1 and not body_of(row).startswith(b"pm")


def body_of(row):
    return bytes.fromhex(row.get("body_hex", ""))


class Player:
    """One recording against one server."""

    def __init__(self, name):
        self.name = name
        self.world = World(tokens=(DEVICE, SECOND), account=(ACCOUNT, "x"), any_token=False)
        self.hub = self.world.hub
        projects = self.hub.projects
        board = {"id": 1, "name": "My Dashboard", "isActive": True, "isAppConnectedOn": True, "widgets": WIDGETS}
        projects.update_dash(ACCOUNT, msgspec.json.encode(board))
        projects.accounts.keep(Account(email="other@example.com", hash="x"))
        projects.create_dash("other@example.com", b'{"id":1,"name":"x","isActive":true}')
        other = projects.create_device("other@example.com", 1, b'{"id":0,"name":"x"}')
        projects.assign_token(other, STRANGER)
        self.links = {}
        self.sessions = {}
        self.closed = {}
        self.said = defaultdict(bytearray)

    def tokens(self):
        """Whose a connection is."""
        return {
            row["client_port"]: row["body"]
            for row in rows_of(self.name, "c2s")
            if row["cmd"] in (2, 29) and row["body"] in (DEVICE, SECOND)
        }

    def seed(self):
        """What syncs brought and nobody had written in this recording, and what has to be put in from outside."""
        tokens, asked, outside = self.tokens(), {}, []
        written = set()
        for row in truth_of(self.name):
            if row["dialect"] != "hw5" or row["event"] != "msg":
                continue
            port, body = row["client_port"], body_of(row)
            token = tokens.get(port)
            if row["dir"] == "c2s":
                if row["cmd"] == 16:
                    asked[port, row["id"]] = row["ts"]
                elif row["cmd"] == 20 and body[1:2] == b"w":
                    written.add((token, *body.split(b"\0")[:2]))
            elif is_sync_answer(row, asked):
                op, pin, *values = body.split(b"\0")
                if (token, op, pin) not in written:
                    written.add((token, op, pin))
                    self.world.store.set_pin(token, op[:1] + pin, values, row["ts"])
            elif row["cmd"] == 20 and not body.startswith(b"pm") and row["id"] != 111:
                written.add((token, *body.split(b"\0")[:2]))
                outside.append((row["ts"], token, row))
            elif row["cmd"] == 17 and row["id"] == 7777:
                outside.append((row["ts"], token, row))
        if self.name == "08a_ws_nodered_plain":
            # 08d shows what else this dashboard had stored: they count for the order of a sync.
            self.world.store.set_pin(SECOND, b"v5", [b"hi"], 0)
            self.world.store.set_property(DEVICE, b"v1", b"offColor", [b"#123456"])
        return outside

    def inject(self, token, row):
        device = self.hub.device(token)
        op, *rest = body_of(row).split(b"\0")
        if row["cmd"] == 17:
            self.hub.send_internal(device, op, *rest)
        else:
            self.hub.write(device, op, rest[0], rest[1:], id=row["id"], to_apps=False)

    def events(self):
        """(time, order, what, connection, payload) of the recording."""
        ports, streams = {}, {row["client_port"] for row in rows_of(self.name, "c2s")}
        raw = self.name in RAW
        with (CAPTURES / f"{self.name}.pcap").open("rb") as file:
            for batch in CaptureSource(file, self.name):
                for event in batch:
                    if isinstance(event, Opened):
                        ports[event.stream] = event.client_port
                        if raw or event.client_port in streams:
                            yield event.time, 0, "opened", event.client_port, event.server_port
                    elif isinstance(event, Data) and event.direction == 0 and raw:
                        yield event.time, 1, "data", ports[event.stream], event.data
                    elif isinstance(event, Closed) and (raw or ports[event.stream] in streams):
                        yield event.time, 3, "closed", ports[event.stream], event
        if not raw:
            for row in rows_of(self.name, "c2s"):
                word = row["status"] if row["cmd"] == 0 else row["len"]
                wire = struct.pack(">BHH", row["cmd"], row["id"], word) + body_of(row)
                yield row["ts"], 1, "data", row["client_port"], wire
        done = []
        for time, token, row in self.seed():
            # Several connections of a device get the same write.
            if not any(time - other < 0.05 and essence(row) == essence(same) for other, same in done):
                done.append((time, row))
                yield time, 2, "outside", token, row

    def play(self):
        for time, _, what, who, payload in sorted(self.events(), key=lambda event: event[:2]):
            while (due := self.hub.tick(self.world.now)) is not None and due <= time:
                self.world.now = due
            self.world.now = time
            if what == "opened":
                link = self.links[who] = FakeLink()
                self.sessions[who] = self.hub.connect(
                    link, number=len(self.links), secure=False, port=payload, peer=("127.0.0.1", who)
                )
            elif what == "data":
                self.said[who] += payload
                self.sessions[who].feed(payload, time)
                self.hub.commit()
            elif what == "closed":
                self.closed[who] = payload, self.links[who].how
                if payload.by == 0:
                    self.sessions[who].ended(time)
                self.sessions[who].lost(time)
            else:
                self.inject(who, payload)
        return self


@pytest.fixture(scope="module")
def played():
    return {}


def play(name, played):
    if name not in played:
        played[name] = Player(name).play()
    return played[name]


@pytest.mark.parametrize("name", [*RAW, *FRAMED])
def test_the_real_servers_answers(name, played):
    player = play(name, played)
    wanted = defaultdict(list)
    for row in rows_of(name, "s2c"):
        if row["client_port"] in player.links:
            said = essence(row)
            wanted[row["client_port"]].append(EXCEPTIONS.get((name, said), (said, ""))[0])
    assert wanted
    for port, link in player.links.items():
        data = b"".join(link.sent)
        if data.startswith(b"HTTP/"):
            assert not wanted[port]  # the truth is that of the codec, which HTTP does not pass
            continue
        found = cut(data)
        if name in ORDER:
            found, wanted[port] = sorted(found, key=str), sorted(wanted[port], key=str)
        assert found == wanted[port], port


@pytest.mark.parametrize("name", RAW)
def test_it_hangs_up_where_the_real_server_did(name, played):
    player = play(name, played)
    for port, (closed, how) in player.closed.items():
        if closed.by == 1 and closed.how == "fin":
            waits = (name, bytes(player.said[port])) in WAITING
            assert how == ("open" if waits else "closed"), port
        elif closed.by == 0:
            assert how == "open", port


def test_every_exception_is_needed(played):
    for (name, said), (here, _) in EXCEPTIONS.items():
        assert said in [essence(row) for row in rows_of(name, "s2c")]
        assert said != here


def test_the_recordings_are_all_here():
    recorded = {path.name.partition(".")[0] for path in CAPTURES.glob("*.truth.jsonl")}
    apps = {"07a_app_tls12", "08d_ws_dashws_tls"}
    assert recorded == {*RAW, *FRAMED} | apps


def test_over_the_quota_the_framing_is_lost_as_measured(monkeypatch):
    """The headers that the real server read during the flood, and threw away, are those that this one throws away."""
    name, dropped = "10b_flood_200ps", []
    flooded = HardwareSession._flooded

    def spy(self, quota, number, *rest):
        dropped.append(number)
        return flooded(self, quota, number, *rest)

    monkeypatch.setattr(HardwareSession, "_flooded", spy)
    Player(name).play()
    assert dropped == [row["id"] for row in truth_of(name) if row["event"] == "quota_drop"]
    assert len(dropped) > 1700
