"""Names, addresses and ports: what cannot be reached, and servers that are hostile or none at all."""

import asyncio
import errno
import os
import socket
import threading
import time

import pytest
from probe_world import (
    DEADLINE,
    TOKEN,
    Server,
    blynk,
    certificate,
    closing,
    context,
    found,
    free_port,
    ids,
    nothing,
    pem,
    run,
)

from blynkscope.probe import dns, talk
from blynkscope.probe.net import Address, FailedError, Network


def failing(error):
    def lookup(host, family):
        raise error

    return lookup


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "there is no such name"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "did not answer"),
        (socket.gaierror(socket.EAI_FAIL, "\x1b[2J"), "failed for good"),
        (socket.gaierror(12345, None), "the resolver failed"),
        (UnicodeError("label too long"), "no host name"),
        (ValueError("embedded null byte"), "no host name"),
        (RuntimeError("odd"), "the resolver failed (RuntimeError: odd)"),
    ],
)
def test_names_that_fail(error, said):
    report = run("blynk.clowd", 80, lookup=failing(error))
    assert said in report.dns.error
    assert report.dns.advice.startswith("Did you mean blynk.cloud?")
    assert ids(report) == ["BS104"]
    assert report.findings[0].fix == report.dns.advice
    assert (report.complete, report.connections, report.ports) == (True, 0, [])


def test_a_computer_that_cannot_ask(capfd):
    """Which says nothing about the name; and whatever a resolver raises, no thread prints it."""
    report = run("blynk.clowd", 80, lookup=failing(OSError(errno.EMFILE, "Too many open files")))
    assert report.dns.error == "this computer could not ask for it (too many open files)"
    assert "whatever the name" in report.dns.advice
    assert "Did you mean" not in report.dns.advice
    run("server.example", 80, lookup=failing(MemoryError()))
    assert capfd.readouterr().err == ""


def test_a_resolver_that_hangs():
    over = threading.Event()

    def lookup(host, family):
        over.wait(DEADLINE)
        return []

    begun = time.monotonic()
    try:
        report = run("server.example", 80, lookup=lookup, timeout=0.1)
    finally:
        over.set()
    assert time.monotonic() - begun < DEADLINE / 2
    assert "said nothing for 0.2 s" in report.dns.error


def test_the_legacy_cloud_is_named():
    report = run("blynk-cloud.com", 80, lookup=failing(socket.gaierror(socket.EAI_NONAME, "not known")))
    assert ids(report) == ["BS104", "BS105"]
    assert "blynk.cloud" in report.dns.advice
    assert dns.suggestion("ny3.blynk.cloud") is None
    assert dns.suggestion("server.example") is None
    assert dns.suggestion("a" * 10_000) is None


def test_a_name_without_addresses():
    assert "no address" in run("server.example", 80, lookup=found()).dns.error


def test_a_port_that_is_closed():
    held, port = free_port()
    with held:
        report = run("127.0.0.1", port)
    (one,) = report.ports[0].tcp
    assert (one.result, one.ms) == ("refused", None)
    assert ids(report) == ["BS101"]
    assert report.findings[0].severity == "error"


def test_one_of_two_addresses_is_dead():
    with Server(blynk()) as server:
        report = run("server.example", server.port, lookup=found("127.0.0.2", "127.0.0.1"), timeout=1.0)
    assert [one.result for one in report.ports[0].tcp] == ["refused", "open"]
    assert report.ports[0].address == "127.0.0.1"
    (dead,) = (one for one in report.findings if one.id == "BS101")
    assert dead.severity == "warning"
    assert "127.0.0.2" in dead.detail


def test_families():
    lookup = found("127.0.0.1", "::1")
    for family, expected in ((4, ("127.0.0.1",)), (6, ("::1",)), (None, ("127.0.0.1", "::1"))):
        names, addresses = asyncio.run(dns.resolve("server.example", family, 5, lookup))
        assert names.addresses == tuple(one.text for one in addresses) == expected
    many = found(*(f"127.0.0.{number}" for number in range(1, 60)))
    assert len(asyncio.run(dns.resolve("server.example", None, 5, many))[1]) == dns.ADDRESSES_MAX


def test_the_usual_ports_where_none_is_open():
    """An address of the documentation's own host: nobody listens on loopback's last addresses."""
    report = run("server.example", lookup=found("127.255.255.254"), timeout=1.0)
    assert [one.port for one in report.ports] == [443, 80, 8080, 9443, 8441, 8442, 1883, 8883]
    assert ids(report) == ["BS101"]
    assert "each of the usual ports" in report.findings[0].detail


def test_a_server_that_says_nothing():
    begun = time.monotonic()
    with Server(nothing) as server:
        report = run("127.0.0.1", server.port, timeout=0.2)
    assert time.monotonic() - begun < DEADLINE / 2
    assert report.ports[0].note == "takes connections and says nothing"
    assert report.ports[0].speaks == []
    assert ids(report) == ["BS202"]


def endless(what):
    def talk_(connection):
        while True:
            connection.sendall(what * 200)

    return talk_


def slow(what):
    def talk_(connection):
        for byte in what:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
        nothing(connection)

    return talk_


HELLO = bytes.fromhex("16030300310200002d0303") + bytes(32) + bytes.fromhex("00c02f000005ff01000100")
HOSTILE = {
    "random": lambda connection: connection.sendall(os.urandom(4096)),
    "zeros": endless(b"\0" * 64),
    "endless text": endless(b"A" * 64),
    "endless lines": endless(b"\x1b]0;x\x07[/foo]\r\n"),
    "endless records": endless(b"\x16\x03\x03\x00\x04\x0b\x00\x00\x00"),
    "endless alerts": endless(b"\x15\x03\x03\x00\x02\x01\x70"),
    "endless hello": endless(HELLO),
    "endless http": endless(b"HTTP/1.1 200 OK\r\nServer: \x1b[2J\r\n"),
    "endless frames": endless(b"\x14\x00\x01\x00\x02ab"),
    "endless answers": endless(b"\0\0\x01\0\xc8"),
    "big frame": lambda connection: (connection.sendall(b"\x14\0\1\xff\xff" + bytes(70000)), nothing(connection)),
    "slow hello": slow(HELLO),
    "slow text": slow(b"HTTP/1.1 200 OK\r\n" * 40),
    "reset": lambda connection: connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"),
    "close": closing,
    "hello only": lambda connection: (connection.sendall(HELLO), nothing(connection)),
    "wrong suite": lambda connection: connection.sendall(HELLO.replace(b"\xc0\x2f", b"\xfe\xfe")),
    "ssh": lambda connection: connection.sendall(b"SSH-2.0-\x1b[31mred\r\n"),
    "mqtt garbage": lambda connection: (connection.sendall(b"\x20\xff\xff\xff\xff"), nothing(connection)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_servers(name):
    begun = time.monotonic()
    with Server(HOSTILE[name]) as server:
        report = run("127.0.0.1", server.port, timeout=0.1, suites=(0xC02F,))
    assert time.monotonic() - begun < DEADLINE
    assert report.dns.literal
    assert report.connections <= server.count + 1
    assert report.connections < 100


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_inside_tls(name, tmp_path):
    with Server(HOSTILE[name], context(pem(tmp_path, certificate()))) as server:
        report = run("127.0.0.1", server.port, timeout=0.3, scan=False)
    assert report.ports[0].speaks[0] == "tls"


def test_the_limit_of_connections(tmp_path):
    with Server(closing, context(pem(tmp_path, certificate()))) as server:
        report = run("127.0.0.1", server.port, budget=5)
    assert report.connections == 5
    assert not report.complete
    assert "limit of 5 connections" in report.limits[0]


def test_connections_are_spaced_out_and_counted():
    async def measured():
        network = Network(timeout=5, delay=0.05, jobs=4, budget=3)
        address = Address(socket.AF_INET, ("127.0.0.1", 0))
        begun = asyncio.get_running_loop().time()

        async def one():
            try:
                (await network.connect(address, server.port)).close()
            except FailedError as error:
                return error.result
            return "open"

        results = await asyncio.gather(*(one() for _ in range(5)))
        return sorted(results), asyncio.get_running_loop().time() - begun, network

    with Server(closing) as server:
        results, seconds, network = asyncio.run(measured())
    assert results == ["budget", "budget", "open", "open", "open"]
    assert seconds >= 0.19
    assert (network.connections, network.refused) == (3, True)


def test_a_public_server_gets_few_connections():
    report = run("server.example", 80, lookup=found("127.0.0.1"), budget=1)
    assert (report.public, report.budget) == (False, 1)
    from blynkscope.probe.run import LOCAL_BUDGET, PUBLIC_BUDGET
    from blynkscope.wire.addresses import is_public

    assert PUBLIC_BUDGET < LOCAL_BUDGET
    assert is_public("8.8.8.8")
    assert not any(map(is_public, ("127.0.0.1", "10.0.0.1", "::1", "fe80::1%eth0", "nothing", "192.168.1.1")))


# --- what is spoken ---


def test_ssh_and_http_and_mqtt():
    with Server(HOSTILE["ssh"]) as server:
        report = run("127.0.0.1", server.port, timeout=0.5)
    assert report.ports[0].speaks == ["ssh"]
    assert ids(report) == ["BS111"]

    def web(connection):
        if connection.recv(65536).startswith(b"GET "):
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nno")

    with Server(web) as server:
        report = run("127.0.0.1", server.port, timeout=0.5)
    (one,) = report.ports[0].others
    assert (report.ports[0].speaks, one.text, one.server) == (["http"], "HTTP/1.1 404 Not Found", "nginx")
    assert [(found_.id, found_.severity) for found_ in report.findings] == [("BS111", "warning")]

    asked = []

    def broker(connection):
        data = connection.recv(65536)
        if data.startswith(b"\x10"):
            asked.append(data)
            connection.sendall(b"\x20\x02\x00\x04")

    with Server(broker) as server:
        report = run("127.0.0.1", server.port, timeout=0.5)
        assert report.ports[0].speaks == ["mqtt"]
        assert report.ports[0].others[0].text == "CONNACK 4 (bad user name or password)"
        assert talk.NO_TOKEN.encode() in asked.pop()
        run("127.0.0.1", server.port, timeout=0.5, login=False)
        assert b"device" not in asked.pop()
        report = run("127.0.0.1", server.port, timeout=0.5, token=TOKEN)
        assert TOKEN.encode() in asked.pop()
        assert ids(report) == ["BS211"]


def test_nothing_is_said_of_blynk_where_nobody_asked():
    def web(connection):
        if connection.recv(65536).startswith(b"GET "):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with Server(web) as server:
        report = run("127.0.0.1", server.port, timeout=0.5, login=False)
    assert report.ports[0].speaks == ["http"]
    assert report.ports[0].others[0].code == 200
    assert ids(report) == []
