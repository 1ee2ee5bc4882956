from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.wire.logs import known

LINES: list[tuple[str, str, dict[str, Any]]] = [
    # the C++ library
    ("/___/ v0.6.1 on ESP8266", "banner", {"version": "0.6.1", "board": "ESP8266"}),
    ("        /___/ v1.4.0 on Linux", "banner", {"version": "1.4.0", "board": "Linux"}),
    ("/___/ v0.6.1 on Teensy 3.2/3.1", "banner", {"version": "0.6.1", "board": "Teensy 3.2/3.1"}),
    ("** // v0.4.6 on Arduino Nano**", "banner", {"version": "0.4.6", "board": "Arduino Nano"}),
    ("        /___/ for Python v0.2.0 (Linux)", "banner", {"version": "0.2.0", "board": "Python"}),
    ("/___/ for Python v0.2.6", "banner", {"version": "0.2.6", "board": "Python"}),
    ("Blynk v0.3.0", "banner", {"version": "0.3.0"}),
    ("Blynk v0.6.1 on Arduino Uno", "banner", {"version": "0.6.1", "board": "Arduino Uno"}),
    ("Connecting to blynk-cloud.com:80", "connecting", {"host": "blynk-cloud.com", "port": 80}),
    ("Connecting to blynk.cloud:443...", "connecting", {"host": "blynk.cloud", "port": 443}),
    ("Connecting to 192.168.1.10:8080", "connecting", {"host": "192.168.1.10", "port": 8080}),
    ("Connecting to HomeNet_EXT", "connecting", {"host": "HomeNet_EXT"}),
    ("Connecting to My Home Net", "connecting", {"host": "My Home Net"}),
    ("Connecting to", "connecting", {}),
    ("Connecting...", "connecting", {}),
    ("Connecting to Blynk server...", "connecting", {}),
    ("connecting to server...", "connecting", {}),
    ("Connecting to TCP: localhost 8080", "connecting", {"host": "localhost", "port": 8080}),
    ("TCP: Connecting to blynk-cloud.com:8442", "connecting", {"host": "blynk-cloud.com", "port": 8442}),
    ("Connect: Server: “blynk-cloud.com” : Port: “80”", "connecting", {"host": "blynk-cloud.com", "port": 80}),
    ("Connected to WiFi", "wifi", {}),
    ("Connecting to WiFi: attic", "wifi", {"ssid": "attic"}),
    ("IP: 192.168.0.77", "ip", {"ip": "192.168.0.77"}),
    ("My IP: 10.0.1.23", "ip", {"ip": "10.0.1.23"}),
    ("IP:", "ip", {}),
    ("Using Dynamic IP: 192.168.1.5", "ip", {"ip": "192.168.1.5"}),
    ("Ready (ping: 411ms).", "ready", {"ping_ms": 411}),
    ("Ready", "ready", {}),
    ("Access granted", "ready", {}),
    ("Authorized", "ready", {}),
    ("Redirecting to 192.0.2.133:80", "redirecting", {"host": "192.0.2.133", "port": 80}),
    ("Redirecting to qa_host:8442", "redirecting", {"host": "qa_host", "port": 8442}),
    ("Redirecting to  ny3.blynk.cloud : 80", "redirecting", {"host": "ny3.blynk.cloud", "port": 80}),
    (
        "Connection redirecting to:  wss://ny3.blynk.cloud:443/websockets",
        "redirecting",
        {"host": "ny3.blynk.cloud", "port": 443},
    ),
    ("Login timeout", "login-timeout", {}),
    ("[ERROR]: Auth stage timeout", "login-timeout", {}),
    ("Heartbeat timeout", "heartbeat-timeout", {}),
    (
        "Heartbeat timeout: 30002, 29948, 28006",
        "heartbeat-timeout",
        {"now": 30002, "last_in": 29948, "last_beat": 28006},
    ),
    ("Blynk server is offline", "heartbeat-timeout", {}),
    ("Heartbeat = 10 sec. MaxCmdBuffer = 1024 bytes", "heartbeat", {"seconds": 10, "buffer": 1024}),
    ("Response status: 9", "error", {"text": "Response status: 9"}),
    ("BT: Sending response failed", "error", {"text": "BT: Sending response failed"}),
    ("Connecting to DB...", "server", {"event": "database"}),
    ("Connecting to DB-Guests...", "connecting", {"host": "DB-Guests"}),
    ("Packet too big: 17231", "packet-too-big", {"size": 17231}),
    ("Cmd too big:  1500", "packet-too-big", {"size": 1500}),
    ("Cmd error", "cmd-error", {}),
    ("Cmd skipped:16", "cmd-skipped", {"cmd": 16}),
    ("Invalid header type: 78", "invalid-header-type", {"type": 78}),
    ("Unexpected command:  21", "invalid-header-type", {"type": 21}),
    ("Bad hdr len: -1", "bad-header-length", {"got": -1}),
    ("Sent 5/15", "sent", {"sent": 5, "total": 15}),
    ("Invalid auth token", "invalid-token", {}),
    ("Invalid token", "invalid-token", {}),
    ("[ERROR]: Invalid Auth Token", "invalid-token", {}),
    ("Execute Event: invalid_auth", "invalid-token", {}),
    ("Could not login: INVALID_TOKEN", "invalid-token", {}),
    ("[ERROR]: Auth stage failed. Status=4", "auth-failed", {"status": 4}),
    ("Connect failed. code: 5", "auth-failed", {"status": 5}),
    ("Not autenticated", "auth-failed", {"status": 5}),
    ("Free RAM: 48410", "free-ram", {"bytes": 48410}),
    ("BLE connect", "ble-connect", {}),
    ("BLE disconnect", "ble-disconnect", {}),
    ("Disconnected", "disconnected", {}),
    ("Disconnect blynk", "disconnected", {}),
    ("Connection closed", "disconnected", {}),
    ("Connection closed: ws://blynk-cloud.com:8080/websockets", "disconnected", {"host": "blynk-cloud.com"}),
    ("Websocket closed: ws://127.0.0.1:8080/websockets", "disconnected", {"host": "127.0.0.1"}),
    ("Connected to blynk server", "connected", {}),
    ("Socket Status: Connection Established", "connected", {}),
    (
        "[info] [blynk-ws-client:Project Test] Start secure connection: wss://blynk-cloud.com/websockets",
        "connecting",
        {"host": "blynk-cloud.com"},
    ),
    (
        "Start ### connection: ws://127.0.0.1:8080/websockets",
        "connecting",
        {"host": "127.0.0.1", "port": 8080},
    ),
    ("Invalid pin  mode out", "error", {"text": "Invalid pin  mode out"}),
    ("Cmd not allowed", "error", {"text": "Cmd not allowed"}),
    ("Response Error: NOTIFICATION_ERROR", "error", {"text": "Response Error: NOTIFICATION_ERROR"}),
    ("Connecting to blynk.cloud:80 failed", "unreachable", {"host": "blynk.cloud"}),
    ("Connection with the Blynk server blynk.cloud:80 failed", "unreachable", {"host": "blynk.cloud", "port": 80}),
    ("Failed to connect", "unreachable", {}),
    # Edgent and OTA
    ("RUNNING => OTA_UPGRADE", "state", {"from": "RUNNING", "to": "OTA_UPGRADE"}),
    ("CONNECTING_CLOUD => RUNNING", "state", {"from": "CONNECTING_CLOUD", "to": "RUNNING"}),
    (
        "Firmware update URL: http://172.17.0.2:8080/static/ota/FUp_1_upload.bin",
        "ota",
        {"url": "http://172.17.0.2:8080/static/ota/FUp_1_upload.bin"},
    ),
    (
        "Firmware update failed (error -1): HTTP error: connection refused",
        "ota",
        {"status": "failed", "code": -1, "reason": "HTTP error: connection refused"},
    ),
    (
        "Firmware update failed (error -102): File not Found (404)",
        "ota",
        {"status": "failed", "code": -102, "reason": "File not Found (404)"},
    ),
    ("HTTP response should be 200", "ota", {"status": "failed", "reason": "HTTP response should be 200"}),
    ("=== Update successfully completed. Rebooting.", "ota", {"status": "ok"}),
    ("HTTP error 404", "http", {"status": 404}),
    ("HTTP response code: 404", "http", {"status": 404}),
    ("[HTTP] GET... code: 200", "http", {"status": 200}),
    ("Restarting after error.", "reset", {"cause": "after an error"}),
    # boards
    (" ets Jan  8 2013,rst cause:2, boot mode:(3,7)", "reset", {"cause": "reset pin"}),
    ("ets Jun  8 2016 00:22:57", "reset", {}),
    ("rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)", "reset", {"cause": "POWERON_RESET"}),
    ("Brownout detector was triggered", "reset", {"cause": "brownout"}),
    ("Soft WDT reset", "reset", {"cause": "Soft WDT reset"}),
    ("Rebooting...", "reset", {"cause": "reboot"}),
    ("load 0x4010f000, len 1384, room 16", "reset", {}),
    ("~ld", "reset", {}),
    ("csum 0x2d", "reset", {}),
    ("chksum 0x2d", "reset", {}),
    ("v3de0c112", "reset", {}),
    ("Exception (0):", "crash", {"exception": 0}),
    ("epc1=0x40227b10 epc2=0x00000000 epc3=0x00000000 excvaddr=0x00000000 depc=0x00000000", "crash", {}),
    (">>>stack>>>", "crash", {}),
    ("ctx: sys", "crash", {}),
    ("sp: 3fffedb0 end: 3fffffb0 offset: 01a0", "crash", {}),
    ("3fffef50:  3ffe9058 40000f49 3fffdab0 40000f49", "crash", {}),
    ("Guru Meditation Error: Core 1 panic'ed (LoadProhibited). Exception was unhandled.", "crash", {"reason": "LoadProhibited"}),
    ("ELF file SHA256: 0000000000000000", "crash", {}),
    ("Backtrace: 0x4008889c:0x3ffbfac0 0x40088b19:0x3ffbfae0", "crash", {}),
    ("abort() was called at PC 0x4008 on core 1", "crash", {"reason": "abort() was called at PC 0x4008 on core 1"}),
    # modules
    ("OK+CONN", "ble-module", {"text": "OK+CONN"}),
    ("OK+LOST", "ble-module", {"text": "OK+LOST"}),
    ("AT version:1.1.0.0(May 11 2016 18:09:56)", "modem", {"text": "AT version:1.1.0.0(May 11 2016 18:09:56)"}),
    ("AT+CIPSEND=0,5", "modem", {"text": "AT+CIPSEND=0,5"}),
    ('+CIFSR:STAIP,"192.168.178.31"', "modem", {"text": '+CIFSR:STAIP,"192.168.178.31"'}),
    ("+IPD,0,5:hello", "modem", {"text": "+IPD,0,5:hello"}),
    ("SDK version:1.5.4(baaeaebb)", "modem", {"text": "SDK version:1.5.4(baaeaebb)"}),
    ("compile time:May 20 2016 15:06:44", "modem", {"text": "compile time:May 20 2016 15:06:44"}),
    ("Ai-Thinker Technology Co. Ltd.", "modem", {"text": "Ai-Thinker Technology Co. Ltd."}),
    ("Jun 13 2016 11:29:20", "modem", {"text": "Jun 13 2016 11:29:20"}),
    ("OK", "modem", {"text": "OK"}),
    ("ERROR", "modem", {"text": "ERROR"}),
    ("SEND OK", "modem", {"text": "SEND OK"}),
    ("busy p...", "modem", {"text": "busy p..."}),
    ("ALREADY CONNECTED", "modem", {"text": "ALREADY CONNECTED"}),
    ("+CME ERROR: 10", "modem", {"text": "+CME ERROR: 10"}),
    # names
    (
        "Error: getaddrinfo ENOTFOUND blynk-cloud.com blynk-cloud.com:80",
        "dns-failure",
        {"host": "blynk-cloud.com"},
    ),
    ("getaddrinfo EAI_AGAIN blynk.cloud", "dns-failure", {"host": "blynk.cloud"}),
    ("socket.gaierror: [Errno -2] Name or service not known", "dns-failure", {}),
    ("[ERROR]: Connection with the Blynk server failed: [Errno -2] Name or service not known", "dns-failure", {}),
    ("OSError: -202", "dns-failure", {}),
    ("OSError: -2", "dns-failure", {}),
    ("DNS Failed for blynk-cloud.com", "dns-failure", {"host": "blynk-cloud.com"}),
    ("[E][WiFiGeneric.cpp:739] hostByName(): DNS Failed for blynk.cloud", "dns-failure", {"host": "blynk.cloud"}),
    ("nslookup: can't find 'blynk-cloud.com'", "dns-failure", {"host": "blynk-cloud.com"}),
    ("** server can't find blynk-cloud.com: NXDOMAIN", "dns-failure", {"host": "blynk-cloud.com"}),
    ("curl: (6) Could not resolve host: blynk-cloud.com", "dns-failure", {"host": "blynk-cloud.com"}),
    # sockets
    ("Error: connect ECONNREFUSED 127.0.0.1:8080", "refused", {"host": "127.0.0.1", "port": 8080}),
    ("ConnectionRefusedError: [Errno 111] Connection refused", "refused", {}),
    ("OSError: [Errno 111] ECONNREFUSED", "refused", {}),
    (
        "curl: (7) Failed to connect to 172.17.0.2 port 8080: Connection refused",
        "refused",
        {"host": "172.17.0.2", "port": 8080},
    ),
    ("Error: connect ETIMEDOUT 1.2.3.4:443", "timeout", {"what": "connect", "host": "1.2.3.4", "port": 443}),
    ("socket.timeout: timed out", "timeout", {"what": "connect"}),
    ("TimeoutError: [Errno 110] Connection timed out", "timeout", {"what": "connect"}),
    ("OSError: [Errno 113] No route to host", "unreachable", {}),
    ("connect EHOSTUNREACH 192.168.1.9:8080", "unreachable", {"host": "192.168.1.9", "port": 8080}),
    ("Error: read ECONNRESET", "disconnected", {"reason": "ECONNRESET"}),
    ("ConnectionResetError: [Errno 104] Connection reset by peer", "disconnected", {"reason": "Connection reset by peer"}),
    ("java.io.IOException: Connection reset by peer", "disconnected", {"reason": "Connection reset by peer"}),
    # TLS
    (
        "ssl.SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1129)",
        "tls-error",
        {"reason": "WRONG_VERSION_NUMBER"},
    ),
    (
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self signed certificate (_ssl.c:1129)",
        "certificate-error",
        {"reason": "self signed certificate"},
    ),
    ("Error: self signed certificate", "certificate-error", {"reason": "self signed certificate"}),
    ("code: 'CERT_HAS_EXPIRED'", "certificate-error", {"reason": "CERT_HAS_EXPIRED"}),
    ("mbedtls_ssl_handshake returned -0x7780", "tls-error", {"reason": "-0x7780"}),
    ("mbedtls_ssl_handshake returned -0x2700", "certificate-error", {}),
    (
        "[E][ssl_client.cpp:37] _handle_error(): [start_ssl_client():273]: (-9984) X509 - Certificate verification failed",
        "certificate-error",
        {"reason": "X509 - Certificate verification failed"},
    ),
    (
        "[E][ssl_client.cpp:37] _handle_error(): [start_ssl_client():273]: (-29184) SSL - An invalid SSL record was received",
        "tls-error",
        {"reason": "SSL - An invalid SSL record was received"},
    ),
    ("[E][WiFiClientSecure.cpp:144] connect(): start_ssl_client: -1", "tls-error", {"code": -1}),
    ("OSError: -29312", "tls-error", {"code": -29312}),
    ("BearSSL error: 62", "certificate-error", {"code": 62}),
    ("Fingerprint did not match!", "certificate-error", {"reason": "Fingerprint did not match"}),
    ("Certificate not validated", "certificate-error", {"reason": "Certificate not validated"}),
    ("Alert: handshake failure", "tls-error", {"reason": "Alert: handshake failure"}),
    ("SSL not authorized", "certificate-error", {"reason": "SSL not authorized"}),
    ("Connect: SSL Context Error:", "tls-error", {"reason": "Connect: SSL Context Error:"}),
    (
        "javax.net.ssl.SSLHandshakeException: PKIX path building failed",
        "certificate-error",
        {"reason": "PKIX path building failed"},
    ),
    ("javax.net.ssl.SSLException: Received fatal alert: unknown_ca", "tls-error", {"reason": "fatal alert: unknown_ca"}),
    ("please start sntp first !", "certificate-error", {"reason": "please start sntp first"}),
    ("Websocket Error: Unexpected server response: 404", "http", {"status": 404}),
    ("Failed to enable MUX", "error", {"text": "Failed to enable MUX"}),
    ("Traceback (most recent call last):", "error", {"text": "Traceback (most recent call last):"}),
    ("Invalid Content-Type: text/html", "ota", {"status": "failed", "reason": "Invalid Content-Type: text/html"}),
    ("java.net.UnknownHostException: blynk-cloud.com", "dns-failure", {"host": "blynk-cloud.com"}),
    ("java.net.ConnectException: Connection refused", "refused", {}),
    ("Websocket Error: connect ECONNREFUSED 127.0.0.1:8080", "refused", {"host": "127.0.0.1", "port": 8080}),
    ("From 192.168.1.5 icmp_seq=1 Destination Host Unreachable", "unreachable", {}),
    ("Request timed out.", "timeout", {"what": "connect"}),
    ("device.spark.io=54.221.65.123 0", "particle", {"ip": "54.221.65.123", "host": "device.spark.io"}),
    # gateways
    (
        "2021/07/25 10:20:24 socat[70011] E SSL_connect(): error:1416F086:SSL routines:"
        "tls_process_server_certificate:certificate verify failed",
        "certificate-error",
        {"reason": "certificate verify failed"},
    ),
    ("2016/03/18 09:01:46 socat[3101] N socket 2 (fd 6) is at EOF", "eof", {}),
    ("socat[3101] N starting data transfer loop with FDs [5,5] and [6,6]", "gateway", {"program": "socat"}),
    ("socat[3101] N exiting with status 0", "gateway", {"program": "socat"}),
    ("socat[3101] E connect(5, AF=2 127.0.0.1:8442, 16): Connection refused", "refused", {"host": "127.0.0.1", "port": 8442}),
    ("Reconnecting in 3s...", "reconnecting", {"seconds": 3}),
    ("Reconnect ### in 5 seconds...", "reconnecting", {"seconds": 5}),
    (
        "Connecting: GOPEN:/dev/tty.usbmodem1411,raw,echo=0 <-> openssl-connect:blynk-cloud.com:443,cafile=/x,nodelay",
        "gateway",
        {"program": "blynk-ser", "host": "blynk-cloud.com", "port": 443},
    ),
    (
        "Connecting device at COM6 to blynk-cloud.com:80",
        "gateway",
        {"program": "blynk-ser", "device": "COM6", "host": "blynk-cloud.com", "port": 80},
    ),
    ('OpenC0C("\\.\\COM6", baud=9600, data=8, parity=no, stop=1) - OK', "gateway", {"program": "com2tcp"}),
    (
        "Connect(“blynk-cloud.com”, “80”) - OK",
        "gateway",
        {"program": "com2tcp", "host": "blynk-cloud.com", "port": 80, "result": "OK"},
    ),
    ("InOut() START", "gateway", {"program": "com2tcp"}),
    ("DSR is OFF", "gateway", {"program": "com2tcp", "line": "DSR", "level": "OFF"}),
    # HTTP and curl
    ("HTTP/1.1 500 Internal Server Error", "http", {"status": 500}),
    ("< HTTP/1.1 404 Not Found", "http", {"status": 404}),
    ("> POST /admin/ota/start HTTP/1.1", "http", {"method": "POST", "url": "/admin/ota/start"}),
    (
        "root@host:/data# curl -v -F file=Project.ino.adafruit.bin --insecure -u a:b https://192.168.1.2:9443/admin/ota/start",
        "upload",
        {"file": "Project.ino.adafruit.bin", "multipart_without_file": True},
    ),
    (
        "curl -v -F file=@Template.bin --insecure https://localhost:9443/admin/ota/start",
        "upload",
        {"file": "Template.bin", "multipart_without_file": False},
    ),
    # the server
    (
        "TRACE- Hardware channel disconnect for UserKey{email='someone....', appName='Blynk'}, dashId ..., deviceId 0",
        "server",
        {"event": "disconnect"},
    ),
    ("TRACE- Changing device status. DeviceId 0, dashId 812200471", "server", {"event": "status"}),
    ("TRACE- Blynk protocol connection detected.", "server", {"event": "accepted", "protocol": "Blynk"}),
    ("DEBUG- completeLogin. [id: 0x51c2b7aa, L:/10.1.1.1:9444 - R:/10.1.1.22:55104]", "server", {"event": "login"}),
    ("INFO - someone... hardware joined.", "server", {"event": "joined", "client": "hardware"}),
    (
        "ERROR- Error invoking handler. Reason : Can't find field..",
        "server",
        {"event": "handler-error", "reason": "Can't find field.."},
    ),
    # Particle
    ("device.spark.io=54.221.65.123", "particle", {"ip": "54.221.65.123", "host": "device.spark.io"}),
    ("0000009436:ERROR: int SparkProtocol::handshake() (108):Handshake: Unable to receive key -19", "particle", {"step": "key", "code": -19}),
    ("0000009437:WARN : void handle_cloud_connection(bool) (268):Cloud handshake failed, code=-19", "particle", {"code": -19}),
    ("(792):Socket 0 receive bytes 40 of 40", "particle", {"step": "nonce", "read": 40}),
    ("(1002):Write 256 bytes to socket 536895672 result=0", "particle", {"step": "key", "written": 256}),
    ("handshake: read 40", "particle", {"step": "nonce", "read": 40}),
    ("handshake: sent 256", "particle", {"step": "key", "written": 256}),
    (r"D:\Dir2\tests>particle keys doctor DEVICE_ID", "particle", {"says": "particle keys doctor"}),
    ("New Key Created!", "particle", {"says": "New Key Created!"}),
    ("Error saving key to device…", "particle", {"says": "Error saving key to device"}),
]  # fmt: skip

NOTHING = [
    "",
    "x",
    "sending",
    "blink wait",
    "Sync called here.....................",
    "EVT V1=a",
    "Temperature: 21.5",
    "I am connecting to my server and it works",
    "Is there a way to reconnect in software?",
    "Make sure your device has an invalid token first, said nobody",
    "The packet was too big: what now",
    "That's OK with me",
    "It is ready to go",
    "an ERROR was seen",
    "We sent 5/15 letters",
    "The device disconnected again",
    "IP addresses are cool",
    "STA_SUCCESS= const(200)",
    "Not tested",
    "How often can this happen in the field?",
    "the Cloud is grey",
    "I had not tried “particle keys server”",
    "Value => other",
    "a => b",
    "curl up and read",
    "curl -F name=value http://example.com",
    "3 apples: 40000001 is a number",
    "deadbeef",
    "OKAY+CONN",
    "+1 for that",
    "  > _ )/ /_ _____  / /__",
    "/____/_/\\_, /_//_/_/\\_\\",
]


@pytest.mark.parametrize(("text", "kind", "facts"), LINES, ids=[text.strip()[:60] for text, _, _ in LINES])
def test_lines(text: str, kind: str, facts: dict[str, Any]) -> None:
    told = known.told(text)
    assert told is not None
    assert (told.kind, told.facts) == (kind, facts)


@pytest.mark.parametrize("text", NOTHING)
def test_near_misses(text: str) -> None:
    assert known.told(text) is None


def test_one_line_with_a_whole_handshake() -> None:
    told = known.told(
        "ping addr 8.8.8.8=1 device.spark.io=54.221.65.123 0000009126:INFO : int determine_connection_address() (803):"
        "Resolved host device.spark.io to 52.90.147.116 0000009308:DEBUG: int read_packet_and_dispose() (792):Socket 0"
        " receive bytes 40 of 40 0000009345:DEBUG: sock_result_t socket_send() (1002):Write 256 bytes to socket 1 result=0"
        " 0000009436:ERROR: int SparkProtocol::handshake() (108):Handshake: Unable to receive key -19"
        " 0000009437:WARN : void handle_cloud_connection(bool) (268):Cloud handshake failed, code=-19"
    )
    assert told is not None
    assert told.kind == "particle"
    assert told.facts == {
        "ip": "54.221.65.123", "host": "device.spark.io", "read": 40, "written": 256, "step": "key", "code": -19
    }  # fmt: skip


def test_passwords_are_masked() -> None:
    told = known.told("WiFi SSID: attic Pass: hunter2 and more")
    assert told is not None
    assert told.facts == {"ssid": "attic"}
    assert "hunter2" not in told.text
    told = known.told(
        "curl -v -F file=@a.bin --insecure -u admin@example.com:hunter2 https://localhost:9443/admin/ota/start"
    )
    assert told is not None
    assert "hunter2" not in told.text
    assert told.text.endswith("-u *** https://localhost:9443/admin/ota/start")


def test_numbers_that_no_integer_holds() -> None:
    told = known.told("Packet too big: " + "9" * 5000)
    assert told is not None
    assert isinstance(told.facts["size"], int)
    assert known.told("Connecting to example.com:99999").facts == {"host": "example.com"}  # type: ignore[union-attr]


@given(st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    known.told(text)


@given(st.sampled_from(LINES), st.text(max_size=40))
def test_more_text_behind_never_raises(line: tuple[str, str, dict[str, Any]], more: str) -> None:
    known.told(line[0] + more)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", ["a", " ", "/", "connect ", "SSL ", "socat[1] N ", "handshake ", "curl -F ", "\"", "3ffe9058 ", "(", "timeout "])  # fmt: skip
def test_long_lines_take_linear_time(unit: str) -> None:
    for front in (
        "",
        "Connecting to ",
        "ECONNREFUSED ETIMEDOUT ENOTFOUND mbedtls MBEDTLS_ERR ",
        "socat[",
        "curl ",
        "/___/ v1",
        "SSL_connect() certificate verify failed ",
    ):
        known.told(front + unit * 100_000)
