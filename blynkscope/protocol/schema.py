"""The elements of which body schemas are made, and what a body can do: parse, build, read out, name its bytes.

A Blynk body is text in parts that are separated by NUL. The last part may or may not be followed by a NUL, and both
must survive a round trip. So the NUL belongs to the part that it *precedes*: `Part` reads an optional separator (none
at the start of the body) and the bytes up to the next one. An absent part is `None`, an empty one is `b""`, and
`build(parse(x)) == x` holds for every byte string.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import construct as con

from blynkscope.protocol import limits

# construct's classes take type arguments in its stubs only.
Schema: TypeAlias = "con.Construct[Any, Any]"
if TYPE_CHECKING:
    _PartElement = con.Construct[bytes | None, bytes | None]
    _PartsElement = con.Construct[list[bytes], list[bytes]]
    _Inflater = con.Adapter[bytes, bytes, con.Container[Any], Any]
else:
    _PartElement = _PartsElement = con.Construct
    _Inflater = con.Adapter

Fields = dict[str, Any]
NUL = b"\0"


def readable(raw: bytes) -> str:
    """Bytes of the wire as text: UTF-8, and `\\xNN` for every byte that is not."""
    return raw.decode("utf-8", "backslashreplace")


# --- construct elements -----------------------------------------------------------------------------------------------


def part_came_before(stream: Any) -> bool:
    """Whether a part of this body was read from or written to the stream already.

    The position cannot tell: the first part may be empty, and a body need not begin at the start of its stream.
    """
    return getattr(stream, "part_came_before", False)


def mark_part(stream: Any) -> None:
    """Remember on the stream that a part was read or written; `io.BytesIO` takes attributes."""
    stream.part_came_before = True


class Part(_PartElement):
    """One part of a body: `bytes`, or `None` where the body ended before it.

    Args:
        secret: What kind of secret it holds ("token", "email", "password"), if any.
    """

    def __init__(self, secret: str | None = None) -> None:
        super().__init__()
        self.secret = secret

    def _parse(self, stream: Any, context: Any, path: str) -> bytes | None:
        start = stream.tell()
        rest = stream.read()
        if not rest:
            return None
        begin = 1 if part_came_before(stream) else 0
        mark_part(stream)
        end = rest.find(NUL, begin)
        end = len(rest) if end < 0 else end
        stream.seek(start + end)
        return bytes(rest[begin:end])

    def _build(self, obj: bytes | None, stream: Any, context: Any, path: str) -> Any:
        if obj is not None:
            if part_came_before(stream):
                stream.write(NUL)
            mark_part(stream)
            stream.write(obj)
        return obj


class Parts(_PartsElement):
    """All parts that are left, as a list."""

    def _parse(self, stream: Any, context: Any, path: str) -> list[bytes]:
        rest = stream.read()
        if not rest:
            return []
        return [bytes(part) for part in (rest[1:] if part_came_before(stream) else rest).split(NUL)]

    def _build(self, obj: list[bytes], stream: Any, context: Any, path: str) -> Any:
        for part in obj:
            if part_came_before(stream):
                stream.write(NUL)
            mark_part(stream)
            stream.write(part)
        return obj


class BoundedZlib(_Inflater):
    """zlib data, inflated up to a limit; the compressed bytes are kept, so that building gives them back.

    Parses to `{"packed": bytes, "data": bytes | None, "problem": str | None}`.
    """

    def _decode(self, obj: bytes, context: Any, path: str) -> con.Container[Any]:
        worker = zlib.decompressobj()
        data, problem = None, None
        try:
            data = worker.decompress(obj, limits.INFLATED_MAX)
            if worker.unconsumed_tail:
                problem = f"inflates to more than {limits.INFLATED_MAX} bytes: cut there"
            elif not worker.eof:
                problem = "the compressed data ends early"
        except zlib.error as error:
            problem = f"not zlib data ({error})"
        return con.Container(packed=obj, data=data, problem=problem)

    def _encode(self, obj: Any, context: Any, path: str) -> bytes:
        return bytes(obj["packed"] if obj.get("packed") is not None else zlib.compress(obj["data"]))


# --- a body: schema, projection, reading ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """A run of body bytes with its name: where it is (offsets in the body), what it is, and whether it is secret."""

    start: int
    end: int
    name: str
    raw: bytes
    secret: str | None = None


def _nothing_wrong(parsed: Any) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a command.

    Args:
        layout: The layout for people, with `·` for NUL.
        schema: construct schema of the body's bytes.
        project: Parsed container → `fields` of the frame record (JSON values only), or None.
        reading: `fields` → the one line that the table shows.
        check: Parsed container → why the body is not well-formed, or None.
        longest: Length above which a declared body is not believed without further proof.
    """

    layout: str
    schema: Schema
    project: Callable[[Any], Fields | None]
    reading: Callable[[Fields], str]
    check: Callable[[Any], str | None] = _nothing_wrong
    longest: int = limits.HARDWARE_BODY_MAX
    shortest: int = 0

    def parse(self, data: bytes) -> Any:
        """Body bytes → container. Never fails: an ill-formed body parses too, and `problem` says what is wrong."""
        return self.schema.parse(data)

    def build(self, parsed: Any) -> bytes:
        """Container → body bytes; the inverse of `parse`.

        Raises:
            construct.ConstructError: The container does not fit the schema.
        """
        return bytes(self.schema.build(parsed))

    def decode(self, data: bytes) -> tuple[Fields | None, str]:
        """Body bytes → (`fields`, one-line reading)."""
        fields = self.project(self.parse(data)) if data else None
        return fields, self.reading(fields or {})

    def problem(self, data: bytes) -> str | None:
        """Why the body does not parse for this command, or None."""
        if len(data) < self.shortest:
            return f"the body has {len(data)} bytes, at least {self.shortest} are needed"
        return self.check(self.parse(data)) if data else None

    def spans(self, data: bytes) -> list[Span]:
        """The named runs of the body, in order. Separators belong to no run."""
        if not data:
            return []
        parsed = self.parse(data)
        found: list[Span] = []
        at = 0
        for name, raw, secret in _leaves(self.schema, parsed, "body"):
            found.append(Span(at, at + len(raw), name, raw, secret))
            at += len(raw) + 1
        return found

    def secrets(self, data: bytes) -> list[Span]:
        """The runs that hold a secret and are not empty."""
        return [span for span in self.spans(data) if span.secret and span.raw]


def _leaves(schema: Schema, value: Any, name: str) -> Iterator[tuple[str, bytes, str | None]]:
    """Walk a schema beside what it parsed, and give each run of bytes its name."""
    if value is None:
        return
    if isinstance(schema, con.Renamed):
        yield from _leaves(schema.subcon, value, schema.name or name)
    elif isinstance(schema, con.Struct):
        for sub in schema.subcons:
            inner = schema_of(sub, value)
            yield from _leaves(inner, value[sub.name], sub.name or name)
    elif isinstance(schema, Part):
        yield name, value, schema.secret
    elif isinstance(schema, Parts):
        single = name.removesuffix("s")
        for index, raw in enumerate(value):
            yield f"{single} {index + 1}" if len(value) > 1 else single, raw, None
    elif isinstance(schema, BoundedZlib):
        yield name, value.packed, None
    else:
        yield name, bytes(value), None


def schema_of(sub: Schema, context: Any) -> Schema:
    """The schema that a named, possibly switched element stands for in this context."""
    inner = sub.subcon if isinstance(sub, con.Renamed) else sub
    if isinstance(inner, con.Switch):
        return inner.cases.get(inner.keyfunc(context), inner.default)
    return inner


def joined(values: list[str]) -> str:
    """Values side by side, for one line."""
    return ", ".join(values)


def words(
    *names: str,
    rest: str | None = None,
    secrets: dict[str, str] | None = None,
    required: int = 0,
    longest: int = limits.HARDWARE_BODY_MAX,
    reading: Callable[[Fields], str] | None = None,
) -> Body:
    """A body of named parts; parts beyond the names go to `rest`, or to `extra` where none is declared.

    Args:
        names: Names of the parts in order.
        rest: Name of the list that takes all further parts.
        secrets: Kind of secret by name.
        required: How many of the named parts a well-formed body has.
        longest: Greatest believable length.
        reading: One-line reading; by default the values, joined.
    """
    marks = secrets or {}
    tail = rest or "extra"
    schema = con.Struct(*(name / Part(marks.get(name)) for name in names), tail / Parts())

    def project(parsed: Any) -> Fields:
        fields: Fields = {name: readable(parsed[name]) for name in names if parsed[name] is not None}
        left = [readable(part) for part in parsed[tail]]
        # A NUL after the last part is common and means nothing.
        if rest is None and left and left[-1] == "":
            left.pop()
        if left or rest:
            fields[tail] = left
        return fields

    def check(parsed: Any) -> str | None:
        missing = [name for name in names[:required] if parsed[name] is None]
        return f"no {missing[0]}" if missing else None

    def values(fields: Fields) -> str:
        shown = [f"{name} {fields[name]}" if len(names) > 1 else fields[name] for name in names if fields.get(name)]
        return " · ".join([*shown, *fields.get(tail, [])])

    layout = " · ".join([*names, *([f"{rest}…"] if rest else [])])
    return Body(layout, schema, project, reading or values, check, longest)
