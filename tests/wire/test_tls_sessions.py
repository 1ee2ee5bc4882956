"""Real sessions of OpenSSL, decrypted to the bytes that were sent."""

import os
import random
import subprocess
from collections import Counter

import craft
import pytest
import tlstalk
from captures_of import CAPTURES
from tlstalk import TLS10, TLS11, TLS12, TLS13, Talk, talk

from blynkscope.sources import CaptureSource
from blynkscope.wire.events import Closed, Data, Gap
from blynkscope.wire.keylog import KeyLog
from blynkscope.wire.layers import Content, Fact, Hole
from blynkscope.wire.tls import TlsSession

NAMES = {TLS10: "TLS 1.0", TLS11: "TLS 1.1", TLS12: "TLS 1.2", TLS13: "TLS 1.3"}


def read(events, keys, session=None):
    """The pieces of a recording: `(direction, bytes or missing)`; the times count the events."""
    session = session or TlsSession(keys)
    pieces, time = [], 0.0
    for direction, data in events:
        time += 1
        feed = session.feed if isinstance(data, bytes) else session.gap
        pieces += feed(direction, data, time)
    for direction in (0, 1):
        pieces += session.finish(direction, time)
    return pieces


def content(pieces, direction):
    return b"".join(piece.data for side, piece in pieces if side == direction and isinstance(piece, Content))


def contents(pieces):
    return content(pieces, 0), content(pieces, 1)


def facts(pieces, kind):
    return [piece.detail for _, piece in pieces if isinstance(piece, Fact) and piece.kind == kind]


def joined(pieces):
    """What must not depend on the cuts: the pieces of each direction, without times, contents joined.

    Which direction tells of the keys of both depends on what came first.
    """
    out = ([], [], [])
    for direction, piece in pieces:
        mine = out[direction]
        if isinstance(piece, Fact) and piece.kind == "tls-keys":
            out[2].append((piece.detail["state"], piece.detail.get("missing")))
            continue
        if isinstance(piece, Content):
            if mine and isinstance(mine[-1], bytes):
                mine[-1] += piece.data
            else:
                mine.append(piece.data)
        elif isinstance(piece, Hole):
            mine.append(piece.missing)
        else:
            mine.append((piece.kind, repr(piece.detail)))
    return out


def recut(events, seed):
    """The same events in other pieces: some cut, some joined."""
    chance = random.Random(seed)
    out = []
    for direction, data in events:
        if not isinstance(data, bytes):
            out.append((direction, data))
            continue
        at = 0
        while at < len(data):
            size = chance.choice([1, 2, 3, 4, 5, 6, 17, 100, 3000, len(data)])
            out.append((direction, data[at : at + size]))
            at += size
    return out


def randoms(spoken):
    """The lines of the key log that have a client's random, in their parts."""
    return [line.split() for line in spoken.keylog.splitlines() if line.startswith(b"CLIENT_RANDOM")]


def sound(spoken, keys=None):
    """Decrypts a recording, whole and cut, and checks that all of it is there."""
    keys = keys or KeyLog(spoken.keylog)
    session = TlsSession(keys)
    pieces = read(spoken.events, keys, session)
    assert contents(pieces) == (spoken.sent(0), spoken.sent(1))
    assert not [piece for _, piece in pieces if isinstance(piece, Hole)]
    assert not facts(pieces, "tls-undecodable") + facts(pieces, "tls-lost")
    for seed in range(2):
        assert joined(read(recut(spoken.events, seed), keys)) == joined(pieces)
    return pieces


# --- suites -------------------------------------------------------------------------------------------------------------


def test_the_local_openssl_has_the_suites_that_matter():
    """So that the list below cannot become empty in silence."""
    found = {version: {number for _, number in tlstalk.suites(version)} for version in NAMES}
    assert {0x1301, 0x1302, 0x1303} <= found[TLS13]
    assert {
        0x002F,
        0x0035,
        0x003C,
        0x009C,
        0xC013,
        0xC014,
        0xC023,
        0xC024,
        0xC02B,
        0xC02F,
        0xC030,
        0xCCA8,
        0xC09C,
        0xC0AE,
    } <= found[TLS12]
    for old in (TLS10, TLS11):
        assert {0x002F, 0x0035, 0xC013, 0xC014} <= found[old]
    assert [len(found[version]) >= least for version, least in ((TLS10, 15), (TLS11, 15), (TLS12, 60), (TLS13, 3))] == [
        True
    ] * 4


LINES = [
    (0, b"\x1d\0\1\0\x20" + b"a" * 32),
    (1, b"\0\0\1\0\xc8"),
    (0, b"x"),
    (1, bytes(range(256)) * 70),
    (0, b"y" * 17),
    (1, b"end"),
]


@pytest.mark.parametrize("version", NAMES, ids=NAMES.values())
def test_every_suite_of_the_local_openssl(version):
    done = Counter()
    for name, _number in tlstalk.suites(version):
        spoken = talk(version, name, lines=LINES)
        if "ARIA" in name:
            pieces = read(spoken.events, KeyLog(spoken.keylog))
            (keys,) = facts(pieces, "tls-keys")
            assert keys["state"] == "unsupported"
            assert "ARIA" in keys["why"]
            assert contents(pieces) == (b"", b"")
            done["unsupported"] += 1
            continue
        pieces = sound(spoken)
        (keys,) = facts(pieces, "tls-keys")
        assert (keys["state"], keys["version"], keys["cipher"]) == ("opened", NAMES[version], spoken.cipher), name
        assert [alert["name"] for alert in facts(pieces, "tls-alert")] == ["close_notify"] * 2
        assert all(alert["decrypted"] for alert in facts(pieces, "tls-alert"))
        done["opened"] += 1
    print(NAMES[version], dict(done))
    assert done["opened"] >= {TLS10: 15, TLS11: 15, TLS12: 60, TLS13: 3}[version]


@pytest.mark.parametrize("version", [TLS10, TLS11, TLS12])
@pytest.mark.parametrize("cipher", ["AES128-SHA", "ECDHE-RSA-AES256-SHA", "ECDHE-RSA-AES256-SHA384", "CAMELLIA128-SHA"])
@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("option", [0, tlstalk.NO_EMPTY_FRAGMENTS])
def test_mac_outside_and_inside(version, cipher, outside, option):
    if version != TLS12 and cipher.endswith("384"):
        cipher = "DHE-RSA-AES128-SHA"
    spoken = talk(version, cipher, options=option | (0 if outside else tlstalk.NO_ENCRYPT_THEN_MAC))
    sound(spoken)
    hello = next(data for direction, data in spoken.events if direction == 1)
    assert (b"\0\x16\0\0" in hello[:120]) is outside


# --- handshakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "option", "how"), [(TLS12, 0, "ticket"), (TLS12, tlstalk.NO_TICKET, "id"), (TLS10, tlstalk.NO_TICKET, "id"),
                                                        (TLS13, 0, "psk"), (TLS13, tlstalk.NO_TICKET, "psk")])  # fmt: skip
def test_resumption(version, option, how):
    spoken = Talk(version, options=option).handshake().say(0, b"first").say(1, b"one")
    sound(spoken)
    assert facts(sound(spoken), "tls-resumed") == []
    session = spoken.session()
    spoken.end()
    spoken.begin(session)
    spoken.handshake().say(0, b"second").say(1, b"two").end()
    assert spoken.resumed
    pieces = sound(spoken)
    assert facts(pieces, "tls-resumed") == [{"how": how}]
    assert facts(pieces, "tls-client-hello")[0]["resuming"] is True
    if version != TLS13:
        assert {"resumed": True} in facts(pieces, "tls-change-cipher")


def test_a_retry():
    spoken = (
        Talk(TLS13, groups="X25519:P-384", server_groups="P-384").handshake().say(0, b"hello").say(1, b"world").end()
    )
    pieces = sound(spoken)
    assert [hello["retry"] for hello in facts(pieces, "tls-server-hello")] == [True, False]
    assert len(facts(pieces, "tls-client-hello")) == 2


@pytest.mark.parametrize("version", [TLS10, TLS12, TLS13])
def test_client_certificates(version):
    spoken = Talk(version, client_kind="ec").handshake().say(0, b"hello").say(1, b"world").end()
    pieces = sound(spoken)
    assert sorted(detail["subject"] for detail in facts(pieces, "tls-certificate")) == [
        "CN=ec.example",
        "CN=rsa.example",
    ]


def test_padding_of_tls_1_3():
    spoken = Talk(TLS13, padding=512).handshake().say(0, b"hello").say(1, b"w" * 511).say(1, b"\0\0").end()
    sound(spoken)
    assert all(len(data) > 512 for _, data in spoken.events[4:-2])


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("request_too", [False, True])
def test_key_updates(direction, request_too):
    spoken = Talk(TLS13).handshake().say(0, b"a").say(1, b"b")
    for turn in range(3):
        spoken.update(direction, request=request_too).say(direction, b"new %d" % turn).say(
            1 - direction, b"answer %d" % turn
        )
    pieces = sound(spoken.end())
    updates = [(side, piece.detail["generation"], piece.detail["requested"]) for side, piece in pieces
               if isinstance(piece, Fact) and piece.kind == "tls-key-update"]  # fmt: skip
    mine = [(turn + 1, request_too) for turn in range(3)]
    assert [update[1:] for update in updates if update[0] == direction] == mine
    assert [update[1:] for update in updates if update[0] != direction] == (
        [(turn + 1, False) for turn in range(3)] if request_too else []
    )


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("cipher", ["ECDHE-RSA-AES128-GCM-SHA256", "AES128-SHA"])
def test_renegotiation_is_named_and_followed(direction, cipher):
    spoken = Talk(TLS12, cipher, options=tlstalk.CLIENT_RENEGOTIATION).handshake().say(0, b"before").say(1, b"too")
    spoken.renegotiate(direction)
    spoken.say(0, b"behind").say(1, b"it").end()
    pieces = sound(spoken)
    told = facts(pieces, "tls-renegotiation")
    assert told == ([{"by": "server", "followed": True}] if direction else []) + [{"by": "client", "followed": True}]
    assert len(facts(pieces, "tls-client-hello")) == 2
    assert facts(read(spoken.events, None), "tls-renegotiation") != []
    # The keys of the first handshake alone.
    first = KeyLog(b" ".join(randoms(spoken)[0]))
    pieces = read(spoken.events, first)
    assert contents(pieces) == (b"before", b"too")
    assert [piece.missing for _, piece in pieces if isinstance(piece, Hole)] == [None, None]
    assert {lost["reason"] for lost in facts(pieces, "tls-lost")} == {"renegotiation with keys that are not known"}


def resumable(**options):
    spoken = (
        Talk(TLS13, early=16384, options=tlstalk.NO_ANTI_REPLAY, **options).handshake().say(0, b"first").say(1, b"one")
    )
    session = spoken.session()
    spoken.end()
    spoken.begin(session)
    return spoken


def test_early_data():
    spoken = resumable()
    assert spoken.early(b"early bird") == b"early bird"
    spoken.handshake().say(0, b"late").say(1, b"answer").end()
    spoken.said[0].insert(0, b"early bird")
    pieces = sound(spoken)
    assert facts(pieces, "tls-early-data") == [{"accepted": True, "decrypted": True}]
    without = KeyLog(b"\n".join(line for line in spoken.keylog.split(b"\n") if b"EARLY" not in line))
    pieces = read(spoken.events, without)
    assert contents(pieces) == (b"late", b"answer")
    assert facts(pieces, "tls-early-data") == [{"accepted": True, "decrypted": False}]
    assert [piece.missing for _, piece in pieces if isinstance(piece, Hole)] == [None]


def test_early_data_that_is_refused():
    spoken = resumable()
    spoken.lib.SSL_CTX_set_max_early_data(spoken.server.context, 0)
    spoken.lib.SSL_CTX_ctrl(spoken.server.context, 92, 0, b"P-384")
    spoken.server.connect()
    assert spoken.early(b"early bird") is None
    spoken.handshake().say(0, b"early bird again").say(1, b"answer").end()
    pieces = sound(spoken)
    assert facts(pieces, "tls-early-data") == [{"accepted": False, "decrypted": False}]


# --- other forms of key logs --------------------------------------------------------------------------------------------


def premaster(spoken):
    """The encrypted and the plain premaster secret of an RSA key exchange."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    client = b"".join(data for direction, data in spoken.events if direction == 0)
    at = client.index(b"\x10\0\x01\x02\x01\0")
    encrypted = client[at + 6 : at + 6 + 256]
    key = serialization.load_der_private_key(tlstalk.credentials("rsa")[1], None)
    return encrypted, key.decrypt(encrypted, padding.PKCS1v15())


@pytest.mark.parametrize("version", [TLS10, TLS11, TLS12])
@pytest.mark.parametrize("extended", [True, False])
@pytest.mark.parametrize("client_kind", [None, "rsa"])
@pytest.mark.parametrize("cipher", ["AES128-SHA", "AES256-GCM-SHA384"])
def test_premaster_secrets(version, extended, client_kind, cipher):
    if version != TLS12:
        cipher = "AES128-SHA"
    option = 0 if extended else tlstalk.NO_EXTENDED_MASTER_SECRET
    spoken = talk(version, cipher, options=option, client_kind=client_kind, lines=LINES)
    encrypted, secret = premaster(spoken)
    random = randoms(spoken)[0][1]
    by_random = KeyLog(b"PMS_CLIENT_RANDOM " + random + b" " + secret.hex().encode())
    assert facts(sound(spoken, by_random), "tls-keys")[0]["source"] == "PMS_CLIENT_RANDOM"
    by_exchange = KeyLog(b"RSA " + encrypted[:8].hex().encode() + b" " + secret.hex().encode())
    assert facts(sound(spoken, by_exchange), "tls-keys")[0]["source"] == "RSA"


@pytest.mark.parametrize("option", [tlstalk.NO_TICKET, 0])
def test_session_ids(option):
    spoken = Talk(TLS12, "AES128-SHA", options=option).handshake().say(0, b"first").say(1, b"one")
    session = spoken.session()
    spoken.end()
    spoken.begin(session)
    spoken.handshake().say(0, b"second").say(1, b"two").end()
    hello = next(data for direction, data in spoken.events if direction == 1)
    number, master = hello[44 : 44 + hello[43]], randoms(spoken)[0][2]
    keys = KeyLog(b"RSA Session-ID:" + number.hex().encode().upper() + b" Master-Key:" + master.upper())
    assert facts(sound(spoken, keys), "tls-keys")[0]["source"] == "RSA Session-ID"


def test_a_session_that_is_resumed_needs_no_line_of_its_own():
    keys = None
    spoken = Talk(TLS12, "AES128-SHA", options=tlstalk.NO_TICKET).handshake().say(0, b"first").say(1, b"one")
    keys = KeyLog(b" ".join(randoms(spoken)[0]))
    session = spoken.session()
    sound(spoken.end(), keys)
    spoken.begin(session)
    spoken.handshake().say(0, b"second").say(1, b"two").end()
    assert facts(sound(spoken, keys), "tls-keys")[0]["source"] == "RSA Session-ID"


# --- the same in tshark ---


@pytest.mark.tshark
@pytest.mark.parametrize(
    ("version", "cipher"),
    [
        (TLS12, "ECDHE-RSA-AES128-GCM-SHA256"),
        (TLS12, "ECDHE-ECDSA-AES256-CCM8"),
        (TLS10, "AES128-SHA"),
        (TLS13, "TLS_CHACHA20_POLY1305_SHA256"),
    ],
)
def test_tshark_reads_the_same(version, cipher, tmp_path):
    spoken = talk(version, cipher, lines=LINES)
    wire, sent = craft.Wire(ports=(50000, 443)), [0, 0]
    wire.handshake()
    for side, data in spoken.events:
        for at in range(0, len(data), 1400):
            part = data[at : at + 1400]
            wire.send(side, sent[side], part, ack=sent[1 - side])
            sent[side] += len(part)
    capture, log = tmp_path / "talk.pcap", tmp_path / "keys.txt"
    capture.write_bytes(craft.pcap(wire.packets))
    log.write_bytes(spoken.keylog)
    command = ["tshark", "-r", capture, "-o", f"tls.keylog_file:{log}", "-q", "-z", "follow,tls,raw,0"]
    shown = subprocess.run(
        command, capture_output=True, check=True, text=True, env={**os.environ, "HOME": str(tmp_path)}, timeout=60
    ).stdout
    found = [b"", b""]
    for line in shown.splitlines():
        digits = line.strip()
        if digits and not set(digits) - set("0123456789abcdef"):
            found[line.startswith("\t")] += bytes.fromhex(digits)
    # tshark calls the side first that it heard first inside.
    assert sorted(found) == sorted(contents(sound(spoken)))


# --- recordings ---------------------------------------------------------------------------------------------------------

RECORDED = sorted(path.stem for path in CAPTURES.glob("*.keys"))


def test_there_are_recordings():
    assert len(RECORDED) >= 5


@pytest.mark.parametrize("name", RECORDED)
def test_recordings(name):
    keys = KeyLog((CAPTURES / f"{name}.keys").read_bytes())
    assert keys.lines
    assert not keys.unusable
    sessions, pieces = {}, {}
    with (CAPTURES / f"{name}.pcap").open("rb") as stream:
        for batch in CaptureSource(stream, name):
            for event in batch:
                if isinstance(event, Data | Gap):
                    session = sessions.setdefault(event.stream, TlsSession(keys))
                    mine = pieces.setdefault(event.stream, [])
                    if isinstance(event, Data):
                        mine += session.feed(event.direction, event.data, event.time)
                    else:
                        mine += session.gap(event.direction, event.missing, event.time)
                elif isinstance(event, Closed) and event.stream in sessions:
                    for direction in (0, 1):
                        pieces[event.stream] += sessions[event.stream].finish(direction, event.time)
    secured = [number for number, found in pieces.items() if facts(found, "tls-server-hello")]
    assert secured
    for number in secured:
        assert [keys["state"] for keys in facts(pieces[number], "tls-keys")] == ["opened"]
        assert content(pieces[number], 0)
        assert not facts(pieces[number], "tls-undecodable")
