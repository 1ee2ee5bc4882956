"""The fast lane holds no meaning of its own: on any bytes it says what the construct schemas say."""

import struct
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blynkscope.protocol import bodies, commands, derived, frames, limits, two_way_bodies
from blynkscope.protocol.frames import Frame
from blynkscope.protocol.model import Dialect, Era
from blynkscope.protocol.statuses import STATUSES

PLACES = [(dialect, era) for dialect in Dialect for era in (None, *Era)]
TOKEN = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"

HOSTILE = [
    b"", b"\0", b"\0\0", b"\0" * 300, b"x", b"vw", b"vw\0", b"vw\0\0", b"vw\x001", b"vw\x001\0", b"vw\x001\x002\x003",
    b"vm\x001\x002\x003", b"dw\x0013\x001", b"aw\x003\0255", b"vr\x001\x002", b"pm\x001\0out\x002", b"VW\x001\x001",
    b"vw\0-1\x001", b"vw\x0099999\x001", b"vw\0" + b"9" * 100_000 + b"\x001", b"vw\x001\0" + b"9" * 100_000,
    b"vw\x001\0\xff\xfe", b"v\xffw\x001\x001", b"\xef\xbf\xbd", b"vw\x001\0\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"vw\x001" + b"\0x" * 5000, b"1-0\0vw\x001\x002", b"1\0vw\x001\x002", b"1-0", b"1\0" + b'{"a":1}',
    b"ver\x001.0\0h-beat\x0045\0", b"mcu\0x\0mcu\0y\0mcu\0z", b"rtc\0sync", b"rtc", b"acon", b"\0rtc", b"a\0b\0c",
    TOKEN, b"64\0i\0" + TOKEN, b"64\0vw\x001\x001", b"host\0port", b"b", b"t\x001", b"e", b"t", b"name\0all", b"\0all",
    zlib.compress(b'{"a":[1,2]}'), zlib.compress(bytes(3_000_000)), b'{"a":1e999}', b"[" * 5000, b"9" * 5000,
    b"\x1b[31m", "é\u202e".encode(), b"one\0two\0three\0four", b"a@b.c\0hash\0app",
]  # fmt: skip

anything = (
    st.lists(
        st.sampled_from(
            [*(code.encode() for code in bodies.OPERATIONS), b"i", b"1", b"1-0", b"", b"out", b"rtc", b"\xff"]
        )
        | st.binary(max_size=8),
        max_size=8,
    ).map(b"\0".join)
    | st.binary(max_size=120)
    | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))
)


def lanes():
    """Each decoder of the fast lane once, with the body that it stands for."""
    seen = {}
    for dialect, era in PLACES:
        for code, decode in enumerate(derived.decoders(dialect, era)):
            row = commands.find(code, dialect, era)
            seen.setdefault(
                (row.body if row else bodies.RAW).layout + str(code), (decode, row.body if row else bodies.RAW)
            )
    return list(seen.values())


LANES = lanes()


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: f"{data[:10]!r}{len(data)}")
def test_both_lanes_decode_hostile_bodies_alike(data):
    for decode, body in LANES:
        assert decode(data) == body.decode(data), body.layout


@settings(deadline=None, max_examples=150)
@given(anything)
@example(b"\0")
def test_both_lanes_decode_any_body_alike(data):
    for decode, body in LANES:
        assert decode(data) == body.decode(data), body.layout


@pytest.mark.parametrize(("dialect", "era"), PLACES)
def test_every_code_has_its_decoder_and_name(dialect, era):
    decoders, names = derived.decoders(dialect, era), derived.names(dialect, era)
    assert len(decoders) == len(names) == 256
    for code in range(256):
        row = commands.find(code, dialect, era)
        for data in (b"", b"vw\x001\x002", b"1-0\0vw\x001\x002", TOKEN, b"a\0b\0c\0"):
            assert decoders[code](data) == (row.body if row else bodies.RAW).decode(data)
        assert names[code] == commands.command_name(code, dialect, era)


def test_decoders_are_shared_not_changed_by_what_they_return():
    decode = derived.decoders(Dialect.HARDWARE)[commands.HW]
    first = decode(b"vw\x001\x002")[0]
    first["pins"].clear()
    assert decode(b"vw\x001\x002")[0]["pins"]


@pytest.mark.parametrize("dialect", list(Dialect))
@settings(deadline=None, max_examples=100)
@given(data=st.binary(min_size=7, max_size=7))
def test_header_formats_are_the_schemas(dialect, data):
    header = derived.HEADER_STRUCTS[dialect]
    parsed = frames.HEADERS[dialect].parse(data)
    assert header.size == frames.HEADER_SIZE[dialect] == frames.HEADERS[dialect].sizeof()
    assert header.unpack_from(data) == tuple(value for key, value in parsed.items() if not key.startswith("_"))
    word = derived.WORD_STRUCTS[dialect]
    assert word.unpack_from(data) == (frames.WORDS[dialect].parse(data),)


def test_header_sizes():
    assert {dialect.value: size for dialect, size in frames.HEADER_SIZE.items()} == {"hardware": 5, "app": 7, "web": 3}


def test_a_header_of_mixed_orders_is_refused():
    import construct as con

    with pytest.raises(TypeError, match="mixed byte orders"):
        derived._format_of(con.Struct("a" / con.Int16ub, "b" / con.Int16ul))


@st.composite
def well_formed(draw):
    dialect = draw(st.sampled_from(list(Dialect)))
    cmd = draw(st.integers(0, 255))
    number = draw(st.integers(0, 0xFFFF))
    if cmd == commands.RESPONSE:
        top = 0xFFFF if dialect is Dialect.HARDWARE else 0xFFFFFFFF
        return Frame(dialect, 0, number, draw(st.integers(0, top) | st.sampled_from(sorted(STATUSES))))
    return Frame(dialect, cmd, number, None, draw(anything))


def as_struct(frame):
    """The bytes of a frame written by hand, as the oracle."""
    wide = frame.dialect is not Dialect.HARDWARE
    if frame.cmd == 0:
        return struct.pack(">BHI" if wide else ">BHH", 0, frame.id, frame.status)
    if frame.dialect is Dialect.WEB:
        return struct.pack(">BH", frame.cmd, frame.id) + frame.body
    return struct.pack(">BHI" if wide else ">BHH", frame.cmd, frame.id, len(frame.body)) + frame.body


@settings(deadline=None, max_examples=300)
@given(well_formed(), st.binary(max_size=3))
def test_frames_survive_the_round_trip(frame, behind):
    wire = frames.build(frame)
    assert wire == as_struct(frame)
    # In the web dialect the message itself ends the body.
    behind = b"" if frame.dialect is Dialect.WEB else behind
    assert frames.parse(wire + behind, frame.dialect) == frame


@settings(deadline=None, max_examples=200)
@given(well_formed(), st.sampled_from([None, *Era]))
def test_the_whole_schema_gives_the_same_bytes_back(frame, era):
    schema = frames.frame_schema(frame.dialect, era)
    wire = as_struct(frame)
    parsed = schema.parse(wire)
    assert schema.build(parsed) == wire
    assert (parsed.cmd, parsed.id) == (frame.cmd, frame.id)
    if frame.cmd == 0:
        assert int(parsed.status) == frame.status


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("era", [None, *Era])
def test_the_whole_schema_keeps_hostile_bodies(dialect, era):
    schema = frames.frame_schema(dialect, era)
    for code in range(1, 256):
        for data in HOSTILE:
            if len(data) < 400:
                wire = as_struct(Frame(dialect, code, 1, None, data))
                assert schema.build(schema.parse(wire)) == wire, (code, data)


@pytest.mark.parametrize("dialect", [Dialect.HARDWARE, Dialect.APP])
def test_cut_frames_are_refused_by_a_stream_error(dialect):
    import construct as con

    wire = as_struct(Frame(dialect, 20, 1, None, b"vw\x001\x002"))
    for size in range(len(wire)):
        with pytest.raises(con.StreamError):
            frames.parse(wire[:size], dialect)


def test_longest_bodies():
    hardware, app = derived.longest_bodies(Dialect.HARDWARE), derived.longest_bodies(Dialect.APP)
    assert len(hardware) == len(app) == 256
    assert max(hardware) == limits.HARDWARE_BODY_MAX
    assert max(app) == limits.APP_BODY_MAX
    for dialect, table in ((Dialect.HARDWARE, hardware), (Dialect.APP, app)):
        for code, longest in enumerate(table):
            known = any(dialect in row.dialects and row.on_wire for row in commands.rows(code))
            assert (longest >= 0) == known
    assert hardware[0] == app[0] == 0
    assert hardware[commands.PING] == 0
    assert hardware[commands.HW] == 0xFFFF
    assert 32 <= hardware[commands.HW_LOGIN] < 4096
    assert hardware[99] == app[99] == -1


def test_every_body_of_the_tables_is_reached_by_a_lane():
    reached = {id(body) for _, body in LANES}
    assert all(id(row.body) in reached for row in commands.COMMANDS if row.code)
    assert id(bodies.PIN_OPERATION) in reached
    assert id(two_way_bodies.BRIDGE_MESSAGE) in reached
