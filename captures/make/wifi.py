"""An encrypted Wi-Fi network (WPA2-PSK with CCMP, IEEE 802.11i): what a monitor interface hears when a device joins."""

from __future__ import annotations

import hashlib
import hmac
from itertools import count
from struct import pack

from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from files import captured, pcap, save
from links import ACCESS_POINT, DEVICE_MAC, DLT_WIFI, wifi
from scapy.layers.dot11 import Dot11, Dot11Beacon
from scapy.packet import Raw
from talk import MILLISECOND, START, whole

SSID = b'made "net": 50%'
"""A name with everything that a careless program trips over."""
PASS_PHRASE = b"pass,phrase:\\ 100%"

RSN = bytes.fromhex("30140100000fac040100000fac040100000fac020000")
"""Information element: CCMP for the group and each station, pre-shared key."""
AP, STATION = (bytes.fromhex(address.replace(":", "")) for address in (ACCESS_POINT, DEVICE_MAC))
AP_NONCE, STATION_NONCE = (hashlib.sha256(name).digest() for name in (b"access point", b"station"))
GROUP_KEY = hashlib.sha256(b"group").digest()[:16]
FROM_AP, FROM_STATION = 2, 1

PAIRWISE, INSTALL, ACK, MIC, SECURE, ENCRYPTED = 0x0008, 0x0040, 0x0080, 0x0100, 0x0200, 0x1000
HMAC_SHA1_AES = 2


def pairwise_keys() -> tuple[bytes, bytes, bytes]:
    """Keys for confirmation, for key encryption, and for the data."""
    master = hashlib.pbkdf2_hmac("sha1", PASS_PHRASE, SSID, 4096, 32)
    seed = b"Pairwise key expansion\0" + min(AP, STATION) + max(AP, STATION)
    seed += min(AP_NONCE, STATION_NONCE) + max(AP_NONCE, STATION_NONCE)
    stream = b"".join(hmac.digest(master, seed + bytes([number]), "sha1") for number in range(3))
    return stream[:16], stream[16:32], stream[32:48]


CONFIRMATION, KEY_ENCRYPTION, TEMPORAL = pairwise_keys()


def management(body: bytes) -> bytes:
    head = Dot11(type=0, subtype=8, addr1="ff:ff:ff:ff:ff:ff", addr2=ACCESS_POINT, addr3=ACCESS_POINT, SC=0)
    return bytes(head / Dot11Beacon(timestamp=1, beacon_interval=100, cap=0x11) / Raw(body))


def eapol(way: int, information: int, replay: int, nonce: bytes, data: bytes = b"") -> bytes:
    """One message of the four-way handshake in a data frame."""
    length = 16 if way == FROM_AP else 0
    head = pack(">BHHQ32s16s8s8s", 2, information | HMAC_SHA1_AES, length, replay, nonce, b"", b"", b"")
    tail = pack(">H", len(data)) + data
    outer = pack(">BBH", 2, 3, len(head) + 16 + len(tail))
    code = hmac.digest(CONFIRMATION, outer + head + bytes(16) + tail, "sha1")[:16] if information & MIC else bytes(16)
    frame = Dot11(type=2, subtype=0, FCfield=way, SC=replay << 4)
    frame.addr1, frame.addr2, frame.addr3 = (
        (DEVICE_MAC, ACCESS_POINT, ACCESS_POINT) if way == FROM_AP else (ACCESS_POINT, DEVICE_MAC, ACCESS_POINT)
    )
    return bytes(frame) + b"\xaa\xaa\x03\0\0\0\x88\x8e" + outer + head + code + tail


def four_way() -> list[bytes]:
    group = b"\xdd\x16\x00\x0f\xac\x01\x01\0" + GROUP_KEY
    secret = RSN + group
    secret += b"\xdd".ljust(-len(secret) % 8, b"\0") if len(secret) % 8 else b""
    return [
        eapol(FROM_AP, PAIRWISE | ACK, 1, AP_NONCE),
        eapol(FROM_STATION, PAIRWISE | MIC, 1, STATION_NONCE, RSN),
        eapol(
            FROM_AP, PAIRWISE | INSTALL | ACK | MIC | SECURE | ENCRYPTED, 2, AP_NONCE,
            aes_key_wrap(KEY_ENCRYPTION, secret),
        ),
        eapol(FROM_STATION, PAIRWISE | MIC | SECURE, 2, bytes(32)),
    ]  # fmt: skip


def ccmp(frame: bytes, number: int) -> bytes:
    """A plain data frame, encrypted; `number` is the packet number, which each sender counts."""
    quality = bool(frame[0] & 0x80)
    size = 26 if quality else 24
    head, load = bytearray(frame[:size]), frame[size:]
    head[1] |= 0x40
    priority = head[24] & 0x0F if quality else 0
    pn = number.to_bytes(6, "big")
    nonce = bytes([priority]) + head[10:16] + pn
    known = bytes([head[0] & 0x8F, head[1] & 0xC7]) + head[4:22] + bytes([head[22] & 0x0F, 0])
    known += bytes([priority, 0]) if quality else b""
    sealed = AESCCM(TEMPORAL, tag_length=8).encrypt(nonce, load, known)
    return bytes(head) + bytes([pn[5], pn[4], 0, 0x20]) + pn[3::-1] + sealed


def wifi_wpa2() -> None:
    talk = whole()
    for row in talk.truth:
        row["event"] = "encrypted"
    packets = [captured(START, management(b"\0" + bytes([len(SSID)]) + SSID + RSN))]
    packets += [captured(START + place * MILLISECOND, frame) for place, frame in enumerate(four_way(), 1)]
    numbers = {True: count(1), False: count(1)}
    for packet in talk.packets:
        packets.append(captured(packet.time, ccmp(wifi(packet), next(numbers[packet.to_server]))))
    save("wifi_wpa2.pcap", pcap(packets, DLT_WIFI), talk)


ALL = (wifi_wpa2,)
