"""DNS messages, honest and hostile."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR

from blynkscope.wire import dns
from blynkscope.wire.dns import Answer, parse

QUERY, REPLY = 0x0100, 0x8180


def head(flags=QUERY, asked=1, answered=0, ident=0x1234):
    return struct.pack(">HHHHHH", ident, flags, asked, answered, 0, 0)


def name(text):
    return b"".join(bytes([len(label)]) + label for label in text.encode().split(b".")) + b"\0"


def question(text="blynk.cloud", kind=1):
    return name(text) + struct.pack(">HH", kind, 1)


def answer(content, kind=1, owner=b"\xc0\x0c", group=1):
    return owner + struct.pack(">HHIH", kind, group, 60, len(content)) + content


def test_a_question():
    found = parse(head() + question("NY3.Blynk.Cloud", 28))
    assert found == Answer(0x1234, False, "NOERROR", ("ny3.blynk.cloud",), ("AAAA",))
    assert found.question == "ny3.blynk.cloud"


def test_an_answer_with_aliases_and_both_kinds_of_addresses():
    wire = head(REPLY, 1, 4) + question()
    wire += answer(b"\4edge\xc0\x0c", 5) + answer(bytes([192, 0, 2, 7]), owner=name("edge.blynk.cloud"))
    wire += answer(bytes.fromhex("20010db8" + "00" * 11 + "07"), 28) + answer(b"text", 16)
    assert parse(wire) == Answer(
        0x1234, True, "NOERROR", ("blynk.cloud",), ("A",), ("192.0.2.7", "2001:db8::7"), ("edge.blynk.cloud",)
    )


@pytest.mark.parametrize(
    ("code", "called"), [(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (15, "RCODE15")]
)
def test_answer_codes(code, called):
    assert parse(head(REPLY | code) + question()).rcode == called
    assert parse(head(QUERY | code) + question()).rcode == "NOERROR"


def test_messages_of_scapy():
    records = [DNSRR(rrname="a.example", type="CNAME", rdata="b.example"), DNSRR(rrname="b.example", rdata="192.0.2.9"),
               DNSRR(rrname="b.example", type="AAAA", rdata="2001:db8::9")]  # fmt: skip
    found = parse(bytes(DNS(id=7, qr=1, rcode=3, qd=[DNSQR(qname="a.example")], an=records)))
    assert (found.id, found.is_response, found.rcode, found.questions) == (7, True, "NXDOMAIN", ("a.example",))
    assert (found.addresses, found.aliases) == (("192.0.2.9", "2001:db8::9"), ("b.example",))


def test_names_are_plain_text():
    wire = head() + b"\x06a\x1b.\xff\nB\0" + struct.pack(">HH", 1, 1)
    assert parse(wire).question == "a\\027\\046\\255\\010b"
    assert parse(head() + b"\0\0\2\0\1").question == ""


@pytest.mark.parametrize(
    "wire",
    [
        b"", head()[:11], head(), head(asked=0), head(asked=9) + question() * 9, head(0x2800) + question(),
        head() + question()[:-1], head() + b"\x40a\0\0\1\0\1", head() + b"\x80a\0\0\1\0\1", head() + b"\xc0", head() + b"\x05abc",
        head() + b"\xc0\x0c\0\1\0\1", head() + b"\xc0\x0e\0\1\0\1", head() + b"\1a\xc0\x0c\0\1\0\1", head() + b"\1a\xc0\x0e\0\1\0\1",
        head() + b"\xff\xff\0\1\0\1", head() + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", head(asked=2) + question(),
    ],
)  # fmt: skip
def test_what_is_no_message(wire):
    assert parse(wire) is None


def test_the_longest_name():
    long = b"\x3f" + b"a" * 63
    wire = head() + long * 3 + b"\x3d" + b"b" * 61 + b"\0\0\1\0\1"
    assert len(parse(wire).question) == 253
    assert parse(head() + long * 3 + b"\x3e" + b"b" * 62 + b"\0\0\1\0\1") is None


def test_what_the_capture_cut_off():
    wire = head(REPLY, 1, 2) + question() + answer(bytes([192, 0, 2, 7])) + answer(bytes([192, 0, 2, 8]))
    whole = parse(wire)
    assert whole.addresses == ("192.0.2.7", "192.0.2.8")
    assert not whole.truncated
    for size in range(len(head() + question()), len(wire)):
        found = parse(wire[:size])
        assert found.truncated
        assert found.addresses in {(), ("192.0.2.7",)}
    assert parse(head(REPLY | 0x0200) + question()).truncated


def test_records_that_mean_something_else():
    wire = head(REPLY, 1, 3) + question() + answer(b"abc") + answer(bytes(4), group=3) + answer(b"\xc0\xff", 5)
    assert parse(wire) == Answer(0x1234, True, "NOERROR", ("blynk.cloud",), ("A",))


def test_many_records_are_bounded():
    found = parse(head(REPLY, 1, 1000) + question() + answer(bytes([192, 0, 2, 7])) * 1000)
    assert len(found.addresses) == dns.ANSWERS_MAX
    assert found.truncated


@pytest.mark.timeout(60)
def test_chains_of_pointers_are_bounded():
    # Each pointer leads to the one before it; the records all begin at the last one.
    chain = b"".join(struct.pack(">H", 0xC000 | 12 + 5 + 2 * max(0, step - 1)) for step in range(8000))
    wire = head(REPLY, 1, 128) + b"\0\0\x10\0\1" + chain
    last = struct.pack(">H", 0xC000 | 12 + 5 + 2 * 7999)
    for _ in range(50):
        parse(wire + answer(b"", owner=last) * 128)


@settings(max_examples=400)
@given(st.data())
def test_anything_never_raises(data):
    pieces = st.sampled_from(
        [name("a.b"), b"\xc0\x0c", b"\xc0\x10", b"\0", question(), answer(bytes(4)), answer(b"\xc0\x0c", 5)]
    )
    start = data.draw(
        st.one_of(st.binary(max_size=14), st.builds(head, st.integers(0, 0xFFFF), st.integers(0, 9), st.integers(0, 9)))
    )
    body = b"".join(data.draw(st.lists(st.one_of(pieces, st.binary(max_size=12)), max_size=8)))
    found = parse(start + body)
    if found is not None:
        assert found.questions
        assert len(found.questions) == len(found.kinds) <= dns.QUESTIONS_MAX
        assert all(one.isascii() and one.isprintable() for one in (*found.questions, *found.aliases))


labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)


@given(
    st.lists(labels, min_size=1, max_size=6).map(".".join),
    st.lists(st.ip_addresses(), max_size=5),
    st.integers(0, 0xFFFF),
)
def test_what_was_written_is_read(host, addresses, ident):
    wire = head(REPLY, 1, len(addresses), ident) + question(host)
    wire += b"".join(answer(one.packed, 1 if one.version == 4 else 28) for one in addresses)
    found = parse(wire)
    assert (found.id, found.question, found.addresses) == (ident, host, tuple(map(str, addresses)))
    assert not found.truncated
