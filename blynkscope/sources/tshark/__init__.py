"""tshark as a source of the same events: for what only Wireshark can open.

Wireshark unwraps: link types, tunnels, encrypted 802.11, IP fragments, TLS. It tells the fields of each TCP header with
its payload and what it decrypted of it (`segments`). The streams are put together by our own reassembly, not by
Wireshark's: order, retransmissions, loss and overlap mean the same in both engines then, gaps and acknowledgements are
known, and a stream that runs through a tunnel and is captured on both sides of it is told once. Of TLS, the content of
each record takes the place of the payload (`secure`). HTTP and WebSocket are left to the analysis.

`program` finds tshark, `options` says what it is told, `adapter` runs it through pyshark, whose faults stay in there,
and `segments` and `secure` turn its answers into events.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from blynkscope.errors import CaptureError
from blynkscope.sources.capture import Damage, read_capture
from blynkscope.sources.packets import address_name
from blynkscope.sources.reassembly import Flows
from blynkscope.sources.tshark.adapter import Fields, Tap
from blynkscope.sources.tshark.options import arguments, write_wpa_keys
from blynkscope.sources.tshark.program import Tshark, check_rules, find_tshark
from blynkscope.sources.tshark.secure import Opener
from blynkscope.sources.tshark.segments import is_document, is_no_packet, read_packet
from blynkscope.wire.events import Event

__all__ = ["Tshark", "TsharkSource", "find_tshark"]

BATCH = 256
"""Events that are handed on at once."""

RECORD_HEADER = 16
"""Bytes before each packet in a pcap file, to tell how far the reading has come."""

REASON_MAX = 300
"""Characters of tshark's own words that a message repeats."""


class TsharkSource:
    """The events of one capture as tshark opens it, in batches: iterate over it once.

    After the iteration `damage` and `lost` tell what could not be read.

    Args:
        path: The capture, in any format that Wireshark reads; `-` for standard input.
        keylog: TLS key log that opens the streams. Keys inside of a pcapng are used anyway.
        decode_as: Rules such as `tcp.port==8888,tls`; TLS is recognised on any port, so few captures need one.
        wpa: Keys of encrypted 802.11: `passphrase:ssid`, `passphrase`, or 64 hexadecimal digits.
        preferences: Further preferences of Wireshark, by name.
        program: Path or name of tshark, where it is not the one in the search path.

    Raises:
        CaptureError: There is no such file, or it cannot be read.
        EnvironmentProblem: tshark or pyshark is missing, cannot be run or is too old.
        ValueError: A key, rule or preference is malformed; the text is a sentence for a person.
    """

    def __init__(
        self,
        path: str,
        *,
        keylog: Path | None = None,
        decode_as: Sequence[str] = (),
        wpa: Sequence[str] = (),
        preferences: Mapping[str, str] = {},
        program: str | None = None,
    ) -> None:
        self.name = "standard input" if path == "-" else path
        self.size: int | None = None
        """Bytes of the file, where it is one."""
        self.on_read: Callable[[int], None] | None = None
        """Called with about the position in the file, now and then."""
        self.damage: Damage | None = None
        self.tshark = find_tshark(program)
        options = arguments(keylog=keylog, decode_as=decode_as, wifi=bool(wpa), preferences=preferences)
        self._events: list[Event] = []
        self._made: list[Event] = []
        self._flows = Flows(address_name, self._made)
        self._opener = Opener(self._events)
        self.packets = 0
        """Packets read so far."""
        self._broken = 0
        self._encrypted = 0
        self._used = 0
        self._position = 0
        self._time = 0.0
        self._home = tempfile.TemporaryDirectory(prefix="blynkscope-tshark-", ignore_cleanup_errors=True)
        try:
            home = Path(self._home.name)
            write_wpa_keys(home, wpa)
            check_rules(self.tshark, decode_as, home)
            self._path = self._file(path, home)
            self.size = os.path.getsize(self._path)
            self._tap = Tap(self.tshark, self._path, options, home)
        except OSError as error:
            self._home.cleanup()
            raise CaptureError(f"{self.name}: {error.strerror or error}") from error
        except BaseException:
            self._home.cleanup()
            raise

    def _file(self, path: str, home: Path) -> str:
        """The absolute path of the input; what comes through a pipe is written down first."""
        if path == "-":
            copy = home / "standard-input"
            with copy.open("wb") as stream:
                shutil.copyfileobj(sys.stdin.buffer, stream)
            return str(copy)
        absolute = os.path.abspath(path)
        if os.path.isdir(absolute):
            raise CaptureError(f"{self.name}: this is a folder")
        with open(absolute, "rb"):  # tells why, where it cannot be read
            return absolute

    @property
    def lost(self) -> dict[str, int]:
        """What was dropped or could not be read, counted by reason; reasons without a case are left out."""
        flows = self._flows.counts
        counts = {
            "captures_damaged": int(self.damage is not None),
            "bytes_missing": flows.gap_bytes,
            "packets_broken": self._broken,
            "packets_encrypted": self._encrypted,
            "segments_conflicting": flows.conflicts,
            "segments_after_close": flows.after_close,
            "segments_out_of_window": flows.out_of_window,
            "streams_evicted": flows.evicted,
        }
        return {reason: count for reason, count in counts.items() if count}

    @property
    def notes(self) -> list[str]:
        """Things about the capture that a person should know, for stderr."""
        notes = []
        if self._encrypted:
            stay = "frame stays" if self._encrypted == 1 else "frames stay"
            notes.append(
                f"{self.name}: {self._encrypted} 802.11 {stay} encrypted: a key is missing or wrong, or the four "
                "EAPOL messages with which the device joined the network are not in the capture"
            )
        if self._opener.undecrypted:
            notes.append(
                f"{self.name}: {self._opener.undecrypted} TLS records, or rows of them, could not be decrypted, though "
                "others of the same streams could: the key log is incomplete, or packets are missing"
            )
        if self.packets and not self._used and not self._encrypted and self.damage is None:
            notes.append(f"{self.name}: tshark finds no TCP and no DNS in {_packets(self.packets)}")
        return notes

    def close(self) -> None:
        """End tshark and remove its folder; a source that was iterated over has done so."""
        self._tap.close()
        self._home.cleanup()

    def __iter__(self) -> Iterator[list[Event]]:
        try:
            for fields in self._tap:
                self._packet(fields)
                if len(self._events) >= BATCH:
                    if self.on_read is not None:
                        self.on_read(min(self._position, self.size or 0))
                    yield self._taken()
            self._judge()
        finally:
            self.close()
        self._flows.finish()
        self._opener.take(self._made, self._time)
        self._made.clear()
        if self._events:
            yield self._taken()

    def _taken(self) -> list[Event]:
        batch = self._events.copy()
        self._events.clear()
        return batch

    def _packet(self, fields: Fields) -> None:
        if is_no_packet(fields):
            return
        if not self.packets and is_document(fields):
            raise CaptureError(f"{self.name}: this is no capture")
        self.packets += 1
        try:
            told = read_packet(fields, self._time)
        except ValueError:
            self._broken += 1
            return
        self._time = told.time
        self._position += told.size + RECORD_HEADER
        self._encrypted += told.encrypted
        self._used += len(told.segments) + len(told.datagrams)
        flows, made = self._flows, self._made
        for one in told.segments:
            flows.segment(told.time, one.key, one.seq, one.ack, one.flags, one.data, one.missing)
            half = flows.halves.get(one.key)
            if half is None:
                self._opener.take(made, told.time)
            else:
                self._opener.take(made, told.time, one, half.stream, half.direction)
            made.clear()
        self._events += told.datagrams

    def _judge(self) -> None:
        """tshark has ended: well?"""
        status, complaints = self._tap.status, self._tap.complaints
        if not status:
            return
        # It names the file by its whole path, which is said already.
        reason = " ".join(complaints).replace(f'The file "{self._path}" ', "the file ")[:REASON_MAX]
        if status < 0:
            reason = f"tshark crashed (signal {-status}){': ' if reason else ''}{reason}"
        elif not reason:
            reason = f"tshark ended with status {status}"
        if not self.packets:
            raise CaptureError(f"{self.name}: {reason}")
        # tshark does not say where. A file that our own reader knows is looked through once more for that.
        self.damage = Damage(self._damaged_at(), reason)

    def _damaged_at(self) -> int:
        try:
            with open(self._path, "rb") as stream:
                reader = read_capture(stream, self.name)
                for _ in reader:
                    pass
        except (CaptureError, OSError):
            return self._position
        return reader.damage.offset if reader.damage is not None else self._position


def _packets(count: int) -> str:
    return f"{count} packet{'' if count == 1 else 's'}"
