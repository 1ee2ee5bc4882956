"""WebSocket from the outside: what real peers say, what damage and hostility do, what is told about it."""

import os
import random
import struct
import tracemalloc
import zlib
from itertools import chain

import pytest
from captures_of import CAPTURES
from hypothesis import example, given
from hypothesis import strategies as st
from readers import cut
from test_oracle_tshark import run
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from blynkscope.sources import CaptureSource
from blynkscope.wire import websocket_deflate
from blynkscope.wire.events import Data
from blynkscope.wire.facts import Fact
from blynkscope.wire.layers import Content, Hole
from blynkscope.wire.websocket import MESSAGE_MAX, SEARCH_WINDOW, TEXT_SHOWN, WebSocketReader, believable_start
from blynkscope.wire.websocket_search import SEARCH_KEPT, START_WINDOW

CLIENT, SERVER = True, False
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = bytes.fromhex("a1b2c3d4")
DEFLATE = "permessage-deflate"
WRITE = bytes.fromhex("14 0003 0007 7677 00 31 00 3432")
OK = bytes.fromhex("00 0001 00c8")
PINGED = bytes.fromhex("06 0002 0000")
TOKEN = b"0123456789abcdef0123456789abcdef"
LOGIN = b"\x1d\x00\x01\x00\x20" + TOKEN


def frame(payload=b"", opcode=BINARY, *, key=None, fin=True, reserved=0, length=None):
    """A frame; `length` overrides what its header declares."""
    size = len(payload) if length is None else length
    bit = 0x80 if key else 0
    if size < 126:
        head = bytes([bit | size])
    else:
        head = bytes([bit | (126 if size < 65536 else 127)]) + struct.pack(">H" if size < 65536 else ">Q", size)
    body = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)) if key else payload
    return bytes([fin << 7 | reserved << 4 | opcode]) + head + (key or b"") + body


def compressed(data, worker=None):
    worker = worker or zlib.compressobj(wbits=-15)
    return (worker.compress(data) + worker.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def read(pieces, client=SERVER, *, finish=True, **options):
    """All that a reader gives; a piece is bytes, or the number of bytes missing there, or None for unknown."""
    reader, given = WebSocketReader(client, **options), []
    time = 0.0
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        time += 1
        given += reader.feed(piece, time) if isinstance(piece, bytes) else reader.gap(piece, time)
    return given + (reader.finish(time) if finish else [])


def facts(given):
    return [(piece.kind, piece.detail) for piece in given if isinstance(piece, Fact)]


def contents(given):
    return [piece.data for piece in given if isinstance(piece, Content)]


def plain(given):
    """Everything without times: data, number of missing bytes, or kind and detail."""
    return [
        piece.data if isinstance(piece, Content) else piece.missing if isinstance(piece, Hole) else facts([piece])[0]
        for piece in given
    ]


def joined_up(given):
    """The same with neighbouring contents joined: how a stream is cut must not change it."""
    out = []
    for item in plain(given):
        if isinstance(item, bytes) and out and isinstance(out[-1], bytes):
            out[-1] += item
        else:
            out.append(item)
    return out


def ends(given):
    """Where in the outer bytes each content ends, by where it ends in the contents joined."""
    found, size = {}, 0
    for piece in given:
        if isinstance(piece, Content):
            size += len(piece.data)
            found[size] = piece.behind
    return found


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_byte_stream_is_given_as_it_comes():
    reader = WebSocketReader(CLIENT)
    payload = os.urandom(1000)
    wire = frame(payload, key=KEY, length=8_000_000)
    assert contents(reader.feed(wire[:-900], 1.0)) == [payload[:-900]]
    assert contents(reader.feed(wire[-900:], 2.0)) == [payload[-900:]]
    assert reader.buffered == 0
    whole = WebSocketReader(CLIENT, messages=True)
    assert contents(whole.feed(wire, 1.0)) == []
    assert whole.buffered == len(payload)


def test_a_long_text_is_not_kept():
    reader = WebSocketReader(SERVER)
    reader.feed(frame(b"x" * 100_000, TEXT, length=200_000), None)
    assert reader.buffered <= 4 * TEXT_SHOWN
    assert facts(reader.feed(b"x" * 100_000, None)) == [("ws-text", {"size": 200_000, "text": "x" * TEXT_SHOWN})]


TOO_MANY = "too many incomplete messages at once"


@pytest.mark.parametrize("rest", [b"", frame(b"end", CONT)])
@pytest.mark.parametrize("reserved", [0, 4])
def test_a_message_that_is_given_up_leaves_the_next_ones_readable(rest, reserved):
    first = compressed(os.urandom(500)) if reserved else os.urandom(500)
    wire = frame(first, fin=not rest, reserved=reserved)
    options = {"messages": True, "extensions": DEFLATE}
    reader = WebSocketReader(SERVER, **options)
    reader.feed(wire[:400], 1.0)
    held = reader.buffered
    assert held > 300
    dropped = reader.drop(2.0)
    assert facts(dropped) == [("ws-too-big", {"size": held, "reason": TOO_MANY})]
    assert [piece for piece in dropped if isinstance(piece, Hole)]
    assert reader.buffered == 0
    assert reader.drop(2.0) == []
    given = reader.feed(wire[400:] + rest + frame(OK), 3.0)
    assert contents(given) == [OK]


def test_fragments_that_wait_are_given_up():
    reader = WebSocketReader(SERVER, messages=True)
    reader.feed(frame(LOGIN, fin=False), None)
    assert reader.buffered == len(LOGIN)
    assert plain(reader.drop(None)) == [("ws-too-big", {"size": len(LOGIN), "reason": TOO_MANY}), None]
    assert reader.buffered == 0
    told = ("ws-fragmented", {"frames": 2, "size": len(LOGIN) + len(WRITE), "whole": False})
    assert plain(reader.feed(frame(WRITE, CONT) + frame(OK), None)) == [told, OK]


def test_a_search_that_is_given_up_goes_on():
    reader = WebSocketReader(SERVER, joined=True)
    reader.feed(os.urandom(20_000).replace(b"\x82", b"\0"), None)
    assert reader.buffered
    assert facts(reader.drop(None))[0][0] == "ws-too-big"
    assert reader.buffered == 0
    given = reader.feed(frame(LOGIN) + frame(OK), None)
    assert contents(given) == [LOGIN, OK]
    assert [piece.behind for piece in given if isinstance(piece, Content)][-1] == 20_000 + len(frame(LOGIN) + frame(OK))


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
@pytest.mark.parametrize("client", [CLIENT, SERVER])
def test_every_form_of_length_masked_and_not(client, size):
    payload = os.urandom(size)
    wire = frame(payload, key=KEY if client else None)
    given = read([wire, frame(OK, key=KEY if client else None)], client, messages=True)
    assert plain(given) == [payload, OK]
    assert [piece.behind for piece in given] == [len(wire), len(wire) + len(OK) + (6 if client else 2)]
    assert [piece.time for piece in given] == [1.0, 2.0]


def test_a_stream_of_bytes_is_given_frame_by_frame_and_a_message_as_a_whole():
    wire = frame(LOGIN[:20], fin=False) + frame(LOGIN[20:], CONT, fin=False) + frame(b"", CONT)
    told = ("ws-fragmented", {"frames": 3, "size": len(LOGIN), "whole": True})
    assert plain(read(wire)) == [LOGIN[:20], LOGIN[20:], told]
    given = read(wire, messages=True)
    assert plain(given) == [LOGIN, told]
    assert given[0].behind == len(wire)


def test_control_frames_may_stand_inside_a_message():
    wire = frame(LOGIN[:9], fin=False) + frame(b"now", PING) + frame(LOGIN[9:], CONT) + frame(b"", PONG)
    assert plain(read(wire, messages=True)) == [
        ("ws-ping", {"size": 3}),
        LOGIN,
        ("ws-fragmented", {"frames": 2, "size": len(LOGIN), "whole": True}),
        ("ws-pong", {"size": 0}),
    ]


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b"", (None, "NO_STATUS_RCVD", "")),
        (b"\x03", (None, "malformed", "")),
        (b"\x03\xe8", (1000, "NORMAL_CLOSURE", "")),
        (b"\x03\xefframe too long", (1007, "INVALID_DATA", "frame too long")),
        (b"\x03\xf1\xff", (1009, "MESSAGE_TOO_BIG", "\\xff")),
        (b"\x03\xee", (1006, "ABNORMAL_CLOSURE", "")),
        (b"\x0b\xb8", (3000, "registered", "")),
        (b"\x0f\xa0", (4000, "private use", "")),
        (b"\x00\x07", (7, "unknown", "")),
    ],
)
def test_close_is_told_by_name_whatever_its_code(payload, told):
    given = read(frame(payload, CLOSE) + frame(OK))
    assert plain(given) == [("ws-close", dict(zip(("code", "name", "reason"), told, strict=True))), OK]


def test_text_is_a_fact_and_no_content():
    wire = frame("grün".encode(), TEXT) + frame(OK) + frame(b"x" * 5000, TEXT, fin=False) + frame(b"y" * 9, CONT)
    assert plain(read(wire)) == [
        ("ws-text", {"size": 5, "text": "grün"}),
        OK,
        ("ws-text", {"size": 5009, "text": "x" * TEXT_SHOWN}),
        ("ws-fragmented", {"frames": 2, "size": 5009, "whole": True}),
    ]


@pytest.mark.parametrize("client", [CLIENT, SERVER])
def test_wrong_masking_is_told_once_and_read_by_its_bit(client):
    wrong = None if client else KEY
    assert plain(read(frame(LOGIN, key=wrong) + frame(OK, key=wrong), client)) == [
        ("ws-masking", {"expected": client}), LOGIN, OK,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (frame(OK, 3), "opcode 3 is reserved"),
        (frame(OK, 15), "opcode 15 is reserved"),
        (frame(OK, reserved=1), "reserved bits are set"),
        (frame(OK, reserved=4), "reserved bits are set"),
        (frame(OK, PING, fin=False), "a control frame is fragmented"),
        (frame(b"x" * 126, PONG), "a control frame is too long"),
        (frame(OK, length=1 << 63), "the length is negative"),
    ],
)
def test_what_is_no_frame_is_told_and_the_next_one_found(wire, reason):
    given = plain(read(frame(OK) + wire + frame(LOGIN) + frame(OK)))
    assert given == [OK, ("ws-error", {"reason": reason, "offset": 7}), None, LOGIN, OK]


def test_a_message_that_is_not_ended_is_over_where_the_next_begins():
    wire = frame(LOGIN[:9], fin=False) + frame(OK)
    told = ("ws-fragmented", {"frames": 1, "size": 9, "whole": False})
    assert plain(read(wire, messages=True)) == [told, None, OK]
    assert plain(read(wire)) == [LOGIN[:9], told, OK]


@pytest.mark.parametrize("whole", [True, False])
def test_a_continuation_of_nothing_is_no_content(whole):
    wire = frame(LOGIN[9:], CONT, fin=False) + frame(OK, CONT) + frame(OK)
    told = ("ws-fragmented", {"frames": 2, "size": len(LOGIN) - 9 + 5, "whole": False})
    assert plain(read(wire, messages=whole)) == [None, told, OK]


@pytest.mark.parametrize(
    ("wire", "told"),
    [
        (b"\x82", [("ws-cut", {"have": 1, "need": None})]),
        (b"\x82\xfe\x00", [("ws-cut", {"have": 3, "need": None})]),
        (frame(LOGIN)[:-1], [LOGIN[:-1], ("ws-cut", {"have": len(LOGIN) + 1, "need": len(LOGIN) + 2})]),
        (frame(b"abc", PING)[:-1], [("ws-cut", {"have": 4, "need": 5})]),
    ],
)
def test_the_end_inside_a_frame(wire, told):
    assert plain(read(wire)) == told


# --- real peers -------------------------------------------------------------------------------------------------------


class Talk:
    """The library's client and server, behind their handshake, and what each wrote since."""

    def __init__(self, client_deflate=None, server_deflate=None):
        self.client = ClientProtocol(
            parse_uri("ws://blynk.test/websockets"), extensions=client_deflate and [client_deflate]
        )
        self.server = ServerProtocol(extensions=server_deflate and [server_deflate])
        self.client.send_request(self.client.connect())
        for data in self.client.data_to_send():
            self.server.receive_data(data)
        (request,) = self.server.events_received()
        response = self.server.accept(request)
        self.extensions = response.headers.get("Sec-WebSocket-Extensions")
        self.server.send_response(response)
        for data in self.server.data_to_send():
            self.client.receive_data(data)
        assert self.client.handshake_exc is None
        self.client.events_received()

    def said(self, peer):
        return b"".join(peer.data_to_send())


DEFLATES = {
    "plain": (None, None),
    "takeover": (ClientPerMessageDeflateFactory(), ServerPerMessageDeflateFactory()),
    "no-takeover": (
        ClientPerMessageDeflateFactory(),
        ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),
    ),
    "server-no-takeover": (
        ClientPerMessageDeflateFactory(server_no_context_takeover=True),
        ServerPerMessageDeflateFactory(),
    ),
    "client-no-takeover": (
        ClientPerMessageDeflateFactory(client_no_context_takeover=True),
        ServerPerMessageDeflateFactory(),
    ),
    "small-windows": (
        ClientPerMessageDeflateFactory(client_max_window_bits=9, server_max_window_bits=9),
        ServerPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9),
    ),
}


@pytest.mark.parametrize("deflate", DEFLATES)
@pytest.mark.parametrize("side", ["client", "server"])
def test_what_real_peers_say(deflate, side):
    talk = Talk(*DEFLATES[deflate])
    assert (talk.extensions is None) == (deflate == "plain")
    peer = getattr(talk, side)
    messages = [LOGIN, OK, WRITE * 300, b"", os.urandom(3000), WRITE * 40000, LOGIN, WRITE]
    for message in messages:
        peer.send_binary(message)
    peer.send_ping(b"1")
    peer.send_text(b"hello")
    peer.send_binary(LOGIN, fin=False)
    peer.send_continuation(WRITE, fin=False)
    peer.send_continuation(b"", fin=True)
    peer.send_close(1000, "bye")
    wire = talk.said(peer)
    options = {"extensions": talk.extensions, "messages": True}
    told = [
        ("ws-ping", {"size": 1}),
        ("ws-text", {"size": 5, "text": "hello"}),
        LOGIN + WRITE,
        ("ws-fragmented", {"frames": 3, "size": len(LOGIN + WRITE), "whole": True}),
        ("ws-close", {"code": 1000, "name": "NORMAL_CLOSURE", "reason": "bye"}),
    ]
    client = side == "client"
    assert plain(read(wire, client, **options)) == [*messages, *told]
    assert plain(read([wire[at : at + 1] for at in range(len(wire))], client, **options)) == [*messages, *told]
    stream = read(wire, client, extensions=talk.extensions)
    assert b"".join(contents(stream)) == b"".join([*messages, LOGIN, WRITE])


@pytest.mark.parametrize(
    "extensions",
    [
        "permessage-deflate; client_max_window_bits=8",
        "Permessage-Deflate; server_max_window_bits=77",
        "permessage-deflate; server_no_context_takeover=1; strange",
        "x-webkit-deflate-frame, permessage-deflate",
        'permessage-deflate; "',
    ],
)
def test_parameters_that_do_not_parse_are_passed_over(extensions):
    worker = zlib.compressobj(wbits=-15)
    wire = b"".join(frame(compressed(data, worker), reserved=4) for data in (LOGIN, LOGIN, WRITE))
    assert plain(read(wire, extensions=extensions)) == [LOGIN, LOGIN, WRITE]


@given(
    st.lists(
        st.sampled_from([DEFLATE, ";", ",", "=", '"', "server_max_window_bits", "8", "15", " ", "\\", "é", "\0", "\n"]),
        max_size=12,
    ).map("".join)
)
@example("a," * 50_000)
@example(f"{DEFLATE};" * 20_000)
def test_any_header_of_extensions_is_taken(extensions):
    WebSocketReader(SERVER, extensions=extensions)


def test_no_compression_where_another_extension_was_agreed():
    assert facts(read(frame(compressed(LOGIN), reserved=4), extensions="mux, x-deflate"))[0][0] == "ws-error"


def test_messages_may_be_sent_uncompressed_among_compressed_ones():
    wire = frame(compressed(LOGIN), reserved=4) + frame(WRITE) + frame(compressed(LOGIN), reserved=4)
    assert plain(read(wire, extensions=DEFLATE)) == [LOGIN, WRITE, LOGIN]


def test_compressed_data_may_end_with_a_final_block():
    worker = zlib.compressobj(wbits=-15)
    final = worker.compress(LOGIN) + worker.flush(zlib.Z_FINISH)
    # The next message refers to the one before, across the end.
    second = zlib.compressobj(wbits=-15, zdict=LOGIN)
    wire = frame(final + b"\0", reserved=4) + frame(compressed(LOGIN, second), reserved=4)
    assert plain(read(wire, extensions=DEFLATE)) == [LOGIN, LOGIN]
    assert plain(read(frame(final + LOGIN, reserved=4), extensions=DEFLATE)) == [
        ("ws-unreadable", {"reason": "compressed data ends before its message"}), None,
    ]  # fmt: skip


def test_behind_what_is_not_readable_the_next_messages_are_right_or_missing():
    worker = zlib.compressobj(wbits=-15)
    texts = [LOGIN, WRITE, LOGIN, os.urandom(200), WRITE]
    wires = [frame(compressed(text, worker), reserved=4) for text in texts]
    wires[1] = frame(b"\xff\xff\xff", reserved=4)
    given = plain(read(b"".join(wires), extensions=DEFLATE))
    assert given[0] == LOGIN
    assert given[1][0] == "ws-unreadable"
    assert [item for item in given[2:] if isinstance(item, bytes)][-1:] != [LOGIN]
    assert all(item in texts for item in given if isinstance(item, bytes))
    assert texts[3] in given


# --- holes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [CLIENT, SERVER])
@pytest.mark.parametrize("missing", range(1, 12))
def test_a_hole_inside_a_frame_keeps_the_stream_in_step(client, missing):
    key = KEY if client else None
    head = 6 if client else 2
    wire = frame(OK, key=key) + frame(LOGIN, key=key) + frame(OK, key=key)
    start = head + len(OK) + head + 9
    given = read([wire[:start], missing, wire[start + missing :]], client)
    assert plain(given) == [OK, LOGIN[:9], missing, LOGIN[9 + missing :], OK]
    behind = [piece.behind for piece in given if isinstance(piece, Content)]
    assert behind == [head + 5, start, start - 9 + len(LOGIN), len(wire)]
    # A message of the web dialect is whole or it is not given.
    given = read([wire[:start], missing, wire[start + missing :]], client, messages=True)
    assert plain(given) == [OK, len(LOGIN), OK]


def test_a_hole_up_to_the_end_of_a_frame():
    wire = frame(LOGIN) + frame(OK)
    assert plain(read([wire[:10], len(LOGIN) - 8, frame(OK)])) == [LOGIN[:8], len(LOGIN) - 8, OK]
    assert plain(read([frame(LOGIN, fin=False)[:10], len(LOGIN) - 8, frame(OK, CONT), frame(WRITE)], messages=True)) == [
        None, ("ws-fragmented", {"frames": 2, "size": len(LOGIN) + 5, "whole": False}), WRITE,
    ]  # fmt: skip


def test_a_hole_in_control_frames_and_texts():
    wire = [frame(b"\x03\xe8bye", CLOSE)[:4], 3, frame(b"12345", PING)[:3], 4, frame(b"abcdef", TEXT)[:4], 4, frame(OK)]
    assert plain(read(wire)) == [
        ("ws-close", {"code": None, "name": "not captured", "reason": ""}),
        ("ws-ping", {"size": 5}),
        ("ws-text", {"size": 6, "text": "ab"}),
        OK,
    ]


@pytest.mark.parametrize("missing", [40, None])
@pytest.mark.parametrize("client", [CLIENT, SERVER])
def test_behind_a_hole_of_unknown_depth_the_next_frame_is_found(missing, client):
    key = KEY if client else None
    wire = frame(LOGIN, key=key)
    rest = frame(b"12", PONG, key=key) + frame(WRITE, key=key) + frame(OK, key=key)
    given = plain(read([wire[:12], missing, LOGIN[-7:], rest], client))
    assert given[1] is None
    assert given[2:] in ([("ws-pong", {"size": 2}), WRITE, OK], [WRITE, OK])


def test_a_hole_in_a_compressed_message():
    worker = zlib.compressobj(wbits=-15)
    noise = os.urandom(300)
    wires = [frame(compressed(text, worker), reserved=4) for text in (noise, LOGIN, noise[:200], LOGIN)]
    given = plain(read([wires[0][:50], 5, wires[0][55:], *wires[1:]], extensions=DEFLATE))
    # The third refers to what is missing, the fourth to nothing but the second.
    assert given[:2] == [None, LOGIN]
    assert [item for item in given if isinstance(item, bytes)] in ([LOGIN], [LOGIN, LOGIN])


# --- beginning in the middle ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [CLIENT, SERVER])
@pytest.mark.parametrize("web", [True, False])
def test_a_frame_is_found_in_the_middle(client, web):
    key = KEY if client else None
    write = b"\x14\x00\x031-0\0vw\0001\00042" if web else WRITE
    wire = frame(random.Random(700).randbytes(700), key=key) + b"".join(frame(write, key=key) for _ in range(4))
    for start in range(1, len(wire) - 2 * len(frame(write, key=key))):
        given = plain(read(wire[start:], client, joined=True, messages=web))
        assert given[-2:] == [write, write]
        assert all(item == write for item in given if isinstance(item, bytes)), start


def test_frames_that_hold_no_blynk_prove_themselves_together():
    wire = frame(b"\xfe\xfd", key=KEY) * 3
    assert plain(read(b"\x82\x82\x00" + wire, CLIENT, joined=True)) == [b"\xfe\xfd"] * 3
    assert plain(read(b"\x82\x82\x00" + wire[:-12], CLIENT, joined=True)) == []


def test_of_two_beginnings_the_one_that_is_proven_first_is_taken():
    inner = b"\x82\x0a" + b"\0\0\x09\0\x09" * 2
    body = b"vw\x001\0\xc2" + inner + b"x" * 60
    wire = frame(b"\x14\0\x03" + struct.pack(">H", len(body)) + body) + frame(OK)
    whole = read(wire, joined=True)
    assert joined_up(read([bytes([byte]) for byte in wire], joined=True)) == joined_up(whole)
    assert whole[0].data == inner[2:]


def test_what_was_found_has_the_times_at_which_it_came():
    given = read([b"\xff\xff", *[bytes([byte]) for byte in frame(OK)], frame(WRITE)], joined=True)
    assert joined_up(given) == [OK + WRITE]
    assert [piece.time for piece in given] == [4.0 + at for at in range(len(OK))] + [9.0]
    assert [piece.behind for piece in given] == [5 + at for at in range(len(OK))] + [9 + len(frame(WRITE))]


def test_compressed_frames_joined_in_the_middle():
    worker = zlib.compressobj(wbits=-15)
    texts = [LOGIN + bytes([at]) + os.urandom(30) for at in range(8)]
    wire = b"".join(frame(compressed(text, worker), reserved=4) for text in texts)
    given = plain(read(wire[30:], joined=True))
    assert all(item in texts for item in given if isinstance(item, bytes))
    alone = b"".join(frame(compressed(text), reserved=4) for text in texts)
    assert [item for item in plain(read(alone[30:], joined=True)) if isinstance(item, bytes)] == texts[1:]


@pytest.mark.parametrize("key", [None, KEY, bytes(4)])
@pytest.mark.parametrize(
    "payload",
    [
        LOGIN,
        OK,
        PINGED,
        WRITE * 3,
        LOGIN * 20,
        b"\x02\x00\x01dev@example.com\0c29tZWhhc2g=\0Other\x001.0",
        b"\x00\x00\x01\x00\x00\x00\xc8",
        b"\x18\x00\x05" + zlib.compress(b"{}"),
        "\x14\x00\x051-0\0vw\0001\0é€".encode() * 1,
        b"\x15\x00\x05" + b'{"id":1}' * 2000,
    ],
)
def test_believable_starts(payload, key):
    wire = frame(payload, key=key)
    assert believable_start(wire + b"any")
    assert believable_start(frame(b"x", PONG, key=key) + wire)
    undecided = [believable_start(wire[:size]) for size in range(len(wire) + 1)]
    first = next(size for size, verdict in enumerate(undecided) if verdict is not None)
    assert undecided[first]
    assert first <= len(wire)
    assert first <= START_WINDOW


@pytest.mark.parametrize(
    "data",
    [
        LOGIN,
        OK,
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        frame(b"hello", TEXT),
        frame(b"\x01\x02\x03\x04\x05\x06"),
        frame(b""),
        frame(OK + b"\xff"),
        frame(b"\xfe" * 100, key=KEY),
        frame(b"x", PONG) + frame(OK, key=KEY),
        frame(b"", PONG) * 300,
        b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
        bytes(600),
    ],
)
def test_what_is_no_believable_start(data):
    assert believable_start(data) is False


@given(st.binary(max_size=700))
def test_believable_start_decides_and_stays_with_it(data):
    verdicts = [believable_start(data[:size]) for size in range(len(data) + 1)]
    decided = [verdict for verdict in verdicts if verdict is not None]
    assert len(set(decided)) <= 1
    assert verdicts[len(verdicts) - len(decided) :] == decided
    assert len(data) < START_WINDOW or decided


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
def test_a_frame_that_is_too_big_is_read_past(whole):
    size = MESSAGE_MAX + 1
    chunk = bytes(1 << 20)
    head = frame(b"", length=size)
    pieces = chain([head], (chunk for _ in range(size >> 20)), [bytes(size & 0xFFFFF)], [frame(OK)])
    tracemalloc.start()
    given = read(pieces, messages=whole)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert plain(given) == [("ws-too-big", {"size": size}), size, OK]
    assert peak < 4 << 20


def test_a_length_beyond_everything_is_waited_for_without_memory():
    given = read(frame(b"", length=(1 << 63) - 1) + LOGIN)
    assert plain(given)[:2] == [("ws-too-big", {"size": (1 << 63) - 1}), (1 << 63) - 1]


def test_a_message_of_many_frames_is_bounded():
    part = bytes(1 << 20)
    pieces = [frame(part, fin=False), *[frame(part, CONT, fin=False)] * 11, frame(part, CONT), frame(OK)]
    given = plain(read(pieces, messages=True))
    assert given == [
        ("ws-too-big", {"size": 11 << 20}),
        None,
        ("ws-fragmented", {"frames": 13, "size": 13 << 20, "whole": False}),
        OK,
    ]
    assert sum(map(len, contents(read(pieces)))) == (13 << 20) + 5


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("zeros", [MESSAGE_MAX, MESSAGE_MAX + 1, 64 << 20])
def test_a_bomb_costs_little_memory(whole, zeros):
    bomb = frame(compressed(bytes(zeros)), reserved=4)
    tracemalloc.start()
    given = read(bomb + frame(compressed(OK), reserved=4), messages=whole, extensions=DEFLATE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MESSAGE_MAX
    if zeros == MESSAGE_MAX:
        assert plain(given) == [bytes(zeros), OK]
    elif zeros == MESSAGE_MAX + 1:
        assert plain(given) == [("ws-too-big", {"size": zeros}), None, OK]
    else:
        assert plain(given) == [
            ("ws-error", {"reason": "compressed messages inflate more than 200 times", "offset": len(bomb)}),
            None,
        ]


def test_many_small_bombs_are_one_bomb():
    one = frame(compressed(bytes(1 << 20)), reserved=4)
    given = read([one] * 100, extensions=DEFLATE)
    assert plain(given)[-2][0] == "ws-error"
    assert sum(map(len, contents(given))) < websocket_deflate.RATIO_FREE + websocket_deflate.RATIO_MAX * len(one) * 100


def test_a_search_keeps_little_and_ends():
    reader = WebSocketReader(SERVER, joined=True)
    # Headers that promise much and prove nothing.
    chunk = b"\x82\x7e\x3f\xff" * 16384
    tracemalloc.start()
    for _ in range(20):
        assert reader.feed(chunk, 1.0) == []
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 4 * SEARCH_KEPT
    told = [piece for _ in range(SEARCH_WINDOW // (1 << 20) + 1) for piece in reader.feed(bytes(1 << 20), 1.0)]
    assert facts(told) == [("ws-error", {"reason": "no frame was found", "offset": 0})]
    assert reader.feed(frame(OK), 1.0) + reader.finish(1.0) == []


def test_long_frames_byte_by_byte():
    wire = frame(bytes(300_000), key=KEY) + frame(OK, key=KEY)
    assert joined_up(read((bytes([byte]) for byte in wire), CLIENT)) == [bytes(300_000) + OK]


# --- any bytes, any cuts ----------------------------------------------------------------------------------------------

FRAMES = st.builds(
    frame,
    st.one_of(st.sampled_from([LOGIN, OK, WRITE, b"", compressed(LOGIN)]), st.binary(max_size=200)),
    st.sampled_from([CONT, TEXT, BINARY, BINARY, BINARY, CLOSE, PING, PONG, 3]),
    key=st.sampled_from([None, KEY]),
    fin=st.booleans() | st.just(True),
    reserved=st.sampled_from([0, 0, 0, 4, 1]),
)
STREAMS = st.lists(FRAMES | st.binary(max_size=20), max_size=12).map(b"".join)
OPTIONS = st.fixed_dictionaries(
    {"messages": st.booleans(), "extensions": st.sampled_from([None, DEFLATE]), "joined": st.booleans()}
)


@given(STREAMS, st.lists(st.integers(0, 5000), max_size=8), st.booleans(), OPTIONS)
@example(frame(OK) + b"\x83" + frame(LOGIN) + frame(OK), [8, 9, 10], SERVER, {})
def test_cuts_do_not_matter(data, places, client, options):
    whole = read(data, client, **options)
    assert joined_up(read(cut(data, places), client, **options)) == joined_up(whole)
    single = read([bytes([byte]) for byte in data], client, **options)
    assert joined_up(single) == joined_up(whole)
    behind = [piece.behind for piece in whole if isinstance(piece, Content)]
    assert behind == sorted(behind)
    assert all(place <= len(data) for place in behind)
    # A frame that is given piece by piece ends at the same place.
    assert ends(whole).items() <= ends(single).items()


@given(st.lists(STREAMS | st.integers(1, 60) | st.none(), max_size=10), st.booleans(), OPTIONS)
def test_nothing_raises_and_nothing_is_invented(pieces, client, options):
    given = read(pieces, client, **options)
    if options["extensions"] is None and not options["joined"]:
        inside = sum(map(len, contents(given)))
        assert inside <= sum(len(piece) for piece in pieces if isinstance(piece, bytes))
    single = [
        part for piece in pieces for part in ([bytes([b]) for b in piece] if isinstance(piece, bytes) else [piece])
    ]
    assert joined_up(read(single, client, **options)) == joined_up(given)


@given(st.data(), st.booleans())
def test_mutated_talk_never_raises(data, client):
    key = KEY if client else None
    worker = zlib.compressobj(wbits=-15)
    wire = bytearray(
        b"".join(frame(compressed(text, worker), reserved=4, key=key) for text in (LOGIN, WRITE, OK, LOGIN * 5))
        + frame(b"x", PING, key=key)
        + frame(LOGIN, key=key, fin=False)
        + frame(WRITE, CONT, key=key)
    )
    for _ in range(data.draw(st.integers(1, 6))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    options = {"messages": data.draw(st.booleans()), "extensions": data.draw(st.sampled_from([None, DEFLATE]))}
    whole = read(bytes(wire), client, **options)
    assert joined_up(read([bytes([byte]) for byte in wire], client, **options)) == joined_up(whole)


# --- recordings -------------------------------------------------------------------------------------------------------

NODE_RED = CAPTURES / "08a_ws_nodered_plain.pcap"


def recorded():
    """What either side of the recording said behind its HTTP head."""
    said = {CLIENT: b"", SERVER: b""}
    with NODE_RED.open("rb") as stream:
        for event in chain.from_iterable(CaptureSource(stream, NODE_RED.name)):
            if isinstance(event, Data):
                said[event.direction == 0] += event.data
    return {client: wire.partition(b"\r\n\r\n")[2] for client, wire in said.items()}


@pytest.mark.parametrize("client", [CLIENT, SERVER])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_the_recording_of_a_device(client, size):
    wire = recorded()[client]
    given = read([wire[at : at + size] for at in range(0, len(wire), size)], client)
    stream = b"".join(contents(given))
    assert stream.startswith(LOGIN[:5] if client else OK)
    assert facts(given) == [("ws-close", {"code": None, "name": "NO_STATUS_RCVD", "reason": ""})]
    assert not any(isinstance(piece, Hole) for piece in given)
    assert believable_start(wire)


@pytest.mark.tshark
def test_the_same_payload_as_tshark():
    given = {client: b"".join(contents(read(wire, client))).hex() for client, wire in recorded().items()}
    lines = run(
        "tshark", NODE_RED, "-Y", "websocket", "-T", "fields", "-e", "tcp.dstport", "-e", "data.data"
    ).splitlines()
    theirs = {CLIENT: "", SERVER: ""}
    for line in lines:
        port, _, data = line.partition("\t")
        theirs[port == "8080"] += data.replace(",", "")
    assert theirs == given
