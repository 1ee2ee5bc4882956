"""No secret of a message of another protocol is in any output; the same token has one placeholder everywhere."""

import io
import json
from urllib.parse import quote

import pytest
from captures_of import CAPTURES, undamaged
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from test_layers_shown import call, packet, shown
from test_redact_leaks import assert_hidden, decode, secrets_of
from test_table import frame

from blynkscope.analysis.records import FindingRecord, LogRecord, MessageRecord, Observed, StreamRecord
from blynkscope.analysis.selection import Selection
from blynkscope.protocol import commands
from blynkscope.render.background import BackgroundLines
from blynkscope.render.formats import FORMATS
from blynkscope.render.jsonl import JsonLines
from blynkscope.render.options import Options
from blynkscope.render.redact import SECRET_COMMANDS, Redactor, token_name

TOKEN = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"
IOT = "Ab-cD3fGh1jKlMn0pQrStUvWxYz_2345"
MAIL = "jane.doe@example.org"


def rest(token=TOKEN, *, url=None, **detail):
    target = f"/{url or quote(token, safe='')}/update/V0"
    held = {
        "method": "PUT",
        "target": target,
        "path": target,
        "token": token,
        "status": 200,
        "host": "blynk.cloud",
        **detail,
    }
    return call(text=f'PUT {target} ["1"] → 200', detail=held)


def connect(user="device", **secrets):
    detail = {"client_id": "mqtt_7", "user": user, "keep_alive": 45, **secrets}
    words = " ".join(f"{key} {value}" for key, value in secrets.items())
    return packet(text=f"CONNECT user {user}, {words}", detail=detail)


def cleaned(*records):
    redactor = Redactor()
    return [redactor.apply(record) for record in records]


def test_a_token_in_a_path_has_the_placeholder_of_frames():
    login = frame(
        1, cmd=29, name="MSG_HW_LOGIN", text=f"token {TOKEN}", body=TOKEN.encode().hex(), fields={"token": TOKEN}
    )
    first, second = cleaned(login, rest())
    name = token_name(TOKEN)
    assert first.fields["token"] == name
    assert second.detail["token"] == name
    assert second.detail["path"] == f"/{name}/update/V0"
    assert second.text == f'PUT /{name}/update/V0 ["1"] → 200'


@pytest.mark.parametrize(
    "token", ["not a token/at all?", "Tök€n mit Umlaut", "a+b&c=d%20e", "50%25 of it", "abcdef/ghijkl"]
)
@pytest.mark.parametrize("over", [False, True])
def test_the_url_quoted_form_is_the_same_secret(token, over):
    url = "".join(f"%{byte:02x}" for byte in token.encode()) if over else None
    (record,) = cleaned(rest(token, url=url))
    assert record.detail["path"] == f"/{token_name(token)}/update/V0"
    assert token_name(token) in record.text


@pytest.mark.parametrize("token", ["a", "12", "V0", "abcde"])
def test_a_short_token_is_hidden_where_it_stands(token):
    (record,) = cleaned(rest(token))
    assert record.detail["token"] == token_name(token)
    assert record.detail["target"].startswith(f"/{token_name(token)}/update/")
    assert f"PUT /{token_name(token)}/update/" in record.text
    (record,) = cleaned(connect(password=token))
    assert f"password {token}" not in record.text


def test_the_password_of_mqtt_is_the_token_and_its_user_is_shown():
    first, second = cleaned(connect(token=IOT), connect(password=IOT))
    for record in (first, second):
        assert IOT not in repr(record)
        assert record.text.endswith(token_name(IOT))
        assert record.detail["user"] == "device"
        assert record.detail["client_id"] == "mqtt_7"
    (other,) = cleaned(connect("somebody", password="correct horse battery"))
    assert other.detail["password"] == "pass:1"
    assert other.text == "CONNECT user somebody, password pass:1"


def test_who_calls_with_basic_authentication_is_hidden_and_the_scheme_is_not():
    (record,) = cleaned(rest(user=MAIL, authorization="basic", server="nginx"))
    assert record.detail["user"] == "mail:1"
    assert record.detail["authorization"] == "basic"
    (record,) = cleaned(rest(user="administrator"))
    assert record.detail["user"] == "pass:1"
    (record,) = cleaned(rest(authorization="Basic YWRtaW46YWRtaW4="))
    assert "YWRtaW46" not in repr(record)


def test_contents_are_masked_as_logs_are():
    content = f'{{"token":"{TOKEN}","email":"{MAIL}","password":"hunter22"}} and {IOT}'
    detail = {
        "request_content": content,
        "response_content": content,
        "payload": content,
        "payload_hex": content.encode().hex(),
    }
    (record,) = cleaned(call(text=f"POST /x {content} → 200", name="POST", detail=detail))
    for secret in (TOKEN, IOT, MAIL, "hunter22"):
        assert secret not in repr(record)
        assert secret.encode().hex() not in repr(record)


def test_what_identifies_a_file_or_a_host_stays():
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    (record,) = cleaned(rest(sha256=digest, user_agent="ESP32-http-Update", location="http://10.0.0.1/fw.bin"))
    assert record.detail["sha256"] == digest
    assert record.detail["location"] == "http://10.0.0.1/fw.bin"
    assert record.detail["host"] == "blynk.cloud"
    sni = StreamRecord(
        "tls",
        1,
        1.0,
        "unknown",
        0,
        {
            "fact": "tls-client-hello",
            "sni": "fra1.blynk.cloud",
            "ja4": "t13d1516h2_8daaf6152771_e5627efa2ab1",
            "ciphers": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
        },
    )
    assert cleaned(sni) == [sni]


def test_tokens_in_what_layers_tell():
    (record,) = cleaned(
        StreamRecord(
            "websocket",
            1,
            1.0,
            "device",
            0,
            {"fact": "ws-text", "text": f"hello {IOT[:20]}", "path": f"/ws?token={TOKEN}"},
        )
    )
    assert TOKEN not in repr(record)
    assert IOT[:20] not in repr(record)


def test_what_a_message_tells_is_hidden_in_everything_behind_it():
    token = "short-but-secret"
    later = [
        LogRecord(1, 1.0, 1, "banner", f"the token is {token}"),
        FindingRecord("BS1", "x", "note", "g", 1, (), 1, "t", f"it sent {token}", ""),
        call(2, text=f"GET /x {token}", name="GET", detail={"response_content": f"<{token}>"}),
    ]
    assert token not in repr(cleaned(rest(token), *later))


def learned(records, expression):
    """The way of the command: what is not shown is learned all the same."""
    selection, redactor, out = Selection(expression), Redactor(), []
    for shown_part, passed_over in selection.parts(records, SECRET_COMMANDS):
        out += [redactor.apply(record) for record in shown_part]
        if passed_over is not None:
            redactor.learn_frame(passed_over)
    return out


@pytest.mark.parametrize(
    "hidden", [rest("short-but-secret"), connect(token="short-but-secret"), connect("x", password="short-but-secret")]
)
def test_a_message_that_is_not_shown_tells_its_secrets_too(hidden):
    line = LogRecord(1, 1.0, 1, "banner", "the token is short-but-secret")
    (record,) = learned([hidden, line], "cmd == PING")
    assert "short-but-secret" not in record.text


def test_the_process_that_writes_lines_knows_the_same(tmp_path):
    records = [rest(), connect(password="correct horse"), LogRecord(1, 1.0, 1, "banner", f"{TOKEN} correct horse")]
    direct = io.BytesIO()
    JsonLines(direct, Options()).write(records)
    with (tmp_path / "lines").open("w+b") as stream:
        output = BackgroundLines(stream, JsonLines(stream, Options()))
        output.write(records)
        output.close()
        stream.seek(0)
        assert stream.read() == direct.getvalue()
    assert [json.loads(line)["record"] for line in direct.getvalue().splitlines()] == ["message", "message", "log"]


def test_secrets_are_shown_on_request():
    assert TOKEN in shown("table", rest(), redactor=Redactor(show_secrets=True), width=200)


ALPHABET = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_characters="\x7f"), min_size=6, max_size=40
)


@settings(max_examples=120, deadline=None)
@given(ALPHABET, ALPHABET, st.sampled_from(["plain", "quoted", "query", "spelled"]))
@example("aaaaaa", "aaaaaaa", "plain")
@example("token=", "\\u0041b\"'<>", "query")
def test_no_secret_of_a_message_in_any_output(token, password, way):
    secrets = [secret for secret in (token, password) if secret == secret.strip() and len(set(secret)) > 2]
    assume(secrets == [token, password])
    said, usual = (outputs(*pair, way) for pair in ((token, password), ("another-token", "another-password")))
    for form, out in said.items():
        for secret in {token, password, quote(token, safe="")}:
            # What stands in the output of any run is no secret there.
            if secret not in usual[form]:
                assert secret not in out, form
                assert json.dumps(secret)[1:-1] not in out, form


def outputs(token, password, way):
    """Two messages and a line of a log with these secrets, in every format."""
    url = {
        "plain": token, "quoted": quote(token, safe=""), "spelled": "".join(f"%{b:02X}" for b in token.encode())
    }.get(way)  # fmt: skip
    target = f"/{url}/update/V0" if url is not None else f"/external/api/update?token={quote(token)}&V0=1"
    http = {"target": target, "token": token, "user": password, "request_content": f"x {token} y"}
    mqtt = {"user": "somebody", "password": password}
    records = [
        call(text=f"PUT {target} → 200", detail=http),
        packet(2, f"CONNECT user somebody, password {password}", detail=mqtt),
        LogRecord(1, 1.0, 1, "x", f"{token} {password}"),
    ]
    return {form: shown(form, *records, verbose=1, width=200) for form in FORMATS}


def test_observed_frames_and_messages_share_what_is_known():
    from blynkscope.analysis.records import Facts

    facts = Facts(1, None, None, "device", "hardware", ("tcp",))
    frames = [
        Observed(facts, n, 1.0, cmd, n, len(body), body, None, None, None, ())
        for n, cmd, body in ((1, commands.HW_LOGIN, IOT.encode()), (2, 20, b"vw\x001\0" + TOKEN.encode()))
    ]
    records = cleaned(frames[0], rest(TOKEN), frames[1])
    assert TOKEN not in repr(records)
    assert isinstance(records[1], MessageRecord)


KEYED = [path for path in undamaged() if path.with_suffix(".keys").exists()]


@pytest.mark.parametrize("path", [*KEYED, CAPTURES / "09a_http_rest_plain.pcap"], ids=lambda path: path.name)
def test_no_secret_of_a_capture_that_is_opened(path):
    keys = path.with_suffix(".keys")
    options = ("--keylog", keys) if keys.exists() else ()
    secrets = secrets_of(path)
    for form in FORMATS:
        for way in (("-v",), ("--filter", "cmd == PING"), ("--filter", "protocol == http")):
            assert_hidden(decode(path, "--format", form, *options, *way), secrets)
    assert len(KEYED) == 5
    assert secrets


@pytest.mark.parametrize("user", ["admin", "static", "administrator", "update"])
def test_who_authenticates_is_no_secret_of_the_url(user):
    url = f"/{user}/ota/start?fileName=x"
    held = {"method": "GET", "target": url, "path": f"/{user}/ota/start", "user": user, "authorization": "basic"}
    record, later = cleaned(
        call(text=f"GET {url} → 200", detail=held),
        call(2, text=f"GET /{user}/x → 200", detail={"path": f"/{user}/x"}),
    )
    assert record.detail["user"] == "pass:1"
    assert record.text == f"GET {url} → 200"
    assert (record.detail["target"], record.detail["path"]) == (url, f"/{user}/ota/start")
    assert later.detail["path"] == f"/{user}/x"


@pytest.mark.parametrize("password", ["admin", "update", "V0", "device", "1234"])
def test_a_password_that_is_a_common_word_is_hidden_where_it_is_one(password):
    text = f"GET /{password}/ota/start?password={password} → 200"
    held = {"path": f"/{password}/ota/start", "password": password, "does": f"a {password} of it"}
    record, later = cleaned(call(text=text, detail=held), call(2, text=f"GET /{password}/x → 200"))
    assert record.text == f"GET /{password}/ota/start?password=pass:1 → 200"
    assert record.detail == {"path": f"/{password}/ota/start", "password": "pass:1", "does": f"a {password} of it"}
    assert later.text == f"GET /{password}/x → 200"


def test_a_token_that_is_the_name_of_a_function_is_hidden_where_it_is_the_token():
    (record,) = cleaned(rest("update"))
    assert record.detail["target"] == f"/{token_name('update')}/update/V0"
    (record,) = cleaned(rest("update", location="https://blynk.cloud/update/update/V0"))
    assert record.detail["location"] == f"https://blynk.cloud/{token_name('update')}/update/V0"
