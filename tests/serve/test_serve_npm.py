"""Real clients of npm and `serve`, TCP, TLS and WebSocket: all of it works, survives a restart, and decodes cleanly."""

import subprocess
from pathlib import Path

import pytest
from serve_sessions import Sessions
from serve_world import INTERNAL, NOTIFY, PING, PROPERTY, SYNC, raised

pytestmark = pytest.mark.node

LIBRARIES = ("blynk-library@0.5.4", "node-red-contrib-blynk-ws@1.0.10")
INSTALLATION = 90.0
"""Seconds that npm may take: less than a test may."""
CLIENTS = {
    "library-tcp": ("library-tcp", False),
    "library-tls": ("library-tls", True),
    "library-ws": ("library-ws", False),
    "node-red-ws": ("node-red", False),
    "node-red-wss": ("node-red", True),
}
DONE = [
    ["connected"], ["heard", "rest"], ["heard", "app"], ["heard", "app"], ["ping"], ["connected"], ["heard", "app"],
    ["heard", "bye"],
]  # fmt: skip


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    # Without --prefix npm takes the first folder above that looks like a package.
    command = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", *LIBRARIES]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=INSTALLATION
    )
    assert done.returncode == 0, done.stdout + done.stderr
    program = str(Path(__file__).with_name("serve_node_client.js"))
    return {name: (["node", program, str(folder), client], tls) for name, (client, tls) in CLIENTS.items()}


@pytest.fixture(scope="module")
def sessions(commands, tmp_path_factory):
    return Sessions(tmp_path_factory.mktemp("sessions"), commands)


@pytest.fixture(scope="module")
def refused(commands, tmp_path_factory):
    return Sessions(tmp_path_factory.mktemp("refused"), commands, wrong=True)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_does_all_that_it_can_and_comes_back_to_what_was_stored(sessions, name):
    assert sessions.told[name] == DONE


@pytest.mark.parametrize("name", CLIENTS)
def test_what_it_asked_was_answered(sessions, name):
    for cmd in (INTERNAL, PROPERTY, NOTIFY, PING, SYNC):
        assert sessions.frames(name, cmd), cmd
    answered = {one["status"] for one in sessions.frames(name, 0, "server")}
    assert answered == {200}


def test_good_sessions_raise_no_finding_above_a_note(sessions):
    assert raised(sessions.records) == []
    assert sessions.records[-1]["lost"] == {}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_wrong_token_is_refused(refused, name):
    assert refused.told[name] == [["refused"]]


def test_a_wrong_token_raises_its_finding_and_no_other(refused):
    assert raised(refused.records) == ["BS201"]
