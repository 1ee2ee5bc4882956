"""What is said of whole logs: servers, node-red, scripts and gateways."""

import pytest

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord
from blynkscope.sources.text import TextSource

NODE = "13 Apr 14:15:23 - [info] [blynk-ws-client:Home] "
JAVA_LOGIN = (
    "09:00:00.140 TRACE- Incoming LoginMessage{id=1, command=HardwareLogin, body='...'}\n"
    "09:00:00.190 INFO - someone@... hardware joined.\n"
    "09:00:00.300 TRACE- Incoming id=2, command=BlynkInternal, body='ver 0.6.1 h-beat 10 buff-in 1024 dev Uno'\n"
    "09:00:10.000 TRACE- Incoming id=3, command=Ping, body=''\n"
)


def found(text):
    source, analyser = TextSource(text.encode(), "x"), Analyser()
    records = [record for batch in source for record in analyser.feed(batch)]
    records += analyser.finish(source.lost)
    return [one for one in records if isinstance(one, FindingRecord) and one.id != "BS907"]


LOGS = {
    "a server prints what comes in only": (
        JAVA_LOGIN + "09:00:20.000 TRACE- Incoming id=4, command=Ping, body=''\n", [], "",
    ),
    "idle at the server": (
        JAVA_LOGIN + "09:00:33.010 TRACE- State handler. Hardware timeout disconnect. Event : first_reader_idle\n",
        ["BS315"], "23 s",
    ),
    "quota in words": (
        "10:11:12.100 TRACE- Incoming id=900, command=Ping, body=''\n"
        "10:11:12.130 DEBUG- User 'me@example.com' quota limit reached.\n",
        ["BS309"], "Line 2 of the server's log",
    ),
    "plain client at the TLS port": (
        "13:07:50.300 DEBUG- Unsecured connection attempt. Channel : /192.168.0.103:49233. Reason : "
        "not an SSL/TLS record: 1d00010020\n",
        ["BS107"], "1d00010020",
    ),
    "TLS to the plain port": (
        f"{NODE}Start secure connection: wss://139.59.206.133:80/websockets\n{NODE}Websocket Error: Client network "
        "socket disconnected before secure TLS connection was established\n",
        ["BS106"], "port 80 speaks plain",
    ),
    "an exception on top of another": (
        "ConnectionRefusedError: [Errno 111] Connection refused\n\nDuring handling of the above exception, another "
        "exception occurred:\n\nValueError: Connection with the Blynk server 192.168.1.9:8080 failed\n",
        ["BS101"], "Line 1",
    ),
    "lost while in use": (
        "< 20 307 | vw 4 11.25\n< 20 308 | vw 4 13.5\nOSError: [Errno 113] EHOSTUNREACH\n",
        ["BS301", "BS103"], "while the connection was in use",
    ),
    "one reset, told twice": ("Error: ECONNRESET\nError ECONNRESET\n", ["BS103"], "Line 1"),
    "an old Python library": (
        "        /___/ for Python v0.2.0 (Linux)\n\nInvalid auth token\n", ["BS201"], "knows no tokens of Blynk IoT",
    ),
    "masked token": (
        "< 29 1 | ********************************\n> 0 1 | 9\n", ["BS201"], "masked in the log",
    ),
    "connected, and never logged in": (
        "Connecting to SSL: 192.168.1.9 8441\nConnected, authorized\n" * 4, ["BS209"], "it never got in",
    ),
    "a port that is in use": (
        'Connecting device at COM3 to 192.168.1.9:8080...\nCreateFile("\\\\.\\COM3") ERROR 5 - Access is denied.\n',
        ["BS118"], "Access is denied",
    ),
    "the library's own words": (
        "Access granted\nHeartbeat = 10 sec. MaxCmdBuffer = 1024 bytes\nBlynk server is offline\n", ["BS314"],
        '"Blynk server is offline"',
    ),
    "a WebSocket path without its s": (
        f"{NODE}Start secure connection: wss://192.168.1.9/websocket\n"
        f"{NODE}Websocket Error: Unexpected server response: 404\n",
        ["BS112"], "with an s at its end",
    ),
    "a certificate that nobody verifies": (
        f"{NODE}Start TLS connection: 192.168.1.9:9443\n{NODE}Connection not authorized: DEPTH_ZERO_SELF_SIGNED_CERT\n",
        ["BS604"], "DEPTH_ZERO_SELF_SIGNED_CERT, and the client goes on",
    ),
    "a header of three bytes": (
        "I connect and send\n02 01 20\n3f fa e3 84 dc 5b 4f 07 9f af 6a 8f 95 6a a0 34\nno response\n", ["BS319"],
        "header of 3 bytes",
    ),
    "tcpdump without bytes": (
        "12:34:56.789012 IP 192.168.1.50.54321 > 139.59.206.133.80: Flags [P.], seq 1:38, length 37: HTTP\n", [], "",
    ),
    "python without an answer": (
        "Connecting to Blynk server...\nBlynk authentication timed out\n", ["BS202"], "Python library was connected",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_findings(name):
    text, expected, detail = LOGS[name]
    findings = found(text)
    assert [one.id for one in findings] == expected
    assert detail in (findings[-1].detail if findings else "")
