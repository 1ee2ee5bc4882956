"""What secrets look like in free text, in one place for outputs and for redacted files.

Every expression is linear in the text: runs are consumed possessively. All are ASCII, so that they serve for bytes too.
What stands around a secret stays readable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import AnyStr, Generic, NamedTuple

from blynkscope.protocol import secrets
from blynkscope.protocol.limits import TOKEN_LENGTH

SECRET_NAMES = secrets.SPELLINGS
"""Names of members, parameters and parts whose value is secret, as they are commonly spelled, in lower case."""

TOKEN, PASSWORD, MAIL_ADDRESS, CREDENTIALS, SSID = "token", "password", "email", "credentials", "ssid"
"""What a secret is. The name of a Wi-Fi network is secret in files for sharing only."""

_NAMES = r"(?:x[_-])?(?:" + "|".join(name.replace("_", "[_-]?") for name in sorted(secrets.NAMES, key=len)[::-1]) + ")"
_RUN_CHAR = r"[A-Za-z0-9_-]"
_LOCAL = r"[\w.+%~\-]"
_DOMAIN = r"[\w-]"
_VALUE = r"""(\\)?(["'])((?(%(esc)d)(?:[^\\"']|\\(?!["']))|(?:(?!\%(quote)d)[^\\\r\n]|\\[^\r\n]))*+)"""
"""A value in quotes, to the quote that ends it: escaped quotes end one that began with such."""

TOKEN_PART = 16
"""A run of this length with digits and letters, outside of frames, may be part of a token."""

MEMBER = re.compile(
    rf"""(?<![\w-])({_NAMES})\\?["']?(?:\[\d{{0,3}}\])?\s*+[:=]\s*+""" + _VALUE % {"esc": 2, "quote": 3}, re.IGNORECASE
)
"""`"token":"…"`, with the quotes escaped once more, or `auth[] = "…"`. Groups: name, two of quotes, value."""
PARAMETER = re.compile(rf"""(?<![\w-])({_NAMES})=((?:[^\s&"'<>;\\\0]|\\(?!["']))++)""", re.IGNORECASE)
"""`token=…`. Groups: name, value."""
_HEADER = re.compile(
    r"(?<![\w-])(?:authorization|cookie|set-cookie|x-api-key|x-auth-token):[ \t]*+"
    r"((?:basic|bearer)[ \t]++[^\s\0]++|[^\r\n\0]++)",
    re.IGNORECASE,
)
_SPOKEN = re.compile(
    rf"""(?<![\w])token["'`]?[ :|\[]{{1,4}}["'`]?({_RUN_CHAR}{{{TOKEN_LENGTH}}})(?!{_RUN_CHAR})""", re.IGNORECASE
)
_WORD = (
    r"(?>[A-Z]{2,}+\d{0,6}+[A-Z]{0,2}+|[A-Z]?[a-z]++\d{0,4}+|[A-Z]\d{0,4}+|\d{1,5}+(?:[A-Z]{0,4}+|[a-z]{0,3}+))"
    r"(?![A-Za-z0-9])"
)
"""A word, an abbreviation or a number, as identifiers are made of: `Server`, `SHA256`, `3DES`, `v1`."""
_NAME = rf"(?={_RUN_CHAR}*?[A-Za-z]{{3}})(?:{_WORD}[_-]{{1,2}}+)++{_WORD}(?!{_RUN_CHAR})"
"""Words joined by `_` or `-`: the cipher suites of TLS, file names, topics. Chance makes one token of 10^10 look so."""
_UUID = rf"[0-9A-Fa-f]{{8}}-(?:[0-9A-Fa-f]{{4}}-){{3}}[0-9A-Fa-f]{{12}}(?!{_RUN_CHAR})"
NO_TOKEN = rf"(?!{_NAME})(?!{_UUID})"
"""Put before a run: names made of words, and UUIDs, are no tokens."""
_PATH = re.compile(rf"/{NO_TOKEN}({_RUN_CHAR}{{{TOKEN_LENGTH}}})(?!{_RUN_CHAR})")
MAIL = re.compile(rf"(?:(?<!{_LOCAL})|(?<=%40))((?:[\w.+~\-]|%(?!40))++(?:@|%40){_DOMAIN}++(?:\.{_DOMAIN}++)++)")
"""An e-mail address. Group: all of it."""
RUN = re.compile(rf"{_RUN_CHAR}{{6,}}+")
"""Anything that may be a token."""
HEX = re.compile(r"(?:[0-9a-fA-F]{2}){32,}")
"""Bytes written as hex, long enough to hold a token."""
_TOKEN_FORM = re.compile(
    rf"(?<!{_RUN_CHAR}){NO_TOKEN}(?=[A-Za-z_-]*+\d)(?=(?:[\d_-]*+[A-Za-z]|[0-9]{{{TOKEN_LENGTH}}}))"
    rf"(?![0_-]++(?!{_RUN_CHAR})){_RUN_CHAR}{{{TOKEN_LENGTH}}}(?!{_RUN_CHAR})"
)
_DIGEST = re.compile(
    r"""(?<![A-Za-z0-9])(?:md5|sha-?\d{0,3})(?:[ _-]?(?:sum|hash|digest|checksum))?["']?(?: ?\([^()\r\n]{0,80}\))?"""
    r"""[ \t]{0,4}[:=]?[ \t]{0,4}["']?\Z""",
    re.IGNORECASE,
)
_DIGEST_BEFORE = 120
"""Characters before a run in which the name of a digest may stand."""


class TokenLook(Generic[AnyStr]):
    """What has the look of a token wherever it stands: its length and alphabet, digits with letters or digits alone.

    Names made of words are none, nor is what the text calls an MD5 or SHA sum.
    """

    def __init__(self, form: re.Pattern[AnyStr], digest: re.Pattern[AnyStr]) -> None:
        self._form: re.Pattern[AnyStr] = form
        self._digest: re.Pattern[AnyStr] = digest

    def finditer(self, text: AnyStr) -> Iterator[re.Match[AnyStr]]:
        """All of them in a text."""
        for match in self._form.finditer(text):
            start = match.start()
            if self._digest.search(text[max(0, start - _DIGEST_BEFORE) : start]) is None:
                yield match


WHOLE_TOKEN = TokenLook(_TOKEN_FORM, _DIGEST)


def in_bytes(pattern: re.Pattern[str]) -> re.Pattern[bytes]:
    """The same expression for bytes."""
    return re.compile(pattern.pattern.encode("ascii"), pattern.flags & re.IGNORECASE)


WHOLE_TOKEN_BYTES = TokenLook(in_bytes(_TOKEN_FORM), in_bytes(_DIGEST))

_SSID_NAMES = r"(?:wifi[_-]?ssid|ssid|wifi[_-]?name|sta[_-]?ssid|ap[_-]?ssid)"
_PASS_NAMES = r"(?:wifi[_-]?(?:pass(?:word|wd|phrase)?|pwd|psk|key)|pass(?:word|wd|phrase)?|pwd|psk|apn[_-]?pass)"  # noqa: S105
_TOKEN_NAMES = r"(?:blynk[_-]?auth(?:[_-]?token)?|auth[_-]?token|auth|token)"  # noqa: S105
_ASSIGNED = r"""(?:[ \t]*+\[[ \t]*+\d{0,3}[ \t]*+\])?["']?(?:[ \t]*+[:=][ \t]*+|[ \t]++)""" + _VALUE % {
    "esc": 1, "quote": 2,
}  # fmt: skip
_BARE = r"""[ \t]*+[:=][ \t]*+([^\s"',;&]++)"""


def _named(names: str, value: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9]){names}{value}", re.IGNORECASE)


_QUOTED = r""""((?:[^"\\\r\n]|\\[^\r\n])*+)\""""
_JOIN = re.compile(rf"AT\+CW(?:JAP|SAP)[A-Z_]*+(?::|=){_QUOTED},{_QUOTED}", re.IGNORECASE)
_USERINFO = re.compile(r"""://([^/\s:"'<>]{0,128}):([^/\s"'<>]{1,128})@""")
_CURL = re.compile(r"""(?<![\w-])(?:-u|--user|--proxy-user)[ \t=]*+([^\s:"'-][^\s:"']*+)?+:([^\s"']++)""")
_CURL_QUOTED = re.compile(
    r"""(?<![\w-])(?:-u|--user|--proxy-user)[ \t=]*+(["'])((?:(?!\1)[^:\r\n])*+):((?:(?!\1)[^\r\n])++)"""
)
_SERVER_LOGIN = re.compile(
    r"""command=(?:[a-z_]{0,16}login[a-z_]{0,16}|2|29)(?=[,}\s])[^'\r\n]{0,80}body='([^'\r\n]++)""", re.IGNORECASE
)


class Shape(NamedTuple):
    """A form in which secrets stand: what it is, words without one of which it is not there, where the secret is."""

    kind: str
    words: tuple[str, ...]
    """In lower case."""
    pattern: re.Pattern[str]
    group: int


_PASS_WORDS = ("pass", "pwd", "psk", "wifi")
_AUTH_WORDS = ("auth", "token")
SHAPES = (
    Shape(CREDENTIALS, ("authorization:", "cookie:", "x-api-key:", "x-auth-token:"), _HEADER, 1),
    Shape(TOKEN, ("token",), _SPOKEN, 1),
    Shape(TOKEN, ("/",), _PATH, 1),
    Shape(PASSWORD, ("://",), _USERINFO, 1),
    Shape(PASSWORD, ("://",), _USERINFO, 2),
    Shape(MAIL_ADDRESS, ("@", "%40"), MAIL, 1),
    Shape(PASSWORD, ("curl", "wget"), _CURL, 1),
    Shape(PASSWORD, ("curl", "wget"), _CURL, 2),
    Shape(PASSWORD, ("curl", "wget"), _CURL_QUOTED, 2),
    Shape(PASSWORD, ("curl", "wget"), _CURL_QUOTED, 3),
    Shape(SSID, ("at+cw",), _JOIN, 1),
    Shape(PASSWORD, ("at+cw",), _JOIN, 2),
    Shape(SSID, ("ssid", "wifi"), _named(_SSID_NAMES, _ASSIGNED), 3),
    Shape(PASSWORD, _PASS_WORDS, _named(_PASS_NAMES, _ASSIGNED), 3),
    Shape(TOKEN, _AUTH_WORDS, _named(_TOKEN_NAMES, _ASSIGNED), 3),
    Shape(SSID, ("ssid", "wifi"), _named(_SSID_NAMES, _BARE), 1),
    Shape(PASSWORD, _PASS_WORDS, _named(_PASS_NAMES, _BARE), 1),
    Shape(TOKEN, ("login",), _SERVER_LOGIN, 1),
)
NAMED = ((MEMBER, 4), (PARAMETER, 2))
"""Values behind the name of a secret, which tells what it is: expression, group of the value; group 1 is the name."""
SECRET_WORDS = secrets.ROOTS
"""Words of which each of those names holds one."""

_WORTH = re.compile(
    "|".join(sorted({re.escape(word) for shape in SHAPES for word in shape.words} | {*map(re.escape, SECRET_WORDS)}))
)
"""What a text must have for anything to be found in it; most values have none of it."""


def kind_of(name: str) -> str:
    """What stands behind the name of a secret: a password, or something like a token."""
    return PASSWORD if secrets.is_password(name) else TOKEN


def found(text: str) -> Iterator[tuple[int, int, str]]:
    """Secrets that their own form or what stands around them tells: start, end, kind. They may overlap."""
    low = text.lower()
    if _WORTH.search(low) is None:
        return
    if any(word in low for word in SECRET_WORDS):
        for pattern, group in NAMED:
            for match in pattern.finditer(text):
                if match[group]:
                    yield *match.span(group), kind_of(match[1])
    # What stands between the last colon and the at sign of a URL is a password, and no mailbox.
    signs = {match.end() - 1 for match in _USERINFO.finditer(text)} if "://" in low and "@" in low else set()
    for kind, words, pattern, group in SHAPES:
        if kind != SSID and any(word in low for word in words):
            for match in pattern.finditer(text):
                secret = match[group]
                if not secret or (pattern is MAIL and match.start() + secret.find("@") in signs):
                    continue
                yield *match.span(group), MAIL_ADDRESS if "@" in secret and MAIL.fullmatch(secret) else kind
