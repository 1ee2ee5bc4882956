"""Findings as SARIF 2.1.0, for the code-scanning pages of forges."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2s
from typing import Any, TextIO
from urllib.parse import quote

from blynkscope import __version__
from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.analysis.records import FindingRecord, Record, StreamRecord, SummaryRecord, WriteRecord
from blynkscope.protocol import limits
from blynkscope.render.notices import line_of
from blynkscope.render.options import Options
from blynkscope.render.safe import safe_line

SCHEMA_URL = "https://json.schemastore.org/sarif-2.1.0.json"
RESULTS_MAX = 5000
"""Results of one run: GitHub shows no more of them."""
INPUTS_MAX = 16
"""Inputs that each result names; the run's `artifacts` list them all."""
_FRAMES_MAX = 20
_TEXT_MAX = 4000
_LEVELS = {"note": "note", "warning": "warning", "error": "error"}
_NUMBERS = re.compile(r"[0-9]+")


class Sarif:
    """The output `sarif`: one document with one run, written at the end."""

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._options = options
        self._rules = {name: at for at, name in enumerate(CATALOGUE)}
        self._inputs = [_uri(name) for name in options.inputs if name != "-"]
        self._results: list[dict[str, Any]] = []
        self._more = 0
        self._seen: Counter[str] = Counter()
        self._summary: SummaryRecord | None = None
        self._logs: set[int] = set()
        self._captured = False

    def write(self, records: Sequence[Record]) -> None:
        """Take the findings of a batch; frames only teach what is secret."""
        apply = self._options.redactor.apply
        for record in records:
            if isinstance(record, WriteRecord):
                continue
            shown = apply(record)
            if isinstance(shown, FindingRecord):
                if len(self._results) < RESULTS_MAX:
                    self._results.append(self._result(shown))
                else:
                    self._more += 1
            elif isinstance(shown, StreamRecord):
                self._stream_seen(shown)
            elif isinstance(shown, SummaryRecord):
                self._summary = shown

    def close(self) -> None:
        """Write the document."""
        run: dict[str, Any] = {
            "tool": {
                "driver": {
                    "name": "blynkscope",
                    "version": __version__,
                    "rules": [_rule(name) for name in CATALOGUE],
                }
            },
            "invocations": [self._invocation()],
            "artifacts": [{"location": {"uri": uri}, "roles": ["analysisTarget"]} for uri in self._inputs],
            "results": self._results,
            "columnKind": "unicodeCodePoints",
        }
        if self._summary is not None:
            summary = self._summary
            run["properties"] = {"frames": summary.frames, "streams": summary.streams, "lost": dict(summary.lost)}
        document = {"$schema": SCHEMA_URL, "version": "2.1.0", "runs": [run]}
        # ASCII only: what JSON lets pass may still steer a terminal.
        self._stream.write(json.dumps(document, indent=1, ensure_ascii=True) + "\n")
        self._stream.flush()

    def _stream_seen(self, record: StreamRecord) -> None:
        if not record.detail.get("log"):
            self._captured = self._captured or record.kind == "opened"
        elif len(self._logs) < limits.STREAMS_MAX:
            self._logs.add(record.stream)

    def _line(self, record: FindingRecord) -> int:
        """The line that a finding stands at: 1 where its input is no log, or where it does not say which it is."""
        told = record.stream in self._logs if record.stream is not None else not self._captured
        if not told or len(self._inputs) != 1:
            return 1
        return max(line_of(record.detail) or 1, 1)

    def _invocation(self) -> dict[str, Any]:
        invocation: dict[str, Any] = {"executionSuccessful": True}
        if self._more:
            text = f"{self._more} more findings are left out: a run has at most {RESULTS_MAX} results."
            invocation["toolExecutionNotifications"] = [{"level": "warning", "message": {"text": text}}]
        return invocation

    def _result(self, record: FindingRecord) -> dict[str, Any]:
        detail, fix = safe_line(_one(record.detail), _TEXT_MAX), safe_line(_one(record.fix), _TEXT_MAX)
        said = detail or safe_line(record.title, _TEXT_MAX) or "finding"
        text = f"{said} {fix}".rstrip()
        result: dict[str, Any] = {"ruleId": safe_line(record.id, 24)}
        if record.id in self._rules:
            result["ruleIndex"] = self._rules[record.id]
        result |= {
            "level": _LEVELS.get(record.severity, "note"),
            "message": {"text": _message(text)},
            "locations": self._locations(record),
            "partialFingerprints": {"blynkscopeFinding/v1": self._fingerprint(record)},
            "occurrenceCount": max(record.count, 1),
            "properties": {"stream": record.stream, "frames": list(record.frames)},
        }
        return result

    def _locations(self, record: FindingRecord) -> list[dict[str, Any]]:
        """Each input, and in the conversation the stream and its frames."""
        logical = []
        if record.stream is not None:
            name = f"stream {record.stream}"
            logical = [{"name": name, "fullyQualifiedName": name, "kind": "stream"}]
            logical += [
                {"name": f"frame {frame}", "fullyQualifiedName": f"{name}/frame {frame}", "kind": "frame"}
                for frame in record.frames[:_FRAMES_MAX]
            ]
        # Viewers want a line; a capture has none, so that a finding stands at the beginning of its file.
        region = {"startLine": self._line(record)}
        places: list[dict[str, Any]] = [
            {"physicalLocation": {"artifactLocation": {"uri": uri, "index": at}, "region": region}}
            for at, uri in enumerate(self._inputs[:INPUTS_MAX])
        ]
        if logical:
            places = places or [{}]
            places[0]["logicalLocations"] = logical
        return places

    def _fingerprint(self, record: FindingRecord) -> str:
        """The same for the same finding in another capture of the same traffic.

        Numbers (of frames and ports, times, measured rates) differ from run to run; how many alike came before tells
        findings of one run apart.
        """
        same = "\0".join((record.id, record.title, _NUMBERS.sub("0", record.detail)))
        key = blake2s(same.encode("utf-8", "replace"), digest_size=16).hexdigest()
        self._seen[key] += 1
        return f"{key}:{self._seen[key]}"


def _rule(name: str) -> dict[str, Any]:
    rule = CATALOGUE[name]
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.slug.split("-")),
        "shortDescription": {"text": _message(rule.title)},
        "fullDescription": {"text": _message(rule.why)},
        "help": {"text": _message(f"{rule.why}\n\n{rule.fix}")},
        "defaultConfiguration": {"level": _LEVELS[rule.severity.value]},
        "properties": {"tags": [rule.group], "slug": rule.slug, "section": rule.section},
    }


def _one(text: str) -> str:
    return text.replace("\n", " ")


def _message(text: str) -> str:
    """Text in which SARIF sees neither a link nor a placeholder (2.1.0, 3.11.5 and 3.11.6)."""
    text = text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return text.replace("{", "{{").replace("}", "}}")


def _uri(name: str) -> str:
    """A file's name as a URI reference."""
    try:
        raw = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = name.encode("utf-8", "surrogatepass")
    path = quote(raw, safe="/~")
    return f"file://{path}" if name.startswith("/") else path
