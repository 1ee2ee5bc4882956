"""`blynkscope proxy`: between a device and its server; every frame is shown as it passes."""

from __future__ import annotations

import contextlib
import ipaddress
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blynkscope.cli import options
from blynkscope.cli.kinds import LOCAL, Listen, Network
from blynkscope.cli.notes import say
from blynkscope.cli.onlooking import Asked, Onlooker, about_rules, apart, onlooking_options, own_addresses, rule_set
from blynkscope.protocol.ports import PLAIN_PORT, TLS_PORT

if TYPE_CHECKING:
    from blynkscope.cli.intercept import Interception
    from blynkscope.proxy import Settings, Upstream

_PRIVILEGED = 1024
_FILE = click.Path(dir_okay=False, path_type=Path)
_READ = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command()
@click.option(
    "--upstream", metavar="HOST:PORT",
    help="The server: HOST:PORT (443, 8441, 8443, 8883 and 9443 are TLS), tls://HOST:PORT, tcp://HOST:PORT; or auto, "
    "the one of Blynk's that the device asks for in TLS.",
)  # fmt: skip
@click.option(
    "--listen", type=Listen(), default=LOCAL, metavar="[HOST:]PORT",
    help="Where devices connect to, plain and TLS alike; 0.0.0.0:PORT for the network.  [default: 127.0.0.1, and the "
    "upstream's port, or 8080 or 9443 where that is taken or below 1024]",
)  # fmt: skip
@click.option("--allow", type=Network(), multiple=True, metavar="CIDR", help="Take devices from this network only.")
@click.option(
    "--auto-host", "auto_hosts", multiple=True, metavar="NAME",
    help="With auto: lead to this name and all below it, in place of Blynk's own.",
)  # fmt: skip
@click.option("--allow-private", is_flag=True, help="With auto: lead to addresses that are not public, too.")
@click.option("--insecure", is_flag=True, help="Take any certificate of the upstream.")
@click.option("--upstream-ca", type=_READ, metavar="FILE", help="Trust the CAs in this PEM file for the upstream.")
@click.option("--cert", type=_READ, metavar="FILE", help="Certificate chain (PEM) for devices, in place of the CA's.")
@click.option("--key", type=_READ, metavar="FILE", help="Its key (PEM, without a password).")
@click.option("--legacy-tls", is_flag=True, help="Take TLS 1.0, TLS 1.1 and weak ciphers from devices.")
@click.option(
    "--rules", type=_READ, metavar="FILE.toml",
    help="What to do to which frames: delay, drop, answer … `--scenario help` tells what such a file may say.",
)  # fmt: skip
@click.option(
    "--scenario", metavar="NAME",
    help="Rules that are there already; list names them, show:NAME prints one, help tells what a file may say.",
)  # fmt: skip
@click.option("--seed", type=int, metavar="N", help="Chance in rules falls the same way in every run with this number.")
@click.option(
    "--intercept", metavar="EXPR", help="Hold frames that match, to pass, edit or drop them with single keys."
)
@onlooking_options
@options.common
def command(
    upstream: str | None,
    listen: tuple[str, int | None],
    allow: tuple[Any, ...],
    auto_hosts: tuple[str, ...],
    allow_private: bool,
    insecure: bool,
    upstream_ca: Path | None,
    cert: Path | None,
    key: Path | None,
    legacy_tls: bool,
    rules: Path | None,
    scenario: str | None,
    seed: int | None,
    intercept: str | None,
    keylog_out: Path | None,
    duration: float | None,
    **shared: Any,
) -> None:
    """Sit between devices and their server: show every frame as it passes, and hold, change, drop or break it.

    Devices connect to one port, with TLS or without; all go to the one upstream. What is shown is what the device sent
    and what was sent to it. What to change in a sketch is printed at the start.

    Ctrl-C ends it with the findings and the summary (a second one ends it at once); the exit status is then 130. It is
    0 where SIGTERM, --duration or the key q ended it. SIGHUP begins --record and --log anew: under their first names
    where these were moved away, else under numbered ones. It opens --keylog-out anew, too. Where the terminal was
    closed, and always with --intercept, SIGHUP ends the proxy.
    """
    asked = Asked(**shared)
    from blynkscope.proxy import Upstream

    if about_rules(scenario):
        return
    if upstream is None:
        raise click.UsageError("name the server: --upstream HOST:PORT")
    target = _leading(Upstream.parse(upstream), auto_hosts, allow_private)
    _check(
        target, listen, insecure, upstream_ca, cert, key, rules, scenario, seed, (asked.record, asked.log), asked.force
    )
    apart(asked.output, asked.record, asked.log, keylog_out)
    if intercept is not None and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("--intercept needs a terminal, to show frames and to read keys from")
    from blynkscope.cli.proxy_run import Life
    from blynkscope.proxy import Proxy, Settings
    from blynkscope.proxy.reaching import address_text

    ruleset = rule_set(rules, scenario)
    settings = Settings(
        upstream=target, listen_host=listen[0], verify=not insecure, upstream_ca=upstream_ca,
        certificate=(cert, key) if cert is not None and key is not None else None, legacy_tls=legacy_tls,
        allow=tuple(allow), allow_private=allow_private, keylog=keylog_out, rules=ruleset, seed=seed,
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        screen: Any = None
        alert: Callable[[str], None] = say
        interception: Interception | None = None
        if intercept is not None:
            from blynkscope.cli.intercept import Interception
            from blynkscope.render.redact import Redactor
            from blynkscope.render.screen import Screen

            screen = Screen(sys.stdout, sys.stderr)
            stack.callback(screen.close)
            # One of its own: the other one is used by another thread.
            interception = Interception(intercept, screen, Redactor(asked.show_secrets).apply)
            alert = screen.say
        onlooker = Onlooker(
            asked, stack, inputs=(str(target),), listens=f"{listen[0]}:{listen[1] or PLAIN_PORT}",
            edits=ruleset is not None or interception is not None, alert=alert, stream=screen,
        )  # fmt: skip
        watch = onlooker.watch
        authority = None
        if settings.certificate is None:
            from blynkscope.ca import Authority

            authority = Authority.at()
            # Otherwise the first device that speaks TLS waits for the keys of its certificates.
            authority.prepare()

        if interception is not None:
            interception.injected = lambda connection, direction, data, facts: watch.injected(
                connection, direction, time.time(), data, facts
            )

        def began(address: tuple[str, int]) -> None:
            onlooker.listens(address_text(address))
            for line in _banner(settings, address, authority, short=asked.quiet):
                alert(line)
            if ruleset is not None:
                alert(f"rules: {ruleset.name}{f': {ruleset.description}' if ruleset.description else ''}")
            if target.host is not None:
                _look_up(target, alert)

        def make_proxy(port: int) -> Proxy:
            return Proxy(_with_port(settings, port), authority, watch, interception)

        life = Life(
            [(make_proxy, _ports(target, listen))], watch, began=lambda addresses: began(addresses[0]),
            rotate=onlooker.rotate, duration=duration, interception=interception, alert=alert,
        )  # fmt: skip
        onlooker.run(life)
    sys.exit(onlooker.settle(life))


# --- options ----------------------------------------------------------------------------------------------------------


def _check(
    target: Upstream, listen: tuple[str, int | None], insecure: bool, upstream_ca: Path | None, cert: Path | None,
    key: Path | None, rules: Path | None, scenario: str | None, seed: int | None, files: Sequence[Path | None],
    force: bool,
) -> None:  # fmt: skip
    """Refuse options that contradict each other."""
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key go together")
    if insecure and upstream_ca is not None:
        raise click.UsageError("--insecure takes any certificate, --upstream-ca only some: choose one")
    if not target.tls and (insecure or upstream_ca is not None):
        name = "--insecure" if insecure else "--upstream-ca"
        raise click.UsageError(f"{name} is about TLS, and the upstream {target} has none: tls:// in front of it?")
    if rules is not None and scenario is not None:
        raise click.UsageError("--rules and --scenario: choose one; a rules file may hold a copy of a scenario's rules")
    if seed is not None and rules is None and scenario is None:
        raise click.UsageError("--seed goes with --rules or --scenario")
    if force and not any(files):
        raise click.UsageError("--force goes with --record or --log")
    if target.host is not None and target.port == listen[1] and _same_host(target.host, listen[0]):
        raise click.UsageError("the proxy would lead to itself: --listen and --upstream are the same")


def _leading(target: Upstream, hosts: tuple[str, ...], private: bool) -> Upstream:
    """Where `auto` may lead."""
    import msgspec

    from blynkscope.proxy.settings import is_host

    if target.host is not None and (hosts or private):
        raise click.UsageError(f"{'--auto-host' if hosts else '--allow-private'} goes with --upstream auto")
    for host in hosts:
        if not is_host(host):
            raise click.UsageError(f"--auto-host: {host!r} is no host name")
    return msgspec.structs.replace(target, hosts=tuple(map(str.lower, hosts))) if hosts else target


def _same_host(one: str, other: str) -> bool:
    def local(host: str) -> bool:
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(host.partition("%")[0])
            return address.is_loopback or address.is_unspecified
        return host.lower() == "localhost"

    return one.lower() == other.lower() or (local(one) and local(other))


def _ports(target: Upstream, listen: tuple[str, int | None]) -> list[int]:
    """Ports to try: the one that was named, else the upstream's, 8080 and 9443."""
    if listen[1] is not None:
        return [listen[1]]
    usual = [TLS_PORT, PLAIN_PORT] if target.tls else [PLAIN_PORT, TLS_PORT]
    return list(dict.fromkeys([*([target.port] if target.port >= _PRIVILEGED else []), *usual]))


def _with_port(settings: Settings, port: int) -> Settings:
    import msgspec

    return msgspec.structs.replace(settings, listen_port=port)


# --- the start --------------------------------------------------------------------------------------------------------


def _banner(settings: Settings, address: tuple[str, int], authority: Any, *, short: bool) -> list[str]:
    """Where it listens, who can reach it, and what to change in a sketch."""
    from blynkscope.render.connecting import Start, lines

    upstream = settings.upstream
    return lines(
        Start(
            host=address[0], port=address[1], upstream=str(upstream), by_name=upstream.host is None,
            verified=settings.verify if upstream.tls else None,
            addresses=own_addresses(address[0]),
            allowed=[str(one) for one in settings.allow],
            fingerprint=authority.fingerprint if authority is not None else None,
            until=authority.not_after if authority is not None else None,
            created=bool(authority is not None and authority.created), legacy=settings.legacy_tls,
        ),
        short=short,
    )  # fmt: skip


def _look_up(target: Upstream, alert: Callable[[str], None]) -> None:
    """Tell where the upstream's name is not known, while the proxy runs already."""
    from blynkscope.cli.proxy_run import unknown_name

    assert target.host is not None
    host = target.host

    def look() -> None:
        why = unknown_name(host, target.port)
        if why is not None:
            alert(why)

    threading.Thread(target=look, name="look-up", daemon=True).start()
