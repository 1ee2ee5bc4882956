"""A small real Blynk server on loopback, plain or TLS, for what stands in front of it; it keeps what it got and sent."""

import datetime
import socket
import ssl
import struct
import threading

TOKEN = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
DEADLINE = 30.0


def certificate(folder, name="localhost", *, days=(-1, 10), addresses=("127.0.0.1",)):
    """A self-signed certificate with its key, in one PEM file."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    begins, ends = (now + datetime.timedelta(days=day) for day in days)
    names = [x509.DNSName(name), *(x509.IPAddress(ipaddress.ip_address(one)) for one in addresses)]
    made = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


class Peer(threading.Thread):
    """Takes one connection after the other, and answers logins, pings and internal messages with 200.

    Args:
        pem: Certificate and key, for TLS.
    """

    def __init__(self, pem=None):
        super().__init__(daemon=True)
        self.context = None
        if pem is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(pem)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.got = []
        self.received = b""
        self.sent = b""
        self.heard = threading.Condition()
        self.connections = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.listening.close()
        for one in self.connections:
            one.close()

    def run(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            connection.settimeout(DEADLINE)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.connections.append(connection)
            self.talk(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def talk(self, connection):
        data = b""
        while more := connection.recv(65536):
            data += more
            self.received += more
            while len(data) >= 5:
                cmd, number, word = struct.unpack(">BHH", data[:5])
                size = word if cmd else 0
                if len(data) < 5 + size:
                    break
                body, data = data[5 : 5 + size], data[5 + size :]
                self.answer(connection, cmd, number)
                with self.heard:
                    self.got.append((cmd, number, body if cmd else word))
                    self.heard.notify_all()

    def answer(self, connection, cmd, number):
        if cmd in {2, 6, 17, 29}:
            self.say(connection, struct.pack(">BHH", 0, number, 200))

    def say(self, connection, data):
        self.sent += data
        connection.sendall(data)

    def wait(self, wanted):
        """Until it got a frame for which `wanted(cmd, id, body)` is true; gives it."""
        with self.heard:
            assert self.heard.wait_for(lambda: any(wanted(*one) for one in self.got), DEADLINE), self.got
            return next(one for one in self.got if wanted(*one))


def frame(cmd, number, body=b""):
    return struct.pack(">BHH", cmd, number, len(body)) + body


def device(port, *, context=None, name="localhost"):
    """A socket of a device, connected to a port."""
    connection = socket.create_connection(("127.0.0.1", port), DEADLINE)
    return context.wrap_socket(connection, server_hostname=name) if context is not None else connection


def answer(connection):
    """The next answer: (command, id, status)."""
    data = b""
    while len(data) < 5:
        more = connection.recv(5 - len(data))
        if not more:
            return None
        data += more
    return struct.unpack(">BHH", data)
