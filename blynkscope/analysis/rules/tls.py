"""BS106, BS109, BS110: TLS handshakes that fail, and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.exposure import name_mismatch
from blynkscope.analysis.rules.inside import Refusals
from blynkscope.analysis.rules.quotes import quote
from blynkscope.analysis.rules.reaching import server_name
from blynkscope.analysis.rules.words import closed_by_server, end_of, explains, first_time, seconds, unheard
from blynkscope.protocol import tls
from blynkscope.protocol.ports import SECURE_PORTS
from blynkscope.wire.events import CLIENT

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Line
    from blynkscope.wire.facts import Fact

HELLO_PATIENCE = 3.0
"""Seconds without a byte in answer to a ClientHello that are too long: servers answer within one round trip, and the
timeouts of small devices begin here."""
CIPHERS_SHOWN = 6
REASON_MAX = 160
"""Characters of a log's reason that are shown."""
LINES_MAX = 1024
"""Reasons in log lines that are told apart."""
CLOSE_NOTIFY, USER_CANCELED = 0, 90
NO_COMMON = frozenset({40, 71})
"""handshake_failure and insufficient_security."""
VERSION, NAME = 70, 112
ABOUT_CERTIFICATE = frozenset({42, 46, 48})
"""bad_certificate, certificate_unknown and unknown_ca: what libraries say of a certificate for another name, too."""
_MODERN = ("TLS_ECDHE_", "TLS_AES_", "TLS_CHACHA20_")


def offer(hello: dict[str, Any]) -> str:
    """What a ClientHello offers, in sentences, and what strikes about it."""
    ciphers: list[str] = [name for name in hello.get("ciphers") or [] if name not in tls.SIGNALS]
    shown = ", ".join(ciphers[:CIPHERS_SHOWN])
    more = f" and {len(ciphers) - CIPHERS_SHOWN} more" if len(ciphers) > CIPHERS_SHOWN else ""
    versions = ", ".join(hello.get("versions") or []) or "no version"
    text = f"The ClientHello offers {versions} with {len(ciphers)} cipher suites: {shown}{more}."
    if not any(name.startswith(_MODERN) for name in ciphers):
        return text + " None of them has ECDHE key exchange, which servers ask for today."
    text += " Some of them are usual today"
    if not hello.get("sni"):
        return text + "; but it names no server (SNI), without which many servers find no certificate."
    return text + ", so the curves or the signature algorithms may be what is missing."


class Handshakes(StreamRule):
    """BS106, BS109, BS110."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"hello": None, "at": None, "leaf": None, "warned": None, "secured": False, "answered": False}

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if fact.kind == "tls-client-hello":
            memory["hello"], memory["at"] = fact.detail, fact.time
        elif fact.kind == "tls-certificate":
            if memory["leaf"] is None and lane.direction != CLIENT:
                memory["leaf"] = fact.detail
        elif fact.kind == "tls-server-hello":
            memory["answered"] = True
        elif fact.kind in {"tls-change-cipher", "tls-application-data"}:
            memory["secured"] = True
        elif fact.kind == "tls-alert" and not fact.detail["encrypted"]:
            number = fact.detail["number"]
            # What a client says about the end of a connection on which no one spoke to it is no reason.
            if number in {CLOSE_NOTIFY, USER_CANCELED} or not (stream.log or lane.peer.seen):
                return
            if fact.detail["level"] == "fatal":
                self._alert(stream, lane, number)
            elif memory["warned"] is None:
                memory["warned"] = (lane, number)

    def _alert(self, stream: Conversation, lane: Lane, number: int) -> None:
        peer = lane.peer.guess
        if peer is not None and peer.kind != "tls" and not stream.log:
            return  # an answer to bytes that are no TLS
        name = "BS110" if number in NO_COMMON else "BS109"
        if not first_time(stream, f"{name} {number} {lane.direction}"):
            explains(stream, name)
            return
        memory = self.of(stream)
        hello: dict[str, Any] = memory["hello"] or {}
        if stream.log:
            who = "An alert in the log"
        else:
            who = "The client" if lane.direction == CLIENT else f"The server {server_name(stream)}"
        detail = f"{who} {'is' if stream.log else 'ended the handshake with'} {tls.alert_name(number)} ({number})."
        leaf: dict[str, Any] = memory["leaf"] or {}
        mismatch = None
        if number in ABOUT_CERTIFICATE and lane.direction == CLIENT:
            mismatch = name_mismatch(leaf, hello.get("sni"))
        if number in NO_COMMON and hello.get("ciphers"):
            detail += " " + offer(hello)
        elif number == VERSION and hello.get("versions"):
            detail += f" The ClientHello offers no more than {_highest(hello)}."
        elif mismatch:
            detail += f" The server's certificate {mismatch}, the name that the client asks for (SNI)."
        elif number == NAME and hello:
            sni = hello.get("sni")
            detail += f" The client asked for {sni!r}." if sni else " The client named no server (SNI)."
        elif leaf.get("issuer") and lane.direction == CLIENT:
            detail += f" The server's certificate is issued by {leaf['issuer']}."
        fix = tls.CAUSES.get(number) if name == "BS109" else None
        if number == VERSION:
            fix = _version_fix(hello, by_client=lane.direction == CLIENT)
        elif mismatch:
            fix = f"Connect by a name that the certificate holds, or give the server one that holds this name. {fix}"
        self.report(name, stream, detail=detail, fix=fix, cause=True)

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        guess = stream.client.guess
        if stream.log or stream.cause is not None or guess is None or guess.kind != "tls" or stream.joined:
            return
        memory = self.of(stream)
        if memory["warned"] is not None and not memory["secured"]:
            self._alert(stream, *memory["warned"])
            return
        answer = stream.server.guess
        # What the server says behind its ServerHello is inside TLS, also where the client's side cannot be opened.
        inside = memory["answered"] or memory["secured"]
        if (
            not inside
            and answer is not None
            and (answer.is_blynk or answer.kind in {"http", "websocket", "ssh", "text"})
        ):
            said = answer.detail.get("status_line") or answer.detail.get("banner")
            what = answer.label + (f" ({quote(said)})" if said else "")
            self._plain(stream, f"{server_name(stream)} answered the ClientHello in plain: {what}.")
            return
        if stream.server.seen or unheard(stream, stream.server, event):
            return
        self._silent(stream, event, memory)

    def _silent(self, stream: Conversation, event: Closed, memory: dict[str, Any]) -> None:
        """The ClientHello got no answer."""
        last, asked = end_of(stream, event), memory["at"] or stream.client.heard_at
        waited = last - asked if last is not None and asked is not None else 0.0
        if closed_by_server(stream, event):
            then = f"{'reset' if event.how == 'reset' else 'closed'} the connection without a word"
        elif waited >= HELLO_PATIENCE:
            then = f"said nothing for {seconds(waited)}"
        else:
            return
        if stream.opened.server_port not in SECURE_PORTS:
            self._plain(stream, f"The client began with a TLS ClientHello, and {server_name(stream)} {then}.")
            return
        if not first_time(stream, "BS110 silent"):
            explains(stream, "BS110")
            return
        detail = f"{server_name(stream)} {then} after the ClientHello, where a ServerHello should come."
        if memory["hello"] and memory["hello"].get("ciphers"):
            detail += " " + offer(memory["hello"])
        self.report("BS110", stream, detail=detail, cause=True)

    def _plain(self, stream: Conversation, detail: str) -> None:
        """The port does not speak TLS."""
        if not first_time(stream, f"BS106 {stream.opened.server}"):
            explains(stream, "BS106")
            return
        port = stream.opened.server_port
        if port not in SECURE_PORTS:
            detail += f" Port {port} speaks plain."
        self.report("BS106", stream, detail=detail, cause=True)


def _highest(hello: dict[str, Any]) -> str:
    """The highest version that a ClientHello offers."""
    versions = [str(name) for name in hello.get("versions") or []]
    known = [name for name in tls.VERSIONS.values() if name in versions]
    return known[-1] if known else versions[0] if versions else "no version"


def _version_fix(hello: dict[str, Any], *, by_client: bool) -> str | None:
    """What to do about protocol_version, by what was offered; the table's advice where that is not known."""
    if not hello.get("versions"):
        return tls.CAUSES.get(VERSION)
    highest = _highest(hello)
    if by_client:
        return (
            "The server chose a version that the client does not take: let the server take TLS 1.2 or later, or lower "
            "the least version that the client asks for."
        )
    if highest == "TLS 1.3":
        return (
            "The client is not too old: it offers TLS 1.3. The server takes older versions only, or refuses the range "
            "that is offered: let the server take TLS 1.2 and 1.3, or the client offer TLS 1.2, too."
        )
    if highest == "TLS 1.2":
        return (
            "The client offers TLS 1.2 at most and the server refuses it, so it takes TLS 1.3 only: let the server "
            "take TLS 1.2 as well, which is what most boards can do (nginx: ssl_protocols TLSv1.2 TLSv1.3), or update "
            "the TLS library of the client to one with TLS 1.3."
        )
    return tls.OLD_VERSIONS


_PLAIN_ANSWER = re.compile(
    r"wrong version number|unknown protocol|http request|packet length too long|record header|invalid ssl record|"
    r"-0x7200\b|-29184\b",
    re.IGNORECASE,
)
"""What TLS libraries say when the answer to their hello is no TLS."""
_PLAIN_CLIENT = re.compile(r"not an SSL/TLS record")
"""What a server says of the bytes of a client without TLS."""
_CLOSED = re.compile(r"SSL_CONN_EOF|-0x7280\b")
_DROPPED = re.compile(r"disconnected before secure TLS connection")
_NO_COMMON = re.compile(
    r"handshake.failure|no.shared.cipher|no.ciphers?.(?:available|chosen|match)|insufficient.security|-0x7380\b",
    re.IGNORECASE,
)
_BEARSSL_RECEIVED = 256
_BEARSSL_SENT = 512
"""BearSSL adds the number of an alert to these: one that it received, and one that it sent."""
_MEMORY = re.compile(r"-0x7F00\b|-32512\b|alloc|out of memory|insufficient.memory", re.IGNORECASE)


_UNTOLD_FIX = (
    "With a server of your own: its certificate is not the one that the library expects, so pass its fingerprint or "
    "root certificate to Blynk.begin, or use the plain library with port 8080. With Blynk's cloud: update library and "
    "board package (the root certificate is built in), let the board get the time before it connects, and leave it "
    "30 KiB of free memory."
)


class TlsLines(StreamRule):
    """BS106, BS109, BS110 from the lines of a log."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._told: set[tuple[int, str, int | None]] = set()

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind != "tls-error":
            return
        reason = str(line.facts.get("reason") or "")[:REASON_MAX]
        code = line.facts.get("code")
        if stream is not None and stream.cause is not None and reason.lower().startswith("secure connect"):
            return  # the line before it said why
        number, dropped, port = _alert_of(reason, code), False, 0
        if number in {CLOSE_NOTIFY, USER_CANCELED}:
            return
        if _PLAIN_CLIENT.search(reason):
            name = "BS107"
        elif _PLAIN_ANSWER.search(reason) or code in {-29184, -0x7200}:
            name = "BS106"
        elif dropped := _DROPPED.search(reason) is not None:
            port = stream.opened.server_port if stream is not None else 0
            name = "BS106" if port and port not in SECURE_PORTS else "BS110"
        elif number in NO_COMMON or _NO_COMMON.search(reason):
            name = "BS110"
        else:
            name = "BS109"
        if stream is not None:
            explains(stream, name)
        if (key := (self.run.source, name, number)) in self._told or len(self._told) >= LINES_MAX:
            return
        self._told.add(key)
        said = reason or (f"code {code}" if code is not None else "a TLS error")
        detail = f"Line {line.line} of the log: {said}."
        fix = None
        if name == "BS107":
            detail += " A client without TLS came to the server's TLS port."
        elif dropped:
            detail += " The server hung up on the ClientHello"
            detail += f"; port {port} speaks plain." if name == "BS106" else " without a word."
        elif name == "BS106":
            detail += " That is what a TLS library says when the answer to its ClientHello is no TLS."
        elif number is not None:
            detail += f" The alert is {tls.alert_name(number)} ({number})."
            fix = tls.CAUSES.get(number) if name == "BS109" else None
        elif _CLOSED.search(reason) or code in {-29312, -0x7280}:
            detail += " The server closed the connection during the handshake, without an alert."
        elif _MEMORY.search(reason) or code == -32512:
            detail += " The device has not enough memory for TLS."
            fix = (
                "Free memory before connecting, or make the TLS buffers smaller (setBufferSizes(1024, 1024) on the "
                "ESP8266 where the server takes it); boards with less than about 30 KiB free cannot do TLS."
            )
        elif reason.lower().startswith("secure connect"):
            detail += " The library does not say why."
            fix = _UNTOLD_FIX
        self.report(name, stream, detail=detail, fix=fix, cause=True)


def _alert_of(reason: str, code: Any) -> int | None:
    """The alert that a log line tells by name, or in BearSSL's numbers."""
    if isinstance(code, int) and _BEARSSL_RECEIVED <= code < _BEARSSL_SENT + 256:
        number = code % _BEARSSL_RECEIVED
        return number if number in tls.ALERTS else None
    flat = reason.lower().replace("_", " ")
    if "alert" not in flat:
        return None
    names = (number for number, name in tls.ALERTS.items() if name.replace("_", " ") in flat)
    return next(names, None)


RULES: tuple[type[StreamRule], ...] = (Handshakes, Refusals, TlsLines)
