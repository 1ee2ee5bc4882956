"""What is known of the firmware updates of a run: their orders, and how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blynkscope.analysis.catalogue import Severity
from blynkscope.analysis.names import address_of
from blynkscope.analysis.rule import StreamRule
from blynkscope.analysis.rules.addresses import Target, doubt, target_of

if TYPE_CHECKING:
    from blynkscope.analysis.conversation import Conversation
    from blynkscope.analysis.run import Run

ORDERS_MAX = 1024
"""Updates that are followed at once; a server orders them one device after the other."""
TOLD_MAX = 4096
"""Failures that are remembered so that the same one is not told again."""
BUILD = "build"
"""The key of INTERNAL under which a device tells when its firmware was compiled."""


class Order:
    """An update of one device."""

    __slots__ = (
        "build", "device_ip", "done", "fetched", "frame", "hopeless", "left", "log", "over", "private", "returned",
        "sealed", "server_ip", "settled", "stream", "target", "time",
    )  # fmt: skip

    def __init__(self, target: Target | None, stream: int | None, frame: int | None, time: float | None) -> None:
        self.target = target
        self.stream = stream
        self.frame = frame
        self.time = time
        self.build: str | None = None
        self.device_ip: str | None = None
        self.server_ip: str | None = None
        self.log = True
        self.private = False
        self.hopeless = False
        """That finding says as an error that no device gets there."""
        """A finding about its address was reported."""
        self.fetched = False
        """A download was asked for."""
        self.sealed = False
        """A TLS connection to its host was seen."""
        self.done: float | None = None
        """When the whole file had been loaded."""
        self.left: float | None = None
        """When the device closed the connection on which it got the order."""
        self.over = False
        """That connection is closed."""
        self.settled = False
        """How it ended is told."""
        self.returned = False
        """The device logged in on another connection."""

    @property
    def frames(self) -> tuple[int, ...]:
        """What proves the order."""
        return (self.frame,) if self.frame is not None else ()

    @property
    def is_https(self) -> bool:
        """Does its URL ask for TLS?"""
        return self.target is not None and self.target.scheme == "https"

    @property
    def url(self) -> str:
        """Where it leads, for people."""
        return self.target.shown if self.target is not None else "a URL that was not seen"


class Orders(StreamRule):
    """The updates of a run, by device, and the reports about them.

    Attributes:
        orders: The last update of each device; negative numbers stand for logs of which no device is known yet.
        by_ip: The same by the device's address.
        ips: Addresses that devices print, by source.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.orders: dict[int, Order] = {}
        self.by_ip: dict[str, Order] = {}
        self._told: set[tuple[int, str, str]] = set()
        self.ips: dict[int, str] = {}

    def ordered(self, stream: Conversation | None, url: str, n: int | None, time: float | None) -> None:
        """An update was ordered, by a frame or as a log prints it."""
        key = self.key(stream)
        target = target_of(url)
        before = self.orders.get(key)
        if before is not None and before.target == target and not before.settled and before.stream == number(stream):
            return  # the frame, and the line that prints it
        if before is not None:
            self.insecure(before)
            self.forget(key)
        order = Order(target, number(stream), n, time)
        if len(self.orders) >= ORDERS_MAX:
            self.forget(next(iter(self.orders)))
        self.orders[key] = order
        if stream is not None:
            order.build, order.log = build_of(stream), stream.log
            order.server_ip = server_ip(stream)
            if stream.opened.client:
                order.device_ip = address_of(stream.opened.client)
                self.by_ip[order.device_ip] = order
        if target is None:
            return
        servers = [name for name in (host(stream), server_ip(stream)) if name]
        device = order.device_ip or self.ips.get(self.run.source)
        found = doubt(target, device=device, servers=servers)
        if found is None:
            return
        order.private = True
        order.hopeless = found.severity is Severity.ERROR
        if self.is_news(stream, "BS401", target.host):
            detail = f"The server orders the device to load {target.shown}; {found.why}."
            weight = None if found.severity is Severity.ERROR else found.severity.value
            self.report("BS401", stream, frames=order.frames, count=1, detail=detail, severity=weight)

    def fails(
        self, stream: Conversation | None, order: Order | None, name: str, detail: str, severity: str | None = None
    ) -> None:
        """Report how an update ended, once."""
        if order is not None:
            if order.settled:
                return
            order.settled = True
        what = order.url if order is not None else detail
        if self.is_news(stream, name, what):
            frames = order.frames if order is not None else ()
            # In a log all that follows belongs to the same failure; on the wire the order's own connection was good.
            cause = stream is not None and stream.log
            if name == "BS402" and order is not None and order.hopeless:
                severity = Severity.NOTE.value  # BS401 is the error
            self.report(name, stream, frames=frames, count=1, detail=detail, severity=severity, cause=cause)

    def insecure(self, order: Order) -> None:
        """An HTTPS URL to which no TLS connection was seen."""
        if order.settled or order.log or order.sealed or not order.is_https:
            return
        if order.returned and order.build is None:
            return  # perhaps it worked: the device does not tell its build
        order.settled = True
        if self.is_news(None, "BS404", order.url):
            detail = f"The URL is {order.url}; no TLS connection of the device to it was seen."
            self.report("BS404", order.stream, frames=order.frames, count=1, detail=detail)

    @staticmethod
    def because(order: Order | None) -> str:
        """The end of a sentence on a failure to connect: what is wrong with the address, where something is."""
        if order is not None and order.private and order.target is not None:
            return f". The address is the reason: {order.target.host} is none that this device can reach (BS401)."
        return "."

    def is_news(self, stream: Conversation | None, name: str, what: str) -> bool:
        """Was this failure told for this device before?"""
        key = (self.key(stream), name, what)
        if key in self._told:
            return False
        if len(self._told) >= TOLD_MAX:
            self._told.clear()
        self._told.add(key)
        return True

    def key(self, stream: Conversation | None) -> int:
        """The key in `orders`: the number of the device."""
        if stream is not None and stream.device is not None:
            return stream.device.number
        return -1 - self.run.source

    def forget(self, key: int) -> None:
        """An update is of no interest any more."""
        order = self.orders.pop(key)
        if order.device_ip is not None and self.by_ip.get(order.device_ip) is order:
            del self.by_ip[order.device_ip]


def number(stream: Conversation | None) -> int | None:
    """A stream's number; None before the first connection of a log."""
    return stream.number if stream is not None else None


def host(stream: Conversation | None) -> str | None:
    """The name of its server, where one is known."""
    return stream.host if stream is not None else None


def server_ip(stream: Conversation | None) -> str | None:
    """The address of its server; in a log what is printed in its place."""
    end = stream.opened.server if stream is not None else None
    return address_of(end) or end if end else None


def build_of(stream: Conversation) -> str | None:
    """The build of the firmware, as the device told it last."""
    return stream.info.get(BUILD) or (stream.device.info.get(BUILD) if stream.device is not None else None)
