"""Which host an address belongs to, from the DNS answers that were seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blynkscope.wire.dns import Answer

NAMES_MAX = 4096
"""Addresses whose names are remembered; a capture of one network holds far fewer that matter."""


class Names:
    """Host names by address."""

    __slots__ = ("_hosts",)

    def __init__(self) -> None:
        self._hosts: dict[str, str] = {}

    def learn(self, answer: Answer) -> None:
        """Take in a DNS answer."""
        if not answer.is_response or not answer.question:
            return
        for address in answer.addresses:
            if address not in self._hosts and len(self._hosts) >= NAMES_MAX:
                del self._hosts[next(iter(self._hosts))]
            self._hosts[address] = answer.question

    def of(self, end: str | None) -> str | None:
        """The name under which an `ip:port` was looked up; None where that was not seen."""
        if end is None:
            return None
        return self._hosts.get(address_of(end))


def address_of(end: str) -> str:
    """The address of `ip:port` or `[ip6]:port`."""
    return end.rpartition(":")[0].strip("[]")
