"""`--keylog` and SSLKEYLOGFILE: which files count, and what is said where one cannot be read."""

from __future__ import annotations

import click
import pytest

from blynkscope.cli import engine, keys
from blynkscope.errors import CaptureError
from blynkscope.protocol import limits


def lines(number):
    return b"\n".join(b"CLIENT_RANDOM %064x %096x" % (number * 100 + line, 7) for line in range(3))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv(keys.VARIABLE, raising=False)


@pytest.fixture
def files(tmp_path):
    """Two key logs, of which the first lacks its last line feed."""
    first, second = tmp_path / "a.keys", tmp_path / "b.keys"
    first.write_bytes(lines(1))
    second.write_bytes(lines(2) + b"\n")
    return [first, second]


def joined(paths):
    with click.Context(click.Command("decode")):
        path = engine._joined(paths)
        return None if path is None else path.read_bytes()


@pytest.mark.parametrize("growing", [False, True])
def test_two_files(files, growing):
    log = keys.key_log(files, growing=growing)
    assert (log.lines, log.unusable, log.growing, log.given) == (6, 0, growing, True)


def test_two_files_that_grow(files):
    log = keys.key_log(files, growing=True)
    for path, number in ((files[0], 3), (files[1], 4)):
        with path.open("ab") as file:
            file.write(b"\n" + lines(number)[:-10])
    assert log.refresh(at_once=True)
    assert (log.lines, log.unusable) == (10, 0)
    for path in files:
        with path.open("ab") as file:
            file.write(lines(1)[-10:] + b"\n")
    assert log.refresh(at_once=True)
    assert (log.lines, log.unusable) == (12, 0)
    files[0].write_bytes(lines(5)[:130])  # begun anew
    log.refresh(at_once=True)
    files[1].unlink()
    assert not log.refresh(at_once=True)


def test_a_file_that_comes_later(tmp_path):
    log = keys.key_log([tmp_path / "later"], growing=True)
    assert log.lines == 0
    (tmp_path / "later").write_bytes(lines(1))
    assert log.refresh(at_once=True)
    assert log.lines == 3


def broken(tmp_path, what):
    path = tmp_path / "keys"
    if what == "folder":
        path.mkdir()
    elif what == "large":
        path.write_bytes(bytes(200))
    return path


@pytest.mark.parametrize("what", ["folder", "large", "missing"])
def test_what_cannot_be_read(tmp_path, monkeypatch, capsys, what):
    monkeypatch.setattr(limits, "KEYLOG_MAX", 100)
    path = broken(tmp_path, what)
    for read in (keys.key_log, joined):
        with pytest.raises(CaptureError, match="keys: "):
            read([path])
        with pytest.raises(CaptureError, match="keys: "):
            read([path, path])
    assert capsys.readouterr().err == ""
    # The variable is meant for other programs.
    monkeypatch.setenv(keys.VARIABLE, str(path))
    with click.Context(click.Command("decode")):
        assert keys.key_log([]) is keys.key_data([]) is engine._joined([]) is None
    said = capsys.readouterr().err
    assert said.count("\n") == (what != "missing")
    assert said.startswith("SSLKEYLOGFILE: " if said else "")
    assert keys.key_log([], growing=True) is None or what != "folder"


def test_the_file_of_the_environment(files, monkeypatch):
    assert keys.key_log([]) is keys.key_log([], growing=True) is joined([]) is None
    monkeypatch.setenv(keys.VARIABLE, str(files[1]))
    assert keys.key_log([]).lines == 3
    assert keys.key_log([], growing=True).lines == 3
    assert joined([]) == lines(2) + b"\n"
    # It does not count where files are named.
    assert keys.key_log(files[:1]).knows((100).to_bytes(32, "big"))
    assert not keys.key_log(files[:1]).knows((200).to_bytes(32, "big"))
    assert joined(files[:1]) == lines(1)


def test_one_file_for_tshark(files):
    assert joined(files) == lines(1) + b"\n" + lines(2) + b"\n"


def test_two_files_that_are_not_there_for_tshark(tmp_path):
    with click.Context(click.Command("decode")), pytest.raises(CaptureError, match="cannot be read"):
        engine.opener("tshark", (), (), [tmp_path / "one", tmp_path / "other"])
