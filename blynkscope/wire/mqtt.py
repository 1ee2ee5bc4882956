"""The control packets of MQTT, one direction of a stream: from bytes to facts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from blynkscope.protocol import mqtt
from blynkscope.protocol import mqtt_codes as codes
from blynkscope.wire.facts import Fact
from blynkscope.wire.layers import Piece
from blynkscope.wire.mqtt_search import Search

TOO_MANY = "too many incomplete messages at once"
"""Why a packet was given up that may have been whole."""
BODY_KEPT = 16 * 1024
"""Bytes of a packet's body that are kept: values have up to 1024 bytes and the buffers of devices a few KiB, while the
standard allows 256 MiB. Of a longer PUBLISH the topic and the beginning of the payload are told."""
MALFORMED_MAX = 4
"""Malformed packets in a row after which nobody believes any more that these are packets."""
ALIASES_MAX = 1024
"""Topic aliases of one direction that are remembered; a device has some dozens of topics."""
ALIASED_BYTES_MAX = 64 * 1024
"""Bytes of the topics behind them."""
_SHORT_PROPERTIES = 32
"""Properties of a PUBLISH up to this size are remembered once parsed: a topic alias comes with every message."""


class MqttShared:
    """What the two directions of a connection tell each other.

    Attributes:
        version: Protocol version of the CONNECT (3, 4 or 5); None before one was seen, and where it states another.
    """

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version: int | None = None


class MqttReader:
    """Reads one direction.

    Facts:
        `mqtt-packet`: packet (name), id (packet identifier or None), size (of the whole packet in bytes), version
            ("3.1", "3.1.1", "5"; None where no CONNECT was seen: then it is read as 3.1.1), fields (`mqtt.fields_of`;
            a PUBLISH of which payload bytes are missing has `missing`, their number; where it names its topic by an
            alias, `topic` is what the alias stands for and `topic_alias` the alias).
        `mqtt-malformed`: packet, reason, offset (of its first byte), size. The sender broke the rules.
        `mqtt-cut`: packet, reason, offset, have, need (bytes). The recording holds only a part of it, or it is larger
            than what is kept.
        `mqtt-lost`: reason, offset, final. Where packets begin is not known any more. Where bytes are missing they are
            looked for (`final` is False); where these are no packets at all nothing else will come.
        `mqtt-resumed`: skipped (bytes that were passed over), offset. From here on packets are read again.

    Args:
        client: True for the direction of the client.
        shared: One object for both directions of a connection.
        joined: True where the stream was joined in the middle, so that the first packet has to be looked for.
    """

    def __init__(self, client: bool, shared: MqttShared | None = None, *, joined: bool = False) -> None:
        self._client = client
        self._shared = shared or MqttShared()
        self._head = bytearray()
        self._body = bytearray()
        self._need = -1
        """Bytes of the body; -1 while the head is not complete."""
        self._have = 0
        """Bytes of the body that went by, missing ones too."""
        self._missing = 0
        self._dropped = False
        """The packet was given up, and what is left of it is passed over."""
        self._begin = 0
        self._offset = 0
        self._bad = 0
        self._over = False
        self._search = Search(client) if joined else None
        """Looks for the next packet; None while it is known where packets begin."""
        self._aliases: dict[int, str] = {}
        self._aliased = 0
        self._facts: list[Piece] = []

    @property
    def buffered(self) -> int:
        """Bytes that are kept of the packet that is not complete."""
        return len(self._head) + len(self._body) + (len(self._search.window) if self._search is not None else 0)

    def drop(self, time: float | None) -> list[Piece]:
        """Give up the packet that is not complete, or what a search looks at; the reading goes on behind it."""
        if self._search is not None:
            if self._search.window:
                self._say("mqtt-lost", time, {"reason": TOO_MANY, "offset": self._offset, "final": False})
            self._search.gap(0)
        elif self._body:
            self._cut(TOO_MANY, time)
            self._body, self._dropped = bytearray(), True
        return self._take()

    def feed(self, data: bytes, time: float | None) -> list[Piece]:
        """The next bytes."""
        if self._over:
            return []
        if self._search is None:
            self._read(data, time)
        elif (rest := self._search.feed(data, self._shared.version)) is not None:
            self._offset += self._search.passed
            self._say("mqtt-resumed", time, {"skipped": self._search.passed, "offset": self._offset})
            self._search, self._bad = None, 0
            self._read(rest, time)
        return self._take()

    def _read(self, data: bytes, time: float | None) -> None:
        at, end = 0, len(data)
        while at < end and not self._over:
            if self._need < 0:
                at = self._start(data, at, time)
                continue
            part = min(self._need - self._have, end - at)
            room = BODY_KEPT - len(self._body)
            if room > 0 and not self._missing and not self._dropped:
                self._body += data[at : at + min(part, room)]
            at += part
            self._have += part
            if self._have == self._need:
                self._complete(time)
        self._offset += end

    def gap(self, missing: int | None, time: float | None) -> list[Piece]:
        """Bytes are missing: a packet of known length is followed past them, beyond it nothing is."""
        if self._over:
            return []
        if self._search is not None:
            self._search.gap(missing or 0)
            return []
        if missing is None or self._need < 0 or missing > self._need - self._have:
            if self._head and not self._dropped:
                self._cut("bytes are missing from the recording", time)
            self._lose("bytes are missing from the recording", time, final=False)
            self._search = Search(self._client)
        else:
            self._have += missing
            self._missing += missing
            if self._have == self._need:
                self._complete(time)
        self._offset += missing or 0
        return self._take()

    def finish(self, time: float | None) -> list[Piece]:
        """The direction is over."""
        if not self._over and self._head and not self._dropped:
            self._cut("the connection ends inside it", time)
        self._over = True
        return self._take()

    def _take(self) -> list[Piece]:
        facts, self._facts = self._facts, []
        return facts

    def _say(self, kind: str, time: float | None, detail: dict[str, Any]) -> None:
        self._facts.append(Fact(kind, time, detail))

    def _lose(self, reason: str, time: float | None, *, final: bool = True) -> None:
        self._over = final
        self._say("mqtt-lost", time, {"reason": reason, "offset": self._begin, "final": final})
        self._reset()

    def _reset(self) -> None:
        self._head.clear()
        self._body = bytearray()
        self._need, self._have, self._missing, self._dropped = -1, 0, 0, False

    def _start(self, data: bytes, at: int, time: float | None) -> int:
        """One more byte of a packet's head: its type, and one to four bytes of its length."""
        head = self._head
        if not head:
            self._begin = self._offset + at
        byte = data[at]
        head.append(byte)
        if len(head) == 1:
            kind = byte >> 4
            if kind not in codes.PACKETS or (kind == codes.AUTH and self._shared.version in {codes.V31, codes.V311}):
                self._lose(f"no packet begins with the byte 0x{byte:02x}", time)
            return at + 1
        if byte >= 0x80:
            if len(head) > mqtt.VARIABLE_BYTES_MAX:
                self._lose("a packet's length has more than four bytes", time)
            return at + 1
        need = 0
        for shift, part in enumerate(head[1:]):
            need |= (part & 0x7F) << 7 * shift
        self._need = need
        if not need:
            self._complete(time)
        return at + 1

    # --- packets ---

    def _complete(self, time: float | None) -> None:
        if self._dropped:
            self._reset()
            return
        kind, flags = self._head[0] >> 4, self._head[0] & 0x0F
        name = codes.PACKETS[kind]
        size = len(self._head) + self._need
        body = bytes(self._body)
        whole = len(body) == self._need
        try:
            if kind == codes.PUBLISH:
                ident, fields = self._publish(flags, body)
            elif not whole:
                self._cut(
                    "bytes are missing from the recording" if self._missing else f"only {BODY_KEPT} bytes are kept",
                    time,
                )
                self._reset()
                return
            else:
                ident, fields = mqtt.fields_of(kind, flags, body, self._version)
        except mqtt.MqttError as error:
            if whole:
                self._malformed(name, str(error), size, time)
            else:
                self._cut("its topic is longer than what is kept" if not self._missing else "bytes are missing", time)
        else:
            self._bad = 0
            if kind == codes.CONNECT and self._client:
                self._shared.version = mqtt.version_of(fields["level"])
            version = self._shared.version
            shown = codes.VERSIONS[version] if version is not None else None
            detail = {"packet": name, "id": ident, "size": size, "version": shown, "fields": fields}
            if self._wrong_way(kind):
                fields.setdefault("problems", []).append(f"a {'client' if self._client else 'server'} sends no {name}")
            self._say("mqtt-packet", time, detail)
        self._reset()

    @property
    def _version(self) -> int:
        return self._shared.version or codes.V311

    def _wrong_way(self, kind: int) -> bool:
        return kind in (codes.FROM_SERVER if self._client else codes.FROM_CLIENT)

    def _malformed(self, name: str, reason: str, size: int, time: float | None) -> None:
        self._say("mqtt-malformed", time, {"packet": name, "reason": reason, "offset": self._begin, "size": size})
        self._bad += 1
        if self._bad == MALFORMED_MAX:
            self._lose(f"{MALFORMED_MAX} packets in a row are malformed", time)

    def _cut(self, reason: str, time: float | None) -> None:
        need = len(self._head) + self._need if self._need >= 0 else None
        have = len(self._head) + self._have - self._missing
        detail = {"packet": codes.packet_name(self._head[0] >> 4), "reason": reason, "offset": self._begin}
        self._say("mqtt-cut", time, detail | {"have": have, "need": need})

    def _publish(self, flags: int, body: bytes) -> tuple[int | None, dict[str, Any]]:
        """PUBLISH without construct, several times faster; what it says is the same (a test compares them).

        Raises:
            MqttError: What is kept of it does not parse.
        """
        size = len(body)
        if size < 2:
            raise mqtt.MqttError("it ends inside a field (topic)")
        at = 2 + (body[0] << 8 | body[1])
        ident = None
        if flags & 6:
            if size < at + 2:
                raise mqtt.MqttError(f"it ends inside a field ({'topic' if size < at else 'id'})")
            ident = body[at] << 8 | body[at + 1]
            behind = at + 2
        else:
            if size < at:
                raise mqtt.MqttError("it ends inside a field (topic)")
            behind = at
        found = None
        if self._version == codes.V5:
            if size == behind:
                raise mqtt.MqttError("it ends inside a field (properties)")
            if body[behind]:
                found, taken = _properties(body[behind:])
                behind += taken
            else:
                behind += 1
        problems: list[str] = []
        fields = mqtt.publish_fields(body[2:at], flags, found, body[behind:], self._need - behind, problems)
        if ident == 0:
            problems.insert(0, "the packet identifier is 0")
        if found:
            self._alias(fields, problems)
        if not fields["topic"] and "topic_alias" not in fields:
            problems.append("no topic")
        if problems:
            fields["problems"] = problems
        if self._missing:
            fields["missing"] = self._missing
        return ident, fields

    def _alias(self, fields: dict[str, Any], problems: list[str]) -> None:
        """A PUBLISH of MQTT 5 with properties: one with a topic and an alias sets it, one without a topic uses it."""
        alias = fields.get("properties", {}).get("topic_alias")
        if alias is None:
            return
        fields["topic_alias"] = alias
        topic, known = fields["topic"], self._aliases.get(alias)
        if not topic:
            if known is None:
                problems.append(f"topic alias {alias} stands for nothing that was seen")
            else:
                fields["topic"] = known
            return
        size = self._aliased + len(topic) - len(known or "")
        if size <= ALIASED_BYTES_MAX and (known is not None or len(self._aliases) < ALIASES_MAX):
            self._aliases[alias], self._aliased = topic, size
        elif known is not None:
            self._aliased -= len(known)
            del self._aliases[alias]


def _properties(data: bytes) -> tuple[list[Any], int]:
    """The properties at the beginning of these bytes, and how many bytes they are.

    Raises:
        MqttError: They do not parse.
    """
    size = at = 0
    while True:
        if at == len(data):
            raise mqtt.MqttError("it ends inside a field (properties)")
        if at == mqtt.VARIABLE_BYTES_MAX:
            raise mqtt.MqttError("a number has more than four bytes (properties)")
        size |= (data[at] & 0x7F) << 7 * at
        at += 1
        if data[at - 1] < 0x80:
            break
    raw = data[at : at + size]
    if len(raw) < size:
        raise mqtt.MqttError("it ends inside a field (properties)")
    parse = _remembered if size <= _SHORT_PROPERTIES else mqtt.parse_properties
    return parse(raw), at + size


@lru_cache(maxsize=256)
def _remembered(raw: bytes) -> list[Any]:
    return mqtt.parse_properties(raw)
