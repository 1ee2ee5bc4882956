import json
import re

import pytest
from click.testing import CliRunner

from blynkscope.cli.hexdump import command as hexdump
from blynkscope.errors import EnvironmentProblem

TOKEN = "0123456789abcdef0123456789abcdef"
LOGIN = bytes.fromhex("1d00010020") + TOKEN.encode()
WRITE = bytes.fromhex("1400060009") + b"vw\x000\x0010.0"
WIDE = {"COLUMNS": "120"}


def run(*arguments, input=None, env=WIDE):  # noqa: A002
    return CliRunner().invoke(hexdump, arguments, input=input, env=env)


def dumped(text):
    """All bytes that the rows of a dump show, by offset."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"  ([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)", line):
            at = int(match[1], 16)
            for index, byte in enumerate(bytes.fromhex(match[2])):
                found[at + index] = byte
    return bytes(found[at] for at in sorted(found))


def test_each_field_has_a_row_with_bytes_name_value_and_meaning():
    result = run(WRITE.hex(" "))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("frame 1 · MSG_HW (20) · id 6 · 9 bytes · ")
    rows = [line.split() for line in lines if line.startswith("  00")]
    assert rows == [
        ["0000", "14", "command", "20", "MSG_HW"],
        ["0001", "00", "06", "id", "6"],
        ["0003", "00", "09", "length", "9", "bytes", "of", "body"],
        ["0005", "76", "77", "00", "op", "vw", "write", "a", "virtual", "pin"],
        ["0008", "30", "00", "pin", "0", "V0"],
        ["000a", "31", "30", "2e", "30", "value", "10.0"],
    ]
    assert dumped(result.stdout) == WRITE


def test_several_frames_and_hidden_secrets():
    result = run((LOGIN + WRITE).hex())
    assert "frame 1 · MSG_HW_LOGIN (29) · id 1 · 32 bytes · device → server" in result.stdout
    assert "frame 2 · MSG_HW (20)" in result.stdout
    assert TOKEN not in result.stdout
    assert "tok:" in result.stdout
    assert dumped(result.stdout) == LOGIN[:5] + b"*" * 32 + WRITE
    shown = run((LOGIN + WRITE).hex(), "--show-secrets").stdout
    assert TOKEN in shown
    assert dumped(shown) == LOGIN + WRITE


def test_a_cut_frame_says_how_much_is_missing_and_exits_with_3():
    result = run((WRITE + LOGIN[:20]).hex())
    assert result.exit_code == 3
    assert "15 of 32 bytes" in result.stdout
    assert "17 bytes missing" in result.stdout
    assert TOKEN[:10] not in result.stdout
    assert "end before" in result.stderr
    assert run("1d 00").exit_code == 3
    assert "2 bytes of the 5 that a header has" in run("1d 00").stdout


def test_a_response_is_explained():
    result = run("00 00 01 00 09")
    assert "frame 1 · MSG_RSP (0) · id 1 · 9 STA_INVALID_TOKEN · server → device" in result.stdout
    assert "status    9  STA_INVALID_TOKEN" in result.stdout
    assert "→" in result.stdout


def test_a_tls_record_is_no_status():
    for source in ("17 03 03 00 1d", r"b'\x17\x03\x03\x00\x1d'"):
        result = run(source)
        assert result.exit_code == 0
        told = " ".join(result.stdout.split())
        assert "TLS record (application data, TLS 1.2, 29 bytes), not a Blynk status 23 OPERATION_ACCEPT" in told
        assert "reads the socket underneath its TLS layer" in told


def test_a_tls_alert_is_read_to_its_reason():
    result = run("15 03 03 00 02 02 30 00")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "△ 8 bytes · TLS alert: fatal unknown_ca (48) · not Blynk"
    assert [line.split() for line in lines if line.startswith("  00")] == [
        ["0000", "15", "type", "21", "alert"],
        ["0001", "03", "03", "version", "TLS", "1.2"],
        ["0003", "00", "02", "length", "2", "bytes", "of", "record"],
        ["0005", "02", "level", "2", "fatal"],
        ["0006", "30", "description", "48", "unknown_ca"],
        ["0007", "00", "content", "TLS,", "not", "Blynk"],
    ]
    told = " ".join(result.stdout.split())
    assert "→ The device does not trust the CA" in told
    assert "underneath its TLS layer" not in told
    cut = run("15 03 03 00 02 02").stdout
    assert "1 byte of the record is not here" in " ".join(cut.split())
    assert "the byte that says why" in cut
    assert "description" not in cut
    (record, _) = json.loads(run("15 03 03 00 02 02 28", "--format", "json").stdout)
    assert (record["kind"], record["detail"]["alert"]) == ("tls", 40)


def test_one_direction_of_a_followed_stream_is_read_and_two_are_refused():
    client = "00000000  14 00 06 00 09 76 77 00  30 00 31 30 2e 30        .....vw. 0.10.0\n"
    server = "    00000000  00 00 06 00 c8                                    .....\n"
    assert dumped(run("-", input=client.encode()).stdout) == WRITE
    assert "200 STA_SUCCESS" in " ".join(run("-", input=server.encode()).stdout.split())
    both = run("-", input=(client + server).encode())
    assert both.exit_code == 2
    assert "line 2, column 1: two directions" in both.stderr


def test_words_of_plain_hexdump_are_turned_round_with_a_note():
    text = "0000000 0014 0006 7609 0077 0030 3031 302e     \n000000e\n"
    result = run("-", input=text.encode())
    assert dumped(result.stdout) == WRITE
    assert "note: the words of 16 bits" in result.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET /" + TOKEN.encode() + b"/get/V0 HTTP/1.1\r\n\r\n", "HTTP request"),
        (b"\x10\x20\x00\x04MQTT\x04\xc2\x00\x2d", "MQTT CONNECT"),
        (bytes(range(200, 240)), "Particle"),
        (b"SSH-2.0-x\r\n", "SSH"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS ClientHello"),
        (b"OK+CONN\r\n", "HM-10"),
    ],
)
def test_other_protocols_are_named(data, words):
    for result in (run(data.hex()), run("-", input=data)):
        if result.exit_code == 2:  # plain words on standard input are a mistyped notation
            assert b"+" in data
            continue
        assert result.exit_code == 0
        assert words in result.stdout
        assert "not Blynk" in result.stdout
        assert TOKEN not in result.stdout
        assert "**" in result.stdout or b"GET" not in data


def test_bytes_between_frames_are_shown():
    result = run((WRITE + b"OK+CONN" + WRITE + WRITE).hex())
    assert "skipped" in result.stdout
    assert result.stdout.count("MSG_HW (20)") == 3
    assert dumped(result.stdout) == WRITE + b"OK+CONN" + WRITE + WRITE


def test_options_choose_the_reading():
    app = bytes.fromhex("1400010000000b") + b"1-2\0vw\x003\x004"
    assert "app → server" in run(app.hex(), "--dialect", "app").stdout
    assert "device → server" in run(WRITE.hex(), "--as", "device").stdout
    assert "server → device" in run(WRITE.hex(), "--as", "server").stdout
    web = bytes.fromhex("000001000000c8")
    assert "200 STA_SUCCESS" in run(web.hex(), "--dialect", "web").stdout
    group = bytes.fromhex("1500010001") + b"b"
    assert "MSG_GROUP" in run(group.hex(), "--era", "iot").stdout


def test_json_is_the_records():
    lines = [json.loads(line) for line in run((LOGIN + WRITE).hex(), "--format", "jsonl").stdout.splitlines()]
    assert [line["record"] for line in lines] == ["frame", "frame", "summary"]
    assert lines[0]["body"] == "2a" * 32
    assert lines[1]["fields"] == {"op": "vw", "pins": [{"pin": "V0", "values": ["10.0"]}]}
    assert lines[1]["time"] is None
    assert lines[1]["stream"] == 1
    assert lines[2]["frames"] == 2
    assert json.loads(run((LOGIN + WRITE).hex(), "--format", "json").stdout) == lines
    (foreign, _) = json.loads(run("17 03 03 00 1d", "--format", "json").stdout)
    assert (foreign["record"], foreign["kind"]) == ("stream", "tls")


@pytest.mark.parametrize("source", ["zz", "1d 0g", "/no/such/file", "", "\0", "x" * 5000])
def test_what_is_no_notation_exits_with_2_and_names_the_place(source):
    result = run(source)
    assert result.exit_code == 2
    assert "line 1, column" in result.stderr
    assert result.stdout == ""


def test_files_and_standard_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cafe").write_bytes(WRITE)
    (tmp_path / "pasted.txt").write_text(LOGIN.hex(" ") + "\n")
    assert dumped(run("./cafe").stdout) == WRITE
    assert "MSG_HW (20)" not in run("cafe").stdout
    assert "MSG_HW_LOGIN" in run("pasted.txt").stdout
    assert dumped(run("-", input=WRITE).stdout) == WRITE
    assert dumped(run(input=WRITE.hex(" ").encode()).stdout) == WRITE
    assert run("-", input=b"").exit_code == 2
    assert run("-o", "out.txt", WRITE.hex()).stdout == ""
    assert dumped((tmp_path / "out.txt").read_text()) == WRITE
    assert isinstance(run("-o", "no/such/out.txt", WRITE.hex()).exception, EnvironmentProblem)


@pytest.mark.parametrize("columns", ["80", "120", "200"])
def test_no_line_is_wider_than_the_terminal(columns):
    body = b"vw\x001\0" + "温度 a long value ".encode() * 30
    data = LOGIN + bytes([0x14, 0, 7]) + len(body).to_bytes(2, "big") + body + bytes.fromhex("0000010009")
    from blynkscope.render.console import cells

    result = run(data.hex(), env={"COLUMNS": columns})
    assert result.exit_code == 0
    assert max(cells(line) for line in result.stdout.splitlines()) <= int(columns)


def test_an_unknown_command_is_shown_as_such():
    result = run("63 00 01 00 02 61 62", "--dialect", "hardware")
    assert "MSG_?99" in result.stdout


def test_an_input_is_not_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.bin").write_bytes(WRITE)
    assert run("./f.bin", "-o", "f.bin").exit_code == 2
    assert (tmp_path / "f.bin").read_bytes() == WRITE


MORE = "[10] <[14|00|03|00|04]vw[00]1[00]23\n"


def test_more_bytes_than_declared():
    shown = run(MORE).output
    assert "△ 3 bytes more than declared (7 of 4 bytes of body are here)" in shown
    assert "missing" not in shown


@pytest.mark.parametrize("columns", [50, 56, 60, 80])
def test_headings_are_wrapped(columns):
    for text in (MORE, "1d 00 01 00 20 41", "14 00 02 00 06 76 77 00 31 00 35", "00 00 01 00 c8"):
        shown = run(text, env={"COLUMNS": str(columns)}).output
        assert all(len(line) <= columns for line in shown.splitlines()), shown
