"""Secrets out, correlation kept: what comes between records and every output unless `--show-secrets` is given.

A token becomes `tok:` and six hex digits of its hash, so that the same token looks the same in every run and two
devices can be told apart; 128 random bits cannot be found again from 24. E-mail addresses and passwords can be guessed,
so that a hash of them would confirm a guess: they are numbered in the order in which they appear.

In bytes a secret becomes as many `*` (2a). A secret that was found in the fields but not in the bytes (an escaped form,
compressed data) makes the whole body `*`: in doubt nothing is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2s
from typing import Any

import msgspec

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    LogRecord,
    MessageRecord,
    Observed,
    Record,
    StreamRecord,
)
from blynkscope.protocol import bodies, commands, limits
from blynkscope.protocol.schema import Fields, Span, readable
from blynkscope.protocol.secrets import is_password, is_secret
from blynkscope.render import patterns
from blynkscope.render.commands import ADDRESS, LOGINS, PACKED_COMMANDS, SECRET_COMMANDS, reading_of, span_kind
from blynkscope.render.declared import (
    CONTENTS,
    HEX,
    VALUES,
    carried_kind,
    is_scheme,
    places_of_short,
    quoted_kind,
    secret_kind,
    secrets_of,
    written_forms,
)
from blynkscope.render.fields import command_of
from blynkscope.render.known import SHORTEST, Known, is_common, spelled
from blynkscope.render.masking import LONG, MASK, is_hex, like_token, masked, occurrences

__all__ = ["PACKED_COMMANDS", "SECRET_COMMANDS", "Redactor", "token_name"]

Spot = tuple[int, int, str]
"""Start, end, and a kind of `patterns`, or the whole secret that this is a piece of."""

_DEPTH_MAX = 64
_TOO_DEEP = "(nested too deep to be shown without secrets)"
_SEARCHED = 64
"""Known secrets that are looked for inside longer words too, and secrets of one body that are looked for in it."""
_LOGIN_MAX = 4096
"""Bytes of a login that are looked at; a real one has some 200."""
_SEPARATED = re.compile(rb"\0|\\0|[|=,\s]")
"""What stands between the parts of a login in logs."""


_KINDS = frozenset({patterns.TOKEN, patterns.PASSWORD, patterns.MAIL_ADDRESS, patterns.CREDENTIALS})
_PLAIN = frozenset({commands.HW, commands.PING, commands.RESPONSE})
_OWN_WORDS = frozenset(text for rule in CATALOGUE.values() for text in (rule.title, rule.fix))
_LINES = frozenset({"line", "request", "banner", "status_line", "text"})
_WITHOUT_PAYLOAD = frozenset({"opened", "gap", "overlap"})
"""Kinds of stream records whose detail holds addresses and numbers, and nothing from the wire's payload."""


class Redactor:
    """Replaces the secrets of one run. It learns tokens from logins, so records must come in their order.

    Args:
        show_secrets: True to let everything through.
    """

    def __init__(self, show_secrets: bool = False) -> None:
        self.show_secrets = show_secrets
        self.knows_short = False
        """True once a secret was learned that is shorter than a token, so that short values must be looked into too."""
        self.on_learned: Callable[[int, bytes, str | None], None] | None = None
        """Called with what `learn` is, for a redactor in another process that must know the same."""
        self.on_unshown: Callable[[MessageRecord], None] | None = None
        """Called with each message that is read and not shown, for an output that tells what is not read."""
        self._known: dict[str, str] = {}
        """Kinds of the secrets that were learned."""
        self._aliases: dict[str, str] = {}
        """Other forms of them, as URLs write them."""
        self._inside: list[str] = []
        self._anywhere = Known()
        self._numbered: dict[str, dict[str, str]] = {"mail": {}, "pass": {}}
        self._found: list[str] = []

    def learn(self, cmd: int, body: bytes, dialect: str | None = None) -> None:
        """Take the secrets of a frame that is not shown itself: what it hides is hidden in everything that follows.

        Args:
            cmd: Its command; nothing is learned from those that declare no secret.
            body: Its body.
            dialect: Its dialect; None where only a log tells it, which may have lost its separators.
        """
        if self.show_secrets or cmd not in SECRET_COMMANDS:
            return
        if self.on_learned is not None:
            self.on_learned(cmd, body, dialect)
        for row in commands.rows(cmd):
            if dialect is None or dialect in row.dialects:
                self._learn(row.body.secrets(body))
        if cmd in LOGINS and (dialect is None or b"@" in body):
            for part in _SEPARATED.split(body[:_LOGIN_MAX]):
                secret = readable(part)
                if len(part) >= patterns.TOKEN_PART or "@" in secret:
                    self._remember(secret, patterns.MAIL_ADDRESS if "@" in secret else patterns.PASSWORD)

    def learn_frame(self, frame: Observed | FrameRecord | MessageRecord) -> None:
        """`learn`, of a frame or a message of the input that is not shown itself."""
        if isinstance(frame, MessageRecord):
            if self.on_unshown is not None:
                self.on_unshown(frame)
            # As if a login had told them, so that whoever is told of logins knows them too.
            for secret, kind in secrets_of(frame):
                raw = secret.encode("utf-8", "replace")
                if kind == patterns.TOKEN:
                    self.learn(commands.HW_LOGIN, raw, "hardware")
                else:
                    self.learn(commands.LOGIN, raw if kind == patterns.MAIL_ADDRESS else b"\0" + raw, "app")
        elif isinstance(frame, Observed):
            self.learn(frame.cmd, frame.body, frame.facts.dialect)
        else:
            self.learn(frame.cmd, bytes.fromhex(frame.body), frame.dialect)

    def apply(self, record: Record) -> Record:
        """The record without secrets; the same object where there were none. An observed frame is spelled out."""
        if isinstance(record, Observed):
            record = record.record()
        if isinstance(record, FrameRecord):
            body = record.body
            # The common frame is done here. A short body has room for no token; outside of pin values (where an @ is
            # somebody's data) it may still have room for an address.
            if record.cmd in _PLAIN and len(body) < LONG and not self.knows_short:
                return record
            return record if self.show_secrets else self._frame(record)
        if self.show_secrets:
            return record
        self._found = []
        if isinstance(record, FindingRecord):
            cleaned = {
                name: self.line(value)
                for name in ("title", "detail", "fix")
                if (value := getattr(record, name)) not in _OWN_WORDS
            }
            return msgspec.structs.replace(record, **cleaned)
        if isinstance(record, StreamRecord):
            if record.kind in _WITHOUT_PAYLOAD:
                return record
            return msgspec.structs.replace(record, detail=self._detail(record.detail, 0))
        if isinstance(record, MessageRecord):
            return self._message(record)
        if isinstance(record, LogRecord):
            return msgspec.structs.replace(record, text=self.line(record.text))
        return record

    def text(self, text: str) -> str:
        """Free text without secrets. Linear in its length; never fails."""
        if self.show_secrets or not text:
            return text
        return self._replaced(text, self._spots(text))

    def line(self, text: str, forms: bool = True, own: Sequence[Spot] = ()) -> str:
        """The same of a line of a log, or of what quotes one: nobody knows what may stand there.

        Pieces of tokens that are known go too, and secrets whose bytes are spelled in digits.

        Args:
            text: The line.
            forms: Hide everything that has the form of a token.
            own: Secrets that the caller knows to stand there.
        """
        if self.show_secrets or not text:
            return text
        spots = [*self._spots_of_line(text, forms), *own]
        covered: list[tuple[int, int]] = []
        for values, first, second in spelled(text):
            for start, end, _ in self._spots_of_line(values, forms):
                for cells in (first, second):
                    covered += [cell for cell in cells[start:end] if not any(at <= cell[0] < end for at, end, _ in own)]
        if covered:
            # The digits that spell a secret become stars; where a secret stands itself nothing does.
            stars = list(text)
            for start, end in covered:
                stars[start:end] = "*" * (end - start)
            text = "".join(stars)
            spots = [spot for spot in spots if "*" not in text[spot[0] : spot[1]]]
        return self._replaced(text, spots)

    def _spots(self, text: str) -> list[Spot]:
        """Secrets in a text: start, end, kind. They may overlap."""
        spots = list(patterns.found(text))
        if self._known:
            for match in patterns.RUN.finditer(text):
                if (kind := self._known.get(match[0])) is not None:
                    spots.append((*match.span(), kind))
            for secret in self._inside:
                at = text.find(secret)
                while at >= 0:
                    spots.append((at, at + len(secret), self._known[secret]))
                    at = text.find(secret, at + len(secret))
        return spots

    def _spots_of_line(self, text: str, forms: bool) -> list[Spot]:
        spots = self._spots(text)
        if forms:
            spots += [(*match.span(), patterns.TOKEN) for match in patterns.WHOLE_TOKEN.finditer(text)]
        spots += self._anywhere.spans(text)
        return spots

    def _replaced(self, text: str, spots: list[Spot]) -> str:
        """The text with a placeholder for each group of spots that overlap: that of the longest."""
        if not spots:
            return text
        out, done, at = [], 0, 0
        spots.sort(key=lambda spot: (spot[0], -spot[1]))
        while at < len(spots):
            first = longest = spots[at]
            end = first[1]
            self._found.append(text[first[0] : end])
            at += 1
            while at < len(spots) and spots[at][0] < end:
                spot = spots[at]
                self._found.append(text[spot[0] : spot[1]])
                longest = max(longest, spot, key=lambda one: one[1] - one[0])
                end = max(end, spot[1])
                at += 1
            out += [text[done : first[0]], self._shown(longest[2], text[longest[0] : longest[1]])]
            done = end
        return "".join(out) + text[done:]

    def body(self, data: bytes, spans: Sequence[Span] = ()) -> bytes:
        """Bytes of a body with `*` in place of every secret: those of `spans`, and those that patterns find.

        The length stays, and so do separators.
        """
        if self.show_secrets:
            return data
        self._learn(spans)
        return masked(data, [*((span.start, span.end) for span in spans if span.secret), *self._places(data)])

    def unknown(self, data: bytes) -> bytes:
        """Bytes that belong to no frame: like `body`, and everything that has the form of a token is masked too."""
        if self.show_secrets:
            return data
        text = data.decode("latin-1")
        runs = [match.span() for match in patterns.RUN.finditer(text) if like_token(match[0])]
        runs += [(start, end) for start, end, _ in self._anywhere.spans(text)]
        return masked(data, [*self._places(data), *runs])

    # --- messages of other protocols ---

    def _message(self, record: MessageRecord) -> MessageRecord:
        declared = dict(secrets_of(record))
        for own, sort in declared.items():
            self._remember(own, sort)
        for form, secret in list(written_forms(record, declared)):
            declared[form] = declared[secret]
            if len(self._aliases) < limits.ADDRESSES_MAX:
                self._aliases[form] = secret
                self._remember(form, declared[secret])
        # What the line hides is hidden in the values that it was taken from.
        spots = self._spots_of_line(record.text, True) if VALUES & record.detail.keys() else []
        quoted = {record.text[start:end]: kind for start, end, kind in spots if kind in _KINDS}
        carried = carried_kind(record)
        detail = {
            self._key(str(name)): self._carried(value, carried, quoted, declared)
            if name in VALUES and (quoted or carried)
            else self._shown(kind, str(value))
            if (kind := secret_kind(record.protocol, str(name), value))
            else self._fact(str(name), value, declared)
            for name, value in record.detail.items()
        }
        return msgspec.structs.replace(record, detail=detail, text=self._content(record.text, declared))

    def _carried(self, value: Any, kind: str | None, quoted: Mapping[str, str], declared: Mapping[str, str]) -> Any:
        """What a message carries, where it is secret or its line hides some of it."""
        if isinstance(value, list):
            return [self._carried(item, kind, quoted, declared) for item in value]
        if isinstance(value, dict):
            return {
                self._key(str(key)): self._by_name(key, item)
                if isinstance(item, str) and item and is_secret(key)
                else self._carried(item, None, quoted, declared)
                for key, item in value.items()
            }
        if not isinstance(value, str) or not value:
            return value
        found = kind or quoted_kind(value, quoted)
        return self._shown(found, value) if found else self._content(value, {**quoted, **declared})

    def _fact(self, name: str, value: Any, declared: Mapping[str, str]) -> Any:
        if not isinstance(value, str):
            return self._detail(value, 1)
        if name == HEX:
            try:
                return self.unknown(bytes.fromhex(value)).hex()
            except ValueError:
                return MASK.decode() * len(value)
        if name in CONTENTS:
            return self._content(value, declared)
        if (is_hex(value) and "sha" in name) or is_scheme(name, value):
            return value
        return self._quoted(name, value, 1)

    def _content(self, text: str, declared: Mapping[str, str]) -> str:
        """What quotes the message: masked as a line of a log, and its own secrets however short they are."""
        own: list[Spot] = []
        for secret, kind in declared.items():
            if len(secret) < SHORTEST or is_common(secret):
                own += [(*place, kind) for place in places_of_short(text, secret, kind)]
                continue
            at = text.find(secret)
            while at >= 0:
                own.append((at, at + len(secret), kind))
                at = text.find(secret, at + len(secret))
        return self.line(text, own=own)

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
        text = reading_of(body, fields) if fields is not None else None
        if text is None:
            text = self.text(record.text)
        return msgspec.structs.replace(record, body=hidden.hex(), fields=fields, text=text)

    def _declared(self, fields: Fields, record: FrameRecord, spans: Sequence[Span]) -> None:
        """Put placeholders where the schema declares a secret, and into what follows it in a login."""
        for span in spans:
            if span.name in fields:
                fields[span.name] = self._placeholder(span)
        # An app's login that is read as a device's has its password where nothing is expected.
        if record.cmd in LOGINS and fields.get("extra"):
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
            found = list(occurrences(data, secret.encode("utf-8", "replace")))
            places += found if len(secret) >= SHORTEST else []
            missing = missing or not found
        return masked(data, places), not missing

    def _value(self, key: str, value: Any, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            self._found.append(_TOO_DEEP)
            return _TOO_DEEP
        if isinstance(value, str):
            return self._by_name(key, value) or self.text(value)
        if isinstance(value, list):
            return [self._value(key, item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {self._key(name): self._value(name, item, depth + 1) for name, item in value.items()}
        return value

    def _by_name(self, key: str, value: str) -> str | None:
        """The placeholder of a value whose name tells that it is secret."""
        if not value or not is_secret(key):
            return None
        self._found.append(value)
        return self._nth("pass", value) if is_password(key) else token_name(value)

    def _key(self, name: str) -> str:
        return self.text(name) if len(name) >= SHORTEST else name

    def _detail(self, value: Any, depth: int) -> Any:
        """The detail of a stream record: like fields, and bytes written as hex are looked into.

        Lines of what is no frame are masked by form: part of a token may stand there without any word that tells.
        """
        if isinstance(value, dict) and depth < _DEPTH_MAX:
            return {
                self._key(name): self._detail(item, depth + 1)
                if isinstance(item, dict | list) or is_hex(item)
                else self._line(item)
                if name in _LINES and isinstance(item, str)
                else self._quoted(name, item, depth + 1)
                for name, item in value.items()
            }
        if isinstance(value, list | tuple) and depth < _DEPTH_MAX:
            return [self._detail(item, depth + 1) for item in value]
        if is_hex(value):
            return self.unknown(bytes.fromhex(value)).hex()
        return self._quoted("", value, depth)

    def _quoted(self, name: str, value: Any, depth: int) -> Any:
        """A value of a detail. It may quote the beginning of another one, so that a token may be cut at its end."""
        if not isinstance(value, str):
            return self._value(name, value, depth)
        return self._by_name(name, value) or self.line(value, forms=False)

    def _line(self, text: str) -> str:
        """Text that was skipped, without what has the form of a token or of a part of one."""
        return patterns.RUN.sub(
            lambda match: token_name(match[0]) if like_token(match[0]) else match[0], self.line(text)
        )

    # --- secrets and their names ---

    def _learn(self, spans: Sequence[Span]) -> None:
        for span in spans:
            secret = readable(span.raw)
            if span.secret == ADDRESS and "@" not in secret:
                continue
            self._remember(secret, span_kind(span))

    def _remember(self, secret: str, kind: str) -> None:
        if len(secret) < SHORTEST or secret in self._known or len(self._known) >= limits.ADDRESSES_MAX:
            return
        if is_common(secret):
            return
        self._known[secret] = kind
        self._anywhere.learn(secret)
        if kind == patterns.MAIL_ADDRESS:
            # Its form tells it in frames.
            return
        self.knows_short = self.knows_short or len(secret) < limits.TOKEN_LENGTH
        if len(self._inside) < _SEARCHED:
            self._inside.append(secret)

    def _placeholder(self, span: Span) -> str:
        return self._shown(span_kind(span), readable(span.raw))

    def _shown(self, kind: str, secret: str) -> str:
        """What stands for a secret. It has its number from the first time that it would be shown."""
        secret = self._aliases.get(secret, secret)
        if secret in self._known:
            kind = self._known[secret]
        elif kind not in _KINDS:
            # A piece: the third item is the secret that it is of.
            whole = self._aliases.get(kind, kind)
            kind, secret = self._known.get(whole, patterns.TOKEN), whole
        if kind == patterns.MAIL_ADDRESS:
            return self._nth("mail", secret.replace("%40", "@"))
        return self._nth("pass", secret) if kind == patterns.PASSWORD else token_name(secret)

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

    def _places(self, data: bytes) -> list[tuple[int, int]]:
        """Where patterns find secrets in bytes. Latin-1 gives each byte one character, so that places agree."""
        text = data.decode("latin-1")
        places = [(start, end) for start, end, _ in patterns.found(text)]
        if self._known:
            places += [match.span() for match in patterns.RUN.finditer(text) if match[0] in self._known]
            for secret in self._inside:
                places += occurrences(data, secret.encode("utf-8", "replace"))
        return places


def token_name(token: str) -> str:
    """The placeholder of a token: the same for the same token in every run."""
    return "tok:" + blake2s(token.encode("utf-8", "surrogatepass"), digest_size=3).hexdigest()
