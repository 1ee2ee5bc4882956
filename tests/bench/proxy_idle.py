"""What an idle device with TLS on both legs costs the proxy: memory of its process, by the number of devices.

    python tests/bench/proxy_idle.py [DEVICES] [--uvloop]

The proxy runs in a process of its own; devices and server are in this one. DESIGN: 8,000 such devices in a GiB.
"""

import asyncio
import multiprocessing
import resource
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent / "proxy")]

LOGIN = b"\x1d\0\1\0\x20" + b"0123456789abcdef" * 2
OK = b"\0\0\1\0\xc8"
AT_ONCE = 20


def proxy(pipe, port, ca, pem, uvloop):
    """The proxy's process: tells its port, then its memory each time it is asked."""
    from blynkscope.proxy import Proxy, Settings, Upstream

    class Nobody:
        wants_sent = False
        opened = data = closed = told = staticmethod(lambda *_: None)

    async def run():
        settings = Settings(
            upstream=Upstream("127.0.0.1", port, True), upstream_ca=ca, certificate=pem, per_address=1 << 20
        )
        relay = Proxy(settings, None, Nobody())
        _, own = await relay.start()
        pipe.send(own)
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        loop.add_reader(pipe.fileno(), asked.set)
        while True:
            await asked.wait()
            asked.clear()
            if not pipe.poll():  # the loop may tell twice of one question
                continue
            if not pipe.recv():
                break
            pipe.send((resident(), len(relay.connections)))
        loop.remove_reader(pipe.fileno())
        await relay.close(5)

    if uvloop:
        import uvloop as other

        other.run(run())
    else:
        asyncio.run(run())


def resident():
    """KiB that the process has in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def measure(devices, uvloop):
    import proxy_world as world

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard > 0 else soft, hard))

    async def peer(reader, writer):
        await reader.readexactly(len(LOGIN))
        writer.write(OK)
        await reader.read()

    world.maker()
    context = world.client_tls()
    gate = asyncio.Semaphore(AT_ONCE)

    async def device(port):
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(LOGIN)
            assert await reader.readexactly(len(OK)) == OK
            return writer

    async with world.listening(peer, world.server_tls()) as port:
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=proxy, args=(there, port, world.ca_file(), world.pair("localhost", "127.0.0.1"), uvloop)
        )
        process.start()
        own = await asyncio.to_thread(here.recv)
        # What the first devices cost is code and tables, which the others share.
        writers = await asyncio.gather(*(device(own) for _ in range(AT_ONCE)))
        here.send(True)
        begin, _ = await asyncio.to_thread(here.recv)
        writers += await asyncio.gather(*(device(own) for _ in range(devices)))
        here.send(True)
        end, count = await asyncio.to_thread(here.recv)
        each = (end - begin) / devices
        print(f"{count} devices: {end / 1024:.0f} MiB, {each:.1f} KiB each: {(1 << 20) / each:.0f} in a GiB")
        for writer in writers:
            writer.transport.abort()
        here.send(False)
        await asyncio.to_thread(process.join, 20)
        return each


if __name__ == "__main__":
    arguments = [one for one in sys.argv[1:] if not one.startswith("-")]
    asyncio.run(measure(int(arguments[0]) if arguments else 500, "--uvloop" in sys.argv))
