"""Scripts: what of a recording is played, in which order, and with which secrets."""

import pytest
from replaying import Taped, logged_in, script_of
from talk import TOKEN, frame, ping, status, write

from blynkscope.protocol.model import Dialect
from blynkscope.replay import script as script_module
from blynkscope.replay.swaps import Swaps, masked, password_hash, swapped, tokens

NEW = "0123456789abcdef0123456789abcdef"


def test_all_connections_are_played_in_the_recorded_order():
    script = script_of("13_bridge")
    assert len(script.lines) == 4
    assert script.requests == 25
    opens = [step.line for step in script.steps if step.kind == "open"]
    assert opens == [1, 2, 3, 4] or sorted(opens) == [1, 2, 3, 4]
    times = [step.at for step in script.steps]
    assert times == sorted(times)
    assert times[0] == 0.0
    second = next(at for at, step in enumerate(script.steps) if step.kind == "close" and step.line == 2)
    assert script.steps[second + 1].said.n == 36, "the write that finds the other device gone comes behind its end"


@pytest.mark.parametrize(
    ("name", "line", "dialect", "tls", "path", "ended"),
    [
        ("01a_hw_plain_pyBlynkLib020", 1, Dialect.HARDWARE, False, None, "client"),
        ("06d_hw_tls13_pyBlynkLib100", 1, Dialect.HARDWARE, True, None, "client"),
        ("08a_ws_nodered_plain", 1, Dialect.HARDWARE, False, "/websockets", "client"),
        ("08d_ws_dashws_tls", 1, Dialect.WEB, True, "/dashws", "client"),
        ("07a_app_tls12", 3, Dialect.APP, True, None, "server"),
        ("12b_idle_hbeat5", 1, Dialect.HARDWARE, False, None, "server"),
        ("114-S-blynklib-python-log.txt", 1, Dialect.HARDWARE, None, None, ""),
    ],
)
def test_each_kind_of_recording(name, line, dialect, tls, path, ended):
    found = script_of(name).lines[line]
    assert (found.dialect, found.tls, found.path, found.ended) == (dialect, tls, path, ended)


def test_what_is_no_blynk_is_counted():
    script = script_of("11c_wrong_protocol_8080")
    assert script.passed_over["connections on which no Blynk is spoken"] == 15
    assert script.passed_over["MQTT packets"] == 2
    assert script.passed_over["frames that are not whole"] == 3


def test_tls_without_a_key_is_counted(monkeypatch, tmp_path):
    from captures_of import CAPTURES

    copy = tmp_path / "sealed.pcap"
    copy.write_bytes((CAPTURES / "06d_hw_tls13_pyBlynkLib100.pcap").read_bytes())
    monkeypatch.setattr("replaying.path_of", lambda name: copy)
    script = script_of("sealed")
    assert not script.lines
    assert script.passed_over == {"encrypted connections that no key log opens (--keylog)": 1}


def test_one_stream_alone():
    script = script_of("13_bridge", streams=[2])
    assert set(script.lines) == {2}
    assert all(step.line == 2 for step in script.steps)


def test_calls_of_the_api_are_part_of_it():
    script = script_of("09a_http_rest_plain")
    assert script.calls == 25
    call = next(step.call for step in script.steps if step.call is not None and step.call.method == "PUT")
    assert call.content == '["55"]'
    # What the call caused comes behind it, although the record of the call is complete only later.
    at = next(at for at, step in enumerate(script.steps) if step.call is call)
    pushed = next(at for at, step in enumerate(script.steps) if step.said is not None and step.said.n == 6)
    assert at < pushed


def test_a_phone_without_a_server_is_not_played():
    script = script_of("12-esp32-ble-two-layers-invalid-header-type-2.txt")
    assert not script.lines
    assert script.passed_over["frames between a phone and a device, without a server"] == 1


def test_a_stream_from_the_middle_is_told_of():
    script = Taped(handshake=False).device(write(9, b"1", b"1"), ping(10)).server(status(10)).close().script()
    assert "the beginning of stream 1 was not recorded" in script.notes[0]


def test_a_script_is_bounded(monkeypatch):
    monkeypatch.setattr(script_module, "FRAMES_MAX", 10)
    talk = logged_in()
    for number in range(2, 30):
        talk.device(ping(number)).server(status(number))
    script = talk.close().script()
    assert script.requests == 5
    assert script.passed_over["frames beyond the limit"] == 48


def test_the_bytes_of_a_script_are_bounded(monkeypatch):
    monkeypatch.setattr(script_module, "BYTES_MAX", 1000)
    talk = logged_in()
    for number in range(2, 30):
        talk.device(write(number, b"1", b"x" * 100))
    assert talk.close().script().passed_over["frames beyond the limit"] == 19


def test_a_token_takes_the_place_of_the_recorded_ones():
    script = script_of("13_bridge")
    old = [token.decode() for token in tokens(script)]
    assert len(old) == 2
    new = {old[0]: NEW, old[1]: NEW[::-1]}
    changed = swapped(script, Swaps(pairs=new))
    assert [token.decode() for token in tokens(changed)] == list(new.values())
    bodies = [said.body for line in changed.lines.values() for said in line.frames]
    assert not any(token.encode() in body for token in old for body in bodies)
    assert b"64\0i\0" + NEW[::-1].encode() in bodies, "in what ties a bridge, too"
    assert [step.said.body for step in changed.steps if step.said is not None and step.said.n == 1] == [NEW.encode()]


def test_one_token_for_all():
    script = swapped(script_of("05_hw_invalid_token"), Swaps(token=NEW))
    assert tokens(script) == [NEW.encode()]
    calls = swapped(script_of("09a_http_rest_plain"), Swaps(token=NEW))
    targets = [step.call.target for step in calls.steps if step.call is not None]
    assert sum(target.startswith(f"/{NEW}/") for target in targets) > 15


def test_the_hash_of_a_password_is_that_of_the_apps():
    assert password_hash("app7@example.com", "secret7") == "l3KXMwaCS07M/ItKL8G5kNQW0hxgpIzvcP/pOZDga1g="
    assert password_hash("App7@Example.com", "wrong") == "dIpw8pttC25vzyxoVoRDC3gnW5Xwky8onU+vQeFDTvc="


def test_an_account_takes_the_place_of_the_recorded_one():
    script = swapped(script_of("07a_app_tls12"), Swaps(account=("me@example.com", "secret7")))
    logins = [said for said in script.lines[3].frames if said.client and said.cmd == 2]
    assert {said.body.split(b"\0")[0] for said in logins} == {b"me@example.com"}
    assert {said.body.split(b"\0")[1] for said in logins} == {password_hash("me@example.com", "secret7").encode()}
    assert logins[0].body.split(b"\0")[2:] == [b"Android", b"2.27.0", b"Blynk"]
    devices = [said for line in script.lines.values() if line.dialect is Dialect.HARDWARE for said in line.frames]
    assert not any(b"me@example.com" in said.body for said in devices)


@pytest.mark.parametrize(
    "name",
    [
        "01-esp8266-healthy-connect-061.txt",
        "05-teensy-at-masked-token-cmd-error.txt",
        "09-sim800-132-ide-timestamps-spaces-hex.txt",
        "61-javaserver-ping-id0-disconnect-relogin.txt",
        "70-nodered-ws-redirect-length-read-as-status.txt",
        "72-nodered-ws-login-ok-masked-token.txt",
    ],
)
def test_a_masked_token_is_found_and_can_be_replaced(name):
    script = script_of(name)
    assert masked(script)
    assert not masked(swapped(script, Swaps(token=NEW)))


@pytest.mark.parametrize(
    "name", ["01a_hw_plain_pyBlynkLib020", "05_hw_invalid_token", "07a_app_tls12", "110-S-linux-lowercase-hex.txt"]
)
def test_a_real_token_is_not_taken_for_a_masked_one(name):
    assert not masked(script_of(name))


@pytest.mark.parametrize("token", [b"TOKEN1" + b"x" * 26, b"c0de0001" + b"0" * 24, b"*" * 32, b"X" * 32])
def test_what_redact_writes_is_masked(token):
    assert masked(Taped().device(frame(29, 1, token)).server(status(1)).close().script())
    assert not masked(Taped().device(frame(29, 1, TOKEN)).server(status(1)).close().script())
