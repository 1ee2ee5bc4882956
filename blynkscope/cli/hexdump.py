"""`blynkscope hexdump`: bytes in any notation → annotated dump."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click

from blynkscope.cli import CUT_SHORT, options
from blynkscope.errors import CaptureError, NotationError

if TYPE_CHECKING:
    from blynkscope.wire.notation import Parsed

_LOG_MARKS = re.compile(r"[<>] ?\[|msg \d|[<>] +[A-Z\d]|Cmd:|command=|\"type\"|CMD:|Data")
"""What no notation of bytes holds, and every line of a log that tells a message does."""
_NAME_MAX = 255


@click.command("hexdump")
@click.argument("source", metavar="[BYTES|FILE|-]", default="-")
@click.option("--as", "sender", type=click.Choice(["device", "server", "app"]), help="Who sent the bytes.")
@click.option(
    "--dialect", type=click.Choice(["hardware", "app", "web"]), help="Header to expect; found out without it."
)
@options.era
@click.option("--format", "format_", type=click.Choice(["text", "json", "jsonl"]), default="text", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@options.show_secrets
@options.color
def command(
    source: str,
    sender: str | None,
    dialect: str | None,
    era: str | None,
    format_: str,
    output: Path | None,
    show_secrets: bool,
    color: Any,
) -> None:
    """Take bytes apart: each field's bytes, its name and its meaning.

    BYTES may be hex in any style, b'…', \\x escapes, a C array, a decimal list, a dump by xxd, hexdump, Wireshark or
    tcpdump, or lines of a library's log, like '>[14|00|0D|00|09]'. Where the argument is both bytes and a file's name,
    it is bytes; ./NAME is the file; - reads standard input.
    """
    from blynkscope.analysis.pasted import read, read_log
    from blynkscope.protocol.model import Dialect, Era, Sender
    from blynkscope.render.redact import Redactor
    from blynkscope.render.safe import safe

    options.spare_inputs([output], [source])
    parsed = _parsed(source)
    for note in parsed.notes:
        click.echo(f"note: {safe(note)}", err=True)
    spoken, meaning = Dialect(dialect) if dialect else None, Era(era) if era else None
    if parsed.messages:
        reading = read_log(parsed.messages, dialect=spoken, era=meaning)
    else:
        reading = read(parsed.data, dialect=spoken, sender=Sender(sender) if sender else None, era=meaning)
    redactor = Redactor(show_secrets)
    with options.opened(output) as stream:
        if format_ == "text":
            from blynkscope.render.dump import Dump
            from blynkscope.render.outputs import options_for, text_of

            Dump(text_of(stream), options_for(stream, color=color, redactor=redactor)).show(reading)
        else:
            from blynkscope.render.outputs import make

            out = make(format_, stream, color=color, redactor=redactor)
            out.write(reading.records())
            out.close()
    if reading.cut_short:
        click.echo("the bytes end before their last frame does", err=True)
        sys.exit(CUT_SHORT)


class Input(NamedTuple):
    """What is taken apart: bytes, or the messages that lines of a log tell."""

    data: bytes
    notes: list[str]
    messages: list[Any]


def _bytes(parsed: Parsed) -> Input:
    return Input(parsed.data, parsed.notes, [])


def _log(text: str) -> Input | None:
    """The messages, where the text is in the notation of a library's log; None for any other text."""
    from blynkscope.sources.text import TextSource
    from blynkscope.wire.events import Message

    if not _LOG_MARKS.search(text):
        return None
    source = TextSource(text.encode("utf-8", "replace"), "the text")
    messages = [event for batch in source for event in batch if isinstance(event, Message)]
    return Input(b"", source.notes, messages) if messages else None


def _parsed(source: str) -> Input:
    """The bytes that the argument stands for.

    Raises:
        click.UsageError: It is neither bytes nor a file (exit status 2); the message names the place.
        CaptureError: The file cannot be read (exit status 3).
    """
    from blynkscope.wire.notation import parse_bytes

    if source == "-":
        return _of_file(_bounded(sys.stdin.buffer))
    if (told := _log(source)) is not None:
        return told
    try:
        return _bytes(parse_bytes(source))
    except NotationError as error:
        path = Path(source)
        try:
            there = path.is_file() or path.is_fifo()
        except (OSError, ValueError):
            there = False  # too long or with a NUL: the name of no file
        if not there:
            raise _refusal(error, path) from error
    try:
        with path.open("rb") as file:
            return _of_file(_bounded(file))
    except OSError as problem:
        raise CaptureError(f"cannot read the file: {problem.strerror}") from problem


def _refusal(error: NotationError, path: Path | None = None) -> click.UsageError:
    from blynkscope.render.safe import safe

    text = str(error)
    if path is not None and len(path.name) <= _NAME_MAX and (path.suffix or len(path.parts) > 1):
        text = f"there is no file {path}, and it is no notation of bytes either: {text}"
    return click.UsageError(safe(text))


def _bounded(file: IO[bytes]) -> bytes:
    from blynkscope.protocol import limits

    data = file.read(limits.PASTE_MAX + 1)
    if len(data) > limits.PASTE_MAX:
        raise click.UsageError(f"more than {limits.PASTE_MAX} bytes; blynkscope decode reads long streams")
    return data


def _of_file(data: bytes) -> Input:
    """Text in a notation, or the bytes themselves."""
    from blynkscope.wire.notation import parse_bytes
    from blynkscope.wire.recognise import name_bytes

    binary = b"\0" in data or any(byte < 0x20 and byte not in b"\t\n\r\f" for byte in data[:4096])
    if not binary:
        try:
            text = data.decode("utf-8-sig")
            return _log(text) or _bytes(parse_bytes(text))
        except UnicodeDecodeError:
            pass
        except NotationError as error:
            # Text that is a protocol of its own is no notation of bytes: it is what was recorded.
            if name_bytes(data).kind not in {"http", "websocket", "ssh"}:
                raise _refusal(error) from error
    if not data:
        raise click.UsageError("the input is empty")
    return Input(data, [], [])
