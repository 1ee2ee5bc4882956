"""What the readers of other protocols tell about a stream: one fact at a time, for the rules to judge."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


class Fact(msgspec.Struct, frozen=True):
    """One thing that was said in another protocol.

    `kind` names it (`http-request`, `tls-alert`, `particle-key`), `detail` holds what it says in plain JSON values.
    Text in it is raw wire text; secrets are under the keys that `render.redact` knows (`token`, `password`).
    """

    kind: str
    time: float | None
    detail: dict[str, Any] = {}


class FactReader(Protocol):
    """Reads one direction of a stream that speaks another protocol. Incremental; never raises; bounded memory."""

    def feed(self, data: bytes, time: float | None) -> list[Fact]:
        """Take the next bytes; give the facts that they complete. However the bytes are cut, the facts are the same."""

    def gap(self, missing: int, time: float | None) -> list[Fact]:
        """Bytes are missing here."""

    def finish(self, time: float | None) -> list[Fact]:
        """The direction is over; give what only the end tells."""
