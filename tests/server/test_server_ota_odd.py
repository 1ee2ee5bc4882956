"""Firmware of the server: headers that nobody sends, names that URLs quote, no room."""

import base64

import pytest
from webtalk import Caller, World

from blynkscope.server.multipart import FormError, FormReader, boundary

ADMIN = ("admin@example.com", "not-a-real-one")
START = "/admin/ota/start"
IMAGE = bytes(range(256)) * 700
FORM = ("Content-Type", "multipart/form-data; boundary=XX")


def basic():
    return ("Authorization", "Basic " + base64.b64encode(":".join(ADMIN).encode()).decode())


def form():
    head = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="fw.bin"\r\n\r\n'
    return head + IMAGE + b"\r\n--XX--\r\n"


@pytest.fixture
def world(tmp_path):
    folder = tmp_path / "firmware"
    folder.mkdir()
    return World(admin=ADMIN, firmware=folder)


@pytest.fixture
def caller(world):
    return Caller(world)


@pytest.mark.parametrize("odd", ["boundary*" + "9" * 5000 + "*=a", 'boundary="' + ";" * 9000])
def test_a_header_that_nobody_sends_is_no_form(caller, odd):
    with pytest.raises(FormError):
        boundary(f"multipart/form-data; {odd}")
    reader = FormReader(b"XX")
    head = f"Content-Disposition: form-data; file{odd.replace('boundary', 'name')}\r\n".encode()
    with pytest.raises(FormError):
        reader.feed(b"--XX\r\n" + head + b"\r\nx\r\n--XX--\r\n")
    found = caller.ask("POST", START, b"x", headers=[basic(), ("Content-Type", f"multipart/form-data; {odd}")])
    assert found.status == 500


def test_names_of_files_are_quoted_in_urls(world, caller, tmp_path):
    (tmp_path / "firmware" / "fw 1 ü.bin").write_bytes(IMAGE)
    device = world.device()
    assert caller.get(f"{START}?fileName=fw%201%20%C3%BC.bin", headers=[basic()]).status == 200
    assert device.heard() == [(17, 7777, b"ota\0http://device.example:8080/static/ota/fw%201%20%C3%BC.bin")]
    assert caller.get("/static/ota/fw%201%20%C3%BC.bin").body == IMAGE


def test_an_upload_that_finds_no_room_is_refused(world, caller, monkeypatch):
    monkeypatch.setattr(world.store._room, "takes", lambda waiting, rows: waiting < 100_000)
    found = caller.ask("POST", START, form(), headers=[basic(), FORM])
    assert found.status == 507
    world.store.commit()
    assert world.store.document_keys("firmware") == []
