"""The session's state machine as a page: what each party's state becomes, and the diagram of it."""

from __future__ import annotations

from typing import IO

from blynkscope.analysis.session import MACHINE, Party, State, mermaid
from blynkscope.render.console import ColorWish, make_console, width_of
from blynkscope.render.reference import PROSE, headline, print_lines, prose, write_json

_ABOUT = (
    "Each party of a conversation has a state. The client logs in: a device, an app, or, over Bluetooth or a serial"
    " line without a server between them, the phone, which logs in to the device. What is not listed changes nothing."
)
_OWN = {
    Party.CLIENT: "Client (logs in)",
    Party.SERVER: "Server (is logged in to)",
}


def write_machine(stream: IO[str], form: str, color: ColorWish) -> None:
    """Write the machine.

    Args:
        stream: Where to.
        form: "text", "json" (which holds the Mermaid diagrams too) or "mermaid" (the client's diagram alone).
        color: Wish for colour; only the text has any.
    """
    if form == "mermaid":
        stream.write(mermaid(Party.CLIENT) + "\n")
        return
    if form == "json":
        write_json(
            stream,
            {
                "machine": {
                    party: {state: dict(changes) for state, changes in MACHINE[party].items()} for party in Party
                },
                "mermaid": {party: mermaid(party) for party in Party},
            },
        )
        return
    console = make_console(stream, color, min(width_of(stream), PROSE))
    headline(console, "The session of a stream")
    prose(console, _ABOUT)
    widest = max(len(state) for state in State)
    for party in Party:
        console.print()
        headline(console, _OWN[party])
        lines = []
        for state, changes in MACHINE[party].items():
            for place, (what, then) in enumerate(changes.items()):
                lines.append(f"  {state if not place else '':{widest}}  {what:9}  →  {then}")
        print_lines(console, lines)
