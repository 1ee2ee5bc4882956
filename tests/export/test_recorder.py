"""What is recorded is read again as the same frames, by us and without complaint by tshark."""

import io
import os
import re
import shutil
import struct
import subprocess
from itertools import groupby

import pytest
from captures_of import CAPTURES, undamaged
from hypothesis import given, settings
from hypothesis import strategies as st
from talk import TOKEN, Talk, begin, frame, status, write

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import Facts, FindingRecord, FrameRecord, Observed, StreamRecord, spelled_out
from blynkscope.export import recorder as module
from blynkscope.export.recorder import PLAIN_PORT, Recorder
from blynkscope.export.synthetic import checksum, endpoint
from blynkscope.sources import CaptureSource, open_input
from blynkscope.wire.keylog import KeyLog

LOGS = sorted((CAPTURES / "logs").glob("*.txt"))
EXPERTS = "tcp.analysis.flags || tcp.checksum.status == 0 || ip.checksum.status == 0 || _ws.malformed || _ws.expert.severity >= 6291456"


def analysed(source, keys=None):
    analyser = Analyser(keys=keys) if keys is not None else Analyser()
    records = [record for batch in source for record in analyser.feed(batch)]
    return records + analyser.finish()


def recorded(records, *, name="input.pcap", batch=7):
    stream = io.BytesIO()
    recorder = Recorder(stream, name=name)
    for at in range(0, len(records), batch):
        recorder.records(records[at : at + batch])
    recorder.close()
    return stream.getvalue()


def read(data):
    return analysed(CaptureSource(io.BytesIO(data), "recording"))


def frames(records):
    return [record for record in spelled_out(records) if isinstance(record, FrameRecord)]


class Moment(float):
    """A time; two are the same to the microsecond."""

    def __new__(cls, time):
        return super().__new__(cls, time or 0.0)

    def __eq__(self, other):
        return abs(self - other) < 1e-6

    __hash__ = None


def by_stream(records):
    """For each stream with frames, in order, what each side said: command, id, status, body, dialect, time."""
    found = sorted(frames(records), key=lambda one: (one.stream, one.n))
    streams = []
    for _, group in groupby(found, key=lambda one: one.stream):
        sides = {}
        for one in group:
            said = (one.cmd, one.id, one.status, one.body, one.dialect, Moment(one.time))
            sides.setdefault(one.sender == "server", []).append(said)
        streams.append(sides)
    return streams


def keys_of(path):
    keys = path.with_suffix(".keys")
    return KeyLog(keys.read_bytes()) if keys.exists() else None


@pytest.mark.parametrize("path", undamaged(), ids=lambda path: path.name)
def test_the_same_frames_come_back(path):
    records = analysed(open_input(str(path)), keys_of(path))
    if not frames(records):
        return
    assert by_stream(read(recorded(records))) == by_stream(records)


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_frames_of_logs_get_addresses(path):
    records = analysed(open_input(str(path)))
    if not frames(records):
        return
    again = read(recorded(records))
    said = [(one.cmd, one.id, one.body) for one in frames(records)]
    assert sorted((one.cmd, one.id, one.body) for one in frames(again)) == sorted(said)


def tshark(data, path, *options):
    path.write_bytes(data)
    command = [
        shutil.which("tshark"),
        "-n",
        "-r",
        str(path),
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=110, check=True)
    return done.stdout


@pytest.mark.tshark
@pytest.mark.parametrize("path", undamaged(), ids=lambda path: path.name)
def test_tshark_has_nothing_to_complain_about(path, tmp_path):
    records = analysed(open_input(str(path)), keys_of(path))
    if not frames(records):
        return
    data = recorded(records)
    out = tshark(
        data, tmp_path / "out.pcapng", "-Y", EXPERTS, "-T", "fields", "-e", "frame.number", "-e", "_ws.expert.message"
    )
    # That a connection was reset, or has the ports of an earlier one, was so in the input.
    own = ("Connection reset (RST)", "same ports as an earlier session")
    assert [line for line in out.splitlines() if not any(words in line for words in own)] == []
    shown = tshark(
        data, tmp_path / "out.pcapng", "-T", "fields", "-e", "frame.comment", "-e", "frame.interface_description"
    )
    assert "blynkscope: " in shown
    titles = {f"{one.id} " for one in records if isinstance(one, FindingRecord)}
    for title in titles:
        assert title in shown


def stamped(records, *, stream=1):
    return [record for record in records if getattr(record, "stream", None) == stream]


def comments(data):
    """Comments by packet, read by another hand than the writer's."""
    found, at = [], 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == 6:
            size = struct.unpack_from("<I", data, at + 20)[0]
            options, texts = at + 28 + (size + 3) // 4 * 4, []
            while options < at + length - 4:
                code, have = struct.unpack_from("<HH", data, options)
                if code == 1:
                    texts.append(data[options + 4 : options + 4 + have].decode())
                options += 4 + (have + 3) // 4 * 4
            found.append((data[at + 28 : at + 28 + size], "\n".join(texts)))
        at += length
    return found


def finding(*numbers, stream=1, name="BS301", title="Nobody acknowledged the write"):
    return FindingRecord(name, "slug", "note", "talking", stream, numbers, 1, title, "why", "fix")


def conversation():
    return begin().device(write(2, b"1", b"23.5")).server(write(3, b"2", b"1")).device(write(4, b"5", b"7"))


def observed(talk):
    return [record for record in talk.records if not isinstance(record, FindingRecord)]


def test_a_finding_stands_at_its_frames():
    records = [*observed(conversation().close()), finding(3, 5), finding(name="BS999", title="About the stream")]
    found = [(packet, text) for packet, text in comments(recorded(records)) if text]
    assert [text for _, text in found] == [
        "BS301 Nobody acknowledged the write",
        "BS301 Nobody acknowledged the write\nBS999 About the stream",
    ]
    assert b"vw\x001\x0023.5" in found[0][0]
    assert b"vw\x005\x007" in found[1][0]


def test_a_finding_about_the_run_or_a_silent_stream_is_not_lost():
    silent = [
        StreamRecord(
            "opened", 9, 100.0, "unknown", 0, {"client": "192.0.2.9:1", "server": "192.0.2.2:80", "handshake": True}
        ),
        finding(stream=9, title="Refused"),
        StreamRecord("closed", 9, 101.0, "unknown", 0, {"how": "refused"}),
    ]
    records = [*silent, *observed(conversation().close()), finding(stream=None, title="Of the run")]
    texts = "\n".join(text for _, text in comments(recorded(records)))
    assert "BS301 Refused (stream 9)" in texts
    assert "BS301 Of the run" in texts


def test_what_waits_is_bounded_and_late_findings_go_to_later_packets(monkeypatch):
    monkeypatch.setattr(module, "HELD_MAX", 4)
    talk = begin()
    for number in range(2, 40):
        talk.device(write(number, b"1", b"%d" % number))
    data = recorded([*observed(talk), finding(3)], batch=1)
    found = [text for _, text in comments(data) if text]
    assert found == ["BS301 Nobody acknowledged the write (frame before this one)"]
    assert by_stream(read(data)) == by_stream(talk.records)


def test_a_finding_that_comes_after_the_last_packet_of_its_stream(monkeypatch):
    monkeypatch.setattr(module, "HELD_MAX", 4)
    other = Facts(2, "192.0.2.7:50000", "192.0.2.2:8080", "device", "hardware", ("tcp",))
    for ended in ([], [StreamRecord("closed", 1, 900.0, "device", 0, {"how": "fin"})]):
        records = [
            *observed(begin()),
            *(Observed(other, n, 800.0, 6, n, 0, b"", None, None, None, ()) for n in range(10, 20)),
            finding(1),
            *ended,
            *(Observed(other, n, 901.0, 6, n, 0, b"", None, None, None, ()) for n in range(20, 30)),
        ]
        found = [text for _, text in comments(recorded(records, batch=1)) if text]
        assert found == ["BS301 Nobody acknowledged the write (frame before this one) (stream 1)"]


def test_decrypted_streams_leave_the_port_of_tls_and_say_so():
    facts = Facts(1, "192.0.2.1:50000", "192.0.2.2:443", "device", "hardware", ("tcp", "tls1.2"))
    records = [
        StreamRecord("opened", 1, 100.0, "unknown", 0, {"client": facts.src, "server": facts.dst, "handshake": True}),
        StreamRecord(
            "tls", 1, 100.0, "server", 0, {"fact": "tls-server-hello", "version": "TLS 1.2", "cipher": "TLS_X"}
        ),
        Observed(facts, 1, 101.0, 6, 1, 0, b"", None, None, None, ()),
    ]
    data = recorded(records, name="house.pcap")
    assert b"blynkscope: decrypted from house.pcap, stream 1 (tls1.2, TLS_X); its port 443 is written as 8081" in data
    (ping,) = frames(read(data))
    assert ping.dst == f"192.0.2.2:{PLAIN_PORT}"


def test_two_streams_that_would_share_their_ports_do_not():
    records = []
    for number, port, via in ((1, 8080, ("tcp",)), (2, 443, ("tcp", "tls1.3"))):
        facts = Facts(number, "192.0.2.1:50000", f"192.0.2.2:{port}", "device", "hardware", via)
        records += [
            StreamRecord(
                "opened", number, 100.0, "unknown", 0, {"client": facts.src, "server": facts.dst, "handshake": True}
            ),
            Observed(facts, number, 101.0, 6, number, 0, b"", None, None, None, ()),
        ]
    assert [one.id for one in frames(read(recorded(records)))] == [1, 2]
    assert {one.stream for one in frames(read(recorded(records)))} == {1, 2}


def test_addresses_of_ipv6_stay():
    facts = Facts(1, "[2001:db8::1]:50000", "[2001:db8::2]:8080", "device", "hardware", ("tcp",))
    records = [
        StreamRecord("opened", 1, 100.0, "unknown", 0, {"client": facts.src, "server": facts.dst, "handshake": True}),
        *(
            Observed(facts, n, 101.0, 20, n, 9, b"vw\0" + b"1\0" + b"x" * size, None, None, None, ())
            for n, size in ((1, 1), (2, 40_000))
        ),
    ]
    ones = frames(read(recorded(records)))
    assert [(one.src, one.dst) for one in ones] == [("[2001:db8::1]:50000", "[2001:db8::2]:8080")] * 2
    assert len(ones[1].body) == 2 * 40_005


@pytest.mark.parametrize("how", ["fin", "reset", "end", "evicted"])
def test_it_ends_as_it_ended(how):
    records = observed(begin().close(how, by=1))
    closed = [one for one in read(recorded(records)) if isinstance(one, StreamRecord) and one.kind == "closed"]
    expected = how if how in {"fin", "reset"} else "end"
    assert [one.detail["how"] for one in closed] == [expected]
    if how in {"fin", "reset"}:
        assert closed[0].sender == "server"


def test_a_stream_seen_from_its_middle_has_no_beginning():
    records = Talk(handshake=False).device(*(write(n, b"1", b"2") for n in range(1, 6))).records
    opened = next(one for one in read(recorded(observed_of(records))) if isinstance(one, StreamRecord))
    assert opened.detail["handshake"] is False


def observed_of(records):
    return [record for record in records if not isinstance(record, FindingRecord)]


@pytest.mark.parametrize(
    ("time", "stamp"), [(1795253769.950711, 1795253769950711000), (0.0, 0), (12.3456789, 12345678900), (-5.0, 0)]
)
def test_times_are_those_that_were_meant(time, stamp):
    facts = Facts(1, None, None, "device", "hardware", ("tcp",))
    data = recorded([Observed(facts, 1, time, 6, 1, 0, b"", None, None, None, ())])
    at = data.index(struct.pack("<I", 6), 28)  # the first packet
    while struct.unpack_from("<I", data, at)[0] != 6 or struct.unpack_from("<I", data, at + 8)[0] != 0:
        at = data.index(struct.pack("<I", 6), at + 1)
    high, low = struct.unpack_from("<II", data, at + 12)
    assert high << 32 | low == stamp


def test_the_recording_is_raw():
    assert TOKEN in recorded(observed(begin()))


def test_nothing_is_a_capture_too():
    assert read(recorded([])) != []  # its summary
    assert frames(read(recorded([]))) == []


@given(st.binary(max_size=200))
def test_the_checksum_is_that_of_the_rfc(data):
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert checksum(data) == 0xFFFF - total


@given(st.text(max_size=40))
def test_an_endpoint_is_one_or_none(text):
    found = endpoint(text)
    assert found is None or 0 < found[1] <= 0xFFFF


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.booleans(), st.binary(max_size=3000), st.floats(0, 2e9)),
        max_size=30,
    )
)
def test_any_frames_come_back(said):
    records, lanes = [], {}
    for count, (stream, server, body, time) in enumerate(said, 1):
        ends = (f"192.0.2.{stream}:50000", "192.0.2.9:8080")
        if stream not in lanes:
            records.append(
                StreamRecord(
                    "opened", stream, time, "unknown", 0, {"client": ends[0], "server": ends[1], "handshake": True}
                )
            )
            lanes[stream] = (
                Facts(stream, *ends, "device", "hardware", ("tcp",)),
                Facts(stream, *ends[::-1], "server", "hardware", ("tcp",)),
            )
        records.append(Observed(lanes[stream][server], count, time, 20, count, len(body), body, None, None, None, ()))
    source = CaptureSource(io.BytesIO(recorded(records)), "recording")
    got = {}
    from blynkscope.wire.events import Data, Opened

    streams = {}
    for event in (event for batch in source for event in batch):
        if isinstance(event, Opened):
            streams[event.stream] = int(re.match(r"192\.0\.2\.(\d+)", event.client)[1])
        if isinstance(event, Data):
            got.setdefault((streams[event.stream], event.direction), bytearray()).extend(event.data)
    wanted = {}
    for at, (stream, server, body, _) in enumerate(said, 1):
        wanted.setdefault((stream, int(server)), bytearray()).extend(frame(20, at, body))
    assert got == wanted


def test_a_status_that_a_log_lacks_is_said():
    facts = Facts(1, None, None, "server", "hardware", ("log",))
    data = recorded([Observed(facts, 1, None, 0, 7, -1, b"", 1, None, None, ())])
    assert any("its status is not in the log" in text for _, text in comments(data))
    assert status(7, 0) in data


@pytest.mark.tshark
def test_frames_of_the_web_dialect_are_websocket_for_tshark(tmp_path):
    path = CAPTURES / "08d_ws_dashws_tls.pcap"
    records = analysed(open_input(str(path)), keys_of(path))
    out = tshark(
        recorded(records), tmp_path / "out.pcapng", "-Y", "websocket", "-T", "fields", "-e", "websocket.opcode"
    )
    opcodes = [int(one) for line in out.splitlines() for one in line.split(",")]
    assert opcodes == [2] * len(frames(records))


def test_redact_cleans_a_recording(tmp_path):
    from click.testing import CliRunner

    from blynkscope.cli import cli

    (tmp_path / "raw.pcapng").write_bytes(recorded([*observed(conversation().close()), finding(3)]))
    done = CliRunner().invoke(cli, ["redact", str(tmp_path / "raw.pcapng"), "-o", str(tmp_path / "clean.pcapng")])
    assert done.exit_code == 0, done.output
    clean = (tmp_path / "clean.pcapng").read_bytes()
    assert TOKEN not in clean
    assert len(frames(read(clean))) == 5


def test_memory_stays_within_its_bounds(monkeypatch):
    monkeypatch.setattr(module, "HELD_BYTES_MAX", 10_000)
    stream = io.BytesIO()
    recorder = Recorder(stream, name="x")
    facts = Facts(1, "192.0.2.1:50000", "192.0.2.2:8080", "device", "hardware", ("tcp",))
    for n in range(1, 200):
        recorder.records([Observed(facts, n, 1.0, 20, n & 0xFFFF, 900, bytes(900), None, None, None, ())])
        assert recorder._bytes <= 10_000 + 905
        assert len(recorder._by_frame) <= 13
    recorder.close()
    assert recorder.frames == 199


def test_interfaces_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "INTERFACES_MAX", 3)
    records = []
    for number in range(1, 9):
        facts = Facts(number, f"192.0.2.1:{50000 + number}", "192.0.2.2:8080", "device", "hardware", ("tcp",))
        records.append(Observed(facts, number, 1.0, 6, number, 0, b"", None, None, None, ()))
    data = recorded(records)
    assert data.count(b"blynkscope: ") == 4
    assert b"further streams of input.pcap" in data
    assert len(frames(read(data))) == 8


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(
                StreamRecord,
                st.sampled_from(["opened", "closed", "tls", "websocket", "gap"]),
                st.integers(1, 3),
                st.none() | st.floats(-10, 1e18),
                st.sampled_from(["device", "server", "unknown", ""]),
                st.just(0),
                st.dictionaries(
                    st.sampled_from(["client", "server", "handshake", "log", "how", "fact", "cipher", "path", "retry"]),
                    st.none() | st.booleans() | st.integers() | st.text(max_size=20)
                    | st.sampled_from(["fin", "reset", "tls-server-hello", "ws-upgraded", "192.0.2.1:1", "[::1]:5"]),
                ),
            ),
            st.builds(
                Observed,
                st.builds(
                    Facts,
                    st.integers(1, 3),
                    st.sampled_from([None, "192.0.2.1:1", "[::1]:5", "host:80", ""]),
                    st.sampled_from([None, "192.0.2.9:1", "[::2]:5", ":0", "1.2.3.4:99999"]),
                    st.sampled_from(["device", "server", "app", "unknown"]),
                    st.sampled_from(["hardware", "app", "web"]),
                    st.sampled_from([("tcp",), ("log",), ("tcp", "tls1.3"), ("tcp", "tls", "websocket")]),
                ),
                st.integers(1, 9),
                st.none() | st.floats(-10, 1e18),
                st.integers(0, 255),
                st.integers(0, 0xFFFF),
                st.integers(-1, 0xFFFF),
                st.binary(max_size=50),
                st.none(), st.none(), st.none(), st.just(()),
            ),
            st.builds(finding, st.integers(1, 9), stream=st.none() | st.integers(1, 4), title=st.text(max_size=20)),
        ),
        max_size=25,
    )
)  # fmt: skip
def test_nothing_that_the_analysis_may_say_breaks_it(records):
    data = recorded(records)
    said = sum(isinstance(record, Observed) for record in records)
    packets = [packet for batch in CaptureSource(io.BytesIO(data), "x") for packet in batch]
    assert packets or not said


def test_decode_writes_over_a_recording_by_force_alone(tmp_path):
    from click.testing import CliRunner

    from blynkscope.cli import cli

    there = tmp_path / "run.pcapng"
    there.write_bytes(b"mine")
    words = ["decode", "-q", str(CAPTURES / "05_hw_invalid_token.pcap"), "--record", str(there)]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert "exists: choose another name, or --force" in done.output
    assert there.read_bytes() == b"mine"
    assert CliRunner().invoke(cli, [*words, "--force"]).exit_code == 0
    assert frames(read(there.read_bytes()))
    # It holds tokens.
    assert there.stat().st_mode & 0o777 == 0o600
    assert CliRunner().invoke(cli, [*words[:-2], "--force"]).exit_code == 2
    assert CliRunner().invoke(cli, [*words[:-1], os.devnull]).exit_code == 0
