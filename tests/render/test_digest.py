import io
import re

import pytest
from test_ladder import TOKEN, answer, finding, frame, opened

from blynkscope.analysis.records import StreamRecord, SummaryRecord, WriteRecord
from blynkscope.render.console import cells
from blynkscope.render.digest import DEVICES_SHOWN, STREAMS_SHOWN
from blynkscope.render.outputs import make
from blynkscope.render.redact import token_name

WIDTHS = (40, 60, 80, 120, 200)
COLOR = re.compile(r"\x1b\[[0-9;]*m")
SESSION = {
    "state": "online", "mode": "cloud", "host": "ny3.blynk.cloud", "device": 1, "board": "ESP8266", "library": "0.6.1",
    "era": {"era": "iot", "evidence": ["host ny3.blynk.cloud is of Blynk IoT"]},
    "duration": 63.2,
    "frames": {"client": {"MSG_HW": 40, "MSG_PING": 6, "MSG_HW_LOGIN": 1}, "server": {"MSG_RSP": 7, "MSG_HW": 12}},
    "heartbeat": {"announced": 10, "observed": 9.98, "jitter": 0.02, "pings": 6, "idle_limit": 23,
                  "limit_of": "legacy server: ceil(2.3 × 10 s)"},  # noqa: RUF001
    "rate": {"mean": 1.9, "peak": 12, "per_second": [0, 1, 12, 3, 0, 0, 5], "bucket": 1},
    "latency": {"MSG_PING": {"count": 6, "p50": 12.1, "p95": 14.0, "max": 1414.2}},
    "pins": [{"pin": "V1", "writes": 10, "unconfirmed": 4, "value": "23.5", "by": "device"}],
}  # fmt: skip


def closed(stream=1, session=SESSION, **detail):
    detail = {"how": "fin", "by": "device", "session": session, **detail}
    return StreamRecord("closed", stream, 1063.2, "device", 10, detail)


def digest(*records, width=80, color="never", encoding="utf-8", **more):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    output = make("summary", stream, width=width, color=color, **more)
    output.write(records)
    output.close()
    stream.flush()
    return raw.getvalue().decode(encoding)


def flat(text):
    return " ".join(text.split())


def test_a_stream_is_summed_up():
    shown = digest(opened(), frame(1, name="MSG_HW_LOGIN"), answer(2), closed(), finding(), SummaryRecord(2, 1, {}, {}))
    text = flat(shown)
    assert shown.startswith("── stream 1 · device 1 · online ─")
    assert "10.0.0.2:4 → blynk.cloud:80 (ny3.blynk.cloud)" in text
    assert "client device · ESP8266 · library 0.6.1" in text
    assert "63.2 s · 66 frames (47 there, 19 back) · closed by device" in text
    assert "era Blynk IoT: host ny3.blynk.cloud is of Blynk IoT" in text
    assert "1.90 messages/s by the device · at most 12 in a second ▁▂█▃▁▁▄ 1 s each" in text
    assert "HW 40 12" in text
    assert "PING 6 · 12.1 ms 14.0 ms 1.41 s" in text
    assert "10 s announced · 9.98 s ± 0.02 s observed · 6 pings · the server's limit is 23 s of silence" in text
    assert "V1 10 4 23.5 by device" in text
    assert "▲ BS201 The server does not know this token What was seen." in text
    assert "device 1 ESP8266 0.6.1 · iot era · 1 stream (1): online · 63.2 s in all · 66 frames" in text
    assert "4 writes unconfirmed · 1 finding" in text
    assert "messages HW_LOGIN 1 · RSP 1" in text
    assert "── summary" in shown


def test_connections_of_a_device_are_summed():
    rejected = {**SESSION, "state": "rejected", "duration": 1.0}
    shown = flat(digest(*(closed(n, SESSION if n == 3 else rejected) for n in range(1, 4))))
    assert "3 streams (1, 2, 3): 2 × rejected, online · 65.2 s in all · 198 frames" in shown  # noqa: RUF001


def test_many_streams_and_devices_are_bounded_in_order():
    # They end the other way round.
    count = 300
    records = [opened(n) for n in range(1, count + 1)]
    records += [frame(n, stream=n) for n in range(1, count + 1)]
    records += [closed(n, {**SESSION, "device": n}) for n in range(count, 0, -1)]
    shown = digest(*records, finding(300), finding(1))
    heads = [int(number) for number in re.findall(r"^── stream (\d+)", shown, re.MULTILINE)]
    assert heads == list(range(1, STREAMS_SHOWN + 1))
    assert f"and {count - STREAMS_SHOWN} more streams with {count - STREAMS_SHOWN} frames and 1 finding" in flat(shown)
    devices = [int(number) for number in re.findall(r"^  device (\d+) ", shown, re.MULTILINE)]
    assert devices == list(range(1, DEVICES_SHOWN + 1))
    assert f"and {count - DEVICES_SHOWN} connections of further devices" in shown


def test_streams_without_blynk_are_counted_by_protocol():
    tls = [StreamRecord("tls", n, 1000.0, "unknown", 6, {"protocol": "tls"}) for n in (1, 2)]
    shown = flat(digest(*tls, closed(1, None), closed(2, None), opened(3), closed(3, None)))
    assert "without a Blynk frame: 1 of no bytes (3), 2 of tls (1, 2)" in shown


def test_without_a_session_the_frames_are_counted():
    shown = flat(digest(opened(), frame(1), frame(2), finding()))
    assert "2.0 s · 2 frames" in shown
    assert "What was seen." in shown


def test_findings_are_ordered_and_repeated_ones_counted():
    shown = digest(
        frame(1), finding(severity="note", title="A note"), finding(), finding(), finding(None, title="Of the run")
    )
    assert shown.index("(2 times)") < shown.index("A note")
    assert "Of the run" in shown
    many = digest(*(finding(title=f"Title {n}") for n in range(30)))
    assert "and 22 more" in many


def test_quiet_leaves_the_streams_out():
    shown = digest(opened(), frame(1), closed(), quiet=True)
    assert "── stream" not in shown
    assert "── run" in shown


def test_nothing_at_all():
    assert "0 in 0 streams" in digest()


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_fit(width):
    evil = {
        **SESSION, "host": "h\x1b[2J" + "温" * 200, "board": "b" * 300, "library": "\u202e" * 9,
        "era": {"era": "legacy", "evidence": ["e" * 500] * 30},
        "rate": {"mean": 1.0, "peak": 10**6, "per_second": list(range(120)), "bucket": 65536},
        "frames": {"client": {f"MSG_{'N' * n}": 10**6 for n in range(1, 60)}, "server": {}},
        "pins": [{"pin": "V" * 99, "writes": 10**6, "unconfirmed": 10**6, "value": "温" * 64, "by": "device"}] * 40,
    }  # fmt: skip
    shown = digest(
        opened(client="c" * 500), frame(1, name="MSG_" + "x" * 90, time=1e12), closed(1, evil), closed(2),
        finding(title="t\x07" * 300, detail="d" * 3000), width=width,
    )  # fmt: skip
    for row in shown.split("\n"):
        assert row.isprintable()
        # Tables have a least width.
        assert cells(row) <= max(width, 58)


def test_colour_changes_no_text():
    records = (opened(), frame(1), answer(2), closed(), finding())
    painted = digest(*records, color="always")
    assert "\x1b[" in painted
    assert COLOR.sub("", painted) == digest(*records)


def test_a_narrow_encoding_gets_bars_of_its_own():
    shown = digest(opened(), frame(1), closed(), encoding="ascii")
    assert "_.#-__= " in shown
    assert "\\u25" not in shown


def test_secrets_are_hidden():
    session = {**SESSION, "pins": [{"pin": "V1", "writes": 1, "unconfirmed": 1, "value": TOKEN, "by": "device"}]}
    login = frame(
        1, name="MSG_HW_LOGIN", cmd=29, text=f"token {TOKEN}", fields={"token": TOKEN}, body=TOKEN.encode().hex()
    )
    shown = digest(login, closed(1, session), finding(detail=f"token {TOKEN}"), width=120)
    assert TOKEN not in shown
    assert shown.count(token_name(TOKEN)) == 2


def test_writes_settle():
    written = frame(1, write="sent", fields={"op": "vw", "pins": [{"pin": "V1", "values": ["1"]}]})
    assert "● 1 confirmed" in digest(written, WriteRecord(1, "confirmed", 2, None))


@pytest.mark.parametrize("severity", ["error", "warning", "note"])
def test_advice_is_given_once_for_what_is_wrong(severity):
    shown = digest(frame(1), finding(severity=severity), closed(), frame(2, stream=2), finding(2, severity=severity),
                   closed(2), SummaryRecord(2, 2, {}, {}))  # fmt: skip
    assert shown.count("→ Compare the host.") == (severity != "note")
