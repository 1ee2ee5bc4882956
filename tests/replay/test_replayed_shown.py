"""What is shown of a replay: tables, JSON and JUnit, without secrets and without what could steer a terminal."""

import io
import json
import re
import xml.etree.ElementTree as ET

import pytest
from replaying import healthy, heard
from talk import TOKEN

from blynkscope.render import replayed
from blynkscope.render.options import Options
from blynkscope.render.redact import Redactor
from blynkscope.render.replayed import FORMATS, make
from blynkscope.replay.comparing import RULES, Difference
from blynkscope.replay.matching import Matching
from blynkscope.replay.outcome import Outcome, Report, Trouble, Verdict
from blynkscope.replay.spelling import Speller

EVIL = "\x1b[2J\u202e<&\"'>"


def outcomes():
    """One of each verdict."""
    line = next(iter(healthy().lines.values()))
    matching, found = Matching(line), []
    for said in line.frames:
        if said.client:
            matching.sent(said, 0.0)
    for frame in (heard(0, 1, 200), heard(20, 3, b"vw\x001\x0099"), heard(0, 4, 11), heard(20, 1, EVIL.encode())):
        outcome, _ = matching.heard(frame)
        found += [outcome] if outcome is not None else []
    found += matching.finish()
    spell = Speller(line, None)
    login = line.frames[0]
    found.append(Outcome(Verdict.UNPLAYED, "frame", 1, login.n, login.n, spell.recorded(login), None))
    found.append(Outcome(Verdict.MISSING, "end", 1, None, None, None, None, note="the server closed here " + EVIL))
    secret = Difference("json.token", TOKEN.decode(), TOKEN.decode()[::-1])
    call = Outcome(Verdict.DIFFERENT, "call", 2, 1, 1, None, None, (secret,), note=f"GET /{TOKEN.decode()}/get/V1")
    return [*found, call]


def report(**changed):
    facts = {
        "side": "device", "target": "127.0.0.1:8080", "streams": 2, "played": 1, "sent": 5,
        "counts": {"equal": 1, "different": 3, "missing": 3, "extra": 1, "unplayed": 1}, "rules": {"clock": 2},
        "passed_over": {"frames that are not whole": 1}, "notes": ("something " + EVIL,), "recorded_ms": 1.5,
        "rtt_ms": 0.5, "trouble": None, "complete": True, "seconds": 1.25,
    }  # fmt: skip
    return Report(**(facts | changed))


def shown(format_, account=None, **options):
    stream = io.StringIO()
    redactor = Redactor(options.pop("show_secrets", False))
    redactor.learn(29, TOKEN, "hardware")
    out = make(format_, stream, Options(redactor=redactor, **options), RULES)
    for outcome in outcomes():
        out.step(outcome)
    out.close(account or report())
    return stream.getvalue()


def test_a_table_tells_what_departs():
    text = shown("table")
    assert "= equal" not in text
    lines = text.splitlines()
    at = next(at for at, line in enumerate(lines) if "≠ different" in line and "RSP" in line)
    assert "status: then STA_SUCCESS, now STA_ILLEGAL_COMMAND_BODY" in lines[at + 1]
    assert "replay as the device, to 127.0.0.1:8080: 5 frames sent, 1 of 2 connections, 1.25 s" in lines
    assert "equal 1 · different 3 · missing 3 · extra 1 · not played 1" in lines
    assert any(line.startswith("2 equal by the rule clock") for line in lines)
    assert "= equal" in shown("table", verbose=1)
    assert "replay as" not in shown("table", quiet=True)


def test_trouble_is_told():
    account = report(trouble=Trouble("connect", "tcp://h:1: connection refused", 3), complete=False)
    assert "ended early (stream 3): tcp://h:1: connection refused" in shown("table", account)
    assert json.loads(shown("json", account))[-1]["trouble"]["stage"] == "connect"
    suite = ET.fromstring(shown("junit", account))
    assert suite.find(".//error").get("message") == "tcp://h:1: connection refused"


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("width", [40, 60])
def test_the_account_keeps_to_the_columns(width, color):
    text = "tls://127.0.0.1:28090: it answers no TLS: is it the plain port? Write tls:// or tcp:// before each target"
    account = report(trouble=Trouble("tls", text, 3), complete=False, notes=("a note of many words " * 9,))
    whole = shown("table", account, width=width, color=color)
    told = re.sub("\x1b\\[[0-9;]*m", "", whole)
    lines = told[told.index("replay as the device") :].splitlines()
    assert max(map(len, lines)) <= width
    assert f"ended early (stream 3): {text}" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("color", [False, True])
def test_nothing_secret_and_nothing_that_steers_is_shown(format_, color):
    text = shown(format_, color=color, verbose=1, terminal=True)
    assert TOKEN.decode() not in text
    assert TOKEN.hex() not in text
    assert TOKEN.decode()[::-1] not in text
    assert "\u202e" not in text
    assert "\x1b[2J" not in text
    assert TOKEN.decode() in shown(format_, show_secrets=True, verbose=1)


def test_json_has_a_record_for_each_verdict():
    document = json.loads(shown("json"))
    assert document == [json.loads(line) for line in shown("jsonl").splitlines()]
    assert [one["record"] for one in document] == ["step"] * (len(document) - 1) + ["replay"]
    different = next(one for one in document if one["differences"] and one["kind"] == "frame")
    assert different["recorded"]["record"] == "frame"
    assert set(different["differences"][0]) == {"field", "recorded", "now"}
    assert {one["verdict"] for one in document[:-1]} == {"equal", "different", "missing", "extra", "unplayed"}
    assert "equal" not in {one.get("verdict") for one in json.loads(shown("json", quiet=True))}


def documented(kind):
    """The keys of a record, as the module that writes it names them."""
    text = replayed.__doc__.partition(f'record       "{kind}"')[2].partition("\n\n")[0]
    return ["record", *(line.split()[0] for line in text.splitlines()[1:] if line.strip())]


def test_the_keys_of_json_are_those_that_are_documented():
    *steps, account = json.loads(shown("json", report(trouble=Trouble("connect", "refused", 3))))
    assert all(list(step) == documented("step") for step in steps)
    assert list(account) == documented("replay")
    assert list(account["trouble"]) == ["stage", "text", "stream"]
    different = next(one for one in steps if one["differences"])
    assert list(different["differences"][0]) == ["field", "recorded", "now"]
    for word in (*Verdict, "frame", "call", "end"):
        assert word in replayed.__doc__


def test_the_parts_of_junit_are_those_that_are_documented():
    root = ET.fromstring(shown("junit", report(trouble=Trouble("connect", "refused", 3))))
    for element in root.iter():
        if element.tag not in {"testsuites", "properties"}:
            assert f"`{element.tag}`" in replayed.__doc__
    names = {one.get("name").partition(".")[0] for one in root.iter("property")}
    assert names <= {"input", "target", "count"}
    assert {one.get("type") for one in root.iter("failure")} <= {verdict.value for verdict in Verdict}


def test_junit_leaves_out_what_a_rule_excuses_that_is_not_in_the_recording():
    line = next(iter(healthy().lines.values()))
    excused = Outcome(
        Verdict.EQUAL, "frame", 1, None, 3, None, Speller(line, None).now(heard(0, 9, 200), client=False),
        rule="recording-gap",
    )  # fmt: skip
    stream = io.StringIO()
    out = make("junit", stream, Options(), RULES)
    out.step(excused)
    out.close(report())
    suite = ET.fromstring(stream.getvalue()).find("testsuite")
    assert [case.get("name") for case in suite.findall("testcase")] == ["nothing else is said"]


def test_junit_has_a_case_for_each_step_with_names_of_the_recording():
    root = ET.fromstring(shown("junit"))
    assert root.get("failures") == "7"
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {"stream 1", "stream 2", "replay"}
    names = [case.get("name") for case in suites["stream 1"]]
    assert names[-1] == "nothing else is said"
    assert "#7 MSG_RSP STA_SUCCESS" in names
    for suite in root:
        cases = suite.findall("testcase")
        assert len(cases) == int(suite.get("tests"))
        assert sum(case.find("failure") is not None for case in cases) == int(suite.get("failures"))
        assert sum(case.find("skipped") is not None for case in cases) == int(suite.get("skipped"))
    assert sum(int(suite.get("tests")) for suite in root) == int(root.get("tests"))


def test_junit_suites_take_as_long_as_their_cases():
    root = ET.fromstring(shown("junit"))
    for suite in root:
        took = sum(float(case.get("time")) for case in suite.findall("testcase"))
        assert float(suite.get("time")) == pytest.approx(took, abs=1e-6)
    line = next(iter(healthy().lines.values()))
    spelled = Speller(line, None).recorded(line.frames[1])
    stream = io.StringIO()
    out = make("junit", stream, Options(), RULES)
    for took in (1500.25, 0.75):
        out.step(Outcome(Verdict.EQUAL, "frame", 1, 2, 1, spelled, spelled, recorded_ms=1.0, rtt_ms=took))
    out.close(report())
    assert ET.fromstring(stream.getvalue()).find("testsuite").get("time") == "1.501000"


def test_a_replay_without_steps():
    stream = io.StringIO()
    make("json", stream, Options(), RULES).close(report())
    assert len(json.loads(stream.getvalue())) == 1
