"""Logs of the JavaScript libraries: blynk-library-js and node-red-contrib-blynk-ws."""

from __future__ import annotations

import json
import re
from typing import Any

from blynkscope.protocol import commands
from blynkscope.wire.events import CLIENT, SERVER
from blynkscope.wire.logs import names
from blynkscope.wire.logs.arguments import encode
from blynkscope.wire.logs.model import Content, Said, Told

_JS = re.compile(
    r"\s*+([<>])[ ]{1,2}([A-Z][A-Z_]{1,20}|Unknown\(\d{1,3}\)) (\d{1,5})"
    r" (\d{1,5}|[A-Z_]{2,40}|Unknown\(\d{1,5}\))(?: (.*))?",
    re.DOTALL,
)
_TAGS = re.compile(
    r"\s*+(?:\[(?:info|warn|error|debug|trace|red)\]\s*+)?(?:\[blynk-[a-z]{2,12}[^\]]{0,120}\]\s*+)?", re.IGNORECASE
)
"""Level and node: `[info] [blynk-ws-client:Home] `, `[blynk-iot-client:Home] `."""
_ARROW = re.compile(r"(SEND|RECV) (?:->|<-|→|←|[\u2013\u2014]>|<[\u2013\u2014]) ?")
_COMPLAINT = re.compile(r"(?:Invalid \w{1,20} cmd|Invalid header type|Unhandled RSP type): (?=Cmd: )")
_CMD = re.compile(
    r"Cmd: (\w{1,30}),? Id: (\d{1,5})(?:,? (?:responseCode|Status): (\w{1,60})\s*"
    r"|(?:,? len: (\d{1,5}))?,? [Dd]ata: ?[\"\u201c](.*))",
    re.DOTALL,
)
_CHATTER = re.compile(
    r"(?:login -> |(?:sync\w{0,20}|virtualWrite|setProperty|send\w{1,20}|bridge\w{1,30}|(?:write|read)Event): ?-> "
    r"|(?:setProperty|send\w{1,20}) -> |(?:Register|Remove) [\w -]{1,40}node\b|LOG PINS |ping\Z|queue\Z)"
)
"""What node-red prints about its own calls, beside the messages that they make."""
_MANY = re.compile(r"Multiple Command, num: (\d{1,4})\s*")
_EVENT = re.compile(r"(?:\w{1,20}Event: -> )?cmd (\{.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_LOGIN_SINCE_IOT = commands.HW_LOGIN
"""node-red calls 29 LOGIN since it prints lengths; before, LOGIN was 2."""


def read_line(text: str) -> list[Content] | None:
    """The messages of a line; None where it is in neither notation."""
    if match := _JS.fullmatch(text):
        return _js(match)
    body = text[_TAGS.match(text).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    if match := _EVENT.match(body):
        return _event(match[1])
    if _CHATTER.match(body):
        return []
    direction: int | None = None
    if match := _ARROW.match(body):
        direction = CLIENT if match[1] == "SEND" else SERVER
        body = body[match.end() :]
        if many := _MANY.fullmatch(body):
            # The commands follow, a line each and without an arrow.
            return [Told("frame", text.strip(), {"direction": direction, "commands": int(many[1])})]
    copy = False
    if match := _COMPLAINT.match(body):
        direction, copy = SERVER, True
        body = body[match.end() :]
    said = _node_red(body, direction, copy)
    return None if said is None else [said]


def _js(match: re.Match[str]) -> list[Content] | None:
    arrow, name, ident, last, body = match.groups()
    cmd = names.command(name)
    word = names.status(last) if cmd == commands.RESPONSE else int(last) if last.isdigit() else None
    if cmd is None or word is None or not names.fits(cmd, int(ident), word):
        return None
    direction = CLIENT if arrow == "<" else SERVER
    return [Said(direction, cmd, int(ident), word, encode((body or "").replace("|", "\0"), word))]


def _node_red(text: str, direction: int | None, copy: bool) -> Said | None:
    match = _CMD.fullmatch(text)
    if match is None:
        return None
    name, ident, code, length, data = match.groups()
    cmd = names.command(name)
    if cmd is None or int(ident) > 0xFFFF:
        return None
    facts: dict[str, Any] = {"copy": True} if copy else {}
    if code is not None:
        word = names.status(code)
        if cmd == commands.RESPONSE:
            return Said(direction, cmd, int(ident), word, facts=facts | ({} if word is not None else {"status": code}))
        # The length of the body, which the library took for a status.
        return Said(direction, cmd, int(ident), word, facts=facts | {"status_read": code})
    data = data.rstrip()
    printed = _unescape(data[:-1] if data.endswith(('"', "\u201d")) else data)
    if length is None:
        return _frame(direction, cmd, int(ident), printed, facts)
    word = int(length)
    if word > 0xFFFF:
        return None
    cmd = _LOGIN_SINCE_IOT if cmd == commands.LOGIN else cmd
    return Said(direction, cmd, int(ident), word, encode(printed.replace("|", "\0"), word), facts=facts)


def _frame(direction: int | None, cmd: int, ident: int, printed: str, facts: dict[str, Any]) -> Said:
    """Old versions print the whole frame as the data."""
    data = encode(printed, len(printed))
    if len(data) >= 5 and int.from_bytes(data[1:3], "big") == ident and data[0] in (cmd, commands.HW_LOGIN):
        return Said(direction, data[0], ident, int.from_bytes(data[3:5], "big"), data[5:], facts=facts)
    return Said(direction, cmd, ident, None, data, facts=facts)


def _unescape(text: str) -> str:
    """The characters of a JSON string whose quotes are off; what is no escape stays."""

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _SIMPLE.get(match[2], match[2])

    return _ESCAPE.sub(one, text) if "\\" in text else text


def _event(text: str) -> list[Content] | None:
    """`cmd {"type":20,"msgId":3,…}`: a received command after decoding, printed behind the line of its frame."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    cmd, ident, length, body = (told.get(key) for key in ("type", "msgId", "len", "body"))
    if type(cmd) is not int or type(ident) is not int or not 0 <= cmd <= 0xFF or not 0 <= ident <= 0xFFFF:
        return None
    word = length if type(length) is int and 0 <= length <= 0xFFFF else None
    data = encode(body, word) if isinstance(body, str) else b""
    return [Said(SERVER, cmd, ident, word, data, facts={"copy": True})]
