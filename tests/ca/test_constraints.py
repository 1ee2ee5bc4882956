"""A CA that is limited to names: OpenSSL holds to it, and leaves do not overstep it."""

import ssl
from datetime import UTC, datetime

import pytest
from catalk import client_context, handshake, keys_of_a_pool, server_context
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from blynkscope.ca import Authority, making
from blynkscope.ca.constraints import CONSTRAINTS_MAX, Constraints
from blynkscope.errors import EnvironmentProblem

WORDS = ("blynk.cloud", "192.168.0.0/16", "10.1.2.3", "fd00::/8")


def served(ours, tmp_path, names):
    """Names as a client of the real OpenSSL finds them."""
    server = server_context(tmp_path, ours.leaf(names))
    found = []
    for name in names:
        try:
            handshake(client_context(ours.certificate_der), server, name)
        except ssl.SSLCertVerificationError:
            continue
        found.append(name)
    return found


@pytest.fixture
def limited(tmp_path, monkeypatch):
    keys_of_a_pool(monkeypatch)
    return lambda *words: Authority.renew(tmp_path / "ca", constrain=words)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (WORDS, ["ny3.blynk.cloud", "blynk.cloud", "192.168.1.10", "10.1.2.3", "fd00::1"]),
        (("blynk.cloud",), ["ny3.blynk.cloud"]),
        (("192.168.0.0/16",), ["192.168.1.10"]),
        (("10.1.2.3",), ["10.1.2.3"]),
        (("::1",), ["::1"]),
    ],
)
def test_names_within_the_limit_are_served(limited, tmp_path, words, names):
    ours = limited(*words)
    assert served(ours, tmp_path, names) == names
    assert Authority.at(ours.folder).constraints.words == words


@pytest.mark.parametrize("words", [WORDS, ("blynk.cloud",), ("192.168.0.0/16",), ("::1",)], ids=str)
def test_names_beyond_it_are_left_out(limited, tmp_path, words):
    ours = limited(*words)
    others = ["example.org", "notblynk.cloud", "10.1.2.4", "172.16.0.1", "fe80::1"]
    assert served(ours, tmp_path, others) == []
    held = x509.load_pem_x509_certificates(ours.leaf(others)[0])[0].extensions
    for name in held.get_extension_for_class(x509.SubjectAlternativeName).value:
        assert str(getattr(name, "value", "")) not in others


@pytest.mark.parametrize(
    ("words", "name"),
    [(("blynk.cloud",), "192.168.1.10"), (("192.168.0.0/16",), "blynk.cloud"), (("192.168.0.0/16",), "::1"),
     (("blynk.cloud",), "example.org"), (("::1",), "10.0.0.1")],
)  # fmt: skip
def test_openssl_refuses_what_the_key_signed_beyond_it(limited, tmp_path, words, name):
    """The limit is in the certificate, not only in this program."""
    ours = limited(*words)
    key = making.rsa_key()
    leaf = making.make_leaf([name], key, ours.certificate, ours._key, datetime.now(UTC), Constraints())
    server = server_context(tmp_path, (leaf.public_bytes(Encoding.PEM) + ours.certificate_pem, making.key_pem(key)))
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        handshake(client_context(ours.certificate_der), server, name)


def test_the_limit_is_not_critical_because_mbedtls_could_not_read_the_root(limited):
    ours = limited(*WORDS)
    assert ours.certificate.extensions.get_extension_for_class(x509.NameConstraints).critical is False
    with pytest.raises(x509.ExtensionNotFound):
        limited().certificate.extensions.get_extension_for_class(x509.NameConstraints)


def test_a_single_address_also_counts_in_writing(limited):
    leaf = x509.load_pem_x509_certificates(limited("10.1.2.3").leaf(["10.1.2.3"])[0])[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["10.1.2.3"]


@pytest.mark.parametrize("word", ["", "a b", "10.0.0.0/33", "x" * 300, "\0", "http://blynk.cloud"])
def test_what_is_no_name_is_said(word):
    with pytest.raises(EnvironmentProblem, match="is no host name, address or network"):
        Constraints.of([word])


def test_too_many_are_refused_and_wildcards_are_their_domain():
    assert Constraints.of(["*.blynk.cloud", "BLYNK.cloud."]).hosts == ("blynk.cloud",)
    with pytest.raises(EnvironmentProblem, match="more than"):
        Constraints.of(f"{number}.example" for number in range(CONSTRAINTS_MAX + 1))
