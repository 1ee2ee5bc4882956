"""The bytes of a frame from what the analysis says of it, and the WebSocket that carries frames of the web dialect."""

from __future__ import annotations

import base64
import re
import struct
from hashlib import sha1

from blynkscope.analysis.records import FrameRecord, Observed
from blynkscope.protocol.commands import RESPONSE
from blynkscope.protocol.derived import HEADER_STRUCTS, WORD_STRUCTS
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.paths import DASHBOARD_PATH

_KEY = base64.b64encode(b"blynkscope makes").decode()
"""Sec-WebSocket-Key: 16 bytes, which need not be random where nobody can be deceived."""
_ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PATH = re.compile(r"/[!-~]{0,511}")
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
_BINARY = 0x82
_MASKED = 0x80


def frame_bytes(frame: Observed | FrameRecord) -> tuple[bytes, str]:
    """A frame as it was on the wire, and what a reader should know about it where that is not all.

    A log may leave a body or a status out; then the header tells what is there, so that the next frame is found.
    """
    status: int | None
    told: int | None
    if isinstance(frame, Observed):
        dialect, body = Dialect(frame.facts.dialect), frame.body
        status = told = frame.word if frame.word >= 0 else None
    else:
        dialect, body = Dialect(frame.dialect), bytes.fromhex(frame.body)
        status, told = frame.status, frame.length
    header = HEADER_STRUCTS[dialect]
    if frame.cmd == RESPONSE:
        note = "its status is not in the log; 0 stands for it" if status is None else ""
        if dialect is Dialect.WEB:
            return header.pack(frame.cmd, frame.id) + WORD_STRUCTS[dialect].pack(status or 0) + body, note
        return header.pack(frame.cmd, frame.id, status or 0), note
    if dialect is Dialect.WEB:
        return header.pack(frame.cmd, frame.id) + body, ""
    note = f"the log shows {len(body)} of {told} bytes of its body" if told is not None and told != len(body) else ""
    return header.pack(frame.cmd, frame.id, len(body)) + body, note


def upgrade_request(path: str, host: str) -> bytes:
    """The request that a client opens a WebSocket with. What no path or host may hold is left out."""
    path = path if _PATH.fullmatch(path) else DASHBOARD_PATH
    host = host if _HOST.fullmatch(host) else "unknown.invalid"
    text = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return text.encode("ascii")


def upgrade_answer() -> bytes:
    """The server's answer to it."""
    accept = base64.b64encode(sha1((_KEY + _ACCEPT_SUFFIX).encode(), usedforsecurity=False).digest()).decode()
    text = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    return text.encode("ascii")


def web_message(data: bytes, *, masked: bool) -> bytes:
    """A binary message of one frame. A client's is masked with zeros, which leave it readable."""
    size = len(data)
    mask = _MASKED if masked else 0
    if size < 126:
        head = struct.pack(">BB", _BINARY, mask | size)
    elif size <= 0xFFFF:
        head = struct.pack(">BBH", _BINARY, mask | 126, size)
    else:
        head = struct.pack(">BBQ", _BINARY, mask | 127, size)
    return head + (bytes(4) if masked else b"") + data
