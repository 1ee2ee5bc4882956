"""Events of TCP in, events of what Wireshark decrypted out.

A stream that begins like TLS is held back until it is known whether Wireshark opens it. Where it does, the stream is
told as `via` TLS: its data is the content of the records, each with the packet that completes it, and its offsets count
this content. Where it does not, the payload of TCP is told as it is, so that the handshake can be looked at.

An acknowledgement of TCP is an acknowledgement of the content of those records that lie below it: the offset that the
stream had reached with the packet that completed a record stands for the record's end. It may lie a little behind it,
so that nothing is called acknowledged that was not.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from blynkscope.protocol import limits
from blynkscope.sources.tshark.segments import TLS_HEADER, Segment
from blynkscope.wire.events import CLIENT, SERVER, Acked, Closed, Data, Event, Gap, Opened, Overlap

HELD_MAX = 256 * 1024
"""Bytes of one stream that are held back: a handshake with long certificate chains has less than 20 KiB."""

HELD_EVENTS_MAX = 1024
"""Events of one stream that are held back."""

CLOSED_MAX = 16
"""Packets with application data that stay closed, after which a stream is called closed: the handshake of TLS 1.3 looks
like application data too, and has about five."""

MARKS_MAX = 8192
"""Ends of records that wait for their acknowledgement; beyond it the oldest are taken for one."""

UNDECRYPTED = "not decrypted"
"""Reason of a gap: records that Wireshark has no key for, in a stream of which it opened others."""

EVENT_SIZE = 64
"""Bytes that a held event counts beside its data."""


class Mode(Enum):
    """What is known of a stream."""

    NEW = "no payload yet"
    HELD = "looks like TLS"
    PLAIN = "told as it is"
    OPEN = "decrypted"


class _Stream:
    """A stream between TCP and content; what has two elements is by direction."""

    __slots__ = ("acked", "closed", "first", "held", "marks", "mode", "offsets", "plain", "size", "untold", "upto")

    def __init__(self) -> None:
        self.mode = Mode.NEW
        self.held: list[Event] = []
        self.size = 0
        self.closed = 0
        self.first = [b"", b""]
        self.offsets = [0, 0]
        self.plain = [0, 0]
        self.acked = [0, 0]
        self.upto = [0, 0]
        self.untold = [0, 0]
        self.marks: tuple[deque[tuple[int, int]], deque[tuple[int, int]]] = (deque(), deque())


def looks_like_tls(first: bytes) -> bool | None:
    """Does a direction that begins so carry TLS? None where more bytes must tell."""
    if not first:
        return None
    if first[0] & 0x80:  # a ClientHello in the form of SSL 2.0
        return first[2] == 1 and first[3] == 3 if len(first) >= 4 else None
    if not 0x14 <= first[0] <= 0x18:
        return False
    return first[1] == 3 if len(first) >= 2 else None


class Opener:
    """Puts what Wireshark decrypted in the place of the TCP payload that it came from.

    Args:
        out: List to which events are appended.
    """

    def __init__(self, out: list[Event]) -> None:
        self._out = out
        self._streams: dict[int, _Stream] = {}
        self._held = 0
        self.undecrypted = 0
        """Records, or rows of them, that stayed closed in streams of which others were opened."""

    def take(
        self, events: list[Event], time: float, segment: Segment | None = None, stream: int = 0, direction: int = 0
    ) -> None:
        """What the reassembly made of one packet.

        Args:
            events: Its events, in order.
            time: The packet's time.
            segment: The segment that made them; `stream` and `direction` are its own.
        """
        if segment is not None and segment.tls:
            self._prepare(events, segment, stream, direction)
        pending = segment.plain if segment is not None else []
        lost = segment.closed if segment is not None else []
        for event in events:
            if isinstance(event, Opened):
                self._streams[event.stream] = _Stream()
            if isinstance(event, Closed) and event.stream == stream and (pending or lost):
                # The last record comes with the end of the stream: before it.
                self._content(stream, direction, time, pending, lost)
                pending, lost = [], []
            self._event(event)
        if pending or lost:
            self._content(stream, direction, time, pending, lost)

    def _prepare(self, events: list[Event], segment: Segment, number: int, direction: int) -> None:
        """Is it known now what the stream of this packet is?"""
        state = self._streams.get(number)
        if state is None:
            if not any(isinstance(event, Opened) and event.stream == number for event in events):
                return
            # The stream begins with this packet: its own events come first.
            opened = next(event for event in events if isinstance(event, Opened) and event.stream == number)
            events.remove(opened)
            state = self._streams[number] = _Stream()
            self._hold(number, state, opened)
        state.untold[direction] -= segment.records
        if state.mode in {Mode.NEW, Mode.HELD}:
            if segment.plain:
                self._open(number, state, segment.version)
            elif segment.closed:
                state.mode = Mode.HELD
                state.closed += 1
                if state.closed >= CLOSED_MAX:
                    self._tell(state, Mode.PLAIN)

    # --- the states of a stream ---

    def _event(self, event: Event) -> None:
        state = self._streams.get(getattr(event, "stream", 0))
        if state is None:
            self._out.append(event)
            return
        number: int = event.stream  # type: ignore[union-attr]
        if isinstance(event, Data):
            state.offsets[event.direction] += len(event.data)
            state.untold[event.direction] += len(event.data)
            if state.mode is Mode.NEW:
                self._look(state, event)
        elif isinstance(event, Gap):
            state.offsets[event.direction] += event.missing
        if state.mode is Mode.PLAIN:
            self._out.append(event)
        elif state.mode is Mode.OPEN:
            self._inside(state, event)
        elif isinstance(event, Closed):
            self._tell(state, Mode.PLAIN)
            self._out.append(event)
        else:
            self._hold(number, state, event)
        if isinstance(event, Closed):
            del self._streams[number]

    def _look(self, state: _Stream, event: Data) -> None:
        first = state.first[event.direction] = (state.first[event.direction] + event.data[:4])[:4]
        looks = looks_like_tls(first)
        if looks:
            state.mode = Mode.HELD
        elif looks is False:
            self._tell(state, Mode.PLAIN)

    def _hold(self, number: int, state: _Stream, event: Event) -> None:
        state.held.append(event)
        size = EVENT_SIZE + (len(event.data) if isinstance(event, Data) else 0)
        state.size += size
        self._held += size
        if state.size > HELD_MAX or len(state.held) > HELD_EVENTS_MAX or self._held > limits.TOTAL_BUFFER_MAX:
            self._tell(state, Mode.PLAIN)

    def _tell(self, state: _Stream, mode: Mode) -> None:
        """What was held back comes out, as it is."""
        self._out += state.held
        self._release(state, mode)

    def _release(self, state: _Stream, mode: Mode) -> None:
        self._held -= state.size
        state.size = 0
        state.held = []
        state.mode = mode

    def _open(self, number: int, state: _Stream, version: str) -> None:
        """Wireshark has the key: of what was held back only the beginning remains."""
        opened = [event for event in state.held if isinstance(event, Opened)]
        for event in state.held:
            if isinstance(event, Acked):
                state.upto[event.direction] = event.upto
        self._release(state, Mode.OPEN)
        self._out += [
            Opened(
                number, one.time, one.client, one.server, one.client_port, one.server_port, one.handshake,
                (*one.via, version),
            )
            for one in opened
        ]  # fmt: skip

    # --- inside ---

    def _inside(self, state: _Stream, event: Event) -> None:
        """An event of a decrypted stream's TCP."""
        if isinstance(event, Acked):
            state.upto[event.direction] = event.upto
            self._acknowledge(event.stream, state, event.direction, event.time)
        elif isinstance(event, Gap):
            # The size is that of the records; their content was a little less.
            if state.plain[event.direction]:
                state.plain[event.direction] += event.missing
                self._out.append(event)
        elif isinstance(event, Overlap):
            self._out.append(
                Overlap(event.stream, event.direction, event.time, state.plain[event.direction], event.differing)
            )
        elif isinstance(event, Closed):
            self._tell_untold(state, event)
            self._out.append(event)

    def _tell_untold(self, state: _Stream, event: Closed) -> None:
        """Behind a segment that is missing Wireshark waits for it, and looks at nothing more of that direction."""
        for direction in (CLIENT, SERVER):
            missing = state.untold[direction]
            if missing > TLS_HEADER:
                self.undecrypted += 1
                state.plain[direction] += missing
                self._out.append(Gap(event.stream, direction, event.time, missing, UNDECRYPTED))

    def _acknowledge(self, number: int, state: _Stream, direction: int, time: float | None) -> None:
        marks, reached = state.marks[direction], 0
        while marks and marks[0][0] <= state.upto[direction]:
            reached = marks.popleft()[1]
        if reached > state.acked[direction]:
            state.acked[direction] = reached
            self._out.append(Acked(number, direction, time, reached))

    def _content(self, number: int, direction: int, time: float, plain: list[bytes], closed: list[int]) -> None:
        state = self._streams.get(number)
        if state is None or state.mode is not Mode.OPEN:
            return
        for data in plain:
            state.plain[direction] += len(data)
            self._out.append(Data(number, direction, time, data))
        if closed and any(state.plain):
            # Where nothing of a direction was opened, its handshake may be among these: that is no loss of content.
            self.undecrypted += len(closed)
            state.plain[direction] += sum(closed)
            self._out.append(Gap(number, direction, time, sum(closed), UNDECRYPTED))
        marks = state.marks[direction]
        marks.append((state.offsets[direction], state.plain[direction]))
        if len(marks) > MARKS_MAX:
            marks.popleft()
        # A packet that comes late in the file may have been acknowledged before it.
        self._acknowledge(number, state, direction, time)
