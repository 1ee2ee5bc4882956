"""Other tokens and accounts in place of the recorded ones, and secrets that a recording no longer holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, unquote

import msgspec

from blynkscope.protocol import commands
from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.passwords import password_hash
from blynkscope.replay.model import Call, Said, Script
from blynkscope.replay.script import logins

SWAPPED_ANYWHERE = 16
"""A token at least as long is replaced wherever it stands; a shorter one where a token is expected: elsewhere it may be
a word."""
_TOKEN_PARAMETERS = frozenset({"token", "auth_token"})
"""Parameters of a URL that hold a token."""
_IOT_API = "external"
"""The first part of the paths of Blynk IoT, which have their token in the query."""
_TIED = 2
"""Place of the token in the body of a bridge that is tied to a device: pin, `i`, token."""
_MASKED = re.compile(
    rb"\*|([xXnN.?#_-])\1{7}|[xX*.?#]{4}\Z|\A(?:TOKEN|PASS|SECRET|XXX+|YOUR)|\A(?:c0de|C0DE)[0-9A-Fa-f]{4}0{8}"
)
"""What people, logs and `blynkscope redact` write in place of a token."""


class Swaps(msgspec.Struct, frozen=True):
    """What replaces what.

    Attributes:
        token: In place of the token of every login, wherever it stands, and of masked ones; without a login in place
            of every token. None leaves them.
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
        exact |= {token: swaps.token.encode() for token in _one_for_all(script) if token not in exact}
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
        tied = _tied(said, body) if _is_device(script, said) else None
        if tied is not None and tied in exact:
            parts = body.split(b"\0")
            body = b"\0".join((*parts[:_TIED], exact[tied], *parts[_TIED + 1 :]))
        else:
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
            step = msgspec.structs.replace(step, call=_swapped_call(step.call, exact, words))
        steps.append(step)
    return msgspec.structs.replace(script, lines=lines, steps=tuple(steps))


def replaced(body: bytes, words: Mapping[bytes, bytes]) -> bytes:
    """A body with new words in place of old ones, each place once: a new word may hold an old one."""
    if not any(old in body for old in words):
        return body
    longest = sorted(words, key=len, reverse=True)
    return re.sub(b"|".join(map(re.escape, longest)), lambda match: words[match[0]], body)


def _swapped_call(call: Call, exact: Mapping[bytes, bytes], words: Mapping[bytes, bytes]) -> Call:
    """A call with other tokens in its URL, in what it sends, and in the answer that is expected."""
    quoted = {old: quote(new, safe="").encode() for old, new in words.items()}

    def piece(text: str) -> str:
        new = exact.get(unquote(text).encode())
        return quote(new, safe="") if new is not None else replaced(text.encode(), quoted).decode("latin-1")

    def text(content: str | None) -> str | None:
        return replaced(content.encode(), words).decode() if content is not None else None

    path, mark, query = call.target.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    query = "&".join(name + equals + piece(value) for name, equals, value in pairs)
    return msgspec.structs.replace(
        call, target="/".join(map(piece, path.split("/"))) + mark + query, content=text(call.content),
        answer=text(call.answer),
    )  # fmt: skip


def call_tokens(call: Call) -> list[str]:
    """The tokens in the URL of a call: the first part of the path, or in the query."""
    path, _, query = call.target.partition("?")
    first = path[1:].partition("/")[0]
    pairs = [pair.partition("=") for pair in query.split("&")]
    found = [unquote(first)] if first and first != _IOT_API else []
    return found + [unquote(value) for name, _, value in pairs if name.lower() in _TOKEN_PARAMETERS and value]


def _tied(said: Said, body: bytes) -> bytes | None:
    """The token of the device that a bridge is tied to; None of all other frames."""
    if said.cmd != commands.BRIDGE or not said.client:
        return None
    parts = body.split(b"\0")
    return parts[_TIED] if len(parts) > _TIED and parts[1] == b"i" else None


def _bridged(script: Script) -> Iterator[tuple[Said, bytes]]:
    for line in script.lines.values():
        if line.dialect is Dialect.HARDWARE:
            for said in line.frames:
                if token := _tied(said, said.body):
                    yield said, token


def _calls(script: Script) -> Iterator[Call]:
    return (step.call for step in script.steps if step.call is not None)


def tokens(script: Script) -> list[bytes]:
    """The different tokens that devices log in with, in order."""
    return list(dict.fromkeys(said.body for said in _device_logins(script) if said.body))


def all_tokens(script: Script) -> list[bytes]:
    """Those, and the tokens of bridges and of calls of the HTTP API."""
    found = [*tokens(script), *(token for _, token in _bridged(script))]
    found += [token.encode() for call in _calls(script) for token in call_tokens(call)]
    return list(dict.fromkeys(found))


def _one_for_all(script: Script) -> list[bytes]:
    """The tokens that one takes the place of: others beside those of the logins may be wrong on purpose."""
    every = all_tokens(script)
    own = tokens(script)
    return [*own, *(token for token in every if _looks_masked(token))] if own else every


def takes_token(script: Script) -> bool:
    """Is there any place for another token?"""
    return bool(all_tokens(script)) or bool(_device_logins(script))


def masked(script: Script, played: Script | None = None) -> list[Said | Call]:
    """Logins, bridges and calls whose secret is not in the recording any more: masked by a person, a log or `redact`.

    Args:
        script: As it was recorded.
        played: As it is played: what was replaced by something else there is not lost.
    """
    now: dict[int, Said] = {}
    urls: dict[int, str] = {}
    if played is not None:
        now = {said.n: said for line in played.lines.values() for said in line.frames}
        urls = {call.n: call.target for call in _calls(played)}
    lost: list[Said | Call] = []
    for said in logins(script):
        line = script.lines[said.line]
        body = now[said.n].body if said.n in now else said.body
        if _is_device(script, said):
            token = said.body
            if said.cmd not in commands.LOGINS or (played is not None and body != token):
                continue
            shown = said.word < 0 or said.word == len(token)
            if not shown or (line.log and not token) or (len(token) >= 3 and _looks_masked(token)):
                lost.append(said)
            continue
        kept = body.split(b"\0") if played is not None else said.body.split(b"\0")
        if any(part and _looks_masked(part) and part in kept for part in said.body.split(b"\0")[:2]):
            lost.append(said)
    for said, token in _bridged(script):
        body = now[said.n].body if said.n in now else said.body
        if len(token) >= 3 and _looks_masked(token) and (played is None or body == said.body):
            lost.append(said)
    for call in _calls(script):
        stays = played is None or urls.get(call.n) == call.target
        if stays and any(_looks_masked(token.encode()) for token in call_tokens(call) if len(token) >= 3):
            lost.append(call)
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
            parts[1] = password_hash(account[1], account[0]).encode()
    elif said.cmd in {commands.GET_SERVER, commands.SHARE_LOGIN} and parts[0] in mails:
        parts[0] = mails[parts[0]]
    return b"\0".join(parts)
