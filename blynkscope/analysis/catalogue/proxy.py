"""BS120 to BS124: what only a proxy in the middle sees: who trusts whom, and whether the server can be reached."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

RULES: tuple[Rule, ...] = (
    Rule(
        "BS120",
        "proxy-not-trusted",
        Severity.ERROR,
        "proxy",
        "The device does not trust the proxy",
        "The device checks the certificate of its server, and the proxy's is made by an authority of its own, which no "
        "firmware knows. So it ended the handshake before a byte of Blynk. Nothing is wrong with the device: that is "
        "what the check is for.",
        "Put the proxy's CA into the firmware in place of the server's root certificate (`blynkscope ca export` "
        "prints it, with --format c for a sketch), give the proxy a certificate that the "
        "device trusts (--cert, --key), turn the check off for the test (setInsecure()), or connect without TLS: the "
        "same port of the proxy takes plain bytes.",
        "TLS alerts",
    ),
    Rule(
        "BS121",
        "upstream-not-trusted",
        Severity.ERROR,
        "proxy",
        "The server's certificate cannot be verified",
        "No authority that this computer trusts has signed it: it is signed by itself, or by an authority of the "
        "server's owner. The proxy does not pass a token on to a server that may be anyone. A device without a check "
        "would not have noticed.",
        "With a server of your own: give its certificate, or that of its authority, as --upstream-ca FILE, or see that "
        "the server sends its intermediate certificates too. Only for a server that you know otherwise: --insecure.",
        "TLS alerts",
    ),
    Rule(
        "BS122",
        "upstream-expired",
        Severity.ERROR,
        "proxy",
        "The server's certificate is not valid today",
        "It has expired, or it is not valid yet. Every device that checks certificates and knows the time refuses this "
        "server now; those without a clock go on, which makes it look like a fault of some devices.",
        "Renew the certificate on the server and restart it (a legacy server reads it at its start). Check the clock "
        "of this computer. To go on meanwhile: --insecure.",
        "TLS alerts",
    ),
    Rule(
        "BS123",
        "upstream-wrong-name",
        Severity.ERROR,
        "proxy",
        "The server's certificate is for another name",
        "The certificate does not hold the name, or the address, that the proxy was told to reach. It is another "
        "server, or its certificate was made for the name that people use and not for this one.",
        "Name the server as its certificate does (--upstream ny3.blynk.cloud:443 and not its address), or have the "
        "certificate made for this name too. For a server that you know otherwise: --insecure.",
        "TLS alerts",
    ),
    Rule(
        "BS124",
        "upstream-unreachable",
        Severity.ERROR,
        "proxy",
        "The proxy does not reach the server",
        "The device reached the proxy, and the proxy did not reach the server: its name is unknown, nobody listens on "
        "the port, no answer came, or it does not agree on TLS. The device only sees that its connection is closed.",
        "Try the same host and port from this computer (`nc -vz HOST PORT`, `openssl s_client -connect HOST:PORT`). "
        "Check --upstream: tls:// for 443 and 9443, tcp:// for 80 and 8080.",
        "ports",
    ),
)
