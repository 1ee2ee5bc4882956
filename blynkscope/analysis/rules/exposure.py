"""BS6xx: exposure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.era import era_of_host
from blynkscope.analysis.names import address_of
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.addresses import URL_MAX, target_of
from blynkscope.analysis.rules.quotes import quote
from blynkscope.analysis.rules.reaching import server_name
from blynkscope.analysis.rules.words import explains, first_time
from blynkscope.protocol import commands
from blynkscope.protocol.commands import LOGINS
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.schema import readable
from blynkscope.wire import addresses
from blynkscope.wire.events import CLIENT, SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Line
    from blynkscope.wire.facts import Fact

FIRMWARE_ENDS = (".bin", ".bin.gz", ".hex")
FIRMWARE_PATH = "/static/ota/"
UPDATERS = ("http-update", "httpupdate")
"""In the User-Agent of the update libraries of ESP8266 and ESP32, in lower case."""
SUBJECT_MAX = 120
NAMES_SHOWN = 4
LOGS_MAX = 1024
_DEFAULT = re.compile(
    r"admin@blynk\.cc:admin(?![A-Za-z0-9])|YWRtaW5AYmx5bmsuY2M6YWRtaW4=|(?<![\w@.:])admin:admin(?!\w)"
)
_EXPIRED = re.compile(r"expired|not.yet.valid|NOT_YET_VALID|BADCERT_(?:EXPIRED|FUTURE)", re.IGNORECASE)
_CODE = re.compile(r"[A-Z_]{3,60}")
"""What OpenSSL calls a flaw, as Node prints it: no secret, however long."""
_BEARSSL_EXPIRED = 54
"""BearSSL's error number for a certificate out of its time, mostly because the clock is not set."""


def is_public(end: str | None) -> bool:
    """Is this `ip:port` an address of the internet?"""
    return addresses.is_public(address_of(end or ""))


def _in_clear(stream: Conversation) -> bool:
    return not stream.log and not any(layer.startswith("tls") for layer in stream.via)


class TokenInClear(StreamRule):
    """BS601: a token without TLS to a public address."""

    def spoke(
        self, stream: Conversation, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes,
        time: float | None,
    ) -> None:  # fmt: skip
        """See `StreamRule`."""
        if (
            cmd in LOGINS
            and lane.direction == CLIENT
            and body
            and _in_clear(stream)
            and is_public(stream.opened.server)
        ):
            what = "login" if lane.dialect is Dialect.APP else "token"
            self._say(
                stream, (n,), f"Frame {n} carries a {what} without TLS to the public address {server_name(stream)}."
            )

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind != "http-request" or not fact.detail.get("token") or not _in_clear(stream):
            return
        if is_public(stream.opened.server):
            where = f"to the public address {server_name(stream)}"
            self._say(stream, (), f"A {fact.detail.get('method')} request without TLS {where} has a token in its URL.")

    def _say(self, stream: Conversation, frames: tuple[int, ...], detail: str) -> None:
        if first_time(stream, "BS601"):
            self.report("BS601", stream, frames=frames, detail=detail)


class PlainFirmware(StreamRule):
    """BS602: firmware over plain HTTP."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._logs: set[int] = set()

    def spoke(
        self, stream: Conversation, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes,
        time: float | None,
    ) -> None:  # fmt: skip
        """See `StreamRule`."""
        if cmd == commands.INTERNAL and lane.direction == SERVER and body.startswith(b"ota\0"):
            host = plain_host(readable(body[4 : 4 + URL_MAX].partition(b"\0")[0]))
            if host is not None and first_time(stream, "BS602"):
                self._say(
                    stream, (n,), f"Frame {n} tells the device to download its firmware from http://{host}.", host
                )

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        host = plain_host(str(line.facts.get("url") or "")) if line.kind == "ota" else None
        if host is None or self.run.source in self._logs or len(self._logs) >= LOGS_MAX:
            return
        self._logs.add(self.run.source)
        if stream is None or first_time(stream, "BS602"):
            self._say(stream, (), f"Line {line.line} of the log: firmware comes from http://{host}.", host)

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind != "http-request" or not _in_clear(stream) or fact.detail.get("method") != "GET":
            return
        path = str(fact.detail.get("path") or "").lower()
        agent = str(fact.detail.get("user_agent") or "").lower()
        firmware = (
            path.startswith(FIRMWARE_PATH) or path.endswith(FIRMWARE_ENDS) or any(one in agent for one in UPDATERS)
        )
        if firmware and first_time(stream, "BS602"):
            detail = f"The device downloads firmware from {server_name(stream)} without TLS."
            self._say(stream, (), detail, address_of(stream.opened.server or ""))

    def _say(self, stream: Conversation | None, frames: tuple[int, ...], detail: str, host: str) -> None:
        public = is_public(f"{host}:0") or era_of_host(host) is not None
        self.report("BS602", stream, frames=frames, detail=detail, severity="warning" if public else None)


def plain_host(url: str) -> str | None:
    """The host of an http:// URL; None for any other."""
    target = target_of(url)
    return target.host if target is not None and target.scheme == "http" else None


class DefaultCredentials(StreamRule):
    """BS603: the administrator's default password."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._logs: set[int] = set()

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind != "http-request" or not fact.detail.get("default_credentials"):
            return
        if first_time(stream, f"BS603 {stream.opened.server}"):
            what = f"A {fact.detail.get('method')} request to {server_name(stream)}"
            detail = f"{what} comes with the default name and password."
            # At home and encrypted nobody learns anything by it that he could not try anyway.
            sheltered = not _in_clear(stream) and not is_public(stream.opened.server or "")
            self.report("BS603", stream, detail=detail, severity="note" if sheltered else None)

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if self.run.source in self._logs or len(self._logs) >= LOGS_MAX or not _DEFAULT.search(line.text):
            return
        self._logs.add(self.run.source)
        self.report("BS603", stream, detail=f"Line {line.line} of the log shows the default name and password.")


class Certificates(StreamRule):
    """BS604, BS605: what the server showed, and whether the client looked at it."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._logs: set[tuple[int, str]] = set()

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"leaf": None, "time": None, "sni": None, "went_on": False, "refused": False}

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if fact.kind == "tls-certificate":
            if lane.direction == SERVER and memory["leaf"] is None and "error" not in fact.detail:
                memory["leaf"], memory["time"] = fact.detail, fact.time
        elif fact.kind == "tls-client-hello":
            memory["sni"] = fact.detail.get("sni")
        elif lane.direction == CLIENT and fact.kind in {"tls-change-cipher", "tls-application-data"}:
            memory["went_on"] = True
        elif lane.direction == CLIENT and fact.kind == "tls-alert" and not fact.detail["encrypted"]:
            memory["refused"] = memory["refused"] or fact.detail["number"] != 0

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        leaf: dict[str, Any] | None = memory["leaf"]
        if leaf is None:
            return
        went_on = memory["went_on"] and not memory["refused"]
        dated = _out_of_date(leaf, memory["time"])
        subject = str(leaf["subject"])[:SUBJECT_MAX]
        if dated is not None and first_time(stream, f"BS605 {subject}"):
            detail = f"The certificate of {server_name(stream)} ({subject}) {dated}"
            detail += ", and the client went on all the same." if went_on else "."
            self.report("BS605", stream, detail=detail)
        if not went_on:
            return
        flaws = []
        if dated is not None:
            flaws.append(dated)
        if leaf.get("self_signed"):
            flaws.append("is signed by itself")
        elif (mismatch := name_mismatch(leaf, memory["sni"])) is not None:
            flaws.append(mismatch)
        if not flaws or not first_time(stream, f"BS604 {subject}"):
            return
        only_self_signed = flaws == ["is signed by itself"] and not is_public(stream.opened.server)
        detail = (
            f"The certificate of {server_name(stream)} ({subject}) {' and '.join(flaws)}, and the client accepted it"
        )
        detail += ": it does not verify, or holds this very certificate." if flaws == ["is signed by itself"] else "."
        self.report("BS604", stream, detail=detail, severity="note" if only_self_signed else None)

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind != "certificate-error":
            return
        reason = str(line.facts.get("reason") or "")
        code = line.facts.get("code")
        if line.facts.get("accepted"):
            if (self.run.source, "accepted") not in self._logs and len(self._logs) < LOGS_MAX:
                self._logs.add((self.run.source, "accepted"))
                detail = (
                    f"Line {line.line} of the log: {reason}, and the client goes on without a verified certificate."
                )
                self.report("BS604", stream, detail=detail, severity="note")
            return
        expired = _EXPIRED.search(reason) is not None or code == _BEARSSL_EXPIRED
        name = "BS605" if expired else "BS604"
        if stream is not None:
            explains(stream, name)
        if (key := (self.run.source, name)) in self._logs or len(self._logs) >= LOGS_MAX:
            return
        self._logs.add(key)
        said = (
            reason
            if _CODE.fullmatch(reason)
            else quote(reason, 100)
            if reason
            else f"code {code}"
            if code is not None
            else "the certificate is refused"
        )
        detail = f"Line {line.line} of the log: the client refused the server's certificate ({said})."
        self.report(name, stream, detail=detail, severity="error", cause=True)


def _out_of_date(leaf: dict[str, Any], now: float | None) -> str | None:
    if now is None:
        return None
    from datetime import UTC, datetime

    for key, wrong, words in (("not_after", 1, "expired on"), ("not_before", -1, "is valid only from")):
        limit = leaf.get(key)
        if isinstance(limit, int | float) and (now - limit) * wrong > 0:
            try:
                return f"{words} {datetime.fromtimestamp(limit, UTC):%Y-%m-%d}"
            except (ValueError, OverflowError, OSError):
                return f"{words} a date out of all range"
    return None


def name_mismatch(leaf: dict[str, Any], sni: str | None) -> str | None:
    """Is the certificate for another name than the client asked for? Then what it is for; else None."""
    names = [str(name).lower() for name in leaf.get("names") or []]
    if not sni or not names:
        return None
    wanted = sni.lower().rstrip(".")
    parent = wanted.partition(".")[2]
    if wanted in names or (parent and f"*.{parent}" in names):
        return None
    return f"is for {', '.join(names[:NAMES_SHOWN])} and not for {wanted[:SUBJECT_MAX]}"


RULES: tuple[type[StreamRule], ...] = (TokenInClear, PlainFirmware, DefaultCredentials, Certificates)
