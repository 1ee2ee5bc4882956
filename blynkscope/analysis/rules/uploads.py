"""BS407, and BS403 for what a server says to an upload: firmware on its way to the server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Line
    from blynkscope.wire.facts import Fact

_BAD_STATUS = 400
NAME_MAX = 64
"""Characters of a file's name that are shown."""
_UPLOADS = ("/ota/", "/upload")
"""In the paths under which the servers take firmware."""
_TOKEN = re.compile(r"[0-9A-Za-z_-]{32}")


class Uploads(StreamRule):
    """Watches uploads on the wire, and those that a shell session shows."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._session: dict[str, Any] | None = None
        """The upload that the lines of a log tell of."""

    # --- the wire ---

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        detail = fact.detail
        if fact.kind == "http-request":
            self._settle(stream)
            path = str(detail.get("path"))
            if any(part in path + "/" for part in _UPLOADS) and not path.startswith("/static/"):
                memory = self.of(stream)
                memory.update(path=path, method=detail.get("method"), form=bool(detail.get("multipart")), file=None)
                memory.update(status=None, length=detail.get("length"))
        elif stream.memories.get(id(self)):
            memory = self.of(stream)
            if fact.kind == "http-body" and lane is stream.client:
                memory["file"] = detail.get("multipart_file")
            elif fact.kind == "http-response" and isinstance(detail.get("status"), int) and detail["status"] >= 200:
                memory["status"] = detail["status"]

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        self._settle(stream)

    def _settle(self, stream: Conversation) -> None:
        """One request and its answer are over."""
        memory: dict[str, Any] | None = stream.memories.get(id(self))
        if not memory:
            return
        status, failed = memory["status"], (memory["status"] or 0) >= _BAD_STATUS
        what = f"{memory['method']} {_shown(memory['path'])}"
        answer = f" and was answered with {status}" if status is not None else ""
        if memory["form"] and memory["file"] is False:
            size = f" ({memory['length']} bytes)" if memory["length"] is not None else ""
            detail = f"The form of {what}{size} has no part with a file{answer}."
            self.report("BS407", stream, detail=detail)
        elif failed:
            self.report("BS403", stream, detail=f"{what} was answered with {status}.")
        stream.memories.pop(id(self))

    # --- a shell session ---

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        facts = line.facts
        if line.kind == "upload":
            self._close(None)
            self._session = {
                "stream": stream.number if stream is not None else None,
                "line": line.line,
                "bare": bool(facts.get("multipart_without_file")),
                "file": str(facts.get("file") or ""),
            }
        elif self._session is None:
            return
        elif line.kind == "http" and isinstance(facts.get("status"), int) and facts["status"] >= 200:
            self._close(facts["status"])
        elif line.kind == "log-end":
            self._close(None)

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """See `StreamRule`."""
        self._close(None)

    def _close(self, status: int | None) -> None:
        """The upload of a session is answered, or the session goes on without an answer."""
        session, self._session = self._session, None
        if session is None:
            return
        answer = f"; the server answered {status}" if status is not None else ""
        if session["bare"]:
            name = session["file"][:NAME_MAX]
            detail = (
                f"Line {session['line']} gives curl -F file={name} without an @, so the form holds the text {name!r} "
                f"and not the file{answer}."
            )
            self.report(
                "BS407", session["stream"], count=1, detail=detail,
                fix=f"Write -F file=@{name}: the @ makes curl send the content of the file.",
            )  # fmt: skip
        elif status is not None and status >= _BAD_STATUS:
            detail = f"The upload of line {session['line']} was answered with {status}."
            self.report("BS403", session["stream"], count=1, detail=detail)


def _shown(path: str) -> str:
    """A path for people; one that holds a token without it."""
    return _TOKEN.sub("…", path)[:96]


RULES: tuple[type[StreamRule], ...] = (Uploads,)
