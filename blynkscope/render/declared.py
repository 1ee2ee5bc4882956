"""The secrets that a message of another protocol declares: under which keys, in which forms its URL writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, unquote_plus

from blynkscope.analysis.records import MessageRecord
from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.protocol.secrets import is_password, is_secret
from blynkscope.render import patterns
from blynkscope.render.known import is_common

_SCHEMES = frozenset({"basic", "bearer", "digest", "negotiate", "ntlm", "token"})
"""What stands under `authorization` where only the scheme of the header is told."""
_URLS = ("target", "path", "location")
_PIECES = re.compile(r"[^/?&=#;\s]++")
_TARGET_MAX = 16 * 1024
"""Characters of a URL that are looked at: servers refuse longer ones."""
CONTENTS = frozenset({"request_content", "response_content", "payload", "text", *_URLS})
"""Members of a detail that quote what was sent: nobody knows what may stand there, so they are masked as logs are."""
HEX = "payload_hex"
VALUES = frozenset({"value", "values", "payload"})
"""Members of a detail that hold what a message carries."""
_NAMING = ("datastream", "property", "field", "event")
"""Members that name what that is."""
_CUT = "…"


def secret_kind(protocol: str, name: str, value: object) -> str | None:
    """What a member of a detail is that is secret by its name; None for what is none.

    Args:
        protocol: Of the message: a user is secret where HTTP's basic authentication names it, and shown in MQTT.
        name: Of the member.
        value: Its value.
    """
    if not isinstance(value, str) or not value:
        return None
    name = name.lower()
    named = is_secret(name) or (name == "user" and protocol == "http")
    if not named or is_scheme(name, value):
        return None
    if patterns.MAIL.fullmatch(value):
        return patterns.MAIL_ADDRESS
    if name == "user" or (is_password(name) and not _has_token_form(value)):
        return patterns.PASSWORD
    return patterns.TOKEN


def is_scheme(name: str, value: str) -> bool:
    """Does `authorization` tell no more than how somebody authenticates?"""
    return name == "authorization" and value.lower() in _SCHEMES


def _has_token_form(value: str) -> bool:
    # The password of MQTT is the device's token, which the hardware protocol sends too.
    return len(value) == TOKEN_LENGTH and patterns.RUN.fullmatch(value) is not None


def secrets_of(record: MessageRecord) -> list[tuple[str, str]]:
    """The secrets that a detail declares, each with its kind.

    Who authenticates is not among them, unless by a mail address or a token: `admin` is hidden under its name and in
    front of its password, and stands for something else everywhere else.
    """
    found = []
    for name, value in record.detail.items():
        kind = secret_kind(record.protocol, str(name), value)
        if kind == patterns.PASSWORD and str(name).lower() == "user" and not _has_token_form(value):
            continue
        if kind is not None:
            found.append((value, kind))
        elif isinstance(value, dict):
            pairs = ((item, secret_kind(record.protocol, str(key), item)) for key, item in value.items())
            found += [(item, sort) for item, sort in pairs if sort is not None]
    named = carried_kind(record)
    if named is not None:
        values = [record.detail.get("value"), *(record.detail.get("values") or ()), record.detail.get("payload")]
        found += [(value, named) for value in values if isinstance(value, str) and value]
    return found


def carried_kind(record: MessageRecord) -> str | None:
    """What a message carries where the name of its datastream, property or field tells that it is secret."""
    for member in _NAMING:
        name = record.detail.get(member)
        if isinstance(name, str) and is_secret(name):
            return patterns.PASSWORD if is_password(name) else patterns.TOKEN
    return None


def quoted_kind(value: str, quoted: Mapping[str, str]) -> str | None:
    """What a value is of which the message's line shows all, or the beginning, as a secret.

    Args:
        value: What the message carries.
        quoted: The secrets of its line, each with its kind.
    """
    if value in quoted:
        return quoted[value]
    return next((kind for said, kind in quoted.items() if said.endswith(_CUT) and value.startswith(said[:-1])), None)


def written_forms(record: MessageRecord, secrets: Iterable[str]) -> Iterator[tuple[str, str]]:
    """How a URL writes secrets where that differs from themselves: the form, the secret."""
    wanted = set(secrets)
    for secret in wanted:
        for form in (quote(secret, safe=""), quote(secret, safe="@:!$'()*,"), quote(secret, safe="").lower()):
            if form != secret:
                yield form, secret
    for name in _URLS:
        url = record.detail.get(name)
        if isinstance(url, str) and ("%" in url or "+" in url):
            for piece in _PIECES.findall(url[:_TARGET_MAX]):
                secret = unquote_plus(piece)
                if secret != piece and secret in wanted:
                    yield piece, secret


def places_of_short(text: str, secret: str, kind: str) -> Iterator[tuple[int, int]]:
    """Where a secret stands as the secret that is too short, or too common a word, to be looked for everywhere.

    Behind its name, as a value, and, where it is a token, as a segment of a URL: of all its segments the first one for
    what is also the name of a function.

    Args:
        text: What quotes the message.
        secret: The secret.
        kind: What it is, of `patterns`.
    """
    before = r"(?<==)|(?<== )|(?<=token )|(?<=user )|(?<=password )"
    if kind == patterns.TOKEN:
        before += r"|(?:^|[\s\"']|://[^/\s]{1,255}+)/" if is_common(secret) else r"|(?<=/)"
    for match in re.finditer(rf"(?:{before})({re.escape(secret)})(?![\w-])", text):
        yield match.span(1)
