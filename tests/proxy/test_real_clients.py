"""Real clients of PyPI through the proxy, against a small real peer: both legs plain, one of them TLS, both."""

import asyncio
import json
import struct
import sys
from pathlib import Path

import pytest
from proxy_world import ca_file, listening, proxying, server_tls, until_closed, world
from real_clients import ASKED, HEARD, LEAVE, PATIENCE, SYNCED, WRITTEN

TOKEN, WRONG = "0123456789abcdef" * 2, "fedcba9876543210" * 2
LEGS = {"plain to plain": (False, False), "plain to TLS": (False, True), "TLS to TLS": (True, True)}
CLIENTS = ("blynklib", "blynk-library-python")


class Peer:
    """A server that writes back, answers a sync, tells of pings, and leaves when it is asked to."""

    def __init__(self):
        self.heard, self.said = [], []
        self.pings = 0

    async def __call__(self, reader, writer):
        heard, said = bytearray(), bytearray()
        self.heard.append(heard)
        self.said.append(said)
        self.pings = 0

        def say(cmd, number, word, body=b""):
            frame = struct.pack(">BHH", cmd, number, word) + body
            said.extend(frame)
            writer.write(frame)

        def write(pin, value):
            body = b"\0".join((b"vw", b"%d" % pin, value))
            say(20, 1000, len(body), body)

        while True:
            head = await reader.readexactly(5)
            cmd, number, word = struct.unpack(">BHH", head)
            body = await reader.readexactly(word if cmd else 0)
            heard += head + body
            words = body.split(b"\0")
            if cmd in (2, 29):
                say(0, number, 200 if body == TOKEN.encode() else 9)
            elif cmd == 17:
                say(0, number, 200)
            elif cmd == 6:
                # blynklib takes one frame of a read: the answer to its ping would hide what comes with it.
                self.pings += 1
                write(ASKED, b"%d" % self.pings)
            elif cmd == 16:
                write(SYNCED, b"synced")
            elif words[:2] == [b"vw", b"%d" % WRITTEN]:
                write(HEARD, words[2])
            elif words[:2] == [b"vw", b"%d" % LEAVE]:
                return


def of_pypi(client):
    """The command that runs a client; port, token and perhaps the CA follow."""
    return [sys.executable, str(Path(__file__).with_name("real_clients.py")), client]


async def run(command, port, token, secure):
    """What the client was told."""
    program = await asyncio.create_subprocess_exec(
        *command, str(port), token, *([str(ca_file())] if secure else []),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, trouble = await asyncio.wait_for(program.communicate(), 2 * PATIENCE)
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    assert program.returncode == 0, trouble.decode()
    return json.loads(out)


def through(command, legs, token, check, ends):
    secure, upstream = LEGS[legs]

    async def work():
        peer = Peer()
        async with (
            listening(peer, server_tls() if upstream else None) as port,
            proxying(port, tls=upstream, host="localhost") as (own, seen, _),
        ):
            got = await run(command, own, token, secure)
            await seen.until(until_closed(ends))
        check(got)
        assert len(peer.heard) == ends
        for number, (heard, said) in enumerate(zip(peer.heard, peer.said, strict=True), 1):
            # A server that left hears no more of what the device, which has not seen it yet, goes on to send.
            assert bytes(seen.bytes[number, 0]).startswith(bytes(heard))
            assert number < ends or len(seen.bytes[number, 0]) == len(heard)
            assert bytes(seen.bytes[number, 1]) == bytes(said)
        assert not [kind for kind in seen.kinds() if kind.startswith("proxy-")]

    world(work)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("legs", LEGS)
def test_login_writes_sync_ping_and_coming_back(client, legs):
    def check(got):
        heard = [["heard", f"é{value}"] for value in range(3)]
        assert [event for event in got if event[0] != "ping"] == [
            ["connected"], *heard, ["synced", "synced"], ["connected"], ["heard", "back"],
        ]  # fmt: skip
        assert ["ping", "1"] in got

    through(of_pypi(client), legs, TOKEN, check, 2)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("legs", LEGS)
def test_a_wrong_token_is_refused_by_the_server(client, legs):
    def check(got):
        assert got == ["refused"]

    through(of_pypi(client), legs, WRONG, check, 1)
