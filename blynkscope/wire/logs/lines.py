"""What stands in front of a line: clocks of boards, terminals and loggers, and what copying added.

`peel` takes prefixes off one line, `split_glued` cuts a line in which several were printed into one. Neither knows what
a line means.
"""

from __future__ import annotations

import html
import re
from calendar import timegm
from datetime import UTC, datetime

import msgspec

from blynkscope.wire.logs import brackets

_PREFIXES_MAX = 6
"""Prefixes that are taken off one line: forum quote, container, wall clock, level, board clock, and one to spare."""

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_MONTHS_OF_YEAR = 12
_YEAR_UNKNOWN = 2000
"""Stands in for the year where a stamp has none: a leap year, so that every date exists in it."""

_MONTH = "(?P<mon>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = r"(?P<h>[0-2]?\d):(?P<m>[0-5]\d):(?P<s>[0-6]\d)(?:[.,:](?P<f>\d{1,9}))?"
_DATE = r"(?P<Y>\d{4})[-/.](?P<M>[01]?\d)[-/.](?P<D>[0-3]?\d)"
_ZONE = r"(?:[ ]?(?P<zone>Z|[+-][01]\d:?[0-5]\d)(?=[\]\s]|$))?"
# Behind a terminal's clock there is an arrow, a bar, a bracket, or only a blank.
_BEHIND = r"(?:[ ]?(?:->|=>|→|\u2013>|\u2014>|-&gt;)[ ]?|[ ]*>[ ](?=\[)|[ ]?[|][ ]|[ ]-[ ]|:[ ]|[ ]+|$)"

_DATED = re.compile(rf"\[?{_DATE}[T ,]+{_TIME}{_ZONE}\]?{_BEHIND}")
_SLASHED = re.compile(rf"\[?(?P<M>[0-3]?\d)(?P<sep>[/.])(?P<D>[0-3]?\d)(?P=sep)(?P<Y>\d{{4}})[ ,]+{_TIME}\]?{_BEHIND}")
"""`5/20/2016 13:10:22`, as American programs print it; a first number above 12 is a day."""
_CLOCK = rf"{_TIME}\]?{_BEHIND}"
_NAMED = re.compile(rf"\[?(?P<D>\d{{1,2}})[ ]{_MONTH}[ ]{_CLOCK}")
_SYSLOG_DATE = re.compile(rf"\[?{_MONTH}[ ]+(?P<D>\d{{1,2}})[ ]{_CLOCK}")
_BRACED = re.compile(rf"\[{_TIME}\][ ]?(?:->[ ]?)?")
_WALL = re.compile(rf"{_TIME}{_BEHIND}")
_EPOCH = re.compile(r"(?P<e>1\d{9})(?:\.(?P<f>\d{1,6}))?[ ]+(?:LOG|WARN|EVT|ERR|DBG|INFO)?[ ]?")
# A stamp that lost its first bracket when it was copied counts in front of a print alone.
_BOARD = re.compile(r"\[(\d{1,10})\](?:[ ]|(?=[<>])|$)|(\d{2,10})\][ ](?=[<>](?:\[[0-9a-fA-F]{2}[|\]]|[^\s<>]))")
_IDF = re.compile(r"[EWIDV] \((\d{1,10})\)(?:[ ]|$)")
_PARTICLE = re.compile(r"(\d{10}) (?=\[[\w.]{1,60}\] (?:TRACE|INFO|WARN|ERROR|PANIC): )")
_ARDUINO_IDF = re.compile(r"\[[ ]*(\d{1,10})\](?=\[[EWIDV]\])")
_SYSLOG = re.compile(r"(?:[A-Za-z][\w.-]{0,63}[ ])?[A-Za-z][\w./-]{0,63}\[\d{1,7}\]:[ ]")
_CONTAINER = re.compile(r"(?:\d{1,3}\|[\w.-]{1,40}|[A-Za-z][\w.-]{0,60}[_-]\d{1,3})[ ]*\|[ ]")
_LOGGING = re.compile(
    r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL):[\w.]{1,60}:|(?:[\w.]{1,60} - )?(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) - "
)
_ARROW = re.compile(r"(?:\u2014|\u2013|--?|=)>[ ]?(?:Blynk Log:[ ]?)?|Blynk Log:[ ]?")
# What forums put in front of a line; taken for that only where a stamp or a frame follows.
_QUOTE = re.compile(
    r"(?:>[ ]?|[-*+\u2022][ ]|\d{1,4}[.)][ ]|\*\*|__|`{1,3}|[|][ ])"
    r"(?=[ >*`]*(?:\[\d{1,10}\](?:[ ]|$)|[<>][ ]?[^\s\[]?\[[0-9a-fA-F]{2}[|\]]|[<>]msg[ ]\d|\d\d:\d\d:\d\d))"
)
_UNESCAPED = re.compile(r"<|(?<!-)>(?! )")
"""Characters that a text in HTML does not hold: it was copied as it is."""
_ANSI = re.compile(r"\x1b\[[0-9;?]{0,16}[ -/]?[@-~]")
_GLUED = re.compile(
    r"\[(0|[1-9]\d{0,9})\][ ]?(?=[<>]|Connect|Ready|Redirect|Login|Free RAM|IP|My IP|Packet too|Invalid|Cmd |Heartbeat"
    r"|Disconn|Sent |BLE |Bad hdr|Blynk|AT version|[ \t]*$)"
)
_BYTES = re.compile(r"\[[0-9a-fA-F]{2}\|")
_GROUP_LIKE = 2
"""Digits of a stamp that could as well be a byte in a body."""
_QUOTED = re.compile(r"['\"\u2018\u2019\u201c\u201d{]")
_FOREIGN = re.compile(r"[^\x00-\x7e\u2018\u2019\u201c\u201d]")
_NOISE_MIN = 3
"""Characters of boot noise that make a line's beginning noise."""
_PRINT_MAX = 2048
"""Characters of a print that are read to tell whether a message ends with it."""


class Stamp(msgspec.Struct, frozen=True):
    """A line without its prefixes.

    `board` is the board's clock in milliseconds since boot (`clock` names it: `ms` for `[1234]`, `idf` for
    `I (1234)`), `wall` the outer clock in seconds: since the epoch if `dated`, else since some midnight.
    """

    text: str
    board: int | None = None
    clock: str = ""
    wall: float | None = None
    dated: bool = False


def clean(line: str) -> str:
    """A line without terminal colours and with the characters that HTML made of `<`, `>` and `&`."""
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    if "&" in line:
        line = line if _UNESCAPED.search(line) else html.unescape(line)
    if "\ufeff" in line or "\u200b" in line:
        line = line.replace("\ufeff", "").replace("\u200b", "")
    return line.replace("\u00a0", " ")


def split_glued(line: str) -> list[str]:
    """Cut where the board's clock stands in the middle: after boot noise, or where a line break was lost."""
    cuts: list[int] = []
    for match in _GLUED.finditer(line):
        at = match.start()
        if not line[:at].strip():
            continue
        if not _ends_here(line, cuts[-1] if cuts else 0, match):
            continue
        if not _before_cut(line, at):
            continue
        cuts.append(at)
    if not cuts:
        return [line]
    return [line[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(line)], strict=True)]


def _ends_here(line: str, begin: int, match: re.Match[str]) -> bool:
    """Whether the line may end before this stamp: `[00] ` and `[12]` in a body are bytes."""
    follows = line[match.end() : match.end() + 1]
    before = line[max(begin, match.start() - _PRINT_MAX) : match.start()]
    text = peel(before).text
    if not follows.strip():
        return text in ("<", ">")  # the board restarted while it printed
    if not text.startswith(("<", ">")):
        if _QUOTED.search(text) is not None and len(_FOREIGN.findall(before)) < _NOISE_MIN:
            return False
        return len(match.group(1)) != _GROUP_LIKE or _BYTES.search(before) is None
    return brackets.whole(text[1:]) or (follows in "<>" and len(match.group(1)) != _GROUP_LIKE)


def _before_cut(line: str, at: int) -> bool:
    """Whether the text before may end here: not inside the prefixes of the same line."""
    before = line[max(at - 160, 0) : at]
    return not before.rstrip().endswith(("->", "→", "=>", "|", "[info]", "-")) and not _only_prefix(before)


def _only_prefix(before: str) -> bool:
    return len(before) < 160 and not peel(before).text.strip(" *>`-\t")


def peel(line: str) -> Stamp:
    """Take the prefixes off. Blanks at the end stay: they may be bytes of a frame."""
    text, board, clock, wall, dated = line.lstrip(" \t\0"), None, "", None, False
    tagged = False
    for _ in range(_PREFIXES_MAX):
        if match := _QUOTE.match(text):
            text = text[match.end() :].lstrip(" ")
        elif board is None and (match := _BOARD.match(text)):
            board, clock, text = int(match.group(1) or match.group(2)), "ms", text[match.end() :]
            if text.startswith(("  <", "  >", " <", " >")):
                text = text.lstrip(" ")
            break
        elif board is None and (match := _IDF.match(text) or _ARDUINO_IDF.match(text)):
            board, clock, text = int(match.group(1)), "idf", text[match.end() :]
        elif board is None and (match := _PARTICLE.match(text)):
            board, clock, text = int(match.group(1)), "ms", text[match.end() :]
        elif wall is None and (match := _DATED.match(text)):
            wall, dated = _dated(match), True
            text = text[match.end() :].lstrip(" ")
        elif wall is None and (match := _SLASHED.match(text)):
            wall, dated = _slashed(match), True
            text = text[match.end() :].lstrip(" ")
        elif wall is None and (match := _NAMED.match(text) or _SYSLOG_DATE.match(text)):
            wall = _named(match)
            text = text[match.end() :].lstrip(" ")
        elif wall is None and (match := _WALL.match(text) or _BRACED.match(text)):
            wall = _wall(match)
            text = text[match.end() :]
            text = text if text[:1] != " " else text.lstrip(" ")
        elif wall is not None and tagged and (match := _NAMED.match(text) or _DATED.match(text)):
            text = text[match.end() :].lstrip(" ")  # the clock of the program, behind that of the journal
        elif wall is None and (match := _EPOCH.match(text)):
            wall, dated = int(match["e"]) + _fraction(match["f"]), True
            text = text[match.end() :]
        elif (match := _CONTAINER.match(text) or _ARROW.match(text) or _LOGGING.match(text)) or (
            wall is not None and (match := _SYSLOG.match(text)) and not text.startswith("socat")
        ):
            text, tagged = text[match.end() :], True
        else:
            break
    return Stamp(text, board, clock, wall, dated)


def _fraction(digits: str | None) -> float:
    return int(digits) / 10 ** len(digits) if digits else 0.0


def _of_day(hours: str, minutes: str, seconds: str, fraction: str | None) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + _fraction(fraction)


def _day(year: int, month: int, day: int) -> float:
    """Seconds since the epoch of a midnight, UTC; of the nearest date where there is no such one."""
    try:
        return float(timegm(datetime(year, month, day, tzinfo=UTC).timetuple()))
    except ValueError:
        return float(timegm(datetime(max(year, 1970), max(1, min(month, 12)), 1, tzinfo=UTC).timetuple()))


def _dated(match: re.Match[str]) -> float:
    midnight = _day(int(match["Y"]), int(match["M"]), int(match["D"]))
    zone = match["zone"]
    shift = 0
    if zone and zone != "Z":
        shift = (int(zone[1:3]) * 60 + int(zone[-2:])) * 60 * (-1 if zone[0] == "-" else 1)
    return midnight - shift + _wall(match)


def _slashed(match: re.Match[str]) -> float:
    one, two = int(match["M"]), int(match["D"])
    month, day = (two, one) if one > _MONTHS_OF_YEAR or match["sep"] == "." else (one, two)
    return _day(int(match["Y"]), month, day) + _wall(match)


def _named(match: re.Match[str]) -> float:
    return _day(_YEAR_UNKNOWN, _MONTHS[match["mon"].lower()], int(match["D"])) + _wall(match)


def _wall(match: re.Match[str]) -> float:
    return _of_day(match["h"], match["m"], match["s"], match["f"])
