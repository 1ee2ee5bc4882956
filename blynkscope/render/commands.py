"""What the schemas of bodies declare: which commands have secrets, what kind a part is, how it reads in a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import construct as con

from blynkscope.protocol import commands
from blynkscope.protocol.schema import Body, BoundedZlib, Fields, Part, Span
from blynkscope.render import patterns

_KEY, ADDRESS = "token", "email"
"""What a schema declares a part to be."""


def _holds(schema: Any, wanted: Callable[[Any], bool]) -> bool:
    """Does a construct schema hold an element for which `wanted` is true?"""
    if wanted(schema):
        return True
    inner: list[Any] = list(getattr(schema, "subcons", ()))
    inner += getattr(schema, "cases", {}).values()
    inner += [sub for name in ("subcon", "default") if (sub := getattr(schema, name, None)) is not None]
    return any(_holds(sub, wanted) for sub in inner if isinstance(sub, con.Construct))


def _codes(wanted: Callable[[Any], bool]) -> frozenset[int]:
    return frozenset(code for code in range(256) for row in commands.rows(code) if _holds(row.body.schema, wanted))


SECRET_COMMANDS = _codes(lambda schema: isinstance(schema, Part) and schema.secret is not None)
"""Codes with a body that declares a secret, in any dialect or era."""
PACKED_COMMANDS = _codes(lambda schema: isinstance(schema, BoundedZlib))
"""Codes with a compressed body: its bytes cannot be masked in part."""
LOGINS = frozenset(code for code in SECRET_COMMANDS if any("LOGIN" in row.name for row in commands.rows(code)))
"""Those of them that log somebody in."""


def reading_of(body: Body, fields: Fields) -> str | None:
    """The one-line reading; None where the fields are not this body's (a log's, or another era's)."""
    try:
        return body.reading(fields)
    except (LookupError, TypeError, AttributeError, ValueError):
        return None


def span_kind(span: Span) -> str:
    """What a part is that a schema declares secret."""
    if span.secret == ADDRESS or (span.secret == _KEY and b"@" in span.raw):
        # A login read with the wrong dialect has an address where the token belongs.
        return patterns.MAIL_ADDRESS
    return patterns.TOKEN if span.secret == _KEY else patterns.PASSWORD
