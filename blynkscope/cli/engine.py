"""What takes a capture apart: our own readers, or tshark."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from blynkscope.cli.keys import key_data
from blynkscope.sources import Source, open_input

F = TypeVar("F", bound=Callable[..., Any])

ENGINES = ("native", "tshark")

_OPTIONS = (
    click.option(
        "--engine",
        "engine_",
        type=click.Choice(ENGINES),
        default="native",
        show_default=True,
        help="tshark opens what only Wireshark can: encrypted Wi-Fi, tunnels, exotic link types.",
    ),
    click.option(
        "--wpa",
        multiple=True,
        metavar="KEY",
        help="Key of encrypted Wi-Fi for tshark: passphrase:ssid, passphrase, or 64 hex digits.",
    ),
    click.option(
        "--decode-as", multiple=True, metavar="RULE", help="A rule for tshark, like tcp.port==8888,tls (as its -d)."
    ),
)


def options(function: F) -> F:
    """The options that choose the engine."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def opener(
    engine: str, wpa: Sequence[str], decode_as: Sequence[str], keylog: Sequence[Path]
) -> Callable[[str], Source]:
    """What opens an input with this engine.

    Raises:
        CaptureError: A key log cannot be read.
        UsageError: The options do not go together.
    """
    if engine == "native":
        if wpa or decode_as:
            raise click.UsageError("--wpa and --decode-as go with --engine tshark")
        return open_input
    keys = _joined(keylog)

    def opened(name: str) -> Source:
        from blynkscope.sources.tshark import TsharkSource

        try:
            return TsharkSource(name, keylog=keys, wpa=wpa, decode_as=decode_as)
        except ValueError as error:
            raise click.UsageError(str(error)) from error

    return opened


def _joined(paths: Sequence[Path]) -> Path | None:
    """One file for all key logs, which is all that tshark takes; the file of the environment where none is given.

    Raises:
        CaptureError: A file that was named with `--keylog` cannot be read.
    """
    data = key_data(paths)
    if data is None or len(paths) == 1:
        return paths[0] if paths else None
    folder = tempfile.TemporaryDirectory(prefix="blynkscope-")
    click.get_current_context().call_on_close(folder.cleanup)
    joined = Path(folder.name) / "keys"
    joined.touch(mode=0o600)
    joined.write_bytes(data)
    return joined
