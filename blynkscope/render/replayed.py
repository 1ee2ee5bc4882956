"""What came of a replay: for people, for programs, and for the test pages of CI systems.

The verdicts and the account of the whole come from `replay`, as structs whose fields are named in the protocols here.
They hold raw wire text and secrets; every output here cleans them itself.

JSON (`json`: one array; `jsonl`: a line each) has a record for each verdict, and the account as the last one. Of a
verdict:

    record       "step"
    verdict      equal, different, missing, extra, unplayed
    kind         frame, call (of the HTTP API), end (of the connection)
    stream       number of the stream in the recording; 0 of a connection that is none of it
    n            number of the recorded frame or call; null of what is extra
    request      number of the recorded frame that this answers, or that the client sent
    recorded     the frame as it was recorded, with the keys of the records of `decode`; null of what is extra
    now          the frame as it came; null of what is missing
    differences  a list of field, recorded, now: what differs, "order" where only the order does
    rule         why it is equal although the bytes differ, or though the recording lacks it; null otherwise
    note         what else there is to say
    recorded_ms  how long the answer took then
    rtt_ms       how long it took now

Of the account:

    record       "replay"
    side         device or server: whom this program played
    target       where to, or where it listened
    streams      connections of the recording that can be played
    played       how many of them were
    sent         frames that were sent
    counts       number of verdicts, by name; all of them
    rules        how often each rule made frames equal, by name
    passed_over  what is in the recording and was not played, by reason
    notes        what a person should know
    recorded_ms  median time of an answer then
    rtt_ms       the same now
    trouble      why it ended before its time: stage, text, stream; null where it did not
    complete     everything was played
    seconds      how long it took

JUnit has a `testsuite` for each stream, with a `testcase` for each recorded step: `failure` (its `type` is the verdict)
where it departs, `skipped` where it was not played; the case "nothing else is said" fails with what is extra. The suite
"replay" holds the `property` elements input, target and count.VERDICT, and an `error` where the replay ended early.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol, TextIO

import msgspec

from blynkscope.analysis.records import FrameRecord
from blynkscope.protocol.secrets import is_secret
from blynkscope.render.console import wrapped
from blynkscope.render.junit import xml_text, xml_value, xml_written
from blynkscope.render.options import Options
from blynkscope.render.outputs import text_of
from blynkscope.render.redact import Redactor
from blynkscope.render.safe import safe, safe_line

FORMATS = ("table", "json", "jsonl", "junit")

_SIGNS = {"equal": "=", "different": "≠", "missing": "✗", "extra": "+", "unplayed": "·"}
_STYLES = {"equal": "good", "different": "error", "missing": "error", "extra": "warning", "unplayed": "quiet"}
_WORDS = {"unplayed": "not played"}
_NAME_MAX = 14
_TEXT_MAX = 400
_DIGITS = 6
"""Of seconds in JUnit, behind the point."""
_MARGIN = " " * 15
_BEHIND = "  "
"""Before what does not fit into the first line of a sentence."""
_FAILED = {"different", "missing", "extra"}


class Step(Protocol):
    """The verdict on one frame, HTTP call or end of a connection."""

    verdict: str
    kind: str
    stream: int
    n: int | None
    request: int | None
    recorded: FrameRecord | None
    now: FrameRecord | None
    differences: Sequence[Any]
    rule: str | None
    note: str
    recorded_ms: float | None
    rtt_ms: float | None


class Account(Protocol):
    """The account of a replay."""

    side: str
    target: str
    streams: int
    played: int
    sent: int
    counts: Mapping[str, int]
    rules: Mapping[str, int]
    passed_over: Mapping[str, int]
    notes: Sequence[str]
    recorded_ms: float | None
    rtt_ms: float | None
    trouble: Any
    seconds: float


class Output(Protocol):
    """Takes verdicts as they come, and the account at the end."""

    def step(self, step: Any) -> None:
        """A verdict."""

    def close(self, account: Any) -> None:
        """The account; it ends the document but leaves the stream open."""


def make(format_: str, stream: IO[Any], options: Options, rules: Mapping[str, str]) -> Output:
    """An output by the name of its format.

    Args:
        format_: One of `FORMATS`.
        stream: Where to.
        options: How it is to look.
        rules: What the rules mean by which frames count as equal.
    """
    text = text_of(stream, data=format_ != "table")
    if format_ == "junit":
        return JUnit(text, options)
    if format_ == "table":
        return Table(text, options, rules)
    return Json(text, options, lines=format_ == "jsonl")


def cleaned(step: Any, redactor: Redactor) -> Any:
    """A verdict without secrets."""
    if redactor.show_secrets:
        return step
    differences = tuple(
        msgspec.structs.replace(
            one, recorded=_value(one.field, one.recorded, redactor), now=_value(one.field, one.now, redactor)
        )
        for one in step.differences
    )
    return msgspec.structs.replace(
        step,
        recorded=redactor.apply(step.recorded) if step.recorded is not None else None,
        now=redactor.apply(step.now) if step.now is not None else None,
        differences=differences,
        note=redactor.line(step.note),
    )


def _value(field: str, text: str, redactor: Redactor) -> str:
    last = field.rpartition(".")[2].partition("[")[0]
    return "*" * min(len(text), 8) if is_secret(last) else redactor.line(text)


class Json:
    """The outputs `json` and `jsonl`: a record for each verdict, and the account behind them."""

    def __init__(self, stream: TextIO, options: Options, *, lines: bool) -> None:
        self._stream = stream
        self._redactor = options.redactor
        self._quiet = options.quiet
        self._lines = lines
        self._any = False
        self._ascii = options.terminal

    def step(self, step: Any) -> None:
        """A verdict; those that are equal are left out where it is to be quiet."""
        if not self._quiet or step.verdict in _FAILED:
            self._write(cleaned(step, self._redactor))

    def _write(self, record: Any) -> None:
        # On a terminal raw UTF-8 could steer it.
        plain = msgspec.to_builtins(record)
        text = json.dumps(plain, ensure_ascii=self._ascii, separators=(",", ":"))
        before = "" if self._lines else ",\n" if self._any else "[\n"
        self._stream.write(before + text + ("\n" if self._lines else ""))
        self._any = True
        self._stream.flush()

    def close(self, account: Any) -> None:
        """The account."""
        self._write(_without_secrets(account, self._redactor))
        if not self._lines:
            self._stream.write("\n]\n")
            self._stream.flush()


def _without_secrets(account: Any, redactor: Redactor) -> Any:
    trouble = account.trouble
    if trouble is not None:
        trouble = msgspec.structs.replace(trouble, text=redactor.line(trouble.text, forms=False))
    return msgspec.structs.replace(
        account, trouble=trouble, notes=tuple(redactor.line(note, forms=False) for note in account.notes)
    )


class Table:
    """The output `table`: a line for each step that departs, for all of them where it is to be verbose."""

    def __init__(self, stream: TextIO, options: Options, rules: Mapping[str, str]) -> None:
        self._stream = stream
        self._options = options
        self._paint = options.palette.paint
        self._rules = rules
        self._begun = False

    def step(self, step: Any) -> None:
        """A verdict."""
        options = self._options
        if step.verdict == "equal" and not options.verbose:
            return
        if step.verdict == "unplayed" and not options.verbose:
            return
        step = cleaned(step, options.redactor)
        if not self._begun:
            self._begun = True
            head = f"{'stream':>6}  {'frame':>6}  {'verdict':<12}  {'message':<{_NAME_MAX}}  {'id':>5}  reading"
            self._line(self._paint("strong", head))
        self._line(self._row(step))
        for one in step.differences:
            self._line(_MARGIN + safe_line(f"{one.field}: then {one.recorded}, now {one.now}", _TEXT_MAX))
        if step.note and step.kind == "frame" and (step.recorded is not None or step.now is not None):
            self._line(_MARGIN + safe_line(step.note, _TEXT_MAX))

    def _row(self, step: Step) -> str:
        frame = step.recorded or step.now
        verdict = str(step.verdict)
        shown = f"{_SIGNS.get(verdict, '?')} {_WORDS.get(verdict, verdict):<10}"
        number = f"#{step.n}" if step.n is not None and step.kind == "frame" else "-"
        name = _short(frame.name) if frame is not None else step.kind.upper()
        head = f"{step.stream or '-':>6}  {number:>6}  {self._paint(_STYLES.get(verdict, 'quiet'), shown)}"
        identity = frame.id if frame is not None else ""
        text = safe_line((frame.text if frame is not None else step.note).replace("\n", " "), _TEXT_MAX)
        return f"{head}  {name:<{_NAME_MAX}}  {identity:>5}  {text}{self._about(step)}"

    def _about(self, step: Step) -> str:
        told = []
        if step.kind == "frame" and step.request is not None and step.request != step.n:
            told.append(f"↩ #{step.request}")
        if step.rtt_ms is not None:
            then = f"{step.recorded_ms:g} ms then, " if step.recorded_ms is not None else ""
            told.append(f"{then}{step.rtt_ms:.3g} ms now" if then else f"{step.rtt_ms:.3g} ms")
        if step.rule is not None and not step.differences:
            told.append(f"equal by the rule {step.rule}")
        return self._paint("quiet", "  " + " · ".join(told)) if told else ""

    def _line(self, text: str) -> None:
        """A line whose text is safe already."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self, account: Any) -> None:
        """The account."""
        if self._options.quiet:
            return
        if self._begun:
            self._stream.write("\n")
        for style, line in account_lines(_without_secrets(account, self._options.redactor), self._rules):
            for at, piece in enumerate(wrapped(safe(line), self._options.width - len(_BEHIND))):
                shown = _BEHIND + piece if at else piece
                self._stream.write((self._paint(style, shown) if style else shown) + "\n")
        self._stream.flush()


def account_lines(account: Account, rules: Mapping[str, str]) -> list[tuple[str, str]]:
    """The account in words: lines with the style of each."""
    counts = account.counts
    went = "to" if account.side == "device" else "listening on"
    lines = [
        (
            "strong",
            f"replay as the {account.side}, {went} {account.target}: {account.sent} frames sent, "
            f"{account.played} of {account.streams} connections, {account.seconds:.3g} s",
        )
    ]
    shown = [f"{name} {counts.get(name, 0)}" for name in ("equal", "different", "missing", "extra")]
    if counts.get("unplayed"):
        shown.append(f"not played {counts['unplayed']}")
    lines.append(("bad" if any(counts.get(name) for name in _FAILED) else "good", " · ".join(shown)))
    if account.rtt_ms is not None and account.recorded_ms is not None:
        lines.append(("", f"answers took {account.recorded_ms:g} ms then and {account.rtt_ms:g} ms now (median)"))
    for name, count in account.rules.items():
        lines.append(("", f"{count} equal by the rule {name}: {rules.get(name, name)}"))
    for reason, count in account.passed_over.items():
        lines.append(("", f"in the recording and not played: {count} {reason}"))
    lines += [("", f"note: {note}") for note in account.notes]
    if account.trouble is not None:
        where = f" (stream {account.trouble.stream})" if account.trouble.stream is not None else ""
        lines.append(("error", f"ended early{where}: {account.trouble.text}"))
    return lines


def _short(name: str) -> str:
    short = name.removeprefix("MSG_")
    return short if len(short) <= _NAME_MAX else short[: _NAME_MAX - 1] + "…"


class JUnit:
    """The output `junit`: a test suite for each connection, a test case for each step, written at the end.

    The names come from the recording alone, so that they are the same in every run.
    """

    def __init__(self, stream: TextIO, options: Options) -> None:
        self._stream = stream
        self._options = options
        self._suites: dict[int, list[list[str]]] = {}
        self._extras: dict[int, list[str]] = {}
        self._counts: dict[int, list[int]] = {}
        self._seconds: dict[int, float] = {}

    def step(self, step: Any) -> None:
        """A verdict."""
        step = cleaned(step, self._options.redactor)
        cases = self._suites.setdefault(step.stream, [])
        counts = self._counts.setdefault(step.stream, [0, 0, 0])
        if step.verdict == "extra":
            frame = step.now
            text = f"{frame.name} {frame.id}: {frame.text}" if frame is not None else step.note
            self._extras.setdefault(step.stream, []).append(safe_line(text.replace("\n", " "), _TEXT_MAX))
            return
        if step.n is None and step.kind == "frame" and step.verdict == "equal":
            return  # what a rule excuses that is not in the recording has no name there
        counts[0] += 1
        took = round((step.rtt_ms or 0.0) / 1000.0, _DIGITS)
        self._seconds[step.stream] = self._seconds.get(step.stream, 0.0) + took
        names = f"name={xml_value(_case_name(step))} classname={_class(step.stream)}"
        head = f'    <testcase {names} time="{took:.{_DIGITS}f}"'
        if step.verdict == "equal":
            cases.append([head + "/>"])
        elif step.verdict == "unplayed":
            counts[2] += 1
            cases.append(
                [head + ">", f"      <skipped message={xml_value(step.note or 'not played')}/>", "    </testcase>"]
            )
        else:
            counts[1] += 1
            told = [f"{one.field}: then {one.recorded}, now {one.now}" for one in step.differences] or [step.note]
            body = xml_text("\n".join(safe_line(line.replace("\n", " "), _TEXT_MAX) for line in told if line))
            kind = xml_value(str(step.verdict))
            cases.append([head + ">", f"      <failure message={kind} type={kind}>{body}</failure>", "    </testcase>"])

    def close(self, account: Any) -> None:
        """Write the document."""
        account = _without_secrets(account, self._options.redactor)
        suites: list[str] = []
        total = [0, 0, 0, 0]
        for stream, cases in sorted(self._suites.items()):
            tests, failures, skipped = self._counts[stream]
            extras = self._extras.get(stream, [])
            head = f'    <testcase name="nothing else is said" classname={_class(stream)} time="0"'
            if extras:
                told = xml_text("\n".join(extras[:_EXTRAS_TOLD]))
                message = xml_value(f"{len(extras)} that the recording does not have")
                cases.append(
                    [head + ">", f'      <failure message={message} type="extra">{told}</failure>', "    </testcase>"]
                )
            else:
                cases.append([head + "/>"])
            tests, failures = tests + 1, failures + bool(extras)
            counts = f'tests="{tests}" failures="{failures}" errors="0" skipped="{skipped}"'
            counts += f' time="{self._seconds.get(stream, 0.0):.{_DIGITS}f}"'
            suites.append(f"  <testsuite name={xml_value(_suite(stream))} {counts}>")
            suites += [line for case in cases for line in case]
            suites.append("  </testsuite>")
            for at, count in enumerate((tests, failures, 0, skipped)):
                total[at] += count
        trouble = account.trouble
        total[0] += 1
        total[2] += trouble is not None
        suites.append(
            f'  <testsuite name="replay" tests="1" failures="0" errors="{int(trouble is not None)}" skipped="0"'
            ' time="0">'
        )
        properties = [("input", name) for name in self._options.inputs] + [("target", account.target)]
        properties += [(f"count.{name}", str(count)) for name, count in account.counts.items()]
        suites.append("    <properties>")
        suites += [f"      <property name={xml_value(name)} value={xml_value(text)}/>" for name, text in properties]
        suites.append("    </properties>")
        case = '    <testcase name="the whole recording is played" classname="blynkscope.replay" time="0"'
        if trouble is not None:
            suites += [case + ">", f"      <error message={xml_value(trouble.text)} type={xml_value(trouble.stage)}/>"]
            suites.append("    </testcase>")
        else:
            suites.append(case + "/>")
        suites.append("  </testsuite>")
        tests, failures, errors, skipped = total
        counts = (
            f'tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}" time="{account.seconds:.3f}"'
        )
        xml_written(
            self._stream,
            [
                '<?xml version="1.0" encoding="UTF-8"?>',
                f'<testsuites name="blynkscope replay" {counts}>',
                *suites,
                "</testsuites>",
            ],
        )


_EXTRAS_TOLD = 50
"""Extra frames of one connection that are written out."""


def _suite(stream: int) -> str:
    return f"stream {stream}" if stream else "connections without a recorded one"


def _class(stream: int) -> str:
    return xml_value(f"blynkscope.replay.{_suite(stream).replace(' ', '-')}")


def _case_name(step: Step) -> str:
    if step.kind == "end":
        return "end of the connection"
    if step.recorded is None:
        return f"call {step.n} {step.note.partition(':')[0]}"
    return f"#{step.n} {step.recorded.name} {step.recorded.text}".rstrip()
