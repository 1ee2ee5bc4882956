"""Key logs: their forms, and what is none."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope.protocol import limits
from blynkscope.wire.keylog import LOOK_SECONDS, KeyLog

RANDOM, MASTER = bytes(range(32)), bytes(range(48))
LINE = b"CLIENT_RANDOM " + RANDOM.hex().encode() + b" " + MASTER.hex().encode()
TRAFFIC = b"SERVER_TRAFFIC_SECRET_0 " + RANDOM.hex().encode() + b" " + (b"ab" * 48)
FORMS = [
    (LINE, "CLIENT_RANDOM", RANDOM, MASTER), (LINE.upper(), "CLIENT_RANDOM", RANDOM, MASTER),
    (LINE.replace(b" ", b"\t  "), "CLIENT_RANDOM", RANDOM, MASTER), (b"  " + LINE + b" \r", "CLIENT_RANDOM", RANDOM, MASTER),
    (TRAFFIC, "SERVER_TRAFFIC_SECRET_0", RANDOM, b"\xab" * 48), (TRAFFIC[:-32], "SERVER_TRAFFIC_SECRET_0", RANDOM, b"\xab" * 32),
    (b"RSA 0011223344556677 " + MASTER.hex().encode(), "RSA", bytes.fromhex("0011223344556677"), MASTER),
    (b"RSA Session-ID:0A0B Master-Key:" + MASTER.hex().encode(), "RSA Session-ID", b"\x0a\x0b", MASTER),
    (b"PMS_CLIENT_RANDOM " + RANDOM.hex().encode() + b" 0102", "PMS_CLIENT_RANDOM", RANDOM, b"\1\2"),
    (b"EXPORTER_SECRET " + RANDOM.hex().encode() + b" " + b"cd" * 32, "EXPORTER_SECRET", RANDOM, b"\xcd" * 32),
    (TRAFFIC.replace(b"_0 ", b"_N "), "SERVER_TRAFFIC_SECRET_N", RANDOM, b"\xab" * 48),
]  # fmt: skip


@pytest.mark.parametrize(("line", "label", "found_by", "secret"), FORMS)
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n# end"])
def test_forms(line, label, found_by, secret, end):
    keys = KeyLog(line + end)
    assert (keys.lines, keys.unusable) == (1, 0)
    assert keys.secret(label, found_by) == secret
    assert keys.knows(found_by)
    assert keys.secret(label, b"other") is None
    assert not keys.growing
    assert keys.refresh() is False


@pytest.mark.parametrize(
    "line",
    [LINE[:-1], LINE[:-2], LINE + b"ab", LINE.replace(b"CLIENT_RANDOM", b"SERVER_RANDOM"), LINE.replace(b"1", b"x"), LINE.replace(b" ", b""),
     TRAFFIC[:-2], b"RSA 00112233 " + MASTER.hex().encode(), b"CLIENT_RANDOM", b"hello", LINE + b" more", b"a" * 20000, b"\xff" * 100,
     b"CLIENT_RANDOM " + RANDOM.hex().encode()[:-2] + b" " + MASTER.hex().encode(), b"-----BEGIN CERTIFICATE-----"],
)  # fmt: skip
def test_what_is_no_key_line(line):
    keys = KeyLog(line + b"\n" + LINE + b"\n")
    assert (keys.lines, keys.unusable) == (1, 1)


def test_comments_and_blank_lines_are_neither():
    keys = KeyLog(b"# SSL/TLS secrets log file\r\n\r\n   \n\t# other\n\n" + LINE)
    assert (keys.lines, keys.unusable) == (1, 0)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_files_of_windows(encoding):
    text = (b"# log\r\n" + LINE + b"\r\n" + TRAFFIC + b"\r\n").decode()
    keys = KeyLog(text.encode(encoding))
    assert (keys.lines, keys.unusable) == (2, 0)
    keys = KeyLog(b"\xfe\xff" + LINE.decode().encode("utf-16-be"))
    assert (keys.lines, keys.unusable) == (1, 0)


def test_pieces():
    keys = KeyLog(LINE[:50])
    assert keys.lines == 0
    keys.add(LINE[50:])
    assert keys.lines == 1
    assert keys.secret("CLIENT_RANDOM", RANDOM) == MASTER
    keys.add(b"\n")
    assert keys.lines == 1
    # A secret of 48 bytes whose first 32 have been written.
    keys.add(TRAFFIC[:-32])
    assert keys.lines == 2
    keys.add(b"ab" * 16 + b"\n")
    assert (keys.lines, keys.unusable) == (2, 0)
    assert keys.secret("SERVER_TRAFFIC_SECRET_0", RANDOM) == b"\xab" * 48


@pytest.mark.parametrize("second", [LINE, TRAFFIC, b"# comment\n" + LINE, b"EXPORTER_SECRET" + LINE[13:-32]])
def test_logs_without_a_last_line_feed_follow_on_each_other(second):
    keys = KeyLog(TRAFFIC)
    keys.add(second)
    assert (keys.lines, keys.unusable) == (2, 0)


def test_the_last_of_several_secrets_counts():
    keys = KeyLog(LINE + b"\n" + LINE + b"\n" + LINE[:-2] + b"99\n")
    assert keys.lines == 3
    assert keys.secret("CLIENT_RANDOM", RANDOM) == MASTER[:-1] + b"\x99"


def test_a_growing_log():
    pieces = [b"# begin\n", b"", LINE[:70], LINE[70:] + b"\n", b"\n"]
    keys = KeyLog(more=lambda: pieces.pop(0), clock=count().__next__)
    assert keys.growing
    assert [keys.refresh() for _ in range(5)] == [False, False, False, True, False]
    assert keys.lines == 1


def test_a_growing_log_is_looked_at_now_and_then():
    now, looks = [0.0], []
    keys = KeyLog(more=lambda: looks.append(now[0]) or b"", clock=lambda: now[0])
    for tick in range(1000):
        now[0] = tick / 1000
        keys.refresh()
    assert len(looks) <= 1 / LOOK_SECONDS
    keys.refresh(at_once=True)
    assert looks[-1] == now[0]
    keys.refresh()
    now[0] = -5.0  # a clock that was set back
    keys.refresh()
    assert looks[-1] == -5.0


def test_logs_that_grow_beside_each_other_do_not_run_together():
    first, second = [LINE[:50], LINE[50:-2]], [TRAFFIC, b"\n"]
    keys = KeyLog(clock=count().__next__)
    for file in (first, second):
        keys.follow(lambda file=file: file.pop(0) if file else b"")
    assert (keys.lines, keys.unusable) == (1, 0)
    keys.add(b"# from elsewhere\nCLIENT_RAND")
    assert not keys.refresh()
    first.append(LINE[-2:])
    assert keys.refresh()
    assert (keys.lines, keys.unusable) == (2, 0)
    assert keys.secret("CLIENT_RANDOM", RANDOM) == MASTER
    assert keys.secret("SERVER_TRAFFIC_SECRET_0", RANDOM) == b"\xab" * 48


def test_given():
    assert KeyLog().given
    assert not KeyLog(given=False).given


def test_other_files_have_no_lines():
    assert KeyLog(b"\xd4\xc3\xb2\xa1\2\0\4\0" + bytes(range(256)) * 100).lines == 0
    assert KeyLog(b"").unusable == 0


@pytest.mark.timeout(60)
def test_a_log_beyond_all_measure(monkeypatch):
    monkeypatch.setattr(limits, "KEYLOG_SECRETS_MAX", 500)
    lines = [
        b"CLIENT_RANDOM " + number.to_bytes(32, "big").hex().encode() + b" " + MASTER.hex().encode()
        for number in range(1200)
    ]
    keys = KeyLog(b"\n".join(lines))
    assert keys.lines == 1200
    assert sum(keys.knows(number.to_bytes(32, "big")) for number in range(1200)) == 500
    assert keys.knows((1199).to_bytes(32, "big"))
    keys.add(b"\n")
    for _ in range(300):
        keys.add(b"A" * 100_000)
    assert len(keys._own.rest) <= limits.KEYLOG_LINE_MAX
    keys.add(b"\n" + lines[0] + b"\n")
    assert (keys.lines, keys.unusable) == (1201, 1)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from([LINE, TRAFFIC, b"\n", b"\r\n", b"#x", b"junk", LINE[:30], b"a" * 9000, b"\xff\xfe", b"RSA "]) | st.binary(max_size=9), max_size=12).map(b"".join),
    st.lists(st.integers(0, 2000), max_size=5),
)  # fmt: skip
def test_lines_are_the_same_whatever_the_cuts(data, places):
    whole, cut, at = KeyLog(data), KeyLog(), 0
    for place in sorted(places):
        # Logs that are given one behind the other may lack the last line feed: no cut just in front of what begins a line.
        if data[place - 1 : place] in {b"", b"\n"} or data[place : place + 1] not in b"\r\n#CSERP":
            cut.add(data[at:place])
            at = max(at, place)
    cut.add(data[at:])
    assert (whole.lines, whole.unusable) == (cut.lines, cut.unusable)
    assert whole.secret("CLIENT_RANDOM", RANDOM) == cut.secret("CLIENT_RANDOM", RANDOM)
