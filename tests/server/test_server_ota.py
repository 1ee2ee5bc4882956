"""Firmware of the server: who may order it, uploads, downloads, and what devices hear."""

import base64
import contextlib
import os
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_world import ACCOUNT, OTHER, frame
from webtalk import TOKEN, Caller, World, answers, request

from blynkscope.protocol.model import Era
from blynkscope.server import images, ota
from blynkscope.server.images import Images
from blynkscope.server.model import ServerSettings
from blynkscope.server.multipart import FormError, FormReader, boundary
from blynkscope.server.store import Store, StoreError

ADMIN = ("admin@example.com", "not-a-real-one")
START = "/admin/ota/start"
IMAGE = b"\xe9FAKEFW" + bytes(range(256)) * 700 + b"\0build\0Mar  7 2026 10:04:33\0tail"


def basic(user=ADMIN[0], password=ADMIN[1]):
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


def form(data=IMAGE, name="fw.bin", field="file", mark="XX"):
    head = (
        f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\nContent-Type: application/octet-stream'
    )
    return f"--{mark}\r\n{head}\r\n\r\n".encode() + data + f"\r\n--{mark}--\r\n".encode()


FORM = ("Content-Type", "multipart/form-data; boundary=XX")


@pytest.fixture
def world(tmp_path):
    folder = tmp_path / "firmware"
    folder.mkdir()
    (folder / "good.bin").write_bytes(IMAGE)
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return World(admin=ADMIN, firmware=folder)


@pytest.fixture
def caller(world):
    return Caller(world)


def test_an_order_reaches_the_device(world, caller):
    device = world.device()
    found = caller.get(f"{START}?fileName=good.bin&token={TOKEN}", headers=[basic()])
    assert (found.status, found.body) == (200, b"")
    url = b"http://device.example:8080/static/ota/good.bin"
    assert device.heard() == [(17, 7777, b"ota\0" + url)]
    assert caller.get("/static/ota/good.bin").body == IMAGE


def test_an_order_over_tls_names_the_plain_port(world):
    device = world.device(port=8442)
    Caller(world, port=8081).get("/")
    caller = Caller(world, secure=True, port=9443)
    for host, named in (("192.0.2.7:9443", b"192.0.2.7"), ("[2001:db8::1]:9443", b"[2001:db8::1]"), ("name", b"name")):
        assert caller.get(f"{START}?fileName=good.bin&token={TOKEN}", headers=[basic()], host=host).status == 200
        assert device.heard() == [(17, 7777, b"ota\0http://" + named + b":8081/static/ota/good.bin")]


def test_the_public_address_is_named_where_there_is_one():
    world = World(admin=ADMIN, public="files.example:81")
    device = world.device()
    found = Caller(world).get(f"{START}?fileName=anything.bin&token={TOKEN}", headers=[basic()])
    assert found.status == 200
    assert device.heard() == [(17, 7777, b"ota\0http://files.example:81/static/ota/anything.bin")]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        (basic(password="wrong"), 401),
        (basic(user="wrong"), 401),
        (basic(password=""), 401),
        (("Authorization", "Basic !!!"), 401),
        (("Authorization", "Basic"), 401),
        (("Authorization", "Bearer " + base64.b64encode(b":".join(x.encode() for x in ADMIN)).decode()), 401),
        (("authorization", "basic  " + basic()[1][6:]), 200),
    ],
)
def test_only_the_administrator_orders(world, header, status):
    device = world.device()
    for method, body in (("GET", b""), ("POST", form())):
        caller = Caller(world)
        headers = [FORM, *([header] if header else [])]
        found = caller.ask(method, f"{START}?fileName=good.bin&token={TOKEN}", body, headers=headers)
        assert found.status == status
        assert (found.headers.get("www-authenticate") is not None) == (status == 401)
        assert bool(device.heard()) == (status == 200)
    assert Caller(world).get("/admin/ota/stop", headers=[header] if header else []).status == status


def test_without_a_password_nobody_orders():
    world = World(admin=("admin", ""))
    assert Caller(world).get(START, headers=[basic("admin", "")]).status == 403


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (f"token={TOKEN}&fileName=none.bin", "There is no such file of firmware."),
        (f"token={TOKEN}&fileName=../secret.txt", "There is no such file of firmware."),
        (f"token={TOKEN}", "Which file? Name it as fileName, or upload one with POST."),
        ("token=nosuch&fileName=good.bin", "Invalid token."),
        (f"token={OTHER}&fileName=good.bin", "No device in session."),
        ("&".join(["a=b"] * 300), "Too many parameters."),
    ],
)
def test_an_order_that_cannot_be_carried_out_says_why(caller, query, said):
    found = caller.get(f"{START}?{query}", headers=[basic()])
    assert (found.status, found.text) == (400, said)


def test_an_upload_is_kept_and_ordered(world, caller):
    device = world.device()
    target = f"{START}?token={TOKEN}"
    found = caller.ask("POST", target, form(name="../my fw (1).bin"), headers=[basic(), FORM])
    assert found.status == 200
    path = found.text
    assert path.startswith("/static/ota/my_fw_1_")
    assert path.endswith(".bin")
    assert device.heard() == [(17, 7777, b"ota\0http://device.example:8080" + path.encode())]
    download = caller.get(path)
    assert (download.body, download.headers["content-type"]) == (IMAGE, "application/octet-stream")
    assert caller.get(f"{START}?token={TOKEN}&fileName={path.rpartition('/')[2]}", headers=[basic()]).status == 200


def test_an_upload_is_the_same_however_it_is_cut(world):
    wire = request("POST", START, form(mark="XX", data=b"\r\n--X\r\n--XY" * 50), headers=[basic(), FORM])
    said = {
        Caller(world).raw(*(wire[at : at + size] for at in range(0, len(wire), size))) for size in (1, 2, 5, 11, 5000)
    }
    assert len(said) == 1
    (found,) = answers(said.pop())
    assert Caller(world).get(found.text).body == b"\r\n--X\r\n--XY" * 50


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=XX", b'--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\nfw.bin\r\n--XX--\r\n'),
        ("multipart/form-data; boundary=XX", b"--XX--\r\n"),
        ("multipart/form-data; boundary=XX", b"nothing of it"),
        ("multipart/form-data; boundary=XX", form()[:-10]),
        ("multipart/form-data; boundary=XX", form(data=b"")),
        ("multipart/form-data; boundary=XX", b"--XX\r\n" + b"a" * 9000),
        ("multipart/form-data; boundary=XX", b"--XX\r\n\r\n\r\n" * 70),
        ("multipart/form-data; boundary=XX", b"--XXno line end"),
        ("multipart/form-data; boundary=" + "X" * 71, form()),
        ("multipart/form-data", form()),
        ("application/octet-stream", IMAGE),
        ("", IMAGE),
    ],
)  # fmt: skip
def test_a_form_without_a_file_is_an_error_of_the_server_as_on_the_real_one(world, kind, body):
    device = world.device()
    found = Caller(world).ask("POST", START, body, headers=[basic(), ("Content-Type", kind)] if kind else [basic()])
    assert found.status == 500
    assert found.text
    assert device.heard() == []
    assert world.hub.images.uploading == 0


def test_an_upload_that_is_too_long_is_refused_before_it_comes(world, caller):
    length = ("Content-Length", str(images.UPLOAD_MAX + 1))
    (found,) = answers(caller.raw(request("POST", START, headers=[basic(), FORM, length, ("Expect", "100-continue")])))
    assert found.status == 413
    assert caller.how == "closed"
    assert world.hub.images.uploading == 0


def test_an_upload_in_chunks_that_is_too_long_is_refused_as_it_comes(world, caller, monkeypatch):
    monkeypatch.setattr(ota, "UPLOAD_MAX", 100_000)
    caller.raw(request("POST", START, headers=[basic(), FORM, ("Transfer-Encoding", "chunked")]))
    piece = b"4000\r\n" + form()[:16384] + b"\r\n"
    said = caller.raw(*[piece] * 6)
    assert said == b""
    assert world.hub.images.uploading == 1
    assert answers(caller.raw(piece))[0].status == 413
    assert world.hub.images.uploading == 0


def test_uploads_at_one_time_are_few_and_those_that_are_lost_are_forgotten(world):
    begun = [Caller(world) for _ in range(images.UPLOADS_MAX)]
    wire = request("POST", START, form(), headers=[basic(), FORM])
    for one in begun:
        one.raw(wire[:-20])
    caller = Caller(world)
    assert caller.ask("POST", START, form(), headers=[basic(), FORM]).status == 503
    begun[0].finish()
    begun[0].lose()
    assert Caller(world).ask("POST", START, form(), headers=[basic(), FORM]).status == 200
    assert answers(begun[1].raw(wire[-20:]))[0].status == 200
    assert world.hub.images.uploading == 0


def test_who_waits_to_be_told_to_send_is_told_only_when_it_may(world):
    how = {"headers": [FORM, ("Expect", "100-continue")]}
    head = request("POST", START, form(), **how).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert answers(Caller(world).raw(head))[0].status == 401
    how["headers"].append(basic())
    head = request("POST", START, form(), **how).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert Caller(world).raw(head).startswith(b"HTTP/1.1 100 ")


# --- orders for many --------------------------------------------------------------------------------------------------


def info(number, build):
    return frame(17, number, "ver", "1.0", "build", build)


def ordered(client):
    return [body for cmd, number, body in client.heard() if (cmd, number) == (17, 7777)]


def test_an_order_for_all_is_heard_by_who_is_there_and_by_who_comes(world, caller):
    here = world.device()
    found = caller.ask("POST", START, form(), headers=[basic(), FORM])
    url = b"ota\0http://device.example:8080" + found.body
    assert ordered(here) == [url]
    later = world.device(OTHER)
    later.raw()
    assert url in [body for _, _, body in later.say(info(2, "Jan  1 2026 00:00:00"))]
    # Who runs it already is left alone.
    again = world.device(OTHER)
    assert [cmd for cmd, _, _ in again.say(info(2, "Mar  7 2026 10:04:33"))] == [0]
    assert caller.get("/admin/ota/stop", headers=[basic()]).status == 200
    last = world.device(TOKEN)
    assert [cmd for cmd, _, _ in last.say(info(2, "Jan  1 2026 00:00:00"))] == [0]


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        (f"user={ACCOUNT}", True),
        (f"user={ACCOUNT.upper()}", True),
        ("user=other@example.com", False),
        (f"user={ACCOUNT}&project=blynkscope", True),
        ("project=Other%20One", False),
    ],
)
def test_an_order_for_an_account_or_a_project(world, caller, query, meant):
    device = world.device()
    assert caller.get(f"{START}?fileName=good.bin&{query}", headers=[basic()]).status == 200
    assert bool(ordered(device)) == meant


# --- downloads --------------------------------------------------------------------------------------------------------


def test_a_download_has_its_length_and_no_body_where_only_the_head_is_asked(world, caller):
    found = caller.ask("HEAD", "/static/ota/good.bin")
    assert (found.status, found.headers["content-length"], found.body) == (200, str(len(IMAGE)), b"")
    assert found.headers["date"] == formatdate(world.now, usegmt=True)
    assert caller.get("/static/ota/good.bin", headers=[("Range", "bytes=0-3")]).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "..", ".", "", "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", "..%5csecret.txt",
        "....//secret.txt", "/etc/passwd", "%2fetc%2fpasswd", "good.bin%00.png", "good.bin/", "sub", "sub/in.bin", ".hidden",
        "link.bin", "outside/secret.txt", "pipe", "x" * 300, "C:good.bin", "%c0%ae%c0%ae/secret.txt", "good.bin%0d%0aX: y",
    ],
)  # fmt: skip
def test_only_files_of_the_folder_are_served(world, caller, name):
    folder = world.settings.firmware
    (folder / "sub").mkdir()
    (folder / "sub" / "in.bin").write_bytes(b"secret")
    (folder / ".hidden").write_bytes(b"secret")
    (folder / "link.bin").symlink_to(folder.parent / "secret.txt")
    (folder / "outside").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe")
    found = caller.get(f"/static/ota/{name}".replace(" ", "%20"))
    assert (found.status, found.body) == (404, b"")


def test_a_link_to_another_file_of_the_folder_is_that_file(world, caller):
    (world.settings.firmware / "latest.bin").symlink_to("good.bin")
    assert caller.get("/static/ota/latest.bin").body == IMAGE


def test_a_slow_client_gets_a_file_piece_by_piece(world):
    caller = Caller(world, slow=True)
    first = caller.raw(request("GET", "/static/ota/good.bin") + request("GET", f"/{TOKEN}/rtc"))
    assert len(first) < images.PIECE + 1000
    said = first
    caller.raw(request("GET", "/nosuch"))
    while caller.link.drain():
        piece = caller.link.take()
        assert len(piece) < images.PIECE + 1000
        said += piece
    assert [one.status for one in answers(said)] == [200, 200, 404]
    assert answers(said)[0].body == IMAGE


def test_a_client_that_asks_on_and_on_while_it_reads_nothing_is_cut_off(world):
    caller = Caller(world, slow=True)
    caller.raw(request("GET", "/static/ota/good.bin"))
    with_handles = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for _ in range(40):
        caller.raw(b"GET /x HTTP/1.1\r\n" * 250)
    assert caller.how == "aborted"
    caller.lose()
    caller.link.drain()
    if with_handles is not None:
        assert len(os.listdir("/proc/self/fd")) < with_handles


def test_a_file_that_becomes_shorter_is_cut_off(world):
    caller = Caller(world, slow=True)
    caller.raw(request("GET", "/static/ota/good.bin"))
    os.truncate(world.settings.firmware / "good.bin", 70_000)
    while caller.link.drain():
        pass
    assert caller.how == "aborted"
    caller.lose()


def test_a_client_that_is_done_asking_still_gets_its_file(world):
    caller = Caller(world, slow=True)
    said = caller.raw(request("GET", "/static/ota/good.bin"))
    caller.finish()
    while caller.link.drain():
        said += caller.link.take()
    assert answers(said)[0].body == IMAGE
    assert caller.how == "closed"


def test_many_downloads_in_one_segment_are_sent_one_after_the_other(world):
    (world.settings.firmware / "small.bin").write_bytes(b"x")
    said = Caller(world).raw(request("GET", "/static/ota/small.bin") * 900)
    assert said.count(b"\r\n\r\nx") == 900


def test_downloads_work_for_the_cloud_too(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    world = World(like=Era.IOT, admin=ADMIN, firmware=tmp_path)
    assert Caller(world).get("/static/ota/a.bin").body == b"abc"


# --- files ------------------------------------------------------------------------------------------------------------


def test_uploads_outlive_the_server(tmp_path):
    store = Store(tmp_path / "store")
    name = Images(ServerSettings(), store).keep("fw.bin", IMAGE, 1.0)
    store.close()
    store = Store(tmp_path / "store")
    size, pieces = Images(ServerSettings(), store).find(name)
    assert (size, b"".join(pieces)) == (len(IMAGE), IMAGE)
    store.close()


def test_the_oldest_uploads_go(monkeypatch):
    monkeypatch.setattr(images, "KEPT_BYTES_MAX", 250_000)
    monkeypatch.setattr(images, "KEPT_FILES_MAX", 5)
    files = Images(ServerSettings(), Store(None))
    names = [files.keep("fw.bin", bytes([at]) * 100_000, 1.0) for at in range(4)]
    assert [files.has(name) for name in names] == [False, False, True, True]
    small = [files.keep("s.bin", bytes([at]) * 10, 1.0) for at in range(10)]
    assert [files.has(name) for name in small] == [False] * 5 + [True] * 5
    assert files.keep("s.bin", bytes([9]) * 10, 2.0) == small[-1]


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=200), st.binary(min_size=1, max_size=20))
def test_any_name_of_an_upload_becomes_one_that_is_served(name, data):
    files = Images(ServerSettings(), Store(None))
    own = files.keep(name, data, 1.0)
    assert own.isascii()
    assert own.replace(".", "").replace("_", "").replace("-", "").isalnum()
    assert b"".join(files.find(own)[1]) == data


def test_the_build_is_found_wherever_it_lies(monkeypatch):
    for size in (1, 2, 7, 64, 65536):
        monkeypatch.setattr(images, "PIECE", size)
        files = Images(ServerSettings(), Store(None))
        assert files.build_of(files.keep("fw.bin", b"ab\0build\0Mar  7 2026\0cd", 1.0)) == b"Mar  7 2026"
        assert files.build_of(files.keep("fw.bin", b"ab\0build\0never ended", 1.0)) is None
        assert files.build_of(files.keep("fw.bin", b"ab\0build\0\0", 1.0)) is None
        assert files.build_of(files.keep("fw.bin", b"nothing", 1.0)) is None
    assert files.build_of("none") is None


@settings(deadline=None, max_examples=300)
@given(
    st.binary(max_size=300), st.integers(1, 40), st.lists(st.sampled_from([b"--XX", b"\r\n", b"--", b"\r\n\r\n", b"a"]))
)
def test_any_form_is_read_or_refused(data, size, pieces):
    reader = FormReader(b"XX")
    stream = b"--XX\r\n" + b"".join(pieces) + data
    with contextlib.suppress(FormError):
        for at in range(0, len(stream), size):
            reader.feed(stream[at : at + size])
        reader.end()


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=80))
def test_any_content_type_is_read_or_refused(text):
    for kind in (text, "multipart/form-data; boundary=" + text):
        with contextlib.suppress(FormError):
            assert boundary(kind)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_a_file_comes_out_of_its_form_as_it_was(data, size):
    stream = b"preamble\r\n" + form(data=data, mark="QQQQQQQQ") + b"epilogue"
    reader = FormReader(b"QQQQQQQQ")
    for at in range(0, len(stream), size):
        reader.feed(stream[at : at + size])
    assert reader.end() == ("fw.bin", data)


def test_an_upload_may_take_its_time_while_it_moves(world):
    caller = Caller(world)
    wire = request("POST", START, form(), headers=[basic(), FORM])
    for at in range(0, len(wire) - 1000, len(wire) // 10):
        caller.raw(wire[at : at + len(wire) // 10])
        world.wind(50)
    assert caller.how == "open"
    world.wind(61)
    assert caller.how == "closed"
    assert world.hub.images.uploading == 0


def test_a_download_that_nobody_takes_is_cut_off(world):
    caller = Caller(world, slow=True)
    caller.raw(request("GET", "/static/ota/good.bin"))
    world.wind(50)
    assert caller.link.drain()
    world.wind(50)
    assert caller.how == "open"
    world.wind(11)
    assert caller.how == "aborted"
    caller.lose()


def test_trouble_of_the_store_in_the_middle_of_a_download_cuts_it_off(world):
    name = world.hub.images.keep("fw.bin", IMAGE, 1.0)
    world.store.commit()
    caller = Caller(world, slow=True)
    caller.raw(request("GET", f"/static/ota/{name}"))

    def broken(*_):
        raise StoreError("no more room")

    world.store.document = broken
    caller.link.drain()
    assert caller.how == "aborted"
    assert "no more room" in str(world.hub.trouble)


def test_an_order_that_names_no_host_is_refused(world):
    world.device()
    caller = Caller(world)
    wire = request("GET", f"{START}?fileName=good.bin&token={TOKEN}", headers=[basic()], version="1.0", host=None)
    assert answers(caller.raw(wire))[0].status == 400
