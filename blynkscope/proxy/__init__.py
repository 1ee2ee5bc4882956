"""Between a device and its server: bytes go through as they are, the analysis gets a copy.

    proxy = Proxy(Settings(upstream=Upstream.parse("ny3.blynk.cloud:443")), Authority.at(), tap)
    host, port = await proxy.start()
    ...
    await proxy.close()

Facts that `Tap.told` gets, beside `tls-client-hello` and `tls-alert` of the device leg:
    `proxy-upstream-failed`: stage (dns, connect, tls, timeout, refused), reason (a word), text, host, port.
    `proxy-handshake-failed`: leg, reason, alert (its number), cause, versions, ciphers, sni, legacy (old versions and
        weak ciphers are allowed); the device's handshake.
    `proxy-tls-broken`: leg, reason; TLS failed later on.
    `proxy-refused`: reason, text; of a client (connection 0) client, port, before (how many more since the last time);
        of `auto` host.
    `proxy-limit`: limit (first-byte, idle, half-closed, stalled: seconds; inject: size); of the proxy itself
        (connection 0) limit (connections: connections, text; files: text).
    `proxy-extension-removed`: extensions; compression that a WebSocket client offered, and rules cannot look into.
    `proxy-compressed`: WebSocket messages are compressed nevertheless, so that rules do nothing to them.
    `proxy-fragmented`: a WebSocket message comes in parts, so that rules do nothing to it; told once.
    `proxy-rule`: rule, action, detail, failed, and command and id of the frame.
    `proxy-rule-failed`: who. `proxy-partial`: size, seconds; the beginning of a frame went on without its rest.
    `proxy-tap-failed`: error.
"""

from blynkscope.proxy.server import Proxy
from blynkscope.proxy.settings import (
    BLYNK_HOSTS,
    ConnectionInfo,
    Deadlines,
    Gate,
    Held,
    ProxyUsageError,
    Settings,
    Tap,
    Upstream,
)

__all__ = [
    "BLYNK_HOSTS",
    "ConnectionInfo",
    "Deadlines",
    "Gate",
    "Held",
    "Proxy",
    "ProxyUsageError",
    "Settings",
    "Tap",
    "Upstream",
]
