"""What the reference server says at its start: where it listens, with what to log in, what to change in a sketch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from blynkscope.render.connecting import WIDTH, Start, changes, joined, reach, trust, wrapped


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say.

    Attributes:
        like: The era that it behaves like.
        plain, tls: Where it listens, as address and port; None where it does not.
        addresses: Addresses of this machine, the best one first, where it listens on all of them.
        allowed: Networks that clients may come from; empty for all.
        token: The token that was made for this run, if one was.
        tokens: How many are known.
        odd_tokens: How many of them have not 32 characters.
        any_token: Every token is taken.
        account: E-mail and password that were made for this run; None where they were given.
        admin: User and password of the administration, likewise.
        fingerprint: Of the CA, SHA-256; None where the certificate is one's own, or there is no TLS.
        until: When the CA ends.
        created: The CA was made just now.
        legacy: TLS 1.0 and weak ciphers are taken.
        redirect: Where logins are sent.
    """

    like: str
    plain: tuple[str, int]
    tls: tuple[str, int] | None = None
    addresses: Sequence[str] = ()
    allowed: Sequence[str] = ()
    token: str | None = None
    tokens: int = 0
    odd_tokens: int = 0
    any_token: bool = False
    account: tuple[str, str] | None = None
    admin: tuple[str, str] | None = None
    fingerprint: str | None = None
    until: datetime | None = None
    created: bool = False
    legacy: bool = False
    redirect: tuple[str, int] | None = None


def lines(serving: Serving, *, short: bool = False, width: int = WIDTH) -> list[str]:
    """All of it, line by line; without what to change where it is to be short. Whoever prints it makes it safe."""
    start = Start(
        host=serving.plain[0], port=serving.plain[1], upstream="", addresses=serving.addresses,
        allowed=serving.allowed, fingerprint=serving.fingerprint, until=serving.until, created=serving.created,
        legacy=serving.legacy,
    )  # fmt: skip
    said = [*_where(serving), *reach(start), *_logins(serving), *trust(start, "the server")]
    head = [line for text in said for line in wrapped(text, width)]
    if short:
        return head
    secure = None if serving.tls is None else serving.tls[1]
    return [*head, *changes(start, width, secure=secure)]


def _where(serving: Serving) -> list[str]:
    secure = "" if serving.tls is None else f", TLS at {joined(*serving.tls)} (also apps)"
    kind = {"legacy": "the legacy server", "iot": "Blynk IoT"}[serving.like]
    said = [f"serve, like {kind}: plain at {joined(*serving.plain)}{secure}; HTTP and WebSocket at both"]
    if serving.tls is None:
        said = [f"serve, like {kind}: plain at {joined(*serving.plain)}, with HTTP and WebSocket"]
    if serving.redirect is not None:
        said.append(f"devices that log in are sent to {joined(*serving.redirect)}")
    return said


def _logins(serving: Serving) -> list[str]:
    said = []
    if serving.token is not None:
        said.append(f"token, made for this run (--token for your own): {serving.token}")
    elif serving.any_token:
        said.append("every token is taken")
    if serving.odd_tokens and serving.like == "legacy" and serving.tls is not None:
        said.append(
            "warning: a token that has not 32 characters is taken at the plain port alone: inside TLS the legacy "
            "server takes who has one for an app"
        )
    if serving.tls is None:
        said.append("without a TLS port apps cannot log in")
    elif serving.account is not None:
        said.append(f"account for apps, made for this run: {serving.account[0]} {serving.account[1]}")
    if serving.admin is not None:
        said.append(f"admin for firmware orders, made for this run: {serving.admin[0]} {serving.admin[1]}")
    return said
