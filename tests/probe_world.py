"""Servers on loopback for a probe: TLS with chosen versions, suites and certificates, Blynk, HTTP, and hostile ones."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
import struct
import threading
import warnings
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from blynkscope.probe import Settings, close, new_report, probe

DEADLINE = 30.0
TOKEN = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
IOT_TOKEN = "Zy3kP0vQ8sWnT5uHc1LdR7xJm9AbGe2F"
TIMEOUT = 1.0
"""Of a probe that is meant to run into it: loopback answers in a millisecond, a busy machine in some more."""


# --- certificates ---


@cache
def key_of(kind):
    if kind == "EC":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 1024 if kind == "RSA 1024" else 2048)


def certificate(
    name="localhost", *, kind="EC", issuer=None, days=(-1, 90), addresses=("127.0.0.1",), ca=False, digest=None
):
    """A certificate and its key; `issuer` is another such pair, None signs itself."""
    key = key_of(kind) if not ca else ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    begins, ends = (now + datetime.timedelta(days=day) for day in days)
    by = who if issuer is None else issuer[0].subject
    builder = (
        x509.CertificateBuilder().subject_name(who).issuer_name(by).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )  # fmt: skip
    if not ca:
        names = [
            x509.DNSName(name if name.isascii() else "odd.example"),
            *(x509.IPAddress(ipaddress.ip_address(one)) for one in addresses),
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key if issuer is None else issuer[1], digest or hashes.SHA256()), key


def pem(folder, *chain):
    """A file with the key of the first one, and all certificates."""
    path = folder / f"{chain[0][0].serial_number:x}.pem"
    private = chain[0][1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + b"".join(one.public_bytes(serialization.Encoding.PEM) for one, _ in chain))
    return path


def roots(folder, *held):
    path = folder / f"roots{held[0][0].serial_number:x}.pem"
    path.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one, _ in held))
    return path


def context(*pems, versions=("TLSv1_2", "TLSv1_3"), ciphers=None, prefer=True, curve=None):
    """The settings of a server."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    for one in pems:
        made.load_cert_chain(one)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.minimum_version, made.maximum_version = (getattr(ssl.TLSVersion, name) for name in versions)
    if not prefer:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if curve:
        made.set_ecdh_curve(curve)
    return made


# --- servers ---


class Server(threading.Thread):
    """Takes connections one by one in threads of their own; `talk(connection)` is what it does with each.

    Attributes:
        count: Connections that there were.
    """

    def __init__(self, talk, tls=None, host="127.0.0.1"):
        super().__init__(daemon=True)
        self.talk, self.tls = talk, tls
        self.listening = socket.create_server((host, 0), backlog=128)
        self.port = self.listening.getsockname()[1]
        self.count = 0
        self.heard = threading.Condition()
        self.kept = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.listening.close()
        for one in self.kept:
            one.close()

    def run(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            with self.heard:
                self.count += 1
                self.heard.notify_all()
            connection.settimeout(DEADLINE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.kept.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self.kept.append(connection)
            self.talk(connection)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()


def nothing(connection):
    """Reads until the client goes, and never says a word."""
    while connection.recv(65536):
        pass


def closing(connection):
    connection.recv(65536)


def blynk(status=9, *, redirect=None, http=b"", echo=b""):
    """A Blynk server: this status for a login; a ping before a good one closes. Also HTTP, where there is an answer."""

    def talk(connection):
        data, known = b"", False
        while more := connection.recv(65536):
            data += more
            if data.startswith(b"GET "):
                if not http:
                    return
                connection.sendall(http)
                return
            if data[0] not in {2, 6, 29}:
                return
            while len(data) >= 5:
                cmd, number, size = struct.unpack(">BHH", data[:5])
                if len(data) < 5 + size:
                    break
                body, data = data[5 : 5 + size], data[5 + size :]
                if cmd in {2, 29} and redirect is not None:
                    connection.sendall(struct.pack(">BHH", 41, number, len(redirect)) + redirect)
                elif cmd in {2, 29}:
                    known = status == 200
                    connection.sendall((echo + body if echo else b"") or struct.pack(">BHH", 0, number, status))
                elif not known:
                    return
                else:
                    connection.sendall(struct.pack(">BHH", 0, number, 200))

    return talk


# --- the probe ---


def run(host="localhost", port=None, *, lookup=None, **options):
    """A report."""
    wanted = {"timeout": 5.0, "count": 2} | options
    settings = Settings(host=host, port=port, **wanted)
    report = new_report(settings)

    async def all_of_it():
        more = {} if lookup is None else {"lookup": lookup}
        async with asyncio.timeout(DEADLINE):
            await probe(settings, report, **more)

    asyncio.run(all_of_it())
    close(report, settings)
    return report


def found(*addresses):
    """A resolver that knows these addresses."""

    def lookup(host, family):
        kinds = {4: socket.AF_INET, 6: socket.AF_INET6}
        made = [(kinds[ipaddress.ip_address(one).version], one) for one in addresses]
        return [
            (kind, socket.SOCK_STREAM, 6, "", (one, 0) if kind == socket.AF_INET else (one, 0, 0, 0))
            for kind, one in made
            if family in {0, kind}
        ]

    return lookup


def ids(report):
    return [one.id for one in report.findings]


def suites_of(report, version="TLS 1.2"):
    (one,) = (one for one in report.ports[0].tls.versions if one.version == version)
    return [int(suite.suite.code, 16) for suite in one.suites]


def free_port():
    """A port on which nobody listens, as long as the socket that is given lives."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    return held, held.getsockname()[1]
