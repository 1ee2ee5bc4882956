"""A capture without its secrets: learn, plan, write, and read again."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator
from typing import BinaryIO, cast

from blynkscope.analysis.analyser import Analyser
from blynkscope.scrub import checksums
from blynkscope.scrub.checker import Checker
from blynkscope.scrub.edits import Edit, Plan, all_edits, applied, count, settled
from blynkscope.scrub.files import Patch, Reread, beside_packets, patched
from blynkscope.scrub.gathering import (
    beside_spots,
    frame_secrets,
    ip_addresses,
    learn_beside,
    learn_names,
    learn_place,
    learn_text,
)
from blynkscope.scrub.links import hardware_addresses, network_name
from blynkscope.scrub.matching import Matcher
from blynkscope.scrub.packets import UDP, IpHeader, Segment
from blynkscope.scrub.report import Report
from blynkscope.scrub.speech import Listener, Place, nothing_known
from blynkscope.scrub.spots import spots
from blynkscope.scrub.vault import Kind, Vault
from blynkscope.scrub.walk import Raw, steps, walk
from blynkscope.scrub.windows import CARRY, Window
from blynkscope.wire.events import Event

_LATE = 1_000_000
"""Changes to fragments that are kept until the file is written."""


class CaptureScrub:
    """Takes the secrets out of one capture.

    Args:
        source: The capture, uncompressed, that can be read from its beginning again and again.
        name: What to call it in messages.
        vault: Takes the secrets; says whether hosts are secret too.
    """

    def __init__(self, source: BinaryIO, name: str, vault: Vault) -> None:
        self._source = source
        self._name = name
        self._vault = vault
        self._plan = Plan()
        self._size = source.seek(0, 2)
        self._matcher = Matcher(vault)
        self._wrong = 0
        """Checksums of TCP and UDP that were wrong before."""
        self.report = Report("capture")

    def write(self, target: BinaryIO) -> None:
        """Learn what is secret, and write the capture without it.

        Raises:
            CaptureError: It is no capture, or holds more secrets than can be kept.
        """
        self._learn()
        self._matcher = Matcher(self._vault)
        self._make_plan()
        late = self._late()
        beside = self._beside()
        patches = heapq.merge(self._patches(), sorted(late), sorted(beside))
        patched(self._source, target, patches, self._size)
        self._note_checksums()

    def left(self, written: BinaryIO) -> dict[str, int]:
        """Secrets that are still in what was written, counted by kind: nothing, or there is a fault."""
        checker = Checker(self._vault, self._matcher)
        checker.read(written, self._name)
        return checker.left

    # --- learning ---

    def _learn(self) -> None:
        vault, hosts = self._vault, self._vault.hosts
        listener = Listener(lambda *told: learn_place(vault, told[2]), nothing_known, hosts=hosts)
        analyser = Analyser(findings=False)

        def events(batch: list[Event]) -> None:
            listener.feed(batch)
            for kind, secret in frame_secrets(analyser.feed(batch), hosts=hosts):
                vault.learn(kind, secret)

        def segment(one: Segment) -> None:
            if one.protocol == UDP:
                learn_text(vault, one.data[one.payload :])
                learn_names(vault, one)

        def header(one: IpHeader) -> None:
            if hosts:
                for _, raw in ip_addresses(one):
                    vault.address(raw)

        def packet(raw: Raw) -> None:
            if (found := network_name(raw.link, raw.data)) is not None:
                vault.learn(Kind.SSID, raw.data[slice(*found)])

        walked = walk(self._source, self._name, segment=segment, header=header, packet=packet, events=events)
        listener.finish()
        for kind, secret in frame_secrets(analyser.finish(), hosts=hosts):
            vault.learn(kind, secret)
        for beside in beside_packets(self._source, self._size):
            if beside.kind != "secrets":
                learn_beside(vault, beside)
        if walked.damage is not None:
            self.report.damaged = True
            self.report.notes.append(
                f"damaged at byte {walked.damage.offset}: {walked.damage.what}; searched as text from there"
            )
        self.report.packets = walked.packets
        self._tail = walked.damage.offset if walked.damage is not None else self._size
        self._note(listener)

    def _note(self, listener: Listener) -> None:
        counts, report = listener.counts, self.report
        report.left["tls_directions"] = counts.tls
        report.left["compressed_messages"] = counts.packed_messages
        if counts.packed_bodies:
            report.notes.append(
                f"{counts.packed_bodies} compressed bodies were blanked: a part cannot be replaced in its length"
            )
        if counts.tls:
            report.notes.append(
                f"{counts.tls} directions speak TLS and are as they were: whoever has the key log of this capture can "
                "open them, and find the secrets inside; keep it to yourself"
            )
        report.left["compressed_http_directions"] = counts.packed_http
        if counts.packed_http:
            report.notes.append(
                f"{counts.packed_http} directions carry compressed HTTP bodies, which were not looked into"
            )
        if counts.packed_messages:
            report.notes.append(f"{counts.packed_messages} compressed WebSocket messages could not be looked into")

    def _note_checksums(self) -> None:
        self.report.left["wrong_checksums"] = wrong = self._wrong
        if wrong:
            said = "1 checksum was" if wrong == 1 else f"{wrong} checksums were"
            stays = "stays" if wrong == 1 else "stay"
            self.report.notes.append(
                f"{said} wrong before and {stays} so (as a rule because the network card was to fill it in)"
            )

    # --- planning ---

    def _make_plan(self) -> None:
        vault, plan = self._vault, self._plan

        def tell(stream: int, direction: int, place: Place) -> None:
            new = place.new if place.new is not None else vault.placeholder(place.kind, place.secret)
            at = 0
            for piece in place.pieces:
                part = new[at : at + piece.size]
                edit = Edit(piece.at, piece.at + piece.size, piece.masked(part), place.kind, place.secret, at > 0)
                at += piece.size
                if new != place.secret:
                    plan.add((stream, direction), edit)

        listener = Listener(tell, self._matcher, hosts=vault.hosts)
        walk(self._source, self._name, events=listener.feed)
        listener.finish()
        plan.settle(vault)

    # --- writing ---

    def _late(self) -> list[Patch]:
        """Changes to IP fragments: what a datagram holds is known when its last fragment was read."""
        late: list[Patch] = []

        def segment(one: Segment) -> None:
            new = self._changed(one) if not _in_one_place(one) and len(late) < _LATE else None
            if new is not None:
                late.extend(Patch(at, size, new[start : start + size]) for start, at, size in one.stretches)

        walk(self._source, self._name, segment=segment)
        return list({patch.at: patch for patch in late}.values())

    def _patches(self) -> Iterator[Patch]:
        """Changes to packets, and to what follows the place where the file broke, in the order of the file."""
        found: list[Patch] = []
        ready: list[Patch] = []

        def segment(one: Segment) -> None:
            if _in_one_place(one):
                new = self._changed(one)
                if new is not None:
                    found.append(Patch(one.stretches[0].at, len(new), new))

        def header(one: IpHeader) -> None:
            if self._vault.hosts:
                found.extend(self._readdressed(one))

        def packet(raw: Raw) -> None:
            found.extend(self._below(raw))
            if not raw.read:
                found.extend(self._unread(raw, found))
            ready.extend(_ordered(found))
            found.clear()

        for _ in steps(cast(BinaryIO, Reread(self._source)), self._name, segment=segment, header=header, packet=packet):
            yield from ready
            ready.clear()
        yield from ready
        yield from self._behind_damage()

    def _changed(self, one: Segment) -> bytes | None:
        """A segment without its secrets and with a checksum that follows; None where nothing changes."""
        vault = self._vault
        self._wrong += checksums.was_wrong(one)
        payload = one.data[one.payload :]
        new = payload
        if one.stream:
            edits = self._plan.of((one.stream, one.direction), one.offset, one.offset + len(payload))
            new = applied(payload, edits, one.offset)
        # What the stream does not have: copies with other bytes, segments behind its end, datagrams.
        again = all_edits(new, vault, spots(new, hosts=vault.hosts) if one.protocol == UDP else (), self._matcher)
        new = applied(new, again)
        if one.protocol == UDP and vault.hosts:
            new = vault.readdressed(new)
        count(vault, again)
        addresses = one.addresses
        if vault.hosts:
            half = len(addresses) // 2
            addresses = vault.address(addresses[:half]) + vault.address(addresses[half:])
        if new == payload and addresses == one.addresses:
            return None
        return checksums.with_checksum(one, one.data[: one.payload] + new, addresses)

    def _readdressed(self, one: IpHeader) -> Iterator[Patch]:
        new = bytearray(one.data)
        for at, raw in ip_addresses(one):
            new[at : at + len(raw)] = self._vault.address(raw)
        if bytes(new) == one.data:
            return
        self._vault.counted(Kind.ADDRESS, one.data[-8:])
        if len(new) == 20:
            (old,) = struct.unpack_from(">H", one.data, 10)
            # Zero: the network card was to fill it in.
            if old:
                struct.pack_into(">H", new, 10, checksums.followed(old, one.data[12:20], bytes(new[12:20])))
        yield Patch(one.at, len(new), bytes(new))

    def _below(self, raw: Raw) -> Iterator[Patch]:
        """Link headers and names of Wi-Fi networks."""
        if (found := network_name(raw.link, raw.data)) is not None:
            secret = raw.data[slice(*found)]
            new = self._vault.placeholder(Kind.SSID, secret)
            if new != secret:
                self._vault.counted(Kind.SSID, secret)
                yield Patch(raw.at + found[0], len(new), new)
        if self._vault.hosts:
            for place in hardware_addresses(raw.link, raw.data):
                secret = raw.data[place : place + 6]
                self._vault.counted(Kind.HARDWARE, secret)
                yield Patch(raw.at + place, 6, self._vault.hardware(secret))

    def _unread(self, raw: Raw, done: list[Patch]) -> Iterator[Patch]:
        """Packets that are neither TCP nor UDP: known secrets, and known addresses (ARP, ICMP)."""
        start = max((patch.at + patch.size - raw.at for patch in done), default=0)
        rest = raw.data[start:]
        new = applied(rest, all_edits(rest, self._vault, spots(rest, hosts=self._vault.hosts), self._matcher))
        if self._vault.hosts:
            new = self._vault.readdressed(new, hardware=True)
        if new != rest:
            yield Patch(raw.at + start, len(new), new)

    def _behind_damage(self) -> Iterator[Patch]:
        if self._tail >= self._size:
            return
        found: list[Edit] = []

        def search(data: bytes) -> list[Edit]:
            return all_edits(data, self._vault, spots(data, hosts=self._vault.hosts), self._matcher)

        def tell(base: int, data: bytes, edit: tuple[int, int, bytes, Kind, bytes]) -> None:
            found.append(Edit(base + edit[0], base + edit[1], *edit[2:]))

        window = Window(search, tell, self._tail)
        tail = Reread(self._source)
        tail.seek(self._tail)
        while chunk := tail.read(CARRY):
            window.feed(chunk)
        window.finish()
        for edit in settled(found):
            self._vault.counted(edit.kind, edit.secret)
            yield Patch(edit.start, edit.end - edit.start, edit.new)

    def _beside(self) -> list[Patch]:
        patches = []
        for kind, at, data in beside_packets(self._source, self._size):
            if kind == "secrets":
                self.report.dropped["key_log_blocks"] = self.report.dropped.get("key_log_blocks", 0) + 1
                patches.append(Patch(at, len(data), b""))
                continue
            edits = all_edits(data, self._vault, beside_spots(self._vault, kind, data), self._matcher)
            count(self._vault, edits)
            patches += [Patch(at + edit.start, len(edit.new), edit.new) for edit in edits]
        return patches


def _in_one_place(one: Segment) -> bool:
    """Not in fragments."""
    return len(one.stretches) == 1 and one.stretches[0].size == len(one.data)


def _ordered(patches: list[Patch]) -> list[Patch]:
    """By place; of two over another (an IP header inside another one) the first stays."""
    kept: list[Patch] = []
    for patch in sorted(patches, key=lambda one: one.at):
        if not kept or patch.at >= kept[-1].at + kept[-1].size:
            kept.append(patch)
    return kept
