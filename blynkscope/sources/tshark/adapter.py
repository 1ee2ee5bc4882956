"""The only module that knows pyshark, with its faults contained.

From pyshark come the arguments of tshark and the cutting of its PDML into packets. What it does badly is replaced:

- It runs a program that `config.ini` of the current folder names: here the program is the one that was found and
  checked, and pyshark is never asked for a path or a version. tshark runs in a folder of its own.
- It drives tshark by asyncio, with an event loop and child watcher of the whole process, so that it fails in a thread,
  inside a running loop and on newer Pythons. Here tshark is an ordinary child process read by blocking calls, and the
  coroutines of pyshark's parser, which have nothing to wait for then, are stepped by hand: no loop, no watcher.
- Its JSON and EK readers lose or break on several TLS records in a packet, and building its objects from all of PDML
  takes 2 ms a packet. tshark is asked for PDML of a few fields instead, in which a field that occurs several times is
  written several times, in order; these elements are picked out of each packet directly.
- It hides how tshark ended: here the exit status and the first lines of stderr are kept.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from blynkscope.errors import EnvironmentProblem
from blynkscope.sources.tshark.program import Tshark

Fields = dict[str, list[str]]
"""Values of each field of a packet, in the order in which they occur; fields that do not occur are not there."""

STDERR_KEPT = 8192
"""Bytes of tshark's complaints that are kept: the first ones tell the cause."""

PACKET_TEXT_MAX = 64 * 1024 * 1024
"""Characters of PDML without the end of a packet: hundredfold the largest packet, so something is wrong with tshark."""

END_SECONDS = 10.0
"""tshark ends at once when it has written its last packet; after this time it is ended."""

KILLED_SECONDS = 1.0
"""Nothing that matters is said by a tshark that was killed."""

_FIELD = re.compile(rb'<field name="([a-z0-9_.]{1,64})" value="([^"<>]*+)"/>')
_HARMLESS = re.compile(r"Running as user|^\s*$|^ \*\* \(|doesn't exist")

_KEPT_VARIABLES = frozenset({"WIRESHARK_DATA_DIR", "WIRESHARK_RUN_FROM_BUILD_DIRECTORY"})
"""Of Wireshark's environment variables those without which a build that is not installed does not start."""


class _NoLoop:
    """In the place of an event loop: steps a coroutine that never waits."""

    def run_until_complete(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it to its end."""
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value
        coroutine.close()
        raise RuntimeError("pyshark waited for something that is not there")


class _Output:
    """tshark's standard output as pyshark's parser reads it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._pipe = process.stdout
        self.since_packet = 0

    async def read(self, size: int) -> bytes:
        """Some bytes; none at the end."""
        data: bytes = self._pipe.read(size) or b""
        self.since_packet += len(data)
        return data if self.since_packet <= PACKET_TEXT_MAX else b""


class _Child:
    """A running tshark; what pyshark sees of it is `stdout`."""

    def __init__(self, command: list[str], home: Path) -> None:
        variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("WIRESHARK_") or name in _KEPT_VARIABLES
        }
        variables |= {"HOME": str(home), "WIRESHARK_CONFIG_DIR": str(home), "LC_ALL": "C"}
        variables.pop("XDG_CONFIG_HOME", None)
        self.process = subprocess.Popen(  # noqa: S603  (a checked program; the arguments are no shell's)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=home,
            env=variables,
        )
        self.stdout = _Output(self.process)
        self.complaints = b""
        self._ear = threading.Thread(target=self._listen, name="tshark stderr", daemon=True)
        self._ear.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        while line := self.process.stderr.read(4096):
            if len(self.complaints) < STDERR_KEPT:
                self.complaints += line[: STDERR_KEPT - len(self.complaints)]

    def end(self, *, at_once: bool) -> int:
        """Wait until it has ended, or end it; its exit status, negative for a signal."""
        if at_once:
            self.process.kill()
        try:
            status = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        # A program that it started may have the other end of the pipe still, and would be waited for without end.
        self._ear.join(END_SECONDS if not at_once else KILLED_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        if not self._ear.is_alive() and self.process.stderr is not None:
            self.process.stderr.close()
        return status


class Tap:
    """The packets of a capture as tshark tells them; iterate over it once.

    Args:
        program: The tshark to run.
        path: Absolute path of the capture.
        options: Arguments, as `options.arguments` makes them.
        home: A folder of our own, in which tshark runs.

    Raises:
        EnvironmentProblem: pyshark cannot be used.
    """

    def __init__(self, program: Tshark, path: str, options: list[str], home: Path) -> None:
        self.status: int | None = None
        """How tshark ended: 0 when all is well, negative when a signal killed it; None while it runs."""
        self.complaints: list[str] = []
        """What it wrote to stderr, without what is harmless."""
        self._child: _Child | None = None
        self._capture = _make_capture(self, program, path, options, home)

    def __iter__(self) -> Iterator[Fields]:
        packets = iter(self._capture)
        try:
            yield from packets
            self._finish(at_once=False)
        finally:
            packets.close()
            self.close()

    def close(self) -> None:
        """End tshark, where it still runs."""
        self._finish(at_once=True)

    def start(self, command: list[str], home: Path) -> _Child:
        """Start tshark (called by pyshark's machinery)."""
        try:
            self._child = _Child(command, home)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise EnvironmentProblem(f"{command[0]}: cannot be run: {reason}") from error
        return self._child

    def cut(self, packet: bytes) -> Fields:
        """The fields of one packet in PDML (called by pyshark's machinery)."""
        if self._child is not None:
            self._child.stdout.since_packet = 0
        fields: Fields = {"": []}  # pyshark passes over what is false, and a packet may have none of our fields
        for name, value in _FIELD.findall(packet):
            fields.setdefault(name.decode("ascii"), []).append(value.decode("ascii", "replace"))
        return fields

    def _finish(self, *, at_once: bool) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        runaway = child.stdout.since_packet > PACKET_TEXT_MAX
        self.status = child.end(at_once=at_once or runaway)
        lines = child.complaints.decode("utf-8", "replace").splitlines()
        self.complaints = [line.removeprefix("tshark: ").strip() for line in lines if not _HARMLESS.search(line)]


def _make_capture(tap: Tap, program: Tshark, path: str, options: list[str], home: Path) -> Any:
    """A pyshark capture that runs our tshark in our way."""
    try:
        from pyshark.capture.file_capture import FileCapture  # type: ignore[import-untyped]
        from pyshark.tshark.output_parser.tshark_xml import TsharkXmlParser  # type: ignore[import-untyped]
    except (ImportError, OSError) as error:  # it asks for the current folder, which may be gone
        raise EnvironmentProblem(f"pyshark cannot be used: {error} (pip install pyshark)") from error

    class Parser(TsharkXmlParser):  # type: ignore[misc]
        def _parse_single_packet(self, packet: bytes) -> Fields:
            return tap.cut(packet)

    class Capture(FileCapture):  # type: ignore[misc]
        async def _get_tshark_process(self, packet_count: int | None = None, stdin: Any = None) -> _Child:
            return tap.start([program.path, "-n", "-T", "pdml", *self.get_parameters(packet_count)], home)

        async def _cleanup_subprocess(self, process: _Child) -> None:
            pass  # the tap does

        def _get_tshark_path(self) -> str:
            return program.path

        def _get_tshark_version(self) -> Any:
            raise AssertionError("not asked for")

        def _setup_tshark_output_parser(self) -> Parser:
            return Parser()

        def close(self) -> None:
            tap.close()

        def __del__(self) -> None:
            pass

    return Capture(path, keep_packets=False, eventloop=_NoLoop(), tshark_path=program.path, custom_parameters=options)
