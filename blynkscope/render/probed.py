"""What a probe found: sections for people, one JSON object for programs.

The report is taken as it is built by the probe; texts of the server in it are made safe here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import IO, Any

import msgspec

from blynkscope.render.console import Palette, cells, colored, fit, is_terminal, padded, width_of, wrapped
from blynkscope.render.jsonl import cleaned, escaped
from blynkscope.render.notices import Notices
from blynkscope.render.options import Options
from blynkscope.render.outputs import binary_of, text_of
from blynkscope.render.safe import safe, safe_line

_LABEL = 14
_INDENT = 2
_TEXT_WIDTH = 110
_WIDE = 100
"""Columns from which on OpenSSL's names stand beside those of the registry."""
_IANA, _OPENSSL = 47, 32
_VALUE_MAX = 400
_DAY = 86400.0
_SOON_DAYS = 30
_TCP = {"not-tried": "not tried", "timeout": "no answer", "open": "open"}
_FLAWS = {
    "expired": "has expired", "not-yet-valid": "is not valid yet", "wrong-name": "is for another name",
    "self-signed": "is signed by itself", "unknown-ca": "its root is not known", "weak-signature": "weak signature",
    "weak-key": "short key",
}  # fmt: skip
_SPEAKS = {"tls": "TLS", "blynk": "Blynk", "http": "HTTP", "mqtt": "MQTT", "ssh": "SSH", "text": "text"}
_ERAS = {"legacy": "legacy server", "iot": "Blynk IoT"}
_ORDERS = {"server": "in the server's order", "client": "the client's order decides"}

Row = tuple[str, str, str | None]
"""Label, text (safe), style."""


def write_json(stream: IO[Any], report: Any) -> None:
    """The report as one JSON object, a line."""
    try:
        data = msgspec.json.encode(report)
    except UnicodeEncodeError:
        data = msgspec.json.encode(cleaned(msgspec.to_builtins(report)))
    binary = binary_of(stream)
    binary.write(escaped(data) + b"\n")
    binary.flush()


def write_table(stream: IO[Any], report: Any, *, color: Any = "auto", verbose: int = 0, quiet: bool = False) -> None:
    """The report in sections."""
    text = text_of(stream)
    width = width_of(stream)
    options = Options(
        color=colored(stream, color), width=width, terminal=is_terminal(stream), verbose=verbose, quiet=quiet
    )
    text.write("".join(f"{line}\n" for line in lines(report, options)))
    text.flush()


def lines(report: Any, options: Options) -> list[str]:
    """All lines of the report, none wider than the options say."""
    page = _Page(options)
    page.title(f"probe of {_host(report)}", _when(report.time))
    if report.dns is not None:
        page.rows(_names(report.dns))
    several = len(report.ports) > 1
    if several:
        page.rows(_overview(report))
    for port in report.ports:
        if several and port.address is None:
            continue
        page.section(_heading(port))
        if not several:
            page.rows(_tcp(port))
        if options.quiet:
            continue
        _port(page, port, report.time)
    if report.era is not None and report.era.evidence and not options.quiet:
        page.section("server")
        found = _ERAS.get(report.era.era or "", "legacy or Blynk IoT: not to be told")
        page.rows([("generation", found, "strong"), *(("", safe_line(why, _VALUE_MAX), None)
                                                      for why in report.era.evidence)])  # fmt: skip
    if report.findings:
        page.section("findings")
        notices = Notices(options)
        for finding in report.findings:
            page.out += notices.finding(finding)
    page.rows(_closing(report, quiet=options.quiet), blank=True)
    return page.out


class _Page:
    """Collects lines of at most so many columns."""

    def __init__(self, options: Options) -> None:
        self.out: list[str] = []
        self.width = options.width
        self.palette: Palette = options.palette
        self.verbose = options.verbose
        self._text = min(options.width, _TEXT_WIDTH)

    def title(self, text: str, when: str) -> None:
        room = self._text - len(when) - 2
        self.out.append(self.palette.paint("strong", padded(text, max(room, 10))) + "  " + when)

    def section(self, text: str) -> None:
        shown = fit(f"── {text} ", self._text)
        self.out += ["", self.palette.paint("strong", shown + "─" * max(self._text - cells(shown), 0))]

    def rows(self, rows: list[Row], *, blank: bool = False) -> None:
        """Labels and texts, wrapped beside each other."""
        if blank and rows:
            self.out.append("")
        for label, text, style in rows:
            first = True
            for line in wrapped(text, max(self._text - _INDENT - _LABEL, 20)):
                head = padded(label if first else "", _LABEL)
                body = self.palette.paint(style, line) if style else line
                self.out.append(f"{'':{_INDENT}}{self.palette.paint('key', head)}{body}".rstrip())
                first = False

    def line(self, text: str, style: str | None = None) -> None:
        """One line, cut where it is too wide."""
        shown = fit(text, self.width).rstrip()
        self.out.append(self.palette.paint(style, shown) if style else shown)


def _host(report: Any) -> str:
    host = safe_line(report.host, 255)
    if report.port is None:
        return f"{host}, the usual ports"
    return f"[{host}]:{report.port}" if ":" in host else f"{host}:{report.port}"


def _names(dns: Any) -> list[Row]:
    if dns.error is not None:
        rows: list[Row] = [("DNS", safe_line(f"{dns.error}{_ms(dns.ms)}", _VALUE_MAX), "bad")]
        return [*rows, ("", f"→ {safe_line(dns.advice, _VALUE_MAX)}", "good")] if dns.advice else rows
    found = safe_line(", ".join(dns.addresses), 1000)
    return [("address" if dns.literal else "DNS", found + ("" if dns.literal else _ms(dns.ms)), None)]


def _overview(report: Any) -> list[Row]:
    rows: list[Row] = []
    for port in report.ports:
        results: dict[str, list[Any]] = {}
        for one in port.tcp:
            results.setdefault(one.result, []).append(one)
        told = []
        for result, those in results.items():
            where = f" ({', '.join(safe_line(one.address, 60) for one in those)})" if len(results) > 1 else ""
            times = ", ".join(f"{one.ms:.1f} ms" for one in those if one.ms is not None)
            told.append(f"{_TCP.get(result, result)}{where}{f' {times}' if times else ''}")
        speaks = f"  {_heading(port).partition(': ')[2]}" if port.address is not None else ""
        rows.append((f"port {port.port}", "; ".join(told) + speaks, None if port.address is not None else "quiet"))
    return rows


def _tcp(port: Any) -> list[Row]:
    rows: list[Row] = []
    for one in port.tcp:
        text = f"{safe_line(one.address, 60)} {_TCP.get(one.result, one.result)}"
        text += f" {one.ms:.1f} ms" if one.ms is not None else ""
        if one.text and one.result not in {"open", "refused", "timeout"}:
            text += f": {safe_line(one.text, 100)}"
        rows.append(("TCP" if not rows else "", text, None if one.result == "open" else "bad"))
    return rows


def _heading(port: Any) -> str:
    names = [_SPEAKS.get(one, one) for one in port.speaks]
    if names[:1] == ["TLS"] and len(names) > 1:
        said = f"TLS, inside {' and '.join(names[1:])}"
    else:
        said = " and ".join(names) or safe_line(port.note or "nothing answers", 100)
    return f"port {port.port}: {said}"


def _port(page: _Page, port: Any, now: float) -> None:
    if port.tls is not None:
        _tls(page, port.tls, now)
    for login in port.logins:
        page.rows(_login(login))
    for one in port.others:
        label = {"http-api": "", "http": "HTTP", "mqtt": "MQTT"}.get(one.kind, safe_line(one.kind, 12))
        server = f" (server: {safe_line(one.server, 100)})" if one.server else ""
        page.rows([(label, safe_line(one.text, _VALUE_MAX) + server, None)])
    if port.note and port.speaks:
        page.rows([("note", safe_line(port.note, _VALUE_MAX), "warning")])


# --- TLS ---


def _tls(page: _Page, tls: Any, now: float) -> None:
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
        rows.append(("without SNI", safe_line(f"{tls.sni.replace('-', ' ')}: {tls.sni_text}", _VALUE_MAX),
                     "warning" if tls.sni in {"refused", "other-certificate"} else None))  # fmt: skip
    page.rows(rows)
    _suites(page, tls.versions)
    for place, chain in enumerate(tls.chains):
        page.rows(_chain(chain, page.verbose, now, several=len(tls.chains) > 1, place=place))
    if tls.device is not None:
        _device(page, tls.device)


def _suites(page: _Page, versions: list[Any]) -> None:
    shown: dict[tuple[str, ...], str] = {}
    for one in reversed(versions):
        if not one.accepted:
            if page.verbose and one.why:
                page.rows([(one.version, f"not taken: {safe_line(one.why, 100)}", "quiet")])
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


def _suite(page: _Page, suite: Any, weak: str | None, mark: str = " ") -> None:
    openssl = f"  {padded(suite.openssl or '', _OPENSSL)}" if page.width >= _WIDE else ""
    text = f"    {mark} {suite.code}  {padded(suite.iana, _IANA)}{openssl}  {weak or ''}"
    page.line(text, "warning" if weak else None)
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
    rows: list[Row] = [(label, safe_line(leaf.subject or "(no subject)", _VALUE_MAX), None)]
    if leaf.names:
        more = f" and {len(leaf.names) - 8} more" if len(leaf.names) > 8 and not verbose else ""
        rows.append(("  for", safe_line(", ".join(leaf.names if verbose else leaf.names[:8]), 2000) + more, None))
    rows.append(("  issuer", safe_line(leaf.issuer or "", _VALUE_MAX), None))
    rows.append(("  valid", _validity(leaf, now), None))
    rows.append(("  key", safe_line(f"{leaf.key}, signed with {leaf.signature}", 100), None))
    # Without colons it fits beside its label in 80 columns, in one piece.
    rows.append(("  SHA-256", safe_line((leaf.sha256 or "").replace(":", ""), 100), None))
    if verbose:
        rows.append(("  SHA-1", safe_line((leaf.sha1 or "").replace(":", ""), 100), None))
        rows.append(("  serial", safe_line(leaf.serial or "", 60), None))
    for one in others:
        more = f" ({_validity(one, now)}, {safe_line(one.key or '', 40)})" if verbose else ""
        rows.append(("  sends too", safe_line(one.subject or one.error or "", _VALUE_MAX) + more, None))
    for one in chain.trust:
        store = "this computer" if one.store == "system" else safe_line(one.store, 200)
        said = {True: "trusted", False: "NOT trusted", None: "not tried"}[one.trusted]
        reason = safe_line(_FLAWS.get(one.reason or "", one.reason or ""), 200)
        rows.append(("  roots of", f"{store}: {said}{f' ({reason})' if reason else ''}",
                     {True: "good", False: "bad", None: "warning"}[one.trusted]))  # fmt: skip
    if chain.flaws:
        told = ", ".join(safe_line(_FLAWS.get(flaw, flaw), 100) for flaw in chain.flaws)
        rows.append(("  flaws", told, "bad"))
    if chain.root:
        rows.append(("  root", f"{safe_line(chain.root, _VALUE_MAX)} is what a device that verifies must carry", None))
    return rows


def _validity(one: Any, now: float) -> str:
    left = ""
    if one.not_after is not None:
        days = (one.not_after - now) / _DAY
        left = f", {days:.0f} days left" if days >= 0 else f", ended {-days:.0f} days ago"
        left += " (soon)" if 0 <= days < _SOON_DAYS else ""
    return f"{_day(one.not_before)} to {_day(one.not_after)}{left}"


def _device(page: _Page, device: Any) -> None:
    style = "good" if device.agreed is not None else "bad"
    page.rows([("device's list", safe(device.verdict or ""), style)])
    if device.agreed is not None:
        group = f", {device.group}" if device.group else ""
        names = [name for name in (device.agreed.openssl, device.agreed.mbedtls, device.agreed.axtls) if name]
        page.rows([("  agreed", f"{device.version}, {device.agreed.iana} ({device.agreed.code}){group}", "strong"),
                   ("", f"also written {', '.join(names)}" if names else "", None)])  # fmt: skip
        if device.handshake is not None:
            page.rows([("  handshake", safe_line(device.handshake, 100), None)])
        if device.without_sni is None:
            page.rows([("  without SNI", "the server refuses the same list", "warning")])
        elif device.without_sni.code != device.agreed.code:
            page.rows([("  without SNI", f"{device.without_sni.iana}", None)])
    elif device.advice:
        page.rows([("", f"→ {safe(device.advice)}", "good")])
    taken = {one.code for one in device.accepted}
    for one in device.offered:
        if one.code in taken or page.verbose:
            _suite(page, one, None if one.code in taken else "not accepted", "●" if one.code in taken else "○")


# --- Blynk ---


def _login(login: Any) -> list[Row]:
    token = "made-up token" if login.made_up else "token"
    if login.answer == "status":
        ms = f", {login.ms:.1f} ms" if login.ms is not None else ""
        known = login.status in {4, 200}
        text = f"{token}: {safe_line(login.status_name or '', 60)} ({login.status}){ms}"
        if login.made_up:
            text += ": the server takes any token" if known else ": the server speaks Blynk and does not know it"
        rows: list[Row] = [("login", text, "good" if known or login.made_up else "bad")]
    elif login.answer == "redirect":
        followed = "followed" if login.followed else "not followed (--follow)"
        rows = [("login", f"{token}: redirect to {safe_line(login.redirect or '', 300)}, {followed}", None)]
    else:
        said = {"silent": "no answer", "closed": "the server closes", "reset": "the server resets",
                "foreign": "an answer that is no Blynk"}.get(login.answer, login.answer)  # fmt: skip
        rows = [("login", f"{token}: {said}" + (f": {safe_line(login.text, 100)}" if login.text else ""), "quiet")]
    if login.pings:
        mean = sum(login.pings) / len(login.pings)
        lost = f", {login.pings_lost} lost" if login.pings_lost else ""
        rows.append(("  pings", f"{len(login.pings)}: {min(login.pings):.1f} / {mean:.1f} / {max(login.pings):.1f} ms "
                     f"(least, mean, most){lost}", None))  # fmt: skip
    if login.closing:
        rows.append(("  then", safe_line(login.closing, 200), None))
    return rows


def _closing(report: Any, *, quiet: bool) -> list[Row]:
    rows: list[Row] = [("limit", safe_line(text, _VALUE_MAX), "warning") for text in report.limits]
    if not report.complete and not report.limits:
        rows.append(("interrupted", "what is missing was not asked any more", "warning"))
    if not quiet:
        of = f" of at most {report.budget}" if report.public else ""
        rows.append(("in all", f"{report.connections} connections{of}, {report.seconds:.1f} s", "quiet"))
    return rows


def _ms(ms: float | None) -> str:
    return f" ({ms:.1f} ms)" if ms is not None else ""


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _day(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "a date out of all range"


class Stages:
    """One line on a terminal's stderr that says what is being asked."""

    def __init__(self, stream: IO[str], *, shown: bool) -> None:
        self._stream = stream
        self._shown = shown and is_terminal(stream)
        self._width = 0

    def __call__(self, text: str) -> None:
        """The next stage."""
        if not self._shown:
            return
        line = fit(safe(text), 78)
        self._stream.write("\r" + padded(line, max(self._width, cells(line))))
        self._stream.flush()
        self._width = cells(line)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0
