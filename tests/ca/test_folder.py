"""The folder of the CA: made safely, whole at every moment, and refused where it is not its owner's alone."""

import errno
import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from catalk import Clock, keys_of_a_pool

from blynkscope.ca import Authority, authority, making, store
from blynkscope.ca.authority import PRIVATE_FILE, PUBLIC_FILE
from blynkscope.errors import EnvironmentProblem

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX modes and links")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    keys_of_a_pool(monkeypatch)
    return tmp_path / "config" / "blynkscope" / "ca"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def names(folder):
    return sorted(one.name for one in folder.iterdir())


def test_it_is_made_on_first_use_and_then_found(folder):
    first, second = Authority.at(folder), Authority.at(folder)
    assert (first.created, second.created) == (True, False)
    assert first.fingerprint == second.fingerprint
    assert names(folder) == [PRIVATE_FILE, PUBLIC_FILE]
    assert first.certificate_path.read_bytes() == first.certificate_pem
    assert b"PRIVATE" not in first.certificate_path.read_bytes()


@posix
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(folder, mask):
    folder.parent.mkdir(parents=True)
    before = os.umask(mask)
    try:
        Authority.at(folder)
    finally:
        os.umask(before)
    assert (mode(folder), mode(folder / PRIVATE_FILE), mode(folder / PUBLIC_FILE)) == (0o700, 0o600, 0o644)


def test_the_folder_of_the_user_is_the_default(tmp_path, monkeypatch):
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_config_dir", lambda *words, **options: str(tmp_path / words[0]))
    assert authority.default_folder() == tmp_path / "blynkscope" / "ca"


CHILD = """
import sys
from pathlib import Path
from blynkscope.ca import Authority
print("ready", flush=True)
sys.stdin.readline()
made = Authority.at(Path(sys.argv[1]))
print(made.created, made.fingerprint)
"""


def test_several_processes_at_once_make_one_ca(tmp_path):
    folder = tmp_path / "ca"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = [child.communicate(timeout=60)[0].split() for child in children]
    assert sorted(created for created, _ in answers) == ["False", "False", "False", "True"]
    assert len({fingerprint for _, fingerprint in answers}) == 1
    assert names(folder) == [PRIVATE_FILE, PUBLIC_FILE]


def test_who_reads_while_others_renew_never_sees_half(folder):
    Authority.at(folder)
    over, troubles = threading.Event(), []

    def read():
        try:
            while not over.is_set():
                found = Authority.at(folder)
                assert found.certificate.public_key() == found._key.public_key()
        except BaseException as error:
            troubles.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(30):
        Authority.renew(folder)
    over.set()
    for reader in readers:
        reader.join(30)
    assert not troubles
    # Two at once may each publish the certificate that they found; the next use puts it right.
    assert Authority.at(folder).certificate_pem == (folder / PUBLIC_FILE).read_bytes()


@posix
@pytest.mark.parametrize("step", ["link", "fsync"])
def test_an_end_in_the_middle_leaves_nothing(folder, monkeypatch, step):
    def ends(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.os, step, ends)
        with pytest.raises(KeyboardInterrupt):
            Authority.at(folder)
    assert names(folder) == []
    assert Authority.at(folder).created


@posix
def test_a_file_system_without_links_will_do(folder, monkeypatch):
    def none(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(store.os, "link", none)
    assert Authority.at(folder).created
    assert not Authority.at(folder).created
    assert names(folder) == [PRIVATE_FILE, PUBLIC_FILE]


@posix
def test_a_full_disk_is_said(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(EnvironmentProblem, match=r"cannot write .*authority\.pem: No space left"):
        Authority.at(folder)
    assert names(folder) == []


@posix
def test_a_folder_that_others_can_read_is_closed(folder):
    Authority.at(folder)
    folder.chmod(0o755)
    Authority.at(folder)
    assert mode(folder) == 0o700


@posix
@pytest.mark.parametrize("bits", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_can_write_is_refused(folder, bits):
    folder.mkdir(parents=True)
    folder.chmod(bits)
    for use in (Authority.at, Authority.renew):
        with pytest.raises(EnvironmentProblem, match=r"others can write.*chmod 700.*blynkscope ca renew"):
            use(folder)
    assert names(folder) == []


@posix
def test_a_folder_of_somebody_else_is_refused(folder, monkeypatch):
    Authority.at(folder)
    monkeypatch.setattr(store.os, "geteuid", lambda: os.getuid() + 4321)
    with pytest.raises(EnvironmentProblem, match="belongs to another user"):
        Authority.at(folder)


@posix
def test_a_link_in_the_place_of_the_folder_is_not_followed(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder.parent.mkdir(parents=True)
    folder.symlink_to(elsewhere)
    with pytest.raises(EnvironmentProblem, match="symbolic link, which is not followed"):
        Authority.at(folder)
    assert names(elsewhere) == []


@posix
@pytest.mark.parametrize("name", [PRIVATE_FILE, PUBLIC_FILE])
def test_a_link_in_the_place_of_a_file_is_not_followed(folder, tmp_path, name):
    Authority.at(folder)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder / name).unlink()
    (folder / name).symlink_to(precious)
    if name == PRIVATE_FILE:
        with pytest.raises(EnvironmentProblem, match=r"symbolic link.*blynkscope ca renew"):
            Authority.at(folder)
        Authority.renew(folder)
    ours = Authority.at(folder)
    assert precious.read_text() == "mine"
    assert not (folder / name).is_symlink()
    assert ours.certificate_path.read_bytes() == ours.certificate_pem


@posix
def test_a_pipe_or_folder_in_the_place_of_the_key_does_not_hang(folder):
    folder.mkdir(parents=True)
    os.mkfifo(folder / PRIVATE_FILE)
    with pytest.raises(EnvironmentProblem, match="is no file"):
        Authority.at(folder)
    (folder / PRIVATE_FILE).unlink()
    (folder / PRIVATE_FILE).mkdir()
    with pytest.raises(EnvironmentProblem, match="is no file"):
        Authority.at(folder)


def test_a_file_in_the_place_of_the_folder_is_said(folder):
    folder.parent.mkdir(parents=True)
    folder.write_text("x")
    with pytest.raises(EnvironmentProblem, match="no folder: remove it"):
        Authority.at(folder)
    with pytest.raises(EnvironmentProblem, match="cannot open the folder"):
        Authority.at(folder / "below")


@posix
def test_a_key_that_others_could_read_is_given_up(folder):
    Authority.at(folder)
    (folder / PRIVATE_FILE).chmod(0o644)
    Authority.at(folder)
    assert mode(folder / PRIVATE_FILE) == 0o600  # the closed folder has kept it
    (folder / PRIVATE_FILE).chmod(0o644)
    folder.chmod(0o755)
    with pytest.raises(EnvironmentProblem, match=r"others could read the key.*blynkscope ca renew.*chmod 600"):
        Authority.at(folder)
    before = (folder / PRIVATE_FILE).read_bytes()
    Authority.renew(folder)
    assert (folder / PRIVATE_FILE).read_bytes() != before
    assert mode(folder / PRIVATE_FILE) == 0o600


@posix
def test_the_refusal_does_not_weaken_by_asking_again(folder):
    """A first attempt must not close the folder and so make the key look as if it had been safe."""
    Authority.at(folder)
    (folder / PRIVATE_FILE).chmod(0o644)
    folder.chmod(0o755)
    for _ in range(3):
        with pytest.raises(EnvironmentProblem, match="others could read the key"):
            Authority.at(folder)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "no certificate", "no key", "other key", "leaf", "huge"])
def test_a_damaged_ca_is_said_with_the_way_out(folder, damage):
    ours = Authority.at(folder)
    path = folder / PRIVATE_FILE
    held = path.read_bytes()
    key, certificate = held[: held.index(b"-----BEGIN CERT")], ours.certificate_pem
    chain, leaf_key = ours.leaf(["a.example"])
    path.write_bytes(
        {
            "empty": b"",
            "text": b"hello\xff\0",
            "cut": held[:-100],
            "no certificate": key,
            "no key": certificate,
            "other key": making.key_pem(making.ec_key()) + certificate,
            "leaf": leaf_key + chain,
            "huge": b"x" * 10_000_000,
        }[damage]
    )
    with pytest.raises(EnvironmentProblem, match=r"damaged .*`blynkscope ca renew`") as caught:
        Authority.at(folder)
    assert "PRIVATE KEY" not in str(caught.value)
    renewed = Authority.renew(folder)
    assert Authority.at(folder).fingerprint == renewed.fingerprint


def test_an_expired_ca_is_said_with_the_way_out(folder):
    clock = Clock(datetime.now(UTC))
    first = Authority.at(folder, clock=clock)
    clock.goes(days=364)
    assert Authority.at(folder, clock=clock).fingerprint == first.fingerprint
    clock.goes(days=1, seconds=1)
    with pytest.raises(EnvironmentProblem, match=r"expired on 20\d\d-\d\d-\d\d: `blynkscope ca renew`"):
        Authority.at(folder, clock=clock)
    second = Authority.renew(folder, clock=clock)
    assert second.fingerprint != first.fingerprint
    assert second.certificate.subject != first.certificate.subject
    assert Authority.at(folder, clock=clock).fingerprint == second.fingerprint


def test_a_clock_before_the_ca_is_said(folder):
    Authority.at(folder)
    with pytest.raises(EnvironmentProblem, match="set its clock"):
        Authority.at(folder, clock=Clock(datetime.now(UTC) - timedelta(days=2)))


def test_the_public_file_is_put_right(folder):
    ours = Authority.at(folder)
    ours.certificate_path.write_text("old")
    Authority.at(folder)
    assert ours.certificate_path.read_bytes() == ours.certificate_pem
    ours.certificate_path.unlink()
    Authority.at(folder)
    assert ours.certificate_path.read_bytes() == ours.certificate_pem
