"""Secrets out, correlation kept: what comes between records and every output unless `--show-secrets` is given.

A token becomes `tok:` and six hex digits of its hash, so that the same token looks the same in every run and two
devices can be told apart; 128 random bits cannot be found again from 24. E-mail addresses and passwords can be guessed,
so that a hash of them would confirm a guess: they are numbered in the order in which they appear.

In bytes a secret becomes as many `*` (2a). A secret that was found in the fields but not in the bytes (an escaped form,
compressed data) makes the whole body `*`: in doubt nothing is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2s
from typing import Any

import construct as con
import msgspec

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.analysis.records import FindingRecord, FrameRecord, LogRecord, Observed, Record, StreamRecord
from blynkscope.protocol import bodies, commands, limits
from blynkscope.protocol.schema import Body, BoundedZlib, Fields, Part, Span, readable
from blynkscope.render import patterns
from blynkscope.render.fields import command_of

MASK = b"*"
_KEY, _ADDRESS = "token", "email"
_DEPTH_MAX = 64
_TOO_DEEP = "(nested too deep to be shown without secrets)"
_SEARCHED = 64
"""Known secrets that are looked for inside longer words too, and secrets of one body that are looked for in it."""
_SHORTEST_KNOWN = 6
"""A shorter token would be found by accident in innocent text."""


def _holds(schema: Any, wanted: Callable[[Any], bool]) -> bool:
    """Does a construct schema hold an element for which `wanted` is true?"""
    if wanted(schema):
        return True
    inner: list[Any] = list(getattr(schema, "subcons", ()))
    inner += getattr(schema, "cases", {}).values()
    inner += [sub for name in ("subcon", "default") if (sub := getattr(schema, name, None)) is not None]
    return any(_holds(sub, wanted) for sub in inner if isinstance(sub, con.Construct))


def _codes(wanted: Callable[[Any], bool]) -> frozenset[int]:
    return frozenset(code for code in range(256) for row in commands.rows(code) if _holds(row.body.schema, wanted))


SECRET_COMMANDS = _codes(lambda schema: isinstance(schema, Part) and schema.secret is not None)
"""Codes with a body that declares a secret, in any dialect or era."""
PACKED_COMMANDS = _codes(lambda schema: isinstance(schema, BoundedZlib))
"""Codes with a compressed body: its bytes cannot be masked in part."""
_LOGINS = frozenset(code for code in SECRET_COMMANDS if any("LOGIN" in row.name for row in commands.rows(code)))
_PLAIN = frozenset({commands.HW, commands.PING, commands.RESPONSE})
_LONG = 2 * limits.TOKEN_LENGTH
_OWN_WORDS = frozenset(text for rule in CATALOGUE.values() for text in (rule.title, rule.fix))
_LINES = frozenset({"line", "request", "banner", "status_line"})
_WITHOUT_PAYLOAD = frozenset({"opened", "gap", "overlap"})
"""Kinds of stream records whose detail holds addresses and numbers, and nothing from the wire's payload."""


def _reading(body: Body, fields: Fields) -> str | None:
    """The one-line reading; None where the fields are not this body's (a log's, or another era's)."""
    try:
        return body.reading(fields)
    except (LookupError, TypeError, AttributeError, ValueError):
        return None


class Redactor:
    """Replaces the secrets of one run. It learns tokens from logins, so records must come in their order.

    Args:
        show_secrets: True to let everything through.
    """

    def __init__(self, show_secrets: bool = False) -> None:
        self.show_secrets = show_secrets
        self.knows_short = False
        """True once a secret was learned that is shorter than a token, so that short values must be looked into too."""
        self._known: dict[str, str] = {}
        self._inside: list[tuple[str, str]] = []
        self._numbered: dict[str, dict[str, str]] = {"mail": {}, "pass": {}}
        self._found: list[str] = []

    def apply(self, record: Record) -> Record:
        """The record without secrets; the same object where there were none. An observed frame is spelled out."""
        if isinstance(record, Observed):
            record = record.record()
        if isinstance(record, FrameRecord):
            body = record.body
            # The common frame is done here. A short body has room for no token; outside of pin values (where an @ is
            # somebody's data) it may still have room for an address.
            if record.cmd in _PLAIN and len(body) < _LONG and not self.knows_short:
                return record
            return record if self.show_secrets else self._frame(record)
        if self.show_secrets:
            return record
        if isinstance(record, FindingRecord):
            cleaned = {
                name: self.text(value)
                for name in ("title", "detail", "fix")
                if (value := getattr(record, name)) not in _OWN_WORDS
            }
            return msgspec.structs.replace(record, **cleaned)
        if isinstance(record, StreamRecord):
            if record.kind in _WITHOUT_PAYLOAD:
                return record
            return msgspec.structs.replace(record, detail=self._detail(record.detail, 0))
        if isinstance(record, LogRecord):
            return msgspec.structs.replace(record, text=self.text(record.text))
        return record

    def text(self, text: str) -> str:
        """Free text without secrets. Linear in its length; never fails."""
        if self.show_secrets or not text:
            return text
        text = patterns.MEMBER.sub(self._named, text)
        if "=" in text:
            text = patterns.PARAMETER.sub(self._named, text)
        if ":" in text:
            text = patterns.HEADER.sub(self._named, text)
        text = patterns.SPOKEN.sub(self._named, text)
        if "/" in text:
            text = patterns.PATH.sub(lambda match: "/" + self._token(match[1]), text)
        if "@" in text:
            text = patterns.MAIL.sub(lambda match: self._number("mail", match[1]), text)
        if self._known:
            text = patterns.RUN.sub(self._run, text)
            for secret, placeholder in self._inside:
                if secret in text:
                    self._found.append(secret)
                    text = text.replace(secret, placeholder)
        return text

    def body(self, data: bytes, spans: Sequence[Span] = ()) -> bytes:
        """Bytes of a body with `*` in place of every secret: those of `spans`, and those that patterns find.

        The length stays, and so do separators.
        """
        if self.show_secrets:
            return data
        self._learn(spans)
        return _masked(data, [*((span.start, span.end) for span in spans if span.secret), *self._places(data)])

    def unknown(self, data: bytes) -> bytes:
        """Bytes that belong to no frame: like `body`, and everything that has the form of a token is masked too."""
        if self.show_secrets:
            return data
        runs = [match.span() for match in patterns.RUN.finditer(data.decode("latin-1")) if _like_token(match[0])]
        return _masked(data, [*self._places(data), *runs])

    # --- frames ---

    def _frame(self, record: FrameRecord) -> FrameRecord:
        data = bytes.fromhex(record.body)
        row = command_of(record)
        body = row.body if row else bodies.RAW
        spans = body.secrets(data) if record.cmd in SECRET_COMMANDS else []
        self._learn(spans)
        self._found = []
        fields = record.fields
        if fields is not None:
            fields = {key: self._value(key, value, 1) for key, value in fields.items()}
            self._declared(fields, record, spans)
        places = [*((span.start, span.end) for span in spans), *self._places(data)]
        hidden, complete = self._hidden(data, places)
        if fields == record.fields and hidden == data:
            return record
        packed = record.cmd in PACKED_COMMANDS and fields is not None and "inflated" in fields
        if packed or not complete:
            hidden = MASK * len(data)
        text = _reading(body, fields) if fields is not None else None
        if text is None:
            text = self.text(record.text)
        return msgspec.structs.replace(record, body=hidden.hex(), fields=fields, text=text)

    def _declared(self, fields: Fields, record: FrameRecord, spans: Sequence[Span]) -> None:
        """Put placeholders where the schema declares a secret, and into what follows it in a login."""
        for span in spans:
            if span.name in fields:
                fields[span.name] = self._placeholder(span)
        # An app's login that is read as a device's has its password where nothing is expected.
        if record.cmd in _LOGINS and fields.get("extra"):
            before = (record.fields or {})["extra"]
            fields["extra"] = [self._number("pass", item) if len(item) >= 16 else item for item in before]
            self._found += [item for item in before if len(item) >= 16]

    def _hidden(self, data: bytes, places: list[tuple[int, int]]) -> tuple[bytes, bool]:
        """The masked bytes, and whether every secret that the fields held was found in them."""
        secrets = set(self._found)
        if len(secrets) > _SEARCHED:
            return data, False
        missing = False
        for secret in secrets:
            occurrences = list(_occurrences(data, secret.encode("utf-8", "replace")))
            places += occurrences if len(secret) >= _SHORTEST_KNOWN else []
            missing = missing or not occurrences
        return _masked(data, places), not missing

    def _value(self, key: str, value: Any, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            self._found.append(_TOO_DEEP)
            return _TOO_DEEP
        if isinstance(value, str):
            name = key.lower()
            if value and name in patterns.SECRET_NAMES and key != "text":
                self._found.append(value)
                return self._number("pass", value) if name in patterns.PASSWORD_NAMES else self._token(value)
            return self.text(value)
        if isinstance(value, list):
            return [self._value(key, item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {self._key(name): self._value(name, item, depth + 1) for name, item in value.items()}
        return value

    def _key(self, name: str) -> str:
        return self.text(name) if len(name) >= _SHORTEST_KNOWN else name

    def _detail(self, value: Any, depth: int) -> Any:
        """The detail of a stream record: like fields, and bytes written as hex are looked into.

        Lines of what is no frame are masked by form: part of a token may stand there without any word that tells.
        """
        if isinstance(value, dict) and depth < _DEPTH_MAX:
            return {
                self._key(name): self._detail(item, depth + 1)
                if isinstance(item, dict | list) or _is_hex(item)
                else self._line(item)
                if name in _LINES and isinstance(item, str)
                else self._value(name, item, depth + 1)
                for name, item in value.items()
            }
        if isinstance(value, list | tuple) and depth < _DEPTH_MAX:
            return [self._detail(item, depth + 1) for item in value]
        if _is_hex(value):
            return self.unknown(bytes.fromhex(value)).hex()
        return self._value("", value, depth)

    def _line(self, text: str) -> str:
        """Text that was skipped, without what has the form of a token or of a part of one."""
        return patterns.RUN.sub(
            lambda match: token_name(match[0]) if _like_token(match[0]) else match[0], self.text(text)
        )

    # --- secrets and their names ---

    def _learn(self, spans: Sequence[Span]) -> None:
        for span in spans:
            secret = readable(span.raw)
            if span.secret == _ADDRESS or len(secret) < _SHORTEST_KNOWN or len(self._known) >= limits.ADDRESSES_MAX:
                continue
            if secret not in self._known:
                self._known[secret] = self._placeholder(span)
                self.knows_short = self.knows_short or len(secret) < limits.TOKEN_LENGTH
                if len(self._inside) < _SEARCHED:
                    self._inside.append((secret, self._known[secret]))

    def _placeholder(self, span: Span) -> str:
        secret = readable(span.raw)
        if span.secret == _KEY:
            # A login read with the wrong dialect has an address where the token belongs.
            return self._nth("mail", secret) if "@" in secret else token_name(secret)
        return self._nth("mail" if span.secret == _ADDRESS else "pass", secret)

    def _number(self, kind: str, secret: str) -> str:
        self._found.append(secret)
        return self._nth(kind, secret)

    def _nth(self, kind: str, secret: str) -> str:
        numbers = self._numbered[kind]
        placeholder = numbers.get(secret)
        if placeholder is None:
            if len(numbers) >= limits.ADDRESSES_MAX:
                return f"{kind}:more"
            placeholder = numbers[secret] = f"{kind}:{len(numbers) + 1}"
        return placeholder

    def _token(self, secret: str) -> str:
        self._found.append(secret)
        return token_name(secret)

    def _named(self, match: re.Match[str]) -> str:
        name, secret = match[1].lower(), match[2]
        if not secret:
            return match[0]
        shown = self._number("pass", secret) if name in patterns.PASSWORD_NAMES else self._token(secret)
        start = match.start()
        return match[0][: match.start(2) - start] + shown + match[0][match.end(2) - start :]

    def _run(self, match: re.Match[str]) -> str:
        secret = match[0]
        placeholder = self._known.get(secret)
        if placeholder is None:
            return secret
        self._found.append(secret)
        return placeholder

    def _places(self, data: bytes) -> list[tuple[int, int]]:
        """Where patterns find secrets in bytes. Latin-1 gives each byte one character, so that places agree."""
        text = data.decode("latin-1")
        found: list[tuple[int, int]] = []
        for pattern in (patterns.MEMBER, patterns.PARAMETER, patterns.HEADER, patterns.SPOKEN):
            found += [match.span(2) for match in pattern.finditer(text)]
        for pattern in (patterns.PATH, patterns.MAIL):
            found += [match.span(1) for match in pattern.finditer(text)]
        if self._known:
            found += [match.span() for match in patterns.RUN.finditer(text) if match[0] in self._known]
            for secret, _ in self._inside:
                found += _occurrences(data, secret.encode("utf-8", "replace"))
        return found


def token_name(token: str) -> str:
    """The placeholder of a token: the same for the same token in every run."""
    return "tok:" + blake2s(token.encode("utf-8", "surrogatepass"), digest_size=3).hexdigest()


def _occurrences(data: bytes, raw: bytes) -> Iterator[tuple[int, int]]:
    at = data.find(raw)
    while at >= 0:
        yield at, at + len(raw)
        at = data.find(raw, at + len(raw))


def _masked(data: bytes, places: Iterable[tuple[int, int]]) -> bytes:
    out = bytearray(data)
    for start, end in places:
        out[start:end] = MASK * (end - start)
    return bytes(out)


def _is_hex(value: Any) -> bool:
    return isinstance(value, str) and len(value) >= _LONG and patterns.HEX.fullmatch(value) is not None


def _like_token(run: str) -> bool:
    return len(run) >= patterns.TOKEN_PART and any(char.isdigit() for char in run) and any(map(str.isalpha, run))
