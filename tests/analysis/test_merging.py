"""A log beside its capture: every line finds its frame, or its place between two."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import click
import pytest

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.merging import Merge, _shift
from blynkscope.analysis.records import LogRecord, spelled_out
from blynkscope.cli.reading import merged
from blynkscope.sources import CaptureSource, open_capture, open_input
from blynkscope.sources.text import TextSource

ROOT = Path(__file__).parent.parent.parent
PAIRS = ROOT / "captures"


def woven(name, log=None):
    capture = ROOT / "captures" / f"{name}.pcap"
    data = log if log is not None else (PAIRS / f"{name}.clientlog.txt").read_bytes()
    source = TextSource(data, "log")
    merge = Merge([event for batch in source for event in batch], source.line)
    first = Analyser(findings=False)
    for batch in open_capture(capture):
        merge.learn(first.feed(batch))
    merge.learn(first.finish())
    merge.settle()
    second, records = Analyser(), []
    for batch in open_capture(capture):
        records += merge.records(second.feed(merge.events(batch)))
    records += merge.records(second.feed(merge.rest()))
    records += second.finish()
    return spelled_out(records), merge, data.decode("utf-8", "replace").splitlines()


def test_every_frame_of_the_log_is_found_in_the_capture():
    records, merge, lines = woven("04_hw_plain_cpp140")
    beside = [(before, record) for before, record in pairwise(records)
              if isinstance(record, LogRecord) and record.kind == "frame"]  # fmt: skip
    told = sum(1 for line in lines if "[" in line and line.split("] ", 1)[-1][:1] in {"<", ">"} and "|00|" in line)
    assert len(beside) >= 55 <= told
    for frame, record in beside:
        assert frame.stream == record.stream == 2
        assert record.text == lines[record.line - 1]
        # The header that the line shows is the frame's: its command is the first byte or the character for it.
        start = record.text.split("] ", 1)[1][1:]
        assert start[0] == chr(frame.cmd) or start.lower().startswith(f"[{frame.cmd:02x}|")
        assert ("<" if frame.sender == "device" else ">") == record.text.split("] ", 1)[1][0]
    assert not [record for record in records if isinstance(record, LogRecord) and record.kind == "frame-not-captured"]
    assert merge.offset is not None
    assert "tied to the capture by" in merge.notes[-1]


def test_other_lines_stand_between_the_frames_that_they_were_said_between():
    records, _, _ = woven("04_hw_plain_cpp140")
    numbers = [record.line for record in records if isinstance(record, LogRecord)]
    # Frames that came with one segment stand together, and the text between them behind them; here 13 of them.
    back = [earlier - later for earlier, later in pairwise(numbers) if later < earlier]
    assert len(back) <= 8
    assert max(back) <= 26
    banner = next(record for record in records if isinstance(record, LogRecord) and record.kind == "banner")
    login = next(record for record in records if getattr(record, "name", "") == "MSG_HW_LOGIN" and record.stream == 2)
    assert records.index(banner) < records.index(login)
    times = [record.time for record in records if isinstance(record, LogRecord)]
    assert all(time is not None for time in times)


def test_of_several_connections_that_fit_the_last_one_is_taken_and_it_is_said():
    records, merge, _ = woven("05_hw_invalid_token")
    assert {record.stream for record in records if isinstance(record, LogRecord) and record.kind == "frame"} == {5}
    assert "streams 1, 5 alike" in merge.notes[0]
    refused = [record for record in records if isinstance(record, LogRecord) and record.kind == "invalid-token"]
    assert [record.stream for record in refused] == [5]


def test_a_log_of_another_run_is_not_forced_onto_the_capture():
    records, merge, _ = woven(
        "13_bridge", b"[5] <[1d|00|63|00|20]c4ad62ead005b80c82e6c7a3dd0d2dbc\n[9] Login timeout\n"
    )
    kinds = {record.kind for record in records if isinstance(record, LogRecord)}
    assert kinds == {"frame-not-captured", "login-timeout"}
    assert "could not be tied" in merge.notes[-1]


def test_a_frame_that_the_capture_lacks_is_kept():
    log = (PAIRS / "04_hw_plain_cpp140.clientlog.txt").read_bytes()
    extra = log.replace(b"[612] <", b"[600] <[06|7f|ff|00|00]\n[612] <", 1)
    records, merge, _ = woven("04_hw_plain_cpp140", extra)
    (missing,) = [record for record in records if isinstance(record, LogRecord) and record.kind == "frame-not-captured"]
    assert missing.text == "[600] <[06|7f|ff|00|00]"
    assert missing.stream == 2
    assert "1 only in the log" in merge.notes[-1]


@pytest.mark.parametrize("name", ["01a_hw_plain_pyBlynkLib020", "13_bridge"])
def test_the_frames_are_the_same_with_and_without_a_log(name):
    plain = Analyser()
    alone = []
    for batch in open_capture(ROOT / "captures" / f"{name}.pcap"):
        alone += plain.feed(batch)
    alone = spelled_out(alone + plain.finish())
    records, _, _ = woven(name, b"hello\n[10] Ready (ping: 3ms).\n")
    assert [record for record in records if not isinstance(record, LogRecord)] == alone


def test_inputs_are_told_apart_by_content(tmp_path):
    capture = open_input(ROOT / "captures" / "13_bridge.pcap")
    assert isinstance(capture, CaptureSource)
    capture.close()
    log = tmp_path / "capture.pcap"
    log.write_text("[5] Login timeout\n")
    assert isinstance(open_input(log), TextSource)


def test_a_clock_without_a_date_is_told_by_its_beginning():
    _, merge, _ = woven("04_hw_plain_cpp140")
    note = next(note for note in merge.notes if "was tied" in note)
    if merge.offset > 1e8:
        began = datetime.fromtimestamp(merge.offset, UTC)
        assert f"the log's clock began at {began:%Y-%m-%d %H:%M:%S}." in note
    assert _shift(-2.5) == ", clock offset -2.500 s"
    assert _shift(1795253738.482) == "; the log's clock began at 2026-11-21 09:35:38.482 UTC"
    assert _shift(1e300).startswith(", clock offset +1")


def test_only_a_log_goes_with_a_capture():
    log, capture = PAIRS / "04_hw_plain_cpp140.clientlog.txt", PAIRS / "04_hw_plain_cpp140.pcap"
    for file, beside, words in ((log, log, "this is a log itself"), (capture, capture, "this is a capture")):
        with pytest.raises(click.UsageError, match=words):
            merged(str(beside), str(file), Analyser(findings=False))
