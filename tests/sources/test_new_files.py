"""Files for captures: new ones, and nobody's link."""

import os
import stat
from pathlib import Path

import pytest

from blynkscope.sources.files import begin_file, make_room, spared


def test_a_new_one_is_its_owners_alone(tmp_path):
    path = tmp_path / "x"
    os.close(begin_file(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        begin_file(path)
    os.close(begin_file(path, force=True))


def test_a_pipe_and_a_device_are_no_files(tmp_path):
    assert not spared(Path(os.devnull))
    os.close(begin_file(Path(os.devnull), force=True))
    assert Path(os.devnull).is_char_device()


def test_links_of_the_system_stay(tmp_path, monkeypatch):
    monkeypatch.setattr("blynkscope.sources.files._SYSTEM", (tmp_path / "dev",))
    (tmp_path / "dev").mkdir()
    (tmp_path / "out").write_bytes(b"mine")
    link = tmp_path / "dev" / "stdout"
    link.symlink_to(tmp_path / "out")
    with pytest.raises(OSError, match="no ordinary file"):
        make_room(link)
    with pytest.raises(OSError, match="no ordinary file"):
        begin_file(link, force=True)
    assert link.is_symlink()
    other = tmp_path / "link"
    other.symlink_to(tmp_path / "out")
    make_room(other)
    assert not other.is_symlink()
    assert (tmp_path / "out").read_bytes() == b"mine"
