"""What must not pile up: stalled connections, files and tracebacks; and what rules cannot see must be told."""

import asyncio
import contextlib
import errno
import socket
import subprocess
import sys
import textwrap
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy_world import Seen, listening, proxying, world
from test_proxy_core import LOGIN, OK, PING, SWITCHED, Play, frame, message

from blynkscope import faults
from blynkscope.analysis.records import StreamRecord
from blynkscope.protocol import limits
from blynkscope.proxy.commands import Abort, Closed, Copied, Deadline, End, Finish, Pause, Schedule, Tell, Write
from blynkscope.proxy.cutting import uncompressed
from blynkscope.proxy.failures import upstream_failure
from blynkscope.render.proxied import in_words, refusal

STALL = "[[rule]]\nmatch = 'cmd == HW'\ndirection = 'to-server'\nstall = { direction = 'both' }\n"
WRITE = frame(20, 3, b"vw\0001\0002")
DROP = "[[rule]]\nmatch = 'cmd == PING'\ndrop = true\n"


def stalled():
    play = Play(rules=STALL).relayed()
    got = play.do("came", 0, WRITE)
    assert not any(isinstance(one, Pause | Write) for one in got)
    return play


# --- stalls ---


def test_a_stall_for_good_reads_and_forgets():
    play = stalled()
    for direction, data in ((0, WRITE * 1000), (0, b"\xf0noise"), (1, OK), (0, WRITE[:3])):
        play.expect("came", direction, data, orders=[Copied(direction, 0, data)])


@pytest.mark.parametrize("leg", [0, 1])
def test_a_side_that_closes_a_stalled_connection_ends_it_soon(leg):
    play = stalled()
    got = play.expect("ended", leg, orders=[Deadline, Schedule])
    assert got[1].delay == limits.PROXY_STALLED_SECONDS
    play.expect("ended", 1 - leg, orders=[])
    got = play.expect("timer", got[1].token, orders=[Tell, End(0), End(1), Closed(0, "fin", None)])
    assert got[0].detail == {"limit": "stalled", "seconds": limits.PROXY_STALLED_SECONDS}


def test_a_side_that_closed_before_the_stall_counts_too():
    play = Play(rules=STALL).relayed()
    play.do("ended", 1)
    assert limits.PROXY_STALLED_SECONDS in [one.delay for one in play.do("came", 0, WRITE) if isinstance(one, Schedule)]


def test_a_reset_ends_a_stalled_connection_at_once():
    stalled().expect("lost", 0, orders=[Abort(0), Abort(1), Closed(0, "reset", 0)])


LONG = "[[rule]]\nmatch = 'cmd == HW'\ndirection = 'to-server'\nstall = 3600\n"


@pytest.mark.parametrize("leg", [0, 1])
def test_a_side_that_closes_ends_a_long_stall_soon(leg):
    play = Play(rules=LONG).relayed()
    play.do("came", 0, WRITE)
    (token,) = [one.token for one in play.do("ended", leg) if isinstance(one, Schedule)]
    play.now += limits.PROXY_STALLED_SECONDS
    play.expect("timer", token, orders=[Tell, End(0), End(1), Closed(0, "fin", None)])


def test_a_reset_ends_a_long_stall_at_once():
    play = Play(rules=LONG).relayed()
    play.do("came", 0, WRITE)
    play.expect("lost", 0, orders=[Abort(0), Abort(1), Closed(0, "reset", 0)])


def test_an_end_goes_on_behind_a_short_stall():
    play = Play(rules=LONG.replace("3600", "5")).relayed()
    tokens = [one.token for one in play.do("came", 0, WRITE) if isinstance(one, Schedule)]
    (left,) = [one.token for one in play.do("ended", 0) if isinstance(one, Schedule)]
    play.now += 5
    got = [order for token in tokens for order in play.do("timer", token)]
    assert [order for order in got if isinstance(order, Write | Finish)] == [Write(1, WRITE), Finish(1)]
    play.now += limits.PROXY_STALLED_SECONDS
    play.expect("timer", left, orders=[])


@pytest.mark.parametrize("stall", [STALL, LONG])
def test_stalled_connections_do_not_pile_up(monkeypatch, stall):
    monkeypatch.setattr(limits, "PROXY_STALLED_SECONDS", 0.05)
    times = 30

    async def work():
        async def silent(reader, writer):
            await reader.read(-1)

        async with listening(silent) as port, proxying(port, rules=faults.load(stall)) as (own, seen, proxy):
            for _ in range(times):
                _, writer = await asyncio.open_connection("127.0.0.1", own)
                writer.write(LOGIN + WRITE)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            await seen.until(lambda seen: len(seen.ends()) == times)
            assert not proxy.connections

    world(work)


# --- files ---

_SMALL = """
    import asyncio, resource, sys
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))
    from blynkscope.proxy import Proxy, Settings, Upstream

    class Tap:
        wants_sent = False
        def opened(self, *_): pass
        data = sent = closed = opened
        def told(self, connection, direction, time, kind, detail):
            print(kind, detail.get("limit", detail.get("reason")), flush=True)

    async def main():
        proxy = Proxy(Settings(upstream=Upstream("127.0.0.1", int(sys.argv[1]), False)), None, Tap())
        _, port = await proxy.start()
        print("listening", port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await proxy.close(0.5)

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of open files")
def test_a_crowd_beyond_the_limit_of_files_is_refused_without_a_word_on_stderr():
    with socket.create_server(("127.0.0.1", 0), backlog=64) as upstream, contextlib.ExitStack() as kept:
        child = kept.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(_SMALL), str(upstream.getsockname()[1])],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        lines = []
        while not lines or not lines[-1].startswith("listening"):
            lines.append(child.stdout.readline())
            assert lines[-1], child.stderr.read()
        clients = []
        for _ in range(300):
            client = kept.enter_context(socket.socket())
            client.setblocking(False)
            assert client.connect_ex(("127.0.0.1", int(lines[-1].split()[1]))) in {0, errno.EINPROGRESS}
            clients.append(client)
        # The last of them is refused, so all were seen.
        clients[-1].settimeout(20)
        with contextlib.suppress(ConnectionError):
            assert clients[-1].recv(1) == b""
        out, err = child.communicate("", timeout=20)
        assert child.returncode == 0
        assert not err
        facts = [line.strip() for line in lines[:-1] + out.splitlines()]
        assert facts == ["proxy-limit connections", "proxy-refused connections"]


def test_running_out_of_files_is_told_once_and_other_troubles_go_on():
    async def work():
        others = []
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: others.append(context["message"]))
        async with proxying(1, seen=Seen()) as (_, seen, _):
            for _ in range(3):
                loop.call_exception_handler({"message": "accept", "exception": OSError(errno.EMFILE, "files")})
            loop.call_exception_handler({"message": "mine", "exception": OSError(errno.EIO, "disk")})
            await seen.until(lambda seen: seen.all)
            told = [one for one in seen.all if one[0] == "told" and one[4].get("limit") == "files"]
        assert len(told) == 1
        assert told[0][1] == 0
        assert others == ["mine"]
        loop.call_exception_handler({"message": "afterwards"})
        assert others == ["mine", "afterwards"]
        loop.set_exception_handler(before)

    world(work)


def test_the_limits_of_the_proxy_itself_in_words():
    assert refusal("proxy-limit", {"limit": "connections", "text": "room for 68", "connections": 68}) == "room for 68"


def test_facts_in_words():
    def said(kind, **detail):
        return in_words(StreamRecord("proxy", 0, 1.0, "", 0, {"fact": kind} | detail)).text

    assert "permessage-deflate taken out" in said("proxy-extension-removed", extensions=["permessage-deflate"])
    assert "rules do nothing" in said("proxy-compressed")
    assert "in fragments: rules do nothing" in said("proxy-fragmented")
    limit = {"rule": "", "action": "limit", "detail": "more waits than may be held", "failed": True}
    assert said("proxy-rule", **limit) == "rules: more waits than may be held"
    assert "10 s ago" in said("proxy-limit", limit="stalled", seconds=10.0)


# --- compression ---

EXTENDED = (
    b"GET /websockets HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nsec-websocket-extensions: "
    b"permessage-deflate; client_max_window_bits\r\nConnection: Upgrade\r\n\r\n"
)
PLAIN = b"GET /websockets HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


@given(st.lists(st.integers(1, len(EXTENDED) + 10), max_size=12))
@settings(max_examples=60, deadline=None)
def test_rules_take_the_offer_of_compression_away_however_it_is_cut(places):
    data = EXTENDED + message(LOGIN, b"abcd")
    play, orders = Play(rules=DROP), []
    for number, (begin, end) in enumerate(pairwise(sorted({0, *places, len(data)}))):
        orders += play.do("came", 0, data[begin:end])
        if not number:
            orders += play.do("reached")
    assert b"".join(one.data for one in orders if isinstance(one, Write)) == PLAIN + message(LOGIN, b"abcd")
    assert b"".join(one.data for one in orders if isinstance(one, Copied)) == data
    told = [(one.kind, one.detail) for one in orders if isinstance(one, Tell)]
    assert told == [("proxy-extension-removed", {"extensions": ["permessage-deflate"]})]
    play.expect("came", 1, SWITCHED, orders=[Write(0, SWITCHED), Copied])
    play.expect("came", 0, message(PING, b"1234"), orders=[Copied, Tell(0, 0, "proxy-rule", {})])


def test_without_rules_nothing_is_taken_away():
    play = Play()
    play.do("came", 0, EXTENDED)
    assert Write(1, EXTENDED) in play.do("reached")


def test_other_extensions_stay():
    head = b"GET / HTTP/1.1\r\nSec-WebSocket-Extensions: one;a=1, permessage-deflate, Permessage-Deflate;b ,two\r\n\r\n"
    wanted = b"GET / HTTP/1.1\r\nSec-WebSocket-Extensions: one;a=1,two\r\n\r\n"
    assert uncompressed(head) == (wanted, ["permessage-deflate"])
    assert uncompressed(wanted) == (wanted, [])


def test_lines_that_end_with_lf_alone():
    play = Play(rules=DROP)
    play.do("came", 0, EXTENDED.replace(b"\r\n", b"\n"))
    assert Write(1, PLAIN.replace(b"\r\n", b"\n")) in play.do("reached")
    play.expect("came", 0, message(PING, b"1234"), orders=[Copied, Tell(0, 0, "proxy-rule", {})])


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_plain_request_that_comes_in_parts_goes_on_once_its_head_is_there(size):
    data = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nbody"
    play, orders = Play(rules=DROP), []
    for at in range(0, len(data), size):
        orders += play.do("came", 0, data[at : at + size])
        if not at:
            orders += play.do("reached")
    assert b"".join(one.data for one in orders if isinstance(one, Write)) == data


def test_a_request_whose_rest_does_not_come_goes_on_as_it_is():
    play = Play(rules=DROP)
    play.do("came", 0, EXTENDED[:120])
    (partial,) = [one.token for one in play.do("reached") if isinstance(one, Schedule)]
    play.expect("timer", partial, orders=[Write(1, EXTENDED[:120]), Tell(0, 0, "proxy-partial", {})])
    assert Write(1, EXTENDED[120:]) in play.do("came", 0, EXTENDED[120:])


def test_compressed_messages_are_told_once():
    play = Play(rules=DROP)
    play.do("came", 0, EXTENDED)
    play.do("reached")
    play.do("came", 1, SWITCHED)
    squeezed = message(PING, b"1234")
    squeezed = bytes([squeezed[0] | 0x40]) + squeezed[1:]
    play.expect("came", 0, squeezed, orders=[Write(1, squeezed), Copied, Tell(0, 0, "proxy-compressed", {})])
    play.expect("came", 0, squeezed, orders=[Write(1, squeezed), Copied])


def test_messages_in_fragments_are_told_once():
    play = Play(rules=DROP)
    play.do("came", 0, PLAIN)
    play.do("reached")
    play.do("came", 1, SWITCHED)
    whole = message(PING, b"1234")
    begin, end = bytes([whole[0] & 0x7F]) + whole[1:], message(PING, b"1234", opcode=0)
    play.expect("came", 0, begin, orders=[Write(1, begin), Copied, Tell(0, 0, "proxy-fragmented", {})])
    play.expect("came", 0, end, orders=[Write(1, end), Copied])
    play.expect("came", 0, begin + end, orders=[Write(1, begin + end), Copied])


# --- words ---


def test_the_system_says_why_there_is_no_connection():
    error = ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 17999)")
    assert upstream_failure(error, "connect")["text"] == "connection refused"
