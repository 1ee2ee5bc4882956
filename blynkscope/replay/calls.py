"""Calls of the HTTP API, made again one by one, each on a connection of its own."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

import h11

from blynkscope.protocol.schema import readable
from blynkscope.replay.comparing import Difference
from blynkscope.replay.connection import READ_SIZE, dialled, in_words
from blynkscope.replay.model import Call
from blynkscope.replay.outcome import Outcome, Verdict
from blynkscope.replay.script import CONTENT_COMPARED
from blynkscope.replay.targets import Way

ANSWER_MAX = 256 * 1024
"""Bytes of an answer that are read; no more than its beginning is compared."""


async def made(call: Call, way: Way, context: ssl.SSLContext | None, timeout: float) -> Outcome:
    """Make a call; gives the verdict on its answer.

    Raises:
        ConnectError: The server cannot be reached.
    """
    loop = asyncio.get_running_loop()
    what = f"{call.method} {call.target}"
    reader, writer = await dialled(way, context, timeout)
    began = loop.time()
    try:
        async with asyncio.timeout(timeout):
            status, content = await _exchange(call, way, reader, writer)
    except TimeoutError:
        return Outcome(Verdict.MISSING, "call", call.line, call.n, call.n, None, None, note=f"{what}: no answer")
    except (OSError, h11.ProtocolError, EOFError) as error:
        return Outcome(
            Verdict.MISSING, "call", call.line, call.n, call.n, None, None, note=f"{what}: {in_words(error)}"
        )
    finally:
        writer.close()
        with suppress(OSError):
            writer.transport.abort()
    rtt = round((loop.time() - began) * 1000.0, 3)
    differences = []
    if call.status is not None and status != call.status:
        differences.append(Difference("status", str(call.status), str(status)))
    elif call.answer is not None and (now := readable(content)) != call.answer:
        differences.append(Difference("content", call.answer[:200], now[:200]))
    return Outcome(
        Verdict.DIFFERENT if differences else Verdict.EQUAL, "call", call.line, call.n, call.n, None, None,
        tuple(differences), note=what, recorded_ms=call.rtt_ms, rtt_ms=rtt,
    )  # fmt: skip


async def _exchange(
    call: Call, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[int, bytes]:
    host = f"[{way.target.host}]" if ":" in way.target.host else way.target.host
    content = call.content.encode() if call.content is not None else b""
    headers = [("Host", f"{host}:{way.target.port}"), ("Connection", "close"), ("Accept", "*/*")]
    if call.method != "GET":
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
    http = h11.Connection(h11.CLIENT)
    data = http.send(h11.Request(method=call.method, target=call.target, headers=headers)) or b""
    if content and call.method != "GET":
        data += http.send(h11.Data(data=content)) or b""
    data += http.send(h11.EndOfMessage()) or b""
    writer.write(data)
    await writer.drain()
    status, got, size = 0, bytearray(), 0
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            more = await reader.read(READ_SIZE)
            size += len(more)
            if size > ANSWER_MAX:
                return status, bytes(got)
            http.receive_data(more)
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            got += event.data[: max(0, CONTENT_COMPARED + 1 - len(got))]
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(got)
        elif isinstance(event, h11.ConnectionClosed):
            raise EOFError("the server closed in place of an answer")
