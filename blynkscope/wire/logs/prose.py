"""What people write around a log: sentences that name an error, and are none themselves."""

from __future__ import annotations

import re

from blynkscope.wire.logs.model import Told

_MENTIONED = frozenset({
    "auth-failed", "already-registered", "certificate-error", "cmd-error", "connected", "connecting", "crash",
    "disconnected", "dns-failure", "eof", "error", "heartbeat-timeout", "invalid-token", "login-timeout",
    "packet-too-big", "ready", "reconnecting", "redirecting", "refused", "reset", "timeout", "tls-error",
    "unreachable", "wifi",
})  # fmt: skip
"""Kinds of lines that people name in sentences; commands and URLs in a sentence stay what they are."""
_WORDS_MIN = 8
"""Words of a sentence; what a library prints about a failure is shorter."""
_WORD = re.compile(r"[A-Za-z']++")
_PERSONS = frozenset({
    "i", "i'm", "i've", "i'd", "i'll", "my", "me", "mine", "we", "we're", "we've", "our", "you", "you're", "you've",
    "your", "he", "she", "they", "anyone", "anybody", "someone", "somebody", "please", "thanks", "thank", "hi", "hello",
})  # fmt: skip
"""Words by which a person is speaking, or is spoken to."""
_SENTENCE = re.compile(r"[.!?:\u2026](?:\s|['\")\u201d\u2019]|\Z)|, ")
_LOOKED_AT = 2048
"""Characters of a line that are looked at."""


def mentions(text: str, told: Told) -> bool:
    """Whether a line without a stamp is a sentence of a person that only mentions what it was taken for."""
    if told.kind not in _MENTIONED or not text[:1].isalpha():
        return False
    words = [word.lower() for word in _WORD.findall(text[:_LOOKED_AT])]
    return len(words) >= _WORDS_MIN and not _PERSONS.isdisjoint(words) and _SENTENCE.search(text) is not None
