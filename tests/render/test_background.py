"""Lines made by another process are those made by this one."""

import errno
import os
import sys

import pytest
from captures_of import CAPTURES, every

from blynkscope.analysis.analyser import Analyser
from blynkscope.render.outputs import make
from blynkscope.render.redact import Redactor
from blynkscope.sources import open_capture

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason=f"{sys.platform} has no fork; the program does without")


def decoded(path, target, *, background, show_secrets=False):
    analyser, source = Analyser(), open_capture(path)
    with target.open("wb") as stream:
        out = make("jsonl", stream, redactor=Redactor(show_secrets), background=background)
        for events in source:
            out.write(analyser.feed(events))
        out.write(analyser.finish(source.lost))
        out.close()
    return target.read_bytes()


def failure_of(out, analyser, source):
    try:
        for events in source:
            out.write(analyser.feed(events))
        out.close()
    except OSError as error:
        return error
    return pytest.fail("nobody noticed that nothing could be written")


@pytest.mark.parametrize("path", every(), ids=lambda path: path.name)
def test_the_same_bytes(path, tmp_path):
    for show in (False, True):
        plain = decoded(path, tmp_path / "plain", background=False, show_secrets=show)
        assert decoded(path, tmp_path / "background", background=True, show_secrets=show) == plain
        assert plain.endswith(b"}\n")


def test_a_reader_that_goes_is_told_as_such():
    read_end, write_end = os.pipe()
    os.close(read_end)
    analyser, source = Analyser(), open_capture(CAPTURES / "10b_flood_200ps.pcap")
    with os.fdopen(write_end, "wb", buffering=0) as stream:
        error = failure_of(make("jsonl", stream, background=True), analyser, source)
    source.close()
    assert error.errno == errno.EPIPE


def test_a_full_disk_is_told(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.fail("this test needs /dev/full")
    analyser, source = Analyser(), open_capture(CAPTURES / "10b_flood_200ps.pcap")
    with open("/dev/full", "wb", buffering=0) as stream:
        error = failure_of(make("jsonl", stream, background=True), analyser, source)
    source.close()
    assert error.errno in {errno.ENOSPC, errno.EPIPE}
