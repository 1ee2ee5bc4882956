"""Which versions, cipher suites and groups a server takes, asked by ClientHellos made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from blynkscope.probe import hello as hellos
from blynkscope.probe import suites as names
from blynkscope.probe.flight import Flight
from blynkscope.probe.model import Accepted, VersionFacts
from blynkscope.probe.net import Address, FailedError, Network
from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import NEW

COMMON = (
    *NEW,
    0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014, 0xC023, 0xC027, 0xC024, 0xC028,
    0x009E, 0x009F, 0x0033, 0x0039, 0x0067, 0x006B, 0x009C, 0x009D, 0x002F, 0x0035, 0x003C, 0x003D, 0x000A, 0x0005,
)  # fmt: skip
"""What clients really offer: for servers that choke on a long ClientHello."""
CHUNK = 40
"""Suites of one ClientHello for such servers."""
SILENCES_MAX = 2
"""Answers that may fail to come before a search is given up: each of them costs the whole timeout."""
_SIGNAL = 0x00FF
DROPPED = frozenset({"closed", "reset", "foreign"})
"""Ways to say no that are also those of a server that takes no more connections."""


class Answer(msgspec.Struct, frozen=True):
    """What came back. `outcome`: hello, alert, closed, reset, timeout, foreign, spent (not asked any more, see
    `Scanner.spent`), or that of a failed connection."""

    outcome: str
    flight: Flight | None = None
    text: str = ""

    @property
    def cipher(self) -> int | None:
        """The suite that the server chose."""
        return self.flight.hello.cipher if self.outcome == "hello" and self.flight and self.flight.hello else None

    @property
    def version(self) -> int | None:
        """The version that the server chose."""
        return self.flight.hello.version if self.outcome == "hello" and self.flight and self.flight.hello else None

    @property
    def alert(self) -> int | None:
        """The alert by which it refused."""
        return self.flight.alert[1] if self.flight is not None and self.flight.alert is not None else None

    @property
    def silent(self) -> bool:
        """Is it no answer: nothing came, or no more connection is to be had?"""
        return self.outcome not in {"hello", "alert", *DROPPED}

    @property
    def dropped(self) -> bool:
        """Did the server only hang up? See `Scanner.lives` for what that may mean."""
        return self.outcome in DROPPED

    def why(self) -> str:
        """What the server did, in words."""
        if self.outcome == "hello":
            return f"chose {tls.version_name(self.version or 0)}"
        if self.outcome == "alert":
            return f"alert {tls.alert_name(self.alert or 0)} ({self.alert})"
        return {
            "closed": "closed without an answer", "reset": "reset the connection", "timeout": "no answer",
            "foreign": "answered with no TLS",
        }.get(self.outcome, self.text or self.outcome)  # fmt: skip


class _Question(msgspec.Struct, frozen=True):
    """A ClientHello, as it can be said again."""

    version: int
    suites: tuple[int, ...]
    name: str | None
    groups: Sequence[int] | None
    older: bool
    share: bool


class Scanner:
    """Asks one port.

    Attributes:
        chains: Certificate chains that were seen, by the kind of key that the suite asked for.
        bits: Size of the primes of classic Diffie-Hellman that were seen.
        spent: The server takes no more connections: what it did to a question that it had answered before, in words.
            From then on nothing is asked, for no answer would tell anything.
    """

    def __init__(self, network: Network, address: Address, port: int, name: str | None) -> None:
        self._network = network
        self._address = address
        self._port = port
        self._name = name
        self._chunk = 0
        self.chains: dict[str, list[bytes]] = {}
        self.bits: dict[int, None] = {}
        self.spent: str | None = None
        self._answered: _Question | None = None

    @property
    def usual(self) -> tuple[int, ...]:
        """All suites, or those that a server bears which chokes on a long ClientHello."""
        return COMMON if self._chunk else names.numbers()

    async def ask(
        self,
        version: int,
        suites: Sequence[int],
        *,
        sni: bool = True,
        groups: Sequence[int] | None = None,
        older: bool = False,
        share: bool = True,
    ) -> Answer:
        """Offer these suites, and read what comes. Raises nothing."""
        if self.spent is not None:
            return Answer("spent", text="the server takes no more connections")
        if version == hellos.SSL_3_0:
            suites = (*suites, _SIGNAL)
        question = _Question(version, tuple(suites), self._name if sni else None, groups, older, share)
        answer = await self._ask(question)
        if answer.outcome == "hello" or (answer.outcome == "alert" and self._answered is None):
            self._answered = question
        return answer

    async def lives(self) -> bool:
        """Does the server still answer what it answered before?

        One that limits connections resets or closes those that are too many, which looks like a refusal of what they
        ask: only where this is true it is one. Nothing is known, so it is true, where no question was answered yet.
        """
        if self.spent is not None:
            return False
        if self._answered is None:
            return True
        answer = await self._ask(self._answered)
        if answer.outcome in {"hello", "alert"}:
            return True
        if answer.outcome != "budget":  # which is told on its own
            self.spent = answer.why()
        return False

    async def _ask(self, question: _Question) -> Answer:
        wire = hellos.client_hello(
            question.version, question.suites, name=question.name, groups=question.groups, older=question.older,
            share=question.share,
        )  # fmt: skip
        flight = Flight()
        try:
            async with asyncio.timeout(2 * self._network.timeout):
                async with await self._network.connect(self._address, self._port) as line:
                    await line.send(wire)
                    while not flight.over:
                        data = await line.receive()
                        if not data:
                            flight.ended()
                            break
                        flight.feed(data)
        except FailedError as error:
            return self._answer(flight, error.result, error.text)
        except TimeoutError:
            return self._answer(flight, "timeout", "the answer does not end")
        return self._answer(flight, "closed", "")

    def _answer(self, flight: Flight, outcome: str, text: str) -> Answer:
        if flight.hello is not None:
            if flight.chain:
                self.chains.setdefault(names.certificate_of(flight.hello.cipher), flight.chain)
            if flight.bits:
                self.bits[flight.bits] = None
            return Answer("hello", flight)
        if flight.alert is not None:
            return Answer("alert", flight)
        if flight.foreign:
            return Answer("foreign", flight)
        return Answer(outcome, flight, text)

    async def first(self) -> Answer:
        """What a client gets that can do everything; finds out whether the server takes a long ClientHello."""
        answer = await self.ask(tls.TLS_1_3, names.numbers(), older=True)
        if answer.outcome in {"closed", "reset", "timeout"}:
            second = await self.ask(tls.TLS_1_3, COMMON, older=True)
            if second.outcome in {"hello", "alert"}:
                self._chunk = CHUNK
                return second
        return answer

    async def version(self, version: int, *, each: bool = False) -> VersionFacts:
        """Everything about one version."""
        facts = VersionFacts(tls.version_name(version))
        await self.fill(facts, version, each=each)
        return facts

    async def fill(self, facts: VersionFacts, version: int, *, each: bool = False) -> None:
        """Find out everything about one version; what is known stands in `facts` at any time."""
        lists = self._lists(version)
        found: list[int] = []
        complete = True
        for place, part in enumerate(lists):
            if each and found:
                break
            complete = await self._eliminate(facts, version, part, found, first=place == 0, once=each) and complete
            if facts.accepted is None:
                return
        if facts.accepted is False and not found:
            facts.complete = complete
            return
        if each:
            complete = await self._one_by_one(facts, version, found)
        if len(found) > 1 and complete:
            await self._order(facts, version, found, sort=each or len(lists) > 1)
        facts.complete = complete and self.spent is None

    def _lists(self, version: int) -> list[list[int]]:
        new = version >= tls.TLS_1_3
        fitting = [number for number in names.numbers() if (number in NEW) is new]
        if not self._chunk or new:
            return [fitting]
        common = [number for number in COMMON if number in set(fitting)]
        rest = [number for number in fitting if number not in set(common)]
        return [common, *(rest[at : at + self._chunk] for at in range(0, len(rest), self._chunk))]

    async def _eliminate(
        self, facts: VersionFacts, version: int, suites: Sequence[int], found: list[int], *, first: bool, once: bool
    ) -> bool:
        """Offer all, take away what was chosen, and again. Is it complete?"""
        left, silences = list(suites), 0
        while left:
            answer = await self.ask(version, left)
            cipher = answer.cipher
            if cipher is not None and answer.version == version and cipher in left:
                facts.accepted, facts.why = True, None
                found.append(cipher)
                left.remove(cipher)
                facts.suites.append(accepted(cipher))
                if once:
                    return True
                continue
            # Servers that find nothing in common say so, or hang up; so do those that get too many connections.
            if (answer.outcome == "timeout" or answer.dropped) and silences + 1 < SILENCES_MAX:
                silences += 1
                continue
            told = not answer.silent and (not answer.dropped or await self.lives())
            if first and not found:
                # A server that lets the question drop may have reasons that say nothing about the version.
                facts.accepted = False if told else None
                facts.why = answer.why()
            return told
        return True

    async def _one_by_one(self, facts: VersionFacts, version: int, found: list[int]) -> bool:
        """A connection for each suite, several at a time."""
        candidates = [number for part in self._lists(version) for number in part if number not in found]
        silences, dropped = 0, False

        async def one(number: int) -> None:
            nonlocal silences, dropped
            if silences >= SILENCES_MAX:
                return
            answer = await self.ask(version, [number])
            if answer.cipher == number and answer.version == version:
                found.append(number)
                facts.suites.append(accepted(number))
            silences += answer.silent
            dropped = dropped or answer.dropped

        batch = 16
        for at in range(0, len(candidates), batch):
            dropped = False
            await asyncio.gather(*(one(number) for number in candidates[at : at + batch]))
            if dropped and not await self.lives():
                return False
        return silences < SILENCES_MAX

    async def _order(self, facts: VersionFacts, version: int, found: list[int], *, sort: bool) -> None:
        """Who decides, and the server's order where it does."""
        ahead, back = await self.ask(version, found), await self.ask(version, found[::-1])
        if ahead.cipher is None or back.cipher is None:
            return
        facts.order = "server" if ahead.cipher == back.cipher else "client"
        if not sort or facts.order == "client":
            return
        left, order = [number for number in found if number != ahead.cipher], [ahead.cipher]
        while left:
            cipher = (await self.ask(version, left)).cipher
            if cipher not in left:
                facts.order = None  # what is not put in order must not be called so
                return
            left.remove(cipher)
            order.append(cipher)
        facts.suites = [accepted(number) for number in order]

    async def groups(self, version: int, suites: Sequence[int]) -> tuple[list[str], bool]:
        """The groups of the key exchange, by what the server names, in its order or in ours; and are these all?"""
        new = version >= tls.TLS_1_3
        left = list(hellos.GROUPS_NEW if new else hellos.GROUPS_OLD)
        found: list[str] = []
        usable = [number for number in suites if new or names.exchange_of(number).startswith("ECDHE_")]
        rsa = [number for number in usable if names.certificate_of(number) == "RSA"]
        while left and usable:
            answer = await self.ask(version, rsa or usable, groups=left, share=False)
            group = answer.flight.group if answer.outcome == "hello" and answer.flight is not None else None
            if group not in left:
                return found, not answer.silent and (not answer.dropped or await self.lives())
            left.remove(group)
            found.append(tls.group_name(group))
        return found, True


def accepted(number: int) -> Accepted:
    """A suite that the server took."""
    return Accepted(names.named(number), names.exchange_of(number), names.weakness(number))
