"""How a message of another protocol is shown: an HTTP call with its answer, an MQTT packet. Records are redacted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from blynkscope.analysis.records import LinkRecord, MessageRecord
from blynkscope.render.console import cells, fit
from blynkscope.render.safe import safe_line
from blynkscope.render.spans import duration

CALL_MAX = 2000
"""Characters of a reading that are looked at before it is cut: more than one of a real call has."""
_FRAMES_SHOWN = 4
_ERRORS_FROM = 400
"""HTTP statuses from here on say that the call failed."""
_REFUSED_FROM = 0x80
"""Reason codes of MQTT from here on are errors (MQTT 5, section 2.4); before, only those of a CONNACK are."""
_BROKEN = frozenset({"malformed", "cut", "lost"})
_NAME_MAX = 40
_TITLED = len("MQTT CONNECT")
_CAUSED = re.compile(r", device (?:INTERNAL )?(HW|ota) (#\d{1,9}+(?:, (?:#\d{1,9}+|…)){0,8}+)(?: \(id \d{1,5}\))?\Z")
_LINKED = re.compile(
    r"(?:,(?: device)? (?:INTERNAL )?(?:HW|ota) #\d{1,9}+(?:, (?:#\d{1,9}+|…)){0,8}+(?: \(id \d{1,5}\))?"
    r"| → #\d{1,9}+(?:, #\d{1,9}+){0,8}+(?: and \d{1,9} more)?)\Z"
)
"""The frames that a call caused, at the end of its reading."""
_FOLDERS = "/external/api/"
"""Before every function of Blynk IoT's API."""


def number_of(n: int) -> str:
    """`m12`: messages have numbers of their own, which are not to be taken for those of frames."""
    return f"m{n}"


def title_of(record: MessageRecord, room: int = _NAME_MAX) -> str:
    """`HTTP PUT`, `MQTT PUBLISH`; without the protocol, for all alike, where the room is too small for most."""
    name = safe_line(record.name, _NAME_MAX)
    whole = f"{safe_line(record.protocol.upper(), 12)} {name}"
    return whole if room >= _TITLED and len(whole) <= room else name


def reading_of(record: MessageRecord, limit: int) -> str:
    """The line to show, without the name that stands before it; not yet safe."""
    # Long values are cut before they are looked at.
    text = record.text if len(record.text) <= limit else record.text[:limit] + "…"
    if not text.startswith(record.name):
        return text
    rest = text[len(record.name) :]
    return rest[2:] if rest[:2] == ": " else rest[1:] if rest[:1] == " " else rest and text


def status_of(record: MessageRecord) -> int | None:
    """The status of an HTTP answer, where there is one."""
    status: Any = record.detail.get("status")
    return status if isinstance(status, int) and not isinstance(status, bool) else None


def failed(record: MessageRecord) -> bool:
    """Was it refused, or is it an error?"""
    status = status_of(record)
    if record.protocol == "http":
        return status is not None and status >= _ERRORS_FROM
    code = record.detail.get("return_code") or record.detail.get("code") or 0
    refused = isinstance(code, int) and (code >= _REFUSED_FROM or record.name == "CONNACK") and code != 0
    return refused or bool(record.detail.get("failed")) or record.kind in _BROKEN


def briefer(text: str, record: MessageRecord) -> Iterator[str]:
    """The reading, and forms of it that say the same of a call in less room, the longest first.

    The token goes first: it is the same in row after row. Pin, value, status and the frames that it caused stay.

    Args:
        text: What `reading_of` gives, safe to show.
        record: The message.
    """
    yield text
    if record.protocol != "http":
        return
    token = record.detail.get("token")
    if isinstance(token, str) and token:
        token = safe_line(token, CALL_MAX)
        text = text.replace(f"/{token}", "/…", 1).replace(f"token={token}", "…", 1)
        yield text
    text = _CAUSED.sub(r", \1 \2", text)
    yield text
    yield text.replace(_FOLDERS, "…/", 1)


def shortened(text: str, record: MessageRecord, room: int) -> str:
    """The reading cut to `room` columns. Of a call the answer stays, and the URL is cut.

    Args:
        text: What `reading_of` gives, safe to show.
        record: The message.
        room: Columns.
    """
    brief = text
    for brief in briefer(text, record):
        if cells(brief) <= room:
            return brief
    text = brief
    at = _answer_at(text, record)
    if at < 0:
        return fit(text, room)
    asked, answer = text[:at], text[at:]
    linked = _LINKED.search(answer)
    link = linked[0] if linked is not None and cells(linked[0]) <= room // 2 else ""
    most = max(room // 2, room - cells(asked))
    answer = fit(answer.removesuffix(link), max(most - cells(link), 0)) + link
    return fit(asked, max(room - cells(answer), 0)) + answer


def _answer_at(text: str, record: MessageRecord) -> int:
    if record.protocol != "http":
        return -1
    status = status_of(record)
    return text.rfind(f" → {status}") if status is not None else text.rfind(" → ")


def caused(record: MessageRecord) -> str:
    """`#31, #32`: frames that it caused, where the line to show does not name them."""
    return _listed([frame for frame in record.frames if f"#{frame}" not in record.text])


def took(record: MessageRecord) -> str:
    """How long the answer took, "" where that is unknown."""
    return duration(record.rtt_ms) if record.rtt_ms is not None else ""


def link_text(record: LinkRecord) -> str:
    """`m3 caused #31`."""
    return f"{number_of(record.message)} caused #{record.frame}"


def _listed(frames: Iterable[int]) -> str:
    numbers = list(frames)
    shown = ", ".join(f"#{frame}" for frame in numbers[:_FRAMES_SHOWN])
    return shown + (f" and {len(numbers) - _FRAMES_SHOWN} more" if len(numbers) > _FRAMES_SHOWN else "")
