"""Clients that mean no good, and crowds: the server lives, has nothing to say on standard error, and serves others."""

import contextlib
import json
import resource
import socket
import ssl
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from serve_world import (
    ACCOUNT,
    ADMIN,
    DEADLINE,
    HW,
    HW_LOGIN,
    INTERNAL,
    LOGIN,
    OK,
    OTHER,
    PING,
    PROPERTY,
    SYNC,
    TOKEN,
    Client,
    Messages,
    Served,
    answer_of,
    basic,
    frame,
    login_of,
    read_all,
    read_answer,
    until,
    words,
)

MEMORY = 192 * 1024 * 1024
"""Bytes that the server may have, whatever was done to it; it begins with some 70 MiB."""
SLOW = 20
"""Connections of each kind that send a byte now and then."""
CROWD = 1000
UNSENT = 4 * 1024 * 1024
"""Bytes that wait for a client that reads nothing, before it is cut off."""
LOGIN_SECONDS = 15.0

OPTIONS = (
    "--token", TOKEN, "--token", OTHER, "--account", ":".join(ACCOUNT), "--admin", ":".join(ADMIN), "--quota", "0", "--firmware", "firmware",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("hostile")
    (made / "firmware").mkdir()
    (made / "firmware" / "blink.bin").write_bytes(b"firmware")
    (made / "secret").write_text("secret")
    (made / "firmware" / "link.bin").symlink_to(made / "secret")
    (made / "firmware" / "below").mkdir()
    (made / "firmware" / "below" / "other.bin").write_bytes(b"other")
    return made


@pytest.fixture(scope="module")
def served(folder):
    with Served(folder, *OPTIONS) as running:
        yield running
        assert running.end() == 0


@pytest.fixture(scope="module", autouse=True)
def slow(served):
    """Connections that begin something and do not end it, while everything else is tried; and when they came."""
    beginnings = [
        b"GET /" + TOKEN.encode() + b"/get/V1 HTTP/1.1\r\nHost: x\r\nX-A: b",
        b"PUT /x/update/V1 HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n[",
        frame(HW_LOGIN, 1, TOKEN.encode())[:20],
        b"\x1d",
    ]
    with contextlib.ExitStack() as stack:
        kept = [[] for _ in range(5)]
        for _ in range(SLOW):
            for at, beginning in enumerate(beginnings):
                connection = stack.enter_context(served.connect())
                connection.sendall(beginning)
                kept[at].append(connection)
            half = stack.enter_context(socket.create_connection(("127.0.0.1", served.tls), DEADLINE))
            half.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
            kept[4].append(half)
        yield kept, time.monotonic()


@pytest.fixture(scope="module")
def other(served, slow):
    """A device that minds its own business, and must be served all the time."""
    with served.client(OTHER) as device:
        assert device.ask(INTERNAL, words("ver", "1", "h-beat", "300")) == OK
        yield device


@pytest.fixture(autouse=True)
def unharmed(served, other):
    yield
    other.ping()
    served.sound()
    assert served.alive
    assert served.memory < MEMORY


# --- malformed everything ---------------------------------------------------------------------------------------------

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = st.sampled_from([b"", b"vw", b"vr", b"dw", b"pm", b"1", b"256", b"-1", b"1-0", b"1-200000", b"V1", b"i", b"\xff\xfe", b"{}",
                         b"[]", b'{"id":1}', b'{"id":' + b"9" * 30 + b"}", b"[" * 500, b"null", b"rtc", b"h-beat", b"0", b"9" * 40,
                         b"label", b"color", b"#zz", b"\xd9\xa3", b"meta", b"get", b"set", b"ota", b"x" * 3000])  # fmt: skip
BODIES = st.one_of(st.lists(TEXTS, max_size=5).map(b"\0".join), st.binary(max_size=60))
FRAMES = st.lists(st.tuples(st.integers(0, 255), st.sampled_from([0, 1, 2, 65535]), BODIES), min_size=1, max_size=12)
KNOWN = st.lists(st.tuples(st.integers(1, 99), st.sampled_from([0, 1, 2, 65535]), BODIES), min_size=1, max_size=12)
CUTS = st.integers(1, 40)


def heard(connection, data, cut=None):
    """Send bytes, in pieces, and hear everything until the server is done; nothing where it is so before."""
    with connection:
        try:
            for at in range(0, len(data), cut or len(data) or 1):
                connection.sendall(data[at : at + (cut or len(data))])
            if isinstance(connection, ssl.SSLSocket):
                # There is no half of an end.
                connection.unwrap()
                return b""
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)
        except TimeoutError:
            # It neither answers nor ends.
            raise
        except OSError:
            return b""


@FEW
@given(st.binary(max_size=400), CUTS)
@example(b"\x16\x03\x01\x00\x05hello", 3)
@example(b"GET", 1)
@example(b"\x00\x00\x01\x00\xc8", 1)
def test_any_bytes_on_the_plain_port(served, data, cut):
    heard(served.connect(), data, cut)


@FEW
@given(FRAMES, CUTS)
def test_any_frames_of_a_device(served, frames, cut):
    data = b"".join(frame(*one) for one in frames)
    with served.client() as device:
        heard(device.connection, data, len(data) // cut + 1)


@FEW
@given(KNOWN, st.booleans())
def test_any_message_of_an_app(served, frames, logged_in):
    with Client(served.connect(secure=True), wide=True) as app:
        if logged_in:
            assert app.ask(LOGIN, login_of(ACCOUNT)) == OK
        with contextlib.suppress(OSError):
            for cmd, number, body in frames:
                app.say(cmd, body, number)
            if logged_in:
                app.say(PING, number=4321)
                while (got := app.hear()) is not None and got[:2] != (0, 4321):
                    pass


@FEW
@given(st.binary(max_size=300), CUTS)
def test_any_bytes_inside_of_tls(served, data, cut):
    heard(served.connect(secure=True), data, cut)


@FEW
@given(st.binary(max_size=300))
def test_any_bytes_in_the_place_of_tls(served, data):
    heard(socket.create_connection(("127.0.0.1", served.tls), DEADLINE), data)


@settings(FEW, max_examples=25)
@given(
    st.lists(st.binary(max_size=80), max_size=5),
    st.sampled_from(["/websockets", "/dashws"]),
    st.booleans(),
    st.binary(max_size=40),
)
def test_any_messages_of_a_websocket(served, messages, path, logged_in, raw):
    connection = served.connect()
    inside = Messages(connection, path)
    with contextlib.suppress(OSError):
        if logged_in:
            body = TOKEN.encode() if path == "/websockets" else login_of(ACCOUNT)
            head = frame(HW_LOGIN, 1, body)
            inside.sendall(head if path == "/websockets" else head[:1].replace(b"\x1d", b"\x02") + head[1:3] + body)
            assert inside.recv(1)
        for message in messages:
            inside.sendall(message)
        # And bytes that are no frames of WebSocket.
        heard(connection, raw)
    connection.close()


PATHS = st.sampled_from(
    ["/", f"/{TOKEN}/get/V1", f"/{TOKEN}/update/V1", f"/{TOKEN}/data/V1", f"/{TOKEN}/project", f"/{TOKEN}/notify",
     f"/{TOKEN}/email", f"/{TOKEN}/extra/pin", f"/{TOKEN}/widget/V1", "/external/api/update", "/static/ota/x", "/admin/ota/start",
     "/admin/ota/stop", "/websockets", "/dashws", "*", "http://x/y", "//", "/%", "/%00", f"/{TOKEN}/update/V999999999999999999"]
)  # fmt: skip
HEADERS = st.lists(
    st.sampled_from(
        [b"Host: x", b"Content-Length: 3", b"Content-Length: 99999999999999999999", b"Content-Length: -1", b"Transfer-Encoding: chunked",
         b"Upgrade: websocket", b"Connection: upgrade", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", b"Sec-WebSocket-Version: 13",
         b"Authorization: Basic !!!", b"Content-Type: multipart/form-data; boundary=x", b"Expect: 100-continue", b"X: " + b"y" * 9000,
         b"no colon", b"\xff\xff: \xff", b" folded: x"]
    ),
    max_size=6,
)  # fmt: skip


@settings(FEW, max_examples=80)
@given(
    st.sampled_from(["GET", "PUT", "POST", "HEAD", "OPTIONS", "DELETE"]), PATHS, st.sampled_from(["", "?value=1", "?a&b=%ff&value=" + "9" * 3000]),
    HEADERS, BODIES, CUTS,
)  # fmt: skip
def test_any_request(served, method, path, query, headers, body, cut):
    data = f"{method} {path}{query} HTTP/1.1\r\n".encode() + b"\r\n".join(headers) + b"\r\n\r\n" + body
    got = heard(served.connect(), data, len(data) // cut + 1)
    assert got[:9] in {b"", b"HTTP/1.1 "}
    assert b" 500 Internal" not in got or b"body" in got or b"multipart" in got.lower() or b"form" in got.lower(), got[
        :300
    ]


# --- HTTP that wants what it shall not have ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["../secret", "..%2fsecret", "%2e%2e/secret", "%2e%2e%2fsecret", "..%5csecret", "..\\secret", "./../secret", "below/../../secret",
     "/etc/passwd", "%2fetc%2fpasswd", "link.bin", "below/other.bin", "below", "", ".", "..", "blink.bin%00", "blink.bin/", "..%252fsecret",
     "\N{FULLWIDTH FULL STOP}\N{FULLWIDTH FULL STOP}/secret", "x" * 5000],
    ids=lambda path: ascii(path)[:40],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(served, path):
    with served.connect() as connection:
        connection.sendall(f"GET /static/ota/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        status, _, body = answer_of(read_all(connection))
    assert status in {400, 404}
    assert b"secret" not in body
    assert b"root:" not in body


def test_the_file_that_is_offered_is_given(served):
    assert served.http("/static/ota/blink.bin")[::2] == (200, b"firmware")


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        (f"/{TOKEN}/update/V1", ("Content-Length: 1000000",), 413),
        ("/admin/ota/start", (basic(*ADMIN), "Content-Length: 1073741824", "Content-Type: multipart/form-data; boundary=x"), 413),
        ("/admin/ota/start", ("Content-Length: 1073741824", "Content-Type: multipart/form-data; boundary=x"), 401),
        ("/admin/ota/start", (basic("admin", "admin"), "Content-Length: 10"), 401),
        (f"/{TOKEN}/update/V1", tuple(f"X-{number}: y" for number in range(200)), 431),
        (f"/{TOKEN}/update/V1?value=" + "x" * 70_000, (), (400, 414, 431)),
    ],
)  # fmt: skip
def test_what_is_too_large_is_refused_before_it_comes(served, target, headers, status):
    with served.connect() as connection:
        method = "POST" if "admin" in target else "PUT"
        head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *headers]) + "\r\n\r\n"
        connection.sendall(head.encode())
        got, _, _ = read_answer(connection)
    assert got in (status if isinstance(status, tuple) else (status,))


def test_an_upload_that_does_not_end_is_cut_off(served):
    before = served.memory
    piece = b"10000\r\n" + bytes(65536) + b"\r\n"
    head = (
        f"POST /admin/ota/start HTTP/1.1\r\nHost: x\r\n{basic(*ADMIN)}\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    with served.connect() as connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(form), form))
        for _ in range(64 * 1024 * 1024 // 65536):
            connection.sendall(piece)
        # What is sent behind the refusal may be passed over, but the connection is at its end.
        assert read_answer(connection)[0] == 413
    assert served.memory - before < 100 * 1024 * 1024
    # And nothing of it is left: the next one is taken.
    assert served.http("/static/ota/a.bin")[0] == 404


# --- too much ---------------------------------------------------------------------------------------------------------


def test_a_client_that_reads_nothing_is_cut_off_while_others_write_to_it(served):
    before = served.memory
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(DEADLINE)
    plain.connect(("127.0.0.1", served.plain))
    deaf = Client(plain)
    deaf.login()
    body = json.dumps(["x" * 50_000])
    put = f"PUT /{TOKEN}/update/V9 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    with served.connect() as connection, served.client() as witness:
        for _ in range(3 * UNSENT // len(put)):
            connection.sendall(put)
            answered = b""
            while not answered.endswith(b"\r\n\r\n"):
                more = connection.recv(65536)
                assert more
                answered += more
            assert answered.startswith(b"HTTP/1.1 200")
            assert witness.write_of(9) == [b"x" * 50_000]
        assert served.memory - before < 10 * UNSENT
        with contextlib.suppress(ConnectionResetError):
            # What came before the end is still there to be read; then it is over.
            while plain.recv(65536):
                pass
    deaf.close()


def test_a_client_that_asks_and_does_not_listen(served):
    """Requests whose answers pile up: it is not read any more until it listens."""
    before = served.memory
    with served.client() as device:
        device.say(HW, words("vw", "8", "y" * 30_000))
        device.ping()
        device.connection.settimeout(0.5)
        asked = frame(SYNC, 7, words("vr", "8")) * 200
        with contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
            for _ in range(500):
                device.connection.sendall(asked)
        assert served.memory - before < 10 * UNSENT
        device.reset()


def test_a_thousand_connections_at_once(served, other):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * CROWD:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * CROWD, hard), hard))
    before = served.files
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        clients = []
        for number in range(CROWD):
            clients.append(stack.enter_context(served.client(login=False)))
            clients[-1].say(HW_LOGIN, TOKEN.encode())
            if number % 100 == 0:
                other.ping()
        for client in clients:
            assert client.answer(1) == OK
        # Those who have been silent since before may be closed meanwhile; the crowd is not.
        assert served.files >= CROWD
        served.write("V3", "all")
        for client in clients:
            assert client.write_of(3) == [b"all"]
            client.ping()
        assert served.http(f"/{TOKEN}/get/V3")[0] == 200
        with served.client(secure=True) as late:
            late.ping()
        for client in clients:
            client.reset()
    until(lambda: served.files <= before + 1, "files that were opened for the crowd")


def test_properties_of_one_device_do_not_fill_the_memory(served):
    before = served.memory
    with served.client() as device:
        for name in range(0, 2000, 100):
            data = b"".join(
                frame(PROPERTY, 9, words(str(n % 256), "label", f"{n}" * 1000)) for n in range(name, name + 100)
            )
            device.connection.sendall(data)
            device.ping()
        assert served.memory - before < 32 * 1024 * 1024


# --- the last: what has begun before everything else ------------------------------------------------------------------


def test_who_does_not_come_to_the_point_is_let_go(served, slow):
    kept, began = slow
    until(lambda: time.monotonic() - began > LOGIN_SECONDS)
    for connection in (*kept[2], *kept[3]):
        connection.settimeout(5)
        assert read_all(connection) == b""
    # Requests have more time, and what is written now and then changes nothing.
    for connection in kept[0]:
        connection.sendall(b"c\r\n\r\n")
        connection.settimeout(5)
        assert connection.recv(65536).startswith(b"HTTP/1.1 ")


def test_files_come_back(served, slow):
    kept, _ = slow
    for connections in kept:
        for connection in connections:
            connection.close()
    until(lambda: served.files < 40, "open files")


def test_nobody_else_can_reach_it(served):
    for port in (served.plain, served.tls):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), 5)
