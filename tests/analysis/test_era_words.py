"""The evidence for an era in words."""

from mqtt_talk import MqttConnections, connack, connect

from blynkscope.analysis.era import Evidence
from blynkscope.analysis.rules.login import token_form
from blynkscope.protocol.model import Era


def test_what_speaks_against_the_era_says_so():
    evidence = Evidence()
    evidence.info({"ver": "1.4.0"})
    assert evidence.weighed == ["library version 1.4.0 is of Blynk IoT"]
    evidence.server(Era.LEGACY, 1, "port 8080")
    assert evidence.era is Era.LEGACY
    assert evidence.weighed == ["port 8080", "against it: library version 1.4.0 is of Blynk IoT"]
    assert evidence.told == ["library version 1.4.0 is of Blynk IoT", "port 8080"]
    evidence.server(Era.IOT, 1, "a header")
    evidence.device(Era.LEGACY, 1, "a token")
    assert evidence.era is None
    assert evidence.weighed == evidence.told


def test_a_token_without_capitals_is_not_said_to_have_some():
    assert "(not only hex digits)" in token_form("zy3kp0vq8swnt5uhc1ldr7xjm9abge2f")
    assert "(hex digits only)" in token_form("0123456789abcdef0123456789abcdef")


def test_mqtt_that_is_answered_outweighs_a_default_port():
    """MQTT over WebSocket on 8080."""
    for code, expected in ((0, Era.IOT), (4, Era.IOT)):
        run = MqttConnections().mqtt((0, connect()), (1, connack(code)), port=8080, how=None)
        (stream,) = run.analyser._streams.values()
        assert stream.evidence.of_server is expected
    run = MqttConnections().mqtt((0, connect()), port=8080, how=None)
    (stream,) = run.analyser._streams.values()
    assert stream.evidence.of_server is Era.LEGACY
