"""Rules as they are loaded, the commands that the engine gives back, and the limits of both.

A *direction* is 0 for bytes from the device (or app) to the server and 1 for bytes to the device, as in `wire.events`.

What the engine returns for a frame is a list of commands, to be carried out in this order:

    Pass()                    send on these very bytes now, to where they were going
    Send(direction, data)     write `data` now in that direction, as one write; also answers in the other side's stead
    Later(delay, token)       call `Injector.timer(token, now)` in `delay` seconds
    Stall(direction, seconds) stop to read the side that sends in this direction, for `seconds` or, where that is None,
                              for good. The engine holds what was read before; a relay that goes on reading is right
                              too, only without back-pressure
    Close() · Reset()         end both legs: FIN, or RST; nothing is sent afterwards
    Applied(…)                a rule was applied, or could not be: for the log. Its texts hold nothing that was on
                              the wire but numbers of commands, ids and statuses

A list without `Pass` and without a `Send` in the frame's direction means that the frame is held or gone.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from blynkscope.analysis.records import FrameRecord
from blynkscope.errors import BlynkscopeError

TO_SERVER, TO_DEVICE = 0, 1
DIRECTIONS: dict[str, tuple[int, ...]] = {
    "both": (TO_SERVER, TO_DEVICE),
    "to-server": (TO_SERVER,),
    "to-device": (TO_DEVICE,),
}

FILE_MAX = 256 * 1024
"""Bytes of a rules file: hand-written ones have a few KiB."""
RULES_MAX = 256
"""Rules of one file: each is asked for each frame."""
NAME_MAX = 64
"""Characters of a rule's name, which stands in every line about it."""
DELAY_MAX = 3600.0
"""Seconds of a delay, a stall or a wait: longer than any timeout of the protocol, and held frames take memory."""
TIME_MAX = 1e9
"""Seconds of `from` and `until`: connections last for weeks, not for thirty years."""
NUMBER_MAX = 1_000_000_000
"""Of `after`, `count`, `every` and `connection`."""
COPIES_MAX = 100
"""Further copies of one frame."""
MERGED_MAX = 1000
"""Frames that are brought together into one write."""
OVERTAKING_MAX = 1000
"""Frames that may overtake a reordered one."""
ANSWERS_MAX = 16
"""Frames with which one rule answers."""
MERGE_SECONDS = 1.0
"""Time after which a merge that lacks frames is sent as it is, where the rule does not tell one."""
REORDER_SECONDS = 5.0
"""The same for a frame that nobody overtakes: the login timeouts of libraries are 3 to 6 s."""
DEFAULT_SEED = 1
"""Where neither the file nor the caller gives one, so that a run repeats anyway."""


class FaultsError(BlynkscopeError):
    """A rules file has a mistake in it.

    Args:
        message: What is wrong and what to do, in one line.
        name: Name of the file, or of what stands for it.
        line: 1-based line; 0 where the mistake has no place, as in a file that cannot be opened.
        column: 1-based column in that line, in characters.
    """

    exit_code = 2

    def __init__(self, message: str, name: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"{name}:{line}:{column}: {message}" if line else f"{name}: {message}")
        self.message = message
        self.name = name
        self.line = line
        self.column = column


# --- commands ---------------------------------------------------------------------------------------------------------


class Pass(msgspec.Struct, frozen=True, gc=False, tag="pass"):
    """Send on the frame's very bytes now."""


class Send(msgspec.Struct, frozen=True, gc=False, tag="send"):
    """Write `data` now in `direction`, as one write."""

    direction: int
    data: bytes


class Later(msgspec.Struct, frozen=True, gc=False, tag="later"):
    """Call `Injector.timer(token, now)` in `delay` seconds (0 or more)."""

    delay: float
    token: int


class Close(msgspec.Struct, frozen=True, gc=False, tag="close"):
    """End both legs in an orderly way."""


class Reset(msgspec.Struct, frozen=True, gc=False, tag="reset"):
    """End both legs with RST."""


class Stall(msgspec.Struct, frozen=True, gc=False, tag="stall"):
    """Stop to read what goes in `direction`, for `seconds`; for good where that is None."""

    direction: int
    seconds: float | None = None


class Applied(msgspec.Struct, frozen=True, gc=False, tag="applied"):
    """A rule did something to a frame, or could not (`failed`).

    `rule` is its name, empty where the engine's own limits speak; `action` is the key of the rules file (`delay`,
    `drop` …) or `limit`; `detail` tells in a few words what was done.
    """

    rule: str
    action: str
    direction: int
    detail: str
    failed: bool = False


Command = Pass | Send | Later | Close | Reset | Stall | Applied


# --- actions ----------------------------------------------------------------------------------------------------------


class Replace(msgspec.Struct, frozen=True):
    """New texts for named fields of the body: (name, values)."""

    fields: tuple[tuple[str, tuple[str, ...]], ...]


class SetBody(msgspec.Struct, frozen=True):
    """A whole new body."""

    body: bytes


class SetStatus(msgspec.Struct, frozen=True):
    """Another status in a RESPONSE."""

    status: int


class Corrupt(msgspec.Struct, frozen=True):
    """One byte of the frame, header included, is changed. None: by the seed. A negative offset counts from the end."""

    offset: int | None = None
    xor: int | None = None


class Truncate(msgspec.Struct, frozen=True):
    """Only the first `size` bytes of the frame, header included, are sent."""

    size: int


Edit = Replace | SetBody | SetStatus | Corrupt | Truncate


class Answer(msgspec.Struct, frozen=True):
    """A frame to the sender, in the other side's stead. `id` None: that of the request."""

    cmd: int
    status: int | None = None
    body: bytes = b""
    id: int | None = None
    delay: float = 0.0


class Delay(msgspec.Struct, frozen=True):
    """`seconds`, and up to `jitter` more by the seed."""

    seconds: float
    jitter: float = 0.0


class Split(msgspec.Struct, frozen=True):
    """Writes of `size` bytes, `gap` seconds apart."""

    size: int = 1
    gap: float = 0.0


class Merge(msgspec.Struct, frozen=True):
    """`frames` of them, or what came `within` seconds, as one write."""

    frames: int
    within: float = MERGE_SECONDS


class Reorder(msgspec.Struct, frozen=True):
    """Held until `frames` later ones have overtaken it, or `within` seconds are over."""

    frames: int = 1
    within: float = REORDER_SECONDS


class StallFor(msgspec.Struct, frozen=True):
    """Nothing is sent on in these directions (empty: in that of the frame), for `seconds` or for good."""

    seconds: float | None = None
    directions: tuple[int, ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: which frames, and what is done to them. `line` is where it stands in its file."""

    name: str
    line: int = 0
    expression: str = ""
    match: Callable[[FrameRecord], bool] | None = None
    directions: tuple[int, ...] = (TO_SERVER, TO_DEVICE)
    answers: frozenset[int] | None = None
    after: int = 0
    count: int | None = None
    every: int = 1
    probability: float = 1.0
    connections: frozenset[int] | None = None
    begin: float = 0.0
    until: float | None = None
    passes: bool = False
    edits: tuple[Edit, ...] = ()
    answer: tuple[Answer, ...] = ()
    forward: bool = True
    """False where the rule drops the frame, or answers it without sending it on."""
    delay: Delay | None = None
    duplicate: int = 0
    split: Split | None = None
    merge: Merge | None = None
    reorder: Reorder | None = None
    stall: StallFor | None = None
    ending: str | None = None
    """close, reset, or None."""


class RuleSet(msgspec.Struct, frozen=True):
    """The rules of one file, in their order."""

    name: str
    rules: tuple[Rule, ...] = ()
    description: str = ""
    seed: int | None = None
