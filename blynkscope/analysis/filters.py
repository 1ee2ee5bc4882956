"""The filter language: which frames, and which messages of other protocols, to show.

    expression  = or
    or          = and { ("or" | "||") and }
    and         = not { ("and" | "&&") not }
    not         = ("not" | "!") not | comparison
    comparison  = "(" or ")" | operand [ operator operand ]
    operator    = == != < <= > >= contains ~ in
    operand     = null | name | number | text | "text" | { operand, … } (behind `in`); text with blanks or signs needs
                  quotes

Keys are those of the frame record (`cmd id sender text rtt_ms …`) and of its `fields` (`pin`, `value`, `op`,
`property`, `token`, `ver` …); any key of a body can be written `fields.KEY`, also one that only some device sends. A
key that does not exist is a mistake. A key alone is true where it has a value that is not empty. The states of a write
(`sent delivered passed confirmed contradicted rejected lost`) and the words `answer`, `error` are true or false of a
frame. Commands and statuses may be written by any of their names: `cmd == HARDWARE`, `status == INVALID_TOKEN`.

A frame that lacks the key is in no comparison with it, not in `!=` either: `status != SUCCESS` finds answers only.
`key == null` and `key != null` (or `none`) ask whether it is there. A key that has several values (`pin`, `value`,
`findings`) compares true where any of them does, with `!=` where none of them is the operand.

The messages of other protocols (HTTP calls, MQTT packets) are asked like frames. They lack what only frames have
(`cmd`, `id`, `dialect`, `length`, `body`, `write`), so that a filter on these keys hides them. `protocol` and `kind`
are theirs alone; `status` is that of HTTP, `pin` and `value` are what they write, and every member of their `detail`
is a key: `path`, `topic`, `host`, `method` …. `via` and `layer` know `tls` beside the version: `via == tls`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

from blynkscope.analysis.filter_keys import (
    FLAGS,
    KEYS,
    WORDS,
    WRITE_STATES,
    Getter,
    Predicate,
    Speech,
    field_names,
    getter_of,
    number_of,
)
from blynkscope.errors import FilterError
from blynkscope.protocol import commands, statuses

__all__ = ["EXPRESSION_MAX", "KEYS", "WORDS", "WRITE_STATES", "Filter", "compile_filter", "field_names", "point_at"]

EXPRESSION_MAX = 10_000
"""Characters of an expression; nesting is bounded by NESTING_MAX."""
NESTING_MAX = 50
PATTERN_TEXT_MAX = 4096
"""Characters of a value that a regular expression looks at."""
NAME_SHOWN = 40
"""Characters of an unknown key that a message repeats."""


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
    |(?P<word>[A-Za-z_][\w.:?-]*)
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


class _Parser:
    def __init__(self, expression: str) -> None:
        if len(expression) > EXPRESSION_MAX:
            raise FilterError(f"longer than {EXPRESSION_MAX} characters", expression[:EXPRESSION_MAX], EXPRESSION_MAX)
        self.expression = expression
        self.tokens = list(_tokens(expression))
        self.place = 0
        self.depth = 0
        self.about_states = False

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
        self.about_states = self.about_states or key == "write" or key in WRITE_STATES
        operator = self.token.text.lower()
        if self.token.kind in {"operator", "word"} and operator in _OPERATORS:
            if key in FLAGS:
                self.fail(f"{key} is true or false of a frame: write `{key}` or `not {key}` alone", token)
            self.known(token)
            self.take()
            return self.compared(key, operator)
        flag = FLAGS.get(key)
        if flag is not None:
            return flag
        self.known(token)
        getter = getter_of(key)
        return lambda record: any(value not in {None, ""} for value in _hashable(getter(record)))

    def known(self, token: _Token) -> None:
        """Refuse what is no key: a slip of the pen would otherwise be an expression that finds nothing, or all."""
        key = token.text
        if key in KEYS or key in field_names() or (key.startswith("fields.") and key != "fields."):
            return
        shown = key if len(key) <= NAME_SHOWN else key[:NAME_SHOWN] + "…"
        if key.lower() not in KEYS:
            if commands.named(key) or _unknown_code(key, "MSG_?"):
                self.fail(f"{shown} is a name: compare it, like cmd == {shown}", token)
            if statuses.named(key) or _unknown_code(key, "STA_?"):
                self.fail(f"{shown} is a name: compare it, like status == {shown}", token)
        near = get_close_matches(key[:NAME_SHOWN].lower(), sorted({*KEYS, *WORDS, *field_names()}))
        hint = f"did you mean {' or '.join(near)}?" if near else "`blynkscope filters` lists them."
        own = "KEY" if key in {"fields", "fields."} else shown
        self.fail(f"no such key: {shown}; {hint} Any key of a body can be written fields.{own}", token)

    def compared(self, key: str, operator: str) -> Predicate:
        getter = getter_of(key)
        if operator == "in":
            operands = self.listed(key)
            or_absent = _ABSENT in operands
            tests = [_comparison("==", operand) for operand in operands if operand is not _ABSENT]

            def is_in(record: Speech) -> bool:
                present = _present(getter, record)
                return any(test(value) for value in present for test in tests) if present else or_absent

            return is_in
        place = self.token
        operand = self.operand(key, operator)
        if operand is _ABSENT:
            if operator not in {"==", "!="}:
                self.fail(f"null is compared with == or != only; the text is written {place.text!r}", place)
            wanted = operator == "!="
            return lambda record: bool(_present(getter, record)) is wanted
        test = _comparison(operator, operand)
        if operator == "!=":
            return lambda record: bool(present := _present(getter, record)) and all(test(value) for value in present)
        return lambda record: any(test(value) for value in _present(getter, record))

    def listed(self, key: str) -> list[Any]:
        """The operands behind `in`."""
        if self.token.text != "{":
            self.fail("behind `in` stands a list, like {V1, V2}")
        self.take()
        operands = [self.operand(key, "in")]
        while self.token.text == ",":
            self.take()
            operands.append(self.operand(key, "in"))
        if self.token.text != "}":
            self.fail("the list must end with }")
        self.take()
        return operands

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
        if token.kind == "word" and text.lower() in _NULLS:
            return _ABSENT
        if key == "cmd":
            return self.code(text, token, {row.code for row in commands.named(text)}, "command", "MSG_?")
        if key == "status":
            return self.code(text, token, {row.code for row in statuses.named(text)}, "status", "STA_?")
        if key == "name" and (rows := commands.named(text)):
            return frozenset({text, *(row.name for row in rows)})
        return text

    def code(self, text: str, token: _Token, codes: set[int], what: str, unknown: str) -> Any:
        """A code by number or name; a name may stand for several."""
        if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}", text):
            return text
        if number := _unknown_code(text, unknown):
            return number
        if not codes:
            self.fail(f"{text!r} is no {what}; `blynkscope codes` lists them", token)
        return frozenset(codes)


def _unknown_code(text: str, prefix: str) -> str:
    """The digits of a name that was made for an unknown code, like `MSG_?99`; empty for any other text."""
    found = re.fullmatch(re.escape(prefix) + "([0-9]{1,10})", text, re.IGNORECASE)
    return found[1] if found else ""


def _present(getter: Getter, record: Speech) -> list[Any]:
    return [value for value in getter(record) if value is not None]


def _hashable(values: tuple[Any, ...]) -> Iterator[Any]:
    for value in values:
        yield value if isinstance(value, str | int | float | None) else True


def _comparison(operator: str, operand: Any) -> Callable[[Any], bool]:
    if operator == "~":
        return lambda value: operand.search(str(value)[:PATTERN_TEXT_MAX]) is not None
    if operator == "contains":
        wanted = operand.lower()
        return lambda value: wanted in str(value).lower()
    if isinstance(operand, frozenset):
        if operator == "!=":
            return lambda value: value not in operand
        if operator == "==":
            return lambda value: value in operand
        operand = str(min(operand)) if all(isinstance(one, int) for one in operand) else sorted(operand)[0]
    number = number_of(operand)
    compare = _OPERATORS[operator]
    folded = str(operand).lower()

    def test(value: Any) -> bool:
        if number is not None and (other := number_of(value)) is not None:
            return bool(compare(other, number))
        if number is not None and operator in _ORDERS:
            return False  # what is no number is neither above nor below one
        return bool(compare(str(value).lower(), folded))

    return test


_ABSENT = object()
"""The operand `null`."""
_NULLS = frozenset({"null", "none"})
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


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled expression; called with the record of a frame or message it says whether that matches.

    Args:
        matches: The predicate.
        about_states: The expression asks for the state of writes, so it can be wrong until that is final.
    """

    matches: Predicate
    about_states: bool

    def __call__(self, record: Speech) -> bool:
        """Whether the frame or message matches."""
        return self.matches(record)


def compile_filter(expression: str) -> Filter:
    """An expression as a predicate over the records of frames and messages.

    Raises:
        FilterError: It does not parse; the error knows the place.
    """
    parser = _Parser(expression)
    return Filter(parser.parse(), parser.about_states)


def point_at(error: FilterError) -> str:
    """The expression with a caret under the place of the error, on lines of their own."""
    start = max(0, error.position - 60)
    shown = error.expression[start : error.position + 60]
    return f"  {shown}\n  {' ' * (error.position - start)}^ {error}"
