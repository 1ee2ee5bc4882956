"""What a port speaks, plain or inside TLS: Blynk, HTTP or MQTT, asked one after the other."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from blynkscope.probe import dns, talk, trust
from blynkscope.probe.dns import Lookup
from blynkscope.probe.model import LoginFacts, PortFacts, Report, Settings, SpokenFacts
from blynkscope.probe.net import Address, Channel, FailedError, Network, Secured
from blynkscope.protocol.ports import MQTT_PORTS
from blynkscope.wire.addresses import is_public
from blynkscope.wire.recognise import name_bytes

REDIRECTS_MAX = 3
"""Redirects that are followed, one behind the other; a cloud needs one."""
GREETERS = frozenset({"ssh", "text"})
"""Services that speak first, and are none of ours."""


class Speaker:
    """Talks to the ports of a server.

    Args:
        settings: What is wanted.
        report: Where limits are told.
        network: Makes the connections.
        polite: Makes those to public addresses that a redirect leads to, within the limits for such.
        lookup: The resolver, for redirects.

    Attributes:
        hidden: For texts of the server.
        cut: Was something not asked because the server took no more connections?
    """

    def __init__(self, settings: Settings, report: Report, network: Network, polite: Network, lookup: Lookup) -> None:
        self._settings = settings
        self._report = report
        self._network = network
        self._polite = polite
        self._lookup = lookup
        self.hidden = talk.Hidden(settings.token)
        self.cut = False

    @asynccontextmanager
    async def _channel(
        self, facts: PortFacts, address: Address, host: str | None = None, network: Network | None = None
    ) -> AsyncIterator[Channel]:
        """A connection to talk on, by the name of the host (None for that of the probe); raises `FailedError`."""
        async with await (network or self._network).connect(address, facts.port) as line:
            if facts.tls is None:
                yield line
                return
            try:
                secured = Secured(line, trust.context_of(), trust.sni_of(host or self._settings.host))
                await secured.handshake()
            except (ssl.SSLError, ValueError) as error:
                raise FailedError("failed", str(getattr(error, "reason", None) or error)) from None
            yield secured

    async def ask(self, facts: PortFacts, address: Address) -> None:
        """Find out what is spoken. Raises nothing."""
        if facts.port in MQTT_PORTS:
            await self._mqtt(facts, address)
            if "mqtt" in facts.speaks:
                return
        await self._blynk(facts, address)
        await self._http(facts, address)
        if not {"blynk", "http", "mqtt"} & set(facts.speaks) and facts.port not in MQTT_PORTS:
            await self._mqtt(facts, address)

    async def _blynk(self, facts: PortFacts, address: Address) -> None:
        settings = self._settings
        if not settings.login:
            return
        token = settings.token
        if token is not None and settings.port is None and facts.tls is None and is_public(address.text):
            token = None
            self._limit(
                f"the token was not sent in clear over the internet to port {facts.port}: name the port to do so"
            )
        try:
            async with self._channel(facts, address) as channel:
                found = await talk.login(
                    channel, token, count=settings.count, timeout=settings.timeout, hidden=self.hidden
                )
        except FailedError as error:
            self._unreached(facts, error)
            return
        if found.answer in {"status", "redirect", "other-id"} or found.frames:
            facts.speaks.append("blynk")
        facts.logins.append(found)
        if found.answer == "redirect" and settings.follow and found.redirect is not None:
            await self._follow(facts, address)

    def _unreached(self, facts: PortFacts, error: FailedError) -> None:
        """There were connections to this port before: one that does not come about is no answer to what was to be
        asked on it."""
        if error.result != "budget":  # which is told on its own
            self.cut = True
            self._limit(
                f"port {facts.port}: no further connection came about ({error.text}): what it speaks was not asked to "
                "the end. Try again later, with --delay"
            )

    def _limit(self, text: str) -> None:
        if text not in self._report.limits:
            self._report.limits.append(text)

    async def _follow(self, facts: PortFacts, first: Address) -> None:
        """Go where the redirect leads, as a device does."""
        settings = self._settings
        for _ in range(REDIRECTS_MAX):
            last = facts.logins[-1]
            if last.answer != "redirect" or not last.redirect:
                return
            host, digits = talk.parts_of(last.redirect)
            port = int(digits) if digits.isascii() and digits.isdecimal() and 0 < int(digits) < 65536 else facts.port
            found, addresses = await dns.resolve(host, settings.family, settings.timeout, self._lookup)
            if not addresses:
                facts.note = f"the redirect leads to {host}: {found.error}"
                return
            facts.logins[-1] = msgspec.structs.replace(last, followed=True)
            hop, address = PortFacts(port, tls=facts.tls), addresses[0]
            where, exposed = talk.place_of(host, str(port)), is_public(address.text)
            token = settings.token
            # A server of one's own must not be able to have the token sent out: only who named a public address and
            # its port, without TLS there, has asked for that.
            if exposed and token is not None and facts.tls is None and not (settings.port and is_public(first.text)):
                token = None
                self._limit(
                    f"the token was not sent in clear over the internet to {where}, where the redirect leads: probe "
                    "that one by its name and port to do so"
                )
            network = self._polite if exposed else self._network
            try:
                async with self._channel(hop, address, host, network) as channel:
                    answer = await talk.login(
                        channel, token, count=settings.count, timeout=settings.timeout, hidden=self.hidden
                    )
            except FailedError as error:
                answer = LoginFacts(token is None, _ended(error))
            facts.logins.append(msgspec.structs.replace(answer, host=where, address=address.text))

    async def _http(self, facts: PortFacts, address: Address) -> None:
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        for path in talk.paths(login=self._settings.login):
            try:
                async with self._channel(facts, address) as channel:
                    answer = await talk.http(channel, f"{host}:{facts.port}", path, self._settings.timeout)
            except FailedError as error:
                self._unreached(facts, error)
                return
            found = talk.http_facts(answer, self.hidden)
            if found is None:
                if answer and "blynk" not in facts.speaks and not facts.others:
                    self._foreign(facts, answer)
                return
            if "http" not in facts.speaks:
                facts.speaks.append("http")
                facts.others.append(found)
            era = talk.era_of_http(path, answer)
            if era is not None:
                facts.others.append(SpokenFacts("http-api", f"the {_WORDS[era]} HTTP API"))
                return

    def _foreign(self, facts: PortFacts, answer: bytes) -> None:
        guess = name_bytes(answer[:1024])
        if guess.kind in GREETERS:
            facts.speaks.append(guess.kind)
            facts.others.append(SpokenFacts(guess.kind, self.hidden.text(answer.split(b"\n", 1)[0].strip())))

    async def _mqtt(self, facts: PortFacts, address: Address) -> None:
        settings = self._settings
        clear = facts.tls is None and is_public(address.text) and settings.port is None
        try:
            async with self._channel(facts, address) as channel:
                token = None if clear else settings.token
                found = await talk.mqtt_answer(channel, token, login=settings.login, timeout=settings.timeout)
        except FailedError as error:
            self._unreached(facts, error)
            return
        if found is not None:
            facts.speaks.append("mqtt")
            facts.others.append(found)


_WORDS = {"legacy": "legacy server's", "iot": "Blynk IoT"}


def _ended(error: FailedError) -> str:
    return {"timeout": "silent", "reset": "reset"}.get(error.result, "closed")
