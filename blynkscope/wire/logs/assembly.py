"""Prints of bytes → messages: headers and bodies on one line or on several, cut short, masked, or out of step.

A `Lane` follows the prints of one direction. What it makes are *slots*: places in the order of the log that are filled
when it is known what stands there. A message whose body may still go on keeps its slot open.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from blynkscope.protocol import commands, derived, limits
from blynkscope.protocol.model import Dialect
from blynkscope.wire import recognise
from blynkscope.wire.events import SERVER
from blynkscope.wire.framing import Framer, RawFrame
from blynkscope.wire.logs import brackets
from blynkscope.wire.logs.brackets import Piece, Pieces
from blynkscope.wire.logs.model import Told

HEADER = derived.HEADER_STRUCTS[Dialect.HARDWARE]
_LONGEST = derived.longest_bodies(Dialect.HARDWARE)
_STATUS_MAX = 0xFF
"""Statuses are below this, also those that this program does not know."""
_LOST_BLANK = 0x20
"""The low byte of a length that is a blank gets lost at the end of a line."""
_WRAPS_MAX = 4
"""Lines into which a forum wraps one."""
_NOISE_MAX = 64 * 1024
"""Bytes out of step that are kept before frames are looked for in them."""
_TOKEN_TAIL = re.compile(rb"[\x02\x1d]\x00[\x01-\x09]\x00 [!-~]*+\Z")
"""A login whose token goes on behind the last byte that was printed."""
_SAMPLE = 160
"""Characters of skipped text that are shown."""


class Slot:
    """A place in the order of the log.

    `message` is a draft, `told` holds texts (a print that is no frame); both may be None or empty. `open` is True while
    more may come.
    """

    __slots__ = ("dropped", "line", "message", "open", "stream", "time", "told")

    def __init__(self, line: int, time: float | None) -> None:
        self.line = line
        self.time = time
        self.stream = 0
        self.open = True
        self.dropped = False
        self.message: Draft | None = None
        self.told: list[Told] = []


class Draft:
    """A message that is being read."""

    __slots__ = ("body", "cmd", "direction", "have", "id", "pieces", "shapes", "word")

    def __init__(self, direction: int | None, cmd: int, number: int, word: int | None) -> None:
        self.direction = direction
        self.cmd = cmd
        self.id = number
        self.word = word
        self.pieces: Pieces = []
        self.have = 0
        self.body: bytes | None = None
        self.shapes: set[str] = set()

    def add(self, pieces: Pieces) -> None:
        """More of the body."""
        self.pieces += pieces
        self.have += brackets.size(pieces)

    @property
    def missing(self) -> int:
        """Bytes of the body that were not printed yet, by the first readings."""
        return (self.word or 0) - self.have if self.cmd else 0

    def bytes(self) -> bytes:
        """The body, by the length where that decides."""
        if self.body is None:
            fitting = brackets.resolve(self.pieces, self.word or 0)
            self.body = brackets.joined(self.pieces) if fitting is None else fitting
        return self.body

    @property
    def cut(self) -> bool:
        """Whether the log has less of the body than was declared."""
        return self.cmd != commands.RESPONSE and self.word is not None and len(self.bytes()) < self.word


Begin = Callable[[Slot], None]


def believable(header: bytes, *, alone: bool = False) -> bool:
    """Whether five bytes are the header of a message; `alone`: nothing else was printed with them."""
    cmd, _, word = HEADER.unpack(header)
    if not cmd:
        return bool(word <= _STATUS_MAX) if alone else word in derived.KNOWN_STATUSES
    return bool(word <= _LONGEST[cmd])


class Lane:
    """The prints of one direction and printer.

    Args:
        direction: As in events; None where the prints do not tell.
        begin: Called with each new slot, in the order of the log.
    """

    def __init__(self, direction: int | None, begin: Begin) -> None:
        self.direction = direction
        self._begin = begin
        self.slot: Slot | None = None
        """The message whose body may go on."""
        self._last: list[str] = []
        self._settled: tuple[Pieces, int] = ([], 0)
        self._noise: list[tuple[bytes, Slot]] = []
        self._noise_size = 0
        self.skipped = 0
        """Prints that look like frames and gave none."""

    @property
    def waits(self) -> bool:
        """Whether the body of a message is not complete, or bytes are out of step."""
        return self.slot is not None or bool(self._noise)

    @property
    def noisy(self) -> bool:
        """Whether bytes are out of step."""
        return bool(self._noise)

    # --- prints ---

    def feed(self, text: str, line: int, time: float | None) -> None:
        """A print in bracket notation."""
        pieces = brackets.read(text)
        if not pieces:
            return
        self._chunk(pieces, line, time)
        if self.slot is not None:
            self._last = [text]

    def feed_bytes(self, data: bytes, line: int, time: float | None) -> None:
        """A print whose bytes are certain."""
        self._last = []
        self._chunk([Piece(data)], line, time)

    def wrapped(self, text: str) -> bool:
        """A line without a stamp: does the print go on in it? True if it was taken."""
        slot = self.slot
        if slot is None or slot.message is None or not self._last or len(self._last) > _WRAPS_MAX:
            return False
        draft = slot.message
        settled, at = self._settled
        for glue in ("", " "):
            whole = glue.join([*self._last, text]) if glue else "".join([*self._last, text])
            pieces = [*settled, *brackets.split(brackets.read(whole), at)[1]]
            if (body := brackets.resolve(pieces, draft.word or 0)) is not None:
                draft.pieces, draft.have, draft.body = pieces, len(body), body
                self.close()
                return True
        if brackets.has_bytes(text) and not brackets.frame_like(text):
            joined = "".join([*self._last, text])
            pieces = [*settled, *brackets.split(brackets.read(joined), at)[1]]
            if brackets.size(pieces) < (draft.word or 0):
                self._last.append(text)
                draft.pieces, draft.have = pieces, brackets.size(pieces)
                return True
        return False

    def _chunk(self, pieces: Pieces, line: int, time: float | None) -> None:
        slot = self.slot
        if slot is not None and slot.message is not None:
            rest = self._goes_on(slot.message, pieces)
            if rest is None:
                return
            pieces = rest
        while pieces:
            if not self._header(pieces):
                self._out_of_step(pieces, line, time)
                return
            pieces = self._frame(pieces, line, time)

    def _goes_on(self, draft: Draft, pieces: Pieces) -> Pieces | None:
        """Add a print to the open message. What is no part of it any more, or None where all was taken."""
        count, missing = brackets.size(pieces), draft.missing
        fresh = self._header(pieces)
        if (fresh and (draft.pieces or count != missing)) or (draft.pieces and count > missing):
            behind = self._behind(pieces, missing)
            if fresh or behind is None:
                self.close()
                return pieces
        behind = self._behind(pieces, missing) if count > missing else None
        self._settled = (list(draft.pieces), 0)
        if behind is not None:
            head, _ = brackets.split(pieces, missing)
            draft.add([Piece(head)])
            self.close()
            return behind
        draft.add(pieces)
        if draft.missing <= 0:
            self.close()
        return None

    def _behind(self, pieces: Pieces, count: int) -> Pieces | None:
        """What follows `count` bytes, if it begins like a message."""
        if brackets.size(pieces) <= count:
            return None
        _, rest = brackets.split(pieces, count)
        return rest if self._header(rest) else None

    @staticmethod
    def _header(pieces: Pieces) -> bool:
        head, rest = brackets.split(pieces, HEADER.size)
        if len(head) == HEADER.size:
            if believable(head, alone=not rest):
                return True
            # A command that this program does not know, in a print of its own or with just its body.
            cmd, number, word = HEADER.unpack(head)
            own = len(pieces[0].data) == HEADER.size and number != 0
            return bool(own and cmd and _LONGEST[cmd] < 0 and word in (0, brackets.size(rest)))
        # The length was a blank, which got lost.
        return len(head) == HEADER.size - 1 and not head[3] and _LONGEST[head[0]] >= _LOST_BLANK

    def _frame(self, pieces: Pieces, line: int, time: float | None) -> Pieces:
        """Begin a message with its header; the pieces behind the message, if another one follows at once."""
        self._settle_noise()
        head, rest = brackets.split(pieces, HEADER.size)
        lost = len(head) < HEADER.size
        cmd, number, word = HEADER.unpack(head + bytes([_LOST_BLANK]) if lost else head)
        slot = Slot(line, time)
        slot.message = draft = Draft(self.direction, cmd, number, word)
        self._settled = ([], HEADER.size)
        self._begin(slot)
        self.slot = slot
        if not cmd or not word:
            self.close()
            if rest and not self._header(rest) and cmd:
                draft.add(rest)  # more than was declared, as it was printed
                return []
            return rest
        if not rest:
            return []
        behind = self._behind(rest, word)
        if behind is not None and brackets.resolve(rest, word) is None:
            body, _ = brackets.split(rest, word)
            draft.add([Piece(body)])
            self.close()
            return behind
        draft.add(rest)
        if draft.missing <= 0:
            self.close()
        return []

    def close(self) -> None:
        """Nothing more will come for the open message."""
        if self.slot is not None:
            self.slot.open = False
            self.slot = None
        self._last = []

    def settle(self) -> None:
        """The connection ended or began anew: messages and bytes out of step are complete as they are."""
        self.close()
        self._settle_noise()

    # --- bytes out of step ---

    def _out_of_step(self, pieces: Pieces, line: int, time: float | None) -> None:
        """Bytes that begin no message, as a device reads them that has lost its place in the stream."""
        slot = Slot(line, time)
        data = brackets.joined(pieces)
        self._begin(slot)
        self._noise.append((data, slot))
        self._noise_size += len(data)
        if self._noise_size > _NOISE_MAX:
            self._settle_noise()

    def _settle_noise(self) -> None:
        """Find the messages in what was out of step, and name the rest."""
        noise, self._noise, self._noise_size = self._noise, [], 0
        if not noise:
            return
        data = b"".join(chunk for chunk, _ in noise)
        at = 0
        for start, frame in _found(data):
            self._name(noise, at, data[at:start])
            slot = _slot_at(noise, start)
            if slot.message is None:
                draft = Draft(self.direction, frame.cmd, frame.id, frame.word)
                draft.body = frame.body
                slot.message = draft
            at = start + HEADER.size + len(frame.body)
        self._name(noise, at, data[at:])
        for _, slot in noise:
            slot.open = False

    def _name(self, noise: list[tuple[bytes, Slot]], at: int, data: bytes) -> None:
        if not data.strip():
            return
        text = data[:_SAMPLE].decode("utf-8", "backslashreplace")
        guess = recognise.name_bytes(data)
        if data.startswith(b"OK+"):
            told = Told("ble-module", text, {"text": text})
        elif guess.label == "AT modem chatter":
            told = Told("modem", text, {"text": text})
        elif guess.kind == "tls":
            told = Told("tls-record", guess.label, {"bytes": data[:_SAMPLE].hex()})
        else:
            told = Told("user-print", text)
            if any(byte < 0x20 and byte not in b"\r\n\t" for byte in data):
                self.skipped += 1
        _slot_at(noise, at).told.append(told)


def _slot_at(noise: list[tuple[bytes, Slot]], offset: int) -> Slot:
    for chunk, slot in noise:
        if offset < len(chunk):
            return slot
        offset -= len(chunk)
    return noise[-1][1]


def _found(data: bytes) -> list[tuple[int, RawFrame]]:
    """The messages in bytes that begin anywhere, with the offsets of their headers."""
    framer = Framer(Dialect.HARDWARE, joined=True, answers=False)
    items = [*framer.feed(data), *framer.finish()]
    frames = [
        (item.end - len(item.body) - HEADER.size, item)
        for item in items
        if isinstance(item, RawFrame) and len(item.body) == (item.word if item.cmd else 0)
    ]
    if not frames and (match := _TOKEN_TAIL.search(data)):
        cmd, number, word = HEADER.unpack_from(data, match.start())
        body = data[match.start() + HEADER.size : match.start() + HEADER.size + limits.TOKEN_LENGTH]
        frames = [(match.start(), RawFrame(cmd, number, word, body, len(data), None))]
    return frames


def default_direction(cmd: int) -> int | None:
    """The direction in which a command alone goes between device and server; None where it goes both ways."""
    if cmd in (commands.RESPONSE, commands.REDIRECT, commands.DBG_PRINT):
        return SERVER
    row = commands.find(cmd, Dialect.HARDWARE)
    if row is None or len(row.senders) != 1:
        return None
    return SERVER if next(iter(row.senders)).value == "server" else 0
