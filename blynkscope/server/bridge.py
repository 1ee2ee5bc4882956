"""Bridges: one device writes pins of another of the same account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blynkscope.protocol import commands
from blynkscope.protocol.statuses import DEVICE_NOT_IN_NETWORK, ILLEGAL_COMMAND, NOT_ALLOWED
from blynkscope.server.answering import DONE, OK, Outcome, frame, response

if TYPE_CHECKING:
    from blynkscope.server.hardware import HardwareSession
    from blynkscope.server.projects import Device

BRIDGES_MAX = 100
"""Bridge pins of one connection, above what any sketch uses."""
PIN_BYTES = 16
"""Bytes of what names a bridge pin; libraries send its number."""


def bridge(session: HardwareSession, number: int, body: bytes, time: float) -> Outcome:
    """BRIDGE: ties a virtual pin to another device (`pin·i·token`), or hands what follows on to it.

    Returns:
        200 for a tied pin and nothing for what was handed on; 2 where it does not parse, 6 for a token that is not of
        this account and a pin that was not tied, 7 where the other device is offline.
    """
    device, hub = session.device, session.hub
    parts = body.split(b"\0", 2)
    if device is None or len(parts) < 3:
        return ILLEGAL_COMMAND
    pin, op, rest = parts
    if op == b"i":
        target = hub.projects.device(rest.decode("utf-8", "replace"))
        ties = session.bridges
        if len(pin) > PIN_BYTES:
            return ILLEGAL_COMMAND
        if target is None or target.account != device.account or (pin not in ties and len(ties) >= BRIDGES_MAX):
            return NOT_ALLOWED
        session.bridges = {**ties, pin: target.token}
        return response(number, OK)
    token = session.bridges.get(pin)
    target = hub.projects.device(token) if token is not None else None
    if target is None:
        return NOT_ALLOWED
    wire = frame(commands.BRIDGE, number, op + b"\0" + rest)
    peers = [peer for peer in hub.online(target.token) if peer is not session and peer.takes(len(wire))]
    if not peers:
        return DEVICE_NOT_IN_NETWORK
    problem = _keep(session, target, number, op, rest, time)
    if problem is not None:
        return problem
    for peer in peers:
        peer.send(wire)
    return DONE


def _keep(session: HardwareSession, target: Device, number: int, op: bytes, rest: bytes, time: float) -> int | None:
    """What is written over a bridge is stored and shown as if the other device had written it; a status if refused."""
    if op[1:2] != b"w":
        return None
    from blynkscope.server.pinning import written

    return written(session.hub, target, number, op + b"\0" + rest, time)
