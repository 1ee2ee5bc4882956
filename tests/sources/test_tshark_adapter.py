"""tshark and pyshark misbehaving: a program of our own in the place of tshark does what the real one seldom does."""

import asyncio
import contextlib
import os
import stat
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.errors import CaptureError, EnvironmentProblem
from blynkscope.sources.tshark import TsharkSource, adapter, find_tshark, program
from blynkscope.sources.tshark.options import arguments, wpa_key
from blynkscope.sources.tshark.program import install_command
from blynkscope.sources.tshark.segments import read_packet
from blynkscope.wire.events import Closed, Data, Opened

VERSION = "TShark (Wireshark) 4.2.2 (Git v4.2.2 packaged as 4.2.2-1)\\n\\nCopyright 1998"
HEAD = '<?xml version="1.0"?>\n<pdml version="0">\n'
BASE = {"ip.src": "192.0.2.1", "ip.dst": "192.0.2.2", "tcp.srcport": "50000", "tcp.dstport": "8080"}


def packet(number, payload=b"", *, flags=0x18, **more):
    """A packet of one connection in PDML; `number` counts the bytes before it."""
    fields = {
        "frame.time_epoch": f"{1000 + number}.5", "frame.cap_len": "60", "frame.protocols": "eth:ethertype:ip:tcp",
        **BASE, "tcp.seq_raw": str(1001 + number), "tcp.ack_raw": "1", "tcp.flags": hex(flags),
        "tcp.len": str(len(payload)),
    }  # fmt: skip
    if payload:
        fields["tcp.payload"] = payload.hex()
    fields |= more
    lines = [f'  <field name="{name}" value="{value}"/>\n' for name, value in fields.items() if value is not None]
    return "<packet>\n" + '  <proto name="geninfo" pos="0"/>\n' + "".join(lines) + "</packet>\n\n"


class Fake:
    """A shell script that answers as tshark does, and then does what a test wants."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "tshark"
        self.capture = folder / "capture.pcap"
        self.capture.write_bytes(b"whatever")
        self.does("")

    def does(self, lines, output="", version=VERSION):
        (self.folder / "output").write_text(output, encoding="utf-8")
        self.path.write_text(
            f"#!/bin/sh\nif [ \"$1\" = --version ]; then printf '{version}'; exit 0; fi\n"
            f"cat '{self.folder}/output'\n{lines}\n",
            encoding="utf-8",
        )
        self.path.chmod(0o755)
        return self

    def source(self, **options):
        return TsharkSource(str(self.capture), program=str(self.path), **options)


@pytest.fixture
def fake(tmp_path):
    return Fake(tmp_path)


def events_of(source):
    return [event for batch in source for event in batch]


def payload(events):
    return b"".join(event.data for event in events if isinstance(event, Data))


# --- the program


def test_version_and_absolute_path(fake, monkeypatch):
    assert find_tshark(str(fake.path)) == (str(fake.path), (4, 2, 2))
    monkeypatch.chdir(fake.folder)
    assert find_tshark("./tshark").path == str(fake.path)


def test_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(program.sys, "platform", "linux")
    for asked in (None, "tshark", "./nowhere/tshark"):
        with pytest.raises(EnvironmentProblem, match="install it with: ") as caught:
            find_tshark(asked)
        assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("platform", "command"),
    [("darwin", "brew install wireshark"), ("win32", "winget install WiresharkFoundation.Wireshark")],
)
def test_the_install_command_is_that_of_the_system(monkeypatch, platform, command):
    monkeypatch.setattr(program.sys, "platform", platform)
    assert install_command() == command


def test_the_install_command_is_that_of_the_distribution(monkeypatch, tmp_path):
    (tmp_path / "dnf").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "dnf").chmod(0o755)
    monkeypatch.setattr(program.sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert install_command() == "sudo dnf install wireshark-cli"


def test_too_old(fake):
    fake.does("", version="TShark (Wireshark) 2.6.20 (Git v2.6.20)\\n")
    with pytest.raises(EnvironmentProblem, match=r"tshark 2\.6\.20 is too old, 3\.6\.0 or newer is needed"):
        find_tshark(str(fake.path))


def test_no_tshark_at_all(fake):
    fake.does("", version="hello\\n")
    with pytest.raises(EnvironmentProblem, match="this is no tshark"):
        find_tshark(str(fake.path))


def test_not_executable(fake):
    fake.path.chmod(0o644)
    with pytest.raises(EnvironmentProblem, match="not executable"):
        find_tshark(str(fake.path))


def test_cannot_be_run(fake):
    fake.path.write_bytes(b"\x7fELF nonsense")
    fake.path.chmod(0o755)
    with pytest.raises(EnvironmentProblem, match="cannot be run as tshark"):
        find_tshark(str(fake.path))


def test_a_program_that_never_answers(fake, monkeypatch):
    monkeypatch.setattr(program, "ANSWER_SECONDS", 0.2)
    fake.path.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    with pytest.raises(EnvironmentProblem, match="does not tell its version"):
        find_tshark(str(fake.path))


def test_another_program_at_the_same_place_is_asked_again(fake):
    find_tshark(str(fake.path))
    fake.does("", version="TShark (Wireshark) 4.4.9 \\n")
    os.utime(fake.path, ns=(1, 1))
    assert find_tshark(str(fake.path)).version == (4, 4, 9)


def test_the_current_folder_is_not_searched(fake, monkeypatch):
    """Relative folders in the search path mean the current one: a capture may lie beside a program of its sender."""
    monkeypatch.chdir(fake.folder)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "./bin"]))
    monkeypatch.setattr(program.sys, "platform", "linux")
    with pytest.raises(EnvironmentProblem):
        find_tshark()


def test_config_ini_of_the_current_folder_is_not_followed(fake, monkeypatch, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "run").write_text(f"#!/bin/sh\ntouch '{bad}/was-run'\n", encoding="utf-8")
    (bad / "run").chmod(0o755)
    for text in (f"[tshark]\ntshark_path = {bad}/run\n", "no configuration at all [\n", "[other]\na = b\n"):
        (bad / "config.ini").write_text(text, encoding="utf-8")
        monkeypatch.chdir(bad)
        monkeypatch.setattr("pyshark.config.fp_config_path", bad / "config.ini")
        fake.does("", HEAD + packet(0, b"x"))
        assert payload(events_of(fake.source())) == b"x"
        assert not (bad / "was-run").exists()


# --- what tshark is started with


SPY = """
{ printf '%s\\n' "$@"; } > '{folder}/arguments'
env > '{folder}/environment'
pwd > '{folder}/place'
cp 80211_keys '{folder}/keys'; ls -ld . 80211_keys > '{folder}/modes'
"""


def spied(fake, **options):
    fake.does(SPY.replace("{folder}", str(fake.folder)), HEAD)
    source = fake.source(**options)
    events_of(source)
    return {
        name: (fake.folder / name).read_text(encoding="utf-8")
        for name in ("arguments", "environment", "place", "keys", "modes")
    }


def test_a_folder_and_configuration_of_its_own(fake, monkeypatch):
    monkeypatch.chdir(fake.folder)
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", "/somebody/elses")
    monkeypatch.setenv("WIRESHARK_PLUGIN_DIR", "/somebody/elses")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somebody/elses")
    seen = spied(fake)
    home = seen["place"].strip()
    assert home != str(fake.folder)
    assert f"WIRESHARK_CONFIG_DIR={home}" in seen["environment"].splitlines()
    assert f"HOME={home}" in seen["environment"].splitlines()
    assert "elses" not in seen["environment"]
    assert not Path(home).exists()


def test_paths_are_absolute(fake, monkeypatch):
    monkeypatch.chdir(fake.folder)
    strange = fake.folder / "-w evil $(touch x) \"'.pcap"
    strange.write_bytes(b"x")
    fake.capture = Path(strange.name)
    Path("keys.log").write_text("", encoding="utf-8")
    lines = spied(fake, keylog=Path("keys.log"))["arguments"].splitlines()
    assert lines[lines.index("-r") + 1] == str(strange)
    assert f"tls.keylog_file:{fake.folder}/keys.log" in lines
    assert not Path("x").exists()


def test_pass_phrases_are_no_arguments(fake):
    seen = spied(fake, wpa=["correct horse:home", "battery staple"])
    assert seen["keys"] == '"wpa-pwd","correct%20horse:home"\n"wpa-pwd","battery%20staple"\n'
    assert "horse" not in seen["arguments"] + seen["environment"]
    assert "wlan.enable_decryption:TRUE" in seen["arguments"]
    modes = seen["modes"].splitlines()
    assert [line[:10] for line in modes] == ["drwx------", "-rw-------"]


def test_decode_as_and_preferences(fake):
    lines = spied(
        fake, decode_as=["tcp.port==8888,tls"], preferences={"tls.keys_list": "a b", "ip.defragment": "FALSE"}
    )["arguments"].splitlines()
    assert "tcp.port==8888,tls" in lines
    assert "tls.keys_list:a b" in lines
    assert "ip.defragment:FALSE" in lines
    assert "ip.defragment:TRUE" not in lines


@pytest.mark.parametrize(
    "options",
    [
        {"decode_as": ["tcp.port==1"]},
        {"decode_as": ["tcp.port==1,tls\n-w"]},
        {"preferences": {"uat:80211_keys": "x"}},
        {"preferences": {"tls.keylog_file": "a\nb"}},
        {"preferences": {"-w": "x", "": "y"}},
        {"wpa": ["short:net"]},
        {"wpa": ["x" * 64]},
        {"wpa": ["password:"]},
        {"wpa": ["password:" + "n" * 33]},
        {"wpa": ["100%sure:net"]},
        {"wpa": [""]},
    ],
)
def test_malformed_options_are_refused(fake, monkeypatch, options):
    monkeypatch.setattr("tempfile.tempdir", str(fake.folder))
    with pytest.raises(ValueError, match=r"."):
        fake.source(**options)
    assert not list(fake.folder.glob("blynkscope-tshark-*"))


@given(st.binary(min_size=8, max_size=63), st.binary(min_size=1, max_size=32))
def test_a_wpa_key_is_one_line_of_safe_characters(secret, ssid):
    word = ":".join("".join(f"%{byte:02x}" for byte in part) for part in (secret, ssid))
    line = wpa_key(word)
    assert line.startswith('"wpa-pwd","')
    assert line.endswith('"\n')
    inside = line[len('"wpa-pwd","') : -2]
    assert all(character.isalnum() or character in "%:._-~" for character in inside)
    assert inside.count(":") == 1


def test_a_raw_key():
    assert wpa_key("AB" * 32) == f'"wpa-psk","{"ab" * 32}"\n'


def test_the_text_of_an_error_does_not_repeat_a_pass_phrase():
    with pytest.raises(ValueError, match="8 to 63") as caught:
        wpa_key("secret:net")
    assert "secret" not in str(caught.value)


def test_only_fields_without_text_of_the_wire_are_asked_for():
    options = arguments(keylog=None, decode_as=(), wifi=False, preferences={})
    asked = [options[place + 1] for place, word in enumerate(options) if word == "-e"]
    assert "tcp.payload" in asked
    assert not [name for name in asked if "info" in name or "text" in name]


# --- how it ends


def test_what_it_says_becomes_events(fake):
    fake.does("", HEAD + packet(0, b"ab") + packet(2, b"cd", flags=0x11) + "</pdml>\n")
    source = fake.source()
    events = events_of(source)
    assert payload(events) == b"abcd"
    assert source.packets == 2
    assert source.damage is None
    assert source.lost == {}
    assert [type(event) for event in events] == [Opened, Data, Data, Closed]


def test_crash_in_the_middle(fake):
    fake.does("echo 'tshark: out of luck' >&2; kill -SEGV $$", HEAD + packet(0, b"ab") + packet(2, b"cd")[:90])
    source = fake.source()
    assert payload(events_of(source)) == b"ab"
    assert source.damage is not None
    assert "signal 11" in source.damage.what
    assert "out of luck" in source.damage.what
    assert source.lost == {"captures_damaged": 1}


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("echo 'tshark: Some fields aren\"t valid' >&2; exit 1", "fields aren"),
        ("exit 2", "ended with status 2"),
        ("kill -ABRT $$", "crashed .signal 6."),
    ],
)
def test_an_end_before_the_first_packet(fake, lines, text):
    fake.does(lines)
    with pytest.raises(CaptureError, match=text):
        events_of(fake.source())


def test_complaints_without_end_are_cut(fake):
    fake.does("yes 'tshark: everything is wrong' | head -c 3000000 >&2; exit 2", HEAD + packet(0, b"ab"))
    source = fake.source()
    assert payload(events_of(source)) == b"ab"
    assert len(source.damage.what) < 400


def test_harmless_complaints_are_not_repeated(fake):
    fake.does('echo \'Running as user "root" and group "root". This could be dangerous.\' >&2; exit 2')
    with pytest.raises(CaptureError, match="ended with status 2") as caught:
        events_of(fake.source())
    assert "dangerous" not in str(caught.value)


def test_output_without_end_of_a_packet(fake, monkeypatch):
    monkeypatch.setattr(adapter, "PACKET_TEXT_MAX", 300_000)
    fake.does("exec yes '<packet>'", HEAD + packet(0, b"ab"))
    source = fake.source()
    assert payload(events_of(source)) == b"ab"
    assert source.damage is not None


def test_a_program_that_vanishes(fake):
    source = fake.source()
    fake.path.unlink()
    with pytest.raises(EnvironmentProblem, match="cannot be run"):
        events_of(source)


@pytest.fixture
def children(monkeypatch):
    """The process ids of every tshark that was started."""
    pids = []
    start = adapter._Child.__init__

    def noted(self, command, home):
        start(self, command, home)
        pids.append(self.process.pid)

    monkeypatch.setattr(adapter._Child, "__init__", noted)
    return pids


def test_it_is_ended_when_nobody_reads_on(fake, children):
    (fake.folder / "more").write_text(packet(0, b"x"), encoding="utf-8")
    fake.does(f"more=$(cat '{fake.folder}/more'); while :; do echo \"$more\"; done")
    source = fake.source()
    packets = iter(source._tap)
    next(packets)
    (pid,) = children
    os.kill(pid, 0)
    packets.close()
    assert_gone(children)
    source.close()


def test_close_without_reading(fake):
    source = fake.source()
    home = Path(source._home.name)
    assert home.exists()
    source.close()
    source.close()
    assert not home.exists()


def assert_gone(pids):
    """Neither running nor waiting to be waited for."""
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_no_zombies(fake, children):
    fake.does("", HEAD + packet(0, b"ab"))
    events_of(fake.source())
    fake.does("kill -SEGV $$", HEAD + packet(0, b"ab"))
    events_of(fake.source())
    assert len(children) == 2
    assert_gone(children)


# --- threads and loops


def test_in_threads(fake):
    fake.does("", HEAD + packet(0, b"ab"))
    found = []
    threads = [threading.Thread(target=lambda: found.append(payload(events_of(fake.source())))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"ab"] * 4


def test_inside_a_running_loop(fake):
    fake.does("", HEAD + packet(0, b"ab"))

    async def main():
        return payload(events_of(fake.source()))

    assert asyncio.run(main()) == b"ab"
    assert payload(events_of(fake.source())) == b"ab"  # and behind it, where there is no loop any more


def test_no_event_loop_is_made(fake, monkeypatch):
    """Newer Pythons have no loop unless one makes it, and no child watchers at all."""

    def refused(*_):
        raise AssertionError("an event loop is asked for")

    for name in (
        "get_event_loop_policy",
        "new_event_loop",
        "set_event_loop",
        "create_subprocess_exec",
        "ensure_future",
    ):
        monkeypatch.setattr(asyncio, name, refused)
    monkeypatch.delattr(asyncio, "set_child_watcher", raising=False)
    fake.does("", HEAD + packet(0, b"ab"))
    assert payload(events_of(fake.source())) == b"ab"


# --- what cannot be read


def test_no_file(fake):
    fake.capture = fake.folder / "nothing"
    with pytest.raises(CaptureError, match="No such file"):
        fake.source()


def test_a_folder(fake):
    fake.capture = fake.folder
    with pytest.raises(CaptureError, match="folder"):
        fake.source()


def test_standard_input(fake, monkeypatch):
    import io

    class Input:
        buffer = io.BytesIO(b"from a pipe")

    monkeypatch.setattr("sys.stdin", Input)
    fake.does(f"while [ $# -gt 0 ]; do [ $1 = -r ] && cat \"$2\" > '{fake.folder}/copy'; shift; done", HEAD)
    source = TsharkSource("-", program=str(fake.path))
    assert source.name == "standard input"
    events_of(source)
    assert (fake.folder / "copy").read_bytes() == b"from a pipe"


@pytest.mark.parametrize(
    "damage",
    [
        {"ip.src": "not an address"},
        {"ip.src": None},
        {"tcp.seq_raw": "many"},
        {"tcp.seq_raw": None},
        {"tcp.srcport": "70000"},
        {"tcp.payload": "0g"},
        {"tcp.flags": "-0x2"},
        {"frame.time_epoch": "yesterday"},
        {"frame.protocols": "eth:ip:tcp:ip:tcp"},
    ],
)
def test_fields_that_make_no_sense_are_counted(fake, damage):
    fake.does("", HEAD + packet(0, b"ab") + packet(2, b"cd", **damage) + packet(2, b"cd"))
    source = fake.source()
    assert payload(events_of(source)) == b"abcd"
    assert source.lost == {"packets_broken": 1}


FIELD_NAMES = ["frame.time_epoch", "frame.cap_len", "frame.protocols", *BASE, "tcp.seq_raw", "tcp.ack_raw"]
FIELD_NAMES += ["tcp.flags", "tcp.len", "tcp.payload", "data.data", "tls.app_data", "tls.record.version"]
FIELD_NAMES += ["tls.record.opaque_type", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "udp.payload"]
VALUES = st.sampled_from(["", "0", "1", "53", "0x18", "1e400", "nan", "00", "ab", "192.0.2.1", "::1", "tcp", "é"])
PROTOCOLS = st.lists(st.sampled_from(["eth", "ip", "ipv6", "tcp", "udp", "tls", "data", "icmp", "llc"])).map(":".join)


@given(st.dictionaries(st.sampled_from(FIELD_NAMES), st.lists(VALUES, min_size=1, max_size=3)), PROTOCOLS)
def test_whatever_fields_say_there_is_one_error_only(fields, protocols):
    with contextlib.suppress(ValueError):
        read_packet({**fields, "frame.protocols": [protocols]})


def test_a_block_that_is_no_packet(fake):
    empty = '<packet>\n  <field name="frame.protocols" value=""/>\n</packet>\n'
    fake.does("", HEAD + packet(0, b"ab") + empty + "<packet>\n</packet>\n" + packet(2, b"cd"))
    source = fake.source()
    assert payload(events_of(source)) == b"abcd"
    assert source.packets == 2


def test_a_packet_without_a_time_has_that_of_the_one_before(fake):
    fake.does("", HEAD + packet(0, b"ab") + packet(2, b"cd", **{"frame.time_epoch": None}))
    assert [event.time for event in events_of(fake.source()) if isinstance(event, Data)] == [1000.5, 1000.5]


def test_times_as_dates(fake):
    fake.does("", HEAD + packet(0, b"ab", **{"frame.time_epoch": "1970-01-01T00:16:40.500000+00:00"}))
    assert [event.time for event in events_of(fake.source()) if isinstance(event, Data)] == [1000.5]


def test_many_packets_are_told_in_time(fake):
    """One packet after the other, not all at the end; and no packet costs more than the one before."""
    fake.does("", HEAD + "".join(packet(n, b"x") for n in range(3000)))
    seen = []
    source = fake.source()
    source.size = 3000 * 76
    source.on_read = seen.append
    begin = time.monotonic()
    batches = list(source)
    assert len(batches) > 5
    assert seen == sorted(seen)
    assert 0 < seen[-1] <= source.size
    assert time.monotonic() - begin < 20


def test_the_file_of_keys_is_for_the_user_alone(fake):
    source = fake.source(wpa=["correct horse:home"])
    home = Path(source._home.name)
    assert stat.S_IMODE((home / "80211_keys").stat().st_mode) == 0o600
    source.close()


def test_escapes_in_a_value(fake):
    """Quotes and angle brackets do not end it early."""
    odd = packet(2, b"cd", **{"frame.protocols": "eth:ip:tcp&quot;&lt;/packet&gt;:x"})
    fake.does("", HEAD + packet(0, b"ab") + odd + packet(4, b"ef"))
    source = fake.source()
    assert payload(events_of(source)).startswith(b"ab")
    assert source.packets == 3
