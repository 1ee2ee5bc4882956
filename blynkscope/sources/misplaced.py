"""Files that belong to a capture and are none, given in its place: key logs, certificates, keys, our own records."""

from __future__ import annotations

import re

PROBE = 256 * 1024
"""Bytes that are looked at."""
_LABEL = re.compile(rb"(?m)^[\xef\xbb\xbf\xff\xfe]{0,3}(?:CLIENT_|SERVER_|PMS_CLIENT_|RSA |EXPORTER_|EARLY_EXPORTER_)")
_RECORD = re.compile(
    rb'[\xef\xbb\xbf\xff\xfe]{0,3}\s*+(?:\[\s*+)?\{\s*+"record":\s*+'
    rb'"(?:stream|frame|message|write|link|finding|log|summary|step|replay)"'
)
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_END = b"-----END "
_OPENS_NOTHING = (
    "neither a capture nor a log. It opens no TLS connection either: what does is a key log of the program that made "
    "it, which is given with --keylog"
)


def what_it_is(data: bytes) -> str | None:
    """What this input is, and what to do with it, where it is no capture and no log of Blynk; None for all else."""
    # Text in UTF-16, as shells of Windows write it, is the same text with a zero beside each character.
    probe = data[:PROBE].replace(b"\0", b"")
    if _is_key_log(probe):
        return "this is a TLS key log: give it with --keylog, beside the capture that it belongs to"
    if _RECORD.match(probe) is not None:
        return (
            "this is what blynkscope has written about frames (--format json or jsonl, --log), not the frames "
            "themselves: give the capture that it was made from; proxy, serve and decode make one with --record"
        )
    kind = _pem(probe)
    if kind is None:
        return None
    what = "a certificate" if "CERTIFICATE" in kind else "a private key" if "PRIVATE" in kind else "a PEM file"
    return f"this is {what}, {_OPENS_NOTHING}"


def _is_key_log(probe: bytes) -> bool:
    """Are most of its lines lines of a key log?"""
    if _LABEL.search(probe) is None:
        return False
    from blynkscope.wire.keylog import KeyLog

    # The last line may be cut by the probe.
    log = KeyLog(probe)
    return log.lines > log.unusable


def _pem(probe: bytes) -> str | None:
    """The kind of its first PEM block, where blocks are the greater part of it."""
    kind, inside, at = None, 0, 0
    while (begin := _BEGIN.search(probe, at)) is not None:
        end = probe.find(_END, begin.end())
        at = len(probe) if end < 0 else end
        kind = kind or begin[1].decode()
        inside += at - begin.start()
    return kind if kind is not None and 2 * inside > len(probe) else None
