"""Blynk as a scapy layer: frames to dissect, to build, and to build wrongly, from the project's command table.

    >>> from blynkscope.scapy import Blynk
    >>> frame = Blynk.vw(1, 42, id=3)
    >>> bytes(frame).hex()
    '140003000776770031003432'
    >>> frame = Blynk(bytes.fromhex("00 0003 0009  06 0004 0000"))
    >>> frame.summary()
    'Blynk MSG_RSP id 3 STA_INVALID_TOKEN / Blynk MSG_PING id 4'
    >>> Blynk(bytes(Blynk.vw(1, 42))).decoded
    {'op': 'vw', 'pins': [{'pin': 'V1', 'values': ['42']}]}

Lengths are computed unless they are given, and then they may lie: `Blynk.vw(1, 42, length=9)`.

`Blynk` has the header of devices (5 bytes), `BlynkApp` that of apps (7 bytes), `BlynkWeb` that of the web dashboard's
WebSocket messages. The frames of one segment are dissected as a chain of layers, up to `CHAIN_MAX` of them; `frames`
takes any number. Importing this module binds nothing, since Blynk shares its ports with HTTP: `bind()` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from scapy.config import conf
from scapy.fields import (
    ByteEnumField,
    ConditionalField,
    IntEnumField,
    IntField,
    ShortEnumField,
    ShortField,
    StrField,
    StrLenField,
)
from scapy.layers.inet import TCP
from scapy.packet import Packet, bind_layers, split_layers

from blynkscope.protocol import commands, derived, ports
from blynkscope.protocol.frames import HEADER_SIZE
from blynkscope.protocol.model import Ack, Command, Dialect, Era
from blynkscope.protocol.statuses import STATUSES, SUCCESS, status_name
from blynkscope.wire import recognise

__all__ = ["CHAIN_MAX", "Blynk", "BlynkApp", "BlynkWeb", "bind", "frames", "unbind"]

CHAIN_MAX = 64
"""Frames that are dissected as layers of one packet: scapy recurses into each. What is left is a Raw layer."""

_STATUS_NAMES = {code: row.name for code, row in STATUSES.items()}
_NO_BLYNK = frozenset({"tls", "http", "websocket", "mqtt", "ssh"})
"""What else begins on Blynk's ports and is known by its first bytes."""
_LOOKED_AT = 512


def _command_names(dialect: Dialect) -> dict[int, str]:
    names = derived.names(dialect)
    return {code: names[code] for code in range(256) if commands.find(code, dialect) is not None}


def _answers_nothing(packet: Packet) -> bool:
    return bool(packet.cmd != commands.RESPONSE)


def _is_response(packet: Packet) -> bool:
    return bool(packet.cmd == commands.RESPONSE)


class _Frame(Packet):
    """What the dialects have in common."""

    __slots__ = ()
    dialect: ClassVar[Dialect] = Dialect.HARDWARE
    era: ClassVar[Era | None] = None
    """Set it to read codes that changed their meaning: `Blynk.era = Era.LEGACY`."""

    # --- building ---

    @classmethod
    def of(cls, cmd: int | str, *parts: object, target: str | None = None, **fields: Any) -> Any:
        """A frame of a command whose body is these parts, separated by NUL.

        Args:
            cmd: Code, canonical name or alias ("MSG_HW", "HARDWARE").
            parts: Bytes as they are; everything else as text.
            target: Dashboard and device ("1-0") before the parts, as apps put it.
            fields: `id`, and `length` or `body` where they shall differ from what follows from the parts.

        Raises:
            ValueError: No command has this name.
        """
        if isinstance(cmd, str):
            found = [row for row in commands.named(cmd) if cls.dialect in row.dialects] or commands.named(cmd)
            if not found:
                raise ValueError(f"no command is named {cmd!r}")
            cmd = found[0].code
        pieces = parts if target is None else (target, *parts)
        body = b"\0".join(part if isinstance(part, bytes) else str(part).encode() for part in pieces)
        return cls(**{"cmd": cmd, "body": body, **fields})

    @classmethod
    def vw(cls, pin: object, *values: object, **fields: Any) -> Any:
        """A write of a virtual pin."""
        return cls.of(commands.HW, "vw", pin, *values, **fields)

    @classmethod
    def dw(cls, pin: object, value: object, **fields: Any) -> Any:
        """A write of a digital pin."""
        return cls.of(commands.HW, "dw", pin, value, **fields)

    @classmethod
    def aw(cls, pin: object, value: object, **fields: Any) -> Any:
        """A write of an analog pin."""
        return cls.of(commands.HW, "aw", pin, value, **fields)

    @classmethod
    def vr(cls, *pins: object, **fields: Any) -> Any:
        """A request for virtual pins."""
        return cls.of(commands.HW, "vr", *pins, **fields)

    @classmethod
    def pm(cls, *pins_and_modes: object, **fields: Any) -> Any:
        """Pin modes: pin and mode in turn."""
        return cls.of(commands.HW, "pm", *pins_and_modes, **fields)

    @classmethod
    def sync(cls, *pins: object, **fields: Any) -> Any:
        """A request for the last values of virtual pins; of all pins where none is named."""
        return cls.of(commands.HW_SYNC, *(("vr", *pins) if pins else ()), **fields)

    @classmethod
    def hw_login(cls, token: str | bytes, **fields: Any) -> Any:
        """The login of a device."""
        return cls.of(commands.HW_LOGIN, token, **fields)

    @classmethod
    def ping(cls, **fields: Any) -> Any:
        """A heartbeat."""
        return cls.of(commands.PING, **fields)

    @classmethod
    def internal(cls, *keys_and_values: object, **fields: Any) -> Any:
        """An INTERNAL message: key and value in turn."""
        return cls.of(commands.INTERNAL, *keys_and_values, **fields)

    @classmethod
    def set_property(cls, pin: object, name: str, *values: object, **fields: Any) -> Any:
        """A change of a widget's property."""
        return cls.of(commands.PROPERTY, pin, name, *values, **fields)

    @classmethod
    def redirect(cls, host: str, *port: object, **fields: Any) -> Any:
        """A redirect to another server."""
        return cls.of(commands.REDIRECT, host, *port, **fields)

    @classmethod
    def response(cls, id: int, status: int | str = SUCCESS, **fields: Any) -> Any:  # noqa: A002 - the field's name
        """A RESPONSE."""
        return cls(**{"cmd": commands.RESPONSE, "id": id, "status": status, **fields})

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Fill in the length of the body, where none was given."""
        width = HEADER_SIZE[self.dialect] - 3
        if width and self.cmd != commands.RESPONSE and self.length is None:
            size = min(len(pkt) - 3 - width, (1 << 8 * width) - 1)
            pkt = pkt[:3] + size.to_bytes(width, "big") + pkt[3 + width :]
        return pkt + pay

    # --- dissecting ---

    @classmethod
    def _class_of(cls, data: bytes | None, underlayer: Packet | None = None) -> type[Packet]:
        """Bytes that are no whole header, or that TCP carries and are of another protocol, are Raw."""
        if not data:
            return cls
        if len(data) < _header_size(cls.dialect, data[0]):
            return conf.raw_layer
        if isinstance(underlayer, TCP):
            guess = recognise.classify(bytes(data[:_LOOKED_AT]), final=True)
            if guess is not None and guess.kind in _NO_BLYNK:
                return conf.raw_layer
        return cls

    @classmethod
    def tcp_reassemble(cls, data: bytes, metadata: dict[str, Any], session: dict[str, Any]) -> Packet | None:
        """For scapy's TCPSession: a packet as soon as the bytes end with a whole frame."""
        if cls._class_of(data, TCP()) is cls and _whole(cls.dialect, data) != len(data):
            return None
        return cls(data)

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """The frame behind this one."""
        if self.dialect is Dialect.WEB or len(payload) < _header_size(self.dialect, payload[0]):
            return conf.raw_layer
        depth, layer = 1, self.underlayer
        while isinstance(layer, _Frame):
            depth, layer = depth + 1, layer.underlayer
        return type(self) if depth < CHAIN_MAX else conf.raw_layer

    # --- reading ---

    @property
    def row(self) -> Command | None:
        """The row of the command table that explains the frame."""
        return commands.find(int(self.cmd), self.dialect, self.era)

    @property
    def decoded(self) -> dict[str, Any] | None:
        """The fields of the body, as frame records have them; None for a RESPONSE and an empty body."""
        return None if self.cmd == commands.RESPONSE else self._decode(self._body())[0]

    @property
    def problem(self) -> str | None:
        """Why the body does not parse for its command, or None."""
        row = self.row
        return None if row is None or self.cmd == commands.RESPONSE else row.body.problem(self._body())

    def _body(self) -> bytes:
        body = self.body
        return body if isinstance(body, bytes) else bytes(str(body or ""), "utf-8")

    def _decode(self, body: bytes) -> tuple[dict[str, Any] | None, str]:
        decode = derived.decoders(self.dialect, self.era)[int(self.cmd)]
        return decode(body)

    def mysummary(self) -> tuple[str, list[type[Packet]]]:  # type: ignore[override]  # as scapy's layers do
        """The frame on one line, its secrets masked; the frames around it have their say too."""
        name = commands.command_name(int(self.cmd), self.dialect, self.era)
        if self.cmd == commands.RESPONSE:
            return f"Blynk {name} id {self.id} {status_name(int(self.status))}", [type(self)]
        body, row = self._body(), self.row
        for span in row.body.secrets(body) if row is not None else ():
            body = body[: span.start] + b"*" * (span.end - span.start) + body[span.end :]
        text = ascii(self._decode(body)[1])[1:-1]
        return f"Blynk {name} id {self.id}" + (f" {text}" if text else ""), [type(self)]

    def hashret(self) -> bytes:
        """What a request and its answer have in common: the id."""
        return int(self.id).to_bytes(2, "big")

    def answers(self, other: Packet) -> int:
        """Is this what the other side says to `other`?"""
        if type(other) is not type(self) or other.cmd == commands.RESPONSE or other.id != self.id:
            return 0
        if self.cmd == commands.RESPONSE:
            return 1
        if other.cmd == commands.HW_SYNC:
            return int(self.cmd == commands.HW)
        row = other.row
        return int(
            self.cmd == other.cmd and row is not None and row.ack in {Ack.SAME_COMMAND, Ack.BY_BODY, Ack.UNKNOWN}
        )


class Blynk(_Frame):
    """A frame of the hardware dialect: command, id, length or status in 16 bits, body."""

    name = "Blynk"
    dialect = Dialect.HARDWARE
    fields_desc = [
        ByteEnumField("cmd", commands.HW, _command_names(Dialect.HARDWARE)),
        ShortField("id", 1),
        ConditionalField(ShortField("length", None), _answers_nothing),
        ConditionalField(ShortEnumField("status", SUCCESS, _STATUS_NAMES), _is_response),
        ConditionalField(StrLenField("body", b"", length_from=lambda packet: packet.length), _answers_nothing),
    ]

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *_: Any, **context: Any) -> type[Packet]:
        """The class of these bytes; scapy looks for this method in the class itself."""
        return cls._class_of(_pkt, context.get("_underlayer"))


class BlynkApp(_Frame):
    """A frame of the app dialect: command, id, length or status in 32 bits, body."""

    name = "Blynk app"
    dialect = Dialect.APP
    fields_desc = [
        ByteEnumField("cmd", commands.HW, _command_names(Dialect.APP)),
        ShortField("id", 1),
        ConditionalField(IntField("length", None), _answers_nothing),
        ConditionalField(IntEnumField("status", SUCCESS, _STATUS_NAMES), _is_response),
        ConditionalField(StrLenField("body", b"", length_from=lambda packet: packet.length), _answers_nothing),
    ]

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *_: Any, **context: Any) -> type[Packet]:
        """The class of these bytes; scapy looks for this method in the class itself."""
        return cls._class_of(_pkt, context.get("_underlayer"))


class BlynkWeb(_Frame):
    """A message of the web dialect: command, id, and the body up to the end, or a status in 32 bits."""

    name = "Blynk web"
    dialect = Dialect.WEB
    fields_desc = [
        ByteEnumField("cmd", commands.HW, _command_names(Dialect.WEB)),
        ShortField("id", 1),
        ConditionalField(IntEnumField("status", SUCCESS, _STATUS_NAMES), _is_response),
        ConditionalField(StrField("body", b""), _answers_nothing),
    ]

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *_: Any, **context: Any) -> type[Packet]:
        """The class of these bytes; scapy looks for this method in the class itself."""
        return cls._class_of(_pkt, context.get("_underlayer"))


def _header_size(dialect: Dialect, cmd: int) -> int:
    if dialect is Dialect.WEB and cmd == commands.RESPONSE:
        return HEADER_SIZE[dialect] + derived.WORD_STRUCTS[dialect].size
    return HEADER_SIZE[dialect]


def _whole(dialect: Dialect, data: bytes) -> int:
    """Where the last whole frame of the bytes ends."""
    if dialect is Dialect.WEB:
        return len(data)
    unpack, size, at = derived.HEADER_STRUCTS[dialect].unpack_from, HEADER_SIZE[dialect], 0
    while len(data) - at >= size:
        cmd, _, word = unpack(data, at)
        stop = at + size + (word if cmd != commands.RESPONSE else 0)
        if stop > len(data):
            break
        at = stop
    return at


def frames(data: bytes, layer: type[_Frame] = Blynk) -> Iterator[Packet]:
    """The frames in the bytes, one packet each, however many; what is left at the end is a last, incomplete packet.

    Args:
        data: Bytes of one direction, from the beginning of a frame.
        layer: `Blynk`, `BlynkApp` or `BlynkWeb` (all of the bytes are one message there).
    """
    dialect = layer.dialect
    if dialect is Dialect.WEB:
        yield layer(data)
        return
    unpack, size, at = derived.HEADER_STRUCTS[dialect].unpack_from, HEADER_SIZE[dialect], 0
    while at < len(data):
        stop = len(data)
        if stop - at >= size:
            cmd, _, word = unpack(data, at)
            stop = min(stop, at + size + (word if cmd != commands.RESPONSE else 0))
        yield layer(data[at:stop])
        at = stop


def bind(*numbers: int, layer: type[_Frame] = Blynk) -> None:
    """Let scapy dissect what TCP carries from and to these ports as frames; without numbers, the plain Blynk ports.

    What begins as HTTP, TLS or MQTT stays Raw. Where scapy's own HTTP layer is loaded, it comes first on port 80.
    """
    for number in numbers or sorted(ports.DEVICE_PORTS):
        bind_layers(TCP, layer, dport=number)
        bind_layers(TCP, layer, sport=number)


def unbind(*numbers: int, layer: type[_Frame] = Blynk) -> None:
    """Undo `bind`."""
    for number in numbers or sorted(ports.DEVICE_PORTS):
        split_layers(TCP, layer, dport=number)
        split_layers(TCP, layer, sport=number)
