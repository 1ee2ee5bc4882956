"""Scripts of recordings and of hand-made talks, and both sides of a replay in one loop."""

import asyncio
import contextlib
import ssl
from pathlib import Path

from captures_of import CAPTURES
from talk import TOKEN, Talk, frame, ping, status, sync, write

from blynkscope.analysis.analyser import Analyser
from blynkscope.protocol.model import Dialect
from blynkscope.replay.comparing import Heard
from blynkscope.replay.listener import Listener, ListenSettings
from blynkscope.replay.model import Line, Said
from blynkscope.replay.player import Player, Playing
from blynkscope.replay.script import ScriptMaker
from blynkscope.replay.targets import Target
from blynkscope.sources import open_input
from blynkscope.wire.keylog import KeyLog

DEADLINE = 30.0


def path_of(name):
    return next(
        path for path in (CAPTURES / name, CAPTURES / f"{name}.pcap", CAPTURES / "logs" / name) if path.exists()
    )


def script_of(name, streams=()):
    """The script of a recording of the repository."""
    path = path_of(name)
    keys = path.with_suffix(".keys")
    analyser = Analyser(findings=False, keys=KeyLog(keys.read_bytes()) if keys.exists() else None)
    maker = ScriptMaker(streams)
    for events in open_input(path):
        maker.feed(analyser.feed(events))
    maker.feed(analyser.finish())
    return maker.finish()


class Taped(Talk):
    """A hand-made talk whose records become a script."""

    def __init__(self, **options):
        self.maker = ScriptMaker()
        super().__init__(**options)

    def _tell(self, event):
        self.maker.feed(self.analyser.feed([event]))
        return self

    def script(self):
        self.maker.feed(self.analyser.finish())
        return self.maker.finish()


def logged_in(**options):
    return Taped(**options).device(frame(29, 1, TOKEN)).server(status(1))


def healthy():
    """A login, a write that is synchronised, a property, a ping; the device closes."""
    talk = logged_in()
    talk.device(write(2, b"1", b"21"), sync(3, b"1")).server(write(3, b"1", b"21"))
    talk.device(frame(19, 4, b"1", b"label", b"Room")).server(status(4))
    talk.server(write(7, b"5", b"on"))
    talk.device(ping(5)).server(status(5))
    return talk.close().script()


def line_of(*frames, dialect=Dialect.HARDWARE, ended=""):
    """A connection: frames as (client, cmd, id, body or status, number of what it answers)."""
    said = []
    for n, (client, cmd, number, content, answers) in enumerate(frames, 1):
        body, word = (b"", content) if cmd == 0 else (content, len(content))
        said.append(Said(n, 1, float(n), client, cmd, number, word, body, answers, 1.0 if answers else None))
    return Line(1, dialect, dialect, False, None, False, False, tuple(said), ended, 0.0, None)


def heard(cmd, number, content=b"", time=0.0):
    body, word = (b"", content) if cmd == 0 else (content, len(content))
    return Heard(cmd, number, word, body, time)


def trusting(authority):
    return ssl.create_default_context(cadata=authority.certificate_pem.decode())


async def together(script, authority=None, *, recorded=None, target=None, **playing):
    """Play both sides of a recording; gives the verdicts and accounts of the device's and of the server's side."""
    there, here = [], []
    listener = Listener(recorded or script, ListenSettings(once=True, speed=None), authority, there.append)
    host, port = await listener.open()
    serving = asyncio.create_task(listener.run())
    try:
        options = {"timeout": 2.0, "context": trusting(authority) if authority else None} | playing
        player = Player(script, Playing(targets=[(target or Target)(host, port)], **options), here.append)
        report = await asyncio.wait_for(player.run(), DEADLINE)
        await asyncio.wait({serving}, timeout=0.0 if report.departs else DEADLINE)
    finally:
        if not serving.done():
            serving.cancel()
        account = await serving
    return here, report, there, account


class Server:
    """A server of one's own: `talk(reader, writer)` for each connection."""

    def __init__(self, talk, context=None):
        self._talk, self._context = talk, context
        self.port = 0

    async def __aenter__(self):
        self._tasks = set()

        async def serve(reader, writer):
            self._tasks.add(asyncio.current_task())
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await self._talk(reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await writer.wait_closed()

        self._server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def frames_from(reader):
    """The frames of a device, as they come."""
    while True:
        head = await reader.readexactly(5)
        cmd, number, word = head[0], int.from_bytes(head[1:3], "big"), int.from_bytes(head[3:], "big")
        yield cmd, number, (await reader.readexactly(word)) if cmd else word


async def played(script, talk, secure=None, **playing):
    """Play a script to a server of one's own."""
    outcomes = []
    async with Server(talk, secure) as server:
        target = Target("127.0.0.1", server.port, **({"tls": True, "websocket": False} if secure else {}))
        options = {"timeout": 1.0} | playing
        player = Player(script, Playing(targets=[target], **options), outcomes.append)
        return outcomes, await asyncio.wait_for(player.run(), DEADLINE)


def verdicts(outcomes):
    return [(outcome.verdict.value, outcome.n) for outcome in outcomes]


def counted(**given):
    """The counts of an account: all verdicts, also those that nothing got."""
    return {"equal": 0, "different": 0, "missing": 0, "extra": 0, "unplayed": 0} | given


HERE = Path(__file__).parent
