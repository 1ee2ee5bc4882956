"""Who answers a call to the server, and what is refused before its body has come."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from blynkscope.protocol.model import Era
from blynkscope.server import iot_api, ota, rest
from blynkscope.server.images import FOLDER
from blynkscope.server.web_model import Answer, Request, text

if TYPE_CHECKING:
    from blynkscope.server.hub import Hub

BODY_MAX = 64 * 1024
"""Bytes of a body that is no upload: the values of one write, as JSON."""
START = "/admin/ota/start"
STOP = "/admin/ota/stop"
HOME = b"https://www.blynk.cc"
"""Where the legacy server sends browsers (measured)."""
_HOST = re.compile(r"[A-Za-z0-9._~:%\[\]-]{0,255}")
"""What a client may say that it has connected to: it goes into the URLs of firmware."""
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, HEAD, PUT, POST, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, content-type"),
)


def uploads(request: Request) -> bool:
    """Does this call bring a file of firmware along?"""
    return request.method == "POST" and _bare(request.path) == START


def refusal(hub: Hub, request: Request) -> Answer | None:
    """What is wrong with a call that can be said before its body comes; None where nothing is."""
    if not _HOST.fullmatch(request.host):
        return text(400, "This is no host.", close=True)
    length = request.header(b"content-length")
    if length and b"transfer-encoding" in request.headers:
        return text(400, "A body has a length, or comes in chunks.", close=True)
    if _bare(request.path) in {START, STOP}:
        refused = ota.refused(hub, request)
        if refused is not None or uploads(request):
            return refused
    if length and int(length) > BODY_MAX:
        return text(413, "The body is too long.", close=True)
    return None


def route(hub: Hub, request: Request) -> Answer:
    """The answer to a call."""
    path, method = request.path, request.method
    if method == "OPTIONS":
        return Answer(200, headers=_PREFLIGHT)
    if path.startswith(FOLDER):
        return ota.download(hub, request) if method in {"GET", "HEAD"} else text(404)
    if method == "GET" and _bare(path) == START:
        return ota.start(hub, request)
    if method in {"GET", "POST"} and _bare(path) == STOP:
        return ota.stop(hub)
    if hub.settings.like is Era.IOT:
        return iot_api.answer(hub, request)
    if path == "/" and method in {"GET", "HEAD"}:
        return Answer(301, headers=((b"location", HOME),))
    return rest.answer(hub, request)


def local(target: str) -> str:
    """The path of a target that names the server too, as clients of proxies do."""
    if target[:7].lower() == "http://" or target[:8].lower() == "https://":
        return "/" + target.partition("//")[2].partition("/")[2]
    return target


def _bare(path: str) -> str:
    return path.rstrip("/")
