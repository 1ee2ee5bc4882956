"""The TLS settings of both legs: certificates, versions, ciphers, trust, key log."""

from __future__ import annotations

import os
import ssl
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

import msgspec

from blynkscope.ca.serving import load_leaf, server_settings
from blynkscope.errors import EnvironmentProblem
from blynkscope.protocol import limits, tls
from blynkscope.proxy.settings import Authority, ProxyUsageError, Settings, is_host
from blynkscope.wire.hellos import ClientHello

_LEGACY = "ALL:!aNULL:!eNULL:+aECDSA:@SECLEVEL=0"
"""With `legacy_tls`: all that OpenSSL can do with a certificate."""
_ALPN_MAX = 16
"""Protocols of a device that are passed on; real ones ask for one or two."""


def server_name(hello: ClientHello | None) -> str | None:
    """The host name that the client asks for; None where it asks for none, or for what is no host name."""
    if hello is None or not hello.sni:
        return None
    name = hello.sni.decode("latin-1").lower().rstrip(".")
    return name if is_host(name) else None


def offered_protocols(hello: ClientHello | None) -> tuple[str, ...]:
    """The ALPN protocols of the client that can be passed on, in its order."""
    if hello is None:
        return ()
    names = [raw.decode("ascii", "replace") for raw in hello.alpn[:_ALPN_MAX] if 0 < len(raw) < 256]
    return tuple(name for name in names if name.isprintable() and "\ufffd" not in name)


Kept = TypeVar("Kept")


class _Recent(Generic[Kept]):
    """What was asked for last. Safe in threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[object, Kept] = OrderedDict()
        self._lock = Lock()

    def get(self, key: object) -> Kept | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: object, made: Kept) -> None:
        with self._lock:
            self._kept[key] = made
            self._kept.move_to_end(key)
            while len(self._kept) > limits.PROXY_CONTEXTS_MAX:
                self._kept.popitem(last=False)

    def all(self) -> list[Kept]:
        with self._lock:
            return list(self._kept.values())


class _Served(msgspec.Struct, frozen=True):
    """Whom a context of the device leg serves."""

    names: tuple[str, ...]
    alpn: str | None


class Contexts:
    """Makes the settings of each leg, and keeps those in use.

    Each connection gets its context before its handshake begins, so that connections share no state but this one.

    Raises:
        ProxyUsageError: A file of certificates or keys cannot be used.
        EnvironmentProblem: The key log cannot be written.
    """

    def __init__(self, settings: Settings, authority: Authority | None) -> None:
        self._settings = settings
        self._authority = authority
        # With the chains in each: leaves are made anew from time to time, and then so are the contexts.
        self._servers: _Recent[tuple[ssl.SSLContext, list[bytes]]] = _Recent()
        self._clients: _Recent[ssl.SSLContext] = _Recent()
        if settings.keylog is not None:
            _begin_keylog(settings.keylog)
        if settings.certificate is not None:
            self._load_own(self._server(None))
        if settings.upstream.tls:
            self.client(())

    @property
    def serves_tls(self) -> bool:
        """Is there any certificate for the device leg?"""
        return self._settings.certificate is not None or self._authority is not None

    def kept(self, hello: ClientHello | None, address: str, alpn: str | None) -> ssl.SSLContext | None:
        """What `server` would give, where it is there already and its certificates are still those to be served.

        Raises:
            ssl.SSLError, ValueError, OSError, BlynkscopeError: As `server`.
        """
        served = self._whom(hello, address, alpn)
        found = self._servers.get(served)
        if found is None:
            return None
        context, chains = found
        # For names that were served before, the authority has these at hand.
        return context if not chains or chains == [chain for chain, _ in self._leaves(served)] else None

    def server(self, hello: ClientHello | None, address: str, alpn: str | None) -> ssl.SSLContext:
        """Settings for the device leg. May take a while: certificates are made. Safe in threads.

        They hold a certificate with an RSA key and one with an EC key, of which OpenSSL takes what the device can do
        with. Its names are the one that the device asks for, the upstream's, and the address where the device reached
        this program: a device that asks for none checks that of the server, or the address.

        Args:
            hello: The device's.
            address: Where the device reached this program.
            alpn: What the upstream chose.

        Raises:
            ssl.SSLError, ValueError, OSError, BlynkscopeError: It cannot be made.
        """
        found = self.kept(hello, address, alpn)
        if found is not None:
            return found
        served = self._whom(hello, address, alpn)
        context, chains = self._server(alpn), []
        if self._settings.certificate is not None:
            self._load_own(context)
        else:
            for chain, key in self._leaves(served):
                load_leaf(context, chain, key)
                chains.append(chain)
        self._servers.put(served, (context, chains))
        return context

    def _whom(self, hello: ClientHello | None, address: str, alpn: str | None) -> _Served:
        if self._settings.certificate is not None:
            return _Served((), alpn)
        names = (server_name(hello), self._settings.upstream.host, address)
        return _Served(tuple(dict.fromkeys(name for name in names if name)), alpn)

    def _leaves(self, served: _Served) -> list[tuple[bytes, bytes]]:
        assert self._authority is not None
        return [self._authority.leaf(served.names, rsa=rsa) for rsa in (True, False)]

    def rotate_keylog(self) -> None:
        """Open the key log anew, under the same name. Connections that stand have logged their keys already.

        Raises:
            EnvironmentProblem: It cannot be written.
        """
        keylog = self._settings.keylog
        if keylog is None:
            return
        _begin_keylog(keylog)
        for context in (*(context for context, _ in self._servers.all()), *self._clients.all()):
            context.keylog_filename = str(keylog)

    def client(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        """Settings for the upstream leg, with the protocols that the device offers."""
        found = self._clients.get(alpn)
        if found is not None:
            return found
        settings = self._settings
        try:
            context = ssl.create_default_context(cafile=settings.upstream_ca)
        except (ssl.SSLError, OSError) as error:
            raise ProxyUsageError(f"{settings.upstream_ca} holds no CA certificates in PEM: {error}") from None
        if not settings.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.set_ciphers(_LEGACY)
        # The environment variable SSLKEYLOGFILE is obeyed by the library itself; who asks for a file means that one.
        if settings.keylog is not None:
            context.keylog_filename = str(settings.keylog)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        self._clients.put(alpn, context)
        return context

    def _server(self, alpn: str | None) -> ssl.SSLContext:
        settings = self._settings
        context = server_settings()
        if settings.legacy_tls:
            # The lowest is SSL 3.0, which stays off by an option of its own.
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.set_ciphers(_LEGACY)
        if settings.keylog is not None:
            context.keylog_filename = str(settings.keylog)
        if alpn is not None:
            context.set_alpn_protocols([alpn])
        return context

    def _load_own(self, context: ssl.SSLContext) -> None:
        assert self._settings.certificate is not None
        chain, key = self._settings.certificate
        try:
            context.load_cert_chain(chain, key, _no_password)
        except (ssl.SSLError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
            raise ProxyUsageError(
                f"{chain} and {key} cannot be used as certificate and key: {why}. Both must be PEM, the key without a "
                "password, and belong together."
            ) from None


def _no_password() -> str:
    raise ValueError("the key has a password")


def _begin_keylog(path: Path) -> None:
    """Create the key log for this user alone; OpenSSL appends to what is there."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
    except OSError as error:
        raise EnvironmentProblem(f"the key log {path} cannot be written: {error.strerror}") from None


def missing(hello: ClientHello | None, *, legacy: bool) -> str | None:
    """What keeps a client from agreeing with the device leg, where its ClientHello shows it: a version or a cipher."""
    if hello is None:
        return None
    newest = max([version for version in hello.versions if version >> 8 == 3] or [hello.version])
    if newest < (tls.TLS_1_0 if legacy else tls.TLS_1_2):
        least = "TLS 1.0" if legacy else "TLS 1.2"
        return f"it offers {tls.version_name(newest)} at most, and the proxy takes {least} or later"
    return None
