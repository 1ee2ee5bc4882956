"""`blynkscope serve`: a server that behaves, and misbehaves on demand."""

from __future__ import annotations

import contextlib
import itertools
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blynkscope.cli import options
from blynkscope.cli.kinds import LOCAL, Listen, Network, Number
from blynkscope.cli.notes import say
from blynkscope.cli.onlooking import Asked, Onlooker, about_rules, apart, onlooking_options, rule_set
from blynkscope.errors import EnvironmentProblem
from blynkscope.protocol.ports import PLAIN_PORT, TLS_PORT
from blynkscope.server.model import LEGACY_QUIRKS

if TYPE_CHECKING:
    from blynkscope.proxy import Proxy, Settings
    from blynkscope.server.model import ServerSettings

_USUAL = frozenset(LEGACY_QUIRKS) - {"quota-desync"}
"""What `--like legacy` does unasked: all that a client can live with."""
_FILE = click.Path(dir_okay=False, path_type=Path)
_READ = click.Path(dir_okay=False, exists=True, path_type=Path)
_TOKEN = re.compile(r"[A-Za-z0-9_.~*-]{1,64}")
_TOKEN_BYTES = 24
"""Random bytes of a token: 32 characters, as Blynk's are."""


class _Pair(click.ParamType):  # type: ignore[type-arg]
    """Two words with a colon between."""

    def __init__(self, first: str, second: str) -> None:
        self.name = f"{first}:{second}"
        self._what = (first, second)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Both words."""
        if isinstance(value, tuple):
            return value
        first, colon, second = str(value).partition(":")
        if not first or not colon or not second:
            self.fail(f"write it as {self._what[0]}:{self._what[1]}.", param, ctx)
        return first, second


class _Target(click.ParamType):  # type: ignore[type-arg]
    """Host and port."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Both."""
        from blynkscope.proxy.settings import ProxyUsageError, Upstream

        if isinstance(value, tuple):
            return value
        try:
            found = Upstream.parse(str(value))
        except ProxyUsageError:
            found = None
        if found is None or found.host is None or "://" in str(value) or not re.search(r":\d+$", str(value)):
            self.fail(f"{value!r} is no HOST:PORT.", param, ctx)
        return found.host, found.port


class _Public(click.ParamType):  # type: ignore[type-arg]
    """A host, with or without a port."""

    name = "host[:port]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it was written, where URLs can begin so."""
        from blynkscope.proxy.settings import ProxyUsageError, Upstream

        text = str(value)
        try:
            found = Upstream.parse(text)
        except ProxyUsageError:
            found = None
        if found is None or found.host is None or "/" in text:
            self.fail(f"{text!r} is no host; write it like 192.168.1.10:8080.", param, ctx)
        return text


@click.command()
@click.option(
    "--listen", type=Listen(), default=LOCAL, metavar="[HOST:]PORT",
    help="Where plain connections come in: devices, HTTP and WebSocket; 0.0.0.0 for the network.  "
    f"[default: 127.0.0.1:{PLAIN_PORT}]",
)  # fmt: skip
@click.option(
    "--tls-listen", type=Listen(), metavar="[HOST:]PORT",
    help=f"Where TLS comes in: devices, apps, HTTPS and WSS.  [default: port {TLS_PORT} at the host of --listen]",
)  # fmt: skip
@click.option("--no-tls", is_flag=True, help="Plain connections only.")
@click.option("--allow", type=Network(), multiple=True, metavar="CIDR", help="Take clients from this network only.")
@click.option("--token", "tokens", multiple=True, metavar="TOKEN", help="A device that is known, by its token.")
@click.option("--any-token", is_flag=True, help="Take every token: each becomes a device.")
@click.option("--like", type=click.Choice(options.ERAS), default="legacy", show_default=True, help="Behave like …")
@click.option(
    "--quirk", "quirks", type=click.Choice(LEGACY_QUIRKS), multiple=True,
    help="With --like legacy: a fault of the real server that it has not unasked (quota-desync).",
)  # fmt: skip
@click.option("--no-quirks", is_flag=True, help="With --like legacy: answer all info, refuse wrong WebSocket paths.")
@click.option("--store", type=_FILE, metavar="FILE", help="Keep everything in this file, not in memory.")
@click.option(
    "--account", type=_Pair("EMAIL", "PASSWORD"), help="Of apps, and owner of the devices.  [default: made for the run]"
)
@click.option("--admin", type=_Pair("USER", "PASSWORD"), help="Who may order firmware.  [default: made for the run]")
@click.option("--redirect", type=_Target(), help="Send every device that logs in there.")
@click.option("--heartbeat", type=Number(1), metavar="SECONDS", help="Of devices that announce none.")
@click.option("--quota", type=Number(0), metavar="N", help="Messages a second of a device; 0 for no limit.")
@click.option("--public", type=_Public(), help="What URLs of firmware begin with.")
@click.option(
    "--firmware", type=click.Path(file_okay=False, exists=True, path_type=Path), metavar="FOLDER",
    help="Offer the files in it as firmware.",
)  # fmt: skip
@click.option("--cert", type=_READ, metavar="FILE", help="Certificate chain (PEM), in place of the CA's.")
@click.option("--key", type=_READ, metavar="FILE", help="Its key (PEM, without a password).")
@click.option("--legacy-tls", is_flag=True, help="Take TLS 1.0, TLS 1.1 and weak ciphers.")
@click.option("--faults", "rules", type=_READ, metavar="FILE.toml", help="What to do to which frames: see --scenario.")
@click.option(
    "--scenario", metavar="NAME",
    help="Faults that are there already; list names them, show:NAME prints one, help tells what a file may say.",
)  # fmt: skip
@click.option(
    "--seed", type=int, metavar="N", help="Chance in faults falls the same way in every run with this number."
)
@click.option("--prompt/--no-prompt", default=None, help="Take orders like vw V1 42.  [default: on a terminal]")
@onlooking_options
@click.option("--no-decode", is_flag=True, help="Answer alone: show, log and record nothing, for tests of load.")
@options.common
def command(
    listen: tuple[str, int | None],
    tls_listen: tuple[str, int | None] | None,
    no_tls: bool,
    allow: tuple[Any, ...],
    tokens: tuple[str, ...],
    any_token: bool,
    like: str,
    quirks: tuple[str, ...],
    no_quirks: bool,
    store: Path | None,
    account: tuple[str, str] | None,
    admin: tuple[str, str] | None,
    redirect: tuple[str, int] | None,
    heartbeat: float | None,
    quota: float | None,
    public: str | None,
    firmware: Path | None,
    cert: Path | None,
    key: Path | None,
    legacy_tls: bool,
    rules: Path | None,
    scenario: str | None,
    seed: int | None,
    prompt: bool | None,
    keylog_out: Path | None,
    duration: float | None,
    no_decode: bool,
    **shared: Any,
) -> None:
    """Be the server of devices and apps: a small one, for one machine or a bench.

    It answers logins, pings, writes, syncs, properties, events and firmware orders as the Blynk server of its kind
    does, keeps pins, and shows every frame as decode does. Devices connect to the plain port or the TLS port, apps to
    the latter; both take HTTP (the REST API) and WebSocket, too.

    On a terminal it takes orders: vw V1 42 writes to the devices, help lists the others. Without --token and
    --any-token a token is made and printed.

    Ctrl-C ends it with the findings and the summary; the exit status is then 130. It is 0 where SIGTERM, --duration or
    the order quit ended it. SIGHUP begins --record, --log and --keylog-out anew; where the terminal was closed it ends
    the server.
    """
    asked = Asked(**{**shared, "era": shared["era"] or like})
    if about_rules(scenario):
        return
    _check(
        tokens, like, quirks, no_quirks, tls_listen, no_tls, cert, key, legacy_tls, keylog_out, rules, scenario, seed,
        (asked.record, asked.log), asked.force, no_decode, (asked.record, asked.log, asked.filter_, asked.output),
    )  # fmt: skip
    apart(asked.output, asked.record, asked.log, keylog_out, store)
    from blynkscope.cli.proxy_run import Life
    from blynkscope.protocol import limits
    from blynkscope.protocol.model import Era
    from blynkscope.proxy import Deadlines, Proxy, Settings, Upstream
    from blynkscope.proxy.reaching import address_text
    from blynkscope.proxy.within import Within
    from blynkscope.server.hub import Hub
    from blynkscope.server.model import ServerSettings
    from blynkscope.server.store import Store

    tls_at = tls_listen or (listen[0], None)
    if redirect is not None and redirect in _own_places(listen, None if no_tls else tls_at):
        raise click.UsageError("--redirect leads devices back to this server: name another one")
    ruleset = rule_set(rules, scenario)
    settings = Settings(
        upstream=Upstream(listen[0], listen[1] or PLAIN_PORT, False), listen_host=listen[0], tls="never",
        certificate=(cert, key) if cert is not None and key is not None else None, legacy_tls=legacy_tls,
        allow=tuple(allow), keylog=keylog_out, rules=ruleset, seed=seed, per_address=limits.PROXY_CONNECTIONS_MAX,
        deadlines=Deadlines(idle=limits.SERVER_IDLE_SECONDS),
    )  # fmt: skip
    made_token = None
    server = ServerSettings(
        like=Era(like), tokens=tokens, any_token=any_token,
        account=account or ("dev@example.com", secrets.token_urlsafe(9)),
        admin=admin or ("admin", secrets.token_urlsafe(9)), redirect=redirect,
        quirks=frozenset() if like != "legacy" or no_quirks else _USUAL | set(quirks),
        quota=quota, public=public, firmware=firmware,
    )  # fmt: skip
    if heartbeat is not None:
        server = _with(server, heartbeat=heartbeat)
    with contextlib.ExitStack() as stack:
        kept = Store(store)
        stack.callback(kept.close)
        hub = Hub(server, kept)
        if not any_token and not hub.projects.all_devices():
            made_token = secrets.token_urlsafe(_TOKEN_BYTES)
            hub.projects.make_device(made_token)
        alert: Callable[[str], None] = say
        ordering: Any = None
        screen: Any = None
        if _prompts(prompt, asked.format_):
            from blynkscope.cli.serve_prompt import Ordering
            from blynkscope.render.screen import Screen

            screen = Screen(sys.stdout, sys.stderr)
            stack.callback(screen.close)
            alert = screen.say
        onlooker = Onlooker(
            asked, stack, inputs=("serve",), listens=f"{listen[0]}:{listen[1] or PLAIN_PORT}", legs=1,
            edits=ruleset is not None, alert=alert, stream=screen,
        )  # fmt: skip
        authority = None
        if not no_tls and settings.certificate is None:
            from blynkscope.ca import Authority

            authority = Authority.at()
            authority.prepare()
        life: Life
        within = Within(
            hub, lambda error: _store_failed(error, alert, life), lambda number, error: _mistaken(number, error, alert)
        )
        if screen is not None:
            ordering = Ordering(hub, screen)
        numbers = itertools.count(1)
        tap: Any = _Deaf(onlooker.watch) if no_decode else onlooker.watch

        def made(at: Settings, port: int) -> Proxy:
            return Proxy(_with(at, listen_port=port), authority, tap, within=within, numbers=numbers)

        listeners = [(lambda port: made(settings, port), [_port(listen, PLAIN_PORT)])]
        if not no_tls:
            secure = _with(settings, listen_host=tls_at[0], tls="always")
            listeners.append((lambda port: made(secure, port), [_port(tls_at, TLS_PORT)]))

        def began(addresses: Sequence[tuple[str, int]]) -> None:
            onlooker.listens(address_text(addresses[0]))
            for line in _banner(settings, server, addresses, authority, made_token, account, admin, asked.quiet):
                alert(line)
            if ruleset is not None:
                alert(f"faults: {ruleset.name}{f': {ruleset.description}' if ruleset.description else ''}")

        life = Life(
            listeners, onlooker.watch, began=began, rotate=onlooker.rotate, duration=duration, within=within,
            prompt=ordering, alert=alert,
        )  # fmt: skip
        onlooker.run(life)
    status = onlooker.settle(life, relayed="answered")
    if life.failed is not None:
        raise EnvironmentProblem(f"what was said last could not be stored: {life.failed}") from life.failed
    sys.exit(status)


class _Deaf:
    """A tap that hears nothing."""

    wants_sent = False

    def __init__(self, watch: Any) -> None:
        self._watch = watch

    def _nothing(self, *_: Any) -> None:
        pass

    opened = data = sent = closed = _nothing

    def told(self, connection: int, direction: int | None, time: float, kind: str, detail: dict[str, object]) -> None:
        """Who was refused is told all the same."""
        if not connection:
            self._watch.told(connection, direction, time, kind, detail)


# --- options ----------------------------------------------------------------------------------------------------------


def _check(
    tokens: tuple[str, ...], like: str, quirks: tuple[str, ...], no_quirks: bool, tls_listen: Any, no_tls: bool,
    cert: Path | None, key: Path | None, legacy_tls: bool, keylog_out: Path | None, rules: Path | None,
    scenario: str | None, seed: int | None, files: Sequence[Path | None], force: bool, no_decode: bool,
    shown: Sequence[object],
) -> None:  # fmt: skip
    """Refuse options that contradict each other."""
    for token in tokens:
        if _TOKEN.fullmatch(token) is None:
            raise click.UsageError(
                "--token: a token has letters, digits, - and _, at most 64 of them; Blynk's own have 32"
            )
    if (quirks or no_quirks) and like != "legacy":
        raise click.UsageError(f"{'--quirk' if quirks else '--no-quirks'} goes with --like legacy")
    if quirks and no_quirks:
        raise click.UsageError("--quirk and --no-quirks: choose one")
    if no_tls and (tls_listen or cert or key or legacy_tls or keylog_out):
        raise click.UsageError("--no-tls leaves nothing to --tls-listen, --cert, --key, --legacy-tls and --keylog-out")
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key go together")
    if rules is not None and scenario is not None:
        raise click.UsageError("--faults and --scenario: choose one; a file may hold a copy of a scenario's rules")
    if seed is not None and rules is None and scenario is None:
        raise click.UsageError("--seed goes with --faults or --scenario")
    if force and not any(files):
        raise click.UsageError("--force goes with --record or --log")
    if no_decode and any(shown):
        raise click.UsageError("--no-decode shows and keeps nothing: leave out --record, --log, --filter and --output")


def _prompts(prompt: bool | None, format_: str) -> bool:
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if prompt and not terminal:
        raise click.UsageError("--prompt needs a terminal; without one, write over HTTP: /TOKEN/update/V1?value=42")
    return terminal if prompt is None else prompt


def _own_places(plain: tuple[str, int | None], tls: tuple[str, int | None] | None) -> set[tuple[str, int]]:
    """Where this server listens, as a device on this computer would name it."""
    places = set()
    for listen, usual in ((plain, PLAIN_PORT), (tls, TLS_PORT)):
        if listen is not None:
            places |= {(host, _port(listen, usual)) for host in (listen[0], "localhost", LOCAL, "::1")}
    return places


def _port(listen: tuple[str, int | None], usual: int) -> int:
    return usual if listen[1] is None else listen[1]


def _with(struct: Any, **changes: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(struct, **changes)


# --- the start --------------------------------------------------------------------------------------------------------


def _banner(
    settings: Settings, server: ServerSettings, addresses: Sequence[tuple[str, int]], authority: Any,
    made_token: str | None, account: object, admin: object, short: bool,
) -> list[str]:  # fmt: skip
    """Where it listens, who can reach it, with what to log in, and what to change in a sketch."""
    from blynkscope.cli.onlooking import own_addresses
    from blynkscope.protocol import limits
    from blynkscope.render.serving import Serving, lines

    plain = addresses[0]
    return lines(
        Serving(
            like=server.like.value, plain=plain, tls=addresses[1] if len(addresses) > 1 else None,
            addresses=own_addresses(plain[0]), allowed=[str(one) for one in settings.allow],
            token=made_token, tokens=len(server.tokens), any_token=server.any_token,
            odd_tokens=sum(len(one) != limits.TOKEN_LENGTH for one in server.tokens),
            account=None if account else server.account, admin=None if admin else server.admin,
            fingerprint=authority.fingerprint if authority is not None else None,
            until=authority.not_after if authority is not None else None,
            created=bool(authority is not None and authority.created), legacy=settings.legacy_tls,
            redirect=server.redirect,
        ),
        short=short,
    )  # fmt: skip


def _mistaken(number: int, error: Exception, alert: Callable[[str], None]) -> None:
    """The server has failed on one connection."""
    # Its text may hold what was on the wire.
    where = f"on stream {number}, which is reset" if number else "in what it does by the clock"
    alert(f"the server failed ({type(error).__name__}) {where}. Please report this.")


def _store_failed(error: Exception, alert: Callable[[str], None], life: Any) -> None:
    """Nothing can be kept any more, so nothing is acknowledged any more: the end."""
    alert(f"the store failed ({error}); nothing is acknowledged any more, and the server ends")
    life.fail(error)
