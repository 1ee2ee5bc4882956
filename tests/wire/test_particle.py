"""The Particle handshake by its byte counts."""

import pytest
from captures_of import CAPTURES
from hypothesis import given
from hypothesis import strategies as st
from readers import cut, facts_of, facts_of_capture, told

from blynkscope.wire.particle import KEY_SIZE, NONCE_SIZE, SESSION_SIZE, ParticleReader

MADE = CAPTURES / "made"


def server(*pieces):
    return told(facts_of(ParticleReader(False), *pieces))


def device(*pieces):
    return told(facts_of(ParticleReader(True), *pieces))


def whole(size):
    return {"bytes": size, "need": size, "complete": True}


def test_a_whole_handshake():
    assert server(bytes(40), bytes(384), b"more", b"and more") == [
        ("particle-nonce", whole(40)), ("particle-session", whole(384)), ("particle-data", {}),
    ]  # fmt: skip
    assert device(bytes(256), b"more") == [("particle-key", whole(256)), ("particle-data", {})]


def test_steps_are_told_when_they_are_complete():
    reader = ParticleReader(False)
    assert reader.feed(bytes(39), 1.0) == []
    assert [(fact.kind, fact.time) for fact in reader.feed(bytes(1), 2.0)] == [("particle-nonce", 2.0)]


@pytest.mark.parametrize(
    ("size", "kind", "seen"), [(1, "particle-nonce", 1), (41, "particle-session", 1), (423, "particle-session", 383)]
)
def test_a_step_that_breaks_off(size, kind, seen):
    last = server(bytes(size))[-1]
    assert last[0] == kind
    assert (last[1]["bytes"], last[1]["complete"]) == (seen, False)


def test_nothing_said_nothing_told():
    assert server() == []
    assert device() == []
    assert server(bytes(40)) == [("particle-nonce", whole(40))]


def test_missing_bytes_count():
    assert server(bytes(10), 30, bytes(384)) == [
        ("particle-nonce", {"bytes": 10, "need": 40, "complete": True, "missing": 30}), ("particle-session", whole(384)),
    ]  # fmt: skip
    assert server(1000)[-1] == ("particle-data", {})


@given(st.integers(0, 600), st.lists(st.integers(0, 600), max_size=5), st.booleans())
def test_cuts_change_nothing(size, places, client):
    data = bytes(size)
    assert told(facts_of(ParticleReader(client), *cut(data, places))) == told(facts_of(ParticleReader(client), data))


def test_the_made_handshakes():
    facts = facts_of_capture(MADE / "particle_refused_after_key.pcap", ParticleReader)
    assert told(facts[1, 1]) == [("particle-nonce", whole(NONCE_SIZE))]
    assert told(facts[1, 0]) == [("particle-key", whole(KEY_SIZE))]
    facts = facts_of_capture(MADE / "particle_closed_early.pcap", ParticleReader)
    assert told(facts[1, 1])[-1] == ("particle-session", {"bytes": 100, "need": SESSION_SIZE, "complete": False})
    assert facts_of_capture(MADE / "particle_no_nonce.pcap", ParticleReader) == {}
