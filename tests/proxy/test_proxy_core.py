"""The relay without sockets: a script of events, and the orders that must follow from each."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy_world import client_tls, server_tls

from blynkscope import faults
from blynkscope.protocol import limits
from blynkscope.proxy import Deadlines, Upstream
from blynkscope.proxy.commands import (
    Abort,
    Ask,
    Closed,
    Connect,
    Copied,
    Deadline,
    End,
    Finish,
    Opened,
    Pause,
    Prepare,
    Resume,
    Schedule,
    Sent,
    Tell,
    Write,
)
from blynkscope.proxy.core import Relay
from blynkscope.proxy.lanes import STALL_HELD
from blynkscope.proxy.secure import SLICE, TlsLeg
from blynkscope.proxy.state import Plan

LOGIN = struct.pack(">BHH", 29, 1, 32) + b"0123456789abcdef0123456789abcdef"
OK = struct.pack(">BHH", 0, 1, 200)
DEADLINES = Deadlines()


def frame(cmd, number, body):
    return struct.pack(">BHH", cmd, number, len(body)) + body


class Play:
    """A relay, and the orders that were not looked at yet."""

    def __init__(self, *, tls=False, auto=False, rules=None, wants=None, wants_sent=False, certificate=True):
        self.now = 100.0
        self.contexts = []

        def client(alpn):
            self.contexts.append(alpn)
            return client_tls(alpn=list(alpn) or None)

        injector = None
        if rules is not None:
            loaded = faults.load(rules)
            injector = lambda connection, via, began: faults.Injector(loaded, connection, 1, began, via=via)  # noqa: E731
        self.relay = Relay(
            Plan(
                upstream=Upstream(None if auto else "localhost", 443 if auto else 8080, tls or auto, ("localhost",)),
                deadlines=DEADLINES,
                client=client,
                serves_tls=certificate,
                legacy=False,
                wants_sent=wants_sent,
                injector=injector,
                wants=wants,
                clock=lambda: self.now,
            ),
            7,
        )
        assert self.relay.accepted(self.now) == [Deadline("first-byte", DEADLINES.first_byte)]

    def do(self, event, *arguments, timed=True):
        self.now += 1.0
        return getattr(self.relay, event)(*arguments, *([self.now] if timed else []))

    def expect(self, event, *arguments, orders, timed=True):
        """Orders of the given kinds, or the very orders; times in them are not compared."""
        got = self.do(event, *arguments, timed=timed)
        assert len(got) == len(orders), got
        for one, wanted in zip(got, orders, strict=True):
            if isinstance(wanted, type):
                assert isinstance(one, wanted), got
            else:
                assert type(one) is type(wanted), got
                names = [name for name in one.__struct_fields__ if name not in {"time", "seconds", "detail"}]
                assert [getattr(one, name) for name in names] == [getattr(wanted, name) for name in names], got
        return got

    def relayed(self):
        """A plain connection that stands."""
        self.expect("came", 0, LOGIN, orders=[Deadline, Connect("localhost", 8080, False)])
        self.expect("reached", orders=[Deadline("idle", 0, True), Opened(None), Write(1, LOGIN), Copied(0, 0, LOGIN)])
        return self


# --- plain ---


def test_bytes_go_on_at_once_and_are_copied_behind():
    play = Play().relayed()
    play.expect("came", 1, OK, orders=[Write(0, OK), Copied(1, 0, OK)])
    play.expect("came", 0, b"\x06", orders=[Write(1, b"\x06"), Copied(0, 0, b"\x06")])


def test_what_is_sent_is_told_where_it_is_wanted():
    play = Play(wants_sent=True)
    play.do("came", 0, LOGIN)
    play.expect("reached", orders=[Deadline, Opened, Write, Copied(0, 0, LOGIN), Sent(0, 0, LOGIN)])
    play.expect("came", 1, OK, orders=[Write(0, OK), Copied(1, 0, OK), Sent(1, 0, OK)])


def test_what_the_device_says_before_the_upstream_is_there_waits_in_one_piece_and_bounded():
    play = Play()
    play.do("came", 0, LOGIN)
    play.expect("came", 0, b"more", orders=[])
    filling = b"x" * limits.PROXY_FIRST_MAX
    play.expect("came", 0, filling, orders=[Pause(0)])
    everything = LOGIN + b"more" + filling
    play.expect("reached", orders=[Deadline, Opened, Write(1, everything), Copied(0, 0, everything), Resume(0)])


def test_half_closes():
    play = Play().relayed()
    play.expect("ended", 0, orders=[Deadline("half-closed", 0, True), Finish(1)])
    play.expect("ended", 0, orders=[])
    play.expect("came", 1, OK, orders=[Write(0, OK), Copied(1, 0, OK)])
    play.expect("ended", 1, orders=[Finish(0), End(0), End(1), Closed(0, "fin", 0)])
    assert play.relay.done
    play.expect("came", 1, OK, orders=[])
    play.expect("lost", 1, orders=[])


def test_a_device_that_ends_before_the_upstream_is_there():
    play = Play()
    play.do("came", 0, LOGIN)
    play.expect("ended", 0, orders=[])
    play.expect(
        "reached",
        orders=[Deadline, Opened, Write(1, LOGIN), Copied, Deadline("half-closed", 0, True), Finish(1)],
    )
    play.expect("came", 1, OK, orders=[Write(0, OK), Copied])


def test_a_client_that_says_nothing():
    Play().expect("ended", 0, orders=[Opened(None), End(0), End(1), Closed(0, "fin", 0)])
    Play().expect("lost", 0, orders=[Opened(None), Abort(0), Abort(1), Closed(0, "reset", 0)])
    got = Play().expect(
        "deadline", "first-byte", orders=[Opened, Tell(None, 0, "proxy-limit", {}), End, End, Closed(0, "fin", None)]
    )
    assert got[1].detail == {"limit": "first-byte", "seconds": DEADLINES.first_byte}


@pytest.mark.parametrize("leg", [0, 1])
def test_a_reset_goes_to_the_other_side(leg):
    Play().relayed().expect("lost", leg, orders=[Abort(0), Abort(1), Closed(0, "reset", leg)])


def test_back_pressure():
    play = Play().relayed()
    play.expect("blocked", 0, orders=[Pause(1)], timed=False)
    play.expect("blocked", 0, orders=[], timed=False)
    play.expect("blocked", 1, orders=[Pause(0)], timed=False)
    play.expect("writable", 0, orders=[Resume(1)], timed=False)
    play.expect("writable", 1, orders=[Resume(0)], timed=False)


def test_an_upstream_that_cannot_be_reached():
    play = Play()
    play.do("came", 0, LOGIN)
    got = play.expect(
        "unreached",
        {"stage": "connect", "reason": "refused", "text": "connection refused"},
        orders=[
            Opened,
            Copied(0, 0, LOGIN),
            Tell(None, 0, "proxy-upstream-failed", {}),
            End(0),
            End(1),
            Closed(0, "fin", None),
        ],
    )
    assert got[2].detail["host"] == "localhost"
    play.expect("reached", orders=[])


def test_deadlines_of_each_state():
    play = Play()
    play.do("came", 0, LOGIN)
    got = play.do("deadline", "connect")
    assert [one.detail["stage"] for one in got if isinstance(one, Tell)] == ["timeout"]
    for name in ("idle", "half-closed"):
        got = Play().relayed().do("deadline", name)
        assert [one.detail["limit"] for one in got if isinstance(one, Tell)] == [name]
        assert got[-1].how == "fin"


def test_the_end_of_the_proxy():
    Play().relayed().expect("shut", orders=[End(0), End(1), Closed(0, "end", None)])
    Play().expect("shut", orders=[Opened, End(0), End(1), Closed(0, "end", None)])


def test_injected_bytes_are_bounded_where_nobody_reads():
    play = Play().relayed()
    play.expect("inject", 1, OK, orders=[Write(0, OK)])
    play.do("blocked", 0, timed=False)
    big = b"x" * (limits.PROXY_INJECT_MAX // 2)
    play.expect("inject", 1, big, orders=[Write])
    play.expect("inject", 1, big, orders=[Write])
    play.expect("inject", 1, big, orders=[Tell(1, 0, "proxy-limit", {})])
    play.expect("inject", 1, big, orders=[])
    play.do("writable", 0, timed=False)
    play.expect("inject", 1, big, orders=[Write])
    Play().expect("inject", 1, OK, orders=[])


# --- TLS ---


def test_the_upstream_is_reached_before_the_device_is_answered():
    play, device = Play(), TlsLeg(client_tls(), server=False, name="localhost")
    hello = device.handshake()
    play.expect("came", 0, hello[:1], orders=[])
    play.expect("came", 0, hello[1:50], orders=[Deadline("handshake", 0)])
    play.expect("came", 0, hello[50:], orders=[Deadline("connect", 0), Connect])
    got = play.expect("reached", orders=[Deadline("handshake", 0), Prepare])
    assert got[1].hello.sni == b"localhost"
    got = play.do("prepared", server_tls())
    assert [type(one) for one in got] == [Deadline, Write]
    device.put(got[1].data)
    got = play.do("came", 0, device.handshake() + device.write(LOGIN))
    kinds = [type(one) for one in got if not isinstance(one, Write)]
    assert kinds == [Deadline, Opened, Tell, Copied]
    assert next(one for one in got if isinstance(one, Opened)).secure == "tls1.3"
    assert Write(1, LOGIN) in got
    device.put(b"".join(one.data for one in got if isinstance(one, Write) and one.leg == 0))
    assert device.read() == []
    got = play.do("came", 0, device.finish())
    assert [type(one) for one in got] == [Deadline, Finish]
    got = play.do("came", 1, OK)
    device.put(b"".join(one.data for one in got if isinstance(one, Write)))
    assert device.read() == [OK]


def test_the_end_of_tls_without_its_word_is_passed_on_as_such():
    """FIN behind close_notify upstream where the device closed in order, FIN alone where it did not."""
    for clean in (True, False):
        play = Play(tls=True)
        server = TlsLeg(server_tls(), server=True)
        play.do("came", 0, LOGIN)
        carry(play, server, play.do("reached"))
        assert server.read() == [LOGIN]
        if clean:
            carry(play, server, play.do("ended", 0))
            server.read()
            assert server.over
        else:
            got = play.do("ended", 1)
            assert Finish(0) in got


def both_tls(**asked):
    """A relay with TLS on both legs that stands, its server, and its device."""
    play, device = Play(tls=True, **asked), TlsLeg(client_tls(), server=False, name="localhost")
    server = TlsLeg(server_tls(), server=True)
    play.do("came", 0, device.handshake())
    carry(play, server, play.do("reached"))
    got = play.do("prepared", server_tls())
    device.put(b"".join(one.data for one in got if isinstance(one, Write)))
    got = play.do("came", 0, device.handshake() + device.write(LOGIN))
    device.put(b"".join(one.data for one in got if isinstance(one, Write) and one.leg == 0))
    carry(play, server, [one for one in got if isinstance(one, Write) and one.leg == 1])
    assert device.read() == []
    assert server.read() == [LOGIN]
    return play, server, device


def test_a_server_that_minds_the_end_of_a_device_without_its_word_is_no_trouble():
    play, server, _ = both_tls()
    got = play.do("ended", 0)
    assert [type(one) for one in got] == [Deadline, Finish]
    server._incoming.write_eof()
    assert server.read() == []
    assert server.error is not None
    alert = server.pending()
    assert alert
    got = play.do("came", 1, alert)
    assert not any(isinstance(one, Tell) for one in got)
    assert got[-1] == Closed(play.now, "fin", 0)


def test_a_server_that_ends_in_an_alert_of_its_own_is_told():
    play, server, _ = both_tls()
    server.put(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert server.read() == []
    got = play.do("came", 1, server.pending())
    assert [one.kind for one in got if isinstance(one, Tell)] == ["proxy-tls-broken"]
    assert got[-1] == Closed(play.now, "fin", 1)


def big_read(server):
    """The plaintext of records, and the records, of more than OpenSSL is given at once."""
    pieces = [frame(20, number, b"vw\0001\0" + b"%d" % number * 500) for number in range(10, 50)]
    data = b"".join(server.write(piece) for piece in pieces)
    assert len(data) > 2 * SLICE
    return pieces, data


def test_records_of_one_big_read_go_to_tls_in_one_write_and_in_order():
    play, server, device = both_tls()
    pieces, data = big_read(server)
    got = play.do("came", 1, data)
    # The one write comes first; what was read is told behind it, record by record.
    assert isinstance(got[0], Write)
    assert got[0].leg == 0
    assert [one.data for one in got[1:]] == pieces
    assert all(isinstance(one, Copied) and one.direction == 1 for one in got[1:])
    for at in range(0, len(got[0].data), SLICE):
        device.put(got[0].data[at : at + SLICE])
    assert device.read() == pieces


def test_what_a_writer_wrote_at_once_is_one_piece_again_and_two_writes_stay_two():
    play, server, _ = both_tls()
    long = bytes(range(256)) * 280
    data = server.write(long) + server.write(b"short") + server.write(b"last")
    got = play.do("came", 1, data)
    assert [one.data for one in got if isinstance(one, Copied)] == [long, b"short", b"last"]


def test_with_rules_or_a_gate_each_record_of_a_big_read_goes_by_itself():
    for asked in ({"rules": DROP}, {"wants": lambda connection, direction, frame: False}):
        play, server, device = both_tls(**asked)
        pieces, data = big_read(server)
        got = play.do("came", 1, data)
        writes = [one.data for one in got if isinstance(one, Write)]
        assert [one.data for one in got if isinstance(one, Copied)] == pieces
        assert len(writes) == len(pieces)
        for write in writes:
            device.put(write)
        assert b"".join(device.read()) == b"".join(pieces)


def carry(play, server, orders):
    """Bring what goes to the upstream to a TLS server, and its answers back, until neither says anything."""
    seen = list(orders)
    while True:
        data = b"".join(one.data for one in orders if isinstance(one, Write) and one.leg == 1)
        if not data:
            return seen
        server.put(data)
        answer = server.handshake() if not server.ready else server.pending()
        orders = play.do("came", 1, answer) if answer else []
        seen += orders


def test_a_device_with_tls_where_there_is_no_certificate():
    play = Play(certificate=False)
    got = play.do("came", 0, TlsLeg(client_tls(), server=False, name="localhost").handshake())
    assert got[-1] == Closed(play.now, "fin", 0)
    assert [one.detail["reason"] for one in got if isinstance(one, Tell) and one.kind.startswith("proxy")] == [
        "no-certificate"
    ]


def test_a_device_that_leaves_within_the_handshake():
    play = Play()
    hello = TlsLeg(client_tls(), server=False, name="localhost").handshake()
    play.do("came", 0, hello)
    play.do("reached")
    play.do("prepared", server_tls())
    got = play.do("ended", 0)
    assert [type(one) for one in got if not isinstance(one, Write)] == [Opened, Tell, Tell, End, End, Closed]
    assert [one.kind for one in got if isinstance(one, Tell)] == ["tls-client-hello", "proxy-handshake-failed"]
    assert "does not trust" in got[2].detail["cause"]


def test_a_hello_in_any_pieces_is_the_same_hello():
    hello = TlsLeg(client_tls(alpn=["blynk"]), server=False, name="localhost").handshake()

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(1, len(hello) - 1), max_size=20))
    def check(places):
        play, facts = Play(), []
        for begin, end in pairwise(sorted({0, *places, len(hello)})):
            play.do("came", 0, hello[begin:end])
        got = play.do("reached")
        assert [type(one) for one in got] == [Deadline, Prepare]
        facts = [one for one in play.do("prepared", server_tls()) if isinstance(one, Tell)]
        assert facts == []
        assert got[1].hello.alpn == [b"blynk"]

    check()


def test_auto_leads_to_the_name_that_the_device_asks_for():
    play = Play(auto=True)
    got = play.do("came", 0, TlsLeg(client_tls(), server=False, name="localhost").handshake())
    assert got[-1] == Connect("localhost", 443, True)
    for name, reason in (("evil.example", "name"), ("127.0.0.1", "no-name")):
        play = Play(auto=True)
        got = play.do("came", 0, TlsLeg(client_tls(), server=False, name=name).handshake())
        assert [one.detail["reason"] for one in got if isinstance(one, Tell) and one.kind == "proxy-refused"] == [
            reason
        ]
    got = Play(auto=True).do("came", 0, LOGIN)
    assert [one.detail["reason"] for one in got if isinstance(one, Tell)] == ["no-name"]


@given(st.binary(min_size=1, max_size=300), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_first_bytes_end_in_no_exception(data, tls):
    play = Play(tls=False)
    for at in range(0, len(data), 7):
        play.do("came", 0, (b"\x16\x03\x01" if tls and not at else b"") + data[at : at + 7])
    play.do("reached")
    if play.relay.state == "prepare":
        play.do("prepared", server_tls())
    play.do("ended", 0)
    play.do("ended", 1)


# --- rules and gate ---

DROP = '[[rule]]\nmatch = "cmd == PING"\ndrop = true\n'
PING = struct.pack(">BHH", 6, 2, 0)


def test_a_chunk_that_passes_the_rules_goes_on_as_it_is():
    play = Play(rules=DROP).relayed()
    both = frame(20, 3, b"vw\0001\0002") + frame(20, 4, b"vw\0001\0003")
    play.expect("came", 0, both, orders=[Write(1, both), Copied(0, 0, both)])


def test_a_rule_drops_and_tells_and_the_copy_has_what_came():
    play = Play(rules=DROP).relayed()
    write = frame(20, 3, b"vw\0001\0002")
    got = play.expect(
        "came", 0, write + PING + write,
        orders=[Write(1, write), Copied(0, 0, write + PING + write), Tell(0, 0, "proxy-rule", {}), Write(1, write)],
    )  # fmt: skip
    assert got[2].detail["action"] == "drop"
    assert got[2].detail["id"] == 2


def test_the_beginning_of_a_frame_waits_for_its_rest_but_not_for_long():
    play = Play(rules=DROP).relayed()
    write = frame(20, 3, b"vw\0001\0002")
    got = play.expect("came", 0, write[:7], orders=[Copied(0, 0, write[:7]), Schedule])
    play.expect("came", 0, write[7:] + PING[:2], orders=[Write(1, write), Copied, Schedule])
    play.expect("timer", got[1].token, orders=[])
    play.expect("came", 0, PING[2:], orders=[Copied, Tell(0, 0, "proxy-rule", {})])
    got = play.expect("came", 0, write[:7], orders=[Copied, Schedule])
    play.expect("timer", got[1].token, orders=[Write(1, write[:7]), Tell(0, 0, "proxy-partial", {})])
    # The rest of it follows as it comes, and the next frame is one again.
    play.expect("came", 0, write[7:9], orders=[Write(1, write[7:9]), Copied])
    play.expect("came", 0, write[9:] + PING, orders=[Write(1, write[9:]), Copied, Tell(0, 0, "proxy-rule", {})])


def test_the_beginning_of_a_frame_does_not_overtake_what_is_delayed():
    play = Play(rules="[[rule]]\nmatch = 'cmd == PING'\ndelay = 90\n").relayed()
    got = play.do("came", 0, PING + b"\x14\0")
    assert not any(isinstance(one, Write) for one in got)
    late, partial = (one.token for one in got if isinstance(one, Schedule))
    play.expect("timer", partial if partial[0] == "partial" else late, orders=[Tell(0, 0, "proxy-partial", {})])
    play.now += 90
    play.expect("timer", late if partial[0] == "partial" else partial, orders=[Write(1, PING), Write(1, b"\x14\0")])


def test_the_beginning_of_a_message_waits_for_messages_that_are_delayed():
    play = Play(rules="[[rule]]\nmatch = 'via == websocket and cmd == PING'\ndelay = 90\n")
    play.do("came", 0, UPGRADE)
    play.do("reached")
    play.do("came", 1, SWITCHED)
    key = b"1234"
    got = play.do("came", 0, message(PING, key) + message(LOGIN, key)[:9])
    assert not any(isinstance(one, Write) for one in got)
    tokens = {one.token[0]: one.token for one in got if isinstance(one, Schedule)}
    play.expect("timer", tokens["partial"], orders=[Schedule])
    play.now += 90
    (sent,) = play.do("timer", tokens["rule"])
    assert len(sent.data) == len(message(PING, key))
    play.expect("timer", tokens["partial"], orders=[Write(1, message(LOGIN, key)[:9]), Tell])


def test_what_is_no_frame_goes_on_and_frames_behind_it_are_found_again():
    play = Play(rules=DROP).relayed()
    play.expect("came", 0, b"\xf0garbage", orders=[Write(1, b"\xf0garbage"), Copied])
    play.expect("came", 0, PING, orders=[Copied, Tell(0, 0, "proxy-rule", {})])


def test_an_end_waits_for_what_is_delayed():
    play = Play(rules="[[rule]]\nmatch = 'cmd == PING'\ndelay = 2\n").relayed()
    got = play.do("came", 0, PING)
    token = next(one.token for one in got if isinstance(one, Schedule))
    play.expect("ended", 0, orders=[Deadline])
    play.now += 2
    play.expect("timer", token, orders=[Write(1, PING), Finish(1)])


def test_rules_answer_close_and_reset():
    play = Play(rules="[[rule]]\nmatch = 'cmd == PING'\nanswer = { status = 9 }\n").relayed()
    got = play.do("came", 0, PING)
    assert Write(0, struct.pack(">BHH", 0, 2, 9)) in got
    assert not any(isinstance(one, Write) and one.leg == 1 for one in got)
    for action, order in (("close", End), ("reset", Abort)):
        got = Play(rules=f"[[rule]]\nmatch = 'cmd == PING'\n{action} = true\n").relayed().do("came", 0, PING)
        assert [type(one) for one in got[-3:]] == [order, order, Closed]


def test_a_stall_holds_what_comes_and_reads_on():
    play = Play(rules="[[rule]]\nmatch = 'cmd == PING'\ncount = 1\nstall = 5\n").relayed()
    write = frame(20, 3, b"vw\0001\0002")
    tokens = [one.token for one in play.do("came", 0, PING + write[:4]) if isinstance(one, Schedule)]
    # What is read is not judged before the stall is over, so rules see it as late as the other side does.
    play.expect("came", 0, write[4:] + PING, orders=[Copied])
    play.expect("came", 1, OK, orders=[Write(0, OK), Copied])
    play.now += 5
    got = [order.data for token in tokens for order in play.do("timer", token) if isinstance(order, Write)]
    assert b"".join(got) == PING + write + PING


def test_a_flood_into_a_stall_is_read_no_more():
    play = Play(rules="[[rule]]\nmatch = 'cmd == PING'\ncount = 1\nstall = 5\n").relayed()
    tokens = [one.token for one in play.do("came", 0, PING) if isinstance(one, Schedule)]
    flood = frame(20, 3, b"vw\0001\0002") * (STALL_HELD // 12)
    got = [order for _ in range(3) for order in play.do("came", 0, flood)]
    assert got.count(Pause(0)) == 1
    play.now += 5
    got = [order for token in tokens for order in play.do("timer", token)]
    assert Resume(0) in got
    assert b"".join(order.data for order in got if isinstance(order, Write)) == PING + flood * 3


def test_a_gate_holds_one_direction_alone():
    play = Play(wants=lambda connection, direction, frame: frame.cmd == 6).relayed()
    write = frame(20, 3, b"vw\0001\0002")
    got = play.expect("came", 0, write + PING + write, orders=[Write(1, write), Copied, Pause(0), Ask])
    assert got[3].frame.wire == PING
    play.expect("came", 0, PING, orders=[Copied])
    play.expect("came", 1, OK, orders=[Write(0, OK), Copied])
    play.expect("ended", 0, orders=[Deadline])
    # It is passed: what waited behind it follows, up to the next that is held.
    play.expect("decided", 0, [faults.Pass()], orders=[Resume(0), Write(1, PING), Write(1, write), Pause(0), Ask])
    play.expect("decided", 0, [faults.Send(1, OK)], orders=[Resume(0), Write(0, OK), Finish(1)])


def test_a_gate_that_fails_lets_pass():
    def wants(connection, direction, frame):
        raise RuntimeError

    play = Play(wants=wants)
    play.do("came", 0, LOGIN)
    got = play.do("reached")
    assert Write(1, LOGIN) in got
    assert [one.kind for one in got if isinstance(one, Tell)] == ["proxy-rule-failed"]
    play = Play(wants=lambda *_: True)
    play.do("came", 0, LOGIN)
    play.do("reached")
    assert Write(1, LOGIN) in play.do("decided", 0, None)


UPGRADE = b"GET /websockets HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def message(payload, key=b"", opcode=2):
    from websockets.utils import apply_mask

    head = bytes([0x80 | opcode, (0x80 if key else 0) | len(payload)]) + key
    return head + (apply_mask(payload, key) if key else payload)


def test_frames_inside_websocket_messages():
    play = Play(rules=DROP)
    play.do("came", 0, UPGRADE)
    assert Write(1, UPGRADE) in play.do("reached")
    play.expect("came", 1, SWITCHED, orders=[Write(0, SWITCHED), Copied])
    login, key = message(LOGIN, b"abcd"), b"1234"
    play.expect("came", 0, login, orders=[Write(1, login), Copied])
    dropped = message(PING, key)
    play.expect("came", 0, dropped, orders=[Copied, Tell(0, 0, "proxy-rule", {})])
    control = message(b"", key, opcode=9)
    play.expect("came", 0, control, orders=[Write(1, control), Copied])
    # Of two frames in one message one is dropped: the other gets a message of its own.
    write = frame(20, 3, b"vw\0001\0002")
    got = play.do("came", 0, message(write + PING, key))
    data = next(one.data for one in got if isinstance(one, Write))
    assert data[:2] == bytes([0x82, 0x80 | len(write)])
    from websockets.utils import apply_mask

    assert apply_mask(data[6:], data[2:6]) == write
    answer = message(OK)
    play.expect("came", 1, answer, orders=[Write(0, answer), Copied])
    play.expect("inject", 1, write, orders=[Write(0, message(write))])


@given(
    st.lists(
        st.sampled_from([LOGIN, OK, PING, frame(20, 9, b"vw\0001\000" + b"7" * 300), b"\xee\xff", b"\x1d\0"]),
        max_size=12,
    ),
    st.lists(st.integers(0, 2000), max_size=30),
)
@settings(max_examples=200, deadline=None)
def test_rules_that_fit_nothing_change_nothing_however_it_is_cut(parts, places):
    data = LOGIN + b"".join(parts)
    play = Play(rules='[[rule]]\nmatch = "cmd == BRIDGE"\ndrop = true\n')
    orders = []
    for number, (begin, end) in enumerate(pairwise(sorted({0, *(place % len(data) for place in places), len(data)}))):
        orders += play.do("came", 0, data[begin:end])
        if not number:
            orders += play.do("reached")
    orders += play.do("ended", 0)
    assert b"".join(one.data for one in orders if isinstance(one, Write)) == data
    assert b"".join(one.data for one in orders if isinstance(one, Copied)) == data
