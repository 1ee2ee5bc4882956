"""BS116, BS118: a serial gateway that is connected, and a device behind it that says nothing; a port it cannot open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.quotes import quote
from blynkscope.wire.events import LOG_END

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Line

_RUNNING = re.compile(r"InOut\(\) START|starting data transfer loop|Connect\(.{0,200}- OK")
PORTS_MAX = 64
"""Ports that are told apart."""
_OTHER_CAUSES = frozenset({"eof", "certificate-error", "tls-error", "refused", "dns-failure", "unreachable", "timeout"})
"""Kinds of lines that tell another reason why nothing is said."""


class SilentDevices(StreamRule):
    """BS116: told when a log with a running gateway ends without a frame."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._line: int | None = None
        self._signal: str | None = None
        self._other = False
        self._ports: set[tuple[int, str]] = set()

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == "gateway":
            if "failed" in line.facts:
                self._other = True
                self._closed_port(str(line.facts.get("device") or "the port"), line)
            if self._line is None and _RUNNING.search(line.text[:400]):
                self._line = line.line
            if line.facts.get("line") and line.facts.get("level") == "OFF":
                self._signal = str(line.facts["line"])[:8]
        elif line.kind in _OTHER_CAUSES:
            self._other = True
        elif line.kind == LOG_END:
            self._end(line.facts)

    def _closed_port(self, device: str, line: Line) -> None:
        if (self.run.source, device) in self._ports or len(self._ports) >= PORTS_MAX:
            return
        self._ports.add((self.run.source, device))
        why = str(line.facts["failed"]).rstrip(". ")
        detail = f"Line {line.line} of the log: {quote(device)} could not be opened ({quote(why, 60)})."
        self.report("BS118", None, count=1, detail=detail)

    def _end(self, facts: dict[str, Any]) -> None:
        line, signal, other = self._line, self._signal, self._other
        self._line, self._signal, self._other = None, None, False
        if line is None or other or facts.get("frames") != 0:
            return
        detail = f"The gateway is connected (line {line} of the log), and nothing came from the device"
        detail += f"; {signal} is OFF." if signal else "."
        self.report("BS116", None, count=1, detail=detail)


RULES: tuple[type[StreamRule], ...] = (SilentDevices,)
