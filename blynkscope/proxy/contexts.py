"""The TLS settings of both legs: certificates, versions, ciphers, trust, key log."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from blynkscope.errors import EnvironmentProblem
from blynkscope.protocol import limits, tls
from blynkscope.protocol.tls_suites import suite_name
from blynkscope.proxy.settings import Authority, ProxyUsageError, Settings, is_host
from blynkscope.wire.hellos import ClientHello

_CIPHERS = "DEFAULT:@SECLEVEL=1"
"""Of the device leg: all that is not broken, as devices are given what they can."""
_LEGACY = "ALL:!aNULL:!eNULL:@SECLEVEL=0"
"""With `legacy_tls`: all that OpenSSL can do with a certificate."""
_RSA_SIGNATURES = range(0x0804, 0x080C)
"""Numbers of RSA-PSS in signature algorithms; the older ones of RSA end in 0x01 (RFC 8446, 4.2.3)."""
_ALPN_MAX = 16
"""Protocols of a device that are passed on; real ones ask for one or two."""


def takes_rsa(hello: ClientHello | None) -> bool:
    """Can the client do with an RSA certificate? Old stacks can do with nothing else, so it is the first choice."""
    if hello is None:
        return True
    if hello.signatures and not any(number & 0xFF == 1 or number in _RSA_SIGNATURES for number in hello.signatures):
        return False
    names = [suite_name(number) for number in hello.ciphers]
    suites = [name for name in names if name.startswith("TLS_") and not name.endswith("_SCSV")]
    return not suites or any("ECDSA" not in name for name in suites)


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


class _Recent:
    """The contexts that were asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[object, ssl.SSLContext] = OrderedDict()

    def get(self, key: object) -> ssl.SSLContext | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: object, context: ssl.SSLContext) -> None:
        self._kept[key] = context
        while len(self._kept) > limits.PROXY_CONTEXTS_MAX:
            self._kept.popitem(last=False)


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
        self._servers, self._clients = _Recent(), _Recent()
        self._lock = Lock()
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
        """What `server` would give, where it is there already."""
        return self._servers.get(self._key(hello, address, alpn))

    def _key(self, hello: ClientHello | None, address: str, alpn: str | None) -> tuple[str | None, bool, str | None]:
        if self._settings.certificate is not None:
            return None, True, alpn
        return server_name(hello) or address, takes_rsa(hello), alpn

    def server(self, hello: ClientHello | None, address: str, alpn: str | None) -> ssl.SSLContext:
        """Settings for the device leg. May take a while: keys are made. Safe in threads.

        Args:
            hello: The device's.
            address: Where the device reached this program, for a device that names no server.
            alpn: What the upstream chose.

        Raises:
            ssl.SSLError, ValueError, OSError, BlynkscopeError: It cannot be made.
        """
        name, rsa, _ = key = self._key(hello, address, alpn)
        with self._lock:
            found = self._servers.get(key)
            if found is not None:
                return found
            context = self._server(alpn)
            if name is None:
                self._load_own(context)
            else:
                assert self._authority is not None
                _load(context, *self._authority.leaf([name], rsa=rsa))
            self._servers.put(key, context)
            return context

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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_NO_RENEGOTIATION
        if settings.legacy_tls:
            # The lowest is SSL 3.0, which stays off by an option of its own.
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        else:
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_LEGACY if settings.legacy_tls else _CIPHERS)
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


def _load(context: ssl.SSLContext, chain: bytes, key: bytes) -> None:
    """The ssl module reads files alone: a folder that only this user can look into holds them for a moment."""
    with tempfile.TemporaryDirectory(prefix="blynkscope-") as folder:
        path = Path(folder, "leaf.pem")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(key + b"\n" + chain)
        context.load_cert_chain(path)


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
