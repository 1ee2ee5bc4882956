"""BS307, BS316, BS318: bodies that do not fit their command or receiver, and lengths that are read as statuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.acks import BODY_KEPT
from blynkscope.analysis.pins import Digest, pin_name
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules import words
from blynkscope.analysis.rules.words import FRAMES_KEPT, GROUPS_MAX, command, failed, is_login, refusals, some, times
from blynkscope.protocol import commands, limits, statuses
from blynkscope.protocol.model import Sender
from blynkscope.protocol.statuses import ILLEGAL_COMMAND, ILLEGAL_COMMAND_BODY, STATUSES, SUCCESS, status_name
from blynkscope.wire.events import CLIENT

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.pins import Write
    from blynkscope.wire.events import Closed, Line
    from blynkscope.wire.framing import Malformed

ILLEGAL = frozenset({ILLEGAL_COMMAND, ILLEGAL_COMMAND_BODY})
PROBLEMS_KEPT = 256
"""Frames of one stream whose problem is remembered until their answer comes: more than wait for one."""
LONE_FRAMES = 2
"""In a log of so few messages the reader sees which one is meant."""
CHECKED_MAX = 32
"""Messages of one command and stream whose body is parsed unasked: a client that builds them wrongly begins so."""
_QUOTED_HEADER = re.compile(
    r"\s{0,16}+>\s?\[([0-9A-Fa-f]{2})\|[0-9A-Fa-f]{2}\|[0-9A-Fa-f]{2}\|([0-9A-Fa-f]{2})\|([0-9A-Fa-f]{2})\]"
    r"\s{0,80}+(?://|\Z)"
)
"""A server's header as the C++ library prints it, and at most a comment behind it."""
_UNKNOWN_PROPERTY = "the server knows no such property or value"
PLAUSIBLE_BUFFER = 8192
"""A length beyond this in "Packet too big" is no length: no library has so large a buffer, no server sends so much."""


def write_problem(stream: Conversation, write: Write) -> str | None:
    """Why the body of a pin write does not parse, or None; of long values nothing is known any more."""
    lane = stream.client if write.lane == stream.client.direction else stream.server
    if isinstance(write.values, Digest):
        return None
    row = commands.find(commands.HW, lane.dialect, stream.run.era)
    target, _, key = write.key.rpartition(b"\0")
    parts = [key[:2], key[2:], *([write.values] if write.values is not None else [])]
    return row.body.problem(b"\0".join([target, *parts] if target else parts)) if row is not None else None


class IllegalBodies(StreamRule):
    """BS307: bodies that are refused as illegal, or that do not parse."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"problems": {}, "groups": {}, "good": set(), "checked": {}}

    def spoke(
        self, stream: Conversation, lane: Lane, n: int, cmd: int, message_id: int, word: int, body: bytes,
        time: float | None,
    ) -> None:  # fmt: skip
        """See `StreamRule`."""
        if lane.direction != CLIENT or not body or cmd in {commands.LOGIN, commands.HW_LOGIN}:
            return
        if stream.log and word != len(body):
            return  # the log shows other bytes than were sent
        checked = self.of(stream)["checked"]
        count = checked[cmd] = checked.get(cmd, 0) + 1
        if count > CHECKED_MAX:
            return
        row = commands.find(cmd, lane.dialect, stream.run.era)
        if row is None or (Sender.SERVER in row.senders and Sender(lane.sender) not in row.senders):
            return
        problem = row.body.problem(body)
        if problem is not None:
            problems = self.of(stream)["problems"]
            if len(problems) >= PROBLEMS_KEPT:
                del problems[next(iter(problems))]
            problems[n] = (cmd, problem)
            self._group(stream, cmd, problem, (n,))

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        if is_login(request) and stream.client.dialect.value == "hardware":
            return
        memory = self.of(stream)
        if status == SUCCESS:
            memory["good"].add(request.cmd)
        if status not in ILLEGAL:
            return
        known = memory["problems"].get(request.n)
        if known is not None:
            self._group(stream, request.cmd, known[1], (n,), status, count=0)
            return
        why = None
        if request.row is not None and len(request.body) < BODY_KEPT:
            why = request.row.body.problem(request.body)
            if why is None and request.cmd == commands.PROPERTY and not request.row.body.secrets(request.body):
                why = f"{_UNKNOWN_PROPERTY} ({request.row.body.decode(request.body)[1][:60]})"
        self._group(stream, request.cmd, why or "the server refused it", (request.n, n), status)

    def write_refused(self, stream: Conversation, write: Write, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        problem = write_problem(stream, write) if status in ILLEGAL else None
        if problem is not None:
            self._group(stream, commands.HW, f"{pin_name(write.key)}: {problem}", (write.n, n), status)

    def _group(
        self,
        stream: Conversation,
        cmd: int,
        why: str,
        frames: tuple[int, ...],
        status: int | None = None,
        count: int = 1,
    ) -> None:
        groups = self.of(stream)["groups"]
        key = (cmd, why)
        group = groups.get(key)
        if group is None:
            if len(groups) >= GROUPS_MAX:
                return
            group = groups[key] = {"count": 0, "frames": [], "statuses": {}}
        group["count"] += count
        if status is not None:
            group["statuses"][status] = None
        if len(group["frames"]) < FRAMES_KEPT:
            group["frames"] += frames

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        if failed(stream):
            return
        memory = self.of(stream)
        for (cmd, why), group in memory["groups"].items():
            statuses = " and ".join(words.status(code) for code in group["statuses"])
            answer = f"; the server answered {statuses}" if statuses else ""
            frames = sorted(group["frames"])
            detail = f"{command(stream, cmd)}, {times(group['count'])} ({some(frames)}): {why}{answer}."
            # A bridge that is set up in the end works.
            mild = cmd == commands.BRIDGE and cmd in memory["good"]
            severity = "note" if mild else refusals(stream, group["count"])
            self.report(
                "BS307", stream, frames=frames, count=group["count"], detail=detail, fix=_layout(stream, cmd, why),
                severity=severity,
            )  # fmt: skip


def _layout(stream: Conversation, cmd: int, why: str) -> str:
    """What to do about a body that its command does not take."""
    if why.startswith(_UNKNOWN_PROPERTY):
        return (
            "Use a property that the pin's widget has, by its exact name (color, label, labels, min, max, onLabel, "
            "offLabel, isDisabled, isHidden), and a value of its kind: a color as #RRGGBB."
        )
    return (
        f"Build the body as `blynkscope explain {command(stream, cmd)}` lays it out: NUL between the parts and none "
        "missing, pins in decimal text, the length field counting the bytes of the body (not characters)."
    )


class OversizedBodies(StreamRule):
    """BS316: frames that are larger than the buffer that their receiver announced."""

    def oversized(self, stream: Conversation, lane: Lane, n: int, size: int, room: int) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        memory["count"] = memory.get("count", 0) + 1
        memory["room"] = room
        memory["largest"] = max(memory.get("largest", 0), size)
        frames = memory.setdefault("frames", [])
        if len(frames) < FRAMES_KEPT:
            frames.append(n)
            memory["by"] = lane.sender

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        size = line.facts.get("size")
        if stream is not None and line.kind == "packet-too-big" and isinstance(size, int):
            self.of(stream).setdefault("line", (line.line, size))

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if not memory or failed(stream):
            return
        line, size = memory.get("line", (None, 0))
        count = memory.get("count", 0)
        if not count and not too_big(stream, size):
            return  # no length at all: BS319
        room = memory.get("room") or stream.client.room + limits.HARDWARE_HEADER
        if count:
            detail = f"The {memory['by']} sent {times(count)} more than {room} bytes, up to {memory['largest']}"
            detail += f", header included ({some(memory['frames'])})."
        else:
            detail = "A message was longer than the device's buffer."
        if line is not None:
            detail += f' Line {line} of the log: "Packet too big: {size}".'
        if stream.info.get("buff-in"):
            detail += f" The device announced buff-in {stream.info['buff-in'][:8]}."
        need = max(memory.get("largest", 0), size + limits.HARDWARE_HEADER)
        fix = f"Raise the buffer (`#define BLYNK_MAX_READBYTES {_power(need)}` before the include), or send less."
        self.report("BS316", stream, frames=memory.get("frames", ()), count=max(count, 1), detail=detail, fix=fix)


def too_big(stream: Conversation, size: int) -> bool:
    """Can the number in "Packet too big" be a length, so that the message was just too long?"""
    return 0 < size <= PLAUSIBLE_BUFFER and size > min(stream.client.room, PLAUSIBLE_BUFFER // 64)


def _power(size: int) -> int:
    power = 256
    while power < size:
        power *= 2
    return power


def lone_header(cmd: int, word: int, body: bytes) -> bool:
    """Is it a header that a log shows without its body, whose length can be taken for a status?"""
    return cmd != commands.RESPONSE and not body and word in STATUSES


class LengthAsStatus(StreamRule):
    """BS318: a number is a length, though it looks like an error status."""

    def altered(self, stream: Conversation, lane: Lane, n: int, cmd: int, word: int, body: bytes, cut: bool) -> None:
        """See `StreamRule`."""
        if lone_header(cmd, word, body):
            lone = self.of(stream).setdefault("lone", [])
            if len(lone) < FRAMES_KEPT:
                lone.append((n, cmd, word, f" (frame {n})"))

    def malformed(self, stream: Conversation, lane: Lane, item: Malformed) -> None:
        """See `StreamRule`."""
        if stream.log and item.cmd and item.have == limits.HARDWARE_HEADER and item.word in STATUSES:
            self.of(stream).setdefault("lone", [(None, item.cmd, item.word, "")])

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == "user-print" and stream is not None:
            self._quoted(stream, line)
        read = line.facts.get("status_read")
        if line.kind != "length-as-status" and read is None:
            return
        memory = self.of(stream) if stream is not None else {}
        if memory.get("told"):
            return
        memory["told"] = True
        word = line.facts.get("length")
        if word is None and (rows := statuses.named(str(read))):
            word = rows[0].code
        named = f"{word} " if isinstance(word, int) else ""
        seen = str(read)[:40] if read else "a status"
        self.report(
            "BS318", stream, detail=f"Line {line.line} shows {seen} in a message that is no RESPONSE: the number "
            f"{named}there is the length of its body, and nobody reported {seen}.",
        )  # fmt: skip

    def _quoted(self, stream: Conversation, line: Line) -> None:
        """Somebody quotes a header of the server, with his own words behind it."""
        header = _QUOTED_HEADER.match(line.text)
        if header is not None:
            cmd, word = int(header[1], 16), int(header[2] + header[3], 16)
            if lone_header(cmd, word, b""):
                self.of(stream).setdefault("lone", [(None, cmd, word, f" (line {line.line} of the log)")])

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        lone = memory.get("lone")
        if lone is None or memory.get("told") or not stream.log:
            return
        if failed(stream):
            return
        _, cmd, word, where = lone[0]
        if stream.client.tempo.count + stream.server.tempo.count <= LONE_FRAMES:
            where = ""
        self.report(
            "BS318", stream, frames=[entry[0] for entry in lone if entry[0] is not None], count=len(lone),
            detail=f"The {word} in this {command(stream, cmd)}{where} says that a body of {word} bytes follows. It is "
            f"not {status_name(word)}: only a RESPONSE (first byte 00) carries a status.",
        )  # fmt: skip


RULES: tuple[type[StreamRule], ...] = (IllegalBodies, OversizedBodies, LengthAsStatus)
