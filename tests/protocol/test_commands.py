"""The command table: every code of the protocol under its name, and the ways to look it up."""

from __future__ import annotations

import pytest
from vectors import VECTORS

from blynkscope.protocol import commands, frames
from blynkscope.protocol.commands import COMMANDS, command_name, find, lookup, named, rows
from blynkscope.protocol.model import Ack, Dialect, Era, Sender

HARDWARE, APP, WEB = Dialect.HARDWARE, Dialect.APP, Dialect.WEB
LEGACY, IOT = Era.LEGACY, Era.IOT

ON_HARDWARE = {
    0: "RSP", 2: "LOGIN", 6: "PING", 12: "TWEET", 13: "EMAIL", 14: "NOTIFY", 15: "BRIDGE", 16: "HW_SYNC",
    17: "INTERNAL", 18: "SEND_SMS", 19: "PROPERTY", 20: "HW", 29: "HW_LOGIN", 41: "REDIRECT", 55: "DBG_PRINT",
}  # fmt: skip
ON_HARDWARE_IOT = {21: "GROUP", 64: "EVENT_LOG", 65: "EVENT_CLEAR"}
ON_HARDWARE_LEGACY = {64: "HARDWARE_LOG_EVENT", 65: "HARDWARE_RESEND_FROM_BLUETOOTH"}
ON_APP = {
    0: "RSP", 1: "REGISTER", 2: "LOGIN", 3: "REDEEM", 4: "HARDWARE_CONNECTED", 5: "GET_TOKEN", 6: "PING",
    7: "ACTIVATE_DASHBOARD", 8: "DEACTIVATE_DASHBOARD", 9: "REFRESH_TOKEN", 10: "GET_GRAPH_DATA",
    11: "GET_GRAPH_DATA_RESPONSE", 13: "EMAIL", 19: "PROPERTY", 20: "HW", 21: "CREATE_DASH", 22: "UPDATE_DASH",
    23: "DELETE_DASH", 24: "LOAD_PROFILE_GZIPPED", 25: "APP_SYNC", 26: "SHARING", 27: "ADD_PUSH_TOKEN",
    28: "EXPORT_GRAPH_DATA", 30: "GET_SHARE_TOKEN", 31: "REFRESH_SHARE_TOKEN", 32: "SHARE_LOGIN", 33: "CREATE_WIDGET",
    34: "UPDATE_WIDGET", 35: "DELETE_WIDGET", 36: "GET_ENERGY", 37: "ADD_ENERGY", 38: "UPDATE_PROJECT_SETTINGS",
    39: "ASSIGN_TOKEN", 40: "GET_SERVER", 41: "CONNECT_REDIRECT", 42: "CREATE_DEVICE", 43: "UPDATE_DEVICE",
    44: "DELETE_DEVICE", 45: "GET_DEVICES", 46: "CREATE_TAG", 47: "UPDATE_TAG", 48: "DELETE_TAG", 49: "GET_TAGS",
    50: "MOBILE_GET_DEVICE", 51: "UPDATE_FACE", 52: "WEB_SOCKETS", 53: "EVENTOR", 54: "WEB_HOOKS", 55: "CREATE_APP",
    56: "UPDATE_APP", 57: "DELETE_APP", 58: "GET_PROJECT_BY_TOKEN", 59: "EMAIL_QR", 60: "GET_ENHANCED_GRAPH_DATA",
    61: "DELETE_ENHANCED_GRAPH_DATA", 62: "GET_CLONE_CODE", 63: "GET_PROJECT_BY_CLONE_CODE",
    65: "HARDWARE_RESEND_FROM_BLUETOOTH", 66: "LOGOUT", 67: "CREATE_TILE_TEMPLATE", 68: "UPDATE_TILE_TEMPLATE",
    69: "DELETE_TILE_TEMPLATE", 70: "GET_WIDGET", 71: "DEVICE_OFFLINE", 72: "OUTDATED_APP_NOTIFICATION",
    73: "TRACK_DEVICE", 74: "GET_PROVISION_TOKEN", 75: "RESOLVE_EVENT", 76: "DELETE_DEVICE_DATA", 77: "CREATE_REPORT",
    78: "UPDATE_REPORT", 79: "DELETE_REPORT", 80: "EXPORT_REPORT", 81: "RESET_PASSWORD",
    82: "HTTP_IS_HARDWARE_CONNECTED", 83: "HTTP_IS_APP_CONNECTED", 84: "HTTP_GET_PIN_DATA", 85: "HTTP_UPDATE_PIN_DATA",
    86: "HTTP_NOTIFY", 87: "HTTP_EMAIL", 88: "HTTP_GET_PROJECT", 89: "HTTP_QR", 90: "HTTP_GET_HISTORY_DATA",
    91: "HTTP_START_OTA", 92: "HTTP_STOP_OTA", 93: "HTTP_CLONE", 94: "HTTP_TOTAL",
}  # fmt: skip
COUNTED_ONLY = {52, 53, 54, *range(82, 95)}


def held(dialect, era):
    found = {code: lookup(code, dialect, era) for code in range(256)}
    return {code: row.name.removeprefix("MSG_") for code, row in found.items() if row}


def test_each_dialect_and_era_holds_exactly_its_commands():
    assert held(HARDWARE, IOT) == ON_HARDWARE | ON_HARDWARE_IOT
    assert held(HARDWARE, LEGACY) == ON_HARDWARE | ON_HARDWARE_LEGACY
    assert held(HARDWARE, None) == ON_HARDWARE | ON_HARDWARE_IOT
    assert held(APP, LEGACY) == held(WEB, LEGACY) == held(APP, None) == held(WEB, None) == ON_APP


def test_every_code_up_to_94_has_a_row_and_none_above():
    assert {row.code for row in COMMANDS} == set(range(95))


def test_what_is_only_counted_is_not_on_the_wire():
    assert {row.code for row in COMMANDS if not row.on_wire} == COUNTED_ONLY


def test_no_two_rows_hold_in_the_same_place():
    places = [
        (row.code, dialect, era)
        for row in COMMANDS
        for dialect in row.dialects
        for era in (row.era and [row.era]) or Era
    ]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: f"{row.code}-{row.name}")
def test_a_row_is_complete(row):
    assert row.name.startswith("MSG_")
    assert row.aliases
    assert len(set(row.aliases)) == len(row.aliases)
    assert row.doc.endswith(".")
    assert row.source
    assert bool(row.senders) == row.on_wire
    assert 200 not in row.failures
    if row.ack is Ack.NOTHING:
        assert not row.failures


@pytest.mark.parametrize(
    ("code", "ack", "failures"),
    [
        (0, Ack.NOTHING, set()), (2, Ack.STATUS, {9, 4}), (29, Ack.STATUS, {9, 4}), (6, Ack.STATUS, set()),
        (17, Ack.BY_BODY, {2}), (19, Ack.STATUS, {11, 2}), (20, Ack.NEVER_ON_SUCCESS, {2, 11}), (16, Ack.SYNC, {2}),
        (15, Ack.BY_BODY, {6, 7, 2}), (14, Ack.STATUS, {13, 14, 8, 1}), (13, Ack.STATUS, {2, 15}),
        (12, Ack.STATUS, {14}), (18, Ack.STATUS, {14, 15}), (41, Ack.NOTHING, set()), (55, Ack.NOTHING, set()),
    ],
)  # fmt: skip
def test_answers_on_hardware(code, ack, failures):
    row = lookup(code, HARDWARE)
    assert (row.ack, set(row.failures)) == (ack, failures)


def test_answers_to_apps():
    answered = {code: lookup(code, APP).ack for code in ON_APP if lookup(code, APP).on_wire}
    status = {1, 2, 6, 7, 8, 19, 21, 23, 25, 26, 27, *range(32, 36), 37, 38, 39, 43, 44, 47, 48, 56, 57, 61, 66, 76, 79}
    same = {9, 24, 30, 31, 36, 40, 42, 45, 46, 49, 50, 55, 58, 60, 62, 63, 70, 74, 77, 78, 80}
    assert {code for code, ack in answered.items() if ack is Ack.STATUS} == status
    assert {code for code, ack in answered.items() if ack is Ack.SAME_COMMAND} == same
    assert {code for code, ack in answered.items() if ack is Ack.NEVER_ON_SUCCESS} == {20}


def test_era_decides_between_two_meanings():
    assert lookup(64, HARDWARE).name == lookup(64, HARDWARE, IOT).name == "MSG_EVENT_LOG"
    assert lookup(64, HARDWARE, LEGACY).name == "MSG_HARDWARE_LOG_EVENT"
    assert lookup(21, HARDWARE, LEGACY) is None


def test_find_keeps_the_dialect_before_the_era_then_tries_others():
    assert find(21, HARDWARE, LEGACY).name == "MSG_GROUP"
    assert find(33, HARDWARE).name == "MSG_CREATE_WIDGET"
    assert find(16, APP).name == "MSG_HW_SYNC"
    assert find(22, APP, IOT).name == "MSG_UPDATE_DASH"
    assert find(64, APP, LEGACY).name == "MSG_HARDWARE_LOG_EVENT"
    assert find(99, HARDWARE) is None
    assert all(find(code, dialect, era) for code in range(95) for dialect in Dialect for era in (None, *Era))


def test_names():
    assert command_name(20, HARDWARE) == "MSG_HW"
    assert command_name(99, HARDWARE) == "MSG_?99"
    assert command_name(255, WEB, LEGACY) == "MSG_?255"


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("MSG_HW", [20, 20]), ("hw", [20, 20]), ("BLYNK_CMD_HARDWARE", [20, 20]), ("hardware", [20, 20]),
        ("CMD_HARDWARE", [20, 20]), ("HARDWARE_SYNC", [16]), ("BLYNK_INTERNAL", [17]), ("HARDWARE_INFO", [17]),
        ("SET_WIDGET_PROPERTY", [19, 19]), ("push_notification", [14]), ("RESPONSE", [0]), ("event-log", [64]),
        ("HARDWARE_LOG_EVENT", [64, 64]), ("GROUP", [21]), ("SAVE_PROFILE", [3]), ("sms", [18]),
        ("nonsense", []), ("", []), ("MSG_", []),
    ],
)  # fmt: skip
def test_named(name, codes):
    assert [row.code for row in named(name)] == codes


def test_canonical_matches_come_first():
    assert [row.name for row in named("CONNECT_REDIRECT")] == ["MSG_CONNECT_REDIRECT", "MSG_REDIRECT"]
    assert [row.name for row in named("REDIRECT")] == ["MSG_REDIRECT", "MSG_CONNECT_REDIRECT"]
    assert all(named(row.name)[0].name == row.name for row in COMMANDS)
    assert all(row in named(alias) for row in COMMANDS for alias in row.aliases)


def test_rows():
    assert [row.name for row in rows(55)] == ["MSG_DBG_PRINT", "MSG_CREATE_APP"]
    assert rows(99) == []


def test_tables_cannot_be_changed_through_an_answer():
    named("HW").clear()
    rows(20).clear()
    assert named("HW")
    assert rows(20)


def test_only_devices_apps_and_servers_send():
    assert not any(Sender.UNKNOWN in row.senders for row in COMMANDS)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v.name}-{v.dialect}-{v.wire.hex()[:14]}")
def test_known_answers(vector):
    frame = frames.parse(vector.wire, vector.dialect)
    row = lookup(vector.cmd, vector.dialect, vector.era)
    assert (frame.cmd, frame.id, frame.status) == (vector.cmd, vector.id, vector.status)
    assert row.name == vector.name
    assert row.body.decode(frame.body) == (vector.fields, vector.text)
    assert row.body.problem(frame.body) is None
    assert frames.build(frame) == vector.wire


def test_every_row_on_the_wire_has_a_known_answer():
    proven = {id(lookup(vector.cmd, vector.dialect, vector.era)) for vector in VECTORS}
    assert [row.name for row in COMMANDS if row.on_wire and id(row) not in proven] == []
    assert commands.RESPONSE == 0
