"""The words in which the command table is written: dialect, era, sender, answer policy, command, status."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blynkscope.protocol.schema import Body


class Dialect(StrEnum):
    """Which of the three headers a direction uses."""

    HARDWARE = "hardware"
    APP = "app"
    WEB = "web"


class Era(StrEnum):
    """Which generation of Blynk: the open-source legacy server, or the Blynk IoT cloud."""

    LEGACY = "legacy"
    IOT = "iot"


class Sender(StrEnum):
    """Who wrote a frame."""

    DEVICE = "device"
    SERVER = "server"
    APP = "app"
    UNKNOWN = "unknown"


class Ack(StrEnum):
    """What the receiver says when a command succeeded."""

    STATUS = "status"
    """A RESPONSE with status 200 and the same id."""
    NOTHING = "nothing"
    """Nothing, neither on success nor on failure."""
    NEVER_ON_SUCCESS = "never-on-success"
    """Nothing on success; a RESPONSE with an error status on failure. Virtual writes are of this kind."""
    SAME_COMMAND = "same-command"
    """A frame of the same command and id that carries the data asked for."""
    SYNC = "sync"
    """Zero or more HW frames that carry the request's id; nothing where the pin has no value."""
    BY_BODY = "by-body"
    """It depends on the body: INTERNAL info gets a status, `rtc` an INTERNAL, other keys nothing."""
    UNKNOWN = "unknown"
    """Not documented and not measured."""


DEVICE, SERVER, APP = Sender.DEVICE, Sender.SERVER, Sender.APP
HARDWARE_ONLY = frozenset({Dialect.HARDWARE})
APP_WEB = frozenset({Dialect.APP, Dialect.WEB})
ALL = frozenset(Dialect)


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the command table.

    Args:
        code: Number on the wire, 0 to 255.
        name: Canonical name, `MSG_…`.
        aliases: Other names for the same thing: C++ (`BLYNK_CMD_…`), Java server, short forms, old names.
        dialects: Where the row holds.
        era: The only era in which it holds; `None` for both.
        senders: Who sends it.
        ack: What answers it when it succeeds, sent by the device or the app toward the server.
        failures: Status codes with which it may be refused.
        body: Schema of the body.
        doc: One paragraph for people.
        history: What else the code meant, and when; empty if nothing is known.
        source: Where the facts come from.
    """

    code: int
    name: str
    aliases: tuple[str, ...]
    dialects: frozenset[Dialect]
    senders: frozenset[Sender]
    ack: Ack
    body: Body
    doc: str
    source: str
    era: Era | None = None
    failures: tuple[int, ...] = ()
    history: str = ""
    on_wire: bool = True
    """False for codes that the server only counts in its statistics."""


@dataclass(frozen=True, slots=True)
class Status:
    """One row of the status table: what the length field of a RESPONSE says.

    Args:
        code: Number on the wire.
        name: Canonical name, `STA_…`.
        aliases: Java server names, C++ names, old names.
        doc: What it means to the developer of a device.
        fix: What to do about it; empty where nothing is wrong.
        history: Changes of meaning and retirement.
    """

    code: int
    name: str
    aliases: tuple[str, ...]
    doc: str
    fix: str = ""
    history: str = ""
    retired: bool = False
