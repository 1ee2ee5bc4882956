"""What secrets look like in free text. Every expression is linear in the text: runs are consumed possessively.

Each group 1 (or the only group that took part) is the secret itself; what stands around it stays readable.
"""

from __future__ import annotations

import re

from blynkscope.protocol.limits import TOKEN_LENGTH

SECRET_NAMES = (
    "token", "auth", "auth_token", "auth-token", "authtoken", "shared_token", "sharedtoken", "share_token",
    "access_token", "id_token", "password", "passwd", "pass", "pwd", "password_hash", "hash", "secret", "psk",
    "wifi_pass", "wifi-pass", "ota_token", "otatoken", "authorization", "cookie", "set-cookie",
)  # fmt: skip
"""Names of members, parameters and parts whose value is secret, in lower case."""
PASSWORD_NAMES = frozenset(
    {"password", "passwd", "pass", "pwd", "password_hash", "hash", "psk", "wifi_pass", "wifi-pass", "secret"}
)

_NAMES = "|".join(sorted((re.escape(name) for name in SECRET_NAMES), key=len, reverse=True))
_TOKEN = r"[A-Za-z0-9_-]"  # noqa: S105
_LOCAL = r"[\w.+%~\-]"
_DOMAIN = r"[\w-]"

TOKEN_PART = 16
"""A run of this length with digits and letters, outside of frames, may be part of a token."""

MEMBER = re.compile(
    rf"""(?<![\w-])({_NAMES})\\?["']?(?:\[\d{{0,3}}\])?\s*+[:=]\s*+\\?["']((?:[^"'\\]|\\(?!["']))*+)""", re.IGNORECASE
)
"""`"token":"…"`, with the quotes escaped once more, or `auth[] = "…"` of a sketch. Groups: name, value."""
PARAMETER = re.compile(rf"""(?<![\w-])({_NAMES})=((?:[^\s&"'<>;\\\0]|\\(?!["']))++)""", re.IGNORECASE)
"""`token=…`. Groups: name, value."""
HEADER = re.compile(r"(?<![\w-])(authorization|cookie|set-cookie):[ \t]*+([^\r\n\0]++)", re.IGNORECASE)
"""HTTP headers that carry credentials. Groups: name, value."""
SPOKEN = re.compile(
    rf"""(?<![\w])(token)["'`]?[ :|\[]{{1,4}}["'`]?({_TOKEN}{{{TOKEN_LENGTH}}})(?!{_TOKEN})""", re.IGNORECASE
)
"""`token 0123…`, `Token: 0123…`. Groups: name, value."""
PATH = re.compile(rf"/({_TOKEN}{{{TOKEN_LENGTH}}})(?!{_TOKEN})")
"""The token that is a segment of a URL's path. Group: value."""
MAIL = re.compile(rf"(?<!{_LOCAL})({_LOCAL}++@{_DOMAIN}++(?:\.{_DOMAIN}++)++)")
"""An e-mail address. Group: all of it."""
RUN = re.compile(rf"{_TOKEN}{{6,}}+")
"""Anything that may be a token."""
HEX = re.compile(r"(?:[0-9a-fA-F]{2}){32,}")
"""Bytes written as hex, long enough to hold a token."""
