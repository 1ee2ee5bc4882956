"""`blynkscope ca` as a program: what it prints, that it never prints a key, and what it says when it cannot."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from catalk import keys_of_a_pool

from blynkscope.ca import Authority, authority, exports, making


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A configuration folder of its own, for this process and for its children."""
    keys_of_a_pool(monkeypatch)
    for name in ("XDG_CONFIG_HOME", "HOME", "APPDATA", "LOCALAPPDATA", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path


def blynkscope(*words):
    command = [sys.executable, "-m", "blynkscope", "ca", *map(str, words)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def text(done):
    assert done.returncode == 0, done.stderr
    assert b"PRIVATE" not in done.stdout + done.stderr
    return done.stdout.decode().replace("\r\n", "\n")


def test_it_is_shown_and_made_on_first_use(home):
    first, second = blynkscope(), blynkscope("show")
    folder = authority.default_folder()
    assert f"made a new CA in {folder}" in first.stderr.decode()
    assert second.stderr == b""
    assert text(first) == text(second)
    ours = Authority.at()
    assert ours.folder == folder
    for part in (ours.fingerprint, ours.fingerprint_sha1, str(folder), "servers of any name", "365 days left"):
        assert part in text(second)
    for word in ("setTrustAnchors", "Blynk.begin(", "load_verify_locations", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"):
        assert word in text(second)
    assert all(len(line) <= 120 for line in exports.USES.splitlines())


@pytest.mark.parametrize("words", [("--json",), ("show", "--json"), ("show", "--format", "json"), ("--format", "json")])
def test_json(home, words):
    ours = Authority.at()
    facts = json.loads(text(blynkscope(*words)))
    assert list(facts) == [
        "folder", "certificate", "name", "key", "not_before", "not_after", "sha256", "sha1", "constraints", "created",
    ]  # fmt: skip
    assert facts["sha256"] == ours.fingerprint
    assert facts["key"] == "RSA 2048"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts["not_after"])
    assert facts["created"] is False


def test_exports(home, tmp_path):
    ours = Authority.at()
    assert text(blynkscope("export")).encode() == ours.certificate_pem
    assert blynkscope("export", "--format", "der").stdout == ours.certificate_der
    assert text(blynkscope("export", "--format", "fingerprint")).split() == [
        "SHA-256", ours.fingerprint, "SHA-1", ours.fingerprint_sha1,
    ]  # fmt: skip
    for form in exports.FORMS:
        path = tmp_path / f"out.{form}"
        assert text(blynkscope("export", "--format", form, "-o", path)) == ""
        assert path.read_bytes() == exports.export(ours, form)
        assert blynkscope("export", "--format", form, "-o", "-").stdout == path.read_bytes()
        assert b"PRIVATE" not in path.read_bytes()


@pytest.mark.parametrize("compiler", ["g++", "gcc"])
@pytest.mark.program("gcc", "g++")
def test_the_c_block_compiles_to_the_certificate(home, tmp_path, compiler):
    ours = Authority.at()
    (tmp_path / "blynkscope_ca.h").write_text(exports.c_block(ours), encoding="ascii")
    source = tmp_path / ("main.cpp" if compiler == "g++" else "main.c")
    source.write_text(
        '#include "blynkscope_ca.h"\n#include <stdio.h>\nint main(void) { return puts(blynkscope_ca) < 0; }'
    )
    subprocess.run([compiler, "-Wall", "-Werror", source, "-o", tmp_path / "main"], check=True, timeout=60)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, check=True, timeout=30).stdout
    assert printed == ours.certificate_pem + b"\n"


@pytest.mark.program("openssl")
def test_the_openssl_program_reads_the_same(home, tmp_path):
    ours = Authority.at()
    path = text(blynkscope("path")).strip()

    def say(*words):
        command = ["openssl", "x509", "-in", path, "-noout", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    assert ours.fingerprint in say("-fingerprint", "-sha256")
    assert ours.fingerprint_sha1 in say("-fingerprint", "-sha1")
    words = say("-text")
    assert "CA:TRUE, pathlen:0" in words
    assert "Name Constraints" not in words
    assert text(blynkscope("renew", "--yes", "--constrain", "blynk.cloud"))
    assert "DNS:blynk.cloud" in say("-text")


def test_renewing_replaces_it_and_says_what_to_do(home):
    before = Authority.at().fingerprint
    done = blynkscope("renew", "--yes", "--constrain", "blynk.cloud", "--constrain", "192.168.1.10", "--json")
    facts = json.loads(text(done))
    assert facts["sha256"] == Authority.at().fingerprint != before
    assert facts["constraints"] == ["blynk.cloud", "192.168.1.10"]
    assert "started anew" in done.stderr.decode()
    assert "blynk.cloud, 192.168.1.10" in text(blynkscope("show"))
    again = Authority.at().fingerprint
    assert blynkscope("renew", "--constrain", "a b").returncode == 2
    assert Authority.at().fingerprint == again


def test_the_path_of_the_folder_makes_nothing(home):
    folder = authority.default_folder()
    assert text(blynkscope("path", "--folder")).strip() == str(folder)
    assert not folder.exists()
    assert text(blynkscope("path")).strip() == str(folder / "ca.pem")
    assert (folder / "ca.pem").exists()


def test_it_ends_soon(home, monkeypatch):
    Authority.renew(clock=lambda: datetime.now(UTC) - making.ROOT_LIFE + timedelta(days=9, hours=1))
    done = blynkscope()
    assert "the CA ends in 10 days: `blynkscope ca renew`" in done.stderr.decode()
    assert "10 days left" in text(done)


def test_an_expired_or_damaged_ca_ends_with_status_4_until_it_is_renewed(home):
    ours = Authority.renew(clock=lambda: datetime.now(UTC) - timedelta(days=400))
    for words in ((), ("export",), ("path",)):
        done = blynkscope(*words)
        assert done.returncode == 4
        assert b"expired on" in done.stderr
        assert b"blynkscope ca renew" in done.stderr
        assert done.stdout == b""
    ours.private_path.write_text("rubbish")
    assert b"is damaged" in blynkscope().stderr
    assert text(blynkscope("renew", "--yes"))
    assert (ours.folder / "authority.old.pem").read_text() == "rubbish"
    assert text(blynkscope())


def test_renewing_asks_and_keeps_the_old_one(home):
    ours = Authority.at()
    before = ours.private_path.read_bytes()
    done = blynkscope("renew")
    assert done.returncode == 2
    assert b"--yes" in done.stderr
    assert ours.private_path.read_bytes() == before
    assert text(blynkscope("renew", "--yes"))
    kept = ours.folder / "authority.old.pem"
    assert kept.read_bytes() == before != ours.private_path.read_bytes()
    if os.name == "posix":
        assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("y", 0)])
def test_renewing_asks_on_a_terminal(home, answer, status):
    import pexpect

    before = Authority.at().fingerprint
    child = pexpect.spawn(sys.executable, ["-m", "blynkscope", "ca", "renew"], timeout=60)
    child.expect("Go on")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert bool(child.exitstatus) == bool(status)
    assert (Authority.at().fingerprint != before) == (not status)


def test_a_file_is_written_over_by_force_alone(home, tmp_path):
    ours, path = Authority.at(), tmp_path / "main.cpp"
    path.write_text("my sketch")
    done = blynkscope("export", "-o", path)
    assert done.returncode == 4
    assert b"--force" in done.stderr
    assert path.read_text() == "my sketch"
    assert text(blynkscope("export", "--force", "-o", path)) == ""
    assert path.read_bytes() == ours.certificate_pem


def test_its_own_files_are_not_written_over(home):
    ours = Authority.at()
    for path in (ours.private_path, ours.certificate_path):
        before = path.read_bytes()
        done = blynkscope("export", "-o", path)
        assert done.returncode == 2
        assert b"choose another file" in done.stderr
        assert path.read_bytes() == before


def test_an_output_that_cannot_be_written(home, tmp_path):
    assert blynkscope("export", "-o", tmp_path / "none" / "x.pem").returncode == 4


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
def test_der_is_not_for_terminals(home):
    import pexpect

    child = pexpect.spawn(sys.executable, ["-m", "blynkscope", "ca", "export", "--format", "der"], timeout=60)
    child.expect("DER is binary: name a file with -o FILE")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


def test_help_and_mistakes(home):
    assert "--constrain" in text(blynkscope("renew", "-h"))
    assert "export" in text(blynkscope("--help"))
    assert blynkscope("nonsense").returncode == 2
    assert blynkscope("export", "--format", "key").returncode == 2
    assert not authority.default_folder().exists()


@pytest.mark.parametrize("width", [80, 200])
def test_how_to_use_it_fits_the_terminal(home, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = text(blynkscope("show")).partition("\n\n")[2].splitlines()
    longest = max(len(line) for line in shown)
    assert longest <= 82 if width == 80 else 100 < longest <= 120
    assert '  Python       SSL_CERT_FILE="$(blynkscope ca path)" python app.py' in shown
