"""What the frames of one stream mean together: what answers what, how far each write got, and the session's state.

`Conversation` turns bytes (and the messages of logs) into frames; here they are understood.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import Any

from blynkscope.analysis.acks import Request
from blynkscope.analysis.lane import Lane
from blynkscope.analysis.outline import outline
from blynkscope.analysis.pins import DELIVERED, SENT, Digest, Write
from blynkscope.analysis.records import Facts, FindingRecord, Observed, StreamRecord
from blynkscope.analysis.roles import sent_by_client
from blynkscope.analysis.session import Happening, State
from blynkscope.analysis.standing import Standing
from blynkscope.analysis.tempo import Latency
from blynkscope.protocol import bodies, commands, limits
from blynkscope.protocol.commands import BEFORE_LOGIN, LOGINS, SESSION_LOGINS
from blynkscope.protocol.model import Dialect, Sender
from blynkscope.protocol.schema import readable
from blynkscope.protocol.statuses import SUCCESS
from blynkscope.wire.events import CLIENT, SERVER, Closed
from blynkscope.wire.framing import Cut

_WRITES = frozenset(code.encode() for code, operation in bodies.OPERATIONS.items() if operation.writes)
_SYNC_WRITES = {
    read.encode(): write.encode()
    for read, reading in bodies.OPERATIONS.items()
    for write, writing in bodies.OPERATIONS.items()
    if reading.shape == "pins" and writing.writes and reading.letter == writing.letter
}
"""The operation that answers each operation of a sync: vr by vw, and so on."""
_HW = commands.HW
_REST = commands.REST_WRITE_ID
_SYNC_PINS = 256
"""Pins that one sync is remembered to have asked for: as many as virtual pins there are."""
_ASKS_FOR_DATA = frozenset({b"rtc", b"utc", b"meta"})
"""Keys of INTERNAL messages that an INTERNAL answers; the others get a status or nothing."""
_REPLAY = b"vm"
_ORDER = b"ota\0"
_SPOKE = frozenset(State) - {State.CONNECTING, State.AWAITING_LOGIN, State.CLOSED}
"""States that are reached by something that was said, be it in MQTT."""
_NONE: tuple[str, ...] = ()


class Dialogue(Standing):
    """The frames of one stream. See `Standing` for what is known about it."""

    __slots__ = ()

    # --- frames ---

    def _label(self, lane: Lane, sender: Sender) -> None:
        """The direction's sender is known (or known to be unknown): its frames say so from now on."""
        lane.sender = sender.value
        era = self.run.era
        lane.facts = Facts(
            self.number, lane.src, lane.dst, sender.value, lane.dialect.value, lane.via, era.value if era else None
        )

    def _flush(self) -> None:
        """What rules reported follows the record that proves it."""
        if self.run.raised:
            self.run.release()

    def _frames(self, lane: Lane, cuts: list[Cut]) -> None:
        """The one loop that every frame goes through; pin writes, the bulk of all traffic, are dealt with in place."""
        if not self._roles_known:
            if len(cuts) > 1:
                # One by one: what is said of a frame must not depend on what came in the same segment behind it.
                for cut in cuts:
                    self._frames(lane, [cut])
                return
            self._guess_roles(lane, *cuts[0][:2], cuts[0][3])
        run, pins, facts = self.run, self.pins, lane.facts
        direction, targeted = lane.direction, lane.targeted
        assert facts is not None
        # All of them came with one segment, so they have one time.
        lane.tempo.take(len(cuts), cuts[0][5])
        room, unsettled = lane.peer.room, not direction and not self.session.settled
        # What the loop asks of each write is kept in locals: the id that follows, what rules reported, and the length
        # beyond which values are cut (those of a log always, for its declared lengths may be wrong).
        expected, raised, long = lane.next_id, run.raised, -2 if self.log else limits.VALUES_KEPT
        # TCP goes by who opened the connection, which is not always who turned out to be the client.
        side = CLIENT if lane is self.lanes[CLIENT] else SERVER
        add, find_pin, acked = run.out.append, pins.pins.get, pins.acked[side]
        wait_for_ack, remember = pins.undelivered[side].append, lane.waiting.writes.append
        n, target = run.frames, b""
        for cmd, message_id, word, body, end, time in cuts:
            n += 1
            if cmd != _HW:
                lane.next_id = expected
                if cmd:
                    self._request(lane, n, cmd, message_id, word, body, time)
                else:
                    self._response(lane, n, message_id, word, time)
                expected = lane.next_id
                # The frame may have told who is who.
                direction, facts = lane.direction, lane.facts or facts
                room, unsettled = lane.peer.room, not direction and not self.session.settled
                continue
            if word > room:
                self._oversized(lane, n, word)
            if not direction:
                if message_id != expected:
                    lane.next_id = expected
                    self._numbered(lane, n, message_id)
                expected = message_id + 1
                if unsettled:
                    self._early(lane, n, cmd, time)
            if targeted:
                target, _, operation = body.partition(b"\0")
                parts = operation.split(b"\0", 2)
            else:
                parts = body.split(b"\0", 2)
            if len(parts) < 2 or parts[0] not in _WRITES:
                if direction and parts[0] == _REPLAY and len(parts) > 1:
                    # Several values for a virtual pin, which a server replays when it is asked to.
                    key, values = b"vw" + parts[1], _kept(parts[2]) if len(parts) == 3 else None
                    if self._sync_answer(lane, facts, n, message_id, word, body, key, values, time):
                        continue
                elif not direction:
                    # Never answered when it is right; what is malformed is refused.
                    row = commands.find(_HW, lane.dialect, run.era)
                    lane.waiting.ask(Request(n, _HW, message_id, time, row, body))
                for tell in self.hooks.spoke:
                    tell(self, lane, n, _HW, message_id, word, body, time)
                add(
                    Observed(
                        facts, n, time, _HW, message_id, word, body, None, None, None, _ids(raised) if raised else _NONE
                    )
                )
                self._flush()
                continue
            key = parts[0] + parts[1]
            values = parts[2] if len(parts) == 3 else None
            if word > long:
                key, values = key[: limits.VALUES_KEPT], _kept(values)
            if direction and self._sync_answer(lane, facts, n, message_id, word, body, key, values, time):
                continue
            if targeted:
                key = target + b"\0" + key
            state = SENT if end > acked else DELIVERED
            pin = find_pin(key) or pins.new_pin(key)
            write = Write(n, message_id, end, time, direction, pin.key, values, state, state, None, None, False)
            if not direction or not self._roles_known:
                remember(write)
            wait_for_ack(write)
            last, pin.last = pin.last, write
            if raised:
                add(Observed(facts, n, time, _HW, message_id, word, body, None, None, state, _ids(raised)))
                self._flush()
            else:
                add(Observed(facts, n, time, _HW, message_id, word, body, None, None, state, _NONE))
            if last is not None:
                pins.finish(pin, last)
            if message_id == _REST and direction:
                run.out += run.relays.wrote(self, n, time, message_id, key, values)  # type: ignore[arg-type]
        run.frames = n
        lane.next_id = expected

    def _sync_answer(
        self, lane: Lane, facts: Facts, n: int, message_id: int, word: int, body: bytes, key: bytes,
        values: bytes | None, time: float | None,
    ) -> bool:  # fmt: skip
        """A server's write that carries the id of a sync answers it."""
        request = lane.peer.waiting.answered_by_sync(message_id, key, time, self.slowest)
        if request is None:
            return False
        rtt = _elapsed(request.sent_at, time)
        write = self.pins.synchronises(key, request.n)
        if write is not None and write.values != values:
            for tell in self.hooks.contradicted:
                tell(self, write, values, n, request.n)
        raised = self.run.raised
        ids = _ids(raised) if raised else _NONE
        self.run.out.append(Observed(facts, n, time, _HW, message_id, word, body, request.n, rtt, None, ids))
        self._flush()
        if rtt is not None and request.rtt is None:
            request.rtt = rtt
            self._took(request.cmd, rtt)
        self.pins.passed(request.n, n, time)
        self.pins.synchronised(key, values, request.n, n, time)
        return True

    def _request(
        self, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes, time: float | None
    ) -> None:
        """Any other frame: it may answer one of the peer, and it may ask for an answer."""
        if self.log and cmd in LOGINS and lane.direction == SERVER and not self.session.settled:
            self._turn_round()
        answered = lane.peer.waiting.answered_by_frame(cmd, message_id) if lane.direction == SERVER else None
        answers = rtt = None
        if answered is not None:
            answers, rtt = answered.n, _elapsed(answered.sent_at, time)
            self._was_answered(answered, rtt, time)
        lane.counts[cmd] = lane.counts.get(cmd, 0) + 1
        if word > lane.peer.room:
            self._oversized(lane, n, word)
        if lane.direction == CLIENT:
            if message_id != lane.next_id:
                self._numbered(lane, n, message_id)
            lane.next_id = message_id + 1
            if not self.session.settled and cmd not in SESSION_LOGINS:
                self._early(lane, n, cmd, time)
        self._take_in(lane, n, cmd, body, time)
        for tell in self.hooks.spoke:
            tell(self, lane, n, cmd, message_id, word, body, time)
        facts, raised = lane.facts, self.run.raised
        assert facts is not None
        ids = _ids(raised) if raised else _NONE
        self.run.out.append(Observed(facts, n, time, cmd, message_id, word, body, answers, rtt, None, ids))
        self._flush()
        if cmd == commands.INTERNAL and lane.direction == SERVER and body.startswith(_ORDER):
            self.run.out += self.run.relays.ordered(self, n, time, readable(body[len(_ORDER) :].partition(b"\0")[0]))  # type: ignore[arg-type]
        if answered is not None:
            self.pins.passed(answered.n, n, time)
            return
        row = commands.find(cmd, lane.dialect, self.run.era)
        # Devices answer a server's PING and what they do not know.
        if lane.direction == CLIENT or not self._roles_known or row is None or cmd == commands.PING or cmd in LOGINS:
            request = Request(n, cmd, message_id, time, row, body)
            if cmd == commands.HW_SYNC:
                operation, *wanted = body.split(b"\0")
                if wanted and operation in _SYNC_WRITES:
                    request.pins = {
                        (_SYNC_WRITES[operation] + pin)[: limits.VALUES_KEPT] for pin in wanted[:_SYNC_PINS]
                    }
            elif cmd == commands.INTERNAL:
                request.takes_frame = body.partition(b"\0")[0] in _ASKS_FOR_DATA
            elif cmd in LOGINS:
                request.token = readable(body)
            lane.waiting.ask(request)

    def _response(self, lane: Lane, n: int, message_id: int, status: int, time: float | None) -> None:
        """A RESPONSE: what does it answer, and what does that prove?"""
        facts = lane.facts
        assert facts is not None
        lane.counts[0] = lane.counts.get(0, 0) + 1
        if status < 0:
            self._unread_response(lane, n, message_id, time)
            return
        found = lane.peer.waiting.answered_by_status(message_id, status)
        answers = rtt = None
        if found is None:
            for tell in self.hooks.unmatched:
                tell(self, lane, n, message_id, status, time)
        else:
            answers = found.n
            rtt = _elapsed(found.sent_at, time)
            if isinstance(found, Request):
                if found.cmd in SESSION_LOGINS and lane.direction == SERVER:
                    self.session.login_answered(status, time)
                self._was_answered(found, rtt, time)
                for tell in self.hooks.answered:
                    tell(self, found, status, n, time)
            elif status != SUCCESS:
                for tell in self.hooks.write_refused:
                    tell(self, found, status, n, time)
        raised = self.run.raised
        ids = _ids(raised) if raised else _NONE
        self.run.out.append(Observed(facts, n, time, 0, message_id, status, b"", answers, rtt, None, ids))
        self._flush()
        if found is None:
            return
        if isinstance(found, Write) and status != SUCCESS:
            self.pins.rejected(found, n, time)
        if lane.direction == SERVER:
            self.pins.passed(found.n, n, time)

    def _unread_response(self, lane: Lane, n: int, message_id: int, time: float | None) -> None:
        """A RESPONSE whose status a log does not tell: it answers, and what it says is not known."""
        found = lane.peer.waiting.answered_by_status(message_id, SUCCESS)
        answers = found.n if found is not None else None
        rtt = _elapsed(found.sent_at, time) if found is not None else None
        facts = lane.facts
        assert facts is not None
        self.run.out.append(Observed(facts, n, time, 0, message_id, -1, b"", answers, rtt, None, _NONE))
        if found is not None and lane.direction == SERVER:
            self.pins.passed(found.n, n, time)

    def _was_answered(self, request: Request, rtt: float | None, time: float | None) -> None:
        """A request got its answer."""
        if rtt is not None:
            self._took(request.cmd, rtt)
        # A login has words of its own, and what may come before it proves none.
        if not self.session.settled and request.cmd not in SESSION_LOGINS and request.cmd not in BEFORE_LOGIN:
            self.session.happens(Happening.ANSWERED, time)

    def _took(self, cmd: int, rtt: float) -> None:
        latency = self.latency.get(cmd)
        if latency is None:
            latency = self.latency[cmd] = Latency()
        latency.take(rtt)
        if self.slowest is None or rtt > self.slowest:
            self.slowest = rtt

    def _early(self, lane: Lane, n: int, cmd: int, time: float | None) -> None:
        for tell in self.hooks.early:
            tell(self, lane, n, cmd, time)

    def _numbered(self, lane: Lane, n: int, message_id: int) -> None:
        before = lane.next_id - 1
        if before == limits.MESSAGE_ID_MAX and message_id == 1:
            return
        for tell in self.hooks.numbered:
            tell(self, lane, n, message_id, before)

    def _oversized(self, lane: Lane, n: int, size: int) -> None:
        for tell in self.hooks.oversized:
            tell(self, lane, n, size + limits.HARDWARE_HEADER, lane.peer.room + limits.HARDWARE_HEADER)

    def _turn_round(self) -> None:
        """The login comes from the other side: a phone talks to the device directly, so the device is the server."""
        self.direct = True
        self._swap(self.server)
        self._label(self.client, Sender.APP)
        self._label(self.server, Sender.DEVICE)

    def _guess_roles(self, lane: Lane, cmd: int, message_id: int, body: bytes) -> None:
        """No SYN and no telling port: who sends such a command, or such an answer?"""
        if cmd == commands.RESPONSE:
            # Devices hardly answer anything, servers nearly everything.
            client = lane.peer if lane.peer.waiting.asked(message_id) else None
        else:
            row = commands.find(cmd, lane.dialect, self.run.era)
            client = {True: lane, False: lane.peer, None: None}[sent_by_client(row, cmd, message_id, body)]
        if client is None:
            return
        self._roles_known = True
        self._swap(client)
        self._label(client, Sender.APP if client.dialect is Dialect.APP else Sender.DEVICE)
        self._label(client.peer, Sender.SERVER)

    def _swap(self, client: Lane) -> None:
        """This direction turns out to be the client's."""
        if client.direction != CLIENT:
            client.direction, client.peer.direction = CLIENT, SERVER
            self.client, self.server = client, client.peer
            self.pins.swap()

    def _over(self, event: Closed) -> dict[str, Any] | None:
        """The conversation is over: what is to be said about it, where there was one."""
        spoke = self.client.tempo.count or self.server.tempo.count or self.session.reached in _SPOKE
        said = outline(self, event) if spoke else None
        self.session.happens(Happening.CLOSED, event.time)
        return said

    def _say(self, kind: str, time: float | None, lane: Lane | None, size: int, detail: dict[str, Any]) -> None:
        sender = lane.sender if lane is not None else Sender.UNKNOWN.value
        self.run.out.append(StreamRecord(kind, self.number, time, sender, size, detail))


def _kept(values: bytes | None) -> bytes | None:
    """Values as they are kept for a comparison: long ones as a digest, so that pins do not hold whole bodies."""
    if values is None or len(values) <= limits.VALUES_KEPT:
        return values
    return Digest(blake2s(values).digest())


def _ids(raised: list[FindingRecord]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(made.id for made in raised))


def _elapsed(asked: float | None, answered: float | None) -> float | None:
    """Milliseconds between two times, to the microsecond."""
    return round((answered - asked) * 1000.0, 3) if asked is not None and answered is not None else None
