"""Where bytes come from: every source yields batches of the events of `blynkscope.wire.events`."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from blynkscope.errors import CaptureError
from blynkscope.sources.capture import TLS_KEY_LOG, CaptureReader, Damage, Packet, is_capture, read_capture, unpacked
from blynkscope.sources.fused import read_batch
from blynkscope.sources.packets import LINK_TYPES, PacketReader
from blynkscope.wire.events import Closed, Event, Opened, Secrets

__all__ = ["CaptureSource", "Source", "open_capture", "open_input"]


class CaptureSource:
    """The events of one capture, in batches: iterate over it once.

    After the iteration `damage` and `lost` tell what could not be read.

    Args:
        stream: Binary input.
        name: What to call it in messages.
        general: True to take the general path for every packet (for tests).
        reader: The reader of the capture, where the stream was looked into already.

    Raises:
        CaptureError: It is no capture.
    """

    def __init__(
        self, stream: BinaryIO, name: str, *, general: bool = False, reader: CaptureReader | None = None
    ) -> None:
        self.name = name
        try:
            self._reader = reader or read_capture(stream, name)
        except BaseException:
            if stream is not sys.stdin.buffer:
                stream.close()
            raise
        self._packets = PacketReader()
        self._general = general
        self._stream = stream
        self.size: int | None = None
        """Bytes of the file, where it is one."""
        if stream is not sys.stdin.buffer and os.path.isfile(name):
            self.size = os.path.getsize(name)
        self.on_read: Callable[[int], None] | None = None
        """Called with the position in the file, now and then."""
        self.one_leg = False
        """Leave out what a proxy recorded of its way to the server: the same as on the device's way, a second time."""
        self._leave_out: set[int] = set()
        self._left_out = self._first_left_out = 0

    @property
    def descriptor(self) -> int:
        """The descriptor of the input."""
        return self._stream.fileno()

    def close(self) -> None:
        """Close the input; a source that was iterated over to its end has done so."""
        if self._stream is not sys.stdin.buffer:
            self._stream.close()

    @property
    def damage(self) -> Damage | None:
        """Where the file broke, if it did."""
        return self._reader.damage

    @property
    def packets(self) -> int:
        """Packets read so far."""
        return self._reader.packets

    @property
    def lost(self) -> dict[str, int]:
        """What was dropped or could not be read, counted by reason; reasons without a case are left out."""
        counts = {"captures_damaged": int(self._reader.damage is not None), **self._packets.lost}
        return {reason: count for reason, count in counts.items() if count}

    @property
    def notes(self) -> list[str]:
        """Things about the capture that a person should know, for stderr."""
        notes = []
        if self._left_out:
            what = "connection" if self._left_out == 1 else f"{self._left_out} connections"
            notes.append(
                f"{self.name}: recorded by a proxy; the {what} between it and the server, where the same was said once "
                f"more, {'is' if self._left_out == 1 else 'are'} left out: --stream {self._first_left_out} shows "
                f"{'it' if self._left_out == 1 else 'the first of them'}"
            )
        for link, count in self._packets.unused.unknown_link.items():
            known = ", ".join(sorted(set(LINK_TYPES.values())))
            notes.append(
                f"{self.name}: {count} packets of link type {link}, which is not known (known: {known}); "
                "--engine tshark knows more"
            )
        if self._packets.unused.encrypted:
            notes.append(
                f"{self.name}: {self._packets.unused.encrypted} encrypted 802.11 frames; open them with "
                "--engine tshark --wpa PASSPHRASE:SSID, or capture on the access point behind the encryption"
            )
        return notes

    def __iter__(self) -> Iterator[list[Event]]:
        reader = self._packets
        secrets, told = self._reader.secrets, 0
        try:
            for buffer, packets in self._reader:
                while told < len(secrets):
                    # Keys are wanted before the records that they open.
                    if secrets[told][0] == TLS_KEY_LOG:
                        reader.events.append(Secrets(secrets[told][1]))
                    told += 1
                if self.one_leg and self._reader.passed_on:
                    self._of_one_leg(buffer, packets)
                elif self._general:
                    for packet in packets:
                        reader.packet(buffer, packet)
                else:
                    read_batch(reader, buffer, packets)
                if self.on_read is not None:
                    self.on_read(self._stream.tell())
                if reader.events and (batch := self._events()):
                    yield batch
        except OSError as error:
            raise CaptureError(f"{self.name}: cannot be read on: {error.strerror or error}") from error
        finally:
            self.close()
        reader.finish()
        if reader.events and (batch := self._events()):
            yield batch

    def _of_one_leg(self, buffer: bytes, packets: list[Packet]) -> None:
        """Read a batch packet by packet: connections on the proxy's other leg are to be left out."""
        reader, passed_on, events = self._packets, self._reader.passed_on, self._packets.events
        for packet in packets:
            done = len(events)
            reader.packet(buffer, packet)
            if packet[2] in passed_on:
                for event in events[done:]:
                    if isinstance(event, Opened):
                        self._leave_out.add(event.stream)
                        self._left_out += 1
                        self._first_left_out = self._first_left_out or event.stream

    def _events(self) -> list[Event]:
        """What was read since the last time, without what is left out."""
        events = self._packets.events.copy()
        self._packets.events.clear()
        if self._leave_out:
            closed = {event.stream for event in events if isinstance(event, Closed)}
            events = [event for event in events if getattr(event, "stream", None) not in self._leave_out]
            self._leave_out -= closed
        return events


class Source(Protocol):
    """What yields events: a capture, a log, or either of them read by another process."""

    name: str
    size: int | None
    on_read: Callable[[int], None] | None

    @property
    def damage(self) -> Damage | None:
        """Where the input broke, if it did."""

    @property
    def packets(self) -> int:
        """Packets, or lines, read so far."""

    @property
    def lost(self) -> dict[str, int]:
        """What was dropped or could not be read, by reason."""

    @property
    def notes(self) -> list[str]:
        """What a person should know about the input."""

    def __iter__(self) -> Iterator[list[Event]]: ...

    def close(self) -> None:
        """Close the input."""


def open_input(path: str | os.PathLike[str]) -> Source:
    """The events of a capture, or of a log, a paste of bytes or the bytes themselves, told apart by content.

    Raises:
        CaptureError: It cannot be opened, there is nothing in it, or it is a key log, a certificate or a key.
    """
    name = os.fspath(path)
    stream: BinaryIO = sys.stdin.buffer
    try:
        if name == "-":
            name = "standard input"
        else:
            stream = open(name, "rb")  # noqa: SIM115  (the source closes it when it has been read)
        source, first = unpacked(stream, name)
        if is_capture(first):
            return CaptureSource(stream, name, reader=CaptureReader(source, first, name))
        if not first:
            if stream is not sys.stdin.buffer:
                stream.close()
            raise CaptureError(f"{name}: empty: there is neither a capture nor a log in it")
        from blynkscope.sources.misplaced import what_it_is
        from blynkscope.sources.text import INPUT_MAX, TextSource

        data = first + source.read(INPUT_MAX + 1)
    except OSError as error:
        raise CaptureError(f"{name}: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise CaptureError(f"{name}: damaged gzip data ({error})") from None
    if stream is not sys.stdin.buffer:
        stream.close()
    if (mistaken := what_it_is(data)) is not None:
        raise CaptureError(f"{name}: {mistaken}")
    return TextSource(data, name)


def open_capture(path: str | os.PathLike[str], *, general: bool = False) -> CaptureSource:
    """The events of a capture file, or of standard input for `-`.

    Raises:
        CaptureError: It cannot be opened or is no capture.
    """
    name = os.fspath(path)
    if name == "-":
        return CaptureSource(sys.stdin.buffer, "standard input", general=general)
    try:
        stream = open(name, "rb")  # noqa: SIM115  (the source closes it when it has been read)
        return CaptureSource(stream, name, general=general)
    except OSError as error:
        raise CaptureError(f"{name}: {error.strerror or error}") from error
