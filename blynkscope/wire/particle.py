"""The handshake of the Particle (Spark) cloud on TCP port 5683, told by its byte counts: all of it is encrypted.

The server begins with a nonce; the device answers with its key message (the nonce and its id, encrypted with the
server's key); the server ends with the session key and a signature. Then both sides speak AES-128-CBC.
"""

from __future__ import annotations

from blynkscope.wire.facts import Fact

NONCE_SIZE = 40
KEY_SIZE = 256
SESSION_SIZE = 384

_CLIENT_STEPS = (("particle-key", KEY_SIZE),)
_SERVER_STEPS = (("particle-nonce", NONCE_SIZE), ("particle-session", SESSION_SIZE))


class ParticleReader:
    """Counts the bytes of one direction of the handshake.

    Its facts are `particle-nonce` and `particle-session` (by the server) and `particle-key` (by the device), each with
    `{"bytes": seen, "need": size, "complete": bool}` and `"missing": n` where the capture lost some; and
    `particle-data` once, when bytes follow behind the handshake. An incomplete step is told at the end of the
    direction; a step of which nothing was seen gives no fact.

    Args:
        client: True for the direction of the device.
    """

    def __init__(self, client: bool) -> None:
        self._steps = list(_CLIENT_STEPS if client else _SERVER_STEPS)
        self._seen = 0
        self._missing = 0
        self._more = False

    def feed(self, data: bytes, time: float | None) -> list[Fact]:
        """The next bytes."""
        return self._count(len(data), time, missing=False)

    def gap(self, missing: int, time: float | None) -> list[Fact]:
        """Bytes are missing: they count, for all that is told are counts."""
        return self._count(missing, time, missing=True)

    def finish(self, time: float | None) -> list[Fact]:
        """The direction is over."""
        return [self._step(time)] if self._steps and (self._seen or self._missing) else []

    def _count(self, size: int, time: float | None, *, missing: bool) -> list[Fact]:
        facts = []
        while size and self._steps:
            part = min(size, self._steps[0][1] - self._seen - self._missing)
            size -= part
            if missing:
                self._missing += part
            else:
                self._seen += part
            if self._seen + self._missing == self._steps[0][1]:
                facts.append(self._step(time))
        if size and not self._more:
            self._more = True
            facts.append(Fact("particle-data", time))
        return facts

    def _step(self, time: float | None) -> Fact:
        kind, need = self._steps.pop(0)
        detail = {"bytes": self._seen, "need": need, "complete": self._seen + self._missing == need}
        if self._missing:
            detail["missing"] = self._missing
        self._seen = self._missing = 0
        return Fact(kind, time, detail)
