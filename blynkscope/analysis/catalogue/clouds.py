"""BS5xx: other clouds."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

RULES: tuple[Rule, ...] = (
    Rule(
        "BS501",
        "particle-refused",
        Severity.ERROR,
        "Particle",
        "The Particle cloud refused the device's key message",
        "The handshake is: a nonce of 40 bytes by the cloud, the device's key message of 256 bytes, the session key "
        "of 384 bytes by the cloud. The cloud closed in place of the third step. It could not open the message, or "
        "does not know the key of this device: the device's private key, its public key in the cloud, or the cloud's "
        "public key on the device is wrong. They get lost where the supply voltage drops while the flash is written.",
        "Put the device into DFU mode (blinking yellow) and renew both keys: `particle keys doctor DEVICE_ID` makes a "
        "new device key and tells the cloud, `particle keys server` restores the cloud's public key. Use an "
        "up-to-date particle-cli, and give the board a supply that does not sag.",
        "Particle cloud handshake",
    ),
    Rule(
        "BS502",
        "particle-no-nonce",
        Severity.ERROR,
        "Particle",
        "The Particle cloud sent no nonce",
        "The cloud speaks first, with 40 random bytes. Nothing came: the port leads to another machine (a DNS answer "
        "of the router, a proxy), a firewall lets only the handshake of TCP through, or the server is not up.",
        "Check the address to which the device connects (device.spark.io on port 5683) from another network, and the "
        "server address on the device: `particle keys server` in DFU mode restores it together with the key.",
        "Particle cloud handshake",
    ),
    Rule(
        "BS503",
        "particle-closed-early",
        Severity.ERROR,
        "Particle",
        "The handshake with the Particle cloud broke off",
        "The connection ended inside one of the three steps, so it was not a refused key: one side was cut off or "
        "gave up. A device that closes in the middle of it ran into its timeout or restarted.",
        "Try again in another network. If it always ends at the same byte, renew the keys in DFU mode: `particle keys "
        "doctor DEVICE_ID`, then `particle keys server`; and update the system firmware (`particle update`).",
        "Particle cloud handshake",
    ),
)
