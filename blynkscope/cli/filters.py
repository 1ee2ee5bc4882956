"""`blynkscope filters`: the filter language."""

from __future__ import annotations

import sys
import textwrap

import click

_WIDEST = 120
_KEY = 15
"""Columns before the meaning of a key."""


@click.command()
def command() -> None:
    """The keys and words of filter expressions, with examples."""
    from blynkscope.analysis.filters import KEYS, WORDS, field_names
    from blynkscope.render.console import width_of

    width = min(width_of(sys.stdout), _WIDEST)

    def said(text: str) -> list[str]:
        return textwrap.wrap(text, width)

    def meaning(key: str, text: str) -> list[str]:
        return textwrap.wrap(text, width, initial_indent=f"  {key:<12} ", subsequent_indent=" " * _KEY)

    fields = ", ".join(sorted(field_names() - KEYS.keys()))
    lines = [
        *said("Compare a key with a value: == != < <= > >= contains ~ (regular expression) in {…}"),
        *said("Join comparisons with: and, or, not, ( )"),
        *said("Commands and statuses may be written by number or by any of their names."),
        *said("A frame without the key is in no comparison with it; == null and != null ask whether it has the key."),
        *said(
            "HTTP calls and MQTT packets are asked like frames; a filter on what only frames have (cmd, id, body,"
            " write) hides them, and one on protocol or kind hides the frames."
        ),
        "",
        "  cmd == MSG_HW and pin == V1 and not confirmed",
        "  status != SUCCESS and sender == server",
        "  pin in {V1, V2} and value > 20",
        '  text contains "ota" or rtt_ms > 500',
        "  sender == server and answers == null",
        "  protocol == http and error or kind == ota-start",
        "",
        "Keys:",
        *(line for key, text in KEYS.items() for line in meaning(key, text)),
        "",
        *said("Keys of bodies, by command, and of HTTP and MQTT; any other can be written fields.KEY:"),
        *textwrap.wrap(fields, min(width, 78), initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False),
        "",
        "Words:",
        *(line for word, text in WORDS.items() for line in meaning(word, text)),
        "",
        *said("Where an expression names a state or `write`, lines of writes wait until their state is final."),
    ]
    click.echo("\n".join(lines))
