"""From what a handler found out to what is said: success is answered as the command table has it.

A handler gives `DONE`, the status of a refusal, the bytes of its own answer, or None for silence. Only commands whose
row says `Ack.STATUS` turn `DONE` into status 200, so the server cannot answer what the decoder does not expect.
"""

from __future__ import annotations

from functools import cache

from blynkscope.protocol import commands, limits, statuses
from blynkscope.protocol.derived import HEADER_STRUCTS, WORD_STRUCTS
from blynkscope.protocol.model import Ack, Command, Dialect, Era

DONE = 0
"""The outcome of a handler that did what was asked. No status has this number."""
Outcome = int | bytes | None
"""`DONE`, the status of a refusal, frames ready to be sent, or None for silence."""

OK = 200
HARDWARE = HEADER_STRUCTS[Dialect.HARDWARE]


def frame(cmd: int, number: int, body: bytes = b"") -> bytes:
    """A message of the hardware dialect; empty where the body does not fit."""
    if len(body) > limits.HARDWARE_BODY_MAX:
        return b""
    return HARDWARE.pack(cmd, number, len(body)) + body


def response(number: int, status: int, dialect: Dialect = Dialect.HARDWARE) -> bytes:
    """A RESPONSE."""
    if dialect is Dialect.WEB:
        return HEADER_STRUCTS[dialect].pack(commands.RESPONSE, number) + WORD_STRUCTS[dialect].pack(status)
    return HEADER_STRUCTS[dialect].pack(commands.RESPONSE, number, status)


def message(cmd: int, number: int, body: bytes, dialect: Dialect) -> bytes:
    """Any other message, in any dialect; empty where the body does not fit."""
    if dialect is Dialect.HARDWARE:
        return frame(cmd, number, body)
    head = HEADER_STRUCTS[dialect]
    return (head.pack(cmd, number) if dialect is Dialect.WEB else head.pack(cmd, number, len(body))) + body


@cache
def acknowledged(dialect: Dialect, era: Era) -> tuple[bool, ...]:
    """For each of the 256 codes whether success is answered by status 200."""
    rows = (commands.lookup(code, dialect, era) for code in range(256))
    return tuple(row is not None and row.ack is Ack.STATUS for row in rows)


def settle(cmd: int, number: int, outcome: Outcome, dialect: Dialect, era: Era) -> bytes:
    """What is sent for an outcome; empty for silence."""
    if outcome is None:
        return b""
    if isinstance(outcome, bytes):
        return outcome
    if outcome != DONE:
        return response(number, outcome, dialect)
    return response(number, OK, dialect) if acknowledged(dialect, era)[cmd] else b""


GENERAL_FAILURES = frozenset({1, 2, 4, 5, 6, 11, 19})
"""Statuses that any command may be refused with: quota, illegal command or body, wrong state, server error."""


def may_refuse(row: Command, status: int) -> bool:
    """Whether the table knows this refusal of this command."""
    return status in statuses.STATUSES and (status in row.failures or status in GENERAL_FAILURES)
