"""BS323 to BS327 and BS330 to BS333: what is said by MQTT on a connection that is logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blynkscope.analysis.mqtt import flat
from blynkscope.analysis.rules.mqtt import MqttRule
from blynkscope.analysis.rules.quotes import quote
from blynkscope.analysis.rules.words import closed_by_server, failed, first_time, seconds, times
from blynkscope.analysis.session import State
from blynkscope.analysis.tempo import Tempo
from blynkscope.protocol import limits, mqtt_topics
from blynkscope.protocol.mqtt_codes import ERRORS
from blynkscope.protocol.mqtt_topics import DOWNLINK, VALUE_MAX
from blynkscope.wire.events import CLIENT, SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.rule import StreamRule
    from blynkscope.wire.events import Closed
    from blynkscope.wire.facts import Fact

TOPICS_MAX = 16
"""Different strange topics of one stream that are told apart."""
PUBLISHED_LIMIT = 50
"""Messages a second that a device may send, by Blynk IoT's documentation."""
OLD_LIMIT = 20
"""The same by older texts and the forum (10 to 20)."""
ACK_PATIENCE = 5.0
"""Seconds in which a PUBACK must come; brokers answer within a round trip."""
SUBSCRIBE_PATIENCE = 5.0
"""Seconds after its login in which a device has subscribed, where it means to."""
SUCCESSFUL = frozenset({0x00, 0x04, 0x8E})
"""Reasons of a server's DISCONNECT that are no complaint: that of a session taken over is told by BS216."""


def _near(topic: str) -> str:
    """What a strange topic was probably meant to be, in a sentence; empty where nothing is near."""
    if topic.startswith(DOWNLINK):
        up = topic.removeprefix(DOWNLINK)
        if mqtt_topics.find(up) is not None:
            return f" Topics below {DOWNLINK} are what the server sends; a device publishes on {quote(up)}."
        return f" Topics below {DOWNLINK} are what the server sends."
    plain = topic.strip().strip("/")
    if plain in {"ds", "meta", "event"}:
        return f" The name is missing: it is {plain}/NAME."
    first, slash, rest = plain.partition("/")
    for one in (plain, first.lower() + slash + rest, plain.lower()):
        if one != topic and mqtt_topics.find(one) is not None:
            return f" It should be {quote(one)}: no slash leads or follows, and case matters."
    levels = plain.split("/")
    if levels[0] == "ds" and len(levels) == 3:
        return " A property is set on ds/NAME/prop/PROPERTY."
    if mqtt_topics.pin_of(plain) is not None:
        return f" A value is published on {quote('ds/' + plain)}."
    return ""


class MqttTopics(MqttRule):
    """BS323, BS325, BS332, BS333."""

    def packet(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """See `MqttRule`."""
        name, fields = fact.detail["packet"], fact.detail["fields"]
        if lane.direction == SERVER:
            self._server(stream, name, fields)
        elif name == "PUBLISH" and fields["topic"]:
            topic = fields["topic"]
            named = mqtt_topics.find(topic)
            if named is None or named.topic.sender != mqtt_topics.UP:
                self._strange(memory, topic)
            else:
                self._payload(stream, named, fields, memory)

    def _strange(self, memory: dict[str, Any], topic: str) -> None:
        seen = memory.setdefault("topics", {})
        if topic in seen:
            seen[topic][1] += 1
        elif len(seen) < TOPICS_MAX:
            seen[topic] = [self.number(), 1]

    def _payload(
        self, stream: Conversation, named: mqtt_topics.Named, fields: dict[str, Any], memory: dict[str, Any]
    ) -> None:
        kind, size, payload = named.topic.kind, fields["payload_size"], fields.get("payload")
        whole = "missing" not in fields and "payload_cut" not in fields
        if kind == "uplink-ds":
            if size > VALUE_MAX and not memory.get("long"):
                memory["long"] = True
                self.report(
                    "BS325", stream, detail=f"Message {self.number()} carries a value of {size} bytes on "
                    f"{quote(fields['topic'])}; a datastream holds {VALUE_MAX}.",
                )  # fmt: skip
            elif payload is not None and whole and payload[:1] in {'"', "{"} and flat(payload) is not None:
                self._form(stream, memory, fields, "a JSON object where one value in plain text belongs")
        elif named.topic.payload == mqtt_topics.JSON and whole and (payload is None or flat(payload) is None):
            self._form(stream, memory, fields, "no JSON object of plain values")

    def _form(self, stream: Conversation, memory: dict[str, Any], fields: dict[str, Any], what: str) -> None:
        if memory.get("form"):
            return
        memory["form"] = True
        said = f": {quote(fields['payload'])}" if fields.get("payload") else ""
        self.report(
            "BS333", stream, detail=f"Message {self.number()} on {quote(fields['topic'])} holds {what}{said}."
        )  # fmt: skip

    def _server(self, stream: Conversation, name: str, fields: dict[str, Any]) -> None:
        if name == "PUBLISH" and fields["topic"] == "downlink/diag":
            said = quote(fields.get("payload") or "", 120)
            if first_time(stream, f"BS332 {said}"):
                self.report("BS332", stream, detail=f"Message {self.number()} on downlink/diag: {said}.")
        elif name == "DISCONNECT" and fields.get("code", 0) >= ERRORS and fields["code"] not in SUCCESSFUL:
            why = fields.get("properties", {}).get("reason_string")
            said = f" ({quote(why, 80)})" if why else ""
            detail = f"Message {self.number()}: the broker closes the connection with {fields['code']}"
            if first_time(stream, f"BS332 {fields['code']}"):
                self.report("BS332", stream, detail=f"{detail} ({fields['reason']}){said}.")

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if failed(stream):
            return
        for topic, (first, count) in memory.get("topics", {}).items():
            if first_time(stream, f"BS323 {topic[:64]}"):
                near = _near(topic)
                converter = "" if near else " Only a template with an MQTT data converter takes it."
                self.report(
                    "BS323", stream, count=count,
                    detail=f"The device published on {quote(topic)} {times(count)}, first in message {first}.{near}"
                    f"{converter}",
                )  # fmt: skip


class MqttSubscriptions(MqttRule):
    """BS324, BS331."""

    def packet(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """See `MqttRule`."""
        name, fields = fact.detail["packet"], fact.detail["fields"]
        if name == "CONNACK":
            memory.setdefault("since", fact.time)
        elif name == "SUBSCRIBE" and lane.direction == CLIENT:
            asked = memory.setdefault("asked", {})
            if len(asked) < limits.PENDING_MAX:
                asked[fact.detail["id"]] = (self.number(), [one["topic"] for one in fields["filters"]])
            if any(mqtt_topics.hears_downlink(one["topic"]) for one in fields["filters"]):
                memory["hears"] = True
        elif name == "SUBACK" and lane.direction == SERVER:
            n, filters = memory.get("asked", {}).pop(fact.detail["id"], (None, []))
            if fields["failed"] and n is not None:
                self._refused(stream, fields, n, filters)
        elif name == "PUBLISH" and lane.direction == CLIENT and fields["topic"].startswith("get/"):
            memory.setdefault("gets", (self.number(), fields["topic"]))

    def _refused(self, stream: Conversation, fields: dict[str, Any], n: int, filters: list[str]) -> None:
        pairs = zip(filters, fields["codes"], fields["reasons"], strict=False)
        refused = [(topic, code, reason) for topic, code, reason in pairs if code >= ERRORS]
        if not refused or not first_time(stream, f"BS331 {refused[0][0][:64]}"):
            return
        topic, code, reason = refused[0]
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        outside = "" if mqtt_topics.hears_downlink(topic) else f" It is not below {DOWNLINK}."
        self.report(
            "BS331", stream, count=fields["failed"],
            detail=f"Message {n} subscribes to {quote(topic)}{more}, and the broker refused with {code} ({reason})."
            f"{outside}",
        )  # fmt: skip

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if not memory["accepted"] or memory.get("hears") or memory["lost"] or failed(stream):
            return
        if stream.session.state is State.REDIRECTED:
            return
        since, end = memory.get("since"), event.time
        online = end - since if end is not None and since is not None else 0.0
        gets = memory.get("gets")
        if (gets is None and online < SUBSCRIBE_PATIENCE) or not first_time(stream, "BS324"):
            return
        if gets is not None:
            self.report(
                "BS324", stream, severity="warning", detail=f"The device asks on {quote(gets[1])} (message {gets[0]}), "
                "but without a subscription it does not get the answer.",
            )  # fmt: skip
            return
        self.report(
            "BS324", stream, detail=f"In {seconds(online)} after its login the device subscribed to nothing below "
            f"{DOWNLINK}.",
        )  # fmt: skip


class MqttPace(MqttRule):
    """BS326."""

    def packet(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """See `MqttRule`."""
        if lane.direction == CLIENT and fact.detail["packet"] == "PUBLISH":
            tempo = memory.get("tempo")
            if tempo is None:
                tempo = memory["tempo"] = Tempo()
            tempo.take(1, fact.time)

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        tempo: Tempo | None = self.of(stream).get("tempo")
        if tempo is None or failed(stream):
            return
        mean = tempo.mean
        if tempo.peak > PUBLISHED_LIMIT:
            severity, limit = None, f"Blynk IoT takes {PUBLISHED_LIMIT} a second."
        elif mean is not None and mean > OLD_LIMIT:
            severity = "note"
            limit = (
                f"Blynk IoT takes {PUBLISHED_LIMIT} a second by its documentation, 10 to {OLD_LIMIT} by older texts."
            )
        else:
            return
        on_average = f", {mean:.0f} a second on average" if mean is not None else ""
        closed = " The server then closed the connection." if closed_by_server(stream, event) else ""
        self.report(
            "BS326", stream, count=tempo.count, severity=severity,
            detail=f"The device published up to {tempo.peak} messages in one second{on_average}. {limit}{closed}",
        )  # fmt: skip


class MqttAcknowledgements(MqttRule):
    """BS327."""

    def packet(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """See `MqttRule`."""
        name, ident = fact.detail["packet"], fact.detail["id"]
        if name == "PUBLISH" and ident and lane.direction == CLIENT:
            open_ = memory.setdefault("open", {})
            if ident in open_ and not fact.detail["fields"]["dup"]:
                self._missed(memory, *open_.pop(ident))  # its identifier is in use for another message
            if ident not in open_:
                if len(open_) >= limits.PENDING_MAX:
                    self._missed(memory, *open_.pop(next(iter(open_))))
                open_[ident] = (self.number(), fact.time)
        elif name in {"PUBACK", "PUBREC", "PUBCOMP"} and lane.direction == SERVER:
            memory.get("open", {}).pop(ident, None)

    @staticmethod
    def _missed(memory: dict[str, Any], n: int, time: float | None) -> None:
        memory["missed"] = memory.get("missed", 0) + 1
        memory.setdefault("first", n)

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        heard = event.heard[SERVER if stream.server is stream.lanes[SERVER] else CLIENT]
        if memory["lost"] or failed(stream) or not heard:
            return
        for n, asked in memory.get("open", {}).values():
            # The last ones may have been on their way when the recording or the connection ended.
            if event.time is not None and asked is not None and event.time - asked >= ACK_PATIENCE:
                self._missed(memory, n, asked)
        count = memory.get("missed", 0)
        if count:
            self.report(
                "BS327", stream, count=count, detail=f"{count} message{'s' if count > 1 else ''} with QoS 1 or 2 got "
                f"no acknowledgement, first message {memory['first']}.",
            )  # fmt: skip


class MqttViolations(MqttRule):
    """BS330."""

    def connecting(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any], again: bool) -> None:
        """See `MqttRule`."""
        self.packet(stream, lane, fact, memory)

    def packet(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """See `MqttRule`."""
        problems = fact.detail["fields"].get("problems")
        if problems:
            self._broken(lane, memory, fact.detail["packet"], problems[0])

    def trouble(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """See `MqttRule`."""
        if fact.kind == "mqtt-malformed":
            self._broken(lane, memory, fact.detail["packet"], fact.detail["reason"])

    def _broken(self, lane: Lane, memory: dict[str, Any], name: str, reason: str) -> None:
        who = "device" if lane.direction == CLIENT else "server"
        memory["broken"] = memory.get("broken", 0) + 1
        memory.setdefault("first", (self.number(), who, name, reason))

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if "first" not in memory or not first_time(stream, "BS330"):
            return
        n, who, name, reason = memory["first"]
        count = memory["broken"]
        more = f" {count - 1} more follow." if count > 1 else ""
        closed = " The server closed the connection." if closed_by_server(stream, event) else ""
        self.report(
            "BS330", stream, count=count, detail=f"Message {n}, a {name} of the {who}: {reason}.{more}{closed}"
        )  # fmt: skip


RULES: tuple[type[StreamRule], ...] = (
    MqttViolations, MqttTopics, MqttSubscriptions, MqttPace, MqttAcknowledgements,
)  # fmt: skip
