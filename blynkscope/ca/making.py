"""Certificates and keys as they are made: the root, and a leaf for the names of a server.

One root with RSA 2048 signs both kinds of leaf, so that firmware needs one certificate and no more. Old stacks verify
RSA only and could not use an EC root; for the few that are built without RSA there is `--cert` and `--key`. The RSA
leaf serves all key exchanges from TLS 1.0 on, the EC leaf the suites with ECDSA.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from blynkscope.ca.constraints import NOWHERE, Constraints
from blynkscope.ca.names import address

ROOT_LIFE = timedelta(days=365)
"""A root that was forgotten in some firmware or trust store is harmless after a year."""
LEAF_LIFE = timedelta(days=14)
"""A leaf lives in memory only; two weeks are enough for a device whose clock is some days wrong."""
BACKDATED = timedelta(days=1)
"""Certificates begin a day before they are made, for clocks that are behind or in the wrong time zone.

A device that never set its clock believes it is 1970 and refuses every certificate that checks time. They could begin
in 1970; but such a device would then work here and fail at the real server, and hide what was to be found.
"""
RSA_BITS = 2048
"""What every stack has; more costs an ESP8266 seconds for each handshake."""
_EXPONENT = 65537
_CN_MAX = 64
"""Characters of a common name (X.520)."""

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key() -> rsa.RSAPrivateKey:
    """A new RSA key, which takes some 100 ms."""
    return rsa.generate_private_key(_EXPONENT, RSA_BITS)


def ec_key() -> ec.EllipticCurvePrivateKey:
    """A new key on P-256, the curve that every stack with ECDSA has."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    """The key in PKCS #8, unencrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _usage(**held: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: held.get(name, False) for name in names})


def make_root(key: rsa.RSAPrivateKey, now: datetime, constraints: Constraints) -> x509.Certificate:
    """A root that signs leaves of TLS servers, and no further CA.

    Its name holds part of its key's hash: two roots never share a name, which would make some stacks try the wrong one.
    """
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"blynkscope CA {identity.digest[:4].hex()}")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identity, critical=False)
    )
    if constraints:
        builder = builder.add_extension(constraints.extension(), critical=False)
    return builder.sign(key, hashes.SHA256())


def make_leaf(
    names: Sequence[str],
    key: Key,
    root: x509.Certificate,
    root_key: rsa.RSAPrivateKey,
    now: datetime,
    constraints: Constraints,
) -> x509.Certificate:
    """A leaf for cleaned names, signed by the root; it never outlives the root.

    An IPv4 address stands there as an address and, in writing, as a host name too: mbedTLS 2 and BearSSL compare what
    the sketch says ("192.168.1.10") with host names only.
    """
    alternatives: list[x509.GeneralName] = []
    for name in names:
        at = address(name)
        if at is None:
            alternatives.append(x509.DNSName(name))
            continue
        alternatives.append(x509.IPAddress(at))
        if at.version == 4 and constraints.permits_as_host(name):
            alternatives.append(x509.DNSName(name))
    hosts = [one.value for one in alternatives if isinstance(one, x509.DNSName)]
    common = next((one for one in hosts if len(one) <= _CN_MAX), NOWHERE)
    issuer_key = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(min(now + LEAF_LIFE, root.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_encipherment=is_rsa), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
        .sign(root_key, hashes.SHA256())
    )
