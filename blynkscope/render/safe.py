"""The one gate between wire text and a terminal, a file or a report.

Neither rich nor a CSV reader stops an escape sequence that came from the wire. So every character that is not
printable is spelled out here, and nothing that is shown goes around this module.
"""

from __future__ import annotations


def _spelled(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}"


def safe(text: str) -> str:
    """Text with every unprintable character spelled out: `\\xNN` below U+0100, `\\u{…}` above.

    Unprintable is what `str.isprintable` says: C0 and C1 controls, DEL, line and paragraph separators, bidirectional
    and zero-width marks, lone surrogates and unassigned code points. The plain space stays.
    """
    return text if text.isprintable() else "".join(map(_spelled, text))


def safe_line(text: str, limit: int) -> str:
    """`safe(text)`, cut to at most `limit` characters with "…" in place of what is missing.

    Args:
        text: Anything.
        limit: Characters, at least 1.
    """
    # Cut first: text from the wire may be megabytes long, and no character gets shorter by being spelled out.
    shown = safe(text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
