import json
import zlib

import msgspec
import pytest

from blynkscope.analysis.records import SCHEMA, FindingRecord, FrameRecord, LogRecord, StreamRecord
from blynkscope.protocol import commands, derived, limits
from blynkscope.protocol.model import Dialect
from blynkscope.render.redact import SECRET_COMMANDS, Redactor, token_name

TOKEN = "0123456789abcdef0123456789abcdef"
OTHER = "Zz_9-456789abcdef0123456789abcdE"
MAIL = "jane.doe@example.org"


def frame(cmd, body, dialect=Dialect.HARDWARE, n=1):
    fields, text = derived.decode_body(cmd, body, dialect)
    return FrameRecord(
        SCHEMA, n, 1.0, 1, None, None, "device", dialect.value, ("tcp",), cmd, commands.command_name(cmd, dialect), 1,
        len(body), None, None, body.hex(), fields, text, None, None, None, (),
    )  # fmt: skip


def everything(record):
    """All that an output could show of a record, with the body as text too."""
    shown = msgspec.json.encode(record).decode()
    return shown + bytes.fromhex(getattr(record, "body", "")).decode("latin-1")


def test_a_login_shows_a_placeholder_and_masked_bytes():
    record = Redactor().apply(frame(commands.HW_LOGIN, TOKEN.encode()))
    assert record.fields == {"token": token_name(TOKEN)}
    assert record.text == f"token {token_name(TOKEN)}"
    assert bytes.fromhex(record.body) == b"*" * 32
    assert record.length == 32


def test_the_same_token_looks_the_same_in_every_run():
    first, second = (Redactor().apply(frame(commands.HW_LOGIN, TOKEN.encode())) for _ in range(2))
    assert first.fields == second.fields != Redactor().apply(frame(commands.HW_LOGIN, OTHER.encode())).fields
    assert token_name(TOKEN).startswith("tok:")
    assert len(token_name(TOKEN)) == 10


def test_addresses_and_passwords_are_numbered():
    redactor = Redactor()
    body = b"\0".join([MAIL.encode(), b"c2FsdGVkaGFzaA==", b"Android", b"2.27", b"Blynk"])
    record = redactor.apply(frame(commands.LOGIN, body, Dialect.APP))
    assert record.fields["email"] == "mail:1"
    assert record.fields["password_hash"] == "pass:1"
    assert record.fields["client"] == "Android"
    assert bytes.fromhex(record.body).split(b"\0")[2:] == [b"Android", b"2.27", b"Blynk"]
    other = redactor.apply(frame(commands.LOGIN, b"x@y.org\0secondsecret", Dialect.APP))
    assert (other.fields["email"], other.fields["password_hash"]) == ("mail:2", "pass:2")
    assert redactor.apply(frame(commands.LOGIN, body, Dialect.APP)).fields == record.fields


def test_an_app_login_that_is_read_as_a_devices_hides_its_password():
    body = MAIL.encode() + b"\0" + b"aGFzaGhhc2hoYXNoaGFzaA==" + b"\0Android\x002.27"
    record = Redactor().apply(frame(commands.LOGIN, body))
    assert MAIL not in everything(record)
    assert "aGFzaGhhc2" not in everything(record)
    assert record.fields["extra"][1] == "Android"


def test_frames_without_secrets_pass_untouched():
    redactor = Redactor()
    for record in (
        frame(commands.HW, b"vw\x001\x0023.5"),
        frame(commands.HW, b"vw\x001\0a@b.example"),
        frame(commands.INTERNAL, b"ver\x001.0.1\0h-beat\x0045\0buff-in\x001024\0dev\0ESP8266\0"),
        frame(commands.PING, b""),
    ):
        assert redactor.apply(record) is record


def test_everything_passes_with_show_secrets():
    redactor = Redactor(show_secrets=True)
    record = frame(commands.HW_LOGIN, TOKEN.encode())
    assert redactor.apply(record) is record
    assert redactor.text(f"token={TOKEN}") == f"token={TOKEN}"


@pytest.mark.parametrize(
    ("cmd", "dialect", "body"),
    [
        (commands.BRIDGE, Dialect.HARDWARE, b"5\0i\0" + TOKEN.encode()),
        (commands.SHARE_LOGIN, Dialect.APP, MAIL.encode() + b"\0" + TOKEN.encode() + b"\0Android"),
        (commands.EMAIL, Dialect.HARDWARE, MAIL.encode() + b"\0hi\0text"),
        (commands.HW, Dialect.HARDWARE, b'vw\x001\0{"token":"' + OTHER.encode() + b'"}'),
        (commands.HW, Dialect.HARDWARE, b"vw\x001\0http://h/" + TOKEN.encode() + b"/get/V0"),
        (commands.HW, Dialect.HARDWARE, b"vw\x001\0http://h/external/api/get?token=" + TOKEN.encode()),
        (commands.NOTIFY, Dialect.HARDWARE, b"write to " + MAIL.encode() + b" please, says the device"),
        (commands.INTERNAL, Dialect.HARDWARE, b"ota\0http://h/static/ota/f.bin?token=" + TOKEN.encode()),
        (45, Dialect.APP, json.dumps([{"id": 1, "token": TOKEN, "owner": {"email": MAIL}}]).encode()),
        (45, Dialect.APP, b'[{"\\u0074oken":"' + TOKEN.encode() + b'","mail":"jane.doe\\u0040example.org"}]'),
        (24, Dialect.APP, zlib.compress(json.dumps({"devices": [{"token": TOKEN, "user": MAIL}]}).encode())),
    ],
)
def test_no_secret_is_left_anywhere_in_a_frame(cmd, dialect, body):
    record = frame(cmd, body, dialect)
    shown = Redactor().apply(record)
    for secret in (TOKEN, OTHER, MAIL, "jane.doe"):
        assert secret not in everything(shown)
    assert len(shown.body) == len(record.body)
    assert shown.fields.keys() == record.fields.keys()


def test_an_escaped_secret_masks_the_whole_body():
    body = b'[{"mail":"jane.doe\\u0040example.org","x":"aaaaaaaaaaaaaaaaaaaaaaaaaaa"}]'
    record = Redactor().apply(frame(45, body, Dialect.APP))
    assert set(bytes.fromhex(record.body)) == {0x2A}


def test_a_compressed_body_is_masked_as_a_whole():
    body = zlib.compress(json.dumps({"token": TOKEN, "name": "x" * 100}).encode())
    record = Redactor().apply(frame(24, body, Dialect.APP))
    assert bytes.fromhex(record.body) == b"*" * len(body)
    assert record.fields["json"]["token"] == token_name(TOKEN)


def test_a_known_token_is_found_in_any_later_text():
    redactor = Redactor()
    redactor.apply(frame(commands.HW_LOGIN, b"my-own-server-token"))
    assert redactor.text("the device my-own-server-token, again") == (
        f"the device {token_name('my-own-server-token')}, again"
    )
    later = redactor.apply(frame(commands.NOTIFY, b"I am xmy-own-server-tokenx and I have news for you"))
    assert "my-own" not in everything(later)


def test_text_of_findings_logs_and_streams_is_cleaned():
    redactor = Redactor()
    redactor.apply(frame(commands.HW_LOGIN, TOKEN.encode()))
    finding = redactor.apply(
        FindingRecord("BS201", "x", "error", "login", 1, (1,), 1, f"no {TOKEN}", f"{MAIL} {TOKEN}", f"use {TOKEN}")
    )
    log = redactor.apply(LogRecord(1, None, 3, "config", f'auth="{OTHER}" password=hunter22 Token: {OTHER}'))
    stream = redactor.apply(
        StreamRecord(
            "foreign",
            1,
            None,
            "device",
            9,
            {
                "request": f"GET /{OTHER}/get/V0",
                "headers": [{"Authorization": "Basic YWRtaW46YWRtaW4="}],
                "bytes": (b"\x1d\0\1\0\x20" + OTHER.encode()).hex(),
                "count": 3,
            },
        )
    )
    for record in (finding, log, stream):
        shown = msgspec.json.encode(record).decode()
        for secret in (TOKEN, OTHER, MAIL, "hunter22", "YWRtaW4", OTHER.encode().hex()):
            assert secret not in shown
    assert stream.detail["count"] == 3
    assert f"GET /{token_name(OTHER)}/get/V0" == stream.detail["request"]


def test_a_cut_login_is_masked_too():
    record = msgspec.structs.replace(frame(commands.HW_LOGIN, TOKEN[:20].encode()), length=32)
    assert TOKEN[:20] not in everything(Redactor().apply(record))


def test_secret_commands_come_from_the_table():
    assert {commands.LOGIN, commands.HW_LOGIN, commands.BRIDGE, commands.SHARE_LOGIN} <= SECRET_COMMANDS
    assert not {commands.HW, commands.PING, commands.RESPONSE} & SECRET_COMMANDS


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000, "a@" * 150_000, "a." * 150_000, "@" * 300_000, '"token":"' + "\\" * 300_000, "token=" * 50_000,
        '"token"' + " " * 300_000, "/" + "a" * 300_000, "/" * 300_000, "\\" * 300_000, "password:" + " " * 300_000,
        "x@" + "a." * 150_000, '\\"token\\":\\"' * 20_000, "authorization:" * 20_000, "token " * 50_000,
    ],
    ids=range(15),
)  # fmt: skip
def test_hostile_text_is_not_slow(text):
    redactor = Redactor()
    redactor.apply(frame(commands.HW_LOGIN, TOKEN.encode()))
    redactor.text(text)
    redactor.apply(frame(commands.NOTIFY, text.encode()))


def test_memory_is_bounded():
    redactor = Redactor()
    for index in range(limits.ADDRESSES_MAX + 50):
        redactor.apply(frame(commands.HW_LOGIN, b"%032d" % index))
        shown = redactor.text(f"a{index}@example.org")
    assert shown == "mail:more"
    assert len(redactor._known) <= limits.ADDRESSES_MAX


@pytest.mark.parametrize("depth", [80, 200, 2000])
def test_deeply_nested_fields_are_cut_and_not_a_crash(depth):
    body = b"[" * depth + b'{"token":"' + TOKEN.encode() + b'"}' + b"]" * depth
    record = Redactor().apply(frame(45, body, Dialect.APP))
    assert TOKEN not in everything(record)
    assert len(record.body) == 2 * len(body)


def test_parts_of_tokens_in_skipped_text_are_masked():
    part = "6f1c2d3e4a5b6c7d8e9f"
    record = StreamRecord("resync", 1, None, "device", 20, {"looks_like": "plain text", "line": f"{part} OK+CONN"})
    shown = Redactor().apply(record)
    assert part not in str(shown.detail)
    assert "OK+CONN" in str(shown.detail)


def test_a_short_token_that_was_learned_is_masked_in_short_values():
    redactor = Redactor()
    login = frame(29, b"mytoken123")
    value = frame(20, b"vw\x001\x00mytoken123")
    redactor.apply(login)
    assert "mytoken123" not in str(redactor.apply(value))
    assert b"mytoken123".hex() not in redactor.apply(value).body


def test_secrets_in_short_bodies_of_other_commands_are_masked():
    shown = Redactor().apply(frame(55, b"password=hunter2"))
    assert "hunter2" not in str(shown)
    assert b"hunter2".hex() not in shown.body
