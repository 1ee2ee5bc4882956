"""The reference pages: tables of commands and statuses, and a page on each name, number and finding."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import msgspec

from blynkscope.protocol import statuses as status_table
from blynkscope.protocol.model import Ack, Command, Dialect, Sender, Status
from blynkscope.render.console import ColorWish, make_console, width_of
from blynkscope.render.jsonl import escaped
from blynkscope.render.safe import safe
from blynkscope.render.streams import binary_of, text_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

ANSWERS: dict[Ack, str] = {
    Ack.STATUS: "200",
    Ack.NOTHING: "nothing",
    Ack.NEVER_ON_SUCCESS: "nothing if good",
    Ack.SAME_COMMAND: "same command",
    Ack.SYNC: "MSG_HW, same id",
    Ack.BY_BODY: "by its body",
    Ack.UNKNOWN: "not known",
}
"""What answers a command that succeeded, in the words of a table cell."""

_ANSWER_SENTENCES: dict[Ack, str] = {
    Ack.STATUS: "by MSG_RSP with status 200 and the same id",
    Ack.NOTHING: "by nothing",
    Ack.NEVER_ON_SUCCESS: "by nothing when it succeeds: silence is normal and proves nothing",
    Ack.SAME_COMMAND: "by the same command with the same id, which carries the data",
    Ack.SYNC: "by an MSG_HW with the same id for each value there is, and no status",
    Ack.BY_BODY: "depending on the body",
    Ack.UNKNOWN: "in a way that is neither documented nor measured",
}
PROSE = 100
"""Columns after which a line of prose gets hard to read."""

_ROOM_FOR_BODY = 110
_ROOM_FOR_ALIASES = 160
_HARDWARE_TITLE = "Commands of devices (hardware dialect)"
_APP_TITLE = "Commands of apps and dashboards (app and web dialects, legacy server)"
_LEGEND = (
    "· is a NUL between two parts. nothing if good: a good one is never answered, a bad one gets an error status."
    " Numbers in brackets are the statuses of a refusal."
)


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that `explain` found for one question.

    Args:
        query: What was asked.
        number: The number that was asked for, if it was one.
        commands: Rows of the command table.
        statuses: Rows of the status table.
        findings: Rules of the catalogue, with `id`, `slug`, `severity`, `group`, `title`, `why`, `fix` and `section`.
    """

    query: str
    number: int | None = None
    commands: Sequence[Command] = ()
    statuses: Sequence[Status] = ()
    findings: Sequence[Any] = field(default=())

    @property
    def trap(self) -> str | None:
        """The warning for a number that is a command and a status, else None."""
        if self.number is None or not self.commands or not self.statuses:
            return None
        number, name = self.number, status_table.status_name(self.number)
        word = f"{number >> 8:02X}|{number & 255:02X}"
        return (
            f"{number} is a status only in the length field of MSG_RSP: >[00|00|0D|{word}]. In every other message that"
            f" field is the length of the body: in >[14|00|0D|{word}] {number} is the length of an MSG_HW's body, and"
            f" nobody said {name}."
        )


# --- plain data -----------------------------------------------------------------------------------------------------


def command_data(row: Command) -> dict[str, Any]:
    """A row of the command table as JSON values."""
    return {
        "record": "command",
        "code": row.code,
        "name": row.name,
        "aliases": list(row.aliases),
        "dialects": [str(dialect) for dialect in Dialect if dialect in row.dialects],
        "era": str(row.era) if row.era else None,
        "senders": [str(sender) for sender in Sender if sender in row.senders],
        "ack": str(row.ack),
        "failures": [{"code": code, "name": status_table.status_name(code)} for code in row.failures],
        "body": row.body.layout,
        "on_wire": row.on_wire,
        "doc": row.doc,
        "history": row.history,
        "source": row.source,
    }


def status_data(row: Status) -> dict[str, Any]:
    """A row of the status table as JSON values."""
    return {
        "record": "status",
        "code": row.code,
        "name": row.name,
        "aliases": list(row.aliases),
        "retired": row.retired,
        "doc": row.doc,
        "fix": row.fix,
        "history": row.history,
    }


def finding_data(rule: Any) -> dict[str, Any]:
    """A rule of the catalogue as JSON values."""
    keys = ("id", "slug", "severity", "group", "title", "why", "fix", "section")
    return {"record": "rule", **{key: _plain(getattr(rule, key)) for key in keys}}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | list) else str(value)


# --- codes ----------------------------------------------------------------------------------------------------------

_CSV_COLUMNS = (
    "record", "code", "name", "dialects", "era", "senders", "ack", "failures", "body", "on_wire", "retired", "aliases",
    "doc", "fix", "history", "source", "id", "slug", "severity", "group", "title", "why", "section",
)  # fmt: skip


def write_codes(
    stream: IO[str], form: str, commands: Sequence[Command] | None, statuses: Sequence[Status] | None, color: ColorWish,
    findings: Sequence[Any] | None = None,
) -> None:  # fmt: skip
    """Write the tables.

    Args:
        stream: Where to.
        form: "table", "json", "jsonl" or "csv".
        commands: Rows, or None to leave that table out.
        statuses: Rows, or None to leave that table out.
        findings: Rules of the catalogue, or None to leave that table out.
        color: Wish for colour; only the table has any.
    """
    if form == "table":
        _codes_table(stream, commands, statuses, color)
        if findings is not None:
            _findings_table(stream, findings, color, first=commands is None and statuses is None)
        return
    named = {
        "commands": None if commands is None else [command_data(row) for row in commands],
        "statuses": None if statuses is None else [status_data(row) for row in statuses],
        "findings": None if findings is None else [finding_data(rule) for rule in findings],
    }
    tables = {name: rows for name, rows in named.items() if rows is not None}
    if form == "json":
        write_json(stream, tables)
        return
    records = [record for rows in tables.values() for record in rows]
    if form == "jsonl":
        _write_bytes(stream, (escaped(msgspec.json.encode(record)) for record in records))
        return
    writer = csv.DictWriter(text_of(stream, data=True), _CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _csv_cell(value) for key, value in record.items()} for record in records)


def write_json(stream: IO[str], value: Any) -> None:
    """One indented JSON document."""
    _write_bytes(stream, [escaped(msgspec.json.format(msgspec.json.encode(value)))])


def _write_bytes(stream: IO[str], lines: Iterable[bytes]) -> None:
    """JSON is UTF-8, whatever the encoding of the stream is."""
    binary = binary_of(stream)
    for line in lines:
        binary.write(line + b"\n")
    binary.flush()


def _csv_cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(item["code"]) if isinstance(item, dict) else str(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _codes_table(
    stream: IO[str], commands: Sequence[Command] | None, statuses: Sequence[Status] | None, color: ColorWish
) -> None:
    console = make_console(stream, color)
    if commands is not None:
        hardware = [row for row in commands if Dialect.HARDWARE in row.dialects]
        others = [row for row in commands if Dialect.HARDWARE not in row.dialects]
        for title, rows in ((_HARDWARE_TITLE, hardware), (_APP_TITLE, others)):
            if rows:
                headline(console, title)
                _print(console, _commands_grid(rows, console.width))
                console.print()
        if console.width >= _ROOM_FOR_BODY:
            prose(console, _LEGEND, "quiet")
        else:
            prose(console, f"{_LEGEND} A wider terminal shows the bodies too.", "quiet")
    if statuses is not None:
        if commands is not None:
            console.print()
        headline(console, "Statuses (the length field of MSG_RSP)")
        _print(console, _statuses_grid(statuses))


def _findings_table(stream: IO[str], rules: Sequence[Any], color: ColorWish, *, first: bool) -> None:
    console = make_console(stream, color)
    if not first:
        console.print()
    headline(console, "Findings")
    table = _table("id", "severity", "group", "title")
    for column in table.columns[:3]:
        column.no_wrap = True
    table.columns[3].ratio = 1
    for rule in rules:
        severity = str(rule.severity)
        table.add_row(_text(rule.id, "key"), _text(severity, severity), _text(rule.group), _text(rule.title))
    _print(console, table)
    prose(console, "`blynkscope explain ID` tells what one means and what to do about it.", "quiet")


def _commands_grid(rows: Iterable[Command], width: int) -> Any:
    table = _table("code", "name", "where", "answer")
    table.columns[0].justify = "right"
    for column in table.columns[:2]:
        column.no_wrap = True
    if width >= _ROOM_FOR_BODY:
        table.add_column("body", ratio=2)
    if width >= _ROOM_FOR_ALIASES:
        table.add_column("other names", ratio=3)
    for row in rows:
        refused = f" [{' '.join(map(str, row.failures))}]" if row.failures else ""
        answer = ANSWERS[row.ack] + refused if row.on_wire else "never on the wire"
        cells = [_text(str(row.code)), _text(row.name, "key"), _text(_where(row)), _text(answer)]
        if width >= _ROOM_FOR_BODY:
            cells.append(_text(row.body.layout if row.on_wire else ""))
        if width >= _ROOM_FOR_ALIASES:
            cells.append(_text(", ".join(row.aliases), "quiet"))
        table.add_row(*cells, style="" if row.on_wire else "quiet")
    return table


def _statuses_grid(rows: Iterable[Status]) -> Any:
    table = _table("code", "name", "meaning")
    table.columns[0].justify = "right"
    table.columns[1].no_wrap = True
    table.columns[2].ratio = 1
    for row in rows:
        style = "good" if row.code == status_table.SUCCESS else "quiet" if row.retired else "key"
        meaning = row.doc.split(". ")[0].removesuffix(".") + (" (retired)" if row.retired else "")
        table.add_row(
            _text(str(row.code)), _text(row.name, style), _text(meaning), style="quiet" if row.retired else ""
        )
    return table


def _where(row: Command) -> str:
    if row.dialects == frozenset(Dialect):
        place = "all"
    else:
        place = ", ".join(dialect for dialect in Dialect if dialect in row.dialects)
    return f"{place}, {row.era}" if row.era and Dialect.HARDWARE in row.dialects else place


# --- explain --------------------------------------------------------------------------------------------------------


def write_page(stream: IO[str], form: str, page: Page, color: ColorWish) -> None:
    """Write what is known about one name, number or finding.

    Args:
        stream: Where to.
        form: "text" or "json".
        page: What was found.
        color: Wish for colour; only the text has any.
    """
    if form == "json":
        write_json(
            stream,
            {
                "query": page.query,
                "commands": [command_data(row) for row in page.commands],
                "statuses": [status_data(row) for row in page.statuses],
                "findings": [finding_data(rule) for rule in page.findings],
                "trap": page.trap,
            },
        )
        return
    console = make_console(stream, color, min(width_of(stream), PROSE))
    sections = [
        *((_command_heading(row), row.doc, _command_facts(row)) for row in page.commands),
        *((_status_heading(row), row.doc, _status_facts(row)) for row in page.statuses),
        *((_finding_heading(rule), str(rule.why), _finding_facts(rule)) for rule in page.findings),
    ]
    for number, (heading, doc, facts) in enumerate(sections):
        if number:
            console.print()
        headline(console, *heading)
        prose(console, doc)
        console.print()
        _print(console, _facts_grid(facts))
    if page.trap:
        console.print()
        headline(console, "Length or status?", "warning")
        prose(console, page.trap)


def _command_heading(row: Command) -> tuple[str, str]:
    return f"{row.name}   command {row.code} (0x{row.code:02X})", "strong"


def _status_heading(row: Status) -> tuple[str, str]:
    retired = ", retired" if row.retired else ""
    return f"{row.name}   status {row.code} (0x{row.code:02X}){retired}", "strong"


def _finding_heading(rule: Any) -> tuple[str, str]:
    return f"{rule.id} {rule.slug}   {rule.severity}, {rule.group}", "strong"


def _command_facts(row: Command) -> list[tuple[str, str]]:
    if not row.on_wire:
        return [("names", ", ".join(row.aliases)), ("source", row.source)]
    answer = _ANSWER_SENTENCES[row.ack]
    if row.failures:
        answer += "; refused with " + _status_list(row.failures)
    era = f"{'Blynk IoT' if row.era == 'iot' else 'the legacy server'} only" if row.era else "Blynk IoT and legacy"
    dialects = ", ".join(dialect for dialect in Dialect if dialect in row.dialects)
    body = row.body.layout + ("  (· is a NUL)" if " · " in row.body.layout else "")
    return [
        ("where", f"{dialects}; {era}"),
        ("sent by", ", ".join(sender for sender in Sender if sender in row.senders)),
        ("answered", answer),
        ("body", body),
        ("names", ", ".join(row.aliases)),
        ("history", row.history),
        ("source", row.source),
    ]


def _status_list(codes: Sequence[int]) -> str:
    return ", ".join(f"{code} {status_table.status_name(code)}" for code in codes)


def _status_facts(row: Status) -> list[tuple[str, str]]:
    return [("to do", row.fix), ("names", ", ".join(row.aliases)), ("history", row.history)]


def _finding_facts(rule: Any) -> list[tuple[str, str]]:
    section = str(rule.section or "")
    severity = f"{rule.severity}; circumstances may lower or raise it"
    return [("title", rule.title), ("severity", severity), ("to do", rule.fix), ("section", section)]


# --- rich, lazily ---------------------------------------------------------------------------------------------------


def _text(content: str, style: str = "") -> Any:
    from rich.text import Text

    return Text(safe(content), style)


def _table(*headers: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="quiet")
    for header in headers:
        table.add_column(header)
    return table


def _facts_grid(facts: Iterable[tuple[str, str]]) -> Any:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    for name, value in facts:
        if value:
            grid.add_row(_text(f"  {name}", "key"), _text(value))
    return grid


def headline(console: Console, title: str, style: str = "strong") -> None:
    """A line in bold."""
    _print(console, _text(title, style))


def prose(console: Console, content: str, style: str = "") -> None:
    """A paragraph, no wider than reads well."""
    _print(console, _text(content, style), min(console.width, PROSE))


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Lines as they are."""
    for line in lines:
        _print(console, _text(line))


def _print(console: Console, renderable: RenderableType, width: int | None = None) -> None:
    """Print without the spaces that rich fills lines with: they get in the way of copying, comparing and `grep`."""
    from rich.segment import Segment, Segments

    segments: list[Segment] = []
    for line in console.render_lines(renderable, console.options.update(width=width or console.width), pad=False):
        while line and not line[-1].text.strip(" "):
            line.pop()
        if line:
            segments += line[:-1]
            segments.append(Segment(line[-1].text.rstrip(" "), line[-1].style))
        segments.append(Segment.line())
    console.print(Segments(segments), end="", crop=False)
