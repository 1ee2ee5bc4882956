"""What TLS and WebSocket tell about themselves, in words: a line for each fact, and what a summary says of a stream.

The records are `StreamRecord`s whose detail has a `fact`. They must be redacted already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from blynkscope.analysis.records import StreamRecord
from blynkscope.protocol import limits
from blynkscope.protocol.tls import SIGNALS
from blynkscope.render.safe import safe_line

_VALUE_MAX = 200
_NAME_MAX = 80
_NAMES_SHOWN = 4
_LIST_MAX = 4000
"""Characters of a list of cipher suites: some sixty names, which is what old clients with everything on offer."""
_CAUSE_MAX = 1000
_ALERTS_KEPT = 4
_COMMON, _ORGANISATION = (re.compile(rf"(?:^|,){name}=((?:[^,\\]|\\.)*+)") for name in ("CN", "O"))
_HARMLESS_ALERTS = frozenset({0, 90})
"""close_notify and user_canceled end a connection in good order."""
_ABOUT_SUITES = frozenset({40, 71})
"""handshake_failure and insufficient_security: nothing that was offered will do, most often of the cipher suites."""
_ABOUT_VERSIONS, _ABOUT_NAME = 70, 112
"""protocol_version and unrecognized_name."""
_GOOD_ENDS = frozenset({1000, 1001, 1005})
"""Close codes of WebSocket: normal, going away, none given."""
_DETAILS_ONLY = frozenset(
    {"tls-application-data", "tls-change-cipher", "tls-key-update", "ws-ping", "ws-pong", "ws-fragmented", "ws-text"}
)
"""Facts for those who asked for more: they say how the layer works, and nothing about the conversation."""
_KEYS = {
    "opened": "opened with the key log",
    "none": "not opened: there is no key log",
    "unmatched": "not opened: the key log has no keys of this connection",
    "partial": "opened in part: the key log has the keys of one direction only",
    "wrong": "not opened: the keys in the key log do not fit",
    "unsupported": "not opened: the cipher suite is not supported",
    "late": "not opened: the handshake is not in the input",
}
OPENED = frozenset({"opened", "partial"})
"""States of keys with which something inside was read."""
_CALM_KEYS = frozenset({"opened", "none"})


class Told(NamedTuple):
    """A fact in words, safe to show.

    Args:
        text: One line, not cut.
        calm: It is in order, so that it is shown quietly.
        extra: Only for those who asked for more.
        lists: Long lists that belong to it, as lines of their own.
        advice: What it means or what to do; "" for nothing.
        wraps: It goes on in further lines where one is too short, also where it is calm.
    """

    text: str
    calm: bool = True
    extra: bool = False
    lists: tuple[str, ...] = ()
    advice: str = ""
    wraps: bool = True


def fact_of(record: StreamRecord) -> str:
    """The name of the fact that a record tells; "" where it tells none."""
    fact = record.detail.get("fact")
    return fact if isinstance(fact, str) else ""


def in_words(record: StreamRecord) -> Told | None:
    """A fact in words; None for a record that tells none."""
    if record.kind == "undecodable":
        return _undecodable(record)
    fact = fact_of(record)
    if not fact:
        return None
    detail = dict(record.detail)
    del detail["fact"]
    who = {"server": "the server", "device": "the device", "app": "the app"}.get(record.sender, "the client")
    teller = _TELLERS.get(fact)
    if teller is None:
        text = f"{_protocol(fact)}: {_text(fact.partition('-')[2].replace('-', ' '), 40)} ({who})" + _left(detail)
        return Told(text, extra=fact in _DETAILS_ONLY)
    return teller(detail, who, record)


def _protocol(fact: str) -> str:
    return {"tls": "TLS", "ws": "WebSocket"}.get(fact.partition("-")[0], "note")


# --- TLS ---


def _client_hello(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    if "error" in detail:
        return Told(f"TLS: the hello of {who} cannot be read: {_text(detail['error'])}", calm=False)
    suites = _suites(detail)
    lists = [f"cipher suites: {_text(', '.join(suites), _LIST_MAX)}"] if suites else []
    groups = _names(detail.get("groups"))
    lists += [f"groups: {_text(', '.join(groups), _LIST_MAX)}"] if groups else []
    agreed = f" · agreed on {_text(detail['agreed'], 20)}" if detail.get("agreed") else ""
    return Told(f"TLS: {who} offers {_offer(detail)}{agreed}", lists=tuple(lists))


def _suites(detail: Mapping[str, Any]) -> list[str]:
    """The cipher suites that are offered, without the signals that stand among them."""
    return [name for name in _names(detail.get("ciphers")) if name not in SIGNALS]


def _offer(detail: Mapping[str, Any]) -> str:
    versions = ", ".join(_names(detail.get("versions"))) or str(detail.get("version") or "no version")
    count = len(_suites(detail))
    facts = [_text(versions), f"{count} cipher suite{'' if count == 1 else 's'}"]
    sni = detail.get("sni")
    facts.append(f"SNI {_text(sni, _NAME_MAX)}" if sni else "no SNI")
    if alpn := _names(detail.get("alpn")):
        facts.append(f"ALPN {_text(', '.join(alpn), _NAME_MAX)}")
    if detail.get("resuming"):
        facts.append("wants to resume a session")
    if detail.get("ja4"):
        facts.append(f"JA4 {_text(detail['ja4'], _NAME_MAX)}")
    return " · ".join(facts)


def _server_hello(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    if "error" in detail:
        return Told(f"TLS: the hello of {who} cannot be read: {_text(detail['error'])}", calm=False)
    choice = _choice(detail)
    if detail.get("retry"):
        return Told(f"TLS: {who} asks for another hello, for {choice}")
    return Told(f"TLS: {who} chooses {choice}")


def _choice(detail: Mapping[str, Any]) -> str:
    facts = [_text(detail.get("version") or "?", 20), _text(detail.get("cipher") or "?", _NAME_MAX)]
    return " · ".join([*facts, *(["resumes a session"] if detail.get("resumed") else [])])


def _certificate(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    position, chain = detail.get("position"), detail.get("chain")
    place = f" {position + 1} of {chain}" if isinstance(position, int) and isinstance(chain, int) and chain > 1 else ""
    extra = isinstance(position, int) and position > 0
    if "error" in detail:
        return Told(f"TLS: certificate{place} of {who} cannot be read: {_text(detail['error'])}", False, extra)
    text, good = _identity(detail, record.time)
    return Told(f"TLS: certificate{place} of {who} is for {text}", good, extra)


def _identity(detail: Mapping[str, Any], now: float | None) -> tuple[str, bool]:
    """Whom a certificate is for, by whom, until when; and whether it was valid then."""
    subject = _common(detail.get("subject"))
    others = [name for name in _names(detail.get("names")) if name != subject]
    shown = ", ".join([subject, *others[:_NAMES_SHOWN]] if subject else others[:_NAMES_SHOWN]) or "nobody"
    more = len(others) - _NAMES_SHOWN
    facts = [_text(shown) + (f" and {more} more names" if more > 0 else "")]
    facts.append("signed by itself" if detail.get("self_signed") else f"by {_common(detail.get('issuer')) or '?'}")
    begins, ends = detail.get("not_before"), detail.get("not_after")
    good = True
    if now is not None and isinstance(ends, int | float) and ends < now:
        facts.append(f"expired since {_date(ends)}")
        good = False
    elif now is not None and isinstance(begins, int | float) and begins > now:
        facts.append(f"valid only from {_date(begins)} on")
        good = False
    else:
        facts.append(f"valid until {_date(ends)}")
    if detail.get("key"):
        facts.append(_text(detail["key"], 40))
    return " · ".join(facts), good


def _common(name: Any) -> str:
    """The common name of a subject or issuer (RFC 4514), else its organisation, else all of it."""
    text = str(name or "")
    found = _COMMON.search(text) or _ORGANISATION.search(text)
    return _text(re.sub(r"\\(.)", r"\1", found[1]) if found else text, _NAME_MAX)


def _date(seconds: Any) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (OverflowError, OSError, TypeError, ValueError):
        return "an unknown date"


def _alert(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    if detail.get("number") is None:
        return Told(f"TLS: {who} sends an encrypted alert", extra=True)
    harmless = isinstance(detail["number"], int) and detail["number"] in _HARMLESS_ALERTS
    cause = _text(detail.get("cause") or "", _CAUSE_MAX)
    # The end of every connection in good order is no news.
    extra = harmless and bool(detail.get("decrypted"))
    return Told(f"TLS: {who} sends {_alert_name(detail)}", harmless, extra, advice="" if harmless else cause)


def _alert_name(detail: Mapping[str, Any]) -> str:
    level, name = _text(detail.get("level") or "", 12), _text(detail.get("name") or "unknown", 40)
    return f"the alert {level} {name} ({_text(detail.get('number'), 6)})".replace("  ", " ")


def _keys(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    state = str(detail.pop("state", ""))
    for key in ("version", "cipher", "server_random"):
        # The hello of the server says the same.
        detail.pop(key, None)
    source, why = detail.pop("source", None), detail.pop("why", None)
    text = _KEYS.get(state) or f"keys: {_text(state or 'unknown', 24)}"
    text += f" ({_text(source, 60)})" if source else ""
    text += f": {_text(why)}" if why else ""
    return Told(f"TLS: {text}{_left(detail)}", calm=state in _CALM_KEYS)


def _lost(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    return Told(f"TLS: the records of {who} cannot be followed any more: {_text(detail.get('reason') or '?')}", False)


def _resumed(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    how = {"id": "by its id", "ticket": "by a ticket", "psk": "by a pre-shared key"}.get(str(detail.pop("how", "")), "")
    return Told(f"TLS: an earlier session is resumed{f' {how}' if how else ''}{_left(detail)}")


def _renegotiation(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    by, followed = detail.pop("by", None), detail.pop("followed", False)
    who = f"the {_text(by, 12)}" if by else who
    rest = "" if followed else ": what follows is not opened"
    return Told(f"TLS: {who} begins to renegotiate{rest}{_left(detail)}", calm=bool(followed))


def _early_data(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    accepted, opened = detail.pop("accepted", None), detail.pop("decrypted", None)
    facts = [] if accepted is None else ["accepted" if accepted else "refused by the server"]
    facts += [] if opened is None else ["opened" if opened else "not opened"]
    said = f": {', '.join(facts)}" if facts else ""
    return Told(f"TLS: {who} sends early data{said}{_left(detail)}")


def _undecodable(record: StreamRecord) -> Told:
    detail = dict(record.detail)
    detail.pop("fact", None)
    detail.pop("offset", None)
    sender = "" if record.sender in {"", "unknown"} else f" from {_text(record.sender, 12)}"
    count, size = detail.pop("count", None), record.bytes or detail.get("size") or 0
    detail.pop("size", None)
    reason, sequence = detail.pop("reason", None), detail.pop("sequence", None)
    sized = f"{_text(size, 20)} byte{'' if size == 1 else 's'}" if size else ""
    if isinstance(count, int):
        more = "" if sequence is not None else " more"
        what = f"{count}{more} record{'' if count == 1 else 's'}" + (f" ({sized})" if sized else "")
    else:
        what = sized or "a record"
    place = "" if sequence is None else f" (record {_text(sequence, 20)} of its keys)"
    why = f": {_text(reason)}" if reason else ""
    return Told(f"{what}{sender} cannot be decoded{place}{why}{_left(detail)}", calm=False)


# --- WebSocket ---


def _upgraded(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    path, dialect = detail.pop("path", None), detail.pop("dialect", None)
    extensions = detail.pop("extensions", None)
    facts = [f"WebSocket begins{f' on {_text(path)}' if path else ''}"]
    if dialect:
        facts.append(f"{_text(dialect, 20)} dialect")
    if extensions:
        listed = ", ".join(_names(extensions)) if isinstance(extensions, list | tuple) else str(extensions)
        facts.append(_text(listed))
    return Told(" · ".join(facts) + _left(detail))


def _beat(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    size = detail.pop("size", 0)
    name = "ping" if fact_of(record) == "ws-ping" else "pong"
    carries = f" with {_count(size, 'byte')}" if size else ""
    return Told(f"WebSocket: {who} sends a {name}{carries}{_left(detail)}", extra=True)


def _fragmented(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    frames, size, whole = (detail.pop(key, None) for key in ("frames", "size", "whole"))
    told = f" of {_count(size, 'byte')}" if size else ""
    ends = "" if whole in {None, True} else ", of which a part is missing"
    parts = "several frames" if frames is None else _count(frames, "frame")
    return Told(f"WebSocket: {who} sends a message{told} in {parts}{ends}{_left(detail)}", extra=True)


def _ignored_text(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    size, text = detail.pop("size", None), detail.pop("text", None)
    told = f" of {_count(size, 'byte')}" if size else ""
    quoted = f": {_text(text)}" if text else ""
    return Told(f"WebSocket: {who} sends text{told}, which is no Blynk{quoted}{_left(detail)}", extra=True)


def _count(number: Any, what: str) -> str:
    return f"{_text(number, 20)} {what}{'' if number == 1 else 's'}"


def _closing(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    code, name, reason = (detail.pop(key, None) for key in ("code", "name", "reason"))
    said = " ".join(_text(item, 60) for item in (code, name) if item not in (None, ""))
    said += f" ({_text(reason)})" if reason else ""
    calm = code is None or (isinstance(code, int) and code in _GOOD_ENDS)
    return Told(f"WebSocket: {who} closes it{f' with {said}' if said else ''}{_left(detail)}", calm)


def _trouble(detail: dict[str, Any], who: str, record: StreamRecord) -> Told:
    reason = detail.pop("reason", None)
    detail.pop("offset", None)
    words = _TROUBLES[fact_of(record)].format(who=who)
    if (expected := detail.pop("expected", None)) is not None:
        words = f"the frames of {who} are {'not masked' if expected else 'masked'}, against the protocol"
    return Told(f"WebSocket: {words}" + (f": {_text(reason)}" if reason else "") + _left(detail), calm=False)


_TROUBLES = {
    "ws-error": "what {who} sends is no frame",
    "ws-cut": "a message of {who} is cut",
    "ws-masking": "masking",
    "ws-too-big": "a message of {who} is too big to be kept",
    "ws-unreadable": "a message of {who} cannot be decompressed",
}


_TELLERS: dict[str, Callable[[dict[str, Any], str, StreamRecord], Told]] = {
    "tls-client-hello": _client_hello,
    "tls-server-hello": _server_hello,
    "tls-certificate": _certificate,
    "tls-alert": _alert,
    "tls-keys": _keys,
    "tls-lost": _lost,
    "tls-resumed": _resumed,
    "tls-renegotiation": _renegotiation,
    "tls-early-data": _early_data,
    "ws-upgraded": _upgraded,
    "ws-close": _closing,
    "ws-ping": _beat,
    "ws-pong": _beat,
    "ws-fragmented": _fragmented,
    "ws-text": _ignored_text,
    **dict.fromkeys(_TROUBLES, _trouble),
}


def _text(value: Any, limit: int = _VALUE_MAX) -> str:
    return safe_line(value if isinstance(value, str) else str(value), limit)


def _names(value: Any) -> list[str]:
    return [str(item) for item in value[: limits.OPEN_WRITES_MAX]] if isinstance(value, list | tuple) else []


def _left(detail: Mapping[str, Any]) -> str:
    """The facts that nobody put into words."""
    shown = []
    for name, value in detail.items():
        if value not in (None, "", [], {}, ()):
            text = ", ".join(map(str, value[:20])) if isinstance(value, list | tuple) else str(value)
            shown.append(f"{_text(name, 40).replace('_', ' ')} {_text(text)}")
    return " · " + " · ".join(shown) if shown else ""


def _is_about_suites(record: StreamRecord) -> bool:
    return fact_of(record) == "tls-alert" and record.detail.get("number") in _ABOUT_SUITES


def _in_vain(hello: StreamRecord, number: object) -> str:
    """What a hello offered of that which an alert refuses; "" where no offer is the matter."""
    detail = hello.detail
    if number in _ABOUT_SUITES:
        offered = ", ".join(_suites(detail))
    elif number == _ABOUT_VERSIONS:
        offered = ", ".join(_names(detail.get("versions"))) or str(detail.get("version") or "")
    elif number == _ABOUT_NAME:
        offered = f"SNI {detail['sni']}" if detail.get("sni") else "no SNI"
    else:
        return ""
    return f"offered in vain: {_text(offered, _LIST_MAX)}" if offered else ""


class Offers:
    """What clients offered until a server chose of it. What an alert refuses of it is told with the alert."""

    def __init__(self) -> None:
        self._open: dict[int, StreamRecord] = {}

    def take(self, record: StreamRecord) -> str:
        """Take a record in; what was offered in vain, where this record is the end of a handshake, else ""."""
        fact = fact_of(record)
        if fact == "tls-client-hello":
            # A proxy tells itself what became of the handshake.
            if "agreed" not in record.detail and len(self._open) < limits.STREAMS_MAX:
                self._open[record.stream] = record
        elif (fact == "tls-server-hello" and not record.detail.get("retry")) or record.kind == "closed":
            self._open.pop(record.stream, None)
        elif fact == "tls-alert" and record.detail.get("level") == "fatal":
            hello = self._open.pop(record.stream, None)
            return "" if hello is None else _in_vain(hello, record.detail.get("number"))
        return ""


class Handshake:
    """What a summary tells about the TLS and the WebSocket of one stream."""

    __slots__ = (
        "_alerts",
        "_certificate",
        "_chosen",
        "_keys",
        "_offer",
        "_suites",
        "_undecodable",
        "_upgrade",
        "_vain",
    )

    def __init__(self) -> None:
        self._offer = self._chosen = self._certificate = self._keys = self._upgrade = ""
        self._suites = ""
        self._alerts: list[str] = []
        self._undecodable = 0
        self._vain = False

    def take(self, record: StreamRecord) -> None:
        """Take a record in."""
        detail, fact = record.detail, fact_of(record)
        told = in_words(record)
        if told is None:
            return
        text = told.text.removeprefix("TLS: ")
        if fact == "tls-client-hello" and not self._chosen:
            self._offer, self._suites = text, next(iter(told.lists), "")
        elif fact == "tls-server-hello" and not detail.get("retry"):
            self._chosen = text
        elif fact == "tls-certificate" and not detail.get("position"):
            self._certificate = text
        elif fact == "tls-alert" and not told.extra and not (told.calm and self._chosen):
            self._vain = self._vain or _is_about_suites(record)
            if len(self._alerts) < _ALERTS_KEPT:
                self._alerts.append(text)
        elif fact == "tls-keys":
            self._keys = text
        elif fact == "ws-upgraded":
            self._upgrade = told.text.removeprefix("WebSocket ")
        elif record.kind == "undecodable":
            count = detail.get("count")
            self._undecodable += count if isinstance(count, int) else 1

    def __bool__(self) -> bool:
        return bool(self._offer or self._chosen or self._certificate or self._alerts or self._keys or self._upgrade)

    def lines(self) -> list[tuple[str, str]]:
        """Labels and texts; a label stands once."""
        parts = [self._offer, self._chosen, self._certificate, *self._alerts, self._keys]
        if self._offer and not self._chosen and self._suites and self._vain:
            parts.insert(1, self._suites)
        if self._undecodable:
            parts.append(f"{self._undecodable} record{'' if self._undecodable == 1 else 's'} could not be decoded")
        shown = [part for part in parts if part]
        lines = [("" if at else "tls", part) for at, part in enumerate(shown)]
        return [*lines, *([("websocket", self._upgrade)] if self._upgrade else [])]
