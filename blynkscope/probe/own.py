"""The CA of this user as a root: what `proxy` and `serve` of blynkscope show has been signed by it."""

from __future__ import annotations

import warnings

import msgspec

from blynkscope.probe.trust import subject_of

_PEM_MAX = 64 * 1024
"""Bytes of a certificate's file: ours has two KiB."""


class OwnRoot(msgspec.Struct, frozen=True):
    """The file of the root, in PEM, and whom it is for."""

    path: str
    subject: str


def own_root() -> OwnRoot | None:
    """The root of this user; None where there is none, or it cannot be read. Nothing is made, nothing is mended."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    from blynkscope.ca.authority import PUBLIC_FILE
    from blynkscope.ca.looking import look

    try:
        seen = look()
        path = seen.folder / PUBLIC_FILE
        with open(path, "rb") as file:
            data = file.read(_PEM_MAX)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            root = x509.load_pem_x509_certificate(data)
            # The file beside the key is made anew from the key's own; until then it may be that of another CA.
            same = root.fingerprint(hashes.SHA256()).hex(":").upper() == seen.fingerprint
    except (OSError, ValueError):
        return None
    return OwnRoot(str(path), subject_of(root.public_bytes(Encoding.DER))) if same else None
