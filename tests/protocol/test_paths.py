"""The paths of the servers' WebSockets, and what is spoken inside."""

import pytest

from blynkscope.protocol import paths
from blynkscope.protocol.model import Dialect


@pytest.mark.parametrize(
    ("path", "subprotocol", "spoken"),
    [
        ("/websockets", None, Dialect.HARDWARE), ("/websockets/", "", Dialect.HARDWARE), ("/dashws", None, Dialect.WEB),
        ("/mqtt", None, "mqtt"), ("/dashws", "MQTT", "mqtt"), ("/any", "mqttv3.1", "mqtt"), ("/websocket", None, None),
        ("/", "chat", None), ("", None, None),
    ],
)  # fmt: skip
def test_what_is_spoken(path, subprotocol, spoken):
    assert paths.spoken(path, subprotocol) == spoken
