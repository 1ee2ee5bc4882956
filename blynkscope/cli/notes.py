"""What a command tells a person beside its data."""

from __future__ import annotations

import click


def say(*notes: str) -> None:
    """Notes for a person, one a line, to standard error."""
    from blynkscope.render.safe import safe

    for note in notes:
        click.echo(safe(note), err=True)
