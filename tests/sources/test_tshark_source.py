"""The real tshark: what only Wireshark opens, and that both engines say the same of everything else."""

import re
import struct
import subprocess
import threading
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from captures_of import CAPTURES, every
from click.testing import CliRunner
from craft import ACK, SYN, Wire, ethernet, ipv4, pcap, tcp

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, Observed
from blynkscope.cli import cli
from blynkscope.errors import CaptureError
from blynkscope.sources import open_input
from blynkscope.sources.capture import read_capture
from blynkscope.sources.tshark import TsharkSource, find_tshark
from blynkscope.sources.tshark import secure as opening
from blynkscope.sources.tshark.options import FIELDS
from blynkscope.wire.events import Acked, Closed, Data, Datagram, Gap, Opened
from blynkscope.wire.keylog import KeyLog

pytestmark = pytest.mark.tshark

WIFI = CAPTURES / "made" / "wifi_wpa2.pcap"
WIFI_KEY = 'pass,phrase%3A\\ 100%25:made "net"%3A 50%25'

TLS12, TLS13 = CAPTURES / "06a_hw_tls_pyBlynkLib100.pcap", CAPTURES / "06d_hw_tls13_pyBlynkLib100.pcap"

DIFFERENT = {}
"""Captures on which the engines may give different frames, and why. There is none: order, overlap, loss and the end of
a stream are judged by the same reassembly in both. What differs in what else is told: where tshark decrypts, its events
hold the content alone, so that nothing is said of certificates and other facts of the handshake; of a stream that is
held back until it is known whether it is decrypted, all events come later than those of other streams."""


def keys_of(path):
    keys = path.with_name(f"{path.name.partition('.')[0]}.keys")
    return keys if keys.exists() else None


def events_of(source):
    return [event for batch in source for event in batch]


def opened(path, **options):
    return events_of(TsharkSource(str(path), **options))


def rounded(event):
    """Ours adds up fractions of seconds, tshark writes decimals: the last bits differ."""
    values = (getattr(event, name) for name in event.__struct_fields__)
    return type(event)(*(round(value, 6) if isinstance(value, float) else value for value in values))


def by_stream(events):
    """Events per stream; one that was held back comes later than others, but in the same order in itself."""
    streams = defaultdict(list)
    for event in events:
        streams[getattr(event, "stream", "datagrams")].append(rounded(event))
    return dict(streams)


def frames_of(events, keys=None):
    """The frames per stream and sender, and how often each finding was made."""
    analyser = Analyser(keys=keys) if keys is not None else Analyser()
    records = analyser.feed(events) + analyser.finish()
    findings = Counter((record.id, record.title) for record in records if isinstance(record, FindingRecord))
    frames = defaultdict(list)
    for record in records:
        if isinstance(record, Observed):
            key = (record.facts.stream, record.facts.src, record.facts.dst)
            frames[key].append((record.cmd, record.id, record.word, record.body))
    return dict(frames), findings


def content(events):
    """Bytes of each direction by the client's port; what is missing is a number."""
    ports, pieces = {}, defaultdict(list)
    for event in events:
        if isinstance(event, Opened):
            ports[event.stream] = event.client_port
        elif isinstance(event, Data):
            found = pieces[ports[event.stream], event.direction]
            if found and isinstance(found[-1], bytes):
                found[-1] += event.data
            else:
                found.append(event.data)
        elif isinstance(event, Gap):
            pieces[ports[event.stream], event.direction].append(event.missing)
    return dict(pieces)


@pytest.fixture(scope="module")
def told():
    """What tshark tells of each capture; run once each."""
    found = {}

    def tell(path):
        if path not in found:
            source = TsharkSource(str(path), keylog=keys_of(path))
            found[path] = (events_of(source), source)
        return found[path]

    return tell


@pytest.fixture(scope="module")
def openings():
    """The content of the recordings inside TLS, by name."""
    return {path: content(opened(path, keylog=keys_of(path))) for path in (TLS12, TLS13)}


# --- the oracle


@pytest.mark.parametrize("path", every(), ids=lambda path: path.name)
def test_both_engines_give_the_same_frames(path, told):
    events, source = told(path)
    keys = keys_of(path)
    ours = open_input(str(path))
    expected = events_of(ours)
    wanted, findings = frames_of(expected, KeyLog(keys.read_bytes()) if keys else None)
    frames, same_findings = frames_of(events)
    assert (frames == wanted) != (path.name in DIFFERENT)
    assert (source.damage is not None) == (ours.damage is not None)
    if source.damage is not None:
        assert source.damage.offset == ours.damage.offset
        assert str(CAPTURES) not in source.damage.what
    if keys is None:
        # Not only the frames: every event is the same, times and acknowledgements too.
        assert by_stream(events) == by_stream(expected)
        assert source.lost == ours.lost
        assert source.packets == ours.packets
        assert same_findings == findings


def test_tls_streams_are_told_as_such(told):
    versions = {event.via for event in told(TLS13)[0] if isinstance(event, Opened)}
    assert versions == {("tcp", "tls1.3")}
    assert {event.via for event in told(TLS12)[0] if isinstance(event, Opened)} == {("tcp", "tls1.2")}


def test_what_is_acknowledged_is_content(told):
    """Offsets of acknowledgements count content, rise, and never pass what was said."""
    for path in (TLS12, TLS13):
        said, acked = defaultdict(int), defaultdict(int)
        for event in told(path)[0]:
            if isinstance(event, Data):
                said[event.stream, event.direction] += len(event.data)
            elif isinstance(event, Acked):
                key = event.stream, event.direction
                assert acked[key] < event.upto <= said[key]
                acked[key] = event.upto
        assert acked == said


# --- Wi-Fi


def test_wpa(told):
    """What is inside the encryption is what link_80211 shows in the open."""
    source = TsharkSource(str(WIFI), wpa=[WIFI_KEY])
    plain, _ = told(CAPTURES / "made" / "link_80211.pcap")
    assert by_stream(events_of(source)) == by_stream(plain)
    assert source.lost == {}
    assert source.notes == []


def test_wpa_without_the_name_of_the_network():
    assert len(opened(WIFI, wpa=["another phrase:x", WIFI_KEY.partition(":")[0]])) > 20


@pytest.mark.parametrize("keys", [[], ["wrong phrase:made"], ["ab" * 32]])
def test_wpa_with_wrong_keys(keys):
    source = TsharkSource(str(WIFI), wpa=keys)
    assert events_of(source) == []
    assert source.lost == {"packets_encrypted": 21}
    (note,) = source.notes
    assert "21 802.11 frames stay encrypted" in note


# --- wrappings that ours does not take off


def conversation():
    wire = Wire()
    wire.handshake()
    body = b"0123456789abcdef0123456789abcdef"
    wire.send(0, 0, b"\x1d\0\1\0\x20" + body, ack=0)
    wire.send(1, 0, b"\0\0\1\0\xc8", ack=37)
    wire.send(0, 37, b"\x14\0\2\0\x06vw\x001\x002", ack=5)
    wire.send(0, 48, b"\x06\0\3\0\0", ack=5)
    wire.send(1, 5, b"\0\0\3\0\xc8", ack=53)
    wire.send(0, 53, ack=10)
    return wire.packets


OUTSIDE = bytes([203, 0, 113, 1]), bytes([203, 0, 113, 2])


def udp(source, target, payload):
    return struct.pack(">HHHH", source, target, 8 + len(payload), 0) + payload


TUNNELS = {
    "ip-in-ip": lambda frame: ethernet(ipv4(*OUTSIDE, frame[14:], protocol=4)),
    "gre": lambda frame: ethernet(ipv4(*OUTSIDE, b"\0\0\x08\0" + frame[14:], protocol=47)),
    "gre-ethernet": lambda frame: ethernet(ipv4(*OUTSIDE, b"\0\0\x65\x58" + frame, protocol=47)),
    "vxlan": lambda frame: ethernet(
        ipv4(*OUTSIDE, udp(9999, 4789, b"\x08\0\0\0\0\0\x05\0" + frame), protocol=17)
    ),
    "4in6": lambda frame: ethernet(
        struct.pack(">IHBB", 6 << 28, len(frame) - 14, 4, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + frame[14:],
        0x86DD,
    ),
    "mpls": lambda frame: ethernet(b"\0\x01\x01\x40" + frame[14:], 0x8847),
}  # fmt: skip


def written(folder, packets, **options):
    path = folder / "made.pcap"
    path.write_bytes(pcap(packets, **options))
    return path


@pytest.mark.parametrize("name", TUNNELS)
def test_tunnels(tmp_path, name):
    packets = conversation()
    expected = events_of(open_input(str(written(tmp_path, packets))))
    wrapped = [(time, TUNNELS[name](frame), 0) for time, frame, _ in packets]
    path = written(tmp_path, [(time, frame, len(frame)) for time, frame, _ in wrapped])
    assert events_of(open_input(str(path))) == []
    assert by_stream(opened(path)) == by_stream(expected)


def test_both_sides_of_a_tunnel_are_one_stream(tmp_path):
    packets = conversation()
    both = [
        (time, data, len(data)) for time, frame, _ in packets for data in (TUNNELS["gre"](frame), frame)
    ]  # fmt: skip
    expected = content(events_of(open_input(str(written(tmp_path, packets)))))
    assert content(opened(written(tmp_path, both))) == expected


def test_headers_quoted_in_errors_are_no_segments(tmp_path):
    packets = conversation()
    expected = by_stream(events_of(open_input(str(written(tmp_path, packets)))))
    time, frame, _ = packets[3]
    quote = ethernet(ipv4(*OUTSIDE, b"\3\1\0\0\0\0\0\0" + frame[14:], protocol=1))
    packets.insert(4, (time, quote, len(quote)))
    source = TsharkSource(str(written(tmp_path, packets)))
    assert by_stream(events_of(source)) == expected
    assert source.lost == {}


def test_several_segments_in_one_wifi_frame(tmp_path):
    """Access points send aggregates (A-MSDU): several IP packets in one frame."""
    packets = conversation()
    expected = content(events_of(open_input(str(written(tmp_path, packets)))))
    subframes = b""
    frames = []
    head = b"\x88\x01\0\0" + bytes(5) + b"\1" + bytes(5) + b"\2" + bytes(5) + b"\3" + b"\x10\0" + b"\x80\0"
    for time, frame, _ in packets:
        load = b"\xaa\xaa\x03\0\0\0\x08\0" + frame[14:]
        subframes += bytes(-len(subframes) % 4) + bytes(12) + struct.pack(">H", len(load)) + load
        if len(subframes) > 150:
            frames.append((time, head + subframes, len(head + subframes)))
            subframes = b""
    if subframes:
        frames.append((time, head + subframes, len(head + subframes)))
    assert len(frames) < len(packets) - 2
    source = TsharkSource(str(written(tmp_path, frames, link=105)))
    assert content(events_of(source)) == expected
    assert source.lost == {}


def test_dns_in_a_tunnel(tmp_path):
    query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\5blynk\5cloud\0\0\1\0\1"
    frame = ethernet(ipv4(bytes([192, 0, 2, 1]), bytes([192, 0, 2, 53]), udp(40000, 53, query), protocol=17))
    wrapped = TUNNELS["vxlan"](frame)
    events = opened(written(tmp_path, [(1000.0, wrapped, len(wrapped))]))
    assert events == [Datagram(1000.0, "192.0.2.1:40000", "192.0.2.53:53", query)]


# --- TLS in unusual packets


def packets_of(path):
    found = []
    with path.open("rb") as stream:
        reader = read_capture(stream, path.name)
        for buffer, packets in reader:
            found += [(time, buffer[start:end], wire) for time, _, start, end, wire in packets]
    return found


def tcp_of(frame):
    """Of a frame of Ethernet, IPv4 and TCP: ports, sequence number, flags, payload."""
    size = (frame[14] & 15) * 4
    at = 14 + size
    source, target, seq, ack, offset, flags = struct.unpack_from(">HHIIBB", frame, at)
    total = struct.unpack_from(">H", frame, 16)[0]
    return source, target, seq, ack, flags, frame[at + (offset >> 4) * 4 : 14 + total]


def rebuilt(frame, ports, seq, ack, flags, data):
    return ethernet(ipv4(frame[26:30], frame[30:34], tcp(*ports, seq, ack, flags, data)))


def test_several_records_in_one_packet(tmp_path, openings):
    """Segments in a row of one direction are put into one: each record is still told, in order."""
    merged, count = [], 0
    for time, frame, _ in packets_of(TLS13):
        source, target, seq, ack, flags, data = tcp_of(frame)
        if merged and data and merged[-1][1] and merged[-1][0][0] == source and not flags & 3:
            merged[-1][1] += data
            count += 1
        elif data or flags & 7:
            merged.append([(source, target, seq, ack, flags, time, frame), data])
    assert count >= 3
    packets = []
    for (source, target, seq, ack, flags, time, frame), data in merged:
        made = rebuilt(frame, (source, target), seq, ack, flags, data)
        packets.append((time, made, len(made)))
    events = opened(written(tmp_path, packets), keylog=keys_of(TLS13))
    assert content(events) == openings[TLS13]
    times = [(event.direction, event.time) for event in events if isinstance(event, Data)]
    assert len(times) > len(set(times)), "no packet held several records"


def test_records_in_many_packets(tmp_path, openings):
    packets = []
    for time, frame, _ in packets_of(TLS13):
        source, target, seq, ack, flags, data = tcp_of(frame)
        pieces = [data[at : at + 90] for at in range(0, min(len(data), 900), 90)] + ([data[900:]] if data[900:] else [])
        for number, piece in enumerate(pieces or [b""]):
            place = seq + sum(map(len, pieces[:number]))
            made = rebuilt(frame, (source, target), place, ack, flags, piece)
            packets.append((time, made, len(made)))
    assert len(packets) > 60
    assert content(opened(written(tmp_path, packets), keylog=keys_of(TLS13))) == openings[TLS13]


DISORDER = {
    "twice": lambda packets: [one for packet in packets for one in (packet, packet)],
    "again-later": lambda packets: [
        one
        for place, packet in enumerate(packets)
        for one in ((packet, (packet[0], *packets[place - 5][1:])) if place > 6 else (packet,))
    ],
    "swapped": lambda packets: [
        (packet[0], *packets[place ^ 1 if 10 <= place < len(packets) // 2 * 2 else place][1:])
        for place, packet in enumerate(packets)
    ],
}


@pytest.mark.parametrize("name", DISORDER)
@pytest.mark.parametrize("path", [TLS12, TLS13], ids=lambda path: path.name)
def test_records_come_once_whatever_packets_do(tmp_path, openings, path, name):
    packets = DISORDER[name](packets_of(path))
    assert content(opened(written(tmp_path, packets), keylog=keys_of(path))) == openings[path]


@pytest.mark.parametrize("port", [80, 8080, 1883, 25, 5060, 31234])
def test_tls_on_any_port(tmp_path, openings, port):
    def moved(frame):
        source, target, *rest = tcp_of(frame)
        return rebuilt(frame, [port if one == 9443 else one for one in (source, target)], *rest)

    packets = [(time, moved(frame), len(moved(frame))) for time, frame, _ in packets_of(TLS13)]
    assert content(opened(written(tmp_path, packets), keylog=keys_of(TLS13))) == openings[TLS13]


def test_a_lost_record_is_a_gap(tmp_path, openings):
    packets = packets_of(TLS12)
    large = [place for place, one in enumerate(packets) if len(tcp_of(one[1])[5]) > 40 and place > 20]
    del packets[large[len(large) // 2]]
    source = TsharkSource(str(written(tmp_path, packets)), keylog=keys_of(TLS12))
    found = content(events_of(source))
    assert source.lost["bytes_missing"] > 40
    different = [key for key in found if found[key] != openings[TLS12][key]]
    assert len(different) == 1
    pieces = found[different[0]]
    (whole,) = openings[TLS12][different[0]]
    assert any(isinstance(piece, int) for piece in pieces)
    assert all(piece in whole for piece in pieces if isinstance(piece, bytes))


def test_nothing_behind_a_hole_is_lost_in_silence(tmp_path, openings):
    """Wireshark waits for a segment that never comes, and opens nothing more of that direction: that is told."""
    packets = packets_of(TLS13)
    places = [place for place, one in enumerate(packets) if place > 12 and tcp_of(one[1])[5]]
    for place in places[:4]:
        lossy = packets[:place] + packets[place + 1 :]
        source = TsharkSource(str(written(tmp_path, lossy)), keylog=keys_of(TLS13))
        found = content(events_of(source))
        for key, (whole,) in openings[TLS13].items():
            told = sum(piece if isinstance(piece, int) else len(piece) for piece in found[key])
            assert told >= len(whole)
            assert b"".join(piece for piece in found[key] if isinstance(piece, bytes)) in whole


# --- keys


def without_keys(path, tmp_path, pattern="$^"):
    keys = tmp_path / "some.keys"
    lines = keys_of(path).read_text(encoding="utf-8").splitlines()
    keys.write_text("".join(line + "\n" for line in lines if re.match(pattern, line)), encoding="utf-8")
    return keys


@pytest.mark.parametrize("pattern", ["$^", "(CLIENT|SERVER)_TRAFFIC", "(CLIENT|SERVER)_HANDSHAKE"])
def test_what_stays_closed_is_told_as_it_is(tmp_path, pattern):
    source = TsharkSource(str(TLS13), keylog=without_keys(TLS13, tmp_path, pattern))
    assert by_stream(events_of(source)) == by_stream(events_of(open_input(str(TLS13))))


@pytest.mark.parametrize("side", ["CLIENT", "SERVER"])
def test_keys_of_one_side(tmp_path, openings, side):
    """The other direction is missing, and that is said."""
    source = TsharkSource(str(TLS13), keylog=without_keys(TLS13, tmp_path, f"{side}_(HANDSHAKE|TRAFFIC)"))
    found = content(events_of(source))
    port = next(iter(found))[0]
    way = side == "SERVER"
    assert found[port, way] == openings[TLS13][port, way]
    assert all(isinstance(piece, int) for piece in found[port, not way])
    assert "could not be decrypted" in source.notes[0]
    assert opening.UNDECRYPTED


def test_held_back_within_bounds(monkeypatch):
    expected = by_stream(events_of(open_input(str(CAPTURES / "07a_app_tls12.pcap"))))
    for name in ("HELD_MAX", "HELD_EVENTS_MAX", "CLOSED_MAX"):
        with monkeypatch.context() as patched:
            patched.setattr(opening, name, 1)
            assert by_stream(opened(CAPTURES / "07a_app_tls12.pcap")) == expected


# --- the world around


def test_every_field_that_is_asked_for_exists():
    """tshark names what it does not know, and stops: here it is seen at once which name a version has changed."""
    done = subprocess.run([find_tshark().path, "-G", "fields"], capture_output=True, check=True, timeout=60, cwd="/")
    known = {line.split(b"\t")[2].decode() for line in done.stdout.splitlines() if line.startswith(b"F\t")}
    assert set(FIELDS) <= known


def test_a_persons_own_settings_change_nothing(monkeypatch, tmp_path, told):
    """Neither preferences, nor switched-off protocols, nor a plug-in that takes the bytes for itself."""
    for folder in (tmp_path / ".config" / "wireshark", tmp_path / ".wireshark", tmp_path / "xdg" / "wireshark"):
        folder.mkdir(parents=True)
        (folder / "disabled_protos").write_text("tls\ntcp\n", encoding="utf-8")
        (folder / "preferences").write_text("tcp.desegment_tcp_streams: FALSE\n", encoding="utf-8")
    plugins = tmp_path / ".local" / "lib" / "wireshark" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "greedy.lua").write_text(
        'local p = Proto("greedy", "Greedy")\nfunction p.dissector(b) return b:len() end\n'
        'DissectorTable.get("tls.port"):add(9443, p)\nDissectorTable.get("tcp.port"):add(9443, p)\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert by_stream(opened(TLS13, keylog=keys_of(TLS13))) == by_stream(told(TLS13)[0])


def test_in_a_thread(told):
    found = []
    thread = threading.Thread(target=lambda: found.append(opened(TLS13, keylog=keys_of(TLS13))))
    thread.start()
    thread.join()
    assert found == [told(TLS13)[0]]


def test_preferences_that_do_not_exist():
    with pytest.raises(CaptureError, match="no_such_preference"):
        opened(TLS13, preferences={"tcp.no_such_preference": "1"})


def test_text_is_no_capture(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("[1234] Connecting to blynk.cloud:80\n", encoding="utf-8")
    with pytest.raises(CaptureError, match=r"log\.txt: .*isn't a capture file"):
        opened(path)


def test_hostile_captures(tmp_path):
    """Bytes changed everywhere: nothing but the documented errors, and every stream that begins also ends."""
    clean = TLS13.read_bytes()[:12000]
    for round_ in range(6):
        data = bytearray(clean)
        for step in range(40):
            place = 24 + (round_ * 7919 + step * 104729) % (len(data) - 24)
            data[place] ^= 1 << (step + round_) % 8
        path = Path(tmp_path / "bad.pcap")
        path.write_bytes(data)
        try:
            events = opened(path, keylog=keys_of(TLS13))
        except CaptureError:
            continue
        begun = [event.stream for event in events if isinstance(event, Opened)]
        ended = [event.stream for event in events if isinstance(event, Closed)]
        assert sorted(begun) == sorted(ended)
        Analyser().feed(events)


def test_flags_of_tshark_are_ours(tmp_path):
    """SYN and ACK as in the packet, so that the handshake is known."""
    wire = Wire()
    wire.send(0, -1, flags=SYN)
    wire.send(1, -1, ack=0, flags=SYN | ACK)
    (begun, *_) = opened(written(tmp_path, wire.packets))
    assert begun.handshake


@pytest.mark.parametrize(
    ("rule", "words"),
    [("tcp.port==1,nosuch", 'Unknown protocol "nosuch"'), ("nosuch.port==1,tls", "Unknown layer type nosuch.port"),
     ("tcp.port==abc,tls", 'Invalid selector number "abc"')],
)  # fmt: skip
def test_a_rule_that_tshark_does_not_understand_is_told_in_one_line(rule, words):
    with pytest.raises(ValueError, match="--decode-as") as caught:
        TsharkSource(str(TLS12), decode_as=["tcp.port==1,tls", rule])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    done = CliRunner().invoke(cli, ["decode", "--engine", "tshark", "--decode-as", rule, str(TLS12)])
    assert done.exit_code == 2
    assert not done.stdout


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b'{"a": 1}\n',
        b"\x89PNG\r\n\x1a\n" + bytes(40),
    ],
    ids=["pem", "json", "png"],
)
def test_a_file_that_is_no_capture_is_called_so(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match="this is no capture"):
        opened(path)


@pytest.mark.parametrize(("count", "words"), [(1, "in 1 packet"), (2, "in 2 packets")])
def test_packets_are_counted_in_words(tmp_path, count, words):
    path, data = tmp_path / "arp.pcap", ethernet(bytes(28), 0x0806)
    path.write_bytes(pcap([(1.0 + place, data, len(data)) for place in range(count)]))
    source = TsharkSource(str(path))
    assert events_of(source) == []
    assert [note.partition(": ")[2] for note in source.notes] == [f"tshark finds no TCP and no DNS {words}"]
