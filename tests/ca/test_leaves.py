"""What devices meet: leaves that real TLS stacks accept for the right names and refuse for others."""

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from catalk import VERSIONS, Clock, client_context, handshake, only, server_context
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from blynkscope.ca import Authority, authority, making
from blynkscope.ca.names import HOST_MAX, NAMES_MAX, clean
from blynkscope.errors import EnvironmentProblem

NAMES = ("ny3.blynk.cloud", "192.168.1.10", "fd00::1", "raspberrypi.local")
KINDS = pytest.mark.parametrize("rsa", [True, False], ids=["rsa", "ec"])


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority.at(tmp_path_factory.mktemp("config") / "ca")


def leaf_of(chain):
    return x509.load_pem_x509_certificates(chain)[0]


def alternatives(leaf):
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return held.get_values_for_type(x509.DNSName), [str(one) for one in held.get_values_for_type(x509.IPAddress)]


@KINDS
@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_root_accepts_every_name(ours, tmp_path, rsa, name):
    end = handshake(client_context(ours.certificate_der), server_context(tmp_path, ours.leaf(NAMES, rsa=rsa)), name)
    assert end.version() == "TLSv1.3"


@KINDS
@pytest.mark.parametrize("name", ["blynk.cloud", "x.ny3.blynk.cloud", "192.168.1.11", "fd00::2", "example.org"])
def test_other_names_are_refused(ours, tmp_path, rsa, name):
    server = server_context(tmp_path, ours.leaf(NAMES, rsa=rsa))
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(client_context(ours.certificate_der), server, name)


@KINDS
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_tls_that_openssl_has(ours, tmp_path, rsa, version):
    client, server = client_context(ours.certificate_der), server_context(tmp_path, ours.leaf(NAMES, rsa=rsa))
    only(client, version)
    only(server, version)
    assert handshake(client, server, NAMES[0]).version() == version


@pytest.mark.parametrize(
    "suite", ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-GCM-SHA256"]
)
def test_a_server_with_both_leaves_serves_each_stack_with_its_own(ours, tmp_path, suite):
    client = client_context(ours.certificate_der, suite)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    server = server_context(tmp_path, ours.leaf(NAMES), ours.leaf(NAMES, rsa=False))
    server.set_ciphers("ALL")
    end = handshake(client, server, NAMES[0])
    assert end.cipher()[0] == suite
    kind = x509.load_der_x509_certificate(end.getpeercert(True)).public_key()
    assert isinstance(kind, ec.EllipticCurvePublicKey) == ("ECDSA" in suite)


def test_without_the_root_it_is_unknown(ours, tmp_path):
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate in certificate chain"):
        handshake(client, server_context(tmp_path, ours.leaf(NAMES)), NAMES[0])


@KINDS
def test_what_a_leaf_says(ours, rsa):
    chain, key = ours.leaf(NAMES, rsa=rsa)
    leaf, root = x509.load_pem_x509_certificates(chain)
    assert root == ours.certificate
    leaf.verify_directly_issued_by(root)
    assert leaf.subject.rfc4514_string() == "CN=ny3.blynk.cloud"
    hosts, addresses = alternatives(leaf)
    # Small stacks compare an address that a sketch names with the host names, so it stands among them as well.
    assert hosts == ["ny3.blynk.cloud", "192.168.1.10", "raspberrypi.local"]
    assert addresses == ["192.168.1.10", "fd00::1"]
    read = leaf.extensions.get_extension_for_class
    assert read(x509.BasicConstraints).value.ca is False
    usage = read(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, rsa, False)
    assert list(read(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert b"PRIVATE KEY" in key
    assert b"PRIVATE KEY" not in chain
    assert leaf.public_key().key_size == (2048 if rsa else 256)


def test_the_root_signs_for_servers_only_and_for_no_other_ca(ours):
    read = ours.certificate.extensions.get_extension_for_class
    assert read(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    assert read(x509.BasicConstraints).critical
    assert list(read(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert ours.not_after - ours.not_before == making.ROOT_LIFE + making.BACKDATED


def test_leaves_share_a_key_and_are_kept(ours):
    first = ours.leaf(["a.example"])
    assert ours.leaf(["A.example."]) == first
    other = ours.leaf(["b.example"])
    assert other[1] == first[1]
    assert other[0] != first[0]
    assert ours.leaf(["a.example"], rsa=False)[1] != first[1]
    assert leaf_of(first[0]).serial_number != leaf_of(other[0]).serial_number


def test_the_store_of_leaves_is_bounded_and_the_oldest_goes(ours, monkeypatch):
    monkeypatch.setattr(authority, "LEAVES_MAX", 3)
    ours = Authority.at(ours.folder)
    kept = ours.leaf(["kept.example"], rsa=False)
    for number in range(10):
        ours.leaf([f"{number}.example"], rsa=False)
        assert ours.leaf(["kept.example"], rsa=False) == kept
    assert len(ours._leaves) == 3


def test_prepared_keys_are_those_that_are_used(ours, tmp_path, monkeypatch):
    fresh = Authority.at(ours.folder)
    fresh.prepare()
    monkeypatch.setattr(making, "rsa_key", pytest.fail)
    monkeypatch.setattr(making, "ec_key", pytest.fail)
    assert fresh.leaf(NAMES)[1] != fresh.leaf(NAMES, rsa=False)[1]


def test_a_leaf_is_made_anew_at_half_of_its_life_and_never_outlives_the_root(ours):
    clock = Clock(datetime.now(UTC))
    one = Authority.at(ours.folder, clock=clock)
    first, _ = one.leaf(NAMES, rsa=False)
    begins, ends = leaf_of(first).not_valid_before_utc, leaf_of(first).not_valid_after_utc
    assert abs(clock.now - timedelta(days=1) - begins) < timedelta(seconds=2)
    assert ends - begins == making.LEAF_LIFE + making.BACKDATED
    clock.goes(days=6, hours=23)
    assert one.leaf(NAMES, rsa=False)[0] == first
    clock.goes(hours=2)
    second, _ = one.leaf(NAMES, rsa=False)
    assert second != first
    clock.now = one.not_after - timedelta(hours=1)
    last, _ = one.leaf(NAMES, rsa=False)
    assert leaf_of(last).not_valid_after_utc == one.not_after
    assert one.leaf(NAMES, rsa=False)[0] == last
    clock.goes(hours=2)
    with pytest.raises(EnvironmentProblem, match="blynkscope ca renew"):
        one.leaf(NAMES, rsa=False)


HOSTILE = [
    "a\0b.example", "../../etc/passwd", "x" * 300, "*.blynk.cloud", "*", "", ".", "..", "a..b", "-a.example", "a b",
    "\udcff.example", "é" * 200, "a.b\n", "127.1", "0x7f000001", "1.2.3", "999.1.1.1", "x" * 64 + ".example", "a/b",
    "[", "::1%" + "z" * 600, "a" * 10_000, "xn--", "\u202e.example", "a@b", "\uff41\uff0eexample/", "ß" * 63 + "\0",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_leave_no_trace(ours, name):
    before = sorted(ours.folder.parent.rglob("*"))
    hosts, addresses = alternatives(leaf_of(ours.leaf([name, "ny3.blynk.cloud"], rsa=False)[0]))
    assert [one for one in hosts if one not in {"xn--", "::1"}] == ["ny3.blynk.cloud"]
    assert set(addresses) <= {"::1"}
    assert sorted(ours.folder.parent.rglob("*")) == before


def test_where_no_name_is_left_it_is_for_this_machine(ours):
    assert alternatives(leaf_of(ours.leaf(["*", "\0"], rsa=False)[0])) == (["localhost", "127.0.0.1"], ["127.0.0.1"])
    assert ours.leaf([], rsa=False) == ours.leaf(["/"], rsa=False)


ODD = st.text(max_size=40) | st.text("aZ09.-*:%[]_/\0é\udcff", max_size=300) | st.ip_addresses().map(str)


@settings(max_examples=150, deadline=None)
@given(st.lists(ODD, max_size=24))
def test_any_names_give_a_leaf_of_clean_ones(ours, names):
    leaf = leaf_of(ours.leaf(names, rsa=False)[0])
    hosts, addresses = alternatives(leaf)
    assert hosts or addresses
    assert len(hosts) + len(addresses) <= 2 * NAMES_MAX
    for one in hosts:
        assert one.isascii()
        assert one == one.lower()
        assert 0 < len(one) <= HOST_MAX
        assert not set(one) - set("abcdefghijklmnopqrstuvwxyz0123456789.-_")
    assert len(leaf.subject.rfc4514_string()) <= 3 + 64
    assert clean(clean(names)) == clean(names)
    assert set(map(str, map(ip_address, addresses))) == set(addresses)


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("NY3.Blynk.Cloud.", "ny3.blynk.cloud"), ("bücher.example", "xn--bcher-kva.example"), ("[::1]", "::1"),
        ("::ffff:192.168.1.10", "192.168.1.10"), ("fe80::1%eth0", "fe80::1"), ("FD00:0:0::1", "fd00::1"),
        ("esp_32.local", "esp_32.local"), ("x" * 63 + ".a", "x" * 63 + ".a"), ("4pi", "4pi"),
    ],
)  # fmt: skip
def test_names_have_one_spelling(name, cleaned):
    assert clean([name, cleaned]) == (cleaned,)


def test_a_name_too_long_for_a_common_name_is_still_served(ours, tmp_path):
    name = ".".join(["x" * 60] * 4)
    server = server_context(tmp_path, ours.leaf([name]))
    assert handshake(client_context(ours.certificate_der), server, name).version()


@pytest.mark.program("openssl")
@KINDS
@pytest.mark.parametrize("word", ["-verify_hostname=ny3.blynk.cloud", "-verify_ip=192.168.1.10", "-verify_ip=fd00::1"])
def test_the_openssl_program_agrees(ours, tmp_path, rsa, word):
    (tmp_path / "leaf.pem").write_bytes(ours.leaf(NAMES, rsa=rsa)[0])
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ours.certificate_path]
    done = subprocess.run(
        [*command, *word.split("="), tmp_path / "leaf.pem"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
