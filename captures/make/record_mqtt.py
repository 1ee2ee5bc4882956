"""Records what MQTT clients and brokers that people use really send: `python captures/make/record_mqtt.py`.

It writes `captures/mqtt_clients.jsonl`: one conversation a line, with the client, the broker and the bytes of each
packet in order, as `[side, hex]` with side 0 for the client. Needs paho-mqtt and amqtt, which nothing else here needs.
paho speaks 3.1.1 with the amqtt broker, and 5 with a small peer below, as amqtt does not speak 5. Ids of packets and
of clients are the libraries' own, so the file changes a little each time.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from amqtt.broker import Broker
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST = "127.0.0.1"
TOKEN = "Zy3kP0vQ8sWnT5uHc1LdR7xJm9AbGe2F"
TARGET = Path(__file__).parent.parent / "mqtt_clients.jsonl"
PATIENCE = 10.0


class Tap:
    """Passes one connection on to a broker and keeps its bytes."""

    def __init__(self, broker: int) -> None:
        self.broker = broker
        self.said: list[tuple[int, bytes]] = []
        self.server = socket.create_server((HOST, 0))
        self.port: int = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        client, _ = self.server.accept()
        with client, socket.create_connection((HOST, self.broker)) as broker:
            back = threading.Thread(target=self._pass, args=(1, broker, client), daemon=True)
            back.start()
            self._pass(0, client, broker)
            back.join(PATIENCE)

    def _pass(self, side: int, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                self.said.append((side, data))
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def packets(side: int, said: list[tuple[int, bytes]]) -> list[bytes]:
    """One direction's bytes, cut into control packets."""
    data, out = b"".join(part for who, part in said if who == side), []
    while data:
        size, at = 0, 1
        while True:
            size |= (data[at] & 0x7F) << 7 * (at - 1)
            at += 1
            if data[at - 1] < 0x80:
                break
        out.append(data[: at + size])
        data = data[at + size :]
    return out


def peer5() -> int:
    """A broker for one connection of MQTT 5: accepts, grants, acknowledges, sends one message back, answers pings."""
    server = socket.create_server((HOST, 0))

    def run() -> None:
        connection, _ = server.accept()
        with connection:
            buffer = b""
            while data := connection.recv(65536):
                buffer += data
                while len(buffer) >= 2 and len(buffer) >= 2 + buffer[1]:
                    packet, buffer = buffer[: 2 + buffer[1]], buffer[2 + buffer[1] :]
                    kind, qos = packet[0] >> 4, packet[0] >> 1 & 3
                    if kind == 1:
                        connection.sendall(b"\x20\x09\0\0\x06\x22\0\x0a\x21\0\x14")
                    elif kind == 8:
                        connection.sendall(b"\x90\x04" + packet[2:4] + b"\0\0")
                        connection.sendall(b"\x30\x16\0\x10downlink/ds/Mode\x03\x23\0\x01")
                        connection.sendall(b"\x30\x07\0\0\x03\x23\0\x01\x32")
                    elif kind == 3 and qos:
                        size = packet[2] << 8 | packet[3]
                        ident = packet[4 + size : 6 + size]
                        connection.sendall(b"\x40\x02" + ident if qos == 1 else b"\x50\x02" + ident)
                    elif kind == 6:
                        connection.sendall(b"\x70\x02" + packet[2:4])
                    elif kind == 10:
                        connection.sendall(b"\xb0\x04" + packet[2:4] + b"\0\0")
                    elif kind == 12:
                        connection.sendall(b"\xd0\0")

    threading.Thread(target=run, daemon=True).start()
    port: int = server.getsockname()[1]
    return port


def converse(broker: int, protocol: int) -> list[tuple[int, bytes]]:
    """A device's session of paho with a broker."""
    tap = Tap(broker)
    five = protocol == paho.MQTTv5
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="greenhouse", protocol=protocol)
    client.username_pw_set("device", TOKEN)
    will: dict[str, Any] = {}
    if five:
        will["properties"] = Properties(PacketTypes.WILLMESSAGE)
        will["properties"].WillDelayInterval = 30
    client.will_set("event/offline", "lost", qos=1, **will)
    subscribed, answered = threading.Event(), threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_unsubscribe = lambda *_: answered.set()
    connecting: dict[str, Any] = {}
    if five:
        connecting["properties"] = Properties(PacketTypes.CONNECT)
        connecting["properties"].SessionExpiryInterval = 60
        connecting["properties"].UserProperty = ("board", "ESP32")
    client.connect(HOST, tap.port, keepalive=45, **connecting)
    client.loop_start()
    client.subscribe("downlink/#", qos=1)
    assert subscribed.wait(PATIENCE)
    aliased: dict[str, Any] = {}
    if five:
        aliased["properties"] = Properties(PacketTypes.PUBLISH)
        aliased["properties"].TopicAlias = 7
        aliased["properties"].ContentType = "text/plain"
    told = [
        client.publish("info/mcu", json.dumps({"tmpl": "TMPL0123", "ver": "0.1.2", "build": "Jan 19 2025 12:25:30"})),
        client.publish("ds/Temperature", "21.3", qos=0, **aliased),
        client.publish("ds/V1", "Grüße", qos=1),
        client.publish("batch_ds", '{"Temperature": 23.1, "Humidity": 72}', qos=2),
        client.publish("ds/Name", b"First\0Second", retain=True),
        client.publish("ds/Long", "x" * 200 if not five else "x" * 20),
        client.publish("get/ds", "Temperature,Mode"),
    ]
    for one in told:
        one.wait_for_publish(PATIENCE)
    client.unsubscribe("downlink/#")
    assert answered.wait(PATIENCE)
    client._send_pingreq()  # the keep-alive is longer than this session
    threading.Event().wait(0.3)
    client.disconnect()
    client.loop_stop()
    tap.thread.join(PATIENCE)
    return tap.said


async def with_amqtt() -> list[tuple[int, bytes]]:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    plugin = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}}, "plugins": plugin})
    await broker.start()
    said = await asyncio.to_thread(converse, port, paho.MQTTv311)
    await broker.shutdown()
    return said


def row(broker: str, protocol: str, said: list[tuple[int, bytes]]) -> str:
    """A line of the file: each direction's packets in order; the directions follow each other."""
    sides = [[side, packet.hex()] for side in (0, 1) for packet in packets(side, said)]
    client = f"paho-mqtt {version('paho-mqtt')}"
    return json.dumps({"client": client, "broker": broker, "version": protocol, "packets": sides})


def main() -> None:
    rows = [row(f"amqtt {version('amqtt')}", "3.1.1", asyncio.run(with_amqtt()))]
    rows.append(row("a small peer", "5", converse(peer5(), paho.MQTTv5)))
    TARGET.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
