"""From bytes to packets: however they are cut, whatever is missing, and whatever they are."""

import json
import time
from itertools import islice

import pytest
from captures_of import CAPTURES
from hypothesis import example, given
from hypothesis import strategies as st
from mqtt_talk import TOKEN, connack, connect, disconnect, login, ping, puback, publish, suback, subscribe
from readers import cut, facts_of, facts_of_capture, told

from blynkscope.protocol import mqtt
from blynkscope.wire.mqtt import ALIASED_BYTES_MAX, ALIASES_MAX, BODY_KEPT, MALFORMED_MAX, MqttReader, MqttShared

CLIENTS = [json.loads(line) for line in (CAPTURES / "mqtt_clients.jsonl").read_text(encoding="utf-8").splitlines()]
ALIAS = {"id": 0x23, "value": 1}
SESSION = b"".join(data for side, data in login() if side == 0) + publish(b"ds/Temp", b"21.3", qos=1, ident=7) + ping()
SESSION_5 = (
    connect(version=5, properties=[{"id": 0x26, "value": {"name": b"a", "value": b"b"}}])
    + publish(b"ds/Temp", b"1", version=5, properties=[ALIAS])
    + publish(b"", b"2", version=5, properties=[ALIAS])
    + disconnect(4, version=5)
)


def kinds(facts):
    return [fact.kind for fact in facts]


def names(facts):
    return [fact.detail["packet"] for fact in facts if fact.kind == "mqtt-packet"]


def test_a_session():
    facts = facts_of(MqttReader(True), SESSION)
    assert names(facts) == ["CONNECT", "SUBSCRIBE", "PUBLISH", "PINGREQ"]
    assert [fact.detail["id"] for fact in facts] == [None, 1, 7, None]
    assert sum(fact.detail["size"] for fact in facts) == len(SESSION)
    assert {fact.detail["version"] for fact in facts} == {"3.1.1"}
    fields = facts[0].detail["fields"]
    assert (fields["user"], fields["password"], fields["keep_alive"]) == ("device", TOKEN.decode(), 45)
    assert facts[2].detail["fields"] == {
        "topic": "ds/Temp", "qos": 1, "retain": False, "dup": False, "payload": "21.3", "payload_size": 4,
    }  # fmt: skip


@pytest.mark.parametrize("row", CLIENTS, ids=lambda row: f"{row['client']} {row['version']}")
def test_what_real_clients_and_brokers_send(row):
    shared = MqttShared()
    for side in (0, 1):
        said = [bytes.fromhex(text) for who, text in row["packets"] if who == side]
        facts = facts_of(MqttReader(side == 0, shared), *said)
        assert kinds(facts) == ["mqtt-packet"] * len(said)
        assert not any("problems" in fact.detail["fields"] for fact in facts)
        assert {fact.detail["version"] for fact in facts} == {row["version"]}


def test_the_server_learns_the_version_from_the_client():
    shared = MqttShared()
    facts_of(MqttReader(True, shared), connect(version=5), finish=False)
    (fact,) = facts_of(MqttReader(False, shared), connack(0x86, version=5, properties=[]))
    assert fact.detail["fields"]["reason"] == "bad user name or password"
    (old,) = facts_of(MqttReader(False, shared), connack(1))
    assert old.detail["fields"]["reason"] == "unacceptable protocol version"


@given(st.lists(st.integers(0, 10**6), max_size=12), st.sampled_from((SESSION, SESSION_5)))
def test_cutting_changes_nothing(places, data):
    whole = told(facts_of(MqttReader(True), data))
    assert told(facts_of(MqttReader(True), *cut(data, places))) == whole
    assert told(facts_of(MqttReader(True), *[data[at : at + 1] for at in range(len(data))])) == whole


@given(
    st.binary(max_size=300),
    st.lists(st.integers(0, 10**6), max_size=6),
    st.booleans(),
    st.sampled_from((None, 3, 4, 5)),
)
@example(b"\x10\x00" * 8, [], True, None)
@example(b"\xf0\x00", [], False, 4)
def test_any_bytes(data, places, client, version):
    def read(*pieces):
        shared = MqttShared()
        shared.version = version
        return told(facts_of(MqttReader(client, shared), *pieces))

    facts = read(data)
    assert read(*cut(data, places)) == facts
    json.dumps(facts)


@given(st.data())
def test_mutated_sessions(data):
    raw = bytearray(data.draw(st.sampled_from((SESSION, SESSION_5))))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    places = data.draw(st.lists(st.integers(0, 10**6), max_size=4))
    whole = told(facts_of(MqttReader(True), bytes(raw)))
    assert told(facts_of(MqttReader(True), *cut(bytes(raw), places))) == whole


@given(
    st.integers(0, 15), st.sampled_from((4, 5)),
    st.binary(max_size=8) | st.sampled_from((b"\0\1a\0\1\0", b"\0\1a\3\x23\0\1x", b"\0\1a\0\1\3\x23\0\1x", b"\0\0\xff\xff")),
    st.binary(max_size=40),
)  # fmt: skip
def test_the_short_way_of_a_publish_says_what_the_schema_says(flags, version, head, tail):
    body = head + tail
    shared = MqttShared()
    shared.version = version
    (fact,) = facts_of(MqttReader(True, shared), bytes([0x30 | flags, len(body)]) + body)
    ident = fields = why = None
    try:
        ident, fields = mqtt.fields_of(mqtt.codes.PUBLISH, flags, body, version)
    except mqtt.MqttError as error:
        why = str(error)
    if why is not None:
        assert fact.kind == "mqtt-malformed"
        assert fact.detail["reason"].partition(" (")[0] == why.partition(" (")[0]
        return
    found = fact.detail["fields"]
    # What only a direction can know is on top: aliases, and that a topic is missing.
    alias = found.pop("topic_alias", None)
    assert alias == fields.get("properties", {}).get("topic_alias")
    problems = [one for one in found.pop("problems", []) if not one.startswith(("topic alias", "no topic"))]
    assert problems == fields.pop("problems", [])
    assert (fact.detail["id"], found) == (ident, fields)


# --- aliases ---


def test_topic_aliases():
    facts = facts_of(MqttReader(True), SESSION_5)
    assert [fact.detail["fields"].get("topic") for fact in facts[1:3]] == ["ds/Temp", "ds/Temp"]
    assert [fact.detail["fields"].get("topic_alias") for fact in facts[1:3]] == [1, 1]


def test_an_alias_that_was_never_set():
    shared = MqttShared()
    shared.version = 5
    (fact,) = facts_of(MqttReader(True, shared), publish(b"", b"2", version=5, properties=[ALIAS]))
    assert fact.detail["fields"]["problems"] == ["topic alias 1 stands for nothing that was seen"]


def test_aliases_are_bounded():
    shared = MqttShared()
    shared.version = 5
    reader = MqttReader(True, shared)
    for number in range(1, 0xFFFF, 7):
        reader.feed(publish(b"ds/" + b"x" * 200, b"", version=5, properties=[{"id": 0x23, "value": number}]), 1.0)
    assert len(reader._aliases) <= ALIASES_MAX
    assert sum(map(len, reader._aliases.values())) == reader._aliased <= ALIASED_BYTES_MAX


# --- trouble ---


def test_a_long_payload_is_counted_and_its_beginning_kept():
    data = publish(b"ds/Temp", b"x" * 300_000) + ping()
    reader, most = MqttReader(True), 0
    facts = []
    for at in range(0, len(data), 1000):
        facts += reader.feed(data[at : at + 1000], 1.0)
        most = max(most, reader.buffered)
    assert most <= BODY_KEPT + 5
    assert names(facts) == ["PUBLISH", "PINGREQ"]
    fields = facts[0].detail["fields"]
    assert fields["payload_size"] == 300_000
    assert fields["payload_cut"]
    assert len(fields["payload"]) < BODY_KEPT


def test_a_topic_and_a_subscription_that_are_too_long_are_told():
    data = publish(b"x" * 60_000, b"") + subscribe(1, *[b"y" * 1000] * 30) + ping()
    facts = facts_of(MqttReader(True), data)
    assert kinds(facts) == ["mqtt-cut", "mqtt-cut", "mqtt-packet"]
    assert facts[0].detail["need"] == facts[0].detail["have"]


def test_bytes_missing_inside_a_payload():
    data = publish(b"ds/Temp", b"0123456789")
    facts = facts_of(MqttReader(True), data[:14], 4, data[18:] + ping())
    assert names(facts) == ["PUBLISH", "PINGREQ"]
    fields = facts[0].detail["fields"]
    assert (fields["missing"], fields["payload_size"], fields["payload"]) == (4, 10, "012")


def test_bytes_missing_inside_any_other_packet():
    data = subscribe(1, b"downlink/#")
    facts = facts_of(MqttReader(True), data[:8], 3, data[11:] + ping())
    assert kinds(facts) == ["mqtt-cut", "mqtt-packet"]
    assert facts[0].detail["have"] == len(data) - 3


@pytest.mark.parametrize("missing", [9, None])
def test_bytes_missing_beyond_a_packet(missing):
    reader = MqttReader(False)
    facts = reader.feed(puback(1)[:3], 1.0) + reader.gap(missing, 1.0) + reader.feed(ping(), 1.0) + reader.finish(1.0)
    assert kinds(facts) == ["mqtt-cut", "mqtt-lost"]


BEHIND = publish(b"ds/Temp", b"21.3") + ping() + ping()


@pytest.mark.parametrize("size", range(0, len(SESSION), 7))
def test_packets_are_found_again_behind_a_gap(size):
    """Wherever the recording goes on, the packets behind it are read, and nothing is read into what lies between."""
    reader = MqttReader(True)
    facts = reader.feed(SESSION[:3], 1.0) + reader.gap(None, 1.0)
    assert kinds(facts) == ["mqtt-cut", "mqtt-lost"]
    facts = reader.feed(SESSION[size:] + BEHIND, 2.0) + reader.finish(3.0)
    assert facts[0].kind == "mqtt-resumed"
    assert names(facts)[-3:] == ["PUBLISH", "PINGREQ", "PINGREQ"]
    assert kinds(facts)[1:] == ["mqtt-packet"] * len(facts[1:])
    assert facts[0].detail["skipped"] + sum(fact.detail["size"] for fact in facts[1:]) == len(SESSION) - size + len(
        BEHIND
    )


def test_a_stream_that_was_joined_in_the_middle():
    facts = facts_of(MqttReader(True, joined=True), SESSION[-15:] + BEHIND)
    assert facts[0].kind == "mqtt-resumed"
    assert names(facts)[-3:] == ["PUBLISH", "PINGREQ", "PINGREQ"]


@given(st.binary(max_size=120), st.lists(st.integers(0, 10**6), max_size=6), st.booleans())
def test_looking_for_packets_does_not_depend_on_cuts(noise, places, client):
    data = noise + BEHIND + puback(7) + noise
    whole = told(facts_of(MqttReader(client, joined=True), data))
    assert told(facts_of(MqttReader(client, joined=True), *cut(data, places))) == whole
    assert told(facts_of(MqttReader(client, joined=True), *[data[at : at + 1] for at in range(len(data))])) == whole


@pytest.mark.parametrize("noise", [b"\x30", b"\x30\x7f", b"\x30\xff\x07", b"\xc0\x00\x01", b"x", b"\x10\x80"])
def test_looking_for_packets_is_bounded_and_quick(noise):
    reader, data = MqttReader(True, joined=True), noise * (65536 // len(noise))
    started = time.perf_counter()
    for at in range(0, len(data), 1000):
        reader.feed(data[at : at + 1000], 1.0)
        assert reader.buffered < 4096 + BODY_KEPT
    assert time.perf_counter() - started < 20.0


def test_a_gap_that_ends_with_the_packet():
    data = publish(b"ds/Temp", b"0123456789")
    facts = facts_of(MqttReader(True), data[:14], len(data) - 14, ping())
    assert names(facts) == ["PUBLISH", "PINGREQ"]


def test_the_end_inside_a_packet():
    facts = facts_of(MqttReader(True), SESSION[:-1])
    assert facts[-1].kind == "mqtt-cut"
    assert facts[-1].detail == {
        "packet": "PINGREQ", "reason": "the connection ends inside it", "offset": len(SESSION) - 2, "have": 1,
        "need": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00\x00", "no packet begins with the byte 0x00"),
        (b"\x30\xff\xff\xff\xff\x01", "a packet's length has more than four bytes"),
        (b"\x40\x00" * MALFORMED_MAX, "4 packets in a row are malformed"),
    ],
)
def test_what_is_no_mqtt(data, reason):
    facts = facts_of(MqttReader(True), data + ping())
    assert facts[-1].kind == "mqtt-lost"
    assert facts[-1].detail["reason"] == reason


def test_a_malformed_packet_between_others():
    facts = facts_of(MqttReader(True), SESSION + b"\x82\x03\0\1\0" + ping())
    assert kinds(facts)[-2:] == ["mqtt-malformed", "mqtt-packet"]
    assert facts[-2].detail["offset"] == len(SESSION)


def test_packets_of_the_wrong_side_are_a_problem():
    (fact,) = facts_of(MqttReader(False), subscribe(1, b"a"))
    assert fact.detail["fields"]["problems"] == ["a server sends no SUBSCRIBE"]
    (fact,) = facts_of(MqttReader(True), suback(1))
    assert fact.detail["fields"]["problems"] == ["a client sends no SUBACK"]


def test_many_properties_take_linear_time():
    """A packet as large as is kept, full of the smallest properties, is refused soon and costs little."""
    shared = MqttShared()
    shared.version = 5
    body = b"\0\1" + b"\xf8\x7e" + b"\x01\0" * 8124
    raw = b"\x82" + mqtt.variable(len(body)) + body
    started = time.perf_counter()
    for _ in range(10):
        facts = facts_of(MqttReader(True, shared), raw)
    assert facts[0].kind == "mqtt-malformed"
    assert time.perf_counter() - started < 5.0


def test_a_capture():
    facts = facts_of_capture(CAPTURES / "made" / "mqtt_session.pcap", MqttReader)
    ((_, up), (_, down)) = sorted(facts.items())
    assert list(islice(names(up), 3)) == ["CONNECT", "SUBSCRIBE", "PUBLISH"]
    assert names(down)[-1] == "PINGRESP"


# --- what is kept ---


TOO_MANY = "too many incomplete messages at once"


def test_a_packet_that_is_given_up_is_passed_over():
    reader, long = MqttReader(True), publish(b"ds/Temp", b"x" * 9000)
    reader.feed(long[:5000], None)
    assert reader.buffered > 4900
    (cut_,) = reader.drop(None)
    assert (cut_.kind, cut_.detail["packet"], cut_.detail["reason"]) == ("mqtt-cut", "PUBLISH", TOO_MANY)
    assert (cut_.detail["have"], cut_.detail["need"]) == (5000, len(long))
    assert reader.buffered < 10
    assert reader.drop(None) == []
    assert reader.feed(long[5000:6000], None) == []
    assert reader.gap(500, None) == []
    assert names(reader.feed(long[6500:] + ping(), None)) == ["PINGREQ"]


def test_a_packet_that_was_given_up_is_told_once():
    for rest in (lambda reader: reader.finish(None), lambda reader: reader.gap(None, None)):
        reader = MqttReader(True)
        reader.feed(publish(b"ds/Temp", b"x" * 900)[:500], None)
        reader.drop(None)
        assert "mqtt-cut" not in kinds(rest(reader))


def test_a_search_that_is_given_up_goes_on():
    reader = MqttReader(True, joined=True)
    reader.feed(b"\x30\xff\x02xxx", None)
    assert reader.buffered
    assert kinds(reader.drop(None)) == ["mqtt-lost"]
    assert reader.buffered == 0
    facts = reader.feed(publish(b"ds/Temp", b"1") + ping(), None)
    assert kinds(facts)[0] == "mqtt-resumed"
    assert facts[0].detail["skipped"] == 6
    assert names(facts) == ["PUBLISH", "PINGREQ"]
