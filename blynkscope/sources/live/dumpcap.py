"""Sniffing by dumpcap, Wireshark's small program that alone has the right to, through a pipe.

It writes pcapng; its packets are read here block by block, with their exact times. What it lost it tells at its end.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from blynkscope import forks
from blynkscope.errors import EnvironmentProblem
from blynkscope.sources.live import filters
from blynkscope.sources.live.blocks import Blocks, BrokenStreamError
from blynkscope.sources.live.model import ANY, Chunk, Counts, LiveUsageError, NoInterfaceError, Wanted
from blynkscope.sources.live.rights import as_root

READ_SIZE = 256 * 1024
"""Bytes read at once: some 2,000 packets, so that output comes in pieces."""
START_SECONDS = 15.0
"""dumpcap opens an interface in a tenth of a second; a machine under load takes longer."""
END_SECONDS = 5.0
"""How long it may take to end when it was asked to."""
_SAID_MAX = 16 * 1024
_PLACES = ("/usr/bin", "/usr/local/bin", "/usr/sbin", "/Applications/Wireshark.app/Contents/MacOS")
# "Packets received/dropped on interface 'lo': 10/2 (pcap:2/dumpcap:0/flushed:0/ps_ifdrop:0) (83.3%)"
_TALLY = re.compile(rb"': (\d+)/(\d+) \(pcap:(\d+)/dumpcap:(\d+)/flushed:(\d+)/ps_ifdrop:(\d+)\)")
_DENIED = ("permission", "not permitted")


def program() -> str | None:
    """The full path of dumpcap, whether this user may run it or not; None where it is not installed."""
    found = shutil.which("dumpcap")
    if found is not None:
        return found
    return next((path for place in _PLACES if os.path.isfile(path := os.path.join(place, "dumpcap"))), None)


class Dumpcap:
    """Packets of any number of interfaces, by one dumpcap.

    Raises:
        LiveUsageError: There is no such interface, or the filter does not compile.
        EnvironmentProblem: dumpcap is not installed, or this user may not sniff with it.
    """

    name = "dumpcap"

    def __init__(self, wanted: Wanted) -> None:
        path = program()
        if path is None:
            raise EnvironmentProblem(
                "dumpcap is not installed: `sudo apt install wireshark-common` (Debian, Ubuntu), "
                "`sudo dnf install wireshark-cli` (Fedora), `brew install --cask wireshark` (macOS)"
            )
        if not os.access(path, os.X_OK):
            raise EnvironmentProblem(_permission(path))
        self._path = path
        self.interfaces = wanted.interfaces
        self.ended: str | None = None
        self._received = 0
        self._counts: Counts | None = None
        self._waiting: list[Chunk] = []
        for attempt, arguments in enumerate(attempts := _commands(path, wanted)):
            problem = self._start(arguments)
            if problem is None:
                return
            # Older libpcap knows less of `any`, and VLAN tags are not known on every link type.
            if attempt + 1 == len(attempts) or any(word in problem for word in _DENIED):
                raise self._explained(problem, wanted)

    def _start(self, arguments: list[str]) -> str | None:
        """Run it until it captures; what it says where it does not."""
        self._said = b""
        self._blocks = Blocks()
        # An interrupt from the keyboard is ours: dumpcap goes on until it is told to end, and gives what it has.
        self._process = subprocess.Popen(  # noqa: S603 - the path is resolved, the arguments are separate
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out, self._err = self._process.stdout.fileno(), self._process.stderr.fileno()
        os.set_blocking(self._out, False)
        os.set_blocking(self._err, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):
                fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, forks.PIPE_SIZE)
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._poll.register(self._err, select.POLLIN)
        deadline = time.monotonic() + START_SECONDS
        try:
            while not self._blocks.described:
                if self.ended is not None or time.monotonic() > deadline:
                    self.ended = None
                    self._end()
                    said = self._said.decode("utf-8", "replace").replace("\n", " ")
                    said = re.sub(r"^.*?Capturing on '[^']*'\s*", "", said).replace("dumpcap: ", "")
                    return " ".join(said.split()) or "dumpcap did not begin to capture"
                self._waiting += self.read(0.1)
        except BaseException:
            self._end()
            raise
        return None

    def _explained(self, problem: str, wanted: Wanted) -> Exception:
        lower = problem.lower()
        if any(word in lower for word in _DENIED):
            return EnvironmentProblem(_permission(self._path))
        if "invalid capture filter" in lower:
            reason = re.search(r"valid capture filter \((.*?)\)\.", problem)
            said = reason[1] if reason else problem
            return LiveUsageError(f"the capture filter {wanted.filter!r} does not compile: {said}")
        if "no device named" in lower or "no such device" in lower:
            return NoInterfaceError(" or ".join(map(repr, wanted.interfaces)))
        return EnvironmentProblem(f"dumpcap cannot capture: {problem[:1000]}")

    def read(self, timeout: float) -> list[Chunk]:
        """What has come, or comes within `timeout` seconds."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            return waiting
        if self.ended is not None:
            return []
        for descriptor, _ in self._poll.poll(timeout * 1000):
            if descriptor == self._err:
                self._listen()
                continue
            try:
                data = os.read(self._out, READ_SIZE)
            except BlockingIOError:
                continue
            if not data:
                self._listen()
                self.ended = "dumpcap has ended" + (f": {self._last_words()}" if self._last_words() else "")
                return []
            try:
                chunk = self._blocks.feed(data)
            except BrokenStreamError as error:
                self.ended = f"dumpcap writes what is no pcapng: {error}"
                return []
            self._received += len(chunk.packets)
            if chunk.packets:
                return [chunk]
        return []

    def _listen(self) -> None:
        try:
            data = os.read(self._err, _SAID_MAX)
        except (BlockingIOError, ValueError, OSError):
            return
        if not data:
            with suppress(KeyError, OSError, ValueError):
                self._poll.unregister(self._err)
        self._said = (self._said + data)[-_SAID_MAX:]

    def _last_words(self) -> str:
        lines = [line.removeprefix("dumpcap: ") for line in self._said.decode("utf-8", "replace").splitlines()]
        lines = [line for line in lines if line.strip() and not line.startswith(("Capturing on", "File:", "Packets"))]
        return " ".join(lines)[:500]

    def counts(self) -> Counts | None:
        """What dumpcap told at its end."""
        return self._counts

    def close(self) -> None:
        """End dumpcap, and hear what it lost."""
        self._end()

    def abandon(self) -> None:
        """End dumpcap without hearing what it lost; on a quiet network it would outlive its reader."""
        with suppress(OSError):
            self._process.kill()

    def _end(self) -> None:
        process = self._process
        if process.stdout is None or process.stdout.closed:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            ready = self._poll.poll(50)
            if not ready and process.poll() is not None:
                break
            if any(descriptor == self._out for descriptor, _ in ready):
                with suppress(BlockingIOError):
                    if not os.read(self._out, READ_SIZE):  # what comes after the end is not asked for
                        self._poll.unregister(self._out)
            if any(descriptor == self._err for descriptor, _ in ready):
                self._listen()
        else:
            process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        self._listen()
        process.stdout.close()
        if process.stderr is not None:
            process.stderr.close()
        tallies = [tuple(map(int, found)) for found in _TALLY.findall(self._said)]
        if tallies:
            kernel, own, flushed, adapter = (sum(one[place] for one in tallies) for place in range(2, 6))
            self._counts = Counts(self._received, kernel, adapter, own + flushed)


def _commands(path: str, wanted: Wanted) -> list[list[str]]:
    """How to run it: the best way first, and others for systems that do not know all of it."""
    every = [_command(path, wanted, vlans=True, once=True)]
    if wanted.filter is None:
        every.append(_command(path, wanted, vlans=False, once=True))
    every.append(_command(path, wanted, vlans=False, once=False))
    return [one for place, one in enumerate(every) if one not in every[:place]]


def _command(path: str, wanted: Wanted, *, vlans: bool, once: bool) -> list[str]:
    arguments = [path, "-q", "-w", "-", "-B", str(wanted.buffer), "-s", str(wanted.snaplen)]
    if not wanted.promiscuous:
        arguments.append("-p")
    for interface in wanted.interfaces:
        everywhere = interface == ANY
        alone = once and interface == "lo" and sys.platform == "linux"
        text = wanted.filter
        if text is None:
            text = filters.default_text(vlans=vlans and not everywhere and not alone)
        # What leaves by the loopback is seen again as it arrives. libpcap passes over it, but only after the kernel
        # has found room for both and counted both as lost where there was none. A filter prevents that; the link type
        # of `any` is the only one whose headers tell libpcap's own first look at a packet what the kernel's knows.
        own = None
        if alone:
            own = f"ifindex {_loopback()} and not outbound"
        elif everywhere and once and sys.platform == "linux":
            own = f"not (outbound and ifindex {_loopback()})"
        if own is not None:
            text = f"{own} and ({text})" if text.strip() else own
        arguments += ["-i", ANY if alone else interface, "-f", text]
        if own is not None:
            arguments += ["-y", "LINUX_SLL2"]
    return arguments


def _loopback() -> int:
    import socket

    try:
        return socket.if_nametoindex("lo")
    except OSError:
        return 1


def _permission(path: str) -> str:
    path = str(Path(path).resolve())
    if sys.platform == "darwin":
        return (
            f"this user may not sniff with {path}: install ChmodBPF, which comes with Wireshark, or run this program "
            f"by `{as_root()}`"
        )
    return (
        f"this user may not sniff with {path}. Where it belongs to the group wireshark (`ls -l {path}`): "
        "`sudo usermod -aG wireshark $USER`, then log in again (Debian, Ubuntu: first "
        "`sudo dpkg-reconfigure wireshark-common`). Else give it the right: "
        f"`sudo setcap cap_net_raw,cap_net_admin+eip {path}`. Or run this program by "
        f"`{as_root()}`"
    )
