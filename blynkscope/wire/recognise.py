"""What does this direction speak? Told from its first bytes, not from its port.

`classify` looks at a growing prefix and answers with a `Guess`, or with None while more bytes are needed. The answer
depends on the bytes alone: fed whole or byte by byte it is the same.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Any

import msgspec

from blynkscope.protocol import derived, limits, tls
from blynkscope.protocol.frames import HEADER_SIZE
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.statuses import SUCCESS
from blynkscope.wire.websocket_search import believable_start


class Guess(msgspec.Struct, frozen=True):
    """What a run of bytes is.

    `kind` is one of hardware, app, tls, http, websocket, mqtt, particle, ssh, text, unknown. `label` names it in a few
    words, `detail` holds facts, `advice` says what to do about it where Blynk was expected.
    """

    kind: str
    label: str
    detail: dict[str, Any] = {}
    advice: str = ""

    @property
    def is_blynk(self) -> bool:
        """True for the dialects whose frames can be cut from the bytes as they are."""
        return self.kind in {"hardware", "app"}


WEB = Guess("web", "Blynk, web dialect")
HARDWARE = Guess("hardware", "Blynk, hardware dialect")
APP = Guess("app", "Blynk, app dialect")

_TLS_ADVICE = (
    "These are TLS records, not Blynk frames: the Blynk bytes are encrypted inside, and a key log opens them "
    "(--keylog). In a program's own log it means that the program reads the socket underneath its TLS layer: wrap the "
    "socket (ssl.wrap_socket, WiFiClientSecure, the modem's SSL mode) and read from the wrapped one, or use the plain "
    "port 80 or 8080 without TLS."
)
_ALERT_CUT_ADVICE = "One side ends the TLS connection; the byte that says why comes next and is not here."
_HTTP_ADVICE = "This is HTTP: the REST API, a firmware download or a web page, not the device protocol."
_WEBSOCKET_ADVICE = "Blynk frames travel inside binary WebSocket messages here; the path is /websockets for devices."
_MQTT_ADVICE = "This is MQTT. Blynk IoT speaks it on ports 1883 and 8883; the Blynk device protocol is another one."
_PARTICLE_ADVICE = (
    "This is the Particle cloud handshake, not Blynk. Where the server closes after the device's 256 bytes, it knows "
    "another device key, or the device another server key: run `particle keys doctor` and `particle keys server`."
)
_SSH_ADVICE = "This is SSH: the port leads to another service."
_TEXT_ADVICE = "This is text on a line that should carry Blynk frames only; it shifts the framing of what follows."

_REQUEST = re.compile(
    rb"[A-Z]{3,16} [^\r\n]{1,4000}? HTTP/\d|(?:GET|PUT|POST|HEAD|DELETE|OPTIONS|PATCH|CONNECT|TRACE) "
)
_UPGRADE = re.compile(rb"\r?\nupgrade:[ \t]*websocket", re.IGNORECASE)
_HEAD_END = re.compile(rb"\n\r?\n")
"""Firmware written by hand ends lines with LF alone."""
_HEAD_MAX = 4096
_PRINTABLE = frozenset(b"\t\r\n" + bytes(range(0x20, 0x7F)))
_TEXT_PROOF = 8
_MQTT_NAMES = (b"\x00\x04MQTT", b"\x00\x06MQIsdp")


def _tls(prefix: bytes) -> Guess:
    kind, _, minor, high, low = prefix[:5]
    label = f"TLS {tls.TYPES[kind]}"
    detail: dict[str, Any] = {
        "content_type": tls.TYPES[kind],
        "record_version": tls.VERSIONS[minor],
        "record_length": high << 8 | low,
    }
    if kind == tls.HANDSHAKE and len(prefix) > 5 and prefix[5] in tls.HANDSHAKES:
        detail["handshake"] = tls.HANDSHAKES[prefix[5]]
        label = f"TLS {tls.HANDSHAKES[prefix[5]]}"
    if (alert := tls.alert_of(prefix)) is not None:
        level, number = alert
        detail["level"] = tls.LEVELS[level]
        label = f"TLS alert: {tls.LEVELS[level]}"
        if number is not None:
            detail |= {"alert": number, "alert_name": tls.alert_name(number)}
            cause = tls.cause_of(number)
            return Guess("tls", f"{label} {tls.alert_name(number)} ({number})", detail, cause)
        return Guess("tls", label, detail, _ALERT_CUT_ADVICE)
    return Guess("tls", label, detail, _TLS_ADVICE)


def _maybe_tls(prefix: bytes, final: bool) -> Guess | bool | None:
    """A Guess; False if it is none; None while undecided."""
    if prefix[0] not in tls.TYPES:
        return False
    if len(prefix) > 1 and prefix[1] != 3:
        return False
    if len(prefix) > 2 and prefix[2] not in tls.VERSIONS:
        return False
    if len(prefix) < 6:
        if not final:
            return None
        # 17 03 03 00 1d alone: five bytes read as a header by a program that expected a frame.
        return _tls(prefix) if len(prefix) == 5 else False
    kind, length, first = prefix[0], prefix[3] << 8 | prefix[4], prefix[5]
    if not 0 < length <= tls.RECORD_MAX:
        return False
    sound = {
        0x14: length == 1 and first == 1,
        0x15: (length == tls.ALERT_SIZE and first in tls.LEVELS) or (length > 2 and first not in b"bte"),
        0x16: length >= 4 and first <= 24,
        0x17: True,
    }[kind]
    if sound and kind == tls.ALERT and length == tls.ALERT_SIZE and len(prefix) == 6 and not final:
        # The reason, which the name of an alert holds, is the next byte.
        return None
    return _tls(prefix) if sound else False


def _http(prefix: bytes, final: bool) -> Guess | None:
    found = _HEAD_END.search(prefix, 0, _HEAD_MAX)
    if found is None and len(prefix) < _HEAD_MAX and not final:
        return None
    head = prefix[: found.start() if found is not None else _HEAD_MAX]
    line = head.split(b"\n", 1)[0].strip().decode("ascii", "backslashreplace")
    answer = head.startswith(b"HTTP/")
    upgrade = _UPGRADE.search(head) is not None
    detail = {"status_line" if answer else "request": line[:200]}
    if upgrade:
        return Guess("websocket", "WebSocket upgrade", detail, _WEBSOCKET_ADVICE)
    return Guess("http", "HTTP answer" if answer else "HTTP request", detail, _HTTP_ADVICE)


def _text(prefix: bytes, final: bool) -> Guess | None:
    if prefix.startswith(b"HTTP/") or _REQUEST.match(prefix, 0, limits.RECOGNISE_WINDOW):
        return _http(prefix, final)
    end = prefix.find(b"\n", 0, limits.RECOGNISE_WINDOW)
    if end < 0:
        if len(prefix) < limits.RECOGNISE_WINDOW and not final:
            return None
        end = min(len(prefix), limits.RECOGNISE_WINDOW)
    line = prefix[:end].strip().decode("ascii", "backslashreplace")
    if line.startswith("SSH-"):
        return Guess("ssh", "SSH", {"banner": line[:200]}, _SSH_ADVICE)
    if line.startswith("OK+"):
        return Guess("text", "BLE module text (HM-10)", {"line": line[:200]}, _TEXT_ADVICE + " Send AT+NOTI0 once.")
    if line.startswith(("AT+", "+IPD", "SEND OK", "ATE", "+C")):
        return Guess("text", "AT modem chatter", {"line": line[:200]}, _TEXT_ADVICE)
    return Guess("text", "plain text", {"line": line[:200]}, _TEXT_ADVICE)


def _maybe_mqtt(prefix: bytes, final: bool) -> Guess | bool | None:
    if prefix[0] != 0x10:
        return False
    at = 1
    while at < min(len(prefix), 4) and prefix[at] & 0x80:
        at += 1
    name = prefix[at + 1 : at + 9]
    for wanted in _MQTT_NAMES:
        if name.startswith(wanted):
            return Guess("mqtt", "MQTT CONNECT", {"protocol_name": wanted[2:].decode()}, _MQTT_ADVICE)
        if not final and wanted.startswith(name):
            return None
    return False


def _maybe_websocket(prefix: bytes, final: bool) -> Guess | bool | None:
    """Frames of WebSocket whose upgrade was not seen. No command of Blynk begins with such a byte."""
    if prefix[0] < 0x80:
        return False
    dialect = believable_start(prefix)
    if dialect is None:
        return False if final else None
    if not dialect:
        return False
    detail = {"frames": dialect.value, "masked": prefix[1] >= 0x80}
    return Guess("websocket", "WebSocket frames", detail, _WEBSOCKET_ADVICE)


def _believable(prefix: bytes, dialect: Dialect, at: int = 0) -> bool:
    cmd: int
    word: int
    cmd, _, word = derived.HEADER_STRUCTS[dialect].unpack_from(prefix, at)
    if not cmd:
        return word in derived.KNOWN_STATUSES
    return word <= derived.longest_bodies(dialect)[cmd]


def _blynk(prefix: bytes, final: bool) -> Guess | bool | None:
    """Hardware or app dialect, by the headers."""
    short, long = HEADER_SIZE[Dialect.HARDWARE], HEADER_SIZE[Dialect.APP]
    size = len(prefix)
    if size < short:
        if not final:
            return None
        known = derived.longest_bodies(Dialect.HARDWARE)[prefix[0]] >= 0
        return HARDWARE if known and size > 2 else False
    hardware = _believable(prefix, Dialect.HARDWARE)
    # In the app dialect the upper half of the 32-bit word is zero: no first message is 64 KiB long.
    if prefix[3] or prefix[4]:
        return HARDWARE if hardware else False
    if size < long:
        if not final:
            return None
        return HARDWARE if hardware or size == short else False
    app = _believable(prefix, Dialect.APP)
    if hardware and app:
        if size < 2 * short and not final:
            return None
        if size == short:
            return HARDWARE
        follows = size >= 2 * short and _believable(prefix, Dialect.HARDWARE, short)
        if (
            follows
            and not prefix[short]
            and derived.WORD_STRUCTS[Dialect.HARDWARE].unpack_from(prefix, short + 3)[0] != SUCCESS
        ):
            # No side sends an error behind a frame without a body; in the app dialect the same bytes are the next
            # command and its id.
            follows = derived.longest_bodies(Dialect.APP)[prefix[long]] < 0
        return HARDWARE if follows else APP
    return HARDWARE if hardware else (APP if app else False)


def classify(prefix: bytes, *, final: bool = False) -> Guess | None:
    """What the direction speaks that begins with `prefix`.

    Args:
        prefix: The first bytes; beyond some thousand more of them change nothing.
        final: True where no more will come.

    Returns:
        A guess (kind "unknown" where nothing fits), or None while more bytes are needed and `final` is False.
    """
    if not prefix:
        return Guess("unknown", "nothing") if final else None
    for rule in (_maybe_tls, _maybe_mqtt, _maybe_websocket):
        verdict = rule(prefix, final)
        if verdict is not False:
            return verdict if isinstance(verdict, Guess) else None
    head = prefix[:_TEXT_PROOF]
    if all(byte in _PRINTABLE for byte in head):
        if len(head) == _TEXT_PROOF or final:
            return _text(prefix, final)
        return None
    verdict = _blynk(prefix, final)
    if isinstance(verdict, Guess):
        return verdict
    if verdict is None:
        return None
    if final and len(prefix) == 40:
        label = "40 bytes without structure, as a Particle nonce is"
        return Guess("unknown", label, {}, "A Particle cloud server begins with 40 such bytes. " + _PARTICLE_ADVICE)
    return Guess("unknown", "unknown bytes")


def decisive(prefix: bytes) -> int:
    """How many of these first bytes it took to tell what they are; all of them where only their end told."""
    return bisect_left(range(len(prefix)), True, key=lambda size: size > 0 and classify(prefix[:size]) is not None)


def name_bytes(data: bytes) -> Guess:
    """The name of bytes that are all there is: skipped ones, or pasted ones."""
    guess = classify(data, final=True)
    assert guess is not None
    return guess


def begun_by_client(guess: Guess) -> bool:
    """Is this how a client begins, whatever the ports say?"""
    return (
        guess.detail.get("handshake") == "ClientHello"
        or "request" in guess.detail
        or guess.label == "MQTT CONNECT"
        or guess.detail.get("masked") is True
    )


MQTT = Guess("mqtt", "MQTT (by its peer)", {}, _MQTT_ADVICE)
PARTICLE = Guess("particle", "Particle cloud handshake", {}, _PARTICLE_ADVICE)
UNKNOWN = Guess("unknown", "unknown protocol")
