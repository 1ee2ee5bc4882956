"""Frames inside WebSocket messages: a stream of bytes for devices, one frame a message for dashboards."""

import struct

import craft
import pytest
import sharks

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
