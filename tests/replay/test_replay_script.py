"""Scripts: what of a recording is played, in which order, and with which secrets."""

import pytest
from replaying import Taped, line_of, logged_in, script_of
from talk import TOKEN, frame, ping, status, write

from blynkscope.analysis.records import StreamRecord
from blynkscope.protocol.model import Dialect
from blynkscope.protocol.passwords import password_hash
from blynkscope.replay import script as script_module
from blynkscope.replay.attribution import unheard, with_sync_answers
from blynkscope.replay.model import Call, Gap, Step
from blynkscope.replay.swaps import Swaps, all_tokens, call_tokens, masked, swapped, takes_token, tokens

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
    assert password_hash("secret7", "app7@example.com") == "l3KXMwaCS07M/ItKL8G5kNQW0hxgpIzvcP/pOZDga1g="
    assert password_hash("wrong", "App7@Example.com") == "dIpw8pttC25vzyxoVoRDC3gnW5Xwky8onU+vQeFDTvc="


def test_an_account_takes_the_place_of_the_recorded_one():
    script = swapped(script_of("07a_app_tls12"), Swaps(account=("me@example.com", "secret7")))
    logins = [said for said in script.lines[3].frames if said.client and said.cmd == 2]
    assert {said.body.split(b"\0")[0] for said in logins} == {b"me@example.com"}
    assert {said.body.split(b"\0")[1] for said in logins} == {password_hash("secret7", "me@example.com").encode()}
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


# --- what recordings leave open ---


def test_frames_with_the_id_of_an_empty_sync_are_its_answers():
    line = line_of(
        (True, 16, 2, b"", None), (False, 20, 2, b"vw\x001\x001", None), (False, 20, 9, b"vw\x003\x001", None),
        (False, 20, 2, b"vw\x002\x001", None), (True, 6, 3, b"", None), (False, 0, 3, 200, 5),
        (False, 20, 2, b"vw\x001\x002", None), (True, 16, 4, b"", None), (True, 20, 4, b"vw\x001\x002", None),
        (False, 20, 4, b"vw\x001\x002", None),
    )  # fmt: skip
    assert {said.n: said.answers for said in with_sync_answers(line.frames) if said.answers} == {2: 1, 4: 1, 6: 5}


LOST = line_of(
    (True, 29, 1, TOKEN, None), (False, 0, 1, 200, 1), (False, 0, 2, 200, None), (False, 20, 77, b"vw\x001\x001", None),
    (True, 20, 3, b"vw\x002\x001", None), (True, 6, 4, b"", None), (True, 16, 5, b"vr\x001", None),
    (False, 20, 5, b"vw\x001\x001", 7),
)  # fmt: skip


def test_what_may_be_in_a_gap():
    found = unheard(LOST.frames, [Gap(True, 3)], Dialect.HARDWARE)
    assert (found.answers, found.requests, found.holes) == ({3}, frozenset(), ((0, 4),))
    found = unheard(LOST.frames, [Gap(False, 7)], Dialect.HARDWARE)
    assert (found.answers, found.requests, found.holes) == (frozenset(), {6, 7}, ())
    end = unheard(LOST.frames, [Gap(True, 8), Gap(False, 8)], Dialect.HARDWARE)
    assert (end.answers, end.requests, end.holes) == (frozenset(), {6, 7}, ((6, 8),))
    assert unheard(LOST.frames, [], Dialect.HARDWARE).requests == frozenset()


def test_gaps_are_marked_in_the_script():
    talk = logged_in().server(status(2))
    talk.maker.feed([StreamRecord("gap", 1, 3.0, "device", 5, {"reason": "lost"})])
    line = talk.device(ping(3)).server(status(3)).close().script().lines[1]
    assert (line.orphans, line.unheard, line.holes) == ({3}, frozenset(), ((0, 3),))
    assert line.how == "fin"


# --- tokens of calls and bridges ---


def with_calls(script, *targets, content=None, answer=None):
    calls = [Call(900 + at, 9, None, "GET", one, content, 200, answer, 1.0, False) for at, one in enumerate(targets)]
    steps = tuple(Step("call", 9, 0.0, call=call) for call in calls)
    return type(script)(script.lines, script.steps + steps, len(calls), {})


def targets_of(script):
    return [step.call.target for step in script.steps if step.call is not None]


EMPTY = type(logged_in().script())({}, (), 0, {})
OLD = TOKEN.decode()


def test_a_recording_of_calls_alone_gets_another_token():
    script = with_calls(EMPTY, f"/{OLD}/get/V1", f"/external/api/get?token={OLD}&V1", "/short/get/V1")
    assert [token.decode() for token in all_tokens(script)] == [OLD, "short"]
    assert targets_of(swapped(script, Swaps(token="a/b"))) == [
        "/a%2Fb/get/V1", "/external/api/get?token=a%2Fb&V1", "/a%2Fb/get/V1",
    ]  # fmt: skip
    assert targets_of(swapped(script, Swaps(pairs={"short": NEW})))[2] == f"/{NEW}/get/V1"
    assert takes_token(script)
    assert not takes_token(EMPTY)


def test_tokens_are_swapped_in_what_calls_send_and_get():
    answer = f'{{"token":"{OLD}"}}'
    script = with_calls(EMPTY, f"/{OLD}/project", content=answer, answer=answer)
    call = swapped(script, Swaps(pairs={OLD: NEW})).steps[0].call
    assert (call.content, call.answer) == (answer.replace(OLD, NEW),) * 2


def test_tokens_that_are_wrong_on_purpose_stay_beside_a_login():
    script = with_calls(logged_in().script(), f"/{OLD}/get/V1", f"/{'f' * 31}0/get/V1", f"/{'*' * 32}/get/V1")
    assert targets_of(swapped(script, Swaps(token=NEW))) == [
        f"/{NEW}/get/V1", f"/{'f' * 31}0/get/V1", f"/{NEW}/get/V1",
    ]  # fmt: skip


def test_masked_tokens_of_calls_and_bridges_are_found():
    script = with_calls(EMPTY, f"/{'*' * 32}/get/V1")
    assert [call.n for call in masked(script)] == [900]
    assert not masked(script, swapped(script, Swaps(token=NEW)))
    assert call_tokens(script.steps[0].call) == ["*" * 32]
    bridge = logged_in().device(frame(15, 2, b"64", b"i", b"*" * 32)).server(status(2)).close().script()
    assert [said.cmd for said in masked(bridge)] == [15]
    assert not masked(bridge, swapped(bridge, Swaps(pairs={"*" * 32: NEW})))


def test_a_token_that_was_given_is_never_taken_for_a_masked_one():
    script = logged_in().script()
    assert not masked(script, swapped(script, Swaps(token="TOKEN-of-my-test-server")))
    lost = Taped().device(frame(29, 1, b"*" * 32)).server(status(1)).close().script()
    assert masked(lost, lost)
    assert not masked(lost, swapped(lost, Swaps(token="TOKEN-of-my-test-server")))


def test_a_short_token_of_a_bridge_is_swapped():
    script = logged_in().device(frame(15, 2, b"64", b"i", b"short")).server(status(2)).close().script()
    bodies = [said.body for said in swapped(script, Swaps(pairs={"short": NEW})).lines[1].frames]
    assert b"64\0i\0" + NEW.encode() in bodies
