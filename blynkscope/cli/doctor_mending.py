"""How programs are installed here: by distribution, and on macOS and Windows."""

from __future__ import annotations

import platform
import sys
from functools import cache
from pathlib import Path

_RELEASE = Path("/etc/os-release")
_RELEASE_MAX = 16 * 1024
_FAMILIES = {
    "debian": "debian", "ubuntu": "debian", "raspbian": "debian", "fedora": "fedora", "rhel": "fedora",
    "centos": "fedora", "arch": "arch", "suse": "suse", "opensuse": "suse", "alpine": "alpine", "freebsd": "freebsd",
}  # fmt: skip
"""Words of ID and ID_LIKE: whose package manager there is."""

_INSTALL = {
    "debian": "sudo apt-get install", "fedora": "sudo dnf install", "arch": "sudo pacman -S",
    "suse": "sudo zypper install", "alpine": "sudo apk add", "freebsd": "sudo pkg install",
}  # fmt: skip
_PACKAGES = {
    "dumpcap": {
        "debian": "wireshark-common", "fedora": "wireshark-cli", "arch": "wireshark-cli", "suse": "wireshark",
        "alpine": "wireshark-common", "freebsd": "tshark",
    },
    "libpcap": {
        "debian": "libpcap0.8", "fedora": "libpcap", "arch": "libpcap", "suse": "libpcap1", "alpine": "libpcap",
    },
    "python": {
        "debian": "python3", "fedora": "python3", "arch": "python", "suse": "python3", "alpine": "python3",
    },
}  # fmt: skip
_ELSEWHERE = {
    "macos": {"dumpcap": "brew install --cask wireshark", "python": "brew install python"},
    "windows": {
        "dumpcap": "winget install WiresharkFoundation.Wireshark", "libpcap": "start https://npcap.com/#download",
        "python": "winget install Python.Python.3.12",
    },
}  # fmt: skip
_CLOCK = {
    "macos": "sudo sntp -sS time.apple.com",
    "windows": "w32tm /resync",
    "alpine": "sudo rc-service ntpd restart",
    "freebsd": "sudo service ntpdate onestart",
}


@cache
def _release() -> dict[str, str]:
    try:
        text = _RELEASE.read_bytes()[:_RELEASE_MAX].decode("utf-8", "replace")
    except OSError:
        return {}
    return release_of(text)


def release_of(text: str) -> dict[str, str]:
    """The variables of an os-release file."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, mark, value in pairs if mark}


def family_of(release: dict[str, str], system: str) -> str | None:
    """Whose commands hold: `debian`, `fedora`, `arch`, `suse`, `alpine`, `freebsd`, `macos`, `windows`, or None.

    Args:
        release: Variables of os-release.
        system: As `sys.platform` has it.
    """
    if system == "darwin":
        return "macos"
    if system == "win32":
        return "windows"
    words = [*release.get("ID", "").lower().split(), *release.get("ID_LIKE", "").lower().split()]
    for word in words:
        if found := _FAMILIES.get(word) or _FAMILIES.get(word.partition("-")[0]):
            return found
    return None


def family() -> str | None:
    """The family of this machine."""
    return family_of(_release(), sys.platform)


def install(what: str, system: str | None = None) -> tuple[str, ...]:
    """Lines that say how to install `dumpcap`, `libpcap` or `python`, on this system or the one that is named."""
    system = system or family()
    if system in _ELSEWHERE:
        command = _ELSEWHERE[system].get(what)
        return (f"$ {command}",) if command else ()
    package = _PACKAGES[what].get(system or "")
    if system is None or package is None:
        return (f"install the package that has {what}",)
    return (f"$ {_INSTALL[system]} {package}",)


def set_clock(system: str | None = None) -> tuple[str, ...]:
    """Lines that say how to set the clock."""
    return (f"$ {_CLOCK.get(system or family() or '', 'sudo timedatectl set-ntp true')}",)


def system_name() -> str:
    """The operating system, for people."""
    return _release().get("PRETTY_NAME") or platform.platform(terse=True)
