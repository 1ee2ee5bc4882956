"""Findings about MQTT: what raises them, and what must not."""

import pytest
from mqtt_talk import (
    LEGACY_TOKEN,
    TOKEN,
    MqttConnections,
    connack,
    connect,
    disconnect,
    login,
    ping,
    puback,
    publish,
    suback,
    subscribe,
)  # fmt: skip
from nettalk import of_capture

from blynkscope.protocol import mqtt
from blynkscope.wire.events import Closed, Data, Opened


def findings(*wires, **options):
    run = MqttConnections().mqtt(*login(), *wires, **options).finish()
    return {one.id: one for one in run.records if hasattr(one, "slug")}


def refused(code=4, version=4, properties=None, **options):
    wires = [(0, connect(version=version, **options)), (1, connack(code, version=version, properties=properties))]
    run = MqttConnections().mqtt(*wires, by=1).finish()
    (found,) = run.findings("BS211")
    assert run.ids == {"BS211"}
    return found


# --- healthy ---


def test_a_good_session():
    wires = [
        (0, publish(b"info/mcu", b'{"ver": "1.0"}')), (0, publish(b"ds/V1", b"1", qos=1, ident=4)), (1, puback(4)),
        (0, publish(b"batch_ds", b'{"a": 1, "place": [30.5, 50.4]}')), (0, publish(b"event/hot")),
        (0, publish(b"get/ds", b"a")), (1, publish(b"downlink/ds/a", b"1")), (0, ping()), (1, mqtt.build(13, 0, {}, 4)),
        (0, disconnect()),
    ]  # fmt: skip
    assert findings(*wires) == {}


def test_a_good_session_of_version_5():
    run = MqttConnections().mqtt(
        *login(version=5), (0, publish(b"ds/V1", b"1", version=5)), (0, disconnect(0, version=5))
    )
    assert run.finish().ids == set()


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("mqtt_session", {}), ("mqtt_session_5", {"BS332": "warning"}), ("mqtt_refused", {"BS211": "error"}),
        ("mqtt_redirect", {"BS213": "error", "BS214": "note"}), ("mqtt_idle", {"BS329": "warning"}),
    ],
)  # fmt: skip
def test_captures(name, ids):
    found = of_capture(f"made/{name}.pcap")
    assert {key: records[0].severity for key, records in found.items()} == ids


# --- BS211 ---


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"user": b"blynk"}, 'The user name is "blynk", not "device".'),
        ({"user": b"Device"}, "case matters"),
        ({"user": TOKEN, "password": b""}, "The token stands in the place of the user name."),
        ({"password": LEGACY_TOKEN}, "form of a legacy server's"),
        ({"password": TOKEN + b"\r\n"}, "white space or quotes"),
        ({"password": b'"' + TOKEN + b'"'}, "white space or quotes"),
        ({"password": TOKEN[:-1]}, "The token has 31 characters"),
        ({"password": b""}, "is empty"),
        ({"password": None}, "There is no password."),
        ({"password": TOKEN[:-1] + b"!"}, "characters that no token has"),
        ({}, "not known to this server"),
    ],
)
@pytest.mark.parametrize(("code", "version"), [(4, 4), (5, 4), (0x86, 5), (0x87, 5)])
def test_a_refused_login_says_why(options, said, code, version):
    assert said in refused(code, version, properties=[] if version == 5 else None, **options).detail


@pytest.mark.parametrize(
    ("code", "version", "options", "said"),
    [
        (2, 4, {"client_id": b"x" * 70}, "The client id has 70 characters"),
        (1, 4, {}, "The client speaks MQTT 3.1.1"),
        (1, 5, {}, "The client speaks MQTT 5"),
        (3, 4, {}, "server unavailable"),
        (0x9C, 5, {"properties": [{"id": 0x1C, "value": b"ny3.blynk.cloud:8883"}]}, "It names ny3.blynk.cloud:8883."),
        (0x97, 5, {"properties": [{"id": 0x1F, "value": b"too many devices"}]}, 'It says "too many devices".'),
        (77, 4, {}, "unknown code"),
    ],
)
def test_other_refusals(code, version, options, said):
    properties = options.pop("properties", None)
    wires = [(0, connect(version=version, **options)), (1, connack(code, version=version, properties=properties))]
    run = MqttConnections().mqtt(*wires, by=1).finish()
    (found,) = run.findings("BS211")
    assert said in found.detail


def test_no_finding_holds_a_token():
    for options in ({"user": TOKEN, "password": b""}, {"password": TOKEN + b" "}, {"client_id": TOKEN}):
        found = refused(**options)
        assert TOKEN.decode() not in found.detail + found.fix


def test_the_same_refusal_again_is_a_loop():
    run = MqttConnections()
    for number in range(4):
        run.mqtt((0, connect(user=b"x")), (1, connack(4)), at=100.0 + 10 * number, by=1)
    run.finish()
    assert len(run.findings("BS211")) == 1
    (loop,) = run.findings("BS209")
    assert "BS211" in loop.detail


def test_refusals_of_other_brokers_are_none_of_ours():
    run = MqttConnections().mqtt((0, connect(user=b"me", password=b"wrong")), (1, connack(4)), by=1).finish()
    assert run.ids == set()


# --- BS212 ---


@pytest.mark.parametrize("how", [{"by": 1}, {"by": 1, "how": "reset"}, {"after": 9.0}])
def test_a_connect_without_an_answer(how):
    run = MqttConnections().mqtt((0, connect()), **how).finish()
    assert run.ids == {"BS212"}


def test_a_connect_that_had_no_time_to_be_answered():
    assert MqttConnections().mqtt((0, connect()), after=0.5).finish().ids == set()


# --- BS213, BS214: see the captures ---


def test_a_redirect_of_version_5():
    moved = [{"id": 0x1C, "value": b"ny3.blynk.cloud:8883"}]
    run = MqttConnections().mqtt(*login(version=5), (1, disconnect(0x9D, version=5, properties=moved)), by=1)
    run.mqtt(*login(version=5), at=105.0, server="192.0.2.3").finish()
    assert "BS214" in run.ids


def test_a_redirect_that_comes_back():
    run = MqttConnections().mqtt(*login(), (1, publish(b"downlink/redirect", b"ny3.blynk.cloud:8883")))
    run.mqtt(*login(), at=105.0).finish()
    (found,) = run.findings("BS213")
    assert "connected to the same place again" in found.detail
    assert 'connect("ny3.blynk.cloud", 8883)' in found.fix


# --- BS215, BS216 ---


def test_a_second_connect():
    assert set(findings((0, connect()), by=1)) == {"BS215"}


def test_one_token_on_two_connections():
    run = MqttConnections()
    # The second begins while the first is open: their events lie inside each other.
    run.tell(Opened(91, 100.0, "192.0.2.1:50091", "192.0.2.2:1883", 50091, 1883, True))
    for step, (side, data) in enumerate(login()):
        run.tell(Data(91, side, 100.1 + step, data))
    run.mqtt(*login(), at=110.0, client="192.0.2.5")
    run.tell(Closed(91, 120.0, "fin", 0, (True, True))).finish()
    (found,) = run.findings("BS216")
    assert "stream 91" in found.detail


def test_one_token_on_two_connections_one_after_the_other():
    assert MqttConnections().mqtt(*login()).mqtt(*login(), at=200.0).finish().ids == set()


# --- BS323, BS325, BS333 ---


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        (b"downlink/ds/Temp", 'a device publishes on "ds/Temp"'), (b"downlink/x", "are what the server sends"),
        (b"ds/", "The name is missing: it is ds/NAME"), (b"/ds/Temp", 'It should be "ds/Temp"'),
        (b"DS/Temp", 'It should be "ds/Temp"'), (b"ds/Temp/color", "ds/NAME/prop/PROPERTY"),
        (b"V1", 'published on "ds/V1"'), (b"home/temp", "data converter"),
    ],
)  # fmt: skip
def test_a_topic_that_blynk_does_not_know(topic, said):
    found = findings((0, publish(topic, b"1")), (0, publish(topic, b"2")))
    assert set(found) == {"BS323"}
    assert said in found["BS323"].detail
    assert found["BS323"].count == 2


@pytest.mark.parametrize(("size", "ids"), [(1024, set()), (1025, {"BS325"})])
def test_a_value_that_is_too_long(size, ids):
    assert set(findings((0, publish(b"ds/Text", b"x" * size)))) == ids


@pytest.mark.parametrize(
    ("topic", "payload", "ids"),
    [
        (b"batch_ds", b"{'a': 1}", {"BS333"}), (b"batch_ds", b"\xff", {"BS333"}), (b"batch_ds", b'[{"a": 1}]', {"BS333"}),
        (b"info/mcu", b"1.0", {"BS333"}), (b"ds/a", b'{"value": 1}', {"BS333"}), (b"ds/a", b"{not json", set()),
        (b"ds/a", b'"text"', set()),
    ],
)  # fmt: skip
def test_a_payload_of_another_form(topic, payload, ids):
    assert set(findings((0, publish(topic, payload)))) == ids


# --- BS324, BS331 ---


@pytest.mark.parametrize(
    ("wires", "found"),
    [
        ([(0, publish(b"ds/a", b"1"), 20.0)], ("BS324", "note")),
        ([(0, publish(b"get/ds", b"a"))], ("BS324", "warning")),
        ([(0, publish(b"ds/a", b"1"))], None),
        ([(0, publish(b"ds/a", b"1"), 20.0), (0, subscribe(2, b"downlink/ds/+")), (1, suback(2))], None),
        ([(0, subscribe(2, b"ds/#")), (1, suback(2, b"\x80")), (0, publish(b"ds/a", b"1"))], ("BS331", "warning")),
    ],
)  # fmt: skip
def test_subscriptions(wires, found):
    run = MqttConnections().mqtt((0, connect()), (1, connack()), *wires).finish()
    assert [(one.id, one.severity) for one in run.records if hasattr(one, "slug")] == ([found] if found else [])


# --- BS326 ---


@pytest.mark.parametrize(("rate", "found"), [(80, "warning"), (30, "note"), (8, None)])
def test_floods(rate, found):
    wires = [(0, publish(b"ds/a", b"1"), 1.0 / rate) for _ in range(rate * 4)]
    record = findings(*wires).get("BS326")
    assert (record.severity if record else None) == found


# --- BS327 ---


@pytest.mark.parametrize(
    ("wires", "after", "count"),
    [
        ([(0, publish(b"ds/a", b"1", qos=1, ident=9))], 10.0, 1),
        ([(0, publish(b"ds/a", b"1", qos=1, ident=9))], 1.0, None),
        (
            [(0, publish(b"ds/a", b"1", qos=1, ident=9)), (0, publish(b"ds/a", b"2", qos=1, ident=9)), (1, puback(9))],
            1.0,
            1,
        ),
        (
            [
                (0, publish(b"ds/a", b"1", qos=1, ident=9)),
                (0, publish(b"ds/a", b"1", qos=1, ident=9, dup=1)),
                (1, puback(9)),
            ],
            9.0,
            None,
        ),
        ([(0, publish(b"ds/a", b"1", qos=2, ident=9)), (1, mqtt.build(5, 0, {"id": 9}, 4))], 9.0, None),
    ],
)
def test_messages_without_an_acknowledgement(wires, after, count):
    record = findings(*wires, after=after).get("BS327")
    assert (record.count if record else None) == count


# --- BS328, BS329 ---


@pytest.mark.parametrize(
    ("beat", "ids"), [(0, {"BS328"}), (1, {"BS328"}), (45, set()), (300, set()), (3600, {"BS328"})]
)
def test_keep_alives(beat, ids):
    run = MqttConnections().mqtt(*login(keep_alive=beat), (0, disconnect())).finish()
    assert run.ids == ids


@pytest.mark.parametrize(
    ("beat", "wires", "options", "said"),
    [
        (10, [], {"by": 1, "after": 15.2}, "closed the connection 15.3 s after"),
        (10, [(0, ping(), 25.0)], {}, "was silent for 25.1 s"),
        (10, [], {"how": "end", "by": None, "after": 60.0}, "was silent for 60.1 s"),
        (10, [(0, ping(), 12.0)], {}, None),
        (10, [(0, disconnect())], {"after": 60.0}, None),
        (0, [(0, ping(), 500.0)], {}, None),
    ],
)
def test_silence(beat, wires, options, said):
    run = MqttConnections().mqtt(*login(keep_alive=beat), *wires, **options).finish()
    found = run.findings("BS329")
    assert [said in one.detail for one in found] == ([True] if said else [])


def test_the_servers_keep_alive_goes_before_the_clients():
    beat = [{"id": 0x13, "value": 100}]
    wires = [(0, connect(version=5, keep_alive=10)), (1, connack(version=5, properties=beat)), (0, ping(), 60.0)]
    run = MqttConnections().mqtt(*wires, (0, disconnect(version=5))).finish()
    assert not run.findings("BS329")


# --- BS330, BS332 ---


def test_malformed_packets():
    found = findings((0, b"\x82\x03\0\1\0"), (0, b"\x82\x03\0\1\0"), by=1)
    assert set(found) == {"BS330"}
    assert found["BS330"].count == 2
    assert "Message 5, a SUBSCRIBE of the device" in found["BS330"].detail


def test_packets_that_break_a_rule():
    assert set(findings((0, publish(b"ds/a+", b"1")))) == {"BS330"}


def test_diagnostics_of_the_server():
    found = findings((1, publish(b"downlink/diag", b"datastream 'x' not found")))
    assert set(found) == {"BS332"}
    assert "datastream 'x' not found" in found["BS332"].detail


@pytest.mark.parametrize(("code", "ids"), [(0x8E, set()), (0x96, {"BS332"}), (0, set())])
def test_reasons_of_the_server(code, ids):
    run = MqttConnections().mqtt(*login(version=5), (1, disconnect(code, version=5)), by=1).finish()
    assert run.ids == ids


# --- BS601 ---


@pytest.mark.parametrize(("server", "ids"), [("8.8.8.8", {"BS601"}), ("192.168.1.2", set())])
def test_a_token_in_clear(server, ids):
    assert MqttConnections().mqtt(*login(), (0, disconnect()), server=server).finish().ids == ids
