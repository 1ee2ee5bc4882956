"""Logs of the C++ library as people paste them: wrapped, cut, annotated, beside modems, and with secrets."""

import pytest

from blynkscope.sources.text import TextSource
from blynkscope.wire.events import Line, Message, Opened

TOKEN = "c4ad62ead005b80c82e6c7a3dd0d2dbc"


def read(text):
    data = text if isinstance(text, bytes) else text.encode()
    return [event for batch in TextSource(data, "a.txt") for event in batch]


def frames(text):
    return [(one.direction, one.cmd, one.id, one.word, one.body) for one in read(text) if isinstance(one, Message)]


def told(text):
    return [(one.kind, one.text) for one in read(text) if isinstance(one, Line) and one.kind != "log-end"]


def test_a_long_body_that_was_wrapped_twice():
    (frame,) = frames(
        "[1987] <[11|00|02|00]Hver[00]0.6.1[00]h-beat[00]10[00]buff-\nin[00]1024[00]dev[00]ESP8266[00]build[00]Feb 13\n"
        "2020 16:53:32[00]\n[1990] Free RAM: 1\n"
    )
    assert frame[3] == len(frame[4]) == 72
    assert frame[4].endswith(b"build\0Feb 13 2020 16:53:32\0")


@pytest.mark.parametrize(
    ("line", "body"),
    [
        # Three bytes are missing, which is also what `[00]` takes more as characters.
        ("[1] <[14|00|05|00|0A]vw[00]5[00]12", b"vw\x005\x0012"),
        ("[1] <[11|00|02|00]?ver[00]0.4.10[00]h-beat[00]10[00]buff-in[00]256[00]dev[00]A", None),
    ],
)
def test_a_body_that_was_cut_keeps_its_separators(line, body):
    ((_, _, _, word, found),) = frames(line)
    assert b"[00]" not in found
    assert len(found) < word
    assert body in (None, found)


def test_characters_that_look_like_a_nul_at_the_end_of_a_value():
    assert frames("[1] <[14|00|05|00|0A]vw[00]5[00]a[00]")[0][4] == b"vw\x005\0a[00]"


def test_a_stamp_that_lost_its_bracket():
    assert frames("1028023] >[14|00] [00|06]\n[1028034] >dw[00]6[00]1") == [(1, 20, 32, 6, b"dw\x006\x001")]


@pytest.mark.parametrize("value", ["<y", ">x", "[00]"])
def test_a_group_in_a_body_is_no_stamp(value):
    body = b"vw\x001\0" + value.encode()
    line = f"[900] <[14|00|09|00|{len(body):02X}]vw[00]1[00]{value}"
    assert frames(line)[0][4] == body


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("[71] Connecting to home-net **NOTE: here**", "wifi"),
        ("ets Jan 8 2013,rst cause:4, boot mode:(3,6) **REBOOT**", "reset"),
        ("[71] Login timeout <-- it stops here", "login-timeout"),
        ("[71] Ready (ping: 12ms). // fine", "ready"),
        ("### AT: +CIPSHUT", "modem"),
        ("### Unhandled: GET: 1,1:", "modem"),
        ("[10] Connecting to internet.example.bg ...", "wifi"),
        ("[11723] Connected to GPRS", "wifi"),
        ("[61020] DHCP Failed!", "error"),
        ("[  3024][W][WiFiGeneric.cpp:950] _eventCallback(): Reason: 201 - NO_AP_FOUND", "error"),
        ("WiFi shield not present", "error"),
    ],
)
def test_kinds(line, kind):
    assert told(line)[0][0] == kind


def test_a_modem_that_dials_begins_a_connection():
    log = (
        'AT+CIPSTART="TCP","cloud.blynk.cc",8442\n[14161] Ready (ping: 12ms).\n[24450] Login timeout\n'
        'AT+CIPSTART="TCP","cloud.blynk.cc",8442\n[39994] Ready (ping: 12ms).\n'
    )
    assert [one.server for one in read(log) if isinstance(one, Opened)] == ["cloud.blynk.cc:8442"] * 2


def test_a_modem_that_dials_for_the_library_is_the_same_connection():
    log = (
        '[11884] Connecting to blynk-cloud.com:80\n### AT: +CIPSTART= 1 , "TCP ","blynk-cloud.com", 80\n'
        f'[12756] <[1D|00|01|00|20]{TOKEN}\nAT+CIPSTART="TCP","api.example.com",80\n[13000] >[00|00|01|00|C8]\n'
    )
    assert len([one for one in read(log) if isinstance(one, Opened)]) == 1


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ('AT+CWJAP_CUR="HomeNet","hunter2secret"', "hunter2secret"),
        ('### AT: +CSTT="internet","user","apnsecret"', "apnsecret"),
        ('### AT: +SAPBR=3,1,"PWD","apnsecret"', "apnsecret"),
        ('AT+CPIN="4711"', "4711"),
        (f"Blynk cloud: {TOKEN} @ blynk.cloud:443", TOKEN),
        (f"    {TOKEN}[14161] Ready (ping: 12ms).", TOKEN),
        ("wifi password: topsecret99", "topsecret99"),
    ],
)
def test_secrets_do_not_stay(line, secret):
    assert all(secret not in text for _, text in told(line))


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be", "utf-16"])
def test_wide_characters_without_a_mark(order):
    log = f"[1] <[1D|00|01|00|20]{TOKEN}\n[2] >[00|00|01|00|C8]\n"
    assert frames(log.encode(order)) == frames(log)


def test_pings_alone_are_no_wide_characters():
    raw = b"".join(b"\6" + number.to_bytes(2, "big") + b"\0\0" for number in range(1, 200))
    assert not any(isinstance(one, Message) for one in read(raw))
