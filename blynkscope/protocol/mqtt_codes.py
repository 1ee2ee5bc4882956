"""Names of MQTT: packets, properties, return codes of 3.1.1, reason codes of 5 (OASIS MQTT 3.1.1 and 5.0)."""

from __future__ import annotations

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 8, 9, 10, 11, 12, 13, 14, 15

PACKETS = {
    CONNECT: "CONNECT", CONNACK: "CONNACK", PUBLISH: "PUBLISH", PUBACK: "PUBACK", PUBREC: "PUBREC", PUBREL: "PUBREL",
    PUBCOMP: "PUBCOMP", SUBSCRIBE: "SUBSCRIBE", SUBACK: "SUBACK", UNSUBSCRIBE: "UNSUBSCRIBE", UNSUBACK: "UNSUBACK",
    PINGREQ: "PINGREQ", PINGRESP: "PINGRESP", DISCONNECT: "DISCONNECT", AUTH: "AUTH",
}  # fmt: skip
"""Control packets by the upper four bits of their first byte."""
FLAGS = {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}
"""The lower four bits that a packet must have; 0 for those that are not here, and PUBLISH has flags of its own."""

FROM_CLIENT = frozenset({CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ})
FROM_SERVER = frozenset({CONNACK, SUBACK, UNSUBACK, PINGRESP})
"""Packets that only one side sends. The others go both ways."""

V31, V311, V5 = 3, 4, 5
VERSIONS = {V31: "3.1", V311: "3.1.1", V5: "5"}
"""Protocol versions by the level that CONNECT states."""

RETURN_CODES = {
    0: "accepted", 1: "unacceptable protocol version", 2: "client identifier rejected", 3: "server unavailable",
    4: "bad user name or password", 5: "not authorized",
}  # fmt: skip
"""CONNACK of 3.1 and 3.1.1."""
SUBACK_CODES = {0: "maximum QoS 0", 1: "maximum QoS 1", 2: "maximum QoS 2", 0x80: "failure"}
"""SUBACK of 3.1 and 3.1.1."""

REASONS = {
    0x00: "success", 0x01: "granted QoS 1", 0x02: "granted QoS 2", 0x04: "disconnect with will message",
    0x10: "no matching subscribers", 0x11: "no subscription existed", 0x18: "continue authentication",
    0x19: "re-authenticate", 0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error",
    0x83: "implementation specific error", 0x84: "unsupported protocol version", 0x85: "client identifier not valid",
    0x86: "bad user name or password", 0x87: "not authorized", 0x88: "server unavailable", 0x89: "server busy",
    0x8A: "banned", 0x8B: "server shutting down", 0x8C: "bad authentication method", 0x8D: "keep alive timeout",
    0x8E: "session taken over", 0x8F: "topic filter invalid", 0x90: "topic name invalid",
    0x91: "packet identifier in use", 0x92: "packet identifier not found", 0x93: "receive maximum exceeded",
    0x94: "topic alias invalid", 0x95: "packet too large", 0x96: "message rate too high", 0x97: "quota exceeded",
    0x98: "administrative action", 0x99: "payload format invalid", 0x9A: "retain not supported",
    0x9B: "QoS not supported", 0x9C: "use another server", 0x9D: "server moved",
    0x9E: "shared subscriptions not supported", 0x9F: "connection rate exceeded", 0xA0: "maximum connect time",
    0xA1: "subscription identifiers not supported", 0xA2: "wildcard subscriptions not supported",
}  # fmt: skip
"""Reason codes of MQTT 5. The meaning of 0 is another one in SUBACK and DISCONNECT: see `reason_name`."""
ERRORS = 0x80
"""Reason codes from here on say that something failed."""

# What a property's value is.
BYTE, TWO, FOUR, VARIABLE, BINARY, TEXT, PAIR = "byte", "two", "four", "variable", "binary", "text", "pair"
WILL = 0
"""Stands for the properties of the will, which belong to no packet of their own."""
_ACKS = (PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK)
_ALL = (*(packet for packet in PACKETS if packet not in {PINGREQ, PINGRESP}), WILL)

PROPERTIES: dict[int, tuple[str, str, tuple[int, ...]]] = {
    0x01: ("payload_format_indicator", BYTE, (PUBLISH, WILL)),
    0x02: ("message_expiry_interval", FOUR, (PUBLISH, WILL)),
    0x03: ("content_type", TEXT, (PUBLISH, WILL)),
    0x08: ("response_topic", TEXT, (PUBLISH, WILL)),
    0x09: ("correlation_data", BINARY, (PUBLISH, WILL)),
    0x0B: ("subscription_identifier", VARIABLE, (PUBLISH, SUBSCRIBE)),
    0x11: ("session_expiry_interval", FOUR, (CONNECT, CONNACK, DISCONNECT)),
    0x12: ("assigned_client_identifier", TEXT, (CONNACK,)),
    0x13: ("server_keep_alive", TWO, (CONNACK,)),
    0x15: ("authentication_method", TEXT, (CONNECT, CONNACK, AUTH)),
    0x16: ("authentication_data", BINARY, (CONNECT, CONNACK, AUTH)),
    0x17: ("request_problem_information", BYTE, (CONNECT,)),
    0x18: ("will_delay_interval", FOUR, (WILL,)),
    0x19: ("request_response_information", BYTE, (CONNECT,)),
    0x1A: ("response_information", TEXT, (CONNACK,)),
    0x1C: ("server_reference", TEXT, (CONNACK, DISCONNECT)),
    0x1F: ("reason_string", TEXT, (CONNACK, *_ACKS, DISCONNECT, AUTH)),
    0x21: ("receive_maximum", TWO, (CONNECT, CONNACK)),
    0x22: ("topic_alias_maximum", TWO, (CONNECT, CONNACK)),
    0x23: ("topic_alias", TWO, (PUBLISH,)),
    0x24: ("maximum_qos", BYTE, (CONNACK,)),
    0x25: ("retain_available", BYTE, (CONNACK,)),
    0x26: ("user_property", PAIR, _ALL),
    0x27: ("maximum_packet_size", FOUR, (CONNECT, CONNACK)),
    0x28: ("wildcard_subscription_available", BYTE, (CONNACK,)),
    0x29: ("subscription_identifier_available", BYTE, (CONNACK,)),
    0x2A: ("shared_subscription_available", BYTE, (CONNACK,)),
}
"""Properties of MQTT 5 by identifier: name, what the value is, and the packets in which it may stand."""
REPEATED = frozenset({"user_property", "subscription_identifier"})
"""Properties that one packet may hold several times."""


def packet_name(kind: int) -> str:
    """`PUBLISH` for 3; the number where it is no control packet."""
    return PACKETS.get(kind, f"packet type {kind}")


def reason_name(packet: int, code: int, version: int | None) -> str:
    """What a return or reason code says in this packet; "unknown code" where the standard gives it no name."""
    if packet == CONNACK and (version != V5 or code in range(1, 6)):
        # A server without MQTT 5 refuses a client of version 5 with a code of 3.1.1.
        name = RETURN_CODES.get(code)
    elif packet == SUBACK and version != V5:
        name = SUBACK_CODES.get(code)
    elif code == 0 and packet == SUBACK:
        name = "granted QoS 0"
    elif code == 0 and packet == DISCONNECT:
        name = "normal disconnection"
    else:
        name = REASONS.get(code)
    return name or "unknown code"
