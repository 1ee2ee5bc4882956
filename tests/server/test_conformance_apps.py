"""The apps' side of the recordings, played to the server together with the devices', gets the real server's answers.

As in `test_conformance`, but of each connection: what an app did reaches devices, and what devices did reaches apps.
Tokens are made anew by each server; those of the recording and of this one are put in each other's place.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections import defaultdict
from itertools import groupby

import pytest
from server_world import ACCOUNT, FakeLink, cut, frame
from test_conformance import CAPTURES, DEVICE, SECOND, Player, body_of, essence, truth_of

from blynkscope.protocol.model import Dialect
from blynkscope.server.accounts import Account
from blynkscope.server.app import AppSession
from blynkscope.sources import CaptureSource
from blynkscope.wire.events import Closed, Opened

NAMES = ("06a_hw_tls_pyBlynkLib100", "07a_app_tls12", "08d_ws_dashws_tls")
HEADS = {"hw5": ">BHH", "app7": ">BHI", "wsweb": ">BH"}
DIALECTS = {"hw5": Dialect.HARDWARE, "app7": Dialect.APP, "wsweb": Dialect.WEB}
TOKEN = re.compile(rb"[0-9A-Za-z_-]{32}")
MAKES_TOKENS = {30, 42, 62, 74}
"""Commands whose answer holds a new token."""
TIMES = {"connectTime", "disconnectTime", "firstConnectTime", "dataReceivedAt", "createdAt", "updatedAt"}

EXCEPTIONS = {
    ("07a_app_tls12", (36, 30, b"98300")): (
        (36, 30, b"100000"),
        "the real server takes energy for each widget; here widgets cost none",
    ),
    ("07a_app_tls12", (25, 1111, b"1-100000\0vw\x001\x009")): (
        None,
        "the real server keeps what was written to a tag a second time, below the tag, and never lets go of it",
    ),
    ("08d_ws_dashws_tls", (25, 1111, b"1-0\0vm\0005\0hello terminal\n\0terminal line\r\n\0hello terminal\n")): (
        (25, 1111, b"1-0\0vm\0005\0hello terminal\n"),
        "of a terminal the last write is kept, not the last lines",
    ),
}
"""(recording, what the real server said) → what this one says instead, None for nothing; and why."""
REPLAY = 1111
"""Id of what APP_SYNC brings. The real server keeps properties and the pins of all devices in one hash table, and brings
them in its order; here they come device by device. So the order inside of one replay is not compared."""
DOCUMENTS = {24, 45, 50, 42, 74}
"""Answers that are documents: compared as JSON, without times, and the profiles by what they hold of these runs."""


def loaded(body):
    """A document without times."""

    def plain(found):
        if isinstance(found, dict):
            return {key: plain(value) for key, value in found.items() if key not in TIMES}
        return [plain(each) for each in found] if isinstance(found, list) else found

    return plain(json.loads(body))


class Everybody(Player):
    """One recording with all its clients."""

    def __init__(self, name):
        super().__init__(name)
        self.ours = {}
        """Token of the recording → the one that this server made."""
        self.dialects = {}
        self.rows = [row for row in truth_of(name) if row["event"] == "msg"]
        login = next(row for row in self.rows if row["dialect"] != "hw5" and row["cmd"] == 2)
        if name != "07a_app_tls12":
            self.hub.projects.accounts.keep(Account(email=ACCOUNT, hash=login["body"].split("\0")[1]))

    def replaced(self, data, *, back=False):
        for theirs, mine in self.ours.items():
            data = data.replace(mine, theirs) if back else data.replace(theirs, mine)
        return data

    def events(self):
        ports = {}
        known = {row["client_port"] for row in self.rows}
        with (CAPTURES / f"{self.name}.pcap").open("rb") as file:
            for batch in CaptureSource(file, self.name):
                for event in batch:
                    if isinstance(event, Opened):
                        ports[event.stream] = event.client_port
                    elif isinstance(event, Closed) and ports[event.stream] in known:
                        yield event.time, 3, "closed", ports[event.stream], event
        for row in self.rows:
            yield row["ts"], 1, row["dir"], row["client_port"], row

    def play(self):
        if self.name.startswith("08d"):
            self.prepare_dashboard()
        for time, _, what, who, payload in sorted(self.events(), key=lambda event: event[:2]):
            self.world.now = time
            if what == "closed":
                if who in self.sessions:
                    if payload.by == 0 and self.links[who].how == "open":
                        self.sessions[who].ended(time)
                    self.sessions[who].lost(time)
            elif what == "c2s":
                self.hear(who, payload, time)
            elif payload["cmd"] in MAKES_TOKENS:
                self.learn(who, payload)
            elif payload["dialect"] == "wsweb" and payload["cmd"] == 20:
                # A device wrote that the recording does not show.
                wire = frame(20, payload["id"], *body_of(payload).split(b"\0")[1:])
                self.sessions["device"].feed(wire, time)
        return self

    def hear(self, who, row, time):
        if who not in self.links:
            self.dialects[who] = row["dialect"]
            link = self.links[who] = FakeLink()
            if row["dialect"] == "wsweb":
                self.sessions[who] = AppSession(self.hub, link, framing=Dialect.WEB)
            else:
                secure = row["server_port"] == 9443
                place = {"number": len(self.links), "secure": secure, "port": row["server_port"]}
                self.sessions[who] = self.hub.connect(link, **place, peer=("127.0.0.1", who))
        body = self.replaced(body_of(row))
        head = (row["cmd"], row["id"]) if row["dialect"] == "wsweb" else (row["cmd"], row["id"], len(body))
        if row["cmd"] == 0:
            head = (row["cmd"], row["id"], row["status"])
        self.sessions[who].feed(struct.pack(HEADS[row["dialect"]], *head) + body, time)
        self.hub.commit()

    def learn(self, who, row):
        """A token that the real server made, and the one that this server made for the same request."""
        for cmd, number, said in self.said_to(who):
            if (cmd, number) == (row["cmd"], row["id"]) and cmd != 0:
                (theirs,), (mine,) = TOKEN.findall(body_of(row)), TOKEN.findall(said)
                self.ours[theirs] = mine

    def said_to(self, who):
        data = b"".join(self.links[who].sent)
        if self.dialects[who] != "wsweb":
            return cut(data, DIALECTS[self.dialects[who]])
        found = []
        for each in self.links[who].sent:
            cmd, number = struct.unpack_from(">BH", each)
            found.append((cmd, number, struct.unpack(">I", each[3:])[0] if cmd == 0 else each[3:]))
        return found

    def prepare_dashboard(self):
        """What the real server had stored before, as the page was shown it, and the device that wrote meanwhile."""
        for row in self.rows:
            place, *rest = body_of(row).split(b"\0")
            if row["dir"] != "s2c" or row["id"] != 1111:
                continue
            if row["ts"] > next(each["ts"] for each in self.rows if each["cmd"] == 20 and each["dir"] == "c2s"):
                break
            token = DEVICE if place == b"1-0" else SECOND
            if row["cmd"] == 19:
                self.world.store.set_property(token, b"v" + rest[0], rest[1], rest[2:])
            else:
                op, pin, *values = rest
                for value in [values] if op != b"vm" else [[value] for value in values]:
                    self.hub.write(self.hub.device(token), b"vw" if op == b"vm" else op, pin, value, id=1)
        link = self.links["device"] = FakeLink()
        self.dialects["device"] = "hw5"
        place = {"number": 99, "secure": False, "port": 8080, "peer": ("127.0.0.1", 99)}
        session = self.sessions["device"] = self.hub.connect(link, **place)
        info = ("ver", "0.2.0", "h-beat", "30", "buff-in", "1024", "dev", "python")
        session.feed(frame(29, 1, DEVICE) + frame(17, 2, *info), self.rows[0]["ts"] - 1)
        second = self.hub.connect(FakeLink(), **place)
        second.feed(frame(29, 1, SECOND) + frame(17, 2, *info), self.rows[0]["ts"] - 1)
        second.lost(self.rows[0]["ts"] - 1)


def compared(said):
    """A message as it is compared: documents as JSON."""
    cmd, number, what = said
    if cmd not in DOCUMENTS:
        return said
    if cmd == 24:
        profile = loaded(zlib.decompress(what))
        boards = profile.get("dashBoards", [profile])
        return cmd, number, [(board["name"], [found["type"] for found in board["widgets"]]) for board in boards]
    return cmd, number, loaded(what)


def replays_sorted(said):
    """The same, each replay in one order."""
    found = []
    for is_replay, run in groupby(said, key=lambda each: each[1] == REPLAY):
        each = list(run)
        found += sorted(each, key=repr) if is_replay else each
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_real_servers_answers_to_everybody(name):
    player = Everybody(name).play()
    wanted = defaultdict(list)
    for row in player.rows:
        if row["dir"] == "s2c":
            said = EXCEPTIONS.get((name, essence(row)), (essence(row), ""))[0]
            if said is not None:
                wanted[row["client_port"]].append(said)
    for who, said in wanted.items():
        found = [
            (cmd, number, what if cmd == 0 or cmd == 24 else player.replaced(what, back=True))
            for cmd, number, what in player.said_to(who)
        ]
        both = [replays_sorted([compared(each) for each in one]) for one in (found, said)]
        assert both[0] == both[1], who
