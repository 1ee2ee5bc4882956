"""Text off the wire in findings: short, and without what may be a secret."""

from __future__ import annotations

import re

_SECRET = re.compile(r"[A-Za-z0-9_-]{20,}+|[^\s@/]{1,64}+@[A-Za-z0-9.-]{3,}+")
"""As long as half a token, or an e-mail address. Whoever cuts a text must take out what is cut before."""
_LOOKED_AT = 400


def quote(text: object, most: int = 40) -> str:
    """The beginning of a text in quotes; long words and addresses are left out, for they may be secrets.

    Args:
        text: Raw text.
        most: Characters that are shown.
    """
    plain = _SECRET.sub("…", str(text)[:_LOOKED_AT].strip())
    return f'"{plain[:most].rstrip()}{"…" if len(plain) > most else ""}"'


def host(name: str) -> str:
    """A host's name as it may be shown: what looks like a token in its place is left out."""
    return _SECRET.sub("…", name[:_LOOKED_AT])
