"""The certificates that devices are shown, with the real CA: names, kinds of keys, renewal; and the key log."""

import asyncio
import datetime
import ssl
import struct

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from proxy_world import ca_file, listening, proxying, server_tls, until_closed, world

from blynkscope.ca import Authority
from blynkscope.errors import EnvironmentProblem
from blynkscope.proxy import Proxy, Settings, Upstream
from blynkscope.proxy.contexts import Contexts

LOGIN = struct.pack(">BHH", 29, 1, 32) + b"0123456789abcdef0123456789abcdef"
OK = struct.pack(">BHH", 0, 1, 200)


async def server(reader, writer):
    await reader.readexactly(len(LOGIN))
    writer.write(OK)
    await reader.read()


def trusting(authority, version=None, name=True):
    """What a device has that trusts the CA; `name` False: it checks the chain alone."""
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    context.check_hostname = name
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


async def asked(port, context, name=None):
    """Log in; gives the certificate that was shown."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "")
    writer.write(LOGIN)
    assert await reader.readexactly(len(OK)) == OK
    shown = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(True))
    writer.close()
    return shown


def names_of(certificate):
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*held.get_values_for_type(x509.DNSName), *map(str, held.get_values_for_type(x509.IPAddress))}


def test_tls_to_tls_for_a_device_that_trusts_the_ca_with_and_without_a_name(tmp_path):
    authority = Authority.at(tmp_path / "ca")
    authority.prepare()
    assert authority.created

    async def work():
        async with (
            listening(server, server_tls("localhost")) as port,
            proxying(port, tls=True, host="localhost", authority=authority) as (own, seen, _),
        ):
            shown = await asked(own, trusting(authority), "device.example")
            assert names_of(shown) == {"device.example", "localhost", "127.0.0.1"}
            # Its DNS leads here, and it sends no name: it checks that of the server, or nothing but the chain.
            shown = await asked(own, trusting(authority, name=False))
            assert names_of(shown) == {"localhost", "127.0.0.1"}
            # It was given the address of the proxy.
            await asked(own, trusting(authority), "127.0.0.1")
            await seen.until(until_closed(3))
            assert seen.bytes[1, 0] == LOGIN
            assert set(seen.kinds()) == {"tls-client-hello"}

    world(work)


@pytest.mark.parametrize(
    ("ciphers", "kind"),
    [
        (None, rsa.RSAPublicKey),
        ("ECDHE-RSA-AES128-GCM-SHA256", rsa.RSAPublicKey),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", ec.EllipticCurvePublicKey),
    ],
)
def test_the_key_is_one_that_the_device_can_do_with(ciphers, kind, tmp_path):
    authority = Authority.at(tmp_path / "ca")
    authority.prepare()

    async def work():
        context = trusting(authority, ssl.TLSVersion.TLSv1_2)
        if ciphers is not None:
            context.set_ciphers(ciphers)
        async with listening(server) as port, proxying(port, authority=authority) as (own, seen, _):
            assert isinstance((await asked(own, context, "localhost")).public_key(), kind)
            await seen.until(until_closed())

    world(work)


def contexts(authority=None, **settings):
    settings.setdefault("upstream", Upstream("localhost", 443, True))
    return Contexts(Settings(upstream_ca=ca_file(), **settings), authority)


def test_a_certificate_near_its_end_is_shown_no_more(tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    clock = [now]
    authority = Authority.at(tmp_path / "ca", clock=lambda: clock[0])
    made = contexts(authority)
    assert made.kept(None, "127.0.0.1", None) is None
    first = made.server(None, "127.0.0.1", None)
    assert made.kept(None, "127.0.0.1", None) is first
    assert made.kept(None, "127.0.0.1", "http/1.1") is None
    assert made.kept(None, "127.0.0.2", None) is None
    clock[0] = now + datetime.timedelta(days=15)
    assert made.kept(None, "127.0.0.1", None) is None
    second = made.server(None, "127.0.0.1", None)
    assert second is not first
    assert made.kept(None, "127.0.0.1", None) is second


def test_the_key_log_goes_on_in_a_new_file(tmp_path):
    authority = Authority.at(tmp_path / "ca")
    authority.prepare()
    keylog, moved = tmp_path / "keys", tmp_path / "moved"

    def randoms(path):
        return {line.split()[1] for line in path.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0")}

    async def work():
        async with (
            listening(server, server_tls()) as port,
            proxying(port, tls=True, authority=authority, keylog=keylog) as (own, seen, proxy),
        ):
            await asked(own, trusting(authority), "localhost")
            keylog.rename(moved)
            proxy.rotate_keylog()
            assert keylog.stat().st_mode & 0o777 == 0o600
            await asked(own, trusting(authority), "localhost")
            await seen.until(until_closed(2))

    world(work)
    # Both legs, once in each.
    assert len(randoms(moved)) == len(randoms(keylog)) == 2
    assert not randoms(moved) & randoms(keylog)


def test_a_key_log_that_cannot_be_opened_anew_is_told(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    settings = Settings(upstream=Upstream("localhost", 80, False), keylog=folder / "keys")
    proxy = Proxy(settings, None, None)
    proxy.rotate_keylog()
    (folder / "keys").unlink()
    folder.rmdir()
    with pytest.raises(EnvironmentProblem, match="key log"):
        proxy.rotate_keylog()
    Proxy(Settings(upstream=settings.upstream), None, None).rotate_keylog()
