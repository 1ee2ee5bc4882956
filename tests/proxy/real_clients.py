"""Clients of PyPI as a user has them: log in, write, hear a write, sync, ping, and come back after the server left.

A program of its own for each, as they keep state in their classes: `python real_clients.py NAME PORT TOKEN [CA]`. It
prints, as JSON, what the client was told.
"""

import contextlib
import io
import json
import ssl
import sys
import time

PATIENCE = 20.0
HEARTBEAT = 1
WRITTEN, HEARD, SYNCED, LEAVE, ASKED = 2, 1, 5, 9, 6
"""Pins: written by the device, answered on, synchronised, at which the server leaves, and one that tells of pings."""


def blynklib(port, token, ca):
    import blynklib as library

    library.Blynk.RECONNECT_SLEEP = 0
    options = {"ssl_cert": ca} if ca else {}
    blynk = library.Blynk(token, server="localhost", port=port, heartbeat=HEARTBEAT, **options)
    events = []

    @blynk.handle_event("connect")
    def connect():
        events.append(["connected"])

    @blynk.handle_event(f"write V{HEARD}")
    def heard(pin, values):
        events.append(["heard", *values])

    @blynk.handle_event(f"write V{SYNCED}")
    def synced(pin, values):
        events.append(["synced", *values])

    @blynk.handle_event(f"write V{ASKED}")
    def asked(pin, values):
        events.append(["ping", *values])

    if not blynk.connect(timeout=0):
        return ["refused"]
    return talk(blynk, events, blynk.virtual_sync)


def library_python(port, token, ca):
    """It has no TLS of its own; its protocol does not mind what is below."""
    import BlynkLib as library

    class Blynk(library.Blynk):
        def _write(self, data):
            if ca and not isinstance(self.conn, ssl.SSLSocket):
                context = ssl.create_default_context(cafile=ca)
                self.conn.settimeout(PATIENCE)
                self.conn = context.wrap_socket(self.conn, server_hostname="localhost")
                self.conn.settimeout(0.05)
            super()._write(data)

    events = []
    blynk = Blynk(token, server="localhost", port=port, heartbeat=HEARTBEAT)
    blynk.on("connected", lambda **_: events.append(["connected"]))
    blynk.on("disconnected", lambda: events.append(["disconnected"]))
    blynk.on(f"V{HEARD}", lambda values: events.append(["heard", *values]))
    blynk.on(f"V{SYNCED}", lambda values: events.append(["synced", *values]))
    blynk.on(f"V{ASKED}", lambda values: events.append(["ping", *values]))
    end = time.monotonic() + PATIENCE
    while not events and time.monotonic() < end:
        blynk.run()
    if events == [["disconnected"]]:
        return ["refused"]

    def again():
        # It leaves it to its user to come back.
        if events[-1] == ["disconnected"]:
            events.pop()
            blynk.conn.close()
            blynk.connect()

    found = talk(blynk, events, blynk.sync_virtual, again)
    blynk.conn.close()
    return found


def talk(blynk, events, sync, again=lambda: None):
    """What both do, call by call, as either takes one message out of what it reads."""

    def until(*wanted):
        end = time.monotonic() + PATIENCE
        while events[-1][: len(wanted)] != list(wanted):
            assert time.monotonic() < end, (wanted, events)
            again()
            try:
                blynk.run()
            except OSError:  # blynk-library-python leaves it to its user that nobody is there any more
                blynk.disconnect()

    until("connected")
    for value in range(3):
        blynk.virtual_write(WRITTEN, f"é{value}")
        until("heard", f"é{value}")
    sync(SYNCED)
    until("synced")
    until("ping")
    blynk.virtual_write(LEAVE, 1)
    until("connected")
    blynk.virtual_write(WRITTEN, "back")
    until("heard", "back")
    blynk.disconnect()
    return [event for event in events if event != ["disconnected"]]


if __name__ == "__main__":
    name, port, token, *ca = sys.argv[1:]
    with contextlib.redirect_stdout(io.StringIO()):
        said = {"blynklib": blynklib, "blynk-library-python": library_python}[name](int(port), token, (ca or [None])[0])
    print(json.dumps(said))
