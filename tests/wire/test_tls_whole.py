"""The fast lane for a segment that is one record: it says what the general way says, or nothing, and then it did nothing.

Two readers get the same segments. One goes the general way alone; the other asks the fast lane first.
"""

import random

import pytest
from tlstalk import TLS10, TLS11, TLS12, TLS13, Talk, talk

from blynkscope.wire.keylog import KeyLog
from blynkscope.wire.layers import Content
from blynkscope.wire.tls import TlsSession

LINES = [(n % 2, b"vw\0%d\0%d" % (n % 5, n)) for n in range(12)]
SUITES = [
    (TLS13, "TLS_AES_128_GCM_SHA256"),
    (TLS13, "TLS_CHACHA20_POLY1305_SHA256"),
    (TLS12, "ECDHE-RSA-AES128-GCM-SHA256"),
    (TLS12, "ECDHE-RSA-CHACHA20-POLY1305"),
    (TLS12, "ECDHE-RSA-AES128-SHA256"),
    (TLS11, "AES128-SHA"),
    (TLS10, "AES128-SHA"),
]


def both_ways(events, keys):
    """The pieces of the general way and of the one with the fast lane, and how often that was taken."""
    general, mixed = TlsSession(KeyLog(keys)), TlsSession(KeyLog(keys))
    told, fast, taken = [], [], 0
    for time, (direction, data) in enumerate(events):
        if not isinstance(data, bytes):
            told += general.gap(direction, data, float(time))
            fast += mixed.gap(direction, data, float(time))
            continue
        told += general.feed(direction, data, float(time))
        side = mixed.side(direction)
        plain = side.whole(data)
        if plain is None:
            fast += mixed.feed(direction, data, float(time))
        else:
            taken += 1
            fast.append((direction, Content(plain, float(time), side.at)))
    for direction in (0, 1):
        told += general.finish(direction, 99.0)
        fast += mixed.finish(direction, 99.0)
    return told, fast, taken


@pytest.mark.parametrize(("version", "cipher"), SUITES, ids=[name for _, name in SUITES])
def test_the_fast_lane_says_the_same(version, cipher):
    spoken = talk(version, cipher, lines=LINES)
    told, fast, taken = both_ways(spoken.events, spoken.keylog)
    assert fast == told
    # All but the first record of each direction; TLS 1.0 chains them, and goes the general way.
    assert taken == (0 if version == TLS10 else len(LINES) - 2)


@pytest.mark.parametrize(("version", "cipher"), SUITES[:5], ids=[name for _, name in SUITES[:5]])
def test_in_trouble_too(version, cipher):
    spoken = talk(version, cipher, lines=LINES)
    for seed in range(60):
        chance = random.Random(seed)
        events = list(spoken.events)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(events))
            direction, data = events[at]
            if not isinstance(data, bytes) or len(data) < 2:
                continue
            place = chance.randrange(len(data))
            kind = chance.randrange(5)
            if kind == 0:
                changed = data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
                events[at] = (direction, changed)
            elif kind == 1:
                events[at] = (direction, len(data))
            elif kind == 2:
                events[at : at + 1] = [(direction, data[:place]), (direction, data[place:])]
            elif kind == 3:
                events[at : at + 1] = [(direction, data), (direction, data)]
            else:
                events[at] = (direction, b"")
        told, fast, _ = both_ways(events, spoken.keylog)
        assert fast == told, seed


@pytest.mark.parametrize("direction", [0, 1])
def test_a_change_of_keys_goes_the_general_way(direction):
    spoken = Talk(TLS13, "TLS_AES_128_GCM_SHA256").handshake()
    for place, (side, data) in enumerate(LINES):
        if place == 4:
            spoken.update(direction)
        spoken.say(side, data)
    spoken.end()
    told, fast, taken = both_ways(spoken.events, spoken.keylog)
    assert fast == told
    assert taken >= len(LINES) - 4


@pytest.mark.parametrize("lines", [b"", b"CLIENT_RANDOM " + b"00" * 32 + b" " + b"00" * 48 + b"\n"])
def test_without_keys_it_is_never_taken(lines):
    spoken = talk(TLS13, "TLS_AES_128_GCM_SHA256", lines=LINES)
    told, fast, taken = both_ways(spoken.events, lines)
    assert fast == told
    assert not taken
