"""One line of a library's or the server's own log → the messages that it tells.

Stamps, levels and container names are off before a line comes here, though a log's own tags may still stand in front.
"""

from __future__ import annotations

from blynkscope.wire.logs import handmade, java, node, python
from blynkscope.wire.logs.model import Content

_READERS = (node.read_line, python.read_line, java.read_line, handmade.read_line)
_LINE_MAX = 256 * 1024
"""Characters of a line that is read: a frame of the greatest body, with four characters for each byte."""


def read_line(text: str) -> list[Content] | None:
    """Read a line in the notation of a library.

    Returns:
        The messages (`Said`), bytes (`Chunk`) or facts (`Told`) of the line. An empty list where the line is of such a
        log but only repeats parts of a message. None where it is in none of the notations. Never raises.
    """
    if len(text) > _LINE_MAX or len(text) < 4:
        return None
    for read in _READERS:
        found = read(text)
        if found is not None:
            return found
    return None
