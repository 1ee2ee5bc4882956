"""BS6xx: exposure."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

RULES: tuple[Rule, ...] = (
    Rule(
        "BS601",
        "token-in-clear",
        Severity.WARNING,
        "exposure",
        "A token goes over the internet in clear",
        "Without TLS everybody on the way can read the token and act as the device: write its pins, read its data, "
        "send its notifications. Inside a home network that may do, on a public address it does not.",
        "Use TLS: BlynkSimpleEsp8266_SSL.h or BlynkSimpleEsp32_SSL.h with port 443 (Blynk IoT) or 9443, https:// for "
        "the REST API. Then refresh the token, for this one was seen.",
        "ports",
    ),
    Rule(
        "BS602",
        "firmware-over-http",
        Severity.NOTE,
        "exposure",
        "Firmware is downloaded over plain HTTP",
        "Nobody checks where the firmware comes from: whoever sits on the way can replace it, and then owns the "
        "device. The legacy server always orders it this way.",
        "Keep such updates inside a network that you trust. From the internet use a signed image "
        "(Update.installSignature on the ESP8266, secure boot on the ESP32) or a download over HTTPS with a verified "
        "certificate.",
        "firmware updates",
    ),
    Rule(
        "BS603",
        "default-credentials",
        Severity.WARNING,
        "exposure",
        "The server still has the administrator's default password",
        "admin@blynk.cc with the password admin is what the legacy server sets up at its first start, and everybody "
        "knows it. Who can reach the port can read all projects and tokens, and send firmware to every device.",
        "Change admin.email and admin.pass in server.properties before the first start, or the password in the "
        "administration interface (/admin), and set allowed.administrator.ips to your own addresses.",
        "firmware updates",
    ),
    Rule(
        "BS604",
        "certificate-not-verified",
        Severity.WARNING,
        "exposure",
        "The server's certificate is not verified, or not trusted",
        "TLS without a check of the certificate protects from listeners only: whoever answers in the server's place "
        "can present any certificate, and gets the token. Where the client does check and refuses, no connection "
        "comes about until it trusts the right root certificate.",
        "Give the client the root certificate that signed the server's: setTrustAnchors or setCACert on ESP8266 and "
        "ESP32, `cafile` in Python, NODE_EXTRA_CA_CERTS in Node, cafile=… with socat. For a server of your own make a "
        "certificate for its name (Let's Encrypt, or an own CA that the firmware holds); do not use setInsecure() "
        "beyond a test.",
        "TLS alerts",
    ),
    Rule(
        "BS605",
        "certificate-expired",
        Severity.ERROR,
        "exposure",
        "The server's certificate is not valid at this time",
        "Clients that verify refuse it, and those that go on prove that they do not verify. Where the certificate is "
        "in order, it is the device's clock that is wrong: without a set time it is 1970 there.",
        "Renew the certificate on the server (legacy: server.ssl.cert and server.ssl.key in server.properties, then "
        "restart). On the device, set the time by NTP before connecting (configTime).",
        "TLS alerts",
    ),
    Rule(
        "BS607",
        "certificate-wrong-name",
        Severity.ERROR,
        "exposure",
        "The server's certificate is for another name",
        "Clients that verify compare the name under which they connect with those in the certificate, and refuse a "
        "server whose certificate does not hold it. It is another server, or its certificate was made for the name "
        "that people use and not for the one, or the address, that devices are given.",
        "Connect by a name that the certificate holds, or have one made that holds this name too (for a device that "
        "connects by address, the address as an IP entry). A device that compares a fingerprint looks at no names.",
        "TLS alerts",
    ),
    Rule(
        "BS608",
        "weak-tls",
        Severity.NOTE,
        "exposure",
        "The server takes outdated TLS",
        "SSL 3.0, TLS 1.0 and 1.1, and ciphers such as RC4, 3DES, or those without encryption or authentication are "
        "no protection any more, or a weak one; the same holds for certificates with an RSA key below 2048 bits, and "
        "for signatures with SHA-1 or MD5. Servers keep some of them for old devices; clients of today refuse them. "
        "What a device and the server agree on is the best that both have.",
        "Turn off what no device of yours needs: with nginx or HAProxy in front ssl_protocols TLSv1.2 TLSv1.3, with a "
        "legacy server a Java of today (it turns them off by itself, jdk.tls.disabledAlgorithms). `blynkscope probe "
        "HOST:PORT --suites LIST` shows what a device's list would still agree on. Have a weak certificate made anew, "
        "with RSA 2048 or EC and SHA-256.",
        "TLS alerts",
    ),
)
