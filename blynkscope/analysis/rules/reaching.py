"""BS101 to BS103: connections that never came about, and those that were thrown away."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.names import address_of
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.addresses import URL_MAX, target_of
from blynkscope.analysis.rules.quotes import quote
from blynkscope.analysis.rules.words import end_of, explains, failed, first_time, seconds
from blynkscope.analysis.session import State
from blynkscope.protocol import commands
from blynkscope.protocol.commands import LOGINS
from blynkscope.protocol.ports import OLD_PORTS, SERVER_PORTS
from blynkscope.protocol.schema import readable
from blynkscope.wire.events import SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Line

SYN_PATIENCE = 1.0
"""Seconds after which a SYN without an answer is sent again (RFC 6298). One that the recording follows for less time
proves nothing."""
UNANSWERED_MAX = 4096
"""Unanswered connections that are kept until the end of the run; those of one device and server are one."""
ATTEMPTS_MAX = 4096
"""Log lines about failed connections that are told apart by host."""
PLACES_MAX = 64
"""Places from which firmware was to be downloaded; a failed download is told as such."""
HOST_MAX = 64
"""Characters of a host's name that are shown."""
REASON_LINES = 12
"""Lines of a traceback in which "connection failed" repeats what an earlier line says better."""
_REASONS = frozenset({"refused", "unreachable", "timeout", "dns-failure", "certificate-error", "tls-error"})
RESET_BY_PEER = ("ECONNRESET", "ECONNABORTED", "EPIPE", "reset", "roken pipe", "10054")
"""Reasons in a log line that say that the connection was thrown away."""


def server_name(stream: Conversation) -> str:
    """The server's end for people: `198.51.100.20:8080 (ny3.blynk.cloud)`."""
    end, host = stream.opened.server, stream.host
    host = host[:HOST_MAX] if host else None
    if end is None:
        return host or "the server"
    return f"{end} ({host})" if host and host not in end else end


def is_place(end: str | None) -> str:
    """A remark about an address that only some networks know; empty for others."""
    try:
        address = ip_address(address_of(end or ""))
    except ValueError:
        return ""
    if address.is_loopback:
        return " It is an address of the asking machine itself."
    if address.version == 4 and address.packed[:2] in {b"\xac\x11", b"\xac\x12"}:
        return " 172.17.x and 172.18.x are the networks inside Docker: only that one machine reaches them."
    return ""


class Updates:
    """The places from which devices were told to download firmware: connections there are the update's matter."""

    def __init__(self) -> None:
        self._places: set[tuple[str, int]] = set()

    def learn(self, url: str) -> None:
        """A device was given this URL."""
        target = target_of(url)
        if target is not None and len(self._places) < PLACES_MAX:
            self._places.add((target.host.lower(), target.port))

    def has(self, host: str | None, port: int) -> bool:
        """Is this such a place? A port of 0 is any."""
        name = (host or "").lower()
        return any(name == known and port in {0, own} for known, own in self._places)


class Connections(StreamRule):
    """BS101, BS102: attempts to connect that were refused or that no one answered."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._updates = Updates()
        self._unanswered: dict[tuple[str, str], list[Any]] = {}
        self._reached: set[tuple[str, str]] = set()
        self._logged: set[tuple[int, str, str]] = set()
        self._update_lines: set[int] = set()
        self._reasons: dict[int, int] = {}
        self._until = float("-inf")

    def opened(self, stream: Conversation) -> None:
        """See `StreamRule`."""
        if stream.opened.time is not None:
            self._until = max(self._until, stream.opened.time)

    def spoke(
        self, stream: Conversation, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes,
        time: float | None,
    ) -> None:  # fmt: skip
        """See `StreamRule`."""
        if cmd == commands.INTERNAL and lane.direction == SERVER and body.startswith(b"ota\0"):
            self._updates.learn(readable(body[4 : 4 + URL_MAX].partition(b"\0")[0]))

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        times = [time for time in (event.time, end_of(stream, event)) if time is not None]
        self._until = max([self._until, *times])
        if stream.log:
            return
        client, server = _ends(stream)
        if event.how not in {"refused", "unanswered"}:
            if len(self._reached) < UNANSWERED_MAX and event.heard[SERVER]:
                self._reached |= {(client, server), (client, stream.host or server)}
            return
        if stream.cause is not None or self._is_other(stream):
            return
        if event.how == "refused":
            self._refused(stream, event)
            return
        explains(stream, "BS102")
        known = self._unanswered.get((client, server))
        if known is not None:
            known[2] += 1
            known[3] = event.time if event.time is not None else known[3]
        elif len(self._unanswered) < UNANSWERED_MAX:
            entry = [stream.number, stream.opened, 1, event.time, server_name(stream), stream.host]
            self._unanswered[client, server] = entry

    def _is_other(self, stream: Conversation) -> bool:
        """Is it a connection of which nothing says that it should be Blynk's, or the download of an update?"""
        opened = stream.opened
        place = address_of(opened.server or "")
        if self._updates.has(place, opened.server_port) or self._updates.has(stream.host, opened.server_port):
            return True
        if opened.server_port in SERVER_PORTS or stream.evidence.of_server is not None:
            return False
        device = stream.device
        return device is None or not any(one.login for one in device.connections)

    def _refused(self, stream: Conversation, event: Closed) -> None:
        server, port = server_name(stream), stream.opened.server_port
        explains(stream, "BS101")
        if not first_time(stream, f"BS101 {stream.opened.server}"):
            return
        after = ""
        if event.time is not None and stream.opened.time is not None:
            after = f" after {max(event.time - stream.opened.time, 0.0) * 1000:.0f} ms"
        detail = f"{server} answered the SYN of {address_of(stream.opened.client or '')} with a reset{after}: nothing "
        detail += f"listens on port {port} there." + is_place(stream.opened.server)
        fix = None
        if port in OLD_PORTS:
            host = stream.host or address_of(stream.opened.server or "")
            fix = (
                f"Port {port} is that of servers before 2018: newer ones take devices on 8080 (plain) and 9443 (TLS), "
                f'so use Blynk.begin(auth, ssid, pass, "{host}", 8080).'
            )
        self.report("BS101", stream, detail=detail, fix=fix, cause=True)

    # --- logs ---

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        kind, facts = line.kind, line.facts
        if kind == "ota":
            self._update_lines.add(self.run.source)
            self._updates.learn(str(facts.get("url") or ""))
        elif kind == "connecting":
            self._update_lines.discard(self.run.source)
        if kind in _REASONS and not facts.get("summary"):
            self._reasons[self.run.source] = line.line
        if kind not in {"refused", "unreachable", "timeout"}:
            return
        if facts.get("summary") and line.line - self._reasons.get(self.run.source, -REASON_LINES) < REASON_LINES:
            return  # an exception on top of the one that tells the reason
        if stream is not None and (stream.server.tempo.count or failed(stream) or _in_use(stream)):
            return  # it was connected: whatever this line is about is another connection, or the end of this one
        host = str(facts.get("host") or (stream.host if stream is not None else None) or "")
        port = facts.get("port")
        if self._updates.has(host, port if isinstance(port, int) else 0) or self.run.source in self._update_lines:
            return
        name = "BS101" if kind == "refused" else "BS102"
        key = (self.run.source, name, host.lower())
        if stream is not None:
            explains(stream, name)
        if key in self._logged or len(self._logged) >= ATTEMPTS_MAX:
            return
        self._logged.add(key)
        where = f"the connection to {host}" + (f":{port}" if isinstance(port, int) else "") if host else "a connection"
        said = {
            "refused": "was refused",
            "unreachable": "did not come about: there is no way to that machine, or nothing of it answers",
            "timeout": f"ran into a timeout ({facts.get('what') or 'connect'})",
        }[kind]
        remark = is_place(f"{host}:0") if host else ""
        self.report(name, stream, detail=f"Line {line.line} of the log: {where} {said}.{remark}", cause=True)

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        for (client, server), (number, opened, count, last, name, host) in self._unanswered.items():
            waited = self._until - opened.time if opened.time is not None else 0.0
            if waited < SYN_PATIENCE:
                continue
            reached = (client, server) in self._reached or (client, host or server) in self._reached
            tries = f", on {count} connections" if count > 1 else ""
            again = last is not None and opened.time is not None and last > opened.time
            tries += f", again and again for {seconds(last - opened.time)}," if again else ""
            detail = f"{client} asked {name} for a connection{tries} and heard nothing." + is_place(opened.server)
            if reached:
                detail += " Another of its connections to this server did come about."
            self.report(
                "BS102", number, count=count, detail=detail, severity="warning" if reached else None,
            )  # fmt: skip


def _ends(stream: Conversation) -> tuple[str, str]:
    """The client's address and the server's address and port."""
    client = stream.opened.client
    return (address_of(client) if client else f"log {stream.source}"), stream.opened.server or ""


def _in_use(stream: Conversation) -> bool:
    """Does a log that begins in the middle show that the device was sending on this connection?"""
    client = stream.client
    return stream.log and client.tempo.count > 0 and not any(client.counts.get(cmd) for cmd in LOGINS)


class Resets(StreamRule):
    """BS103: connections that were thrown away, where nothing else explains it."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._told: set[int] = set()

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {}

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        reason = str(line.facts.get("reason") or "")
        lost = line.kind in {"unreachable", "timeout"} and stream is not None and _in_use(stream)
        cut = line.kind == "eof" or (line.kind == "disconnected" and any(word in reason for word in RESET_BY_PEER))
        if not (cut or lost):
            return
        how = "the other side closed the connection" if line.kind == "eof" else "the connection was reset"
        if lost:
            how = f"the way to the server was lost while the connection was in use ({quote(line.text, 60)})"
        if stream is None:
            if self.run.source not in self._told and len(self._told) < ATTEMPTS_MAX:
                self._told.add(self.run.source)
                self.report("BS103", None, detail=f"Line {line.line} of the log: {how}.")
            return
        self.of(stream).setdefault("line", (line.line, how))

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if failed(stream):
            return
        if "line" in memory:
            number, how = memory["line"]
            if first_time(stream, "BS103"):
                self.report("BS103", stream, detail=f"Line {number} of the log: {how}.")
            return
        if stream.log or event.how != "reset" or event.by is None or not (stream.client.seen or stream.server.seen):
            return
        by_server = stream.lanes[event.by] is stream.server
        framed = any(lane.tempo.count for lane in stream.lanes)
        if not framed or not first_time(stream, f"BS103 {'server' if by_server else 'client'}"):
            return
        opened, last = stream.opened.time, end_of(stream, event)
        lived = f" after {seconds(last - opened)}" if opened is not None and last is not None else ""
        who = "The server" if by_server else "The client"
        online = " while it was logged in" if stream.session.state is State.ONLINE else ""
        silence = ""
        heard = [lane.heard_at for lane in stream.lanes if lane.heard_at is not None]
        if heard and event.time is not None and event.time - max(heard) >= SYN_PATIENCE:
            silence = f", {seconds(event.time - max(heard))} after the last byte"
        self.report(
            "BS103", stream, detail=f"{who} reset the connection{lived}{online}{silence}.",
            severity=None if by_server else "note",
        )  # fmt: skip


RULES: tuple[type[StreamRule], ...] = (Connections,)
LATE: tuple[type[StreamRule], ...] = (Resets,)
"""Told behind all rules that may explain a reset."""
