"""An upstream that lives in the process of the proxy: sessions in the place of sockets."""

import asyncio
import contextlib
import itertools
import socket
import struct

import pytest
from proxy_world import PATIENCE, Seen, client_tls, maker, quick, until_closed, world

from blynkscope import faults
from blynkscope.protocol import limits
from blynkscope.proxy import Proxy, Settings, Upstream
from blynkscope.proxy.within import Within

PING = b"\x06\0\1\0\0"


class Server:
    """Answers words: `echo`, `quit`, `reset`, `big`, `drip`; keeps what happened in order."""

    def __init__(self):
        self.did = []
        self.sessions = []
        self.fails = None
        self.due = None

    def connect(self, link, *, number, secure, port, peer):
        self.sessions.append(Session(self, link))
        self.did.append(("connect", number, secure))
        return self.sessions[-1]

    def commit(self):
        self.did.append(("commit",))
        if self.fails is not None:
            raise self.fails

    def tick(self, now):
        self.did.append(("tick",))
        return self.due


class Session:
    def __init__(self, server, link):
        self.server, self.link = server, link
        self.left = 0

    def feed(self, data, time):
        self.server.did.append(("feed", data))
        if data == b"fail":
            raise ValueError(data)
        if data == b"quit":
            self.link.send(b"bye")
            self.link.close()
        elif data == b"reset":
            self.link.abort()
        elif data == b"big":
            self.link.send(bytes(1 << 20) * 3)
        elif data == b"much":
            for _ in range(5):
                self.link.send(bytes(1 << 20))
        elif data == b"drip":
            self.left = 64
            self.drip()
        else:
            self.link.send(data)

    def drip(self):
        if self.left:
            self.left -= 1
            self.link.send(bytes(1 << 16))
            self.link.drained(self.drip)

    def ended(self, time):
        self.server.did.append(("ended",))
        self.link.close()

    def lost(self, time):
        self.server.did.append(("lost",))


@contextlib.asynccontextmanager
async def hosted(server=None, failed=lambda error: None, troubled=lambda number, error: None, tls="never", **settings):
    """A server within a proxy; gives its port, the tap and the server."""
    server, seen = server or Server(), Seen()
    within = Within(server, failed, troubled)
    within.start()
    proxy = Proxy(
        Settings(upstream=Upstream("127.0.0.1", 8080, False), tls=tls, deadlines=quick(), **settings),
        maker(), seen, within=within, numbers=itertools.count(7),
    )  # fmt: skip
    _, port = await proxy.start()
    try:
        yield port, seen, server
    finally:
        await proxy.close(0.5)
        within.stop()


@contextlib.asynccontextmanager
async def client(port, context=None, room=None):
    sock = socket.socket()
    sock.setblocking(False)
    if room is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=context, **({"server_hostname": "localhost"} if context else {})
    )
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def test_what_is_said_is_answered_behind_a_commit():
    async def work():
        async with hosted() as (port, seen, server):
            async with client(port) as (reader, writer):
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
            await seen.until(until_closed())
            await asyncio.sleep(0)
            did = [one for one in server.did if one[0] not in {"tick"}]
            feed = did.index(("feed", b"hello"))
            assert did[feed + 1] == ("commit",)
            assert ("connect", 7, False) in did
            assert did[-1] == ("lost",)
            assert bytes(seen.bytes[7, 0]) == bytes(seen.bytes[7, 1]) == b"hello"
            opened = next(one for one in seen.all if one[0] == "opened")
            assert opened[3] == ("127.0.0.1", port)

    world(work)


@pytest.mark.parametrize("tls", ["always", "either"])
def test_tls_ends_before_the_server(tls):
    async def work():
        async with hosted(tls=tls) as (port, _seen, server):
            async with client(port, client_tls()) as (reader, writer):
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
            assert ("connect", 7, True) in server.did

    world(work)


def test_the_server_hangs_up_behind_its_last_words():
    async def work():
        async with hosted() as (port, seen, server):
            async with client(port) as (reader, writer):
                writer.write(b"quit")
                assert await reader.read() == b"bye"
            await seen.until(until_closed())
            assert seen.ends() == [("fin", 1)]
            assert server.did.count(("lost",)) == 1

    world(work)


def test_the_server_resets():
    async def work():
        async with hosted() as (port, seen, _server):
            async with client(port) as (reader, writer):
                writer.write(b"reset")
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            await seen.until(until_closed())
            assert seen.ends() == [("reset", 1)]

    world(work)


def test_fin_of_the_client_reaches_the_server():
    async def work():
        async with hosted() as (port, seen, server):
            async with client(port) as (reader, writer):
                writer.write(b"hello")
                writer.write_eof()
                assert await reader.read() == b"hello"
            await seen.until(until_closed())
            assert ("ended",) in server.did
            assert seen.ends() == [("fin", 0)]

    world(work)


def test_a_client_that_says_nothing_and_leaves_makes_no_session():
    async def work():
        async with hosted() as (port, seen, server):
            async with client(port):
                pass
            await seen.until(until_closed())
            assert not server.sessions

    world(work)


def test_what_is_made_piece_by_piece_arrives_whole():
    async def work():
        async with hosted() as (port, _seen, server):
            async with client(port) as (reader, writer):
                writer.write(b"drip")
                assert await reader.readexactly(64 << 16) == bytes(64 << 16)
            assert server.sessions[0].left == 0

    world(work)


def test_a_client_that_does_not_read_is_not_listened_to_until_it_does():
    async def work():
        async with hosted() as (port, _seen, server), client(port, room=4096) as (reader, writer):
            writer.write(b"big")
            link = None
            async with asyncio.timeout(PATIENCE):
                while link is None or not link.stuck:
                    await asyncio.sleep(0)
                    link = server.sessions[0].link if server.sessions else None
            writer.write(b"later")
            assert await reader.readexactly(3 << 20) == bytes(3 << 20)
            assert await reader.readexactly(5) == b"later"

    world(work)


def test_a_client_that_takes_nothing_while_much_is_sent_is_cut_off():
    async def work():
        assert limits.SERVER_UNSENT_MAX < 5 << 20
        async with hosted() as (port, seen, _server):
            async with client(port, room=4096) as (_, writer):
                writer.write(b"much")
                await seen.until(until_closed())
            assert seen.ends() == [("reset", 1)]

    world(work)


def test_nothing_is_acknowledged_that_could_not_be_stored():
    async def work():
        troubles = []
        server = Server()
        async with hosted(server, troubles.append) as (port, seen, _):
            async with client(port) as (reader, writer):
                writer.write(b"one")
                assert await reader.readexactly(3) == b"one"
                server.fails = OSError("full")
                writer.write(b"two")
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            await seen.until(until_closed())
            assert [str(error) for error in troubles] == ["full"]
            assert bytes(seen.bytes[7, 1]) == b"one"

    world(work)


def test_ticks_go_on_and_come_sooner_where_they_are_due():
    async def work():
        server = Server()
        server.due = 0.0
        async with hosted(server), asyncio.timeout(PATIENCE):
            while server.did.count(("tick",)) < 5:
                await asyncio.sleep(0)
            server.due = None

    world(work)


def test_a_port_without_tls_hands_a_client_hello_to_the_server():
    async def work():
        async with hosted() as (port, _seen, server):
            async with client(port) as (_, writer):
                writer.write(b"\x16\x03\x01\x00\x05quit")
                async with asyncio.timeout(PATIENCE):
                    while not server.sessions:
                        await asyncio.sleep(0)
            assert ("feed", b"\x16\x03\x01\x00\x05quit") in server.did

    world(work)


def test_a_port_of_tls_hangs_up_on_who_speaks_without():
    async def work():
        async with hosted(tls="always") as (port, seen, server):
            async with client(port) as (reader, writer):
                writer.write(PING)
                assert await reader.read() == b""
            await seen.until(until_closed())
            assert seen.ends() == [("fin", 1)]
            assert bytes(seen.bytes[7, 0]) == PING
            assert not server.sessions

    world(work)


def test_rules_stand_in_front_of_the_server(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text('[[rule]]\nname = "twice"\nmatch = "cmd == MSG_PING"\nduplicate = 1\n')
    rules = faults.load(file)

    login = struct.pack(">BHH", 29, 1, 32) + b"0123456789abcdef" * 2

    async def work():
        async with hosted(rules=rules) as (port, _seen, _server), client(port) as (reader, writer):
            writer.write(login)
            assert await reader.readexactly(len(login)) == login
            writer.write(PING)
            assert await reader.readexactly(2 * len(PING)) == PING * 2

    world(work)


def test_a_client_that_asks_much_at_once_does_not_keep_others_waiting(monkeypatch):
    monkeypatch.setattr(limits, "SERVER_TURN_SECONDS", 0.0)
    much = bytes(40_000)

    async def work():
        async with hosted() as (port, _seen, server):
            async with client(port) as (reader, writer), client(port) as (other, asking):
                writer.write(much)
                async with asyncio.timeout(PATIENCE):
                    while not server.did.count(("feed", bytes(limits.SERVER_BITE))):
                        await asyncio.sleep(0)
                asking.write(b"hello")
                assert await other.readexactly(5) == b"hello"
                assert await reader.readexactly(len(much)) == much
                writer.write(b"later")
                writer.write_eof()
                assert await reader.read() == b"later"
            fed = [one[1] for one in server.did if one[0] == "feed"]
            assert fed.index(b"hello") < len(fed) - 2
            assert b"".join(one for one in fed if one != b"hello") == much + b"later"
            assert max(map(len, fed)) <= limits.SERVER_BITE

    world(work)


def test_what_a_client_said_before_it_left_is_worked_off(monkeypatch):
    monkeypatch.setattr(limits, "SERVER_TURN_SECONDS", 0.0)

    async def work():
        async with hosted() as (port, seen, server):
            async with client(port) as (reader, writer):
                writer.write(bytes(5000))
                writer.write_eof()
                assert await reader.read() == bytes(5000)
            await seen.until(until_closed())
            assert server.did.index(("ended",)) > max(at for at, one in enumerate(server.did) if one[0] == "feed")

    world(work)


def test_a_mistake_of_a_session_ends_its_connection_alone():
    async def work():
        troubles = []
        async with hosted(troubled=lambda number, error: troubles.append((number, str(error)))) as (port, seen, _):
            async with client(port) as (_, writer), client(port) as (other, asking):
                writer.write(b"fail")
                await seen.until(until_closed())
                asking.write(b"hello")
                assert await other.readexactly(5) == b"hello"
            assert troubles == [(7, "b'fail'")]
            assert seen.ends()[0] == ("reset", 1)

    world(work)


def test_the_server_hears_of_a_client_of_tls_that_says_nothing():
    async def work():
        async with hosted(tls="always") as (port, _seen, server), client(port, client_tls()):
            async with asyncio.timeout(PATIENCE):
                while not server.sessions:
                    await asyncio.sleep(0)

    world(work)


def test_what_waits_for_all_clients_together_has_a_limit(monkeypatch):
    monkeypatch.setattr(limits, "SERVER_UNSENT_TOTAL", 5 << 20)

    async def work():
        async with (
            hosted() as (port, seen, server),
            client(port, room=4096) as (_, one),
            client(port, room=4096) as (_, two),
        ):
            one.write(b"hello")
            two.write(b"hello")
            async with asyncio.timeout(PATIENCE):
                while len(server.sessions) < 2:
                    await asyncio.sleep(0)
            first, second = (session.link for session in server.sessions)
            # What is sent before the loop turns waits here.
            first.send(bytes(2 << 20))
            second.send(bytes(3 << 20))
            first.send(bytes(1 << 19))
            await seen.until(until_closed())
            assert (first.over, second.over) == (False, True)
            assert seen.ends() == [("reset", 1)]

    world(work)
