"""Replacements of one run of bytes: collected in any order, settled where they overlap, and applied to parts of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import NamedTuple

from blynkscope.errors import CaptureError
from blynkscope.scrub.vault import Kind, Vault

EDITS_MAX = 2_000_000
"""Replacements of one file: some 200 MB of them, a login for each packet of a long recording."""

_CLUSTER_MAX = 64
"""Overlapping edits whose best order is looked for."""


class Edit(NamedTuple):
    """Bytes `start` to `end` become `new`, because a secret of this kind stands there."""

    start: int
    end: int
    new: bytes
    kind: Kind
    secret: bytes
    goes_on: bool = False
    """True for a part of a place whose first part was counted."""


def settled(edits: Iterable[Edit]) -> list[Edit]:
    """The edits in order, none over another: of those that overlap, the longest stays whole."""
    kept: list[Edit] = []
    cluster: list[Edit] = []
    end = 0
    for edit in sorted(set(edits), key=lambda one: (one.start, -one.end)):
        if cluster and edit.start >= end:
            kept += _disjoint(cluster)
            cluster.clear()
        end = max(end, edit.end) if cluster else edit.end
        cluster.append(edit)
    return kept + _disjoint(cluster)


def _disjoint(cluster: list[Edit]) -> list[Edit]:
    """Edits that hang together: longest first, of the others what is left of them."""
    if len(cluster) < 2:
        return cluster.copy()
    if len(cluster) > _CLUSTER_MAX:
        return _in_order(cluster)
    taken: list[Edit] = []
    for edit in sorted(cluster, key=lambda one: (one.start - one.end, one.start)):
        parts = [edit]
        for other in taken:
            parts = [part for one in parts for part in _without(one, other)]
        taken += parts
    return sorted(taken, key=lambda one: one.start)


def _in_order(cluster: list[Edit]) -> list[Edit]:
    """The same for very many: what comes first stays."""
    kept: list[Edit] = []
    end = 0
    for edit in cluster:
        if edit.end > end:
            kept.append(_part(edit, max(edit.start, end), edit.end))
            end = edit.end
    return kept


def _without(edit: Edit, other: Edit) -> list[Edit]:
    if edit.end <= other.start or other.end <= edit.start:
        return [edit]
    spans = ((edit.start, other.start), (other.end, edit.end))
    return [_part(edit, start, end) for start, end in spans if start < end]


def _part(edit: Edit, start: int, end: int) -> Edit:
    return edit._replace(start=start, end=end, new=edit.new[start - edit.start : end - edit.start])


class Plan:
    """The edits of the streams of a capture; a stream is any key."""

    def __init__(self) -> None:
        self._edits: dict[tuple[int, int], list[Edit]] = {}
        self._starts: dict[tuple[int, int], list[int]] = {}
        self._count = 0

    def add(self, key: tuple[int, int], edit: Edit) -> None:
        """Take a replacement.

        Raises:
            CaptureError: There are more than can be kept.
        """
        self._count += 1
        if self._count > EDITS_MAX:
            raise CaptureError(f"more than {EDITS_MAX} secrets in one capture: split it")
        self._edits.setdefault(key, []).append(edit)

    def settle(self, vault: Vault) -> None:
        """All edits are known: they are settled, and counted."""
        for key, edits in self._edits.items():
            done = self._edits[key] = settled(edits)
            self._starts[key] = [edit.start for edit in done]
            count(vault, done)

    def of(self, key: tuple[int, int], start: int, end: int) -> list[Edit]:
        """The edits that touch a part of a stream."""
        edits = self._edits.get(key)
        if edits is None:
            return []
        first = max(0, bisect_right(self._starts[key], start) - 1)
        found = []
        for edit in edits[first:]:
            if edit.start >= end:
                break
            if edit.end > start:
                found.append(edit)
        return found


def count(vault: Vault, edits: Iterable[Edit]) -> None:
    """Count the places of some edits."""
    for edit in edits:
        if not edit.goes_on:
            vault.counted(edit.kind, edit.secret)


def applied(data: bytes, edits: Iterable[Edit], origin: int = 0) -> bytes:
    """The data with the edits made, where `data[0]` is at `origin`."""
    out = bytearray(data)
    for edit in edits:
        start, end = edit.start - origin, edit.end - origin
        low, high = max(start, 0), min(end, len(out))
        if low < high:
            out[low:high] = edit.new[low - start : high - start]
    return bytes(out)


def all_edits(
    data: bytes,
    vault: Vault,
    spots: Iterable[tuple[int, int, Kind]],
    known: Callable[[bytes], Iterable[tuple[int, int, bytes, Kind, bytes]]],
) -> list[Edit]:
    """The settled edits of data that stands for itself, by its spots and by what is known."""
    found = [Edit(*match) for match in known(data)]
    for start, end, kind in spots:
        secret = data[start:end]
        new = vault.placeholder(kind, secret)
        if new != secret:
            found.append(Edit(start, end, new, kind, secret))
    return settled(found)
