"""What Blynk's apps send in place of a password."""

from __future__ import annotations

import base64
import hashlib


def password_hash(password: str, email: str) -> str:
    """base64(sha256(password + sha256(lower case of the e-mail)))."""
    salt = hashlib.sha256(email.lower().encode()).digest()
    return base64.b64encode(hashlib.sha256(password.encode() + salt).digest()).decode()
