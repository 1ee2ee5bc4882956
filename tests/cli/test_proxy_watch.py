"""The tap: what it is told reaches the analysis and the recording, and nothing that goes wrong there reaches the relay."""

import threading

import pytest
from talk import TOKEN, frame, status, write

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, FrameRecord, StreamRecord, WriteRecord, spelled_out
from blynkscope.cli import proxy_watch
from blynkscope.cli.proxy_watch import Watch, address_text
from blynkscope.render.notices import Notices, said
from blynkscope.render.options import Options

CLIENT, SERVER = ("192.0.2.7", 50000), ("ny3.blynk.cloud", 443)
LOGIN = frame(29, 1, TOKEN)


class Recorder:
    failed = None

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *arguments: self.told.append((name, *arguments))


class Looked:
    """A watch, and what came of it."""

    def __init__(self, **options):
        self.records, self.alerts = [], []
        self.analyser = options.pop("analyser", None) or Analyser()
        show = options.pop("show", self.records.extend)
        self.watch = Watch(self.analyser, show, alert=self.alerts.append, **options)

    def __enter__(self):
        self.watch.start()
        return self.watch

    def __exit__(self, *_):
        self.watch.finish()
        self.records += self.analyser.finish(self.watch.lost)
        self.records = spelled_out(self.records)

    def of(self, kind):
        return [one for one in self.records if isinstance(one, kind)]


def session(watch, number=1, secure="tls1.2"):
    watch.opened(number, 100.0, CLIENT, SERVER, secure)
    watch.data(number, 0, 100.1, LOGIN)
    watch.data(number, 1, 100.2, status(1))
    watch.data(number, 0, 100.3, write(2, b"1", b"42"))
    watch.sent(number, 0, 100.3, LOGIN)
    watch.sent(number, 0, 100.3, write(2, b"1", b"42"))
    watch.closed(number, 101.0, "fin", 0)


def test_what_passes_is_analysed_in_a_thread():
    looked = Looked()
    with looked as watch:
        session(watch)
    frames = looked.of(FrameRecord)
    assert [(one.cmd, one.sender, one.src) for one in frames] == [
        (29, "device", "192.0.2.7:50000"), (0, "server", "ny3.blynk.cloud:443"), (20, "device", "192.0.2.7:50000"),
    ]  # fmt: skip
    assert frames[0].via == ("tcp", "tls1.2")
    # The write has left the proxy: it is not lost where the connection ends behind it.
    assert [one.state for one in looked.of(WriteRecord)] == ["delivered"]
    kept = watch._open, watch._heard, watch._secure, watch._missing, watch._items
    assert not any((*kept, watch._sent, watch._unsent, watch._unjudged))
    assert not looked.alerts


WRITES = [write(number, b"%d" % number, b"42") for number in (2, 3, 4)]


@pytest.mark.parametrize(
    ("sent", "states"),
    [
        ([LOGIN, *WRITES], ["delivered"] * 3),
        ([b"".join([LOGIN, *WRITES])], ["delivered"] * 3),
        # The upstream was not reached, or everything waits.
        ([], ["lost"] * 3),
        ([LOGIN, WRITES[0]], ["delivered", "lost", "lost"]),
        # One was dropped or changed: what comes behind it is not known to have arrived, and not known to be lost.
        ([LOGIN, WRITES[0], WRITES[2]], ["delivered"]),
        ([LOGIN, WRITES[0], write(3, b"3", b"99"), WRITES[2]], ["delivered"]),
        ([LOGIN + WRITES[0] + WRITES[1][:4], WRITES[1][4:]], ["delivered", "delivered", "lost"]),
    ],
)
def test_a_write_is_delivered_where_it_was_sent_on_as_it_was(sent, states):
    looked = Looked(edits=True)
    with looked as watch:
        watch.opened(1, 100.0, CLIENT, SERVER, None)
        watch.data(1, 0, 100.1, LOGIN)
        watch.data(1, 1, 100.1, status(1))
        watch.sent(1, 1, 100.1, status(1))
        watch.data(1, 0, 100.2, b"".join(WRITES))
        for data in sent:
            watch.sent(1, 0, 100.2, data)
        watch.closed(1, 101.0, "fin", 0)
    final = {one.frame: one.state for one in looked.of(WriteRecord)}
    assert list(final.values()) == states
    found = {one.id for one in looked.of(FindingRecord)}
    assert ("BS322" in found) is ("lost" in states)
    assert "BS903" not in found


def test_memory_of_closed_connections_is_collected(monkeypatch):
    collected = []
    monkeypatch.setattr(proxy_watch.gc, "collect", lambda: collected.append(True))
    monkeypatch.setattr(proxy_watch, "COLLECT_AFTER", 10)
    for connections, times in ((9, 0), (10, 1)):
        with Looked() as watch:
            for number in range(1, connections + 1):
                watch.opened(number, 100.0, CLIENT, SERVER, None)
                watch.closed(number, 101.0, "fin", 0)
        assert len(collected) == times


def test_connections_that_the_end_of_the_proxy_closes():
    looked = Looked()
    with looked as watch:
        watch.opened(1, 100.0, CLIENT, SERVER, None)
        watch.data(1, 0, 100.1, LOGIN)
        watch.closed(1, 101.0, "end", None)
    (closed,) = [one for one in looked.of(StreamRecord) if one.kind == "closed"]
    lines = Notices(Options(width=80)).stream(closed, "0.000")
    assert "still open at the end" in " ".join(lines)
    assert "…" not in "".join(lines)
    assert all(len(line) <= 80 for line in lines)


def test_what_a_person_injects_is_told_and_counts_for_nothing():
    looked = Looked(edits=True)
    with looked as watch:
        watch.opened(1, 100.0, CLIENT, SERVER, None)
        watch.data(1, 0, 100.1, LOGIN)
        watch.sent(1, 0, 100.1, LOGIN)
        watch.data(1, 1, 100.1, status(1))
        watch.sent(1, 1, 100.1, status(1))
        ping = frame(6, 30001)
        watch.injected(1, 0, 100.2, ping, {"rule": "intercept", "action": "inject", "command": 6, "id": 30001})
        watch.sent(1, 0, 100.2, ping)
        watch.data(1, 0, 100.3, WRITES[0])
        watch.sent(1, 0, 100.3, WRITES[0])
        watch.closed(1, 101.0, "fin", 0)
    (told,) = [one for one in looked.of(StreamRecord) if one.kind == "proxy"]
    assert said(told).text == "by hand: injected MSG_PING id 30001"
    assert [one.state for one in looked.of(WriteRecord)] == ["delivered"]
    assert watch._in == watch._out
    assert not watch._own


def test_what_never_left_is_not_delivered_without_rules_either():
    looked = Looked()
    with looked as watch:
        watch.opened(1, 100.0, CLIENT, SERVER, None)
        watch.data(1, 0, 100.1, LOGIN + WRITES[0])
        watch.closed(1, 101.0, "fin", None)
    assert [one.state for one in looked.of(WriteRecord)] == ["lost"]


def test_facts_become_records_and_comments():
    recorder = Recorder()
    looked = Looked(recorder=recorder)
    with looked as watch:
        watch.opened(1, 100.0, CLIENT, SERVER, None)
        watch.told(1, 0, 100.1, "proxy-rule", {"rule": "slow", "action": "delay", "detail": "2 s later"})
        watch.told(7, 0, 100.1, "proxy-rule", {})  # of a connection that nobody opened
        watch.closed(1, 101.0, "reset", 1)
    (told,) = [one for one in looked.of(StreamRecord) if one.kind == "proxy"]
    assert told.detail["rule"] == "slow"
    assert ("note", 1, 'rule "slow": delayed (2 s later)') in recorder.told
    names = [one[0] for one in recorder.told]
    assert names.index("note") < names.index("closed")


def test_legs_of_the_recording():
    recorder = Recorder()
    with Looked(recorder=recorder) as watch:
        assert watch.wants_sent
        watch.opened(1, 100.0, CLIENT, SERVER, None)
        for direction in (0, 1):
            watch.data(1, direction, 100.1, b"data")
            watch.sent(1, direction, 100.1, b"sent")
    assert [one[2:] for one in recorder.told if one[0] == "data"] == [
        (0, 0, 100.1, b"data"), (1, 0, 100.1, b"sent"), (1, 1, 100.1, b"data"), (0, 1, 100.1, b"sent"),
    ]  # fmt: skip


def test_where_frames_are_edited_the_analysis_sees_what_the_device_sees():
    looked = Looked(edits=True)
    with looked as watch:
        watch.opened(1, 100.0, CLIENT, SERVER, None)
        watch.data(1, 0, 100.1, LOGIN)
        watch.sent(1, 0, 100.1, LOGIN)
        watch.data(1, 1, 100.2, status(1))
        watch.sent(1, 1, 100.2, status(1, 9))
    assert [one.status for one in looked.of(FrameRecord)] == [None, 9]


def test_too_much_is_skipped_told_and_counted(monkeypatch):
    monkeypatch.setattr(proxy_watch, "QUEUE_MAX", 4096)
    recorder = Recorder()
    looked = Looked(recorder=recorder)
    watch = looked.watch
    watch.opened(1, 100.0, CLIENT, SERVER, None)
    for _ in range(100):
        watch.data(1, 0, 100.1, LOGIN)
        watch.sent(1, 0, 100.1, LOGIN)
    assert len(watch._items) < 40 * proxy_watch.RECORDED_MAX
    for number in range(2, 100):
        watch.opened(number, 100.0, CLIENT, SERVER, None)
        watch.data(number, 0, 100.0, LOGIN)
        watch.closed(number, 100.0, "fin", 0)
    assert len(watch._items) < 120 * proxy_watch.RECORDED_MAX
    watch.closed(1, 101.0, "fin", 0)
    with looked:
        pass
    gaps = [one for one in looked.of(StreamRecord) if one.kind == "gap" and one.stream == 1]
    assert [one.detail["reason"] for one in gaps] == ["proxy overload"]
    frames = [one for one in looked.of(FrameRecord) if one.stream == 1]
    assert gaps[0].bytes + len(frames) * len(LOGIN) == 100 * len(LOGIN)
    assert {one[0] for one in recorder.told} >= {"missing"}
    assert looked.records[-1].lost["bytes_skipped_overload"] == watch.skipped >= gaps[0].bytes
    assert len(looked.alerts) == 1
    assert not watch._open


def test_the_recording_has_what_the_analysis_has_no_time_for(monkeypatch):
    monkeypatch.setattr(proxy_watch, "QUEUE_MAX", 16384)
    recorder = Recorder()
    looked = Looked(recorder=recorder)
    watch = looked.watch
    watch.opened(1, 100.0, CLIENT, SERVER, None)
    for _ in range(80):
        watch.data(1, 0, 100.1, LOGIN)
        watch.sent(1, 0, 100.1, LOGIN)
    watch.closed(1, 101.0, "fin", 0)
    with looked:
        pass
    assert sum(len(one[-1]) for one in recorder.told if one[0] == "data") == 2 * 80 * len(LOGIN)
    assert not [one for one in recorder.told if one[0] == "missing"]
    (gap,) = [one for one in looked.of(StreamRecord) if one.kind == "gap"]
    assert watch.skipped == watch.unjudged == gap.bytes > 0
    assert len(looked.alerts) == 1


def test_it_goes_on_where_it_kept_up_again(monkeypatch):
    monkeypatch.setattr(proxy_watch, "QUEUE_MAX", 4096)
    looked = Looked()
    watch = looked.watch
    watch.opened(1, 100.0, CLIENT, SERVER, None)
    for _ in range(100):
        watch.data(1, 0, 100.1, LOGIN)
    shown = threading.Event()
    watch.call(shown.set)
    with looked:
        assert shown.wait(30)
        watch.data(1, 0, 102.0, frame(6, 9))
        watch.closed(1, 103.0, "fin", 0)
    assert [one.id for one in looked.of(FrameRecord)][-1] == 9


def test_an_analysis_that_fails_loses_its_connection_alone():
    class Failing(Analyser):
        def feed(self, events):
            def checked():
                for event in events:
                    if getattr(event, "data", b"") == b"boom":
                        raise KeyError("a secret")
                    yield event

            return super().feed(checked())

    looked = Looked(analyser=Failing())
    with looked as watch:
        watch.opened(1, 100.0, CLIENT, SERVER, None)
        watch.data(1, 0, 100.1, b"boom")
        watch.data(1, 0, 100.1, b"boom")
        session(watch, 2)
    assert [one.cmd for one in looked.of(FrameRecord) if one.stream == 2] == [29, 0, 20]
    assert len(looked.alerts) == 1
    assert "connection 1 failed (KeyError)" in looked.alerts[0]
    assert "secret" not in looked.alerts[0]


def test_it_is_given_up_where_it_fails_always():
    class Failing(Analyser):
        def feed(self, events):
            for _ in events:
                raise ValueError
            return []

    looked = Looked(analyser=Failing())
    with looked as watch:
        for number in range(1, 100):
            session(watch, number)
    assert len(looked.alerts) == proxy_watch.FAILURES_MAX + 1


def test_an_output_that_breaks_is_told_once():
    broken = threading.Event()

    def show(records):
        raise BrokenPipeError

    looked = Looked(show=show)
    looked.watch.on_broken = broken.set
    with looked as watch:
        session(watch)
        assert broken.wait(30)
        session(watch, 2)
    assert isinstance(watch.broken, BrokenPipeError)


def test_a_mistake_in_the_recording_stops_nothing():
    class Broken(Recorder):
        def data(self, *_):
            raise ValueError("a secret")

    looked = Looked(recorder=Broken())
    with looked as watch:
        session(watch)
        session(watch, 2)
        watch.call(lambda: 1 / 0)
    assert ["(ValueError)" in looked.alerts[0], "(ZeroDivisionError)" in looked.alerts[1]] == [True, True]
    assert len(looked.of(FrameRecord)) == 6
    assert watch._in == watch._out


def test_refusals_are_told_within_bounds():
    looked = Looked()
    with looked as watch:
        for number in range(100):
            detail = {"reason": "network", "text": "x", "client": f"192.0.2.{number}", "port": 1, "before": 0}
            watch.told(0, None, 100.0, "proxy-refused", detail)
    assert (
        looked.alerts[0] == "refused 192.0.2.0: its address is in no network of --allow; add it if it is one of yours"
    )
    assert len(looked.alerts) == proxy_watch.REFUSALS_TOLD + 1


@pytest.mark.parametrize(
    ("address", "text"),
    [(None, ""), (("192.0.2.1", 1), "192.0.2.1:1"), (("fe80::1%eth0", 2), "[fe80::1]:2"), (("a.b", 3), "a.b:3")],
)
def test_addresses(address, text):
    assert address_text(address) == text
