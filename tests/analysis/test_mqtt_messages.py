"""MQTT of a stream in words: one record for each packet, with what it answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt_talk import (
    LEGACY_TOKEN,
    TOKEN,
    MqttConnections,
    connack,
    connect,
    disconnect,
    login,
    ping,
    pong,
    puback,
    publish,
    suback,
    subscribe,
)  # fmt: skip

from blynkscope.analysis.mqtt import KEYS_MAX, PAYLOAD_SHOWN, flat
from blynkscope.analysis.session import State
from blynkscope.protocol import mqtt
from blynkscope.protocol.model import Era
from blynkscope.wire.events import Closed, Data, Gap

ALIAS = {"id": 0x23, "value": 1}
NAME = TOKEN.decode()


def said(*wires, **options):
    return MqttConnections().mqtt(*login(), *wires, **options).finish().messages[4:]


def one(wire):
    (message,) = said(wire)
    return message


def test_a_login():
    first, answer, asked, granted = MqttConnections().mqtt(*login()).finish().messages
    assert first.text == f"CONNECT user device, token {NAME}, keep-alive 45 s, clean"
    assert (first.protocol, first.kind, first.name, first.sender) == ("mqtt", "connect", "CONNECT", "device")
    assert (first.src, first.dst, first.n) == ("192.0.2.1:50001", "192.0.2.2:1883", 1)
    assert first.detail["token"] == NAME
    assert first.detail["user"] == "device"
    assert (answer.text, answer.answers, answer.sender) == ("CONNACK accepted", 1, "server")
    assert answer.rtt_ms == pytest.approx(100.0)
    assert asked.text == "SUBSCRIBE downlink/#"
    assert (granted.text, granted.answers) == ("SUBACK 1: maximum QoS 0", 3)


@pytest.mark.parametrize(
    ("options", "key", "text"),
    [
        (
            {"user": b"me", "password": b"secret"},
            "password",
            "CONNECT user me, password secret, keep-alive 45 s, clean",
        ),
        (
            {"user": TOKEN, "password": None},
            "auth_token",
            f"CONNECT user {NAME} (a token), no password, keep-alive 45 s, clean",
        ),
        ({"user": b"me"}, "token", f"CONNECT user me, token {NAME}, keep-alive 45 s, clean"),
        ({"user": None, "password": None, "keep_alive": 0}, None, "CONNECT no user, no password, no keep-alive, clean"),
        (
            {"clean": 0, "version": 5},
            "token",
            f"CONNECT user device, token {NAME}, keep-alive 45 s, session kept, MQTT 5",
        ),
    ],
)
def test_secrets_of_a_login_stand_under_their_names(options, key, text):
    message = MqttConnections().mqtt((0, connect(**options))).finish().messages[0]
    assert message.text == text
    secrets = {name for name in ("token", "password", "auth_token") if name in message.detail}
    assert secrets == ({key} if key else set())


def test_a_will():
    flags = {"will": 1, "will_qos": 1}
    parts = {
        "protocol": b"MQTT", "level": 4, "keep_alive": 45, "client_id": b"", "user": b"device", "password": TOKEN,
        "flags": {"user": 1, "password": 1, "will_retain": 0, "clean": 1, "reserved": 0, **flags},
        "will_topic": b"event/offline", "will_payload": b"lost",
    }  # fmt: skip
    message = MqttConnections().mqtt((0, mqtt.build(1, 0, parts, 4))).finish().messages[0]
    assert message.text.endswith(", will on event/offline")
    assert message.detail["will"]["payload"] == "lost"


@pytest.mark.parametrize(
    ("side", "topic", "payload", "kind", "text", "detail"),
    [
        (0, b"ds/Temp", b"23.5", "uplink-ds", "uplink ds Temp = 23.5", {"datastream": "Temp", "value": "23.5"}),
        (0, b"ds/V1", b"23.5", "uplink-ds", "uplink ds V1 = 23.5", {"datastream": "V1", "pin": "V1", "value": "23.5"}),
        (0, b"ds/Name", b"a\0b", "uplink-ds", "uplink ds Name = a, b", {"values": ["a", "b"]}),
        (0, b"ds/Temp", b"", "uplink-ds", "uplink ds Temp = (empty)", {"value": ""}),
        (0, b"ds/Temp/prop/color", b"#FF0000", "uplink-property", "uplink ds Temp color = #FF0000", {"property": "color"}),
        (0, b"ds/Temp/erase", b"", "uplink-erase", "uplink ds Temp: erase", {"datastream": "Temp"}),
        (0, b"batch_ds", b'{"a": 1, "b": "x"}', "uplink-batch", "uplink batch a = 1, b = x", {"values": {"a": 1, "b": "x"}}),
        (0, b"batch_ds", b"nonsense", "uplink-batch", "uplink batch: nonsense", {"payload": "nonsense"}),
        (0, b"event/hot", b"31", "uplink-event", "uplink event hot: 31", {"event": "hot"}),
        (0, b"event/hot", b"", "uplink-event", "uplink event hot", {"event": "hot"}),
        (0, b"meta/Name", b"x", "uplink-meta", "uplink meta Name = x", {"field": "Name"}),
        (0, b"get/ds", b"a, b", "get-ds", "asks for ds a, b", {"asks_for": ["a", "b"]}),
        (0, b"get/ds/all", b"", "get-ds", "asks for all ds", {}),
        (0, b"get/utc/all/json", b"", "get-utc", "asks for time and time zone", {}),
        (0, b"pong", b"", "uplink-pong", "uplink pong", {}),
        (0, b"my/topic", b"x", "other-topic", "on my/topic: x", {"payload": "x"}),
        (0, b"my/topic", b"\xff\0", "other-topic", "on my/topic: 2 bytes", {"payload_hex": "ff00"}),
        (1, b"downlink/ds/V7", b"1", "downlink-ds", "downlink ds V7 = 1", {"pin": "V7", "value": "1"}),
        (1, b"downlink/meta/Name", b"x", "downlink-meta", "downlink meta Name = x", {"field": "Name"}),
        (1, b"downlink/redirect", b"mqtts://ny3.blynk.cloud:8883/", "downlink-redirect",
         "downlink redirect to mqtts://ny3.blynk.cloud:8883/", {"host": "ny3.blynk.cloud", "port": 8883}),
        (1, b"downlink/ota/json", b'{"url": "http://h/f.bin", "size": 7}', "downlink-ota",
         "downlink ota url = http://h/f.bin, size = 7", {"values": {"url": "http://h/f.bin", "size": 7}}),
        (1, b"downlink/reboot", b"", "downlink-reboot", "downlink reboot", {}),
        (1, b"downlink/reconfigure", b"", "downlink-reconfigure", "downlink reconfigure", {}),
        (1, b"downlink/ping", b"", "downlink-ping", "downlink ping", {}),
        (1, b"downlink/diag", b"bad ds", "downlink-diag", "downlink diagnostics: bad ds", {}),
    ],
)  # fmt: skip
def test_topics_in_words(side, topic, payload, kind, text, detail):
    message = one((side, publish(topic, payload)))
    assert (message.kind, message.text) == (kind, text)
    assert {key: message.detail.get(key) for key in detail} == detail
    assert message.detail["topic"] == topic.decode()
    assert ("pin" in message.detail) == (message.detail.get("datastream") in {"V1", "V7"})


def test_marks_of_a_publish():
    assert (
        one((0, publish(b"ds/a", b"1", qos=1, ident=5, dup=1, retain=1))).text
        == "uplink ds a = 1 (QoS 1, retained, sent again)"
    )


def test_what_answers_what():
    wires = [
        (0, publish(b"ds/a", b"1", qos=1, ident=5)), (0, publish(b"ds/a", b"1", qos=1, ident=5, dup=1)), (1, puback(5)),
        (0, publish(b"ds/b", b"1", qos=2, ident=6)), (1, mqtt.build(5, 0, {"id": 6}, 4)),
        (0, mqtt.build(6, 2, {"id": 6}, 4)), (1, mqtt.build(7, 0, {"id": 6}, 4)), (0, ping()), (1, pong()),
        (1, publish(b"downlink/ping", b"", qos=1, ident=6)), (0, puback(6)), (0, publish(b"pong")),
        (0, publish(b"get/ds", b"x,y")), (1, publish(b"downlink/ds/y", b"2")), (1, publish(b"downlink/ds/y", b"3")),
        (0, publish(b"get/utc/all/json")), (1, publish(b"downlink/utc/all/json", b'{"time": 1}')), (1, puback(99)),
    ]  # fmt: skip
    answers = {message.n: message.answers for message in said(*wires) if message.answers is not None}
    assert answers == {7: 5, 9: 8, 10: 9, 11: 10, 13: 12, 15: 14, 16: 14, 18: 17, 21: 20}


def test_what_waits_is_bounded():
    wires = [(0, publish(b"get/ds", b",".join(b"n%d" % n for n in range(start, start + 200)))) for start in (0, 500)]
    wires += [(0, publish(b"ds/a", b"1", qos=1, ident=number)) for number in range(1, 400)]
    run = MqttConnections().mqtt(*login(), *wires, (1, puback(1)), (1, puback(399))).finish()
    assert [message.answers for message in run.messages[-2:]] == [None, run.messages[-3].n]


def test_version_5():
    wires = [
        *login(version=5), (0, publish(b"ds/Temp", b"1", version=5, properties=[ALIAS])),
        (0, publish(b"", b"2", version=5, properties=[ALIAS])),
        (1, disconnect(0x8D, version=5, properties=[{"id": 0x1F, "value": b"gone"}])),
    ]  # fmt: skip
    messages = MqttConnections().mqtt(*wires).finish().messages
    assert [one.text for one in messages[4:]] == [
        "uplink ds Temp = 1", "uplink ds Temp = 2", "DISCONNECT: 141 keep alive timeout",
    ]  # fmt: skip
    assert messages[-1].detail["properties"] == {"reason_string": "gone"}
    assert messages[5].detail["topic_alias"] == 1


def test_trouble_has_its_records():
    messages = said((0, b"\x82\x03\0\1\0"), (0, b"\x00"))
    assert [(one.kind, one.name) for one in messages] == [("malformed", "SUBSCRIBE"), ("lost", "MQTT")]
    assert messages[0].text == "malformed SUBSCRIBE: it ends inside a field (topic)"
    assert said((0, publish(b"ds/a", b"1")[:-1]))[0].text == "PUBLISH is not whole: the connection ends inside it"


def websocket(side, data):
    """A binary WebSocket message; that of a client is masked with zeros."""
    mask = 0x80 if side == 0 else 0
    head = bytes([0x82, mask | len(data)]) if len(data) < 126 else bytes([0x82, mask | 126, 0, len(data)])
    return head + (bytes(4) if mask else b"") + data


def test_mqtt_inside_of_websocket():
    asked = (
        b"GET /mqtt HTTP/1.1\r\nHost: blynk.cloud\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
    granted = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
    wires = [
        (side, websocket(side, data)) for side, data in (*login(), (0, publish(b"ds/Temp", b"1")), (0, disconnect()))
    ]
    run = MqttConnections().mqtt((0, asked), (1, granted), *wires, port=443).finish()
    messages = [one for one in run.messages if one.protocol == "mqtt"]
    assert [one.kind for one in messages] == ["connect", "connack", "subscribe", "suback", "uplink-ds", "disconnect"]
    assert {one.via for one in messages} == {("tcp", "websocket")}
    assert run.ids == set()


def test_missing_bytes_have_their_records():
    run = MqttConnections().mqtt(*login(), how=None)
    run.tell(Gap(1, 0, 110.0, 7, "lost"), Data(1, 0, 110.0, b"xy" + publish(b"ds/Temp", b"1") + disconnect()))
    run.tell(Closed(1, 111.0, "fin", 0, (True, True))).finish()
    assert [one.text for one in run.messages[4:]] == [
        "MQTT cannot be followed from here: bytes are missing from the recording",
        "MQTT goes on behind 2 bytes that were passed over", "uplink ds Temp = 1", "DISCONNECT",
    ]  # fmt: skip
    assert not {one for one in run.ids if one.startswith(("BS2", "BS3"))}


def test_problems_are_in_the_line():
    assert one((0, publish(b"ds/#", b"1"))).text == "uplink ds # = 1 [a wildcard in the topic]"


def test_the_session_hears_of_it():
    run = MqttConnections()
    run.mqtt(*login(), (0, publish(b"info/mcu", b'{"ver": "1.2", "tmpl": "TMPL1"}')), (0, ping()), how=None)
    (stream,) = run.analyser._streams.values()
    assert stream.session.state is State.ONLINE
    assert stream.evidence.era is Era.IOT
    assert (stream.heartbeat.announced, stream.heartbeat.pings) == (45.0, 1)
    assert stream.info == stream.device.info == {"fw": "1.2", "tmpl": "TMPL1"}


@pytest.mark.parametrize(
    ("wires", "state"),
    [
        ([(0, connect())], State.LOGGING_IN), ([(0, connect()), (1, connack(4))], State.REJECTED),
        ([*login(), (1, publish(b"downlink/redirect", b"a.example:1883"))], State.REDIRECTED),
    ],
)  # fmt: skip
def test_the_states_of_a_session(wires, state):
    run = MqttConnections().mqtt(*wires, how=None)
    (stream,) = run.analyser._streams.values()
    assert stream.session.state is state


def test_the_same_token_is_the_same_device():
    run = MqttConnections()
    run.mqtt(*login(), how=None).mqtt(*login(), client="192.0.2.9", how=None)
    run.mqtt(*login(password=LEGACY_TOKEN), client="192.0.2.7", how=None)
    first, second, third = run.analyser._streams.values()
    assert first.device is second.device is not third.device
    assert [one.login for one in first.device.connections] == [None, None]


def test_other_brokers_are_read_too():
    run = (
        MqttConnections()
        .mqtt((0, connect(user=b"me", password=b"x")), (1, connack()), (0, publish(b"home/a", b"1")))
        .finish()
    )
    assert [one.kind for one in run.messages] == ["connect", "connack", "other-topic"]
    assert run.ids == set()


@pytest.mark.parametrize("pieces", [1, 3])
def test_the_records_are_the_same_however_the_bytes_are_cut(pieces):
    wires = [*login(), (0, publish(b"ds/Temp", b"1", qos=1, ident=3)), (1, puback(3)), (0, disconnect())]
    whole = MqttConnections().mqtt(*wires).finish().messages
    assert MqttConnections().mqtt(*wires, pieces=pieces).finish().messages == whole


@given(
    st.text(max_size=40)
    | st.sampled_from(["[" * 5000, '{"a":' * 3000, '{"a":[[1]]}', "{}", "1", '{"a":1e999}', "\ud800"])
)
def test_any_text_is_json_or_not(text):
    found = flat(text)
    assert found is None or json.dumps(found)


def test_large_objects_are_no_values():
    assert flat(json.dumps({str(n): n for n in range(KEYS_MAX + 1)})) is None


def test_a_long_payload_is_cut_in_the_record():
    message = one((0, publish(b"my/topic", b"x" * 9000)))
    assert len(message.detail["payload"]) == PAYLOAD_SHOWN
    assert message.detail["payload_cut"]
    assert len(message.text) < 120


def test_subscriptions_with_many_filters():
    message = one((0, subscribe(3, *[b"downlink/%d" % n for n in range(20)])))
    assert message.text.endswith(" and 12 more")
    assert message.detail["count"] == 20
    assert one((1, suback(3, b"\x80"))).text == "SUBACK 3: failure"
