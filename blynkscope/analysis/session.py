"""The conversation of a stream as a state machine. Everything that changes its state is in this file.

Two parties: the client logs in (a device; an app; with a direct Bluetooth or serial link the phone, to the device), the
server is logged in to. `MACHINE` says for each party what a happening makes of its state; what it does not list
changes nothing. `explain session` and the README draw it from this data.
"""

from __future__ import annotations

from enum import StrEnum

from blynkscope.protocol.statuses import ALREADY_REGISTERED, SUCCESS


class Party(StrEnum):
    """Who is in a state."""

    CLIENT = "client"
    SERVER = "server"


class State(StrEnum):
    """Where a party is in the conversation."""

    CONNECTING = "connecting"
    AWAITING_LOGIN = "awaiting-login"
    LOGGING_IN = "logging-in"
    ONLINE = "online"
    REJECTED = "rejected"
    REDIRECTED = "redirected"
    CLOSED = "closed"


class Happening(StrEnum):
    """What changes a state."""

    CONNECTED = "connected"
    """The transport is there: TCP's handshake, a Bluetooth link, a log's first frame."""
    JOINED = "joined"
    """The stream was joined in the middle: it is taken for online until something says otherwise."""
    LOGIN = "login"
    ACCEPTED = "accepted"
    """The login was answered with success (or with STA_ALREADY_REGISTERED, which libraries take for it)."""
    REFUSED = "refused"
    """The login was answered with any other status."""
    REDIRECT = "redirect"
    ANSWERED = "answered"
    """Another request was answered: whoever answers has accepted the login, even one that was not seen."""
    CLOSED = "closed"


_END = {Happening.CLOSED: State.CLOSED}

MACHINE: dict[Party, dict[State, dict[Happening, State]]] = {
    Party.CLIENT: {
        State.CONNECTING: {Happening.CONNECTED: State.AWAITING_LOGIN, Happening.JOINED: State.ONLINE, **_END},
        State.AWAITING_LOGIN: {
            Happening.LOGIN: State.LOGGING_IN,
            Happening.REDIRECT: State.REDIRECTED,
            Happening.ANSWERED: State.ONLINE,
            **_END,
        },
        State.LOGGING_IN: {
            Happening.ACCEPTED: State.ONLINE,
            Happening.REFUSED: State.REJECTED,
            Happening.REDIRECT: State.REDIRECTED,
            Happening.ANSWERED: State.ONLINE,
            **_END,
        },
        State.ONLINE: {Happening.REDIRECT: State.REDIRECTED, **_END},
        State.REJECTED: {Happening.LOGIN: State.LOGGING_IN, Happening.REDIRECT: State.REDIRECTED, **_END},
        State.REDIRECTED: _END,
        State.CLOSED: {},
    },
    Party.SERVER: {
        State.CONNECTING: {Happening.CONNECTED: State.AWAITING_LOGIN, Happening.JOINED: State.ONLINE, **_END},
        State.AWAITING_LOGIN: {
            Happening.LOGIN: State.LOGGING_IN,
            Happening.REDIRECT: State.REDIRECTED,
            Happening.ANSWERED: State.ONLINE,
            **_END,
        },
        # A refusal leaves the connection open, and the server takes another login on it.
        State.LOGGING_IN: {
            Happening.ACCEPTED: State.ONLINE,
            Happening.REFUSED: State.AWAITING_LOGIN,
            Happening.REDIRECT: State.REDIRECTED,
            Happening.ANSWERED: State.ONLINE,
            **_END,
        },
        State.ONLINE: {Happening.REDIRECT: State.REDIRECTED, **_END},
        State.REDIRECTED: _END,
        State.CLOSED: {},
    },
}
"""`{PARTY: {STATE: {HAPPENING: STATE}}}`. A second login while online changes nothing: it is refused with status 4."""


class Session:
    """The states of both parties of one stream.

    Attributes:
        states: Each party's state now.
        reached: The farthest that the client's state got before the connection closed.
        online_since: Time at which the login was accepted; None before, and where nothing tells.
    """

    __slots__ = ("online_since", "reached", "settled", "states")

    def __init__(self) -> None:
        self.states = {Party.CLIENT: State.CONNECTING, Party.SERVER: State.CONNECTING}
        self.reached = State.CONNECTING
        self.online_since: float | None = None
        self.settled = False
        """True while the client is online: then a frame needs no look at the state."""

    @property
    def state(self) -> State:
        """The client's state."""
        return self.states[Party.CLIENT]

    def happens(self, what: Happening, time: float | None = None) -> None:
        """Both parties take it in."""
        states = self.states
        for party, state in states.items():
            states[party] = MACHINE[party][state].get(what, state) if state in MACHINE[party] else state
        now = states[Party.CLIENT]
        if now is not State.CLOSED:
            self.reached = now
        if now is State.ONLINE and self.online_since is None:
            self.online_since = time
        self.settled = now is State.ONLINE

    def login_answered(self, status: int, time: float | None) -> None:
        """The login got its status."""
        accepted = status in {SUCCESS, ALREADY_REGISTERED}
        self.happens(Happening.ACCEPTED if accepted else Happening.REFUSED, time)


def mermaid(party: Party) -> str:
    """A party's states as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {_node(State.CONNECTING)}"]
    for state, changes in MACHINE[party].items():
        lines += [f"    {_node(state)} --> {_node(then)}: {what}" for what, then in changes.items()]
    lines.append(f"    {_node(State.CLOSED)} --> [*]")
    return "\n".join(lines)


def _node(state: State) -> str:
    return state.replace("-", "_")
