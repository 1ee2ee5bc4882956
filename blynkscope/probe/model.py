"""What a probe is told, and what it finds: the keys of its JSON, in this order.

    Report (the object): host port schema time seconds complete connections budget public limits dns ports era findings
    Names (dns): host addresses ms literal error advice
    PortFacts (each of ports): port tcp address speaks tls logins others note
    Attempt (each of tcp): address result ms text
    TlsFacts (tls): chosen cipher alert versions sni sni_text chains device handshake
    VersionFacts (each of versions): version accepted why suites order complete groups
    Accepted (each of suites): suite exchange weak
    SuiteName (suite; agreed and without_sni of a device, each of its offered and accepted): code iana openssl mbedtls
        axtls
    ChainFacts (each of chains): kind certificates flaws trust root
    CertificateFacts (each of certificates): subject names issuer not_before not_after key signature serial sha256 sha1
        self_signed error used
    Trust (each of trust): store trusted reason root
    DeviceSuites (device): offered accepted agreed version group without_sni handshake verdict advice known
        sni_needed
    LoginFacts (each of logins): made_up answer status status_name ms pings pings_lost redirect followed closing text
        id frames host address
    SpokenFacts (each of others): kind text server code made_up
    EraFacts (era): era evidence

Findings are those of every analysis (`FindingRecord`). The classes below say what the keys mean.

The facts are filled in as they become known, so that an interrupted probe has what it learned until then; `None`, an
empty list, or a missing section is what was not looked at. Times are milliseconds, dates seconds since the epoch. Texts
of the server are cut short and otherwise as they came: whoever shows them makes them safe.
"""

from __future__ import annotations

import msgspec

from blynkscope.analysis.records import FindingRecord

SCHEMA = 1
OWN_CA = "blynkscope"
"""The store of roots that holds the CA of this user, of `proxy` and `serve`."""
DEFAULT_PORTS = (443, 80, 8080, 9443, 8441, 8442, 1883, 8883)
"""Ports that are tried where none is named: Blynk IoT, legacy servers, older ones, MQTT."""
NO_TOKEN = "blynkscope-probe-no-real-token-0"  # noqa: S105 - made up, and meant to be seen
"""The made-up token of a login without `--token`: as long as a real one (the TLS port of a legacy server asks for
that), and to be recognised in the server's log."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be found out.

    Attributes:
        host: Name or address.
        port: None tries `DEFAULT_PORTS`.
        token: For the login; None logs in with `NO_TOKEN`.
        login: Log in at all, and ask HTTP and MQTT as a client with a token would.
        scan: Look for versions and cipher suites.
        each: One connection for each suite, in place of one for each that is accepted.
        suites: A device's list, in its order.
        names: How the list spelled what it names, for the report.
        ca: A file of root certificates in PEM.
        family: 4 or 6 for addresses of that kind alone.
        timeout: Seconds for an answer.
        delay: Seconds between connections; None for none, and a polite pause on public addresses.
        jobs: Connections at a time.
        budget: Most connections of the whole probe; None for a polite number.
        count: Pings behind a login.
        follow: Follow redirects.
    """

    host: str
    port: int | None = None
    token: str | None = None
    login: bool = True
    scan: bool = True
    each: bool = False
    suites: tuple[int, ...] = ()
    ca: str | None = None
    family: int | None = None
    timeout: float = 5.0
    delay: float | None = None
    jobs: int = 4
    budget: int | None = None
    count: int = 4
    follow: bool = False


class Names(msgspec.Struct, frozen=True):
    """The addresses of the host. `error` is what the resolver said, `advice` what to do."""

    host: str
    addresses: tuple[str, ...] = ()
    ms: float | None = None
    literal: bool = False
    error: str | None = None
    advice: str | None = None


class Attempt(msgspec.Struct, frozen=True):
    """A TCP connection to one address. `result`: open, refused, timeout, unreachable, reset, failed, not-tried."""

    address: str
    result: str
    ms: float | None = None
    text: str | None = None


class SuiteName(msgspec.Struct, frozen=True):
    """A cipher suite under the names that libraries give it; None where a library has none."""

    code: str
    iana: str
    openssl: str | None
    mbedtls: str | None
    axtls: str | None


class Accepted(msgspec.Struct, frozen=True):
    """A cipher suite that the server chose when it could. `weak` says what is wrong with it."""

    suite: SuiteName
    exchange: str
    weak: str | None = None


class VersionFacts(msgspec.Struct):
    """A TLS version. `accepted` is None where that could not be found out; `why` says what the server did.

    `order` is "server" (the server prefers), "client", or None; `complete` is False where the search was cut short.
    """

    version: str
    accepted: bool | None = None
    why: str | None = None
    suites: list[Accepted] = []
    order: str | None = None
    complete: bool = False
    groups: list[str] = []


class CertificateFacts(msgspec.Struct, frozen=True):
    """A certificate, as the server sends it. `error` where it cannot be read; `used` says whether the paths on which
    it is trusted go through it, None where there is none."""

    subject: str | None = None
    names: tuple[str, ...] = ()
    issuer: str | None = None
    not_before: float | None = None
    not_after: float | None = None
    key: str | None = None
    signature: str | None = None
    serial: str | None = None
    sha256: str | None = None
    sha1: str | None = None
    self_signed: bool = False
    error: str | None = None
    used: bool | None = None


class Trust(msgspec.Struct, frozen=True):
    """Does a store of roots trust the chain? `trusted` is None where that could not be tried; dates and name apart.

    `store` is "system", a file that was given, or "blynkscope": the CA of this user, which is asked where the chain
    ends with its name and no other store trusts it. `root` is the root that it leads to: what a device must carry.
    """

    store: str
    trusted: bool | None
    reason: str | None = None
    root: str | None = None


class ChainFacts(msgspec.Struct, frozen=True):
    """A certificate chain, the server's own first. `flaws`: expired, not-yet-valid, extra-not-valid (one that no path
    needs is expired or not valid yet), wrong-name, self-signed, unknown-ca, weak-signature, weak-key, unordered (one
    does not certify the one before it)…"""

    kind: str
    certificates: tuple[CertificateFacts, ...]
    flaws: tuple[str, ...] = ()
    trust: tuple[Trust, ...] = ()
    root: str | None = None


class DeviceSuites(msgspec.Struct, frozen=True):
    """A device's list against the server. `agreed` is what they would use; `verdict` says why, or why not.

    `without_sni` is what they would use if the device named no server; `sni_needed` says that the server refuses the
    list then, None where that is not known. `known` says that `accepted` holds all.
    """

    offered: tuple[SuiteName, ...]
    accepted: tuple[SuiteName, ...] = ()
    agreed: SuiteName | None = None
    version: str | None = None
    group: str | None = None
    without_sni: SuiteName | None = None
    handshake: str | None = None
    verdict: str | None = None
    advice: str | None = None
    known: bool = False
    sni_needed: bool | None = None


class TlsFacts(msgspec.Struct):
    """TLS on a port. `sni` says what changes for a client that names no server: same, other-certificate, refused."""

    chosen: str | None = None
    cipher: str | None = None
    alert: str | None = None
    versions: list[VersionFacts] = []
    sni: str | None = None
    sni_text: str | None = None
    chains: list[ChainFacts] = []
    device: DeviceSuites | None = None
    handshake: str | None = None


class LoginFacts(msgspec.Struct, frozen=True):
    """A login as a device. `made_up` says that the token was none; `answer`: status, redirect, other-id (a status with
    another message id than the login's, `id`, which devices take for no answer), silent, closed, reset, foreign.

    `frames` counts whole Blynk frames that came before the answer, or in its place. `host` and `address` are those that
    a redirect led to; None for the first login, which goes to the address of the port.
    """

    made_up: bool
    answer: str
    status: int | None = None
    status_name: str | None = None
    ms: float | None = None
    pings: tuple[float, ...] = ()
    pings_lost: int = 0
    redirect: str | None = None
    followed: bool = False
    closing: str | None = None
    text: str | None = None
    id: int | None = None
    frames: int = 0
    host: str | None = None
    address: str | None = None


class SpokenFacts(msgspec.Struct, frozen=True):
    """What another protocol answered: `http` with its status line, `mqtt` with its code, `ssh`, `text`…

    `code` is the status of HTTP or the return code of MQTT, `made_up` says that it was asked without a real token.
    """

    kind: str
    text: str
    server: str | None = None
    code: int | None = None
    made_up: bool = True


class PortFacts(msgspec.Struct):
    """One port. `speaks` names what was found, outside in: ["tls", "blynk", "http"]; `note` is why it ends there."""

    port: int
    tcp: list[Attempt] = []
    address: str | None = None
    speaks: list[str] = []
    tls: TlsFacts | None = None
    logins: list[LoginFacts] = []
    others: list[SpokenFacts] = []
    note: str | None = None


class EraFacts(msgspec.Struct, frozen=True):
    """The generation of the server: legacy, iot, or None, and what tells it."""

    era: str | None
    evidence: tuple[str, ...] = ()


class Report(msgspec.Struct):
    """All that was found. `complete` is False where the probe was interrupted or ran into a limit (`limits`)."""

    host: str
    port: int | None
    schema: int = SCHEMA
    time: float = 0.0
    seconds: float = 0.0
    complete: bool = False
    connections: int = 0
    budget: int = 0
    public: bool = False
    limits: list[str] = []
    dns: Names | None = None
    ports: list[PortFacts] = []
    era: EraFacts | None = None
    findings: list[FindingRecord] = []

    @property
    def reached(self) -> bool:
        """Did any address take a connection on any port?"""
        return any(one.result == "open" for port in self.ports for one in port.tcp)
