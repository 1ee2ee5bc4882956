"""The middle of the server: who is connected, and everything that reaches from one connection to another."""

from __future__ import annotations

import time as _time
from collections.abc import Callable
from typing import TYPE_CHECKING

from blynkscope.errors import EnvironmentProblem
from blynkscope.protocol import commands
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.statuses import ILLEGAL_COMMAND, ILLEGAL_COMMAND_BODY, SERVER_EXCEPTION
from blynkscope.server import boards, ordering, properties
from blynkscope.server.answering import OK, frame, message
from blynkscope.server.images import Images
from blynkscope.server.ordering import pin_number
from blynkscope.server.profiles import Profiles
from blynkscope.server.projects import Device, Projects
from blynkscope.server.store import is_name
from blynkscope.server.timing import Timetable
from blynkscope.server.updates import Updates

if TYPE_CHECKING:
    from blynkscope.server.hardware import HardwareSession
    from blynkscope.server.model import Link, ServerSettings, Session
    from blynkscope.server.peers import AppPeer
    from blynkscope.server.store import Store

UNPROMPTED_ID = 7777
"""The id of `acon`, `adis` and `ota`, measured."""
MODES_ID = 1
"""The id of the message that sets up a device's pins, measured."""
NO_ROOM = -1
"""What `Hub.write` gives where the store does not take it."""
_OPERATIONS = frozenset({b"vw", b"dw", b"aw"})


class Hub:
    """All connections, and the services that their sessions use.

    Args:
        settings: How the server behaves.
        store: What outlives connections.
        clock: Seconds since 1970.
    """

    def __init__(self, settings: ServerSettings, store: Store, clock: Callable[[], float] = _time.time) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.projects = Projects(settings, store, clock)
        self.images = Images(settings, store)
        self.timetable = Timetable()
        self.updates = Updates(store)
        self.profiles = Profiles()
        self.trouble: EnvironmentProblem | None = None
        """Why the store could not be used; connections that needed it were reset."""
        self._online: dict[str, list[HardwareSession]] = {}
        self._apps: dict[str, list[AppPeer]] = {}

    def connect(self, link: Link, *, number: int, secure: bool, port: int, peer: tuple[str, int]) -> Session:
        """A client has connected.

        Args:
            link: The way to it.
            number: Number of the connection, for people.
            secure: It speaks inside of TLS.
            port: The port that it reached.
            peer: Its address.
        """
        from blynkscope.server.door import Door

        return Door(self, link, number=number, secure=secure, port=port, peer=peer)

    def commit(self) -> None:
        """Make durable what was stored; bytes of links may leave after it.

        Raises:
            EnvironmentProblem: It could not be stored, or the store has failed before; what waits in the links must
                not leave.
        """
        if self.trouble is not None:
            raise self.trouble
        self.store.commit()

    def tick(self, now: float) -> float | None:
        """Close who has been silent too long; gives when to come again (clock time), None where nothing waits."""
        try:
            return self.timetable.run(now)
        except EnvironmentProblem as problem:
            self.trouble = problem
            return now + 1.0

    # --- who is there -------------------------------------------------------------------------------------------------

    def device(self, token: str) -> Device | None:
        """The device of a token; with `any_token` an unknown one makes a device. None where the token is not taken."""
        found = self.projects.device(token)
        if found is None and self.settings.any_token:
            return self.projects.make_device(token)
        return found

    def board(self, device: Device) -> boards.Board:
        """The dashboard of a device; one that is not active where it was removed."""
        return self.projects.board(device) or boards.NO_BOARD

    def online_devices(self) -> list[Device]:
        """All devices that are logged in."""
        return [sessions[0].device for sessions in self._online.values() if sessions[0].device is not None]

    def app_connected(self, device: Device) -> bool:
        """Whether an app shows the dashboard of a device."""
        return any(app.sees(device.dash) for app in self.apps(device.account))

    def local_time(self, device: Device) -> int:
        """Seconds since 1970 in the time zone of the device's dashboard, as devices ask for it."""
        return boards.local_seconds(self.board(device), self.clock())

    def online(self, token: str) -> list[HardwareSession]:
        """The connections of a device that are logged in, the oldest first."""
        return self._online.get(token, [])

    def apps(self, account: str) -> list[AppPeer]:
        """The logged-in sessions of apps and pages that show projects of an account."""
        return self._apps.get(account, [])

    def attach_device(self, session: HardwareSession, device: Device, number: int) -> None:
        """A device has logged in with a message of this id: its pins are set up, and apps are told."""
        self._online.setdefault(device.token, []).append(session)
        self.send_modes(device, session)
        self.tell_apps(device, commands.HARDWARE_CONNECTED, number, device.target)
        self.projects.connected(device, self.clock(), session.address)

    def detach_device(self, session: HardwareSession, device: Device) -> None:
        """A connection of a device is gone. Apps are told, even where it has another one: so does the real server."""
        sessions = self._online.get(device.token, [])
        if session in sessions:
            sessions.remove(session)
            if not sessions:
                del self._online[device.token]
            self.tell_apps(device, commands.DEVICE_OFFLINE, 0, device.target)
            self.projects.disconnected(device, self.clock())

    def attach_app(self, session: AppPeer) -> None:
        """An app or a page has logged in: devices of the account get `acon`.

        The legacy server says it with each login (measured), here Blynk IoT with the first. Guests do not count as
        they come, but as they go.
        """
        sessions = self._apps.setdefault(session.account, [])
        first = not sessions
        sessions.append(session)
        if first if self.settings.like is Era.IOT else not session.guest:
            self._tell_devices(session.account, b"acon")

    def detach_app(self, session: AppPeer) -> None:
        """An app or a page is gone: devices of the account get `adis`."""
        sessions = self._apps.get(session.account, [])
        if session in sessions:
            sessions.remove(session)
            if not sessions:
                del self._apps[session.account]
            if not sessions or self.settings.like is Era.LEGACY:
                self._tell_devices(session.account, b"adis")

    # --- messages -----------------------------------------------------------------------------------------------------

    def tell_apps(self, device: Device, cmd: int, number: int, body: bytes, origin: object | None = None) -> None:
        """A message for the apps that show a device's dashboard; `body` is whole, with the device's place before it."""
        wires: dict[Dialect, bytes] = {}
        for app in tuple(self._apps.get(device.account, ())):
            if app is not origin and app.sees(device.dash):
                wire = wires.get(app.framing)
                if wire is None:
                    wire = wires[app.framing] = message(cmd, number, body, app.framing)
                app.send(wire)

    def write(
        self,
        device: Device,
        op: bytes,
        pin: bytes,
        values: list[bytes],
        *,
        id: int,  # noqa: A002
        origin: object | None = None,
        to_devices: bool = True,
        to_apps: bool = True,
    ) -> int:
        """A pin is written by someone who is no device: an app, a call, an operator.

        The pin is stored, and the write goes to the device and to apps other than `origin`; what one app wrote reaches
        the others as APP_SYNC.

        Args:
            device: Whose pin it is.
            op: `vw`, `dw` or `aw`; others are passed on and not stored.
            pin: Its number.
            values: At least one.
            id: Id of the messages.
            origin: The session of the app that wrote.
            to_devices: Whether the device gets it.
            to_apps: Whether apps get it.

        Returns:
            How many connections of the device got it; -1 where there is no room for it, so that nothing happened.
        """
        now = self.clock()
        if op in _OPERATIONS and values and not self.keep(device, op[:1] + pin, values, now):
            return NO_ROOM
        body = b"\0".join((op, pin, *values))
        got = self.send_hardware(device, commands.HW, id, body) if to_devices else 0
        if to_apps:
            board = self.board(device)
            if boards.is_active(board):
                mobile = origin is not None and any(origin is app for app in self.apps(device.account))
                cmd = commands.APP_SYNC if mobile else commands.HW
                self.tell_apps(device, cmd, id, device.target + b"\0" + body, origin)
        return got

    def keep(self, device: Device, key: bytes, values: list[bytes], time: float) -> bool:
        """Store the values of a pin, and a number in its history; False where the device has no room left."""
        if not self.store.set_pin(device.token, key, values, time):
            return False
        value = values[0]
        # No number has more digits than a double can tell apart, and a few for its exponent.
        if len(values) == 1 and len(value) <= 32 and b"_" not in value:
            try:
                number = float(value)
            except ValueError:
                return True
            if number - number == 0:
                self.store.add_data(device.token, key, number, time)
        return True

    def send_hardware(self, device: Device, cmd: int, number: int, body: bytes) -> int:
        """A message for all connections of a device whose buffer takes it; gives how many got it."""
        got = 0
        wire = frame(cmd, number, body)
        for session in self._online.get(device.token, ()):
            if wire and session.takes(len(wire)):
                session.send(wire)
                got += 1
        return got

    def set_property(
        self,
        device: Device,
        pin: bytes,
        name: bytes,
        values: list[bytes],
        *,
        id: int,  # noqa: A002
        origin: object | None = None,
    ) -> int | None:
        """A property of a pin's widget is changed.

        Returns:
            200; 11 for an unknown property or value, 2 for a pin or colour that does not parse, 19 where there is no
            room; None where the dashboard is not active, which nobody answers.
        """
        if not is_name(name) or not any(values):
            return ILLEGAL_COMMAND_BODY
        if not boards.is_active(self.board(device)):
            return None
        if (problem := properties.problem(name, values, self.settings.like)) is not None:
            return problem
        if (number := pin_number(pin)) is None:
            return ILLEGAL_COMMAND
        if not self.store.set_property(device.token, b"v" + number, name, values):
            return SERVER_EXCEPTION
        body = b"\0".join((device.target, number, name, *values))
        self.tell_apps(device, commands.PROPERTY, id, body, origin)
        return OK

    def log_event(self, device: Device, name: bytes, description: bytes, time: float) -> int | None:
        """An event is kept; a status where it is not: 11 for what is no name, 19 where there is no room."""
        if not is_name(name):
            return ILLEGAL_COMMAND_BODY
        return None if self.store.add_event(device.token, name, description, time) else SERVER_EXCEPTION

    def send_internal(self, device: Device, *words: bytes, id: int = UNPROMPTED_ID) -> int:  # noqa: A002
        """An INTERNAL for a device, such as `ota` and a URL; gives how many connections got it."""
        wire = frame(commands.INTERNAL, id, b"\0".join(words))
        sessions = self.online(device.token) if wire else []
        for session in sessions:
            session.send(wire)
        if sessions and words[0] == b"ota":
            self.updates.ordered(device.token, b"\0".join(words[1:]))
        return len(sessions)

    def heard_info(self, device: Device, info: dict[bytes, bytes]) -> bytes | None:
        """A device has said what it is; gives the URL of firmware that it shall load, None where there is none.

        What it has loaded already is not ordered again, even if the firmware does not tell its build.
        """
        build = self.updates.heard(device.token, info)
        url = self.images.due(device, build, self.board(device).get("name"))
        before = self.updates.sent(device.token)
        return None if before is not None and before.url == url else url

    def send_modes(self, device: Device, only: HardwareSession | None = None) -> None:
        """The modes of a device's pins, after a login or as its dashboard becomes active; nothing where it has none."""
        board = self.board(device)
        if not boards.is_active(board) or not (body := boards.modes(board, device.id)):
            return
        wire = frame(commands.HW, MODES_ID, body)
        for session in self.online(device.token) if only is None else (only,):
            session.send(wire)

    def pins(self, device: Device) -> dict[bytes, list[bytes]]:
        """The stored pins of a device in the order of a sync: those of widgets first, then as the server keeps them."""
        return ordering.pins(self, device)

    def _tell_devices(self, account: str, word: bytes) -> None:
        for device in self.online_devices():
            if device.account != account:
                continue
            board = self.board(device)
            if boards.is_active(board) and boards.tells_apps(board):
                self.send_internal(device, word)
