"""The first message of a device that speaks TLS, read before it is answered."""

from __future__ import annotations

from blynkscope.protocol import limits, tls
from blynkscope.wire.hellos import ClientHello, read_client_hello

_MESSAGE_HEAD = 4
"""Type and length of a handshake message."""


class HelloReader:
    """Collects a ClientHello, however it is cut into records and segments."""

    def __init__(self) -> None:
        self._records = bytearray()
        self._message = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> ClientHello | str | None:
        """The next bytes; gives the hello, None while it is not whole, or why there is none (no-hello, too-long)."""
        self._size += len(data)
        self._records += data
        records, message = self._records, self._message
        while len(records) >= tls.HEADER_SIZE:
            length = records[3] << 8 | records[4]
            if records[0] != tls.HANDSHAKE or records[1] != 3 or not 0 < length <= tls.RECORD_MAX:
                return "no-hello"
            if len(records) < tls.HEADER_SIZE + length:
                break
            message += records[tls.HEADER_SIZE : tls.HEADER_SIZE + length]
            del records[: tls.HEADER_SIZE + length]
            if message[0] != tls.CLIENT_HELLO:
                return "no-hello"
            if len(message) >= _MESSAGE_HEAD:
                size = _MESSAGE_HEAD + int.from_bytes(message[1:_MESSAGE_HEAD], "big")
                if size > limits.PROXY_HELLO_MAX:
                    return "too-long"
                if len(message) >= size:
                    hello = read_client_hello(bytes(message[_MESSAGE_HEAD:size]))
                    return "no-hello" if hello is None else hello
        return "too-long" if self._size > limits.PROXY_HELLO_MAX else None
