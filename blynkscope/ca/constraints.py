"""Name constraints: what a CA may sign for, where its owner wants a limit.

By default there is none. Devices are given any host name or address of their server, and `--upstream` names it long
after the CA went into the firmware. An intermediate CA for each run, limited to the names of that run, would not
protect anything: the root's key lies beside it. What does protect is that the key stays in a private folder, that the
root signs for TLS servers only and for no further CA, and that it ends after a year.

Who wants a limit on names too gives it when the CA is made (`blynkscope ca renew --constrain blynk.cloud`). Measured:

| stack | limit marked critical | not critical | compares an IPv4 address with |
|---|---|---|---|
| OpenSSL 3.0, GnuTLS 3.7 | held to | held to | addresses |
| mbedTLS 2.28 (ESP32) | root cannot be read, error -0x2562 | ignored | host names |
| BearSSL 0.6 (ESP8266) | ignored: keeps name and key of a root only | ignored | host names |

So it is not marked critical, against the letter of RFC 5280. And an address in writing counts as a host name as well,
for the stacks of the last column. Of a whole network that cannot be said in a constraint: with one, those stacks find
no name that fits when the sketch has an address, where single addresses work everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

import msgspec
from cryptography import x509

from blynkscope.ca.names import address, host
from blynkscope.errors import EnvironmentProblem

Network = IPv4Network | IPv6Network

CONSTRAINTS_MAX = 64
"""Names of one limit; each costs a device some bytes of flash."""
NOWHERE = "blynkscope.invalid"
"""A host name that nobody has (RFC 2606), for where there must be one."""
_EVERY_ADDRESS: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


class Constraints(msgspec.Struct, frozen=True):
    """What may be signed for; nothing at all in it means everything.

    Args:
        hosts: Host names; each stands for itself and all names below it.
        networks: Networks of addresses.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, words: Iterable[str]) -> Constraints:
        """From host names, addresses and networks (CIDR).

        Raises:
            EnvironmentProblem: A word is none of these, or there are too many.
        """
        hosts: dict[str, None] = {}
        networks: dict[Network, None] = {}
        for word in words:
            at, name = address(word), host(word.removeprefix("*."))
            if at is not None:
                networks[ip_network(at)] = None
            elif name is not None:
                hosts[name] = None
            else:
                try:
                    networks[ip_network(word, strict=False)] = None
                except ValueError:
                    raise EnvironmentProblem(
                        f"{word[:80]!r} is no host name, address or network (192.168.0.0/16)"
                    ) from None
        if len(hosts) + len(networks) > CONSTRAINTS_MAX:
            raise EnvironmentProblem(
                f"more than {CONSTRAINTS_MAX} names to constrain the CA to: take domains and networks"
            )
        return cls(tuple(hosts), tuple(networks))

    @classmethod
    def held_by(cls, certificate: x509.Certificate) -> Constraints:
        """What a certificate is limited to."""
        try:
            held = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        except x509.ExtensionNotFound:
            return cls()
        names = held.permitted_subtrees or []
        return cls(
            tuple(
                one.value
                for one in names
                if isinstance(one, x509.DNSName) and one.value != NOWHERE and address(one.value) is None
            ),
            tuple(
                one.value
                for one in names
                if isinstance(one, x509.IPAddress) and isinstance(one.value, IPv4Network | IPv6Network)
            ),
        )

    def __bool__(self) -> bool:
        return bool(self.hosts or self.networks)

    @property
    def words(self) -> tuple[str, ...]:
        """The limit in the notation of `of`."""
        return (*self.hosts, *(str(one) if one.num_addresses > 1 else str(one[0]) for one in self.networks))

    def permits(self, name: str) -> bool:
        """May a cleaned name be signed for?"""
        if not self:
            return True
        at = address(name)
        if at is None:
            return self.permits_as_host(name)
        return any(at.version == one.version and at in one for one in self.networks)

    def permits_as_host(self, name: str) -> bool:
        """May a text be signed for as a host name, be it one or an IPv4 address in writing?"""
        return not self or any(name == one or name.endswith("." + one) for one in self._hosts_and_addresses())

    def _hosts_and_addresses(self) -> tuple[str, ...]:
        single = (str(one[0]) for one in self.networks if one.version == 4 and one.num_addresses == 1)
        return (*self.hosts, *single)

    def extension(self) -> x509.NameConstraints:
        """The X.509 extension. No kind of name stays unmentioned, for what is not mentioned is free."""
        hosts = (*self._hosts_and_addresses(), NOWHERE)
        permitted: list[x509.GeneralName] = [x509.DNSName(one) for one in hosts]
        permitted += [x509.IPAddress(one) for one in self.networks]
        versions = {one.version for one in self.networks}
        excluded = [x509.IPAddress(one) for one in _EVERY_ADDRESS if one.version not in versions]
        return x509.NameConstraints(permitted, excluded or None)
