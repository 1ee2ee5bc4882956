"""Redacted logs: in every notation the secrets go, and the same frames are read as before."""

from pathlib import Path

import printers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrub_help import redact_log
from talk import frame, status

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FrameRecord, spelled_out
from blynkscope.scrub.cells import readings
from blynkscope.sources.text import TextSource

HERE = Path(__file__).parent.parent
LOGS = sorted([*(HERE / "traces").glob("*.txt"), *(HERE.parent / "captures").glob("*.clientlog.txt")])
HEX, IOT = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5", b"Zz_9-456789abcdef0123456789abcdE"
NEW = {HEX: b"c0de0001" + b"0" * 24, IOT: b"TOKEN1" + b"x" * 26}
NOTATIONS = {
    name: getattr(printers, name)
    for name in (
        "cpp", "cpp_old", "cpp_avr", "cpp_avr_old", "cpp_lower", "msg", "js", "node_red", "node_red_events", "blynk_ctrl",
        "python", "upython", "python_bytes", "java", "xxd", "hexdump_c", "wireshark", "plain_hex", "hex_directions",
        "hercules",
    )
}  # fmt: skip


def frames(data):
    analyser, source = Analyser(), TextSource(data, "test.txt")
    found = [record for batch in source for record in analyser.feed(batch)]
    return [
        (record.stream, record.sender, record.cmd, record.id, record.length, record.status, bytes.fromhex(record.body))
        for record in spelled_out(found + analyser.finish())
        if isinstance(record, FrameRecord)
    ]


def said(token):
    return [
        (0, 29, 1, 32, token),
        (1, 0, 1, 200, b""),
        (0, 20, 2, 9, b"vw\x005\x0021.5"),
        (0, 20, 3, 5 + len(token), b"vw\x009\0" + token),
    ]


@pytest.mark.parametrize("hosts", [False, True], ids=["", "hosts"])
@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_every_log(path, hosts):
    data = path.read_bytes()
    out, _, _ = redact_log(data, hosts=hosts)
    assert [one[:-1] for one in frames(out)] == [one[:-1] for one in frames(data)]
    assert data.count(b"\n") == out.count(b"\n")
    if not hosts:
        assert redact_log(out)[0] == out


@pytest.mark.parametrize("token", [HEX, IOT], ids=["hex", "iot"])
@pytest.mark.parametrize("name", NOTATIONS)
def test_every_notation(name, token):
    data = NOTATIONS[name](said(token)).encode()
    out, _, vault = redact_log(data)
    assert vault.counts()["token"]["different"] == 1
    assert token not in out
    assert token.hex().encode() not in out.lower()
    expected = [(*one[:-1], one[-1].replace(token, NEW[token])) for one in frames(data)]
    assert expected
    if name == "msg":
        # It has no separators: where the value begins is guessed by its characters.
        assert [one[:-1] for one in frames(out)] == [one[:-1] for one in expected]
    else:
        assert frames(out) == expected


@given(before=st.text(max_size=30), after=st.text(max_size=30), name=st.sampled_from(sorted(NOTATIONS)))
@settings(max_examples=80, deadline=None)
def test_other_output_around_it(before, after, name):
    data = (before + "\n" + NOTATIONS[name](said(HEX)) + after).encode()
    out, _, _ = redact_log(data)
    if name not in {"xxd", "hexdump_c", "wireshark"}:
        assert HEX not in out


@given(data=st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_hostile_logs_never_raise(data):
    redact_log(data, hosts=True)
    redact_log(b"token=" + data, hosts=True)


def test_decimal_lists_and_arrays():
    numbers = ", ".join(str(byte) for byte in frame(29, 1, HEX))
    out, _, vault = redact_log(f"sent: {numbers}\n[{HEX.decode()}]\n".encode())
    values = [int(word) for word in out.split(b"\n")[0][6:].split(b", ")]
    assert HEX not in bytes(values)
    assert vault.counts()["token"]["different"] == 1


def test_sketches_and_modems():
    text = b"""#define BLYNK_AUTH_TOKEN "%s"
char auth[] = "%s";
char ssid[] = "Home \xc3\xa9";
char pass[] = "opensesame";
#define WIFI_SSID "HomeNet_EXT"
const char* wifi_password = "hunter22";
AT+CWJAP="HomeNet_EXT","opensesame"
[81] Connecting to HomeNet_EXT
curl -u admin http://jane:swordfish@plants.example.org/
curl http://plants.example.org/x
IMEI: 490154203237518
""" % (HEX, IOT)
    out, _, vault = redact_log(text)
    for secret in (HEX, IOT, b"Home", b"opensesame", b"hunter22", b"swordfish", b"jane"):
        assert secret not in out
    assert b"http://plants.example.org/x" in out
    assert b"490154203237518" in out
    assert b'AT+CWJAP="SSID' in out
    # What stands behind a password in a URL looks like an address.
    assert set(vault.counts()) == {"token", "ssid", "password", "email"}
    out, _, vault = redact_log(text, hosts=True)
    assert b"plants" not in out
    assert b"490154203237518" not in out
    assert {"host", "hardware-id"} <= set(vault.counts())


def test_pieces_on_several_lines():
    text = b"[1] <[1D|00|01|00|20]\n[2] <%s\n[3] noise\n[4] <%s\n[5] >[00|00|01|00|C8]\n" % (HEX[:20], HEX[20:])
    out, _, _ = redact_log(text)
    assert out == text.replace(HEX[:20], NEW[HEX][:20]).replace(HEX[20:], NEW[HEX][20:])


def test_utf_16():
    text = "[1] <[1D|00|01|00|20]" + HEX.decode() + "\n[2] \U0001f600 >[00|00|01|00|C8]\n"
    for coding in ("utf-16-le", "utf-16-be"):
        data = ("\ufeff" + text).encode(coding)
        assert redact_log(data)[0].decode(coding) == "\ufeff" + text.replace(HEX.decode(), NEW[HEX].decode())


def test_raw_bytes():
    data = frame(29, 1, HEX) + frame(20, 2, b"vw", b"1", b"jane@example.org")
    out, scrub, _ = redact_log(data)
    assert scrub.report.kind == "bytes"
    assert out == frame(29, 1, NEW[HEX]) + frame(20, 2, b"vw", b"1", b"xxxx@mail1xx.xxx")
    assert redact_log(status(1))[0] == status(1)


def test_masked_tokens_stay():
    text = b"login -> ***************************GW1wf\n[1] <[1D|00|01|00] XXX\n"
    out, _, vault = redact_log(text)
    assert out == text
    assert vault.counts() == {}


def test_readings_tell_the_bytes():
    values = [bytes(cells.values) for cells in readings(rb"b'\x1d\x00\x01\x00 abc' %41%42")]
    assert b"b'\x1d\x00\x01\x00 abc' AB" in values
    values = [bytes(cells.values) for cells in readings(b"[1] <[1D|00|01|00]ab[20]c\n[2] <de\n")]
    assert b"\x1d\x00\x01\x00ab cde" in values
