"""TLS settings of a server whose certificates are made on the fly."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Authority(Protocol):
    """Who makes certificates: `ca.Authority`."""

    def leaf(self, names: Sequence[str], *, rsa: bool = True) -> tuple[bytes, bytes]:
        """Chain and key, PEM."""


def server_context(authority: Authority, names: Sequence[str]) -> ssl.SSLContext:
    """Settings with a certificate for these names, with an RSA key and an EC key.

    Raises:
        ssl.SSLError, ValueError, OSError, BlynkscopeError: It cannot be made.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DEFAULT:+aECDSA:@SECLEVEL=1")
    # The ssl module reads files alone: a folder that only this user can look into holds them for a moment.
    for is_rsa in (True, False):
        chain, key = authority.leaf(names, rsa=is_rsa)
        with tempfile.TemporaryDirectory(prefix="blynkscope-") as folder:
            path = Path(folder, "leaf.pem")
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(key + b"\n" + chain)
            context.load_cert_chain(path)
    return context
