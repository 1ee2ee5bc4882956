"""Wire analysis for the Blynk IoT protocol: what was said, what it meant, what went wrong.

A capture, read into records:

    >>> import blynkscope
    >>> source = blynkscope.open_capture("captures/12b_idle_hbeat5.pcap")
    >>> analyser = blynkscope.Analyser()
    >>> records = [record for events in source for record in analyser.feed(events)]
    >>> records += analyser.finish(source.lost)
    >>> for record in blynkscope.spelled_out(records):
    ...     if isinstance(record, blynkscope.FrameRecord) and record.name != "MSG_HW_LOGIN":
    ...         print(record.n, record.sender, record.name, record.text)
    2 server MSG_RSP STA_SUCCESS
    3 server MSG_HW pin mode D2 out
    4 device MSG_INTERNAL ver 1 · h-beat 5 · buff-in 256 · dev test
    5 server MSG_RSP STA_SUCCESS

Connections inside TLS are opened with `Analyser(keys=KeyLog(data))`, `data` being the key log.

One message, from bytes and back:

    >>> frame = blynkscope.parse(bytes.fromhex("14 0003 0007 7677 00 31 00 3432"))
    >>> blynkscope.find(frame.cmd, frame.dialect).name
    'MSG_HW'
    >>> blynkscope.build(frame) == bytes.fromhex("140003000776770031003432")
    True

Records hold the text and the secrets of the wire as they are. What is shown to people goes through `render` first.

What this package exports is its public interface; all else may change. Names are imported when they are first used.
"""

__version__ = "0.1.0"

__all__ = [
    "CATALOGUE",
    "COMMANDS",
    "STATUSES",
    "Analyser",
    "BlynkscopeError",
    "CaptureError",
    "CaptureSource",
    "Command",
    "Dialect",
    "EnvironmentProblem",
    "Era",
    "FilterError",
    "FindingRecord",
    "Frame",
    "FrameRecord",
    "Framer",
    "KeyLog",
    "LinkRecord",
    "LogRecord",
    "MessageRecord",
    "NotationError",
    "Observed",
    "Record",
    "Status",
    "StreamRecord",
    "SummaryRecord",
    "WriteRecord",
    "__version__",
    "build",
    "find",
    "lookup",
    "open_capture",
    "open_input",
    "parse",
    "spelled_out",
]

TYPE_CHECKING = False
"""Known to type checkers by its name, and cheaper than the module `typing`."""

if TYPE_CHECKING:
    from blynkscope.analysis.analyser import Analyser
    from blynkscope.analysis.catalogue import CATALOGUE
    from blynkscope.analysis.records import (
        FindingRecord,
        FrameRecord,
        LinkRecord,
        LogRecord,
        MessageRecord,
        Observed,
        Record,
        StreamRecord,
        SummaryRecord,
        WriteRecord,
        spelled_out,
    )
    from blynkscope.errors import BlynkscopeError, CaptureError, EnvironmentProblem, FilterError, NotationError
    from blynkscope.protocol.commands import COMMANDS, find, lookup
    from blynkscope.protocol.frames import Frame, build, parse
    from blynkscope.protocol.model import Command, Dialect, Era, Status
    from blynkscope.protocol.statuses import STATUSES
    from blynkscope.sources import CaptureSource, open_capture, open_input
    from blynkscope.wire.framing import Framer
    from blynkscope.wire.keylog import KeyLog
else:
    _HOMES = {
        "blynkscope.analysis.analyser": ("Analyser",),
        "blynkscope.analysis.catalogue": ("CATALOGUE",),
        "blynkscope.analysis.records": (
            "FindingRecord", "FrameRecord", "LinkRecord", "LogRecord", "MessageRecord", "Observed", "Record",
            "StreamRecord", "SummaryRecord", "WriteRecord", "spelled_out",
        ),
        "blynkscope.errors": (
            "BlynkscopeError", "CaptureError", "EnvironmentProblem", "FilterError", "NotationError",
        ),
        "blynkscope.protocol.commands": ("COMMANDS", "find", "lookup"),
        "blynkscope.protocol.frames": ("Frame", "build", "parse"),
        "blynkscope.protocol.model": ("Command", "Dialect", "Era", "Status"),
        "blynkscope.protocol.statuses": ("STATUSES",),
        "blynkscope.sources": ("CaptureSource", "open_capture", "open_input"),
        "blynkscope.wire.framing": ("Framer",),
        "blynkscope.wire.keylog": ("KeyLog",),
    }  # fmt: skip

    def __getattr__(name):
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(home), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})
