"""TLS handshakes in memory with certificates of the CA, and clocks that are set by hand."""

import ssl
import warnings
from datetime import timedelta

from blynkscope.ca import making

VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now

    def goes(self, **how):
        self.now += timedelta(**how)


def keys_of_a_pool(monkeypatch):
    """RSA keys cost 100 ms each: tests that make many CAs take them from three that are made once."""
    if not _POOL:
        _POOL.extend(making.rsa_key() for _ in range(3))
    turn = iter(range(10**6))
    monkeypatch.setattr(making, "rsa_key", lambda: _POOL[next(turn) % len(_POOL)])


_POOL = []


def server_context(folder, *leaves):
    """A server with one or both kinds of leaf."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for number, (chain, key) in enumerate(leaves):
        path = folder / f"leaf{number}.pem"
        path.write_bytes(key + chain)
        context.load_cert_chain(path)
    return context


def client_context(root, ciphers=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=root)
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def only(context, version):
    """Speak this version and no other, even where the system has given it up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if version in {"TLSv1", "TLSv1.1"}:
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = VERSIONS[version]
        context.maximum_version = VERSIONS[version]


def handshake(client, server, name):
    """The client's end after a whole handshake.

    Raises ssl.SSLError as either end does.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    for _ in range(20):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            return ends[0]
    raise AssertionError("the handshake does not end")
