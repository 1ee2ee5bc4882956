"""Real sockets: what one side sends is what the other gets, in every combination of TLS, however it is cut."""

import asyncio
import hashlib
import random
import struct

import pytest
from proxy_world import client_tls, listening, proxying, quick, server_tls, until_closed, world

MEGABYTES = 10
TOKEN = b"0123456789abcdef0123456789abcdef"


def speech(seed, size):
    """Random bytes between runs of Blynk frames, behind a login."""
    chance = random.Random(seed)
    parts = [struct.pack(">BHH", 29, 1, 32) + TOKEN]
    have = 0
    while have < size:
        if chance.random() < 0.3:
            part = chance.randbytes(chance.randrange(1, 60000))
        else:
            bodies = [b"vw\0%d\0%d" % (chance.randrange(128), chance.randrange(9999)) for _ in range(500)]
            part = b"".join(struct.pack(">BHH", 20, number + 1, len(body)) + body for number, body in enumerate(bodies))
        parts.append(part)
        have += len(part)
    return b"".join(parts)


async def say(writer, data, seed):
    chance, at = random.Random(seed), 0
    while at < len(data):
        size = chance.choice([1, 7, 100, 1460, 9000, 70000, 200000])
        writer.write(data[at : at + size])
        at += size
        await writer.drain()


async def hear(reader, size):
    digest, have = hashlib.sha256(), 0
    while have < size:
        data = await reader.read(65536)
        assert data, f"the connection ended after {have} of {size} bytes"
        digest.update(data)
        have += len(data)
    return digest.hexdigest()


def digest(data):
    return hashlib.sha256(data).hexdigest()


async def both_ways(device, upstream, version, **settings):
    there, back = speech(1, MEGABYTES << 19), speech(2, MEGABYTES << 19)
    heard = asyncio.get_running_loop().create_future()

    async def peer(reader, writer):
        got, _ = await asyncio.gather(hear(reader, len(there)), say(writer, back, 3))
        heard.set_result(got)
        await reader.read()

    context = server_tls(version=version) if upstream else None
    async with listening(peer, context) as port, proxying(port, tls=upstream, **settings) as (own, seen, proxy):
        reader, writer = await asyncio.open_connection("127.0.0.1", own, ssl=client_tls(version) if device else None)
        answer, _ = await asyncio.gather(hear(reader, len(back)), say(writer, there, 4))
        assert (answer, await heard) == (digest(back), digest(there))
        info = proxy.connections[1]
        assert (info.secure is not None, info.upstream_secure is not None) == (device, upstream)
        writer.close()
        await seen.until(until_closed())
    assert seen.all[0][0] == "opened"
    assert seen.all[0][4] == (f"tls{version}" if device else None)
    assert seen.all[-1][:3] == ("closed", 1, "fin")
    for kept in (seen.bytes, seen.sent_bytes):
        assert [digest(bytes(kept[1, direction])) for direction in (0, 1)] == [digest(there), digest(back)]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize(("device", "upstream"), [(True, True), (True, False), (False, True)])
def test_bytes_are_the_same_through_tls(device, upstream, version):
    world(both_ways, device, upstream, version)


def test_bytes_are_the_same_in_the_clear():
    world(both_ways, False, False, None)


def test_bytes_are_the_same_where_rules_look_at_each_frame():
    from blynkscope import faults

    rules = faults.load('[[rule]]\nmatch = "cmd == EVENT_LOG"\ndrop = true\n')
    world(both_ways, False, False, None, rules=rules, deadlines=quick())


@pytest.mark.parametrize("device", [False, True])
def test_writes_keep_their_bounds(device):
    """Two answers that the server writes one after the other are read one after the other, as blynklib needs it."""

    async def work():
        turn = asyncio.Event()

        async def peer(reader, writer):
            for number in range(20):
                await reader.readexactly(5)
                writer.write(struct.pack(">BHH", 0, number, 200))
            await reader.read()

        async with listening(peer) as port, proxying(port) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own, ssl=client_tls() if device else None)
            for number in range(20):
                writer.write(struct.pack(">BHH", 6, number, 0))
                assert await reader.read(1000) == struct.pack(">BHH", 0, number, 200)
            writer.close()
            await seen.until(until_closed())
            sizes = [one[3] for one in seen.all if one[0] == "data"]
            assert sizes == [5] * 40
        turn.set()

    world(work)


def test_single_bytes_go_through_one_by_one():
    async def work():
        async def peer(reader, writer):
            writer.write((await reader.readexactly(37))[::-1])
            await reader.read()

        async with listening(peer) as port, proxying(port) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            said = struct.pack(">BHH", 29, 1, 32) + TOKEN
            for at in range(len(said)):
                writer.write(said[at : at + 1])
                await asyncio.sleep(0)
            assert await reader.readexactly(37) == said[::-1]
            writer.close()
            await seen.until(until_closed())
            assert bytes(seen.bytes[1, 0]) == said

    world(work)


def test_alpn_and_server_name_are_passed_on():
    async def work():
        names = []

        async def peer(reader, writer):
            writer.write((writer.get_extra_info("ssl_object").selected_alpn_protocol() or "-").encode())
            await reader.read()

        context = server_tls(alpn=["blynk", "http/1.1"])
        context.sni_callback = lambda _, name, __: names.append(name)
        async with listening(peer, context) as port, proxying(port, tls=True, host="localhost") as (own, seen, _):
            for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), (["nothing"], None), (None, None)):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", own, ssl=client_tls(alpn=offered), server_hostname="localhost"
                )
                assert await reader.read(100) == (chosen or "-").encode()
                assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen
                writer.close()
            await seen.until(until_closed(3))
        assert names == ["localhost"] * 3

    world(work)


def test_many_at_once():
    """Five hundred devices come at the same moment; each gets its own bytes back."""

    async def work():
        async def peer(reader, writer):
            while data := await reader.read(1000):
                writer.write(data)

        async def device(own, number):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            said = struct.pack(">BHH", 29, number, 32) + TOKEN
            writer.write(said)
            assert await reader.readexactly(37) == said
            writer.close()

        async with listening(peer) as port, proxying(port) as (own, seen, proxy):
            await asyncio.gather(*(device(own, number) for number in range(500)))
            await seen.until(until_closed(500))
            assert proxy.accepted == 500
            assert {end[0] for end in seen.ends()} == {"fin"}

    world(work)


def test_many_at_once_through_tls():
    async def work():
        async def peer(reader, writer):
            while data := await reader.read(1000):
                writer.write(data)

        async def device(own):
            reader, writer = await asyncio.open_connection("127.0.0.1", own, ssl=client_tls())
            writer.write(b"\x06\0\1\0\0")
            assert await reader.readexactly(5) == b"\x06\0\1\0\0"
            writer.close()

        async with listening(peer, server_tls()) as port, proxying(port, tls=True) as (own, seen, _):
            await asyncio.gather(*(device(own) for _ in range(60)))
            await seen.until(until_closed(60))

    world(work)
