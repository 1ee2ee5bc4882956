"""`codes` and `explain`: the tables and the pages that people and programs read."""

from __future__ import annotations

import csv
import io
import json

import pytest
from click.testing import CliRunner

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.analysis.session import MACHINE, Party
from blynkscope.cli import codes, explain, filters
from blynkscope.protocol.commands import COMMANDS
from blynkscope.protocol.statuses import STATUSES


def run(command, *args, columns=80):
    result = CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": None}).invoke(command, args)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_the_table_fits_the_terminal_and_names_everything(columns):
    result = run(codes.command, columns=columns)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= columns
    assert "\x1b" not in result.stdout
    if columns >= 80:
        assert all(row.name in result.stdout for row in (*COMMANDS, *STATUSES.values()))


def test_color_is_used_on_demand():
    assert "\x1b[" in run(codes.command, "--color", "always").stdout


def test_json_and_jsonl_hold_the_same_rows():
    tables = json.loads(run(codes.command, "--format", "json").stdout)
    lines = [json.loads(line) for line in run(codes.command, "--format", "jsonl").stdout.splitlines()]
    assert [*tables["commands"], *tables["statuses"]] == lines
    assert len(tables["commands"]) == len(COMMANDS)
    assert len(tables["statuses"]) == len(STATUSES)
    first = tables["commands"][0]
    assert (first["record"], first["code"], first["name"], first["dialects"]) == ("command", 0, "MSG_RSP", [
        "hardware", "app", "web",
    ])  # fmt: skip


def test_csv():
    rows = list(csv.DictReader(io.StringIO(run(codes.command, "--format", "csv").stdout)))
    assert len(rows) == len(COMMANDS) + len(STATUSES)
    hw = next(row for row in rows if row["name"] == "MSG_HW")
    assert (hw["record"], hw["code"], hw["ack"], hw["failures"]) == ("command", "20", "never-on-success", "2 11")


def names(*args):
    tables = json.loads(run(codes.command, "--format", "json", *args).stdout)
    return {key: [row["name"] for row in rows] for key, rows in tables.items()}


def test_limits():
    assert set(names("commands")) == {"commands"}
    assert set(names("statuses")) == {"statuses"}
    assert set(names("statuses", "commands")) == {"commands", "statuses"}
    iot = names("commands", "--dialect", "hardware", "--era", "iot")["commands"]
    legacy = names("commands", "--dialect", "hardware", "--era", "legacy")["commands"]
    assert set(iot) - set(legacy) == {"MSG_GROUP", "MSG_EVENT_LOG", "MSG_EVENT_CLEAR"}
    assert set(legacy) - set(iot) == {"MSG_HARDWARE_LOG_EVENT", "MSG_HARDWARE_RESEND_FROM_BLUETOOTH"}
    assert run(codes.command, "nonsense").exit_code == 2


@pytest.mark.parametrize(
    ("command", "args"), [(codes.command, ["--format", "csv"]), (explain.command, ["hw", "--format", "json"])]
)
def test_output_goes_to_a_file(tmp_path, command, args):
    target = tmp_path / "out"
    result = run(command, *args, "-o", str(target))
    assert result.stdout == ""
    assert target.read_text(encoding="utf-8") == run(command, *args).stdout


@pytest.mark.parametrize("name", ["MSG_HW", "hw", "BLYNK_CMD_HARDWARE", "hardware", "20", "0x14"])
def test_a_command_by_any_name(name):
    page = json.loads(run(explain.command, name, "--format", "json").stdout)
    assert {row["code"] for row in page["commands"]} == {20}
    text = run(explain.command, name).stdout
    for said in ("MSG_HW   command 20 (0x14)", "sent by", "silence is normal", "BLYNK_CMD_HARDWARE", "source"):
        assert said in text


@pytest.mark.parametrize("name", ["STA_INVALID_TOKEN", "invalid_token", "blynk_invalid_token"])
def test_a_status_by_any_name(name):
    text = run(explain.command, name).stdout
    assert "STA_INVALID_TOKEN   status 9" in text
    assert "to do" in text
    assert "Length or status?" not in text


@pytest.mark.parametrize("number", ["9", "0x9", "0x09"])
def test_a_number_that_is_both_shows_both_and_the_trap(number):
    text = " ".join(run(explain.command, number).stdout.split())
    for said in (
        "MSG_REFRESH_TOKEN command 9",
        "STA_INVALID_TOKEN status 9",
        ">[14|00|0D|00|09]",
        "length of the body",
    ):
        assert said in text
    page = json.loads(run(explain.command, number, "--format", "json").stdout)
    assert page["trap"]
    assert page["commands"]
    assert page["statuses"]


def test_a_number_that_is_one_has_no_trap():
    assert json.loads(run(explain.command, "200", "--format", "json").stdout)["trap"] is None
    assert json.loads(run(explain.command, "29", "--format", "json").stdout)["trap"] is None


def test_all_meanings_of_a_code_are_shown():
    text = run(explain.command, "55").stdout
    assert "MSG_DBG_PRINT" in text
    assert "MSG_CREATE_APP" in text


@pytest.mark.parametrize("rule", {id(rule): rule for rule in CATALOGUE.values()}.values(), ids=lambda rule: rule.id)
def test_every_finding_has_a_page(rule):
    for name in (rule.id, rule.id.lower(), rule.slug, rule.slug.upper()):
        page = json.loads(run(explain.command, name, "--format", "json").stdout)
        assert [found["id"] for found in page["findings"]] == [rule.id]
    text = run(explain.command, rule.id).stdout
    assert rule.slug in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("row", [*COMMANDS, *STATUSES.values()], ids=lambda row: f"{row.name}-{row.code}")
def test_every_row_has_a_page_that_fits(row):
    for columns in (80, 200):
        text = run(explain.command, row.name, columns=columns).stdout
        assert row.name in text
        assert max(map(len, text.splitlines())) <= min(columns, 100)


@pytest.mark.parametrize(
    ("name", "near"), [("INVALID_TOKN", "STA_INVALID_TOKEN"), ("MSG_HARDWERE", "MSG_HW"), ("BS30l", "BS301")]
)
def test_near_matches(name, near):
    result = run(explain.command, name)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert near in result.stderr


@pytest.mark.parametrize("name", ["99", "0x63", "MSG_?99", "4294967295", "zzzzzz", "", "\x1b[31mred", "²", "0x"])
def test_what_nobody_knows_is_a_usage_error(name):
    result = run(explain.command, name)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "\x1b" not in result.stderr


def test_the_findings_are_a_table_too():
    shown = run(codes.command, "findings", columns=100).stdout
    assert all(rule.id in shown for rule in CATALOGUE.values())
    assert "MSG_LOGIN" not in shown
    rows = json.loads(run(codes.command, "findings", "--format", "json").stdout)["findings"]
    assert [row["id"] for row in rows] == list(CATALOGUE)
    table = list(csv.DictReader(io.StringIO(run(codes.command, "findings", "--format", "csv").stdout)))
    assert {row["slug"] for row in table} == {rule.slug for rule in CATALOGUE.values()}


@pytest.mark.parametrize("form", ["text", "json", "mermaid"])
def test_the_session_is_explained_from_the_machine_itself(form):
    shown = run(explain.command, "session", "--format", form).stdout
    names = {state.value for changes in MACHINE.values() for state in changes}
    assert all(name in shown or name.replace("-", "_") in shown for name in names)
    if form == "json":
        page = json.loads(shown)
        assert page["machine"] == {
            party: {state: dict(to) for state, to in table.items()} for party, table in MACHINE.items()
        }
        assert set(page["mermaid"]) == {"client", "server"}
    if form == "mermaid":
        arrows = sum(len(changes) for changes in MACHINE[Party.CLIENT].values())
        assert shown.startswith("stateDiagram-v2\n")
        assert shown.count("-->") == arrows + 2


def test_only_the_session_can_be_drawn():
    refused = run(explain.command, "BS301", "--format", "mermaid")
    assert refused.exit_code == 2
    assert "explain session" in refused.stderr


def test_a_findings_severity_is_that_of_the_catalogue():
    page = run(explain.command, "BS105", columns=120).output
    assert "severity  warning; circumstances may lower or raise it" in page


@pytest.mark.parametrize("columns", [50, 60, 120])
def test_the_filter_language_fits_the_terminal(columns):
    shown = run(filters.command, columns=columns).output
    assert all(len(line) <= columns for line in shown.splitlines())
