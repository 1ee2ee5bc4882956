"""Captures of what turns up beside Blynk frames: firmware downloads, TLS, DNS, MQTT and the Particle cloud."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256

from files import Captured, captured, pcap, save
from links import DEVICE_MAC, GATEWAY_MAC, ethernet, over
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Layer
from talk import CLIENT, HW_LOGIN, INTERNAL, MILLISECOND, SERVER, START, TOKEN, Frame, Talk, answer, write

DEVICE, CLOUD, RESOLVER = "192.0.2.10", "198.51.100.20", "192.0.2.1"
SECOND = 1000 * MILLISECOND


def keep(name: str, *talks: Talk, beside: tuple[Captured, ...] = ()) -> None:
    """Write a capture of connections and of packets `beside` them."""
    packets = sorted([*over(ethernet, *talks), *beside], key=lambda packet: packet.time)
    save(f"{name}.pcap", pcap(packets), *talks)


def noise(name: str, size: int) -> bytes:
    """Bytes without structure, the same ones each time."""
    return b"".join(sha256(f"{name} {part}".encode()).digest() for part in range(size // 32 + 1))[:size]


def connected(**options: object) -> Talk:
    talk = Talk(**options)
    talk.open()
    return talk


def device(build: str, **options: object) -> Talk:
    """A device that has logged in and has told which build of its firmware it runs."""
    talk = connected(**options)
    talk.say(CLIENT, Frame(HW_LOGIN, 1, TOKEN))
    talk.say(SERVER, answer(1))
    info = f"ver\x001.3.2\0h-beat\x0045\0buff-in\x001024\0dev\0ESP8266\0fw-type\0greenhouse\0build\0{build}\0"
    talk.say(CLIENT, Frame(INTERNAL, 2, info.encode()))
    talk.say(SERVER, answer(2))
    talk.acknowledge(CLIENT)
    return talk


# -- firmware updates

OLD_BUILD, NEW_BUILD = "May  3 2025 10:00:00", "Jun 15 2025 14:30:00"
FIRMWARE = b"\xe9\x03\x02\x20" + noise("firmware", 3996)


def ordered(url: str) -> Talk:
    """A device that was told to fetch its new firmware."""
    talk = device(OLD_BUILD)
    talk.say(SERVER, Frame(INTERNAL, 7777, f"ota\0{url}".encode()), after=2000)
    talk.acknowledge(CLIENT)
    return talk


def download(talk: Talk, path: str, head: str, body: bytes) -> None:
    """One request as the updater of the ESP8266 sends it, and its answer."""
    request = (
        f"GET {path} HTTP/1.0\r\nHost: {talk.addresses[1]}:{talk.ports[1]}\r\nUser-Agent: ESP8266-http-Update\r\n"
        "Connection: close\r\nx-ESP8266-STA-MAC: 02:00:5E:00:00:01\r\nx-ESP8266-mode: sketch\r\n\r\n"
    )
    talk.raw(CLIENT, request.encode())
    data = head.encode() + body
    for at in range(0, len(data), 1200):
        talk.raw(SERVER, data[at : at + 1200])
        talk.acknowledge(CLIENT)
    talk.finish(SERVER)


def ota_download_404() -> None:
    """The server orders an update, and does not have the file. The device stays on its connection."""
    path = "/static/ota/greenhouse.bin"
    talk = ordered(f"http://{CLOUD}:8080{path}")
    fetch = connected(client_port=50011, start=talk.time + 300 * MILLISECOND)
    download(fetch, path, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b"")
    talk.time = fetch.time + SECOND
    talk.say(CLIENT, write(3, 1, "23.5"))
    talk.acknowledge(SERVER)
    talk.finish()
    keep("ota_download_404", talk, fetch)


def ota_download_returns() -> None:
    """The device downloads its firmware, resets, and logs in with the new build."""
    path = "/static/ota/greenhouse.bin"
    talk = ordered(f"http://{CLOUD}:8080{path}")
    fetch = connected(client_port=50011, start=talk.time + 300 * MILLISECOND)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {len(FIRMWARE)}\r\n\r\n"
    download(fetch, path, head, FIRMWARE)
    talk.time = fetch.time + 500 * MILLISECOND
    talk.packet(CLIENT, "RA")
    back = device(NEW_BUILD, client_port=50012, first=(7_000, 990_000), start=talk.time + 12 * SECOND)
    back.say(CLIENT, write(3, 1, "23.5"))
    back.acknowledge(SERVER)
    back.finish()
    keep("ota_download_returns", talk, fetch, back)


def ota_refused_container() -> None:
    """The URL names an address inside the server's container, where the device reaches no one."""
    talk = ordered("http://172.17.0.2:8080/static/ota/greenhouse.bin")
    fetch = Talk(server="172.17.0.2", client_port=50011, start=talk.time + 300 * MILLISECOND)
    fetch.packet(CLIENT, "S")
    fetch.sent[CLIENT] += 1
    fetch.sent[SERVER] = 0
    fetch.packet(SERVER, "RA")
    talk.time = fetch.time + SECOND
    talk.say(CLIENT, write(3, 1, "23.5"))
    talk.acknowledge(SERVER)
    talk.finish()
    keep("ota_refused_container", talk, fetch)


def ota_upload_without_file() -> None:
    """`curl -F file=firmware.bin`, without the @: the form holds the file's name, and the server fails on it."""
    talk = connected(client="192.0.2.30", client_port=50020)
    boundary = "------------------------d74496d66958873e"
    form = f'--{boundary}\r\nContent-Disposition: form-data; name="file"\r\n\r\nfirmware.bin\r\n--{boundary}--\r\n'
    head = (
        f"POST /admin/ota/start?token={TOKEN.decode()} HTTP/1.1\r\nHost: {CLOUD}:8080\r\n"
        f"Authorization: Basic {b64encode(b'admin@blynk.cc:admin').decode()}\r\nUser-Agent: curl/7.88.1\r\n"
        f"Accept: */*\r\nContent-Length: {len(form)}\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
    )
    talk.raw(CLIENT, head.encode())
    talk.raw(CLIENT, form.encode())
    talk.acknowledge(SERVER)
    text = "Server error."
    reply = f"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
    talk.raw(SERVER, reply.encode() + text.encode())
    talk.acknowledge(CLIENT)
    talk.finish()
    keep("ota_upload_without_file", talk)


# -- TLS

EXPIRED = b64decode("""
MIIBRDCB7KADAgECAgISZzAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9FeGFtcGxlIFJvb3QgQ0EwHhcNMjIwMTAxMDAwMDAwWhcNMjQwMTAxMDAwMDAw
WjAcMRowGAYDVQQDDBFibHluay5leGFtcGxlLmNvbTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGqOb90trUrk0VwSRF1tN4Z2fdwguUzwryv5yOIz
aih0FnIkbmSXXeHt2SM6sGCIDPWdtvDNnQPh3afkJfo+LfKjIDAeMBwGA1UdEQQVMBOCEWJseW5rLmV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0cAMEQC
IFiwpZwQ8dxfsMpZKF/luz2oOKqbKV3BLkLmJLfeR1RGAiBxIBmIn/nzIXSxUNHzLGXkCX1fVA04wCcshJlqBQA82Q==
""")
"""Issued by "Example Root CA" for blynk.example.com, valid in 2022 and 2023. Its key was thrown away."""
CHANGE_CIPHER, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
TLS_1_0, TLS_1_2 = 0x0301, 0x0303
MODERN = (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0x00FF)
OLD = (0x0035, 0x002F, 0x000A, 0x0005, 0x0004)


def counted(width: int, data: bytes) -> bytes:
    return len(data).to_bytes(width, "big") + data


def record(kind: int, data: bytes, version: int = TLS_1_2) -> bytes:
    return bytes([kind]) + version.to_bytes(2, "big") + counted(2, data)


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + counted(3, body)


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def extension(kind: int, content: bytes) -> bytes:
    return numbers(kind) + counted(2, content)


def client_hello(
    name: str | None, ciphers: tuple[int, ...] = MODERN, *, version: int = TLS_1_2, newest: bool = False
) -> bytes:
    """A ClientHello in its record."""
    extensions = extension(0, counted(2, b"\0" + counted(2, name.encode()))) if name else b""
    extensions += extension(10, counted(2, numbers(0x1D, 0x17, 0x18))) + extension(11, b"\1\0")
    if version == TLS_1_2:
        extensions += extension(13, counted(2, numbers(0x0403, 0x0804, 0x0401, 0x0503, 0x0501)))
    if newest:
        extensions += extension(43, counted(1, numbers(0x0304, TLS_1_2)))
    body = numbers(version) + noise(f"random of {name}", 32) + b"\0"
    body += counted(2, numbers(*ciphers)) + b"\1\0" + counted(2, extensions)
    return record(HANDSHAKE, message(1, body), TLS_1_0)


def server_flight(certificate: bytes) -> list[bytes]:
    """ServerHello, Certificate, ServerKeyExchange and ServerHelloDone of TLS 1.2, a record each."""
    hello = numbers(TLS_1_2) + noise("random of the server", 32) + counted(1, noise("session", 32)) + numbers(0xC02B)
    hello += b"\0" + counted(2, extension(0xFF01, b"\0"))
    key = b"\3" + numbers(0x17) + counted(1, b"\4" + noise("point", 64)) + numbers(0x0403)
    key += counted(2, noise("signature", 70))
    bodies = ((2, hello), (11, counted(3, counted(3, certificate))), (12, key), (14, b""))
    return [record(HANDSHAKE, message(kind, body)) for kind, body in bodies]


def alert(number: int, version: int = TLS_1_2) -> bytes:
    return record(ALERT, bytes([2, number]), version)


def tls_on_plain_port() -> None:
    """A TLS client on port 8080: the server reads 0x16 as a command, and closes."""
    talk = connected()
    talk.raw(CLIENT, client_hello("ny3.blynk.cloud", newest=True))
    talk.acknowledge(SERVER)
    talk.finish(SERVER)
    keep("tls_on_plain_port", talk)


def refused_hello(name: str, hello: bytes, number: int, version: int = TLS_1_2) -> None:
    """The server answers a ClientHello with an alert."""
    talk = connected(server_port=443)
    talk.raw(CLIENT, hello)
    talk.raw(SERVER, alert(number, version))
    talk.acknowledge(CLIENT)
    talk.finish(SERVER)
    keep(name, talk)


def tls_alerts() -> None:
    """The alerts that devices meet: no cipher suite in common, an unknown CA, an old version, an unknown name."""
    refused_hello("tls_alert_handshake_failure", client_hello("ny3.blynk.cloud", OLD), 40)
    refused_hello(
        "tls_alert_protocol_version", client_hello("ny3.blynk.cloud", OLD, version=TLS_1_0), 70, version=TLS_1_0
    )
    refused_hello("tls_alert_unrecognized_name", client_hello("blynk.example.net", newest=True), 112)
    talk = connected(server_port=443)
    talk.raw(CLIENT, client_hello("blynk.example.com"))
    for part in server_flight(EXPIRED):
        talk.raw(SERVER, part)
    talk.raw(CLIENT, alert(48))
    talk.acknowledge(SERVER)
    talk.finish(CLIENT)
    keep("tls_alert_unknown_ca", talk)


def tls12_expired_certificate() -> None:
    """The server's certificate has expired, and the device goes on: it does not look at it."""
    talk = connected(server_port=443)
    talk.raw(CLIENT, client_hello("blynk.example.com"))
    flight = b"".join(server_flight(EXPIRED))
    talk.raw(SERVER, flight[:536])
    talk.raw(SERVER, flight[536:])
    talk.acknowledge(CLIENT)
    change, finished = record(CHANGE_CIPHER, b"\1"), record(HANDSHAKE, bytes(8) + noise("finished", 32))
    exchange = record(HANDSHAKE, message(16, counted(1, b"\4" + noise("other point", 64))))
    talk.raw(CLIENT, exchange + change + finished)
    talk.raw(SERVER, change + finished)
    talk.raw(CLIENT, record(DATA, bytes(7) + b"\1" + noise("login", 53)))
    talk.raw(SERVER, record(DATA, bytes(7) + b"\1" + noise("answer", 21)))
    talk.acknowledge(CLIENT)
    talk.raw(CLIENT, record(ALERT, bytes(7) + b"\2" + noise("close", 18)))
    talk.finish()
    keep("tls12_expired_certificate", talk)


# -- other clouds and protocols


def particle() -> Talk:
    return connected(server_port=5683)


def particle_refused_after_key() -> None:
    """The server closes after the device's key message: it knows another key of this device."""
    talk = particle()
    talk.raw(SERVER, noise("nonce", 40))
    talk.raw(CLIENT, noise("key", 256))
    talk.acknowledge(SERVER)
    talk.finish(SERVER)
    keep("particle_refused_after_key", talk)


def particle_no_nonce() -> None:
    """The server accepts the connection and says nothing; the device gives up after its timeout."""
    talk = particle()
    talk.packet(CLIENT, "FA", after=20_000)
    talk.sent[CLIENT] += 1
    talk.packet(SERVER, "FA")
    talk.sent[SERVER] += 1
    talk.acknowledge(CLIENT)
    keep("particle_no_nonce", talk)


def particle_closed_early() -> None:
    """The server closes inside its session message."""
    talk = particle()
    talk.raw(SERVER, noise("nonce", 40))
    talk.raw(CLIENT, noise("key", 256))
    talk.raw(SERVER, noise("session", 100))
    talk.acknowledge(CLIENT)
    talk.finish(SERVER)
    keep("particle_closed_early", talk)


def mqtt_on_8080() -> None:
    """An MQTT client on the port of the device protocol; the server closes without a word."""
    talk = connected()
    body = counted(2, b"MQTT") + b"\4\xc2\0\x2d" + counted(2, b"") + counted(2, b"device") + counted(2, TOKEN)
    talk.raw(CLIENT, b"\x10" + counted(1, body))
    talk.acknowledge(SERVER)
    talk.finish(SERVER)
    keep("mqtt_on_8080", talk)


# -- names


def datagram(time: int, dns: Layer, *, reply: bool = False) -> Captured:
    """A DNS message between the device and its resolver."""
    ends = (RESOLVER, DEVICE) if reply else (DEVICE, RESOLVER)
    macs = (GATEWAY_MAC, DEVICE_MAC) if reply else (DEVICE_MAC, GATEWAY_MAC)
    ports = (53, 50053) if reply else (50053, 53)
    layer = Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1], id=1) / UDP(sport=ports[0], dport=ports[1])
    return captured(time, bytes(layer / dns))


def asked(time: int, name: str, ident: int) -> Captured:
    return datagram(time, DNS(id=ident, rd=1, qd=[DNSQR(qname=name)]))


def dns_nxdomain() -> None:
    """The legacy cloud's name does not exist any more; the device asks again and never connects."""
    packets = []
    for turn in range(3):
        time = START + turn * 5 * SECOND
        packets.append(asked(time, "blynk-cloud.com", 0x100 + turn))
        reply = DNS(id=0x100 + turn, qr=1, rd=1, ra=1, rcode=3, qd=[DNSQR(qname="blynk-cloud.com")])
        packets.append(datagram(time + 20 * MILLISECOND, reply, reply=True))
    keep("dns_nxdomain", beside=tuple(packets))


def dns_unanswered() -> None:
    """No one answers when the device asks for the server's name."""
    packets = [asked(START + turn * 5 * SECOND, "blynk-cloud.com", 0x200 + turn) for turn in range(3)]
    keep("dns_unanswered", beside=tuple(packets))


def dns_then_no_answer() -> None:
    """The name has an address, behind an alias, and no one answers there: the SYN is sent four times."""
    name, real = "ny3.blynk.cloud", "edge.blynk.example.net"
    records = [DNSRR(rrname=name, type="CNAME", rdata=real, ttl=60), DNSRR(rrname=real, rdata=CLOUD, ttl=60)]
    reply = DNS(id=0x300, qr=1, rd=1, ra=1, qd=[DNSQR(qname=name)], an=records)
    packets = (asked(START, name, 0x300), datagram(START + 30 * MILLISECOND, reply, reply=True))
    talk = Talk(start=START + 50 * MILLISECOND)
    for wait in (10, 1000, 2000, 4000):
        talk.packet(CLIENT, "S", after=wait)
    keep("dns_then_no_answer", talk, beside=packets)


ALL = (
    ota_download_404, ota_download_returns, ota_refused_container, ota_upload_without_file, tls_on_plain_port,
    tls_alerts, tls12_expired_certificate, particle_refused_after_key, particle_no_nonce, particle_closed_early,
    mqtt_on_8080, dns_nxdomain, dns_unanswered, dns_then_no_answer,
)  # fmt: skip
