"""The engine: a frame in, commands out. No clock, no socket; the same frames at the same times give the same commands.

Rules are asked in the order of their file, about the frame as it was received. Each that matches does its part on what
the earlier ones left of it, until one lets it pass, drops it, answers it or ends the connection. A rule's parts are
carried out in this order: edits (`status`, `body`, `replace`, `truncate`, `corrupt`, as they are written), the answer,
the stall, the sending on (`delay`, `duplicate`, `split`, `merge`, `reorder`), the end (`close`, `reset`). `delay`
is in front of all of them but the edits. A rule that asks for what a frame lacks (a status of what is no RESPONSE)
leaves it as it is, and says so.

What is sent on in one direction keeps its order: behind a frame that is delayed, later ones wait, unless `reorder` asks
for it. A frame that no rule touches is passed on verbatim, at once or behind what waits.
"""

from __future__ import annotations

from collections.abc import Callable

from blynkscope.analysis.records import Facts, FrameRecord, Observed
from blynkscope.faults.asked import Asked, Request
from blynkscope.faults.edit import Draft, Unfit, framed
from blynkscope.faults.lane import QUEUE_BYTES_MAX, Lane
from blynkscope.faults.model import (
    DEFAULT_SEED,
    TO_DEVICE,
    TO_SERVER,
    Applied,
    Close,
    Command,
    Corrupt,
    Later,
    Merge,
    Reorder,
    Replace,
    Reset,
    Rule,
    RuleSet,
    SetBody,
    SetStatus,
    Split,
    StallFor,
    Truncate,
)
from blynkscope.faults.turn import Turn
from blynkscope.protocol.model import Dialect, Sender

SPLIT_MAX = 4096
"""Writes into which one frame is split; what is left follows as one. Frames of devices have some ten bytes."""

_EDITS = {Replace: "replace", SetBody: "body", SetStatus: "status", Corrupt: "corrupt", Truncate: "truncate"}


class _Plan:
    """How a frame is sent on, as the rules leave it."""

    __slots__ = ("answered", "copies", "delay", "draft", "ending", "forward", "merge", "reorder", "split", "stalls")

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.delay = 0.0
        self.copies = 0
        self.answered = False
        self.forward = True
        self.split: Split | None = None
        self.merge: tuple[str, Merge] | None = None
        self.reorder: Reorder | None = None
        self.stalls: list[StallFor] = []
        self.ending: Close | Reset | None = None


class Injector:
    """The rules at work on one connection. Bounded in memory; its methods never raise.

    Args:
        rules: The rules.
        connection: Number of the connection, from 1.
        seed: Of all chance; by default that of the rules, else 1. Connections and rules have chances of their own, so
            that a run repeats whatever other connections do.
        opened: Time at which the connection opened, for `from` and `until`; by default that of its first frame.
        via: Layers, outside in, for filters that ask for them.
        client: The device's address:port, for filters; None where it is not known.
        server: The same of the server.
    """

    def __init__(
        self,
        rules: RuleSet,
        connection: int,
        seed: int | None = None,
        opened: float | None = None,
        *,
        via: tuple[str, ...] = ("tcp",),
        client: str | None = None,
        server: str | None = None,
    ) -> None:
        chosen = next((one for one in (seed, rules.seed) if one is not None), DEFAULT_SEED)
        self.connection = connection
        self.now = opened if opened is not None else 0.0
        self.out: list[Command] = []
        self.over = False
        """A rule ended the connection: nothing is sent any more."""
        self.lanes = (Lane(self, TO_SERVER), Lane(self, TO_DEVICE))
        self._opened = opened
        self._ends = (client, server)
        self._via = via
        turns = [
            Turn(rule, chosen, connection)
            for rule in rules.rules
            if rule.connections is None or connection in rule.connections
        ]
        self._turns = tuple([turn for turn in turns if way in turn.rule.directions] for way in (TO_SERVER, TO_DEVICE))
        self._facts: dict[tuple[int, Dialect], Facts] = {}
        self._asked = (Asked(), Asked())
        self._frames = 0
        self._tokens = 0
        self._calls: dict[int, Callable[[], None]] = {}

    # --- what the relay calls ---

    def frame(
        self, direction: int, dialect: Dialect, cmd: int, id: int, word: int, body: bytes, wire: bytes, time: float,  # noqa: A002
    ) -> list[Command]:  # fmt: skip
        """One frame was received.

        Args:
            direction: 0 toward the server, 1 toward the device.
            dialect: Its header.
            cmd: Command code.
            id: Message id.
            word: Status of a RESPONSE; else the declared length.
            body: Its body.
            wire: Its bytes as received, header included.
            time: Seconds of any clock that `timer` has too.

        Returns:
            What to do now, in this order.
        """
        self._begin(time)
        if not self.over:
            assert self._opened is not None
            self._frames += 1
            plan = _Plan(Draft(dialect, cmd, id, word, body, wire))
            turns = self._turns[direction]
            answers = self._asked[1 - direction].answered(cmd, id, dialect)
            self._asked[direction].ask(self._frames, cmd, id, self.now)
            since, record = self.now - self._opened, None
            for turn in turns:
                if not turn.concerns(since, answers.cmd if answers else None):
                    continue
                if turn.rule.match is not None:
                    record = record or self._record(direction, plan.draft, answers)
                    if not turn.rule.match(record):
                        continue
                if turn.falls() and not self._apply(turn, direction, plan):
                    break
            self._send_on(direction, plan, wire)
        return self._end()

    def raw(self, direction: int, data: bytes, time: float) -> list[Command]:
        """Bytes that are no frame: they are passed on, behind what waits in their direction."""
        self._begin(time)
        if not self.over and data:
            self.lanes[direction].put(data, own=True)
        return self._end()

    def timer(self, token: int, time: float) -> list[Command]:
        """The time of a `Later` is over. Tokens that are not awaited any more are passed over."""
        self._begin(time)
        call = self._calls.pop(token, None)
        if call is not None and not self.over:
            call()
        return self._end()

    def pending(self, direction: int) -> bool:
        """Does anything wait in this direction? A half-close must wait until nothing does."""
        return not self.over and self.lanes[direction].pending

    @property
    def held(self) -> int:
        """Bytes that wait in both directions."""
        return sum(lane.waiting for lane in self.lanes)

    def closed(self) -> None:
        """The connection is over: what waits is forgotten."""
        self.over = True
        for lane in self.lanes:
            lane.clear()
        self._calls.clear()

    # --- what lanes call ---

    def call(self, delay: float, callback: Callable[[], None]) -> int:
        """Have something called later.

        Returns:
            The token with which it can be cancelled.
        """
        self._tokens += 1
        self._calls[self._tokens] = callback
        self.out.append(Later(max(0.0, delay), self._tokens))
        return self._tokens

    def cancel(self, token: int | None) -> None:
        """It is not awaited any more."""
        if token is not None:
            self._calls.pop(token, None)

    # --- inside ---

    def _begin(self, time: float) -> None:
        if self._opened is None:
            self._opened = self.now = time
        self.now = max(self.now, time)
        self.out = []

    def _end(self) -> list[Command]:
        out, self.out = self.out, []
        # What was set and unset in the same breath need not come.
        return [one for one in out if not isinstance(one, Later) or one.token in self._calls]

    def _record(self, direction: int, draft: Draft, answers: Request | None) -> FrameRecord:
        facts = self._facts.get((direction, draft.dialect))
        if facts is None:
            client = Sender.DEVICE if draft.dialect is Dialect.HARDWARE else Sender.APP
            sender = client if direction == TO_SERVER else Sender.SERVER
            facts = self._facts[direction, draft.dialect] = Facts(
                self.connection,
                self._ends[direction],
                self._ends[1 - direction],
                sender.value,
                draft.dialect.value,
                self._via,
            )
        n = rtt = None
        if answers is not None:
            n, rtt = answers.n, round((self.now - answers.time) * 1000.0, 3)
        word = draft.word
        return Observed(facts, self._frames, self.now, draft.cmd, draft.id, word, draft.body, n, rtt, None, ()).record()

    def _tell(self, rule: Rule, action: str, direction: int, detail: str, *, failed: bool = False) -> None:
        self.out.append(Applied(rule.name, action, direction, detail, failed))

    def _apply(self, turn: Turn, direction: int, plan: _Plan) -> bool:
        """Do what one rule wants; False where no further rule is to be asked."""
        rule, draft = turn.rule, plan.draft
        if rule.passes:
            self._tell(rule, "pass", direction, "")
            return False
        for edit in rule.edits:
            action = _EDITS[type(edit)]
            try:
                self._tell(rule, action, direction, draft.apply(edit, turn.random))
            except Unfit as unfit:
                self._tell(rule, action, direction, f"not applied: {unfit}", failed=True)
        if rule.delay is not None:
            seconds = rule.delay.seconds + turn.random.random() * rule.delay.jitter
            plan.delay += seconds
            self._tell(rule, "delay", direction, f"{seconds:.3f} s")
        if rule.answer:
            self._answer(rule, direction, plan)
        if rule.stall is not None:
            stall = rule.stall if rule.stall.directions else StallFor(rule.stall.seconds, (direction,))
            plan.stalls.append(stall)
            length = "for good" if stall.seconds is None else f"for {stall.seconds:g} s"
            self._tell(rule, "stall", direction, f"{length}, {'both ways' if len(stall.directions) > 1 else 'one way'}")
        if rule.duplicate:
            copies = min(rule.duplicate, QUEUE_BYTES_MAX // max(len(draft.data), 1))
            plan.copies += copies
            self._tell(rule, "duplicate", direction, f"{copies} more", failed=copies < rule.duplicate)
        if rule.split is not None:
            plan.split, plan.merge = rule.split, None
            self._tell(rule, "split", direction, f"{len(draft.data)} bytes, {rule.split.size} at a time")
        if rule.merge is not None:
            plan.merge, plan.split = (rule.name, rule.merge), None
            self._tell(rule, "merge", direction, f"with up to {rule.merge.frames - 1} more")
        if rule.reorder is not None:
            plan.reorder = rule.reorder
            self._tell(rule, "reorder", direction, f"behind the next {rule.reorder.frames}")
        if not rule.forward:
            plan.forward = False
            if not rule.answer:
                self._tell(rule, "drop", direction, f"{len(draft.data)} bytes")
        if rule.ending is not None:
            plan.ending = Close() if rule.ending == "close" else Reset()
            self._tell(rule, rule.ending, direction, "")
        return plan.forward and plan.ending is None

    def _answer(self, rule: Rule, direction: int, plan: _Plan) -> None:
        draft = plan.draft
        for answer in rule.answer:
            number = draft.id if answer.id is None else answer.id
            try:
                made = framed(draft.dialect, answer.cmd, number, answer.status, answer.body)
            except Unfit as unfit:
                self._tell(rule, "answer", direction, f"not applied: {unfit}", failed=True)
                continue
            what = f"status {answer.status}" if answer.status is not None else f"command {answer.cmd}"
            self._tell(rule, "answer", direction, f"{what} to id {number}")
            plan.answered = True
            self.lanes[1 - direction].put(made, plan.delay + answer.delay)

    def _send_on(self, direction: int, plan: _Plan, wire: bytes) -> None:
        lane, data = self.lanes[direction], plan.draft.data
        for stall in plan.stalls:
            lane.put(stall, plan.delay)
        if plan.forward:
            pieces, gap = [data], 0.0
            if plan.split is not None:
                pieces, gap = _pieces(data, plan.split.size), plan.split.gap
            pieces = pieces * (1 + plan.copies)
            if plan.merge is not None:
                for piece in pieces:
                    lane.merge(plan.merge[0], piece, plan.delay, plan.merge[1])
            elif plan.reorder is not None:
                lane.hold_back(pieces, gap, plan.delay, plan.reorder)
            else:
                lane.frame(pieces, gap, plan.delay, own=data is wire and plan.split is None)
                lane.overtaken()
        if plan.ending is not None:
            # Behind the answer, where there is one.
            (self.lanes[1 - direction] if plan.answered else lane).put(plan.ending, plan.delay)


def _pieces(data: bytes, size: int) -> list[bytes]:
    end = min(len(data), size * SPLIT_MAX)
    pieces = [data[at : at + size] for at in range(0, end, size)]
    return [*pieces, data[end:]] if end < len(data) else pieces
