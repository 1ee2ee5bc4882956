"""Real clients of PyPI and `serve`: everything that they do works, survives a restart, and decodes without a finding."""

import sys
from pathlib import Path

import pytest
from serve_sessions import Sessions
from serve_world import EVENT, HW, INTERNAL, NOTIFY, PING, PROPERTY, SYNC, raised

PROGRAM = str(Path(__file__).with_name("serve_pypi_client.py"))
CLIENTS = {
    f"{client}-{'tls' if secure else 'plain'}": ([sys.executable, PROGRAM, client], secure)
    for client in ("blynklib", "library-python")
    for secure in (False, True)
}
DONE = [
    ["heard", "rest"], ["heard", "app"], ["status", 200], ["status", 200], ["time", 10], ["heard", "app"], ["ping"],
    ["connected"], ["heard", "app"], ["heard", "bye"],
]  # fmt: skip


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    # blynk-library-python 0.2.0 takes the second word of each INTERNAL, and `acon` has one.
    return Sessions(tmp_path_factory.mktemp("sessions"), CLIENTS, told=False)


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    return Sessions(tmp_path_factory.mktemp("refused"), CLIENTS, wrong=True)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_does_all_that_it_can_and_comes_back_to_what_was_stored(sessions, name):
    told = iter(sessions.told[name])
    for event in DONE:
        assert event in told, (event, sessions.told[name])
    assert ["refused"] not in sessions.told[name]


@pytest.mark.parametrize("name", CLIENTS)
def test_what_it_asked_was_answered(sessions, name):
    for cmd in (INTERNAL, PROPERTY, NOTIFY, PING, SYNC):
        asked = sessions.frames(name, cmd)
        assert asked, cmd
    answers = sessions.frames(name, 0, "server")
    assert {one["status"] for one in answers} == {200}
    # The value that a sync asks for comes with the id of the sync.
    synced = {one["id"] for one in sessions.frames(name, SYNC)}
    assert synced & {one["id"] for one in sessions.frames(name, HW, "server")}
    assert not sessions.frames(name, EVENT)


def test_good_sessions_raise_no_finding_above_a_note(sessions):
    assert raised(sessions.records) == []
    assert sessions.records[-1]["lost"] == {}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_wrong_token_is_refused(refused, name):
    assert refused.told[name] == [["refused"]]


def test_a_wrong_token_raises_its_finding_and_no_other(refused):
    assert raised(refused.records) == ["BS201"]
