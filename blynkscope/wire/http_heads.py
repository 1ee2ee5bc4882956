"""The head of an HTTP/1 message: what it says, and what it means for the bytes behind it."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.protocol.secrets import DEVICE_TOKENS, spelled

_METHOD = re.compile(rb"[A-Z]{3,16}")
_VERSION = re.compile(rb"HTTP/\d(?:\.\d)?")
_METHODS = frozenset({b"GET", b"PUT", b"POST", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH"})
_RESPONSE = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})(?: +(.*))?")
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}")
_LENGTH_DIGITS_MAX = 15
"""Digits of a Content-Length: a petabyte. More are no length."""
_DEFAULT_CREDENTIALS = frozenset({b"admin:admin", b"admin@blynk.cc:admin"})
"""What the legacy server sets up for its administrator."""
_FREE_SPACE = ("x-esp8266-free-space", "x-esp32-free-space")
SWITCHING = 101
"""The status behind which the server speaks the protocol that it was asked for."""
_BODILESS = frozenset({204, 304})
"""These have no body whatever they announce."""
_TUNNEL = "connection established"
"""What most proxies answer to CONNECT. Whoever only hears the answer knows it by nothing else."""


class Head(msgspec.Struct, frozen=True):
    """A head that was read.

    `detail` is the detail of its fact. `length` is the body's where it is known, `boundary` tells that the body is
    multipart, `coding` how it is compressed, `upgraded` that another protocol may follow, `over` that it does.
    """

    is_request: bool
    detail: dict[str, Any]
    has_body: bool
    length: int | None
    chunked: bool
    boundary: bool
    coding: str | None
    upgraded: bool
    over: bool


def starts(line: bytes) -> str | None:
    """Does this line begin a "request" or a "response"? None if neither."""
    if _RESPONSE.fullmatch(line):
        return "response"
    return "request" if _request_line(line) else None


def _request_line(line: bytes) -> tuple[str, str] | None:
    """Method and target. The version may be missing, as in what hand-written firmware sends."""
    method, space, rest = line.partition(b" ")
    if not space or not _METHOD.fullmatch(method):
        return None
    target, _, version = rest.strip().rpartition(b" ")
    if not _VERSION.fullmatch(version):
        target = rest.strip()
        if method not in _METHODS or not target.startswith(b"/") or b" " in target:
            return None
    target = target.strip()
    return (method.decode("ascii"), _text(target)) if target else None


def read_head(lines: list[bytes], answers: Callable[[int], str | None] | None = None) -> Head | None:
    """Read a head.

    Args:
        lines: Its lines without their ends and without the empty one.
        answers: Gives the method of the request that an answer of this status is for; None where nobody knows.

    Returns:
        What it says, or None where the first line begins no message. Secrets in the detail are raw: target, token.
    """
    if not lines:
        return None
    fields = _fields(lines[1:])
    chunked = fields.get("transfer-encoding", "").lower().rstrip().endswith("chunked")
    length = None if chunked else _length(fields.get("content-length"))
    answer = _RESPONSE.fullmatch(lines[0])
    if answer is not None:
        status = int(answer[1])
        method = answers(status) if answers is not None else None
        return _response(status, _text(answer[2] or b"").strip(), fields, length, chunked, method)
    request = _request_line(lines[0])
    return None if request is None else _request(*request, fields, length, chunked)


def _request(method: str, target: str, fields: dict[str, str], length: int | None, chunked: bool) -> Head:
    path, query = _split(target)
    scheme, user, default = _authorization(fields.get("authorization"))
    content_type = fields.get("content-type")
    multipart = content_type is not None and content_type.lower().lstrip().startswith("multipart/")
    upgrade = _upgrade(fields)
    has_body = chunked or bool(length)
    detail = {
        "method": method,
        "target": target,
        "path": path,
        "host": fields.get("host"),
        "upgrade": upgrade,
        "authorization": scheme,
        "user": user,
        "default_credentials": default,
        "token": _token(path, query),
        "content_type": content_type,
        "multipart": multipart,
        "multipart_file": None,
        "length": length,
        "chunked": chunked,
        "user_agent": fields.get("user-agent"),
        "free_space": _free_space(fields),
        **_common(fields),
    }
    # Both may be refused; then HTTP goes on.
    asks = upgrade is not None and not has_body
    coding = detail["content_encoding"]
    return Head(True, detail, has_body, length, chunked, multipart, coding, asks or method == "CONNECT", False)


def _response(
    status: int, reason: str, fields: dict[str, str], length: int | None, chunked: bool, method: str | None
) -> Head:
    detail = {
        "status": status,
        "reason": reason,
        "content_type": fields.get("content-type"),
        "length": length,
        "chunked": chunked,
        "location": fields.get("location"),
        "upgrade": _upgrade(fields),
        "server": fields.get("server"),
        **_common(fields),
    }
    has_body = announces_body(status, length, chunked) and method != "HEAD"
    # The reason phrase is free text, and whatever length is announced means nothing (RFC 9110, 9.3.6).
    tunnel = method == "CONNECT" and 200 <= status < 300
    if method is None:
        tunnel = status == 200 and length is None and not chunked and reason.lower().startswith(_TUNNEL)
    over = status == SWITCHING or tunnel
    return Head(False, detail, has_body, length, chunked, False, detail["content_encoding"], False, over)


def announces_body(status: int, length: int | None, chunked: bool) -> bool:
    """Does a body follow such a head, unless it answers HEAD? `length` is None where the head tells none."""
    return not (status < 200 or status in _BODILESS) and (chunked or length != 0)


def _common(fields: dict[str, str]) -> dict[str, Any]:
    """What heads of both kinds tell."""
    return {
        "extensions": fields.get("sec-websocket-extensions"),
        "subprotocol": fields.get("sec-websocket-protocol"),
        "content_encoding": fields.get("content-encoding"),
        "connection": fields.get("connection"),
    }


def _fields(lines: list[bytes]) -> dict[str, str]:
    """Header fields by name in lower case; repeated ones joined by a comma."""
    found: dict[str, list[str]] = {}
    last: list[str] = []
    for line in lines:
        if line[:1] in {b" ", b"\t"} and last:
            last.append(_text(line).strip())  # a folded line goes on with the one before
            continue
        name, colon, value = line.partition(b":")
        if colon:
            last = found.setdefault(_text(name).strip().lower(), [])
            last.append(_text(value).strip())
    # Credentials and types hold commas themselves: of those the first counts alone.
    single = {"authorization", "content-type", "location", "host", "user-agent", "server"}
    return {name: values[0] if name in single else ", ".join(values) for name, values in found.items()}


def _length(value: str | None) -> int | None:
    """A length that was said once, or several times alike (RFC 9112, section 6.3)."""
    said = {part.strip() for part in (value or "").split(",")}
    text = said.pop()
    if said or not text.isascii() or not text.isdigit() or len(text) > _LENGTH_DIGITS_MAX:
        return None
    return int(text)


def _free_space(fields: dict[str, str]) -> int | None:
    """Bytes that a device has for new firmware, as the updaters of ESP8266 and ESP32 tell."""
    return next((_length(fields[name]) for name in _FREE_SPACE if name in fields), None)


def _upgrade(fields: dict[str, str]) -> str | None:
    """The protocol that is asked for, in lower case."""
    return fields.get("upgrade", "").partition(",")[0].strip().lower() or None


def _split(target: str) -> tuple[str, str]:
    """Path and query of a request's target, which may be a whole URL."""
    if not target.startswith("/"):
        try:
            parts = urlsplit(target)
        except ValueError:
            return target, ""
        return (parts.path or target) if parts.netloc else target.partition("?")[0], parts.query
    path, _, query = target.partition("#")[0].partition("?")
    return path, query


def _token(path: str, query: str) -> str | None:
    """The device token in a URL: a parameter of the cloud's API, or the first segment of the legacy server's path."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if value and spelled(name) in DEVICE_TOKENS:
            return unquote(value)
    first = path[1:].partition("/")[0]
    return first if _TOKEN.fullmatch(first) else None


def _authorization(value: str | None) -> tuple[str | None, str | None, bool]:
    """Scheme, user, and whether the credentials are those that the server came with."""
    if not value:
        return None, None, False
    scheme, _, credentials = value.partition(" ")
    if scheme.lower() != "basic":
        return scheme.lower(), None, False
    try:
        pair = b64decode(credentials.strip())
    except ValueError:
        return "basic", None, False
    user, colon, _ = pair.partition(b":")
    return "basic", user.decode("utf-8", "backslashreplace") if colon else None, pair in _DEFAULT_CREDENTIALS


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")
