"""Orders that a person types at the prompt of the reference server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from blynkscope.cli.intercept_line import Line
from blynkscope.errors import NotationError
from blynkscope.protocol import bodies, commands
from blynkscope.protocol.frames import HEADER_SIZE
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.statuses import SUCCESS
from blynkscope.server.hub import NO_ROOM
from blynkscope.server.ordering import pin_number
from blynkscope.wire.typed import LINE_MAX, Typed, typed

if TYPE_CHECKING:
    from blynkscope.server.hub import Hub
    from blynkscope.server.projects import Device

HISTORY_MAX = 100
"""Orders that are remembered."""
_HELP = (
    "vw V1 42               write a pin: stored, and sent to devices and apps",
    "dw D2 1, aw A0 512     the same for digital and analog pins",
    "prop V1 color #ff0000  set a property",
    "internal ota URL       any frame by its command's name; also ping, vr V1, hex …",
    "@TOKEN order           for one device, by the first letters of its token",
    "devices                which devices there are",
    "quit                   end",
)
_WRITES = frozenset({b"vw", b"dw", b"aw"})
_MAY_BE_EMPTY = frozenset({commands.RESPONSE, commands.HW_SYNC})
_SHOWN = 4
"""Characters of a token that are shown: enough to choose by, too few to log in with."""


class Prompting(Protocol):
    """Where the prompt is shown."""

    def prompt(self, lines: Sequence[str], cursor: int | None = None) -> None:
        """Show these lines."""

    def say(self, text: str) -> None:
        """Tell something."""


class Ordering:
    """The prompt: takes keys, and carries out the lines that they make.

    Args:
        hub: The server.
        screen: Where the prompt is.
    """

    def __init__(self, hub: Hub, screen: Prompting) -> None:
        self._hub = hub
        self._screen = screen
        self.quit: Callable[[], None] = lambda: None
        self._line = Line(longest=LINE_MAX)
        self._past: list[str] = []
        self._at = 0

    def begin(self) -> None:
        """Show it for the first time."""
        self._screen.say("orders: vw V1 42, prop V1 color #ff0000, devices, help, quit")
        self._show()

    def key(self, key: str) -> None:
        """A key was pressed."""
        if key == "enter":
            text, self._line = self._line.text.strip(), Line(longest=LINE_MAX)
            if text:
                self._remember(text)
                self.order(text)
        elif key in {"up", "down"}:
            self._at = min(max(self._at + (-1 if key == "up" else 1), 0), len(self._past))
            text = self._past[self._at] if self._at < len(self._past) else ""
            self._line = Line(text, longest=LINE_MAX)
        else:
            self._line.key(key)
        self._show()

    def order(self, text: str) -> None:
        """Carry out a line, and tell what came of it."""
        word = text.split(maxsplit=1)[0].lower()
        if word in {"quit", "exit"}:
            self.quit()
        elif word in {"help", "?"}:
            for line in _HELP:
                self._screen.say(f"  {line}")
        elif word == "devices":
            self._list()
        else:
            try:
                self._write(text)
            except NotationError as error:
                self._screen.say(f"! {error.message}")
            except Exception as error:
                # Nobody but the loop is above this call, and it would print over the prompt.
                self._screen.say(f"! the order failed ({type(error).__name__}). Please report this.")

    # --- orders ---

    def _write(self, text: str) -> None:
        devices = self._hub.projects.all_devices()
        if text.startswith("@"):
            token, _, text = text[1:].partition(" ")
            devices = [one for one in devices if one.token.startswith(token)]
            if not token or not devices:
                raise NotationError("no device has a token that begins so", 1, 1)
            if len(devices) > 1:
                raise NotationError("several devices have a token that begins so", 1, 1)
        made = typed(text, to_device=True, id=commands.REST_WRITE_ID)
        if made.problem:
            raise NotationError(f"not sent: {made.problem}", 1, 1)
        if _lacks_body(made):
            raise NotationError("not sent: write what it is to say behind the command's name", 1, 1)
        if not devices:
            raise NotationError("there is no device yet", 1, 1)
        reached = sum(self._carry_out(made, device) for device in devices)
        told = _counted(reached, "connection")
        if _operation(made) in _WRITES or made.cmd == commands.PROPERTY:
            self._screen.say(f"stored, and sent on {told}" if reached else "stored; no device is online to hear it")
        else:
            self._screen.say(f"sent on {told}" if reached else "not sent: no device is online")

    def _carry_out(self, made: Typed, device: Device) -> int:
        """One order for one device; gives the connections that it went to."""
        hub, body = self._hub, made.data[5:]
        operation = _operation(made)
        number = made.id or commands.REST_WRITE_ID
        if operation in _WRITES:
            _, named, *values = body.split(b"\0")
            if (kept := pin_number(named)) is None:
                raise NotationError("not sent: pins have the numbers 0 to 255", 1, 1)
            got = hub.write(device, operation, kept, values, id=number, origin=None, to_devices=True, to_apps=True)
            if got == NO_ROOM:
                raise NotationError("not stored, and not sent: the store has no more room", 1, 1)
            return got
        if made.cmd == commands.PROPERTY:
            pin, name, *values = body.split(b"\0")
            status = hub.set_property(device, pin, name, values, id=number, origin=None)
            if status is None:
                raise NotationError("not sent: the dashboard of the device is not active", 1, 1)
            if status != SUCCESS:
                raise NotationError(f"refused with status {status}", 1, 1)
        online = hub.online(device.token)
        for session in online:
            session.send(made.data)
        return len(online)

    def _list(self) -> None:
        devices = self._hub.projects.all_devices()
        if not devices:
            self._screen.say("  no device is known")
        for device in devices:
            online = len(self._hub.online(device.token))
            pins = _counted(len(self._hub.store.pins(device.token)), "pin")
            state = f"online ({online})" if online else "offline"
            self._screen.say(f"  @{device.token[:_SHOWN]}…  device {device.dash}-{device.id}  {state}  {pins}")

    # --- the prompt ---

    def _remember(self, text: str) -> None:
        if self._past[-1:] != [text]:
            self._past.append(text)
            del self._past[:-HISTORY_MAX]
        self._at = len(self._past)

    def _show(self) -> None:
        mark = "blynkscope> "
        self._screen.prompt((mark + self._line.text,), len(mark) + self._line.cursor)


def _operation(made: Typed) -> bytes | None:
    """Of a hardware message, what it does to pins; None for other messages."""
    return made.data[5:].split(b"\0", 1)[0] if made.cmd == commands.HW else None


def _lacks_body(made: Typed) -> bool:
    """A command alone, where it says nothing without a body."""
    if made.cmd is None or len(made.data) > HEADER_SIZE[Dialect.HARDWARE] or made.cmd in _MAY_BE_EMPTY:
        return False
    row = commands.find(made.cmd, Dialect.HARDWARE)
    return row is not None and row.body is not bodies.EMPTY


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
