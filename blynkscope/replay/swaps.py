"""Other tokens and accounts in place of the recorded ones, and secrets that a recording no longer holds."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec

from blynkscope.protocol import commands
from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.protocol.model import Dialect
from blynkscope.replay.model import Said, Script
from blynkscope.replay.script import logins

SWAPPED_ANYWHERE = 16
"""A token at least as long is replaced wherever it stands; a shorter one, in logins alone: elsewhere it may be a
word."""
_MASKED = re.compile(
    rb"\*|([xXnN.?#_-])\1{7}|[xX*.?#]{4}\Z|\A(?:TOKEN|PASS|SECRET|XXX+|YOUR)|\A(?:c0de|C0DE)[0-9A-Fa-f]{4}0{8}"
)
"""What people, logs and `blynkscope redact` write in place of a token."""


def password_hash(mail: str, password: str) -> str:
    """What an app sends for a password: base64 of SHA-256 of the password and of the SHA-256 of its address."""
    salt = sha256(mail.lower().encode()).digest()
    return base64.b64encode(sha256(password.encode() + salt).digest()).decode()


class Swaps(msgspec.Struct, frozen=True):
    """What replaces what.

    Attributes:
        token: In place of the token of every login; None leaves them.
        pairs: Old tokens with their new ones.
        account: E-mail address and password in place of those of app logins.
    """

    token: str | None = None
    pairs: Mapping[str, str] = {}
    account: tuple[str, str] | None = None


def swapped(script: Script, swaps: Swaps) -> Script:
    """The script with other tokens and accounts, in what is said and in what is expected."""
    if swaps.token is None and not swaps.pairs and swaps.account is None:
        return script
    exact = {old.encode(): new.encode() for old, new in swaps.pairs.items()}
    if swaps.token is not None:
        exact |= {
            said.body: swaps.token.encode() for said in _device_logins(script) if said.body and said.body not in exact
        }
    words = {old: new for old, new in exact.items() if len(old) >= SWAPPED_ANYWHERE}
    mails: dict[bytes, bytes] = {}
    if swaps.account is not None:
        mail = swaps.account[0].encode()
        mails = {
            said.body.partition(b"\0")[0]: mail for said in logins(script) if not _is_device(script, said) and said.body
        }

    def frame(said: Said) -> Said:
        body = said.body
        if _is_device(script, said) and said.client and said.cmd in commands.LOGINS:
            body = exact.get(body, swaps.token.encode() if swaps.token is not None else body)
            return said if body is said.body else msgspec.structs.replace(said, body=body, word=len(body))
        if not _is_device(script, said) and said.client and swaps.account is not None:
            body = _account(said, swaps.account, mails)
        body = replaced(body, words)
        if body is said.body:
            return said
        return msgspec.structs.replace(said, body=body, word=len(body) if said.cmd else said.word)

    lines = {
        number: msgspec.structs.replace(line, frames=tuple(frame(said) for said in line.frames))
        for number, line in script.lines.items()
    }
    by_number = {said.n: said for line in lines.values() for said in line.frames}
    steps = []
    for step in script.steps:
        if step.said is not None:
            step = msgspec.structs.replace(step, said=by_number[step.said.n])
        elif step.call is not None:
            target = replaced(step.call.target.encode(), words).decode("latin-1")
            step = msgspec.structs.replace(step, call=msgspec.structs.replace(step.call, target=target))
        steps.append(step)
    return msgspec.structs.replace(script, lines=lines, steps=tuple(steps))


def replaced(body: bytes, words: Mapping[bytes, bytes]) -> bytes:
    """A body with new words in place of old ones, each place once: a new word may hold an old one."""
    if not any(old in body for old in words):
        return body
    longest = sorted(words, key=len, reverse=True)
    return re.sub(b"|".join(map(re.escape, longest)), lambda match: words[match[0]], body)


def tokens(script: Script) -> list[bytes]:
    """The different tokens that devices log in with, in order."""
    return list(dict.fromkeys(said.body for said in _device_logins(script)))


def masked(script: Script) -> list[Said]:
    """Logins whose secret is not in the recording any more: masked by a person, a log or `redact`."""
    lost = []
    for said in logins(script):
        line = script.lines[said.line]
        if _is_device(script, said):
            token = said.body
            if said.cmd not in commands.LOGINS:
                continue
            shown = said.word < 0 or said.word == len(token)
            if not shown or (line.log and not token) or (len(token) >= 3 and _looks_masked(token)):
                lost.append(said)
        elif any(part and _looks_masked(part) for part in said.body.split(b"\0")[:2]):
            lost.append(said)
    return lost


def _looks_masked(secret: bytes) -> bool:
    return _MASKED.search(secret) is not None or (len(set(secret)) == 1 and len(secret) >= TOKEN_LENGTH // 2)


def _device_logins(script: Script) -> Sequence[Said]:
    return [said for said in logins(script) if said.cmd in commands.LOGINS and _is_device(script, said)]


def _is_device(script: Script, said: Said) -> bool:
    return script.lines[said.line].dialect is Dialect.HARDWARE


def _account(said: Said, account: tuple[str, str], mails: Mapping[bytes, bytes]) -> bytes:
    parts = said.body.split(b"\0")
    if said.cmd in {commands.LOGIN, commands.REGISTER}:
        parts[0] = account[0].encode()
        if len(parts) > 1:
            parts[1] = password_hash(*account).encode()
    elif said.cmd in {commands.GET_SERVER, commands.SHARE_LOGIN} and parts[0] in mails:
        parts[0] = mails[parts[0]]
    return b"\0".join(parts)
