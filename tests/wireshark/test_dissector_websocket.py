"""Frames inside WebSocket messages: a stream of bytes for devices, one frame a message for dashboards."""

import struct

import craft
import pytest
import sharks
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.protocol import Protocol, Side, State

from blynkscope.wireshark import dissector

pytestmark = pytest.mark.tshark

TOKEN = b"6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
FRAMES = [
    (29, 1, 32, TOKEN.hex()),
    (20, 2, 7, b"vw\x001\x0042".hex()),
    (6, 3, 0, ""),
    (20, 4, 300, (b"vw\x002\0" + b"x" * 295).hex()),
]
WIRE = b"".join(struct.pack(">BHH", cmd, number, word) + bytes.fromhex(body) for cmd, number, word, body in FRAMES)
BINARY, TEXT = 0x82, 0x81


@pytest.fixture(scope="module")
def shark(tmp_path_factory):
    return sharks.Shark(tmp_path_factory.mktemp("home"))


def message(payload, opcode=BINARY, mask=b"\1\2\3\4"):
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return bytes([opcode]) + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def captured(path, target, messages, *, together=False, port=8080):
    """A capture in which the client upgrades and sends these messages."""
    wire = craft.Wire(ports=(50000, port))
    wire.handshake()
    asked = f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    said = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: eA==\r\n\r\n"
    wire.send(0, 0, asked.encode())
    wire.send(1, 0, said.encode(), ack=len(asked))
    at = len(asked)
    for chunk in [b"".join(messages)] if together else messages:
        wire.send(0, at, chunk, ack=len(said))
        at += len(chunk)
    path.write_bytes(craft.pcap(wire.packets))
    return path


@pytest.mark.parametrize("together", [False, True], ids=["segments", "one-segment"])
@pytest.mark.parametrize("size", [1, 3, 41, 120])
def test_frames_may_span_messages_and_messages_hold_several(shark, tmp_path, size, together):
    messages = [message(WIRE[at : at + size]) for at in range(0, len(WIRE), size)]
    path = captured(tmp_path / "ws.pcap", "/websockets", messages, together=together)
    for options in ((), ("-2",)):
        assert shark.frames(path, *options) == {(50000, 8080, "c2s"): FRAMES}


def test_the_path_tells_the_web_dialect(shark, tmp_path):
    bodies = [(2, 1, b"dev@example.com\0hash"), (20, 2, b"1-0\0vw\x001\x0042"), (6, 3, b"")]
    messages = [message(struct.pack(">BH", cmd, number) + body) for cmd, number, body in bodies]
    messages.insert(1, message(b"no frame", TEXT))
    path = captured(tmp_path / "web.pcap", "/dashws", messages)
    wanted = [(cmd, number, len(body), body.hex()) for cmd, number, body in bodies]
    for options in ((), ("-2",)):
        assert shark.frames(path, *options) == {(50000, 8080, "c2s"): wanted}
    pins = shark.fields(path, "blynk.target", "blynk.pin", "blynk.value", only="blynk.pin")
    assert pins == [{"blynk.target": ["1-0"], "blynk.pin": ["V1"], "blynk.value": ["42"]}]


MORE = [(20, number, 300, (b"vw\x001\0" + bytes([60 + number]) * 295).hex()) for number in range(5, 8)]
MESSAGES = [WIRE, *(struct.pack(">BHH", cmd, number, word) + bytes.fromhex(body) for cmd, number, word, body in MORE)]
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
PARTS = "not put together"


def sent_in_parts(path, size, *, deflate=False, empty_end=False, together=False):
    """A capture of what the library sends of messages in parts of `size` bytes."""
    sender = Protocol(Side.CLIENT, state=State.OPEN)
    if deflate:
        sender.extensions = [PerMessageDeflate(False, False, 15, 15)]
    chunks = []
    for data in MESSAGES:
        parts = [data[at : at + size] for at in range(0, len(data), size)] + [b""] * empty_end
        for place, part in enumerate(parts):
            fin = place + 1 == len(parts)
            sender.send_continuation(part, fin=fin) if place else sender.send_binary(part, fin=fin)
        made = sender.data_to_send()
        chunks += [b"".join(made)] if together else made
    wire = craft.Wire(ports=(50000, 8080))
    wire.handshake()
    extensions = DEFLATE if deflate else ""
    asked = f"GET /websockets HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{extensions}Sec-WebSocket-Key: eA==\r\n\r\n"
    said = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{extensions}Sec-WebSocket-Accept: eA==\r\n\r\n"
    wire.send(0, 0, asked.encode())
    wire.send(1, 0, said.encode(), ack=len(asked))
    at = len(asked)
    for chunk in chunks:
        wire.send(0, at, chunk, ack=len(said))
        at += len(chunk)
    path.write_bytes(craft.pcap(wire.packets))
    return path


@pytest.mark.parametrize("together", [False, True], ids=["segments", "one-segment"])
@pytest.mark.parametrize("size", [41, 200, 1000])
def test_messages_of_several_frames_are_read(shark, tmp_path, size, together):
    path = sent_in_parts(tmp_path / "parts.pcap", size, together=together)
    for options in ((), ("-2",)):
        assert shark.frames(path, *options) == {(50000, 8080, "c2s"): FRAMES + MORE}
    assert PARTS not in shark.run(path)


def test_a_compressed_message_of_one_frame_is_read(shark, tmp_path):
    path = sent_in_parts(tmp_path / "deflated.pcap", 1000, deflate=True)
    assert shark.frames(path) == {(50000, 8080, "c2s"): FRAMES + MORE}


@pytest.mark.parametrize("together", [False, True], ids=["segments", "one-segment"])
@pytest.mark.parametrize("how", [{"deflate": True}, {"empty_end": True}, {"deflate": True, "empty_end": True}])
def test_messages_that_wireshark_does_not_put_together_are_marked(shark, tmp_path, how, together):
    path = sent_in_parts(tmp_path / "lost.pcap", 200, together=together, **how)
    for options in ((), ("-2",)):
        marked = shark.fields(path, "frame.number", "_ws.expert.message", options=options, only="blynk.expert.parts")
        assert len(marked) == len(MESSAGES)
        assert not shark.frames(path, *options)
        assert not shark.fields(path, "frame.number", options=options, only="blynk.expert.skipped || blynk.expert.cut")


def test_the_limit_is_told_in_the_file():
    assert "blynk.expert.parts" in dissector().partition("local registered")[0]
