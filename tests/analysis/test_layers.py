"""Frames inside layers: TLS with and without its keys, WebSocket, and both together, as streams of events."""

import zlib

import msgspec
import pytest
from talk import TOKEN, frame, ping, status, sync, write
from tlstalk import TLS12, TLS13
from tlstalk import Talk as TlsTalk

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import (
    FindingRecord,
    FrameRecord,
    MessageRecord,
    StreamRecord,
    WriteRecord,
    spelled_out,
)
from blynkscope.protocol.model import Dialect
from blynkscope.wire.events import Acked, Closed, Data, Gap, Opened, Secrets
from blynkscope.wire.keylog import KeyLog

ENDS = ("192.0.2.1:50000", "192.0.2.2:9443", 50000, 9443)
LOGIN = frame(29, 1, TOKEN)
SESSION = ((0, LOGIN), (1, status(1)), (0, write(2, b"1", b"42")), (0, ping(3)), (1, status(3)), (0, sync(4, b"1")),
           (1, write(4, b"1", b"42")))  # fmt: skip
FRAMES = [(29, 1), (0, 1), (20, 2), (6, 3), (0, 3), (16, 4), (20, 4)]


def analysed(events, *, keys=None, handshake=True, closed=True, ends=ENDS, **options):
    """The records of one stream out of (direction, bytes) pairs or events."""
    analyser = Analyser(keys=KeyLog(keys) if isinstance(keys, bytes) else keys, **options)
    told, time = [Opened(1, 100.0, *ends, handshake)], 100.0
    for event in events:
        time += 0.01
        told.append(Data(1, event[0], time, event[1]) if isinstance(event, tuple) else event)
    if closed:
        told.append(Closed(1, time, "fin", 0, (True, True)))
    return spelled_out(analyser.feed(told) + analyser.finish())


def of(kind, records):
    return [record for record in records if isinstance(record, kind)]


def frames(records):
    return [(one.cmd, one.id) for one in of(FrameRecord, records)]


def ids(records):
    return [one.id for one in of(FindingRecord, records)]


def spoken(version, cipher=None, said=SESSION):
    """A real TLS session in which this was said."""
    made = TlsTalk(version, cipher).handshake()
    for direction, data in said:
        made.say(direction, data)
    return made.end()


@pytest.fixture(scope="module", params=[TLS12, TLS13], ids=["tls1.2", "tls1.3"])
def secured(request):
    return spoken(request.param), "tls1.2" if request.param == TLS12 else "tls1.3"


def test_frames_inside_tls(secured):
    made, layer = secured
    records = analysed(made.events, keys=made.keylog)
    assert frames(records) == FRAMES
    assert {one.via for one in of(FrameRecord, records)} == {("tcp", layer)}
    assert [one.sender for one in of(FrameRecord, records)][:2] == ["device", "server"]
    assert not {"BS905", "BS906", "BS910", "BS911"} & set(ids(records))


def test_a_write_inside_tls_is_delivered_with_its_record(secured):
    """The acknowledgements of TCP count bytes of records; they are carried over to what is inside."""
    made, _ = secured
    events, offsets = [], [0, 0]
    for direction, data in made.events:
        offsets[direction] += len(data)
        events.append((direction, data))
        events.append(Acked(1, direction, 101.0, offsets[direction]))
    records = analysed([event for event in events if isinstance(event, tuple)], keys=made.keylog)
    (state,) = [one for one in of(WriteRecord, records) if one.frame == 3]
    assert state.state == "confirmed"
    only_write = spoken(TLS13, said=SESSION[:3])
    told = list(only_write.events)
    size = sum(len(data) for direction, data in told if direction == 0)
    for upto, expected in ((size, "delivered"), (size - 200, None)):
        found = of(WriteRecord, analysed([*told, Acked(1, 0, 200.0, upto)], keys=only_write.keylog, closed=False))
        assert [one.state for one in found] == ([expected] if expected else [])


def test_secrets_of_the_input_open_it(secured):
    made, _ = secured
    assert frames(analysed([Secrets(made.keylog), *made.events])) == FRAMES
    assert "BS905" not in ids(analysed([Secrets(made.keylog), *made.events]))


def test_without_keys_the_handshake_is_told(secured):
    made, _ = secured
    records = analysed(made.events)
    assert frames(records) == []
    assert "BS905" in ids(records)
    told = [one.detail.get("fact") for one in of(StreamRecord, records) if one.kind == "tls"]
    assert {"tls-client-hello", "tls-server-hello"} <= set(told)


@pytest.mark.parametrize("change", ["other", "none", "cut", "flipped"])
def test_keys_that_do_not_fit(secured, change):
    made, layer = secured
    lines = made.keylog.splitlines(keepends=True)
    keys = {
        "other": spoken(TLS12).keylog,
        "none": b"this is no key log\n",
        "cut": b"".join(line for line in lines if line.startswith((b"SERVER_", b"EXPORTER"))),
        "flipped": b"".join(line[:-3] + (b"00" if line[-3:-1] != b"00" else b"11") + line[-1:] for line in lines),
    }[change]
    records = analysed(made.events, keys=keys)
    found = ids(records)
    assert "BS906" in found
    if change == "cut" and layer == "tls1.3":
        # The server's direction opens all the same.
        assert [cmd for cmd, _ in frames(records)] == [0, 0, 20]
    else:
        assert frames(records) == []


def test_a_damaged_record_is_a_record_and_no_garbage(secured):
    made, _ = secured
    events = list(made.events)
    at = max(place for place, (direction, data) in enumerate(events) if direction == 0 and data[:1] == b"\x17"
             and place < len(events) - 4)  # fmt: skip
    damaged = bytearray(events[at][1])
    damaged[-1] ^= 1
    events[at] = (0, bytes(damaged))
    records = analysed(events, keys=made.keylog)
    assert set(frames(records)) < set(FRAMES)
    assert [one.kind for one in of(StreamRecord, records)].count("undecodable") == 1
    assert "BS911" in ids(records)


def test_a_lost_record_leaves_the_others(secured):
    made, _ = secured
    events = list(made.events)
    places = [place for place, (direction, data) in enumerate(events) if direction == 0 and data[:1] == b"\x17"]
    lost = places[-3]
    direction, data = events[lost]
    events[lost] = Gap(1, direction, 100.5, len(data), "lost")
    records = analysed(events, keys=made.keylog)
    assert set(frames(records)) < set(FRAMES)
    assert len(frames(records)) >= len(FRAMES) - 2


def test_cuts_change_nothing(secured):
    made, _ = secured
    whole = analysed(made.events, keys=made.keylog)
    single = [(direction, data[at : at + 1]) for direction, data in made.events for at in range(len(data))]
    cut = analysed(single, keys=made.keylog)
    assert frames(cut) == frames(whole)
    assert ids(cut) == ids(whole)


def test_a_forced_dialect_is_looked_for_inside(secured):
    made, _ = secured
    assert frames(analysed(made.events, keys=made.keylog, dialect=Dialect.HARDWARE)) == FRAMES


def test_without_findings_it_is_opened_too(secured):
    made, _ = secured
    assert frames(analysed(made.events, keys=made.keylog, findings=False)) == FRAMES


def test_keys_that_come_while_the_records_come(secured):
    """A key log that is written during a live capture: what came first waits for it."""
    made, _ = secured
    parts = []
    growing = KeyLog(more=lambda: parts.pop() if parts else b"")
    analyser = Analyser(keys=growing)
    records = analyser.feed([Opened(1, 100.0, *ENDS, True)])
    for place, (direction, data) in enumerate(made.events):
        if place == len(made.events) - 3:
            assert not any(isinstance(one, FrameRecord) for one in spelled_out(records))
            parts.append(made.keylog)
        records += analyser.feed([Data(1, direction, 100.0 + place, data)])
    records += analyser.finish()
    assert frames(spelled_out(records)) == FRAMES


# --- WebSocket ---


def websocket(payload, *, key=b"", opcode=2):
    size = len(payload)
    head = bytes([0x80 | opcode, (0x80 if key else 0) | (size if size < 126 else 126)])
    head += size.to_bytes(2, "big") if size >= 126 else b""
    return head + key + bytes(byte ^ key[at % 4] if key else byte for at, byte in enumerate(payload))


def upgraded(path, said, *, key=b"\x01\x02\x03\x04"):
    ask = b"GET %b HTTP/1.1\r\nHost: blynk.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" % path
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    return [(0, ask), (1, answer), *((side, websocket(data, key=b"" if side else key)) for side, data in said)]


def web(cmd, number, body=b"", status=None):
    return bytes([cmd]) + number.to_bytes(2, "big") + (body if status is None else status.to_bytes(4, "big"))


def test_a_byte_stream_inside_websocket():
    """Frames may span messages, and messages may hold several frames."""
    cut = [(0, LOGIN[:7]), (0, LOGIN[7:] + write(2, b"1", b"42")), (1, status(1)), (0, ping(3)), (1, status(3))]
    records = analysed(upgraded(b"/websockets", cut))
    assert frames(records) == [(29, 1), (20, 2), (0, 1), (6, 3), (0, 3)]
    assert {one.via for one in of(FrameRecord, records)} == {("tcp", "websocket")}


def test_the_web_dialect():
    said = [
        (0, web(6, 1)),
        (1, web(0, 1, status=200)),
        (0, web(20, 2, b"\0".join((b"1-0", b"vw", b"1", b"88")))),
        (1, web(0, 2, status=7)),
    ]
    (ping_, pong, written, refused) = of(FrameRecord, analysed(upgraded(b"/dashws", said)))
    assert {one.dialect for one in (ping_, pong, written, refused)} == {"web"}
    assert [one.sender for one in (ping_, pong)] == ["app", "server"]
    assert (pong.status, pong.answers, refused.status_name) == (200, 1, "STA_DEVICE_NOT_IN_NETWORK")
    assert written.length is None
    assert written.fields["pins"][0]["pin"] == "V1"


def test_websocket_inside_tls():
    said = upgraded(b"/websockets", [(side, data) for side, data in SESSION])
    made = spoken(TLS13, said=said)
    records = analysed(made.events, keys=made.keylog)
    assert frames(records) == FRAMES
    assert {one.via for one in of(FrameRecord, records)} == {("tcp", "tls1.3", "websocket")}


@pytest.mark.parametrize("dialect", ["hardware", "web"])
def test_a_websocket_that_was_joined_in_the_middle(dialect):
    hardware = [(0, write(7, b"1", b"42")), (0, ping(8)), (1, status(8))]
    webbed = [(0, web(20, 7, b"\0".join((b"1-0", b"vw", b"1", b"88")))), (0, web(6, 8)), (1, web(0, 8, status=200))]
    said = hardware if dialect == "hardware" else webbed
    events = upgraded(b"/x", said)[2:]
    records = analysed(events, handshake=False, ends=("192.0.2.1:50000", "192.0.2.2:50001", 50000, 50001))
    assert frames(records) == [(20, 7), (6, 8), (0, 8)]
    assert {one.dialect for one in of(FrameRecord, records)} == {dialect}
    # The client's frames are masked: so much tells who is who.
    assert of(FrameRecord, records)[-1].sender == "server"


def test_records_of_layers_can_be_written(secured):
    made, _ = secured
    for record in analysed(made.events, keys=made.keylog):
        assert msgspec.json.encode(record)


# --- acknowledgements and holes, through layers ---

REQUEST = b"GET /websockets HTTP/1.1\r\nHost: blynk.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
KEY = b"\x01\x02\x03\x04"


def states(records):
    """The final state of each write, by frame number."""
    found = {one.n: one.write for one in of(FrameRecord, records) if one.write}
    return found | {one.frame: one.state for one in of(WriteRecord, records)}


def test_writes_behind_a_hole_of_known_size_are_delivered():
    big, small = websocket(write(2, b"5", b"x" * 100), key=KEY), websocket(write(3, b"1", b"42"), key=KEY)
    login = websocket(LOGIN, key=KEY)
    events = [*upgraded(b"/websockets", []), (0, login), (0, big[:40]), Gap(1, 0, 101.0, len(big) - 50, "lost")]
    size = len(REQUEST) + len(login) + len(big) + len(small)
    events += [(0, big[-10:]), (0, small), Acked(1, 0, 102.0, size)]
    assert states(analysed(events)) == {2: "delivered"}


def test_an_acknowledgement_may_come_before_the_keys(secured):
    made, _ = secured
    analyser, offsets, parts, records = Analyser(), [0, 0], [], []
    analyser = Analyser(keys=KeyLog(more=lambda: parts.pop() if parts else b""))
    records += analyser.feed([Opened(1, 100.0, *ENDS, True)])
    last = len(made.events) - 1
    for place, (direction, data) in enumerate(made.events):
        if place == last:
            parts.append(made.keylog)
        offsets[direction] += len(data)
        told = [Data(1, direction, 100.0 + place, data), Acked(1, direction, 100.0 + place, offsets[direction])]
        records += analyser.feed(told)
    records += analyser.feed([Closed(1, 200.0, "reset", 1, (True, True))]) + analyser.finish()
    assert "lost" not in states(spelled_out(records)).values()


def test_a_part_of_a_segment_may_be_acknowledged():
    first, second = websocket(write(2, b"1", b"42"), key=KEY), websocket(write(3, b"2", b"43"), key=KEY)
    login = websocket(LOGIN, key=KEY)
    start = len(REQUEST) + len(login)
    events = [*upgraded(b"/websockets", []), (0, login), (0, first + second), Acked(1, 0, 102.0, start + len(first))]
    assert states(analysed(events, closed=False)) == {2: "delivered", 3: "sent"}


def test_tls_behind_a_tunnel(secured):
    made, layer = secured
    for phrase in (b"Connection established", b"OK"):
        asked = (0, b"CONNECT blynk.test:443 HTTP/1.1\r\nHost: blynk.test:443\r\n\r\n")
        events = [asked, (1, b"HTTP/1.1 200 " + phrase + b"\r\n\r\n"), *made.events]
        records = analysed(events, keys=made.keylog)
        assert frames(records) == FRAMES
        assert {one.via for one in of(FrameRecord, records)} == {("tcp", layer)}
        assert not {"BS106", "BS107", "BS111", "BS905", "BS906"} & set(ids(records))


def test_websocket_behind_a_tunnel():
    asked = (0, b"CONNECT blynk.test:8080 HTTP/1.1\r\nHost: blynk.test:8080\r\n\r\n")
    said = upgraded(b"/websockets", SESSION)
    records = analysed([asked, (1, b"HTTP/1.1 200 Connection established\r\n\r\n"), *said])
    assert frames(records) == FRAMES


@pytest.mark.parametrize("line", [b"\r\n", b"\n"])
@pytest.mark.parametrize("joined", [True, False])
def test_chunks_that_waited_go_to_the_layer_that_they_belong_to(line, joined):
    events = [(side, data.replace(b"\r\n", line) if data[:1] in b"GH" else data) for side, data in
              upgraded(b"/websockets", SESSION)]  # fmt: skip
    if joined:
        events = [(0, b"".join(data for side, data in events if not side)), *(one for one in events if one[0])]
    assert sorted(frames(analysed(events))) == sorted(FRAMES)


def test_mqtt_in_websocket_whatever_comes_first():
    """The answer to an upgrade is none of MQTT, even where the client went on without waiting for it."""
    connect = bytes.fromhex("101000044d5154540402002d000464657631")
    ask, answer = upgraded(b"/mqtt", [])
    events = [ask, (0, websocket(connect, key=KEY)), answer, (1, websocket(bytes.fromhex("20020000")))]
    told = [one for one in analysed(events) if isinstance(one, MessageRecord)]
    assert {(one.protocol, one.name) for one in told} == {("http", "GET"), ("mqtt", "CONNECT"), ("mqtt", "CONNACK")}
    alone = [one for one in analysed([ask, (0, websocket(connect, key=KEY))]) if isinstance(one, MessageRecord)]
    assert {one.protocol for one in alone} == {"http", "mqtt"}


def test_one_direction_of_a_compressed_websocket():
    deflate = zlib.compressobj(wbits=-15)
    packed = deflate.compress(LOGIN) + deflate.flush(zlib.Z_SYNC_FLUSH)
    ask = REQUEST[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    masked = bytearray(websocket(packed[:-4], key=KEY))
    masked[0] |= 0x40
    assert frames(analysed([(0, ask), (0, bytes(masked))])) == [(29, 1)]


def test_the_web_dialect_cannot_be_forced_upon_a_byte_stream(secured):
    made, _ = secured
    assert frames(analysed(SESSION, dialect=Dialect.WEB)) == FRAMES
    assert frames(analysed(made.events, keys=made.keylog, dialect=Dialect.WEB)) == FRAMES
