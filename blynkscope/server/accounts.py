"""Accounts: e-mail address, password hash, energy. Kept in the store as documents."""

from __future__ import annotations

import re
import secrets

import msgspec

from blynkscope.server.store import Store

EMAIL_MAX = 255
"""Characters of an e-mail address (RFC 5321 has 254)."""
HASH_MAX = 128
"""Characters of a password hash; the apps send 44."""
ACCOUNTS_MAX = 1024
"""Accounts that may be registered: anybody who reaches the port can."""
ENERGY_AT_START = 100_000
"""What the legacy server gives new accounts where nobody sells energy."""

_KIND = "account"
_EMAIL = re.compile(r"[^@\s\x00-\x20]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has projects.

    Attributes:
        email: As it was registered; the store's key is its lower case.
        hash: See `protocol.passwords`.
        energy: The apps' currency for widgets.
        push: Phones for push notifications: its id → its token.
    """

    email: str
    hash: str
    energy: int = ENERGY_AT_START


class Registration(msgspec.Struct, frozen=True):
    """What came of a registration: an account, or the status that refuses it."""

    account: Account | None
    status: int


def is_email(text: str) -> bool:
    """Has this the form of an e-mail address?"""
    return len(text) <= EMAIL_MAX and _EMAIL.fullmatch(text) is not None


def new_token() -> str:
    """A token that nobody guesses: 32 characters of base64url, as both generations of servers make them."""
    return secrets.token_urlsafe(24)


class Accounts:
    """All accounts, in memory and in the store. Raises `StoreError` where what is stored is damaged."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._all: dict[str, Account] = {}
        for key, document in store.documents(_KIND):
            try:
                self._all[key] = msgspec.json.decode(document, type=Account)
            except msgspec.DecodeError as error:
                raise store.damaged(_KIND, key) from error

    def get(self, email: str) -> Account | None:
        """The account of an address, whatever its case."""
        return self._all.get(email.lower())

    def keep(self, account: Account) -> bool:
        """Keep an account, new or changed; False where there is no room for it."""
        key = account.email.lower()
        if not self._store.set_document(_KIND, key, msgspec.json.encode(account)):
            return False
        self._all[key] = account
        return True

    def register(self, email: str, hashed: str) -> Registration:
        """Make an account.

        Status 2: this is no address, or no hash; 4: there is one already; 6: there are too many; 19: there is no room.
        """
        if not is_email(email) or not 0 < len(hashed) <= HASH_MAX:
            return Registration(None, 2)
        if self.get(email) is not None:
            return Registration(None, 4)
        if len(self._all) >= ACCOUNTS_MAX:
            return Registration(None, 6)
        account = Account(email=email.lower(), hash=hashed)
        return Registration(account, 200) if self.keep(account) else Registration(None, 19)

    def login(self, email: str, hashed: str) -> Registration:
        """The account, or the status that refuses the login: 3 no such account, 5 another password."""
        account = self.get(email)
        if account is None:
            return Registration(None, 3)
        if not secrets.compare_digest(account.hash.encode(), hashed.encode()):
            return Registration(None, 5)
        return Registration(account, 200)
