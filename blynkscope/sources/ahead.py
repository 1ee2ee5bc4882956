"""A source that is read by a process of its own, ahead of the analysis, where a second processor is idle.

The child reads packets and sends the events as they are; the parent gets them as from the source itself. Nothing else
changes: the same events in the same order, and what could not be read is told at the end.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from blynkscope import forks
from blynkscope.errors import CaptureError
from blynkscope.sources.capture import Damage
from blynkscope.wire.events import Event

_LENGTH = struct.Struct(">I")


class _Message(msgspec.Struct, array_like=True):
    """Events and the position in the file; at the end what is left to tell."""

    events: list[Event]
    position: int
    end: _End | None = None


class _End(msgspec.Struct, array_like=True):
    packets: int
    damage: tuple[int, str] | None
    lost: dict[str, int]
    notes: list[str]
    error: str | None


class Ahead:
    """Events of a source, read ahead.

    Args:
        source: A source as `open_capture` gives it; it must not be used otherwise.
    """

    def __init__(self, source: Any) -> None:
        self.name: str = source.name
        self.size: int | None = source.size
        self.packets = 0
        self.damage: Damage | None = None
        self.lost: dict[str, int] = {}
        self.notes: list[str] = []
        self.on_read: Callable[[int], None] | None = None
        self._pipe, write_end = forks.pipe()
        self._child = forks.start(lambda: _serve(source, write_end), (write_end, source.descriptor))
        os.close(write_end)
        source.close()

    def __iter__(self) -> Iterator[list[Event]]:
        decode = msgspec.msgpack.Decoder(_Message).decode
        end: _End | None = None
        try:
            with os.fdopen(self._pipe, "rb", buffering=1 << 20) as pipe:
                while len(head := pipe.read(_LENGTH.size)) == _LENGTH.size:
                    message = decode(pipe.read(_LENGTH.unpack(head)[0]))
                    if self.on_read is not None:
                        self.on_read(message.position)
                    end = message.end
                    if message.events:
                        yield message.events
        except msgspec.DecodeError:
            end = None  # cut short: the child is gone
        finally:
            forks.wait(self._child)
        if end is None:
            raise CaptureError(f"{self.name}: the process that reads it has died")
        self.packets, self.lost, self.notes = end.packets, end.lost, end.notes
        self.damage = Damage(*end.damage) if end.damage else None
        if end.error is not None:
            raise CaptureError(end.error)


def _serve(source: Any, pipe: int) -> None:
    """Runs in the child. When the parent reads no more, writing fails, and this ends."""
    encode = msgspec.msgpack.Encoder().encode
    error = None
    with os.fdopen(pipe, "wb", buffering=0) as out:
        position = [0]
        source.on_read = lambda at: position.__setitem__(0, at)
        try:
            for events in source:
                _send(out, encode(_Message(events, position[0])))
        except CaptureError as problem:
            error = str(problem)
        damage = (source.damage.offset, source.damage.what) if source.damage else None
        end = _End(source.packets, damage, source.lost, source.notes, error)
        _send(out, encode(_Message([], position[0], end)))


def _send(out: Any, data: bytes) -> None:
    view = memoryview(_LENGTH.pack(len(data)) + data)
    while view:
        view = view[out.write(view) :]
