"""Who sent a frame, where neither a SYN nor a port tells which side is the server."""

from __future__ import annotations

from blynkscope.protocol import commands
from blynkscope.protocol.model import Command, Sender

_SERVER_IDS = frozenset({commands.REST_WRITE_ID, 1111, 7777})
"""Ids of messages that a server sends of its own accord: REST writes, replayed syncs, notices."""
_FROM_SERVER = (b"acon", b"adis", b"pm\0")
_FROM_DEVICE = (b"ver\0", b"mcu\0", b"h-beat\0", b"buff-in\0", b"dev\0")


def sent_by_client(row: Command | None, cmd: int, message_id: int, body: bytes) -> bool | None:
    """Who sent it, by a command, its id or its body? True: a device or an app; False: a server; None: nothing tells.

    Args:
        row: The row of the command table, if the command is known.
        cmd: Command code, no RESPONSE.
        message_id: Message id.
        body: Body bytes.
    """
    if row is not None and Sender.SERVER not in row.senders:
        return True
    if row is not None and row.senders == {Sender.SERVER}:
        return False
    if cmd in {commands.HW, commands.INTERNAL}:
        if message_id in _SERVER_IDS or body.startswith(_FROM_SERVER):
            return False
        if cmd == commands.INTERNAL and body.startswith(_FROM_DEVICE):
            return True
    return None
