"""Findings as JUnit XML, for the test pages of CI systems: every finding of the catalogue is a test of the traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from blynkscope.analysis.catalogue import CATALOGUE, RANK, Severity
from blynkscope.analysis.records import FindingRecord, Record, SummaryRecord, WriteRecord
from blynkscope.render.options import Options
from blynkscope.render.safe import safe_line

_TOLD_MAX = 50
"""Findings of one kind that are written out; the rest is counted."""
_FRAMES_MAX = 20
_TEXT_MAX = 4000


@dataclass(slots=True)
class _Case:
    name: str
    group: str
    failed: int = 0
    worst: str = ""
    title: str = ""
    told: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    more: int = 0


class JUnit:
    """The output `junit`: one document with one test suite, written at the end.

    A finding at or above `options.fail_on` fails the case of its kind; weaker ones are told in its `system-out`.
    """

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._options = options
        self._least = RANK[Severity(options.fail_on)]
        self._cases = {rule.id: _Case(f"{rule.id} {rule.slug}", rule.group) for rule in CATALOGUE.values()}
        self._summary: SummaryRecord | None = None
        self._counts = {severity.value: 0 for severity in Severity}

    def write(self, records: Sequence[Record]) -> None:
        """Take the findings of a batch; frames only teach what is secret."""
        apply = self._options.redactor.apply
        for record in records:
            if isinstance(record, WriteRecord):
                continue
            shown = apply(record)
            if isinstance(shown, FindingRecord):
                self._found(shown)
            elif isinstance(shown, SummaryRecord):
                self._summary = shown

    def _found(self, record: FindingRecord) -> None:
        severity = record.severity if record.severity in self._counts else "note"
        self._counts[severity] += 1
        case = self._cases.get(record.id)
        if case is None:
            # A finding that the catalogue does not list must not pass unseen.
            case = self._cases.setdefault("", _Case("other findings", "other"))
        fails = RANK[Severity(severity)] >= self._least
        if fails:
            case.failed += 1
            if not case.worst or RANK[Severity(severity)] > RANK[Severity(case.worst)]:
                case.worst, case.title = severity, record.title
        if len(case.told) + len(case.noted) >= _TOLD_MAX:
            case.more += 1
            return
        (case.told if fails else case.noted).append(_told(record, severity))

    def close(self) -> None:
        """Write the document."""
        cases = list(self._cases.values())
        failures = sum(case.failed > 0 for case in cases)
        counts = f'tests="{len(cases)}" failures="{failures}" errors="0" skipped="0" time="0"'
        lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<testsuites name="blynkscope" {counts}>']
        lines.append(f'  <testsuite name="blynkscope" {counts}>')
        facts = {f"findings.{name}": count for name, count in self._counts.items()}
        if self._summary is not None:
            facts |= {"frames": self._summary.frames, "streams": self._summary.streams}
            facts |= {f"lost.{name}": count for name, count in self._summary.lost.items() if count}
        named = [("input", name) for name in self._options.inputs]
        named += [(name, str(count)) for name, count in facts.items()]
        lines.append("    <properties>")
        lines += [f"      <property name={xml_value(name)} value={xml_value(text)}/>" for name, text in named]
        lines.append("    </properties>")
        for case in cases:
            lines += _case_lines(case)
        lines += ["  </testsuite>", "</testsuites>"]
        xml_written(self._stream, lines)


def _case_lines(case: _Case) -> list[str]:
    head = f'    <testcase name={xml_value(case.name)} classname={xml_value(f"blynkscope.{case.group}")} time="0"'
    if not case.told and not case.noted:
        return [head + "/>"]
    lines = [head + ">"]
    more = [f"and {case.more} more"] if case.more else []
    if case.failed:
        times = f" ({case.failed} times)" if case.failed > 1 else ""
        message = xml_value(f"{case.title}{times}")
        told = xml_text("\n".join([*case.told, *more]))
        lines.append(f"      <failure message={message} type={xml_value(case.worst)}>{told}</failure>")
        more = []
    if case.noted:
        lines.append(f"      <system-out>{xml_text(chr(10).join([*case.noted, *more]))}</system-out>")
    return [*lines, "    </testcase>"]


def _told(record: FindingRecord, severity: str) -> str:
    """A finding in lines: where, what, and what to do."""
    where = [f"stream {record.stream}"] if record.stream is not None else []
    if record.frames:
        shown = ", ".join(f"#{frame}" for frame in record.frames[:_FRAMES_MAX])
        more = max(record.count, len(record.frames)) - len(record.frames[:_FRAMES_MAX])
        where.append(f"frames {shown}" + (f" and {more} more" if more > 0 else ""))
    head = f"{severity}: {safe_line(record.title, _TEXT_MAX)}" + (f" ({', '.join(where)})" if where else "")
    detail, fix = (safe_line(text.replace("\n", " "), _TEXT_MAX) for text in (record.detail, record.fix))
    return "\n".join([head, *(f"  {text}" for text in (detail, f"→ {fix}" if fix else "") if text)])


def xml_value(text: str) -> str:
    """An attribute's value with its quotes. `safe_line` leaves no character that XML forbids."""
    return quoteattr(safe_line(text, _TEXT_MAX))


def xml_text(text: str) -> str:
    """Content of an element; it was made safe line by line."""
    return escape(text)


def xml_written(stream: TextIO, lines: Sequence[str]) -> None:
    """Write a document, characters beyond ASCII as references: the declared encoding holds whatever the stream's is."""
    stream.write("\n".join([*lines, ""]).encode("ascii", "xmlcharrefreplace").decode())
    stream.flush()
