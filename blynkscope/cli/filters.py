"""`blynkscope filters`: the filter language."""

from __future__ import annotations

import textwrap

import click


@click.command()
def command() -> None:
    """The keys and words of filter expressions, with examples."""
    from blynkscope.analysis.filters import KEYS, WORDS, field_names

    fields = ", ".join(sorted(field_names() - KEYS.keys()))
    lines = [
        "Compare a key with a value: == != < <= > >= contains ~ (regular expression) in {…}",
        "Join comparisons with: and, or, not, ( )",
        "Commands and statuses may be written by number or by any of their names.",
        "A frame without the key is in no comparison with it; == null and != null ask whether it has the key.",
        "",
        "  cmd == MSG_HW and pin == V1 and not confirmed",
        "  status != SUCCESS and sender == server",
        "  pin in {V1, V2} and value > 20",
        '  text contains "ota" or rtt_ms > 500',
        "  sender == server and answers == null",
        "",
        "Keys:",
        *(f"  {key:<12} {text}" for key, text in KEYS.items()),
        "",
        "Keys of bodies, by command; any other can be written fields.KEY:",
        *textwrap.wrap(fields, 78, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False),
        "",
        "Words:",
        *(f"  {word:<12} {text}" for word, text in WORDS.items()),
        "",
        "Where an expression names a state or `write`, lines of writes wait until their state is final.",
    ]
    click.echo("\n".join(lines))
