"""BS2xx: logging in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from blynkscope.analysis.rule import StreamRule
from blynkscope.protocol.commands import HW_LOGIN, LOGIN
from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.statuses import INVALID_TOKEN

if TYPE_CHECKING:
    from blynkscope.analysis.acks import Request
    from blynkscope.analysis.conversation import Conversation

_HEX = re.compile(r"[0-9a-f]{32}\Z")
_TOKEN = re.compile(r"[0-9A-Za-z_-]*\Z")


def token_form(token: str | None) -> str:
    """What the form of a token tells; the form alone is a hint. Never quotes the token."""
    if not token:
        return "the login carried no token"
    if token != token.strip() or " " in token:
        return "the token holds white space"
    if token[0] in "\"'" or token[-1] in "\"'":
        return "the token holds quotes"
    if len(token) != TOKEN_LENGTH:
        return f"the token has {len(token)} characters; tokens have {TOKEN_LENGTH}"
    if not _TOKEN.match(token):
        return "the token holds characters that no token has"
    if _HEX.match(token):
        return "its form (hex digits only) is that of the legacy server's tokens"
    return "its form (letters of both cases) is that of Blynk IoT and of newer legacy servers"


class InvalidToken(StreamRule):
    """BS201: a login was answered with STA_INVALID_TOKEN."""

    def answered(self, stream: Conversation, request: Request, status: int, n: int, time: float | None) -> None:
        """See `StreamRule`."""
        if status != INVALID_TOKEN or request.cmd not in {LOGIN, HW_LOGIN}:
            return
        server = stream.server.src
        told = token_form(request.token)
        if stream.client.dialect is Dialect.APP:
            told = (
                "the login has the 7-byte header of the app dialect, but this port answers as a device port does; "
                "devices log in with HW_LOGIN and their token, apps connect to port 9443 or 443"
            )
        detail = f"The server {server} refused" if server else "The server refused"
        detail += f" the login of frame {request.n} with STA_INVALID_TOKEN (frame {n}): {told}."
        self.report("BS201", stream, frames=(request.n, n), count=1, detail=detail, cause=True)


RULES: tuple[type[StreamRule], ...] = (InvalidToken,)
