"""BS201: the server does not know the token, and what the token's form tells."""

import pytest
from talk import APP, TOKEN, Talk, frame, status

from blynkscope.analysis.rules.login import token_form

IOT = b"AbCdEfGhIjKlMnOpQrStUvWxYz_-0123"


@pytest.mark.parametrize("cmd", [2, 29])
def test_a_refused_login(cmd):
    talk = Talk().device(frame(cmd, 1, TOKEN)).server(status(1, 9))
    (finding,) = talk.findings("BS201")
    assert (finding.severity, finding.frames, finding.count, finding.stream) == ("error", (1, 2), 1, 1)
    assert "192.0.2.2:8080" in finding.detail
    assert "frame 1" in finding.detail
    assert "hex digits" in finding.detail
    assert TOKEN.decode() not in finding.detail + finding.fix
    assert talk.frames[1].findings == ("BS201",)
    assert talk.frames[0].findings == ()
    assert talk.records.index(finding) == talk.records.index(talk.frames[1]) + 1


@pytest.mark.parametrize("code", [200, 4, 5, 2])
def test_other_answers_are_not_that_finding(code):
    assert Talk().device(frame(29, 1, TOKEN)).server(status(1, code)).findings("BS201") == []


def test_an_app_login_has_no_token():
    talk = Talk().device(frame(2, 1, b"a@b.c", b"hash", head=APP)).server(status(1, 3, APP))
    assert talk.findings("BS201") == []


def test_status_9_for_something_else():
    talk = (
        Talk()
        .device(frame(29, 1, TOKEN))
        .server(status(1))
        .device(frame(15, 2, b"64", b"i", TOKEN))
        .server(status(2, 9))
    )
    assert talk.findings("BS201") == []


def test_each_refusal_is_a_finding():
    talk = Talk().device(frame(29, 1, TOKEN)).server(status(1, 9)).device(frame(29, 2, IOT)).server(status(2, 9))
    assert [finding.frames for finding in talk.findings("BS201")] == [(1, 2), (3, 4)]


def test_the_length_of_a_write_is_no_status():
    talk = Talk().device(frame(29, 1, TOKEN)).server(status(1)).device(frame(20, 1, b"vw", b"0", b"10.0"))
    assert talk.frames[2].length == 9
    assert talk.findings("BS201") == []


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (TOKEN.decode(), "legacy"), (IOT.decode(), "Blynk IoT"), (TOKEN.decode() + " ", "white space"),
        ("\n" + TOKEN.decode(), "white space"), ("one two", "white space"), (f'"{TOKEN.decode()}"', "quotes"),
        (f"'{TOKEN.decode()}'", "quotes"), (TOKEN.decode()[:-1], "31 characters"), (TOKEN.decode() + "0", "33 characters"),
        ("*" * 32, "masked"), ("é" * 32, "no token has"), ("", "no token"), (None, "no token"),
    ],
)  # fmt: skip
def test_the_form_of_a_token(token, told):
    said = token_form(token)
    assert told in said
    assert not token or len(token) < 4 or token not in said


@pytest.mark.parametrize("token", [b"", b"\0", b"\xff" * 32, b"x" * 500, b'"' + TOKEN + b'"'])
def test_any_token_can_be_refused(token):
    talk = Talk().device(frame(29, 1, token)).server(status(1, 9))
    assert len(talk.findings("BS201")) == 1
