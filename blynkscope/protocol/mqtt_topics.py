"""The topics of Blynk's MQTT API as data: which side publishes them, what they are for, and what the payload holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

UP, DOWN = "device", "server"
"""Who publishes on a topic."""

PLAIN, VALUE, JSON, NAMES, URI, EMPTY = "text", "value", "json", "names", "uri", "empty"
"""What a payload holds: plain text, values of a datastream (separated by NUL), a JSON object, names with commas between
them, the address of a server, nothing."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of Blynk.

    Args:
        pattern: Levels with `{name}` for a level that varies; a name may not be empty.
        sender: UP or DOWN.
        kind: What a message on it is for, as in `MessageRecord.kind`.
        payload: What the payload holds.
        words: The topic in words; `{…}` as in the pattern.
        unasked: True where the server sends it without a subscription.
    """

    pattern: str
    sender: str
    kind: str
    payload: str
    words: str
    unasked: bool = False


TOPICS: tuple[Topic, ...] = (
    Topic("ds/{datastream}", UP, "uplink-ds", VALUE, "uplink ds {datastream}"),
    Topic("ds/{datastream}/prop/{property}", UP, "uplink-property", PLAIN, "uplink ds {datastream} {property}"),
    Topic("ds/{datastream}/erase", UP, "uplink-erase", EMPTY, "uplink ds {datastream}: erase"),
    Topic("batch_ds", UP, "uplink-batch", JSON, "uplink batch"),
    Topic("event/{event}", UP, "uplink-event", PLAIN, "uplink event {event}"),
    Topic("meta/{field}", UP, "uplink-meta", PLAIN, "uplink meta {field}"),
    Topic("get/ds", UP, "get-ds", NAMES, "asks for ds"),
    Topic("get/ds/all", UP, "get-ds", EMPTY, "asks for all ds"),
    Topic("get/meta", UP, "get-meta", NAMES, "asks for meta"),
    Topic("get/utc/all/json", UP, "get-utc", EMPTY, "asks for time and time zone"),
    Topic("get/loc/all", UP, "get-loc", EMPTY, "asks for its location"),
    Topic("info/mcu", UP, "uplink-info", JSON, "uplink info"),
    Topic("pong", UP, "uplink-pong", EMPTY, "uplink pong"),
    Topic("downlink/ds/{datastream}", DOWN, "downlink-ds", VALUE, "downlink ds {datastream}"),
    Topic("downlink/meta/{field}", DOWN, "downlink-meta", PLAIN, "downlink meta {field}"),
    Topic("downlink/utc/all/json", DOWN, "downlink-utc", JSON, "downlink time"),
    Topic("downlink/loc/all", DOWN, "downlink-loc", PLAIN, "downlink location"),
    Topic("downlink/ota/json", DOWN, "downlink-ota", JSON, "downlink ota", unasked=True),
    Topic("downlink/redirect", DOWN, "downlink-redirect", URI, "downlink redirect", unasked=True),
    Topic("downlink/ping", DOWN, "downlink-ping", EMPTY, "downlink ping"),
    Topic("downlink/reboot", DOWN, "downlink-reboot", EMPTY, "downlink reboot"),
    Topic("downlink/reconfigure", DOWN, "downlink-reconfigure", EMPTY, "downlink reconfigure"),
    Topic("downlink/diag", DOWN, "downlink-diag", PLAIN, "downlink diagnostics"),
)
DOWNLINK = "downlink/"
"""What the server publishes, and all that a device may subscribe to, begins with this."""
OTHER = "other-topic"
"""The kind of a message on any other topic."""
USER = "device"
"""The user name of every device."""
KEEP_ALIVE = 45
"""Seconds that Blynk recommends for the keep-alive."""
CLIENT_ID_MAX = 64
"""Characters of a client id that the server takes."""
VALUE_MAX = 1024
"""Bytes of a value, as published."""
_PIN_DIGITS = 3
_URI_MAX = 300


@dataclass(frozen=True, slots=True)
class Named:
    """A topic of Blynk with the names that stand in it."""

    topic: Topic
    names: dict[str, str]

    @property
    def words(self) -> str:
        """The topic in words."""
        return self.topic.words.format_map({name: value or "(no name)" for name, value in self.names.items()})


@lru_cache(maxsize=1024)
def find(topic: str) -> Named | None:
    """The topic of Blynk that this one is; None where it is none."""
    levels = topic.split("/", 5)
    for row, wanted in _ROWS:
        if len(wanted) == len(levels):
            names = _match(wanted, levels)
            if names is not None:
                return Named(row, names)
    return None


def _match(wanted: list[str], levels: list[str]) -> dict[str, str] | None:
    names = {}
    for pattern, level in zip(wanted, levels, strict=True):
        if pattern.startswith("{"):
            if not level:
                return None
            names[pattern[1:-1]] = level
        elif pattern != level:
            return None
    return names


_ROWS = tuple((row, row.pattern.split("/")) for row in TOPICS)


def pin_of(datastream: str) -> str | None:
    """`V1` where a datastream is named like a virtual pin, in any case; None for every other name."""
    if datastream[:1] in {"V", "v"} and datastream[1:].isascii() and datastream[1:].isdigit():
        digits = datastream[1:]
        if len(digits) <= _PIN_DIGITS and str(int(digits)) == digits:
            return "V" + digits
    return None


def covers(wanted: str, topic: str) -> bool:
    """Does a topic filter (with `+` and `#`) cover this topic?"""
    mine, levels = wanted.split("/"), topic.split("/")
    for at, level in enumerate(mine):
        if level == "#":
            return True
        if at >= len(levels) or level not in {"+", levels[at]}:
            return False
    return len(mine) == len(levels)


def target_of(payload: str) -> tuple[str, int | None, str | None] | None:
    """Where a redirect leads: host, port, scheme, as in `mqtts://ny3.blynk.cloud:8883/` or `host:port`.

    None where there is no host in it.
    """
    text = payload.strip()[:_URI_MAX]
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "", text
    place = rest.partition("/")[0].rpartition("@")[2]
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = place.partition(":")
    if not host or any(char.isspace() or not char.isprintable() for char in host):
        return None
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else None
    return host, number, scheme.lower() or None


def hears_downlink(wanted: str) -> bool:
    """Does this topic filter bring anything that the server publishes?"""
    levels = wanted.split("/")
    return levels[0] in {"#", "+", "downlink"} and (levels[0] == "#" or len(levels) > 1)
