"""HTTP of the server: connections, bodies, limits, and requests that are none."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webtalk import TOKEN, Caller, World, answers, request

from blynkscope.protocol.model import Era
from blynkscope.server import web
from blynkscope.server.web_model import Answer, Pin, pin, values

RTC = request("GET", f"/{TOKEN}/rtc")


@pytest.fixture
def world():
    return World()


@pytest.fixture
def caller(world):
    return Caller(world)


def test_a_connection_carries_many_requests(caller):
    for _ in range(3):
        assert caller.get(f"/{TOKEN}/rtc").headers["connection"] == "keep-alive"
    assert caller.how == "open"


def test_pipelined_requests_are_answered_in_order(world, caller):
    wires = [request("GET", f"/{TOKEN}/update/V1?value={value}") for value in range(40)]
    found = answers(caller.raw(b"".join(wires) + request("GET", f"/{TOKEN}/get/V1")))
    assert len(found) == 41
    assert found[-1].text == '["39"]'


def test_the_same_is_answered_however_it_is_cut(world):
    wire = (
        RTC
        + request("PUT", f"/{TOKEN}/update/V1", b'["1","2"]')
        + request("HEAD", f"/{TOKEN}/get/V1")
        + request("GET", f"/{TOKEN}/get/V1")
        + request("GET", "/", headers=[("Connection", "close")])
    )
    whole = Caller(world).raw(wire)
    assert whole.count(b"HTTP/1.1 ") == 5
    for size in (1, 2, 7, 64):
        caller = Caller(world)
        assert caller.raw(*(wire[at : at + size] for at in range(0, len(wire), size))) == whole
        assert caller.how == "closed"


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"GET /nosuch HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /nosuch HTTP/1.0\r\n\r\n", 404),
        (b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 404),
    ],
)
def test_who_wants_to_be_closed_is_closed(caller, wire, status):
    (found,) = answers(caller.raw(wire))
    assert (found.status, found.headers["connection"].lower()) == (status, "close")
    assert caller.how == "closed"


def test_lines_may_end_without_cr_as_sketches_write_them(caller):
    (found,) = answers(caller.raw(f"GET /{TOKEN}/rtc HTTP/1.1\nHost: x\n\n".encode()))
    assert found.status == 200


def test_a_body_may_come_in_chunks(world, caller):
    device = world.device()
    head = f"PUT /{TOKEN}/update/V1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    wire = head + b'3\r\n["a\r\n3;x=y\r\n"] \r\n0\r\nTrailer: x\r\n\r\n' + RTC
    found = answers(caller.raw(*(wire[at : at + 3] for at in range(0, len(wire), 3))))
    assert [one.status for one in found] == [200, 200]
    assert device.heard() == [(20, 111, b"vw\x001\x00a")]


def test_who_asks_before_sending_a_body_is_told_to_go_on(caller):
    head, _, body = request("PUT", f"/{TOKEN}/update/V1", b'["1"]', headers=[("Expect", "100-continue")]).rpartition(
        b"\r\n\r\n"
    )
    assert caller.raw(head + b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    assert answers(caller.raw(body))[0].status == 200


def test_a_body_that_is_too_long_is_refused_before_it_comes(caller):
    wire = request("PUT", f"/{TOKEN}/update/V1", b"[" * 70_000, headers=[("Expect", "100-continue")])
    (found,) = answers(caller.raw(wire[:200]))
    assert (found.status, found.text) == (413, "The body is too long.")
    assert caller.how == "closed"
    assert caller.raw(wire[200:]) == b""


def test_a_body_of_chunks_that_is_too_long_is_refused_as_it_comes(world, caller):
    head = f"PUT /{TOKEN}/update/V1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    said = caller.raw(head, *[b"1000\r\n" + b"x" * 4096 + b"\r\n"] * 16, b"1\r\nx\r\n")
    assert answers(said)[0].status == 413
    passed_over(world, caller)


def passed_over(world, caller):
    """The rest of a refused body is taken for a while, so that its client comes to read the answer, and does nothing."""
    assert caller.how == "open"
    assert caller.raw(b"x", SMUGGLED) == b""
    world.wind(web.LINGER_SECONDS + 0.1)
    assert caller.how == "closed"
    assert world.store.pins(TOKEN) == {}


def test_a_client_that_has_read_its_refusal_and_leaves_is_closed(caller):
    head = f"PUT /{TOKEN}/update/V1 HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n".encode()
    assert answers(caller.raw(head, b"x"))[0].status == 413
    caller.finish()
    assert caller.how == "closed"


SMUGGLED = request("GET", f"/{TOKEN}/update/V66?value=smuggled")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", 400),
        ("Content-Length: 4\r\nContent-Length: 5", 400),
        ("Content-Length: 4, 5", 400),
        ("Content-Length: +4", 400),
        ("Content-Length: 0x4", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: 9999999999999999999999", 400),
        ("Content-Length: 99999999999999999999", 413),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding : chunked", 400),
        (" Transfer-Encoding: chunked", 400),
        ("Content-Length: 4\rTransfer-Encoding: chunked", 400),
        ("X: a\x00b", 400),
        ("X: a\x0bb\r\nno colon", 400),
    ],
)
def test_requests_whose_end_can_be_read_in_two_ways_are_refused(world, caller, headers, status):
    wire = f"PUT /{TOKEN}/update/V1 HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode("latin-1")
    (found,) = answers(caller.raw(wire + b"0\r\n\r\n" + SMUGGLED))
    assert found.status == status
    if caller.how == "open":
        passed_over(world, caller)
    assert caller.how == "closed"
    assert world.store.pins(TOKEN) == {}


def test_a_chunk_without_its_end_is_refused(world, caller):
    head = f"PUT /{TOKEN}/update/V1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    for rest in (b"3\n[1]\n0\n\n", b"3\r\n[1]xx0\r\n\r\n", b"g\r\n", b"-1\r\n", b"3 ;\x00\r\n"):
        assert answers(Caller(world).raw(head + rest + SMUGGLED))[0].status == 400
    assert world.store.pins(TOKEN) == {}


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"GET /x HTTP/1.1\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        (b"GET  \r\n\r\n", 400),
        (b"GET /x HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (b"GET /x\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET /x HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"GET /x HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000, 431),
        (b"GET http://other.example/nosuch HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"DELETE /x HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /x HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n", 404),
    ],
)
def test_what_is_odd_is_refused_with_a_status(caller, wire, status):
    (found,) = answers(caller.raw(wire), ["CONNECT"] if wire.startswith(b"CONNECT") else ())
    assert found.status == status
    assert TOKEN.encode() not in found.body


def test_what_comes_behind_a_refusal_is_not_read(world, caller):
    assert answers(caller.raw(b"GET / HTTP/1.1\r\n\r\n" + SMUGGLED))[0].status == 400
    assert caller.raw(SMUGGLED) == b""
    assert world.store.pins(TOKEN) == {}


def test_a_head_that_dribbles_in_stays_small(caller):
    wire = b"GET /x HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 10_000
    said = b""
    for at in range(len(wire)):
        said += caller.raw(wire[at : at + 1])
        if said:
            break
    assert answers(said)[0].status == 431
    assert at < web.HEAD_MAX + 10


def test_who_does_not_finish_a_request_is_closed(world, caller):
    for _ in range(6):
        caller.raw(b"GET / HTTP/1.1\r\n" if caller.how == "open" and _ == 0 else b"a: b\r\n")
        world.wind(11)
    assert caller.how == "closed"
    assert caller.raw(b"\r\n") == b""


def test_who_asks_now_and_then_stays(world, caller):
    for _ in range(5):
        assert caller.get("/nosuch").status == 404
        world.wind(50)
    assert caller.how == "open"
    world.wind(20)
    assert caller.how == "closed"


def test_connections_that_are_over_leave_nothing_in_the_timetable(world):
    for _ in range(2000):
        caller = Caller(world)
        caller.raw(RTC)
        caller.finish()
        caller.lose()
    assert len(world.hub.timetable) < 600


def test_a_client_that_is_done_is_closed(caller):
    caller.raw(RTC)
    caller.finish()
    assert caller.how == "closed"
    caller.lose()


def test_a_client_that_leaves_in_the_middle_of_a_request_is_forgotten(caller):
    caller.raw(request("PUT", f"/{TOKEN}/update/V1", b'["1"]')[:-2])
    caller.finish()
    caller.lose()
    assert caller.raw(b'"]') == b""


def test_the_home_page_is_that_of_the_era():
    found = Caller(World()).get("/")
    assert (found.status, found.headers["location"]) == (301, "https://www.blynk.cc")
    assert Caller(World(like=Era.IOT)).get("/").status == 404


WORDS = st.sampled_from(
    [
        b"GET ", b"PUT ", b"POST ", b"HEAD ", b"OPTIONS ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n", b"\n", b"\r\n\r\n",
        b"Host: x\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\n", b'["1"]', b"0\r\n\r\n",
        b"Upgrade: websocket\r\n", b"Connection: upgrade\r\n", b"Sec-WebSocket-Version: 13\r\n",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"/websockets", b"/dashws", b"/websocket", b"?value=", b"&",
        f"/{TOKEN}".encode(), b"/update/V1", b"/get/V1", b"/data/V1", b"/project", b"/static/ota/", b"/admin/ota/start",
        b"/external/api/", b"update?token=", TOKEN.encode(), b"%00", b"%ff", b"..", b"/",
        b"Authorization: Basic " + base64.b64encode(b"admin:secret") + b"\r\n",
        b"Content-Type: multipart/form-data; boundary=b\r\n", b"--b\r\n", b"--b--\r\n", b"\x82\x85\x00\x00\x00\x00",
        b"Content-Disposition: form-data; name=file; filename=f\r\n", b"\x88\x80\x00\x00\x00\x00",
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([b"GET ", b"PUT ", b"POST ", b"HEAD "]),
    st.lists(st.one_of(WORDS, WORDS, st.binary(max_size=30)), max_size=25),
    st.integers(1, 60),
    st.sampled_from(list(Era)),
)
def test_any_bytes_are_answered_or_close(method, pieces, size, like):
    caller = Caller(World(like=like, any_token=True, admin=("admin", "secret")))
    wire = method + b"".join(pieces)
    for at in range(0, len(wire), size):
        caller.raw(wire[at : at + size])
    caller.finish()
    caller.lose()
    caller.raw(b"more")


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=40), st.text(max_size=20), st.binary(max_size=60), st.sampled_from(["GET", "PUT", "POST"]))
def test_any_path_has_an_answer(path, query, body, method):
    from urllib.parse import quote

    for like in Era:
        caller = Caller(World(like=like, any_token=True))
        for prefix in ("/", f"/{TOKEN}/", "/external/api/", "/static/ota/", f"/external/api/update?token={TOKEN}&"):
            target = prefix + quote(path) + "?" + quote(query, safe="=&")
            found = answers(caller.raw(request(method, target, body)))
            assert 200 <= found[0].status < 600
            assert len(found) == 1


def test_pins_are_read_as_the_servers_read_them():
    assert pin("V07") == Pin(b"v", b"7")
    assert pin("d13").op == b"dw"
    assert pin("a255").key == b"a255"
    for odd in ("", None, "V", "V-1", "V1.0", "V256", "1", "VV1", "V1 ", "V0001"):
        assert pin(odd) is None
    assert values(["a\0b", ""]) == [b"a", b"b", b""]
    assert values(["x" * 70_000]) is None
    assert Answer(200, stream=iter(()), length=5).size == 5


@pytest.mark.parametrize(
    "wire",
    [
        request("HEAD", "/admin/ota/start"),
        request("HEAD", "/", host="a b"),
        request("HEAD", "/", headers=[("Content-Length", "99999999")]),
        request("HEAD", "/websockets", headers=[("Connection", "Upgrade"), ("Upgrade", "websocket")]),
        request("HEAD", "/nosuch", headers=[("Connection", "Upgrade"), ("Upgrade", "websocket")]),
        request("HEAD", "/x", headers=[("X", "y" * 9000), ("Z", "y" * 9000)]),
    ],
)
def test_a_refusal_of_head_has_no_body(wire):
    caller = Caller(World(quirks=frozenset()))
    said = caller.raw(wire)
    assert said.partition(b"\r\n\r\n")[2] == b""
    assert said.startswith(b"HTTP/1.1 4")


def test_behind_a_head_other_answers_have_bodies_again(caller):
    said = caller.raw(request("HEAD", "/nosuch") + request("GET", "/x/get/V1") + b"\0\r\n\r\n")
    assert [one.text != "" for one in answers(said, ["HEAD", "GET", "GET"])] == [False, True, True]
