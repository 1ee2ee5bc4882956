"""Text of boards and modules beneath the library: boot loaders, crashes, AT modems, BLE modules."""

from __future__ import annotations

from blynkscope.wire.logs.rules import HOST, PORT, rule

RESET = (
    rule("reset", "rst cause", r"[^\n]{0,40}?ets [A-Z][a-z]{2} {1,2}\d{1,2} \d{4},rst cause: ?(?P<cause>\d{1,2})"),
    rule("reset", "rst:0x", r"[^\n]{0,80}?rst:0x[0-9a-fA-F]{1,2} \((?P<cause>\w{1,40})\)"),
    rule("reset", "ets ", r"[^\n]{0,20}?ets [A-Z][a-z]{2} {1,2}\d{1,2} \d{4}"),
    rule("reset", ("rownout", "BROWNOUT"), r"[^\n]{0,40}?[Bb]rownout detector was triggered", cause="brownout"),
    rule(
        "reset",
        ("WDT", "wdt", "watchdog"),
        r"(?:E \(\d{1,10}\) )?(?P<cause>Soft WDT reset|wdt reset|Task watchdog got triggered"
        r"|task_wdt: .{0,80}|Interrupt wdt timeout.{0,60})",
    ),
    rule("reset", ("Rebooting", "Restarting"), r"(?:Rebooting|Restarting)[.\u2026]*\Z", cause="reboot"),
    rule(
        "reset",
        ("load", "tail", "csum", "chksum", "~ld", "entry", "configsip", "clk_drv", "mode:D", "mode:Q", "SPIWP"),
        r"(?:load ?:?0x[0-9a-fA-F]{8}, ?len[: ]\d{1,8}|tail \d{1,4}\Z|ch?k?sum 0x[0-9a-fA-F]{2}\Z"
        r"|~ld\Z|entry 0x[0-9a-fA-F]{8}|configsip: \d|clk_drv:0x|mode:[DQ]\w{1,3}, clock div)",
    ),
    rule("reset", "v", r"v[0-9a-f]{8}\Z"),
)

CRASH = (
    rule("crash", "Exception (", r"(?:Fatal )?Exception \((?P<exception>\d{1,2})\):"),
    rule("crash", "Fatal exception", r"Fatal exception[ (](?P<exception>\d{1,2})"),
    rule(
        "crash",
        "Guru Meditation",
        r"[^\n]{0,40}?Guru Meditation Error(?:: Core +\d panic'ed \((?P<reason>[^)\n]{1,60})\))?",
    ),
    rule("crash", ("epc1=", "excvaddr=", "EXCVADDR"), r"[^\n]{0,60}?(?:epc1=0x|excvaddr=0x|EXCVADDR ?: ?0x)"),
    rule("crash", ("stack>>>", "stack<<<"), r"[<>]{3}stack[<>]{3}"),
    rule("crash", ("ctx: ", "sp: "), r"(?:ctx: (?:sys|cont|bearssl)\b|sp: [0-9a-f]{8} end: )"),
    rule("crash", ("3ff", "3fc", "400", "401", "402"), r"(?:3f|40)[0-9a-f]{6}: {1,3}[0-9a-f]{8}(?: [0-9a-f]{8})"),
    rule("crash", ("Backtrace:", "ELF file SHA256"), r"(?:Backtrace: ?(?:0x|\|<-)?|ELF file SHA256:)"),
    rule(
        "crash",
        (
            "abort() was called",
            "assert failed",
            "CORRUPT HEAP",
            "stack overflow",
            "smashing",
            "register dump",
            "Panic ",
            "Last failed alloc",
        ),
        r"(?P<reason>abort\(\) was called[^\n]{0,60}|assert failed:?[^\n]{0,120}"
        r"|CORRUPT HEAP[^\n]{0,80}|\*\*\*ERROR\*\*\* A stack overflow[^\n]{0,60}"
        r"|Stack smashing[^\n]{0,60}|Core {1,2}\d register dump|Panic [\w./]{1,60}[^\n]{0,60}"
        r"|[Ll]ast failed alloc[^\n]{0,60})",
    ),
    rule("crash", (" : 0x",), r"(?:PC|A\d{1,2}|LBEG|SAR|PS|EPC\d) {0,8}: 0x[0-9a-f]{8} "),
)

MODULES = (
    rule(
        "modem",
        ("CIPSTART", "CIPOPEN", "QIOPEN", "CAOPEN"),
        r"(?:### AT: )?(?P<text>(?:AT)?\+(?:CIPSTART|CIPOPEN|QIOPEN|CAOPEN) ?= ?[\d, ]{0,12}\"(?:TCP|SSL) ?\" ?, ?"
        rf"\" ?{HOST} ?\" ?, ?\"?{PORT}"
        r"[^\n]{0,20})",
    ),
    rule(
        "ble-module",
        "OK+",
        r"[^\n]{0,20}?(?P<text>OK\+(?:CONN[AEFN]?|LOST|Set|Get|NAME|RESET|WAKE|SLEEP|DISC?[SE]?|NOTI"
        r"|RENEW)[:\w]{0,20})",
    ),
    rule("modem", "AT", r"(?P<text>AT\+[A-Z]{2,16}[^\n]{0,120}|AT\Z|ATE[01]\Z|ATI\d?\Z|AT version ?:[^\n]{0,120})"),
    rule(
        "modem",
        "### ",
        r"### (?:AT: |Unhandled: |Closed: |Got Data: |Got: |Data: |TinyGSM|URC )(?P<text>[^\n]{0,120})",
    ),
    rule(
        "error",
        ("WiFi shield not present", "WiFi module failed", "WiFi module not", "hernet shield", "hernet cable"),
        r"(?P<text>WiFi shield not present|Communication with WiFi module (?:failed|not)[^\n]{0,40}"
        r"|WiFi module not (?:found|present|responding)[^\n]{0,40}"
        r"|Ethernet (?:shield was not found|cable is not connected)[^\n]{0,60})",
    ),
    rule("error", "Buffer overflow", r"(?P<text>Buffer overflow)\Z"),
    rule("error", "DHCP", r"(?P<text>(?:DHCP (?:[Ff]ailed|0\Z)|Failed to configure Ethernet using DHCP)[^\n]{0,40})"),
    rule(
        "error",
        "Reason: ",
        r"(?:\[\w\]\[WiFi[^\]]{0,40}\] \w{1,40}\(\): )?(?P<text>Reason: (?P<code>\d{1,3}) - (?:NO_AP_FOUND|AUTH_FAIL"
        r"|AUTH_EXPIRE|4WAY_HANDSHAKE_TIMEOUT|HANDSHAKE_TIMEOUT|ASSOC_FAIL|BEACON_TIMEOUT|CONNECTION_FAIL)\w{0,30})",
    ),
    rule("wifi", "Connected to GPRS", r"Connected to GPRS\Z"),
    rule(
        "modem",
        "+",
        r"(?P<text>\+(?:C[A-Z]{2,11}|IPD|PDP|SAPBR|HTTP[A-Z]{2,10}|U[A-Z]{3,11}|Q[A-Z]{3,11}"
        r"|STA_CONNECTED|LINK_CONN)\b(?: ERROR)?[:,=?][^\n]{0,120})",
    ),
    rule(
        "modem",
        ("SDK version", "compile time", "Compile time", "Ai-Thinker", "Bin version"),
        r"(?P<text>SDK version ?:[^\n]{0,80}|[Cc]ompile time ?:[^\n]{0,80}"
        r"|Ai-Thinker Technology[^\n]{0,40}|Bin version[^\n]{0,80})",
    ),
    rule(
        "modem",
        (
            "OK",
            "ERROR",
            "FAIL",
            "CLOSED",
            "CONNECT",
            "busy",
            "ready",
            "link is",
            "UNLINK",
            "no change",
            "Ready",
            "WIFI",
        ),
        r"(?P<text>(?:OK|ERROR|FAIL|SEND OK|SEND FAIL|SHUT OK|CLOSE OK|CLOSED|CONNECT|CONNECT OK"
        r"|CONNECT FAIL|ALREADY CONNECT(?:ED)?|\d,CONNECT(?: OK)?|\d,CLOSED|busy [ps]\.{3}"
        r"|busy now \.{3}|ready|link is not valid|UNLINK|no change|SMS Ready|Call Ready|RDY"
        r"|WIFI (?:GOT IP|CONNECTED|DISCONNECT)))\Z",
    ),
    rule(
        "modem", ("Recv ", "> ", "AT send", "AT read"), r"(?P<text>Recv \d{1,5} bytes\Z|AT (?:send|read)\b[^\n]{0,160})"
    ),
    rule(
        "modem",
        (" 20",),
        r"(?P<text>(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov"
        r"|Dec) {1,2}\d{1,2} 20\d\d \d\d:\d\d:\d\d)\Z",
    ),
    rule(
        "modem",
        ("odem", "SIM is", "GPRS", "Network: ", "egister in network"),
        r"(?P<text>Modem init\.{3}|Initializing modem[.\u2026]*|Modem(?: Info)?: [^\n]{1,80}"
        r"|SIM is (?:missing|PIN-locked)|Connect GPRS failed|Register in network failed"
        r"|Network: [^\n]{1,60}|### Unhandled: [^\n]{0,80})",
    ),
)
