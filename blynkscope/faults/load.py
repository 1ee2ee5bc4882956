"""From TOML to rules: every mistake is told with its place, before a single byte is relayed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

from blynkscope.analysis.filters import compile_filter
from blynkscope.analysis.records import FrameRecord
from blynkscope.errors import FilterError
from blynkscope.faults import actions
from blynkscope.faults.model import (
    FILE_MAX,
    NAME_MAX,
    NUMBER_MAX,
    RULES_MAX,
    TIME_MAX,
    FaultsError,
    Rule,
    RuleSet,
)
from blynkscope.faults.places import Path, Places
from blynkscope.faults.reader import Reader, kind_of, shown
from blynkscope.protocol import commands

DESCRIPTION_MAX = 200
"""Characters of a file's description, which is one line of a list."""
_FILE_KEYS = ("description", "seed", "rule")
_CONDITIONS = (
    "name", "match", "direction", "answers", "after", "count", "every", "probability", "connection", "from", "until",
    "forward",
)  # fmt: skip
_CONNECTIONS_MAX = 1000
_NEAR = 20
"""Characters that are shown of a filter on each side of a mistake."""
_SYNTAX = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*+\"|'(?:[^'\\]|\\.)*+'")
_LATER_ONLY = re.compile(r"(?<![\w.])(findings|protocol|kind)(?![\w.])")


def load(source: FilePath | str, *, name: str = "") -> RuleSet:
    """The rules of a file, or of a text.

    Args:
        source: A path, or the TOML text itself.
        name: How messages call it; by default the path as it was given, or `<rules>`.

    Raises:
        FaultsError: It cannot be read, is no TOML, or no rules; the message knows line and column.
    """
    name = name or (str(source) if isinstance(source, FilePath) else "<rules>")
    if isinstance(source, FilePath):
        try:
            with source.open("rb") as file:
                data = file.read(FILE_MAX + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise FaultsError(f"cannot be read: {reason}", name) from None
    else:
        data = source.encode("utf-8", "surrogatepass")
    if len(data) > FILE_MAX:
        raise FaultsError(f"longer than {FILE_MAX // 1024} KiB, so it is hardly a rules file", name)
    text = _decoded(data, name)
    try:
        places = Places(text.replace("\r\n", "\n"))
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(error, text, name) from None
    except RecursionError:
        raise FaultsError("nested too deeply", name, 1, 1) from None
    except ValueError as error:  # a number of more digits than Python converts, a date that does not exist
        raise FaultsError(f"a value cannot be read: {shown(error)}", name, 1, 1) from None
    return _rule_set(document, Reader(name, places))


def _decoded(data: bytes, name: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FaultsError("the file is UTF-16: save it as UTF-8", name, 1, 1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise FaultsError("not UTF-8: save the file as UTF-8", name, line, column) from None


def _syntax(error: tomllib.TOMLDecodeError, text: str, name: str) -> FaultsError:
    found = _SYNTAX.fullmatch(str(error))
    if found is None:
        return FaultsError(f"no TOML: {shown(error)}", name, 1, 1)
    reason = found[1][:1].lower() + found[1][1:]
    if found[2]:
        return FaultsError(f"no TOML: {reason}", name, int(found[2]), int(found[3]))
    lines = text.split("\n")
    return FaultsError(f"no TOML: {reason} at the end", name, len(lines), len(lines[-1]) + 1)


def _rule_set(document: dict[str, Any], reader: Reader) -> RuleSet:
    if not document:
        raise FaultsError("no rules in it: begin with [[rule]]", reader.name, 1, 1)
    reader.keys((), document, _FILE_KEYS, "key")
    description, seed = "", None
    if "description" in document:
        description = reader.text(("description",), document["description"], DESCRIPTION_MAX)
    if "seed" in document:
        seed = reader.whole(("seed",), document["seed"], 0, 2**63 - 1)
    listed = document.get("rule")
    if listed is None:
        raise FaultsError("no rules in it: begin with [[rule]]", reader.name, 1, 1)
    if not isinstance(listed, list):
        reader.wrong(("rule",), "a rule begins with [[rule]], in two pairs of brackets")
    if not 1 <= len(listed) <= RULES_MAX:
        reader.wrong(("rule",), f"1 to {RULES_MAX} rules are expected, not {len(listed)}")
    rules: list[Rule] = []
    names: dict[str, int] = {}
    for index, table in enumerate(listed):
        path: Path = ("rule", index)
        reader.about = f"rule {index + 1}: "
        made = _rule(reader, path, reader.table(path, table), index)
        if made.name in names:
            place = reader.places.value((*path, "name"))
            reader.fail(f"line {names[made.name]} has a rule of this name already", place)
        names[made.name] = made.line
        rules.append(made)
    return RuleSet(reader.name, tuple(rules), description, seed)


def _rule(reader: Reader, path: Path, table: dict[str, Any], index: int) -> Rule:
    name = f"rule {index + 1}"
    if "name" in table:
        name = reader.text((*path, "name"), table["name"], NAME_MAX)
        if not name.isprintable():
            reader.bad((*path, "name"), "printable characters are expected")
        reader.about = f'rule "{name}": '
    reader.keys(path, table, (*_CONDITIONS, *actions.ACTIONS), "action")
    facts: dict[str, Any] = {}
    expression = ""
    if "match" in table:
        expression, facts["match"] = _match(reader, (*path, "match"), table["match"])
    simple: dict[str, Callable[[Path, Any], Any]] = {
        "after": lambda at, value: reader.whole(at, value, 0, NUMBER_MAX),
        "count": lambda at, value: reader.whole(at, value, 1, NUMBER_MAX),
        "every": lambda at, value: reader.whole(at, value, 1, NUMBER_MAX),
        "from": lambda at, value: reader.seconds(at, value, TIME_MAX),
        "until": lambda at, value: reader.seconds(at, value, TIME_MAX),
        "delay": lambda at, value: actions.delay(reader, at, value),
        "duplicate": lambda at, value: actions.duplicate(reader, at, value),
        "split": lambda at, value: actions.split(reader, at, value),
        "merge": lambda at, value: actions.merge(reader, at, value),
        "reorder": lambda at, value: actions.reorder(reader, at, value),
        "stall": lambda at, value: actions.stall(reader, at, value),
        "answer": lambda at, value: actions.answers(reader, at, value),
        "direction": lambda at, value: actions.direction(reader, at, value),
        "probability": lambda at, value: _probability(reader, at, value),
        "connection": lambda at, value: _connections(reader, at, value),
        "answers": lambda at, value: _commands(reader, at, value),
    }
    renamed = {"from": "begin", "direction": "directions", "connection": "connections"}
    for key, read in simple.items():
        if key in table:
            facts[renamed.get(key, key)] = read((*path, key), table[key])
    if "until" in facts and facts["until"] <= facts.get("begin", 0.0):
        reader.bad((*path, "until"), "the rule never holds: until must be later than from")
    for key in ("pass", "drop", "close", "reset"):
        if key in table:
            reader.only_true((*path, key), table[key])
    forward = reader.flag((*path, "forward"), table["forward"]) if "forward" in table else False
    facts["edits"] = tuple(actions.edits(reader, path, table))
    actions.contradictions(reader, path, table, forward)
    return Rule(
        name=name, line=reader.places.key(path).line, expression=expression, passes="pass" in table,
        forward="drop" not in table and ("answer" not in table or forward),
        ending="close" if "close" in table else "reset" if "reset" in table else None, **facts,
    )  # fmt: skip


def _match(reader: Reader, path: Path, value: Any) -> tuple[str, Callable[[FrameRecord], bool]]:
    if not isinstance(value, str):
        reader.bad(path, f"a filter is expected, like 'cmd == HW and pin == V1', not {kind_of(value)}")
    try:
        compiled = compile_filter(value)
    except FilterError as error:
        place = reader.places.inside(path, error.position)
        reader.fail(f"match is no filter: {' '.join(str(error).split())}{_near(error)}", place)
    bare = _QUOTED.sub(lambda found: " " * len(found.group()), value)
    late = _LATER_ONLY.search(bare)
    if late is not None:
        reader.fail(f"match: a frame on its way has no {late[1]}", reader.places.inside(path, late.start()))
    if compiled.about_states:
        reader.bad(path, "what became of a write is known only after it passed; ask for cmd, pin or value")
    return value, compiled.matches


def _near(error: FilterError) -> str:
    """Which part of the filter is meant; all of a message is one line, as whoever prints it shows no others."""
    around = error.expression[max(0, error.position - _NEAR) : error.position + _NEAR]
    return f" (near {' '.join(around.split())!r})" if around.strip() else ""


def _probability(reader: Reader, path: Path, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        said = shown(value) if isinstance(value, int | float) and not isinstance(value, bool) else kind_of(value)
        reader.bad(path, f"a number above 0 and up to 1 is expected, not {said}")
    return float(value)


def _connections(reader: Reader, path: Path, value: Any) -> frozenset[int]:
    many = value if isinstance(value, list) else [value]
    if not 1 <= len(many) <= _CONNECTIONS_MAX:
        reader.bad(path, f"1 to {_CONNECTIONS_MAX} numbers of connections are expected")
    return frozenset(
        reader.whole((*path, index) if many is value else path, one, 1, NUMBER_MAX) for index, one in enumerate(many)
    )


def _commands(reader: Reader, path: Path, value: Any) -> frozenset[int]:
    many = value if isinstance(value, list) else [value]
    if not many:
        reader.bad(path, "names of commands are expected")
    found: set[int] = set()
    for index, one in enumerate(many):
        code = reader.command((*path, index) if many is value else path, one)
        found |= {row.code for row in commands.named(one)} if isinstance(one, str) else {code}
    return frozenset(found)
