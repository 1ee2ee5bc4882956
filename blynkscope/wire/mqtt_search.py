"""Where MQTT goes on behind missing bytes, and where it begins in a stream that was joined in the middle."""

from __future__ import annotations

from blynkscope.protocol import mqtt, mqtt_topics
from blynkscope.protocol import mqtt_codes as codes

SIZE_MAX = 512
"""Bytes of a body that is waited for while nobody knows where packets begin: nearly all of a device's are shorter, and
a longer one is passed over."""


class Search:
    """Looks for the first packet in the bytes of a direction.

    A packet begins where a message on a topic of Blynk stands, or where two packets follow each other that hold no
    mistake. Of several such places the one that was proved by the fewest bytes counts: so nothing depends on how the
    bytes are cut, and no place that only looks like a long packet keeps the others waiting.

    Args:
        client: True for the direction of the client.
    """

    def __init__(self, client: bool) -> None:
        self._client = client
        self._open: list[int] = []
        """Places that more bytes may prove."""
        self._seen = 0
        self.window = bytearray()
        """Bytes from the first such place on."""
        self.passed = 0
        """Bytes that are gone, missing ones too."""

    def feed(self, data: bytes, version: int | None) -> bytes | None:
        """Take the next bytes; give all bytes from the first packet on, once it is found.

        Args:
            data: The bytes.
            version: Protocol version; None where it is not known.
        """
        window = self.window
        window += data
        best = at = None
        waiting = []
        for place in (*self._open, *range(self._seen, len(window))):
            if best is not None and place >= best:
                break
            end = proof(window, place, self._client, version)
            if end is None:
                waiting.append(place)
            elif end and (best is None or end < best):
                best, at = end, place
        if at is not None:
            self.passed += at
            return bytes(window[at:])
        first = waiting[0] if waiting else len(window)
        del window[:first]
        self.passed += first
        self._open = [place - first for place in waiting]
        self._seen = len(window)
        return None

    def gap(self, missing: int) -> None:
        """Bytes are missing: what follows has nothing to do with what was seen."""
        self.passed += len(self.window) + missing
        self.window.clear()
        self._open, self._seen = [], 0


def proof(window: bytes | bytearray, at: int, client: bool, version: int | None) -> int | None:
    """Where the proof ends that a packet begins here: 0 where none does, None where only more bytes can tell."""
    end = _packet(window, at, client, version)
    if not end:
        return end
    return -end if end < 0 else _second(window, end, client, version)


def _second(window: bytes | bytearray, at: int, client: bool, version: int | None) -> int | None:
    end = _packet(window, at, client, version)
    return abs(end) if end else end


def _packet(window: bytes | bytearray, at: int, client: bool, version: int | None) -> int | None:
    """End of the packet that begins here, negative where it is certainly one; 0 where none does; None: who knows."""
    if at >= len(window):
        return None
    kind, flags = window[at] >> 4, window[at] & 0x0F
    if kind not in codes.PACKETS or kind in (codes.FROM_SERVER if client else codes.FROM_CLIENT):
        return 0
    if kind == codes.PUBLISH:
        if flags & 6 == 6:
            return 0
    elif flags != codes.FLAGS.get(kind, 0):
        return 0
    size = 0
    for shift in range(mqtt.VARIABLE_BYTES_MAX):
        if at + 1 + shift >= len(window):
            return None
        byte = window[at + 1 + shift]
        size |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            break
    else:
        return 0
    if size > SIZE_MAX:
        return 0
    start = at + 2 + shift
    if len(window) < start + size:
        return None
    try:
        _, fields = mqtt.fields_of(kind, flags, bytes(window[start : start + size]), version or codes.V311)
    except mqtt.MqttError:
        return 0
    if fields.get("problems"):
        return 0
    topic = fields.get("topic")
    if topic is not None and not (topic.isprintable() and (topic or "topic_alias" in fields.get("properties", {}))):
        return 0
    certain = topic is not None and mqtt_topics.find(topic) is not None
    return -(start + size) if certain else start + size
