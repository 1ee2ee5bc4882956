"""How a message of another protocol is shown: an HTTP call with its answer, an MQTT packet. Records are redacted."""

from __future__ import annotations

from collections.abc import Iterable
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


def number_of(n: int) -> str:
    """`m12`: messages have numbers of their own, which are not to be taken for those of frames."""
    return f"m{n}"


def title_of(record: MessageRecord, room: int = _NAME_MAX) -> str:
    """`HTTP PUT`, `MQTT PUBLISH`; without the protocol where the room is too small."""
    name = safe_line(record.name, _NAME_MAX)
    whole = f"{safe_line(record.protocol.upper(), 12)} {name}"
    return whole if len(whole) <= room else name


def reading_of(record: MessageRecord, limit: int) -> str:
    """The line to show, without the name that stands before it; not yet safe."""
    # Long values are cut before they are looked at.
    text = record.text if len(record.text) <= limit else record.text[:limit] + "…"
    return "" if text == record.name else text.removeprefix(f"{record.name} ")


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


def shortened(text: str, record: MessageRecord, room: int) -> str:
    """The reading cut to `room` columns. Of a call the answer stays, and the URL is cut.

    Args:
        text: What `reading_of` gives, safe to show.
        record: The message.
        room: Columns.
    """
    if cells(text) <= room:
        return text
    at = text.rfind(f" → {status_of(record)}")
    if at < 0:
        return fit(text, room)
    answer = fit(text[at:], max(room // 2, room - cells(text[:at])))
    return fit(text[:at], max(room - cells(answer), 0)) + answer


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
