"""Ports on which Blynk servers listen. A hint only: what a stream speaks is told from its bytes."""

from __future__ import annotations

DEVICE_PORTS = frozenset({80, 8080, 8442})
"""Plain hardware dialect; 80 and 8080 carry HTTP and WebSocket as well, 8442 is the old hardware port."""

TLS_PORTS = frozenset({443, 9443, 8441, 8443})
"""TLS: hardware, app, HTTPS and WSS on 443 and 9443; 8441 (hardware) and 8443 (app) are old."""

PLAIN_PORT, TLS_PORT = 8080, 9443
"""What a self-hosted legacy server listens on unless it is told otherwise."""

MQTT_PORTS = frozenset({1883, 8883})
SECURE_PORTS = TLS_PORTS | {8883}
"""Ports on which a client begins with TLS: those above, and MQTT's."""

PARTICLE_PORT = 5683

SERVER_PORTS = DEVICE_PORTS | TLS_PORTS | MQTT_PORTS | {PARTICLE_PORT}

OLD_PORTS = frozenset({8442, 8441, 8443})
"""Ports on which only old legacy servers listen."""
