"""What an import costs: nothing heavy comes along before it is used."""

import subprocess
import sys

import pytest

HEAVY = {"scapy", "rich", "cryptography", "pyshark", "construct", "asyncio", "hypothesis"}


def loaded_by(statement):
    script = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_the_package_alone_loads_nothing_heavy():
    assert not loaded_by("import blynkscope") & {*HEAVY, "click", "msgspec"}


@pytest.mark.parametrize(
    "module",
    ["blynkscope.wire.framing", "blynkscope.sources", "blynkscope.analysis.analyser", "blynkscope.analysis.filters"],
)
def test_reading_and_analysing_need_no_terminal_and_no_other_dissector(module):
    assert not loaded_by(f"import {module}") & (HEAVY - {"construct"})


def test_starting_the_program_loads_no_other_dissector():
    assert not loaded_by("import blynkscope.cli") & (HEAVY - {"construct"} - {"rich"})


def test_what_the_package_exports_is_a_decision():
    import blynkscope

    assert blynkscope.__all__ == [
        "CATALOGUE", "COMMANDS", "STATUSES", "Analyser", "BlynkscopeError", "CaptureError", "CaptureSource", "Command",
        "Dialect", "EnvironmentProblem", "Era", "FilterError", "FindingRecord", "Frame", "FrameRecord", "Framer",
        "KeyLog", "LinkRecord", "LogRecord", "MessageRecord", "NotationError", "Observed", "Record", "Status", "StreamRecord", "SummaryRecord", "WriteRecord",
        "__version__", "build", "find", "lookup", "open_capture", "open_input", "parse", "spelled_out",
    ]  # fmt: skip
    assert all(getattr(blynkscope, name) is not None for name in blynkscope.__all__)
