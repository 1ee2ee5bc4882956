"""Text of the Blynk libraries, of Edgent and of the legacy server, in all their versions."""

from __future__ import annotations

from blynkscope.wire.logs.rules import HOST, IP, PORT, rule

_END = r"[.!\s]*\Z"
_VERSION = r"(?P<version>\d{1,3}(?:\.\d{1,5}){1,3}[\w+.-]{0,20})"

CPP = (
    rule(
        "banner",
        " v",
        rf"[/_\\*\s|]{{0,40}}/[/_\\*\s|]{{0,40}}(?:for (?P<board>\w{{1,20}}) )?v{_VERSION}(?: on (?P<on"
        r">[^*]{1,60}))?[*\s]*(?:\([\w .-]{1,40}\))?\s*\Z",
    ),
    rule("banner", "Blynk v", rf"Blynk v{_VERSION}(?: on (?P<board>.{{1,60}}))?\Z"),
    rule("banner", " on ", rf"[/_\\\s]{{4,40}} {_VERSION} on (?P<board>.{{1,60}})\Z"),
    rule("ready", "Ready", r"Ready \(ping: ?(?P<ping_ms>\d{1,10}) ?ms\)"),
    rule(
        "ready",
        ("Ready", "Access granted", "Client logged", "Authorized"),
        rf"(?:Ready|Access granted(?:, happy Blynking)?|Client logged|Authorized){_END}",
    ),
    rule(
        "redirecting", "edirecting to", rf"(?:Connection r|R)edirecting to:?\s{{1,4}}(?:wss?://)?{HOST}(?: ?: ?{PORT})?"
    ),
    rule(
        "login-timeout",
        ("Login timeout", "Auth stage timeout", "authentication timed out"),
        r"(?:\[ERROR\]: |Error: )?(?:Login timeout|Auth stage timeout|Blynk authentication timed out)",
    ),
    rule(
        "heartbeat-timeout",
        "Heartbeat timeout",
        r"Heartbeat timeout(?:: ?(?P<now>\d{1,10}), ?(?P<last_in>\d{1,10}), ?(?P<last_beat>\d{1,10}))?",
    ),
    rule("ready", "Blynk ready", r"Blynk ready\b[.!]?(?: Ping: (?P<ping_ms>\d{1,8}) ms)?\s*\Z"),
    rule("heartbeat", "Heartbeat period = ", r"Heartbeat period = (?P<seconds>\d{1,6}) seconds"),
    rule("heartbeat-timeout", "server is offline", r"(?:\[ERROR\]: |Error: )?Blynk server is offline"),
    rule(
        "heartbeat", "Heartbeat = ", r"Heartbeat = (?P<seconds>\d{1,6}) sec\. MaxCmdBuffer = (?P<buffer>\d{1,8}) bytes"
    ),
    rule("packet-too-big", "Packet too big", r"Packet too big: ?(?P<size>\d{1,10})"),
    rule(
        "packet-too-big",
        ("Cmd too big", "Command too long"),
        r"(?:\[ERROR\]: )?(?:Cmd too big: {1,2}|Command too long\. Length = )(?P<size>\d{1,10})",
    ),
    rule("cmd-error", "Cmd error", rf"Cmd error{_END}"),
    rule("cmd-skipped", "Cmd skipped", r"Cmd skipped: ?(?P<cmd>\d{1,3})"),
    rule(
        "invalid-header-type",
        ("Invalid header type", "Unexpected command", "Invalid msg type"),
        r"(?:Invalid header type|Unexpected command|Invalid msg type): {1,2}(?P<type>\d{1,3})\b",
    ),
    rule("bad-header-length", "Bad hdr len", r"Bad hdr len: ?(?P<got>-?\d{1,10})"),
    rule("sent", "Sent ", rf"Sent (?P<sent>\d{{1,10}})/(?P<total>\d{{1,10}}){_END}"),
    rule(
        "invalid-token",
        ("nvalid ", "invalid_auth"),
        r"(?:\[ERROR\]: |Error: )?(?:Invalid [Aa]uth [Tt]oken|Invalid token"
        rf"|Execute Event: invalid_auth){_END}",
    ),
    rule("invalid-token", "INVALID_TOKEN", rf"(?:Could not login: |Response Error: |Error: )?INVALID_TOKEN{_END}"),
    rule(
        "already-registered",
        ("lready registered", "ALREADY_REGISTERED"),
        r"(?:\[ERROR\]: |Could not login: )?(?:User |Device )?(?:[Aa]lready registered"
        rf"|ALREADY_REGISTERED){_END}",
    ),
    rule(
        "auth-failed",
        ("Auth stage failed", "Connect failed", "Login failed"),
        r"(?:\[ERROR\]: )?(?:Auth stage failed\. Status=|Connect failed\. code: "
        r"|Login failed: \d{1,3}, \d{1,5}, )(?P<status>\d{1,5})",
    ),
    rule("auth-failed", "Not aut", rf"Not auth?enticated{_END}", status=5),
    rule(
        "auth-failed",
        ("Could not login", "authentication failed"),
        r"(?:Could not login: (?P<reason>[\w() ]{1,60})|(?:Error: )?Blynk authentication failed)",
    ),
    rule("free-ram", "Free RAM", r"Free RAM: ?(?P<bytes>\d{1,10})"),
    rule("ble-connect", "BLE", rf"BLE connect(?:ed)?{_END}"),
    rule("ble-disconnect", "BLE", rf"BLE disconnect(?:ed)?{_END}"),
    rule(
        "disconnected",
        ("isconnect", "onnection closed", "ocket closed"),
        r"(?:Blynk )?(?:Disconnected|disconnected|Disconnect blynk|(?:[Ww]eb)?[Ss]ocket closed"
        r"|Connection closed)(?:: ?(?:wss?://)?(?P<host>[\w.-]{1,253})(?::\d{1,5})?(?:/\S{0,200}"
        rf")?)?{_END}",
    ),
    rule(
        "error",
        ("Cmd not allowed", "Can't read body", "Can't read data", "flood-error", "TROUBLE", "Not connected"),
        r"(?P<text>Cmd not allowed.{0,100}|Can't read (?:body|data).{0,60}|TROUBLE detected.{0,200}"
        r"|.{0,60}flood-error.{0,60}|Not connected[.!]?\Z)",
    ),
    rule(
        "error",
        (
            "Connect WiFi failed",
            "Cannot init",
            "Failed to ",
            "ESP is not responding",
            "MemoryError",
            "ENOMEM",
            "Traceback",
        ),
        r"(?P<text>Connect WiFi failed|Cannot init\b.{0,60}|Failed to (?:enable MUX|disable Echo|set STA mode"
        r"|start WiFi|init|join|connect WiFi|configure Static IP)\b.{0,60}|ESP is not responding"
        r"|Traceback \(most recent call last\):|MemoryError\b.{0,80}|OSError: \[Errno 12\] ENOMEM)",
    ),
    rule("error", "Response status", r"(?P<text>Response status: (?!200\b)\d{1,5})"),
    rule("error", ("BT: ", "BLE"), r"(?P<text>(?:BT|BLE\w{0,30}): .{0,80}?[Ff]ailed.{0,80})"),
    rule(
        "error",
        ("Invalid pin", "Invalid HW cmd", "Invalid internal cmd", "Invalid INTERNAL", "Invalid cmd"),
        r"(?P<text>Invalid (?:pin|HW cmd|internal cmd|INTERNAL cmd|cmd)\b.{0,200})",
    ),
    rule(
        "error",
        (
            "essage too long",
            "Response Error",
            "invalid msg",
            "Unknown message type",
            "parse error",
            "eartbeat stage",
            "heartbeat returned",
            "ommands in a single",
        ),
        r"(?:\[ERROR\]: |Error: )?(?P<text>(?:ERROR sendMsg - |Message too long|Response Error: "
        r"|[Ii]nvalid msg[ _]id|[Uu]nknown message type|Message parse error|Heartbeat stage timeout"
        r"|Set heartbeat returned|Too (?:many )?Blynk commands in a single).{0,200})",
    ),
    rule(
        "wifi",
        "WiFi",
        r"(?:Connecting to WiFi: ?(?P<ssid>.{1,64})|Connected to WiFi(?:[:,]? .{0,80})?"
        r"|connected to WiFi!?|WiFi connected[.!]?|[Cc]onnecting to WiFi(?:\.{3})?)\s*\Z",
    ),
    rule(
        "wifi",
        ("Connecting to network", "Connected to network", "WiFi SSID"),
        r"(?:Connect(?:ing|ed) to network[.\s]*\Z|WiFi SSID: ?(?P<ssid>.{1,64}?)(?: Pass: .{0,80})?\Z)",
    ),
    rule("ip", "IP", rf"(?:My IP|Your IP is|Local IP|IP(?: address)?|Using (?:Static|Dynamic) IP)(?:: ?|=| )\s*{IP}"),
    rule("ip", "IP:", r"(?:My )?IP:\s*\Z"),
    rule("ip", "localIP=", rf"localIP={IP}"),
    rule(
        "connected",
        ("onnected", "onnection ", "Certificate OK"),
        r"(?:Certificate OK|Connected(?:, authorized)?|Connected to (?:the )?(?:[Bb]lynk )?server|Blynk connected"
        r"|Blynk connection socket created"
        r"|Blynk connection successful, authenticating[.]{3}|Socket Status: (?:CONN "
        rf"|Socket )?Connection Established){_END}",
    ),
    rule("connecting", "onnect", r"[Cc]onnecting(?: to(?: (?:the )?(?:[Bb]lynk )?(?:server|cloud))?)?[ .\u2026]*\Z"),
    rule(
        "connecting",
        ("onnecting to ", "onnecting to:", "onnect: Server", "onnecting: "),
        r"(?:SSL: |TCP: )?[Cc]onnect(?:ing)?(?: to (?:TCP|SSL|TLS):| to:?"
        rf"|: Server:) ?[\"\u201c]?(?!DB[ .\u2026]*\Z){HOST}[\"\u201d]?(?:(?:: ?| : Port: [\"\u201c]?"
        rf"| port ){PORT}[\"\u201d]?|[ ](?P<port2>\d{{2,5}}))?[ .\u2026]*\Z",
    ),
    rule("connecting", "onnecting to ", r"[Cc]onnecting to (?!DB[ .\u2026]*\Z)(?P<host>[^:]{1,64}?)[ .\u2026]*\Z"),
    rule(
        "connecting",
        "connection: ws",
        rf"Start (?:### )?(?:secure )?connection: wss?://{HOST}(?::{PORT})?(?P<path>(?!/websockets\b)/\S{{0,80}})?",
    ),
    rule("connecting", "TLS connection: ", rf"Start TLS connection: {HOST}(?::{PORT})?"),
    rule("eof", "Socket end: ", rf"Socket end: {HOST}"),
)

EDGENT = (
    rule("state", "=>", r"(?P<from>[A-Z][A-Z_]{2,30}) => (?P<to>[A-Z][A-Z_]{2,30})\Z"),
    rule("ota", "Firmware update URL", r"Firmware update URL: ?(?P<url>\S{1,1000})"),
    rule("ota", "/static/", r"(?:[^\n]{0,40}?[ :=])?(?P<url>https?://[\w.:-]{1,253}/static/(?:fw_|ota_)\S{1,1000})"),
    rule(
        "ota",
        "Firmware update failed",
        r"Firmware update failed(?: \(error (?P<code>-?\d{1,6})\))?:? ?(?P<reason>.{0,200})",
        status="failed",
    ),
    rule(
        "ota",
        ("Firmware update: OK", "Update success", "Update Success"),
        r"(?:=== )?(?:Firmware update: OK|Update [Ss]uccess(?:fully completed)?)",
        status="ok",
    ),
    rule("ota", "No firmware updates", r"No firmware updates available", status="none"),
    rule(
        "ota",
        ("OTA written", "HTTP response should be 200", "Content-Length not", "Not enough space", "Update failed"),
        r"(?:(?P<reason>OTA written (?P<written>\d{1,10}) / (?P<total>\d{1,10}) bytes"
        r"|HTTP response should be 200|Content-Length not (?:defined|set).{0,40}"
        r"|Not enough space.{0,60})|Update failed)",
        status="failed",
    ),
    rule(
        "ota",
        ("Content-Type", "no content in the response"),
        r"(?P<reason>(?:Invalid|Wrong|Unexpected|Bad|Unsupported) Content-Type\b.{0,80}"
        r"|There was no content in the response)",
        status="failed",
    ),
    rule(
        "ota",
        ("OTA failed", "OTA error", "Error #", "MD5 Check Failed", "Wrong Magic Byte"),
        r"(?:(?:OTA (?:failed|error):? ?(?P<reason>.{0,200}))|Error #(?P<code>\d{1,3})\Z"
        r"|ERROR\[\d{1,3}\]: (?:MD5 Check Failed|Wrong Magic Byte).{0,80})",
        status="failed",
    ),
    rule("ota", ("OTA started", "Starting OTA", "OTA..."), r"(?:OTA started|Starting OTA|OTA\.\.\.)", status="started"),
    rule("reset", "Restarting after error", r"Restarting after error", cause="after an error"),
    rule("timeout", "Timeout", r"Timeout[.!]?\Z", what="connect"),
)

SERVER = (
    rule(
        "server",
        "channel disconnect",
        r".{0,200}?\b(?:Hardware|App|Application|Http|Web)\w* channel disconnect",
        event="disconnect",
    ),
    rule(
        "server",
        ("disconnect", "timeout"),
        r".{0,60}?(?:Hardware|App|Application)\w* (?:idle|timeout|timed out)[\w ]{0,20}disconnect",
        event="idle-disconnect",
    ),
    rule("server", "was inactive", r"Channel was inactive for a long period", event="idle-disconnect"),
    rule(
        "server",
        "Input command is invalid",
        r"Input command is invalid\. Closing socket\. Reason:? (?P<reason>.{0,200})",
        event="unsupported-command",
    ),
    rule(
        "server",
        ("Connecting to DB", "onnected to database"),
        r"Connect(?:ing to DB|ed to database)\b",
        event="database",
    ),
    rule("server", "Changing device status", r"Changing device status\b", event="status"),
    rule(
        "server",
        "protocol connection detected",
        r"(?P<protocol>[\w ]{1,40}) protocol connection detected",
        event="accepted",
    ),
    rule("server", "completeLogin", r"completeLogin\b", event="login"),
    rule("server", "Connected device id", r"Connected device id \d", event="device"),
    rule("server", " joined", r"[^\n]{1,200}? (?P<client>hardware|app|\w{1,20}) joined\.?\Z", event="joined"),
    rule("server", "Re registering", r"Re registering (?:hard|app)\w* channel", event="registered"),
    rule(
        "server",
        "Error invoking handler",
        r"Error invoking handler\. Reason ?: ?(?P<reason>.{0,200})",
        event="handler-error",
    ),
    rule("server", "Look like you are trying", r"Look like you are trying to connect with IPv6", event="admin-address"),
    rule(
        "server",
        "successfully started",
        r"Blynk Server (?:(?P<version>[\d.]{1,12}) )?successfully started",
        event="started",
    ),
    rule(
        "server",
        ("quota", "Quota"),
        r".{0,80}?(?:[Qq]uota (?:limit )?(?:reached|exceeded|violation)|exceeded .{0,40}quota)",
        event="quota",
    ),
    rule(
        "invalid-token",
        "oken",
        r".{0,80}?(?:Requested token \S{1,80} not found\.?\Z"
        r"|[Tt]oken is invalid|[Ii]nvalid token\b|Device token is invalid)(?: for|\. Token"
        r"|:|\.|\Z)",
    ),
    rule(
        "tls-error",
        ("nsecured connection attempt", "ot secure connection attempt", "not an SSL/TLS record"),
        r"(?:.{0,200}?\b(?P<reason>not an SSL/TLS record(?:: [0-9a-f]{2,10})?)"
        r"|.{0,200}?(?P<why>[Ff]atal alert: \w{1,40})"
        r"|(?:WARNING\. )?(?:Unsecured|Not secure) connection attempt)",
    ),
    rule(
        "server",
        ("Address already in use", "BindException"),
        r".{0,120}?(?:BindException|Address already in use)",
        event="port-in-use",
    ),
)
