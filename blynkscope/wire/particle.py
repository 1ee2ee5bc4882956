"""The handshake of the Particle (Spark) cloud on TCP port 5683, told by its byte counts: all of it is encrypted.

The server begins with a nonce; the device answers with its key message (the nonce and its id, encrypted with the
server's key); the server ends with the session key and a signature. Then both sides speak AES-128-CBC.
"""

from __future__ import annotations

NONCE_SIZE = 40
KEY_SIZE = 256
SESSION_SIZE = 384
