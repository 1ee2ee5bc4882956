"""Shapes of logs and dumps: node-red's IoT nodes, JS and Python libraries, the Java server, packets, terminals, gateways."""

import re

import pytest

from blynkscope.sources.text import TextSource
from blynkscope.wire.events import Closed, Data, Line, Message, Opened
from blynkscope.wire.framing import Framer, RawFrame
from blynkscope.wire.logs import known, packets

TOKEN = b"c4ad62ead005b80c82e6c7a3dd0d2dbc"
HEX = "1d 00 01 00 20 " + TOKEN.hex(" ")
LOGIN, OK = (0, 29, 1, TOKEN), (1, 0, 1, b"")
MASKED = b"*" * 27 + b"4kQ2z"


def events_of(text):
    return [event for batch in TextSource(text.encode(), "x") for event in batch]


def messages(text):
    found = []
    for event in events_of(text):
        if isinstance(event, Message):
            found.append((event.direction, event.cmd, event.id, event.word if event.cmd == 0 else event.body))
        elif isinstance(event, Data):
            framer = Framer()
            for item in [*framer.feed(event.data), *framer.finish()]:
                assert isinstance(item, RawFrame)
                found.append((event.direction, item.cmd, item.id, item.word if item.cmd == 0 else item.body))
    return found


def rsp(number, status=200):
    return (1, 0, number, status)


NODE = "3 Sep 09:12:01 - [info] [blynk-iot-client:Home 2] "
MESSAGES = {
    "node-red-iot": (
        f'{NODE}SEND -> Cmd: HW_LOGIN, Id: 1, len: 32, data: "{MASKED.decode()}"\n'
        f"{NODE}RECV <- Cmd: RSP, Id: 1, responseCode: OK\n"
        f'{NODE}RECV <- Cmd: HW, Id: 4310, len: 6, data: "vw|2|1"\n'
        f'{NODE}writeEvent: -> cmd {{"type":20,"typeString":"HW","msgId":4310,"len":6,"body":"vw\\u00002\\u00001"}}\n',
        [(0, 29, 1, MASKED), rsp(1), (1, 20, 4310, b"vw\x002\x001")],
    ),
    "node-red-tag-with-digits-and-status": (
        '17 Dec 10:01:02 - [info] [blynk-ws-client:b1b2.e5] RECV <- Cmd: HW, Id: 77, len: 8, data: "vw\\u00005\\u0000128"\n'
        '17 Dec 10:01:02 - [info] [blynk-ws-client:b1b2.e5] writeEvent: -> cmd {"type":20,"msgId":77,"len":8,'
        '"body":"vw\\u00005\\u0000128"}\n'
        "17 Dec 10:01:02 - [info] [blynk-ws-client:b1b2.e5] SEND -> Cmd: RSP Id: 3 Status: ILLEGAL_COMMAND\n",
        [(1, 20, 77, b"vw\x005\x00128"), (0, 0, 3, 2)],
    ),
    "journal-before-node-red": (
        f"Jan  5 10:11:12 pi Node-RED[812]: {NODE}RECV <- Cmd: RSP, Id: 301, responseCode: QUOTA_LIMIT_EXCEPTION\n",
        [rsp(301, 1)],
    ),
    "java-server-of-2015": (
        "19:58:44.620 TRACE - Incomming : HardwareMessage{id=2, command=HARDWARE, length=7, body='vw 1 22'}\n",
        [(0, 20, 2, b"vw\x001\x0022")],
    ),
    "docklight": (
        f"5/20/2016 13:10:22.104 [TX] - {HEX}\n5/20/2016 13:10:22.320 [RX] - 00 00 01 00 C8\n",
        [LOGIN, rsp(1)],
    ),
    "strace": (
        f'[pid 12] sendto(3, "\\35\\0\\1\\0 {TOKEN.decode()}", 37, 0, NULL, 0) = 37\n'
        'recvfrom(3, "\\x00\\x00\\x01\\x00\\xc8", 1024, 0, NULL, NULL) = 5\n',
        [LOGIN, rsp(1)],
    ),
    "node-buffers": (
        f"Sent: <Buffer {HEX}>\nReceived: <Buffer 00 00 01 00 c8>\n",
        [LOGIN, rsp(1)],
    ),
    "hercules-with-prompts": (
        f"Send: {{1D}}{{00}}{{01}}{{00}}{{20}}{TOKEN.decode()}\nReceived: {{00}}{{00}}{{01}}{{00}}{{C8}}\n",
        [LOGIN, rsp(1)],
    ),
    "port-monitor": (f"[10:00:01] COM4 WRITE {HEX}\n[10:00:01] COM4 READ 00 00 01 00 C8\n", [LOGIN, rsp(1)]),
    "lists-of-numbers": (
        "Sent: [20, 0, 3, 0, 6, 118, 119, 0, 49, 0, 49]\nReceived: [0, 0, 3, 0, 200]\nReceived: [20, 21, 22, 23, 24, 25]\n",
        [(0, 20, 3, b"vw\x001\x001"), rsp(3)],
    ),
    "a-question-and-its-answer": (
        "0x14,0x00,0x02,0x00,0x06,0x76,0x77,0x00,0x31,0x00,0x31\n0x00,0x00,0x02,0x00,0xC8\n",
        [(0, 20, 2, b"vw\x001\x001"), rsp(2)],
    ),
    "tcpdump-X": (
        "$ sudo tcpdump -X port 80\nlistening on wlan0\n"
        "12:34:56.7 IP 192.168.1.50.54321 > 139.59.206.133.80: Flags [P.], length 37: HTTP\n"
        "\t0x0000:  4500 004d 0001 0000 ff06 1234 c0a8 0132  E..M.......4...2\n"
        "\t0x0010:  8b3b ce85 d431 0050 0000 0001 0000 0001  .;...1.P........\n"
        "\t0x0020:  5018 1670 abcd 0000 1d00 0100 2063 3461  P..p.........c4a\n"
        "\t0x0030:  6436 3265 6164 3030 3562 3830 6338 3265  d62ead005b80c82e\n"
        "\t0x0040:  3663 3761 3364 6430 6432 6462 63         6c7a3dd0d2dbc\n"
        "12:34:56.9 IP 139.59.206.133.80 > 192.168.1.50.54321: Flags [P.], length 5: HTTP\n"
        "\t0x0000:  4500 002d 0001 4000 3306 1234 8b3b ce85  E..-..@.3..4.;..\n"
        "\t0x0010:  c0a8 0132 0050 d431 0000 0001 0000 0026  ...2.P.1.......&\n"
        "\t0x0020:  5018 00e5 abcd 0000 0000 0100 c8         P............\n",
        [LOGIN, rsp(1)],
    ),
    "wireshark-frame": (
        "0000   b8 27 eb 00 00 01 24 0a c4 00 00 02 08 00 45 00   .'....$.......E.\n"
        "0010   00 2d 00 01 00 00 ff 06 12 34 c0 a8 01 32 40 e1   .-.......4...2@.\n"
        "0020   10 16 c3 51 00 50 00 00 00 01 00 00 00 01 50 18   ...Q.P........P.\n"
        "0030   16 70 ab cd 00 00 06 00 03 00 00                  .p.........\n",
        [(0, 6, 3, b"")],
    ),
    "wireshark-yaml": (
        "peers:\n  - peer: 0\n    host: 192.168.1.50\n    port: 54321\npackets:\n"
        "  - packet: 4\n    peer: 0\n    index: 0\n    timestamp: 1609459200.0\n    data: !!binary |\n"
        "      HQABACBjNGFkNjJlYWQwMDViODBjODJlNmM3YTNkZDBkMmRiYw==\n"
        "  - packet: 6\n    peer: 1\n    index: 0\n    timestamp: 1609459200.1\n    data: !!binary |\n      AAABAMg=\n",
        [LOGIN, rsp(1)],
    ),
    "dumps-in-a-story": (
        "Client -> server:\n00000000  14 00 05 00 07 76 77 00  31 00 32 32              |.....vw.1.22|\n"
        "Server -> client:\n00000000  00 00 05 00 c8                                    |.....|\n"
        "and after that nothing\nit stays so\nfor hours\nwhat is it?\n",
        [(0, 20, 5, b"vw\x001\x0022"), rsp(5)],
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name):
    text, expected = MESSAGES[name]
    assert messages(text) == expected


LINES = [
    ("[info] [blynk-iot-client:Home] Start TLS connection: blynk.cloud:443", "connecting", {"host": "blynk.cloud", "port": 443}),
    ("[info] [blynk-iot-client:Home] Socket end: blynk.cloud", "eof", {"host": "blynk.cloud"}),
    ("[info] [blynk-iot-client:Home] Socket closed: blynk.cloud", "disconnected", {"host": "blynk.cloud"}),
    ("Connecting to: blynk-cloud.com 8441", "connecting", {"host": "blynk-cloud.com", "port": 8441}),
    ("Connected, authorized", "connected", {}),
    ("Blynk ready. Ping: 58 ms", "ready", {"ping_ms": 58}),
    ("Heartbeat period = 10 seconds. Happy Blynking!", "heartbeat", {"seconds": 10}),
    ("Websocket Error: Client network socket disconnected before secure TLS connection was established", "tls-error",
     {"reason": "socket disconnected before secure TLS connection was established"}),
    ("State handler. Hardware timeout disconnect. Event : first_reader_idle", "server", {"event": "idle-disconnect"}),
    ('CreateFile("\\\\.\\COM3") ERROR 5 - Access is denied.', "gateway",
     {"program": "com2tcp", "device": "\\\\.\\COM3", "failed": "5 - Access is denied."}),
    ('socat[11] E open("/dev/ttyUSB0", 04002, 0666): Permission denied', "gateway",
     {"program": "socat", "device": "/dev/ttyUSB0", "failed": "Permission denied"}),
    ('Connect("blynk-cloud.com", "8442") ERROR 10060 - A connection attempt failed', "timeout",
     {"host": "blynk-cloud.com", "port": 8442, "what": "connect"}),
    ("http://sgp1.blynk.cloud/static/fw_1.bin?token=x", "ota", {"url": "http://sgp1.blynk.cloud/static/fw_1.bin?token=x"}),
    ("3 packets transmitted, 0 packets received, 100.0% packet loss", "unreachable", {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "facts"), LINES, ids=[text[:40] for text, _, _ in LINES])
def test_lines(text, kind, facts):
    told = known.told(text)
    assert (told.kind, told.facts) == (kind, facts)


@pytest.mark.parametrize(
    ("text", "library"),
    [
        ("        /___/ for Python v0.2.0 (Linux)\nInvalid auth token\n", "blynklib"),
        ("Connecting to TCP: blynk-cloud.com 80\nConnected\nAuthorized\n", "js"),
        (f"{NODE}Client logged\n", "node-red"),
    ],
)
def test_whose_log(text, library):
    assert events_of(text)[-1].facts["library"] == library


def test_a_socket_that_was_closed_beside_the_connection():
    text = MESSAGES["node-red-iot"][0] + f"{NODE}Socket closed: blynk.cloud\n"
    text += f'{NODE}SEND -> Cmd: PING, Id: 4, len: 0, data: ""\n'
    assert sum(isinstance(event, Opened) for event in events_of(text)) == 1


def test_a_server_log_says_nothing_about_answers():
    text = "16:32:45.4 TRACE- Incoming LoginMessage{id=1, command=HardwareLogin, body='...'}\n"
    (closed,) = [event for event in events_of(text) if isinstance(event, Closed)]
    assert closed.heard == (True, False)


@pytest.mark.parametrize(
    "secret", ["$ ./blynk_ctrl.py --token={}", "Any idea? Token is {}", "Your Admin password is {}", "x -auth {}"]
)
def test_secrets_in_sentences(secret):
    (line,) = [
        event
        for event in events_of(secret.format(TOKEN.decode()))
        if isinstance(event, Line) and event.kind != "log-end"
    ]
    assert TOKEN.decode() not in line.text


def test_the_token_behind_a_header_in_a_servers_complaint():
    told = known.told(f"Reason : not an SSL/TLS record: {re.sub(' ', '', HEX)}")
    assert told.facts["reason"].endswith("1d00010020")
    assert TOKEN.hex() not in told.text


@pytest.mark.parametrize("text", ["", "0000  zz", "0010  45 00", "0000  45 00 00 14\n0008  00", "0000  45", "0000  60"])
def test_what_is_no_packet(text):
    assert packets.read(text) is None


def test_no_frames_out_of_numbers():
    assert messages("0000  45 00 00 28 is what I see\nTemperature: 45 ff ee dd 01 02\n") == []
