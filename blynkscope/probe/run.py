"""The probe: step by step from the name of a server to a login; each fact is in the report once it is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from blynkscope.probe import device, dns, trust, verdict
from blynkscope.probe import hello as hellos
from blynkscope.probe.dns import Lookup, system_lookup
from blynkscope.probe.era import era_of
from blynkscope.probe.model import (
    DEFAULT_PORTS,
    OWN_CA,
    Attempt,
    PortFacts,
    Report,
    Settings,
    SpokenFacts,
    TlsFacts,
    VersionFacts,
)
from blynkscope.probe.net import Address, FailedError, Network
from blynkscope.probe.own import own_root
from blynkscope.probe.scan import DROPPED, Answer, Scanner
from blynkscope.probe.speaking import GREETERS, Speaker
from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import suite_name
from blynkscope.wire.addresses import is_public
from blynkscope.wire.recognise import name_bytes

PUBLIC_BUDGET, LOCAL_BUDGET = 250, 4000
"""Connections of one probe: a search over all usual ports of a cloud takes some 200; in one's own network it may look
for each suite of each version on its own."""
PUBLIC_DELAY = 0.05
"""Seconds between connections to a public server: no faster than a browser that opens a page."""
PUBLIC_JOBS = 2
PORT_SECONDS, EACH_SECONDS = 180.0, 900.0
"""A server that answers each question at the last moment is given up on after so long, for each port."""


def _untold(stage: str) -> None:
    """Nobody listens."""


async def probe(
    settings: Settings, report: Report, *, lookup: Lookup = system_lookup, told: Callable[[str], None] = _untold
) -> None:
    """Find out everything; cancel it at any time, then `close` still sums up what is known. Raises nothing.

    Args:
        settings: What is wanted.
        report: Is filled in.
        lookup: The resolver.
        told: Is given each stage in a few words.
    """
    await _Probe(settings, report, lookup, told).run()


def new_report(settings: Settings) -> Report:
    """An empty report."""
    return Report(settings.host, settings.port, time=time.time())


def close(report: Report, settings: Settings) -> None:
    """Sum up what is known: duration, era, findings. Also behind a probe that was interrupted."""
    report.seconds = round(max(time.time() - report.time, 0.0), 3)
    report.era = era_of(report)
    report.findings = verdict.findings(report, settings)


class _Probe:
    def __init__(self, settings: Settings, report: Report, lookup: Lookup, told: Callable[[str], None]) -> None:
        self._settings = settings
        self._told = told
        self._report = report
        self._lookup = lookup
        self._spent = False
        self._prepare(public=False)

    def _prepare(self, *, public: bool) -> None:
        wanted = self._settings
        self._network = self._public_network() if public else Network(
            timeout=wanted.timeout, delay=wanted.delay or 0.0, jobs=wanted.jobs,
            budget=LOCAL_BUDGET if wanted.budget is None else wanted.budget,
        )  # fmt: skip
        # A server of one's own may redirect to a public one, which is owed what every public one is.
        self._polite = self._network if public else self._public_network(self._network)
        self._speaker = Speaker(wanted, self._report, self._network, self._polite, self._lookup)

    def _public_network(self, within: Network | None = None) -> Network:
        wanted = self._settings
        return Network(
            timeout=wanted.timeout, delay=PUBLIC_DELAY if wanted.delay is None else wanted.delay,
            jobs=min(wanted.jobs, PUBLIC_JOBS), budget=PUBLIC_BUDGET if wanted.budget is None else wanted.budget,
            within=within,
        )  # fmt: skip

    async def run(self) -> None:
        settings, report = self._settings, self._report
        self._told(f"looking up {settings.host}")
        report.dns, addresses = await dns.resolve(settings.host, settings.family, 2 * settings.timeout, self._lookup)
        report.public = any(is_public(one.text) for one in addresses)
        self._prepare(public=report.public)
        report.budget = self._network.budget
        if not addresses:
            report.complete = True
            return
        ports = DEFAULT_PORTS if settings.port is None else (settings.port,)
        report.ports = [PortFacts(port) for port in ports]
        try:
            places = [(facts, *place) for facts in report.ports for place in self._places(facts, addresses)]
            await asyncio.gather(*(self._reach(*place) for place in places))
            cut = False
            for facts in report.ports:
                cut = not await self._port(facts, addresses) or cut
        finally:
            report.connections = self._network.connections
        refused = [one for one in dict.fromkeys((self._network, self._polite)) if one.refused]
        for one in refused:
            report.limits.append(
                f"the limit of {one.budget} connections was reached (--max-connections): the rest was not asked"
            )
        report.complete = not cut and not refused and not self._spent and not self._speaker.cut

    def _places(self, facts: PortFacts, addresses: Sequence[Address]) -> list[tuple[int, Address]]:
        facts.tcp = [Attempt(one.text, "not-tried") for one in addresses]
        return list(enumerate(addresses))

    async def _reach(self, facts: PortFacts, place: int, address: Address) -> None:
        begun = time.perf_counter()
        try:
            line = await self._network.connect(address, facts.port)
        except FailedError as error:
            result = "not-tried" if error.result == "budget" else error.result
            facts.tcp[place] = Attempt(address.text, result, text=error.text)
            return
        ms = round((time.perf_counter() - begun) * 1000, 3)
        line.close()
        facts.tcp[place] = Attempt(address.text, "open", ms)

    async def _port(self, facts: PortFacts, addresses: Sequence[Address]) -> bool:
        """Everything about one port. Was there time for all of it?"""
        best = next((place for place, one in enumerate(facts.tcp) if one.result == "open"), None)
        if best is None:
            return True
        facts.address = addresses[best].text
        seconds = max(EACH_SECONDS if self._settings.each else PORT_SECONDS, 20 * self._settings.timeout)
        try:
            async with asyncio.timeout(seconds):
                await self._look(facts, addresses[best])
        except TimeoutError:
            self._report.limits.append(f"port {facts.port} was left after {seconds:g} s: the server answers too slowly")
            return False
        return True

    async def _look(self, facts: PortFacts, address: Address) -> None:
        self._told(f"port {facts.port}: what does it speak?")
        scanner = Scanner(self._network, address, facts.port, self._settings.host)
        first = await scanner.first()
        if first.flight is not None and first.flight.is_tls:
            facts.speaks.append("tls")
            facts.tls = TlsFacts()
            await self._tls(facts, address, scanner, first)
            if facts.tls.handshake is None and await scanner.lives():
                facts.note = "what is spoken inside TLS was not asked: this machine's TLS library gets no connection"
                return
            if scanner.spent is not None:
                self._spent = True
                facts.note = "what is spoken inside TLS was not asked: the server takes no more connections"
                self._report.limits.append(
                    f"port {facts.port}: the server takes no more connections ({scanner.spent} where it answered "
                    "before): the rest was not asked. Try again later, with --delay or --no-suites"
                )
                return
            if facts.tls.handshake is not None:
                await self._speak(facts, address)
            return
        if first.outcome == "foreign" and first.flight is not None:
            guess = name_bytes(first.flight.foreign)
            if guess.kind in GREETERS:
                text = self._speaker.hidden.text(first.flight.foreign.split(b"\n", 1)[0].strip())
                facts.speaks.append(guess.kind)
                facts.others.append(SpokenFacts(guess.kind, text))
                return
        await self._speak(facts, address)
        if not facts.speaks:
            facts.note = {
                "closed": "closes the connection whatever is said", "reset": "resets the connection whatever is said",
                "timeout": "takes connections and says nothing", "budget": "not asked: no connections are left",
            }.get(first.outcome, "answers nothing that is known")  # fmt: skip

    async def _speak(self, facts: PortFacts, address: Address) -> None:
        self._told(f"port {facts.port}: Blynk, HTTP or MQTT?")
        await self._speaker.ask(facts, address)

    # --- TLS ---

    async def _tls(self, facts: PortFacts, address: Address, scanner: Scanner, first: Answer) -> None:
        held = facts.tls
        assert held is not None
        if first.version is not None:
            held.chosen, held.cipher = tls.version_name(first.version), suite_name(first.cipher or 0)
        elif first.alert is not None:
            held.alert = tls.alert_name(first.alert)
        settings = self._settings
        if settings.scan:
            for version in hellos.VERSIONS:
                found = VersionFacts(tls.version_name(version))
                held.versions.append(found)
                self._told(f"port {facts.port}: {found.version}, which cipher suites?")
                await scanner.fill(found, version, each=settings.each)
            for version, found in zip(hellos.VERSIONS, held.versions, strict=True):
                if version in {tls.TLS_1_2, tls.TLS_1_3} and found.accepted:
                    suites = [int(one.suite.code, 16) for one in found.suites]
                    found.groups, whole = await scanner.groups(version, suites)
                    found.complete = found.complete and whole
            held.versions.sort(key=lambda one: list(tls.VERSIONS.values()).index(one.version))
        elif first.version is not None and first.version >= tls.TLS_1_3:
            await scanner.ask(tls.TLS_1_2, scanner.usual)
        await self._without_name(held, scanner, first)
        await self._certificates(facts, address, scanner)
        if settings.suites:
            held.device = await device.compare(
                scanner, self._network, address, facts.port, settings.host, settings.suites, held
            )
            await self._certificates(facts, address, scanner)

    async def _without_name(self, held: TlsFacts, scanner: Scanner, first: Answer) -> None:
        """What a device gets that sends no SNI."""
        if hellos.server_name(self._settings.host) is None or first.cipher is None:
            return
        assert first.version is not None
        # Before TLS 1.3 the certificate is to be seen, so where both are taken that is what is compared.
        version = tls.TLS_1_2 if first.version >= tls.TLS_1_3 and scanner.chains else first.version
        with_name = await scanner.ask(version, scanner.usual)
        if with_name.cipher is None:
            return
        bare = await scanner.ask(version, scanner.usual, sni=False)
        if bare.outcome != "hello":
            # Of what a server does to both questions, or only later on, nothing is known about names.
            if bare.outcome == "alert" or (bare.outcome in {"timeout", *DROPPED} and await scanner.lives()):
                held.sni, held.sni_text = "refused", bare.why()
            return
        ours = with_name.flight.chain if with_name.flight is not None else []
        theirs = bare.flight.chain if bare.flight is not None else []
        if not theirs or not ours:
            why = "is encrypted in TLS 1.3 and was not compared" if version >= tls.TLS_1_3 else "is not used"
            held.sni, held.sni_text = "accepted", f"the certificate {why}"
        elif ours[0] == theirs[0]:
            held.sni, held.sni_text = "same", "the same certificate"
        else:
            other = trust.read(theirs[0])
            held.sni = "other-certificate"
            held.sni_text = f"another certificate, of {', '.join(other.names[:3]) or other.subject or 'nobody'}"

    async def _certificates(self, facts: PortFacts, address: Address, scanner: Scanner) -> None:
        """A handshake by this machine's library, and every chain that was seen and is not described yet."""
        held, settings = facts.tls, self._settings
        assert held is not None
        self._told(f"port {facts.port}: whose certificate?")
        chains = [(kind, chain) for kind, chain in scanner.chains.items() if chain and kind != "none"]
        if held.handshake is None and scanner.spent is None:
            plain = await trust.handshake(self._network, address, facts.port, settings.host, trust.context_of())
            held.handshake = plain.text
            if not chains and plain.chain:
                chains = [("any", plain.chain)]
        for kind, chain in chains:
            if any(one.kind == kind for one in held.chains):
                continue
            held.chains.append(trust.described(kind, chain, settings.host, self._report.time))
            if scanner.spent is not None:
                continue
            verify = partial(
                trust.verified, self._network, address, facts.port, settings.host, chain,
                kind=kind if len(chains) > 1 else None,
            )  # fmt: skip
            told = [await verify(ca=store) for store in ([None, settings.ca] if settings.ca is not None else [None])]
            if not any(one.trusted for one, _ in told):
                own = own_root()
                if own is not None and own.subject == held.chains[-1].root:
                    ours, path = await verify(ca=own.path)
                    told.append((msgspec.structs.replace(ours, store=OWN_CA), path))
            paths = [path for _, path in told]
            described = trust.described(kind, chain, settings.host, self._report.time, paths)
            held.chains[-1] = trust.trusted(described, [one for one, _ in told])
