"""What is known about a stream: the parties and their states, host and era, what the device said of itself."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.era import FAIR, GIVEN, STRONG, WEAK, Evidence, era_of_host, era_of_token
from blynkscope.analysis.lane import Lane
from blynkscope.analysis.pins import Pins
from blynkscope.analysis.session import Happening, Session
from blynkscope.analysis.tempo import Heartbeat, Latency
from blynkscope.protocol import commands, limits
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.ports import OLD_PORTS, PLAIN_PORT, SERVER_PORTS, TLS_PORT
from blynkscope.protocol.schema import readable
from blynkscope.wire.events import CLIENT, SERVER, Opened

if TYPE_CHECKING:
    from blynkscope.analysis.devices import Device
    from blynkscope.analysis.run import Run

_INFO_KEYS = frozenset(
    {"ver", "mcu", "fw-type", "fw", "h-beat", "buff-in", "dev", "build", "blynk", "tmpl", "cpu", "con"}
)
_INFO_MAX = 1024
"""Bytes of a device's introduction that are read."""


class Standing:
    """What the analysis knows about one stream.

    Args:
        run: The analysis that it belongs to: numbers, options and the list of records.
        opened: The event that began it.

    Attributes:
        client, server: The two directions, by role.
        session: The states of both parties.
        evidence: What speaks for an era.
        host: Name of the server, where one is known.
        device: The device whose connection this is; None before the stream is opened to the rules.
        latency: Round trips by command.
        slowest: The longest of them in ms.
        info: What the device said of itself (INTERNAL).
        cause: Id of the finding that explains why the conversation failed as a whole; None while nothing does.
        memories: What rules remember of this stream.
        log: True where it comes from a log: then TCP, and bytes that no frame holds, are not known.
        direct: True where an app talks to the device without a server between them.
    """

    __slots__ = (
        "_roles_known", "cause", "client", "delivered", "device", "direct", "evidence", "heartbeat", "hooks", "host",
        "info", "joined", "lanes", "latency", "log", "memories", "number", "opened", "pins", "run", "server", "session",
        "slowest", "source", "via",
    )  # fmt: skip

    def __init__(self, run: Run, opened: Opened) -> None:
        self.run = run
        self.hooks = run.hooks
        self.opened = opened
        self.number = opened.stream
        self.source = run.source
        self.via = opened.via
        self.log = "log" in opened.via
        self.joined = not opened.handshake
        # A log may know the server's name alone, and ends of frames are addresses.
        end = opened.server if not self.log or _is_address(opened.server) else None
        client = Lane(CLIENT, opened.client, end)
        server = Lane(SERVER, end, opened.client)
        client.peer, server.peer = server, client
        client.via = server.via = opened.via
        client.joined = server.joined = self.joined
        self.lanes = (client, server)
        self.client, self.server = client, server
        known_ports = (opened.server_port in SERVER_PORTS) != (opened.client_port in SERVER_PORTS)
        self._roles_known = opened.handshake or known_ports
        self.pins = Pins(run.out)
        self.delivered: Callable[[int, int, float | None], None] = self.pins.delivered
        """Told of the acknowledgements of TCP."""
        self.session = Session()
        self.evidence = Evidence()
        if run.era is not None:
            self.evidence.server(run.era, GIVEN, "it was said so")
        self.heartbeat = Heartbeat()
        self.latency: dict[int, Latency] = {}
        self.slowest: float | None = None
        self.memories: dict[int, Any] = {}
        self.info: dict[str, str] = {}
        self.cause: str | None = None
        self.direct = False
        self.device: Device | None = None
        self.host = run.names.of(opened.server)
        self._place(opened)

    def _place(self, opened: Opened) -> None:
        """What host and port tell."""
        if self.log and opened.server:
            self.called(opened.server.rpartition(":")[0] or opened.server)
        elif self.host:
            self.called(self.host)
        if opened.server_port in OLD_PORTS:
            self.evidence.server(Era.LEGACY, FAIR, f"port {opened.server_port} is one of old legacy servers")
        elif opened.server_port in {PLAIN_PORT, TLS_PORT}:
            self.evidence.server(Era.LEGACY, WEAK, f"port {opened.server_port} is the default of self-hosted servers")

    def called(self, host: str) -> None:
        """The server's name is known: from DNS, SNI, an HTTP header or a log."""
        self.host = host
        era = era_of_host(host)
        if era is not None:
            cloud = "the legacy cloud" if era is Era.LEGACY else "Blynk IoT"
            self.evidence.server(era, STRONG, f"the host {host[:64]} is {cloud}")

    def _take_in(self, lane: Lane, n: int, cmd: int, body: bytes, time: float | None) -> None:
        """What a frame tells about its sender and the session."""
        if cmd == commands.PING:
            if lane.direction == CLIENT:
                self.heartbeat.ping(time)
        elif cmd in commands.LOGINS:
            if lane.direction == CLIENT:
                self.session.happens(Happening.LOGIN, time)
                self._logs_in(lane, n, cmd, body)
        elif cmd == commands.SHARE_LOGIN:
            if lane.direction == CLIENT:
                self.session.happens(Happening.LOGIN, time)
        elif cmd == commands.INTERNAL:
            if lane.direction == CLIENT:
                self._introduces(lane, body)
        elif cmd == commands.REDIRECT and lane.direction == SERVER:
            self.session.happens(Happening.REDIRECT, time)

    def _logs_in(self, lane: Lane, n: int, cmd: int, body: bytes) -> None:
        token = readable(body[: limits.PLAUSIBLE_TOKEN_BODY])
        self.run.devices.logged_in(self, token, n)  # type: ignore[arg-type]
        if lane.dialect is Dialect.HARDWARE and not self.direct:
            era = era_of_token(token)
            form = "hex digits only" if era is Era.LEGACY else "not only hex digits"
            self.evidence.device(era, WEAK, f"the token's form ({form})")
            if cmd == commands.LOGIN:
                self.evidence.device(Era.LEGACY, WEAK, "the device logs in with MSG_LOGIN, as old libraries do")

    def _introduces(self, lane: Lane, body: bytes) -> None:
        parts = [readable(part) for part in body[:_INFO_MAX].split(b"\0")]
        if parts[0] not in _INFO_KEYS:
            return
        pairs = {key: value for key, value in zip(parts[::2], parts[1::2], strict=False) if key in _INFO_KEYS}
        self.info |= pairs
        self.evidence.info(pairs)
        if self.device is not None:
            self.device.info = dict(self.info)
        beat, room = _number(pairs.get("h-beat")), _number(pairs.get("buff-in"))
        if beat:
            self.heartbeat.announced = float(beat)
        if room:
            # A frame of the server must fit with its header; the lane keeps the longest body.
            lane.room = max(room - limits.HARDWARE_HEADER, 0)


def _is_address(end: str | None) -> bool:
    """Is this `ip:port`, and not a host's name?"""
    if end is None:
        return False
    try:
        ip_address(end.rpartition(":")[0].strip("[]"))
    except ValueError:
        return False
    return True


def _number(text: str | None) -> int | None:
    """A small number out of a device's introduction; hostile ones are none."""
    return int(text) if text is not None and len(text) <= 6 and text.isascii() and text.isdigit() else None
