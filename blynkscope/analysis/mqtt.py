"""The MQTT of one stream in words: one record for each control packet, tied to the one that it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from blynkscope.analysis.era import FAIR, WEAK, era_of_host, era_of_token
from blynkscope.analysis.records import SCHEMA, LinkRecord, MessageRecord
from blynkscope.analysis.session import Happening
from blynkscope.protocol import limits, mqtt_topics
from blynkscope.protocol.model import Era
from blynkscope.protocol.mqtt_codes import ERRORS
from blynkscope.protocol.statuses import INVALID_TOKEN, SUCCESS
from blynkscope.wire.events import CLIENT

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.wire.facts import Fact

PAYLOAD_SHOWN = 2048
"""Characters of a payload that a record holds: values have 1024 bytes at most, batches and info a few hundred."""
VALUE_SHOWN = 80
"""Characters of one value in the line that a person reads."""
ITEMS_SHOWN = 8
"""Values of a batch, or topic filters, in that line."""
KEYS_MAX = 256
"""Members of a JSON object that are taken for values."""
_WORD_MAX = 60
_KINDS = {
    "CONNECT": "connect", "CONNACK": "connack", "PUBACK": "puback", "PUBREC": "pubrec", "PUBREL": "pubrel",
    "PUBCOMP": "pubcomp", "SUBSCRIBE": "subscribe", "SUBACK": "suback", "UNSUBSCRIBE": "unsubscribe",
    "UNSUBACK": "unsuback", "PINGREQ": "ping", "PINGRESP": "pong", "DISCONNECT": "disconnect", "AUTH": "auth",
}  # fmt: skip
_ANSWERS = {
    "PUBACK": "PUBLISH", "PUBREC": "PUBLISH", "PUBREL": "PUBREC", "PUBCOMP": "PUBREL", "SUBACK": "SUBSCRIBE",
    "UNSUBACK": "UNSUBSCRIBE", "PINGRESP": "PINGREQ", "CONNACK": "CONNECT",
}  # fmt: skip
"""What a packet answers: one of its peer with the same identifier."""
_ASKED = {"downlink-utc": "get-utc", "downlink-loc": "get-loc", "uplink-pong": "downlink-ping"}
"""What a message on one topic answers on another."""
_INFO = {"ver": "fw", "build": "build", "tmpl": "tmpl", "type": "fw-type", "rxbuff": "buff-in"}
"""Members of `info/mcu` by the keys that the hardware protocol has for them."""
_MARKS = {
    "mqtt-malformed": ("malformed", "malformed {packet}: {reason}"),
    "mqtt-cut": ("cut", "{packet} is not whole: {reason}"),
    "mqtt-lost": ("lost", "MQTT cannot be followed from here: {reason}"),
    "mqtt-resumed": ("resumed", "MQTT goes on behind {skipped} bytes that were passed over"),
}


def is_blynk(stream: Conversation, connect: dict[str, Any]) -> bool:
    """Is this connection to a broker meant for Blynk? Others are none of our business.

    Args:
        stream: The connection.
        connect: The fields of its CONNECT.
    """
    if connect.get("user") == mqtt_topics.USER or era_of_host(stream.host) is Era.IOT:
        return True
    will = (connect.get("will") or {}).get("topic") or ""
    tokens = (connect.get("password"), connect.get("user"))
    return any(era_of_token(one) is not None for one in tokens) or mqtt_topics.find(will) is not None


class MqttTalk:
    """Turns the facts of one stream into message records.

    What it hears of the session it tells the stream: the login and its answer, the heartbeat, the device's token and
    information.

    Args:
        stream: The connection.
    """

    def __init__(self, stream: Conversation) -> None:
        self._stream = stream
        self._waiting: dict[tuple[str, int, int | None], tuple[int, float | None]] = {}
        """Packets that wait for an answer by (packet or kind, direction, identifier): number and time. The longest
        unanswered one is forgotten for a new one."""
        self._names: dict[str, tuple[int, float | None]] = {}
        """Datastreams and fields that were asked for, as topics of the answer."""
        self._blynk = False

    def take(self, lane: Lane, fact: Fact, findings: tuple[str, ...]) -> list[MessageRecord | LinkRecord]:
        """The record of a fact; none where it is no fact of MQTT.

        Args:
            lane: The direction that it comes from.
            fact: What the reader of MQTT told.
            findings: Ids of the findings that it raised.
        """
        if fact.kind == "mqtt-packet":
            name: str = fact.detail["packet"]
            n = self._stream.run.next_message()
            kind, detail, text = self._packet(lane, fact, name, n)
            answers, rtt = self._answers(lane, fact, name, kind, detail, n)
            return [self._record(n, lane, fact, kind, name, detail, text, answers, rtt, findings)]
        if fact.kind in _MARKS:
            kind, words = _MARKS[fact.kind]
            name = fact.detail.get("packet") or "MQTT"
            text = words.format_map({**fact.detail, "packet": name})
            n = self._stream.run.next_message()
            return [self._record(n, lane, fact, kind, name, dict(fact.detail), text, None, None, findings)]
        return []

    def finish(self, time: float | None) -> list[MessageRecord | LinkRecord]:
        """The stream is over: nothing is left to tell."""
        self._waiting.clear()
        self._names.clear()
        return []

    def _record(
        self, n: int, lane: Lane, fact: Fact, kind: str, name: str, detail: dict[str, Any], text: str,
        answers: int | None, rtt: float | None, findings: tuple[str, ...],
    ) -> MessageRecord:  # fmt: skip
        stream = self._stream
        sender = "device" if lane.direction == CLIENT else "server"
        return MessageRecord(
            SCHEMA, n, fact.time, stream.number, lane.src, lane.dst, sender, lane.via, "mqtt", kind, name, detail,
            text, (), answers, rtt, findings,
        )  # fmt: skip

    # --- what a packet says ---

    def _packet(self, lane: Lane, fact: Fact, name: str, n: int) -> tuple[str, dict[str, Any], str]:
        """Kind, detail and line of a packet."""
        fields: dict[str, Any] = fact.detail["fields"]
        ident = fact.detail["id"]
        kind = _KINDS.get(name, mqtt_topics.OTHER)
        if name == "PUBLISH":
            kind, detail, text = publish(fields, ident)
            self._heard(kind, detail, fields)
        elif name == "CONNECT":
            detail, text = connect(fields)
            self._logs_in(lane, fields, fact.time)
        else:
            detail, text = other(name, ident, fields)
            if name == "CONNACK":
                self._let_in(lane, fields, fact.time)
            elif name == "PINGREQ" and lane.direction == CLIENT:
                self._stream.heartbeat.ping(fact.time)
        if fields.get("properties"):
            detail["properties"] = dict(fields["properties"])
            if "authentication_data" in detail["properties"]:
                # A secret in a form that nobody could recognise behind this.
                detail["properties"]["authentication_data"] = "(not shown)"
        if fields.get("problems"):
            detail["problems"] = fields["problems"]
            text += f" [{fields['problems'][0]}]"
        detail["size"] = fact.detail["size"]
        return kind, detail, text

    def _logs_in(self, lane: Lane, fields: dict[str, Any], time: float | None) -> None:
        stream = self._stream
        if lane.direction != CLIENT:
            return
        self._waiting.clear()
        self._blynk = is_blynk(stream, fields)
        if not self._blynk:
            return
        stream.session.happens(Happening.LOGIN, time)
        if fields["keep_alive"]:
            stream.heartbeat.announced = float(fields["keep_alive"])
        stream.evidence.device(Era.IOT, FAIR, "the device logs in by MQTT, which only Blynk IoT takes")
        token = fields.get("password")
        if not token:
            return
        stream.evidence.device(era_of_token(token), WEAK, "the token's form")
        # The number of a login is that of a frame; an MQTT login has none.
        device = stream.run.devices.logged_in(stream, token[: limits.PLAUSIBLE_TOKEN_BODY], 0)
        for one in device.connections:
            if one.stream == stream.number:
                one.login = None

    def _let_in(self, lane: Lane, fields: dict[str, Any], time: float | None) -> None:
        if lane.direction == CLIENT or not self._blynk:
            return
        self._stream.session.login_answered(INVALID_TOKEN if fields["code"] else SUCCESS, time)
        self._stream.evidence.server(Era.IOT, FAIR, "the server answers a login by MQTT, as Blynk IoT alone does")
        beat = fields.get("properties", {}).get("server_keep_alive")
        if beat and not fields["code"]:
            self._stream.heartbeat.announced = float(beat)

    def _heard(self, kind: str, detail: dict[str, Any], fields: dict[str, Any]) -> None:
        """What a message tells of the session and the device."""
        stream = self._stream
        if kind == "downlink-redirect":
            stream.session.happens(Happening.REDIRECT)
        elif kind == "uplink-info" and detail.get("values"):
            pairs = {_INFO[key]: str(value)[:_WORD_MAX] for key, value in detail["values"].items() if key in _INFO}
            stream.info |= pairs
            if stream.device is not None:
                stream.device.info = dict(stream.info)

    # --- what a packet answers ---

    def _answers(
        self, lane: Lane, fact: Fact, name: str, kind: str, detail: dict[str, Any], n: int
    ) -> tuple[int | None, float | None]:
        """Number of the message that a packet answers, and the milliseconds since then; it may wait for one itself."""
        direction, ident, time = lane.direction, fact.detail["id"], fact.time
        asked = None
        wanted = _ANSWERS.get(name)
        if wanted is not None:
            asked = self._waiting.pop((wanted, 1 - direction, ident), None)
        elif kind in _ASKED:
            asked = self._waiting.pop((_ASKED[kind], 1 - direction, None), None)
        elif name == "PUBLISH":
            asked = self._names.pop(detail["topic"], None)
        if (
            name in {"CONNECT", "SUBSCRIBE", "UNSUBSCRIBE", "PINGREQ", "PUBREL"}
            or (name == "PUBLISH" and ident)
            or (name == "PUBREC" and detail.get("code", 0) < ERRORS)
        ):
            if name == "PUBLISH" and not detail["dup"]:
                self._waiting.pop((name, direction, ident), None)  # the identifier is in use again
            self._wait((name, direction, ident), n, time)
        if kind in _ASKED.values():
            self._wait((kind, direction, None), n, time)
        elif kind in {"get-ds", "get-meta"}:
            for one in detail.get("asks_for") or ():
                self._ask(f"downlink/{kind[4:]}/{one}", n, time)
        if asked is None:
            return None, None
        rtt = (time - asked[1]) * 1000.0 if time is not None and asked[1] is not None else None
        return asked[0], rtt

    def _wait(self, key: tuple[str, int, int | None], n: int, time: float | None) -> None:
        waiting = self._waiting
        if key in waiting:
            return  # sent again: the first one counts
        if len(waiting) >= limits.PENDING_MAX:
            del waiting[next(iter(waiting))]
        waiting[key] = (n, time)

    def _ask(self, topic: str, n: int, time: float | None) -> None:
        names = self._names
        names.pop(topic, None)
        if len(names) >= limits.PENDING_MAX:
            del names[next(iter(names))]
        names[topic] = (n, time)


# --- words -----------------------------------------------------------------------------------------------------------


def connect(fields: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Detail and line of a CONNECT. The token is under `token`; a password that is none, under `password`."""
    user, password = fields["user"], fields["password"]
    detail: dict[str, Any] = {
        "protocol_version": fields["version"], "client_id": fields["client_id"], "keep_alive": fields["keep_alive"],
        "clean": fields["clean"],
    }  # fmt: skip
    words = ["CONNECT"]
    if user is not None and era_of_token(user) is not None:
        # Where a token stands in the place of the user's name, it is as secret as anywhere.
        detail["auth_token"] = user
        words.append(f"user {user} (a token)")
    else:
        detail["user"] = user
        words.append("no user" if user is None else f"user {user[:_WORD_MAX]}")
    if password is None:
        words.append("no password")
    elif user == mqtt_topics.USER or era_of_token(password) is not None:
        detail["token"] = password
        words.append("token " + _secret(password))
    else:
        detail["password"] = password
        words.append("password " + _secret(password))
    words.append(f"keep-alive {fields['keep_alive']} s" if fields["keep_alive"] else "no keep-alive")
    words.append("clean" if fields["clean"] else "session kept")
    if fields["version"] != "3.1.1":
        words.append(f"MQTT {fields['version'] or 'level ' + str(fields['level'])}")
    if "will" in fields:
        detail["will"] = fields["will"] | shown_payload(fields["will"])
        words.append(f"will on {fields['will']['topic'][:_WORD_MAX]}")
    return detail, f"{words[0]} {', '.join(words[1:])}"


def _secret(value: str) -> str:
    """A secret as the line holds it: whole, so that it can be found and masked, or not at all."""
    return value if len(value) <= limits.PLAUSIBLE_TOKEN_BODY else f"of {len(value)} characters"


def publish(fields: dict[str, Any], ident: int | None) -> tuple[str, dict[str, Any], str]:
    """Kind, detail and line of a PUBLISH."""
    topic: str = fields["topic"]
    named = mqtt_topics.find(topic)
    detail: dict[str, Any] = {
        "topic": topic, "qos": fields["qos"], "retain": fields["retain"], "dup": fields["dup"], "id": ident,
    }  # fmt: skip
    if "topic_alias" in fields:
        detail["topic_alias"] = fields["topic_alias"]
    payload: str | None = fields.get("payload")
    text = _shown(payload) if payload is not None else f"{fields['payload_size']} bytes"
    if named is None:
        kind, line = mqtt_topics.OTHER, f"on {topic[:_WORD_MAX] or 'no topic'}" + (f": {text}" if text else "")
    else:
        kind, line = named.topic.kind, named.words
        detail |= named.names
        if "datastream" in named.names and (pin := mqtt_topics.pin_of(named.names["datastream"])) is not None:
            detail["pin"] = pin
        line += _content(named.topic, payload, text, detail)
    detail |= shown_payload(fields)
    if "missing" in fields:
        detail["missing"] = fields["missing"]
    marks = [f"QoS {fields['qos']}"] if fields["qos"] else []
    marks += ["retained"] if fields["retain"] else []
    marks += ["sent again"] if fields["dup"] else []
    marks += [f"{fields['missing']} bytes missing"] if "missing" in fields else []
    return kind, detail, line + (f" ({', '.join(marks)})" if marks else "")


def _content(topic: mqtt_topics.Topic, payload: str | None, text: str, detail: dict[str, Any]) -> str:
    """What a payload says, by what its topic is for; values go to the detail."""
    form = topic.payload
    if form == mqtt_topics.VALUE and payload is not None:
        values = payload.split("\0") if len(payload) <= PAYLOAD_SHOWN else [payload[:PAYLOAD_SHOWN]]
        if len(values) == 1:
            detail["value"] = values[0]
        else:
            detail["values"] = values[:KEYS_MAX]
        return " = " + (_some(values) if len(values) > 1 else text or "(empty)")
    if form == mqtt_topics.JSON and payload is not None:
        found = flat(payload)
        if found is not None:
            detail["values"] = found
            return " " + _some(f"{_shown(key)} = {_value(value)}" for key, value in found.items())
    if form == mqtt_topics.NAMES and payload is not None:
        names = [name.strip() for name in payload[:PAYLOAD_SHOWN].split(",") if name.strip()]
        detail["asks_for"] = names[:KEYS_MAX]
        return " " + _some(names)
    if form == mqtt_topics.URI and payload is not None:
        target = mqtt_topics.target_of(payload)
        if target is not None:
            detail["host"], detail["port"] = target[:2]
        return f" to {text}"
    if not text:
        return ""
    return f" = {text}" if form == mqtt_topics.PLAIN and topic.kind in _ASSIGNED else f": {text}"


_ASSIGNED = frozenset({"uplink-property", "uplink-meta", "downlink-meta", "downlink-loc"})


def other(name: str, ident: int | None, fields: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Detail and line of any packet but CONNECT and PUBLISH."""
    detail: dict[str, Any] = {"id": ident} if ident is not None else {}
    text = name if ident is None else f"{name} {ident}"
    if name == "CONNACK":
        code = fields["code"]
        detail |= {"return_code": code, "reason": fields["reason"], "session_present": fields["session_present"]}
        if code:
            return detail, f"CONNACK refused: {code} {fields['reason']}"
        return detail, "CONNACK accepted" + (", session present" if fields["session_present"] else "")
    if "filters" in fields:
        detail |= {"filters": fields["filters"], "count": fields["count"]}
        filters = (
            one["topic"][:_WORD_MAX] + (f" (QoS {one['qos']})" if one.get("qos") else "") for one in fields["filters"]
        )
        return detail, f"{name} {_some(filters)}"
    if "codes" in fields:
        detail |= {key: fields[key] for key in ("count", "codes", "reasons", "failed")}
        return detail, f"{text}: {_some(fields['reasons'])}" if fields["reasons"] else text
    if "code" in fields:
        detail |= {"code": fields["code"], "reason": fields["reason"]}
        if fields["code"] or name in {"DISCONNECT", "AUTH"}:
            text += f": {fields['code']} {fields['reason']}" if fields["code"] else f": {fields['reason']}"
    return detail, text


def shown_payload(fields: dict[str, Any]) -> dict[str, Any]:
    """A payload as records hold it: `payload` or `payload_hex`, its size, and whether it is cut."""
    shown: dict[str, Any] = {"payload_size": fields["payload_size"]}
    cut = bool(fields.get("payload_cut"))
    for key in ("payload", "payload_hex"):
        if key in fields:
            shown[key] = fields[key][:PAYLOAD_SHOWN]
            cut = cut or len(fields[key]) > PAYLOAD_SHOWN
    if cut:
        shown["payload_cut"] = True
    return shown


def flat(payload: str) -> dict[str, Any] | None:
    """A JSON object of plain values, or lists of such; None for anything else."""
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError, ValueError):
        return None
    if not isinstance(found, dict) or not found or len(found) > KEYS_MAX:
        return None
    for value in found.values():
        if not all(_is_plain(item) for item in (value if isinstance(value, list) else (value,))):
            return None
    return found


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _shown(value)
    return _shown(msgspec.json.encode(value).decode())


def _shown(text: str) -> str:
    return text if len(text) <= VALUE_SHOWN else text[:VALUE_SHOWN] + "…"


def _some(items: Any) -> str:
    """The first of several, separated by commas."""
    shown = [_shown(item) for item in items]
    more = f" and {len(shown) - ITEMS_SHOWN} more" if len(shown) > ITEMS_SHOWN else ""
    return ", ".join(shown[:ITEMS_SHOWN]) + more
