"""Versions, cipher suites, groups and order that a probe finds, against what OpenSSL was configured to accept."""

import shutil
import socket
import ssl
import subprocess

import pytest
from probe_world import Server, certificate, closing, context, ids, pem, run, suites_of

from blynkscope.protocol.tls_suites import suite_name

VERSIONS = {"SSL 3.0": None, "TLS 1.0": "TLSv1", "TLS 1.1": "TLSv1_1", "TLS 1.2": "TLSv1_2", "TLS 1.3": "TLSv1_3"}
LEAST = {"SSLv3": 0, "TLSv1.0": 1, "TLSv1": 1, "TLSv1.1": 2, "TLSv1.2": 3, "TLSv1.3": 4}


def allowed(settings, version, kinds):
    """What OpenSSL itself says that these settings take with this version, and certificates of these kinds."""
    place = list(VERSIONS).index(version)
    suites = []
    for one in settings.get_ciphers():
        is_new = one["protocol"] == "TLSv1.3"
        if is_new is not (version == "TLS 1.3") or LEAST[one["protocol"]] > place:
            continue
        # No parameters for classic Diffie-Hellman are set, nor keys that are shared in advance.
        if one["kea"] not in {"kx-rsa", "kx-ecdhe", "kx-any"} or one["auth"] not in {*kinds, "auth-null", "auth-any"}:
            continue
        suites.append(one["id"] & 0xFFFF)
    return suites


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    return {kind: pem(folder, certificate(kind=kind)) for kind in ("EC", "RSA")}


SETTINGS = {
    "all of it": (("RSA", "EC"), {"versions": ("TLSv1", "TLSv1_3"), "ciphers": "ALL:!aNULL:@SECLEVEL=0"}),
    "anonymous": (("RSA",), {"versions": ("TLSv1_2", "TLSv1_2"), "ciphers": "AECDH:AES128-SHA:eNULL:@SECLEVEL=0"}),
    "usual": (("RSA",), {"ciphers": "ECDHE+AESGCM:ECDHE+CHACHA20"}),
    "RSA alone": (("RSA",), {"versions": ("TLSv1_2", "TLSv1_2"), "ciphers": "kRSA:@SECLEVEL=0"}),
    "ECDSA": (("EC",), {"versions": ("TLSv1_2", "TLSv1_2"), "ciphers": "ECDHE:@SECLEVEL=0"}),
    "one": (("EC",), {"versions": ("TLSv1_2", "TLSv1_2"), "ciphers": "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"}),
    "TLS 1.3 alone": (("EC",), {"versions": ("TLSv1_3", "TLSv1_3")}),
    "TLS 1.0 alone": (("RSA",), {"versions": ("TLSv1", "TLSv1"), "ciphers": "ALL:!aNULL:@SECLEVEL=0"}),
    "TLS 1.1 and 1.2": (("RSA",), {"versions": ("TLSv1_1", "TLSv1_2"), "ciphers": "kRSA+SHA1:@SECLEVEL=0"}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_it_finds_what_openssl_accepts(name, files):
    kinds, options = SETTINGS[name]
    settings = context(*(files[kind] for kind in kinds), **options)
    auth = {"auth-ecdsa" if kind == "EC" else "auth-rsa" for kind in kinds}
    with Server(closing, settings) as server:
        report = run(port=server.port, login=False, timeout=1.0)
        held = report.ports[0].tls
    least, most = options.get("versions", ("TLSv1_2", "TLSv1_3"))
    names = list(VERSIONS.values())
    for one in held.versions:
        word = VERSIONS[one.version]
        expected = word is not None and names.index(least) <= names.index(word) <= names.index(most)
        assert one.accepted is expected, one
        if expected:
            assert one.complete
            # In its own order: it prefers, as Python tells it to.
            assert suites_of(report, one.version) == allowed(settings, one.version, auth)
            assert one.order == ("server" if len(one.suites) > 1 else None)
    assert report.connections == server.count
    assert "tls" in report.ports[0].speaks


def test_each_on_its_own_finds_the_same(files):
    settings = context(files["RSA"], versions=("TLSv1_2", "TLSv1_2"), ciphers="ECDHE+AES:kRSA+AESGCM:@SECLEVEL=0")
    with Server(closing, settings) as server:
        report = run(port=server.port, login=False, timeout=1.0, each=True, jobs=8)
    assert suites_of(report) == allowed(settings, "TLS 1.2", {"auth-rsa"})
    assert report.connections > 300


@pytest.mark.parametrize("prefer", [True, False])
def test_who_decides(files, prefer):
    settings = context(
        files["RSA"], versions=("TLSv1_2", "TLSv1_2"), ciphers="AES128-SHA:ECDHE+AESGCM:AES256-SHA", prefer=prefer
    )
    with Server(closing, settings) as server:
        report = run(port=server.port, login=False, timeout=1.0)
    (facts,) = (one for one in report.ports[0].tls.versions if one.accepted)
    assert facts.order == ("server" if prefer else "client")
    assert sorted(suites_of(report)) == sorted(allowed(settings, "TLS 1.2", {"auth-rsa"}))
    if prefer:
        assert suite_name(suites_of(report)[0]) == "TLS_RSA_WITH_AES_128_CBC_SHA"


@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1", "X25519"])
def test_groups(files, curve):
    name = {"prime256v1": "secp256r1", "X25519": "x25519"}.get(curve, curve)
    with Server(closing, context(files["RSA"], curve=curve)) as server:
        report = run(port=server.port, login=False, timeout=1.0)
    by_version = {one.version: one.groups for one in report.ports[0].tls.versions}
    assert by_version["TLS 1.2"] == by_version["TLS 1.3"] == [name]


def test_weak_ones_are_told(files):
    settings = context(files["RSA"], versions=("TLSv1", "TLSv1_2"), ciphers="AECDH:eNULL:kRSA:@SECLEVEL=0")
    with Server(closing, settings) as server:
        report = run(port=server.port, login=False, timeout=1.0)
    (found,) = (one for one in report.findings if one.id == "BS608")
    assert found.severity == "warning"
    assert "TLS 1.0, TLS 1.1" in found.detail
    weak = {one.suite.iana: one.weak for facts in report.ports[0].tls.versions for one in facts.suites if one.weak}
    assert weak["TLS_RSA_WITH_NULL_SHA256"] == "nothing is encrypted"
    assert weak["TLS_ECDH_anon_WITH_AES_128_CBC_SHA"] == "nobody is authenticated"
    assert "TLS_RSA_WITH_AES_128_CBC_SHA" not in weak
    with Server(closing, context(files["RSA"], ciphers="ECDHE+AESGCM")) as server:
        assert "BS608" not in ids(run(port=server.port, login=False, timeout=1.0))


def test_an_openssl_server_with_classic_diffie_hellman(files, tmp_path):
    """Suites that Python's servers cannot have, by OpenSSL's own server; its list of ciphers is the oracle."""
    program = shutil.which("openssl")
    if program is None:
        pytest.fail("openssl is not installed: install it")
    wanted = "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-SHA:ECDHE-RSA-CAMELLIA128-SHA256"
    command = [
        program, "s_server", "-accept", "127.0.0.1:0", "-cert", files["RSA"], "-key", files["RSA"], "-tls1_2",
        "-cipher", f"{wanted}:@SECLEVEL=0", "-quiet", "-serverpref",
    ]  # fmt: skip
    command.remove("-quiet")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            port = None
            for line in server.stdout:
                if line.startswith(b"ACCEPT "):
                    port = int(line.rpartition(b":")[2])
                    break
            assert port
            report = run(port=port, login=False, timeout=1.0)
        finally:
            server.kill()
            server.stdout.close()
            server.stdin.close()
    names = [one.suite.openssl for facts in report.ports[0].tls.versions for one in facts.suites]
    assert names == wanted.split(":")


# --- a device's list ---


def device(files, suites, *, kinds=("RSA",), scan=True, host="localhost", **options):
    with Server(closing, context(*(files[kind] for kind in kinds), **options)) as server:
        report = run(host, server.port, login=False, timeout=1.0, suites=tuple(suites), scan=scan)
    return report, report.ports[0].tls.device


@pytest.mark.parametrize("scan", [True, False])
def test_the_device_decides_where_the_server_lets_it(files, scan):
    options = {"versions": ("TLSv1_2", "TLSv1_2"), "ciphers": "ECDHE+AESGCM:AES128-SHA", "prefer": False}
    report, one = device(files, [0xC0FF, 0x35, 0x2F, 0xC030, 0xC02F], scan=scan, **options)
    assert (one.agreed.openssl, one.agreed.axtls, one.version) == ("AES128-SHA", "SSL_AES128_SHA", "TLS 1.2")
    assert [entry.openssl for entry in one.accepted] == [
        "AES128-SHA", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256",
    ]  # fmt: skip
    assert (one.handshake, one.known, one.without_sni) == ("completed", True, one.agreed)
    assert "3 of 5" in one.verdict
    assert "BS110" not in ids(report)


def test_the_server_decides_where_it_wants_to(files):
    _, one = device(files, [0xC02F, 0xC030, 0x1301, 0x1302], ciphers="ECDHE+AESGCM")
    assert (one.agreed.iana, one.version, one.group) == ("TLS_AES_256_GCM_SHA384", "TLS 1.3", "x25519")
    assert one.handshake == "completed"
    assert len(one.accepted) == 4


@pytest.mark.parametrize(
    ("suites", "kinds", "options", "words"),
    [
        ([0x2F, 0x35], ("RSA",), {"ciphers": "ECDHE+AESGCM"}, "RSA key exchange only"),
        ([0xC02F], ("RSA",), {"versions": ("TLSv1_3", "TLSv1_3")}, "TLS 1.3 only"),
        ([0xC02F, 0x2F], ("EC",), {"versions": ("TLSv1_2", "TLSv1_2"), "ciphers": "ECDHE"}, "certificate of RSA"),
        ([0xC02B], ("RSA",), {"ciphers": "ECDHE+AESGCM"}, "certificate of ECDSA"),
        ([0xC0A0], ("RSA",), {"ciphers": "ECDHE+AESGCM:AES128-SHA"}, "none of the 1 suites"),
    ],
)
def test_nothing_in_common(files, suites, kinds, options, words):
    report, one = device(files, suites, kinds=kinds, **options)
    assert (one.agreed, one.accepted, one.handshake) == (None, (), None)
    assert words in one.verdict
    assert one.advice
    (found,) = (each for each in report.findings if each.id == "BS110")
    assert (found.severity, found.fix) == ("error", one.advice)
    assert words in found.detail


# --- SNI ---


def test_a_server_that_needs_a_name(files, tmp_path):
    settings, other = context(files["RSA"]), context(pem(tmp_path, certificate("other.example", kind="EC")))

    def refuse(connection, name, _):
        return None if name else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    settings.sni_callback = refuse
    with Server(closing, settings) as server:
        report = run(port=server.port, login=False, timeout=1.0, scan=False)
    assert report.ports[0].tls.sni == "refused"
    assert "unrecognized_name (112)" in report.ports[0].tls.sni_text
    assert "BS128" in ids(report)

    def swap(connection, name, _):
        connection.context = settings if name else other

    settings.sni_callback = swap
    with Server(closing, settings) as server:
        report = run(port=server.port, login=False, timeout=1.0, scan=False)
    assert report.ports[0].tls.sni == "other-certificate"
    assert "other.example" in report.ports[0].tls.sni_text

    settings.sni_callback = None
    with Server(closing, settings) as server:
        assert run(port=server.port, login=False, timeout=1.0, scan=False).ports[0].tls.sni == "same"
        assert run("127.0.0.1", server.port, login=False, timeout=1.0, scan=False).ports[0].tls.sni is None


def test_a_server_that_chokes_on_a_long_hello(files):
    settings = context(files["RSA"], versions=("TLSv1_2", "TLSv1_2"), ciphers="ECDHE+AESGCM:kRSA:@SECLEVEL=0")

    def talk(connection):
        head = connection.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)
        if len(head) == 5 and int.from_bytes(head[3:], "big") <= 400:
            settings.wrap_socket(connection, server_side=True).recv(1)

    with Server(talk) as server:
        report = run(port=server.port, login=False, timeout=1.0)
    assert suites_of(report) == allowed(settings, "TLS 1.2", {"auth-rsa"})
    (facts,) = (one for one in report.ports[0].tls.versions if one.accepted)
    assert (facts.order, facts.complete) == ("server", True)


def test_a_search_that_is_cut_short_says_so(files):
    settings = context(files["RSA"], versions=("TLSv1_2", "TLSv1_2"), ciphers="kRSA:@SECLEVEL=0")
    with Server(closing, settings) as server:
        report = run(port=server.port, login=False, timeout=1.0, budget=6)
    facts = next(one for one in report.ports[0].tls.versions if one.version == "TLS 1.2")
    assert facts.accepted
    assert not facts.complete
    assert len(facts.suites) < len(allowed(settings, "TLS 1.2", {"auth-rsa"}))
    others = [one.accepted for one in report.ports[0].tls.versions if one.version != "TLS 1.2"]
    assert others == [None] * 4
