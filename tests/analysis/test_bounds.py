"""What grows stays bounded, what is measured does not depend on who asks, and what is no failure is none."""

import pytest
from click.testing import CliRunner
from talk import TOKEN, Talk, frame, ping, status, write

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.devices import DEVICES_MAX
from blynkscope.analysis.merging import Merge
from blynkscope.analysis.records import FindingRecord, spelled_out
from blynkscope.cli import cli
from blynkscope.wire.events import Closed, Data, Message, Opened


def decode(*args):
    return CliRunner().invoke(cli, ["decode", *map(str, args)])


def file(tmp_path, text, name="log.txt"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_devices_stay_bounded():
    analyser = Analyser()
    for n in range(1, DEVICES_MAX + 3000):
        address = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}:5000"
        login = frame(29, 1, b"%032x" % (n * 7919))
        analyser.feed([
            Opened(n, float(n), address, "192.0.2.2:8080", 5000, 8080, True),
            Data(n, 0, float(n), login), Data(n, 1, float(n), status(1)), Closed(n, n + 0.5, "fin", 0, (True, True)),
        ])  # fmt: skip
    assert len(analyser.run.devices._by_key) <= DEVICES_MAX


def test_peak_rate_is_the_same_with_and_without_findings():
    def peak(findings):
        talk = Talk(Analyser(findings=findings))
        talk.device(frame(29, 1, TOKEN)).server(status(1))
        for n in range(2, 100):
            talk.device(write(n, b"1", b"2"), after=0.001)
        talk.close()
        return next(r for r in talk.records if getattr(r, "kind", "") == "closed").detail["session"]["rate"]["peak"]

    assert peak(True) == peak(False) > 90


@pytest.mark.parametrize("form", ["tree", "table", "jsonl"])
def test_an_answer_whose_status_the_log_does_not_tell(tmp_path, form):
    log = file(tmp_path, "> Outbound Data Packet: CMD: 29 ID: 2, Data: abc\n< Server Acknowledge: CMD: 0 ID: 2\n")
    result = decode(log, "--format", form)
    assert result.exception is None
    assert "-1" not in result.output


def of(records, name):
    return [record for record in records if isinstance(record, FindingRecord) and record.id == name]


def test_one_connection_in_files_of_a_minute_each_is_no_loop():
    analyser, records, number = Analyser(), [], 3
    for minute in range(8):
        at = 1000.0 + 60 * minute
        events = [Opened(1, at, "192.0.2.1:50000", "192.0.2.2:8080", 50000, 8080, minute == 0)]
        if not minute:
            events += [Data(1, 0, at, frame(29, 1, TOKEN)), Data(1, 1, at, status(1))]
        for step in range(10):
            events.append(Data(1, 0, at + 5 * step, write(number, b"1", b"3")))
            number += 1
        events += [Data(1, 0, at + 55, ping(number)), Data(1, 1, at + 55, status(number))]
        number += 1
        records += spelled_out(analyser.feed([*events, Closed(1, at + 59, "end", None, (True, True))]))
        analyser.next_source()
    records += spelled_out(analyser.finish())
    assert not of(records, "BS209")


@pytest.mark.parametrize("how", ["evicted", "reset"])
def test_a_device_that_wakes_every_minute_is_no_loop(how):
    analyser, records = Analyser(), []
    for n in range(1, 9):
        at = 1000.0 + 60 * n
        by = 0 if how == "reset" else None
        records += spelled_out(analyser.feed([
            Opened(n, at, f"192.0.2.1:{50000 + n}", "192.0.2.2:8080", 50000 + n, 8080, True),
            Data(n, 0, at + 1, frame(29, 1, TOKEN)), Data(n, 1, at + 1.1, status(1)),
            Data(n, 0, at + 2, write(2, b"1", b"20")), Data(n, 0, at + 3, ping(3)), Data(n, 1, at + 3.1, status(3)),
            Closed(n, at + 4, how, by, (True, True)),
        ]))  # fmt: skip
    records += spelled_out(analyser.finish())
    assert not of(records, "BS209")


@pytest.mark.timeout(60)
def test_a_log_of_many_connections_is_tied_in_good_time():
    """Every connection against every other one, again and again, would take minutes."""
    analyser, messages = Analyser(findings=False), []
    merge_records = []
    for n in range(1, 1501):
        login = frame(29, 1, b"%032x" % (n * 7919))
        merge_records += analyser.feed([
            Opened(n, float(n), f"192.0.2.1:{n}", "192.0.2.2:8080", n, 8080, True), Data(n, 0, float(n), login),
            Data(n, 1, n + 0.1, status(1)), Closed(n, n + 0.5, "fin", 0, (True, True)),
        ])  # fmt: skip
        messages += [
            Message(n, 0, float(n), 29, 1, 32, b"%032x" % (n * 7919), 2 * n),
            Message(n, 1, n + 0.1, 0, 1, 200, b"", 2 * n + 1),
        ]
    merge = Merge(messages, lambda line: f"line {line}")
    merge.learn(merge_records)
    merge.settle()
    assert "tied to the capture by" in merge.notes[-1]
