"""BS120 to BS124, and BS109 and BS110 as a proxy sees them: handshakes and servers that fail on either leg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.tls import NO_COMMON, offer
from blynkscope.analysis.rules.words import explains, seconds
from blynkscope.protocol import tls

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.facts import Fact

AGAIN_SECONDS = 3600.0
"""A failure that goes on is told anew after this time: runs last for weeks, and devices try every few seconds."""
TOLD_MAX = 1024
"""Failures that are told apart; the oldest is forgotten."""
DISTRUST = frozenset({42, 46, 48})
"""bad_certificate, certificate_unknown, unknown_ca."""
_ENDED = frozenset({"closed", "reset"})
_CERTIFICATES = {
    "expired": "BS122",
    "not-yet-valid": "BS122",
    "wrong-name": "BS123",
    "self-signed": "BS121",
    "unknown-ca": "BS121",
    "revoked": "BS121",
    "certificate": "BS121",
    "weak": "BS121",
}
"""Why the proxy refuses the server's certificate."""
_AUTO = "auto"
"""Host of the upstream that a device is to name."""
_TAKE = (
    "Start the proxy with --legacy-tls, which takes TLS 1.0 and weak ciphers on the side of the device. Or update its "
    "TLS library."
)
_ALL_TAKEN = (
    "The proxy takes old versions and weak ciphers already (--legacy-tls): what this device offers is not in the TLS "
    "library of this computer any more. Update the TLS library of the device, or test it without TLS."
)
_STAGES = {
    "dns": "Its name could not be resolved",
    "connect": "The connection could not be made",
    "tls": "The TLS handshake failed",
    "timeout": "It did not answer in time",
    "refused": "The proxy does not lead there",
}


class Proxied(StreamRule):
    """BS120 to BS124."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._told: dict[tuple[str, ...], tuple[float, int]] = {}

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind == "proxy-handshake-failed":
            self._handshake(stream, fact)
        elif fact.kind == "proxy-upstream-failed":
            self._upstream(stream, fact)

    def _handshake(self, stream: Conversation, fact: Fact) -> None:
        detail = fact.detail
        alert, reason, cause = detail.get("alert"), str(detail.get("reason") or ""), str(detail.get("cause") or "")
        client = (stream.opened.client or "the device").rpartition(":")[0] or "the device"
        offered = offer(detail) if detail.get("ciphers") else ""
        if alert in DISTRUST:
            text = f"{client} ended the handshake with {tls.alert_name(alert)} ({alert}) when it saw the certificate."
            self._report("BS120", stream, fact, text, client)
        elif alert is not None:
            text = f"{client} ended the handshake with {tls.alert_name(alert)} ({alert}). {offered}".strip()
            name = "BS110" if alert in NO_COMMON else "BS109"
            self._report(name, stream, fact, text, client, str(alert), fix=tls.CAUSES.get(alert))
        elif reason in _ENDED and detail.get("versions"):
            text = f"{client} closed the connection without a word when it got the proxy's certificate. {cause}"
            self._report("BS120", stream, fact, text, client, reason)
        elif reason.startswith("no-common"):
            text = f"{client} and the proxy found nothing in common. {cause}"
            if offered and "offers" not in cause:
                text += f" {offered}"
            self._report("BS110", stream, fact, text, client, reason, fix=_ALL_TAKEN if detail.get("legacy") else _TAKE)
        else:
            self._report("BS109", stream, fact, f"{client}: {cause or reason}", client, reason, fix=None)

    def _upstream(self, stream: Conversation, fact: Fact) -> None:
        detail = fact.detail
        reason, stage = str(detail.get("reason") or "failed"), str(detail.get("stage") or "connect")
        name = _CERTIFICATES.get(reason, "BS124") if stage == "tls" else "BS124"
        server = stream.opened.server or "the server"
        host, port = detail.get("host"), detail.get("port")
        if host and server.partition(":")[0] == _AUTO:
            # Where the device's own server name says where to, that is where it failed.
            server = f"{f'[{host}]' if ':' in str(host) else host}:{port}" if port else str(host)
        text = str(detail.get("text") or reason)
        text = f"{server}: {_STAGES.get(stage, 'It failed')}: {text}." if name == "BS124" else f"{server}: {text}."
        self._report(name, stream, fact, text, server, stage, reason)

    def _report(
        self, name: str, stream: Conversation, fact: Fact, detail: str, *key: str, fix: str | None = None
    ) -> None:
        """Tell it once for all connections that fail alike, and again after a while."""
        told = self._told.pop((name, *key), None)
        now = fact.time or 0.0
        if told is not None and now - told[0] < AGAIN_SECONDS:
            self._told[name, *key] = (told[0], told[1] + 1)
            explains(stream, name)
            return
        self._told[name, *key] = (now, 1)
        if len(self._told) > TOLD_MAX:
            del self._told[next(iter(self._told))]
        more: dict[str, Any] = {}
        if told is not None and told[1] > 1:
            more["count"] = told[1]
            detail += f" It failed so {told[1]} times in the {seconds(now - told[0])} before."
        self.report(name, stream, detail=detail, fix=fix, cause=True, **more)


RULES: tuple[type[StreamRule], ...] = (Proxied,)
