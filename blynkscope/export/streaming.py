"""Writes what passes a proxy as a capture while it passes: both legs, decrypted, on clean synthetic TCP.

Packets are written at once and never touched again, so that a crash loses nothing. What the analysis finds comes later,
and becomes a comment of the next packet of its connection.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from ipaddress import ip_address

from blynkscope.export.recorder import COMMENTS_MAX, PLAIN_PORT, WEB_PORT
from blynkscope.export.rotating import Rotating
from blynkscope.export.synthetic import CLIENT, Connection, Endpoint, endpoint
from blynkscope.protocol.ports import SECURE_PORTS
from blynkscope.sources.capture import LEG_DESCRIPTION, LEGS
from blynkscope.sources.pcapng import PcapngWriter

DEVICE_LEG, UPSTREAM_LEG = 0, 1
"""Between the device and the proxy, and between the proxy and the server."""
_DESCRIPTIONS = (
    f"{LEG_DESCRIPTION}between device and proxy, decrypted",
    f"{LEG_DESCRIPTION}between proxy and server, decrypted",
)
_ALONE = ("blynkscope serve: between device and server, decrypted",)
_ETHERNET = 1
_EPHEMERAL = 49152
_DEVICE = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}
_PROXY = {4: ip_address("192.0.2.2"), 6: ip_address("2001:db8::2")}
_SERVER = {4: ip_address("192.0.2.3"), 6: ip_address("2001:db8::3")}
"""Addresses for documentation (RFC 5737, RFC 3849), for ends that have no address of their own here."""
_REQUEST = re.compile(rb"(?:GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|CONNECT) /")


class _Passing:
    """A connection that passes the proxy."""

    __slots__ = ("client", "comments", "legs", "number", "server", "since")

    def __init__(self, number: int, since: float, client: str, server: str) -> None:
        self.number, self.since, self.client, self.server = number, since, client, server
        self.legs: list[Connection | None] = [None, None]
        self.comments: list[str] = []


class StreamingRecorder:
    """Records connections. It holds tokens and passwords as they were sent; `blynkscope redact` takes them out.

    Ports on which Wireshark would look for TLS are written as others: the bytes are plain.

    Args:
        file: Where to. What it raises ends the recording, and is told in `failed`.
        proxy: Where the proxy listens, as `address:port`.
        legs: 1 where the server lives behind the device leg, so that there is no other.
    """

    def __init__(self, file: Rotating, proxy: str, *, legs: int = 2) -> None:
        self._file = file
        self._legs = legs
        self._proxy = endpoint(proxy)
        self._passing: dict[int, _Passing] = {}
        self._comments: list[str] = []
        """About the run."""
        self._buffer = io.BytesIO()
        self.failed: str | None = None
        """Why the recording ended before the proxy."""
        self._begin()

    def _begin(self) -> None:
        self._buffer = io.BytesIO()
        self._writer = PcapngWriter(self._buffer)
        descriptions = _DESCRIPTIONS if self._legs > 1 else _ALONE
        for name, description in zip(LEGS, descriptions, strict=False):
            self._writer.interface(_ETHERNET, name=name, description=description)
        self._put()

    # --- what happens ---

    def listens(self, proxy: str) -> None:
        """Where the proxy listens, where that was not known yet."""
        self._proxy = endpoint(proxy)

    def opened(self, number: int, time: float, client: str, server: str) -> None:
        """A connection begins.

        Args:
            number: Its number.
            time: Seconds since the epoch.
            client: The device, as `address:port`.
            server: The server, as `address:port` or `name:port`.
        """
        self._passing[number] = _Passing(number, time, client, server)

    def data(self, number: int, leg: int, side: int, time: float, data: bytes) -> None:
        """Bytes on a leg: from its client (0: the device, or the proxy), or from its server (1)."""
        passing = self._passing.get(number)
        if passing is None or not data or leg >= self._legs:
            return
        connection = passing.legs[leg] or self._connect(passing, leg, time, data)
        self._packets(leg, time, connection.say(side, data), self._notes(passing))

    def missing(self, number: int, leg: int, side: int, size: int, why: str) -> None:
        """So many bytes are not recorded."""
        passing = self._passing.get(number)
        if passing is None:
            return
        connection = passing.legs[leg]
        if connection is not None:
            connection.skip(side, size)
        self.note(number, f"blynkscope: {size} bytes before this packet are not recorded: {why}")

    def note(self, number: int | None, text: str) -> None:
        """A comment for the next packet of a connection; for the next one of any where it concerns none."""
        passing = self._passing.get(number) if number is not None else None
        comments = self._comments if passing is None else passing.comments
        if number is not None and passing is None:
            text = f"{text} (connection {number})"
        if text not in comments and len(comments) < COMMENTS_MAX:
            comments.append(text)

    def closed(self, number: int, time: float, how: str, by: int | None) -> None:
        """A connection ends, both legs of it."""
        passing = self._passing.pop(number, None)
        if passing is None:
            return
        side = CLIENT if by is None else by
        for leg, connection in enumerate(passing.legs):
            if connection is None:
                continue
            packets = (
                connection.finish(side)
                if how == "fin"
                else connection.reset(side)
                if how == "reset"
                else connection.settle()
            )
            self._packets(leg, time, packets, self._notes(passing))
        self._comments += [f"{text} (connection {number})" for text in passing.comments]
        del self._comments[COMMENTS_MAX:]

    def rotate(self) -> None:
        """Go on in another file. Connections go on in it where they are."""
        if self.failed is None:
            try:
                self._file.rotate()
            except OSError as error:
                self._fail(error)
            else:
                self._begin()

    def close(self) -> None:
        """End it."""
        self._file.close()

    # --- packets ---

    def _notes(self, passing: _Passing) -> str:
        if not passing.comments and not self._comments:
            return ""
        text = "\n".join([*self._comments, *passing.comments])
        self._comments.clear()
        passing.comments.clear()
        return text

    def _connect(self, passing: _Passing, leg: int, time: float, data: bytes) -> Connection:
        client, server = self._ends(passing, leg)
        if server[1] in SECURE_PORTS:
            server = (server[0], WEB_PORT if _REQUEST.match(data) else PLAIN_PORT)
        connection = passing.legs[leg] = Connection(client, server, 2 * passing.number + leg)
        self._packets(leg, time, connection.open(), "")
        return connection

    def _ends(self, passing: _Passing, leg: int) -> tuple[Endpoint, Endpoint]:
        """Who talks on a leg; both of the IP version of the leg's outer end."""
        if leg == DEVICE_LEG:
            outer = endpoint(passing.client) or (_DEVICE[4], _EPHEMERAL + passing.number % (1 << 14))
            port = self._proxy[1] if self._proxy else PLAIN_PORT
            return outer, self._own(outer[0].version, port)
        named = passing.server.rpartition(":")[2]
        outer = endpoint(passing.server) or (_SERVER[4], int(named) if named.isdecimal() else PLAIN_PORT)
        return self._own(outer[0].version, _EPHEMERAL + passing.number % (1 << 14)), outer

    def _own(self, version: int, port: int) -> Endpoint:
        proxy = self._proxy
        if proxy is None or proxy[0].version != version or proxy[0].is_unspecified:
            return _PROXY[version], port
        return proxy[0], port

    def _packets(self, leg: int, time: float, packets: Iterable[bytes], note: str) -> None:
        if self.failed is not None:
            return
        made, stamp = list(packets), round(time * 1e6) * 1000
        for place, packet in enumerate(made, 1):
            self._writer.packet(leg, stamp, packet, comment=note if place == len(made) and note else None)
        self._put()

    def _put(self) -> None:
        """What was made goes to the file: whole packets, or nothing of them."""
        try:
            self._file.write(self._buffer.getvalue())
        except OSError as error:
            self._fail(error)
        self._buffer.seek(0)
        self._buffer.truncate()

    def _fail(self, error: OSError) -> None:
        self.failed = f"{self._file.path}: {error.strerror or error}"
