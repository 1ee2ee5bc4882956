"""What a dissector must know of a body, taken from its schema: the parts, their secrets, and how it is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import construct as con
import msgspec

from blynkscope.protocol import bodies, two_way_bodies
from blynkscope.protocol.schema import Body, BoundedZlib, Part, Parts


class Layout(msgspec.Struct, frozen=True):
    """A body, for the dissector.

    `kind` is the way in which its columns are shown, `check` a rule of its own, if any. Of a body of named parts
    `names` are these in order; by 1-based place, `secrets` are kinds of secret, `leading` the patterns that a part must
    match to be there, and `prefixes` stand before its text. `rest` is the name of all further parts, and at least
    `required` parts must be there. `complete` is False where the body's own check asks for more (JSON that parses) than
    the dissector does.
    """

    kind: str
    names: tuple[str, ...] = ()
    rest: str = "extra"
    secrets: dict[int, str] = {}
    leading: dict[int, str] = {}
    prefixes: dict[int, str] = {}
    required: int = 0
    check: str = ""
    shortest: int = 0
    complete: bool = True


_OF_ITS_OWN: tuple[tuple[Body, str, str], ...] = (
    (bodies.EMPTY, "empty", ""),
    (bodies.PIN_OPERATION, "operation", "operation"),
    (bodies.TARGET_OPERATION, "target", "target"),
    (two_way_bodies.APP_SYNC, "target", "target"),
    (bodies.SYNC, "sync", "sync"),
    (two_way_bodies.BRIDGE_MESSAGE, "bridge", "bridge"),
    (bodies.INTERNAL, "pairs", "pairs"),
    (bodies.EMAIL, "mail", "mail"),
    (bodies.PROFILE, "packed", ""),
)
"""Bodies that are more than a row of named parts: how the dissector shows and checks each."""

_LEADING = {"number": (b"1", b"1-0", b"1\0x"), "host": (b"fra1.example",)}
"""Patterns that decide whether a part is there, by what they match; the dissector has a function for each."""
_NEVER_LEADING = b"a@b"
_PROBE = b"1"
_SIMPLE_CHECKS = frozenset({"_nothing_wrong", "words.<locals>.check"})


def layout_of(body: Body) -> Layout:
    """The layout of a body. Elements that are no parts are shown as one text, without columns of their own."""
    for known, kind, check in _OF_ITS_OWN:
        if body is known:
            complete = bool(check) or body is bodies.EMPTY or _is_simple(body)
            return Layout(kind, check=check, shortest=body.shortest, complete=complete)
    names: list[str] = []
    secrets: dict[int, str] = {}
    leading: dict[int, str] = {}
    rest = "extra"
    for name, element in _elements(body.schema):
        if isinstance(element, Part):
            names.append(name)
            if element.secret:
                secrets[len(names)] = element.secret
            if (pattern := getattr(element, "pattern", None)) is not None:
                leading[len(names)] = _leading_of(pattern)
            continue
        if isinstance(element, BoundedZlib) and not names:
            return Layout("packed", shortest=body.shortest, complete=_is_simple(body))
        if element is con.GreedyBytes and not names:
            return Layout("whole", (name,), shortest=body.shortest, complete=_is_simple(body))
        rest = name.removesuffix("s") if isinstance(element, Parts) else name
        break
    check = "token" if body is bodies.LOGIN else ""
    required = 0 if check else _required(body, len(names))
    prefixes = {1: "V"} if body is bodies.PROPERTY else {}
    complete = bool(check) or _is_simple(body)
    return Layout("words", tuple(names), rest, secrets, leading, prefixes, required, check, body.shortest, complete)


def _is_simple(body: Body) -> bool:
    """Does its check ask for nothing, or for the presence of parts alone?"""
    return body.check.__qualname__ in _SIMPLE_CHECKS


def _elements(schema: Any) -> Iterator[tuple[str, Any]]:
    """The elements of a Struct by name; those of an element that is not named count as one."""
    for sub in getattr(schema, "subcons", (schema,)):
        yield str(sub.name or "text"), sub.subcon if isinstance(sub, con.Renamed) else sub


def _leading_of(pattern: re.Pattern[bytes]) -> str:
    for name, examples in _LEADING.items():
        if all(pattern.fullmatch(example) for example in examples) and not pattern.fullmatch(_NEVER_LEADING):
            return name
    return ""


def _required(body: Body, count: int) -> int:
    """How many parts a well-formed body has at least, asked of its own check; 0 where that asks for something else."""
    for present in range(1, count + 1):
        problem = body.problem(b"\0".join([_PROBE] * present))
        if problem is None:
            return present if present > 1 else 0
        if not re.fullmatch(r"no \w+", problem):
            break
    return 0
