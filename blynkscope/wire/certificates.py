"""What an X.509 certificate says about itself. Nothing is verified: a capture holds no trusted roots."""

from __future__ import annotations

import warnings
from typing import Any

NAMES_MAX = 64
"""Names of one certificate that are told; certificates of large hosts hold hundreds."""
TEXT_MAX = 512
"""Characters of a subject or issuer that are told."""


def describe(der: bytes) -> dict[str, Any]:
    """Read a certificate.

    Args:
        der: The certificate in DER.

    Returns:
        `subject`, `issuer` (RFC 4514), `not_before`, `not_after` (seconds since the epoch), `names` (host names and
        addresses that it is for), `self_signed` (it names itself as its issuer), `key` ("RSA 2048", "EC secp256r1");
        or `error` alone, with the reason, where it cannot be read.
    """
    from cryptography import x509

    try:
        with warnings.catch_warnings():
            # cryptography warns of certificates that later versions of it will refuse; people have them nevertheless.
            warnings.simplefilter("ignore")
            found = x509.load_der_x509_certificate(der)
            subject, issuer = found.subject.rfc4514_string(), found.issuer.rfc4514_string()
            return {
                "subject": subject[:TEXT_MAX],
                "issuer": issuer[:TEXT_MAX],
                "not_before": found.not_valid_before_utc.timestamp(),
                "not_after": found.not_valid_after_utc.timestamp(),
                "names": _names(found),
                "self_signed": found.subject == found.issuer,
                "key": _key(found),
            }
    except Exception as error:  # the library raises errors of many kinds for what is no certificate
        return {"error": (str(error) or type(error).__name__)[:TEXT_MAX]}


def _names(found: Any) -> list[str]:
    from cryptography import x509

    try:
        held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return []
    kinds = (x509.DNSName, x509.IPAddress)
    return [str(name.value)[:TEXT_MAX] for name in held if isinstance(name, kinds)][:NAMES_MAX]


def _key(found: Any) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

    try:
        key = found.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "unknown"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    named = {ed25519.Ed25519PublicKey: "Ed25519", ed448.Ed448PublicKey: "Ed448"}
    return next((name for kind, name in named.items() if isinstance(key, kind)), "unknown")
