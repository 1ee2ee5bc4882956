"""No secret of any capture or log is in any output, whatever was left out of it and whatever log stands beside it."""

import json
import re
import subprocess
import sys
import time

import pytest
from captures_of import CAPTURES, undamaged
from click.testing import CliRunner
from talk import TOKEN, frame

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, FrameRecord, LogRecord, StreamRecord, spelled_out
from blynkscope.analysis.selection import Selection
from blynkscope.cli import cli
from blynkscope.protocol import commands
from blynkscope.protocol.schema import readable
from blynkscope.render.formats import FORMATS
from blynkscope.render.redact import SECRET_COMMANDS, Redactor, token_name
from blynkscope.sources import open_input
from blynkscope.wire.events import Data, Opened

SECRET = "Zx9qW8eR7tY6uI5oP4aS3dF2gH1jK0lM"
OTHER = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
HEX = " ".join(f"{byte:02X}" for byte in SECRET.encode())
MAIL = "jane.doe@example.org"
PLAIN = CAPTURES / "04_hw_plain_cpp140.pcap"
SEEDS = CAPTURES.parent / "tests" / "seeds"
LOGS = sorted([*CAPTURES.glob("*.clientlog.txt"), *(CAPTURES / "logs").glob("*.txt"), *SEEDS.glob("*.txt")])
LOGS = [path for path in LOGS if not path.name.startswith("README")]
WAYS = {"plain": (), "filter": ("--filter", "cmd == PING"), "stream": ("--stream", "1")}


def decode(*args):
    result = CliRunner().invoke(cli, ["decode", *map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


def file(tmp_path, text, name="log.txt"):
    path = tmp_path / name
    path.write_text(text)
    return path


def declared(cmd, body):
    """The secrets that a schema declares, and that are long enough not to stand in innocent text."""
    return {
        readable(span.raw)
        for row in commands.rows(cmd)
        for span in row.body.secrets(body)
        if len(span.raw) >= 6 and (span.secret != "email" or b"@" in span.raw)
    }


def secrets_of(path):
    """Secrets by the truth beside a capture, and by the frames of any input."""
    found = set()
    truth = path.with_name(f"{path.name.partition('.')[0]}.truth.jsonl")
    if truth.exists() and "clientlog" not in path.name:
        for line in truth.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["event"] == "msg" and row["cmd"] in SECRET_COMMANDS:
                found |= declared(row["cmd"], bytes.fromhex(row.get("body_hex", "")))
    analyser, source = Analyser(findings=False), open_input(str(path))
    records = [record for batch in source for record in analyser.feed(batch)]
    for record in spelled_out(records + analyser.finish()):
        if isinstance(record, FrameRecord) and record.cmd in SECRET_COMMANDS:
            found |= declared(record.cmd, bytes.fromhex(record.body))
    return {secret for secret in found if len(set(secret)) > 2}


def assert_hidden(output, secrets):
    plain = re.sub(r"[\s|,:{}\[\]]|0x|\\x", "", output).lower()
    for secret in secrets:
        assert secret not in output
        if len(secret) >= 16:
            assert secret.encode().hex() not in plain


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", [*undamaged(), *LOGS], ids=lambda path: path.name)
def test_no_secret_of_any_input_is_in_any_output(path, way):
    secrets = secrets_of(path)
    if not secrets:
        return
    for form in FORMATS:
        assert_hidden(decode(path, "--format", form, "-v", *WAYS[way]), secrets)


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.name)
def test_no_secret_of_a_log_beside_a_capture(log):
    secrets = secrets_of(log) | secrets_of(PLAIN)
    assert secrets
    for form in ("table", "ladder", "jsonl"):
        assert_hidden(decode(PLAIN, "--log", log, "--format", form), secrets)


def test_the_corpus_has_secrets():
    assert sum(bool(secrets_of(path)) for path in undamaged()) > 20
    assert sum(bool(secrets_of(path)) for path in LOGS) > 12


# --- lines of logs ---

LINES = {
    "a sketch's define": f'#define BLYNK_AUTH_TOKEN "{SECRET}"',
    "a crash": f"Guru Meditation Error: {SECRET}",
    "a print": f"Login timeout {SECRET}",
    "an older server": f"HardwareMessage{{id=1, command=LOGIN, length=32, body='{SECRET}'}}",
    "hex digits": f"token bytes {HEX}",
    "a short token of a server": "HardwareMessage{id=1, command=LOGIN, length=7, body='hunter2'}",
    "a modem": 'AT+CWJAP="HomeNet77","hunter2,\\"secret"',
    "a define of a password": '#define WIFI_PASS "hunter2"',
    "another quote inside": """char pass[] = "hunter2's'secret";""",
    "a portal": "SSID: HomeNet77 Pass: hunter2",
    "a user of a URL": "GET http://jane:hunter2@localhost/x",
    "a mail in a URL": f"GET http://{MAIL}:hunter2@localhost/x",
    "curl": f"curl -u {MAIL}:hunter2 http://127.0.0.1/x",
    "curl with quotes": "curl --user 'admin:hunter2 secret' http://127.0.0.1/x",
    "an escaped mail": "GET /invite?to=jane.doe%40example.org",
    "JSON in JSON": r'{"body":"{\"password\":\"hunter2\"}"}',
    "an escaped quote": r'{"password":"x\"hunter2"}',
}


@pytest.mark.parametrize("text", LINES.values(), ids=LINES)
def test_a_secret_in_a_line_of_a_log(text):
    redactor = Redactor()
    log = redactor.apply(LogRecord(1, None, 3, "error", text)).text
    finding = redactor.apply(FindingRecord("BS1", "x", "note", "login", 1, (), 1, "x", text, "x")).detail
    for shown in (log, finding):
        for secret in (SECRET, HEX, "hunter2", 'secret"', MAIL, "jane.doe"):
            assert secret not in shown
    assert Redactor(show_secrets=True).apply(LogRecord(1, None, 3, "error", text)).text == text


@pytest.mark.parametrize(
    "text",
    [
        "IMEI: 490154203237518", "[81] Connecting to HomeNet77", "Ready (ping: 8ms).", "Free RAM: 41234",
        "Redirecting to ny3.blynk.cloud:80", "ets Jan  8 2013,rst cause:2, boot mode:(3,6)", "http://127.0.0.1:8080/x",
        "3ffffdc0:  4020101c 3ffee5e8 00000000 40201f9c 3fffdad0 00000000 3ffee5dc 40201fe0", "0" * 32,
        "sha256 " + "5a" * 32,
    ],
)  # fmt: skip
def test_innocent_lines_stay(text):
    redactor = Redactor()
    redactor.learn(commands.HW_LOGIN, SECRET.encode())
    assert redactor.apply(LogRecord(1, None, 3, "error", text)).text == text


def spelling(form, data):
    return "".join(form % byte for byte in data)


SPELLINGS = ["%02X ", "%02x ", "%02X|", "%02x", "%02X", "\\x%02x", "0x%02X, ", "{%02X}", "[%02X]", "%02x:", "%d, "]


@pytest.mark.parametrize("form", SPELLINGS)
@pytest.mark.parametrize("before", [b"\x1d\0\1\0\x20", b""])
def test_a_known_token_in_digits(form, before):
    redactor = Redactor()
    redactor.learn(commands.HW_LOGIN, OTHER.encode())
    for data in (OTHER.encode(), OTHER[:8].encode(), OTHER[11:23].encode(), OTHER[20:].encode()):
        text = f"sent {spelling(form, before)}{spelling(form, data)} ok"
        shown = redactor.line(text)
        assert shown.startswith("sent ")
        assert shown.endswith(" ok")
        assert len(shown) == len(text)
        assert spelling(form, data[1:]) not in shown
        if form != "%d, ":
            assert shown.count("*") == 2 * len(data)


def test_a_known_mail_and_hash_in_digits():
    redactor = Redactor()
    redactor.learn(commands.LOGIN, f"{MAIL}\0aGFzaGhhc2hoYXNo/GFzaA==\0Android".encode())
    for secret in (MAIL, "aGFzaGhhc2hoYXNo/GFzaA=="):
        shown = redactor.line(f"> {spelling('%02x ', secret.encode())}")
        assert not re.search("[0-9a-f]", shown)
        assert secret not in redactor.line(f"is {secret}")


def test_pieces_of_a_known_token_over_lines():
    redactor = Redactor()
    redactor.learn(commands.HW_LOGIN, SECRET.encode())
    for start, end in ((0, 8), (8, 20), (3, 31), (24, 32)):
        piece = SECRET[start:end]
        assert redactor.line(f"x{piece}! [5]") == f"x{token_name(SECRET)}! [5]"


def test_learning_gives_no_numbers_before_something_is_shown():
    redactor = Redactor()
    redactor.learn(commands.LOGIN, b"other@example.org\0c2FsdGVkaGFzaA==", "app")
    assert redactor.line(f"{MAIL} other@example.org") == "mail:1 mail:2"


@pytest.mark.parametrize(
    "text",
    [
        "1D " * 100_000, "5A" * 150_000, "0x5A, " * 50_000, "90, " * 70_000, SECRET[:8] * 30_000, "curl -u " * 40_000,
        "curl -u " + "a" * 300_000, "://" * 100_000, "://a:" * 60_000, "%40" * 100_000, "a%40" * 70_000, "pass: " * 50_000,
        "auth " * 60_000, 'pass="' * 50_000, "AT+CWJAP=\"" * 30_000, "command=login body='" * 15_000, SECRET[:6] * 50_000,
    ],
    ids=range(17),
)  # fmt: skip
def test_hostile_lines_are_not_slow(text):
    redactor = Redactor()
    redactor.learn(commands.HW_LOGIN, SECRET.encode())
    begin = time.perf_counter()
    redactor.line(text)
    assert time.perf_counter() - begin < 5


# --- a log beside a capture ---

BESIDE = {
    "text": f"[20] <[1D|00|01|00] {SECRET}\n[30] >[00|00|01|00|C8]\n",
    "digits": f"[10] Connecting to blynk.cloud:80\n[20] Sending 1D 00 01 00 20 {HEX}\n[30] >[00|00|01|00|C8]\n",
    "python": f"> Outbound Data Packet: CMD: 29, ID: 1, Data: {SECRET}\n< Server Acknowledge: CMD: 0, ID: 1, STA: 200\n",
    "app": ">[02|00|01|00|00|00|1e]a@b.example\\0Abcdefgh1234567890\n",
    "bridge": f"[20] <[1D|00|01|00] {OTHER}\n[30] <[0F|00|02|00|24]5[00]i[00]{SECRET}\n",
}


@pytest.mark.parametrize("form", ["jsonl", "table", "ladder"])
@pytest.mark.parametrize("text", BESIDE.values(), ids=BESIDE)
def test_a_token_in_a_log_beside_a_capture(tmp_path, text, form):
    output = decode(PLAIN, "--log", file(tmp_path, text), "--format", form)
    for secret in (SECRET, HEX, OTHER, "Abcdefgh1234567890", "a@b.example"):
        assert secret not in output


# --- what a filter leaves out ---

TALK = f"[20] <[1D|00|01|00] {SECRET}\n[30] >[00|00|01|00|C8]\n[40] <[14|00|02|00|2F]vw[00]1[00]my token is {SECRET}\n"


@pytest.mark.parametrize("way", [(), ("--filter", "cmd == MSG_HW")])
def test_a_token_in_a_pin_whose_login_is_left_out(tmp_path, way):
    for form in FORMATS:
        assert SECRET not in decode(file(tmp_path, TALK), "--format", form, *way)


def test_the_process_that_writes_lines_learns_what_it_does_not_get(tmp_path):
    text = TALK.replace(SECRET, "abcdefgh-my-own").replace("|2F]", "|1E]")
    told = [sys.executable, "-m", "blynkscope", "decode", file(tmp_path, text), "--format", "jsonl", "--jobs"]
    runs = [
        subprocess.run([*told, jobs, "--filter", "cmd == MSG_HW"], check=True, capture_output=True, timeout=60).stdout
        for jobs in "12"
    ]
    assert b'"cmd":20' in runs[1]
    assert b"abcdefgh-my-own" not in runs[1]
    assert runs[0] == runs[1]


def test_details_of_streams_hide_pieces():
    redactor = Redactor()
    redactor.learn(commands.HW_LOGIN, SECRET.encode())
    detail = {"session": {"pins": [{"pin": "V1", "value": f"my token is {SECRET[:20]}"}]}}
    assert SECRET[:8] not in str(redactor.apply(StreamRecord("closed", 1, None, "device", 0, detail)).detail)


def test_frames_of_shown_streams_hide_what_others_said():
    analyser, said = Analyser(), frame(20, 2, b"vw", b"1", b"the token of the other one is " + TOKEN)
    records = []
    for stream, data in ((1, frame(29, 1, TOKEN)), (2, said)):
        ends = f"192.0.2.{stream}:50000", "198.51.100.2:8080"
        records += analyser.feed([Opened(stream, 1.0, *ends, 50000, 8080, True), Data(stream, 0, 1.0, data)])
    redactor, shown = Redactor(), []
    for part, passed_over in Selection(None, [2]).parts(records, SECRET_COMMANDS):
        shown += [redactor.apply(record) for record in part]
        if passed_over is not None:
            redactor.learn_frame(passed_over)
    values = [record for record in shown if isinstance(record, FrameRecord)]
    assert [record.cmd for record in values] == [20]
    assert TOKEN.decode() not in str(values)
    assert TOKEN.hex() not in str(values)
