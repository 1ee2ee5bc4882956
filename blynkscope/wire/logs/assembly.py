"""Prints of bytes → messages: headers and bodies on one line or on several, cut short, masked, or out of step.

A `Lane` follows the prints of one direction. What it makes are *slots*: places in the order of the log that are filled
when it is known what stands there. A message whose body may still go on keeps its slot open.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

from blynkscope.protocol import commands, derived
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.statuses import SUCCESS
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
_BLANK, _DELETE = 0x20, 0x7F
_LOST_BLANK = 0x20
"""The low byte of a length that is a blank gets lost at the end of a line."""
_WRAPS_MAX = 4
"""Lines into which a forum wraps one."""
_NOISE_MAX = 64 * 1024
"""Bytes out of step that are kept before frames are looked for in them."""
_TOKEN_TAIL = re.compile(rb"[\x02\x1d]\x00[\x01-\x09]\x00 [!-~]*+\Z")
"""A login whose token goes on behind the last byte that was printed."""
_COMMENT = re.compile(r"(?<![ \t])[ \t]+(?://|#|<-|←|\(|--)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]|\\x[89a-f]")
_FRAMES_MAX = 64
"""Messages of one print that are taken with their readings (a BLE chunk holds four); those behind are cut as bytes."""
_SAMPLE = 160
"""Bytes of skipped text that are shown."""
_PROVING = 4096
"""Bytes of it that are looked at to name it."""


class Slot:
    """A place in the order of the log.

    `drafts` are messages (one, but for bytes out of step), `told` holds texts (a print that is no frame). `open` is
    True while more may come, `alias` another slot that tells the same message better. `likely` is True for a print that
    looks like a message.
    """

    __slots__ = ("alias", "drafts", "dropped", "likely", "line", "open", "stream", "time", "told")

    def __init__(self, line: int, time: float | None) -> None:
        self.line = line
        self.time = time
        self.stream = 0
        self.open = True
        self.dropped = False
        self.likely = False
        self.alias: Slot | None = None
        self.drafts: list[Draft] = []
        self.told: list[Told] = []

    @property
    def waits(self) -> bool:
        """Whether what stands here is not known yet."""
        return self.alias.waits if self.alias is not None else self.open


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
            fitting = brackets.resolve(self.pieces, self.word or 0, brackets.separators(self.cmd, self.pieces))
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
    if all(_BLANK <= byte < _DELETE for byte in header):
        return False  # text: as a header it would announce a body of 8 KiB
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
        self._settled = (0, 0)
        # Pieces of the body from earlier prints, and bytes of a header in the last print: what a wrapped line goes on.
        self._noise: list[tuple[bytes, Slot]] = []
        self._noise_size = 0
        self._torn: tuple[str, int, float | None] | None = None
        self._likely = False
        self.skipped = 0
        """Prints that look like frames and gave none."""

    @property
    def waits(self) -> bool:
        """Whether the body of a message is not complete, or bytes are out of step."""
        return self.slot is not None or bool(self._noise)

    # --- prints ---

    def feed(self, text: str, line: int, time: float | None) -> None:
        """A print in bracket notation."""
        text = brackets.closed(text) or text
        pieces = self._without_comment(text) or brackets.read(text)
        if not pieces:
            return
        self._likely = brackets.frame_like(text)
        self._chunk(pieces, line, time)
        self._likely = False
        if self.slot is not None:
            self._last = [text]

    def hold(self, text: str, line: int, time: float | None) -> None:
        """A print that breaks off inside its header: what the next line holds decides."""
        self._torn = (text, line, time)

    def mend(self, text: str | None) -> bool:
        """The line behind a print that was held, or None where it is none of its kind. True if it was taken."""
        held, self._torn = self._torn, None
        if held is None:
            return False
        first, line, time = held
        whole = brackets.mended(first, text) if text is not None else None
        self.feed(whole or first, line, time)
        return whole is not None

    def _without_comment(self, text: str) -> Pieces | None:
        """The print alone, where the length says that a comment was written behind it."""
        match = _COMMENT.search(text)
        if match is None:
            return None
        pieces = brackets.read(text[: match.start()])
        count = brackets.size(pieces)
        if self.slot is not None and count == self.slot.drafts[0].missing:
            return pieces
        head, rest = brackets.split(pieces, HEADER.size)
        if len(head) < HEADER.size or not self.begins(pieces):
            return None
        word = HEADER.unpack(head)[2] if head[0] else 0
        return pieces if not rest or brackets.resolve(rest, word) is not None else None

    def feed_bytes(self, data: bytes, line: int, time: float | None) -> None:
        """A print whose bytes are certain."""
        self._last = []
        self._chunk([Piece(data)], line, time)

    def wrapped(self, text: str) -> bool:
        """A line without a stamp: does the print go on in it? True if it was taken."""
        slot, last, self._last = self.slot, self._last, []
        if slot is None or not last or len(last) > _WRAPS_MAX:
            return False
        draft = slot.drafts[0]
        count, at = self._settled
        settled = draft.pieces[:count]
        for glue in ("", " "):
            whole = glue.join([*last, text])
            pieces = [*settled, *brackets.split(brackets.read(whole), at)[1]]
            body = brackets.resolve(pieces, draft.word or 0, brackets.separators(draft.cmd, pieces))
            if body is not None:
                draft.pieces, draft.have, draft.body = pieces, len(body), body
                self.close()
                return True
        if brackets.has_bytes(text) and not brackets.frame_like(text):
            whole = "".join([*last, text])
            pieces = [*settled, *brackets.split(brackets.read(whole), at)[1]]
            if brackets.size(pieces) < (draft.word or 0):
                self._last = [whole]
                draft.pieces, draft.have = pieces, brackets.size(pieces)
                return True
        return False

    def _chunk(self, pieces: Pieces, line: int, time: float | None) -> None:
        if self.slot is not None:
            rest = self._goes_on(self.slot.drafts[0], pieces)
            if rest is None:
                return
            pieces = rest
        for _ in range(_FRAMES_MAX):
            if not pieces or not self.begins(pieces) or (self._noise and _doubtful(pieces)):
                break
            pieces = self._frame(pieces, line, time)
        if pieces:
            self._out_of_step(pieces, line, time)

    def _goes_on(self, draft: Draft, pieces: Pieces) -> Pieces | None:
        """Add a print to the open message. What is no part of it any more, or None where all was taken."""
        count, missing = brackets.size(pieces), draft.missing
        fresh = self.begins(pieces)
        if (fresh and (draft.pieces or count != missing)) or (draft.pieces and count > missing):
            behind = self._behind(pieces, missing)
            if fresh or behind is None:
                self.close()
                return pieces
        behind = self._behind(pieces, missing) if count > missing else None
        self._settled = (len(draft.pieces), 0)
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
        return rest if self.begins(rest) else None

    @staticmethod
    def begins(pieces: Pieces) -> bool:
        """Whether a message begins here."""
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
        draft = Draft(self.direction, cmd, number, word)
        slot.drafts.append(draft)
        self._settled = (0, HEADER.size)
        self._begin(slot)
        self.slot = slot
        if not cmd or not word:
            self.close()
            if rest and not self.begins(rest) and cmd:
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
        slot.likely = self._likely
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
        ends = list(accumulate(len(chunk) for chunk, _ in noise))
        slots = [slot for _, slot in noise]
        at = 0
        for start, frame in _found(data, answers=self.direction == SERVER):
            self._name(slots[_place(ends, at)], data[at:start])
            draft = Draft(self.direction, frame.cmd, frame.id, frame.word)
            draft.body = frame.body
            slots[_place(ends, start)].drafts.append(draft)
            at = start + HEADER.size + len(frame.body)
        self._name(slots[_place(ends, at)], data[at:])
        if all(told.kind == "user-print" for slot in slots for told in slot.told):
            self.skipped += sum(slot.likely and not slot.drafts for slot in slots)
        for slot in slots:
            slot.open = False

    def _name(self, slot: Slot, data: bytes) -> None:
        """Say what skipped bytes are."""
        if not data.strip():
            return
        text = data[:_SAMPLE].decode("utf-8", "backslashreplace")
        guess = recognise.name_bytes(data[:_PROVING])
        if data.startswith(b"OK+"):
            told = Told("ble-module", text, {"text": text})
        elif guess.label == "AT modem chatter":
            told = Told("modem", text, {"text": text})
        elif guess.kind == "tls":
            told = Told("tls-record", guess.label, {"bytes": data[:_SAMPLE].hex()})
        else:
            told = Told("user-print", text)
            self.skipped += not slot.likely and _CONTROL.search(text) is not None
        slot.told.append(told)


def _doubtful(pieces: Pieces) -> bool:
    """Whether a header behind bytes out of step may be the middle of something: an answer that is no success."""
    head, _ = brackets.split(pieces, HEADER.size)
    return not head[0] and head[3:] != SUCCESS.to_bytes(2, "big")


def _place(ends: list[int], offset: int) -> int:
    """The print that holds the byte at an offset of all prints together."""
    return min(bisect_right(ends, offset), len(ends) - 1)


def _found(data: bytes, *, answers: bool) -> list[tuple[int, RawFrame]]:
    """The messages in bytes that begin anywhere, with the offsets of their headers."""
    framer = Framer(Dialect.HARDWARE, joined=True, answers=answers)
    items = [*framer.feed(data), *framer.finish()]
    frames = [(item.end - len(item.body) - HEADER.size, item) for item in items if isinstance(item, RawFrame)]
    if not frames and (match := _TOKEN_TAIL.search(data)):
        cmd, number, word = HEADER.unpack_from(data, match.start())
        begin = match.start() + HEADER.size
        frames = [(match.start(), RawFrame(cmd, number, word, data[begin : begin + word], len(data), None))]
    return frames


def default_direction(cmd: int) -> int | None:
    """The direction in which a command alone goes between device and server; None where it goes both ways."""
    if cmd in (commands.RESPONSE, commands.REDIRECT, commands.DBG_PRINT):
        return SERVER
    row = commands.find(cmd, Dialect.HARDWARE)
    if row is None or len(row.senders) != 1:
        return None
    return SERVER if next(iter(row.senders)).value == "server" else 0
