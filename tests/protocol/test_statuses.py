"""The status table: every code of the protocol under its name."""

from __future__ import annotations

import pytest
from vectors import VECTORS

from blynkscope.protocol import statuses
from blynkscope.protocol.statuses import STATUSES, named, status_name

EXPECTED = {
    1: "QUOTA_LIMIT_EXCEPTION", 2: "ILLEGAL_COMMAND", 3: "NOT_REGISTERED", 4: "ALREADY_REGISTERED",
    5: "NOT_AUTHENTICATED", 6: "NOT_ALLOWED", 7: "DEVICE_NOT_IN_NETWORK", 8: "NO_ACTIVE_DASHBOARD", 9: "INVALID_TOKEN",
    10: "DEVICE_WENT_OFFLINE", 11: "ILLEGAL_COMMAND_BODY", 12: "GET_GRAPH_DATA_EXCEPTION", 13: "NTF_INVALID_BODY",
    14: "NTF_NOT_AUTHORIZED", 15: "NTF_ECXEPTION", 16: "TIMEOUT", 17: "NO_DATA_EXCEPTION", 18: "DEVICE_WENT_OFFLINE",
    19: "SERVER_EXCEPTION", 20: "NOT_SUPPORTED_VERSION", 21: "ENERGY_LIMIT", 22: "FACEBOOK_USER_LOGIN_WITH_PASS",
    23: "OPERATION_ACCEPT", 24: "OPERATION_DECLINE", 200: "SUCCESS",
}  # fmt: skip


def test_table():
    assert {code: row.name for code, row in STATUSES.items()} == {
        code: f"STA_{name}" for code, name in EXPECTED.items()
    }
    assert all(row.code == code for code, row in STATUSES.items())


def test_retired():
    assert {code for code, row in STATUSES.items() if row.retired} == {10, 12, 16, 18, 20, 22}
    assert all(row.history for row in STATUSES.values() if row.retired)


@pytest.mark.parametrize("row", STATUSES.values(), ids=lambda row: row.name)
def test_a_row_is_complete(row):
    assert row.doc.endswith(".")
    assert row.aliases
    assert row.fix or row.retired or row.code in {23, 24, 200}
    assert all(row in named(alias) for alias in row.aliases)


def test_names():
    assert status_name(200) == "STA_SUCCESS"
    assert status_name(99) == "STA_?99"
    assert status_name(0xFFFFFFFF) == "STA_?4294967295"


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("STA_INVALID_TOKEN", [9]), ("blynk_invalid_token", [9]), ("invalid-token", [9]), ("OK", [200]),
        ("QUOTA_LIMIT", [1]), ("STA_NTF_ECXEPTION", [15]), ("NTF_EXCEPTION", [15]), ("BLYNK_TIMEOUT", [16]),
        ("DEVICE_WENT_OFFLINE", [18, 10]), ("SERVER_ERROR", [10, 19]), ("nonsense", []), ("", []),
    ],
)  # fmt: skip
def test_named(name, codes):
    assert [row.code for row in named(name)] == codes


def test_constants():
    assert (statuses.SUCCESS, statuses.INVALID_TOKEN, statuses.QUOTA_LIMIT, statuses.ILLEGAL_COMMAND) == (200, 9, 1, 2)


def test_every_status_has_a_known_answer():
    assert {vector.status for vector in VECTORS} >= set(STATUSES)
