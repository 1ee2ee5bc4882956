"""Certificates of a server: what they say, what is wrong with them, and who trusts them."""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Sequence
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

import msgspec

from blynkscope.probe.hello import server_name
from blynkscope.probe.model import CertificateFacts, ChainFacts, Trust
from blynkscope.probe.net import Address, FailedError, Network, Secured
from blynkscope.wire import certificates

CHAIN_MAX = 10
"""Certificates of a chain that are told; real ones have two to four."""
SHORT_RSA = 2048
WEAK_HASHES = ("md5", "md2", "sha1")
_NO_CHECK_TIME, _PARTIAL_CHAIN = 0x200000, 0x80000
"""X509_V_FLAG_…: dates are looked at apart, so that one flaw does not hide another; any certificate of a file that was
given may be the anchor, as on devices."""
_LEGACY_CONNECT = 0x4
"""SSL_OP_LEGACY_SERVER_CONNECT: servers that know no safe renegotiation."""
_CIPHERS = "ALL:!aNULL:@SECLEVEL=0"
_ENCODING_DER = 2
_DATED = ("expired", "not-yet-valid")
_REASONS = {
    18: "self-signed", 19: "unknown-ca", 20: "unknown-ca", 21: "unknown-ca", 2: "unknown-ca", 23: "revoked",
    24: "not-a-ca", 79: "not-a-ca", 7: "bad-signature", 26: "wrong-purpose",
}  # fmt: skip
"""Why OpenSSL refuses a chain (X509_V_ERR_…)."""


class Session(msgspec.Struct):
    """A handshake by the library of this machine. `error` says why there was none, `path` is the verified chain."""

    text: str | None = None
    chain: list[bytes] = []
    path: list[bytes] = []
    refused: str | None = None
    error: str | None = None


def context_of(*, verify: bool = False, ca: str | None = None, kind: str | None = None) -> ssl.SSLContext:
    """Settings that take whatever this machine's library can do; with `verify`, against the system's roots or a file.

    `kind` is the key that the certificate must have, where a server has several.

    Raises:
        ssl.SSLError, OSError: The file holds no certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers(_CIPHERS)
    if kind in {"RSA", "ECDSA"}:
        # In TLS 1.3 the suites say nothing about the certificate.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"a{kind}:!eNULL:@SECLEVEL=0")
    context.options |= ssl.Options(_LEGACY_CONNECT)
    if verify:
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
        if ca is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.verify_flags |= ssl.VerifyFlags(_PARTIAL_CHAIN)
            context.load_verify_locations(ca)
    return context


async def handshake(
    network: Network, address: Address, port: int, name: str | None, context: ssl.SSLContext
) -> Session:
    """Complete a handshake, and close. Raises nothing of the network."""
    session = Session()
    try:
        async with await network.connect(address, port) as line:
            secured = Secured(line, context, sni_of(name))
            try:
                await secured.handshake()
            finally:
                session.chain = _chain(secured.tls, "unverified")
            cipher = secured.tls.cipher()
            session.text = f"{_version(secured.tls)} {cipher[0] if cipher else ''}".strip()
            session.path = _chain(secured.tls, "verified") if context.verify_mode is ssl.CERT_REQUIRED else []
    except ssl.SSLCertVerificationError as error:
        session.refused = _REASONS.get(error.verify_code, error.verify_message.lower())
    except FailedError as error:
        session.error = error.text
    except ssl.SSLError as error:
        session.error = (error.reason or "the handshake failed").lower().replace("_", " ")
    except ValueError as error:
        session.error = str(error) or "no host name"
    return session


def sni_of(name: str | None) -> str | None:
    """What this machine's library is told to send as SNI; None for addresses."""
    sni = server_name(name)
    return sni.decode("ascii") if sni is not None else None


def _version(tls: ssl.SSLObject) -> str:
    """The version by its full name: OpenSSL calls TLS 1.0 TLSv1."""
    name = (tls.version() or "").replace("TLSv", "TLS ").replace("SSLv", "SSL ")
    return name if "." in name or not name else f"{name}.0"


def _chain(tls: ssl.SSLObject, kind: str) -> list[bytes]:
    """What the peer sent, or what was built of it; public since Python 3.13, before that it is there as well."""
    for holder in (tls, getattr(tls, "_sslobj", None)):
        method = getattr(holder, f"get_{kind}_chain", None)
        if method is None:
            continue
        try:
            found: Sequence[Any] = method() or ()
            return [one if isinstance(one, bytes) else one.public_bytes(_ENCODING_DER) for one in found][:CHAIN_MAX]
        except (ssl.SSLError, ValueError, AttributeError):
            continue
    leaf = tls.getpeercert(binary_form=True) if kind == "unverified" else None
    return [leaf] if leaf else []


async def verified(
    network: Network,
    address: Address,
    port: int,
    name: str | None,
    chain: Sequence[bytes],
    *,
    ca: str | None,
    kind: str | None,
) -> tuple[Trust, list[bytes]]:
    """Is the chain trusted, by the system's roots or those of a file? `chain` is what the server sends.

    Returns:
        What there is to tell, and the path to the root; empty where there is none, or it is not known.
    """
    store = ca or "system"
    try:
        context = context_of(verify=True, ca=ca, kind=kind)
    except (ssl.SSLError, OSError) as error:
        text = getattr(error, "strerror", None) or "it holds no certificates in PEM"
        return Trust(store, None, f"the file cannot be used: {text}"), []
    session = await handshake(network, address, port, name, context)
    if session.refused is not None:
        return Trust(store, False, session.refused), []
    if session.error is not None:
        return Trust(store, None, session.error), []
    root = session.path[-1] if session.path else chain[-1] if chain else None
    return Trust(store, True, None, subject_of(root) if root else None), session.path


def subject_of(der: bytes) -> str:
    """Who a certificate is for; "unreadable" where it cannot be read."""
    return str(certificates.describe(der).get("subject", "unreadable"))


def described(
    kind: str, chain: Sequence[bytes], host: str, now: float | None = None, paths: Sequence[Sequence[bytes]] = ()
) -> ChainFacts:
    """What a chain says about itself, and its flaws but for trust.

    Args:
        kind: Of the key.
        chain: What the server sends.
        host: Under which name it was asked.
        now: The time of the probe.
        paths: By which stores trust it: dates of what is in none of them do no harm.
    """
    used = {der for path in paths for der in path}
    facts = tuple(msgspec.structs.replace(read(der), used=der in used if used else None) for der in chain[:CHAIN_MAX])
    leaf = facts[0]
    now = time.time() if now is None else now
    dated = [(one, flaw) for one in facts if (flaw := date_flaw(one, now)) is not None]
    flaws = [flaw for flaw in _DATED if any(one.used is not False and flaw == found for one, found in dated)]
    if any(one.used is False for one, _ in dated):
        flaws.append("extra-not-valid")
    if leaf.error is None and not is_for(leaf, host):
        flaws.append("wrong-name")
    if any(map(is_weakly_signed, facts)):
        flaws.append("weak-signature")
    if any(map(has_short_key, facts)):
        flaws.append("weak-key")
    if misplaced(facts) is not None:
        flaws.append("unordered")
    last = facts[-1]
    root = last.subject if last.self_signed else last.issuer
    return ChainFacts(kind, facts, tuple(flaws), root=root)


def date_flaw(one: CertificateFacts, now: float) -> str | None:
    """Is a certificate out of its dates? "expired" or "not-yet-valid"."""
    if one.not_after is not None and now > one.not_after:
        return "expired"
    return "not-yet-valid" if one.not_before is not None and now < one.not_before else None


def is_weakly_signed(one: CertificateFacts) -> bool:
    """Is a certificate signed with a broken hash? Nobody looks at the signature of one that signs for itself."""
    return one.signature in WEAK_HASHES and not one.self_signed


def has_short_key(one: CertificateFacts) -> bool:
    """Is its key so short that clients of today refuse it?"""
    size = (one.key or "").removeprefix("RSA ")
    return size.isdecimal() and int(size) < SHORT_RSA


def misplaced(chain: Sequence[CertificateFacts]) -> tuple[CertificateFacts, CertificateFacts] | None:
    """The first certificate of a chain that does not certify the one before it, behind that one; None where all do."""
    for before, one in pairwise(chain):
        if before.error is None and one.error is None and before.issuer != one.subject:
            return before, one
    return None


def trusted(chain: ChainFacts, trust: Sequence[Trust]) -> ChainFacts:
    """The chain with what the stores say of it."""
    refusals = [one.reason for one in trust if one.trusted is False]
    flaws = list(chain.flaws)
    if refusals and not any(one.trusted for one in trust):
        flaws.append("self-signed" if len(chain.certificates) == 1 and chain.certificates[0].self_signed
                     else "unknown-ca" if "unknown-ca" in refusals or "self-signed" in refusals
                     else refusals[0] or "unknown-ca")  # fmt: skip
    root = next((one.root for one in trust if one.root), chain.root)
    return msgspec.structs.replace(chain, flaws=tuple(flaws), trust=tuple(trust), root=root)


def is_for(leaf: CertificateFacts, host: str) -> bool:
    """Is a certificate for this host? By its names; by its common name where it has none, as old stacks do."""
    wanted = _ascii(host.rstrip(".").partition("%")[0])
    names = [_ascii(name) for name in leaf.names]
    try:
        address = ip_address(wanted)
    except ValueError:
        parent = wanted.partition(".")[2]
        fitting = {wanted, f"*.{parent}"} if parent else {wanted}
        if not names:
            parts = [part.partition("=") for part in (leaf.subject or "").split(",")]
            names = [_ascii(value) for key, _, value in parts if key.strip().upper() == "CN"]
        return not fitting.isdisjoint(names)
    return str(address) in names


def _ascii(name: str) -> str:
    """A name as it is sent and compared: in lower case, with letters beyond ASCII as IDNA spells them."""
    if name.isascii():
        return name.lower()
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return name.lower()


def read(der: bytes) -> CertificateFacts:
    """A certificate; `error` in it where it cannot be read."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    facts = certificates.describe(der)
    if "error" in facts:
        return CertificateFacts(error=facts["error"])
    signature, serial, sha256, sha1 = None, None, None, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = x509.load_der_x509_certificate(der)
            serial = f"{found.serial_number:x}"
            sha256 = found.fingerprint(hashes.SHA256()).hex(":").upper()
            sha1 = found.fingerprint(hashes.SHA1()).hex(":").upper()  # noqa: S303 - a name, no protection
            algorithm = found.signature_hash_algorithm
            signature = algorithm.name if algorithm is not None else "eddsa"
    except Exception:  # noqa: S110 - the library raises errors of many kinds for what is odd; the rest is told
        pass
    return CertificateFacts(
        facts["subject"], tuple(dict.fromkeys(facts["names"])), facts["issuer"], facts["not_before"],
        facts["not_after"], facts["key"], signature, serial, sha256, sha1, facts["self_signed"],
    )  # fmt: skip
