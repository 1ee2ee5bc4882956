"""Findings that only a proxy can make: each failure once, with the reason, and again after an hour."""

import pytest

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.analysis.records import FindingRecord, StreamRecord
from blynkscope.wire.events import Closed, Opened, Told

HANDSHAKE, UPSTREAM = "proxy-handshake-failed", "proxy-upstream-failed"
HELLO = {"leg": "device", "versions": ["TLS 1.2"], "ciphers": ["TLS_RSA_WITH_AES_128_CBC_SHA"], "sni": "blynk.cloud"}


def found(*facts, every=10.0, how="fin", by=1, server="ny3.blynk.cloud:443"):
    analyser, records = Analyser(), []
    for number, (kind, detail) in enumerate(facts, 1):
        time = 1000.0 + number * every
        records += analyser.feed([
            Opened(number, time, f"192.0.2.7:{50000 + number}", server, 50000 + number, 443, True),
            Told(number, None, time + 0.1, kind, detail),
            Closed(number, time + 0.2, how, by, (True, True)),
        ])  # fmt: skip
    records += analyser.finish()
    assert [one.kind for one in records if isinstance(one, StreamRecord)].count("proxy") == len(facts)
    return [one for one in records if isinstance(one, FindingRecord)]


@pytest.mark.parametrize(
    ("kind", "detail", "name", "words"),
    [
        (HANDSHAKE, {**HELLO, "reason": "…", "alert": 48, "cause": "…"}, "BS120", "unknown_ca (48)"),
        (HANDSHAKE, {**HELLO, "reason": "…", "alert": 42, "cause": "…"}, "BS120", "bad_certificate"),
        (HANDSHAKE, {**HELLO, "reason": "closed", "alert": None, "cause": "Most likely."}, "BS120", "without a word"),
        (HANDSHAKE, {**HELLO, "reason": "…", "alert": 40, "cause": "…"}, "BS110", "None of them has ECDHE"),
        (HANDSHAKE, {**HELLO, "reason": "…", "alert": 80, "cause": "…"}, "BS109", "internal_error (80)"),
        (HANDSHAKE, {**HELLO, "reason": "no-common-version", "alert": None, "cause": "It speaks TLS 1.0."}, "BS110",
         "It speaks TLS 1.0. The ClientHello offers"),
        (HANDSHAKE, {**HELLO, "reason": "timeout", "alert": None, "cause": "It hangs."}, "BS109", "It hangs."),
        (HANDSHAKE, {}, "BS109", "192.0.2.7"),
        (UPSTREAM, {"stage": "tls", "reason": "self-signed", "text": "signed by itself"}, "BS121", "signed by itself."),
        (UPSTREAM, {"stage": "tls", "reason": "unknown-ca", "text": "x"}, "BS121", "ny3.blynk.cloud:443: x."),
        (UPSTREAM, {"stage": "tls", "reason": "expired", "text": "x"}, "BS122", "x"),
        (UPSTREAM, {"stage": "tls", "reason": "wrong-name", "text": "x"}, "BS123", "x"),
        (UPSTREAM, {"stage": "tls", "reason": "alert protocol_version", "text": "x"}, "BS124", "handshake failed: x."),
        (UPSTREAM, {"stage": "dns", "reason": "unknown-host", "text": "x"}, "BS124", "could not be resolved"),
        (UPSTREAM, {"stage": "connect", "reason": "refused", "text": "x"}, "BS124", "could not be made: x."),
        (UPSTREAM, {"stage": "new"}, "BS124", "It failed: failed."),
        (UPSTREAM, {}, "BS124", "could not be made: failed."),
    ],
)  # fmt: skip
def test_each_failure_is_one_finding(kind, detail, name, words):
    (finding,) = found((kind, detail))
    assert finding.id == name
    assert finding.severity == "error"
    assert words in finding.detail
    assert finding.fix


def test_legacy_tls_is_not_advised_where_it_is_on():
    failed = {**HELLO, "reason": "no-common-cipher", "alert": None, "cause": "It offers RC4-MD5."}
    (finding,) = found((HANDSHAKE, {**failed, "legacy": False}))
    assert finding.fix.startswith("Start the proxy with --legacy-tls")
    (finding,) = found((HANDSHAKE, {**failed, "legacy": True}))
    assert "already (--legacy-tls)" in finding.fix
    assert "Start" not in finding.fix


def test_the_host_that_a_device_asked_for_is_named():
    detail = {"stage": "connect", "reason": "refused", "text": "x", "host": "fra1.blynk.cloud", "port": 443}
    (finding,) = found((UPSTREAM, detail), server="auto:443")
    assert finding.detail.startswith("fra1.blynk.cloud:443: ")
    assert "auto" not in finding.detail
    (finding,) = found((UPSTREAM, detail))
    assert finding.detail.startswith("ny3.blynk.cloud:443: ")


def test_the_same_failure_is_told_once_an_hour():
    refused = (UPSTREAM, {"stage": "connect", "reason": "refused", "text": "x"})
    assert [one.id for one in found(*[refused] * 20)][:1] == ["BS124"]
    assert [one.id for one in found(*[refused] * 20)].count("BS124") == 1
    (first, second) = [one for one in found(*[refused] * 20, every=200.0) if one.id == "BS124"]
    assert (first.count, second.count) == (1, 18)
    assert "18 times" in second.detail


def test_different_failures_are_told_apart():
    facts = [(UPSTREAM, {"stage": "connect", "reason": reason, "text": reason}) for reason in ("refused", "timeout")]
    assert [one.id for one in found(*facts, *facts)].count("BS124") == 2


def test_other_facts_of_the_proxy_are_records_alone():
    assert found(("proxy-rule", {"rule": "x"}), how="end", by=None) == []


def test_the_pages_are_there():
    assert [CATALOGUE[f"BS{number}"].group for number in range(120, 125)] == ["proxy"] * 5
