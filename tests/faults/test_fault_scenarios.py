"""The shipped scenarios: what they do to a session, and what the analysis makes of it."""

import re
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest
from fault_play import LOGIN, TOKEN, Play, frame, one_rule, ping, status, write

from blynkscope.faults import SCENARIOS, FaultsError, Stall, load, reference, scenario, scenario_text
from blynkscope.faults.actions import ACTIONS
from blynkscope.faults.load import _CONDITIONS

DEAD = b"http://172.17.0.2:8080/static/ota/firmware.bin"
INFO = frame(17, 2, b"ver", b"1.2.0", b"h-beat", b"10", b"buff-in", b"1024", b"dev", b"ESP32", b"build", b"Jan 1 2026")


def prop(number):
    return frame(19, number, b"1", b"label", b"x")


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_is_described_where_it_is_written(name):
    text, rules = scenario_text(name), scenario(name)
    assert rules.description == SCENARIOS[name]
    assert rules.name == name
    comment = [line for line in text.splitlines() if line.startswith("#")]
    for words in ("What it does:", "What the device should do:", "Findings to expect:"):
        assert any(line.startswith(f"# {words}") for line in comment)
    assert all(len(line) <= 120 for line in text.splitlines())


def test_all_files_are_listed():
    shipped = files("blynkscope.faults").joinpath("scenarios").iterdir()
    assert {one.name for one in shipped} == {f"{name}.toml" for name in SCENARIOS}


def test_the_wheel_carries_them(tmp_path):
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=root, check=True,
        capture_output=True, timeout=100,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {f"blynkscope/faults/scenarios/{name}.toml" for name in SCENARIOS} <= inside


def test_a_name_that_there_is_not():
    with pytest.raises(FaultsError, match=r'lost-ack: no such scenario; did you mean "lost-acks"\?'):
        scenario("lost-ack")
    with pytest.raises(FaultsError, match="there are lost-acks, invalid-token"):
        scenario("../../x")


def test_lost_acks():
    play = Play(scenario("lost-acks")).login()
    for number in range(2, 42):
        play.device(prop(number)).server(status(number))
    play.server(write(1, b"3", b"on")).device(ping(42)).wait(9).close()
    arrived = play.to_device
    assert arrived[0] == status(1)
    assert arrived[-1] == write(1, b"3", b"on")
    assert 10 < len(arrived) - 2 < 30
    assert len(play.to_server) == 42
    assert "BS304" in play.findings()
    assert "BS304" not in Play(load(_NOTHING)).login().device(prop(2)).server(status(2)).close().findings()


_NOTHING = "[[rule]]\npass = true\n"


def test_invalid_token():
    play = Play(scenario("invalid-token")).device(LOGIN, ping(2)).wait(5).close()
    assert (play.to_device, play.to_server) == ([status(1, 9)], [])
    assert "BS201" in play.findings()


@pytest.mark.parametrize("refused", ["write", "property"])
def test_flood_quota(refused):
    play = Play(scenario("flood-quota")).login()
    told = [write(number, b"1", b"%d" % number) for number in range(2, 101)]
    play.device(*told, after=0.01)
    assert play.to_server == [LOGIN, *told]
    one = write(101, b"1", b"x") if refused == "write" else prop(101)
    play.device(one, write(102, b"1", b"y"), ping(103), ping(104)).wait(20).close()
    assert play.to_server == [LOGIN, *told]
    assert play.to_device == [status(1), status(101, 1)]
    assert {"BS309", "BS310"} <= play.findings()


def test_slow_cloud():
    play = Play(scenario("slow-cloud")).device(LOGIN).server(status(1), after=0.1).wait(5)
    for number in range(2, 30):
        play.device(ping(number)).server(status(number), after=0.1)
    play.wait(5).close()
    assert play.to_device == [status(number) for number in range(1, 30)]
    assert play.to_server == [LOGIN, *[ping(number) for number in range(2, 30)]]
    assert play.findings() <= {"BS601", "BS602", "BS603"}
    late = [one.detail for one in play.told]
    assert all(0.5 <= float(one.removesuffix(" s")) <= 2.5 for one in late)


def test_redirect():
    play = Play(scenario("redirect")).device(LOGIN).wait(2).device(ping(2), write(3, b"1", b"1")).wait(9).close()
    assert play.to_device == [frame(41, 1, b"elsewhere.blynk.invalid", b"80")]
    assert play.to_server == []
    assert "BS207" in play.findings()


def test_heartbeat_starvation():
    play = Play(scenario("heartbeat-starvation")).login().device(INFO).server(status(2)).wait(10)
    play.device(ping(3)).wait(10).server(ping(1)).device(ping(4), prop(5)).server(status(5)).wait(9).close()
    assert play.to_server == [LOGIN, INFO, prop(5)]
    assert play.to_device == [status(1), status(2), status(5)]
    assert "BS304" in play.findings()
    silent = Play(scenario("heartbeat-starvation")).login().device(INFO).server(status(2)).wait(9)
    silent.device(ping(3)).wait(9).device(ping(4)).wait(4.5).close(by=1)
    assert {"BS314", "BS315"} & silent.findings(leg=1)
    assert "BS314" not in silent.findings(leg=0)


def test_ota_to_a_dead_address():
    good = frame(17, 7777, b"ota", b"http://fra1.blynk.cloud/static/ota/FLASH_x.bin")
    play = Play(scenario("ota-dead-address")).login().server(good).wait(5).close()
    assert play.to_device == [status(1), frame(17, 7777, b"ota", DEAD)]
    assert "BS401" in play.findings()
    play = Play(scenario("ota-dead-address")).login().device(ping(2), ping(3), ping(4)).wait(9).close()
    assert play.to_server == [LOGIN, ping(2), ping(3), ping(4)]
    assert play.to_device == [status(1), frame(17, 7777, b"ota", DEAD)]
    assert "BS401" in play.findings()


def test_half_open():
    play = Play(scenario("half-open")).login()
    for number in range(2, 30):
        play.device(prop(number)).server(status(number))
    play.wait(60).close()
    assert play.to_server == [LOGIN, *[prop(number) for number in range(2, 16)]]
    assert play.to_device == [status(number) for number in range(1, 15)]
    assert set(play.stalled) == {Stall(0, None), Stall(1, None)}
    assert "BS304" in play.findings()
    assert play.ended is None


def test_fragments():
    play = Play(scenario("fragments")).login().device(INFO).server(status(2), write(3, b"1", b"2")).wait(9).close()
    assert play.to_device == [bytes([byte]) for byte in status(1) + status(2) + write(3, b"1", b"2")]
    assert play.to_server == [LOGIN, INFO]
    assert not play.findings() & {"BS319", "BS304", "BS202"}


def test_cut_off():
    play = Play(scenario("cut-off")).login()
    for number in range(2, 200):
        play.device(ping(number)).server(status(number))
    play.close(by=1)
    assert play.ended == "reset"
    assert play.to_device[-1] == status(len(play.to_device))[:3]
    assert play.to_device[0] == status(1)
    assert "BS103" in play.findings()


# --- findings that rules of one's own bring about ---


def test_another_value_in_a_sync_contradicts_the_write():
    rules = one_rule("match = 'cmd == HW'\nanswers = 'HW_SYNC'\nreplace = { value = '99' }")
    play = Play(rules).login().device(write(2, b"1", b"5"), frame(16, 3, b"vr", b"1")).server(write(3, b"1", b"5"))
    play.close()
    assert play.to_device[-1] == write(3, b"1", b"99")
    assert "BS302" in play.findings(leg=0)
    assert "BS302" not in play.findings(leg=1)


def test_a_refused_write():
    play = (
        Play("match = 'pin == V1'\nanswer = { status = 'ILLEGAL_COMMAND' }")
        .login()
        .device(write(2, b"1", b"5"))
        .close()
    )
    assert "BS303" in play.findings(leg=0)
    assert TOKEN.decode() not in str(play.told)


def test_a_byte_that_is_corrupted_on_the_way():
    play = Play("match = 'cmd == HW'\nafter = 2\ncount = 1\ncorrupt = { offset = 4, xor = 1 }").login()
    play.device(*[write(number, b"1", b"%d" % number) for number in range(2, 60)]).wait(9).close()
    assert "BS319" in play.findings(leg=1)
    assert "BS319" not in play.findings(leg=0)


def test_the_reference_tells_all_that_a_rule_may_say():
    shown = re.findall(r"(?m)^(\w+) = (.*?)(?:  +#.*)?$", reference())
    assert {key for key, _ in shown} == {"seed", *_CONDITIONS, *ACTIONS}
    for key, value in shown:
        line = f"{key} = {value}"
        rest = {"forward": "answer = { status = 9 }"}.get(key, "" if key in ACTIONS else "drop = true")
        load(f"{line}\n[[rule]]\n{rest}" if key == "seed" else f"[[rule]]\n{line}\n{rest}")
    assert all(len(line) <= 120 for line in reference().splitlines())
