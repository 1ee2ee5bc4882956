"""Logs of the Python libraries and scripts: BlynkLib, blynk_ctrl, and MicroPython ports that print every layer."""

from __future__ import annotations

import re

from blynkscope.protocol import commands
from blynkscope.wire.events import CLIENT, SERVER
from blynkscope.wire.logs import literal, names
from blynkscope.wire.logs.arguments import encode, restore
from blynkscope.wire.logs.model import Chunk, Content, Said

_BLYNKLIB = re.compile(r"\s*+([<>]) (\d{1,3}) (\d{1,5}) ?\|(?: (.*))?", re.DOTALL)
_CTRL = re.compile(r"\s*+([<>]) (\d{1,3}), ?(\d{1,5})(?:, ?(\d{1,5}))? :(?: (.*))?", re.DOTALL)
_GOT = re.compile(r"\s*+Got: (\d{1,3}), (\d{1,5}), (\d{1,5})\s*+")
_STATUS = re.compile(r"status (\d{1,5})\s*+")
_STATUS_DIGITS = re.compile(r"[0-9]{1,5}")
_LAYERS = re.compile(
    r"[^<>\n]{0,60}?(?P<front>> Outbound Data Packet|> Outbound Data|< Server Data|< BIN Data):?\s*+"
    r"(?=[bB]['\"\u2018\u2019\u201c\u201d])"
)
_LAYER_NAMES = {
    "> Outbound Data Packet": "packet",
    "> Outbound Data": "bytes",
    "< Server Data": "bytes",
    "< BIN Data": "packet",
}
_SENT = re.compile(r"\s*+> Outbound Data Packet:? CMD: (\d{1,3}), ?ID: (\d{1,5})(?:, ?Data: ?(.*))?", re.DOTALL)
_RECEIVED = re.compile(
    r"\s*+< (?:Inbound Data Packet|Server Acknowledge): CMD: (\d{1,3}),? ?ID: (\d{1,5})"
    r"(?:,? ?(?:STA|Response Else): ?(\d{1,5})|, ?(?:DATA|Data|ARGS): ?(.*))?\s*+",
    re.DOTALL,
)
_CHATTER = re.compile(
    r"\s*+(?:\[blynklib\] )?(?:Event: [^\n>]{1,80} ->|Heartbeat time: \d|Response status: 200\s*\Z|Registered events: )"
)
"""What the libraries print about handlers and timers; statuses have no id there."""
_SILENT = re.compile(
    r"\s*+(?:> Sending (?:CMD|ARGS|KWARGS|ID):|< (?:Check For Data From Server|Initial Time:|Timeout Time:))"
)


def read_line(text: str) -> list[Content] | None:
    """The messages of a line; an empty list for a line that repeats parts of one; None for any other."""
    if match := _BLYNKLIB.fullmatch(text):
        return _blynklib(match)
    if match := _CTRL.fullmatch(text):
        return _ctrl(match)
    if match := _GOT.fullmatch(text):
        cmd, ident, word = (int(number) for number in match.groups())
        return [Said(SERVER, cmd, ident, word)] if names.fits(cmd, ident, word) else None
    if _CHATTER.match(text):
        return []
    if "Data" not in text and "CMD" not in text and not _SILENT.match(text):
        return None
    return _layers(text)


def _direction(arrow: str) -> int:
    return CLIENT if arrow == "<" else SERVER


def _blynklib(match: re.Match[str]) -> list[Content] | None:
    arrow, cmd, ident, text = match[1], int(match[2]), int(match[3]), match[4] or ""
    if not names.fits(cmd, ident, None):
        return None
    direction = _direction(arrow)
    if cmd == commands.RESPONSE:
        digits = text.strip()
        if not digits:
            return [Said(direction, cmd, ident, None)]
        if not _STATUS_DIGITS.fullmatch(digits) or not names.fits(cmd, ident, int(digits)):
            return None
        return [Said(direction, cmd, ident, int(digits))]
    # Sent arguments are printed with blanks between them, received ones joined with commas.
    body, ambiguous = restore(cmd, text, " " if direction == CLIENT else ",")
    return [Said(direction, cmd, ident, None, body, facts={"ambiguous": True} if ambiguous else {})]


def _ctrl(match: re.Match[str]) -> list[Content] | None:
    arrow, cmd, ident, text = match[1], int(match[2]), int(match[3]), match[5] or ""
    if match[4] is None:
        status = _STATUS.fullmatch(text)
        if status is None or not names.fits(cmd, ident, int(status[1])):
            return None
        return [Said(_direction(arrow), cmd, ident, int(status[1]))]
    word = int(match[4])
    if not names.fits(cmd, ident, word):
        return None
    return [Said(_direction(arrow), cmd, ident, word, encode(text.replace("=", "\0"), word))]


def _layers(text: str) -> list[Content] | None:
    """A port that prints each message several times: its arguments, its parts, its bytes before and behind a wrapper.

    Here `>` is what the device sends.
    """
    if match := _LAYERS.match(text):
        found = literal.find(text[match.end() :])
        if found is None:
            return []
        front = match["front"]
        return [Chunk(CLIENT if front[0] == ">" else SERVER, found[1], _LAYER_NAMES[front])]
    if match := _SENT.fullmatch(text):
        cmd, ident = int(match[1]), int(match[2])
        if not names.fits(cmd, ident, None):
            return None
        body, ambiguous = restore(cmd, match[3] or "", " ")
        return [Said(CLIENT, cmd, ident, None, body, facts={"copy": True} | ({"ambiguous": True} if ambiguous else {}))]
    if match := _RECEIVED.fullmatch(text):
        cmd, ident = int(match[1]), int(match[2])
        word = int(match[3]) if match[3] else None
        if not names.fits(cmd, ident, word):
            return None
        body = encode(match[4]) if match[4] else b""
        return [Said(SERVER, cmd, ident, word, body, facts={"copy": True})]
    return [] if _SILENT.match(text) else None
