"""Scripted conversations: Blynk frames in TCP segments, with what a decoder should read beside them.

A `Talk` is one TCP connection. It keeps a list of `Packet` objects that a script may move, repeat or take out before
they are turned into bytes, because the faults that the captures show are faults of packets, not of messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet as Layer
from scapy.packet import Raw

CLIENT, SERVER = 0, 1
START = 1_750_000_000_000_000_000
MILLISECOND = 1_000_000
TOKEN = b"0123456789abcdef0123456789abcdef"
TOKEN_UNKNOWN = b"ffffffffffffffffffffffffffffffff"
INFO = b"ver\0001.3.2\0h-beat\00045\0buff-in\0001024\0dev\0ESP8266\0"

NAMES = {
    0: "Response", 2: "Login", 6: "Ping", 14: "PushNotification", 16: "HardwareSync", 17: "Internal",
    19: "setWidgetProperty", 20: "Hardware", 29: "LoginHardware",
}  # fmt: skip
LOGIN, PING, NOTIFY, HW_SYNC, INTERNAL, PROPERTY, HW, HW_LOGIN = 2, 6, 14, 16, 17, 19, 20, 29


@dataclass(frozen=True)
class Frame:
    """One message. `status` is set in answers only; `write` is the state in which a pin write ends."""

    cmd: int
    ident: int
    body: bytes = b""
    status: int | None = None
    write: str | None = None

    def encode(self, dialect: str) -> bytes:
        width = 4 if dialect == "app7" else 2
        word = len(self.body) if self.status is None else self.status
        return self.cmd.to_bytes(1, "big") + self.ident.to_bytes(2, "big") + word.to_bytes(width, "big") + self.body

    def truth(self) -> dict[str, Any]:
        row: dict[str, Any] = {"cmd": self.cmd, "name": NAMES[self.cmd], "id": self.ident}
        if self.status is None:
            row |= {"len": len(self.body), "body_hex": self.body.hex()}
        else:
            row["status"] = self.status
        return row | ({"write": self.write} if self.write else {})


def answer(ident: int, status: int = 200) -> Frame:
    return Frame(0, ident, status=status)


def write(ident: int, pin: int, value: str, state: str | None = None) -> Frame:
    return Frame(HW, ident, f"vw\0{pin}\0{value}".encode(), write=state)


@dataclass
class Packet:
    """One TCP segment. `sequence` and `acknowledged` are absolute; the time is in nanoseconds."""

    time: int
    source: str
    target: str
    source_port: int
    target_port: int
    sequence: int
    acknowledged: int
    flags: str
    payload: bytes = b""
    window: int = 5744
    ident: int = 0
    stamp: bool = False

    def later(self, nanoseconds: int) -> Packet:
        """The same segment sent once more."""
        return replace(self, time=self.time + nanoseconds, ident=self.ident + 0x8000)

    def transport(self) -> Layer:
        """The TCP segment."""
        flags = self.flags
        options = [("NOP", None), ("NOP", None), ("Timestamp", (self.time // MILLISECOND & 0xFFFFFFFF, 0))]
        header = TCP(
            sport=self.source_port, dport=self.target_port, seq=self.sequence & 0xFFFFFFFF,
            ack=self.acknowledged & 0xFFFFFFFF if "A" in flags else 0, flags=flags, window=self.window,
            options=options if self.stamp else [],
        )  # fmt: skip
        return header / Raw(self.payload) if self.payload else header

    def network(self, **fields: Any) -> Layer:
        """The IP packet."""
        if ":" in self.source:
            return IPv6(src=self.source, dst=self.target, hlim=64, **fields) / self.transport()
        return IP(src=self.source, dst=self.target, id=self.ident & 0xFFFF, flags="DF", **fields) / self.transport()

    @property
    def to_server(self) -> bool:
        return self.target_port < self.source_port


class Talk:
    """One connection between a device and a server."""

    def __init__(
        self,
        client: str = "192.0.2.10",
        server: str = "198.51.100.20",
        *,
        client_port: int = 50010,
        server_port: int = 8080,
        first: tuple[int, int] = (1_000, 900_000),
        start: int = START,
        dialect: str = "hw5",
        stamp: bool = False,
    ) -> None:
        self.addresses = (client, server)
        self.ports = (client_port, server_port)
        self.sent = list(first)
        self.time = start
        self.dialect = dialect
        self.stamp = stamp
        self.packets: list[Packet] = []
        self.truth: list[dict[str, Any]] = []

    # -- segments

    def packet(
        self, side: int, flags: str, payload: bytes = b"", *, seq: int | None = None, ack: int | None = None,
        after: int = 10, window: int = 5744, captured: bool = True,
    ) -> Packet:  # fmt: skip
        """Put one segment on the wire, `after` milliseconds after the last; sequence numbers stay."""
        self.time += after * MILLISECOND
        other = 1 - side
        made = Packet(
            self.time, self.addresses[side], self.addresses[other], self.ports[side], self.ports[other],
            self.sent[side] if seq is None else seq, self.sent[other] if ack is None else ack, flags, payload, window,
            len(self.packets) + 1, self.stamp,
        )  # fmt: skip
        if captured:
            self.packets.append(made)
        return made

    def open(self) -> None:
        """Three-way handshake."""
        self.packet(CLIENT, "S")
        self.sent[CLIENT] += 1
        self.packet(SERVER, "SA")
        self.sent[SERVER] += 1
        self.packet(CLIENT, "A")

    def raw(self, side: int, payload: bytes, **options: Any) -> Packet:
        """Send bytes in one segment."""
        made = self.packet(side, "PA", payload, **options)
        self.sent[side] += len(payload)
        return made

    def note(self, side: int, frames: Iterable[Frame], event: str = "msg", time: int | None = None) -> None:
        """Write frames into the truth: `msg` if they can be read from the file, else why not."""
        for frame in frames:
            row = {
                "ts": round((time or self.time) / 1e9, 6), "client_port": self.ports[0], "server_port": self.ports[1],
                "dir": ("c2s", "s2c")[side], "dialect": self.dialect, "event": event,
            }  # fmt: skip
            self.truth.append(row | frame.truth())

    def encode(self, *frames: Frame) -> bytes:
        return b"".join(frame.encode(self.dialect) for frame in frames)

    def say(self, side: int, *frames: Frame, event: str = "msg", **options: Any) -> Packet:
        """Send frames in one segment."""
        made = self.raw(side, self.encode(*frames), **options)
        self.note(side, frames, event)
        return made

    def pieces(
        self, side: int, cuts: tuple[int, ...], *frames: Frame, event: str = "msg", **options: Any
    ) -> list[Packet]:
        """Send frames in several segments, cut at these offsets."""
        data = self.encode(*frames)
        bounds = (0, *cuts, len(data))
        made = [self.raw(side, data[low:high], **options) for low, high in pairwise(bounds)]
        self.note(side, frames, event)
        return made

    def acknowledge(self, side: int, **options: Any) -> Packet:
        """A segment without data."""
        return self.packet(side, "A", **options)

    def finish(self, side: int = CLIENT) -> None:
        """Both sides close, `side` first."""
        for end in (side, 1 - side):
            self.packet(end, "FA")
            self.sent[end] += 1
        self.acknowledge(side)

    # -- messages

    def login(self) -> None:
        """Login and info with their answers."""
        if self.dialect == "app7":
            body = b"someone@example.com\0" + b"A" * 43 + b"=\0Android\x002.27.0\0Blynk"
            self.say(CLIENT, Frame(LOGIN, 1, body))
        else:
            self.say(CLIENT, Frame(HW_LOGIN, 1, TOKEN))
        self.say(SERVER, answer(1))
        if self.dialect == "hw5":
            self.say(CLIENT, Frame(INTERNAL, 2, INFO))
            self.say(SERVER, answer(2))
            self.acknowledge(CLIENT)

    def small_talk(self, ident: int = 3) -> None:
        """Writes both ways, a ping, several frames in one segment and one frame in two."""
        self.say(CLIENT, write(ident, 1, "23.5"))
        self.acknowledge(SERVER)
        self.say(CLIENT, Frame(PING, ident + 1))
        self.say(SERVER, answer(ident + 1))
        self.say(SERVER, write(1, 4, "1"))
        self.acknowledge(CLIENT)
        self.say(CLIENT, write(ident + 2, 1, "23.6"), write(ident + 3, 2, "on"), write(ident + 4, 3, "-7"))
        self.pieces(CLIENT, (3,), write(ident + 5, 5, "Grüße"))
        self.acknowledge(SERVER)


def whole(**options: Any) -> Talk:
    """A whole healthy connection from the handshake to the end."""
    talk = Talk(**options)
    talk.open()
    talk.login()
    if talk.dialect == "app7":
        talk.say(CLIENT, Frame(HW, 2, b"1-0\0vw\0001\x0042"))
        talk.say(CLIENT, Frame(PING, 3))
        talk.say(SERVER, answer(3))
        talk.say(SERVER, Frame(HW, 3, b"1-0\0vw\0002\x0023.5"))
        talk.acknowledge(CLIENT)
    else:
        talk.small_talk()
    talk.finish()
    return talk


def in_order(*talks: Talk) -> list[Packet]:
    """All packets by time; the order of equal times is kept."""
    return sorted((packet for talk in talks for packet in talk.packets), key=lambda packet: packet.time)
