"""The control packets of MQTT 3.1, 3.1.1 and 5 as one construct schema, and what they say as plain fields.

A body parses with its packet type, its version and the flags of its first byte. `build(parse(body)) == body` holds for
every body that parses, but for numbers of variable length that were written longer than they need be. Repeated parts
read to the end of their bytes and are bounded; nothing here spins on elements of no width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import construct as con

from blynkscope.protocol import mqtt_codes as codes
from blynkscope.protocol.mqtt_codes import (
    AUTH,
    CONNACK,
    CONNECT,
    DISCONNECT,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    V5,
    WILL,
)  # fmt: skip
from blynkscope.protocol.schema import readable

# construct's classes take type arguments in its stubs only.
if TYPE_CHECKING:
    _Element = con.Construct[Any, Any]
    _Wrapper = con.Subconstruct[Any, Any, Any, Any]
else:
    _Element = con.Construct
    _Wrapper = con.Subconstruct

ITEMS_MAX = 1024
"""Topic filters or properties of one packet that are read: brokers take a handful, and AWS refuses more than eight."""
SHOWN_MAX = 64
"""Of them, and of their codes, so many are told one by one."""
VARIABLE_BYTES_MAX = 4
"""Bytes of a number of variable length."""
TOPIC_MAX = 0xFFFF
"""Bytes of a text."""
_LEVELS = frozenset({codes.V31, codes.V311, V5})
_BRIDGE = 0x80
"""Bridges of mosquitto set this bit of the protocol level."""


class MqttError(ValueError):
    """The body of a control packet does not parse."""


# --- construct elements -----------------------------------------------------------------------------------------------


class Variable(_Element):
    """A number in one to four bytes of seven bits, the lowest first."""

    def _parse(self, stream: Any, context: Any, path: str) -> int:
        number = shift = 0
        for _ in range(VARIABLE_BYTES_MAX):
            byte = con.stream_read(stream, 1, path)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
        raise con.IntegerError("a number has more than four bytes", path=path)

    def _build(self, obj: int, stream: Any, context: Any, path: str) -> int:
        stream.write(variable(obj))
        return obj


def variable(number: int) -> bytes:
    """A number of variable length as bytes.

    Raises:
        construct.IntegerError: It does not fit into four bytes.
    """
    if not 0 <= number < 1 << 7 * VARIABLE_BYTES_MAX:
        raise con.IntegerError(f"{number} does not fit into four bytes")
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _ended(stream: Any) -> bool:
    """Are no bytes left? Offsets cannot tell: construct counts those of inner streams from the outermost."""
    at = stream.tell()
    ended = not stream.read(1)
    stream.seek(at)
    return ended


class Many(_Wrapper):
    """The element again and again, up to the end of the bytes. An element that takes none ends at ITEMS_MAX."""

    def _parse(self, stream: Any, context: Any, path: str) -> list[Any]:
        found: list[Any] = []
        while not _ended(stream):
            if len(found) == ITEMS_MAX:
                raise con.RangeError(f"more than {ITEMS_MAX} items", path=path)
            found.append(self.subcon._parsereport(stream, context, path))
        return found

    def _build(self, obj: list[Any], stream: Any, context: Any, path: str) -> Any:
        for item in obj:
            self.subcon._build(item, stream, context, path)
        return obj


class UnlessEnded(_Wrapper):
    """The element, or None where no bytes are left."""

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        if _ended(stream):
            return None
        return self.subcon._parsereport(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        return None if obj is None else self.subcon._build(obj, stream, context, path)


def _version5(context: Any) -> bool:
    return bool(context._params.version == V5)


def _in5(element: Any) -> Any:
    """The element in MQTT 5, nothing before it."""
    return con.If(_version5, element)


Data = con.Prefixed(con.Int16ub, con.GreedyBytes)
"""Bytes behind their length of two bytes: a text in UTF-8, or binary data."""

Property = con.Struct(
    "id" / Variable(),
    "value" / con.Switch(
        lambda context: codes.PROPERTIES[context.id][1] if context.id in codes.PROPERTIES else None,
        {
            codes.BYTE: con.Byte, codes.TWO: con.Int16ub, codes.FOUR: con.Int32ub, codes.VARIABLE: Variable(),
            codes.BINARY: Data, codes.TEXT: Data, codes.PAIR: con.Struct("name" / Data, "value" / Data),
        },
        default=con.Error,
    ),
)  # fmt: skip
"""One property of MQTT 5."""
_LISTED = Many(Property)
Properties = con.Prefixed(Variable(), _LISTED)

ConnectFlags = con.BitStruct(
    "user" / con.Flag, "password" / con.Flag, "will_retain" / con.Flag, "will_qos" / con.BitsInteger(2),
    "will" / con.Flag, "clean" / con.Flag, "reserved" / con.Flag,
)  # fmt: skip

_ACKNOWLEDGED = con.Struct(
    "id" / con.Int16ub,
    "reason" / _in5(UnlessEnded(con.Byte)),
    "properties" / _in5(UnlessEnded(Properties)),
)
_REASONED = con.Struct(
    "reason" / _in5(UnlessEnded(con.Byte)),
    "properties" / _in5(UnlessEnded(Properties)),
)

BODIES: dict[int, Any] = {
    CONNECT: con.Struct(
        "protocol" / Data,
        "level" / con.Byte,
        "flags" / ConnectFlags,
        "keep_alive" / con.Int16ub,
        "properties" / con.If(lambda context: context.level & 0x7F == V5, Properties),
        "client_id" / Data,
        "will_properties" / con.If(lambda context: context.flags["will"] and context.level & 0x7F == V5, Properties),
        "will_topic" / con.If(con.this.flags.will, Data),
        "will_payload" / con.If(con.this.flags.will, Data),
        "user" / con.If(con.this.flags.user, Data),
        "password" / con.If(con.this.flags.password, Data),
    ),
    CONNACK: con.Struct(
        "flags" / con.Byte,
        "reason" / con.Byte,
        # Servers without MQTT 5 answer its clients in the form of 3.1.1.
        "properties" / _in5(UnlessEnded(Properties)),
    ),
    PUBLISH: con.Struct(
        "topic" / Data,
        "id" / con.If(lambda context: context._params.flags >> 1 & 3, con.Int16ub),
        "properties" / _in5(Properties),
        "payload" / con.GreedyBytes,
    ),
    PUBACK: _ACKNOWLEDGED,
    PUBREC: _ACKNOWLEDGED,
    PUBREL: _ACKNOWLEDGED,
    PUBCOMP: _ACKNOWLEDGED,
    SUBSCRIBE: con.Struct(
        "id" / con.Int16ub,
        "properties" / _in5(Properties),
        "filters" / Many(con.Struct("topic" / Data, "options" / con.Byte)),
    ),
    SUBACK: con.Struct("id" / con.Int16ub, "properties" / _in5(Properties), "reasons" / con.GreedyBytes),
    UNSUBSCRIBE: con.Struct("id" / con.Int16ub, "properties" / _in5(Properties), "filters" / Many(Data)),
    UNSUBACK: con.Struct(
        "id" / con.Int16ub, "properties" / _in5(Properties), "reasons" / _in5(con.GreedyBytes)
    ),
    codes.PINGREQ: con.Struct(),
    codes.PINGRESP: con.Struct(),
    DISCONNECT: _REASONED,
    AUTH: _REASONED,
}  # fmt: skip
"""Bodies by packet type. They take `version` and `flags` (the lower four bits of the first byte) as parameters."""


def parse(kind: int, flags: int, body: bytes, version: int) -> Any:
    """The body of a control packet as a container.

    Args:
        kind: Packet type, 1 to 15.
        flags: The lower four bits of its first byte.
        body: What follows the remaining length.
        version: 3, 4 or 5. A CONNECT states its own.

    Raises:
        MqttError: It does not parse, or bytes are left over.
    """
    schema = BODIES.get(kind)
    if schema is None:
        raise MqttError("no packet has this type")
    try:
        parsed, rest = _whole.parse(body, schema=schema, version=version, flags=flags)
    except con.ConstructError as error:
        raise MqttError(_why(error)) from None
    if rest:
        raise MqttError(f"{rest} bytes follow its last field")
    return parsed


def parse_properties(raw: bytes) -> list[Any]:
    """Properties without their length, as containers.

    Raises:
        MqttError: They do not parse.
    """
    try:
        return list(_LISTED.parse(raw))
    except con.ConstructError as error:
        raise MqttError(_why(error)) from None


class _Whole(_Element):
    """A body, and how many bytes follow it."""

    def _parse(self, stream: Any, context: Any, path: str) -> tuple[Any, int]:
        parsed = context._params.schema._parsereport(stream, context, path)
        return parsed, len(stream.read())


_whole = _Whole()


def _why(error: con.ConstructError) -> str:
    """The first line of construct's reason, and the field."""
    if isinstance(error, con.StreamError):
        reason = "it ends inside a field"
    elif isinstance(error, con.ExplicitError):
        reason = "a property that MQTT 5 does not know"
    else:
        reason = str(error).strip().splitlines()[-1]
    field = (error.path or "").rpartition("->")[2].strip().removeprefix("(parsing)").strip()
    return f"{reason} ({field})" if field else reason


def build(kind: int, flags: int, body: Any, version: int) -> bytes:
    """A whole control packet from the container of its body, in which parts that are not there may be left out.

    Raises:
        construct.ConstructError: The container does not fit the schema.
    """
    schema = BODIES[kind]
    absent = {part.name: None for part in schema.subcons}
    raw = schema.build(absent | body, version=version, flags=flags)
    return bytes([kind << 4 | flags]) + variable(len(raw)) + bytes(raw)


# --- fields -----------------------------------------------------------------------------------------------------------


def version_of(level: int) -> int | None:
    """The version that a CONNECT states, without the mark of bridges; None where there is no such version."""
    version = level & ~_BRIDGE
    return version if version in _LEVELS else None


def text(raw: bytes, name: str, problems: list[str]) -> str:
    """A text of a packet; what its bytes do wrong goes to `problems`."""
    try:
        value = raw.decode("utf-8")
    except UnicodeDecodeError:
        problems.append(f"{name} is not UTF-8")
        return readable(raw)
    if "\0" in value:
        problems.append(f"{name} holds a NUL")
    return value


def properties(found: list[Any] | None, packet: int, problems: list[str]) -> dict[str, Any]:
    """Properties by name: numbers, texts, bytes as hex; a list of values where a property may be repeated.

    User properties are a list of `[name, value]`.
    """
    shown: dict[str, Any] = {}
    for one in found or ():
        name, kind, packets = codes.PROPERTIES[one.id]
        if packet not in packets:
            problems.append(f"{name} does not belong into {'a will' if packet == WILL else codes.PACKETS[packet]}")
        value = one.value
        if kind == codes.TEXT:
            value = text(value, name, problems)
        elif kind == codes.BINARY:
            value = value.hex()
        elif kind == codes.PAIR:
            value = [text(value.name, name, problems), text(value.value, name, problems)]
        if name not in codes.REPEATED:
            if name in shown:
                problems.append(f"{name} stands there twice")
            shown[name] = value
        elif len(shown.setdefault(name, [])) < SHOWN_MAX:
            shown[name].append(value)
    return shown


def connect_fields(parsed: Any, problems: list[str]) -> dict[str, Any]:
    """CONNECT: who connects, and how."""
    flags = parsed.flags
    protocol = text(parsed.protocol, "the protocol name", problems)
    version = version_of(parsed.level)
    if version is None:
        problems.append(f"there is no protocol level {parsed.level}")
    elif protocol != ("MQIsdp" if version == codes.V31 else "MQTT"):
        problems.append("the protocol name does not fit the level")
    if flags.reserved:
        problems.append("the reserved flag is set")
    if flags.will_qos == 3:
        problems.append("the will has QoS 3")
    if flags.password and not flags.user and version != V5:
        problems.append("a password without a user name")
    fields: dict[str, Any] = {
        "protocol": protocol, "level": parsed.level,
        "version": codes.VERSIONS[version] if version is not None else None,
        "clean": flags.clean, "keep_alive": parsed.keep_alive,
        "client_id": text(parsed.client_id, "the client id", problems),
        "user": None if parsed.user is None else text(parsed.user, "the user name", problems),
        "password": None if parsed.password is None else readable(parsed.password),
    }  # fmt: skip
    if parsed.level & _BRIDGE:
        fields["bridge"] = True
    if parsed.properties:
        fields["properties"] = properties(parsed.properties, CONNECT, problems)
    if flags.will:
        fields["will"] = {
            "topic": text(parsed.will_topic, "the will's topic", problems), "qos": flags.will_qos,
            "retain": flags.will_retain, **payload_fields(parsed.will_payload, len(parsed.will_payload)),
        }  # fmt: skip
        if parsed.will_properties:
            fields["will"]["properties"] = properties(parsed.will_properties, WILL, problems)
    return fields


def payload_fields(kept: bytes, size: int) -> dict[str, Any]:
    """A payload as `payload` where it is text, as `payload_hex` where it is not, and its `payload_size` in bytes.

    Args:
        kept: The bytes that were kept: the beginning, or all.
        size: Bytes of the whole payload.
    """
    whole = kept
    if len(kept) < size:
        # A character of several bytes may have been cut in two.
        for back in range(1, min(4, len(kept) + 1)):
            if kept[-back] >= 0xC0:
                whole = kept[:-back]
                break
            if kept[-back] < 0x80:
                break
    try:
        shown: dict[str, Any] = {"payload": whole.decode("utf-8")}
    except UnicodeDecodeError:
        shown = {"payload_hex": kept.hex()}
    shown["payload_size"] = size
    if len(kept) < size:
        shown["payload_cut"] = True
    return shown


def publish_fields(
    topic: bytes, flags: int, found: list[Any] | None, payload: bytes, size: int, problems: list[str]
) -> dict[str, Any]:
    """PUBLISH: topic and payload, of which `size` bytes were sent."""
    qos = flags >> 1 & 3
    if qos == 3:
        problems.append("QoS 3")
    elif flags & 8 and not qos:
        problems.append("DUP without QoS")
    name = text(topic, "the topic", problems)
    if "#" in name or "+" in name:
        problems.append("a wildcard in the topic")
    fields: dict[str, Any] = {"topic": name, "qos": qos, "retain": bool(flags & 1), "dup": bool(flags & 8)}
    fields |= payload_fields(payload, size)
    if found:
        fields["properties"] = properties(found, PUBLISH, problems)
    return fields


def _reason(fields: dict[str, Any], packet: int, code: int | None, version: int | None) -> None:
    # MQTT 5 leaves out a reason that is 0.
    code = 0 if code is None else code
    fields["code"], fields["reason"] = code, codes.reason_name(packet, code, version)


def _reasons(fields: dict[str, Any], packet: int, found: bytes, version: int | None) -> None:
    fields["count"] = len(found)
    fields["codes"] = list(found[:SHOWN_MAX])
    fields["reasons"] = [codes.reason_name(packet, code, version) for code in found[:SHOWN_MAX]]
    fields["failed"] = sum(code >= codes.ERRORS for code in found)


def fields_of(kind: int, flags: int, body: bytes, version: int) -> tuple[int | None, dict[str, Any]]:
    """Packet identifier and fields of a control packet, in plain JSON values; `problems` lists what breaks the rules.

    Raises:
        MqttError: The body does not parse.
    """
    parsed = parse(kind, flags, body, version)
    problems: list[str] = []
    if kind != PUBLISH and flags != codes.FLAGS.get(kind, 0):
        problems.append(f"the flags of its first byte are {flags}")
    ident: int | None = parsed.get("id")
    if ident == 0:
        problems.append("the packet identifier is 0")
    if kind == CONNECT:
        fields = connect_fields(parsed, problems)
    elif kind == PUBLISH:
        fields = publish_fields(parsed.topic, flags, parsed.properties, parsed.payload, len(parsed.payload), problems)
    else:
        fields = {}
        if kind == CONNACK:
            fields["session_present"] = bool(parsed.flags & 1)
            _reason(fields, kind, parsed.reason, version)
        elif kind == SUBSCRIBE:
            fields["count"] = len(parsed.filters)
            fields["filters"] = [
                {"topic": text(one.topic, "a topic filter", problems), "qos": one.options & 3}
                for one in parsed.filters[:SHOWN_MAX]
            ]
        elif kind == UNSUBSCRIBE:
            fields["count"] = len(parsed.filters)
            fields["filters"] = [{"topic": text(one, "a topic filter", problems)} for one in parsed.filters[:SHOWN_MAX]]
        elif kind in {SUBACK, UNSUBACK}:
            _reasons(fields, kind, parsed.reasons or b"", version)
        elif version == V5 and "reason" in parsed:
            _reason(fields, kind, parsed.reason, version)
        if kind in {SUBSCRIBE, UNSUBSCRIBE} and not parsed.filters:
            problems.append("no topic filter")
        if parsed.get("properties"):
            fields["properties"] = properties(parsed.properties, kind, problems)
    if problems:
        fields["problems"] = problems[:SHOWN_MAX]
    return ident, fields
