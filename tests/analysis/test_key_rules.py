"""BS905, BS906 and BS910 over a whole run: one word for many streams, and none that is louder than what it knows."""

from types import SimpleNamespace

import pytest

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, spelled_out
from blynkscope.analysis.rules.keys import STREAMS_NAMED, STREAMS_TOLD, Sealed
from blynkscope.analysis.run import Run
from blynkscope.wire.facts import Fact
from blynkscope.wire.keylog import KeyLog

LINE = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"


def judged(*states, keys=LINE, given=True):
    """Findings as (id, severity, stream, count, detail), out of (stream, details of what is said of its keys)."""
    run = Run(None, None, KeyLog(keys, given=given) if keys is not None else None)
    rule, streams, found = Sealed(run), {}, []

    def report(name, stream, *, count=1, detail="", fix=None, severity=None):
        number = getattr(stream, "number", stream)
        found.append((name, severity, number, count, detail))

    rule.report = report
    for number, detail in states:
        stream = streams.setdefault(
            number,
            SimpleNamespace(
                number=number,
                log=False,
                host=None,
                opened=SimpleNamespace(server="192.0.2.2:443"),
                memories={},
                lanes=(),
            ),
        )
        rule.told(stream, SimpleNamespace(direction=0), Fact("tls-keys", None, detail))
    rule.finished({}, {})
    return found


def unmatched(swapped=False):
    return {"state": "unmatched", "lines": 1, "server_random": swapped}


@pytest.mark.parametrize("state", ["none", "late", "unmatched"])
@pytest.mark.parametrize("data", [b"this is no key log\n", b"\xff\xd8\xff\xe0 a picture", b""])
def test_a_file_that_is_no_key_log_is_told_once(state, data):
    found = judged(*((n, {"state": state, "given": True, "lines": 0}) for n in range(1, 4)), keys=data)
    assert [(name, stream, count) for name, _, stream, count, _ in found] == [("BS906", None, 1), ("BS905", None, 3)]
    assert "holds no key" in found[0][4]


@pytest.mark.parametrize(("keys", "given"), [(None, True), (b"", False)])
def test_where_nobody_gave_a_key_log_nothing_is_said_of_one(keys, given):
    assert [one[0] for one in judged((1, {"state": "none"}), keys=keys, given=given)] == ["BS905"]


def test_one_finding_for_all_streams_that_the_log_does_not_know():
    found = judged(*((n, unmatched()) for n in range(1, 21)), *((n, unmatched()) for n in range(1, 21)))
    ((name, severity, stream, count, detail),) = found
    assert (name, severity, stream, count) == ("BS906", None, None, 20)
    assert "streams 1 (192.0.2.2:443), 2 " in detail
    assert detail.count("192.0.2.2") == STREAMS_NAMED
    assert "and 12 more" in detail


def test_the_only_stream_is_named():
    ((name, severity, stream, count, detail),) = judged((7, unmatched()))
    assert (name, severity, stream, count) == ("BS906", None, 7, 1)
    assert "of stream 7 (192.0.2.2:443)." in detail


@pytest.mark.parametrize("first", [True, False])
def test_beside_a_stream_that_was_opened_it_is_a_note(first):
    opened = (1, {"state": "opened"})
    ((_, severity, stream, _, detail),) = judged(*[opened][: 1 if first else 0], (2, unmatched()), opened)
    assert (severity, stream) == ("note", 2)
    assert "another program" in detail


def test_with_a_log_that_nobody_named_it_is_a_note():
    assert judged((2, unmatched()), given=False)[0][1] == "note"
    assert judged((2, {"state": "late"}), given=False)[0][1] == "note"
    assert judged((2, {"state": "late"}))[0][1] is None


def test_mixed_up_randoms_are_a_warning():
    ((_, severity, _, _, detail),) = judged((1, {"state": "opened"}), (2, unmatched()), (3, unmatched(True)))
    assert severity is None
    assert "mixed up" in detail


def test_keys_that_come_later_open_a_stream_after_all():
    assert judged((1, unmatched()), (1, {"state": "opened"})) == []
    assert judged((1, {"state": "none"}), (1, {"state": "opened"})) == []
    found = judged((1, {"state": "none"}), (1, unmatched()))
    assert [(one[0], one[2]) for one in found] == [("BS906", 1)]


def test_what_is_not_told_is_counted_by_its_own_id():
    unsupported = {"state": "unsupported", "why": "cipher suite 0x1305"}
    found = judged(*((n, unsupported) for n in range(1, 21)), (30, {"state": "late"}))
    assert [one[0] for one in found] == ["BS910"] * STREAMS_TOLD + ["BS906", "BS910"]
    assert (found[-1][2], found[-1][3]) == (None, 20 - STREAMS_TOLD)


def test_an_analysis_without_tls_says_nothing():
    records = spelled_out(Analyser(keys=KeyLog(b"nothing\n")).finish())
    assert not [one for one in records if isinstance(one, FindingRecord)]
