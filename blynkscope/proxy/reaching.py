"""How the upstream is reached: its addresses, which of them may be used, and the first that answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from blynkscope.protocol import limits
from blynkscope.proxy.failures import upstream_failure
from blynkscope.wire.addresses import is_public, plain

Found = tuple[int, tuple[Any, ...]]
"""Address family and socket address."""


class UnreachedError(Exception):
    """The upstream cannot be reached; `detail` is that of `upstream_failure`."""

    def __init__(self, detail: dict[str, Any]) -> None:
        super().__init__(detail["text"])
        self.detail = detail


def address_text(address: tuple[str, int] | None) -> str:
    """`192.0.2.1:8080`, `[2001:db8::1]:8080`; empty for None."""
    if address is None:
        return ""
    host = address[0].partition("%")[0]
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


def is_own(address: str) -> bool:
    """Is it an address of this computer? A socket can be bound to no other."""
    parsed = plain(address)
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((str(parsed), 0))
        return True
    return False


async def resolve(host: str, port: int) -> list[Found]:
    """Addresses of a name, the families by turns as RFC 8305 wants.

    Raises:
        UnreachedError: It has none.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        failure = error if isinstance(error, OSError) else socket.gaierror(0, "no host name")
        raise UnreachedError(upstream_failure(failure, "dns")) from None
    lists: dict[int, list[Found]] = {}
    for family, _, _, _, address in found:
        lists.setdefault(family, []).append((family, address))
    turns: list[Found] = []
    while any(lists.values()):
        turns += [waiting.pop(0) for waiting in lists.values() if waiting]
    return list(dict.fromkeys(turns))[: limits.PROXY_ADDRESSES_MAX]


def permitted(found: Sequence[Found], own: Sequence[tuple[Any, ...]], *, public: bool) -> list[Found]:
    """The addresses that may be used.

    Args:
        found: All of them.
        own: Where this proxy listens: to lead there would be a loop.
        public: Only addresses of the public internet.

    Raises:
        UnreachedError: None of them may be.
    """
    left, reason, text = [], "", ""
    for family, address in found:
        if public and not is_public(address[0]):
            reason, text = "private", "the name leads to an address that is not public; --allow-private permits it"
        elif _is_listening(address, own):
            reason, text = "loop", "the upstream is this proxy itself: name the server"
        else:
            left.append((family, address))
    if not left:
        raise UnreachedError({"stage": "refused", "reason": reason, "text": text})
    return left


def _is_listening(address: tuple[Any, ...], own: Sequence[tuple[Any, ...]]) -> bool:
    target = plain(address[0])
    for listening in own:
        if listening[1] != address[1]:
            continue
        bound = plain(listening[0])
        if bound == target or ((bound.is_unspecified or target.is_unspecified) and is_own(address[0])):
            return True
    return False


async def dial(found: Sequence[Found]) -> socket.socket:
    """The first of these addresses that answers; each gets a head start before the next (RFC 8305).

    Raises:
        UnreachedError: None answers.
    """
    attempts: set[asyncio.Task[socket.socket]] = set()
    waiting, errors = list(found), []
    won: socket.socket | None = None
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.ensure_future(_attempt(*waiting.pop(0))))
            patience = limits.PROXY_ATTEMPT_SECONDS if waiting else None
            done, attempts = await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                error = attempt.exception()
                if error is not None:
                    errors.append(error)
                elif won is None:
                    won = attempt.result()
                else:
                    attempt.result().close()
            if won is not None:
                return won
    finally:
        for attempt in attempts:
            attempt.cancel()
        for rest in await asyncio.gather(*attempts, return_exceptions=True):
            if isinstance(rest, socket.socket):
                rest.close()
    raise UnreachedError(upstream_failure(errors[0] if errors else "no address", "connect"))


async def _attempt(family: int, address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
