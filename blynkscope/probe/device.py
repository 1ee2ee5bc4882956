"""A device's list of cipher suites against a server: which it takes, which one they agree on, and if none, why."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from blynkscope.probe import suites as names
from blynkscope.probe.model import DeviceSuites, TlsFacts
from blynkscope.probe.net import Address, Network
from blynkscope.probe.scan import Answer, Scanner
from blynkscope.probe.trust import context_of, handshake
from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import NEW, suite_name

_USUAL = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
_SHOWN = 4


async def compare(
    scanner: Scanner, network: Network, address: Address, port: int, name: str | None, suites: Sequence[int],
    facts: TlsFacts,
) -> DeviceSuites:  # fmt: skip
    """Say the device's hello to the server, and what comes of it. Raises nothing."""
    new = any(number in NEW for number in suites)
    older = any(number not in NEW for number in suites)
    version = tls.TLS_1_3 if new else tls.TLS_1_2
    answer = await scanner.ask(version, suites, older=older and new)
    offered = tuple(names.named(number) for number in suites)
    bare = await scanner.ask(version, suites, older=older and new, sni=False)
    without = names.named(bare.cipher) if bare.cipher is not None else None
    if answer.cipher is None or answer.cipher not in suites:
        known = await _is_answer(scanner, answer)
        verdict, advice = await _why(scanner, answer, suites, facts, known=known)
        if without is not None and known:
            verdict = f"only without a server name (SNI): {without.iana}"
        return DeviceSuites(offered, without_sni=without, verdict=verdict, advice=advice)
    needed = without is None if await _is_answer(scanner, bare) else None
    taken, is_all = await _taken(scanner, version, suites, answer.cipher, facts, older=older and new)
    group = answer.flight.group if answer.flight is not None else None
    done = await _complete(network, address, port, name, answer.cipher, answer.version or version)
    if done not in {None, "completed"} and not await scanner.lives():
        done = None
    agreed = names.named(answer.cipher)
    verdict = f"{len(taken)} of {len(suites)} are accepted; they would use {agreed.iana}"
    return DeviceSuites(
        offered, tuple(names.named(number) for number in taken), agreed, tls.version_name(answer.version or version),
        tls.group_name(group) if group is not None else None, without, done, verdict, None, is_all, needed,
    )  # fmt: skip


async def _is_answer(scanner: Scanner, answer: Answer) -> bool:
    """Is it one to what was asked, and not only the end of the server's patience?"""
    return not answer.silent and (not answer.dropped or await scanner.lives())


async def _taken(
    scanner: Scanner, version: int, suites: Sequence[int], first: int, facts: TlsFacts, *, older: bool
) -> tuple[list[int], bool]:
    """Those of the list that the server accepts, in the list's order, and whether these are all."""
    if facts.versions and all(one.complete for one in facts.versions if one.accepted is not False):
        known = {int(one.suite.code, 16) for facts_ in facts.versions for one in facts_.suites}
        return [number for number in suites if number in known or number == first], True
    left, found = [number for number in suites if number != first], {first}
    while left:
        answer = await scanner.ask(version, left, older=older)
        if answer.cipher not in left:
            return [number for number in suites if number in found], await _is_answer(scanner, answer)
        left.remove(answer.cipher)
        found.add(answer.cipher)
    return [number for number in suites if number in found], True


async def _complete(
    network: Network, address: Address, port: int, name: str | None, cipher: int, version: int
) -> str | None:
    """Go through with it where this machine's library can: "completed", or what went wrong; None where it cannot."""
    openssl = names.openssl_name(cipher)
    if openssl is None:
        return None
    context = context_of()
    try:
        if version >= tls.TLS_1_3:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        else:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(f"{openssl}:@SECLEVEL=0")
    except (ssl.SSLError, ValueError):
        return None
    session = await handshake(network, address, port, name, context)
    return "completed" if session.text is not None else session.error


async def _why(
    scanner: Scanner, answer: Answer, suites: Sequence[int], facts: TlsFacts, *, known: bool
) -> tuple[str, str]:
    """Why there is nothing in common, and what to do, as far as what is known of the server tells.

    `known` says that the answer is one to the list.
    """
    if not known:
        return f"not found out: the server gave {answer.why()}", "Try again, more slowly: --delay, a longer --timeout."
    takes_suites = [int(one.suite.code, 16) for version in facts.versions for one in version.suites]
    said = f"the server refuses the list: {answer.why()}"
    mismatch = await _certificate_mismatch(scanner, suites, takes_suites, facts)
    if not takes_suites:
        return mismatch or (said, "Offer what servers take today: TLS 1.2 with " + _USUAL + ".")
    takes = [version.version for version in facts.versions if version.accepted]
    shown = ", ".join(dict.fromkeys(suite_name(number) for number in takes_suites[:_SHOWN]))
    if takes == ["TLS 1.3"] and not any(number in NEW for number in suites):
        return (
            "the server takes TLS 1.3 only, and the list has no suite of it",
            "Let the server take TLS 1.2 as well, or update the TLS library of the device to one with TLS 1.3.",
        )
    overlap = [number for number in suites if number in takes_suites]
    if overlap:
        return (
            f"the server takes {suite_name(overlap[0])}, but not of a client with this list ({answer.why()})",
            "It is a matter of the version or the groups: look at which versions take it.",
        )
    if mismatch is not None:
        return mismatch
    if {names.exchange_of(number) for number in suites} == {"RSA"} and "RSA" not in map(
        names.exchange_of, takes_suites
    ):
        return (
            "the list has RSA key exchange only, and the server wants ECDHE or DHE",
            f"Update the TLS library or the firmware of the modem to one with ECDHE ({_USUAL}), or let the server take "
            "RSA key exchange (a legacy server of your own on a Java that still has it).",
        )
    return (
        f"the server takes none of the {len(suites)} suites",
        f"The server takes {shown}: enable one of them on the device, or one of the device's on the server; or use the "
        "plain port.",
    )


async def _certificate_mismatch(
    scanner: Scanner, suites: Sequence[int], taken: Sequence[int], facts: TlsFacts
) -> tuple[str, str] | None:
    """Does the server have another kind of key in its certificate than the list can use?

    Where nobody searched for what the server takes, its certificates tell, those that were shown: one of the other
    kind is asked for, with all suites that there are.
    """
    wants = {names.certificate_of(number) for number in suites} - {"any", "none"}
    has = {names.certificate_of(number) for number in taken} if taken else {chain.kind for chain in facts.chains}
    has -= {"any", "none"}
    if not wants or not has or wants & has:
        return None
    if not taken:
        fitting = [number for number in names.numbers() if names.certificate_of(number) in wants]
        other = await scanner.ask(tls.TLS_1_2, fitting)
        if other.outcome == "hello" or not await _is_answer(scanner, other):
            return None
    wanted, held = " or ".join(sorted(wants)), " or ".join(sorted(has))
    key = next((chain.certificates[0].key for chain in facts.chains if chain.kind in has), None)
    return (
        f"the list is for servers with a certificate of {wanted}, and this server has one of {held}"
        + (f" ({key})" if key else ""),
        f"Give the server a certificate with a key of {wanted} (it may have both kinds), or the device suites for "
        f"{held}.",
    )
