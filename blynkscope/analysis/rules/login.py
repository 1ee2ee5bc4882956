"""BS2xx: a login, its answer, and what comes before it. `unanswered`, `redirects` and `reconnects` tell the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.words import (
    FRAMES_KEPT,
    closed_by_server,
    command,
    explains,
    failed,
    first_time,
    opens_session,
    some,
    status,
)  # fmt: skip
from blynkscope.analysis.session import State
from blynkscope.protocol import commands
from blynkscope.protocol.commands import HW_LOGIN, LOGIN, LOGINS
from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.statuses import ALREADY_REGISTERED, INVALID_TOKEN, STATUSES, SUCCESS

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed, Line

REFUSALS_TOLD = 3
"""Connections of one device whose refused login is told; behind the third it is a loop, which BS209 counts."""
_HEX = re.compile(r"[0-9a-f]{32}\Z")
_TOKEN = re.compile(r"[0-9A-Za-z_-]*\Z")
_MASKED = re.compile(r"([*xX#.\u2022])\1{3}|\u2026")
"""What people and libraries put in place of the most of a token; real ones seldom repeat a character four times."""
_OLD_PYTHON = re.compile(r"for Python v0\.")
_PYTHON_WORLD = (
    " The Python library of this log (0.x) goes to the legacy cloud blynk-cloud.com unless it is given a server, and "
    "that knows no tokens of Blynk IoT.",
    "For a token of Blynk IoT install the library for it (`pip install blynk-library-python`, version 1.0.0 or newer: "
    "BlynkLib.Blynk(token) goes to blynk.cloud). With a legacy server of your own name it: server=HOST, port=8080.",
)

_DIRECT_FIX = (
    "With a direct (Bluetooth or serial) link the device compares the two tokens itself. Copy into the sketch the "
    "token of that device of the project to which the app's Bluetooth widget belongs (a project with several devices "
    "has several tokens), and choose the same device in the widget."
)


_APP_FIX = (
    "A device logs in with a header of 5 bytes: MSG_HW_LOGIN (29), an id of 2 bytes, a length of 2 bytes, then the "
    "token. An app, whose header has 7 bytes, belongs on the app's port: 9443 of a legacy server, 443 of Blynk IoT."
)
SKIPPED_MIN = 3
"""Skipped messages that show a sketch which does not ask whether it is connected."""
SKIPPED_MAX = 16
_PLACEHOLDER = re.compile(r"your\s?_?(?:auth|token|blynk|device)|auth\s?_?token\Z", re.IGNORECASE)


def token_form(token: str | None) -> str:
    """What the form of a token tells; the form alone is a hint. Never quotes the token."""
    if not token:
        return "the login carried no token"
    if _PLACEHOLDER.search(token):
        return "it is the placeholder of the examples, in place of which your own token belongs"
    if token != token.strip() or " " in token:
        return "the token holds white space"
    if token[0] in "\"'" or token[-1] in "\"'":
        return "the token holds quotes"
    if _MASKED.search(token) is None and len(token) != TOKEN_LENGTH:
        return f"the token has {len(token)} characters; tokens have {TOKEN_LENGTH}"
    if _MASKED.search(token):
        return "the token is masked in the log, so its form tells nothing"
    if not _TOKEN.match(token):
        return "the token holds characters that no token has"
    if _HEX.match(token):
        return "its form (hex digits only) is that of the legacy server's tokens"
    return "its form (not only hex digits) is that of Blynk IoT and of newer legacy servers"


def wrong_world(stream: Conversation) -> tuple[str, str | None]:
    """Do server and device belong to different eras? What speaks for it, and what to do; ("", None) otherwise."""
    server, device = stream.run.era or stream.evidence.of_server, stream.evidence.of_device
    if server is None or device is None or server is device:
        return "", None
    why = "; ".join(stream.evidence.told)
    if server is Era.LEGACY:
        return (
            f" The server is probably a legacy one and the device made for Blynk IoT ({why}): a legacy server knows no "
            "tokens of Blynk IoT.",
            'Point the device to the cloud that issued its token: Blynk.begin(auth, ssid, pass, "blynk.cloud", 80), '
            "with BLYNK_TEMPLATE_ID and BLYNK_TEMPLATE_NAME above the include. Or stay with this legacy server, and "
            "take the token from the project in the legacy app that is logged in to it.",
        )
    return (
        f" The server is Blynk IoT and the device made for a legacy server ({why}): Blynk IoT knows no legacy tokens.",
        "Create the device in the console of Blynk IoT and use the token (and template id) that it shows; or point the "
        "device to the legacy server that issued its token: Blynk.begin(auth, ssid, pass, HOST, 8080).",
    )


class InvalidToken(StreamRule):
    """BS201: a login was answered with STA_INVALID_TOKEN, or a log says so."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._old_python = False

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        if status != INVALID_TOKEN or request.cmd not in {LOGIN, HW_LOGIN}:
            return
        memory = self.of(stream)
        if memory.get("line"):
            return  # the log said so in words already
        memory["seen"] = True
        if not first_time(stream, "BS201", REFUSALS_TOLD):
            explains(stream, "BS201")
            return
        server = stream.opened.server
        told, fix = token_form(request.token), None
        if stream.log and not request.token:
            told = "the log does not show the token"
        if stream.client.dialect is Dialect.APP:
            told = (
                "the login has the 7-byte header of the app dialect, but this port answers as a device port does; "
                "devices log in with HW_LOGIN and their token, apps connect to port 9443 or 443"
            )
            eras, fix = "", _APP_FIX
        else:
            eras, fix = wrong_world(stream)
        name = stream.host if stream.host and not stream.log else None
        where = f" {name} ({server})" if server and name else f" {server}" if server else ""
        detail = f"The server{where} refused the login of frame {request.n} with STA_INVALID_TOKEN (frame {n}): {told}."
        self.report("BS201", stream, frames=(request.n, n), count=1, detail=detail + eras, fix=fix, cause=True)

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == "banner":
            self._old_python = _OLD_PYTHON.search(line.text[:200]) is not None
        if line.kind == "auth-failed" and line.facts.get("status") != INVALID_TOKEN:
            return
        if line.kind not in {"invalid-token", "auth-failed"}:
            return
        if stream is None:
            self.report("BS201", None, detail=f"Line {line.line} of the log says that the token is invalid.")
        elif stream.cause is None and not self.of(stream).get("seen"):
            self.of(stream)["line"] = True
            if not first_time(stream, "BS201"):
                explains(stream, "BS201")
                return
            if stream.log and line.text.strip() == "Invalid token":
                # The words of a device that is logged in to; of a server's answer libraries say "Invalid auth token".
                self.report(
                    "BS201", stream, detail=f"Line {line.line}: the app logged in to the device with a token that is "
                    "not the one in the sketch, and the device refused it.", fix=_DIRECT_FIX, cause=True,
                )  # fmt: skip
                return
            where = f" of {stream.host}" if stream.host else ""
            eras, fix = wrong_world(stream)
            if not eras and self._old_python and not stream.host:
                eras, fix = _PYTHON_WORLD
            detail = (
                f"Line {line.line} of the log says that the token is invalid; the answer{where} itself is not in it."
            )
            self.report("BS201", stream, detail=detail + eras, fix=fix, cause=True)


class RefusedLogin(StreamRule):
    """BS203, BS205, BS210: a login was answered with another error status."""

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        if not opens_session(request):
            return
        memory = self.of(stream)
        if status == SUCCESS:
            memory["accepted"] = request.n
        elif status == ALREADY_REGISTERED:
            self._again(stream, request, n, memory.get("accepted"))
        elif status != INVALID_TOKEN:
            self._refused(stream, status, (request.n, n), f"The login of frame {request.n} was answered with")

    def _again(self, stream: Conversation, request: Request, n: int, accepted: int | None) -> None:
        frames = (request.n, n)
        if accepted is not None or stream.joined or request.cmd == HW_LOGIN:
            before = (
                f"It is logged in since frame {accepted}" if accepted else "Its first login is not in the recording"
            )
            if stream.cause is None and first_time(stream, "BS205"):
                detail = (
                    f"{before}; the login of frame {request.n} was answered with STA_ALREADY_REGISTERED (frame {n})."
                )
                self.report("BS205", stream, frames=frames, count=1, detail=detail)
        elif first_time(stream, "BS210"):
            self.report("BS210", stream, frames=frames, count=1, detail=_mismatch(f"(frames {request.n} and {n})"))

    def _refused(self, stream: Conversation, code: int, frames: tuple[int, ...], words: str) -> None:
        if not first_time(stream, f"BS203 {code}"):
            explains(stream, "BS203")
            return
        row = STATUSES.get(code)
        meaning = f" {row.doc}" if row else ""
        self.report(
            "BS203", stream, frames=frames, count=1, detail=f"{words} {status(code)}.{meaning}",
            fix=row.fix if row and row.fix else None, cause=True,
        )  # fmt: skip

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if line.kind == "auth-failed" and stream is not None and stream.cause is None:
            code = line.facts.get("status")
            if code == ALREADY_REGISTERED:
                if first_time(stream, "BS210"):
                    detail = _mismatch(f"(line {line.line} of the log)") + " The library takes the 4 for a failure."
                    self.report("BS210", stream, detail=detail, cause=True)
                else:
                    explains(stream, "BS210")
            elif isinstance(code, int) and code != INVALID_TOKEN:
                self._refused(stream, code, (), f"Line {line.line} of the log says that the login was answered with")
        elif line.kind == "invalid-header-type" and stream is not None and stream.cause is None:
            kind = line.facts.get("type")
            if kind in LOGINS and first_time(stream, "BS210"):
                other = commands.HW_LOGIN if kind == commands.LOGIN else commands.LOGIN
                detail = (
                    f"Line {line.line}: the library does not take {command(stream, int(kind))} ({kind}) for a login; "
                    f"it waits for {command(stream, other)} ({other})."
                )
                fix = None
                if all(any(lane.counts.get(cmd) for cmd in LOGINS) for lane in stream.lanes):
                    detail = (
                        f"Line {line.line}: both sides logged in, each to the other, and the device does not take "
                        f"{command(stream, int(kind))} ({kind}): its sketch is built for a server, not for a direct "
                        "link."
                    )
                    fix = (
                        "Put #define BLYNK_USE_DIRECT_CONNECT above the includes of the sketch, so that the device "
                        "waits for the app's login, and bring library and app to one generation."
                    )
                self.report("BS210", stream, detail=detail, fix=fix, severity="error", cause=True)


def _mismatch(where: str) -> str:
    return (
        f"The first login on this connection was answered with STA_ALREADY_REGISTERED {where}. The client logs in with "
        "MSG_LOGIN (2), as old libraries do; a server of Blynk IoT wants MSG_HW_LOGIN (29)."
    )


class EarlyFrames(StreamRule):
    """BS204: the client said something before it logged in."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"frames": [], "count": 0, "cmds": {}, "skipped": [], "skipped_cmds": {}}

    def logged(self, stream: Conversation | None, line: Line) -> None:
        """See `StreamRule`."""
        if stream is not None and line.kind == "cmd-skipped":
            memory = self.of(stream)
            memory["skipped"].append(line.line)
            del memory["skipped"][FRAMES_KEPT:]
            if isinstance(code := line.facts.get("cmd"), int) and len(memory["skipped_cmds"]) < SKIPPED_MAX:
                memory["skipped_cmds"][code] = None

    def _skipped(self, stream: Conversation, memory: dict[str, Any]) -> None:
        """The library itself kept back what the sketch said too early."""
        lines = memory["skipped"]
        if len(lines) >= SKIPPED_MIN and first_time(stream, "BS204 skipped"):
            names = ", ".join(command(stream, cmd) for cmd in memory["skipped_cmds"])
            self.report(
                "BS204", stream, count=len(lines), severity="note",
                detail=f"The library skipped {len(lines)} messages ({names}; line {lines[0]} on), because the device "
                "was not logged in when the sketch sent them.",
            )  # fmt: skip

    def early(self, stream: Conversation, lane: Lane, n: int, cmd: int, time: float | None) -> None:
        """See `StreamRule`."""
        # Behind a login that still waits for its answer, libraries may go on: servers take that.
        if stream.session.state is not State.AWAITING_LOGIN or stream.direct:
            return
        if lane.dialect is Dialect.APP and cmd in commands.BEFORE_LOGIN:
            return
        memory = self.of(stream)
        memory["count"] += 1
        memory["cmds"][cmd] = None
        if len(memory["frames"]) < FRAMES_KEPT:
            memory["frames"].append(n)

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if not failed(stream):
            self._skipped(stream, memory)
        state = stream.session.state
        login = any(stream.client.counts.get(cmd) for cmd in LOGINS)
        # A log may begin in the middle; and whoever was answered had logged in before.
        if not memory["count"] or failed(stream) or (not login and (stream.log or state is not State.AWAITING_LOGIN)):
            return
        if not first_time(stream, "BS204"):
            if not login:
                explains(stream, "BS204")
            return
        names = ", ".join(command(stream, cmd) for cmd in list(memory["cmds"])[:5])
        detail = f"{names} in {some(memory['frames'])}, before any login."
        if closed_by_server(stream, event):
            detail += " The server hung up without an answer."
        if not login:
            detail += " No login followed."
        self.report(
            "BS204", stream, frames=memory["frames"], count=memory["count"], detail=detail, cause=not login,
        )  # fmt: skip


RULES: tuple[type[StreamRule], ...] = (InvalidToken, RefusedLogin, EarlyFrames)
