"""Frames of a script, and those of now, spelled out as the records that every output knows."""

from __future__ import annotations

import msgspec

from blynkscope.analysis.records import Facts, FrameRecord, Observed
from blynkscope.protocol.model import Dialect, Era
from blynkscope.replay.comparing import Heard
from blynkscope.replay.model import Line, Said


class Speller:
    """Spells the frames of one connection out.

    Args:
        line: The recorded connection.
        era: Meaning of codes that differ between the eras.
    """

    def __init__(self, line: Line, era: Era | None) -> None:
        via = ("log",) if line.log else ("tcp", *(("tls",) if line.tls else ()), *(("websocket",) if line.path else ()))
        client = "device" if line.dialect is Dialect.HARDWARE else "app"
        name = era.value if era is not None else None
        self._facts = {
            True: Facts(line.number, None, None, client, line.dialect.value, via, name),
            False: Facts(line.number, None, None, "server", line.answers.value, via, name),
        }

    def recorded(self, said: Said) -> FrameRecord:
        """A frame of the recording."""
        return Observed(
            self._facts[said.client], said.n, said.time, said.cmd, said.id, said.word, said.body, said.answers,
            said.rtt_ms, None, (),
        ).record()  # fmt: skip

    def now(self, heard: Heard, *, client: bool) -> FrameRecord:
        """A frame of now; it has no number."""
        # Whether it answers something is the verdict's to say: the record alone would call it an answer to nothing.
        spelled = Observed(
            self._facts[client], 0, None, heard.cmd, heard.id, heard.word, heard.body, 0, None, None, ()
        ).record()
        return msgspec.structs.replace(spelled, answers=None)
