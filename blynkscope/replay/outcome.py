"""What came of a replay: a verdict for each frame that was expected or heard, and the account of the whole."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from blynkscope.analysis.records import FrameRecord
from blynkscope.replay.comparing import Difference

OUTCOMES_MAX = 100_000
"""Verdicts that are told one by one; what is beyond is counted. As many as a script has frames."""


class Verdict(StrEnum):
    """What became of a frame."""

    EQUAL = "equal"
    DIFFERENT = "different"
    MISSING = "missing"
    EXTRA = "extra"
    UNPLAYED = "unplayed"
    """Its turn did not come: the connection had ended, or the replay was over."""


DEPARTURES = frozenset({Verdict.DIFFERENT, Verdict.MISSING, Verdict.EXTRA})
"""The verdicts that make a difference. What was not played is told, and is one only where nothing else tells why."""


class Outcome(msgspec.Struct, frozen=True, gc=False, tag_field="record", tag="step"):
    """The verdict on one frame, HTTP call or end of a connection.

    Attributes:
        verdict: The verdict.
        kind: "frame", "call" (of the HTTP API) or "end" (of the connection).
        stream: Number of the stream in the recording.
        n: Number of the recorded frame or call; None of what is extra.
        request: Number of the recorded frame that this answers, or that the client sent.
        recorded: The frame as it was recorded; None of what is extra.
        now: The frame as it came; None of what is missing.
        differences: The fields that differ.
        rule: Why it counts as equal although the bytes differ: one of `comparing.RULES`.
        note: What else there is to say, in words.
        recorded_ms, rtt_ms: How long the answer took then and now.
    """

    verdict: Verdict
    kind: str
    stream: int
    n: int | None
    request: int | None
    recorded: FrameRecord | None
    now: FrameRecord | None
    differences: tuple[Difference, ...] = ()
    rule: str | None = None
    note: str = ""
    recorded_ms: float | None = None
    rtt_ms: float | None = None


class Trouble(msgspec.Struct, frozen=True):
    """Why a replay ended before its time. `stage` is that of a `targets.ConnectError`; `stream` where known."""

    stage: str
    text: str
    stream: int | None = None


class Report(msgspec.Struct, frozen=True, tag_field="record", tag="replay"):
    """The account of a replay; the last record.

    Attributes:
        side: "device" where this program played the device, "server" where it played the server.
        target: Where to, or where it listened.
        streams: Connections of the script, and how many of them were played.
        sent: Frames that were sent.
        counts: Verdicts by name; all of them, also those that nothing got.
        rules: Rules by which frames count as equal, with how often.
        passed_over: What is in the recording and was not played, by reason.
        notes: What a person should know.
        recorded_ms, rtt_ms: Median time that answers took then and now.
        trouble: Why it ended before its time.
        complete: Everything was played.
        seconds: How long it took.
    """

    side: str
    target: str
    streams: int
    played: int
    sent: int
    counts: dict[str, int]
    rules: dict[str, int]
    passed_over: dict[str, int]
    notes: tuple[str, ...]
    recorded_ms: float | None
    rtt_ms: float | None
    trouble: Trouble | None
    complete: bool
    seconds: float

    @property
    def departs(self) -> bool:
        """Is there a difference between then and now?"""
        return any(self.counts.get(verdict, 0) for verdict in DEPARTURES)
