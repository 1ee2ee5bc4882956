"""The log of the Java server at level TRACE, and of its test client."""

from __future__ import annotations

import re

from blynkscope.protocol import commands
from blynkscope.wire.events import CLIENT, SERVER
from blynkscope.wire.logs import decimal, names
from blynkscope.wire.logs.arguments import encode, restore
from blynkscope.wire.logs.model import Content, Said

_LINE = re.compile(
    r"\s*+(?:(?:TRACE|DEBUG|INFO|WARN|ERROR)\s?-\s*+)?(Incomm?ing|Received|Outgoing|Sending|Sent) (?:: )?(client )?"
    r"(?:\w{1,60}\{)?id=(\d{1,5}), ?command=(\w{1,60})(?:, ?length=(\d{1,8}))?"
    r"(?:, ?responseCode=(\w{1,60}))?(?:, ?body=['\u2018\u2019](.*))?",
    re.DOTALL,
)
_HIDDEN = re.compile(r"[.*xX\u2026\u2022]{1,64}")
_NUL = re.compile(r"\^@|\\u0000|\\0|\u2400")


def read_line(text: str) -> list[Content] | None:
    """The message of a line; None where it is no such line."""
    if "command=" not in text:
        return None
    match = _LINE.match(text)
    if match is None:
        return None
    verb, client, number, name, length, code, body = match.groups()
    cmd, ident = names.command(name), int(number)
    if cmd is None or not names.fits(cmd, ident, None):
        return None
    inward = verb in ("Incoming", "Incomming", "Received")
    direction = CLIENT if inward != bool(client) else SERVER  # the test client is itself the device
    if code is not None:
        return [Said(direction, cmd, ident, names.status(code))]
    word = int(length) if length and int(length) <= 0xFFFF else None
    if body is None:
        return [Said(direction, cmd, ident, word)]
    printed = _strip_end(body)
    if cmd in (commands.LOGIN, commands.HW_LOGIN) and _HIDDEN.fullmatch(printed):
        # Neither the token nor its length is told: the declared one would only say that bytes are missing.
        return [Said(direction, cmd, ident, None, facts={"hidden": True})]
    data, ambiguous = _body(cmd, printed, word)
    return [Said(direction, cmd, ident, word, data, facts={"ambiguous": True} if ambiguous else {})]


def _strip_end(body: str) -> str:
    body = body.rstrip("\r\n")
    if body.endswith(("'}", "\u2019}")):
        return body[:-2]
    return body[:-1] if body.endswith(("'", "\u2019")) else body


def _body(cmd: int, printed: str, word: int | None) -> tuple[bytes, bool]:
    """NULs were printed as they are; editors show them as `^@`, and copying makes blanks of them or loses them."""
    text = _NUL.sub("\0", printed)
    if "\0" in text:
        return encode(text), False
    if word is not None and len(encode(text)) < word:
        data = decimal.restore(cmd, encode(text), word)
        return data, len(data) != word
    data, ambiguous = restore(cmd, text, " ")
    return data, ambiguous or (cmd == commands.HW and len(text) > 2 and b"\0" not in data)
