"""The schema of MQTT's control packets: what is built parses to the same, and what is not built well says why."""

import json

import pytest
from captures_of import CAPTURES
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.protocol import mqtt, mqtt_topics
from blynkscope.protocol import mqtt_codes as codes

CLIENTS = [json.loads(line) for line in (CAPTURES / "mqtt_clients.jsonl").read_text(encoding="utf-8").splitlines()]

BYTES = st.binary(max_size=12)
SIXTEEN = st.integers(0, 0xFFFF)
VALUES = {
    codes.BYTE: st.integers(0, 255), codes.TWO: SIXTEEN, codes.FOUR: st.integers(0, 0xFFFFFFFF),
    codes.VARIABLE: st.integers(0, (1 << 28) - 1), codes.BINARY: BYTES, codes.TEXT: BYTES,
    codes.PAIR: st.fixed_dictionaries({"name": BYTES, "value": BYTES}),
}  # fmt: skip
PROPERTY = st.sampled_from(sorted(codes.PROPERTIES)).flatmap(
    lambda number: st.fixed_dictionaries({"id": st.just(number), "value": VALUES[codes.PROPERTIES[number][1]]})
)
PROPERTIES = st.lists(PROPERTY, max_size=4)


@st.composite
def packets(draw):
    """Type, flags, version and body of any packet."""
    version = draw(st.sampled_from((3, 4, 5)))
    kind = draw(st.integers(1, 15 if version == 5 else 14))
    flags = codes.FLAGS.get(kind, 0)
    properties = draw(PROPERTIES) if version == 5 else None
    parts = {"id": draw(SIXTEEN), "properties": properties}
    if kind == codes.CONNECT:
        will, user, password = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
        parts = {
            "protocol": b"MQIsdp" if version == 3 else b"MQTT", "level": version, "keep_alive": draw(SIXTEEN),
            "flags": {
                "user": user, "password": password, "will_retain": draw(st.booleans()),
                "will_qos": draw(st.integers(0, 3)), "will": will, "clean": draw(st.booleans()), "reserved": False,
            },
            "properties": properties, "client_id": draw(BYTES),
            "will_properties": draw(PROPERTIES) if will and version == 5 else None,
            "will_topic": draw(BYTES) if will else None, "will_payload": draw(BYTES) if will else None,
            "user": draw(BYTES) if user else None, "password": draw(BYTES) if password else None,
        }  # fmt: skip
    elif kind == codes.CONNACK:
        parts = {"flags": draw(st.integers(0, 255)), "reason": draw(st.integers(0, 255)), "properties": properties}
    elif kind == codes.PUBLISH:
        flags = draw(st.integers(0, 15))
        parts |= {"topic": draw(BYTES), "payload": draw(BYTES), "id": parts["id"] if flags & 6 else None}
    elif kind == codes.SUBSCRIBE:
        filters = st.fixed_dictionaries({"topic": BYTES, "options": st.integers(0, 255)})
        parts["filters"] = draw(st.lists(filters, max_size=4))
    elif kind == codes.UNSUBSCRIBE:
        parts["filters"] = draw(st.lists(BYTES, max_size=4))
    elif kind in {codes.SUBACK, codes.UNSUBACK}:
        parts["reasons"] = draw(BYTES) if version == 5 or kind == codes.SUBACK else None
    elif kind in {codes.PINGREQ, codes.PINGRESP}:
        parts = {}
    elif version == 5:
        parts["reason"] = draw(st.none() | st.integers(0, 255))
        parts["properties"] = None if parts["reason"] is None else draw(st.none() | PROPERTIES)
    return kind, flags, version, parts


def body_of(packet):
    at = 1
    while packet[at] & 0x80:
        at += 1
    return packet[at + 1 :]


def plain(value):
    """A parsed container as plain dictionaries."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if not str(key).startswith("_")}
    return [plain(one) for one in value] if isinstance(value, list) else value


@given(packets())
def test_what_is_built_parses_to_the_same(packet):
    kind, flags, version, parts = packet
    built = mqtt.build(kind, flags, parts, version)
    parsed = mqtt.parse(kind, flags, body_of(built), version)
    said = plain(parsed)
    assert {key: value for key, value in parts.items() if key in said} == {
        key: value for key, value in said.items() if key in parts
    }
    assert mqtt.build(kind, flags, parsed, version) == built
    ident, fields = mqtt.fields_of(kind, flags, body_of(built), version)
    json.dumps([ident, fields])


@given(st.integers(0, 15), st.integers(0, 15), st.binary(max_size=80), st.sampled_from((3, 4, 5)))
def test_any_bytes_parse_or_say_why(kind, flags, body, version):
    why = "it parses"
    try:
        ident, fields = mqtt.fields_of(kind, flags, body, version)
        assert ident is None or 0 <= ident <= 0xFFFF
        json.dumps(fields)
    except mqtt.MqttError as error:
        why = str(error)
    assert why
    assert "\n" not in why


@pytest.mark.parametrize("row", CLIENTS, ids=lambda row: f"{row['client']} {row['version']}")
def test_what_real_clients_send(row):
    version = 5 if row["version"] == "5" else 4
    for side, text in row["packets"]:
        packet = bytes.fromhex(text)
        kind, flags = packet[0] >> 4, packet[0] & 15
        parsed = mqtt.parse(kind, flags, body_of(packet), version)
        assert mqtt.build(kind, flags, parsed, version) == packet
        fields = mqtt.fields_of(kind, flags, body_of(packet), version)[1]
        assert "problems" not in fields, (side, fields)


@pytest.mark.parametrize("row", CLIENTS, ids=lambda row: f"{row['client']} {row['version']}")
def test_no_part_of_a_real_packet_parses_as_something_whole(row):
    """Cut anywhere, a packet is too short, unless its last part may be of any length or be left out."""
    version = 5 if row["version"] == "5" else 4
    for _, text in row["packets"]:
        packet = bytes.fromhex(text)
        kind, flags, body = packet[0] >> 4, packet[0] & 15, body_of(packet)
        if kind in {codes.CONNECT, codes.PUBACK, codes.PUBREC, codes.PUBREL, codes.PUBCOMP}:
            for size in range(len(body)):
                with pytest.raises(mqtt.MqttError):
                    mqtt.parse(kind, flags, body[:size], version)


@pytest.mark.parametrize(
    ("kind", "flags", "body", "version", "reason"),
    [
        (codes.SUBSCRIBE, 2, b"\0\1\0\5ab", 4, "it ends inside a field"),
        (codes.PUBLISH, 0, b"\0\2ab\3\x77\0\1xx", 5, "a property that MQTT 5 does not know"),
        (codes.PINGREQ, 0, b"x", 4, "1 bytes follow its last field"),
        (codes.PUBACK, 0, b"\0\1\0", 4, "1 bytes follow its last field"),
        (codes.PUBLISH, 0, b"\0\2ab\xff\xff\xff\xff\x01", 5, "more than four bytes"),
        (0, 0, b"", 4, "no packet has this type"),
        (codes.UNSUBSCRIBE, 2, b"\0\1" + b"\0\0" * (mqtt.ITEMS_MAX + 1), 4, "more than 1024 items"),
    ],
)
def test_reasons(kind, flags, body, version, reason):
    with pytest.raises(mqtt.MqttError, match=reason):
        mqtt.parse(kind, flags, body, version)


@pytest.mark.parametrize(
    ("kind", "flags", "body", "version", "problem"),
    [
        (codes.PUBLISH, 0, b"\0\2\xff\xfe", 4, "the topic is not UTF-8"),
        (codes.PUBLISH, 0, b"\0\2a\0", 4, "the topic holds a NUL"),
        (codes.PUBLISH, 0, b"\0\4ds/#", 4, "a wildcard in the topic"),
        (codes.PUBLISH, 6, b"\0\1a\0\1", 4, "QoS 3"),
        (codes.PUBLISH, 2, b"\0\1a\0\0", 4, "the packet identifier is 0"),
        (codes.SUBSCRIBE, 0, b"\0\1\0\1a\0", 4, "the flags of its first byte are 0"),
        (codes.SUBSCRIBE, 2, b"\0\1", 4, "no topic filter"),
        (codes.PUBLISH, 0, b"\0\1a\3\x13\0\1", 5, "server_keep_alive does not belong into PUBLISH"),
        (codes.PUBLISH, 0, b"\0\1a\x06\x23\0\1\x23\0\2", 5, "topic_alias stands there twice"),
        (codes.CONNECT, 0, b"\0\4MQTT\6\2\0\x2d\0\0", 4, "there is no protocol level 6"),
        (codes.CONNECT, 0, b"\0\4MQTX\4\2\0\x2d\0\0", 4, "the protocol name does not fit the level"),
        (codes.CONNECT, 0, b"\0\4MQTT\4\3\0\x2d\0\0", 4, "the reserved flag is set"),
        (codes.CONNECT, 0, b"\0\4MQTT\4\x42\0\x2d\0\0\0\1x", 4, "a password without a user name"),
    ],
)
def test_problems(kind, flags, body, version, problem):
    assert problem in mqtt.fields_of(kind, flags, body, version)[1]["problems"]


def test_a_bridge_is_told_and_its_version_known():
    fields = mqtt.fields_of(codes.CONNECT, 0, b"\0\4MQTT\x84\2\0\x2d\0\0", 4)[1]
    assert (fields["version"], fields["bridge"]) == ("3.1.1", True)


@given(st.text(alphabet="aß€😀", max_size=6), st.integers(0, 20))
def test_a_payload_that_is_cut_inside_a_character_stays_text(text, kept):
    raw = text.encode()
    fields = mqtt.payload_fields(raw[:kept], len(raw))
    assert text.startswith(fields["payload"])
    assert fields["payload_size"] == len(raw)
    assert ("payload_cut" in fields) == (kept < len(raw))


def test_codes_have_names():
    assert codes.reason_name(codes.CONNACK, 4, 4) == "bad user name or password"
    assert codes.reason_name(codes.CONNACK, 0x86, 5) == "bad user name or password"
    assert codes.reason_name(codes.CONNACK, 1, 5) == "unacceptable protocol version"
    assert codes.reason_name(codes.SUBACK, 0x80, 4) == "failure"
    assert codes.reason_name(codes.SUBACK, 0, 5) == "granted QoS 0"
    assert codes.reason_name(codes.DISCONNECT, 0, 5) == "normal disconnection"
    assert codes.reason_name(codes.PUBACK, 0x7F, 5) == "unknown code"


# --- topics ---


@pytest.mark.parametrize(
    ("topic", "kind", "names"),
    [
        ("ds/Temp", "uplink-ds", {"datastream": "Temp"}),
        ("ds/Temp/prop/label", "uplink-property", {"datastream": "Temp", "property": "label"}),
        ("ds/Temp/erase", "uplink-erase", {"datastream": "Temp"}),
        ("batch_ds", "uplink-batch", {}), ("event/hot", "uplink-event", {"event": "hot"}),
        ("meta/Serial Number", "uplink-meta", {"field": "Serial Number"}), ("get/ds", "get-ds", {}),
        ("get/ds/all", "get-ds", {}), ("get/meta", "get-meta", {}), ("get/utc/all/json", "get-utc", {}),
        ("get/loc/all", "get-loc", {}), ("info/mcu", "uplink-info", {}), ("pong", "uplink-pong", {}),
        ("downlink/ds/Temp", "downlink-ds", {"datastream": "Temp"}),
        ("downlink/meta/Device Name", "downlink-meta", {"field": "Device Name"}),
        ("downlink/ota/json", "downlink-ota", {}), ("downlink/redirect", "downlink-redirect", {}),
        ("downlink/ping", "downlink-ping", {}), ("downlink/reboot", "downlink-reboot", {}),
        ("downlink/reconfigure", "downlink-reconfigure", {}), ("downlink/diag", "downlink-diag", {}),
    ],
)  # fmt: skip
def test_topics_of_blynk(topic, kind, names):
    found = mqtt_topics.find(topic)
    assert (found.topic.kind, found.names) == (kind, names)
    assert (found.topic.sender == mqtt_topics.DOWN) == topic.startswith("downlink/")


@pytest.mark.parametrize(
    "topic", ["", "ds", "ds/", "/ds/Temp", "DS/Temp", "ds//prop/label", "downlink", "a/b/c/d/e/f/g"]
)
def test_other_topics(topic):
    assert mqtt_topics.find(topic) is None


@pytest.mark.parametrize(
    ("name", "pin"),
    [("V1", "V1"), ("v17", "V17"), ("V001", None), ("V", None), ("Voltage", None), ("V1234", None), ("V²", None)],
)
def test_pins(name, pin):
    assert mqtt_topics.pin_of(name) == pin


@pytest.mark.parametrize(
    ("payload", "target"),
    [
        ("mqtts://ny3.blynk.cloud:8883/", ("ny3.blynk.cloud", 8883, "mqtts")),
        ("ny3.blynk.cloud:8883", ("ny3.blynk.cloud", 8883, None)), ("ny3.blynk.cloud", ("ny3.blynk.cloud", None, None)),
        ("wss://a.example/mqtt", ("a.example", None, "wss")), ("mqtt://u:p@a.example:1883", ("a.example", 1883, "mqtt")),
        ("mqtt://[2001:db8::1]:1883/", ("2001:db8::1", 1883, "mqtt")), ("mqtt://[2001:db8::1", ("2001:db8::1", None, "mqtt")), ("a:99999999999", ("a", None, None)), ("", None),
        ("mqtt://", None), ("not a host", None), ("\x1b[31m", None),
    ],
)  # fmt: skip
def test_where_a_redirect_leads(payload, target):
    assert mqtt_topics.target_of(payload) == target


@pytest.mark.parametrize(
    ("wanted", "hears"),
    [
        ("downlink/#", True),
        ("downlink/ds/+", True),
        ("#", True),
        ("+/ds/Mode", True),
        ("ds/#", False),
        ("downlink", False),
    ],
)
def test_filters_that_hear_the_server(wanted, hears):
    assert mqtt_topics.hears_downlink(wanted) is hears


def test_filters_cover_topics():
    assert mqtt_topics.covers("downlink/#", "downlink/ds/Mode")
    assert mqtt_topics.covers("downlink/+/Mode", "downlink/ds/Mode")
    assert not mqtt_topics.covers("downlink/+", "downlink/ds/Mode")
    assert not mqtt_topics.covers("downlink/ds/Mode/x", "downlink/ds/Mode")
