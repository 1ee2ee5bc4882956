"""TLS settings of servers whose certificates are made here."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

CIPHERS = "DEFAULT:+aECDSA:@SECLEVEL=1"
"""All that is not broken, as devices are given what they can. Those for RSA come first: with RSA certificates every
stack was tried."""


def server_settings() -> ssl.SSLContext:
    """Settings of a server without a certificate: TLS 1.2 or later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    return context


def load_leaf(context: ssl.SSLContext, chain: bytes, key: bytes) -> None:
    """Add a certificate and its key, PEM.

    Raises:
        ssl.SSLError, OSError: It cannot be used.
    """
    # The ssl module reads files alone: a folder that only this user can look into holds them for a moment.
    with tempfile.TemporaryDirectory(prefix="blynkscope-") as folder:
        path = Path(folder, "leaf.pem")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(key + b"\n" + chain)
        context.load_cert_chain(path)
