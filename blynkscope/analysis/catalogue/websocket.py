"""BS125 to BS127: WebSocket messages that servers pass over, and TLS that is refused behind its handshake."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

_GROUP = "connection"

RULES: tuple[Rule, ...] = (
    Rule(
        "BS125",
        "websocket-text",
        Severity.WARNING,
        _GROUP,
        "The client sends WebSocket text messages",
        "Blynk's protocol is binary, over WebSocket too. Its servers pass over text messages without a word: what is "
        "in them, be it the login, is never answered. Libraries send text where they are given a string.",
        "Send binary messages: in browsers set socket.binaryType = 'arraybuffer' and send an ArrayBuffer or "
        "Uint8Array; in Node send a Buffer; in Python send bytes, not str (websockets: await ws.send(bytes), "
        "websocket-client: ws.send_binary).",
        "message framing",
    ),
    Rule(
        "BS126",
        "websocket-fragments",
        Severity.WARNING,
        _GROUP,
        "The client sends WebSocket messages in fragments",
        "A WebSocket message may be cut into several frames. The legacy server reads the first one and drops the "
        "continuation frames: what was in them never arrives, and what follows a frame that is cut is read from the "
        "wrong place.",
        "Send each message whole, with FIN set in its first frame: no streaming send (ws for Node: `fin: false`; "
        "websockets for Python: an iterable given to send), and a frame size of the library, or of a proxy in between, "
        "that is greater than the messages.",
        "message framing",
    ),
    Rule(
        "BS127",
        "tls-refused-behind-handshake",
        Severity.NOTE,
        _GROUP,
        "The server closed right after the TLS handshake",
        "With TLS 1.3 the alert that says why is encrypted, so without a key log it can only be guessed. A client is "
        "refused at this point where the server requires a certificate of it (certificate_required), or does not take "
        "the one it showed.",
        "Look at the server's log, or record again with a key log (--keylog), which shows the alert. Where the server "
        "or a proxy in front of it requires client certificates, give the device one or turn that off.",
        "TLS alerts",
    ),
)
