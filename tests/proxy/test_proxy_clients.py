"""The real client of PyPI through the proxy, against a small real peer."""

import asyncio
import contextlib
import io
import struct
import time

import pytest
from proxy_world import PATIENCE, ca_file, listening, proxying, server_tls, until_closed, world

TOKEN = "0123456789abcdef0123456789abcdef"
WRITES = 30


class Peer:
    """Answers a device as a server does; keeps the bytes of both directions."""

    def __init__(self):
        self.heard, self.said = bytearray(), bytearray()
        self.writes = 0

    async def __call__(self, reader, writer):
        while True:
            head = await reader.readexactly(5)
            cmd, number, word = struct.unpack(">BHH", head)
            self.heard += head + await reader.readexactly(word if cmd else 0)
            if cmd in (2, 6, 17, 29):
                self.say(writer, struct.pack(">BHH", 0, number, 200))
            elif cmd == 20:
                self.writes += 1
                if self.writes % 5 == 0:
                    body = b"vw\0001\0%d" % self.writes
                    self.say(writer, struct.pack(">BHH", 20, self.writes, len(body)) + body)

    def say(self, writer, data):
        self.said += data
        writer.write(data)


def device(port, secure):
    """blynklib 0.2.6: one frame a recv while it logs in."""
    import blynklib

    got = []
    with contextlib.redirect_stdout(io.StringIO()):
        blynk = blynklib.Blynk(
            TOKEN, server="127.0.0.1", port=port, heartbeat=60, **({"ssl_cert": str(ca_file())} if secure else {})
        )

        @blynk.handle_event("write V1")
        def write(pin, values):
            got.append(values)

        assert blynk.connect(timeout=PATIENCE)
        end = time.monotonic() + PATIENCE
        for value in range(WRITES):
            blynk.virtual_write(2, value)
            # It takes one frame out of what it reads, so each answer is awaited.
            while len(got) < (value + 1) // 5 and time.monotonic() < end:
                blynk.run()
        blynk.disconnect()
    return got


@pytest.mark.parametrize("secure", [False, True])
def test_blynklib(secure):
    async def work():
        peer = Peer()
        async with (
            listening(peer, server_tls() if secure else None) as port,
            proxying(port, tls=secure) as (own, seen, _),
        ):
            got = await asyncio.to_thread(device, own, secure)
            await seen.until(until_closed())
        assert [values[0] for values in got] == [str(number) for number in range(5, WRITES + 1, 5)]
        assert bytes(seen.bytes[1, 0]) == bytes(peer.heard)
        assert bytes(seen.bytes[1, 1]) == bytes(peer.said)
        assert "proxy-upstream-failed" not in seen.kinds()

    world(work)
