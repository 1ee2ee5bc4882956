"""The command `replay`: what it refuses, and recordings between it, itself and the reference server."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
import test_live_command
from captures_of import CAPTURES
from click.testing import CliRunner
from proxy_peer import TOKEN, Peer

from blynkscope.cli import cli, live
from blynkscope.errors import BlynkscopeError

PLAIN = str(CAPTURES / "04_hw_plain_cpp140.pcap")
BRIDGE = str(CAPTURES / "13_bridge.pcap")
APP = (str(CAPTURES / "07a_app_tls12.pcap"), "--keylog", str(CAPTURES / "07a_app_tls12.keys"))
NOWHERE = ("--to", "tcp://127.0.0.1:9")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments, **options):
    done = CliRunner().invoke(cli, ["replay", *map(str, arguments)], **options)
    if done.exception is not None and not isinstance(done.exception, SystemExit | BlynkscopeError):
        raise done.exception
    return done


def status_of(done):
    return done.exception.exit_code if isinstance(done.exception, BlynkscopeError) else done.exit_code


class Program:
    """A program that listens, and says where on its standard error.

    Args:
        pattern: Finds the ports in a line of it.
    """

    def __init__(self, pattern, *arguments):
        command = [sys.executable, "-m", "blynkscope", *map(str, arguments)]
        self.program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said, found = "", None
        while found is None:
            line = self.program.stderr.readline()
            assert line, self.said
            self.said += line
            found = re.search(pattern, line)
        self.ports = [int(port) for port in found.groups()]

    def ends(self, number=None):
        """Wait for its end, after a signal where one is given; gives status and standard output."""
        if number is not None:
            self.program.send_signal(number)
        out, err = self.program.communicate(timeout=30)
        self.said += err
        return self.program.returncode, out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.program.poll() is None:
            self.program.kill()
        self.program.communicate()


def listens(*arguments):
    return Program(r"^replay: .*:(\d+) plays", "replay", *arguments, "--listen", "0", "--timing", "asap")


def serves(*arguments):
    return Program(
        r"plain at .*:(\d+), TLS at .*:(\d+)", "serve", "--listen", "0", "--tls-listen", "127.0.0.1:0", "--no-prompt",
        "--format", "jsonl", *arguments,
    )  # fmt: skip


# --- what it refuses ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((PLAIN,), "say where to"),
        ((PLAIN, *NOWHERE, "--listen", "0"), "say where to"),
        ((PLAIN, "--listen", "0", "--yes"), "--yes goes with --to"),
        ((PLAIN, "--listen", "0", "--insecure"), "--insecure goes with --to"),
        ((PLAIN, *NOWHERE, "--once"), "--once goes with --listen"),
        ((PLAIN, *NOWHERE, "--timing", "0x"), "use original, asap, or a factor"),
        ((PLAIN, *NOWHERE, "--timing", "fast"), "use original, asap, or a factor"),
        ((PLAIN, *NOWHERE, "--token", "a", "--token", "b"), "give one TOKEN for all"),
        ((PLAIN, *NOWHERE, "--token", "nobody=b"), "in no login, bridge or call of the recording"),
        ((PLAIN, *NOWHERE, "--token", "a b"), "printable ASCII"),
        ((PLAIN, *NOWHERE, "--account", "nobody"), "EMAIL:PASSWORD"),
        ((PLAIN, *NOWHERE, "--stream", "77"), "there is no stream 77"),
        ((PLAIN, "--to", "8.8.8.8:80"), "8.8.8.8 is a public address"),
        ((PLAIN, "--to", "[2606:4700::1]:80"), "is a public address"),
        ((PLAIN, *NOWHERE, "--to", "1.1.1.1:80"), "1.1.1.1 is a public address"),
        ((str(CAPTURES / "logs" / "72-nodered-ws-login-ok-masked-token.txt"), *NOWHERE), "is masked in the recording"),
    ],
)
def test_usage(arguments, words):
    done = invoke(*arguments)
    assert status_of(done) == 2
    assert words in done.output + str(done.exception)


def test_what_is_no_server():
    done = invoke(PLAIN, "--to", "http://127.0.0.1:80")
    assert (status_of(done), type(done.exception).__name__) == (2, "ReplayUsageError")


def test_a_recording_in_which_nothing_is_to_be_played():
    done = invoke(CAPTURES / "made" / "mqtt_session.pcap", *NOWHERE)
    assert status_of(done) == 3
    assert "nothing in it can be played" in str(done.exception)
    assert status_of(invoke("not-there", *NOWHERE)) == 3


def test_an_output_is_no_input():
    done = invoke(PLAIN, *NOWHERE, "--junit", PLAIN)
    assert status_of(done) == 2
    assert "choose another file" in done.output


def test_a_server_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = invoke(PLAIN, "--to", f"127.0.0.1:{port}", "--format", "json")
    assert done.exit_code == 4
    account = json.loads(done.stdout)[-1]
    assert account["trouble"]["stage"] == "connect"
    assert account["counts"] == {"equal": 0, "different": 0, "missing": 0, "extra": 0, "unplayed": 29}
    assert "connection refused" in done.stderr


def test_a_name_that_leads_nowhere_leaves_whole_reports(folder, monkeypatch):
    async def nowhere(loop, host, port, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", nowhere)
    name = CAPTURES / "05_hw_invalid_token.pcap"
    done = invoke(name, "--to", "nohost.invalid:80", "--format", "json", "--junit", "j.xml")
    assert done.exit_code == 4
    account = json.loads(done.stdout)[-1]
    text = "nohost.invalid: name or service not known"
    assert account["trouble"] == {"stage": "resolve", "text": text, "stream": None}
    assert account["counts"]["unplayed"] == len(json.loads(done.stdout)) - 1 > 0
    assert (account["target"], account["complete"], account["sent"]) == ("nohost.invalid:80", False, 0)
    assert f"Error: {text}" in done.stderr
    root = ET.parse(folder / "j.xml").getroot()
    assert (root.get("errors"), root.find(".//error").get("type")) == ("1", "resolve")
    assert int(root.get("skipped")) == account["counts"]["unplayed"]
    table = invoke(name, "--to", "nohost.invalid:80")
    assert table.exit_code == 4
    assert f"ended early: {text}" in table.stdout


def test_a_token_that_the_server_does_not_know():
    with serves() as server:
        done = invoke(PLAIN, "--to", f"tcp://127.0.0.1:{server.ports[0]}", "--timeout", "100ms")
        server.ends(signal.SIGTERM)
    assert done.exit_code == 1
    told = " ".join(done.stdout.split())
    assert "give one of its own with --token (or start `blynkscope serve --any-token`)" in told


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = invoke(PLAIN, "--listen", taken.getsockname()[1])
    assert status_of(done) == 4
    assert "cannot listen" in str(done.exception)


# --- both sides ---


def test_a_recording_between_both_sides(folder):
    with listens(PLAIN, "--once", "--format", "json") as server:
        done = invoke(PLAIN, "--to", f"127.0.0.1:{server.ports[0]}", "-v", "--junit", "verdicts.xml")
        status, out = server.ends()
    assert (done.exit_code, status) == (0, 0), done.output + out
    assert "equal 32 · different 0 · missing 0 · extra 0" in done.stdout
    assert "equal by the rule clock" in done.stdout
    assert json.loads(out)[-1]["counts"] == {"equal": 29, "different": 0, "missing": 0, "extra": 0, "unplayed": 0}
    root = ET.parse(folder / "verdicts.xml").getroot()
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    token = "8ahBSNiIl06fGjEQdLCPH_pLg4FGW1wf"
    assert token not in done.output + out + (folder / "verdicts.xml").read_text()


def test_apps_in_tls_trust_the_authority_of_this_user():
    with listens(*APP, "--once") as server:
        done = invoke(*APP, "--to", f"tls://127.0.0.1:{server.ports[0]}")
        status, out = server.ends()
    assert (done.exit_code, status) == (0, 0), done.output + out


def test_from_a_pipe_through_a_websocket():
    with open(PLAIN, "rb") as recording, listens(PLAIN, "--once") as server:
        done = invoke("-", "--to", f"ws://127.0.0.1:{server.ports[0]}", input=recording.read())
        assert server.ends()[0] == 0
    assert done.exit_code == 0, done.output


def test_a_device_that_departs_ends_with_1():
    with listens(PLAIN, "--duration", "20s", "--format", "jsonl") as server:
        with socket.create_connection(("127.0.0.1", server.ports[0]), 10) as device:
            device.sendall(b"\x1d\0\1\0\x20" + TOKEN.encode() + b"\x0e\0\2\0\5hello")
            device.settimeout(10)
            got = b""
            while len(got) < 10:
                got += device.recv(100)
        status, out = server.ends(signal.SIGTERM)
    assert status == 1
    records = [json.loads(line) for line in out.splitlines()]
    assert records[-1]["counts"]["extra"] >= 1
    assert TOKEN not in out


def test_ctrl_c_ends_the_listening_with_its_account():
    with listens(PLAIN) as server:
        status, out = server.ends(signal.SIGINT)
    assert status == 130
    assert "replay as the server" in out


def test_masked_tokens_are_replaced_and_a_proxy_records_for_a_replay(folder):
    log = CAPTURES / "logs" / "01-esp8266-healthy-connect-061.txt"
    with Peer() as peer:
        command = ["--upstream", f"tcp://127.0.0.1:{peer.port}", "--listen", "0", "--record", "proxied.pcapng", "-q"]
        with Program(r"^proxy: .*:(\d+) →", "proxy", *command) as proxy:
            first = invoke(log, "--to", f"127.0.0.1:{proxy.ports[0]}", "--token", TOKEN, "--timeout", "300ms")
            assert proxy.ends(signal.SIGTERM)[0] == 0
        # The log has a write of an app that does not come again.
        assert first.exit_code == 1
        assert "equal 2 · different 0 · missing 1 · extra 0" in first.stdout
        second = invoke("proxied.pcapng", "--to", f"127.0.0.1:{peer.port}")
    assert second.exit_code == 0, second.output
    assert "4 frames sent, 1 of 1 connections" in second.stdout
    assert "recorded by a proxy; the connection between it and the server" in second.stderr


# --- the reference server ---


EXCUSED = {
    # The recorded project had a pin mode for D2, values from before, widgets, and an app beside the device.
    "pin mode D2 out", "V1 = 77", "V4 = 200", "D2 = 1", "V1 = a, b, c",
}  # fmt: skip


@pytest.mark.parametrize("name", ["13_bridge", "11b_msg_ids", "15a_byte_by_byte"])
def test_a_recording_of_the_real_server_against_the_reference_server(name):
    with serves("--any-token") as server:
        done = invoke(
            CAPTURES / f"{name}.pcap", "--to", f"tcp://127.0.0.1:{server.ports[0]}", "--format", "jsonl",
            "--timeout", "1s",
        )  # fmt: skip
        server.ends(signal.SIGTERM)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records[-1]["complete"]
    departing = [one for one in records[:-1] if one["verdict"] != "equal"]
    texts = {(one["verdict"], (one["recorded"] or one["now"] or {}).get("text")) for one in departing}
    assert not {text for text in texts if text[0] != "missing" or text[1] not in EXCUSED}
    assert records[-1]["counts"]["equal"] >= 3


def test_an_app_logs_in_to_the_reference_server_with_its_account():
    recording = (
        str(CAPTURES / "06a_hw_tls_pyBlynkLib100.pcap"),
        "--keylog",
        str(CAPTURES / "06a_hw_tls_pyBlynkLib100.keys"),
    )
    with serves("--any-token", "--account", "me@example.com:secret") as server:
        done = invoke(
            *recording, "--to", f"tls://127.0.0.1:{server.ports[1]}", "--account", "me@example.com:secret", "--timeout",
            "1s", "--format", "jsonl",
        )  # fmt: skip
        server.ends(signal.SIGTERM)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    counts = records[-1]["counts"]
    assert counts["equal"] >= 17, [one for one in records if one.get("verdict") != "equal"]
    assert counts["missing"] <= 1, "the pin mode of the recorded project"
    assert "secret" not in done.stdout


def test_help_names_the_exit_statuses():
    text = invoke("--help").output
    assert "Exit status: 0 all is equal, 1 something differs" in text


def test_help_names_the_keys_of_json():
    text = " ".join(invoke("--help").output.split())
    from blynkscope.replay.outcome import Outcome

    told = text.partition('a record "step" for each verdict (')[2].partition(")")[0].split(", ")
    assert told == [*Outcome.__struct_fields__[:-2], "times"]


# --- secrets ---


def test_tokens_of_bridges_are_hidden_and_replaced():
    new = "ffffeeeeddddccccbbbbaaaa99998888"
    with Peer() as peer:
        pair = ("--token", f"_gXh48eAiBJ4WaNJHeVnEJ8BjiR9qgFJ={new}")
        for format_, arguments in (("table", ()), ("json", ("--token", TOKEN)), ("junit", pair)):
            done = invoke(
                BRIDGE, "--to", f"tcp://127.0.0.1:{peer.port}", "--timeout", "50ms", "--format", format_, "-v",
                *arguments,
            )  # fmt: skip
            assert done.exit_code in {0, 1}
            for secret in ("8ahBSNiIl06fGjEQdLCPH_pLg4FGW1wf", "_gXh48eAiBJ4WaNJHeVnEJ8BjiR9qgFJ", TOKEN, new):
                assert secret not in done.output
                assert secret.encode().hex() not in done.output


def test_a_token_that_replaces_nothing_is_refused():
    done = invoke(*APP, "--stream", "3", *NOWHERE, "--token", TOKEN)
    assert status_of(done) == 2
    assert "no login, bridge or call whose token it could replace" in done.output


def test_a_token_that_looks_masked_is_taken_where_the_user_gave_it():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = invoke(PLAIN, "--to", f"127.0.0.1:{port}", "--token", "TOKEN-of-my-test-server")
    assert done.exit_code == 4, "it comes as far as the connection"


# --- what other commands record ---


def test_what_serve_records_replays_without_editing(folder):
    with serves("--any-token", "--record", "served.pcapng") as server:
        # The recording has a pin mode and a value of a project that is not there.
        first = invoke(BRIDGE, "--to", f"tcp://127.0.0.1:{server.ports[0]}", "--timeout", "500ms", "--stream", "1")
        assert first.exit_code in {0, 1}
        assert server.ends(signal.SIGTERM)[0] == 0
    with serves("--any-token") as server:
        again = invoke("served.pcapng", "--to", f"tcp://127.0.0.1:{server.ports[0]}", "--timeout", "2s")
        server.ends(signal.SIGTERM)
    assert again.exit_code == 0, again.output
    assert "different 0 · missing 0 · extra 0" in again.stdout


def test_what_proxy_records_replays_without_editing(folder):
    with Peer() as peer:
        command = ["--upstream", f"tcp://127.0.0.1:{peer.port}", "--listen", "0", "--record", "proxied.pcapng", "-q"]
        with Program(r"^proxy: .*:(\d+) →", "proxy", *command) as proxy:
            invoke(PLAIN, "--to", f"127.0.0.1:{proxy.ports[0]}", "--timeout", "300ms")
            assert proxy.ends(signal.SIGTERM)[0] == 0
        again = invoke("proxied.pcapng", "--to", f"127.0.0.1:{peer.port}")
    assert again.exit_code == 0, again.output
    with listens("proxied.pcapng", "--once") as server:
        both = invoke("proxied.pcapng", "--to", f"127.0.0.1:{server.ports[0]}")
        assert server.ends()[0] == 0
    assert both.exit_code == 0, both.output


def test_what_live_records_replays_without_editing(folder, monkeypatch):
    monkeypatch.setattr(test_live_command, "NAME", "04_hw_plain_cpp140.pcap")
    monkeypatch.setattr(live, "interfaces", lambda: test_live_command.FOUND)
    monkeypatch.setattr(live, "open_backend", lambda wanted, name: test_live_command.Captured(wanted))
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        seen = CliRunner().invoke(cli, ["live", "-i", "eth0", "-w", "seen.pcapng"])
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
    assert "the cable is cut" in seen.stderr
    with listens("seen.pcapng", "--once") as server:
        done = invoke("seen.pcapng", "--to", f"127.0.0.1:{server.ports[0]}")
        status, out = server.ends()
    assert (done.exit_code, status) == (0, 0), done.output + out
    assert "equal 32 · different 0 · missing 0 · extra 0" in done.stdout
