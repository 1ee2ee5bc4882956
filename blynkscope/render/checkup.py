"""What a machine has and lacks, as a list for people or as JSON.

The JSON is one object: `schema` (1), `blynkscope` (its version), `system` (name of the operating system), `status`
(`missing` where something essential is, else `warn` where anything is neither `ok` nor `optional`, else `ok`), and
`checks`, a list of objects: `id`, `group`, `title`, `state` (`ok`, `warn`, `missing` or `optional`), `essential` (true
where blynkscope cannot do without), `found` (what is there), `enables` (what it is for), `mend` (lines that say what to
do; empty where nothing is), and `facts` (an object whose keys depend on the `id`). Keys may be added; a change of
meaning raises the number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import IO, Any

import msgspec

from blynkscope.render.console import ColorWish, Palette, cells, colored, width_of, wrapped
from blynkscope.render.safe import safe
from blynkscope.render.streams import binary_of, text_of

SCHEMA = 1
_WIDEST = 120
"""Columns: longer lines are hard to read, however wide the terminal is."""
_TEXT_LEAST = 30
_GAP = "  "
_COMMAND = re.compile(r"`[^`]++`")
_BOUND = "\u00a0"
"""A space at which no line is broken."""


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    """It is there and does its work."""
    WARN = "warn"
    """It is there, and something about it is wrong, old or limited."""
    MISSING = "missing"
    """It is not there, or of no use."""
    OPTIONAL = "optional"
    """It is not there, and not needed."""

    @property
    def is_well(self) -> bool:
        """Is there nothing to mend?"""
        return self in {State.OK, State.OPTIONAL}


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at; see the module for the meaning of the fields.

    Lines of `mend` that begin with `$ ` are commands, which are shown in one piece.
    """

    id: str
    group: str
    title: str
    state: State
    found: str
    enables: str
    mend: tuple[str, ...] = ()
    essential: bool = False
    facts: dict[str, Any] = {}


def overall(checks: Sequence[Check]) -> State:
    """The state of the machine: missing where something essential is, else warn where there is anything to mend."""
    if any(check.essential and check.state is State.MISSING for check in checks):
        return State.MISSING
    return State.OK if all(check.state.is_well for check in checks) else State.WARN


def write_checkup(
    stream: IO[str], form: str, checks: Sequence[Check], *, version: str, system: str, color: ColorWish = "auto"
) -> None:
    """Write the checks.

    Args:
        stream: Where to.
        form: `text` or `json`.
        checks: In the order in which they are shown; those of a group follow each other.
        version: That of blynkscope.
        system: The operating system, for people.
        color: Use colours in the text.
    """
    if form == "json":
        document = {
            "schema": SCHEMA, "blynkscope": version, "system": system, "status": overall(checks),
            "checks": [_fields(check) for check in checks],
        }  # fmt: skip
        binary = binary_of(stream)
        binary.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        binary.flush()
        return
    palette = Palette(colored(stream, color))
    width = min(width_of(stream), _WIDEST)
    lines = [palette.paint("strong", safe(f"blynkscope {version} on {system}"))]
    group = ""
    titles = max((cells(check.title) for check in checks), default=0)
    for check in checks:
        if check.group != group:
            group = check.group
            lines += ["", palette.paint("strong", safe(group))]
        lines += _lines(check, titles, width, palette)
    lines += ["", _closing(checks)]
    text_of(stream).write("".join(f"{line}\n" for line in lines))


def _fields(check: Check) -> dict[str, Any]:
    return {
        "id": check.id, "group": check.group, "title": check.title, "state": check.state,
        "essential": check.essential, "found": check.found, "enables": check.enables,
        "mend": [line.removeprefix("$ ") for line in check.mend], "facts": check.facts,
    }  # fmt: skip


_STYLES = {State.OK: "good", State.WARN: "warning", State.MISSING: "error", State.OPTIONAL: "quiet"}
_STATE_WIDTH = max(map(len, State))


def _lines(check: Check, titles: int, width: int, palette: Palette) -> list[str]:
    style = "warning" if check.state is State.MISSING and not check.essential else _STYLES[check.state]
    head = f"{check.state:<{_STATE_WIDTH}}"
    title = safe(check.title)
    title += " " * (titles - cells(title))
    margin = " " * (_STATE_WIDTH + titles + 2 * len(_GAP))
    room = max(width - len(margin), _TEXT_LEAST)
    found = wrapped(safe(check.found), room)
    lines = [f"{palette.paint(style, head)}{_GAP}{title}{_GAP}{found[0]}", *(margin + line for line in found[1:])]
    lines += [margin + palette.paint("quiet", line) for line in wrapped(f"for: {safe(check.enables)}", room)]
    for line in check.mend:
        shown = safe(line)
        # A command that was broken in two would be copied as two.
        lines += [margin + part for part in ([shown] if line.startswith("$ ") else _prose(f"→ {shown}", room))]
    return lines


def _prose(text: str, width: int) -> list[str]:
    """Sentences in lines; commands in them, between backticks, stay in one line where they fit into one."""
    bound = _COMMAND.sub(lambda match: match[0].replace(" ", _BOUND), text)
    return [line.replace(_BOUND, " ") for line in wrapped(bound, width)]


def _closing(checks: Sequence[Check]) -> str:
    counts = {state: sum(check.state is state for check in checks) for state in State}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    missing = [check.title for check in checks if check.essential and check.state is State.MISSING]
    if missing:
        return safe(f"{said}; blynkscope does not work without: {', '.join(missing)}")
    return f"{said}; all that is essential is there"
