"""Tests that need a program that is not everywhere run, or fail, or are left out where everyone sees it.

Such a test carries a marker with the program's name. Without the program it fails. Only where the environment variable
BLYNKSCOPE_TESTS_WITHOUT names the program are its tests left out, and then the report ends by counting them. The same
holds for tests that must be root, on Linux, to sniff in network namespaces of their own: their marker is `root`; and
for other programs, which the marker `program` names.

Nothing of the user's own configuration is read or written: there is an empty folder in its place.

Properties are tried on the same examples in every run, so that a run can be repeated. HYPOTHESIS_PROFILE=explore draws
new ones: run it now and then, and put what it finds into an @example.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def is_root():
    """May this process make network namespaces and sniff in them?"""
    if sys.platform != "linux" or os.geteuid() or shutil.which("ip") is None or shutil.which("unshare") is None:
        return False
    command = ["unshare", "-n", "ip", "link", "set", "lo", "up"]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


PROGRAMS = {
    "tshark": (lambda: shutil.which("tshark") is not None, "tshark is not installed: install it"),
    "node": (
        lambda: shutil.which("node") is not None and shutil.which("npm") is not None,
        "node or npm is not installed: install both",
    ),
    "root": (
        is_root,
        "this is not root on Linux, with `ip` and `unshare` and the right to make network namespaces: be it",
    ),
}
PROGRAMS |= {
    name: (lambda name=name: shutil.which(name) is not None, f"{name} is not installed: install it")
    for name in ("bash", "zsh", "fish", "mandoc", "groff", "man", "openssl", "gcc", "g++", "curl")
}
VARIABLE = "BLYNKSCOPE_TESTS_WITHOUT"

_configuration = tempfile.TemporaryDirectory(prefix="blynkscope-tests-")
os.environ["XDG_CONFIG_HOME"] = _configuration.name


def needed_by(item):
    """The names in PROGRAMS that a test needs."""
    named = [name for marker in item.iter_markers("program") for name in marker.args]
    return [*(name for name in PROGRAMS if name.isidentifier() and item.get_closest_marker(name)), *named]


left_out = pytest.StashKey[dict[str, Counter]]()


def given_up():
    """The programs that are to be done without."""
    names = os.environ.get(VARIABLE, "").replace(",", " ").split()
    unknown = sorted(set(names) - set(PROGRAMS))
    if unknown:
        raise pytest.UsageError(f"{VARIABLE} names {', '.join(unknown)}; it may name {', '.join(PROGRAMS)}")
    return names


def pytest_collection_modifyitems(config, items):
    counts = {name: Counter() for name in given_up()}
    config.stash[left_out] = counts
    gone = []
    for item in items:
        needs = [name for name in needed_by(item) if name in counts]
        if needs:
            gone.append(item)
            counts[needs[0]][item.location[0]] += 1
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in set(gone)]


there = {}


def pytest_runtest_setup(item):
    for name in needed_by(item):
        look, lacking = PROGRAMS[name]
        if name not in there:
            there[name] = look()
        if not there[name]:
            pytest.fail(f"{lacking}, or set {VARIABLE}={name} to leave out the tests that need it", pytrace=False)


def pytest_sessionfinish(session):
    """Where tests run in several processes, each tells the first one what it left out; all collect the same."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = {name: dict(files) for name, files in session.config.stash.get(left_out, {}).items()}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    told = getattr(node, "workeroutput", {}).get("left_out", {})
    node.config.stash[left_out] = {name: Counter(files) for name, files in told.items()}


def pytest_terminal_summary(terminalreporter, config):
    for name, files in config.stash.get(left_out, {}).items():
        terminalreporter.section(f"left out: {files.total()} tests that need {name}", yellow=True)
        for file, count in sorted(files.items()):
            terminalreporter.write_line(f"{count:>6}  {file}")
