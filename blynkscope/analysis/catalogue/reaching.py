"""BS1xx: reaching the server."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

RULES: tuple[Rule, ...] = (
    Rule(
        "BS101",
        "connection-refused",
        Severity.ERROR,
        "connection",
        "The connection was refused",
        "The machine is there and answers, but no program listens on that port (or a firewall answers in its place). "
        "Nothing of the Blynk protocol was spoken: token, template and library are not to blame.",
        "Check the port: legacy servers take devices on 8080 (plain) and 9443 (TLS), before 2018 on 8442 and 8441; "
        "Blynk IoT on 80 and 443. On a server of your own see that it runs (`ss -ltnp`), that its container publishes "
        "the port (`docker run -p 8080:8080 -p 9443:9443`) and that the firewall lets it through.",
        "ports",
    ),
    Rule(
        "BS102",
        "connection-unanswered",
        Severity.ERROR,
        "connection",
        "No one answered the connection request",
        "The SYN got no answer at all, not even a refusal. The address is wrong or unreachable from where the device "
        "is, or a firewall, a router or the mobile carrier drops the packets in silence.",
        "Try the same host and port from a computer in the same network (`nc -vz HOST PORT`). Check that the "
        "address is not one of another private network (10.x, 172.16-31.x, 192.168.x), that gateway and subnet of the "
        "device are right, and with a SIM card that the APN allows this port; port 80 or 443 passes most firewalls.",
        "ports",
    ),
    Rule(
        "BS103",
        "connection-reset",
        Severity.WARNING,
        "connection",
        "The connection was reset",
        "One side threw the connection away instead of closing it: what was on its way is lost. A server does so when "
        "its program was stopped or gave the client up; a device when it restarted or its library called abort; "
        "routers and carriers when they forgot an idle connection.",
        "Look at what came right before it. After minutes of silence: let the device send more often than the router "
        "forgets (a heartbeat of 10 to 45 s). At random: check the device's power supply and its Wi-Fi signal. By the "
        "server: look at its log at this time.",
        "timing and limits",
    ),
    Rule(
        "BS104",
        "dns-failure",
        Severity.ERROR,
        "connection",
        "The name of the server could not be resolved",
        "Before it can connect, the device asks a DNS server for the address of the host. Without one there is no "
        "connection, and libraries only print that connecting failed. GSM modules and boards with a static IP often "
        "have no working DNS server.",
        "Give the device a DNS server that works: with WiFi.config(ip, gateway, subnet, dns) pass the fourth argument "
        "(8.8.8.8), with a modem set it (AT+CDNSCFG, AT+CIPDNS). Check the spelling of the host. For Blynk IoT it is "
        "blynk.cloud, or that of a region: fra1.blynk.cloud, lon1.blynk.cloud, ny3.blynk.cloud, sgp1.blynk.cloud, "
        "blr1.blynk.cloud.",
        "host names",
    ),
    Rule(
        "BS105",
        "legacy-host",
        Severity.WARNING,
        "connection",
        "The device goes to the legacy cloud",
        "blynk-cloud.com, and cloud.blynk.cc before it, is the legacy cloud. It was shut down, and it never knew a "
        "token of Blynk IoT. Old libraries and examples have its name built in.",
        "For Blynk IoT update the library to 1.0 or later, put BLYNK_TEMPLATE_ID, BLYNK_TEMPLATE_NAME and the "
        'device\'s token into the sketch, and connect to blynk.cloud (Blynk.begin(auth, ssid, pass, "blynk.cloud", '
        "80)). For a server of your own give its host and port to Blynk.begin.",
        "host names",
    ),
    Rule(
        "BS106",
        "tls-on-plain-port",
        Severity.ERROR,
        "connection",
        "TLS on a port that does not speak it",
        "The device begins with a TLS ClientHello, and the port speaks plain Blynk or HTTP. A Blynk server reads the "
        "first byte, 0x16, as command 22 and hangs up without an answer; a web server answers with plain text.",
        "Use the TLS port: 443 for Blynk IoT, 9443 for a server of your own. Or drop TLS: BlynkSimpleEsp8266.h in "
        "place of BlynkSimpleEsp8266_SSL.h, WiFiClient in place of WiFiClientSecure, `insecure=True` in the Python "
        "library, with port 80 (Blynk IoT) or 8080.",
        "other protocols",
    ),
    Rule(
        "BS107",
        "plain-on-tls-port",
        Severity.ERROR,
        "connection",
        "Plain bytes on a TLS port",
        "The device speaks without TLS to a port that expects a TLS handshake. The server takes the bytes for a "
        "broken handshake: it closes, sends a TLS alert, or a web server in front of it answers 400.",
        "Use the plain port, 80 for Blynk IoT and 8080 for a server of your own, or a library with TLS on 443 or 9443 "
        "(BlynkSimpleEsp8266_SSL.h, BlynkSimpleEsp32_SSL.h).",
        "ports",
    ),
    Rule(
        "BS108",
        "tls-record-as-frame",
        Severity.ERROR,
        "connection",
        "A TLS record is read as a Blynk frame",
        "The program asked for TLS but reads the socket underneath it, so that it sees encrypted records. The header "
        "of a TLS record has five bytes as that of a Blynk frame has: type, version, length. Read as command, id and "
        'length they give "command 23, id 771", and 23 looks like a status. No table of Blynk codes explains them.',
        "Read from the wrapped socket, not from the one underneath: conn = ssl.wrap_socket(sock, "
        "server_hostname=host), then conn.read and conn.write everywhere (ussl on MicroPython; the modem's own SSL "
        "sockets, such as AT+QSSLOPEN, on a cellular module). Or connect without TLS to port 80 (Blynk IoT) or 8080 "
        "until that works.",
        "other protocols",
    ),
    Rule(
        "BS109",
        "tls-alert",
        Severity.ERROR,
        "connection",
        "The TLS connection ended with an alert",
        "One side refused to go on and said why; the name of the alert is the reason. It is sent before any byte of "
        "Blynk, so the token plays no part in it.",
        "Act by the name of the alert: unknown_ca and bad_certificate need the right root certificate in the "
        "firmware, certificate_expired the right time on the device, protocol_version a newer TLS library, "
        "unrecognized_name the right host name. `blynkscope probe HOST:PORT` shows what the server takes.",
        "TLS alerts",
    ),
    Rule(
        "BS110",
        "no-common-cipher",
        Severity.ERROR,
        "connection",
        "Client and server found no TLS parameters in common",
        "The ClientHello lists the cipher suites, curves and versions that the client can use. The server took none "
        "of them: it answered with handshake_failure or closed without a ServerHello. Modems and old board packages "
        "often have only RSA key exchange, 3DES or TLS 1.0.",
        "Compare with what the server takes (`blynkscope probe HOST:PORT --suites LIST`): usually TLS 1.2 with "
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256. Update the board package or the firmware of the modem, choose the "
        'suites there (AT+QSSLCFG="ciphersuite",1,0xFFFF), or use the plain port.',
        "TLS alerts",
    ),
    Rule(
        "BS111",
        "other-protocol",
        Severity.ERROR,
        "connection",
        "Another protocol where Blynk is expected",
        "One side does not speak the Blynk device protocol on this connection, and the other does not understand it. "
        "So the port leads to another service, or the client is made for another protocol.",
        "Check host and port on both sides: devices speak on 80, 443, 8080 and 9443; MQTT of Blynk IoT is on 1883 and "
        "8883 (legacy servers have none), HTTP is for the REST API. A reverse proxy must pass the connection through "
        "as it is, not as HTTP.",
        "other protocols",
    ),
    Rule(
        "BS112",
        "wrong-websocket-path",
        Severity.ERROR,
        "connection",
        "The WebSocket path is not one of Blynk's",
        "A server speaks the device protocol over WebSocket on /websockets alone, and the web dashboard on /dashws. "
        "An upgrade on another path, as /websocket without the s, gets no answer: the client hangs until it gives up.",
        "Connect to ws://HOST:8080/websockets or wss://HOST:9443/websockets (Blynk IoT: wss://blynk.cloud/websockets).",
        "message framing",
    ),
    Rule(
        "BS113",
        "write-blocked",
        Severity.ERROR,
        "connection",
        "The device could not send",
        'The library handed bytes to its network module and not all of them were taken: it prints "Cmd error", or '
        '"Sent 5/15". An AT module that never accepts AT+CIPSEND, a modem whose connection is gone, or a send buffer '
        "that is too small is the reason. What the log shows as sent did not leave the device.",
        "AT modules: use a firmware of version 1.0 or later, 9600 baud on SoftwareSerial or a hardware serial port, "
        "and a supply that holds 3.3 V at 300 mA. Modems: check signal and APN, and close the connection before "
        "connecting again. Long first messages: send less (`#define BLYNK_MAX_SENDBYTES 128`, fewer pins at once).",
        "log notations",
    ),
    Rule(
        "BS114",
        "module-text",
        Severity.ERROR,
        "connection",
        "Text of a module or of the sketch is inside the Blynk stream",
        "Blynk frames and text share one serial line. Each character of the text is read as part of a header, which "
        'shifts everything behind it: "OK+CONN" makes 0x434F ("CO") a length, hence "Packet too big: 17231". The '
        "errors that follow are the same data read from the wrong place.",
        "HM-10 and its clones: send AT+NOTI0 once, which turns the notifications off. AT modems: turn off echo (ATE0) "
        "and unsolicited messages. Prints of the sketch: use another serial port than Blynk's (`#define BLYNK_PRINT` "
        "and Serial.print on Serial, Blynk on Serial1 or SoftwareSerial).",
        "text of serial modules",
    ),
    Rule(
        "BS115",
        "not-blynk-data",
        Severity.ERROR,
        "connection",
        "Data of another kind on the Blynk connection",
        "The receiver takes what is not made of Blynk frames for frames: letters and digits are read as command, id "
        "and length, so it reports packets that are too big and types that do not exist. Own data (CSV, JSON, text) "
        "does not belong on the connection, the Bluetooth service or the serial line that Blynk uses.",
        "Send values with Blynk.virtualWrite, and your own data over another BLE service (another UUID), another "
        "socket or another serial port.",
        "other protocols",
    ),
    Rule(
        "BS116",
        "gateway-silent",
        Severity.WARNING,
        "connection",
        "The gateway is up, and the device behind it says nothing",
        "A serial gateway (blynk-ser, com2tcp, socat) passes bytes between a serial port and the server. It is "
        "connected on both sides, but no frame came from the device. The port is open whatever is plugged in, so an "
        "open port proves nothing; DSR OFF only says that the other end does not raise that line, as most USB adapters "
        "do not.",
        "Check that the sketch uses the stream that this port is (Blynk.begin(Serial, auth)), that the baud rate is "
        "the same on both sides (Serial.begin(9600) with baud 9600), that no serial monitor has the port open, and "
        "that the sketch prints nothing on it. Reset the board: a login must show within a second.",
        "log notations",
    ),
    Rule(
        "BS117",
        "network-down",
        Severity.ERROR,
        "connection",
        "The board did not get onto its network",
        "Before Blynk can connect, the board needs its network: the module has to answer, and the Wi-Fi or mobile "
        "network to let it in. The log ends before that, so server, token and library are not to blame yet.",
        "Make the network work with the module's own example first (a ping, a web page), then add Blynk. The line that "
        "is quoted says how far it came.",
        "log notations",
    ),
    Rule(
        "BS118",
        "gateway-port",
        Severity.ERROR,
        "connection",
        "The gateway cannot open the serial port",
        "A serial gateway (blynk-ser, com2tcp, socat) did not get at the port of the device, so not a byte can pass. "
        "Another program has it open (the serial monitor of the IDE, a second copy of the script), the user may not "
        "use it, or the device is at another port.",
        "Close everything else that uses the port, and take the port that the system names for the board: `./"
        "blynk-ser.sh -c /dev/ttyACM0`, `blynk-ser.bat -c COM4`. On Linux the user must be in the group dialout "
        "(`sudo usermod -a -G dialout $USER`, then log in anew).",
        "log notations",
    ),
    Rule(
        "BS128",
        "server-name-needed",
        Severity.NOTE,
        "connection",
        "Without a server name the server answers otherwise",
        "A ClientHello can name the server that is meant (SNI). Many servers hold several certificates behind one "
        "address, and give another one, or none, to a client that names no server: one with an old TLS library or "
        "modem firmware, or one that connects by IP address.",
        "Connect by the host name, with a TLS library that sends it (server_hostname=HOST in MicroPython's ssl, on a "
        'Quectel modem AT+QSSLCFG="sni",1,1). On a server of your own make the right certificate the default one.',
        "TLS alerts",
    ),
)
