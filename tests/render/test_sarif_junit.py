import io
import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ladder import TOKEN, finding, frame, opened

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.analysis.records import FindingRecord, SummaryRecord
from blynkscope.render import sarif as sarif_module
from blynkscope.render.outputs import make

# What the published schema (sarif-schema-2.1.0.json) requires of the objects that occur here, and their enumerations.
REQUIRED = {
    "document": ["version", "runs"],
    "run": ["tool"],
    "tool": ["driver"],
    "driver": ["name"],
    "rule": ["id"],
    "result": ["message"],
    "invocation": ["executionSuccessful"],
    "notification": ["message"],
}
LEVELS = {"none", "note", "warning", "error"}
COLUMN_KINDS = {"utf16CodeUnits", "unicodeCodePoints"}
ROLES = {"analysisTarget", "attachment", "responseFile", "resultFile"}
KEYS = {
    "document": {"$schema", "version", "runs", "inlineExternalProperties", "properties"},
    "run": {"tool", "invocations", "artifacts", "results", "columnKind", "properties"},
    "driver": {"name", "version", "rules"},
    "rule": {"id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration", "properties"},
    "result": {"ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints", "occurrenceCount", "properties"},
    "location": {"physicalLocation", "logicalLocations"},
    "logical": {"name", "fullyQualifiedName", "kind"},
}  # fmt: skip


def written(name, *records, **more):
    stream = io.StringIO()
    output = make(name, stream, **more)
    output.write(records)
    output.close()
    return stream.getvalue()


def sarif(*records, **more):
    document = json.loads(written("sarif", *records, **more))
    checked(document)
    return document["runs"][0]


def has(kind, value):
    for name in REQUIRED.get(kind, ()):
        assert name in value, (kind, name)
    assert set(value) <= KEYS.get(kind, set(value))


def checked(document):
    has("document", document)
    assert document["version"] == "2.1.0"
    for run in document["runs"]:
        has("run", run)
        has("tool", run["tool"])
        driver = run["tool"]["driver"]
        has("driver", driver)
        assert run["columnKind"] in COLUMN_KINDS
        for rule in driver["rules"]:
            has("rule", rule)
            assert all(rule[name]["text"] for name in ("shortDescription", "fullDescription", "help"))
            assert rule["defaultConfiguration"]["level"] in LEVELS
        assert len({rule["id"] for rule in driver["rules"]}) == len(driver["rules"])
        for invocation in run["invocations"]:
            has("invocation", invocation)
            for notification in invocation.get("toolExecutionNotifications", []):
                has("notification", notification)
                assert notification["message"]["text"]
        for artifact in run["artifacts"]:
            assert isinstance(artifact["location"]["uri"], str)
            assert set(artifact["roles"]) <= ROLES
        for result in run["results"]:
            has("result", result)
            assert result["message"]["text"]
            assert result["level"] in LEVELS
            assert result["occurrenceCount"] >= 1
            assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
            if "ruleIndex" in result:
                assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
            for location in result["locations"]:
                has("location", location)
                for logical in location.get("logicalLocations", []):
                    has("logical", logical)
                if physical := location.get("physicalLocation"):
                    place = physical["artifactLocation"]
                    assert run["artifacts"][place["index"]]["location"]["uri"] == place["uri"]
                    assert physical["region"]["startLine"] >= 1


def test_every_rule_of_the_catalogue_is_described():
    run = sarif()
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(CATALOGUE)
    rule = next(rule for rule in run["tool"]["driver"]["rules"] if rule["id"] == "BS201")
    assert rule["name"] == "InvalidToken"
    assert "helpUri" not in rule
    assert CATALOGUE["BS201"].fix.split()[0] in rule["help"]["text"]
    assert run["results"] == []


def test_a_finding_is_a_result():
    run = sarif(frame(1), finding(), SummaryRecord(1, 1, {"error": 1}, {}), inputs=("a b/c.pcap", "-"))
    (result,) = run["results"]
    assert result["ruleId"] == "BS201"
    assert result["level"] == "error"
    assert result["message"]["text"] == "What was seen. Compare the host."
    (place,) = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "a%20b/c.pcap"
    names = [logical["fullyQualifiedName"] for logical in place["logicalLocations"]]
    assert names == ["stream 1", "stream 1/frame 1", "stream 1/frame 2"]
    assert result["properties"] == {"stream": 1, "frames": [1, 2]}
    assert run["properties"]["frames"] == 1


def test_inputs_that_are_not_known_are_left_out():
    run = sarif(finding(), finding(None), inputs=("-",))
    assert run["artifacts"] == []
    assert "physicalLocation" not in run["results"][0]["locations"][0]
    assert run["results"][1]["locations"] == []
    several = sarif(finding(), inputs=("/x/ä.pcap", "b\udcff.log"))
    assert [one["location"]["uri"] for one in several["artifacts"]] == ["file:///x/%C3%A4.pcap", "b%FF.log"]
    assert len(several["results"][0]["locations"]) == 2


def test_the_severity_is_the_findings_own():
    run = sarif(finding(severity="note"), finding(severity="warning"), finding(severity="odd"))
    assert [result["level"] for result in run["results"]] == ["note", "warning", "note"]


def test_fingerprints_are_stable_and_tell_findings_apart():
    def prints(*records):
        return [result["partialFingerprints"]["blynkscopeFinding/v1"] for result in sarif(*records)["results"]]

    one = finding(detail="The server 10.0.0.1:8080 refused frame 1 after 12.5 ms")
    again = finding(stream=7, detail="The server 10.0.0.1:9443 refused frame 99 after 8.1 ms", frames=(99,))
    assert prints(one) == prints(again)
    assert len(set(prints(one, again, finding(detail="Another.")))) == 3


def test_results_are_bounded_and_say_so(monkeypatch):
    monkeypatch.setattr(sarif_module, "RESULTS_MAX", 3)
    run = sarif(*(finding() for _ in range(5)))
    assert len(run["results"]) == 3
    assert run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"].startswith("2 more findings")


def test_wire_text_is_neither_a_link_nor_a_placeholder():
    (result,) = sarif(finding(detail="[x](http://evil) {0} \\", fix=""))["results"]
    assert result["message"]["text"] == "\\[x\\](http://evil) {{0}} \\\\"


@pytest.mark.parametrize("name", ["sarif", "junit"])
def test_secrets_are_hidden(name):
    login = frame(
        1, name="MSG_HW_LOGIN", cmd=29, text=f"token {TOKEN}", fields={"token": TOKEN}, body=TOKEN.encode().hex()
    )
    shown = written(name, login, finding(detail=f"it said {TOKEN}"))
    assert TOKEN not in shown
    assert "it said tok:" in shown


# --- JUnit ---


def junit(*records, **more):
    text = written("junit", *records, **more)
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    (suite,) = root
    cases = suite.findall("testcase")
    failures = [case for case in cases if case.find("failure") is not None]
    for element in (root, suite):
        assert int(element.get("tests")) == len(cases)
        assert int(element.get("failures")) == len(failures)
    return suite, {case.get("name").split()[0]: case for case in cases}


def test_every_finding_of_the_catalogue_is_a_case():
    suite, cases = junit(SummaryRecord(7, 2, {}, {"bytes_missing": 3}), inputs=("a.pcap",))
    assert list(cases) == list(CATALOGUE)
    assert cases["BS201"].get("classname") == "blynkscope.login"
    facts = {one.get("name"): one.get("value") for one in suite.find("properties")}
    assert facts["input"] == "a.pcap"
    assert facts["frames"] == "7"
    assert facts["lost.bytes_missing"] == "3"
    assert suite.get("failures") == "0"


def test_findings_at_the_limit_fail_and_others_are_told():
    warning = FindingRecord("BS301", "x", "warning", "delivery", 1, (3,), 1, "Weak", "w", "")
    note = FindingRecord("BS302", "x", "note", "delivery", None, (), 1, "Mild", "n", "")
    records = (finding(), finding(), warning, note)
    suite, cases = junit(*records)
    assert suite.get("failures") == "2"
    failure = cases["BS201"].find("failure")
    assert failure.get("type") == "error"
    assert failure.get("message") == "The server does not know this token (2 times)"
    assert "(stream 1, frames #1, #2)\n  What was seen.\n  → Compare the host." in failure.text
    assert cases["BS302"].find("system-out").text == "note: Mild\n  n"
    assert junit(*records, fail_on="error")[0].get("failures") == "1"
    assert junit(*records, fail_on="note")[0].get("failures") == "3"
    facts = {one.get("name"): one.get("value") for one in suite.find("properties")}
    assert (facts["findings.error"], facts["findings.warning"], facts["findings.note"]) == ("2", "1", "1")


def test_many_findings_are_bounded():
    _, cases = junit(*(finding() for _ in range(500)))
    text = cases["BS201"].find("failure").text
    assert text.count("What was seen.") == 50
    assert text.endswith("and 450 more")


def test_a_finding_outside_the_catalogue_fails_too():
    _, cases = junit(FindingRecord("BS999", "x", "error", "g", 1, (), 1, "t", "d", "f"))
    assert cases["other"].find("failure") is not None


_text = st.text(max_size=40) | st.sampled_from(
    ["]]>", "<a>&amp;", "\x00\x08\x1b\x7f\x85", "\ud800", "\ufffe\uffff", "\"'", "a\nb"]
)
_findings = st.lists(
    st.builds(
        FindingRecord, st.sampled_from(["BS201", "BS301", "BS901"]) | _text, _text, st.sampled_from(["note", "warning", "error"]) | _text,
        _text, st.none() | st.integers(1, 9), st.lists(st.integers(1, 99)).map(tuple), st.integers(0, 9), _text, _text, _text,
    ),
    max_size=6,
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(_findings, st.lists(_text, max_size=2))
def test_hostile_text_leaves_both_well_formed(findings, inputs):
    junit(*findings, inputs=tuple(inputs))
    sarif(*findings, inputs=tuple(inputs))
    for name in ("sarif", "junit"):
        assert written(name, *findings, inputs=tuple(inputs)).replace("\n", "").isprintable()


def start_line(*records, inputs=("a.log",)):
    result = sarif(*records, inputs=inputs)["results"][0]
    return result["locations"][0]["physicalLocation"]["region"]["startLine"]


def test_a_finding_of_a_log_stands_at_its_line():
    told = finding(detail="Line 12: 3 bytes are missing, see line 14.")
    assert start_line(opened(log=True), told) == 12
    assert start_line(finding(None, detail="In line 7 of the log.")) == 7
    assert start_line(opened(log=True), finding(detail="None of its 9 lines shows a frame.")) == 1
    assert start_line(opened(log=True), finding(detail="Line 0 is none.")) == 1
    # A capture has no lines; of several inputs it is not known which one is meant.
    assert start_line(opened(), told) == 1
    assert start_line(opened(), finding(None, detail="line 7")) == 1
    assert start_line(opened(log=True), told, inputs=("a.log", "b.log")) == 1
