"""MQTT packets to put on the wire, and conversations over MQTT."""

from nettalk import Connections

from blynkscope.analysis.records import MessageRecord
from blynkscope.protocol import mqtt
from blynkscope.protocol.mqtt_codes import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
)  # fmt: skip
from blynkscope.wire.events import Closed, Data, Opened

TOKEN = b"Zy3kP0vQ8sWnT5uHc1LdR7xJm9AbGe2F"
LEGACY_TOKEN = b"0123456789abcdef0123456789abcdef"
FLAGS = {"user": 1, "password": 1, "will_retain": 0, "will_qos": 0, "will": 0, "clean": 1, "reserved": 0}


def connect(user=b"device", password=TOKEN, *, version=4, keep_alive=45, client_id=b"", properties=(), **flags):
    parts = {
        "protocol": b"MQIsdp" if version == 3 else b"MQTT", "level": version, "keep_alive": keep_alive,
        "flags": FLAGS | {"user": user is not None, "password": password is not None} | flags,
        "properties": list(properties), "client_id": client_id, "user": user, "password": password,
    }  # fmt: skip
    return mqtt.build(CONNECT, 0, parts, version)


def connack(code=0, *, version=4, properties=None, flags=0):
    return mqtt.build(CONNACK, 0, {"flags": flags, "reason": code, "properties": properties}, version)


def publish(topic, payload=b"", *, qos=0, ident=None, version=4, properties=(), dup=0, retain=0):
    parts = {"topic": topic, "id": ident, "properties": list(properties), "payload": payload}
    return mqtt.build(PUBLISH, dup << 3 | qos << 1 | retain, parts, version)


def puback(ident, *, version=4, reason=None, properties=None):
    return mqtt.build(PUBACK, 0, {"id": ident, "reason": reason, "properties": properties}, version)


def subscribe(ident, *filters, version=4):
    parts = {"id": ident, "properties": [], "filters": [{"topic": one, "options": 0} for one in filters]}
    return mqtt.build(SUBSCRIBE, 2, parts, version)


def suback(ident, codes=b"\0", *, version=4):
    return mqtt.build(SUBACK, 0, {"id": ident, "properties": [], "reasons": codes}, version)


def disconnect(reason=None, *, version=4, properties=None):
    return mqtt.build(DISCONNECT, 0, {"reason": reason, "properties": properties}, version)


def ping():
    return mqtt.build(PINGREQ, 0, {}, 4)


def pong():
    return mqtt.build(PINGRESP, 0, {}, 4)


def login(**options):
    """A device that logs in and listens, as wires."""
    version = options.get("version", 4)
    nothing = [] if version == 5 else None
    return [
        (0, connect(**options)), (1, connack(version=version, properties=nothing)),
        (0, subscribe(1, b"downlink/#", version=version)), (1, suback(1, version=version)),
    ]  # fmt: skip


class MqttConnections(Connections):
    """Several MQTT connections of one run. A wire is `(side, bytes)` or `(side, bytes, seconds after the last)`.

    A connection whose end (`how`) is None stays open.
    """

    def mqtt(
        self, *wires, at=100.0, port=1883, client="192.0.2.1", server="192.0.2.2", how="fin", by=0, after=0.1, pieces=0
    ):
        self.number += 1
        n = self.number
        self.tell(Opened(n, at, f"{client}:{50000 + n}", f"{server}:{port}", 50000 + n, port, True))
        for side, data, *later in wires:
            at += later[0] if later else 0.1
            size = pieces or len(data) or 1
            for start in range(0, len(data), size):
                self.tell(Data(n, side, at, data[start : start + size]))
        return self.tell(Closed(n, at + after, how, by, (True, True))) if how else self

    @property
    def messages(self):
        return [record for record in self.records if isinstance(record, MessageRecord)]

    @property
    def ids(self):
        return {one.id for one in self.records if hasattr(one, "slug")}
