"""Writes large captures of made-up but plausible device traffic, the same bytes for the same options.

Many devices speak the plain hardware dialect to one server on port 8080: handshake, login, info, then mostly pin
writes, with pings, server writes, property changes, syncs and a few refused writes between them. Only the standard
library is used, so that the generator runs wherever the benchmark does.

    python tests/bench/generate.py --frames 1000000 -o big.pcap
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from struct import Struct
from typing import IO

SERVER_PORT = 8080
SERVER_ADDRESS = bytes((198, 51, 100, 20))
START = 1_750_000_000.0
FIN, SYN, PSH, ACK = 1, 2, 8, 16
TO_SERVER, TO_DEVICE = 0, 1
DIRECTIONS = ("c2s", "s2c")
SETUP_FRAMES = 4
RETRANSMISSION_TIMEOUT = 0.25

RESPONSE, PING, HW_SYNC, INTERNAL, PROPERTY, HW, HW_LOGIN = 0, 6, 16, 17, 19, 20, 29
NAMES = {
    RESPONSE: "MSG_RSP", PING: "MSG_PING", HW_SYNC: "MSG_HW_SYNC", INTERNAL: "MSG_INTERNAL",
    PROPERTY: "MSG_PROPERTY", HW: "MSG_HW", HW_LOGIN: "MSG_HW_LOGIN",
}  # fmt: skip
STATUS_OK, STATUS_ILLEGAL = 200, 2

FRAME = Struct(">BHH")
IP_HEADER = Struct(">BBHHHBBH4s4s")
TCP_HEADER = Struct(">HHIIHHHH")
TEXTS = ("on", "off", "heating", "Küche", "low battery", "°C", "door open", "idle")
INFO = b"".join(
    key + b"\x00" + value + b"\x00"
    for key, value in (
        (b"ver", b"1.3.2"),
        (b"h-beat", b"45"),
        (b"buff-in", b"1024"),
        (b"dev", b"ESP8266"),
        (b"fw-type", b"TMPL000"),
        (b"build", b"1"),
    )
)
MALFORMED = (b"vw", b"vw\x00", b"vw\x00x", b"xx\x001\x002", b"")

Message = tuple[int, int, int, bytes]
"""Command, id, length or status, body."""


def encode(message: Message) -> bytes:
    """The bytes of one frame of the hardware dialect."""
    cmd, ident, number, body = message
    return FRAME.pack(cmd, ident, number) + body


class PcapFile:
    """A classic capture file with microseconds and Ethernet frames."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._buffer = [Struct("<IHHiIII").pack(0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
        self._record = Struct("<IIII")
        self.packets = 0

    def write(self, time: float, packet: bytes) -> None:
        """Append one packet."""
        microseconds = round(time * 1e6)
        size = len(packet)
        self._buffer.append(self._record.pack(*divmod(microseconds, 1_000_000), size, size))
        self._buffer.append(packet)
        self._written()

    def _written(self) -> None:
        self.packets += 1
        if len(self._buffer) > 8192:
            self.flush()

    def flush(self) -> None:
        """Hand what was collected to the file."""
        self._stream.write(b"".join(self._buffer))
        self._buffer.clear()


class PcapngFile(PcapFile):
    """The same packets as enhanced packet blocks of one section with one interface."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        section = Struct("<IIIHHqI").pack(0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
        interface = Struct("<IIHHII").pack(1, 20, 1, 0, 65535, 20)
        self._buffer = [section + interface]
        self._head, self._tail = Struct("<IIIIIII"), Struct("<I")

    def write(self, time: float, packet: bytes) -> None:
        microseconds = round(time * 1e6)
        size = len(packet)
        padding = -size % 4
        total = 32 + size + padding
        stamp = (microseconds >> 32, microseconds & 0xFFFFFFFF)
        self._buffer.append(self._head.pack(6, total, 0, *stamp, size, size))
        self._buffer.append(packet)
        self._buffer.append(bytes(padding) + self._tail.pack(total))
        self._written()


class Device:
    """One device: its addresses, what each side has sent and acknowledged, its pins."""

    __slots__ = ("acked", "heads", "ident", "next_id", "owed", "pins", "port", "rtt", "sent", "server_id")

    def __init__(self, number: int, rng: random.Random) -> None:
        self.port = 49152 + (number * 37 + int(rng.random() * 30)) % 16000
        address = bytes((10, 20 + (number >> 16), number >> 8 & 0xFF, number & 0xFF))
        hardware = b"\x02\x00\x5e" + number.to_bytes(3, "big")
        gateway = b"\x02\x00\x5e\xff\xff\xfe"
        ends = ((hardware, address, self.port), (gateway, SERVER_ADDRESS, SERVER_PORT))
        self.heads = []
        for source, target in (ends, ends[::-1]):
            ethernet = target[0] + source[0] + b"\x08\x00"
            addresses = int.from_bytes(source[1] + target[1], "big")
            self.heads.append((ethernet, source[1], target[1], source[2], target[2], addresses))
        self.sent = [int(rng.random() * 2**32), int(rng.random() * 2**32)]
        self.acked = [0, 0]
        self.owed = [0, 0]
        self.ident = [int(rng.random() * 65536), 0]
        self.next_id = 1
        self.server_id = 1
        self.rtt = 0.02 + rng.random() * 0.1
        self.pins: dict[int, bytes] = {}

    def packet(self, direction: int, sequence: int, acknowledged: int, flags: int, payload: bytes) -> bytes:
        """One Ethernet frame with correct checksums."""
        ethernet, source, target, source_port, target_port, addresses = self.heads[direction]
        ident = self.ident[direction]
        self.ident[direction] = ident + 1 & 0xFFFF
        length = 40 + len(payload)
        # A sum of 16-bit words modulo 0xFFFF is the big integer modulo 0xFFFF: one C call instead of a loop.
        total = 0x4500 + length + ident + 0x4000 + 0x4006 + addresses
        check = ~(total % 0xFFFF or 0xFFFF) & 0xFFFF
        network = IP_HEADER.pack(0x45, 0, length, ident, 0x4000, 64, 6, check, source, target)
        window = 5744 if direction == TO_SERVER else 64240
        fields = (source_port, target_port, sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, 0x5000 | flags, window)
        segment = TCP_HEADER.pack(*fields, 0, 0) + payload
        words = segment + b"\x00" if len(segment) & 1 else segment
        total = int.from_bytes(words, "big") + addresses + 6 + len(segment)
        check = ~(total % 0xFFFF or 0xFFFF) & 0xFFFF
        frame = ethernet + network + segment[:16] + check.to_bytes(2, "big") + segment[18:]
        # The capture stands at the server: what arrives has been padded to the least Ethernet size, what leaves not.
        return frame.ljust(60, b"\x00") if direction == TO_SERVER else frame

    def take_id(self) -> int:
        """The next message id of the device; 0 is never used."""
        ident = self.next_id
        self.next_id = ident % 65535 + 1
        return ident

    def take_server_id(self) -> int:
        """The next message id of the app whose writes the server forwards."""
        ident = self.server_id
        self.server_id = ident % 65535 + 1
        return ident


class Generator:
    """Plays all devices against each other in capture time and writes what a sniffer at the server would see."""

    def __init__(self, options: argparse.Namespace, output: PcapFile, truth: IO[str] | None) -> None:
        self.rng = random.Random(options.seed)
        self.random = self.rng.random
        self.options = options
        self.output = output
        self.truth = truth
        self.counts: Counter[tuple[str, str]] = Counter()
        self.segments = 0
        self.missing_segments = 0
        self.lost_frames = 0
        self.frames = 0
        self._pending: list[tuple[float, int, bytes]] = []
        self._order = 0

    # -- packets -----------------------------------------------------------------------------------------------------

    def emit(self, time: float, packet: bytes) -> None:
        """Put a packet into the queue that brings the interleaved devices into the order of time."""
        self._order += 1
        heapq.heappush(self._pending, (time, self._order, packet))

    def drain(self, until: float) -> None:
        """Write every packet older than `until`: no device can produce an older one any more."""
        pending, write = self._pending, self.output.write
        while pending and pending[0][0] < until:
            time, _, packet = heapq.heappop(pending)
            write(time, packet)

    def acknowledge(self, device: Device, direction: int, time: float, upto: int) -> None:
        """The receiver of `direction` sends a packet without data."""
        back = 1 - direction
        self.emit(time, device.packet(back, device.sent[back], upto, ACK, b""))
        device.acked[direction] = upto
        device.owed[direction] = 0

    def open(self, device: Device, time: float) -> float:
        """Three-way handshake."""
        client, server = device.sent
        self.emit(time, device.packet(TO_SERVER, client, 0, SYN, b""))
        self.emit(time + 0.0001, device.packet(TO_DEVICE, server, client + 1, SYN | ACK, b""))
        device.sent = [client + 1, server + 1]
        device.acked = list(device.sent)
        self.emit(time + device.rtt, device.packet(TO_SERVER, client + 1, server + 1, ACK, b""))
        return time + device.rtt + 0.001

    def close(self, device: Device, time: float) -> None:
        """Both sides say FIN."""
        client, server = device.sent
        self.emit(time, device.packet(TO_SERVER, client, server, FIN | ACK, b""))
        self.emit(time + 0.0002, device.packet(TO_DEVICE, server, client + 1, FIN | ACK, b""))
        self.emit(time + device.rtt, device.packet(TO_SERVER, client + 1, server + 1, ACK, b""))

    # -- messages ----------------------------------------------------------------------------------------------------

    def cut(self, frames: list[bytes]) -> list[bytes]:
        """Distribute frames over segments: mostly one each, some together, some split at any byte."""
        segments: list[bytes] = []
        current = b""
        for frame in frames:
            chance = self.random()
            if chance < 0.04:
                at = 1 + int(self.random() * (len(frame) - 1))
                segments.append(current + frame[:at])
                current = frame[at:]
            else:
                current += frame
            if chance > 0.58:
                segments.append(current)
                current = b""
        if current:
            segments.append(current)
        return segments

    def send(self, device: Device, direction: int, time: float, messages: list[Message], left: int = 0) -> float:
        """Send messages in one direction, `left` of them at most; the time when the last byte was seen comes back."""
        pieces = self.cut([encode(message) for message in messages])
        options = self.options
        trouble = [self.random() for _ in pieces]
        if trouble[-1] < options.disorder + options.retransmit and len(messages) < left:
            # Disorder shows only where something follows.
            more = self.writes(device, direction, 1)
            messages = messages + more
            pieces.append(encode(more[0]))
            trouble.append(1.0)
        arrivals, missing, at, offset = [], [], time, device.sent[direction]
        for index, piece in enumerate(pieces):
            begin = offset
            offset += len(piece)
            if options.loss and self.random() < options.loss:
                missing.append((begin, offset))
            lot = trouble[index]
            if lot < options.disorder / 2:
                arrivals += [(at, begin, piece), (at + RETRANSMISSION_TIMEOUT, begin, piece)]
            elif lot < options.disorder:
                arrivals.append((at + 0.004, begin, piece))
            elif lot < options.disorder + options.retransmit:
                arrivals.append((at + RETRANSMISSION_TIMEOUT * (1 + self.random()), begin, piece))
            else:
                arrivals.append((at, begin, piece))
            at += 0.0003 + self.random() * 0.002
        arrivals.sort()
        last = self.deliver(device, direction, arrivals, missing, offset)
        self.note(device, direction, time, messages, missing)
        return last

    def deliver(
        self,
        device: Device,
        direction: int,
        arrivals: list[tuple[float, int, bytes]],
        missing: list[tuple[int, int]],
        end: int,
    ) -> float:
        """Write the segments of one burst and the acknowledgements that they cause."""
        back = 1 - direction
        expected = device.sent[direction]
        early: dict[int, int] = {}
        for time, begin, piece in arrivals:
            device.acked[back] = device.sent[back]
            device.owed[back] = 0
            self.segments += 1
            if (begin, begin + len(piece)) in missing:
                self.missing_segments += 1
            else:
                self.emit(time, device.packet(direction, begin, device.sent[back], PSH | ACK, piece))
            if begin == expected:
                expected += len(piece)
                while expected in early:
                    expected = early.pop(expected)
                device.owed[direction] += 1
                if device.owed[direction] >= 2 or early:
                    self.acknowledge(device, direction, time + 0.00005, expected)
            else:
                if begin > expected:
                    early[begin] = begin + len(piece)
                self.acknowledge(device, direction, time + 0.00005, expected)
        device.sent[direction] = end
        return arrivals[-1][0] + 0.0001

    def note(
        self, device: Device, direction: int, time: float, messages: list[Message], missing: list[tuple[int, int]]
    ) -> None:
        """Count the frames, and write them down where a truth file is wanted."""
        begin = device.sent[direction] - sum(5 + len(message[3]) for message in messages)
        for message in messages:
            cmd, ident, number, body = message
            end = begin + 5 + len(body)
            lost = bool(missing) and any(low < end and begin < high for low, high in missing)
            begin = end
            self.frames += 1
            self.lost_frames += lost
            self.counts[DIRECTIONS[direction], NAMES[cmd]] += 1
            if self.truth is not None:
                row = {
                    "ts": round(time, 6), "client_port": device.port, "server_port": SERVER_PORT,
                    "dir": DIRECTIONS[direction], "dialect": "hw5", "event": "lost" if lost else "msg",
                    "cmd": cmd, "name": NAMES[cmd], "id": ident,
                }  # fmt: skip
                row |= {"status": number} if cmd == RESPONSE else {"len": number, "body_hex": body.hex()}
                self.truth.write(json.dumps(row, separators=(",", ":")) + "\n")

    # -- what devices do ---------------------------------------------------------------------------------------------

    def value(self) -> bytes:
        """A value as firmware writes it: mostly a number as text."""
        lot = self.random()
        if lot < 0.5:
            return b"%d" % int(self.random() * 1024)
        if lot < 0.9:
            return b"%.2f" % (self.random() * 100 - 20)
        return TEXTS[int(self.random() * len(TEXTS))].encode()

    def writes(self, device: Device, direction: int, count: int) -> list[Message]:
        """Some `vw` writes to random pins."""
        messages = []
        for _ in range(count):
            pin = int(self.random() * 12)
            value = self.value()
            if self.random() < 0.03:
                value += b"\x00" + self.value()
            body = b"vw\x00%d\x00" % pin + value
            ident = device.take_id() if direction == TO_SERVER else device.take_server_id()
            device.pins[pin] = value
            messages.append((HW, ident, len(body), body))
        return messages

    def ask(self, device: Device, time: float, cmd: int, body: bytes, answer: Message | None = None) -> float:
        """One request of the device, and a status (200 if nothing else is said) or another answer."""
        ident = device.take_id()
        time = self.send(device, TO_SERVER, time, [(cmd, ident, len(body), body)])
        cmd, _, number, text = answer or (RESPONSE, 0, STATUS_OK, b"")
        return self.send(device, TO_DEVICE, time + 0.0005, [(cmd, ident, number, text)])

    def begin(self, device: Device, time: float) -> float:
        """Handshake, login and info."""
        time = self.open(device, time)
        token = b"%032x" % int(self.random() * 2**53)
        time = self.ask(device, time, HW_LOGIN, token)
        return self.ask(device, time + device.rtt, INTERNAL, INFO)

    def step(self, device: Device, time: float, left: int) -> float:
        """One thing that a device or the server does, in at most `left` frames."""
        lot = self.random()
        if lot < 0.80 or left < 2:
            size = self.random()
            count = 1 if size < 0.4 else 2 if size < 0.65 else 3 if size < 0.85 else 5
            return self.send(device, TO_SERVER, time, self.writes(device, TO_SERVER, min(count, left)), left)
        if lot < 0.88:
            return self.ask(device, time, PING, b"")
        if lot < 0.94:
            return self.send(device, TO_DEVICE, time, self.writes(device, TO_DEVICE, 1), left)
        if lot < 0.965:
            body = b"%d\x00color\x00#%06X" % (int(self.random() * 12), int(self.random() * 2**24))
            return self.ask(device, time, PROPERTY, body)
        if lot < 0.99 and device.pins:
            pins = sorted(device.pins)
            pin = pins[int(self.random() * len(pins))]
            if self.random() < 0.2:
                device.pins[pin] = self.value()
            body = b"vw\x00%d\x00" % pin + device.pins[pin]
            return self.ask(device, time, HW_SYNC, b"vr\x00%d" % pin, (HW, 0, len(body), body))
        body = MALFORMED[int(self.random() * len(MALFORMED))]
        return self.ask(device, time, HW, body, (RESPONSE, 0, STATUS_ILLEGAL, b""))

    def run(self) -> None:
        """Write the whole capture."""
        wanted = self.options.frames
        count = max(1, min(self.options.devices, wanted // (2 * SETUP_FRAMES)))
        queue: list[tuple[float, int, Device, bool]] = []
        for number in range(count):
            queue.append((START + self.random() * 2, number, Device(number, self.rng), True))
        heapq.heapify(queue)
        waiting = count * SETUP_FRAMES
        while queue:
            time, number, device, fresh = heapq.heappop(queue)
            self.drain(time)
            if fresh:
                waiting -= SETUP_FRAMES
                end = self.begin(device, time)
            else:
                # Frames that devices still need for their log-ins are kept back.
                left = wanted - self.frames - waiting
                if left <= 0:
                    if waiting == 0:
                        self.close(device, time)
                        continue
                    end = time
                else:
                    end = self.step(device, time, left)
            heapq.heappush(queue, (end + 0.05 + self.rng.expovariate(1.0), number, device, False))
        self.drain(float("inf"))
        self.output.flush()


def generate(options: argparse.Namespace) -> Generator:
    """Write the capture that the options describe, and the truth beside it if asked for."""
    with ExitStack() as stack:
        truth = stack.enter_context(Path(options.truth).open("w", encoding="utf-8")) if options.truth else None
        stream = stack.enter_context(Path(options.output).open("wb"))
        output = PcapngFile(stream) if options.pcapng else PcapFile(stream)
        generator = Generator(options, output, truth)
        generator.run()
    return generator


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = argparse.ArgumentParser(description="Writes a large capture of plain Blynk device traffic.")
    line.add_argument("-o", "--output", required=True, help="capture to write")
    line.add_argument("--frames", type=int, default=100_000, help="exact number of frames (default 100000)")
    line.add_argument("--devices", type=int, default=200, help="number of devices (default 200)")
    line.add_argument("--seed", type=int, default=1, help="seed of the random numbers")
    line.add_argument("--disorder", type=float, default=0.01, help="share of segments out of order or seen twice")
    line.add_argument("--retransmit", type=float, default=0.01, help="share lost on the wire and seen later")
    line.add_argument("--loss", type=float, default=0.0001, help="share missing from the file, though acknowledged")
    line.add_argument("--truth", help="JSON Lines file with every frame, for small captures")
    line.add_argument("--pcapng", action="store_true", help="write pcapng instead of pcap")
    return line


def main() -> int:
    """Command line entry."""
    options = parser().parse_args()
    done = generate(options)
    for (direction, name), number in sorted(done.counts.items()):
        print(f"{number:>10}  {direction}  {name}")
    print(f"{done.frames:>10}  frames, {done.lost_frames} of them not wholly in the file")
    print(f"{done.segments:>10}  data segments, {done.missing_segments} missing; {done.output.packets} packets written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
