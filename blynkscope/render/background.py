"""JSON Lines by a process of its own, where a second processor is idle: the analysis goes on while lines are made.

What the lines of plain frames are made of is sent as it is; records whose line depends on what was seen before (secrets) are
made into lines at once, in the parent. So the bytes are the same as without.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import msgspec

from blynkscope.analysis.records import Facts, Observed, Record, WriteRecord
from blynkscope.render.jsonl import Encoder
from blynkscope.render.patterns import TOKEN_LENGTH

_LENGTH = struct.Struct(">I")
_FRAME, _WRITE, _LINE = b"fwl"
_FAILED = 255
_EIO = 5


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

    order: bytes
    lanes: list[_Lane]
    frames: msgspec.Raw
    writes: list[WriteRecord]
    lines: list[bytes]


class BackgroundLines:
    """The output `jsonl`, for long input.

    Args:
        stream: Where to; it must have a file descriptor, and nobody else may write to it meanwhile.
        encoder: Makes the lines.
    """

    def __init__(self, stream: BinaryIO, encoder: Encoder) -> None:
        stream.flush()
        self._encoder = encoder
        self._numbers: dict[Facts, int] = {}
        self._new: list[_Lane] = []
        self._frames = msgspec.msgpack.Encoder(enc_hook=self._number)
        self._messages = msgspec.msgpack.Encoder()
        read_end, self._pipe = os.pipe()
        self._child = os.fork()
        if not self._child:
            os.close(self._pipe)
            _Writer(stream.fileno(), encoder).serve(read_end)
        os.close(read_end)

    def write(self, records: Sequence[Record]) -> None:
        """Hand a batch over.

        Raises:
            OSError: What was handed over before could not be written.
        """
        order = bytearray()
        frames: list[Observed] = []
        writes: list[WriteRecord] = []
        lines: list[bytes] = []
        for record in records:
            if isinstance(record, Observed) and len(record.body) < TOKEN_LENGTH and self._encoder.plain(record):
                order.append(_FRAME)
                frames.append(record)
            elif isinstance(record, WriteRecord):
                order.append(_WRITE)
                writes.append(record)
            else:
                order.append(_LINE)
                lines.append(self._encoder.lines([record]))
        packed = msgspec.Raw(self._frames.encode(frames))
        self._send(self._messages.encode(_Message(bytes(order), self._new, packed, writes, lines)))
        self._new = []

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
            self._new.append(
                _Lane(
                    number, facts.stream, facts.src, facts.dst, facts.sender, facts.dialect, facts.via, facts.era
                )
            )
        return number

    def _send(self, data: bytes) -> None:
        view = memoryview(_LENGTH.pack(len(data)) + data)
        try:
            while view:
                view = view[os.write(self._pipe, view) :]
        except BrokenPipeError:
            # The child has ended; its exit status tells why.
            os.close(self._pipe)
            self._pipe = -1
            self._reap()
            raise

    def _reap(self) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        if code:
            number = code if 0 < code < _FAILED else _EIO
            raise OSError(number, os.strerror(number))


class _Writer:
    """The child's side."""

    def __init__(self, descriptor: int, encoder: Encoder) -> None:
        self._descriptor = descriptor
        self._encoder = encoder
        self._facts: dict[int, Facts] = {}

    def serve(self, pipe: int) -> None:
        """Write what comes until the parent closes the pipe; never comes back."""
        status = _FAILED
        try:
            # The parent decides what an interrupt means; what it has handed over is still written.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            decode = msgspec.msgpack.Decoder(_Message).decode
            with os.fdopen(pipe, "rb", buffering=1 << 20) as messages:
                while len(head := messages.read(_LENGTH.size)) == _LENGTH.size:
                    self._write(self._records(decode(messages.read(_LENGTH.unpack(head)[0]))))
            status = 0
        except OSError as error:
            status = error.errno or _FAILED
        finally:
            os._exit(status)

    def _records(self, message: _Message) -> list[bytes | Observed | WriteRecord]:
        for lane in message.lanes:
            self._facts[lane.number] = Facts(
                lane.stream, lane.src, lane.dst, lane.sender, lane.dialect, lane.via, lane.era
            )
        frames = iter(self._decode_frames(message.frames))
        kinds: dict[int, Any] = {_FRAME: frames, _WRITE: iter(message.writes), _LINE: iter(message.lines)}
        return [next(kinds[kind]) for kind in message.order]

    def _decode_frames(self, packed: msgspec.Raw) -> list[Observed]:
        decoder = msgspec.msgpack.Decoder(list[Observed], dec_hook=lambda _, number: self._facts[number])
        return decoder.decode(packed)

    def _write(self, records: list[bytes | Observed | WriteRecord]) -> None:
        data = memoryview(self._encoder.mixed(records))
        while data:
            data = data[os.write(self._descriptor, data) :]
