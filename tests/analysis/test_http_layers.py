"""HTTP as hand-written firmware and strange proxies speak it, through the whole analysis."""

import pytest
from talk import TOKEN, frame, status

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, FrameRecord, MessageRecord, spelled_out
from blynkscope.wire.events import Closed, Data, Opened


def analysed(wires, port=8080):
    analyser, time = Analyser(), 100.0
    records = analyser.feed([Opened(1, time, "192.0.2.1:50000", f"192.0.2.2:{port}", 50000, port, True)])
    for direction, data in wires:
        time += 0.1
        records += analyser.feed([Data(1, direction, time, data)])
    records += analyser.feed([Closed(1, time + 0.1, "fin", 0, (True, True))])
    return spelled_out(records + analyser.finish())


def bad(records):
    return {one.id for one in records if isinstance(one, FindingRecord) and one.severity != "note"}


def test_a_call_without_carriage_returns_has_its_answer():
    asked = b"GET /" + TOKEN + b"/update/V1?value=3 HTTP/1.1\nHost: x\n\n"
    records = analysed([(0, asked), (1, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")])
    (call,) = [one for one in records if isinstance(one, MessageRecord)]
    assert call.detail["status"] == 200
    assert bad(records) == set()


@pytest.mark.parametrize("said", [b"200 OK", b"200 Connection established", b"204 Go"])
def test_a_device_behind_a_proxy(said):
    tunnel = [(0, b"CONNECT blynk.test:80 HTTP/1.1\r\n\r\n"), (1, b"HTTP/1.0 " + said + b"\r\n\r\n")]
    records = analysed([*tunnel, (0, frame(29, 1, TOKEN)), (1, status(1))], port=3128)
    assert [one.cmd for one in records if isinstance(one, FrameRecord)] == [29, 0]
    assert bad(records) == set()
