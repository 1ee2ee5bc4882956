"""What outputs hide, redaction hides in files too; and what it puts there is never taken for a secret itself."""

import time
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scrub_help import redact_log

from blynkscope.cli import cli
from blynkscope.render.redact import Redactor
from blynkscope.scrub import vault as vaults
from blynkscope.scrub.matching import Matcher
from blynkscope.scrub.vault import PIECE, VARIETY, Kind, Vault

SECRET = "Zx9qW8eR7tY6uI5oP4aS3dF2gH1jK0lM"
ROOT = Path(__file__).parent.parent.parent
LOGS = sorted([*(ROOT / "captures" / "logs").glob("*.txt"), *(ROOT / "tests" / "seeds").glob("*.txt")])
LINES = {
    "curl": "curl -u anna@example.org:hunter2secret http://127.0.0.1:8080/ota/start",
    "curl with quotes": "curl --user 'admin:hunter2 secret' http://127.0.0.1/x",
    "a user of a URL": "GET http://anna@example.org:hunter2secret@localhost/x",
    "a define of a password": '#define WIFI_PASS "hunter2secret"',
    "another quote inside": """char pass[] = "hunter2's'secret";""",
    "an escaped quote": r'{"password":"x\"hunter2secret"}',
    "a modem": 'AT+CWJAP="HomeNet77","hunter2,\\"secret"',
    "a portal": "SSID: HomeNet77 Pass: hunter2secret",
    "an older server": "HardwareMessage{id=1, command=LOGIN, length=13, body='hunter2secret'}",
    "a crash": f"Guru Meditation Error: {SECRET}",
    "an escaped mail": "GET /invite?to=anna%40example.org",
}


@pytest.mark.parametrize("text", LINES.values(), ids=LINES)
def test_a_line_that_outputs_clean(text):
    out = redact_log(b"[10] Connecting to blynk.cloud:80\n" + text.encode() + b"\n")[0].decode()
    for secret in ("hunter2", 'secret"', "s'secret", SECRET, "anna"):
        assert secret not in out
    # Nothing is left that an output would call a secret, but for what stands in place of one.
    assert redact_log(out.encode())[0].decode() == out


def redact(tmp_path, text):
    source, target = tmp_path / "log.txt", tmp_path / "out.txt"
    source.write_text(text)
    result = CliRunner().invoke(cli, ["redact", str(source), "-o", str(target)])
    return result, target.read_text() if target.exists() else ""


def test_a_token_that_holds_a_piece_of_a_placeholder(tmp_path):
    result, text = redact(
        tmp_path,
        "[20] <[1D|00|01|00] 1a2b3c4d5e6f708192a3b4c5d6e7f809\n[30] >[00|00|01|00|C8]\n"
        "[40] <[1D|00|02|00] aaaabbde000100ccdd11223344556677\n",
    )
    assert result.exit_code == 0, result.output
    assert "aaaabb" not in text


OWN = ["c0de0001", "de000100", "C0DE0002", "TOKEN1xx", "OKEN2xxx", "EN3xxxxx", "KEN10xxx", "mail1xxx", "PASS1xxx"]
PARTS = st.one_of(st.sampled_from(OWN), st.text("0123456789abcdef", min_size=8, max_size=8))
TOKENS = st.lists(PARTS, min_size=4, max_size=4).map("".join)


def pieces(word):
    found = (word[at : at + PIECE] for at in range(len(word) - PIECE + 1))
    return {piece for piece in found if len(set(piece)) >= VARIETY}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(TOKENS, unique=True, min_size=1, max_size=12),
    st.lists(st.sampled_from(["a@b.de", "x@x.xx", "m@example.org"])),
)
def test_no_placeholder_holds_a_piece_of_a_secret(tokens, mails):
    vault = Vault()
    for token in tokens:
        vault.learn(Kind.TOKEN, token.encode())
    for mail in mails:
        vault.learn(Kind.MAIL, mail.encode())
    taken = set().union(*(pieces(token.encode()) for token in tokens))
    matcher = Matcher(vault)
    made = [vault.placeholder(Kind.TOKEN, token.encode()) for token in tokens]
    for token, placeholder in zip(tokens, made, strict=True):
        assert len(placeholder) == len(token)
        if placeholder != token.encode():
            assert not pieces(placeholder) & taken
            assert not matcher(placeholder)
    assert len(set(made)) == len(tokens)


@settings(max_examples=60, deadline=None)
@given(st.lists(TOKENS, unique=True, min_size=1, max_size=5))
def test_logs_with_pieces_of_placeholders_are_redacted(tokens):
    text = "".join(f"[{n}0] <[1D|00|0{n}|00] {token}\n" for n, token in enumerate(tokens, 1)).encode()
    out, _, vault = redact_log(text)
    for token in tokens:
        assert token.encode() not in out or vault.placeholder(Kind.TOKEN, token.encode()) == token.encode()


def test_placeholders_that_are_all_taken_become_fill(monkeypatch):
    monkeypatch.setattr(vaults, "PASSED_OVER_MAX", 3)
    vault = Vault()
    for number in range(1, 9):
        vault.learn(Kind.TOKEN, f"9z8y7w6vTOKEN{number}xxxx1q2w3e4r".encode())
    assert vault.placeholder(Kind.TOKEN, b"Zz_9-456789abcdef0123456789abcdE") == b"x" * 32


def test_short_mails_that_look_like_fill_end(monkeypatch):
    vault = Vault()
    for mail in (b"x@x.x", b"x@x.xx", b"xx@xx.xx"):
        vault.learn(Kind.MAIL, mail)
    assert vault.placeholder(Kind.MAIL, b"a@b.c") == b"x@x.x"
    assert len(vault.placeholder(Kind.MAIL, b"ab@cd.ef")) == 8


def test_pieces_of_what_was_issued_are_placeholders():
    vault = Vault()
    made = [vault.placeholder(Kind.TOKEN, b"%032x" % (n * 7919 << 40 | 0xABCDEF)) for n in range(1, 50)]
    for one in made:
        assert vault.is_placeholder(Kind.TOKEN, one[:12])
        assert vault.is_placeholder(Kind.TOKEN, one[2:20])
    assert not vault.is_placeholder(Kind.TOKEN, b"c0de0001f")
    assert not vault.is_placeholder(Kind.TOKEN, b"c0dead01")


def test_many_secrets_are_not_slow():
    random = Random(5)
    tokens = [b"%032x" % random.getrandbits(128) for _ in range(8000)]
    vault = Vault(hosts=True)
    begin = time.perf_counter()
    for token in tokens:
        vault.learn(Kind.TOKEN, token)
    for token in tokens:
        vault.placeholder(Kind.TOKEN, token)
        # A token that was cut short, and one that nobody knows.
        vault.placeholder(Kind.TOKEN, token[:20])
        vault.is_placeholder(Kind.TOKEN, token[4:18])
        raw = token[:4]
        assert vault.is_address_placeholder(vault.address(raw))
        assert vault.is_hardware_placeholder(vault.hardware(token[:6]))
    for _ in range(200):
        vault.readdressed(b"0123" * 350, hardware=True)
    assert time.perf_counter() - begin < 10


def test_addresses_are_replaced_in_one_pass():
    vault = Vault(hosts=True)
    one, two, long = bytes([192, 168, 1, 5]), bytes([192, 168, 1, 6]), bytes.fromhex("20010db8" + "11" * 12)
    new = [vault.address(raw) for raw in (one, two, long)]
    card = bytes.fromhex("020000aabbcc")
    hardware = vault.hardware(card)
    data = b"ab" + one + two + long + card + b"c"
    assert vault.readdressed(data) == b"ab" + b"".join(new) + card + b"c"
    assert vault.readdressed(data, hardware=True) == b"ab" + b"".join(new) + hardware + b"c"


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "seeds").glob("*.txt")), ids=lambda path: path.name
)
def test_outputs_find_nothing_in_redacted_logs(path):
    out = redact_log(path.read_bytes())[0].decode("latin-1")
    redactor = Redactor()
    for line in out.splitlines():
        shown = redactor.line(line)
        if shown != line:
            assert any(
                own in line for own in ("TOKEN", "c0de", "C0DE", "PASS", "mail", "SECRET", "xxx", "***", ": Basic ")
            ), line
