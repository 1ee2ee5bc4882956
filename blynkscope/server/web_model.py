"""What the HTTP side of the server hands around: requests, answers, and the names of pins in URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

import msgspec

from blynkscope.protocol.rest import PARAMETERS_MAX

JSON = "application/json;charset=utf-8"
TEXT = "text/plain;charset=utf-8"
PIN_MAX = 255
"""The greatest pin that the servers take."""
WRITE_MAX = 60_000
"""Bytes of the values of one write: what a frame of a device holds (65535), with space for the dashboard's and the
device's number before them in the frames of apps."""
UNKNOWN = -1
"""The length of a body that nobody knows before it is made."""
_PIN = re.compile(r"([vVdDaA])(\d{1,3})")


class Request(msgspec.Struct, frozen=True):
    """A call, with its whole body (that of an upload is elsewhere).

    `path` and `query` are raw; `headers` have names in lower case, of repeated ones the first. `secure` is true inside
    of TLS.
    """

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    secure: bool
    body: bytes = b""

    @property
    def host(self) -> str:
        """What the call was addressed to, as `host[:port]`; empty where it does not say so in plain characters."""
        return self.header(b"host")

    def header(self, name: bytes) -> str:
        """Value of a header; empty where it is not there."""
        return self.headers.get(name, b"").decode("latin-1")

    def pairs(self) -> list[tuple[str, str]] | None:
        """Parameters of the query, decoded; None where there are more than anybody sends."""
        return parameters(self.query)


class Answer(msgspec.Struct, frozen=True):
    """What goes back: a body as bytes, or one of `length` bytes that is made piece by piece.

    `stream` gives at most `length` bytes; where it gives fewer the connection is cut off, so that nobody takes a part
    for the whole. Of `UNKNOWN` length it goes in chunks, and none of its pieces is empty. `close` ends the connection
    behind it.
    """

    status: int
    body: bytes = b""
    kind: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    stream: Iterator[bytes] | None = None
    length: int = 0
    close: bool = False

    @property
    def size(self) -> int:
        """Bytes of the body, or `UNKNOWN`."""
        return self.length if self.stream is not None else len(self.body)


class Pin(msgspec.Struct, frozen=True):
    """A pin that a URL names: its kind (`v`, `d`, `a`) and its number, both as in frames."""

    kind: bytes
    number: bytes

    @property
    def key(self) -> bytes:
        """Its key in the store: `v1`."""
        return self.kind + self.number

    @property
    def op(self) -> bytes:
        """What frames that write it begin with: `vw`."""
        return self.kind + b"w"


def pin(name: str | None) -> Pin | None:
    """The pin of a name like `V1`; None where it is no pin."""
    found = _PIN.fullmatch(name or "")
    if found is None or not found[2].isascii() or int(found[2]) > PIN_MAX:
        return None
    return Pin(found[1].lower().encode(), str(int(found[2])).encode())


def parameters(query: str) -> list[tuple[str, str]] | None:
    """The parameters of a query, decoded; one without `=` has an empty value. None where there are too many."""
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=PARAMETERS_MAX)
    except ValueError:
        return None


def values(texts: list[str]) -> list[bytes] | None:
    """Values as frames carry them: a NUL inside of one separates it, as on the wire. None where they do not fit."""
    raw = "\0".join(texts).encode("utf-8", "replace")
    return raw.split(b"\0") if len(raw) <= WRITE_MAX else None


def text(status: int, what: str = "", *, close: bool = False) -> Answer:
    """An answer of a short text; without a text it has no body."""
    if not what:
        return Answer(status, close=close)
    return Answer(status, what.encode("utf-8", "replace"), TEXT, close=close)


def json(what: object, status: int = 200) -> Answer:
    """An answer of a JSON value."""
    return Answer(status, msgspec.json.encode(what), JSON)
