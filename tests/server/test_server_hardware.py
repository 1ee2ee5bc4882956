"""A device's session: login, every command, both eras, hostile bytes, and the limits."""

import random
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_world import NOON, OTHER, TOKEN, World, body, frame

from blynkscope.protocol import commands
from blynkscope.protocol.model import Ack, Dialect, Era
from blynkscope.server import answering
from blynkscope.server.hardware import HardwareSession

IOT = Era.IOT
OK = 200


def status(number, code=OK):
    return (0, number, code)


def hw(number, *parts):
    return (20, number, body(*parts))


@pytest.fixture
def world():
    return World()


@pytest.fixture
def iot():
    return World(like=IOT)


# --- login ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cmd", [2, 29])
@pytest.mark.parametrize("number", [0, 1, 7, 65535])
def test_login(world, cmd, number):
    assert world.client().say(frame(cmd, number, TOKEN)) == [status(number)]


@pytest.mark.parametrize("token", ["0" * 32, TOKEN[:-1], TOKEN + "f", "", b"\xff" * 32, b"\0" * 32])
def test_an_unknown_token_is_refused_and_may_try_again(world, token):
    client = world.client()
    assert client.say(frame(29, 1, token)) == [status(1, 9)]
    assert client.how == "open"
    assert client.login() == [status(1)]


def test_a_second_login_on_the_connection(world):
    client = world.device()
    assert client.say(frame(29, 7, TOKEN)) == [status(7, 4)]
    assert client.say(frame(2, 8, "x")) == [status(8, 4)]
    assert client.how == "open"


def test_a_second_connection_evicts_nobody(world):
    first, second = world.device(), world.device()
    device = world.hub.device(TOKEN)
    assert world.hub.write(device, b"vw", b"1", [b"5"], id=3) == 2
    assert first.heard() == second.heard() == [hw(3, "vw", "1", "5")]


@pytest.mark.parametrize("wire", [frame(6, 1), frame(20, 1, "vw", "1", "1"), bytes(5), b"\xff\0\1\0\0", frame(1, 1)])
def test_before_the_login_everything_else_hangs_up(world, wire):
    client = world.client()
    assert client.say(wire + frame(29, 2, TOKEN)) == []
    assert client.how == "closed"
    assert client.say(frame(29, 2, TOKEN)) == []


@pytest.mark.parametrize("code", [100, 150, 255])
def test_unknown_codes_hang_up(world, code):
    client = world.device()
    assert client.say(frame(code, 5, "x") + frame(6, 6)) == []
    assert client.how == "closed"


@pytest.mark.parametrize("code", [0, 5, 10, 21, 40, 41, 55, 64, 65, 99])
def test_codes_without_a_meaning_are_read_over(world, code):
    client = world.device()
    assert client.say(frame(code, 5) + frame(6, 6)) == [status(6)]


def test_any_token_makes_a_device():
    world = World(any_token=True)
    for token in ("x", "new" * 10, "ü"):
        assert world.client().login(token) == [status(1)]
        assert world.hub.online(token)
    for token in ("", "y" * 65, b"\xff", "a\nb"):
        assert world.client().login(token) == [status(1, 9)]


def test_redirect():
    world = World(redirect=("203.0.113.9", 8442))
    client = world.client()
    assert client.say(frame(29, 4, TOKEN)) == [(41, 4, b"203.0.113.9\0008442")]
    assert client.say(frame(29, 5, "unknown")) == [status(5, 9)]
    assert not world.hub.online(TOKEN)
    assert client.say(frame(6, 6)) == []
    assert client.how == "closed"


# --- pins -------------------------------------------------------------------------------------------------------------


def test_a_good_write_is_not_answered_and_comes_back_in_a_sync(world):
    client = world.device()
    assert (
        client.say(frame(20, 2, "vw", "1", "23.5"), frame(20, 3, "vw", "007", "a", "b"), frame(20, 4, "dw", "2", "1"))
        == []
    )
    assert client.say(frame(16, 5, "vr", "1", "7", "9")) == [hw(5, "vw", "1", "23.5"), hw(5, "vw", "7", "a", "b")]
    assert client.say(frame(16, 6, "dr", "2"), frame(16, 7, "ar", "2")) == [hw(6, "dw", "2", "1")]
    assert set(client.say(frame(16, 8))) == {
        hw(8, "vw", "1", "23.5"),
        hw(8, "vw", "7", "a", "b"),
        hw(8, "dw", "2", "1"),
    }


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (("vw", "8", ""), 2),
        (("vw", "8"), 2),
        (("vw", "x", "1"), 2),
        (("vw", "256", "1"), 2),
        (("vw", "-1", "1"), 2),
        (("vw", "9" * 5000, "1"), 2),
        (("vw", "", "1"), 2),
        (("vw",), 2),
        (("",), 2),
        (("xw", "1", "1"), 11),
    ],
)
def test_malformed_writes(world, parts, code):
    client = world.device()
    assert client.say(frame(20, 9, *parts)) == [status(9, code)]
    assert client.how == "open"


@pytest.mark.parametrize("parts", [("pm", "1", "out"), ("vu", "1", "2"), ("vr", "1")])
def test_other_operations_are_taken(world, parts):
    assert world.device().say(frame(20, 9, *parts)) == []


def test_what_is_no_utf8_comes_back_replaced(world):
    client = world.device()
    client.say(frame(20, 2, "vw", "6", b"", b"\x01\x02\xfe\xffA"))
    assert client.say(frame(16, 3, "vr", "6")) == [hw(3, "vw", "6", "", "\x01\x02��A")]


@pytest.mark.parametrize("parts", [("xx", "1"), ("vw", "1"), ("vr",), ("vr", "x"), ("vr", "1", "300")])
def test_malformed_syncs(world, parts):
    assert world.device().say(frame(16, 4, *parts)) == [status(4, 2)]


def test_a_sync_of_all_has_the_order_of_the_real_server(world):
    client = world.device()
    for pin in (2, 3, 6, 7, 10, 11, 12, 13, 14, 15, 20):
        client.say(frame(20, 2, "vw", str(pin), "1"))
    # 29909 is (31 * 31 + 0) * 31 * 31 + ord("v"): dashboard 1, device 0.
    expected = sorted((2, 3, 6, 7, 10, 11, 12, 13, 14, 15, 20), key=lambda pin: (29909 + 31 * pin) % 16)
    assert [pins for _, _, pins in client.say(frame(16, 3))] == [body("vw", str(pin), "1") for pin in expected]


def test_a_sync_gives_no_more_than_a_client_reads(world):
    client = world.device()
    for pin in range(30):
        client.say(frame(20, 2, "vw", str(pin), "x" * 60_000))
    found = client.raw(frame(16, 3) * 100)
    assert 900_000 < len(found) <= 1024 * 1024


def test_a_device_has_room_for_so_much(world):
    client, refused = world.device(), []
    for pin in range(200):
        refused += client.say(frame(20, pin, "vw", str(pin), "x" * 60_000))
    assert refused
    assert {code for _, _, code in refused} == {19}
    assert client.say(frame(6, 500)) == [status(500)]


def test_the_greatest_body(world):
    client = world.device()
    text = "x" * (65535 - 5)
    assert client.say(frame(20, 2, "vw", "1", text), frame(6, 3), frame(16, 4, "vr", "1")) == [
        status(3),
        hw(4, "vw", "1", text),
    ]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (("1", "label", "x"), 200),
        (("1", "labels", "a", "b"), 200),
        (("1", "color", "#D3435C"), 200),
        (("1", "min", "-1.5"), 200),
        (("1", "color", "red"), 2),
        (("x", "label", "y"), 2),
        (("1", "bogus", "x"), 11),
        (("1", "min", "x"), 11),
        (("1", "label", ""), 11),
        (("1", "label"), 11),
        (("1",), 11),
        ((), 11),
    ],
)
def test_properties(world, parts, code):
    assert world.device().say(frame(19, 4, *parts)) == [status(4, code)]
    kept = world.store.properties(TOKEN)
    assert kept == ({b"v1": {parts[1].encode(): [part.encode() for part in parts[2:]]}} if code == OK else {})


def inactive(world):
    device = world.hub.device(TOKEN)
    world.hub.projects.board(device)["isActive"] = False


def test_an_inactive_dashboard(world):
    client = world.device()
    inactive(world)
    assert client.say(frame(19, 4, "1", "label", "x")) == []
    assert client.say(frame(14, 5, "x")) == [status(5, 8)]
    assert client.say(frame(20, 6, "vw", "1", "2"), frame(16, 7, "vr", "1")) == [hw(7, "vw", "1", "2")]


# --- internal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["ver", "fw", "h-beat", "buff-in", "dev", "conn", "tmpl"])
def test_info_is_answered_by_its_first_letter(world, key):
    assert world.device().say(frame(17, 2, key, "1")) == [status(2)]


@pytest.mark.parametrize("key", ["mcu", "acon", "ota", "meta", "xyz", "\x01"])
def test_other_keys_are_not(world, key):
    client = world.device()
    assert client.say(frame(17, 2, key, "1", "h-beat", "5")) == []
    world.wind(20)
    assert client.how == "open"


@pytest.mark.parametrize("whole", [b"", b"\0", b"\0ver"])
def test_no_key(world, whole):
    assert world.device().say(frame(17, 2, whole)) == [status(2, 2)]


def test_without_the_quirk_all_info_is_answered():
    world = World(quirks=frozenset())
    assert world.device().say(frame(17, 2, "mcu", "1", "h-beat", "5")) == [status(2)]


def test_rtc_with_the_zone_of_the_widget(world):
    assert world.device().say(frame(17, 2, "rtc", "sync")) == [(17, 2, b"rtc\0%d" % NOON)]
    board = world.hub.projects.board(world.hub.device(TOKEN))
    clock = next(found for found in board["widgets"] if found["type"] == "RTC")
    clock["tzName"] = "Europe/Kiev"
    assert world.device().say(frame(17, 2, "rtc", "sync")) == [(17, 2, b"rtc\0%d" % (NOON + 7200))]
    for wrong in ("../../etc/passwd", "No/Where", "", 5, None, "\0"):
        clock["tzName"] = wrong
        assert world.device().say(frame(17, 2, "rtc", "sync")) == [(17, 2, b"rtc\0%d" % NOON)]


@pytest.mark.parametrize(
    ("heartbeat", "limit"),
    [("15", 35), ("5", 12), ("10", 23), ("20", 46), ("3", 7), ("0", 23), ("x", 23), ("9" * 30, 23)],
)
def test_the_idle_limit(world, heartbeat, limit):
    client = world.device()
    client.say(frame(17, 2, "ver", "1", "h-beat", heartbeat))
    world.wind(limit - 0.01)
    assert client.how == "open"
    client.say(frame(6, 3))
    world.wind(limit - 0.01)
    assert client.how == "open"
    assert world.wind(0.02) is None or client.how == "closed"
    assert client.how == "closed"
    assert not world.hub.online(TOKEN)


def test_the_idle_limit_of_iot(iot):
    client = iot.device()
    client.say(frame(17, 2, "ver", "1", "h-beat", "10"))
    iot.wind(14.9)
    assert client.how == "open"
    iot.wind(0.2)
    assert client.how == "closed"


def test_the_login_has_to_come(world):
    client = world.client()
    client.say(b"\x1d")
    world.wind(10)
    client.say(b"\0")
    world.wind(4.9)
    assert client.how == "open"
    world.wind(0.2)
    assert client.how == "closed"


def test_a_small_buffer_drops_writes_and_not_syncs(world):
    client = world.device()
    client.say(frame(17, 2, "ver", "1", "buff-in", "256"))
    device = world.hub.device(TOKEN)
    fits, over = b"x" * (256 - 5 - 5), b"x" * (256 - 5 - 4)
    assert world.hub.write(device, b"vw", b"1", [fits], id=1) == 1
    assert world.hub.write(device, b"vw", b"1", [over], id=2) == 0
    assert client.heard() == [hw(1, "vw", "1", fits)]
    assert client.say(frame(16, 3, "vr", "1")) == [hw(3, "vw", "1", over)]


# --- people -----------------------------------------------------------------------------------------------------------


def without_widgets(world):
    world.hub.projects.board(world.hub.device(TOKEN))["widgets"].clear()


def test_notifications(world):
    client = world.device()
    assert client.say(frame(14, 2, "hello")) == [status(2)]
    assert client.say(frame(14, 3, "hello")) == [status(3, 1)]
    world.wind(5)
    assert client.say(frame(14, 4, "hello")) == [status(4)]
    assert client.say(frame(14, 5), frame(14, 6, "x" * 256)) == [status(5, 13), status(6, 13)]
    board = world.hub.projects.board(world.hub.device(TOKEN))
    next(found for found in board["widgets"] if found["type"] == "NOTIFICATION")["androidTokens"] = {}
    assert client.say(frame(14, 7, "hello")) == [status(7, 14)]
    without_widgets(world)
    assert client.say(frame(14, 7, "hello")) == [status(7, 14)]


def test_mails_tweets_and_texts(world):
    client = world.device()
    assert client.say(frame(13, 2, "to@example.com", "s", "t"), frame(13, 3, "s", "t")) == [status(2), status(3)]
    assert client.say(frame(13, 4, "alone")) == [status(4, 2)]
    assert client.say(frame(12, 5, "t"), frame(18, 6, "t")) == [status(5), status(6)]
    without_widgets(world)
    assert client.say(frame(12, 7, "t"), frame(18, 8, "t"), frame(13, 9, "s", "t")) == [
        status(7, 14),
        status(8, 14),
        status(9, 6),
    ]


# --- bridge -----------------------------------------------------------------------------------------------------------


def test_a_bridge(world):
    one, two = world.device(), world.device(OTHER)
    assert one.say(frame(15, 2, "64", "vw", "5", "early")) == [status(2, 6)]
    assert one.say(frame(15, 3, "64", "i", "0" * 32)) == [status(3, 6)]
    assert one.say(frame(15, 4, "64", "x")) == [status(4, 2)]
    assert one.say(frame(15, 5, "64", "i", OTHER)) == [status(5)]
    assert one.say(frame(15, 6, "64", "vw", "5", "a", "b")) == []
    assert two.heard() == [(15, 6, body("vw", "5", "a", "b"))]
    assert one.say(frame(15, 7, "64", "vw", "x", "a")) == [status(7, 2)]
    assert two.heard() == []
    assert two.say(frame(16, 8, "vr", "5")) == [hw(8, "vw", "5", "a", "b")]
    two.lose()
    assert one.say(frame(15, 9, "64", "vw", "5", "gone")) == [status(9, 7)]


def test_bridges_are_bounded(world):
    client = world.device()
    found = [client.say(frame(15, pin, str(pin), "i", OTHER))[0][2] for pin in range(150)]
    assert found == [200] * 100 + [6] * 50


# --- quota ------------------------------------------------------------------------------------------------------------


def test_a_burst_passes_and_a_flood_loses_the_framing(world):
    client = world.device()
    assert client.say(frame(6, 2) * 1500) == [status(2)] * 1500
    world.wind(1)
    assert client.say(frame(20, 9, "vw", "1", "2")) == [status(9, 1)]
    # The body was left over, and is read as the beginning of a header.
    assert client.say(frame(6, 10)) == []
    world.wind(30)
    client.say(frame(6, 10) * 2)
    assert len(client.say(frame(6, 11))) <= 1


def test_the_warning_comes_once_a_minute(world):
    world = World(heartbeat=100)
    client = world.device()
    client.say(frame(6, 2) * 1500)
    warned = 0
    for _ in range(90):
        world.wind(1)
        warned += sum(code == 1 for _, _, code in client.say(frame(6, 3) * 200))
    assert warned == 2


def test_without_the_quirk_the_framing_is_kept():
    world = World(quirks=frozenset())
    client = world.device()
    client.say(frame(6, 2) * 1500)
    world.wind(1)
    assert client.say(frame(20, 3, "vw", "1", "2"), frame(20, 4, "vw", "1", "3")) == [status(3, 1)]
    for byte in frame(20, 5, "vw", "1", "2"):
        assert client.say(bytes([byte])) == []
    world.wind(20)
    world.now += 200
    assert client.session is not None
    again = world.device()
    assert again.say(frame(6, 7)) == [status(7)]


def test_partial_frames_count():
    world = World(quota=20)
    client = world.device()
    for _ in range(10):
        for byte in frame(20, 2, "vw", "1", "1234"):
            client.say(bytes([byte]))
    world.wind(1)
    assert client.say(frame(6, 3)) == [status(3, 1)]


def test_no_quota():
    world = World(quota=0)
    client = world.device()
    for _ in range(3):
        assert len(client.say(frame(6, 2) * 2000)) == 2000
        world.wind(1)


def test_a_flood_is_the_end_on_iot(iot):
    client = iot.device()
    client.say(frame(6, 2) * 200)
    iot.wind(1)
    assert client.say(frame(6, 3)) == []
    assert client.how == "closed"


# --- Blynk IoT --------------------------------------------------------------------------------------------------------


def test_iot_answers(iot):
    client = iot.device()
    assert client.say(frame(17, 2, "mcu", "1", "h-beat", "45")) == [status(2)]
    assert client.say(frame(19, 3, "1", "whatever", "x")) == [status(3)]
    assert client.say(frame(20, 4, "vw", "1", "2"), frame(6, 5)) == [status(5)]
    assert client.say(frame(17, 6, "rtc", "sync")) == [(17, 6, b"rtc\0%d" % NOON)]
    assert client.say(frame(17, 7, "utc", "time")) == [(17, 7, b"utc\0time\0%d" % (NOON * 1000))]
    assert client.say(frame(17, 8, "utc", "iso")) == [(17, 8, b"utc\0iso\0002026-11-21T11:20:00.000+00:00")]
    assert client.say(frame(17, 9, "utc", "tz_name")) == [(17, 9, b"utc\0tz_name\0UTC")]
    assert client.say(frame(14, 10, "n")) == [status(10)]


def test_metadata(iot):
    client = iot.device()
    assert client.say(frame(17, 2, "meta", "get", "Device Name")) == [(17, 2, b"meta\0Device Name\0Device 0")]
    assert client.say(frame(17, 3, "meta", "set", "Place", "cellar")) == [status(3)]
    assert client.say(frame(17, 4, "meta", "get", "Place")) == [(17, 4, b"meta\0Place\0cellar")]
    assert client.say(frame(17, 5, "meta", "get", "None")) == [(17, 5, b"meta\0None\0")]
    assert client.say(frame(17, 6, "meta"), frame(17, 7, "meta", "x", "y")) == [status(6, 2), status(7, 2)]


def test_events(iot):
    client = iot.device()
    assert (
        client.say(frame(64, 2, "boot", "cold"), frame(64, 3, "boot"), frame(65, 4, "boot", "all"), frame(64, 5)) == []
    )
    assert [(name, text) for name, text, _ in iot.store.events(TOKEN)] == [
        (b"boot", b"resolved (all)"),
        (b"boot", b""),
        (b"boot", b"cold"),
    ]


def test_the_legacy_server_keeps_no_events(world):
    assert world.device().say(frame(64, 2, "boot")) == []
    assert world.store.events(TOKEN) == []


def test_groups_have_one_time(iot):
    client = iot.device()
    assert (
        client.say(frame(21, 2, "t", "1600000000000"), frame(20, 3, "vw", "2", "1"), frame(20, 4, "vw", "3", "2")) == []
    )
    assert client.say(frame(21, 5, "e"), frame(20, 6, "vw", "2", "7")) == []
    assert client.say(frame(21, 7, "b"), frame(21, 8, "t", "9" * 40), frame(21, 9, "t", "x")) == []
    assert list(iot.store.data(TOKEN, b"v2")) == [(1.0, 1600000000000), (7.0, int(NOON * 1000))]
    assert list(iot.store.data(TOKEN, b"v3")) == [(2.0, 1600000000000)]


def test_history_holds_numbers_only(world):
    client = world.device()
    for value in ("1", "-2.5", "nan", "inf", "x", "1" * 40, "1e400"):
        client.say(frame(20, 2, "vw", "1", value))
    client.say(frame(20, 2, "vw", "1", "1", "2"))
    assert [value for value, _ in world.store.data(TOKEN, b"v1")] == [1.0, -2.5]


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", list(Era))
def test_success_is_answered_as_the_table_has_it(era):
    table = answering.acknowledged(Dialect.HARDWARE, era)
    for code in range(256):
        row = commands.lookup(code, Dialect.HARDWARE, era)
        assert table[code] == (row is not None and row.ack is Ack.STATUS)
        said = answering.settle(code, 3, answering.DONE, Dialect.HARDWARE, era)
        assert said == (answering.response(3, 200) if table[code] else b"")
    assert answering.settle(20, 3, 2, Dialect.WEB, era) == b"\0\0\3\0\0\0\2"
    assert answering.settle(20, 3, None, Dialect.APP, era) == b""


BODIES = (
    (), ("x",), ("1",), ("vw", "1", "2"), ("vw", "x", "2"), ("vw", "1"), ("xw", "1", "1"), ("vr", "1"), ("vr", "x"),
    ("1", "label", "x"), ("1", "bogus", "x"), ("1", "color", "x"), ("ver", "1"), ("mcu", "1"), ("rtc", "sync"),
    ("ota", "done"), ("64", "i", OTHER), ("64", "i", "x"), ("64", "vw", "1", "2"), ("a", "b", "c"), ("x" * 300,),
    ("b",), ("e",), ("t", "5"), (TOKEN,),
)  # fmt: skip


@pytest.mark.parametrize("era", list(Era))
def test_no_answer_that_the_table_does_not_know(era):
    """Each command with many bodies, before and after the other device has come."""
    for code in range(1, 100):
        row = commands.lookup(code, Dialect.HARDWARE, era)
        world = World(like=era, quota=0)
        for parts in BODIES:
            client = world.device()
            found = client.say(frame(code, 77, *parts))
            if row is None:
                assert found == []
                continue
            for cmd, number, what in found:
                assert number == 77
                if cmd != 0:
                    assert (row.ack, cmd) in {(Ack.SYNC, commands.HW), (Ack.BY_BODY, commands.INTERNAL)}
                elif what == OK:
                    assert row.ack in {Ack.STATUS, Ack.BY_BODY}
                else:
                    assert answering.may_refuse(row, what), (row.name, what)
            if row.ack is Ack.STATUS and not found:
                raise AssertionError((row.name, parts))
            client.lose()


# --- hostile bytes ----------------------------------------------------------------------------------------------------


def pieces(data, cuts):
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


TALK = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.builds(
            lambda code, number, parts: frame(code, number, *parts),
            st.integers(0, 99),
            st.integers(0, 65535),
            st.lists(
                st.sampled_from(["vw", "vr", "1", "x", "i", OTHER, "rtc", "ver", "h-beat", "label", ""]), max_size=4
            ),
        ),
    ),
    max_size=12,
)


@settings(max_examples=120, deadline=None)
@given(TALK, st.lists(st.integers(0, 2000), max_size=12), st.sampled_from(list(Era)), st.booleans())
def test_any_bytes_give_the_same_however_they_are_cut(talk, cuts, era, logged_in):
    data = (frame(29, 1, TOKEN) if logged_in else b"") + b"".join(talk)
    if not logged_in and data[:1] in b"GPHODCT":
        data = b"\x1d" + data
    said = []
    for feeds in ([data], pieces(data, cuts), [data[at : at + 1] for at in range(len(data))]):
        world = World(like=era, quota=0)
        client = world.client()
        said.append((client.raw(*feeds), client.how))
        client.finish()
        client.lose()
        assert not world.hub.online(TOKEN)
    assert said[0] == said[1] == said[2]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=4000), st.integers(0, 3))
def test_a_flood_of_anything_is_survived(data, seconds):
    world = World()
    client = world.device()
    for at in range(0, len(data), 3):
        client.raw(data[at : at + 3] * 50)
        world.wind(seconds)
    client.lose()


def test_a_huge_frame_byte_by_byte_takes_linear_time():
    world = World(quirks=frozenset())
    client = world.device()
    client.say(frame(6, 2) * 3000)
    world.wind(1)
    data = struct.pack(">BHH", 20, 5, 65535) + b"vw\0001\0" + b"x" * 65530
    for at in range(len(data)):
        client.session.feed(data[at : at + 1], world.now)
    assert client.how == "open"


def test_nothing_is_kept_of_what_is_over():
    world, rng = World(), random.Random(4)
    for _ in range(2000):
        client = world.device() if rng.random() < 0.5 else world.client()
        client.say(frame(17, 2, "ver", "1", "h-beat", "80000")) if rng.random() < 0.5 and world.hub.online(
            TOKEN
        ) else None
        client.lose()
    assert len(world.hub.timetable) < 600
    assert isinstance(HardwareSession.__slots__, tuple)
