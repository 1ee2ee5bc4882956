"""The header of a TLS record, as a program sees it that takes it for the header of a Blynk frame."""

from __future__ import annotations

from blynkscope.protocol import commands, tls
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.statuses import STATUSES, status_name

_NAMED = 5
"""Bytes of either header: type, version and length there; command, id and length here."""
_HIDDEN = {
    tls.CHANGE_CIPHER_SPEC: "what follows is the one byte 01",
    tls.ALERT: "what follows is the alert, encrypted unless it has two bytes",
    tls.HANDSHAKE: "what follows belongs to the handshake",
    tls.APPLICATION_DATA: "what follows is encrypted, with the Blynk frames inside",
}


def is_record_header(cmd: int, message_id: int, word: int) -> bool:
    """Can this "frame" be the header of a TLS record?

    Args:
        cmd: The first byte, read as a command.
        message_id: The next two, read as a message id.
        word: The last two, read as a length or status; -1 where they are not known.
    """
    if cmd not in tls.TYPES or message_id >> 8 != 3 or message_id & 0xFF not in tls.VERSIONS:
        return False
    # Command 20 is MSG_HW, and ids of 768 to 772 do occur: there the record holds one byte, which no write does.
    return word == 1 if cmd == tls.CHANGE_CIPHER_SPEC else word != 0 and word <= tls.RECORD_MAX


def explain_header(header: bytes) -> str | None:
    """What each byte of a TLS record's header is, and what it is mistaken for.

    Args:
        header: At least the first three bytes of the record; more than five are not looked at.

    Returns:
        Some sentences, or None where these bytes begin no TLS record.
    """
    if len(header) < 3 or header[0] not in tls.TYPES or header[1] != 3 or header[2] not in tls.VERSIONS:
        return None
    kind, version = header[0], header[1] << 8 | header[2]
    number = f"0x{kind:02x} ({kind}) is the TLS record type {tls.TYPES[kind].replace(' ', '_')}"
    mistaken = f"not the command {kind} ({commands.command_name(kind, Dialect.HARDWARE)})"
    if kind in STATUSES:
        mistaken += f" and not the status {kind} ({status_name(kind)})"
    parts = [
        f"{number}, {mistaken}",
        f"{header[1]:02x} {header[2]:02x} is the version of the record layer, {tls.VERSIONS[header[2]]}, which read as "
        f"a message id gives {version}",
    ]
    if len(header) >= _NAMED:
        length = header[3] << 8 | header[4]
        parts.append(
            f"{header[3]:02x} {header[4]:02x} is the length of the record, {length} bytes, and neither a status nor "
            "the length of a Blynk body"
        )
    parts.append(_HIDDEN[kind])
    return "; ".join(parts) + "."
