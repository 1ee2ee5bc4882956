"""What a proxy says of itself, in words: servers not reached, handshakes that failed, rules that were applied.

The records are `StreamRecord`s of kind "proxy". They must be redacted already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from blynkscope.analysis.records import StreamRecord
from blynkscope.protocol.commands import command_name
from blynkscope.protocol.model import Dialect
from blynkscope.render.handshakes import Told
from blynkscope.render.safe import safe_line

_VALUE_MAX = 300
_STAGES = {
    "dns": "its name is not known",
    "connect": "no connection",
    "tls": "no TLS",
    "timeout": "no answer",
    "refused": "not allowed",
}
_LIMITS = {
    "first-byte": "the device said nothing for {seconds} s",
    "handshake": "the TLS handshake took more than {seconds} s",
    "idle": "nothing was said for {seconds} s",
    "stalled": "one side had closed {seconds} s ago, and a rule keeps that from the other",
    "half-closed": "one side had closed, and the other said nothing for {seconds} s",
    "connect": "the server was not reached within {seconds} s",
}
_DONE = {
    "pass": "passed",
    "delay": "delayed",
    "stall": "stalled from",
    "duplicate": "sent more often",
    "split": "split",
    "merge": "merged",
    "reorder": "reordered",
    "drop": "dropped",
    "answer": "answered",
    "replace": "changed",
    "corrupt": "corrupted",
    "truncate": "truncated",
    "edit": "edited",
    "inject": "injected",
    "swallow": "swallowed",
    "close": "closed the connection at",
    "reset": "reset the connection at",
}
"""What became of the frame that is named behind it."""
_REFUSED = {
    "network": "its address is in no network of --allow; add it if it is one of yours",
    "connections": "too many connections are open; where many devices are expected, raise the limit of open files",
    "per-address": "this address has too many connections open",
}


def in_words(record: StreamRecord) -> Told:
    """What the proxy did or could not do."""
    detail = dict(record.detail)
    fact = str(detail.pop("fact", ""))
    teller = _TELLERS.get(fact)
    if teller is not None:
        return teller(detail)
    name = _text(fact.removeprefix("proxy-").replace("-", " "), 40)
    return Told(f"proxy: {name or 'something happened'}{_left(detail)}", calm=False)


def refusal(kind: str, detail: Mapping[str, Any]) -> str:
    """A client that the proxy did not take, in one sentence. Safe to show."""
    left = dict(detail)
    client = left.pop("client", None) or left.pop("address", None)
    if kind == "proxy-limit":
        return _text(left.pop("text", None) or left.pop("limit", None) or "a limit was met")
    who = _text(client[0] if isinstance(client, list | tuple) and client else client or "a client", 80)
    reason, text, before = str(left.pop("reason", "") or ""), left.pop("text", None), left.pop("before", None)
    left.pop("port", None)
    why = _REFUSED.get(reason) or _text(text or reason or kind.removeprefix("proxy-").replace("-", " "))
    times = f" ({before} more before)" if isinstance(before, int) and before else ""
    if kind == "proxy-tap-failed":
        return f"the analysis missed something ({why}{_left(left)}); the relay goes on"
    return f"refused {who}{times}: {why}{_left(left)}"


def _upstream_failed(detail: dict[str, Any]) -> Told:
    host, port = detail.pop("host", None), detail.pop("port", None)
    stage, reason = str(detail.pop("stage", "") or ""), detail.pop("reason", None)
    text = _text(detail.pop("text", None) or reason or "it failed").rstrip(".")
    detail.pop("alert", None)
    named = f" {_host(host)}:{_text(port, 8)}" if host else ""
    words = _STAGES.get(stage)
    return Told(
        f"proxy: the server{named} was not reached: {f'{words}: ' if words else ''}{text}{_left(detail)}", False
    )


def _handshake_failed(detail: dict[str, Any]) -> Told:
    for known in ("leg", "legacy"):
        detail.pop(known, None)
    versions, ciphers, sni = (detail.pop(name, None) for name in ("versions", "ciphers", "sni"))
    reason, cause, alert = (detail.pop(name, None) for name in ("reason", "cause", "alert"))
    # The finding that follows says what an alert means, and what to do.
    why = (reason if alert is not None else cause or reason) or "the handshake failed"
    text = f"proxy: no TLS with the device: {_text(why)}"
    lists = [f"it offers {_text(', '.join(map(str, versions)))}"] if versions else []
    lists += [f"SNI {_text(sni, 80)}"] if sni else []
    lists += [f"cipher suites: {_text(', '.join(map(str, ciphers)), 4000)}"] if ciphers else []
    return Told(text + _left(detail), calm=False, lists=tuple(lists))


def _refused(detail: dict[str, Any]) -> Told:
    reason, text, host = (detail.pop(name, None) for name in ("reason", "text", "host"))
    asked = f" (it asked for {_host(host)})" if host else ""
    why = _REFUSED.get(str(reason)) or _text(text or reason or "refused")
    return Told(f"proxy: refused: {why}{asked}{_left(detail)}", calm=False)


def _limit(detail: dict[str, Any]) -> Told:
    name, seconds, size = (detail.pop(key, None) for key in ("limit", "seconds", "size"))
    if name == "inject":
        return Told(
            f"rules: more than {_text(size, 20)} bytes of them wait to be sent; what is beyond is dropped", calm=False
        )
    words = _LIMITS.get(str(name))
    shown = f"{seconds:g}" if isinstance(seconds, int | float) else _text(seconds, 20)
    return Told(f"proxy: ended, {words.format(seconds=shown) if words else _text(name)}{_left(detail)}", calm=False)


def _rule(detail: dict[str, Any]) -> Told:
    rule, action, said = (detail.pop(name, None) for name in ("rule", "action", "detail"))
    failed, command, number = (detail.pop(name, None) for name in ("failed", "command", "id"))
    done, said = _text(action or "applied", 40), _text(said or "")
    by = "by hand" if rule == "intercept" else f'rule "{_text(rule, 64)}"' if rule else "rules"
    about = ""
    if isinstance(command, int):
        about = f" {command_name(command, Dialect.HARDWARE)}" + (
            f" id {_text(number, 8)}" if number is not None else ""
        )
    if action == "limit":
        return Told(f"{by}: {said}{_left(detail)}", calm=False)
    about += " on" if action == "stall" and about else ""
    words = f"could not {done}{about}" if failed else f"{_DONE.get(done, done)}{about}"
    return Told(f"{by}: {words}{f' ({said})' if said else ''}{_left(detail)}", calm=False)


def _rule_failed(detail: dict[str, Any]) -> Told:
    who, error = detail.pop("who", None), detail.pop("error", None)
    return Told(
        f"proxy: {_text(who or 'the rules')} failed ({_text(error or '?')}); the frame passed. Please report this."
        f"{_left(detail)}",
        calm=False,
    )


def _partial(detail: dict[str, Any]) -> Told:
    size, seconds = detail.pop("size", None), detail.pop("seconds", None)
    shown = f"{seconds:g}" if isinstance(seconds, int | float) else _text(seconds, 20)
    return Told(
        f"proxy: {_text(size, 20)} bytes of a frame passed without its rest, which did not come within {shown} s"
        f"{_left(detail)}",
        calm=False,
    )


def _tls_broken(detail: dict[str, Any]) -> Told:
    leg = {"device": "device", "upstream": "server"}.get(str(detail.pop("leg", "")), "peer")
    return Told(
        f"proxy: TLS with the {leg} broke: {_text(detail.pop('reason', None) or '?')}{_left(detail)}", calm=False
    )


def _extension_removed(detail: dict[str, Any]) -> Told:
    names = detail.pop("extensions", None)
    shown = _text(", ".join(map(str, names))) if isinstance(names, list | tuple) and names else "compression"
    return Told(
        f"proxy: {shown} taken out of the WebSocket request: rules see no frames in compressed messages{_left(detail)}",
        calm=True,
    )


def _compressed(detail: dict[str, Any]) -> Told:
    return Told(f"proxy: WebSocket messages are compressed: rules do nothing to them{_left(detail)}", calm=False)


def _fragmented(detail: dict[str, Any]) -> Told:
    return Told(
        f"proxy: a WebSocket message comes in fragments: rules do nothing to such messages{_left(detail)}", calm=False
    )


_TELLERS: dict[str, Callable[[dict[str, Any]], Told]] = {
    "proxy-upstream-failed": _upstream_failed,
    "proxy-handshake-failed": _handshake_failed,
    "proxy-refused": _refused,
    "proxy-limit": _limit,
    "proxy-rule": _rule,
    "proxy-rule-failed": _rule_failed,
    "proxy-partial": _partial,
    "proxy-extension-removed": _extension_removed,
    "proxy-compressed": _compressed,
    "proxy-fragmented": _fragmented,
    "proxy-tls-broken": _tls_broken,
}


def _host(value: Any) -> str:
    text = _text(value, 255)
    return f"[{text}]" if ":" in text else text


def _text(value: Any, limit: int = _VALUE_MAX) -> str:
    return safe_line(value if isinstance(value, str) else str(value), limit)


def _left(detail: Mapping[str, Any]) -> str:
    """The facts that nobody put into words."""
    shown = [
        f"{_text(name, 40).replace('_', ' ')} {_text(value, 80)}"
        for name, value in detail.items()
        if value not in (None, "", [], {}, ())
    ]
    return " · " + " · ".join(shown) if shown else ""
