"""The client of npm through the proxy, against the small real peer: both legs plain, one of them TLS, both."""

import subprocess
from pathlib import Path

import pytest
from test_real_clients import LEGS, TOKEN, WRONG, through

pytestmark = pytest.mark.node

LIBRARY = "blynk-library@0.5.4"
INSTALLATION = 90.0
"""Seconds that npm may take: less than a test may."""


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    """The command that runs the client; port, token and perhaps the CA follow."""
    folder = tmp_path_factory.mktemp("node")
    # Without --prefix npm takes the first folder above that looks like a package.
    command = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", LIBRARY]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=INSTALLATION
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ["node", str(Path(__file__).with_name("node_client.js")), str(folder)]


@pytest.mark.parametrize("legs", LEGS)
def test_login_writes_sync_ping_and_coming_back(client, legs):
    def check(got):
        heard = [["heard", f"x{value}"] for value in range(3)]
        assert [event for event in got if event[0] != "ping"] == [
            ["connected"], *heard, ["synced", "synced"], ["connected"], ["heard", "back"],
        ]  # fmt: skip
        assert ["ping", "1"] in got

    through(client, legs, TOKEN, check, 2)


@pytest.mark.parametrize("legs", LEGS)
def test_a_wrong_token_is_refused_by_the_server(client, legs):
    def check(got):
        assert got == ["refused"]

    through(client, legs, WRONG, check, 1)
