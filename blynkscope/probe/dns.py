"""The addresses of a host, by the resolver of this machine, and what its refusals mean."""

from __future__ import annotations

import asyncio
import difflib
import socket
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from blynkscope.analysis.era import era_of_host
from blynkscope.probe.model import Names
from blynkscope.probe.net import Address
from blynkscope.protocol.model import Era

Lookup = Callable[[str, int], list[tuple[Any, ...]]]
"""`getaddrinfo` for a host and a family."""
ADDRESSES_MAX = 16
"""Addresses of one name that are tried; large services have some eight of each kind."""
TEXT_MAX = 200
BLYNK_HOSTS = (
    "blynk.cloud", "ny3.blynk.cloud", "fra1.blynk.cloud", "lon1.blynk.cloud", "sgp1.blynk.cloud", "blr1.blynk.cloud",
)  # fmt: skip
_SAID = {
    "EAI_NONAME": ("unknown-name", "there is no such name, or no DNS server answered that knows it"),
    "EAI_NODATA": ("no-address", "the name exists, but has no address"),
    "EAI_ADDRFAMILY": ("no-address", "the name has no address of this kind"),
    "EAI_AGAIN": ("no-answer", "the DNS server did not answer, or is not reachable"),
    "EAI_FAIL": ("failed", "the DNS server failed for good"),
    "EAI_FAMILY": ("no-address", "this kind of address is not supported here"),
}
_MEANS = {getattr(socket, name): meaning for name, meaning in _SAID.items() if hasattr(socket, name)}
_ADVICE = {
    "unknown-name": "Check the spelling of the host. Devices and modems with a DNS server of their own may get another "
    "answer than this computer.",
    "no-address": "Drop -4 or -6, or ask who runs the server for its address.",
    "no-answer": "Check that this computer is online and which DNS server it asks (/etc/resolv.conf); try another one, "
    "or probe the server by its address.",
    "failed": "Ask another DNS server, or probe the server by its address.",
    "timeout": "The resolver is slow or unreachable: check the DNS server of this computer, or probe the server by its "
    "address.",
    "system": "It is this computer that could not ask, whatever the name: mend that (too many open files: ulimit -n), "
    "try again, or probe the server by its address.",
    "no-name": "Give a host name or an address, like blynk.cloud or 192.168.1.10.",
}


def system_lookup(host: str, family: int) -> list[tuple[Any, ...]]:
    """The resolver of this machine."""
    return socket.getaddrinfo(host, 0, family, socket.SOCK_STREAM, socket.IPPROTO_TCP)


async def resolve(
    host: str, family: int | None, timeout: float, lookup: Lookup = system_lookup
) -> tuple[Names, list[Address]]:
    """Look a host up.

    Args:
        host: Name or address.
        family: 4 or 6 for addresses of that kind alone.
        timeout: Seconds to wait for the resolver, which itself knows no limit.
        lookup: What is asked.

    Returns:
        What there is to tell, and the addresses; none where it failed.
    """
    wanted = {4: socket.AF_INET, 6: socket.AF_INET6}.get(family or 0, socket.AF_UNSPEC)
    literal = _is_address(host)
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(timeout):
            found = await _in_thread(lookup, host, wanted)
    except TimeoutError:
        return _failed(host, "timeout", f"the resolver said nothing for {timeout:g} s", begun), []
    except socket.gaierror as error:
        kind, text = _MEANS.get(error.errno or 0, ("failed", "the resolver failed"))
        said = f"{text} ({error.strerror})" if error.strerror else text
        return _failed(host, kind, said[:TEXT_MAX], begun), []
    except OSError as error:
        said = (error.strerror or str(error) or type(error).__name__).lower()[:TEXT_MAX]
        return _failed(host, "system", f"this computer could not ask for it ({said})", begun), []
    except ValueError as error:  # names that cannot be encoded are such
        return _failed(host, "no-name", f"this is no host name ({str(error)[:TEXT_MAX]})", begun), []
    except Exception as error:
        said = f"the resolver failed ({type(error).__name__}: {error})"
        return _failed(host, "failed", said[:TEXT_MAX], begun), []
    addresses = _addresses(found)
    if not addresses:
        return _failed(host, "no-address", "the name has no address", begun), []
    ms = round((time.perf_counter() - begun) * 1000, 3)
    return Names(host, tuple(one.text for one in addresses), None if literal else ms, literal), addresses


def _failed(host: str, kind: str, said: str, begun: float) -> Names:
    advice = _ADVICE[kind]
    near = suggestion(host) if kind != "system" else None
    if near:
        advice = f"Did you mean {near}? {advice}"
    return Names(host, ms=round((time.perf_counter() - begun) * 1000, 3), error=said, advice=advice)


def suggestion(host: str) -> str | None:
    """The host of Blynk that was probably meant; None where it is one, or is nothing like one."""
    name = host.lower().rstrip(".")
    if era_of_host(name) is Era.LEGACY:
        return "blynk.cloud"
    if name in BLYNK_HOSTS:
        return None
    near = difflib.get_close_matches(name[:80], BLYNK_HOSTS, n=1, cutoff=0.75)
    return near[0] if near else None


def _addresses(found: list[tuple[Any, ...]]) -> list[Address]:
    seen: dict[tuple[Any, ...], Address] = {}
    for family, _, _, _, sockaddr in found:
        if family in {socket.AF_INET, socket.AF_INET6}:
            seen.setdefault((sockaddr[0], *sockaddr[2:]), Address(int(family), tuple(sockaddr)))
    return list(seen.values())[:ADDRESSES_MAX]


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


async def _in_thread(lookup: Lookup, host: str, family: int) -> list[tuple[Any, ...]]:
    """The answer of a resolver that may hang for minutes: its thread holds up neither the loop nor the end."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

    def settle(result: list[tuple[Any, ...]] | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result or [])

    def ask() -> None:
        result: list[tuple[Any, ...]] | None = None
        problem: Exception | None = None
        try:
            result = lookup(host, family)
        except Exception as error:  # whoever waits for the answer judges it; here it would only be printed
            problem = error
        try:
            loop.call_soon_threadsafe(settle, result, problem)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    return await answer
