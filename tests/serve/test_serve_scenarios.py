"""Each scenario that comes with blynkscope, and a file of one's own, in front of the server's answers: what it says happens."""

import contextlib
import time

import pytest
from serve_world import (
    HW,
    HW_LOGIN,
    INTERNAL,
    OK,
    PING,
    REDIRECT,
    REFUSED,
    RSP,
    SYNC,
    TOKEN,
    Served,
    decoded,
    frame,
    raised,
    words,
)

from blynkscope.faults import SCENARIOS

MADE = {}


def scenario(name):
    """The test of a scenario; all of them must have one."""

    def keep(function):
        MADE[name] = function
        return function

    return keep


def statuses(client, count):
    """Statuses of the answers to so many pings, by their place; those that do not come are left out."""
    ids = [client.say(PING) for _ in range(count)]
    client.connection.settimeout(0.5)
    found = {}
    with contextlib.suppress(TimeoutError):
        while (heard := client.hear()) is not None:
            if heard[0] == RSP and heard[1] in ids:
                found[ids.index(heard[1])] = heard[2]
            if len(found) == count:
                break
    return found


@scenario("invalid-token")
def invalid_token(served):
    with served.client(login=False) as device:
        assert device.ask(HW_LOGIN, TOKEN.encode()) == REFUSED
        assert statuses(device, 1) == {}
    return ["BS201"]


@scenario("redirect")
def redirect(served):
    with served.client(login=False) as device:
        number = device.say(HW_LOGIN, TOKEN.encode())
        assert device.hear() == (REDIRECT, number, words("elsewhere.blynk.invalid", "80"))
        assert statuses(device, 1) == {}


@scenario("flood-quota")
def flood_quota(served):
    with served.client() as device:
        device.connection.sendall(b"".join(frame(HW, number, words("vw", "1", "1")) for number in range(2, 102)))
        assert device.until(lambda cmd, *_: cmd == RSP)[2] == 1
        assert statuses(device, 2) == {}
    return ["BS309", "BS310"]


@scenario("fragments")
def fragments(served):
    with served.client(login=False) as device:
        device.say(HW_LOGIN, TOKEN.encode())
        began = time.monotonic()
        pieces = [device.connection.recv(100) for _ in range(5)]
        assert pieces == [b"\0", b"\0", b"\1", b"\0", b"\xc8"]
        assert time.monotonic() - began > 0.03
        assert statuses(device, 2) == {0: OK, 1: OK}
    return []


@scenario("lost-acks")
def lost_acks(served):
    with served.client() as device:
        # The login is answered; of the pings about a half.
        assert 10 < len(statuses(device, 60)) < 50


@scenario("heartbeat-starvation")
def heartbeat_starvation(served):
    with served.client() as device:
        assert statuses(device, 2) == {}
        device.connection.settimeout(20)
        assert device.ask(INTERNAL, words("ver", "1", "h-beat", "60")) == OK


@scenario("slow-cloud")
def slow_cloud(served):
    with served.client(login=False) as device:
        began = time.monotonic()
        device.login()
        assert 0.5 <= time.monotonic() - began < 10
    return []


@scenario("cut-off")
def cut_off(served):
    with served.client() as device:
        ids = [device.say(PING) for _ in range(400)]
        answered = 0
        while (heard := device.hear()) is not None:
            answered += 1
        assert heard is None
        # It ended in the midst of a message, long before the last.
        assert len(device.data) == 3
        assert answered < len(ids)
        assert served.http(f"/{TOKEN}/get/V1")[0] == 400


@scenario("half-open")
def half_open(served):
    """What takes half a minute is in the tests of faults; here all is as ever until then."""
    with served.client() as device:
        assert statuses(device, 2) == {0: OK, 1: OK}
    return []


@scenario("ota-dead-address")
def ota_dead_address(served):
    with served.client() as device:
        assert device.ask(PING) == OK
        device.say(PING)
        heard = [device.hear(), device.hear()]
        order = next(body for cmd, _, body in heard if cmd == INTERNAL)
        assert order == words("ota", "http://172.17.0.2:8080/static/ota/firmware.bin")
        assert (RSP, 3, OK) in heard
    return ["BS401"]


def test_every_scenario_is_tried():
    assert set(MADE) == set(SCENARIOS)


@pytest.mark.parametrize("name", MADE)
def test_a_scenario_does_what_it_says(name, tmp_path):
    options = (
        "--token",
        TOKEN,
        "--no-tls",
        "--scenario",
        name,
        "--seed",
        "7",
        "--record",
        "run.pcapng",
        "--quota",
        "0",
    )
    with Served(tmp_path, *options) as served:
        served.wait(f"faults: {name}")
        expected = MADE[name](served)
        assert served.end() == 0
    if expected is not None:
        assert raised(decoded(tmp_path, tmp_path / "run.pcapng")) == expected


def test_a_file_of_ones_own(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'description = "Values are wrong."\n'
        '[[rule]]\nname = "hot"\nmatch = \'cmd == HW and pin == V1\'\ndirection = "to-device"\n'
        'replace = { value = "99" }\n'
        '[[rule]]\nname = "no"\nanswers = "PROPERTY"\nstatus = 11\n'
    )
    with Served(tmp_path, "--token", TOKEN, "--no-tls", "--faults", "mine.toml") as served:
        served.wait("Values are wrong")
        with served.client() as device:
            assert device.ask(19, words("1", "label", "x")) == 11
            device.say(HW, words("vw", "1", "20"))
            number = device.say(SYNC, words("vr", "1"))
            assert device.hear() == (HW, number, words("vw", "1", "99"))
            assert served.read("V1") == ["20"]
        assert served.end() == 0


def test_a_wrong_file_is_refused_before_it_listens(tmp_path):
    (tmp_path / "mine.toml").write_text('[[rule]]\nmatch = "cmd =="\ndrop = true\n')
    with pytest.raises(AssertionError, match=r"mine\.toml"):
        Served(tmp_path, "--token", TOKEN, "--no-tls", "--faults", "mine.toml")
