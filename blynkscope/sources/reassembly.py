"""TCP segments in, events out: our own reassembly.

Sequence numbers are compared by serial-number arithmetic (RFC 1982), so a wrap is nothing special. Of bytes that were
sent twice the first ones win, and a difference is reported. A hole is waited for within bounds; then it becomes a `Gap`
event and the stream goes on behind it. Tables are bounded; what is evicted is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from blynkscope.protocol import limits
from blynkscope.protocol.ports import SERVER_PORTS
from blynkscope.wire.events import CLIENT, SERVER, Acked, Closed, Data, Event, Gap, Opened, Overlap

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
_MASK = 0xFFFFFFFF
_HALF_SPACE = 0x80000000


def serial_difference(a: int, b: int) -> int:
    """`a - b` of two 32-bit sequence numbers, as the signed distance (RFC 1982)."""
    distance = (a - b) & _MASK
    return distance - (1 << 32) if distance >= _HALF_SPACE else distance


class Piece:
    """Bytes behind a hole (`data` None where the capture cut them off), at stream offsets `start` to `end`."""

    __slots__ = ("data", "end", "start", "time")

    def __init__(self, start: int, end: int, data: bytes | None, time: float) -> None:
        self.start = start
        self.end = end
        self.data = data
        self.time = time


class Half:
    """One direction of a connection.

    `next` is the sequence number expected (None until known), `offset` the stream offset that belongs to it, `acked`
    the sequence number that the peer has acknowledged. `calm` is True while packets may take the short way.
    """

    __slots__ = (
        "acked", "calm", "connection", "direction", "fin", "fin_acked", "heard", "held", "held_bytes", "hole_since",
        "next", "offset", "peer", "recent", "stream",
    )  # fmt: skip

    def __init__(self, connection: Connection, direction: int) -> None:
        self.connection = connection
        self.stream = connection.number
        self.direction = direction
        self.peer: Half = self
        self.next: int | None = None
        self.offset = 0
        self.acked: int | None = None
        self.calm = False
        self.held: list[Piece] = []
        self.held_bytes = 0
        self.hole_since = 0.0
        self.recent = b""
        self.fin: int | None = None
        self.fin_acked = False
        self.heard = False


class Connection:
    """Both directions of a connection, and how far it has come."""

    __slots__ = ("answered", "closed", "closer", "halves", "keys", "last", "number", "syn", "used")

    def __init__(self, number: int) -> None:
        self.number = number
        client, server = Half(self, CLIENT), Half(self, SERVER)
        client.peer, server.peer = server, client
        self.halves = (client, server)
        self.keys: tuple[bytes, bytes] = (b"", b"")
        self.last = 0.0
        self.closed = False
        self.closer: int | None = None
        self.syn: int | None = None
        self.answered = False
        self.used = False


@dataclass(slots=True)
class Counts:
    """What the reassembly could not use, counted."""

    evicted: int = 0
    after_close: int = 0
    conflicts: int = 0
    gaps: int = 0
    gap_bytes: int = 0
    out_of_window: int = 0


class Flows:
    """All connections of an input.

    Args:
        name: Gives `address:port` of one end: called with the address bytes and the port.
        out: List to which events are appended; whoever drives the source empties it.
    """

    def __init__(self, name: Callable[[bytes, int], str], out: list[Event]) -> None:
        self.halves: dict[bytes, Half] = {}
        self.connections: dict[int, Connection] = {}
        self.counts = Counts()
        self._name = name
        self._out = out
        self._number = 0
        self._held_bytes = 0

    # --- opening and closing ---

    def _open(self, key: bytes, time: float, seq: int, ack: int, flags: int) -> Half:
        """A connection that is not in the table: who is the client?"""
        if len(self.connections) >= limits.STREAMS_MAX:
            self._evict()
        self._number += 1
        connection = Connection(self._number)
        width = (len(key) - 4) // 2
        source, target = key[:width], key[width : 2 * width]
        source_port, target_port = int.from_bytes(key[-4:-2], "big"), int.from_bytes(key[-2:], "big")
        other = target + source + key[-2:] + key[-4:-2]
        if flags & SYN:
            from_client = not flags & ACK
        elif (source_port in SERVER_PORTS) != (target_port in SERVER_PORTS):
            from_client = target_port in SERVER_PORTS
        else:
            from_client = source_port >= target_port
        half = connection.halves[CLIENT if from_client else SERVER]
        self.halves[key] = half
        self.halves[other] = half.peer
        connection.keys = (key, other)
        connection.last = time
        self.connections[connection.number] = connection
        ends = ((source, source_port), (target, target_port))
        client, server = ends if from_client else ends[::-1]
        self._out.append(
            Opened(
                connection.number,
                time,
                self._name(*client),
                self._name(*server),
                client[1],
                server[1],
                bool(flags & SYN),
            )
        )
        if flags & ACK and not flags & RST:
            # The receiver has had everything below `ack`: there its peer's data begins for us.
            half.peer.next = half.peer.acked = ack
        return half

    def _forget(self, connection: Connection) -> None:
        for key in connection.keys:
            if (half := self.halves.get(key)) is not None and half.connection is connection:
                del self.halves[key]
        self.connections.pop(connection.number, None)

    def _evict(self) -> None:
        """Make room: closed connections first, then those that were silent longest."""
        count = max(1, limits.STREAMS_MAX // 8)
        oldest = sorted(self.connections.values(), key=lambda one: (not one.closed, one.last))[:count]
        for connection in oldest:
            if not connection.closed:
                self.counts.evicted += 1
                self._close(connection, connection.last, "evicted", None)
            self._forget(connection)

    def _close(self, connection: Connection, time: float, how: str, by: int | None) -> None:
        if connection.closed:
            return
        for half in connection.halves:
            while half.held:
                self._lose(half, time, "lost")
            if half.fin is not None and half.fin > half.offset:
                self._gap(half, time, half.fin - half.offset, "lost")
            self._held_bytes -= half.held_bytes
            half.held_bytes = 0
            half.calm = False
            half.recent = b""
        connection.closed = True
        client, server = connection.halves
        self._out.append(Closed(connection.number, time, how, by, (client.heard, server.heard)))

    def finish(self) -> None:
        """The input has ended: whatever is open is closed."""
        for connection in self.connections.values():
            if connection.closed:
                continue
            unanswered = connection.syn is not None and not connection.answered and not connection.used
            self._close(connection, connection.last, "unanswered" if unanswered else "end", None)
        self.halves.clear()
        self.connections.clear()

    # --- segments ---

    def segment(self, time: float, key: bytes, seq: int, ack: int, flags: int, data: bytes, missing: int = 0) -> None:
        """Take one TCP segment.

        Args:
            time: Seconds since the epoch.
            key: Source address, target address, source port, target port, as they are on the wire.
            seq: Sequence number.
            ack: Acknowledgement number (looked at where the ACK flag is set).
            flags: The eight low flag bits of the header.
            data: Payload.
            missing: Bytes of the payload that the capture did not keep, behind `data`.
        """
        half = self.halves.get(key)
        if half is not None and flags & SYN and not flags & RST and self._is_new(half, seq, flags):
            if not half.connection.closed:
                self._close(half.connection, time, "reused", None)
            self._forget(half.connection)
            half = None
        if half is None:
            half = self._open(key, time, seq, ack, flags)
        connection, peer = half.connection, half.peer
        connection.last = time
        half.heard = True
        if flags & SYN:
            self._syn(half, seq, ack, flags)
            seq = (seq + 1) & _MASK
        if connection.closed:
            # Its end was told: nothing may follow that, not even an acknowledgement that was under way.
            if data or missing:
                self.counts.after_close += 1
            return
        far = half.next is not None and abs(serial_difference(seq, half.next)) > limits.WINDOW_MAX
        if far and (data or missing or flags & FIN):
            self.counts.out_of_window += 1
            return
        if flags & ACK:
            self._acknowledge(peer, ack, time)
        if data or missing:
            if peer.held:
                # What is answered has arrived, whatever the capture lacks of it: it comes before its answer.
                self._check_hole(peer, time, answered=True)
            self._data(half, seq, data, missing, time)
        if flags & RST:
            refused = connection.syn is not None and not connection.answered and half.direction == SERVER
            # A kernel whose program has closed answers late bytes with RST: the end was its FIN.
            ended = half.fin is not None
            by = connection.closer if ended else half.direction
            self._close(connection, time, "refused" if refused else "fin" if ended else "reset", by)
            return
        if flags & FIN and half.next is not None:
            self._fin(half, seq, len(data) + missing)
        for one in (half, peer):
            if one.held:
                self._check_hole(one, time)
        if half.fin_acked and peer.fin_acked:
            self._close(connection, time, "fin", connection.closer)
        self._calm(connection)

    def _is_new(self, half: Half, seq: int, flags: int) -> bool:
        """Does this SYN begin another connection on the same addresses and ports?"""
        connection = half.connection
        if flags & ACK:
            return connection.closed and half.next is not None and abs(serial_difference(seq + 1, half.next)) > 1
        if connection.closed or half.direction == SERVER:
            return True
        if connection.syn is None:
            # The answer was captured before the SYN itself: it names the same sequence number.
            return half.next is None or half.offset != 0 or (seq + 1) & _MASK != half.next
        return connection.syn != seq

    def _syn(self, half: Half, seq: int, ack: int, flags: int) -> None:
        connection = half.connection
        if half.offset == 0 and not half.held:
            half.next = half.acked = (seq + 1) & _MASK
        if flags & ACK:
            connection.answered = True
            if half.peer.next is None:
                half.peer.next = half.peer.acked = ack
        elif half.direction == CLIENT:
            connection.syn = seq

    def _fin(self, half: Half, seq: int, size: int) -> None:
        assert half.next is not None
        at = half.offset + serial_difference((seq + size) & _MASK, half.next)
        if half.fin is None and at >= half.offset:
            half.fin = at
            if half.connection.closer is None:
                half.connection.closer = half.direction

    def _acknowledge(self, half: Half, ack: int, time: float) -> None:
        """The peer of `half` has everything below `ack`."""
        if half.next is None or half.acked is None:
            return
        if serial_difference(ack, half.next) > limits.WINDOW_MAX:
            self.counts.out_of_window += 1
            return
        if serial_difference(ack, half.acked) > 0:
            half.acked = ack
            upto = half.offset + serial_difference(ack, half.next)
            if upto > 0:
                self._out.append(Acked(half.stream, half.direction, time, upto))
        if half.fin is not None and half.offset + serial_difference(half.acked, half.next) > half.fin:
            half.fin_acked = True

    def _data(self, half: Half, seq: int, data: bytes, missing: int, time: float) -> None:
        half.connection.used = True
        if half.next is None:
            half.next = half.acked = seq
        distance = serial_difference(seq, half.next)
        size = len(data) + missing
        if half.fin is not None and half.offset + distance + size > half.fin:
            self.counts.after_close += 1
            return
        if distance == 0 and not half.held:
            self._deliver(half, data, missing, time)
            return
        if distance < 0:
            old = -distance
            if old == 1 and size <= 1:
                return  # a keep-alive probe: its byte is garbage
            self._compare(half, data, distance, time)
            if old >= size:
                return
            missing = size - max(old, len(data)) if old > len(data) else missing
            data = data[old:]
            distance = 0
        start = half.offset + distance
        if start == half.offset and not half.held:
            self._deliver(half, data, missing, time)
            return
        if not half.held:
            half.hole_since = time
        if data:
            self._hold(half, Piece(start, start + len(data), data, time))
        if missing:
            self._hold(half, Piece(start + len(data), start + len(data) + missing, None, time))
        self._drain(half)

    def _compare(self, half: Half, data: bytes, distance: int, time: float) -> None:
        """Bytes that were delivered already come again: are they the same? (Told of the last delivered segment.)"""
        recent = half.recent
        begin = half.offset - len(recent)
        start = half.offset + distance
        skip, again = max(0, begin - start), max(0, start - begin)
        old, new = recent[again:], data[skip:]
        size = min(len(old), len(new))
        self._conflict(half, old[:size], new[:size], max(start, begin), time)

    def _conflict(self, half: Half, old: bytes, new: bytes, offset: int, time: float) -> None:
        if old != new:
            self.counts.conflicts += 1
            differing = sum(a != b for a, b in zip(old, new, strict=True))
            self._out.append(Overlap(half.stream, half.direction, time, offset, differing))

    def _hold(self, half: Half, piece: Piece) -> None:
        """Keep a piece behind a hole; of bytes that are there already, the first stay."""
        held = half.held
        start = piece.start
        place = 0
        while start < piece.end:
            while place < len(held) and held[place].end <= start:
                place += 1
            following = held[place] if place < len(held) else None
            stop = min(piece.end, following.start) if following else piece.end
            if stop > start:
                part = piece.data[start - piece.start : stop - piece.start] if piece.data is not None else None
                held.insert(place, Piece(start, stop, part, piece.time))
                half.held_bytes += stop - start
                self._held_bytes += stop - start
                place += 1
                start = stop
            elif following is not None:
                stop = min(piece.end, following.end)
                if piece.data is not None and following.data is not None:
                    old = following.data[start - following.start : stop - following.start]
                    self._conflict(half, old, piece.data[start - piece.start : stop - piece.start], start, piece.time)
                start = stop

    def _drain(self, half: Half) -> None:
        held = half.held
        count = 0
        while count < len(held) and held[count].start <= half.offset:
            piece = held[count]
            count += 1
            size = piece.end - piece.start
            half.held_bytes -= size
            self._held_bytes -= size
            if piece.data is None:
                self._gap(half, piece.time, size, "snaplen")
            else:
                self._deliver(half, piece.data, 0, piece.time)
        if count:
            del held[:count]
            if held:
                half.hole_since = held[0].time

    def _deliver(self, half: Half, data: bytes, missing: int, time: float) -> None:
        assert half.next is not None
        if data:
            half.next = (half.next + len(data)) & _MASK
            half.offset += len(data)
            half.recent = data
            self._out.append(Data(half.stream, half.direction, time, data))
        if missing:
            self._gap(half, time, missing, "snaplen")

    def _gap(self, half: Half, time: float, missing: int, reason: str) -> None:
        assert half.next is not None
        half.next = (half.next + missing) & _MASK
        half.offset += missing
        half.recent = b""
        self.counts.gaps += 1
        self.counts.gap_bytes += missing
        self._out.append(Gap(half.stream, half.direction, time, missing, reason))

    def _lose(self, half: Half, time: float, reason: str) -> None:
        """Give up waiting for the bytes before the first held piece."""
        missing = half.held[0].start - half.offset
        if missing > 0:
            self._gap(half, time, missing, reason)
        self._drain(half)

    def expire(self, now: float) -> None:
        """Call lost what was waited for long enough, also on connections on which nothing more comes.

        Args:
            now: Seconds since the epoch.
        """
        if self._held_bytes <= 0:
            return
        for connection in list(self.connections.values()):
            for half in connection.halves:
                if half.held:
                    self._check_hole(half, now)

    def _check_hole(self, half: Half, time: float, *, answered: bool = False) -> None:
        """Has the wait for missing bytes lasted long enough?"""
        assert half.next is not None
        while half.held:
            waited = time - half.hole_since
            hole_end = half.held[0].start
            arrived = half.acked is not None and half.offset + serial_difference(half.acked, half.next) >= hole_end
            if waited >= limits.REORDER_SECONDS or (arrived and (answered or waited >= limits.ACKED_HOLE_SECONDS)):
                self._lose(half, time, "lost")
            elif (
                len(half.held) > limits.REORDER_SEGMENTS
                or half.held_bytes > limits.STREAM_BUFFER_MAX
                or self._held_bytes > limits.TOTAL_BUFFER_MAX
            ):
                self._lose(half, time, "reordering limit")
            else:
                return

    def _calm(self, connection: Connection) -> None:
        client, server = connection.halves
        calm = (
            not connection.closed
            and client.next is not None
            and server.next is not None
            and client.acked is not None
            and server.acked is not None
            and client.fin is None
            and server.fin is None
            and not client.held
            and not server.held
            and client.heard
            and server.heard
        )
        client.calm = server.calm = calm
