"""Text about names, sockets, TLS and HTTP, by whatever program: Python, Node, Java, curl, socat, boards."""

from __future__ import annotations

from blynkscope.wire.logs.rules import HOST, PORT, rule

_ANY = r"[^\n]{0,300}?"

GATEWAY = (
    rule("eof", "is at EOF", rf"{_ANY}socat\[\d{{1,7}}\] \w socket \d{{1,3}} \(fd \d{{1,5}}\) is at EOF"),
    rule(
        "certificate-error",
        "certificate verify failed",
        rf"{_ANY}socat\[\d{{1,7}}\] \w SSL_connect\(\):.{{0,200}}?(?P<reason>certificate verify failed)",
    ),
    rule("tls-error", "SSL_connect()", rf"{_ANY}socat\[\d{{1,7}}\] \w SSL_connect\(\): (?P<reason>.{{0,200}})"),
    rule(
        "refused",
        "onnection refused",
        rf"{_ANY}socat\[\d{{1,7}}\] \w connect\(\d{{1,5}}, (?:AF=\d{{1,3}} )?{HOST}:{PORT}",
    ),
    rule("dns-failure", "getaddrinfo(", rf"{_ANY}socat\[\d{{1,7}}\] \w getaddrinfo\(\"{HOST}\""),
    rule(
        "gateway",
        ("open(", "tcgetattr(", "tcsetattr("),
        rf"{_ANY}socat\[\d{{1,7}}\] E (?:open|tcgetattr|tcsetattr)\(\"?(?P<device>[^\",\s]{{1,80}})[^\n]{{0,60}}?\): "
        r"(?P<failed>[^\n]{1,80})",
        program="socat",
    ),
    rule("gateway", "socat[", rf"{_ANY}socat\[\d{{1,7}}\] \w ", program="socat"),
    rule(
        "gateway",
        ("CreateFile(", "OpenC0C("),
        r"(?:CreateFile|OpenC0C)\(\"?(?P<device>[^\",\s]{1,80})[^\n]{0,80}?\)?[ -]{1,4}ERROR (?P<failed>[^\n]{1,80})",
        program="com2tcp",
    ),
    rule(
        "error",
        "uses socat utility",
        r"(?P<text>This script uses socat utility, but could not find it)",
    ),
    rule(
        "refused",
        "ERROR 10061",
        rf"Connect\([\"\u201c\u201d]{HOST}[\"\u201c\u201d], ?[\"\u201c\u201d]{PORT}[\"\u201c\u201d]\)"
        r"[ -]{1,4}ERROR 10061",
    ),
    rule(
        "timeout",
        ("ERROR 10060", "ERROR 10065", "ERROR 10051"),
        rf"Connect\([\"\u201c\u201d]{HOST}[\"\u201c\u201d], ?[\"\u201c\u201d]{PORT}[\"\u201c\u201d]\)"
        r"[ -]{1,4}ERROR 100(?:60|65|51)",
        what="connect",
    ),
    rule(
        "dns-failure",
        ("ERROR 11001", "ERROR 11004"),
        rf"(?:gethostbyname|getaddrinfo|Connect)\([\"\u201c\u201d]{HOST}[\"\u201c\u201d][^\n]{{0,20}}?\)"
        r"[ -]{1,4}ERROR 1100[14]",
    ),
    rule("gateway", "OpenC0C(", r"OpenC0C\(", program="com2tcp"),
    rule(
        "gateway",
        "Connect(",
        rf"Connect\([\"\u201c\u201d]{HOST}[\"\u201c\u201d], ?[\"\u201c\u201d]{PORT}[\"\u201c\u201d]\)(?"
        r": - (?P<result>\w{1,20}))?",
        program="com2tcp",
    ),
    rule(
        "gateway",
        ("InOut()", "DSR is", "CTS is", "Disconnect()", "Received EOF", "EVENT_CLOSE"),
        r"(?:InOut\(\) (?:- )?(?:START|STOP)|EVENT_CLOSE\Z|(?P<line>DSR|CTS|DCD) is (?P<level>ON|OFF)|Disconnect\(\)"
        r"|Received EOF)",
        program="com2tcp",
    ),
    rule(
        "gateway",
        "onnecting device",
        rf"Connecting device (?:at )?(?P<device>\S{{1,80}}) to {HOST}:{PORT}",
        program="blynk-ser",
    ),
    rule(
        "gateway",
        "<->",
        rf"Connecting: \S{{1,300}} <-> (?:openssl-connect|openssl|tcp4?|tcp-connect):{HOST}:{PORT}",
        program="blynk-ser",
    ),
    rule(
        "gateway",
        "Connecting: ",
        rf"Connecting: [^\n]{{1,400}}?(?:openssl-connect|OPENSSL|TCP|tcp):{HOST}:{PORT}",
        program="blynk-ser",
    ),
    rule(
        "gateway",
        ("Resetting device", "Press Ctrl+C to exit", "hub4com", "com2tcp", "blynk-ser"),
        r"(?:Resetting device (?P<device>\S{1,80}?)\.{3}|\[ Press Ctrl\+C to exit \]"
        r"|(?:[^\n]{0,80}?[\\/>$# ])?(?P<tool>hub4com|com2tcp(?:-rfc2217)?|blynk-ser)(?:\.exe|\.bat|\.sh)?\b)",
        program="blynk-ser",
    ),
    rule("reconnecting", "econnect", r"Reconnect(?:ing)?(?: ###)? in (?P<seconds>\d{1,6}) ?s(?:ec(?:onds?)?)?\b"),
    rule("reconnecting", "econnecting", r"Reconnecting[ .\u2026]*\Z"),
)

CURL = (
    rule("refused", "onnection refused", rf"{_ANY}curl: \(7\) Failed to connect to {HOST} port {PORT}"),
    rule("refused", "onnection refused", rf"\* {{0,4}}connect to {HOST} port {PORT} failed: Connection refused"),
    rule("timeout", ("imed out", "curl: (28)"), r"curl: \(28\) [^\n]{0,200}", what="connect"),
    rule("unreachable", "curl: (7)", rf"curl: \(7\) [^\n]{{0,60}}?connect to {HOST}(?: port {PORT})?"),
    rule(
        "dns-failure", ("curl: (6)", "ould not resolve host"), rf"(?:curl: \(6\) |\* )?Could not resolve host: {HOST}"
    ),
    rule("certificate-error", ("curl: (60)", "curl: (51)"), r"curl: \((?:60|51)\) (?P<reason>.{0,200})"),
    rule("tls-error", "curl: (35)", r"curl: \(35\) (?P<reason>.{0,200})"),
    rule("eof", "curl: (52)", r"curl: \(52\)"),
    rule("disconnected", "curl: (56)", r"curl: \(56\) (?P<reason>.{0,200})"),
    rule(
        "upload",
        "curl ",
        r"[^\n]{0,300}?\bcurl\b[^\n]{0,200}?(?:-F|--form)[ =]?['\"]?file=@(?P<file>[^\s'\"]{1,300})",
        multipart_without_file=False,
    ),
    rule(
        "upload",
        "curl ",
        r"[^\n]{0,300}?\bcurl\b[^\n]{0,200}?(?:-F|--form)[ =]?['\"]?file=(?P<file>[^\s'\"@]{1,300})",
        multipart_without_file=True,
    ),
    rule("http", "HTTP/", r"(?:< ?)?HTTP/\d(?:\.\d)? (?P<status>[1-5]\d\d)\b"),
    rule("http", " HTTP/", r"(?:> ?)?(?P<method>GET|PUT|POST|DELETE|HEAD|OPTIONS) (?P<url>\S{1,1000}) HTTP/\d"),
    rule(
        "http",
        ("server response", "erver returned", "tatus code"),
        r"(?:[\w ]{0,40}?Error: )?(?:Unexpected server response|Server returned(?: HTTP response)?(?: code)?"
        r"|(?:Got |HTTP )?[Ss]tatus code):? (?P<status>[1-5]\d\d)\b",
    ),
    rule(
        "http",
        ("HTTP", "http"),
        r"(?:\[HTTP\] )?(?:GET\.{3} code:|HTTP (?:response|status|error)(?: code)?:?|HTTP/?S? (?:GET"
        r"|POST)\.{3} code:|[Hh]ttp (?:response )?code:?|httpCode:?) ?(?P<status>[1-5]\d\d)\b",
    ),
    rule("http", ("HTTP", "http"), r"(?P<reason>HTTP error:? .{1,120}|\[HTTP\] \w{3,6}\.{3} failed, error: .{1,120})"),
)

TLS = (
    rule(
        "certificate-error",
        ("CERTIFICATE_VERIFY_FAILED",),
        rf"{_ANY}CERTIFICATE_VERIFY_FAILED\]?(?: certificate verify failed)?(?:: (?P<reason>[^(\n]{{1,1"
        r"60}))?",
    ),
    rule(
        "certificate-error",
        "onnection not authorized",
        r"Connection not authorized: (?P<reason>[A-Z_]{3,60})\s*\Z",
        accepted=True,
    ),
    rule(
        "certificate-error",
        ("SELF_SIGNED", "CERT_HAS_EXPIRED", "UNABLE_TO", "ALTNAME_INVALID", "CERT_UNTRUSTED", "CERT_NOT_YET_VALID"),
        rf"{_ANY}(?P<reason>(?:DEPTH_ZERO_)?SELF_SIGNED_CERT(?:_IN_CHAIN)?|CERT_HAS_EXPIRED"
        r"|CERT_NOT_YET_VALID|UNABLE_TO_(?:VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(?:_LOCALLY)?)"
        r"|ERR_TLS_CERT_ALTNAME_INVALID|CERT_UNTRUSTED)",
    ),
    rule(
        "certificate-error",
        (
            "self signed certificate",
            "self-signed certificate",
            "certificate has expired",
            "unable to verify the first certificate",
        ),
        r"(?:[\w. ]{0,60}?[Ee]rror: )?(?P<reason>self[ -]signed certificate(?: in certificate chain)?"
        r"|certificate has expired|unable to verify the first certificate)\Z",
    ),
    rule(
        "certificate-error",
        ("X509 - ", "-0x2700", "-9984", "certificate verification failed", "ertificate verify failed"),
        rf"{_ANY}(?:\(?(?:-0x2700|-9984)\)?(?!\d)[: ]{{0,3}}(?P<reason>X509 - [^\n]{{1,120}})?"
        r"|(?P<why>X509 - [^\n]{1,120})|[Cc]ertificate (?:verification|verify) failed)",
    ),
    rule(
        "certificate-error",
        ("ingerprint", "ertificate"),
        r"(?:BSSL:|\[SSL\] )?(?P<reason>(?:SSL )?[Ff]ingerprint (?:did not|doesn't|does not) match"
        r"|[Cc]ertificate (?:not (?:validated|valid|trusted|loaded)|doesn't match|mismatch|is expired"
        r"|validation failed|expired|unknown|rejected)[^\n]{0,80}|SSL not authorized|Alert: (?:bad"
        r"|expired|unknown|unsupported) certificate)",
    ),
    rule(
        "certificate-error",
        ("SSL not authorized", "Couldn't connect. Error", "Alert: ", "Unauthorized"),
        r"(?P<reason>SSL not authorized|Unauthorized\Z"
        r"|Couldn't connect\. Error = '[^'\n]{0,60}(?:[Cc]ertificate|[Ee]xpired|trust"
        r"|[Cc]hain)[^'\n]{0,80}'|Alert: [\w ]{0,20}(?:certificate|CA)\b.{0,40})",
    ),
    rule(
        "certificate-error",
        ("SSLError", "SSL error", "SSL Error", "BearSSL"),
        r"[^\n]{0,60}?(?:getLastSSLError(?:\(\))?"
        r"|(?:Bear)?SSL [Ee]rror(?: code)?)[:= ]{1,3}(?P<code>5[2-9]|6[0-2]|4\d|3[2-9])\b",
    ),
    rule(
        "tls-error",
        ("SSLError", "SSL error", "SSL Error", "BearSSL"),
        r"[^\n]{0,60}?(?:getLastSSLError(?:\(\))?"
        r"|(?:Bear)?SSL [Ee]rror(?: code)?)[:= ]{1,3}(?P<code>-?\d{1,6})\b",
    ),
    rule(
        "tls-error",
        "before secure TLS connection",
        rf"{_ANY}(?P<reason>socket disconnected before secure TLS connection was established)",
    ),
    rule("tls-error", "[SSL", rf"{_ANY}\[SSL(?:: (?P<reason>[A-Z0-9_]{{3,60}}))?\]"),
    rule(
        "certificate-error",
        ("PKIX", "CertificateException", "start sntp first"),
        r"[^\n]{0,200}?(?P<reason>PKIX path (?:building|validation) failed|CertificateException: [^\n]{1,120}"
        r"|please start sntp first)",
    ),
    rule("tls-error", "fatal alert", r"[^\n]{0,200}?(?P<reason>[Ff]atal alert: \w{1,40})"),
    rule("tls-error", "SSLHandshakeException", r"[^\n]{0,200}?SSLHandshakeException(?:: (?P<reason>[^\n]{1,120}))?"),
    rule(
        "tls-error",
        ("EPROTO", "SSL routines"),
        rf"{_ANY}(?:EPROTO\b|SSL routines:)[^\n]{{0,200}}?(?P<reason>(?:wrong version number"
        r"|unknown protocol|handshake failure|unexpected message|[\w ]{0,20}alert [\w ]{1,40}))",
    ),
    rule(
        "tls-error",
        ("mbedtls", "MBEDTLS", "-0x7", "-0x6", "-0x5", "-0x4", "-0x00"),
        rf"{_ANY}(?:mbedtls_\w{{1,60}}\b|MBEDTLS_ERR_\w{{1,60}}|ssl_client"
        r"|start_ssl_client)[^\n]{0,80}?(?P<reason>-0x[0-9a-fA-F]{2,4}|MBEDTLS_ERR_\w{1,60})",
    ),
    rule("tls-error", "MBEDTLS_ERR", rf"{_ANY}(?P<reason>MBEDTLS_ERR_\w{{1,60}})"),
    rule(
        "tls-error",
        ("start_ssl_client", "ssl_client", "SSL - "),
        rf"{_ANY}(?:\(-?\d{{1,6}}\) (?P<reason>SSL - [^\n]{{1,120}})"
        r"|start_ssl_client: (?P<code>-\d{1,6})|start_ssl_client\(\): (?P<why>[^\n]{1,120}))",
    ),
    rule(
        "tls-error",
        ("BSSL", "SSL", "Alert: ", "TLS", "ecure connect"),
        r"(?P<reason>BSSL:(?!Connected)[^\n]{1,120}|Couldn't connect\. Error = '[^'\n]{1,120}"
        r"|Alert: (?:handshake failure|unexpected message|bad record mac|protocol version"
        r"|decode error)[^\n]{0,60}|(?:SSL|TLS) (?:handshake|connection|connect) (?:failed|failure"
        r"|error|timed? ?out)[^\n]{0,120}|Secure connect(?:ion)? failed[^\n]{0,80}|Connect: (?:uSSL"
        r"|SSL) (?:Import|Context) Error:?[^\n]{0,80})",
    ),
    rule("tls-error", "OSError: -", r"[^\n]{0,60}?OSError: (?P<code>-(?:29312|30592|29184|28800|26624|32512|17040))\b"),
)

SOCKETS = (
    rule(
        "dns-failure",
        ("ENOTFOUND", "EAI_AGAIN", "EAI_"),
        rf"{_ANY}getaddrinfo (?:ENOTFOUND|EAI_AGAIN|EAI_FAIL) {HOST}(?:[: ]{PORT})?",
    ),
    rule("dns-failure", ("ENOTFOUND", "EAI_"), rf"{_ANY}\b(?:ENOTFOUND|EAI_AGAIN|EAI_NONAME|EAI_FAIL)\b"),
    rule(
        "dns-failure",
        ("ame or service not known", "name resolution", "getaddrinfo failed", "gaierror", "nodename nor servname"),
        rf"{_ANY}(?:Name or service not known|name or service not known|failure in name resolution"
        r"|getaddrinfo failed|gaierror|nodename nor servname)",
    ),
    rule("dns-failure", "DNS Failed", rf"{_ANY}DNS Failed for '?{HOST}"),
    rule(
        "dns-failure",
        ("DNS Failed", "DNS Fail", "DNS failed", "DNS lookup failed", "DNS Error"),
        r"(?:[^\n]{0,80}?\): )?DNS (?:[Ff]ail(?:ed)?|lookup failed|Error)\b",
    ),
    rule(
        "dns-failure",
        "can't find",
        r"(?:nslookup: can't (?:find|resolve)|\*\* server can't find"
        rf"|\*\*\* \S{{1,80}} can't find) '?{HOST}",
    ),
    rule(
        "dns-failure",
        ("can't resolve", "NXDOMAIN", "nknown host", "UnknownHostException", "could not find host"),
        rf"{_ANY}(?:can't resolve '?|[Uu]nknown host:? |UnknownHostException: "
        rf"|could not find host ){HOST}",
    ),
    rule("dns-failure", "OSError: -2", r"[^\n]{0,60}?OSError: -(?:2|202)\b"),
    rule("refused", "ECONNREFUSED", rf"{_ANY}ECONNREFUSED(?:[ ]{HOST}:{PORT})?"),
    rule(
        "refused",
        ("onnection refused", "WinError 10061", "actively refused"),
        rf"(?!curl)(?:[^\n]{{0,200}}?\bconnect to {HOST}(?::"
        rf"| port ){PORT}\b)?{_ANY}(?:[Cc]onnection refused|WinError 10061|actively refused)",
    ),
    rule("unreachable", ("EHOSTUNREACH", "ENETUNREACH"), rf"{_ANY}\bE(?:HOST|NET)UNREACH\b(?:[ ]{HOST}(?::{PORT})?)?"),
    rule(
        "unreachable",
        ("No route to host", "etwork is unreachable", "Host Unreachable", "host unreachable", "packet loss"),
        r"(?:From \S{1,80} (?:icmp_seq=\d{1,8} )?Destination (?:Host|Net) Unreachable"
        rf"|{_ANY}(?:No route to host|[Nn]etwork is unreachable|[Hh]ost [Uu]nreachable)"
        r"|[^\n]{0,80}\b100(?:\.0)?% packet loss)",
    ),
    rule("timeout", "ETIMEDOUT", rf"{_ANY}ETIMEDOUT(?:[ ]{HOST}:{PORT})?", what="connect"),
    rule("timeout", "handshake", rf"{_ANY}handshake[\w ]{{0,20}} timed out", what="tls handshake"),
    rule(
        "timeout",
        ("timed out", "socket.timeout", "onnection timeout", "WinError 10060", "Request timed out"),
        r"(?:[\w. \[\]:'()-]{0,160}?(?:[Ee]rror|[Ee]xception|Errno \d{1,3}"
        r"|timeout)\b[^\n]{0,120}?timed out|timed out\Z"
        r"|(?:(?:telnet|nc|ncat): [^\n]{0,100}?)?[Cc]onnection timed? ?out\b|socket\.timeout\b"
        r"|[^\n]{0,80}?WinError 10060|Request timed out|Operation timed out)",
        what="connect",
    ),
    rule(
        "disconnected",
        ("ECONNRESET", "onnection reset", "EPIPE", "ECONNABORTED", "roken pipe", "WinError 10054"),
        rf"{_ANY}(?P<reason>ECONNRESET|ECONNABORTED|EPIPE|[Cc]onnection reset(?: by peer)?"
        r"|[Bb]roken pipe|WinError 10054)",
    ),
    rule(
        "unreachable",
        "onnection with the Blynk server",
        rf"ValueError: Connection with the Blynk servers? {HOST}:{PORT} failed",
        summary=True,
    ),
    rule(
        "unreachable",
        ("onnection with the Blynk server", "Can't connect to", "ailed to connect", "onnecting to ", "onnection to "),
        rf"(?:\[ERROR\]: |Error: |ValueError: )?(?:[Cc]onnection with the Blynk servers? {HOST}:{PORT} "
        r"failed|Can't connect to (?P<to>[\w.-]{1,253})(?::\d{1,5})?"
        r"|[Ff]ailed to connect(?: to (?P<name>[\w.-]{1,253})(?::\d{1,5})?)?|[Cc]onnect(?:ing"
        r"|ion) to (?P<peer>[\w.-]{1,253})(?::\d{1,5})? failed)",
    ),
    rule(
        "unreachable",
        "Blynk server",
        r"(?:\[ERROR\]: |Error: |ValueError: )?[Cc]onnection with the Blynk servers? failed",
        summary=True,
    ),
)
