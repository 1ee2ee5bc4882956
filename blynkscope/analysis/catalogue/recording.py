"""BS9xx: the capture itself."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

_GROUP = "capture"
_SECTION = "log notations"
_TRANSPORT = "message framing"

RULES: tuple[Rule, ...] = (
    Rule(
        "BS901",
        "segments-missing",
        Severity.WARNING,
        _GROUP,
        "The capture lost segments that were really sent",
        "The receiver acknowledged bytes that are not in the capture: the network delivered them, the recording did "
        "not keep them. Frames inside such a hole are unknown, so a missing answer near it proves nothing.",
        "Record on the device's or server's own interface, with a larger buffer (tcpdump -B 16384), a narrow filter "
        "(port 8080) and -w to a fast disk; look at the packets that tcpdump says the kernel dropped. On Wi-Fi capture "
        "at the access point or the server, not in monitor mode.",
        _TRANSPORT,
    ),
    Rule(
        "BS902",
        "joined-mid-stream",
        Severity.NOTE,
        _GROUP,
        "The capture begins in the middle of the connection",
        "The handshake and probably the login are not in it: token, library, heartbeat and the first ids are unknown, "
        "and who is device and who is server was worked out from the frames.",
        "Start the capture before the device connects: restart the device, or let it reconnect, while it records.",
        _TRANSPORT,
    ),
    Rule(
        "BS903",
        "one-direction",
        Severity.WARNING,
        _GROUP,
        "Only one direction of the connection was captured",
        "Not one packet of the other side is in the capture. Answers, acknowledgements and the server's writes are "
        "missing because of that, and nothing can be said about what arrived.",
        "Capture where both directions pass: on the device, the server or its gateway. A mirror port must copy both "
        "directions, a filter must not name src or dst alone, and with asymmetric routes record at an end.",
        _TRANSPORT,
    ),
    Rule(
        "BS904",
        "snaplen-cut",
        Severity.WARNING,
        _GROUP,
        "Packets were cut by the capture's length limit",
        "The capture kept the beginning of each packet only (snaplen). Frames behind the cut are lost, and frames "
        "across it are incomplete.",
        "Record whole packets: tcpdump -s 0, dumpcap -s 0 (the default of both today), or 262144 in the program's "
        "snapshot length field.",
        _TRANSPORT,
    ),
    Rule(
        "BS905",
        "no-key-log",
        Severity.NOTE,
        _GROUP,
        "The connection is encrypted, and there is no key to read it",
        "Blynk inside TLS (ports 443, 9443, 8441) shows its handshake, sizes and times, but no frames. Log-ins, "
        "answers and values are not judged.",
        "Write the session keys while recording, and give the file with --keylog. Python, curl and browsers write it "
        "where the variable SSLKEYLOGFILE says, Node with `node --tls-keylog=FILE`. Firmware (C++, MicroPython) writes "
        "none: there the other end can, a server of your own or a proxy in between; or let the device connect without "
        "TLS (port 80 or 8080) in a trusted network for the test, or read the library's own debug log.",
        _TRANSPORT,
    ),
    Rule(
        "BS906",
        "key-log-mismatch",
        Severity.WARNING,
        _GROUP,
        "The key log does not fit the TLS connections",
        "None of its lines carries the client random of this connection, or the keys do not open its records: it is "
        "from another run, was begun too late, or is of the wrong side. Where it opens other connections of the run, "
        "or is the one that SSLKEYLOGFILE names, this is a note: those are of another program.",
        "Let the capture and the key log begin before the connection does, and take both from the same run: "
        "SSLKEYLOGFILE must be set before the program starts, and the file is appended to by each process.",
        _TRANSPORT,
    ),
    Rule(
        "BS910",
        "suite-unsupported",
        Severity.NOTE,
        _GROUP,
        "The TLS connection uses what this program does not open",
        "The handshake agreed on a cipher suite, a compression or a version that the decryptor has no code for. Its "
        "handshake is read all the same.",
        "Decode with --engine tshark, which knows more suites, or let the server offer one of AES-GCM, AES-CBC, "
        "AES-CCM or ChaCha20-Poly1305.",
        _TRANSPORT,
    ),
    Rule(
        "BS911",
        "record-undecodable",
        Severity.WARNING,
        _GROUP,
        "TLS records do not open although their neighbours do",
        "The keys are right, but the check of some records fails: the bytes were changed or damaged on the way to the "
        "capture, or records are missing. A real receiver closes the connection at such a record.",
        "Compare with a capture of the other end. Where the receiver sent the alert bad_record_mac, something between "
        "the two changes the bytes (a proxy, a faulty network card or driver); where it did not, the capture is "
        "damaged: record again.",
        _TRANSPORT,
    ),
    Rule(
        "BS907",
        "log-without-frames",
        Severity.NOTE,
        _GROUP,
        "The log holds no Blynk frame",
        "It tells that things happened, not what was said: without frames neither answers nor values nor the token's "
        "form can be judged.",
        "C++: put #define BLYNK_DEBUG and #define BLYNK_PRINT Serial above all includes. Other libraries have a log "
        "option of their own. Or record the traffic (tcpdump -i any -w blynk.pcap port 80 or port 8080) and decode the "
        "capture.",
        _SECTION,
    ),
    Rule(
        "BS908",
        "masked-token",
        Severity.NOTE,
        _GROUP,
        "The token in the log was masked to another length",
        "The login declares another length than the token that is shown has. Someone replaced the token before "
        "posting, which is right; the difference is no error of the device.",
        "Nothing needs to change. To keep lengths readable replace each character of a token by one other, or let "
        "blynkscope redact do it.",
        _SECTION,
    ),
    Rule(
        "BS909",
        "altered-bytes",
        Severity.NOTE,
        _GROUP,
        "The log shows other bytes than the frames declare",
        "Declared length and visible bytes differ: values were masked, a terminal or forum dropped or joined spaces "
        "and control characters, or lines were cut. What is shown is decoded; what is missing cannot be.",
        "Copy the log as a file or inside a code block. Print bytes as hex digits, not as characters, and mask values "
        "one character for one.",
        _SECTION,
    ),
)
