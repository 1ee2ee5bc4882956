"""One list of the names of secrets, in whatever spelling and wherever they stand: URLs, forms, JSON, MQTT, logs."""

import json

import pytest
from test_layers_shown import call, packet, shown

from blynkscope.analysis.mqtt import publish
from blynkscope.protocol import mqtt, secrets
from blynkscope.render import patterns
from blynkscope.render.formats import FORMATS
from blynkscope.render.redact import Redactor
from blynkscope.wire.http_heads import read_head

SECRET = "s3cr3tThing9"
SPELLINGS = (
    "client_secret", "refresh_token", "api_key", "apiKey", "API-KEY", "accessToken", "access_token", "x-api-key",
    "signature", "jwt", "session", "sessionId", "newPassword", "shareToken", "oldPassword", "token", "pass", "Passphrase",
)  # fmt: skip


def assert_hidden(*records):
    """In no output is the secret; all of what is said of the record is looked at."""
    redactor = Redactor()
    for record in records:
        clean = redactor.apply(record)
        assert SECRET not in json.dumps(clean.detail)
        assert SECRET not in clean.text
        assert not any(SECRET in shown(form, record) for form in FORMATS)


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_known(name):
    assert secrets.is_secret(name)
    assert [text for text in (f"{name}={SECRET}", f'"{name}": "{SECRET}"') if SECRET in Redactor().text(text)] == []


@pytest.mark.parametrize("name", ["key", "client_id", "grant_type", "sessions", "tokens", "x", "x-", "", "keep_alive"])
def test_other_names_are_no_secrets(name):
    assert not secrets.is_secret(name)


def test_the_words_that_are_looked_for_are_in_all_names():
    assert all(any(root in name for root in secrets.ROOTS) for name in secrets.NAMES)
    assert all(any(root in name for name in secrets.NAMES) for root in secrets.ROOTS)
    assert all(patterns.kind_of(name) in {patterns.TOKEN, patterns.PASSWORD} for name in secrets.SPELLINGS)


@pytest.mark.parametrize("name", SPELLINGS)
def test_urls_forms_and_json(name):
    url = f"/oauth2/token?grant_type=client_credentials&client_id=a&{name}={SECRET}"
    form = f"grant_type=refresh_token&{name}={SECRET}&client_id=a"
    body = json.dumps({"a": 1, name: SECRET})
    for sent in (form, body):
        record = call(
            text=f"POST {url} {sent} → 200 {body}",
            detail={"method": "POST", "target": url, "path": "/oauth2/token", "request_content": sent,
                    "response_content": body, "status": 200},
        )  # fmt: skip
        assert_hidden(record)
        assert "client_id=a" in Redactor().apply(record).detail["target"]


def test_a_header_in_a_log():
    assert SECRET not in Redactor().line(f"X-Api-Key: {SECRET}")


@pytest.mark.parametrize("name", ["token", "auth_token", "Token", "authToken"])
def test_the_parameter_that_names_a_device(name):
    head = read_head([f"GET /external/api/get?{name}=abc&V1 HTTP/1.1".encode()])
    assert head.detail["token"] == "abc"


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_a_key_of_the_api_names_no_device(name):
    assert read_head([f"GET /api?{name}=abc HTTP/1.1".encode()]).detail["token"] is None


def published(topic, payload):
    """The record of a PUBLISH."""
    fields = mqtt.publish_fields(topic.encode(), 0, None, payload, len(payload), [])
    kind, detail, text = publish(fields, None)
    return packet(kind=kind, text=text, detail=detail)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("ds/pass", SECRET.encode()), ("ds/WiFi Pass", SECRET.encode()), ("ds/Token", SECRET.encode()),
        ("ds/apiKey", SECRET.encode()), ("ds/pass", SECRET.encode() + b"\0second"), ("ds/pass", b"two words " + SECRET.encode()),
        ("downlink/ds/password", SECRET.encode()), ("meta/pass", SECRET.encode()), ("downlink/meta/secret", SECRET.encode()),
        ("ds/pass", (SECRET * 20).encode()), ("ds/my pass", (SECRET * 20).encode()),
        ("batch_ds", json.dumps({"apiKey": SECRET, "Temp": 1}).encode()),
        ("batch_ds", json.dumps({"my pass": SECRET, "Temp": 1}).encode()),
        ("event/password", SECRET.encode()), ("ds/Log", f"password={SECRET}".encode()),
    ],
)  # fmt: skip
def test_what_the_line_hides_is_hidden_in_the_values(topic, payload):
    assert_hidden(published(topic, payload))


@pytest.mark.parametrize("value", ["a", "123", "x y"])
def test_short_values_of_a_secret_name(value):
    clean = Redactor().apply(published("ds/pass", value.encode()))
    assert (clean.detail["value"], clean.detail["payload"]) == ("pass:1", "pass:1")


def test_other_values_stay():
    record = published("ds/Temp", b"21.5")
    assert Redactor().apply(record) == record
