"""What doctor looks at of TLS: the library, what the proxy can do with old firmware, and the CA."""

from __future__ import annotations

import contextlib
import os
import ssl
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from blynkscope.render.checkup import Check, State

_GROUP = "TLS"
VERSIONS = {
    "TLS 1.0": ssl.TLSVersion.TLSv1, "TLS 1.1": ssl.TLSVersion.TLSv1_1, "TLS 1.2": ssl.TLSVersion.TLSv1_2,
    "TLS 1.3": ssl.TLSVersion.TLSv1_3,
}  # fmt: skip
WEAK = (
    "ECDHE-RSA-AES128-SHA", "AES128-SHA", "AES256-SHA", "DHE-RSA-AES128-SHA", "CAMELLIA128-SHA", "DES-CBC3-SHA",
    "RC4-SHA", "RC4-MD5", "DES-CBC-SHA", "EXP-RC4-MD5", "NULL-SHA",
)  # fmt: skip
"""Suites that old stacks ask for and servers have given up, best first: axTLS and the first mbedTLS have AES with RSA
alone, older ones 3DES, RC4 or export ciphers. Names are OpenSSL's."""
_ROUNDS = 10
"""Turns of a handshake; none takes more than three."""
_SOON = timedelta(days=30)


class Tried(NamedTuple):
    """What handshakes showed: the version or suite, and whether it was agreed on."""

    versions: dict[str, bool]
    legacy_versions: dict[str, bool]
    suites: dict[str, bool]


@contextlib.contextmanager
def _files() -> Iterator[tuple[Path, Path]]:
    """A certificate and its key, for as long as they are needed, as files that are on no disk where that can be."""
    from blynkscope.ca import making
    from blynkscope.ca.constraints import Constraints

    key = making.rsa_key()
    now = datetime.now(UTC)
    root = making.make_root(key, now, Constraints())
    leaf = making.make_leaf(("localhost",), key, root, key, now, Constraints())
    from cryptography.hazmat.primitives.serialization import Encoding

    chain, secret = leaf.public_bytes(Encoding.PEM), making.key_pem(key)
    if sys.platform == "linux" and os.path.isdir("/proc/self/fd"):
        handles = [os.memfd_create(name) for name in ("chain", "key")]
        try:
            for handle, data in zip(handles, (chain, secret), strict=True):
                os.write(handle, data)
            yield Path(f"/proc/self/fd/{handles[0]}"), Path(f"/proc/self/fd/{handles[1]}")
        finally:
            for handle in handles:
                os.close(handle)
        return
    with tempfile.TemporaryDirectory(prefix="blynkscope-") as folder:
        paths = Path(folder, "chain.pem"), Path(folder, "key.pem")
        for path, data in zip(paths, (chain, secret), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(data)
        yield paths


@cache
def tried() -> Tried:
    """Make the handshakes, in memory, between a client as old firmware is and the proxy's own settings."""
    from blynkscope.proxy.contexts import Contexts
    from blynkscope.proxy.settings import Settings, Upstream

    def server(legacy: bool) -> ssl.SSLContext:
        upstream = Upstream.parse("tcp://localhost:8080")
        settings = Settings(upstream=upstream, certificate=files, legacy_tls=legacy)
        return Contexts(settings, None).server(None, "127.0.0.1", None)

    with _files() as files, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that the old versions are old is the point
        usual, old = server(False), server(True)
        return Tried(
            {name: agree(usual, version) for name, version in VERSIONS.items()},
            {name: agree(old, version) for name, version in VERSIONS.items()},
            {suite: agree(old, ssl.TLSVersion.TLSv1_2, suite) for suite in WEAK},
        )


def agree(server: ssl.SSLContext, newest: ssl.TLSVersion, suite: str = "ALL") -> bool:
    """Does a client of this version, with these suites, get through a handshake with the server?"""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    try:
        client.set_ciphers(f"{suite}:@SECLEVEL=0")
        client.minimum_version = client.maximum_version = newest
    except (ssl.SSLError, ValueError):
        return False  # the library was built without
    from blynkscope.proxy.secure import TlsLeg

    try:
        ours, theirs = TlsLeg(client, server=False), TlsLeg(server, server=True)
        for _ in range(_ROUNDS):
            theirs.put(ours.handshake())
            ours.put(theirs.handshake())
            if ours.ready and theirs.ready:
                return True
    except ssl.SSLError:
        return False
    return False


def library() -> Check:
    """The TLS library, and whether the versions of today are possible."""
    possible = tried().versions
    today = [name for name in ("TLS 1.2", "TLS 1.3") if possible[name]]
    state = State.OK if len(today) == 2 else State.WARN if today else State.MISSING
    return Check(
        id="tls", group=_GROUP, title="TLS library", state=state, essential=True,
        found=f"{ssl.OPENSSL_VERSION}: {', '.join(today) or 'no version of today'}",
        enables="proxy, serve and probe over TLS",
        mend=() if state is State.OK else (
            "this Python's TLS library, or its openssl.cnf, leaves versions out: install another Python",
        ),
        facts={"library": ssl.OPENSSL_VERSION, "versions": possible},
    )  # fmt: skip


def legacy() -> Check:
    """What `proxy --legacy-tls` can do for old firmware."""
    seen = tried()
    versions = [name for name in ("TLS 1.0", "TLS 1.1") if seen.legacy_versions[name]]
    suites = {able: [name for name, found in seen.suites.items() if found is able] for able in (True, False)}
    state = State.OK if len(versions) == 2 and suites[True] else State.WARN if versions else State.MISSING
    without = f"; without {', '.join(suites[False])}" if suites[False] else ""
    mend: tuple[str, ...] = ()
    if state is not State.OK:
        mend = (
            "the TLS library of this Python was built without old versions, or the system's openssl.cnf forbids them"
            " (MinProtocol): try with an own file",
            "$ OPENSSL_CONF=/dev/null blynkscope doctor",
        )
    return Check(
        id="tls-legacy", group=_GROUP, title="Old TLS", state=state,
        found=f"{', '.join(versions) or 'neither TLS 1.0 nor TLS 1.1'}; weak suites {', '.join(suites[True]) or 'none'}"
        + without,
        enables="proxy --legacy-tls: devices whose firmware is older than TLS 1.2",
        mend=mend, facts={"versions": seen.legacy_versions, "suites": seen.suites},
    )  # fmt: skip


def authority() -> Check:
    """The CA of the proxy, as it is."""
    from blynkscope.ca.looking import look

    seen = look()
    facts = {
        "folder": str(seen.folder), "exists": seen.exists, "fingerprint": seen.fingerprint,
        "not_before": seen.not_before and seen.not_before.isoformat(),
        "not_after": seen.not_after and seen.not_after.isoformat(),
        "folder_mode": seen.folder_mode and stat.filemode(stat.S_IFDIR | seen.folder_mode),
        "key_mode": seen.key_mode and stat.filemode(stat.S_IFREG | seen.key_mode),
    }  # fmt: skip
    state = State.OK
    mend: tuple[str, ...] = ()
    if seen.problem is not None:
        state, found, mend = State.MISSING, seen.problem, ("$ blynkscope ca renew",)
        if "chmod" in found or "set its clock" in found or "remove it" in found:
            mend = ()  # what to do first stands there
    elif not seen.exists:
        found = f"none yet; it is made on first use, in {seen.folder}"
    else:
        assert seen.not_after is not None
        days = (seen.not_after - datetime.now(UTC)).days
        found = f"{seen.folder}, until {seen.not_after:%Y-%m-%d} ({days} days)"
        if seen.open_to_others:
            state = State.WARN
            found += ", and others may look into the folder or read the key"
            mend = (f"$ chmod 700 {seen.folder} && chmod 600 {seen.folder}/*.pem", "if others are on this machine:",
                    "$ blynkscope ca renew")  # fmt: skip
        elif seen.not_after - datetime.now(UTC) < _SOON:
            state, mend = State.WARN, ("$ blynkscope ca renew",)
    return Check(
        id="ca", group=_GROUP, title="CA", state=state, found=found, essential=seen.problem is not None,
        enables="proxy and serve over TLS, with certificates that devices were told to trust", mend=mend, facts=facts,
    )  # fmt: skip


TLS: dict[str, Callable[[], Check | None]] = {"tls": library, "tls-legacy": legacy, "ca": authority}
"""The checks by their ids."""
