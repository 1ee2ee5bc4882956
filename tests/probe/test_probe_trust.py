"""Certificates: who signed them, for whom, until when, and which root a device needs."""

import pytest
from cryptography import x509
from probe_world import Server, certificate, closing, context, ids, pem, roots, run

from blynkscope.probe import trust
from blynkscope.probe.model import CertificateFacts
from blynkscope.render.probed_tls import _validity


@pytest.fixture(scope="module")
def root():
    return certificate("Test Root", ca=True)


def probed(tmp_path, *chain, ca=None, host="localhost", **options):
    with Server(closing, context(pem(tmp_path, *chain), **options)) as server:
        report = run(host, server.port, login=False, scan=False, ca=None if ca is None else str(ca))
    return report, report.ports[0].tls.chains


def test_a_root_of_ones_own(tmp_path, root):
    leaf = certificate(issuer=root)
    report, (chain,) = probed(tmp_path, leaf, ca=roots(tmp_path, root))
    assert [(one.store == "system", one.trusted, one.reason) for one in chain.trust] == [
        (True, False, "unknown-ca"), (False, True, None),
    ]  # fmt: skip
    assert chain.flaws == ()
    assert chain.root == chain.trust[1].root == "CN=Test Root"
    assert ids(report) == []
    facts = chain.certificates[0]
    assert (facts.subject, facts.issuer, facts.key, facts.signature) == (
        "CN=localhost", "CN=Test Root", "EC secp256r1", "sha256",
    )  # fmt: skip
    assert facts.names == ("localhost", "127.0.0.1")
    assert len(facts.sha256) == 95


def test_nobody_knows_the_root(tmp_path, root):
    report, (chain,) = probed(tmp_path, certificate(issuer=root))
    assert chain.flaws == ("unknown-ca",)
    (one,) = report.findings
    assert one.id == "BS604"
    assert "CN=Test Root" in one.detail


def test_a_missing_intermediate(tmp_path, root):
    middle = certificate("Middle", issuer=root, ca=True)
    leaf = certificate(issuer=middle)
    _, (chain,) = probed(tmp_path, leaf, ca=roots(tmp_path, root))
    assert chain.flaws == ("unknown-ca",)
    assert chain.root == "CN=Middle"
    _, (chain,) = probed(tmp_path, leaf, middle, ca=roots(tmp_path, root))
    assert chain.flaws == ()
    assert (chain.root, len(chain.certificates)) == ("CN=Test Root", 2)


def test_signed_by_itself(tmp_path):
    leaf = certificate()
    report, (chain,) = probed(tmp_path, leaf)
    assert chain.flaws == ("self-signed",)
    assert ids(report) == ["BS604"]
    _, (chain,) = probed(tmp_path, leaf, ca=roots(tmp_path, leaf))
    assert chain.flaws == ()


def test_expired(tmp_path, root):
    leaf = certificate(issuer=root, days=(-30, -1))
    report, (chain,) = probed(tmp_path, leaf, ca=roots(tmp_path, root))
    assert chain.flaws == ("expired",)
    assert chain.trust[1].trusted
    assert ids(report) == ["BS605"]
    assert "expired on" in report.findings[0].detail


@pytest.mark.parametrize(
    ("life", "left", "soon"),
    [(14, 13, False), (14, 1.5, False), (14, 1.3, True), (90, 8, True), (90, 10, False), (365, 29, True),
     (365, 31, False), (3650, 31, False), (None, 29, True), (14, -1, False)],
)  # fmt: skip
def test_what_ends_soon(life, left, soon):
    now, day = 1.7e9, 86400
    begins = None if life is None else now + (left - life) * day
    one = CertificateFacts("CN=x", not_before=begins, not_after=now + left * day)
    assert ("(soon)" in _validity(one, now)) is soon


def test_not_yet(tmp_path, root):
    report, (chain,) = probed(tmp_path, certificate(issuer=root, days=(1, 30)), ca=roots(tmp_path, root))
    assert chain.flaws == ("not-yet-valid",)
    assert ids(report) == ["BS605"]


def test_another_name(tmp_path, root):
    report, (chain,) = probed(
        tmp_path, certificate("other.example", issuer=root, addresses=()), ca=roots(tmp_path, root)
    )
    assert chain.flaws == ("wrong-name",)
    assert ids(report) == ["BS607"]
    assert "is for other.example, and not for localhost" in report.findings[0].detail
    leaf = certificate(issuer=root, addresses=("192.0.2.1",))
    assert probed(tmp_path, leaf, ca=roots(tmp_path, root), host="127.0.0.1")[1][0].flaws == ("wrong-name",)
    assert probed(tmp_path, leaf, ca=roots(tmp_path, root))[1][0].flaws == ()


def test_everything_at_once_is_told(tmp_path):
    leaf = certificate("other.example", days=(-30, -1), kind="RSA 1024")
    report, (chain,) = probed(tmp_path, leaf)
    assert set(chain.flaws) == {"expired", "wrong-name", "weak-key", "self-signed"}
    # Errors, then warnings; among each other as a connection is made.
    assert [(one.id, one.severity) for one in report.findings] == [
        ("BS605", "error"), ("BS607", "error"), ("BS604", "warning"), ("BS608", "warning"),
    ]  # fmt: skip
    assert "its certificate has a short key (RSA 1024)" in report.findings[-1].detail
    assert report.findings[-1].severity == "warning"


def test_both_kinds_of_certificates(tmp_path, root):
    """Each is verified on its own."""
    good, bad = certificate(issuer=root, kind="RSA"), certificate("other.example", kind="EC")
    settings = context(pem(tmp_path, good), pem(tmp_path, bad), ciphers="ECDHE+AESGCM")
    with Server(closing, settings) as server:
        report = run(port=server.port, login=False, timeout=1.0, ca=str(roots(tmp_path, root)))
    flaws = {chain.kind: set(chain.flaws) for chain in report.ports[0].tls.chains}
    assert flaws == {"RSA": set(), "ECDSA": {"wrong-name", "self-signed"}}


def test_only_the_new_version(tmp_path, root):
    report, (chain,) = probed(
        tmp_path, certificate(issuer=root), ca=roots(tmp_path, root), versions=("TLSv1_3", "TLSv1_3")
    )
    assert chain.certificates[0].subject == "CN=localhost"
    assert chain.flaws == ()
    assert report.ports[0].tls.handshake == "TLS 1.3 TLS_AES_256_GCM_SHA384"


@pytest.mark.parametrize("der", [b"", b"x", b"\x30\x82\xff\xff" + bytes(100), bytes(5000)])
def test_what_is_no_certificate(der):
    assert trust.read(der).error
    chain = trust.described("RSA", [der], "localhost")
    assert chain.certificates[0].error
    assert trust.trusted(chain, []).flaws == chain.flaws


def test_names():
    def held(*names, subject="CN=x"):
        return trust.CertificateFacts(subject=subject, names=names)

    assert trust.is_for(held("blynk.cloud", "*.blynk.cloud"), "ny3.blynk.cloud.")
    assert trust.is_for(held("BLYNK.cloud"), "Blynk.Cloud")
    assert not trust.is_for(held("*.blynk.cloud"), "a.b.blynk.cloud")
    assert not trust.is_for(held("*.blynk.cloud"), "blynk.cloud")
    assert trust.is_for(held("2001:db8::1"), "2001:0db8::1")
    assert trust.is_for(held(subject="CN=localhost,O=x"), "localhost")
    assert not trust.is_for(held("other.example", subject="CN=localhost"), "localhost")
    assert x509.Name([]).rfc4514_string() == ""
