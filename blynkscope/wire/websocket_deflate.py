"""permessage-deflate (RFC 7692) read from the outside: decompressed within limits, and found again after a loss.

The library negotiates it; its own decoder gives up for good at the first message above a limit, so that the
decompression is done here: what is too big is read past, and the messages behind it are still readable.
"""

from __future__ import annotations

import zlib

from blynkscope.protocol import limits

MESSAGE_MAX = limits.APP_BODY_MAX + 64 * 1024
"""Bytes of one message, inflated, that are kept: the longest app body with its header. Hardware ones end at 64 KiB."""
RATIO_MAX = 200
"""Inflated bytes for each compressed one, over a whole direction: JSON gives 20 at most, a bomb up to 1032."""
RATIO_FREE = MESSAGE_MAX
"""Inflated bytes that are believed at any ratio: one message of the greatest size, such as a run of zeros."""
EXTENSIONS_MAX = 1024
"""Characters of the header that are parsed: a real one has some eighty, and the parser is not linear in lists."""

_TRAILER = b"\x00\x00\xff\xff"
"""What the sender leaves out behind each message."""
_WINDOW = 1 << zlib.MAX_WBITS
_CHUNK = 64 * 1024


class InflateError(Exception):
    """A message cannot be decompressed; the argument says why."""


class BombError(InflateError):
    """The direction inflates beyond `RATIO_MAX`: it is not read on."""


class TooBigError(InflateError):
    """A message is longer than `MESSAGE_MAX`; it was read past. The argument is its length up to here."""


class Inflater:
    """Decompresses the messages of one direction.

    It always takes the greatest window, which every smaller one fits into. After a loss it begins anew: deflate
    refuses references to bytes that it does not hold, so that what is read then is right or an error.

    Args:
        takeover: False where the sender begins each message without the context of the one before.
    """

    def __init__(self, takeover: bool = True) -> None:
        self._takeover = takeover
        self._worker = zlib.decompressobj(-zlib.MAX_WBITS)
        self._size = 0
        self._taken = self._given = 0

    def begin(self) -> None:
        """A new message."""
        self._size = 0
        if not self._takeover:
            self.lose()

    def lose(self) -> None:
        """The context is lost: bytes are missing, or were not understood."""
        self._worker = zlib.decompressobj(-zlib.MAX_WBITS)

    def read(self, data: bytes, last: bool) -> bytes:
        """The content of the next frame of a message.

        Args:
            data: Its payload, unmasked.
            last: True for the last frame of the message.

        Raises:
            BombError: Too much came out in all.
            TooBigError: The message is too long; the next one can be read.
            InflateError: It is not deflate, or refers to what is not there.
        """
        self._taken += len(data)
        rest = data + _TRAILER if last else data
        out = bytearray()
        while True:
            try:
                part = self._worker.decompress(rest, _CHUNK)
            except zlib.error as error:
                self.lose()
                raise InflateError(str(error).rpartition(": ")[2]) from error
            self._given += len(part)
            self._size += len(part)
            if self._given > RATIO_FREE + RATIO_MAX * self._taken:
                raise BombError(f"compressed messages inflate more than {RATIO_MAX} times")
            if self._size <= MESSAGE_MAX:
                out += part
            if self._worker.eof:
                self._restart(bytes(out))
                break
            rest = self._worker.unconsumed_tail
            if not rest and len(part) < _CHUNK:
                break
        if self._size > MESSAGE_MAX:
            raise TooBigError(self._size)
        return bytes(out)

    def _restart(self, out: bytes) -> None:
        """The sender ended the compressed data (RFC 7692, 7.2.3.4): what comes next still refers to it."""
        left = self._worker.unused_data + self._worker.unconsumed_tail
        self._worker = zlib.decompressobj(-zlib.MAX_WBITS, zdict=out[-_WINDOW:])
        if len(left) > len(_TRAILER) + 1:
            raise InflateError("compressed data ends before its message")


def negotiated(extensions: str, client: bool) -> Inflater | None:
    """What the server's `Sec-WebSocket-Extensions` header means for the messages of one direction.

    Args:
        extensions: Value of the header.
        client: True for the client's direction.

    Returns:
        An Inflater, or None where nothing is compressed. Parameters that do not parse are passed over: a decoder that
        keeps its context and has the greatest window reads what any of them allow.
    """
    from websockets.exceptions import InvalidHeader, NegotiationError
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
    from websockets.headers import parse_extension

    factory = ClientPerMessageDeflateFactory()
    try:
        offers = parse_extension(extensions[:EXTENSIONS_MAX])
    except InvalidHeader:
        return Inflater() if factory.name in extensions[:EXTENSIONS_MAX].lower() else None
    for name, parameters in offers:
        if name.lower() == factory.name:
            try:
                agreed = factory.process_response_params(parameters, [])
            except NegotiationError:
                return Inflater()
            return Inflater(not (agreed.local_no_context_takeover if client else agreed.remote_no_context_takeover))
    return None
