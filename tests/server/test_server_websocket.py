"""WebSocket of the server: the handshake, devices and pages inside, frames that are odd."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether  # noqa: F401 - packets are read by it
from scapy.utils import PcapReader
from server_world import ACCOUNT, PASSWORD, cut, frame
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri
from webtalk import TOKEN, Caller, World, answers, request

from blynkscope.protocol.model import Era
from blynkscope.protocol.passwords import password_hash
from blynkscope.server import websocket

RECORDED = Path(__file__).parents[2] / "captures" / "08a_ws_nodered_plain.pcap"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", KEY),
)
MASK = b"\x01\x02\x03\x04"


def wire(opcode, data=b"", fin=True, mask=True, bits=0):
    """A frame as a client writes it."""
    size = len(data)
    head = bytes([(0x80 if fin else 0) | bits | opcode])
    flag = 0x80 if mask else 0
    if size < 126:
        head += bytes([flag | size])
    elif size < 65536:
        head += bytes([flag | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + size.to_bytes(8, "big")
    if not mask:
        return head + data
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(data))


def messages(data):
    """The frames of the server in these bytes: opcode and what is in them."""
    found, at = [], 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        elif size == 127:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        assert data[at] & 0x80
        found.append((data[at] & 0x0F, data[start : start + size]))
        at = start + size
    return found


class Socket(Caller):
    """A connection that was upgraded."""

    def __init__(self, world, path="/websockets", **how):
        super().__init__(world, **how)
        said = self.raw(request("GET", path, headers=HEADERS))
        head, _, rest = said.partition(b"\r\n\r\n")
        self.head = head
        assert rest == b""

    def send(self, data, **how):
        return messages(self.raw(wire(2, data, **how)))


@pytest.fixture
def world():
    return World()


def test_the_handshake_is_that_of_the_recording():
    world = World()
    with PcapReader(str(RECORDED)) as packets:
        payloads = [(packet[TCP].dport, bytes(packet[TCP].payload)) for packet in packets if packet[TCP].payload]
    asked, said = payloads[0][1], payloads[1][1]
    assert payloads[0][0] == 8080
    assert Caller(world).raw(asked) == said


def test_a_device_talks_inside(world):
    socket = Socket(world)
    assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in socket.head
    assert socket.send(frame(29, 1, TOKEN)) == [(2, b"\0\0\1\0\xc8")]
    # Several frames in one message, each answered with one of its own; and one frame in several messages.
    assert socket.send(frame(6, 2) + frame(6, 3)) == [(2, b"\0\0\2\0\xc8"), (2, b"\0\0\3\0\xc8")]
    ping = frame(6, 4)
    assert socket.send(ping[:2]) == []
    assert socket.send(ping[2:]) == [(2, b"\0\0\4\0\xc8")]
    assert Caller(world).get(f"/{TOKEN}/update/V1?value=5").status == 200
    assert messages(socket.link.take()) == [(2, frame(20, 111, "vw", "1", "5"))]


def test_what_follows_the_handshake_at_once_is_not_lost(world):
    caller = Caller(world)
    said = caller.raw(request("GET", "/websockets", headers=HEADERS) + wire(2, frame(29, 1, TOKEN)) + wire(9, b"hi"))
    assert sorted(messages(said.partition(b"\r\n\r\n")[2])) == [(2, b"\0\0\1\0\xc8"), (10, b"hi")]


def test_it_is_the_same_however_it_is_cut(world):
    stream = (
        wire(2, frame(29, 1, TOKEN)[:7], fin=False)
        + wire(9, b"ping")
        + wire(0, frame(29, 1, TOKEN)[7:] + frame(6, 2), fin=True)
        + wire(1, b"text is passed over")
        + wire(2, b"")
        + wire(2, frame(6, 3))
        + wire(8, b"\x03\xe8")
    )
    for size in (1, 3, 10, 1000):
        socket = Socket(world)
        said = messages(socket.raw(*(stream[at : at + size] for at in range(0, len(stream), size))))
        data = b"".join(body for opcode, body in said if opcode == 2)
        if size < 1000:
            assert cut(data) == [(0, 1, 200), (0, 2, 200), (0, 3, 200)]
        assert (10, b"ping") in said
        assert said[-1] == (8, b"\x03\xe8")
        assert socket.how == "closed"
        socket.lose()
        assert world.hub.online(TOKEN) == []


def test_a_wrong_token_is_told_inside(world):
    socket = Socket(world)
    assert socket.send(frame(2, 1, "x" * 32)) == [(2, b"\0\0\1\0\x09")]
    assert socket.how == "open"


def test_what_the_session_closes_ends_the_websocket(world):
    socket = Socket(world)
    said = socket.send(frame(6, 1))
    assert said == [(8, b"\x03\xe8")]
    assert socket.how == "closed"
    assert socket.send(frame(6, 1)) == []


def test_a_client_that_leaves_without_a_word_is_offline(world):
    socket = Socket(world)
    socket.send(frame(29, 1, TOKEN))
    assert world.hub.online(TOKEN)
    socket.finish()
    socket.lose()
    assert world.hub.online(TOKEN) == []


def test_an_account_talks_inside(world):
    socket = Socket(world, "/dashws")
    login = "\0".join((ACCOUNT, password_hash(PASSWORD, ACCOUNT), "Web", "1.0.0", "Blynk")).encode()
    assert socket.send(b"\x02\x00\x01" + login) == [(2, b"\0\0\1\0\0\0\xc8")]
    assert socket.send(b"\x06\x00\x02") == [(2, b"\0\0\2\0\0\0\xc8")]


@pytest.mark.parametrize("path", ["/websocket", "/ws", "/", "/websockets/", "/mqtt"])
def test_other_paths_are_never_answered_by_the_legacy_server(path):
    caller = Caller(World())
    assert caller.raw(request("GET", path, headers=HEADERS)) == b""
    assert caller.raw(wire(2, frame(29, 1, TOKEN))) == b""
    assert caller.how == "open"
    for better in (World(quirks=frozenset()), World(like=Era.IOT)):
        assert answers(Caller(better).raw(request("GET", path, headers=HEADERS)))[0].status == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("Sec-WebSocket-Key", "short"), 400),
        (("Sec-WebSocket-Key", "!" * 24), 400),
        (("Sec-WebSocket-Key", ""), 400),
        (("Connection", "keep-alive"), 400),
        (("Sec-WebSocket-Version", "8"), 426),
        (("Sec-WebSocket-Version", ""), 426),
    ],
)
def test_a_wrong_handshake_is_refused(world, change, status):
    caller = Caller(world)
    headers = [(name, value) for name, value in HEADERS if name != change[0]] + [change]
    (found,) = answers(caller.raw(request("GET", "/websockets", headers=headers)))
    assert found.status == status
    assert caller.how == "closed"
    if status == 426:
        assert found.headers["sec-websocket-version"] == "13"
    assert answers(Caller(world).raw(request("PUT", "/websockets", headers=HEADERS)))[0].status == 400


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (wire(2, b"x", mask=False), 1002),
        (wire(2, b"x", bits=0x40), 1002),
        (wire(3, b"x"), 1002),
        (wire(0, b"x"), 1002),
        (wire(9, b"x" * 126), 1002),
        (wire(9, b"x", fin=False), 1002),
        (wire(2, b"x", fin=False) + wire(2, b"x"), 1002),
        (wire(8, b"\x03"), 1002),
        (wire(8, b"\x00\x01"), 1002),
        (wire(8, b"\x03\xe8\xff"), 1007),
        (wire(2, b"x" * 10)[:2].replace(b"\x8a", b"\xff") + b"\x00" * 3 + b"\x10" + b"\x00" * 4, 1009),
        (b"\x82\xff" + b"\xff" * 8, 1009),
        (b"\x82\xff" + (websocket.MESSAGE_MAX + 1).to_bytes(8, "big") + MASK, 1009),
        ((wire(2, b"x" * 65536, fin=False) + wire(0, b"x" * 65536, fin=False)) + wire(0, b"x"), 1009),
    ],
)
def test_who_breaks_the_rules_is_closed_with_a_code(world, stream, code):
    socket = Socket(world)
    socket.send(frame(29, 1, TOKEN))
    said = messages(socket.raw(stream))
    assert said[-1][0] == 8
    assert int.from_bytes(said[-1][1][:2], "big") == code
    assert socket.how == "closed"
    assert socket.raw(wire(9, b"more")) == b""


def test_a_great_message_is_taken(world):
    socket = Socket(world)
    socket.send(frame(29, 1, TOKEN))
    data = frame(20, 2, "vw", "1", "x" * 4000) + frame(6, 3)
    assert socket.send(data) == [(2, b"\0\0\3\0\xc8")]
    assert len(world.store.pin(TOKEN, b"v1")[0]) == 4000
    socket.raw(wire(2, frame(6, 4) * 10_000, fin=False))
    # Over the quota some stay without an answer; what counts is that the message arrived as a whole.
    assert len(messages(socket.raw(wire(0, b"")))) > 10


def test_compression_is_declined_and_a_strict_client_is_content(world):
    client = ClientProtocol(parse_uri("ws://127.0.0.1:8080/websockets"))
    client.send_request(client.connect())
    caller = Caller(world)
    said = caller.raw(b"".join(client.data_to_send()))
    assert b"xtensions" not in said
    client.receive_data(said)
    client.send_binary(frame(29, 1, TOKEN))
    client.send_ping(b"p")
    client.receive_data(caller.raw(b"".join(client.data_to_send())))
    frames = [event for event in client.events_received() if isinstance(event, Frame)]
    assert {event.opcode for event in frames} == {Opcode.BINARY, Opcode.PONG}
    client.send_close(1000)
    client.receive_data(caller.raw(b"".join(client.data_to_send())))
    client.receive_eof()
    assert client.close_code == 1000
    assert caller.how == "closed"


def test_frames_that_were_sent_together_are_told_apart():
    whole = frame(6, 1) + b"\0\0\1\0\xc8" + frame(20, 2, "vw", "1")
    assert websocket.frames_of(whole) == [frame(6, 1), b"\0\0\1\0\xc8", frame(20, 2, "vw", "1")]
    assert websocket.frames_of(whole[:-2])[-1] == frame(20, 2, "vw", "1")[:-2]
    assert websocket.frames_of(b"\x14\x00") == [b"\x14\x00"]
    assert websocket.frames_of(b"") == []


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["/websockets", "/dashws"]),
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.builds(
                wire, st.integers(0, 15), st.binary(max_size=40), st.booleans(), st.booleans(),
                st.sampled_from([0, 0, 0, 0x40]),
            ),
            st.just(wire(2, frame(29, 1, TOKEN))),
        ),
        max_size=12,
    ),
    st.integers(1, 100),
)  # fmt: skip
def test_any_frames_are_answered_or_close(path, pieces, size):
    socket = Socket(World(), path)
    stream = b"".join(pieces)
    for at in range(0, len(stream), size):
        messages(socket.raw(stream[at : at + size]))
    socket.finish()
    socket.lose()


@pytest.mark.parametrize(
    "last",
    [
        wire(Opcode.CLOSE, b"\x03\xe8"),
        wire(Opcode.CLOSE),
        wire(Opcode.BINARY, b"x", mask=False),
        wire(3, b"x"),
        wire(Opcode.PING, b"x" * 200),
        wire(Opcode.TEXT, b"\xff"),
        b"\x82\xff" + (1 << 40).to_bytes(8, "big") + MASK,
    ],
)
def test_good_frames_are_answered_before_what_ends_them(last):
    talk = [wire(Opcode.BINARY, frame(2, 1, TOKEN)), wire(Opcode.PING, b"p"), wire(Opcode.BINARY, frame(6, 2)), last]
    talk.append(wire(Opcode.BINARY, frame(6, 3)))
    data, found = b"".join(talk), []
    for size in (len(data), 1, 7):
        caller = Caller(World())
        caller.raw(request("GET", "/websockets", headers=HEADERS))
        said = caller.raw(*(data[at : at + size] for at in range(0, len(data), size)))
        found.append((messages(said), caller.how))
    assert found[0] == found[1] == found[2]
    assert [kind for kind, _ in found[0][0][:3]] == [Opcode.BINARY, Opcode.PONG, Opcode.BINARY]
    assert found[0][0][2][1] == frame(0, 2)[:3] + b"\x00\xc8"
