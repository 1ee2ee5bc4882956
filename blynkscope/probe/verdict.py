"""From facts to findings of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from blynkscope.analysis.catalogue import CATALOGUE, RANK, Severity
from blynkscope.analysis.era import LEGACY_HOSTS, era_of_host, era_of_token
from blynkscope.analysis.records import FindingRecord
from blynkscope.probe.model import (
    OWN_CA,
    CertificateFacts,
    ChainFacts,
    LoginFacts,
    PortFacts,
    Report,
    Settings,
    VersionFacts,
)
from blynkscope.probe.trust import date_flaw, has_short_key, is_weakly_signed, misplaced
from blynkscope.protocol import tls
from blynkscope.protocol.model import Era
from blynkscope.protocol.ports import DEVICE_PORTS, MQTT_PORTS, SECURE_PORTS, TLS_PORTS
from blynkscope.protocol.statuses import ALREADY_REGISTERED, INVALID_TOKEN, SUCCESS
from blynkscope.wire.addresses import is_public

SHOWN = 4
_TCP = {"refused": "BS101", "timeout": "BS102", "unreachable": "BS102", "reset": "BS103"}
_TCP_WORDS = {
    "refused": "refused the connection", "timeout": "did not answer", "unreachable": "cannot be reached from here",
    "reset": "reset the connection",
}  # fmt: skip
_DISTRUST = {
    "self-signed": "it is signed by itself",
    "unknown-ca": "no root that is trusted here has signed it; an intermediate certificate may be missing in what the "
    "server sends",
}
_OLD = ("SSL 3.0", "TLS 1.0", "TLS 1.1")


def findings(report: Report, settings: Settings) -> list[FindingRecord]:
    """All that is worth telling: errors, warnings, notes; each of these in the order in which a connection is made."""
    found = [*_names(report)]
    for port in report.ports:
        found += _reach(report, port, named=settings.port is not None)
        found += _tls(report, port)
        for login in port.logins:
            found += _login(report, port, login, settings)
    return sorted(found, key=lambda one: -RANK[Severity(one.severity)])


def _finding(
    name: str, detail: str, *, fix: str | None = None, severity: str | None = None, count: int = 1
) -> FindingRecord:
    rule = CATALOGUE[name]
    return FindingRecord(
        rule.id, rule.slug, severity or str(rule.severity), rule.group, None, (), count, rule.title, detail,
        fix or rule.fix,
    )  # fmt: skip


def _names(report: Report) -> Iterator[FindingRecord]:
    dns = report.dns
    if dns is None:
        return
    if dns.error is not None:
        # The catalogue speaks of devices; here it was this computer that asked.
        yield _finding("BS104", f"{dns.host}: {dns.error}.", fix=dns.advice)
    if era_of_host(dns.host) is Era.LEGACY:
        yield _finding("BS105", f"{dns.host} is the legacy cloud ({', '.join(LEGACY_HOSTS)}), which was shut down.")


def _reach(report: Report, port: PortFacts, *, named: bool) -> Iterator[FindingRecord]:
    tried = [one for one in port.tcp if one.result != "not-tried"]
    open_ = [one for one in tried if one.result == "open"]
    if not named and not open_:
        # Of the usual ports no server has all: only where none is open there is something to tell.
        if any(one.result == "open" for other in report.ports for one in other.tcp):
            return
        if port is not report.ports[0]:
            return
    bad = [one for one in tried if one.result in _TCP]
    if open_:
        # An address of another kind that this computer has no way to says nothing about the server.
        bad = [one for one in bad if one.result != "unreachable"]
    results = dict.fromkeys(one.result for one in bad)
    for result in results:
        those = [one.address for one in bad if one.result == result]
        where = ", ".join(those[:SHOWN]) + (f" and {len(those) - SHOWN} more" if len(those) > SHOWN else "")
        what = f"port {port.port} of {where}" if named or open_ else f"{where}, on each of the usual ports,"
        detail = f"{what[0].upper()}{what[1:]} {_TCP_WORDS[result]}."
        if open_:
            detail += f" {open_[0].address} takes connections: a device that gets the other address fails now and then."
        yield _finding(_TCP[result], detail, severity="warning" if open_ else None, count=len(those))
    if port.address is not None:
        yield from _spoken(port)


def _spoken(port: PortFacts) -> Iterator[FindingRecord]:
    secure, blynk = "tls" in port.speaks, "blynk" in port.speaks
    if not port.speaks:
        return
    if port.port in SECURE_PORTS and not secure:
        what = " and ".join(port.speaks)
        yield _finding("BS106", f"Port {port.port} is one for TLS, but speaks {what} without it.")
    elif port.port in DEVICE_PORTS | {1883} and secure:
        yield _finding("BS107", f"Port {port.port} is usually without TLS, but takes nothing else here.")
    for one in port.others:
        if one.kind == "mqtt" and one.code and not one.made_up:
            yield _finding("BS211", f"Port {port.port} answered the MQTT login with {one.text}.")
    kinds = {one.kind for one in port.others}
    # Where nobody logged in, nothing is known of Blynk; who greets first as another service has said it all.
    other = bool(kinds & {"ssh", "text"} or (port.logins and kinds))
    # MQTT is another way to Blynk IoT: it is out of place only where devices expect their own protocol.
    if kinds == {"mqtt"}:
        other = port.port in DEVICE_PORTS | TLS_PORTS
    if not blynk and other and port.port not in MQTT_PORTS:
        told = "; ".join(f"{one.kind}: {one.text}" for one in port.others[:SHOWN])
        only_http = kinds == {"http"}
        yield _finding(
            "BS111", f"Port {port.port} answers as {told}, and not as a Blynk device server.",
            severity="warning" if only_http else None,
        )  # fmt: skip


def _tls(report: Report, port: PortFacts) -> Iterator[FindingRecord]:
    facts = port.tls
    if facts is None:
        return
    if facts.chosen is None and facts.alert is not None and not any(one.accepted for one in facts.versions):
        number = next((key for key, name in tls.ALERTS.items() if name == facts.alert), 0)
        name = "BS110" if number in {40, 71} else "BS109"
        detail = f"Port {port.port} refuses every ClientHello of the probe with the alert {facts.alert}."
        yield _finding(name, detail, fix=tls.CAUSES.get(number) if name == "BS109" else None)
    listed = facts.device
    if listed is not None and listed.agreed is None and not (listed.verdict or "not found out").startswith("not found"):
        detail = f"The device's list of {len(listed.offered)} suites on port {port.port}: "
        yield _finding("BS110", f"{detail}{listed.verdict}.", fix=listed.advice)
    if facts.sni in {"refused", "other-certificate"}:
        yield _finding("BS128", f"Port {port.port}, a ClientHello without a server name: {facts.sni_text}.")
    for chain in facts.chains:
        yield from _chain(report, port, chain)
    yield from _weak(port, facts.versions, facts.chains)


def _chain(report: Report, port: PortFacts, chain: ChainFacts) -> Iterator[FindingRecord]:
    leaf = chain.certificates[0]
    who = f"The certificate on port {port.port} ({leaf.subject or leaf.error})"
    yield from _dates(report, port, chain, who)
    if "wrong-name" in chain.flaws:
        named = ", ".join(leaf.names[:SHOWN]) or leaf.subject or "nothing"
        more = f" and {len(leaf.names) - SHOWN} more" if len(leaf.names) > SHOWN else ""
        yield _finding("BS607", f"{who} is for {named}{more}, and not for {report.host}.")
    distrust = next((flaw for flaw in chain.flaws if flaw in _DISTRUST), None)
    refused = [one for one in chain.trust if one.trusted is False]
    pair = misplaced(chain.certificates)
    if pair is not None:
        before, one = pair
        yield _finding(
            "BS604", f"The chain on port {port.port} is out of order: behind {before.subject} it holds {one.subject}, "
            "which does not certify it. TLS 1.2 asks for the order, and some devices sort nothing (BearSSL on the "
            "ESP8266).",
            severity="note", fix="Put the server's own certificate first in the file, behind each the one that signed "
            "it, and leave out what signed none of them.",
        )  # fmt: skip
    if any(one.trusted and one.store == OWN_CA for one in chain.trust):
        yield _finding(
            "BS604", f"{who} is signed by the CA of blynkscope on this computer, {chain.root!r}: whoever verifies, and "
            "was not told to trust that root, refuses it.",
            severity="note", fix="Put that root into the device or the app: `blynkscope ca export` writes it in the "
            "form that it takes.",
        )  # fmt: skip
    elif distrust is not None:
        stores = " and ".join("the roots of this computer" if one.store == "system" else one.store for one in refused)
        root = f" Devices must carry the root {chain.root!r}." if chain.root else ""
        yield _finding("BS604", f"{who} is not trusted by {stores}: {_DISTRUST[distrust]}.{root}")
    elif refused and not any(one.trusted for one in chain.trust):
        yield _finding("BS604", f"{who} is not trusted: {refused[0].reason}.")


def _dates(report: Report, port: PortFacts, chain: ChainFacts, who: str) -> Iterator[FindingRecord]:
    """The first certificate that is out of its dates; first of those on the way to the root."""
    leaf = chain.certificates[0]
    dated = [(one, flaw) for one in chain.certificates if (flaw := date_flaw(one, report.time)) is not None]
    for one, flaw in sorted(dated, key=lambda each: each[0].used is False):
        date, words = (one.not_after, "expired on") if flaw == "expired" else (one.not_before, "begins on")
        which = who if one is leaf else f"A certificate of the chain on port {port.port} ({one.subject})"
        told = f"{which} {words} {day(date or 0.0)}"
        if one.used is False:
            yield _finding(
                "BS605", f"{told}. The way to the root that was verified here does not lead through it: only clients "
                "that know another root are concerned.", severity="note",
                fix="Take it out of the file that holds the server's chain.",
            )  # fmt: skip
        else:
            yield _finding("BS605", f"{told}.")
        return


def _weak(port: PortFacts, versions: list[VersionFacts], chains: list[ChainFacts]) -> Iterator[FindingRecord]:
    old = [one.version for one in versions if one.accepted and one.version in _OLD]
    weak = {one.suite.iana: one.weak for facts in versions for one in facts.suites if one.weak}
    told = []
    if old:
        told.append(f"it takes {', '.join(old)}")
    if weak:
        shown = [f"{name} ({why})" for name, why in list(weak.items())[:SHOWN]]
        more = f" and {len(weak) - SHOWN} more" if len(weak) > SHOWN else ""
        told.append(f"it takes {', '.join(shown)}{more}")
    shown_keys = {
        f"{'its certificate' if one is chain.certificates[0] else 'a certificate of its chain'} {what}": None
        for chain in chains for one in chain.certificates for what in _weak_points(one)
    }  # fmt: skip
    told += shown_keys
    if told:
        broken = any(why and ("broken" in why or "nobody" in why or "nothing" in why) for why in weak.values())
        severity = "warning" if broken or shown_keys or "SSL 3.0" in old else "note"
        yield _finding("BS608", f"Port {port.port}: {'; '.join(told)}.", severity=severity)


def _weak_points(one: CertificateFacts) -> Iterator[str]:
    if has_short_key(one):
        yield f"has a short key ({one.key})"
    if is_weakly_signed(one):
        yield f"is signed with {one.signature.upper() if one.signature else 'a weak hash'}, broken"


def _login(report: Report, port: PortFacts, login: LoginFacts, settings: Settings) -> Iterator[FindingRecord]:
    secure = " (TLS)" if "tls" in port.speaks else ""
    where = f"port {port.port}{secure}" if login.host is None else f"{login.host}{secure}"
    if not login.made_up and not secure and is_public(login.address or port.address or ""):
        to = f"{report.host}, {where}" if login.host is None else where
        yield _finding("BS601", f"The token went to {to}, without TLS, as it does from a device.")
    if login.answer == "redirect":
        name = "BS208" if login.followed else "BS207"
        detail = f"The login on {where} was answered by a redirect to {login.redirect}."
        if login.followed:
            yield _finding(name, detail)
        else:
            yield _finding(
                name, detail + " It was not followed: --follow does.", severity="note",
                fix="Probe the server that is named, and see that the library of the device follows redirects.",
            )  # fmt: skip
    elif login.answer == "status" and login.status == INVALID_TOKEN and not login.made_up:
        yield _finding("BS201", f"The login on {where} was refused with {login.status_name}.{_hint(report, settings)}")
    elif login.answer == "status" and login.status not in {SUCCESS, ALREADY_REGISTERED, INVALID_TOKEN}:
        if not login.made_up:
            yield _finding("BS203", f"The login on {where} was answered with {login.status_name} ({login.status}).")
    elif login.answer == "other-id":
        yield _finding(
            "BS202", f"The login on {where} was answered with {login.status_name} ({login.status}), but with the "
            f"message id {login.id} in place of 1: devices take that for no answer.",
        )  # fmt: skip
    elif login.frames and login.answer in {"silent", "closed", "reset"}:
        count = f"{login.frames} other frame{'' if login.frames == 1 else 's'}"
        yield _finding("BS202", f"The login on {where} got no answer, but {count} of Blynk.")
    elif login.answer in {"silent", "closed", "reset"} and not port.others and "blynk" not in port.speaks:
        # Where another protocol answered, that is what is told.
        words = {"silent": "got no answer", "closed": "was answered by closing the connection",
                 "reset": "was answered by a reset"}  # fmt: skip
        yield _finding("BS202", f"The login on {where} {words[login.answer]}.")
    if login.pings_lost:
        detail = f"{login.pings_lost} of {login.pings_lost + len(login.pings)} pings on {where} got no answer"
        yield _finding("BS304", detail + (f": {login.closing}." if login.closing else "."))


def _hint(report: Report, settings: Settings) -> str:
    """Do server and token belong to different eras?"""
    token = era_of_token(settings.token)
    era = report.era.era if report.era is not None else None
    if era == "legacy" and token is Era.IOT:
        return " The server is a legacy one, and the token looks like one of Blynk IoT."
    if era == "iot" and token is Era.LEGACY:
        return " The server is Blynk IoT, and the token has the form of a legacy server's."
    return ""


def day(time: float) -> str:
    """A date, for sentences."""
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "a date out of all range"
