"""The paths on which Blynk servers take a WebSocket, and what is spoken inside."""

from __future__ import annotations

from typing import Literal

from blynkscope.protocol.model import Dialect

DEVICE_PATH, DASHBOARD_PATH, MQTT_PATH = "/websockets", "/dashws", "/mqtt"
MQTT: Literal["mqtt"] = "mqtt"

WEBSOCKETS: dict[str, Dialect | Literal["mqtt"]] = {
    DEVICE_PATH: Dialect.HARDWARE,
    DASHBOARD_PATH: Dialect.WEB,
    MQTT_PATH: MQTT,
}


def spoken(path: str, subprotocol: str | None = None) -> Dialect | Literal["mqtt"] | None:
    """What is spoken inside a WebSocket; None where these do not tell.

    Args:
        path: Of the upgrade's request, without its query. Slashes at its end do not count.
        subprotocol: The `Sec-WebSocket-Protocol` that was agreed, or asked for. It counts more than the path.
    """
    if (subprotocol or "").lower().startswith(MQTT):
        return MQTT
    return WEBSOCKETS.get(path.rstrip("/"))
