"""The command `proxy`: what it refuses, and real devices through it to a small real server."""

import contextlib
import io
import json
import os
import re
import signal
import socket
import ssl
import stat
import struct
import subprocess
import sys

import blynklib
import pexpect
import pytest
from click.testing import CliRunner
from proxy_peer import DEADLINE, TOKEN, Peer, answer, certificate, device, frame

from blynkscope import faults
from blynkscope.cli import cli
from blynkscope.cli.onlooking import own_addresses
from blynkscope.errors import BlynkscopeError
from blynkscope.render.connecting import Start, lines
from blynkscope.sources import CaptureSource
from blynkscope.sources.live.interfaces import NetworkInterface
from blynkscope.wire.events import Data

UPSTREAM = ("--upstream", "tcp://127.0.0.1:9")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments):
    done = CliRunner().invoke(cli, ["proxy", *arguments], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit | BlynkscopeError):
        raise done.exception
    return done


class Proxied:
    """The proxy as a program of its own."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "blynkscope", "proxy", "--listen", "0", "--format", "jsonl", *arguments]
        self.program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said = ""
        self.port = 0
        while not self.port:
            line = self.program.stderr.readline()
            assert line, self.said
            self.said += line
            if found := re.search(r"^proxy: .*:(\d+) →", line):
                self.port = int(found[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.kill()
        self.program.communicate()

    def until(self, wanted):
        """Records up to the first one for which `wanted` is true."""
        found = []
        for line in self.program.stdout:
            found.append(json.loads(line))
            if wanted(found[-1]):
                return found
        raise AssertionError(found)

    def end(self, number=signal.SIGTERM):
        self.program.send_signal(number)
        out, said = self.program.communicate(timeout=DEADLINE)
        self.said += said
        return [json.loads(line) for line in out.splitlines()]


def closed(record):
    return record["record"] == "stream" and record["kind"] == "closed"


def trusting(tmp_path):
    """The settings of a device that trusts the proxy's CA."""
    path = subprocess.run(
        [sys.executable, "-m", "blynkscope", "ca", "path"], capture_output=True, text=True, check=True, timeout=DEADLINE
    ).stdout.strip()
    return path, ssl.create_default_context(cafile=path)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--upstream HOST:PORT"),
        ((*UPSTREAM, "--insecure"), "has none"),
        ((*UPSTREAM, "--upstream-ca", "here"), "has none"),
        (("--upstream", "a.b:443", "--insecure", "--upstream-ca", "here"), "choose one"),
        ((*UPSTREAM, "--cert", "here"), "go together"),
        ((*UPSTREAM, "--rules", "here", "--scenario", "x"), "choose one"),
        ((*UPSTREAM, "--seed", "1"), "goes with"),
        ((*UPSTREAM, "--force"), "goes with"),
        ((*UPSTREAM, "--allow-private"), "--upstream auto"),
        ((*UPSTREAM, "--auto-host", "a.b"), "--upstream auto"),
        (("--upstream", "auto", "--auto-host", "a b"), "no host name"),
        ((*UPSTREAM, "--record", "x", "--log", "x"), "the same file"),
        ((*UPSTREAM, "--intercept", "cmd == MSG_HW"), "needs a terminal"),
        ((*UPSTREAM, "--allow", "here"), "192.168.1.0/24"),
        ((*UPSTREAM, "--listen", "somewhere:80"), "no address of this computer"),
        ((*UPSTREAM, "--listen", "0.0.0.0:99999"), "no port"),
        ((*UPSTREAM, "--listen", "0.0.0.0:x"), "no port"),
        ((*UPSTREAM, "--duration", "soon"), "no time"),
        ((*UPSTREAM, "--duration", "0"), "more than nothing"),
        ((*UPSTREAM, "--listen", "9"), "lead to itself"),
        (("--upstream", "localhost:9", "--listen", "0.0.0.0:9"), "lead to itself"),
        (("--upstream", "http//x"), "is no upstream"),
        ((*UPSTREAM, "--scenario", "no such thing"), "no such thing"),
        ((*UPSTREAM, "--filter", "cmd =="), ""),
        ((*UPSTREAM, "--record", "here"), "exists"),
    ],
)
def test_usage_errors(arguments, words, folder):
    (folder / "here").write_text("")
    done = invoke(*arguments)
    code = done.exception.exit_code if isinstance(done.exception, BlynkscopeError) else done.exit_code
    assert code == 2
    assert words in done.output + str(done.exception)
    assert (folder / "here").read_text() == ""


def test_scenarios_are_listed():
    assert len(invoke("--scenario", "list").output.splitlines()) >= 8


def test_rules_of_ones_own_begin_with_what_is_shown(folder):
    assert "[[rule]]" in invoke("--scenario", "help").output
    own = folder / "own.toml"
    own.write_text(invoke("--scenario", "show:lost-acks").output)
    assert [rule.name for rule in faults.load(own).rules] == [rule.name for rule in faults.scenario("lost-acks").rules]
    assert "no such scenario" in str(invoke("--scenario", "show:nothing").exception)


@pytest.mark.parametrize(
    ("host", "addresses"), [("0.0.0.0", ["192.0.2.7"]), ("::", ["2001:db8::7", "fe80::7"]), ("192.0.2.7", [])]
)
def test_only_addresses_that_are_listened_on_are_named(host, addresses, monkeypatch):
    eth = NetworkInterface("eth0", True, False, ("fe80::7", "192.0.2.7", "2001:db8::7"), True)
    monkeypatch.setattr("blynkscope.sources.live.interfaces", lambda: [eth])
    assert own_addresses(host) == addresses


def test_who_listens_on_the_loopback_of_ipv6_is_told_of_all_of_ipv6():
    (text,) = [
        line for line in lines(Start(host="::1", port=9, upstream="tcp://x:1"), width=200) if "reachable" in line
    ]
    assert "--listen [::]:9 " in text


def test_auto_leads_where_it_is_told_to():
    from blynkscope.cli.proxy import _leading
    from blynkscope.proxy import BLYNK_HOSTS, Upstream

    auto = Upstream.parse("auto")
    assert _leading(auto, (), True).hosts == BLYNK_HOSTS
    assert _leading(auto, ("Example.ORG",), False).hosts == ("example.org",)


def test_the_loop_is_that_of_uvloop_where_it_is_installed(monkeypatch):
    import sys
    from types import SimpleNamespace

    from blynkscope.cli.proxy_run import _fast_loop

    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=print))
    assert _fast_loop() is print
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert _fast_loop() is None


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = invoke(*UPSTREAM, "--listen", str(taken.getsockname()[1]))
    assert done.exception.exit_code == 4
    assert "ss -ltnp" in str(done.exception)
    assert "--listen" in str(done.exception)


@pytest.mark.parametrize(
    ("target", "listen", "ports"),
    [
        ("x.y:443", None, [9443, 8080]), ("x.y:80", None, [8080, 9443]), ("x.y:9443", None, [9443, 8080]),
        ("x.y:1883", None, [1883, 8080, 9443]), ("x.y:443", 1234, [1234]), ("x.y:443", 0, [0]),
    ],
)  # fmt: skip
def test_ports(target, listen, ports):
    from blynkscope.cli.proxy import _ports
    from blynkscope.proxy import Upstream

    assert _ports(Upstream.parse(target), ("127.0.0.1", listen)) == ports


# --- devices through it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_real_device_and_everything_that_is_written(folder, secure):
    pem = certificate(folder) if secure else None
    scheme, trust = ("tls", ("--upstream-ca", str(pem))) if secure else ("tcp", ())
    files = ("--record", "run.pcapng", "--log", "run.jsonl", "--keylog-out", "run.keys")
    with Peer(pem) as peer, Proxied("--upstream", f"{scheme}://localhost:{peer.port}", *trust, *files) as proxied:
        options = {"ssl_cert": trusting(folder)[0]} if secure else {}
        with contextlib.redirect_stdout(io.StringIO()):
            blynklib.Blynk.RECONNECT_SLEEP = 0
            blynk = blynklib.Blynk(TOKEN, server="127.0.0.1", port=proxied.port, heartbeat=60, **options)
            assert blynk.connect(timeout=DEADLINE)
            for value in range(10):
                blynk.virtual_write(2, value)
            blynk.virtual_sync(2)
            peer.wait(lambda cmd, *_: cmd == 16)
            blynk.disconnect()
        records = proxied.until(closed) + proxied.end()
    assert proxied.program.returncode == 0
    frames = [(one["cmd"], one["sender"]) for one in records if one["record"] == "frame"]
    assert [cmd for cmd, sender in frames if sender == "device"] == [2, 17, *[20] * 10, 16]
    assert [cmd for cmd, sender in frames if sender == "server"] == [0, 0]
    assert records[-1]["record"] == "summary"
    assert TOKEN not in json.dumps(records)
    logged = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    assert logged == records
    for name in ("run.pcapng", "run.jsonl"):
        assert stat.S_IMODE(os.stat(folder / name).st_mode) == 0o600
    assert bool((folder / "run.keys").read_text().strip()) == secure
    # Both legs of the recording hold the very bytes.
    said = [b"", b"", b"", b""]
    with (folder / "run.pcapng").open("rb") as stream:
        for events in CaptureSource(stream, "run"):
            for event in events:
                if isinstance(event, Data):
                    said[2 * (event.stream - 1) + event.direction] += event.data
    assert said == [peer.received, peer.sent] * 2


def test_the_filter_the_exit_status_and_the_end_in_time(folder):
    with Peer() as peer:
        target = f"tcp://127.0.0.1:{peer.port}"
        with Proxied("--upstream", target, "--duration", "2s", "--filter", "cmd == MSG_PING", "--fail-on", "note",
                     "--log", "all.jsonl") as proxied:  # fmt: skip
            with device(proxied.port) as one:
                one.sendall(frame(29, 1, TOKEN.encode()) + frame(20, 2, b"vw\x001\x002") + frame(6, 3))
                assert [answer(one)[1] for _ in range(2)] == [1, 3]
            out, _ = proxied.program.communicate(timeout=DEADLINE)
    assert proxied.program.returncode == 1
    shown = [json.loads(line) for line in out.splitlines()]
    assert [one["name"] for one in shown if one["record"] == "frame"] == ["MSG_PING"]
    logged = [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()]
    assert sorted(one["cmd"] for one in logged if one["record"] == "frame") == [0, 0, 6, 20, 29]


def test_a_server_that_is_not_there_and_a_name_that_is_unknown():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with Proxied("--upstream", f"tcp://127.0.0.1:{port}") as proxied:
        with device(proxied.port) as one:
            one.sendall(frame(29, 1, TOKEN.encode()))
            assert answer(one) is None
        records = proxied.until(closed) + proxied.end()
    (finding,) = [one for one in records if one["record"] == "finding"]
    assert (finding["id"], finding["severity"]) == ("BS124", "error")
    with Proxied("--upstream", "no-such-host.invalid:80") as proxied:
        while "not known here" not in proxied.said:
            line = proxied.program.stderr.readline()
            assert line
            proxied.said += line
        proxied.end(signal.SIGINT)
    assert proxied.program.returncode == 130


@pytest.mark.parametrize(
    ("options", "host", "days", "name"),
    [
        ((), "localhost", (-1, 10), "BS121"),
        (("--upstream-ca", "localhost.pem"), "localhost", (-10, -1), "BS122"),
        (("--upstream-ca", "localhost.pem"), "127.0.0.2", (-1, 10), "BS123"),
        (("--insecure",), "127.0.0.2", (-10, -1), None),
    ],
)
def test_certificates_of_the_server(folder, options, host, days, name):
    pem = certificate(folder, days=days)
    with Peer(pem) as peer:
        forwarded = socket.create_server(("127.0.0.2", peer.port)) if host == "127.0.0.2" else None
        if forwarded is not None:
            peer.listening, old = forwarded, peer.listening
            old.close()
            other = Peer(pem)
            other.listening.close()
            other.listening = forwarded
            other.start()
        with Proxied("--upstream", f"tls://{host}:{peer.port}", *options) as proxied:
            with device(proxied.port) as one:
                one.sendall(frame(29, 1, TOKEN.encode()))
                said = answer(one)
            records = proxied.until(closed) + proxied.end()
    found = [one["id"] for one in records if one["record"] == "finding" and one["group"] == "proxy"]
    assert found == ([name] if name else [])
    assert (said is None) == (name is not None)


def test_a_device_that_does_not_trust_the_proxy(folder):
    with Peer() as peer, Proxied("--upstream", f"tcp://127.0.0.1:{peer.port}") as proxied:
        with pytest.raises(ssl.SSLError), device(proxied.port, context=ssl.create_default_context()):
            pass
        context = trusting(folder)[1]
        with device(proxied.port, context=context) as one:
            one.sendall(frame(29, 1, TOKEN.encode()))
            assert answer(one) == (0, 1, 200)
        records = proxied.until(lambda one: closed(one) and one["stream"] == 2) + proxied.end()
    assert [one["id"] for one in records if one["record"] == "finding" and one["group"] == "proxy"] == ["BS120"]
    via = {tuple(one["via"]) for one in records if one["record"] == "frame"}
    assert via == {("tcp", "tls1.3")}


def test_rules_are_applied_and_told(folder):
    (folder / "r.toml").write_text('[[rule]]\nname = "no"\nanswers = "HW_LOGIN"\nstatus = 9\n')
    with Peer() as peer, Proxied("--upstream", f"tcp://127.0.0.1:{peer.port}", "--rules", "r.toml") as proxied:
        with device(proxied.port) as one:
            one.sendall(frame(29, 1, TOKEN.encode()))
            assert answer(one) == (0, 1, 9)
        records = proxied.until(closed) + proxied.end()
    (told,) = [one for one in records if one["record"] == "stream" and one["kind"] == "proxy"]
    assert told["detail"]["rule"] == "no"
    # The device was refused, whatever the server said.
    assert "BS201" in [one["id"] for one in records if one["record"] == "finding"]


def test_a_hangup_begins_the_files_anew(folder):
    files = ("--record", "run.pcapng", "--log", "run.jsonl", "--keylog-out", "keys")
    with (
        Peer() as peer,
        Proxied("--upstream", f"tcp://127.0.0.1:{peer.port}", *files) as proxied,
        device(proxied.port) as one,
    ):
        one.sendall(frame(29, 1, TOKEN.encode()))
        assert answer(one)
        proxied.until(lambda one: one["record"] == "frame" and one["cmd"] == 0)
        (folder / "keys").unlink()
        proxied.program.send_signal(signal.SIGHUP)
        (folder / "run.pcapng").rename(folder / "moved.pcapng")
        one.sendall(frame(6, 2))
        assert answer(one)
        proxied.until(lambda one: one["record"] == "frame" and one["id"] == 2)
        one.sendall(frame(6, 3))
        assert answer(one)
        proxied.end()
    assert (folder / "keys").exists()
    logs = sorted(path.name for path in folder.glob("run*.jsonl"))
    assert logs == ["run.jsonl", "run_00001.jsonl"]
    assert '"summary"' in (folder / "run_00001.jsonl").read_text()
    assert {path.name for path in folder.glob("*.pcapng")} >= {"moved.pcapng"}
    assert len(list(folder.glob("*.pcapng"))) == 2


def test_an_address_of_another_computer():
    done = invoke("--listen", "192.0.2.77:0", *UPSTREAM)
    assert isinstance(done.exception, BlynkscopeError)
    assert "127.0.0.1" in str(done.exception)
    assert "ss -ltnp" not in str(done.exception)


def test_a_service_manager_that_ends_it_sees_no_failure():
    with Proxied(*UPSTREAM) as proxied:
        records = proxied.end(signal.SIGTERM)
    assert proxied.program.returncode == 0
    assert records[-1]["record"] == "summary"


def test_it_ends_where_its_terminal_is_closed():
    program = pexpect.spawn(sys.executable, ["-m", "blynkscope", "proxy", "--listen", "0", *UPSTREAM], timeout=DEADLINE)
    program.expect("proxy: ")
    program.expect("127.0.0.1")
    process = program.pid
    program.close(force=False)
    assert process == program.pid
    assert not program.isalive()
    assert program.signalstatus is None


def test_a_reader_that_goes_ends_it_without_a_word(folder):
    with Peer() as peer, Proxied("--upstream", f"tcp://127.0.0.1:{peer.port}") as proxied:
        proxied.program.stdout.close()
        with device(proxied.port) as one:
            one.sendall(frame(29, 1, TOKEN.encode()))
            assert answer(one)
            assert proxied.program.wait(DEADLINE) == 0
        assert "Traceback" not in proxied.program.stderr.read()


def test_the_log_is_whole_where_the_reader_of_the_output_goes(folder):
    with Peer() as peer, Proxied("--upstream", f"tcp://127.0.0.1:{peer.port}", "--log", "run.jsonl") as proxied:
        proxied.program.stdout.close()
        with device(proxied.port) as one:
            one.sendall(frame(29, 1, TOKEN.encode()))
            assert answer(one)
            assert proxied.program.wait(DEADLINE) == 0
    kinds = [json.loads(line)["record"] for line in (folder / "run.jsonl").read_text().splitlines()]
    assert kinds.count("frame") >= 1
    assert kinds[-1] == "summary"


def test_a_reader_that_reads_nothing_holds_up_no_device():
    with Peer() as peer, Proxied("--upstream", f"tcp://127.0.0.1:{peer.port}") as proxied, device(proxied.port) as one:
        one.sendall(frame(29, 1, TOKEN.encode()))
        assert answer(one)
        for number in range(2, 2002):
            one.sendall(frame(6, number))
            assert answer(one) == (0, number, 200)
        records = proxied.end()
    assert [one["id"] for one in records if one["record"] == "frame" and one["cmd"] == 6] == [*range(2, 2002)]


def test_a_second_interrupt_ends_it_at_once():
    with Peer() as peer, Proxied("--upstream", f"tcp://127.0.0.1:{peer.port}") as proxied, device(proxied.port) as one:
        one.sendall(frame(29, 1, TOKEN.encode()) + b"".join(frame(6, number) for number in range(2, 2002)))
        while answer(one) != (0, 2001, 200):
            pass
        # Nobody reads what it has to say, so that it cannot come to its end.
        while proxied.program.poll() is None:
            proxied.program.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                proxied.program.wait(0.1)
        assert proxied.program.returncode == 130


@pytest.mark.tshark
def test_tshark_opens_the_record_and_shows_the_findings(folder):
    with Peer() as peer, Proxied("--upstream", f"tcp://127.0.0.1:{peer.port}", "--record", "run.pcapng") as proxied:
        with device(proxied.port) as one:
            one.sendall(frame(29, 1, TOKEN.encode()) + frame(20, 2, b"vw\x001\x002"))
            assert answer(one)
            peer.wait(lambda cmd, *_: cmd == 20)
        proxied.until(closed)
        proxied.end()
    done = subprocess.run(
        ["tshark", "-n", "-r", "run.pcapng", "-T", "fields", "-e", "tcp.stream", "-e", "tcp.payload", "-e", "frame.comment"],
        capture_output=True, check=True, timeout=DEADLINE, text=True,
    )  # fmt: skip
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    for stream in ("0", "1"):
        payload = bytes.fromhex("".join(data for number, data, _ in rows if number == stream))
        assert sorted(payload) == sorted(peer.received + peer.sent)
    assert "BS301 Virtual writes without proof of arrival" in done.stdout


# --- a person at a terminal -------------------------------------------------------------------------------------------


def test_a_person_holds_edits_drops_and_injects(folder):
    with Peer() as peer:
        arguments = ["-m", "blynkscope", "proxy", "--listen", "0", "--upstream", f"tcp://127.0.0.1:{peer.port}",
                     "--intercept", "cmd == MSG_HW", "--color", "never"]  # fmt: skip
        seat = pexpect.spawn(sys.executable, arguments, encoding="utf-8", timeout=DEADLINE, dimensions=(24, 100))
        seat.expect(r"proxy: 127\.0\.0\.1:(\d+) →")
        port = int(seat.match[1])
        seat.expect("holding cmd == MSG_HW")
        with device(port) as one:
            one.sendall(frame(29, 1, TOKEN.encode()) + frame(20, 2, b"vw\x001\x0042") + frame(6, 3))
            assert answer(one) == (0, 1, 200)
            seat.expect("held → server · stream 1 · MSG_HW #2 V1 = 42")
            # Its direction waits, the other one does not.
            seat.send("idvw V5 7\r")
            assert struct.unpack(">BHH", one.recv(5))[0] == 20
            assert one.recv(6) == b"vw\x005\x007"
            assert not any(cmd == 6 for cmd, *_ in peer.got)
            seat.send("e\x7f\x7f99\r")
            assert peer.wait(lambda cmd, *_: cmd == 20) == (20, 2, b"vw\x001\x0099")
            assert answer(one) == (0, 3, 200)
            one.sendall(frame(20, 4, b"vw\x001\x001"))
            seat.expect("MSG_HW #4 V1 = 1")
            seat.send("d")
            seat.expect("by hand: dropped MSG_HW")
            one.sendall(frame(6, 5))
            assert answer(one) == (0, 5, 200)
            assert not any(number == 4 for _, number, _ in peer.got)
            seat.send("q")
            seat.expect("summary")
            seat.expect(pexpect.EOF)
        seat.close()
        assert seat.exitstatus == 0
        assert TOKEN not in (seat.before or "")
