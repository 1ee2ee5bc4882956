"""What a dissector must know of a body, taken from its schema: the parts, their secrets, and how it is checked."""

from __future__ import annotations

import re
from typing import Any

import construct as con
import msgspec

from blynkscope.protocol import bodies, two_way_bodies
from blynkscope.protocol.schema import Body, BoundedZlib, Part, Parts


class Layout(msgspec.Struct, frozen=True):
    """A body, for the dissector.

    `kind` is the way in which its columns are shown, `check` a rule of its own, if any. Of a body of named parts
    `names` are these in order, `secrets` their kinds of secret and `leading` the patterns that a part must match to be
    there, both by 1-based place; `prefixes` stand before their texts; `rest` is the name of all further parts, and at least `required` must be there.
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


def layout_of(body: Body) -> Layout:
    """The layout of a body.

    Raises:
        TypeError: The schema has an element for which the dissector has no way of showing.
    """
    for known, kind, check in _OF_ITS_OWN:
        if body is known:
            return Layout(kind, check=check, shortest=body.shortest)
    names: list[str] = []
    secrets: dict[int, str] = {}
    leading: dict[int, str] = {}
    rest = "extra"
    fields: list[Any] = list(getattr(body.schema, "subcons", ()))
    for sub in fields:
        element = sub.subcon if isinstance(sub, con.Renamed) else sub
        name = str(sub.name)
        if isinstance(element, Parts):
            rest = _single(name)
        elif isinstance(element, Part):
            names.append(name)
            if element.secret:
                secrets[len(names)] = element.secret
            if isinstance(element, two_way_bodies.Leading):
                leading[len(names)] = _leading_of(element)
        elif element is con.GreedyBytes and len(fields) == 1:
            return Layout("whole", (name,), shortest=body.shortest)
        else:
            raise TypeError(f"no way to show {element!r}: {body.layout}")
    if not fields or isinstance(body.schema, BoundedZlib):
        raise TypeError(f"no way to show {body.layout}")
    check = "token" if body is bodies.LOGIN else ""
    required = 0 if check else _required(body, len(names))
    prefixes = {1: "V"} if body is bodies.PROPERTY else {}
    return Layout("words", tuple(names), rest, secrets, leading, prefixes, required, check, body.shortest)


def _single(name: str) -> str:
    """The name of one part of a list."""
    return name.removesuffix("s")


def _leading_of(part: two_way_bodies.Leading) -> str:
    for name, examples in _LEADING.items():
        if all(part.pattern.fullmatch(example) for example in examples) and not part.pattern.fullmatch(_NEVER_LEADING):
            return name
    raise TypeError(f"no function for the pattern {part.pattern.pattern!r}")


def _required(body: Body, count: int) -> int:
    """How many parts a well-formed body has at least: asked of its own check.

    Raises:
        TypeError: It asks for more than the presence of parts.
    """
    for present in range(1, count + 1):
        problem = body.problem(b"\0".join([b"1"] * present))
        if problem is None:
            return present if present > 1 else 0
        if not re.fullmatch(r"no \w+", problem):
            raise TypeError(f"no check for {body.layout}: {problem}")
    raise TypeError(f"no body of {count} parts is well-formed: {body.layout}")
