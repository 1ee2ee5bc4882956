"""The part of a probe's report that is about TLS: versions, cipher suites, certificates, a device's list."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from blynkscope.render.console import padded, wrapped
from blynkscope.render.probed_page import VALUE_MAX, Page, Row
from blynkscope.render.safe import safe, safe_line

_WIDE = 100
"""Columns from which on OpenSSL's names stand beside those of the registry."""
_IANA, _OPENSSL = 47, 32
"""Columns of the longest names that servers really take."""
_DAY = 86400.0
_SOON_DAYS, _SOON_PART = 30, 10
"""A certificate ends soon in its last days, but no earlier than in the last tenth of its life: some live for a week."""
_NAMES_SHOWN = 8
_FLAWS = {
    "expired": "has expired", "not-yet-valid": "is not valid yet", "wrong-name": "is for another name",
    "self-signed": "is signed by itself", "unknown-ca": "its root is not known", "weak-signature": "weak signature",
    "weak-key": "short key",
}  # fmt: skip
_REMARKS = {
    "extra-not-valid": "one that is not needed is out of its dates", "unordered": "the certificates are not in order",
}  # fmt: skip
"""What clients of today bear."""
_STORES = {"system": "this computer", "blynkscope": "blynkscope on this computer"}
_ORDERS = {"server": "in the server's order", "client": "the client's order decides"}


def write_tls(page: Page, tls: Any, now: float) -> None:
    """All that is known of TLS on a port; `now` is the time of the probe."""
    rows: list[Row] = []
    if tls.chosen is not None:
        rows.append(("chosen", f"{tls.chosen} with {tls.cipher}, by a client that can do everything", None))
    elif tls.alert is not None:
        rows.append(("refused", f"alert {safe_line(tls.alert, 60)} to a client that can do everything", "bad"))
    if tls.versions:
        said = {True: "taken", False: "refused", None: "not found out"}
        listed = {
            word: ", ".join(one.version for one in tls.versions if one.accepted is answer)
            for answer, word in said.items()
        }
        rows.append(("versions", "; ".join(f"{word}: {those}" for word, those in listed.items() if those), None))
    if tls.sni is not None and tls.sni_text:
        rows.append(("without SNI", safe_line(f"{tls.sni.replace('-', ' ')}: {tls.sni_text}", VALUE_MAX),
                     "warning" if tls.sni in {"refused", "other-certificate"} else None))  # fmt: skip
    page.rows(rows)
    _suites(page, tls.versions)
    for place, chain in enumerate(tls.chains):
        page.rows(_chain(chain, page.verbose, now, several=len(tls.chains) > 1, place=place))
    if tls.device is not None:
        _device(page, tls.device)


def _suites(page: Page, versions: list[Any]) -> None:
    shown: dict[tuple[str, ...], str] = {}
    for one in reversed(versions):
        if not one.accepted:
            if page.verbose and one.why:
                said = "not taken" if one.accepted is False else "not found out"
                page.rows([(one.version, f"{said}: {safe_line(one.why, 100)}", "quiet")])
            continue
        codes = tuple(suite.suite.code for suite in one.suites)
        facts = [f"{len(codes)} cipher suite{'' if len(codes) == 1 else 's'}"]
        facts += [_ORDERS[one.order]] if one.order in _ORDERS else []
        facts += [] if one.complete else ["there may be more: the search was cut short"]
        if one.groups:
            facts.append(f"groups {', '.join(one.groups)}")
        if codes in shown:
            page.rows([(one.version, f"the same {len(codes)} as {shown[codes]}", None)])
            continue
        shown[codes] = one.version
        page.rows([(one.version, "; ".join(facts), None)])
        for suite in one.suites:
            _suite(page, suite.suite, suite.weak)


def _suite(page: Page, suite: Any, weak: str | None, mark: str = " ") -> None:
    openssl = f"  {padded(suite.openssl or '', _OPENSSL)}" if page.width >= _WIDE else ""
    head = f"    {mark} {suite.code}  "
    # What is wrong with it must be there to the last word: the gap gives way, or it gets a line of its own.
    room = min(_IANA, page.width - len(head) - len(openssl) - 2 - len(weak or ""))
    beside = len(suite.iana) <= room
    name = padded(suite.iana, room if beside else _IANA)
    style = "warning" if weak else None
    page.line(f"{head}{name}{openssl}  {weak if weak and beside else ''}", style)
    if weak and not beside:
        page.line(f"{'':{len(head)}}{weak}", style)
    if page.verbose:
        names = {"OpenSSL": suite.openssl if not openssl else None, "mbedTLS": suite.mbedtls, "axTLS": suite.axtls}
        told = ", ".join(f"{library} {name}" for library, name in names.items() if name)
        if told:
            for line in wrapped(told, max(page.width - 14, 20)):
                page.line(f"{'':14}{line}", "quiet")


def _chain(chain: Any, verbose: int, now: float, *, several: bool, place: int) -> list[Row]:
    leaf, *others = chain.certificates
    label = "certificate" + (f" {place + 1}" if several else "")
    if leaf.error is not None:
        return [(label, f"cannot be read: {safe_line(leaf.error, 200)}", "bad")]
    rows: list[Row] = [(label, safe_line(leaf.subject or "(no subject)", VALUE_MAX), None)]
    if leaf.names:
        more = f" and {len(leaf.names) - _NAMES_SHOWN} more" if len(leaf.names) > _NAMES_SHOWN and not verbose else ""
        rows.append(
            ("  for", safe_line(", ".join(leaf.names if verbose else leaf.names[:_NAMES_SHOWN]), 2000) + more, None)
        )
    rows.append(("  issuer", safe_line(leaf.issuer or "", VALUE_MAX), None))
    rows.append(("  valid", _validity(leaf, now), None))
    rows.append(("  key", safe_line(f"{leaf.key}, signed with {leaf.signature}", 100), None))
    # Without colons it fits beside its label in 80 columns, in one piece.
    rows.append(("  SHA-256", safe_line((leaf.sha256 or "").replace(":", ""), 100), None))
    if verbose:
        rows.append(("  SHA-1", safe_line((leaf.sha1 or "").replace(":", ""), 100), None))
        rows.append(("  serial", safe_line(leaf.serial or "", 60), None))
    for one in others:
        more = f" ({_validity(one, now)}, {safe_line(one.key or '', 40)})" if verbose else ""
        rows.append(("  sends too", safe_line(one.subject or one.error or "", VALUE_MAX) + more, None))
    for one in chain.trust:
        store = _STORES.get(one.store) or safe_line(one.store, 200)
        said = {True: "trusted", False: "NOT trusted", None: "not tried"}[one.trusted]
        reason = safe_line(_FLAWS.get(one.reason or "", one.reason or ""), 200)
        rows.append(("  roots of", f"{store}: {said}{f' ({reason})' if reason else ''}",
                     {True: "good", False: "bad", None: "warning"}[one.trusted]))  # fmt: skip
    flaws = [flaw for flaw in chain.flaws if flaw not in _REMARKS]
    if flaws:
        rows.append(("  flaws", ", ".join(safe_line(_FLAWS.get(flaw, flaw), 100) for flaw in flaws), "bad"))
    remarks = [words for flaw, words in _REMARKS.items() if flaw in chain.flaws]
    if remarks:
        rows.append(("  remarks" if not flaws else "", ", ".join(remarks), "warning"))
    if chain.root:
        rows.append(("  root", f"{safe_line(chain.root, VALUE_MAX)} is what a device that verifies must carry", None))
    return rows


def _validity(one: Any, now: float) -> str:
    left = ""
    if one.not_after is not None:
        days = (one.not_after - now) / _DAY
        left = f", {days:.0f} days left" if days >= 0 else f", ended {-days:.0f} days ago"
        life = (one.not_after - one.not_before) / _DAY if one.not_before is not None else math.inf
        left += " (soon)" if 0 <= days < min(_SOON_DAYS, life / _SOON_PART) else ""
    return f"{_day(one.not_before)} to {_day(one.not_after)}{left}"


def _device(page: Page, device: Any) -> None:
    style = "good" if device.agreed is not None else "bad"
    page.rows([("device's list", safe(device.verdict or ""), style)])
    if device.agreed is not None:
        group = f", {device.group}" if device.group else ""
        names = [name for name in (device.agreed.openssl, device.agreed.mbedtls, device.agreed.axtls) if name]
        page.rows([("  agreed", f"{device.version}, {device.agreed.iana} ({device.agreed.code}){group}", "strong"),
                   ("", f"also written {', '.join(names)}" if names else "", None)])  # fmt: skip
        if device.handshake is not None:
            page.rows([("  handshake", safe_line(device.handshake, 100), None)])
        if device.sni_needed:
            page.rows([("  without SNI", "the server refuses the same list", "warning")])
        elif device.without_sni is not None and device.without_sni.code != device.agreed.code:
            page.rows([("  without SNI", f"{device.without_sni.iana}", None)])
    elif device.advice:
        page.rows([("", f"→ {safe(device.advice)}", "good")])
    taken = {one.code for one in device.accepted}
    for one in device.offered:
        if one.code in taken or page.verbose:
            _suite(page, one, None if one.code in taken else "not accepted", "●" if one.code in taken else "○")


def _day(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "a date out of all range"
