"""What all outputs have in common, and the way to get one by its name.

Outputs take raw records. Each does the redaction itself and then makes the text safe for its own medium, so that no
caller can forget either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, Any, Protocol

from blynkscope.analysis.records import Record
from blynkscope.render.console import ColorWish, colored, is_terminal, width_of
from blynkscope.render.formats import FORMATS
from blynkscope.render.options import Options
from blynkscope.render.redact import Redactor
from blynkscope.render.streams import binary_of, text_of

__all__ = ["FORMATS", "Output", "binary_of", "make", "options_for", "text_of"]


class Output(Protocol):
    """Takes records in their order; `close` ends the document but leaves the stream open."""

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch. Batches may be of any size; what is complete is flushed."""

    def close(self) -> None:
        """Write what belongs at the end."""


def make(
    format: str,  # noqa: A002
    stream: IO[Any],
    *,
    color: ColorWish = "auto",
    width: int | None = None,
    redactor: Redactor | None = None,
    verbose: int = 0,
    quiet: bool = False,
    background: bool = False,
    inputs: Sequence[str] = (),
    fail_on: str | None = None,
) -> Output:
    """An output by the name of its format.

    Args:
        format: One of `FORMATS`.
        stream: Where to; text outputs take binary streams too and write UTF-8.
        color: "auto", "always" or "never".
        width: Columns; None to ask the terminal.
        redactor: One for the run; None for a new one that hides secrets.
        verbose: 0, or more to show more.
        quiet: Leave out the closing summary and the lines about streams.
        background: Lines may be made by another process (jsonl only): for long input, where a processor is idle.
        inputs: Names of the files that are read, for reports that point at them.
        fail_on: note, warning or error: what `junit` calls a failure; None for warning.

    Raises:
        ValueError: There is no such format.
    """
    options = options_for(stream, color=color, width=width, redactor=redactor, verbose=verbose, quiet=quiet)
    options = replace(options, background=background, inputs=tuple(inputs), fail_on=fail_on or options.fail_on)
    maker = _MAKERS.get(format)
    if maker is None:
        raise ValueError(f"no output format {format!r}; there are {', '.join(FORMATS)}")
    return maker(stream, options)


def options_for(
    stream: IO[Any],
    *,
    color: ColorWish = "auto",
    width: int | None = None,
    redactor: Redactor | None = None,
    verbose: int = 0,
    quiet: bool = False,
) -> Options:
    """What an output to this stream is to look like; the arguments are those of `make`."""
    return Options(
        colored(stream, color), width_of(stream, width), is_terminal(stream), redactor or Redactor(), verbose, quiet
    )


# Modules of outputs are imported when they are asked for: a JSON run needs no table.


def _table(stream: IO[Any], options: Options) -> Output:
    from blynkscope.render.table import Table

    return Table(text_of(stream), options)


def _tree(stream: IO[Any], options: Options) -> Output:
    from blynkscope.render.tree import Tree

    return Tree(text_of(stream), options)


def _jsonl(stream: IO[Any], options: Options) -> Output:
    from blynkscope.render.jsonl import JsonLines

    binary = binary_of(stream)
    output = JsonLines(binary, options)
    if options.background and not options.terminal:
        from blynkscope.render.background import BackgroundLines

        return BackgroundLines(binary, output)
    return output


def _json(stream: IO[Any], options: Options) -> Output:
    from blynkscope.render.json import Json

    return Json(binary_of(stream), options)


def _csv(stream: IO[Any], options: Options) -> Output:
    from blynkscope.render.csv import Csv

    return Csv(text_of(stream, data=True), options)


def _ladder(stream: IO[Any], options: Options) -> Output:
    from blynkscope.render.ladder import Ladder

    return Ladder(text_of(stream), options)


def _mermaid(stream: IO[Any], options: Options) -> Output:
    from blynkscope.render.mermaid import Mermaid

    return Mermaid(text_of(stream), options)


def _summary(stream: IO[Any], options: Options) -> Output:
    from blynkscope.render.digest import Digest

    return Digest(text_of(stream), options)


def _sarif(stream: IO[Any], options: Options) -> Output:
    from blynkscope.render.sarif import Sarif

    return Sarif(text_of(stream, data=True), options)


def _junit(stream: IO[Any], options: Options) -> Output:
    from blynkscope.render.junit import JUnit

    return JUnit(text_of(stream, data=True), options)


_MAKERS: dict[str, Callable[[IO[Any], Options], Output]] = {
    "table": _table,
    "tree": _tree,
    "ladder": _ladder,
    "mermaid": _mermaid,
    "summary": _summary,
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "sarif": _sarif,
    "junit": _junit,
}
