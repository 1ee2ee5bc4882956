"""The dissector in tshark: the frames that it lists are ours, in every capture, and Lua has no error."""

import pytest
import sharks
import test_truth as truth
from captures_of import CAPTURES, every

pytestmark = pytest.mark.tshark

HOLES = {"tcp_lost_segment", "tcp_lost_inside_body", "tcp_snaplen"}
"""tshark that puts late segments in order waits for lost ones for ever; without that it goes on behind the hole."""


@pytest.fixture(scope="module")
def shark(tmp_path_factory):
    return sharks.Shark(tmp_path_factory.mktemp("home"))


def options_of(path):
    keys = path.with_name(f"{truth.named(path)}.keys")
    found = ["-o", f"tls.keylog_file:{keys}"] if keys.exists() else []
    if truth.named(path) in HOLES:
        found += ["-o", "tcp.reassemble_out_of_order:FALSE"]
    return found


def essence(row):
    """A frame as tshark lists it; the web dialect has no lengths on the wire."""
    return row["cmd"], row["id"], row["status"] if row["cmd"] == 0 else len(row["body"]) // 2, row["body"]


def ours(path):
    frames = truth.decoded_frames(truth.decode(path))
    return {key: [essence(row) for row in rows] for key, rows in frames.items()}


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
    assert once(path) == ours(path)


@pytest.mark.parametrize(
    "path", [path for path in every() if path.parent == CAPTURES or path.name.startswith("tcp_")], ids=lambda p: p.name
)
def test_two_passes_list_the_same_frames(shark, once, path):
    assert shark.frames(path, "-2", *options_of(path)) == once(path)
