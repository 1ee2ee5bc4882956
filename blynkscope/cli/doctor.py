"""`blynkscope doctor`: what this machine has and lacks, what that is for, and how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from blynkscope.cli import options

if TYPE_CHECKING:
    from blynkscope.render.checkup import Check

LACKING = 4
"""Exit status where something is missing."""


@click.command("doctor")
@click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Form of the output.",
)  # fmt: skip
@click.option(
    "--strict", is_flag=True,
    help="End with status 4 where anything is not ok, essential or not; what is optional may be absent.",
)  # fmt: skip
@options.color
@click.pass_context
def command(ctx: click.Context, format_: str, strict: bool, color: Any) -> None:
    """Look at what this machine has and lacks: what each thing is for, and how to mend it.

    Looked at are Python and its packages, TLS (which old versions and ciphers are possible, by real handshakes in
    memory), the CA of the proxy, the ways of sniffing and who may use them (each is opened for a moment), tshark and
    the dissector for Wireshark, the clock, the terminal, limits, ports, and the configuration file: its values for all
    commands, where each of the others judges those that it takes itself. Nothing is written.

    The exit status is 0 where all that is essential is there, else 4.
    """
    from blynkscope import __version__
    from blynkscope.cli.config import chosen_in
    from blynkscope.cli.doctor_mending import system_name
    from blynkscope.render.checkup import State, write_checkup

    found = list(checks(chosen_in(ctx).path))
    write_checkup(sys.stdout, format_, found, version=__version__, system=system_name(), color=color)
    if any(not one.state.is_well if strict else one.essential and one.state is State.MISSING for one in found):
        sys.exit(LACKING)


def checks(configuration: str | None) -> Iterator[Check]:
    """All checks, in the order in which they are shown.

    Args:
        configuration: The configuration file, whether it is there or not; None for none.
    """
    from blynkscope.cli import doctor_capture, doctor_machine, doctor_tls

    def config() -> Check:
        return doctor_machine.configuration(configuration)

    for title, looks in (
        ("Python", doctor_machine.PYTHON),
        ("TLS", doctor_tls.TLS),
        ("Capture", doctor_capture.CAPTURE),
        ("Wireshark", doctor_capture.WIRESHARK),
        ("Machine", {**doctor_machine.MACHINE, "configuration": config}),
    ):
        for name, look in looks.items():
            yield from _looked(title, name, look)


def _looked(group: str, name: str, look: Callable[[], Check | None]) -> Iterator[Check]:
    """The outcome of a check; what goes wrong in one must not keep anyone from the others."""
    from blynkscope.render.checkup import Check, State

    try:
        check = look()
    except Exception as error:
        text = f"could not be looked at: {type(error).__name__}: {error}"
        yield Check(id=name, group=group, title=name, state=State.WARN, found=text, enables="(see the message)")
        return
    if check is not None:
        yield check
