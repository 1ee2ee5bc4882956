"""TLS that cannot be opened, or not all of it: keys that are missing, records that are damaged or lost."""

import random
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tls_sessions import content, contents, facts, joined, read, recut
from tlstalk import TLS10, TLS11, TLS12, TLS13, talk

from blynkscope.protocol import limits
from blynkscope.wire.keylog import KeyLog
from blynkscope.wire.layers import Content, Hole
from blynkscope.wire.tls import TlsSession

GCM, CHACHA, CBC = "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305", "AES128-SHA"
KINDS = [(TLS10, CBC), (TLS11, CBC), (TLS12, CBC), (TLS12, GCM), (TLS12, CHACHA), (TLS12, "ECDHE-RSA-NULL-SHA"),
         (TLS13, "TLS_AES_128_GCM_SHA256"), (TLS13, "TLS_CHACHA20_POLY1305_SHA256")]  # fmt: skip
kinds = pytest.mark.parametrize(
    ("version", "cipher"), KINDS, ids=[f"{version:x}-{cipher}" for version, cipher in KINDS]
)
LINES = [(0, b"client %d " % number * (number + 1)) for number in range(12)] + [
    (1, b"server %d" % number) for number in range(4)
]


def spoken(version=TLS12, cipher=None, **options):
    return talk(version, cipher, lines=options.pop("lines", LINES), **options)


def holes(pieces, direction=None):
    return [piece.missing for side, piece in pieces if isinstance(piece, Hole) and direction in {None, side}]


def states(pieces):
    return [detail["state"] for detail in facts(pieces, "tls-keys")]


def data_of(talk, direction):
    return b"".join(data for side, data in talk.events if side == direction)


def records(data):
    """The places of the records: `(begin, end)`."""
    at, found = 0, []
    while at < len(data):
        end = at + 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        found.append((at, end))
        at = end
    return found


def in_order(parts, talk, direction):
    """Are the contents pieces of what was sent, in order?"""
    whole, at = talk.sent(direction), 0
    for part in parts:
        at = whole.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


# --- keys that are missing ----------------------------------------------------------------------------------------------


@kinds
def test_no_key_log(version, cipher):
    pieces = read(spoken(version, cipher).events, None)
    assert facts(pieces, "tls-keys") == [{"state": "none"}]
    assert contents(pieces) == (b"", b"")


@kinds
def test_unmatched(version, cipher):
    talk, other = spoken(version, cipher), spoken(version, cipher)
    pieces = read(talk.events, KeyLog(other.keylog))
    lines = KeyLog(other.keylog).lines
    assert facts(pieces, "tls-keys") == [{"state": "unmatched", "lines": lines, "server_random": False}]
    assert contents(pieces) == (b"", b"")
    assert not holes(pieces)
    pieces = read(talk.events, KeyLog(b"\xd4\xc3\xb2\xa1" * 20))
    assert facts(pieces, "tls-keys") == [{"state": "none", "given": True}]
    # Without application data nothing is said.
    begun = list(talk.events[:2])
    assert facts(read(begun, KeyLog(other.keylog)), "tls-keys") == []


def test_the_random_of_the_server():
    talk = spoken(TLS12, GCM)
    server = data_of(talk, 1)[11:43]
    keys = KeyLog(b"CLIENT_RANDOM " + server.hex().encode() + b" " + bytes(48).hex().encode())
    assert facts(read(talk.events, keys), "tls-keys") == [{"state": "unmatched", "lines": 1, "server_random": True}]


@kinds
def test_wrong_keys(version, cipher):
    talk, other = spoken(version, cipher), spoken(version, cipher)
    wrong = other.keylog.replace(randoms_of(other), randoms_of(talk))
    if cipher == CBC:
        wrong = b"\n".join(line for line in wrong.splitlines() if line.startswith(b"CLIENT_RANDOM"))
    pieces = read(talk.events, KeyLog(wrong))
    assert facts(pieces, "tls-keys") == [{"state": "wrong", "cipher": talk.cipher}]
    assert contents(pieces) == (b"", b"")
    assert not facts(pieces, "tls-undecodable")
    assert not holes(pieces)
    short = spoken(version, cipher, lines=[(0, b"x")])
    wrong = other.keylog.replace(randoms_of(other), randoms_of(short))
    if cipher == CBC:
        wrong = b"\n".join(line for line in wrong.splitlines() if line.startswith(b"CLIENT_RANDOM"))
    assert states(read(short.events, KeyLog(wrong))) == ["wrong"]


def randoms_of(talk):
    return next(
        line.split()[1] for line in talk.keylog.splitlines() if line.startswith((b"CLIENT_RANDOM", b"SERVER_HAND"))
    )


def without(talk, *labels):
    return KeyLog(b"\n".join(line for line in talk.keylog.splitlines() if not line.startswith(labels)))


def test_partial_key_logs_of_tls_1_3():
    talk = spoken(TLS13)
    pieces = read(talk.events, without(talk, b"CLIENT_TRAFFIC"))
    assert contents(pieces) == (b"", talk.sent(1))
    assert {"state": "partial", "missing": ["CLIENT_TRAFFIC_SECRET_0"]} in facts(pieces, "tls-keys")
    assert "opened" in states(pieces)
    pieces = read(talk.events, without(talk, b"CLIENT_"))
    assert {"state": "partial", "missing": ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"]} in facts(
        pieces, "tls-keys"
    )
    pieces = read(talk.events, without(talk, b"CLIENT_HAND", b"SERVER_HAND"))
    assert contents(pieces) == (talk.sent(0), talk.sent(1))
    assert states(pieces) == ["opened"]
    assert not holes(pieces)
    pieces = read(talk.events, without(talk, b"CLIENT_TRAFF", b"SERVER_TRAFF"))
    assert sorted(map(str, facts(pieces, "tls-keys"))) == [
        "{'state': 'partial', 'missing': ['CLIENT_TRAFFIC_SECRET_0']}",
        "{'state': 'partial', 'missing': ['SERVER_TRAFFIC_SECRET_0']}",
    ]
    pieces = read(talk.events, without(talk, b"CLIENT_", b"SERVER_"))
    assert set(states(pieces)) == {"partial"}
    old = spoken(TLS12, GCM)
    keys = KeyLog(b"EXPORTER_SECRET " + randoms_of(old) + b" " + b"ab" * 32)
    assert facts(read(old.events, keys), "tls-keys") == [{"state": "partial", "missing": ["CLIENT_RANDOM"]}]


@kinds
def test_a_capture_that_begins_later(version, cipher):
    talk = spoken(version, cipher)
    late = talk.events[6:]
    assert facts(read(late, KeyLog(talk.keylog)), "tls-keys") == [{"state": "late"}]
    assert contents(read(late, KeyLog(talk.keylog))) == (b"", b"")
    assert facts(read(late, None), "tls-keys") == [{"state": "none"}]


@kinds
@pytest.mark.parametrize("direction", [0, 1])
def test_one_direction_alone(version, cipher, direction):
    talk = spoken(version, cipher)
    pieces = read([event for event in talk.events if event[0] == direction], KeyLog(talk.keylog))
    assert facts(pieces, "tls-keys") == [{"state": "late"}]
    assert not facts(pieces, "tls-lost")


@kinds
def test_one_direction_behind_the_other(version, cipher):
    talk = spoken(version, cipher)
    for first in (0, 1):
        pieces = read(sorted(talk.events, key=lambda event: event[0] != first), KeyLog(talk.keylog))
        assert contents(pieces) == (talk.sent(0), talk.sent(1))
        assert states(pieces) == ["opened"]


# --- keys that come later -----------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("when", [2, 5, 9, 14])
def test_keys_that_come_later(version, cipher, when):
    talk = spoken(version, cipher)
    calls = []

    def more():
        calls.append(None)
        return talk.keylog if session_events[0] >= when and not told and not told.append(1) else b""

    told, session_events = [], [0]
    session, pieces = TlsSession(KeyLog(more=more, clock=count().__next__)), []
    for direction, data in talk.events:
        session_events[0] += 1
        pieces += session.feed(direction, data, float(session_events[0]))
        assert session_events[0] >= when or not any(isinstance(piece, Content) for _, piece in pieces)
    for direction in (0, 1):
        pieces += session.finish(direction, 99.0)
    assert contents(pieces) == (talk.sent(0), talk.sent(1))
    assert states(pieces) == ["opened"]
    assert not holes(pieces)


@pytest.mark.parametrize(("version", "cipher"), [(TLS12, GCM), (TLS13, None)])
def test_what_waits_is_bounded(version, cipher):
    lines = [(number % 2, bytes([number]) * 16000) for number in range(80)]
    talk = spoken(version, cipher, lines=lines)
    keylog = []
    session, pieces = TlsSession(KeyLog(more=lambda: keylog.pop() if keylog else b"", clock=count().__next__)), []
    for place, (direction, data) in enumerate(talk.events):
        if place == len(talk.events) - 6:
            keylog.append(talk.keylog)
        pieces += session.feed(direction, data, 1.0)
        assert all(side._held_size <= limits.TLS_HELD_MAX for side in session._sides)
    for direction in (0, 1):
        pieces += session.finish(direction, 1.0)
    assert states(pieces) == ["none", "opened"]
    for direction in (0, 1):
        parts = [piece.data for side, piece in pieces if side == direction and isinstance(piece, Content)]
        assert in_order(parts, talk, direction)
        assert sum(map(len, parts)) > 200_000
        assert holes(pieces, direction) == [None]


def test_all_that_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "TOTAL_BUFFER_MAX", 400_000)
    talk = spoken(TLS12, GCM, lines=[(0, bytes(16000))] * 20)
    keys = KeyLog(more=lambda: b"")
    sessions = [TlsSession(keys) for _ in range(12)]
    for direction, data in talk.events:
        for session in sessions:
            session.feed(direction, data, 1.0)
            held = sum(side._held_size for one in sessions for side in one._sides)
            assert held <= keys.budget.held <= held + 12 * 3000  # and the handshake
    assert 200_000 < keys.budget.held < 400_000 + 12 * 2 * limits.HEAVY_BUFFER + 60_000
    for session in sessions:
        pieces = session.finish(0, 2.0) + session.finish(1, 2.0)
        assert all(piece.time is not None for _, piece in pieces)
    assert keys.budget.held == 0


def test_a_growing_log_in_which_nothing_comes():
    talk = spoken(TLS12, GCM)
    pieces = read(talk.events, KeyLog(more=lambda: b""))
    assert facts(pieces, "tls-keys") == [{"state": "none", "given": True}]
    assert joined(pieces)[0][-1][0] == "tls-alert"


# --- damage -------------------------------------------------------------------------------------------------------------


@kinds
def test_a_flipped_bit_is_one_record(version, cipher):
    talk = spoken(version, cipher)
    keys = KeyLog(talk.keylog)
    data, server = data_of(talk, 0), data_of(talk, 1)
    places = records(data)
    for begin, end in places[-8:-4]:
        damaged = bytearray(data)
        damaged[end - 1] ^= 1
        session = TlsSession(keys)
        pieces = []
        for direction, part in ((0, data[:200]), (1, server), (0, bytes(damaged[200:]))):
            pieces += session.feed(direction, part, 1.0)
        for direction in (0, 1):
            pieces += session.finish(direction, 1.0)
        (told,) = facts(pieces, "tls-undecodable")
        assert (told["reason"], told["offset"], told["size"]) == ("bad MAC", begin, end - begin - 5)
        parts = [piece.data for side, piece in pieces if side == 0 and isinstance(piece, Content)]
        assert in_order(parts, talk, 0)
        assert len(holes(pieces)) == 1
        lost = len(talk.sent(0)) - len(b"".join(parts))
        # TLS 1.0 sends an empty record in front of each one.
        assert lost > 0 or version == TLS10
        assert holes(pieces)[0] in {None, lost}
        assert not facts(pieces, "tls-lost")


@kinds
def test_many_damaged_records_are_told_in_two_facts(version, cipher):
    talk = spoken(version, cipher, lines=[(0, b"line %d" % number) for number in range(60)])
    data, server = data_of(talk, 0), data_of(talk, 1)
    damaged = bytearray(data)
    hit = records(data)[-40:-10]
    for _, end in hit:
        damaged[end - 1] ^= 0x40
    pieces = read([(0, data[:200]), (1, server), (0, bytes(damaged[200:]))], KeyLog(talk.keylog))
    told = facts(pieces, "tls-undecodable")
    assert len(told) == 2
    assert told[1]["count"] == len(hit) - 1
    assert content(pieces, 0).endswith(b"line 59")


def gap_in(data, server, begin, size):
    return [(0, data[:begin]), (1, server), (0, size), (0, data[begin + size :])]


@kinds
@pytest.mark.parametrize("exact", [True, False])
def test_gaps(version, cipher, exact):
    talk = spoken(version, cipher)
    keys = KeyLog(talk.keylog)
    data, server = data_of(talk, 0), data_of(talk, 1)
    places = records(data)
    first = places[-14][0]
    chance = random.Random(1)
    for _ in range(60):
        begin = chance.randrange(first, places[-5][0])
        size = chance.choice([1, 3, 20, 100, 300])
        size = min(size, places[-4][0] - begin)
        events = gap_in(data, server, begin, size)
        if not exact:
            events[2] = (0, None)
        pieces = read(events, keys)
        parts = [piece.data for side, piece in pieces if side == 0 and isinstance(piece, Content)]
        assert in_order(parts, talk, 0), (begin, size)
        assert not facts(pieces, "tls-lost"), (begin, size)
        assert parts[-1].endswith(LINES[11][1][-10:]), (begin, size)
        assert content(pieces, 1) == talk.sent(1)
        # What is said to be missing, is.
        lost = len(talk.sent(0)) - len(b"".join(parts))
        known = [missing for missing in holes(pieces) if missing is not None]
        assert sum(known) <= lost
        assert holes(pieces) or not lost
        assert joined(read(recut(events, begin), keys)) == joined(pieces)
        if exact:
            last = [piece.behind for side, piece in pieces if side == 0 and isinstance(piece, Content)][-1]
            assert last in {end for _, end in places}


@kinds
def test_a_gap_in_the_handshake(version, cipher):
    talk = spoken(version, cipher)
    keys = KeyLog(talk.keylog)
    client, server = data_of(talk, 0), data_of(talk, 1)
    places = records(server)
    hello_end = places[0][1]
    for begin, size in (
        (hello_end + 7, 100),
        (hello_end, places[-6][0] - hello_end),
        (hello_end + 20, places[-5][0] - hello_end),
    ):
        pieces = read(
            [
                (0, client[: records(client)[0][1]]),
                (1, server[:begin]),
                (1, size),
                (1, server[begin + size :]),
                (0, client[records(client)[0][1] :]),
            ],
            keys,
        )
        assert content(pieces, 0) == talk.sent(0)
        assert talk.sent(1).endswith(content(pieces, 1))
        assert content(pieces, 1).endswith(b"server 3")


@kinds
def test_a_header_that_is_damaged(version, cipher):
    talk = spoken(version, cipher)
    keys = KeyLog(talk.keylog)
    data, server = data_of(talk, 0), data_of(talk, 1)
    for begin, _ in records(data)[-9:-5]:
        for place, bit in ((0, 1), (0, 64), (1, 8), (2, 1), (3, 1), (3, 128), (4, 1), (4, 4)):
            damaged = bytearray(data)
            damaged[begin + place] ^= bit
            pieces = read([(0, data[:200]), (1, server), (0, bytes(damaged[200:]))], keys)
            parts = [piece.data for side, piece in pieces if side == 0 and isinstance(piece, Content)]
            assert in_order(parts, talk, 0)
            assert holes(pieces)
            assert len(parts) >= 4


# --- anything -----------------------------------------------------------------------------------------------------------

_RECORDED = {}


def recorded(place):
    if place not in _RECORDED:
        version, cipher = KINDS[place]
        _RECORDED[place] = spoken(version, cipher)
    return _RECORDED[place]


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_mutated_records_never_give_other_content(data):
    place = data.draw(st.integers(0, len(KINDS) - 1))
    talk = recorded(place)
    events = []
    for direction, part in talk.events:
        mutated = bytearray(part)
        for _ in range(data.draw(st.sampled_from([0, 0, 0, 0, 0, 1, 2]))):
            at = data.draw(st.integers(0, len(mutated) - 1))
            how = data.draw(st.integers(0, 5))
            if how < 3:
                mutated[at] ^= 1 << data.draw(st.integers(0, 7))
            elif how == 3:
                del mutated[at : at + data.draw(st.integers(1, 40))]
            elif how == 4:
                mutated[at:at] = data.draw(st.binary(max_size=30))
            else:
                events.append((direction, bytes(mutated[:at])))
                missing = data.draw(st.integers(1, 200))
                events.append((direction, data.draw(st.sampled_from([missing, None]))))
                mutated = mutated[at + missing :]
            if not mutated:
                break
        events.append((direction, bytes(mutated)))
    keys = KeyLog(talk.keylog)
    pieces = read(events, keys)
    # An unencrypted suite proves its records by the MAC all the same.
    for direction in (0, 1):
        parts = [piece.data for side, piece in pieces if side == direction and isinstance(piece, Content)]
        assert in_order(parts, talk, direction)
    assert len(pieces) < 200
    assert joined(read(recut(events, place), keys)) == joined(pieces)
    read(events, None)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 1), st.one_of(st.binary(max_size=60), st.integers(0, 300), st.none(), st.builds(
    lambda kind, minor, body: bytes([kind, 3, minor]) + len(body).to_bytes(2, "big") + body, st.integers(20, 24), st.integers(1, 3), st.binary(max_size=50)))), max_size=12),
    st.integers(0, len(KINDS) - 1), st.integers(0, 8))  # fmt: skip
def test_anything_never_raises(tail, place, begun):
    talk = recorded(place)
    for keys in (KeyLog(talk.keylog), None, KeyLog(more=lambda: b"")):
        pieces = read(talk.events[:begun] + tail, keys)
        for direction in (0, 1):
            assert talk.sent(direction).startswith(content(pieces, direction))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("version", "cipher"), [(TLS12, GCM), (TLS12, CBC), (TLS13, None)])
def test_hostile_input_ends(version, cipher):
    talk = spoken(version, cipher)
    keys = KeyLog(talk.keylog)
    fake = b"\x17\3\3\0\x30" * 200_000
    read([*talk.events[:-2], (0, None), (0, fake)], keys)
    read([*talk.events[:-2], (0, b"\x17\3\3\0\x30" + bytes(48)), (0, (b"\x17\3\3\0\x30" + bytes(48)) * 10_000)], keys)


def test_the_time_and_the_place_of_content():
    talk = spoken(TLS12, GCM)
    pieces = read(talk.events, KeyLog(talk.keylog))
    totals, behind = [0, 0], [[], []]
    for direction, data in talk.events:
        totals[direction] += len(data)
    for direction, piece in pieces:
        if isinstance(piece, Content):
            behind[direction].append(piece.behind)
    for direction in (0, 1):
        ends = [end for _, end in records(data_of(talk, direction))]
        assert behind[direction] == ends[-1 - len(behind[direction]) : -1]


def test_layers():
    names = {
        TLS10: "tls1.0",
        TLS11: "tls1.1",
        TLS12: "tls1.2",
        TLS13: "tls1.3",
    }
    for version, expected in names.items():
        session = TlsSession(None)
        assert session.layer == "tls"
        read(spoken(version).events, None, session)
        assert session.layer == expected
