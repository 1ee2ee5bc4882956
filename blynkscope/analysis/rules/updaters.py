"""What the updaters of boards say when they fail, and which finding that is."""

from __future__ import annotations

import re
from typing import NamedTuple

_BAD_STATUS = 400
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
REASON_MAX = 96
"""Characters of an updater's own words that are shown."""
_STATUS = re.compile(r"\b([345]\d\d)\b")
_REFUSED = re.compile(r"refused|not connected|unable to connect|connection failed|connect failed", re.IGNORECASE)
_TIMEOUT = re.compile(r"time[d]? ?out|unreachable|no route|dns", re.IGNORECASE)
_QUERY = re.compile(r"\?\S*")
_CODE = re.compile(r"\(error (-?\d{1,6})\)")


class Failure(NamedTuple):
    """A failure as the device tells it. `status` is the HTTP status where it tells one; `meaning` explains it."""

    finding: str
    said: str
    status: int | None = None
    meaning: str = ""


_CODES: dict[int, tuple[str, int | None, str]] = {
    -1: ("BS402", None, "the updater could not connect (it says `connection refused` for every reason)"),
    -2: ("BS408", None, "the request could not be sent"),
    -3: ("BS408", None, "the request could not be sent"),
    -4: ("BS402", None, "the connection was not there any more when it was needed"),
    -5: ("BS408", None, "the connection broke off during the download"),
    -6: ("BS408", None, "the answer had no body"),
    -7: ("BS408", None, "what answered is no HTTP server"),
    -8: ("BS408", None, "there was too little memory for the download"),
    -11: ("BS408", None, "the server accepted the connection and sent nothing in time"),
    -100: ("BS408", None, "the new image does not fit beside the running one"),
    -101: ("BS408", None, "the server did not tell the size: the updater needs a Content-Length"),
    -102: ("BS403", 404, "the file is not there"),
    -103: ("BS403", 403, "the server did not allow it"),
    -104: ("BS403", None, "the server answered with another status than 200, 304, 403 and 404: a redirect, say"),
    -105: ("BS408", None, "the MD5 sum of the header x-MD5 does not fit the file"),
    -106: ("BS408", None, "the file does not begin as an image of this chip does (0xE9): it is no firmware for it"),
    -107: ("BS408", None, "the image was built for another flash size"),
}  # fmt: skip
"""Errors of ESPhttpUpdate (from -100 on) and of the HTTP client below it."""


def failure(reason: str | None, code: int | None) -> Failure:
    """Which failure an updater's words tell of.

    Args:
        reason: What it printed.
        code: Its error number, where it printed one.
    """
    # A URL in it may hold a token.
    words = _QUERY.sub("?…", (reason or "").strip())
    said = words[:REASON_MAX]
    if code is not None:
        said = f"error {code}" + (f": {said}" if said else "")
    known = _CODES.get(code) if code is not None else None
    status = _STATUS.search(words)
    if known is not None:
        finding, told, meaning = known
        if finding == "BS403" and status is not None:
            told = int(status[1])
        return Failure(finding, said, told, meaning)
    if "response should be 200" in words:
        return Failure("BS403", said, None, "the server answered with another status than 200")
    if status is not None and re.search(r"(?i)http|code|found|forbidden|unauthor", words):
        return Failure("BS403", said, int(status[1]))
    if _REFUSED.search(words):
        return Failure("BS402", said)
    if _TIMEOUT.search(words):
        return Failure("BS402", said)
    return Failure("BS408", said, None, _meaning(words))


def _meaning(words: str) -> str:
    lower = words.lower()
    if "space" in lower:
        return "the new image does not fit beside the running one"
    if "content-length" in lower or "report size" in lower:
        return "the server did not tell the size: the updater needs a Content-Length"
    if "written" in lower:
        return "the download broke off"
    if "magic byte" in lower or "bin header" in lower:
        return "the file is no firmware for this chip"
    if "md5" in lower:
        return "the checksum does not fit the file"
    return ""


def code_in(text: str) -> int | None:
    """The updater's error number in a line of text, `(error -1)`; None where there is none."""
    match = _CODE.search(text)
    return int(match[1]) if match is not None else None


def is_bad(status: int) -> bool:
    """Does an updater take this HTTP status for a failure? Redirects are one: it does not follow them."""
    return status >= _BAD_STATUS or status in _REDIRECTS
