"""What doctor looks at for sniffing, and for Wireshark."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from blynkscope.cli.doctor_mending import install
from blynkscope.errors import BlynkscopeError, EnvironmentProblem
from blynkscope.render.checkup import Check, State

_CAPTURE, _WIRESHARK = "Capture", "Wireshark"
_LINUX: bool = sys.platform == "linux"
_BUFFER = 1
"""MiB: enough to be granted or refused."""
_NET_ADMIN, _NET_RAW = 12, 13
"""Bits of capabilities (linux/capability.h)."""
_LUA = re.compile(r"\b(with|without) Lua(?: (\d[\w.]*))?")


# --- sniffing ---------------------------------------------------------------------------------------------------------


def libpcap() -> Check:
    """libpcap, or Npcap."""
    import ctypes

    from blynkscope.sources.live.filters import libpcap as load

    library = load()
    version = ""
    if library is not None:
        library.pcap_lib_version.restype = ctypes.c_char_p
        version = (library.pcap_lib_version() or b"").decode("utf-8", "replace")
    elif sys.platform == "win32":
        version = _npcap()
    return Check(
        id="libpcap", group=_CAPTURE, title="libpcap", state=State.OK if version else State.MISSING,
        found=version.partition(" (")[0] or "not installed",
        enables="live -f: capture filters of your own" + ("" if _LINUX else "; sniffing by scapy"),
        mend=() if version else install("libpcap"), facts={"version": version or None},
    )  # fmt: skip


def _npcap() -> str:
    folder = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "Npcap")
    return "Npcap" if os.path.isdir(folder) else ""


@cache
def opened(backend: str) -> str | None:
    """Open a way of sniffing for a moment, at the loopback; what keeps it from that, None where nothing does."""
    from blynkscope.sources.live import Wanted, interfaces, open_backend

    found = [one for one in interfaces() if one.up and one.name != "any"]
    found.sort(key=lambda one: not one.loopback)
    if not found:
        return "there is no interface"
    wanted = Wanted((found[0].name,), promiscuous=False, buffer=_BUFFER, snaplen=64)
    try:
        open_backend(wanted, backend).close()
    except (BlynkscopeError, ImportError, OSError) as error:
        return str(error)
    return None


def dumpcap() -> Check:
    """dumpcap: where it is, how privileged, and whether it captures for this user."""
    try:
        from blynkscope.sources.live.dumpcap import program

        path = program()
    except ImportError:  # it is of use where pipes can be waited for
        return Check(
            id="dumpcap", group=_CAPTURE, title="dumpcap", state=State.WARN, found="not used on this system",
            enables="nothing here: live takes Npcap",
        )  # fmt: skip
    if path is None:
        return Check(
            id="dumpcap", group=_CAPTURE, title="dumpcap", state=State.MISSING, found="not installed",
            enables="live without being root", mend=install("dumpcap"), facts={"path": None, "works": False},
        )  # fmt: skip
    facts = {"path": path, **_rights_of(path)}
    problem = opened("dumpcap")
    facts["works"] = problem is None
    return Check(
        id="dumpcap", group=_CAPTURE, title="dumpcap", state=State.OK if problem is None else State.WARN,
        found=f"{path} ({facts['privilege']})" + ("" if problem is None else ", but not for this user"),
        enables="live without being root", mend=() if problem is None else (problem,), facts=facts,
    )  # fmt: skip


def _rights_of(path: str) -> dict[str, Any]:
    """How a program is privileged, by its file."""
    about = os.stat(path)
    ways = []
    if about.st_mode & stat.S_ISUID and about.st_uid == 0:
        ways.append("set-uid root")
    try:
        if sys.platform == "linux" and os.getxattr(path, "security.capability"):
            ways.append("capabilities of its file")
    except OSError:  # it has none, or the file system does not know them
        pass
    group = _group_name(about.st_gid)
    if ways and not about.st_mode & stat.S_IXOTH:
        ways.append(f"for the group {group}")
    without = "no privilege of its own; root runs it" if _is_root() else "no privilege of its own"
    return {"privilege": ", ".join(ways) or without, "group": group, "mode": stat.filemode(about.st_mode)}


def _group_name(number: int) -> str:
    try:
        import grp

        return grp.getgrgid(number).gr_name
    except (ImportError, KeyError):
        return str(number)


def kernel() -> Check | None:
    """The kernel's own sockets, on Linux."""
    if not _LINUX:
        return None
    problem = opened("socket")
    return Check(
        id="socket", group=_CAPTURE, title="packet sockets", state=State.OK if problem is None else State.MISSING,
        found="the kernel gives packets to this user" if problem is None else "not for this user",
        enables="live without dumpcap", mend=() if problem is None else (problem,), facts={"works": problem is None},
    )  # fmt: skip


def scapy() -> Check | None:
    """scapy with libpcap, on other systems than Linux, where it is the only way beside dumpcap."""
    if _LINUX:
        return None
    problem = opened("scapy")
    return Check(
        id="scapy", group=_CAPTURE, title="scapy", state=State.OK if problem is None else State.MISSING,
        found="captures for this user" if problem is None else "does not capture for this user",
        enables="live without dumpcap", mend=() if problem is None else (problem,), facts={"works": problem is None},
    )  # fmt: skip


def privilege() -> Check:
    """Who this user is, as far as sniffing goes, and whether there is any way for `live`."""
    ways = ("dumpcap", "socket") if _LINUX else ("dumpcap", "scapy")
    open_ways = [way for way in ways if opened(way) is None]
    facts: dict[str, Any] = {
        "root": _is_root(),
        "capabilities": _capabilities(),
        "groups": _groups(),
        "ways": open_ways,
    }
    held = [
        f"root: {'yes' if facts['root'] else 'no'}",
        f"capabilities: {', '.join(facts['capabilities']) or 'none'}",
        f"group wireshark: {facts['groups']['wireshark']}",
    ]
    if not _LINUX:
        del held[1]
    mend: tuple[str, ...] = ()
    if not open_ways:
        from blynkscope.sources.live.rights import as_root

        mend = ("see the lines above; or run it with more rights:", f"$ {as_root()}")
    return Check(
        id="privilege", group=_CAPTURE, title="right to sniff", state=State.OK if open_ways else State.MISSING,
        found="; ".join((f"by {open_ways[0]}" if open_ways else "none", *held)), enables="live", mend=mend, facts=facts,
    )  # fmt: skip


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _capabilities() -> list[str]:
    """Those of this process that matter here."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            line = next((one for one in file if one.startswith("CapEff:")), "CapEff: 0")
        held = int(line.split()[1], 16)
    except (OSError, ValueError, IndexError):
        return []
    names = {_NET_RAW: "CAP_NET_RAW", _NET_ADMIN: "CAP_NET_ADMIN"}
    return [name for bit, name in names.items() if held >> bit & 1]


def _groups() -> dict[str, str]:
    """Whether this process is of the group that Wireshark makes: `member`, `no member`, `there is none`."""
    try:
        import grp

        number = grp.getgrnam("wireshark").gr_gid
    except (ImportError, KeyError):
        return {"wireshark": "there is none"}
    return {"wireshark": "member" if number in {*os.getgroups(), os.getgid()} else "no member"}


CAPTURE: dict[str, Callable[[], Check | None]] = {
    "libpcap": libpcap, "dumpcap": dumpcap, "socket": kernel, "scapy": scapy, "privilege": privilege,
}  # fmt: skip
"""The checks by their ids."""


# --- Wireshark --------------------------------------------------------------------------------------------------------


def tshark() -> Check:
    """tshark, and whether it is new enough."""
    from blynkscope.sources.tshark.program import OLDEST, find_tshark

    enables = "decode --engine tshark: encrypted Wi-Fi, tunnels, exotic link types"
    least = ".".join(map(str, OLDEST))
    try:
        program = find_tshark()
    except EnvironmentProblem as error:
        return Check(
            id="tshark", group=_WIRESHARK, title="tshark", state=State.MISSING, found=_first(str(error)),
            enables=enables, mend=_installing(), facts={"path": None, "version": None, "least": least},
        )  # fmt: skip
    version = ".".join(map(str, program.version))
    return Check(
        id="tshark", group=_WIRESHARK, title="tshark", state=State.OK, enables=enables,
        found=f"{version}, {program.path} ({least} or newer will do)",
        facts={"path": program.path, "version": version, "least": least},
    )  # fmt: skip


def _installing() -> tuple[str, ...]:
    from blynkscope.sources.tshark.program import install_command

    return (f"$ {install_command()}",)


def _first(text: str) -> str:
    """What is wrong, without what to do."""
    return re.split(r"; install| \(install", text, maxsplit=1)[0]


def lua() -> Check | None:
    """Whether tshark runs dissectors in Lua; nothing where there is none."""
    from blynkscope.sources.tshark.program import ANSWER_SECONDS, find_tshark

    try:
        path = find_tshark().path
    except EnvironmentProblem:
        return None
    done = subprocess.run(  # noqa: S603 - an absolute path, and no argument of anybody else
        [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_SECONDS, check=False,
    )  # fmt: skip
    match = _LUA.search(" ".join(done.stdout.decode("utf-8", "replace").split()))
    has = match is not None and match[1] == "with"
    version = match[2] if match is not None and has else None
    return Check(
        id="lua", group=_WIRESHARK, title="Lua in Wireshark", state=State.OK if has else State.MISSING,
        found=f"Lua {(version or '').rstrip('.')}".strip() if has else "this tshark was built without Lua",
        enables="the dissector of `blynkscope wireshark`", mend=() if has else _installing(),
        facts={"version": version},
    )  # fmt: skip


def dissector() -> Check:
    """Whether our dissector is where Wireshark looks for it, and is that of this version."""
    from blynkscope.wireshark import install as place
    from blynkscope.wireshark.generator import dissector as text

    def found(state: State, said: str, *mend: str, path: str | None = None) -> Check:
        return Check(
            id="dissector", group=_WIRESHARK, title="dissector", state=state, found=said,
            enables="Blynk in Wireshark's and tshark's own windows", mend=mend,
            facts={"path": path, "current": state is State.OK},
        )  # fmt: skip

    try:
        folder, _ = place.plugin_folder()
    except EnvironmentProblem as error:
        return found(State.MISSING, str(error))
    path = folder / place.FILE_NAME
    if not path.exists():
        # Captures are read without it: whoever does not open them in Wireshark lacks nothing.
        return found(State.OPTIONAL, f"not installed in {folder}", "$ blynkscope wireshark --install")
    if not place.is_ours(path):
        said = f"{path} was not written by blynkscope"
        return found(State.WARN, said, "$ blynkscope wireshark --install --force", path=str(path))
    try:
        current = path.read_text("ascii", "replace") == text()
    except OSError as error:
        return found(State.WARN, f"{path} cannot be read: {error.strerror or error}", path=str(path))
    if not current:
        said = f"{path} is that of another version"
        return found(State.WARN, said, "$ blynkscope wireshark --install", path=str(path))
    return found(State.OK, str(path), path=str(path))


WIRESHARK: dict[str, Callable[[], Check | None]] = {"tshark": tshark, "lua": lua, "dissector": dissector}
"""The checks by their ids."""
