"""The filter language: which frames to show.

    expression  = or
    or          = and { ("or" | "||") and }
    and         = not { ("and" | "&&") not }
    not         = ("not" | "!") not | comparison
    comparison  = "(" or ")" | operand [ operator operand ]
    operator    = == != < <= > >= contains ~ in
    operand     = name | number | text | "text" | { operand, … } (behind `in`); text with blanks or signs needs quotes

Keys are those of the frame record (`cmd id sender text rtt_ms …`) and of its `fields` (`pin`, `value`, `op`,
`property`, `token`, `ver` …, or `fields.KEY`). A key alone is true where it has a value that is not empty. The states
of a write (`sent delivered passed confirmed contradicted rejected lost`) and the words `write`, `answer`, `error` are
true or false of a frame. Commands and statuses may be written by any of their names: `cmd == HARDWARE`, `status ==
INVALID_TOKEN`. A comparison with a key that has several values (`pin`, `value`, `findings`) is true where it is for any
of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

from blynkscope.analysis.records import FrameRecord
from blynkscope.errors import FilterError
from blynkscope.protocol import commands, statuses

Predicate = Callable[[FrameRecord], bool]
Getter = Callable[[FrameRecord], tuple[Any, ...]]

EXPRESSION_MAX = 10_000
"""Characters of an expression; nesting is bounded by NESTING_MAX."""
NESTING_MAX = 50
PATTERN_TEXT_MAX = 4096
"""Characters of a value that a regular expression looks at."""

WRITE_STATES = ("sent", "delivered", "passed", "confirmed", "contradicted", "rejected", "lost")
KEYS: dict[str, str] = {
    "n": "number of the frame",
    "time": "seconds since the epoch",
    "stream": "number of the connection",
    "src": "sender's address:port",
    "dst": "receiver's address:port",
    "sender": "device, server, app or unknown",
    "dialect": "hardware, app or web",
    "via": "layers, outside in: tcp, tls1.2, websocket, …",
    "cmd": "command, by number or any of its names",
    "name": "canonical name of the command, as text",
    "id": "message id",
    "length": "declared length of the body",
    "status": "status of a RESPONSE, by number or any of its names",
    "status_name": "canonical name of the status, as text",
    "body": "the body, as hex digits",
    "text": "the one-line reading",
    "answers": "number of the frame that this one answers",
    "rtt_ms": "milliseconds since that frame",
    "write": "state of a pin write when its line is written; alone: is it a pin write",
    "findings": "ids of findings",
    "pin": "pins of the body, like V1",
    "value": "values of the body",
}
WORDS: dict[str, str] = {
    "answer": "the frame answers another one",
    "error": "a RESPONSE with another status than success",
    **{state: f"a pin write that is {state} when its line is written" for state in WRITE_STATES},
}


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_LEXER = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<number>(?:0[xX][0-9a-fA-F]+|-?\d+(?:\.\d+)?)(?![\w.:-]))
    |(?P<bare>\d[\w.:-]*)
    |(?P<operator>==|!=|<=|>=|&&|\|\||[<>~!(){},])
    |(?P<word>[A-Za-z_][\w.:-]*)
    """,
    re.VERBOSE,
)


def _tokens(expression: str) -> Iterator[_Token]:
    at = 0
    while at < len(expression):
        match = _LEXER.match(expression, at)
        if match is None:
            character = expression[at]
            hint = "a text must end with the quote it began with" if character in "\"'" else "not expected here"
            hint = "compare with ==" if character == "=" else hint
            raise FilterError(f"{character!r}: {hint}", expression, at)
        kind = match.lastgroup or ""
        if kind != "space":
            yield _Token(kind, match.group(), at)
        at = match.end()
    yield _Token("end", "", len(expression))


def _field_values(record: FrameRecord, key: str) -> tuple[Any, ...]:
    fields = record.fields
    if not fields:
        return ()
    if key in fields:
        value = fields[key]
        return tuple(value) if isinstance(value, list) else (value,)
    return ()


def _pins(record: FrameRecord) -> tuple[Any, ...]:
    fields = record.fields
    if not fields:
        return ()
    if "pins" in fields:
        return tuple(entry["pin"] for entry in fields["pins"])
    return (fields["pin"],) if "pin" in fields else ()


def _values(record: FrameRecord) -> tuple[Any, ...]:
    fields = record.fields
    if not fields:
        return ()
    if "pins" in fields:
        return tuple(value for entry in fields["pins"] for value in entry.get("values", ()))
    return tuple(fields.get("values", ()))


def _getter(key: str) -> Getter:
    if key == "pin":
        return _pins
    if key == "value":
        return _values
    if key.startswith("fields."):
        inner = key.removeprefix("fields.")
        return lambda record: _field_values(record, inner)
    if key in {"via", "findings"}:
        return lambda record: tuple(getattr(record, key))
    if key in KEYS:
        return lambda record: (getattr(record, key),)
    return lambda record: _field_values(record, key)


def _in_state(state: str) -> Predicate:
    return lambda record: record.write == state


_FLAGS: dict[str, Predicate] = {
    "answer": lambda record: record.answers is not None,
    "error": lambda record: record.status is not None and record.status != statuses.SUCCESS,
    **{state: _in_state(state) for state in WRITE_STATES},
}


class _Parser:
    def __init__(self, expression: str) -> None:
        if len(expression) > EXPRESSION_MAX:
            raise FilterError(f"longer than {EXPRESSION_MAX} characters", expression[:EXPRESSION_MAX], EXPRESSION_MAX)
        self.expression = expression
        self.tokens = list(_tokens(expression))
        self.place = 0
        self.depth = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def take(self) -> _Token:
        token = self.token
        self.place += 1
        return token

    def fail(self, message: str, token: _Token | None = None) -> NoReturn:
        raise FilterError(message, self.expression, (token or self.token).at)

    def parse(self) -> Predicate:
        if self.token.kind == "end":
            self.fail("the expression is empty; try: cmd == MSG_HW and pin == V1")
        found = self.either()
        if self.token.kind != "end":
            self.fail(f"{self.token.text!r} is not expected here; join comparisons with `and` or `or`")
        return found

    def either(self) -> Predicate:
        self.depth += 1
        if self.depth > NESTING_MAX:
            self.fail(f"nested deeper than {NESTING_MAX} levels")
        parts = [self.both()]
        while self.token.text.lower() in {"or", "||"}:
            self.take()
            parts.append(self.both())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else lambda record: any(part(record) for part in parts)

    def both(self) -> Predicate:
        parts = [self.negated()]
        while self.token.text.lower() in {"and", "&&"}:
            self.take()
            parts.append(self.negated())
        return parts[0] if len(parts) == 1 else lambda record: all(part(record) for part in parts)

    def negated(self) -> Predicate:
        negative = False
        while self.token.kind != "string" and self.token.text.lower() in {"not", "!"}:
            self.take()
            negative = not negative
        inner = self.comparison()
        return (lambda record: not inner(record)) if negative else inner

    def comparison(self) -> Predicate:
        token = self.take()
        if token.text == "(":
            inner = self.either()
            if self.token.text != ")":
                self.fail("a closing parenthesis is missing")
            self.take()
            return inner
        if token.kind == "end":
            self.fail("the expression ends where a key is expected", token)
        if token.kind != "word" or token.text.lower() in _KEYWORDS:
            self.fail(f"{token.text!r} stands where a key is expected, like cmd, pin or text", token)
        key = token.text
        operator = self.token.text.lower()
        if self.token.kind in {"operator", "word"} and operator in _OPERATORS:
            self.take()
            return self.compared(key, operator, token)
        flag = _FLAGS.get(key)
        if flag is not None:
            return flag
        if key.upper() == key and key.lower() not in KEYS and (commands.named(key) or statuses.named(key)):
            self.fail(f"{key} is a name: compare it, like cmd == {key} or status == {key}", token)
        getter = _getter(key)
        return lambda record: any(value not in {None, ""} for value in _hashable(getter(record)))

    def compared(self, key: str, operator: str, at: _Token) -> Predicate:
        if operator == "in":
            if self.token.text != "{":
                self.fail("behind `in` stands a list, like {V1, V2}")
            self.take()
            operands = [self.operand(key, operator)]
            while self.token.text == ",":
                self.take()
                operands.append(self.operand(key, operator))
            if self.token.text != "}":
                self.fail("the list must end with }")
            self.take()
            tests = [_comparison("==", operand) for operand in operands]
            test: Callable[[Any], bool] = lambda value: any(one(value) for one in tests)  # noqa: E731
        else:
            test = _comparison(operator, self.operand(key, operator))
        getter = _getter(key)
        if operator == "!=":
            return lambda record: all(test(value) for value in getter(record))
        return lambda record: any(test(value) for value in getter(record))

    def operand(self, key: str, operator: str) -> Any:
        token = self.take()
        if token.kind == "string":
            text: str = re.sub(r"\\(.)", r"\1", token.text[1:-1]) if operator != "~" else token.text[1:-1]
        elif token.kind in {"number", "word", "bare"}:
            text = token.text
        else:
            self.fail("a value is expected here: a name, a number or a text in quotes", token)
        if operator == "~":
            try:
                return re.compile(text, re.IGNORECASE)
            except (re.error, RecursionError, OverflowError) as error:
                self.fail(f"not a regular expression: {error}", token)
        if operator == "contains":
            return text
        if key == "cmd":
            return self.code(text, token, {row.code for row in commands.named(text)}, "command", "blynkscope codes")
        if key == "status":
            return self.code(text, token, {row.code for row in statuses.named(text)}, "status", "blynkscope codes")
        if key == "name" and (rows := commands.named(text)):
            return frozenset({text, *(row.name for row in rows)})
        return text

    def code(self, text: str, token: _Token, codes: set[int], what: str, where: str) -> Any:
        """A code by number or name; a name may stand for several."""
        if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|\d{1,10}", text):
            return text
        if not codes:
            self.fail(f"{text!r} is no {what}; `{where}` lists them", token)
        return frozenset(codes)


def _hashable(values: tuple[Any, ...]) -> Iterator[Any]:
    for value in values:
        yield value if isinstance(value, str | int | float | None) else True


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and len(value) <= 40:
        try:
            return float(int(value, 16)) if value[:2] in {"0x", "0X"} else float(value)
        except (ValueError, OverflowError):
            return None
    return None


def _comparison(operator: str, operand: Any) -> Callable[[Any], bool]:
    if operator == "~":
        return lambda value: value is not None and operand.search(str(value)[:PATTERN_TEXT_MAX]) is not None
    if operator == "contains":
        wanted = operand.lower()
        return lambda value: value is not None and wanted in str(value).lower()
    if isinstance(operand, frozenset):
        if operator == "!=":
            return lambda value: value not in operand
        if operator == "==":
            return lambda value: value in operand
        operand = str(min(operand)) if all(isinstance(one, int) for one in operand) else sorted(operand)[0]
    number = _number(operand)
    compare = _OPERATORS[operator]
    folded = str(operand).lower()

    def test(value: Any) -> bool:
        if value is None:
            return operator == "!="
        if number is not None and (other := _number(value)) is not None:
            return bool(compare(other, number))
        if number is not None and operator in _ORDERS:
            return False  # what is no number is neither above nor below one
        return bool(compare(str(value).lower(), folded))

    return test


_ORDERS = frozenset({"<", "<=", ">", ">="})
_KEYWORDS = frozenset({"and", "or", "not", "in", "contains"})
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "contains": lambda a, b: b in a,
    "~": lambda a, b: False,
    "in": lambda a, b: False,
}


def compile_filter(expression: str) -> Predicate:
    """An expression as a predicate over frame records.

    Raises:
        FilterError: It does not parse; the error knows the place.
    """
    return _Parser(expression).parse()


def point_at(error: FilterError) -> str:
    """The expression with a caret under the place of the error, on lines of their own."""
    start = max(0, error.position - 60)
    shown = error.expression[start : error.position + 60]
    return f"  {shown}\n  {' ' * (error.position - start)}^ {error}"
