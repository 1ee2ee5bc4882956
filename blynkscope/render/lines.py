"""The fast lane of JSON Lines: the line of a frame put together from text that its direction's frames have in common.

It only knows forms that need no escaping: pin writes and answers whose text is plain ASCII. Everything else is spelled
out and encoded by the general path; a property test holds both equal.
"""

from __future__ import annotations

import re

import msgspec

from blynkscope.analysis.records import SCHEMA, Facts, Observed, WriteRecord
from blynkscope.protocol import bodies, limits
from blynkscope.protocol.commands import HW, PING, RESPONSE
from blynkscope.protocol.statuses import status_name

_encode = msgspec.json.Encoder().encode
_LETTERS = {
    code.encode(): operation.letter for code, operation in bodies.OPERATIONS.items() if operation.shape == "values"
}
# One pin and its values, in characters that JSON writes as they are.
_PLAIN_WRITE = re.compile(rb"(%s)\x00([ !#-\[\]-~]*)\x00([ !#-\[\]-~\x00]*)\Z" % b"|".join(_LETTERS)).match
_ENDS = {
    state: f'","answers":null,"rtt_ms":null,"write":{_encode(state).decode()},"findings":[]}}\n'
    for state in (None, "sent", "delivered")
}
_HEAD = f'{{"record":"frame","schema":{SCHEMA},"n":'


class _Texts:
    """What the lines of one direction have in common: the text between the time and the id, by command."""

    __slots__ = ("answer", "ping", "write")

    def __init__(self, facts: Facts) -> None:
        common = {
            "stream": facts.stream, "src": facts.src, "dst": facts.dst, "sender": facts.sender,
            "dialect": facts.dialect, "via": facts.via,
        }  # fmt: skip
        head = _encode(common).decode()[1:-1]
        self.write, self.answer, self.ping = (
            f',{head},"cmd":{cmd},"name":"{facts.names[cmd]}","id":' for cmd in (HW, RESPONSE, PING)
        )


class FrameLines:
    """Writes frames as JSON text."""

    __slots__ = ("_texts", "_time", "_time_text")

    def __init__(self) -> None:
        self._texts: dict[Facts, _Texts] = {}
        self._time: float | None = None
        self._time_text = "null"

    def line(self, frame: Observed) -> str | None:
        """The line of a frame, with its line end; None where the general path must write it."""
        facts, cmd, body = frame.facts, frame.cmd, frame.body
        if frame.word < 0:
            return None  # a log that tells no length
        texts = self._texts.get(facts) or self._new(facts)
        time = frame.time
        if time == self._time:
            seen = self._time_text
        else:
            seen = self._time_text = _encode(time).decode()
            self._time = time
        if cmd == HW:
            found = _PLAIN_WRITE(body)
            if found is None or facts.dialect != "hardware" or frame.findings:
                return None
            raw_op, raw_pin, raw_values = found.groups()
            values = text = raw_values.decode()
            if "\0" in values:
                text = values.replace("\0", ", ")
                values = values.replace("\0", '","')
            pin = _LETTERS[raw_op] + raw_pin.decode()
            end = _ENDS.get(frame.write) if frame.answers is None and frame.rtt_ms is None else None
            if end is None:
                end = _end(frame)
            return (
                f'{_HEAD}{frame.n},"time":{seen}{texts.write}{frame.id},"length":{frame.word},"status":null'
                f',"status_name":null,"body":"{body.hex()}","fields":{{"op":"{raw_op.decode()}","pins":[{{"pin":"{pin}"'
                f',"values":["{values}"]}}]}},"text":"{pin} = {text}{end}'
            )
        answers = frame.answers
        if cmd == RESPONSE and answers is not None and not body and not frame.findings:
            name = status_name(frame.word)
            return (
                f'{_HEAD}{frame.n},"time":{seen}{texts.answer}{frame.id},"length":null,"status":{frame.word},"status_name":'
                f'"{name}","body":"","fields":null,"text":"{name}{_end(frame)}'
            )
        if (
            cmd == PING
            and facts.dialect != "web"
            and not body
            and answers is None
            and frame.rtt_ms is None
            and not (frame.write or frame.findings or frame.word)
        ):
            return (
                f'{_HEAD}{frame.n},"time":{seen}{texts.ping}{frame.id},"length":0,"status":null,"status_name":null,"body":""'
                f',"fields":null,"text":"{_ENDS[None]}'
            )
        return None

    def _new(self, facts: Facts) -> _Texts:
        if len(self._texts) >= limits.STREAMS_MAX:
            self._texts.clear()
        texts = self._texts[facts] = _Texts(facts)
        return texts


def _end(frame: Observed) -> str:
    """The end of a line, from behind its text on."""
    answers, rtt = _encode(frame.answers).decode(), _encode(frame.rtt_ms).decode()
    return f'","answers":{answers},"rtt_ms":{rtt},"write":{_encode(frame.write).decode()},"findings":[]}}\n'


def write_line(record: WriteRecord) -> str:
    """The line of a WriteRecord, with its line end."""
    by = record.by
    return (
        f'{{"record":"write","frame":{record.frame},"state":"{record.state}","by":{"null" if by is None else by}'
        f',"time":{_encode(record.time).decode()}}}\n'
    )
