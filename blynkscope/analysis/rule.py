"""What a rule is: told of what happens on a stream, it reports findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.records import FindingRecord


class StreamRule(Protocol):
    """A rule of `analysis.rules`: told of what happens on one stream, it reports findings."""

    def answered(
        self, stream: Conversation, request: Request, status: int, n: int, time: float | None
    ) -> FindingRecord | None:
        """A request was answered with a status; gives the finding that this proves."""

    def ended(self, stream: Conversation) -> FindingRecord | None:
        """The stream is over and all its writes are final; gives the finding that this proves."""
