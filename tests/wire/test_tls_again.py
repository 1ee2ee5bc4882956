"""TLS sessions one behind the other, sessions that are only offered, keys that are damaged or come with the capture."""

import random

import pytest
import tlstalk
from test_tls_sessions import content, contents, facts, joined, read, recut
from tlstalk import TLS10, TLS11, TLS12, TLS13, Talk, talk

from blynkscope.wire.keylog import KeyLog
from blynkscope.wire.layers import Content, Hole
from blynkscope.wire.tls import ROUNDS_MAX, TlsSession

GCM, CBC = "ECDHE-RSA-AES128-GCM-SHA256", "AES128-SHA"
KINDS = [(TLS10, CBC), (TLS11, CBC), (TLS12, CBC), (TLS12, GCM), (TLS13, "TLS_AES_128_GCM_SHA256")]
kinds = pytest.mark.parametrize(("version", "cipher"), KINDS, ids=[f"{one:x}-{two}" for one, two in KINDS])


def states(pieces):
    return [detail["state"] for detail in facts(pieces, "tls-keys")]


def holes(pieces):
    return [piece.missing for _, piece in pieces if isinstance(piece, Hole)]


def test_a_session_that_is_only_offered_opens_nothing():
    spoken = Talk(TLS12, CBC, options=tlstalk.NO_TICKET).handshake().say(0, b"first").say(1, b"one")
    keys = KeyLog(spoken.keylog)
    session = spoken.session()
    assert states(read(spoken.end().events, keys)) == ["opened"]
    # Another server, which does not know the session.
    other = Talk(TLS12, CBC, options=tlstalk.NO_TICKET)
    other.begin(session)
    other.handshake().say(0, b"second").say(1, b"two").end()
    assert not other.resumed
    pieces = read(other.events, keys)
    assert facts(pieces, "tls-client-hello")[0]["resuming"] is True
    assert states(pieces) == ["unmatched"]
    assert contents(pieces) == (b"", b"")


# --- damaged lines ---


def damage(keylog, label):
    return b"\n".join(line[:-8] + b"00000000" if line.startswith(label) else line for line in keylog.splitlines())


@pytest.mark.parametrize("label", [b"SERVER_TRAFFIC_SECRET_0", b"CLIENT_TRAFFIC_SECRET_0"])
@pytest.mark.parametrize("count", [1, 20])
def test_a_damaged_line_of_one_phase(label, count):
    lines = [(number % 2, b"line %d" % number) for number in range(2 * count)]
    spoken = talk(TLS13, lines=lines)
    pieces = read(spoken.events, KeyLog(damage(spoken.keylog, label)))
    closed = int(label.startswith(b"SERVER"))
    assert states(pieces) == ["opened", "wrong"]
    assert facts(pieces, "tls-undecodable") == []
    assert content(pieces, closed) == b""
    assert content(pieces, 1 - closed) == spoken.sent(1 - closed)


def test_damage_behind_the_first_record_is_no_wrong_key():
    spoken = talk(TLS13, lines=[(0, b"line %d" % number) for number in range(30)])
    events = [(side, data[:-1] + bytes([data[-1] ^ 1]) if 8 < place < 25 else data) for place, (side, data) in enumerate(spoken.events)]  # fmt: skip
    pieces = read(events, KeyLog(spoken.keylog))
    assert "wrong" not in states(pieces)
    assert [detail.get("count") for detail in facts(pieces, "tls-undecodable")] == [None, 15]
    assert content(pieces, 0).endswith(b"line 29")


def test_a_damaged_line_of_a_renegotiation():
    spoken = Talk(TLS12, GCM, options=tlstalk.CLIENT_RENEGOTIATION).handshake().say(0, b"before").say(1, b"too")
    spoken.renegotiate(0)
    for number in range(8):
        spoken.say(0, b"behind %d" % number)
    first, second = [line for line in spoken.keylog.splitlines() if line.startswith(b"CLIENT_RANDOM")]
    pieces = read(spoken.events, KeyLog(first + b"\n" + second[:-8] + b"00000000"))
    assert contents(pieces) == (b"before", b"too")
    assert "wrong" in states(pieces)
    assert None in holes(pieces)


# --- one session behind the other ---


def both(version, cipher, *, close=(True, True), **options):
    """Two sessions in one connection: events, key log, what was said."""
    spoken = Talk(version, cipher, **options).handshake().say(0, b"first").say(1, b"one").end()
    events, said = list(spoken.events), [spoken.sent(0), spoken.sent(1)]
    first = spoken.keylog
    if not all(close):
        last = {side: place for place, (side, _) in enumerate(events)}
        events = [event for place, event in enumerate(events) if close[event[0]] or place != last[event[0]]]
    spoken.begin()
    spoken.handshake().say(0, b"second").say(1, b"two").say(0, b"third").end()
    events += spoken.events
    both.keylogs = (first, spoken.keylog[len(first) :])
    return events, spoken.keylog, (said[0] + spoken.sent(0), said[1] + spoken.sent(1))


@kinds
def test_two_sessions_in_one_connection(version, cipher):
    events, keylog, said = both(version, cipher)
    keys = KeyLog(keylog)
    pieces = read(events, keys)
    assert contents(pieces) == said
    assert states(pieces) == ["opened", "opened"]
    assert not facts(pieces, "tls-undecodable") + facts(pieces, "tls-lost") + holes(pieces)
    assert len(facts(pieces, "tls-client-hello")) == len(facts(pieces, "tls-server-hello")) == 2
    for seed in range(4):
        assert joined(read(recut(events, seed), keys)) == joined(pieces)
    # Where the places are those of the connection.
    last = [0, 0]
    for side, piece in pieces:
        if isinstance(piece, Content):
            assert piece.behind > last[side]
            last[side] = piece.behind
    assert all(place > sum(len(data) for side, data in events if side == 0) // 2 for place in last[:1])


@kinds
@pytest.mark.parametrize("first", [0, 1])
def test_two_sessions_where_one_direction_comes_behind_the_other(version, cipher, first):
    events, keylog, said = both(version, cipher)
    pieces = read(sorted(events, key=lambda event: event[0] != first), KeyLog(keylog))
    assert contents(pieces) == said
    assert not facts(pieces, "tls-undecodable") + facts(pieces, "tls-lost")


@kinds
def test_two_sessions_of_which_one_has_keys(version, cipher):
    events, _, _ = both(version, cipher)
    for number, expected in ((0, (b"first", b"one")), (1, (b"secondthird", b"two"))):
        pieces = read(events, KeyLog(both.keylogs[number]))
        assert contents(pieces) == expected
        assert sorted(states(pieces)) == ["opened", "unmatched"]
        assert not facts(pieces, "tls-undecodable") + facts(pieces, "tls-lost")


@kinds
def test_two_sessions_without_keys(version, cipher):
    events, _, _ = both(version, cipher)
    pieces = read(events, None)
    assert states(pieces) == ["none", "none"]
    assert len(facts(pieces, "tls-client-hello")) == len(facts(pieces, "tls-server-hello")) == 2
    assert not facts(pieces, "tls-lost") + facts(pieces, "tls-renegotiation")
    for seed in range(2):
        assert joined(read(recut(events, seed), None)) == joined(pieces)


@kinds
def test_a_server_that_does_not_say_goodbye(version, cipher):
    events, keylog, said = both(version, cipher, close=(True, False))
    pieces = read(events, KeyLog(keylog))
    assert contents(pieces) == said
    assert not facts(pieces, "tls-undecodable") + facts(pieces, "tls-lost")


@kinds
def test_two_sessions_whose_keys_come_later(version, cipher):
    events, keylog, said = both(version, cipher)
    parts = []
    keys = KeyLog(more=lambda: parts.pop() if parts else b"", clock=lambda: 0.0)
    session, pieces = TlsSession(keys), []
    for direction, data in events:
        pieces += session.feed(direction, data, 1.0)
    parts.append(keylog)
    for direction in (0, 1):
        pieces += session.finish(direction, 2.0)
    assert contents(pieces) == said
    assert keys.budget.held == 0


def test_another_version_behind():
    one, other = talk(TLS12, GCM), talk(TLS13)
    session = TlsSession(KeyLog(one.keylog + other.keylog))
    pieces = read(one.events + other.events, None, session)
    assert contents(pieces) == (one.sent(0) + other.sent(0), one.sent(1) + other.sent(1))
    assert session.layer == "tls1.3"


def test_a_gap_behind_the_second_hello():
    events, keylog, _ = both(TLS12, GCM)
    pieces = read([*events[:-4], (0, None), *events[-3:]], KeyLog(keylog))
    assert content(pieces, 0) == b"firstsecond" or content(pieces, 0).startswith(b"firstsecond")
    assert holes(pieces)


@pytest.mark.timeout(60)
def test_sessions_without_end():
    events, said = [], [b"", b""]
    spoken = Talk(TLS12, GCM)
    for number in range(30):
        spoken.begin()
        spoken.handshake().say(0, b"%d," % number).say(1, b"%d;" % number).end()
        events += spoken.events
        said = [said[side] + spoken.sent(side) for side in (0, 1)]
    keys = KeyLog(spoken.keylog)
    session = TlsSession(keys)
    pieces = read(events, keys, session)
    assert list(contents(pieces)) == said
    assert len(session._rounds) == 1
    session = TlsSession(None)
    client = b"".join(data for side, data in events if side == 0)
    pieces = session.feed(0, client * 20, 1.0) + session.finish(0, 1.0) + session.finish(1, 1.0)
    assert len(session._rounds) <= ROUNDS_MAX
    assert len(facts(pieces, "tls-lost")) == 1
    assert session._budget.held == 0
    # Both at once, all that waited in one turn.
    parts = []
    session = TlsSession(KeyLog(more=lambda: parts.pop() if parts else b"", clock=lambda: 0.0))
    pieces = []
    for direction, data in events:
        pieces += session.feed(direction, data, 1.0)
    parts.append(spoken.keylog)
    pieces += session.finish(0, 1.0) + session.finish(1, 1.0)
    assert list(contents(pieces)) == said


# --- secrets in the capture ---


def with_secrets(events, keylog, place, keys):
    session, pieces = TlsSession(keys), []
    for number, (direction, data) in enumerate(events):
        if number == place:
            keys.add(keylog)
        pieces += session.feed(direction, data, float(number))
    for direction in (0, 1):
        pieces += session.finish(direction, 99.0)
    return pieces


def talked(version, cipher, pairs=6):
    spoken = Talk(version, cipher).handshake()
    spoken.places = len(spoken.events)
    for number in range(pairs):
        spoken.say(0, b"client %d." % number).say(1, b"server %d." % number)
    return spoken.end()


@kinds
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("other", [b"", b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"])
def test_secrets_before_the_first_data(version, cipher, given, other):
    spoken = talked(version, cipher)
    for place in range(spoken.places + 1):
        pieces = with_secrets(spoken.events, spoken.keylog, place, KeyLog(other, given=given))
        assert contents(pieces) == (spoken.sent(0), spoken.sent(1)), place
        # In TLS 1.3 Finished and tickets look like application data.
        tickets = version == TLS13 and place >= spoken.places - 1
        assert states(pieces)[-1] == "opened"
        assert len(states(pieces)) == 1 or tickets
        assert tickets or not holes(pieces)
        assert not facts(pieces, "tls-undecodable") + facts(pieces, "tls-lost")


@kinds
def test_secrets_in_the_middle(version, cipher):
    spoken = talked(version, cipher)
    for place in range(spoken.places + 1, len(spoken.events) - 2):
        pieces = with_secrets(spoken.events, spoken.keylog, place, KeyLog(given=False))
        assert states(pieces)[0] == "none"
        for direction in (0, 1):
            got = content(pieces, direction)
            assert spoken.sent(direction).endswith(got)
        assert not facts(pieces, "tls-undecodable") + facts(pieces, "tls-lost")
        if place < len(spoken.events) - 6:
            assert "opened" in states(pieces)
            assert content(pieces, 0)
            assert content(pieces, 1)
            assert None in holes(pieces)


@pytest.mark.parametrize(("version", "cipher"), [(TLS12, GCM), (TLS13, None)])
def test_secrets_long_after(version, cipher):
    spoken = talked(version, cipher, pairs=700)
    pieces = with_secrets(spoken.events, spoken.keylog, len(spoken.events) - 40, KeyLog(given=False))
    assert spoken.sent(0).endswith(content(pieces, 0))
    assert len(content(pieces, 0)) > 150
    assert len(content(pieces, 1)) > 150


def test_secrets_of_others_are_told_once():
    spoken = talked(TLS12, GCM)
    keys = KeyLog(given=False)
    session, pieces = TlsSession(keys), []
    chance = random.Random(3)
    for direction, data in spoken.events:
        keys.add(b"CLIENT_RANDOM " + chance.randbytes(32).hex().encode() + b" " + b"ab" * 48 + b"\n")
        pieces += session.feed(direction, data, 1.0)
    for direction in (0, 1):
        pieces += session.finish(direction, 1.0)
    assert states(pieces) == ["unmatched"]


@kinds
def test_none(version, cipher):
    spoken = talked(version, cipher)
    for keys, expected in (
        (None, {"state": "none"}),
        (KeyLog(given=False), {"state": "none"}),
        (KeyLog(b"# empty\n"), {"state": "none", "given": True}),
        (KeyLog(more=lambda: b""), {"state": "none", "given": True}),
    ):
        pieces = read(spoken.events, keys)
        assert facts(pieces, "tls-keys") == [expected]
    late = read(spoken.events[spoken.places :], KeyLog(given=False))
    assert facts(late, "tls-keys") == [{"state": "none"}]
