"""Captures made for redaction, and what must hold of every redacted one."""

import gzip
import io
import struct

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FrameRecord, StreamRecord, spelled_out
from blynkscope.scrub.captures import CaptureScrub
from blynkscope.scrub.logs import LogScrub
from blynkscope.scrub.vault import Vault
from blynkscope.sources import CaptureSource

MAGICS = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")


def unpacked(path):
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def pcap(packets, link=1):
    """A pcap file of `(time, bytes, wire length)`."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    for time, data, wire in packets:
        out += struct.pack("<IIII", int(time), int(time % 1 * 1e6), len(data), wire) + data
    return out


def block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    size = len(body) + 12
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def redact(data, *, hosts=False):
    """The redacted capture, its scrub and its vault; a secret that is left is a failure."""
    vault = Vault(hosts)
    scrub = CaptureScrub(io.BytesIO(data), "test.pcap", vault)
    out = io.BytesIO()
    scrub.write(out)
    assert scrub.left(out) == {}
    return out.getvalue(), scrub, vault


def redact_log(data, *, hosts=False):
    """The same of a log."""
    vault = Vault(hosts)
    scrub = LogScrub(data, "test.txt", vault)
    out = scrub.written()
    assert scrub.left(out) == {}
    assert len(out) == len(data)
    return out, scrub, vault


def records(data):
    analyser, source = Analyser(), CaptureSource(io.BytesIO(data), "test.pcap")
    found = [record for batch in source for record in analyser.feed(batch)]
    return spelled_out(found + analyser.finish(source.lost))


def frames(data):
    return [record for record in records(data) if isinstance(record, FrameRecord)]


def essence(data):
    """What a redacted capture must say as before: everything of the frames but their bodies, and what befell streams."""
    kept = []
    for record in records(data):
        if isinstance(record, FrameRecord):
            kept.append(
                (record.n, record.time, record.stream, record.sender, record.dialect, record.via, record.cmd, record.id,
                 record.length, record.status, len(record.body), record.answers, record.rtt_ms, record.write)
            )  # fmt: skip
        elif isinstance(record, StreamRecord) and record.kind != "closed":
            kept.append((record.kind, record.stream, record.time, record.sender, record.bytes))
    return kept
