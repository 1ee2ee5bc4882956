"""What secrets are called in URLs, forms, JSON and settings: one list, whatever the spelling."""

from __future__ import annotations

_TOKENS = (
    "access_token", "api_key", "api_secret", "api_token", "app_secret", "auth", "auth_code", "auth_key", "auth_token",
    "authorization", "bearer", "bearer_token", "client_secret", "cookie", "csrf_token", "device_token", "id_token",
    "jwt", "ota_token", "private_key", "refresh_token", "secret_key", "session", "session_id", "session_key",
    "session_token", "set_cookie", "share_token", "shared_token", "sig", "signature", "token",
)  # fmt: skip
_PASSWORDS = (
    "confirm_password", "current_password", "hash", "new_pass", "new_password", "old_pass", "old_password", "pass",
    "pass_hash", "passphrase", "passwd", "password", "password_hash", "psk", "pwd", "secret", "user_password",
    "wifi_pass", "wifi_password",
)  # fmt: skip

NAMES = tuple(sorted({*_TOKENS, *_PASSWORDS}))
"""Names of members, parameters, parts and settings whose value is secret: words in lower case joined by `_`."""
ROOTS = ("auth", "bearer", "cookie", "hash", "jwt", "key", "pass", "psk", "pwd", "secret", "session", "sig", "token")
"""Each of the names holds one of these: a search for words is many times quicker than an expression."""


def spelled(name: str) -> str:
    """A name in the one spelling that names are compared in: `X-Api-Key`, `apiKey` and `api_key` are the same."""
    plain = name.lower().replace("-", "").replace("_", "")
    return plain.removeprefix("x") if name[:2].lower() in {"x-", "x_"} else plain


SECRET = frozenset(map(spelled, NAMES))
"""The names as `spelled` gives them."""
PASSWORDS = frozenset(map(spelled, _PASSWORDS))
"""Those of them that stand for a password, which may be short and guessed."""
DEVICE_TOKENS = frozenset({"token", "authtoken"})
"""Parameters of a URL that name a device by its token, as `spelled` gives them."""


SPELLINGS = frozenset(name.replace("_", mark) for name in NAMES for mark in ("_", "-", ""))
"""The names as they are commonly written, in lower case."""


def is_secret(name: str) -> bool:
    """Is what stands under this name secret?"""
    return spelled(name) in SECRET


def is_password(name: str) -> bool:
    """Is it a password?"""
    return spelled(name) in PASSWORDS
