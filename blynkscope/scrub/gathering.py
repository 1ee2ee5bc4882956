"""Secrets out of what was read: frames, names that were asked for, text beside the packets."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from blynkscope.analysis.records import FrameRecord, Observed, Record
from blynkscope.protocol.model import Dialect
from blynkscope.scrub.files import Beside
from blynkscope.scrub.packets import IpHeader, Segment
from blynkscope.scrub.speech import Place
from blynkscope.scrub.spots import Spot, frame_spots, spots
from blynkscope.scrub.vault import Kind, Vault
from blynkscope.wire import dns


def frame_secrets(records: Iterable[Record], *, hosts: bool) -> Iterator[tuple[Kind, bytes]]:
    """The secrets in the bodies of the frames among some records."""
    for _, body, found in frame_places(records, hosts=hosts):
        for start, end, kind in found:
            yield kind, body[start:end]


def frame_places(records: Iterable[Record], *, hosts: bool) -> Iterator[tuple[bytes, bytes, list[Spot]]]:
    """Of the frames among some records that hold secrets: the header, the body, and where they are in it."""
    for record in records:
        if isinstance(record, Observed):
            body, dialect, word = record.body, Dialect(record.facts.dialect), record.word
        elif isinstance(record, FrameRecord):
            body, dialect, word = bytes.fromhex(record.body), Dialect(record.dialect), record.length or 0
        else:
            continue
        found = list(frame_spots(record.cmd, body, dialect, hosts=hosts))
        if found:
            yield struct.pack(">BHH", record.cmd & 0xFF, record.id & 0xFFFF, word & 0xFFFF), body, found


def learn_place(vault: Vault, place: Place) -> None:
    """Remember the secret of a place, and those inside it."""
    vault.learn(place.kind, place.secret)
    for kind, secret in place.inside:
        vault.learn(kind, secret)


def learn_text(vault: Vault, data: bytes) -> None:
    """Remember the secrets that words around them tell."""
    for start, end, kind in spots(data, hosts=vault.hosts):
        vault.learn(kind, data[start:end])


def learn_beside(vault: Vault, beside: Beside) -> None:
    """Remember the secrets of what stands beside the packets."""
    for start, end, kind in beside_spots(vault, beside.kind, beside.data):
        vault.learn(kind, beside.data[start:end])


def beside_spots(vault: Vault, kind: str, data: bytes) -> Iterator[Spot]:
    """Secrets in text beside the packets; the names in a record of an address are names of hosts."""
    yield from spots(data, hosts=vault.hosts)
    if kind == "names" and vault.hosts:
        at = 4 if data[4:5].isalpha() else 16
        for name in data[at:].split(b"\0"):
            if name:
                yield at, at + len(name), Kind.HOST
            at += len(name) + 1


def learn_names(vault: Vault, one: Segment) -> None:
    """Names that were asked for."""
    if not vault.hosts or dns.PORT not in struct.unpack_from(">HH", one.data):
        return
    answer = dns.parse(one.data[one.payload :])
    if answer is not None:
        for name in (*answer.questions, *answer.aliases):
            if "." in name:
                vault.learn(Kind.HOST, name.encode("ascii", "replace"))


def ip_addresses(one: IpHeader) -> list[tuple[int, bytes]]:
    """Source and target, with their places in the header."""
    width, first = (4, 12) if len(one.data) == 20 else (16, 8)
    return [(at, one.data[at : at + width]) for at in (first, first + width)]
