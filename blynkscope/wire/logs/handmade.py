"""Prints that people put around a socket: `recv: b'…'`, `TX -> 1D 00 01 00 20 …`."""

from __future__ import annotations

import re

from blynkscope.errors import NotationError
from blynkscope.protocol import commands
from blynkscope.wire.events import CLIENT, SERVER
from blynkscope.wire.logs import literal
from blynkscope.wire.logs.model import Chunk, Content
from blynkscope.wire.notation import parse_bytes

_PROMPT_MAX = 80
"""Characters in front of the bytes in which the word for the direction is looked for."""
_LEAST = 2
"""Bytes below which a print says nothing."""
_HEADER = 5
"""Bytes of a header; digits without blanks that make fewer are numbers that programs print."""
_MAC = 6
_LIST_MAX = 16 * 1024
"""Characters of a line that may be a list of numbers."""
_CLOCK_GAPS = frozenset({":", "-"})

_SENT = r"send(?:ing)?|sent|tx[d]?|transmit(?:ted)?|writ(?:e|ing|ten)|wrote|out(?:bound|going)?|request"
_RECEIVED = r"recv(?:ed)?|receiv(?:e|ed|ing)|rx[d]?|read(?:ing)?|got|in(?:bound|coming)?|response|resp|reply|answer"
_WORD = re.compile(rf"(?<![A-Za-z])(?:(?P<sent>{_SENT})|(?P<received>{_RECEIVED}))(?![A-Za-z])", re.IGNORECASE)
_PEER = re.compile(r"(?<![A-Za-z])(?:(?P<to>to)|(?P<from>from)) (?:the )?(?:blynk )?(?:server|cloud)", re.IGNORECASE)
_ARROW = re.compile(r"\s*+(?:(?P<sent><<)|(?P<received>>>))[ ]?")
_CALL = re.compile(r"\w\(\Z")
"""Program text: `sock.send(b'…')` is no print."""
_LITERAL = re.compile(r"[bB]r?['\"\u2018\u2019\u201c\u201d]")
_STRACE = re.compile(
    r"(?:\[pid +\d{1,8}\] )?(sendto|send|write|recvfrom|recv|read)\(\d{1,5}, \"((?:[^\"\\]|\\.)++)\"(?:\.{3})?, \d"
)
"""A call as strace prints it."""
_WRITES = frozenset({"sendto", "send", "write"})
_PAIR = r"(?:0x)?[0-9a-fA-F]{2}"
_TAGGED = r"[\[<(](?:TX|RX|SEND|RECV|OUT|IN|Tx|Rx)[\])>](?:[ ]?[-:=]?>?[ ])?"
_SPOKEN = r"[^\d\[\]{}]{2,40}?(?:\(?\d{1,5}(?: ?bytes?)?\)?)?[ ]?(?:->|<-|=>|<=|[:=→←<>])[ ]?"
_PORT = re.compile(r"\s*+(?:COM\d{1,3}|/dev/[\w.-]{1,60})[ :]{1,3}", re.IGNORECASE)
"""The port that a monitor names in front of each print."""
_HEX = re.compile(
    rf"(?P<prompt>{_TAGGED}|{_SPOKEN}|[A-Za-z]{{2,10}} |<<[ ]?|>>[ ]?)(?:<Buffer )?"
    rf"(?P<hex>{_PAIR}(?:(?P<gap>, ?|[ :-]){_PAIR})*+|[0-9a-fA-F]{{10,}})>?\s*+"
)
_ESCAPED = re.compile(
    r"(?P<prompt>[^\d\[\]{}\\]{2,40}?)(?P<escaped>(?:\{[0-9a-fA-F]{2}\}){2}.*|(?:\\x[0-9a-fA-F]{2}){2}.*)", re.DOTALL
)
"""Bytes as Hercules shows them, or with C's escapes, behind a prompt."""
_LIST = re.compile(r"(?P<prompt>[^\d\[\]{}]{2,40}?)\[(?P<list>\d{1,3}(?:,? \d{1,3}){4,}+)\]\s*+")
"""Numbers as Python's lists and Go's slices print bytes."""
_BYTE_LIKE = re.compile(r"0x|\b0[0-9a-fA-F]\b|[a-fA-F]")
"""What numbers in decimal do not have."""


def read_line(text: str) -> list[Content] | None:
    """The bytes of a print that tells their direction; None for any other line."""
    if match := _STRACE.match(text):
        data = literal.read(match[2])
        return [Chunk(CLIENT if match[1] in _WRITES else SERVER, data, "bytes")] if len(data) >= _HEADER else None
    if match := _PORT.match(text):
        text = text[match.end() :]
    chunk = _literal(text) if _LITERAL.search(text) else _hex(text) or _escaped(text) or _numbers(text)
    return None if chunk is None else [chunk]


def _literal(text: str) -> Chunk | None:
    found = literal.find(text)
    if found is None or len(found[1]) < _LEAST:
        return None
    prompt = text[max(found[0] - _PROMPT_MAX, 0) : found[0]]
    direction = None if _CALL.search(prompt) else _direction(prompt)
    return None if direction is None else Chunk(direction, found[1], "bytes")


def _direction(prompt: str) -> int | None:
    """What the words say; `<<` and `>>` as in Blynk's own logs. The last word counts."""
    words = list(_WORD.finditer(prompt))
    if words:
        return CLIENT if words[-1]["sent"] else SERVER
    if peer := _PEER.search(prompt):
        return CLIENT if peer["to"] else SERVER
    if (arrow := _ARROW.match(prompt)) and not prompt[arrow.end() :].strip():
        return CLIENT if arrow["sent"] else SERVER
    return None


def _hex(text: str) -> Chunk | None:
    match = _HEX.fullmatch(text.strip())
    if match is None:
        return None
    direction = _direction(match["prompt"])
    if direction is None:
        return None
    digits = match["hex"]
    glued = match["gap"] is None
    plain = re.sub(r"0x|[^0-9a-fA-F]", "", digits)
    if len(plain) % 2:
        return None
    data = bytes.fromhex(plain)
    if glued:
        # Tokens, counters and times are digits, too.
        loose = _ARROW.match(text) is not None or plain.isdigit()
        if len(data) < _HEADER or (loose and not _frame_like(data)):
            return None
    elif len(data) < _HEADER:
        # Few numbers behind a word may be anything: measurements, dates, times of day.
        if len(data) < _LEAST or match["gap"] in _CLOCK_GAPS or not _BYTE_LIKE.search(digits):
            return None
    elif len(data) == _MAC and match["gap"] in _CLOCK_GAPS:
        return None
    return Chunk(direction, data, "bytes")


def _escaped(text: str) -> Chunk | None:
    match = _ESCAPED.fullmatch(text.rstrip("\r\n"))
    direction = _direction(match["prompt"]) if match is not None else None
    if match is None or direction is None:
        return None
    data = b""
    try:
        data = parse_bytes(match["escaped"]).data
    except NotationError:
        return None
    return Chunk(direction, data, "bytes") if len(data) >= _HEADER and _frame_like(data) else None


def _numbers(text: str) -> Chunk | None:
    """Lists of measurements look alike: only a whole message counts."""
    match = _LIST.fullmatch(text.strip()) if len(text) <= _LIST_MAX else None
    direction = _direction(match["prompt"]) if match is not None else None
    if match is None or direction is None:
        return None
    numbers = [int(number) for number in re.split(r",? ", match["list"])]
    data = bytes(number for number in numbers if number <= 0xFF)
    return Chunk(direction, data, "bytes") if len(data) == len(numbers) and _frame_like(data) else None


def _frame_like(data: bytes) -> bool:
    """A header whose length is that of what follows: tokens and numbers, which are hex digits too, do not have one."""
    word = int.from_bytes(data[3:5], "big")
    return bool(commands.rows(data[0])) and (len(data) == 5 + word or (data[0] == 0 and len(data) == 5))
