"""`blynkscope wireshark`: a dissector for Wireshark and tshark, made from the command table."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command("wireshark")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), metavar="FILE",
    help="Write to FILE, not to stdout.",
)  # fmt: skip
@click.option("--install", "install_", is_flag=True, help="Put it in your Wireshark plug-in folder.")
@click.option("--uninstall", "uninstall_", is_flag=True, help="Take it out of your Wireshark plug-in folder.")
@click.option("--force", is_flag=True, help="Replace or remove a file of that name that is not ours.")
def command(output: Path | None, install_: bool, uninstall_: bool, force: bool) -> None:
    """Write a Lua dissector of the Blynk protocol for Wireshark and tshark.

    It reads plain streams, TLS (with Wireshark's key log) and WebSocket, names commands and statuses, splits bodies
    into columns, and links responses to their requests. Filters begin with `blynk.`, like
    `blynk.pin == "V1" && blynk.value == "42"` or `blynk.status != 200`.

    Wireshark does not put together WebSocket messages of several frames that are compressed or end with an empty frame:
    they are marked (`blynk.expert.parts`), and `blynkscope decode` reads them.
    """
    if install_ + uninstall_ + (output is not None) > 1:
        raise click.UsageError("-o, --install and --uninstall exclude each other")
    if force and not (install_ or uninstall_):
        raise click.UsageError("--force goes with --install or --uninstall")
    from blynkscope.wireshark import install
    from blynkscope.wireshark.generator import dissector

    if install_:
        _install(force)
    elif uninstall_:
        _uninstall(force)
    elif output is None or str(output) == "-":
        click.echo(dissector(), nl=False)
    else:
        install.write(output, dissector())


def _install(force: bool) -> None:
    from blynkscope.render.safe import safe
    from blynkscope.wireshark import install
    from blynkscope.wireshark.generator import dissector

    folder, named = install.plugin_folder()
    path = install.install(folder, dissector(), force=force)
    click.echo(f"installed: {safe(str(path))}")
    click.echo("to check:  tshark -G protocols | grep -i blynk   (Wireshark itself must be started anew)")
    click.echo("to remove: blynkscope wireshark --uninstall, or delete the file")
    if not named:
        click.echo(
            "note: tshark was not found, so this is where Wireshark usually looks; Help > About Wireshark > Folders"
            " names the place (Personal Lua Plugins)",
            err=True,
        )
    if _is_root():
        click.echo(
            "note: you are root, and this is root's own folder. Wireshark that runs as root may leave Lua dissectors"
            " out (run_user_scripts_when_superuser in its init.lua): better capture as a user in the group wireshark",
            err=True,
        )


def _uninstall(force: bool) -> None:
    from blynkscope.render.safe import safe
    from blynkscope.wireshark import install

    folder, _ = install.plugin_folder()
    path = install.uninstall(folder, force=force)
    if path is None:
        click.echo(f"nothing to remove: there is no {install.FILE_NAME} in {safe(str(folder))}")
    else:
        click.echo(f"removed: {safe(str(path))}")


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0
