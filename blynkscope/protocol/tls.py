"""What the outside of a TLS record says: its type, its version and, where an alert is not encrypted, the reason.

Names are those of RFC 8446, and of RFC 5246 for alerts that TLS 1.3 has no more.
"""

from __future__ import annotations

CHANGE_CIPHER_SPEC = 0x14
ALERT = 0x15
HANDSHAKE = 0x16
APPLICATION_DATA = 0x17
HEARTBEAT = 0x18

TYPES = {0x14: "change cipher spec", ALERT: "alert", HANDSHAKE: "handshake", APPLICATION_DATA: "application data"}
VERSIONS = {0: "SSL 3.0", 1: "TLS 1.0", 2: "TLS 1.1", 3: "TLS 1.2", 4: "TLS 1.3"}
"""By the second byte of the version; records of TLS 1.3 say 1.2."""
HELLO_REQUEST, CLIENT_HELLO, SERVER_HELLO, END_OF_EARLY_DATA, ENCRYPTED_EXTENSIONS = 0, 1, 2, 5, 8
CERTIFICATE, SERVER_HELLO_DONE, CLIENT_KEY_EXCHANGE, FINISHED, KEY_UPDATE = 11, 14, 16, 20, 24
"""Handshake messages that are understood."""
HANDSHAKES = {
    1: "ClientHello",
    2: "ServerHello",
    11: "Certificate",
    14: "ServerHelloDone",
    16: "ClientKeyExchange",
}

RECORD_MAX = 16384 + 2048
HEADER_SIZE = 5
TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = 0x0301, 0x0302, 0x0303, 0x0304
RANDOM_SIZE, MASTER_SIZE = 32, 48
ALERT_SIZE = 2
"""Bytes of an alert that is not encrypted: level and description."""

EXT_SERVER_NAME, EXT_GROUPS, EXT_SIGNATURES, EXT_ALPN = 0, 10, 13, 16
EXT_TRUNCATED_HMAC, EXT_ENCRYPT_THEN_MAC, EXT_EXTENDED_MASTER_SECRET = 4, 22, 23
EXT_TICKET, EXT_PRE_SHARED_KEY, EXT_EARLY_DATA, EXT_VERSIONS = 35, 41, 42, 43
"""Extensions of the hello messages whose content is read."""

GROUPS = {
    19: "secp192r1", 21: "secp224r1", 22: "secp256k1", 23: "secp256r1", 24: "secp384r1", 25: "secp521r1",
    26: "brainpoolP256r1", 27: "brainpoolP384r1", 28: "brainpoolP512r1", 29: "x25519", 30: "x448", 41: "curveSM2",
    256: "ffdhe2048", 257: "ffdhe3072", 258: "ffdhe4096", 259: "ffdhe6144", 260: "ffdhe8192",
    4587: "SecP256r1MLKEM768", 4588: "X25519MLKEM768", 4589: "SecP384r1MLKEM1024",
}  # fmt: skip
"""Supported groups, as the IANA registry names them; curves that no one offers any more are left out."""

SIGNALS = frozenset({"TLS_EMPTY_RENEGOTIATION_INFO_SCSV", "TLS_FALLBACK_SCSV"})
"""Entries in the list of cipher suites that are none: signals to the server (RFC 5746, RFC 7507)."""

LEVELS = {1: "warning", 2: "fatal"}
ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}

CAUSES = {
    0: "This is the ordinary end of a TLS connection: look at what came before it.",
    40: "The two sides share no cipher suite, curve or signature algorithm: the TLS library of the device is too old or"
    " is built without what the server asks for; update the board package or the firmware of the modem.",
    42: "The device could not read or verify the server's certificate: the root certificate in the firmware may be"
    " damaged, or something between the two answers in the server's place.",
    45: "The clock of the device is not set (get the time by NTP before connecting), or the server's certificate has"
    " expired.",
    46: "The device refuses the server's certificate without saying why: check its clock, its root certificate and the"
    " name of the server.",
    48: "The device does not trust the CA that signed the server's certificate: put the current root certificate into"
    " the firmware.",
    70: "The two sides share no TLS version: a device that offers TLS 1.1 at most needs another board package or modem"
    " firmware; one that offers TLS 1.2 meets a server that takes TLS 1.3 only, or older versions only.",
    71: "The device offers only ciphers that are too weak for the server: update its TLS library.",
    80: "The side that sent this failed inside, on a small device mostly by lack of memory: free some before"
    " connecting, or give the TLS library larger buffers.",
    112: "The server does not know the name that the device asked for: the server name is wrong, or the device connects"
    " by IP address; connect by the name that the certificate holds.",
}
"""The likely cause on a Blynk device, for the alerts that devices really meet."""

OLD_VERSIONS = (
    "The device offers only old TLS versions that the server refuses: it takes TLS 1.2 or later, so update the board"
    " package or the firmware of the modem."
)
"""The cause of protocol_version where the highest version offered is below TLS 1.2."""

_UNKNOWN_CAUSE = "One side ended the TLS connection for this reason; the log of the TLS library on that side says more."


def alert_of(record: bytes) -> tuple[int, int | None] | None:
    """Level and description (None where it is cut off) of an alert that is not encrypted; None for anything else."""
    if len(record) <= HEADER_SIZE or record[0] != ALERT or record[3] << 8 | record[4] != ALERT_SIZE:
        return None
    if record[5] not in LEVELS:
        return None
    return record[5], record[6] if len(record) > HEADER_SIZE + 1 else None


def version_name(version: int) -> str:
    """`TLS 1.2` for 0x0303; the number where it is none of SSL 3.0 to TLS 1.3."""
    name = VERSIONS.get(version & 0xFF) if version >> 8 == 3 else None
    return name or f"0x{version:04x}"


def group_name(number: int) -> str:
    """Name of a supported group; its number as `0x0123` where it is not in the table."""
    return GROUPS.get(number, f"0x{number:04x}")


def alert_name(number: int) -> str:
    """Name of an alert; "unknown" where no RFC gives it one here."""
    return ALERTS.get(number, "unknown")


def cause_of(number: int) -> str:
    """The likely cause of an alert, in a sentence."""
    return CAUSES.get(number, _UNKNOWN_CAUSE)
