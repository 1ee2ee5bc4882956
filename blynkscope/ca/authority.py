"""The certificate authority of this user: loaded, or made on first use; signs leaves on the fly."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from blynkscope.ca import making
from blynkscope.ca.constraints import Constraints
from blynkscope.ca.names import clean
from blynkscope.ca.store import Store, opened
from blynkscope.errors import EnvironmentProblem

PRIVATE_FILE = "authority.pem"
"""Key and certificate in one file, so that there is never one without the other."""
PUBLIC_FILE = "ca.pem"
"""The certificate alone, for programs that are given a path; made anew from the private file when it differs."""
LEAVES_MAX = 256
"""Leaves that are kept; a client that asks for ever new names costs a signature (some ms) each, and no memory."""
LEAF_RENEWED = timedelta(days=7)
"""A leaf that has no longer to live is made anew: half its life, so that a device's clock may be days ahead."""
FALLBACK_NAMES = ("localhost", "127.0.0.1")
"""Names of a leaf for a client that asked for nothing usable."""

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def default_folder() -> Path:
    """Where the CA is: `ca` in the user's configuration of blynkscope."""
    import platformdirs

    return Path(platformdirs.user_config_dir("blynkscope", appauthor=False)) / "ca"


class Authority:
    """A root certificate with its key, and the leaves that it signed in this process.

    Leaves share one key of each kind, which is made at first use and only ever in memory. Methods may be called from
    several threads.

    Attributes:
        created: Was it made just now, by this process?
        folder: Where it is kept.
        constraints: What it may sign for; all there is, if it is empty.
    """

    def __init__(
        self,
        folder: Path,
        certificate: x509.Certificate,
        key: rsa.RSAPrivateKey,
        *,
        created: bool = False,
        clock: Clock = _now,
    ) -> None:
        self.folder = folder
        self.created = created
        self.certificate = certificate
        self.constraints = Constraints.held_by(certificate)
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._leaf_keys: dict[bool, tuple[making.Key, bytes]] = {}
        self._leaves: OrderedDict[tuple[tuple[str, ...], bool], tuple[bytes, datetime]] = OrderedDict()

    @classmethod
    def at(cls, folder: Path | None = None, *, clock: Clock = _now) -> Authority:
        """Load the CA of a folder (the user's own without one), or make it on first use.

        Raises:
            EnvironmentProblem: The folder is unsafe or cannot be written, or what is in it is damaged, expired or
                known to others; the text says what to do.
        """
        folder = (folder or default_folder()).absolute()
        with opened(folder) as store:
            created = False
            held = store.read(PRIVATE_FILE, private=True)
            if held is None:
                created = store.create(PRIVATE_FILE, _new(clock(), Constraints()), mode=0o600)
                # What lies there now may be another process's: that one counts for both.
                held = store.read(PRIVATE_FILE, private=True) or b""
            certificate, key = _parsed(held, folder)
            _check_time(certificate, clock())
            _publish(store, certificate)
        return cls(folder, certificate, key, created=created, clock=clock)

    @classmethod
    def renew(cls, folder: Path | None = None, *, constrain: Iterable[str] = (), clock: Clock = _now) -> Authority:
        """Make a new CA with a new key in place of what is there, be it good, expired or damaged.

        Args:
            folder: Where it is kept; the user's own without one.
            constrain: Host names, addresses and networks that it may sign for; everything, if there are none.
            clock: Tells the time.

        Raises:
            EnvironmentProblem: The folder is unsafe or cannot be written, or a name to constrain to is none.
        """
        folder = (folder or default_folder()).absolute()
        constraints = Constraints.of(constrain)
        with opened(folder) as store:
            held = _new(clock(), constraints)
            store.replace(PRIVATE_FILE, held, mode=0o600)
            certificate, key = _parsed(held, folder)
            _publish(store, certificate)
        return cls(folder, certificate, key, created=True, clock=clock)

    @property
    def private_path(self) -> Path:
        """The file with the key, which is shown to nobody."""
        return self.folder / PRIVATE_FILE

    @property
    def certificate_path(self) -> Path:
        """The file with the certificate (PEM), for programs that want a path."""
        return self.folder / PUBLIC_FILE

    @property
    def certificate_pem(self) -> bytes:
        """The root certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def certificate_der(self) -> bytes:
        """The root certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the root certificate: upper-case bytes with colons between them."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def fingerprint_sha1(self) -> str:
        """SHA-1 of the root certificate, as old firmware notes it."""
        return self.certificate.fingerprint(hashes.SHA1()).hex(":").upper()  # noqa: S303 - a name, no protection

    @property
    def bits(self) -> int:
        """Size of the root's RSA key."""
        return self._key.key_size

    @property
    def not_before(self) -> datetime:
        """When the root begins to be valid."""
        return self.certificate.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """When the root ends."""
        return self.certificate.not_valid_after_utc

    def prepare(self) -> None:
        """Make the keys of the leaves now (some 100 ms), rather than within the first handshake."""
        with self._lock:
            for is_rsa in (True, False):
                self._leaf_key(is_rsa)

    def leaf(self, names: Sequence[str], *, rsa: bool = True) -> tuple[bytes, bytes]:
        """A certificate for a server of these names.

        Names that cannot stand in a certificate (hostile SNI), and those that the CA may not sign for, are left out; if
        none remains it is for `localhost`, or for what the CA is constrained to. The same names give the same bytes
        until half of the life of the leaf is over.

        Args:
            names: Host names and IP addresses. The first host name is the common name.
            rsa: An RSA key, for all stacks there are; otherwise EC P-256.

        Returns:
            The chain in PEM, leaf first and root last; and the leaf's key in PEM, which belongs in no lasting file.

        Raises:
            EnvironmentProblem: The root has expired meanwhile.
        """
        wanted = self._wanted(names)
        now = self._clock()
        with self._lock:
            key, key_pem = self._leaf_key(rsa)
            found = self._leaves.get((wanted, rsa))
            if found is None or not now < found[1]:
                _check_time(self.certificate, now)
                made = making.make_leaf(wanted, key, self.certificate, self._key, now, self.constraints)
                # Near the end of the root a leaf is short from the start, and is not made anew for each handshake.
                ends = min(made.not_valid_after_utc, max(made.not_valid_after_utc - LEAF_RENEWED, now + LEAF_RENEWED))
                chain = made.public_bytes(serialization.Encoding.PEM) + self.certificate_pem
                found = self._leaves[wanted, rsa] = (chain, ends)
                if len(self._leaves) > LEAVES_MAX:
                    self._leaves.popitem(last=False)
            self._leaves.move_to_end((wanted, rsa))
            return found[0], key_pem

    def _wanted(self, names: Iterable[str]) -> tuple[str, ...]:
        if not self.constraints:
            return clean(names) or FALLBACK_NAMES
        permitted = tuple(name for name in clean(names) if self.constraints.permits(name))
        own = (*self.constraints.hosts, *(str(one[0]) for one in self.constraints.networks))
        return permitted or clean(own)

    def _leaf_key(self, is_rsa: bool) -> tuple[making.Key, bytes]:
        found = self._leaf_keys.get(is_rsa)
        if found is None:
            key: making.Key = making.rsa_key() if is_rsa else making.ec_key()
            found = self._leaf_keys[is_rsa] = (key, making.key_pem(key))
        return found


def _new(now: datetime, constraints: Constraints) -> bytes:
    key = making.rsa_key()
    root = making.make_root(key, now, constraints)
    return making.key_pem(key) + root.public_bytes(serialization.Encoding.PEM)


def _parsed(held: bytes, folder: Path) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    problem = "it does not parse"
    try:
        key = serialization.load_pem_private_key(held, None)
        certificate = x509.load_pem_x509_certificate(held)
        may_sign = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
            problem = "key and certificate do not belong together"
        elif may_sign:
            return certificate, key
        else:
            problem = "its certificate is not that of a CA"
    except Exception:  # noqa: S110 - the library raises errors of many kinds, which say nothing to a user
        pass
    raise EnvironmentProblem(
        f"the CA in {folder / PRIVATE_FILE} is damaged ({problem}): `blynkscope ca renew` makes a new one, which then"
        " goes into the firmware"
    )


def _check_time(certificate: x509.Certificate, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= ends:
        raise EnvironmentProblem(
            f"the CA expired on {ends:%Y-%m-%d}: `blynkscope ca renew` makes a new one; put it into the firmware"
        )
    if now < begins:
        raise EnvironmentProblem(
            f"the CA is valid from {begins:%Y-%m-%d} only, and it is {now:%Y-%m-%d} on this machine: set its clock, or"
            " make a new CA with `blynkscope ca renew`"
        )


def _publish(store: Store, certificate: x509.Certificate) -> None:
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    try:
        same = store.read(PUBLIC_FILE, private=False) == pem
    except EnvironmentProblem:
        same = False
    if not same:
        store.replace(PUBLIC_FILE, pem, mode=0o644)
