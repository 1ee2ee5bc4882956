"""What a probe must not say: refusals that are limits, flaws that are none, and a token where nobody sent it."""

import socket
import struct
import threading

import msgspec
import pytest
from probe_world import (
    TOKEN,
    Server,
    blynk,
    certificate,
    closing,
    context,
    found,
    ids,
    nothing,
    pem,
    roots,
    run,
)

from blynkscope.probe import Settings, new_report, speaking, trust, verdict
from blynkscope.probe.model import NO_TOKEN, ChainFacts, PortFacts, TlsFacts
from blynkscope.probe.net import Address, Network
from blynkscope.probe.run import PUBLIC_BUDGET, PUBLIC_DELAY
from blynkscope.probe.suites import numbers
from blynkscope.wire.hellos import read_client_hello

RESET = struct.pack("ii", 1, 0)
PUBLIC = "8.8.8.8"


def frame(cmd, number, body=b"", status=None):
    return struct.pack(">BHH", cmd, number, len(body) if status is None else status) + body


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    return {kind: pem(folder, certificate(kind=kind)) for kind in ("EC", "RSA")}


# --- servers that take so many connections and no more ---


def limited(settings, count, how):
    """TLS for so many connections, then a reset or a close for each."""
    taken, lock = [0], threading.Lock()

    def talk(connection):
        with lock:
            taken[0] += 1
            over = taken[0] > count
        if over:
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            else:
                connection.recv(65536)
            return
        with settings.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return talk


@pytest.mark.parametrize("how", ["reset", "closed"])
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("count", [3, 5, 9, 14, 20, 24, 28, 31, 33, 34, 35, 36, 37])
def test_a_server_that_limits_connections(files, count, how, each):
    """Whatever is said to be refused is refused; what is said to be complete is."""
    settings = context(files["RSA"], versions=("TLSv1_1", "TLSv1_3"), ciphers="ECDHE+AESGCM:kRSA+AESGCM:@SECLEVEL=0")
    with Server(limited(settings, 10_000, how)) as server:
        whole = run(port=server.port, login=False, timeout=1.0).ports[0].tls
    with Server(limited(settings, count, how)) as server:
        report = run(port=server.port, login=False, timeout=1.0, suites=(0xC02F,), each=each)
    (port,) = report.ports
    if server.count <= count:
        assert (report.complete, report.limits) == (True, [])
        return
    assert not report.complete
    assert len(report.limits) == 1
    assert "takes no more connections" in report.limits[0] or "no further connection" in report.limits[0]
    assert not {"BS110", "BS111", "BS128", "BS202", "BS109"} & set(ids(report))
    if port.tls is None:  # not even the first hello came through
        return
    assert port.tls.sni in {None, "same", "accepted"}
    for one, real in zip(port.tls.versions, whole.versions, strict=True):
        assert one.accepted in {None, real.accepted}, one
        if one.complete:
            assert {each_.suite.code for each_ in one.suites} == {each_.suite.code for each_ in real.suites}
            assert one.groups == real.groups
    if port.tls.device is not None and port.tls.device.agreed is None:
        assert port.tls.device.verdict.startswith("not found out")
    assert port.tls.device is None or not port.tls.device.sni_needed
    # It was not asked again and again.
    assert server.count <= count + 20


def test_a_server_that_refuses_by_hanging_up_is_still_told(files):
    """A control hello gets its answer: so the others were refused."""
    settings = context(files["RSA"], versions=("TLSv1_2", "TLSv1_2"), ciphers="kRSA+AESGCM:@SECLEVEL=0")

    def talk(connection):
        data = connection.recv(65536, socket.MSG_PEEK)
        hello = read_client_hello(data[9:])
        if hello is not None and 0x9C in hello.ciphers:
            with settings.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

    with Server(talk) as server:
        report = run(port=server.port, login=False, timeout=1.0, suites=(0xC02F,))
    tls = report.ports[0].tls
    assert {one.version: one.accepted for one in tls.versions} == {
        "SSL 3.0": False, "TLS 1.0": False, "TLS 1.1": False, "TLS 1.2": True, "TLS 1.3": False,
    }  # fmt: skip
    assert all(one.complete for one in tls.versions)
    assert len(tls.versions[3].suites) == 2
    assert "BS110" in ids(report)
    assert (report.complete, report.limits) == (True, [])


# --- SNI ---


@pytest.mark.parametrize(
    "options",
    [
        {"ciphers": "AECDH:@SECLEVEL=0", "versions": ("TLSv1_2", "TLSv1_2")},
        {"ciphers": "AECDH:@SECLEVEL=0", "versions": ("TLSv1", "TLSv1")},
        {"versions": ("TLSv1", "TLSv1")},
        {"versions": ("TLSv1_3", "TLSv1_3")},
    ],
)
@pytest.mark.parametrize("scan", [True, False])
def test_a_server_that_asks_for_no_name(files, options, scan):
    with Server(closing, context(files["RSA"], **options)) as server:
        report = run(port=server.port, login=False, timeout=1.0, scan=scan)
    assert report.ports[0].tls.sni in {"same", "accepted"}
    assert "BS128" not in ids(report)


def test_the_name_that_a_redirect_leads_to(files):
    """The second server is asked by its own name."""
    names = []
    settings = context(files["RSA"])
    settings.sni_callback = lambda connection, name, _: names.append(name)
    with (
        Server(blynk(200), settings) as second,
        Server(blynk(redirect=b"second.example\0%d" % second.port), context(files["RSA"])) as first,
    ):
        report = run(
            "first.example", first.port, token=TOKEN, timeout=1.0, scan=False, follow=True, lookup=found("127.0.0.1")
        )
    assert [one.answer for one in report.ports[0].logins] == ["redirect", "status"]
    assert report.ports[0].logins[1].host == f"second.example:{second.port}"
    assert set(names) == {"second.example"}


# --- where the token goes ---


@pytest.fixture
def cloud(monkeypatch):
    """A public address that is really loopback; what it hears. Nothing leaves this machine."""
    heard, networks = [], []
    real = Network.connect

    def talk(connection):
        data = connection.recv(65536)
        heard.append(data)
        connection.sendall(frame(0, 1, status=200))
        nothing(connection)

    async def connect(self, address, port):
        if address.text == PUBLIC:
            networks.append(self)
            address = Address(socket.AF_INET, ("127.0.0.1", 0))
        assert address.text.startswith("127.")
        return await real(self, address, port)

    monkeypatch.setattr(Network, "connect", connect)
    with Server(talk) as server:
        server.got, server.networks = heard, networks
        yield server


def lookup(host, family):
    return found(PUBLIC if host in {PUBLIC, "cloud.example"} else "127.0.0.1")(host, family)


def test_a_redirect_does_not_carry_the_token_out(cloud):
    with Server(blynk(redirect=b"8.8.8.8\0%d" % cloud.port)) as first:
        report = run("127.0.0.1", first.port, token=TOKEN, timeout=0.5, follow=True, lookup=lookup)
    assert not any(TOKEN.encode() in one for one in cloud.got)
    assert any(NO_TOKEN.encode() in one for one in cloud.got)
    assert f"not sent in clear over the internet to 8.8.8.8:{cloud.port}" in report.limits[0]
    assert [one.made_up for one in report.ports[0].logins] == [False, True]
    assert "BS601" not in ids(report)
    (hop,) = set(cloud.networks)
    assert (hop.budget, hop._delay) == (PUBLIC_BUDGET, PUBLIC_DELAY)
    assert report.connections == first.count + cloud.count


def test_who_named_a_public_port_sends_it_and_is_told(cloud):
    logins = []

    def talk(connection):
        if connection.recv(65536)[:1] != b"\x1d":
            return
        logins.append(None)
        connection.sendall(frame(41, 1, b"8.8.8.8\0%d" % cloud.port) if len(logins) == 1 else frame(0, 1, status=9))
        nothing(connection)

    cloud.talk = talk
    report = run("cloud.example", cloud.port, token=TOKEN, timeout=0.5, follow=True, lookup=lookup, delay=0.0)
    assert report.public
    assert ids(report).count("BS601") == len(report.ports[0].logins)
    assert all(not one.made_up for one in report.ports[0].logins)
    assert any(f"to 8.8.8.8:{cloud.port}, without TLS" in one.detail for one in report.findings)


def test_the_limit_of_all_connections_holds_for_hops_too(cloud):
    with Server(blynk(redirect=b"8.8.8.8\0%d" % cloud.port)) as first:
        report = run("127.0.0.1", first.port, timeout=0.5, follow=True, lookup=lookup, budget=3)
    assert report.connections == 3
    assert cloud.count == 0
    assert not report.complete
    assert speaking.REDIRECTS_MAX == 3


# --- frames ---


def said(what):
    """A server that says this to each frame of a device; `what(number, body)`."""

    def talk(connection):
        data = b""
        while more := connection.recv(65536):
            data += more
            if data[0] not in {6, 29}:
                return
            while len(data) >= 5:
                cmd, number, size = struct.unpack(">BHH", data[:5])
                if len(data) < 5 + size:
                    break
                connection.sendall(what(cmd, number, data[5 : 5 + size]))
                data = data[5 + size :]

    return talk


def test_many_frames_before_the_answer():
    def many(cmd, number, body):
        values = b"".join(frame(20, one, b"vw\x001\x001") for one in range(2, 1000))
        return (values if cmd == 29 else b"") + frame(0, number, status=200)

    with Server(said(many)) as server:
        report = run("127.0.0.1", server.port, timeout=1.0, token=TOKEN)
    (login,) = report.ports[0].logins
    assert (login.status, login.frames, len(login.pings)) == (200, 998, 2)
    assert ids(report) == []


def test_frames_without_an_answer():
    with Server(said(lambda cmd, number, body: frame(20, 7, b"vw\x001\x001") * 3)) as server:
        report = run("127.0.0.1", server.port, timeout=0.3)
    (port,) = report.ports
    assert (port.speaks, port.logins[0].answer, port.logins[0].frames) == (["blynk"], "silent", 3)
    assert ids(report) == ["BS202"]
    assert "3 other frames of Blynk" in report.findings[0].detail


def test_an_answer_with_another_id():
    with Server(said(lambda cmd, number, body: frame(0, number + 1, status=200))) as server:
        report = run("127.0.0.1", server.port, timeout=0.3)
    (port,) = report.ports
    assert (port.speaks, port.logins[0].answer, port.logins[0].id, port.logins[0].status) == (
        ["blynk"], "other-id", 2, 200,
    )  # fmt: skip
    assert ids(report) == ["BS202"]
    assert "message id 2 in place of 1" in report.findings[0].detail


def test_an_echo_is_no_blynk():
    with Server(said(frame)) as server:
        report = run("127.0.0.1", server.port, timeout=0.3, token=TOKEN)
    assert report.ports[0].speaks == []
    assert report.ports[0].logins[0].frames == 0


# --- certificates ---


def chained(tmp_path, *chain, ca=None):
    with Server(closing, context(pem(tmp_path, *chain))) as server:
        report = run(port=server.port, login=False, scan=False, ca=str(roots(tmp_path, *ca)))
    return report, report.ports[0].tls.chains[0]


def test_a_chain_that_is_out_of_order(tmp_path):
    root = certificate("Test Root", ca=True)
    middle = certificate("Middle", issuer=root, ca=True)
    leaf = certificate(issuer=middle)
    report, chain = chained(tmp_path, leaf, root, middle, ca=[root])
    assert chain.flaws == ("unordered",)
    assert [(one.id, one.severity) for one in report.findings] == [("BS604", "note")]
    assert "behind CN=localhost it holds CN=Test Root" in report.findings[0].detail
    report, chain = chained(tmp_path, leaf, middle, root, ca=[root])
    assert (chain.flaws, ids(report)) == ((), [])


def test_an_expired_certificate_that_is_not_needed(tmp_path):
    root = certificate("Test Root", ca=True)
    middle, other = certificate("Middle", issuer=root, ca=True), certificate("Other", days=(-30, -2), ca=True)
    report, chain = chained(tmp_path, certificate(issuer=middle), middle, other, ca=[root])
    assert chain.flaws == ("extra-not-valid", "unordered")
    assert [one.used for one in chain.certificates] == [True, True, False]
    assert [(one.id, one.severity) for one in report.findings] == [("BS605", "note"), ("BS604", "note")]
    bad = certificate("Bad", issuer=root, days=(-30, -2), ca=True)
    report, chain = chained(tmp_path, certificate(issuer=bad), bad, ca=[root])
    assert chain.flaws == ("expired",)
    assert [(one.id, one.severity) for one in report.findings] == [("BS605", "error")]


def test_weak_signatures():
    facts = trust.CertificateFacts("CN=localhost", ("localhost",), "CN=Test Root", key="EC secp256r1", signature="sha1")
    assert trust.is_weakly_signed(facts)
    # Nobody looks at the signature of a root, which only says that it has the key.
    assert not trust.is_weakly_signed(msgspec.structs.replace(facts, self_signed=True))
    assert not trust.is_weakly_signed(msgspec.structs.replace(facts, signature="sha256"))
    report = new_report(Settings(host="localhost", port=443))
    chain = ChainFacts("ECDSA", (facts, msgspec.structs.replace(facts, signature="md5")), ("weak-signature",))
    report.ports = [PortFacts(443, speaks=["tls"], tls=TlsFacts(chains=[chain]))]
    (one,) = (one for one in verdict.findings(report, Settings(host="localhost", port=443)) if one.id == "BS608")
    assert one.severity == "warning"
    assert "its certificate is signed with SHA1, broken; a certificate of its chain is signed with MD5" in one.detail


def held(*names, subject="CN=x"):
    return trust.CertificateFacts(subject=subject, names=names)


def test_names_beyond_ascii():
    for host in ("bücher.example", "BÜCHER.example", "xn--bcher-kva.example"):
        assert trust.is_for(held("xn--bcher-kva.example"), host)
        assert trust.is_for(held("*.example"), host)
        assert trust.is_for(held(subject="O=x,CN=bücher.example"), host)
    assert trust.is_for(held("*.xn--bcher-kva.example"), "a.bücher.example")
    assert not trust.is_for(held("bucher.example"), "bücher.example")
    assert trust.is_for(held(subject="CN=*.blynk.cc"), "a.blynk.cc")
    assert not trust.is_for(held(subject="CN=*.blynk.cc"), "a.b.blynk.cc")
    assert not trust.is_for(held(subject="CN=*.blynk.cc"), "blynk.cc")
    assert trust.sni_of("bücher.example") == "xn--bcher-kva.example"
    assert trust.sni_of("127.0.0.1") is trust.sni_of("x" * 70 + "ü") is None


# --- versions and lists ---


@pytest.mark.parametrize(("version", "name"), [("TLSv1", "TLS 1.0"), ("TLSv1_1", "TLS 1.1"), ("TLSv1_3", "TLS 1.3")])
def test_versions_by_their_full_names(files, version, name):
    with Server(closing, context(files["RSA"], versions=(version, version))) as server:
        report = run(port=server.port, login=False, scan=False)
    assert report.ports[0].tls.handshake.startswith(f"{name} ")


@pytest.mark.parametrize("scan", [True, False])
def test_the_certificate_is_why_without_a_search_too(files, scan):
    wanted = {"login": False, "timeout": 1.0, "scan": scan, "suites": (0xC02B, 0xC009)}
    with Server(closing, context(files["RSA"], ciphers="ECDHE+AESGCM")) as server:
        one = run(port=server.port, **wanted).ports[0].tls.device
    assert "certificate of ECDSA, and this server has one of RSA (RSA 2048)" in one.verdict
    # It has one of that kind, and other suites for it: that is no reason.
    with Server(
        closing, context(files["RSA"], files["EC"], ciphers="ECDHE+CHACHA20", versions=("TLSv1_2", "TLSv1_2"))
    ) as server:
        one = run(port=server.port, **wanted).ports[0].tls.device
    assert "certificate of" not in one.verdict
    assert len(numbers()) > 330
