"""Manual pages: complete, escaped, and good to the formatters that there are."""

import os
import re
import subprocess
import sys
from importlib import import_module

import click
import pytest

from blynkscope.cli import COMMANDS, help_pages

PAGES = [None, *COMMANDS]
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "FILES", "ENVIRONMENT", "SEE ALSO"]
every_page = pytest.mark.parametrize("name", PAGES, ids=lambda name: name or "blynkscope")


def needing(program):
    return pytest.mark.program(program)


def blynkscope(*words, **more):
    command = [sys.executable, "-m", "blynkscope", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, encoding="ascii", timeout=60, **more)


def formatted(text):
    """The page as a person reads it, one space between words."""
    # Every line begins with a letter or digit of its own where it is no request.
    plain = re.sub(r"\\f[BRI]|\\&", "", re.sub(r"^\.(?:TH|\\\").*\n", "", text, flags=re.M))
    plain = re.sub(r"^\.(?:SH|SS|TP|PP|nf|fi|BR|br) ?", "", plain, flags=re.M)
    plain = re.sub(r"\\\[u([0-9A-F]{4,6})\]", lambda match: chr(int(match[1], 16)), plain)
    for spelled, char in ((r"\-", "-"), (r"\(aq", "'"), (r"\(ga", "`"), (r"\(ha", "^"), (r"\(ti", "~"), (r"\(dq", '"')):
        plain = plain.replace(spelled, char)
    return " ".join(plain.replace(r"\e", "\\").split())


def leaves(command):
    if isinstance(command, click.Group):
        return [leaf for one in command.commands.values() for leaf in leaves(one)]
    return [command]


def test_help_is_an_option_of_all():
    done = blynkscope("man", "filters")
    assert r"\fB\-h\fR, \fB\-\-help\fR" in done.stdout


@every_page
def test_sections(name):
    text = help_pages.page(name)
    assert text.isascii()
    assert re.findall(r"^\.SH (.*)$", text, re.M) == [
        one for one in (*SECTIONS[:4], "COMMANDS" if name in {None, "ca"} else "", *SECTIONS[4:]) if one
    ]
    assert max(map(len, text.split("\n"))) < 2000
    for line in text.split("\n"):
        assert not line.startswith("'")
        assert re.match(r"\.(?:\\\"|TH|SH|SS|TP|PP|BR|br|nf|fi)\b|[^.]|$", line) or line.startswith('.\\"'), line


@pytest.mark.parametrize("name", list(COMMANDS))
def test_nothing_of_the_help_is_missing(name):
    command = import_module(COMMANDS[name][0]).command
    text = formatted(help_pages.page(name))
    for one in {*leaves(command), command}:
        for paragraph in (one.help or "").split("\n\n"):
            assert " ".join(paragraph.replace("\b", "").replace("`", "").split()) in text.replace("`", "")
        for param in one.params:
            if isinstance(param, click.Option) and not param.hidden:
                for option in (*param.opts, *param.secondary_opts):
                    assert option in text
                assert " ".join((param.help or "").replace("`", "").split()) in text.replace("`", "")


def test_the_page_of_the_program_names_all():
    text = formatted(help_pages.page(None))
    for name, (_, about) in COMMANDS.items():
        assert f"blynkscope-{name}(1) {about}" in text
    assert "--no-config" in text


@pytest.mark.parametrize(
    ("text", "roff"),
    [
        (".SH x", r"\&.SH x"),
        ("'x", r"\(aqx"),
        ("a\\fB b", r"a\efB b"),
        ("--force -v", r"\fB\-\-force\fR \fB\-v\fR"),
        ("non-blank a-b", r"non\-blank a\-b"),
        ("`ca show` …", r"\fBca show\fR \[u2026]"),
        ("`open", r"\(gaopen"),
        ('"^~', r"\(dq\(ha\(ti"),
    ],
)
def test_escaping(text, roff):
    assert help_pages._line(help_pages._marked(text)) == roff


def test_lines_that_stay_as_they_are():
    assert list(help_pages._paragraphs("One\ntwo.\n\n\b\n.a -b\n  c")) == [
        "One two.",
        ".PP",
        ".nf",
        r"\&.a \-b",
        "  c",
        ".fi",
    ]


@needing("groff")
@every_page
def test_groff_has_no_warnings(name):
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-c"], input=help_pages.page(name), check=False, capture_output=True,
        text=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.sub(r".\x08", "", done.stdout)
    assert "EXIT STATUS" in shown
    assert "--help" in shown


@needing("mandoc")
@every_page
def test_mandoc_has_no_warnings(name):
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning"], input=help_pages.page(name), check=False, capture_output=True,
        text=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    # A page that another one names is sought on this machine.
    said = [line for line in (done.stdout + done.stderr).splitlines() if "referenced manual not found" not in line]
    assert said == []


@needing("man")
def test_man_shows_it(tmp_path):
    (tmp_path / "decode.1").write_text(help_pages.page("decode"), encoding="ascii")
    kept = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "90", "MANPAGER": "cat"}
    done = subprocess.run(
        ["man", "--warnings", "-l", str(tmp_path / "decode.1")], env=kept, check=False, capture_output=True, text=True,
        encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "blynkscope-decode - Read captures" in done.stdout


# --- the command ------------------------------------------------------------------------------------------------------


def test_to_standard_output():
    assert blynkscope("man", "decode", env={**os.environ, "SOURCE_DATE_EPOCH": "0"}).stdout.startswith(
        '.\\" Made by `blynkscope man`.\n.TH "BLYNKSCOPE\\-DECODE" "1" "1970-01-01" "blynkscope '
    )
    assert '.TH "BLYNKSCOPE"' in blynkscope("man").stdout


def test_all_pages_into_a_folder(tmp_path):
    folder = tmp_path / "man" / "man1"
    done = blynkscope("man", "-o", folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"{len(PAGES)} pages written to " in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == sorted(map(help_pages.file_name, PAGES))
    assert (folder / "blynkscope-ca.1").read_text(encoding="ascii").startswith(".\\")


def test_one_page_into_a_folder(tmp_path):
    assert blynkscope("man", "codes", "-o", tmp_path).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["blynkscope-codes.1"]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    done = blynkscope("man", "codes", "-o", tmp_path / "file" / "below")
    assert done.returncode == 4
    assert done.stderr.startswith("Error: cannot write ")


@pytest.mark.parametrize(("name", "said"), [("decod", "Did you mean decode?"), ("xyzzy", "There are decode, live")])
def test_a_name_that_is_none(name, said):
    done = blynkscope("man", name)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_same_every_time(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert help_pages.page("ca") == help_pages.page("ca")
    assert '"1970-01-02"' in help_pages.page("ca")
