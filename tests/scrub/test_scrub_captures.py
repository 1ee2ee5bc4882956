"""Redacted captures: nothing secret is left, and everything else is as it was."""

import base64
import io
import json
import struct
import zlib

import pytest
from captures_of import every
from craft import ACK, CLIENT_IP, SERVER_IP, Wire, ethernet, ipv4, tcp
from hypothesis import given, settings
from hypothesis import strategies as st
from scrub_help import block, essence, frames, option, pcap, redact, unpacked
from talk import APP, TOKEN, frame, status, write

from blynkscope.scrub.captures import CaptureScrub
from blynkscope.scrub.checksums import is_right, ones_sum
from blynkscope.scrub.packets import Segment
from blynkscope.scrub.sockets import masked
from blynkscope.scrub.vault import Vault
from blynkscope.scrub.walk import walk

MAIL, HASH = b"jane.doe@example.org", b"c2FsdGVkaGFzaGhhc2hoYXNo"
OTHER = b"Zz_9-456789abcdef0123456789abcdE"


def judged(data):
    """Of each segment of a capture whether its checksum is right, with what it holds left out."""
    found = []

    def segment(one: Segment):
        if one.whole and len(one.data) >= 18:
            length = len(one.data)
            pseudo = one.addresses + (
                struct.pack(">HH", one.protocol, length)
                if len(one.addresses) == 8
                else struct.pack(">II", length, one.protocol)
            )
            found.append((is_right(pseudo, one.data), one.stream, one.direction, one.offset, length))

    def header(one):
        if len(one.data) == 20 and one.data[0] == 0x45:
            found.append(("ip", ones_sum(one.data) == 0xFFFF))

    walk(io.BytesIO(data), "test", segment=segment, header=header)
    return found


@pytest.mark.parametrize("hosts", [False, True], ids=["", "hosts"])
@pytest.mark.parametrize("path", every(), ids=lambda path: path.name)
def test_every_capture(path, hosts):
    data = unpacked(path)
    out, _, vault = redact(data, hosts=hosts)
    assert len(out) == len(data)
    assert essence(out) == essence(data)
    assert judged(out) == judged(data)
    for secret, kind in vault.known.items():
        if len(secret) >= 16 and kind == "token" and vault.placeholder(kind, secret) != secret:
            assert secret not in out
    # What was cleaned stays as it is.
    if not hosts:
        assert redact(out)[0] == out


def conversation(*sides, mss=1400):
    """A connection on which the sides speak in turn; each gives its payload in segments of this size."""
    wire = Wire()
    wire.handshake()
    offsets = [0, 0]
    for side, data in sides:
        for at in range(0, len(data), mss):
            part = data[at : at + mss]
            wire.send(side, offsets[side], part, ack=offsets[1 - side])
            offsets[side] += len(part)
    return wire


def login(token=TOKEN):
    return frame(29, 1, token)


def test_a_token_is_the_same_everywhere_and_keeps_its_alphabet():
    wire = conversation((0, login()), (1, status(1)), (0, login(OTHER) + write(2, b"1", b"is " + TOKEN)))
    out, _, vault = redact(pcap(wire.packets))
    assert TOKEN not in out
    assert OTHER not in out
    assert out.count(b"c0de0001" + b"0" * 24) == 2
    assert out.count(b"TOKEN1" + b"x" * 26) == 1
    assert vault.counts() == {"token": {"places": 3, "different": 2}}


@given(mss=st.integers(1, 50), again=st.integers(0, 3), shift=st.integers(-20, 20))
@settings(max_examples=40, deadline=None)
def test_segments_may_cut_secrets_and_come_again(mss, again, shift):
    said = login() + write(2, b"1", MAIL) + b"".join(write(3 + n, b"2", b"x" * 9) for n in range(3))
    wire = conversation((0, said), mss=mss)
    for number in range(again):
        # Copies that begin and end elsewhere.
        start = max(0, mss * number + shift)
        if part := said[start : start + 17]:
            wire.send(0, start, part, ack=0)
    wire.send(1, 0, status(1), ack=len(said))
    data = pcap(wire.packets)
    out, _, _ = redact(data)
    assert essence(out) == essence(data)
    streams = {0: bytearray(len(said))}

    def segment(one):
        if not one.direction and one.stream:
            payload = one.data[one.payload :]
            before = streams[0][one.offset : one.offset + len(payload)]
            assert all(old in (0, new) for old, new in zip(before, payload, strict=True))
            streams[0][one.offset : one.offset + len(payload)] = payload

    walk(io.BytesIO(out), "test", segment=segment)
    assert bytes(streams[0]) == said.replace(TOKEN, b"c0de0001" + b"0" * 24).replace(MAIL, b"mail1xxx@xxxxxxx.xxx")


def test_a_copy_with_other_bytes_does_not_keep_the_secret():
    wire = conversation((0, login()), (1, status(1)))
    wire.send(0, 0, login()[:20] + b"?" + login()[21:], ack=5)
    out, _, _ = redact(pcap(wire.packets))
    assert TOKEN[:15] not in out
    assert TOKEN[17:] not in out


def test_what_comes_after_the_end_is_cleaned_too():
    wire = conversation((0, login()), (1, status(1)))
    wire.send(0, len(login()), flags=ACK | 4)
    wire.send(0, len(login()), b"again " + TOKEN)
    assert TOKEN not in redact(pcap(wire.packets))[0]


def test_an_app_login_hides_address_and_hash():
    said = frame(2, 1, MAIL, HASH, b"Android", b"2.27.1", b"Blynk", head=APP)
    wire = conversation((0, said), (1, status(1, head=APP)), (0, frame(20, 2, b"7-0", b"vw", b"1", b"2", head=APP)))
    out, _, vault = redact(pcap(wire.packets))
    assert set(vault.counts()) == {"email", "password"}
    (first, *_) = frames(out)
    assert bytes.fromhex(first.body).split(b"\0") == [
        b"mail1xxx@xxxxxxx.xxx", b"PASS1" + b"x" * 19, b"Android", b"2.27.1", b"Blynk",
    ]  # fmt: skip


def test_a_short_password_goes_in_its_place_alone():
    said = frame(2, 1, MAIL, b"An", b"Android", b"2.27.1", b"Blynk", head=APP)
    out, _, _ = redact(pcap(conversation((0, said), (1, status(1, head=APP))).packets))
    assert bytes.fromhex(frames(out)[0].body).split(b"\0")[1:3] == [b"xx", b"Android"]


def test_compressed_bodies_are_blanked_and_teach():
    profile = zlib.compress(json.dumps({"dashBoards": [{"devices": [{"token": TOKEN.decode()}]}]}).encode())
    login_app = frame(2, 1, MAIL, HASH, b"Android", b"2.27.1", b"Blynk", head=APP)
    answer = status(1, head=APP) + frame(24, 2, profile, head=APP) + frame(20, 3, b"7-0", b"vw", b"1", TOKEN, head=APP)
    wire = conversation((0, login_app + frame(24, 2, head=APP)), (1, answer))
    out, scrub, vault = redact(pcap(wire.packets))
    assert b"*" * len(profile) in out
    assert TOKEN not in out
    assert vault.counts()["compressed-body"]["places"] == 1
    assert any("blanked" in note for note in scrub.report.notes)


def test_http():
    basic = base64.b64encode(b"jane.doe@example.org:opensesame")
    body = b'{"token":"%s","pass":"hunter2","email":"jane.doe@example.org"}' % OTHER
    said = (
        b"PUT /%s/update/V0?token=%s&to=jane.doe%%40example.org HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (TOKEN, TOKEN, basic, len(body), body)
    )
    out, _, vault = redact(
        pcap(conversation((0, said), (1, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), mss=100).packets)
    )
    payload = bytearray()
    walk(
        io.BytesIO(out), "x", segment=lambda one: payload.extend(one.data[one.payload :]) if not one.direction else None
    )
    text = bytes(payload)
    for secret in (TOKEN, OTHER, basic, b"hunter2", b"jane.doe", b"opensesame"):
        assert secret not in text
    new = text.split(b"Basic ")[1].split(b"\r\n")[0]
    assert base64.b64decode(new, validate=True) == b"mail1xxx@xxxxxxx.xxx:PASS2xxxxx"
    assert json.loads(text[-len(body) :]) == {
        "token": "TOKEN1" + "x" * 26, "pass": "PASS1xx", "email": "mail1xxx@xxxxxxx.xxx"
    }  # fmt: skip
    assert text.count(b"c0de0001") == 2
    assert set(vault.counts()) == {"token", "email", "password", "credentials"}


def socket_message(payload, mask=b"", opcode=2, final=True):
    size = len(payload)
    head = bytes([0x80 * final | opcode])
    long = struct.pack(">BH", 126 | 0x80 * bool(mask), size) if size > 125 else bytes([size | 0x80 * bool(mask)])
    return head + long + mask + masked(payload, mask)


@pytest.mark.parametrize(
    ("path", "hello"), [(b"/websockets", login()), (b"/dashws", struct.pack(">BH", 2, 1) + MAIL + b"\0" + HASH)]
)
def test_masked_messages(path, hello):
    mask = b"\x11\x82\xf3\x04"
    up = b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n" % path
    ok = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    said = socket_message(hello[:9], mask, final=False) + socket_message(hello[9:], mask[::-1], 0)
    wire = conversation((0, up), (1, ok), (0, said), (1, socket_message(status(1))), mss=7)
    data = pcap(wire.packets)
    out, _, vault = redact(data)
    assert len(out) == len(data)
    payload = bytearray()
    walk(
        io.BytesIO(out), "x", segment=lambda one: payload.extend(one.data[one.payload :]) if not one.direction else None
    )
    inner = bytes(payload[len(up) :])
    plain = masked(inner[6:15], mask) + masked(inner[15 + 6 :], mask[::-1])
    assert len(plain) == len(hello)
    for secret in (TOKEN, MAIL, HASH):
        assert secret not in plain
    assert plain[:3] == hello[:3]
    assert vault.replaced


def test_wrong_checksums_stay_wrong_and_right_ones_right():
    def packet(good):
        segment = tcp(50000, 8080, 1001, 1, ACK, login())
        pseudo = CLIENT_IP + SERVER_IP + struct.pack(">HH", 6, len(segment))
        value = ~ones_sum(pseudo + segment) & 0xFFFF if good else 0x1234
        return ethernet(ipv4(CLIENT_IP, SERVER_IP, segment[:16] + struct.pack(">H", value) + segment[18:]))

    for good in (True, False):
        data = pcap([(1.0, packet(good), len(packet(good)))])
        out = redact(data)[0]
        assert [one[0] for one in judged(out) if one[0] != "ip"] == [good]
        assert (out[24 + 16 + 14 + 20 + 16 :][:2] == b"\x12\x34") is not good


def test_pcapng_key_logs_are_dropped_and_comments_cleaned():
    wire = conversation((0, login()), (1, status(1)))
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack("<HHI", 1, 0, 0) + option(1, b"token=" + OTHER) + option(0, b""))
    keys = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"
    secrets = block(10, struct.pack("<II", 0x544C534B, len(keys)) + keys)
    data += secrets
    for time, packet, wire_length in wire.packets:
        body = struct.pack("<IIIII", 0, 0, int(time), len(packet), wire_length) + packet + bytes(-len(packet) % 4)
        data += block(6, body + option(1, b"seen with " + TOKEN) + option(0, b""))
    out, scrub, _ = redact(data)
    assert len(out) == len(data) - len(secrets)
    assert scrub.report.dropped == {"key_log_blocks": 1}
    assert TOKEN not in out
    assert OTHER not in out
    assert keys not in out
    assert out.count(b"seen with c0de0001") == len(wire.packets)
    assert essence(out) == essence(data)


def test_hosts_and_addresses():
    question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06plants\x04home\x03lan\0\0\x01\0\x01"
    udp = struct.pack(">HHHH", 5353, 53, 8 + len(question), 0) + question
    wire = conversation((0, login()), (1, status(1) + frame(41, 2, b"plants.home.lan", b"8080")))
    query = ethernet(ipv4(CLIENT_IP, bytes([8, 8, 8, 8]), udp, protocol=17))
    data = pcap([*wire.packets, (2000.0, query, len(query))])
    out, _, vault = redact(data, hosts=True)
    assert set(vault.counts()) == {"token", "host", "address"}
    for secret in (CLIENT_IP, SERVER_IP, bytes([8, 8, 8, 8]), b"plants", b"home"):
        assert secret not in out
    assert b"\x06host1x\x04xxxx\x03xxx\0" in out
    assert b"host1x.xxxx.xxx\x008080" in out
    assert b"plants.home.lan" in redact(data)[0]
    assert [one[:8] for one in essence(out)] == [one[:8] for one in essence(data)]


def test_names_of_blynks_clouds_stay():
    wire = conversation((0, login()), (1, status(1) + frame(41, 2, b"ny3.blynk.cloud", b"80")))
    assert b"ny3.blynk.cloud" in redact(pcap(wire.packets), hosts=True)[0]


def test_the_network_of_a_beacon():
    header = struct.pack("<HH", 0x0080, 0) + b"\xff" * 6 + b"\x02\0\0\0\0\x05" * 2 + bytes(2)
    beacon = header + bytes(12) + b"\0\x0bHomeNet_EXT" + b"\x01\x01\x82"
    out, _, vault = redact(pcap([(1.0, beacon, len(beacon))], link=105))
    assert b"SSID1xxxxxx" in out
    assert vault.counts() == {"ssid": {"places": 1, "different": 1}}


def test_the_check_finds_what_was_left(monkeypatch):
    data = pcap(conversation((0, login()), (1, status(1))).packets)
    scrub = CaptureScrub(io.BytesIO(data), "test", Vault())
    out = io.BytesIO()
    scrub.write(out)
    assert scrub.left(io.BytesIO(data))["token"] > 0
    # One place that nobody reads: behind the last packet.
    assert scrub.left(io.BytesIO(out.getvalue() + TOKEN)) == {"token": 1}


@given(data=st.binary(max_size=400), cut=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_hostile_payload_never_raises(data, cut):
    wire = conversation((0, data[:cut] + login() + data[cut:]), (1, data), mss=60)
    made = pcap(wire.packets)
    out, _, _ = redact(made, hosts=True)
    assert len(out) == len(made)


@given(data=st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_hostile_files_never_raise(data):
    made = pcap(conversation((0, login())).packets)
    out, _, _ = redact(made + data + TOKEN)
    assert len(out) == len(made) + len(data) + len(TOKEN)
    assert TOKEN not in out
