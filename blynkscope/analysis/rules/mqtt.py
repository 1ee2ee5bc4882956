"""BS211 to BS216 and BS328 to BS329: MQTT of Blynk IoT, logging in, redirects and the keep-alive."""

from __future__ import annotations

from hashlib import blake2s
from typing import TYPE_CHECKING, Any

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.analysis.era import era_of_token
from blynkscope.analysis.mqtt import is_blynk
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.exposure import is_public
from blynkscope.analysis.rules.inside import spoke
from blynkscope.analysis.rules.quotes import host, quote
from blynkscope.analysis.rules.reaching import server_name
from blynkscope.analysis.rules.redirects import REDIRECT_PATIENCE, Redirects
from blynkscope.analysis.rules.words import closed_by_server, explains, failed, first_time, seconds, unheard
from blynkscope.analysis.session import State
from blynkscope.protocol import mqtt_topics
from blynkscope.protocol.limits import TOKEN_LENGTH
from blynkscope.protocol.model import Era
from blynkscope.wire.events import CLIENT, SERVER

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.lane import Lane
    from blynkscope.analysis.run import Run
    from blynkscope.wire.events import Closed
    from blynkscope.wire.facts import Fact

CONNACK_PATIENCE = 5.0
"""Seconds without a CONNACK that are too long: clients give up after 5 to 15 s."""
KEEP_ALIVE_FACTOR = 1.5
"""A broker waits for one and a half times the keep-alive (MQTT 3.1.1, 3.1.2.10)."""
KEEP_ALIVE_LONG = 300
"""Seconds beyond which the device is shown online for minutes after it is gone; 45 s are recommended."""
KEEP_ALIVE_SHORT = 5
"""Seconds below which a single lost segment and its retransmission may cost the connection."""
CLOSE_EARLY, CLOSE_LATE = 1.0, 15.0
"""Seconds around the limit in which a broker closes for silence: they look once in a while."""
TOKENS_MAX = 4096
"""Tokens whose open connection is remembered."""
CREDENTIALS = frozenset({4, 5, 0x86, 0x87})
"""Return and reason codes that speak of user name and password."""
VERSIONS, CLIENT_IDS, UNAVAILABLE = frozenset({1, 0x84}), frozenset({2, 0x85}), frozenset({3, 0x88, 0x89})
ELSEWHERE = frozenset({0x9C, 0x9D})


class MqttRule(StreamRule):
    """What the rules about MQTT have in common: they look at connections that are meant for Blynk, and at no others."""

    def fresh(self) -> dict[str, Any]:
        """See `StreamRule`."""
        return {"ours": False, "connect": None, "at": None, "accepted": None, "lost": False}

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if not fact.kind.startswith("mqtt-"):
            return
        memory = self.of(stream)
        if fact.kind != "mqtt-packet":
            if fact.kind != "mqtt-malformed":
                memory["lost"] = True
            if memory["ours"] and fact.kind != "mqtt-resumed":
                self.trouble(stream, lane, fact, memory)
            return
        name, fields = fact.detail["packet"], fact.detail["fields"]
        if name == "CONNECT" and lane.direction == CLIENT:
            again = memory["connect"] is not None
            if not again:
                memory["connect"], memory["at"] = fields, fact.time
                memory["ours"] = is_blynk(stream, fields)
            if memory["ours"]:
                self.connecting(stream, lane, fact, memory, again)
        elif memory["ours"]:
            if name == "CONNACK" and lane.direction == SERVER and memory["accepted"] is None:
                memory["accepted"] = fields["code"] == 0
            self.packet(stream, lane, fact, memory)

    def number(self) -> int:
        """Number of the message that is told of: its record comes next."""
        return self.run.messages + 1

    def connecting(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any], again: bool) -> None:
        """A CONNECT of the client."""

    def packet(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """Any other packet, of a connection that is ours."""

    def trouble(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """A packet that is malformed or cut, or the end of all packets."""


def credentials(connect: dict[str, Any]) -> tuple[str, str | None]:
    """What strikes about the credentials of a CONNECT, in a sentence, and the advice for it (None: the catalogue's)."""
    user, token = connect["user"], connect["password"]
    if user is None:
        return "The CONNECT holds no user name.", None
    if era_of_token(user) is not None:
        return "The token stands in the place of the user name.", None
    if user != mqtt_topics.USER:
        like = " (case matters, and so do spaces)" if user.strip().lower() == mqtt_topics.USER else ""
        return f'The user name is {quote(user)}, not "{mqtt_topics.USER}"{like}.', None
    if not token:
        return "The password, which is the token, is empty." if token is not None else "There is no password.", None
    if token != token.strip() or any(char in token for char in " \t\r\n\"'"):
        return "The token has white space or quotes in or around it.", (
            "Copy the 32 characters of the token without quotes, spaces and line ends; strip what was read from a "
            "file or a serial line."
        )
    if len(token) != TOKEN_LENGTH:
        return f"The token has {len(token)} characters; one of Blynk IoT has {TOKEN_LENGTH}.", None
    if era_of_token(token) is Era.LEGACY:
        return (
            "The token has the form of a legacy server's (hex digits only); Blynk IoT does not know those.",
            "Create the device in Blynk IoT (blynk.cloud) and use its token, 32 letters and digits of both cases.",
        )
    if era_of_token(token) is None:
        return "The token holds characters that no token has.", None
    return "User name and form of the token are right: the token is not known to this server.", (
        "Copy the auth token again from the Device info page (it changes when it is refreshed), and check that the "
        "device belongs to the server that was asked: accounts live on one region's server."
    )


class MqttLogins(MqttRule):
    """BS211, BS212, BS215, BS216, and BS601 for MQTT."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._online: dict[bytes, tuple[int, float | None]] = {}
        """Stream of a token's open connection, and since when, by the digest of the token."""

    def connecting(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any], again: bool) -> None:
        """See `MqttRule`."""
        if again:
            if not memory.get("twice") and memory["accepted"] is not False:
                memory["twice"] = True
                self.report(
                    "BS215", stream,
                    detail=f"Message {self.number()} is a second CONNECT; the broker has to close the connection.",
                )  # fmt: skip
            return
        memory["n"] = self.number()
        clear = not stream.log and not any(layer.startswith("tls") for layer in (*stream.via, *lane.via))
        exposed = clear and memory["connect"]["password"] and is_public(stream.opened.server)
        if exposed and first_time(stream, "BS601"):
            self.report(
                "BS601", stream, detail=f"Message {memory['n']} (MQTT CONNECT) carries the token without TLS to the "
                f"public address {server_name(stream)}.",
                fix="Connect to port 8883 with TLS (WiFiClientSecure with the root certificate; tls_set() in paho), or "
                "to 443 by WebSocket over TLS.",
            )  # fmt: skip

    def packet(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """See `MqttRule`."""
        name, fields = fact.detail["packet"], fact.detail["fields"]
        if name != "CONNACK" or lane.direction != SERVER or memory.get("answered"):
            return
        memory["answered"] = True
        if fields["code"]:
            self._refused(stream, fields, memory)
        else:
            self._accepted(stream, fact.time, memory)

    def _refused(self, stream: Conversation, fields: dict[str, Any], memory: dict[str, Any]) -> None:
        code, connect = fields["code"], memory["connect"]
        if not first_time(stream, f"BS211 {code}"):
            explains(stream, "BS211")
            return
        detail = f"{server_name(stream)} refused message {memory['n']} with {code} ({fields['reason']})."
        fix = None
        if code in CREDENTIALS:
            said, fix = credentials(connect)
            detail += f" {said}"
        elif code in CLIENT_IDS:
            size = len(connect["client_id"])
            detail += f" The client id has {size} characters; Blynk IoT takes up to {mqtt_topics.CLIENT_ID_MAX}."
            fix = "Connect with an empty client id and a clean session, or with a short one of letters and digits."
        elif code in VERSIONS:
            detail += f" The client speaks MQTT {connect['version'] or 'of an unknown level'}."
            fix = "Blynk IoT takes MQTT 3.1.1 and 5: set the library to one of them."
        elif code in ELSEWHERE:
            moved = fields.get("properties", {}).get("server_reference")
            detail += f" It names {host(moved)}." if moved else ""
            fix = "Connect to the server that the CONNACK names."
        elif code in UNAVAILABLE:
            fix = "Try again later, with a growing pause between attempts."
        said = fields.get("properties", {}).get("reason_string")
        detail += f" It says {quote(said, 80)}." if said else ""
        self.report("BS211", stream, detail=detail, fix=fix, cause=True)

    def _accepted(self, stream: Conversation, time: float | None, memory: dict[str, Any]) -> None:
        token = memory["connect"]["password"]
        if not token:
            return
        key = blake2s(token.encode("utf-8", "replace"), digest_size=16).digest()
        memory["key"] = key
        before = self._online.pop(key, None)
        if before is None and len(self._online) >= TOKENS_MAX:
            del self._online[next(iter(self._online))]
        self._online[key] = (stream.number, time)
        if before is not None and before[0] != stream.number and first_time(stream, "BS216"):
            self.report(
                "BS216", stream, count=2, detail=f"The token of message {memory['n']} is logged in on stream "
                f"{before[0]} too, and that is still open.",
            )  # fmt: skip

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        key = memory.get("key")
        if key is not None and self._online.get(key, (None, None))[0] == stream.number:
            del self._online[key]
        if not memory["ours"] or memory.get("answered") or memory["lost"] or stream.cause is not None:
            return
        if spoke(stream.server) or unheard(stream, stream.server, event) or stream.log:
            return  # what the server said instead is told by others, or was not understood
        asked, last = memory["at"], event.time
        waited = last - asked if last is not None and asked is not None else 0.0
        if closed_by_server(stream, event):
            then = f"{'reset' if event.how == 'reset' else 'closed'} the connection without a CONNACK"
        elif waited >= CONNACK_PATIENCE:
            then = f"gave no answer for {seconds(waited)}"
        else:
            return
        if not first_time(stream, "BS212"):
            explains(stream, "BS212")
            return
        said = credentials(memory["connect"])[0]
        detail = f"{server_name(stream)} {then} to message {memory['n']}, an MQTT CONNECT."
        if "right" not in said:
            detail += f" {said}"
        self.report("BS212", stream, detail=detail, cause=True)


class MqttRedirects(Redirects):
    """BS213, BS214: like the redirects of the hardware protocol, by `downlink/redirect` and by reasons of MQTT 5."""

    # Frames and the lines of logs are the matter of the rule that this one is made from.
    spoke = StreamRule.spoke
    logged = StreamRule.logged

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._messages: dict[int, int] = {}
        """Numbers of the messages that redirected, by stream; as many as there are redirects."""

    def told(self, stream: Conversation, lane: Lane, fact: Fact) -> None:
        """See `StreamRule`."""
        if fact.kind != "mqtt-packet":
            return
        name, fields = fact.detail["packet"], fact.detail["fields"]
        memory = self.of(stream)
        if lane.direction == CLIENT:
            known = memory.get("redirect")
            if name == "PUBLISH" and known is not None and fact.time is not None and known.time is not None:
                known.went_on = known.went_on or fact.time - known.time >= REDIRECT_PATIENCE
            return
        if name == "PUBLISH" and fields["topic"] == "downlink/redirect":
            target = mqtt_topics.target_of(fields.get("payload") or "")
        elif name in {"CONNACK", "DISCONNECT"} and fields.get("code") in ELSEWHERE:
            target = mqtt_topics.target_of(fields.get("properties", {}).get("server_reference") or "")
        else:
            return
        if target is not None:
            made = self._redirected(stream, target[0], str(target[1]) if target[1] else None, fact.time)
            if made is not None:
                self._messages.setdefault(made.stream, self.run.messages + 1)

    def _report(self, followed: bool, group: list[Any]) -> None:
        first = group[0]
        said = f"The broker redirected the device to {first.where} (message {self._messages.get(first.stream)})"
        if followed:
            self.report("BS214", first.stream, count=len(group), detail=f"{said}, and it connected there.")
            return
        if first.went_on or first.stayed >= REDIRECT_PATIENCE:
            then = f"it stayed on the same connection for {seconds(first.stayed)}"
        else:
            then = "it connected to the same place again"
        port = f", {first.port}" if first.port else ""
        fix = f'{CATALOGUE["BS213"].fix} Here: connect("{host(first.host)}"{port}).'
        self.report("BS213", first.stream, count=len(group), detail=f"{said}, but {then}.", fix=fix)


class MqttKeepAlive(MqttRule):
    """BS328, BS329."""

    def connecting(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any], again: bool) -> None:
        """See `MqttRule`."""
        self._spoke(fact, memory)
        beat = memory["connect"]["keep_alive"]
        if again or KEEP_ALIVE_SHORT <= beat <= KEEP_ALIVE_LONG or not first_time(stream, "BS328"):
            return
        if beat > KEEP_ALIVE_LONG:
            after = f"the device is shown online for up to {seconds(KEEP_ALIVE_FACTOR * beat)} after it is gone"
        else:
            after = "the broker never notices that the device is gone" if not beat else "every delay may cost it"
        self.report("BS328", stream, detail=f"The CONNECT asks for a keep-alive of {beat} s: {after}.")

    def packet(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """See `MqttRule`."""
        if lane.direction == CLIENT:
            self._spoke(fact, memory)
            memory["left"] = fact.detail["packet"] == "DISCONNECT"
        elif fact.detail["packet"] == "CONNACK":
            memory["beat"] = fact.detail["fields"].get("properties", {}).get("server_keep_alive")

    def trouble(self, stream: Conversation, lane: Lane, fact: Fact, memory: dict[str, Any]) -> None:
        """See `MqttRule`."""
        if lane.direction == CLIENT:
            self._spoke(fact, memory)

    @staticmethod
    def _spoke(fact: Fact, memory: dict[str, Any]) -> None:
        time, last = fact.time, memory.get("last")
        if time is None:
            return
        if last is not None and time - last > memory.get("longest", 0.0):
            memory["longest"] = time - last
        memory["last"] = time

    def ended(self, stream: Conversation, event: Closed) -> None:
        """See `StreamRule`."""
        memory = self.of(stream)
        if not memory["ours"] or not memory["accepted"] or memory["lost"] or memory.get("left") or failed(stream):
            return
        beat = memory.get("beat") or memory["connect"]["keep_alive"]
        last = memory.get("last")
        if not beat or last is None:
            return
        limit = KEEP_ALIVE_FACTOR * beat
        # Behind the last packet the recording must have gone on: the device may have spoken after its end.
        silence = event.time - last if event.time is not None else 0.0
        idle = f"1.5 times its keep-alive of {beat} s ({seconds(limit)})"
        if closed_by_server(stream, event) and limit - CLOSE_EARLY <= silence <= limit + CLOSE_LATE:
            self.report(
                "BS329", stream, detail=f"The broker closed the connection {seconds(silence)} after the device's last "
                f"packet: that is {idle}.",
            )  # fmt: skip
            return
        longest = max(memory.get("longest", 0.0), silence)
        if longest > limit + CLOSE_EARLY and stream.session.state is not State.REDIRECTED:
            self.report(
                "BS329", stream, detail=f"The device was silent for {seconds(longest)}; the broker waits for {idle}."
            )


RULES: tuple[type[StreamRule], ...] = (MqttLogins, MqttRedirects, MqttKeepAlive)
