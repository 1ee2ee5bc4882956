"""Certificates of the listener: for the name that a device asks for, read before its handshake begins."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Protocol

from blynkscope.ca.names import host
from blynkscope.ca.serving import load_leaf, server_settings
from blynkscope.protocol import limits
from blynkscope.wire.first_hello import HelloReader
from blynkscope.wire.hellos import ClientHello

_POLL_SECONDS = 0.02
"""Between two looks at a ClientHello that comes in pieces: what stays unread wakes nobody."""


class Authority(Protocol):
    """Who makes certificates: `ca.Authority`."""

    def leaf(self, names: Sequence[str], *, rsa: bool = True) -> tuple[bytes, bytes]:
        """Chain and key, PEM."""


def server_context(authority: Authority, names: Sequence[str]) -> ssl.SSLContext:
    """Settings with a certificate for these names, with an RSA key and an EC key.

    Raises:
        ssl.SSLError, ValueError, OSError, BlynkscopeError: It cannot be made.
    """
    context = server_settings()
    for is_rsa in (True, False):
        load_leaf(context, *authority.leaf(names, rsa=is_rsa))
    return context


async def asked_name(sock: socket.socket) -> str | None:
    """The host name that a client asks for in TLS; its ClientHello stays where it is.

    None where it asks for none, for what is no host name, or where this is no ClientHello: the handshake tells then.
    """
    seen = 0
    while True:
        try:
            data = sock.recv(limits.PROXY_HELLO_MAX, socket.MSG_PEEK)
            if not data:
                return None
        except BlockingIOError:
            data = b""
        except OSError:
            return None
        hello = HelloReader().feed(data)
        if isinstance(hello, ClientHello):
            return host(hello.sni.decode("latin-1")) if hello.sni and hello.sni.isascii() else None
        if hello is not None or len(data) >= limits.PROXY_HELLO_MAX or (seen and len(data) < seen):
            return None
        seen = len(data)
        await asyncio.sleep(_POLL_SECONDS)
