"""Firmware updates as logs tell of them: the URL that a board prints, and what it says next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blynkscope.analysis.rules import updaters
from blynkscope.analysis.rules.orders import ORDERS_MAX, Order, Orders

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.wire.events import Line

_FAILS = frozenset({"refused", "unreachable", "timeout", "dns-failure", "tls-error", "certificate-error", "http"})
"""Kinds of text that tell, while an update runs, why it failed."""
_UNREACHABLE = frozenset({"refused", "unreachable", "timeout", "dns-failure"})
_UPDATING, _FAILED = "OTA_UPGRADE", "ERROR"
"""States of Edgent, and of the template before it."""


class PrintedUpdates(Orders):
    """The part of the updates' rule that reads logs."""

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        facts, kind = line.facts, line.kind
        if kind == "ip" and isinstance(facts.get("ip"), str):
            if len(self.ips) < ORDERS_MAX:
                self.ips[self.run.source] = facts["ip"]
            return
        if kind == "ota" and facts.get("url"):
            self.ordered(stream, str(facts["url"]), None, line.time)
            return
        order = self.orders.get(self.key(stream)) or self.orders.get(self.key(None))
        if kind == "ota":
            self._says(stream, order, line)
        elif kind == "state":
            if facts.get("from") == _UPDATING and facts.get("to") == _FAILED and not (order and order.settled):
                self.fails(stream, order, "BS408", f"Line {line.line} of the log: {line.text[: updaters.REASON_MAX]}.")
        elif order is not None and not order.settled and self._runs(stream, order):
            if kind in _FAILS:
                self._explains(stream, order, line)
            elif kind == "crash":
                after = ""
                if line.time is not None and order.time is not None:
                    after = f" {line.time - order.time:.1f} s after it was told the URL"
                self.fails(stream, order, "BS408", f"The device crashed{after} (line {line.line} of the log).")

    @staticmethod
    def _runs(stream: Conversation | None, order: Order) -> bool:
        """Is the update still going on? It ends with the next connection."""
        return stream is None or order.stream is None or stream.number == order.stream

    def _says(self, stream: Conversation | None, order: Order | None, line: Line) -> None:
        status = line.facts.get("status")
        if status in {"ok", "none"}:
            if order is not None:
                order.settled = True
        elif status == "failed" and not (order and order.settled):
            self._tells(stream, order, line, line.facts.get("reason"), line.facts.get("code"))

    def _explains(self, stream: Conversation | None, order: Order, line: Line) -> None:
        """A line that is no updater's own, while an update runs."""
        facts = line.facts
        status = facts.get("status")
        if isinstance(status, int):
            if updaters.is_bad(status):
                self._tells(stream, order, line, f"HTTP status {status}", None)
        elif line.kind != "http" or facts.get("reason"):
            code = updaters.code_in(line.text)
            self._tells(stream, order, line, line.text if line.kind != "http" else str(facts["reason"]), code)

    def _tells(
        self, stream: Conversation | None, order: Order | None, line: Line, reason: str | None, code: int | None
    ) -> None:
        """The device says why it failed."""
        failure = updaters.failure(reason, code)
        name = failure.finding
        if line.kind in _UNREACHABLE and name == "BS408":
            name = "BS402"
        if order is not None and order.is_https and name in {"BS402", "BS408"}:
            name = "BS404"
        of = f" of {order.url}" if order is not None else ""
        detail = f"The update{of} failed: line {line.line} of the log says {failure.said}"
        if failure.status is not None and str(failure.status) not in failure.said:
            detail += f" (HTTP {failure.status})"
        detail += f"; {failure.meaning}" if failure.meaning else ""
        self.fails(stream, order, name, detail + (self.because(order) if name == "BS402" else "."))
