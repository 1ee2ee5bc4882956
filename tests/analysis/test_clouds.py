"""BS501 to BS503: the handshake with the Particle cloud."""

from hashlib import sha256

import pytest
from logtalk import LogTalk
from nettalk import Connections, of_capture


def noise(name, size):
    return b"".join(sha256(f"{name} {part}".encode()).digest() for part in range(size // 32 + 1))[:size]


NONCE, KEY, SESSION = noise("nonce", 40), noise("key", 256), noise("session", 384)


def handshake(*wires, **options):
    return Connections().talk(wires=wires, port=5683, **{"by": 1, "end": 101.0, **options}).finish()


def test_the_key_is_refused():
    run = handshake((1, NONCE), (0, KEY))
    (finding,) = run.findings("BS501")
    assert "256 bytes" in finding.detail
    assert "particle keys doctor" in finding.fix
    assert "particle keys server" in finding.fix
    assert run.bad == {"BS501"}


def test_random_bytes_may_look_like_frames():
    nonce, key = b"\x14\0\1\0\x23" + NONCE[:35], b"\x1d\0\1\0\xfb" + KEY[:251]
    assert handshake((1, nonce), (0, key)).bad == {"BS501"}


def test_the_key_is_never_answered():
    run = handshake((1, NONCE), (0, KEY), by=0, end=120.0)
    assert "19.8 s" in run.findings("BS501")[0].detail


def test_a_recording_that_ends_too_early_proves_nothing():
    assert handshake((1, NONCE), (0, KEY), how="end", by=None).bad == set()


def test_a_whole_handshake():
    assert handshake((1, NONCE), (0, KEY), (1, SESSION), (0, noise("data", 50))).bad == set()


@pytest.mark.parametrize(("end", "by"), [(120.0, 0), (101.0, 1)])
def test_no_nonce(end, by):
    run = handshake(end=end, by=by)
    assert run.bad == {"BS502"}
    assert "40 bytes" in run.findings("BS502")[0].detail


def test_a_client_that_gives_up_at_once_had_no_nonce_yet():
    assert handshake(by=0).bad == set()


@pytest.mark.parametrize(
    ("wires", "where"),
    [
        ([(1, NONCE[:17])], "17 of 40"), ([(1, NONCE), (0, KEY[:100])], "100 of 256"), ([(1, NONCE)], "0 of 256"),
        ([(1, NONCE), (0, KEY), (1, SESSION[:100])], "100 of 384"),
    ],
)  # fmt: skip
def test_closed_early(wires, where):
    run = handshake(*wires)
    (finding,) = run.findings("BS503")
    assert where in finding.detail
    assert "server closed" in finding.detail


def test_the_device_closes_early():
    assert "device closed" in handshake((1, NONCE), by=0).findings("BS503")[0].detail


def test_the_same_on_each_reconnect_is_one_finding():
    run = Connections()
    for turn in range(4):
        run.talk(wires=[(1, NONCE), (0, KEY)], port=5683, by=1, at=100.0 + 10 * turn)
    assert len(run.finish().findings("BS501")) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [("refused_after_key", "BS501"), ("no_nonce", "BS502"), ("closed_early", "BS503")],
)
def test_made_captures(name, expected):
    found = of_capture(f"made/particle_{name}.pcap")
    assert [key for key in found if key[2] in "156"] == [expected]


def clouddebug(*lines):
    log = LogTalk(host="device.spark.io", port=5683)
    for facts in lines:
        log.line("particle", "…", **facts)
    return log.finish()


FAILED = {"step": "key", "code": -19}


def test_a_log_tells_of_a_refused_key():
    once = [
        {"host": "device.spark.io"},
        {"read": 40, "step": "nonce"},
        {"written": 256, "step": "key"},
        FAILED,
        {"code": -19},
    ]
    log = clouddebug(*once, *once)
    (finding,) = log.findings("BS501")
    for word in ("40 bytes", "256 bytes", "-19", "device.spark.io"):
        assert word in finding.detail
    assert "particle keys doctor" in finding.fix
    assert "particle keys server" in finding.fix
    assert log.findings("BS907") == []


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ([{"step": "nonce", "code": -10}], "BS502"), ([FAILED], "BS501"),
        ([{"read": 40, "step": "nonce"}, {"code": -5}], "BS503"), ([{"code": -5}], "BS503"),
    ],
)  # fmt: skip
def test_a_log_tells_of_other_failures(lines, name):
    assert [one for one in clouddebug(*lines).ids if one[2] == "5"] == [name]


def test_a_log_of_a_good_handshake():
    lines = [
        {"read": 40, "step": "nonce"},
        {"written": 256, "step": "key"},
        {"read": 384},
        {"says": "Cloud: connected"},
    ]
    assert clouddebug(*lines).of(5) == []
