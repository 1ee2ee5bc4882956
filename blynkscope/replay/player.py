"""Plays the clients of a script to a server, and compares what it says with what was recorded."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from blynkscope.protocol import commands
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.statuses import INVALID_TOKEN, SUCCESS
from blynkscope.replay import calls
from blynkscope.replay.comparing import Difference, Heard
from blynkscope.replay.connection import Connection
from blynkscope.replay.matching import Expected, Matching
from blynkscope.replay.model import Line, Said, Script, Step
from blynkscope.replay.outcome import Outcome, Report, Trouble, Verdict
from blynkscope.replay.spelling import Speller
from blynkscope.replay.swaps import replaced
from blynkscope.replay.tally import Tally
from blynkscope.replay.targets import ConnectError, Target, Way, way_of

TIMEOUT_SECONDS = 5.0
"""An answer takes milliseconds; devices give up after 3 to 6 s."""
CONNECT_SECONDS = 10.0
"""To reach the server: devices give up after 5 to 20 s."""
UNPROMPTED_SECONDS = 0.5
"""How long what nobody asked for is waited for before what followed it: others who are played too may cause it."""
MISSES_MAX = 3
"""Unprompted messages in a row that did not come, after which a connection is no longer held up by them: who caused
them is not in the recording."""
PENDING_KEPT = 1024
"""Expected frames that wait before those whose time has passed are looked for among them."""
CLOSE_SECONDS = 0.1
"""Before a connection is closed that the client closed in the recording: time to see whether the server is first. It
never takes longer than it did then."""
SETTLE_SECONDS = 0.2
"""Behind the last step of a connection that the recording does not close: time for what is extra."""
END_FACTOR = 1.5
"""A server that closed after some time of silence may take half as long again."""
_STRANGER = (
    "the server does not know the token that the device logs in with: give one of its own with --token (or start"
    " `blynkscope serve --any-token`)"
)


class Playing(msgspec.Struct, frozen=True, kw_only=True):
    """How a script is played.

    Attributes:
        targets: The servers, looked up.
        speed: How many times as fast as recorded; None for as fast as the answers allow.
        timeout: Seconds to wait for an answer.
        connect: Seconds to wait for a connection.
        duration: Seconds after which it ends, played or not; None for no limit.
        context: TLS settings.
        era: Meaning of codes that differ between the eras.
    """

    targets: Sequence[Target]
    speed: float | None = None
    timeout: float = TIMEOUT_SECONDS
    connect: float = CONNECT_SECONDS
    duration: float | None = None
    context: ssl.SSLContext | None = None
    era: Era | None = None


class _Played:
    """A connection of the script that is being played."""

    def __init__(self, line: Line, way: Way, player: Player) -> None:
        self.line, self.way = line, way
        self.matching = Matching(line, player.playing.era, player.renewed)
        self.spell = Speller(line, player.playing.era)
        self._player = player
        self.connection = Connection(line.dialect, line.answers, self._heard, player.changed.set)
        self.replies = {said.answers: said for said in line.frames if said.client and said.answers is not None}
        """What the client answered to the server, by the number of the server's frame."""
        self.logins = {
            said.n
            for said in line.frames
            if said.client and said.cmd in commands.LOGINS and line.dialect is Dialect.HARDWARE
        }
        """Of devices, by number."""
        self.misses = 0
        self.left = player.turns[line.number]
        """Frames that were not sent yet, of those that have their turn before the end of the recorded connection."""
        self.over = False
        self._settled = 0.0
        self.unsent: list[Said] = []

    @property
    def gone(self) -> bool:
        """The server has closed."""
        return self.connection.ended.is_set()

    def settle(self, now: float) -> None:
        """The replay ends here."""
        self._settled = now

    def overdue(self, one: Expected) -> bool:
        """Has the time passed in which an answer could come, when the replay ended?"""
        return one.sent_at is not None and self._settled > one.sent_at + self._player.patience(one.said)

    def _heard(self, frame: Heard) -> None:
        outcome, said = self.matching.heard(frame)
        if outcome is not None:
            self._player.tally.tell([outcome])
        if said is not None and said.answers is None:
            self.misses = 0
        if said is not None and self._refuses_token(said, frame):
            self._player.tally.note(_STRANGER)
        if frame.cmd != commands.RESPONSE and not self.over:
            self._reply(frame, said)
        self._player.changed.set()

    def _refuses_token(self, said: Said, frame: Heard) -> bool:
        """Was the login of a device taken in the recording, and does the server not know its token now?"""
        then, now = (said.cmd, said.word), (frame.cmd, frame.word)
        refused = then == (commands.RESPONSE, SUCCESS) and now == (commands.RESPONSE, INVALID_TOKEN)
        return refused and said.answers in self.logins

    def _reply(self, frame: Heard, said: Said | None) -> None:
        """Devices answer what a server asks of them, with the id of the question."""
        reply = self.replies.get(said.n) if said is not None else None
        if reply is not None:
            self.connection.post(reply.cmd, frame.id, reply.word, reply.body)
        elif frame.cmd == commands.PING and self.line.dialect == self.line.answers:
            self.connection.post(commands.RESPONSE, frame.id, SUCCESS, b"")


class Player:
    """Plays a script. `run` does it, once.

    Args:
        script: What is played.
        playing: How.
        told: Gets each verdict as soon as it is known.

    Attributes:
        interrupted: It was cancelled.
    """

    def __init__(
        self, script: Script, playing: Playing, told: Callable[[Outcome], None] = lambda outcome: None
    ) -> None:
        self._script = script
        self.playing = playing
        self.tally = Tally(script, "device", told)
        self.changed = asyncio.Event()
        self.interrupted = False
        self._open: dict[int, _Played] = {}
        self._pending: list[tuple[_Played, Expected, float]] = []
        self._room = PENDING_KEPT
        self.renewed: dict[bytes, bytes] = {}
        """Tokens that the server made, then and now."""
        self.turns = _turns(script)
        """How many frames of each connection are sent one by one, before its end."""
        self._ends: dict[int, float] = {}
        """Until when servers may take to close, by stream; where they closed in the recording."""
        self._began = 0.0

    async def run(self) -> Report:
        """Play it all; cancelled, it gives the account of what was played until then."""
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        trouble: Trouble | None = None
        complete = False
        try:
            async with asyncio.timeout(self.playing.duration):
                for step in self._script.steps:
                    await self._step(step)
                    self._reached += 1
                await self._finish()
            complete = True
        except ConnectError as error:
            trouble = Trouble(error.stage, error.text, self._at)
        except TimeoutError:
            self.tally.note(f"ended after {self.playing.duration:g} s, before all was played")
        except asyncio.CancelledError:
            self.interrupted = True
            self.tally.note("interrupted before all was played")
        for played in list(self._open.values()):
            played.settle(loop.time())
            await self._over(played, complete=complete)
        return self._report(loop.time() - self._began, trouble, complete=complete)

    def unreached(self, error: ConnectError) -> Report:
        """The account in place of that of `run`, where there is no way to the targets: nothing is played."""
        return self._report(0.0, Trouble(error.stage, error.text), complete=False)

    def _report(self, seconds: float, trouble: Trouble | None, *, complete: bool) -> Report:
        if not complete:
            self._leave_rest()
        target = ", ".join(str(one) for one in self.playing.targets)
        return self.tally.report(target, seconds, trouble, complete=complete)

    _at: int | None = None
    _reached: int = 0

    async def _step(self, step: Step) -> None:
        self._at = step.line
        if step.kind == "open":
            await self._before(step)
            await self._opens(step)
            return
        if step.kind == "call":
            assert step.call is not None
            await self._before(step)
            way = self._way_of_call(step.call.tls)
            outcome = await calls.made(step.call, way, self.playing.context, self.playing.timeout)
            self.tally.sent += 1
            self.tally.tell([outcome])
            return
        played = self._open.get(step.line)
        if played is None:
            return
        if step.kind == "send":
            assert step.said is not None
            await self._send(played, step, step.said)
        elif step.kind == "expect":
            assert step.said is not None
            self._expect(played, step.said)
        elif step.kind == "close":
            await self._before(step)
            await self._lingers(played)
            await self._over(played, complete=True)
        else:
            await self._closes(played, step)

    async def _opens(self, step: Step) -> None:
        line = self._script.lines[step.line]
        played = _Played(line, way_of(line, self.playing.targets), self)
        await played.connection.open(played.way, self.playing.context, self.playing.connect)
        self._open[step.line] = played
        self.tally.played += 1

    def _way_of_call(self, tls: bool) -> Way:
        target = next(
            (one for one in self.playing.targets if one.tls is None or one.tls == tls), self.playing.targets[0]
        )
        return Way(target, tls if target.tls is None else target.tls, None)

    async def _send(self, played: _Played, step: Step, said: Said) -> None:
        if _is_reply(said):
            return  # it goes out when the server asks
        await self._before(step)
        if played.gone:
            played.unsent.append(said)
            return
        if self.renewed and (body := replaced(said.body, self.renewed)) != said.body:
            said = msgspec.structs.replace(said, body=body, word=len(body))
        played.matching.sent(said, asyncio.get_running_loop().time())
        played.left -= 1
        await played.connection.send(said.cmd, said.id, said.word, said.body)

    def _expect(self, played: _Played, said: Said) -> None:
        """From here on what follows waits for this frame."""
        one = played.matching.expected[said.n]
        if one.met or played.gone or said.n in played.line.orphans:
            return
        now = asyncio.get_running_loop().time()
        if said.answers is not None:
            if one.sent_at is None:
                return
            self._pending.append((played, one, max(now, one.sent_at) + self.patience(said)))
        elif played.misses < MISSES_MAX or self.playing.speed is not None:
            self._pending.append((played, one, now + min(UNPROMPTED_SECONDS, self.playing.timeout)))

        if len(self._pending) > self._room:
            self._pending = [entry for entry in self._pending if not entry[1].met and entry[2] > now]
            self._room = max(PENDING_KEPT, 2 * len(self._pending))

    def patience(self, said: Said) -> float:
        """Seconds that an answer may take: as long as it took then, and the time to wait."""
        return self.playing.timeout + (said.rtt_ms or 0.0) / 1000.0

    async def _before(self, step: Step) -> None:
        """Wait until the turn of a step has come: for its time, or for the answers that came before it."""
        if self.playing.speed is not None:
            until = self._began + step.at / self.playing.speed
            loop = asyncio.get_running_loop()
            if (left := until - loop.time()) > 0:
                await asyncio.sleep(left)
            return
        await self._settled()

    async def _settled(self) -> None:
        """Wait until what is expected has come, or its time has passed."""
        loop = asyncio.get_running_loop()
        while self._pending:
            now, waiting = loop.time(), []
            for played, one, until in self._pending:
                if one.met or played.gone:
                    continue
                if until <= now:
                    played.misses += one.said.answers is None
                    continue
                waiting.append((played, one, until))
            self._pending = waiting
            if waiting:
                self.changed.clear()
                try:
                    async with asyncio.timeout_at(min(until for _, _, until in waiting)):
                        await self.changed.wait()
                except TimeoutError:
                    continue

    async def _closes(self, played: _Played, step: Step) -> None:
        """The server closed here. What it waited for before that cannot be hurried."""
        line = played.line
        patience = self.playing.timeout + END_FACTOR * (_silence(line) or 0.0)
        if self.playing.speed is not None:
            self._ends[line.number] = asyncio.get_running_loop().time() + patience
            return
        await self._settled()
        try:
            async with asyncio.timeout(patience):
                await played.connection.ended.wait()
        except TimeoutError:
            pass
        await self._over(played, complete=True)

    async def _lingers(self, played: _Played) -> None:
        """The client closed here: a server that closes behind its last answer is seen to do so before that."""
        pause = CLOSE_SECONDS
        if (then := _silence(played.line)) is not None:
            pause = min(pause, then)
        try:
            async with asyncio.timeout(pause):
                await played.connection.ended.wait()
        except TimeoutError:
            return

    async def _finish(self) -> None:
        """All steps are done: wait for what is still to come."""
        loop = asyncio.get_running_loop()
        await self._settled()
        for number, until in self._ends.items():
            played = self._open.get(number)
            if played is None:
                continue
            try:
                async with asyncio.timeout_at(max(until, loop.time())):
                    await played.connection.ended.wait()
            except TimeoutError:
                continue
        if any(not played.gone for played in self._open.values()):
            await asyncio.sleep(SETTLE_SECONDS)

    async def _over(self, played: _Played, *, complete: bool) -> None:
        """A connection is over: close it, and settle what is open."""
        line = played.line
        self._open.pop(line.number, None)
        closed_by_server, how = played.gone, played.connection.how
        played.over = True
        if closed_by_server or not complete:
            await played.connection.aclose()
        else:
            await played.connection.close()
        self.tally.sent += played.connection.sent
        tell = self.tally.tell
        lacks = played.matching.lacks
        tell(
            played.matching.finish(
                played=complete and (not closed_by_server or played.left <= 0),
                due=lambda one: complete or closed_by_server or played.overdue(one),
            )
        )
        tell(self._end_of(played, closed_by_server, how, lacks, complete))
        for said in played.unsent:
            tell([
                Outcome(
                    Verdict.UNPLAYED, "frame", line.number, said.n, said.n, played.spell.recorded(said), None,
                    note="the server had closed",
                )
            ])  # fmt: skip
        if played.connection.noise:
            text = f"{played.connection.noise} bytes of the server that are no frame"
            tell([Outcome(Verdict.EXTRA, "frame", line.number, None, None, None, None, note=text)])

    def _end_of(self, played: _Played, closed: bool, how: str, lacks: bool, complete: bool) -> list[Outcome]:
        line = played.line
        what = "breaks the connection off (reset)" if how == "reset" else "closes the connection"
        if how == "stuck":
            what = "takes nothing any more"
        verdict, note = Verdict.EXTRA, f"the server {what}, which it did not do in the recording"
        found: tuple[Difference, ...] = ()
        if line.ended == "server":
            if closed and (played.left > 0 or lacks):
                verdict, note = Verdict.DIFFERENT, f"the server {what} earlier than recorded"
                left = f"with {played.left} frames unsent" if played.left > 0 else "with answers left"
                found = (Difference("end", "behind the last frame", left),)
            elif closed and how != "fin" and line.how == "fin":
                verdict, note = Verdict.DIFFERENT, f"the server {what}, where it closed in the recording"
                found = (Difference("end", line.how, how),)
            elif closed:
                verdict, note = Verdict.EQUAL, "the server closes"
            elif complete:
                verdict, note = Verdict.MISSING, "the server closed here, and leaves the connection open now"
            else:
                return []
        elif not closed:
            return []
        return [Outcome(verdict, "end", line.number, None, None, None, None, found, note=note)]

    def _leave_rest(self) -> None:
        """What the replay did not come to."""
        for step in self._script.steps[self._reached :]:
            if step.said is None or step.kind != "send":
                continue
            spelled = Speller(self._script.lines[step.line], self.playing.era).recorded(step.said)
            self.tally.tell([
                Outcome(Verdict.UNPLAYED, "frame", step.line, step.said.n, step.said.n, spelled, None)
            ])  # fmt: skip


def _is_reply(said: Said) -> bool:
    """Does the client answer the server with it?"""
    return said.cmd == commands.RESPONSE and (said.answers is not None or said.word < 0)


def _turns(script: Script) -> Counter[int]:
    """How many frames the client of each connection sends one by one, before its recorded end."""
    found: Counter[int] = Counter()
    over: set[int] = set()
    for step in script.steps:
        if step.kind in {"close", "closes"}:
            over.add(step.line)
        elif step.said is not None and step.kind == "send" and step.line not in over and not _is_reply(step.said):
            found[step.line] += 1
    return found


def _silence(line: Line) -> float | None:
    """Seconds between the last frame of a recorded connection and its end."""
    last = next((said.time for said in reversed(line.frames) if said.time is not None), None)
    return max(0.0, line.closed - last) if line.closed is not None and last is not None else None
