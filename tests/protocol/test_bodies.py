"""Bodies: nothing that arrives can break them, and no byte is lost."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from vectors import VECTORS

from blynkscope.protocol import app_bodies, bodies, limits, two_way_bodies
from blynkscope.protocol.commands import COMMANDS, lookup
from blynkscope.protocol.schema import Body

ALL_BODIES = {
    **{
        name: body
        for module in (bodies, two_way_bodies)
        for name, body in vars(module).items()
        if isinstance(body, Body)
    },
    **{f"{row.code} {row.name}": row.body for row in COMMANDS},
}
BODIES = list({id(body): (name, body) for name, body in reversed(ALL_BODIES.items())}.values())
by_body = pytest.mark.parametrize("body", [body for _, body in BODIES], ids=[name for name, _ in BODIES])

words = st.lists(
    st.sampled_from(
        [*(code.encode() for code in bodies.OPERATIONS), b"i", b"1", b"1-0", b"V1", b"", b"out", b"rtc", b"mcu"]
    )
    | st.binary(max_size=8)
    | st.just(b'{"a":[1,2.5,null]}'),
    max_size=8,
).map(b"\0".join)
anything = words | st.binary(max_size=200)


@by_body
@given(data=anything)
@example(data=b"")
@example(data=b"\0")
@example(data=b"\0\0")
@example(data=b"vw\0")
@example(data=b"\xff\xfe\x80")
def test_no_byte_is_lost_and_nothing_raises(body, data):
    assert body.build(body.parse(data)) == data
    fields, text = body.decode(data)
    msgspec.json.encode(fields)
    assert isinstance(text, str)
    assert body.problem(data) is None or body.problem(data)
    last = 0
    for span in body.spans(data):
        assert last <= span.start <= span.end <= len(data)
        assert data[span.start : span.end] == span.raw
        assert span.name
        last = span.end
    spans = body.spans(data)
    assert all(span in spans and span.secret and span.raw for span in body.secrets(data))


HOSTILE_JSON = [
    b"NaN", b"[Infinity,-Infinity]", b"1" + b"0" * 400, b"-" + b"9" * 5000, b"1e400", b"[" * 100_000,
    b'{"a":' * 100_000, b"[" * 400 + b"]" * 400, b"[" * 900 + b"]" * 900, b'["\\ud800"]', b'{"\\udfff":1}',
    "[\"\u2028\u2029\"]".encode(), b'["\\u0000"]', b'{"a":1,"a":2}', b'"\xff"', b"{", b"\xef\xbb\xbf{}",
]  # fmt: skip
JSON_BODIES = {
    "JSON": (app_bodies.JSON, b"%s"),
    "dash and JSON": (app_bodies.document("dash"), b"1\0%s"),
    "DOCUMENT": (app_bodies.DEVICE_DOCUMENT, b"1\0%s"),
    "PROFILE": (bodies.PROFILE, None),
}


@pytest.mark.parametrize("document", HOSTILE_JSON, ids=lambda document: repr(document[:12]) + str(len(document)))
@pytest.mark.parametrize("name", JSON_BODIES)
def test_hostile_json_gives_fields_that_can_be_written(name, document):
    body, shape = JSON_BODIES[name]
    data = zlib.compress(document) if shape is None else shape % document
    fields, text = body.decode(data)
    msgspec.json.encode(fields)
    text.encode()
    assert body.build(body.parse(data)) == data


def test_a_decompression_bomb_is_cut_at_the_limit():
    bomb = zlib.compress(bytes(limits.INFLATED_MAX + 1_000_000), 9)
    parsed = bodies.PROFILE.parse(bomb)
    assert len(parsed.profile.data) == limits.INFLATED_MAX
    fields, _ = bodies.PROFILE.decode(bomb)
    assert fields["inflated"] == limits.INFLATED_MAX
    assert "cut" in fields["problem"]
    assert bodies.PROFILE.build(parsed) == bomb


def test_an_early_end_of_compressed_data_is_said():
    fields, _ = bodies.PROFILE.decode(zlib.compress(b'{"a":1}' * 20)[:-6])
    assert "early" in fields["problem"]


@pytest.mark.parametrize(
    ("cmd", "data", "problem"),
    [
        (20, b"vw\x001\x005", None),
        (20, b"vw\x001", "vw without a value"),
        (20, b"vw", "vw without a pin"),
        (20, b"vw\x00V1\x005", "'V1' is no pin number"),
        (20, b"x", "at least 2"),
        (20, b"123", "'123' is no operation"),
        (16, b"vw\x001\x001", "cannot be synchronised"),
        (6, b"x", "no body"),
        (19, b"1", "no property"),
        (13, b"one", "no text"),
        (15, b"64", "no bridge command"),
    ],
)
def test_problems(cmd, data, problem):
    said = lookup(cmd, "hardware").body.problem(data)
    assert said is None if problem is None else problem in said


TOKEN = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"


@pytest.mark.parametrize(
    ("body", "data", "secrets"),
    [
        (bodies.LOGIN, TOKEN, {TOKEN}),
        (two_way_bodies.BRIDGE_MESSAGE, b"64\0i\0" + TOKEN, {TOKEN}),
        (two_way_bodies.BRIDGE_MESSAGE, b"vw\x001\x001", set()),
        (two_way_bodies.DASH_OR_TOKEN, TOKEN, {TOKEN}),
        (two_way_bodies.DASH_OR_TOKEN, b"1-0", set()),
        (two_way_bodies.SERVER_ADDRESS, b"dev@example.com\0Blynk", {b"dev@example.com"}),
        (two_way_bodies.SERVER_ADDRESS, b"127.0.0.1", set()),
        (app_bodies.PUSH_TOKEN, b"1\0phone\0secret", {b"secret"}),
        (app_bodies.APP_LOGIN, b"a@b.c\0hash\0Android\x001", {b"a@b.c", b"hash"}),
    ],
)
def test_secrets(body, data, secrets):
    assert {span.raw for span in body.secrets(data)} == secrets


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.fields], ids=lambda v: v.name)
def test_spans_cover_all_but_the_separators(vector):
    header = {"hardware": 5, "app": 7, "web": 3}[vector.dialect]
    data = vector.wire[header:]
    covered = set()
    for span in lookup(vector.cmd, vector.dialect, vector.era).body.spans(data):
        covered |= set(range(span.start, span.end))
    assert all(data[at] == 0 for at in range(len(data)) if at not in covered)
