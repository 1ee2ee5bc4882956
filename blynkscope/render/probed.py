"""What a probe found: sections for people, one JSON object for programs.

The report is taken as it is built by the probe; texts of the server in it are made safe here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import IO, Any

import msgspec

from blynkscope.render.console import cells, colored, fit, is_terminal, padded, width_of
from blynkscope.render.jsonl import cleaned, escaped
from blynkscope.render.notices import Notices
from blynkscope.render.options import Options
from blynkscope.render.outputs import binary_of, text_of
from blynkscope.render.probed_page import VALUE_MAX, Page, Row
from blynkscope.render.probed_tls import write_tls
from blynkscope.render.safe import safe, safe_line

_TCP = {"not-tried": "not tried", "timeout": "no answer", "open": "open"}
_SPEAKS = {"tls": "TLS", "blynk": "Blynk", "http": "HTTP", "mqtt": "MQTT", "ssh": "SSH", "text": "text"}
_ERAS = {"legacy": "legacy server", "iot": "Blynk IoT"}


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
    page = Page(options)
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
        page.rows([("generation", found, "strong"), *(("", safe_line(why, VALUE_MAX), None)
                                                      for why in report.era.evidence)])  # fmt: skip
    if report.findings:
        page.section("findings")
        notices = Notices(options)
        for finding in report.findings:
            page.out += notices.finding(finding)
    page.rows(_closing(report, quiet=options.quiet), blank=True)
    return page.out


def _host(report: Any) -> str:
    host = safe_line(report.host, 255)
    if report.port is None:
        return f"{host}, the usual ports"
    return f"[{host}]:{report.port}" if ":" in host else f"{host}:{report.port}"


def _names(dns: Any) -> list[Row]:
    if dns.error is not None:
        rows: list[Row] = [("DNS", safe_line(f"{dns.error}{_ms(dns.ms)}", VALUE_MAX), "bad")]
        return [*rows, ("", f"→ {safe_line(dns.advice, VALUE_MAX)}", "good")] if dns.advice else rows
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


def _port(page: Page, port: Any, now: float) -> None:
    if port.tls is not None:
        write_tls(page, port.tls, now)
    for login in port.logins:
        page.rows(_login(login))
    for one in port.others:
        label = {"http-api": "", "http": "HTTP", "mqtt": "MQTT"}.get(one.kind, safe_line(one.kind, 12))
        server = f" (server: {safe_line(one.server, 100)})" if one.server else ""
        page.rows([(label, safe_line(one.text, VALUE_MAX) + server, None)])
    if port.note and port.speaks:
        page.rows([("note", safe_line(port.note, VALUE_MAX), "warning")])


# --- Blynk ---


def _login(login: Any) -> list[Row]:
    token = "made-up token" if login.made_up else "token"
    if login.host is not None:
        token = f"at {safe_line(login.host, 300)}, {token}"
    if login.answer == "status":
        ms = f", {login.ms:.1f} ms" if login.ms is not None else ""
        known = login.status in {4, 200}
        text = f"{token}: {safe_line(login.status_name or '', 60)} ({login.status}){ms}"
        if login.made_up:
            text += ": the server takes any token" if known else ": the server speaks Blynk and does not know it"
        rows: list[Row] = [("login", text, "good" if known or login.made_up else "bad")]
    elif login.answer == "other-id":
        text = f"{token}: {safe_line(login.status_name or '', 60)} ({login.status}), but with the id {login.id}, not 1"
        rows = [("login", text, "bad")]
    elif login.answer == "redirect":
        followed = "followed" if login.followed else "not followed (--follow)"
        rows = [("login", f"{token}: redirect to {safe_line(login.redirect or '', 300)}, {followed}", None)]
    else:
        said = {"silent": "no answer", "closed": "the server closes", "reset": "the server resets",
                "foreign": "an answer that is no Blynk"}.get(login.answer, login.answer)  # fmt: skip
        if login.frames:
            said += f", behind {login.frames} other frame{'' if login.frames == 1 else 's'} of Blynk"
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
    rows: list[Row] = [("limit", safe_line(text, VALUE_MAX), "warning") for text in report.limits]
    if not report.complete and not report.limits:
        rows.append(("interrupted", "what is missing was not asked any more", "warning"))
    if not quiet:
        of = f" of at most {report.budget}" if report.public else ""
        rows.append(
            (
                "in all",
                f"{report.connections} connection{'' if report.connections == 1 else 's'}{of}, {report.seconds:.1f} s",
                "quiet",
            )
        )
    return rows


def _ms(ms: float | None) -> str:
    return f" ({ms:.1f} ms)" if ms is not None else ""


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


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
