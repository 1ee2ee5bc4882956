"""A small world for the proxy: peers on loopback, certificates, and a tap that keeps all it is told.

Everything ends in bounded time. `counted` checks that nothing is left behind: files, tasks, threads of the proxy.
"""

import asyncio
import contextlib
import datetime
import gc
import ipaddress
import os
import ssl
import tempfile
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from blynkscope.proxy import Deadlines, Proxy, Settings, Upstream

PATIENCE = 20.0
DAY = datetime.timedelta(days=1)


class Maker:
    """A CA of the tests' own; makes leaves as `ca.Authority` does."""

    def __init__(self, name="test CA"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )  # fmt: skip
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        self.asked = []
        self._keys = {}

    def leaf(self, names, *, rsa=True, days=10):
        self.asked.append((tuple(names), rsa))
        key = self._keys.setdefault(rsa, _rsa_key() if rsa else ec.generate_private_key(ec.SECP256R1()))
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - 20 * DAY)
            .not_valid_after(now + days * DAY)
            .add_extension(x509.SubjectAlternativeName([_san(name) for name in names]), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )  # fmt: skip
        pem = serialization.Encoding.PEM
        return certificate.public_bytes(pem) + self.pem, key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@cache
def _rsa_key():
    return rsa.generate_private_key(65537, 2048)


def _san(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@cache
def maker():
    return Maker()


@cache
def folder():
    """Files of this run: CA and certificates."""
    kept = tempfile.TemporaryDirectory(prefix="blynkscope-tests-")
    folder.kept = kept
    path = Path(kept.name)
    (path / "ca.pem").write_bytes(maker().pem)
    return path


def ca_file():
    return folder() / "ca.pem"


@cache
def pair(*names, days=10, rsa=True):
    """Files of a certificate chain and its key."""
    chain, key = maker().leaf(names, rsa=rsa, days=days)
    stem = f"{'-'.join(names)}-{days}-{rsa}".replace(":", "_").replace("*", "_")
    one, other = folder() / f"{stem}.crt", folder() / f"{stem}.key"
    one.write_bytes(chain)
    other.write_bytes(key)
    return one, other


VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_tls(*names, version=None, days=10, alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair(*(names or ("localhost", "127.0.0.1")), days=days))
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def client_tls(version=None, trust=True, alpn=None):
    context = ssl.create_default_context(cafile=ca_file()) if trust else ssl.create_default_context()
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


class Seen:
    """A tap that keeps everything."""

    def __init__(self, wants_sent=True):
        self.wants_sent = wants_sent
        self.all = []
        self.bytes = {}
        self.sent_bytes = {}
        self.changed = asyncio.Event()

    def _add(self, *what):
        self.all.append(what)
        self.changed.set()

    def opened(self, connection, time, client, server, secure):
        self._add("opened", connection, client, server, secure)

    def data(self, connection, direction, time, data):
        self.bytes.setdefault((connection, direction), bytearray()).extend(data)
        self._add("data", connection, direction, len(data))

    def sent(self, connection, direction, time, data):
        self.sent_bytes.setdefault((connection, direction), bytearray()).extend(data)

    def closed(self, connection, time, how, by):
        self._add("closed", connection, how, by)

    def told(self, connection, direction, time, kind, detail):
        self._add("told", connection, direction, kind, detail)

    def kinds(self):
        return [one[3] for one in self.all if one[0] == "told"]

    def fact(self, kind):
        """The detail of the first fact of a kind."""
        return next(one[4] for one in self.all if one[0] == "told" and one[3] == kind)

    def ends(self):
        return [one[2:] for one in self.all if one[0] == "closed"]

    async def until(self, check):
        """Wait until a check of this tap holds."""
        async with asyncio.timeout(PATIENCE):
            while not check(self):
                self.changed.clear()
                await self.changed.wait()
        return self


def until_closed(count=1):
    return lambda seen: len(seen.ends()) >= count


@contextlib.asynccontextmanager
async def listening(handler, context=None, host="127.0.0.1", port=0):
    """A peer; gives its port. The handler gets reader and writer."""
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await handler(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(asyncio.current_task())
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, host, port, ssl=context, limit=1 << 20, backlog=1024)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # Streams of Python 3.11 report a handler that is cancelled: it is given time to see its end.
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=1.0)
            for task in late:
                task.cancel()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def proxying(port, *, tls=False, host="127.0.0.1", seen=None, authority=None, gate=None, **settings):
    """A proxy in front of a port; gives its own port, the tap and the proxy."""
    seen = seen or Seen()
    upstream = settings.pop("upstream", None) or Upstream(host, port, tls)
    settings.setdefault("upstream_ca", ca_file())
    proxy = Proxy(Settings(upstream=upstream, **settings), authority or maker(), seen, gate)
    _, own = await proxy.start()
    try:
        yield own, seen, proxy
    finally:
        await proxy.close(0.5)


def quick(**changes):
    """Deadlines that tests can wait for."""
    return Deadlines(**{"linger": 0.2, "partial": 0.05} | changes)


def files():
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def world(work, *arguments, **named):
    """Run a coroutine function; nothing may be left behind by it."""

    async def counted():
        maker().leaf(["localhost"])
        loop = asyncio.get_running_loop()
        await loop.getaddrinfo("127.0.0.1", 1)
        before = files()
        troubles = []
        loop.set_exception_handler(lambda _, context: troubles.append(context))
        async with asyncio.timeout(PATIENCE * 3):
            result = await work(*arguments, **named)
        # Sockets that were closed leave with the next turns of the loop.
        for _ in range(50):
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            if not rest and files() <= before:
                break
            await asyncio.sleep(0.01)
        assert not rest, rest
        assert files() <= before
        assert not troubles, troubles
        return result

    return asyncio.run(counted())
