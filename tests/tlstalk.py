"""Real TLS sessions of the local OpenSSL, recorded record by record in memory.

Python's ssl module cannot choose all that is wanted here (PSK, TLS 1.3 with CCM, key updates, renegotiation), so OpenSSL
is called through ctypes. Nothing touches the network.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import datetime
from functools import cache

TLS10, TLS11, TLS12, TLS13 = 0x0301, 0x0302, 0x0303, 0x0304
NO_EXTENDED_MASTER_SECRET, CLIENT_RENEGOTIATION, NO_EMPTY_FRAGMENTS = 1 << 0, 1 << 8, 1 << 11
NO_TICKET, NO_ENCRYPT_THEN_MAC, NO_ANTI_REPLAY = 1 << 14, 1 << 19, 1 << 24
PSK = bytes(range(16))

_P, _I, _L, _Z, _B = ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_size_t, ctypes.c_char_p
_KEYLOG = ctypes.CFUNCTYPE(None, _P, _B)
_PSK_CLIENT = ctypes.CFUNCTYPE(
    ctypes.c_uint, _P, _P, ctypes.POINTER(ctypes.c_char), ctypes.c_uint, ctypes.POINTER(ctypes.c_ubyte), ctypes.c_uint
)
_PSK_SERVER = ctypes.CFUNCTYPE(ctypes.c_uint, _P, _B, ctypes.POINTER(ctypes.c_ubyte), ctypes.c_uint)
_SRP = ctypes.CFUNCTYPE(_I, _P, _P, _P)
_VERIFY = ctypes.CFUNCTYPE(_I, _I, _P)
_SIGNATURES = {
    "TLS_client_method": (_P,), "TLS_server_method": (_P,), "SSL_CTX_new": (_P, _P), "SSL_new": (_P, _P), "SSL_CTX_free": (None, _P),
    "SSL_free": (None, _P), "SSL_CTX_ctrl": (_L, _P, _I, _L, _B), "SSL_CTX_set_options": (ctypes.c_uint64, _P, ctypes.c_uint64),
    "SSL_CTX_clear_options": (ctypes.c_uint64, _P, ctypes.c_uint64),
    "SSL_CTX_set_cipher_list": (_I, _P, _B), "SSL_CTX_set_ciphersuites": (_I, _P, _B), "SSL_CTX_get_ciphers": (_P, _P),
    "SSL_CTX_use_certificate_ASN1": (_I, _P, _I, _B), "SSL_CTX_use_PrivateKey_ASN1": (_I, _I, _P, _B, _L),
    "SSL_CTX_set_keylog_callback": (None, _P, _KEYLOG), "SSL_CTX_set_psk_client_callback": (None, _P, _PSK_CLIENT),
    "SSL_CTX_set_psk_server_callback": (None, _P, _PSK_SERVER), "SSL_CTX_set_srp_username": (_I, _P, _B),
    "SSL_CTX_set_srp_password": (_I, _P, _B), "SSL_CTX_set_srp_username_callback": (_I, _P, _SRP),
    "SSL_set_srp_server_param_pw": (_I, _P, _B, _B, _B), "SSL_CTX_set_verify": (None, _P, _I, _VERIFY),
    "SSL_CTX_set_session_id_context": (_I, _P, _B, ctypes.c_uint), "SSL_CTX_set_max_early_data": (_I, _P, ctypes.c_uint32),
    "SSL_CTX_set_block_padding": (_I, _P, _Z), "SSL_set_bio": (None, _P, _P, _P), "SSL_set_connect_state": (None, _P),
    "SSL_set_accept_state": (None, _P), "SSL_do_handshake": (_I, _P), "SSL_get_error": (_I, _P, _I), "SSL_read": (_I, _P, _P, _I),
    "SSL_write": (_I, _P, _B, _I), "SSL_shutdown": (_I, _P), "SSL_key_update": (_I, _P, _I), "SSL_renegotiate": (_I, _P),
    "SSL_get1_session": (_P, _P), "SSL_set_session": (_I, _P, _P), "SSL_SESSION_free": (None, _P), "SSL_session_reused": (_I, _P),
    "SSL_write_early_data": (_I, _P, _B, _Z, ctypes.POINTER(_Z)), "SSL_read_early_data": (_I, _P, _P, _Z, ctypes.POINTER(_Z)),
    "SSL_get_current_cipher": (_P, _P), "SSL_CIPHER_get_name": (_B, _P), "SSL_CIPHER_get_version": (_B, _P),
    "SSL_CIPHER_get_protocol_id": (ctypes.c_uint16, _P), "SSL_CIPHER_standard_name": (_B, _P), "SSL_version": (_I, _P),
}  # fmt: skip
_CRYPTO = {
    "BIO_new": (_P, _P), "BIO_s_mem": (_P,), "BIO_read": (_I, _P, _P, _I), "BIO_write": (_I, _P, _B, _I), "BIO_ctrl_pending": (_Z, _P),
    "OPENSSL_sk_num": (_I, _P), "OPENSSL_sk_value": (_P, _P, _I), "ERR_clear_error": (None,), "ERR_get_error": (ctypes.c_ulong,),
    "ERR_error_string_n": (None, ctypes.c_ulong, _P, _Z),
}  # fmt: skip


class _Library:
    def __init__(self):
        for name, signatures in (("ssl", _SIGNATURES), ("crypto", _CRYPTO)):
            library = ctypes.CDLL(ctypes.util.find_library(name))
            for function, (result, *arguments) in signatures.items():
                found = getattr(library, function)
                found.restype, found.argtypes = result, arguments
                setattr(self, function, found)


@cache
def openssl():
    """The local OpenSSL."""
    return _Library()


@cache
def credentials(kind):
    """A certificate (DER), its private key (DER) and the number of the key's kind."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
    from cryptography.x509.oid import NameOID

    if kind == "rsa":
        key, number = rsa.generate_private_key(65537, 2048), 6
    elif kind == "ec":
        key, number = ec.generate_private_key(ec.SECP256R1()), 408
    else:
        key, number = dsa.generate_private_key(1024), 116
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{kind}.example")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime.datetime(2022, 1, 1)).not_valid_after(datetime.datetime(2042, 1, 1))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    plain = serialization.NoEncryption()
    return certificate, key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, plain), number  # fmt: skip


def suites(version):
    """The suites that the local OpenSSL can do in a version: `(OpenSSL's name, number)`."""
    lib = openssl()
    context = lib.SSL_CTX_new(lib.TLS_client_method())
    try:
        if version == TLS13:
            names = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]  # fmt: skip
            lib.SSL_CTX_set_ciphersuites(context, ":".join(names).encode())
        lib.SSL_CTX_set_cipher_list(context, b"ALL:COMPLEMENTOFALL:@SECLEVEL=0")
        stack = lib.SSL_CTX_get_ciphers(context)
        found = []
        for place in range(lib.OPENSSL_sk_num(stack)):
            cipher = lib.OPENSSL_sk_value(stack, place)
            since = lib.SSL_CIPHER_get_version(cipher).decode()
            fits = since == "TLSv1.3" if version == TLS13 else since in {"SSLv3", "TLSv1.0", "TLSv1"} or (since == "TLSv1.2" and version == TLS12)  # fmt: skip
            if fits:
                found.append((lib.SSL_CIPHER_get_name(cipher).decode(), lib.SSL_CIPHER_get_protocol_id(cipher)))
        return found
    finally:
        lib.SSL_CTX_free(context)


class Peer:
    """One side: a context and the connections that it makes."""

    def __init__(self, lib, client, talk):
        self.lib, self.client, self.talk = lib, client, talk
        self.context = lib.SSL_CTX_new(lib.TLS_client_method() if client else lib.TLS_server_method())
        self.ssl = None

    def connect(self, session=None):
        lib = self.lib
        self.ssl = lib.SSL_new(self.context)
        self.inwards, self.outwards = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
        lib.SSL_set_bio(self.ssl, self.inwards, self.outwards)
        (lib.SSL_set_connect_state if self.client else lib.SSL_set_accept_state)(self.ssl)
        if session is not None:
            assert lib.SSL_set_session(self.ssl, session) == 1

    def check(self, result):
        """Fails where OpenSSL does, but for what only waits for the other side."""
        if result > 0:
            return True
        error = self.lib.SSL_get_error(self.ssl, result)
        if error in {2, 3, 6}:
            return False
        text = ctypes.create_string_buffer(256)
        self.lib.ERR_error_string_n(self.lib.ERR_get_error(), text, 256)
        raise RuntimeError(f"{'client' if self.client else 'server'}: {error} {text.value.decode()}")

    def sent(self):
        size = self.lib.BIO_ctrl_pending(self.outwards)
        data = ctypes.create_string_buffer(max(size, 1))
        size = max(0, self.lib.BIO_read(self.outwards, data, size)) if size else 0
        return data.raw[:size]


class Talk:
    """A client and a server that speak TLS to each other.

    Attributes:
        events: `(direction, bytes)` of all that went over the wire, in order.
        said: The application data of each direction, in pieces.
        keylog: What the client wrote to its key log.
    """

    def __init__(self, version=TLS12, cipher=None, *, options=0, groups=None, server_groups=None, kind="rsa", client_kind=None, early=0,
                 padding=0, psk=False):  # fmt: skip
        lib = self.lib = openssl()
        lib.ERR_clear_error()
        self.keylog, self.events, self.said = b"", [], ([], [])
        self.kept = [_KEYLOG(self._log)]
        self.client, self.server = Peer(lib, True, self), Peer(lib, False, self)
        for peer in (self.client, self.server):
            context = peer.context
            lib.SSL_CTX_ctrl(context, 123, version, None)
            lib.SSL_CTX_ctrl(context, 124, version, None)
            lib.SSL_CTX_clear_options(context, NO_ENCRYPT_THEN_MAC)
            lib.SSL_CTX_set_options(context, options)
            old = cipher if version != TLS13 and cipher else "ALL:COMPLEMENTOFALL"
            assert lib.SSL_CTX_set_cipher_list(context, f"{old}:@SECLEVEL=0".encode()) == 1
            if version == TLS13 and cipher:
                assert lib.SSL_CTX_set_ciphersuites(context, cipher.encode()) == 1
            wanted = groups if peer.client else server_groups or groups
            if wanted:
                assert lib.SSL_CTX_ctrl(context, 92, 0, wanted.encode()) == 1
            if padding:
                lib.SSL_CTX_set_block_padding(context, padding)
        lib.SSL_CTX_set_keylog_callback(self.client.context, self.kept[0])
        server = self.server.context
        lib.SSL_CTX_ctrl(server, 118, 1, None)
        for one in [kind] if kind else []:
            self._identify(server, one)
        if client_kind:
            self._identify(self.client.context, client_kind)
            self.kept.append(_VERIFY(lambda ok, store: 1))
            lib.SSL_CTX_set_verify(server, 1, self.kept[-1])
        lib.SSL_CTX_set_session_id_context(server, b"test", 4)
        if early:
            lib.SSL_CTX_set_max_early_data(server, early)
        if psk:
            self._psk()
        if cipher and cipher.startswith("SRP"):
            self._srp()
        self.begin()

    def _identify(self, context, kind):
        certificate, key, number = credentials(kind)
        assert self.lib.SSL_CTX_use_certificate_ASN1(context, len(certificate), certificate) == 1
        assert self.lib.SSL_CTX_use_PrivateKey_ASN1(number, context, key, len(key)) == 1

    def _log(self, ssl, line):
        self.keylog += line + b"\n"

    def _psk(self):
        def client(ssl, hint, identity, size, psk, psk_size):
            ctypes.memmove(identity, b"device\0", 7)
            ctypes.memmove(psk, PSK, len(PSK))
            return len(PSK)

        def server(ssl, identity, psk, size):
            ctypes.memmove(psk, PSK, len(PSK))
            return len(PSK)

        self.kept += [_PSK_CLIENT(client), _PSK_SERVER(server)]
        self.lib.SSL_CTX_set_psk_client_callback(self.client.context, self.kept[-2])
        self.lib.SSL_CTX_set_psk_server_callback(self.server.context, self.kept[-1])

    def _srp(self):
        self.kept.append(_SRP(lambda ssl, alert, arg: self._srp_user(ssl)))
        self.lib.SSL_CTX_set_srp_username(self.client.context, b"device")
        self.lib.SSL_CTX_set_srp_password(self.client.context, b"password")
        self.lib.SSL_CTX_set_srp_username_callback(self.server.context, self.kept[-1])

    def _srp_user(self, ssl):
        return 0 if self.lib.SSL_set_srp_server_param_pw(ssl, b"device", b"password", b"1024") == 1 else 2

    def begin(self, session=None):
        """A new connection; what was recorded is forgotten, the key log is kept."""
        self.events, self.said = [], ([], [])
        self.client.connect(session)
        self.server.connect()

    def carry(self):
        """Carry what both sides sent to the other side; True where there was anything."""
        moved = False
        for direction, (one, other) in enumerate(((self.client, self.server), (self.server, self.client))):
            data = one.sent()
            if data:
                self.events.append((direction, data))
                self.lib.BIO_write(other.inwards, data, len(data))
                moved = True
        return moved

    def handshake(self):
        done = [False, False]
        for _ in range(40):
            for place, peer in enumerate((self.client, self.server)):
                done[place] = peer.check(self.lib.SSL_do_handshake(peer.ssl))
            if not self.carry() and all(done):
                return self
        raise RuntimeError("the handshake does not end")

    def say(self, direction, data):
        """Application data; what the receiver reads must be what was sent."""
        sender, receiver = (self.client, self.server) if direction == 0 else (self.server, self.client)
        assert sender.check(self.lib.SSL_write(sender.ssl, data, len(data)))
        self.said[direction].append(data)
        self.carry()
        assert self.hear(receiver) == data
        self.hear(sender)
        self.carry()
        return self

    def hear(self, receiver):
        got, room = b"", ctypes.create_string_buffer(32768)
        while True:
            size = self.lib.SSL_read(receiver.ssl, room, 32768)
            if not receiver.check(size):
                return got
            got += room.raw[:size]

    def update(self, direction, *, request=False):
        """A key update of TLS 1.3, sent with the next data."""
        peer = (self.client, self.server)[direction]
        assert self.lib.SSL_key_update(peer.ssl, int(request)) == 1
        return self

    def renegotiate(self, direction):
        """Another handshake inside the connection."""
        peers = (self.client, self.server)
        assert self.lib.SSL_renegotiate(peers[direction].ssl) == 1
        peers[direction].check(self.lib.SSL_do_handshake(peers[direction].ssl))
        for _ in range(20):
            moved = self.carry()
            self.hear(self.client)
            self.hear(self.server)
            if not moved and not self.carry():
                return self
        raise RuntimeError("the renegotiation does not end")

    def early(self, data):
        """Early data, in front of the handshake; gives what the server read."""
        lib, size, room = self.lib, _Z(0), ctypes.create_string_buffer(16384)
        assert lib.SSL_write_early_data(self.client.ssl, data, len(data), ctypes.byref(size)) == 1
        self.carry()
        status = lib.SSL_read_early_data(self.server.ssl, room, 16384, ctypes.byref(size))
        self.carry()
        return room.raw[: size.value] if status == 1 else None

    def end(self):
        for peer in (self.client, self.server):
            self.lib.ERR_clear_error()
            self.lib.SSL_shutdown(peer.ssl)
            self.carry()
        return self

    def session(self):
        """The session, to be resumed."""
        return self.lib.SSL_get1_session(self.client.ssl)

    @property
    def resumed(self):
        return self.lib.SSL_session_reused(self.client.ssl) == 1

    @property
    def cipher(self):
        return self.lib.SSL_CIPHER_standard_name(self.lib.SSL_get_current_cipher(self.client.ssl)).decode()

    def sent(self, direction):
        """All that was said in a direction."""
        return b"".join(self.said[direction])


def kind_for(name):
    """The kind of certificate that a suite of this name needs."""
    return "ec" if "ECDSA" in name else "dsa" if "DSS" in name else "rsa"


def talk(version, cipher=None, *, lines=None, **options):
    """A connection with some application data in both directions, of all sizes, ended in order."""
    name = cipher or ""
    talk = Talk(version, cipher, kind=kind_for(name), psk="PSK" in name, **options).handshake()
    for direction, data in lines or LINES:
        talk.say(direction, data)
    return talk.end()


LINES = [
    (0, b"\x1d\0\1\0\x20" + b"a" * 32),
    (1, b"\0\0\1\0\xc8"),
    (0, b"x"),
    (1, bytes(range(256)) * 80),
    (0, b"y" * 20000),
    (1, b"end"),
]
