"""`blynkscope filters`: the filter language."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """The keys and words of filter expressions, with examples."""
    from blynkscope.analysis.filters import KEYS, WORDS

    lines = [
        "Compare a key with a value: == != < <= > >= contains ~ (regular expression) in {…}",
        "Join comparisons with: and, or, not, ( )",
        "Commands and statuses may be written by number or by any of their names.",
        "",
        "  cmd == MSG_HW and pin == V1 and not confirmed",
        "  status != SUCCESS and sender == server",
        "  pin in {V1, V2} and value > 20",
        '  text contains "ota" or rtt_ms > 500',
        "",
        "Keys (and those of the body, like op, property, event, ver, or fields.KEY):",
        *(f"  {key:<12} {text}" for key, text in KEYS.items()),
        "",
        "Words:",
        *(f"  {word:<12} {text}" for word, text in WORDS.items()),
    ]
    click.echo("\n".join(lines))
