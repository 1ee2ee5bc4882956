"""The dissector in tshark: the frames that it lists are ours, in every capture, and Lua has no error."""

import pytest
import sharks
import test_truth as truth
from captures_of import CAPTURES, every

pytestmark = pytest.mark.tshark

LAYERED = {
    "06a_hw_tls_pyBlynkLib100", "06d_hw_tls13_pyBlynkLib100", "07a_app_tls12", "08a_ws_nodered_plain",
    "08d_ws_dashws_tls", "09c_ota_start_get", "mqtt_session",
}  # fmt: skip
"""Blynk inside TLS or WebSocket, and MQTT: compared with the truth of what was said."""

HOLES = {"tcp_lost_segment", "tcp_lost_inside_body", "tcp_snaplen"}
"""tshark that puts late segments in order waits for lost ones for ever; without that it goes on behind the hole."""

UNREAD = {
    ("07a_app_tls12", (33162, 9443, "c2s")): [(150, 75, 2, "7a7a")],
    ("07a_app_tls12", (47426, 9443, "c2s")): [(32, 3, 64)],
}
"""Frames that are on the wire, but that the server closed the connection on, and so never noted."""


@pytest.fixture(scope="module")
def shark(tmp_path_factory):
    return sharks.Shark(tmp_path_factory.mktemp("home"))


def options_of(path):
    keys = path.with_name(f"{truth.named(path)}.keys")
    found = ["-o", f"tls.keylog_file:{keys}"] if keys.exists() else []
    if truth.named(path) in HOLES:
        found += ["-o", "tcp.reassemble_out_of_order:FALSE"]
    return found


def wanted_of(path):
    frames = {}
    if truth.named(path) in LAYERED:
        for row in truth.truth_of(path):
            if row["event"] == "msg":
                key = (row["client_port"], row["server_port"], row["dir"])
                frames.setdefault(key, []).append(truth.essence_of_truth(row))
        return frames
    for key, rows in truth.decoded_frames(truth.decode(path)).items():
        frames[key] = [truth.essence_of_frame(row) for row in rows]
    return frames


def without_unread(name, frames):
    for (capture, key), extra in UNREAD.items():
        if capture == name:
            tail = [frame[: len(one)] for frame, one in zip(frames[key][-len(extra) :], extra, strict=True)]
            assert tail == extra
            del frames[key][-len(extra) :]
    return frames


@pytest.fixture(scope="module")
def once(shark):
    """The frames of one pass over a capture; each is asked for once."""
    known = {}

    def frames(path):
        if path not in known:
            known[path] = shark.frames(path, *options_of(path), check=not truth.is_damaged(path))
        return {key: list(found) for key, found in known[path].items()}

    return frames


@pytest.mark.parametrize("path", every(), ids=lambda path: path.name)
def test_it_lists_our_frames(once, path):
    assert without_unread(truth.named(path), once(path)) == wanted_of(path)


@pytest.mark.parametrize(
    "path", [path for path in every() if path.parent == CAPTURES or path.name.startswith("tcp_")], ids=lambda p: p.name
)
def test_two_passes_list_the_same_frames(shark, once, path):
    assert shark.frames(path, "-2", *options_of(path)) == once(path)
