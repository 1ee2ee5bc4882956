"""Captures of devices that speak MQTT with Blynk IoT: packets as paho sends them, on plain TCP."""

from __future__ import annotations

from others import SECOND, keep
from talk import CLIENT, MILLISECOND, SERVER, START, Talk

MQTT_TOKEN = b"Zy3kP0vQ8sWnT5uHc1LdR7xJm9AbGe2F"
REGION = "198.51.100.21"
PORT = 1883


def text(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def packet(first: int, body: bytes = b"") -> bytes:
    size, length = len(body), b""
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | 0x80 if size else low])
        if not size:
            return bytes([first]) + length + body


def connect(user: bytes = b"device", token: bytes = MQTT_TOKEN, *, level: int = 4, properties: bytes = b"") -> bytes:
    inner = bytes([len(properties)]) + properties if level == 5 else b""
    return packet(0x10, text(b"MQTT") + bytes([level, 0xC2]) + b"\0\x2d" + inner + text(b"") + text(user) + text(token))


def publish(topic: bytes, payload: bytes, *, ident: int = 0, properties: bytes | None = None) -> bytes:
    inner = b"" if properties is None else bytes([len(properties)]) + properties
    number = ident.to_bytes(2, "big") if ident else b""
    return packet(0x32 if ident else 0x30, text(topic) + number + inner + payload)


def broker(start: int = START, **options: object) -> Talk:
    """A connection to the MQTT port."""
    talk = Talk(server_port=PORT, start=start, **options)  # type: ignore[arg-type]
    talk.open()
    return talk


def listen(talk: Talk) -> None:
    """CONNECT and the subscription, with their answers."""
    talk.raw(CLIENT, connect())
    talk.raw(SERVER, packet(0x20, b"\0\0"))
    talk.raw(CLIENT, packet(0x82, b"\0\x01" + text(b"downlink/#") + b"\x01"))
    talk.raw(SERVER, packet(0x90, b"\0\x01\x01"))
    info = b'{"tmpl": "TMPL0123abcd", "ver": "0.1.2", "build": "Jan 19 2025 12:25:30", "rxbuff": 1024}'
    talk.raw(CLIENT, publish(b"info/mcu", info))


def mqtt_session() -> None:
    """A device logs in, sends values in every way, asks for some and gets some, pings and leaves."""
    talk = broker()
    listen(talk)
    talk.raw(CLIENT, publish(b"ds/Temperature", b"21.3"), after=1000)
    talk.raw(CLIENT, publish(b"ds/V1", b"7", ident=2) + publish(b"batch_ds", b'{"Humidity": 40, "Door": "open"}'))
    talk.raw(SERVER, packet(0x40, b"\0\x02"))
    talk.raw(CLIENT, publish(b"get/ds", b"Mode,Brightness"))
    answer = publish(b"downlink/ds/Mode", b"auto", ident=1)
    talk.raw(SERVER, answer[:9])
    talk.raw(SERVER, answer[9:] + publish(b"downlink/ds/Brightness", b"80"))
    talk.raw(CLIENT, packet(0x40, b"\0\x01"))
    talk.raw(CLIENT, publish(b"event/temp_is_high", b"31 degrees"), after=2000)
    talk.raw(SERVER, publish(b"downlink/ping", b"", ident=2), after=3000)
    talk.raw(CLIENT, packet(0x40, b"\0\x02") + publish(b"pong", b""))
    talk.raw(CLIENT, packet(0xC0), after=45_000)
    talk.raw(SERVER, packet(0xD0))
    talk.raw(CLIENT, packet(0xE0), after=1000)
    talk.finish(CLIENT)
    keep("mqtt_session", talk)


def mqtt_session_5() -> None:
    """The same protocol in version 5: properties, topic aliases, and a reason for the end by the server."""
    talk = broker()
    talk.raw(CLIENT, connect(level=5, properties=b"\x11\0\0\0\0" + b"\x26" + text(b"board") + text(b"ESP32")))
    talk.raw(SERVER, packet(0x20, b"\0\0\x06\x21\0\x14\x22\0\x0a"))
    talk.raw(CLIENT, packet(0x82, b"\0\x01\0" + text(b"downlink/#") + b"\0"))
    talk.raw(SERVER, packet(0x90, b"\0\x01\0\0"))
    talk.raw(CLIENT, publish(b"ds/Temperature", b"21.3", properties=b"\x23\0\x01"))
    for value in (b"21.4", b"21.5"):
        talk.raw(CLIENT, publish(b"", value, properties=b"\x23\0\x01"), after=1000)
    talk.raw(CLIENT, publish(b"ds/Humidity", b"40", ident=9, properties=b""))
    talk.raw(SERVER, packet(0x40, b"\0\x09\x10\0"))
    talk.raw(SERVER, packet(0xE0, b"\x96" + b"\x11\x1f" + text(b"slow down, pls")), after=500)
    talk.finish(SERVER)
    keep("mqtt_session_5", talk)


def mqtt_refused() -> None:
    """Three logins that are refused with code 4: another user name, a legacy token, white space in the token."""
    talks = []
    attempts = ((b"blynk", MQTT_TOKEN), (b"device", b"0123456789abcdef" * 2), (b"device", MQTT_TOKEN + b"\n"))
    for number, (user, token) in enumerate(attempts):
        client = f"192.0.2.{10 + number}"
        talk = broker(START + number * 2 * SECOND, client=client, client_port=50010 + number)
        talk.raw(CLIENT, connect(user, token))
        talk.raw(SERVER, packet(0x20, b"\0\x04"))
        talk.finish(SERVER)
        talks.append(talk)
    keep("mqtt_refused", *talks)


def mqtt_redirect() -> None:
    """Two devices are sent to another server; the first goes there, the second stays where it is."""
    first = broker(client_port=50010)
    listen(first)
    first.raw(SERVER, publish(b"downlink/redirect", b"mqtt://ny3.blynk.cloud:1883/"))
    first.raw(CLIENT, packet(0xE0))
    first.finish(CLIENT)
    second = broker(first.time + 50 * MILLISECOND, server=REGION, client_port=50011)
    listen(second)
    second.raw(CLIENT, publish(b"ds/Temperature", b"21.3"), after=1000)
    second.raw(CLIENT, packet(0xE0), after=1000)
    second.finish(CLIENT)
    third = broker(START + 10 * SECOND, client="192.0.2.11", client_port=50012)
    listen(third)
    third.raw(SERVER, publish(b"downlink/redirect", b"mqtt://ny3.blynk.cloud:1883/"))
    for _ in range(3):
        third.raw(CLIENT, publish(b"ds/Temperature", b"19.8"), after=5000)
    third.raw(CLIENT, packet(0xE0), after=1000)
    third.finish(CLIENT)
    keep("mqtt_redirect", first, second, third)


def mqtt_idle() -> None:
    """A device without MQTT's pings: the broker closes 1.5 times the keep-alive behind its last message."""
    talk = broker()
    listen(talk)
    talk.raw(CLIENT, publish(b"ds/Temperature", b"21.3"), after=1000)
    talk.acknowledge(SERVER)
    talk.packet(SERVER, "FA", after=68_000)
    talk.sent[SERVER] += 1
    talk.packet(CLIENT, "FA")
    talk.sent[CLIENT] += 1
    talk.acknowledge(SERVER)
    keep("mqtt_idle", talk)


ALL = (mqtt_session, mqtt_session_5, mqtt_refused, mqtt_redirect, mqtt_idle)
