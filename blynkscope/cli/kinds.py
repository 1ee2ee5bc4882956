"""Kinds of option values that several commands take."""

from __future__ import annotations

import ipaddress
import math
from typing import Any

import click

LOCAL = "127.0.0.1"
_PORT_DIGITS = 5


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A time, in seconds; more than nothing."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds, which must not be none."""
        from blynkscope.sources.live import seconds_of

        try:
            seconds = seconds_of(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        if not seconds:
            self.fail("it must be more than nothing.", param, ctx)
        return seconds


class Number(click.FloatRange):
    """A number within bounds. Infinity and what is none (nan), which every comparison lets through, are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A finite number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


class Network(click.ParamType):  # type: ignore[type-arg]
    """A network in the notation of CIDR."""

    name = "cidr"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A network; an address alone is a network of one."""
        try:
            return ipaddress.ip_network(str(value).strip(), strict=False)
        except ValueError:
            self.fail(f"{value!r} is no network; write it like 192.168.1.0/24.", param, ctx)


class Listen(click.ParamType):  # type: ignore[type-arg]
    """Where to listen: an address of this computer, a port, or both."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int | None]:
        """Host and port; None for a port that is to be found."""
        if isinstance(value, tuple):
            return value
        text = str(value).strip()
        host, colon, port = text.rpartition(":")
        if text.startswith("[") and text.endswith("]"):
            host, colon, port = text, ":", ""
        elif not colon and not text.isdecimal():
            host, port = text, ""
        if (port and not port.isdecimal()) or len(port) > _PORT_DIGITS or (port and int(port) > 0xFFFF):
            self.fail(f"{port!r} is no port, in {text!r}; write it like 0.0.0.0:9443, [::]:9443 or 9443.", param, ctx)
        host = host.removeprefix("[").removesuffix("]") or LOCAL
        if host != "localhost":
            try:
                ipaddress.ip_address(host.partition("%")[0])
            except ValueError:
                self.fail(f"{host!r} is no address of this computer; write it like 0.0.0.0:9443.", param, ctx)
        return host, int(port) if port else None
