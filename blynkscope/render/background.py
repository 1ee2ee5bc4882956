"""JSON Lines by a process of its own, where a second processor is idle: the analysis goes on while lines are made.

The child has the whole output, redaction included; the parent only hands records over, frames as the facts that the
analysis found. So the bytes are the same as without.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import msgspec

from blynkscope import forks
from blynkscope.analysis.records import (
    Facts,
    FindingRecord,
    LinkRecord,
    LogRecord,
    MessageRecord,
    Observed,
    Record,
    StreamRecord,
    SummaryRecord,
    WriteRecord,
)
from blynkscope.protocol import limits
from blynkscope.render.jsonl import JsonLines

_LENGTH = struct.Struct(">I")
_FRAME, _WRITE, _OTHER = b"fwo"

_KINDS: dict[type, int] = {Observed: _FRAME, WriteRecord: _WRITE}
_Other = FindingRecord | LogRecord | MessageRecord | LinkRecord | StreamRecord | SummaryRecord


class _Lane(msgspec.Struct, array_like=True):
    """The facts of a direction, under the number that frames name it by."""

    number: int
    stream: int
    src: str | None
    dst: str | None
    sender: str
    dialect: str
    via: tuple[str, ...]
    era: str | None


class _Message(msgspec.Struct, array_like=True):
    """A batch: the kinds of its records in order, and the records kind by kind."""

    taught: list[tuple[int, bytes, str | None]]
    """Frames that are not shown, whose secrets the child must know before this batch."""
    order: bytes
    lanes: list[_Lane]
    frames: msgspec.Raw
    writes: list[WriteRecord]
    others: list[_Other]


class BackgroundLines:
    """The output `jsonl`, for long input.

    Args:
        stream: Where to; it must have a file descriptor, and nobody else may write to it meanwhile.
        output: Makes and writes the lines, in the child.
    """

    def __init__(self, stream: BinaryIO, output: JsonLines) -> None:
        stream.flush()
        self._numbers: dict[Facts, int] = {}
        self._new: list[_Lane] = []
        self._frames = msgspec.msgpack.Encoder(enc_hook=self._number)
        self._messages = msgspec.msgpack.Encoder()
        self._taught: list[tuple[int, bytes, str | None]] = []
        read_end, self._pipe = forks.pipe()
        self._child = forks.start(lambda: _serve(read_end, output), (read_end, stream.fileno()))
        os.close(read_end)
        # The redactor of this process hides nothing, but it is the one that gets told.
        output.redactor.on_learned = lambda *told: self._taught.append(told)

    def write(self, records: Sequence[Record]) -> None:
        """Hand a batch over.

        Raises:
            OSError: What was handed over before could not be written.
        """
        if len(self._numbers) >= 2 * limits.STREAMS_MAX:
            # Numbers begin anew; the child writes over those that it knows.
            self._numbers.clear()
        order = bytes([_KINDS.get(type(record), _OTHER) for record in records])
        frames = [record for record in records if type(record) is Observed]
        writes = [record for record in records if type(record) is WriteRecord]
        others: list[Any] = [record for record in records if type(record) not in _KINDS]
        packed = msgspec.Raw(self._frames.encode(frames))
        self._send(self._messages.encode(_Message(self._taught, order, self._new, packed, writes, others)))
        self._new = []
        self._taught = []

    def close(self) -> None:
        """Wait until all is written.

        Raises:
            OSError: It could not be.
        """
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
            self._reap()

    def _number(self, facts: Any) -> int:
        number = self._numbers.get(facts)
        if number is None:
            number = self._numbers[facts] = len(self._numbers)
            lane = (facts.stream, facts.src, facts.dst, facts.sender, facts.dialect, facts.via, facts.era)
            self._new.append(_Lane(number, *lane))
        return number

    def _send(self, data: bytes) -> None:
        view = memoryview(_LENGTH.pack(len(data)) + data)
        # An interrupt in the middle of a message would leave the child with half of it.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            while view:
                view = view[os.write(self._pipe, view) :]
        except BrokenPipeError:
            # The child has ended; its exit status tells why.
            self.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _reap(self) -> None:
        code = forks.wait(self._child)
        if code:
            number = code if 0 < code < forks.FAILED else errno.EIO
            raise OSError(number, os.strerror(number))


def _serve(pipe: int, output: JsonLines) -> None:
    """Runs in the child: writes what comes until the parent closes the pipe."""
    facts: dict[int, Facts] = {}
    decode = msgspec.msgpack.Decoder(_Message).decode
    frames = msgspec.msgpack.Decoder(list[Observed], dec_hook=lambda _, number: facts[number]).decode
    with os.fdopen(pipe, "rb", buffering=1 << 20) as messages:
        while len(head := messages.read(_LENGTH.size)) == _LENGTH.size:
            message = decode(messages.read(_LENGTH.unpack(head)[0]))
            for told in message.taught:
                output.redactor.learn(*told)
            for lane in message.lanes:
                facts[lane.number] = Facts(
                    lane.stream, lane.src, lane.dst, lane.sender, lane.dialect, lane.via, lane.era
                )
            kinds: dict[int, Any] = {
                _FRAME: iter(frames(message.frames)).__next__,
                _WRITE: iter(message.writes).__next__,
                _OTHER: iter(message.others).__next__,
            }
            output.write([kinds[kind]() for kind in message.order])
