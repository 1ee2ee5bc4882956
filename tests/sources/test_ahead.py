"""A source that is read by another process gives what it gives by itself."""

import os
import sys

import pytest
from captures_of import CAPTURES, every

from blynkscope.errors import CaptureError
from blynkscope.sources import open_capture
from blynkscope.sources.ahead import Ahead

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason=f"{sys.platform} has no fork; the program does without")


@pytest.mark.parametrize("path", every(), ids=lambda path: path.name)
def test_the_same_events_and_the_same_losses(path):
    plain, ahead = open_capture(path), Ahead(open_capture(path))
    assert [event for batch in ahead for event in batch] == [event for batch in plain for event in batch]
    assert (ahead.packets, ahead.damage, ahead.lost, ahead.notes) == (
        plain.packets, plain.damage, plain.lost, plain.notes
    )  # fmt: skip


def test_the_child_ends_when_nobody_reads_on():
    ahead = Ahead(open_capture(CAPTURES / "10b_flood_200ps.pcap"))
    batches = iter(ahead)
    next(batches)
    batches.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(ahead._child, os.WNOHANG)


def test_a_child_that_dies_is_told(monkeypatch):
    source = open_capture(CAPTURES / "01a_hw_plain_pyBlynkLib020.pcap")
    monkeypatch.setattr(type(source), "__iter__", lambda self: os._exit(9))
    with pytest.raises(CaptureError, match="has died"):
        list(Ahead(source))


def test_an_error_while_reading_is_told(monkeypatch):
    def fails(self):
        yield from ()
        raise CaptureError("disk on fire")

    source = open_capture(CAPTURES / "01a_hw_plain_pyBlynkLib020.pcap")
    monkeypatch.setattr(type(source), "__iter__", fails)
    with pytest.raises(CaptureError, match="disk on fire"):
        list(Ahead(source))
