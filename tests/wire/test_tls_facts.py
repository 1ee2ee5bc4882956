"""What the outside of TLS tells: hellos, fingerprints, certificates, alerts."""

import struct

import pytest
from captures_of import CAPTURES
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import cut, facts_of, facts_of_capture, told

from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import is_grease, suite_name
from blynkscope.wire import certificates
from blynkscope.wire.hellos import client_hello, server_hello
from blynkscope.wire.tls import TlsSession
from blynkscope.wire.tls_handshake import CERTIFICATES_MAX
from blynkscope.wire.tls_messages import HANDSHAKE_MAX

MADE = CAPTURES / "made"
RANDOM = bytes(range(32))


def counted(width, data):
    return len(data).to_bytes(width, "big") + data


def numbers(*values):
    return struct.pack(f">{len(values)}H", *values)


def record(kind, data, minor=3):
    return bytes([kind, 3, minor]) + counted(2, data)


def message(kind, body):
    return bytes([kind]) + counted(3, body)


def extension(kind, content=b""):
    return numbers(kind) + counted(2, content)


def hello_body(ciphers, *extensions, version=0x0303, session=b""):
    body = numbers(version) + RANDOM + counted(1, session) + counted(2, numbers(*ciphers)) + b"\1\0"
    return body + (counted(2, b"".join(extensions)) if extensions else b"")


def sni(name):
    return extension(0, counted(2, b"\0" + counted(2, name)))


def alpn(*names):
    return extension(16, counted(2, b"".join(counted(1, name) for name in names)))


def server_body(version=0x0303, cipher=0xC02F, *extensions, random=RANDOM):
    return numbers(version) + random + b"\0" + numbers(cipher) + b"\0" + counted(2, b"".join(extensions))


class OneSide:
    """One direction of a session without keys."""

    def __init__(self, client):
        self.direction = 0 if client else 1
        self.session = TlsSession(None)

    def feed(self, data, time):
        return self._facts(self.session.feed(self.direction, data, time))

    def gap(self, missing, time):
        return self._facts(self.session.gap(self.direction, missing, time))

    def finish(self, time):
        return self._facts(self.session.finish(self.direction, time))

    def _facts(self, pieces):
        assert all(direction == self.direction for direction, _ in pieces)
        assert all(piece.detail == {"state": "none"} for _, piece in pieces if piece.kind == "tls-keys")
        return [piece for _, piece in pieces if piece.kind != "tls-keys"]


def read(client, *pieces, **options):
    return told(facts_of(OneSide(client), *pieces, **options))


def handshake(client, *messages):
    return read(client, *(record(22, one) for one in messages))


HELLO = message(1, hello_body((0x1301, 0xC02F), sni(b"ny3.blynk.cloud")))
ALERT = record(21, b"\2\x30")


# --- names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0x0000, "TLS_NULL_WITH_NULL_NULL"), (0x002F, "TLS_RSA_WITH_AES_128_CBC_SHA"), (0x00FF, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"),
        (0x1301, "TLS_AES_128_GCM_SHA256"), (0x1305, "TLS_AES_128_CCM_8_SHA256"), (0x5600, "TLS_FALLBACK_SCSV"),
        (0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"), (0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        (0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"), (0x0A0A, "GREASE"), (0xFAFA, "GREASE"), (0x0A1A, "0x0a1a"),
        (0xFFFF, "0xffff"),
    ],
)  # fmt: skip
def test_names_of_cipher_suites(number, name):
    assert suite_name(number) == name


def test_cipher_suites_agree_with_scapy():
    from scapy.layers.tls.crypto.suites import _tls_cipher_suites

    # Where the two differ, scapy calls suites of drafts "old", and has other names than the registry for four.
    different = {
        number
        for number, name in _tls_cipher_suites.items()
        if number < 0x10000 and suite_name(number) != name and not name.endswith("_OLD") and name.startswith("TLS_")
    }
    assert different <= {0x0026, 0x0029, 0xC0AA, 0xC0AB}


def test_grease():
    assert [number for number in range(0x10000) if is_grease(number)] == [0x0A0A + 0x1010 * turn for turn in range(16)]


def test_names_of_versions_and_groups():
    assert [tls.version_name(version) for version in (0x0300, 0x0304, 0x0002, 0x0399)] == [
        "SSL 3.0",
        "TLS 1.3",
        "0x0002",
        "0x0399",
    ]
    assert [tls.group_name(number) for number in (29, 4588, 9)] == ["x25519", "X25519MLKEM768", "0x0009"]


# --- hellos -------------------------------------------------------------------------------------------------------------


def test_a_client_hello():
    body = hello_body(
        (0x5A5A, 0x1301, 0xC02F), extension(0x6A6A), sni(b"ny3.blynk.cloud"), extension(10, counted(2, numbers(0x2A2A, 29, 23))),
        alpn(b"http/1.1", b"x"), extension(13, counted(2, numbers(0x0403, 0x0804))),
        extension(43, counted(1, numbers(0x1A1A, 0x0304, 0x0303))), session=bytes(32),
    )  # fmt: skip
    ((kind, detail),) = handshake(True, message(1, body))
    assert kind == "tls-client-hello"
    ja4 = detail.pop("ja4")
    assert detail == {
        "version": "TLS 1.2", "versions": ["TLS 1.3", "TLS 1.2"], "sni": "ny3.blynk.cloud",
        "ciphers": ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], "alpn": ["http/1.1", "x"],
        "groups": ["x25519", "secp256r1"], "resuming": False,
    }  # fmt: skip
    assert ja4.startswith("t13d0205h1_")


def test_the_published_example_of_ja4():
    """The example of FoxIO's specification, whose fields it gives in full."""
    ciphers = [
        0x1301,
        0x1302,
        0x1303,
        0xC02B,
        0xC02F,
        0xC02C,
        0xC030,
        0xCCA9,
        0xCCA8,
        0xC013,
        0xC014,
        0x009C,
        0x009D,
        0x002F,
        0x0035,
    ]
    signatures = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
    extensions = [
        sni(b"example.com"), alpn(b"h2", b"http/1.1"), extension(13, counted(2, numbers(*signatures))),
        extension(43, counted(1, numbers(0xAAAA, 0x0304, 0x0303))), extension(0xBABA),
        *(extension(kind) for kind in (0x1B, 0x23, 0x33, 0x4469, 0x17, 0x2D, 0x05, 0x12, 0xFF01, 0x0B, 0x0A, 0x15)),
    ]  # fmt: skip
    detail = client_hello(hello_body([0xCACA, *ciphers], *extensions))
    assert detail["ja4"] == "t13d1516h2_8daaf6152771_e5627efa2ab1"


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (hello_body((), version=0x0301), "t10i000000_000000000000_000000000000"),
        (hello_body((5,), alpn(b"\xab"), version=0x0300), "ts3i0101ab_"), (hello_body((5,), alpn(b"\xab\xcd"), version=0x0002), "ts2i0101ad_"),
        (hello_body((5,), alpn(b"a")), "t12i0101aa_"), (hello_body((5,), alpn(b"0\xff")), "t12i01013f_"), (hello_body((5,), alpn(b"")), "t12i010100_"),
        (hello_body((5,) * 120, *[extension(99)] * 120, version=0x0399), "t00i999900_"), (hello_body((5,), extension(0)), "t12d010100_"),
    ],
)  # fmt: skip
def test_heads_of_ja4(body, head):
    assert client_hello(body)["ja4"].startswith(head)


def test_names_in_hellos_are_text():
    detail = client_hello(hello_body((5,), sni(b"\xff\0/..\x1b"), alpn(b"\xfe")))
    assert detail["sni"] == "\\xff\0/..\x1b"
    assert detail["alpn"] == ["\\xfe"]


def test_resuming():
    assert client_hello(hello_body((5,), session=bytes(32)))["resuming"] is True
    assert client_hello(hello_body((5,), extension(35, b"ticket")))["resuming"] is True
    assert client_hello(hello_body((5,), extension(35)))["resuming"] is False
    new = extension(43, counted(1, numbers(0x0304)))
    assert client_hello(hello_body((5,), new, session=bytes(32)))["resuming"] is False
    assert client_hello(hello_body((5,), new, extension(41, b"psk")))["resuming"] is True


def test_a_server_hello():
    assert server_hello(server_body()) == {
        "version": "TLS 1.2", "cipher": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "resumed": None, "retry": False,
    }  # fmt: skip
    new = extension(43, numbers(0x0304))
    assert server_hello(server_body(0x0303, 0x1301, new))["version"] == "TLS 1.3"
    assert server_hello(server_body(0x0303, 0x1301, new))["resumed"] is False
    assert server_hello(server_body(0x0303, 0x1301, new, extension(41, b"\0\0")))["resumed"] is True


@pytest.mark.parametrize("size", range(len(hello_body((5,)))))
def test_hellos_that_are_cut(size):
    assert client_hello(hello_body((5,))[:size]) == {"error": "the ClientHello is not whole"}
    if size < 38:
        assert server_hello(server_body()[:size]) == {"error": "the ServerHello is not whole"}


def test_a_retry_and_the_second_pair_of_hellos():
    retry = server_body(
        0x0303, 0x1301, extension(43, numbers(0x0304)),
        random=bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"),
    )  # fmt: skip
    second = server_body(0x0303, 0x1301, extension(43, numbers(0x0304)))
    facts = read(
        False, record(22, message(2, retry)), record(20, b"\1"), record(22, message(2, second)), record(23, b"x")
    )
    assert [kind for kind, _ in facts] == [
        "tls-server-hello",
        "tls-change-cipher",
        "tls-server-hello",
        "tls-application-data",
    ]
    assert [facts[0][1]["retry"], facts[2][1]["retry"]] == [True, False]
    facts = read(True, record(22, HELLO), record(20, b"\1"), record(22, HELLO), record(23, b"x"), record(23, b"y"))
    assert [kind for kind, _ in facts] == [
        "tls-client-hello",
        "tls-change-cipher",
        "tls-client-hello",
        "tls-application-data",
    ]


# --- records ------------------------------------------------------------------------------------------------------------


def test_messages_over_records_and_several_in_one():
    whole = handshake(True, HELLO)
    assert handshake(True, *cut(HELLO, [1, 3, 9, 40])) == whole
    assert handshake(True, HELLO + HELLO[:7], HELLO[7:]) == whole * 2


def test_alerts():
    assert read(True, ALERT) == [
        (
            "tls-alert",
            {"encrypted": False, "level": "fatal", "number": 48, "name": "unknown_ca", "cause": tls.CAUSES[48]},
        )
    ]
    assert read(True, record(21, bytes(26))) == [("tls-alert", {"encrypted": True})]
    assert read(True, record(20, b"\1"), record(22, bytes(40)), record(21, bytes(26)))[-1] == (
        "tls-alert",
        {"encrypted": True},
    )


def test_application_data_is_told_once_and_with_its_header():
    facts = facts_of(OneSide(True), record(23, b"x" * 30)[:5], record(23, b"x" * 30)[5:] + record(23, b"y"), step=1.0)
    assert [(fact.kind, fact.time) for fact in facts] == [("tls-application-data", 101.0)]


@pytest.mark.parametrize("client", [True, False])
def test_resumption_in_tls_1_2(client):
    hello = record(22, message(2, server_body()))
    facts = dict(read(client, hello, record(20, b"\1")))
    assert facts["tls-change-cipher"] == {"resumed": None if client else True}


@pytest.mark.parametrize(
    "bad", [b"GET / HTTP/1.1\r\n", b"\x16\x02\0\0\1x", b"\x17\3\3\xff\xff", b"\x19\3\3\0\1x", record(22, b"\x63aaaa")]
)
def test_what_is_no_record_ends_the_reading(bad):
    facts = read(True, record(22, HELLO) + bad, ALERT)
    assert [kind for kind, _ in facts] == ["tls-client-hello", "tls-lost"]


def test_gaps():
    body = record(23, b"x" * 1000)
    assert [kind for kind, _ in read(True, body[:100], 905, ALERT)] == ["tls-application-data", "tls-alert"]
    assert [kind for kind, _ in read(True, body[:100], 906, ALERT)] == ["tls-application-data", "tls-lost"]
    assert [kind for kind, _ in read(True, body[:3], 2, ALERT)] == ["tls-lost"]
    assert [kind for kind, _ in read(True, record(22, HELLO)[:60], len(HELLO) - 55, record(22, HELLO), ALERT)] == [
        "tls-client-hello",
        "tls-alert",
    ]
    assert read(True, ALERT[:5], 2, ALERT)[0][1]["encrypted"] is False
    assert len(read(True, ALERT[:5], 2, ALERT)) == 1


def test_a_handshake_message_beyond_all_measure_is_passed_over():
    size = HANDSHAKE_MAX + 1
    long = b"\x0b" + size.to_bytes(3, "big") + bytes(size)
    reader, facts = OneSide(False), []
    for at in range(0, len(long), 16384):
        facts += reader.feed(record(22, long[at : at + 16384]), None)
        assert reader.session._sides[1]._messages.held < 40000
    facts += reader.feed(record(22, message(2, server_body())), None)
    assert [fact.kind for fact in facts] == ["tls-server-hello"]


# --- certificates -------------------------------------------------------------------------------------------------------


def chain(*ders):
    return message(11, counted(3, b"".join(counted(3, der) for der in ders)))


def test_certificates_that_are_none():
    facts = handshake(False, chain(b"no certificate", b""))
    assert [(detail["position"], detail["chain"]) for _, detail in facts] == [(0, 2), (1, 2)]
    assert all(set(detail) == {"position", "chain", "error"} for _, detail in facts)
    assert handshake(False, message(11, b"\0\0")) == []
    assert len(handshake(False, chain(*[b"x"] * 100))) == CERTIFICATES_MAX


@pytest.mark.parametrize(
    ("make", "key"),
    [("rsa", "RSA 2048"), ("ec", "EC secp384r1"), ("ed25519", "Ed25519"), ("ed448", "Ed448"), ("dsa", "DSA 1024")],
)
def test_a_certificate(make, key):
    der = made_certificate(make)
    found = certificates.describe(der)
    assert found == {
        "subject": "CN=device.example", "issuer": "CN=device.example", "not_before": 1640995200.0, "not_after": 1704067200.0,
        "names": ["device.example", "192.0.2.7"], "self_signed": True, "key": key,
    }  # fmt: skip


def made_certificate(make):
    import datetime
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

    keys = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048), "ec": lambda: ec.generate_private_key(ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate, "ed448": ed448.Ed448PrivateKey.generate, "dsa": lambda: dsa.generate_private_key(1024),
    }  # fmt: skip
    signer = keys["ec"]()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "device.example")])
    others = [x509.DNSName("device.example"), x509.IPAddress(ip_address("192.0.2.7")), x509.RFC822Name("a@b.example")]
    builder = x509.CertificateBuilder(name, name, keys[make]().public_key(), 1)
    builder = builder.not_valid_before(datetime.datetime(2022, 1, 1)).not_valid_after(datetime.datetime(2024, 1, 1))
    builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_damaged_certificate_never_raises(data):
    der = bytearray(EC_CERTIFICATE)
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    found = certificates.describe(
        bytes(der[: data.draw(st.integers(0, len(der)))] if data.draw(st.booleans()) else der)
    )
    assert set(found) == {"error"} or len(found) == 7


EC_CERTIFICATE = made_certificate("ec")


# --- anything -----------------------------------------------------------------------------------------------------------

records = st.one_of(
    st.sampled_from([record(22, HELLO), ALERT, record(20, b"\1"), record(23, b"abc"), record(22, HELLO[:20]), record(22, HELLO[20:]),
                     record(22, message(2, server_body())), record(22, chain(b"x")), record(21, bytes(20)), record(22, b"")]),
    st.builds(record, st.integers(20, 24), st.binary(max_size=40), st.integers(0, 4)), st.binary(max_size=12),
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(
    st.lists(records, max_size=7).map(b"".join),
    st.lists(st.integers(0, 900), max_size=6),
    st.booleans(),
    st.integers(0, 60),
)
def test_facts_are_the_same_whatever_the_cuts(data, places, client, missing):
    whole = read(client, data, missing or b"", data)
    for pieces in (cut(data, places), [data[at : at + 1] for at in range(len(data))]):
        assert read(client, *pieces, missing or b"", *pieces) == whole


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 200))
def test_hellos_of_anything_never_raise(data, size):
    for body in (data, hello_body((5,), sni(b"a"))[:size] + data, server_body()[:size] + data):
        client_hello(body)
        server_hello(body)
        for client in (True, False):
            read(client, record(22, message(1, body) + message(2, body) + message(11, body)))


@pytest.mark.timeout(60)
def test_long_input_ends():
    data = record(22, HELLO) * 4000 + record(23, b"") * 200_000 + record(22, message(14, b"") * 4000) * 50
    read(True, data)
    read(True, *(record(22, HELLO)[at : at + 1] for at in range(len(HELLO))))


# --- captures -----------------------------------------------------------------------------------------------------------


def kinds(facts):
    return [fact.kind.removeprefix("tls-") for fact in facts]


def test_a_recording_of_tls_1_2():
    facts = facts_of_capture(CAPTURES / "06a_hw_tls_pyBlynkLib100.pcap", OneSide, {1})
    assert kinds(facts[1, 0]) == ["client-hello", "change-cipher", "application-data"]
    assert kinds(facts[1, 1]) == ["server-hello", "certificate", "change-cipher", "application-data"]
    certificate = facts[1, 1][1].detail
    assert certificate["names"] == ["127.0.0.1", "localhost", "blynk.test"]
    assert certificate["self_signed"] is True
    assert facts[1, 1][2].detail == {"resumed": False}


def test_a_recording_of_tls_1_3():
    facts = facts_of_capture(CAPTURES / "06d_hw_tls13_pyBlynkLib100.pcap", OneSide, {1})
    assert kinds(facts[1, 1]) == ["server-hello", "change-cipher", "application-data"]
    assert facts[1, 1][0].detail["version"] == "TLS 1.3"


@pytest.mark.parametrize(
    ("name", "side", "number", "called"),
    [("handshake_failure", 1, 40, "handshake_failure"), ("protocol_version", 1, 70, "protocol_version"),
     ("unrecognized_name", 1, 112, "unrecognized_name"), ("unknown_ca", 0, 48, "unknown_ca")],
)  # fmt: skip
def test_made_alerts(name, side, number, called):
    facts = facts_of_capture(MADE / f"tls_alert_{name}.pcap", OneSide)
    assert kinds(facts[1, 0])[0] == "client-hello"
    alert = facts[1, side][-1]
    assert (alert.detail["number"], alert.detail["name"], alert.detail["level"]) == (number, called, "fatal")
    assert alert.detail["cause"] == tls.CAUSES[number]


def test_an_expired_certificate():
    facts = facts_of_capture(MADE / "tls12_expired_certificate.pcap", OneSide)
    assert kinds(facts[1, 0]) == ["client-hello", "change-cipher", "application-data", "alert"]
    assert kinds(facts[1, 1]) == ["server-hello", "certificate", "change-cipher", "application-data"]
    certificate = facts[1, 1][1]
    assert certificate.detail["not_after"] < certificate.time
    assert certificate.detail["self_signed"] is False
    assert certificate.detail["issuer"] == "CN=Example Root CA"
    assert facts[1, 0][0].detail["sni"] in certificate.detail["names"]


def test_a_client_hello_on_the_plain_port():
    facts = facts_of_capture(MADE / "tls_on_plain_port.pcap", OneSide)
    assert kinds(facts[1, 0]) == ["client-hello"]
    assert facts[1, 0][0].detail["versions"] == ["TLS 1.3", "TLS 1.2"]
