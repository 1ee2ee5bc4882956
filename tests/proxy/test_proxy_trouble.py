"""Real sockets: what goes wrong between a device and its server, what is told of it, and that nothing is left behind."""

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import stat
import struct
import warnings

import pytest
from proxy_world import (
    ca_file,
    client_tls,
    listening,
    pair,
    proxying,
    quick,
    server_tls,
    until_closed,
    world,
)

from blynkscope import faults
from blynkscope.errors import EnvironmentProblem
from blynkscope.proxy import Proxy, ProxyUsageError, Settings, Upstream

LOGIN = struct.pack(">BHH", 29, 1, 32) + b"0123456789abcdef0123456789abcdef"
OK = struct.pack(">BHH", 0, 1, 200)
LINGER = struct.pack("ii", 1, 0)


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def silent(reader, writer):
    await reader.read(-1)


def reset(writer):
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    writer.transport.abort()


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


async def rest(reader):
    """All that comes until the end, whatever the end is."""
    try:
        return await reader.read(-1)
    except ConnectionError:
        return b"reset"


# --- the upstream ---


@pytest.mark.parametrize("device", [False, True])
def test_an_upstream_that_is_down_ends_the_device_at_once_and_coming_back_just_works(device):
    async def work():
        port = closed_port()
        async with proxying(port) as (own, seen, _):
            for _ in range(2):
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", own, ssl=client_tls() if device else None
                    )
                    writer.write(LOGIN)
                    assert await reader.read(-1) == b""
                    writer.close()
            await seen.until(until_closed(2))
            detail = seen.fact("proxy-upstream-failed")
            assert (detail["stage"], detail["reason"], detail["port"]) == ("connect", "refused", port)
            assert seen.ends() == [("fin", None)] * 2
            if not device:
                assert bytes(seen.bytes[1, 0]) == LOGIN
            async with listening(echo, port=port):
                reader, writer = await asyncio.open_connection("127.0.0.1", own, ssl=client_tls() if device else None)
                writer.write(LOGIN)
                assert await reader.readexactly(37) == LOGIN
                writer.close()
                await seen.until(until_closed(3))

    world(work)


@pytest.mark.parametrize(
    ("names", "days", "trusted", "reason"),
    [
        (("localhost", "127.0.0.1"), -1, True, "expired"),
        (("other.example",), 10, True, "wrong-name"),
        (("localhost", "127.0.0.1"), 10, False, "unknown-ca"),
    ],
)
def test_a_certificate_that_is_not_right_is_refused_and_said_why(names, days, trusted, reason):
    async def work():
        settings = {} if trusted else {"upstream_ca": None}
        async with (
            listening(echo, server_tls(*names, days=days)) as port,
            proxying(port, tls=True, **settings) as (own, seen, _),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(LOGIN)
            assert await rest(reader) == b""
            writer.close()
            await seen.until(until_closed())
            detail = seen.fact("proxy-upstream-failed")
            assert (detail["stage"], detail["reason"]) == ("tls", reason)

    world(work)


def test_any_certificate_will_do_where_it_is_not_verified():
    async def work():
        async with (
            listening(echo, server_tls("other.example", days=-1)) as port,
            proxying(port, tls=True, verify=False) as (own, seen, _),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(LOGIN)
            assert await reader.readexactly(37) == LOGIN
            writer.close()
            await seen.until(until_closed())

    world(work)


@pytest.mark.parametrize(("tls", "stage"), [(True, "tls"), (False, None)])
def test_an_upstream_that_speaks_something_else(tls, stage):
    async def work():
        async def peer(reader, writer):
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with listening(peer) as port, proxying(port, tls=tls) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(LOGIN)
            answer = await rest(reader)
            writer.close()
            await seen.until(until_closed())
            if stage:
                assert answer == b""
                assert seen.fact("proxy-upstream-failed")["stage"] == stage
            else:
                assert answer.startswith(b"HTTP/1.1 400")

    world(work)


def test_a_name_that_nobody_knows():
    async def work():
        async with proxying(0, upstream=Upstream("no-such-host.invalid", 443, True)) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(LOGIN)
            assert await rest(reader) == b""
            writer.close()
            await seen.until(until_closed())
            assert seen.fact("proxy-upstream-failed")["stage"] == "dns"

    world(work)


def test_an_upstream_that_does_not_answer():
    async def work():
        async with (
            listening(silent) as port,
            proxying(port, tls=True, deadlines=quick(connect=0.1)) as (own, seen, _),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(LOGIN)
            assert await rest(reader) == b""
            writer.close()
            await seen.until(until_closed())
            assert seen.fact("proxy-upstream-failed")["stage"] == "timeout"

    world(work)


def test_the_proxy_is_no_upstream_of_itself():
    async def work():
        port = closed_port()
        async with proxying(port, listen_port=port) as (own, seen, _):
            assert own == port
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(LOGIN)
            assert await rest(reader) == b""
            writer.close()
            await seen.until(until_closed())
            assert seen.fact("proxy-upstream-failed")["reason"] == "loop"

    world(work)


def test_an_upstream_that_dies_inside_a_frame():
    async def work():
        async def peer(reader, writer):
            await reader.readexactly(37)
            writer.write(struct.pack(">BHH", 20, 1, 100) + b"vw\0")
            await writer.drain()
            reset(writer)

        async with listening(peer) as port, proxying(port) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(LOGIN)
            said = await rest(reader)
            writer.close()
            await seen.until(until_closed())
            # RST overtakes what was not read yet, on the way from the upstream as on the way to the device.
            assert said == b"reset" or (struct.pack(">BHH", 20, 1, 100) + b"vw\0").startswith(said)
            assert seen.ends() == [("reset", 1)]

    world(work)


# --- the device ---


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_device_that_does_not_trust_the_ca(version):
    async def work():
        def connect():
            # The streams of Python 3.11 close without the alert.
            with socket.create_connection(("127.0.0.1", own)) as plain, pytest.raises(ssl.SSLCertVerificationError):
                client_tls(version, trust=False).wrap_socket(plain, server_hostname="localhost")

        async with listening(silent) as port, proxying(port) as (own, seen, _):
            await asyncio.to_thread(connect)
            await seen.until(until_closed())
            detail = seen.fact("proxy-handshake-failed")
            assert detail["alert"] == 48
            assert "does not trust the CA of the proxy" in detail["cause"]
            assert seen.fact("tls-alert")["number"] == 48
            assert seen.kinds()[0] == "tls-client-hello"
            assert seen.kinds().count("tls-alert") == 1

    world(work)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_device_that_is_too_old_and_one_that_may_be(version):
    async def work(legacy):
        context = client_tls()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.maximum_version = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1}[version]
        async with listening(echo) as port, proxying(port, legacy_tls=legacy) as (own, seen, _):
            if not legacy:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await asyncio.open_connection("127.0.0.1", own, ssl=context)
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", own, ssl=context)
                writer.write(OK)
                assert await reader.readexactly(5) == OK
                writer.close()
            await seen.until(until_closed())
            if legacy:
                assert seen.all[0][4] == f"tls{version}"
            else:
                detail = seen.fact("proxy-handshake-failed")
                assert detail["reason"] == "no-common-version"
                assert detail["versions"] == [f"TLS {version}"]
                assert f"TLS {version} at most" in detail["cause"]

    world(work, False)
    world(work, True)


def test_a_device_without_a_cipher_in_common():
    async def work():
        context = client_tls("1.2")
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        async with listening(echo) as port, proxying(port, certificate=pair("localhost")) as (own, seen, _):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", own, ssl=context)
            await seen.until(until_closed())
            assert seen.fact("proxy-handshake-failed")["reason"] == "no-common-cipher"

    world(work)


def test_a_device_that_can_do_ec_alone_gets_such_a_certificate():
    async def work():
        context = client_tls("1.2")
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        async with listening(echo) as port, proxying(port) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own, ssl=context)
            writer.write(OK)
            assert await reader.readexactly(5) == OK
            writer.close()
            await seen.until(until_closed())
            assert not seen.kinds().count("proxy-handshake-failed")

    world(work)


def test_rules_may_ask_for_addresses_and_layers():
    async def work():
        async with listening(echo) as port:
            rules = faults.load(
                f"[[rule]]\nmatch = 'via == tls and dst == \"127.0.0.1:{port}\"'\ndirection = 'to-server'\n"
                "answer = { status = 9 }\n"
            )
            async with proxying(port, rules=rules) as (own, seen, _):
                for secure in (client_tls(), None):
                    reader, writer = await asyncio.open_connection("127.0.0.1", own, ssl=secure)
                    writer.write(LOGIN)
                    answer = await reader.readexactly(5)
                    assert answer == (struct.pack(">BHH", 0, 1, 9) if secure else LOGIN[:5])
                    writer.close()
                await seen.until(until_closed(2))
        assert seen.kinds().count("proxy-rule") == 1

    world(work)


def test_ones_own_certificate_and_the_key_log(tmp_path):
    async def work():
        keylog = tmp_path / "keys"
        async with (
            listening(echo, server_tls()) as port,
            proxying(port, tls=True, certificate=pair("device.example"), keylog=keylog) as (own, seen, _),
        ):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", own, ssl=client_tls("1.3"), server_hostname="device.example"
            )
            writer.write(OK)
            assert await reader.readexactly(5) == OK
            writer.close()
            await seen.until(until_closed())
        assert stat.S_IMODE(os.stat(keylog).st_mode) == 0o600
        lines = keylog.read_text().splitlines()
        # Both legs: two randoms.
        assert len({line.split()[1] for line in lines if line.startswith("CLIENT_TRAFFIC_SECRET_0")}) == 2

    world(work)


@pytest.mark.parametrize(
    ("said", "kind", "limit"),
    [
        (b"", "proxy-limit", "first-byte"),
        (b"\x16", "proxy-limit", "first-byte"),
        (b"\x16\x03\x01\x00", "proxy-handshake-failed", "timeout"),
    ],
)
def test_slow_ones_are_given_up(said, kind, limit):
    async def work():
        deadlines = quick(first_byte=0.1, handshake=0.1)
        async with listening(silent) as port, proxying(port, deadlines=deadlines) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(said)
            assert await rest(reader) == b""
            writer.close()
            await seen.until(until_closed())
            detail = seen.fact(kind)
            assert limit in (detail.get("limit"), detail.get("reason"))

    world(work)


def test_silence_ends_a_connection_and_traffic_keeps_it():
    async def work():
        async with listening(echo) as port, proxying(port, deadlines=quick(idle=0.3)) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            for _ in range(8):
                writer.write(OK)
                assert await reader.readexactly(5) == OK
                await asyncio.sleep(0.1)
            assert await rest(reader) == b""
            writer.close()
            await seen.until(until_closed())
            assert seen.fact("proxy-limit")["limit"] == "idle"

    world(work)


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff" + b"x" * 70000])
def test_what_only_looks_like_tls(said):
    async def work():
        async with listening(silent) as port, proxying(port) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(said)
            await rest(reader)
            writer.close()
            await seen.until(until_closed())
            assert seen.fact("proxy-handshake-failed")["reason"] == "no-hello"

    world(work)


@pytest.mark.parametrize(
    "said", [b"\0" * 100, b"\xff" * 5000, b"\x16\0\0\0\x01x", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 100]
)
def test_garbage_goes_through_as_it_is(said):
    async def work():
        async with listening(echo) as port, proxying(port) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(said)
            assert await reader.readexactly(len(said)) == said
            writer.close()
            await seen.until(until_closed())

    world(work)


@pytest.mark.parametrize("device", [False, True])
def test_a_device_that_never_reads_stops_the_upstream_and_takes_no_memory(device):
    async def work():
        stopped = asyncio.Event()
        sent = 0

        async def peer(reader, writer):
            nonlocal sent
            writer.transport.set_write_buffer_limits(high=65536)
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"x" * 65536)
                    try:
                        await asyncio.wait_for(writer.drain(), 0.5)
                    except TimeoutError:
                        stopped.set()
                        await reader.read(-1)
                        return
                    sent += 65536

        async with listening(peer) as port, proxying(port) as (own, seen, proxy):
            _, writer = await asyncio.open_connection(
                "127.0.0.1", own, ssl=client_tls() if device else None, limit=4096
            )
            writer.write(LOGIN)
            await stopped.wait()
            # What fits into the buffers of the sockets; the proxy itself keeps some 100 KiB.
            assert sent < 64 << 20
            leg = proxy._all[1]._legs[0]
            assert leg.transport.get_write_buffer_size() < 400_000
            # The other direction goes on all the same.
            writer.write(OK)
            await seen.until(lambda seen: bytes(seen.bytes[1, 0]).endswith(OK))
            writer.transport.abort()
            await seen.until(until_closed())

    world(work)


# --- ends ---


def test_half_close_both_ways():
    async def work(first):
        async def peer(reader, writer):
            if first == "device":
                said = await reader.read(-1)
                writer.write(said[::-1])
                writer.write_eof()
                await writer.drain()
            else:
                await reader.readexactly(37)
                writer.write(b"last")
                writer.write_eof()
                heard.set_result(await reader.read(-1))

        heard = asyncio.get_running_loop().create_future()
        async with listening(peer) as port, proxying(port) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(LOGIN)
            if first == "device":
                writer.write_eof()
                assert await reader.read(-1) == LOGIN[::-1]
            else:
                assert await reader.read(-1) == b"last"
                writer.write(b"more" * 1000)
                writer.write_eof()
                assert await heard == b"more" * 1000
            writer.close()
            await seen.until(until_closed())
            assert seen.ends() == [("fin", 0 if first == "device" else 1)]

    world(work, "device")
    world(work, "upstream")


def test_a_reset_is_passed_on():
    async def work(first):
        ended = asyncio.get_running_loop().create_future()

        async def peer(reader, writer):
            await reader.readexactly(37)
            writer.write(OK)
            await writer.drain()
            if first == "upstream":
                await reader.readexactly(1)
                reset(writer)
            else:
                ended.set_result(await rest(reader))

        async with listening(peer) as port, proxying(port) as (own, seen, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(LOGIN)
            await reader.readexactly(5)
            if first == "device":
                reset(writer)
                assert await ended == b"reset"
            else:
                writer.write(b"x")
                assert await rest(reader) == b"reset"
                writer.close()
            await seen.until(until_closed())
            assert seen.ends() == [("reset", 0 if first == "device" else 1)]

    world(work, "device")
    world(work, "upstream")


def test_the_end_of_the_proxy_ends_its_connections_in_order():
    async def work():
        async with listening(echo, server_tls()) as port, proxying(port, tls=True) as (own, seen, proxy):
            ends = [await asyncio.open_connection("127.0.0.1", own, ssl=client_tls()) for _ in range(3)]
            for reader, writer in ends:
                writer.write(OK)
                await reader.readexactly(5)
            await proxy.close(2.0)
            assert seen.ends() == [("end", None)] * 3
            for reader, writer in ends:
                assert await reader.read(-1) == b""
                writer.close()
            with pytest.raises(ConnectionError):
                await asyncio.open_connection("127.0.0.1", own)

    world(work)


# --- who may come, and where to ---


def test_networks_and_caps():
    async def work():
        async with (
            listening(echo) as port,
            proxying(port, connections=3, per_address=2) as (own, seen, proxy),
        ):
            kept = []
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", own)
                writer.write(OK)
                await reader.readexactly(5)
                kept.append(writer)
            for _ in range(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", own)
                assert await rest(reader) == b""
                writer.close()
            assert proxy.refused == 5
            # Told once, not five times.
            assert seen.kinds() == ["proxy-refused"]
            assert seen.fact("proxy-refused")["reason"] == "per-address"
            for writer in kept:
                writer.close()
            await seen.until(until_closed(2))

    world(work)


def test_a_client_of_another_network_is_refused():
    settings = Settings(upstream=Upstream("127.0.0.1", 1, False), allow=(ipaddress.ip_network("192.0.2.0/24"),))

    class Seen:
        wants_sent = False

        def __init__(self):
            self.facts = []

        def told(self, connection, direction, time, kind, detail):
            self.facts.append((connection, kind, detail["client"]))

    async def work():
        seen = Seen()
        proxy = Proxy(settings, None, seen)
        await proxy.start()
        assert proxy.admit(None, ("198.51.100.7", 4000)) is None
        assert proxy.admit(None, ("::ffff:198.51.100.8", 4000)) is None
        await asyncio.sleep(0)
        assert seen.facts == [
            (0, "proxy-refused", "198.51.100.7"),
            (0, "proxy-refused", "::ffff:198.51.100.8"),
        ]
        for address in ("192.0.2.9", "::ffff:192.0.2.9", "127.0.0.1", "::1"):
            connection = proxy.admit(None, (address, 4000))
            assert connection is not None
            proxy.forget(connection)
        await proxy.close()

    world(work)


@pytest.mark.parametrize(
    ("name", "private", "reason"),
    [
        (None, False, "no-name"),
        ("other.example", False, "name"),
        ("localhost", False, "private"),
        ("localhost", True, None),
    ],
)
def test_auto_leads_only_where_it_may(name, private, reason):
    async def work():
        async with listening(echo, server_tls("localhost")) as port:
            upstream = Upstream(None, port, True, ("localhost",))
            async with proxying(0, upstream=upstream, allow_private=private) as (own, seen, _):
                context = client_tls()
                context.check_hostname = False
                try:
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", own, ssl=context, server_hostname=name or ""
                    )
                    writer.write(OK)
                    assert await reader.readexactly(5) == OK
                    writer.close()
                except (ConnectionError, ssl.SSLError):
                    assert reason is not None
                await seen.until(until_closed())
                if reason in {"no-name", "name"}:
                    assert seen.fact("proxy-refused")["reason"] == reason
                elif reason:
                    assert seen.fact("proxy-upstream-failed")["reason"] == reason
                else:
                    assert seen.all[0][3][1] == port

    world(work)


# --- who looks on ---


def test_a_tap_that_fails_stops_nothing_and_is_told_once():
    async def work():
        class Broken:
            wants_sent = True
            facts = []

            def opened(self, *arguments):
                raise RuntimeError("no")

            data = sent = closed = opened

            def told(self, connection, direction, time, kind, detail):
                self.facts.append(kind)

        tap = Broken()
        async with listening(echo) as port:
            async with proxying(port, seen=tap) as (own, _, proxy):
                reader, writer = await asyncio.open_connection("127.0.0.1", own)
                for _ in range(5):
                    writer.write(OK)
                    assert await reader.readexactly(5) == OK
                writer.close()
            assert tap.facts == ["proxy-tap-failed"]
            assert proxy.tap_trouble == "RuntimeError: no"

    world(work)


def test_ipv6():
    async def work():
        async with listening(echo, host="::1") as port, proxying(port, host="::1", listen_host="::1") as (own, seen, _):
            reader, writer = await asyncio.open_connection("::1", own)
            writer.write(OK)
            assert await reader.readexactly(5) == OK
            writer.close()
            await seen.until(until_closed())
            assert seen.all[0][2][0] == "::1"

    world(work)


# --- mistakes of the caller ---


def test_files_that_cannot_be_used(tmp_path):
    upstream, tls = Upstream("127.0.0.1", 1, False), Upstream("127.0.0.1", 1, True)
    junk = tmp_path / "junk"
    junk.write_text("nothing")
    with pytest.raises(ProxyUsageError, match="cannot be used as certificate and key"):
        Proxy(Settings(upstream=upstream, certificate=(junk, junk)), None, None)
    with pytest.raises(ProxyUsageError, match="cannot be used as certificate and key"):
        Proxy(Settings(upstream=upstream, certificate=(tmp_path / "no", junk)), None, None)
    with pytest.raises(ProxyUsageError, match="holds no CA certificates"):
        Proxy(Settings(upstream=tls, upstream_ca=junk), None, None)
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        Proxy(Settings(upstream=tls, upstream_ca=ca_file(), keylog=tmp_path / "no" / "keys"), None, None)


def test_a_port_that_is_taken():
    async def work():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            proxy = Proxy(Settings(upstream=Upstream("127.0.0.1", 1, False), listen_port=port), None, None)
            with pytest.raises(EnvironmentProblem, match="another program listens there"):
                await proxy.start()
            await proxy.close()

    world(work)


@pytest.mark.parametrize(
    ("text", "host", "port", "tls"),
    [
        ("ny3.blynk.cloud:443", "ny3.blynk.cloud", 443, True),
        ("blynk.cloud", "blynk.cloud", 443, True),
        ("192.168.1.5:8080", "192.168.1.5", 8080, False),
        ("tcp://blynk.cloud", "blynk.cloud", 80, False),
        ("tls://10.0.0.1:7777", "10.0.0.1", 7777, True),
        ("[::1]:9443", "::1", 9443, True),
        ("blynk.example:8883", "blynk.example", 8883, True),
        ("blynk.example:1883", "blynk.example", 1883, False),
        ("auto", None, 443, True),
        ("auto:9443", None, 9443, True),
    ],
)
def test_upstreams(text, host, port, tls):
    found = Upstream.parse(text)
    assert (found.host, found.port, found.tls) == (host, port, tls)
    assert Upstream.parse(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "ftp://x:1", "x:0", "x:70000", "x:y", "[::zz]:1", "a b:1", "tcp://auto", "-x:1", "a..b:1"]
)
def test_what_is_no_upstream(text):
    with pytest.raises(ProxyUsageError):
        Upstream.parse(text)
