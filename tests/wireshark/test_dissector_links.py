"""Which response answers which request, expert infos, and the Info column."""

import craft
import pytest
import sharks
import test_truth as truth
from captures_of import CAPTURES
from talk import TOKEN, frame, write

pytestmark = pytest.mark.tshark

PLAIN = (
    "01a_hw_plain_pyBlynkLib020", "03_hw_plain_js054", "04_hw_plain_cpp140", "05_hw_invalid_token", "11b_msg_ids",
    "12b_idle_hbeat5", "12c_second_login", "13_bridge",
)  # fmt: skip


@pytest.fixture(scope="module")
def shark(tmp_path_factory):
    return sharks.Shark(tmp_path_factory.mktemp("home"))


def round_trips(rows):
    """(command, id, round trip in ms) of the frames that answer something, by direction."""
    found = {}
    for key, frames in truth.decoded_frames(rows).items():
        answers = [(row["cmd"], row["id"], row["rtt_ms"]) for row in frames if row["answers"] is not None]
        if answers:
            found[key] = answers
    return found


def shown_round_trips(shark, path):
    """The same by tshark, whose frames come one by one in its JSON."""
    found = {}
    names = ("tcp.srcport", "tcp.dstport", "blynk.response_time")
    for row in shark.fields(path, *names, only="blynk.response_to"):
        source, target = int(row["tcp.srcport"][0]), int(row["tcp.dstport"][0])
        key = (source, target, "c2s") if target < source else (target, source, "s2c")
        found.setdefault(key, []).extend(float(value) * 1000.0 for value in row["blynk.response_time"])
    return found


@pytest.mark.parametrize("name", PLAIN)
def test_what_answers_what_is_what_we_say(shark, name):
    path = CAPTURES / f"{name}.pcap"
    ours = round_trips(truth.decode(path))
    theirs = shown_round_trips(shark, path)
    assert {key: len(found) for key, found in theirs.items()} == {key: len(found) for key, found in ours.items()}
    for key, found in theirs.items():
        assert found == pytest.approx([rtt for _, _, rtt in ours[key]], abs=0.002)


def test_requests_point_to_their_responses(shark):
    path = CAPTURES / "made" / "login_invalid_token.pcap"
    rows = shark.fields(path, "frame.number", "blynk.response_to", "blynk.response_in", options=("-2",))
    to = {row["frame.number"][0]: row["blynk.response_to"][0] for row in rows if row["blynk.response_to"]}
    back = {row["frame.number"][0]: row["blynk.response_in"][0] for row in rows if row["blynk.response_in"]}
    assert to
    assert {answer: request for request, answer in back.items()} == to


def test_experts_tell_of_errors(shark):
    path = CAPTURES / "05_hw_invalid_token.pcap"
    rows = shark.fields(path, "blynk.status_name", "_ws.expert.message", only="blynk.expert.login_refused")
    assert len(rows) == 5
    assert {row["blynk.status_name"][0] for row in rows} == {"STA_INVALID_TOKEN"}
    ids = shark.fields(CAPTURES / "11b_msg_ids.pcap", "blynk.id", only="blynk.expert.id_zero")
    assert ids
    assert all("0" in row["blynk.id"] for row in ids)
    bodies = shark.fields(CAPTURES / "13_bridge.pcap", "blynk.problem", only="blynk.expert.body")
    assert all(row["blynk.problem"][0] for row in bodies)


def test_a_frame_beyond_the_announced_buffer_is_marked_and_names_follow_the_era(shark, tmp_path):
    wire = craft.Wire()
    wire.handshake()
    info, large, clear = (
        frame(17, 2, b"ver", b"1.0", b"buff-in", b"256"),
        write(7, b"1", b"x" * 300),
        frame(65, 8, b"e"),
    )
    login = frame(29, 1, TOKEN)
    wire.send(0, 0, login + info)
    wire.send(1, 0, large + clear)
    path = tmp_path / "room.pcap"
    path.write_bytes(craft.pcap(wire.packets))
    assert len(shark.fields(path, "blynk.id", only="blynk.expert.oversized")) == 1
    for era, name in (("Blynk IoT", "MSG_EVENT_CLEAR"), ("legacy", "MSG_HARDWARE_RESEND_FROM_BLUETOOTH")):
        rows = shark.fields(path, "blynk.cmd_name", options=("-o", f"blynk.era:{era}"), only="blynk.cmd == 65")
        assert rows[0]["blynk.cmd_name"][-1] == name


def test_the_info_column_reads_a_frame(shark):
    rows = shark.fields(CAPTURES / "03_hw_plain_js054.pcap", "_ws.col.Info")
    shown = [row["_ws.col.Info"][0] for row in rows]
    assert shown[0] == "HW_LOGIN id 1 token tok:..."
    assert shown[1].startswith("RSP id 1 STA_SUCCESS")
    assert "HW id 5 vw V0 = 42" in shown
