"""What tshark is told: every argument is checked or encoded, so that none can become another one.

tshark runs with a home and a configuration folder of its own: a user's preferences, disabled protocols and plug-ins
(the Blynk dissector among them, which would take the bytes that we want) must not decide what is decoded. Pass phrases
go into a file in that folder, which only the user can read, and not into the arguments, which everybody can.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from blynkscope.protocol.ports import TLS_PORTS

MQTT_TLS_PORT = 8883

FIELDS = (
    "frame.time_epoch", "frame.cap_len", "frame.protocols", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport",
    "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.len", "tcp.payload", "udp.srcport", "udp.dstport",
    "udp.payload", "tls.record.version", "tls.record.length", "tls.record.opaque_type", "tls.app_data", "data.data",
    "wlan.fc.protected",
)  # fmt: skip
"""Fields that tshark writes for each packet: numbers, addresses and hexadecimal digits, never text of the wire. They
have the same names in all versions from 3.6 on."""

_PREFERENCES = {
    # What a record or a frame needs of earlier segments is waited for, in whatever order they come.
    "tcp.desegment_tcp_streams": "TRUE",
    "tcp.reassemble_out_of_order": "TRUE",
    "tls.desegment_ssl_records": "TRUE",
    "tls.desegment_ssl_application_data": "TRUE",
    "ip.defragment": "TRUE",
    "ipv6.defragment": "TRUE",
    # TLS is found on any port by its first bytes.
    "tcp.try_heuristic_first": "TRUE",
    # With offload a host's own packets have wrong checksums.
    "tcp.check_checksum": "FALSE",
    "ip.check_checksum": "FALSE",
    "udp.check_checksum": "FALSE",
}

_UPPER_PROTOCOLS = ("http", "http2", "websocket", "mqtt", "mq", "fix", "aim", "sip", "rtsp", "smtp", "imap")
"""Dissectors that would take decrypted bytes: switched off, the bytes come raw, record by record."""

_PREFERENCE_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
_DECODE_AS = re.compile(r"[A-Za-z0-9_.]{1,64}(?:==[A-Za-z0-9_.:,\-]{1,64})?,[A-Za-z0-9_.\-]{1,64}")
_RAW_KEY = re.compile(r"[0-9A-Fa-f]{64}")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def wpa_key(word: str) -> str:
    """A line of Wireshark's file of 802.11 keys.

    Args:
        word: `passphrase:ssid`, `passphrase` (for the network whose beacon came last), or 64 hexadecimal digits (the
            key itself). A colon or a percent sign inside of either is written `%3A` and `%25`.

    Raises:
        ValueError: It is none of these; the text does not repeat it.
    """
    if _RAW_KEY.fullmatch(word):
        return f'"wpa-psk","{word.lower()}"\n'
    phrase, colon, network = word.partition(":")
    if _BAD_PERCENT.search(word):
        raise ValueError("a percent sign in a pass phrase or network name is written %25")
    secret, ssid = unquote_to_bytes(phrase), unquote_to_bytes(network)
    if not 8 <= len(secret) <= 63:
        raise ValueError("a WPA pass phrase has 8 to 63 characters, and a key is 64 hexadecimal digits")
    if len(ssid) > 32 or (colon and not ssid):
        raise ValueError("a network name (SSID) has 1 to 32 bytes")
    # Every byte but letters and digits is encoded: neither the file's quotes nor its separators can be forged.
    both = [quote(part, safe="") for part in ((secret, ssid) if colon else (secret,))]
    return f'"wpa-pwd","{":".join(both)}"\n'


def write_wpa_keys(folder: Path, words: Sequence[str]) -> None:
    """Put the keys where tshark reads them.

    Raises:
        ValueError: One of them is no pass phrase and no key.
    """
    lines = [wpa_key(word) for word in words]
    descriptor = os.open(folder / "80211_keys", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.writelines(lines)


def checked_decode_as(rule: str) -> str:
    """A rule such as `tcp.port==8888,tls`.

    Raises:
        ValueError: It does not have that form.
    """
    if not _DECODE_AS.fullmatch(rule):
        raise ValueError(f"decode-as rules look like tcp.port==8888,tls, not {rule!r}")
    return rule


def checked_preference(name: str, value: str) -> str:
    """A preference as `-o` takes it.

    Raises:
        ValueError: The name is no preference's, or the value has several lines.
    """
    if not _PREFERENCE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a Wireshark preference")
    if not value.isprintable():
        raise ValueError(f"the value of the Wireshark preference {name} has characters that are not printable")
    return f"{name}:{value}"


def arguments(
    *, keylog: Path | None, decode_as: Sequence[str], wifi: bool, preferences: Mapping[str, str]
) -> list[str]:
    """The arguments of tshark, but for those that pyshark gives.

    Raises:
        ValueError: A rule or a preference is malformed.
    """
    made: list[str] = []
    settings = dict(_PREFERENCES)
    if wifi:
        settings["wlan.enable_decryption"] = "TRUE"
    if keylog is not None:
        settings["tls.keylog_file"] = os.path.abspath(keylog)
    for name, value in {**settings, **preferences}.items():
        made += ["-o", f"{name}:{value}" if settings.get(name) == value else checked_preference(name, value)]
    for protocol in _UPPER_PROTOCOLS:
        made += ["--disable-protocol", protocol]
    for port in sorted(TLS_PORTS | {MQTT_TLS_PORT}):
        made += ["-d", f"tcp.port=={port},tls", "-d", f"tls.port=={port},data"]
    for rule in decode_as:
        made += ["-d", checked_decode_as(rule)]
    for name in FIELDS:
        made += ["-e", name]
    return made
