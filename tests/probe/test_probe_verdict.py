"""From facts to findings, for facts that loopback does not give."""

import pytest
from probe_world import IOT_TOKEN, TOKEN

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.probe import Settings, close, new_report
from blynkscope.probe.model import (
    Accepted,
    Attempt,
    CertificateFacts,
    ChainFacts,
    LoginFacts,
    Names,
    PortFacts,
    SpokenFacts,
    TlsFacts,
    VersionFacts,
)
from blynkscope.probe.suites import named


def judged(*ports, host="server.example", token=None):
    settings = Settings(host=host, port=ports[0].port if len(ports) == 1 else None, token=token)
    report = new_report(settings)
    report.dns = Names(host, ("192.0.2.1",))
    report.ports = list(ports)
    close(report, settings)
    return report.findings


def ids(findings):
    return [f"{one.id} {one.severity}" for one in findings]


def port(number, *speaks, **facts):
    return PortFacts(number, [Attempt("8.8.8.8", "open", 1.0)], "8.8.8.8", list(speaks), **facts)


@pytest.mark.parametrize(
    ("result", "name"),
    [
        ("refused", "BS101 error"), ("timeout", "BS102 error"), ("unreachable", "BS102 error"),
        ("reset", "BS103 warning"), ("failed", None), ("not-tried", None),
    ],
)  # fmt: skip
def test_what_became_of_the_connection(result, name):
    found = judged(PortFacts(8080, [Attempt("192.0.2.1", result)]))
    assert ids(found) == ([name] if name else [])


def test_one_of_the_usual_ports_is_enough():
    closed = PortFacts(443, [Attempt("8.8.8.8", "refused")])
    assert ids(judged(closed, port(80, "blynk"))) == []
    assert ids(judged(closed, PortFacts(80, [Attempt("8.8.8.8", "refused")]))) == ["BS101 error"]


def test_no_way_to_ipv6_is_no_fault_of_the_server():
    tried = [Attempt("8.8.8.8", "open", 1.0), Attempt("2001:db8::1", "unreachable")]
    assert ids(judged(PortFacts(80, tried, "8.8.8.8", ["blynk"]))) == []


def test_the_wrong_way_for_the_port():
    assert ids(judged(port(9443, "blynk"))) == ["BS106 error"]
    assert ids(judged(port(80, "tls", "blynk", tls=TlsFacts()))) == ["BS107 error"]
    assert ids(judged(port(8080, "blynk"))) == ids(judged(port(443, "tls", "blynk", tls=TlsFacts()))) == []
    mqtt = SpokenFacts("mqtt", "CONNACK 5 (not authorized)", code=5)
    assert ids(judged(port(1883, "mqtt", others=[mqtt]))) == []
    refused = LoginFacts(True, "closed")
    assert ids(judged(port(8080, "mqtt", others=[mqtt], logins=[refused]))) == ["BS111 error"]


@pytest.mark.parametrize(
    ("login", "names"),
    [
        (LoginFacts(True, "status", 9, "STA_INVALID_TOKEN"), []),
        (LoginFacts(False, "status", 9, "STA_INVALID_TOKEN"), ["BS201 error", "BS601 warning"]),
        (LoginFacts(False, "status", 200, "STA_SUCCESS", 5.0, (1.0, 2.0)), ["BS601 warning"]),
        (LoginFacts(False, "status", 200, "STA_SUCCESS", 5.0, (1.0,), 1), ["BS601 warning", "BS304 warning"]),
        (LoginFacts(False, "status", 4, "STA_ALREADY_REGISTERED"), ["BS601 warning"]),
        (LoginFacts(True, "redirect", redirect="ny3.blynk.cloud:80"), ["BS207 note"]),
        (LoginFacts(True, "redirect", redirect="ny3.blynk.cloud:80", followed=True), ["BS208 note"]),
    ],
)
def test_logins(login, names):
    assert ids(judged(port(8080, "blynk", logins=[login]), token=TOKEN)) == names


def test_the_worst_comes_first():
    """Of several ports, too; what weighs the same stays in the order of the ports."""
    redirected = port(80, "blynk", logins=[LoginFacts(True, "redirect", redirect="ny3.blynk.cloud:80")])
    plain = port(9443, "blynk", logins=[LoginFacts(False, "status", 200, "STA_SUCCESS", 5.0, (1.0,), 1)])
    refused = port(8080, "blynk", logins=[LoginFacts(False, "status", 9, "STA_INVALID_TOKEN")])
    assert ids(judged(redirected, plain, refused, token=TOKEN)) == [
        "BS106 error", "BS201 error", "BS601 warning", "BS304 warning", "BS601 warning", "BS207 note",
    ]  # fmt: skip


def test_eras_that_do_not_fit():
    refused = LoginFacts(False, "status", 9, "STA_INVALID_TOKEN")
    (one, _) = judged(port(80, "blynk", logins=[refused]), host="ny3.blynk.cloud", token=TOKEN)
    assert "Blynk IoT, and the token has the form of a legacy server's" in one.detail
    found = judged(port(8080, "blynk", logins=[refused]), host="blynk-cloud.com", token=IOT_TOKEN)
    assert ids(found) == ["BS201 error", "BS105 warning", "BS601 warning"]
    assert IOT_TOKEN not in str(found)


def test_alerts_to_everything():
    for alert, name in (("handshake_failure", "BS110 error"), ("internal_error", "BS109 error")):
        assert ids(judged(port(443, "tls", tls=TlsFacts(alert=alert)))) == [name]


def test_old_versions():
    def held(version, *numbers):
        taken = [Accepted(named(number), "RSA", "RC4, broken" if number == 5 else None) for number in numbers]
        return VersionFacts(version, True, suites=taken, complete=True)

    for versions, names in (
        ([held("TLS 1.2", 0x2F)], []), ([held("TLS 1.1", 0x2F)], ["BS608 note"]),
        ([held("TLS 1.2", 0x2F, 5)], ["BS608 warning"]), ([held("SSL 3.0", 0x2F)], ["BS608 warning"]),
    ):  # fmt: skip
        assert ids(judged(port(443, "tls", tls=TlsFacts(versions=versions)))) == names


def test_dates_out_of_all_range():
    leaf = CertificateFacts("CN=x", not_before=-1e30, not_after=-1e29)
    chain = ChainFacts("RSA", (leaf,), ("expired",))
    (one,) = judged(port(443, "tls", tls=TlsFacts(chains=[chain])))
    assert (one.id, "a date out of all range" in one.detail) == ("BS605", True)


def test_every_finding_is_in_the_catalogue():
    assert {"BS128", "BS607", "BS608"} <= set(CATALOGUE)
