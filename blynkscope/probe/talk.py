"""What is said on a connection, plain or inside TLS: a login, pings, an HTTP request, an MQTT CONNECT. All harmless."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from ipaddress import IPv6Address
from typing import Any

import msgspec

from blynkscope.probe.model import NO_TOKEN, LoginFacts, SpokenFacts
from blynkscope.probe.net import Channel, FailedError
from blynkscope.protocol import commands, frames, mqtt, mqtt_codes
from blynkscope.protocol.derived import longest_bodies
from blynkscope.protocol.limits import HARDWARE_BODY_MAX
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.statuses import SUCCESS, status_name
from blynkscope.wire.framing import Framer, Item, RawFrame
from blynkscope.wire.recognise import classify

TEXT_MAX = 200
HEARD_MAX = 128 * 1024
"""Bytes in which an answer has to come; before it come the values that a server replays at a login, each a frame."""
_FIRST = 1024
"""Bytes of what came that are kept, to name another protocol by."""
STAYS_SECONDS = 1.0
"""A connection that lives so long behind a refused login is meant to stay open."""
HTTP_MAX = 8 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]{0,200}")
_SERVER = re.compile(rb"\r?\nserver:[ \t]*+([^\r\n]{1,100})", re.IGNORECASE)
_LOGIN_ID = 1
_IOT_PATH = "/external/api/isHardwareConnected?token={}"
_LEGACY_PATH = "/{}/isHardwareConnected"


class Reader:
    """Cuts hardware frames from a channel.

    Attributes:
        first: The first bytes that came.
        frames: Whole frames of commands that devices know, from the first byte on, but for those that only repeat what
            was sent.
        full: More came than is read.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._framer = Framer(Dialect.HARDWARE)
        self._cut: deque[Item] = deque()
        self._sent: set[tuple[int, int, bytes]] = set()
        self._size = 0
        self._noise = False
        self.first = b""
        self.frames = 0
        self.full = False

    async def send(self, cmd: int, number: int, body: bytes) -> None:
        """A frame to the server. Raises `FailedError`."""
        self._sent.add((cmd, number, body))
        await self._channel.send(frames.build(frames.Frame(Dialect.HARDWARE, cmd, number, body=body)))

    async def frame(self) -> RawFrame | None:
        """The next frame; None at the end, and where more came than is read. Raises `FailedError`."""
        while True:
            while self._cut:
                found = self._cut.popleft()
                if isinstance(found, RawFrame):
                    self._count(found)
                    return found
                self._noise = True
            data = await self._channel.receive()
            self._size += len(data)
            self.full = self._size > HEARD_MAX
            if not data or self.full:
                return None
            self.first += data[: _FIRST - len(self.first)]
            self._cut += self._framer.feed(data)
            if self._framer.busy:
                # Who waits for an answer has heard all that there is: whole up to the last byte, it is a frame.
                self._cut += self._framer.settle()

    def _count(self, found: RawFrame) -> None:
        is_known = longest_bodies(Dialect.HARDWARE)[found.cmd] >= 0
        if is_known and not self._noise and (found.cmd, found.id, found.body) not in self._sent:
            self.frames += 1


class Answered(msgspec.Struct):
    """The first answer to a request."""

    outcome: str
    status: int | None = None
    redirect: bytes = b""
    ms: float | None = None
    first: bytes = b""
    id: int | None = None
    frames: int = 0


async def ask(reader: Reader, cmd: int, number: int, body: bytes, timeout: float) -> Answered:
    """Send a frame and wait for its answer. `outcome`: status, redirect, other-id, silent, closed, reset, foreign.

    Raises nothing. Time and bytes end it, however many frames come before: see `HEARD_MAX`.
    """
    begun = time.perf_counter()
    before = reader.frames
    other: Answered | None = None
    outcome = "silent"
    try:
        async with asyncio.timeout(timeout):
            await reader.send(cmd, number, body)
            while True:
                others = reader.frames - before
                found = await reader.frame()
                if found is None:
                    outcome = "silent" if reader.full else "closed"
                    break
                ms = round((time.perf_counter() - begun) * 1000, 3)
                if found.cmd == commands.RESPONSE and found.id == number:
                    return Answered("status", found.word, ms=ms, frames=others)
                if found.cmd == commands.RESPONSE and other is None:
                    # The right one may still come: a server may say something of its own before.
                    other = Answered("other-id", found.word, ms=ms, id=found.id)
                if found.cmd == commands.REDIRECT and cmd != commands.PING:
                    return Answered("redirect", redirect=found.body, ms=ms, frames=others)
    except TimeoutError:
        pass
    except FailedError as error:
        outcome = {"reset": "reset", "timeout": "silent"}.get(error.result, "closed")
    if other is not None:
        other.frames = reader.frames - before
        return other
    return _without(reader, outcome, reader.frames - before)


def _without(reader: Reader, outcome: str, count: int) -> Answered:
    """No answer: what came instead may be another protocol."""
    guess = classify(reader.first, final=True) if reader.first and not reader.frames else None
    if guess is not None and not guess.is_blynk:
        return Answered("foreign", first=reader.first)
    return Answered(outcome, frames=count)


class Hidden:
    """Texts of the server, cut short and without the token, which a server may repeat."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def text(self, raw: bytes, limit: int = TEXT_MAX) -> str:
        """Bytes of the server as text."""
        text = raw[: 8 * limit].decode("utf-8", "backslashreplace")
        if self._token:
            text = text.replace(self._token, "*" * len(self._token))
        return text[:limit]


def place_of(host: str, port: str = "") -> str:
    """Host and port as they are written in one: `host:port`, `[2001:db8::1]:port`."""
    if _is_ipv6(host):
        host = f"[{host}]"
    return f"{host}:{port}" if port else host


def parts_of(place: str) -> tuple[str, str]:
    """Host and port of what `place_of` wrote; a port that is not there is ""."""
    bracketed, closed, rest = place[1:].partition("]")
    if place.startswith("[") and closed and _is_ipv6(bracketed):
        return bracketed, rest.removeprefix(":")
    host, _, port = place.partition(":")
    return host, port


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


async def login(
    channel: Channel, token: str | None, *, count: int, timeout: float, hidden: Hidden, command: int = commands.HW_LOGIN
) -> LoginFacts:
    """Log in as a device, ping, and see how the server ends it. Raises nothing."""
    reader = Reader(channel)
    body = (token if token is not None else NO_TOKEN).encode("utf-8", "replace")[:HARDWARE_BODY_MAX]
    answer = await ask(reader, command, _LOGIN_ID, body, timeout)
    made_up = token is None
    if answer.outcome == "redirect":
        host, _, port = answer.redirect.partition(b"\0")
        where = place_of(hidden.text(host.rstrip(b"\0"), 253), hidden.text(port.rstrip(bytes(1)), 5))
        return LoginFacts(made_up, "redirect", ms=answer.ms, redirect=where, frames=answer.frames)
    name = status_name(answer.status) if answer.status is not None else None
    if answer.outcome == "other-id":
        return LoginFacts(
            made_up, "other-id", answer.status, name, answer.ms, id=answer.id, frames=answer.frames
        )  # fmt: skip
    if answer.outcome != "status":
        text = hidden.text(answer.first) if answer.first else None
        return LoginFacts(made_up, answer.outcome, text=text, frames=answer.frames)
    if answer.status != SUCCESS:
        ending = await _closing(reader, timeout)
        return LoginFacts(
            made_up, "status", answer.status, name, answer.ms, closing=ending, frames=answer.frames
        )  # fmt: skip
    pings: list[float] = []
    lost = 0
    closing: str | None = None
    for number in range(_LOGIN_ID + 1, _LOGIN_ID + 1 + count):
        pong = await ask(reader, commands.PING, number, b"", timeout)
        if pong.outcome == "status" and pong.ms is not None:
            pings.append(pong.ms)
            continue
        lost += 1
        if pong.outcome != "silent":
            closing = f"the server {'reset' if pong.outcome == 'reset' else 'closed'} the connection at a ping"
            break
    return LoginFacts(
        made_up, "status", answer.status, name, answer.ms, tuple(pings), lost, closing=closing, frames=answer.frames
    )  # fmt: skip


async def _closing(reader: Reader, timeout: float) -> str:
    """What the server does with a connection whose login it refused."""
    try:
        async with asyncio.timeout(min(STAYS_SECONDS, timeout)):
            if await reader.frame() is None and not reader.full:
                return "closed at once"
    except TimeoutError:
        pass
    except FailedError as error:
        if error.result != "timeout":
            return "reset at once" if error.result == "reset" else "closed at once"
    pong = await ask(reader, commands.PING, _LOGIN_ID + 1, b"", timeout)
    return {
        "status": f"stays open, answers a ping with {pong.status}",
        "silent": "stays open, does not answer a ping",
        "closed": "stays open, closes at a ping without an answer",
        "reset": "stays open, resets at a ping",
    }.get(pong.outcome, "stays open")


async def http(channel: Channel, host: str, path: str, timeout: float) -> bytes:
    """The answer to a GET, as far as it matters; b"" where nothing came. Raises nothing."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: blynkscope-probe",
        "Accept: */*",
        "Connection: close",
    )
    request = "\r\n".join((*lines, "", ""))
    held = bytearray()
    try:
        async with asyncio.timeout(timeout):
            await channel.send(request.encode("utf-8", "replace"))
            while len(held) < HTTP_MAX and not _whole(held):
                data = await channel.receive()
                if not data:
                    break
                held += data
    except (TimeoutError, FailedError):
        pass
    return bytes(held[:HTTP_MAX])


_LENGTH = re.compile(rb"\r?\ncontent-length:[ \t]*+([0-9]{1,9})", re.IGNORECASE)


def _whole(held: bytearray) -> bool:
    head, found, body = bytes(held).partition(b"\r\n\r\n")
    length = _LENGTH.search(head) if found else None
    return length is not None and len(body) >= int(length[1])


def paths(*, login: bool) -> tuple[str, ...]:
    """What HTTP is asked for: a question of each era about a device that is none, or the start page."""
    return (_IOT_PATH.format(NO_TOKEN), _LEGACY_PATH.format(NO_TOKEN)) if login else ("/",)


def http_facts(answer: bytes, hidden: Hidden) -> SpokenFacts | None:
    """What an answer says; None where it is no HTTP."""
    line = _STATUS_LINE.match(answer)
    if line is None:
        return None
    head = answer.partition(b"\r\n\r\n")[0]
    server = _SERVER.search(head)
    return SpokenFacts("http", hidden.text(line[0]), hidden.text(server[1], 100) if server else None, int(line[1]))


def era_of_http(path: str, answer: bytes) -> str | None:
    """The era that an answer shows: each server knows the token of its own calls to be invalid, in its own words."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if path.startswith("/external/") and b'"error"' in body and b"oken" in body:
        return "iot"
    if path.endswith("/isHardwareConnected") and head[9:12] == b"400" and body.strip().startswith(b"Invalid token"):
        return "legacy"
    return None


async def mqtt_answer(channel: Channel, token: str | None, *, login: bool, timeout: float) -> SpokenFacts | None:
    """What a server answers to an MQTT CONNECT; None where it is no MQTT. Raises nothing."""
    user, password = (b"device", (token or NO_TOKEN).encode("utf-8", "replace")) if login else (None, None)
    flags = {"user": int(login), "password": int(login), "will_retain": 0, "will_qos": 0, "will": 0, "clean": 1,
             "reserved": 0}  # fmt: skip
    parts: dict[str, Any] = {
        "protocol": b"MQTT", "level": mqtt_codes.V311, "keep_alive": 45, "flags": flags, "properties": [],
        "client_id": b"", "user": user, "password": password,
    }  # fmt: skip
    held = b""
    try:
        async with asyncio.timeout(timeout):
            await channel.send(mqtt.build(mqtt_codes.CONNECT, 0, parts, mqtt_codes.V311))
            while len(held) < 4:
                data = await channel.receive()
                if not data:
                    break
                held += data
    except (TimeoutError, FailedError):
        pass
    if len(held) < 4 or held[0] != mqtt_codes.CONNACK << 4 or held[1] != 2:
        return None
    name = mqtt_codes.RETURN_CODES.get(held[3], "unknown code")
    return SpokenFacts("mqtt", f"CONNACK {held[3]} ({name})", code=held[3], made_up=token is None)
