"""What TLS connections keep together, and how often a growing key log is looked at."""

import tlstalk
from test_tls_sessions import contents, facts, read
from tlstalk import TLS12, TLS13, Talk, talk

from blynkscope.protocol import limits
from blynkscope.wire.keylog import KeyLog
from blynkscope.wire.tls import TlsSession
from blynkscope.wire.tls_budget import Budget
from blynkscope.wire.tls_messages import HANDSHAKE_MAX, Messages

GCM = "ECDHE-RSA-AES128-GCM-SHA256"


def record(content, kind=22):
    return bytes([kind, 3, 3]) + len(content).to_bytes(2, "big") + content


def message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def cut_message(kind, size):
    """A handshake message that lacks its end, in records."""
    whole = message(kind, bytes(size))[:-1]
    return b"".join(record(whole[at : at + 16384]) for at in range(0, len(whole), 16384))


def test_many_connections_with_messages_that_are_not_whole(monkeypatch):
    monkeypatch.setattr(limits, "TOTAL_BUFFER_MAX", 1_000_000)
    budget = Budget()
    sessions = [TlsSession(None, budget) for _ in range(200)]
    for session in sessions:
        session.feed(1, cut_message(11, HANDSHAKE_MAX - 100), 1.0)
        session.feed(0, cut_message(1, HANDSHAKE_MAX - 100) + b"\x16\3\3\x40\0" + bytes(0x3FF0), 1.0)
    assert 900_000 < budget.held < 1_100_000 + 200 * limits.HEAVY_BUFFER
    kept = sum(side._messages.held + len(side._content) for session in sessions for side in session._sides)
    assert kept <= budget.held
    for session in sessions:
        session.finish(0, 2.0)
        session.finish(1, 2.0)
    assert budget.held == 0


def test_messages_that_nobody_reads_are_not_kept():
    budget = Budget()
    session = TlsSession(None, budget)
    for kind in (12, 13, 14, 15, 20, 22):
        session.feed(0, cut_message(kind, 20_000), 1.0)
        assert budget.held == 0
        session.feed(0, record(b"\0"), 1.0)
    session.feed(1, cut_message(11, HANDSHAKE_MAX + 1), 1.0)
    assert budget.held == 0


def test_a_certificate_beyond_all_measure_is_one_all_the_same():
    spoken = talk(TLS12, GCM, lines=[(0, b"a"), (1, b"b")])
    hello = spoken.events[0]
    server = b"".join(data for side, data in spoken.events if side == 1)
    size = 5 + int.from_bytes(server[3:5], "big")
    whole = message(11, bytes(HANDSHAKE_MAX + 1))
    chain = b"".join(record(whole[at : at + 16384]) for at in range(0, len(whole), 16384))
    pieces = read([hello, (1, server[:size] + chain + record(b"\1", 20))], None)
    assert facts(pieces, "tls-change-cipher") == [{"resumed": False}]
    assert facts(pieces, "tls-resumed") == []


def test_messages_are_the_same_whatever_the_cuts():
    data = message(11, b"a" * 300) + message(12, b"b" * 300) + message(2, b"c" * 50) + message(14, b"")
    for every in (False, True):
        bodies = [(11, b"a" * 300), (12, b"b" * 300 if every else b""), (2, b"c" * 50), (14, b"")]
        for step in (1, 3, 4, 5, 100, 299, 304, 1000):
            messages = Messages()
            messages.every = every
            found = [one for at in range(0, len(data), step) for one in messages.feed(data[at : at + step])]
            if step < 300 or step == 1000:
                assert [kind for kind, _ in found] == [11, 12, 2, 14]
            assert [one for one in found if one[0] != 12] == [one for one in bodies if one[0] != 12]
            assert not messages
            assert messages.held == 0


def test_connections_in_order_leave_nothing_behind():
    for version in (TLS12, TLS13):
        spoken = talk(version)
        for keys in (None, KeyLog(spoken.keylog), KeyLog(more=lambda: b""), KeyLog(given=False)):
            budget = Budget()
            read(spoken.events, keys, TlsSession(keys, budget))
            assert budget.held == 0
    keys = KeyLog(spoken.keylog)
    assert TlsSession(keys)._budget is keys.budget


def test_a_sealed_stream_does_not_look_all_the_time():
    """One record each, none of which has keys: the file is opened now and then, and nothing is tried in vain."""
    spoken = Talk(TLS12, GCM).handshake()
    for number in range(300):
        spoken.say(0, b"%d" % number)
    looks, now = [], [0.0]
    session = TlsSession(KeyLog(more=lambda: looks.append(1) or b"", clock=lambda: now[0]))
    tried = []
    resume = session.side(0).resume
    session.side(0).resume = lambda: tried.append(1) or resume()
    for direction, data in spoken.events:
        now[0] += 0.001
        session.feed(direction, data, now[0])
    assert len(looks) <= 5
    assert len(tried) <= 5


def test_what_waits_goes_on_when_a_key_comes():
    now, parts = [0.0], []
    keys = KeyLog(more=lambda: parts.pop(0) if parts else b"", clock=lambda: now[0])
    spoken = Talk(TLS12, GCM, options=tlstalk.NO_TICKET).handshake().say(0, b"one").say(1, b"two").say(0, b"three")
    session, pieces = TlsSession(keys), []
    for direction, data in spoken.events:
        pieces += session.feed(direction, data, 1.0)
    assert contents(pieces) == (b"", b"")
    parts.append(spoken.keylog)
    pieces += session.feed(0, b"", 1.0)
    assert contents(pieces) == (b"", b"")
    now[0] += 0.2
    pieces += session.feed(0, b"", 1.0)
    assert contents(pieces) == (b"onethree", b"two")
    # The end of a connection looks at once.
    session, pieces, parts[:] = (
        TlsSession(KeyLog(more=lambda: parts.pop(0) if parts else b"", clock=lambda: 0.0)),
        [],
        [],
    )
    for direction, data in spoken.events:
        pieces += session.feed(direction, data, 1.0)
    parts.append(spoken.keylog)
    pieces += session.finish(0, 2.0)
    pieces += session.finish(1, 2.0)
    assert contents(pieces) == (b"onethree", b"two")
