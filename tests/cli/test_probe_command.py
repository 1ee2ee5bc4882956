"""`blynkscope probe` as a program: sections that fit, JSON with stable keys, exit codes, and lists of suites."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

import msgspec
import pytest
from catalk import keys_of_a_pool
from click.testing import CliRunner
from probe_world import (
    DEADLINE,
    TOKEN,
    Server,
    blynk,
    certificate,
    closing,
    context,
    free_port,
    nothing,
    pem,
    roots,
)

from blynkscope.ca import Authority
from blynkscope.cli.probe import command, parse_target, read_suites
from blynkscope.probe import model
from blynkscope.probe import run as probing
from blynkscope.probe.own import OwnRoot, own_root

ROOT = {
    "host", "port", "schema", "time", "seconds", "complete", "connections", "budget", "public", "limits", "dns",
    "ports", "era", "findings",
}  # fmt: skip
PORT = ["port", "tcp", "address", "speaks", "tls", "logins", "others", "note"]
TLS = ["chosen", "cipher", "alert", "versions", "sni", "sni_text", "chains", "device", "handshake"]
VERSION = ["version", "accepted", "why", "suites", "order", "complete", "groups"]
SUITE = ["code", "iana", "openssl", "mbedtls", "axtls"]
CHAIN = ["kind", "certificates", "flaws", "trust", "root"]
DEVICE = [
    "offered", "accepted", "agreed", "version", "group", "without_sni", "handshake", "verdict", "advice", "known",
    "sni_needed",
]  # fmt: skip
LOGIN = [
    "made_up", "answer", "status", "status_name", "ms", "pings", "pings_lost", "redirect", "followed", "closing",
    "text", "id", "frames", "host", "address",
]  # fmt: skip


def probed(*words, width=80, data=None):
    return CliRunner().invoke(command, list(map(str, words)), env={"COLUMNS": str(width)}, input=data)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    root = certificate("Test Root", ca=True)
    settings = context(
        pem(folder, certificate(issuer=root, kind="RSA")),
        ciphers="ECDHE+AESGCM:AES128-SHA",
        versions=("TLSv1_2", "TLSv1_3"),
    )
    with Server(blynk(9), settings) as one:
        one.roots = roots(folder, root)
        yield one


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("more", [(), ("-v",), ("-q",)])
def test_the_table_fits(server, width, more):
    done = probed(
        f"localhost:{server.port}", "--ca", server.roots, "--suites", "ECDHE-RSA-AES128-GCM-SHA256,AES256-SHA", *more,
        width=width,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    assert all(len(line) <= width for line in done.stdout.splitlines())
    if more != ("-q",) and width > 40:
        for part in (
            "taken: TLS 1.2, TLS 1.3", "TLS_AES_256_GCM_SHA384", "CN=Test Root", "1 of 2 are accepted", "completed",
            "made-up token: STA_INVALID_TOKEN (9)", "legacy server", "connections",
        ):  # fmt: skip
            assert part in done.stdout


def test_names_of_other_libraries(server):
    wide, told = probed(f"localhost:{server.port}", width=120), probed(f"localhost:{server.port}", "-v", width=80)
    for done in (wide, told):
        assert "ECDHE-RSA-AES128-GCM-SHA256" in done.stdout
    assert "mbedTLS TLS-RSA-WITH-AES-128-CBC-SHA, axTLS SSL_AES128_SHA" in told.stdout.replace("\n" + " " * 14, " ")


def test_json(server, tmp_path):
    out = tmp_path / "out.json"
    done = probed(
        f"localhost:{server.port}",
        "--format",
        "json",
        "--suites",
        "0xC02F",
        "--token",
        TOKEN,
        "-o",
        out,
        "--ca",
        server.roots,
    )
    assert (done.exit_code, done.stdout) == (0, "")
    held = json.loads(out.read_bytes())
    assert set(held) == ROOT
    (port,) = held["ports"]
    assert list(port) == PORT
    assert list(port["tls"]) == TLS
    assert [one["version"] for one in port["tls"]["versions"]] == [
        "SSL 3.0",
        "TLS 1.0",
        "TLS 1.1",
        "TLS 1.2",
        "TLS 1.3",
    ]
    assert list(port["tls"]["versions"][0]) == VERSION
    assert list(port["tls"]["versions"][3]["suites"][0]["suite"]) == SUITE
    assert list(port["tls"]["chains"][0]) == CHAIN
    assert list(port["tls"]["device"]) == DEVICE
    assert list(port["logins"][0]) == LOGIN
    assert port["tls"]["device"]["agreed"]["code"] == "0xc02f"
    assert [one["id"] for one in held["findings"]] == ["BS201"]
    assert TOKEN not in out.read_text()
    assert (held["schema"], held["complete"], held["port"]) == (1, True, server.port)


def test_exit_codes(server, tmp_path):
    held, closed = free_port()
    with held:
        done = probed(f"127.0.0.1:{closed}")
        assert (done.exit_code, "refused" in done.stdout, "BS101" in done.stdout) == (4, True, True)
        done = probed(f"127.0.0.1:{closed}", "--format", "json")
        assert (done.exit_code, json.loads(done.stdout)["complete"]) == (4, True)
        assert probed(f"127.0.0.1:{closed}", "--fail-on", "error").exit_code == 1
    fine = (f"localhost:{server.port}", "--no-suites", "--ca", server.roots)
    assert probed(*fine, "--fail-on", "note").exit_code == 0
    (tmp_path / "nothing.txt").write_text("no list")
    for words in (
        ("",), ("host:99999",), ("host:x",), ("[::1",), ("gopher://host",), (*fine, "--suites", "nonsense"),
        (*fine, "--suites", "TLS_FOO_WITH_BAR"), (*fine, "--suites", tmp_path / "nothing.txt"),
        (*fine, "--token", TOKEN, "--no-login"), (*fine, "--timeout", "0"),
    ):  # fmt: skip
        done = probed(*words)
        assert done.exit_code == 2, words
        assert "Usage" in done.stderr
    blynkscope = [sys.executable, "-m", "blynkscope", "probe"]
    for words, status, said in (
        (("127.0.0.1:1", "--ca", tmp_path / "none.pem"), 3, "cannot read"),
        (("127.0.0.1:1", "--ca", tmp_path / "nothing.txt"), 3, "no certificates in PEM"),
        (("127.0.0.1:1", "--suites", f"{tmp_path}{os.sep}"), 3, "cannot read"),
        (("127.0.0.1:1", "-o", tmp_path / "no" / "where"), 4, "cannot write"),
    ):
        done = subprocess.run([*blynkscope, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, said in done.stderr) == (status, True), (words, done.stderr)


def test_nothing_that_is_reached(monkeypatch):
    """Everything is printed, and a program that asks learns that there was no connection: of a port, and of a name."""
    assert probed("127.255.255.254", "--timeout", "1").exit_code == 4

    def lookup(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    done = probed("nohost.invalid")
    assert (done.exit_code, "there is no such name" in done.stdout) == (4, True)
    assert " 4 no address took a connection" in " ".join(probed("--help").stdout.split())


def test_a_healthy_serve_looks_healthy(tmp_path, monkeypatch):
    """Its leaf lives for two weeks, and nobody but the user's own devices knows its root."""
    keys_of_a_pool(monkeypatch)
    for name in ("XDG_CONFIG_HOME", "HOME", "APPDATA", "LOCALAPPDATA", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    ours = Authority.at()
    path = tmp_path / "leaf.pem"
    path.write_bytes(b"".join(reversed(ours.leaf(["localhost", "127.0.0.1"]))))
    with Server(blynk(200), context(path)) as one:
        done = probed(f"localhost:{one.port}", "--no-suites", "-4")
        told = " ".join(done.stdout.split())
        assert "14 days left" in told
        assert "(soon)" not in told
        assert "roots of blynkscope on this computer: trusted" in told
        assert "`blynkscope ca export`" in told
        held = json.loads(probed(f"localhost:{one.port}", "--no-suites", "-4", "--format", "json").stdout)
        assert [(found["id"], found["severity"]) for found in held["findings"]] == [("BS604", "note")]
        # Whoever names it trusts it.
        words = (f"localhost:{one.port}", "--no-suites", "-4", "--ca", ours.certificate_path, "--format", "json")
        assert json.loads(probed(*words).stdout)["findings"] == []
        # One of the same name that did not sign it is another.
        (name,) = (part.value for part in ours.certificate.subject)
        other = roots(tmp_path, certificate(name, ca=True))
        monkeypatch.setattr(probing, "own_root", lambda: OwnRoot(str(other), f"CN={name}"))
        held = json.loads(probed(f"localhost:{one.port}", "--no-suites", "-4", "--format", "json").stdout)
        assert [(found["id"], found["severity"]) for found in held["findings"]] == [("BS604", "warning")]


def test_a_ca_is_not_made_by_looking(tmp_path, monkeypatch):
    keys_of_a_pool(monkeypatch)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert own_root() is None
    assert list(tmp_path.iterdir()) == []
    ours = Authority.at()
    assert own_root().path == str(ours.certificate_path)
    ours.certificate_path.write_text("nothing", encoding="ascii")
    assert own_root() is None
    assert ours.certificate_path.read_text(encoding="ascii") == "nothing"


def test_lists_of_suites(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "modem.txt"
    path.write_text("garbage\nTLS_RSA_WITH_AES_128_CBC_SHA (0x002f)\nTLS_RSA_WITH_FOO_BAR\n")
    assert (
        read_suites(str(path)).suites == read_suites("modem.txt").suites == read_suites("./modem.txt").suites == (0x2F,)
    )
    assert read_suites(str(path)).unknown == ("TLS_RSA_WITH_FOO_BAR",)
    assert read_suites("c0 2f, AES128-SHA").suites == (0xC02F, 0x2F)
    (tmp_path / "AES256-SHA").write_text("AES128-SHA")
    assert read_suites("AES256-SHA").suites == (0x35,)
    assert read_suites("./AES256-SHA").suites == (0x2F,)


def test_a_list_from_standard_input(server):
    done = probed(
        f"localhost:{server.port}",
        "--no-suites",
        "--format",
        "json",
        "--suites",
        "-",
        data="AES128-SHA\nTLS_A_WITH_B\n",
    )
    assert json.loads(done.stdout)["ports"][0]["tls"]["device"]["agreed"]["openssl"] == "AES128-SHA"
    assert "not known as cipher suites: TLS_A_WITH_B" in done.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blynk.cloud", ("blynk.cloud", None)), ("blynk.cloud:443", ("blynk.cloud", 443)),
        ("[2001:db8::1]:8080", ("2001:db8::1", 8080)), ("2001:db8::1", ("2001:db8::1", None)), ("[::1]", ("::1", None)),
        ("https://blynk.cloud/external/api/get?token=x", ("blynk.cloud", 443)), ("tcp://host:8442", ("host", 8442)),
        ("mqtts://user:pw@host", ("host", 8883)), ("host.", ("host", None)), (" host:80 ", ("host", 80)),
    ],
)  # fmt: skip
def test_targets(text, expected):
    assert parse_target(text) == expected


def test_a_hostile_server_does_not_steer_the_terminal(tmp_path):
    name = "\x1b]0;owned\x07[/foo]\u202e"

    def talk(connection):
        connection.sendall(f"SSH-2.0-{name}\r\n".encode())

    with Server(talk) as one:
        for form in ("table", "json"):
            done = probed(f"127.0.0.1:{one.port}", "--format", form)
            assert done.exit_code == 0
            assert "owned" in done.stdout
            assert all(char.isprintable() or char == "\n" for char in done.stdout)
    with Server(closing, context(pem(tmp_path, certificate("x\u202ey\x9b31m", addresses=())))) as one:
        done = probed(f"127.0.0.1:{one.port}", "--no-suites", "-v")
        assert all(char.isprintable() or char == "\n" for char in done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "terminated"])
@pytest.mark.parametrize("form", ["table", "json"])
def test_an_interrupted_probe_tells_what_it_knows(form, number):
    with Server(nothing) as one:
        words = [f"127.0.0.1:{one.port}", "--format", form, "--timeout", "60"]
        with subprocess.Popen(
            [sys.executable, "-m", "blynkscope", "probe", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                # The first connection only tries whether there is one.
                with one.heard:
                    assert one.heard.wait_for(lambda: one.count >= 2, DEADLINE)
                process.send_signal(number)
                out, err = process.communicate(timeout=DEADLINE)
            finally:
                process.kill()
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    if form == "json":
        held = json.loads(out)
        assert (held["complete"], held["ports"][0]["tcp"][0]["result"]) == (False, "open")
    else:
        assert "127.0.0.1 open" in out
        assert "what is missing was not asked any more" in out


def documented():
    """The keys of each class, as the module says them."""
    told = {}
    for line in model.__doc__.splitlines():
        begins = re.match(r" {4}(\w+) \([^()]*\): (.*)", line) or re.match(r" {4}(\w+) \(([^()]*)$", line)
        if begins is not None:
            name = begins[1]
            told[name] = begins[2].split()
        elif line.startswith(" " * 8):
            told[name] += line.split()
    return told


def test_the_keys_are_documented(server):
    """Those of the module are those of the classes, and those of the output; the help has what is outermost."""
    told = documented()
    kinds = {
        name: one for name, one in vars(model).items() if isinstance(one, type) and one.__module__ == model.__name__
    }
    assert set(told) == set(kinds) - {"Settings"}
    for name, keys in told.items():
        assert keys == [field.name for field in msgspec.structs.fields(kinds[name])], name
    held = json.loads(probed(f"localhost:{server.port}", "--format", "json", "--suites", "0xC02F").stdout)
    tls = held["ports"][0]["tls"]
    chain, version = tls["chains"][0], tls["versions"][3]
    for name, part in {
        "Report": held, "Names": held["dns"], "PortFacts": held["ports"][0], "Attempt": held["ports"][0]["tcp"][0],
        "TlsFacts": tls, "VersionFacts": version, "Accepted": version["suites"][0], "ChainFacts": chain,
        "SuiteName": version["suites"][0]["suite"], "CertificateFacts": chain["certificates"][0],
        "Trust": chain["trust"][0], "DeviceSuites": tls["device"], "LoginFacts": held["ports"][0]["logins"][0],
        "EraFacts": held["era"],
    }.items():  # fmt: skip
        assert list(part) == told[name], name
    shown = probed("--help").stdout.partition("The JSON")[2]
    for key in ("host", "complete", "connections", "limits", "dns", "ports", "era", "findings", "speaks", "logins"):
        assert re.search(rf"\b{key}\b", shown), key


@pytest.mark.parametrize("width", [60, 80, 100])
def test_what_is_weak_is_said_to_the_last_word(width, tmp_path):
    settings = context(pem(tmp_path, certificate(kind="RSA")), ciphers="eNULL:AECDH:@SECLEVEL=0",
                       versions=("TLSv1_2", "TLSv1_2"))  # fmt: skip
    with Server(closing, settings) as one:
        done = probed(f"localhost:{one.port}", "--no-login", width=width)
    table = done.stdout.partition("findings")[0]
    lines = [line for line in table.splitlines() if "…" in line]
    assert all("  TLS_" in line and line.endswith("…") and "  n" not in line for line in lines), lines
    count = sum(line.strip().startswith("0x") for line in table.splitlines())
    assert count == table.count("nothing is encrypted") + table.count("nobody is authenticated") > 4
    assert all(len(line) <= width for line in done.stdout.splitlines())


def test_what_is_not_known_is_not_called_refused(tmp_path):
    settings, taken = context(pem(tmp_path, certificate(kind="RSA"))), []

    def talk(connection):
        taken.append(None)
        if len(taken) <= 11:
            with settings.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

    with Server(talk) as one:
        done = probed(f"localhost:{one.port}", "--no-login", "-v", "-4")
    assert "taken: TLS 1.2; not found out: SSL 3.0, TLS 1.0, TLS 1.1, TLS" in done.stdout
    assert "not found out: the server takes no more connections" in done.stdout
    assert "not taken" not in done.stdout
    assert "limit         port" in done.stdout


def test_an_answer_with_another_id_and_a_hop():
    def talk(connection):
        if connection.recv(65536)[:1] == b"\x1d":
            connection.sendall(b"\0\0\x05\0\xc8")
            nothing(connection)

    with Server(talk) as one, Server(blynk(redirect=b"localhost\0%d" % one.port)) as first:
        done = probed(f"127.0.0.1:{first.port}", "--follow", "--timeout", "0.3", "-4")
    told = " ".join(done.stdout.split())
    assert f"redirect to localhost:{one.port}, followed" in told
    assert f"at localhost:{one.port}, made-up token: STA_SUCCESS (200), but with the id 5, not 1" in told
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_help():
    done = probed("--help")
    assert done.exit_code == 0
    for word in ("--suites", "--token", "--no-login", "--fail-on", "1883"):
        assert word in done.output
