"""Replays over real sockets: recordings against their own other side, and servers that behave in other ways."""

import asyncio
import base64
import contextlib
import socket
import ssl
import struct

import pytest
from proxy_peer import certificate
from replaying import (
    DEADLINE,
    Server,
    Taped,
    counted,
    frames_from,
    healthy,
    logged_in,
    played,
    script_of,
    together,
    trusting,
    verdicts,
)
from talk import TOKEN, frame, ping, status, write

from blynkscope.ca import Authority
from blynkscope.errors import EnvironmentProblem
from blynkscope.replay.connection import in_words
from blynkscope.replay.listener import Listener, ListenSettings
from blynkscope.replay.player import Player, Playing
from blynkscope.replay.swaps import Swaps, swapped
from blynkscope.replay.tally import EXTRAS_TOLD
from blynkscope.replay.targets import ConnectError, ReplayUsageError, Target, resolved, way_of
from blynkscope.wire.addresses import is_public

RECORDINGS = [
    "01a_hw_plain_pyBlynkLib020", "03_hw_plain_js054", "04_hw_plain_cpp140", "05_hw_invalid_token",
    "06a_hw_tls_pyBlynkLib100", "06d_hw_tls13_pyBlynkLib100", "07a_app_tls12", "08a_ws_nodered_plain",
    "08d_ws_dashws_tls", "10b_flood_200ps", "11b_msg_ids", "11c_wrong_protocol_8080", "12b_idle_hbeat5",
    "12c_second_login", "13_bridge", "15a_byte_by_byte", "15b_many_frames_one_segment",
    "01-esp8266-healthy-connect-061.txt", "114-S-blynklib-python-log.txt", "121-S-redirect-frame.txt",
]  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority.at(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("name", RECORDINGS)
def test_each_recording_equals_itself_on_both_sides(name, authority):
    script = script_of(name)
    here, report, there, account = asyncio.run(together(script, authority))
    assert not report.departs, [one for one in here if one.verdict != "equal"]
    assert not account.departs, [one for one in there if one.verdict != "equal"]
    assert report.complete
    assert account.complete
    assert report.trouble is None
    assert report.played == account.played == len(script.lines)
    answers = sum(not said.client for line in script.lines.values() for said in line.frames)
    assert sum(one.kind == "frame" for one in here) == answers


def test_everything_goes_through_one_websocket_inside_tls(authority):
    script = script_of("13_bridge")
    target = lambda host, port: Target(host, port, tls=True, websocket=True)  # noqa: E731
    here, report, _, account = asyncio.run(together(script, authority, target=target))
    assert report.counts == counted(equal=len(here))
    assert not account.departs
    assert report.target.startswith("wss://")


def test_a_device_that_says_something_else_departs(authority):
    script = healthy()
    changed = Taped().device(frame(29, 1, TOKEN)).server(status(1)).device(write(2, b"1", b"22"))
    changed.device(frame(19, 4, b"1", b"label", b"Room")).server(status(4)).device(frame(14, 5, b"fire"))
    here, report, there, account = asyncio.run(together(changed.close().script(), authority, recorded=script))
    assert verdicts(there) == [
        ("equal", 1), ("different", 3), ("equal", 6), ("extra", None), ("missing", 4), ("equal", 9),
    ]  # fmt: skip
    assert account.departs
    assert verdicts(here) == [("equal", 2), ("equal", 5), ("extra", None), ("extra", None)], report


async def answering(reader, writer, statuses=None):
    """200 for everything but writes and syncs."""
    async for cmd, number, _ in frames_from(reader):
        if cmd not in {0, 16, 20}:
            writer.write(status(number, (statuses or {}).get(cmd, 200)))
            await writer.drain()


def test_another_status_and_a_missing_value():
    outcomes, report = asyncio.run(played(healthy(), lambda r, w: answering(r, w, {19: 11}), timeout=0.2))
    found = {one.n: one.verdict.value for one in outcomes}
    assert found == {2: "equal", 5: "missing", 7: "different", 8: "missing", 10: "equal"}
    assert report.counts == counted(equal=2, different=1, missing=2)
    assert next(one.differences[0].now for one in outcomes if one.n == 7) == "STA_ILLEGAL_COMMAND_BODY"


def test_nothing_is_sent_before_what_had_come_before_it():
    order = []

    async def slow(reader, writer):
        async for cmd, number, _ in frames_from(reader):
            order.append(cmd)
            if cmd != 20:
                await asyncio.sleep(0.02)
                order.append("answer")
                writer.write(status(number))

    script = (
        logged_in()
        .device(ping(2))
        .server(status(2))
        .device(write(3, b"1", b"1"), ping(4))
        .server(status(4))
        .close()
        .script()
    )
    _, report = asyncio.run(played(script, slow))
    assert order == [29, "answer", 6, "answer", 20, 6, "answer"]
    assert report.counts == counted(equal=3)


def test_pipelined_requests_stay_pipelined():
    order = []

    async def late(reader, writer):
        numbers = []
        async for cmd, number, _ in frames_from(reader):
            order.append(cmd)
            numbers.append(number)
            if len(numbers) == 3:
                for one in reversed(numbers):
                    writer.write(status(one))

    script = (
        Taped().device(frame(29, 1, TOKEN), ping(2), ping(3)).server(status(1), status(2), status(3)).close().script()
    )
    _, report = asyncio.run(played(script, late))
    assert (order, report.counts) == ([29, 6, 6], counted(equal=3))


def test_recorded_times_are_kept_and_scaled():
    async def timed(speed):
        times = []

        async def noting(reader, writer):
            async for _, number, _ in frames_from(reader):
                times.append(asyncio.get_running_loop().time())
                writer.write(status(number))

        talk = Taped().device(frame(29, 1, TOKEN)).server(status(1), after=0.1)
        script = talk.device(ping(2), after=0.9).server(status(2), after=0.1).close().script()
        _, report = await played(script, noting, speed=speed)
        assert not report.departs
        return times[1] - times[0]

    # One second lies between the two in the recording.
    assert 0.09 < asyncio.run(timed(10.0)) < 0.5


def test_a_server_that_closes_early_is_told_of():
    async def closing(reader, writer):
        async for cmd, number, _ in frames_from(reader):
            writer.write(status(number))
            if cmd == 19:
                return

    outcomes, report = asyncio.run(played(healthy(), closing, timeout=0.2))
    assert report.trouble is None
    ends = [one for one in outcomes if one.kind == "end"]
    assert [one.verdict.value for one in ends] == ["extra"]
    assert report.counts["unplayed"] >= 1
    assert report.departs


def test_a_server_that_resets_is_told_of():
    async def breaking(reader, writer):
        async for cmd, number, _ in frames_from(reader):
            writer.write(status(number))
            await writer.drain()
            if cmd == 19:
                writer.transport.abort()
                return

    _, report = asyncio.run(played(healthy(), breaking, timeout=0.2))
    assert report.departs


def test_a_server_that_does_not_close_where_it_did():
    script = logged_in().close(by=1).script()
    outcomes, report = asyncio.run(played(script, answering, timeout=0.2))
    assert [(one.verdict.value, one.kind) for one in outcomes] == [("equal", "frame"), ("missing", "end")]
    assert report.departs


def resets(writer):
    """Break a connection off."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def ends(outcomes):
    return [(one.verdict.value, one.note) for one in outcomes if one.kind == "end"]


def test_a_server_that_closes_behind_the_login_is_told_of_although_it_closed_at_the_end():
    talk = logged_in().device(ping(2)).server(status(2)).device(ping(3)).server(status(3)).close(by=1)

    async def early(reader, writer):
        async for _, number, _ in frames_from(reader):
            writer.write(status(number))
            return

    outcomes, report = asyncio.run(played(talk.script(), early, timeout=0.2))
    assert ends(outcomes) == [("different", "the server closes the connection earlier than recorded")]
    assert report.departs


@pytest.mark.parametrize(("how", "words"), [("close", "closes"), ("reset", "reset")])
def test_a_server_that_ends_behind_the_last_answer_where_the_client_closed(how, words):
    async def ending(reader, writer):
        async for cmd, number, _ in frames_from(reader):
            writer.write(status(number))
            await writer.drain()
            if cmd == 6:
                if how == "reset":
                    resets(writer)
                return

    script = logged_in().device(ping(2)).server(status(2)).close().script()
    outcomes, report = asyncio.run(played(script, ending))
    (end,) = ends(outcomes)
    assert end[0] == "extra"
    assert words in end[1]
    assert report.departs
    assert not asyncio.run(played(script, answering))[1].departs


def test_a_reset_in_place_of_a_close_is_told_of():
    async def ending(reader, writer):
        async for _, number, _ in frames_from(reader):
            writer.write(status(number))
            await writer.drain()
            resets(writer)
            return

    outcomes, _ = asyncio.run(played(logged_in().close(by=1).script(), ending))
    (end,) = ends(outcomes)
    assert end[0] == "different"


def test_what_still_had_time_when_it_was_ended_is_not_missing():
    async def silent(reader, writer):
        await reader.read()

    outcomes, report = asyncio.run(played(healthy(), silent, timeout=30.0, duration=0.1))
    assert report.counts == counted(unplayed=len(outcomes))
    talk = Taped().device(frame(29, 1, TOKEN)).server(status(1), after=0.01).device(ping(2)).server(status(2))
    outcomes, _ = asyncio.run(played(talk.close().script(), silent, timeout=0.05, duration=0.7, speed=2.0))
    assert {one.n: one.verdict.value for one in outcomes} == {2: "missing", 3: "unplayed", 4: "unplayed"}


def test_a_server_that_takes_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr("blynkscope.replay.connection.WRITE_SECONDS", 0.2)

    async def never(writer):
        await asyncio.sleep(DEADLINE)

    monkeypatch.setattr(asyncio.StreamWriter, "drain", never)

    async def pinging(reader, writer):
        await reader.readexactly(37)
        writer.write(status(1) + ping(9))
        await reader.read()
        await reader.read()

    outcomes, report = asyncio.run(played(healthy(), pinging, timeout=0.3))
    assert any("takes nothing any more" in note for _, note in ends(outcomes))
    assert report.departs


def test_a_server_that_talks_rubbish_is_survived():
    async def rubbish(reader, writer):
        async for _ in frames_from(reader):
            writer.write(bytes(range(256)) * 40)
            await writer.drain()

    outcomes, report = asyncio.run(played(healthy(), rubbish, timeout=0.2))
    assert report.complete
    assert any("no frame" in one.note for one in outcomes) or report.counts["extra"]


def test_pings_of_the_server_are_answered():
    heard = []

    async def pinging(reader, writer):
        async for cmd, number, word in frames_from(reader):
            heard.append((cmd, number, word))
            if cmd == 29:
                writer.write(status(number) + ping(77))

    talk = logged_in().server(ping(5)).device(status(5)).close()
    _, report = asyncio.run(played(talk.script(), pinging))
    assert report.counts == counted(equal=2)
    assert heard == [(29, 1, TOKEN), (0, 77, 200)], "the recorded answer, with the id of now"


def test_a_refused_connection_ends_it():
    async def play():
        async with Server(answering) as server:
            port = server.port
        player = Player(healthy(), Playing(targets=[Target("127.0.0.1", port)]))
        return await player.run()

    report = asyncio.run(play())
    assert report.trouble.stage == "connect"
    assert "refused" in report.trouble.text
    assert (report.complete, report.counts) == (False, counted(unplayed=5))


def test_a_certificate_that_is_not_trusted_ends_it(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    _, report = asyncio.run(played(healthy(), answering, context, context=ssl.create_default_context()))
    assert report.trouble.stage == "tls"
    assert "--ca FILE" in report.trouble.text


def test_no_tls_where_it_is_expected_ends_it():
    async def play():
        async with Server(answering) as server:
            target = Target("127.0.0.1", server.port, tls=True, websocket=False)
            return await Player(
                healthy(), Playing(targets=[target], context=ssl.create_default_context(), connect=0.5)
            ).run()

    report = asyncio.run(play())
    assert report.trouble.stage == "timeout"
    assert "does it speak TLS there?" in report.trouble.text


@pytest.mark.parametrize("end", ["reset", "fin", "answer"])
@pytest.mark.parametrize("scheme", ["", "tls://"])
def test_a_plain_port_that_ends_the_handshake_is_told_in_words(end, scheme):
    async def hanging_up(reader, writer):
        await reader.read(1)
        if end == "reset":
            resets(writer)
        elif end == "answer":
            writer.write(status(1, 2))
            await writer.drain()

    async def play():
        async with Server(hanging_up) as server, Server(answering) as other:
            targets = [Target.parse(f"{scheme}127.0.0.1:{one.port}") for one in (server, other)]
            playing = Playing(targets=targets, context=ssl.create_default_context(), timeout=0.5)
            return await Player(script_of("06a_hw_tls_pyBlynkLib100"), playing).run()

    report = asyncio.run(play())
    assert report.trouble.stage == "tls"
    assert "it answers no TLS: is it the plain port?" in report.trouble.text
    assert ("Write tls:// or tcp:// before each target" in report.trouble.text) == (not scheme)
    assert "Error" not in report.trouble.text


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError(), OSError(), ssl.SSLError(), EOFError(), socket.gaierror(-2, "Name or service not known"),
     ConnectionResetError(104, "x"), socket.gaierror(-2), RuntimeError()],
)  # fmt: skip
def test_errors_are_words_and_no_classes(error):
    text = in_words(error)
    assert text
    assert type(error).__name__ not in text
    assert "unknown error" not in text.lower()


@pytest.mark.parametrize(
    ("then", "now", "noted"), [(200, 9, True), (9, 9, False), (200, 3, False), (200, 200, False)]
)  # fmt: skip
def test_a_token_that_the_server_does_not_know_is_noted_once(then, now, noted):
    talk = logged_in() if then == 200 else Taped().device(frame(29, 1, TOKEN)).server(status(1, then))
    script = talk.device(frame(19, 2, b"1", b"label", b"Room")).server(status(2)).close().script()
    _, report = asyncio.run(played(script, lambda r, w: answering(r, w, {29: now}), timeout=0.3))
    assert sum("--token" in note and "blynkscope serve --any-token" in note for note in report.notes) == noted


def test_another_command_that_is_refused_says_nothing_about_the_token():
    _, report = asyncio.run(played(healthy(), lambda r, w: answering(r, w, {19: 9}), timeout=0.2))
    assert not report.notes


def test_where_no_target_is_found_nothing_is_played():
    told = []
    player = Player(healthy(), Playing(targets=[Target("nohost.invalid", 80)]), told.append)
    report = player.unreached(ConnectError("resolve", "nohost.invalid: name or service not known"))
    assert (report.complete, report.counts, len(told)) == (False, counted(unplayed=5), 5)
    assert (report.trouble.stage, report.trouble.stream) == ("resolve", None)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"", b"\0\1\2\3\r\n\r\n"])
def test_a_refused_upgrade_ends_it(answer):
    async def refusing(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async def play():
        async with Server(refusing) as server:
            target = Target("127.0.0.1", server.port, tls=False, websocket=True)
            return await Player(healthy(), Playing(targets=[target])).run()

    report = asyncio.run(play())
    assert report.trouble.stage == "websocket"


def test_a_silent_upgrade_ends_in_time():
    async def silent(reader, writer):
        await reader.read()

    async def play():
        async with Server(silent) as server:
            target = Target("127.0.0.1", server.port, tls=False, websocket=True)
            return await Player(healthy(), Playing(targets=[target], connect=0.1)).run()

    assert "does not answer the upgrade" in asyncio.run(play()).trouble.text


def test_the_whole_time_is_limited():
    async def silent(reader, writer):
        await reader.read()

    _, report = asyncio.run(played(healthy(), silent, timeout=30.0, duration=0.1))
    assert not report.complete
    assert "before all was played" in report.notes[0]
    assert report.counts["unplayed"] >= 4


def test_a_push_that_never_comes_does_not_hold_up_for_ever():
    talk = logged_in()
    for number in range(2, 40):
        talk.server(write(number, b"1", b"%d" % number)).device(ping(number)).server(status(number))
    script = talk.close().script()

    async def play():
        began = asyncio.get_running_loop().time()
        _, report = await played(script, answering, timeout=0.1)
        return report, asyncio.get_running_loop().time() - began

    report, took = asyncio.run(play())
    assert report.counts == counted(equal=39, missing=38)
    assert took < 3.0


def test_calls_of_the_api_are_made_again():
    seen = []

    async def api(reader, writer):
        first = await reader.readexactly(1)
        if first != b"\x1d":
            head = first + await reader.readuntil(b"\r\n\r\n")
            seen.append(head.split(b"\r\n")[0].decode())
            body = b'["12"]' if b"/get/" in head else b""
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            return
        writer.write(status(1))
        await reader.read()

    script = swapped(script_of("09a_http_rest_plain"), Swaps(token="0123456789abcdef0123456789abcdef"))
    outcomes, _ = asyncio.run(played(script, api, timeout=0.2))
    calls = [one for one in outcomes if one.kind == "call"]
    assert len(calls) == 25
    assert "GET /0123456789abcdef0123456789abcdef/get/V4 HTTP/1.1" in seen
    good = next(one for one in calls if "/get/V4" in one.note)
    assert good.verdict == "equal"
    lost = next(one for one in calls if one.note.endswith("/get/V99"))
    assert (lost.verdict, lost.differences[0].field) == ("different", "status")


# --- where to ---


@pytest.mark.parametrize(
    ("text", "shown", "tls"),
    [
        ("localhost:8080", "localhost:8080", False),
        ("192.0.2.1:9443", "192.0.2.1:9443", True),
        ("host:1234", "host:1234", None),
        ("tls://host:1234", "tls://host:1234", True),
        ("wss://[::1]:443", "wss://[::1]:443", True),
    ],
)
def test_targets(text, shown, tls):
    assert (str(Target.parse(text)), Target.parse(text).tls) == (shown, tls)


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:0", "host:70000", "http://host:80", "a b:80", ":80", "x" * 300 + ":80"]
)
def test_what_is_no_target(text):
    with pytest.raises(ReplayUsageError):
        Target.parse(text)


@pytest.mark.parametrize(
    ("name", "line", "targets", "way"),
    [
        ("01a_hw_plain_pyBlynkLib020", 1, ["h:1234"], "tcp://h:1234"),
        ("01a_hw_plain_pyBlynkLib020", 1, ["h:9443"], "tls://h:9443"),
        ("01a_hw_plain_pyBlynkLib020", 1, ["wss://h:9443"], "wss://h:9443/websockets"),
        ("08a_ws_nodered_plain", 1, ["h:8080"], "ws://h:8080/websockets"),
        ("08a_ws_nodered_plain", 1, ["tcp://h:8080"], "tcp://h:8080"),
        ("08d_ws_dashws_tls", 1, ["h:1234"], "wss://h:1234/dashws"),
        ("08d_ws_dashws_tls", 1, ["tcp://h:1234"], "ws://h:1234/dashws"),
        ("07a_app_tls12", 3, ["h:8080"], "tls://h:8080"),
        ("07a_app_tls12", 3, ["tcp://h:8080", "tls://h:1"], "tls://h:1"),
        ("07a_app_tls12", 3, ["tcp://h:8080"], "tcp://h:8080"),
        ("01a_hw_plain_pyBlynkLib020", 1, ["h:9443", "h:8080"], "tcp://h:8080"),
    ],
)
def test_connections_are_made_as_they_were_or_as_is_asked(name, line, targets, way):
    assert str(way_of(script_of(name).lines[line], [Target.parse(text) for text in targets])) == way


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1", False), ("::1", False), ("10.1.2.3", False), ("192.168.1.1", False), ("169.254.1.1", False),
        ("fe80::1%eth0", False), ("fd00::1", False), ("8.8.8.8", True), ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True), ("2606:4700::1111", True), ("::ffff:10.0.0.1", False),
    ],
)  # fmt: skip
def test_public_addresses(address, public):
    assert is_public(address) is public


def test_a_name_without_an_address():
    with pytest.raises(ConnectError, match="no-such-host"):
        asyncio.run(resolved(Target("no-such-host.invalid", 80)))


# --- devices that misbehave ---


async def listening(script, meet, authority=None, **settings):
    told = []
    listener = Listener(script, ListenSettings(**({"speed": None} | settings)), authority, told.append)
    host, port = await listener.open()
    task = asyncio.create_task(listener.run())
    try:
        await meet(host, port)
        while listener._devices:
            await asyncio.wait(listener._devices)
    finally:
        task.cancel()
        report = await task
    return told, report


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1d",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /x HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        bytes(range(256)) * 50,
    ],
)
def test_strange_visitors_do_no_harm(data, authority):
    async def meet(host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(data)
        writer.write_eof()
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(frame(29, 9, TOKEN))
        assert await reader.readexactly(5) == status(9), "others are served"
        writer.close()

    _, report = asyncio.run(listening(healthy(), meet, authority))
    assert report.counts["equal"]
    assert not any("dropped" in note for note in report.notes)


def test_tls_without_certificates_is_refused():
    async def meet(host, port):
        context = ssl.create_default_context()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(host, port, ssl=context, server_hostname="localhost")

    _, report = asyncio.run(listening(healthy(), meet))
    assert report.counts == counted()


def test_a_name_that_is_asked_for_is_in_the_certificate(authority):
    async def meet(host, port):
        reader, writer = await asyncio.open_connection(
            host, port, ssl=trusting(authority), server_hostname="blynk.cloud"
        )
        writer.write(frame(29, 1, TOKEN))
        assert await reader.readexactly(5) == status(1)
        writer.close()

    asyncio.run(listening(healthy(), meet, authority))


def test_a_port_that_is_taken():
    async def listen():
        async with Server(answering) as server:
            await Listener(healthy(), ListenSettings(port=server.port)).open()

    with pytest.raises(EnvironmentProblem, match="cannot listen on"):
        asyncio.run(listen())


def test_pushes_come_at_their_time():
    async def meet(host, port):
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(frame(29, 1, TOKEN))
        assert await reader.readexactly(5) == status(1)
        began = loop.time()
        assert await reader.readexactly(11) == write(7, b"5", b"on")[:11]
        assert 0.02 < loop.time() - began < 5.0
        writer.close()

    # Six seconds behind the login, a hundred times as fast.
    told, _ = asyncio.run(listening(healthy(), meet, speed=100.0))
    assert ("missing", 3) in verdicts(told)


def test_a_limited_time_ends_the_listening():
    async def listen():
        listener = Listener(healthy(), ListenSettings(duration=0.05))
        await listener.open()
        return await listener.run()

    report = asyncio.run(listen())
    assert (report.complete, report.departs) == (False, False)
    assert "1 of 1 recorded connections were not played" in report.notes


def test_the_account_names_the_port_that_it_got():
    async def meet(host, port):
        seen.append(f"{host}:{port}")
        _, writer = await asyncio.open_connection(host, port)
        writer.close()

    seen = []
    _, report = asyncio.run(listening(healthy(), meet))
    assert [report.target] == seen


def test_half_logins_do_not_lock_others_out(monkeypatch):
    monkeypatch.setattr("blynkscope.replay.listener.CONNECTIONS_MAX", 4)

    async def meet(host, port):
        reader, device = await asyncio.open_connection(host, port)
        device.write(frame(29, 9, TOKEN))
        assert await reader.readexactly(5) == status(9)
        half = [await asyncio.open_connection(host, port) for _ in range(6)]
        for _, writer in half:
            writer.write(b"\x1d\0\1\0\x20aa")
        other, writer = await asyncio.open_connection(host, port)
        writer.write(frame(29, 8, TOKEN))
        assert await other.readexactly(5) == status(8)
        device.write(ping(10))
        assert await reader.readexactly(5) == status(10), "who has logged in stays"
        for _, one in [*half, (other, writer), (reader, device)]:
            one.close()

    script = logged_in().device(ping(2)).server(status(2)).close().script()
    _, report = asyncio.run(listening(script, meet))
    assert any("had not logged in were dropped" in note for note in report.notes)


def test_a_first_frame_has_its_time(monkeypatch):
    monkeypatch.setattr("blynkscope.replay.listener.FIRST_SECONDS", 0.3)

    async def meet(host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"\x1d\0\1\0\x20aa")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()

    asyncio.run(listening(healthy(), meet))


def test_pings_of_a_websocket_that_are_never_read_are_bounded(monkeypatch):
    monkeypatch.setattr("blynkscope.replay.device.WRITE_SECONDS", 0.2)

    async def meet(host, port):
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(sock, (host, port))
            key = base64.b64encode(bytes(16)).decode()
            await loop.sock_sendall(
                sock,
                f"GET /websockets HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode(),
            )
            pings = (b"\x89\xfd\0\0\0\0" + b"x" * 125) * 500
            with contextlib.suppress(ConnectionError):
                while True:
                    await asyncio.wait_for(loop.sock_sendall(sock, pings), 10)

    _, report = asyncio.run(listening(healthy(), meet))
    assert any("did not take what it was sent" in note for note in report.notes)


@pytest.mark.parametrize("name", [b"\xc3\x83", b"-", b"a b", b"x" * 200, b"1.2.3.4"])
def test_a_strange_server_name_is_left_out(name, authority, capfd):
    hello = client_hello(name)

    async def meet(host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(hello)
        with contextlib.suppress(OSError):
            await asyncio.wait_for(reader.read(1), 5)
        writer.close()

    _, report = asyncio.run(listening(healthy(), meet, authority))
    assert "Traceback" not in capfd.readouterr().err
    assert not any("trust the CA" in note for note in report.notes)


def client_hello(name):
    """What OpenSSL says first."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    # A name of this length that is one; the caller puts another one in its place.
    stand_in = ("a" * 50 + ".") * 4
    client = context.wrap_bio(into, out, server_hostname=(stand_in[: len(name) - 1] + "a"))
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read().replace((stand_in[: len(name) - 1] + "a").encode(), name)


def test_only_an_alert_about_certificates_blames_the_authority(authority):
    async def meet(host, port):
        def distrusts():
            context = ssl.create_default_context()
            with socket.create_connection((host, port), 10) as sock, pytest.raises(ssl.SSLCertVerificationError):
                context.wrap_socket(sock, server_hostname="localhost")

        await asyncio.to_thread(distrusts)

    _, report = asyncio.run(listening(healthy(), meet, authority))
    assert any("it must trust the CA" in note for note in report.notes)


# --- what is told ---


def test_extras_of_one_subject_are_counted():
    async def flooding(reader, writer):
        async for cmd, number, _ in frames_from(reader):
            if cmd == 29:
                writer.write(status(number) + b"".join(write(one, b"9", b"%d" % one) for one in range(1, 500)))
            elif cmd:
                writer.write(status(number))

    script = logged_in().device(ping(2)).server(status(2)).close().script()
    outcomes, report = asyncio.run(played(script, flooding))
    assert report.counts == counted(equal=2, extra=499)
    assert sum(one.verdict == "extra" for one in outcomes) == EXTRAS_TOLD
    assert any(f"{499 - EXTRAS_TOLD} extra" in note for note in report.notes)


def test_verdicts_are_told_within_a_limit(monkeypatch):
    monkeypatch.setattr("blynkscope.replay.tally.OUTCOMES_MAX", 3)
    outcomes, report = asyncio.run(played(healthy(), lambda r, w: answering(r, w, {19: 11}), timeout=0.2))
    assert (len(outcomes), sum(report.counts.values())) == (3, 5)
    assert any("not told one by one" in note for note in report.notes)
