"""TLS of one leg, without a socket: records in, plaintext out, and the other way round."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from contextlib import suppress

from blynkscope.protocol import limits, tls

SLICE = 16 * 1024
"""Bytes given to OpenSSL at once: its memory buffers never shrink, so that this is what a leg keeps for good."""
_RECORD = 16 * 1024
"""The plaintext of a record is no longer."""


def _joined(records: list[bytes]) -> list[bytes]:
    pieces: list[list[bytes]] = []
    last = 0
    for record in records:
        if last == _RECORD:
            pieces[-1].append(record)
        else:
            pieces.append([record])
        last = len(record)
    return [b"".join(piece) for piece in pieces]


def slices(data: bytes) -> Iterable[bytes]:
    """Bytes of a peer in pieces for `TlsLeg.put`.

    Where a read was filled, much comes on this leg: it gets all at once, and keeps so much memory, as few do.
    """
    if len(data) <= SLICE or len(data) >= limits.PROXY_READ_SIZE:
        return (data,)
    return (data[at : at + SLICE] for at in range(0, len(data), SLICE))


class TlsLeg:
    """A TLS connection over memory buffers.

    Args:
        context: Its settings.
        server: True on the device leg, where this is the server.
        name: The name that the certificate of the upstream must hold, and that is sent as SNI unless it is an address.

    Attributes:
        ready: The handshake is done.
        over: The peer said that it sends no more (close_notify).
        error: Why nothing more can be read: a record is damaged, or an alert came.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "_shut", "error", "over", "ready")

    def __init__(self, context: ssl.SSLContext, *, server: bool, name: str | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=name)
        self.ready = False
        self.over = False
        self.error: ssl.SSLError | None = None
        self._shut = False

    def handshake(self) -> bytes:
        """Go on with the handshake as far as it gets; gives what is to be sent.

        Raises:
            ssl.SSLError: It failed; `pending` holds the alert for the peer.
        """
        if not self.ready:
            try:
                self._object.do_handshake()
                self.ready = True
            except ssl.SSLWantReadError:
                pass
        return self._outgoing.read()

    def pending(self) -> bytes:
        """What is to be sent: answers of TLS itself, alerts."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def put(self, data: bytes) -> None:
        """Bytes of the peer, one of `slices` before `read` or `handshake`."""
        self._incoming.write(data)

    def read(self) -> list[bytes]:
        """The plaintext of the records that are whole, record by record.

        A full record and what follows it are one piece: its writer wrote more than a record holds.
        """
        if not self.ready or self.over or self.error is not None:
            return []
        records: list[bytes] = []
        read, incoming, pending = self._object.read, self._incoming, self._object.pending
        try:
            while True:
                data = read(_RECORD)
                if not data:
                    self.over = True
                    break
                records.append(data)
                # To find out by reading that there is no more costs as much as to read.
                if not incoming.pending and not pending():
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.over = True
        except ssl.SSLError as error:
            self.error = error
        return records if len(records) < 2 else _joined(records)

    def write(self, data: bytes) -> bytes:
        """The records for this plaintext."""
        done = self._object.write(data)
        if done < len(data):
            view = memoryview(data)
            while done < len(data):
                done += self._object.write(view[done:])
        return self._outgoing.read()

    def finish(self) -> bytes:
        """The records that say that no more will be sent (close_notify)."""
        if self.ready and not self._shut:
            self._shut = True
            # Mostly: the peer's own end has not come yet.
            with suppress(ssl.SSLError, OSError):
                self._object.unwrap()
        return self.pending()

    @property
    def version(self) -> str | None:
        """`tls1.2`, once the handshake is done."""
        name = self._object.version() if self.ready else None
        return None if name is None else name.lower().replace("tlsv1", "tls1.0" if name == "TLSv1" else "tls1")

    @property
    def alpn(self) -> str | None:
        """The protocol that was agreed on."""
        return self._object.selected_alpn_protocol() if self.ready else None


_ALERTS = {name.upper(): number for number, name in tls.ALERTS.items()}


def alert_in(error: ssl.SSLError) -> int | None:
    """The number of the alert that the peer sent, where that is what the error is about."""
    front, found, name = (error.reason or "").partition("_ALERT_")
    return _ALERTS.get(name) if found and front in {"TLSV1", "SSLV3", "TLSV13"} else None
