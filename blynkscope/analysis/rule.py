"""What a rule is: told of what happens on the streams of a run, it reports findings.

A rule overrides the methods for what it wants to be told of; the others cost nothing. One instance serves the whole
run; `of` gives it a memory for each stream. What it reports while a frame is looked at goes to its record's `findings`
and follows right behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.pins import Write
    from blynkscope.analysis.run import Run
    from blynkscope.wire.dns import Answer
    from blynkscope.wire.events import Closed, Gap, Line
    from blynkscope.wire.facts import Fact
    from blynkscope.wire.framing import Malformed, Skipped
    from blynkscope.wire.recognise import Guess


class StreamRule:
    """The base of all rules.

    Args:
        run: The analysis that it belongs to.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    # --- for rules ---

    def fresh(self) -> Any:
        """A new memory for one stream."""
        return {}

    def of(self, stream: Conversation) -> Any:
        """This rule's memory of a stream; gone when the stream is closed."""
        memory = stream.memories.get(id(self))
        if memory is None:
            memory = stream.memories[id(self)] = self.fresh()
        return memory

    def report(
        self, name: str, stream: Conversation | int | None, *, frames: Iterable[int] = (), count: int | None = None,
        detail: str, fix: str | None = None, severity: str | None = None, cause: bool = False,
    ) -> None:  # fmt: skip
        """Report a finding.

        Args:
            name: Id in the catalogue.
            stream: The stream, its number, or None for one that concerns no stream or several.
            frames: Numbers of the frames that prove it.
            count: How often; the number of frames without it (at least 1).
            detail: What was seen here.
            fix: What to do; the catalogue's advice without it.
            severity: Another severity than the catalogue's, where the circumstances make it better or worse.
            cause: True where this explains why the whole conversation failed, so that its consequences
                (missing answers, reconnects) need no findings of their own: see `Conversation.cause`.
        """
        number = stream if isinstance(stream, int) or stream is None else stream.number
        proof = tuple(frames)
        self.run.raised.append(
            self.run.finding(
                name, stream=number, frames=proof, count=max(len(proof), 1) if count is None else count,
                detail=detail, fix=fix, severity=severity,
            )
        )  # fmt: skip
        if cause and stream is not None and not isinstance(stream, int) and stream.cause is None:
            stream.cause = name

    # --- what a rule may be told of ---

    def opened(self, stream: Conversation) -> None:
        """A stream was seen for the first time."""

    def spoke(
        self, stream: Conversation, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes,
        time: float | None,
    ) -> None:  # fmt: skip
        """A frame, no RESPONSE and no pin write. The session has taken it in; its record comes next.

        `word` is the declared length, -1 where a log does not tell it.
        """

    def early(self, stream: Conversation, lane: Lane, n: int, cmd: int, time: float | None) -> None:
        """A frame of the client before its login was accepted; no login and no RESPONSE."""

    def numbered(self, stream: Conversation, lane: Lane, n: int, message_id: int, before: int) -> None:
        """A frame of the client has an id that does not follow its last one (`before`)."""

    def oversized(self, stream: Conversation, lane: Lane, n: int, size: int, room: int) -> None:
        """A frame (header and body: `size`) is larger than its receiver's announced buffer."""

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """A request was answered with a status."""

    def write_refused(self, stream: Conversation, write: Write, status: int, n: int, time: float | None) -> None:
        """A pin write was answered with an error status."""

    def contradicted(self, stream: Conversation, write: Write, values: bytes | None, n: int, asked: int) -> None:
        """The answer `n` to sync `asked` carried another value than the last write."""

    def unmatched(
        self, stream: Conversation, lane: Lane, n: int, message_id: int, status: int, time: float | None
    ) -> None:
        """A RESPONSE answers nothing that was seen."""

    def malformed(self, stream: Conversation, lane: Lane, item: Malformed) -> None:
        """A frame is not whole."""

    def skipped(self, stream: Conversation, lane: Lane, item: Skipped) -> None:
        """Bytes that are no frame were passed over."""

    def gap(self, stream: Conversation, lane: Lane, event: Gap) -> None:
        """Bytes are missing from the capture."""

    def recognised(self, stream: Conversation, lane: Lane, guess: Guess, time: float | None) -> None:
        """A direction speaks another protocol."""

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """Something was said in another protocol."""

    def altered(self, stream: Conversation, lane: Lane, n: int, cmd: int, word: int, body: bytes, cut: bool) -> None:
        """A log shows another number of body bytes than the frame declares, or breaks off inside it."""

    def misdeclared(self, stream: Conversation, lane: Lane, n: int, cmd: int, word: int, body: bytes) -> None:
        """A message that somebody wrote down byte for byte declares another length than its body has."""

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """A line of a log means something; `stream` is None before the first connection."""

    def looked_up(self, answer: Answer, time: float | None, src: str, dst: str) -> None:
        """A DNS message was seen."""

    def ended(self, stream: Conversation, event: Closed) -> None:
        """The stream is over and all its writes are final."""

    def finished(self, lost: dict[str, int], notes: dict[str, Any]) -> None:
        """The run is over; `lost` is what the sources could not read."""


_HOOKS = tuple(
    name
    for name, member in vars(StreamRule).items()
    if callable(member) and not name.startswith("_") and name not in {"fresh", "of", "report"}
)


class Hooks:
    """For each thing that rules may be told of, the methods of those rules that want to know.

    Args:
        rules: All rules in the order in which they are told; causes before their consequences.
    """

    __slots__ = _HOOKS

    opened: tuple[Callable[[Conversation], None], ...]
    spoke: tuple[Callable[..., None], ...]
    early: tuple[Callable[..., None], ...]
    numbered: tuple[Callable[..., None], ...]
    oversized: tuple[Callable[..., None], ...]
    answered: tuple[Callable[..., None], ...]
    write_refused: tuple[Callable[..., None], ...]
    contradicted: tuple[Callable[..., None], ...]
    unmatched: tuple[Callable[..., None], ...]
    malformed: tuple[Callable[..., None], ...]
    skipped: tuple[Callable[..., None], ...]
    gap: tuple[Callable[..., None], ...]
    recognised: tuple[Callable[..., None], ...]
    told: tuple[Callable[..., None], ...]
    altered: tuple[Callable[..., None], ...]
    misdeclared: tuple[Callable[..., None], ...]
    logged: tuple[Callable[..., None], ...]
    looked_up: tuple[Callable[..., None], ...]
    ended: tuple[Callable[..., None], ...]
    finished: tuple[Callable[..., None], ...]

    def __init__(self, rules: Iterable[StreamRule]) -> None:
        rules = tuple(rules)
        for name in _HOOKS:
            base = getattr(StreamRule, name)
            setattr(self, name, tuple(getattr(rule, name) for rule in rules if getattr(type(rule), name) is not base))
