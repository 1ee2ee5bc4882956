"""Clients of PyPI as a user has them, through everything that they can do and a restart of their server.

A program of its own for each, as they keep state in their classes: `python serve_pypi_client.py CLIENT NAME PORT TOKEN
[CA]`. It prints, as JSON, what the client was told, repetitions left out.

The other side answers a write of V2 with a write of V1: `first` with `rest`, `second` with `app`, `back` with `bye`; and
it leaves, for a while, after V9 was written, or says `bye` at once.
"""

import contextlib
import io
import json
import ssl
import sys
import time

PATIENCE = 40.0
AGAIN = 2.0
"""Seconds after which a request is repeated: blynklib takes one frame out of a read, and loses the others."""
HEARTBEAT = 1


class Events(list):
    """What the client was told."""

    def told(self, *event):
        if self[-1:] != [list(event)]:
            self.append(list(event))


def blynklib(port, token, ca, events):
    import blynklib as library

    library.Blynk.RECONNECT_SLEEP = 0
    options = {"ssl_cert": ca} if ca else {}

    def log(text, *_):
        text = str(text)
        if text.startswith("Response status: "):
            events.told("status", int(text.split()[-1]))
        elif text.startswith("Heartbeat time"):
            events.told("ping")
        elif "Invalid Auth Token" in text:
            events.told("refused")

    blynk = library.Blynk(token, server="localhost", port=port, heartbeat=HEARTBEAT, log=log, **options)
    blynk.handle_event("connect")(lambda: events.told("connected"))
    blynk.handle_event("write V1")(lambda pin, values: events.told("heard", *values))
    blynk.handle_event("internal_rtc")(lambda values: events.told("time", len(values[0])))
    # handle_event keeps the function that it decorates in a class of its own.
    if not blynk.connect(timeout=0):
        return
    talk(blynk, events, sync=blynk.virtual_sync, clock=lambda: blynk.internal("rtc", "sync"))
    blynk.disconnect()


def library_python(port, token, ca, events):
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

    def log(mark, *what):
        if what[:1] == (library.MSG_RSP,) and mark == ">":
            events.told("status", what[3])
        elif what[:1] == (library.MSG_INTERNAL,) and mark == ">":
            # It tells its user of these by their second word.
            events.told("time", len(what[3].split(",")[1]))
        elif what[:1] == (library.MSG_PING,):
            events.told("ping")

    blynk = Blynk(token, server="localhost", port=port, heartbeat=HEARTBEAT, log=log)
    blynk.on("connected", lambda **_: events.told("connected"))
    blynk.on("disconnected", lambda: events.told("disconnected"))
    blynk.on("V1", lambda values: events.told("heard", *values))
    end = time.monotonic() + PATIENCE
    while ["connected"] not in events and ["disconnected"] not in events and time.monotonic() < end:
        blynk.run()
    if ["status", 9] in events:
        events[:] = [["refused"]]
        return

    def again():
        # It leaves it to its user to come back.
        if events[-1] == ["disconnected"]:
            events.pop()
            blynk.conn.close()
            with contextlib.suppress(ValueError, OSError):
                blynk.connect()
                return
            events.told("disconnected")

    def clock():
        blynk._send(library.MSG_INTERNAL, "rtc", "sync")

    talk(blynk, events, sync=blynk.sync_virtual, clock=clock, again=again)
    blynk.conn.close()


def talk(blynk, events, *, sync, clock, again=lambda: None):
    """What both do, call by call, as either takes one message out of what it reads."""

    def until(*wanted, ask=lambda: None, other=("never",)):
        """Ask, until an event comes that begins so, or is the other one; tells whether it was that."""
        begin, asked, end = len(events), 0.0, time.monotonic() + PATIENCE
        while not any(event[: len(wanted)] == list(wanted) or event == list(other) for event in events[begin:]):
            now = time.monotonic()
            assert now < end, (wanted, events)
            try:
                if now - asked > AGAIN:
                    asked = now
                    ask()
                again()
                blynk.run()
            except OSError:  # blynk-library-python leaves it to its user that nobody is there any more
                blynk.disconnect()
        bye = list(other) in events[begin:]
        events.told("-")
        return bye

    until("heard", "rest", ask=lambda: blynk.virtual_write(2, f"first {NAME} é"))
    until("heard", "app", ask=lambda: blynk.virtual_write(2, f"second {NAME} é"))
    until("status", 200, ask=lambda: blynk.set_property(2, "color", "#112233"))
    until("status", 200, ask=lambda: blynk.notify("hello"))
    until("time", ask=clock)
    until("heard", "app", ask=lambda: sync(1))
    until("ping")
    if until("connected", ask=lambda: blynk.virtual_write(9, f"leave {NAME}"), other=("heard", "bye")):
        return
    until("heard", "app", ask=lambda: sync(1))
    until("heard", "bye", ask=lambda: blynk.virtual_write(2, f"back {NAME} é"))


if __name__ == "__main__":
    client, NAME, port, token, *ca = sys.argv[1:]
    events = Events()
    with contextlib.redirect_stdout(io.StringIO()):
        {"blynklib": blynklib, "library-python": library_python}[client](int(port), token, (ca or [None])[0], events)
    print(json.dumps(events))
