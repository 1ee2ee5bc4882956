"""HTTP/1 read from one side: heads, bodies of every framing, and what to do where bytes are missing."""

import hashlib
import sys
import zlib
from base64 import b64encode

import pytest
from captures_of import CAPTURES
from hypothesis import example, given, settings
from hypothesis import strategies as st
from readers import cut, facts_of, facts_of_capture

from blynkscope.wire import http
from blynkscope.wire.facts import Fact
from blynkscope.wire.http import HttpReader, HttpShared
from blynkscope.wire.http_bodies import CONTENT_MAX
from blynkscope.wire.http_heads import read_head, starts
from blynkscope.wire.layers import Content, Hole

TOKEN = "0123456789abcdef0123456789abcdef"
OK = b"HTTP/1.1 200 OK\r\n"
LOREM = b"word " * 600


def request(line="GET / HTTP/1.1", *fields, body=b""):
    return "\r\n".join([line, *fields, "", ""]).encode() + body


def client(*pieces, **options):
    return facts_of(HttpReader(True), *pieces, **options)


def server(*pieces, **options):
    return facts_of(HttpReader(False), *pieces, **options)


def detail(facts, at=0):
    return facts[at].detail


def kinds(pieces):
    """Facts by kind; what travels inside joined, holes by their size."""
    return [what.removeprefix("http-") if isinstance(what, str) else what for what, _ in told(pieces)]


def told(pieces):
    """Pieces without their times, contents joined."""
    found = []
    for piece in pieces:
        if isinstance(piece, Fact):
            found.append((piece.kind, piece.detail))
        elif isinstance(piece, Hole):
            found.append((piece.missing, "hole"))
        elif found and found[-1][1] is None:
            found[-1] = (found[-1][0] + piece.data, None)
        else:
            found.append((piece.data, None))
    return found


# --- heads --------------------------------------------------------------------------------------------------------------


def test_a_request():
    facts = client(request("GET /a/b?x=1 HTTP/1.1", "Host: example.com:8080", "User-Agent:  curl/7.88.1 "))
    assert told(facts) == [
        (
            "http-request",
            {
                "method": "GET", "target": "/a/b?x=1", "path": "/a/b", "host": "example.com:8080", "upgrade": None,
                "authorization": None, "user": None, "default_credentials": False, "token": None, "content_type": None,
                "multipart": False, "multipart_file": None, "length": None, "chunked": False,
                "user_agent": "curl/7.88.1", "free_space": None, "extensions": None, "subprotocol": None,
                "content_encoding": None, "connection": None,
            },
        )
    ]  # fmt: skip


def test_an_answer():
    facts = server(OK + b"Server: x\r\nContent-Type: text/plain\r\nLocation: /y\r\nContent-Length: 2\r\n\r\nhi")
    assert told(facts) == [
        (
            "http-response",
            {
                "status": 200, "reason": "OK", "content_type": "text/plain", "length": 2, "chunked": False,
                "location": "/y", "upgrade": None, "server": "x", "extensions": None, "subprotocol": None,
                "content_encoding": None, "connection": None,
            },
        ),
        (
            "http-body",
            {
                "bytes": 2, "complete": True, "framing": "length", "expected": 2, "missing": 0,
                "sha256": hashlib.sha256(b"hi").hexdigest(), "multipart_file": None, "content": "hi",
            },
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "token"),
    [
        (f"/{TOKEN}/update/V0?value=1", TOKEN), (f"/{TOKEN}", TOKEN), (f"/external/api/update?token={TOKEN}&V1=2", TOKEN),
        ("/x?auth_token=a%2Db", "a-b"), ("/x?TOKEN=abc", "abc"), (f"http://h/{TOKEN}/get/V1", TOKEN),
        (f"/{TOKEN}0/get/V0", None), (f"/a/{TOKEN}", None), ("/x?token=", None), ("*", None), ("/", None),
        ("http://[bad", None), ("/x?mytoken=1", None),
    ],
)  # fmt: skip
def test_tokens_in_urls(target, token):
    assert detail(client(request(f"GET {target} HTTP/1.1")))["token"] == token


@pytest.mark.parametrize(
    ("value", "scheme", "user", "default"),
    [
        ("Basic " + b64encode(b"admin:admin").decode(), "basic", "admin", True),
        ("basic  " + b64encode(b"admin@blynk.cc:admin").decode(), "basic", "admin@blynk.cc", True),
        ("Basic " + b64encode(b"admin:other:x").decode(), "basic", "admin", False),
        ("Basic " + b64encode(b"nocolon").decode(), "basic", None, False),
        ("Basic a", "basic", None, False), ("Basic", "basic", None, False), ("Basic \xe9", "basic", None, False),
        ("Bearer abc", "bearer", None, False), ("", None, None, False),
    ],
)  # fmt: skip
def test_credentials(value, scheme, user, default):
    head = b"GET / HTTP/1.1\r\nAuthorization: " + value.encode("latin-1") + b"\r\n\r\n"
    found = detail(client(head))
    assert (found["authorization"], found["user"], found["default_credentials"]) == (scheme, user, default)


def test_no_password_is_in_the_facts():
    facts = client(request("GET / HTTP/1.1", "Authorization: Basic " + b64encode(b"me:s3cret").decode()))
    assert "s3cret" not in repr(facts)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"GET / HTTP/1.1", "request"), (b"PROPFIND /x HTTP/1.0", "request"), (b"GET /a b HTTP/1.1", "request"),
        (b"GET /x", "request"), (b"HTTP/1.1 200 OK", "response"), (b"HTTP/1.0 404", "response"), (b"HTTP/2 200", "response"),
        (b"HTTP/1.1 20 OK", None), (b"HTTP/1.1 2000", None), (b"GET", None), (b"GET ", None), (b"GET  HTTP/1.1", None),
        (b"get / HTTP/1.1", None), (b"FOO /x", None), (b"GET a b", None), (b"", None), (b"\xff\xfe", None),
    ],
)  # fmt: skip
def test_start_lines(line, kind):
    assert starts(line) == kind
    assert (read_head([line]) is not None) == (kind is not None)


def test_fields_folded_repeated_and_nonsensical():
    head = request("PUT / HTTP/1.1", "Host: a", "Host: b", "X: 1", "Content-Type: text/plain;", "\tcharset=x", "rubbish",
                   "Content-Length: 2", "content-length: 2", body=b"ab")  # fmt: skip
    found = client(head)
    assert detail(found)["host"] == "a"
    assert detail(found)["length"] == 2
    assert kinds(found) == ["request", "body"]


@pytest.mark.parametrize("said", ["", "-1", "abc", "1, 2", "9" * 30, "\xb2", "1_0", "+5"])
def test_a_length_that_is_none(said):
    facts = server(b"HTTP/1.1 200 OK\r\nContent-Length: " + said.encode("latin-1") + b"\r\n\r\nabc")
    assert detail(facts)["length"] is None
    assert detail(facts, 1)["framing"] == "close"


# --- bodies -------------------------------------------------------------------------------------------------------------


def test_pipelined_requests_and_answers():
    asked = request() + request("PUT /b HTTP/1.1", "Content-Length: 3", body=b"abc") + request("GET /c HTTP/1.1")
    assert kinds(client(asked)) == ["request", "request", "body", "request"]
    said = OK + b"Content-Length: 3\r\n\r\nabc" + b"HTTP/1.1 204 No Content\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"
    assert kinds(server(said)) == ["response", "body", "response", "response"]


@pytest.mark.parametrize("status", ["100 Continue", "103 Early Hints", "204 No Content", "304 Not Modified"])
def test_answers_without_a_body(status):
    said = f"HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n".encode() + OK + b"Content-Length: 1\r\n\r\nx"
    assert kinds(server(said)) == ["response", "response", "body"]


def test_an_answer_to_head_announces_a_body_and_has_none():
    said = OK + b"Content-Length: 5055\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi"
    facts = server(said)
    assert kinds(facts) == ["response", "response", "body"]
    assert "skipped" not in detail(facts, 1)


@pytest.mark.parametrize("body", [b"H", b"HT", b"HTTP", b"HTTX", b"HTTP/1", b"hello HTTP/1.1 200 OK"])
def test_a_body_that_looks_like_an_answer_at_first(body):
    said = OK + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    for rest in (b"", OK + b"\r\n"):
        facts = server(said + rest)
        assert kinds(facts)[:2] == ["response", "body"]
        assert detail(facts, 1)["sha256"] == hashlib.sha256(body).hexdigest()
        assert len(facts) == (4 if rest else 2)


def test_chunks():
    said = (
        OK
        + b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
        + OK
        + b"\r\n"
    )
    facts = server(said)
    assert kinds(facts) == ["response", "body", "response", "body"]
    assert detail(facts, 1)["bytes"] == 13
    assert detail(facts, 1)["framing"] == "chunked"
    assert detail(facts, 1)["sha256"] == hashlib.sha256(b"abc0123456789").hexdigest()
    assert detail(facts, 1)["expected"] is None


@pytest.mark.parametrize("bad", [b"xyz\r\n", b"\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"1" * 40 + b"\r\n", b"9" * 5000])
def test_bad_chunks_end_the_body_and_the_next_head_is_found(bad):
    said = OK + b"Transfer-Encoding: chunked\r\n\r\n" + bad + b"\r\nrubbish\r\n" + OK + b"Content-Length: 0\r\n\r\n"
    facts = server(said)
    assert kinds(facts) == ["response", "body", "response"]
    assert detail(facts, 1)["complete"] is False
    assert detail(facts, 1)["sha256"] is None
    assert detail(facts, 2)["skipped"] > 0


def test_a_body_up_to_the_end():
    facts = server(OK + b"\r\nabc", b"def")
    assert detail(facts, 1)["framing"] == "close"
    assert detail(facts, 1)["bytes"] == 6
    assert detail(facts, 1)["complete"] is True


def test_a_body_that_breaks_off():
    facts = server(OK + b"Content-Length: 10\r\n\r\nabc")
    assert detail(facts, 1) | {"sha256": None} == detail(facts, 1)
    assert (detail(facts, 1)["bytes"], detail(facts, 1)["complete"], detail(facts, 1)["expected"]) == (3, False, 10)


# --- uploads ------------------------------------------------------------------------------------------------------------


def upload(form):
    return request(
        "POST /ota HTTP/1.1", "Content-Type: multipart/form-data; boundary=x", f"Content-Length: {len(form)}", body=form
    )


@pytest.mark.parametrize(
    ("form", "file"),
    [
        (b'--x\r\nContent-Disposition: form-data; name="file"; filename="fw.bin"\r\n\r\n..', True),
        (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nfw.bin\r\n--x--\r\n', False),
        (b"x" * 65536 + b'filename="late"', False), (b"x" * (65536 - 9) + b"FILENAME=", True),
    ],
)  # fmt: skip
def test_uploads(form, file):
    facts = client(upload(form))
    assert detail(facts)["multipart"] is True
    assert detail(facts)["multipart_file"] is None
    assert detail(facts, 1)["multipart_file"] is file
    assert told(client(*cut(upload(form), range(1, 70000, 997)))) == told(facts)


# --- other protocols behind ---------------------------------------------------------------------------------------------


SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"


def test_what_comes_behind_an_upgrade():
    asked = request("GET /websockets HTTP/1.1", "Upgrade: WebSocket", "Connection: Upgrade",
                    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "Sec-WebSocket-Protocol: mqtt")  # fmt: skip
    pieces = client(asked, b"\x82\x85mask" + b"\n" * 5, b"GET / HTTP/1.1\r\n\r\n")
    assert kinds(pieces) == ["request", b"\x82\x85mask\n\n\n\n\nGET / HTTP/1.1\r\n\r\n"]
    found = detail(pieces)
    assert (found["upgrade"], found["connection"], found["subprotocol"]) == ("websocket", "Upgrade", "mqtt")
    assert found["extensions"] == "permessage-deflate; client_max_window_bits"
    pieces = server(SWITCHING + b"\r\n\x82", b"\x05hello", OK + b"\r\n")
    assert kinds(pieces) == ["response", b"\x82\x05hello" + OK + b"\r\n"]


@pytest.mark.parametrize("frame", [b"\x82\x81maskx", b"A\x81maskx", b"\x01\x80mask", b"B\xfe", b"\x10\0", b"\x1d"])
def test_a_frame_is_told_from_a_request_however_it_is_cut(frame):
    asked = request("GET /websockets HTTP/1.1", "Upgrade: websocket")
    for pieces in ([asked + frame], [asked, *cut(frame, range(9))]):
        assert kinds(client(*pieces)) == ["request", frame]


def test_content_tells_how_far_the_outer_bytes_were_seen():
    head = SWITCHING + b"\r\n"
    pieces = server(head + b"abc", 5, b"de", b"f", step=1.0)
    assert [(piece.data, piece.time, piece.behind) for piece in pieces if isinstance(piece, Content)] == [
        (b"abc", 101.0, len(head) + 3), (b"de", 103.0, len(head) + 10), (b"f", 104.0, len(head) + 11),
    ]  # fmt: skip
    assert [piece for piece in pieces if isinstance(piece, Hole)] == [Hole(5, 102.0)]
    reader = HttpReader(False)
    reader.feed(head, 1.0)
    assert reader.gap(None, 2.0) == [Hole(None, 2.0)]


def test_a_gap_right_behind_an_upgrade_belongs_to_the_new_protocol():
    asked = request("GET /websockets HTTP/1.1", "Upgrade: websocket")
    assert kinds(client(asked, 7, b"rest")) == ["request", 7, b"rest"]


def test_a_refused_upgrade_is_followed_by_another_request():
    asked = request("GET /websocket HTTP/1.1", "Upgrade: websocket")
    assert kinds(client(asked, b"\r\n", request())) == ["request", "request"]


def test_a_tunnel():
    asked = request("CONNECT h:443 HTTP/1.1")
    assert kinds(client(asked, b"\x16\x03\x01")) == ["request", b"\x16\x03\x01"]
    assert kinds(client(asked, asked, b"\x1d\0\1")) == ["request", "request", b"\x1d\0\1"]
    assert kinds(server(b"HTTP/1.1 200 Connection Established\r\n\r\n", b"\x16\x03")) == ["response", b"\x16\x03"]


@pytest.mark.parametrize("said", ["200 OK", "200 Tunnel ready", "200", "204 Fine", "200 OK\r\nContent-Length: 5"])
def test_any_answer_of_success_to_connect_opens_a_tunnel(said):
    """The reason phrase is free text, and a length that is announced means nothing."""
    shared = HttpShared()
    asking, answering = HttpReader(True, shared), HttpReader(False, shared)
    asking.feed(request("CONNECT h:443 HTTP/1.1"), None)
    head = f"HTTP/1.1 {said}\r\n\r\n".encode()
    assert kinds(answering.feed(head + b"\x16\x03", None)) == ["response", b"\x16\x03"]
    # What looks like a request is inside the tunnel as well.
    assert kinds(asking.feed(request(), None)) == [request()]


def test_a_refused_tunnel_goes_on_with_http():
    shared = HttpShared()
    asking, answering = HttpReader(True, shared), HttpReader(False, shared)
    asking.feed(request("CONNECT h:443 HTTP/1.1"), None)
    refused = b"HTTP/1.1 407 Who are you\r\nContent-Length: 2\r\n\r\nno"
    assert kinds(answering.feed(refused, None)) == ["response", "body"]
    asking.feed(request("CONNECT h:443 HTTP/1.1", "Proxy-Authorization: Basic eDp5"), None)
    assert kinds(answering.feed(OK + b"\r\nxy", None)) == ["response", b"xy"]


def test_success_alone_is_no_tunnel():
    shared = HttpShared()
    asking, answering = HttpReader(True, shared), HttpReader(False, shared)
    asking.feed(request("GET /a HTTP/1.1"), None)
    assert kinds(answering.feed(b"HTTP/1.1 200 Connection established\r\n\r\nxy", None)) == ["response"]
    assert kinds(answering.finish(None)) == ["body"]


@pytest.mark.parametrize("field", [b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b""])
def test_an_answer_to_head_has_no_body(field):
    shared = HttpShared()
    asking, answering = HttpReader(True, shared), HttpReader(False, shared)
    asking.feed(request("HEAD /a HTTP/1.1") + request("GET /b HTTP/1.1"), None)
    continued = b"HTTP/1.1 100 Continue\r\n\r\n"
    answers = continued + OK + field + b"\r\n" + OK + b"Content-Length: 2\r\n\r\nhi"
    assert kinds(answering.feed(answers, None)) == ["response", "response", "response", "body"]


def test_where_requests_are_missing_nobody_knows_what_is_answered():
    shared = HttpShared()
    asking, answering = HttpReader(True, shared), HttpReader(False, shared)
    asking.gap(50, None)
    asking.feed(request("HEAD /a HTTP/1.1"), None)
    answer = OK + b"Content-Length: 2\r\n\r\nhi"
    assert kinds(answering.feed(answer, None)) == ["response", "body"]
    asking.feed(request("HEAD /a HTTP/1.1"), None)
    assert kinds(answering.feed(OK + b"Content-Length: 2\r\n\r\n", None)) == ["response"]
    assert kinds(answering.feed(OK, None)) == []


def test_where_answers_are_missing_the_last_request_is_answered():
    shared = HttpShared()
    asking, answering = HttpReader(True, shared), HttpReader(False, shared)
    asking.feed(request("HEAD /a HTTP/1.1") * 2 + request("CONNECT h:1 HTTP/1.1"), None)
    answering.gap(90, None)
    assert kinds(answering.feed(OK + b"\r\n\x16", None)) == ["response", b"\x16"]


def test_requests_that_nobody_answers_are_not_kept_for_ever():
    shared = HttpShared()
    asking = HttpReader(True, shared)
    asking.feed(request() * 1000, None)
    assert len(shared._waiting) == http.PIPELINED_MAX


# --- what is kept -------------------------------------------------------------------------------------------------------


def test_a_head_is_kept_once():
    head = b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 200
    reader = HttpReader(True)
    reader.feed(head, None)
    assert reader.buffered == len(head)
    assert sys.getsizeof(reader._kept) <= 1.2 * len(head) + 64


def test_a_head_of_too_many_lines_is_cut():
    facts = client(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 2 * http.HEAD_LINES_MAX + b"\r\n", request("GET /b HTTP/1.1"))
    assert kinds(facts) == ["request", "request"]
    assert detail(facts)["head_cut"] is True
    assert detail(facts, 1)["path"] == "/b"


TOO_MANY = "too many incomplete messages at once"


def test_a_head_that_is_given_up():
    reader = HttpReader(True)
    reader.feed(b"GET /a HTTP/1.1\r\nHost: x\r\nLong: xxx", 1.0)
    held = reader.buffered
    facts = reader.drop(2.0)
    assert kinds(facts) == ["request", "dropped"]
    assert (detail(facts)["host"], detail(facts)["head_cut"]) == ("x", True)
    assert detail(facts, 1) == {"bytes": held, "reason": TOO_MANY}
    assert reader.buffered == 0
    assert reader.drop(2.0) == []
    assert kinds(reader.feed(b"xx\r\n\r\n" + request("GET /b HTTP/1.1"), None)) == ["request"]


def test_a_line_that_is_given_up():
    reader = HttpReader(True)
    reader.feed(b"GET /" + b"x" * 20_000, None)
    assert kinds(reader.drop(None)) == ["dropped"]
    assert reader.buffered == 0
    assert kinds(reader.feed(b"GET / HTTP/1.1\r\n" + request("GET /b HTTP/1.1"), None)) == ["request"]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 3000\r\n\r\n", LOREM),
        (b"Transfer-Encoding: chunked\r\n\r\nBB8\r\n", LOREM + b"\r\n0\r\n\r\n"),
    ],
)
def test_a_body_that_is_given_up_stays_in_step(head, body):
    reader = HttpReader(False)
    reader.feed(OK + head + body[:2500], None)
    assert kinds(reader.drop(None)) == ["dropped"]
    assert reader.buffered == 0
    facts = reader.feed(body[2500:] + OK + b"Content-Length: 0\r\n\r\n", None)
    assert kinds(facts) == ["body", "response"]
    found = detail(facts)
    assert (found["bytes"], found["complete"], found["content"]) == (3000, True, None)
    assert found["sha256"] == hashlib.sha256(LOREM).hexdigest()


# --- what bodies say ----------------------------------------------------------------------------------------------------


def body_of(data, *fields, cuts=()):
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(data)}", *fields, "", ""]).encode()
    return detail(server(*cut(head + data, cuts)), -1)


LONG = ("word " * 1000).encode()


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b'["1"]', '["1"]'), ("näh\r\n\tß".encode(), "näh\r\n\tß"), (b"\xe9FAKE", None), (b"a\0b", None),
        (b"\xff", None), (b"a" * 5000, ""), (LONG, LONG[:CONTENT_MAX].decode().rstrip("word")),
        (b"x" + "ä ".encode() * 2000, "x" + "ä " * 682), (b"\x1b[31m", None),
    ],
)  # fmt: skip
def test_the_beginning_of_a_body_as_text(data, content):
    assert body_of(data)["content"] == content
    assert body_of(data, cuts=range(0, 3000, 7))["content"] == content


def test_no_piece_of_a_secret_is_left_at_the_end():
    text = " " * (CONTENT_MAX - 20) + TOKEN + " " * 100
    assert body_of(text.encode())["content"] == " " * (CONTENT_MAX - 20)


def compressed(data, bits):
    engine = zlib.compressobj(9, zlib.DEFLATED, bits)
    return engine.compress(data) + engine.flush()


@pytest.mark.parametrize(
    ("coding", "bits"), [("gzip", 31), ("x-gzip", 31), ("GZIP ", 31), ("deflate", 15), ("deflate", -15)]
)
def test_compressed_bodies(coding, bits):
    line = b"42.0,1600000000000,0\n"
    assert body_of(compressed(line, bits), f"Content-Encoding: {coding}")["content"] == line.decode()
    bomb = compressed(b"a " * 5_000_000, bits)
    assert len(body_of(bomb, f"Content-Encoding: {coding}")["content"]) <= CONTENT_MAX


def test_a_compressed_file():
    assert body_of(compressed(b"42.0,1600000000000,0\n", 31))["content"] == "42.0,1600000000000,0\n"
    assert body_of(compressed(b"\xe9firmware", 31))["content"] is None


@pytest.mark.parametrize("coding", ["br", "gzip", "gzip, br", "identity"])
def test_what_cannot_be_unpacked(coding):
    expected = "plain" if coding == "identity" else None
    assert body_of(b"plain", f"Content-Encoding: {coding}")["content"] == expected


def test_missing_bytes_end_what_is_shown():
    facts = server(OK + b"Content-Length: 10\r\n\r\nab cd", 3, b"ef")
    assert detail(facts, 1)["content"] == "ab "
    assert detail(server(OK + b"Content-Length: 5\r\n\r\n", 3, b"ef"), 1)["content"] is None


def test_an_updater_tells_its_free_space():
    assert detail(client(request("GET /f HTTP/1.1", "x-ESP8266-free-space: 1000")))["free_space"] == 1000
    assert detail(client(request("GET /f HTTP/1.1", "X-ESP32-Free-Space: x")))["free_space"] is None


# --- missing bytes ------------------------------------------------------------------------------------------------------


def test_bytes_missing_inside_a_body_of_known_length():
    facts = server(OK + b"Content-Length: 10\r\n\r\nabc", 4, b"def" + OK + b"Content-Length: 0\r\n\r\n")
    assert kinds(facts) == ["response", "body", "response"]
    assert (detail(facts, 1)["bytes"], detail(facts, 1)["missing"], detail(facts, 1)["complete"]) == (6, 4, False)
    assert "after_gap" not in detail(facts, 2)
    facts = server(OK + b"Content-Length: 10\r\n\r\nabc", 7, OK + b"Content-Length: 0\r\n\r\n")
    assert kinds(facts) == ["response", "body", "response"]


@pytest.mark.parametrize(
    "before",
    [b"", b"HTTP/1.1 2", OK + b"Serv", OK + b"Content-Length: 3\r\n\r\na", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
     OK + b"Transfer-Encoding: chunked\r\n\r\n5", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde",
     OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", OK + b"Content-Length: 20\r\n\r\nHTTP"],
)  # fmt: skip
def test_behind_a_gap_the_next_head_is_looked_for(before):
    facts = server(before, 100, b"l of a line\r\n\xff\0rubbish\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert detail(facts, -1)["status"] == 404
    assert detail(facts, -1)["after_gap"] is True
    assert detail(facts, -1)["skipped"] >= 20
    assert [fact.detail["complete"] for fact in facts if fact.kind == "http-body"] == [False] * (len(facts) == 3)


def test_a_gap_in_a_body_that_ends_with_the_connection():
    facts = server(OK + b"\r\nabc", 5, b"d")
    assert (detail(facts, 1)["bytes"], detail(facts, 1)["missing"], detail(facts, 1)["complete"]) == (4, 5, False)


def test_what_was_skipped_at_the_end_is_told():
    assert told(server(3, b"no head here"))[-1] == ("http-skipped", {"bytes": 12})


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: a\r\nHo", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1"])
def test_a_head_that_breaks_off(data):
    facts = client(data)
    assert kinds(facts) == ["request"]
    assert detail(facts)["head_cut"] is True


def test_a_head_beyond_all_measure():
    facts = client(request("GET / HTTP/1.1", "X: " + "y" * 40000) + b"\r\n" + request("GET /b HTTP/1.1"))
    assert [(fact.detail["path"], fact.detail.get("head_cut")) for fact in facts] == [("/", True), ("/b", None)]


# --- anything -----------------------------------------------------------------------------------------------------------

parts = st.sampled_from(
    [b"GET / HTTP/1.1\r\n", OK, b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", b"\n", b"abcde", b"5\r\nabcde\r\n",
     b"0\r\n", b"HTTP/1.", b"\xff\0", b"Upgrade: websocket\r\n", SWITCHING, b"CONNECT h:1 HTTP/1.1\r\n",
     b"Content-Encoding: gzip\r\n", b"HTTP/1.1 200 Connection established\r\n\r\n", b"Content-Type: multipart/x\r\n", b"filename=", b"H", b"X: y\r\n"]
)  # fmt: skip
wires = st.lists(st.one_of(parts, st.binary(max_size=12)), max_size=14).map(b"".join)


@settings(deadline=None, max_examples=400)
@given(wires, st.lists(st.integers(0, 400), max_size=6), st.booleans(), st.integers(0, 30))
@example(OK + b"Content-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", [], False, 0)
@example(OK + b"Content-Length: 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", [], False, 0)
def test_facts_are_the_same_whatever_the_cuts(data, places, side, missing):
    whole = told(facts_of(HttpReader(side), data, missing or b"", data))
    for pieces in (cut(data, places), [data[at : at + 1] for at in range(len(data))]):
        assert told(facts_of(HttpReader(side), *pieces, missing or b"", *pieces)) == whole


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(wires, st.none(), st.integers(1, 50)), max_size=8), st.booleans())
def test_anything_is_accounted_for(pieces, side):
    reader, inside = HttpReader(side), False
    for piece in pieces:
        given = reader.feed(piece, None) if isinstance(piece, bytes) else reader.gap(piece, None)
        assert not inside or not any(isinstance(one, Fact) for one in given)
        inside = inside or any(not isinstance(one, Fact) for one in given)
        assert len(reader._line) <= http.HEAD_MAX
        assert reader.buffered <= http.HEAD_MAX + CONTENT_MAX
    reader.finish(None)
    assert reader.gap(3, None) == []
    assert reader.feed(b"GET / HTTP/1.1\r\n\r\n", None) == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "data",
    [b" " * 500_000, b"\n" * 500_000, b"x" * 500_000, b"GET / HTTP/1.1\r\n\r\n" * 20_000, OK + b"a:b\n" * 100_000,
     OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000, b"GET " + b" " * 32_000 + b"\n" + b"GET " * 8000,
     OK + b"Content-Length: 1\r\n\r\nHTTP/1." * 30_000],
)  # fmt: skip
def test_long_input_ends(data):
    """A quadratic step would take minutes."""
    client(data)
    server(data)


# --- captures -----------------------------------------------------------------------------------------------------------


def test_the_update_of_a_recording():
    facts = facts_of_capture(CAPTURES / "09c_ota_start_get.pcap", HttpReader, {3})
    assert detail(facts[3, 0])["target"] == "/static/ota/firmware_ota.bin"
    assert [detail(facts[3, 1])["status"], detail(facts[3, 1], 1)["bytes"]] == [200, 5055]


def test_the_rest_calls_of_a_recording():
    facts = facts_of_capture(CAPTURES / "09a_http_rest_plain.pcap", HttpReader, range(2, 27))
    every = [fact for found in facts.values() for fact in found]
    assert {fact.kind for fact in every} == {"http-request", "http-response", "http-body"}
    assert all(fact.detail["complete"] for fact in every if fact.kind == "http-body")
    asked = [fact.detail for fact in every if fact.kind == "http-request"]
    assert len(asked) == len([fact for fact in every if fact.kind == "http-response"])
    assert sum(one["token"] is not None for one in asked) == len(asked) - 3


def test_the_made_uploads_and_downloads():
    made = CAPTURES / "made"
    facts = facts_of_capture(made / "ota_upload_without_file.pcap", HttpReader)
    assert detail(facts[1, 0])["default_credentials"] is True
    assert detail(facts[1, 0])["user"] == "admin@blynk.cc"
    assert detail(facts[1, 0])["token"] == TOKEN
    assert detail(facts[1, 0], 1)["multipart_file"] is False
    assert detail(facts[1, 1])["status"] == 500
    assert detail(facts_of_capture(made / "ota_download_404.pcap", HttpReader, {2})[2, 1])["status"] == 404
    body = detail(facts_of_capture(made / "ota_download_returns.pcap", HttpReader, {2})[2, 1], 1)
    assert (body["bytes"], body["complete"]) == (4000, True)
