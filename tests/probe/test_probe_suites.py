"""Names of cipher suites, and lists of them as people paste them."""

import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.probe import suites
from blynkscope.probe.hello import client_hello
from blynkscope.protocol.tls_suites import suite_name

MODEM = (Path(__file__).parent / "modem_suites.txt").read_text(encoding="utf-8")
GCM, RSA_GCM, AES = 0xC02F, 0x9C, 0x2F


def test_openssl_agrees_on_every_name():
    program = shutil.which("openssl")
    if program is None:
        pytest.fail("openssl is not installed: install it")
    command = [program, "ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    assert len(lines) > 100
    for line in lines:
        code, _, name = line.split()[:3]
        number = int(code.replace(",0x", ""), 16)
        assert suites.openssl_name(number) == name
        assert suites.read_list(name).suites == (number,)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.set_ciphers("ALL:@SECLEVEL=0")
    for one in ours.get_ciphers():
        assert suites.openssl_name(one["id"] & 0xFFFF) == one["name"]


def test_no_two_suites_have_one_name():
    for library in (suites.openssl_name, suites.mbedtls_name, suite_name):
        names = [name for number in suites.numbers() if (name := library(number)) is not None]
        # The registry holds three suites that differ in the place of the words alone.
        assert len(set(names)) >= len(names) - 3
    assert len(suites.numbers()) > 330
    assert not suites.SIGNALS & set(suites.numbers())


def test_the_list_of_a_modem():
    listed = suites.read_list(MODEM)
    codes = [int(line.partition("(")[2].rstrip(")"), 16) for line in MODEM.split("\n") if line]
    assert listed.suites == tuple(codes[:-1])
    assert (listed.signals, listed.unknown) == ((0xFF,), ())
    assert len(listed.suites) == 79


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", (GCM,)),
        ("tls_ecdhe_rsa_with_aes_128_gcm_sha256", (GCM,)),
        ("ECDHE_RSA_WITH_AES_128_GCM_SHA256", (GCM,)),
        ("TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256", (GCM,)),
        ("MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,", (GCM,)),
        ("BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", (GCM,)),
        ("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA", (GCM, AES)),
        ("TLS_AES_128_GCM_SHA256 AES128-GCM-SHA256", (0x1301, RSA_GCM)),
        ("TLS1-3-AES-128-GCM-SHA256", (0x1301,)),
        ("SSL_AES128_SHA SSL_AES256_SHA256", (AES, 0x3D)),
        ("SSL_RSA_WITH_3DES_EDE_CBC_SHA EDH-RSA-DES-CBC3-SHA", (0x0A, 0x16)),
        ("0xC02F", (GCM,)),
        ("0xc02f;0x009C", (GCM, RSA_GCM)),
        ("c0 2f", (GCM,)),
        ("C02F", (GCM,)),
        ("c02f 009c", (GCM, RSA_GCM)),
        ("c0 2f 00 9c 00ff", (GCM, RSA_GCM)),
        ("{0xC0,0x2F}, {0x00,0x9C}", (GCM, RSA_GCM)),
        ("static const int list[] = { 0xC02F, 0x009c, 0 };", (GCM, RSA_GCM)),
        ("    Cipher Suite: TLS_RSA_WITH_AES_128_GCM_SHA256 (0x009c)", (RSA_GCM,)),
        ('AT+QSSLCFG="ciphersuite",1,0xC02F', (GCM,)),
        ("[2021-11-09 12:31:07.0035] cipher c02f of 1024 bytes, 0035 left", (GCM,)),
        ("AES128-SHA AES128-SHA 0x002f", (AES,)),
        ("0x0a0a 0xdada 0xc02f", (GCM,)),
        ("", ()),
        ("no suites here, 12:35 and 192.168.0.1", ()),
    ],
)
def test_notations(text, expected):
    assert suites.read_list(text).suites == expected


def test_what_nobody_knows_is_told():
    listed = suites.read_list("TLS_RSA_WITH_FOO_128_CBC_SHA\n0xfefe\nAES128-SHA\n0xFFFF")
    assert listed.suites == (AES,)
    assert listed.unknown == ("TLS_RSA_WITH_FOO_128_CBC_SHA", "0xfefe", "0xffff")


def test_a_client_hello_in_hex():
    wire = client_hello(0x0303, [GCM, 0x35, 0xFF], name="blynk.cloud")
    for text in (wire.hex(), wire.hex(" "), wire[5:].hex(" ").upper(), "\n".join(f"0x{byte:02x}," for byte in wire)):
        listed = suites.read_list(text)
        assert listed.suites == (GCM, 0x35)
        assert listed.signals == (0xFF,)


@given(st.text(max_size=400) | st.text("TLSSWITHRSAECD_-0x29cf, \n", max_size=400))
def test_nothing_raises(text):
    listed = suites.read_list(text)
    assert set(listed.suites) <= set(suites.numbers())


@pytest.mark.parametrize(
    "piece", ["a-", "a_a-", "0x", "0xc0,", "00 ", "WITH-", "TLS_WITH_", "c02f ", "\n", "TLS-a-WITH-"]
)
def test_long_ones_take_no_longer(piece):
    begun = time.process_time()
    suites.read_list(piece * (suites.TEXT_MAX // len(piece)))
    assert time.process_time() - begun < 8


def test_what_a_suite_needs():
    assert suites.certificate_of(0xC02F) == suites.certificate_of(0x2F) == suites.certificate_of(0x9E) == "RSA"
    assert suites.certificate_of(0xC02B) == "ECDSA"
    assert suites.certificate_of(0x1301) == "any"
    assert suites.certificate_of(0x6C) == suites.certificate_of(0x8C) == "none"
    assert suites.exchange_of(0x2F) == "RSA"
    assert suites.exchange_of(0x1301) == "TLS 1.3"
    assert suites.weakness(0x2F) is None
    assert "RC4" in suites.weakness(0x05)
