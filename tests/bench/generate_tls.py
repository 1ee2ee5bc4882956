"""Writes large captures of made-up device traffic inside TLS, with the key log beside them.

The traffic is that of `generate.py`; each message travels in a record of its own, as small devices send it, through
real OpenSSL sessions: half of the devices speak TLS 1.2, half TLS 1.3.

    python tests/bench/generate_tls.py --frames 100000 -o big.pcap --keylog big.keys
"""

from __future__ import annotations

import argparse
import datetime
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any

import generate
from generate import Device, Generator, Message, PcapFile, encode

SERVER_PORT = 9443
SUITES = "ECDHE-ECDSA-AES128-GCM-SHA256"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate and its key, as files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "blynk.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


class Secure(Generator):
    """The same devices behind TLS.

    Args:
        options: As of `Generator`.
        output: Takes the packets.
        keylog: File that the key log is appended to.
        pair: Certificate and key.
    """

    def __init__(self, options: argparse.Namespace, output: PcapFile, keylog: Path, pair: tuple[Path, Path]) -> None:
        super().__init__(options, output, None)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(*pair)
        self.clients = []
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.minimum_version = context.maximum_version = version
            context.set_ciphers(SUITES)
            context.keylog_filename = str(keylog)
            self.clients.append(context)
        self.ends: dict[int, tuple[Any, ...]] = {}

    def open(self, device: Device, time: float) -> float:
        """The handshakes of TCP and TLS."""
        time = super().open(device, time)
        bios = [ssl.MemoryBIO() for _ in range(4)]
        client = self.clients[len(self.ends) % 2].wrap_bio(bios[0], bios[1], server_hostname="blynk.test")
        server = self.server.wrap_bio(bios[2], bios[3], server_side=True)
        self.ends[id(device)] = (client, server, bios)
        done = [False, False]
        while not all(done):
            for side, end in enumerate((client, server)):
                try:
                    end.do_handshake()
                    done[side] = True
                except ssl.SSLWantReadError:
                    pass
                flight = bios[2 * side + 1].read()
                if flight:
                    bios[2 - 2 * side].write(flight)
                    time = self.carry(device, side, time, [flight]) + device.rtt / 2
        return time

    def carry(self, device: Device, direction: int, time: float, pieces: list[bytes]) -> float:
        """Put pieces on the wire, one a segment, or more where they are long."""
        arrivals, offset = [], device.sent[direction]
        for piece in pieces:
            for at in range(0, len(piece), 1400):
                part = piece[at : at + 1400]
                arrivals.append((time, offset, part))
                offset += len(part)
                time += 0.0003
        return self.deliver(device, direction, arrivals, [], offset)

    def send(self, device: Device, direction: int, time: float, messages: list[Message], left: int = 0) -> float:
        """Send messages, each as one record."""
        client, server, bios = self.ends[id(device)]
        end = (client, server)[direction]
        pieces = []
        for message in messages:
            end.write(encode(message))
            pieces.append(bios[2 * direction + 1].read())
        last = self.carry(device, direction, time, pieces)
        self.note(device, direction, time, messages, [])
        return last


def main() -> int:
    """Command line entry."""
    line = argparse.ArgumentParser(description="Writes a large capture of Blynk device traffic in TLS.")
    line.add_argument("-o", "--output", required=True, type=Path, help="capture to write")
    line.add_argument("--keylog", required=True, type=Path, help="key log to write")
    line.add_argument("--frames", type=int, default=100_000, help="exact number of frames (default 100000)")
    line.add_argument("--devices", type=int, default=200, help="number of devices (default 200)")
    line.add_argument("--seed", type=int, default=1, help="seed of the random numbers")
    options = line.parse_args()
    options.disorder = options.retransmit = options.loss = 0.0
    options.keylog.write_bytes(b"")
    generate.SERVER_PORT = SERVER_PORT
    with tempfile.TemporaryDirectory() as folder, options.output.open("wb") as stream:
        made = Secure(options, PcapFile(stream), options.keylog, certificate(Path(folder)))
        made.run()
    print(f"{made.frames:>10}  frames, {made.segments} data segments, {made.output.packets} packets written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
