"""Which keys open a TLS connection: what the hellos agreed on, looked up in the key log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import Suite, suite_name, suite_of
from blynkscope.wire import keylog
from blynkscope.wire.hellos import ClientHello, ServerHello
from blynkscope.wire.keylog import KeyLog
from blynkscope.wire.tls_keys import connection_keys, master_secret, next_secret, traffic_keys

if TYPE_CHECKING:
    from blynkscope.wire.tls_records import Opener

HANDSHAKE, APPLICATION, EARLY = "handshake", "application", "early"
"""Phases of TLS 1.3, each with its own secret; before it, all is "application"."""
_SECRETS = {
    (HANDSHAKE, True): "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    (HANDSHAKE, False): "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    (APPLICATION, True): "CLIENT_TRAFFIC_SECRET_0",
    (APPLICATION, False): "SERVER_TRAFFIC_SECRET_0",
    (EARLY, True): "CLIENT_EARLY_TRAFFIC_SECRET",
}


class Lack(msgspec.Struct, frozen=True):
    """Why a direction cannot be opened: the detail of a `tls-keys` fact. `final` where later keys change nothing."""

    detail: dict[str, Any]
    final: bool = False


class Found(msgspec.Struct, frozen=True):
    """What opens records, and the label of the line that it comes from. `secret` is that of TLS 1.3."""

    opener: Opener
    source: str
    secret: bytes = b""


def _suite(server: ServerHello) -> Suite | Lack:
    """The chosen suite, or why it cannot be opened."""
    suite = suite_of(server.cipher)
    version = server.version
    if not tls.TLS_1_0 <= version <= tls.TLS_1_3:
        why = f"version {tls.version_name(version)}"
    elif server.compression:
        why = "compression"
    elif tls.EXT_TRUNCATED_HMAC in server.extensions:
        why = "truncated MAC"
    elif suite is None or suite.is_new != server.is_new:
        why = f"cipher suite {suite_name(server.cipher)}"
    else:
        return suite
    return Lack({"state": "unsupported", "why": why}, final=True)


def no_keys(keys: KeyLog | None) -> Lack:
    """There is no key at all."""
    detail: dict[str, Any] = {"state": "none"}
    if keys is not None and keys.given:
        detail["given"] = True
    return Lack(detail, final=keys is None)


def _unmatched(keys: KeyLog, client: ClientHello, server: ServerHello, missing: list[str]) -> Lack:
    if not keys.lines:
        return no_keys(keys)
    if keys.knows(client.random):
        return Lack({"state": "partial", "missing": missing})
    server_random = keys.knows(server.random)
    return Lack({"state": "unmatched", "lines": keys.lines, "server_random": server_random})


def new_opener(keys: KeyLog, client: ClientHello, server: ServerHello, phase: str, *, of_client: bool) -> Found | Lack:
    """What opens a phase of one direction of TLS 1.3."""
    suite = _suite(server)
    if isinstance(suite, Lack):
        return suite
    label = _SECRETS[phase, of_client]
    secret = keys.secret(label, client.random)
    if secret is None:
        wanted = [_SECRETS[HANDSHAKE, of_client], _SECRETS[APPLICATION, of_client]]
        missing = [name for name in wanted if keys.secret(name, client.random) is None]
        return _unmatched(keys, client, server, missing)
    return _new(suite, secret, label)


def later_opener(server: ServerHello, secret: bytes) -> Found | Lack:
    """What opens a direction of TLS 1.3 behind a KeyUpdate."""
    suite = _suite(server)
    return suite if isinstance(suite, Lack) else _new(suite, next_secret(suite, secret), "")


def _new(suite: Suite, secret: bytes, label: str) -> Found | Lack:
    from blynkscope.wire.tls_records import UnsupportedError, opener_of

    try:
        return Found(opener_of(suite, tls.TLS_1_3, traffic_keys(suite, secret)), label, secret)
    except UnsupportedError as error:
        return Lack({"state": "unsupported", "why": str(error)}, final=True)


def old_openers(
    keys: KeyLog, client: ClientHello, server: ServerHello, transcript: bytes, exchange: bytes
) -> tuple[Found, Found] | Lack:
    """What opens both directions of TLS 1.0 to 1.2.

    Args:
        keys: The key log.
        client: The ClientHello.
        server: The ServerHello.
        transcript: The handshake messages from the ClientHello up to ClientKeyExchange; may be empty where the key log
            holds no premaster secrets.
        exchange: The body of ClientKeyExchange, or b"".
    """
    from blynkscope.wire.tls_records import UnsupportedError, opener_of

    suite = _suite(server)
    if isinstance(suite, Lack):
        return suite
    found = _master(keys, suite, client, server, transcript, exchange)
    if found is None:
        return _unmatched(keys, client, server, [keylog.CLIENT_RANDOM])
    master, source = found
    if server.session and exchange:
        keys.remember(server.session, master)
    outside = tls.EXT_ENCRYPT_THEN_MAC in server.extensions
    one, other = connection_keys(suite, server, client.random, master)
    try:
        return (
            Found(opener_of(suite, server.version, one, outside=outside), source),
            Found(opener_of(suite, server.version, other, outside=outside), source),
        )
    except UnsupportedError as error:
        return Lack({"state": "unsupported", "why": str(error)}, final=True)


def _master(
    keys: KeyLog, suite: Suite, client: ClientHello, server: ServerHello, transcript: bytes, exchange: bytes
) -> tuple[bytes, str] | None:
    """The master secret, and the label of the line that it comes from."""
    found = keys.secret(keylog.CLIENT_RANDOM, client.random)
    if found is not None:
        return found, keylog.CLIENT_RANDOM
    premaster, source = keys.secret(keylog.PREMASTER, client.random), keylog.PREMASTER
    if premaster is None and suite.exchange == "RSA" and len(exchange) > 10:
        # The encrypted premaster secret stands behind its length.
        premaster, source = keys.secret(keylog.RSA, exchange[2:10]), keylog.RSA
    if premaster is not None and exchange:
        extended = tls.EXT_EXTENDED_MASTER_SECRET in server.extensions
        randoms = client.random + server.random
        return master_secret(server.version, suite, premaster, randoms, transcript if extended else None), source
    # A session that is only offered says nothing: where the server takes it up, it repeats its number.
    found = keys.secret(keylog.SESSION, server.session) if server.session else None
    return None if found is None else (found, keylog.SESSION)
