"""Sniffing by scapy and libpcap (Npcap on Windows), for systems where nothing faster serves: macOS, BSD, Windows.

scapy makes a Python object of each packet; here only its socket is used, which gives the bytes. A thread empties it
into a bounded queue, since the buffers of these systems are small.
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
import socket
import sys
import threading
import time
from collections import deque
from typing import Any

from blynkscope.errors import EnvironmentProblem
from blynkscope.sources.capture import Packet
from blynkscope.sources.live import filters
from blynkscope.sources.live.model import ANY, Chunk, Counts, LiveUsageError, NoInterfaceError, Stamp, Wanted
from blynkscope.sources.live.rights import as_root
from blynkscope.sources.packets import RAW, SLL, SLL2

QUEUE_BYTES = 32 * 1024 * 1024
"""Bytes of packets that wait; what does not fit is counted as lost."""
_PACKET_OVERHEAD = 200
"""What a small bytes object and its place in the queue cost."""
PACKETS_AT_ONCE = 2000
_WAIT = 0.1
_NAP = 0.005
"""Where libpcap gives nothing to wait for."""
_LINKS = {12: RAW, 14: RAW}
"""libpcap's own numbers where those of captures differ: raw IP, by system."""


class Sniffer:
    """Packets of any number of interfaces, by scapy.

    Raises:
        LiveUsageError: There is no such interface, or the filter does not compile.
        EnvironmentProblem: libpcap or Npcap is missing, or this user may not sniff.
    """

    name = "scapy"

    def __init__(self, wanted: Wanted) -> None:
        self.interfaces = wanted.interfaces
        self.ended: str | None = None
        self._queue: deque[tuple[int, int, int, int, bytes]] = deque()
        self._size = 0
        self._there = threading.Condition()
        self._stop = False
        self._received = 0
        self._lost = 0
        self._final: Counts | None = None
        self._before = [0, 0]
        """What libpcap had counted as lost when the capture began."""
        self._wrappers: list[Any] = []
        self._threads: list[threading.Thread] = []
        try:
            for place, interface in enumerate(wanted.interfaces):
                wrapper = _open(interface, wanted)
                self._wrappers.append(wrapper)
                self._threads.append(threading.Thread(target=self._run, args=(place, wrapper), daemon=True))
        except BaseException:
            self.close()
            raise
        self._before = [sum(column) for column in zip(*map(_statistics, self._wrappers), strict=True)]
        for thread in self._threads:
            thread.start()

    def _run(self, place: int, wrapper: Any) -> None:
        link = wrapper.datalink()
        link = _LINKS.get(link, link)
        while not self._stop:
            try:
                _, data = wrapper.next()
                if data is None:
                    self._wait(wrapper)
                    if not _is_there(self.interfaces[place]):
                        self.ended = f"the interface {self.interfaces[place]} is gone"
                        return
                    continue
            except Exception as error:
                self.ended = f"the interface {self.interfaces[place]} cannot be read on: {error}"
                return
            header = wrapper.header.contents
            stamp = int(header.ts.tv_sec) * 1_000_000_000 + int(header.ts.tv_usec) * 1000
            size = len(data) + _PACKET_OVERHEAD
            with self._there:
                self._received += 1
                if self._size + size > QUEUE_BYTES:
                    self._lost += 1
                    continue
                self._size += size
                self._queue.append((stamp, place, link, int(header.len), data))
                self._there.notify()

    def _wait(self, wrapper: Any) -> None:
        """Wait for packets. Where libpcap has failed, it says neither that nor that there are none."""
        if sys.platform == "win32" or select.select([wrapper.fileno()], [], [], _WAIT)[0]:
            time.sleep(_NAP)

    def read(self, timeout: float) -> list[Chunk]:
        """What has come, or comes within `timeout` seconds."""
        with self._there:
            if not self._queue:
                self._there.wait(timeout)
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), PACKETS_AT_ONCE))]
            self._size -= sum(len(one[4]) + _PACKET_OVERHEAD for one in taken)
        if not taken:
            return []
        packets: list[Packet] = []
        stamps: list[Stamp] = []
        at = 0
        for stamp, place, link, wire, data in taken:
            packets.append((stamp * 1e-9, link, at, at + len(data), wire))
            stamps.append(Stamp(stamp, place))
            at += len(data)
        return [Chunk(b"".join(one[4] for one in taken), packets, stamps)]

    def counts(self) -> Counts:
        """How many there were so far."""
        if self._final is not None:
            return self._final
        told = [_statistics(wrapper) for wrapper in self._wrappers]
        kernel, interface = (sum(one[place] for one in told) - self._before[place] for place in (0, 1))
        return Counts(self._received - self._lost, kernel, interface, self._lost)

    def close(self) -> None:
        """Capture no more."""
        self._stop = True
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(10 * _WAIT)
        if self._final is None:
            self._final = self.counts()
        for wrapper, thread in zip(self._wrappers, self._threads, strict=False):
            if not thread.is_alive():  # else libpcap is still in use there
                wrapper.close()
        self._wrappers = []

    def abandon(self) -> None:
        """Nothing of this outlives the process."""


def _is_there(interface: str) -> bool:
    if interface == ANY or sys.platform == "win32":
        return True
    try:
        socket.if_nametoindex(interface)
    except OSError:
        return False
    return True


def _open(interface: str, wanted: Wanted) -> Any:
    logging.getLogger("scapy").setLevel(logging.CRITICAL)  # what it warns of is not for the users of this program
    try:
        from scapy.config import conf

        conf.use_pcap = True
        from scapy.arch.libpcap import open_pcap
        from scapy.error import Scapy_Exception
    except (ImportError, OSError) as error:
        raise EnvironmentProblem(
            f"scapy cannot use libpcap: {error}. Install libpcap, or Npcap from https://npcap.com on Windows"
        ) from error
    try:
        wrapper = open_pcap(interface, wanted.snaplen, wanted.promiscuous, int(_WAIT * 1000))
        wrapper.setnonblock(True)
    except (OSError, Scapy_Exception, ValueError) as error:
        said = " ".join(str(error).split())
        lower = said.lower()
        if "permi" in lower:
            raise EnvironmentProblem(
                f"this user may not sniff on {interface} ({said}): run this program by `{as_root()}`; on "
                "macOS, install ChmodBPF, which comes with Wireshark; on Windows, reinstall Npcap without the option "
                "that leaves sniffing to administrators"
            ) from error
        if "no such device" in lower or "not found" in lower or "doesn't exist" in lower:
            raise NoInterfaceError(repr(interface)) from error
        raise EnvironmentProblem(f"{interface}: cannot be sniffed by scapy: {said}") from error
    try:
        if sys.platform == "linux":
            _filter_in_kernel(wrapper, wanted, interface)
        else:
            _filter_by_libpcap(wrapper, wanted)
    except BaseException:
        wrapper.close()
        raise
    return wrapper


def _filter_by_libpcap(wrapper: Any, wanted: Wanted) -> None:
    from scapy.error import Scapy_Exception

    texts = [filters.default_text(), filters.default_text(vlans=False)] if wanted.filter is None else [wanted.filter]
    for place, text in enumerate(texts):
        try:
            wrapper.setfilter(text)
            return
        except (OSError, Scapy_Exception) as error:
            if place + 1 == len(texts):  # not every link type knows VLAN tags
                raise LiveUsageError(f"the capture filter {text!r} does not compile: {error}") from error


def _filter_in_kernel(wrapper: Any, wanted: Wanted, interface: str) -> None:
    """A filter of our own, which shows the packets of the loopback once; libpcap has both counted where they are lost.

    What came before the filter was there is thrown away.
    """
    link = wrapper.datalink()
    program = filters.kernel_program(wanted, SLL2 if link in (SLL, SLL2) else _LINKS.get(link, link), interface)
    sniffing = socket.socket(fileno=os.dup(wrapper.fileno()))
    try:
        filters.attach(sniffing, filters.NOTHING)
        deadline = time.monotonic() + 2 * _WAIT  # the kernel holds packets back for as long as the timeout
        while time.monotonic() < deadline or wrapper.next()[1] is not None:
            if wrapper.next()[1] is None:
                time.sleep(_NAP)
        filters.attach(sniffing, program)
    except OSError as error:
        raise EnvironmentProblem(f"{interface}: the kernel does not take the filter: {error.strerror}") from error
    finally:
        sniffing.close()


def _statistics(wrapper: Any) -> tuple[int, int]:
    """Packets that the kernel and the interface dropped, as libpcap counts them."""
    from scapy.libs import winpcapy

    told = winpcapy.pcap_stat()
    if winpcapy.pcap_stats(wrapper.pcap, ctypes.byref(told)) < 0:
        return 0, 0
    return int(told.ps_drop), int(told.ps_ifdrop)
