"""Frames as a person types them, and bodies as a person edits them: `vw V1 42`, `prop V1 color #ff0000`, `hex 06 00 …`.

    line      = [ "#" id ] order
    order     = operation pin value…        vw vm dw aw dr ar pm, as in the body of MSG_HW
              | "vr" pin…                   to a device: read; to the server: a sync
              | "prop" pin name value…
              | "rsp" id status             an answer
              | "hex" bytes                 one frame or several, byte for byte, in any notation
              | command part…               any command by its name, its body in parts

Text with blanks is quoted. `\\0`, `\\n` and `\\xNN` stand for bytes.
"""

from __future__ import annotations

import re
import shlex

import construct as con
import msgspec

from blynkscope.errors import NotationError
from blynkscope.protocol import commands
from blynkscope.protocol.bodies import OPERATIONS
from blynkscope.protocol.frames import Frame, build
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.statuses import STATUSES
from blynkscope.wire.notation import parse_bytes

LINE_MAX = 4096
"""Characters of a line: nobody types more."""
_NUL = b"\0"
_PIN = re.compile(r"[VDA]?[0-9]{1,3}", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPES = {"0": b"\0", "n": b"\n", "r": b"\r", "t": b"\t", "\\": b"\\"}
_STATUS_NAMES = {status.name: code for code, status in STATUSES.items()}
_EXAMPLES = "like vw V1 42, vr V1, prop V1 color #ff0000, ping, rsp 7 200, or hex 06 00 01 00 00"


class Typed(msgspec.Struct, frozen=True):
    """A frame that was typed.

    Args:
        data: Its bytes.
        cmd: Its command; None for bytes that were typed as such.
        id: Its message id; None likewise.
        problem: Why its body does not fit its command; None where it does. It is sent all the same: that may be meant.
    """

    data: bytes
    cmd: int | None = None
    id: int | None = None
    problem: str | None = None


def typed(line: str, *, to_device: bool, id: int, dialect: Dialect = Dialect.HARDWARE) -> Typed:  # noqa: A002
    """The frame that a line stands for.

    Args:
        line: What was typed.
        to_device: Who gets it: what `vr` means depends on that.
        id: The message id that it gets where the line names none.
        dialect: The header that it gets.

    Raises:
        NotationError: The line cannot be read; the message says what to write.
    """
    if len(line) > LINE_MAX:
        raise NotationError(f"the line is longer than {LINE_MAX} characters", 1, LINE_MAX)
    first, _, rest = line.strip().partition(" ")
    if first.startswith("#"):
        id = _number(first[1:], 0xFFFF, "a message id", line)  # noqa: A001
        first, _, rest = rest.strip().partition(" ")
    if first.lower() == "hex":
        return Typed(parse_bytes(rest).data)
    words = [_bytes_of(word) for word in _split(rest, line)]
    name = first.lower()
    if not name:
        raise NotationError(f"nothing is written; write {_EXAMPLES}", 1, 1)
    if name in {"rsp", "response"}:
        if len(words) != 2:
            raise NotationError("write rsp, an id and a status: rsp 7 200", 1, 1)
        answered, status = (word.decode("utf-8", "replace") for word in words)
        code = _STATUS_NAMES.get(status.upper())
        code = _number(status, 0xFFFF, "a status", line) if code is None else code
        number = _number(answered, 0xFFFF, "a message id", line)
        return _framed(Frame(dialect, commands.RESPONSE, number, code), line)
    if name in OPERATIONS:
        cmd = commands.HW_SYNC if name == "vr" and not to_device else commands.HW
        body = _NUL.join([name.encode(), *_pins(name, words)])
    elif name in {"prop", "property"}:
        if len(words) < 3:
            raise NotationError("write prop, a pin, a property and its value: prop V1 color #ff0000", 1, 1)
        cmd, body = commands.PROPERTY, _NUL.join([_pin(words[0]), *words[1:]])
    else:
        cmd, body = _command(first, dialect, line), _NUL.join(words)
    return _framed(Frame(dialect, cmd, id, None, body), line)


def _framed(frame: Frame, line: str) -> Typed:
    try:
        data = build(frame)
    except con.ConstructError:
        raise NotationError("it does not fit into a frame", 1, len(line) or 1) from None
    row = commands.find(frame.cmd, frame.dialect)
    problem = row.body.problem(frame.body) if row is not None and frame.cmd else None
    return Typed(data, frame.cmd, frame.id, problem)


def _command(name: str, dialect: Dialect, line: str) -> int:
    if name.isdecimal():
        return _number(name, 255, "a command", line)
    rows = commands.named(name)
    fitting = [row for row in rows if dialect in row.dialects] or rows
    if not fitting:
        raise NotationError(f"there is no command {name[:40]!r}; write {_EXAMPLES}", 1, line.find(name) + 1)
    return fitting[0].code


def _pins(operation: str, words: list[bytes]) -> list[bytes]:
    """The words behind an operation; pins lose the letter that the operation says already."""
    shape = OPERATIONS[operation].shape
    if shape == "values":
        return [_pin(word) if not place else word for place, word in enumerate(words)]
    if shape == "pins":
        return [_pin(word) for word in words]
    return [word if place % 2 else _pin(word) for place, word in enumerate(words)]


def _pin(word: bytes) -> bytes:
    text = word.decode("utf-8", "replace")
    return text.lstrip("VvDdAa").encode() if _PIN.fullmatch(text) else word


def _number(text: str, most: int, what: str, line: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > most:
        raise NotationError(f"{text[:20]!r} is no number for {what}; 0 to {most}", 1, max(line.find(text), 0) + 1)
    return int(text)


def _split(text: str, line: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        return list(lexer)
    except ValueError:
        raise NotationError("a quotation mark is not closed", 1, len(line) or 1) from None


# --- bodies -----------------------------------------------------------------------------------------------------------


def body_text(body: bytes) -> str:
    """A body as text that can be edited: `\\0` between the parts, `\\xNN` for what is no printable text."""
    text = body.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace("\0", "\\0")
    text = "".join(
        char
        if char.isprintable()
        else f"\\x{ord(char) - 0xDC00:02x}"
        if "\udc80" <= char <= "\udcff"
        else _spelled(char)
        for char in text
    )
    # Text that begins like this would be read as digits.
    return f"\\x{ord(text[0]):02x}{text[1:]}" if text[:4].lower() == "hex " else text


def _spelled(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def body_of(text: str) -> bytes:
    """The body that edited text stands for; `hex …` for bytes in any notation.

    Raises:
        NotationError: An escape or the hex digits cannot be read.
    """
    if text[:4].lower() == "hex ":
        return parse_bytes(text[4:]).data
    return _bytes_of(text)


def _bytes_of(text: str) -> bytes:
    out, at = bytearray(), 0
    for escape in _ESCAPE.finditer(text):
        out += text[at : escape.start()].encode("utf-8", "surrogateescape")
        digits, char = escape.groups()
        if digits is None and char not in _ESCAPES:
            message = f"\\{char} stands for no byte; there are \\0 \\n \\r \\t \\\\ and \\xNN"
            raise NotationError(message, 1, escape.start() + 1)
        out += bytes([int(digits, 16)]) if digits is not None else _ESCAPES[char]
        at = escape.end()
    if text[at:].endswith("\\"):
        raise NotationError("a backslash at the end stands for no byte", 1, len(text))
    return bytes(out) + text[at:].encode("utf-8", "surrogateescape")
