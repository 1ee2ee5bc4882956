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
from blynkscope.protocol.tls_suites import suite_name
from blynkscope.render.redact import Redactor
from blynkscope.scrub.cells import readings
from blynkscope.scrub.logs import LogScrub
from blynkscope.scrub.spots import likely
from blynkscope.scrub.vault import Vault
from blynkscope.sources.text import TextSource

HERE = Path(__file__).parent.parent
CAPTURES = HERE.parent / "captures"
FOLDERS = ((CAPTURES / "logs", "*.txt"), (CAPTURES, "*.clientlog.txt"), (HERE / "seeds", "*.txt"))
LOGS = sorted(path for folder, pattern in FOLDERS for path in folder.glob(pattern))
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


@pytest.mark.parametrize(("folder", "pattern"), FOLDERS, ids=["logs", "captures", "seeds"])
def test_there_are_logs(folder, pattern):
    assert list(folder.glob(pattern)), f"no {pattern} in {folder}"


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


CURL = b"""$ curl -v -u admin@blynk.cc:admin https://localhost:9443/admin/ota/start
> POST /admin/ota/start HTTP/1.1
> Authorization: Basic YWRtaW5AYmx5bmsuY2M6YWRtaW4=
> User-Agent: curl/7.38.0
> Cookie: session=qwertyuiop
> Accept: */*
>
< HTTP/1.1 200 OK
< Set-Cookie: session=asdfghjkl; path=/
< Content-Length: 0
"""


@pytest.mark.parametrize("mark", [b"> ", b">"], ids=["curl", "tight"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_headers_that_curl_prints(mark, end):
    data = CURL.replace(b"> ", mark).replace(b"\n", end)
    out, _, _ = redact_log(data)
    for secret in (b"YWRtaW5A", b"admin@", b"qwertyuiop", b"asdfghjkl"):
        assert secret not in out
    for stays in (b"User-Agent: curl/7.38.0", b"Accept: */*", b"HTTP/1.1 200 OK", b"Content-Length: 0", b"Basic "):
        assert stays in out


@pytest.mark.parametrize("what", [b"DB", b"blynk", b"database", b"the server", b"MQTT broker"])
def test_not_every_connection_is_to_a_network(what):
    data = b"2017-03-02 16:17:18.367 - Connecting to %s...\nConnecting to %s...\n" % (what, what)
    assert redact_log(data)[0] == data


def test_short_names_of_networks_that_only_reading_finds():
    out, _, vault = redact_log(b"Connecting to Bob\n[5] <[06|00|01|00|00]\nBob stays\n")
    assert out == b"Connecting to xxx\n[5] <[06|00|01|00|00]\nBob stays\n"
    assert vault.counts()["ssid"] == {"places": 1, "different": 1}


def test_what_is_left_is_told_by_kind_and_line():
    vault = Vault()
    scrub = LogScrub(b'one\nchar auth[] = "%s";\n' % HEX, "test.txt", vault)
    out = scrub.written()
    assert scrub.left(out) == {}
    assert scrub.report.remaining_lines == {}
    assert scrub.left(out + b"three\npassword=swordfish\n")["password"] > 0
    assert scrub.report.remaining_lines["password"] == [4]
    assert scrub.left(out.replace(NEW[HEX], HEX))["token"] > 0
    assert scrub.report.remaining_lines["token"] == [2]


NO_TOKENS = (
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA", "md5: 0123456789abcdef0123456789abcdef",
    "MD5 (fw.bin) = 0123456789abcdef0123456789abcdef", "sha1sum 0123456789abcdef0123456789abcdef01234567",
    "123e4567-e89b-12d3-a456-426614174000", "http://example.org/how-to-build-a-house-in-32-words",
    "greenhouse_firmware_version_1234",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_TOKENS)
def test_names_and_sums_are_no_tokens(text):
    data = b"%s\n(%s)\n" % (text.encode(), text.encode())
    assert redact_log(data)[0] == data
    assert Redactor().line(text) == text


def test_a_known_token_is_one_whatever_it_is_called():
    data = b'char auth[] = "%s";\nmd5: %s\n' % (HEX, HEX)
    assert redact_log(data)[0] == data.replace(HEX, NEW[HEX])


def test_names_of_cipher_suites_are_no_tokens():
    names = [suite_name(number) for number in range(0x10000) if suite_name(number).startswith("TLS_")]
    assert len(names) > 300
    data = "\n".join([*names, *(name.replace("_", "-") for name in names)]).encode()
    assert redact_log(data)[0] == data


def test_a_short_password_in_a_login_goes():
    data = b"[1] <[02|00|01|00|0D]jane@x.org[00]pw\n[2] >[00|00|01|00|C8]\npw stays\n"
    out, _, _ = redact_log(data)
    assert out == b"[1] <[02|00|01|00|0D]xxxx@x.xxx[00]xx\n[2] >[00|00|01|00|C8]\npw stays\n"


def test_bytes_between_frames_keep_names_and_uuids():
    for text in (b"123e4567-e89b-12d3-a456-426614174000", b"ECDHE-RSA-AES128-GCM-SHA256"):
        assert list(likely(b"\0" + text + b"\0", hosts=False)) == []
    assert [found[:2] for found in likely(b"\0" + IOT[:20] + b"\0", hosts=False)] == [(1, 21)]
