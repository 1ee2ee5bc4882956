"""doctor: what it says of this machine and of others, that it changes nothing, and its exit status."""

import io
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import tomllib
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from catalk import keys_of_a_pool

from blynkscope.ca import Authority
from blynkscope.cli import config, doctor, doctor_capture, doctor_machine, doctor_mending, doctor_tls
from blynkscope.render.checkup import Check, State, overall, write_checkup
from blynkscope.wireshark import install as plugins
from blynkscope.wireshark.generator import dissector

CHECK_KEYS = ["id", "group", "title", "state", "essential", "found", "enables", "mend", "facts"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="about Linux")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A configuration folder of its own, for this process and for its children; gives the folder above."""
    keys_of_a_pool(monkeypatch)
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("XDG_CONFIG_HOME", "HOME", "APPDATA", "LOCALAPPDATA", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    return folder


def blynkscope(*words, **more):
    command = [sys.executable, "-m", "blynkscope", *map(str, words)]
    more = {"stdin": subprocess.DEVNULL, "encoding": "utf-8", **more}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=100, **more)


def check(state=State.OK, *, essential=False, **more):
    facts = {"id": "x", "group": "G", "title": "T", "found": "f", "enables": "e", **more}
    return Check(state=state, essential=essential, **facts)


# --- a real run -------------------------------------------------------------------------------------------------------


def test_this_machine(home, tmp_path):
    spare = tmp_path / "tmp"
    spare.mkdir()
    before = sorted(home.rglob("*"))
    done = blynkscope("doctor", "--format", "json", env={**os.environ, "TMPDIR": str(spare)}, cwd=spare)
    told = json.loads(done.stdout)
    assert done.stderr == ""
    assert list(told) == ["schema", "blynkscope", "system", "status", "checks"]
    assert all(list(one) == CHECK_KEYS for one in told["checks"])
    assert {one["state"] for one in told["checks"]} <= {"ok", "warn", "missing", "optional"}
    ids = [one["id"] for one in told["checks"]]
    assert len(set(ids)) == len(ids)
    assert {"python", "packages", "tls", "tls-legacy", "ca", "libpcap", "dumpcap", "privilege", "tshark", "dissector",
            "clock", "terminal", "port-8080", "port-9443", "configuration"} <= set(ids)  # fmt: skip
    assert all(one["mend"] for one in told["checks"] if one["state"] != "ok"), "what is wrong can be mended"
    assert all(one["enables"] and one["found"] for one in told["checks"])
    assert not [one for one in told["checks"] if "could not be looked at" in one["found"]]
    assert done.returncode == (4 if told["status"] == "missing" else 0)
    # Nothing was made: no CA, no configuration, no temporary file that stayed.
    assert sorted(home.rglob("*")) == before
    assert list(spare.iterdir()) == []


def test_for_people_without_unicode(home):
    done = blynkscope("doctor", env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "60"})
    assert "marks and lines are drawn in ASCII" in " ".join(done.stdout.split())
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if "$ " not in line) <= 60


@pytest.mark.parametrize(
    ("found", "words", "status"),
    [
        ([check()], [], 0),
        ([check(), check(State.WARN)], [], 0),
        ([check(State.MISSING)], [], 0),
        ([check(State.MISSING, essential=True)], [], 4),
        ([check(State.WARN, essential=True)], [], 0),
        ([check()], ["--strict"], 0),
        ([check(State.WARN)], ["--strict"], 4),
        ([check(State.MISSING)], ["--strict"], 4),
        ([check(), check(State.OPTIONAL)], ["--strict"], 0),
        ([check(State.OPTIONAL)], [], 0),
    ],
)
def test_exit_status(found, words, status, home, monkeypatch, capsys):
    from blynkscope.cli import main

    monkeypatch.setattr(doctor, "checks", lambda path: iter(found))
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *words])
    assert ended.value.code == status
    assert capsys.readouterr().out


def test_one_that_fails_is_no_hindrance():
    def fails():
        raise ValueError("no\x1b such thing")

    (one,) = doctor._looked("G", "name", fails)
    assert (one.id, one.state) == ("name", State.WARN)
    assert "ValueError" in one.found
    text = io.StringIO()
    write_checkup(text, "text", [one], version="1", system="s")
    assert "\x1b" not in text.getvalue()


# --- how it is shown --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("checks", "status"),
    [
        ([], State.OK),
        ([check()], State.OK),
        ([check(), check(State.MISSING)], State.WARN),
        ([check(), check(State.OPTIONAL)], State.OK),
        ([check(State.WARN, essential=True)], State.WARN),
        ([check(State.MISSING, essential=True), check(State.WARN)], State.MISSING),
    ],
)
def test_overall(checks, status):
    assert overall(checks) is status


def test_text():
    text = io.StringIO()
    command = "sudo apt-get install " + "package " * 20
    checks = [
        check(title="Python", found="3.11", enables="everything"),
        check(State.MISSING, group="H", title="tshark", found="not there " * 12, enables="engine",
              mend=("do this " * 12, f"$ {command}"), essential=True),
    ]  # fmt: skip
    write_checkup(text, "text", checks, version="1.2", system="Debian", color="never")
    lines = text.getvalue().splitlines()
    assert lines[0] == "blynkscope 1.2 on Debian"
    assert lines[2:5] == ["G", "ok        Python  3.11", f"{'':18}for: everything"]
    assert f"{'':18}$ {command}".rstrip() in [line.rstrip() for line in lines], "a command stays in one piece"
    assert lines[-1] == "1 ok, 1 missing; blynkscope does not work without: tshark"
    write_checkup(text, "text", checks, version="1.2", system="Debian", color="always")
    assert "\x1b[" in text.getvalue()


def test_what_is_optional_is_not_missing():
    text = io.StringIO()
    write_checkup(text, "text", [check(), check(State.OPTIONAL, title="O")], version="1", system="s", color="never")
    assert "optional  O  f" in text.getvalue()
    assert text.getvalue().splitlines()[-1] == "1 ok, 1 optional; all that is essential is there"


def test_commands_in_sentences_stay_in_one_line():
    text = io.StringIO()
    one = check(State.WARN, mend=("words " * 15 + "`sudo usermod -aG wireshark $USER`, " + "words " * 15,))
    write_checkup(text, "text", [one], version="1.2", system="Debian")
    assert "`sudo usermod -aG wireshark $USER`," in text.getvalue()


def test_json():
    text = io.StringIO()
    one = check(State.WARN, mend=("words", "$ command"), facts={"path": None})
    write_checkup(text, "json", [one], version="1.2", system="Debian")
    told = json.loads(text.getvalue())
    assert (told["schema"], told["status"]) == (1, "warn")
    assert told["checks"][0]["mend"] == ["words", "command"]
    assert told["checks"][0]["facts"] == {"path": None}


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tried():
    doctor_tls.tried.cache_clear()
    return doctor_tls.tried()


def test_handshakes_are_real(tried):
    assert tried.versions["TLS 1.2"]
    assert tried.versions["TLS 1.3"]
    assert not tried.versions["TLS 1.0"], "the proxy takes it with --legacy-tls alone"
    assert tried.legacy_versions["TLS 1.2"]
    assert set(tried.suites) == set(doctor_tls.WEAK)
    # What the library cannot even name was not agreed on.
    for suite in doctor_tls.WEAK:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(f"{suite}:@SECLEVEL=0")
        except ssl.SSLError:
            assert not tried.suites[suite]


def test_a_server_that_takes_one_version(tmp_path):
    with doctor_tls._files() as (chain, key), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(chain, key)
        server.maximum_version = ssl.TLSVersion.TLSv1_2
        server.minimum_version = ssl.TLSVersion.TLSv1_2
        server.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
        assert doctor_tls.agree(server, ssl.TLSVersion.TLSv1_2)
        assert not doctor_tls.agree(server, ssl.TLSVersion.TLSv1_3)
        assert not doctor_tls.agree(server, ssl.TLSVersion.TLSv1_2, "AES128-SHA")
        assert not doctor_tls.agree(server, ssl.TLSVersion.TLSv1_2, "NO-SUCH-SUITE")


@linux
def test_the_certificate_of_the_try_is_on_no_disk(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryDirectory", None)
    with doctor_tls._files() as (chain, key):
        assert str(chain).startswith("/proc/self/fd/")
        assert b"PRIVATE KEY" in key.read_bytes()


def test_elsewhere_it_is_gone_afterwards(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with doctor_tls._files() as (chain, key):
        assert b"CERTIFICATE" in chain.read_bytes()
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not chain.parent.exists()


@pytest.mark.parametrize(
    ("versions", "state"),
    [({"TLS 1.2", "TLS 1.3"}, State.OK), ({"TLS 1.2"}, State.WARN), (set(), State.MISSING)],
)
def test_a_library_without_versions(versions, state, monkeypatch):
    able = {name: name in versions for name in doctor_tls.VERSIONS}
    suites = dict.fromkeys(doctor_tls.WEAK, False)
    monkeypatch.setattr(doctor_tls, "tried", lambda: doctor_tls.Tried(able, able, suites))
    assert doctor_tls.library().state is state
    old = doctor_tls.legacy()
    assert old.state is State.MISSING
    assert "neither TLS 1.0 nor TLS 1.1" in old.found
    assert not old.essential
    assert old.mend


# --- the CA -----------------------------------------------------------------------------------------------------------


def test_no_ca(home):
    one = doctor_tls.authority()
    assert (one.state, one.facts["exists"]) == (State.OK, False)
    assert "none yet" in one.found
    assert list(home.iterdir()) == []


def test_a_good_ca(home):
    ours = Authority.at()
    before = [path.stat() for path in sorted(ours.folder.rglob("*"))]
    one = doctor_tls.authority()
    assert one.state is State.OK
    assert one.facts["fingerprint"] == ours.fingerprint
    assert one.facts["key_mode"] == "-rw-------"
    assert "PRIVATE" not in json.dumps(one.facts)
    assert [path.stat().st_mtime_ns for path in sorted(ours.folder.rglob("*"))] == [one.st_mtime_ns for one in before]


def years_ago(days):
    return lambda: datetime.now(UTC) - timedelta(days=days)


def test_a_ca_that_ends(home):
    Authority.at(clock=years_ago(350))
    one = doctor_tls.authority()
    assert (one.state, one.mend) == (State.WARN, ("$ blynkscope ca renew",))


def test_a_ca_that_has_ended(home):
    Authority.at(clock=years_ago(400))
    one = doctor_tls.authority()
    assert (one.state, one.essential, one.mend) == (State.MISSING, True, ("$ blynkscope ca renew",))
    assert "expired" in one.found


def test_a_ca_of_the_future(home):
    Authority.at(clock=years_ago(-30))
    assert "set its clock" in doctor_tls.authority().found
    one = doctor_machine.clock()
    assert one.state is State.WARN
    assert "the CA begins on" in one.found


@linux
@pytest.mark.parametrize(
    ("part", "mode", "state"),
    [
        (".", 0o755, State.WARN),
        (".", 0o777, State.MISSING),
        ("authority.pem", 0o644, State.WARN),
        ("authority.pem", 0o666, State.MISSING),
    ],
)
def test_permissions_are_told_and_left_alone(part, mode, state, home):
    folder = Authority.at().folder
    (folder / part).chmod(mode)
    one = doctor_tls.authority()
    assert one.state is state
    assert one.mend or "chmod" in one.found
    assert stat.S_IMODE((folder / part).stat().st_mode) == mode


def test_a_damaged_ca(home):
    ours = Authority.at()
    ours.private_path.write_text("nothing", encoding="ascii")
    one = doctor_tls.authority()
    assert (one.state, one.essential) == (State.MISSING, True)
    assert "damaged" in one.found
    assert ours.private_path.read_text(encoding="ascii") == "nothing"


@linux
@pytest.mark.parametrize("what", ["link", "file"])
def test_a_folder_that_is_none(what, home):
    folder = Path(config.default_path()).parent
    folder.mkdir()
    (folder / "elsewhere").mkdir(mode=0o700)
    (folder / "ca").symlink_to(folder / "elsewhere") if what == "link" else (folder / "ca").touch()
    one = doctor_tls.authority()
    assert one.state is State.MISSING
    assert "is no folder" in one.found
    assert list((folder / "elsewhere").iterdir()) == []


# --- sniffing, and Wireshark ------------------------------------------------------------------------------------------


def test_nobody_may_sniff(monkeypatch):
    monkeypatch.setattr(doctor_capture, "opened", lambda backend: f"this user may not sniff by {backend}: do this")
    right = doctor_capture.privilege()
    assert right.state is State.MISSING
    assert not right.essential
    assert right.mend[-1].startswith("$ sudo ")
    assert set(right.facts) == {"root", "capabilities", "groups", "ways"}


@linux
def test_a_dumpcap_that_this_user_may_not_use(monkeypatch, tmp_path):
    from blynkscope.sources.live import dumpcap

    program = tmp_path / "dumpcap"
    program.touch(mode=0o750)
    monkeypatch.setattr(dumpcap, "program", lambda: str(program))
    monkeypatch.setattr(doctor_capture, "opened", lambda backend: "this user may not sniff with it: do this")
    one = doctor_capture.dumpcap()
    assert (one.state, one.mend) == (State.WARN, ("this user may not sniff with it: do this",))
    assert one.facts["mode"] == "-rwxr-x---"
    assert (one.facts["path"], one.facts["works"]) == (str(program), False)
    program.chmod(0o4755)
    if os.geteuid() == 0:
        assert "set-uid root" in doctor_capture.dumpcap().found
    assert doctor_capture.kernel().state is State.MISSING


@linux
def test_no_dumpcap(monkeypatch):
    from blynkscope.sources.live import dumpcap

    monkeypatch.setattr(dumpcap, "program", lambda: None)
    one = doctor_capture.dumpcap()
    assert one.state is State.MISSING
    assert one.mend


def test_no_libpcap(monkeypatch):
    from blynkscope.sources.live import filters

    monkeypatch.setattr(filters, "libpcap", lambda: None)
    one = doctor_capture.libpcap()
    assert (one.state, one.found) == (State.MISSING, "not installed")
    assert one.mend


def fake_tshark(folder, monkeypatch, text):
    program = folder / "tshark"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{text}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return program


OLD = "TShark (Wireshark) 3.2.3 (Git v3.2.3)\n\nCompiled (64-bit) with libpcap, with Lua 5.2.4, with GnuTLS"
NEW = "TShark (Wireshark) 4.4.1.\n\nCompiled (64-bit) using GCC with GLib, without\nLua, with GnuTLS."


@linux
def test_an_old_tshark(home, tmp_path, monkeypatch):
    program = fake_tshark(tmp_path, monkeypatch, OLD)
    one = doctor_capture.tshark()
    assert one.state is State.MISSING
    assert one.found == f"{program}: tshark 3.2.3 is too old, 3.6.0 or newer is needed"
    assert one.mend[0].startswith("$ ")
    assert doctor_capture.lua() is None


@linux
def test_a_tshark_without_lua(home, tmp_path, monkeypatch):
    program = fake_tshark(tmp_path, monkeypatch, NEW)
    assert doctor_capture.tshark().found.startswith(f"4.4.1, {program}")
    assert doctor_capture.lua().state is State.MISSING
    fake_tshark(tmp_path, monkeypatch, NEW.replace("without\nLua", "with Lua\n5.4.6"))
    assert doctor_capture.lua().found == "Lua 5.4.6"


def test_no_tshark(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    one = doctor_capture.tshark()
    assert (one.state, one.found) == (State.MISSING, "tshark is not installed")
    assert not one.essential
    assert doctor_capture.lua() is None


def test_the_dissector(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    one = doctor_capture.dissector()
    assert (one.state, one.mend) == (State.OPTIONAL, ("$ blynkscope wireshark --install",))
    path = plugins.install(plugins.plugin_folder()[0], dissector())
    one = doctor_capture.dissector()
    assert (one.state, one.facts) == (State.OK, {"path": str(path), "current": True})
    path.write_text(path.read_text(encoding="ascii") + "-- old\n", encoding="ascii")
    one = doctor_capture.dissector()
    assert (one.state, one.facts["current"]) == (State.WARN, False)
    path.write_text("-- somebody's\n", encoding="ascii")
    assert "was not written by blynkscope" in doctor_capture.dissector().found


# --- the machine ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "said"),
    [(0.0, "it is behind"), (4e9, "it may be ahead"), (time.time(), None)],
    ids=["behind", "ahead", "right"],
)
def test_clock(now, said, home):
    one = doctor_machine.clock(now)
    assert one.state is (State.OK if said is None else State.WARN)
    assert said is None or said in one.found
    assert bool(one.mend) == (said is not None)


def test_a_port_that_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        assert doctor_machine.taken(number) == "taken by another program"
        one = doctor_machine._port(number, "proxy")
        assert (one.state, one.facts) == (State.WARN, {"port": number, "free": False})
        assert str(number) in one.mend[-1]
    assert doctor_machine.taken(number) is None


@pytest.mark.parametrize(
    ("needed", "state"),
    [
        ([("click", "8.1")], State.OK),
        ([("click", "999")], State.MISSING),
        ([("no-such-package-anywhere", "")], State.MISSING),
        ([], State.OK),
    ],
)
def test_packages(needed, state, monkeypatch):
    monkeypatch.setattr(doctor_machine, "_requirements", lambda: needed)
    one = doctor_machine.packages()
    assert (one.state, one.essential) == (state, True)
    assert bool(one.mend) == (state is not State.OK)


def test_what_the_package_needs_is_known():
    assert dict(doctor_machine._requirements())["click"] == "8.1"


def test_python_is_that_of_the_package():
    pyproject = (Path(__file__).parent.parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={".".join(map(str, doctor_machine.LEAST))}"' in pyproject


def test_uvloop_is_optional(monkeypatch):
    from importlib import metadata

    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", none)
    one = doctor_machine.uvloop()
    assert (one.state, one.essential) == (State.OPTIONAL, False)
    assert "pip install uvloop" in one.mend[0]


def test_few_open_files(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda what: (64, 128))
    one = doctor_machine.open_files()
    assert (one.state, one.facts) == (State.WARN, {"soft": 64, "hard": 128})
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, resource.RLIM_INFINITY))
    assert doctor_machine.open_files().found == "no limit"


# --- the configuration ------------------------------------------------------------------------------------------------


def put(text, mode=0o600):
    file = Path(config.default_path())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return str(file)


def test_configuration(home):
    path = config.default_path()
    assert doctor_machine.configuration(None).found == "none is read"
    assert "is not there, and not needed" in doctor_machine.configuration(path).found
    put("[all]\nquiet = true\n[live]\nbuffer = 32\n[decode]\nformat = 'tree'\n", 0o644)
    one = doctor_machine.configuration(path)
    assert (one.state, one.facts["options"]) == (State.OK, 3)


@linux
def test_secrets_that_others_may_read(home):
    path = put("[decode]\nwpa = ['hidden:net']\n", 0o644)
    one = doctor_machine.configuration(path)
    assert (one.state, one.mend) == (State.WARN, (f"$ chmod 600 {path}",))
    assert "hidden" not in one.found
    put("[decode]\nwpa = ['hidden:net']\n")
    assert doctor_machine.configuration(path).state is State.OK


@linux
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("text", ["", "[all]\nquiet = true\n", "[decode]\nwpa = ['hidden:net']\n", "[nothing"])
def test_a_configuration_that_others_may_write(text, mode, home):
    path = put(text, mode)
    one = doctor_machine.configuration(path)
    assert one.state is (State.MISSING if text == "[nothing" else State.WARN)
    assert "others may write it" in one.found
    assert one.facts["others_may_write"]
    assert any(f"chmod go-w {path}" in line or f"chmod 600 {path}" in line for line in one.mend)
    put(text, 0o600)
    assert "may write" not in doctor_machine.configuration(path).found


def test_the_packages_are_those_of_the_project():
    """A package that the program needs and that its installed metadata do not name would not be looked for."""
    project = Path(__file__).parent.parent.parent / "pyproject.toml"
    lines = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    matches = [doctor_machine._REQUIREMENT.match(line) for line in lines]
    wanted = {match[1]: match[2] or "" for match in matches}
    assert "h11" in wanted
    assert len(wanted) == len(lines)


def test_a_configuration_with_a_mistake(home):
    """Of a command that is not run, too; and doctor itself runs all the same."""
    path = put("[live]\n\nbufer = 32\n")
    done = blynkscope("doctor", "--format", "json")
    assert done.returncode == 4
    told = {one["id"]: one for one in json.loads(done.stdout)["checks"]}["configuration"]
    assert told["state"] == "missing"
    assert told["found"].startswith(f"{path}:3:1: unknown option")
    assert "--no-config" in told["mend"][0]
    assert blynkscope("--no-config", "doctor").returncode == 0


# --- how things are installed elsewhere -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "system", "family"),
    [
        ('ID=debian\nVERSION="12"\n', "linux", "debian"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", "linux", "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "linux", "fedora"),
        ("ID=opensuse-tumbleweed\n", "linux", "suse"),
        ("ID=manjaro\nID_LIKE=arch\n", "linux", "arch"),
        ("ID=alpine", "linux", "alpine"),
        ("# ID=alpine\nnonsense\n", "linux", None),
        ("", "darwin", "macos"),
        ("ID=debian", "win32", "windows"),
        ("ID=freebsd", "freebsd14", "freebsd"),
    ],
)
def test_families(release, system, family):
    assert doctor_mending.family_of(doctor_mending.release_of(release), system) == family


@pytest.mark.parametrize(
    "system", ["debian", "fedora", "arch", "suse", "alpine", "freebsd", "macos", "windows", "other"]
)
def test_how_to_install(system):
    for what in ("dumpcap", "python"):
        (line,) = doctor_mending.install(what, system)
        assert line.startswith("$ ") or what in line
    assert doctor_mending.set_clock(system)[0].startswith("$ ")
    assert doctor_mending.install("dumpcap", "debian") == ("$ sudo apt-get install wireshark-common",)
