"""The fast lane of JSON Lines: the line of a frame put together from text that its direction's frames have in common.

It only knows forms that need no escaping: pin writes and answers whose text is plain ASCII. Everything else is spelled out
and encoded by the general path; a property test holds both equal.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from blynkscope.analysis.records import SCHEMA, Facts, Observed
from blynkscope.protocol import bodies
from blynkscope.protocol.commands import HW, RESPONSE
from blynkscope.protocol.statuses import status_name

_encode = msgspec.json.Encoder().encode
_LETTERS = {code.encode(): operation.letter for code, operation in bodies.OPERATIONS.items() if operation.shape == "values"}
# One pin and one value, in characters that JSON writes as they are.
_PLAIN_WRITE = re.compile(rb"(%s)\x00([ !#-\[\]-~]*)\x00([ !#-\[\]-~]*)\Z" % b"|".join(_LETTERS)).match


class _Texts:
    """What the lines of one direction have in common."""

    __slots__ = ("answer", "operations", "write")

    def __init__(self, facts: Facts) -> None:
        common = {
            "stream": facts.stream, "src": facts.src, "dst": facts.dst, "sender": facts.sender, "dialect": facts.dialect,
            "via": facts.via,
        }  # fmt: skip
        head = _encode(common).decode()[1:-1]
        self.write = f',{head},"cmd":{HW},"name":"{facts.names[HW]}","id":'
        self.answer = f',{head},"cmd":{RESPONSE},"name":"{facts.names[RESPONSE]}","id":'
        self.operations = {
            op: f'","fields":{{"op":"{op.decode()}","pins":[{{"pin":"{letter}' for op, letter in _LETTERS.items()
        }


class FrameLines:
    """Writes frames as JSON text."""

    def __init__(self) -> None:
        self._texts: dict[Facts, _Texts] = {}
        self._time: float | None = None
        self._time_text = "null"

    def line(self, frame: Observed) -> str | None:
        """The line of a frame, with its line end; None where the general path must write it."""
        facts, cmd, body, answers = frame.facts, frame.cmd, frame.body, frame.answers
        texts = self._texts.get(facts) or self._new(facts)
        time = frame.time
        if time != self._time:
            self._time = time
            self._time_text = _encode(time).decode()
        if cmd == HW:
            if answers is not None or facts.dialect != "hardware" or (found := _PLAIN_WRITE(body)) is None:
                return None
            op, raw_pin, raw_value = found.groups()
            pin, value, write = raw_pin.decode(), raw_value.decode(), frame.write
            state = f'"{write}"' if write else "null"
            letter = _LETTERS[op]
            return (
                f'{{"record":"frame","schema":{SCHEMA},"n":{frame.n},"time":{self._time_text}{texts.write}{frame.id}'
                f',"length":{frame.word},"status":null,"status_name":null,"body":"{body.hex()}{texts.operations[op]}{pin}'
                f'","values":["{value}"]}}]}},"text":"{letter}{pin} = {value}","answers":null,"rtt_ms":null,"write":{state}'
                ',"findings":[]}\n'
            )
        if cmd != RESPONSE or answers is None or frame.findings:
            return None
        name = status_name(frame.word)
        return (
            f'{{"record":"frame","schema":{SCHEMA},"n":{frame.n},"time":{self._time_text}{texts.answer}{frame.id}'
            f',"length":null,"status":{frame.word},"status_name":"{name}","body":"","fields":null,"text":"{name}"'
            f',"answers":{answers},"rtt_ms":{_encode(frame.rtt_ms).decode()},"write":null,"findings":[]}}\n'
        )

    def _new(self, facts: Facts) -> _Texts:
        if len(self._texts) > 4096:
            self._texts.clear()
        texts = self._texts[facts] = _Texts(facts)
        return texts


def write_line(record: Any) -> str:
    """The line of a WriteRecord, with its line end."""
    by = record.by
    return (
        f'{{"record":"write","frame":{record.frame},"state":"{record.state}","by":{"null" if by is None else by}'
        f',"time":{_encode(record.time).decode()}}}\n'
    )
