"""`--intercept`: frames that match wait until a person lets them pass, edits or drops them, or puts others between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import construct as con

from blynkscope.analysis.filters import compile_filter
from blynkscope.analysis.records import Facts, Observed
from blynkscope.cli.intercept_line import Line
from blynkscope.errors import NotationError
from blynkscope.faults.model import Applied, Command, Pass, Send
from blynkscope.protocol import commands
from blynkscope.protocol.frames import Frame, build, parse
from blynkscope.protocol.model import Dialect, Sender
from blynkscope.wire.typed import LINE_MAX, body_of, body_text, typed

if TYPE_CHECKING:
    from blynkscope.proxy import Held

TO_SERVER, TO_DEVICE = 0, 1
CONNECTIONS_KEPT = 1024
"""Connections whose dialect is remembered, for what is injected into them."""
HELD_MAX = 10_000
"""Frames that wait for a person; what comes behind them passes."""
FIRST_ID = {TO_SERVER: 30_001, TO_DEVICE: 40_001}
"""Ids of injected frames: far from those of a device that was started lately."""
EDITED_MAX = 64 * 1024
"""Characters of a body that can be edited as a line; longer ones are passed or dropped."""
NAME = "intercept"
_FEW_ESCAPES = 4
_EXAMPLES, _EXAMPLES_OF_APPS = "vw V1 42, prop V1 color #ff0000", "HW 1-0 vw 1 42"
"""Messages of apps name the dashboard and the device in front."""
_KEYS = "[p]ass  [e]dit  [d]rop  [i]nject  [c]ontinue all  [q]uit"


class Prompting(Protocol):
    """Where the prompt is shown."""

    def prompt(self, lines: tuple[str, ...], cursor: int | None = None) -> None:
        """Show these lines."""

    def say(self, text: str) -> None:
        """Tell something."""


class _Waiting:
    """A frame that waits for a decision."""

    __slots__ = ("connection", "decision", "direction", "frame", "text")

    def __init__(
        self, connection: int, direction: int, frame: Held, text: str, decision: asyncio.Future[list[Command]]
    ) -> None:
        self.connection, self.direction, self.frame, self.text = connection, direction, frame, text
        self.decision = decision


class Interception:
    """A gate of the proxy that a person keeps, with single keys.

    Args:
        expression: Which frames wait.
        screen: Where the prompt is.
        hide: Takes the secrets out of the record of a frame that is shown.

    Raises:
        FilterError: The expression does not parse.
    """

    def __init__(self, expression: str, screen: Prompting, hide: Callable[[Any], Any] = lambda record: record) -> None:
        self._expression = expression
        self._matches = compile_filter(expression)
        self._screen = screen
        self._hide = hide
        self.inject: Callable[[int, int, bytes], bool] = lambda connection, direction, data: False
        """Sends bytes on a connection: its number, 0 to the server or 1 to the device, the bytes; False: not open."""
        self.quit: Callable[[], None] = lambda: None
        self.connections: Callable[[], Mapping[int, Any]] = dict
        """Gives the connections that are open, by number."""
        self._holding = True
        self._waiting: list[_Waiting] = []
        self._dialects: dict[int, Dialect] = {}
        self._facts: dict[tuple[int, Dialect], Facts] = {}
        self._ids = dict(FIRST_ID)
        self._injected_ids: dict[tuple[int, int, int], None] = {}
        self.injected: Callable[[int, int, bytes, dict[str, object]], None] = (
            lambda connection, direction, data, detail: None
        )
        """Told of a frame that was injected: its connection and direction, its bytes, and what to tell."""
        self._line: Line | None = None
        self._label = ""
        self._done: Callable[[str], None] = lambda text: None
        self._choosing = False
        self._note = ""

    # --- the gate ---

    def wants(self, connection: int, direction: int, frame: Held) -> bool:
        """See `proxy.Gate`."""
        self._dialects.pop(connection, None)
        self._dialects[connection] = frame.dialect
        if len(self._dialects) > CONNECTIONS_KEPT:
            del self._dialects[next(iter(self._dialects))]
        if self._answers_injected(connection, direction, frame):
            return True
        if frame.cmd != commands.RESPONSE and self._injected_ids:
            # Whoever is there asks with this id now, so the next answer to it is theirs.
            self._injected_ids.pop((connection, direction, frame.id), None)
        if not self._holding or len(self._waiting) >= HELD_MAX:
            return False
        return bool(self._matches(self._observed(connection, direction, frame).record()))

    async def decide(self, connection: int, direction: int, frame: Held) -> list[Command]:
        """See `proxy.Gate`."""
        if self._answers_injected(connection, direction, frame):
            # Who is on the other side has asked nothing: the answer ends here.
            del self._injected_ids[connection, 1 - direction, frame.id]
            return [Applied(NAME, "swallow", direction, f"status {frame.word}: the answer to an injected frame")]
        record = self._hide(self._observed(connection, direction, frame).record())
        text = f"{record.name} #{frame.id} {record.text}"
        decision: asyncio.Future[list[Command]] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(connection, direction, frame, text, decision)
        self._waiting.append(waiting)
        self._show()
        try:
            return await decision
        finally:
            # Also where the connection ended meanwhile.
            if waiting in self._waiting:
                first = self._waiting[0] is waiting
                self._waiting.remove(waiting)
                if first:
                    self._line, self._choosing = None, False
            self._show()

    def _answers_injected(self, connection: int, direction: int, frame: Held) -> bool:
        return frame.cmd == commands.RESPONSE and (connection, 1 - direction, frame.id) in self._injected_ids

    def _observed(self, connection: int, direction: int, frame: Held) -> Observed:
        key = direction, frame.dialect
        facts = self._facts.get(key)
        if facts is None or facts.stream != connection:
            client = Sender.DEVICE if frame.dialect is Dialect.HARDWARE else Sender.APP
            sender = client if direction == TO_SERVER else Sender.SERVER
            facts = self._facts[key] = Facts(connection, None, None, sender.value, frame.dialect.value, ("tcp",))
        return Observed(facts, 1, frame.time, frame.cmd, frame.id, frame.word, frame.body, None, None, None, ())

    # --- keys ---

    def key(self, key: str) -> None:
        """A key was pressed: a character, or a name of `intercept_line`."""
        self._note = ""
        if self._line is not None:
            self._typing(key, self._line)
        elif self._choosing:
            self._choosing = False
            if key in {"d", "s"}:
                self._begin_injection(TO_DEVICE if key == "d" else TO_SERVER)
        elif key == "i":
            self._choosing = self._target() is not None
            if not self._choosing:
                self._note = "no connection is open"
        elif key == "q":
            self.release()
            self.quit()
        elif key == "c":
            self._holding = False
            self.release()
        elif key == "h":
            self._holding = True
        elif self._waiting:
            self._of_frame(key, self._waiting[0])
        self._show()

    def release(self) -> None:
        """Let everything pass that waits."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            _settle(one, [Pass()])

    def _of_frame(self, key: str, waiting: _Waiting) -> None:
        if key == "p":
            self._answer(waiting, [Pass()])
        elif key == "d":
            self._answer(waiting, [Applied(NAME, "drop", waiting.direction, "")])
        elif key == "e":
            self._begin_edit(waiting)

    def _answer(self, waiting: _Waiting, decision: list[Command]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        _settle(waiting, decision)

    def _typing(self, key: str, line: Line) -> None:
        if key == "escape":
            self._line = None
        elif key == "enter":
            try:
                self._done(line.text)
            except NotationError as error:
                self._note = error.message
            else:
                self._line = None
        else:
            line.key(key)

    # --- editing ---

    def _begin_edit(self, waiting: _Waiting) -> None:
        frame = waiting.frame
        answer = frame.cmd == commands.RESPONSE
        text = str(frame.word) if answer else body_text(frame.body)
        if not answer and text.count("\\x") > _FEW_ESCAPES:
            text = "hex " + frame.body.hex(" ")
        if len(text) > EDITED_MAX:
            self._note = "its body is too long to be edited here"
            return
        what = "its status" if answer else r"its body (\0 between parts, or hex …)"
        self._label = f"{what}; Enter sends it, Esc leaves it"
        self._line = Line(text, longest=4 * EDITED_MAX)
        self._done = lambda typed_text: self._edited(waiting, typed_text)

    def _edited(self, waiting: _Waiting, text: str) -> None:
        frame = waiting.frame
        if frame.cmd == commands.RESPONSE:
            if not text.isascii() or not text.isdecimal() or len(text) > len("4294967295"):
                raise NotationError("write a number, like 200 or 9", 1, 1)
            fresh = Frame(frame.dialect, frame.cmd, frame.id, int(text))
        else:
            fresh = Frame(frame.dialect, frame.cmd, frame.id, None, body_of(text))
        try:
            data = build(fresh)
        except con.ConstructError:
            raise NotationError("it does not fit into a frame", 1, len(text) or 1) from None
        if data == frame.wire:
            self._answer(waiting, [Pass()])
            return
        applied = Applied(NAME, "edit", waiting.direction, f"{len(frame.wire)} → {len(data)} bytes")
        self._answer(waiting, [Send(waiting.direction, data), applied])

    # --- injecting ---

    def _target(self) -> int | None:
        """The connection that an injected frame goes to: that of the frame that waits, else the latest one."""
        if self._waiting:
            return self._waiting[0].connection
        return max(self.connections(), default=None)

    def _begin_injection(self, direction: int) -> None:
        connection = self._target()
        if connection is None:
            self._note = "no connection is open"
            return
        to = "device" if direction == TO_DEVICE else "server"
        dialect = self._dialects.get(connection, Dialect.HARDWARE)
        examples = _EXAMPLES_OF_APPS if dialect is Dialect.APP else _EXAMPLES
        self._label = f"to the {to} of stream {connection} ({examples}, ping, hex …)"
        self._line = Line(longest=LINE_MAX)
        self._done = lambda text: self._injected(connection, direction, text)

    def _injected(self, connection: int, direction: int, text: str) -> None:
        dialect = self._dialects.get(connection, Dialect.HARDWARE)
        made = typed(text, to_device=direction == TO_DEVICE, id=self._ids[direction], dialect=dialect)
        if not self.inject(connection, direction, made.data):
            self._note = f"stream {connection} is not open"
            return
        number = self._ids[direction]
        self._ids[direction] = number % 0xFFFF + 1
        for asked in [made.id] if made.id is not None else _ids_of(made.data, dialect):
            self._injected_ids[connection, direction, asked] = None
        while len(self._injected_ids) > CONNECTIONS_KEPT:
            del self._injected_ids[next(iter(self._injected_ids))]
        # Its text may be a secret: what it is, and how long, says enough.
        size = f"to the {'device' if direction == TO_DEVICE else 'server'}, {len(made.data)} bytes"
        facts: dict[str, object] = {"rule": NAME, "action": "inject", "detail": size}
        if made.cmd is not None:
            facts |= {"command": made.cmd, "id": made.id}
        self.injected(connection, direction, made.data, facts)
        if made.problem:
            self._screen.say(f"sent, although its body does not fit the command: {made.problem}")

    # --- the prompt ---

    def _show(self) -> None:
        waiting = self._waiting[0] if self._waiting else None
        lines: list[str] = []
        if waiting is not None:
            way = "→ server" if waiting.direction == TO_SERVER else "→ device"
            more = f"   ({len(self._waiting) - 1} more)" if len(self._waiting) > 1 else ""
            lines.append(f"held {way} · stream {waiting.connection} · {waiting.text}{more}")
        if self._note:
            lines.append(f"! {self._note}")
        if self._line is not None:
            mark = "> "
            self._screen.prompt((*lines, self._label, mark + self._line.text), len(mark) + self._line.cursor)
            return
        if self._choosing:
            lines.append("inject to the [d]evice or to the [s]erver? ")
        elif waiting is not None:
            lines.append(_KEYS + " ")
        elif self._holding:
            lines.append(f"holding {self._expression} · [i]nject  [c]ontinue all  [q]uit ")
        else:
            lines.append("nothing is held · [h]old again  [i]nject  [q]uit ")
        self._screen.prompt(tuple(lines))

    def begin(self) -> None:
        """Show the prompt for the first time."""
        self._show()


def _ids_of(data: bytes, dialect: Dialect) -> list[int]:
    """The ids of the frames that are typed as bytes, up to the first that is not whole; answers are not answered."""
    found = []
    while data:
        try:
            frame = parse(data, dialect)
        except con.ConstructError:
            break
        if frame.cmd != commands.RESPONSE:
            found.append(frame.id)
        data = data[len(build(frame)) :]
    return found


def _settle(waiting: _Waiting, decision: list[Command]) -> None:
    if not waiting.decision.done():
        waiting.decision.set_result(decision)
