"""BS104, BS105: names that cannot be resolved, and the name of the legacy cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.era import era_of_host
from blynkscope.analysis.names import address_of
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.words import first_time, is_login, seconds, times
from blynkscope.analysis.session import State
from blynkscope.protocol.model import Era
from blynkscope.protocol.statuses import ALREADY_REGISTERED, SUCCESS
from blynkscope.wire.events import CLIENT, LOG_END

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.run import Run
    from blynkscope.wire.dns import Answer
    from blynkscope.wire.events import Closed, Line

QUERIES_MAX = 4096
"""Names that clients asked for and that are remembered; those of the longest unheard ones are forgotten."""
HOSTS_MAX = 1024
"""Clients and hosts that are told apart."""
DNS_PATIENCE = 3.0
"""Seconds without an answer that make a query unanswered: resolvers ask again after 1 to 5 s."""
PARTICLE_DOMAINS = ("spark.io", "particle.io")
NAME_MAX = 100
"""Characters of a name that are shown."""
IOT_REGIONS = ("ny3.blynk.cloud", "fra1.blynk.cloud", "lon1.blynk.cloud", "sgp1.blynk.cloud", "blr1.blynk.cloud")
"""The hosts of Blynk IoT's regions; blynk.cloud leads to the nearest one."""
_ADDRESS_KINDS = {"A", "AAAA"}


class _Query:
    """What became of one client's questions about one name."""

    __slots__ = ("answered_at", "asked_at", "count", "failed", "refused", "resolver", "tried_until")

    def __init__(self, time: float | None, resolver: str) -> None:
        self.asked_at = time
        self.tried_until = time
        self.resolver = resolver
        self.count = 0
        self.refused: dict[str, int] = {}
        self.failed = 0
        self.answered_at: float | None = None


class Names(StreamRule):
    """BS104: a device asks for the address of its server and gets none."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._queries: dict[tuple[str, str], _Query] = {}
        self._resolved: set[tuple[str, str]] = set()
        self._works: dict[str, str] = {}
        self._devices: set[str] = set()
        self._reached: dict[str, float] = {}
        self._logged: set[tuple[int, str]] = set()
        self._until = float("-inf")

    def looked_up(self, answer: Answer, time: float | None, src: str, dst: str) -> None:
        """See `StreamRule`."""
        if time is not None:
            self._until = max(self._until, time)
        if not answer.questions or not answer.question:
            return
        client, resolver = (dst, src) if answer.is_response else (src, dst)
        key = (address_of(client), answer.question)
        query = self._queries.pop(key, None) or _Query(time, address_of(resolver))
        if len(self._queries) >= QUERIES_MAX:
            del self._queries[next(iter(self._queries))]
        self._queries[key] = query
        if not answer.is_response:
            query.count += 1
            query.tried_until = time
            return
        if answer.addresses:
            query.answered_at = time
            self._resolved.add(key)
            if len(self._resolved) > QUERIES_MAX:
                self._resolved.clear()
            if query.resolver in self._works or len(self._works) < HOSTS_MAX:
                self._works[query.resolver] = answer.question
        elif answer.rcode != "NOERROR":
            query.refused[answer.rcode] = query.refused.get(answer.rcode, 0) + 1
        elif not answer.truncated and "A" in answer.kinds:
            query.refused["no address"] = query.refused.get("no address", 0) + 1
        elif not _ADDRESS_KINDS.isdisjoint(answer.kinds):
            query.count = max(query.count - 1, 0)  # that a name has no IPv6 address is no failure

    def opened(self, stream: Conversation) -> None:
        """See `StreamRule`."""
        if stream.opened.time is not None:
            self._until = max(self._until, stream.opened.time)

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        if stream.opened.client and is_login(request) and len(self._devices) < HOSTS_MAX:
            self._devices.add(address_of(stream.opened.client))

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if event.time is not None:
            self._until = max(self._until, event.time)
        client = stream.opened.client
        if client is None or event.how in {"refused", "unanswered"} or not stream.server.seen:
            return
        if stream.opened.time is not None and (stream.client.facts is not None or stream.server.facts is not None):
            place = address_of(client)
            if place in self._reached or len(self._reached) < HOSTS_MAX:
                self._reached[place] = max(self._reached.get(place, 0.0), stream.opened.time)

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind != "dns-failure":
            return
        host = str(line.facts.get("host") or (stream.host if stream is not None else None) or "")[:NAME_MAX]
        if (key := (self.run.source, host.lower())) in self._logged or len(self._logged) >= HOSTS_MAX:
            if stream is not None and stream.cause is None:
                stream.cause = "BS104"
            return
        self._logged.add(key)
        what = f"the name {host}" if host else "a name"
        self.report(
            "BS104", stream, detail=f"Line {line.line} of the log: {what} could not be resolved.{_legacy(host)}",
            fix=_fix(host), cause=True,
        )  # fmt: skip

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        for (client, name), query in self._queries.items():
            if self._matters(client, name, query):
                self._judge(client, name, query)

    def _matters(self, client: str, name: str, query: _Query) -> bool:
        if era_of_host(name) is not None or "blynk" in name:
            return True
        if any(name == domain or name.endswith("." + domain) for domain in PARTICLE_DOMAINS):
            return True
        # What else a phone or a computer asks for is none of Blynk's. A device that does not connect any more, and asks
        # for a name, asks for its server.
        last = self._reached.get(client)
        return client in self._devices and last is not None and (query.tried_until or 0.0) > last

    def _judge(self, client: str, name: str, query: _Query) -> None:
        failures = sum(query.refused.values())
        if query.answered_at is None and not failures:
            self._unanswered(client, name, query)
            return
        if not failures:
            return
        reasons = ", ".join(f"{reason} {times(count)}" for reason, count in query.refused.items())
        detail = f"{client} asked {query.resolver} for {name[:NAME_MAX]} and got {reasons}"
        if query.answered_at is not None:
            after = ""
            if query.asked_at is not None and query.answered_at > query.asked_at:
                after = f" {seconds(query.answered_at - query.asked_at)} after it first asked"
            detail += f", but also an address{after}."
            self.report("BS104", None, count=failures, detail=detail, severity="note")
            return
        told, fix = self._one_name(name, query)
        self.report("BS104", None, count=failures, detail=f"{detail}.{told}{_legacy(name)}", fix=fix)

    def _one_name(self, name: str, query: _Query) -> tuple[str, str | None]:
        """Does the same DNS server know other names? Says so, and what to do then."""
        other = self._works.get(query.resolver)
        if other is None or era_of_host(name) is Era.LEGACY:
            return "", _fix(name)
        told = f" The same server gave the address of {other[:NAME_MAX]}: it works, and it lacks this one name."
        if era_of_host(name) is Era.IOT:
            regions = ", ".join(host for host in IOT_REGIONS if host != name.lower().rstrip("."))
            return told, (
                "Give the device the host of its region in place of the name that is not found, in Blynk.begin or "
                f"Blynk.config: {regions} (the console shows the region of an account). Or take another DNS server."
            )
        return told, "Check the spelling of the host and that its name is public; or use its address, or another name."

    def _unanswered(self, client: str, name: str, query: _Query) -> None:
        waited = self._until - query.asked_at if query.asked_at is not None else 0.0
        if not query.count or waited < DNS_PATIENCE:
            return
        answered = any(place == client for place, _ in self._resolved)
        if not answered and query.asked_at is not None and self._reached.get(client, 0.0) > query.asked_at:
            return  # it connected all the same: the capture holds no answers at all
        other, fix = self._one_name(name, query)
        remark = other or ("" if answered else f" {query.resolver} answered none of its questions.")
        self.report(
            "BS104", None, count=query.count,
            detail=f"{client} asked {query.resolver} {times(query.count)} for {name[:NAME_MAX]} and got no "
            f"answer.{remark}{_legacy(name)}", fix=fix,
        )  # fmt: skip


def _legacy(host: str) -> str:
    if era_of_host(host) is not Era.LEGACY:
        return ""
    return " It is the name of the legacy cloud, which is shut down."


def _fix(host: str) -> str | None:
    if era_of_host(host) is not Era.LEGACY:
        return None
    return (
        "Use blynk.cloud in place of this name, with a library of version 1.0 or later and a token of Blynk IoT; or "
        "the name of your own server. If other names fail too, set a working DNS server on the device."
    )


class LegacyHosts(StreamRule):
    """BS105: a device goes to blynk-cloud.com or cloud.blynk.cc."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._asked: dict[tuple[str, str], int] = {}
        self._told: set[str] = set()
        self._held: dict[int, list[tuple[int | None, str, str, bool]]] = {}

    def looked_up(self, answer: Answer, time: float | None, src: str, dst: str) -> None:
        """See `StreamRule`."""
        if answer.is_response or not answer.questions or era_of_host(answer.question) is not Era.LEGACY:
            return
        key = (address_of(src), answer.question)
        if key in self._asked or len(self._asked) < HOSTS_MAX:
            self._asked[key] = self._asked.get(key, 0) + 1

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        if is_login(request) and status in {SUCCESS, ALREADY_REGISTERED}:
            self.of(stream)["ready"] = True

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == LOG_END:
            self._release(self.run.source, str(line.facts.get("library")))
            return
        if stream is not None and line.kind == "ready":
            self.of(stream)["ready"] = True
        host = line.facts.get("host")
        if not isinstance(host, str) or era_of_host(host) is not Era.LEGACY:
            return
        if stream is not None:
            self.of(stream).setdefault("host", (host, line.line))
        elif f"log {self.run.source}" not in self._told and len(self._told) < HOSTS_MAX:
            self._told.add(f"log {self.run.source}")
            self._hold(self.run.source, None, host, f" (line {line.line} of the log)", works=False)

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        host, where = stream.host, ""
        if era_of_host(host) is not Era.LEGACY and "host" in memory:
            host, number = memory["host"]
            where = f" (line {number} of the log)"
        if host is None or era_of_host(host) is not Era.LEGACY:
            return
        client = stream.opened.client
        place = address_of(client) if client else f"log {stream.source}"
        if place in self._told or not first_time(stream, "BS105"):
            return
        if len(self._told) < HOSTS_MAX:
            self._told.add(place)
        works = bool(memory.get("ready")) or (stream.session.state is State.ONLINE and bool(stream.lanes[CLIENT].facts))
        if stream.log:
            self._hold(stream.source, stream.number, host, where, works=works)
        else:
            self._report(stream.number, host, where, works=works)

    def _hold(self, source: int, stream: int | None, host: str, where: str, *, works: bool) -> None:
        """What to do depends on the library, which is known when its log is over."""
        held = self._held.setdefault(source, [])
        if len(held) < HOSTS_MAX:
            held.append((stream, host, where, works))
        else:
            self._report(stream, host, where, works=works)

    def _release(self, source: int, library: str) -> None:
        for stream, host, where, works in self._held.pop(source, ()):
            self._report(stream, host, where, works=works, fix=_MOVES.get(library))

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        for source in list(self._held):
            self._release(source, "")
        for (client, host), count in self._asked.items():
            if client not in self._told:
                self._told.add(client)
                self._report(None, host, f": {client} asked for it {times(count)}", works=False)

    def _report(self, stream: int | None, host: str, where: str, *, works: bool, fix: str | None = None) -> None:
        detail = f"The host is {host[:NAME_MAX]}{where}"
        detail += ", which let the device in here; since then" if works else ";"
        detail += " the legacy cloud was shut down."
        self.report("BS105", stream, detail=detail, fix=fix, severity="note" if works else None)


_OWN_SERVER = " A server of your own needs its own name there."
_MOVES = {
    "node-red": "In Node-RED install node-red-contrib-blynk-iot, which is made for Blynk IoT, and give its client node "
    "the host blynk.cloud with the token and template id of the device. With node-red-contrib-blynk-ws set the URL of "
    "the client node to wss://blynk.cloud/websockets (port 443), or ws://blynk.cloud/websockets (port 80)."
    + _OWN_SERVER,
    "js": "In the JavaScript program give the connector the host: new Blynk.TcpClient({addr: 'blynk.cloud', port: "
    "80}), or SslClient with port 443, and the token of a device of Blynk IoT." + _OWN_SERVER,
    "micropython": "In the Python program use BlynkLib 1.0.0 or newer (`pip install blynk-library-python`): "
    "BlynkLib.Blynk(token) goes to blynk.cloud; server= and port= name another host. The token must be one of Blynk "
    "IoT." + _OWN_SERVER,
    "blynklib": "blynklib was made for the legacy cloud. In the Python program use BlynkLib 1.0.0 or newer in its "
    "place (`pip install blynk-library-python`): BlynkLib.Blynk(token) goes to blynk.cloud. The token must be one of "
    "Blynk IoT." + _OWN_SERVER,
}
"""How to leave the legacy cloud, by the library whose log it is; the others run sketches."""


RULES: tuple[type[StreamRule], ...] = (Names, LegacyHosts)
