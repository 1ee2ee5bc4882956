"""BS106, BS108 to BS110, BS604 and BS605 from TLS records, alerts and the lines of logs."""

import pytest
from logtalk import LogTalk
from nettalk import Connections, of_capture
from talk import TOKEN, frame, status

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord, spelled_out
from blynkscope.protocol.misread import explain_header, is_record_header
from blynkscope.sources.text import TextSource
from blynkscope.wire.events import Closed, Data, Opened

APPLICATION_DATA = bytes.fromhex("170303001d") + bytes(7) + b"\1" + bytes(range(21))


def hello(*ciphers, version=0x0303, name=b"ny3.blynk.cloud"):
    """A ClientHello in its record."""
    sni = b"\0" + len(name).to_bytes(2, "big") + name
    sni = len(sni).to_bytes(2, "big") + sni
    extensions = b"\0\0" + len(sni).to_bytes(2, "big") + sni if name else b""
    suites = b"".join(number.to_bytes(2, "big") for number in ciphers or (0xC02F, 0x002F))
    body = version.to_bytes(2, "big") + bytes(32) + b"\0" + len(suites).to_bytes(2, "big") + suites + b"\1\0"
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


def alert(number, level=2):
    return bytes([0x15, 3, 3, 0, 2, level, number])


def of_text(text):
    """The findings of a log or a paste."""
    analyser = Analyser()
    records = [record for batch in TextSource(text.encode(), "log") for record in analyser.feed(batch)]
    return [one for one in spelled_out(records + analyser.finish()) if isinstance(one, FindingRecord)]


# --- BS106, BS109, BS110 ---


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", status(1, 2)])
def test_tls_on_a_plain_port(answer):
    wires = [(0, hello())] + ([(1, answer)] if answer else [])
    run = Connections().talk(wires=wires, by=1).finish()
    (finding,) = run.findings("BS106")
    assert "8080" in finding.detail
    assert run.bad == {"BS106"}


def test_a_server_that_throws_the_hello_away():
    run = Connections().talk(wires=[(0, hello())], by=1, how="reset").finish()
    assert run.bad == {"BS106"}


def test_a_client_that_gives_up_at_once_proves_nothing():
    assert Connections().talk(wires=[(0, hello())], by=0, port=443).finish().bad == set()


def test_a_hello_that_is_never_answered():
    run = Connections().talk(wires=[(0, hello())], by=0, port=443, end=120.0).finish()
    (finding,) = run.findings("BS110")
    assert "19.9 s" in finding.detail


@pytest.mark.parametrize(
    ("ciphers", "remark"), [((0x002F, 0x000A), "None of them has ECDHE"), ((0xC02F,), "usual today")]
)
def test_a_server_that_closes_on_its_tls_port_shares_no_cipher(ciphers, remark):
    run = Connections().talk(wires=[(0, hello(*ciphers))], by=1, port=9443).finish()
    (finding,) = run.findings("BS110")
    assert remark in finding.detail
    assert f"{len(ciphers)} cipher suites: TLS_" in finding.detail


@pytest.mark.parametrize("number", [40, 71])
def test_no_common_cipher(number):
    run = Connections().talk(wires=[(0, hello(0x002F)), (1, alert(number))], by=1, port=443).finish()
    (finding,) = run.findings("BS110")
    assert "TLS_RSA_WITH_AES_128_CBC_SHA" in finding.detail
    assert run.bad == {"BS110"}


@pytest.mark.parametrize(
    ("side", "number", "detail", "fix"),
    [
        (1, 70, "no more than TLS 1.0", "TLS 1.2"), (1, 112, "'ny3.blynk.cloud'", "host|name"),
        (0, 48, "The client", "root certificate"), (0, 45, "certificate_expired", "clock"),
        (0, 42, "bad_certificate", "root certificate"), (1, 80, "internal_error", "memory"),
    ],
)  # fmt: skip
def test_an_alert_by_name(side, number, detail, fix):
    wires = [(0, hello(version=0x0301 if number == 70 else 0x0303))]
    # A client says what it does not like about what the server said.
    wires += [(1, bytes.fromhex("160303000401000000")[:5] + b"\x0e\0\0\0")] if side == 0 else []
    run = Connections().talk(wires=[*wires, (side, alert(number))], by=1, port=443).finish()
    (finding,) = run.findings("BS109")
    assert detail in finding.detail
    assert str(number) in finding.detail
    assert any(word in finding.fix for word in fix.split("|"))
    assert run.bad == {"BS109"}


@pytest.mark.parametrize("record", [alert(0, 1), alert(90, 1), bytes.fromhex("150303001a") + bytes(26)])
def test_ends_that_are_no_failure(record):
    assert Connections().talk(wires=[(0, hello()), (1, record)], by=1, port=443).finish().bad == set()


def test_the_same_alert_on_each_reconnect_is_one_finding():
    run = Connections()
    for turn in range(4):
        run.talk(wires=[(0, hello()), (1, alert(112))], by=1, port=443, at=100.0 + 9 * turn)
    assert len(run.finish().findings("BS109")) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tls_alert_handshake_failure", {"BS110"}), ("tls_alert_protocol_version", {"BS109"}),
        ("tls_alert_unrecognized_name", {"BS109"}), ("tls_alert_unknown_ca", {"BS109", "BS605"}),
        ("tls12_expired_certificate", {"BS604", "BS605"}),
    ],
)  # fmt: skip
def test_made_captures(name, expected):
    found = of_capture(f"made/{name}.pcap")
    assert {key for key, all_ in found.items() for one in all_ if one.severity != "note"} == expected


@pytest.mark.parametrize(
    ("reason", "code", "name", "words"),
    [
        ("wrong version number", None, "BS106", "no TLS"), ("SSLV3_ALERT_HANDSHAKE_FAILURE", None, "BS110", "40"),
        ("tlsv1 alert protocol version", None, "BS109", "protocol_version (70)"),
        ("tlsv1 alert unknown ca", None, "BS109", "unknown_ca (48)"), (None, 296, "BS110", "handshake_failure (40)"),
        (None, -32512, "BS109", "memory"), ("SSL handshake failed", None, "BS109", "SSL handshake failed"),
    ],
)  # fmt: skip
def test_a_log_tells_of_tls(reason, code, name, words):
    facts = {key: value for key, value in (("reason", reason), ("code", code)) if value is not None}
    log = LogTalk(host="blynk.cloud", port=443).line("tls-error", "…", **facts).line("tls-error", "…", **facts).finish()
    (finding,) = log.findings(name)
    assert words in finding.detail
    assert [one for one in log.ids if one[2] in "16"] == [name]


def test_a_close_notify_in_a_log_is_no_failure():
    assert LogTalk().line("tls-error", "…", code=256).finish().of(1) == []


# --- BS108 ---


def test_a_record_that_a_log_shows_as_bytes():
    (finding,) = [one for one in of_text("b'\\x17\\x03\\x03\\x00\\x1d" + "\\x00" * 29 + "'\n") if one.id == "BS108"]
    for word in ("0x17 (23)", "STA_OPERATION_ACCEPT", "771", "TLS 1.2", "00 1d", "29 bytes", "encrypted"):
        assert word in finding.detail
    assert finding.severity == "error"
    assert "ssl.wrap_socket" in finding.fix


def test_a_record_that_a_log_tells_as_a_message():
    log = LogTalk(host="ny3.blynk.cloud", port=443).device(29, 1, TOKEN).server(23, 771, word=29, cut=True)
    log.line("tls-record", "TLS application data", bytes="170303001d").finish()
    (finding,) = log.findings("BS108")
    assert finding.frames == (2,)
    assert log.findings("BS202") == []
    assert log.findings("BS305") == []


def test_records_as_data_of_a_log():
    analyser = Analyser()
    events = [
        Opened(1, None, None, "ny3.blynk.cloud:443", 0, 443, True, ("log",)), Data(1, 1, None, APPLICATION_DATA),
        Closed(1, None, "end", None, (True, True)),
    ]  # fmt: skip
    found = [one for one in spelled_out(analyser.feed(events)) if isinstance(one, FindingRecord)]
    assert "BS108" in [one.id for one in found]


def test_bytes_beside_records_are_named_after_them():
    analyser = Analyser()
    events = [
        Opened(1, None, None, None, 0, 0, True, ("log",)), Data(1, 0, None, b"\xfe" * 9000), Data(1, 1, None, alert(40)),
        Data(1, 0, None, b"\xfe" * 9000), Closed(1, None, "end", None, (True, True)),
    ]  # fmt: skip
    found = [one for one in spelled_out(analyser.feed(events)) if isinstance(one, FindingRecord)]
    assert "BS108" not in [one.id for one in found]


@pytest.mark.parametrize(("cmd", "number", "word"), [(23, 700, 29), (22, 5, 29), (20, 771, 9), (6, 771, 0)])
def test_frames_that_are_no_records(cmd, number, word):
    log = LogTalk().device(29, 1, TOKEN).status(1).server(cmd, number, b"x" * word).finish()
    assert log.findings("BS108") == []


def test_tls_in_a_capture_is_where_it_belongs():
    wires = [(0, hello()), (1, APPLICATION_DATA), (0, APPLICATION_DATA)]
    assert Connections().talk(wires=wires, port=443).finish().findings("BS108") == []


def test_a_pasted_alert_is_an_alert():
    found = [one.id for one in of_text("15 03 03 00 02 02 28\n")]
    assert "BS110" in found
    assert "BS108" not in found


def test_pasted_bytes_are_explained_too():
    from blynkscope.analysis.pasted import read

    (piece,) = read(bytes.fromhex("170303001d")).pieces
    assert "which read as a message id gives 771" in piece.record.detail["advice"]
    assert "underneath its TLS layer" in piece.record.detail["advice"]
    (piece,) = read(alert(40)).pieces
    assert "Byte by byte" not in piece.record.detail["advice"]


def test_misread_headers():
    assert is_record_header(23, 771, 29)
    assert is_record_header(23, 0x0301, -1)
    assert is_record_header(20, 771, 1)
    assert not is_record_header(20, 771, 6)
    assert not is_record_header(23, 771, 0)
    assert not is_record_header(23, 771, 40000)
    assert explain_header(frame(29, 1, TOKEN)) is None
    assert "length" not in explain_header(b"\x17\x03\x03").replace("length of a Blynk", "")


# --- BS604, BS605 ---


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"reason": "certificate verify failed"}, "BS604"), ({"reason": "CERT_HAS_EXPIRED"}, "BS605"), ({"code": 54}, "BS605"),
        ({"code": 62}, "BS604"), ({}, "BS604"),
    ],
)  # fmt: skip
def test_a_log_tells_of_a_certificate(facts, name):
    log = LogTalk(host="blynk.cloud", port=443).line("certificate-error", "…", **facts).finish()
    (finding,) = log.findings(name)
    assert finding.severity == "error"


def test_a_self_signed_certificate_at_home_is_a_note():
    found = of_capture("06a_hw_tls_pyBlynkLib100.pcap")
    assert [one.severity for one in found["BS604"]] == ["note"]
    assert "BS605" not in found


# --- what an alert is about ---


def offering(*versions):
    """A ClientHello that offers these versions in its extension."""
    listed = b"".join(number.to_bytes(2, "big") for number in versions)
    extension = b"\0\x2b" + (len(listed) + 1).to_bytes(2, "big") + bytes([len(listed)]) + listed
    plain = hello(0xC02F, name=b"")
    body = plain[9:-2] + len(extension).to_bytes(2, "big") + extension
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize(
    ("versions", "said", "fix"),
    [
        ([0x0302, 0x0301], "no more than TLS 1.1", "only old TLS versions"),
        ([0x0302, 0x0303], "no more than TLS 1.2", "it takes TLS 1.3 only"),
        ([0x0303, 0x0304], "no more than TLS 1.3", "not too old"),
        ([0x0304], "no more than TLS 1.3", "refuses the range"),
    ],
)
def test_a_refused_version_is_judged_by_the_highest_offered(versions, said, fix):
    run = Connections().talk(wires=[(0, offering(*versions)), (1, alert(70))], by=1, port=443).finish()
    (finding,) = run.findings("BS109")
    assert said in finding.detail
    assert fix in finding.fix
    assert ("only old" in finding.fix) == (max(versions) < 0x0303)


def test_a_version_that_the_client_refuses():
    wires = [(0, hello()), (1, bytes.fromhex("16030100040e000000")), (0, alert(70))]
    (finding,) = Connections().talk(wires=wires, by=0, port=443).finish().findings("BS109")
    assert "The server chose a version" in finding.fix


def shown(*names, common="other.example"):
    """A certificate for these names in its record."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7)
    builder = builder.not_valid_before(datetime.datetime(1960, 1, 1)).not_valid_after(datetime.datetime(2042, 1, 1))
    alternative = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
    builder = builder.add_extension(alternative, critical=False)
    leaf = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    listed = len(leaf).to_bytes(3, "big") + leaf
    body = len(listed).to_bytes(3, "big") + listed
    message = b"\x0b" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize("number", [42, 46, 48])
def test_a_certificate_for_another_name_is_named_first(number):
    wires = [(0, hello()), (1, shown("other.example", "www.other.example")), (0, alert(number))]
    (finding,) = Connections().talk(wires=wires, by=0, port=443).finish().findings("BS109")
    assert "is for other.example, www.other.example and not for ny3.blynk.cloud" in finding.detail
    assert "(SNI)" in finding.detail
    assert finding.fix.startswith("Connect by a name that the certificate holds")
    fitting = [(0, hello()), (1, shown("*.blynk.cloud")), (0, alert(number))]
    (finding,) = Connections().talk(wires=fitting, by=0, port=443).finish().findings("BS109")
    assert "is issued by" in finding.detail
    assert not finding.fix.startswith("Connect by")


def test_signals_are_no_suites():
    wires = [(0, hello(0x002F, 0x00FF, 0x5600)), (1, alert(40))]
    (finding,) = Connections().talk(wires=wires, by=1, port=443).finish().findings("BS110")
    assert "1 cipher suites: TLS_RSA_WITH_AES_128_CBC_SHA." in finding.detail
    assert "SCSV" not in finding.detail
